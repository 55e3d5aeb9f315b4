/*
 * What: whatever a user leaves on a connection, nobody else gets it: a transaction, a query, a
 *       COPY, a pipeline, a result or an answer unread, another default database; in a branch,
 *       which then rolls back, and out of one. And what stays on a session, and what does not if it
 *       is cleaned.
 * How:  one connection in each pool, so that the next user gets the same one, or the one that took
 *       its place; each mess is a row of a table; after each a transaction over both has to commit,
 *       and what the mess wrote is not there.
 */
#include "pool_t.h"

/* The number that a mess writes; it has to be gone after it. */
enum { DIRT = 4711 };

/* What the user of a connection does before he frees it. */
struct pg_mess {
    const char *name;
    void (*make)(PGconn *conn);
    bool stays; /* the connection, out of a branch */
    bool dies;  /* the connection, in a branch */
};

struct my_mess {
    const char *name;
    void (*make)(MYSQL *conn);
    bool stays, dies;
};

/* -- PostgreSQL -------------------------------------------------------------------------------- */

static void pg_sql(PGconn *conn, const char *sql, ExecStatusType wanted)
{
    PGresult *result = PQexec(conn, sql);

    if (PQresultStatus(result) != wanted)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
}

static void pg_insert(PGconn *conn)
{
    pg_sql(conn, "INSERT INTO t VALUES (4711)", PGRES_COMMAND_OK);
}

static void pg_begun(PGconn *conn)
{
    pg_sql(conn, "BEGIN", PGRES_COMMAND_OK);
    pg_insert(conn);
}

static void pg_failed(PGconn *conn)
{
    pg_begun(conn);
    pg_sql(conn, "SELECT 1/0", PGRES_FATAL_ERROR);
}

static void pg_running(PGconn *conn)
{
    assert_int_equal(PQsendQuery(conn, "SELECT pg_sleep(600)"), 1);
}

static void pg_unread(PGconn *conn)
{
    assert_int_equal(PQsendQuery(conn, "SELECT 1; SELECT 2"), 1);
}

static void pg_row_by_row(PGconn *conn)
{
    assert_int_equal(PQsendQuery(conn, "SELECT * FROM generate_series(1, 100000)"), 1);
    assert_int_equal(PQsetSingleRowMode(conn), 1);
    PQclear(PQgetResult(conn));
}

static void pg_copy_in(PGconn *conn)
{
    pg_sql(conn, "COPY t FROM STDIN", PGRES_COPY_IN);
    assert_int_equal(PQputCopyData(conn, "4711\n", 5), 1);
}

static void pg_copy_out(PGconn *conn)
{
    pg_sql(conn, "COPY (SELECT * FROM generate_series(1, 100000)) TO STDOUT", PGRES_COPY_OUT);
}

static void pg_pipeline(PGconn *conn)
{
    assert_int_equal(PQenterPipelineMode(conn), 1);
    assert_int_equal(PQsendQueryParams(conn, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0), 1);
}

static void on_notice(void *user, const char *text)
{
    (void)text;
    ++*(int *)user;
}

/* What is set in the client library's object only. */
static void pg_client(PGconn *conn)
{
    static int notices;

    assert_int_equal(PQsetnonblocking(conn, 1), 0);
    (void)PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    (void)PQsetNoticeProcessor(conn, on_notice, &notices);
}

static void pg_anew(PGconn *conn)
{
    PQreset(conn);
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
}

static const struct pg_mess pg_messes[] = {
    {"a transaction", pg_begun, true, false}, /* in a branch: BEGIN only warns */
    {"a failed transaction", pg_failed, true, false},
    {"a query that runs", pg_running, true, false},
    {"results that nobody read", pg_unread, true, false},
    {"a result half read", pg_row_by_row, true, false},
    {"a COPY in", pg_copy_in, false, true},
    {"a COPY out", pg_copy_out, false, true},
    {"a pipeline", pg_pipeline, false, true},
    {"the client's settings", pg_client, true, false},
    {"another session", pg_anew, false, true},
};
enum { PG_MESSES = sizeof(pg_messes) / sizeof(pg_messes[0]) };

