/*
 * tests/crash/matrix/stores.c - kv stores that answer otherwise: again, no, not yet, later, or by
 * themselves.
 *
 * A willful store notes its decision in a file before it takes it, and answers the same until it is
 * told to forget: what a resource manager owes [XA 3.6], also across a crash.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "holdfast/kv.h"
#include "matrix.h"

static char marks[DIR_SIZE];
static unsigned told_to_wait; /* of this process */

static void mark_path(const XID *xid, char ret[DIR_SIZE + 64])
{
    char text[HF_XID_TEXT_SIZE];

    (void)hf_xid_format(xid, text);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '/' ? '_' : *c;
    (void)snprintf(ret, DIR_SIZE + 64, "%s/mark-%s", marks, text + 33);
}

static int stubborn_commit(XID *xid, int rmid, long flags)
{
    if ((flags & TMONEPHASE) == 0 && told_to_wait++ == 0)
        return XA_RETRY;
    return hf_kv_switch.xa_commit_entry(xid, rmid, flags);
}

static int willful_commit(XID *xid, int rmid, long flags)
{
    char path[DIR_SIZE + 64];
    int fd, rc;

    if ((flags & TMONEPHASE) != 0)
        return hf_kv_switch.xa_commit_entry(xid, rmid, flags);
    mark_path(xid, path);
    fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return XAER_RMFAIL;
    (void)close(fd);
    rc = hf_kv_switch.xa_rollback_entry(xid, rmid, flags);
    return rc == XA_OK || rc == XAER_NOTA ? XA_HEURRB : rc;
}

static int willful_forget(XID *xid, int rmid, long flags)
{
    char path[DIR_SIZE + 64];

    (void)rmid, (void)flags;
    mark_path(xid, path);
    return unlink(path) == 0 ? XA_OK : XAER_NOTA;
}

static int refusing_prepare(XID *xid, int rmid, long flags)
{
    int rc = hf_kv_switch.xa_rollback_entry(xid, rmid, TMNOFLAGS);

    (void)flags;
    return rc == XA_OK ? XA_RBROLLBACK : rc;
}

static bool detached; /* in this process */

static int held_commit(XID *xid, int rmid, long flags)
{
    if ((flags & TMONEPHASE) == 0 && !detached)
        return XAER_NOTA;
    return hf_kv_switch.xa_commit_entry(xid, rmid, flags);
}

static int held_detach(void *user, int rmid, const XID *xid, const void *token, size_t size)
{
    (void)user, (void)rmid, (void)xid, (void)token, (void)size;
    detached = true;
    return 0;
}

const hf_rm_ext *store_ext(unsigned store, enum temper temper)
{
    static hf_rm_ext held;

    if (store != 1 || temper != HELD)
        return &hf_kv_ext;
    held = hf_kv_ext;
    held.detach = held_detach;
    return &held;
}

/* -- TMUSEASYNC: one call under way for each of a few handles ---------------------------------- */

enum { HANDLES = 8 };

static struct {
    int (*call)(XID *, int, long);
    XID xid;
    int rmid;
    bool busy;
} under_way[HANDLES];

static int begin_late(int (*call)(XID *, int, long), const XID *xid, int rmid, long flags)
{
    XID copy = *xid;

    if ((flags & TMASYNC) == 0)
        return call(&copy, rmid, flags);
    for (int i = 0; i < HANDLES; i++) {
        if (under_way[i].busy)
            continue;
        under_way[i].call = call;
        under_way[i].xid = copy;
        under_way[i].rmid = rmid;
        under_way[i].busy = true;
        return i + 1;
    }
    return XAER_ASYNC;
}

static int late_prepare(XID *xid, int rmid, long flags)
{
    return begin_late(hf_kv_switch.xa_prepare_entry, xid, rmid, flags);
}

static int late_commit(XID *xid, int rmid, long flags)
{
    return begin_late(hf_kv_switch.xa_commit_entry, xid, rmid, flags);
}

static int late_complete(int *handle, int *ret_code, int rmid, long flags)
{
    int i = *handle - 1;

    (void)flags;
    if (i < 0 || i >= HANDLES || !under_way[i].busy || under_way[i].rmid != rmid)
        return XAER_INVAL;
    under_way[i].busy = false;
    *ret_code = under_way[i].call(&under_way[i].xid, rmid, TMNOFLAGS);
    return XA_OK;
}

/* -- calls that fail --------------------------------------------------------------------------- */

static bool (*fails_before)(void), (*fails_after)(void);

#define FAILING(verb)                                                                              \
    static int failing_##verb(XID *xid, int rmid, long flags)                                      \
    {                                                                                              \
        int rc = fails_before() ? XAER_RMFAIL : hf_kv_switch.xa_##verb##_entry(xid, rmid, flags);  \
                                                                                                   \
        return fails_after() ? XAER_RMFAIL : rc;                                                   \
    }
FAILING(start)
FAILING(end)
FAILING(prepare)
FAILING(commit)
FAILING(rollback)

static int failing_recover(XID *xids, long count, int rmid, long flags)
{
    int rc = fails_before() ? XAER_RMFAIL : hf_kv_switch.xa_recover_entry(xids, count, rmid, flags);

    return fails_after() ? XAER_RMFAIL : rc;
}

void store_fail_calls(bool (*before)(void), bool (*after)(void))
{
    fails_before = before;
    fails_after = after;
}

static const struct xa_switch_t *failing_switch(void)
{
    static struct xa_switch_t failing;

    failing = hf_kv_switch;
    failing.xa_start_entry = failing_start;
    failing.xa_end_entry = failing_end;
    failing.xa_prepare_entry = failing_prepare;
    failing.xa_commit_entry = failing_commit;
    failing.xa_rollback_entry = failing_rollback;
    failing.xa_recover_entry = failing_recover;
    return &failing;
}

const struct xa_switch_t *store_switch(unsigned store, enum temper temper, const char *dir)
{
    static struct xa_switch_t changed;

    (void)snprintf(marks, sizeof(marks), "%s", dir);
    if (temper == PLAIN && fails_before != NULL)
        return failing_switch();
    if (temper == PLAIN || !(store == 1 || (store == 2 && temper == LATE)))
        return &hf_kv_switch;
    changed = hf_kv_switch;
    if (temper == STUBBORN) {
        changed.xa_commit_entry = stubborn_commit;
    } else if (temper == WILLFUL) {
        changed.xa_commit_entry = willful_commit;
        changed.xa_forget_entry = willful_forget;
    } else if (temper == HELD) {
        changed.xa_commit_entry = held_commit;
    } else if (temper == REFUSING) {
        changed.xa_prepare_entry = refusing_prepare;
    } else {
        changed.flags |= TMUSEASYNC;
        changed.xa_prepare_entry = late_prepare;
        changed.xa_commit_entry = late_commit;
        changed.xa_complete_entry = late_complete;
    }
    return &changed;
}
