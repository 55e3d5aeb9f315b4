/*
 * What: the conformance checklist of the holder, line 30: transactions that end, and other calls
 *       that come, while a callback runs.
 * How:  a barrier in the callback.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

/* -- 30: the transaction ends during a reset --------------------------------------------------- */

/* 1 is in use, within the transaction; another thread frees it and stands in reset. */
static hf_tx *stand_in_reset(struct pool *p, struct request *r, struct job *job)
{
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    *r = request_for(p, 7);
    r->id = pool_alloc(p, 7);
    drv_hold(p->d, DRV_RESET, 1);
    job_start(job, request_free, r);
    assert_int_equal(drv_held(p->d), 1);
    drv_clear(p->d);
    return tx;
}

static void ends_in_reset(struct pool *p, bool commit)
{
    struct request r;
    struct job job;
    hf_tx *tx = stand_in_reset(p, &r, &job);

    t_ok(commit ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(pool_stats(p).idle_enlisted, 0);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 1); /* and is not filed under the dead one */
    drv_expect(p->d, "rate(7,1,0)=100 enlist(1,-)");
    pool_free(p, 1);
}

static void line_30__T_commits_during_the_reset_of_a_free(void **state)
{
    ends_in_reset(*state, true);
}

static void line_30__T_rolls_back_during_the_reset_of_a_free(void **state)
{
    ends_in_reset(*state, false);
}

static void line_30__T_ends_during_a_reset_that_fails(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx;

    drv_answer(p->d, DRV_RESET, 0, -5);
    tx = stand_in_reset(p, &r, &job);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_alive(p->d), 1);
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_EDRIVER);
    assert_int_equal(drv_alive(p->d), 0); /* there is no transaction left to wait for */
}

static void line_30__T_ends_during_a_reset_and_another_is_begun(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx = stand_in_reset(p, &r, &job);

    t_ok(hf_tx_commit(tx, NULL));
    tx = pool_begin(p); /* often at the same address */
    assert_int_equal(pool_alloc(p, 7), 2);
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(pool_stats(p).idle_enlisted, 0);
    pool_free(p, 2);
    drv_clear(p->d);
    drv_rate(p->d, 7, 2, 0, 10);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_expect(p->d, "rate(7,2,0)=10 rate(7,1,1)=100 enlist(1,T)");
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
}

static void line_30__requested_to_be_destroyed_during_a_reset(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx = stand_in_reset(p, &r, &job);

    t_ok(hf_holder_request_destroy(p->h, 1));
    assert_int_equal(drv_alive(p->d), 1);
    drv_let_go(p->d);
    (void)job_end(&job); /* its free was in time */
    assert_int_equal(drv_alive(p->d), 1);
    assert_int_equal(pool_alloc(p, 7), 2);
    pool_free(p, 2);
    t_ok(hf_tx_commit(tx, NULL));
    assert_false(drv_is_alive(p->d, 1));
}

/* -- 30: during an enlistment ------------------------------------------------------------------ */

struct enlister {
    struct pool *p;
    hf_tx *tx;
    uint32_t timeout_ms;
    bool track; /* 50, instead of an allocation */
    hf_resid id;
    int rc;
};

/* Begin, allocate or track, roll back. */
static int enlist_and_lose(void *arg)
{
    struct enlister *e = arg;
    int rc = hf_tx_begin(e->p->w->tm, e->timeout_ms, &e->tx);

    if (rc != HF_OK)
        return rc;
    e->rc = e->track ? hf_holder_track(e->p->h, 50) : hf_holder_alloc(e->p->h, 7, &e->id);
    return hf_tx_rollback(e->tx, NULL);
}

static void spoilt_in_enlist(struct pool *p, struct enlister *e)
{
    struct job job;
    hf_tx_state now = HF_TX_ACTIVE;

    e->id = 99;
    drv_hold(p->d, DRV_ENLIST, 0);
    job_start(&job, enlist_and_lose, e);
    (void)drv_held(p->d);
    if (e->timeout_ms == 0)
        t_ok(hf_tx_set_rollback_only(e->tx));
    while (e->timeout_ms != 0 && now != HF_TX_TIMED_OUT) {
        sleep_ms(10);
        t_ok(hf_tm_tick(p->w->tm, NULL));
        t_ok(hf_tx_get_state(e->tx, &now));
    }
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(e->rc, HF_EROLLEDBACK);
    assert_int_equal(e->id, 99);
    assert_int_equal(pool_stats(p).used + pool_stats(p).used_enlisted, 0);
    assert_int_equal(pool_stats(p).idle_enlisted + pool_stats(p).tracked, 0);
    assert_int_equal(pool_stats(p).allocated, 0);
}

