/*
 * tm/transaction.c - a global transaction while it is active: begin, enlist, delist, suspend,
 * resume, watch.
 *
 *   begin -> ACTIVE -- commit | rollback (completion.c) --> COMPLETING -> freed
 *              | ^
 *      suspend v | resume, by any thread
 *           nobody's
 *
 * A transaction belongs to one thread, or to nobody. Each thread has a list of its current ones,
 * one for each tm, linked through the transactions themselves: with the last error it is all the
 * thread state that the library has.
 *
 * Invariants
 *   T1  Whoever changes a transaction owns it. Ownership passes through tm->lock, which orders what
 *       the old owner wrote before what the new one reads.
 *   T2  An association of a thread-bound resource manager ([XA] table 6-2: T1, or T2 while the
 *       transaction is suspended) is the owner's own: nobody else may resume before it is ended.
 *   T3  An instance in use (hf_instance.user) keeps its transaction from completing, unless the
 *       owner itself uses it. So the thread that uses it may say so any time, owner or not.
 *
 * Nothing reaches the disk here: before the decision a crash leaves nothing of a transaction behind
 * but, at most, prepared branches, which recovery rolls back because no decision names them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "completion.h"
#include "holdfast/internal/fault.h"

static _Thread_local hf_tx *current_list;

static hf_tx **find_current(const hf_tm *tm)
{
    hf_tx **at = &current_list;

    while (*at != NULL && (*at)->tm != tm)
        at = &(*at)->next_of_thread;
    return at;
}

int hf__tx_check(const hf_tx *tx)
{
    if (tx == NULL || tx->magic != HF__TX_MAGIC)
        return hf__error(HF_EINVAL, 0, "not a transaction");
    return hf__tm_check(tx->tm);
}

int hf__tx_check_owner(const hf_tx *tx)
{
    int rc = hf__tx_check(tx);

    if (rc == HF_OK && atomic_load(&tx->owner) != hf__thread())
        rc = hf__error(HF_ETHREAD, 0, "the transaction is suspended, or belongs to another thread");
    if (rc == HF_OK && atomic_load(&tx->phase) == HF__TX_COMPLETING)
        rc = hf__error(HF_ESTATE, 0, "the transaction is completing");
    return rc;
}

/* -- the table of running transactions -------------------------------------------------------- */

static hf_tx **bucket(hf_tm *tm, uint64_t sequence)
{
    return &tm->running[sequence % HF__TX_BUCKETS];
}

bool hf__tx_running(hf_tm *tm, uint64_t sequence, bool *ret_committed)
{
    const hf_tx *tx;

    (void)pthread_mutex_lock(&tm->lock);
    tx = *bucket(tm, sequence);
    while (tx != NULL && hf__gtrid_sequence(tx->gtrid) != sequence)
        tx = tx->next_running;
    if (tx != NULL && ret_committed != NULL)
        *ret_committed = atomic_load(&tx->committed);
    (void)pthread_mutex_unlock(&tm->lock);
    return tx != NULL;
}

int hf__tx_all_running(hf_tm *tm, uint64_t **ret, size_t *ret_count, uint64_t *ret_last)
{
    size_t n = 0;
    int rc = HF_OK;

    (void)pthread_mutex_lock(&tm->lock);
    *ret_last = atomic_load(&tm->sequence);
    *ret = calloc((size_t)tm->active + 1, sizeof(**ret));
    for (unsigned i = 0; *ret != NULL && i < HF__TX_BUCKETS; i++)
        for (const hf_tx *tx = tm->running[i]; tx != NULL; tx = tx->next_running)
            (*ret)[n++] = hf__gtrid_sequence(tx->gtrid);
    if (*ret == NULL)
        rc = hf__error(HF_ENOMEM, ENOMEM, "list %u transactions", tm->active);
    (void)pthread_mutex_unlock(&tm->lock);
    *ret_count = n;
    return rc;
}

