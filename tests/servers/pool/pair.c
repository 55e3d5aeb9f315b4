/*
 * What: a pool of PostgreSQL's connections and one of MariaDB's in one transaction: both or neither
 *       on eight threads; each connection enlisted once for each transaction, and found again in
 *       it; what it costs in messages; and connections and servers that die while the application
 *       goes on.
 * How:  private servers. Messages are counted by a send() that the client libraries find before
 *       libc's, and time goes by at once by such a clock_gettime(). Connections are ended by the
 *       servers' administrators, servers killed under load.
 */
#include "pool_t.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 20, FDS = 1024, LOADERS = 3, KILLS = 3, VALUES_MAX = 1 << 16 };

static _Atomic unsigned sent[FDS]; /* messages */
static _Atomic int later_s;        /* what the coarse clock shows too much */

int clock_gettime(clockid_t id, struct timespec *ret)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ret);

    if (id == CLOCK_MONOTONIC_COARSE)
        ret->tv_sec += atomic_load(&later_s);
    return rc;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (fd >= 0 && fd < FDS)
        atomic_fetch_add(&sent[fd], 1);
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

/* -- both or neither --------------------------------------------------------------------------- */

struct worker {
    struct pools *p;
    int number;
    const char *wrong;
};

/* Allocate, work, free; and again, which has to find the same one. */
static const char *use(struct pools *p, int which, int n,
                       int (*insert)(struct pools *p, hf_resid id, int n))
{
    hf_resid id = 0, again = 0;

    if (hf_holder_alloc(p->pool[which], hf_xa_type(p->rm[which]), &id) != HF_OK)
        return "alloc";
    if (insert(p, id, n) != 0)
        return "insert";
    if (hf_holder_free(p->pool[which], id) != HF_OK)
        return "free";
    if (hf_holder_alloc(p->pool[which], hf_xa_type(p->rm[which]), &again) != HF_OK)
        return "alloc again";
    if (again != id)
        return "another one in the same transaction";
    if (insert(p, again, -n) != 0)
        return "insert again";
    return hf_holder_free(p->pool[which], again) == HF_OK ? NULL : "free again";
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < ROUNDS && w->wrong == NULL; i++) {
        int n = 1 + w->number * ROUNDS + i;
        hf_tx *tx = NULL;

        if (hf_tx_begin(w->p->tm, 0, &tx) != HF_OK)
            w->wrong = "begin";
        if (w->wrong == NULL)
            w->wrong = use(w->p, PG, n, insert_pg);
        if (w->wrong == NULL)
            w->wrong = use(w->p, MY, n, insert_my);
        if (w->wrong == NULL && (n % 2 == 0 ? hf_tx_commit : hf_tx_rollback)(tx, NULL) != HF_OK)
            w->wrong = "the end";
    }
    return NULL;
}

static void run_threads(struct pools *p)
{
    struct worker workers[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.p = p, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        if (workers[i].wrong != NULL)
            fail_msg("thread %d: %s", i, workers[i].wrong);
    }
}

static void two_pools(struct pools *p, const hf_xa_hooks *pg_hooks, const hf_xa_hooks *my_hooks)
{
    enum { ALL = THREADS * ROUNDS };

    pools_open(p, pg_hooks, my_hooks);
    run_threads(p);
    for (int which = 0; which < BOTH; which++) {
        hf_holder_stats stats = pool_stats(p, which);

        assert_int_equal(stats.allocated, 2 * ALL);
        assert_int_equal(stats.enlisted, ALL); /* once for each transaction */
        assert_int_equal(stats.reused_enlisted, ALL);
        assert_in_range(stats.created, 1, THREADS);
        assert_int_equal(stats.idle, stats.created);
        assert_int_equal(stats.invalid, 0);
    }
    assert_int_equal(pg_number("one", "SELECT count(*) FROM t"), ALL);
    assert_int_equal(pg_number("one", "SELECT count(*) FROM t WHERE n % 2 = 0"), ALL);
    assert_int_equal(my_number("SELECT COUNT(*) FROM pool.t"), ALL);
    assert_int_equal(my_number("SELECT COUNT(*) FROM pool.t WHERE n % 2 = 0"), ALL);
    assert_int_equal(pg_prepared(), 0);
    assert_int_equal(my_prepared(), 0);
    pools_close(p);
}

