/*
 * What: hf_kv_switch obeys the state tables of [XA] chapter 6: 6-1 (open and close), 6-2
 *       (association), 6-4 (branches) and 6-5 (nothing is asynchronous), and the flags of chapter
 *       5.
 * How:  one table of rows: a call and, for each state, what it answers and which state comes next.
 *       For each cell a new branch is brought into the state, the call is made, and the new state
 *       is found out by asking. S5 does not exist here: kv takes no heuristic decisions. Last, the
 *       number of cells.
 *
 * Where a table has a blank, the answer is XAER_PROTO, or XAER_NOTA where the XID is unknown, or
 * XAER_DUPID for a new start of a known one. Rows with [RB], [RETRY] need a build with fault
 * points.
 */
#include "unit/kv/kv_t.h"

#include "holdfast/internal/fault.h"

enum { MINE = 1, OTHER = 2 }; /* rmids: the one that is tested, and a second one on the store */
enum { SAME = -1, SKIP = -2 };

enum call { OPEN, CLOSE, START, END, PREPARE, COMMIT, ROLLBACK, RECOVER, FORGET, COMPLETE, CALLS };
static const char *const call_names[CALLS] = {
    "xa_open",   "xa_close",    "xa_start",   "xa_end",    "xa_prepare",
    "xa_commit", "xa_rollback", "xa_recover", "xa_forget", "xa_complete"};

static const char *test_dir;
static long last_branch; /* number of the branch that the cell is about */
static unsigned cells;

static int call_for(enum call call, long flags, long branch)
{
    XID x = kv_xid(branch), xids[16];
    char info[MAXINFOSIZE];
    int handle = 1, retval = 0;

    snprintf(info, sizeof(info), "dir=%s/store", test_dir);
    switch (call) {
    case OPEN:
        return kv.xa_open_entry(info, MINE, flags);
    case CLOSE:
        return kv.xa_close_entry(info, MINE, flags);
    case START:
        return kv.xa_start_entry(&x, MINE, flags);
    case END:
        return kv.xa_end_entry(&x, MINE, flags);
    case PREPARE:
        return kv.xa_prepare_entry(&x, MINE, flags);
    case COMMIT:
        return kv.xa_commit_entry(&x, MINE, flags);
    case ROLLBACK:
        return kv.xa_rollback_entry(&x, MINE, flags);
    case RECOVER:
        return kv.xa_recover_entry(xids, 16, MINE, flags);
    case FORGET:
        return kv.xa_forget_entry(&x, MINE, flags);
    case COMPLETE:
        return kv.xa_complete_entry(&handle, &retval, MINE, flags);
    case CALLS:
        break;
    }
    fail_msg("no such call");
    return 0;
}

/* What a state table says of one call. */
struct cell {
    int answer;
    int next; /* SAME, SKIP: no such cell in this row, or a state */
};

struct row {
    enum call call;
    long flags;
    const char *fault; /* set for the call; NULL: none */
    int variant;       /* what the table's own runner makes of it */
    struct cell at[5];
};

/* Cells, short, so that a row is a line. */
/* clang-format off */
#define TO(answer, next) { answer, next }
#define KEEP(answer) { answer, SAME }
#define NONE { 0, SKIP }
#define PROTO KEEP(XAER_PROTO)
#define NOTA KEEP(XAER_NOTA)
#define DUPID KEEP(XAER_DUPID)
#define INVAL KEEP(XAER_INVAL)
#define FINE KEEP(XA_OK)
/* clang-format on */

static void begin_cell(const char *table, const struct row *row, int state)
{
    print_message("%s: %s(0x%lx) from state %d\n", table, call_names[row->call], row->flags, state);
    cells++;
    last_branch++;
    kv_open(MINE, test_dir);
}

