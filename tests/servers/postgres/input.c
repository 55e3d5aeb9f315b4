/*
 * What: what users and strangers do to a branch, a connection and an open string: a clear answer in
 *       the server's own words, no branch touched that is not ours, and no secret in any text.
 * How:  each of these mistakes against a real server, and then a look at what is in the database.
 */
#include "pg_t.h"

enum { MINE = 1, OTHER = 2 };

static long last_branch;

static XID start(int rmid)
{
    XID x = pg_xid(++last_branch);

    t_xa(XA_OK, pg.xa_start_entry(&x, rmid, TMNOFLAGS));
    return x;
}

static int rows(void)
{
    return pg_number("one", "SELECT count(*) FROM entry");
}

/* -- open strings ------------------------------------------------------------------------------ */

static void expect_no_open(int answer, const char *info, const char *why)
{
    char copy[512];

    snprintf(copy, sizeof(copy), "%s", info);
    t_xa(answer, pg.xa_open_entry(copy, MINE, TMNOFLAGS));
    if (strstr(pg_why(MINE), why) == NULL)
        fail_msg("'%s' is not in: %s", why, pg_why(MINE));
    assert_null(strstr(pg_why(MINE), "swordfish"));
    t_xa(XA_OK, pg.xa_close_entry(copy, MINE, TMNOFLAGS)); /* nothing was left behind */
}

static void bad_open_strings_are_refused_without_quoting_them(void **state)
{
    char text[400];

    (void)state;
    expect_no_open(XAER_INVAL, "password=my swordfish host=x", "not libpq's key=value pairs");
    expect_no_open(XAER_INVAL, "swordfish=1", "libpq cannot read the open string");
    expect_no_open(XAER_INVAL, "host='swordfish", "not libpq's key=value pairs");
    expect_no_open(XAER_INVAL, "=swordfish", "not libpq's key=value pairs");
    expect_no_open(XAER_INVAL, "host=x unsafe=swordfish", "neither yes nor no");
    expect_no_open(XAER_INVAL, "host=x port=swordfish unsafe=", "neither yes nor no");
    expect_no_open(XAER_INVAL, "postgresql://u:sword%fish@/x", "libpq cannot read");
    memset(text, 'x', 300);
    strcpy(text + 300, "=1");
    expect_no_open(XAER_INVAL, text, "over 255 bytes");
    t_xa(XAER_INVAL, pg.xa_open_entry(NULL, MINE, TMNOFLAGS));
}

static void what_cannot_be_reached_is_rmerr_in_the_servers_words(void **state)
{
    char info[256];

    (void)state;
    expect_no_open(XAER_RMERR, pg_info_with("one", "user=locked password=swordfish"),
                   "password authentication failed for user \"locked\"");
    expect_no_open(XAER_RMERR, pg_info_with("one", "user=locked"), "no password supplied");
    expect_no_open(XAER_RMERR, pg_info("missing"), "database \"missing\" does not exist");
    expect_no_open(XAER_RMERR, "host=/nonexistent user=swordfis dbname=x password=swordfish",
                   "No such file or directory");
    expect_no_open(XAER_RMERR, "service=nowhere-to-be-found", "");
    /* a password that the server or libpq would quote is taken out all the same */
    snprintf(info, sizeof(info), "host=%s user=hf dbname=swordfish password=swordfish", pg_dir());
    expect_no_open(XAER_RMERR, info, "database \"*********\" does not exist");
}

static void passwords_pass_files_and_uris_work(void **state)
{
    char info[256], command[600];

    (void)state;
    snprintf(info, sizeof(info), "unsafe = no password = '%s' user=locked",
             getenv("HF_PG_PASSWORD"));
    pg_open(MINE, pg_info_with("one", info));
    pg_do(MINE, "SELECT 1");
    pg_close(MINE);
    snprintf(command, sizeof(command), "umask 077; echo '*:*:*:*:%s' >%s/pass",
             getenv("HF_PG_PASSWORD"), pg_dir());
    assert_int_equal(system(command), 0);
    snprintf(info, sizeof(info), "user=locked passfile=%s/pass", pg_dir());
    pg_open(MINE, pg_info_with("one", info));
    pg_do(MINE, "SELECT 1");
    pg_close(MINE);
    snprintf(info, sizeof(info), "postgresql:///one?host=%s&user=hf", pg_dir());
    pg_open(MINE, info);
    pg_do(MINE, "SELECT 1");
    pg_close(MINE);
}

