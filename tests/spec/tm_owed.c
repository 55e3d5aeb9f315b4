/*
 * What: branches that are owed their commit: who keeps the record, until what proof (DESIGN's rule:
 *       nothing ambiguous is ever taken as done; invariant 6).
 * How:  the answer to xa_commit is scripted, with what truly became of the branch; recovery
 *       follows.
 */
#include "support/fake_rm.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* Commit over two; b answers code to its xa_commit, and the branch does what effect says. */
static hf_result commit_with(struct world *w, int want, int code, enum fake_effect effect,
                             XID *ret_xid)
{
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_effect(B, FAKE_COMMIT, 1, code, effect);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, ret_xid));
    t_rc(want, hf_tx_commit(tx, &r));
    assert_int_equal(r.xa_code, code);
    assert_string_equal(r.rm, "b");
    assert_string_equal(r.call, "xa_commit");
    return r;
}

static void retry__is_owed_and_paid_by_recovery(void **state)
{
    struct world *w = *state;
    hf_tm_stats s;
    hf_result r;
    XID xid;

    r = commit_with(w, HF_OK, XA_RETRY, FAKE_STAYS, &xid);
    assert_int_equal(r.outcome, HF_COMMITTED);
    assert_int_equal(r.owed, 1);
    assert_int_equal(r.unconfirmed, 0);
    assert_int_equal(hf_instance_broken(w->in[B]), 0);
    assert_int_equal(fake_in_doubt(B), 1);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    fake_answer(B, FAKE_COMMIT, XA_RETRY);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
    fake_answer(B, FAKE_COMMIT, XA_OK);
    t_ok(hf_tm_recover(w->tm, NULL));
    s = world_stats(w);
    assert_int_equal(s.owed, 0);
    assert_int_equal(s.recovered_committed, 0);
    assert_int_equal(s.committed, 1);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED); /* the history knows */
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void rmfail__is_owed_and_paid_through_another_session(void **state)
{
    struct world *w = *state;
    hf_result r;
    XID xid;

    r = commit_with(w, HF_OK, XAER_RMFAIL, FAKE_STAYS, &xid);
    assert_int_equal(r.outcome, HF_COMMITTED);
    assert_int_equal(r.owed, 1);
    assert_int_equal(hf_instance_broken(w->in[B]), 1);
    assert_int_equal(hf_instance_broken(w->in[A]), 0);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(world_stats(w).owed, 0);
}

