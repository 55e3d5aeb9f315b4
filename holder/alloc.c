/*
 * holder/alloc.c - an allocation: look, rate, choose or make, enlist, hand out.
 *
 *   candidates in the transaction --100 or strict--------------------------+
 *        |                                                                 v
 *   general inventory, when it is this one's turn --one above 0--> validate, adapt, enlist -> USED
 *        |                                                                 ^
 *   room, or the one that was idle longest makes room --> create ----------+
 *        |
 *   wait (wait.c), and look again
 *
 * Candidates stay where they are in their list while they are rated, in the state RATING, so that
 * losers need no way back and the list gives the next one; at most two are reserved at a time, the
 * best so far and the one that is being rated.
 *
 * If we crash after ...              recovery ...                            failpoint
 *   a candidate was rated            has nothing to do                       holder:rated
 *   one was created                  has nothing to do                       holder:created
 *   it was enlisted                  rolls its branch back, as tm's own      holder:enlisted
 */
#include <errno.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "room.h"

struct request {
    hf_holder *h;
    hf_restype type;
    struct hf__context context;
    uint32_t wait_ms;
    struct hf__waiter waiter;
    struct hf__party *party; /* with a reference; NULL: nothing of ours is enlisted in it yet */
    struct hf__list aside;   /* candidates to be settled after the search */
    struct hf__record *best;
    uint32_t rating; /* its */
    uint32_t rated;
    bool made; /* best was made for this request */
};

/* -- rating ------------------------------------------------------------------------------------ */

/* It did not win. Whatever happened to it meanwhile is seen to after the search. */
static void let_go(struct request *q, struct hf__record *r)
{
    if (r->dead || r->doomed || q->h->state != HF__OPEN || (r->party != NULL && r->party->over)) {
        hf__list_remove(&r->link);
        hf__list_append(&q->aside, &r->link);
        return;
    }
    r->state = r->party != NULL ? HF__KEPT : HF__IDLE;
    if (r->party == NULL && q->h->waiting > 0 && !q->waiter.queued)
        hf__wake(q->h);
}

static uint32_t judge(struct request *q, struct hf__record *r, int needs_enlist)
{
    hf_holder *h = q->h;
    uint32_t rating = 0;
    int rc;

    q->rated++;
    r->state = HF__RATING;
    if (h->driver.rate == NULL)
        return r->kind->type == q->type ? HF_RATING_PERFECT : 0;
    if ((h->nature & HF__PLAIN_RATE) == 0)
        hf__unlock(h);
    rc = h->driver.rate(h->user, q->type, r->id, needs_enlist, &rating);
    HF_FAULT("holder:rated");
    if ((h->nature & HF__PLAIN_RATE) == 0)
        hf__lock(h);
    if (rc == HF_OK && rating <= HF_RATING_PERFECT)
        return r->doomed ? 0 : rating;
    hf__doom(h, r, rc);
    return 0;
}

static bool is_free(const struct hf__record *r)
{
    if (r->state == HF__RATING && HF_BUG("holder-two-owners"))
        return true;
    return (r->state == HF__IDLE || r->state == HF__KEPT) && !r->doomed;
}

/* Rate what a list has, until one is perfect. The lock is let go in between; the one that is being
   rated keeps its place in the list, and so ours. */
static void rate_all(struct request *q, struct hf__list *list, int needs_enlist)
{
    struct hf__list *at = list->next;

    while (at != list && q->h->state == HF__OPEN) {
        struct hf__record *r = HF__OF(struct hf__record, link, at);
        uint32_t rating;

        if (!is_free(r)) {
            at = at->next;
            continue;
        }
        rating = judge(q, r, needs_enlist);
        at = at->next;
        if (rating <= q->rating) {
            let_go(q, r);
            continue;
        }
        if (q->best != NULL)
            let_go(q, q->best);
        q->best = r;
        q->rating = rating;
        if (rating == HF_RATING_PERFECT)
            break;
    }
}

/* -- the search -------------------------------------------------------------------------------- */

