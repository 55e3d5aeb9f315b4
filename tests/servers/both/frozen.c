/*
 * What: an application that is frozen (SIGSTOP), not closed, between prepare and commit, and whose
 *       lock another opening takes over by fencing: its transaction is settled within five seconds
 *       of the next pass, the same in both stores, and no innocent session is ended (invariants 3,
 *       5, 13, 15). What it does when it is woken changes nothing. A frozen one that still holds
 *       its lock is left alone.
 * How:  a child whose switches stop it at one of four points of a commit over two PostgreSQL
 *       databases, or over PostgreSQL and MariaDB; beside it sessions of others, idle, in a
 *       transaction, at work, and with a prepared branch. A session that is frozen is open at the
 *       server, so that MariaDB keeps the branch to it until it is ended.
 */
#include "both_t.h"

#include <fcntl.h>

/* -- where it freezes -------------------------------------------------------------------------- */

enum point { ONE_VOTE, ALL_VOTES, DECIDED, ONE_COMMIT, POINTS };
static const char *const point_names[POINTS] = {"before the second vote", "before the decision",
                                                "before the first commit",
                                                "before the second commit"};

static pid_t frozen_pid; /* 0: none */

static struct {
    struct node *node;
    enum point at;
    int keeps_its_lock;
    int prepares, votes, commits;
} frozen;

/*
 * Frozen, and no longer held for alive: closing any descriptor of a file takes all of a process's
 * locks on it away, so that others find the incarnation's lock free, and fence it.
 */
static void freeze(void)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/node/incarnations", frozen.node->dir);
    if (!frozen.keeps_its_lock) {
        fd = open(path, O_RDWR | O_CLOEXEC);
        must(fd >= 0 && close(fd) == 0, "let go of the lock");
    }
    must(raise(SIGSTOP) == 0, "stop");
}

static void freeze_at(enum point point, int now)
{
    if (now && frozen.at == point)
        freeze();
}

static void before_prepare(void)
{
    frozen.prepares++;
    freeze_at(ONE_VOTE, frozen.prepares == STORES);
}

static void after_vote(void)
{
    frozen.votes++;
    freeze_at(ALL_VOTES, frozen.votes == STORES && frozen.commits == 0);
}

static void before_commit(void)
{
    frozen.commits++;
    freeze_at(frozen.commits == 1 ? DECIDED : ONE_COMMIT, frozen.commits <= STORES);
}

#define SPY(which, real)                                                                           \
    static int which##_prepare(XID *xid, int rmid, long flags)                                     \
    {                                                                                              \
        int rc;                                                                                    \
                                                                                                   \
        before_prepare();                                                                          \
        rc = (real).xa_prepare_entry(xid, rmid, flags);                                            \
        if ((flags & TMASYNC) == 0)                                                                \
            after_vote();                                                                          \
        return rc;                                                                                 \
    }                                                                                              \
    static int which##_complete(int *handle, int *ret, int rmid, long flags)                       \
    {                                                                                              \
        int rc = (real).xa_complete_entry(handle, ret, rmid, flags);                               \
                                                                                                   \
        if (rc == XA_OK)                                                                           \
            after_vote();                                                                          \
        return rc;                                                                                 \
    }                                                                                              \
    static int which##_commit(XID *xid, int rmid, long flags)                                      \
    {                                                                                              \
        before_commit();                                                                           \
        return (real).xa_commit_entry(xid, rmid, flags);                                           \
    }                                                                                              \
    static const struct xa_switch_t *which##_spy(void)                                             \
    {                                                                                              \
        static struct xa_switch_t spy;                                                             \
                                                                                                   \
        spy = (real);                                                                              \
        spy.xa_prepare_entry = which##_prepare;                                                    \
        spy.xa_complete_entry = which##_complete;                                                  \
        spy.xa_commit_entry = which##_commit;                                                      \
        return &spy;                                                                               \
    }
SPY(postgres, hf_postgres_switch)
SPY(mariadb, hf_mariadb_switch)

/* The child: freezes, and goes on as if nothing had been when it is woken. */
static void commit_and_freeze(struct node *n, const struct store *const stores[STORES], int number)
{
    const struct xa_switch_t *spies[STORES];

    my_admin_conn = NULL; /* the parent's */
    frozen.node = n;
    for (int i = 0; i < STORES; i++)
        spies[i] = stores[i]->is_pg ? postgres_spy() : mariadb_spy();
    node_open(n, stores, spies);
    _exit(hf_tx_commit(node_begin(n, stores, number), NULL) == HF_OK ? 1 : 2);
}

static void start_frozen(struct node *n, const struct store *const stores[STORES], enum point at,
                         int keeps_its_lock, int number)
{
    int status = 0;
    pid_t pid;

    memset(&frozen, 0, sizeof(frozen));
    frozen.at = at;
    frozen.keeps_its_lock = keeps_its_lock;
    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        commit_and_freeze(n, stores, number);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (!WIFSTOPPED(status))
        fail_msg("it did not freeze, status %x", (unsigned)status);
    frozen_pid = pid;
}