static void two_pools__both_or_neither_on_eight_threads(void **state)
{
    two_pools(*state, &hf_postgres_hooks, &hf_mariadb_hooks);
}

static void two_pools__the_same_with_sessions_cleaned(void **state)
{
    two_pools(*state, &hf_postgres_hooks_clean, &hf_mariadb_hooks_clean);
}

/* -- messages ---------------------------------------------------------------------------------- */

/* Since the last time. */
static unsigned messages(int fd)
{
    return atomic_exchange(&sent[fd], 0);
}

/* The sockets of the one connection that each pool has. */
static void sockets(struct pools *p, int ret_fd[BOTH])
{
    hf_resid id[BOTH] = {take(p, PG), take(p, MY)};

    ret_fd[PG] = PQsocket(pg_of(p, id[PG]));
    ret_fd[MY] = (int)mysql_get_socket(my_of(p, id[MY]));
    assert_in_range(ret_fd[PG], 3, FDS - 1);
    assert_in_range(ret_fd[MY], 3, FDS - 1);
    for (int which = 0; which < BOTH; which++) {
        give(p, which, id[which]);
        (void)messages(ret_fd[which]);
    }
}

static void messages__enlisting_sends_at_most_the_begin(void **state)
{
    struct pools *p = *state;
    hf_resid id[BOTH];
    int fd[BOTH];
    hf_tx *tx;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    sockets(p, fd);
    for (int round = 0; round < 3; round++) {
        tx = begin_tx(p);
        id[PG] = take(p, PG);
        assert_int_equal(messages(fd[PG]), 0);
        if (round == 2) { /* native: BEGIN by itself */
            (void)pg_of(p, id[PG]);
            assert_int_equal(messages(fd[PG]), 1);
        }
        assert_int_equal(insert_pg(p, id[PG], round), 0);
        assert_int_equal(messages(fd[PG]), 1); /* with BEGIN in it */
        id[MY] = take(p, MY);
        assert_int_equal(messages(fd[MY]), 1); /* xa_start */
        assert_int_equal(insert_my(p, id[MY], round), 0);
        assert_int_equal(messages(fd[MY]), 1);
        for (int which = 0; which < BOTH; which++) {
            give(p, which, id[which]);
            assert_int_equal(take(p, which), id[which]); /* the same, and nothing for it */
            give(p, which, id[which]);
            assert_int_equal(messages(fd[which]), 0);
        }
        t_ok(hf_tx_commit(tx, NULL));
        assert_int_equal(messages(fd[PG]), 2); /* prepare, commit */
        assert_int_equal(messages(fd[MY]), 2);
    }
    for (int which = 0; which < BOTH; which++) { /* outside of a transaction */
        give(p, which, take(p, which));
        assert_int_equal(messages(fd[which]), 0);
        assert_int_equal(pool_stats(p, which).created, 1);
    }
    pools_close(p);
}

