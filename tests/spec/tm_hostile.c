/*
 * What: resource managers and watchers that do what they must not, and numbers that are too large:
 *       nothing of it loses a branch, ends one otherwise than decided, or harms the others.
 * How:  each row of a table breaks one rule; honest again, two passes have to end everything alike
 *       everywhere, unless the caller was told of a heuristic.
 */
#include "support/fake_rm.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* -- codes that are not allowed there ---------------------------------------------------------- */

/* Those of xa.h, and some that nobody defined. */
static const int codes[] = {
    XA_OK,        XA_RDONLY,    XA_RETRY,   XA_HEURMIX,   XA_HEURRB,     XA_HEURCOM,
    XA_HEURHAZ,   XA_NOMIGRATE, XAER_ASYNC, XAER_RMERR,   XAER_NOTA,     XAER_INVAL,
    XAER_PROTO,   XAER_RMFAIL,  XAER_DUPID, XAER_OUTSIDE, XA_RBROLLBACK, XA_RBDEADLOCK,
    XA_RBEND + 1, 42,           -99,        65536,        INT_MAX,       INT_MIN,
};
enum { CODES = sizeof(codes) / sizeof(codes[0]) };

/* The calls, each in a transaction that comes to it, and what [XA] chapter 5 lets it answer. */
static const struct hostile {
    const char *name;
    enum fake_call call;
    int at;       /* the resource manager that answers so */
    int branches; /* of the transaction */
    int other;    /* what b answers before that: to xa_prepare, or to xa_commit */
    enum fake_call other_call;
    int allowed[12]; /* ends with XA_OK, which always is */
} calls[] = {
    {"xa_start",
     FAKE_START,
     B,
     2,
     XA_OK,
     FAKE_CALLS,
     {XA_RBROLLBACK, XA_RBDEADLOCK, XA_RETRY, XAER_ASYNC, XAER_RMERR, XAER_RMFAIL, XAER_DUPID,
      XAER_OUTSIDE, XAER_NOTA, XAER_INVAL, XAER_PROTO}},
    {"xa_end",
     FAKE_END,
     B,
     2,
     XA_OK,
     FAKE_CALLS,
     {XA_NOMIGRATE, XA_RBROLLBACK, XA_RBDEADLOCK, XAER_ASYNC, XAER_RMERR, XAER_RMFAIL, XAER_NOTA,
      XAER_INVAL, XAER_PROTO}},
    {"xa_prepare",
     FAKE_PREPARE,
     B,
     2,
     XA_OK,
     FAKE_CALLS,
     {XA_RDONLY, XA_RBROLLBACK, XA_RBDEADLOCK, XAER_ASYNC, XAER_RMERR, XAER_RMFAIL, XAER_NOTA,
      XAER_INVAL, XAER_PROTO}},
    {"xa_commit",
     FAKE_COMMIT,
     B,
     2,
     XA_OK,
     FAKE_CALLS,
     {XA_RETRY, XA_HEURMIX, XA_HEURRB, XA_HEURCOM, XA_HEURHAZ, XAER_ASYNC, XAER_RMERR, XAER_RMFAIL,
      XAER_NOTA, XAER_INVAL, XAER_PROTO}},
    {"xa_commit, one phase",
     FAKE_COMMIT,
     A,
     1,
     XA_OK,
     FAKE_CALLS,
     {XA_HEURMIX, XA_HEURRB, XA_HEURCOM, XA_HEURHAZ, XA_RBROLLBACK, XAER_ASYNC, XAER_RMERR,
      XAER_RMFAIL, XAER_NOTA, XAER_INVAL, XAER_PROTO}},
    {"xa_rollback",
     FAKE_ROLLBACK,
     A,
     2,
     XA_RBOTHER,
     FAKE_PREPARE,
     {XA_HEURMIX, XA_HEURRB, XA_HEURCOM, XA_HEURHAZ, XA_RBROLLBACK, XA_RBDEADLOCK, XAER_ASYNC,
      XAER_RMERR, XAER_RMFAIL, XAER_NOTA, XAER_INVAL}},
    {"xa_forget",
     FAKE_FORGET,
     B,
     2,
     XA_HEURRB,
     FAKE_COMMIT,
     {XAER_ASYNC, XAER_RMERR, XAER_RMFAIL, XAER_NOTA, XAER_INVAL, XAER_PROTO}},
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static bool is_allowed(const struct hostile *h, int code)
{
    if (code == XA_OK)
        return true;
    for (int i = 0; i < 12 && h->allowed[i] != XA_OK; i++)
        if (h->allowed[i] == code)
            return true;
    return false;
}

/* Begin and commit; what the caller is told. Refused work makes the host roll back. */
static int complete(struct world *w, int branches)
{
    hf_result r = HF_RESULT_INIT;
    bool refused = false;
    hf_tx *tx;
    int rc;

    t_ok(hf_tx_begin(w->tm, 0, &tx));
    for (int n = 0; n < branches && !refused; n++) {
        rc = hf_tx_enlist(tx, w->in[n]);
        refused = rc != HF_OK;
        if (refused)
            assert_int_equal(rc, HF_ERM);
    }
    rc = refused ? hf_tx_rollback(tx, &r) : hf_tx_commit(tx, &r);
    if (refused)
        assert_int_equal(rc == HF_OK ? HF_ROLLEDBACK : 0, r.outcome);
    return refused ? HF_EROLLEDBACK : rc;
}

static void expect_alike(struct world *w, const struct hostile *h, int code, int rc)
{
    unsigned committed = fake_committed(A) + fake_committed(B);
    unsigned want = rc == HF_OK ? (unsigned)h->branches : 0;

    if (fake_in_doubt(A) + fake_in_doubt(B) != 0 || world_stats(w).owed != 0)
        fail_msg("%s answered %d: %u and %u in doubt, %llu owed", h->name, code, fake_in_doubt(A),
                 fake_in_doubt(B), (unsigned long long)world_stats(w).owed);
    if (rc != HF_EHEURISTIC && committed != want)
        fail_msg("%s answered %d: the caller was told %d, and %u branches committed", h->name, code,
                 rc, committed);
    world_close(w);
    if (world_records(w) != (rc == HF_EHEURISTIC))
        fail_msg("%s answered %d: told %d, and the log has %u records", h->name, code, rc,
                 world_records(w));
}

static void disallowed_code__of_each_call_is_survived(void **state)
{
    unsigned cases = 0;

    for (int i = 0; i < CALLS * CODES; i++) {
        const struct hostile *h = &calls[i / CODES];
        int code = codes[i % CODES], rc;
        struct world *w;

        if (is_allowed(h, code))
            continue;
        w = world_again(state);
        fake_offer(A, 1u << FAKE_PROBE);
        fake_offer(B, 1u << FAKE_PROBE);
        world_start(w, 2);
        if (h->other_call != FAKE_CALLS)
            fake_answer_once(B, h->other_call, 1, h->other);
        /* It answers so and does nothing; what is not ended can only be rolled back (table 6-4). */
        fake_answer_effect(h->at, h->call, 1, code,
                           h->call == FAKE_END ? FAKE_BY_TABLE : FAKE_STAYS);
        rc = complete(w, h->branches);
        if (rc != HF_OK && rc != HF_EROLLEDBACK && rc != HF_EHEURISTIC)
            fail_msg("%s answered %d: %d", h->name, code, rc);
        fake_honest(A);
        fake_honest(B);
        t_ok(hf_tm_recover(w->tm, NULL));
        t_ok(hf_tm_recover(w->tm, NULL));
        expect_alike(w, h, code, rc);
        cases++;
    }
    print_message("%u answers that are not allowed\n", cases);
    assert_true(cases > 90);
}

/* xa_open and xa_close: refused, or gone, whatever the number says. */
static void disallowed_code__of_xa_open_refuses_the_instance(void **state)
{
    struct world *w = *state;
    hf_instance *in = NULL;

    world_start(w, 1);
    for (int i = 0; i < CODES; i++) {
        if (codes[i] == XA_OK)
            continue;
        fake_answer_once(A, FAKE_OPEN, 1, codes[i]);
        t_rc(HF_ERM, hf_instance_open(w->rm[A], &in));
        assert_null(in);
        t_ok(hf_instance_open(w->rm[A], &in));
        fake_answer_once(A, FAKE_CLOSE, 1, codes[i]);
        t_rc(HF_ERM, hf_instance_close(in));
        in = NULL;
    }
    assert_int_equal(fake_open_rmids(A), 1);
}

/* -- scans that list what they must not -------------------------------------------------------- */

static struct xa_switch_t lying;
static struct {
    XID list[64];
    int count;  /* of them; 0: honest */
    int answer; /* what it returns, if not count */
} lie;

static int lie_recover(XID *xids, long room, int rmid, long flags)
{
    int n = lie.count < room ? lie.count : (int)room;

    if (lie.count == 0)
        return fake_switch(B)->xa_recover_entry(xids, room, rmid, flags);
    memcpy(xids, lie.list, (size_t)n * sizeof(*xids));
    return lie.answer != 0 ? lie.answer : n;
}

/* A node whose "b" lists what lie says; a branch of it that is prepared, without a decision. */
static XID start_lying(struct world *w)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;
    XID xid;
    hf_tx *tx;

    memset(&lie, 0, sizeof(lie));
    world_start(w, 2);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_rollback(tx, NULL));
    xid = fake_last_xid(B);
    world_close(w);
    lying = *fake_switch(B);
    lying.xa_recover_entry = lie_recover;
    world_open(w);
    world_register(w, 1);
    config.name = "b";
    config.xa = &lying;
    t_ok(hf_rm_register(w->tm, &config, &w->rm[B]));
    t_ok(hf_tm_start(w->tm, 0));
    xid = world_xid(&xid, 0, 4711);
    fake_put(B, &xid);
    return xid;
}