static int make_call(const struct row *row, long branch)
{
    int answer;

#ifdef HF_FAULTS
    if (row->fault != NULL)
        assert_int_equal(hf__fault_set(row->fault), 0);
    answer = call_for(row->call, row->flags, branch);
    if (row->fault != NULL)
        assert_int_equal(hf__fault_set(NULL), 0);
#else
    answer = call_for(row->call, row->flags, branch);
#endif
    return answer;
}

static int is_possible(const struct row *row)
{
#ifdef HF_FAULTS
    (void)row;
    return 1;
#else
    return row->fault == NULL;
#endif
}

/* Whatever the cell left behind goes away. */
static void end_cell(void)
{
    XID x = kv_xid(last_branch);
    char none[] = "";

    for (int rmid = MINE; rmid <= OTHER; rmid++)
        (void)kv.xa_end_entry(&x, rmid, TMFAIL);
    (void)kv.xa_rollback_entry(&x, OTHER, TMNOFLAGS);
    t_xa(XA_OK, kv.xa_close_entry(none, MINE, TMNOFLAGS));
}

/* -- table 6-4: branches ----------------------------------------------------------------------- */

enum { S0, S1, S2, S3, S4, STATES };
enum { WRITER, READER, VICTIM }; /* variants: what the branch did, or what became of it */

