/*
 * rm/postgres/switch.c - hf_postgres_switch: what each XA call may be asked, and who does it.
 *
 * Every entry checks in this order: a child after fork, flags, the rmid (XAER_PROTO if it is not
 * open: R0 of table 6-1), R0 after a failure (XAER_RMFAIL), an operation under way (XAER_PROTO), an
 * XID, then the state. xa_open() and xa_close() may not answer XAER_RMFAIL: a child gets XAER_RMERR
 * there; and xa_open() of an open rmid is XA_OK whatever its string says.
 *
 * After XAER_RMFAIL an rmid is in R0 (all tables) and has no connection: xa_close() closes it
 * whatever it was associated with, xa_open() connects anew. What was not prepared died with the
 * connection.
 *
 * Asynchronous calls (table 6-5): with TMASYNC prepare, commit and rollback send their message and
 * return a handle; xa_complete() brings the answer. One may be outstanding for an rmid: another one
 * is XAER_ASYNC. Calls that send nothing are done at once and keep their answer for xa_complete().
 * xa_open() and xa_close() have no rmid to keep it in: XAER_ASYNC.
 *
 * Heuristics: none. PostgreSQL never decides by itself; who finishes a prepared transaction by hand
 * leaves nothing to be found, so that it is XAER_NOTA, and the probe tells what became of it.
 * xa_forget() knows no such branch: XAER_NOTA.
 *
 * Threads: any thread may use any rmid, one at a time.
 * Spec: [XA] chapter 5; tables 6-1, 6-2, 6-4, 6-5.
 */
#include <limits.h>

#include "association.h"
#include "failure.h"
#include "holdfast/postgres.h"
#include "operation.h"
#include "scan.h"
#include "session.h"

/* -- what calls begin and end with ------------------------------------------------------------- */

/* What all calls but open and close begin with. ret_gid: NULL for a call that has no XID. */
static int begin(int rmid, const XID *xid, long flags, struct pg_rmid **ret_entry,
                 char ret_gid[PG_GID_SIZE])
{
    struct pg_rmid *e;

    if (hf__pg_rmid_is_forked()) {
        hf__pg_failure_note("used in a child process after fork");
        return XAER_RMFAIL;
    }
    e = *ret_entry = hf__pg_rmid_find(rmid);
    if (e == NULL)
        return XAER_PROTO;
    if (e->operation.step != PG_STEP_NONE || e->operation.handle != 0)
        return (flags & TMASYNC) != 0 ? XAER_ASYNC : XAER_PROTO;
    if (e->failed || hf__pg_session_settle(e, -1) != XA_OK)
        return XAER_RMFAIL;
    if (ret_gid != NULL && hf__pg_gid_format(xid, ret_gid) != 0)
        return XAER_INVAL;
    return XA_OK;
}

/* The answer, or with TMASYNC a handle to fetch it by. A negative answer that is there already
   needs none. */
static int deliver(struct pg_rmid *e, long flags, int answer)
{
    if ((flags & TMASYNC) != 0 && answer >= 0) {
        e->operation.vote = answer;
        e->last_handle = e->last_handle == INT_MAX ? 1 : e->last_handle + 1;
        e->operation.handle = e->last_handle;
        return e->operation.handle;
    }
    if (answer == PG_UNDER_WAY)
        answer = hf__pg_operation_wait(e);
    return hf__pg_failure_end(answer);
}

static int has_only(long flags, long allowed)
{
    return (flags & ~allowed) == 0;
}

/* -- open and close [XA table 6-1] ------------------------------------------------------------- */

static int refuse(const char *why, int xa_code)
{
    hf__pg_failure_note(why);
    return hf__pg_failure_end(xa_code);
}

static int entry_open(char *xa_info, int rmid, long flags)
{
    struct pg_openstring open;
    struct pg_rmid *entry;
    const char *wrong;
    int rc;

    hf__pg_failure_begin(rmid);
    if (flags != TMNOFLAGS)
        return hf__pg_failure_end(flags == TMASYNC ? XAER_ASYNC : XAER_INVAL);
    hf__pg_rmid_begin();
    entry = hf__pg_rmid_find(rmid);
    if (entry != NULL && !entry->failed)
        return XA_OK;
    wrong = hf__pg_openstring_parse(xa_info, &open);
    if (wrong != NULL)
        return refuse(wrong, XAER_INVAL);
    if (entry != NULL) { /* R0 since it heard XAER_RMFAIL */
        hf__pg_session_close(entry);
        hf__pg_rmid_remove(entry);
    }
    entry = hf__pg_rmid_add(rmid);
    if (entry == NULL)
        return refuse("out of memory", XAER_RMERR);
    rc = hf__pg_session_open(entry, &open);
    if (rc != XA_OK)
        hf__pg_rmid_remove(entry);
    return hf__pg_failure_end(rc);
}

