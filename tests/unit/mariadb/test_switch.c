/*
 * What: hf_mariadb_switch obeys the state tables of [XA] chapter 6: 6-1 (open and close), 6-2
 *       (association), 6-4 (branches) and 6-5 (asynchronous calls), and the flags of chapter 5.
 * How:  one table: a call, and for each state what it answers and which state comes next. For each
 *       cell a new branch is brought into the state on a real server, the call is made, and the new
 *       state is looked at, in the session and in the server's list. Last, the number of cells. S5
 *       does not exist here: MariaDB takes no heuristic decisions.
 *
 * Where a table has a blank, the answer is XAER_PROTO, or XAER_NOTA where the XID is unknown, or
 * XAER_DUPID for a new start of a known one.
 */
#include "support/mariadb_t.h"

#include <poll.h>

#include "session.h"

enum { MINE = 1, OTHER = 2 };

enum state {
    R0,   /* closed */
    T0,   /* open, no branch: S0 */
    T1,   /* associated: S1 */
    T2,   /* suspended: S1 */
    S2,   /* idle */
    S3,   /* prepared */
    S4,   /* rollback-only */
    LOST, /* it answered XAER_RMFAIL */
    STATES
};
static const char *const state_names[STATES] = {"R0", "T0", "T1", "T2", "S2", "S3", "S4", "lost"};

enum call {
    OPEN,
    CLOSE,
    START,
    START_OTHER, /* of another branch */
    END,
    PREPARE,
    COMMIT,
    ROLLBACK,
    RECOVER,
    FORGET,
    COMPLETE,
    CALLS
};
static const char *const call_names[CALLS] = {
    "xa_open",   "xa_close",    "xa_start",   "xa_start of another", "xa_end",     "xa_prepare",
    "xa_commit", "xa_rollback", "xa_recover", "xa_forget",           "xa_complete"};

static long last_branch;
static unsigned cells;

static int call_for(enum call call, long flags, XID *x)
{
    XID other = my_xid(x->data[7] + 0x10000000), xids[8];
    int handle = 1, retval = 0;

    switch (call) {
    case OPEN:
        return my->xa_open_entry((char *)my_info("switch", ""), MINE, flags);
    case CLOSE:
        return my->xa_close_entry((char *)"", MINE, flags);
    case START:
        return my->xa_start_entry(x, MINE, flags);
    case START_OTHER:
        return my->xa_start_entry(&other, MINE, flags);
    case END:
        return my->xa_end_entry(x, MINE, flags);
    case PREPARE:
        return my->xa_prepare_entry(x, MINE, flags);
    case COMMIT:
        return my->xa_commit_entry(x, MINE, flags);
    case ROLLBACK:
        return my->xa_rollback_entry(x, MINE, flags);
    case RECOVER:
        return my->xa_recover_entry(xids, 8, MINE, flags);
    case FORGET:
        return my->xa_forget_entry(x, MINE, flags);
    default:
        return my->xa_complete_entry(&handle, &retval, MINE, flags);
    }
}

/* -- states ------------------------------------------------------------------------------------ */

static void bring(enum state state, XID *x)
{
    if (state == R0)
        return;
    my_open(MINE, "switch", "");
    if (state == T0)
        return;
    my_xa(XA_OK, MINE, my->xa_start_entry(x, MINE, TMNOFLAGS));
    my_user(MINE, "INSERT INTO t VALUES (%ld)", last_branch);
    if (state == LOST) {
        my_admin("KILL %lu", mysql_thread_id(hf_mariadb_conn(MINE)));
        my_xa(XA_OK, MINE, my->xa_end_entry(x, MINE, TMSUCCESS));
        my_xa(XAER_RMFAIL, MINE, my->xa_prepare_entry(x, MINE, TMNOFLAGS));
    } else if (state == T2) {
        my_xa(XA_OK, MINE, my->xa_end_entry(x, MINE, TMSUSPEND));
    } else if (state == S4) {
        my_xa(XA_RBROLLBACK, MINE, my->xa_end_entry(x, MINE, TMFAIL));
    } else if (state != T1) {
        my_xa(XA_OK, MINE, my->xa_end_entry(x, MINE, TMSUCCESS));
        if (state == S3)
            my_xa(XA_OK, MINE, my->xa_prepare_entry(x, MINE, TMNOFLAGS));
    }
}

