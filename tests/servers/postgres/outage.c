/*
 * What: servers and applications that die while PostgreSQL and kv commit one transaction: nothing
 *       that was acknowledged is lost, nothing is half, and in the end nothing is prepared; the
 *       application goes on with new instances and is not restarted.
 * How:  a scripted resource manager beside PostgreSQL kills the server when its own turn comes, so
 *       that it dies at each step of the protocol; children with a kv store are killed at the
 *       failpoints; and a thread commits while the server is killed, or stopped at once, again and
 *       again.
 */
#include "pg_t.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "holdfast/internal/fault.h"
#include "holdfast/kv.h"
#include "support/fake_rm.h"

enum { KILLS = 20, APPLICATION_KILLS = 100 }; /* under load; of the server, of each sort */

struct node {
    char *dir;
    hf_tm *tm;
    hf_rm *postgres, *other;
};

static void node_open(struct node *n, const struct xa_switch_t *other, const hf_rm_ext *ext,
                      const char *info)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_rm_config rm = HF_RM_CONFIG_INIT;

    config.dir = t_path(n->dir, "node");
    t_ok(hf_tm_open(&config, &n->tm));
    rm.name = "postgres";
    rm.xa = &hf_postgres_switch;
    rm.ext = &hf_postgres_ext;
    rm.open_info = pg_info("one");
    rm.rank = 1; /* after the other one */
    t_ok(hf_rm_register(n->tm, &rm, &n->postgres));
    rm = (hf_rm_config)HF_RM_CONFIG_INIT;
    rm.name = "other";
    rm.xa = other;
    rm.ext = ext;
    rm.open_info = info;
    t_ok(hf_rm_register(n->tm, &rm, &n->other));
    t_ok(hf_tm_start(n->tm, 0));
}

static void node_open_kv(struct node *n)
{
    char info[MAXINFOSIZE];

    snprintf(info, sizeof(info), "dir=%.200s/store", n->dir);
    node_open(n, &hf_kv_switch, &hf_kv_ext, info);
}

static hf_tm_stats stats_of(struct node *n)
{
    hf_tm_stats stats = {.size = sizeof(stats)};

    t_ok(hf_tm_get_stats(n->tm, &stats));
    return stats;
}

