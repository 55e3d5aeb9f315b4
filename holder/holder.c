/*
 * holder/holder.c - a holder as a whole: open, close, release, resize, pause; calls in progress.
 *
 *   OPEN --close(WAIT), transactions run--> CLOSING --close--> CLOSED
 *     `-----------------close, release------------------------^
 *
 * In both of the later states nothing new begins, and what leaves use is destroyed. `released`
 * follows when CLOSED and nothing is left; the memory, when no handle is used any more and the last
 * call has left.
 *
 * Who frees a holder says `dying` under its lock: then nobody is in it, and nobody comes in, for
 * the manager's walk skips it. The lock order allows to take it off the manager's list only after
 * that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "room.h"

enum { BUCKETS_FIRST = 64 };

int hf__holder_bad(const hf_holder *h)
{
    if (h == NULL || h->magic != HF__HOLDER_MAGIC)
        return hf__error(HF_EINVAL, 0, "not a holder");
    return hf__error(HF_EFORK, 0, "the holder belongs to the parent process");
}

uint32_t hf__holder_left(const hf_holder *h)
{
    return h->records + h->creating;
}

/* -- calls ------------------------------------------------------------------------------------- */

static bool is_released(const hf_holder *h)
{
    return h->state == HF__CLOSED && h->records == 0 && h->creating == 0 && h->type_frees == 0;
}

void hf__leave_closed(hf_holder *h, struct hf__call *call)
{
    hf_manager *m = h->manager;

    if (!h->told_release && is_released(h)) {
        h->told_release = true;
        if (h->driver.released != NULL) {
            hf__unlock(h);
            h->driver.released(h->user);
            hf__lock(h);
        }
    }
    hf__list_remove(&call->link);
    (void)pthread_cond_broadcast(&h->changed);
    h->dying = h->abandoned && h->told_release && h->party_count == 0 && hf__list_empty(&h->calls);
    if (!h->dying) {
        hf__unlock(h);
        return;
    }
    hf__unlock(h);
    (void)pthread_mutex_lock(&m->lock);
    hf__list_remove(&h->sibling);
    (void)pthread_cond_broadcast(&m->changed);
    (void)pthread_mutex_unlock(&m->lock);
    hf__holder_free(h);
}

/* -- open -------------------------------------------------------------------------------------- */

void hf__holder_free(hf_holder *h)
{
    for (unsigned i = 0; i < HF__KIND_BUCKETS; i++) {
        while (h->kinds[i] != NULL) {
            struct hf__kind *kind = h->kinds[i];

            h->kinds[i] = kind->next;
            free(kind);
        }
    }
    while (h->spare_records != NULL) {
        struct hf__record *r = h->spare_records;

        h->spare_records = r->next;
        free(r);
    }
    while (h->spare_parties != NULL) {
        struct hf__party *p = h->spare_parties;

        h->spare_parties = p->next;
        free(p);
    }
    free(h->buckets);
    (void)pthread_cond_destroy(&h->changed);
    (void)pthread_mutex_destroy(&h->lock);
    h->magic = 0;
    free(h);
}

/* Under contention a short spin is cheaper than sleeping: the lock is held for short. */
static int init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);

    if (error != 0)
        return error;
    (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP); /* known to glibc */
    error = pthread_mutex_init(lock, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return error;
}

static int check_config(const hf_driver *driver, const hf_holder_config *config)
{
    if (driver == NULL || driver->size != sizeof(*driver) || driver->create == NULL ||
        (driver->destroy == NULL && driver->destroy_s == NULL))
        return hf__error(HF_EINVAL, 0, "open a holder: the driver lacks something");
    if (config->size != sizeof(*config) ||
        (config->flags & ~(HF_HOLDER_STRICT | HF_HOLDER_RECLAIM)) != 0 ||
        (config->name != NULL && strlen(config->name) > HF__NAME_MAX))
        return hf__error(HF_EINVAL, 0, "open a holder: the configuration is not valid");
    return HF_OK;
}

static hf_holder *make(hf_manager *m, const hf_driver *driver, void *user,
                       const hf_holder_config *config)
{
    hf_holder *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    h->buckets = calloc(BUCKETS_FIRST, sizeof(struct hf__record *));
    if (h->buckets == NULL || init_lock(&h->lock) != 0)
        goto fail;
    if (hf__cond_init(&h->changed) != 0) {
        (void)pthread_mutex_destroy(&h->lock);
        goto fail;
    }
    h->bucket_count = BUCKETS_FIRST;
    h->magic = HF__HOLDER_MAGIC;
    h->process = m->process;
    h->manager = m;
    h->driver = *driver;
    h->user = user;
    h->config = *config;
    if (config->name != NULL)
        (void)strcpy(h->name, config->name); /* its length was checked */
    h->config.name = h->name;
    h->state = HF__OPEN;
    h->stats.size = sizeof(h->stats);
    h->dice = hf__monotonic_ms() * 0x9e3779b97f4a7c15U | 1;
    hf__list_init(&h->sibling);
    hf__list_init(&h->calls);
    hf__list_init(&h->idle);
    hf__list_init(&h->queue);
    return h;
fail:
    free(h->buckets);
    free(h);
    return NULL;
}

