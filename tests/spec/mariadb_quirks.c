/*
 * What: rm/mariadb against what a real server does that XA does not say: a session that hangs on,
 *       a branch that only read, a user who ends the branch by hand, an error that rolled back
 *       already; and that the vote covers all of the work.
 * How:  one server (with_mariadb.sh), two or three rmids, and an administrator's session beside.
 */
#include "support/mariadb_t.h"

#include <time.h>

static long last_branch;

static XID new_xid(void)
{
    return my_xid(++last_branch);
}

static int setup(void **state)
{
    (void)state;
    my_database("quirks");
    my_admin("DELETE FROM quirks.t");
    my_open(1, "quirks", "");
    my_open(2, "quirks", "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    my_close(1);
    my_close(2);
    return 0;
}

static long rows(void)
{
    return my_number("SELECT COUNT(*) FROM quirks.t");
}

/* -- a session that hangs on ------------------------------------------------------------------- */

static void hanging__is_told_from_a_branch_that_is_not_there(void **state)
{
    enum hf_probe probe = HF_PROBE_UNKNOWN;
    XID x = new_xid();

    (void)state;
    my_work(1, &x, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    for (int i = 0; i < 2; i++) {
        my_xa(XAER_NOTA, 2,
              i == 0 ? my->xa_commit_entry(&x, 2, TMNOFLAGS)
                     : my->xa_rollback_entry(&x, 2, TMNOFLAGS));
        assert_non_null(strstr(my_words(2), "held by another session"));
        t_ok(hf_mariadb_ext.probe(NULL, 2, &x, NULL, 0, &probe));
        assert_int_equal(probe, HF_PROBE_PREPARED); /* which is how recovery knows better */
        assert_true(my_lists(2, &x));
    }
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    my_xa(XAER_NOTA, 2, my->xa_commit_entry(&x, 2, TMNOFLAGS)); /* and now it is true */
    assert_int_equal(rows(), 1);
}

static void hanging__detach_ends_it_and_the_branch_commits(void **state)
{
    XID x = new_xid();

    (void)state;
    my_work(1, &x, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    my_xa(XA_OK, 2, my->xa_commit_entry(&x, 2, TMNOFLAGS));
    assert_int_equal(rows(), 1);
    my_xa(XAER_RMFAIL, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS)); /* its connection is gone */
}

static void hanging__detach_ends_it_and_the_branch_rolls_back(void **state)
{
    XID x = new_xid();

    (void)state;
    my_work(1, &x, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    my_xa(XA_OK, 2, my->xa_rollback_entry(&x, 2, TMNOFLAGS));
    assert_int_equal(rows(), 0);
}

static void hanging__detach_kills_no_innocent_session(void **state)
{
    XID x = new_xid(), other = new_xid();
    unsigned long holder = mysql_thread_id(hf_mariadb_conn(1)), administrator;
    MYSQL *idle = my_connect();

    (void)state;
    my_open(3, "quirks", "");
    my_work(3, &other, 7);
    my_work(1, &x, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    administrator = mysql_thread_id(my_administrator());
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0)); /* nobody holds it any more */
    my_await_end(holder);
    assert_int_equal(mysql_thread_id(my_administrator()), administrator);
    my_do(idle, "DO 1");
    mysql_close(idle);
    my_xa(XA_OK, 3, my->xa_prepare_entry(&other, 3, TMNOFLAGS));
    my_xa(XA_OK, 3, my->xa_commit_entry(&other, 3, TMNOFLAGS));
    my_xa(XA_OK, 2, my->xa_commit_entry(&x, 2, TMNOFLAGS));
    my_close(3);
    assert_int_equal(rows(), 2);
}

/* A branch that this very session works in is no reason for it to kill itself. */
static void hanging__detach_never_ends_its_own_session(void **state)
{
    XID x = new_xid();

    (void)state;
    my_work(1, &x, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_rc(HF_ESTATE, hf_mariadb_ext.detach(NULL, 1, &x, NULL, 0));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
}

/* The old session may still be there for a moment. */
static int commit_in_the_end(int rmid, XID *x)
{
    int rc = XAER_NOTA;

    for (int i = 0; i < 6000 && rc == XAER_NOTA && my_lists(rmid, x); i++) {
        if (i > 0)
            my_sleep_ms(10);
        rc = my->xa_commit_entry(x, rmid, TMNOFLAGS);
    }
    return rc;
}

/* And is committed in truth: right after the end of its session the server says OK, and lies. */
static void closed__a_prepared_branch_is_committed_by_another_rmid(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) { /* the server ends sessions in its own time */
        XID x = new_xid();

        my_open(3, "quirks", "");
        my_work(3, &x, 100 + i);
        my_xa(XA_OK, 3, my->xa_prepare_entry(&x, 3, TMNOFLAGS));
        my_close(3);
        my_xa(XA_OK, 2, commit_in_the_end(2, &x));
        my_admin("DELETE FROM quirks.t WHERE n = %d", 100 + i); /* no lock is left behind */
        assert_int_equal(mysql_affected_rows(my_admin_conn), 1);
    }
}

/* Whether a session is ending is told to those with the privilege PROCESS only. */
static void closed__who_may_not_look_waits_and_commits(void **state)
{
    char info[MAXINFOSIZE];
    XID x = new_xid();

    (void)state;
    my_admin("CREATE USER IF NOT EXISTS blind@localhost");
    my_admin("GRANT ALL ON quirks.* TO blind@localhost");
    (void)snprintf(info, sizeof(info), "socket=%s/socket;user=blind;database=quirks",
                   my_env("HF_TEST_MARIADB_DIR"));
    my_xa(XA_OK, 3, my->xa_open_entry(info, 3, TMNOFLAGS));
    assert_int_equal(my_user_try(3, "SELECT * FROM information_schema.innodb_trx"),
                     ER_SPECIFIC_ACCESS_DENIED_ERROR);
    my_work(1, &x, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    my_xa(XA_OK, 3, my->xa_commit_entry(&x, 3, TMNOFLAGS));
    my_close(3);
    assert_int_equal(rows(), 1);
}

/* -- a branch that only read ------------------------------------------------------------------- */

static void read_only__commits_in_its_own_session(void **state)
{
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "SELECT * FROM t");
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
}

/* The server lets go of it when its session ends, and answers 1402 from then on. */
static void read_only__commits_after_its_session(void **state)
{
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "SELECT * FROM t");
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    my_xa(XA_OK, 2, my->xa_commit_entry(&x, 2, TMNOFLAGS));
    assert_false(my_lists(2, &x));
}

static void read_only__rolls_back_after_its_session(void **state)
{
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    my_xa(XA_RBROLLBACK, 2, my->xa_rollback_entry(&x, 2, TMNOFLAGS));
    assert_false(my_lists(2, &x));
}

/* -- by hand ----------------------------------------------------------------------------------- */

/* Wait until the server has ended the session of rmid 1, which worked in x. */
static void gone(const XID *x)
{
    /* That of rmid 2 is left. */
    my_await(1, "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'quirks'");
    assert_false(my_lists(2, x));
}

/* The XID as a user would write it. */
static void hand(int rmid, const char *verb, const XID *x, const char *after)
{
    my_user(rmid, "XA %s '%.8s','%.4s',%ld %s", verb, x->data, x->data + 8, x->formatID, after);
}

static void by_hand__commit_is_refused_by_the_server(void **state)
{
    static const char *const refused[] = {"COMMIT",
                                          "ROLLBACK",
                                          "BEGIN",
                                          "CREATE TABLE u (n INT)",
                                          "LOCK TABLES t WRITE",
                                          "SET autocommit = 0; "};
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(my_user_try(1, refused[i]), ER_XAER_RMFAIL);
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(rows(), 1);
}

static void by_hand__an_ended_branch_gets_no_yes(void **state)
{
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    hand(1, "END", &x, "");
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_RBPROTO, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(rows(), 0);
    assert_false(my_lists(2, &x));
    my_work(1, &x, 2); /* the session is good again */
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMONEPHASE));
}

