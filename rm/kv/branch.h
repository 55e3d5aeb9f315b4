/*
 * rm/kv/branch.h - transaction branches of one place: their states, votes and ends.
 *
 * Functions that return XA_... or XAER_... are what the switch answers; a failure of the store
 * behind such an answer is in hf_error_last().
 *
 * Threads: any. A branch is `busy` while one thread works in it, without the place's mutex or
 * waiting for a lock; all others that want it wait on the place's `changed`.
 */
#ifndef HF_KV_BRANCH_H
#define HF_KV_BRANCH_H

#include "layout.h"
#include "place.h"

enum kv_branch_state {
    KV_WORKING,    /* S1 while somebody is associated, S2 when not; S4 once told_spoilt */
    KV_IS_PREPARED /* S3 */
};

/* Guarded by the place's mutex; writes by being busy, too. */
struct kv_branch {
    struct kv_branch *next; /* of the bucket */
    struct kv_xid xid;
    enum kv_branch_state state;
    unsigned associated; /* rmids that are associated, T1 */
    unsigned suspended;  /* rmids with a suspended association, T2 */
    int home;            /* rmid whose association ended last; while idle, its xa_close() ends us */
    int spoilt;          /* 0, or the XA_RB* code: it can only be rolled back */
    int told_spoilt;     /* xa_end() or xa_start() has said so */
    int busy;            /* a thread works in it */
    struct kv_writes writes;
    struct kv_owner owner; /* of its locks */
};

/* Keys and prefixes that one branch may lock: a bound on memory. */
enum { KV_BRANCH_LOCKS_MAX = 1000000 };

/* XIDs of prepared branches, as one scan saw them. */
struct kv_scan {
    struct kv_xid *xids;
    size_t count;
    size_t next; /* the first one not returned yet */
    int open;
};

/* -- for association.c and data.c; the place's mutex is held ----------------------------------- */

/*
 * The branch, when nobody completes it; NULL if there is none. Waits for a completion, which only a
 * branch without associations can have, and not for work in it, which may wait for a lock.
 */
struct kv_branch *hf__kv_branch_claim(struct kv_place *place, const struct kv_xid *xid);
/* The branch, whoever works in it. */
struct kv_branch *hf__kv_branch_find(struct kv_place *place, const struct kv_xid *xid);
/* A new branch without associations. NULL: no memory. */
struct kv_branch *hf__kv_branch_make(struct kv_place *place, const struct kv_xid *xid);
/* It is over: off the table and freed; its locks are let go. Not of a busy branch. */
void hf__kv_branch_drop(struct kv_place *place, struct kv_branch *branch);
/*
 * It can only be rolled back now: it waits for no lock any more, and its writes and its locks are
 * let go, at once or as soon as the thread that works in it is out.
 */
void hf__kv_branch_spoil(struct kv_place *place, struct kv_branch *branch, int code);

/* The thread that made it busy is out of it. */
void hf__kv_branch_unbusy(struct kv_place *place, struct kv_branch *branch);

/* -- completion; takes the mutex itself -------------------------------------------------------- */

int hf__kv_branch_prepare(struct kv_place *place, const struct kv_xid *xid);
int hf__kv_branch_commit(struct kv_place *place, const struct kv_xid *xid);
int hf__kv_branch_commit_onephase(struct kv_place *place, const struct kv_xid *xid);
int hf__kv_branch_rollback(struct kv_place *place, const struct kv_xid *xid);

/* xa_close(rmid): end the idle branches that nobody else will. */
void hf__kv_branch_leave(struct kv_place *place, int rmid);

/* HF_OK, or why it cannot be said. */
int hf__kv_branch_probe(struct kv_place *place, const struct kv_xid *xid, enum hf_probe *ret);

/* Start a scan: what is prepared now. XA_OK, XAER_RMERR, XAER_RMFAIL. */
int hf__kv_branch_scan(struct kv_place *place, struct kv_scan *scan);
/* Copy out the next XIDs that are still prepared; returns how many, below count only at the end. */
int hf__kv_branch_scan_next(struct kv_place *place, struct kv_scan *scan, XID *xids, long count);
void hf__kv_branch_scan_end(struct kv_scan *scan);

/* -- opening and closing a place; nobody else is in it ----------------------------------------- */

struct kv_writes *hf__kv_branch_make_prepared(struct kv_place *place, const struct kv_xid *xid);
/*
 * Give all prepared branches their locks. HF_OK; HF_EDAMAGED: two have written one key; HF_ENOMEM.
 */
int hf__kv_branch_retake_all(struct kv_place *place);
void hf__kv_branch_drop_all(struct kv_place *place);

#endif
