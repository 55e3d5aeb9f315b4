/*
 * What: that xa_prepare and xa_commit overlap where a switch has TMUSEASYNC, and that phase two
 *       goes rank by rank all the same (holdfast/tm.h, rank; [XA] 3.5, table 6-5, xa_complete).
 * How:  scripted switches that give handles: they fail the test if an XID does not stay in its
 *       place until its xa_complete, if another thread completes, or if anything else is called
 *       meanwhile. XA_RETRY from xa_complete lets them answer in every order.
 */
#include "support/fake_rm.h"

#include <signal.h>
#include <sys/wait.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* The first count are asynchronous. */
static void start(struct world *w, int count, int async)
{
    for (int n = 0; n < async; n++)
        fake_async(n, true);
    world_start(w, count);
}

static hf_result commit(hf_tx *tx, int rc)
{
    hf_result r = HF_RESULT_INIT;

    t_rc(rc, hf_tx_commit(tx, &r));
    return r;
}

/* -- what goes beside what --------------------------------------------------------------------- */

static void prepares_and_commits__overlap(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 2, 2);
    world_begin(w, 2, &tx);
    world_trace_clear();
    assert_int_equal(commit(tx, HF_OK).outcome, HF_COMMITTED);
    world_expect("a.end b.end a.prepare(async) b.prepare(async) a.complete b.complete" LOG
                 " a.commit(async) b.commit(async) a.complete b.complete");
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void synchronous_ones__are_called_while_others_are_under_way(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    fake_async(B, true);
    fake_async(D, true);
    world_start(w, 4);
    world_begin(w, 4, &tx);
    world_trace_clear();
    (void)commit(tx, HF_OK);
    world_expect("a.end b.end c.end d.end"
                 " b.prepare(async) d.prepare(async) a.prepare c.prepare b.complete d.complete" LOG
                 " b.commit(async) d.commit(async) a.commit c.commit b.complete d.complete");
}

static void one_phase_and_rollback__are_synchronous(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 2, 2);
    world_begin(w, 1, &tx);
    world_trace_clear();
    (void)commit(tx, HF_OK);
    world_expect("a.end a.commit(one)");
    world_begin(w, 2, &tx);
    world_trace_clear();
    t_ok(hf_tx_rollback(tx, NULL));
    world_expect("a.end(fail) b.end(fail) a.rollback b.rollback");
}

/* Twelve calls of one transaction at once, more than it has room for without an allocation. */
static void many_branches__are_all_under_way_at_once(void **state)
{
    struct world *w = *state;
    hf_instance *more[8];
    const char *first;
    unsigned asked = 0;
    hf_tx *tx;

    start(w, 4, 4);
    world_begin(w, 4, &tx);
    for (int i = 0; i < 8; i++) {
        t_ok(hf_instance_open(w->rm[i % 4], &more[i]));
        t_ok(hf_tx_enlist(tx, more[i]));
    }
    world_trace_clear();
    (void)commit(tx, HF_OK);
    first = strstr(world_trace(), ".complete");
    assert_non_null(first);
    for (const char *at = world_trace(); (at = strstr(at, "prepare(async)")) != NULL; at++)
        asked += at < first;
    assert_int_equal(asked, 12);
    assert_int_equal(fake_calls(A, FAKE_COMPLETE), 6);
    for (int n = 0; n < 4; n++)
        assert_int_equal(fake_committed(n), 3);
    for (int i = 0; i < 8; i++)
        t_ok(hf_instance_close(more[i]));
}

static void token__is_asked_for_when_the_vote_is_in(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    fake_offer(A, 1u << FAKE_TOKEN);
    start(w, 2, 2);
    world_begin(w, 2, &tx);
    world_trace_clear();
    (void)commit(tx, HF_OK);
    world_expect("a.end b.end a.prepare(async) b.prepare(async) a.complete a.token b.complete" LOG
                 " a.commit(async) b.commit(async) a.complete b.complete");
}

/* -- ranks ------------------------------------------------------------------------------------- */

