/*
 * What: hf_postgres_ext: which database an rmid reaches, whether it keeps what it acknowledges, and
 *       what became of a branch; "unknown" wherever the server's answer may be about another
 *       history: a standby, a promoted one that lost the tail, a position that it has not reached.
 * How:  branches with their tokens, and tokens made up; a streaming standby that is promoted
 *       without the last of its primary's log, and then gives a transaction id out again.
 *
 * pg_xact_status() answers NULL for an id so old that its state was thrown away. To get there takes
 * millions of transactions; the code that reads it is that for "in progress".
 */
#include "pg_t.h"

enum { MINE = 1, OTHER = 2 };

struct token {
    unsigned char bytes[HF_TOKEN_SIZE_MAX];
    size_t size;
};

static long last_branch;

static XID prepare(int rmid, const char *sql, struct token *ret)
{
    XID x = pg_xid(++last_branch);

    t_xa(XA_OK, pg.xa_start_entry(&x, rmid, TMNOFLAGS));
    pg_do(rmid, sql);
    t_xa(XA_OK, pg.xa_end_entry(&x, rmid, TMSUCCESS));
    t_xa(XA_OK, pg.xa_prepare_entry(&x, rmid, TMNOFLAGS));
    t_ok(hf_postgres_ext.token(NULL, rmid, &x, ret->bytes, &ret->size));
    return x;
}

static enum hf_probe probe(int rmid, const XID *x, const struct token *token)
{
    enum hf_probe answer = (enum hf_probe)99;

    t_ok(hf_postgres_ext.probe(NULL, rmid, x, token->bytes, token->size, &answer));
    return answer;
}

/* version 1 | transaction id 8 | timeline 4 | WAL position 8 */
static struct token make_token(uint64_t xid, uint64_t timeline, uint64_t position)
{
    struct token t = {.bytes = {1}, .size = 21};

    for (int i = 0; i < 8; i++) {
        t.bytes[1 + i] = (unsigned char)(xid >> (56 - 8 * i));
        t.bytes[13 + i] = (unsigned char)(position >> (56 - 8 * i));
        if (i >= 4)
            t.bytes[5 + i] = (unsigned char)(timeline >> (56 - 8 * i));
    }
    return t;
}

static uint64_t token_xid(const struct token *t)
{
    uint64_t n = 0;

    for (int i = 1; i <= 8; i++)
        n = n << 8 | t->bytes[i];
    return n;
}

static void proves_what_became_of_a_branch(void **state)
{
    struct token token[2], none = {.size = 0};
    XID x, y;

    (void)state;
    pg_open(MINE, pg_info("one"));
    pg_open(OTHER, pg_info("one"));
    x = prepare(MINE, "INSERT INTO entry VALUES (1)", &token[0]);
    y = prepare(OTHER, "INSERT INTO entry VALUES (2)", &token[1]);
    assert_int_equal(token[0].size, 21);
    for (int rmid = MINE; rmid <= OTHER; rmid++) { /* by any rmid of the database */
        assert_int_equal(probe(rmid, &x, &token[0]), HF_PROBE_PREPARED);
        assert_int_equal(probe(rmid, &y, &none), HF_PROBE_PREPARED);
    }
    t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    t_xa(XA_OK, pg.xa_rollback_entry(&y, OTHER, TMNOFLAGS));
    for (int rmid = MINE; rmid <= OTHER; rmid++) {
        assert_int_equal(probe(rmid, &x, &token[0]), HF_PROBE_COMMITTED);
        assert_int_equal(probe(rmid, &y, &token[1]), HF_PROBE_ROLLEDBACK);
        assert_int_equal(probe(rmid, &x, &none), HF_PROBE_UNKNOWN);
    }
    /* of a branch that is not there any more there is no token */
    assert_int_not_equal(hf_postgres_ext.token(NULL, MINE, &x, none.bytes, &none.size), 0);
    pg_close(MINE);
    pg_close(OTHER);
}