/* Take one from the pool, or make it; count it in. */
static int take(hf_tm *tm, hf_tx **ret)
{
    hf_tx *tx = NULL;
    int rc = HF_OK;

    (void)pthread_mutex_lock(&tm->lock);
    if (tm->state != HF__TM_STARTED) {
        rc = hf__error(HF_ESTATE, 0, "begin: the node is %s",
                       tm->state == HF__TM_OPEN ? "not started" : "closing");
    } else {
        hf__live_set(&tm->live->active, ++tm->active);
        hf__live_set(&tm->live->begun, ++tm->stats.begun);
        tx = tm->pool;
        if (tx != NULL) {
            tm->pool = tx->next_running;
            tm->pool_count--;
        }
    }
    (void)pthread_mutex_unlock(&tm->lock);
    if (rc != HF_OK)
        return rc;
    if (tx == NULL) {
        tx = calloc(1, sizeof(*tx));
        if (tx == NULL) {
            (void)pthread_mutex_lock(&tm->lock);
            hf__live_set(&tm->live->active, --tm->active);
            (void)pthread_mutex_unlock(&tm->lock);
            return hf__error(HF_ENOMEM, ENOMEM, "begin");
        }
        tx->branches = tx->inline_branches;
        tx->members = tx->inline_members;
        tx->room = HF__TX_INLINE;
        tx->syncs = tx->inline_syncs;
        tx->sync_room = HF__TX_INLINE_SYNCS;
    }
    *ret = tx;
    return HF_OK;
}

static void free_tx(hf_tx *tx)
{
    if (tx->branches != tx->inline_branches) {
        free(tx->branches);
        free(tx->members);
    }
    if (tx->syncs != tx->inline_syncs)
        free(tx->syncs);
    free(tx);
}

void hf__tx_free_pool(hf_tm *tm)
{
    while (tm->pool != NULL) {
        hf_tx *tx = tm->pool;

        tm->pool = tx->next_running;
        free_tx(tx);
    }
}

void hf__tx_leave_thread(hf_tx *tx)
{
    hf_tx **at = find_current(tx->tm);

    HF_CHECK(*at == tx);
    *at = tx->next_of_thread;
    tx->next_of_thread = NULL;
}

void hf__tx_leave(hf_tx *tx, hf_outcome outcome, bool owes)
{
    hf_tm *tm = tx->tm;
    hf_tx **at;

    tx->magic = 0;
    (void)pthread_mutex_lock(&tm->lock);
    at = bucket(tm, hf__gtrid_sequence(tx->gtrid));
    while (*at != tx)
        at = &(*at)->next_running;
    *at = tx->next_running;
    tm->stats.committed += outcome == HF_COMMITTED;
    tm->stats.rolledback += outcome == HF_ROLLEDBACK;
    hf__live_set(&tm->live->committed, tm->stats.committed);
    hf__live_set(&tm->live->rolledback, tm->stats.rolledback);
    if (owes) { /* locks are held somewhere: a pass is due at once */
        tm->pause_ms = tm->config.recover_ms;
        tm->next_pass_ms = 0;
        (void)pthread_cond_broadcast(&tm->changed);
    }
    (void)pthread_mutex_unlock(&tm->lock);
}

void hf__tx_put_back(hf_tx *tx)
{
    hf_tm *tm = tx->tm;
    hf_tx *surplus = tx;

    (void)pthread_mutex_lock(&tm->lock);
    if (tm->pool_count < HF__TX_POOL_MAX) {
        tx->next_running = tm->pool;
        tm->pool = tx;
        tm->pool_count++;
        surplus = NULL;
    }
    hf__live_set(&tm->live->active, --tm->active);
    /* From here on the tm may be closed, once the lock is free. */
    if (tm->state == HF__TM_CLOSING)
        (void)pthread_cond_broadcast(&tm->changed);
    (void)pthread_mutex_unlock(&tm->lock);
    if (surplus != NULL)
        free_tx(surplus);
}

/* -- begin ------------------------------------------------------------------------------------ */

