/*
 * rm/mariadb/options.c - read the open string of xa_open(): key=value pairs between semicolons.
 *
 * Strict: an unknown, repeated or empty key and a value out of range are errors, for a mistyped
 * option that is silently ignored is found in production. A value is never put into a text: it may
 * be a password, and so may an unknown "key" be, if a semicolon stands in a password. So an unknown
 * key is told by its place only.
 *
 * Threads: no state.
 * Spec: [XA] xa_open(); MAXINFOSIZE limits the string.
 */
#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535 };

static int set_port(struct my_options *o, const char *value)
{
    unsigned long n = 0;

    for (const char *p = value; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return -1;
        n = n * 10 + (unsigned long)(*p - '0');
        if (n > PORT_MAX)
            return -1;
    }
    o->port = (unsigned)n;
    return n > 0 ? 0 : -1;
}

static int set_marker(struct my_options *o, const char *value)
{
    o->marker = strcmp(value, "marker") == 0;
    return o->marker || strcmp(value, "none") == 0 ? 0 : -1;
}

static int set_unsafe(struct my_options *o, const char *value)
{
    o->unsafe = strcmp(value, "yes") == 0;
    return o->unsafe || strcmp(value, "no") == 0 ? 0 : -1;
}

static const struct {
    const char *key;
    size_t text; /* where the value goes as it is, if there is no set */
    int (*set)(struct my_options *o, const char *value);
} keys[] = {
    {"socket", offsetof(struct my_options, socket), NULL},
    {"host", offsetof(struct my_options, host), NULL},
    {"port", 0, set_port},
    {"user", offsetof(struct my_options, user), NULL},
    {"password", offsetof(struct my_options, password), NULL},
    {"database", offsetof(struct my_options, database), NULL},
    {"file", offsetof(struct my_options, file), NULL},
    {"group", offsetof(struct my_options, group), NULL},
    {"proof", 0, set_marker},
    {"unsafe", 0, set_unsafe},
};
enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

/* One "key=value". place: 1 for the first. */
static int read_pair(char *pair, unsigned place, unsigned *seen, struct my_options *o,
                     char *ret_why, unsigned why_size)
{
    char *equals = strchr(pair, '=');
    const char *value;
    size_t i = 0;

    if (equals != NULL)
        *equals = '\0';
    while (i < KEY_COUNT && strcmp(pair, keys[i].key) != 0)
        i++;
    if (i == KEY_COUNT) {
        (void)snprintf(ret_why, why_size, "open string: unknown key in pair %u", place);
        return -1;
    }
    value = equals != NULL ? equals + 1 : "";
    if ((*seen & 1u << i) != 0) {
        (void)snprintf(ret_why, why_size, "open string: '%s' is there twice", keys[i].key);
        return -1;
    }
    *seen |= 1u << i;
    if (*value == '\0' || (keys[i].set != NULL && keys[i].set(o, value) != 0)) {
        (void)snprintf(ret_why, why_size, "open string: the value of '%s' is not valid",
                       keys[i].key);
        return -1;
    }
    if (keys[i].set == NULL)
        memcpy((char *)o + keys[i].text, &value, sizeof(value));
    return 0;
}

int hf__my_options_parse(const char *text, struct my_options *ret, char *ret_why, unsigned why_size)
{
    unsigned seen = 0, place = 0;
    char *next;

    *ret = (struct my_options){.port = 0};
    if (text == NULL || strnlen(text, MAXINFOSIZE) == MAXINFOSIZE) {
        (void)snprintf(ret_why, why_size, "open string: missing, or over %d bytes",
                       MAXINFOSIZE - 1);
        return -1;
    }
    memcpy(ret->text, text, strlen(text) + 1);
    next = ret->text;
    while (*next != '\0') {
        char *pair = next;
        char *end = strchr(pair, ';');

        next = end != NULL ? end + 1 : pair + strlen(pair);
        if (end != NULL)
            *end = '\0';
        if (read_pair(pair, ++place, &seen, ret, ret_why, why_size) != 0) {
            hf__my_options_wipe(ret);
            return -1;
        }
    }
    return 0;
}

void hf__my_options_wipe(struct my_options *options)
{
    explicit_bzero(options, sizeof(*options));
}
