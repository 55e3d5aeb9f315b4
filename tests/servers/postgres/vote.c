/*
 * What: the check of a vote is sent as a query, then as a prepared statement, and means the same;
 *       whatever becomes of that statement, a yes covers all of the work (rm/postgres/operation.c).
 * How:  branches on one rmid of a real server, one after the other; the server is asked which
 *       statements the session has prepared.
 */
#include "pg_t.h"

enum { RMID = 1 };

static long last_branch;

static void begin(void)
{
    XID x = pg_xid(++last_branch);

    t_xa(XA_OK, pg.xa_start_entry(&x, RMID, TMNOFLAGS));
    pg_do(RMID, "INSERT INTO voted VALUES (1)");
}

/* A no may come with xa_end() already. */
static int vote(void)
{
    XID x = pg_xid(last_branch);
    int answer = pg.xa_end_entry(&x, RMID, TMSUCCESS);

    if (answer == XA_OK)
        return pg.xa_prepare_entry(&x, RMID, TMNOFLAGS);
    t_xa(XA_OK, pg.xa_rollback_entry(&x, RMID, TMNOFLAGS));
    return answer;
}

static void commit(void)
{
    XID x = pg_xid(last_branch);

    t_xa(XA_OK, pg.xa_commit_entry(&x, RMID, TMNOFLAGS));
}

/* One whole branch. */
static void work(void)
{
    begin();
    t_xa(XA_OK, vote());
    commit();
}

/* Between branches. */
static int has_statement(void)
{
    PGresult *result = PQexec(hf_postgres_conn(RMID),
                              "SELECT 1 FROM pg_prepared_statements WHERE name = 'holdfast_vote'");
    int rows = PQntuples(result);

    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    return rows;
}

static int rows(void)
{
    return pg_number("one", "SELECT count(*) FROM voted");
}

static int open_it(void **state)
{
    (void)state;
    (void)pg_value("one", "DROP TABLE IF EXISTS voted");
    (void)pg_value("one", "CREATE TABLE voted (n int)");
    pg_open(RMID, pg_info("one"));
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    pg_close(RMID);
    assert_int_equal(pg_prepared(), 0);
    return 0;
}

static void vote__prepares_its_check_the_second_time(void **state)
{
    (void)state;
    work();
    assert_int_equal(has_statement(), 0);
    work();
    assert_int_equal(has_statement(), 1);
    for (int i = 0; i < 10; i++) /* past the server's change to a generic plan */
        work();
    assert_int_equal(rows(), 12);
}

/* The token is that of the branch, not one that a plan has kept. */
static void vote__has_a_token_of_its_own_each_time(void **state)
{
    unsigned char tokens[8][HF_TOKEN_SIZE_MAX];
    size_t size = 0;

    (void)state;
    memset(tokens, 0, sizeof(tokens));
    for (int i = 0; i < 8; i++) {
        XID x;

        begin();
        t_xa(XA_OK, vote());
        x = pg_xid(last_branch);
        t_ok(hf_postgres_ext.token(NULL, RMID, &x, tokens[i], &size));
        commit();
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(tokens[i], tokens[j], size);
    }
}

static void vote__is_a_no_after_commit_by_hand_in_each_form(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        begin();
        pg_do(RMID, "COMMIT");
        pg_do(RMID, "BEGIN");
        t_xa(XA_RBPROTO, vote());
        assert_int_equal(pg_prepared(), 0);
    }
    work();
    assert_int_equal(has_statement(), 1);
}

static void vote__is_a_no_in_a_failed_transaction_in_each_form(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        begin();
        pg_fails(RMID, "SELECT 1/0", "22012");
        assert_true(vote() >= XA_RBBASE);
        work();
    }
    assert_int_equal(rows(), 4);
}

static void vote__stays_a_yes_when_all_statements_are_deallocated(void **state)
{
    static const char *const ways[] = {"DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE mine"};

    (void)state;
    for (int i = 0; i < 9; i++) {
        work();
        work();
        work();
        assert_int_equal(has_statement(), 1);
        pg_do(RMID, "PREPARE mine AS SELECT 1");
        if (i % 3 == 1) { /* not in a transaction */
            pg_do(RMID, ways[1]);
            assert_int_equal(has_statement(), 0);
            continue;
        }
        begin();
        pg_do(RMID, ways[i % 3]);
        t_xa(XA_OK, vote());
        commit();
    }
    assert_int_equal(rows(), 9 * 3 + 6);
}

static void vote__survives_a_reset_of_the_connection(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        work();
        work();
        work();
        t_ok(hf_postgres_reset(RMID));
        assert_int_equal(has_statement(), 0);
    }
    assert_int_equal(rows(), 9);
}

/* Where nobody sees it: one vote is a no, and the next a yes. */
static void vote__is_a_no_once_when_a_function_deallocates(void **state)
{
    (void)state;
    work();
    work();
    begin();
    pg_do(RMID, "DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$");
    assert_true(vote() >= XA_RBBASE);
    work();
    work();
    assert_int_equal(has_statement(), 1);
    work();
    assert_int_equal(rows(), 5);
}

/* It is never executed: what it answers would be taken for the check. */
static void vote__never_runs_a_statement_of_the_users(void **state)
{
    (void)state;
    pg_do(RMID, "PREPARE holdfast_vote(text) AS SELECT '1', '2', '3'");
    work();
    begin();
    assert_true(vote() >= XA_RBBASE);
    for (int i = 0; i < 4; i++)
        work();
    begin();
    pg_do(RMID, "COMMIT");
    pg_do(RMID, "BEGIN");
    t_xa(XA_RBPROTO, vote());
    assert_int_equal(rows(), 6);
}

/* Ours is deallocated by its name, and one of the user's takes it. */
static void vote__never_runs_a_statement_that_took_the_name(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        work();
    assert_int_equal(has_statement(), 1);
    begin();
    pg_do(RMID, "DEALLOCATE holdfast_vote");
    pg_do(RMID, "PREPARE holdfast_vote(text) AS SELECT '1', '2', '3'");
    pg_do(RMID, "COMMIT");
    pg_do(RMID, "BEGIN");
    t_xa(XA_RBPROTO, vote());
    assert_int_equal(pg_prepared(), 0);
    for (int i = 0; i < 4; i++)
        work();
    assert_int_equal(rows(), 8);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_it, close_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(vote__prepares_its_check_the_second_time),
        T(vote__has_a_token_of_its_own_each_time),
        T(vote__is_a_no_after_commit_by_hand_in_each_form),
        T(vote__is_a_no_in_a_failed_transaction_in_each_form),
        T(vote__stays_a_yes_when_all_statements_are_deallocated),
        T(vote__survives_a_reset_of_the_connection),
        T(vote__is_a_no_once_when_a_function_deallocates),
        T(vote__never_runs_a_statement_of_the_users),
        T(vote__never_runs_a_statement_that_took_the_name),
    };

    return cmocka_run_group_tests_name("servers.postgres_vote", tests, NULL, NULL);
}
