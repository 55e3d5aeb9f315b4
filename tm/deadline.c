/*
 * tm/deadline.c - transactions whose time is over.
 *
 *   begin -> WAITING ---- its time is over ---> QUEUED ---- a tick takes it ---> CANCELLING
 *                                                  ^                                 |
 *                                                  '-- a pause is over -- REPEATING -+- OVER
 *
 * From CANCELLING it comes to REPEATING as long as an instance is in use, else to OVER. Completion
 * puts it into OVER, and waits while it is CANCELLING.
 *
 * A deadline only marks: the transaction is rollback-only from then on, what runs in its instances
 * is asked to stop, and the owner rolls it back at its next call. No other thread ends an active
 * branch. Nothing of it is on disk.
 *
 * Invariants
 *   D1  Once a transaction is completing a deadline does nothing to it: marking is a
 *       compare-and-swap of tx->phase, which fails then. So an expiry is before the force of a
 *       decision, never during or after it.
 *   D2  Until a cancel has returned, its transaction is not freed, its instances stay enlisted in
 *       it, and no completion calls them: hf__deadline_leave(), with which a completion begins,
 *       waits while it is CANCELLING. So a cancel never hits what an instance does next.
 *   D3  Marking happens under tm->lock, and so does adding a branch to a transaction that has a
 *       deadline: either the cancels see the branch, or hf_tx_enlist() sees the mark.
 *   D4  tm->next_expiry_ms is never later than the first time at which something expires, or a
 *       cancel is due again.
 *   D5  A cancel is for an instance in use, whose transaction is not completing, and which has an
 *       rmid of its own: by one that threads share it would hit what another thread does. One that
 *       comes before the server has begun with what it should stop is lost: so it comes again,
 *       after a pause that grows, and is as long as the last one took.
 *   D6  The cancels of one tick begin within ROUND_MS, but for those of the transaction it is at.
 *       None begins after that for as long as they took, so that slow ones leave a thread that
 *       ticks half of its time, however many are over. The rest stays queued; whoever came first is
 *       cancelled first, so that none is repeated before all had their turn.
 *
 * Cost: none without a deadline. With one, tm->lock once more for each branch and for the
 * completion; a pass over the running transactions when next_expiry_ms has come.
 *
 * Threads: any; several may cancel at once, each transaction by one of them.
 */
#include "completion.h"

enum {
    PAUSE_FIRST_MS = 50, /* between the cancels of one transaction */
    PAUSE_MAX_MS = 1000,
    ROUND_MS = 250 /* D6 */
};

static bool is_over(const hf_tx *tx, uint64_t now)
{
    return tx->deadline_ms != 0 && now > tx->deadline_ms;
}

/* Under tm->lock if others may see it; false: it is completing. */
static bool mark(hf_tx *tx)
{
    int phase = HF__TX_ACTIVE;

    return atomic_compare_exchange_strong(&tx->phase, &phase, HF__TX_ROLLBACK_ONLY) ||
           (phase == HF__TX_ROLLBACK_ONLY &&
            atomic_compare_exchange_strong(&tx->phase, &phase, HF__TX_ROLLBACK_ONLY));
}

/* -- for the owner ---------------------------------------------------------------------------- */

void hf__deadline_begin(hf_tx *tx, uint32_t timeout_ms)
{
    tx->deadline_ms = timeout_ms != 0 ? hf__monotonic_ms() + timeout_ms : 0;
    tx->expiry = HF__EXPIRY_WAITING;
    tx->cancels = 0;
}

void hf__deadline_listed(hf_tx *tx)
{
    hf_tm *tm = tx->tm;

    if (tx->deadline_ms == 0 || tx->deadline_ms + 1 >= tm->next_expiry_ms)
        return;
    tm->next_expiry_ms = tx->deadline_ms + 1;
    if (tm->has_thread)
        (void)pthread_cond_broadcast(&tm->changed); /* it sleeps too long otherwise */
}

bool hf__deadline_passed(hf_tx *tx)
{
    return is_over(tx, tx->deadline_ms != 0 ? hf__monotonic_ms() : 0) && mark(tx);
}

static void unqueue(hf_tx *tx)
{
    *tx->expired_at = tx->next_expired;
    if (tx->next_expired != NULL)
        tx->next_expired->expired_at = tx->expired_at;
    else
        tx->tm->expired_end = tx->expired_at;
    tx->next_expired = NULL;
    tx->expired_at = NULL;
}

bool hf__deadline_leave(hf_tx *tx)
{
    hf_tm *tm = tx->tm;
    bool rollback_only = atomic_exchange(&tx->phase, HF__TX_COMPLETING) == HF__TX_ROLLBACK_ONLY;

    if (tx->deadline_ms == 0)
        return rollback_only;
    (void)pthread_mutex_lock(&tm->lock);
    if (tx->expiry == HF__EXPIRY_QUEUED)
        unqueue(tx);
    while (tx->expiry == HF__EXPIRY_CANCELLING)
        (void)pthread_cond_wait(&tm->changed, &tm->lock);
    tx->expiry = HF__EXPIRY_OVER;
    (void)pthread_mutex_unlock(&tm->lock);
    return rollback_only;
}

