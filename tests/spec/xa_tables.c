/*
 * What: the state tables of [XA] chapter 6 for static registration (6-1, 6-2, 6-4, 6-5), as the
 *       transaction manager keeps to them; 6-3 is in tm_dynamic.c.
 * How:  the tables are data. A switch walks through them with every call that it gets, whatever it
 *       answers, and counts each cell. A list of scenarios, words of a small language, drives the
 *       manager through its calls and a resource manager through its answers. In the end each cell
 *       that is marked as used has been entered, and no other one. The number of cells is printed.
 */
#include "support/fake_rm.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* -- the tables -------------------------------------------------------------------------------- */

enum table { R_61, T_62, S_64, A_65, TABLES };

static const char *const table_names[TABLES] = {"6-1", "6-2", "6-4", "6-5"};

enum event {
    OPEN,
    CLOSE,
    START,
    START_RB, /* 6-2: of TMRESUME */
    RESUME,
    SUSPEND,
    SUSPEND_RB,
    SUCCESS,
    FAIL,
    END,
    END_RB,
    PREPARE_OK,
    PREPARE_GONE,
    PREPARE_RMERR,
    COMMIT_DONE,
    COMMIT_RB,
    COMMIT_RETRY,
    COMMIT_HEUR,
    ROLLBACK_DONE,
    ROLLBACK_HEUR,
    FORGET,
    FORGET_RMERR,
    RECOVER,
    RMFAIL,
    SYNC,
    ASYNC,
    COMPLETE,
    COMPLETE_NOWAIT,
    COMPLETE_RETRY,
};

#define OPEN_ALREADY "what is open in the thread is not opened again"
#define RUNNING "nothing is closed that has a branch in a running transaction"
#define WAITS "the one thread that asks has nothing else to do: it waits in xa_complete"

/* One character for each state. next: the state after it, R for closed, - for illegal. used: x
   where this transaction manager makes the call, . where not. unused: why it does not make one that
   is legal. */
static const struct row {
    enum table table;
    enum event event;
    const char *name;
    const char *next;
    const char *used;
    const char *unused; /* NULL: every legal cell is used */
} rows[] = {
    {R_61, OPEN, "xa_open", "11", "x.", OPEN_ALREADY},
    {R_61, CLOSE, "xa_close", "00", "xx", NULL},

    {T_62, START, "xa_start", "1--", "x..", NULL},
    {T_62, RESUME, "xa_start(TMRESUME)", "--1", "..x", NULL},
    {T_62, START_RB, "xa_start(TMRESUME) [RB]", "--0", "..x", NULL},
    {T_62, SUSPEND, "xa_end(TMSUSPEND)", "-2-", ".x.", NULL},
    {T_62, SUSPEND_RB, "xa_end(TMSUSPEND) [RB]", "-0-", ".x.", NULL},
    {T_62, SUCCESS, "xa_end(TMSUCCESS)", "-00", ".x.",
     "a suspended association is resumed before it is ended"},
    {T_62, FAIL, "xa_end(TMFAIL)", "-00", ".xx", NULL},
    {T_62, OPEN, "xa_open", "012", "...", OPEN_ALREADY},
    {T_62, RECOVER, "xa_recover", "012", "xxx", NULL},
    {T_62, CLOSE, "xa_close", "R-R", "x..", RUNNING},
    {T_62, RMFAIL, "any [XAER_RMFAIL]", "RRR", "xxx", NULL},

    {S_64, START, "xa_start", "1-1---", "x.x...", NULL},
    {S_64, START_RB, "xa_start [RB]", "--4---", "..x...", NULL},
    {S_64, END, "xa_end", "-2----", ".x....", NULL},
    {S_64, END_RB, "xa_end [RB]", "-4----", ".x....", NULL},
    {S_64, PREPARE_OK, "xa_prepare [XA_OK]", "--3---", "..x...", NULL},
    {S_64, PREPARE_GONE, "xa_prepare [XA_RDONLY, RB]", "--0---", "..x...", NULL},
    {S_64, PREPARE_RMERR, "xa_prepare [XAER_RMERR]", "--2---", "..x...", NULL},
    {S_64, COMMIT_DONE, "xa_commit [XA_OK, XAER_RMERR]", "--00--", "..xx..", NULL},
    {S_64, COMMIT_RB, "xa_commit [RB]", "--0---", "..x...", NULL},
    {S_64, COMMIT_RETRY, "xa_commit [XA_RETRY]", "---3--", "...x..", NULL},
    {S_64, COMMIT_HEUR, "xa_commit [HEUR]", "--55-5", "..xx.x", NULL},
    {S_64, ROLLBACK_DONE, "xa_rollback [XA_OK, RB, XAER_RMERR]", "--000-", "..xxx.", NULL},
    {S_64, ROLLBACK_HEUR, "xa_rollback [HEUR]", "---555", "...xxx", NULL},
    {S_64, FORGET, "xa_forget", "-----0", ".....x", NULL},
    {S_64, FORGET_RMERR, "xa_forget [XAER_RMERR]", "-----5", ".....x", NULL},
    {S_64, RECOVER, "xa_open, xa_recover", "012345", "xxxxxx", NULL},
    {S_64, CLOSE, "xa_close", "R-RRRR", "x..x.x", RUNNING},
    {S_64, RMFAIL, "any [XAER_RMFAIL]", "RRRRRR", "xxxxxx", NULL},

    {A_65, SYNC, "any synchronous call", "0-", "x.", NULL},
    {A_65, ASYNC, "a call with TMASYNC", "1-", "x.", NULL},
    {A_65, COMPLETE, "xa_complete", "-0", ".x", NULL},
    {A_65, COMPLETE_NOWAIT, "xa_complete(TMNOWAIT)", "-0", "..", WAITS},
    {A_65, COMPLETE_RETRY, "xa_complete(TMNOWAIT) [XA_RETRY]", "-1", "..", WAITS},
};
enum { ROWS = sizeof(rows) / sizeof(*rows), STATES_MAX = 6 };

