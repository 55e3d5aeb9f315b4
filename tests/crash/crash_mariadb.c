/*
 * What: a transaction over a MariaDB database and a kv store ends the same in both, whatever is
 *       killed, and whenever: the application, the server, or the application with its sessions
 *       hanging on at the server (invariants 1, 5, 6, 12, 13, 15).
 * How:  application: a child is killed at each failpoint of a commit; sometimes a process that it
 *       has forked stays behind, frozen, and keeps its connection open, so that the server keeps
 *       the session. Server: a switch between ours and the transaction manager kills the server
 *       before, during or after a call, or the session alone. Then the server is started, recovery
 *       runs, and both are compared; nothing may stay prepared.
 */
#include "support/mariadb_t.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "holdfast/internal/fault.h"
#include "holdfast/kv.h"

enum { PASSES_MAX = 3000, SETTLE_MS_MAX = 5000 };

struct node {
    char *dir;
    hf_tm *tm;
    hf_rm *sql, *kv;
    hf_instance *in_sql, *in_kv;
    char warned[1024];
};

static int all_kills; /* that were settled, by all tests */
static int number; /* of the row and key that a transaction writes */

/* Also of children, which cmocka does not know. */
static void must(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "crash_mariadb: %s: %s\n", what, hf_error_last()->text);
    _exit(99);
}

/* -- a node over both -------------------------------------------------------------------------- */

static void told(void *user, int level, const char *text)
{
    struct node *n = user;

    if (level != HF_LOG_INFO)
        (void)snprintf(n->warned, sizeof(n->warned), "%s", text);
}

static void node_open(struct node *n, const struct xa_switch_t *sql, const char *more)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_rm_config rm = HF_RM_CONFIG_INIT;
    char info[MAXINFOSIZE], path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/node", n->dir);
    config.dir = path;
    config.log = told;
    config.user = n;
    must(hf_tm_open(&config, &n->tm) == HF_OK, "open the node");
    rm.name = "sql";
    rm.xa = sql;
    rm.ext = &hf_mariadb_ext;
    rm.open_info = my_info("crash", more);
    must(hf_rm_register(n->tm, &rm, &n->sql) == HF_OK, "register sql");
    rm.name = "kv";
    rm.xa = &hf_kv_switch;
    rm.ext = &hf_kv_ext;
    rm.open_info = info;
    (void)snprintf(info, sizeof(info), "dir=%s/kv;wait_ms=2000", n->dir);
    must(hf_rm_register(n->tm, &rm, &n->kv) == HF_OK, "register kv");
    must(hf_tm_start(n->tm, 0) == HF_OK, "start");
}

static void node_instances(struct node *n)
{
    must(hf_instance_open(n->sql, &n->in_sql) == HF_OK, "open sql");
    must(hf_instance_open(n->kv, &n->in_kv) == HF_OK, "open kv");
}

static void node_close(struct node *n)
{
    assert_int_equal(hf_instance_close(n->in_sql), HF_OK);
    assert_int_equal(hf_instance_close(n->in_kv), HF_OK);
    t_ok(hf_tm_close(n->tm, 0, NULL));
    n->in_sql = n->in_kv = NULL;
    n->tm = NULL;
}

/* Begin, enlist both, and write to both. What fails is the server, as whoever killed it knows. */
static hf_tx *begin_and_work(struct node *n, int *ret_rc)
{
    hf_tx *tx = NULL;
    char text[64];
    MYSQL *conn;

    must(hf_tx_begin(n->tm, 0, &tx) == HF_OK, "begin");
    *ret_rc = hf_tx_enlist(tx, n->in_sql);
    if (*ret_rc != HF_OK)
        return tx;
    must(hf_tx_enlist(tx, n->in_kv) == HF_OK, "enlist kv");
    (void)snprintf(text, sizeof(text), "INSERT INTO t VALUES (%d)", number);
    conn = hf_mariadb_conn(hf_instance_rmid(n->in_sql));
    if (conn == NULL || mysql_query(conn, text) != 0)
        *ret_rc = HF_ERM;
    (void)snprintf(text, sizeof(text), "%d", number);
    must(hf_kv_put(hf_instance_rmid(n->in_kv), text, strlen(text), "1", 1) == HF_OK, "put");
    return tx;
}

