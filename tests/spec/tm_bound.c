/*
 * What: what is bound to a thread: work outside of transactions ([XA] table 6-3, D3), and one rmid
 *       for all threads, each of which opens it for itself ([XA] 2.2, xa_open()).
 * How:  a resource manager that knows which thread has what open and counts the calls that [XA]
 *       does not allow there (support/bound_rm.h); a second thread that does one step after the
 *       other.
 */
#include "support/fake_rm.h"

#include "support/bound_rm.h"
#include "support/second_thread.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, world_teardown)

static int setup(void **state)
{
    bound_reset();
    return world_setup(state);
}

/* A bound one as "a", and an ordinary one as "b", of which the calling thread has an instance. */
static struct world *start(void **state, int kind, uint32_t one_rmid)
{
    struct world *w = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;

    world_open(w);
    config.name = "a";
    config.xa = bound_switch(kind);
    config.one_rmid = one_rmid;
    t_ok(hf_rm_register(w->tm, &config, &w->rm[A]));
    config.name = "b";
    config.xa = fake_switch(B);
    fake_migrates(B);
    config.one_rmid = 0;
    t_ok(hf_rm_register(w->tm, &config, &w->rm[B]));
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    return w;
}

/* -- outside of transactions ------------------------------------------------------------------- */

static int work(void *arg)
{
    const struct world *w = arg;

    return bound_work(hf_instance_rmid(w->in[A]));
}

static int rest(void *arg)
{
    const struct world *w = arg;

    return bound_rest(hf_instance_rmid(w->in[A]));
}

static int begin_and_roll_back(void *arg)
{
    const struct world *w = arg;
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    return rc == HF_OK ? hf_tx_rollback(tx, NULL) : rc;
}

static void outside_for_another_thread__it_is_not_enlisted(void **state)
{
    struct world *w = start(state, BOUND_DYNAMIC, 0);
    struct second *other = second_start();
    hf_tx *tx;

    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_GOOD);
    assert_int_equal(second_do(other, work, w), TM_OK);
    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_OUTSIDE);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_rc(HF_EBUSY, hf_tx_enlist(tx, w->in[A])); /* its work would not be the transaction's */
    assert_int_equal(second_do(other, rest, w), TM_OK);
    t_ok(hf_tx_enlist(tx, w->in[A]));
    assert_int_equal(work(w), TM_OK);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(bound_seen().commits, 1);
    assert_int_equal(bound_seen().illegal, 0);
    second_end(other);
}

static void given_up__it_is_broken_and_can_be_closed(void **state)
{
    struct world *w = start(state, BOUND_DYNAMIC, 0);
    unsigned closes = bound_seen().closes;

    t_rc(HF_ESTATE, hf_instance_abandon(w->in[A]));
    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_GOOD);
    assert_int_equal(work(w), TM_OK);
    t_rc(HF_EBUSY, hf_instance_close(w->in[A]));
    t_rc(HF_EBUSY, begin_and_roll_back(w));
    t_ok(hf_instance_abandon(w->in[A]));
    t_rc(HF_ESTATE, hf_instance_abandon(w->in[A]));
    t_rc(HF_EINVAL, hf_instance_abandon(NULL));
    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_BROKEN);
    assert_int_equal(rest(w), TMER_PROTO);
    t_ok(begin_and_roll_back(w));
    t_rc(HF_ERM, hf_instance_close(w->in[A])); /* the resource manager refuses, and it is gone */
    w->in[A] = NULL;
    assert_int_equal(bound_seen().closes, closes + 1);
}

static void given_up_by_another_thread__the_first_one_is_free_again(void **state)
{
    struct world *w = start(state, BOUND_DYNAMIC, 0);
    struct second *other = second_start();
    hf_instance *second;

    t_ok(hf_instance_open(w->rm[A], &second));
    assert_int_equal(second_do(other, work, w), TM_OK);
    t_rc(HF_EBUSY, second_do(other, begin_and_roll_back, w));
    t_ok(hf_instance_abandon(w->in[A]));
    t_ok(second_do(other, begin_and_roll_back, w));
    t_ok(hf_instance_close(w->in[A]));
    w->in[A] = second;
    assert_int_equal(second_do(other, work, w), TM_OK);
    t_rc(HF_EBUSY, second_do(other, begin_and_roll_back, w));
    assert_int_equal(second_do(other, rest, w), TM_OK);
    t_ok(second_do(other, begin_and_roll_back, w));
    second_end(other);
}

/* -- one rmid for all threads ------------------------------------------------------------------ */