static int pg_left_at_work(void)
{
    return pg_number("one", "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                            "AND datname = 'one' AND state <> 'idle' "
                            "AND backend_type = 'client backend'"); /* vacuum comes by itself */
}

/* The pool's next connection is as at first, and is the same one if it could be saved. */
static void expect_pg(struct pools *p, PGconn *before, int pid, bool stays)
{
    uint64_t destroyed = pool_stats(p, PG).destroyed;
    hf_resid id = take(p, PG);
    PGconn *conn = pg_of(p, id);

    assert_int_equal(conn == before && PQbackendPID(conn) == pid, stays);
    assert_int_equal(PQtransactionStatus(conn), PQTRANS_IDLE);
    assert_int_equal(PQpipelineStatus(conn), PQ_PIPELINE_OFF);
    assert_int_equal(PQisnonblocking(conn), 0);
    assert_int_equal(PQsetErrorVerbosity(conn, PQERRORS_DEFAULT), PQERRORS_DEFAULT);
    assert_ptr_not_equal(PQsetNoticeProcessor(conn, NULL, NULL), on_notice);
    give(p, PG, id);
    assert_int_equal(pool_stats(p, PG).destroyed, destroyed);
    assert_int_equal(in_pg(DIRT), 0);
    for (int i = 0; i < 12000 && pg_left_at_work() != 0; i++) /* a session that was closed ends */
        my_sleep_ms(5);
    assert_int_equal(pg_left_at_work(), 0);
    a_good_transaction(p);
}

static void postgres__nothing_is_left_out_of_a_branch(void **state)
{
    struct pools *p = *state;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int i = 0; i < PG_MESSES; i++) {
        hf_resid id = take(p, PG);
        PGconn *conn = pg_of(p, id);
        int pid = PQbackendPID(conn);

        print_message("%s\n", pg_messes[i].name);
        pg_messes[i].make(conn);
        give(p, PG, id);
        expect_pg(p, conn, pid, pg_messes[i].stays);
    }
    pools_close(p);
}

/* In the branch, and freed while it runs; nothing of it commits, in either database. */
static void postgres__nothing_is_left_of_a_branch(void **state)
{
    struct pools *p = *state;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int i = 0; i < PG_MESSES; i++) {
        hf_tx *tx = begin_tx(p);
        hf_resid id = take(p, PG), other = take(p, MY);
        PGconn *conn = pg_of(p, id);
        int pid = PQbackendPID(conn);

        if (pg_messes[i].make == pg_begun || pg_messes[i].make == pg_client) {
            give(p, PG, id);
            give(p, MY, other);
            t_ok(hf_tx_rollback(tx, NULL));
            continue; /* these are no harm to a branch */
        }
        print_message("%s\n", pg_messes[i].name);
        assert_int_equal(insert_my(p, other, DIRT), 0);
        pg_messes[i].make(conn);
        give(p, PG, id);
        give(p, MY, other);
        t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
        assert_int_equal(in_my(DIRT), 0);
        expect_pg(p, conn, pid, !pg_messes[i].dies);
    }
    pools_close(p);
}

static void postgres__ended_by_hand_it_rolls_back_and_nothing_is_left(void **state)
{
    static const char *const hands[] = {"ROLLBACK", "COMMIT", "COMMIT; BEGIN", "ROLLBACK; BEGIN"};
    struct pools *p = *state;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int i = 0; i < 4; i++) {
        hf_tx *tx = begin_tx(p);
        hf_resid id = take(p, PG), other = take(p, MY);
        PGconn *conn = pg_of(p, id);
        int pid = PQbackendPID(conn);

        assert_int_equal(insert_my(p, other, DIRT), 0);
        pg_sql(conn, hands[i], PGRES_COMMAND_OK);
        give(p, PG, id);
        give(p, MY, other);
        t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
        assert_int_equal(in_my(DIRT), 0);
        expect_pg(p, conn, pid, true);
    }
    pools_close(p);
}