static int in_sql(void)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM crash.t WHERE n = %d", number);
    return (int)my_number(sql);
}

static int in_kv(struct node *n)
{
    char key[32];
    int rc;

    (void)snprintf(key, sizeof(key), "%d", number);
    rc = hf_kv_get(hf_instance_rmid(n->in_kv), key, strlen(key), NULL, 0, NULL);
    assert_true(rc == HF_OK || rc == HF_ENOTFOUND);
    return rc == HF_OK;
}

static long prepared(void)
{
    MYSQL *conn = my_administrator();
    MYSQL_RES *res;
    long n;

    my_do(conn, "DO 1"); /* alive, or fails here */
    assert_int_equal(mysql_query(conn, "XA RECOVER"), 0);
    res = mysql_store_result(conn);
    assert_non_null(res);
    n = (long)mysql_num_rows(res);
    mysql_free_result(res);
    return n;
}

/* Recover until nothing is owed but what cannot be confirmed. */
static hf_tm_stats settle(struct node *n)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    long left = 0; /* asked once: what a dead one sent may be carried out at any time */

    for (int i = 0; i < PASSES_MAX; i++) {
        t_ok(hf_tm_recover(n->tm, NULL));
        t_ok(hf_tm_get_stats(n->tm, &stats));
        left = prepared();
        if (stats.owed == stats.unconfirmed && left == 0)
            break;
        my_sleep_ms(10);
    }
    assert_int_equal(left, 0);
    assert_int_equal(stats.owed, stats.unconfirmed);
    return stats;
}

/* -- the application is killed ----------------------------------------------------------------- */

#ifdef HF_FAULTS
/* Stay behind with all descriptors of the parent's: its connection does not close with it. */
static void leave_somebody_behind(int tell)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)signal(SIGTERM, SIG_DFL);
        for (;;)
            (void)pause();
    }
    must(pid > 0 && write(tell, &pid, sizeof(pid)) == sizeof(pid), "leave somebody behind");
}

static void victim(struct node *n, const char *fault, int stays, int tell, const char *more)
{
    hf_tx *tx;
    int rc;

    my_admin_conn = NULL; /* the parent's */
    node_open(n, &hf_mariadb_switch, more);
    node_instances(n);
    if (stays)
        leave_somebody_behind(tell);
    must(hf__fault_set(fault) == 0, fault);
    tx = begin_and_work(n, &rc);
    must(rc == HF_OK, "work");
    must(hf_tx_commit(tx, NULL) == HF_OK, "commit");
    (void)kill(getpid(), SIGKILL); /* a failpoint that comes after the answer, or never */
}