/* What the second thread is told to do, and what it has. */
struct job {
    struct world *w;
    hf_instance *in;
    hf_tx *tx;
    hf_tx *rest;
};

static int open_own(void *arg)
{
    struct job *j = arg;

    return hf_instance_open(j->w->rm[A], &j->in);
}

static int close_own(void *arg)
{
    struct job *j = arg;

    return hf_instance_close(j->in);
}

static int begin_two(void *arg)
{
    struct job *j = arg;
    int rc = hf_tx_begin(j->w->tm, 0, &j->tx);

    if (rc == HF_OK)
        rc = hf_tx_enlist(j->tx, j->in);
    return rc == HF_OK ? hf_tx_enlist(j->tx, j->w->in[B]) : rc;
}

/* Hand the transaction over. */
static int leave(void *arg)
{
    struct job *j = arg;
    int rc = hf_tx_delist(j->tx, j->in);

    if (rc == HF_OK)
        rc = hf_tx_delist(j->tx, j->w->in[B]);
    return rc == HF_OK ? hf_tx_suspend(j->tx) : rc;
}

static void a_thread_that_has_not_opened_it__cannot_complete(void **state)
{
    struct job j = {.w = start(state, BOUND_STATIC, 1)};
    struct second *other = second_start();
    hf_tx *rest = NULL;

    t_ok(hf_instance_close(j.w->in[A]));
    j.w->in[A] = NULL;
    t_ok(second_do(other, open_own, &j));
    t_ok(second_do(other, begin_two, &j));
    t_ok(second_do(other, leave, &j));
    t_ok(hf_tx_resume(j.tx));
    world_trace_clear();
    t_rc(HF_ETHREAD, hf_tx_commit(j.tx, NULL));
    t_rc(HF_ETHREAD, hf_tx_decide(j.tx, NULL, &rest));
    t_rc(HF_ETHREAD, hf_tx_rollback(j.tx, NULL));
    world_expect("");
    t_ok(hf_instance_open(j.w->rm[A], &j.w->in[A])); /* from here on it may */
    t_ok(hf_tx_commit(j.tx, NULL));
    assert_int_equal(bound_seen().commits, 1);
    assert_int_equal(bound_in_doubt(), 0);
    assert_int_equal(bound_seen().illegal, 0);
    t_ok(second_do(other, close_own, &j));
    assert_int_equal(bound_seen().illegal, 0);
    second_end(other);
}

/* What is lost in a call is lost to the thread that made the call. */
static void lost_in_a_call__it_is_the_callers_that_is_broken(void **state)
{
    struct job j = {.w = start(state, BOUND_STATIC, 1)};
    struct second *other = second_start();

    t_ok(second_do(other, open_own, &j));
    t_ok(second_do(other, begin_two, &j));
    t_ok(second_do(other, leave, &j));
    t_ok(hf_tx_resume(j.tx));
    bound_lose();
    t_rc(HF_EROLLEDBACK, hf_tx_commit(j.tx, NULL));
    assert_int_equal(hf_instance_broken(j.w->in[A]), 1);
    t_ok(hf_instance_close(j.w->in[A]));
    j.w->in[A] = NULL;
    second_end(other);
    t_ok(close_own(&j));
}

static void closed_by_another_thread__xa_close_is_not_called(void **state)
{
    struct job j = {.w = start(state, BOUND_STATIC, 1)};
    struct second *other = second_start();
    struct bound_seen before;
    hf_tx *tx;

    t_ok(second_do(other, open_own, &j));
    assert_int_equal(hf_instance_get_state(j.in), HF_INSTANCE_ELSEWHERE);
    second_end(other);
    before = bound_seen();
    t_ok(close_own(&j));
    assert_int_equal(bound_seen().closes, before.closes);
    t_ok(hf_tx_begin(j.w->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, j.w->in[A])); /* this thread's own is open still */
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(bound_seen().illegal, 0);
}

static void commit_one(struct world *w, hf_instance *in)
{
    hf_tx *tx;

    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, in));
    t_ok(hf_tx_commit(tx, NULL));
}

