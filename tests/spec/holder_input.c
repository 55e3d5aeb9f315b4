/*
 * What: bad input to the holder: arguments, drivers that answer nonsense, callbacks that call back.
 * How:  a scripted driver. Whatever happens, pool_teardown() wants every resource destroyed once,
 *       no second owner, and a manager that closes. Wrong ids are in holder_checklist2.c, callbacks
 *       that fail or do not return, and forks, in holder_stuck.c.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

/* -- arguments --------------------------------------------------------------------------------- */

static void manager__refuses_what_it_does_not_know(void **state)
{
    hf_manager_config config = HF_MANAGER_CONFIG_INIT;
    hf_manager *manager = (hf_manager *)state;
    hf_tx *tx = NULL;
    hf_owner owner = 9;

    t_rc(HF_EINVAL, hf_manager_open(NULL, &manager));
    t_rc(HF_EINVAL, hf_manager_open(&config, NULL));
    config.size = 0;
    t_rc(HF_EINVAL, hf_manager_open(&config, &manager));
    config.size = sizeof(config) + 8;
    t_rc(HF_EINVAL, hf_manager_open(&config, &manager));
    assert_ptr_equal(manager, state); /* written on success only */
    config.size = sizeof(config);
    t_ok(hf_manager_open(&config, &manager));
    t_ok(hf_manager_context(manager, &owner, &tx));
    assert_int_equal(owner, 0);
    assert_null(tx);
    t_ok(hf_manager_context(manager, NULL, NULL));
    t_ok(hf_manager_tick(manager, NULL));
    t_ok(hf_manager_close(manager, 0, NULL));
    t_rc(HF_EINVAL, hf_manager_close(NULL, 0, NULL));
    t_rc(HF_EINVAL, hf_manager_tick(NULL, NULL));
    t_rc(HF_EINVAL, hf_manager_context(NULL, NULL, NULL));
    t_rc(HF_EINVAL, hf_manager_owner_end(NULL, 1));
}

static void context__is_the_threads(void **state)
{
    struct pool *p = *state;
    hf_owner owner = 0;
    hf_tx *tx, *mine;

    pool_open(p);
    atomic_store(&p->d->owner, 8);
    t_ok(hf_manager_context(p->m, &owner, &tx));
    assert_int_equal(owner, 8);
    assert_null(tx);
    mine = pool_begin(p);
    t_ok(hf_manager_context(p->m, NULL, &tx));
    assert_ptr_equal(tx, mine);
    t_ok(hf_tx_rollback(mine, NULL));
}

static void refuse_holder(struct pool *p, const hf_driver *table, const hf_holder_config *config)
{
    hf_holder *h = (hf_holder *)p;

    t_rc(HF_EINVAL, hf_holder_open(p->m, table, p->d, config, &h));
    assert_ptr_equal(h, p);
}

static void holder__refuses_what_it_does_not_know(void **state)
{
    struct pool *p = *state;
    hf_driver good = drv_table(p->d), table;
    hf_holder_config config;
    hf_holder *h;

    pool_open(p);
    refuse_holder(p, NULL, NULL);
    t_rc(HF_EINVAL, hf_holder_open(NULL, &good, p->d, NULL, &h));
    t_rc(HF_EINVAL, hf_holder_open(p->m, &good, p->d, NULL, NULL));
    table = good;
    table.size = 0;
    refuse_holder(p, &table, NULL);
    table.size = sizeof(table) + 8;
    refuse_holder(p, &table, NULL);
    table = good;
    table.create = NULL;
    refuse_holder(p, &table, NULL);
    table = good;
    table.destroy = NULL;
    table.destroy_s = NULL;
    refuse_holder(p, &table, NULL);
    config = p->config;
    config.size = 4;
    refuse_holder(p, &good, &config);
    config = p->config;
    config.flags = 0x80;
    refuse_holder(p, &good, &config);
    config = p->config;
    config.name = "a name of thirty-two bytes, 12345";
    refuse_holder(p, &good, &config);
    drv_expect(p->d, ""); /* released is not called */
}