static void messages__cleaning_is_one_or_two_more_for_each_use(void **state)
{
    struct pools *p = *state;
    hf_resid id[BOTH];
    int fd[BOTH];
    hf_tx *tx;

    pools_open(p, &hf_postgres_hooks_clean, &hf_mariadb_hooks_clean);
    sockets(p, fd);
    for (int round = 0; round < 3; round++) {
        tx = begin_tx(p);
        for (int which = 0; which < BOTH; which++)
            id[which] = take(p, which);
        assert_int_equal(messages(fd[PG]), 0);
        assert_int_equal(messages(fd[MY]), 1);
        assert_int_equal(insert_pg(p, id[PG], round), 0);
        assert_int_equal(insert_my(p, id[MY], round), 0);
        for (int which = 0; which < BOTH; which++)
            give(p, which, id[which]);
        assert_int_equal(messages(fd[PG]), 1); /* the branch goes on: it is not cleaned yet */
        assert_int_equal(messages(fd[MY]), 1);
        t_ok(hf_tx_commit(tx, NULL));
        assert_int_equal(messages(fd[PG]), 3);
        assert_int_equal(messages(fd[MY]), 4); /* who it is, and the reset */
    }
    give(p, PG, take(p, PG)); /* nobody has used it */
    assert_int_equal(messages(fd[PG]), 0);
    pools_close(p);
}

/* Out of a transaction MariaDB is asked when it comes back, if it was used. */
static void messages__work_outside_of_a_transaction_costs_one_question(void **state)
{
    struct pools *p = *state;
    int fd[BOTH];
    hf_resid id;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    sockets(p, fd);
    for (int round = 0; round < 3; round++) {
        give(p, MY, take(p, MY));
        assert_int_equal(messages(fd[MY]), 0);
        id = take(p, MY);
        assert_int_equal(insert_my(p, id, round), 0);
        assert_int_equal(messages(fd[MY]), 1);
        give(p, MY, id);
        assert_int_equal(messages(fd[MY]), 1);
    }
    pools_close(p);
}

/* Made for later: nobody has heard of it for a long time, by the clock of the pools' drivers. */
static void messages__one_that_was_quiet_for_long_is_asked(void **state)
{
    struct pools *p = *state;
    hf_resid id[BOTH];
    int fd[BOTH];

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int which = 0; which < BOTH; which++)
        t_ok(hf_holder_stock(p->pool[which], hf_xa_type(p->rm[which]), 1));
    for (int i = 0; i < FDS; i++)
        (void)messages(i);
    atomic_store(&later_s, 30);
    id[PG] = take(p, PG);
    id[MY] = take(p, MY);
    fd[PG] = PQsocket(pg_of(p, id[PG]));
    fd[MY] = (int)mysql_get_socket(my_of(p, id[MY]));
    for (int which = 0; which < BOTH; which++) {
        assert_int_equal(messages(fd[which]), 1);
        give(p, which, id[which]);
        assert_int_equal(take(p, which), id[which]);
        assert_int_equal(messages(fd[which]), 0); /* it has just been heard of */
        give(p, which, id[which]);
        assert_int_equal(pool_stats(p, which).created, 1);
    }
    atomic_store(&later_s, 0);
    pools_close(p);
}

/* A server's process that stands still: its socket is open, and nothing comes. */
static void quiet__one_that_does_not_answer_is_replaced_in_time(void **state)
{
    struct pools *p = *state;
    struct timespec began, now;
    hf_resid id;
    int pid;

    p->config.validate_timeout_ms = 300;
    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    t_ok(hf_holder_stock(p->pool[PG], hf_xa_type(p->rm[PG]), 1));
    pid = pg_number("one", "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' "
                           "AND datname = 'one' AND pid <> pg_backend_pid() "
                           "ORDER BY backend_start DESC LIMIT 1");
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &began);
    id = take(p, PG);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    assert_in_range(now.tv_sec - began.tv_sec, 0, 30);
    assert_int_not_equal(PQbackendPID(pg_of(p, id)), pid);
    give(p, PG, id);
    assert_int_equal(pool_stats(p, PG).invalid, 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
    a_good_transaction(p);
    pools_close(p);
}

/* -- a connection that dies -------------------------------------------------------------------- */

static void kill_pg(unsigned long pid)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%lu)", pid);
    assert_string_equal(pg_value("one", sql), "t");
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE pid = %lu", pid);
    for (int i = 0; i < 12000 && pg_number("one", sql) != 0; i++)
        my_sleep_ms(5);
    assert_int_equal(pg_number("one", sql), 0);
}

