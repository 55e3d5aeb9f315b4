/*
 * What: resource managers that register dynamically ([XA] 3.3, ax_reg, ax_unreg): every cell of
 *       table 6-3, and what the two routines answer; one rmid for all threads.
 * How:  a switch with TMREGISTER that keeps the state of its association as table 6-3 has it, and a
 *       table of cells, each played from a fresh start. A legal cell has to lead where the table
 *       says; in an illegal one the call must not come, or has to be answered TMER_PROTO. The
 *       number of cells is printed.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <time.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

enum state { R0, D0, D1, D2, D3 };

/* -- the switch -------------------------------------------------------------------------------- */

static struct {
    enum state is; /* of the thread that has it open */
    XID xid;       /* in D1 and D2 */
    int opens, closes, starts, ends, prepares, commits, rollbacks, recovers, illegal;
    long end_flags; /* of the last xa_end */
    int answer_end; /* the next xa_end, and xa_recover */
    int answer_recover;
    int rmid; /* of the last xa_open */
} dyn;

static int end_with(int *answer)
{
    int code = *answer;

    *answer = XA_OK;
    return code;
}

static int dyn_open(char *info, int rmid, long flags)
{
    (void)info, (void)flags;
    dyn.opens++;
    dyn.rmid = rmid;
    if (dyn.is == R0)
        dyn.is = D0;
    return XA_OK;
}

static int dyn_close(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    dyn.closes++;
    dyn.illegal += dyn.is == D1 || dyn.is == D3;
    dyn.is = R0;
    return XA_OK;
}

static int dyn_start(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    dyn.starts++; /* never: it registers */
    return XAER_PROTO;
}

static int dyn_end(XID *xid, int rmid, long flags)
{
    int code = end_with(&dyn.answer_end);

    (void)rmid;
    dyn.ends++;
    dyn.end_flags = flags;
    dyn.illegal += (dyn.is != D1 && dyn.is != D2) || (dyn.is == D2 && flags == TMSUSPEND) ||
                   memcmp(xid, &dyn.xid, sizeof(*xid)) != 0;
    if (code == XAER_RMFAIL)
        dyn.is = R0;
    else
        dyn.is = flags == TMSUSPEND && code == XA_OK ? D2 : D0;
    return code;
}

static int dyn_prepare(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    dyn.prepares++;
    return XA_OK;
}

static int dyn_commit(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    dyn.commits++;
    return XA_OK;
}

static int dyn_rollback(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    dyn.rollbacks++;
    return XA_OK;
}

static int dyn_recover(XID *xids, long count, int rmid, long flags)
{
    int code = end_with(&dyn.answer_recover);

    (void)xids, (void)count, (void)rmid, (void)flags;
    dyn.recovers++;
    if (code == XAER_RMFAIL)
        dyn.is = R0;
    return code;
}

static int dyn_forget(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XAER_NOTA;
}

static int dyn_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

static const struct xa_switch_t dyn_switch = {
    "dynamic",    TMREGISTER,  0,          dyn_open,    dyn_close,  dyn_start,   dyn_end,
    dyn_rollback, dyn_prepare, dyn_commit, dyn_recover, dyn_forget, dyn_complete};

/* The resource manager does work for the application: it registers first. */
static int reg(int rmid)
{
    XID xid;
    int code = ax_reg(rmid, &xid, TMNOFLAGS);

    if (code < 0)
        return code;
    dyn.is = xid.formatID == -1 ? D3 : D1;
    dyn.xid = xid;
    return code;
}

static int unreg(int rmid)
{
    int code = ax_unreg(rmid, TMNOFLAGS);

    if (code == TM_OK)
        dyn.is = D0;
    return code;
}

static hf_instance *start(struct world *w, uint32_t one_rmid)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;

    memset(&dyn, 0, sizeof(dyn));
    world_open(w);
    config.name = "dyn";
    config.xa = &dyn_switch;
    config.one_rmid = one_rmid;
    t_ok(hf_rm_register(w->tm, &config, &w->rm[A]));
    t_ok(hf_tm_start(w->tm, 0));
    t_ok(hf_instance_open(w->rm[A], &w->in[A]));
    assert_int_equal(dyn.is, D0);
    return w->in[A];
}

/* -- table 6-3 --------------------------------------------------------------------------------- */