/* -- the transaction taken away by hand -------------------------------------------------------- */

static void by_hand(const char *sql, int prepared_ones, int end_answer, int committed)
{
    for (int one = 0; one < 2; one++) {
        XID x;
        int rc;

        print_message("%s, %s\n", sql, one ? "one phase" : "prepare");
        x = start(MINE);
        pg_do(MINE, "INSERT INTO entry VALUES (1)");
        pg_do(MINE, sql);
        rc = pg.xa_end_entry(&x, MINE, TMSUCCESS);
        t_xa(end_answer, rc);
        if (end_answer == XA_OK) {
            t_xa(XA_RBPROTO, one ? pg.xa_commit_entry(&x, MINE, TMONEPHASE)
                                 : pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
            assert_non_null(strstr(pg_why(MINE), "not the transaction that began the branch"));
        } else {
            assert_non_null(strstr(pg_why(MINE), "ended by hand"));
            t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
        }
        assert_int_equal(pg_prepared(), prepared_ones);
        if (prepared_ones != 0)
            pg_value("one", "ROLLBACK PREPARED 'mine'");
        assert_int_equal(rows(), committed);
        assert_int_equal(hf_postgres_validate(MINE), HF_OK);
        pg_value("one", "DELETE FROM entry");
    }
}

static void a_transaction_ended_by_hand_is_never_a_yes(void **state)
{
    (void)state;
    pg_open(MINE, pg_info("one"));
    by_hand("COMMIT", 0, XA_RBPROTO, 1);
    by_hand("ROLLBACK", 0, XA_RBPROTO, 0);
    by_hand("PREPARE TRANSACTION 'mine'", 1, XA_RBPROTO, 0);
    by_hand("COMMIT; BEGIN", 0, XA_OK, 1);
    by_hand("ROLLBACK; BEGIN", 0, XA_OK, 0);
    by_hand("COMMIT; BEGIN; INSERT INTO entry VALUES (2)", 0, XA_OK, 1);
    by_hand("COMMIT AND CHAIN", 0, XA_OK, 1);
    by_hand("ROLLBACK AND CHAIN", 0, XA_OK, 0);
    /* to forge it is to know it: this is a guard against mistakes */
    by_hand("COMMIT; BEGIN; SET LOCAL holdfast.branch = 'another'", 0, XA_OK, 1);
    pg_close(MINE);
}

/* The same on a connection that had the marker of an earlier branch, and on the read-only way. */
static void queries_after_a_commit_by_hand_are_no_read_only_vote(void **state)
{
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    for (int i = 0; i < 2; i++) {
        x = start(MINE);
        pg_do(MINE, "SELECT 1");
        pg_do(MINE, "COMMIT; BEGIN");
        t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        t_xa(XA_RBPROTO, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    }
    pg_close(MINE);
}

/* -- the native connection --------------------------------------------------------------------- */

static void native_work_is_in_the_branch(void **state)
{
    const char *const values[] = {"7"};
    PGconn *conn;
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    x = start(MINE);
    conn = hf_postgres_conn(MINE);
    assert_non_null(conn);
    assert_int_equal(PQtransactionStatus(conn), PQTRANS_INTRANS);
    PQclear(PQexec(conn, "INSERT INTO entry VALUES (1)"));
    PQclear(PQexecParams(conn, "INSERT INTO entry VALUES ($1)", 1, NULL, values, NULL, NULL, 0));
    PQclear(PQexec(conn, "SAVEPOINT s"));
    PQclear(PQexec(conn, "SELECT 1/0"));
    PQclear(PQexec(conn, "ROLLBACK TO SAVEPOINT s"));
    t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XA_OK, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(rows(), 0);
    t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(rows(), 2);
    pg_close(MINE);
}

static void work_on_a_kept_connection_before_begin_is_noticed(void **state)
{
    PGconn *conn;
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    conn = hf_postgres_conn(MINE); /* outside of any branch: local work */
    assert_non_null(conn);
    PQclear(PQexec(conn, "SELECT 1"));
    for (int later = 0; later < 2; later++) {
        x = start(MINE);
        PQclear(PQexec(conn, "INSERT INTO entry VALUES (1)")); /* in no branch */
        if (later)
            pg_do(MINE, "INSERT INTO entry VALUES (2)");
        t_xa(XA_RBPROTO, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        assert_non_null(strstr(pg_why(MINE), "outside the branch"));
        t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
        assert_int_equal(rows(), later + 1);
    }
    pg_close(MINE);
}

/* The answer is thrown away when BEGIN goes out on the same connection: it counts all the same. */
static void work_sent_on_a_kept_connection_and_not_read_is_noticed(void **state)
{
    PGconn *conn;
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    conn = hf_postgres_conn(MINE);
    assert_non_null(conn);
    for (int later = 0; later < 2; later++) {
        x = start(MINE);
        assert_int_equal(PQsendQuery(conn, "INSERT INTO entry VALUES (1)"), 1); /* in no branch */
        assert_ptr_equal(hf_postgres_conn(MINE), conn);
        if (later)
            pg_do(MINE, "INSERT INTO entry VALUES (2)");
        t_xa(XA_RBPROTO, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        assert_non_null(strstr(pg_why(MINE), "outside the branch"));
        t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
        assert_int_equal(rows(), later + 1);
    }
    pg_close(MINE);
}

static void wait_for_copy_in(PGconn *conn)
{
    PGresult *result = PQgetResult(conn);

    assert_int_equal(PQresultStatus(result), PGRES_COPY_IN);
    PQclear(result);
}

static void unfinished_work_is_a_no_and_is_cleaned_up(void **state)
{
    static const struct {
        const char *sql;
        int usable; /* the connection, after the rollback */
    } left[] = {{"SELECT pg_sleep(3600)", 1}, {"COPY entry FROM STDIN", 0}, {"SELECT 1", 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        PGconn *conn;
        XID x;

        print_message("%s\n", left[i].sql);
        pg_open(MINE, pg_info("one"));
        x = start(MINE);
        pg_do(MINE, "INSERT INTO entry VALUES (1)");
        conn = hf_postgres_conn(MINE);
        assert_int_equal(PQsendQuery(conn, left[i].sql), 1);
        if (!left[i].usable) /* begun: cancelled before that, it leaves nothing behind */
            wait_for_copy_in(conn);
        t_xa(XA_RBPROTO, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        assert_non_null(strstr(pg_why(MINE), "left unfinished"));
        t_xa(left[i].usable ? XA_OK : XAER_RMFAIL, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
        assert_int_equal(hf_postgres_validate(MINE), left[i].usable ? HF_OK : HF_ERM);
        assert_int_equal(rows(), 0);
        pg_close(MINE);
    }
}

static void a_pipeline_left_open_is_not_pooled(void **state)
{
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    x = start(MINE);
    assert_int_equal(PQenterPipelineMode(hf_postgres_conn(MINE)), 1);
    t_xa(XA_RBPROTO, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XAER_RMFAIL, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(hf_postgres_reset(MINE), HF_ERM);
    pg_close(MINE);
}

/* -- the helper -------------------------------------------------------------------------------- */

static void the_first_statement_brings_begin_along(void **state)
{
    const char *const values[] = {"5"};
    PGresult *result;
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    for (int i = 0; i < 5; i++) {
        char big[8192];

        x = start(MINE);
        if (i == 0) {
            pg_do(MINE, "INSERT INTO entry VALUES (1); INSERT INTO entry VALUES (2)");
        } else if (i == 1) {
            result = hf_postgres_exec_params(MINE, "INSERT INTO entry VALUES ($1) RETURNING n", 1,
                                             NULL, values, NULL, NULL, 0);
            assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
            assert_string_equal(PQgetvalue(result, 0, 0), "5");
            PQclear(result);
            result = hf_postgres_exec_params(MINE, "INSERT INTO entry VALUES ($1)", 1, NULL, values,
                                             NULL, NULL, 0);
            assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
            PQclear(result);
        } else if (i == 2) { /* longer than what fits without memory of its own */
            snprintf(big, sizeof(big), "INSERT INTO entry VALUES (1), (2) /* %*s */", 8000, "");
            pg_do(MINE, big);
        } else if (i == 3) {
            result = hf_postgres_exec(MINE, "");
            assert_int_equal(PQresultStatus(result), PGRES_EMPTY_QUERY);
            PQclear(result);
            pg_do(MINE, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
            pg_do(MINE, "INSERT INTO entry VALUES (1), (2)");
        } else {
            result = hf_postgres_exec(MINE, "COPY entry FROM STDIN");
            assert_int_equal(PQresultStatus(result), PGRES_COPY_IN);
            PQclear(result);
            assert_int_equal(PQputCopyData(hf_postgres_conn(MINE), "1\n2\n", 4), 1);
            assert_int_equal(PQputCopyEnd(hf_postgres_conn(MINE), NULL), 1);
            while ((result = PQgetResult(hf_postgres_conn(MINE))) != NULL)
                PQclear(result);
        }
        t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        t_xa(XA_OK, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
        t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
        assert_int_equal(rows(), 2 * (i + 1));
    }
    pg_close(MINE);
}

static void a_first_statement_that_fails_spoils_the_branch(void **state)
{
    static const char *const statements[] = {"SELECT 1/0", "not even SQL"};

    (void)state;
    pg_open(MINE, pg_info("one"));
    assert_null(hf_postgres_exec(MINE, NULL));
    for (int i = 0; i < 4; i++) {
        PGresult *result;
        XID x = start(MINE);

        result =
            i < 2 ? hf_postgres_exec(MINE, statements[i])
                  : hf_postgres_exec_params(MINE, statements[i - 2], 0, NULL, NULL, NULL, NULL, 0);
        assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
        PQclear(result);
        result = hf_postgres_exec(MINE, "INSERT INTO entry VALUES (1)");
        PQclear(result); /* whatever it says: it does not count */
        t_xa(XA_RBOTHER, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
        assert_int_equal(rows(), 0);
        assert_int_equal(hf_postgres_validate(MINE), HF_OK);
    }
    pg_close(MINE);
}

/* -- read-only --------------------------------------------------------------------------------- */

static void a_branch_that_changed_nothing_votes_read_only(void **state)
{
    static const struct {
        const char *sql;
        int vote;
    } branches[] = {
        {"SELECT count(*) FROM entry", XA_RDONLY},
        {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM entry", XA_RDONLY},
        {"SHOW server_version", XA_RDONLY},
        {"SELECT * FROM entry FOR UPDATE", XA_OK},
        {"SELECT write_it()", XA_OK},
        {"WITH w AS (INSERT INTO entry VALUES (3) RETURNING n) SELECT n FROM w", XA_OK},
        {"INSERT INTO entry SELECT 1 WHERE false", XA_OK}, /* seen as writing, and so prepared */
    };

    (void)state;
    pg_value("one", "INSERT INTO entry VALUES (0)");
    pg_value("one", "CREATE OR REPLACE FUNCTION write_it() RETURNS void LANGUAGE sql AS "
                    "'INSERT INTO entry VALUES (4)'");
    pg_open(MINE, pg_info("one"));
    for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++) {
        XID x = start(MINE);

        print_message("%s\n", branches[i].sql);
        pg_do(MINE, branches[i].sql);
        t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        t_xa(branches[i].vote, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
        assert_int_equal(pg_prepared(), branches[i].vote == XA_OK);
        t_xa(branches[i].vote == XA_OK ? XA_OK : XAER_NOTA,
             pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    }
    assert_int_equal(rows(), 3);
    pg_close(MINE);
}

/* How many notifications have come in. */
static int notified(PGconn *listener)
{
    PGnotify *got;
    int count = 0;

    PQclear(PQexec(listener, "SELECT 1")); /* brings what has been sent by now */
    while ((got = PQnotifies(listener)) != NULL) {
        PQfreemem(got);
        count++;
    }
    return count;
}

/* pg_notify() in a query: with queries only it is sent when the branch votes, as it can be neither
   prepared nor seen; beside work it makes the vote a no, and a rollback before the vote sends
   nothing. */
static void a_notification_by_a_query_goes_out_with_a_read_only_vote(void **state)
{
    PGconn *listener = PQconnectdb(pg_info("one"));
    XID x;

    (void)state;
    PQclear(PQexec(listener, "LISTEN news"));
    pg_open(MINE, pg_info("one"));
    x = start(MINE);
    pg_do(MINE, "SELECT pg_notify('news', '1')");
    t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    assert_int_equal(notified(listener), 0);
    t_xa(XA_RDONLY, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(notified(listener), 1);

    x = start(MINE);
    pg_do(MINE, "SELECT pg_notify('news', '2')");
    t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));

    x = start(MINE);
    pg_do(MINE, "INSERT INTO entry VALUES (1)");
    pg_do(MINE, "SELECT pg_notify('news', '3')");
    t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XA_RBOTHER, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "0A000: cannot PREPARE a transaction that has"));
    assert_int_equal(notified(listener), 0);
    assert_int_equal(rows(), 0);

    x = start(MINE); /* alone in its transaction it is one commit, and both are good */
    pg_do(MINE, "INSERT INTO entry VALUES (1)");
    pg_do(MINE, "SELECT pg_notify('news', '4')");
    t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMONEPHASE));
    assert_int_equal(notified(listener), 1);
    assert_int_equal(rows(), 1);
    PQfinish(listener);
    pg_close(MINE);
}

/* What each call says when its session is gone; a prepared branch is then another rmid's. */
static void a_session_that_ends_at_a_step_is_rmfail(void **state)
{
    enum { WORK, END, VOTE, ONE_PHASE, COMMIT, ROLLBACK, SCAN, STEPS };
    XID xids[4];

    (void)state;
    for (int at = WORK; at < STEPS; at++) {
        int rc, prepared = at == COMMIT || at == ROLLBACK;
        XID x;

        print_message("step %d\n", at);
        pg_open(MINE, pg_info("one"));
        x = start(MINE);
        if (at != WORK)
            pg_do(MINE, "INSERT INTO entry VALUES (1)");
        if (at > END)
            t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        if (prepared)
            t_xa(XA_OK, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
        pg_value("postgres", "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE "
                             "application_name = 'holdfast'");
        if (at == WORK)
            PQclear(hf_postgres_exec(MINE, "INSERT INTO entry VALUES (1)"));
        rc = at <= END         ? pg.xa_end_entry(&x, MINE, TMSUCCESS)
             : at == VOTE      ? pg.xa_prepare_entry(&x, MINE, TMNOFLAGS)
             : at == ONE_PHASE ? pg.xa_commit_entry(&x, MINE, TMONEPHASE)
             : at == COMMIT    ? pg.xa_commit_entry(&x, MINE, TMNOFLAGS)
             : at == ROLLBACK  ? pg.xa_rollback_entry(&x, MINE, TMNOFLAGS)
                               : pg.xa_recover_entry(xids, 4, MINE, TMSTARTRSCAN);
        if (at == END && rc == XA_OK) /* it may send nothing, and then cannot know */
            rc = pg.xa_prepare_entry(&x, MINE, TMNOFLAGS);
        t_xa(XAER_RMFAIL, rc);
        assert_string_not_equal(pg_why(MINE), "");
        t_rc(HF_ERM, hf_postgres_validate(MINE));
        t_rc(HF_ERM, hf_postgres_reset(MINE));
        assert_int_equal(pg_prepared(), prepared);
        pg_close(MINE);
        pg_open(OTHER, pg_info("one"));
        t_xa(prepared ? XA_OK : XAER_NOTA, pg.xa_rollback_entry(&x, OTHER, TMNOFLAGS));
        pg_close(OTHER);
        assert_int_equal(rows(), 0);
    }
}

/* -- strangers in the scan --------------------------------------------------------------------- */

/* A recovery pass over the database, by a node that has nothing there. */
static void recover_with_a_new_node(void)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_rm_config rm_config = HF_RM_CONFIG_INIT;
    hf_tm_stats stats = {.size = sizeof(stats)};
    char *dir = t_dir_make();
    hf_tm *tm;
    hf_rm *rm;

    config.dir = t_path(dir, "node");
    t_ok(hf_tm_open(&config, &tm));
    rm_config.name = "one";
    rm_config.xa = &hf_postgres_switch;
    rm_config.ext = &hf_postgres_ext;
    rm_config.open_info = pg_info("one");
    t_ok(hf_rm_register(tm, &rm_config, &rm));
    t_ok(hf_tm_start(tm, 0));
    t_ok(hf_tm_recover(tm, rm));
    t_ok(hf_tm_get_stats(tm, &stats));
    assert_int_equal(stats.recovered_rolledback, 0);
    t_ok(hf_tm_close(tm, 0, NULL));
    t_dir_remove(dir);
}

static void strangers_gids_are_left_alone(void **state)
{
    static const char *const strangers[] = {
        "",
        "by hand",
        "4711_MDAwMDAwMDE=_YjE",   /* padding missing */
        "4711_MDAwMDAwMDE=_YjF=",  /* bits after the end */
        "04711_MDAwMDAwMDE=_YjE=", /* a leading zero */
        "+4711_MDAwMDAwMDE=_YjE=",
        "-1_MDAwMDAwMDE=_YjE=",
        "4711_MDAwMDAwMDE=_YjE=_",
        "4711_MDAwMDAwMDE=_YjE= ",
        "4711__YjE=", /* no gtrid */
        "4711_MDAw MDAwMDE=_YjE=",
        "99999999999999999999_YWI=_YWI=",
        "4711_=AAA_YWI=",
        "1212568664_A_B",
    };
    XID xids[32], theirs;

    (void)state;
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        char sql[256];

        snprintf(sql, sizeof(sql), "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '%s'",
                 strangers[i]);
        pg_value("one", sql);
    }
    /* another transaction manager's: a valid XID, and that is how it is listed */
    pg_value("one", "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '131077_YWI=_Yg=='");
    pg_value("two", "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '131077_YWI=_Yw=='");
    pg_open(MINE, pg_info("one"));
    t_xa(1, pg.xa_recover_entry(xids, 32, MINE, TMSTARTRSCAN));
    memset(&theirs, 0, sizeof(theirs));
    theirs = (XID){.formatID = 131077, .gtrid_length = 2, .bqual_length = 1, .data = "abb"};
    assert_memory_equal(&xids[0], &theirs, sizeof(theirs));
    pg_close(MINE);
    recover_with_a_new_node();
    assert_int_equal(pg_prepared(), sizeof(strangers) / sizeof(strangers[0]) + 2);
    for (int left = pg_prepared(); left > 0; left--) {
        const char *database =
            strcmp(pg_value("one", "SELECT database FROM pg_prepared_xacts"), "one") == 0 ? "one"
                                                                                          : "two";
        char sql[512];

        snprintf(sql, sizeof(sql), "ROLLBACK PREPARED '%s'",
                 pg_value("one", "SELECT gid FROM pg_prepared_xacts"));
        pg_value(database, sql);
    }
}

/* -- between two users ------------------------------------------------------------------------- */

static void reset_leaves_a_session_as_it_was_made(void **state)
{
    PGconn *conn;
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    conn = hf_postgres_conn(MINE);
    PQclear(PQexec(conn, "SET search_path = nowhere"));
    PQclear(PQexec(conn, "CREATE TEMP TABLE t (n int)"));
    PQclear(PQexec(conn, "BEGIN"));
    PQclear(PQexec(conn, "INSERT INTO public.entry VALUES (1)"));
    t_rc(HF_ESTATE, hf_postgres_validate(MINE));
    t_ok(hf_postgres_reset(MINE));
    assert_int_equal(rows(), 0);
    pg_do(MINE, "INSERT INTO entry VALUES (1)");
    pg_fails(MINE, "SELECT * FROM t", "42P01");
    t_ok(hf_postgres_validate(MINE));
    x = start(MINE);
    t_rc(HF_ESTATE, hf_postgres_reset(MINE));
    t_rc(HF_ESTATE, hf_postgres_validate(MINE));
    t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XA_RDONLY, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    t_rc(HF_EINVAL, hf_postgres_reset(99));
    pg_value("postgres", "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE "
                         "application_name = 'holdfast'");
    t_rc(HF_ERM, hf_postgres_validate(MINE));
    pg_close(MINE);
    assert_null(hf_postgres_conn(MINE));
    assert_null(hf_postgres_exec(MINE, "SELECT 1"));
}

static int setup(void **state)
{
    (void)state;
    pg_value("one", "DROP TABLE IF EXISTS entry");
    pg_value("one", "CREATE TABLE entry (n int)");
    return 0;
}

int main(int argc, char **argv)
{
#define T(fn) cmocka_unit_test_setup(fn, setup)
    const struct CMUnitTest tests[] = {
        T(bad_open_strings_are_refused_without_quoting_them),
        T(what_cannot_be_reached_is_rmerr_in_the_servers_words),
        T(passwords_pass_files_and_uris_work),
        T(a_transaction_ended_by_hand_is_never_a_yes),
        T(queries_after_a_commit_by_hand_are_no_read_only_vote),
        T(native_work_is_in_the_branch),
        T(work_on_a_kept_connection_before_begin_is_noticed),
        T(work_sent_on_a_kept_connection_and_not_read_is_noticed),
        T(unfinished_work_is_a_no_and_is_cleaned_up),
        T(a_pipeline_left_open_is_not_pooled),
        T(the_first_statement_brings_begin_along),
        T(a_first_statement_that_fails_spoils_the_branch),
        T(a_branch_that_changed_nothing_votes_read_only),
        T(a_notification_by_a_query_goes_out_with_a_read_only_vote),
        T(a_session_that_ends_at_a_step_is_rmfail),
        T(strangers_gids_are_left_alone),
        T(reset_leaves_a_session_as_it_was_made),
    };

    t_plant(argc, argv);
    return cmocka_run_group_tests_name("postgres.input", tests, NULL, NULL);
}
