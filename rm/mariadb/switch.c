/*
 * rm/mariadb/switch.c - hf_mariadb_switch: what each XA call may be asked, and who does it.
 *
 * Every entry checks in this order: a child after fork, the rmid (XAER_PROTO if it is not open: R0
 * of table 6-1), a call that is under way (XAER_PROTO, table 6-5), the connection, the XID, flags,
 * then the state. xa_open() and xa_close() may not answer XAER_RMFAIL, so that a child gets
 * XAER_RMERR there; and xa_open() of an open rmid is XA_OK whatever its string says.
 *
 * After XAER_RMFAIL an rmid is in R0: every call but two answers XAER_RMFAIL again; xa_close()
 * closes it whatever it was associated with, and xa_open() opens it anew.
 *
 * Asynchronous calls: xa_start(), xa_prepare(), xa_commit() and xa_rollback() are on their way when
 * they return; xa_end() asks nobody, and its answer waits. One at a time for an rmid. xa_open(),
 * xa_close() and xa_forget() are XAER_ASYNC.
 *
 * Threads: any thread may use any rmid, one at a time. A branch that is not prepared can only be
 * completed by the rmid that worked in it; one that is, by any once that rmid is closed.
 *
 * Spec: [XA] chapter 5; tables 6-1, 6-2, 6-4, 6-5.
 */
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "holdfast/mariadb.h"
#include "message.h"
#include "recover.h"
#include "words.h"

/* What all calls but open, close and complete begin with. */
static int begin(int rmid, struct my_session **ret)
{
    hf__my_words_begin(rmid);
    if (hf__my_session_is_forked()) {
        hf__my_words_note(HF_EFORK, "mariadb: used in a child process after fork");
        return XAER_RMFAIL;
    }
    *ret = hf__my_session_find(rmid);
    if (*ret == NULL || (*ret)->op != MY_OP_NONE)
        return XAER_PROTO;
    return hf__my_session_check(*ret);
}

/* And those that name a branch. */
static int begin_branch(int rmid, const XID *xid, struct my_session **ret)
{
    int rc = begin(rmid, ret);

    return rc == XA_OK && !hf__my_message_takes(xid) ? XAER_INVAL : rc;
}

static int is_inval(long flags, long allowed)
{
    return (flags & ~allowed) != 0;
}

/* -- open and close [XA table 6-1] ------------------------------------------------------------- */

static int check_open(int rmid, long flags)
{
    hf__my_words_begin(rmid);
    if ((flags & TMASYNC) != 0)
        return XAER_ASYNC;
    if (flags != TMNOFLAGS)
        return XAER_INVAL;
    if (!hf__my_session_is_forked())
        return XA_OK;
    hf__my_words_note(HF_EFORK, "mariadb: used in a child process after fork");
    return XAER_RMERR;
}

static int entry_open(char *xa_info, int rmid, long flags)
{
    struct my_session *s;
    int rc;

    hf__my_session_begin();
    rc = check_open(rmid, flags);
    if (rc != XA_OK)
        return hf__my_words_end(rc);
    s = hf__my_session_find(rmid);
    if (s != NULL && !s->lost)
        return XA_OK;
    if (s != NULL) /* R0 since it heard XAER_RMFAIL */
        hf__my_session_close(s);
    return hf__my_words_end(hf__my_session_open(rmid, xa_info));
}

static int entry_close(char *xa_info, int rmid, long flags)
{
    struct my_session *s;
    int rc = check_open(rmid, flags);

    (void)xa_info; /* there is nothing to say */
    if (rc != XA_OK)
        return hf__my_words_end(rc);
    s = hf__my_session_find(rmid);
    if (s == NULL)
        return XA_OK;
    if (!s->lost && (s->association == MY_ASSOCIATED || s->op != MY_OP_NONE))
        return hf__my_words_end(XAER_PROTO);
    hf__my_session_close(s); /* the server rolls back what is not prepared */
    return XA_OK;
}

/* -- association [XA table 6-2] ---------------------------------------------------------------- */

static int entry_start(XID *xid, int rmid, long flags)
{
    struct my_session *s = NULL;
    int rc = begin_branch(rmid, xid, &s);

    if (rc == XA_OK && (is_inval(flags, TMJOIN | TMRESUME | TMNOWAIT | TMASYNC) ||
                        (flags & (TMJOIN | TMRESUME)) == (TMJOIN | TMRESUME)))
        rc = XAER_INVAL;
    if (rc == XA_OK) {
        if ((flags & TMJOIN) != 0)
            rc = hf__my_branch_join(s, xid, flags);
        else if ((flags & TMRESUME) != 0)
            rc = hf__my_branch_resume(s, xid, flags);
        else
            rc = hf__my_branch_start(s, xid, flags);
    }
    return hf__my_words_end(rc);
}

