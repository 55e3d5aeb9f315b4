/*
 * rm/mariadb/message.h - the statements of the XA protocol, as MariaDB's SQL.
 */
#ifndef HF_MARIADB_MESSAGE_H
#define HF_MARIADB_MESSAGE_H

#include "xa.h"

enum { MY_MESSAGE_SIZE = 2048 }; /* bytes of the longest statement, with its NUL */

/* An XID that MariaDB can take: lengths within XA's bounds, a formatID that it can print back. */
int hf__my_message_takes(const XID *xid);

/* XA START, after the lock of `before` (NULL: none) was let go and that of xid was taken. */
void hf__my_message_start(char *ret, const XID *xid, const XID *before);
/* Let go of its lock; good also if it is not this session's. */
void hf__my_message_unlock(char *ret, const XID *xid);
/* XA END and XA PREPARE, or XA COMMIT ... ONE PHASE, of the very branch that was started. marker:
   the quoted name of the table that proves it, or NULL. */
void hf__my_message_vote(char *ret, const XID *xid, const char *marker, int one_phase);
void hf__my_message_end(char *ret, const XID *xid);
void hf__my_message_commit(char *ret, const XID *xid);
void hf__my_message_rollback(char *ret, const XID *xid);
/* End the session, or what it runs, that holds the lock of xid; fails if there is none. */
void hf__my_message_kill(char *ret, const XID *xid, int query_only);
/* The number of that session, NULL if there is none. */
void hf__my_message_holder(char *ret, const XID *xid);
/* One row if the branch left its marker. */
void hf__my_message_marked(char *ret, const XID *xid, const char *marker);

#endif