int hf__holder_make(hf_manager *m, const hf_driver *driver, void *user,
                    const hf_holder_config *config, unsigned nature, hf_holder **ret)
{
    static const hf_holder_config preset = HF_HOLDER_CONFIG_INIT;
    hf_holder *h;
    int rc = hf__manager_check(m);

    config = config != NULL ? config : &preset;
    if (rc == HF_OK && ret == NULL)
        rc = hf__error(HF_EINVAL, 0, "open a holder: nowhere to put it");
    if (rc == HF_OK)
        rc = check_config(driver, config);
    if (rc != HF_OK)
        return rc;
    h = make(m, driver, user, config);
    if (h == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "open a holder");
    h->nature = nature;
    (void)pthread_mutex_lock(&m->lock);
    rc = m->closing ? hf__error(HF_ECLOSED, 0, "open a holder: the manager is closing")
                    : hf__manager_start_thread(m);
    if (rc == HF_OK) {
        h->serial = ++m->serials;
        hf__list_append(&m->holders, &h->sibling);
    }
    (void)pthread_mutex_unlock(&m->lock);
    if (rc != HF_OK) {
        hf__holder_free(h);
        return rc;
    }
    *ret = h;
    return HF_OK;
}

int hf_holder_open(hf_manager *m, const hf_driver *driver, void *user,
                   const hf_holder_config *config, hf_holder **ret)
{
    return hf__holder_make(m, driver, user, config, 0, ret);
}

/* -- close ------------------------------------------------------------------------------------- */

/* Nothing new begins from here on; general inventory is destroyed. */
static void stop(hf_holder *h)
{
    struct hf__list doomed;

    hf__list_init(&doomed);
    h->state = HF__CLOSING;
    HF_FAULT("holder:closing");
    hf__wake_all(h);
    for (struct hf__list *at = h->idle.next, *next; at != &h->idle; at = next) {
        struct hf__record *r = HF__OF(struct hf__record, link, at);

        next = at->next;
        if (r->state != HF__IDLE) /* being rated: its thread sees that we closed */
            continue;
        r->state = HF__DESTROYING;
        hf__list_remove(&r->link);
        hf__list_append(&doomed, &r->link);
    }
    hf__settle_all(h, &doomed);
}

/* The types that were wanted in stock only. */
static void forget_stock(hf_holder *h)
{
    for (unsigned i = 0; i < HF__KIND_BUCKETS; i++) {
        struct hf__kind *kind = h->kinds[i];

        while (kind != NULL) {
            struct hf__kind *next = kind->next;

            if (kind->stock > 0) {
                kind->stock = 0;
                hf__kind_unused(h, kind); /* may let the lock go: look from the beginning */
                next = h->kinds[i];
            }
            kind = next;
        }
    }
}

static void count_enlisted(hf_holder *h, struct hf__record *r, void *arg)
{
    (void)h;
    *(unsigned *)arg += r->party != NULL && !r->party->over;
}

static unsigned enlisted(hf_holder *h)
{
    unsigned count = 0;

    hf__each_record(h, count_enlisted, &count);
    return count;
}

static void wait_for_transactions(hf_holder *h, uint32_t wait_ms)
{
    uint64_t until = hf__now_us() + (uint64_t)wait_ms * 1000;
    int error = 0;

    while (error != ETIMEDOUT && enlisted(h) > 0)
        error = hf__cond_wait_until(&h->changed, &h->lock, until);
}

static void take_kept(hf_holder *h, struct hf__record *r, void *arg)
{
    (void)h;
    if (r->state != HF__KEPT)
        return;
    hf__list_remove(&r->link);
    r->state = HF__DESTROYING;
    hf__list_append(arg, &r->link);
}

/* Enlisted inventory is destroyed whatever its transactions do. tm does not let go of instances
   that are enlisted, so those wait all the same. */
static void force(hf_holder *h)
{
    struct hf__list doomed;

    if ((h->nature & HF__IS_XA) != 0)
        return;
    hf__list_init(&doomed);
    h->force = true;
    hf__each_record(h, take_kept, &doomed);
    hf__settle_all(h, &doomed);
}

void hf__holder_shut(hf_holder *h)
{
    if (h->state == HF__CLOSED)
        return;
    if (h->state == HF__OPEN)
        stop(h);
    forget_stock(h);
    h->state = HF__CLOSED;
    HF_FAULT("holder:closed");
}

