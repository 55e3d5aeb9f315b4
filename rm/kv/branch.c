/*
 * rm/kv/branch.c - the life of a branch: made, prepared, committed, rolled back, recovered.
 *
 *   S0 --start--> S1 --end--> S2 --prepare--> S3 --commit, rollback--> S0
 *                  \           \--commit one-phase, rollback, read-only vote--> S0
 *                   \--end [RB]--> S4 --rollback--> S0
 *
 * (association.c does start and end.) Until it is prepared a branch is in memory alone, and dies
 * with the process. From a yes vote on it is in the store, and keeps its locks until it ends; after
 * a crash those of the keys that it wrote.
 *
 * Invariants
 *   B1  XA_OK to prepare only after its header and write set are durable.
 *   B2  A branch is prepared in memory if and only if it is in the store, but for a place that
 *       failed. It then holds an exclusive lock on every key in its write set.
 *   B3  Data changes only in the apply that also removes the prepared records and remembers the
 *       outcome.
 *   B4  A step whose outcome is not known is neither a yes nor a no: XAER_RMFAIL, and the place
 *       failed.
 *
 * If we crash ...          on disk                     the next opening       fault point
 *   before the prepare     nothing                     knows no branch        kv:prepare
 *   inside its apply       nothing: LMDB drops it      knows no branch        kv:prepare-half
 *   after its apply        header, writes              S3, with its locks     kv:prepared
 *   before the commit      header, writes              S3, with its locks     kv:commit
 *   inside its apply       header, writes              S3, with its locks     kv:commit-half
 *   after its apply        data, outcome "committed"   probe: committed       kv:committed
 *   before the rollback    header, writes              S3, with its locks     kv:rollback
 *   after its apply        outcome "rolled back"       probe: rolled back     kv:rolledback
 *   before a one-phase     nothing                     knows no branch        kv:onephase
 *   after its apply        data, outcome "committed"   probe: committed       kv:onephased
 *   in the next opening    as it was: reading writes nothing                  kv:loaded
 * tests/unit/kv/test_recovery.c kills the process at each fault point.
 *
 * A clean refusal of the store (no room, no memory) at prepare or one-phase commit is a rollback,
 * as nothing of the branch is on disk; at commit of a prepared branch it is XA_RETRY, and the
 * branch stays prepared; at rollback of a prepared one XAER_RMFAIL, because XA allows no XA_RETRY
 * there and XAER_RMERR would say that the branch is gone.
 *
 * Threads: a step marks its branch busy, lets go of the place's mutex, and runs its apply.
 *
 * Spec: [XA] 2.3, 3.4, 3.6; tables 6-4; xa_prepare(), xa_commit(), xa_rollback(), xa_recover().
 */
#include "branch.h"

#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "failure.h"
#include "holdfast/internal/fault.h"
#include "holdfast/internal/store.h"

/* -- the table --------------------------------------------------------------------------------- */

static struct kv_branch **bucket_of(struct kv_place *place, const struct kv_xid *xid)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (size_t i = 0; i < xid->size; i++)
        hash = (hash ^ xid->bytes[i]) * 16777619U;
    return &place->branches[(hash ^ hash >> 16) % KV_BRANCH_BUCKETS];
}

struct kv_branch *hf__kv_branch_find(struct kv_place *place, const struct kv_xid *xid)
{
    struct kv_branch *b = *bucket_of(place, xid);

    while (b != NULL && !hf__kv_layout_xid_equal(&b->xid, xid))
        b = b->next;
    return b;
}

struct kv_branch *hf__kv_branch_claim(struct kv_place *place, const struct kv_xid *xid)
{
    struct kv_branch *b = hf__kv_branch_find(place, xid);

    /* Each turn waits for another thread's call to end. */
    while (b != NULL && b->busy && b->associated == 0 && b->suspended == 0) {
        pthread_cond_wait(&place->changed, &place->mutex);
        b = hf__kv_branch_find(place, xid); /* it may be over now */
    }
    return b;
}

/* A number for the global transaction; that two have the same one costs a needless rollback. */
static uint64_t transaction_of(const struct kv_xid *xid)
{
    size_t gtrid_size = xid->bytes[8];

    return hf__store_hash(xid->bytes + 10, gtrid_size) ^ hf__get64(xid->bytes);
}

static struct kv_branch *make(struct kv_place *place, const struct kv_xid *xid, size_t locks_max)
{
    struct kv_branch **bucket = bucket_of(place, xid);
    struct kv_branch *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return NULL;
    b->xid = *xid;
    b->state = KV_WORKING;
    hf__kv_lock_owner_init(&b->owner, transaction_of(xid), locks_max);
    b->next = *bucket;
    *bucket = b;
    return b;
}

