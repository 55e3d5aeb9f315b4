/*
 * What: the table from MariaDB's error numbers to XA's codes (rm/mariadb/answers.c): each row comes
 *       from a real server, and means what the table says.
 * How:  each row is provoked in a session of its own, by the statements of the switch or by hand,
 *       and counted; a row that cannot be provoked is listed with the reason. Then: no row of the
 *       table is in neither list. Numbers that are not in the table are of MY_REFUSED, or of the
 *       client library.
 */
#include "support/mariadb_t.h"

#include <errmsg.h>

#include "answers.h"
#include "message.h"

enum { MINE = 1, OTHER = 2, SEEN_MAX = 64 };

#define LONG_STATEMENT "DO BENCHMARK(1000000000000, SHA1('x'))"

static unsigned seen[SEEN_MAX];
static unsigned seen_count;
static long last_branch;

/* The server has answered native. */
static void provoked(unsigned native)
{
    for (unsigned i = 0; i < seen_count; i++)
        if (seen[i] == native)
            return;
    assert_true(seen_count < SEEN_MAX);
    seen[seen_count++] = native;
}

/* SQL in a session of its own has to fail so. */
static void wants(MYSQL *conn, unsigned native, const char *sql)
{
    unsigned got = my_try(conn, sql);

    if (got != native)
        fail_msg("%s: %u %s, wanted %u", sql, got, mysql_error(conn), native);
    provoked(native);
}

static void begin(XID *x, long n)
{
    *x = my_xid(++last_branch);
    my_xa(XA_OK, MINE, my->xa_start_entry(x, MINE, TMNOFLAGS));
    my_user(MINE, "INSERT INTO t VALUES (%ld)", n);
}

/* The vote is no, with this code and the server's number behind it; the session is good again. */
static void votes_no(XID *x, int code, unsigned native)
{
    my_xa(XA_OK, MINE, my->xa_end_entry(x, MINE, TMSUCCESS));
    my_xa(code, MINE, my->xa_prepare_entry(x, MINE, TMNOFLAGS));
    assert_int_equal(my_native(MINE), native);
    assert_false(my_lists(OTHER, x));
    provoked(native);
    begin(x, last_branch + 1000);
    my_xa(XA_OK, MINE, my->xa_end_entry(x, MINE, TMSUCCESS));
    my_xa(XA_OK, MINE, my->xa_commit_entry(x, MINE, TMONEPHASE));
}

/* -- codes of XA ------------------------------------------------------------------------------- */

static void nota__of_a_branch_that_is_not_there(void **state)
{
    XID x = my_xid(++last_branch);
    char sql[MY_MESSAGE_SIZE];

    (void)state;
    my_xa(XAER_NOTA, MINE, my->xa_commit_entry(&x, MINE, TMNOFLAGS));
    my_xa(XAER_NOTA, MINE, my->xa_rollback_entry(&x, MINE, TMNOFLAGS));
    hf__my_message_commit(sql, &x); /* neither was sent: it is not in the list */
    wants(hf_mariadb_conn(MINE), ER_XAER_NOTA, sql);
}

static void rmfail__of_a_branch_that_was_ended_by_hand(void **state)
{
    XID x;

    (void)state;
    begin(&x, 1);
    my_user(MINE, "XA END '%.8s','%.4s',%ld", x.data, x.data + 8, x.formatID);
    votes_no(&x, XA_RBPROTO, ER_XAER_RMFAIL);
}

static void outside__of_a_local_transaction(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    my_user(MINE, "BEGIN");
    my_user(MINE, "SELECT * FROM t");
    my_xa(XAER_OUTSIDE, MINE, my->xa_start_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(my_native(MINE), ER_XAER_OUTSIDE);
    my_user(MINE, "COMMIT");
    provoked(ER_XAER_OUTSIDE);
}

static void dupid__of_a_branch_of_another_session(void **state)
{
    XID x;

    (void)state;
    begin(&x, 2);
    my_xa(XAER_DUPID, OTHER, my->xa_start_entry(&x, OTHER, TMNOFLAGS));
    assert_int_equal(my_native(OTHER), ER_XAER_DUPID);
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XA_OK, MINE, my->xa_rollback_entry(&x, MINE, TMNOFLAGS));
    provoked(ER_XAER_DUPID);
}

