/*
 * What: hf_tx_commit when nobody decides alone: who is called, in which order, and what the result
 *       says (transaction.h; [XA] 2.3, decision tables of xa_end and xa_prepare).
 * How:  scripted resource managers and the log write one trace; each test compares all of it.
 */
#include "support/fake_rm.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static hf_result commit(hf_tx *tx, int want)
{
    hf_result r = HF_RESULT_INIT;

    t_rc(want, hf_tx_commit(tx, &r));
    return r;
}

static void expect_nothing_wrong(const hf_result *r)
{
    assert_int_equal(r->owed, 0);
    assert_int_equal(r->unconfirmed, 0);
    assert_int_equal(r->xa_code, XA_OK);
    assert_int_equal(r->native_code, 0);
    assert_string_equal(r->rm, "");
    assert_string_equal(r->call, "");
    assert_string_equal(r->text, "");
}

static unsigned long log_commits(void)
{
#ifdef HF_FAULTS
    return hf__fault_hits("store:before-commit");
#else
    return 0;
#endif
}

static void decision__is_durable_before_the_first_xa_commit(void **state)
{
    struct world *w = *state;
    hf_result r;
    hf_tx *tx;

    world_start(w, 3);
    world_begin(w, 3, &tx);
    r = commit(tx, HF_OK);
    assert_int_equal(r.outcome, HF_COMMITTED);
    expect_nothing_wrong(&r);
    world_expect("a.start b.start c.start a.end b.end c.end a.prepare b.prepare c.prepare" LOG
                 " a.commit b.commit c.commit");
    assert_int_equal(fake_committed(A) + fake_committed(B) + fake_committed(C), 3);
}

#ifdef HF_FAULTS
struct killed {
    struct world *w;
    const char *at;
};

static void commit_and_die(void *arg)
{
    struct killed *k = arg;
    hf_tx *tx = NULL;

    must_ok(world_try_open(k->w));
    world_register(k->w, 2);
    must_ok(hf_tm_start(k->w->tm, 0));
    world_instances(k->w, 2);
    must_ok(hf_tx_begin(k->w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, k->w->in[A]));
    must_ok(hf_tx_enlist(tx, k->w->in[B]));
    world_trace_clear();
    fault_at(k->at, "kill", 1);
    must(hf_tx_commit(tx, NULL) == HF_OK && k->at == NULL);
}

/* Read by another process after a kill -9: it was there before any branch was told. */
static void decision__is_read_back_after_a_kill_before_the_first_xa_commit(void **state)
{
    struct world *w = *state;
    struct killed k = {.w = w, .at = "log:decided"};
    XID xid;

    assert_int_not_equal(fake_child(commit_and_die, &k), 0);
    assert_string_equal(world_trace(), "a.end b.end a.prepare b.prepare");
    assert_int_equal(world_records(w), 1);
    xid = fake_last_xid(A);
    world_start(w, 2);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}

static void decision__is_not_written_before_the_last_vote(void **state)
{
    struct world *w = *state;
    struct killed k = {.w = w, .at = "log:voted"};

    assert_int_not_equal(fake_child(commit_and_die, &k), 0);
    assert_string_equal(world_trace(), "a.end b.end a.prepare b.prepare");
    assert_int_equal(world_records(w), 0);
    world_start(w, 2);
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), 2);
}
#endif

static void one_branch__commits_in_one_phase_and_writes_nothing(void **state)
{
    struct world *w = *state;
    unsigned long before;
    hf_result r;
    hf_tx *tx;

    world_start(w, 1);
    before = log_commits();
    world_begin(w, 1, &tx);
    r = commit(tx, HF_OK);
    assert_int_equal(r.outcome, HF_COMMITTED);
    expect_nothing_wrong(&r);
    world_expect("a.start a.end a.commit(one)");
    assert_int_equal(log_commits(), before);
    assert_int_equal(fake_committed(A), 1);
}