enum event {
    REG_XID,
    REG_NULL,
    REG_RESUME,
    UNREG,
    SUSPEND,
    SUSPEND_RB,
    SUCCESS,
    FAIL,
    OPEN_RECOVER,
    CLOSE,
    RMFAIL
};

enum { ILLEGAL = -1, STATES = 4 };

static const struct row {
    const char *name;
    enum event event;
    int next[STATES]; /* from D0, D1, D2, D3 */
} rows[] = {
    {"ax_reg gives XID", REG_XID, {D1, ILLEGAL, ILLEGAL, ILLEGAL}},
    {"ax_reg gives null XID", REG_NULL, {D3, ILLEGAL, ILLEGAL, ILLEGAL}},
    {"ax_reg [TM_RESUME]", REG_RESUME, {ILLEGAL, ILLEGAL, D1, ILLEGAL}},
    {"ax_unreg", UNREG, {ILLEGAL, ILLEGAL, ILLEGAL, D0}},
    {"xa_end(TMSUSPEND)", SUSPEND, {ILLEGAL, D2, ILLEGAL, ILLEGAL}},
    {"xa_end(TMSUSPEND) [RB]", SUSPEND_RB, {ILLEGAL, D0, ILLEGAL, ILLEGAL}},
    {"xa_end(TMSUCCESS)", SUCCESS, {ILLEGAL, D0, D0, ILLEGAL}},
    {"xa_end(TMFAIL)", FAIL, {ILLEGAL, D0, D0, ILLEGAL}},
    {"xa_open, xa_recover", OPEN_RECOVER, {D0, D1, D2, D3}},
    {"xa_close", CLOSE, {R0, ILLEGAL, R0, ILLEGAL}},
    {"any [XAER_RMFAIL]", RMFAIL, {R0, R0, R0, R0}},
};

/* What the cell under test has at hand. */
struct play {
    struct world *w;
    hf_tx *tx;
    int rmid;
};

static void go_to(struct play *p, int state)
{
    p->rmid = hf_instance_rmid(start(p->w, 1));
    if (state == 3) {
        assert_int_equal(reg(p->rmid), TM_OK);
    } else {
        t_ok(hf_tx_begin(p->w->tm, 0, &p->tx));
        if (state > 0)
            assert_int_equal(reg(p->rmid), TM_OK);
        if (state == 2)
            t_ok(hf_tx_suspend(p->tx));
    }
    assert_int_equal(dyn.is, D0 + state);
}

static void resume(struct play *p, int state)
{
    if (state == 2)
        t_ok(hf_tx_resume(p->tx));
}

/* Complete it if there is one: what comes of the association is what counts. */
static void complete(struct play *p, int state, bool commit)
{
    if (p->tx == NULL)
        return;
    resume(p, state);
    if (commit)
        assert_int_not_equal(hf_tx_commit(p->tx, NULL), HF_EBUSY); /* XAER_RMFAIL rolls back */
    else
        t_ok(hf_tx_rollback(p->tx, NULL));
    p->tx = NULL;
}

/* Registering in another transaction than the one that is suspended. */
static int reg_elsewhere(struct play *p, int state)
{
    hf_tx *other;
    int code;

    if (state != 2)
        return reg(p->rmid);
    t_ok(hf_tx_begin(p->w->tm, 0, &other));
    code = reg(p->rmid);
    t_ok(hf_tx_rollback(other, NULL));
    return code;
}

/* The one xa_close comes from the only way there is. In D2 the manager is stricter than the table:
   what has a branch is not closed. */
static bool close_it(struct play *p, int state)
{
    int rc = hf_instance_close(p->w->in[A]);

    if (rc == HF_OK)
        p->w->in[A] = NULL;
    else
        assert_int_equal(rc, HF_EBUSY);
    return rc == HF_OK || state == 2;
}

static bool lose_it(struct play *p, int state)
{
    dyn.answer_end = dyn.answer_recover = XAER_RMFAIL;
    if (state == 0 || state == 3) {
        t_ok(hf_tm_recover(p->w->tm, NULL));
        assert_true(dyn.recovers > 0);
    } else {
        complete(p, state, true);
    }
    assert_int_equal(hf_instance_broken(p->w->in[A]), 1);
    assert_int_equal(reg(p->rmid), TMER_PROTO); /* R0 */
    return true;
}

