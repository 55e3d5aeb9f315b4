/*
 * What: which finished transactions the history keeps, what it tells of them, and what that costs
 *       a commit; unconfirmed commits that move to it (holdfast/tm.h, holdfast/inspect.h).
 * How:  four scripted resource managers; the history is read through hf_inspect, after the close.
 */
#include "support/fake_rm.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "holdfast/inspect.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

enum { SEEN_MAX = 5000, EVENTS_MAX = 20, SPANS_MAX = 8 };

struct seen {
    unsigned count;
    struct {
        hf_inspect_tx tx;
        hf_inspect_branch branches[4];
        hf_inspect_span spans[SPANS_MAX];
        hf_inspect_event events[SPANS_MAX][EVENTS_MAX];
    } last; /* the last one, copied */
};

static int see(void *user, const hf_inspect_tx *tx)
{
    struct seen *s = user;

    s->count++;
    s->last.tx = *tx;
    assert_in_range(tx->branch_count, 0, 4);
    memcpy(s->last.branches, tx->branches, tx->branch_count * sizeof(*tx->branches));
    for (uint32_t i = 0; i < tx->span_count; i++) {
        assert_in_range(tx->spans[i].event_count, 0, EVENTS_MAX);
        s->last.spans[i] = tx->spans[i];
        memcpy(s->last.events[i], tx->spans[i].events,
               tx->spans[i].event_count * sizeof(hf_inspect_event));
    }
    return 0;
}

/* The node must not be open in this process. */
static void read_history(struct world *w, struct seen *ret)
{
    hf_inspect *in = NULL;

    memset(ret, 0, sizeof(*ret));
    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_verify(in));
    t_ok(hf_inspect_history(in, see, ret));
    hf_inspect_close(in);
}

static void start_with(struct world *w, int count, hf_tm_config config)
{
    config.dir = w->node;
    t_ok(hf_tm_open(&config, &w->tm));
    world_register(w, count);
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, count);
    world_trace_clear();
}

/* The calls of a span in one line, "a.prepare=0 log.decide=0". */
static const char *calls_of(const struct seen *s, unsigned span)
{
    static const char *const names[] = {"?",        "start",  "end",   "prepare", "commit", "one",
                                        "rollback", "forget", "probe", "decide",  "record"};
    static char text[2048];
    size_t n = 0;

    text[0] = '\0';
    assert_true(span < s->last.tx.span_count);
    for (uint32_t i = 0; i < s->last.spans[span].event_count; i++) {
        const hf_inspect_event *e = &s->last.events[span][i];

        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s.%s=%d", i > 0 ? " " : "",
                              e->number == 0          ? "log"
                              : e->rm_name[0] != '\0' ? e->rm_name
                                                      : "?",
                              names[e->call], (int)e->code);
    }
    return text;
}

static int commit_two(struct world *w, XID *ret_xid)
{
    hf_tx *tx;

    world_begin(w, 2, &tx);
    if (ret_xid != NULL)
        t_ok(hf_tx_xid(tx, ret_xid));
    return hf_tx_commit(tx, NULL);
}

/* -- what is kept ------------------------------------------------------------------------------ */

static void commit__that_went_well_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct seen s;
    hf_tx *tx;

    world_start(w, 2);
    t_ok(commit_two(w, NULL));
    world_begin(w, 2, &tx);
    t_ok(hf_tx_rollback(tx, NULL)); /* its owner wished so */
    t_ok(hf_tm_tick(w->tm, NULL));
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count, 0);
}