/* The transaction is over, or can only roll back: found out after it was let go. */
static int ended(const struct request *q)
{
    if (q->party != NULL && q->party->over && q->party->outcome == HF_ROLLEDBACK)
        return hf__error(HF_EROLLEDBACK, 0, "%s: the transaction was rolled back", q->h->name);
    return hf__error(HF_ESTATE, 0, "%s: the transaction is over", q->h->name);
}

/* The best one there is, reserved, or none. */
static void search(struct request *q)
{
    hf_holder *h = q->h;
    bool decided;

    q->best = NULL;
    q->rating = 0;
    if (q->party == NULL && q->context.tx != NULL) {
        q->party = hf__party_find(h, q->context.tx);
        if (q->party != NULL)
            q->party->refs++;
    }
    if (q->party != NULL && !hf__list_empty(&q->party->kept))
        rate_all(q, &q->party->kept, 0);
    decided = q->best != NULL && (h->config.flags & HF_HOLDER_STRICT) != 0;
    if (!decided && q->rating < HF_RATING_PERFECT && hf__wait_turn(h, &q->waiter))
        rate_all(q, &h->idle, q->context.tx != NULL);
    if (q->best != NULL && q->best->doomed) {
        let_go(q, q->best);
        q->best = NULL;
    }
    if (q->best != NULL) {
        hf__list_remove(&q->best->link);
        q->best->state = HF__PICKED;
    }
}

/* The general one that was idle longest makes room. False: there is none. */
static bool evict(struct request *q)
{
    hf_holder *h = q->h;

    for (struct hf__list *at = h->idle.prev; at != &h->idle; at = at->prev) {
        struct hf__record *r = HF__OF(struct hf__record, link, at);

        if (r->state != HF__IDLE)
            continue;
        hf__list_remove(&r->link);
        r->state = HF__DESTROYING;
        r->doomed = true;
        h->stats.evicted++;
        hf__settle(h, r, NULL);
        return true;
    }
    return false;
}

/* -- making one -------------------------------------------------------------------------------- */

/* What create gave is good: it is known from here on. */
static int accept(hf_holder *h, struct hf__record *r, int code)
{
    if (code != HF_OK)
        return hf__driver_failed(h, "create", code);
    if (r->id == 0 || hf__find(h, r->id) != NULL)
        return hf__error(HF_EINVAL, 0, "%s: create gave an id that is %s", h->name,
                         r->id == 0 ? "0" : "in use");
    r->state = HF__PICKED;
    r->made_ms = r->since_ms = hf__monotonic_ms();
    if (h->config.life_ms != 0)
        r->ends_ms = r->made_ms + h->config.life_ms - hf__dice(h) % (h->config.life_ms / 40 + 1);
    r->kind->made = true;
    h->stats.created++;
    hf__record_add(h, r);
    return HF_OK;
}

int hf__make(hf_holder *h, hf_restype type, struct hf__record **ret)
{
    struct hf__kind *kind = hf__kind_of(h, type);
    struct hf__record *r = hf__record_take(h);
    int code, rc;

    if (kind == NULL || r == NULL) {
        if (r != NULL)
            hf__record_put_back(h, r);
        if (kind != NULL)
            hf__kind_unused(h, kind);
        return hf__error(HF_ENOMEM, ENOMEM, "%s: make a resource", h->name);
    }
    r->kind = kind;
    r->idle_s = h->config.idle_s != 0 ? h->config.idle_s : HF_IDLE_PRESET;
    h->creating++;
    kind->count++;
    hf__unlock(h);
    code = h->driver.create(h->user, type, &r->id, &r->idle_s);
    HF_FAULT("holder:created");
    hf__lock(h);
    h->creating--;
    rc = accept(h, r, code);
    if (rc == HF_OK) {
        *ret = r;
        return HF_OK;
    }
    h->stats.failed_create++;
    hf__record_put_back(h, r);
    hf__wake(h); /* there is room again */
    hf__kind_less(h, kind);
    return rc;
}

/* -- getting hold of one ----------------------------------------------------------------------- */

