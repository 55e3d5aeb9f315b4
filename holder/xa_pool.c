/*
 * holder/xa_pool.c - the ready-made driver: resources are instances of tm's resource managers.
 *
 * A type is an hf_rm, an id is an hf_instance. What hf_tx_enlist() refuses because of the
 * transaction, or of what the resource manager thinks of it (XAER_OUTSIDE, XAER_PROTO, XA_RB*),
 * leaves the instance healthy; one whose enlistment failed goes, and a broken one is dead at the
 * next look: by rate, reset or tx_end. tm closes no instance that is enlisted, and the holder
 * destroys none before its transaction is over.
 *
 * An instance that has registered outside of transactions (ax_reg) is nobody's to have, and one
 * that is freed so is given up: its user has left, and its work outside with it. Where all
 * instances have one rmid (hf_rm_config.one_rmid), a thread gets those that it has opened itself.
 */
#include <errno.h>
#include <stdlib.h>

#include "room.h"

struct pool {
    hf_xa_hooks hooks;
};

static hf_instance *instance_of(hf_resid id)
{
    return (hf_instance *)id; /* NOLINT: it was made of one */
}

static int create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    const struct pool *pool = user;
    hf_instance *instance = NULL;
    int rc = hf_instance_open((hf_rm *)type, &instance);

    if (rc != HF_OK)
        return rc;
    *ret_id = (hf_resid)instance;
    if (pool->hooks.idle_s != 0)
        *ret_idle_s = pool->hooks.idle_s;
    return HF_OK;
}

static int rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    hf_instance *instance = instance_of(id);

    (void)user, (void)needs_enlist;
    switch (hf_instance_get_state(instance)) {
    case HF_INSTANCE_BROKEN:
        *ret_rating = HF_RATING_DEAD;
        break;
    case HF_INSTANCE_GOOD:
        if (hf_xa_type(hf_instance_rm(instance)) == type)
            *ret_rating = HF_RATING_PERFECT;
        break;
    default: /* not this thread's to have */
        break;
    }
    return HF_OK;
}

/* What enlisting answered, as a driver says it. An xa_start that failed, rather than refused the
   transaction, says that the resource manager is in trouble: such an instance, the most recently
   used, would be the next one's choice too. */
static int verdict(hf_instance *instance, int rc)
{
    int code = hf_error_last()->xa_code;

    if (rc == HF_OK)
        return HF_OK;
    if (hf_instance_broken(instance))
        return rc;
    if (rc == HF_ERM && code != XAER_OUTSIDE && code != XAER_PROTO &&
        (code < XA_RBBASE || code > XA_RBEND))
        return rc;
    return HF_EENLIST;
}

static int enlist(void *user, hf_resid id, hf_tx *tx)
{
    hf_instance *instance = instance_of(id);

    (void)user;
    if (tx == NULL) /* after its transaction it is in none: tm saw to that */
        return hf_instance_broken(instance) ? HF_ERM : HF_OK;
    return verdict(instance, hf_tx_enlist(tx, instance));
}

static int reset(void *user, hf_resid id)
{
    const struct pool *pool = user;
    hf_instance *instance = instance_of(id);
    int state = hf_instance_get_state(instance);

    if (state == HF_INSTANCE_BROKEN)
        return HF_ERM;
    if (pool->hooks.reset != NULL) {
        int rc = state == HF_INSTANCE_ELSEWHERE /* it means nothing to this thread */
                     ? HF_ETHREAD
                     : pool->hooks.reset(pool->hooks.user, hf_instance_rmid(instance));

        if (rc != HF_OK)
            return rc;
        state = hf_instance_get_state(instance); /* that may have ended what was outside */
    }
    return state == HF_INSTANCE_OUTSIDE ? HF_EBUSY : HF_OK;
}

static int validate(void *user, hf_resid id, uint32_t timeout_ms)
{
    const struct pool *pool = user;

    return pool->hooks.validate(pool->hooks.user, hf_instance_rmid(instance_of(id)), timeout_ms);
}

static int suspend(void *user, hf_resid id, hf_tx *tx)
{
    hf_instance *instance = instance_of(id);
    int rc = hf_tx_delist(tx, instance);

    (void)user;
    if (rc != HF_EBUSY && !hf_instance_broken(instance))
        return HF_OK; /* it is no longer enlisted; or the transaction is spoilt, or decided */
    return rc;
}

static int resume(void *user, hf_resid id, hf_tx *tx)
{
    (void)user;
    return verdict(instance_of(id), hf_tx_enlist(tx, instance_of(id)));
}

static int tx_end(void *user, hf_resid id, const XID *xid, hf_outcome outcome)
{
    (void)user, (void)xid, (void)outcome;
    return hf_instance_broken(instance_of(id)) ? HF_ERM : HF_OK;
}

static int clean(void *user, hf_resid id)
{
    const struct pool *pool = user;
    hf_instance *instance = instance_of(id);
    int state = hf_instance_get_state(instance);

    if (state != HF_INSTANCE_GOOD) /* elsewhere: its rmid means nothing to this thread */
        return state == HF_INSTANCE_ELSEWHERE ? HF_ETHREAD : HF_ERM;
    return pool->hooks.clean(pool->hooks.user, hf_instance_rmid(instance));
}

static int destroy(void *user, hf_resid id)
{
    (void)user;
    if (hf_instance_get_state(instance_of(id)) == HF_INSTANCE_OUTSIDE)
        (void)hf_instance_abandon(instance_of(id)); /* else it could not be closed */
    return hf_instance_close(instance_of(id));
}

static void released(void *user)
{
    free(user);
}

int hf_holder_open_xa(hf_manager *m, const hf_xa_hooks *hooks, const hf_holder_config *config,
                      hf_holder **ret)
{
    hf_driver driver = {.size = sizeof(driver),
                        .create = create,
                        .rate = rate,
                        .enlist = enlist,
                        .reset = reset,
                        .destroy = destroy,
                        .suspend = suspend,
                        .resume = resume,
                        .tx_end = tx_end,
                        .released = released};
    struct pool *pool;
    unsigned nature;
    int rc = hf__manager_check(m);

    if (rc == HF_OK && (m->config.tm == NULL || (hooks != NULL && hooks->size != sizeof(*hooks))))
        rc = hf__error(HF_EINVAL, 0, "open a holder of instances: no tm, or an unknown size");
    if (rc != HF_OK)
        return rc;
    pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "open a holder of instances");
    if (hooks != NULL)
        pool->hooks = *hooks;
    if (pool->hooks.validate != NULL)
        driver.validate = validate;
    if (pool->hooks.clean != NULL)
        driver.clean = clean;
    nature = HF__IS_XA | HF__PLAIN_RATE | (pool->hooks.reset == NULL ? HF__PLAIN_RESET : 0);
    rc = hf__holder_make(m, &driver, pool, config, nature, ret);
    if (rc != HF_OK)
        free(pool);
    return rc;
}

hf_instance *hf_holder_instance(hf_holder *h, hf_resid id)
{
    struct hf__record *r;
    struct hf__call call;
    bool good;

    if (hf__holder_check(h) != HF_OK || (h->nature & HF__IS_XA) == 0)
        return NULL;
    hf__enter(h, &call);
    r = hf__find(h, id);
    good = r != NULL && r->used;
    hf__leave(h, &call);
    return good ? instance_of(id) : NULL;
}