static void rank__is_told_to_commit_when_lower_ones_have_answered(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    fake_rank(A, 1);
    fake_rank(B, -1);
    fake_rank(C, 1);
    fake_rank(D, -1);
    start(w, 4, 4);
    world_begin(w, 4, &tx);
    world_trace_clear();
    fake_answer_once(D, FAKE_COMPLETE, 2, XA_RETRY); /* the first was its vote */
    (void)commit(tx, HF_OK);
    assert_non_null(strstr(world_trace(), "b.prepare(async) d.prepare(async) a.prepare(async) "
                                          "c.prepare(async) b.complete"));
    assert_non_null(strstr(world_trace(), " b.commit(async) d.commit(async) b.complete d.complete "
                                          "d.complete a.commit(async) c.commit(async) a.complete "
                                          "c.complete"));
}

static void rank__that_is_owed_does_not_hold_up_the_next(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    fake_rank(B, 1);
    start(w, 2, 2);
    world_begin(w, 2, &tx);
    world_trace_clear();
    fake_answer_once(A, FAKE_COMMIT, 1, XAER_RMFAIL);
    assert_int_equal(commit(tx, HF_OK).owed, 1);
    assert_non_null(
        strstr(world_trace(), " a.commit(async) a.complete b.commit(async) b.complete"));
    assert_int_equal(fake_in_doubt(A), 1);
    assert_int_equal(fake_committed(B), 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_committed(A), 1);
}

/* -- answers in every order -------------------------------------------------------------------- */

enum { VOTES = 3, ORDERS = 6 };
static const int votes[VOTES] = {XA_OK, XA_RDONLY, XA_RBDEADLOCK};
static const unsigned orders[ORDERS][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                           {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

/* Three votes that come in this order, and commits that come in the opposite one. */
static void vote(struct world *w, const unsigned order[3], const int vote_of[3])
{
    unsigned yes = 0, no = 0, committed = 0, rolled_back = 0;
    hf_result r;
    hf_tx *tx;

    for (int n = 0; n < 3; n++) {
        committed -= fake_committed(n);
        rolled_back -= fake_rolled_back(n);
        yes += vote_of[n] == XA_OK;
        no += vote_of[n] == XA_RBDEADLOCK;
        if (vote_of[n] != XA_OK)
            fake_answer_once(n, FAKE_PREPARE, 1, vote_of[n]);
        for (unsigned i = 0; i < order[n]; i++)
            fake_answer_once(n, FAKE_COMPLETE, 1 + i, XA_RETRY);
    }
    world_begin(w, 3, &tx);
    world_trace_clear();
    r = commit(tx, no > 0 ? HF_EROLLEDBACK : HF_OK);
    assert_int_equal(r.outcome, no > 0 ? HF_ROLLEDBACK : HF_COMMITTED);
    assert_int_equal(r.owed, 0);
    for (int n = 0; n < 3; n++) {
        committed += fake_committed(n);
        rolled_back += fake_rolled_back(n);
        assert_int_equal(fake_in_doubt(n), 0);
    }
    assert_int_equal(committed, no > 0 ? 0 : yes);
    assert_int_equal(rolled_back, no > 0 ? yes + no : 0);
}

static void votes__may_come_in_every_order(void **state)
{
    struct world *w = *state;

    start(w, 3, 3);
    for (unsigned order = 0; order < ORDERS; order++)
        for (unsigned i = 0; i < VOTES * VOTES * VOTES; i++) {
            const int vote_of[3] = {votes[i % VOTES], votes[i / VOTES % VOTES],
                                    votes[i / VOTES / VOTES]};

            vote(w, orders[order], vote_of);
        }
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void order__of_answers_is_the_switches_own(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 3, 3);
    world_begin(w, 3, &tx);
    world_trace_clear();
    fake_answer_once(A, FAKE_COMPLETE, 1, XA_RETRY);
    fake_answer_once(A, FAKE_COMPLETE, 2, XA_RETRY);
    fake_answer_once(B, FAKE_COMPLETE, 1, XA_RETRY);
    (void)commit(tx, HF_OK);
    assert_non_null(strstr(world_trace(), "c.prepare(async) a.complete b.complete c.complete"
                                          " a.complete b.complete a.complete" LOG));
}

/* Nobody asked for XA_RETRY with TMNOFLAGS; it is not an answer about the branch. */
static void retry__is_asked_again(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 2, 1);
    world_begin(w, 2, &tx);
    for (unsigned i = 1; i <= 5; i++)
        fake_answer_once(A, FAKE_COMPLETE, i, XA_RETRY);
    (void)commit(tx, HF_OK);
    assert_int_equal(fake_calls(A, FAKE_COMPLETE), 5 + 2);
    assert_int_equal(fake_committed(A), 1);
}

/* -- answers at once --------------------------------------------------------------------------- */

static void async_refused__is_called_again_without(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 2, 2);
    world_begin(w, 2, &tx);
    fake_answer_effect(A, FAKE_PREPARE, 1, XAER_ASYNC, FAKE_AT_ONCE);
    fake_answer_effect(B, FAKE_COMMIT, 1, XAER_ASYNC, FAKE_AT_ONCE);
    world_trace_clear();
    (void)commit(tx, HF_OK);
    world_expect("a.end b.end a.prepare(async) a.prepare b.prepare(async) b.complete" LOG
                 " a.commit(async) b.commit(async) b.commit a.complete");
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}