static void no_branch__commits_without_a_call(void **state)
{
    struct world *w = *state;
    unsigned long before;
    hf_result r;
    hf_tx *tx;

    world_start(w, 1);
    before = log_commits();
    world_begin(w, 0, &tx);
    r = commit(tx, HF_OK);
    assert_int_equal(r.outcome, HF_COMMITTED);
    expect_nothing_wrong(&r);
    world_expect("");
    assert_int_equal(log_commits(), before);
}

static void read_only_branch__takes_no_part_in_phase_two(void **state)
{
    struct world *w = *state;
    hf_result r;
    hf_tx *tx;

    world_start(w, 3);
    fake_answer(B, FAKE_PREPARE, XA_RDONLY);
    world_begin(w, 3, &tx);
    world_trace_clear();
    r = commit(tx, HF_OK);
    assert_int_equal(r.outcome, HF_COMMITTED);
    expect_nothing_wrong(&r);
    world_expect("a.end b.end c.end a.prepare b.prepare c.prepare" LOG " a.commit c.commit");
}

static void all_read_only__writes_nothing_to_the_log(void **state)
{
    struct world *w = *state;
    unsigned long before;
    hf_result r;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer(A, FAKE_PREPARE, XA_RDONLY);
    fake_answer(B, FAKE_PREPARE, XA_RDONLY);
    before = log_commits();
    world_begin(w, 2, &tx);
    world_trace_clear();
    r = commit(tx, HF_OK);
    assert_int_equal(r.outcome, HF_COMMITTED);
    expect_nothing_wrong(&r);
    world_expect("a.end b.end a.prepare b.prepare");
    assert_int_equal(log_commits(), before);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* One that voted read-only is gone: it is not rolled back with the others. */
static void vote_no__rolls_back_those_that_voted_yes_and_those_not_asked(void **state)
{
    static const int noes[] = {XA_RBROLLBACK, XA_RBDEADLOCK, XA_RBEND};
    struct world *w = *state;
    hf_result r;
    hf_tx *tx;

    world_start(w, 4);
    for (size_t i = 0; i < sizeof(noes) / sizeof(noes[0]); i++) {
        fake_answer(B, FAKE_PREPARE, XA_RDONLY);
        fake_answer(C, FAKE_PREPARE, noes[i]);
        world_begin(w, 4, &tx);
        world_trace_clear();
        r = commit(tx, HF_EROLLEDBACK);
        assert_int_equal(r.outcome, HF_ROLLEDBACK);
        assert_int_equal(r.xa_code, noes[i]);
        assert_string_equal(r.rm, "c");
        assert_string_equal(r.call, "xa_prepare");
        assert_string_not_equal(r.text, "");
        assert_int_equal(r.owed, 0);
        world_expect("a.end b.end c.end d.end a.prepare b.prepare c.prepare a.rollback d.rollback");
    }
    assert_int_equal(fake_rolled_back(A), 3);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(D), 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* The decision table of xa_prepare: which answers leave something to roll back. */
static void vote_lost__is_a_no(void **state)
{
    static const struct {
        int code;
        const char *then;
        bool broken;
    } rows[] = {
        {XAER_NOTA, "a.rollback", false},
        {XAER_RMERR, "a.rollback b.rollback", false},
        {XAER_PROTO, "a.rollback b.rollback", true},
        {XAER_INVAL, "a.rollback b.rollback", true},
        {XAER_RMFAIL, "a.rollback", true},
    };
    struct world *w = *state;
    char want[128];
    hf_result r;
    hf_tx *tx;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        world_start(w, 2);
        fake_answer_once(B, FAKE_PREPARE, 1, rows[i].code);
        world_begin(w, 2, &tx);
        world_trace_clear();
        r = commit(tx, HF_EROLLEDBACK);
        assert_int_equal(r.outcome, HF_ROLLEDBACK);
        assert_int_equal(r.xa_code, rows[i].code);
        assert_string_equal(r.rm, "b");
        assert_string_equal(r.call, "xa_prepare");
        snprintf(want, sizeof(want), "a.end b.end a.prepare b.prepare %s", rows[i].then);
        world_expect(want);
        assert_int_equal(hf_instance_broken(w->in[A]), 0);
        assert_int_equal(hf_instance_broken(w->in[B]), rows[i].broken);
        world_close(w);
        assert_int_equal(world_records(w), 0);
    }
}

/* A vote that was lost on its way is found by recovery's scan, and rolled back: presumed abort. */
static void vote_lost__after_it_was_prepared_is_rolled_back_by_recovery(void **state)
{
    struct world *w = *state;
    hf_result r;
    hf_tx *tx;

    world_start(w, 2);
    fake_answer_effect(B, FAKE_PREPARE, 1, XAER_RMFAIL, FAKE_DONE);
    world_begin(w, 2, &tx);
    r = commit(tx, HF_EROLLEDBACK);
    assert_int_equal(r.outcome, HF_ROLLEDBACK);
    assert_int_equal(r.owed, 1);
    assert_int_equal(fake_in_doubt(B), 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_in_doubt(B), 0);
    assert_int_equal(fake_rolled_back(B), 1);
}

static void end_refused__rolls_everything_back(void **state)
{
    static const struct {
        int code;
        const char *then;
        bool broken;
    } rows[] = {
        {XA_RBROLLBACK, "a.end b.end c.end(fail) a.rollback b.rollback c.rollback", false},
        {XA_RBTIMEOUT, "a.end b.end c.end(fail) a.rollback b.rollback c.rollback", false},
        {XAER_RMERR, "a.end b.end c.end(fail) a.rollback b.rollback c.rollback", false},
        {XAER_PROTO, "a.end b.end c.end(fail) a.rollback b.rollback c.rollback", true},
        {XAER_RMFAIL, "a.end b.end c.end(fail) a.rollback c.rollback", true},
    };
    struct world *w = *state;
    hf_result r;
    hf_tx *tx;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        world_start(w, 3);
        fake_answer_once(B, FAKE_END, 1, rows[i].code);
        world_begin(w, 3, &tx);
        world_trace_clear();
        r = commit(tx, HF_EROLLEDBACK);
        assert_int_equal(r.outcome, HF_ROLLEDBACK);
        assert_int_equal(r.xa_code, rows[i].code);
        assert_string_equal(r.rm, "b");
        assert_string_equal(r.call, "xa_end");
        world_expect(rows[i].then);
        assert_int_equal(hf_instance_broken(w->in[B]), rows[i].broken);
        world_close(w);
    }
}

