/*
 * What: the log fails while a transaction is being decided: the outcome is unknown, nobody is told
 *       anything, and the next opening settles it by what is on the disk (invariants 2 and 8).
 * How:  fault points in the store: a commit that is not written and one that is, both told as
 *       failed. Without fault points there is nothing to test here, and the program says so.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <sys/wait.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

#ifdef HF_FAULTS

/* Commit over a and b while the log fails; how is a fault point. */
static void fail_to_decide(struct world *w, const char *how, XID *ret_xid)
{
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, ret_xid));
    world_trace_clear();
    fault_at(how, "fail", 1);
    t_rc(HF_EUNKNOWN, hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_UNKNOWN);
    assert_string_equal(r.call, "log");
    assert_string_equal(r.rm, "");
    assert_int_equal(r.xa_code, XA_OK);
    assert_string_not_equal(r.text, "");
    world_expect("a.end b.end a.prepare b.prepare");
    assert_int_equal(fake_in_doubt(A), 1);
    assert_int_equal(fake_in_doubt(B), 1);
}

static void expect_failed(struct world *w, const XID *xid)
{
    hf_tx *tx = NULL;

    assert_int_equal(hf_instance_broken(w->in[A]), 1);
    assert_int_equal(hf_instance_broken(w->in[B]), 1);
    assert_int_equal(hf_instance_broken(w->in[C]), 0);
    t_rc(HF_ELOG, hf_tx_begin(w->tm, 0, &tx));
    assert_null(tx);
    assert_null(hf_tx_current(w->tm));
    assert_int_equal(world_outcome(w, xid), HF_UNKNOWN);
    assert_int_equal(hf_tm_recover(w->tm, NULL), HF_ELOG);
    assert_int_equal(hf_tm_tick(w->tm, NULL), HF_ELOG);
    assert_null(strstr(world_trace(), "commit"));
    assert_null(strstr(world_trace(), "rollback"));
    assert_string_not_equal(w->told, ""); /* the host was told */
}

static void commit_that_fails__is_unknown_and_rolled_back_by_the_next_opening(void **state)
{
    struct world *w = *state;
    XID xid;

    world_start(w, 3);
    fail_to_decide(w, "store:commit-fails", &xid);
    expect_failed(w, &xid);
    world_close(w);
    assert_null(strstr(world_trace(), "commit"));
    assert_null(strstr(world_trace(), "rollback"));
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 2);
    world_start(w, 2);
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), 2);
    assert_int_equal(world_stats(w).recovered_rolledback, 1);
    assert_int_equal(world_outcome(w, &xid), HF_ROLLEDBACK);
}

static void commit_that_is_lost__is_unknown_and_committed_by_the_next_opening(void **state)
{
    struct world *w = *state;
    XID xid;

    world_start(w, 3);
    fail_to_decide(w, "store:commit-lost", &xid);
    expect_failed(w, &xid);
    world_close(w);
    assert_int_equal(world_records(w), 1);
    world_start(w, 2);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    assert_int_equal(world_stats(w).recovered_committed, 1);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void fail_and_wait(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;
    const char *how = fake_shared();

    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    fault_at(how, "fail", 1);
    must(hf_tx_commit(tx, NULL) == HF_EUNKNOWN);
    fake_child_pause(); /* somebody else settles it */
    must(hf_instance_close(w->in[A]) == HF_OK && hf_instance_close(w->in[B]) == HF_OK);
    must_ok(hf_tm_close(w->tm, 0, NULL));
}

/* Its lock is let go at once: nobody is held hostage by a process that lives on with a failed log.
   */
static void another_process__settles_it_while_the_first_lives(void **state)
{
    static const char *const hows[] = {"store:commit-fails", "store:commit-lost"};

    for (int i = 0; i < 2; i++) {
        struct world *w = world_again(state);
        pid_t child;
        XID xid;

        strcpy(fake_shared(), hows[i]);
        child = fake_child_start(fail_and_wait, w);
        xid = fake_last_xid(A);
        assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 2);
        world_start(w, 2);
        assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
        assert_int_equal(fake_committed(A) + fake_committed(B), i == 0 ? 0 : 2);
        assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), i == 0 ? 2 : 0);
        assert_int_equal(world_outcome(w, &xid), i == 0 ? HF_ROLLEDBACK : HF_COMMITTED);
        assert_int_equal(fake_child_end(child), 0);
        world_expect("a.close b.close");
        t_ok(hf_tm_recover(w->tm, NULL));
        world_close(w);
        assert_int_equal(world_records(w), 0);
    }
}

struct other {
    struct world *w;
    int rc;
};

static void *fail_elsewhere(void *arg)
{
    struct other *o = arg;
    hf_tx *tx = NULL;

    o->rc = hf_tx_begin(o->w->tm, 0, &tx);
    if (o->rc != HF_OK || hf_tx_enlist(tx, o->w->in[C]) != HF_OK ||
        hf_tx_enlist(tx, o->w->in[D]) != HF_OK)
        return NULL;
    fault_at("store:commit-lost", "fail", 1);
    o->rc = hf_tx_commit(tx, NULL);
    return NULL;
}

/* A decision asked for after the failure is certainly not written: refused, and rolled back. */
static void what_was_running__is_refused_and_rolled_back(void **state)
{
    struct world *w = *state;
    struct other o = {.w = w};
    hf_result r = HF_RESULT_INIT;
    pthread_t thread;
    hf_tx *tx;

    world_start(w, 4);
    world_begin(w, 2, &tx);
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &o), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(o.rc, HF_EUNKNOWN);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    assert_string_equal(r.call, "log");
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), 2);
    assert_int_equal(hf_instance_broken(w->in[A]), 0);
    assert_int_equal(fake_in_doubt(C) + fake_in_doubt(D), 2);
}

/* One phase needs no log: it may go on after the failure. */
static void one_phase__needs_no_log(void **state)
{
    struct world *w = *state;
    struct other o = {.w = w};
    pthread_t thread;
    hf_tx *tx;

    world_start(w, 4);
    world_begin(w, 1, &tx);
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &o), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(o.rc, HF_EUNKNOWN);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A), 1);
}

#endif

static void nothing_can_fail__in_a_build_without_fault_points(void **state)
{
    (void)state;
#ifdef HF_FAULTS
    assert_true(hf__fault_hits("no such point") == 0);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef HF_FAULTS
        T(commit_that_fails__is_unknown_and_rolled_back_by_the_next_opening),
        T(commit_that_is_lost__is_unknown_and_committed_by_the_next_opening),
        T(another_process__settles_it_while_the_first_lives),
        T(what_was_running__is_refused_and_rolled_back),
        T(one_phase__needs_no_log),
#endif
        cmocka_unit_test(nothing_can_fail__in_a_build_without_fault_points),
    };

    return cmocka_run_group_tests_name("tm.failed_log", tests, NULL, NULL);
}