static void no_at_once__stops_the_asking(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 3, 2);
    world_begin(w, 3, &tx);
    fake_answer_effect(B, FAKE_PREPARE, 1, XAER_NOTA, FAKE_AT_ONCE);
    world_trace_clear();
    assert_int_equal(commit(tx, HF_EROLLEDBACK).outcome, HF_ROLLEDBACK);
    world_expect("a.end b.end c.end a.prepare(async) b.prepare(async) a.complete"
                 " a.rollback c.rollback");
}

static void zero_at_once__is_a_yes(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 2, 2);
    world_begin(w, 2, &tx);
    fake_answer_effect(A, FAKE_PREPARE, 1, XA_OK, FAKE_AT_ONCE);
    world_trace_clear();
    (void)commit(tx, HF_OK);
    world_expect("a.end b.end a.prepare(async) b.prepare(async) b.complete" LOG
                 " a.commit(async) b.commit(async) a.complete b.complete");
}

static void failure_at_once__is_the_answer(void **state)
{
    struct world *w = *state;
    hf_result r;
    hf_tx *tx;

    start(w, 2, 2);
    world_begin(w, 2, &tx);
    fake_answer_effect(B, FAKE_COMMIT, 1, XAER_RMFAIL, FAKE_AT_ONCE);
    r = commit(tx, HF_OK);
    assert_int_equal(r.owed, 1);
    assert_string_equal(r.call, "xa_commit");
    assert_int_equal(hf_instance_broken(w->in[B]), 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_committed(B), 1);
}

/* -- xa_complete that fails -------------------------------------------------------------------- */

static const int failures[] = {XAER_PROTO, XAER_INVAL, XAER_RMFAIL, XAER_RMERR, XA_RDONLY, 42};

/* The vote is not known: no, and what may be prepared is left to recovery. */
static void failed_complete__of_a_vote_is_a_no(void **state)
{
    for (size_t i = 0; i < 2 * sizeof(failures) / sizeof(failures[0]); i++) {
        struct world *w = world_again(state);
        int code = failures[i / 2];
        bool done = i % 2 != 0;
        hf_result r;
        hf_tx *tx;

        start(w, 2, 2);
        world_begin(w, 2, &tx);
        fake_answer_effect(A, FAKE_COMPLETE, 1, code, done ? FAKE_DONE : FAKE_BY_TABLE);
        r = commit(tx, HF_EROLLEDBACK);
        assert_int_equal(r.xa_code, code);
        assert_string_equal(r.call, "xa_complete");
        assert_int_equal(r.owed, 1);
        assert_int_equal(hf_instance_broken(w->in[A]), 1);
        assert_int_equal(hf_instance_broken(w->in[B]), 0);
        assert_int_equal(fake_rolled_back(B), 1);
        assert_int_equal(fake_in_doubt(A), done);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_in_doubt(A), 0);
        assert_int_equal(fake_committed(A), 0);
    }
}