static void by_hand__a_branch_begun_again_gets_no_yes(void **state)
{
    for (int one_phase = 0; one_phase < 2; one_phase++) {
        XID x = new_xid();

        (void)state;
        my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
        my_user(1, "INSERT INTO t VALUES (1)");
        hand(1, "END", &x, "");
        hand(1, "ROLLBACK", &x, "");
        hand(1, "START", &x, "");
        my_user(1, "INSERT INTO t VALUES (2)");
        my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
        if (one_phase)
            my_xa(XA_RBPROTO, 1, my->xa_commit_entry(&x, 1, TMONEPHASE));
        else
            my_xa(XA_RBPROTO, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
        assert_int_equal(rows(), 0);
    }
}

static void by_hand__a_rolled_back_branch_gets_no_yes(void **state)
{
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    hand(1, "END", &x, "");
    hand(1, "ROLLBACK", &x, "");
    my_user(1, "BEGIN");
    my_user(1, "INSERT INTO t VALUES (2)");
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XAER_RMFAIL, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS)); /* never pooled like that */
    assert_null(hf_mariadb_conn(1));
    gone(&x);
    assert_int_equal(rows(), 0);
}

static void by_hand__a_reset_connection_gets_no_yes(void **state)
{
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    assert_int_equal(mysql_reset_connection(hf_mariadb_conn(1)), 0);
    my_user(1, "INSERT INTO t VALUES (2)"); /* outside of the branch: the user's own */
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_RBPROTO, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(my_number("SELECT COUNT(*) FROM quirks.t WHERE n = 1"), 0);
}