static void recover__with_lengths_that_cannot_be_touches_nothing(void **state)
{
    static const struct {
        long format, gtrid, bqual;
    } rows[] = {
        {HF_XID_FORMAT, -1, 8},
        {HF_XID_FORMAT, 28, -8},
        {HF_XID_FORMAT, 65, 8},
        {HF_XID_FORMAT, 28, 65},
        {HF_XID_FORMAT, 64, 64},
        {HF_XID_FORMAT, 0, 0},
        {HF_XID_FORMAT, 28, 0},
        {HF_XID_FORMAT, LONG_MAX, 8},
        {HF_XID_FORMAT, 28, LONG_MIN},
        {-1, 28, 8},
        {0, 28, 8},
        {LONG_MIN, LONG_MIN, LONG_MAX},
    };
    struct world *w = *state;
    XID ours = start_lying(w);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        lie.list[i] = ours;
        lie.list[i].formatID = rows[i].format;
        lie.list[i].gtrid_length = rows[i].gtrid;
        lie.list[i].bqual_length = rows[i].bqual;
        lie.count++;
    }
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_calls(B, FAKE_ROLLBACK), 1); /* of like_ours: the one before */
    assert_int_equal(fake_calls(B, FAKE_COMMIT), 0);
    assert_int_equal(fake_state(B, &ours), FAKE_PREPARED);
    lie.count = 0;
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_state(B, &ours), FAKE_ABSENT);
}

