/*
 * What: two recoverers of one node: the slower one writes over nothing that the other has recorded;
 *       and what a recoverer counts as rolled back.
 * How:  a child's pass pauses in a call to a resource manager while another child's runs to its
 *       end; the record is compared before and after.
 */
#include "support/fake_rm.h"

#include "holdfast/inspect.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static void start_in_child(struct world *w)
{
    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
}

static void decide_and_die(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;

    start_in_child(w);
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must_ok(hf_tx_commit(tx, NULL));
}

static void answer_commit(int code)
{
    fake_answer(A, FAKE_COMMIT, code);
    fake_answer(B, FAKE_COMMIT, code);
}

/* -- another process --------------------------------------------------------------------------- */

struct seen {
    unsigned count;
    uint32_t outcome;
    uint32_t states[2];
    int32_t codes[2];
};

static int see(void *user, const hf_inspect_tx *tx)
{
    struct seen *seen = user;

    seen->count++;
    seen->outcome = tx->outcome;
    for (uint32_t i = 0; i < tx->branch_count && i < 2; i++) {
        seen->states[i] = tx->branches[i].state;
        seen->codes[i] = tx->branches[i].code;
    }
    return 0;
}

static struct seen look(struct world *w)
{
    struct seen seen = {.count = 0};
    hf_inspect *in = NULL;

    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_transactions(in, see, &seen));
    hf_inspect_close(in);
    return seen;
}

struct stop_at {
    int rm;
    enum fake_call call;
};

static void pause_once(void *user, int rm, enum fake_call call)
{
    const struct stop_at *at = user;

    if (rm != at->rm || call != at->call)
        return;
    fake_on_call(NULL, NULL);
    fake_child_pause();
}

static struct stop_at stop_at;

static void recover_slowly(void *arg)
{
    fake_on_call(pause_once, &stop_at);
    start_in_child(arg);
}

static void recover_quickly(void *arg)
{
    start_in_child(arg);
}

/* Held after it has read the records, and after it has looked again and begun to tell branches. */
static void slow_recoverer__overwrites_no_heuristic(void **state)
{
    static const struct stop_at places[] = {{B, FAKE_RECOVER}, {A, FAKE_COMMIT}};

    for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++) {
        struct world *w = world_again(state);
        struct seen before, after;
        pid_t slow;

        answer_commit(XA_RETRY);
        assert_int_equal(fake_child(decide_and_die, w), 0);
        answer_commit(XA_HEURRB);
        stop_at = places[i];
        slow = fake_child_start(recover_slowly, w);
        assert_int_equal(fake_child(recover_quickly, w), 0);
        before = look(w);
        assert_int_equal(before.count, 1);
        assert_int_equal(before.states[0], HF_BRANCH_HEUR_ROLLBACK);
        assert_int_equal(before.states[1], HF_BRANCH_HEUR_ROLLBACK);
        assert_int_equal(before.codes[0], XA_HEURRB);
        assert_int_equal(fake_child_end(slow), 0);
        after = look(w);
        assert_memory_equal(&before, &after, sizeof(before));
    }
}

/* -- what is counted --------------------------------------------------------------------------- */

static void prepare_one_and_die(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;

    start_in_child(w);
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must(hf_tx_commit(tx, NULL) == HF_EROLLEDBACK);
}

static void rollback__that_answers_rmerr_is_owed_and_not_counted(void **state)
{
    struct world *w = *state;
    hf_outcome outcome = HF_UNKNOWN;
    XID xid;

    fake_answer(B, FAKE_PREPARE, XAER_RMFAIL);
    fake_answer(A, FAKE_ROLLBACK, XAER_RMFAIL);
    assert_int_equal(fake_child(prepare_one_and_die, w), 0);
    fake_answer(B, FAKE_PREPARE, XA_OK);
    fake_answer_effect(A, FAKE_ROLLBACK, 0, XAER_RMERR, FAKE_STAYS);
    xid = fake_last_xid(A);
    world_start(w, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fake_state(A, &xid), FAKE_PREPARED);
        assert_int_equal(world_stats(w).recovered_rolledback, 0);
        assert_int_equal(world_stats(w).owed, 1);
        assert_int_not_equal(hf_tm_outcome(w->tm, &xid, &outcome), HF_OK);
        t_ok(hf_tm_recover(w->tm, NULL));
    }
    fake_answer(A, FAKE_ROLLBACK, XA_OK);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_state(A, &xid), FAKE_ABSENT);
    assert_int_equal(world_stats(w).recovered_rolledback, 1);
    assert_int_equal(world_stats(w).owed, 0);
    assert_int_equal(world_outcome(w, &xid), HF_ROLLEDBACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(slow_recoverer__overwrites_no_heuristic),
        T(rollback__that_answers_rmerr_is_owed_and_not_counted),
    };

    return cmocka_run_group_tests_name("regress.recoverers", tests, NULL, NULL);
}