static void driver__what_is_NULL_is_off(void **state)
{
    struct pool *p = *state;
    hf_driver full = drv_table(p->d), table = {.size = sizeof(table)};
    hf_tx *tx;

    pool_open(p);
    table.create = full.create;
    table.destroy = full.destroy;
    t_ok(hf_holder_open(p->m, &table, p->d, NULL, &p->h)); /* NULL: HF_HOLDER_CONFIG_INIT */
    memset(&table, 0, sizeof(table));                      /* it is copied */
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(pool_alloc(p, 7), 1); /* 100 for the type it was made for */
    assert_int_equal(pool_alloc(p, 8), 2); /* else 0 */
    assert_int_equal(pool_stats(p).used, 2);
    assert_int_equal(pool_stats(p).used_enlisted, 0); /* no enlist: HF_NOT_ENLISTABLE */
    pool_free(p, 1);
    pool_free(p, 2);
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(hf_holder_release(p->h));
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_calls(p->d, DRV_RATE) + drv_calls(p->d, DRV_ENLIST), 0);
    assert_int_equal(drv_calls(p->d, DRV_RESET) + drv_calls(p->d, DRV_RELEASED), 0);
}

/* The same rules where there is nothing to call and nobody to tell. */
static void driver__in_short_follows_the_same_rules(void **state)
{
    struct pool *p = *state;
    hf_resid plain;
    hf_tx *tx;

    p->manager = (hf_manager_config)HF_MANAGER_CONFIG_INIT;
    drv_withhold(p->d, 1u << DRV_RATE | 1u << DRV_RESET);
    pool_open(p);
    tx = pool_begin(p);
    assert_int_equal(pool_alloc(p, 7), 1);
    t_ok(pool_alloc_plain(p, 7, &plain));
    t_ok(hf_holder_free(p->h, 1));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    drv_give(p->d, 1);
    pool_free(p, plain);
    assert_int_equal(pool_alloc(p, 7), 1); /* enlisted, and so the first, though not the last */
    assert_int_equal(pool_alloc(p, 7), 2);
    pool_free(p, 1);
    pool_free(p, 2);
    assert_int_equal(pool_alloc(p, 8), 3);
    assert_int_equal(pool_alloc(p, 7), 2); /* the one used last */
    pool_free(p, 3);
    t_ok(hf_holder_request_destroy(p->h, 2));
    drv_give(p->d, 2);
    assert_int_equal(pool_alloc(p, 7), 1);
    t_ok(hf_tx_set_rollback_only(tx));
    pool_free(p, 1);
    t_rc(HF_EROLLEDBACK, hf_holder_alloc(p->h, 7, &plain));
    assert_int_equal(pool_stats(p).reused_enlisted, 3);
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(pool_stats(p).idle, 2);
    assert_int_equal(pool_alloc(p, 7), 1);
    assert_int_equal(drv_count(p->d, "enlist(1,-)"), 1);
    t_ok(hf_holder_close(p->h, HF_CLOSE_DETACH, 0, NULL));
    pool_free(p, 1);
    assert_int_equal(drv_alive(p->d), 0);
}