/* Run it to its death. Returns who stayed behind, 0 if nobody did. */
static pid_t run_victim(struct node *n, const char *fault, int stays, const char *more)
{
    pid_t pid, behind = 0;
    int fds[2], status = 0;

    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        victim(n, fault, stays, fds[1], more);
    (void)close(fds[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s: the child ended with status %x", fault, (unsigned)status);
    if (stays)
        assert_int_equal(read(fds[0], &behind, sizeof(behind)), sizeof(behind));
    (void)close(fds[0]);
    return behind;
}

static const char *const faults[] = {
    "enlist:started=kill@1",  "enlist:started=kill@2",   "commit:ended=kill@1",
    "commit:ended=kill@2",    "commit:asked=kill@1",     "commit:prepared=kill@1",
    "commit:prepared=kill@2", "log:voted=kill@1",        "log:decided=kill@1",
    "commit:asked=kill@2",    "commit:committed=kill@1", "commit:committed=kill@2",
    "commit:released=kill@1"};

static unsigned long long sessions_killed(void)
{
    return (unsigned long long)my_number(
        "SELECT variable_value FROM information_schema.global_status "
        "WHERE variable_name = 'com_kill'");
}

static void kill_at_each_point(struct node *n, int stays, const char *more, int *ret_both,
                               int *ret_none)
{
    *ret_both = *ret_none = 0;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct timespec began, now;
        hf_tm_stats stats;
        pid_t behind;

        number++;
        print_message("  %s%s\n", faults[i], stays ? ", and its session hangs on" : "");
        behind = run_victim(n, faults[i], stays, more);
        (void)clock_gettime(CLOCK_MONOTONIC, &began);
        node_open(n, &hf_mariadb_switch, more);
        node_instances(n);
        stats = settle(n);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        assert_in_range((now.tv_sec - began.tv_sec) * 1000, 0, SETTLE_MS_MAX);
        assert_int_equal(in_sql(), in_kv(n));
        *(in_kv(n) ? ret_both : ret_none) += 1;
        all_kills++;
        if (strstr(more, "marker") != NULL)
            assert_int_equal(stats.unconfirmed, 0);
        assert_int_equal(stats.alarms, 0);
        node_close(n);
        if (behind > 0)
            assert_int_equal(kill(behind, SIGKILL), 0);
    }
}

static void application__killed_anywhere_is_settled_and_proved(void **state)
{
    int both, none;

    kill_at_each_point(*state, 0, "proof=marker", &both, &none);
    assert_true(both >= 4);
    assert_true(none >= 6);
}

/* The server says XAER_NOTA of what the dead one had prepared, until recovery ends its session. */
static void application__killed_with_a_session_that_hangs_on_is_settled(void **state)
{
    unsigned long long killed = sessions_killed();
    int both, none;

    kill_at_each_point(*state, 1, "proof=marker", &both, &none);
    assert_true(both >= 4);
    assert_true(none >= 6);
    assert_true(sessions_killed() - killed >= 3); /* at least where it was prepared */
}

/* Without a marker a lost answer leaves a commit that nothing can confirm, and nothing worse. */
static void application__killed_without_a_marker_is_unconfirmed_at_worst(void **state)
{
    struct node *n = *state;
    hf_tm_stats stats;

    number++;
    (void)run_victim(n, "commit:committed=kill@1", 0, "");
    node_open(n, &hf_mariadb_switch, "");
    node_instances(n);
    stats = settle(n);
    assert_in_range(stats.unconfirmed, 0, 1);
    assert_int_equal(in_sql(), 1);
    assert_int_equal(in_kv(n), 1);
    all_kills++;
    node_close(n);
}
#endif

/* -- the application is frozen ----------------------------------------------------------------- */

static struct xa_switch_t frozen_spy;
static struct node *frozen_node;
static int freeze_at_commit; /* before the first commit; else before the second vote */
static int votes, commits;

/*
 * Frozen, and no longer held for alive: closing any descriptor of a file takes all of a process's
 * locks on it away, so that others find the incarnation's lock free, and fence it.
 */
static void freeze(void)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/node/incarnations", frozen_node->dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0 && close(fd) == 0, "let go of the lock");
    must(raise(SIGSTOP) == 0, "stop");
}

static int frozen_prepare(XID *xid, int rmid, long flags)
{
    if (++votes == 2 && !freeze_at_commit)
        freeze();
    return hf_mariadb_switch.xa_prepare_entry(xid, rmid, flags);
}

static int frozen_commit(XID *xid, int rmid, long flags)
{
    if (++commits == 1 && freeze_at_commit)
        freeze();
    return hf_mariadb_switch.xa_commit_entry(xid, rmid, flags);
}

static void two_databases(struct node *n, const struct xa_switch_t *xa)
{
    static const char *const databases[] = {"crash", "crash_b"};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/node", n->dir);
    config.dir = path;
    config.log = told;
    config.user = n;
    must(hf_tm_open(&config, &n->tm) == HF_OK, "open the node");
    for (int i = 0; i < 2; i++) {
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        rm.name = databases[i];
        rm.xa = xa;
        rm.ext = &hf_mariadb_ext;
        rm.open_info = my_info(databases[i], "proof=marker");
        must(hf_rm_register(n->tm, &rm, i == 0 ? &n->sql : &n->kv) == HF_OK, "register");
    }
    must(hf_tm_start(n->tm, 0) == HF_OK, "start");
    node_instances(n);
}

