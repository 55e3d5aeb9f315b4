/*
 * What: what recovery does with each XID that a scan lists, and with what a scan does not list (the
 *       six rules of recovery; invariants 4, 7, 8, 10, 14).
 * How:  prepared branches are put into scripted resource managers as another process, another node
 *       or another time would have left them; then one pass, and a second that must find nothing to
 *       do.
 */
#include "support/fake_rm.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "holdfast/inspect.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* A branch of a transaction of an incarnation that is over: for XIDs like it. */
static XID like_ours(struct world *w, int rm)
{
    hf_tx *tx;

    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, w->in[rm]));
    t_ok(hf_tx_rollback(tx, NULL));
    world_close(w);
    world_start(w, 2);
    return fake_last_xid(rm);
}

/* One pass may look, and only look, at rm. */
static void expect_left_alone(struct world *w, int rm, const XID *xid)
{
    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_state(rm, xid), FAKE_PREPARED);
    assert_null(strstr(world_trace(), "rollback"));
    assert_null(strstr(world_trace(), "commit"));
    assert_null(strstr(world_trace(), "forget"));
}

/* -- rule 1: foreign --------------------------------------------------------------------------- */

static void foreign__is_left_alone(void **state)
{
    struct world *w = *state;
    XID ours, x;

    world_start(w, 2);
    ours = like_ours(w, A);
    x = world_xid(&ours, 0, 4711);
    x.formatID = 0;
    fake_put(A, &x);
    expect_left_alone(w, A, &x);
    x.formatID = HF_XID_FORMAT;
    x.data[0] ^= 1; /* another node */
    fake_put(A, &x);
    expect_left_alone(w, A, &x);
    x = world_xid(&ours, 0, 4711);
    x.data[28] ^= 1; /* another resource manager's id */
    fake_put(A, &x);
    expect_left_alone(w, A, &x);
    x = world_xid(&ours, 0, 4711);
    x.bqual_length = 7;
    fake_put(A, &x);
    expect_left_alone(w, A, &x);
    x = world_xid(&ours, 0, 4711);
    x.gtrid_length = 64;
    x.bqual_length = 64;
    fake_put(A, &x);
    expect_left_alone(w, A, &x);
    assert_int_equal(fake_in_doubt(A), 5);
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
}

/* Two names may reach one database: each sees the other's branches, and leaves them. */
static void branch__of_another_resource_manager_of_ours_is_left_to_it(void **state)
{
    struct world *w = *state;
    XID xid;

    world_start(w, 2);
    xid = like_ours(w, B);
    xid = world_xid(&xid, 0, 4711);
    fake_put(A, &xid);
    expect_left_alone(w, A, &xid);
}

/* -- rule 2 and 3: alive ----------------------------------------------------------------------- */

static void wait_before_the_last_prepare(void *user, int rm, enum fake_call call)
{
    (void)user;
    if (rm == B && call == FAKE_PREPARE)
        fake_child_pause();
}

static void commit_in_child(void *arg)
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
    for (int n = 0; n < 2; n++)
        must_ok(hf_instance_close(w->in[n]));
    must_ok(hf_tm_close(w->tm, 0, NULL));
}

static void prepare_one_and_wait(void *arg)
{
    fake_on_call(wait_before_the_last_prepare, NULL);
    commit_in_child(arg);
}

static void living_process__keeps_its_branches(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(prepare_one_and_wait, w);

    assert_int_equal(fake_in_doubt(A), 1);
    world_start(w, 2);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_in_doubt(A), 1);
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
    assert_int_equal(fake_child_end(child), 0); /* it commits, undisturbed */
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    t_ok(hf_tm_recover(w->tm, NULL));
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void dead_process__is_fenced_and_rolled_back_by_one_that_lives(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(prepare_one_and_wait, w);

    world_start(w, 2);
    (void)fake_child_kill(child);
    assert_int_equal(fake_in_doubt(A), 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_in_doubt(A), 0);
    assert_int_equal(fake_rolled_back(A), 1);
    assert_int_equal(world_stats(w).recovered_rolledback, 1);
}