/* The decision stands: it is owed until recovery has proof. */
static void failed_complete__of_a_commit_is_owed(void **state)
{
    for (size_t i = 0; i < 2 * sizeof(failures) / sizeof(failures[0]); i++) {
        struct world *w = world_again(state);
        bool done = i % 2 != 0;
        hf_result r;
        hf_tx *tx;

        fake_offer(A, 1u << FAKE_PROBE);
        start(w, 2, 2);
        world_begin(w, 2, &tx);
        fake_answer_effect(A, FAKE_COMPLETE, 2, failures[i / 2], done ? FAKE_DONE : FAKE_BY_TABLE);
        r = commit(tx, HF_OK);
        assert_int_equal(r.outcome, HF_COMMITTED);
        assert_int_equal(r.owed, 1);
        assert_string_equal(r.call, "xa_complete");
        assert_int_equal(fake_in_doubt(A), !done);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_committed(A), 1);
        world_close(w);
        assert_int_equal(world_records(w), 0);
    }
}

static void heuristic__that_comes_late_is_recorded_and_forgotten(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    start(w, 2, 2);
    world_begin(w, 2, &tx);
    fake_answer_once(A, FAKE_COMMIT, 1, XA_HEURRB);
    world_trace_clear();
    assert_int_equal(commit(tx, HF_EHEURISTIC).outcome, HF_MIXED);
    assert_non_null(strstr(world_trace(), " a.commit(async) b.commit(async) a.complete"
                                          " b.complete" RECORD " a.forget"));
}

/* -- a process that dies while calls are under way --------------------------------------------- */

#ifdef HF_FAULTS
static void commit_two(void *arg)
{
    struct world *w = arg;
    hf_tx *tx;

    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    world_begin(w, 2, &tx);
    must_ok(hf_tx_commit(tx, NULL));
}

/* asked: TMASYNC calls that it made; done: whether they took effect. */
static void die(struct world *w, unsigned asked, bool done)
{
    int status;

    fake_async(A, true);
    fake_async(B, true);
    for (int n = 0; n < 2 && done; n++)
        fake_answer_effect(n, asked > 2 ? FAKE_COMMIT : FAKE_PREPARE, 1, XA_OK, FAKE_DONE);
    fault_at("commit:asked", "kill", asked);
    status = fake_child(commit_two, w);
    assert_int_equal(hf__fault_set(NULL), 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fake_offer(A, 1u << FAKE_PROBE);
    fake_offer(B, 1u << FAKE_PROBE);
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
}

static void kill__while_votes_are_under_way_rolls_back(void **state)
{
    for (unsigned asked = 1; asked <= 2; asked++)
        for (int done = 0; done <= 1; done++) {
            struct world *w = world_again(state);

            die(w, asked, done != 0);
            assert_int_equal(fake_committed(A) + fake_committed(B), 0);
            assert_int_equal(world_stats(w).recovered_rolledback, done ? 1 : 0);
        }
}

static void kill__while_commits_are_under_way_commits(void **state)
{
    for (unsigned asked = 3; asked <= 4; asked++)
        for (int done = 0; done <= 1; done++) {
            struct world *w = world_again(state);

            die(w, asked, done != 0);
            assert_int_equal(fake_committed(A), 1);
            assert_int_equal(fake_committed(B), 1);
            world_close(w);
            assert_int_equal(world_records(w), 0);
        }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(prepares_and_commits__overlap),
        T(synchronous_ones__are_called_while_others_are_under_way),
        T(one_phase_and_rollback__are_synchronous),
        T(many_branches__are_all_under_way_at_once),
        T(token__is_asked_for_when_the_vote_is_in),
        T(rank__is_told_to_commit_when_lower_ones_have_answered),
        T(rank__that_is_owed_does_not_hold_up_the_next),
        T(votes__may_come_in_every_order),
        T(order__of_answers_is_the_switches_own),
        T(retry__is_asked_again),
        T(async_refused__is_called_again_without),
        T(no_at_once__stops_the_asking),
        T(zero_at_once__is_a_yes),
        T(failure_at_once__is_the_answer),
        T(failed_complete__of_a_vote_is_a_no),
        T(failed_complete__of_a_commit_is_owed),
        T(heuristic__that_comes_late_is_recorded_and_forgotten),
#ifdef HF_FAULTS
        T(kill__while_votes_are_under_way_rolls_back),
        T(kill__while_commits_are_under_way_commits),
#endif
    };
    return cmocka_run_group_tests_name("tm.async", tests, NULL, NULL);
}
