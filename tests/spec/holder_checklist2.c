/*
 * What: the conformance checklist of the holder, lines 20 to 28: idle limits, tracking, the end of
 *       an owner, wrong ids, RequestDestroyResource, Close. Line 29 is in
 *       holder_threads.c, line 30 in holder_races.c.
 * How:  as holder_checklist.c. Idle limits are of one second, the shortest there is.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

/* -- 20, 21: idle limits ----------------------------------------------------------------------- */

static void line_20__idle_is_destroyed_not_before_its_limit_by_another_thread(void **state)
{
    struct pool *p = *state;
    uint64_t freed, end = now_ms() + 60 * 1000;

    p->manager.background = 1;
    p->manager.sweep_ms = 20;
    pool_open(p);
    drv_idle(p->d, 1);
    (void)pool_alloc(p, 7);
    freed = now_ms();
    pool_free(p, 1);
    while (drv_calls(p->d, DRV_DESTROY) == 0 && now_ms() < end)
        sleep_ms(10);
    drv_expect(p->d, "create(7)=1 reset(1) destroy(1)");
    /* Both clocks count whole milliseconds. */
    assert_true(p->d->seen[DRV_DESTROY].at_ms - freed >= 999);
    assert_false(pthread_equal(p->d->seen[DRV_DESTROY].thread, pthread_self()));
    assert_int_equal(pool_stats(p).expired_idle, 1);
    assert_int_equal(pool_stats(p).idle, 0);
}

static void line_21__enlisted_inventory_survives_its_limit_until_T_ends(void **state)
{
    struct pool *p = *state;
    uint64_t ended;
    hf_tx *tx;

    pool_open(p);
    drv_idle(p->d, 1);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    sleep_ms(1200);
    t_ok(hf_holder_sweep(p->h));
    t_ok(hf_manager_tick(p->m, NULL));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(pool_stats(p).idle_enlisted, 1);
    ended = now_ms();
    t_ok(hf_tx_commit(tx, NULL));
    pool_sweep_until(p, 0); /* its time begins only now */
    assert_true(p->d->seen[DRV_DESTROY].at_ms - ended >= 999);
}

/* -- 22, 23: tracked --------------------------------------------------------------------------- */

static void line_22__tracked_is_destroyed_when_untracked_and_then_T_ends(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    for (int commit = 0; commit < 2; commit++) {
        tx = pool_begin(p);
        drv_made(p->d, 50);
        t_ok(hf_holder_track(p->h, 50));
        drv_expect(p->d, "enlist(50,T)");
        drv_told(p->d, "track(50+)");
        assert_ptr_equal(p->d->tx, tx);
        assert_int_equal(pool_stats(p).tracked, 1);
        t_ok(hf_holder_untrack(p->h, 50, 1));
        drv_expect(p->d, "");
        assert_true(drv_is_alive(p->d, 50));
        t_ok(commit ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
        drv_expect(p->d, "destroy(50)");
        drv_told(p->d, "destroy(50)");
        assert_int_equal(pool_stats(p).tracked, 0);
    }
}

static void line_22__tracked_is_destroyed_when_T_ended_and_then_untracked(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    for (int commit = 0; commit < 2; commit++) {
        tx = pool_begin(p);
        drv_made(p->d, 50);
        t_ok(hf_holder_track(p->h, 50));
        t_ok(commit ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
        drv_expect(p->d, "enlist(50,T)");
        assert_int_equal(pool_stats(p).tracked, 1);
        t_ok(hf_holder_untrack(p->h, 50, 1));
        drv_expect(p->d, "destroy(50)");
        assert_int_equal(pool_stats(p).tracked, 0);
    }
}

static void line_22__tracked_without_T_is_not_enlisted(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    drv_expect(p->d, "");
    drv_told(p->d, "track(50)");
    t_ok(hf_holder_untrack(p->h, 50, 1));
    drv_expect(p->d, "destroy(50)");
    tx = pool_begin(p); /* nor does it wait for one that it is not in */
    drv_answer_once(p->d, DRV_ENLIST, 0, HF_NOT_ENLISTABLE);
    drv_made(p->d, 51);
    t_ok(hf_holder_track(p->h, 51));
    t_ok(hf_holder_untrack(p->h, 51, 1));
    drv_expect(p->d, "enlist(51,T)!NOT_ENLISTABLE destroy(51)");
    t_ok(hf_tx_commit(tx, NULL));
}

static void line_22__what_cannot_be_enlisted_is_not_tracked(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    drv_made(p->d, 50);
    drv_answer_once(p->d, DRV_ENLIST, 50, HF_EENLIST);
    t_rc(HF_EENLIST, hf_holder_track(p->h, 50));
    drv_answer_once(p->d, DRV_ENLIST, 50, -5);
    t_rc(HF_EDRIVER, hf_holder_track(p->h, 50));
    assert_int_equal(pool_stats(p).tracked, 0);
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 50, 1));
    t_ok(hf_tx_set_rollback_only(tx));
    drv_clear(p->d);
    t_rc(HF_EROLLEDBACK, hf_holder_track(p->h, 50));
    drv_expect(p->d, "");
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0); /* it is still the caller's */
    drv_unmade(p->d, 50);
}