struct kv_branch *hf__kv_branch_make(struct kv_place *place, const struct kv_xid *xid)
{
    return make(place, xid, KV_BRANCH_LOCKS_MAX);
}

void hf__kv_branch_drop(struct kv_place *place, struct kv_branch *branch)
{
    struct kv_branch **link = bucket_of(place, &branch->xid);

    while (*link != branch)
        link = &(*link)->next;
    *link = branch->next;
    if (branch->state == KV_IS_PREPARED)
        place->prepared--;
    hf__kv_lock_release(&place->locks, &branch->owner);
    hf__kv_lock_owner_end(&branch->owner);
    hf__kv_writes_clear(&branch->writes);
    free(branch);
}

/* Of a branch that can only be rolled back: nobody needs what it wrote, or has to wait for it. */
static void let_go(struct kv_place *place, struct kv_branch *branch)
{
    hf__kv_writes_clear(&branch->writes);
    hf__kv_lock_release(&place->locks, &branch->owner);
}

void hf__kv_branch_spoil(struct kv_place *place, struct kv_branch *branch, int code)
{
    if (branch->spoilt == 0)
        branch->spoilt = code;
    hf__kv_lock_refuse(&place->locks, &branch->owner);
    if (!branch->busy)
        let_go(place, branch);
}

void hf__kv_branch_unbusy(struct kv_place *place, struct kv_branch *branch)
{
    branch->busy = 0;
    if (branch->spoilt != 0)
        let_go(place, branch);
    pthread_cond_broadcast(&place->changed);
}

struct kv_writes *hf__kv_branch_make_prepared(struct kv_place *place, const struct kv_xid *xid)
{
    struct kv_branch *b = make(place, xid, SIZE_MAX); /* it had its locks before */

    if (b == NULL)
        return NULL;
    b->state = KV_IS_PREPARED;
    place->prepared++;
    return &b->writes;
}

static int retake(struct kv_place *place, struct kv_branch *branch)
{
    for (const struct kv_write *w = branch->writes.first[0]; w != NULL; w = w->next[0]) {
        switch (
            hf__kv_lock_key(&place->locks, &branch->owner, w->key, w->key_size, KV_EXCLUSIVE, 0)) {
        case KV_LOCKED:
            break;
        case KV_LOCK_NO_MEMORY:
            return HF_ENOMEM;
        default:
            return hf__error(HF_EDAMAGED, 0, "kv: two prepared branches have written one key");
        }
    }
    return HF_OK;
}

