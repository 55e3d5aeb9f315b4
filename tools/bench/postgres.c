/*
 * tools/bench/postgres.c - two PostgreSQL servers: ours, and what a user would write without us.
 *
 * A transaction is one INSERT on each of two servers. The sides:
 *   holdfast   the helper: BEGIN comes with the INSERT; votes side by side, a decision that is
 *              forced to the log, commits side by side
 *   native     the same with the native connection: BEGIN is a message of its own
 *   by-hand    BEGIN, INSERT, PREPARE TRANSACTION, COMMIT PREPARED, a message each, one server
 *              after the other in each step, and no decision log: a crash between the two COMMIT
 *              PREPARED leaves a half
 *   unsafe     BEGIN, INSERT, COMMIT on one server, then on the other
 *
 * Frozen: by-hand and unsafe are not tuned, for better or for worse.
 *
 * Without --server two servers are made by tools/servers/postgres.sh in the scratch directory's
 * parent, and go when the bench ends, however it ends. A user's own are given by two connection
 * strings; a table hf_bench is made there, and dropped again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "bench.h"
#include "holdfast/postgres.h"
#include "holdfast/transaction.h"

enum { SERVERS = 2, CLOSE_WAIT_MS = 5000, SIDES = 3 };

static const char insert[] = "INSERT INTO hf_bench VALUES (1)";

struct postgres {
    char info[SERVERS][256];
    pid_t child;  /* the servers' parent; 0: they are the user's */
    int child_in; /* it goes when this is closed */
    hf_tm *tm;
    hf_rm *rms[SERVERS];
    _Atomic unsigned long next_gid; /* of by-hand */
};

static int refused(const char *what, int rc)
{
    complain("%s: %s (%s)", what, hf_error_last()->text, hf_strerror_name(rc));
    return rc;
}

/* -- the servers ------------------------------------------------------------------------------- */

static const char script[] =
    ". \"$1\" && dir=$(mktemp -d \"$2/hf-pg.XXXXXX\") && chmod 755 \"$dir\" || exit 1\n"
    "for one in a b; do postgres_make \"$dir/$one\" >&2 || exit 1; done\n"
    "echo \"$dir\"\n"
    "read -r _\n"
    "for one in a b; do postgres_stop \"$dir/$one\" immediate; done\n"
    "rm -rf \"$dir\"\n";

static int start_servers(struct postgres *p, const char *dir)
{
    int to[2], from[2];
    char path[PATH_MAX], *real = realpath(dir, NULL);
    ssize_t size;

    if (real == NULL || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        complain("start two servers in %s: %s", dir, strerror(errno));
        return -1;
    }
    p->child = fork();
    if (p->child == 0) {
        (void)setpgid(0, 0); /* a signal at the terminal is the bench's to take */
        (void)dup2(to[0], 0);
        (void)dup2(from[1], 1);
        (void)execlp("bash", "bash", "-c", script, "hf-bench", HF_BENCH_POSTGRES, real, NULL);
        _exit(127);
    }
    free(real);
    (void)close(to[0]);
    (void)close(from[1]);
    p->child_in = to[1];
    size = p->child > 0 ? read(from[0], path, sizeof(path) - 1) : -1;
    (void)close(from[0]);
    if (size < 2 || size > 200) {
        complain("start two servers in %s: see above", dir);
        return -1;
    }
    path[size - 1] = '\0';
    for (int i = 0; i < SERVERS; i++)
        (void)snprintf(p->info[i], sizeof(p->info[i]), "host=%.200s/%c user=hf dbname=one", path,
                       'a' + i);
    return 0;
}