/* Thaws in the end, and goes on as if nothing had been. */
static void frozen(struct node *n)
{
    char sql[64];
    hf_tx *tx;

    my_admin_conn = NULL; /* the parent's */
    frozen_node = n;
    frozen_spy = hf_mariadb_switch;
    frozen_spy.xa_prepare_entry = frozen_prepare;
    frozen_spy.xa_commit_entry = frozen_commit;
    two_databases(n, &frozen_spy);
    must(hf_tx_begin(n->tm, 0, &tx) == HF_OK, "begin");
    must(hf_tx_enlist(tx, n->in_sql) == HF_OK && hf_tx_enlist(tx, n->in_kv) == HF_OK, "enlist");
    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", number);
    must(mysql_query(hf_mariadb_conn(hf_instance_rmid(n->in_sql)), sql) == 0, "insert");
    must(mysql_query(hf_mariadb_conn(hf_instance_rmid(n->in_kv)), sql) == 0, "insert");
    _exit(hf_tx_commit(tx, NULL) == HF_OK ? 1 : 2);
}

static int in_b(void)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM crash_b.t WHERE n = %d", number);
    return (int)my_number(sql);
}

static void application__frozen_and_fenced_is_settled_before_it_thaws(void **state)
{
    struct node *n = *state;

    my_database("crash_b");
    for (freeze_at_commit = 0; freeze_at_commit < 2; freeze_at_commit++) {
        struct timespec began, now;
        int status = 0;
        pid_t pid;

        number++;
        fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            frozen(n);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        if (!WIFSTOPPED(status))
            fail_msg("it did not freeze, status %x", (unsigned)status);
        (void)clock_gettime(CLOCK_MONOTONIC, &began);
        two_databases(n, &hf_mariadb_switch);
        assert_int_equal(settle(n).unconfirmed, 0);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        assert_in_range((now.tv_sec - began.tv_sec) * 1000, 0, SETTLE_MS_MAX);
        assert_int_equal(in_sql(), freeze_at_commit);
        assert_int_equal(in_b(), freeze_at_commit);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        /* Whatever it believes, it was too late to change anything. */
        assert_int_equal(WEXITSTATUS(status), freeze_at_commit ? 1 : 2);
        assert_int_equal(settle(n).unconfirmed, 0);
        assert_int_equal(in_sql(), freeze_at_commit);
        assert_int_equal(in_b(), freeze_at_commit);
        node_close(n);
    }
}

/* -- killed under load ------------------------------------------------------------------------- */

enum { LOAD_THREADS = 4, LOAD_KILLS = 10, LOAD_MS_MAX = 300, LOAD_FIRST = 1000000 };

static hf_rm *load_rm[2];
static hf_tm *load_tm;
static int load_tell;
static _Atomic int load_next;

/* Transactions over both databases, each told once it is acknowledged, until the process dies. */
static void *load(void *arg)
{
    hf_instance *in[2];

    for (int i = 0; i < 2; i++)
        must(hf_instance_open(load_rm[i], &in[i]) == HF_OK, "open");
    for (;;) {
        int n = atomic_fetch_add(&load_next, 1);
        char sql[64];
        hf_tx *tx;

        (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", n);
        must(hf_tx_begin(load_tm, 0, &tx) == HF_OK, "begin");
        for (int i = 0; i < 2; i++) {
            must(hf_tx_enlist(tx, in[i]) == HF_OK, "enlist");
            must(mysql_query(hf_mariadb_conn(hf_instance_rmid(in[i])), sql) == 0, "insert");
        }
        must(hf_tx_commit(tx, NULL) == HF_OK, "commit");
        must(write(load_tell, &n, sizeof(n)) == sizeof(n), "tell");
    }
    return arg;
}

static void load_until_killed(struct node *n)
{
    pthread_t thread;

    my_admin_conn = NULL; /* the parent's */
    two_databases(n, &hf_mariadb_switch);
    load_tm = n->tm;
    load_rm[0] = n->sql;
    load_rm[1] = n->kv;
    for (int i = 0; i < LOAD_THREADS; i++)
        must(pthread_create(&thread, NULL, load, NULL) == 0, "thread");
    for (;;)
        (void)pause();
}

/* Kill it at a random moment. Returns how many were acknowledged, all of which have to be there. */
static int load_and_kill(struct node *n, unsigned *seed)
{
    int fds[2], number_acked, acked = 0;
    static int list[1 << 16];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        load_tell = fds[1];
        load_until_killed(n);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &list[acked++], sizeof(int)), sizeof(int)); /* it works */
    my_sleep_ms(rand_r(seed) % LOAD_MS_MAX);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (acked < 1 << 16 && read(fds[0], &number_acked, sizeof(int)) == sizeof(int))
        list[acked++] = number_acked;
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    two_databases(n, &hf_mariadb_switch);
    assert_int_equal(settle(n).unconfirmed, 0);
    for (int i = 0; i < acked; i++) {
        number = list[i];
        assert_int_equal(in_sql(), 1);
        assert_int_equal(in_b(), 1);
    }
    all_kills++;
    node_close(n);
    return acked;
}

