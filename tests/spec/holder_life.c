/*
 * What: what the holder has beyond COM+: idle limits and lifetime, verdicts (dead, validate,
 *       adapt), leaks, the hooks of a transaction, strict choice, events, counters that add up.
 * How:  a scripted driver and explicit sweeps. Times are asserted from below only: from above there
 *       is half a minute.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

/* -- how long ---------------------------------------------------------------------------------- */

static void idle__0_is_not_pooled(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    drv_idle(p->d, HF_IDLE_NOT_POOLED);
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(pool_stats(p).idle, 0);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(drv_alive(p->d), 1); /* its transaction needs it */
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_alive(p->d), 0);
}

static void idle__minus_1_stays(void **state)
{
    struct pool *p = *state;

    p->config.idle_s = HF_IDLE_NEVER;
    pool_open(p);
    (void)pool_alloc(p, 7);
    assert_int_equal(p->d->preset_idle_s, HF_IDLE_NEVER);
    drv_idle(p->d, 1);
    (void)pool_alloc(p, 7);
    pool_free(p, 1);
    pool_free(p, 2);
    pool_sweep_until(p, 1);
    assert_true(drv_is_alive(p->d, 1));
    assert_int_equal(pool_stats(p).expired_idle, 1);
}

static void idle__preset_is_the_holders_own(void **state)
{
    struct pool *p = *state;

    p->config.idle_s = 17;
    pool_open(p);
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(p->d->preset_idle_s, 17);
}

static void idle__time_begins_anew_with_each_use(void **state)
{
    struct pool *p = *state;
    uint64_t freed = 0;

    pool_open(p);
    drv_idle(p->d, 1);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(pool_alloc(p, 7), 1);
        freed = now_ms();
        pool_free(p, 1);
        t_ok(hf_holder_sweep(p->h));
    }
    pool_sweep_until(p, 0);
    assert_true(p->d->seen[DRV_DESTROY].at_ms - freed >= 999);
}

static void life__ends_the_free_not_those_in_use_or_enlisted(void **state)
{
    struct pool *p = *state;
    hf_resid plain;
    hf_tx *tx;

    p->config.life_ms = 200;
    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    t_ok(pool_alloc_plain(p, 7, &plain));
    pool_free(p, 1);
    sleep_ms(250);
    t_ok(hf_holder_sweep(p->h));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(pool_alloc(p, 7), 1);
    pool_free(p, 1);
    pool_free(p, plain);
    t_ok(hf_tx_commit(tx, NULL));
    pool_sweep_until(p, 0);
    assert_int_equal(pool_stats(p).expired_life, 2);
    assert_int_equal(pool_stats(p).expired_idle, 0);
}

static void not_before_its_time(void *user, const hf_event *event)
{
    struct pool *p = user;

    if (event->kind == HF_EVENT_DESTROY && event->age_ms < 390)
        drv_wrong(p->d, "destroyed %lu ms old", (unsigned long)event->age_ms);
}

static void life__is_at_most_a_fortieth_shorter(void **state)
{
    struct pool *p = *state;

    p->config.life_ms = 400;
    pool_open(p);
    drv_on_event(p->d, not_before_its_time, p);
    pool_fill(p, 7, 20);
    pool_sweep_until(p, 0);
    assert_int_equal(pool_stats(p).expired_life, 20);
}

/* The largest numbers are a long time, not one that is over. */
static void limits__do_not_overflow(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    uint32_t next = 0;

    p->manager.sweep_ms = UINT32_MAX;
    p->config.max = 1;
    p->config.wait_ms = UINT32_MAX;
    p->config.life_ms = UINT32_MAX;
    p->config.leak_ms = UINT32_MAX;
    p->config.validate_after_ms = UINT32_MAX;
    drv_offer(p->d, 1u << DRV_VALIDATE);
    pool_open(p);
    drv_idle(p->d, INT32_MAX);
    (void)pool_alloc(p, 7);
    r = request_for(p, 7);
    job_start(&job, request_alloc, &r);
    pool_until_waiting(p, 1);
    sleep_ms(20);
    t_ok(hf_holder_sweep(p->h));
    assert_int_equal(pool_stats(p).waiting, 1);
    pool_free(p, 1);
    assert_int_equal(job_end(&job), HF_OK);
    t_ok(request_free(&r));
    t_ok(hf_holder_sweep(p->h));
    t_ok(hf_manager_tick(p->m, &next));
    assert_true(next > 0);
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(drv_events(p->d, HF_EVENT_LEAK) + drv_calls(p->d, DRV_VALIDATE), 0);
}

