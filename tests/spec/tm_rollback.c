/*
 * What: hf_tx_rollback, and hf_tx_commit of what can only roll back (transaction.h; [XA]
 *       xa_rollback).
 * How:  scripted resource managers write one trace; answers of xa_rollback come from the decision
 *       table.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <time.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static void rollback__ends_with_tmfail_and_tells_every_branch(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    world_trace_clear();
    t_ok(hf_tx_rollback(tx, &r));
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    assert_int_equal(r.owed, 0);
    assert_string_equal(r.text, "");
    world_expect("a.end(fail) b.end(fail) a.rollback b.rollback");
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void rollback__of_nothing_is_good(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 1);
    world_begin(w, 0, &tx);
    t_ok(hf_tx_rollback(tx, &r));
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    world_expect("");
}

/* Nothing but a heuristic makes a rollback something else: presumed abort. */
static void rollback__takes_what_the_table_takes(void **state)
{
    static const int codes[] = {XA_RBROLLBACK, XA_RBDEADLOCK, XA_RBEND, XAER_NOTA, XAER_RMERR};
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 2);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        hf_result r = HF_RESULT_INIT;

        fake_answer_once(A, FAKE_ROLLBACK, 1, codes[i]);
        world_begin(w, 2, &tx);
        t_ok(hf_tx_rollback(tx, &r));
        assert_int_equal(r.outcome, HF_ROLLEDBACK);
        assert_int_equal(r.owed, 0);
        assert_int_equal(hf_instance_broken(w->in[A]), 0);
    }
    assert_int_equal(world_stats(w).rolledback, sizeof(codes) / sizeof(codes[0]));
}

static void rollback__that_reaches_nobody_is_left_to_recovery(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 3);
    fake_answer_once(A, FAKE_ROLLBACK, 1, XAER_RMFAIL); /* it had voted yes */
    fake_answer_once(B, FAKE_PREPARE, 1, XA_RBOTHER);
    world_begin(w, 2, &tx);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    assert_int_equal(r.owed, 1);
    assert_int_equal(hf_instance_broken(w->in[A]), 1);
    assert_int_equal(fake_in_doubt(A), 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_in_doubt(A), 0);
    assert_int_equal(fake_rolled_back(A), 1);
    assert_int_equal(world_stats(w).owed, 0);
}

static void rollback_only__is_rolled_back_by_commit(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 3);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_set_rollback_only(tx));
    t_ok(hf_tx_set_rollback_only(tx));
    t_rc(HF_EROLLEDBACK, hf_tx_enlist(tx, w->in[C]));
    world_trace_clear();
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    assert_int_equal(r.xa_code, XA_OK);
    assert_string_equal(r.rm, "");
    world_expect("a.end(fail) b.end(fail) a.rollback b.rollback");
}

static void *set_rollback_only(void *tx)
{
    return (void *)(intptr_t)hf_tx_set_rollback_only(tx);
}

static void rollback_only__may_be_set_by_another_thread(void **state)
{
    struct world *w = *state;
    void *rc = NULL;
    pthread_t other;
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    assert_int_equal(pthread_create(&other, NULL, set_rollback_only, tx), 0);
    assert_int_equal(pthread_join(other, &rc), 0);
    assert_int_equal((int)(intptr_t)rc, HF_OK);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), 2);
}

static void timeout__rolls_back_what_is_committed_too_late(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 2);
    t_ok(hf_tx_begin(w->tm, 500, &tx)); /* enough to be enlisted in it */
    t_ok(hf_tx_enlist(tx, w->in[A]));
    pause_ms(520);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    assert_string_not_equal(r.text, "");
    world_expect("a.start a.end(fail) a.rollback");

    t_ok(hf_tx_begin(w->tm, 60000, &tx)); /* in time */
    t_ok(hf_tx_enlist(tx, w->in[A]));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A), 1);
}

static void start_refused__is_not_enlisted_and_the_rest_goes_on(void **state)
{
    static const int codes[] = {XAER_RMERR, XAER_OUTSIDE, XAER_DUPID, XAER_PROTO, XA_RBROLLBACK};
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 2);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        fake_answer_once(B, FAKE_START, 1, codes[i]);
        world_begin(w, 1, &tx);
        t_rc(HF_ERM, hf_tx_enlist(tx, w->in[B]));
        assert_int_equal(hf_error_last()->code, HF_ERM);
        t_rc(HF_ENOTFOUND, hf_tx_delist(tx, w->in[B]));
        world_trace_clear();
        t_ok(hf_tx_commit(tx, NULL));
        world_expect("a.end a.commit(one)");
    }
    fake_answer_once(B, FAKE_START, 1, XAER_RMFAIL);
    world_begin(w, 1, &tx);
    t_rc(HF_ERM, hf_tx_enlist(tx, w->in[B]));
    assert_int_equal(hf_instance_broken(w->in[B]), 1);
    t_rc(HF_ESTATE, hf_tx_enlist(tx, w->in[B]));
    t_ok(hf_tx_commit(tx, NULL));
}

/* A lost answer to xa_start may have left a branch behind: its XID is spent. */
static void start_refused__spends_its_xid(void **state)
{
    struct world *w = *state;
    hf_instance *second = NULL;
    hf_tx *tx;

    world_start(w, 1);
    t_ok(hf_instance_open(w->rm[A], &second));
    fake_answer_effect(A, FAKE_START, 1, XAER_RMFAIL, FAKE_DONE);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_rc(HF_ERM, hf_tx_enlist(tx, w->in[A]));
    t_ok(hf_tx_enlist(tx, second));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A), 1);
    t_ok(hf_instance_close(second));
}

static void error_hook__gives_native_code_and_text(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    fake_offer(B, 1u << FAKE_ERROR);
    fake_error(B, 4711, "deadlock with client 12");
    world_start(w, 2);
    fake_answer_once(B, FAKE_PREPARE, 1, XA_RBDEADLOCK);
    world_begin(w, 2, &tx);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &r));
    assert_int_equal(r.xa_code, XA_RBDEADLOCK);
    assert_int_equal(r.native_code, 4711);
    assert_string_equal(r.rm, "b");
    assert_string_equal(r.call, "xa_prepare");
    assert_non_null(strstr(r.text, "deadlock with client 12"));

    fake_answer_once(B, FAKE_START, 1, XAER_RMERR);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_rc(HF_ERM, hf_tx_enlist(tx, w->in[B]));
    assert_int_equal(hf_error_last()->native_code, 4711);
    assert_non_null(strstr(hf_error_last()->text, "deadlock with client 12"));
    t_ok(hf_tx_rollback(tx, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rollback__ends_with_tmfail_and_tells_every_branch),
        T(rollback__of_nothing_is_good),
        T(rollback__takes_what_the_table_takes),
        T(rollback__that_reaches_nobody_is_left_to_recovery),
        T(rollback_only__is_rolled_back_by_commit),
        T(rollback_only__may_be_set_by_another_thread),
        T(timeout__rolls_back_what_is_committed_too_late),
        T(start_refused__is_not_enlisted_and_the_rest_goes_on),
        T(start_refused__spends_its_xid),
        T(error_hook__gives_native_code_and_text),
    };

    return cmocka_run_group_tests_name("tm.rollback", tests, NULL, NULL);
}
