/*
 * holder/sweep.c - what time does to a holder: idle limits, lifetimes, leaks, minimum inventory.
 *
 * Never before its limit: only general inventory ages, and the clock is the monotonic one, so that
 * a wall clock that jumps does not empty the pool.
 */
#include <stdio.h>

#include "holdfast/internal/fault.h"
#include "room.h"

/* -- idle and old ------------------------------------------------------------------------------ */

static bool is_due(hf_holder *h, const struct hf__record *r, uint64_t now)
{
    bool old = r->ends_ms != 0 && now >= r->ends_ms;
    bool idle = r->idle_s >= 0 && now - r->since_ms >= (uint64_t)r->idle_s * 1000 &&
                r->kind->count - r->kind->leaving > r->kind->stock;

    if (old)
        h->stats.expired_life++;
    else if (idle)
        h->stats.expired_idle++;
    return old || idle;
}

static void expire(hf_holder *h)
{
    uint64_t now = hf__monotonic_ms();
    struct hf__list due;

    hf__list_init(&due);
    for (struct hf__list *at = h->idle.prev, *before; at != &h->idle; at = before) {
        struct hf__record *r = HF__OF(struct hf__record, link, at);

        before = at->prev;
        if (r->state != HF__IDLE || !is_due(h, r, now))
            continue;
        hf__list_remove(&r->link);
        r->state = HF__DESTROYING;
        r->doomed = true;
        hf__list_append(&due, &r->link);
        r->kind->leaving++; /* counted until it is gone */
    }
    while (!hf__list_empty(&due)) {
        struct hf__record *r = HF__OF(struct hf__record, link, due.next);

        hf__list_remove(&r->link);
        r->kind->leaving--;
        HF_FAULT("holder:expired");
        hf__settle(h, r, NULL);
    }
}

void hf__shrink(hf_holder *h)
{
    struct hf__list surplus;
    uint32_t count = h->pooled + h->creating;

    if (h->config.max == 0)
        return;
    hf__list_init(&surplus);
    for (struct hf__list *at = h->idle.prev, *before; at != &h->idle && count > h->config.max;
         at = before) {
        struct hf__record *r = HF__OF(struct hf__record, link, at);

        before = at->prev;
        if (r->state != HF__IDLE)
            continue;
        hf__list_remove(&r->link);
        r->state = HF__DESTROYING;
        r->doomed = true;
        hf__list_append(&surplus, &r->link);
        count--;
    }
    hf__settle_all(h, &surplus);
}

/* -- leaks ------------------------------------------------------------------------------------- */

/* The next one in use for too long that nobody was told of; copied: it may be freed meanwhile. */
struct leak {
    uint64_t now;
    bool found;
    hf_event event;
    char tag[64];
};

static void find_leak(hf_holder *h, struct hf__record *r, void *arg)
{
    struct leak *l = arg;

    if (l->found || !r->used || r->tracked || r->leak_told ||
        l->now - r->since_ms < h->config.leak_ms)
        return;
    r->leak_told = l->found = true;
    h->stats.leaks++;
    (void)snprintf(l->tag, sizeof(l->tag), "%s", r->tag != NULL ? r->tag : "");
    l->event = (hf_event){.type = r->kind->type,
                          .id = r->id,
                          .owner = r->owner,
                          .enlisted = r->party != NULL,
                          .age_ms = l->now - r->since_ms,
                          .thread = (uint64_t)r->thread,
                          .tag = l->tag};
}

static void tell_leaks(hf_holder *h)
{
    struct leak l = {.now = hf__monotonic_ms(), .found = true};

    while (l.found) { /* bound: each is told once */
        l.found = false;
        hf__each_record(h, find_leak, &l);
        if (l.found && hf__listens(h)) {
            hf__unlock(h);
            hf__tell(h, HF_EVENT_LEAK, NULL, &l.event);
            hf__lock(h);
        }
    }
}

/* -- minimum inventory ------------------------------------------------------------------------- */

int hf__fill(hf_holder *h, hf_restype type)
{
    int rc = HF_OK;

    while (rc == HF_OK && h->state == HF__OPEN) { /* bound: one more each time */
        struct hf__kind *kind = hf__kind_of(h, type);
        struct hf__record *r;

        if (kind == NULL || kind->count >= kind->stock || !hf__has_room(h))
            break;
        rc = hf__make(h, type, &r);
        if (rc == HF_OK)
            hf__settle(h, r, NULL);
    }
    return rc;
}

/* A type that lacks some and was not seen to in this sweep; NULL: no more. */
static struct hf__kind *next_lacking(hf_holder *h)
{
    for (unsigned i = 0; i < HF__KIND_BUCKETS; i++)
        for (struct hf__kind *kind = h->kinds[i]; kind != NULL; kind = kind->next)
            if (kind->count < kind->stock && kind->swept != h->sweeps)
                return kind;
    return NULL;
}

/* A driver that cannot make one is asked again by the next sweep. */
static void fill_all(hf_holder *h)
{
    struct hf__kind *kind;

    h->sweeps++;
    while (hf__has_room(h) && (kind = next_lacking(h)) != NULL) {
        kind->swept = h->sweeps;
        (void)hf__fill(h, kind->type);
    }
}

void hf__sweep(hf_holder *h)
{
    expire(h);
    if (h->config.leak_ms != 0)
        tell_leaks(h);
    fill_all(h);
}
