/*
 * rm/kv/rmid.h - the rmids that are open in this process, and what each is associated with.
 *
 * Associations belong to the rmid, not to the thread: any thread may use any rmid, one at a time,
 * so the members of an entry need no lock; finding it does.
 */
#ifndef HF_KV_RMID_H
#define HF_KV_RMID_H

#include "branch.h"

enum kv_association {
    KV_NONE,       /* T0 */
    KV_ASSOCIATED, /* T1 */
    KV_SUSPENDED   /* T2 */
};

struct kv_rmid {
    struct kv_rmid *next; /* of the bucket; guarded by the registry */
    int rmid;
    uint32_t wait_ms;       /* for one lock */
    struct kv_place *place; /* one reference */
    enum kv_association association;
    struct kv_branch *branch; /* with T1 and T2: an association keeps it alive */
    struct kv_scan scan;      /* of xa_recover() */
};

/*
 * Is this a child after fork of the process that has rmids open? Then nothing else may be called
 * before hf__kv_rmid_begin(), after which nothing is open.
 */
int hf__kv_rmid_is_forked(void);
void hf__kv_rmid_begin(void);

/* NULL: not open. */
struct kv_rmid *hf__kv_rmid_find(int rmid);
/* Takes over the reference to place. NULL: no memory; the reference stays the caller's. */
struct kv_rmid *hf__kv_rmid_add(int rmid, uint32_t wait_ms, struct kv_place *place);
/* Takes the entry out, gives the reference back and frees it. It has no association any more. */
void hf__kv_rmid_remove(struct kv_rmid *entry);

#endif
