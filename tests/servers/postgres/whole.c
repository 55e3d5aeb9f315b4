/*
 * What: one transaction over two databases of one PostgreSQL commits in both or in neither, by the
 *       transaction manager's own calls, and recovery settles what a killed process left behind.
 * How:  a node of its own, two resource managers, a table in each database; children that are
 *       killed at a failpoint of the commit.
 */
#include "pg_t.h"

#include <pthread.h>
#include <stdatomic.h>

#include "holdfast/internal/fault.h"

struct bank {
    char *dir;
    hf_tm *tm;
    hf_rm *rm[2];
    hf_instance *in[2];
};

static const char *const databases[2] = {"one", "two"};

static void bank_open(struct bank *b)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;

    config.dir = t_path(b->dir, "node");
    t_ok(hf_tm_open(&config, &b->tm));
    for (int i = 0; i < 2; i++) {
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        rm.name = databases[i];
        rm.xa = &hf_postgres_switch;
        rm.ext = &hf_postgres_ext;
        rm.open_info = pg_info(databases[i]);
        t_ok(hf_rm_register(b->tm, &rm, &b->rm[i]));
    }
}

static void bank_start(struct bank *b)
{
    bank_open(b);
    t_ok(hf_tm_start(b->tm, 0));
    for (int i = 0; i < 2; i++)
        t_ok(hf_instance_open(b->rm[i], &b->in[i]));
}

static void bank_close(struct bank *b)
{
    for (int i = 0; i < 2; i++) {
        t_ok(hf_instance_close(b->in[i]));
        b->in[i] = NULL;
    }
    t_ok(hf_tm_close(b->tm, 0, NULL));
    b->tm = NULL;
}

static int setup(void **state)
{
    struct bank *b = calloc(1, sizeof(*b));

    b->dir = t_dir_make();
    for (int i = 0; i < 2; i++) {
        pg_value(databases[i], "DROP TABLE IF EXISTS entry");
        pg_value(databases[i], "CREATE TABLE entry (n int PRIMARY KEY)");
    }
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bank *b = *state;

    t_dir_remove(b->dir);
    free(b);
    return 0;
}

static hf_tx *begin_both(struct bank *b)
{
    hf_tx *tx;

    t_ok(hf_tx_begin(b->tm, 0, &tx));
    for (int i = 0; i < 2; i++)
        t_ok(hf_tx_enlist(tx, b->in[i]));
    return tx;
}

static void write_both(struct bank *b, int n)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "INSERT INTO entry VALUES (%d)", n);
    for (int i = 0; i < 2; i++)
        pg_do(hf_instance_rmid(b->in[i]), sql);
}

static void expect_rows(int wanted)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(pg_number(databases[i], "SELECT count(*) FROM entry"), wanted);
}

static void commits_in_both_databases_of_one_cluster(void **state)
{
    struct bank *b = *state;
    hf_result result = HF_RESULT_INIT;
    hf_tx *tx;

    bank_start(b);
    for (int n = 0; n < 3; n++) { /* the same connections again: nothing is left on them */
        tx = begin_both(b);
        write_both(b, n);
        t_ok(hf_tx_commit(tx, &result));
        assert_int_equal(result.outcome, HF_COMMITTED);
        assert_int_equal(result.owed, 0);
    }
    expect_rows(3);
    assert_int_equal(pg_prepared(), 0);
    bank_close(b);
}

static void rolls_back_both(void **state)
{
    struct bank *b = *state;
    hf_tx *tx;

    bank_start(b);
    tx = begin_both(b);
    write_both(b, 1);
    t_ok(hf_tx_rollback(tx, NULL));
    expect_rows(0);
    assert_int_equal(pg_prepared(), 0);
    bank_close(b);
}

static void a_no_of_one_rolls_back_the_other(void **state)
{
    struct bank *b = *state;
    hf_result result = HF_RESULT_INIT;
    hf_tx *tx;

    bank_start(b);
    tx = begin_both(b);
    write_both(b, 1);
    pg_do(hf_instance_rmid(b->in[1]), "CREATE TEMP TABLE t (n int)");
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &result));
    assert_int_equal(result.xa_code, XA_RBOTHER);
    assert_string_equal(result.call, "xa_prepare");
    assert_non_null(strstr(result.text, "cannot PREPARE a transaction that has operated on temp"));
    expect_rows(0);
    assert_int_equal(pg_prepared(), 0);
    assert_int_equal(hf_instance_broken(b->in[0]), 0);
    assert_int_equal(hf_instance_broken(b->in[1]), 0);
    bank_close(b);
}

static void one_branch_commits_in_one_phase(void **state)
{
    struct bank *b = *state;
    hf_tx *tx;

    bank_start(b);
    t_ok(hf_tx_begin(b->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, b->in[0]));
    pg_do(hf_instance_rmid(b->in[0]), "INSERT INTO entry VALUES (1)");
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(pg_number("one", "SELECT count(*) FROM entry"), 1);
    bank_close(b);
}

/* -- threads ----------------------------------------------------------------------------------- */

struct sleeper {
    struct bank *b;
    _Atomic int awake;
    int refused; /* a statement after the cancel */
    int code;
};

