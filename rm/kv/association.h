/*
 * rm/kv/association.h - the association of an rmid with a branch: xa_start(), xa_end(), and
 * xa_close().
 *
 * Functions return XA_... or XAER_... . Threads: one for an rmid, but for a cancel.
 */
#ifndef HF_KV_ASSOCIATION_H
#define HF_KV_ASSOCIATION_H

#include "rmid.h"

/* T0 to T1 with a branch that is not known yet. */
int hf__kv_association_start(struct kv_rmid *entry, const struct kv_xid *xid);
/* T0 to T1 with a branch that others work in, or worked in. */
int hf__kv_association_join(struct kv_rmid *entry, const struct kv_xid *xid);
/* T2 to T1. */
int hf__kv_association_resume(struct kv_rmid *entry, const struct kv_xid *xid);

/* T1 to T2. */
int hf__kv_association_suspend(struct kv_rmid *entry, const struct kv_xid *xid);
/* T1 or T2 to T0. fail: TMFAIL, the branch is spoilt. */
int hf__kv_association_end(struct kv_rmid *entry, const struct kv_xid *xid, int fail);

/*
 * The time of entry's branch is over: what it waits for is not waited for any more, and it can only
 * be rolled back. Nothing if entry is associated with none. Any thread.
 */
void hf__kv_association_cancel(struct kv_rmid *entry);

/* Before xa_close(): XAER_PROTO if associated; a suspended association spoils its branch. */
int hf__kv_association_close(struct kv_rmid *entry);

#endif
