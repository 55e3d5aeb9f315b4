/*
 * holder/wait.c - the queue of allocations while the holder is full or paused.
 *
 * First come, first served. Who waits sleeps on a condition variable on his own stack. The first
 * one stays at the head while he looks, so that newcomers queue behind him, and wakes the next when
 * he leaves with something. Others are woken for what appears in their own transaction alone.
 *
 * Invariants
 *   W1  If somebody waits, and the holder is not paused, and there is room or a resource in general
 *       inventory, the first one is awake.
 *   W2  Nobody sleeps after a change that he has not seen: `news` counts them, and who is to sleep
 *       compares it with what it was when he began to look.
 */
#include <errno.h>
#include <time.h>

#include "room.h"

int hf__cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);

    if (error != 0)
        return error;
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* known to Linux */
    error = pthread_cond_init(cond, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return error;
}

int hf__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_us)
{
    const struct timespec ts = {.tv_sec = (time_t)(until_us / 1000000),
                                .tv_nsec = (long)(until_us % 1000000) * 1000};

    return pthread_cond_timedwait(cond, lock, &ts);
}

uint64_t hf__now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void rouse(struct hf__waiter *w)
{
    if (w->awake)
        return;
    w->awake = true;
    (void)pthread_cond_signal(&w->wake);
}

static struct hf__waiter *first(const hf_holder *h)
{
    return hf__list_empty(&h->queue) ? NULL : HF__OF(struct hf__waiter, link, h->queue.next);
}

void hf__wake(hf_holder *h)
{
    struct hf__waiter *w = first(h);

    h->news++;
    if (w != NULL)
        rouse(w);
}

void hf__wake_party(hf_holder *h, const struct hf__party *p)
{
    h->news++;
    for (struct hf__list *at = h->queue.next; at != &h->queue; at = at->next) {
        struct hf__waiter *w = HF__OF(struct hf__waiter, link, at);

        if (w->tx == p->tx)
            rouse(w);
    }
}

void hf__wake_all(hf_holder *h)
{
    h->news++;
    for (struct hf__list *at = h->queue.next; at != &h->queue; at = at->next)
        rouse(HF__OF(struct hf__waiter, link, at));
}

bool hf__wait_turn(const hf_holder *h, const struct hf__waiter *w)
{
    return !h->paused && (hf__list_empty(&h->queue) || h->queue.next == &w->link);
}

void hf__wait_done(hf_holder *h, struct hf__waiter *w)
{
    if (!w->queued)
        return;
    hf__list_remove(&w->link);
    w->queued = false;
    h->waiting--;
    h->stats.wait_us += hf__now_us() - w->since_us;
    (void)pthread_cond_destroy(&w->wake);
    if (!h->paused && (!hf__list_empty(&h->idle) || hf__has_room(h)))
        hf__wake(h); /* W1 */
}

static int join(hf_holder *h, struct hf__waiter *w, const struct hf__context *c)
{
    int error = hf__cond_init(&w->wake);

    if (error != 0)
        return hf__error(HF_ENOMEM, error, "%s: wait", h->name);
    w->tx = c->tx;
    w->since_us = hf__now_us();
    w->queued = w->awake = true;
    hf__list_append(&h->queue, &w->link);
    h->waiting++;
    h->stats.waits++;
    return HF_OK;
}

/* Told without the lock, for somebody who has no resource. */
static void tell(hf_holder *h, hf_event_kind kind, hf_restype type, const struct hf__waiter *w,
                 const struct hf__context *c)
{
    const hf_event event = {.type = type,
                            .owner = c->owner,
                            .enlisted = c->tx != NULL,
                            .tag = c->tag,
                            .age_ms = (hf__now_us() - w->since_us) / 1000};

    if (!hf__listens(h))
        return;
    hf__unlock(h);
    hf__tell(h, kind, NULL, &event);
    hf__lock(h);
}

int hf__wait(hf_holder *h, struct hf__waiter *w, hf_restype type, const struct hf__context *c,
             uint32_t wait_ms, uint64_t news)
{
    int error = 0, rc;

    if (wait_ms == 0)
        return hf__error(HF_ELIMIT, 0, "%s: %s", h->name, h->paused ? "paused" : "full");
    if (!w->queued) {
        rc = join(h, w, c);
        if (rc != HF_OK)
            return rc;
        tell(h, HF_EVENT_WAIT, type, w, c);
    }
    if (h->news != news) /* W2 */
        return HF_OK;
    w->awake = false;
    while (!w->awake && error != ETIMEDOUT)
        error = hf__cond_wait_until(&w->wake, &h->lock, w->since_us + (uint64_t)wait_ms * 1000);
    if (w->awake)
        return HF_OK;
    h->stats.timeouts++;
    tell(h, HF_EVENT_TIMEOUT, type, w, c);
    return hf__error(HF_ETIMEOUT, 0, "%s: no resource in %u ms", h->name, wait_ms);
}
