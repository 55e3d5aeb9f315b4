/*
 * What: a stale session that holds a prepared branch: who is asked to be got rid of, when, and that
 *       nothing is concluded from it (hf_rm_ext.detach; invariants 6, 7, 13 and 15).
 * How:  b holds what it prepared, as a session does that died and hangs on: a scan lists the
 *       branch, and xa_commit and xa_rollback answer XAER_NOTA until detach() has answered 0. The
 *       scripted resource manager objects to a detach of what is not ours, or a living process's.
 */
#include "support/fake_rm.h"

#include "holdfast/inspect.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
#define PROBE (1u << FAKE_PROBE)
#define DETACH (1u << FAKE_DETACH)

/* Committed here; b is owed its commit, and holds the branch from now on. */
static XID owe(struct world *w, unsigned hooks)
{
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;
    XID xid;

    fake_offer(B, hooks);
    world_start(w, 2);
    fake_answer_effect(B, FAKE_COMMIT, 1, XAER_RMFAIL, FAKE_STAYS);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    t_ok(hf_tx_commit(tx, &r));
    assert_int_equal(r.owed, 1);
    fake_hold(B, true);
    world_trace_clear();
    return xid;
}

/* One pass; what it did at b, between open and close. */
static void pass_expect(struct world *w, const char *calls, unsigned owed, unsigned unconfirmed)
{
    char want[256];
    const char *b;
    hf_tm_stats s;

    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, NULL));
    b = strstr(world_trace(), "b.open b.recover a.open a.recover ");
    assert_non_null(b);
    snprintf(want, sizeof(want), "b.open b.recover a.open a.recover %sb.close a.close", calls);
    assert_string_equal(b, want);
    world_trace_clear();
    s = world_stats(w);
    assert_int_equal(s.owed, owed);
    assert_int_equal(s.unconfirmed, unconfirmed);
}

