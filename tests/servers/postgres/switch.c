/*
 * What: hf_postgres_switch obeys the state tables of [XA] chapter 6: 6-1 (open and close), 6-2
 *       (association), 6-4 (branches), 6-5 (asynchronous calls), and the flags of chapter 5.
 * How:  tables of rows: a call and, for each state, what it answers and which state comes next. For
 *       each cell a new branch is brought into the state, the call is made, and the new state is
 *       found out by asking. S5 does not exist: PostgreSQL takes no heuristic decisions. Last, the
 *       number of cells.
 *
 * Where a table has a blank the answer is XAER_PROTO, or XAER_NOTA where the XID is unknown, or
 * XAER_DUPID for a new start of a known one.
 */
#include "pg_t.h"

enum { MINE = 1, OTHER = 2 }; /* rmids: the one that is tested, and one to tidy up by */
enum { SAME = -1 };

enum call { OPEN, CLOSE, START, END, PREPARE, COMMIT, ROLLBACK, RECOVER, FORGET, COMPLETE };
static const char *const call_names[] = {"xa_open",    "xa_close",   "xa_start",    "xa_end",
                                         "xa_prepare", "xa_commit",  "xa_rollback", "xa_recover",
                                         "xa_forget",  "xa_complete"};

static long last_branch;
static unsigned cells;

static int call_by(int rmid, enum call call, long flags, long branch)
{
    XID x = pg_xid(branch), xids[16];
    int handle = 1, retval = 0;
    char none[] = "";

    switch (call) {
    case OPEN:
        return pg.xa_open_entry(pg_info("one"), rmid, flags);
    case CLOSE:
        return pg.xa_close_entry(none, rmid, flags);
    case START:
        return pg.xa_start_entry(&x, rmid, flags);
    case END:
        return pg.xa_end_entry(&x, rmid, flags);
    case PREPARE:
        return pg.xa_prepare_entry(&x, rmid, flags);
    case COMMIT:
        return pg.xa_commit_entry(&x, rmid, flags);
    case ROLLBACK:
        return pg.xa_rollback_entry(&x, rmid, flags);
    case RECOVER:
        return pg.xa_recover_entry(xids, 16, rmid, flags);
    case FORGET:
        return pg.xa_forget_entry(&x, rmid, flags);
    case COMPLETE:
        return pg.xa_complete_entry(&handle, &retval, rmid, flags);
    }
    fail_msg("no such call");
    return 0;
}

static int do_call(enum call call, long flags, long branch)
{
    return call_by(MINE, call, flags, branch);
}

static int is_prepared(long branch)
{
    char sql[256];

    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE '4711\\_%%' AND "
             "convert_from(decode(split_part(gid, '_', 2), 'base64'), 'UTF8') = '%08ld'",
             branch);
    return pg_number("one", sql);
}

struct cell {
    int answer;
    int next; /* SAME, or a state */
};

struct row {
    enum call call;
    long flags;
    struct cell at[5];
};

static void begin_cell(const char *table, const struct row *row, int state)
{
    print_message("%s: %s(0x%lx) from state %d\n", table, call_names[row->call], row->flags, state);
    cells++;
    last_branch++;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
}

/* Whatever the cell left behind goes away. */
static void end_cell(void)
{
    (void)do_call(END, TMFAIL, last_branch);
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
    (void)call_by(OTHER, ROLLBACK, TMNOFLAGS, last_branch);
    assert_int_equal(pg_prepared(), 0);
}

/* clang-format off */
#define TO(answer, next) { answer, next }
#define PROTO { XAER_PROTO, SAME }
#define NOTA { XAER_NOTA, SAME }
#define DUPID { XAER_DUPID, SAME }
#define INVAL { XAER_INVAL, SAME }
#define FINE { XA_OK, SAME }
/* clang-format on */

/* -- table 6-4: branches ----------------------------------------------------------------------- */

