/*
 * What: the holder among transactions: several at once, several holders and managers in one,
 *       watchers, and the transaction that a request names.
 * How:  transactions of a real tm, suspended and resumed by one thread.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

enum { TXS = 4 };

static void tx__each_has_an_inventory_of_its_own(void **state)
{
    struct pool *p = *state;
    hf_tx *tx[TXS];

    pool_open(p);
    for (unsigned n = 0; n < TXS; n++) {
        tx[n] = pool_begin(p);
        assert_int_equal(pool_alloc(p, 7), n + 1);
        pool_free(p, n + 1);
        t_ok(hf_tx_suspend(tx[n]));
    }
    assert_int_equal(pool_stats(p).idle_enlisted, TXS);
    for (unsigned n = 0; n < TXS; n++) {
        t_ok(hf_tx_resume(tx[n]));
        drv_clear(p->d);
        assert_int_equal(pool_alloc(p, 7), n + 1);
        assert_int_equal(drv_count(p->d, "rate"), 1);
        pool_free(p, n + 1);
        t_ok(hf_tx_suspend(tx[n]));
    }
    for (unsigned n = TXS; n > 0; n--) { /* the last one first */
        t_ok(hf_tx_resume(tx[n - 1]));
        t_ok(n % 2 ? hf_tx_commit(tx[n - 1], NULL) : hf_tx_rollback(tx[n - 1], NULL));
        assert_int_equal(pool_stats(p).idle_enlisted, n - 1);
        assert_int_equal(pool_stats(p).idle, TXS - n + 1);
    }
}

static void tx__two_holders_in_one(void **state)
{
    struct pool *p = *state;
    hf_holder *one, *two;
    hf_tx *tx;

    pool_open(p);
    one = p->h;
    two = pool_open_another(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    p->h = two;
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(pool_stats(p).idle_enlisted, 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(pool_stats(p).idle, 1);
    p->h = one;
    assert_int_equal(pool_stats(p).idle, 1);
}

static void tx__two_managers_of_one_tm(void **state)
{
    struct pool *p = *state;
    hf_manager *first;
    hf_resid id;
    hf_tx *tx;

    pool_open(p);
    first = p->m;
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    pool_open(p); /* a manager and a holder more */
    id = pool_alloc(p, 7);
    assert_int_equal(id, 2);
    pool_free(p, id);
    t_rc(HF_EBUSY, hf_manager_close(first, 0, NULL));
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(pool_stats(p).idle, 1);
    t_ok(hf_manager_close(first, 0, NULL));
    assert_int_equal(drv_alive(p->d), 1);
}

/* Doomed, tracked, in use and free, all at its end. */
static void tx__its_end_settles_all_of_its_resources(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    for (int n = 0; n < 4; n++)
        (void)pool_alloc(p, 7);
    pool_free(p, 1);
    t_ok(hf_holder_request_destroy(p->h, 2));
    drv_made(p->d, 50);
    drv_made(p->d, 51);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_track(p->h, 51));
    t_ok(hf_holder_untrack(p->h, 50, 1));
    drv_answer(p->d, DRV_RESET, 3, -5);
    t_rc(HF_EDRIVER, hf_holder_free(p->h, 3));
    assert_int_equal(drv_alive(p->d), 6);
    t_ok(hf_tx_commit(tx, NULL));
    assert_true(drv_is_alive(p->d, 1) && drv_is_alive(p->d, 4) && drv_is_alive(p->d, 51));
    assert_int_equal(drv_alive(p->d), 3);
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(pool_stats(p).used, 1);
    assert_int_equal(pool_stats(p).tracked, 1);
    pool_free(p, 4);
    t_ok(hf_holder_untrack(p->h, 51, 1));
}

static struct pool *watched;
static hf_resid got;
static int got_rc;

static void alloc_after(void *user, const XID *xid, hf_outcome outcome)
{
    (void)user;
    (void)xid;
    (void)outcome;
    got_rc = hf_holder_alloc(watched->h, 7, &got);
}

/* A watcher may come before the holder hears of the end, or after it: both may allocate. */
static void tx__watchers_of_the_end_may_allocate(void **state)
{
    struct pool *p = *state;
    hf_sync sync = {NULL, alloc_after, NULL};
    hf_tx *tx;

    watched = p;
    pool_open(p);
    for (int n = 0; n < 2; n++) {
        tx = pool_begin(p);
        if (n == 0)
            t_ok(hf_tx_watch(tx, &sync));
        pool_free(p, pool_alloc(p, 7));
        if (n == 1)
            t_ok(hf_tx_watch(tx, &sync));
        got_rc = -1;
        t_ok(hf_tx_commit(tx, NULL));
        assert_int_equal(got_rc, HF_OK);
        pool_free(p, got);
    }
    assert_int_equal(pool_stats(p).idle, drv_alive(p->d));
}

static void tx__a_request_may_name_it(void **state)
{
    struct pool *p = *state;
    struct request r;
    hf_tx *one, *two;

    pool_open(p);
    one = pool_begin(p);
    r = request_for(p, 7);
    r.alloc.flags = HF_ALLOC_TX;
    r.alloc.tx = one;
    t_ok(request_alloc(&r));
    assert_ptr_equal(p->d->tx, one);
    t_ok(request_free(&r));
    t_ok(hf_tx_suspend(one)); /* nobody's now */
    t_rc(HF_ETHREAD, request_alloc(&r));
    two = pool_begin(p);
    t_rc(HF_ETHREAD, request_alloc(&r));
    r.alloc.flags = 0; /* without the flag the field does not count */
    t_ok(request_alloc(&r));
    assert_int_equal(r.id, 2);
    assert_ptr_equal(p->d->tx, two);
    t_ok(request_free(&r));
    t_ok(hf_tx_commit(two, NULL));
    t_ok(hf_tx_resume(one));
    t_ok(hf_tx_commit(one, NULL));
}

static void tx__an_owner_of_ones_own(void **state)
{
    struct pool *p = *state;
    struct request r;

    p->config.flags = HF_HOLDER_RECLAIM;
    pool_open(p);
    atomic_store(&p->d->owner, 1);
    r = request_for(p, 7);
    r.alloc.flags = HF_ALLOC_OWNER;
    r.alloc.owner = 2;
    t_ok(request_alloc(&r));
    t_ok(hf_manager_owner_end(p->m, 1));
    assert_int_equal(pool_stats(p).used, 1);
    t_ok(hf_manager_owner_end(p->m, 2));
    assert_int_equal(pool_stats(p).used, 0);
    drv_give(p->d, r.id);
    r.alloc.owner = 0; /* nobody's: never reclaimed */
    t_ok(request_alloc(&r));
    t_ok(hf_manager_owner_end(p->m, 1));
    t_ok(hf_manager_owner_end(p->m, 2));
    assert_int_equal(pool_stats(p).used, 1);
    t_ok(request_free(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tx__each_has_an_inventory_of_its_own),
        T(tx__two_holders_in_one),
        T(tx__two_managers_of_one_tm),
        T(tx__its_end_settles_all_of_its_resources),
        T(tx__watchers_of_the_end_may_allocate),
        T(tx__a_request_may_name_it),
        T(tx__an_owner_of_ones_own),
    };
    return cmocka_run_group_tests_name("holder.tx", tests, NULL, NULL);
}