/* clang-format off */
static const struct row rows_6_4[] = {
    /* S0 absent, S1 active, S2 idle, S3 prepared, S4 rollback-only */
    { START, TMNOFLAGS, NULL, WRITER, { TO(XA_OK, S1), PROTO, DUPID, DUPID, DUPID } },
    { START, TMNOWAIT, NULL, WRITER, { TO(XA_OK, S1), PROTO, DUPID, DUPID, DUPID } },
    { START, TMJOIN, NULL, WRITER, { NOTA, PROTO, TO(XA_OK, S1), PROTO, PROTO } },
    { START, TMRESUME, NULL, WRITER, { NOTA, PROTO, PROTO, PROTO, PROTO } },
    { START, TMJOIN | TMRESUME, NULL, WRITER, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { END, TMSUCCESS, NULL, WRITER, { NOTA, TO(XA_OK, S2), PROTO, PROTO, PROTO } },
    { END, TMSUCCESS, NULL, VICTIM, { NONE, TO(XA_RBDEADLOCK, S4), NONE, NONE, PROTO } },
    { END, TMSUSPEND, NULL, VICTIM, { NONE, TO(XA_RBDEADLOCK, S4), NONE, NONE, PROTO } },
    { END, TMFAIL, NULL, VICTIM, { NONE, TO(XA_RBDEADLOCK, S4), NONE, NONE, PROTO } },
    { PREPARE, TMNOFLAGS, NULL, VICTIM, { NONE, PROTO, NONE, NONE, PROTO } },
    { COMMIT, TMONEPHASE, NULL, VICTIM, { NONE, PROTO, NONE, NONE, PROTO } },
    { ROLLBACK, TMNOFLAGS, NULL, VICTIM, { NONE, PROTO, NONE, NONE, TO(XA_OK, S0) } },
    { END, TMFAIL, NULL, WRITER, { NOTA, TO(XA_RBROLLBACK, S4), PROTO, PROTO, PROTO } },
    { PREPARE, TMNOFLAGS, NULL, WRITER, { NOTA, PROTO, TO(XA_OK, S3), PROTO, PROTO } },
    { PREPARE, TMNOFLAGS, NULL, READER, { NONE, PROTO, TO(XA_RDONLY, S0), NONE, PROTO } },
    { PREPARE, TMNOFLAGS, "kv:prepare=fail", WRITER,
      { NONE, NONE, TO(XA_RBOTHER, S0), NONE, NONE } },
    { COMMIT, TMNOFLAGS, NULL, WRITER, { NOTA, PROTO, PROTO, TO(XA_OK, S0), PROTO } },
    { COMMIT, TMNOWAIT, NULL, WRITER, { NOTA, PROTO, PROTO, TO(XA_OK, S0), PROTO } },
    { COMMIT, TMNOFLAGS, "kv:commit=fail", WRITER, { NONE, NONE, NONE, KEEP(XA_RETRY), NONE } },
    { COMMIT, TMONEPHASE, NULL, WRITER, { NOTA, PROTO, TO(XA_OK, S0), PROTO, PROTO } },
    { COMMIT, TMONEPHASE, NULL, READER, { NONE, PROTO, TO(XA_OK, S0), NONE, PROTO } },
    { COMMIT, TMONEPHASE | TMNOWAIT, NULL, WRITER, { NOTA, PROTO, TO(XA_OK, S0), PROTO, PROTO } },
    { COMMIT, TMONEPHASE, "kv:onephase=fail", WRITER,
      { NONE, NONE, TO(XA_RBOTHER, S0), NONE, NONE } },
    { ROLLBACK, TMNOFLAGS, NULL, WRITER,
      { NOTA, PROTO, TO(XA_OK, S0), TO(XA_OK, S0), TO(XA_OK, S0) } },
    { ROLLBACK, TMNOFLAGS, "kv:rollback=fail", WRITER,
      { NONE, NONE, TO(XA_OK, S0), KEEP(XAER_RMFAIL), TO(XA_OK, S0) } },
    { FORGET, TMNOFLAGS, NULL, WRITER, { NOTA, NOTA, NOTA, NOTA, NOTA } },
    { OPEN, TMNOFLAGS, NULL, WRITER, { FINE, FINE, FINE, FINE, FINE } },
    { RECOVER, TMSTARTRSCAN, NULL, WRITER, { KEEP(0), KEEP(0), KEEP(0), KEEP(1), KEEP(0) } },
    { RECOVER, TMSTARTRSCAN | TMENDRSCAN, NULL, WRITER,
      { KEEP(0), KEEP(0), KEEP(0), KEEP(1), KEEP(0) } },
    { CLOSE, TMNOFLAGS, NULL, WRITER, { FINE, PROTO, TO(XA_OK, S0), FINE, TO(XA_OK, S0) } },
    { COMPLETE, TMNOFLAGS, NULL, WRITER, { PROTO, PROTO, PROTO, PROTO, PROTO } },
};
/* clang-format on */

/*
 * Make MINE's branch the victim of a deadlock: it waits for another branch of the same global
 * transaction, which could not end before it.
 */
static void make_victim(void)
{
    XID sister = kv_xid(last_branch);

    sister.data[sister.gtrid_length] = 's';
    t_xa(XA_OK, kv.xa_start_entry(&sister, OTHER, TMNOFLAGS));
    kv_put(OTHER, "k", "v");
    t_rc(HF_EROLLEDBACK, hf_kv_put(MINE, "k", 1, "v", 1));
    t_xa(XA_OK, kv.xa_end_entry(&sister, OTHER, TMSUCCESS));
    t_xa(XA_OK, kv.xa_rollback_entry(&sister, OTHER, TMNOFLAGS));
}

/* Bring branch last_branch into a state, by rmid MINE. */
static void enter_branch_state(int state, int variant)
{
    XID x = kv_xid(last_branch);

    if (state == S0)
        return;
    kv_begin(MINE, last_branch);
    if (variant == VICTIM)
        make_victim();
    else if (variant == WRITER)
        kv_put(MINE, "k", "v");
    else
        kv_expect(MINE, "never written", NULL);
    if (state == S1)
        return;
    t_xa(state != S4         ? XA_OK
         : variant == VICTIM ? XA_RBDEADLOCK
                             : XA_RBROLLBACK,
         kv.xa_end_entry(&x, MINE, state == S4 ? TMFAIL : TMSUCCESS));
    if (state == S3)
        t_xa(XA_OK, kv.xa_prepare_entry(&x, MINE, TMNOFLAGS));
}

/* Find out, by rmid OTHER; the branch may be changed by it. */
static int find_branch_state(void)
{
    XID x = kv_xid(last_branch), xids[16];
    int rc;

    if (kv_recover(OTHER, xids) == 1)
        return S3;
    rc = kv.xa_start_entry(&x, OTHER, TMJOIN);
    if (rc == XAER_NOTA)
        return S0;
    if (rc == XAER_PROTO)
        return S4;
    if (rc == XA_RBDEADLOCK)
        return S1; /* a victim that has not heard of it at the end of its work */
    t_xa(XA_OK, rc);
    t_xa(XA_OK, kv.xa_end_entry(&x, OTHER, TMSUCCESS));
    return kv.xa_prepare_entry(&x, OTHER, TMNOFLAGS) == XAER_PROTO ? S1 : S2;
}

static void run_branch_cell(const char *table, const struct row *row, int state)
{
    int next = row->at[state].next;

    begin_cell(table, row, state);
    enter_branch_state(state, row->variant);
    t_xa(row->at[state].answer, make_call(row, last_branch));
    assert_int_equal(find_branch_state(), next == SAME ? state : next);
    end_cell();
}

static void table_6_4__branches(void **state)
{
    test_dir = *state;
    kv_open(OTHER, test_dir);
    for (size_t r = 0; r < sizeof(rows_6_4) / sizeof(rows_6_4[0]); r++)
        for (int s = S0; s < STATES; s++)
            if (rows_6_4[r].at[s].next != SKIP && is_possible(&rows_6_4[r]))
                run_branch_cell("6-4", &rows_6_4[r], s);
}

/* -- table 6-5 and flags: no state changes ----------------------------------------------------- */

/* One flag that each call does not know. */
static const struct {
    enum call call;
    long base;    /* flags that would be valid */
    long unknown; /* one more */
} bad_flags[] = {
    {OPEN, TMNOFLAGS, TMNOWAIT},      {CLOSE, TMNOFLAGS, TMFAIL},
    {START, TMNOFLAGS, TMMIGRATE},    {START, TMJOIN, TMONEPHASE},
    {END, TMSUCCESS, TMFAIL},         {END, TMSUCCESS, TMSUSPEND},
    {END, TMSUCCESS, TMMIGRATE},      {END, TMFAIL, TMMIGRATE},
    {END, TMSUSPEND, TMNOWAIT},       {END, TMNOFLAGS, TMNOFLAGS},
    {PREPARE, TMNOFLAGS, TMNOWAIT},   {COMMIT, TMNOFLAGS, TMJOIN},
    {ROLLBACK, TMNOFLAGS, TMNOWAIT},  {RECOVER, TMSTARTRSCAN, TMNOWAIT},
    {RECOVER, TMSTARTRSCAN, TMASYNC}, {FORGET, TMNOFLAGS, TMNOWAIT},
};

static void flags__that_a_call_does_not_know_change_nothing(void **state)
{
    struct row row = {0};

    test_dir = *state;
    kv_open(OTHER, test_dir);
    for (size_t i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++) {
        row.call = bad_flags[i].call;
        row.flags = bad_flags[i].base | bad_flags[i].unknown;
        for (int s = S0; s < STATES; s++) {
            row.at[s] = (struct cell){XAER_INVAL, SAME};
            run_branch_cell("flags", &row, s);
        }
    }
}

static void table_6_5__nothing_is_asynchronous(void **state)
{
    static const struct {
        enum call call;
        long base;
    } calls[] = {
        {OPEN, TMNOFLAGS},    {CLOSE, TMNOFLAGS},   {START, TMNOFLAGS},    {END, TMSUCCESS},
        {PREPARE, TMNOFLAGS}, {COMMIT, TMONEPHASE}, {ROLLBACK, TMNOFLAGS}, {FORGET, TMNOFLAGS},
    };
    struct row row = {0};

    test_dir = *state;
    kv_open(OTHER, test_dir);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        row.call = calls[i].call;
        row.flags = calls[i].base | TMASYNC;
        for (int s = S0; s < STATES; s++) {
            row.at[s] = (struct cell){XAER_ASYNC, SAME};
            run_branch_cell("6-5", &row, s);
        }
    }
    assert_int_equal(kv.flags & TMUSEASYNC, 0);
    kv_open(MINE, test_dir); /* an int on the way makes the flag negative */
    t_xa(XAER_ASYNC, call_for(PREPARE, (long)(int)TMASYNC, 1));
}

