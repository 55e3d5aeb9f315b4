/*
 * tools/bench/phases.c - where a transaction's time goes: a clock that each thread switches over.
 *
 * A thread is in one phase at any time, and phase_enter() is one reading of the clock, some 25 ns.
 * Of our side the phases are seen from outside: the node is given a switch of ours that calls the
 * resource manager's own. Between the votes and the first xa_commit lies the decision. Votes and
 * commits of several branches lie side by side, and so does the time that is counted for them.
 */
#include <string.h>
#include <time.h>

#include "databases.h"

static _Thread_local struct {
    enum phase phase;
    uint64_t since_ns;
    uint64_t ns[PHASES];
} own;

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void phase_enter(enum phase phase)
{
    uint64_t now = now_ns();

    own.ns[own.phase] += now - own.since_ns;
    own.phase = phase;
    own.since_ns = now;
}

void phases_reset(void)
{
    phase_enter(PHASE_REST);
    memset(own.ns, 0, sizeof(own.ns));
}

void phases_add(uint64_t ret_ns[PHASES])
{
    phase_enter(PHASE_REST);
    for (unsigned i = 0; i < PHASES; i++)
        ret_ns[i] += own.ns[i];
}

/* -- a switch with a clock --------------------------------------------------------------------- */

static const struct xa_switch_t *real[DATABASES];
static _Thread_local bool commits; /* what xa_complete() is called for */

static int start(unsigned i, XID *xid, int rmid, long flags)
{
    int rc;

    phase_enter(PHASE_WORK);
    rc = real[i]->xa_start_entry(xid, rmid, flags);
    phase_enter(PHASE_REST);
    return rc;
}

static int prepare(unsigned i, XID *xid, int rmid, long flags)
{
    int rc;

    commits = false;
    phase_enter(PHASE_PREPARE);
    rc = real[i]->xa_prepare_entry(xid, rmid, flags);
    phase_enter(PHASE_DECIDE);
    return rc;
}

static int commit(unsigned i, XID *xid, int rmid, long flags)
{
    int rc;

    commits = true;
    phase_enter(PHASE_COMMIT);
    rc = real[i]->xa_commit_entry(xid, rmid, flags);
    phase_enter(PHASE_REST);
    return rc;
}

static int complete(unsigned i, int *handle, int *ret, int rmid, long flags)
{
    int rc;

    phase_enter(commits ? PHASE_COMMIT : PHASE_PREPARE);
    rc = real[i]->xa_complete_entry(handle, ret, rmid, flags);
    phase_enter(commits ? PHASE_REST : PHASE_DECIDE);
    return rc;
}

/* A switch's functions are not told whose they are: one set for each database. */
#define ENTRIES(i)                                                                                 \
    static int start_##i(XID *xid, int rmid, long flags)                                           \
    {                                                                                              \
        return start(i, xid, rmid, flags);                                                         \
    }                                                                                              \
    static int prepare_##i(XID *xid, int rmid, long flags)                                         \
    {                                                                                              \
        return prepare(i, xid, rmid, flags);                                                       \
    }                                                                                              \
    static int commit_##i(XID *xid, int rmid, long flags)                                          \
    {                                                                                              \
        return commit(i, xid, rmid, flags);                                                        \
    }                                                                                              \
    static int complete_##i(int *handle, int *ret, int rmid, long flags)                           \
    {                                                                                              \
        return complete(i, handle, ret, rmid, flags);                                              \
    }

ENTRIES(0)
ENTRIES(1)

void phases_wrap(unsigned i, const struct xa_switch_t *xa, struct xa_switch_t *ret)
{
    real[i] = xa;
    *ret = *xa;
    ret->xa_start_entry = i == 0 ? start_0 : start_1;
    ret->xa_prepare_entry = i == 0 ? prepare_0 : prepare_1;
    ret->xa_commit_entry = i == 0 ? commit_0 : commit_1;
    ret->xa_complete_entry = i == 0 ? complete_0 : complete_1;
}