static int entry_close(char *xa_info, int rmid, long flags)
{
    struct pg_rmid *entry;

    (void)xa_info; /* there is nothing to say */
    hf__pg_failure_begin(rmid);
    if (flags != TMNOFLAGS)
        return hf__pg_failure_end(flags == TMASYNC ? XAER_ASYNC : XAER_INVAL);
    if (hf__pg_rmid_is_forked())
        return refuse("used in a child process after fork", XAER_RMERR);
    entry = hf__pg_rmid_find(rmid);
    if (entry == NULL)
        return XA_OK;
    if (!entry->failed && (entry->association == PG_ASSOCIATED || entry->operation.handle != 0))
        return hf__pg_failure_end(XAER_PROTO);
    hf__pg_session_close(entry);
    hf__pg_rmid_remove(entry);
    return XA_OK;
}

/* -- association [XA table 6-2] ---------------------------------------------------------------- */

static int entry_start(XID *xid, int rmid, long flags)
{
    struct pg_rmid *entry = NULL;
    char gid[PG_GID_SIZE];
    int rc = XA_OK;

    hf__pg_failure_begin(rmid);
    if (!has_only(flags, TMJOIN | TMRESUME | TMNOWAIT | TMASYNC) ||
        ((flags & TMJOIN) != 0 && (flags & TMRESUME) != 0))
        rc = XAER_INVAL;
    if (rc == XA_OK)
        rc = begin(rmid, xid, flags, &entry, gid);
    if (rc != XA_OK)
        return hf__pg_failure_end(rc);
    if ((flags & TMJOIN) != 0)
        rc = hf__pg_association_join(entry, gid);
    else if ((flags & TMRESUME) != 0)
        rc = hf__pg_association_resume(entry, gid);
    else
        rc = hf__pg_association_start(entry, gid);
    return deliver(entry, flags, rc);
}

/* Exactly one of the three; TMMIGRATE with TMSUSPEND, and every association here can migrate. */
static int is_end_flags(long flags)
{
    switch (flags & ~TMASYNC) {
    case TMSUCCESS:
    case TMFAIL:
    case TMSUSPEND:
    case TMSUSPEND | TMMIGRATE:
        return 1;
    default:
        return 0;
    }
}

static int entry_end(XID *xid, int rmid, long flags)
{
    struct pg_rmid *entry = NULL;
    char gid[PG_GID_SIZE];
    int rc = is_end_flags(flags) ? XA_OK : XAER_INVAL;

    hf__pg_failure_begin(rmid);
    if (rc == XA_OK)
        rc = begin(rmid, xid, flags, &entry, gid);
    if (rc != XA_OK)
        return hf__pg_failure_end(rc);
    if ((flags & TMSUSPEND) != 0)
        rc = hf__pg_association_suspend(entry, gid);
    else
        rc = hf__pg_association_end(entry, gid, (flags & TMFAIL) != 0);
    return deliver(entry, flags, rc);
}

/* -- completion [XA table 6-4] ----------------------------------------------------------------- */

/* What prepare, commit, rollback and forget begin with. */
static int begin_completion(XID *xid, int rmid, long flags, long allowed, struct pg_rmid **ret,
                            char ret_gid[PG_GID_SIZE])
{
    hf__pg_failure_begin(rmid);
    if (!has_only(flags, allowed | TMASYNC))
        return XAER_INVAL;
    return begin(rmid, xid, flags, ret, ret_gid);
}

static int entry_prepare(XID *xid, int rmid, long flags)
{
    struct pg_rmid *entry = NULL;
    char gid[PG_GID_SIZE];
    int rc = begin_completion(xid, rmid, flags, TMNOFLAGS, &entry, gid);

    if (rc != XA_OK)
        return hf__pg_failure_end(rc);
    return deliver(entry, flags, hf__pg_operation_prepare(entry, gid));
}