/* Is the one that was chosen alive? If not it is gone. */
static bool is_alive(struct request *q)
{
    hf_holder *h = q->h;
    struct hf__record *r = q->best;
    uint32_t timeout_ms = h->config.validate_timeout_ms;
    int rc;

    if (h->driver.validate == NULL || r->party != NULL ||
        (h->config.validate_after_ms != 0 &&
         hf__monotonic_ms() - r->since_ms < h->config.validate_after_ms))
        return true;
    hf__unlock(h);
    rc = h->driver.validate(h->user, r->id, timeout_ms != 0 ? timeout_ms : 5000);
    HF_FAULT("holder:validated");
    hf__lock(h);
    if (rc == HF_OK && !r->doomed)
        return true;
    if (rc != HF_OK)
        hf__doom(h, r, rc);
    hf__settle(h, r, NULL);
    return false;
}

/* Wait for something; the transaction may have been spoilt meanwhile. */
static int wait(struct request *q, uint64_t news)
{
    hf_holder *h = q->h;
    int rc = hf__wait(h, &q->waiter, q->type, &q->context, q->wait_ms, news);

    if (rc == HF_OK && q->context.tx != NULL) {
        hf__unlock(h);
        rc = hf__manager_tx_state(q->context.tx);
        hf__lock(h);
    }
    return rc;
}

/* With HF_OK, q->best is PICKED. */
static int obtain(struct request *q)
{
    hf_holder *h = q->h;
    int rc = HF_OK;

    while (rc == HF_OK) { /* bound: each turn but the last waits, or destroys one */
        uint64_t news = h->news;

        if (h->state != HF__OPEN)
            return hf__error(HF_ECLOSED, 0, "%s: closed", h->name);
        search(q);
        if (!hf__list_empty(&q->aside))
            hf__settle_all(h, &q->aside);
        if (q->party != NULL && q->party->over) {
            if (q->best != NULL)
                hf__settle(h, q->best, NULL);
            return ended(q);
        }
        if (q->best != NULL) {
            if (is_alive(q))
                return HF_OK;
        } else if (h->state != HF__OPEN) {
            continue;
        } else if (!hf__wait_turn(h, &q->waiter)) {
            rc = wait(q, news);
        } else if (!hf__has_room(h) && !evict(q)) {
            rc = wait(q, news);
        } else if (hf__has_room(h)) {
            q->made = true;
            hf__wait_done(h, &q->waiter); /* the next one may go on while this one is made */
            return hf__make(h, q->type, &q->best);
        }
    }
    return rc;
}

/* -- enlisting --------------------------------------------------------------------------------- */

/* What enlist or resume answered, as the allocation's result. */
static int refused(struct request *q, const char *call, int code)
{
    q->h->stats.failed_enlist++;
    if (code != HF_EENLIST)
        return hf__driver_failed(q->h, call, code);
    return hf__error(HF_EENLIST, 0, "%s: the driver's %s refused", q->h->name, call);
}

/* The transaction's own trouble is what the caller should hear of. */
static int spoilt(const struct request *q, int state)
{
    return hf__error(state, 0, "%s: the transaction cannot go on", q->h->name);
}

/* The driver's enlist, and then what became of the transaction: it may have run out of time
   meanwhile, which nobody tells. */
static int call_enlist(const struct request *q, const struct hf__party *p, int *ret_state)
{
    const hf_holder *h = q->h;
    hf_manager *m = h->manager;
    int rc;

    *ret_state = HF_OK;
    if (p == NULL)
        return h->driver.enlist(h->user, q->best->id, NULL);
    rc = h->driver.enlist(h->user, q->best->id, p->tx);
    if (hf__manager_is_current(m, &q->context) && (rc == HF_OK || rc == HF_EENLIST))
        *ret_state = hf__manager_tx_state(p->tx);
    return rc;
}