static void recover__that_lists_one_branch_often_ends_it_once(void **state)
{
    struct world *w = *state;
    XID ours = start_lying(w);

    for (lie.count = 0; lie.count < 50; lie.count++)
        lie.list[lie.count] = ours;
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_calls(B, FAKE_ROLLBACK), 2); /* its own, and the one before */
    assert_int_equal(fake_state(B, &ours), FAKE_ABSENT);
    assert_int_equal(world_stats(w).owed, 0);
    assert_int_equal(world_stats(w).recovered_rolledback, 1);
}

/* More XIDs than it was given room for: it has written somewhere, and proves nothing. */
static void recover__that_answers_more_than_it_was_asked_for_proves_nothing(void **state)
{
    static const int answers[] = {65, 1000, INT_MAX, INT_MIN, -99};
    struct world *w = *state;
    XID ours = start_lying(w);

    lie.list[0] = ours;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        lie.count = 1;
        lie.answer = answers[i];
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(fake_state(B, &ours), FAKE_PREPARED);
    }
    assert_non_null(strstr(w->told, "recovery cannot reach b"));
    lie.count = lie.answer = 0;
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(fake_state(B, &ours), FAKE_ABSENT);
}

/* What it never had: xa_rollback is answered XAER_NOTA, and that ends the story. */
static void recover__that_lists_what_never_was_is_not_believed_twice(void **state)
{
    struct world *w = *state;
    XID ours = start_lying(w);

    lie.list[0] = ours;
    lie.count = 1;
    fake_finish(B, &ours, false);
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
    assert_int_equal(world_stats(w).owed, 1); /* somebody looks again, as long as it is listed */
    lie.count = 0;
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 0);
}