static void application__killed_under_load_loses_nothing(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    int before = number, acked = 0;

    my_database("crash_b");
    print_message("  seed %u\n", seed);
    atomic_store(&load_next, LOAD_FIRST);
    for (int i = 0; i < LOAD_KILLS; i++) {
        acked += load_and_kill(*state, &seed);
        assert_int_equal(my_number("SELECT COUNT(*) FROM (SELECT n FROM crash.t WHERE n >= 1000000 "
                                   "EXCEPT SELECT n FROM crash_b.t) AS alone"),
                         0);
        assert_int_equal(my_number("SELECT COUNT(*) FROM (SELECT n FROM crash_b.t WHERE n >= "
                                   "1000000 EXCEPT SELECT n FROM crash.t) AS alone"),
                         0);
        atomic_store(&load_next, LOAD_FIRST * (i + 2)); /* the child's own was lost with it */
    }
    print_message("  %d acknowledged, %d kills\n", acked, LOAD_KILLS);
    number = before;
}

/* -- the server is killed ---------------------------------------------------------------------- */

enum when { NEVER, BEFORE, AFTER };
enum where { AT_START, AT_END, AT_PREPARE, AT_COMMIT, AT_ROLLBACK, WHERES };
static const char *const where_names[WHERES] = {"xa_start", "xa_end", "xa_prepare", "xa_commit",
                                                "xa_rollback"};

/* What is done at the next call of the kind; once. */
static struct {
    enum when when;
    enum where where;
} plan;

static void strike(enum when when, enum where where)
{
    if (plan.when != when || plan.where != where)
        return;
    plan.when = NEVER;
    my_server("kill");
}

#define SPY(name, where)                                                                           \
    static int spy_##name(XID *xid, int rmid, long flags)                                          \
    {                                                                                              \
        int rc;                                                                                    \
                                                                                                   \
        strike(BEFORE, where);                                                                     \
        rc = hf_mariadb_switch.xa_##name##_entry(xid, rmid, flags);                                \
        strike(AFTER, where); /* of a call with TMASYNC: while it is under way */                  \
        return rc;                                                                                 \
    }
SPY(start, AT_START)
SPY(end, AT_END)
SPY(prepare, AT_PREPARE)
SPY(commit, AT_COMMIT)
SPY(rollback, AT_ROLLBACK)

static struct xa_switch_t spy;