static void line_23__untrack_FALSE_does_not_destroy(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    drv_made(p->d, 50);
    drv_made(p->d, 51);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_untrack(p->h, 50, 0));
    tx = pool_begin(p);
    t_ok(hf_holder_track(p->h, 51));
    t_ok(hf_holder_untrack(p->h, 51, 0));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(pool_stats(p).tracked, 0);
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    drv_expect(p->d, "enlist(51,T) released");
    drv_unmade(p->d, 50);
    drv_unmade(p->d, 51);
}

/* -- 24: the end of an owner ------------------------------------------------------------------- */

static void line_24__the_owners_end_destroys_what_is_tracked(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    for (hf_resid id = 50; id <= 52; id++)
        drv_made(p->d, id);
    atomic_store(&p->d->owner, 2);
    t_ok(hf_holder_track(p->h, 51));
    atomic_store(&p->d->owner, 1);
    t_ok(hf_holder_track(p->h, 50));
    tx = pool_begin(p);
    t_ok(hf_holder_track(p->h, 52));
    t_ok(hf_holder_track_s(p->h, "s")); /* without enlist_s: outside the transaction */
    drv_clear(p->d);
    t_ok(hf_manager_owner_end(p->m, 1));
    assert_int_equal(drv_count(p->d, "destroy(50)"), 1);
    assert_int_equal(drv_count(p->d, "destroy_s(s)"), 1);
    assert_true(drv_is_alive(p->d, 52)); /* until its transaction is over */
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 52, 1));
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 50, 1));
    t_ok(hf_tx_commit(tx, NULL));
    assert_false(drv_is_alive(p->d, 52));
    assert_true(drv_is_alive(p->d, 51));
    t_ok(hf_holder_untrack(p->h, 51, 1));
}

/* Of what it has in use: 1 in a transaction, 2 not. */
static void end_owner(struct pool *p)
{
    hf_resid two;
    hf_tx *tx;

    pool_open(p);
    atomic_store(&p->d->owner, 5);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    t_ok(pool_alloc_plain(p, 7, &two));
    drv_clear(p->d);
    t_ok(hf_manager_owner_end(p->m, 6)); /* another's */
    drv_expect(p->d, "");
    t_ok(hf_manager_owner_end(p->m, 5));
    t_rc(HF_EINVAL, hf_manager_owner_end(p->m, 0));
    t_ok(hf_tx_commit(tx, NULL));
}

static void line_24__the_owners_end_leaves_what_is_pooled(void **state)
{
    struct pool *p = *state;

    end_owner(p);
    drv_expect(p->d, "");
    assert_int_equal(pool_stats(p).used, 2);
    pool_free(p, 1);
    pool_free(p, 2);
}

static void line_24__the_owners_end_frees_what_is_pooled_with_the_option(void **state)
{
    struct pool *p = *state;

    p->config.flags = HF_HOLDER_RECLAIM;
    end_owner(p);
    assert_int_equal(drv_calls(p->d, DRV_RESET), 2);
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(pool_stats(p).idle, 2);
    assert_int_equal(pool_stats(p).reclaimed, 2);
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    drv_give(p->d, 1);
}

static void line_24__a_reset_that_fails_at_the_owners_end_dooms_it(void **state)
{
    struct pool *p = *state;

    p->config.flags = HF_HOLDER_RECLAIM;
    drv_answer(p->d, DRV_RESET, 0, -5);
    end_owner(p);
    assert_int_equal(drv_alive(p->d), 0);
}