static enum state look(void)
{
    const struct my_session *s = hf__my_session_find(MINE);

    if (s == NULL)
        return R0;
    if (s->lost)
        return LOST;
    if (s->association != MY_NONE)
        return s->association == MY_ASSOCIATED ? T1 : T2;
    switch (s->branch) {
    case MY_ACTIVE:
        return S2;
    case MY_SPOILT:
        return S4;
    case MY_PREPARED:
        return S3;
    default:
        return T0;
    }
}

/* Away with everything that a cell may have left. */
static void clean(XID *x)
{
    int rc = XA_RETRY;

    if (look() == T1)
        my_xa(
            XA_OK, MINE,
            my->xa_end_entry(look() == T1 ? &hf__my_session_find(MINE)->xid : x, MINE, TMSUCCESS));
    my_close(MINE);
    for (int i = 0; i < 200 && my_lists(OTHER, x) && rc != XA_OK; i++)
        rc = my->xa_rollback_entry(x, OTHER, TMNOFLAGS);
    assert_false(my_lists(OTHER, x));
}

/* -- the tables -------------------------------------------------------------------------------- */

struct cell {
    int answer;
    enum state next;
};

/* clang-format off */
#define KEEP STATES
#define PROTO { XAER_PROTO, KEEP }
#define NOTA { XAER_NOTA, KEEP }
#define DUPID { XAER_DUPID, KEEP }
#define RMERR { XAER_RMERR, KEEP }
#define INVAL { XAER_INVAL, KEEP }
#define ASYNC { XAER_ASYNC, KEEP }
#define FAIL { XAER_RMFAIL, KEEP }
#define FINE { XA_OK, KEEP }
#define TO(state) { XA_OK, state }

static const struct row {
    enum call call;
    long flags;
    struct cell at[STATES]; /* R0, T0, T1, T2, S2, S3, S4, lost */
} rows[] = {
    /* 6-1 */
    {OPEN, TMNOFLAGS, {TO(T0), FINE, FINE, FINE, FINE, FINE, FINE, TO(T0)}},
    {CLOSE, TMNOFLAGS, {FINE, TO(R0), PROTO, TO(R0), TO(R0), TO(R0), TO(R0), TO(R0)}},
    /* 6-2 */
    {START, TMNOFLAGS, {PROTO, TO(T1), PROTO, PROTO, DUPID, DUPID, DUPID, FAIL}},
    {START, TMNOWAIT, {PROTO, TO(T1), PROTO, PROTO, DUPID, DUPID, DUPID, FAIL}},
    {START_OTHER, TMNOFLAGS, {PROTO, TO(T1), PROTO, PROTO, RMERR, RMERR, RMERR, FAIL}},
    {START, TMJOIN, {PROTO, NOTA, PROTO, PROTO, TO(T1), PROTO, {XA_RBROLLBACK, KEEP}, FAIL}},
    {START, TMRESUME, {PROTO, NOTA, PROTO, TO(T1), PROTO, PROTO, PROTO, FAIL}},
    {END, TMSUSPEND, {PROTO, NOTA, TO(T2), PROTO, PROTO, PROTO, PROTO, FAIL}},
    {END, TMSUSPEND | TMMIGRATE,
        {PROTO, NOTA, {XA_NOMIGRATE, T2}, PROTO, PROTO, PROTO, PROTO, FAIL}},
    {END, TMSUCCESS, {PROTO, NOTA, TO(S2), TO(S2), PROTO, PROTO, PROTO, FAIL}},
    {END, TMFAIL,
        {PROTO, NOTA, {XA_RBROLLBACK, S4}, {XA_RBROLLBACK, S4}, PROTO, PROTO, PROTO, FAIL}},
    {RECOVER, TMSTARTRSCAN | TMENDRSCAN, {PROTO, FINE, FINE, FINE, FINE, {1, KEEP}, FINE, FAIL}},
    {RECOVER, TMNOFLAGS, {PROTO, INVAL, INVAL, INVAL, INVAL, INVAL, INVAL, FAIL}},
    /* 6-4 */
    {PREPARE, TMNOFLAGS, {PROTO, NOTA, PROTO, PROTO, TO(S3), PROTO, PROTO, FAIL}},
    {COMMIT, TMNOFLAGS, {PROTO, NOTA, PROTO, PROTO, PROTO, TO(T0), PROTO, FAIL}},
    {COMMIT, TMNOWAIT, {PROTO, NOTA, PROTO, PROTO, PROTO, TO(T0), PROTO, FAIL}},
    {COMMIT, TMONEPHASE, {PROTO, NOTA, PROTO, PROTO, TO(T0), PROTO, PROTO, FAIL}},
    {ROLLBACK, TMNOFLAGS, {PROTO, NOTA, PROTO, PROTO, TO(T0), TO(T0), TO(T0), FAIL}},
    {FORGET, TMNOFLAGS, {PROTO, NOTA, PROTO, PROTO, PROTO, PROTO, PROTO, FAIL}},
    /* 6-5: nothing is under way */
    {COMPLETE, TMNOFLAGS, {PROTO, PROTO, PROTO, PROTO, PROTO, PROTO, PROTO, PROTO}},
    {COMPLETE, TMMULTIPLE | TMNOWAIT, {PROTO, PROTO, PROTO, PROTO, PROTO, PROTO, PROTO, PROTO}},
    {OPEN, TMASYNC, {ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC}},
    {CLOSE, TMASYNC, {ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC}},
    {FORGET, TMASYNC, {ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC, ASYNC}},
};