/* Who keeps the connection, and goes on with it after he gave it back. */
static void postgres__used_after_it_was_freed_it_is_not_handed_out(void **state)
{
    struct pools *p = *state;
    hf_resid id;
    PGconn *conn;
    int pid;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    id = take(p, PG);
    conn = pg_of(p, id);
    pid = PQbackendPID(conn);
    give(p, PG, id);
    pg_begun(conn);
    id = take(p, PG);
    assert_int_not_equal(PQbackendPID(pg_of(p, id)), pid);
    give(p, PG, id);
    assert_int_equal(in_pg(DIRT), 0);
    a_good_transaction(p);
    pools_close(p);
}

/* Freed after the commit, as well as before it. */
static void postgres__freed_after_the_commit_it_is_cleaned_then(void **state)
{
    struct pools *p = *state;
    hf_resid id;
    PGconn *conn;
    hf_tx *tx;
    int pid;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    tx = begin_tx(p);
    id = take(p, PG);
    conn = pg_of(p, id);
    pid = PQbackendPID(conn);
    p->last = 1;
    assert_int_equal(insert_pg(p, id, 1), 0);
    t_ok(hf_tx_commit(tx, NULL));
    pg_begun(pg_of(p, id)); /* still his: out of a transaction */
    give(p, PG, id);
    expect_pg(p, conn, pid, true);
    assert_int_equal(in_pg(1), 1);
    pools_close(p);
}

/* -- PostgreSQL: what stays on a session ------------------------------------------------------- */