/* True: the event took place. */
static bool happens(struct play *p, const struct row *row, int state)
{
    hf_instance *other;
    int ends = dyn.ends, code;

    switch (row->event) {
    case REG_XID:
        code = reg_elsewhere(p, state);
        break;
    case REG_NULL:
        if (state == 0) {
            t_ok(hf_tx_rollback(p->tx, NULL));
            p->tx = NULL;
        }
        code = reg(p->rmid);
        break;
    case REG_RESUME:
        resume(p, state);
        code = reg(p->rmid);
        if (code == TM_OK) /* another cell: nothing was suspended */
            return false;
        assert_int_equal(code, state == 2 ? TM_RESUME : TMER_PROTO);
        break;
    case UNREG:
        code = unreg(p->rmid);
        break;
    case SUSPEND:
    case SUSPEND_RB:
        dyn.answer_end = row->event == SUSPEND_RB ? XA_RBTIMEOUT : XA_OK;
        resume(p, state);
        if (p->tx != NULL)
            t_rc(state == 1 && row->event == SUSPEND_RB ? HF_ERM : HF_OK, hf_tx_suspend(p->tx));
        return dyn.ends > ends && dyn.end_flags == TMSUSPEND;
    case SUCCESS:
    case FAIL:
        complete(p, state, row->event == SUCCESS);
        return dyn.ends > ends && dyn.end_flags == (row->event == SUCCESS ? TMSUCCESS : TMFAIL);
    case OPEN_RECOVER:
        t_ok(hf_tm_recover(p->w->tm, NULL));
        assert_true(dyn.recovers > 0);
        t_ok(hf_instance_open(p->w->rm[A], &other));
        t_ok(hf_instance_close(other)); /* the thread's xa_open is not closed by it */
        return true;
    case CLOSE:
        return close_it(p, state);
    default:
        return lose_it(p, state);
    }
    if (code < 0)
        assert_int_equal(code, TMER_PROTO);
    return code >= 0;
}

static void leave(struct play *p)
{
    if (dyn.is == D3)
        assert_int_equal(unreg(p->rmid), TM_OK);
    if (p->tx != NULL && hf_tx_current(p->w->tm) == NULL)
        t_ok(hf_tx_resume(p->tx));
    if (p->tx != NULL)
        t_ok(hf_tx_rollback(p->tx, NULL));
    p->tx = NULL;
}

static void every_cell_of_table_6_3__is_as_specified(void **state)
{
    struct world *w = *state;
    unsigned legal = 0, illegal = 0;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int s = 0; s < STATES; s++) {
            struct play p = {.w = w};
            bool allowed = rows[i].next[s] != ILLEGAL, refused_close;

            go_to(&p, s);
            if (happens(&p, &rows[i], s) != allowed)
                fail_msg("%s in D%d: %s", rows[i].name, s, allowed ? "did not come" : "came");
            refused_close = rows[i].event == CLOSE && s == 2 && dyn.is == D2;
            if (allowed && !refused_close && (int)dyn.is != rows[i].next[s])
                fail_msg("%s in D%d leads to %d", rows[i].name, s, dyn.is - D0);
            assert_int_equal(dyn.illegal, 0);
            assert_int_equal(dyn.starts, 0);
            leave(&p);
            legal += allowed;
            illegal += !allowed;
            w = world_again(state);
        }
    print_message("table 6-3: %u cells, %u of them legal\n", legal + illegal, legal);
    assert_int_equal(legal + illegal, 44);
}

/* -- what takes part --------------------------------------------------------------------------- */

static void what_never_registers__is_not_called(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    hf_tx *tx;

    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, in));
    t_rc(HF_ENOTFOUND, hf_tx_delist(tx, in));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(dyn.ends + dyn.prepares + dyn.commits + dyn.rollbacks + dyn.starts, 0);
}

static void what_registers__commits_with_the_rest(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_tx *tx;
    XID xid;

    config.name = "b";
    config.xa = fake_switch(B);
    t_ok(hf_rm_register(w->tm, &config, &w->rm[B]));
    t_ok(hf_instance_open(w->rm[B], &w->in[B]));
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, w->in[B]));
    assert_int_equal(reg(hf_instance_rmid(in)), TM_OK);
    t_ok(hf_tx_xid(tx, &xid));
    assert_memory_equal(dyn.xid.data, xid.data, (size_t)xid.gtrid_length);
    assert_memory_not_equal(&dyn.xid, &xid, sizeof(xid)); /* it has a branch of its own */
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(dyn.prepares, 1);
    assert_int_equal(dyn.commits, 1);
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(dyn.starts, 0);
    assert_int_equal(dyn.illegal, 0);
}