static void expect_paid(struct world *w)
{
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(fake_in_doubt(B), 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* -- xa_commit --------------------------------------------------------------------------------- */

static void nota__that_a_probe_finds_prepared_is_detached_and_committed(void **state)
{
    struct world *w = *state;

    (void)owe(w, PROBE | DETACH);
    pass_expect(w, "b.commit b.probe b.detach b.commit ", 0, 0);
    expect_paid(w);
}

static void nota__that_only_the_scan_finds_prepared_is_detached_and_committed(void **state)
{
    struct world *w = *state;

    (void)owe(w, DETACH);
    pass_expect(w, "b.commit b.detach b.commit ", 0, 0);
    expect_paid(w);
}

/* A scan that was too early, and a probe that knows: MariaDB 10.4 and its like. */
static void nota__that_no_scan_lists_is_detached_if_a_probe_finds_it_prepared(void **state)
{
    struct world *w = *state;

    (void)owe(w, PROBE | DETACH);
    fake_scan(B, FAKE_SCAN_BEFORE);
    pass_expect(w, "b.probe b.commit b.probe b.detach b.commit ", 0, 0);
    expect_paid(w);
}

static void detach__that_fails_keeps_the_record(void **state)
{
    struct world *w = *state;

    (void)owe(w, PROBE | DETACH);
    fake_answer(B, FAKE_DETACH, 1);
    pass_expect(w, "b.commit b.probe b.detach ", 1, 0);
    pass_expect(w, "b.commit b.probe b.detach ", 1, 0); /* once in a pass, in each */
    assert_int_equal(fake_in_doubt(B), 1);
    world_close(w);
    assert_int_equal(world_records(w), 1);
    fake_answer(B, FAKE_DETACH, 0);
    world_start(w, 2);
    expect_paid(w);
}

/* It says that the session is gone, and the branch is denied all the same: asked once, kept. */
static void detach__that_helps_nothing_keeps_the_record(void **state)
{
    struct world *w = *state;

    (void)owe(w, DETACH);
    fake_answer(B, FAKE_COMMIT, XAER_NOTA);
    pass_expect(w, "b.commit b.detach b.commit ", 1, 0);
    assert_int_equal(fake_in_doubt(B), 1);
    fake_answer(B, FAKE_COMMIT, XA_OK);
    pass_expect(w, "b.commit ", 0, 0);
    expect_paid(w);
}

/* Without the hook the branch is owed for as long as a scan lists it. */
static void without_detach__it_is_owed_until_no_scan_lists_it(void **state)
{
    struct world *w = *state;
    XID xid = owe(w, 0);
    XID branch = fake_last_xid(B);

    pass_expect(w, "b.commit ", 1, 0);
    pass_expect(w, "b.commit ", 1, 0);
    fake_finish(B, &branch, true); /* by hand: and nobody can say what became of it */
    pass_expect(w, RECORD[0] != '\0' ? "record " : "", 1, 1);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    world_close(w);
    assert_int_equal(world_records(w), 1);
}

static void without_detach__it_is_paid_when_the_session_is_gone(void **state)
{
    struct world *w = *state;

    (void)owe(w, PROBE);
    pass_expect(w, "b.commit b.probe ", 1, 0);
    fake_hold(B, false);
    pass_expect(w, "b.commit ", 0, 0);
    expect_paid(w);
}

/* Ended by another recoverer between scan and call: the probe proves it, and nobody is asked. */
static void nota__that_a_probe_proves_committed_detaches_nobody(void **state)
{
    struct world *w = *state;
    XID branch;

    (void)owe(w, PROBE | DETACH);
    branch = fake_last_xid(B);
    fake_finish(B, &branch, true);
    fake_scan(B, FAKE_SCAN_AFTER);
    pass_expect(w, "b.commit b.probe ", 0, 0);
    expect_paid(w);
}

/* Other answers say that it is there, or are no answer: no sign of a session that hangs on. */
static void other_answers__detach_nobody(void **state)
{
    static const int codes[] = {XAER_RMFAIL, XAER_RMERR, XAER_PROTO, XA_RBROLLBACK, 4711};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct world *w = world_again(state);

        (void)owe(w, DETACH);
        fake_answer_effect(B, FAKE_COMMIT, 1, codes[i], FAKE_STAYS);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_calls(B, FAKE_DETACH), 0);
        assert_int_equal(world_stats(w).owed, 1);
    }
}

/* A switch that looks the branch up says XA_RETRY where MariaDB says XAER_NOTA. */
static void retry__of_what_the_scan_lists_is_detached_and_committed(void **state)
{
    struct world *w = *state;

    (void)owe(w, DETACH);
    fake_answer_effect(B, FAKE_COMMIT, 1, XA_RETRY, FAKE_STAYS);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_calls(B, FAKE_DETACH), 1);
    assert_int_equal(world_stats(w).owed, 0);
}

static void retry__without_a_detach_is_owed(void **state)
{
    struct world *w = *state;

    (void)owe(w, PROBE);
    fake_answer_effect(B, FAKE_COMMIT, 1, XA_RETRY, FAKE_STAYS);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
}

/* A completion has the session that prepared the branch: it is not stale. */
static void completion__detaches_nobody(void **state)
{
    struct world *w = *state;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    fake_offer(B, PROBE | DETACH);
    world_start(w, 2);
    fake_hold(B, true);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, &r));
    assert_int_equal(r.owed, 1);
    assert_int_equal(fake_calls(B, FAKE_DETACH), 0);
}

/* -- xa_rollback ------------------------------------------------------------------------------- */

/* What a killed process left prepared in b, which holds it. */
static void prepare_and_die(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;

    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must_ok(hf_tx_commit(tx, NULL));
}

static void pause_at(void *user, int rm, enum fake_call call)
{
    const int *at = user;

    if (rm == at[0] && (int)call == at[1])
        fake_child_pause();
}

