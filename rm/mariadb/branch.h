/*
 * rm/mariadb/branch.h - a branch's life at the server: xa_start() to xa_commit().
 *
 * The functions return what the call answers. With TMASYNC in flags that is a handle, which is
 * positive, once the statement is on its way, and hf__my_branch_complete() has the answer.
 * Arguments are checked by the caller; the state is checked here.
 */
#ifndef HF_MARIADB_BRANCH_H
#define HF_MARIADB_BRANCH_H

#include "session.h"

int hf__my_branch_start(struct my_session *s, const XID *xid, long flags);
int hf__my_branch_join(struct my_session *s, const XID *xid, long flags);
int hf__my_branch_resume(struct my_session *s, const XID *xid, long flags);
int hf__my_branch_end(struct my_session *s, const XID *xid, long flags);
int hf__my_branch_prepare(struct my_session *s, const XID *xid, long flags);
int hf__my_branch_commit(struct my_session *s, const XID *xid, long flags);
int hf__my_branch_rollback(struct my_session *s, const XID *xid, long flags);
int hf__my_branch_forget(struct my_session *s, const XID *xid, long flags);
/* XA_OK with the answer in *ret_answer, XA_RETRY if there is none yet (TMNOWAIT), or XAER_... A no
   is followed by a rollback, which is waited for. */
int hf__my_branch_complete(struct my_session *s, int *handle, int *ret_answer, long flags);

#endif