int hf_holder_close(hf_holder *h, hf_close how, uint32_t wait_ms, unsigned *ret_left)
{
    struct hf__call call;
    int rc = hf__holder_check(h);

    if (rc == HF_OK && (how < HF_CLOSE_WAIT || how > HF_CLOSE_FORCE))
        rc = hf__error(HF_EINVAL, 0, "close: no such way");
    if (rc != HF_OK)
        return rc;
    hf__enter(h, &call);
    if (h->state == HF__CLOSED) {
        rc = hf__error(HF_ECLOSED, 0, "%s: closed already", h->name);
    } else {
        if (h->state == HF__OPEN)
            stop(h);
        wait_for_transactions(h, wait_ms);
        if (how == HF_CLOSE_WAIT && enlisted(h) > 0)
            rc =
                hf__error(HF_EBUSY, 0, "%s: %u resources are enlisted still", h->name, enlisted(h));
        if (how == HF_CLOSE_FORCE)
            force(h);
        if (rc == HF_OK)
            hf__holder_shut(h);
        if (ret_left != NULL)
            *ret_left = hf__holder_left(h);
    }
    hf__leave(h, &call);
    return rc;
}

int hf_holder_release(hf_holder *h)
{
    struct hf__call call;
    int rc;

    if (h == NULL)
        return HF_OK;
    rc = hf__holder_check(h);
    if (rc != HF_OK)
        return rc;
    hf__enter(h, &call);
    hf__holder_shut(h);
    h->abandoned = true;
    hf__leave(h, &call);
    return HF_OK;
}

/* -- control ----------------------------------------------------------------------------------- */

static int enter_open(hf_holder *h, struct hf__call *call)
{
    int rc = hf__holder_check(h);

    if (rc != HF_OK)
        return rc;
    hf__enter(h, call);
    if (h->state == HF__OPEN)
        return HF_OK;
    rc = hf__error(HF_ECLOSED, 0, "%s: closed", h->name);
    hf__leave(h, call);
    return rc;
}

int hf_holder_resize(hf_holder *h, uint32_t max)
{
    struct hf__call call;
    int rc = enter_open(h, &call);

    if (rc != HF_OK)
        return rc;
    h->config.max = max;
    if (hf__has_room(h))
        hf__wake(h);
    hf__shrink(h);
    hf__leave(h, &call);
    return HF_OK;
}

int hf_holder_pause(hf_holder *h, int paused)
{
    struct hf__call call;
    int rc;

    if (paused != 0 && paused != 1)
        return hf__error(HF_EINVAL, 0, "pause: 0 or 1");
    rc = enter_open(h, &call);
    if (rc != HF_OK)
        return rc;
    h->paused = paused != 0;
    if (!h->paused)
        hf__wake(h);
    hf__leave(h, &call);
    return HF_OK;
}

int hf_holder_stock(hf_holder *h, hf_restype type, uint32_t count)
{
    struct hf__kind *kind;
    struct hf__call call;
    int rc;

    if (type == 0)
        return hf__error(HF_EINVAL, 0, "stock: the type is 0");
    rc = enter_open(h, &call);
    if (rc != HF_OK)
        return rc;
    kind = hf__kind_of(h, type);
    if (kind == NULL) {
        rc = hf__error(HF_ENOMEM, ENOMEM, "%s: stock", h->name);
    } else if (h->config.max != 0 && count > h->config.max) {
        hf__kind_unused(h, kind);
        rc = hf__error(HF_ELIMIT, 0, "%s: stock: %u are more than %u", h->name, count,
                       h->config.max);
    } else {
        kind->stock = count;
        rc = hf__fill(h, type);
        kind = hf__kind_of(h, type);
        if (kind != NULL)
            hf__kind_unused(h, kind);
    }
    hf__leave(h, &call);
    return rc;
}

int hf_holder_sweep(hf_holder *h)
{
    struct hf__call call;
    int rc = enter_open(h, &call);

    if (rc != HF_OK)
        return rc;
    hf__sweep(h);
    hf__leave(h, &call);
    return HF_OK;
}

struct flushing {
    hf_restype type;
    hf_flush what;
    struct hf__list taken;
};

static void flush_one(hf_holder *h, struct hf__record *r, void *arg)
{
    struct flushing *f = arg;
    bool general = r->state == HF__IDLE || (r->state == HF__RATING && r->party == NULL);

    (void)h;
    if (r->tracked || (f->type != 0 && r->kind->type != f->type) ||
        (f->what == HF_FLUSH_IDLE && !general))
        return;
    r->doomed = true;
    if (r->state != HF__IDLE)
        return;
    hf__list_remove(&r->link);
    r->state = HF__DESTROYING;
    hf__list_append(&f->taken, &r->link);
}

int hf_holder_flush(hf_holder *h, hf_restype type, hf_flush what)
{
    struct flushing f = {.type = type, .what = what};
    struct hf__call call;
    int rc;

    if (what != HF_FLUSH_IDLE && what != HF_FLUSH_ALL)
        return hf__error(HF_EINVAL, 0, "flush: what?");
    rc = enter_open(h, &call);
    if (rc != HF_OK)
        return rc;
    hf__list_init(&f.taken);
    hf__each_record(h, flush_one, &f);
    hf__settle_all(h, &f.taken);
    hf__leave(h, &call);
    return HF_OK;
}