int hf_tx_begin(hf_tm *tm, uint32_t timeout_ms, hf_tx **ret_tx)
{
    hf_tx *tx = NULL;
    hf_tx **slot;
    uint64_t sequence;
    int rc = hf__tm_check(tm);

    if (rc == HF_OK && ret_tx == NULL)
        rc = hf__error(HF_EINVAL, 0, "begin: nowhere to put the transaction");
    if (rc != HF_OK)
        return rc;
    if (*find_current(tm) != NULL)
        return hf__error(HF_ESTATE, 0, "begin: this thread has a transaction already");
    if (hf__ax_outside(tm))
        return hf__error(HF_EBUSY, 0, "begin: a resource manager works outside of transactions");
    if ((atomic_load(&tm->sequence) + 1) >> (64 - HF__NONCE_BITS) != hf__log_nonce(tm->log))
        return hf__error(HF_ELIMIT, 0,
                         "begin: this opening's identifiers are used up; open it again");
    if (hf__log_failed(tm->log))
        return hf__error(HF_ELOG, 0, "begin: the log failed; close the node and open it again");
    rc = take(tm, &tx);
    if (rc != HF_OK)
        return rc;
    tx->magic = HF__TX_MAGIC;
    tx->tm = tm;
    atomic_store(&tx->owner, hf__thread());
    hf__deadline_begin(tx, timeout_ms);
    hf__timeline_begin(&tx->timeline);
    atomic_store(&tx->phase, HF__TX_ACTIVE);
    atomic_store_explicit(&tx->committed, false, memory_order_relaxed);
    tx->sync_count = tx->count = 0;
    tx->numbers = 0;
    (void)pthread_mutex_lock(&tm->lock);
    sequence = atomic_fetch_add(&tm->sequence, 1) + 1; /* given out and listed in one step */
    hf__gtrid_make(tx->gtrid, hf__log_node(tm->log), hf__log_incarnation(tm->log), sequence);
    slot = bucket(tm, sequence);
    tx->next_running = *slot;
    *slot = tx;
    hf__deadline_listed(tx);
    (void)pthread_mutex_unlock(&tm->lock);
    tx->next_of_thread = current_list;
    current_list = tx;
    *ret_tx = tx;
    return HF_OK;
}

hf_tx *hf_tx_current(hf_tm *tm)
{
    return tm != NULL && tm->process == hf__process() ? *find_current(tm) : NULL;
}

/* -- enlist and delist ------------------------------------------------------------------------ */

/* Room for one branch more. */
static int grow(hf_tx *tx)
{
    unsigned room = 2 * tx->room;
    struct hf__branch *branches;
    struct hf__member *members;

    if (tx->count >= HF__BRANCHES_MAX)
        return hf__error(HF_ELIMIT, 0, "enlist: the transaction has %u branches already",
                         tx->count);
    if (tx->count < tx->room)
        return HF_OK;
    branches = calloc(room, sizeof(*branches));
    members = calloc(room, sizeof(*members));
    if (branches == NULL || members == NULL) {
        free(branches);
        free(members);
        return hf__error(HF_ENOMEM, ENOMEM, "enlist: room for %u branches", room);
    }
    memcpy(branches, tx->branches, tx->count * sizeof(*branches));
    memcpy(members, tx->members, tx->count * sizeof(*members));
    (void)pthread_mutex_lock(&tx->tm->lock); /* D3: a cancel may be reading them */
    if (tx->branches != tx->inline_branches) {
        free(tx->branches);
        free(tx->members);
    }
    tx->branches = branches;
    tx->members = members;
    tx->room = room;
    (void)pthread_mutex_unlock(&tx->tm->lock);
    return HF_OK;
}

void hf__tx_branch_xid(const hf_tx *tx, unsigned branch, XID *ret)
{
    const struct hf__member *m = &tx->members[branch];

    hf__xid_make(ret, tx->gtrid, m->instance->rm->id, m->number);
}

/* xa_start did not join or resume: the branch cannot go on, and xa_end is due only where the
   association stays suspended ([XA] tables 6-2 and 6-4). */
