/*
 * What: the ends of holders and managers: what each waits for, what is left, when `released` comes.
 * How:  a scripted driver; who waits is a thread of its own.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

enum { LONG_MS = 60 * 1000 };

static int close_and_wait(void *arg)
{
    struct pool *p = arg;

    return hf_holder_close(p->h, HF_CLOSE_WAIT, LONG_MS, NULL);
}

/* Until nothing can be allocated any more. */
static void until_closed(struct pool *p)
{
    uint64_t end = now_ms() + 30 * 1000;
    hf_resid id = 0;
    int rc;

    while ((rc = pool_alloc_plain(p, 7, &id)) != HF_ECLOSED && now_ms() < end) {
        if (rc == HF_OK)
            t_ok(hf_holder_free(p->h, id));
        sleep_ms(1);
    }
    assert_int_equal(rc, HF_ECLOSED);
}

static void close__waits_for_a_transaction(void **state)
{
    struct pool *p = *state;
    struct job job;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    job_start(&job, close_and_wait, p);
    until_closed(p);
    assert_true(drv_is_alive(p->d, 1));
    assert_false(atomic_load(&job.done));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

static void close__counts_what_is_left(void **state)
{
    struct pool *p = *state;
    unsigned left = 0;
    hf_resid plain;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);               /* in use, enlisted */
    (void)pool_alloc(p, 7);               /* enlisted */
    t_ok(pool_alloc_plain(p, 7, &plain)); /* in use */
    pool_free(p, 2);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_close(p->h, HF_CLOSE_DETACH, 0, &left));
    assert_int_equal(left, 4);
    assert_int_equal(drv_alive(p->d), 4);
    t_ok(hf_tx_commit(tx, NULL));
    assert_false(drv_is_alive(p->d, 2));
    pool_free(p, 1);
    pool_free(p, plain);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 0);
    t_ok(hf_holder_untrack(p->h, 50, 1));
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

/* Free ones now, used ones as they are freed. */
static void close__by_force_destroys_what_is_enlisted_once(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 7);
    pool_free(p, 2);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_untrack(p->h, 50, 1));
    t_ok(hf_holder_close(p->h, HF_CLOSE_FORCE, 0, NULL));
    assert_false(drv_is_alive(p->d, 2));
    assert_true(drv_is_alive(p->d, 1));
    pool_free(p, 1);
    assert_false(drv_is_alive(p->d, 1));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 3);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

/* What is freed while its transaction runs still goes only when that is over. */
static void close__a_late_free_of_an_enlisted_one_waits_for_its_transaction(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    t_ok(hf_holder_close(p->h, HF_CLOSE_DETACH, 0, NULL));
    pool_free(p, 1);
    assert_true(drv_is_alive(p->d, 1));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

static void release__closes_and_frees_with_the_last_resource(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_clear(p->d);
    t_ok(hf_holder_release(p->h));
    drv_expect(p->d, "");
    t_ok(hf_tx_rollback(tx, NULL));
    drv_expect(p->d, "destroy(1) released");
    p->h = pool_open_another(p);
    t_ok(hf_holder_release(p->h));
    drv_expect(p->d, "released");
}

static void manager__close_takes_its_holders_with_it(void **state)
{
    struct pool *p = *state;
    hf_driver table = drv_table(p->d);
    unsigned left = 9;
    hf_holder *h;
    hf_resid id;

    pool_open(p);
    (void)pool_open_another(p);
    pool_fill(p, 7, 2);
    (void)pool_alloc(p, 7);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_rc(HF_EBUSY, hf_manager_close(p->m, 0, &left));
    assert_int_equal(left, 2);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1); /* of the other one */
    t_rc(HF_ECLOSED, hf_holder_alloc(p->h, 7, &id));
    t_rc(HF_ECLOSED, hf_holder_open(p->m, &table, p->d, NULL, &h));
    t_rc(HF_EBUSY, hf_manager_close(p->m, 5, &left));
    pool_free(p, 2);
    t_ok(hf_holder_untrack(p->h, 50, 1));
    t_ok(hf_manager_close(p->m, 0, &left));
    assert_int_equal(left, 0);
    p->m = NULL;
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 2);
    assert_int_equal(drv_alive(p->d), 0);
}

static int close_manager(void *arg)
{
    struct pool *p = arg;

    return hf_manager_close(p->m, LONG_MS, NULL);
}

static void manager__close_waits_for_use_and_transactions(void **state)
{
    struct pool *p = *state;
    struct job job;
    hf_resid plain;
    hf_tx *tx;

    p->manager.background = 1;
    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_ok(pool_alloc_plain(p, 7, &plain));
    job_start(&job, close_manager, p);
    until_closed(p);
    assert_false(atomic_load(&job.done));
    t_ok(hf_tx_commit(tx, NULL));
    assert_false(atomic_load(&job.done));
    pool_free(p, plain);
    assert_int_equal(job_end(&job), HF_OK);
    p->m = NULL;
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
    assert_int_equal(drv_alive(p->d), 0);
}

/* A configuration that is zero but for its size: no events, no owner, no transactions. */
static void manager__zero_is_a_pool_without_transactions(void **state)
{
    struct pool *p = *state;

    p->manager = (hf_manager_config)HF_MANAGER_CONFIG_INIT;
    p->config = (hf_holder_config)HF_HOLDER_CONFIG_INIT;
    pool_open_plain(p);
    pool_free(p, pool_alloc(p, 7));
    pool_free(p, pool_alloc(p, 7));
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_untrack(p->h, 50, 1));
    drv_expect(p->d, "create(7)=1 reset(1) rate(7,1,0)=100 reset(1) destroy(50)");
    drv_told(p->d, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(close__waits_for_a_transaction),
        T(close__counts_what_is_left),
        T(close__by_force_destroys_what_is_enlisted_once),
        T(close__a_late_free_of_an_enlisted_one_waits_for_its_transaction),
        T(release__closes_and_frees_with_the_last_resource),
        T(manager__close_takes_its_holders_with_it),
        T(manager__close_waits_for_use_and_transactions),
        T(manager__zero_is_a_pool_without_transactions),
    };
    return cmocka_run_group_tests_name("holder.close", tests, NULL, NULL);
}