/* Call enlist, with the transaction or, p NULL, with none. */
static int enlist(struct request *q, struct hf__party *p)
{
    hf_holder *h = q->h;
    struct hf__record *r = q->best;
    struct hf__pin pin;
    int rc, state;

    if (p != NULL) {
        hf__party_join(p, r);
        hf__party_pin(p, &pin);
    }
    hf__unlock(h);
    rc = call_enlist(q, p, &state);
    HF_FAULT("holder:enlisted");
    hf__lock(h);
    if (p != NULL)
        hf__party_unpin(p, &pin);
    if (rc == HF_OK && p != NULL) {
        r->enlisted = r->active = r->dirty = true;
        h->stats.enlisted++;
        return state;
    }
    if (p != NULL)
        hf__party_leave(r);
    if (rc == HF_OK || rc == HF_NOT_ENLISTABLE) {
        r->dirty = r->dirty && p != NULL;
        return HF_OK;
    }
    r->dirty = true; /* who knows */
    r->doomed = r->doomed || rc != HF_EENLIST;
    rc = refused(q, "enlist", rc);
    return state == HF_OK ? rc : spoilt(q, state);
}

/* It comes to use again in the transaction that it is in. */
static int resume(struct request *q)
{
    hf_holder *h = q->h;
    struct hf__record *r = q->best;
    struct hf__party *p = r->party;
    struct hf__pin pin;
    int rc, state = HF_OK;

    if (r->active && h->driver.suspend != NULL)
        hf__suspend(h, r); /* still due: another thread had freed it */
    if (h->driver.resume == NULL || p->over)
        return HF_OK;
    hf__party_pin(p, &pin);
    hf__unlock(h);
    rc = h->driver.resume(h->user, r->id, p->tx);
    if (rc != HF_OK && hf__manager_is_current(h->manager, &q->context))
        state = hf__manager_tx_state(p->tx);
    HF_FAULT("holder:resumed");
    hf__lock(h);
    hf__party_unpin(p, &pin);
    r->active = rc == HF_OK;
    if (rc == HF_OK)
        return HF_OK;
    r->doomed = true; /* it is enlisted, and cannot be used */
    rc = refused(q, "resume", rc);
    return state == HF_OK ? rc : spoilt(q, state);
}

static int adapt(struct request *q)
{
    hf_holder *h = q->h;
    struct hf__record *r = q->best;
    int rc;

    hf__unlock(h);
    rc = h->driver.adapt(h->user, q->type, r->id);
    HF_FAULT("holder:adapted");
    hf__lock(h);
    if (rc == HF_OK)
        return HF_OK;
    hf__doom(h, r, rc);
    return hf__driver_failed(h, "adapt", rc);
}

/* Make it fit for the request. */
static int dress(struct request *q)
{
    hf_holder *h = q->h;
    bool adapts = h->driver.adapt != NULL && !q->made && q->rating < HF_RATING_PERFECT;
    int rc;

    if (q->best->party != NULL) {
        rc = resume(q);
        return rc == HF_OK && adapts ? adapt(q) : rc;
    }
    rc = adapts ? adapt(q) : HF_OK;
    if (rc != HF_OK || h->driver.enlist == NULL)
        return rc;
    if (q->context.tx == NULL)
        return q->best->dirty ? enlist(q, NULL) : HF_OK;
    if (!hf__manager_is_current(h->manager, &q->context))
        return ended(q); /* by a callback of this very call */
    if (q->party == NULL)
        rc = hf__party_get(h, &q->context, &q->party);
    if (rc == HF_OK)
        rc = enlist(q, q->party);
    return q->party != NULL && q->party->over ? ended(q) : rc;
}

/* -- handing out ------------------------------------------------------------------------------- */

/* The last look, before it is the caller's. */
static int check(struct request *q)
{
    const hf_holder *h = q->h;

    if (h->state != HF__OPEN)
        return hf__error(HF_ECLOSED, 0, "%s: closed", h->name);
    if (q->party != NULL && q->party->over)
        return ended(q);
    if (q->best->requested)
        return hf__error(HF_EDRIVER, 0, "%s: destroyed on request while it was allocated", h->name);
    return HF_OK;
}

static void hand_out(struct request *q, bool reused)
{
    hf_holder *h = q->h;
    struct hf__record *r = q->best;

    r->state = HF__USED;
    r->used = r->unclean = true;
    r->owner = q->context.owner;
    r->tag = q->context.tag;
    r->thread = pthread_self();
    r->leak_told = false;
    if (h->config.leak_ms != 0)
        r->since_ms = hf__monotonic_ms();
    h->stats.allocated++;
    h->stats.reused_enlisted += reused;
}