static void fail_start(hf_tx *tx, unsigned branch, int code)
{
    hf_instance *instance = tx->members[branch].instance;
    bool gone = (code >= XA_RBBASE && code <= XA_RBEND) || code == XAER_NOTA;

    atomic_store(&tx->phase, HF__TX_ROLLBACK_ONLY);
    if (code != XAER_RMFAIL && !gone)
        return;
    hf__coord_ended(&tx->branches[branch], code);
    instance->associated = instance->suspended = false;
}

static int tell_start(const hf_instance *instance, int code)
{
    char text[256] = "it gives no reason";
    int native = 0;

    hf__instance_error(instance, &native, text, sizeof(text));
    (void)hf__error(HF_ERM, native != 0 ? native : code, "%s: xa_start answered %s: %s",
                    instance->rm->name, hf__xa_name(code), text);
    return hf__error_xa(HF_ERM, code);
}

/* xa_start for a branch that is new, TMJOIN for one that was delisted, TMRESUME for one that was
   suspended. */
static int start(hf_tx *tx, unsigned branch, long flags)
{
    hf_instance *instance = tx->members[branch].instance;
    hf_rm *rm = instance->rm;
    uint64_t started = hf__timeline_now();
    XID xid HF__WRITTEN_NEXT;
    int code;

    hf__tx_branch_xid(tx, branch, &xid);
    code = rm->xa->xa_start_entry(&xid, instance->rmid, flags);
    hf__timeline_add(&tx->timeline, HF_CALL_START, tx->members[branch].number, code, started);
    HF_FAULT("enlist:started");
    if (code == XA_OK) {
        instance->associated = true;
        instance->suspended = false;
        instance->thread = hf__thread();
        tx->branches[branch].state = HF__B_ACTIVE;
        return HF_OK;
    }
    if (code == XAER_RMFAIL)
        hf__instance_lost(instance);
    if (flags != TMNOFLAGS)
        fail_start(tx, branch, code);
    return tell_start(instance, code);
}

static int too_late(const hf_instance *instance)
{
    return hf__error(HF_EROLLEDBACK, 0, "%s: enlist: the transaction can only roll back",
                     instance->rm->name);
}

/* The branch at the end of the list has begun: it counts from here on. */
static int add_branch(hf_tx *tx, hf_instance *instance)
{
    bool timed = tx->deadline_ms != 0;
    int rc = HF_OK;

    instance->branch = tx->count;
    atomic_store_explicit(&instance->tx, tx, memory_order_release);
    hf__instance_use(instance, hf__thread());
    if (timed)
        (void)pthread_mutex_lock(&tx->tm->lock); /* D3 */
    tx->count++;
    if (timed && atomic_load(&tx->phase) == HF__TX_ROLLBACK_ONLY)
        rc = too_late(instance);
    if (timed)
        (void)pthread_mutex_unlock(&tx->tm->lock);
    return rc;
}

/* Enlist an instance that has a branch in tx already. */
static int use_again(hf_tx *tx, hf_instance *instance)
{
    uint64_t user = atomic_load(&instance->user), self = hf__thread();
    int rc = HF_OK;

    if (user != 0 && user != self)
        return hf__error(HF_EBUSY, 0, "%s: enlist: the instance is in use by another thread",
                         instance->rm->name);
    if (instance->rm->thread_bound && instance->thread != self)
        return hf__error(HF_ETHREAD, 0, "%s: enlist: the instance is bound to another thread",
                         instance->rm->name);
    if (!instance->associated && !instance->rm->dynamic)
        rc = start(tx, instance->branch, TMJOIN);
    if (rc == HF_OK)
        hf__instance_use(instance, self);
    return rc;
}

/* Fill in the branch behind the last one. */
static int new_branch(hf_tx *tx, hf_instance *instance)
{
    int rc = grow(tx);

    if (rc != HF_OK)
        return rc;
    tx->branches[tx->count] =
        (struct hf__branch){.state = HF__B_ACTIVE, .can_probe = instance->rm->ext.probe != NULL};
    tx->members[tx->count] = (struct hf__member){.instance = instance, .number = ++tx->numbers};
    return HF_OK;
}