static void server__killed_around_each_call_is_settled(void **state)
{
    struct node *n = *state;
    int both = 0, none = 0;

    spy = hf_mariadb_switch;
    spy.xa_start_entry = spy_start;
    spy.xa_end_entry = spy_end;
    spy.xa_prepare_entry = spy_prepare;
    spy.xa_commit_entry = spy_commit;
    spy.xa_rollback_entry = spy_rollback;
    node_open(n, &spy, "proof=marker");
    for (int i = 0; i < 2 * WHERES; i++) {
        hf_result result = HF_RESULT_INIT;
        hf_tx *tx;
        int rc;

        number++;
        print_message("  killed %s %s\n", i % 2 == 0 ? "before" : "after", where_names[i / 2]);
        node_instances(n);
        plan.when = i % 2 == 0 ? BEFORE : AFTER;
        plan.where = (enum where)(i / 2);
        tx = begin_and_work(n, &rc);
        if (rc != HF_OK || plan.where == AT_ROLLBACK)
            rc = hf_tx_rollback(tx, &result);
        else
            rc = hf_tx_commit(tx, &result);
        assert_true(rc == HF_OK || rc == HF_EROLLEDBACK);
        assert_int_equal(plan.when, NEVER);
        assert_true(hf_instance_broken(n->in_sql) ||
                    hf_mariadb_validate(hf_instance_rmid(n->in_sql)) == HF_ERM);
        my_server("start");
        t_ok(hf_instance_close(n->in_sql));
        t_ok(hf_instance_open(n->sql, &n->in_sql)); /* no restart of the application */
        assert_int_equal(settle(n).unconfirmed, 0);
        assert_int_equal(in_sql(), in_kv(n));
        assert_int_equal(in_sql(), result.outcome == HF_COMMITTED);
        *(in_sql() ? &both : &none) += 1;
        all_kills++;
        t_ok(hf_instance_close(n->in_sql));
        t_ok(hf_instance_close(n->in_kv));
    }
    assert_true(both >= 2);
    assert_true(none >= 5);
    t_ok(hf_tm_close(n->tm, 0, NULL));
    n->tm = NULL;
}

/* -- both, and what a node over it does -------------------------------------------------------- */

