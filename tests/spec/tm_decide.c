/*
 * What: a commit in two halves (transaction.h, hf_tx_decide and hf_tx_finish): the decision, and
 *       what is told to branches after it.
 * How:  scripted switches and their trace; a second thread that finishes; a child that dies in
 *       between.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <sys/wait.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* Decide a transaction of the first count; the rest of it. */
static hf_tx *decide(struct world *w, int count, int rc, hf_outcome outcome)
{
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx, *rest = (hf_tx *)1;

    world_begin(w, count, &tx);
    world_trace_clear();
    t_rc(rc, hf_tx_decide(tx, &r, &rest));
    assert_int_equal(r.outcome, outcome);
    assert_null(hf_tx_current(w->tm));
    return rest;
}

static void nobody__is_told_before_the_second_half(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *rest;

    world_start(w, 2);
    rest = decide(w, 2, HF_OK, HF_COMMITTED);
    world_expect("a.end b.end a.prepare b.prepare" LOG);
    assert_int_equal(world_stats(w).active, 1);
    t_ok(hf_tx_finish(rest, &r));
    world_expect("a.commit b.commit");
    assert_int_equal(r.outcome, HF_COMMITTED);
    assert_int_equal(r.owed, 0);
    assert_int_equal(world_stats(w).committed, 1);
    assert_int_equal(world_stats(w).active, 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void what_needs_no_decision__is_done_at_once(void **state)
{
    struct world *w = *state;

    world_start(w, 2);
    assert_null(decide(w, 1, HF_OK, HF_COMMITTED));
    world_expect("a.end a.commit(one)");
    fake_answer_once(A, FAKE_PREPARE, 1, XA_RDONLY);
    fake_answer_once(B, FAKE_PREPARE, 1, XA_RDONLY);
    assert_null(decide(w, 2, HF_OK, HF_COMMITTED));
    world_expect("a.end b.end a.prepare b.prepare");
    fake_answer_once(B, FAKE_PREPARE, 1, XA_RBDEADLOCK);
    assert_null(decide(w, 2, HF_EROLLEDBACK, HF_ROLLEDBACK));
    world_expect("a.end b.end a.prepare b.prepare a.rollback");
    assert_int_equal(world_stats(w).active, 0);
}

/* Between the halves the instances are the transaction's, and it is nobody's. */
static void instances__cannot_be_used_between_the_halves(void **state)
{
    struct world *w = *state;
    hf_tx *rest, *next;
    hf_tx_state is;

    world_start(w, 2);
    rest = decide(w, 2, HF_OK, HF_COMMITTED);
    t_rc(HF_EBUSY, hf_instance_close(w->in[A]));
    t_rc(HF_ESTATE, hf_tx_resume(rest));
    t_rc(HF_ESTATE, hf_tx_set_rollback_only(rest));
    t_ok(hf_tx_get_state(rest, &is));
    assert_int_equal(is, HF_TX_COMPLETING);
    t_ok(hf_tx_begin(w->tm, 0, &next));
    t_rc(HF_EBUSY, hf_tx_enlist(next, w->in[A]));
    t_rc(HF_ESTATE, hf_tx_finish(next, NULL)); /* that one was not decided */
    t_ok(hf_tx_rollback(next, NULL));
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_in_doubt(A), 1); /* a pass leaves it alone */
    t_ok(hf_tx_finish(rest, NULL));
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    t_ok(hf_tx_begin(w->tm, 0, &next));
    t_ok(hf_tx_enlist(next, w->in[A]));
    t_ok(hf_tx_rollback(next, NULL));
}

static void *finish(void *rest)
{
    return (void *)(intptr_t)hf_tx_finish(rest, NULL);
}

static int finish_elsewhere(hf_tx *rest)
{
    pthread_t thread;
    void *ret = NULL;

    assert_int_equal(pthread_create(&thread, NULL, finish, rest), 0);
    assert_int_equal(pthread_join(thread, &ret), 0);
    return (int)(intptr_t)ret;
}

static void another_thread__finishes_it(void **state)
{
    struct world *w = *state;
    hf_tx *rest;

    world_start(w, 2);
    rest = decide(w, 2, HF_OK, HF_COMMITTED);
    t_ok(finish_elsewhere(rest));
    world_expect("a.end b.end a.prepare b.prepare" LOG " a.commit b.commit");
}

static void another_thread__also_finishes_what_is_bound_to_this_one(void **state)
{
    struct world *w = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_tx *rest;

    world_open(w);
    config.thread_bound = 1;
    for (int n = 0; n < 2; n++) {
        config.name = n == 0 ? "a" : "b";
        config.xa = fake_switch(n);
        t_ok(hf_rm_register(w->tm, &config, &w->rm[n]));
    }
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    rest = decide(w, 2, HF_OK, HF_COMMITTED);
    t_ok(finish_elsewhere(rest)); /* the branches have ended: xa_commit is anybody's */
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    assert_int_equal(world_stats(w).owed, 0);
}

static void what_branches_answer__is_the_second_halfs_result(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *rest;

    world_start(w, 2);
    rest = decide(w, 2, HF_OK, HF_COMMITTED);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURRB);
    t_rc(HF_EHEURISTIC, hf_tx_finish(rest, &r));
    assert_int_equal(r.outcome, HF_MIXED);
    assert_string_equal(r.rm, "b");
    rest = decide(w, 2, HF_OK, HF_COMMITTED);
    fake_answer_once(A, FAKE_COMMIT, 1, XA_RETRY);
    t_ok(hf_tx_finish(rest, &r));
    assert_int_equal(r.owed, 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_in_doubt(A), 0);
}

static void what_is_decided__is_committed_to_whoever_asks(void **state)
{
    struct world *w = *state;
    hf_tx *tx, *rest;
    XID xid;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    assert_int_equal(world_outcome(w, &xid), HF_UNKNOWN);
    t_ok(hf_tx_decide(tx, NULL, &rest));
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURRB);
    t_rc(HF_EHEURISTIC, hf_tx_finish(rest, NULL));
    assert_int_equal(world_outcome(w, &xid), HF_MIXED);
    world_begin(w, 2, &tx); /* the same memory, perhaps */
    t_ok(hf_tx_xid(tx, &xid));
    assert_int_equal(world_outcome(w, &xid), HF_UNKNOWN);
    t_ok(hf_tx_rollback(tx, NULL));
}

static void dies_in_between(void *arg)
{
    struct world *w = arg;
    hf_tx *tx, *rest;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    must_ok(hf_tx_decide(tx, NULL, &rest));
    must(rest != NULL);
    _exit(0);
}

static void a_process_that_dies_in_between__leaves_it_to_recovery(void **state)
{
    struct world *w = *state;

    assert_int_equal(fake_child(dies_in_between, w), 0);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 2);
    world_start(w, 2);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nobody__is_told_before_the_second_half),
        T(what_needs_no_decision__is_done_at_once),
        T(instances__cannot_be_used_between_the_halves),
        T(another_thread__finishes_it),
        T(another_thread__also_finishes_what_is_bound_to_this_one),
        T(what_branches_answer__is_the_second_halfs_result),
        T(what_is_decided__is_committed_to_whoever_asks),
        T(a_process_that_dies_in_between__leaves_it_to_recovery),
    };
    return cmocka_run_group_tests_name("tm.decide", tests, NULL, NULL);
}
