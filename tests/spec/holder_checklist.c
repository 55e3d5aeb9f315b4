/*
 * What: the conformance checklist of the holder, lines 1 to 19: allocation, rating, enlistment.
 *       Lines 20 to 28 are in holder_checklist2.c, 29 in holder_threads.c, 30 in holder_races.c.
 * How:  a scripted driver that writes down every callback, and transactions of a real tm. Each test
 *       is named after its line.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

static void line_01__the_first_alloc_creates_and_does_not_rate_or_enlist(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    drv_next_id(p->d, 4711);
    assert_int_equal(pool_alloc(p, 7), 4711);
    drv_expect(p->d, "create(7)=4711");
    drv_told(p->d, "create(4711)");
    pool_free(p, 4711);
}

static void line_02__free_resets_and_close_destroys_and_releases_once(void **state)
{
    struct pool *p = *state;
    unsigned left = 9;

    pool_open(p);
    pool_free(p, pool_alloc(p, 7));
    drv_expect(p->d, "create(7)=1 reset(1)");
    drv_told(p->d, "create(1) recycle(1)");
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, &left));
    drv_expect(p->d, "destroy(1) released");
    drv_told(p->d, "destroy(1)");
    assert_int_equal(left, 0);
}

static void line_03__a_destroy_that_fails_leaves_close_successful(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 2);
    drv_answer(p->d, DRV_DESTROY, 0, -5);
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 2);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

static void line_04__close_of_an_empty_holder_destroys_nothing_and_releases_once(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    drv_expect(p->d, "released");
}

static void line_05__the_same_driver_and_name_twice_make_two_holders(void **state)
{
    struct pool *p = *state;
    hf_holder *one, *two;

    pool_open(p);
    one = p->h;
    two = pool_open_another(p);
    assert_ptr_not_equal(one, two);
    pool_fill(p, 7, 1);
    p->h = two;
    assert_int_equal(pool_alloc(p, 7), 2); /* 1 is in the other's inventory */
    t_rc(HF_EINVAL, hf_holder_free(one, 2));
    pool_free(p, 2);
    assert_int_equal(pool_stats(p).idle, 1);
    t_ok(hf_holder_close(one, HF_CLOSE_WAIT, 0, NULL));
    assert_int_equal(pool_alloc(p, 7), 2);
    pool_free(p, 2);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

static void line_06__type_0_is_refused(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;

    pool_open(p);
    pool_fill(p, 7, 1);
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 0, &id));
    assert_int_equal(id, 99);
    drv_expect(p->d, "");
}

static void line_06__an_id_of_0_is_refused(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;

    pool_open(p);
    drv_next_id(p->d, 0);
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 7, &id));
    drv_expect(p->d, "create(7)=0");
    assert_int_equal(id, 99);
    assert_int_equal(pool_stats(p).used, 0);
}

/* One in use, one that is free, one that is tracked: none is destroyed, each is as it was. */
static void line_06__a_duplicate_is_refused_and_the_live_one_not_destroyed(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;

    pool_open(p);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_next_id(p->d, 1);
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 7, &id));
    pool_free(p, 1);
    drv_next_id(p->d, 1); /* free now, but not fit for another type */
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 8, &id));
    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    drv_next_id(p->d, 50);
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 8, &id));
    assert_int_equal(id, 99);
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(pool_alloc(p, 7), 1);
    pool_free(p, 1);
    t_ok(hf_holder_untrack(p->h, 50, 1));
}

