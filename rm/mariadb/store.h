/*
 * rm/mariadb/store.h - what is ours in the database, and what the server must be set to.
 */
#ifndef HF_MARIADB_STORE_H
#define HF_MARIADB_STORE_H

#include "session.h"

enum { MY_IDENTITY_SIZE = 16 };

/* Which database this is; made if it has none yet. With proof=marker also the table of markers. 0,
   or -1 with the words noted. */
int hf__my_store_identity(struct my_session *s, unsigned char ret_id[MY_IDENTITY_SIZE]);
/* May what the server acknowledges be lost? 0: no, and ret_why has a warning or nothing; 1: yes,
   and ret_why says what to mend; -1: not known, with the words noted. */
int hf__my_store_settings(struct my_session *s, char *ret_why, size_t why_size);
/* Did the branch leave its marker? 0, or the error number with the words noted. */
unsigned hf__my_store_marked(struct my_session *s, const XID *xid, int *ret);

#endif
