/*
 * holder/track.c - resources that the caller made itself, watched until they may be destroyed.
 *
 * A tracked one is destroyed when both hold, in either order: it was untracked or its owner ended
 * (record.released), and its transaction, if any, is over. It is in the same table as the pooled
 * ones, so one id is never both; those named by strings are a namespace of their own.
 */
#include <errno.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "room.h"

/* Enlist it, if the driver can. The record is PICKED. */
static int enlist(hf_holder *h, struct hf__record *r, const struct hf__context *c)
{
    struct hf__party *p = NULL;
    struct hf__pin pin;
    int rc, state = HF_OK;

    if (c->tx == NULL || (r->sid == NULL ? h->driver.enlist == NULL : h->driver.enlist_s == NULL))
        return HF_OK;
    rc = hf__party_get(h, c, &p);
    if (rc != HF_OK)
        return rc;
    hf__party_join(p, r);
    hf__party_pin(p, &pin);
    hf__unlock(h);
    rc = r->sid == NULL ? h->driver.enlist(h->user, r->id, p->tx)
                        : h->driver.enlist_s(h->user, r->sid, p->tx);
    if (!hf__manager_is_current(h->manager, c))
        state = hf__error(HF_ESTATE, 0, "%s: the transaction is over", h->name);
    else if (rc == HF_OK || rc == HF_EENLIST)
        state = hf__manager_tx_state(p->tx);
    HF_FAULT("holder:tracking");
    hf__lock(h);
    hf__party_unpin(p, &pin);
    if (p->over && p->outcome == HF_ROLLEDBACK)
        state = hf__error(HF_EROLLEDBACK, 0, "%s: the transaction was rolled back", h->name);
    r->enlisted = rc == HF_OK;
    h->stats.enlisted += rc == HF_OK;
    if (rc != HF_OK || state != HF_OK)
        hf__party_leave(r);
    hf__party_unref(p);
    if (state != HF_OK)
        return state;
    if (rc == HF_OK || rc == HF_NOT_ENLISTABLE)
        return HF_OK;
    h->stats.failed_enlist++;
    if (rc == HF_EENLIST)
        return hf__error(HF_EENLIST, 0, "%s: the driver's enlist refused", h->name);
    return hf__driver_failed(h, "enlist", rc);
}

/* Known from here on, if nobody has it yet. */
static int add(hf_holder *h, hf_resid id, const char *sid, hf_owner owner, struct hf__record **ret)
{
    struct hf__record *r;

    if (h->state != HF__OPEN)
        return hf__error(HF_ECLOSED, 0, "%s: closed", h->name);
    if (sid != NULL ? hf__find_s(h, sid) != NULL : hf__find(h, id) != NULL)
        return hf__error(HF_EINVAL, 0, "%s: track: known already", h->name);
    r = hf__record_take(h);
    if (r != NULL && sid != NULL)
        r->sid = strdup(sid);
    if (r == NULL || (sid != NULL && r->sid == NULL)) {
        if (r != NULL)
            hf__record_put_back(h, r);
        return hf__error(HF_ENOMEM, ENOMEM, "%s: track", h->name);
    }
    r->id = sid == NULL ? id : 0;
    r->tracked = true;
    r->owner = owner;
    r->thread = pthread_self();
    r->made_ms = hf__monotonic_ms();
    r->state = HF__PICKED;
    hf__record_add(h, r);
    *ret = r;
    return HF_OK;
}

static int track(hf_holder *h, hf_resid id, const char *sid)
{
    struct hf__context c;
    struct hf__record *r = NULL;
    struct hf__call call;
    int rc = hf__holder_check(h);

    if (rc == HF_OK && (sid != NULL ? *sid == '\0' : id == 0))
        rc = hf__error(HF_EINVAL, 0, "%s: track: not a name", h->name);
    if (rc == HF_OK)
        rc = hf__manager_tx(h->manager, NULL, &c);
    if (rc != HF_OK)
        return rc;
    c.owner = 0;
    hf__enter(h, &call);
    if (h->manager->config.owner != NULL) {
        hf__unlock(h);
        c.owner = h->manager->config.owner(h->manager->config.user);
        hf__lock(h);
    }
    rc = add(h, id, sid, c.owner, &r);
    if (rc == HF_OK) {
        rc = enlist(h, r, &c);
        if (rc != HF_OK) {
            hf__record_drop(h, r); /* still the caller's */
        } else {
            hf__unlock(h);
            hf__tell(h, HF_EVENT_TRACK, r, NULL);
            hf__lock(h);
            hf__settle(h, r, NULL);
        }
    }
    hf__leave(h, &call);
    return rc;
}

int hf_holder_track(hf_holder *h, hf_resid id)
{
    return track(h, id, NULL);
}

int hf_holder_track_s(hf_holder *h, const char *sid)
{
    return track(h, 0, sid != NULL ? sid : "");
}

/* -- untrack ----------------------------------------------------------------------------------- */

static int untrack(hf_holder *h, hf_resid id, const char *sid, int destroy)
{
    struct hf__answers answers = {HF_OK, HF_OK};
    struct hf__record *r;
    struct hf__call call;
    int rc = hf__holder_check(h);

    if (rc != HF_OK)
        return rc;
    hf__enter(h, &call);
    r = sid != NULL ? hf__find_s(h, sid) : hf__find(h, id);
    if (r == NULL || !r->tracked || r->released || r->forgotten ||
        (r->state != HF__TRACKED && r->state != HF__ENDING)) {
        hf__leave(h, &call);
        return hf__error(HF_EINVAL, 0, "untrack: not tracked");
    }
    r->released = true;
    r->forgotten = destroy == 0;
    if (r->state == HF__TRACKED) {
        r->state = HF__RESETTING;
        if (r->forgotten && r->party != NULL)
            hf__party_leave(r);
        hf__settle(h, r, &answers);
    }
    rc = answers.destroy == HF_OK ? HF_OK : hf__driver_failed(h, "destroy", answers.destroy);
    hf__leave(h, &call);
    return rc;
}

int hf_holder_untrack(hf_holder *h, hf_resid id, int destroy)
{
    return untrack(h, id, NULL, destroy);
}

int hf_holder_untrack_s(hf_holder *h, const char *sid, int destroy)
{
    return untrack(h, 0, sid != NULL ? sid : "", destroy);
}