static void failed__is_kept_with_its_calls_and_its_cause(void **state)
{
    struct world *w = *state;
    struct seen s;
    XID xid;

    fake_offer(B, 1u << FAKE_ERROR);
    fake_error(B, 1213, "deadlock found");
    world_start(w, 2);
    fake_answer_once(B, FAKE_PREPARE, 1, XA_RBDEADLOCK);
    t_rc(HF_EROLLEDBACK, commit_two(w, &xid));
    assert_int_equal(world_outcome(w, &xid), HF_ROLLEDBACK); /* before it is written */
    t_ok(hf_tm_tick(w->tm, NULL));
    assert_int_equal(world_outcome(w, &xid), HF_ROLLEDBACK);
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count, 1);
    assert_memory_equal(&s.last.tx.xid, &xid, sizeof(xid));
    assert_int_equal(s.last.tx.outcome, HF_ROLLEDBACK);
    assert_int_equal(s.last.tx.by_recovery, 0);
    assert_int_equal(s.last.tx.open, 0);
    assert_int_equal(s.last.tx.span_count, 1);
    assert_int_equal(s.last.spans[0].kept, HF_KEPT_FAILED);
    assert_int_equal(s.last.spans[0].by_recovery, 0);
    assert_int_equal(s.last.spans[0].incarnation, 1);
    assert_int_equal(s.last.spans[0].lost, 0);
    assert_string_equal(s.last.spans[0].rm, "b");
    assert_string_equal(s.last.spans[0].call, "xa_prepare");
    assert_string_equal(s.last.spans[0].text, "deadlock found");
    assert_string_equal(calls_of(&s, 0), "a.start=0 b.start=0 a.end=0 b.end=0 a.prepare=0 "
                                         "b.prepare=102 a.rollback=0");
    world_start(w, 2);
    assert_int_equal(world_outcome(w, &xid), HF_ROLLEDBACK); /* after a restart, too */
}

static void sleep_in_prepare(void *user, int rm, enum fake_call call)
{
    const struct timespec t = {.tv_nsec = 600000000};

    (void)user;
    if (rm == B && call == FAKE_PREPARE)
        (void)nanosleep(&t, NULL);
}

static void slow__is_kept_and_says_which_call_was(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    const hf_inspect_span *span;
    struct seen s;

    config.slow_ms = 500; /* no other call takes that long, however busy the machine is */
    start_with(w, 2, config);
    t_ok(commit_two(w, NULL));
    fake_on_call(sleep_in_prepare, NULL);
    t_ok(commit_two(w, NULL));
    fake_on_call(NULL, NULL);
    world_close(w);
    read_history(w, &s);
    assert_in_range(s.count, 1, 2); /* the first may have been slow on a slow disk */
    span = &s.last.spans[0];
    assert_int_equal(span->kept, HF_KEPT_SLOW);
    assert_int_equal(s.last.tx.outcome, HF_COMMITTED);
    assert_string_equal(span->call, "");
    assert_string_equal(calls_of(&s, 0),
                        "a.start=0 b.start=0 a.end=0 b.end=0 a.prepare=0 b.prepare=0 log.decide=0 "
                        "a.commit=0 b.commit=0");
    assert_true(span->took_us >= 600000);
    for (uint32_t i = 0; i < span->event_count; i++) {
        const hf_inspect_event *e = &s.last.events[0][i];

        assert_true(i == 0 || e->at_us >= s.last.events[0][i - 1].at_us);
        assert_true(e->at_us + e->took_us <= span->took_us);
        if (e->call == HF_CALL_PREPARE)
            assert_int_equal(e->took_us >= 500000, e->number == 2);
    }
}

/* Its vote is fetched when the synchronous one is in: two calls side by side, as they began. */
static void asynchronous__is_one_event_until_its_answer(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    const hf_inspect_event *a, *b;
    struct seen s;

    config.history = 1;
    fake_async(A, true);
    start_with(w, 2, config);
    for (unsigned i = 1; i <= 10; i++)
        fake_answer_once(A, FAKE_COMPLETE, i, XA_RETRY); /* a millisecond for each */
    t_ok(commit_two(w, NULL));
    world_close(w);
    read_history(w, &s);
    assert_string_equal(calls_of(&s, 0),
                        "a.start=0 b.start=0 a.end=0 b.end=0 a.prepare=0 b.prepare=0 log.decide=0 "
                        "a.commit=0 b.commit=0");
    a = &s.last.events[0][4];
    b = a + 1;
    assert_true(a->took_us >= 8000);
    assert_true(a->at_us + a->took_us >= b->at_us + b->took_us);
}

