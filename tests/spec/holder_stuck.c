/*
 * What: a driver that fails, or never answers, in each of its callbacks; calls in a child process.
 * How:  one thread goes through a whole life of a resource. The callback in question fails, or
 *       holds it at a barrier while others use the same holder. pool_teardown() wants that nothing
 *       leaks.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

enum {
    EVERYTHING = 1u << DRV_ENLIST_S | 1u << DRV_ADAPT | 1u << DRV_VALIDATE | 1u << DRV_SUSPEND |
                 1u << DRV_RESUME | 1u << DRV_TX_END | 1u << DRV_TYPE_FREE
};

static const enum drv_call calls[] = {
    DRV_CREATE, DRV_RATE,     DRV_ENLIST,  DRV_RESET,  DRV_DESTROY, DRV_DESTROY_S, DRV_ENLIST_S,
    DRV_ADAPT,  DRV_VALIDATE, DRV_SUSPEND, DRV_RESUME, DRV_TX_END,  DRV_TYPE_FREE};
enum { CALLS = sizeof(calls) / sizeof(*calls) };

/* Allocate one of type 7 and free it, if it can be had. */
static void once(struct pool *p, bool plain)
{
    hf_resid id = 0;
    int rc = plain ? pool_alloc_plain(p, 7, &id) : hf_holder_alloc(p->h, 7, &id);

    if (rc != HF_OK)
        return;
    drv_take(p->d, id);
    drv_give(p->d, id);
    (void)hf_holder_free(p->h, id);
}

/* Every callback that there is, one after the other; whatever fails, it goes on. */
static int a_whole_life(void *arg)
{
    struct pool *p = arg;
    hf_tx *tx;
    int rc = hf_tx_begin(p->w->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    once(p, false);                            /* create, enlist, reset, suspend */
    once(p, false);                            /* rate, resume, adapt */
    if (hf_holder_track_s(p->h, "s") == HF_OK) /* enlist_s */
        (void)hf_holder_untrack_s(p->h, "s", 1);
    rc = hf_tx_commit(tx, NULL);                   /* tx_end, destroy_s */
    once(p, true);                                 /* validate, enlist */
    (void)hf_holder_flush(p->h, 7, HF_FLUSH_IDLE); /* destroy, type_free */
    return rc;
}

/* What others do meanwhile with the same holder. */
static void others_go_on(struct pool *p)
{
    hf_resid id = 0;
    hf_tx *tx;

    t_ok(pool_alloc_plain(p, 9, &id));
    drv_take(p->d, id);
    pool_free(p, id);
    tx = pool_begin(p);
    id = pool_alloc(p, 9);
    pool_free(p, id);
    id = pool_alloc(p, 9);
    drv_made(p->d, 500);
    t_ok(hf_holder_track(p->h, 500));
    t_ok(hf_holder_untrack(p->h, 500, 1));
    t_ok(hf_tx_commit(tx, NULL));
    pool_free(p, id);
    t_ok(hf_holder_sweep(p->h));
    t_ok(hf_manager_tick(p->m, NULL));
    t_ok(hf_manager_owner_end(p->m, 77));
    t_ok(hf_holder_stock(p->h, 9, 2));
    t_ok(hf_holder_stock(p->h, 9, 0));
    t_ok(hf_holder_flush(p->h, 9, HF_FLUSH_IDLE));
    (void)pool_stats(p);
}

/* Nothing is in use, nothing is in a transaction, and what lies idle is all that there is. */
static void all_is_well(struct pool *p)
{
    hf_holder_stats s = pool_stats(p);

    assert_int_equal(s.used + s.used_enlisted + s.idle_enlisted + s.tracked + s.waiting, 0);
    assert_int_equal(s.idle, drv_alive(p->d));
    pool_free(p, pool_alloc(p, 7));
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_ALL));
    assert_int_equal(drv_alive(p->d), 0);
}

static void start(struct pool *p)
{
    drv_offer(p->d, EVERYTHING);
    drv_rate(p->d, 7, 0, -1, 50);
    pool_open(p);
}