static void tick__sweeps_what_is_due_and_says_when_next(void **state)
{
    struct pool *p = *state;
    uint64_t end = now_ms() + 60 * 1000;
    uint32_t next = UINT32_MAX;

    p->manager.sweep_ms = 50;
    pool_open(p);
    drv_idle(p->d, 1);
    pool_fill(p, 7, 1);
    while (drv_alive(p->d) > 0 && now_ms() < end) {
        t_ok(hf_manager_tick(p->m, &next));
        assert_true(next <= 1000);
        sleep_ms(next < 20 ? next + 1 : 20);
    }
    assert_int_equal(drv_alive(p->d), 0);
    assert_true(pthread_equal(p->d->seen[DRV_DESTROY].thread, pthread_self()));
}

/* -- verdicts ---------------------------------------------------------------------------------- */

static void dead__a_rating_above_100_or_a_failure_destroys(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 3);
    drv_rate(p->d, 7, 3, -1, HF_RATING_DEAD);
    drv_answer(p->d, DRV_RATE, 2, -5);
    assert_int_equal(pool_alloc(p, 7), 1); /* the search goes on */
    assert_int_equal(drv_count(p->d, "destroy(3)"), 1);
    assert_int_equal(drv_count(p->d, "destroy(2)"), 1);
    assert_int_equal(drv_events(p->d, HF_EVENT_INVALID), 2);
    assert_int_equal(drv_events(p->d, HF_EVENT_DESTROY), 2);
    assert_int_equal(pool_stats(p).invalid, 2);
    pool_free(p, 1);
    drv_rate(p->d, 7, 1, -1, UINT32_MAX);
    assert_int_equal(pool_alloc(p, 7), 4); /* nothing is left: a new one */
    pool_free(p, 4);
}

static void dead__an_enlisted_one_goes_when_its_transaction_is_over(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_rate(p->d, 7, 1, 0, HF_RATING_DEAD);
    assert_int_equal(pool_alloc(p, 7), 2);
    assert_true(drv_is_alive(p->d, 1));
    assert_int_equal(pool_stats(p).doomed, 1);
    pool_free(p, 2);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 2); /* it is not even asked about again */
    assert_int_equal(drv_count(p->d, "rate(7,1"), 0);
    pool_free(p, 2);
    t_ok(hf_tx_commit(tx, NULL));
    assert_false(drv_is_alive(p->d, 1));
    assert_true(drv_is_alive(p->d, 2));
}

static void dead__an_error_about_an_enlisted_one_dooms_it(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_answer(p->d, DRV_RATE, 1, -5);
    assert_int_equal(pool_alloc(p, 7), 2);
    assert_true(drv_is_alive(p->d, 1));
    pool_free(p, 2);
    t_ok(hf_tx_rollback(tx, NULL));
    assert_false(drv_is_alive(p->d, 1));
}

static void reset__that_fails_dooms(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    drv_answer(p->d, DRV_RESET, 0, -5);
    (void)pool_alloc(p, 7);
    drv_give(p->d, 1);
    t_rc(HF_EDRIVER, hf_holder_free(p->h, 1));
    assert_int_equal(hf_error_last()->native_code, -5);
    assert_false(drv_is_alive(p->d, 1));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    t_rc(HF_EDRIVER, hf_holder_free(p->h, 2));
    assert_true(drv_is_alive(p->d, 2));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 2));
    assert_int_equal(pool_alloc(p, 7), 3); /* never offered again */
    t_rc(HF_EDRIVER, hf_holder_free(p->h, 3));
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(pool_stats(p).failed_reset, 3);
    assert_int_equal(drv_events(p->d, HF_EVENT_INVALID), 3);
}