/* Passes until nothing is owed. */
static void settle(struct node *n)
{
    for (int i = 0; i < 3000; i++) {
        t_ok(hf_tm_recover(n->tm, NULL));
        if (stats_of(n).owed == 0 && pg_prepared() == 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    fail_msg("%d branches are owed, %d are prepared", (int)stats_of(n).owed, pg_prepared());
}

static int rows(int value)
{
    char sql[80];

    snprintf(sql, sizeof(sql), "SELECT count(*) FROM entry WHERE n = %d", value);
    return pg_number("one", sql);
}

/* -- the server dies at a step ----------------------------------------------------------------- */

static enum fake_call dies_at;
static const char *dies_by;
static int died;

static void on_call(void *user, int rm, enum fake_call call)
{
    (void)user;
    (void)rm;
    if (call != dies_at || died)
        return;
    died = 1;
    pg_serve(dies_by);
}

static int insert(hf_instance *instance, int value)
{
    char sql[80];
    PGresult *result;
    int good;

    snprintf(sql, sizeof(sql), "INSERT INTO entry VALUES (%d)", value);
    result = hf_postgres_exec(hf_instance_rmid(instance), sql);
    good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return good;
}

/* Enlist PostgreSQL, insert, enlist the scripted one (its xa_start is a step), commit. */
static void dies_once(struct node *n, enum fake_call at, const char *by, hf_outcome wanted)
{
    hf_instance *postgres, *other;
    hf_result result = HF_RESULT_INIT;
    hf_tx *tx;
    int rc;

    print_message("%s at call %d\n", by, (int)at);
    dies_at = at;
    dies_by = by;
    died = 0;
    t_ok(hf_instance_open(n->postgres, &postgres));
    t_ok(hf_instance_open(n->other, &other));
    t_ok(hf_tx_begin(n->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, postgres));
    assert_true(insert(postgres, 1));
    t_ok(hf_tx_enlist(tx, other));
    rc = hf_tx_commit(tx, &result);
    assert_int_equal(died, 1);
    assert_int_equal(rc, wanted == HF_COMMITTED ? HF_OK : HF_EROLLEDBACK);
    assert_int_equal(result.outcome, wanted);
    assert_int_equal(result.owed, 1); /* a vote, or a commit, that was lost sight of */
    assert_int_equal(hf_instance_broken(postgres), 1);
    t_ok(hf_instance_close(postgres));
    t_rc(HF_ERM, hf_instance_open(n->postgres, &postgres)); /* there is no server */
    t_ok(hf_tm_recover(n->tm, NULL));
    pg_serve("start");
    settle(n);
    assert_int_equal(rows(1), wanted == HF_COMMITTED);
    /* the same application goes on */
    dies_at = FAKE_CALLS;
    t_ok(hf_instance_open(n->postgres, &postgres));
    t_ok(hf_tx_begin(n->tm, 0, &tx));
    t_ok(hf_tx_enlist(tx, postgres));
    t_ok(hf_tx_enlist(tx, other));
    assert_true(insert(postgres, 2));
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(hf_instance_close(postgres));
    t_ok(hf_instance_close(other));
    assert_int_equal(rows(2), 1);
    assert_int_equal(stats_of(n).alarms, 0);
    pg_value("one", "DELETE FROM entry");
}

static void a_server_that_dies_at_a_step(void **state)
{
    static const char *const ways[] = {"kill", "stop immediate", "stop fast"};
    struct node *n = *state;

    fake_reset();
    fake_rank(0, 0);
    node_open(n, fake_switch(0), NULL, "");
    fake_on_call(on_call, n);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        dies_once(n, FAKE_START, ways[i], HF_ROLLEDBACK); /* after the first statement */
        dies_once(n, FAKE_END, ways[i], HF_ROLLEDBACK);   /* after xa_end of PostgreSQL */
        dies_once(n, FAKE_COMMIT, ways[i], HF_COMMITTED); /* after the decision */
    }
    fake_on_call(NULL, NULL);
    t_ok(hf_tm_close(n->tm, 0, NULL));
}

/* While its vote is under way: it may have prepared or not, and recovery rolls it back. */
static void a_server_that_dies_while_it_prepares(void **state)
{
    struct node *n = *state;
    hf_instance *postgres, *other;
    hf_tx *tx;

    fake_reset();
    node_open(n, fake_switch(0), NULL, "");
    fake_on_call(on_call, n);
    for (int i = 0; i < 3; i++) {
        hf_result result = HF_RESULT_INIT;
        int rc;

        dies_at = FAKE_PREPARE;
        dies_by = "kill";
        died = 0;
        t_ok(hf_instance_open(n->postgres, &postgres));
        t_ok(hf_instance_open(n->other, &other));
        t_ok(hf_tx_begin(n->tm, 0, &tx));
        t_ok(hf_tx_enlist(tx, postgres));
        t_ok(hf_tx_enlist(tx, other));
        assert_true(insert(postgres, 1));
        rc = hf_tx_commit(tx, &result); /* it answered in time, or it did not */
        assert_int_equal(died, 1);
        assert_true(rc == HF_OK || rc == HF_EROLLEDBACK);
        t_ok(hf_instance_close(postgres));
        t_ok(hf_instance_close(other));
        pg_serve("start");
        settle(n);
        assert_int_equal(rows(1), rc == HF_OK);
        pg_value("one", "DELETE FROM entry");
    }
    fake_on_call(NULL, NULL);
    t_ok(hf_tm_close(n->tm, 0, NULL));
}

/* -- the application dies between PostgreSQL and kv -------------------------------------------- */

/* One transaction over both; its code. */
static int commit_both(struct node *n, hf_instance *in[2], int value, hf_result *result)
{
    hf_tx *tx;
    int rc = hf_tx_begin(n->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    if (hf_tx_enlist(tx, in[0]) != HF_OK || hf_tx_enlist(tx, in[1]) != HF_OK ||
        !insert(in[0], value) ||
        hf_kv_put(hf_instance_rmid(in[1]), &value, sizeof(value), "x", 1) != HF_OK) {
        (void)hf_tx_rollback(tx, result);
        return HF_EROLLEDBACK;
    }
    return hf_tx_commit(tx, result);
}

static int kv_has(hf_instance *kv, int value)
{
    return hf_kv_get(hf_instance_rmid(kv), &value, sizeof(value), NULL, 0, NULL) == HF_OK;
}

#ifdef HF_FAULTS

static void an_application_that_is_killed_between_them(void **state)
{
    static const struct {
        const char *fault;
        int committed;
    } kills[] = {
        {"commit:ended=kill@2", 0},     {"commit:asked=kill", 0},
        {"commit:prepared=kill@1", 0},  {"commit:prepared=kill@2", 0},
        {"log:voted=kill", 0},          {"log:decided=kill", 1},
        {"commit:asked=kill@2", 1},     {"commit:committed=kill@1", 1},
        {"commit:committed=kill@2", 1},
    };
    struct node *n = *state;

    for (int i = 0; i < (int)(sizeof(kills) / sizeof(kills[0])); i++) {
        hf_instance *kv;
        int status;
        pid_t pid;

        print_message("%s\n", kills[i].fault);
        (void)fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            hf_instance *in[2];

            node_open_kv(n);
            t_ok(hf_instance_open(n->postgres, &in[0]));
            t_ok(hf_instance_open(n->other, &in[1]));
            (void)hf__fault_set(kills[i].fault);
            (void)commit_both(n, in, i, NULL);
            _exit(98);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        node_open_kv(n);
        settle(n);
        /* what the dead client had sent may have been carried out after the first pass */
        while (pg_number("one", "SELECT count(*) FROM pg_stat_activity WHERE "
                                "application_name = 'holdfast' AND backend_type = 'client backend'"
                                " AND state = 'active' AND pid <> pg_backend_pid()") > 0)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        settle(n);
        assert_int_equal(rows(i), kills[i].committed);
        t_ok(hf_instance_open(n->other, &kv));
        assert_int_equal(kv_has(kv, i), kills[i].committed);
        t_ok(hf_instance_close(kv));
        assert_int_equal(stats_of(n).alarms, 0);
        t_ok(hf_tm_close(n->tm, 0, NULL));
    }
}

#endif

/* -- kills under load -------------------------------------------------------------------------- */

enum { VALUES_MAX = 1 << 18 };
enum { ROLLED_BACK, COMMITTED, UNDER_WAY }; /* what the one who commits was told */

/* Shared with a child that commits. */
struct load {
    _Atomic int stop;
    _Atomic int committed;
    _Atomic int values;
    _Atomic int strange; /* a code that should not come */
    unsigned char told[VALUES_MAX];
};

struct loader {
    struct node *n;
    struct load *load;
};

static struct load *load_new(void)
{
    struct load *l =
        mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(l != MAP_FAILED);
    return l;
}

static void *run_load(void *arg)
{
    const struct loader *loader = arg;
    struct load *l = loader->load;
    hf_instance *in[2] = {NULL, NULL};

    if (hf_instance_open(loader->n->other, &in[1]) != HF_OK)
        return NULL;
    while (!atomic_load(&l->stop) && atomic_load(&l->values) < VALUES_MAX) {
        hf_result result = HF_RESULT_INIT;
        int rc, value;

        if (in[0] == NULL && hf_instance_open(loader->n->postgres, &in[0]) != HF_OK) {
            in[0] = NULL;
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
            continue;
        }
        value = atomic_load(&l->values);
        l->told[value] = UNDER_WAY;
        atomic_store(&l->values, value + 1);
        rc = commit_both(loader->n, in, value, &result);
        l->told[value] = rc == HF_OK ? COMMITTED : ROLLED_BACK;
        atomic_fetch_add(&l->committed, rc == HF_OK);
        if (rc != HF_OK && rc != HF_EROLLEDBACK)
            atomic_store(&l->strange, rc);
        if (hf_instance_broken(in[0])) {
            (void)hf_instance_close(in[0]);
            in[0] = NULL;
        }
    }
    (void)hf_instance_close(in[0]);
    (void)hf_instance_close(in[1]);
    return NULL;
}

/* What was told is so, and what nobody was told is in both or in neither. */
static void verify(struct node *n, const struct load *l)
{
    PGconn *conn = PQconnectdb(pg_info("one"));
    PGresult *result = PQexec(conn, "SELECT n, count(*) FROM entry GROUP BY n");
    unsigned char *there = calloc(VALUES_MAX, 1);
    hf_instance *kv;
    int bad = 0;

    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(result); i++) {
        there[atoi(PQgetvalue(result, i, 0))] = 1;
        bad += strcmp(PQgetvalue(result, i, 1), "1") != 0;
    }
    t_ok(hf_instance_open(n->other, &kv));
    for (int i = 0; i < l->values; i++)
        bad += (l->told[i] != UNDER_WAY && there[i] != l->told[i]) || kv_has(kv, i) != there[i];
    t_ok(hf_instance_close(kv));
    PQclear(result);
    PQfinish(conn);
    free(there);
    assert_int_equal(bad, 0);
}

static void finish_load(struct node *n, struct load *l, const char *what)
{
    settle(n);
    assert_int_equal(l->strange, 0);
    assert_int_equal(stats_of(n).alarms, 0);
    print_message("%s: %d transactions, %d committed\n", what, l->values, l->committed);
    verify(n, l);
    t_ok(hf_tm_close(n->tm, 0, NULL));
    (void)munmap(l, sizeof(*l));
}

static int all_kills; /* of the load; all tests have to be good */

static void kills_under_load(struct node *n, const char *by)
{
    struct loader loader = {.n = n, .load = load_new()};
    struct load *l = loader.load;
    pthread_t thread;

    node_open_kv(n);
    assert_int_equal(pthread_create(&thread, NULL, run_load, &loader), 0);
    for (int i = 0; i < KILLS; i++) {
        int before = atomic_load(&l->committed);

        for (int wait = 0; wait < 9000 && atomic_load(&l->committed) < before + 5 + i % 3; wait++)
            nanosleep(&(struct timespec){.tv_nsec = 5000000 + 100000 * i}, NULL);
        assert_true(atomic_load(&l->committed) > before); /* it serves again */
        pg_serve(by);
        pg_serve("start");
        t_ok(hf_tm_recover(n->tm, NULL)); /* while the load goes on */
    }
    atomic_store(&l->stop, 1);
    (void)pthread_join(thread, NULL);
    finish_load(n, l, by);
    all_kills += KILLS;
}

static void kills_of_the_server_under_load(void **state)
{
    kills_under_load(*state, "kill");
}

static void immediate_stops_of_the_server_under_load(void **state)
{
    kills_under_load(*state, "stop immediate");
}

static void kills_of_the_application_under_load(void **state)
{
    struct node *n = *state;
    struct loader loader = {.n = n, .load = load_new()};

    for (int i = 0; i < APPLICATION_KILLS; i++) {
        int before = atomic_load(&loader.load->values), status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            node_open_kv(n); /* and recovers what the one before has left */
            (void)run_load(&loader);
            _exit(98);
        }
        for (int wait = 0; wait < 60000 && atomic_load(&loader.load->values) < before + 3; wait++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 100000 * (i * 37 % 50)}, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_true(atomic_load(&loader.load->values) > before);
    }
    node_open_kv(n);
    finish_load(n, loader.load, "the application");
    all_kills += APPLICATION_KILLS;
}

static int setup(void **state)
{
    struct node *n = calloc(1, sizeof(*n));

    n->dir = t_dir_make();
    pg_value("one", "DROP TABLE IF EXISTS entry");
    pg_value("one", "CREATE TABLE entry (n int)");
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    struct node *n = *state;

    t_dir_remove(n->dir);
    free(n);
    return 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_server_that_dies_at_a_step),
        T(a_server_that_dies_while_it_prepares),
#ifdef HF_FAULTS
        T(an_application_that_is_killed_between_them),
#endif
        T(kills_of_the_application_under_load),
        T(kills_of_the_server_under_load),
        T(immediate_stops_of_the_server_under_load),
    };
    int failed = cmocka_run_group_tests_name("postgres.outage", tests, NULL, NULL);

    if (failed == 0)
        printf("rig: %d kills under load, 0 violations\n", all_kills);
    return failed;
}