/* Chapter 5: flags that a call does not know change nothing, in any state. */
static const struct { enum call call; long flags; } wrong_flags[] = {
    {OPEN, TMNOWAIT}, {CLOSE, TMNOWAIT}, {START, TMJOIN | TMRESUME}, {START, TMSUCCESS},
    {END, TMNOFLAGS}, {END, TMSUCCESS | TMFAIL}, {END, TMSUCCESS | TMSUSPEND}, {END, TMMIGRATE},
    {END, TMSUCCESS | TMMIGRATE}, {END, TMSUCCESS | TMNOWAIT}, {PREPARE, TMNOWAIT},
    {PREPARE, TMONEPHASE}, {COMMIT, TMFAIL}, {ROLLBACK, TMNOWAIT}, {ROLLBACK, TMONEPHASE},
    {RECOVER, TMASYNC | TMSTARTRSCAN}, {RECOVER, TMNOWAIT}, {FORGET, TMNOWAIT},
    {COMPLETE, TMASYNC}, {COMPLETE, TMSUCCESS}};
/* clang-format on */

static void cell(enum call call, long flags, enum state from, int answer, enum state next)
{
    XID x = my_xid(++last_branch);
    int got;

    cells++;
    bring(from, &x);
    got = call_for(call, flags, &x);
    if (got != answer || look() != (next == KEEP ? from : next))
        fail_msg("%s(0x%lx) from %s: answered %d, wanted %d: %s; then %s", call_names[call],
                 (unsigned long)flags, state_names[from], got, answer, my_words(MINE),
                 state_names[look()]);
    if (look() != LOST)
        assert_int_equal(my_lists(OTHER, &x), look() == S3 || (call == CLOSE && from == S3));
    clean(&x);
}

static void tables__hold_in_every_cell(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int from = 0; from < STATES; from++)
            cell(rows[i].call, rows[i].flags, (enum state)from, rows[i].at[from].answer,
                 rows[i].at[from].next);
    assert_int_equal(cells, 24 * STATES);
}

static void flags__that_a_call_does_not_know_are_refused(void **state)
{
    static const enum state from[] = {T0, T1, S2, S3};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong_flags) / sizeof(wrong_flags[0]); i++)
        for (size_t j = 0; j < sizeof(from) / sizeof(from[0]); j++)
            cell(wrong_flags[i].call, wrong_flags[i].flags, from[j], XAER_INVAL, KEEP);
}