static void validate__asks_before_one_of_general_inventory_is_given_out(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_VALIDATE);
    pool_open(p);
    pool_fill(p, 7, 2);
    assert_int_equal(drv_calls(p->d, DRV_VALIDATE), 0); /* new ones are not */
    drv_answer_once(p->d, DRV_VALIDATE, 2, -5);
    assert_int_equal(pool_alloc(p, 7), 1);
    assert_int_equal(drv_count(p->d, "validate(2)!-5"), 1);
    assert_int_equal(drv_count(p->d, "destroy(2)"), 1);
    assert_int_equal(drv_count(p->d, "validate(1)"), 1);
    assert_int_equal(drv_events(p->d, HF_EVENT_INVALID), 1);
    assert_int_equal(p->d->event[HF_EVENT_INVALID].id, 2);
    assert_int_equal(p->d->event[HF_EVENT_INVALID].code, -5);
    assert_int_equal(p->d->timeout_ms, 5000);
    pool_free(p, 1);
    tx = pool_begin(p);
    drv_clear(p->d);
    pool_free(p, pool_alloc(p, 7));
    pool_free(p, pool_alloc(p, 7)); /* of its transaction: not asked */
    assert_int_equal(drv_count(p->d, "validate(1)"), 1);
    t_ok(hf_tx_commit(tx, NULL));
}

static void validate__is_bypassed_for_who_was_idle_for_less(void **state)
{
    struct pool *p = *state;

    p->config.validate_after_ms = 3600 * 1000;
    p->config.validate_timeout_ms = 77;
    drv_offer(p->d, 1u << DRV_VALIDATE);
    pool_open(p);
    pool_fill(p, 7, 1);
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(drv_calls(p->d, DRV_VALIDATE), 0);

    p->config.validate_after_ms = 1;
    p->h = pool_open_another(p);
    pool_fill(p, 7, 1);
    sleep_ms(10);
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(drv_calls(p->d, DRV_VALIDATE), 1);
    assert_int_equal(p->d->timeout_ms, 77);
}

static void adapt__follows_a_rating_below_100(void **state)
{
    struct pool *p = *state;
    hf_resid id;

    drv_offer(p->d, 1u << DRV_ADAPT);
    pool_open(p);
    pool_fill(p, 7, 1);
    assert_int_equal(pool_alloc(p, 7), 1); /* 100 */
    pool_free(p, 1);
    assert_int_equal(drv_calls(p->d, DRV_ADAPT), 0);
    drv_rate(p->d, 8, 1, -1, 99);
    assert_int_equal(pool_alloc(p, 8), 1);
    assert_int_equal(drv_count(p->d, "adapt(8,1)"), 1);
    pool_free(p, 1);
    drv_answer(p->d, DRV_ADAPT, 0, -5);
    drv_give(p->d, 1);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 8, &id));
    assert_int_equal(hf_error_last()->native_code, -5);
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_events(p->d, HF_EVENT_INVALID), 1);
}

static void adapt__that_fails_dooms_an_enlisted_one(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_ADAPT);
    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_rate(p->d, 7, 1, -1, 50);
    drv_answer(p->d, DRV_ADAPT, 0, -5);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 7, &id));
    assert_true(drv_is_alive(p->d, 1));
    assert_int_equal(pool_stats(p).doomed, 1);
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(drv_alive(p->d), 0);
}