static void kill_my(unsigned long number)
{
    my_admin("KILL %lu", number);
    my_await_end(number);
}

static void killed__an_idle_connection_is_replaced_unnoticed(void **state)
{
    struct pools *p = *state;
    unsigned long number[2 * BOTH];
    hf_resid id[2 * BOTH];

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int i = 0; i < 2 * BOTH; i++)
        id[i] = take(p, i % BOTH);
    for (int i = 0; i < 2 * BOTH; i++) {
        number[i] = i % BOTH == PG ? (unsigned long)PQbackendPID(pg_of(p, id[i]))
                                   : mysql_thread_id(my_of(p, id[i]));
        give(p, i % BOTH, id[i]);
    }
    for (int i = 0; i < 2 * BOTH; i++) {
        assert_int_equal(pool_stats(p, i % BOTH).idle, 2);
        (i % BOTH == PG ? kill_pg : kill_my)(number[i]);
    }
    a_good_transaction(p);
    for (int which = 0; which < BOTH; which++) {
        hf_holder_stats stats = pool_stats(p, which);

        assert_int_equal(stats.invalid, 2); /* and never handed out */
        assert_int_equal(stats.created, 3);
        assert_int_equal(stats.idle, 1);
    }
    pools_close(p);
}

static void killed__at_work_the_next_transaction_is_good(void **state)
{
    struct pools *p = *state;
    hf_resid id[BOTH];
    hf_tx *tx;

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    for (int victim = 0; victim < BOTH; victim++) {
        a_good_transaction(p);
        tx = begin_tx(p);
        id[PG] = take(p, PG);
        id[MY] = take(p, MY);
        assert_int_equal(insert_pg(p, id[PG], 1000), 0);
        assert_int_equal(insert_my(p, id[MY], 1000), 0);
        if (victim == PG)
            kill_pg((unsigned long)PQbackendPID(pg_of(p, id[PG])));
        else
            kill_my(mysql_thread_id(my_of(p, id[MY])));
        give(p, PG, id[PG]);
        give(p, MY, id[MY]);
        t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
        assert_int_equal(in_pg(1000), 0);
        assert_int_equal(in_my(1000), 0);
        a_good_transaction(p);
        assert_int_equal(pool_stats(p, victim).created, 2);
        assert_int_equal(pool_stats(p, victim).idle, 1);
    }
    pools_close(p);
}

/* -- a server that dies ------------------------------------------------------------------------ */

enum told { UNTOLD, ROLLED_BACK, COMMITTED };

static struct {
    struct pools *p;
    _Atomic int stop, next, committed, strange;
    unsigned char told[VALUES_MAX];
} load;

