/*
 * rm/postgres/association.c - which branch an rmid works in: tables 6-2 and the start and end rows
 * of 6-4.
 *
 *   T0 none --start, join--> T1 associated --end--> T0
 *                            T1 --suspend--> T2 suspended --resume--> T1
 *                                            T2 --end--> T0
 *
 * Invariants
 *   A1  A connection is in one transaction, so that an rmid has one branch that is not prepared:
 *       xa_start() of another one before it has ended is XAER_RMERR.
 *   A2  A branch whose transaction is not as it was left (failed, ended by hand, a query running,
 *       work outside it) is spoilt at the latest when it is ended; what the client cannot see
 *       is found out by the server when it votes (operation.c).
 *
 * Spec: [XA] 3.3, 3.4; tables 6-2, 6-4; xa_start(), xa_end(). TMFAIL spoils the branch, as 6-4
 * allows.
 */
#include "association.h"

#include <string.h>

#include "failure.h"
#include "session.h"

struct pg_branch *hf__pg_association_branch(struct pg_rmid *entry, const char *gid)
{
    struct pg_branch *b = &entry->branch;

    return hf__pg_branch_is_unfinished(b) && strcmp(b->gid, gid) == 0 ? b : NULL;
}

int hf__pg_association_may_work(const struct pg_rmid *entry)
{
    if (entry->conn == NULL || entry->operation.step != 0 || entry->operation.handle != 0)
        return 0;
    return !hf__pg_branch_is_unfinished(&entry->branch) || entry->association == PG_ASSOCIATED;
}

static void spoil(struct pg_branch *b, int code, const char *why)
{
    if (b->spoilt != 0)
        return;
    b->state = PG_DOOMED;
    b->spoilt = code;
    if (why != NULL)
        hf__pg_failure_note(why);
}

/* How the user left the transaction (A2). */
static void inspect(struct pg_rmid *e)
{
    struct pg_branch *b = &e->branch;
    PGTransactionStatusType status = PQtransactionStatus(e->conn);

    if (PQpipelineStatus(e->conn) != PQ_PIPELINE_OFF || status == PQTRANS_ACTIVE)
        spoil(b, XA_RBPROTO, "a query was left unfinished on the connection");
    else if (b->outside)
        spoil(b, XA_RBPROTO,
              "a statement ran outside the branch, on a connection that was kept "
              "from before: ask for it after each enlistment");
    else if (!b->begun && status != PQTRANS_IDLE)
        spoil(b, XA_RBPROTO, "a transaction of the user's own was begun in the branch");
    else if (b->begun && status == PQTRANS_IDLE)
        spoil(b, XA_RBPROTO, "the branch's transaction was ended by hand; what it committed stays");
    else if (b->begun && status == PQTRANS_INERROR)
        spoil(b,
              hf__pg_sqlstate_answer(b->sqlstate[0] != '\0' ? b->sqlstate : "25P02", PG_ASKED_VOTE),
              "a statement of the branch failed, and so its transaction");
    if (b->spoilt == XAER_RMFAIL)
        b->spoilt = XA_RBCOMMFAIL;
}

int hf__pg_association_start(struct pg_rmid *entry, const char *gid)
{
    struct pg_branch *b = &entry->branch;

    if (entry->association != PG_NONE)
        return XAER_PROTO;
    if (b->state != PG_ABSENT && strcmp(b->gid, gid) == 0)
        return XAER_DUPID;
    if (hf__pg_branch_is_unfinished(b)) {
        hf__pg_failure_note("the connection has another branch that is not prepared yet");
        return XAER_RMERR;
    }
    if (hf__pg_session_broken(entry))
        return hf__pg_session_fail(entry);
    if (PQtransactionStatus(entry->conn) != PQTRANS_IDLE)
        return XAER_OUTSIDE;
    memset(b, 0, sizeof(*b));
    atomic_store(&entry->cancelled, 0);
    b->state = PG_WORKING;
    strcpy(b->gid, gid);
    entry->association = PG_ASSOCIATED;
    return XA_OK;
}

int hf__pg_association_join(struct pg_rmid *entry, const char *gid)
{
    struct pg_branch *b = hf__pg_association_branch(entry, gid);

    if (b == NULL)
        return entry->branch.state == PG_PREPARED && strcmp(entry->branch.gid, gid) == 0
                   ? XAER_PROTO
                   : XAER_NOTA;
    if (entry->association != PG_NONE)
        return XAER_PROTO;
    if (b->spoilt != 0) { /* S4, once it has been announced: only a rollback is legal */
        int rc = b->told_spoilt ? XAER_PROTO : b->spoilt;

        b->told_spoilt = 1;
        return rc;
    }
    entry->association = PG_ASSOCIATED;
    return XA_OK;
}

/* XA_OK: the association is with this branch; or what to answer. */
static int check_named(struct pg_rmid *e, const char *gid)
{
    if (e->branch.state == PG_ABSENT || strcmp(e->branch.gid, gid) != 0)
        return XAER_NOTA;
    return e->association == PG_NONE ? XAER_PROTO : XA_OK;
}

/* The end of an association that finds the branch spoilt: to T0, with its code. */
static int leave_spoilt(struct pg_rmid *e)
{
    e->association = PG_NONE;
    e->branch.told_spoilt = 1;
    return e->branch.spoilt;
}

int hf__pg_association_resume(struct pg_rmid *entry, const char *gid)
{
    int rc = check_named(entry, gid);

    if (rc != XA_OK)
        return rc;
    if (entry->association != PG_SUSPENDED)
        return XAER_PROTO;
    if (entry->branch.spoilt != 0)
        return leave_spoilt(entry);
    entry->association = PG_ASSOCIATED;
    return XA_OK;
}

int hf__pg_association_suspend(struct pg_rmid *entry, const char *gid)
{
    int rc = check_named(entry, gid);

    if (rc != XA_OK)
        return rc;
    if (entry->association != PG_ASSOCIATED)
        return XAER_PROTO;
    if (hf__pg_session_broken(entry))
        return hf__pg_session_fail(entry);
    inspect(entry);
    if (entry->branch.spoilt != 0)
        return leave_spoilt(entry);
    entry->association = PG_SUSPENDED;
    return XA_OK;
}

int hf__pg_association_end(struct pg_rmid *entry, const char *gid, int fail)
{
    struct pg_branch *b = &entry->branch;
    int rc = check_named(entry, gid);

    if (rc != XA_OK)
        return rc;
    if (hf__pg_session_broken(entry)) {
        hf__pg_failure_connection(entry->conn, "xa_end");
        return hf__pg_session_fail(entry);
    }
    inspect(entry);
    if (fail)
        spoil(b, XA_RBROLLBACK, NULL);
    if (b->spoilt != 0)
        return leave_spoilt(entry);
    entry->association = PG_NONE;
    return XA_OK;
}