static void be_fenced(void *arg)
{
    struct world *w = arg;
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx = NULL;
    int fd;

    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    fd = open(t_path(w->node, "incarnations"), O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && close(fd) == 0); /* whoever does that in a process drops its locks */
    fake_on_call(wait_before_the_last_prepare, NULL);
    must(hf_tx_commit(tx, &r) == HF_EROLLEDBACK);
    must(r.outcome == HF_ROLLEDBACK && strcmp(r.call, "log") == 0);
    must(hf_tx_begin(w->tm, 0, &tx) != HF_OK); /* it was declared dead, and stays it */
    must(hf_tm_recover(w->tm, NULL) == HF_EFENCED || hf_tm_recover(w->tm, NULL) == HF_ELOG);
}

/* Its lock was lost, and another process has rolled its branches back: it cannot decide. */
static void living_process__that_was_fenced_cannot_commit(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(be_fenced, w);

    world_start(w, 2);
    assert_int_equal(fake_in_doubt(A), 0);
    assert_int_equal(fake_rolled_back(A), 1);
    assert_int_equal(fake_child_end(child), 0);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_committed(A) + fake_committed(B), 0);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

#ifdef HF_FAULTS
static void decide_and_die(void *arg)
{
    fault_at("log:decided", "kill", 1);
    commit_in_child(arg);
}

static void dead_process__that_had_decided_is_committed(void **state)
{
    struct world *w = *state;
    hf_tm_stats s;
    XID xid;

    assert_true(WIFSIGNALED(fake_child(decide_and_die, w)));
    xid = fake_last_xid(A);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 2);
    world_start(w, 2);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    s = world_stats(w);
    assert_int_equal(s.recovered_committed, 1);
    assert_int_equal(s.recovered_rolledback, 0);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
}

/* Rule 4: a branch that the decision does not list is somebody's mistake; nobody ends it. */
static void unlisted_branch__raises_an_alarm_and_is_left_alone(void **state)
{
    struct world *w = *state;
    XID xid;

    assert_true(WIFSIGNALED(fake_child(decide_and_die, w)));
    xid = fake_last_xid(A);
    xid.data[35] = 77; /* branch number */
    fake_put(A, &xid);
    fake_answer(B, FAKE_OPEN, XAER_RMFAIL); /* the record stays */
    world_open(w);
    world_register(w, 2);
    t_ok(hf_tm_start(w->tm, 0));
    assert_int_equal(fake_state(A, &xid), FAKE_PREPARED);
    assert_int_equal(fake_committed(A), 1);
    assert_true(world_stats(w).alarms >= 1);
    assert_true(w->alarms >= 1);
    expect_left_alone(w, A, &xid);
}
#endif

static void own_running__is_left_alone(void **state)
{
    struct world *w = *state;
    hf_tx *tx;
    XID xid;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    xid = fake_last_xid(A);
    xid.data[35] = 9; /* prepared under its gtrid, as by xa_prepare a moment ago */
    fake_put(A, &xid);
    expect_left_alone(w, A, &xid);
    t_ok(hf_tx_rollback(tx, NULL));
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_state(A, &xid), FAKE_ABSENT);
}

/* -- rule 5: the log went back in time --------------------------------------------------------- */

static void incarnation_above_the_highest__stops_rolling_back_for_good(void **state)
{
    struct world *w = *state;
    hf_inspect_node node = {.size = sizeof(node)};
    hf_inspect *in = NULL;
    XID ours, future, late;

    world_start(w, 2);
    ours = like_ours(w, A);
    future = world_xid(&ours, 1000, 1);
    fake_put(A, &future);
    expect_left_alone(w, A, &future);
    assert_true(world_stats(w).alarms >= 1);
    assert_true(w->alarms >= 1);

    late = world_xid(&ours, 0, 4711); /* would be rolled back otherwise */
    fake_put(A, &late);
    expect_left_alone(w, A, &late);
    world_close(w);
    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_get_node(in, &node));
    assert_int_equal(node.back_in_time, 1);
    hf_inspect_close(in);
    world_start(w, 2); /* durable */
    assert_int_equal(fake_state(A, &late), FAKE_PREPARED);
    assert_int_equal(fake_state(A, &future), FAKE_PREPARED);
}