static void strict__any_enlisted_one_wins_over_all_others(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    for (unsigned strict = 0; strict < 2; strict++) {
        p->config.flags = strict ? HF_HOLDER_STRICT : 0;
        if (strict)
            p->h = pool_open_another(p);
        else
            pool_open(p);
        pool_fill(p, 7, 1);
        tx = pool_begin(p);
        drv_rate(p->d, 7, 0, -1, 0);
        pool_free(p, pool_alloc(p, 7)); /* 2, or 4, enlisted */
        drv_rate(p->d, 7, 0, 0, 10);
        drv_rate(p->d, 7, 0, 1, 90);
        assert_int_equal(pool_alloc(p, 7), strict ? 4 : 1);
        pool_free(p, strict ? 4 : 1);
        t_ok(hf_tx_commit(tx, NULL));
        drv_rate(p->d, 7, 0, -1, 100);
    }
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_rate(p->d, 7, 0, 0, 0); /* unusable is unusable */
    id = pool_alloc(p, 7);
    assert_int_equal(drv_calls(p->d, DRV_CREATE), 4);
    pool_free(p, id);
    t_ok(hf_tx_commit(tx, NULL));
}

/* -- leaks ------------------------------------------------------------------------------------- */

static void sweep_until_leaks(struct pool *p, unsigned leaks)
{
    uint64_t end = now_ms() + 30 * 1000;

    while (drv_events(p->d, HF_EVENT_LEAK) < leaks && now_ms() < end) {
        t_ok(hf_holder_sweep(p->h));
        sleep_ms(5);
    }
    assert_int_equal(drv_events(p->d, HF_EVENT_LEAK), leaks);
}

static void leak__is_told_once_for_each_allocation(void **state)
{
    struct pool *p = *state;
    struct request r;
    const hf_event *e = &p->d->event[HF_EVENT_LEAK];

    p->config.leak_ms = 40;
    pool_open(p);
    r = request_for(p, 7);
    r.alloc.flags = HF_ALLOC_OWNER;
    r.alloc.owner = 12;
    r.alloc.tag = "report";
    t_ok(request_alloc(&r));
    sweep_until_leaks(p, 1);
    assert_int_equal(e->id, 1);
    assert_int_equal(e->owner, 12);
    assert_string_equal(e->tag, "report");
    assert_string_equal(e->name, "pool");
    assert_true(e->thread == (uint64_t)pthread_self());
    assert_true(e->age_ms >= 40);
    sleep_ms(60);
    t_ok(hf_holder_sweep(p->h));
    t_ok(hf_manager_tick(p->m, NULL));
    assert_int_equal(drv_events(p->d, HF_EVENT_LEAK), 1);
    t_ok(request_free(&r));
    (void)pool_alloc(p, 7); /* a new allocation, of nobody and without a tag */
    sweep_until_leaks(p, 2);
    assert_int_equal(e->owner, 0);
    assert_string_equal(e->tag, "");
    pool_free(p, 1);
    sleep_ms(60); /* who is free leaks nothing */
    t_ok(hf_holder_sweep(p->h));
    assert_int_equal(pool_stats(p).leaks, 2);
}

/* "Kept as a pointer while it is in use": after that the caller may free it. */
static void leak__a_tag_is_the_callers_again_after_the_free(void **state)
{
    struct pool *p = *state;
    struct request r;
    hf_tx *tx;

    pool_open(p);
    r = request_for(p, 7);
    for (int n = 0; n < 3; n++) {
        char *tag = strdup("of the caller");

        assert_non_null(tag);
        r.alloc.tag = tag;
        tx = n == 1 ? pool_begin(p) : NULL;
        t_ok(request_alloc(&r));
        assert_string_equal(p->d->event[n == 0 ? HF_EVENT_CREATE : HF_EVENT_ALLOCATE].tag, tag);
        if (n == 2) {
            drv_give(p->d, r.id);
            t_ok(hf_holder_request_destroy(p->h, r.id));
        } else {
            t_ok(request_free(&r));
        }
        memset(tag, '!', 13);
        free(tag);
        if (tx != NULL)
            t_ok(hf_tx_commit(tx, NULL));
        t_ok(hf_holder_sweep(p->h));
    }
    (void)pool_alloc(p, 7);
    assert_string_equal(p->d->event[HF_EVENT_CREATE].tag, "");
    pool_free(p, 2);
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_ALL));
    assert_int_equal(drv_events(p->d, HF_EVENT_DESTROY), 2);
    assert_string_equal(p->d->event[HF_EVENT_DESTROY].tag, "");
}

