/*
 * What: what PostgreSQL answers, as XA's answers: every row of rm/postgres/sqlstate.c.
 * How:  the vote of each row by a deferred trigger that raises the SQLSTATE while PREPARE or COMMIT
 *       runs; then each that can be had by its true cause, by that cause. COMMIT PREPARED and
 *       ROLLBACK PREPARED run no code of users' and wait for no lock, so that of their columns
 *       these can be had: 0A000, 42501, 42704, 55000, 57 (switch.c, outage.c), 25006 (proof.c), and
 *       all others as one, by a state file that is gone.
 *
 * After each no the connection is free, nothing is prepared, and the branch's work is gone.
 */
#include "pg_t.h"

#include "sqlstate.h"

enum { MINE = 1, OTHER = 2 };

static long last_branch;

/* Rows that a test has had from the server by their true cause. */
static const char *seen[32];
static unsigned seen_count;

static void provoked(const char *row)
{
    assert_true(seen_count < sizeof(seen) / sizeof(seen[0]));
    seen[seen_count++] = row;
}

static XID start(int rmid)
{
    XID x = pg_xid(++last_branch);

    t_xa(XA_OK, pg.xa_start_entry(&x, rmid, TMNOFLAGS));
    return x;
}

static void end(int rmid, XID *x)
{
    t_xa(XA_OK, pg.xa_end_entry(x, rmid, TMSUCCESS));
}

static XID start_with(int rmid, const char *sql)
{
    XID x = start(rmid);

    pg_do(rmid, sql);
    end(rmid, &x);
    return x;
}

/* The vote was no: what must be true after it. */
static void is_clean(int rmid, const char *sqlstate)
{
    int native = pg_native(rmid);
    char why[256];

    snprintf(why, sizeof(why), "%s", pg_why(rmid));
    if (sqlstate != NULL && strstr(why, sqlstate) == NULL)
        fail_msg("%s is not in the reason: %s", sqlstate, why);
    assert_true(native != 0 || sqlstate == NULL);
    assert_int_equal(pg_prepared(), 0);
    assert_int_equal(pg_number("one", "SELECT count(*) FROM entry"), 0);
    assert_int_equal(hf_postgres_validate(rmid), HF_OK);
}

/* -- every row, by a trigger ------------------------------------------------------------------- */

static const struct {
    const char *sqlstate;
    int answer;
} raised[] = {
    {"08006", XAER_RMFAIL},    {"0A000", XA_RBOTHER},     {"22P02", XA_RBOTHER},
    {"23505", XA_RBINTEGRITY}, {"23514", XA_RBINTEGRITY}, {"25006", XA_RBOTHER},
    {"25P02", XA_RBROLLBACK},  {"25P03", XAER_RMFAIL},    {"40001", XA_RBTRANSIENT},
    {"40002", XA_RBINTEGRITY}, {"40P01", XA_RBDEADLOCK},  {"40003", XA_RBROLLBACK},
    {"42501", XA_RBOTHER},     {"42704", XA_RBOTHER},     {"42710", XA_RBOTHER},
    {"53100", XA_RBTRANSIENT}, {"53200", XA_RBTRANSIENT}, {"55000", XA_RBOTHER},
    {"55P03", XA_RBTIMEOUT},   {"57014", XA_RBTIMEOUT},   {"57P01", XAER_RMFAIL},
    {"57P03", XAER_RMFAIL},    {"P0001", XA_RBOTHER},     {"XX000", XA_RBOTHER},
    {"22012", XA_RBOTHER},
};

static void every_row_as_a_vote(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(raised) / sizeof(raised[0]); i++) {
        for (int one = 0; one < 2; one++) {
            char sql[128];
            XID x;

            print_message("%s, %s\n", raised[i].sqlstate, one ? "one phase" : "prepare");
            pg_open(MINE, pg_info("one"));
            snprintf(sql, sizeof(sql), "INSERT INTO entry (code) VALUES ('%s')",
                     raised[i].sqlstate);
            x = start_with(MINE, sql);
            t_xa(raised[i].answer, one ? pg.xa_commit_entry(&x, MINE, TMONEPHASE)
                                       : pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
            if (raised[i].answer != XAER_RMFAIL) {
                is_clean(MINE, raised[i].sqlstate);
                t_xa(XAER_NOTA, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS)); /* forgotten */
            }
            pg_close(MINE);
        }
    }
}