static void xids__that_are_none_are_refused(void **state)
{
    XID good = my_xid(1);
    XID bad[] = {good, good, good, good, good};

    (void)state;
    my_open(MINE, "switch", "");
    bad[0].formatID = -1;
    bad[1].gtrid_length = 0;
    bad[2].gtrid_length = 65;
    bad[3].bqual_length = 65;
    bad[4].formatID = 1L << 32;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (int call = START; call <= ROLLBACK; call++)
            if (call != START_OTHER)
                assert_int_equal(
                    call_for((enum call)call, call == END ? TMSUCCESS : TMNOFLAGS, &bad[i]),
                    XAER_INVAL);
    assert_int_equal(my->xa_start_entry(NULL, MINE, TMNOFLAGS), XAER_INVAL);
    assert_int_equal(my->xa_recover_entry(NULL, 1, MINE, TMSTARTRSCAN), XAER_INVAL);
    assert_int_equal(my->xa_recover_entry(bad, -1, MINE, TMSTARTRSCAN), XAER_INVAL);
    assert_int_equal(my->xa_complete_entry(NULL, NULL, MINE, TMNOFLAGS), XAER_INVAL);
    assert_int_equal(my->xa_recover_entry(NULL, 0, MINE, TMSTARTRSCAN), 0);
    my_close(MINE);
}

static void scan__gives_all_in_batches(void **state)
{
    XID x[5], list[2];
    int got, total = 0;
    long flags = TMSTARTRSCAN;

    (void)state;
    for (int i = 0; i < 5; i++) {
        x[i] = my_xid(++last_branch);
        my_open(10 + i, "switch", "");
        my_work(10 + i, &x[i], last_branch);
        my_xa(XA_OK, 10 + i, my->xa_prepare_entry(&x[i], 10 + i, TMNOFLAGS));
    }
    do {
        got = my->xa_recover_entry(list, 2, OTHER, flags);
        flags = TMNOFLAGS;
        assert_in_range(got, 0, 2);
        total += got;
    } while (got == 2);
    assert_int_equal(total, 5);
    assert_int_equal(my->xa_recover_entry(list, 2, OTHER, TMNOFLAGS), XAER_INVAL); /* over */
    assert_int_equal(my->xa_recover_entry(list, 2, OTHER, TMSTARTRSCAN | TMENDRSCAN), 2);
    assert_int_equal(my->xa_recover_entry(list, 2, OTHER, TMNOFLAGS), XAER_INVAL);
    for (int i = 0; i < 5; i++) {
        my_xa(XA_OK, 10 + i, my->xa_rollback_entry(&x[i], 10 + i, TMNOFLAGS));
        my_close(10 + i);
    }
}

/* -- 6-5 --------------------------------------------------------------------------------------- */

static const struct {
    enum call call;
    long flags;
    enum state from, next;
    int answer;
    int waits; /* it asks the server */
} calls_async[] = {{START, TMNOFLAGS, T0, T1, XA_OK, 1},   {START, TMJOIN, S2, T1, XA_OK, 0},
                   {END, TMSUCCESS, T1, S2, XA_OK, 0},     {END, TMFAIL, T1, S4, XA_RBROLLBACK, 0},
                   {PREPARE, TMNOFLAGS, S2, S3, XA_OK, 1}, {COMMIT, TMNOFLAGS, S3, T0, XA_OK, 1},
                   {COMMIT, TMONEPHASE, S2, T0, XA_OK, 1}, {ROLLBACK, TMNOFLAGS, S3, T0, XA_OK, 1},
                   {ROLLBACK, TMNOFLAGS, S4, T0, XA_OK, 1}};

