/*
 * What: PostgreSQL and MariaDB under load of one application, with kills of the application and of
 *       each server: what was acknowledged is in both, nothing is in one alone, in the end nothing
 *       is prepared, and the application goes on without a restart when a server is back
 *       (invariants 1, 5, 6, 15).
 * How:  threads insert number after number into both, each in one transaction, and note in shared
 *       memory what they were told. A kill comes only after transactions were committed since the
 *       one before, and counts only if a commit was under way. The numbers in the two tables are
 *       compared with each other and with the notes.
 *
 * An immediate stop of MariaDB is SIGTERM with innodb_fast_shutdown=3: nothing is written out and
 * nothing rolled back, so that the next start recovers as after a crash.
 */
#include "both_t.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { THREADS = 4, NUMBERS_MAX = 1 << 18 };

/* The full numbers are of the plain build: what a sanitizer looks for does not take them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SERVER_KILLS = 4, APPLICATION_KILLS = 10 };
#else
enum { SERVER_KILLS = 20, APPLICATION_KILLS = 100 };
#endif

static const struct store *const stores[STORES] = {&one_pg, &my_a};

enum told { NOTHING, UNDER_WAY, ROLLED_BACK, COMMITTED };

/* Shared with a child that commits. */
struct load {
    _Atomic int stop;
    _Atomic int next;      /* number */
    _Atomic int committed; /* transactions */
    _Atomic int active;    /* transactions with work in both, and no answer yet */
    _Atomic int strange;   /* an answer that should not come; 0: none */
    _Atomic unsigned char told[NUMBERS_MAX];
};

static struct {
    struct node *node;
    struct load *load;
} loaded;

static struct load *load_new(void)
{
    struct load *l =
        mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(l != MAP_FAILED);
    return l;
}

/* -- the load ---------------------------------------------------------------------------------- */

/* One transaction over both; its code. What fails before the commit is a server that is gone. */
static int commit_both(struct load *l, hf_instance *const in[STORES], int number)
{
    hf_tx *tx;
    int rc = hf_tx_begin(loaded.node->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    for (int i = 0; i < STORES; i++) {
        if (hf_tx_enlist(tx, in[i]) != HF_OK || !store_insert(stores[i], in[i], number)) {
            rc = hf_tx_rollback(tx, NULL);
            return rc == HF_OK ? HF_EROLLEDBACK : rc;
        }
    }
    atomic_fetch_add(&l->active, 1);
    rc = hf_tx_commit(tx, NULL);
    atomic_fetch_sub(&l->active, 1);
    return rc;
}

/* What is broken is replaced, as a pool does it. 0: not now. */
static int have_both(hf_instance *in[STORES])
{
    for (int i = 0; i < STORES; i++) {
        if (in[i] != NULL && hf_instance_broken(in[i])) {
            (void)hf_instance_close(in[i]);
            in[i] = NULL;
        }
        if (in[i] == NULL && hf_instance_open(loaded.node->rm[i], &in[i]) != HF_OK) {
            in[i] = NULL;
            return 0;
        }
    }
    return 1;
}

static void *work(void *arg)
{
    struct load *l = loaded.load;
    hf_instance *in[STORES] = {NULL, NULL};

    while (!atomic_load(&l->stop)) {
        int number, rc;

        if (!have_both(in)) {
            my_sleep_ms(5);
            continue;
        }
        number = atomic_fetch_add(&l->next, 1);
        must(number < NUMBERS_MAX, "count so far");
        atomic_store(&l->told[number], UNDER_WAY);
        rc = commit_both(l, in, number);
        if (rc != HF_OK && rc != HF_EROLLEDBACK)
            atomic_store(&l->strange, rc);
        atomic_store(&l->told[number], rc == HF_OK ? COMMITTED : ROLLED_BACK);
        atomic_fetch_add(&l->committed, rc == HF_OK);
    }
    for (int i = 0; i < STORES; i++)
        (void)hf_instance_close(in[i]);
    mysql_thread_end();
    return arg;
}

static void start_work(struct node *n, struct load *l, pthread_t threads[THREADS])
{
    loaded.node = n;
    loaded.load = l;
    for (int i = 0; i < THREADS; i++)
        must(pthread_create(&threads[i], NULL, work, NULL) == 0, "start a thread");
}

/* Until so many more are committed, and others are under way. */
static void wait_for_load(struct load *l, int more)
{
    int before = atomic_load(&l->committed);

    for (int wait = 0; wait < 60000; wait++) {
        if (atomic_load(&l->committed) >= before + more && atomic_load(&l->active) > 0)
            return;
        my_sleep_ms(1);
    }
    fail_msg("no load: %d committed, %d before", atomic_load(&l->committed), before);
}

/* -- what must be so in the end ---------------------------------------------------------------- */

static void read_pg(unsigned char *ret_there)
{
    PGconn *conn = PQconnectdb(pg_info(one_pg.database));
    PGresult *result = PQexec(conn, "SELECT n FROM t");

    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(result); i++)
        ret_there[atoi(PQgetvalue(result, i, 0))] = 1;
    PQclear(result);
    PQfinish(conn);
}