static void line_07__the_id_is_untouched_by_every_failure_of_the_driver(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    drv_offer(p->d, 1u << DRV_ADAPT);
    pool_open(p);
    tx = pool_begin(p);
    drv_answer_once(p->d, DRV_CREATE, 0, -5);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 7, &id));
    drv_answer_once(p->d, DRV_ENLIST, 0, -5);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 7, &id)); /* of a new one */
    drv_answer_once(p->d, DRV_ENLIST, 0, HF_EENLIST);
    t_rc(HF_EENLIST, hf_holder_alloc(p->h, 7, &id));
    drv_answer_once(p->d, DRV_ENLIST, 0, HF_EENLIST);
    t_rc(HF_EENLIST, hf_holder_alloc(p->h, 7, &id)); /* of one of inventory */
    drv_rate(p->d, 7, 0, -1, 50);
    drv_answer_once(p->d, DRV_ADAPT, 0, -5);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(id, 99);
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(pool_stats(p).used + pool_stats(p).used_enlisted, 0);
    assert_int_equal(pool_stats(p).allocated, 0);
}

static void line_07__the_id_is_untouched_by_every_failure_of_the_holder(void **state)
{
    struct pool *p = *state;
    hf_alloc request = HF_ALLOC_INIT;
    hf_resid id = 99;
    hf_tx *tx;

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    t_rc(HF_ELIMIT, hf_holder_alloc(p->h, 7, &id));
    t_rc(HF_ETIMEOUT, pool_alloc_wait(p, 7, 5, &id));
    pool_free(p, 1);
    request.size = 1;
    t_rc(HF_EINVAL, hf_holder_alloc_with(p->h, 7, &request, &id));
    tx = pool_begin(p);
    t_ok(hf_tx_set_rollback_only(tx));
    t_rc(HF_EROLLEDBACK, hf_holder_alloc(p->h, 7, &id));
    t_ok(hf_tx_rollback(tx, NULL));
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    t_rc(HF_ECLOSED, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(id, 99);
}

static void line_08__a_rating_of_100_ends_the_loop(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 4);
    drv_rate(p->d, 7, 0, -1, 99); /* the best but one does not */
    drv_rate(p->d, 7, 3, -1, 100);
    assert_int_equal(pool_alloc(p, 7), 3);
    drv_expect(p->d, "rate(7,4,0)=99 rate(7,3,0)=100");
    drv_told(p->d, "allocate(3,2,100)");
    pool_free(p, 3);
}

static void line_09__the_highest_rating_wins(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 4);
    drv_rate(p->d, 7, 1, -1, 60);
    drv_rate(p->d, 7, 2, -1, 61);
    drv_rate(p->d, 7, 3, -1, 1);
    drv_rate(p->d, 7, 4, -1, 0);
    assert_int_equal(pool_alloc(p, 7), 2);
    drv_expect(p->d, "rate(7,4,0)=0 rate(7,3,0)=1 rate(7,2,0)=61 rate(7,1,0)=60");
    drv_told(p->d, "allocate(2,4,61)");
    pool_free(p, 2);
}

static void line_09__the_earlier_of_equals_wins(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 3);
    drv_rate(p->d, 7, 0, -1, 50);
    assert_int_equal(pool_alloc(p, 7), 3); /* used last */
    pool_free(p, 3);
}

static void line_09__all_0_leads_to_create(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 2);
    drv_rate(p->d, 7, 0, -1, 0);
    assert_int_equal(pool_alloc(p, 7), 3);
    drv_expect(p->d, "rate(7,2,0)=0 rate(7,1,0)=0 create(7)=3");
    drv_told(p->d, "create(3)");
    assert_int_equal(p->d->preset_rating, 0);
    pool_free(p, 3);
    assert_int_equal(pool_stats(p).idle, 3);
}

static void line_10__a_candidate_of_another_type_is_offered(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, 7, 1);
    assert_int_equal(pool_alloc(p, 8), 2);
    drv_expect(p->d, "rate(8,1,0)=0 create(8)=2");
    pool_free(p, 2);
    drv_clear(p->d);
    drv_rate(p->d, 8, 1, -1, 70); /* it can be changed to be one */
    drv_rate(p->d, 8, 2, -1, 30);
    assert_int_equal(pool_alloc(p, 8), 1);
    drv_expect(p->d, "rate(8,2,0)=30 rate(8,1,0)=70");
    pool_free(p, 1);
}