static void asynchronous__answer_is_the_one_that_counts(void **state)
{
    struct world *w = *state;
    struct seen s;

    fake_async(A, true);
    fake_async(B, true);
    world_start(w, 2);
    fake_answer_effect(A, FAKE_PREPARE, 1, XAER_ASYNC, FAKE_AT_ONCE); /* not now: called again */
    fake_answer_once(B, FAKE_COMPLETE, 1, XAER_RMERR);                /* nothing is known of it */
    t_rc(HF_EROLLEDBACK, commit_two(w, NULL));
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.last.tx.outcome, HF_ROLLEDBACK);
    assert_string_equal(s.last.spans[0].call, "xa_complete");
    assert_non_null(strstr(calls_of(&s, 0), "b.end=0 a.prepare=0 b.prepare=-7 a.rollback=0"));
}

static void heuristic__is_kept_and_stays_open_while_the_log_has_it(void **state)
{
    struct world *w = *state;
    struct seen s;

    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURRB);
    t_rc(HF_EHEURISTIC, commit_two(w, NULL));
    world_close(w);
    assert_int_equal(world_records(w), 1);
    read_history(w, &s);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.last.tx.outcome, HF_MIXED);
    assert_int_equal(s.last.tx.open, 1);
    assert_int_equal(s.last.spans[0].kept, HF_KEPT_FAILED | HF_KEPT_HEURISTIC);
    assert_string_equal(calls_of(&s, 0),
                        "a.start=0 b.start=0 a.end=0 b.end=0 a.prepare=0 b.prepare=0 log.decide=0 "
                        "a.commit=0 b.commit=6 log.record=0 b.forget=0");
}

static void all__keeps_every_one(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    struct seen s;
    hf_tx *tx;

    config.history = 1;
    start_with(w, 1, config);
    for (int i = 0; i < 10; i++) {
        world_begin(w, i % 2, &tx);
        if (i < 5)
            t_ok(hf_tx_commit(tx, NULL));
        else
            t_ok(hf_tx_rollback(tx, NULL));
    }
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count, 10);
    assert_int_equal(s.last.spans[0].kept & HF_KEPT_ALL, HF_KEPT_ALL);
    assert_string_equal(calls_of(&s, 0), "a.start=0 a.end=0 a.rollback=0");
}

static void none__keeps_nothing(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_outcome outcome;
    struct seen s;
    XID xid;

    config.history = 2;
    start_with(w, 2, config);
    fake_answer_once(B, FAKE_PREPARE, 1, XA_RBROLLBACK);
    t_rc(HF_EROLLEDBACK, commit_two(w, &xid));
    t_rc(HF_ENOTFOUND, hf_tm_outcome(w->tm, &xid, &outcome));
    fake_answer_once(B, FAKE_COMMIT, 1, XA_RETRY);
    t_ok(commit_two(w, NULL));
    t_ok(hf_tm_recover(w->tm, NULL));
    world_close(w);
    assert_int_equal(world_records(w), 0);
    read_history(w, &s);
    assert_int_equal(s.count, 0);
    config.history = 3;
    config.dir = w->node;
    t_rc(HF_EINVAL, hf_tm_open(&config, &w->tm));
}

static void calls__that_do_not_fit_are_counted(void **state)
{
    struct world *w = *state;
    struct seen s;
    hf_tx *tx;

    world_start(w, 4);
    world_begin(w, 4, &tx);
    for (int i = 0; i < 25; i++) { /* xa_start is refused, each time as another branch */
        hf_instance *more;

        t_ok(hf_instance_open(w->rm[A], &more));
        fake_answer_once(A, FAKE_START, 1, XAER_RMERR);
        t_rc(HF_ERM, hf_tx_enlist(tx, more));
        t_ok(hf_instance_close(more));
    }
    fake_answer_once(D, FAKE_PREPARE, 1, XA_RBOTHER);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.last.spans[0].event_count, EVENTS_MAX);
    /* 4 starts, 25 refused, 4 ends, 4 prepares, 3 rollbacks */
    assert_int_equal(s.last.spans[0].lost, 4 + 25 + 4 + 4 + 3 - EVENTS_MAX);
    assert_string_equal(s.last.spans[0].rm, "d"); /* the cause is known all the same */
    assert_string_equal(s.last.spans[0].call, "xa_prepare");
}

