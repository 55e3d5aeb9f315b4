/*
 * rm/kv/switch.c - hf_kv_switch: what each XA call may be asked, and who does it.
 *
 * Every entry checks in this order: a child after fork, flags, the rmid (XAER_PROTO if it is not
 * open: R0 of table 6-1), the XID, then the state. Two rules of XA bend that order a little:
 * xa_open() and xa_close() may not answer XAER_RMFAIL, so that a child gets XAER_RMERR there; and
 * xa_open() of an open rmid is XA_OK whatever its string says.
 *
 * After XAER_RMFAIL an rmid is in R0 (all tables): xa_close() closes it whatever it was associated
 * with, and xa_open() opens it anew once all others have left the store that failed.
 *
 * Asynchronous calls: none; TMASYNC is XAER_ASYNC where XA knows the flag (table 6-5), XAER_INVAL
 * in xa_recover(), which has no asynchronous form; xa_complete() is XAER_PROTO, as nothing is
 * pending.
 *
 * Heuristics: none. kv never decides by itself, so that xa_forget() knows no such branch:
 * XAER_NOTA.
 *
 * Threads: any thread may use any rmid, one at a time. xa_prepare(), xa_commit() and xa_rollback()
 * may come by any rmid of the same store.
 *
 * Spec: [XA] chapter 5; tables 6-1, 6-2, 6-4, 6-5.
 */
#include <string.h>

#include "association.h"
#include "failure.h"
#include "holdfast/internal/store.h"
#include "holdfast/kv.h"

/* Flags of a call that XA lets be asynchronous. */
static int check_flags(long flags, long allowed)
{
    if ((flags & TMASYNC) != 0)
        return XAER_ASYNC;
    return (flags & ~allowed) != 0 ? XAER_INVAL : XA_OK;
}

/* What all calls but open and close begin with. ret_xid: NULL for a call that has no XID. */
static int begin(int rmid, const XID *xid, struct kv_rmid **ret_entry, struct kv_xid *ret_xid)
{
    if (hf__kv_rmid_is_forked()) {
        hf__kv_failure_note(HF_EFORK);
        return XAER_RMFAIL;
    }
    *ret_entry = hf__kv_rmid_find(rmid);
    if (*ret_entry == NULL)
        return XAER_PROTO;
    if (ret_xid != NULL && hf__kv_layout_xid(xid, ret_xid) != 0)
        return XAER_INVAL;
    return XA_OK;
}

/* -- open and close [XA table 6-1] ------------------------------------------------------------- */

static int refuse(int code, int xa_code)
{
    hf__kv_failure_note(code);
    return hf__kv_failure_end(xa_code);
}

static int entry_open(char *xa_info, int rmid, long flags)
{
    struct kv_openstring open;
    struct kv_place *place = NULL;
    struct kv_rmid *entry;
    int rc;

    hf__kv_failure_begin(rmid);
    rc = check_flags(flags, TMNOFLAGS);
    if (rc != XA_OK)
        return hf__kv_failure_end(rc);
    hf__kv_rmid_begin();
    entry = hf__kv_rmid_find(rmid);
    if (entry != NULL && !hf__kv_place_failed(entry->place))
        return XA_OK;
    if (hf__kv_openstring_parse(xa_info, &open) != HF_OK)
        return refuse(HF_EINVAL, XAER_INVAL);
    if (entry != NULL) {                       /* R0 since it heard XAER_RMFAIL */
        (void)hf__kv_association_close(entry); /* of a failed store: always XA_OK */
        hf__kv_rmid_remove(entry);
    }
    rc = hf__kv_place_open(&open, &place);
    if (rc != HF_OK)
        return refuse(rc, XAER_RMERR);
    if (hf__kv_rmid_add(rmid, open.wait_ms, place) == NULL) {
        hf__kv_place_close(place);
        return refuse(HF_ENOMEM, XAER_RMERR);
    }
    return XA_OK;
}

static int entry_close(char *xa_info, int rmid, long flags)
{
    struct kv_rmid *entry;
    int rc;

    (void)xa_info; /* there is nothing to say */
    hf__kv_failure_begin(rmid);
    rc = check_flags(flags, TMNOFLAGS);
    if (rc != XA_OK)
        return hf__kv_failure_end(rc);
    if (hf__kv_rmid_is_forked())
        return refuse(HF_EFORK, XAER_RMERR);
    entry = hf__kv_rmid_find(rmid);
    if (entry == NULL)
        return XA_OK;
    rc = hf__kv_association_close(entry);
    if (rc == XA_OK)
        hf__kv_rmid_remove(entry);
    return hf__kv_failure_end(rc);
}

/* -- association [XA table 6-2] ---------------------------------------------------------------- */

static int entry_start(XID *xid, int rmid, long flags)
{
    struct kv_rmid *entry = NULL;
    struct kv_xid name;
    int rc;

    hf__kv_failure_begin(rmid);
    rc = check_flags(flags, TMJOIN | TMRESUME | TMNOWAIT); /* it never waits for a lock */
    if (rc == XA_OK && (flags & TMJOIN) != 0 && (flags & TMRESUME) != 0)
        rc = XAER_INVAL;
    if (rc == XA_OK)
        rc = begin(rmid, xid, &entry, &name);
    if (rc == XA_OK) {
        if ((flags & TMJOIN) != 0)
            rc = hf__kv_association_join(entry, &name);
        else if ((flags & TMRESUME) != 0)
            rc = hf__kv_association_resume(entry, &name);
        else
            rc = hf__kv_association_start(entry, &name);
    }
    return hf__kv_failure_end(rc);
}

