/*
 * tests/support/bound_rm.c - see bound_rm.h. What a thread has open is in a table of its own, by
 * rmid.
 */
#include "support/bound_rm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RMIDS = 4096, PREPARED_MAX = 64 };
enum { CLOSED, LOST, D0, D1, D2, D3 };

static _Thread_local struct {
    unsigned char is;
    XID xid; /* in D1 and D2 */
} mine[RMIDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all that follows */
static struct bound_seen seen;
static XID prepared[PREPARED_MAX];
static unsigned prepared_count;
static bool lose_next;

/* Count a call; ok: it is allowed here. */
static void note(unsigned *call, bool ok)
{
    (void)pthread_mutex_lock(&lock);
    ++*call;
    seen.illegal += !ok;
    (void)pthread_mutex_unlock(&lock);
}

static bool is_open(int rmid)
{
    if (rmid <= 0 || rmid >= RMIDS) {
        fprintf(stderr, "bound_rm: rmid %d is out of range\n", rmid);
        abort();
    }
    return mine[rmid].is >= D0;
}

static bool same(const XID *a, const XID *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Under the lock: where it is, or prepared_count. */
static unsigned find(const XID *xid)
{
    unsigned i = 0;

    while (i < prepared_count && !same(&prepared[i], xid))
        i++;
    return i;
}

static int forget(const XID *xid)
{
    unsigned i;
    int code = XAER_NOTA;

    (void)pthread_mutex_lock(&lock);
    i = find(xid);
    if (i < prepared_count) {
        prepared[i] = prepared[--prepared_count];
        code = XA_OK;
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

/* -- the switches ------------------------------------------------------------------------------ */

static int bound_open(char *info, int rmid, long flags)
{
    (void)info, (void)flags;
    note(&seen.opens, true);
    if (!is_open(rmid))
        mine[rmid].is = D0;
    return XA_OK;
}

static int bound_close(char *info, int rmid, long flags)
{
    bool ok =
        (is_open(rmid) && mine[rmid].is != D1 && mine[rmid].is != D3) || mine[rmid].is == LOST;

    (void)info, (void)flags;
    note(&seen.closes, ok);
    mine[rmid].is = CLOSED;
    return ok ? XA_OK : XAER_PROTO;
}

static int bound_start(XID *xid, int rmid, long flags)
{
    bool ok = is_open(rmid) && mine[rmid].is == (flags == TMRESUME ? D2 : D0);

    note(&seen.starts, ok);
    mine[rmid].is = D1;
    mine[rmid].xid = *xid;
    return ok ? XA_OK : XAER_PROTO;
}

static int bound_end(XID *xid, int rmid, long flags)
{
    bool ok =
        is_open(rmid) && (mine[rmid].is == D1 || mine[rmid].is == D2) && same(&mine[rmid].xid, xid);

    note(&seen.ends, ok);
    if (ok)
        mine[rmid].is = (flags & TMSUSPEND) != 0 ? D2 : D0;
    return ok ? XA_OK : XAER_PROTO;
}

static int bound_prepare(XID *xid, int rmid, long flags)
{
    bool ok = is_open(rmid), lost;

    (void)flags;
    note(&seen.prepares, ok);
    (void)pthread_mutex_lock(&lock);
    lost = lose_next;
    lose_next = false;
    if (ok && !lost && prepared_count < PREPARED_MAX)
        prepared[prepared_count++] = *xid;
    (void)pthread_mutex_unlock(&lock);
    if (lost)
        mine[rmid].is = LOST;
    return lost ? XAER_RMFAIL : ok ? XA_OK : XAER_PROTO;
}

static int bound_commit(XID *xid, int rmid, long flags)
{
    bool ok = is_open(rmid);

    note(&seen.commits, ok);
    if (!ok)
        return XAER_PROTO;
    return (flags & TMONEPHASE) != 0 ? XA_OK : forget(xid);
}

static int bound_rollback(XID *xid, int rmid, long flags)
{
    bool ok = is_open(rmid);

    (void)flags;
    note(&seen.rollbacks, ok);
    if (!ok)
        return XAER_PROTO;
    (void)forget(xid);
    return XA_OK;
}

static int bound_recover(XID *xids, long count, int rmid, long flags)
{
    bool ok = is_open(rmid);
    unsigned n = 0;

    (void)flags;
    note(&seen.scans, ok);
    if (!ok)
        return XAER_PROTO;
    (void)pthread_mutex_lock(&lock);
    while (n < prepared_count && (long)n < count) {
        xids[n] = prepared[n];
        n++;
    }
    (void)pthread_mutex_unlock(&lock);
    return (int)n; /* one batch has room for all */
}

static int bound_forget(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XAER_NOTA;
}

static int bound_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

static const struct xa_switch_t switches[BOUND_SWITCHES] = {
    [BOUND_STATIC] = {"bound", TMNOMIGRATE, 0, bound_open, bound_close, bound_start, bound_end,
                      bound_rollback, bound_prepare, bound_commit, bound_recover, bound_forget,
                      bound_complete},
    [BOUND_DYNAMIC] = {"bound, dynamic", TMREGISTER, 0, bound_open, bound_close, bound_start,
                       bound_end, bound_rollback, bound_prepare, bound_commit, bound_recover,
                       bound_forget, bound_complete},
};

/* -- what tests call --------------------------------------------------------------------------- */

void bound_reset(void)
{
    memset(&seen, 0, sizeof(seen));
    memset(mine, 0, sizeof(mine));
    prepared_count = 0;
    lose_next = false;
}

const struct xa_switch_t *bound_switch(int kind)
{
    return &switches[kind];
}

struct bound_seen bound_seen(void)
{
    struct bound_seen copy;

    (void)pthread_mutex_lock(&lock);
    copy = seen;
    (void)pthread_mutex_unlock(&lock);
    return copy;
}

unsigned bound_in_doubt(void)
{
    unsigned count;

    (void)pthread_mutex_lock(&lock);
    count = prepared_count;
    (void)pthread_mutex_unlock(&lock);
    return count;
}

void bound_lose(void)
{
    (void)pthread_mutex_lock(&lock);
    lose_next = true;
    (void)pthread_mutex_unlock(&lock);
}

int bound_work(int rmid)
{
    XID xid;
    int code = ax_reg(rmid, &xid, TMNOFLAGS);

    if (code < 0)
        return code;
    (void)is_open(rmid); /* in range */
    mine[rmid].is = xid.formatID == -1 ? D3 : D1;
    mine[rmid].xid = xid;
    return code;
}

int bound_rest(int rmid)
{
    int code = ax_unreg(rmid, TMNOFLAGS);

    if (code == TM_OK)
        mine[rmid].is = D0;
    return code;
}