/* -- table 6-2: association -------------------------------------------------------------------- */

enum { T0, T1, T2, R0 };
/* Variants: the XID that the call names, or a branch that another rmid has spoilt. */
enum { OWN, NEW, IDLE, SPOILT };

/* clang-format off */
static const struct row rows_6_2[] = {
    /* T0 none, T1 associated, T2 suspended */
    { START, TMNOFLAGS, NULL, NEW, { TO(XA_OK, T1), PROTO, PROTO } },
    { START, TMJOIN, NULL, IDLE, { TO(XA_OK, T1), PROTO, PROTO } },
    { START, TMJOIN, NULL, NEW, { NOTA, NOTA, NOTA } },
    { START, TMRESUME, NULL, OWN, { PROTO, PROTO, TO(XA_OK, T1) } },
    { START, TMRESUME, NULL, NEW, { NOTA, NOTA, NOTA } },
    { START, TMRESUME, NULL, IDLE, { PROTO, PROTO, PROTO } },
    { START, TMRESUME, NULL, SPOILT, { NONE, PROTO, TO(XA_RBROLLBACK, T0) } },
    { END, TMSUSPEND, NULL, OWN, { PROTO, TO(XA_OK, T2), PROTO } },
    { END, TMSUSPEND | TMMIGRATE, NULL, OWN, { PROTO, TO(XA_OK, T2), PROTO } },
    { END, TMSUSPEND, NULL, SPOILT, { NONE, TO(XA_RBROLLBACK, T0), PROTO } },
    { END, TMSUCCESS, NULL, OWN, { PROTO, TO(XA_OK, T0), TO(XA_OK, T0) } },
    { END, TMSUCCESS, NULL, SPOILT, { NONE, TO(XA_RBROLLBACK, T0), TO(XA_RBROLLBACK, T0) } },
    { END, TMSUCCESS, NULL, NEW, { NOTA, NOTA, NOTA } },
    { END, TMSUCCESS, NULL, IDLE, { PROTO, PROTO, PROTO } },
    { END, TMFAIL, NULL, OWN, { PROTO, TO(XA_RBROLLBACK, T0), TO(XA_RBROLLBACK, T0) } },
    { PREPARE, TMNOFLAGS, NULL, OWN, { KEEP(XA_RDONLY), PROTO, PROTO } },
    { COMMIT, TMONEPHASE, NULL, OWN, { FINE, PROTO, PROTO } },
    { ROLLBACK, TMNOFLAGS, NULL, OWN, { FINE, PROTO, PROTO } },
    { OPEN, TMNOFLAGS, NULL, OWN, { FINE, FINE, FINE } },
    { RECOVER, TMSTARTRSCAN, NULL, OWN, { KEEP(0), KEEP(0), KEEP(0) } },
    { CLOSE, TMNOFLAGS, NULL, OWN, { TO(XA_OK, R0), PROTO, TO(XA_OK, R0) } },
};
/* clang-format on */