static void fails__in_each_callback_and_nothing_leaks(void **state)
{
    struct pool *p = *state;

    start(p);
    for (unsigned n = 0; n < CALLS; n++) {
        unsigned before = drv_calls(p->d, calls[n]);

        drv_answer_once(p->d, calls[n], 0, -5);
        t_ok(a_whole_life(p));
        if (drv_calls(p->d, calls[n]) == before)
            fail_msg("callback %d was not called", (int)calls[n]);
        all_is_well(p);
    }
}

static void fails__always_in_each_callback_and_nothing_leaks(void **state)
{
    struct pool *p = *state;

    start(p);
    for (unsigned n = 0; n < CALLS; n++) {
        drv_answer(p->d, calls[n], 0, -5);
        t_ok(a_whole_life(p));
        t_ok(a_whole_life(p));
        drv_answer(p->d, calls[n], 0, HF_OK);
        all_is_well(p);
    }
}

static void stuck__in_each_callback_and_others_go_on(void **state)
{
    struct pool *p = *state;
    struct job job;

    start(p);
    for (unsigned n = 0; n < CALLS; n++) {
        drv_hold(p->d, calls[n], 0);
        job_start(&job, a_whole_life, p);
        (void)drv_held(p->d);
        others_go_on(p);
        assert_false(atomic_load(&job.done));
        drv_let_go(p->d);
        assert_int_equal(job_end(&job), HF_OK);
        all_is_well(p);
    }
}

/* The manager cannot be freed meanwhile, and what is made after that is destroyed. */
static void stuck__and_the_manager_is_closed(void **state)
{
    struct pool *p = *state;
    struct job job;

    for (unsigned n = 0; n < CALLS; n++) {
        unsigned left = 0;
        int rc;

        start(p);
        drv_hold(p->d, calls[n], 0);
        job_start(&job, a_whole_life, p);
        (void)drv_held(p->d);
        t_rc(HF_EBUSY, hf_manager_close(p->m, 0, &left));
        drv_let_go(p->d);
        (void)job_end(&job);
        rc = hf_manager_close(p->m, 1000, &left);
        assert_int_equal(rc, HF_OK);
        p->m = NULL;
        assert_int_equal(drv_alive(p->d), 0);
        assert_int_equal(drv_calls(p->d, DRV_RELEASED), p->d->holders);
        drv_clear(p->d);
    }
}

static int close_holder(void *arg)
{
    return hf_holder_close(arg, HF_CLOSE_WAIT, 0, NULL);
}

static void stuck__in_released_and_other_holders_go_on(void **state)
{
    struct pool *p = *state;
    struct job job;

    pool_open(p);
    drv_hold(p->d, DRV_RELEASED, 0);
    job_start(&job, close_holder, p->h);
    (void)drv_held(p->d);
    p->h = pool_open_another(p);
    pool_free(p, pool_alloc(p, 7));
    t_ok(hf_manager_tick(p->m, NULL));
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
}

/* The id is in use until `destroy` has returned: a creation may not have it before. */
static int request_it(void *arg)
{
    struct request *r = arg;

    return hf_holder_request_destroy(r->p->h, r->id);
}

static void stuck__in_destroy_the_id_is_not_free_yet(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_resid id = 99;

    pool_open(p);
    pool_fill(p, 7, 1);
    r = request_for(p, 7);
    r.id = 1;
    drv_hold(p->d, DRV_DESTROY, 1);
    job_start(&job, request_it, &r);
    (void)drv_held(p->d);
    t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, 1));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    t_rc(HF_EINVAL, hf_holder_track(p->h, 1));
    drv_next_id(p->d, 1);
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(id, 99);
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    drv_next_id(p->d, 1);
    assert_int_equal(pool_alloc(p, 7), 1);
    pool_free(p, 1);
}