static void prepare_both_and_wait(void *arg)
{
    static const int at[] = {A, FAKE_COMMIT};

    fake_on_call(pause_at, (void *)(uintptr_t)at);
    prepare_and_die(arg);
}

static void prepare_a_and_wait(void *arg)
{
    static const int at[] = {B, FAKE_PREPARE};

    fake_on_call(pause_at, (void *)(uintptr_t)at);
    prepare_and_die(arg);
}

static void rollback__of_what_is_held_detaches_and_rolls_back(void **state)
{
    struct world *w = *state;
    pid_t child;

    fake_offer(A, DETACH);
    child = fake_child_start(prepare_a_and_wait, w);
    fake_hold(A, true);
    assert_true(fake_child_kill(child) != 0);
    world_open(w);
    world_register(w, 2);
    world_trace_clear();
    t_ok(hf_tm_start(w->tm, 0));
    assert_non_null(strstr(world_trace(), "a.rollback a.detach a.rollback "));
    assert_int_equal(fake_in_doubt(A), 0);
    assert_int_equal(world_stats(w).recovered_rolledback, 1);
    assert_int_equal(world_stats(w).owed, 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void rollback__of_what_stays_held_is_tried_again(void **state)
{
    struct world *w = *state;
    pid_t child;

    fake_offer(A, DETACH);
    child = fake_child_start(prepare_a_and_wait, w);
    fake_hold(A, true);
    assert_true(fake_child_kill(child) != 0);
    fake_answer(A, FAKE_DETACH, 1);
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(A), 1);
    assert_int_equal(world_stats(w).owed, 1);
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
    assert_int_equal(fake_calls(A, FAKE_DETACH), 1);
    fake_answer(A, FAKE_DETACH, 0);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_in_doubt(A), 0);
    assert_int_equal(world_stats(w).owed, 0);
    assert_int_equal(world_stats(w).recovered_rolledback, 1);
}

/* -- invariant 13: nobody innocent ------------------------------------------------------------- */

/* Decided, and its process lives: recovery does not even try to commit for it. */
static void living_process__is_never_detached(void **state)
{
    struct world *w = *state;
    pid_t child;

    fake_offer(A, DETACH);
    fake_offer(B, PROBE | DETACH);
    child = fake_child_start(prepare_both_and_wait, w);
    fake_hold(A, true);
    fake_hold(B, true);
    world_start(w, 2);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_calls(A, FAKE_DETACH) + fake_calls(B, FAKE_DETACH), 0);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 2);
    assert_true(fake_child_kill(child) != 0); /* from here on it is stale */
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_calls(A, FAKE_DETACH), 1);
    assert_int_equal(fake_calls(B, FAKE_DETACH), 1);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    assert_int_equal(world_stats(w).owed, 0);
}

/* A transaction of this opening that runs, prepared or not, is its owner's. */
static void pass_inside(void *user, int rm, enum fake_call call)
{
    struct world *w = user;

    if (rm != B || call != FAKE_COMMIT)
        return;
    fake_on_call(NULL, NULL);
    t_ok(hf_tm_recover(w->tm, NULL));
}

static void own_running__is_never_detached(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    fake_offer(A, DETACH);
    fake_offer(B, PROBE | DETACH);
    world_start(w, 2);
    fake_hold(B, true);
    world_begin(w, 2, &tx);
    fake_on_call(pass_inside, w);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_calls(B, FAKE_DETACH), 0);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_calls(B, FAKE_DETACH), 1);
    assert_int_equal(fake_committed(B), 1);
}

/* Another node's, another resource manager's, one that no decision lists: nobody touches them. */
static void foreign__is_never_detached(void **state)
{
    struct world *w = *state;
    XID ours, x;

    fake_offer(B, PROBE | DETACH);
    (void)owe(w, PROBE | DETACH);
    ours = fake_last_xid(B);
    x = ours;
    x.data[0] ^= 1;
    fake_put(B, &x);
    x = ours;
    x.data[28] ^= 1;
    fake_put(B, &x);
    x = ours;
    x.data[35] ^= 64; /* a branch number that the decision does not list */
    fake_put(B, &x);
    x = ours;
    x.formatID = 0;
    fake_put(B, &x);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_calls(B, FAKE_DETACH), 1); /* for ours */
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(fake_in_doubt(B), 4);
    assert_true(w->alarms > 0);
}