/* The rmid MINE and its branch last_branch; in T0 the branch is idle. */
static void enter_association(int state)
{
    XID x = kv_xid(last_branch);

    kv_begin(MINE, last_branch);
    if (state == T1)
        return;
    t_xa(XA_OK, kv.xa_end_entry(&x, MINE, state == T2 ? TMSUSPEND : TMSUCCESS));
}

static int find_association(long branch)
{
    XID x = kv_xid(branch), xids[16];

    if (kv_recover(MINE, xids) == XAER_PROTO)
        return R0;
    if (kv.xa_start_entry(&x, MINE, TMRESUME) != XAER_PROTO) /* XA_OK, or spoilt */
        return kv.xa_end_entry(&x, MINE, TMSUCCESS) == XAER_NOTA ? T0 : T2;
    return kv.xa_end_entry(&x, MINE, TMSUCCESS) == XAER_PROTO ? T0 : T1;
}

static void run_association_cell(const struct row *row, int state)
{
    int next = row->at[state].next == SAME ? state : row->at[state].next;
    long named = last_branch + 1, other = last_branch + 1000000;
    XID own = kv_xid(named), idle = kv_xid(other);

    begin_cell("6-2", row, state);
    enter_association(state);
    if (row->variant == NEW || row->variant == IDLE)
        named = other;
    if (row->variant == IDLE) {
        kv_begin(OTHER, other);
        kv_end(OTHER, other);
    } else if (row->variant == SPOILT) {
        t_xa(XA_OK, kv.xa_start_entry(&own, OTHER, TMJOIN));
        t_xa(XA_RBROLLBACK, kv.xa_end_entry(&own, OTHER, TMFAIL));
    }
    t_xa(row->at[state].answer, make_call(row, named));
    /* A start makes its XID the rmid's own. */
    assert_int_equal(find_association(next == T1 && state == T0 ? named : last_branch), next);
    (void)kv.xa_end_entry(&idle, MINE, TMFAIL);
    (void)kv.xa_rollback_entry(&idle, OTHER, TMNOFLAGS);
    end_cell();
}