static void line_30__T_times_out_during_enlist(void **state)
{
    struct enlister e = {.p = *state, .timeout_ms = 1000};

    pool_open(e.p);
    spoilt_in_enlist(e.p, &e);
    assert_int_equal(pool_stats(e.p).idle, drv_alive(e.p->d));
}

static void line_30__T_becomes_rollback_only_during_enlist(void **state)
{
    struct enlister e = {.p = *state};

    pool_open(e.p);
    spoilt_in_enlist(e.p, &e);
    assert_int_equal(pool_stats(e.p).idle, drv_alive(e.p->d));
}

static void line_30__T_becomes_rollback_only_during_the_enlist_of_a_tracked_one(void **state)
{
    struct enlister e = {.p = *state, .track = true};

    drv_made(e.p->d, 50);
    pool_open(e.p);
    spoilt_in_enlist(e.p, &e);
    assert_true(drv_is_alive(e.p->d, 50)); /* still the caller's */
    t_rc(HF_EINVAL, hf_holder_untrack(e.p->h, 50, 1));
    drv_unmade(e.p->d, 50);
}

static void line_30__the_same_with_a_branch(void **state)
{
    struct enlister e = {.p = *state};

    world_start(e.p->w, 1);
    e.p->d->rm = e.p->w->rm[A];
    pool_open(e.p);
    world_trace_clear();
    spoilt_in_enlist(e.p, &e);
    assert_int_equal(fake_calls(A, FAKE_START), 1);
    assert_int_equal(fake_rolled_back(A), 1);
}

static void roll_back_in_enlist(void *user, enum drv_call call, hf_resid id)
{
    struct pool *p = user;

    (void)id;
    if (call == DRV_ENLIST && p->d->tx != NULL)
        (void)hf_tx_rollback(p->d->tx, NULL);
}

/* The driver itself ends it, and says that all is well. */
static void line_30__T_ends_within_enlist(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;

    pool_open(p);
    (void)pool_begin(p);
    drv_on_call(p->d, roll_back_in_enlist, p);
    t_rc(HF_EROLLEDBACK, hf_holder_alloc(p->h, 7, &id));
    drv_on_call(p->d, NULL, NULL);
    assert_null(hf_tx_current(p->w->tm));
    assert_int_equal(id, 99);
    assert_int_equal(pool_stats(p).used + pool_stats(p).used_enlisted, 0);
    assert_int_equal(pool_stats(p).idle_enlisted, 0);
    assert_int_equal(pool_stats(p).idle, drv_alive(p->d));
}

static void line_30__T_ends_within_the_enlist_of_a_tracked_one(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    (void)pool_begin(p);
    drv_made(p->d, 50);
    drv_on_call(p->d, roll_back_in_enlist, p);
    t_rc(HF_EROLLEDBACK, hf_holder_track(p->h, 50));
    drv_on_call(p->d, NULL, NULL);
    assert_int_equal(pool_stats(p).tracked, 0);
    assert_true(drv_is_alive(p->d, 50)); /* still the caller's */
    drv_unmade(p->d, 50);
}

/* -- 30: beside tx_end, and other meetings ----------------------------------------------------- */

static void told_after_reset(struct pool *p, int answer)
{
    struct request r;
    struct job job;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_TX_END | 1u << DRV_SUSPEND);
    drv_answer(p->d, DRV_TX_END, 0, answer);
    tx = stand_in_reset(p, &r, &job);
    t_ok(hf_tx_commit(tx, NULL));
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(drv_calls(p->d, DRV_TX_END), 1);
    assert_int_equal(drv_calls(p->d, DRV_SUSPEND), 0); /* there is nothing left to leave */
}

static void line_30__T_ends_during_a_reset_and_the_driver_is_told_after_it(void **state)
{
    struct pool *p = *state;

    told_after_reset(p, HF_OK);
    drv_expect(p->d, "tx_end(1,committed)");
    assert_int_equal(pool_stats(p).idle, 1);
}

static void line_30__and_may_doom_it(void **state)
{
    struct pool *p = *state;

    told_after_reset(p, -5);
    drv_expect(p->d, "tx_end(1,committed)!-5 destroy(1)");
    assert_int_equal(drv_alive(p->d), 0);
}

