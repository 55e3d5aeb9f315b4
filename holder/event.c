/*
 * holder/event.c - events, counters, and the driver's failures as ours.
 *
 * An event is told in the thread in which it happens, without a lock. Where nobody listens nothing
 * is copied.
 */
#include <string.h>

#include "room.h"

void hf__tell_listener(hf_holder *h, hf_event_kind kind, const struct hf__record *r,
                       const hf_event *more)
{
    hf_event event = {.tag = ""};

    if (more != NULL)
        event = *more;
    event.size = sizeof(event);
    event.kind = kind;
    event.holder = h;
    event.name = h->name;
    if (r != NULL) {
        event.type = r->kind != NULL ? r->kind->type : 0;
        event.id = r->id;
        event.sid = r->sid;
        event.owner = r->owner;
        event.enlisted = r->party != NULL;
        event.tag = r->tag;
    }
    if (event.tag == NULL)
        event.tag = "";
    h->manager->config.event(h->manager->config.user, &event);
}

int hf__driver_failed(const hf_holder *h, const char *call, int code)
{
    return hf__error(HF_EDRIVER, code, "%s: the driver's %s answered %d", h->name, call, code);
}

/* -- counters ---------------------------------------------------------------------------------- */

static void count(hf_holder *h, struct hf__record *r, void *arg)
{
    hf_holder_stats *s = arg;
    bool enlisted = r->party != NULL && !r->party->over;

    (void)h;
    if (r->tracked)
        s->tracked++;
    else if (r->used || r->state == HF__PICKED || r->state == HF__RESETTING)
        enlisted ? s->used_enlisted++ : s->used++;
    else if (r->state != HF__DESTROYING)
        enlisted ? s->idle_enlisted++ : s->idle++;
    if (!r->tracked && (r->doomed || r->state == HF__DESTROYING))
        s->doomed++;
}

int hf_holder_get_stats(hf_holder *h, hf_holder_stats *ret_stats)
{
    int rc = hf__holder_check(h);
    struct hf__call call;

    if (rc == HF_OK && (ret_stats == NULL || ret_stats->size != sizeof(*ret_stats)))
        rc = hf__error(HF_EINVAL, 0, "stats: nowhere to put them, or an unknown size");
    if (rc != HF_OK)
        return rc;
    hf__enter(h, &call);
    *ret_stats = h->stats;
    ret_stats->size = sizeof(*ret_stats);
    ret_stats->waiting = h->waiting;
    hf__each_record(h, count, ret_stats); /* a count for each change of state would cost more */
    hf__leave(h, &call);
    return HF_OK;
}