/* Its exit status: 1 if it believes to have committed. */
static int wake(void)
{
    int status = 0;

    assert_int_equal(kill(frozen_pid, SIGCONT), 0);
    assert_int_equal(waitpid(frozen_pid, &status, 0), frozen_pid);
    frozen_pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* -- sessions of others ------------------------------------------------------------------------ */

enum { IDLE, IN_TRANSACTION, AT_WORK, SESSIONS, PREPARED = SESSIONS };
#define AT_WORK_MY "DO SLEEP(3600)"

struct innocents {
    PGconn *pg_session[SESSIONS];
    MYSQL *my_session[SESSIONS + 1];
};

static void innocents_begin(struct innocents *all)
{
    for (int i = 0; i < SESSIONS; i++) {
        all->pg_session[i] = PQconnectdb(pg_info("one"));
        assert_int_equal(PQstatus(all->pg_session[i]), CONNECTION_OK);
    }
    for (int i = 0; i <= SESSIONS; i++) {
        all->my_session[i] = my_connect();
        my_do(all->my_session[i], "USE both_a");
    }
    PQclear(PQexec(all->pg_session[IN_TRANSACTION], "BEGIN; INSERT INTO t VALUES (-1)"));
    assert_int_equal(PQsendQuery(all->pg_session[AT_WORK], "SELECT pg_sleep(3600)"), 1);
    my_do(all->my_session[IN_TRANSACTION], "BEGIN");
    my_do(all->my_session[IN_TRANSACTION], "INSERT INTO t VALUES (-1)");
    assert_int_equal(mysql_send_query(all->my_session[AT_WORK], AT_WORK_MY, strlen(AT_WORK_MY)), 0);
    my_do(all->my_session[PREPARED], "XA START 'theirs'");
    my_do(all->my_session[PREPARED], "INSERT INTO t VALUES (-2)");
    my_do(all->my_session[PREPARED], "XA END 'theirs'");
    my_do(all->my_session[PREPARED], "XA PREPARE 'theirs'");
}

/* Each is there, and what it was at can be done to its end. */
static void innocents_end(struct innocents *all)
{
    char sql[128];

    PQclear(PQexec(all->pg_session[IN_TRANSACTION], "COMMIT"));
    assert_int_equal(store_has(&one_pg, -1), 1);
    assert_int_equal(PQconsumeInput(all->pg_session[AT_WORK]), 1);
    assert_int_equal(PQisBusy(all->pg_session[AT_WORK]), 1);
    my_do(all->my_session[IN_TRANSACTION], "COMMIT");
    my_do(all->my_session[IDLE], "DO 1");
    my_do(all->my_session[PREPARED], "XA COMMIT 'theirs'");
    assert_int_equal(store_has(&my_a, -1) + store_has(&my_a, -2), 2);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %lu AND "
                   "info = '" AT_WORK_MY "'",
                   mysql_thread_id(all->my_session[AT_WORK]));
    assert_int_equal(my_number(sql), 1);
    my_admin("KILL %lu", mysql_thread_id(all->my_session[AT_WORK]));
    for (int i = 0; i < SESSIONS; i++) {
        assert_int_equal(PQstatus(all->pg_session[i]), CONNECTION_OK);
        if (i == AT_WORK) {
            char error[256];
            PGcancel *cancel = PQgetCancel(all->pg_session[i]);

            assert_int_equal(PQcancel(cancel, error, sizeof(error)), 1);
            PQfreeCancel(cancel);
        }
        PQclear(PQexec(all->pg_session[i], "SELECT 1"));
        assert_int_equal(PQstatus(all->pg_session[i]), CONNECTION_OK);
        PQfinish(all->pg_session[i]);
    }
    for (int i = 0; i <= SESSIONS; i++)
        mysql_close(all->my_session[i]);
}

/* -- the facts --------------------------------------------------------------------------------- */

static long ms_since(const struct timespec *began)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - began->tv_sec) * 1000 + (now.tv_nsec - began->tv_nsec) / 1000000;
}

static void is_settled_before_it_wakes(struct node *n, const struct store *const stores[STORES])
{
    for (int at = 0; at < POINTS; at++) {
        int committed = at >= DECIDED, number = 100 + at;
        struct innocents others;
        struct timespec began;
        long took_ms;

        innocents_begin(&others);
        start_frozen(n, stores, (enum point)at, 0, number);
        (void)clock_gettime(CLOCK_MONOTONIC, &began);
        node_open(n, stores, NULL);
        node_settle_but(n, 1);
        took_ms = ms_since(&began);
        print_message("  %s and %s, %s: settled in %ld ms\n", stores[0]->database,
                      stores[1]->database, point_names[at], took_ms);
        assert_in_range(took_ms, 0, SETTLE_MS_MAX);
        for (int i = 0; i < STORES; i++)
            assert_int_equal(store_has(stores[i], number), committed);
        innocents_end(&others);
        /* Whatever it believes, it was too late to change anything. */
        assert_int_equal(wake(), committed ? 1 : 2);
        node_settle(n);
        for (int i = 0; i < STORES; i++)
            assert_int_equal(store_has(stores[i], number), committed);
        pg_value("one", "DELETE FROM t WHERE n < 0");
        my_admin("DELETE FROM both_a.t WHERE n < 0");
        assert_int_equal(node_stats(n).unconfirmed, 0);
        assert_int_equal(node_stats(n).alarms, 0);
        node_close(n);
    }
}