/* The numbers were given out again after a restore: the nonce tells the two lives apart. */
static void nonce__of_another_life_stops_rolling_back_for_good(void **state)
{
    struct world *w = *state;
    XID ours, x;

    world_start(w, 2);
    ours = like_ours(w, A);
    world_close(w);
    x = world_xid(&ours, 0, 4711);
    x.data[21] ^= 1;
    fake_put(A, &x);
    world_start(w, 2);
    assert_int_equal(fake_state(A, &x), FAKE_PREPARED);
    assert_true(world_stats(w).alarms >= 1);
    x = world_xid(&ours, 0, 4711); /* would be rolled back otherwise */
    fake_put(A, &x);
    expect_left_alone(w, A, &x);
}

/* Ours, and of a sequence that we have not come to: begun under a later state of this log. */
static void sequence_above_our_last__stops_rolling_back(void **state)
{
    struct world *w = *state;
    hf_tx *tx;
    XID x;

    world_start(w, 2);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, w->in[A]));
    t_ok(hf_tx_rollback(tx, NULL));
    x = fake_last_xid(A);
    x = world_xid(&x, 0, 1000000);
    fake_put(A, &x);
    expect_left_alone(w, A, &x);
    assert_true(world_stats(w).alarms >= 1);
}

/* -- rule 6: presumed abort -------------------------------------------------------------------- */

static void scan__of_any_length_is_read_to_its_end(void **state)
{
    static const unsigned counts[] = {1, 63, 64, 65, 128, 129};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct world *w = world_again(state);
        XID ours, x;

        world_start(w, 2);
        ours = like_ours(w, A);
        world_close(w);
        for (unsigned n = 0; n < counts[i]; n++) {
            x = world_xid(&ours, 0, 1000 + n);
            fake_put(A, &x);
        }
        assert_int_equal(fake_in_doubt(A), counts[i]);
        world_start(w, 2);
        assert_int_equal(fake_in_doubt(A), 0);
        assert_int_equal(world_stats(w).recovered_rolledback, counts[i]);
        world_trace_clear();
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_null(strstr(world_trace(), "rollback"));
    }
}

/* A failed or partial scan proves nothing at all: not about what it listed, either. */
static void scan__that_fails_concludes_nothing(void **state)
{
    static const int codes[] = {XAER_RMFAIL, XAER_RMERR, XAER_PROTO, XAER_INVAL};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        for (unsigned nth = 1; nth <= 2; nth++) {
            struct world *w = world_again(state);
            XID ours, x;

            world_start(w, 2);
            ours = like_ours(w, A);
            for (unsigned n = 0; n < 70; n++) {
                x = world_xid(&ours, 0, 1000 + n);
                fake_put(A, &x);
            }
            fake_answer_once(A, FAKE_RECOVER, nth, codes[i]);
            world_trace_clear();
            t_ok(hf_tm_recover(w->tm, NULL));
            assert_int_equal(fake_in_doubt(A), 70);
            assert_null(strstr(world_trace(), "rollback"));
            t_ok(hf_tm_recover(w->tm, NULL));
            assert_int_equal(fake_in_doubt(A), 0);
        }
}

/* The same for a commit that is owed: a branch that such a scan does not list is not proved gone.
   */
static void scan__that_fails_releases_no_record(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    fake_offer(B, 1u << FAKE_PROBE);
    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_RETRY);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    fake_answer_once(B, FAKE_RECOVER, 1, XAER_RMFAIL);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
    assert_int_equal(fake_calls(B, FAKE_PROBE), 0);
    assert_int_equal(fake_in_doubt(B), 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 0);
    assert_int_equal(fake_committed(B), 1);
}