static void *sleep_in_a_transaction(void *arg)
{
    struct sleeper *s = arg;
    hf_instance *in;
    hf_tx *tx;

    if (hf_instance_open(s->b->rm[0], &in) != HF_OK || hf_tx_begin(s->b->tm, 3000, &tx) != HF_OK ||
        hf_tx_enlist(tx, in) != HF_OK)
        return NULL;
    pg_fails(hf_instance_rmid(in), "SELECT pg_sleep(3600)", "57014");
    atomic_store(&s->awake, 1);
    s->refused = hf_postgres_exec(hf_instance_rmid(in), "SELECT 1") == NULL;
    s->code = hf_tx_commit(tx, NULL);
    (void)hf_instance_close(in);
    return NULL;
}

static int sleeps(void)
{
    return pg_number("one", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
}

/* What a thread waits for in its connection keeps no other thread; the deadline cancels it. */
static void a_deadline_cancels_what_runs_and_nobody_waits_for_it(void **state)
{
    struct bank *b = *state;
    struct sleeper s = {.b = b, .code = 1};
    pthread_t thread;

    bank_start(b);
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_a_transaction, &s), 0);
    while (sleeps() == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int n = 0; n < 70; n++) { /* rmids that share a bucket with the sleeper's, too */
        hf_instance *in;

        t_ok(hf_instance_open(b->rm[1], &in));
        pg_do(hf_instance_rmid(in), "SELECT 1");
        t_ok(hf_instance_close(in));
    }
    write_both((begin_both(b), b), 1);
    t_ok(hf_tx_commit(hf_tx_current(b->tm), NULL));
    assert_int_equal(atomic_load(&s.awake), 0);
    assert_int_equal(sleeps(), 1);
    while (!atomic_load(&s.awake)) {
        t_ok(hf_tm_tick(b->tm, NULL));
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    (void)pthread_join(thread, NULL);
    assert_int_equal(s.refused, 1);
    assert_int_equal(s.code, HF_EROLLEDBACK);
    expect_rows(1);
    bank_close(b);
}

struct worker {
    struct bank *b;
    int first;
    int bad;
};

enum { WORKERS = 4, WORK = 25 };

static void *work(void *arg)
{
    struct worker *w = arg;
    hf_instance *in[2];

    for (int i = 0; i < 2; i++)
        w->bad += hf_instance_open(w->b->rm[i], &in[i]) != HF_OK;
    for (int n = w->first; n < w->first + WORK && w->bad == 0; n++) {
        char sql[64];
        hf_tx *tx;

        snprintf(sql, sizeof(sql), "INSERT INTO entry VALUES (%d)", n);
        w->bad += hf_tx_begin(w->b->tm, 0, &tx) != HF_OK;
        for (int i = 0; i < 2; i++) {
            PGresult *result;

            w->bad += hf_tx_enlist(tx, in[i]) != HF_OK;
            result = hf_postgres_exec(hf_instance_rmid(in[i]), sql);
            w->bad += PQresultStatus(result) != PGRES_COMMAND_OK;
            PQclear(result);
        }
        w->bad += hf_tx_commit(tx, NULL) != HF_OK;
    }
    for (int i = 0; i < 2; i++)
        w->bad += hf_instance_close(in[i]) != HF_OK;
    return NULL;
}

static void threads_commit_side_by_side(void **state)
{
    struct bank *b = *state;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];

    bank_start(b);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.b = b, .first = i * WORK};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].bad, 0);
    }
    expect_rows(WORKERS * WORK);
    assert_int_equal(pg_prepared(), 0);
    bank_close(b);
}

#ifdef HF_FAULTS

/* A child that commits a transaction and is killed at the failpoint. */
static void die_at(struct bank *b, const char *fault)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        bank_start(b);
        write_both((begin_both(b), b), 7);
        (void)hf__fault_set(fault);
        _exit(hf_tx_commit(hf_tx_current(b->tm), NULL) == HF_OK ? 98 : 99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The server may still be at the dead client's messages, which it carries out before it notices. */
static void wait_for_the_ends(void)
{
    while (pg_number("one", "SELECT count(*) FROM pg_stat_activity WHERE "
                            "application_name = 'holdfast'") > 0)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void settles_what_a_kill_left(void **state)
{
    static const struct {
        const char *fault;
        int rows; /* in each, after recovery */
    } rows[] = {
        {"commit:ended=kill", 0},       {"commit:prepared=kill@1", 0},
        {"commit:prepared=kill@2", 0},  {"log:voted=kill", 0},
        {"log:decided=kill", 1},        {"commit:committed=kill@1", 1},
        {"commit:committed=kill@2", 1},
    };
    struct bank *b = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hf_tm_stats stats = {.size = sizeof(stats)};

        print_message("%s\n", rows[i].fault);
        die_at(b, rows[i].fault);
        wait_for_the_ends();
        bank_start(b);
        t_ok(hf_tm_recover(b->tm, NULL));
        t_ok(hf_tm_get_stats(b->tm, &stats));
        assert_int_equal(stats.owed, 0);
        assert_int_equal(stats.alarms, 0);
        assert_int_equal(pg_prepared(), 0);
        expect_rows(rows[i].rows);
        bank_close(b);
        for (int j = 0; j < 2; j++)
            pg_value(databases[j], "DELETE FROM entry");
    }
}

#endif

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(commits_in_both_databases_of_one_cluster),
        T(rolls_back_both),
        T(a_no_of_one_rolls_back_the_other),
        T(one_branch_commits_in_one_phase),
        T(a_deadline_cancels_what_runs_and_nobody_waits_for_it),
        T(threads_commit_side_by_side),
#ifdef HF_FAULTS
        T(settles_what_a_kill_left),
#endif
    };

    return cmocka_run_group_tests_name("postgres.whole", tests, NULL, NULL);
}