/* -- the hooks of a transaction ---------------------------------------------------------------- */

static void hooks__suspend_and_resume_while_the_transaction_runs(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;
    XID xid;

    drv_offer(p->d, 1u << DRV_SUSPEND | 1u << DRV_RESUME | 1u << DRV_TX_END);
    pool_open(p);
    tx = pool_begin(p);
    t_ok(hf_tx_xid(tx, &xid));
    (void)pool_alloc(p, 7);
    pool_free(p, 1);
    (void)pool_alloc(p, 7);
    pool_free(p, 1);
    drv_expect(p->d, "create(7)=1 enlist(1,T) reset(1) suspend(1,T) rate(7,1,0)=100 resume(1,T) "
                     "reset(1) suspend(1,T)");
    t_ok(hf_tx_commit(tx, NULL));
    drv_expect(p->d, "tx_end(1,committed)");
    assert_memory_equal(&p->d->xid, &xid, sizeof(xid));
    pool_free(p, pool_alloc(p, 7)); /* no transaction, neither hook */
    drv_expect(p->d, "rate(7,1,0)=100 enlist(1,-) reset(1)");
}

/* Freed by another thread than the owner's, it is suspended by the owner's next allocation. */
static void hooks__suspend_comes_in_a_thread_that_may(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_SUSPEND | 1u << DRV_RESUME);
    pool_open(p);
    tx = pool_begin(p);
    r = request_for(p, 7);
    r.id = pool_alloc(p, 7);
    job_start(&job, request_free, &r);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(drv_calls(p->d, DRV_SUSPEND), 0);
    assert_int_equal(pool_stats(p).idle_enlisted, 1);
    assert_int_equal(pool_alloc(p, 7), 1);
    assert_int_equal(drv_calls(p->d, DRV_SUSPEND), drv_calls(p->d, DRV_RESUME));
    if (drv_calls(p->d, DRV_SUSPEND) > 0)
        assert_true(pthread_equal(p->d->seen[DRV_SUSPEND].thread, pthread_self()));
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(pool_stats(p).idle, 1);
}

static void hooks__a_suspend_that_fails_dooms(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_SUSPEND | 1u << DRV_RESUME);
    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    drv_answer_once(p->d, DRV_SUSPEND, 1, -5);
    drv_give(p->d, 1);
    (void)hf_holder_free(p->h, 1);
    assert_int_equal(pool_stats(p).doomed, 1);
    assert_int_equal(pool_alloc(p, 7), 2);
    pool_free(p, 2);
    t_ok(hf_tx_commit(tx, NULL));
    assert_false(drv_is_alive(p->d, 1));
    assert_true(drv_is_alive(p->d, 2));
}

static void hooks__a_resume_that_fails_dooms(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_RESUME);
    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_answer_once(p->d, DRV_RESUME, 1, HF_EENLIST);
    t_rc(HF_EENLIST, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(pool_stats(p).doomed, 1);
    pool_free(p, pool_alloc(p, 7));
    drv_answer_once(p->d, DRV_RESUME, 2, -5);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(pool_stats(p).doomed, 2);
    assert_int_equal(id, 99);
    assert_int_equal(drv_alive(p->d), 2);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_alive(p->d), 0);
}

