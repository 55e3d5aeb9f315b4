/*
 * holder/manager.c - the manager: its holders, the context of a request, the background thread.
 *
 * The lock guards the list of holders. Walks go by the holders' serials, one holder at a time, with
 * a call entered in it and the manager's lock let go: so a holder that hangs in a driver holds up
 * nobody but its own visitor, and none is freed under one.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "room.h"

enum { SWEEP_MS = 10000, RETRY_MS = 1000 };

int hf__manager_check(const hf_manager *m)
{
    if (m == NULL || m->magic != HF__MANAGER_MAGIC)
        return hf__error(HF_EINVAL, 0, "not a manager");
    if (m->process != hf__process())
        return hf__error(HF_EFORK, 0, "the manager belongs to the parent process");
    return HF_OK;
}

static void lock(hf_manager *m)
{
    (void)pthread_mutex_lock(&m->lock);
}

static void unlock(hf_manager *m)
{
    (void)pthread_mutex_unlock(&m->lock);
}

static void enter(hf_manager *m, struct hf__call *call)
{
    call->thread = pthread_self();
    lock(m);
    hf__list_push(&m->calls, &call->link);
    unlock(m);
}

static void leave(hf_manager *m, struct hf__call *call)
{
    lock(m);
    hf__list_remove(&call->link);
    (void)pthread_cond_broadcast(&m->changed);
    unlock(m);
}

/* -- context ----------------------------------------------------------------------------------- */

int hf__manager_tx_state(hf_tx *tx)
{
    hf_tx_state state;
    int rc = hf_tx_get_state(tx, &state);

    if (rc != HF_OK)
        return rc;
    if (state == HF_TX_ACTIVE)
        return HF_OK;
    if (state == HF_TX_COMPLETING)
        return hf__error(HF_ESTATE, 0, "the transaction is completing");
    return hf__error(HF_EROLLEDBACK, 0, "the transaction can only roll back");
}

int hf__manager_tx_named(hf_manager *m, const hf_alloc *request, struct hf__context *ret)
{
    ret->tx = request->tx;
    if (ret->tx == NULL)
        return HF_OK;
    if (ret->tx != hf_tx_current(m->config.tm))
        return hf__error(HF_ETHREAD, 0, "the transaction is not the calling thread's");
    return hf__manager_tx_state(ret->tx);
}

bool hf__manager_is_current(hf_manager *m, const struct hf__context *c)
{
    return hf_tx_current(m->config.tm) == c->tx;
}

int hf_manager_context(hf_manager *m, hf_owner *ret_owner, hf_tx **ret_tx)
{
    struct hf__call call;
    int rc = hf__manager_check(m);

    if (rc != HF_OK)
        return rc;
    enter(m, &call);
    if (ret_owner != NULL)
        *ret_owner = m->config.owner != NULL ? m->config.owner(m->config.user) : 0;
    if (ret_tx != NULL)
        *ret_tx = m->config.tm != NULL ? hf_tx_current(m->config.tm) : NULL;
    leave(m, &call);
    return HF_OK;
}

/* -- walks ------------------------------------------------------------------------------------- */

hf_holder *hf__manager_next(hf_manager *m, uint64_t *serial, struct hf__call *call)
{
    hf_holder *found = NULL;

    lock(m);
    for (struct hf__list *at = m->holders.next; at != &m->holders && found == NULL; at = at->next) {
        hf_holder *h = HF__OF(hf_holder, sibling, at);

        if (h->serial <= *serial)
            continue;
        hf__enter(h, call); /* manager before holder */
        if (!h->dying) {
            found = h;
            *serial = h->serial;
        } else {
            hf__list_remove(&call->link);
        }
        hf__unlock(h);
    }
    unlock(m);
    return found;
}