static int stop_servers(struct postgres *p)
{
    int status = 0;

    if (p->child <= 0)
        return 0;
    (void)close(p->child_in);
    while (waitpid(p->child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0 ? 0 : -1;
}

static int command(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    int good = PQresultStatus(result) == PGRES_COMMAND_OK;

    if (!good)
        complain("%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
    return good ? 0 : -1;
}

static int on_each(const struct postgres *p, const char *sql)
{
    int rc = 0;

    for (int i = 0; i < SERVERS && rc == 0; i++) {
        PGconn *conn = PQconnectdb(p->info[i]);

        if (PQstatus(conn) != CONNECTION_OK) {
            complain("%s", PQerrorMessage(conn));
            rc = -1;
        } else {
            rc = command(conn, sql);
        }
        PQfinish(conn);
    }
    return rc;
}

/* -- ours -------------------------------------------------------------------------------------- */

static int open_node(struct postgres *p, const char *dir)
{
    static const char *const names[SERVERS] = {"a", "b"};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    int rc;

    config.dir = dir;
    rc = hf_tm_open(&config, &p->tm);
    for (int i = 0; i < SERVERS && rc == HF_OK; i++) {
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        rm.name = names[i];
        rm.xa = &hf_postgres_switch;
        rm.ext = &hf_postgres_ext;
        rm.open_info = p->info[i];
        rc = hf_rm_register(p->tm, &rm, &p->rms[i]);
    }
    if (rc == HF_OK)
        rc = hf_tm_start(p->tm, 0);
    return rc == HF_OK ? rc : refused("open the node", rc);
}

struct our_thread {
    hf_tm *tm;
    hf_instance *instances[SERVERS];
    int rmids[SERVERS];
};

static int close_ours(void *thread)
{
    struct our_thread *t = thread;
    int rc = HF_OK;

    for (int i = 0; i < SERVERS; i++) {
        int closed = hf_instance_close(t->instances[i]);

        rc = rc == HF_OK ? closed : rc;
    }
    free(t);
    return rc == HF_OK ? rc : refused("close an instance", rc);
}

static int open_ours(void *shared, void **ret_thread)
{
    struct postgres *p = shared;
    struct our_thread *t = calloc(1, sizeof(*t));
    int rc = HF_OK;

    if (t == NULL)
        return HF_ENOMEM;
    t->tm = p->tm;
    for (int i = 0; i < SERVERS && rc == HF_OK; i++) {
        rc = hf_instance_open(p->rms[i], &t->instances[i]);
        t->rmids[i] = rc == HF_OK ? hf_instance_rmid(t->instances[i]) : 0;
    }
    if (rc == HF_OK) {
        *ret_thread = t;
        return HF_OK;
    }
    (void)refused("open an instance", rc);
    (void)close_ours(t);
    return rc;
}

static int work_by_helper(int rmid)
{
    PGresult *result = hf_postgres_exec(rmid, insert);
    int good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return good ? 0 : -1;
}

static int work_natively(int rmid)
{
    PGconn *conn = hf_postgres_conn(rmid);

    return conn != NULL ? command(conn, insert) : -1;
}

static int transact(const struct our_thread *t, int (*work)(int rmid))
{
    hf_tx *tx;
    int rc = hf_tx_begin(t->tm, 0, &tx);

    if (rc != HF_OK)
        return refused("begin", rc);
    for (int i = 0; i < SERVERS && rc == HF_OK; i++) {
        rc = hf_tx_enlist(tx, t->instances[i]);
        if (rc == HF_OK && work(t->rmids[i]) != 0)
            rc = HF_ERM;
    }
    if (rc != HF_OK) {
        (void)hf_tx_rollback(tx, NULL); /* the first failure is the one that is told */
        return refused("insert", rc);
    }
    rc = hf_tx_commit(tx, NULL);
    return rc == HF_OK ? rc : refused("commit", rc);
}

static int transact_by_helper(void *thread)
{
    return transact(thread, work_by_helper);
}

static int transact_natively(void *thread)
{
    return transact(thread, work_natively);
}

/* -- by hand ----------------------------------------------------------------------------------- */

struct hand_thread {
    struct postgres *shared;
    PGconn *conns[SERVERS];
};

static int close_hand(void *thread)
{
    struct hand_thread *t = thread;

    for (int i = 0; i < SERVERS; i++)
        PQfinish(t->conns[i]);
    free(t);
    return 0;
}

static int open_hand(void *shared, void **ret_thread)
{
    struct hand_thread *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return -1;
    *ret_thread = t;
    t->shared = shared;
    for (int i = 0; i < SERVERS; i++) {
        t->conns[i] = PQconnectdb(t->shared->info[i]);
        if (PQstatus(t->conns[i]) == CONNECTION_OK)
            continue;
        complain("%s", PQerrorMessage(t->conns[i]));
        return -1;
    }
    return 0;
}

/* format may name the gid; it is another one on each server. */
static int each(const struct hand_thread *t, const char *format, unsigned long gid)
{
    char sql[128];

    for (int i = 0; i < SERVERS; i++) {
        (void)snprintf(sql, sizeof(sql), "%s 'hf-bench-%ld-%lu-%d'", format, (long)getpid(), gid,
                       i);
        if (command(t->conns[i], gid != 0 ? sql : format) != 0)
            return -1;
    }
    return 0;
}

static int transact_by_hand(void *thread)
{
    struct hand_thread *t = thread;
    unsigned long gid = atomic_fetch_add(&t->shared->next_gid, 1) + 1;

    if (each(t, "BEGIN", 0) != 0 || each(t, insert, 0) != 0 ||
        each(t, "PREPARE TRANSACTION", gid) != 0)
        return -1;
    return each(t, "COMMIT PREPARED", gid);
}

static int transact_unsafely(void *thread)
{
    const struct hand_thread *t = thread;

    return each(t, "BEGIN", 0) == 0 && each(t, insert, 0) == 0 ? each(t, "COMMIT", 0) : -1;
}

/* -- rows -------------------------------------------------------------------------------------- */

static int measure_all(const struct bench_options *o, struct postgres *p, struct row *rows,
                       unsigned *ret_count)
{
    struct side helper = {"holdfast",    p, open_ours, transact_by_helper, close_ours,
                          measured_loop, 0, false};
    struct side native = {"native",      p, open_ours, transact_natively, close_ours,
                          measured_loop, 0, false};
    struct side hand = {"by-hand", p, open_hand, transact_by_hand, close_hand, raw_loop, 0, false};
    struct side unsafe = {"unsafe",   p,        open_hand, transact_unsafely,
                          close_hand, raw_loop, 0,         false};
    const struct side *const pairs[SIDES][2] = {
        {&helper, &hand}, {&native, &hand}, {&helper, &unsafe}};
    int rc = 0;

    *ret_count = 0;
    for (unsigned i = 0; i < o->rows && rc == 0; i++)
        for (int j = 0; j < SIDES && rc == 0; j++, (*ret_count)++)
            rc = measure_row(o, o->threads[i], pairs[j][0], pairs[j][1], &rows[*ret_count]);
    return rc;
}

int measure_postgres(const struct bench_options *o, const char *node_dir, struct row *rows,
                     unsigned *ret_count)
{
    struct postgres p = {.child = 0};
    int rc = 0, closed = HF_OK;

    if (o->servers == 0)
        rc = start_servers(&p, o->dir);
    for (unsigned i = 0; i < o->servers; i++)
        (void)snprintf(p.info[i], sizeof(p.info[i]), "%s", o->server[i]);
    if (rc == 0)
        rc = on_each(&p, "CREATE TABLE hf_bench (n bigint)");
    if (rc == 0) {
        rc = open_node(&p, node_dir);
        if (rc == 0)
            rc = measure_all(o, &p, rows, ret_count);
        if (p.tm != NULL)
            closed = hf_tm_close(p.tm, CLOSE_WAIT_MS, NULL);
        if (closed != HF_OK)
            (void)refused("close the node", closed);
        rc = on_each(&p, "DROP TABLE hf_bench") != 0 ? -1 : rc;
    }
    if (stop_servers(&p) != 0)
        rc = -1;
    return rc == 0 ? closed : rc;
}