int hf__kv_branch_retake_all(struct kv_place *place)
{
    int rc = HF_OK;

    pthread_mutex_lock(&place->mutex);
    for (size_t i = 0; i < KV_BRANCH_BUCKETS; i++)
        for (struct kv_branch *b = place->branches[i]; b != NULL && rc == HF_OK; b = b->next)
            rc = retake(place, b);
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

void hf__kv_branch_drop_all(struct kv_place *place)
{
    pthread_mutex_lock(&place->mutex);
    for (size_t i = 0; i < KV_BRANCH_BUCKETS; i++)
        while (place->branches[i] != NULL)
            hf__kv_branch_drop(place, place->branches[i]);
    pthread_mutex_unlock(&place->mutex);
}

void hf__kv_branch_leave(struct kv_place *place, int rmid)
{
    struct kv_branch *b, *next;

    pthread_mutex_lock(&place->mutex);
    for (size_t i = 0; i < KV_BRANCH_BUCKETS; i++) {
        for (b = place->branches[i]; b != NULL; b = next) {
            next = b->next;
            if (b->state == KV_WORKING && b->home == rmid && b->associated == 0 &&
                b->suspended == 0 && !b->busy)
                hf__kv_branch_drop(place, b);
        }
    }
    pthread_mutex_unlock(&place->mutex);
}

/* -- steps ------------------------------------------------------------------------------------- */

/*
 * Find a branch for a step: with the mutex held on return if XA_OK, and *ret busy. Otherwise the
 * mutex is free and the return is the answer.
 */
static int begin_step(struct kv_place *place, const struct kv_xid *xid, enum kv_branch_state state,
                      struct kv_branch **ret)
{
    struct kv_branch *b;
    int rc = XA_OK;

    pthread_mutex_lock(&place->mutex);
    b = hf__kv_branch_claim(place, xid);
    if (place->failed)
        rc = XAER_RMFAIL;
    else if (b == NULL)
        rc = XAER_NOTA;
    else if (b->state != state || b->associated > 0 || b->suspended > 0)
        rc = XAER_PROTO;
    if (rc == XA_OK) {
        b->busy = 1;
        *ret = b;
        return XA_OK;
    }
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

/* The end of a step; called with the mutex held. */
static void end_step(struct kv_place *place, struct kv_branch *branch, int drop)
{
    branch->busy = 0;
    if (drop)
        hf__kv_branch_drop(place, branch);
    pthread_cond_broadcast(&place->changed);
    pthread_mutex_unlock(&place->mutex);
}

/* Is the opening over (B4)? */
static int is_fatal(int rc)
{
    return rc == HF_EUNKNOWN || rc == HF_ELOG || rc == HF_EFORK;
}

/*
 * The same for a branch that has to vote, in two phases or one: S2, with the mutex held on XA_OK. A
 * spoilt branch whose owner was told is S4, and only a rollback is legal; one that was not told
 * hears it now.
 */
static int begin_vote(struct kv_place *place, const struct kv_xid *xid, struct kv_branch **ret)
{
    int rc = begin_step(place, xid, KV_WORKING, ret);

    if (rc != XA_OK || (*ret)->spoilt == 0)
        return rc;
    rc = (*ret)->told_spoilt ? XAER_PROTO : (*ret)->spoilt;
    end_step(place, *ret, rc != XAER_PROTO);
    return rc;
}

/* What a failed apply of a working branch is to the transaction manager; mutex held, freed here. */
static int end_failed_vote(struct kv_place *place, struct kv_branch *branch, int rc)
{
    hf__kv_failure_note(rc);
    if (is_fatal(rc)) {
        hf__kv_place_fail(place);
        end_step(place, branch, 0);
        return XAER_RMFAIL;
    }
    end_step(place, branch, 1);
    return XA_RBOTHER;
}

int hf__kv_branch_prepare(struct kv_place *place, const struct kv_xid *xid)
{
    struct kv_branch *b = NULL;
    int rc = begin_vote(place, xid, &b);

    if (rc != XA_OK)
        return rc;
    if (b->writes.count == 0) {
        end_step(place, b, 1);
        return XA_RDONLY;
    }
    pthread_mutex_unlock(&place->mutex);

    if (HF_FAULT_FAILS("kv:prepare")) /* nothing is on disk: it never was */
        rc = hf__error(HF_EFULL, 0, "kv: prepare was made to fail");
    else
        rc = hf__kv_disk_prepare(place->store, xid, &b->writes);
    if (rc == HF_OK)
        HF_FAULT("kv:prepared"); /* the next opening finds it in S3; nobody has heard of a vote */

    pthread_mutex_lock(&place->mutex);
    if (rc != HF_OK)
        return end_failed_vote(place, b, rc);
    b->state = KV_IS_PREPARED;
    place->prepared++;
    end_step(place, b, 0);
    return XA_OK;
}

int hf__kv_branch_commit_onephase(struct kv_place *place, const struct kv_xid *xid)
{
    struct kv_branch *b = NULL;
    int rc = begin_vote(place, xid, &b);

    if (rc != XA_OK)
        return rc;
    if (b->writes.count == 0) {
        end_step(place, b, 1);
        return XA_OK;
    }
    pthread_mutex_unlock(&place->mutex);

    if (HF_FAULT_FAILS("kv:onephase"))
        rc = hf__error(HF_EFULL, 0, "kv: one-phase commit was made to fail");
    else
        rc = hf__kv_disk_commit(place->store, xid, &b->writes, 0);
    if (rc == HF_OK)
        HF_FAULT("kv:onephased"); /* committed; the caller asks, and probe has the answer */

    pthread_mutex_lock(&place->mutex);
    if (rc != HF_OK)
        return end_failed_vote(place, b, rc);
    end_step(place, b, 1);
    return XA_OK;
}

/* The end of phase two; mutex held, freed here. On a clean refusal the branch stays prepared. */
static int end_phase_two(struct kv_place *place, struct kv_branch *branch, int rc, int refused)
{
    if (rc == HF_OK) {
        end_step(place, branch, 1);
        return XA_OK;
    }
    hf__kv_failure_note(rc);
    if (is_fatal(rc)) {
        hf__kv_place_fail(place);
        refused = XAER_RMFAIL;
    }
    end_step(place, branch, 0);
    return refused;
}

int hf__kv_branch_commit(struct kv_place *place, const struct kv_xid *xid)
{
    struct kv_branch *b = NULL;
    int rc = begin_step(place, xid, KV_IS_PREPARED, &b);

    if (rc != XA_OK)
        return rc;
    pthread_mutex_unlock(&place->mutex);

    if (HF_FAULT_FAILS("kv:commit"))
        rc = hf__error(HF_EFULL, 0, "kv: commit was made to fail");
    else
        rc = hf__kv_disk_commit(place->store, xid, &b->writes, 1);
    if (rc == HF_OK)
        HF_FAULT("kv:committed"); /* a commit sent again gets XAER_NOTA; probe says committed */

    pthread_mutex_lock(&place->mutex);
    return end_phase_two(place, b, rc, XA_RETRY);
}

static int rollback_prepared(struct kv_place *place, struct kv_branch *branch)
{
    int rc;

    pthread_mutex_unlock(&place->mutex);
    if (HF_FAULT_FAILS("kv:rollback"))
        rc = hf__error(HF_EFULL, 0, "kv: rollback was made to fail");
    else
        rc = hf__kv_disk_rollback(place->store, &branch->xid);
    if (rc == HF_OK)
        HF_FAULT("kv:rolledback");

    pthread_mutex_lock(&place->mutex);
    return end_phase_two(place, branch, rc, XAER_RMFAIL);
}

int hf__kv_branch_rollback(struct kv_place *place, const struct kv_xid *xid)
{
    struct kv_branch *b;
    int rc = XA_OK;

    pthread_mutex_lock(&place->mutex);
    b = hf__kv_branch_claim(place, xid);
    if (place->failed)
        rc = XAER_RMFAIL;
    else if (b == NULL)
        rc = XAER_NOTA;
    else if (b->associated > 0 || b->suspended > 0)
        rc = XAER_PROTO;
    if (rc != XA_OK) {
        pthread_mutex_unlock(&place->mutex);
        return rc;
    }
    b->busy = 1;
    if (b->state == KV_IS_PREPARED)
        return rollback_prepared(place, b);
    end_step(place, b, 1); /* it was in memory alone */
    return XA_OK;
}

/* -- what there is ----------------------------------------------------------------------------- */

int hf__kv_branch_probe(struct kv_place *place, const struct kv_xid *xid, enum hf_probe *ret)
{
    enum kv_outcome outcome = KV_ROLLEDBACK;
    struct kv_branch *b;
    int rc, known, failed;

    pthread_mutex_lock(&place->mutex);
    b = hf__kv_branch_claim(place, xid);
    failed = place->failed;
    known = b != NULL;
    *ret = known && b->state == KV_IS_PREPARED ? HF_PROBE_PREPARED : HF_PROBE_UNKNOWN;
    pthread_mutex_unlock(&place->mutex);
    if (failed)
        return hf__error(HF_EIO, 0, "kv: the store failed; what is on disk is not known");
    if (known)
        return HF_OK;
    rc = hf__kv_disk_outcome(place->store, xid, &outcome);
    if (rc == HF_ENOTFOUND)
        return HF_OK;
    if (rc == HF_OK)
        *ret = outcome == KV_COMMITTED ? HF_PROBE_COMMITTED : HF_PROBE_ROLLEDBACK;
    return rc;
}

void hf__kv_branch_scan_end(struct kv_scan *scan)
{
    free(scan->xids);
    memset(scan, 0, sizeof(*scan));
}

int hf__kv_branch_scan(struct kv_place *place, struct kv_scan *scan)
{
    int rc = XA_OK;

    hf__kv_branch_scan_end(scan);
    pthread_mutex_lock(&place->mutex);
    if (place->failed)
        rc = XAER_RMFAIL;
    else if (place->prepared > 0)
        scan->xids = malloc(place->prepared * sizeof(*scan->xids));
    if (rc == XA_OK && place->prepared > 0 && scan->xids == NULL) {
        rc = XAER_RMERR;
        hf__kv_failure_note(HF_ENOMEM);
    }
    for (size_t i = 0; rc == XA_OK && i < KV_BRANCH_BUCKETS; i++)
        for (struct kv_branch *b = place->branches[i]; b != NULL; b = b->next)
            if (b->state == KV_IS_PREPARED)
                scan->xids[scan->count++] = b->xid;
    scan->open = rc == XA_OK;
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

int hf__kv_branch_scan_next(struct kv_place *place, struct kv_scan *scan, XID *xids, long count)
{
    const struct kv_xid *xid;
    struct kv_branch *b;
    int n = 0;

    pthread_mutex_lock(&place->mutex);
    for (; n < count && scan->next < scan->count; scan->next++) {
        xid = &scan->xids[scan->next];
        b = hf__kv_branch_find(place, xid);
        if (b == NULL || b->state != KV_IS_PREPARED)
            continue; /* it ended since the scan began */
        if (hf__kv_layout_xid_read(xid->bytes, xid->size, &xids[n]) == 0)
            n++;
    }
    pthread_mutex_unlock(&place->mutex);
    return n;
}