/* An instance that registers again for the transaction in which it has a branch. */
static int register_again(hf_tx *tx, hf_instance *instance)
{
    bool suspended = instance->suspended;

    if (instance->associated && !suspended)
        return TMER_PROTO;
    if (!suspended && atomic_load(&tx->phase) == HF__TX_ROLLBACK_ONLY)
        return TMER_TMERR; /* as hf_tx_enlist(); a suspended association has to go on */
    instance->associated = true;
    instance->suspended = false;
    instance->thread = hf__thread();
    tx->branches[instance->branch].state = HF__B_ACTIVE;
    hf__instance_use(instance, hf__thread());
    return suspended ? TM_RESUME : TM_JOIN;
}

int hf__tx_register(hf_tx *tx, hf_instance *instance, XID *ret_xid)
{
    const hf_tx *enlisted_in = atomic_load_explicit(&instance->tx, memory_order_acquire);
    int answer = TM_OK;

    if (hf__tx_check_owner(tx) != HF_OK || (instance->suspended && enlisted_in != tx))
        return TMER_PROTO;
    if (enlisted_in != NULL && enlisted_in != tx)
        return TMER_TMERR; /* its branch in a transaction that is suspended is not over */
    if (enlisted_in == tx) {
        answer = register_again(tx, instance);
        if (answer < 0)
            return answer;
    } else {
        if (hf__deadline_passed(tx) || atomic_load(&tx->phase) == HF__TX_ROLLBACK_ONLY ||
            new_branch(tx, instance) != HF_OK)
            return TMER_TMERR;
        instance->associated = true;
        instance->suspended = false;
        instance->thread = hf__thread();
        (void)add_branch(tx, instance); /* marked meanwhile: then it is rolled back with the rest */
    }
    hf__tx_branch_xid(tx, instance->branch, ret_xid);
    return answer;
}

int hf_tx_enlist(hf_tx *tx, hf_instance *instance)
{
    int rc = hf__tx_check_owner(tx);
    const hf_tx *enlisted_in = NULL;

    if (rc == HF_OK &&
        (instance == NULL || instance->magic != HF__INSTANCE_MAGIC || instance->rm->tm != tx->tm))
        rc = hf__error(HF_EINVAL, 0, "enlist: not an instance of this node");
    if (rc == HF_OK)
        enlisted_in = atomic_load_explicit(&instance->tx, memory_order_acquire);
    if (rc == HF_OK && instance->broken)
        rc = hf__error(HF_ESTATE, 0, "%s: enlist: the instance is broken", instance->rm->name);
    if (rc == HF_OK && enlisted_in != NULL && enlisted_in != tx)
        rc = hf__error(HF_EBUSY, 0, "%s: enlist: the instance works for another transaction",
                       instance->rm->name);
    if (rc == HF_OK && instance->rm->dynamic && atomic_load(&instance->outside) != 0)
        rc = hf__error(HF_EBUSY, 0, "%s: enlist: the instance works outside of transactions",
                       instance->rm->name);
    if (rc == HF_OK && instance->rm->one_rmid && instance->opener != hf__thread())
        rc = hf__error(HF_ETHREAD, 0, "%s: enlist: another thread has opened the instance",
                       instance->rm->name);
    if (rc == HF_OK && (hf__deadline_passed(tx) || atomic_load(&tx->phase) == HF__TX_ROLLBACK_ONLY))
        rc = too_late(instance);
    if (rc != HF_OK)
        return rc;
    if (enlisted_in == tx)
        return use_again(tx, instance);
    if (instance->rm->dynamic)
        return HF_OK; /* hf__tx_register() comes if there is work */
    rc = new_branch(tx, instance);
    if (rc != HF_OK)
        return rc;
    rc = start(tx, tx->count, TMNOFLAGS);
    return rc == HF_OK ? add_branch(tx, instance) : rc;
}

/* Does the calling thread have it in use, in a transaction that it has handed over? */
static bool handed_over(const hf_tx *tx, const hf_instance *instance)
{
    uint64_t self = hf__thread();

    return atomic_load(&instance->user) == self && atomic_load(&tx->owner) != self &&
           !instance->rm->thread_bound && instance->tx == tx;
}