struct completion {
    struct pool *p;
    hf_tx *tx;
    bool used; /* the resource is in use when it ends */
};

static int begin_alloc_commit(void *arg)
{
    struct completion *c = arg;
    hf_resid id = 0;
    int rc = hf_tx_begin(c->p->w->tm, 0, &c->tx);

    if (rc == HF_OK)
        rc = hf_holder_alloc(c->p->h, 7, &id);
    if (rc == HF_OK && !c->used)
        rc = hf_holder_free(c->p->h, id);
    return rc == HF_OK ? hf_tx_commit(c->tx, NULL) : rc;
}

/* A thread commits, and stands in tx_end of 1. */
static void stand_in_tx_end(struct pool *p, struct completion *c, struct job *job)
{
    drv_offer(p->d, 1u << DRV_TX_END);
    pool_open(p);
    drv_hold(p->d, DRV_TX_END, 1);
    c->p = p;
    job_start(job, begin_alloc_commit, c);
    assert_int_equal(drv_held(p->d), 1);
}

static void line_30__in_tx_end_it_is_nobodys_yet(void **state)
{
    struct completion c = {.used = false};
    struct pool *p = *state;
    struct job job;

    stand_in_tx_end(p, &c, &job);
    assert_int_equal(pool_alloc(p, 7), 2);
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    t_ok(hf_holder_sweep(p->h));
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_IDLE));
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    pool_free(p, 2);
    assert_int_equal(drv_count(p->d, "tx_end(1,committed)"), 1);
}

static void line_30__requested_to_be_destroyed_in_tx_end(void **state)
{
    struct completion c = {.used = false};
    struct pool *p = *state;
    struct job job;

    stand_in_tx_end(p, &c, &job);
    t_ok(hf_holder_request_destroy(p->h, 1));
    assert_true(drv_is_alive(p->d, 1));
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    assert_false(drv_is_alive(p->d, 1));
}

/* Its user frees it just now: reset has to wait for tx_end, who frees it need not. */
static void line_30__freed_in_tx_end(void **state)
{
    struct completion c = {.used = true};
    struct pool *p = *state;
    struct job job, freeing;
    struct request r;

    stand_in_tx_end(p, &c, &job);
    r = request_for(p, 7);
    r.id = 1;
    job_start(&freeing, request_free, &r);
    sleep_ms(20);
    assert_int_equal(drv_calls(p->d, DRV_RESET), 0);
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(job_end(&freeing), HF_OK);
    assert_int_equal(drv_calls(p->d, DRV_RESET), 1);
    assert_int_equal(pool_stats(p).idle, 1);
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
}

static void line_30__the_owner_ends_during_a_reset(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx;

    p->config.flags = HF_HOLDER_RECLAIM;
    atomic_store(&p->d->owner, 5);
    tx = stand_in_reset(p, &r, &job);
    t_ok(hf_manager_owner_end(p->m, 5));
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_calls(p->d, DRV_RESET), 1);
    assert_int_equal(pool_stats(p).idle, 1);
}

/* Close is not to destroy what a callback is at; nobody else may, either. */
static void close_in_reset(struct pool *p, hf_close how)
{
    struct request r;
    struct job job;
    hf_tx *tx = stand_in_reset(p, &r, &job);

    t_ok(hf_holder_close(p->h, how, 0, NULL));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 0);
    drv_let_go(p->d);
    (void)job_end(&job); /* the free was in time, the resource is not */
    assert_int_equal(drv_alive(p->d), how == HF_CLOSE_FORCE ? 0 : 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 1);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

static void line_30__closed_during_a_reset(void **state)
{
    close_in_reset(*state, HF_CLOSE_DETACH);
}

static void line_30__closed_by_force_during_a_reset(void **state)
{
    close_in_reset(*state, HF_CLOSE_FORCE);
}

static void line_30__closed_while_it_is_rated(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;

    pool_open(p);
    pool_fill(p, 7, 2);
    r = request_for(p, 7);
    drv_hold(p->d, DRV_RATE, 2);
    job_start(&job, request_alloc, &r);
    (void)drv_held(p->d);
    t_ok(hf_holder_close(p->h, HF_CLOSE_DETACH, 0, NULL));
    assert_true(drv_is_alive(p->d, 2));
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 0);
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_ECLOSED);
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