static void one_phase__tells_what_the_branch_answered(void **state)
{
    static const struct {
        int code, rc;
        hf_outcome outcome;
    } rows[] = {
        {XA_RBDEADLOCK, HF_EROLLEDBACK, HF_ROLLEDBACK}, {XA_RBEND, HF_EROLLEDBACK, HF_ROLLEDBACK},
        {XAER_RMERR, HF_EROLLEDBACK, HF_ROLLEDBACK},    {XAER_NOTA, HF_EROLLEDBACK, HF_ROLLEDBACK},
        {XA_HEURRB, HF_EROLLEDBACK, HF_ROLLEDBACK},     {XA_HEURCOM, HF_OK, HF_COMMITTED},
        {XA_HEURMIX, HF_EHEURISTIC, HF_MIXED},          {XA_HEURHAZ, HF_EHEURISTIC, HF_HAZARD},
        {XAER_RMFAIL, HF_EHEURISTIC, HF_HAZARD},
    };
    struct world *w = *state;
    hf_result r;
    hf_tx *tx;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        world_start(w, 1);
        fake_answer_once(A, FAKE_COMMIT, 1, rows[i].code);
        world_begin(w, 1, &tx);
        r = commit(tx, rows[i].rc);
        if (r.outcome != rows[i].outcome)
            fail_msg("xa_commit(TMONEPHASE) %d: outcome %s, wanted %s", rows[i].code,
                     hf_outcome_name((int)r.outcome), hf_outcome_name((int)rows[i].outcome));
        assert_int_equal(r.xa_code, rows[i].code);
        assert_string_equal(r.rm, "a");
        assert_string_equal(r.call, "xa_commit");
        assert_string_not_equal(r.text, "");
        assert_int_equal(fake_in_doubt(A), 0); /* a heuristic is forgotten */
        assert_int_equal(hf_instance_broken(w->in[A]), rows[i].code == XAER_RMFAIL);
        world_close(w);
    }
}

