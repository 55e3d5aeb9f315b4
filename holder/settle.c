/*
 * holder/settle.c - where a record belongs, now that its thread holds the lock again.
 *
 * Every transient state ends here. What happened meanwhile stands in the record and in its party;
 * each turn of the loop acts on one fact, with the lock let go where the driver is called, and
 * looks again. So nothing that happens during a callback is lost, and nothing is decided on what
 * was true before it.
 *
 *   of what is true            this comes first
 *   an answer said dead        it is told, and it is doomed
 *   its transaction is over    tx_end; it is enlisted no more
 *   it has a user still        back to USED or TRACKED
 *   it was freed               reset, if it is to stay
 *   it left use, enlisted      suspend, if this thread may
 *   it is for the pool         clean
 *   and then                   enlisted: KEPT; fit for the pool: IDLE; else it is destroyed
 *
 * If we crash after ...        recovery ...                               failpoint
 *   anything here              has nothing to do: the pool is memory      holder:resetting,
 *                                                                         holder:suspended,
 *                                                                         holder:cleaned,
 *                                                                         holder:tx-end,
 *                                                                         holder:destroying,
 *                                                                         holder:destroyed
 */
#include "holdfast/internal/fault.h"
#include "room.h"

void hf__doom(hf_holder *h, struct hf__record *r, int code)
{
    h->stats.invalid++;
    r->doomed = r->dead = true;
    r->dead_code = code;
}

static void tell_dead(hf_holder *h, struct hf__record *r)
{
    const hf_event event = {.code = r->dead_code};

    r->dead = false;
    if (!hf__listens(h))
        return;
    hf__unlock(h);
    hf__tell(h, HF_EVENT_INVALID, r, &event);
    hf__lock(h);
}

static void end_tx(hf_holder *h, struct hf__record *r)
{
    const struct hf__party *p = r->party; /* good as long as r is its member */

    if (h->driver.tx_end != NULL && r->sid == NULL && r->enlisted) {
        int rc;

        r->state = HF__ENDING;
        hf__unlock(h);
        rc = h->driver.tx_end(h->user, r->id, &p->xid, p->outcome);
        HF_FAULT("holder:tx-end");
        hf__lock(h);
        r->doomed = r->doomed || rc != HF_OK;
    }
    hf__party_leave(r);
}

/* Worth cleaning: it is going to be used again, as far as is known now. */
static bool stays(const hf_holder *h, const struct hf__record *r)
{
    return !r->doomed && h->state == HF__OPEN &&
           (r->party != NULL || r->idle_s != HF_IDLE_NOT_POOLED);
}

static int reset(hf_holder *h, struct hf__record *r)
{
    bool clean = h->driver.reset != NULL && stays(h, r);
    bool plain = !clean || (h->nature & HF__PLAIN_RESET) != 0;
    int rc = HF_OK;

    r->unreset = false;
    r->state = HF__RESETTING;
    h->stats.recycled++;
    HF_FAULT("holder:resetting");
    if (clean && plain)
        rc = h->driver.reset(h->user, r->id);
    if (!plain || hf__listens(h)) {
        hf__unlock(h);
        if (!plain)
            rc = h->driver.reset(h->user, r->id);
        hf__tell(h, HF_EVENT_RECYCLE, r, NULL);
        hf__lock(h);
    }
    r->owner = 0;
    r->tag = NULL;
    if (rc != HF_OK) {
        h->stats.failed_reset++;
        hf__doom(h, r, rc);
    }
    return rc;
}

/* It was used, and nobody has it any more. */
static void clean(hf_holder *h, struct hf__record *r)
{
    int rc;

    r->unclean = false;
    r->state = HF__RESETTING;
    hf__unlock(h);
    rc = h->driver.clean(h->user, r->id);
    HF_FAULT("holder:cleaned");
    hf__lock(h);
    if (rc != HF_OK)
        hf__doom(h, r, rc);
}

/* suspend() is for the thread that allocated it, or the owner of the transaction. */
static bool may_suspend(hf_holder *h, const struct hf__record *r)
{
    return pthread_equal(r->thread, pthread_self()) ||
           hf_tx_current(h->manager->config.tm) == r->party->tx;
}