/* Read only, prepared, its session gone: the server lets go of it. */
static void rbrollback__of_a_branch_that_only_read(void **state)
{
    XID x = my_xid(++last_branch);
    unsigned native = ER_XAER_NOTA;
    char sql[MY_MESSAGE_SIZE];

    (void)state;
    my_open(3, "answers", "");
    my_xa(XA_OK, 3, my->xa_start_entry(&x, 3, TMNOFLAGS));
    my_xa(XA_OK, 3, my->xa_end_entry(&x, 3, TMSUCCESS));
    my_xa(XA_OK, 3, my->xa_prepare_entry(&x, 3, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, OTHER, &x, NULL, 0));
    my_close(3);
    hf__my_message_commit(sql, &x);
    for (int i = 0; i < 1000 && native == ER_XAER_NOTA; i++) /* until the session has ended */
        native = my_try(my_administrator(), sql);
    assert_int_equal(native, ER_XA_RBROLLBACK);
    provoked(ER_XA_RBROLLBACK);
}

/* -- rolled back by the server ----------------------------------------------------------------- */

/* Two sessions lock n and n + 1 crosswise. The user's, with less work, has to give way. */
static void deadlock(int n)
{
    MYSQL *other = my_connect(), *mine = hf_mariadb_conn(MINE);
    char sql[256];

    my_do(other, "USE answers");
    my_do(other, "BEGIN");
    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d), (%d), (%d), (%d)", n, n + 2, n + 3,
                   n + 4);
    my_do(other, sql);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", n);
    assert_int_equal(mysql_send_query(mine, sql, strlen(sql)), 0);
    my_sleep_ms(200);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", n + 1);
    my_do(other, sql);
    assert_int_not_equal(mysql_read_query_result(mine), 0);
    assert_int_equal(mysql_errno(mine), ER_LOCK_DEADLOCK);
    my_do(other, "ROLLBACK");
    mysql_close(other);
}

static void deadlock__is_told_by_the_vote(void **state)
{
    char sql[MY_MESSAGE_SIZE];
    XID x;

    (void)state;
    begin(&x, 101);
    deadlock(100);
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XA_RBDEADLOCK, MINE, my->xa_prepare_entry(&x, MINE, TMNOFLAGS));
    provoked(ER_LOCK_DEADLOCK);
    provoked(ER_SP_DOES_NOT_EXIST); /* what the vote itself was answered */

    begin(&x, 101); /* who goes on after it has forgotten why */
    deadlock(100);
    my_user(MINE, "DO 1");
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XA_RBROLLBACK, MINE, my->xa_prepare_entry(&x, MINE, TMNOFLAGS));

    begin(&x, 101); /* and this is how the server itself would tell */
    deadlock(100);
    hf__my_message_commit(sql, &x);
    wants(hf_mariadb_conn(MINE), ER_XA_RBDEADLOCK, sql);
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XA_RBPROTO, MINE, my->xa_commit_entry(&x, MINE, TMONEPHASE));
}

/* The vote's own statements wait for nothing but a global lock: FLUSH TABLES WITH READ LOCK. */
static void timeout__of_a_vote_that_waits(void **state)
{
    XID x;

    (void)state;
    begin(&x, 3);
    my_user(MINE, "SET SESSION lock_wait_timeout = 1");
    my_admin("FLUSH TABLES WITH READ LOCK");
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XA_RBTIMEOUT, MINE, my->xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(my_native(MINE), ER_LOCK_WAIT_TIMEOUT);
    assert_false(my_lists(OTHER, &x));
    my_admin("UNLOCK TABLES");
    my_user(MINE, "SET SESSION lock_wait_timeout = 100");
    provoked(ER_LOCK_WAIT_TIMEOUT);
}