static int entry_commit(XID *xid, int rmid, long flags)
{
    struct pg_rmid *entry = NULL;
    char gid[PG_GID_SIZE];
    int rc = begin_completion(xid, rmid, flags, TMNOWAIT | TMONEPHASE, &entry, gid);

    if (rc != XA_OK)
        return hf__pg_failure_end(rc);
    if ((flags & TMONEPHASE) != 0)
        return deliver(entry, flags, hf__pg_operation_commit_one(entry, gid));
    return deliver(entry, flags, hf__pg_operation_commit(entry, gid));
}

static int entry_rollback(XID *xid, int rmid, long flags)
{
    struct pg_rmid *entry = NULL;
    char gid[PG_GID_SIZE];
    int rc = begin_completion(xid, rmid, flags, TMNOFLAGS, &entry, gid);

    if (rc != XA_OK)
        return hf__pg_failure_end(rc);
    return deliver(entry, flags, hf__pg_operation_rollback(entry, gid));
}

static int entry_forget(XID *xid, int rmid, long flags)
{
    struct pg_rmid *entry = NULL;
    char gid[PG_GID_SIZE];
    int rc = begin_completion(xid, rmid, flags, TMNOFLAGS, &entry, gid);

    return hf__pg_failure_end(rc == XA_OK ? XAER_NOTA : rc);
}

static int entry_complete(int *handle, int *retval, int rmid, long flags)
{
    struct pg_rmid *e;
    int answer;

    hf__pg_failure_begin(rmid);
    if (!has_only(flags, TMMULTIPLE | TMNOWAIT) || handle == NULL || retval == NULL)
        return hf__pg_failure_end(XAER_INVAL);
    if (hf__pg_rmid_is_forked() || (e = hf__pg_rmid_find(rmid)) == NULL || e->operation.handle == 0)
        return hf__pg_failure_end(XAER_PROTO);
    if ((flags & TMMULTIPLE) == 0 && *handle != e->operation.handle)
        return hf__pg_failure_end(XAER_INVAL);
    answer = e->operation.vote;
    if (e->operation.step != PG_STEP_NONE)
        answer = (flags & TMNOWAIT) != 0 ? hf__pg_operation_poll(e) : hf__pg_operation_wait(e);
    if (answer == PG_UNDER_WAY)
        return XA_RETRY;
    *handle = e->operation.handle;
    *retval = hf__pg_failure_end(answer);
    e->operation.handle = 0;
    return XA_OK;
}

/* -- recovery ---------------------------------------------------------------------------------- */

static int entry_recover(XID *xids, long count, int rmid, long flags)
{
    struct pg_rmid *entry = NULL;
    int rc = XA_OK;

    hf__pg_failure_begin(rmid);
    if (!has_only(flags, TMSTARTRSCAN | TMENDRSCAN))
        rc = XAER_INVAL;
    if (rc == XA_OK)
        rc = begin(rmid, NULL, TMNOFLAGS, &entry, NULL);
    if (rc == XA_OK && (count < 0 || count > INT_MAX || (xids == NULL && count > 0)))
        rc = XAER_INVAL;
    if (rc == XA_OK && (flags & TMSTARTRSCAN) != 0)
        rc = hf__pg_scan_begin(entry);
    else if (rc == XA_OK && !entry->scan.open)
        rc = XAER_INVAL;
    if (rc != XA_OK)
        return hf__pg_failure_end(rc);
    rc = hf__pg_scan_next(entry, xids, count);
    if (rc < count || (flags & TMENDRSCAN) != 0)
        hf__pg_scan_end(entry);
    return rc;
}

const struct xa_switch_t hf_postgres_switch = {
    .name = "holdfast postgres",
    .flags = TMUSEASYNC,
    .version = 0,
    .xa_open_entry = entry_open,
    .xa_close_entry = entry_close,
    .xa_start_entry = entry_start,
    .xa_end_entry = entry_end,
    .xa_rollback_entry = entry_rollback,
    .xa_prepare_entry = entry_prepare,
    .xa_commit_entry = entry_commit,
    .xa_recover_entry = entry_recover,
    .xa_forget_entry = entry_forget,
    .xa_complete_entry = entry_complete,
};