/* -- 25: strings ------------------------------------------------------------------------------- */

static void line_25__what_is_tracked_by_a_string_goes_by_DestroyResourceS(void **state)
{
    struct pool *p = *state;
    char sid[] = "a to b";
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_ENLIST_S);
    pool_open(p);
    t_ok(hf_holder_track_s(p->h, sid));
    memset(sid, 'x', 6); /* it is copied */
    t_rc(HF_EINVAL, hf_holder_track_s(p->h, "a to b"));
    t_rc(HF_EINVAL, hf_holder_untrack_s(p->h, "a to", 1));
    t_ok(hf_holder_untrack_s(p->h, "a to b", 1));
    drv_expect(p->d, "destroy_s(a to b)");
    tx = pool_begin(p);
    t_ok(hf_holder_track_s(p->h, "c"));
    t_ok(hf_holder_untrack_s(p->h, "c", 1));
    drv_expect(p->d, "enlist_s(c,T)");
    t_ok(hf_tx_rollback(tx, NULL));
    drv_expect(p->d, "destroy_s(c)");
    t_ok(hf_holder_track_s(p->h, "d"));
    t_ok(hf_holder_untrack_s(p->h, "d", 0));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(drv_calls(p->d, DRV_DESTROY_S), 2);
}

/* -- 26: wrong ids ----------------------------------------------------------------------------- */

static void line_26__wrong_ids_are_refused(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    (void)pool_alloc(p, 7);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 50));       /* tracked */
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 1, 1));  /* pooled, in use */
    t_rc(HF_EINVAL, hf_holder_free(p->h, 77));       /* unknown */
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 77, 1)); /* unknown */
    t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, 77));
    t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, 50)); /* tracked: untrack is the call */
    t_rc(HF_EINVAL, hf_holder_track(p->h, 50));
    t_rc(HF_EINVAL, hf_holder_track(p->h, 1));
    t_rc(HF_EINVAL, hf_holder_track(p->h, 0));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 0));
    drv_clear(p->d);
    pool_free(p, 1);
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1)); /* a second time */
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 1, 1));
    t_rc(HF_EINVAL, hf_holder_track(p->h, 1));
    drv_expect(p->d, "reset(1)");
    t_ok(hf_holder_untrack(p->h, 50, 1));
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 50, 1));
    assert_int_equal(pool_stats(p).idle, 1);
}

/* -- 27: RequestDestroyResource ---------------------------------------------------------------- */

static void line_27__requested_while_free(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 2);
    t_ok(hf_holder_request_destroy(p->h, 2));
    drv_expect(p->d, "destroy(2)");
    t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, 2));
    assert_int_equal(pool_alloc(p, 7), 1);
    pool_free(p, 1);
}

static void line_27__requested_while_in_use(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    (void)pool_alloc(p, 7);
    drv_clear(p->d);
    t_ok(hf_holder_request_destroy(p->h, 1));
    drv_expect(p->d, "destroy(1)"); /* at once, and without reset */
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    assert_int_equal(pool_stats(p).used, 0);
}

static void line_27__requested_while_enlisted(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    for (int commit = 0; commit < 2; commit++) {
        hf_resid used, idle, other;

        tx = pool_begin(p);
        used = pool_alloc(p, 7);
        idle = pool_alloc(p, 7);
        pool_free(p, idle);
        drv_clear(p->d);
        t_ok(hf_holder_request_destroy(p->h, used));
        t_ok(hf_holder_request_destroy(p->h, idle));
        t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, used));
        t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, idle));
        t_rc(HF_EINVAL, hf_holder_free(p->h, used));
        drv_expect(p->d, "");
        assert_int_equal(pool_stats(p).doomed, 2);
        other = pool_alloc(p, 7); /* they are not offered again */
        assert_int_equal(drv_calls(p->d, DRV_RATE), 0);
        t_ok(hf_holder_request_destroy(p->h, other));
        assert_int_equal(drv_alive(p->d), 3);
        t_ok(commit ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
        assert_int_equal(drv_alive(p->d), 0);
        assert_int_equal(pool_stats(p).doomed, 0);
    }
}

/* -- 28: after Close --------------------------------------------------------------------------- */

