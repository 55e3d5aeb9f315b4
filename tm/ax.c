/*
 * tm/ax.c - ax_reg and ax_unreg: resource managers that register dynamically (TMREGISTER).
 *
 * Such a switch gets no xa_start. When the application works with it, it asks by ax_reg(), in the
 * same thread, which branch that work belongs to; the answer follows from the thread's current
 * transaction of the node that the rmid is of. All other calls are as with a static switch. What
 * never registers takes no part.
 *
 *   table 6-3         instance                                ax_reg() answers
 *   D0 unregistered   tx NULL, or a branch that was delisted  TM_OK: a new branch, or the null
 *                                                             XID; TM_JOIN: the branch of before
 *                                                             TMER_TMERR: what it has a branch in
 *                                                             is completing, or another's
 *   D1 registered     associated                              TMER_PROTO
 *   D2 suspended      associated, suspended                   TM_RESUME in its own transaction;
 *                                                             else TMER_PROTO
 *   D3 null XID       outside                                 TMER_PROTO; ax_unreg(): D0
 *
 *   D1 -> D2, D0 by xa_end (transaction.c, completion.c). In D3 the thread cannot begin or resume a
 *   transaction of that node, no thread can enlist the instance or complete a transaction in which
 *   it has a branch, and it cannot be closed before it was given up (hf_instance_abandon).
 *
 * A library may hold a static and a dynamic switch side by side, so it refers to both routines even
 * where only the static one is used.
 *
 * Threads: the one that works with the resource manager. Which of its instances are in D3 stands in
 * these, since another thread may give them up; the thread counts them, so that it need not look.
 * Spec: [XA] 3.3, table 6-3; ax_reg(), ax_unreg().
 */
#include <string.h>

#include "node.h"

/* Of the thread's instances in D3; less if others gave some up. */
static _Thread_local unsigned outside_most;

bool hf__ax_outside(const hf_tm *tm)
{
    return outside_most > 0 && hf__instance_outside(tm, &outside_most);
}

/* Who calls? TM_OK, or what to answer. */
static int find_caller(int rmid, hf_instance **ret)
{
    bool known = false;

    *ret = hf__instance_of(rmid, &known);
    if (*ret == NULL)
        return known ? TMER_PROTO : TMER_INVAL; /* not open any more, or not in this thread */
    if ((*ret)->rm->tm->process != hf__process())
        return TMER_PROTO;
    return (*ret)->rm->dynamic ? TM_OK : TMER_TMERR;
}

/* Has it a branch in a transaction that completes, or is about to, as after hf_tx_decide()? Whoever
   completes one takes it off the instance before it gives it back, and for that takes tm->lock:
   what is found on the instance under that lock is there until the lock is let go. */
static bool completes(const hf_instance *instance)
{
    hf_tm *tm = instance->rm->tm;
    const hf_tx *tx;
    bool yes;

    (void)pthread_mutex_lock(&tm->lock);
    tx = atomic_load(&instance->tx);
    yes =
        tx != NULL && (atomic_load(&tx->watching) || atomic_load(&tx->phase) == HF__TX_COMPLETING);
    (void)pthread_mutex_unlock(&tm->lock);
    return yes;
}

static bool leave(hf_instance *instance)
{
    uint64_t self = hf__thread();

    if (!atomic_compare_exchange_strong(&instance->outside, &self, 0))
        return false;
    outside_most--;
    return true;
}

HF_API int ax_reg(int rmid, XID *xid, long flags)
{
    hf_instance *instance = NULL;
    hf_tx *tx;
    int code;

    if (flags != TMNOFLAGS || xid == NULL)
        return TMER_INVAL;
    code = find_caller(rmid, &instance);
    if (code != TM_OK)
        return code;
    if (atomic_load(&instance->outside) != 0 || instance->broken)
        return TMER_PROTO;
    tx = hf_tx_current(instance->rm->tm);
    if (tx != NULL)
        return hf__tx_register(tx, instance, xid);
    if (instance->associated)
        return TMER_PROTO;
    atomic_store(&instance->outside, hf__thread());
    outside_most++;
    if (completes(instance)) { /* looked at after we said so: else each could miss the other */
        (void)leave(instance);
        return TMER_TMERR; /* whoever completes it may be calling it now */
    }
    memset(xid, 0, sizeof(*xid));
    xid->formatID = -1;
    return TM_OK;
}

HF_API int ax_unreg(int rmid, long flags)
{
    hf_instance *instance = NULL;
    int code;

    if (flags != TMNOFLAGS)
        return TMER_INVAL;
    code = find_caller(rmid, &instance);
    if (code != TM_OK)
        return code;
    return leave(instance) ? TM_OK : TMER_PROTO;
}