static void line_11__freed_in_T_it_is_offered_first_and_not_enlisted_again(void **state)
{
    struct pool *p = *state;
    hf_resid plain;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    assert_int_equal(pool_alloc(p, 7), 1);
    t_ok(pool_alloc_plain(p, 7, &plain));
    pool_free(p, 1);
    pool_free(p, plain); /* used more recently, but not of this transaction */
    drv_expect(p->d, "create(7)=1 enlist(1,T) create(7)=2 reset(1) reset(2)");
    assert_int_equal(pool_stats(p).idle_enlisted, 1);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_expect(p->d, "rate(7,1,0)=100");
    drv_told(p->d, "allocate(1+,1,100)");
    drv_rate(p->d, 7, 1, 0, 40);
    drv_rate(p->d, 7, 2, 1, 40);
    pool_free(p, 1);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 1); /* the earlier of equals, over both passes */
    drv_expect(p->d, "rate(7,1,0)=40 rate(7,2,1)=40");
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(pool_stats(p).reused_enlisted, 2);
    assert_int_equal(pool_stats(p).enlisted, 1);
}

static int alloc_within(void *arg)
{
    struct request *r = arg;
    int rc = hf_tx_resume(r->alloc.tx);

    if (rc == HF_OK)
        rc = request_alloc(r);
    if (rc == HF_OK)
        rc = request_free(r);
    return hf_tx_suspend(r->alloc.tx) == HF_OK ? rc : -1;
}

/* "A resource freed while its transaction runs serves only that transaction, also on another
   thread." */
static void line_11__also_on_another_thread(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_ok(hf_tx_suspend(tx));
    drv_clear(p->d);
    r = request_for(p, 7);
    r.alloc.tx = tx;
    job_start(&job, alloc_within, &r);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(r.id, 1);
    drv_expect(p->d, "rate(7,1,0)=100 reset(1)");
    t_ok(hf_tx_resume(tx));
    t_ok(hf_tx_commit(tx, NULL));
}

static void line_12__in_T2_what_is_free_in_T1_is_not_offered(void **state)
{
    struct pool *p = *state;
    hf_tx *one, *two;
    hf_resid id;

    pool_open(p);
    one = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_ok(hf_tx_suspend(one));
    drv_clear(p->d);
    t_ok(pool_alloc_plain(p, 7, &id)); /* nor to who has none */
    assert_int_equal(id, 2);
    two = pool_begin(p);
    assert_int_equal(pool_alloc(p, 7), 3);
    drv_expect(p->d, "create(7)=2 create(7)=3 enlist(3,T)");
    pool_free(p, 2);
    pool_free(p, 3);
    t_ok(hf_tx_rollback(two, NULL));
    t_ok(hf_tx_resume(one));
    t_ok(hf_tx_commit(one, NULL));
}

static void line_13__once_for_each_transaction_makes_a_second_resource(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    pool_open(p);
    drv_rate(p->d, 7, 0, 0, 0);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 2);
    drv_expect(p->d, "rate(7,1,0)=0 create(7)=2 enlist(2,T)");
    pool_free(p, 2);
    t_ok(hf_tx_commit(tx, NULL));
    tx = pool_begin(p);
    drv_clear(p->d);
    id = pool_alloc(p, 7); /* in the next transaction either may be used again */
    assert_in_range(id, 1, 2);
    assert_int_equal(drv_calls(p->d, DRV_CREATE), 2);
    pool_free(p, id);
    t_ok(hf_tx_commit(tx, NULL));
}

static void line_14__one_that_is_not_enlisted_gets_TRUE_and_then_one_enlist(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    pool_fill(p, 7, 1);
    tx = pool_begin(p);
    drv_rate(p->d, 7, 1, 1, 50);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_expect(p->d, "rate(7,1,1)=50 enlist(1,T)");
    drv_told(p->d, "allocate(1+,1,50)");
    assert_ptr_equal(p->d->tx, tx);
    assert_int_equal(pool_stats(p).used_enlisted, 1);
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
}