/* -- what it costs ----------------------------------------------------------------------------- */

#ifdef HF_FAULTS
/* Of the decision log and of the history. */
static unsigned long log_commits(void)
{
    return hf__fault_hits("store:after-commit");
}

static void history__is_written_by_the_tick_in_one_batch(void **state)
{
    struct world *w = *state;
    unsigned long before;
    struct seen s;

    world_start(w, 2);
    t_ok(commit_two(w, NULL));
    t_ok(hf_tm_tick(w->tm, NULL));
    before = log_commits();
    for (int i = 0; i < 100; i++) {
        fake_answer_once(A, FAKE_PREPARE, 1, XA_RBROLLBACK);
        t_rc(HF_EROLLEDBACK, commit_two(w, NULL));
    }
    assert_int_equal(log_commits(), before); /* rolled back: nothing on the disk */
    t_ok(hf_tm_tick(w->tm, NULL));
    assert_int_equal(log_commits(), before + 1);
    t_ok(hf_tm_tick(w->tm, NULL));
    assert_int_equal(log_commits(), before + 1);
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count, 100);
}

/* A history that cannot be written takes nothing away from transactions. */
static void history__that_fails_is_counted_and_nothing_else(void **state)
{
    struct world *w = *state;
    struct seen s;

    world_start(w, 2);
    fake_answer_once(A, FAKE_PREPARE, 1, XA_RBROLLBACK);
    t_rc(HF_EROLLEDBACK, commit_two(w, NULL));
    fault_at("store:commit-fails", "fail", 1);
    t_ok(hf_tm_tick(w->tm, NULL));
    (void)hf__fault_set(NULL);
    assert_int_equal(world_stats(w).history_dropped, 1);
    t_ok(commit_two(w, NULL));
    t_ok(hf_tm_tick(w->tm, NULL));
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count, 0);
}
#endif

static void history__drops_and_counts_what_is_too_much_at_once(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    uint64_t dropped;
    struct seen s;
    hf_tx *tx;

    config.history = 1;
    config.history_max = 50000;
    start_with(w, 0, config);
    for (int i = 0; i < 20000; i++) { /* no tick comes between */
        world_begin(w, 0, &tx);
        t_ok(hf_tx_rollback(tx, NULL));
    }
    dropped = world_stats(w).history_dropped;
    assert_in_range(dropped, 1, 19999);
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count + dropped, 20000);
}

static void history_max__is_kept(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    struct seen s;
    hf_tx *tx;

    config.history = 1;
    config.history_max = 7;
    start_with(w, 0, config);
    for (int i = 0; i < 20; i++) {
        world_begin(w, 0, &tx);
        t_ok(hf_tx_rollback(tx, NULL));
    }
    world_close(w);
    read_history(w, &s);
    assert_int_equal(s.count, 7);
}

/* -- recovery ---------------------------------------------------------------------------------- */

static void owed__is_told_by_its_owner_and_by_recovery(void **state)
{
    struct world *w = *state;
    struct seen s;

    world_start(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_RETRY);
    t_ok(commit_two(w, NULL));
    t_ok(hf_tm_recover(w->tm, NULL)); /* tells its part first: the owner's waits for the tick */
    world_close(w);
    assert_int_equal(world_records(w), 0);
    read_history(w, &s);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.last.tx.outcome, HF_COMMITTED);
    assert_int_equal(s.last.tx.by_recovery, 1);
    assert_int_equal(s.last.tx.open, 0);
    assert_int_equal(s.last.tx.span_count, 2);
    assert_int_equal(s.last.spans[0].kept, HF_KEPT_FAILED);
    assert_int_equal(s.last.spans[0].by_recovery, 0);
    assert_string_equal(s.last.spans[0].call, "xa_commit");
    assert_string_equal(calls_of(&s, 0),
                        "a.start=0 b.start=0 a.end=0 b.end=0 a.prepare=0 b.prepare=0 log.decide=0 "
                        "a.commit=0 b.commit=4 log.record=0");
    assert_int_equal(s.last.spans[1].by_recovery, 1);
    assert_int_equal(s.last.spans[1].kept, HF_KEPT_RECOVERED);
    assert_string_equal(calls_of(&s, 1), "b.commit=0");
}