/* -- one that hangs ---------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum fake_call in; /* b hangs in this call; FAKE_CALLS: in none */
    bool hangs;
} hang = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, FAKE_CALLS, false};

static void hang_there(void *user, int rm, enum fake_call call)
{
    (void)user;
    (void)pthread_mutex_lock(&hang.lock);
    while (rm == B && call == hang.in) {
        hang.hangs = true;
        (void)pthread_cond_broadcast(&hang.changed);
        (void)pthread_cond_wait(&hang.changed, &hang.lock);
    }
    (void)pthread_mutex_unlock(&hang.lock);
}

static void *pass_in_thread(void *arg)
{
    return (void *)(intptr_t)hf_tm_recover(arg, NULL);
}

static void *commit_in_thread(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    for (int n = 0; rc == HF_OK && n < 2; n++)
        rc = hf_tx_enlist(tx, w->in[n]);
    return (void *)(intptr_t)(rc == HF_OK ? hf_tx_commit(tx, NULL) : rc);
}

static pthread_t hang_in(enum fake_call call, void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    hang.in = call;
    hang.hangs = false;
    fake_on_call(hang_there, NULL);
    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    (void)pthread_mutex_lock(&hang.lock);
    while (!hang.hangs)
        (void)pthread_cond_wait(&hang.changed, &hang.lock);
    (void)pthread_mutex_unlock(&hang.lock);
    return thread;
}

static int let_go(pthread_t thread)
{
    void *ret = NULL;

    (void)pthread_mutex_lock(&hang.lock);
    hang.in = FAKE_CALLS;
    (void)pthread_cond_broadcast(&hang.changed);
    (void)pthread_mutex_unlock(&hang.lock);
    assert_int_equal(pthread_join(thread, &ret), 0);
    fake_on_call(NULL, NULL);
    return (int)(intptr_t)ret;
}

/* Transactions over others, a tick and its deadlines go on; the node cannot be closed. */
static void expect_others_live(struct world *w, hf_instance *a)
{
    uint32_t next;
    hf_tx *tx;
    int rc;

    for (int i = 0; i < 3; i++) {
        t_ok(hf_tx_begin(w->tm, 0, &tx));
        t_ok(hf_tx_enlist(tx, a));
        t_ok(hf_tx_enlist(tx, w->in[C]));
        t_ok(hf_tx_commit(tx, NULL));
    }
    t_ok(hf_tx_begin(w->tm, 1, &tx));
    rc = hf_tx_enlist(tx, a);
    assert_true(rc == HF_OK || rc == HF_EROLLEDBACK); /* its time may be over already */
    t_rc(HF_EROLLEDBACK,
         (nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL), hf_tx_commit(tx, NULL)));
    if (hang.in != FAKE_RECOVER) /* a pass waits for the one that hangs */
        t_ok(hf_tm_tick(w->tm, &next));
}

static void hanging_call__is_its_own_threads_trouble(void **state)
{
    static const enum fake_call in[] = {FAKE_START, FAKE_END, FAKE_PREPARE, FAKE_COMMIT};

    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        struct world *w = world_again(state);
        hf_instance *a = NULL;
        unsigned left = 0;
        pthread_t thread;

        world_start(w, 3);
        t_ok(hf_instance_open(w->rm[A], &a));
        thread = hang_in(in[i], commit_in_thread, w);
        expect_others_live(w, a);
        t_ok(hf_instance_close(a));
        t_rc(HF_EBUSY, hf_tm_close(w->tm, 0, &left));
        assert_int_equal(left, 4); /* a transaction and three instances */
        assert_int_equal(let_go(thread), HF_OK);
        assert_int_equal(fake_committed(B), 1);
        world_close(w);
        assert_int_equal(world_records(w), 0);
    }
}