static void statement_timeout__of_a_vote_that_takes_too_long(void **state)
{
    XID x;

    (void)state;
    begin(&x, 5);
    my_user(MINE, "SET SESSION max_statement_time = 0.2");
    my_admin("FLUSH TABLES WITH READ LOCK");
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XA_RBTIMEOUT, MINE, my->xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(my_native(MINE), ER_STATEMENT_TIMEOUT);
    my_admin("UNLOCK TABLES");
    my_user(MINE, "SET SESSION max_statement_time = 0");
    assert_false(my_lists(OTHER, &x));
    provoked(ER_STATEMENT_TIMEOUT);
}

/* By the hook cancel, which is called while another thread waits for the answer. */
static void interrupted__vote_is_a_no(void **state)
{
    int handle, answer = XA_OK, rc;
    XID x;

    (void)state;
    begin(&x, 7);
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_admin("FLUSH TABLES WITH READ LOCK");
    handle = my->xa_prepare_entry(&x, MINE, TMASYNC);
    assert_true(handle > 0);
    do { /* what has not begun yet is not interrupted */
        my_sleep_ms(20);
        t_ok(hf_mariadb_ext.cancel(NULL, MINE));
        rc = my->xa_complete_entry(&handle, &answer, MINE, TMNOWAIT);
    } while (rc == XA_RETRY);
    assert_int_equal(rc, XA_OK);
    assert_int_equal(answer, XA_RBOTHER);
    assert_int_equal(my_native(MINE), ER_QUERY_INTERRUPTED);
    my_admin("UNLOCK TABLES");
    assert_false(my_lists(OTHER, &x));
    provoked(ER_QUERY_INTERRUPTED);
}

/* A marker that is there already: the vote is no, and says why. */
static void duplicate__marker(void **state)
{
    XID x, other;

    (void)state;
    my_open(3, "answers", "proof=marker");
    t_ok(hf_mariadb_ext.identity(NULL, 3, (unsigned char[HF_IDENTITY_SIZE]){0}));
    other = my_xid(++last_branch);
    x = other;
    my_work(3, &x, 20);
    my_xa(XA_OK, 3, my->xa_prepare_entry(&x, 3, TMNOFLAGS));
    my_xa(XA_OK, 3, my->xa_commit_entry(&x, 3, TMNOFLAGS));
    my_work(3, &x, 21); /* the same XID again */
    my_xa(XA_RBINTEGRITY, 3, my->xa_prepare_entry(&x, 3, TMNOFLAGS));
    assert_int_equal(my_native(3), ER_DUP_ENTRY);
    provoked(ER_DUP_ENTRY);
    my_close(3);
}

/* -- lost -------------------------------------------------------------------------------------- */

static void killed__connection_is_lost(void **state)
{
    MYSQL *conn = my_connect();
    unsigned native;
    XID x;

    (void)state;
    begin(&x, 6);
    my_admin("KILL %lu", mysql_thread_id(hf_mariadb_conn(MINE)));
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XAER_RMFAIL, MINE, my->xa_prepare_entry(&x, MINE, TMNOFLAGS));
    my_close(MINE);
    my_open(MINE, "answers", "");

    /* While it works the server still says why, before it closes. */
    assert_int_equal(mysql_send_query(conn, LONG_STATEMENT, strlen(LONG_STATEMENT)), 0);
    my_sleep_ms(100);
    my_admin("KILL %lu", mysql_thread_id(conn));
    assert_int_not_equal(mysql_read_query_result(conn), 0);
    native = mysql_errno(conn);
    assert_true(native == ER_CONNECTION_KILLED || native == CR_SERVER_LOST);
    assert_int_equal(hf__my_answers_kind(native), MY_LOST);
    provoked(ER_CONNECTION_KILLED);
    mysql_close(conn);
}