static void calls__refuse_nulls_and_sizes(void **state)
{
    struct pool *p = *state;
    hf_holder_stats stats = {.size = 3};
    hf_alloc request = HF_ALLOC_INIT;
    hf_resid id = 99;

    pool_open(p);
    t_rc(HF_EINVAL, hf_holder_alloc(NULL, 7, &id));
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 7, NULL));
    t_rc(HF_EINVAL, hf_holder_alloc_with(p->h, 7, &request, NULL));
    request.flags = 0x100;
    t_rc(HF_EINVAL, hf_holder_alloc_with(p->h, 7, &request, &id));
    request = (hf_alloc)HF_ALLOC_INIT;
    request.size = sizeof(request) + 8;
    t_rc(HF_EINVAL, hf_holder_alloc_with(p->h, 7, &request, &id));
    t_rc(HF_EINVAL, hf_holder_free(NULL, 1));
    t_rc(HF_EINVAL, hf_holder_track(NULL, 1));
    t_rc(HF_EINVAL, hf_holder_track_s(p->h, NULL));
    t_rc(HF_EINVAL, hf_holder_track_s(p->h, ""));
    t_rc(HF_EINVAL, hf_holder_untrack(NULL, 1, 1));
    t_rc(HF_EINVAL, hf_holder_untrack_s(p->h, NULL, 1));
    t_rc(HF_EINVAL, hf_holder_untrack_s(p->h, "", 1));
    t_rc(HF_EINVAL, hf_holder_request_destroy(NULL, 1));
    t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, 0));
    t_rc(HF_EINVAL, hf_holder_stock(NULL, 7, 1));
    t_rc(HF_EINVAL, hf_holder_resize(NULL, 1));
    t_rc(HF_EINVAL, hf_holder_pause(NULL, 1));
    t_rc(HF_EINVAL, hf_holder_flush(NULL, 0, HF_FLUSH_ALL));
    t_rc(HF_EINVAL, hf_holder_sweep(NULL));
    t_rc(HF_EINVAL, hf_holder_close(NULL, HF_CLOSE_WAIT, 0, NULL));
    t_rc(HF_EINVAL, hf_holder_close(p->h, (hf_close)9, 0, NULL));
    t_ok(hf_holder_release(NULL));
    t_rc(HF_EINVAL, hf_holder_get_stats(p->h, NULL));
    t_rc(HF_EINVAL, hf_holder_get_stats(p->h, &stats));
    t_rc(HF_EINVAL, hf_holder_get_stats(NULL, &stats));
    assert_null(hf_holder_instance(p->h, 1));
    assert_int_equal(id, 99);
    drv_expect(p->d, "");
    pool_free(p, pool_alloc(p, 7)); /* it is open still */
}

static int alloc_with_that(void *arg)
{
    return request_alloc(arg);
}

static void alloc__refuses_another_threads_transaction(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    r = request_for(p, 7);
    r.alloc.flags = HF_ALLOC_TX;
    r.alloc.tx = tx;
    job_start(&job, alloc_with_that, &r);
    assert_int_equal(job_end(&job), HF_ETHREAD);
    assert_int_equal(r.id, 0);
    t_ok(request_alloc(&r)); /* its owner may */
    t_ok(request_free(&r));
    t_ok(hf_tx_commit(tx, NULL));
}

static void alloc__refuses_a_transaction_that_can_only_roll_back(void **state)
{
    struct pool *p = *state;
    hf_tx_state now = HF_TX_ACTIVE;
    hf_resid id = 99;
    hf_tx *tx;

    pool_open(p);
    pool_fill(p, 7, 1);
    tx = pool_begin(p);
    t_ok(hf_tx_set_rollback_only(tx));
    t_rc(HF_EROLLEDBACK, hf_holder_alloc(p->h, 7, &id));
    t_ok(hf_tx_rollback(tx, NULL));
    t_ok(hf_tx_begin(p->w->tm, 1, &tx));
    while (now != HF_TX_TIMED_OUT) {
        sleep_ms(2);
        t_ok(hf_tm_tick(p->w->tm, NULL));
        t_ok(hf_tx_get_state(tx, &now));
    }
    t_rc(HF_EROLLEDBACK, hf_holder_alloc(p->h, 7, &id));
    t_ok(pool_alloc_plain(p, 7, &id)); /* without it, yes */
    pool_free(p, id);
    t_ok(hf_tx_rollback(tx, NULL));
    drv_expect(p->d, "rate(7,1,0)=100 reset(1)");
}

static struct pool *watched;
static int watched_rc;

static void alloc_in_before(void *user, hf_tx *tx)
{
    hf_resid id = 0;

    (void)user;
    (void)tx;
    watched_rc = hf_holder_alloc(watched->h, 7, &id);
    if (watched_rc == HF_OK)
        (void)hf_holder_free(watched->h, id);
}

