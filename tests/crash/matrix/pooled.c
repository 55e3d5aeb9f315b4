/*
 * tests/crash/matrix/pooled.c - a server whose instances come from a holder, by a driver that has
 * every hook: what a process of the crash matrix does until it dies.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "holdfast/holder.h"
#include "holdfast/kv.h"
#include "matrix.h"

enum { LIFE_MS = 12, OWNER = 7 };

static hf_instance *instance_of(hf_resid id)
{
    return (hf_instance *)id;
}

/* A type is a store, from 1. */
static int create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    struct world *w = user;
    hf_instance *instance = NULL;
    int rc = hf_instance_open(w->rm[type - 1], &instance);

    (void)ret_idle_s;
    if (rc == HF_OK)
        *ret_id = (hf_resid)instance;
    return rc;
}

static int rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    struct world *w = user;

    (void)needs_enlist;
    if (hf_instance_rm(instance_of(id)) == w->rm[type - 1])
        *ret_rating = hf_instance_broken(instance_of(id)) ? HF_RATING_DEAD : 90;
    return HF_OK;
}

static int enlist(void *user, hf_resid id, hf_tx *tx)
{
    (void)user;
    return tx == NULL ? HF_OK : hf_tx_enlist(tx, instance_of(id)) == HF_OK ? HF_OK : HF_EENLIST;
}

static int suspend(void *user, hf_resid id, hf_tx *tx)
{
    (void)user;
    return hf_tx_delist(tx, instance_of(id));
}

static int reset(void *user, hf_resid id)
{
    (void)user;
    return hf_instance_broken(instance_of(id)) ? HF_ERM : HF_OK;
}

static int adapt(void *user, hf_restype type, hf_resid id)
{
    (void)type;
    return reset(user, id);
}

static int validate(void *user, hf_resid id, uint32_t timeout_ms)
{
    (void)timeout_ms;
    return reset(user, id);
}

static int tx_end(void *user, hf_resid id, const XID *xid, hf_outcome outcome)
{
    (void)xid, (void)outcome;
    return reset(user, id);
}

static int clean(void *user, hf_resid id)
{
    return reset(user, id);
}

static int destroy(void *user, hf_resid id)
{
    (void)user;
    return hf_instance_close(instance_of(id));
}

static int open_holder(struct world *w, hf_manager **ret_manager, hf_holder **ret)
{
    static const hf_driver driver = {.size = sizeof(driver),
                                     .create = create,
                                     .rate = rate,
                                     .enlist = enlist,
                                     .reset = reset,
                                     .destroy = destroy,
                                     .adapt = adapt,
                                     .validate = validate,
                                     .suspend = suspend,
                                     .resume = enlist,
                                     .tx_end = tx_end,
                                     .clean = clean};
    hf_manager_config manager = HF_MANAGER_CONFIG_INIT;
    hf_holder_config config = HF_HOLDER_CONFIG_INIT;
    int rc;

    manager.tm = w->tm;
    config.flags = HF_HOLDER_RECLAIM;
    config.life_ms = LIFE_MS;
    rc = hf_manager_open(&manager, ret_manager);
    return rc == HF_OK ? hf_holder_open(*ret_manager, &driver, w, &config, ret) : rc;
}

static int put(hf_resid id, unsigned n)
{
    char key[16];

    (void)snprintf(key, sizeof(key), "t%u", n);
    return hf_kv_put(hf_instance_rmid(instance_of(id)), key, strlen(key), "1", 1);
}

/* Allocate one of a store, write, give it back. */
static int use(hf_holder *h, hf_restype store, unsigned n)
{
    hf_resid id;
    int rc = hf_holder_alloc(h, store, &id);

    if (rc != HF_OK)
        return rc;
    rc = put(id, n);
    return hf_holder_free(h, id) == HF_OK ? rc : HF_EDRIVER;
}

/* One that the caller made itself, watched over until the transaction is over. */
static int use_tracked(struct world *w, hf_holder *h, unsigned n)
{
    hf_instance *instance = NULL;
    int rc = hf_instance_open(w->rm[2], &instance);

    if (rc != HF_OK)
        return rc;
    rc = hf_holder_track(h, (hf_resid)instance);
    if (rc != HF_OK) {
        (void)hf_instance_close(instance);
        return rc;
    }
    rc = put((hf_resid)instance, n);
    return hf_holder_untrack(h, (hf_resid)instance, 1) == HF_OK ? rc : HF_EDRIVER;
}

static int transact(struct world *w, hf_holder *h)
{
    unsigned n = scenario_promise(w, A | B | C);
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    rc = use(h, 1, n);
    if (rc == HF_OK)
        rc = use(h, 2, n);
    if (rc == HF_OK)
        rc = use(h, 1, n); /* the same one, in the same transaction */
    if (rc == HF_OK)
        rc = use_tracked(w, h, n);
    if (rc != HF_OK) {
        if (hf_tx_rollback(tx, NULL) == HF_OK)
            scenario_keep(w, n, HF_EROLLEDBACK);
        return rc;
    }
    rc = hf_tx_commit(tx, NULL);
    scenario_keep(w, n, rc);
    return rc;
}

/* One is asked to go, one is reclaimed from an owner that ended, the rest grow too old. */
static int clear(hf_manager *m, hf_holder *h)
{
    const struct timespec age = {.tv_nsec = (LIFE_MS + 3) * 1000000L};
    hf_alloc request = HF_ALLOC_INIT;
    hf_resid id;
    int rc = hf_holder_alloc(h, 1, &id);

    if (rc == HF_OK)
        rc = hf_holder_request_destroy(h, id);
    request.flags = HF_ALLOC_OWNER;
    request.owner = OWNER;
    if (rc == HF_OK)
        rc = hf_holder_alloc_with(h, 2, &request, &id);
    if (rc == HF_OK)
        rc = hf_manager_owner_end(m, OWNER);
    (void)nanosleep(&age, NULL);
    return rc == HF_OK ? hf_holder_sweep(h) : rc;
}

void scenario_pooled(struct world *w)
{
    hf_manager *m = NULL;
    hf_holder *h = NULL;
    int rc = scenario_start(w, 0);

    if (rc == HF_OK)
        rc = open_holder(w, &m, &h);
    for (int i = 0; rc == HF_OK && i < 2; i++)
        rc = transact(w, h);
    if (rc == HF_OK)
        rc = clear(m, h);
    if (h != NULL)
        (void)hf_holder_close(h, HF_CLOSE_DETACH, 0, NULL);
    if (m != NULL)
        (void)hf_manager_close(m, 0, NULL);
    world_close(w);
}
