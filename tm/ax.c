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
 *   D1 registered     associated                              TMER_PROTO
 *   D2 suspended      associated, suspended                   TM_RESUME in its own transaction;
 *                                                             else TMER_PROTO
 *   D3 null XID       outside                                 TMER_PROTO; ax_unreg(): D0
 *
 *   D1 -> D2, D0 by xa_end (transaction.c, completion.c). In D3 the thread cannot begin or resume a
 *   transaction of that node, and the instance cannot be closed.
 *
 * A library may hold a static and a dynamic switch side by side, so it refers to both routines even
 * where only the static one is used.
 *
 * Threads: the one that works with the resource manager. The list of those in D3 is its own.
 * Spec: [XA] 3.3, table 6-3; ax_reg(), ax_unreg().
 */
#include <string.h>

#include "node.h"

static _Thread_local hf_instance *outside_list;

bool hf__ax_outside(const hf_tm *tm)
{
    const hf_instance *at = outside_list;

    while (at != NULL && at->rm->tm != tm)
        at = at->next_outside;
    return at != NULL;
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
    if (instance->outside != 0 || instance->broken)
        return TMER_PROTO;
    tx = hf_tx_current(instance->rm->tm);
    if (tx != NULL)
        return hf__tx_register(tx, instance, xid);
    if (instance->associated)
        return TMER_PROTO;
    instance->outside = hf__thread();
    instance->next_outside = outside_list;
    outside_list = instance;
    memset(xid, 0, sizeof(*xid));
    xid->formatID = -1;
    return TM_OK;
}

bool hf__ax_leave(hf_instance *instance)
{
    hf_instance **at = &outside_list;

    while (*at != NULL && *at != instance)
        at = &(*at)->next_outside;
    if (*at == NULL)
        return false;
    *at = instance->next_outside;
    instance->outside = 0;
    return true;
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
    return hf__ax_leave(instance) ? TM_OK : TMER_PROTO;
}