/* "before" may work and enlist. */
static void alloc__within_a_before_watcher(void **state)
{
    struct pool *p = *state;
    hf_sync sync = {alloc_in_before, NULL, NULL};
    hf_tx *tx;

    watched = p;
    watched_rc = -1;
    pool_open(p);
    tx = pool_begin(p);
    t_ok(hf_tx_watch(tx, &sync));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(watched_rc, HF_OK);
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(pool_stats(p).idle_enlisted, 0);
}

/* -- callbacks that call back ------------------------------------------------------------------ */

struct reentry {
    struct pool *p;
    enum drv_call in;
    bool inside;    /* one of its own calls called it */
    unsigned times; /* call_back() goes on once only */
    int free_rc, request_rc, alloc_rc;
    hf_resid alloc_id;
    bool request; /* ask for its destruction */
};

/* Everything that a callback could want of the holder, for the resource that it is called for. */
static void call_back(void *user, enum drv_call call, hf_resid id)
{
    struct reentry *r = user;
    hf_holder_stats stats = {.size = sizeof(stats)};

    if (call != r->in || r->inside || r->times > 0)
        return;
    r->inside = true;
    r->times++;
    r->free_rc = id != 0 ? hf_holder_free(r->p->h, id) : HF_EINVAL;
    if (hf_holder_untrack(r->p->h, id, 1) != HF_EINVAL)
        drv_wrong(r->p->d, "untrack of a pooled one within a callback");
    if (hf_holder_track(r->p->h, id) == HF_OK)
        drv_wrong(r->p->d, "track of a pooled one within a callback");
    if (r->request)
        r->request_rc = hf_holder_request_destroy(r->p->h, id);
    if (hf_holder_get_stats(r->p->h, &stats) != HF_OK)
        drv_wrong(r->p->d, "no stats within a callback");
    (void)hf_holder_sweep(r->p->h);
    (void)hf_manager_tick(r->p->m, NULL);
    r->alloc_id = 0;
    r->alloc_rc = pool_alloc_plain(r->p, 9, &r->alloc_id);
    if (r->alloc_rc == HF_OK && r->alloc_id == id)
        drv_wrong(r->p->d, "%lu was given out within its own callback", (unsigned long)id);
    if (r->alloc_rc == HF_OK)
        r->alloc_rc = hf_holder_free(r->p->h, r->alloc_id);
    r->inside = false;
}

static void enter_again(struct reentry *r, struct pool *p, enum drv_call in, bool request)
{
    *r = (struct reentry){.p = p, .in = in, .request = request, .free_rc = 1, .request_rc = 1};
    drv_on_call(p->d, call_back, r);
}

static void reentry__from_create(void **state)
{
    struct pool *p = *state;
    struct reentry r;

    pool_open(p);
    enter_again(&r, p, DRV_CREATE, false);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_on_call(p->d, NULL, NULL);
    assert_int_equal(r.times, 1);
    assert_int_equal(r.alloc_rc, HF_OK);
    assert_int_equal(pool_stats(p).idle, 1);
    pool_free(p, 1);
}

static void reentry__from_rate(void **state)
{
    struct pool *p = *state;
    struct reentry r;

    pool_open(p);
    pool_fill(p, 7, 1);
    enter_again(&r, p, DRV_RATE, false);
    assert_int_equal(pool_alloc(p, 7), 1);
    assert_int_equal(r.times, 1);
    assert_int_equal(r.free_rc, HF_EINVAL); /* it is not in use */
    assert_int_equal(r.alloc_rc, HF_OK);
    pool_free(p, 1);
    enter_again(&r, p, DRV_RATE, true);
    assert_int_equal(pool_alloc(p, 7), 3); /* 1 goes when its callback returns */
    drv_on_call(p->d, NULL, NULL);
    pool_free(p, 3);
    assert_int_equal(r.request_rc, HF_OK);
    assert_false(drv_is_alive(p->d, 1));
}