static const char *pg_ask(PGconn *conn, const char *sql)
{
    static char value[128];
    PGresult *result = PQexec(conn, sql);

    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    (void)snprintf(value, sizeof(value), "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return value;
}

static const struct {
    const char *leave; /* in one transaction with the next, out of a branch */
    const char *look;
    const char *fresh, *left;
} pg_traces[] = {
    {"SET statement_timeout = 54321", "SHOW statement_timeout", "0", "54321ms"},
    {"SELECT set_config('work_mem', '77MB', false)", "SHOW work_mem", "4MB", "77MB"},
    {"SET search_path = pg_catalog", "SHOW search_path", "\"$user\", public", "pg_catalog"},
    {"SET ROLE pg_monitor", "SELECT current_user", "hf", "pg_monitor"},
    {"PREPARE p AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements", "0", "1"},
    {"LISTEN a", "SELECT count(*) FROM pg_listening_channels()", "0", "1"},
    {"SELECT pg_advisory_lock(7)",
     "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "0",
     "1"},
    {"CREATE TEMP TABLE left_over (n int)",
     "SELECT count(*) FROM pg_class WHERE relname = "
     "'left_over'",
     "0", "1"},
};
enum { PG_TRACES = sizeof(pg_traces) / sizeof(pg_traces[0]) };

static void look_at_traces(struct pools *p, bool in_branch, bool cleaned)
{
    for (int i = 0; i < PG_TRACES; i++) {
        hf_tx *tx = in_branch ? begin_tx(p) : NULL;
        hf_resid id = take(p, PG);
        int pid = PQbackendPID(pg_of(p, id));
        PGresult *result;

        print_message("%s\n", pg_traces[i].leave);
        result = hf_postgres_exec(hf_holder_rmid(p->pool[PG], id), pg_traces[i].leave);
        assert_true(PQresultStatus(result) == PGRES_COMMAND_OK ||
                    PQresultStatus(result) == PGRES_TUPLES_OK);
        PQclear(result);
        give(p, PG, id);
        if (in_branch)
            t_ok(hf_tx_commit(tx, NULL)); /* one phase: also what cannot be prepared */
        id = take(p, PG);
        assert_int_equal(PQbackendPID(pg_of(p, id)), pid);
        assert_string_equal(pg_ask(pg_of(p, id), pg_traces[i].look),
                            cleaned ? pg_traces[i].fresh : pg_traces[i].left);
        t_ok(hf_holder_request_destroy(p->pool[PG], id)); /* the next trace by itself */
    }
}

static void postgres__what_is_set_on_a_session_stays(void **state)
{
    struct pools *p = *state;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    look_at_traces(p, false, false);
    look_at_traces(p, true, false);
    pools_close(p);
}

static void postgres__cleaned_it_is_as_it_was_opened(void **state)
{
    struct pools *p = *state;

    pools_open(p, &hf_postgres_hooks_clean, &hf_mariadb_hooks_clean);
    look_at_traces(p, false, true);
    look_at_traces(p, true, true);
    a_good_transaction(p);
    a_good_transaction(p);
    pools_close(p);
}

/* The query's answer is read by the one who cancels it, and it left something all the same. */
static void postgres__cleaned_also_of_what_a_query_left_that_was_cancelled(void **state)
{
    struct pools *p = *state;
    hf_resid id;
    PGconn *conn;
    hf_tx *tx;
    int pid;

    pools_open(p, &hf_postgres_hooks_clean, &hf_mariadb_hooks_clean);
    tx = begin_tx(p);
    id = take(p, PG);
    conn = pg_of(p, id);
    pid = PQbackendPID(conn);
    assert_int_equal(PQsendQuery(conn, "SELECT pg_advisory_lock(7), pg_sleep(600)"), 1);
    while (pg_number("one", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0)
        my_sleep_ms(5);
    give(p, PG, id);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    id = take(p, PG);
    assert_int_equal(PQbackendPID(pg_of(p, id)), pid);
    assert_string_equal(pg_ask(pg_of(p, id), "SELECT count(*) FROM pg_locks WHERE "
                                             "locktype = 'advisory'"),
                        "0");
    give(p, PG, id);
    a_good_transaction(p);
    pools_close(p);
}

/* A pool that does not look before it hands out: whoever uses the session reads the answer. */
static void postgres__cleaned_and_not_looked_at_it_is_as_it_was_opened(void **state)
{
    struct pools *p = *state;

    p->config.validate_after_ms = 600000;
    pools_open(p, &hf_postgres_hooks_clean, &hf_mariadb_hooks_clean);
    look_at_traces(p, false, true);
    look_at_traces(p, true, true);
    a_good_transaction(p);
    a_good_transaction(p);
    pools_close(p);
}

/* The server ends the session while it has DISCARD ALL to do, or before. */
static void postgres__one_that_died_while_it_was_cleaned_is_replaced(void **state)
{
    struct pools *p = *state;
    char sql[128];

    pools_open(p, &hf_postgres_hooks_clean, &hf_mariadb_hooks);
    for (int i = 0; i < 3; i++) {
        hf_resid id = take(p, PG);
        PGconn *conn = pg_of(p, id);

        pg_sql(conn, "SET statement_timeout = 54321", PGRES_COMMAND_OK);
        (void)snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 60000)",
                       PQbackendPID(conn)); /* waits for its end */
        if (i == 0)
            (void)pg_value("one", sql);
        give(p, PG, id);
        if (i == 1)
            (void)pg_value("one", sql);
        a_good_transaction(p);
    }
    pools_close(p);
}

/* -- MariaDB ----------------------------------------------------------------------------------- */

static void my_begun(MYSQL *conn)
{
    my_do(conn, "START TRANSACTION");
    my_do(conn, "INSERT INTO t VALUES (4711)");
}

static void my_no_autocommit(MYSQL *conn)
{
    my_do(conn, "SET autocommit = 0");
    my_do(conn, "INSERT INTO t VALUES (4711)");
}

static void my_elsewhere(MYSQL *conn)
{
    my_do(conn, "USE pool_other");
}

static void my_unstored(MYSQL *conn)
{
    assert_int_equal(mysql_query(conn, "SELECT * FROM seq_1_to_100000"), 0);
}