/* What was in a transaction, and is wanted without one. */
static void hooks__an_enlist_0_that_fails(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_ok(hf_tx_commit(tx, NULL));
    drv_answer_once(p->d, DRV_ENLIST, 1, HF_EENLIST);
    t_rc(HF_EENLIST, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(pool_stats(p).idle, 1); /* it is healthy */
    drv_answer_once(p->d, DRV_ENLIST, 1, HF_NOT_ENLISTABLE);
    assert_int_equal(pool_alloc(p, 7), 1); /* that is fine without a transaction, too */
    pool_free(p, 1);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_ok(hf_tx_rollback(tx, NULL));
    drv_answer_once(p->d, DRV_ENLIST, 1, -5);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(id, 99);
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(pool_stats(p).failed_enlist, 2);
}

static void hooks__tx_end_tells_the_outcome_and_may_doom(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_TX_END);
    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 7);
    pool_free(p, 1);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    drv_answer(p->d, DRV_TX_END, 1, -5);
    drv_answer(p->d, DRV_TX_END, 2, -5);
    drv_clear(p->d);
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(drv_count(p->d, "tx_end(50,rolledback)"), 1);
    t_ok(hf_holder_untrack(p->h, 50, 1));
    assert_int_equal(drv_count(p->d, "tx_end(1,rolledback)!-5"), 1);
    assert_int_equal(drv_count(p->d, "tx_end(2,rolledback)!-5"), 1); /* in use */
    assert_false(drv_is_alive(p->d, 1));
    assert_true(drv_is_alive(p->d, 2));
    pool_free(p, 2);
    assert_int_equal(drv_alive(p->d), 0);
}

static void hooks__clean_comes_once_it_is_nobodys(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_CLEAN);
    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(drv_calls(p->d, DRV_CLEAN), 0); /* its transaction runs */
    (void)pool_alloc(p, 7);
    drv_clear(p->d);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_calls(p->d, DRV_CLEAN), 0); /* it is in use */
    pool_free(p, 1);
    drv_expect(p->d, "reset(1) clean(1)");
    tx = pool_begin(p);
    drv_answer_once(p->d, DRV_ENLIST, 0, HF_EENLIST);
    t_rc(HF_EENLIST, hf_holder_alloc(p->h, 7, &(hf_resid){0}));
    assert_int_equal(drv_calls(p->d, DRV_CLEAN), 1); /* nobody has had it */
    pool_free(p, pool_alloc(p, 7));
    drv_clear(p->d);
    t_ok(hf_tx_rollback(tx, NULL));
    drv_expect(p->d, "clean(1)");
    assert_int_equal(pool_stats(p).idle, 1);
}

static void hooks__a_clean_that_fails_destroys(void **state)
{
    struct pool *p = *state;

    drv_offer(p->d, 1u << DRV_CLEAN);
    pool_open(p);
    (void)pool_alloc(p, 7);
    drv_answer(p->d, DRV_CLEAN, 1, -5);
    drv_clear(p->d);
    pool_free(p, 1); /* and says that it is HF_OK */
    drv_expect(p->d, "reset(1) clean(1)!-5 destroy(1)");
    assert_int_equal(pool_stats(p).invalid, 1);
    (void)pool_alloc(p, 7);
    t_ok(hf_holder_request_destroy(p->h, 2));
    assert_int_equal(drv_calls(p->d, DRV_CLEAN), 1); /* what is destroyed is not cleaned */
    drv_idle(p->d, HF_IDLE_NOT_POOLED);
    pool_free(p, pool_alloc(p, 7));
    assert_int_equal(drv_calls(p->d, DRV_CLEAN), 1);
}

static void hooks__type_free_comes_with_the_last_of_a_type(void **state)
{
    struct pool *p = *state;

    drv_offer(p->d, 1u << DRV_TYPE_FREE);
    pool_open(p);
    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 8);
    t_ok(hf_holder_request_destroy(p->h, 1));
    assert_int_equal(drv_calls(p->d, DRV_TYPE_FREE), 0);
    t_ok(hf_holder_request_destroy(p->h, 2));
    assert_int_equal(drv_count(p->d, "type_free(7)"), 1);
    (void)pool_alloc(p, 7); /* it may come again */
    drv_clear(p->d);
    pool_free(p, 3);
    pool_free(p, 4);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_untrack(p->h, 50, 1));
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    assert_int_equal(drv_count(p->d, "type_free(7)"), 1);
    assert_int_equal(drv_count(p->d, "type_free(8)"), 1);
    assert_int_equal(drv_count(p->d, "type_free("), 2);
    assert_string_equal(p->d->trace + strlen(p->d->trace) - 8, "released");
}