/* A resource that is asked to be destroyed while it is rated is not given out. */
static void request_in_rate(void *user, enum drv_call call, hf_resid id)
{
    struct pool *p = user;

    if (call == DRV_RATE && hf_holder_request_destroy(p->h, id) != HF_OK)
        drv_wrong(p->d, "request_destroy(%lu) within rate", (unsigned long)id);
}

static void reentry__requested_in_rate_it_is_not_given_out(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 1);
    drv_on_call(p->d, request_in_rate, p);
    assert_int_equal(pool_alloc(p, 7), 2);
    drv_on_call(p->d, NULL, NULL);
    assert_false(drv_is_alive(p->d, 1));
    pool_free(p, 2);
}

static void reentry__from_enlist(void **state)
{
    struct pool *p = *state;
    struct reentry r;
    hf_resid id = 0;
    hf_tx *tx;
    int rc;

    pool_open(p);
    tx = pool_begin(p);
    enter_again(&r, p, DRV_ENLIST, false);
    assert_int_equal(pool_alloc(p, 7), 1);
    assert_int_equal(r.free_rc, HF_EINVAL); /* nobody has it yet */
    assert_int_equal(r.alloc_rc, HF_OK);
    enter_again(&r, p, DRV_ENLIST, true);
    rc = hf_holder_alloc(p->h, 8, &id);
    drv_on_call(p->d, NULL, NULL);
    assert_int_equal(r.request_rc, HF_OK);
    if (rc == HF_OK) { /* it may have looked for another one; the bad one it does not give out */
        assert_int_equal(drv_is_alive(p->d, id), 1);
        t_ok(hf_holder_free(p->h, id));
    }
    assert_int_equal(pool_stats(p).used_enlisted, 1);
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(pool_stats(p).idle, drv_alive(p->d));
    assert_true(drv_calls(p->d, DRV_DESTROY) >= 1);
}

static void reentry__from_reset(void **state)
{
    struct pool *p = *state;
    struct reentry r;

    pool_open(p);
    (void)pool_alloc(p, 7);
    enter_again(&r, p, DRV_RESET, false);
    pool_free(p, 1);
    assert_int_equal(r.times, 1);
    assert_int_equal(r.free_rc, HF_EINVAL); /* it is freed already */
    assert_int_equal(r.alloc_rc, HF_OK);
    assert_int_equal(pool_alloc(p, 7), 1);
    enter_again(&r, p, DRV_RESET, true);
    drv_give(p->d, 1);
    (void)hf_holder_free(p->h, 1);
    drv_on_call(p->d, NULL, NULL);
    assert_int_equal(r.request_rc, HF_OK);
    assert_false(drv_is_alive(p->d, 1)); /* the outer operation finishes the job */
}

static void reentry__from_destroy(void **state)
{
    struct pool *p = *state;
    struct reentry r;

    pool_open(p);
    pool_fill(p, 7, 1);
    enter_again(&r, p, DRV_DESTROY, true);
    t_ok(hf_holder_request_destroy(p->h, 1));
    drv_on_call(p->d, NULL, NULL);
    assert_int_equal(r.times, 1);
    assert_int_equal(r.free_rc, HF_EINVAL);
    assert_int_equal(r.request_rc, HF_EINVAL); /* requested already */
    assert_int_equal(r.alloc_rc, HF_OK);
    assert_int_equal(drv_count(p->d, "destroy(1)"), 1);
}

static void reentry__from_tx_end(void **state)
{
    struct pool *p = *state;
    struct reentry r;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_TX_END);
    pool_open(p);
    for (int request = 0; request < 2; request++) {
        tx = pool_begin(p);
        pool_free(p, pool_alloc(p, 7));
        enter_again(&r, p, DRV_TX_END, request == 1);
        t_ok(hf_tx_commit(tx, NULL));
        drv_on_call(p->d, NULL, NULL);
        assert_int_equal(r.times, 1);
        assert_int_equal(r.free_rc, HF_EINVAL);
        assert_int_equal(r.alloc_rc, HF_OK);
        assert_int_equal(drv_is_alive(p->d, 1), request == 0);
    }
    assert_int_equal(r.request_rc, HF_OK);
}

