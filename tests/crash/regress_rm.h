/*
 * tests/crash/regress_rm.h - a resource manager that remembers nothing and says yes, as fast as it
 * can; to a commit it says what it is told to.
 */
#ifndef HF_TESTS_CRASH_REGRESS_RM_H
#define HF_TESTS_CRASH_REGRESS_RM_H

#include <stddef.h>

#include "xa.h"

static int *regress_commit_answer; /* NULL: XA_OK; may be shared with children */

static int yes_door(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int yes_branch(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_OK;
}

static int yes_commit(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return regress_commit_answer != NULL ? *regress_commit_answer : XA_OK;
}

static int yes_recover(XID *xids, long count, int rmid, long flags)
{
    (void)xids, (void)count, (void)rmid, (void)flags;
    return 0;
}

static int yes_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_INVAL;
}

/* clang-format off */
static const struct xa_switch_t regress_switch = {
    "yes", TMNOFLAGS, 0, yes_door, yes_door, yes_branch, yes_branch, yes_branch, yes_branch,
    yes_commit, yes_recover, yes_branch, yes_complete,
};
/* clang-format on */

#endif
