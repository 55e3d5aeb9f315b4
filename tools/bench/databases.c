/*
 * tools/bench/databases.c - two databases on servers: ours, and what a user would write without us.
 *
 * A transaction is one INSERT on each of two servers: of PostgreSQL (`postgres`), or one of it and
 * one of MariaDB (`mixed`). The sides:
 *   holdfast   the helper, where there is one: BEGIN comes with the INSERT; votes side by side, a
 *              decision that is forced to the log, commits side by side
 *   native     the same with the native connection: BEGIN is a message of its own
 *   by-hand    begin, INSERT, prepare, commit, a message for each statement, one server after the
 *              other in each step, and no decision log: a crash between the two commits leaves a
 *              half
 *   unsafe     BEGIN, INSERT, COMMIT on both, with no prepare
 *
 * Frozen: by-hand and unsafe are not tuned, for better or for worse.
 *
 * Without --server two servers are made by tools/servers/ beside the log, and go when the bench
 * ends, however it ends. A user's own are given by two open strings; a table hf_bench is made
 * there, and dropped again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "databases.h"
#include "holdfast/transaction.h"

enum { CLOSE_WAIT_MS = 5000, SIDES = 3, SQL_SIZE = 128 };

struct database {
    const struct database_kind *kind;
    struct xa_switch_t xa; /* the kind's, with a clock */
    char info[INFO_SIZE];
    hf_rm *rm;
};

struct databases {
    struct database each[DATABASES];
    pid_t child;  /* the servers' parent; 0: they are the user's */
    int child_in; /* it goes when this is closed */
    hf_tm *tm;
    _Atomic unsigned long next_gid; /* of by-hand */
};

static int refused(const char *what, int rc)
{
    complain("%s: %s (%s)", what, hf_error_last()->text, hf_strerror_name(rc));
    return rc;
}

/* Put text where the format has its %s. */
static void fill(const char *format, const char *text, char *ret, size_t size)
{
    const char *mark = strstr(format, "%s");

    (void)snprintf(ret, size, "%.*s%s%s", (int)(mark - format), format, text, mark + 2);
}

/* -- the servers ------------------------------------------------------------------------------- */

/* $1: tools/servers, $2: where; then the kinds, for servers 1, 2 in that order. */
static const char script[] =
    "servers=$1 && dir=$(mktemp -d \"$2/hf-servers.XXXXXX\") && chmod 755 \"$dir\" || exit 1\n"
    "shift 2\n"
    "stop() {\n"
    "    for one in \"$dir\"/postgres.*; do\n"
    "        [ ! -d \"$one\" ] || postgres_stop \"$one\" immediate\n"
    "    done\n"
    "    for one in \"$dir\"/mariadb.*; do [ ! -d \"$one\" ] || mariadb_remove \"$one\"; done\n"
    "    rm -rf \"$dir\"\n"
    "}\n"
    "make_postgres() { postgres_make \"$1\"; }\n"
    "make_mariadb() {\n"
    "    mkdir \"$1\" && mariadb_keep \"$1\" $$ && mariadb_make \"$1\" && mariadb_start \"$1\" &&\n"
    "        mariadb --no-defaults -u root --socket=\"$1/socket\" -e 'CREATE DATABASE bench'\n"
    "}\n"
    "trap stop EXIT\n"
    "for kind in \"$@\"; do\n"
    "    . \"$servers/$kind.sh\" && \"make_$kind\" \"$dir/$kind.$((++n))\" >&2 || exit 1\n"
    "done\n"
    "echo \"$dir\"\n"
    "read -r _\n"
    "exit 0\n";

/* In the child. */
static void run_script(const struct databases *d, const char *dir, int in, int out)
{
    (void)setpgid(0, 0); /* a signal at the terminal is the bench's to take */
    (void)dup2(in, 0);
    (void)dup2(out, 1);
    (void)execlp("bash", "bash", "-c", script, "hf-bench", HF_BENCH_SERVERS, dir,
                 d->each[0].kind->server, d->each[1].kind->server, (char *)NULL);
    _exit(127);
}

static int start_servers(struct databases *d, const char *dir)
{
    int to[2], from[2];
    char path[PATH_MAX], *real = realpath(dir, NULL);
    ssize_t size;

    if (real == NULL || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        complain("start two servers in %s: %s", dir, strerror(errno));
        free(real);
        return -1;
    }
    d->child = fork();
    if (d->child == 0)
        run_script(d, real, to[0], from[1]);
    free(real);
    (void)close(to[0]);
    (void)close(from[1]);
    d->child_in = to[1];
    size = d->child > 0 ? read(from[0], path, sizeof(path) - 1) : -1;
    (void)close(from[0]);
    if (size < 2 || size > 100) { /* a socket's path has 107 bytes at most */
        complain("start two servers in %s: see above", dir);
        return -1;
    }
    path[size - 1] = '\0';
    for (int i = 0; i < DATABASES; i++) {
        const struct database_kind *kind = d->each[i].kind;
        char server[PATH_MAX];

        (void)snprintf(server, sizeof(server), "%.100s/%s.%d", path, kind->server, i + 1);
        fill(kind->info, server, d->each[i].info, INFO_SIZE);
    }
    return 0;
}