/* -- events and counters ----------------------------------------------------------------------- */

static void events__say_what_happened_to_whom(void **state)
{
    struct pool *p = *state;
    const hf_event *e = p->d->event;
    hf_tx *tx;

    atomic_store(&p->d->owner, 3);
    pool_open(p);
    tx = pool_begin(p);
    pool_fill(p, 7, 2);
    drv_rate(p->d, 7, 2, 0, 20);
    drv_rate(p->d, 7, 1, 0, 70);
    assert_int_equal(pool_alloc(p, 7), 1);
    assert_int_equal(e[HF_EVENT_CREATE].type, 7);
    assert_int_equal(e[HF_EVENT_CREATE].owner, 3);
    assert_int_equal(e[HF_EVENT_CREATE].enlisted, 1);
    assert_int_equal(e[HF_EVENT_ALLOCATE].id, 1);
    assert_int_equal(e[HF_EVENT_ALLOCATE].type, 7);
    assert_int_equal(e[HF_EVENT_ALLOCATE].rated, 2);
    assert_int_equal(e[HF_EVENT_ALLOCATE].rating, 70);
    assert_int_equal(e[HF_EVENT_ALLOCATE].enlisted, 1);
    assert_ptr_equal(e[HF_EVENT_ALLOCATE].holder, p->h);
    assert_int_equal(drv_events(p->d, HF_EVENT_RECYCLE), 2);
    assert_int_equal(e[HF_EVENT_RECYCLE].id, 2);
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
    sleep_ms(20);
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_ALL));
    assert_int_equal(drv_events(p->d, HF_EVENT_DESTROY), 2);
    assert_true(e[HF_EVENT_DESTROY].age_ms >= 19);
    assert_int_equal(e[HF_EVENT_DESTROY].type, 7);
}

/* A seeded run of allocations, frees and transactions in one thread. */
static void run(struct pool *p, uint64_t seed)
{
    hf_resid held[8] = {0};
    hf_tx *tx = NULL;

    for (unsigned n = 0; n < 400; n++) {
        unsigned slot, what;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        slot = (unsigned)(seed >> 33) % 8;
        what = (unsigned)(seed >> 41) % 16;
        if (what == 0 && tx == NULL) {
            tx = pool_begin(p);
        } else if (what == 1 && tx != NULL) {
            t_ok(slot % 2 ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
            tx = NULL;
        } else if (what == 2) {
            t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_IDLE));
        } else if (held[slot] == 0) {
            held[slot] = pool_alloc(p, 7 + what % 3);
        } else {
            pool_free(p, held[slot]);
            held[slot] = 0;
        }
    }
    if (tx != NULL)
        t_ok(hf_tx_commit(tx, NULL));
}