/* Flush, resize and sweep while it is looked at. */
static void line_30__flushed_while_it_is_rated(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;

    pool_open(p);
    pool_fill(p, 7, 2);
    r = request_for(p, 7);
    drv_hold(p->d, DRV_RATE, 2);
    job_start(&job, request_alloc, &r);
    (void)drv_held(p->d);
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_ALL));
    t_ok(hf_holder_resize(p->h, 1));
    t_ok(hf_holder_sweep(p->h));
    assert_true(drv_is_alive(p->d, 2));
    assert_false(drv_is_alive(p->d, 1));
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    t_ok(request_free(&r));
    assert_false(drv_is_alive(p->d, 2)); /* it was there at the flush */
    assert_int_equal(pool_stats(p).idle, drv_alive(p->d));
}

/* -- 30: the driver ends the transaction itself ------------------------------------------------ */

struct ender {
    struct pool *p;
    enum drv_call in;
    unsigned times;
};

static void end_it(void *user, enum drv_call call, hf_resid id)
{
    struct ender *e = user;
    hf_tx *tx = hf_tx_current(e->p->w->tm);

    (void)id;
    if (call == e->in && tx != NULL && hf_tx_rollback(tx, NULL) == HF_OK)
        e->times++;
}

/* Allocate, free, allocate, free; what cannot be had any more is an error, and no more. */
static void line_30__T_ends_within_each_callback(void **state)
{
    static const enum drv_call calls[] = {DRV_CREATE, DRV_ENLIST, DRV_RESET, DRV_SUSPEND,
                                          DRV_RATE,   DRV_RESUME, DRV_ADAPT};
    struct ender e = {.p = *state};
    struct pool *p = *state;

    drv_offer(p->d, 1u << DRV_SUSPEND | 1u << DRV_RESUME | 1u << DRV_ADAPT | 1u << DRV_TX_END);
    drv_rate(p->d, 7, 0, -1, 50);
    pool_open(p);
    for (unsigned n = 0; n < sizeof(calls) / sizeof(*calls); n++) {
        hf_holder_stats s;

        e.in = calls[n];
        e.times = 0;
        (void)pool_begin(p);
        drv_on_call(p->d, end_it, &e);
        for (int round = 0; round < 2; round++) {
            hf_resid id = 99;
            int rc = hf_holder_alloc(p->h, 7, &id);

            if (rc == HF_OK)
                t_ok(hf_holder_free(p->h, id));
            else
                assert_true(rc == HF_EROLLEDBACK || rc == HF_ESTATE);
            assert_true((rc == HF_OK) == (id != 99));
        }
        drv_on_call(p->d, NULL, NULL);
        assert_int_equal(e.times, 1);
        assert_null(hf_tx_current(p->w->tm));
        s = pool_stats(p);
        assert_int_equal(s.used + s.used_enlisted + s.idle_enlisted + s.doomed, 0);
        assert_int_equal(s.idle, drv_alive(p->d));
        t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_ALL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(line_30__T_commits_during_the_reset_of_a_free),
        T(line_30__T_rolls_back_during_the_reset_of_a_free),
        T(line_30__T_ends_during_a_reset_that_fails),
        T(line_30__T_ends_during_a_reset_and_another_is_begun),
        T(line_30__requested_to_be_destroyed_during_a_reset),
        T(line_30__T_times_out_during_enlist),
        T(line_30__T_becomes_rollback_only_during_enlist),
        T(line_30__T_becomes_rollback_only_during_the_enlist_of_a_tracked_one),
        T(line_30__the_same_with_a_branch),
        T(line_30__T_ends_during_a_reset_and_the_driver_is_told_after_it),
        T(line_30__and_may_doom_it),
        T(line_30__in_tx_end_it_is_nobodys_yet),
        T(line_30__requested_to_be_destroyed_in_tx_end),
        T(line_30__freed_in_tx_end),
        T(line_30__the_owner_ends_during_a_reset),
        T(line_30__closed_during_a_reset),
        T(line_30__closed_by_force_during_a_reset),
        T(line_30__closed_while_it_is_rated),
        T(line_30__flushed_while_it_is_rated),
        T(line_30__T_ends_within_each_callback),
        T(line_30__T_ends_within_enlist),
        T(line_30__T_ends_within_the_enlist_of_a_tracked_one),
    };
    return cmocka_run_group_tests_name("holder.races", tests, NULL, NULL);
}
