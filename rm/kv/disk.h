/*
 * rm/kv/disk.h - what a branch does to the store: each step is one durable apply, or nothing.
 *
 * Results are hf__store_apply()'s: HF_OK durable; HF_EUNKNOWN, HF_ELOG and HF_EFORK: this opening
 * is over; any other error: nothing of it was written or ever will be.
 *
 * Threads: any; no lock of kv may be held. The caller keeps others from changing the write set.
 */
#ifndef HF_KV_DISK_H
#define HF_KV_DISK_H

#include "layout.h"

struct hf__store;
struct hf__store_txn;

/* Outcomes that a store remembers: the newest ones. */
enum { KV_OUTCOMES_MAX = HF_KV_OUTCOMES };

int hf__kv_disk_prepare(struct hf__store *store, const struct kv_xid *xid,
                        const struct kv_writes *writes);
/* Apply the write set and remember "committed". prepared: its records are there, and go. */
int hf__kv_disk_commit(struct hf__store *store, const struct kv_xid *xid,
                       const struct kv_writes *writes, int prepared);
/* Of a prepared branch: remove its records and remember "rolled back". */
int hf__kv_disk_rollback(struct hf__store *store, const struct kv_xid *xid);

/* What became of a branch: HF_OK, HF_ENOTFOUND (not remembered), HF_EDAMAGED, HF_EIO ... */
int hf__kv_disk_outcome(struct hf__store *store, const struct kv_xid *xid, enum kv_outcome *ret);

/*
 * Read every prepared branch. make gives, for an XID, the empty write set to fill, or NULL when
 * memory ran out. HF_EDAMAGED if header and writes do not agree. On error the caller drops what
 * make made.
 */
typedef struct kv_writes *hf__kv_disk_make_fn(void *user, const struct kv_xid *xid);
int hf__kv_disk_load(struct hf__store *store, hf__kv_disk_make_fn *make, void *user);

/* In an apply: remember an outcome, forget the oldest so that at most keep are remembered. */
int hf__kv_disk_remember(struct hf__store_txn *txn, enum kv_outcome outcome,
                         const struct kv_xid *xid, uint64_t keep);

#endif