#ifdef HF_FAULTS
struct victim {
    struct world *w;
    const char *at;
};

static void die_committing(void *arg)
{
    struct victim *v = arg;
    hf_tx *tx;

    world_start(v->w, 2);
    world_begin(v->w, 2, &tx);
    fault_at(v->at, "kill", 1);
    must_ok(hf_tx_commit(tx, NULL));
    must(0);
}

static void die_recovering(void *arg)
{
    struct world *w = arg;

    fault_at("recovery:remembered", "kill", 1);
    world_start(w, 2);
    must(0);
}

static void killed__is_told_by_the_recovery_that_finished_it(void **state)
{
    static const struct {
        const char *at, *calls;
        hf_outcome outcome;
    } rows[] = {
        {"log:decided", "a.commit=0 b.commit=0", HF_COMMITTED},
        {"log:voted", "b.rollback=0 a.rollback=0", HF_ROLLEDBACK},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_again(state);
        struct victim v = {w, rows[i].at};
        struct seen s;

        assert_int_equal(WTERMSIG(fake_child(die_committing, &v)), SIGKILL);
        world_start(w, 2);
        world_close(w);
        read_history(w, &s);
        assert_int_equal(s.count, 1);
        assert_int_equal(s.last.tx.outcome, rows[i].outcome);
        assert_int_equal(s.last.tx.span_count, 1);
        assert_int_equal(s.last.spans[0].by_recovery, 1);
        assert_int_equal(s.last.spans[0].incarnation, 2);
        assert_int_equal(s.last.spans[0].kept, HF_KEPT_RECOVERED);
        assert_string_equal(calls_of(&s, 0), rows[i].calls);
    }
}

/* History first, then the release, a batch at a time: killed between them, nothing is lost and
   nothing is told twice. */
static void killed_recovery__is_told_once(void **state)
{
    struct world *w = *state;
    struct victim v = {w, "log:decided"};
    struct seen s;

    assert_int_equal(WTERMSIG(fake_child(die_committing, &v)), SIGKILL);
    assert_int_equal(WTERMSIG(fake_child(die_recovering, w)), SIGKILL);
    assert_int_equal(world_records(w), 1);
    read_history(w, &s);
    assert_int_equal(s.count, 1);
    fake_offer(A, 1u << FAKE_PROBE); /* how else would it be known that both committed? */
    fake_offer(B, 1u << FAKE_PROBE);
    world_start(w, 2);
    world_close(w);
    assert_int_equal(world_records(w), 0);
    read_history(w, &s);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.last.tx.span_count, 1);
    assert_int_equal(s.last.spans[0].incarnation, 2);
}
#endif

/* -- unconfirmed ------------------------------------------------------------------------------- */

static void leave_unconfirmed(struct world *w, hf_tm_config config, XID *ret_xid)
{
    start_with(w, 2, config);
    fake_answer_effect(B, FAKE_COMMIT, 1, XAER_NOTA, FAKE_GONE);
    t_ok(commit_two(w, ret_xid));
}