static void rollback_in_recovery__that_fails_is_tried_again(void **state)
{
    static const int codes[] = {XAER_RMFAIL, XA_RETRY, XAER_PROTO};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct world *w = world_again(state);
        XID x;

        world_start(w, 2);
        x = like_ours(w, A);
        x = world_xid(&x, 0, 1000);
        fake_put(A, &x);
        fake_answer_effect(A, FAKE_ROLLBACK, 1, codes[i], FAKE_STAYS);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_state(A, &x), FAKE_PREPARED);
        assert_int_equal(world_stats(w).owed, 1);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_state(A, &x), FAKE_ABSENT);
        assert_int_equal(world_stats(w).owed, 0);
    }
}

static void heuristic__found_by_recovery_is_recorded_and_forgotten(void **state)
{
    struct world *w = *state;
    XID x;

    world_start(w, 2);
    x = like_ours(w, A);
    x = world_xid(&x, 0, 1000);
    fake_put(A, &x);
    fake_answer_once(A, FAKE_ROLLBACK, 1, XA_HEURCOM);
    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_state(A, &x), FAKE_ABSENT);
#ifdef HF_FAULTS
    assert_non_null(strstr(world_trace(), "a.rollback record a.forget"));
#endif
    assert_int_equal(w->alarms, 1);
    assert_int_equal(world_stats(w).alarms, 1);
    world_close(w);
    assert_int_equal(world_records(w), 1);
}

/* -- identity ---------------------------------------------------------------------------------- */

/* The name reaches another store: what is not found there proves nothing about the first. */
static void identity__that_changed_concludes_nothing(void **state)
{
    struct world *w = *state;
    hf_instance *in = NULL;
    hf_tx *tx;

    fake_offer(B, 1u << FAKE_IDENTITY | 1u << FAKE_PROBE);
    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XAER_RMFAIL);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    fake_identity(B, 2);
    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 1);
    assert_null(strstr(world_trace(), "b.commit"));
    assert_null(strstr(world_trace(), "b.probe"));
    t_rc(HF_EIDENTITY, hf_instance_open(w->rm[B], &in));
    world_close(w);
    assert_int_equal(world_records(w), 1);

    world_start(w, 2); /* a new opening binds the name to the new store: another id */
    assert_int_equal(fake_in_doubt(B), 1);
    assert_int_equal(world_stats(w).owed, 1);
    assert_int_equal(world_stats(w).alarms, 1); /* which it says */
    world_close(w);
    assert_int_equal(world_records(w), 1);

    fake_identity(B, 1);
    world_start(w, 2); /* and when it is back, it is paid */
    assert_int_equal(fake_in_doubt(B), 0);
    assert_int_equal(world_stats(w).alarms, 0);
    assert_int_equal(fake_committed(B), 1);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* -- twice is once ----------------------------------------------------------------------------- */

static void recovery__twice_is_the_same_as_once(void **state)
{
    struct world *w = *state;
    hf_tm_stats one, two;
    XID x;

    world_start(w, 2);
    x = like_ours(w, A);
    x = world_xid(&x, 0, 1000);
    fake_put(A, &x);
    t_ok(hf_tm_recover(w->tm, NULL));
    one = world_stats(w);
    assert_int_equal(one.recovered_rolledback, 1);
    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(strlen(world_trace()),
                     strlen("a.open a.recover a.close b.open b.recover b.close"));
    two = world_stats(w);
    assert_int_equal(two.recovered_rolledback, 1);
    assert_int_equal(two.passes, one.passes + 1);
}