static void shutdown__is_lost(void **state)
{
    MYSQL *conn = my_connect();
    unsigned native;

    (void)state;
    assert_int_equal(mysql_send_query(conn, LONG_STATEMENT, strlen(LONG_STATEMENT)), 0);
    my_sleep_ms(100);
    my_server("stop");
    assert_int_not_equal(mysql_read_query_result(conn), 0);
    native = mysql_errno(conn);
    assert_int_equal(hf__my_answers_kind(native), MY_LOST);
    mysql_close(conn);
    my_server("start");
    my_close(MINE);
    my_close(OTHER);
    my_open(MINE, "answers", "");
    my_open(OTHER, "answers", "");
}

/* A server that rolls the whole transaction back when a lock is waited for too long. */
static void rbtimeout__of_a_branch_that_a_timeout_rolled_back(void **state)
{
    const char *path = t_path(my_env("HF_TEST_MARIADB_DIR"), "options");
    FILE *f = fopen(path, "w");
    char sql[MY_MESSAGE_SIZE];
    MYSQL *other;
    XID x;

    (void)state;
    assert_non_null(f);
    (void)fprintf(f, "--innodb-rollback-on-timeout=1\n--innodb-lock-wait-timeout=1\n");
    assert_int_equal(fclose(f), 0);
    my_close(MINE);
    my_close(OTHER);
    my_server("stop");
    my_server("start");
    assert_int_equal(unlink(path), 0);
    my_open(MINE, "answers", "");
    my_open(OTHER, "answers", "");
    other = my_connect();
    my_do(other, "USE answers");
    my_do(other, "BEGIN");
    my_do(other, "INSERT INTO t VALUES (901)");
    begin(&x, 900);
    assert_int_equal(my_user_try(MINE, "INSERT INTO t VALUES (901)"), ER_LOCK_WAIT_TIMEOUT);
    hf__my_message_commit(sql, &x);
    wants(hf_mariadb_conn(MINE), ER_XA_RBTIMEOUT, sql);
    my_do(other, "ROLLBACK");
    mysql_close(other);
    my_xa(XA_OK, MINE, my->xa_end_entry(&x, MINE, TMSUCCESS));
    my_xa(XA_RBPROTO, MINE, my->xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(my_number("SELECT COUNT(*) FROM answers.t WHERE n = 900"), 0);
}

/* -- the whole table --------------------------------------------------------------------------- */

/* Rows that no statement can provoke on a healthy server, and why. */
static const struct {
    unsigned native;
    const char *why;
} unprovoked[] = {
    {ER_ERROR_DURING_COMMIT, "needs an engine that fails in the middle of a commit"},
    {ER_SERVER_SHUTDOWN, "comes or does not come, before the connection is closed: a race"},
    {ER_NEW_ABORTING_CONNECTION, "is written to the server's log rather than sent"},
    {ER_NET_READ_ERROR, "needs a network that fails in the middle of a packet"},
    {ER_NET_READ_INTERRUPTED, "needs net_read_timeout in the middle of a packet"},
    {ER_NET_ERROR_ON_WRITE, "needs a network that fails in the middle of a packet"},
    {ER_NET_WRITE_INTERRUPTED, "needs net_write_timeout in the middle of a packet"},
    {ER_NET_PACKETS_OUT_OF_ORDER, "needs a client that breaks the protocol"},
};

static void table__has_no_row_that_was_forgotten(void **state)
{
    unsigned native, rows = 0, listed = sizeof(unprovoked) / sizeof(unprovoked[0]);

    (void)state;
    for (; (native = hf__my_answers_row(rows)) != 0; rows++) {
        unsigned found = 0;

        for (unsigned i = 0; i < seen_count; i++)
            found += seen[i] == native;
        for (unsigned i = 0; i < listed; i++)
            found += unprovoked[i].native == native;
        if (found != 1)
            fail_msg("%u: %u times in the lists", native, found);
    }
    assert_int_equal(rows, seen_count + listed);
}

static void table__says_of_each_kind_what_calls_answer(void **state)
{
    static const struct {
        unsigned native;
        enum my_kind kind;
        int rollback, start;
    } rows[] = {
        {0, MY_FINE, XA_RBOTHER, 0},
        {ER_XAER_NOTA, MY_NOTA, XA_RBOTHER, XAER_RMFAIL},
        {ER_XAER_RMFAIL, MY_STATE, XA_RBPROTO, XAER_RMERR},
        {ER_XAER_OUTSIDE, MY_OUTSIDE, XA_RBOTHER, XAER_OUTSIDE},
        {ER_XAER_DUPID, MY_DUPID, XA_RBOTHER, XAER_DUPID},
        {ER_XA_RBROLLBACK, MY_NO, XA_RBROLLBACK, XAER_RMFAIL},
        {ER_XA_RBTIMEOUT, MY_NO, XA_RBTIMEOUT, XAER_RMFAIL},
        {ER_XA_RBDEADLOCK, MY_NO, XA_RBDEADLOCK, XAER_RMFAIL},
        {ER_LOCK_WAIT_TIMEOUT, MY_NO, XA_RBTIMEOUT, XAER_RMFAIL},
        {ER_SP_DOES_NOT_EXIST, MY_NO, XA_RBPROTO, XAER_RMFAIL},
        {ER_ERROR_DURING_COMMIT, MY_UNSURE, XA_RBOTHER, XAER_RMFAIL},
        {ER_CONNECTION_KILLED, MY_LOST, XA_RBOTHER, XAER_RMFAIL},
        {CR_SERVER_GONE_ERROR, MY_LOST, XA_RBOTHER, XAER_RMFAIL},
        {CR_SERVER_LOST, MY_LOST, XA_RBOTHER, XAER_RMFAIL},
        {CR_COMMANDS_OUT_OF_SYNC, MY_LOST, XA_RBOTHER, XAER_RMFAIL},
        {CR_ERR_NET_READ, MY_LOST, XA_RBOTHER, XAER_RMFAIL},
        {ER_PARSE_ERROR, MY_REFUSED, XA_RBOTHER, XAER_RMFAIL},
        {ER_OPTION_PREVENTS_STATEMENT, MY_REFUSED, XA_RBOTHER, XAER_RMFAIL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(hf__my_answers_kind(rows[i].native), rows[i].kind);
        assert_int_equal(hf__my_answers_rollback(rows[i].native), rows[i].rollback);
        if (rows[i].native != 0)
            assert_int_equal(hf__my_answers_start(rows[i].native), rows[i].start);
    }
}

static int setup(void **state)
{
    (void)state;
    my_database("answers");
    my_open(MINE, "answers", "");
    my_open(OTHER, "answers", "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    my_close(MINE);
    my_close(OTHER);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nota__of_a_branch_that_is_not_there),
        cmocka_unit_test(rmfail__of_a_branch_that_was_ended_by_hand),
        cmocka_unit_test(outside__of_a_local_transaction),
        cmocka_unit_test(dupid__of_a_branch_of_another_session),
        cmocka_unit_test(rbrollback__of_a_branch_that_only_read),
        cmocka_unit_test(deadlock__is_told_by_the_vote),
        cmocka_unit_test(timeout__of_a_vote_that_waits),
        cmocka_unit_test(statement_timeout__of_a_vote_that_takes_too_long),
        cmocka_unit_test(interrupted__vote_is_a_no),
        cmocka_unit_test(duplicate__marker),
        cmocka_unit_test(killed__connection_is_lost),
        cmocka_unit_test(shutdown__is_lost),
        cmocka_unit_test(rbtimeout__of_a_branch_that_a_timeout_rolled_back),
        cmocka_unit_test(table__has_no_row_that_was_forgotten),
        cmocka_unit_test(table__says_of_each_kind_what_calls_answer),
    };
    int failed = cmocka_run_group_tests_name("mariadb.answers", tests, setup, teardown);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