/* xa_end while the transaction is active: TMSUCCESS, or TMSUSPEND. */
static int end(hf_tx *tx, hf_instance *instance, long flags)
{
    struct hf__branch *branch = &tx->branches[instance->branch];
    struct hf__branch ended = *branch;
    uint64_t started = hf__timeline_now();
    XID xid;
    int code;

    hf__tx_branch_xid(tx, instance->branch, &xid);
    code = instance->rm->xa->xa_end_entry(&xid, instance->rmid, flags);
    hf__timeline_add(&tx->timeline, HF_CALL_END, tx->members[instance->branch].number, code,
                     started);
    hf__coord_ended(&ended, code);
    instance->suspended = flags == TMSUSPEND && ended.state == HF__B_IDLE;
    instance->associated = instance->suspended;
    if (!instance->suspended) /* else xa_end(TMSUCCESS) is still due */
        *branch = ended;
    if (ended.state == HF__B_IDLE)
        return HF_OK;
    atomic_store(&tx->phase, HF__TX_ROLLBACK_ONLY);
    if (code == XAER_RMFAIL)
        hf__instance_lost(instance);
    (void)hf__error(HF_ERM, code, "%s: xa_end answered %s: the transaction can only roll back",
                    instance->rm->name, hf__xa_name(code));
    return hf__error_xa(HF_ERM, code);
}

int hf_tx_delist(hf_tx *tx, hf_instance *instance)
{
    int rc = hf__tx_check(tx);

    if (rc == HF_OK && (instance == NULL || instance->magic != HF__INSTANCE_MAGIC))
        rc = hf__error(HF_EINVAL, 0, "delist: not an instance");
    if (rc == HF_OK && handed_over(tx, instance)) {
        hf__instance_use(instance, 0); /* from here on tx may complete */
        return HF_OK;
    }
    if (rc == HF_OK)
        rc = hf__tx_check_owner(tx);
    if (rc == HF_OK && instance->tx != tx)
        rc = hf__error(HF_ENOTFOUND, 0, "%s: delist: not enlisted in this transaction",
                       instance->rm->name);
    if (rc == HF_OK && instance->associated && instance->rm->thread_bound)
        rc = end(tx, instance, TMSUCCESS);
    if (rc == HF_OK || rc == HF_ERM)
        hf__instance_use(instance, 0);
    return rc;
}

/* -- suspend and resume ----------------------------------------------------------------------- */

int hf_tx_suspend(hf_tx *tx)
{
    int rc = hf__tx_check_owner(tx);
    bool bound = false;

    if (rc == HF_OK && tx->watching)
        rc = hf__error(HF_ESTATE, 0, "suspend a transaction from one of its watchers");
    for (unsigned i = 0; rc == HF_OK && i < tx->count; i++) {
        hf_instance *instance = tx->members[i].instance;

        if (instance->associated && instance->rm->thread_bound) {
            if (!instance->suspended)
                rc = end(tx, instance, TMSUSPEND);
            bound = true;
        }
    }
    if (rc != HF_OK)
        return rc;
    hf__tx_leave_thread(tx);
    (void)pthread_mutex_lock(&tx->tm->lock);
    tx->bound_to = bound ? hf__thread() : 0;
    atomic_store(&tx->owner, 0);
    (void)pthread_mutex_unlock(&tx->tm->lock);
    return HF_OK;
}

/* Make the calling thread the owner. */
static int own(hf_tx *tx)
{
    uint64_t self = hf__thread();
    int rc = HF_OK;

    (void)pthread_mutex_lock(&tx->tm->lock);
    if (atomic_load(&tx->owner) != 0)
        rc = hf__error(HF_ETHREAD, 0, "resume: the transaction belongs to another thread");
    else if (tx->bound_to != 0 && tx->bound_to != self)
        rc = hf__error(HF_EBUSY, 0, "resume: an instance in use is bound to another thread");
    else
        atomic_store(&tx->owner, self);
    (void)pthread_mutex_unlock(&tx->tm->lock);
    return rc;
}