static void my_half_read(MYSQL *conn)
{
    MYSQL_RES *res;

    my_unstored(conn);
    res = mysql_use_result(conn);
    assert_non_null(res);
    assert_non_null(mysql_fetch_row(res));
    mysql_free_result(res); /* which reads the rest; the next one is not freed */
    assert_int_equal(mysql_query(conn, "SELECT 1"), 0);
}

static void my_unanswered(MYSQL *conn)
{
    assert_int_equal(mysql_send_query(conn, "DO SLEEP(0.1)", 13), 0);
}

static void my_unanswered_row(MYSQL *conn)
{
    assert_int_equal(mysql_send_query(conn, "SELECT 1", 8), 0);
}

/* Both answers are here, and the client library keeps the second one: its socket has nothing. */
static void my_one_read_of_two(MYSQL *conn)
{
    assert_int_equal(mysql_send_query(conn, "DO 1", 4), 0);
    assert_int_equal(mysql_send_query(conn, "DO 2", 4), 0);
    my_sleep_ms(200);
    assert_int_equal(mysql_read_query_result(conn), 0);
}

static void my_goes_on(MYSQL *conn)
{
    assert_int_equal(mysql_send_query(conn, "DO SLEEP(3600)", 14), 0);
}

static void my_xa_by_hand(MYSQL *conn)
{
    my_do(conn, "XA START 'by hand'");
    my_do(conn, "INSERT INTO t VALUES (4711)");
}

static void my_closed_statement(MYSQL *conn)
{
    MYSQL_STMT *stmt = mysql_stmt_init(conn);

    assert_int_equal(mysql_stmt_prepare(stmt, "SELECT 1", 8), 0);
    assert_int_equal(mysql_stmt_execute(stmt), 0);
    assert_int_equal(mysql_stmt_store_result(stmt), 0);
    assert_int_equal(mysql_stmt_close(stmt), 0);
}

/* Out of a branch; in one those whose last member is not what they do to it. */
static const struct my_mess my_messes[] = {
    {"a transaction", my_begun, true, false},
    {"no autocommit", my_no_autocommit, true, false},
    {"another database", my_elsewhere, true, false},
    {"rows that nobody fetched", my_unstored, false, true},
    {"a result half read", my_half_read, false, true},
    {"an answer under way", my_unanswered, false, true},
    {"an answer with a row", my_unanswered_row, false, true},
    {"an answer behind an answer", my_one_read_of_two, false, true},
    {"a statement that goes on", my_goes_on, false, true},
    {"a branch by hand", my_xa_by_hand, true, false},
    {"a closed statement", my_closed_statement, true, false},
};
enum { MY_MESSES = sizeof(my_messes) / sizeof(my_messes[0]) };

static const char *my_ask(MYSQL *conn, const char *sql)
{
    static char value[128];
    MYSQL_RES *res;
    MYSQL_ROW row;

    if (mysql_query(conn, sql) != 0)
        fail_msg("%s: %s", sql, mysql_error(conn));
    res = mysql_store_result(conn);
    assert_non_null(res);
    row = mysql_fetch_row(res);
    (void)snprintf(value, sizeof(value), "%s", row != NULL && row[0] != NULL ? row[0] : "NULL");
    mysql_free_result(res);
    return value;
}

static void expect_my(struct pools *p, unsigned long session, bool stays)
{
    uint64_t destroyed = pool_stats(p, MY).destroyed;
    hf_resid id = take(p, MY);
    MYSQL *conn = my_of(p, id);

    assert_int_equal(mysql_thread_id(conn) == session, stays);
    assert_string_equal(my_ask(conn, "SELECT 8765"), "8765");
    assert_string_equal(my_ask(conn, "SELECT DATABASE()"), "pool");
    assert_string_equal(my_ask(conn, "SELECT @@autocommit"), "1");
    assert_string_equal(my_ask(conn, "SELECT @@in_transaction"), "0");
    give(p, MY, id);
    assert_int_equal(pool_stats(p, MY).destroyed, destroyed);
    assert_int_equal(in_my(DIRT), 0);
    a_good_transaction(p);
}

