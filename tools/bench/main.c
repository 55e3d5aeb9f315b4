/*
 * tools/bench/main.c - hf-bench: what transactions and allocations cost, beside work without us.
 *
 * The command line, and the scratch directory in which all of it happens: a new one in --dir, which
 * has to lie on the disk that is meant, and which is removed at the end, also after SIGINT or
 * SIGTERM. Exit status: 0 done, 1 failed, 2 usage.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "raw.h"

enum { EXIT_USAGE = 2, COUNT_MAX = 1000000000 };

static const char usage_text[] =
    "usage: hf-bench commit [--threads N,...] [--seconds S | --count N] [--warmup N]\n"
    "                       [--rounds N] [--json] [--dir DIR]\n"
    "       hf-bench kv     the same options\n"
    "       hf-bench holder the same options\n"
    "       hf-bench begin  [--count N] [--warmup N] [--rounds N] [--json] [--dir DIR]\n"
    "       hf-bench postgres [as commit] [--server INFO --server INFO]\n"
    "       hf-bench mixed    [as postgres]\n"
    "\n"
    "commit  begin, enlist two resource managers that do nothing, commit; beside it, in\n"
    "        alternation, the same records handed to plain LMDB batches (raw)\n"
    "kv      one key in each of two kv stores, in one transaction; beside it the same two keys\n"
    "        in two LMDB environments, one after the other, which is not atomic (raw)\n"
    "holder  allocate and free a resource that is enlisted already: on one thread, without\n"
    "        work; then on threads that share a holder, with a microsecond of work between;\n"
    "        beside it one thread with the same work (one)\n"
    "begin   begin, enlist the two, roll back; one thread\n"
    "postgres  an INSERT on each of two servers, beside the same by hand with PREPARE\n"
    "        TRANSACTION and no log (by-hand), and with plain COMMITs (unsafe)\n"
    "mixed   the same, one server being PostgreSQL, the other MariaDB\n"
    "\n"
    "  --threads LIST  thread counts, one row each (1,4,16,64; holder 1,2,8,32; postgres\n"
    "                  and mixed 1,4,16)\n"
    "  --seconds S     of each round and side (2)\n"
    "  --count N       transactions of each thread and round, in place of a time; with begin\n"
    "                  100000\n"
    "  --warmup N      transactions of each thread before each round (100)\n"
    "  --rounds N      of which the medians are told (9)\n"
    "  --json          one JSON document in place of a table\n"
    "  --dir DIR       where the scratch directory is made (.)\n"
    "  --server INFO   a server of yours: libpq's connection string, or with mixed the second\n"
    "                  time the open string of holdfast/mariadb.h; twice, or not at all\n";

/* -- the command line ------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *ret <= max;
}

static bool parse_seconds(const char *text, double *ret)
{
    char *end;

    *ret = strtod(text, &end);
    return end != text && *end == '\0' && *ret >= 0.001 && *ret <= 3600;
}

static bool parse_threads(struct bench_options *o, const char *text)
{
    char *copy = strdup(text), *rest = copy;
    bool good = copy != NULL;

    o->rows = 0;
    for (const char *one; good && (one = strsep(&rest, ",")) != NULL;) {
        uint64_t n;

        good =
            o->rows < BENCH_THREAD_COUNTS_MAX && parse_number(one, BENCH_THREADS_MAX, &n) && n > 0;
        if (good)
            o->threads[o->rows++] = (unsigned)n;
    }
    free(copy);
    return good;
}

/* Of those that need servers. */
static bool has_servers(const char *measure)
{
    return strcmp(measure, "postgres") == 0 || strcmp(measure, "mixed") == 0;
}

/* Of those that run for a time, on threads. */
static bool is_threaded(const char *measure)
{
    return strcmp(measure, "commit") == 0 || strcmp(measure, "kv") == 0 ||
           strcmp(measure, "holder") == 0 || has_servers(measure);
}

static bool parse_option(struct bench_options *o, int option, const char *value)
{
    uint64_t n = 0;
    bool good = true;

    switch (option) {
    case 't':
        return is_threaded(o->measure) && parse_threads(o, value);
    case 's':
        return is_threaded(o->measure) && parse_seconds(value, &o->seconds);
    case 'S':
        if (!has_servers(o->measure) || o->servers == BENCH_SERVERS || *value == '\0')
            return false;
        o->server[o->servers++] = value;
        return true;
    case 'c':
        return parse_number(value, COUNT_MAX, &o->count) && o->count > 0;
    case 'w':
        return parse_number(value, COUNT_MAX, &o->warmup);
    case 'r':
        good = parse_number(value, BENCH_ROUNDS_MAX, &n) && n > 0;
        o->rounds = (unsigned)n;
        return good;
    case 'j':
        o->json = true;
        return true;
    default:
        o->dir = value;
        return *value != '\0';
    }
}

