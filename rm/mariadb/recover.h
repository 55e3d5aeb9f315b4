/*
 * rm/mariadb/recover.h - which branches the server has prepared.
 */
#ifndef HF_MARIADB_RECOVER_H
#define HF_MARIADB_RECOVER_H

#include "session.h"

/* All of them, of every transaction manager and database. The caller frees *ret. 0, or the error
   number with the words noted. */
unsigned hf__my_recover_list(struct my_session *s, XID **ret, size_t *ret_count);
/* Is it one of them? */
unsigned hf__my_recover_lists(struct my_session *s, const XID *xid, int *ret);

enum my_place {
    MY_NOWHERE, /* not prepared */
    MY_HELD,    /* prepared, and a session has it */
    MY_FREE     /* prepared, and its session has ended so long ago that it can be completed */
};

/* Where is a branch of another session? May wait for CALM_MS, once for all that are free. */
unsigned hf__my_recover_look(struct my_session *s, const XID *xid, enum my_place *ret);

#endif