static void mariadb__nothing_is_left_out_of_a_branch(void **state)
{
    struct pools *p = *state;

    my_admin("CREATE DATABASE IF NOT EXISTS pool_other");
    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int i = 0; i < MY_MESSES; i++) {
        hf_resid id = take(p, MY);
        unsigned long session = mysql_thread_id(my_of(p, id));

        print_message("%s\n", my_messes[i].name);
        my_messes[i].make(my_of(p, id));
        give(p, MY, id);
        expect_my(p, session, my_messes[i].stays);
    }
    pools_close(p);
}

/* A vote may have come after the mess, and have prepared what was told to be rolled back: that is
   for recovery, as soon as the session has ended. */
static void settle_my(struct pools *p, unsigned long session)
{
    my_await_end(session);
    for (int i = 0; i < 100 && my_prepared() != 0; i++)
        t_ok(hf_tm_recover(p->tm, p->rm[MY]));
    assert_int_equal(my_prepared(), 0);
}

static void mariadb__nothing_is_left_of_a_branch(void **state)
{
    struct pools *p = *state;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int i = 0; i < MY_MESSES; i++) {
        hf_resid id, other;
        unsigned long session;
        hf_tx *tx;

        if (!my_messes[i].dies)
            continue; /* refused by the server in a branch, or no harm to it */
        print_message("%s\n", my_messes[i].name);
        tx = begin_tx(p);
        id = take(p, MY);
        other = take(p, PG);
        session = mysql_thread_id(my_of(p, id));
        assert_int_equal(insert_my(p, id, DIRT), 0);
        assert_int_equal(insert_pg(p, other, DIRT), 0);
        my_messes[i].make(my_of(p, id));
        give(p, MY, id);
        give(p, PG, other);
        t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
        assert_int_equal(in_pg(DIRT), 0);
        settle_my(p, session);
        expect_my(p, session, false);
    }
    pools_close(p);
}

/* What no answer shows: the one who is next hears of it, and nobody after him. */
static void mariadb__lock_tables_costs_one_allocation(void **state)
{
    struct pools *p = *state;
    hf_resid id;
    hf_tx *tx;
    int rc;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    id = take(p, MY);
    my_do(my_of(p, id), "LOCK TABLES t WRITE");
    give(p, MY, id);
    tx = begin_tx(p);
    rc = hf_holder_alloc(p->pool[MY], hf_xa_type(p->rm[MY]), &id);
    assert_true(rc == HF_EENLIST || rc == HF_EDRIVER);
    t_ok(hf_tx_rollback(tx, NULL));
    a_good_transaction(p);
    pools_close(p);
}

/* -- MariaDB: what stays on a session ---------------------------------------------------------- */

static const struct {
    const char *leave, *look, *fresh, *left;
    bool goes; /* the session, where it is cleaned */
} my_traces[] = {
    {"SET @a = 5", "SELECT @a", "NULL", "5", false},
    {"SET SESSION max_statement_time = 77", "SELECT @@max_statement_time", "0.000000", "77.000000",
     false},
    {"CREATE TEMPORARY TABLE left_over SELECT 1 AS n",
     "SELECT COUNT(*) FROM information_schema.temp_tables_info", "0", "1", false},
    {"DO GET_LOCK('left', 0)", "SELECT COALESCE(IS_USED_LOCK('left') = CONNECTION_ID(), 0)", "0",
     "1", false},
    {"SET ROLE pool_role", "SELECT COALESCE(CURRENT_ROLE(), 'none')", "none", "pool_role", true},
};
enum { MY_TRACES = sizeof(my_traces) / sizeof(my_traces[0]) };