int hf_tx_resume(hf_tx *tx)
{
    int rc = hf__tx_check(tx), failed = HF_OK;

    if (rc == HF_OK && *find_current(tx->tm) != NULL)
        rc = hf__error(HF_ESTATE, 0, "resume: this thread has a transaction already");
    if (rc == HF_OK && atomic_load(&tx->phase) == HF__TX_COMPLETING)
        rc = hf__error(HF_ESTATE, 0, "resume: the transaction is completing");
    if (rc == HF_OK && hf__ax_outside(tx->tm))
        rc = hf__error(HF_EBUSY, 0, "resume: a resource manager works outside of transactions");
    if (rc == HF_OK)
        rc = own(tx);
    if (rc != HF_OK)
        return rc;
    tx->next_of_thread = current_list;
    current_list = tx;
    /* All of them at once: the owner may go on with an instance without enlisting it again, and
       work outside an association would be outside the transaction. */
    for (unsigned i = 0; i < tx->count; i++) {
        if (tx->members[i].instance->suspended && !tx->members[i].instance->rm->dynamic)
            rc = start(tx, i, TMRESUME);
        failed = failed == HF_OK ? rc : failed;
    }
    return failed;
}

/* -- the rest --------------------------------------------------------------------------------- */

int hf_tx_set_rollback_only(hf_tx *tx)
{
    int rc = hf__tx_check(tx);
    int phase = HF__TX_ACTIVE;

    if (rc == HF_OK && !atomic_compare_exchange_strong(&tx->phase, &phase, HF__TX_ROLLBACK_ONLY) &&
        phase == HF__TX_COMPLETING)
        rc = hf__error(HF_ESTATE, 0, "set rollback-only: the transaction is completing");
    return rc;
}

int hf_tx_get_state(hf_tx *tx, hf_tx_state *ret_state)
{
    int rc = hf__tx_check(tx);
    bool over;

    if (rc == HF_OK && ret_state == NULL)
        rc = hf__error(HF_EINVAL, 0, "nowhere to put the state");
    if (rc != HF_OK)
        return rc;
    over = hf__deadline_passed(tx);
    switch (atomic_load(&tx->phase)) {
    case HF__TX_ACTIVE:
        *ret_state = HF_TX_ACTIVE;
        break;
    case HF__TX_ROLLBACK_ONLY:
        *ret_state = over ? HF_TX_TIMED_OUT : HF_TX_ROLLBACK_ONLY;
        break;
    default:
        *ret_state = HF_TX_COMPLETING;
        break;
    }
    return HF_OK;
}

int hf_tx_xid(const hf_tx *tx, XID *ret_xid)
{
    int rc = hf__tx_check(tx);

    if (rc == HF_OK && ret_xid == NULL)
        rc = hf__error(HF_EINVAL, 0, "nowhere to put the identifier");
    if (rc == HF_OK)
        hf__xid_make(ret_xid, tx->gtrid, 0, 0);
    return rc;
}

static int grow_syncs(hf_tx *tx)
{
    unsigned room = 2 * tx->sync_room;
    hf_sync *syncs = calloc(room, sizeof(*syncs));

    if (syncs == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "watch: room for %u watchers", room);
    memcpy(syncs, tx->syncs, tx->sync_count * sizeof(*syncs));
    if (tx->syncs != tx->inline_syncs)
        free(tx->syncs);
    tx->syncs = syncs;
    tx->sync_room = room;
    return HF_OK;
}

int hf_tx_watch(hf_tx *tx, const hf_sync *sync)
{
    int rc = hf__tx_check_owner(tx);

    if (rc == HF_OK && sync == NULL)
        rc = hf__error(HF_EINVAL, 0, "watch: nobody to call");
    if (rc != HF_OK)
        return rc;
    if (tx->sync_count == tx->sync_room)
        rc = grow_syncs(tx);
    if (rc == HF_OK)
        tx->syncs[tx->sync_count++] = *sync;
    return rc;
}