static void finished_by_hand_is_nota_and_then_proved(void **state)
{
    struct token token;
    char sql[512];
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    x = prepare(MINE, "INSERT INTO entry VALUES (1)", &token);
    snprintf(sql, sizeof(sql), "ROLLBACK PREPARED '%s'",
             pg_value("one", "SELECT gid FROM pg_prepared_xacts"));
    pg_value("one", sql);
    t_xa(XAER_NOTA, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(probe(MINE, &x, &token), HF_PROBE_ROLLEDBACK);
    pg_close(MINE);
}

static void what_another_history_may_have_is_unknown(void **state)
{
    struct token token, other;
    uint64_t running;
    PGconn *open_one;
    XID x;

    (void)state;
    pg_open(MINE, pg_info("one"));
    x = prepare(MINE, "INSERT INTO entry VALUES (1)", &token);
    t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    assert_int_equal(probe(MINE, &x, &token), HF_PROBE_COMMITTED);

    other = make_token(token_xid(&token), 1, (uint64_t)1 << 60); /* not reached yet: restored */
    assert_int_equal(probe(MINE, &x, &other), HF_PROBE_UNKNOWN);
    other = make_token(token_xid(&token), 7, 1); /* a timeline that its history does not name */
    assert_int_equal(probe(MINE, &x, &other), HF_PROBE_UNKNOWN);
    other = make_token(token_xid(&token) + 1000000, 1, 1); /* 22023: not given out yet */
    assert_int_equal(probe(MINE, &x, &other), HF_PROBE_UNKNOWN);
    other = make_token(token_xid(&token), 1, 1);
    assert_int_equal(probe(MINE, &x, &other), HF_PROBE_COMMITTED);
    other.bytes[0] = 2; /* a version that we do not know */
    assert_int_equal(probe(MINE, &x, &other), HF_PROBE_UNKNOWN);
    other.size = 20;
    assert_int_equal(probe(MINE, &x, &other), HF_PROBE_UNKNOWN);

    open_one = PQconnectdb(pg_info("one")); /* its session is still at it */
    PQclear(PQexec(open_one, "BEGIN"));
    {
        PGresult *result = PQexec(open_one, "SELECT pg_current_xact_id()");

        running = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
    }
    other = make_token(running, 1, 1);
    x = pg_xid(++last_branch);
    assert_int_equal(probe(MINE, &x, &other), HF_PROBE_UNKNOWN);
    PQfinish(open_one);
    pg_close(MINE);
}

static void identity_is_the_database(void **state)
{
    unsigned char id[3][HF_IDENTITY_SIZE];

    (void)state;
    pg_open(1, pg_info("one"));
    pg_open(2, pg_info("one"));
    pg_open(3, pg_info("two"));
    for (int i = 0; i < 3; i++)
        t_ok(hf_postgres_ext.identity(NULL, i + 1, id[i]));
    assert_memory_equal(id[0], id[1], HF_IDENTITY_SIZE);
    assert_memory_not_equal(id[0], id[2], HF_IDENTITY_SIZE);
    for (int rmid = 1; rmid <= 3; rmid++)
        pg_close(rmid);
}

/* -- settings ---------------------------------------------------------------------------------- */

static void reload_until(const char *name, const char *value)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "ALTER SYSTEM SET %s = %s", name, value);
    pg_value("one", sql);
    pg_value("one", "SELECT pg_reload_conf()");
    snprintf(sql, sizeof(sql), "SHOW %s", name);
    while (strcmp(pg_value("one", sql), value) != 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void expect_refused(const char *setting)
{
    char why[256] = "";

    pg_open(MINE, pg_info("one"));
    assert_int_not_equal(hf_postgres_ext.settings(NULL, MINE, why, sizeof(why)), 0);
    assert_non_null(strstr(why, setting));
    assert_non_null(strstr(why, "postgresql.conf"));
    pg_close(MINE);
    pg_open(MINE, pg_info_with("one", "unsafe=yes"));
    t_ok(hf_postgres_ext.settings(NULL, MINE, why, sizeof(why)));
    pg_close(MINE);
}

static void settings_that_lose_acknowledged_work_are_refused(void **state)
{
    char why[256] = "";

    (void)state;
    pg_open(MINE, pg_info("one"));
    t_ok(hf_postgres_ext.settings(NULL, MINE, why, sizeof(why)));
    pg_close(MINE);
    reload_until("fsync", "off");
    expect_refused("fsync is off");
    reload_until("fsync", "on");
    reload_until("full_page_writes", "off");
    expect_refused("full_page_writes is off");
    reload_until("full_page_writes", "on");
    pg_serve("set max_prepared_transactions 0");
    expect_refused("max_prepared_transactions is 0");
    pg_serve("set max_prepared_transactions 64");
}

static void the_transaction_manager_refuses_such_a_server(void **state)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_rm_config rm_config = HF_RM_CONFIG_INIT;
    hf_instance *instance;
    char *dir = t_dir_make();
    hf_tm *tm;
    hf_rm *rm;

    (void)state;
    reload_until("full_page_writes", "off");
    config.dir = t_path(dir, "node");
    t_ok(hf_tm_open(&config, &tm));
    rm_config.name = "one";
    rm_config.xa = &hf_postgres_switch;
    rm_config.ext = &hf_postgres_ext;
    rm_config.open_info = pg_info("one");
    t_ok(hf_rm_register(tm, &rm_config, &rm));
    t_rc(HF_ERM, hf_instance_open(rm, &instance));
    assert_non_null(strstr(hf_error_last()->text, "full_page_writes is off"));
    reload_until("full_page_writes", "on");
    t_ok(hf_instance_open(rm, &instance));
    t_ok(hf_instance_close(instance));
    t_ok(hf_tm_close(tm, 0, NULL));
    t_dir_remove(dir);
}