/* One transaction over both; its code. */
static int commit_both(struct pools *p, int n)
{
    hf_resid id[BOTH] = {0, 0};
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(p->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    for (int which = 0; which < BOTH && rc == HF_OK; which++) {
        rc = hf_holder_alloc(p->pool[which], hf_xa_type(p->rm[which]), &id[which]);
        if (rc == HF_OK && (which == PG ? insert_pg : insert_my)(p, id[which], n) != 0)
            rc = HF_ERM;
    }
    for (int which = 0; which < BOTH; which++)
        if (id[which] != 0)
            (void)hf_holder_free(p->pool[which], id[which]); /* reset is not there to fail */
    if (rc == HF_OK)
        return hf_tx_commit(tx, NULL);
    (void)hf_tx_rollback(tx, NULL); /* whatever it says, it is not committed */
    return HF_EROLLEDBACK;
}

static void *run_load(void *arg)
{
    (void)arg;
    while (!atomic_load(&load.stop)) {
        int n = atomic_fetch_add(&load.next, 1), rc;

        if (n >= VALUES_MAX)
            break;
        rc = commit_both(load.p, n);
        load.told[n] = rc == HF_OK ? COMMITTED : ROLLED_BACK;
        atomic_fetch_add(&load.committed, rc == HF_OK);
        if (rc != HF_OK && rc != HF_EROLLEDBACK)
            atomic_store(&load.strange, rc);
        if (rc != HF_OK)
            my_sleep_ms(5);
    }
    return NULL;
}

static void restart(int which)
{
    if (which == PG) {
        pg_serve("stop immediate");
        pg_serve("start");
    } else {
        my_server("kill");
        my_server("start");
    }
}

/* It serves again, and the application that asks was not restarted. */
static void await_commits(int more)
{
    int before = atomic_load(&load.committed);

    for (int i = 0; i < 12000 && atomic_load(&load.committed) < before + more; i++)
        my_sleep_ms(5);
    assert_in_range(atomic_load(&load.committed), before + more, VALUES_MAX);
}

static void settle(struct pools *p)
{
    hf_tm_stats stats = {.size = sizeof(stats)};

    for (int i = 0; i < 3000; i++) {
        t_ok(hf_tm_recover(p->tm, NULL));
        t_ok(hf_tm_get_stats(p->tm, &stats));
        if (stats.owed == 0 && pg_prepared() == 0 && my_prepared() == 0)
            return;
        my_sleep_ms(20);
    }
    fail_msg("owed %d, prepared %d and %ld", (int)stats.owed, pg_prepared(), my_prepared());
}

static void compare(void)
{
    int bad = 0, count = atomic_load(&load.next), committed = 0;
    PGconn *conn = PQconnectdb(pg_info("one"));

    for (int n = 0; n < count && n < VALUES_MAX; n++) {
        char sql[64];
        PGresult *result;
        int there;

        (void)snprintf(sql, sizeof(sql), "SELECT 1 FROM t WHERE n = %d", n);
        result = PQexec(conn, sql);
        there = PQntuples(result);
        PQclear(result);
        bad += there != (load.told[n] == COMMITTED) || in_my(n) != there;
        committed += there;
    }
    PQfinish(conn);
    print_message("%d transactions, %d committed\n", count, committed);
    assert_int_equal(bad, 0);
}

static void restarted__the_pool_serves_again_and_nothing_is_in_doubt(void **state)
{
    struct pools *p = *state;
    pthread_t threads[LOADERS];

    pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks);
    load.p = p;
    for (int i = 0; i < LOADERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_load, NULL), 0);
    for (int i = 0; i < KILLS * BOTH; i++) {
        await_commits(20 + 3 * i);
        restart(i % BOTH);
        t_ok(hf_tm_recover(p->tm, NULL)); /* while the load goes on */
    }
    await_commits(20);
    atomic_store(&load.stop, 1);
    for (int i = 0; i < LOADERS; i++)
        (void)pthread_join(threads[i], NULL);
    settle(p);
    assert_int_equal(load.strange, 0);
    compare();
    for (int which = 0; which < BOTH; which++)
        assert_true(pool_stats(p, which).destroyed > 0);
    p->last = VALUES_MAX;
    a_good_transaction(p);
    pools_close(p);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, pools_setup, pools_teardown)
    const struct CMUnitTest tests[] = {
        T(two_pools__both_or_neither_on_eight_threads),
        T(two_pools__the_same_with_sessions_cleaned),
        T(messages__enlisting_sends_at_most_the_begin),
        T(messages__cleaning_is_one_or_two_more_for_each_use),
        T(messages__work_outside_of_a_transaction_costs_one_question),
        T(messages__one_that_was_quiet_for_long_is_asked),
        T(quiet__one_that_does_not_answer_is_replaced_in_time),
        T(killed__an_idle_connection_is_replaced_unnoticed),
        T(killed__at_work_the_next_transaction_is_good),
        T(restarted__the_pool_serves_again_and_nothing_is_in_doubt),
    };
    int failed = cmocka_run_group_tests_name("pool.pair", tests, NULL, NULL);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