static int alloc_and_free(void *arg)
{
    int rc = request_alloc(arg);

    return rc == HF_OK ? request_free(arg) : rc;
}

static void line_15__not_enlistable_succeeds_and_is_for_everybody_when_free(void **state)
{
    struct pool *p = *state;
    struct request r;
    struct job job;
    hf_tx *tx;

    pool_open(p);
    drv_answer(p->d, DRV_ENLIST, 0, HF_NOT_ENLISTABLE);
    tx = pool_begin(p);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_expect(p->d, "create(7)=1 enlist(1,T)!NOT_ENLISTABLE");
    drv_told(p->d, "create(1)");
    assert_int_equal(pool_stats(p).used, 1);
    assert_int_equal(pool_stats(p).enlisted, 0);
    pool_free(p, 1);
    assert_int_equal(pool_stats(p).idle, 1);
    drv_clear(p->d);
    r = request_for(p, 7); /* a thread without a transaction, while this one's runs */
    job_start(&job, alloc_and_free, &r);
    assert_int_equal(job_end(&job), HF_OK);
    drv_expect(p->d, "rate(7,1,0)=100 reset(1)");
    assert_int_equal(pool_alloc(p, 7), 1); /* the same transaction: offered with TRUE again */
    drv_expect(p->d, "rate(7,1,1)=100 enlist(1,T)!NOT_ENLISTABLE");
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
}

static void line_16__HF_EENLIST_passes_through_and_the_resource_stays(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    drv_answer_once(p->d, DRV_ENLIST, 0, HF_EENLIST);
    t_rc(HF_EENLIST, hf_holder_alloc(p->h, 7, &id));
    drv_expect(p->d, "create(7)=1 enlist(1,T)!EENLIST");
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(pool_stats(p).failed_enlist, 1);
    assert_int_equal(pool_alloc(p, 7), 1); /* healthy: it is offered again, to be enlisted */
    drv_expect(p->d, "rate(7,1,1)=100 enlist(1,T)");
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
}

static void line_16__any_other_failure_destroys_it(void **state)
{
    static const int codes[] = {-5, HF_EDRIVER, HF_ERM, HF_EINVAL, HF_ENOTIMPL};
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    for (unsigned n = 0; n < sizeof(codes) / sizeof(*codes); n++) {
        drv_answer_once(p->d, DRV_ENLIST, 0, codes[n]);
        t_rc(HF_EDRIVER, hf_holder_alloc(p->h, 7, &id));
        assert_int_equal(hf_error_last()->native_code, codes[n]);
        assert_int_equal(drv_calls(p->d, DRV_DESTROY), n + 1);
    }
    assert_int_equal(id, 99);
    assert_int_equal(pool_stats(p).failed_enlist, 5);
    t_ok(hf_tx_rollback(tx, NULL));
}

static void after_completion(struct pool *p, bool commit)
{
    hf_tx *tx = pool_begin(p);

    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 7);
    pool_free(p, 1);
    t_ok(commit ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(pool_stats(p).used, 1);
    assert_int_equal(pool_stats(p).used_enlisted + pool_stats(p).idle_enlisted, 0);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_expect(p->d, "rate(7,1,0)=100 enlist(1,-)");
    drv_told(p->d, "allocate(1,1,100)");
    pool_free(p, 1);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 1); /* once is enough */
    drv_expect(p->d, "rate(7,1,0)=100");
    pool_free(p, 1);
    pool_free(p, 2); /* it was in use when its transaction ended */
    assert_int_equal(pool_stats(p).idle, 2);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 7), 2);
    drv_expect(p->d, "rate(7,2,0)=100 enlist(2,-)");
    pool_free(p, 2);
}

static void line_17__after_commit_it_is_offered_without_T_after_enlist_0(void **state)
{
    pool_open(*state);
    after_completion(*state, true);
}