static void a_branch_that_was_delisted__is_joined(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    hf_tx *tx;
    XID first;

    t_ok(hf_tx_begin(w->tm, 0, &tx));
    assert_int_equal(reg(hf_instance_rmid(in)), TM_OK);
    first = dyn.xid;
    t_ok(hf_tx_delist(tx, in));
    assert_int_equal(dyn.is, D0);
    assert_int_equal(reg(hf_instance_rmid(in)), TM_JOIN);
    assert_memory_equal(&dyn.xid, &first, sizeof(first));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(dyn.ends, 2);
    assert_int_equal(dyn.commits, 1); /* one branch, one phase */
    assert_int_equal(dyn.illegal, 0);
}

static void while_it_works_outside__nothing_begins_in_the_thread(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    hf_tx *tx, *suspended;

    t_ok(hf_tx_begin(w->tm, 0, &suspended));
    t_ok(hf_tx_suspend(suspended));
    assert_int_equal(reg(hf_instance_rmid(in)), TM_OK);
    assert_int_equal(dyn.is, D3);
    t_rc(HF_EBUSY, hf_tx_begin(w->tm, 0, &tx));
    t_rc(HF_EBUSY, hf_tx_resume(suspended));
    t_rc(HF_EBUSY, hf_instance_close(in));
    assert_int_equal(unreg(hf_instance_rmid(in)), TM_OK);
    t_ok(hf_tx_resume(suspended));
    t_ok(hf_tx_rollback(suspended, NULL));
}

static void a_transaction_that_can_only_roll_back__takes_no_branch(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    hf_tx *tx;

    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_set_rollback_only(tx));
    assert_int_equal(reg(hf_instance_rmid(in)), TMER_TMERR);
    t_ok(hf_tx_rollback(tx, NULL));
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    assert_int_equal(reg(hf_instance_rmid(in)), TM_OK);
    t_ok(hf_tx_suspend(tx));
    t_ok(hf_tx_set_rollback_only(tx));
    t_ok(hf_tx_resume(tx));
    assert_int_equal(reg(hf_instance_rmid(in)), TM_RESUME); /* no work may slip out of it */
    t_ok(hf_tx_rollback(tx, NULL));
}

static void between_decide_and_finish__it_does_not_register(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_tx *tx, *rest = NULL;

    config.name = "b";
    config.xa = fake_switch(B);
    t_ok(hf_rm_register(w->tm, &config, &w->rm[B]));
    t_ok(hf_instance_open(w->rm[B], &w->in[B]));
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, w->in[B]));
    assert_int_equal(reg(hf_instance_rmid(in)), TM_OK);
    t_ok(hf_tx_decide(tx, NULL, &rest));
    assert_non_null(rest);
    assert_int_equal(reg(hf_instance_rmid(in)), TMER_TMERR); /* its branch waits for xa_commit */
    t_ok(hf_tx_finish(rest, NULL));
    assert_int_equal(reg(hf_instance_rmid(in)), TM_OK);
    assert_int_equal(dyn.is, D3);
    assert_int_equal(unreg(hf_instance_rmid(in)), TM_OK);
    assert_int_equal(dyn.illegal, 0);
}