static bool parse(struct bench_options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'c'},
        {"warmup", required_argument, NULL, 'w'},
        {"rounds", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"dir", required_argument, NULL, 'd'},
        {"server", required_argument, NULL, 'S'},
        {NULL, 0, NULL, 0},
    };
    int option, at = 0;

    if (argc < 2 || (!is_threaded(argv[1]) && strcmp(argv[1], "begin") != 0))
        return false;
    o->measure = argv[1];
    if (strcmp(o->measure, "begin") == 0) {
        o->count = 100000;
        o->rows = 1;
    } else if (has_servers(o->measure)) {
        o->rows = 3;
    }
    if (strcmp(o->measure, "holder") == 0) {
        o->threads[1] = 2;
        o->threads[2] = 8;
        o->threads[3] = 32;
        o->warmup = 10000;
    }
    opterr = 0; /* the usage says it all */
    while ((option = getopt_long(argc - 1, argv + 1, "", options, &at)) != -1) {
        if (option == '?')
            return false;
        if (!parse_option(o, option, optarg)) {
            complain("--%s: not a value for it", options[at].name);
            return false;
        }
    }
    return optind == argc - 1 && (o->servers == 0 || o->servers == BENCH_SERVERS);
}

/* -- the scratch directory -------------------------------------------------------------------- */

struct scratch {
    char dir[PATH_MAX - 64], node[PATH_MAX], raw[PATH_MAX];
    char east[PATH_MAX], west[PATH_MAX], raw_west[PATH_MAX]; /* kv */
};

static int make_scratch(const struct bench_options *o, struct scratch *ret)
{
    int size = snprintf(ret->dir, sizeof(ret->dir), "%s/hf-bench.XXXXXX", o->dir);

    if (size >= (int)sizeof(ret->dir))
        errno = ENAMETOOLONG;
    if (size >= (int)sizeof(ret->dir) || mkdtemp(ret->dir) == NULL) {
        complain("make a directory in %s: %s", o->dir, strerror(errno));
        return -1;
    }
    (void)snprintf(ret->node, sizeof(ret->node), "%s/node", ret->dir);
    (void)snprintf(ret->raw, sizeof(ret->raw), "%s/raw.mdb", ret->dir);
    (void)snprintf(ret->east, sizeof(ret->east), "%s/east", ret->dir);
    (void)snprintf(ret->west, sizeof(ret->west), "%s/west", ret->dir);
    (void)snprintf(ret->raw_west, sizeof(ret->raw_west), "%s/raw-west.mdb", ret->dir);
    return 0;
}