static void table_6_2__association(void **state)
{
    test_dir = *state;
    kv_open(OTHER, test_dir);
    for (size_t r = 0; r < sizeof(rows_6_2) / sizeof(rows_6_2[0]); r++)
        for (int s = T0; s <= T2; s++)
            if (rows_6_2[r].at[s].next != SKIP)
                run_association_cell(&rows_6_2[r], s);
}

/* -- table 6-1: opening and closing ------------------------------------------------------------ */

/* R0: every call but open and close is out of place; R1 is what the other tables are about. */
static void table_6_1__closed_and_open(void **state)
{
    static const long flags[CALLS] = {[END] = TMSUCCESS, [RECOVER] = TMSTARTRSCAN};

    test_dir = *state;
    for (enum call call = START; call < CALLS; call++, cells++)
        t_xa(XAER_PROTO, call_for(call, flags[call], 1));
    t_xa(XA_OK, call_for(CLOSE, TMNOFLAGS, 0)); /* R0 stays R0 */
    t_xa(XAER_PROTO, call_for(RECOVER, TMSTARTRSCAN, 0));
    t_xa(XA_OK, call_for(OPEN, TMNOFLAGS, 0)); /* to R1 */
    t_xa(0, call_for(RECOVER, TMSTARTRSCAN, 0));
    t_xa(XA_OK, call_for(OPEN, TMNOFLAGS, 0)); /* R1 stays R1, and one close is enough */
    t_xa(0, call_for(RECOVER, TMSTARTRSCAN, 0));
    t_xa(XA_OK, call_for(CLOSE, TMNOFLAGS, 0)); /* to R0 */
    t_xa(XAER_PROTO, call_for(RECOVER, TMSTARTRSCAN, 0));
    cells += 4;
}

/* -- arguments --------------------------------------------------------------------------------- */