static void look_at_my_traces(struct pools *p, bool cleaned)
{
    my_admin("CREATE ROLE IF NOT EXISTS pool_role");
    for (int i = 0; i < MY_TRACES; i++) {
        hf_resid id = take(p, MY);
        unsigned long session = mysql_thread_id(my_of(p, id));

        print_message("%s\n", my_traces[i].leave);
        my_do(my_of(p, id), my_traces[i].leave);
        give(p, MY, id);
        id = take(p, MY);
        assert_int_equal(mysql_thread_id(my_of(p, id)) == session, !cleaned || !my_traces[i].goes);
        if (i != 2) /* that table is there with debugging only */
            assert_string_equal(my_ask(my_of(p, id), my_traces[i].look),
                                cleaned ? my_traces[i].fresh : my_traces[i].left);
        else
            assert_int_equal(mysql_query(my_of(p, id), "DROP TEMPORARY TABLE left_over") == 0,
                             !cleaned);
        t_ok(hf_holder_request_destroy(p->pool[MY], id));
    }
}

static void mariadb__what_is_set_on_a_session_stays(void **state)
{
    struct pools *p = *state;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    look_at_my_traces(p, false);
    pools_close(p);
}

static void mariadb__cleaned_it_is_as_it_was_opened(void **state)
{
    struct pools *p = *state;
    hf_resid id;

    my_admin("CREATE DATABASE IF NOT EXISTS pool_other");
    pools_open(p, &hf_postgres_hooks_clean, &hf_mariadb_hooks_clean);
    look_at_my_traces(p, true);
    for (int i = 0; i < MY_MESSES; i++) {
        unsigned long session;

        print_message("%s\n", my_messes[i].name);
        id = take(p, MY);
        session = mysql_thread_id(my_of(p, id));
        my_messes[i].make(my_of(p, id));
        give(p, MY, id);
        expect_my(p, session, my_messes[i].stays);
    }
    id = take(p, MY);
    my_do(my_of(p, id), "LOCK TABLES t WRITE");
    give(p, MY, id);
    a_good_transaction(p);
    pools_close(p);
}

/* The server's own reset keeps the user. */
static void mariadb__cleaned_it_has_the_user_that_it_was_opened_with(void **state)
{
    struct pools *p = *state;
    char first[128];
    hf_resid id;

    my_admin("CREATE USER IF NOT EXISTS pool_user@localhost");
    my_admin("GRANT ALL ON pool.* TO pool_user@localhost");
    pools_open(p, &hf_postgres_hooks_clean, &hf_mariadb_hooks_clean);
    id = take(p, MY);
    (void)strcpy(first, my_ask(my_of(p, id), "SELECT CURRENT_USER()"));
    assert_int_equal(mysql_change_user(my_of(p, id), "pool_user", "", "pool"), 0);
    assert_string_equal(my_ask(my_of(p, id), "SELECT CURRENT_USER()"), "pool_user@localhost");
    give(p, MY, id);
    id = take(p, MY);
    assert_string_equal(my_ask(my_of(p, id), "SELECT CURRENT_USER()"), first);
    give(p, MY, id);
    a_good_transaction(p);
    pools_close(p);
}

/* Who goes on with it after he gave it back, and leaves nothing that its socket shows. */
static void mariadb__used_after_it_was_freed_it_is_not_handed_out(void **state)
{
    struct pools *p = *state;
    unsigned long session;
    hf_resid id;
    MYSQL *conn;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    id = take(p, MY);
    conn = my_of(p, id);
    session = mysql_thread_id(conn);
    give(p, MY, id);
    my_one_read_of_two(conn);
    id = take(p, MY);
    assert_int_not_equal(mysql_thread_id(my_of(p, id)), session);
    assert_string_equal(my_ask(my_of(p, id), "SELECT 8765"), "8765");
    give(p, MY, id);
    a_good_transaction(p);
    pools_close(p);
}

/* -- the hooks by themselves ------------------------------------------------------------------- */

