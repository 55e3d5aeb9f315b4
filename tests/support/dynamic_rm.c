/*
 * tests/support/dynamic_rm.c - a vendor's library: a switch that registers dynamically.
 *
 * A shared object of its own, which has ax_reg and ax_unreg undefined, as vendors' have, and finds
 * them when it is loaded. Its native interface is work() and rest(), which a program looks up.
 */
#include <string.h>

#include "xa.h"

#define SHOWN __attribute__((visibility("default")))

extern SHOWN const struct xa_switch_t vendor_switch;
extern SHOWN int work(void);
extern SHOWN int rest(void);
extern SHOWN int rmid_seen, starts_seen, prepares_seen, commits_seen, rollbacks_seen;
extern SHOWN XID xid_seen;

int rmid_seen, starts_seen, prepares_seen, commits_seen, rollbacks_seen;
XID xid_seen;

static int vendor_open(char *info, int rmid, long flags)
{
    (void)info, (void)flags;
    rmid_seen = rmid;
    return XA_OK;
}

static int vendor_close(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int count(int *what)
{
    ++*what;
    return XA_OK;
}

static int vendor_start(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    (void)count(&starts_seen);
    return XAER_PROTO;
}

static int vendor_end(XID *xid, int rmid, long flags)
{
    (void)rmid, (void)flags;
    return memcmp(xid, &xid_seen, sizeof(*xid)) == 0 ? XA_OK : XAER_NOTA;
}

static int vendor_rollback(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return count(&rollbacks_seen);
}

static int vendor_prepare(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return count(&prepares_seen);
}

static int vendor_commit(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return count(&commits_seen);
}

static int vendor_recover(XID *xids, long room, int rmid, long flags)
{
    (void)xids, (void)room, (void)rmid, (void)flags;
    return 0;
}

static int vendor_forget(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XAER_NOTA;
}

static int vendor_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

const struct xa_switch_t vendor_switch = {"vendor",
                                          TMREGISTER | TMNOMIGRATE,
                                          0,
                                          vendor_open,
                                          vendor_close,
                                          vendor_start,
                                          vendor_end,
                                          vendor_rollback,
                                          vendor_prepare,
                                          vendor_commit,
                                          vendor_recover,
                                          vendor_forget,
                                          vendor_complete};

/* The application works: the library registers first. What ax_reg() answered. */
int work(void)
{
    return ax_reg(rmid_seen, &xid_seen, TMNOFLAGS);
}

/* It has finished what it did outside of any transaction. */
int rest(void)
{
    return ax_unreg(rmid_seen, TMNOFLAGS);
}