static void unconfirmed__moves_to_the_history_when_its_time_is_over(void **state)
{
    const struct timespec pause = {.tv_nsec = 3000000};
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    struct seen s;
    XID xid;

    config.unconfirmed_ms = 1;
    leave_unconfirmed(w, config, &xid);
    (void)nanosleep(&pause, NULL);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).unconfirmed, 0);
    assert_int_equal(world_stats(w).owed, 0);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    world_close(w);
    assert_int_equal(world_records(w), 0);
    read_history(w, &s);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.last.tx.outcome, HF_COMMITTED);
    assert_int_equal(s.last.tx.branch_count, 2);
    assert_int_equal(s.last.branches[0].state, HF_BRANCH_DONE);
    assert_int_equal(s.last.branches[1].state, HF_BRANCH_UNCONFIRMED);
    assert_int_equal(s.last.tx.span_count, 2);
    assert_int_equal(s.last.spans[1].kept, HF_KEPT_RECOVERED | HF_KEPT_UNCONFIRMED);
}

#ifdef HF_FAULTS
static void unconfirmed__stays_if_the_history_cannot_be_written(void **state)
{
    const struct timespec pause = {.tv_nsec = 3000000};
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    XID xid;

    config.unconfirmed_ms = 1;
    leave_unconfirmed(w, config, &xid);
    (void)nanosleep(&pause, NULL);
    fault_at("store:commit-fails", "fail", 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    (void)hf__fault_set(NULL);
    assert_int_equal(world_stats(w).unconfirmed, 1);
    world_close(w);
    assert_int_equal(world_records(w), 1);
}
#endif

static void unconfirmed__stays_until_then_or_while_nobody_could_ask(void **state)
{
    const struct timespec pause = {.tv_nsec = 3000000};
    static const struct {
        uint32_t ms, history;
        int scan;
    } rows[] = {
        {0, 0, XA_OK},       /* the preset is a day */
        {60000, 0, XA_OK},   /* not yet */
        {1, 0, XAER_RMFAIL}, /* b cannot be reached */
        {1, 2, XA_OK},       /* there is nowhere to move it to */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_again(state);
        hf_tm_config config = HF_TM_CONFIG_INIT;
        XID xid;

        config.unconfirmed_ms = rows[i].ms;
        config.history = rows[i].history;
        leave_unconfirmed(w, config, &xid);
        if (rows[i].scan != XA_OK)
            fake_answer(B, FAKE_RECOVER, rows[i].scan);
        (void)nanosleep(&pause, NULL);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(world_stats(w).unconfirmed, 1);
        world_close(w);
        assert_int_equal(world_records(w), 1);
    }
}

/* One that is still prepared is committed, whatever its record says and however old it is. */
static void unconfirmed__that_turns_up_is_committed(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    const struct timespec pause = {.tv_nsec = 3000000};
    XID xid;

    config.unconfirmed_ms = 1;
    start_with(w, 2, config);
    fake_answer_effect(B, FAKE_COMMIT, 1, XAER_NOTA, FAKE_STAYS);
    t_ok(commit_two(w, &xid));
    (void)nanosleep(&pause, NULL);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_committed(B), 1);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(commit__that_went_well_leaves_nothing),
        T(failed__is_kept_with_its_calls_and_its_cause),
        T(slow__is_kept_and_says_which_call_was),
        T(asynchronous__is_one_event_until_its_answer),
        T(asynchronous__answer_is_the_one_that_counts),
        T(heuristic__is_kept_and_stays_open_while_the_log_has_it),
        T(all__keeps_every_one),
        T(none__keeps_nothing),
        T(calls__that_do_not_fit_are_counted),
#ifdef HF_FAULTS
        T(history__is_written_by_the_tick_in_one_batch),
        T(history__that_fails_is_counted_and_nothing_else),
        T(killed__is_told_by_the_recovery_that_finished_it),
        T(killed_recovery__is_told_once),
        T(unconfirmed__stays_if_the_history_cannot_be_written),
#endif
        T(history__drops_and_counts_what_is_too_much_at_once),
        T(history_max__is_kept),
        T(owed__is_told_by_its_owner_and_by_recovery),
        T(unconfirmed__moves_to_the_history_when_its_time_is_over),
        T(unconfirmed__stays_until_then_or_while_nobody_could_ask),
        T(unconfirmed__that_turns_up_is_committed),
    };

    t_plant(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