static void read_my(unsigned char *ret_there)
{
    MYSQL *conn = my_administrator();
    MYSQL_RES *res;
    MYSQL_ROW row;

    my_do(conn, "USE both_a");
    assert_int_equal(mysql_query(conn, "SELECT n FROM t"), 0);
    res = mysql_store_result(conn);
    assert_non_null(res);
    while ((row = mysql_fetch_row(res)) != NULL)
        ret_there[atoi(row[0])] = 1;
    mysql_free_result(res);
}

static int all_kills; /* of all tests that were good */

/* Settled; what was told is so; what nobody was told is in both or in neither. */
static void verify(struct node *n, struct load *l, const char *what, int kills)
{
    unsigned char *in_pg = calloc(NUMBERS_MAX, 1), *in_my = calloc(NUMBERS_MAX, 1);
    int count[COMMITTED + 1] = {0}, bad = 0;

    node_settle(n);
    assert_int_equal(node_stats(n).unconfirmed, 0);
    assert_int_equal(node_stats(n).alarms, 0);
    assert_int_equal(atomic_load(&l->strange), 0);
    read_pg(in_pg);
    read_my(in_my);
    for (int i = 0; i < NUMBERS_MAX; i++) {
        unsigned char told = atomic_load(&l->told[i]);

        count[told]++;
        bad += in_pg[i] != in_my[i];
        bad += told != UNDER_WAY && in_pg[i] != (told == COMMITTED);
    }
    free(in_pg);
    free(in_my);
    print_message("  %s: %d kills, %d transactions: %d committed, %d rolled back, %d unanswered\n",
                  what, kills, atomic_load(&l->next), count[COMMITTED], count[ROLLED_BACK],
                  count[UNDER_WAY]);
    assert_int_equal(bad, 0);
    all_kills += kills;
}

/* -- the application --------------------------------------------------------------------------- */

static void run_application(struct node *n, struct load *l)
{
    pthread_t threads[THREADS];

    my_admin_conn = NULL;       /* the parent's */
    node_open(n, stores, NULL); /* and recovers what the one before has left */
    start_work(n, l, threads);
    for (;;)
        (void)pause();
}

static void kills_of_the_application(void **state)
{
    struct node *n = *state;
    struct load *l = load_new();
    int kills = 0;

    for (int i = 0; kills < APPLICATION_KILLS; i++) {
        int status = 0;
        pid_t pid;

        (void)fflush(NULL);
        atomic_store(&l->active, 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            run_application(n, l);
        wait_for_load(l, 1 + i % 5);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        kills += atomic_load(&l->active) > 0; /* it cut a commit short */
        assert_true(i < 2 * APPLICATION_KILLS);
    }
    node_open(n, stores, NULL);
    verify(n, l, "the application", kills);
    node_close(n);
    (void)munmap(l, sizeof(*l));
}

/* -- a server ---------------------------------------------------------------------------------- */

static void kills_of_a_server(struct node *n, void (*down)(void), void (*up)(void),
                              const char *what)
{
    struct load *l = load_new();
    pthread_t threads[THREADS];

    node_open(n, stores, NULL);
    start_work(n, l, threads);
    for (int i = 0; i < SERVER_KILLS; i++) {
        wait_for_load(l, 5 + i % 3);
        down();
        up();
        t_ok(hf_tm_recover(n->tm, NULL)); /* while the load goes on */
    }
    wait_for_load(l, 1); /* it serves again */
    atomic_store(&l->stop, 1);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    for (int i = 0; i < STORES; i++) { /* those of before the kills */
        (void)hf_instance_close(n->in[i]);
        t_ok(hf_instance_open(n->rm[i], &n->in[i]));
    }
    verify(n, l, what, SERVER_KILLS);
    node_close(n);
    (void)munmap(l, sizeof(*l));
}

static void pg_down_hard(void)
{
    pg_serve("kill");
}

static void pg_down(void)
{
    pg_serve("stop immediate");
}

static void pg_up(void)
{
    pg_serve("start");
}

static void my_down_hard(void)
{
    my_server("kill");
}

static void my_down(void)
{
    my_admin("SET GLOBAL innodb_fast_shutdown = 3");
    my_server("stop");
}

static void my_up(void)
{
    my_server("start");
}

static void kills_of_postgresql(void **state)
{
    kills_of_a_server(*state, pg_down_hard, pg_up, "PostgreSQL, SIGKILL");
}

static void immediate_stops_of_postgresql(void **state)
{
    kills_of_a_server(*state, pg_down, pg_up, "PostgreSQL, stopped at once");
}

static void kills_of_mariadb(void **state)
{
    kills_of_a_server(*state, my_down_hard, my_up, "MariaDB, SIGKILL");
}

static void immediate_stops_of_mariadb(void **state)
{
    kills_of_a_server(*state, my_down, my_up, "MariaDB, stopped at once");
}

int main(int argc, char **argv)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(kills_of_the_application),      T(kills_of_postgresql),
        T(immediate_stops_of_postgresql), T(kills_of_mariadb),
        T(immediate_stops_of_mariadb),
    };
    const struct CMUnitTest planted[] = {T(kills_of_postgresql)};
    int failed;

    failed = plant(argc, argv) ? cmocka_run_group_tests_name("both.kills", planted, NULL, NULL)
                               : cmocka_run_group_tests_name("both.kills", tests, NULL, NULL);
    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    if (failed == 0)
        printf("rig: %d kills, 0 violations\n", all_kills);
    return failed;
}