static unsigned hits[ROWS][STATES_MAX];
static const char *scenario; /* that is being played */

/* -- the switch that walks through them -------------------------------------------------------- */

enum call { C_START, C_END, C_PREPARE, C_COMMIT, C_ROLLBACK, C_FORGET, C_RECOVER, CALLS };

static struct {
    int state[TABLES];
    bool listed; /* by xa_recover */
    XID xid;
    int answer[CALLS]; /* to the next call; XA_OK: an honest one */
    int answer_complete;
    bool asynchronous; /* the switch has TMUSEASYNC */
    int pending;       /* an answer that is to be fetched */
} m;

static void move(enum table table, enum event event)
{
    for (unsigned i = 0; i < ROWS; i++) {
        int from = m.state[table];
        char next;

        if (rows[i].table != table || rows[i].event != event)
            continue;
        hits[i][from]++;
        next = rows[i].next[from];
        if (next == '-')
            fail_msg("%s\ntable %s: %s in state %d is illegal", scenario, table_names[table],
                     rows[i].name, from);
        m.state[table] = next == 'R' ? 0 : next - '0';
        return;
    }
    fail_msg("table %s has no row for this", table_names[table]);
}

/* After it nothing is known to this thread; what is prepared or heuristic lives on. */
static int fail_all(void)
{
    int branch = m.state[S_64];

    move(T_62, RMFAIL);
    move(S_64, RMFAIL);
    m.state[S_64] = branch == 3 || branch == 5 ? branch : 0;
    m.state[R_61] = 0;
    return XAER_RMFAIL;
}

static bool is_rb(int code)
{
    return code >= XA_RBBASE && code <= XA_RBEND;
}

static bool is_heur(int code)
{
    return code >= XA_HEURMIX && code <= XA_HEURHAZ;
}

/* The next answer to that call. */
static int answer(enum call call)
{
    int code = m.answer[call];

    if (m.state[R_61] != 1)
        fail_msg("%s\na call while it is closed", scenario);
    move(A_65, SYNC);
    m.answer[call] = XA_OK;
    return code;
}

static int m_open(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    if (m.state[R_61] == 1)
        move(T_62, OPEN);
    move(R_61, OPEN);
    return XA_OK;
}

static int m_close(char *info, int rmid, long flags)
{
    int branch = m.state[S_64];

    (void)info, (void)rmid, (void)flags;
    if (m.state[R_61] == 1) {
        move(T_62, CLOSE);
        move(S_64, CLOSE);
        m.state[S_64] = branch == 3 || branch == 5 ? branch : 0;
    }
    move(R_61, CLOSE);
    return XA_OK;
}