static void hanging_pass__keeps_nobody_from_committing(void **state)
{
    struct world *w = *state;
    hf_instance *a = NULL;
    unsigned left = 7;
    pthread_t thread;

    world_start(w, 3);
    t_ok(hf_instance_open(w->rm[A], &a));
    thread = hang_in(FAKE_RECOVER, pass_in_thread, w->tm);
    expect_others_live(w, a);
    t_ok(hf_instance_close(a));
    for (int n = 0; n < 3; n++) {
        t_ok(hf_instance_close(w->in[n]));
        w->in[n] = NULL;
    }
    t_rc(HF_EBUSY, hf_tm_close(w->tm, 0, &left));
    assert_int_equal(left, 0); /* nothing of the host's: it is the pass */
    t_rc(HF_EBUSY, hf_tm_close(w->tm, 20, &left));
    (void)let_go(thread);
    t_ok(hf_tm_close(w->tm, 1000, &left));
    w->tm = NULL;
    assert_int_equal(world_records(w), 0);
}

/* -- watchers that call back ------------------------------------------------------------------- */

static struct world *watched;
static hf_tx *watched_tx;
static unsigned called;

static void before_calls_everything(void *user, hf_tx *tx)
{
    hf_tx *another = NULL;
    unsigned left = 0;

    (void)user;
    assert_ptr_equal(tx, watched_tx);
    t_rc(HF_ESTATE, hf_tx_commit(tx, NULL));
    t_rc(HF_ESTATE, hf_tx_rollback(tx, NULL));
    t_rc(HF_ESTATE, hf_tx_suspend(tx));
    t_rc(HF_ESTATE, hf_tx_resume(tx));
    t_rc(HF_ESTATE, hf_tx_begin(watched->tm, 0, &another));
    t_ok(hf_tx_enlist(tx, watched->in[B])); /* that it may */
    t_ok(hf_tm_recover(watched->tm, NULL));
    t_rc(HF_EBUSY, hf_instance_close(watched->in[A]));
    t_rc(HF_EBUSY, hf_tm_close(watched->tm, 0, &left)); /* and from here on nothing new begins */
    assert_int_equal(left, 3);
    called++;
}

static void after_calls_everything(void *user, const XID *xid, hf_outcome outcome)
{
    hf_outcome known = HF_UNKNOWN;
    hf_tx *another = NULL;
    unsigned left = 0;

    (void)user;
    assert_int_equal(outcome, HF_COMMITTED);
    assert_true(hf_tm_outcome(watched->tm, xid, &known) == HF_OK || known == HF_UNKNOWN);
    t_rc(HF_ESTATE, hf_tx_begin(watched->tm, 0, &another)); /* closing */
    t_rc(HF_EBUSY, hf_tm_close(watched->tm, 0, &left));
    assert_int_equal(left, 3); /* the instances, and the transaction until we return */
    for (int n = 0; n < 2; n++) {
        t_ok(hf_instance_close(watched->in[n]));
        watched->in[n] = NULL;
    }
    called++;
}

static void watcher__that_calls_back_is_refused_what_cannot_be(void **state)
{
    struct world *w = *state;
    hf_sync sync = {before_calls_everything, after_calls_everything, NULL};

    watched = w;
    called = 0;
    world_start(w, 2);
    world_begin(w, 1, &watched_tx);
    t_ok(hf_tx_watch(watched_tx, &sync));
    t_ok(hf_tx_commit(watched_tx, NULL));
    assert_int_equal(called, 2);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    t_ok(hf_tm_close(w->tm, 0, NULL));
    w->tm = NULL;
    assert_int_equal(world_records(w), 0);
}

/* -- numbers ----------------------------------------------------------------------------------- */

enum { MANY_RMS = 1000, MANY_BRANCHES = 10000, BRANCHES_LIMIT = 1000 };

/* Says yes to everything, and counts. */
static atomic_uint yes_prepared, yes_committed, yes_rolled_back;

static int yes_info(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int yes_xid(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_OK;
}

static int yes_prepare(XID *xid, int rmid, long flags)
{
    atomic_fetch_add(&yes_prepared, 1);
    return yes_xid(xid, rmid, flags);
}

static int yes_commit(XID *xid, int rmid, long flags)
{
    atomic_fetch_add(&yes_committed, 1);
    return yes_xid(xid, rmid, flags);
}

static int yes_rollback(XID *xid, int rmid, long flags)
{
    atomic_fetch_add(&yes_rolled_back, 1);
    return yes_xid(xid, rmid, flags);
}

static int yes_recover(XID *xids, long count, int rmid, long flags)
{
    (void)xids, (void)count, (void)rmid, (void)flags;
    return 0;
}

static int yes_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

static const struct xa_switch_t yes = {
    "yes",        TMNOFLAGS,   0,          yes_info,    yes_info, yes_xid,      yes_xid,
    yes_rollback, yes_prepare, yes_commit, yes_recover, yes_xid,  yes_complete,
};

static void register_yes(hf_tm *tm, const char *name, hf_rm **ret)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;

    config.name = name;
    config.xa = &yes;
    t_ok(hf_rm_register(tm, &config, ret));
}