/* Decided by one process, paid by the next. */
static void owed__outlives_the_process_that_decided(void **state)
{
    struct world *w = *state;
    XID xid;

    (void)commit_with(w, HF_OK, XA_RETRY, FAKE_STAYS, &xid);
    fake_answer(B, FAKE_COMMIT, XA_RETRY);
    world_close(w);
    assert_int_equal(world_records(w), 1);
    fake_answer(B, FAKE_COMMIT, XA_OK);
    world_start(w, 2);
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* Codes that prove nothing, with a probe that can: the truth is asked for. */
static void ambiguous__with_a_probe_is_settled_by_the_truth(void **state)
{
    static const struct {
        int code;
        enum fake_effect effect;
        int rc;
        hf_outcome outcome;
        unsigned records;
    } rows[] = {
        {XAER_NOTA, FAKE_DONE, HF_OK, HF_COMMITTED, 0},
        {XAER_RMERR, FAKE_DONE, HF_OK, HF_COMMITTED, 0},
        {XA_RBROLLBACK, FAKE_DONE, HF_OK, HF_COMMITTED, 0},
        {XAER_NOTA, FAKE_GONE, HF_EHEURISTIC, HF_MIXED, 1},
        {XAER_RMERR, FAKE_GONE, HF_EHEURISTIC, HF_MIXED, 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_again(state);
        hf_result r;
        XID xid;

        fake_offer(B, 1u << FAKE_PROBE);
        r = commit_with(w, rows[i].rc, rows[i].code, rows[i].effect, &xid);
        assert_int_equal(r.outcome, rows[i].outcome);
        assert_int_equal(r.owed, 0);
        assert_int_equal(r.unconfirmed, 0);
        assert_true(fake_calls(B, FAKE_PROBE) > 0);
        world_close(w);
        assert_int_equal(world_records(w), rows[i].records);
    }
}

/* MariaDB says XAER_NOTA of a branch that is prepared while its old session hangs on. */
static void nota__of_a_prepared_branch_is_not_the_end(void **state)
{
    struct world *w = *state;
    hf_result r;
    XID xid;

    fake_offer(B, 1u << FAKE_PROBE);
    r = commit_with(w, HF_OK, XAER_NOTA, FAKE_STAYS, &xid);
    assert_int_equal(r.outcome, HF_COMMITTED);
    assert_int_equal(r.owed, 1);
    assert_int_equal(r.unconfirmed, 0);
    assert_int_equal(fake_in_doubt(B), 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(world_stats(w).owed, 0);
}

/* Without a probe nobody can tell: the record stays, however often recovery looks. */
static void ambiguous__without_a_probe_stays_unconfirmed(void **state)
{
    static const int codes[] = {XAER_NOTA, XAER_RMERR};
    static const enum fake_effect effects[] = {FAKE_DONE, FAKE_GONE};

    for (size_t i = 0; i < 4; i++) {
        struct world *w = world_again(state);
        hf_tm_stats s;
        hf_result r;
        XID xid;

        r = commit_with(w, HF_OK, codes[i / 2], effects[i % 2], &xid);
        assert_int_equal(r.outcome, HF_COMMITTED);
        assert_int_equal(r.owed, 1);
        assert_int_equal(r.unconfirmed, 1);
        t_ok(hf_tm_recover(w->tm, NULL));
        t_ok(hf_tm_recover(w->tm, NULL));
        s = world_stats(w);
        assert_int_equal(s.owed, 1);
        assert_int_equal(s.unconfirmed, 1);
        world_close(w);
        assert_int_equal(world_records(w), 1);
    }
}

/* Even without one: a branch that is in the scan is prepared, whatever was answered before. */
static void nota__without_a_probe_is_paid_when_the_scan_shows_the_branch(void **state)
{
    struct world *w = *state;
    XID xid;

    (void)commit_with(w, HF_OK, XAER_NOTA, FAKE_STAYS, &xid);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(world_stats(w).owed, 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* RMFAIL after the commit was done: absent from the scan, and a probe that proves it. */
static void rmfail__whose_commit_was_done_is_settled_by_the_probe(void **state)
{
    struct world *w = *state;
    hf_result r;
    XID xid;

    fake_offer(B, 1u << FAKE_PROBE);
    r = commit_with(w, HF_OK, XAER_RMFAIL, FAKE_DONE, &xid);
    assert_int_equal(r.owed, 1);
    assert_int_equal(fake_calls(B, FAKE_PROBE), 0); /* not through the session that failed */
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 0);
    assert_int_equal(world_stats(w).unconfirmed, 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void rmfail__whose_commit_was_done_stays_without_a_probe(void **state)
{
    struct world *w = *state;
    XID xid;

    (void)commit_with(w, HF_OK, XAER_RMFAIL, FAKE_DONE, &xid);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
    assert_int_equal(world_stats(w).unconfirmed, 1);
    world_close(w);
    assert_int_equal(world_records(w), 1);
}

/* "Not now" and "I cannot tell" are not answers about the branch. */
static void probe__that_cannot_tell_proves_nothing(void **state)
{
    struct world *w = *state;
    hf_result r;
    XID xid;

    fake_offer(B, 1u << FAKE_PROBE);
    fake_answer(B, FAKE_PROBE, 1);
    r = commit_with(w, HF_OK, XAER_NOTA, FAKE_DONE, &xid);
    assert_int_equal(r.owed, 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
    fake_answer(B, FAKE_PROBE, XA_OK);
    fake_probe(B, HF_PROBE_UNKNOWN);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
    assert_int_equal(world_stats(w).unconfirmed, 1);
    fake_probe(B, -1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 0);
}

/* A resource manager that cannot be reached, or is not registered, keeps its records. */
static void unreachable__keeps_its_records(void **state)
{
    struct world *w = *state;
    XID xid;

    (void)commit_with(w, HF_OK, XAER_RMFAIL, FAKE_STAYS, &xid);
    fake_answer(B, FAKE_OPEN, XAER_RMFAIL);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
    world_close(w);
    assert_int_equal(world_records(w), 1);

    world_open(w); /* b is not even registered */
    world_register(w, 1);
    t_ok(hf_tm_start(w->tm, 0));
    assert_int_equal(world_stats(w).owed, 1);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    world_close(w);
    assert_int_equal(world_records(w), 1);

    fake_answer(B, FAKE_OPEN, XA_OK);
    world_start(w, 2);
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(world_stats(w).owed, 0);
}

/* hf_tm_start repeats its pass while something is owed. */
static void start__waits_for_what_is_owed(void **state)
{
    struct world *w = *state;
    XID xid;

    (void)commit_with(w, HF_OK, XA_RETRY, FAKE_STAYS, &xid);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_RETRY); /* for the pass of the close, if there is one, */
    world_close(w);
    world_open(w);
    world_register(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 2, XA_RETRY); /* and for the first of the start */
    t_ok(hf_tm_start(w->tm, 20000));
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(world_stats(w).owed, 0);
}

/* xa_commit with an answer that no resource manager may give: the record stays. */
static unsigned told_times(const struct world *w, const char *text)
{
    unsigned n = 0;

    for (const char *at = w->told; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

/* Nobody has to guess why it stays in doubt; nor to read it again in every pass. */
static void refused__is_told_in_the_words_of_its_manager(void **state)
{
    struct world *w = *state;
    hf_tx *tx;
    XID xid;

    fake_offer(B, 1U << FAKE_ERROR);
    (void)commit_with(w, HF_OK, XA_RETRY, FAKE_STAYS, &xid);
    fake_answer(B, FAKE_COMMIT, XA_RETRY);
    fake_error(B, 42501, "permission denied to finish prepared transaction");
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_non_null(strstr(w->told, "b: xa_commit of branch "));
    assert_non_null(strstr(w->told, "answered XA_RETRY: permission denied to finish"));
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(told_times(w, "permission denied"), 1);
    fake_answer(B, FAKE_COMMIT, XA_OK);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 0);
    world_begin(w, 2, &tx);
    fake_answer(B, FAKE_COMMIT, XA_RETRY);
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(told_times(w, "permission denied"), 2); /* it had been better */
    fake_answer(B, FAKE_COMMIT, XA_OK);
}

static void nonsense__keeps_the_record(void **state)
{
    static const int codes[] = {XAER_PROTO, XAER_INVAL, XAER_ASYNC, XAER_DUPID, XA_RDONLY, 4711};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct world *w = world_again(state);
        hf_result r;
        XID xid;

        r = commit_with(w, HF_OK, codes[i], FAKE_STAYS, &xid);
        assert_int_equal(r.outcome, HF_COMMITTED);
        assert_int_equal(r.owed, 1);
        assert_int_equal(fake_in_doubt(B), 1);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_committed(B), 1);
        assert_int_equal(world_stats(w).owed, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(retry__is_owed_and_paid_by_recovery),
        T(rmfail__is_owed_and_paid_through_another_session),
        T(owed__outlives_the_process_that_decided),
        T(ambiguous__with_a_probe_is_settled_by_the_truth),
        T(nota__of_a_prepared_branch_is_not_the_end),
        T(ambiguous__without_a_probe_stays_unconfirmed),
        T(nota__without_a_probe_is_paid_when_the_scan_shows_the_branch),
        T(rmfail__whose_commit_was_done_is_settled_by_the_probe),
        T(rmfail__whose_commit_was_done_stays_without_a_probe),
        T(probe__that_cannot_tell_proves_nothing),
        T(unreachable__keeps_its_records),
        T(start__waits_for_what_is_owed),
        T(refused__is_told_in_the_words_of_its_manager),
        T(nonsense__keeps_the_record),
    };

    return cmocka_run_group_tests_name("tm.owed", tests, NULL, NULL);
}