/* -- for the tick ----------------------------------------------------------------------------- */

/* When it has to be looked at, for one that waits for a time; UINT64_MAX: never. */
static uint64_t due_at(const hf_tx *tx)
{
    if (tx->deadline_ms == 0)
        return UINT64_MAX;
    if (tx->expiry == HF__EXPIRY_REPEATING)
        return tx->cancel_at_ms;
    return tx->expiry == HF__EXPIRY_WAITING ? tx->deadline_ms + 1 : UINT64_MAX;
}

static void enqueue(hf_tm *tm, hf_tx *tx)
{
    tx->expiry = HF__EXPIRY_QUEUED;
    tx->next_expired = NULL;
    tx->expired_at = tm->expired_end;
    *tm->expired_end = tx;
    tm->expired_end = &tx->next_expired;
}

/* Queue what is over, and find when the next one will be. Under tm->lock. */
static void queue_expired(hf_tm *tm, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < HF__TX_BUCKETS; i++) {
        for (hf_tx *tx = tm->running[i]; tx != NULL; tx = tx->next_running) {
            uint64_t due = due_at(tx);

            if (due > now)
                next = next < due ? next : due;
            else if (mark(tx))
                enqueue(tm, tx);
            else
                tx->expiry = HF__EXPIRY_OVER; /* completing */
        }
    }
    tm->next_expiry_ms = next;
}

/* Its i-th instance, and whether a thread may be working in it. False: there are no more. */
static bool instance_at(hf_tx *tx, unsigned i, hf_instance **ret, bool *ret_in_use)
{
    bool more;

    (void)pthread_mutex_lock(&tx->tm->lock); /* the owner may be adding one, to be refused */
    more = i < tx->count;
    if (more) {
        *ret = tx->members[i].instance;
        *ret_in_use = atomic_load(&(*ret)->user) != 0;
    }
    (void)pthread_mutex_unlock(&tx->tm->lock);
    return more;
}

/* Cancel what is in use; false: there is nothing. */
static bool cancel(hf_tx *tx)
{
    hf_instance *instance;
    bool in_use, any = false;

    for (unsigned i = 0; instance_at(tx, i, &instance, &in_use); i++) {
        const hf_rm *rm = instance->rm;

        if (!in_use || rm->ext.cancel == NULL || rm->one_rmid)
            continue;
        any = true;
        (void)rm->ext.cancel(rm->ext_user, instance->rmid); /* the owner ends it either way */
    }
    return any;
}

/* The cancels of one that began then have returned. Under tm->lock. */
static void plan_next(hf_tx *tx, uint64_t began)
{
    hf_tm *tm = tx->tm;
    uint64_t now = hf__monotonic_ms();
    uint64_t pause = (uint64_t)PAUSE_FIRST_MS << tx->cancels;

    if (pause < PAUSE_MAX_MS)
        tx->cancels++;
    else
        pause = PAUSE_MAX_MS;
    tx->expiry = HF__EXPIRY_REPEATING;
    tx->cancel_at_ms = now + (pause > now - began ? pause : now - began);
    if (tx->cancel_at_ms < tm->next_expiry_ms)
        tm->next_expiry_ms = tx->cancel_at_ms;
}

/* The cancels of the first one in the queue. Under tm->lock, but for the hooks. */
static void cancel_first(hf_tm *tm)
{
    hf_tx *tx = tm->expired;
    uint64_t began;
    bool again;

    unqueue(tx);
    tx->expiry = HF__EXPIRY_CANCELLING;
    (void)pthread_mutex_unlock(&tm->lock);
    began = hf__monotonic_ms();
    again = cancel(tx);
    (void)pthread_mutex_lock(&tm->lock);
    if (again)
        plan_next(tx, began);
    else
        tx->expiry = HF__EXPIRY_OVER;
    (void)pthread_cond_broadcast(&tm->changed);
}

void hf__deadline_expire(hf_tm *tm)
{
    uint64_t began = hf__monotonic_ms(), now = began;

    (void)pthread_mutex_lock(&tm->lock);
    if (now >= tm->next_expiry_ms)
        queue_expired(tm, now);
    /* Bound: by ROUND_MS, and the queue gets no longer but by other threads. */
    while (tm->expired != NULL && now >= tm->cancels_again_ms && now - began < ROUND_MS) {
        cancel_first(tm);
        now = hf__monotonic_ms();
        if (tm->expired == NULL || now - began >= ROUND_MS)
            tm->cancels_again_ms = now + (now - began);
    }
    if (tm->expired != NULL && tm->cancels_again_ms < tm->next_expiry_ms)
        tm->next_expiry_ms = tm->cancels_again_ms; /* D4 */
    (void)pthread_mutex_unlock(&tm->lock);
}