static void by_hand__a_connection_made_anew_is_lost(void **state)
{
    static const char yes = 1;
    XID x = new_xid();
    MYSQL *conn;

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    conn = hf_mariadb_conn(1);
    assert_int_equal(mysql_options(conn, MYSQL_OPT_RECONNECT, &yes), 0);
    my_admin("KILL %lu", mysql_thread_id(conn));
    while (my_try(conn, "INSERT INTO t VALUES (2)") != 0) { /* connects anew, sooner or later */
    }
    my_xa(XAER_RMFAIL, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XAER_RMFAIL, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    assert_null(hf_mariadb_conn(1));
    assert_int_equal(my_number("SELECT COUNT(*) FROM quirks.t WHERE n = 1"), 0);
}

static void by_hand__rows_unread_get_no_yes(void **state)
{
    XID x = new_xid();
    MYSQL_RES *res;

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    assert_int_equal(mysql_query(hf_mariadb_conn(1), "SELECT * FROM t"), 0);
    res = mysql_use_result(hf_mariadb_conn(1));
    assert_non_null(res);
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XAER_RMFAIL, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    mysql_free_result(res); /* still the user's */
    gone(&x);
    assert_int_equal(rows(), 0);
}

/* The OK that is under way is not the vote's. */
static void by_hand__an_answer_unread_gets_no_yes(void **state)
{
    static const char *const unread[] = {"INSERT INTO t VALUES (2)", "DO SLEEP(0.2)", "SELECT 1"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        XID x = new_xid();

        my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
        my_user(1, "INSERT INTO t VALUES (1)");
        assert_int_equal(
            mysql_send_query(hf_mariadb_conn(1), unread[i], (unsigned long)strlen(unread[i])), 0);
        my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
        if (i == 1) /* also where it is read by the end of the call */
            my_xa(XAER_RMFAIL, 1, my->xa_commit_entry(&x, 1, TMONEPHASE));
        else
            my_xa(XAER_RMFAIL, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
        gone(&x);
        assert_int_equal(rows(), 0);
        my_close(1);
        my_open(1, "quirks", "");
    }
}

/* The user reads one answer of two: the next to come is the end of the branch by hand, not the
   vote's, which the server refuses. */
static void one_read_of_two(int rmid, const XID *x)
{
    MYSQL *conn = hf_mariadb_conn(rmid);

    assert_int_equal(mysql_send_query(conn, "INSERT INTO t VALUES (2)", 24), 0);
    hand(rmid, "END", x, "");
}

static void by_hand__an_answer_behind_an_answer_gets_no_yes(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        int handle = 0, answer = XA_OK;
        XID x = new_xid();

        my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
        my_user(1, "INSERT INTO t VALUES (1)");
        one_read_of_two(1, &x);
        my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
        if (how == 0)
            answer = my->xa_prepare_entry(&x, 1, TMNOFLAGS);
        else if (how == 1)
            answer = my->xa_commit_entry(&x, 1, TMONEPHASE);
        else if ((handle = my->xa_prepare_entry(&x, 1, TMASYNC)) > 0)
            my_xa(XA_OK, 1, my->xa_complete_entry(&handle, &answer, 1, TMNOFLAGS));
        assert_int_equal(answer, XAER_RMFAIL);
        assert_null(hf_mariadb_conn(1));
        gone(&x);
        assert_int_equal(rows(), 0);
        my_close(1);
        my_open(1, "quirks", "");
    }
}

/* Its answer is an error, and one that means something to a vote and to a commit. */
static void by_hand__an_error_behind_an_answer_is_not_ours(void **state)
{
    XID x = new_xid();
    MYSQL *conn;

    (void)state;
    my_work(1, &x, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    conn = hf_mariadb_conn(1);
    assert_int_equal(mysql_send_query(conn, "DO 1", 4), 0);
    my_user(1, "XA COMMIT 'no such branch'"); /* XAER_NOTA would be: it is done */
    my_xa(XAER_RMFAIL, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    (void)commit_in_the_end(2, &x);
    assert_false(my_lists(2, &x));
    assert_int_equal(rows(), 1);
}

static void by_hand__an_answer_behind_an_answer_starts_nothing(void **state)
{
    XID x = new_xid();

    (void)state;
    assert_int_equal(mysql_send_query(hf_mariadb_conn(1), "DO 1", 4), 0);
    my_user(1, "DO 2");
    my_xa(XAER_RMFAIL, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    assert_null(hf_mariadb_conn(1));
}

/* A statement that the client library cuts in two counts as one whose answer was read. */
static void by_hand__an_answer_to_a_huge_statement_gets_no_yes(void **state)
{
    enum { HUGE = 17 << 20 };
    long limit = my_number("SELECT @@GLOBAL.max_allowed_packet");
    char *sql = malloc(HUGE);
    XID x = new_xid();

    (void)state;
    assert_non_null(sql);
    memset(sql, 'x', HUGE);
    memcpy(sql, "DO '", 4);
    sql[HUGE - 1] = '\'';
    my_admin("SET GLOBAL max_allowed_packet = %d", 64 << 20);
    my_close(1);
    my_open(1, "quirks", ""); /* which takes it from there */
    my_admin("SET GLOBAL max_allowed_packet = %ld", limit);
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    hand(1, "END", &x, "");
    assert_int_equal(mysql_send_query(hf_mariadb_conn(1), sql, HUGE), 0);
    free(sql);
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XAER_RMFAIL, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    gone(&x);
    assert_int_equal(rows(), 0);
}

/* Who waits for the vote does not wait for the hour. */
static void by_hand__a_statement_that_goes_on_gets_no_yes_and_is_not_waited_for(void **state)
{
    time_t begin = time(NULL);
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    assert_int_equal(mysql_send_query(hf_mariadb_conn(1), "DO SLEEP(3600)", 14), 0);
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XAER_RMFAIL, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    assert_true(time(NULL) - begin < 600);
    gone(&x); /* and so it holds no locks, either */
    assert_int_equal(rows(), 0);
}

/* A closed statement has no answer: nothing is wrong. */
static void by_hand__a_closed_statement_gets_a_yes(void **state)
{
    static const char sql[] = "INSERT INTO t VALUES (1)";
    MYSQL_STMT *stmt;
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    stmt = mysql_stmt_init(hf_mariadb_conn(1));
    assert_int_equal(mysql_stmt_prepare(stmt, sql, sizeof(sql) - 1), 0);
    assert_int_equal(mysql_stmt_execute(stmt), 0);
    assert_int_equal(mysql_stmt_close(stmt), 0);
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(rows(), 1);
}

/* -- rolled back by the server ----------------------------------------------------------------- */

static void rolled_back__a_deadlock_is_told_as_one(void **state)
{
    XID x = new_xid(), y = new_xid();

    (void)state;
    my_admin("INSERT INTO quirks.t VALUES (1), (2)");
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 2, my->xa_start_entry(&y, 2, TMNOFLAGS));
    my_user(1, "SELECT * FROM t WHERE n = 1 FOR UPDATE");
    my_user(2, "SELECT * FROM t WHERE n = 2 FOR UPDATE");
    my_user(2, "INSERT INTO t VALUES (3), (4), (5)"); /* the heavier one survives */
    /* The first one waits without blocking us. */
    assert_int_equal(mysql_send_query(hf_mariadb_conn(1), "DELETE FROM t WHERE n = 2", 25), 0);
    my_sleep_ms(200);
    my_user(2, "DELETE FROM t WHERE n = 1");
    assert_int_not_equal(mysql_read_query_result(hf_mariadb_conn(1)), 0);
    assert_int_equal(mysql_errno(hf_mariadb_conn(1)), ER_LOCK_DEADLOCK);
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_RBDEADLOCK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 2, my->xa_end_entry(&y, 2, TMSUCCESS));
    my_xa(XA_OK, 2, my->xa_commit_entry(&y, 2, TMONEPHASE));
    assert_int_equal(rows(), 4);
    my_work(1, &x, 9); /* the branch is gone, and the session is good */
    my_xa(XA_OK, 1, my->xa_rollback_entry(&x, 1, TMNOFLAGS));
}

/* -- XIDs -------------------------------------------------------------------------------------- */

static void xids__of_any_bytes_come_back_as_they_were(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i += 128) {
        XID x = {.formatID = 0x7fffffff, .gtrid_length = 64, .bqual_length = 64};

        for (int j = 0; j < 128; j++)
            x.data[j] = (char)(i + j);
        my_work(1, &x, i);
        my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
        assert_true(my_lists(2, &x));
        my_xa(XA_OK, 1, my->xa_rollback_entry(&x, 1, TMNOFLAGS));
        assert_false(my_lists(2, &x));
    }
}

/* One server, two databases: their branches differ in the qualifier only. */
static void xids__two_databases_of_one_server_do_not_meet(void **state)
{
    XID x = new_xid(), y = x;

    (void)state;
    my_database("quirks_b");
    my_admin("DELETE FROM quirks_b.t");
    my_open(3, "quirks_b", "");
    y.data[8] = 'z';
    my_work(1, &x, 1);
    my_work(3, &y, 1);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 3, my->xa_prepare_entry(&y, 3, TMNOFLAGS));
    my_xa(XA_OK, 3, my->xa_rollback_entry(&y, 3, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(rows(), 1);
    assert_int_equal(my_number("SELECT COUNT(*) FROM quirks_b.t"), 0);
    my_close(3);
}

/* -- what a user may set and make -------------------------------------------------------------- */

/* Our compound statements have to be read in every mode that a user may choose. */
static void sql_mode__changes_nothing(void **state)
{
    static const char *const modes[] = {"ORACLE", "ANSI", "TRADITIONAL", "NO_BACKSLASH_ESCAPES",
                                        ""};

    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        XID x = new_xid();

        my_user(1, "SET sql_mode = '%s'", modes[i]);
        my_work(1, &x, 1);
        my_xa(XA_OK, 1, my->xa_rollback_entry(&x, 1, TMNOFLAGS));
        my_work(1, &x, 1);
        my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
        my_xa(XA_OK, 1, my->xa_rollback_entry(&x, 1, TMNOFLAGS));
        my_work(1, &x, 10 + (long)i);
        my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
        my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    }
    assert_int_equal(rows(), sizeof(modes) / sizeof(modes[0]));
}

/* It goes with the session, and the branch's other work does not depend on it. */
static void temporary_table__does_not_keep_a_branch_from_committing(void **state)
{
    for (int hangs = 0; hangs < 2; hangs++) {
        XID x = new_xid();

        (void)state;
        my_user(1, "CREATE TEMPORARY TABLE mine (n INT) ENGINE=InnoDB");
        my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
        my_user(1, "INSERT INTO mine VALUES (1)");
        my_user(1, "INSERT INTO t VALUES (%d)", hangs);
        my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
        my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
        if (hangs)
            t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
        my_xa(XA_OK, 1 + hangs, my->xa_commit_entry(&x, 1 + hangs, TMNOFLAGS));
        if (!hangs)
            my_user(1, "DROP TEMPORARY TABLE mine");
    }
    assert_int_equal(rows(), 2);
}

/* A savepoint of the user's, and a rollback to it, are the user's business. */
static void savepoints__of_the_user_work(void **state)
{
    XID x = new_xid();

    (void)state;
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "INSERT INTO t VALUES (1)");
    my_user(1, "SAVEPOINT here");
    my_user(1, "INSERT INTO t VALUES (2)");
    my_user(1, "ROLLBACK TO here");
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(rows(), 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(hanging__is_told_from_a_branch_that_is_not_there),
        T(hanging__detach_ends_it_and_the_branch_commits),
        T(hanging__detach_ends_it_and_the_branch_rolls_back),
        T(hanging__detach_kills_no_innocent_session),
        T(hanging__detach_never_ends_its_own_session),
        T(closed__a_prepared_branch_is_committed_by_another_rmid),
        T(closed__who_may_not_look_waits_and_commits),
        T(read_only__commits_in_its_own_session),
        T(read_only__commits_after_its_session),
        T(read_only__rolls_back_after_its_session),
        T(by_hand__commit_is_refused_by_the_server),
        T(by_hand__an_ended_branch_gets_no_yes),
        T(by_hand__a_branch_begun_again_gets_no_yes),
        T(by_hand__a_rolled_back_branch_gets_no_yes),
        T(by_hand__a_reset_connection_gets_no_yes),
        T(by_hand__a_connection_made_anew_is_lost),
        T(by_hand__rows_unread_get_no_yes),
        T(by_hand__an_answer_unread_gets_no_yes),
        T(by_hand__an_answer_behind_an_answer_gets_no_yes),
        T(by_hand__an_error_behind_an_answer_is_not_ours),
        T(by_hand__an_answer_behind_an_answer_starts_nothing),
        T(by_hand__an_answer_to_a_huge_statement_gets_no_yes),
        T(by_hand__a_statement_that_goes_on_gets_no_yes_and_is_not_waited_for),
        T(by_hand__a_closed_statement_gets_a_yes),
        T(rolled_back__a_deadlock_is_told_as_one),
        T(sql_mode__changes_nothing),
        T(temporary_table__does_not_keep_a_branch_from_committing),
        T(savepoints__of_the_user_work),
        T(xids__of_any_bytes_come_back_as_they_were),
        T(xids__two_databases_of_one_server_do_not_meet),
    };
    int failed;

    t_plant(argc, argv);
    if (argc > 1)
        cmocka_set_test_filter("by_hand__*begun_again*"); /* others would wait for what is left */
    failed = cmocka_run_group_tests_name("mariadb.quirks", tests, NULL, NULL);
    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