/* A directory that holds nothing but files. One that is not there is good, too. */
static int remove_flat(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    int rc = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : -1;
    while ((e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            unlinkat(dirfd(dir), e->d_name, 0) != 0)
            rc = -1;
    (void)closedir(dir); /* it was only read */
    return rmdir(path) == 0 ? rc : -1;
}

static int remove_scratch(const struct scratch *s)
{
    if (remove_flat(s->node) == 0 && remove_flat(s->east) == 0 && remove_flat(s->west) == 0 &&
        remove_flat(s->dir) == 0)
        return 0;
    complain("remove %s: %s", s->dir, strerror(errno));
    return -1;
}

/* -- the measures ----------------------------------------------------------------------------- */

static int measure_rows(const struct bench_options *o, const struct side *ours,
                        const struct side *baseline, struct row *rows)
{
    int rc = 0;

    for (unsigned i = 0; i < o->rows && rc == 0; i++)
        rc = measure_row(o, o->threads[i], ours, baseline, &rows[i]);
    return rc;
}

static int measure_commit(const struct bench_options *o, struct node *node, struct raw *raw,
                          struct row *rows)
{
    const struct side ours = node_commit_side(node), baseline = raw_side(raw);

    return measure_rows(o, &ours, &baseline, rows);
}

static int measure_kv(const struct bench_options *o, const struct scratch *s, struct row *rows)
{
    struct kv_bench *kv = NULL;
    struct raw_kv *raw = NULL;
    struct side ours, baseline;
    int rc = kv_open(s->dir, s->node, &kv), closed;

    if (rc == 0) {
        rc = raw_kv_open(s->raw, s->raw_west, &raw);
        if (rc != 0)
            complain("%s: %s", s->raw, raw_strerror(rc));
    }
    if (rc == 0) {
        ours = kv_side(kv);
        baseline = raw_kv_side(raw);
        rc = measure_rows(o, &ours, &baseline, rows);
    }
    raw_kv_close(raw);
    closed = kv_close(kv);
    return rc == 0 ? closed : rc;
}

/* One row more than there are thread counts: the pairs without work. */
static int measure_holder(struct bench_options *o, const struct scratch *s, struct row *rows)
{
    struct holder_bench *bench = NULL;
    struct side bare, ours, one;
    int rc = holder_open(s->node, &bench), closed;

    if (rc == 0) {
        bare = holder_side(bench, false, 1);
        bare.name = "holdfast";
        ours = holder_side(bench, true, 0);
        one = holder_side(bench, true, 1);
        rc = measure_row(o, 1, &bare, NULL, &rows[0]);
        if (rc == 0)
            rc = measure_rows(o, &ours, &one, &rows[1]);
        o->rows++;
    }
    closed = holder_close(bench);
    return rc == 0 ? closed : rc;
}

static int measure_begin(const struct bench_options *o, struct node *node, struct row *rows)
{
    const struct side ours = node_begin_side(node);

    return measure_row(o, 1, &ours, NULL, &rows[0]);
}

#ifndef HF_BENCH_SERVERS
int measure_postgres(const struct bench_options *o, const char *node_dir, struct row *rows,
                     unsigned *ret_count)
{
    (void)o, (void)node_dir, (void)rows, (void)ret_count;
    complain("this hf-bench was built without libpq");
    return -1;
}

int measure_mixed(const struct bench_options *o, const char *node_dir, struct row *rows,
                  unsigned *ret_count)
{
    return measure_postgres(o, node_dir, rows, ret_count);
}
#endif

static int measure(const struct bench_options *o, const struct scratch *s, struct row *rows,
                   unsigned *ret_count)
{
    bool with_raw = strcmp(o->measure, "commit") == 0;
    struct node *node = NULL;
    struct raw *raw = NULL;
    int rc, closed;

    if (strcmp(o->measure, "postgres") == 0)
        return measure_postgres(o, s->node, rows, ret_count);
    if (strcmp(o->measure, "mixed") == 0)
        return measure_mixed(o, s->node, rows, ret_count);
    rc = node_open(s->node, &node);
    if (rc == 0 && with_raw) {
        rc = raw_open(s->raw, &raw);
        if (rc != 0)
            complain("%s: %s", s->raw, raw_strerror(rc));
    }
    if (rc == 0)
        rc = with_raw ? measure_commit(o, node, raw, rows) : measure_begin(o, node, rows);
    raw_close(raw);
    closed = node_close(node);
    return rc == 0 ? closed : rc;
}

static void on_signal(int number)
{
    (void)number;
    measure_interrupt();
}

int main(int argc, char **argv)
{
    struct bench_options o = {
        .threads = {1, 4, 16, 64}, .rows = 4, .rounds = 9, .seconds = 2, .warmup = 100, .dir = "."};
    const struct sigaction action = {.sa_handler = on_signal};
    struct row rows[BENCH_ROWS_MAX];
    struct scratch scratch;
    unsigned count = 0;
    int rc, removed;

    if (argc == 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0))
        return fputs(usage_text, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (!parse(&o, argc, argv)) {
        (void)fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    (void)sigaction(SIGINT, &action, NULL); /* neither can fail with these numbers */
    (void)sigaction(SIGTERM, &action, NULL);
    if (make_scratch(&o, &scratch) != 0)
        return EXIT_FAILURE;
    if (strcmp(o.measure, "holder") == 0)
        rc = measure_holder(&o, &scratch, rows);
    else if (strcmp(o.measure, "kv") == 0)
        rc = measure_kv(&o, &scratch, rows);
    else
        rc = measure(&o, &scratch, rows, &count);
    if (count == 0)
        count = o.rows;
    removed = remove_scratch(&scratch);
    if (rc == 0)
        rc = report(&o, rows, count);
    return rc == 0 && removed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