static void arguments__that_are_not_valid_are_refused(void **state)
{
    XID x = kv_xid(1), xids[2];
    char none[] = "";

    test_dir = *state;
    t_xa(XAER_INVAL, kv.xa_open_entry(NULL, MINE, TMNOFLAGS));
    t_xa(XAER_INVAL, kv.xa_open_entry(none, MINE, TMNOFLAGS));
    kv_open(MINE, test_dir);
    t_xa(XA_OK, kv.xa_open_entry(none, MINE, TMNOFLAGS)); /* open already: the string is not read */
    t_xa(XAER_INVAL, kv.xa_start_entry(NULL, MINE, TMNOFLAGS));
    t_xa(XAER_INVAL, kv.xa_prepare_entry(NULL, MINE, TMNOFLAGS));
    x.formatID = -1;
    t_xa(XAER_INVAL, kv.xa_start_entry(&x, MINE, TMNOFLAGS));
    t_xa(XAER_INVAL, kv.xa_commit_entry(&x, MINE, TMNOFLAGS));
    x = kv_xid(1);
    x.gtrid_length = 65;
    t_xa(XAER_INVAL, kv.xa_start_entry(&x, MINE, TMNOFLAGS));
    t_xa(XAER_INVAL, kv.xa_recover_entry(NULL, 1, MINE, TMSTARTRSCAN));
    t_xa(XAER_INVAL, kv.xa_recover_entry(xids, -1, MINE, TMSTARTRSCAN));
    t_xa(XAER_INVAL, kv.xa_recover_entry(xids, 2, MINE, TMNOFLAGS)); /* no scan is open */
    t_xa(0, kv.xa_recover_entry(NULL, 0, MINE, TMSTARTRSCAN));
    t_xa(0, kv.xa_recover_entry(xids, 2, MINE, TMNOFLAGS));
}

/* An XID of the greatest size, with a branch qualifier or without, and any formatID but -1. */
static void xids__of_every_size_are_taken(void **state)
{
    static const long lengths[][2] = {{1, 0}, {1, 1}, {64, 0}, {64, 64}};
    static const long formats[] = {0, 1, LONG_MAX, -2};
    XID x, back;

    test_dir = *state;
    kv_open(MINE, test_dir);
    for (size_t i = 0; i < 4; i++) {
        memset(&x, 'x', sizeof(x));
        x.formatID = formats[i];
        x.gtrid_length = lengths[i][0];
        x.bqual_length = lengths[i][1];
        t_xa(XA_OK, kv.xa_start_entry(&x, MINE, TMNOFLAGS));
        kv_put(MINE, "k", "v");
        memset(x.data + x.gtrid_length + x.bqual_length, i == 3 ? 'x' : 'y',
               (size_t)(XIDDATASIZE - x.gtrid_length - x.bqual_length));
        t_xa(XA_OK, kv.xa_end_entry(&x, MINE, TMSUCCESS));
        t_xa(XA_OK, kv.xa_prepare_entry(&x, MINE, TMNOFLAGS));
        t_xa(1, kv.xa_recover_entry(&back, 1, MINE, TMSTARTRSCAN | TMENDRSCAN));
        assert_int_equal(back.formatID, x.formatID);
        assert_int_equal(back.gtrid_length, x.gtrid_length);
        assert_int_equal(back.bqual_length, x.bqual_length);
        assert_memory_equal(back.data, x.data, (size_t)(x.gtrid_length + x.bqual_length));
        t_xa(XA_OK, kv.xa_commit_entry(&back, MINE, TMNOFLAGS));
    }
}

static void switch__is_what_a_transaction_manager_accepts(void **state)
{
    (void)state;
    assert_string_equal(kv.name, "holdfast kv");
    assert_int_equal(kv.version, 0);
    assert_int_equal(kv.flags, TMNOFLAGS);
}

static int print_cells(void **state)
{
    (void)state;
    print_message("kv: %u cells of tables 6-1, 6-2, 6-4, 6-5 and of flags compared\n", cells);
    return cells > 250 ? 0 : -1; /* a table that is not walked any more is noticed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KV_TEST(switch__is_what_a_transaction_manager_accepts),
        KV_TEST(table_6_1__closed_and_open),
        KV_TEST(table_6_2__association),
        KV_TEST(table_6_4__branches),
        KV_TEST(table_6_5__nothing_is_asynchronous),
        KV_TEST(flags__that_a_call_does_not_know_change_nothing),
        KV_TEST(arguments__that_are_not_valid_are_refused),
        KV_TEST(xids__of_every_size_are_taken),
    };

    return cmocka_run_group_tests_name("kv.switch", tests, NULL, print_cells);
}