static void *finish(void *rest)
{
    return (void *)(intptr_t)hf_tx_finish(rest, NULL);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Register as soon as the transaction before has let go. */
static int reg_soon(int rmid)
{
    double end = now_s() + 20;
    int code;

    do
        code = reg(rmid);
    while (code == TMER_TMERR && now_s() < end);
    return code;
}

/* Whoever finishes lets the instance go, and does not touch after that what is another's. */
static void what_registers_while_another_thread_finishes__stays_registered(void **state)
{
    struct world *w = *state;
    int rmid = hf_instance_rmid(start(w, 0));
    hf_rm_config config = HF_RM_CONFIG_INIT;

    config.name = "b";
    config.xa = fake_switch(B);
    t_ok(hf_rm_register(w->tm, &config, &w->rm[B]));
    t_ok(hf_instance_open(w->rm[B], &w->in[B]));
    for (int i = 0; i < 200; i++) {
        hf_tx *tx, *rest = NULL;
        pthread_t thread;
        void *rc;

        t_ok(hf_tx_begin(w->tm, 0, &tx));
        t_ok(hf_tx_enlist(tx, w->in[B]));
        assert_int_equal(reg(rmid), TM_OK);
        t_ok(hf_tx_decide(tx, NULL, &rest));
        t_ok(hf_tx_begin(w->tm, 0, &tx));
        assert_int_equal(pthread_create(&thread, NULL, finish, rest), 0);
        assert_int_equal(reg_soon(rmid), TM_OK);
        assert_int_equal(pthread_join(thread, &rc), 0);
        t_ok((int)(intptr_t)rc);
        assert_int_equal(reg(rmid), TMER_PROTO); /* it is registered already */
        t_ok(hf_tx_rollback(tx, NULL));
    }
    assert_int_equal(dyn.commits, 200);
    assert_int_equal(dyn.illegal, 0);
}

/* Another thread, for what has a branch in its transaction that was delisted. */
struct meanwhile {
    hf_tx *tx;
    int rmid;
    int answer;
};

static void *commit_it(void *arg)
{
    struct meanwhile *m = arg;

    t_ok(hf_tx_resume(m->tx));
    m->answer = hf_tx_commit(m->tx, NULL);
    if (m->answer == HF_EBUSY)
        t_ok(hf_tx_suspend(m->tx)); /* it is as it was */
    return NULL;
}

static void in_another_thread(void *(*fn)(void *), struct meanwhile *m)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, fn, m), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void what_works_outside__is_not_completed(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    struct meanwhile m = {.rmid = hf_instance_rmid(in)};

    t_ok(hf_tx_begin(w->tm, 0, &m.tx));
    assert_int_equal(reg(m.rmid), TM_OK);
    t_ok(hf_tx_delist(m.tx, in));
    t_ok(hf_tx_suspend(m.tx));
    assert_int_equal(reg(m.rmid), TM_OK);
    assert_int_equal(dyn.is, D3);
    in_another_thread(commit_it, &m);
    assert_int_equal(m.answer, HF_EBUSY);
    assert_int_equal(dyn.prepares + dyn.commits + dyn.rollbacks, 0);
    assert_int_equal(unreg(m.rmid), TM_OK);
    in_another_thread(commit_it, &m);
    t_ok(m.answer);
    assert_int_equal(dyn.commits, 1);
    assert_int_equal(dyn.illegal, 0);
}

static void *register_it(void *arg)
{
    struct meanwhile *m = arg;
    XID xid;

    m->answer = ax_reg(m->rmid, &xid, TMNOFLAGS);
    if (m->answer == TM_OK)
        (void)ax_unreg(m->rmid, TMNOFLAGS);
    return NULL;
}

static void register_before(void *user, hf_tx *tx)
{
    (void)tx;
    in_another_thread(register_it, user);
}

/* From the moment at which the completion has looked for work outside. */
static void once_it_completes__no_work_begins_outside(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    struct meanwhile m = {.rmid = hf_instance_rmid(in)};
    hf_sync sync = {.before = register_before, .user = &m};

    t_ok(hf_tx_begin(w->tm, 0, &m.tx));
    assert_int_equal(reg(m.rmid), TM_OK);
    t_ok(hf_tx_delist(m.tx, in));
    t_ok(hf_tx_watch(m.tx, &sync));
    in_another_thread(register_it, &m);
    assert_int_equal(m.answer, TM_OK); /* not yet */
    t_ok(hf_tx_commit(m.tx, NULL));
    assert_int_equal(m.answer, TMER_TMERR);
    in_another_thread(register_it, &m);
    assert_int_equal(m.answer, TM_OK);
    assert_int_equal(dyn.illegal, 0);
}

/* -- what the routines answer ------------------------------------------------------------------ */