/* Two threads free it at once: one has it, the other is told. */
static void stuck__in_reset_a_second_free_is_refused(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;

    pool_open(p);
    r = request_for(p, 7);
    t_ok(request_alloc(&r));
    drv_hold(p->d, DRV_RESET, 1);
    job_start(&job, request_free, &r);
    (void)drv_held(p->d);
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    assert_int_equal(pool_alloc(p, 7), 2); /* it is nobody's yet */
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    pool_free(p, 2);
    assert_int_equal(drv_calls(p->d, DRV_RESET), 2);
}

/* -- fork -------------------------------------------------------------------------------------- */

static void all_calls_in_a_child(void *arg)
{
    struct pool *p = arg;
    hf_manager_config config = HF_MANAGER_CONFIG_INIT;
    hf_holder_stats stats = {.size = sizeof(stats)};
    hf_driver table = drv_table(p->d);
    hf_holder *h;
    hf_manager *m;
    hf_resid id;

    must(hf_holder_alloc(p->h, 7, &id) == HF_EFORK);
    must(hf_holder_alloc_with(p->h, 7, NULL, &id) == HF_EFORK);
    must(hf_holder_free(p->h, 1) == HF_EFORK);
    must(hf_holder_track(p->h, 60) == HF_EFORK);
    must(hf_holder_track_s(p->h, "t") == HF_EFORK);
    must(hf_holder_untrack(p->h, 50, 1) == HF_EFORK);
    must(hf_holder_untrack_s(p->h, "s", 1) == HF_EFORK);
    must(hf_holder_request_destroy(p->h, 1) == HF_EFORK);
    must(hf_holder_stock(p->h, 7, 1) == HF_EFORK);
    must(hf_holder_resize(p->h, 1) == HF_EFORK);
    must(hf_holder_pause(p->h, 1) == HF_EFORK);
    must(hf_holder_flush(p->h, 0, HF_FLUSH_ALL) == HF_EFORK);
    must(hf_holder_sweep(p->h) == HF_EFORK);
    must(hf_holder_get_stats(p->h, &stats) == HF_EFORK);
    must(hf_holder_close(p->h, HF_CLOSE_FORCE, 0, NULL) == HF_EFORK);
    must(hf_holder_release(p->h) == HF_EFORK);
    must(hf_holder_open(p->m, &table, p->d, NULL, &h) == HF_EFORK);
    must(hf_manager_context(p->m, NULL, NULL) == HF_EFORK);
    must(hf_manager_tick(p->m, NULL) == HF_EFORK);
    must(hf_manager_owner_end(p->m, 1) == HF_EFORK);
    must(hf_manager_close(p->m, 0, NULL) == HF_EFORK);
    config.tm = p->w->tm;
    must(hf_manager_open(&config, &m) == HF_EFORK);
    config.tm = NULL;
    must_ok(hf_manager_open(&config, &m)); /* one of its own it may have */
    must_ok(hf_manager_close(m, 0, NULL));
    must(drv_calls(p->d, DRV_DESTROY) == 0);
    must(drv_calls(p->d, DRV_RELEASED) == 0);
}

static void fork__every_call_in_the_child_is_HF_EFORK(void **state)
{
    struct pool *p = *state;
    int status;

    p->manager.background = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_track_s(p->h, "s"));
    status = fake_child(all_calls_in_a_child, p);
    assert_int_equal(status, 0);
    pool_free(p, 1); /* the parent's is untouched */
    t_ok(hf_holder_untrack(p->h, 50, 1));
    t_ok(hf_holder_untrack_s(p->h, "s", 1));
    assert_int_equal(pool_stats(p).idle, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(fails__in_each_callback_and_nothing_leaks),
        T(fails__always_in_each_callback_and_nothing_leaks),
        T(stuck__in_each_callback_and_others_go_on),
        T(stuck__and_the_manager_is_closed),
        T(stuck__in_released_and_other_holders_go_on),
        T(stuck__in_destroy_the_id_is_not_free_yet),
        T(stuck__in_reset_a_second_free_is_refused),
        T(fork__every_call_in_the_child_is_HF_EFORK),
    };
    return cmocka_run_group_tests_name("holder.stuck", tests, NULL, NULL);
}