int hf_manager_tick(hf_manager *m, uint32_t *ret_next_ms)
{
    uint32_t every_ms;
    struct hf__call call, visit;
    uint64_t now, serial = 0;
    bool is_due;
    hf_holder *h;
    int rc = hf__manager_check(m);

    if (rc != HF_OK)
        return rc;
    enter(m, &call);
    every_ms = m->config.sweep_ms != 0 ? m->config.sweep_ms : SWEEP_MS;
    now = hf__monotonic_ms();
    lock(m);
    is_due = now >= m->due_ms;
    if (is_due)
        m->due_ms = now + every_ms;
    unlock(m);
    while (is_due && (h = hf__manager_next(m, &serial, &visit)) != NULL) {
        hf__lock(h);
        if (h->state == HF__OPEN)
            hf__sweep(h);
        hf__leave(h, &visit);
    }
    if (ret_next_ms != NULL) {
        now = hf__monotonic_ms();
        lock(m);
        *ret_next_ms = now < m->due_ms ? (uint32_t)(m->due_ms - now) : 0;
        unlock(m);
    }
    leave(m, &call);
    return HF_OK;
}

/* -- the end of an owner ----------------------------------------------------------------------- */

struct reclaiming {
    hf_owner owner;
    struct hf__list taken;
};

static void reclaim(hf_holder *h, struct hf__record *r, void *arg)
{
    struct reclaiming *c = arg;

    if (r->owner != c->owner || (r->tracked ? r->released : !r->used) ||
        (!r->tracked && (h->config.flags & HF_HOLDER_RECLAIM) == 0))
        return;
    h->stats.reclaimed++;
    r->released = r->tracked;
    r->unreset = !r->tracked;
    r->used = false;
    r->tag = NULL;
    if (r->state != HF__USED && r->state != HF__TRACKED)
        return; /* whoever has it goes on with it */
    r->state = HF__RESETTING;
    hf__list_append(&c->taken, &r->link);
}

int hf_manager_owner_end(hf_manager *m, hf_owner owner)
{
    struct reclaiming c = {.owner = owner};
    struct hf__call call, visit;
    uint64_t serial = 0;
    hf_holder *h;
    int rc = hf__manager_check(m);

    if (rc == HF_OK && owner == 0)
        rc = hf__error(HF_EINVAL, 0, "the end of an owner: 0 is nobody");
    if (rc != HF_OK)
        return rc;
    hf__list_init(&c.taken);
    enter(m, &call);
    while ((h = hf__manager_next(m, &serial, &visit)) != NULL) {
        hf__lock(h);
        hf__each_record(h, reclaim, &c);
        HF_FAULT("holder:reclaiming");
        hf__settle_all(h, &c.taken);
        hf__leave(h, &visit);
    }
    leave(m, &call);
    return HF_OK;
}

/* -- our thread -------------------------------------------------------------------------------- */

static void *work(void *arg)
{
    hf_manager *m = arg;
    uint32_t next_ms;

    lock(m);
    while (!m->stop) {
        unlock(m);
        if (hf_manager_tick(m, &next_ms) != HF_OK)
            next_ms = RETRY_MS;
        lock(m);
        if (!m->stop)
            (void)hf__cond_wait_until(&m->changed, &m->lock,
                                      hf__now_us() + (uint64_t)next_ms * 1000);
    }
    unlock(m);
    return NULL;
}

int hf__manager_start_thread(hf_manager *m)
{
    sigset_t all, before;
    int error;

    if (m->config.background == 0 || m->has_thread)
        return HF_OK;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the host's signals are not for it */
    error = pthread_create(&m->thread, NULL, work, m);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return hf__error(HF_EIO, error, "start the manager's thread: %s", strerror(error));
    m->has_thread = true;
    return HF_OK;
}

/* -- open and close ---------------------------------------------------------------------------- */

int hf_manager_open(const hf_manager_config *config, hf_manager **ret)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_manager *m;

    if (config == NULL || ret == NULL || config->size != sizeof(*config) || config->background > 1)
        return hf__error(HF_EINVAL, 0, "open a manager: the configuration is not valid");
    if (config->tm != NULL) { /* is it one, and this process's? */
        int rc = hf_tm_get_stats(config->tm, &stats);

        if (rc != HF_OK)
            return rc;
    }
    m = calloc(1, sizeof(*m));
    if (m == NULL || pthread_mutex_init(&m->lock, NULL) != 0)
        goto fail;
    if (hf__cond_init(&m->changed) != 0) {
        (void)pthread_mutex_destroy(&m->lock);
        goto fail;
    }
    m->magic = HF__MANAGER_MAGIC;
    m->process = hf__process();
    m->config = *config;
    hf__list_init(&m->holders);
    hf__list_init(&m->calls);
    *ret = m;
    return HF_OK;