/* With synchronous_commit off a commit in one phase is on disk all the same. */
static void one_phase_is_flushed_with_synchronous_commit_off(void **state)
{
    XID x = pg_xid(++last_branch);

    (void)state;
    pg_open(MINE, pg_info_with("one", "options='-c synchronous_commit=off'"));
    t_xa(XA_OK, pg.xa_start_entry(&x, MINE, TMNOFLAGS));
    pg_do(MINE, "INSERT INTO entry VALUES (815)");
    t_xa(XA_OK, pg.xa_end_entry(&x, MINE, TMSUCCESS));
    t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMONEPHASE));
    pg_serve("kill");
    pg_serve("start");
    assert_int_equal(pg_number("one", "SELECT count(*) FROM entry WHERE n = 815"), 1);
    pg_close(MINE);
}

/* -- standby and failover ---------------------------------------------------------------------- */

static char *standby_info(const char *user)
{
    static char info[MAXINFOSIZE];

    if (snprintf(info, sizeof(info), "host=%s/standby user=%s dbname=one", pg_dir(), user) >=
        MAXINFOSIZE)
        fail_msg("the open string is too long");
    return info;
}

static void wait_for_standby(void)
{
    char sql[512];

    snprintf(sql, sizeof(sql), "SELECT pg_last_wal_replay_lsn() >= '%s'",
             pg_value("one", "SELECT pg_current_wal_flush_lsn()"));
    while (strcmp(pg_value_at(standby_info("hf"), sql), "t") != 0)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static void a_standby_is_read_and_nothing_else(const XID *prepared, const struct token *token)
{
    enum hf_probe answer;
    unsigned char id[2][HF_IDENTITY_SIZE];
    XID x = pg_xid(++last_branch), p = *prepared, xids[4];

    pg_open(OTHER, standby_info("hf"));
    t_ok(hf_postgres_ext.identity(NULL, MINE, id[0]));
    t_ok(hf_postgres_ext.identity(NULL, OTHER, id[1]));
    assert_memory_equal(id[0], id[1], HF_IDENTITY_SIZE);
    assert_int_equal(pg_number("one", "SELECT count(*) FROM pg_prepared_xacts"), 1);
    t_xa(XAER_RMERR, pg.xa_recover_entry(xids, 4, OTHER, TMSTARTRSCAN));
    assert_non_null(strstr(pg_why(OTHER), "standby"));
    assert_int_not_equal(
        hf_postgres_ext.probe(NULL, OTHER, prepared, token->bytes, token->size, &answer), 0);
    t_xa(XA_RETRY, pg.xa_commit_entry(&p, OTHER, TMNOFLAGS));
    assert_non_null(strstr(pg_why(OTHER), "25006"));
    /* a branch that reads */
    t_xa(XA_OK, pg.xa_start_entry(&x, OTHER, TMNOFLAGS));
    pg_do(OTHER, "SELECT count(*) FROM entry");
    t_xa(XA_OK, pg.xa_end_entry(&x, OTHER, TMSUCCESS));
    t_xa(XA_RDONLY, pg.xa_prepare_entry(&x, OTHER, TMNOFLAGS));
    t_xa(XAER_RMFAIL, pg.xa_rollback_entry(&p, OTHER, TMNOFLAGS));
    pg_close(OTHER);
}

static void a_promoted_standby_proves_only_what_it_has(void **state)
{
    struct token in_history, in_doubt, lost;
    char sql[128];
    XID x, y, z;

    (void)state;
    pg_serve("standby");
    pg_open(MINE, pg_info("one"));
    x = prepare(MINE, "INSERT INTO entry VALUES (1)", &in_history);
    t_xa(XA_OK, pg.xa_commit_entry(&x, MINE, TMNOFLAGS));
    y = prepare(MINE, "INSERT INTO entry VALUES (2)", &in_doubt);
    wait_for_standby();
    a_standby_is_read_and_nothing_else(&y, &in_doubt);
    pg_serve("standby-stop");
    z = prepare(MINE, "INSERT INTO entry VALUES (3)", &lost); /* the tail */
    t_xa(XA_OK, pg.xa_rollback_entry(&z, MINE, TMNOFLAGS));
    assert_int_equal(probe(MINE, &z, &lost), HF_PROBE_ROLLEDBACK);
    pg_close(MINE);
    pg_serve("stop immediate");
    pg_serve("standby-start");
    pg_serve("standby-promote");

    /* the id of z is given out again, and somebody else's transaction commits under it */
    snprintf(sql, sizeof(sql), "SELECT pg_xact_status('%llu'::xid8)",
             (unsigned long long)token_xid(&lost));
    for (int i = 0; i < 10; i++)
        pg_value_at(standby_info("hf"), "SELECT pg_current_xact_id()");
    assert_string_equal(pg_value_at(standby_info("hf"), sql), "committed");

    pg_open(OTHER, standby_info("hf"));
    assert_int_equal(probe(OTHER, &z, &lost), HF_PROBE_UNKNOWN);
    assert_int_equal(probe(OTHER, &x, &in_history), HF_PROBE_COMMITTED);
    assert_int_equal(probe(OTHER, &y, &in_doubt), HF_PROBE_PREPARED);
    t_xa(XA_OK, pg.xa_commit_entry(&y, OTHER, TMNOFLAGS));
    assert_int_equal(probe(OTHER, &y, &in_doubt), HF_PROBE_COMMITTED);
    pg_close(OTHER);
    pg_open(OTHER, standby_info("plain")); /* who may not read the history cannot tell */
    assert_int_equal(probe(OTHER, &x, &in_history), HF_PROBE_UNKNOWN);
    pg_close(OTHER);
    pg_serve("standby-stop");
    pg_serve("start");
}

static int setup(void **state)
{
    (void)state;
    pg_value("one", "DROP TABLE IF EXISTS entry");
    pg_value("one", "CREATE TABLE entry (n int)");
    return 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup(fn, setup)
    const struct CMUnitTest tests[] = {
        T(proves_what_became_of_a_branch),
        T(finished_by_hand_is_nota_and_then_proved),
        T(what_another_history_may_have_is_unknown),
        T(identity_is_the_database),
        T(settings_that_lose_acknowledged_work_are_refused),
        T(the_transaction_manager_refuses_such_a_server),
        T(one_phase_is_flushed_with_synchronous_commit_off),
        T(a_promoted_standby_proves_only_what_it_has),
    };

    return cmocka_run_group_tests_name("postgres.proof", tests, NULL, NULL);
}