/* A warning of the user's own is no reason to doubt the vote. */
static void a_warning_by_raise_is_no_no(void **state)
{
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    x = start_with(MINE, "INSERT INTO entry (code) VALUES ('01000')");
    t_xa(XA_OK, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    pg_close(MINE);
}

/* -- votes by their true causes ---------------------------------------------------------------- */

static void what_postgresql_cannot_prepare(void **state)
{
    static const char *const statements[] = {
        "CREATE TEMP TABLE t (n int)",
        "INSERT INTO entry DEFAULT VALUES; NOTIFY somebody",
        "NOTIFY somebody", /* nothing but that: not taken for read-only */
        "LISTEN somebody",
        "INSERT INTO entry DEFAULT VALUES; DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    };

    (void)state;
    pg_open(MINE, pg_info("one"));
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        XID x = start_with(MINE, statements[i]);

        t_xa(XA_RBOTHER, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
        is_clean(MINE, "0A000: cannot PREPARE a transaction that has");
    }
    provoked("0A000");
    pg_close(MINE);
}

static void a_deferred_constraint_is_integrity(void **state)
{
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    x = start_with(MINE, "INSERT INTO entry (once) VALUES (1), (1)");
    t_xa(XA_RBINTEGRITY, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    is_clean(MINE, "23505: duplicate key value");
    provoked("23");
    assert_null(strstr(pg_why(MINE), "(once)=(1)")); /* keys are the user's data */
    pg_close(MINE);
}

static void serialization_is_transient(void **state)
{
    XID x, y;

    (void)state;
    pg_value("one", "INSERT INTO shared VALUES (1, 0), (2, 0)");
    pg_open(MINE, pg_info("one"));
    pg_open(OTHER, pg_info("one"));
    x = start(MINE);
    y = start(OTHER);
    pg_do(MINE, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    pg_do(OTHER, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    pg_do(MINE, "UPDATE shared SET v = (SELECT sum(v) FROM shared) + 1 WHERE k = 1");
    pg_do(OTHER, "UPDATE shared SET v = (SELECT sum(v) FROM shared) + 1 WHERE k = 2");
    end(MINE, &x);
    end(OTHER, &y);
    t_xa(XA_OK, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    t_xa(XA_RBTRANSIENT, pg.xa_prepare_entry(&y, OTHER, TMNOFLAGS));
    assert_non_null(strstr(pg_why(OTHER), "40001"));
    provoked("40001");
    t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    is_clean(OTHER, NULL);
    pg_value("one", "DELETE FROM shared");
    for (int rmid = MINE; rmid <= OTHER; rmid++)
        pg_close(rmid);
}

/* A statement of the user's that failed: the branch's end says how. */
static void a_deadlock_is_told_by_xa_end(void **state)
{
    PGconn *other = PQconnectdb(pg_info("one"));
    XID x;

    (void)state;
    pg_value("one", "INSERT INTO shared VALUES (1, 0), (2, 0)");
    pg_open(MINE, pg_info_with("one", "options='-c deadlock_timeout=50ms'"));
    x = start(MINE);
    pg_do(MINE, "UPDATE shared SET v = 1 WHERE k = 1");
    PQclear(PQexec(other, "SET deadlock_timeout = '1h'"));
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "UPDATE shared SET v = 1 WHERE k = 2"));
    assert_int_equal(PQsendQuery(other, "UPDATE shared SET v = 1 WHERE k = 1"), 1);
    while (pg_number("one", "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    pg_fails(MINE, "UPDATE shared SET v = 1 WHERE k = 2", "40P01");
    provoked("40P01");
    t_xa(XA_RBDEADLOCK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    PQfinish(other);
    pg_value("one", "DELETE FROM shared");
    pg_close(MINE);
}

static void a_failed_statement_is_told_by_xa_end(void **state)
{
    static const struct {
        const char *sql, *sqlstate;
        int answer;
    } rows[] = {
        {"SELECT 1/0", "22012", XA_RBOTHER},
        {"SELECT 'x'::int", "22P02", XA_RBOTHER},
        {"INSERT INTO entry (positive) VALUES (-1)", "23514", XA_RBINTEGRITY},
        {"SET LOCAL statement_timeout = 10; SELECT pg_sleep(60)", "57014", XA_RBTIMEOUT},
        {"SET LOCAL lock_timeout = 10; SELECT * FROM shared", "55P03", XA_RBTIMEOUT},
        {"no statement at all", "42601", XA_RBOTHER}, /* not even BEGIN was carried out */
    };
    PGconn *locker = PQconnectdb(pg_info("one"));

    (void)state;
    PQclear(PQexec(locker, "BEGIN; LOCK TABLE shared"));
    pg_open(MINE, pg_info("one"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        XID x = start(MINE);

        print_message("%s\n", rows[i].sql);
        pg_fails(MINE, rows[i].sql, rows[i].sqlstate);
        t_xa(rows[i].answer, pg.xa_end_entry(&x, MINE, TMSUCCESS));
        t_xa(XAER_PROTO, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
        t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
        is_clean(MINE, NULL);
    }
    provoked("22P02");
    provoked("57014");
    provoked("55P03");
    PQfinish(locker);
    pg_close(MINE);
}

/* 25P03: the server ends a session that does nothing in its transaction. */
static void a_session_that_was_idle_for_too_long_is_rmfail(void **state)
{
    XID x;

    (void)state;
    pg_open(MINE, pg_info_with("one", "options='-c idle_in_transaction_session_timeout=50ms'"));
    x = start_with(MINE, "INSERT INTO entry DEFAULT VALUES");
    while (pg_number("one", "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in "
                            "transaction'") > 0)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    t_xa(XAER_RMFAIL, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "25P03"));
    provoked("25P03");
    assert_int_equal(pg_prepared(), 0);
    pg_close(MINE);
}

/* 42710: the gid is prepared already, by somebody else. He keeps his branch. */
static void a_gid_in_use_is_no_and_is_left_alone(void **state)
{
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    pg_open(OTHER, pg_info("two"));
    x = start(OTHER);
    pg_do(OTHER, "CREATE TABLE theirs (n int)");
    end(OTHER, &x);
    t_xa(XA_OK, pg.xa_prepare_entry(&x, OTHER, TMNOFLAGS));
    t_xa(XA_OK, pg.xa_start_entry(&x, MINE, TMNOFLAGS));
    pg_do(MINE, "INSERT INTO entry DEFAULT VALUES");
    end(MINE, &x);
    t_xa(XA_RBOTHER, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "42710"));
    provoked("42710");
    assert_int_equal(pg_prepared(), 1);
    /* another database's branch is not this one's to finish, nor is it nothing */
    t_xa(XA_RETRY, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(
        strstr(pg_why(MINE), "0A000: prepared transaction belongs to another database"));
    t_xa(XAER_RMFAIL, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(pg_prepared(), 1);
    t_xa(XA_OK, pg.xa_commit_entry(&x, OTHER, TMNOFLAGS));
    pg_value("two", "DROP TABLE theirs");
    for (int rmid = MINE; rmid <= OTHER; rmid++)
        pg_close(rmid);
}

/* -- completions ------------------------------------------------------------------------------- */

static void another_owners_branch_stays(void **state)
{
    char *plain = pg_info_with("one", "user=plain");
    XID x;

    (void)state;
    pg_open(MINE, plain);
    pg_open(OTHER, pg_info("one"));
    x = start_with(OTHER, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_OK, pg.xa_prepare_entry(&x, OTHER, TMNOFLAGS));
    t_xa(XA_RETRY, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "42501: permission denied to finish prepared"));
    provoked("42501");
    t_xa(XAER_RMFAIL, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(pg_prepared(), 1);
    t_xa(XA_OK, pg.xa_rollback_entry(&x, OTHER, TMNOFLAGS));
    for (int rmid = MINE; rmid <= OTHER; rmid++)
        pg_close(rmid);
}

static void an_unknown_gid_is_nota(void **state)
{
    XID x = pg_xid(++last_branch);

    (void)state;
    pg_open(MINE, pg_info("one"));
    t_xa(XAER_NOTA, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "42704"));
    assert_int_equal(pg_native(MINE), 42704);
    provoked("42704");
    t_xa(XAER_NOTA, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    pg_close(MINE);
}

/* All other SQLSTATEs: the branch's state file is gone (58P01). */
static void a_branch_that_cannot_be_read_is_kept(void **state)
{
    char command[512];
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    x = start_with(MINE, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_OK, pg.xa_prepare_entry(&x, MINE, TMNOFLAGS));
    pg_value("one", "CHECKPOINT");
    snprintf(command, sizeof(command), "mv %s/data/pg_twophase/* %s/kept", pg_dir(), pg_dir());
    assert_int_equal(system(command), 0);
    t_xa(XA_RETRY, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "58P01"));
    t_xa(XAER_RMFAIL, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    snprintf(command, sizeof(command),
             "mv %s/kept %s/data/pg_twophase/$(psql -X -At -h %s -U hf -d one -c "
             "\"SELECT lpad(upper(to_hex(transaction::text::bigint)), 8, '0') FROM "
             "pg_prepared_xacts\")",
             pg_dir(), pg_dir(), pg_dir());
    assert_int_equal(system(command), 0);
    t_xa(XA_OK, pg.xa_open_entry(pg_info("one"), MINE, TMNOFLAGS));
    t_xa(XA_OK, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(pg_prepared(), 0);
    pg_close(MINE);
}

/* -- a standby that does not answer ------------------------------------------------------------ */

static int wait_is_on(void)
{
    return pg_number("one", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
}

static void cancel_the_wait(void)
{
    while (wait_is_on() == 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    pg_value("one", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                    "WHERE wait_event = 'SyncRep'");
}

/* What was given up waiting for a standby is no yes, and no commit to forget about (01000); what
   somebody else is at just now is busy (55000). */
static void a_wait_that_was_given_up_is_no_answer(void **state)
{
    XID x, y;
    int handle, answer;

    (void)state;
    pg_open(MINE, pg_info("one"));
    pg_open(OTHER, pg_info("one"));
    x = start_with(OTHER, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_OK, pg.xa_prepare_entry(&x, OTHER, TMNOFLAGS));
    y = start(MINE);
    pg_do(MINE, "INSERT INTO entry DEFAULT VALUES");
    end(MINE, &y);
    pg_value("one", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    pg_value("one", "SELECT pg_reload_conf()");
    while (strcmp(pg_value("one", "SHOW synchronous_standby_names"), "nobody") != 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);

    handle = pg.xa_prepare_entry(&y, MINE, TMASYNC);
    cancel_the_wait();
    t_xa(XA_OK, pg.xa_complete_entry(&handle, &answer, MINE, TMNOFLAGS));
    t_xa(XAER_RMERR, answer);
    assert_non_null(strstr(pg_why(MINE), "canceling wait for synchronous replication"));
    assert_int_equal(pg_prepared(), 2);
    handle = pg.xa_rollback_entry(&y, MINE, TMASYNC); /* as the transaction manager does then */
    cancel_the_wait();
    t_xa(XA_OK, pg.xa_complete_entry(&handle, &answer, MINE, TMNOFLAGS));
    t_xa(XA_OK, answer);
    assert_int_equal(pg_prepared(), 1);

    handle = pg.xa_commit_entry(&x, OTHER, TMASYNC);
    while (wait_is_on() == 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    t_xa(XA_RETRY, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "55000: prepared transaction with identifier"));
    provoked("55000");
    t_xa(XAER_RMFAIL, pg.xa_rollback_entry(&x, MINE, TMNOFLAGS));
    cancel_the_wait();
    t_xa(XA_OK, pg.xa_complete_entry(&handle, &answer, OTHER, TMNOFLAGS));
    t_xa(XA_RETRY, answer);

    t_xa(XA_OK, pg.xa_open_entry(pg_info("one"), MINE, TMNOFLAGS));
    y = start_with(MINE, "INSERT INTO entry DEFAULT VALUES");
    handle = pg.xa_commit_entry(&y, MINE, TMASYNC | TMONEPHASE);
    cancel_the_wait();
    t_xa(XA_OK, pg.xa_complete_entry(&handle, &answer, MINE, TMNOFLAGS));
    t_xa(XAER_RMFAIL, answer);

    pg_value("one", "ALTER SYSTEM RESET synchronous_standby_names");
    pg_value("one", "SELECT pg_reload_conf()");
    while (strcmp(pg_value("one", "SHOW synchronous_standby_names"), "") != 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    t_xa(XAER_NOTA, pg.xa_commit_entry(&x, OTHER, TMNOFLAGS));
    for (int rmid = MINE; rmid <= OTHER; rmid++)
        pg_close(rmid);
}

/* -- settings that leave no room (last: the server is restarted) ------------------------------- */

static void no_room_for_prepared_ones(void **state)
{
    XID x, y;

    (void)state;
    pg_serve("set max_prepared_transactions 1");
    pg_open(MINE, pg_info("one"));
    pg_open(OTHER, pg_info("one"));
    x = start_with(OTHER, "SELECT pg_current_xact_id()");
    t_xa(XA_OK, pg.xa_prepare_entry(&x, OTHER, TMNOFLAGS));
    y = start_with(MINE, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_RBTRANSIENT, pg.xa_prepare_entry(&y, MINE, TMNOFLAGS));
    assert_non_null(strstr(pg_why(MINE), "maximum number of prepared transactions reached; "
                                         "Increase max_prepared_transactions"));
    assert_non_null(strstr(pg_why(MINE), "53"));
    provoked("53");
    t_xa(XA_OK, pg.xa_rollback_entry(&x, OTHER, TMNOFLAGS));
    is_clean(MINE, NULL);
    for (int rmid = MINE; rmid <= OTHER; rmid++)
        pg_close(rmid);

    pg_serve("set max_prepared_transactions 0");
    pg_open(MINE, pg_info("one"));
    y = start_with(MINE, "INSERT INTO entry DEFAULT VALUES");
    t_xa(XA_RBOTHER, pg.xa_prepare_entry(&y, MINE, TMNOFLAGS));
    is_clean(MINE, "55000: prepared transactions are disabled");
    pg_close(MINE);
}

/* -- the whole table --------------------------------------------------------------------------- */

/* Rows that are not provoked here by their true cause, and why. */
static const struct {
    const char *row, *why;
} unprovoked[] = {
    {"08", "a broken connection is told by libpq, without a SQLSTATE"},
    {"25006", "proof.c, on a standby"},
    {"25P02", "in a failed transaction xa_end() answers before the server is asked"},
    {"40002", "PostgreSQL raises it nowhere"},
    {"40", "40000 comes of logical decoding, to nobody who votes, and 40003 of nothing"},
    {"57", "switch.c and outage.c, which end the session and the server"},
};

static void no_row_was_forgotten(void **state)
{
    unsigned listed = sizeof(unprovoked) / sizeof(unprovoked[0]), rows = 0;
    const char *row;

    (void)state;
    for (; (row = hf__pg_sqlstate_row(rows)) != NULL; rows++) {
        unsigned found = 0, votes = 0;

        for (unsigned i = 0; i < seen_count; i++)
            found += strcmp(seen[i], row) == 0;
        for (unsigned i = 0; i < listed; i++)
            found += strcmp(unprovoked[i].row, row) == 0;
        for (size_t i = 0; i < sizeof(raised) / sizeof(raised[0]); i++)
            votes += strncmp(raised[i].sqlstate, row, strlen(row)) == 0;
        if (found != 1 || votes == 0)
            fail_msg("%s: %u times in the lists, %u times raised", row, found, votes);
    }
    assert_int_equal(rows, seen_count + listed);
}

static int setup(void **state)
{
    (void)state;
    pg_value("one", "DROP TABLE IF EXISTS entry, shared");
    pg_value("one", "CREATE TABLE shared (k int PRIMARY KEY, v int)");
    pg_value("one", "CREATE TABLE entry (code text, once int UNIQUE DEFERRABLE INITIALLY DEFERRED, "
                    "positive int CHECK (positive > 0))");
    pg_value("one", "CREATE OR REPLACE FUNCTION raise_it() RETURNS trigger LANGUAGE plpgsql AS "
                    "'BEGIN IF NEW.code = ''01000'' THEN RAISE WARNING ''as asked''; "
                    "ELSIF NEW.code IS NOT NULL THEN "
                    "RAISE EXCEPTION ''as asked'' USING ERRCODE = NEW.code; END IF; "
                    "RETURN NULL; END'");
    pg_value("one", "CREATE CONSTRAINT TRIGGER raise AFTER INSERT ON entry DEFERRABLE INITIALLY "
                    "DEFERRED FOR EACH ROW EXECUTE FUNCTION raise_it()");
    return 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup(fn, setup)
    const struct CMUnitTest tests[] = {
        T(every_row_as_a_vote),
        T(a_warning_by_raise_is_no_no),
        T(what_postgresql_cannot_prepare),
        T(a_deferred_constraint_is_integrity),
        T(serialization_is_transient),
        T(a_deadlock_is_told_by_xa_end),
        T(a_failed_statement_is_told_by_xa_end),
        T(a_session_that_was_idle_for_too_long_is_rmfail),
        T(a_gid_in_use_is_no_and_is_left_alone),
        T(another_owners_branch_stays),
        T(an_unknown_gid_is_nota),
        T(a_branch_that_cannot_be_read_is_kept),
        T(a_wait_that_was_given_up_is_no_answer),
        T(no_room_for_prepared_ones),
        T(no_row_was_forgotten),
    };

    return cmocka_run_group_tests_name("postgres.sqlstate", tests, NULL, NULL);
}