static void enlist__twice_is_one_branch(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 1);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_enlist(tx, w->in[A]));
    (void)commit(tx, HF_OK);
    world_expect("a.start a.end a.commit(one)");
}

/* Two instances of one resource manager are two branches, each with a qualifier of its own. */
static void two_instances__are_two_branches(void **state)
{
    struct world *w = *state;
    hf_instance *second = NULL;
    hf_tx *tx;
    XID first, other;

    world_start(w, 1);
    t_ok(hf_instance_open(w->rm[A], &second));
    assert_int_not_equal(hf_instance_rmid(second), hf_instance_rmid(w->in[A]));
    world_begin(w, 1, &tx);
    first = fake_last_xid(A);
    t_ok(hf_tx_enlist(tx, second));
    other = fake_last_xid(A);
    assert_memory_equal(first.data, other.data, 28);
    assert_memory_not_equal(first.data + 28, other.data + 28, 8);
    world_trace_clear();
    (void)commit(tx, HF_OK);
    world_expect("a.end a.end a.prepare a.prepare" LOG " a.commit a.commit");
    t_ok(hf_instance_close(second));
}

static void ranks__are_told_to_commit_lowest_first(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_open(w);
    for (int n = 0; n < 3; n++) {
        static const char *const names[] = {"a", "b", "c"};
        hf_rm_config config = HF_RM_CONFIG_INIT;

        config.name = names[n];
        config.xa = fake_switch(n);
        config.rank = 10 - n;
        t_ok(hf_rm_register(w->tm, &config, &w->rm[n]));
    }
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 3);
    world_begin(w, 3, &tx);
    world_trace_clear();
    (void)commit(tx, HF_OK);
    assert_non_null(strstr(world_trace(), "c.commit b.commit a.commit"));
}

static void xid__is_of_our_form_and_never_given_out_twice(void **state)
{
    struct world *w = *state;
    char text[HF_XID_TEXT_SIZE];
    XID first, second, parsed;
    hf_tx *tx;

    world_start(w, 1);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_xid(tx, &first));
    assert_int_equal(first.formatID, HF_XID_FORMAT);
    assert_int_equal(first.gtrid_length, 28);
    assert_int_equal(first.bqual_length, 0);
    assert_memory_equal(first.data, fake_last_xid(A).data, 28);
    t_ok(hf_xid_format(&first, text));
    t_ok(hf_xid_parse(text, &parsed));
    assert_memory_equal(&first, &parsed, sizeof(first));
    (void)commit(tx, HF_OK);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_xid(tx, &second));
    assert_memory_not_equal(first.data, second.data, 28);
    (void)commit(tx, HF_OK);
    world_close(w);
    world_start(w, 1);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_xid(tx, &second));
    assert_memory_not_equal(first.data + 16, second.data + 16, 4); /* another incarnation */
    (void)commit(tx, HF_OK);
}

static void instances__are_used_again_after_each_end(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 2);
    for (int i = 0; i < 3; i++) {
        world_begin(w, 2, &tx);
        (void)commit(tx, HF_OK);
        world_begin(w, 2, &tx);
        t_ok(hf_tx_rollback(tx, NULL));
        fake_answer_once(B, FAKE_PREPARE, 1, XA_RBOTHER);
        world_begin(w, 2, &tx);
        (void)commit(tx, HF_EROLLEDBACK);
        assert_int_equal(hf_instance_broken(w->in[A]) + hf_instance_broken(w->in[B]), 0);
    }
    assert_int_equal(fake_committed(A), 3);
    assert_int_equal(fake_rolled_back(A), 6);
}