/* A pool of another make may ask at any time. */
static void hooks__take_no_session_that_has_a_branch(void **state)
{
    enum { RMID = 7, LIMIT_MS = 60000 };
    XID x = my_xid(1), y = pg_xid(1);

    (void)state;
    t_rc(HF_ERM, hf_postgres_hooks.clean(NULL, RMID)); /* not open */
    t_rc(HF_ERM, hf_mariadb_hooks.clean(NULL, RMID));
    t_rc(HF_ERM, hf_postgres_hooks.validate(NULL, RMID, LIMIT_MS));
    t_rc(HF_ERM, hf_mariadb_hooks.validate(NULL, RMID, LIMIT_MS));
    my_open(RMID, "pool", "");
    my_work(RMID, &x, 1);
    t_rc(HF_ERM, hf_mariadb_hooks.clean(NULL, RMID));
    my_xa(XA_OK, RMID, my->xa_prepare_entry(&x, RMID, TMNOFLAGS));
    t_rc(HF_ERM, hf_mariadb_hooks.validate(NULL, RMID, LIMIT_MS));
    t_rc(HF_ERM, hf_mariadb_hooks_clean.clean(NULL, RMID)); /* it is bound to the session */
    my_xa(XA_OK, RMID, my->xa_commit_entry(&x, RMID, TMNOFLAGS));
    t_ok(hf_mariadb_hooks_clean.clean(NULL, RMID));
    t_ok(hf_mariadb_hooks.validate(NULL, RMID, LIMIT_MS));
    my_close(RMID);
    pg_open(RMID, pg_info("one"));
    t_xa(XA_OK, pg.xa_start_entry(&y, RMID, TMNOFLAGS));
    pg_do(RMID, "INSERT INTO t VALUES (1)");
    t_rc(HF_ERM, hf_postgres_hooks_clean.clean(NULL, RMID));
    t_xa(XA_OK, pg.xa_end_entry(&y, RMID, TMSUCCESS));
    t_rc(HF_ERM, hf_postgres_hooks.validate(NULL, RMID, LIMIT_MS));
    t_xa(XA_OK, pg.xa_prepare_entry(&y, RMID, TMNOFLAGS));
    t_ok(hf_postgres_hooks_clean.clean(NULL, RMID)); /* the server keeps it by itself */
    t_ok(hf_postgres_hooks.validate(NULL, RMID, LIMIT_MS));
    t_xa(XA_OK, pg.xa_commit_entry(&y, RMID, TMNOFLAGS));
    pg_close(RMID);
    assert_int_equal(in_pg(1), 1);
    assert_int_equal(in_my(1), 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, pools_setup, pools_teardown)
    const struct CMUnitTest tests[] = {
        T(postgres__nothing_is_left_out_of_a_branch),
        T(postgres__nothing_is_left_of_a_branch),
        T(postgres__ended_by_hand_it_rolls_back_and_nothing_is_left),
        T(postgres__used_after_it_was_freed_it_is_not_handed_out),
        T(postgres__freed_after_the_commit_it_is_cleaned_then),
        T(postgres__what_is_set_on_a_session_stays),
        T(postgres__cleaned_it_is_as_it_was_opened),
        T(postgres__cleaned_also_of_what_a_query_left_that_was_cancelled),
        T(postgres__cleaned_and_not_looked_at_it_is_as_it_was_opened),
        T(postgres__one_that_died_while_it_was_cleaned_is_replaced),
        T(mariadb__nothing_is_left_out_of_a_branch),
        T(mariadb__nothing_is_left_of_a_branch),
        T(mariadb__lock_tables_costs_one_allocation),
        T(mariadb__what_is_set_on_a_session_stays),
        T(mariadb__cleaned_it_is_as_it_was_opened),
        T(mariadb__cleaned_it_has_the_user_that_it_was_opened_with),
        T(mariadb__used_after_it_was_freed_it_is_not_handed_out),
        T(hooks__take_no_session_that_has_a_branch),
    };
    int failed = cmocka_run_group_tests_name("pool.left", tests, NULL, NULL);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