static void reentry__from_adapt_and_validate(void **state)
{
    struct pool *p = *state;
    struct reentry r;

    drv_offer(p->d, 1u << DRV_ADAPT | 1u << DRV_VALIDATE);
    pool_open(p);
    for (int n = 0; n < 2; n++) {
        pool_fill(p, 7, 1);
        drv_rate(p->d, 7, 0, -1, 50);
        enter_again(&r, p, n == 0 ? DRV_ADAPT : DRV_VALIDATE, false);
        assert_int_equal(pool_alloc(p, 7), 1);
        drv_on_call(p->d, NULL, NULL);
        assert_int_equal(r.times, 1);
        assert_int_equal(r.free_rc, HF_EINVAL);
        assert_int_equal(r.alloc_rc, HF_OK);
        pool_free(p, 1);
        t_ok(hf_holder_flush(p->h, 9, HF_FLUSH_IDLE));
    }
}

static void in_an_event(void *user, const hf_event *event)
{
    struct reentry *r = user;
    hf_holder_stats stats = {.size = sizeof(stats)};
    hf_resid id;

    if (r->inside)
        return;
    r->inside = true;
    r->times++;
    (void)hf_holder_get_stats(event->holder, &stats);
    (void)hf_holder_sweep(event->holder);
    if (pool_alloc_plain(r->p, 9, &id) == HF_OK)
        (void)hf_holder_free(event->holder, id);
    if (event->kind == HF_EVENT_RECYCLE)
        r->request_rc = hf_holder_request_destroy(event->holder, event->id);
    r->inside = false;
}

static void reentry__from_events(void **state)
{
    struct pool *p = *state;
    struct reentry r = {.p = p, .request_rc = 1};

    pool_open(p);
    drv_on_event(p->d, in_an_event, &r);
    pool_free(p, pool_alloc(p, 7));
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_untrack(p->h, 50, 1));
    drv_on_event(p->d, NULL, NULL);
    assert_int_equal(r.request_rc, HF_OK);
    assert_false(drv_is_alive(p->d, 1));
    assert_true(r.times >= 4);
}

static void close_all(void *user, enum drv_call call, hf_resid id)
{
    struct reentry *r = user;

    (void)id;
    if (call != r->in || r->inside)
        return;
    r->inside = true;
    r->times++;
    r->request_rc = hf_manager_close(r->p->m, 0, NULL);
    r->free_rc = hf_holder_close(r->p->h, HF_CLOSE_DETACH, 0, NULL);
}

static void reentry__a_callback_cannot_close_the_manager_but_its_holder(void **state)
{
    struct pool *p = *state;
    struct reentry r = {.p = p, .in = DRV_RESET};

    pool_open(p);
    (void)pool_alloc(p, 7);
    drv_on_call(p->d, close_all, &r);
    pool_free(p, 1);
    drv_on_call(p->d, NULL, NULL);
    assert_int_equal(r.times, 1);
    assert_int_equal(r.request_rc, HF_ESTATE);
    assert_int_equal(r.free_rc, HF_OK);
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manager__refuses_what_it_does_not_know),
        T(context__is_the_threads),
        T(holder__refuses_what_it_does_not_know),
        T(driver__what_is_NULL_is_off),
        T(driver__in_short_follows_the_same_rules),
        T(calls__refuse_nulls_and_sizes),
        T(alloc__refuses_another_threads_transaction),
        T(alloc__refuses_a_transaction_that_can_only_roll_back),
        T(alloc__within_a_before_watcher),
        T(reentry__from_create),
        T(reentry__from_rate),
        T(reentry__requested_in_rate_it_is_not_given_out),
        T(reentry__from_enlist),
        T(reentry__from_reset),
        T(reentry__from_destroy),
        T(reentry__from_tx_end),
        T(reentry__from_adapt_and_validate),
        T(reentry__from_events),
        T(reentry__a_callback_cannot_close_the_manager_but_its_holder),
    };
    return cmocka_run_group_tests_name("holder.input", tests, NULL, NULL);
}