static __attribute__((noinline)) void tell(struct request *q)
{
    hf_holder *h = q->h;
    hf_event event = {.type = q->type,
                      .id = q->best->id,
                      .owner = q->context.owner,
                      .enlisted = q->best->party != NULL,
                      .tag = q->context.tag,
                      .rated = q->rated,
                      .rating = q->rating};

    if (q->made)
        event.rated = event.rating = 0;
    else
        event.type = q->best->kind->type;
    hf__unlock(h);
    hf__tell(h, q->made ? HF_EVENT_CREATE : HF_EVENT_ALLOCATE, NULL, &event);
    hf__lock(h);
}

/* Not handed out, after all. The failure that the caller hears of is this one, not what follows. */
static __attribute__((noinline)) void take_back(struct request *q, int rc)
{
    hf_error why = *hf_error_last();

    hf__settle(q->h, q->best, NULL);
    (void)hf__error(rc, why.native_code, "%s", why.text);
}

static int allocate(struct request *q, hf_resid *ret_id)
{
    hf_holder *h = q->h;
    bool reused;
    int rc = obtain(q);

    if (q->waiter.queued)
        hf__wait_done(h, &q->waiter);
    if (rc == HF_OK) {
        reused = q->best->party != NULL;
        rc = dress(q);
        if (rc == HF_OK)
            rc = check(q);
        if (rc == HF_OK) {
            *ret_id = q->best->id;
            hand_out(q, reused);
            if (hf__listens(h))
                tell(q);
        } else {
            take_back(q, rc);
        }
    }
    h->stats.rated += q->rated;
    if (q->party != NULL)
        hf__party_unref(q->party);
    return rc;
}

static int check_request(const hf_holder *h, hf_restype type, const hf_alloc *request,
                         const hf_resid *ret_id)
{
    int rc = hf__holder_check(h);

    if (rc == HF_OK && (type == 0 || ret_id == NULL))
        rc = hf__error(HF_EINVAL, 0, "%s: allocate: the type is 0, or nowhere to put the id",
                       h->name);
    if (rc == HF_OK && request != NULL &&
        (request->size != sizeof(*request) ||
         (request->flags & ~(HF_ALLOC_TX | HF_ALLOC_OWNER | HF_ALLOC_WAIT)) != 0))
        rc = hf__error(HF_EINVAL, 0, "%s: allocate: an unknown size or flag", h->name);
    return rc;
}

int hf_holder_alloc_with(hf_holder *h, hf_restype type, const hf_alloc *request, hf_resid *ret_id)
{
    uint32_t flags = request != NULL ? request->flags : 0;
    struct request q HF__UNFILLED; /* the waiter is big, and seldom used */
    struct hf__call call;
    int rc = check_request(h, type, request, ret_id);

    if (rc == HF_OK)
        rc = hf__manager_tx(h->manager, request, &q.context);
    if (rc != HF_OK)
        return rc;
    q.h = h;
    q.type = type;
    q.waiter.queued = false;
    hf__list_init(&q.waiter.link);
    q.party = NULL;
    hf__list_init(&q.aside);
    q.best = NULL;
    q.rating = q.rated = 0;
    q.made = false;
    q.wait_ms = (flags & HF_ALLOC_WAIT) != 0 ? request->wait_ms : h->config.wait_ms;
    q.context.tag = request != NULL ? request->tag : NULL;
    q.context.owner = (flags & HF_ALLOC_OWNER) != 0 ? request->owner : 0;
    hf__enter(h, &call);
    if ((flags & HF_ALLOC_OWNER) == 0 && h->manager->config.owner != NULL) {
        hf__unlock(h);
        q.context.owner = h->manager->config.owner(h->manager->config.user);
        hf__lock(h);
    }
    rc = allocate(&q, ret_id);
    hf__leave(h, &call);
    return rc;
}

int hf_holder_alloc(hf_holder *h, hf_restype type, hf_resid *ret_id)
{
    return hf_holder_alloc_with(h, type, NULL, ret_id);
}