static int stop_servers(struct databases *d)
{
    int status = 0;

    if (d->child <= 0)
        return 0;
    (void)close(d->child_in);
    while (waitpid(d->child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0 ? 0 : -1;
}

/* -- ours -------------------------------------------------------------------------------------- */

static int open_node(struct databases *d, const char *dir)
{
    static const char *const names[DATABASES] = {"a", "b"};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    int rc;

    config.dir = dir;
    rc = hf_tm_open(&config, &d->tm);
    for (unsigned i = 0; i < DATABASES && rc == HF_OK; i++) {
        struct database *one = &d->each[i];
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        phases_wrap(i, one->kind->xa, &one->xa);
        rm.name = names[i];
        rm.xa = &one->xa;
        rm.ext = one->kind->ext;
        rm.open_info = one->info;
        rc = hf_rm_register(d->tm, &rm, &one->rm);
    }
    if (rc == HF_OK)
        rc = hf_tm_start(d->tm, 0);
    return rc == HF_OK ? rc : refused("open the node", rc);
}

struct our_thread {
    struct databases *shared;
    hf_instance *instances[DATABASES];
    int rmids[DATABASES];
};

static int close_ours(void *thread)
{
    struct our_thread *t = thread;
    int rc = HF_OK;

    for (int i = 0; i < DATABASES; i++) {
        int closed = hf_instance_close(t->instances[i]);

        rc = rc == HF_OK ? closed : rc;
    }
    free(t);
    return rc == HF_OK ? rc : refused("close an instance", rc);
}

static int open_ours(void *shared, void **ret_thread)
{
    struct databases *d = shared;
    struct our_thread *t = calloc(1, sizeof(*t));
    int rc = HF_OK;

    if (t == NULL)
        return HF_ENOMEM;
    t->shared = d;
    for (int i = 0; i < DATABASES && rc == HF_OK; i++) {
        rc = hf_instance_open(d->each[i].rm, &t->instances[i]);
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

static int work(const struct our_thread *t, int i, bool natively)
{
    const struct database_kind *kind = t->shared->each[i].kind;
    int rc;

    phase_enter(PHASE_WORK);
    rc = natively ? kind->work_natively(t->rmids[i]) : kind->work_by_helper(t->rmids[i]);
    phase_enter(PHASE_REST);
    return rc == 0 ? HF_OK : HF_ERM;
}

static int transact(const struct our_thread *t, bool natively)
{
    hf_tx *tx;
    int rc = hf_tx_begin(t->shared->tm, 0, &tx);

    if (rc != HF_OK)
        return refused("begin", rc);
    for (int i = 0; i < DATABASES && rc == HF_OK; i++) {
        rc = hf_tx_enlist(tx, t->instances[i]);
        rc = rc == HF_OK ? work(t, i, natively) : rc;
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
    return transact(thread, false);
}

static int transact_natively(void *thread)
{
    return transact(thread, true);
}

/* -- by hand ----------------------------------------------------------------------------------- */

struct hand_thread {
    struct our_thread *ours; /* whose instances never work for a transaction */
    void *conns[DATABASES];
};

static int close_hand(void *thread)
{
    struct hand_thread *t = thread;
    int rc;

    for (int i = 0; i < DATABASES; i++)
        if (t->conns[i] != NULL)
            t->ours->shared->each[i].kind->disconnect(t->conns[i]);
    rc = close_ours(t->ours);
    free(t);
    return rc;
}

static int open_hand(void *shared, void **ret_thread)
{
    const struct databases *d = shared;
    struct hand_thread *t = calloc(1, sizeof(*t));
    void *ours = NULL;
    int rc = t != NULL ? open_ours(shared, &ours) : HF_ENOMEM;

    if (rc != HF_OK) {
        free(t);
        return rc;
    }
    t->ours = ours;
    *ret_thread = t;
    for (int i = 0; i < DATABASES && rc == 0; i++) {
        t->conns[i] = d->each[i].kind->connect(d->each[i].info, t->ours->rmids[i]);
        rc = t->conns[i] != NULL ? 0 : -1;
    }
    return rc;
}

/* A statement on one database. Its gid is another one than that of the other database. */
static int hand_run(const struct hand_thread *t, int i, const char *format, unsigned long gid)
{
    const struct database_kind *kind = t->ours->shared->each[i].kind;
    char sql[SQL_SIZE], name[64];

    if (strstr(format, "%s") == NULL)
        return kind->run(t->conns[i], format);
    (void)snprintf(name, sizeof(name), "hf-bench-%ld-%lu-%d", (long)getpid(), gid, i);
    fill(format, name, sql, sizeof(sql));
    return kind->run(t->conns[i], sql);
}

static int hand_step(const struct hand_thread *t, enum hand_step step, unsigned long gid)
{
    int rc = 0;

    for (int i = 0; i < DATABASES; i++)
        for (int j = 0; j < HAND_STATEMENTS && rc == 0; j++) {
            const char *format = t->ours->shared->each[i].kind->by_hand[step][j];

            rc = format != NULL ? hand_run(t, i, format, gid) : 0;
        }
    return rc;
}

/* The same on each. */
static int hand_each(const struct hand_thread *t, const char *sql)
{
    int rc = 0;

    for (int i = 0; i < DATABASES && rc == 0; i++)
        rc = hand_run(t, i, sql, 0);
    return rc;
}

static int transact_by_hand(void *thread)
{
    const struct hand_thread *t = thread;
    unsigned long gid = atomic_fetch_add(&t->ours->shared->next_gid, 1) + 1;
    int rc;

    phase_enter(PHASE_WORK);
    rc = hand_step(t, HAND_BEGIN, gid);
    rc = rc == 0 ? hand_each(t, BENCH_INSERT) : rc;
    phase_enter(PHASE_PREPARE);
    rc = rc == 0 ? hand_step(t, HAND_PREPARE, gid) : rc;
    phase_enter(PHASE_COMMIT);
    rc = rc == 0 ? hand_step(t, HAND_COMMIT, gid) : rc;
    phase_enter(PHASE_REST);
    return rc;
}

static int transact_unsafely(void *thread)
{
    const struct hand_thread *t = thread;
    int rc;

    phase_enter(PHASE_WORK);
    rc = hand_each(t, "BEGIN");
    rc = rc == 0 ? hand_each(t, BENCH_INSERT) : rc;
    phase_enter(PHASE_COMMIT);
    rc = rc == 0 ? hand_each(t, "COMMIT") : rc;
    phase_enter(PHASE_REST);
    return rc;
}

/* -- rows -------------------------------------------------------------------------------------- */

/* Make the tables, or drop them. */
static int change_tables(struct databases *d, bool make)
{
    void *thread = NULL;
    int rc = open_hand(d, &thread);

    for (int i = 0; i < DATABASES && rc == 0; i++)
        rc = hand_run(thread, i, make ? d->each[i].kind->create : "DROP TABLE hf_bench", 0);
    if (thread != NULL && close_hand(thread) != 0)
        rc = -1;
    return rc;
}

static int measure_all(const struct bench_options *o, struct databases *d, struct row *rows,
                       unsigned *ret_count)
{
    struct side helper = {"holdfast", d, open_ours, transact_by_helper, close_ours, measured_loop,
                          0,          0, true};
    struct side native = {"native", d, open_ours, transact_natively, close_ours, measured_loop,
                          0,        0, true};
    struct side hand = {"by-hand", d, open_hand, transact_by_hand, close_hand, raw_loop,
                        0,         0, true};
    struct side unsafe = {"unsafe", d, open_hand, transact_unsafely, close_hand, raw_loop,
                          0,        0, true};
    const struct side *const pairs[SIDES][2] = {
        {&helper, &hand}, {&native, &hand}, {&helper, &unsafe}};
    int rc = 0;

    for (unsigned i = 0; i < o->rows && rc == 0; i++)
        for (int j = 0; j < SIDES && rc == 0; j++, (*ret_count)++)
            rc = measure_row(o, o->threads[i], pairs[j][0], pairs[j][1], &rows[*ret_count]);
    return rc;
}

static int measure_kinds(const struct bench_options *o, const char *node_dir,
                         const struct database_kind *first, const struct database_kind *second,
                         struct row *rows, unsigned *ret_count)
{
    struct databases d = {.each = {{.kind = first}, {.kind = second}}};
    int rc = 0, closed = HF_OK;

    *ret_count = 0;
    if (o->servers == 0)
        rc = start_servers(&d, o->dir);
    for (unsigned i = 0; i < o->servers; i++)
        (void)snprintf(d.each[i].info, INFO_SIZE, "%s", o->server[i]);
    if (rc == 0)
        rc = open_node(&d, node_dir);
    if (rc == 0)
        rc = change_tables(&d, true);
    if (rc == 0) {
        rc = measure_all(o, &d, rows, ret_count);
        rc = change_tables(&d, false) != 0 ? -1 : rc;
    }
    if (d.tm != NULL)
        closed = hf_tm_close(d.tm, CLOSE_WAIT_MS, NULL);
    if (closed != HF_OK)
        (void)refused("close the node", closed);
    if (stop_servers(&d) != 0)
        rc = -1;
    return rc == 0 ? closed : rc;
}

int measure_postgres(const struct bench_options *o, const char *node_dir, struct row *rows,
                     unsigned *ret_count)
{
    return measure_kinds(o, node_dir, &postgres_kind, &postgres_kind, rows, ret_count);
}

int measure_mixed(const struct bench_options *o, const char *node_dir, struct row *rows,
                  unsigned *ret_count)
{
#ifdef HF_BENCH_MARIADB
    return measure_kinds(o, node_dir, &postgres_kind, &mariadb_kind, rows, ret_count);
#else
    (void)o, (void)node_dir, (void)rows, (void)ret_count;
    complain("this hf-bench was built without libmariadb");
    return -1;
#endif
}