/* Exactly one of the three; TMMIGRATE with TMSUSPEND, and every association here can migrate. */
static int check_end_flags(long flags)
{
    int rc = check_flags(flags, TMSUCCESS | TMFAIL | TMSUSPEND | TMMIGRATE);

    if (rc != XA_OK)
        return rc;
    switch (flags) {
    case TMSUCCESS:
    case TMFAIL:
    case TMSUSPEND:
    case TMSUSPEND | TMMIGRATE:
        return XA_OK;
    default:
        return XAER_INVAL;
    }
}

static int entry_end(XID *xid, int rmid, long flags)
{
    struct kv_rmid *entry = NULL;
    struct kv_xid name;
    int rc;

    hf__kv_failure_begin(rmid);
    rc = check_end_flags(flags);
    if (rc == XA_OK)
        rc = begin(rmid, xid, &entry, &name);
    if (rc == XA_OK) {
        if ((flags & TMSUSPEND) != 0)
            rc = hf__kv_association_suspend(entry, &name);
        else
            rc = hf__kv_association_end(entry, &name, (flags & TMFAIL) != 0);
    }
    return hf__kv_failure_end(rc);
}

/* -- completion [XA table 6-4] ----------------------------------------------------------------- */

static int entry_prepare(XID *xid, int rmid, long flags)
{
    struct kv_rmid *entry = NULL;
    struct kv_xid name;
    int rc;

    hf__kv_failure_begin(rmid);
    rc = check_flags(flags, TMNOFLAGS);
    if (rc == XA_OK)
        rc = begin(rmid, xid, &entry, &name);
    if (rc == XA_OK)
        rc = hf__kv_branch_prepare(entry->place, &name);
    return hf__kv_failure_end(rc);
}

static int entry_commit(XID *xid, int rmid, long flags)
{
    struct kv_rmid *entry = NULL;
    struct kv_xid name;
    int rc;

    hf__kv_failure_begin(rmid);
    rc = check_flags(flags, TMNOWAIT | TMONEPHASE);
    if (rc == XA_OK)
        rc = begin(rmid, xid, &entry, &name);
    if (rc == XA_OK) {
        if ((flags & TMONEPHASE) != 0)
            rc = hf__kv_branch_commit_onephase(entry->place, &name);
        else
            rc = hf__kv_branch_commit(entry->place, &name);
    }
    return hf__kv_failure_end(rc);
}

static int entry_rollback(XID *xid, int rmid, long flags)
{
    struct kv_rmid *entry = NULL;
    struct kv_xid name;
    int rc;

    hf__kv_failure_begin(rmid);
    rc = check_flags(flags, TMNOFLAGS);
    if (rc == XA_OK)
        rc = begin(rmid, xid, &entry, &name);
    if (rc == XA_OK)
        rc = hf__kv_branch_rollback(entry->place, &name);
    return hf__kv_failure_end(rc);
}

static int entry_forget(XID *xid, int rmid, long flags)
{
    struct kv_rmid *entry = NULL;
    struct kv_xid name;
    int rc;

    hf__kv_failure_begin(rmid);
    rc = check_flags(flags, TMNOFLAGS);
    if (rc == XA_OK)
        rc = begin(rmid, xid, &entry, &name);
    if (rc == XA_OK)
        rc = hf__kv_place_failed(entry->place) ? XAER_RMFAIL : XAER_NOTA;
    return hf__kv_failure_end(rc);
}

/* -- recovery ---------------------------------------------------------------------------------- */

static int entry_recover(XID *xids, long count, int rmid, long flags)
{
    struct kv_rmid *entry = NULL;
    struct kv_scan *scan;
    int rc;

    hf__kv_failure_begin(rmid);
    if ((flags & ~(TMSTARTRSCAN | TMENDRSCAN)) != 0)
        return hf__kv_failure_end(XAER_INVAL);
    rc = begin(rmid, NULL, &entry, NULL);
    if (rc != XA_OK)
        return hf__kv_failure_end(rc);
    scan = &entry->scan;
    if (count < 0 || (xids == NULL && count > 0))
        return hf__kv_failure_end(XAER_INVAL);
    if ((flags & TMSTARTRSCAN) != 0)
        rc = hf__kv_branch_scan(entry->place, scan);
    else if (hf__kv_place_failed(entry->place))
        rc = XAER_RMFAIL;
    else if (!scan->open)
        rc = XAER_INVAL;
    if (rc != XA_OK)
        return hf__kv_failure_end(rc);
    rc = hf__kv_branch_scan_next(entry->place, scan, xids, count);
    if (rc < count || (flags & TMENDRSCAN) != 0)
        hf__kv_branch_scan_end(scan);
    return rc;
}

static int entry_complete(int *handle, int *retval, int rmid, long flags)
{
    (void)handle;
    (void)retval;
    (void)flags;
    hf__kv_failure_begin(rmid);
    return hf__kv_failure_end(XAER_PROTO);
}

const struct xa_switch_t hf_kv_switch = {
    .name = "holdfast kv",
    .flags = TMNOFLAGS,
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