static void recover__of_one_reaches_only_that_one(void **state)
{
    struct world *w = *state;
    XID x, y;

    world_start(w, 2);
    x = like_ours(w, A);
    y = like_ours(w, B);
    x = world_xid(&x, 0, 1000);
    y = world_xid(&y, 0, 1000);
    fake_put(A, &x);
    fake_put(B, &y);
    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, w->rm[B]));
    assert_null(strstr(world_trace(), "a."));
    assert_int_equal(fake_state(A, &x), FAKE_PREPARED);
    assert_int_equal(fake_state(B, &y), FAKE_ABSENT);
}

/* One that cannot be reached keeps nobody else waiting. */
static void unreachable__does_not_stop_the_others(void **state)
{
    struct world *w = *state;
    XID y;

    world_start(w, 2);
    y = like_ours(w, B);
    y = world_xid(&y, 0, 1000);
    fake_put(B, &y);
    fake_answer(A, FAKE_OPEN, XAER_RMERR);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_state(B, &y), FAKE_ABSENT);
    assert_non_null(strstr(w->told, "a"));
}

/* A tick that is due runs a pass; one that is not says when the next one is. */
static void tick__runs_a_pass_when_one_is_due(void **state)
{
    struct world *w = *state;
    uint64_t passes;
    uint32_t next = 0;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_RETRY);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    passes = world_stats(w).passes;
    for (int i = 0; i < 1500 && fake_in_doubt(B) > 0; i++) { /* bound: 15 s, and then it fails */
        t_ok(hf_tm_tick(w->tm, &next));
        usleep(10000);
    }
    assert_int_equal(fake_in_doubt(B), 0);
    assert_true(world_stats(w).passes > passes);
    t_ok(hf_tm_tick(w->tm, &next));
    assert_true(next > 0);
}

static void ask_to_recover(void *arg)
{
    struct world *w = arg;
    hf_inspect *in = NULL;
    uint64_t number = 0;

    fake_child_pause(); /* until the node is open */
    must_ok(hf_inspect_open(w->node, &in));
    must_ok(hf_inspect_ask(in, HF_REQUEST_RECOVER, "a test", &number));
    must(number > 0);
    hf_inspect_close(in);
}

/* An operator in another process asks; the next tick but one second does it. */
static void tick__does_what_an_operator_asks_for(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(ask_to_recover, w);
    uint64_t passes;
    uint32_t next;

    world_start(w, 2);
    t_ok(hf_tm_tick(w->tm, NULL));
    passes = world_stats(w).passes;
    assert_int_equal(fake_child_end(child), 0);
    for (int i = 0; i < 6000 && world_stats(w).passes == passes; i++) { /* bound: a minute */
        t_ok(hf_tm_tick(w->tm, &next));
        usleep(10000);
    }
    assert_true(world_stats(w).passes > passes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(foreign__is_left_alone),
        T(branch__of_another_resource_manager_of_ours_is_left_to_it),
        T(living_process__keeps_its_branches),
        T(living_process__that_was_fenced_cannot_commit),
        T(dead_process__is_fenced_and_rolled_back_by_one_that_lives),
#ifdef HF_FAULTS
        T(dead_process__that_had_decided_is_committed),
        T(unlisted_branch__raises_an_alarm_and_is_left_alone),
#endif
        T(own_running__is_left_alone),
        T(incarnation_above_the_highest__stops_rolling_back_for_good),
        T(nonce__of_another_life_stops_rolling_back_for_good),
        T(sequence_above_our_last__stops_rolling_back),
        T(scan__of_any_length_is_read_to_its_end),
        T(scan__that_fails_concludes_nothing),
        T(scan__that_fails_releases_no_record),
        T(rollback_in_recovery__that_fails_is_tried_again),
        T(heuristic__found_by_recovery_is_recorded_and_forgotten),
        T(identity__that_changed_concludes_nothing),
        T(recovery__twice_is_the_same_as_once),
        T(recover__of_one_reaches_only_that_one),
        T(unreachable__does_not_stop_the_others),
        T(tick__runs_a_pass_when_one_is_due),
        T(tick__does_what_an_operator_asks_for),
    };

    return cmocka_run_group_tests_name("tm.recovery", tests, NULL, NULL);
}