static int m_start(XID *xid, int rmid, long flags)
{
    int code = answer(C_START);

    (void)rmid;
    if (code == XAER_RMFAIL)
        return fail_all();
    if (flags == TMNOFLAGS)
        m.xid = *xid;
    if (is_rb(code)) {
        if (flags == TMRESUME)
            move(T_62, START_RB);
        move(S_64, START_RB);
    } else if (code == XA_OK) {
        move(T_62, flags == TMRESUME ? RESUME : START);
        move(S_64, START);
    }
    return code;
}

static int m_end(XID *xid, int rmid, long flags)
{
    int code = answer(C_END);
    bool active = m.state[S_64] == 1;

    (void)xid, (void)rmid;
    if (code == XAER_RMFAIL)
        return fail_all();
    if (flags == TMSUSPEND)
        move(T_62, is_rb(code) ? SUSPEND_RB : SUSPEND);
    else
        move(T_62, flags == TMSUCCESS ? SUCCESS : FAIL);
    if (active) /* else it was idle since its association was suspended */
        move(S_64, is_rb(code) ? END_RB : END);
    return code;
}

static int judge_prepare(int code)
{
    if (code == XAER_RMFAIL)
        return fail_all();
    if (code == XA_OK)
        move(S_64, PREPARE_OK);
    else
        move(S_64, code == XA_RDONLY || is_rb(code) ? PREPARE_GONE : PREPARE_RMERR);
    return code;
}

/* A heuristic branch answers so again. */
static int judge_commit(int code)
{
    if (code == XA_OK && m.state[S_64] == 5)
        code = XA_HEURMIX;
    if (code == XAER_RMFAIL)
        return fail_all();
    if (is_rb(code))
        move(S_64, COMMIT_RB);
    else if (is_heur(code))
        move(S_64, COMMIT_HEUR);
    else
        move(S_64, code == XA_RETRY ? COMMIT_RETRY : COMMIT_DONE);
    return code;
}

static int begin_async(int code)
{
    move(A_65, ASYNC);
    m.pending = code;
    return 1;
}

static int m_prepare(XID *xid, int rmid, long flags)
{
    int code = answer(C_PREPARE);

    (void)xid, (void)rmid;
    return flags == TMASYNC ? begin_async(code) : judge_prepare(code);
}

static int m_commit(XID *xid, int rmid, long flags)
{
    int code = answer(C_COMMIT);
    bool one = m.state[S_64] == 2;

    (void)xid, (void)rmid;
    if (one != ((flags & TMONEPHASE) != 0))
        fail_msg("%s\nxa_commit with the wrong flags", scenario);
    return (flags & TMASYNC) != 0 ? begin_async(code) : judge_commit(code);
}

static int m_rollback(XID *xid, int rmid, long flags)
{
    int code = answer(C_ROLLBACK);

    (void)xid, (void)rmid, (void)flags;
    if (code == XA_OK && m.state[S_64] == 5)
        code = XA_HEURMIX;
    if (code == XAER_RMFAIL)
        return fail_all();
    move(S_64, is_heur(code) ? ROLLBACK_HEUR : ROLLBACK_DONE);
    return code;
}

static int m_recover(XID *xids, long count, int rmid, long flags)
{
    int code = answer(C_RECOVER);

    (void)rmid, (void)flags;
    if (code == XAER_RMFAIL)
        return fail_all();
    move(T_62, RECOVER);
    move(S_64, RECOVER);
    if (count < 1 || (m.state[S_64] != 3 && m.state[S_64] != 5))
        return 0;
    xids[0] = m.xid;
    return 1;
}

static int m_forget(XID *xid, int rmid, long flags)
{
    int code = answer(C_FORGET);

    (void)xid, (void)rmid, (void)flags;
    if (code == XAER_RMFAIL)
        return fail_all();
    move(S_64, code == XA_OK ? FORGET : FORGET_RMERR);
    return code;
}

static int m_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)rmid;
    move(A_65, (flags & TMNOWAIT) == 0 ? COMPLETE : COMPLETE_NOWAIT);
    *ret = m.state[S_64] == 2 ? judge_prepare(m.pending) : judge_commit(m.pending);
    return XA_OK;
}

static struct xa_switch_t m_switch = {"tables",  0,        0,          m_open,    m_close,
                                      m_start,   m_end,    m_rollback, m_prepare, m_commit,
                                      m_recover, m_forget, m_complete};

/* -- scenarios --------------------------------------------------------------------------------- */

/* Words: what the manager is asked to do, what m answers to a call (m.CALL=CODE), what its partner
   b answers to xa_prepare, and decides, with which m's prepared branch decides by itself. A
   "with-b" makes it a transaction of two branches. */