fail:
    free(m);
    return hf__error(HF_ENOMEM, ENOMEM, "open a manager");
}

static bool is_among(const struct hf__list *calls, pthread_t thread)
{
    for (const struct hf__list *at = calls->next; at != calls; at = at->next)
        if (pthread_equal(HF__OF(struct hf__call, link, at)->thread, thread))
            return true;
    return false;
}

/* Is the calling thread in a call already? Then it was one of our callbacks that called. */
static bool is_inside(hf_manager *m)
{
    bool inside;

    lock(m);
    inside = is_among(&m->calls, pthread_self());
    for (struct hf__list *at = m->holders.next; at != &m->holders && !inside; at = at->next) {
        hf_holder *h = HF__OF(hf_holder, sibling, at);

        hf__lock(h);
        inside = is_among(&h->calls, pthread_self());
        hf__unlock(h);
    }
    unlock(m);
    return inside;
}

/* Is nobody but the caller in it, and nothing left? */
static bool is_alone(const hf_holder *h)
{
    return hf__holder_left(h) == 0 && h->party_count == 0 && h->calls.next->next == &h->calls;
}

static void close_one(hf_holder *h, uint64_t until_us)
{
    int error = 0;

    hf__holder_shut(h);
    while (error != ETIMEDOUT && !is_alone(h))
        error = hf__cond_wait_until(&h->changed, &h->lock, until_us);
}

/* Nobody is in, nothing is left: it is over. With the lock held. False: not yet; counts. */
static bool is_empty(hf_manager *m, unsigned *ret_left)
{
    bool empty = hf__list_empty(&m->calls);

    *ret_left = 0;
    for (struct hf__list *at = m->holders.next; at != &m->holders; at = at->next) {
        hf_holder *h = HF__OF(hf_holder, sibling, at);

        hf__lock(h);
        *ret_left += hf__holder_left(h);
        empty = empty && !h->dying && h->told_release && h->party_count == 0 &&
                hf__list_empty(&h->calls);
        hf__unlock(h);
    }
    return empty && *ret_left == 0;
}

static void free_manager(hf_manager *m)
{
    if (m->has_thread)
        (void)pthread_join(m->thread, NULL); /* cannot fail: ours, joined once */
    while (!hf__list_empty(&m->holders)) {
        hf_holder *h = HF__OF(hf_holder, sibling, m->holders.next);

        hf__list_remove(&h->sibling);
        hf__holder_free(h);
    }
    m->magic = 0;
    (void)pthread_cond_destroy(&m->changed);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

int hf_manager_close(hf_manager *m, uint32_t wait_ms, unsigned *ret_left)
{
    uint64_t until_us = hf__now_us() + (uint64_t)wait_ms * 1000, serial = 0;
    struct hf__call visit;
    unsigned left = 0;
    bool empty;
    hf_holder *h;
    int rc = hf__manager_check(m), error = 0;

    if (rc == HF_OK && is_inside(m))
        rc = hf__error(HF_ESTATE, 0, "close a manager from one of its callbacks");
    if (rc != HF_OK)
        return rc;
    lock(m);
    m->closing = true;
    unlock(m);
    while ((h = hf__manager_next(m, &serial, &visit)) != NULL) {
        hf__lock(h);
        close_one(h, until_us);
        hf__leave(h, &visit);
    }
    lock(m);
    empty = is_empty(m, &left);
    while (!empty && left == 0 && error != ETIMEDOUT) { /* somebody is just leaving */
        error = hf__cond_wait_until(&m->changed, &m->lock, until_us);
        empty = is_empty(m, &left);
    }
    m->stop = empty;
    if (empty)
        (void)pthread_cond_broadcast(&m->changed);
    unlock(m);
    if (ret_left != NULL)
        *ret_left = left;
    if (!empty)
        return hf__error(HF_EBUSY, 0, "close a manager: %u resources are left", left);
    free_manager(m);
    return HF_OK;
}