static void count_from_zero(void)
{
    atomic_store(&yes_prepared, 0);
    atomic_store(&yes_committed, 0);
    atomic_store(&yes_rolled_back, 0);
}

/* The limit holds at its place; the first thousand commit, and the others work for the next one. */
static void branches__ten_thousand_are_refused_after_a_thousand(void **state)
{
    struct world *w = *state;
    hf_instance **in = calloc(MANY_BRANCHES, sizeof(hf_instance *));
    hf_rm *rm;
    hf_tx *tx;

    assert_non_null(in);
    count_from_zero();
    world_open(w);
    register_yes(w->tm, "yes", &rm);
    t_ok(hf_tm_start(w->tm, 0));
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    for (int i = 0; i < MANY_BRANCHES; i++) {
        t_ok(hf_instance_open(rm, &in[i]));
        t_rc(i < BRANCHES_LIMIT ? HF_OK : HF_ELIMIT, hf_tx_enlist(tx, in[i]));
    }
    t_ok(hf_tx_enlist(tx, in[BRANCHES_LIMIT - 1])); /* it has this one */
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(atomic_load(&yes_prepared), BRANCHES_LIMIT);
    assert_int_equal(atomic_load(&yes_committed), BRANCHES_LIMIT);
    assert_int_equal(atomic_load(&yes_rolled_back), 0);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    for (int i = MANY_BRANCHES - BRANCHES_LIMIT; i < MANY_BRANCHES; i++)
        t_ok(hf_tx_enlist(tx, in[i]));
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(atomic_load(&yes_rolled_back), BRANCHES_LIMIT);
    for (int i = 0; i < MANY_BRANCHES; i++)
        t_ok(hf_instance_close(in[i]));
    free(in);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void resource_managers__a_thousand_work_in_one_transaction(void **state)
{
    struct world *w = *state;
    hf_rm **rm = calloc(MANY_RMS, sizeof(hf_rm *));
    hf_instance **in = calloc(MANY_RMS, sizeof(hf_instance *));
    char name[32];
    hf_tx *tx;

    assert_non_null(rm);
    assert_non_null(in);
    for (int opening = 0; opening < 2; opening++) { /* the names keep their durable ids */
        count_from_zero();
        world_open(w);
        for (int i = 0; i < MANY_RMS; i++) {
            snprintf(name, sizeof(name), "number %d", i);
            register_yes(w->tm, name, &rm[i]);
        }
        t_ok(hf_tm_start(w->tm, 0));
        t_ok(hf_tx_begin(w->tm, 0, &tx));
        for (int i = 0; i < MANY_RMS; i++) {
            t_ok(hf_instance_open(rm[i], &in[i]));
            t_ok(hf_tx_enlist(tx, in[i]));
        }
        t_ok(hf_tx_commit(tx, NULL));
        assert_int_equal(atomic_load(&yes_committed), MANY_RMS);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(world_stats(w).owed, 0);
        for (int i = 0; i < MANY_RMS; i++)
            t_ok(hf_instance_close(in[i]));
        world_close(w);
        assert_int_equal(world_records(w), 0);
    }
    free(in);
    free(rm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(disallowed_code__of_each_call_is_survived),
        T(disallowed_code__of_xa_open_refuses_the_instance),
        T(recover__with_lengths_that_cannot_be_touches_nothing),
        T(recover__that_lists_one_branch_often_ends_it_once),
        T(recover__that_answers_more_than_it_was_asked_for_proves_nothing),
        T(recover__that_lists_what_never_was_is_not_believed_twice),
        T(hanging_call__is_its_own_threads_trouble),
        T(hanging_pass__keeps_nobody_from_committing),
        T(watcher__that_calls_back_is_refused_what_cannot_be),
        T(branches__ten_thousand_are_refused_after_a_thousand),
        T(resource_managers__a_thousand_work_in_one_transaction),
    };

    return cmocka_run_group_tests_name("tm.hostile", tests, NULL, NULL);
}