static const char *const scenarios[] = {
    "begin enlist recover delist recover commit",
    "begin enlist recover rollback",
    "begin enlist delist enlist commit",
    "begin enlist delist m.start=RB enlist rollback",
    "begin enlist suspend recover resume commit",
    "begin enlist m.end=RB suspend recover rollback",
    "begin enlist suspend m.start=RB resume rollback",
    "begin enlist suspend m.start=RMERR resume rollback",
    "begin enlist suspend m.start=RMFAIL resume rollback",
    "begin enlist m.end=RMFAIL commit",
    "begin enlist m.end=RB commit",
    "begin enlist m.end=RB m.rollback=HEUR commit",
    "begin enlist m.end=RB m.rollback=RMFAIL commit",
    "m.recover=RMFAIL recover",
    "begin m.start=RMERR enlist commit",
    "begin enlist m.commit=RB commit",
    "begin enlist m.commit=RMERR commit",
    "begin enlist m.commit=HEUR commit",
    "begin enlist m.commit=HEUR m.forget=RMERR commit recover",
    "begin enlist m.commit=HEUR m.forget=RMFAIL commit reopen recover",
    "begin enlist with-b commit",
    "begin enlist with-b m.prepare=RDONLY commit",
    "begin enlist with-b m.prepare=RB commit",
    "begin enlist with-b m.prepare=RMERR commit",
    "begin enlist with-b m.prepare=RMFAIL commit",
    "begin enlist with-b b.prepare=RB commit",
    "begin enlist with-b b.prepare=RB m.rollback=HEUR commit",
    "begin enlist with-b b.prepare=RB decides commit",
    "begin enlist with-b m.commit=RMERR commit",
    "begin enlist with-b m.commit=HEUR commit",
    "begin enlist with-b m.commit=RETRY commit recover",
    "begin enlist with-b m.commit=RETRY commit close open recover",
    "begin enlist with-b m.commit=RETRY commit decide-itself recover",
    "begin enlist with-b m.commit=RMFAIL commit reopen recover",
    "begin enlist with-b m.commit=HEUR m.forget=RMERR commit close open recover",
    "async begin enlist with-b commit",
    "async begin enlist with-b m.prepare=RB commit",
    "async begin enlist with-b m.commit=RETRY commit recover",
};

struct play {
    struct world *w;
    hf_tx *tx;
};