static void node__commits_everywhere_and_rolls_back_everywhere(void **state)
{
    struct node *n = *state;
    hf_tx *tx;
    int rc;

    node_open(n, &hf_mariadb_switch, "");
    node_instances(n);
    for (int commit = 0; commit < 2; commit++) {
        number++;
        tx = begin_and_work(n, &rc);
        t_ok(rc);
        t_ok(commit ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
        assert_int_equal(in_sql(), commit);
        assert_int_equal(in_kv(n), commit);
    }
    assert_string_equal(n->warned, "");
    node_close(n);
}

/* Two databases of one server, in one transaction: each scan lists the branches of both. */
static void node__takes_two_databases_of_one_server(void **state)
{
    hf_rm_config rm = HF_RM_CONFIG_INIT;
    struct node *n = *state;
    hf_instance *other;
    hf_rm *rm_other;
    hf_tx *tx;
    int rc;

    my_database("crash_b");
    my_admin("DELETE FROM crash_b.t");
    node_open(n, &hf_mariadb_switch, "");
    rm.name = "sql_b";
    rm.xa = &hf_mariadb_switch;
    rm.ext = &hf_mariadb_ext;
    rm.open_info = my_info("crash_b", "");
    t_ok(hf_rm_register(n->tm, &rm, &rm_other));
    node_instances(n);
    t_ok(hf_instance_open(rm_other, &other));
    number++;
    tx = begin_and_work(n, &rc);
    t_ok(rc);
    t_ok(hf_tx_enlist(tx, other));
    my_user(hf_instance_rmid(other), "INSERT INTO t VALUES (%d)", number);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(in_sql(), 1);
    assert_int_equal(my_number("SELECT COUNT(*) FROM crash_b.t"), 1);
    t_ok(hf_instance_close(other));
    node_close(n);
}

/* Tick until the connection's answer is here. A cancel before the server has begun is lost. */
static void tick_until_answered(struct node *n, MYSQL *conn)
{
    struct pollfd socket = {.fd = mysql_get_socket(conn), .events = POLLIN};

    while (poll(&socket, 1, 10) == 0)
        t_ok(hf_tm_tick(n->tm, NULL));
}

/* What no statement says in time is killed, and its session goes on. The deadline is far enough off
   for it to be enlisted before. */
static void node__cancels_what_runs_when_the_time_is_over(void **state)
{
    struct node *n = *state;
    struct timespec began, now;
    hf_tx *tx = NULL;
    MYSQL *conn;
    int rmid;

    node_open(n, &hf_mariadb_switch, "");
    node_instances(n);
    rmid = hf_instance_rmid(n->in_sql);
    t_ok(hf_tx_begin(n->tm, 2000, &tx));
    t_ok(hf_tx_enlist(tx, n->in_sql));
    conn = hf_mariadb_conn(rmid);
    (void)clock_gettime(CLOCK_MONOTONIC, &began);
    assert_int_equal(mysql_send_query(conn, "SELECT SLEEP(600)", 17), 0);
    tick_until_answered(n, conn);
    if (mysql_read_query_result(conn) == 0) { /* SLEEP() answers 1 when it is interrupted */
        MYSQL_RES *res = mysql_store_result(conn);

        mysql_free_result(res);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    assert_in_range(now.tv_sec - began.tv_sec, 0, 120);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    assert_int_equal(hf_instance_broken(n->in_sql), 0);
    t_ok(hf_mariadb_validate(rmid));
    node_close(n);
}

/* Branches of others in the scan: another transaction manager's, and another node's. */
static void node__leaves_the_branches_of_others_alone(void **state)
{
    static const char *const others[] = {
        "'theirs'", "X'0102',X'03',131077",
        "X'00000000000000000000000000000000000000010000000000000001',"
        "X'0000000100000001',1212568664"};
    struct node *n = *state;
    MYSQL *conn[3];
    char sql[256];

    for (int i = 0; i < 3; i++) {
        conn[i] = my_connect();
        my_do(conn[i], "USE crash");
        (void)snprintf(sql, sizeof(sql), "XA START %s", others[i]);
        my_do(conn[i], sql);
        (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", ++number);
        my_do(conn[i], sql);
        (void)snprintf(sql, sizeof(sql), "XA END %s", others[i]);
        my_do(conn[i], sql);
        (void)snprintf(sql, sizeof(sql), "XA PREPARE %s", others[i]);
        my_do(conn[i], sql);
    }
    node_open(n, &hf_mariadb_switch, "proof=marker");
    node_instances(n);
    t_ok(hf_tm_recover(n->tm, NULL));
    t_ok(hf_tm_recover(n->tm, NULL));
    assert_int_equal(prepared(), 3);
    for (int i = 0; i < 3; i++) { /* and their sessions are alive */
        (void)snprintf(sql, sizeof(sql), "XA ROLLBACK %s", others[i]);
        my_do(conn[i], sql);
        mysql_close(conn[i]);
    }
    node_close(n);
}

/* The same name for another database: nothing is concluded from it. */
static void node__notices_another_database_under_the_name(void **state)
{
    struct node *n = *state;
    hf_instance *in = NULL;

    node_open(n, &hf_mariadb_switch, "");
    node_instances(n);
    my_admin("UPDATE crash.holdfast_identity SET id = REVERSE(id)");
    t_rc(HF_EIDENTITY, hf_instance_open(n->sql, &in));
    t_ok(hf_tm_recover(n->tm, NULL));
    assert_non_null(strstr(n->warned, "reaches another store"));
    my_admin("UPDATE crash.holdfast_identity SET id = REVERSE(id)");
    node_close(n);
}

static int setup(void **state)
{
    struct node *n = calloc(1, sizeof(*n));

    assert_non_null(n);
    n->dir = t_dir_make();
    my_database("crash");
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

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(node__commits_everywhere_and_rolls_back_everywhere),
        T(node__takes_two_databases_of_one_server),
        T(node__cancels_what_runs_when_the_time_is_over),
        T(node__leaves_the_branches_of_others_alone),
        T(node__notices_another_database_under_the_name),
#ifdef HF_FAULTS
        T(application__killed_anywhere_is_settled_and_proved),
        T(application__killed_with_a_session_that_hangs_on_is_settled),
        T(application__killed_without_a_marker_is_unconfirmed_at_worst),
#endif
        T(application__killed_under_load_loses_nothing),
        T(application__frozen_and_fenced_is_settled_before_it_thaws),
        T(server__killed_around_each_call_is_settled),
    };
    int failed = cmocka_run_group_tests_name("crash.mariadb", tests, NULL, NULL);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    if (failed == 0)
        printf("rig: %d kills, 0 violations\n", all_kills);
    return failed;
}
