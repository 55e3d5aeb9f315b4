/*
 * rm/kv/association.c - which rmid works in which branch: tables 6-2 and the start and end rows of
 * 6-4.
 *
 *   T0 none --start, join--> T1 associated --end--> T0
 *                            T1 --suspend--> T2 suspended --resume--> T1
 *                                            T2 --end--> T0
 *
 * Invariants
 *   A1  branch->associated and branch->suspended count the rmids in T1 and T2 with that branch.
 *   A2  A branch with either of them above 0 is KV_WORKING and not freed.
 *   A3  A branch votes only with both at 0: a yes covers all of the user's work.
 *
 * What another thread may look at (hf__kv_association_cancel) changes under the place's mutex only.
 *
 * Several rmids may be associated with one branch (TMJOIN; tightly coupled): their operations
 * follow one another by the branch's busy mark. A branch spoilt under one of them answers its
 * XA_RB* code to each.
 *
 * Spec: [XA] 3.3, 3.4; tables 6-2, 6-4; xa_start(), xa_end(). TMFAIL spoils the branch, as 6-4
 * allows.
 */
#include "association.h"

#include "failure.h"
#include "holdfast/base.h"

static void associate(struct kv_rmid *entry, struct kv_branch *branch)
{
    branch->associated++;
    entry->branch = branch;
    entry->association = KV_ASSOCIATED;
}

/* To T0, from T1 or T2. */
static void dissociate(struct kv_rmid *entry)
{
    struct kv_branch *b = entry->branch;

    if (entry->association == KV_ASSOCIATED)
        b->associated--;
    else
        b->suspended--;
    b->home = entry->rmid;
    entry->branch = NULL;
    entry->association = KV_NONE;
}

int hf__kv_association_start(struct kv_rmid *entry, const struct kv_xid *xid)
{
    struct kv_place *place = entry->place;
    struct kv_branch *b;
    int rc = XA_OK;

    pthread_mutex_lock(&place->mutex);
    if (place->failed)
        rc = XAER_RMFAIL;
    else if (entry->association != KV_NONE)
        rc = XAER_PROTO;
    else if (hf__kv_branch_find(place, xid) != NULL)
        rc = XAER_DUPID;
    if (rc == XA_OK) {
        b = hf__kv_branch_make(place, xid);
        if (b != NULL) {
            associate(entry, b);
        } else {
            rc = XAER_RMERR;
            hf__kv_failure_note(HF_ENOMEM);
        }
    }
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

int hf__kv_association_join(struct kv_rmid *entry, const struct kv_xid *xid)
{
    struct kv_place *place = entry->place;
    struct kv_branch *b;
    int rc = XA_OK;

    pthread_mutex_lock(&place->mutex);
    b = hf__kv_branch_claim(place, xid); /* one that is voting just now is waited for */
    if (place->failed) {
        rc = XAER_RMFAIL;
    } else if (b == NULL) {
        rc = XAER_NOTA;
    } else if (entry->association != KV_NONE || b->state != KV_WORKING) {
        rc = XAER_PROTO;
    } else if (b->spoilt != 0) {
        /* S4 has been announced, and nobody is left in it: only a rollback is legal. */
        if (b->told_spoilt && b->associated == 0 && b->suspended == 0)
            rc = XAER_PROTO;
        else
            rc = b->spoilt;
        b->told_spoilt = 1;
    } else {
        associate(entry, b);
    }
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

/* The association that the call speaks of: XA_OK, or what to answer. Called with the mutex held. */
static int check_named(const struct kv_rmid *entry, const struct kv_xid *xid)
{
    if (entry->place->failed)
        return XAER_RMFAIL;
    if (entry->association != KV_NONE && hf__kv_layout_xid_equal(&entry->branch->xid, xid))
        return XA_OK;
    return hf__kv_branch_find(entry->place, xid) == NULL ? XAER_NOTA : XAER_PROTO;
}

int hf__kv_association_resume(struct kv_rmid *entry, const struct kv_xid *xid)
{
    struct kv_place *place = entry->place;
    int rc;

    pthread_mutex_lock(&place->mutex);
    rc = check_named(entry, xid);
    if (rc == XA_OK && entry->association != KV_SUSPENDED)
        rc = XAER_PROTO;
    if (rc == XA_OK && entry->branch->spoilt != 0) {
        rc = entry->branch->spoilt;
        entry->branch->told_spoilt = 1;
        dissociate(entry);
    } else if (rc == XA_OK) {
        entry->branch->suspended--;
        associate(entry, entry->branch);
    }
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

int hf__kv_association_suspend(struct kv_rmid *entry, const struct kv_xid *xid)
{
    struct kv_place *place = entry->place;
    int rc;

    pthread_mutex_lock(&place->mutex);
    rc = check_named(entry, xid);
    if (rc == XA_OK && entry->association != KV_ASSOCIATED)
        rc = XAER_PROTO;
    if (rc == XA_OK && entry->branch->spoilt != 0) {
        rc = entry->branch->spoilt;
        entry->branch->told_spoilt = 1;
        dissociate(entry);
    } else if (rc == XA_OK) {
        entry->branch->associated--;
        entry->branch->suspended++;
        entry->association = KV_SUSPENDED;
    }
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

int hf__kv_association_end(struct kv_rmid *entry, const struct kv_xid *xid, int fail)
{
    struct kv_place *place = entry->place;
    struct kv_branch *b;
    int rc;

    pthread_mutex_lock(&place->mutex);
    rc = check_named(entry, xid);
    if (rc == XA_OK) {
        b = entry->branch;
        if (fail)
            hf__kv_branch_spoil(place, b, XA_RBROLLBACK);
        if (b->spoilt != 0) {
            rc = b->spoilt;
            b->told_spoilt = 1;
        }
        dissociate(entry);
    }
    pthread_mutex_unlock(&place->mutex);
    return rc;
}

void hf__kv_association_cancel(struct kv_rmid *entry)
{
    struct kv_place *place = entry->place;

    pthread_mutex_lock(&place->mutex);
    if (entry->association == KV_ASSOCIATED && !place->failed)
        hf__kv_branch_spoil(place, entry->branch, XA_RBTIMEOUT);
    pthread_mutex_unlock(&place->mutex);
}

int hf__kv_association_close(struct kv_rmid *entry)
{
    struct kv_place *place = entry->place;
    int rc = XA_OK;

    pthread_mutex_lock(&place->mutex);
    if (entry->association == KV_ASSOCIATED && !place->failed) {
        rc = XAER_PROTO;
    } else if (entry->association != KV_NONE) {
        /* Work was never ended, and now nobody can: it must not be voted for (A3). */
        hf__kv_branch_spoil(place, entry->branch, XA_RBPROTO);
        dissociate(entry);
    }
    pthread_mutex_unlock(&place->mutex);
    if (rc == XA_OK)
        hf__kv_branch_leave(place, entry->rmid);
    return rc;
}
