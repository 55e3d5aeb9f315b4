/*
 * What: what a transaction becomes when a branch decides by itself (transaction.h; [XA] 2.3.3,
 *       decision tables of xa_commit, xa_rollback and xa_forget; invariant 5).
 * How:  one row for each answer of each call: outcome, result, what is recorded, what is forgotten.
 */
#include "support/fake_rm.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

struct row {
    int code; /* of the second branch */
    int rc;
    hf_outcome outcome;
    unsigned records; /* that stay in the log */
    const char *then; /* after b's answer */
};

/* b's answer to the second phase, after a has ended as decided. */
static void run_row(struct world *w, const struct row *row)
{
    hf_result r = HF_RESULT_INIT;
    char want[256];
    XID xid;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, row->code);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    world_trace_clear();
    t_rc(row->rc, hf_tx_commit(tx, &r));
    if (r.outcome != row->outcome)
        fail_msg("answer %d: outcome %s, wanted %s", row->code, hf_outcome_name((int)r.outcome),
                 hf_outcome_name((int)row->outcome));
    assert_int_equal(r.xa_code, row->code);
    assert_string_equal(r.rm, "b");
    assert_string_equal(r.call, "xa_commit");
    assert_string_not_equal(r.text, "");
    assert_int_equal(r.owed, 0);
    snprintf(want, sizeof(want), "a.end b.end a.prepare b.prepare" LOG " a.commit b.commit%s",
             row->then);
    world_expect(want);
    assert_int_equal(fake_in_doubt(B), 0);
    assert_int_equal(hf_instance_broken(w->in[B]), 0);
    if (row->records > 0)
        assert_int_equal(world_outcome(w, &xid), row->outcome);
    world_close(w);
    assert_int_equal(world_records(w), row->records);
}

/* Recorded durably before xa_forget, and listed until an operator has looked. */
static void heuristic_in_commit__is_recorded_before_it_is_forgotten(void **state)
{
    static const struct row rows[] = {
        {XA_HEURRB, HF_EHEURISTIC, HF_MIXED, 1, RECORD " b.forget"},
        {XA_HEURMIX, HF_EHEURISTIC, HF_MIXED, 1, RECORD " b.forget"},
        {XA_HEURHAZ, HF_EHEURISTIC, HF_HAZARD, 1, RECORD " b.forget"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run_row(world_again(state), &rows[i]);
}

/* It decided as we did: nobody has to look, but it has to be told to forget. */
static void heuristic_commit__in_commit_is_good(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURCOM);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_COMMITTED);
    assert_int_equal(r.owed, 0);
    assert_non_null(strstr(world_trace(), "b.commit"));
    assert_non_null(strstr(world_trace(), "b.forget"));
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* Against the decision, but all alike: rolled back it is [C504 tx_commit]. An operator still sees
   it. */
static void all_heuristic_rollback__is_rolled_back_and_recorded(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    XID xid;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_once(A, FAKE_COMMIT, 1, XA_HEURRB);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURRB);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    assert_int_equal(r.xa_code, XA_HEURRB);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
    assert_int_equal(world_outcome(w, &xid), HF_ROLLEDBACK);
    world_close(w);
    assert_int_equal(world_records(w), 1);
}

/* In hf_tx_rollback of a branch that was never prepared no heuristic is possible; after a no it is.
   */
static void heuristic_in_rollback__after_a_no_is_told(void **state)
{
    static const struct {
        int code, rc;
        hf_outcome outcome;
        unsigned records;
    } rows[] = {
        {XA_HEURCOM, HF_EHEURISTIC, HF_MIXED, 1},
        {XA_HEURMIX, HF_EHEURISTIC, HF_MIXED, 1},
        {XA_HEURHAZ, HF_EHEURISTIC, HF_HAZARD, 1},
        {XA_HEURRB, HF_EROLLEDBACK, HF_ROLLEDBACK, 0},
    };
    struct world *w;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hf_result r = HF_RESULT_INIT;
        XID xid;
        hf_tx *tx;

        w = world_again(state);
        world_start(w, 2);
        fake_answer_once(A, FAKE_ROLLBACK, 1, rows[i].code);
        fake_answer_once(B, FAKE_PREPARE, 1, XA_RBOTHER);
        world_begin(w, 2, &tx);
        t_ok(hf_tx_xid(tx, &xid));
        t_rc(rows[i].rc, hf_tx_commit(tx, &r));
        assert_int_equal(r.outcome, rows[i].outcome);
        assert_non_null(strstr(world_trace(), "a.forget"));
#ifdef HF_FAULTS
        if (rows[i].records > 0)
            assert_non_null(strstr(world_trace(), "a.rollback record a.forget"));
#endif
        if (rows[i].records > 0)
            assert_int_equal(world_outcome(w, &xid), rows[i].outcome);
        world_close(w);
        assert_int_equal(world_records(w), rows[i].records);
    }
}

/* Until it is forgotten at its resource manager, recovery goes on trying. */
static void forget_refused__is_tried_again_by_recovery(void **state)
{
    static const int codes[] = {XAER_RMERR, XAER_RMFAIL};
    struct world *w;

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        hf_result r = HF_RESULT_INIT;
        hf_tx *tx;

        w = world_again(state);
        world_start(w, 2);
        fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURHAZ);
        fake_answer_once(B, FAKE_FORGET, 1, codes[i]);
        world_begin(w, 2, &tx);
        t_rc(HF_EHEURISTIC, hf_tx_commit(tx, &r));
        assert_int_equal(r.outcome, HF_HAZARD);
        assert_int_equal(r.owed, 1);
        assert_int_equal(fake_in_doubt(B), 1);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_in_doubt(B), 0);
        assert_int_equal(world_stats(w).owed, 0);
        world_close(w);
        assert_int_equal(world_records(w), 1); /* an operator has to look */
    }
}

/* Already forgotten is forgotten. */
static void forget__of_what_is_gone_is_good(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURMIX);
    fake_answer_effect(B, FAKE_FORGET, 1, XAER_NOTA, FAKE_GONE);
    world_begin(w, 2, &tx);
    t_rc(HF_EHEURISTIC, hf_tx_commit(tx, &r));
    assert_int_equal(r.owed, 0);
    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_null(strstr(world_trace(), "forget"));
}

/* The record could not be written: then the resource manager has to go on remembering. */
#ifdef HF_FAULTS
static void heuristic__that_cannot_be_recorded_is_not_forgotten(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURHAZ);
    world_begin(w, 2, &tx);
    fault_at("store:commit-fails", "fail", 2);
    t_rc(HF_EHEURISTIC, hf_tx_commit(tx, &r));
    assert_int_equal(r.outcome, HF_HAZARD);
    assert_null(strstr(world_trace(), "forget"));
    assert_int_equal(fake_in_doubt(B), 1);
    world_close(w);
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(B), 0);
    world_close(w);
    assert_int_equal(world_records(w), 1);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(heuristic_in_commit__is_recorded_before_it_is_forgotten),
        T(heuristic_commit__in_commit_is_good),
        T(all_heuristic_rollback__is_rolled_back_and_recorded),
        T(heuristic_in_rollback__after_a_no_is_told),
        T(forget_refused__is_tried_again_by_recovery),
        T(forget__of_what_is_gone_is_good),
#ifdef HF_FAULTS
        T(heuristic__that_cannot_be_recorded_is_not_forgotten),
#endif
    };

    return cmocka_run_group_tests_name("tm.heuristic", tests, NULL, NULL);
}
