/*
 * holder/party.c - what a holder has in one transaction, from its first enlistment to its end.
 *
 * tm calls the watch when the transaction is over, and frees it after that. The watch belongs to
 * one holder: it gets its party as an argument, so the end of a transaction needs neither a table
 * shared by all holders nor a lock beside the holder's own, and the two watches that a transaction
 * has room for without allocating are two holders. A transaction is found by its handle: the watch
 * takes the party out of the table before the handle can be used for a later one.
 *
 * Invariants
 *   P1  The watch is registered before the first enlist: no end is missed.
 *   P2  The watch returns when no other thread is in a callback with this transaction in its hand.
 *       One that ends the transaction in such a callback does not wait for itself.
 *
 * If we crash after ...            recovery ...                          failpoint
 *   the watch was registered       has nothing to do                     holder:watched
 *   the end was noted              has nothing to do: tm's part is over  holder:ended
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "room.h"

static size_t bucket(const hf_tx *tx)
{
    return (size_t)((uintptr_t)tx >> 6) % HF__PARTY_BUCKETS;
}

struct hf__party *hf__party_find(const hf_holder *h, const hf_tx *tx)
{
    struct hf__party *p = h->parties[bucket(tx)];

    while (p != NULL && p->tx != tx)
        p = p->next;
    return p;
}

void hf__party_unref(struct hf__party *p)
{
    hf_holder *h = p->holder;

    p->refs--;
    if (p->refs > 0)
        return;
    h->party_count--;
    if (h->spare_party_count >= HF__FREE_PARTIES_MAX) {
        free(p);
        return;
    }
    p->next = h->spare_parties;
    h->spare_parties = p;
    h->spare_party_count++;
}

void hf__party_join(struct hf__party *p, struct hf__record *r)
{
    r->party = p;
    hf__list_push(&p->members, &r->member);
    p->refs++;
}

void hf__party_leave(struct hf__record *r)
{
    struct hf__party *p = r->party;

    hf__list_remove(&r->member);
    r->party = NULL;
    r->enlisted = r->active = false;
    if (p->holder->state != HF__OPEN)
        (void)pthread_cond_broadcast(&p->holder->changed); /* a close may wait for it */
    hf__party_unref(p);
}

/* -- the end ----------------------------------------------------------------------------------- */

static bool pinned_by_others(const struct hf__party *p)
{
    const struct hf__pin *pin = p->pins;

    while (pin != NULL && pthread_equal(pin->thread, pthread_self()))
        pin = pin->next;
    return pin != NULL;
}

/* One that no thread works on. Those that are worked on will be settled, with party.over set. */
static struct hf__record *stable_member(const struct hf__party *p)
{
    for (struct hf__list *at = p->members.next; at != &p->members; at = at->next) {
        struct hf__record *r = HF__OF(struct hf__record, member, at);

        if (r->state == HF__KEPT || r->state == HF__USED || r->state == HF__TRACKED)
            return r;
    }
    return NULL;
}

/* hf_sync.after */
static void on_end(void *user, const XID *xid, hf_outcome outcome)
{
    struct hf__party *p = user;
    hf_holder *h = p->holder;
    struct hf__party **at;
    struct hf__record *r;
    struct hf__call call;

    hf__enter(h, &call);
    p->over = true;
    p->xid = *xid;
    p->outcome = outcome;
    at = &h->parties[bucket(p->tx)];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    HF_FAULT("holder:ended");
    while ((r = stable_member(p)) != NULL) { /* bound: each leaves */
        hf__list_remove(&r->link);
        r->state = HF__ENDING;
        hf__settle(h, r, NULL);
    }
    while (pinned_by_others(p))
        (void)pthread_cond_wait(&h->changed, &h->lock);
    hf__party_unref(p);
    hf__leave(h, &call);
}

/* -- the beginning ----------------------------------------------------------------------------- */

static struct hf__party *take(hf_holder *h)
{
    struct hf__party *p = h->spare_parties;

    if (p != NULL) {
        h->spare_parties = p->next;
        h->spare_party_count--;
    } else {
        p = malloc(sizeof(*p));
    }
    if (p == NULL)
        return NULL;
    p->holder = h;
    p->over = false;
    p->pins = NULL;
    p->refs = 1;
    hf__list_init(&p->kept);
    hf__list_init(&p->members);
    h->party_count++;
    return p;
}

int hf__party_get(hf_holder *h, const struct hf__context *c, struct hf__party **ret)
{
    struct hf__party *p = hf__party_find(h, c->tx);
    hf_sync sync = {.after = on_end};
    int rc;

    if (p == NULL) {
        p = take(h);
        if (p == NULL)
            return hf__error(HF_ENOMEM, ENOMEM, "%s: watch a transaction", h->name);
        p->tx = c->tx;
        sync.user = p;
        hf__unlock(h); /* nobody else makes it: the transaction is this thread's */
        rc = hf__manager_is_current(h->manager, c) ? hf_tx_watch(c->tx, &sync)
                                                   : hf__error(HF_ESTATE, 0, "it is over");
        HF_FAULT("holder:watched");
        hf__lock(h);
        if (rc != HF_OK) {
            hf__party_unref(p);
            return rc;
        }
        p->next = h->parties[bucket(p->tx)];
        h->parties[bucket(p->tx)] = p;
    }
    p->refs++;
    *ret = p;
    return HF_OK;
}
