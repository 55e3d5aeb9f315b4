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

#endif