static void wrong_calls__are_answered_as_specified(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 0);
    hf_rm_config config = HF_RM_CONFIG_INIT;
    int rmid = hf_instance_rmid(in), closed;
    XID xid;

    assert_int_equal(ax_reg(rmid, NULL, TMNOFLAGS), TMER_INVAL);
    assert_int_equal(ax_reg(rmid, &xid, TMJOIN), TMER_INVAL);
    assert_int_equal(ax_unreg(rmid, TMFAIL), TMER_INVAL);
    for (int bad = -1; bad <= 1; bad++) { /* never given out */
        int unknown = bad <= 0 ? bad : 1 << 30;

        assert_int_equal(ax_reg(unknown, &xid, TMNOFLAGS), TMER_INVAL);
        assert_int_equal(ax_unreg(unknown, TMNOFLAGS), TMER_INVAL);
    }
    config.name = "static";
    config.xa = fake_switch(B);
    t_ok(hf_rm_register(w->tm, &config, &w->rm[B]));
    t_ok(hf_instance_open(w->rm[B], &w->in[B]));
    assert_int_equal(ax_reg(hf_instance_rmid(w->in[B]), &xid, TMNOFLAGS), TMER_TMERR);
    assert_int_equal(ax_unreg(hf_instance_rmid(w->in[B]), TMNOFLAGS), TMER_TMERR);
    closed = rmid;
    t_ok(hf_instance_close(in));
    w->in[A] = NULL;
    assert_int_equal(ax_reg(closed, &xid, TMNOFLAGS), TMER_PROTO);
    assert_int_equal(ax_unreg(closed, TMNOFLAGS), TMER_PROTO);
}

/* -- one rmid for all threads ------------------------------------------------------------------ */

struct two {
    struct world *w;
    hf_instance *in; /* the first thread's */
    hf_instance *own;
    int reg;
    int enlist;
};

static void *second_thread(void *arg)
{
    struct two *t = arg;
    hf_tx *tx = NULL;
    XID xid;

    t->reg = ax_reg(hf_instance_rmid(t->in), &xid, TMNOFLAGS); /* not open in this thread */
    if (hf_tx_begin(t->w->tm, 0, &tx) == HF_OK) {
        t->enlist = hf_tx_enlist(tx, t->in);
        if (hf_instance_open(t->w->rm[A], &t->own) == HF_OK)
            (void)hf_instance_close(t->own); /* its xa_close is not the other's */
        (void)hf_tx_rollback(tx, NULL);
    }
    return NULL;
}

static void one_rmid__is_opened_in_each_thread(void **state)
{
    struct world *w = *state;
    struct two two = {.w = w, .in = start(w, 1)};
    pthread_t thread;
    int rmid = dyn.rmid;

    assert_int_equal(dyn.opens - dyn.closes, 1);
    assert_int_equal(pthread_create(&thread, NULL, second_thread, &two), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(two.reg, TMER_PROTO);
    assert_int_equal(two.enlist, HF_ETHREAD);
    assert_int_equal(dyn.rmid, rmid);
    assert_int_equal(dyn.opens - dyn.closes, 1);
    assert_true(dyn.opens >= 2);
}

/* A recovery pass in a thread that has it open neither opens nor closes it there. */
static void a_pass__does_not_close_what_its_thread_has_open(void **state)
{
    struct world *w = *state;
    hf_instance *in = start(w, 1), *second;
    int opens = dyn.opens, closes = dyn.closes;

    t_ok(hf_tm_recover(w->tm, NULL));
    t_ok(hf_instance_open(w->rm[A], &second));
    assert_int_equal(hf_instance_rmid(second), hf_instance_rmid(in));
    t_ok(hf_instance_close(in));
    w->in[A] = second;
    assert_int_equal(dyn.opens, opens);
    assert_int_equal(dyn.closes, closes);
    t_ok(hf_instance_close(second));
    w->in[A] = NULL;
    assert_int_equal(dyn.closes, closes + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_cell_of_table_6_3__is_as_specified),
        T(what_never_registers__is_not_called),
        T(what_registers__commits_with_the_rest),
        T(a_branch_that_was_delisted__is_joined),
        T(while_it_works_outside__nothing_begins_in_the_thread),
        T(a_transaction_that_can_only_roll_back__takes_no_branch),
        T(between_decide_and_finish__it_does_not_register),
        T(what_registers_while_another_thread_finishes__stays_registered),
        T(what_works_outside__is_not_completed),
        T(once_it_completes__no_work_begins_outside),
        T(wrong_calls__are_answered_as_specified),
        T(one_rmid__is_opened_in_each_thread),
        T(a_pass__does_not_close_what_its_thread_has_open),
    };
    return cmocka_run_group_tests_name("tm.dynamic", tests, NULL, NULL);
}