static void async__every_call_is_pending_until_it_is_completed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(calls_async) / sizeof(calls_async[0]); i++) {
        XID x = my_xid(++last_branch);
        int handle, wrong, answer = 4711, rc;

        bring(calls_async[i].from, &x);
        handle = call_for(calls_async[i].call, calls_async[i].flags | TMASYNC, &x);
        assert_true(handle > 0);
        for (int call = CLOSE; call < COMPLETE; call++)
            assert_int_equal(call_for((enum call)call, call == END ? TMSUCCESS : TMNOFLAGS, &x),
                             XAER_PROTO);
        wrong = handle + 1;
        assert_int_equal(my->xa_complete_entry(&wrong, &answer, MINE, TMNOFLAGS), XAER_INVAL);
        wrong = -1;
        if (i % 2 == 0) {
            rc = my->xa_complete_entry(&handle, &answer, MINE, TMNOFLAGS);
        } else {
            do
                rc = my->xa_complete_entry(&wrong, &answer, MINE, TMMULTIPLE | TMNOWAIT);
            while (rc == XA_RETRY);
            assert_int_equal(wrong, handle);
        }
        assert_int_equal(rc, XA_OK);
        assert_int_equal(answer, calls_async[i].answer);
        assert_int_equal(look(), calls_async[i].next);
        assert_int_equal(my->xa_complete_entry(&handle, &answer, MINE, TMNOFLAGS), XAER_PROTO);
        clean(&x);
    }
}

/* What can be said at once is said at once, if it is negative: a positive answer is a handle. */
static void async__a_refusal_is_told_at_once(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    bring(T1, &x);
    assert_int_equal(my->xa_prepare_entry(&x, MINE, TMASYNC), XAER_PROTO);
    x = my_xid(++last_branch);
    assert_int_equal(my->xa_prepare_entry(&x, MINE, TMASYNC), XAER_NOTA);
    clean(&x);
}

/* XA_RETRY while the server has not answered: it waits for a lock of somebody else's. The pauses
   are long enough for the part of the answer that it sends before it waits. */
static void async__nowait_does_not_wait(void **state)
{
    XID x = my_xid(++last_branch);
    int handle, answer = 0, rc = XA_RETRY;

    (void)state;
    bring(S2, &x);
    my_admin("FLUSH TABLES WITH READ LOCK"); /* XA PREPARE waits for its end */
    handle = my->xa_prepare_entry(&x, MINE, TMASYNC);
    assert_true(handle > 0);
    for (int i = 0; i < 3; i++, usleep(100000))
        assert_int_equal(my->xa_complete_entry(&handle, &answer, MINE, TMNOWAIT), XA_RETRY);
    my_admin("UNLOCK TABLES");
    for (int i = 0; i < 30000 && rc == XA_RETRY; i++, usleep(1000))
        rc = my->xa_complete_entry(&handle, &answer, MINE, TMNOWAIT);
    assert_int_equal(rc, XA_OK);
    assert_int_equal(answer, XA_OK);
    clean(&x);
}

/* A vote that is no comes as an answer, and the branch is gone by then. */
static void async__a_no_is_an_answer(void **state)
{
    XID x = my_xid(++last_branch);
    int handle, answer = 0;

    (void)state;
    bring(T1, &x);
    my_user(MINE, "XA END '%.8s','%.4s',%ld", x.data, x.data + 8, x.formatID);
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    handle = my->xa_prepare_entry(&x, MINE, TMASYNC);
    assert_true(handle > 0);
    assert_int_equal(my->xa_complete_entry(&handle, &answer, MINE, TMNOFLAGS), XA_OK);
    assert_int_equal(answer, XA_RBPROTO);
    assert_int_equal(look(), T0);
    clean(&x);
}

/* Whoever uses the connection while a call is under way takes the call's answer for his own, and
   leaves his own behind: it is not believed. The branch is there still. */
static void async__an_answer_to_somebody_else_is_not_ours(void **state)
{
    XID x = my_xid(++last_branch);
    int handle, answer = 0;

    (void)state;
    bring(S2, &x);
    my_user(MINE, "SET lock_wait_timeout=1");
    my_xa(XA_OK, MINE, my->xa_prepare_entry(&x, MINE, TMNOFLAGS));
    my_admin("FLUSH TABLES WITH READ LOCK"); /* XA COMMIT is refused */
    handle = my->xa_commit_entry(&x, MINE, TMASYNC);
    assert_true(handle > 0);
    assert_int_equal(my_user_try(MINE, "DO 1"), ER_LOCK_WAIT_TIMEOUT); /* that was ours */
    assert_int_equal(my->xa_complete_entry(&handle, &answer, MINE, TMNOWAIT), XA_OK);
    my_admin("UNLOCK TABLES");
    assert_int_equal(answer, XAER_RMFAIL);
    assert_int_equal(look(), LOST);
    assert_true(my_lists(OTHER, &x));
    clean(&x);
}