/* The limit holds, the first thousand are not hurt by it, and all of them commit. */
static void branches__are_at_most_1000(void **state)
{
    static hf_instance *many[1001];
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 1);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    for (int i = 0; i < 1001; i++) {
        t_ok(hf_instance_open(w->rm[A], &many[i]));
        t_rc(i < 1000 ? HF_OK : HF_ELIMIT, hf_tx_enlist(tx, many[i]));
    }
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A), 1000);
    for (int i = 0; i < 1001; i++)
        t_ok(hf_instance_close(many[i]));
}

static void stats__count_what_happened(void **state)
{
    struct world *w = *state;
    hf_tm_stats s;
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    s = world_stats(w);
    assert_int_equal(s.incarnation, 1);
    assert_int_equal(s.active, 1);
    assert_int_equal(s.begun, 1);
    (void)commit(tx, HF_OK);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_rollback(tx, NULL));
    fake_answer_once(A, FAKE_PREPARE, 1, XA_RBOTHER);
    world_begin(w, 2, &tx);
    (void)commit(tx, HF_EROLLEDBACK);
    s = world_stats(w);
    assert_int_equal(s.active, 0);
    assert_int_equal(s.begun, 3);
    assert_int_equal(s.committed, 1);
    assert_int_equal(s.rolledback, 2);
    assert_int_equal(s.recovered_committed + s.recovered_rolledback, 0);
    assert_int_equal(s.owed + s.unconfirmed + s.alarms, 0);
    assert_true(s.passes >= 1);
}

static void token__is_read_after_a_yes_and_given_to_the_probe(void **state)
{
    struct world *w = *state;
    hf_tx *tx;
    hf_result r;

    fake_offer(A, 1u << FAKE_TOKEN | 1u << FAKE_PROBE);
    world_start(w, 2);
    fake_answer_effect(A, FAKE_COMMIT, 1, XAER_NOTA, FAKE_DONE);
    world_begin(w, 2, &tx);
    world_trace_clear();
    r = commit(tx, HF_OK);
    assert_int_equal(r.outcome, HF_COMMITTED);
    assert_int_equal(r.owed, 0);
    assert_non_null(strstr(world_trace(), "a.prepare a.token b.prepare" LOG " a.commit"));
    assert_non_null(strstr(world_trace(), "a.probe")); /* the fake checks the token */
}

/* No token, no proof later: but the vote was yes, and stands. */
static void token__that_cannot_be_had_spoils_nothing(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    fake_offer(A, 1u << FAKE_TOKEN);
    world_start(w, 2);
    fake_answer(A, FAKE_TOKEN, 1);
    world_begin(w, 2, &tx);
    assert_int_equal(commit(tx, HF_OK).outcome, HF_COMMITTED);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(decision__is_durable_before_the_first_xa_commit),
#ifdef HF_FAULTS
        T(decision__is_read_back_after_a_kill_before_the_first_xa_commit),
        T(decision__is_not_written_before_the_last_vote),
#endif
        T(one_branch__commits_in_one_phase_and_writes_nothing),
        T(no_branch__commits_without_a_call),
        T(read_only_branch__takes_no_part_in_phase_two),
        T(all_read_only__writes_nothing_to_the_log),
        T(vote_no__rolls_back_those_that_voted_yes_and_those_not_asked),
        T(vote_lost__is_a_no),
        T(vote_lost__after_it_was_prepared_is_rolled_back_by_recovery),
        T(end_refused__rolls_everything_back),
        T(one_phase__tells_what_the_branch_answered),
        T(enlist__twice_is_one_branch),
        T(two_instances__are_two_branches),
        T(ranks__are_told_to_commit_lowest_first),
        T(xid__is_of_our_form_and_never_given_out_twice),
        T(instances__are_used_again_after_each_end),
        T(branches__are_at_most_1000),
        T(stats__count_what_happened),
        T(token__is_read_after_a_yes_and_given_to_the_probe),
        T(token__that_cannot_be_had_spoils_nothing),
    };

    return cmocka_run_group_tests_name("tm.commit", tests, NULL, NULL);
}