enum { S0, S1, S2, S3, S4, STATES };

/* clang-format off */
static const struct row rows_6_4[] = {
    /* S0 absent, S1 active, S2 idle, S3 prepared, S4 rollback-only */
    { START, TMNOFLAGS, { TO(XA_OK, S1), PROTO, DUPID, DUPID, DUPID } },
    { START, TMNOWAIT, { TO(XA_OK, S1), PROTO, DUPID, DUPID, DUPID } },
    { START, TMJOIN, { NOTA, PROTO, TO(XA_OK, S1), PROTO, PROTO } },
    { START, TMRESUME, { NOTA, PROTO, PROTO, PROTO, PROTO } },
    { START, TMJOIN | TMRESUME, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { START, TMONEPHASE, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { END, TMSUCCESS, { NOTA, TO(XA_OK, S2), PROTO, PROTO, PROTO } },
    { END, TMFAIL, { NOTA, TO(XA_RBROLLBACK, S4), PROTO, PROTO, PROTO } },
    { END, TMSUSPEND, { NOTA, TO(XA_OK, S1), PROTO, PROTO, PROTO } },
    { END, TMSUSPEND | TMMIGRATE, { NOTA, TO(XA_OK, S1), PROTO, PROTO, PROTO } },
    { END, TMNOFLAGS, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { END, TMSUCCESS | TMFAIL, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { END, TMSUCCESS | TMMIGRATE, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { PREPARE, TMNOFLAGS, { NOTA, PROTO, TO(XA_OK, S3), PROTO, PROTO } },
    { PREPARE, TMNOWAIT, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { COMMIT, TMNOFLAGS, { NOTA, PROTO, PROTO, TO(XA_OK, S0), PROTO } },
    { COMMIT, TMNOWAIT, { NOTA, PROTO, PROTO, TO(XA_OK, S0), PROTO } },
    { COMMIT, TMONEPHASE, { NOTA, PROTO, TO(XA_OK, S0), PROTO, PROTO } },
    { COMMIT, TMJOIN, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { ROLLBACK, TMNOFLAGS, { NOTA, PROTO, TO(XA_OK, S0), TO(XA_OK, S0), TO(XA_OK, S0) } },
    { ROLLBACK, TMNOWAIT, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { FORGET, TMNOFLAGS, { NOTA, NOTA, NOTA, NOTA, NOTA } },
    { FORGET, TMNOWAIT, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { RECOVER, TMSTARTRSCAN | TMENDRSCAN, { TO(0, SAME), TO(0, SAME), TO(0, SAME), TO(1, SAME),
                                            TO(0, SAME) } },
    { RECOVER, TMNOFLAGS, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { RECOVER, TMASYNC | TMSTARTRSCAN, { INVAL, INVAL, INVAL, INVAL, INVAL } },
    { OPEN, TMNOFLAGS, { FINE, FINE, FINE, FINE, FINE } },
    { CLOSE, TMNOFLAGS, { FINE, PROTO, TO(XA_OK, S0), FINE, TO(XA_OK, S0) } },
    { COMPLETE, TMNOFLAGS, { PROTO, PROTO, PROTO, PROTO, PROTO } },
    { COMPLETE, TMJOIN, { INVAL, INVAL, INVAL, INVAL, INVAL } },
};
/* clang-format on */

static void bring_to(int state, long branch)
{
    if (state == S0)
        return;
    t_xa(XA_OK, do_call(START, TMNOFLAGS, branch));
    pg_do(MINE, "INSERT INTO entry DEFAULT VALUES");
    if (state == S1)
        return;
    if (state == S4) {
        t_xa(XA_RBROLLBACK, do_call(END, TMFAIL, branch));
        return;
    }
    t_xa(XA_OK, do_call(END, TMSUCCESS, branch));
    if (state == S3)
        t_xa(XA_OK, do_call(PREPARE, TMNOFLAGS, branch));
}

static int find_state(long branch)
{
    if (is_prepared(branch))
        return S3;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0)); /* the cell may have closed it */
    switch (do_call(START, TMJOIN, branch)) {
    case XAER_NOTA:
        return S0;
    case XA_OK:
        t_xa(XA_OK, do_call(END, TMSUCCESS, branch));
        return S2;
    default:
        return do_call(END, TMSUCCESS, branch) == XA_OK ? S1 : S4;
    }
}

static void branches_follow_table_6_4(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows_6_4) / sizeof(rows_6_4[0]); i++) {
        for (int s = S0; s < STATES; s++) {
            const struct row *row = &rows_6_4[i];

            begin_cell("6-4", row, s);
            bring_to(s, last_branch);
            t_xa(row->at[s].answer, do_call(row->call, row->flags, last_branch));
            assert_int_equal(find_state(last_branch),
                             row->at[s].next == SAME ? s : row->at[s].next);
            end_cell();
        }
    }
}

/* any [XAER_RMFAIL] -> R0: all states, and what is left at the server. */
static void a_broken_connection_is_r0_until_it_is_opened_again(void **state)
{
    static const struct row calls[] = {
        {START, TMNOFLAGS, {{0, 0}}},  {START, TMJOIN, {{0, 0}}},
        {END, TMSUCCESS, {{0, 0}}},    {PREPARE, TMNOFLAGS, {{0, 0}}},
        {COMMIT, TMNOFLAGS, {{0, 0}}}, {ROLLBACK, TMNOFLAGS, {{0, 0}}},
        {FORGET, TMNOFLAGS, {{0, 0}}}, {RECOVER, TMSTARTRSCAN, {{0, 0}}},
    };
    /* the call that notices; prepare cannot come in S1, nor can the others in S0 and S3 */
    static const struct {
        enum call call;
        long flags;
        int state;
    } notices[] = {{RECOVER, TMSTARTRSCAN, S0}, {END, TMSUCCESS, S1},      {PREPARE, TMNOFLAGS, S2},
                   {COMMIT, TMONEPHASE, S2},    {ROLLBACK, TMNOFLAGS, S2}, {COMMIT, TMNOFLAGS, S3},
                   {ROLLBACK, TMNOFLAGS, S3},   {ROLLBACK, TMNOFLAGS, S4}};

    (void)state;
    for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++) {
        struct row row = {notices[i].call, notices[i].flags, {{0, 0}}};

        begin_cell("R0", &row, notices[i].state);
        bring_to(notices[i].state, last_branch);
        pg_value("postgres", "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
                             "WHERE application_name = 'holdfast'");
        if (notices[i].call == END) /* it asks libpq, which knows when a statement has failed */
            pg_fails(MINE, "SELECT 1", NULL);
        t_xa(XAER_RMFAIL, do_call(notices[i].call, notices[i].flags, last_branch));
        for (size_t j = 0; j < sizeof(calls) / sizeof(calls[0]); j++) {
            cells++;
            t_xa(XAER_RMFAIL, do_call(calls[j].call, calls[j].flags, last_branch));
        }
        assert_null(hf_postgres_conn(MINE));
        assert_null(hf_postgres_exec(MINE, "SELECT 1"));
        t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
        assert_int_equal(is_prepared(last_branch), notices[i].state == S3);
        t_xa(notices[i].state == S3 ? XA_OK : XAER_NOTA, do_call(COMMIT, TMNOFLAGS, last_branch));
        pg_do(MINE, "SELECT 1");
        t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
        t_xa(XA_OK, call_by(OTHER, CLOSE, TMNOFLAGS, 0)); /* its connection was ended, too */
        t_xa(XA_OK, call_by(OTHER, OPEN, TMNOFLAGS, 0));
    }
}

/* -- tables 6-1 and 6-2: opening, association -------------------------------------------------- */

enum { T0, T1, T2, R0, ASSOCIATIONS };

/* clang-format off */
static const struct row rows_6_2[] = {
    /* T0 not associated, its branch is idle; T1 associated; T2 suspended; R0 closed */
    { START, TMNOFLAGS, { DUPID, PROTO, PROTO, PROTO } },
    { START, TMRESUME, { PROTO, PROTO, TO(XA_OK, T1), PROTO } },
    { START, TMJOIN, { TO(XA_OK, T1), PROTO, PROTO, PROTO } },
    { END, TMSUSPEND, { PROTO, TO(XA_OK, T2), PROTO, PROTO } },
    { END, TMSUCCESS, { PROTO, TO(XA_OK, T0), TO(XA_OK, T0), PROTO } },
    { PREPARE, TMNOFLAGS, { FINE, PROTO, PROTO, PROTO } },
    { COMMIT, TMONEPHASE, { FINE, PROTO, PROTO, PROTO } },
    { ROLLBACK, TMNOFLAGS, { FINE, PROTO, PROTO, PROTO } },
    { OPEN, TMNOFLAGS, { FINE, FINE, FINE, TO(XA_OK, T0) } },
    { RECOVER, TMSTARTRSCAN | TMENDRSCAN, { FINE, FINE, FINE, PROTO } },
    { CLOSE, TMNOFLAGS, { TO(XA_OK, R0), PROTO, TO(XA_OK, R0), FINE } },
    { OPEN, TMASYNC, { TO(XAER_ASYNC, SAME), TO(XAER_ASYNC, SAME), TO(XAER_ASYNC, SAME),
                       TO(XAER_ASYNC, SAME) } },
    { CLOSE, TMASYNC, { TO(XAER_ASYNC, SAME), TO(XAER_ASYNC, SAME), TO(XAER_ASYNC, SAME),
                        TO(XAER_ASYNC, SAME) } },
    { OPEN, TMJOIN, { INVAL, INVAL, INVAL, INVAL } },
    { CLOSE, TMJOIN, { INVAL, INVAL, INVAL, INVAL } },
};
/* clang-format on */

static int find_association(long branch)
{
    XID xids[1];

    if (pg.xa_recover_entry(xids, 1, MINE, TMSTARTRSCAN | TMENDRSCAN) == XAER_PROTO)
        return R0;
    if (do_call(START, TMRESUME, branch) == XA_OK)
        return T2;
    return do_call(END, TMSUSPEND, branch) == XA_OK ? T1 : T0;
}

static void associations_follow_tables_6_1_and_6_2(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows_6_2) / sizeof(rows_6_2[0]); i++) {
        for (int s = T0; s < ASSOCIATIONS; s++) {
            const struct row *row = &rows_6_2[i];

            begin_cell("6-2", row, s);
            bring_to(s == T0 ? S2 : s == R0 ? S0 : S1, last_branch);
            if (s == T2)
                t_xa(XA_OK, do_call(END, TMSUSPEND, last_branch));
            else if (s == R0)
                t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
            t_xa(row->at[s].answer, do_call(row->call, row->flags, last_branch));
            assert_int_equal(find_association(last_branch),
                             row->at[s].next == SAME ? s : row->at[s].next);
            t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
            end_cell();
        }
    }
}

static void a_branch_may_be_suspended_and_worked_on(void **state)
{
    long b = ++last_branch;

    (void)state;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    t_xa(XA_OK, do_call(START, TMNOFLAGS, b));
    pg_do(MINE, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_OK, do_call(END, TMSUSPEND | TMMIGRATE, b));
    assert_null(hf_postgres_conn(MINE));
    assert_null(hf_postgres_exec(MINE, "SELECT 1"));
    t_xa(XA_OK, do_call(START, TMRESUME, b));
    pg_do(MINE, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_OK, do_call(END, TMSUCCESS, b));
    assert_null(hf_postgres_exec(MINE, "SELECT 1"));
    t_xa(XA_OK, do_call(START, TMJOIN, b));
    pg_do(MINE, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_OK, do_call(END, TMSUCCESS, b));
    t_xa(XA_OK, do_call(COMMIT, TMONEPHASE, b));
    assert_int_equal(pg_number("one", "SELECT count(*) FROM entry"), 3);
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
}

static void a_connection_has_one_unprepared_branch(void **state)
{
    long first = ++last_branch, second = ++last_branch;

    (void)state;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    bring_to(S2, first);
    t_xa(XAER_RMERR, do_call(START, TMNOFLAGS, second));
    t_xa(XA_OK, do_call(PREPARE, TMNOFLAGS, first));
    bring_to(S1, second); /* the first is prepared and needs no connection */
    t_xa(XA_RETRY, do_call(COMMIT, TMNOFLAGS, first));
    t_xa(XAER_PROTO, do_call(ROLLBACK, TMNOFLAGS, first));
    t_xa(XA_OK, call_by(OTHER, COMMIT, TMNOFLAGS, first)); /* by any rmid of the database */
    t_xa(XA_OK, do_call(END, TMSUCCESS, second));
    t_xa(XA_OK, do_call(ROLLBACK, TMNOFLAGS, second));
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
}

static void a_transaction_of_the_users_own_is_outside(void **state)
{
    long b = ++last_branch;

    (void)state;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    pg_do(MINE, "BEGIN");
    t_xa(XAER_OUTSIDE, do_call(START, TMNOFLAGS, b));
    pg_do(MINE, "COMMIT");
    t_xa(XA_OK, do_call(START, TMNOFLAGS, b));
    t_xa(XA_OK, do_call(END, TMSUCCESS, b));
    t_xa(XA_RDONLY, do_call(PREPARE, TMNOFLAGS, b)); /* nothing was sent */
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
}

/* -- table 6-5: asynchronous calls ------------------------------------------------------------- */

static int complete(int handle, long flags, int *ret)
{
    return pg.xa_complete_entry(&handle, ret, MINE, flags);
}

static void an_operation_is_pending_until_it_is_completed(void **state)
{
    int handle, answer = 99, any = 0;
    long b = ++last_branch;

    (void)state;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    bring_to(S2, b);
    handle = do_call(PREPARE, TMASYNC, b);
    assert_true(handle > 0);
    /* A1: nothing else on this rmid */
    t_xa(XAER_ASYNC, do_call(PREPARE, TMASYNC, b));
    t_xa(XAER_PROTO, do_call(COMMIT, TMNOFLAGS, b));
    t_xa(XAER_PROTO, do_call(RECOVER, TMSTARTRSCAN, b));
    t_xa(XAER_PROTO, do_call(CLOSE, TMNOFLAGS, b));
    assert_null(hf_postgres_conn(MINE));
    t_xa(XAER_INVAL, complete(handle + 1, TMNOFLAGS, &answer));
    t_xa(XA_OK, complete(handle, TMNOFLAGS, &answer));
    assert_int_equal(answer, XA_OK);
    t_xa(XAER_PROTO, complete(handle, TMNOFLAGS, &answer)); /* A0 */
    assert_int_equal(is_prepared(b), 1);

    handle = do_call(COMMIT, TMASYNC, b);
    assert_true(handle > 0);
    t_xa(XA_OK, pg.xa_complete_entry(&any, &answer, MINE, TMMULTIPLE));
    assert_int_equal(any, handle);
    assert_int_equal(answer, XA_OK);

    /* calls that send nothing, and the others */
    for (int i = 0; i < 2; i++) {
        b = ++last_branch;
        t_xa(XA_OK, (complete(do_call(START, TMASYNC, b), TMNOFLAGS, &answer), answer));
        pg_do(MINE, "INSERT INTO entry DEFAULT VALUES");
        t_xa(XA_OK, (complete(do_call(END, TMSUCCESS | TMASYNC, b), TMNOFLAGS, &answer), answer));
        t_xa(XAER_NOTA, do_call(FORGET, TMASYNC, b));
        t_xa(XA_OK, (complete(i == 0 ? do_call(ROLLBACK, TMASYNC, b)
                                     : do_call(COMMIT, TMONEPHASE | TMASYNC, b),
                              TMNOFLAGS, &answer),
                     answer));
    }
    assert_int_equal(pg_number("one", "SELECT count(*) FROM entry"), 2);
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
}

/* A vote that waits for a lock in a deferred trigger: it is not there at once. */
static void xa_complete_does_not_wait_with_tmnowait(void **state)
{
    PGconn *holder = PQconnectdb(pg_info("one"));
    int handle, answer = 99, rc;
    long b = ++last_branch;

    (void)state;
    pg_value("one", "CREATE FUNCTION wait_for_it() RETURNS trigger LANGUAGE plpgsql AS "
                    "'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END'");
    pg_value("one", "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON entry DEFERRABLE INITIALLY "
                    "DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_for_it()");
    PQclear(PQexec(holder, "SELECT pg_advisory_lock(1)"));
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    bring_to(S2, b);
    handle = do_call(PREPARE, TMASYNC, b);
    assert_true(handle > 0);
    for (int i = 0; i < 5; i++) {
        t_xa(XA_RETRY, complete(handle, TMNOWAIT, &answer));
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    PQfinish(holder);
    while ((rc = complete(handle, TMNOWAIT, &answer)) == XA_RETRY)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    t_xa(XA_OK, rc);

    t_xa(XA_OK, answer);
    t_xa(XA_OK, do_call(ROLLBACK, TMNOFLAGS, b));
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
    pg_value("one", "DROP TRIGGER wait ON entry");
    pg_value("one", "DROP FUNCTION wait_for_it");
}

/* -- xids, rmids, scans ------------------------------------------------------------------------ */

static void refuses_xids_that_are_none(void **state)
{
    static const struct {
        long format, gtrid, bqual;
    } bad[] = {{-1, 8, 2}, {-2, 8, 2}, {1, 0, 2}, {1, 65, 2}, {1, 8, -1}, {1, 8, 65}};

    (void)state;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        XID x = pg_xid(1);

        x.formatID = bad[i].format;
        x.gtrid_length = bad[i].gtrid;
        x.bqual_length = bad[i].bqual;
        t_xa(XAER_INVAL, pg.xa_start_entry(&x, MINE, TMNOFLAGS));
        t_xa(XAER_INVAL, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    }
    t_xa(XAER_INVAL, pg.xa_start_entry(NULL, MINE, TMNOFLAGS));
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
}

static void scans_in_pieces(void **state)
{
    XID xids[8];
    long first = last_branch + 1;

    (void)state;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    for (int i = 0; i < 5; i++)
        bring_to(S3, ++last_branch);
    t_xa(2, pg.xa_recover_entry(xids, 2, MINE, TMSTARTRSCAN));
    t_xa(2, pg.xa_recover_entry(xids, 2, MINE, TMNOFLAGS));
    t_xa(1, pg.xa_recover_entry(xids, 2, MINE, TMNOFLAGS)); /* fewer: the scan is over */
    t_xa(XAER_INVAL, pg.xa_recover_entry(xids, 2, MINE, TMNOFLAGS));
    t_xa(2, pg.xa_recover_entry(xids, 2, MINE, TMSTARTRSCAN | TMENDRSCAN));
    t_xa(XAER_INVAL, pg.xa_recover_entry(xids, 2, MINE, TMNOFLAGS));
    t_xa(2, pg.xa_recover_entry(xids, 2, MINE, TMSTARTRSCAN));
    t_xa(5, pg.xa_recover_entry(xids, 8, MINE, TMSTARTRSCAN)); /* from the start again */
    t_xa(XAER_INVAL, pg.xa_recover_entry(NULL, 2, MINE, TMSTARTRSCAN));
    t_xa(XAER_INVAL, pg.xa_recover_entry(xids, -1, MINE, TMSTARTRSCAN));
    t_xa(0, pg.xa_recover_entry(NULL, 0, MINE, TMSTARTRSCAN | TMENDRSCAN));
    for (int i = 0; i < 5; i++) {
        XID x = pg_xid(first + i);
        int found = 0;

        for (int j = 0; j < 5; j++)
            found += memcmp(&x, &xids[j], sizeof(x)) == 0;
        assert_int_equal(found, 1);
        t_xa(XA_OK, do_call(ROLLBACK, TMNOFLAGS, first + i));
    }
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
}

static void a_child_after_fork_touches_nothing_of_its_parents(void **state)
{
    long b = last_branch + 1; /* the one after it is the child's */
    int status;
    pid_t pid;

    (void)state;
    last_branch += 2;
    t_xa(XA_OK, do_call(OPEN, TMNOFLAGS, 0));
    bring_to(S1, b);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int good =
            do_call(END, TMSUCCESS, b) == XAER_RMFAIL &&
            do_call(ROLLBACK, TMNOFLAGS, b) == XAER_RMFAIL &&
            hf_postgres_exec(MINE, "SELECT 1") == NULL && hf_postgres_conn(MINE) == NULL &&
            hf_postgres_validate(MINE) == HF_EFORK && do_call(CLOSE, TMNOFLAGS, 0) == XAER_RMERR &&
            do_call(OPEN, TMNOFLAGS, 0) == XA_OK && /* a session of its own */
            do_call(END, TMSUCCESS, b) < 0 && hf_postgres_validate(MINE) == HF_OK &&
            do_call(START, TMNOFLAGS, b + 1) == XA_OK && do_call(END, TMSUCCESS, b + 1) == XA_OK &&
            do_call(ROLLBACK, TMNOFLAGS, b + 1) == XA_OK && do_call(CLOSE, TMNOFLAGS, 0) == XA_OK;

        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    pg_do(MINE, "INSERT INTO entry DEFAULT VALUES"); /* the session is as it was */
    t_xa(XA_OK, do_call(END, TMSUCCESS, b));
    t_xa(XA_OK, do_call(COMMIT, TMONEPHASE, b));
    t_xa(XA_OK, do_call(CLOSE, TMNOFLAGS, 0));
}

static void all_cells_were_visited(void **state)
{
    (void)state;
    assert_int_equal(cells, sizeof(rows_6_4) / sizeof(rows_6_4[0]) * STATES +
                                sizeof(rows_6_2) / sizeof(rows_6_2[0]) * ASSOCIATIONS + 8 * 9);
}

static int setup(void **state)
{
    (void)state;
    pg_value("one", "DROP TABLE IF EXISTS entry");
    pg_value("one", "CREATE TABLE entry (n serial)");
    return call_by(OTHER, OPEN, TMNOFLAGS, 0);
}

static int teardown(void **state)
{
    (void)state;
    return call_by(OTHER, CLOSE, TMNOFLAGS, 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(branches_follow_table_6_4),
        T(a_broken_connection_is_r0_until_it_is_opened_again),
        T(associations_follow_tables_6_1_and_6_2),
        T(a_branch_may_be_suspended_and_worked_on),
        T(a_connection_has_one_unprepared_branch),
        T(a_transaction_of_the_users_own_is_outside),
        T(an_operation_is_pending_until_it_is_completed),
        T(xa_complete_does_not_wait_with_tmnowait),
        T(refuses_xids_that_are_none),
        T(scans_in_pieces),
        T(a_child_after_fork_touches_nothing_of_its_parents),
        cmocka_unit_test(all_cells_were_visited),
    };

    return cmocka_run_group_tests_name("postgres.switch", tests, NULL, NULL);
}