/* -- and what is told of it -------------------------------------------------------------------- */

struct seen {
    unsigned detached, not_now, committed;
};

static int look(void *user, const hf_inspect_tx *tx)
{
    struct seen *seen = user;

    for (uint32_t i = 0; i < tx->span_count; i++)
        for (uint32_t j = 0; j < tx->spans[i].event_count; j++) {
            const hf_inspect_event *e = &tx->spans[i].events[j];

            seen->detached += e->call == HF_CALL_DETACH && e->code == 0;
            seen->not_now += e->call == HF_CALL_DETACH && e->code != 0;
            seen->committed += e->call == HF_CALL_COMMIT && e->code == XA_OK;
        }
    return 0;
}

static void history__tells_of_the_detach(void **state)
{
    struct world *w = *state;
    struct seen seen = {0};
    hf_inspect *in = NULL;

    (void)owe(w, PROBE | DETACH);
    t_ok(hf_tm_recover(w->tm, NULL));
    world_close(w);
    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_history(in, look, &seen));
    hf_inspect_close(in);
    assert_int_equal(seen.detached, 1);
    assert_int_equal(seen.not_now, 0);
    assert_int_equal(seen.committed, 2);
}

#ifdef HF_FAULTS
static void recover_and_die(void *arg)
{
    struct world *w = arg;

    fault_at("recovery:detached", "kill", 1);
    must_ok(world_try_open(w));
    world_register(w, 2);
    must(hf_tm_start(w->tm, 0) == HF_OK);
}
#endif

/* A recoverer that dies right after it: the next one finds nobody to detach. */
static void killed_after_a_detach__the_next_pass_goes_on(void **state)
{
#ifdef HF_FAULTS
    struct world *w = *state;

    (void)owe(w, DETACH);
    fake_answer_effect(B, FAKE_COMMIT, 1, XAER_NOTA, FAKE_STAYS);
    fake_answer_effect(B, FAKE_COMMIT, 2, XAER_NOTA, FAKE_STAYS);
    t_ok(hf_tm_recover(w->tm, NULL)); /* owed at the close */
    fake_hold(B, true);
    world_close(w);
    assert_true(fake_child(recover_and_die, w) != 0);
    assert_int_equal(fake_in_doubt(B), 1);
    world_start(w, 2);
    assert_int_equal(fake_calls(B, FAKE_DETACH), 2);
    expect_paid(w);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nota__that_a_probe_finds_prepared_is_detached_and_committed),
        T(nota__that_only_the_scan_finds_prepared_is_detached_and_committed),
        T(nota__that_no_scan_lists_is_detached_if_a_probe_finds_it_prepared),
        T(detach__that_fails_keeps_the_record),
        T(detach__that_helps_nothing_keeps_the_record),
        T(without_detach__it_is_owed_until_no_scan_lists_it),
        T(without_detach__it_is_paid_when_the_session_is_gone),
        T(nota__that_a_probe_proves_committed_detaches_nobody),
        T(other_answers__detach_nobody),
        T(retry__of_what_the_scan_lists_is_detached_and_committed),
        T(retry__without_a_detach_is_owed),
        T(completion__detaches_nobody),
        T(rollback__of_what_is_held_detaches_and_rolls_back),
        T(rollback__of_what_stays_held_is_tried_again),
        T(living_process__is_never_detached),
        T(own_running__is_never_detached),
        T(foreign__is_never_detached),
        T(history__tells_of_the_detach),
        T(killed_after_a_detach__the_next_pass_goes_on),
    };

    return cmocka_run_group_tests_name("tm.detach", tests, NULL, NULL);
}