static void line_17__after_rollback_it_is_offered_without_T_after_enlist_0(void **state)
{
    pool_open(*state);
    after_completion(*state, false);
}

static void line_17__a_next_transaction_needs_no_enlist_0(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    for (int n = 0; n < 2; n++) {
        drv_clear(p->d);
        tx = pool_begin(p);
        pool_free(p, pool_alloc(p, 7));
        t_ok(hf_tx_commit(tx, NULL));
    }
    drv_expect(p->d, "rate(7,1,1)=100 enlist(1,T) reset(1)");
}

static void line_18__never_enlisted_and_without_T_there_is_no_enlist_0(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    for (int n = 0; n < 3; n++)
        pool_free(p, pool_alloc(p, 7));
    assert_int_equal(drv_calls(p->d, DRV_ENLIST), 0);
    assert_int_equal(drv_calls(p->d, DRV_CREATE), 1);
}

static void enlisted_in_reset(void *user, enum drv_call call, hf_resid id)
{
    struct pool *p = user;

    (void)id;
    if (call == DRV_RESET && world_trace()[0] != '\0')
        drv_wrong(p->d, "at reset the resource manager was called: %s", world_trace());
}

static void line_19__reset_comes_while_enlisted_and_the_enlistment_survives(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    world_start(p->w, 1);
    p->d->rm = p->w->rm[A];
    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    world_trace_clear();
    pool_free(p, 1);
    world_expect("");
    (void)pool_alloc(p, 7);
    drv_on_call(p->d, enlisted_in_reset, p);
    pool_free(p, 1);
    drv_on_call(p->d, NULL, NULL);
    assert_int_equal(pool_stats(p).idle_enlisted, 1);
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.end a.commit(one)");
    assert_int_equal(drv_calls(p->d, DRV_RESET), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(line_01__the_first_alloc_creates_and_does_not_rate_or_enlist),
        T(line_02__free_resets_and_close_destroys_and_releases_once),
        T(line_03__a_destroy_that_fails_leaves_close_successful),
        T(line_04__close_of_an_empty_holder_destroys_nothing_and_releases_once),
        T(line_05__the_same_driver_and_name_twice_make_two_holders),
        T(line_06__type_0_is_refused),
        T(line_06__an_id_of_0_is_refused),
        T(line_06__a_duplicate_is_refused_and_the_live_one_not_destroyed),
        T(line_07__the_id_is_untouched_by_every_failure_of_the_driver),
        T(line_07__the_id_is_untouched_by_every_failure_of_the_holder),
        T(line_08__a_rating_of_100_ends_the_loop),
        T(line_09__the_highest_rating_wins),
        T(line_09__the_earlier_of_equals_wins),
        T(line_09__all_0_leads_to_create),
        T(line_10__a_candidate_of_another_type_is_offered),
        T(line_11__freed_in_T_it_is_offered_first_and_not_enlisted_again),
        T(line_11__also_on_another_thread),
        T(line_12__in_T2_what_is_free_in_T1_is_not_offered),
        T(line_13__once_for_each_transaction_makes_a_second_resource),
        T(line_14__one_that_is_not_enlisted_gets_TRUE_and_then_one_enlist),
        T(line_15__not_enlistable_succeeds_and_is_for_everybody_when_free),
        T(line_16__HF_EENLIST_passes_through_and_the_resource_stays),
        T(line_16__any_other_failure_destroys_it),
        T(line_17__after_commit_it_is_offered_without_T_after_enlist_0),
        T(line_17__after_rollback_it_is_offered_without_T_after_enlist_0),
        T(line_17__a_next_transaction_needs_no_enlist_0),
        T(line_18__never_enlisted_and_without_T_there_is_no_enlist_0),
        T(line_19__reset_comes_while_enlisted_and_the_enlistment_survives),
    };
    return cmocka_run_group_tests_name("holder.checklist", tests, NULL, NULL);
}