void hf__suspend(hf_holder *h, struct hf__record *r)
{
    struct hf__party *p = r->party;
    struct hf__pin pin;
    int rc = HF_OK;
    bool may;

    if (r->state != HF__PICKED)
        r->state = HF__RESETTING;
    hf__party_pin(p, &pin);
    hf__unlock(h);
    may = may_suspend(h, r);
    if (may)
        rc = h->driver.suspend(h->user, r->id, p->tx);
    HF_FAULT("holder:suspended");
    hf__lock(h);
    hf__party_unpin(p, &pin);
    r->active = r->active && !may;
    r->doomed = r->doomed || rc != HF_OK;
}

static int destroy(hf_holder *h, struct hf__record *r)
{
    hf_event event = {.code = HF_ENOTIMPL};

    r->state = HF__DESTROYING;
    hf__list_remove(&r->link);
    if (r->party != NULL)
        hf__party_leave(r);
    hf__unlock(h);
    HF_FAULT("holder:destroying");
    if (r->sid != NULL && h->driver.destroy_s != NULL)
        event.code = h->driver.destroy_s(h->user, r->sid);
    else if (r->sid == NULL && h->driver.destroy != NULL)
        event.code = h->driver.destroy(h->user, r->id);
    HF_FAULT("holder:destroyed");
    if (hf__listens(h)) {
        event.age_ms = hf__monotonic_ms() - r->made_ms;
        hf__tell(h, HF_EVENT_DESTROY, r, &event);
    }
    hf__lock(h);
    h->stats.destroyed++;
    h->stats.destroy_failed += event.code != HF_OK;
    hf__record_drop(h, r);
    return event.code;
}

/* May it go to general inventory? */
static bool fits(hf_holder *h, struct hf__record *r)
{
    if (r->tracked || r->doomed || h->state != HF__OPEN || r->idle_s == HF_IDLE_NOT_POOLED ||
        (h->config.max != 0 && h->pooled + h->creating > h->config.max))
        return false;
    r->since_ms = hf__monotonic_ms();
    if (r->ends_ms == 0 || r->since_ms < r->ends_ms)
        return true;
    h->stats.expired_life++;
    return false;
}

static void keep(hf_holder *h, struct hf__record *r)
{
    if (r->tracked) {
        r->state = HF__TRACKED;
        return;
    }
    r->state = HF__KEPT;
    hf__list_push(&r->party->kept, &r->link);
    if (h->waiting > 0)
        hf__wake_party(h, r->party);
}

/* Is it still in a transaction that has not ended, as far as this thread may believe? */
static bool is_over(const struct hf__record *r)
{
    if (HF_BUG("holder-late-tx-end") && r->state == HF__RESETTING)
        return false;
    return r->party->over;
}

void hf__settle(hf_holder *h, struct hf__record *r, struct hf__answers *ret)
{
    struct hf__answers answers = {HF_OK, HF_OK};
    bool asked = false;

    for (;;) { /* bound: each turn takes a fact away */
        if (r->dead) {
            tell_dead(h, r);
        } else if (r->party != NULL && is_over(r)) {
            end_tx(h, r);
        } else if (r->forgotten) {
            hf__record_drop(h, r);
            break;
        } else if (r->tracked ? !r->released : r->used) {
            r->state = r->tracked ? HF__TRACKED : HF__USED;
            break;
        } else if (r->unreset) {
            answers.reset = reset(h, r);
        } else if (r->active && h->driver.suspend != NULL && !asked && !r->party->over) {
            asked = true;
            hf__suspend(h, r);
        } else if (r->party != NULL && !h->force) {
            keep(h, r);
            break;
        } else if (r->unclean && h->driver.clean != NULL && stays(h, r)) {
            clean(h, r);
        } else if (fits(h, r)) {
            r->state = HF__IDLE;
            hf__list_push(&h->idle, &r->link);
            hf__wake(h);
            break;
        } else {
            answers.destroy = destroy(h, r);
            break;
        }
    }
    if (ret != NULL)
        *ret = answers;
}

void hf__settle_all(hf_holder *h, struct hf__list *list)
{
    while (!hf__list_empty(list)) {
        struct hf__record *r = HF__OF(struct hf__record, link, list->next);

        hf__list_remove(&r->link);
        hf__settle(h, r, NULL);
    }
}