static void line_28__calls_after_close_fail_cleanly(void **state)
{
    struct pool *p = *state;
    hf_holder_stats stats = {.size = sizeof(stats)};
    hf_resid id = 99;

    pool_open(p);
    pool_fill(p, 7, 1);
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    drv_expect(p->d, "destroy(1) released");
    t_rc(HF_ECLOSED, hf_holder_alloc(p->h, 7, &id));
    t_rc(HF_ECLOSED, hf_holder_alloc_with(p->h, 7, NULL, &id));
    t_rc(HF_ECLOSED, hf_holder_track(p->h, 50));
    t_rc(HF_ECLOSED, hf_holder_track_s(p->h, "s"));
    t_rc(HF_ECLOSED, hf_holder_stock(p->h, 7, 1));
    t_rc(HF_ECLOSED, hf_holder_resize(p->h, 1));
    t_rc(HF_ECLOSED, hf_holder_pause(p->h, 1));
    t_rc(HF_ECLOSED, hf_holder_flush(p->h, 0, HF_FLUSH_ALL));
    t_rc(HF_ECLOSED, hf_holder_sweep(p->h));
    t_rc(HF_ECLOSED, hf_holder_request_destroy(p->h, 1));
    t_rc(HF_ECLOSED, hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    t_rc(HF_EINVAL, hf_holder_free(p->h, 1));
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 50, 1));
    t_rc(HF_EINVAL, hf_holder_untrack_s(p->h, "s", 1));
    t_ok(hf_holder_get_stats(p->h, &stats));
    assert_int_equal(id, 99);
    drv_expect(p->d, "");
}

static void line_28__a_late_free_and_untrack_destroy(void **state)
{
    struct pool *p = *state;
    unsigned left = 0;

    pool_open(p);
    (void)pool_alloc(p, 7);
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, &left));
    assert_int_equal(left, 2);
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 0);
    pool_free(p, 1);
    assert_false(drv_is_alive(p->d, 1));
    assert_int_equal(drv_calls(p->d, DRV_RESET), 0); /* it is not to be used again */
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 0);
    t_ok(hf_holder_untrack(p->h, 50, 1));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 2);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

static void line_28__close_and_transactions_that_run(void **state)
{
    struct pool *p = *state;
    unsigned left = 0;
    hf_resid id;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_rc(HF_EBUSY, hf_holder_close(p->h, HF_CLOSE_WAIT, 10, &left));
    assert_int_equal(left, 1);
    t_rc(HF_ECLOSED, hf_holder_alloc(p->h, 7, &id)); /* it stays closed to allocations */
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    t_ok(hf_holder_close(p->h, HF_CLOSE_DETACH, 0, &left));
    assert_int_equal(left, 1);
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    drv_clear(p->d);
    t_ok(hf_tx_commit(tx, NULL));
    drv_expect(p->d, "destroy(1) released");

    p->h = pool_open_another(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_clear(p->d);
    t_ok(hf_holder_close(p->h, HF_CLOSE_FORCE, 0, NULL));
    drv_expect(p->d, "destroy(2) released");
    t_ok(hf_tx_commit(tx, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(line_20__idle_is_destroyed_not_before_its_limit_by_another_thread),
        T(line_21__enlisted_inventory_survives_its_limit_until_T_ends),
        T(line_22__tracked_is_destroyed_when_untracked_and_then_T_ends),
        T(line_22__tracked_is_destroyed_when_T_ended_and_then_untracked),
        T(line_22__tracked_without_T_is_not_enlisted),
        T(line_22__what_cannot_be_enlisted_is_not_tracked),
        T(line_23__untrack_FALSE_does_not_destroy),
        T(line_24__the_owners_end_destroys_what_is_tracked),
        T(line_24__the_owners_end_leaves_what_is_pooled),
        T(line_24__the_owners_end_frees_what_is_pooled_with_the_option),
        T(line_24__a_reset_that_fails_at_the_owners_end_dooms_it),
        T(line_25__what_is_tracked_by_a_string_goes_by_DestroyResourceS),
        T(line_26__wrong_ids_are_refused),
        T(line_27__requested_while_free),
        T(line_27__requested_while_in_use),
        T(line_27__requested_while_enlisted),
        T(line_28__calls_after_close_fail_cleanly),
        T(line_28__a_late_free_and_untrack_destroy),
        T(line_28__close_and_transactions_that_run),
    };
    return cmocka_run_group_tests_name("holder.checklist2", tests, NULL, NULL);
}