static int code_of(const char *name)
{
    static const struct {
        const char *name;
        int code;
    } codes[] = {
        {"RB", XA_RBDEADLOCK}, {"HEUR", XA_HEURMIX},  {"RETRY", XA_RETRY},
        {"RDONLY", XA_RDONLY}, {"RMERR", XAER_RMERR}, {"RMFAIL", XAER_RMFAIL},
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (strcmp(codes[i].name, name) == 0)
            return codes[i].code;
    fail_msg("%s: what is %s?", scenario, name);
    return 0;
}

static void set_answer(const char *word)
{
    static const char *const names[CALLS] = {"start",    "end",    "prepare", "commit",
                                             "rollback", "forget", "recover"};

    for (int i = 0; i < CALLS; i++) {
        size_t length = strlen(names[i]);

        if (strncmp(word, names[i], length) == 0 && word[length] == '=')
            m.answer[i] = code_of(word + length + 1);
    }
}

/* m's prepared branch decides by itself while the partner is asked for its vote. */
static void decide_itself(void *user, int rm, enum fake_call call)
{
    (void)user;
    if (rm == B && call == FAKE_PREPARE && m.state[S_64] == 3)
        m.state[S_64] = 5;
}

static void open_m(struct play *p)
{
    t_ok(hf_instance_open(p->w->rm[A], &p->w->in[A]));
}

static void close_m(struct play *p)
{
    t_ok(hf_instance_close(p->w->in[A]));
    p->w->in[A] = NULL;
}

/* What comes back does not matter here: only which calls are made. */
static void act(struct play *p, const char *word)
{
    int rc = HF_OK;

    if (strcmp(word, "begin") == 0)
        rc = hf_tx_begin(p->w->tm, 0, &p->tx);
    else if (strcmp(word, "enlist") == 0)
        rc = hf_tx_enlist(p->tx, p->w->in[A]);
    else if (strcmp(word, "with-b") == 0)
        rc = hf_tx_enlist(p->tx, p->w->in[B]);
    else if (strcmp(word, "delist") == 0)
        rc = hf_tx_delist(p->tx, p->w->in[A]);
    else if (strcmp(word, "suspend") == 0)
        rc = hf_tx_suspend(p->tx);
    else if (strcmp(word, "resume") == 0)
        rc = hf_tx_resume(p->tx);
    else if (strcmp(word, "commit") == 0)
        rc = hf_tx_commit(p->tx, NULL);
    else if (strcmp(word, "rollback") == 0)
        rc = hf_tx_rollback(p->tx, NULL);
    else if (strcmp(word, "recover") == 0)
        rc = hf_tm_recover(p->w->tm, NULL);
    else if (strcmp(word, "decides") == 0)
        fake_on_call(decide_itself, NULL);
    else if (strcmp(word, "decide-itself") == 0)
        m.state[S_64] = 5;
    else if (strcmp(word, "close") == 0 || strcmp(word, "reopen") == 0)
        close_m(p);
    else if (strcmp(word, "open") != 0)
        fail_msg("%s: what is %s?", scenario, word);
    if (strcmp(word, "open") == 0 || strcmp(word, "reopen") == 0)
        open_m(p);
    if (rc == HF_EINVAL || rc == HF_EBUSY || rc == HF_ESTATE || rc == HF_ETHREAD)
        fail_msg("%s: %s: %s", scenario, word, hf_error_last()->text);
}

static void start(struct play *p)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;

    memset(&m, 0, sizeof(m));
    m_switch.flags = strncmp(scenario, "async ", 6) == 0 ? TMUSEASYNC : TMNOFLAGS;
    world_open(p->w);
    config.name = "m";
    config.xa = &m_switch;
    config.one_rmid = 1; /* so that a pass goes through the thread's own xa_open */
    t_ok(hf_rm_register(p->w->tm, &config, &p->w->rm[A]));
    config.name = "b";
    config.xa = fake_switch(B);
    config.rank = 1;
    t_ok(hf_rm_register(p->w->tm, &config, &p->w->rm[B]));
    t_ok(hf_tm_start(p->w->tm, 0));
    open_m(p);
    t_ok(hf_instance_open(p->w->rm[B], &p->w->in[B]));
}

static void play(struct world *w, const char *text)
{
    struct play p = {.w = w};
    char copy[256], *rest = NULL;

    scenario = text;
    start(&p);
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (strncmp(word, "m.", 2) == 0)
            set_answer(word + 2);
        else if (strncmp(word, "b.prepare=", 10) == 0)
            fake_answer_once(B, FAKE_PREPARE, 1, code_of(word + 10));
        else if (strcmp(word, "async") != 0)
            act(&p, word);
    }
    fake_on_call(NULL, NULL);
}

static void only_the_cells_that_are_marked__are_entered(void **state)
{
    struct world *w = *state;
    unsigned cells[TABLES] = {0}, legal[TABLES] = {0}, used[TABLES] = {0}, wrong = 0;

    for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
        play(w, scenarios[i]);
        w = world_again(state);
    }
    for (unsigned i = 0; i < ROWS; i++) {
        bool missing = false;

        for (unsigned s = 0; rows[i].next[s] != '\0'; s++) {
            bool wanted = rows[i].used[s] == 'x', entered = hits[i][s] > 0;

            missing = missing || (rows[i].next[s] != '-' && !wanted);
            cells[rows[i].table]++;
            legal[rows[i].table] += rows[i].next[s] != '-';
            used[rows[i].table] += wanted;
            if (wanted == entered)
                continue;
            print_error("table %s: %s in state %u: %s\n", table_names[rows[i].table], rows[i].name,
                        s, entered ? "entered" : "never entered");
            wrong++;
        }
        assert_int_equal(missing, rows[i].unused != NULL);
        if (missing)
            print_message("table %s: %s: not everywhere: %s\n", table_names[rows[i].table],
                          rows[i].name, rows[i].unused);
    }
    for (int t = 0; t < TABLES; t++)
        print_message("table %s: %u cells, %u legal, %u used\n", table_names[t], cells[t], legal[t],
                      used[t]);
    assert_int_equal(wrong, 0);
    assert_int_equal(cells[R_61] + cells[T_62] + cells[S_64] + cells[A_65], 4 + 33 + 108 + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(only_the_cells_that_are_marked__are_entered),
    };
    return cmocka_run_group_tests_name("xa.tables", tests, NULL, NULL);
}