static void what_was_lost__has_no_part_in_what_is_opened_after_it(void **state)
{
    struct world *w = start(state, BOUND_STATIC, 1);
    hf_instance *second, *third;
    unsigned opens, closes;
    hf_tx *tx;

    t_ok(hf_instance_open(w->rm[A], &second));
    opens = bound_seen().opens;
    closes = bound_seen().closes;
    world_begin(w, 2, &tx);
    bound_lose();
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    assert_int_equal(hf_instance_broken(w->in[A]), 1);
    assert_int_equal(hf_instance_broken(second), 1); /* they shared it */
    t_ok(hf_instance_open(w->rm[A], &third));
    assert_int_equal(bound_seen().opens, opens + 1);
    t_ok(hf_instance_close(w->in[A]));
    assert_int_equal(hf_instance_broken(third), 0);
    t_ok(hf_instance_close(second));
    assert_int_equal(hf_instance_broken(third), 0);
    assert_int_equal(bound_seen().closes, closes);
    w->in[A] = third;
    commit_one(w, third);
    assert_int_equal(bound_seen().illegal, 0);
    t_ok(hf_instance_close(third));
    w->in[A] = NULL;
    assert_int_equal(bound_seen().closes, closes + 1);
}

/* Of several instances of a thread the one at work is the one that registers, and unregisters. */
static void the_one_at_work__is_the_one_that_registers(void **state)
{
    struct world *w = start(state, BOUND_DYNAMIC, 1);
    hf_instance *newer;
    hf_tx *tx;

    assert_int_equal(work(w), TM_OK);
    t_ok(hf_instance_open(w->rm[A], &newer));
    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_OUTSIDE);
    assert_int_equal(hf_instance_get_state(newer), HF_INSTANCE_GOOD);
    assert_int_equal(rest(w), TM_OK);
    t_ok(hf_instance_close(newer));
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    assert_int_equal(work(w), TM_OK);
    t_ok(hf_tx_suspend(tx));
    t_ok(hf_instance_open(w->rm[A], &newer));
    t_ok(hf_tx_resume(tx));
    assert_int_equal(work(w), TM_RESUME);
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(hf_instance_close(newer));
    assert_int_equal(bound_seen().illegal, 0);
}

/* -- a decision outlives the thread that made it ----------------------------------------------- */

static int decide(void *arg)
{
    struct job *j = arg;
    int rc = begin_two(j);

    return rc == HF_OK ? hf_tx_decide(j->tx, NULL, &j->rest) : rc;
}

static void decided_in_a_thread_that_has_ended__it_is_finished(void **state)
{
    struct job j = {.w = start(state, BOUND_STATIC, 1)};
    struct second *other = second_start();
    hf_result result = HF_RESULT_INIT;

    t_ok(hf_instance_close(j.w->in[A]));
    j.w->in[A] = NULL;
    t_ok(second_do(other, open_own, &j));
    t_ok(second_do(other, decide, &j));
    assert_non_null(j.rest);
    second_end(other);
    t_ok(hf_tx_finish(j.rest, &result));
    assert_int_equal(result.outcome, HF_COMMITTED);
    assert_int_equal(result.owed, 1); /* this thread has not opened it */
    assert_string_equal(result.rm, "a");
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(bound_seen().commits, 0);
    assert_int_equal(bound_in_doubt(), 1);
    assert_int_equal(hf_instance_broken(j.in), 0);
    t_ok(close_own(&j));
    t_ok(hf_tm_recover(j.w->tm, NULL));
    assert_int_equal(bound_seen().commits, 1);
    assert_int_equal(bound_in_doubt(), 0);
    assert_int_equal(bound_seen().illegal, 0);
    assert_int_equal(world_stats(j.w).owed, 0);
}

static void decided_elsewhere__a_thread_that_has_opened_it_finishes_it_all(void **state)
{
    struct job j = {.w = start(state, BOUND_STATIC, 1)};
    struct second *other = second_start();
    hf_result result = HF_RESULT_INIT;

    t_ok(second_do(other, open_own, &j));
    t_ok(second_do(other, decide, &j));
    second_end(other);
    t_ok(hf_tx_finish(j.rest, &result));
    assert_int_equal(result.owed, 0);
    assert_int_equal(bound_seen().commits, 1);
    assert_int_equal(bound_seen().illegal, 0);
    t_ok(close_own(&j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(outside_for_another_thread__it_is_not_enlisted),
        T(given_up__it_is_broken_and_can_be_closed),
        T(given_up_by_another_thread__the_first_one_is_free_again),
        T(a_thread_that_has_not_opened_it__cannot_complete),
        T(lost_in_a_call__it_is_the_callers_that_is_broken),
        T(closed_by_another_thread__xa_close_is_not_called),
        T(what_was_lost__has_no_part_in_what_is_opened_after_it),
        T(the_one_at_work__is_the_one_that_registers),
        T(decided_in_a_thread_that_has_ended__it_is_finished),
        T(decided_elsewhere__a_thread_that_has_opened_it_finishes_it_all),
    };
    return cmocka_run_group_tests_name("tm.bound", tests, NULL, NULL);
}