static void two_postgresql_databases_are_settled(void **state)
{
    const struct store *const stores[STORES] = {&one_pg, &two_pg};

    is_settled_before_it_wakes(*state, stores);
}

static void postgresql_and_mariadb_are_settled(void **state)
{
    const struct store *const stores[STORES] = {&one_pg, &my_a};

    is_settled_before_it_wakes(*state, stores);
}

/* Stopped, but its lock is held: another opening of the node leaves its branches alone. */
static void one_that_holds_its_lock_is_left_alone(void **state)
{
    const struct store *const stores[STORES] = {&one_pg, &my_a};
    struct node *n = *state;

    for (int at = ALL_VOTES; at <= DECIDED; at++) {
        start_frozen(n, stores, (enum point)at, 1, at);
        node_open(n, stores, NULL);
        for (int pass = 0; pass < 3; pass++)
            t_ok(hf_tm_recover(n->tm, NULL));
        assert_int_equal(prepared_everywhere(), STORES);
        assert_int_equal(wake(), 1); /* committed, by itself */
        for (int i = 0; i < STORES; i++)
            assert_int_equal(store_has(stores[i], at), 1);
        node_settle(n);
        assert_int_equal(node_stats(n).recovered_committed, 0);
        node_close(n);
    }
}

/* -- what an operator reads of it -------------------------------------------------------------- */

/* txctl's answer, static. */
static const char *txctl(const char *arguments)
{
    static char text[16384];
    char command[PATH_MAX + 256];
    size_t size;
    FILE *f;

    (void)snprintf(command, sizeof(command), "'%s' %s 2>&1", TXCTL, arguments);
    f = popen(command, "r");
    assert_non_null(f);
    size = fread(text, 1, sizeof(text) - 1, f);
    text[size] = '\0';
    if (pclose(f) != 0)
        fail_msg("%s: %s", command, text);
    return text;
}

/*
 * The half-open one: MariaDB keeps the branch to the frozen session, and says XAER_NOTA of it to
 * everybody else. Recovery asks, finds it prepared, ends that session, and commits.
 */
static void the_history_tells_how_it_was_settled(void **state)
{
    const struct store *const stores[STORES] = {&one_pg, &my_a};
    struct node *n = *state;
    static const char *const wanted[] = {
        "outcome       committed", "finished by   recovery", "xa_commit  XAER_NOTA (-4)",
        "probe      prepared (1)", "detach     gone (0)",    "xa_commit  XA_OK (0)",
    };
    char arguments[PATH_MAX + 128], xid[64] = "";
    const char *text;

    start_frozen(n, stores, DECIDED, 0, 1);
    node_open(n, stores, NULL);
    node_settle(n);
    (void)wake();
    node_close(n);
    (void)snprintf(arguments, sizeof(arguments), "tx list --history --node '%s/node'", n->dir);
    text = strchr(txctl(arguments), '\n');
    assert_non_null(text);
    assert_int_equal(sscanf(text, "%63s", xid), 1);
    (void)snprintf(arguments, sizeof(arguments), "tx why %s --node '%s/node'", xid, n->dir);
    text = txctl(arguments);
    print_message("$ txctl tx why %s\n%s", xid, text);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        text = strstr(text, wanted[i]); /* and in this order */
        if (text == NULL)
            fail_msg("there is no '%s', or it is not where it should be", wanted[i]);
    }
}

/* A test that failed may have left it: it would never end. */
static int end(void **state)
{
    if (frozen_pid != 0 && kill(frozen_pid, SIGKILL) == 0)
        (void)waitpid(frozen_pid, NULL, 0);
    frozen_pid = 0;
    return teardown(state);
}

int main(int argc, char **argv)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, end)
    const struct CMUnitTest tests[] = {
        T(two_postgresql_databases_are_settled),
        T(postgresql_and_mariadb_are_settled),
        T(one_that_holds_its_lock_is_left_alone),
#ifdef TXCTL
        T(the_history_tells_how_it_was_settled),
#endif
    };
    const struct CMUnitTest planted[] = {T(postgresql_and_mariadb_are_settled)};
    int failed;

    failed = plant(argc, argv) ? cmocka_run_group_tests_name("both.frozen", planted, NULL, NULL)
                               : cmocka_run_group_tests_name("both.frozen", tests, NULL, NULL);
    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