/* A reset takes a prepared branch away from its session, of which the server would say OK to a
   commit and do nothing. A check of the connection in between changes nothing of that. */
static void prepared__a_session_that_was_used_since_does_not_complete(void **state)
{
    (void)state;
    for (int checked = 0; checked < 2; checked++) {
        for (int commits = 0; commits < 2; commits++) {
            XID x = my_xid(++last_branch);

            bring(S3, &x);
            assert_int_equal(mysql_reset_connection(hf_mariadb_conn(MINE)), 0);
            if (checked)
                assert_int_equal(hf__my_session_ask(hf__my_session_find(MINE), 5000), 0);
            my_xa(XAER_RMFAIL, MINE,
                  commits ? my->xa_commit_entry(&x, MINE, TMNOFLAGS)
                          : my->xa_rollback_entry(&x, MINE, TMNOFLAGS));
            clean(&x);
        }
    }
}

/* -- two rmids --------------------------------------------------------------------------------- */

/* A branch belongs to its session: another rmid is told so, and not that there is none. */
static void other_rmid__cannot_complete_what_is_not_prepared(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    bring(S2, &x);
    my_xa(XAER_PROTO, OTHER, my->xa_prepare_entry(&x, OTHER, TMNOFLAGS));
    my_xa(XAER_PROTO, OTHER, my->xa_commit_entry(&x, OTHER, TMONEPHASE));
    my_xa(XAER_PROTO, OTHER, my->xa_commit_entry(&x, OTHER, TMNOFLAGS));
    my_xa(XAER_PROTO, OTHER, my->xa_rollback_entry(&x, OTHER, TMNOFLAGS));
    my_xa(XAER_RMERR, OTHER, my->xa_start_entry(&x, OTHER, TMJOIN));
    my_xa(XAER_DUPID, OTHER, my->xa_start_entry(&x, OTHER, TMNOFLAGS)); /* the server knows */
    my_xa(XA_OK, MINE, my->xa_rollback_entry(&x, MINE, TMNOFLAGS));
    clean(&x);
}

/* The user has a transaction open: XA says so, and leaves it alone. */
static void outside__a_local_transaction_keeps_a_branch_out(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    bring(T0, &x);
    my_user(MINE, "BEGIN");
    my_user(MINE, "INSERT INTO t VALUES (%ld)", last_branch);
    my_xa(XAER_OUTSIDE, MINE, my->xa_start_entry(&x, MINE, TMNOFLAGS));
    my_user(MINE, "ROLLBACK");
    my_xa(XA_OK, MINE, my->xa_start_entry(&x, MINE, TMNOFLAGS));
    clean(&x);
}

static int setup(void **state)
{
    (void)state;
    my_database("switch");
    my_open(OTHER, "switch", "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    my_close(OTHER);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables__hold_in_every_cell),
        cmocka_unit_test(flags__that_a_call_does_not_know_are_refused),
        cmocka_unit_test(xids__that_are_none_are_refused),
        cmocka_unit_test(scan__gives_all_in_batches),
        cmocka_unit_test(async__every_call_is_pending_until_it_is_completed),
        cmocka_unit_test(async__a_refusal_is_told_at_once),
        cmocka_unit_test(async__nowait_does_not_wait),
        cmocka_unit_test(async__a_no_is_an_answer),
        cmocka_unit_test(async__an_answer_to_somebody_else_is_not_ours),
        cmocka_unit_test(prepared__a_session_that_was_used_since_does_not_complete),
        cmocka_unit_test(other_rmid__cannot_complete_what_is_not_prepared),
        cmocka_unit_test(outside__a_local_transaction_keeps_a_branch_out),
    };
    int failed = cmocka_run_group_tests_name("mariadb.switch", tests, setup, teardown);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