/* Exactly one of the three; TMMIGRATE with TMSUSPEND. */
static int is_end(long flags)
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
    struct my_session *s = NULL;
    int rc = begin_branch(rmid, xid, &s);

    if (rc == XA_OK && !is_end(flags))
        rc = XAER_INVAL;
    if (rc == XA_OK)
        rc = hf__my_branch_end(s, xid, flags);
    return hf__my_words_end(rc);
}

/* -- completion [XA table 6-4] ----------------------------------------------------------------- */

static int complete_branch(XID *xid, int rmid, long flags, long allowed,
                           int (*what)(struct my_session *s, const XID *xid, long flags))
{
    struct my_session *s = NULL;
    int rc = begin_branch(rmid, xid, &s);

    if (rc == XA_OK && is_inval(flags, allowed))
        rc = XAER_INVAL;
    if (rc == XA_OK)
        rc = what(s, xid, flags);
    return hf__my_words_end(rc);
}

static int entry_prepare(XID *xid, int rmid, long flags)
{
    return complete_branch(xid, rmid, flags, TMASYNC, hf__my_branch_prepare);
}

static int entry_commit(XID *xid, int rmid, long flags)
{
    return complete_branch(xid, rmid, flags, TMNOWAIT | TMASYNC | TMONEPHASE, hf__my_branch_commit);
}

static int entry_rollback(XID *xid, int rmid, long flags)
{
    return complete_branch(xid, rmid, flags, TMASYNC, hf__my_branch_rollback);
}

static int entry_forget(XID *xid, int rmid, long flags)
{
    if ((flags & TMASYNC) != 0) {
        hf__my_words_begin(rmid);
        return hf__my_words_end(XAER_ASYNC);
    }
    return complete_branch(xid, rmid, flags, TMNOFLAGS, hf__my_branch_forget);
}

static int entry_complete(int *handle, int *retval, int rmid, long flags)
{
    struct my_session *s;
    int rc;

    hf__my_words_begin(rmid);
    if (is_inval(flags, TMMULTIPLE | TMNOWAIT) || handle == NULL || retval == NULL)
        return hf__my_words_end(XAER_INVAL);
    if (hf__my_session_is_forked() || (s = hf__my_session_find(rmid)) == NULL)
        return hf__my_words_end(XAER_PROTO);
    rc = hf__my_branch_complete(s, handle, retval, flags);
    if (rc == XA_RETRY) /* no failure: it goes on */
        return rc;
    (void)hf__my_words_end(rc == XA_OK ? *retval : rc);
    return rc;
}

/* -- recovery ---------------------------------------------------------------------------------- */

static void end_scan(struct my_session *s)
{
    free(s->scan);
    s->scan = NULL;
}

static int begin_scan(struct my_session *s)
{
    end_scan(s);
    s->scan_at = s->scan_count = 0;
    /* Whatever the reason: the scan proves nothing, and the session is not to be trusted. */
    return hf__my_recover_list(s, &s->scan, &s->scan_count) == 0 ? XA_OK : hf__my_session_lose(s);
}

static int entry_recover(XID *xids, long count, int rmid, long flags)
{
    struct my_session *s = NULL;
    int rc = begin(rmid, &s);
    long n = 0;

    if (rc == XA_OK &&
        (is_inval(flags, TMSTARTRSCAN | TMENDRSCAN) || count < 0 || (xids == NULL && count > 0)))
        rc = XAER_INVAL;
    if (rc == XA_OK && (flags & TMSTARTRSCAN) != 0)
        rc = begin_scan(s);
    else if (rc == XA_OK && s->scan == NULL)
        rc = XAER_INVAL;
    if (rc != XA_OK)
        return hf__my_words_end(rc);
    while (n < count && s->scan_at < s->scan_count)
        xids[n++] = s->scan[s->scan_at++];
    if (n < count || (flags & TMENDRSCAN) != 0)
        end_scan(s);
    return (int)n;
}

const struct xa_switch_t hf_mariadb_switch = {
    .name = "holdfast mariadb",
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
