/*
 * rm/mariadb/options.h - what the open string of xa_open() says (holdfast/mariadb.h describes it).
 */
#ifndef HF_MARIADB_OPTIONS_H
#define HF_MARIADB_OPTIONS_H

#include "xa.h"

/* A text that is not given is NULL; the others point into `text`. */
struct my_options {
    char text[MAXINFOSIZE];
    const char *socket, *host, *user, *password, *database, *file, *group;
    unsigned port;
    int marker; /* proof=marker */
    int unsafe; /* unsafe=yes */
};

/*
 * Read text. 0, or -1: then ret_why names the key, never a value, and ret is wiped. ret is not to
 * be copied: it points into itself.
 */
int hf__my_options_parse(const char *text, struct my_options *ret, char *ret_why,
                         unsigned why_size);
/* Overwrite all of it. */
void hf__my_options_wipe(struct my_options *options);

#endif