/* Each is found by its id, whatever went and came before. */
static void many__each_is_found_by_its_id(void **state)
{
    enum { MANY = 5000 };
    struct pool *p = *state;
    hf_resid id = 0;

    pool_open(p);
    for (unsigned n = 1; n <= MANY; n++)
        assert_int_equal(pool_alloc(p, 7), n);
    for (hf_resid odd = 1; odd <= MANY; odd += 2)
        t_ok(hf_holder_request_destroy(p->h, odd));
    for (unsigned n = MANY + 1; n <= 2 * MANY; n++)
        assert_int_equal(pool_alloc(p, 7), n);
    for (unsigned n = 1; n <= 2 * MANY; n++) {
        bool gone = n < MANY && n % 2 == 1;

        t_rc(gone ? HF_EINVAL : HF_OK, hf_holder_free(p->h, n));
        t_rc(HF_EINVAL, hf_holder_free(p->h, n));
        drv_give(p->d, n);
    }
    assert_int_equal(pool_stats(p).idle, MANY + MANY / 2);
    drv_rate(p->d, 7, 0, -1, 1);
    drv_rate(p->d, 7, 2, -1, 2); /* the very last that is looked at */
    t_ok(hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(id, 2);
    assert_int_equal(pool_stats(p).rated, MANY + MANY / 2);
    t_ok(hf_holder_free(p->h, id));
    t_ok(hf_holder_flush(p->h, 7, HF_FLUSH_IDLE));
    assert_int_equal(drv_alive(p->d), 0);
}

static void counters__add_up(void **state)
{
    struct pool *p = *state;
    hf_holder_stats s;
    struct driver *d = p->d;

    print_message("    seed 20\n");
    pool_open(p);
    run(p, 20);
    s = pool_stats(p);
    assert_int_equal(s.created - s.destroyed, s.idle + s.idle_enlisted + s.used + s.used_enlisted);
    assert_int_equal(s.allocated - s.recycled, s.used + s.used_enlisted);
    assert_int_equal(s.idle_enlisted + s.used_enlisted + s.doomed, 0);
    assert_int_equal(s.created, drv_calls(d, DRV_CREATE));
    assert_int_equal(s.destroyed, drv_calls(d, DRV_DESTROY));
    assert_int_equal(s.rated, drv_calls(d, DRV_RATE));
    assert_int_equal(s.recycled, drv_calls(d, DRV_RESET));
    assert_int_equal(s.allocated,
                     drv_events(d, HF_EVENT_CREATE) + drv_events(d, HF_EVENT_ALLOCATE));
    assert_int_equal(s.recycled, drv_events(d, HF_EVENT_RECYCLE));
    assert_int_equal(s.destroyed, drv_events(d, HF_EVENT_DESTROY));
    assert_true(s.enlisted > 0 && s.reused_enlisted > 0 && s.created < s.allocated);
    assert_int_equal(s.failed_create + s.failed_enlist + s.failed_reset + s.invalid, 0);
    assert_int_equal(s.waits + s.timeouts + s.leaks + s.reclaimed + s.evicted, 0);
    for (hf_resid id = 1; id < 400; id++)
        if (hf_holder_free(p->h, id) == HF_OK)
            drv_give(d, id);
    assert_int_equal(pool_stats(p).used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(idle__0_is_not_pooled),
        T(idle__minus_1_stays),
        T(idle__preset_is_the_holders_own),
        T(idle__time_begins_anew_with_each_use),
        T(life__ends_the_free_not_those_in_use_or_enlisted),
        T(life__is_at_most_a_fortieth_shorter),
        T(limits__do_not_overflow),
        T(tick__sweeps_what_is_due_and_says_when_next),
        T(dead__a_rating_above_100_or_a_failure_destroys),
        T(dead__an_enlisted_one_goes_when_its_transaction_is_over),
        T(dead__an_error_about_an_enlisted_one_dooms_it),
        T(reset__that_fails_dooms),
        T(validate__asks_before_one_of_general_inventory_is_given_out),
        T(validate__is_bypassed_for_who_was_idle_for_less),
        T(adapt__follows_a_rating_below_100),
        T(adapt__that_fails_dooms_an_enlisted_one),
        T(strict__any_enlisted_one_wins_over_all_others),
        T(leak__a_tag_is_the_callers_again_after_the_free),
        T(leak__is_told_once_for_each_allocation),
        T(hooks__suspend_and_resume_while_the_transaction_runs),
        T(hooks__suspend_comes_in_a_thread_that_may),
        T(hooks__a_suspend_that_fails_dooms),
        T(hooks__a_resume_that_fails_dooms),
        T(hooks__an_enlist_0_that_fails),
        T(hooks__tx_end_tells_the_outcome_and_may_doom),
        T(hooks__clean_comes_once_it_is_nobodys),
        T(hooks__a_clean_that_fails_destroys),
        T(hooks__type_free_comes_with_the_last_of_a_type),
        T(events__say_what_happened_to_whom),
        T(many__each_is_found_by_its_id),
        T(counters__add_up),
    };
    return cmocka_run_group_tests_name("holder.life", tests, NULL, NULL);
}
