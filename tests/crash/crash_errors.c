/*
 * What: writes and flushes of the decision log that fail never make a lie of an answer (invariants
 *       1, 2, 8): committed, rolled back or unknown, both stores end alike, and as was said.
 * How:  pwrite(), pwritev(), writev() and fdatasync() of ours, which LMDB finds before libc's. In
 *       the commit of a decision the n-th of them fails, n from 1 until a run passes untouched; it
 *       is refused, or done and told as failed; those after it work, are refused, or the same. Then
 *       the node is opened again, recovers, and is compared with what was said. The same again in
 *       the opening and the recovery of a decision that was left behind by such a failure.
 *       --plant BUG plants a bug; rollback-after-unknown must be caught.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "crash_kit.h"
#include "holdfast/internal/fault.h"

enum action { PASS, REFUSE, DO_AND_TELL };

static const struct mode {
    const char *name;
    enum action first, then;
} modes[] = {
    {"refused once", REFUSE, PASS},
    {"refused from then on", REFUSE, REFUSE},
    {"done and told as failed, once", DO_AND_TELL, PASS},
    {"done and told as failed, from then on", DO_AND_TELL, DO_AND_TELL},
    {"done and told as failed, then refused", DO_AND_TELL, REFUSE},
};
enum {
    MODES = sizeof(modes) / sizeof(*modes),
    CALLS_MAX = 200,
    META_BYTES = 120, /* of LMDB 0.9 on 64 bits */
};

static struct {
    const struct mode *mode; /* NULL: everything passes */
    unsigned at;             /* the n-th call from now, from 1; 0: the next meta page */
    unsigned calls, failed;
} errors;

/* -- the calls -------------------------------------------------------------------------------- */

static int is_log(int fd)
{
    char link[64], path[512];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, "/decisions.mdb") != NULL;
}

static enum action next_action(int fd, int is_meta)
{
    enum action action;

    if (errors.mode == NULL || !is_log(fd))
        return PASS;
    errors.calls++;
    if (errors.at == 0 && is_meta)
        errors.at = errors.calls;
    action = errors.at == 0 || errors.calls < errors.at ? PASS
             : errors.calls == errors.at                ? errors.mode->first
                                                        : errors.mode->then;
    errors.failed += action != PASS;
    return action;
}

static long fail_or_do(int fd, long number, long a, long b, long c, long d)
{
    enum action action = next_action(fd, number == SYS_pwrite64 && b == META_BYTES);
    long rc = action != REFUSE ? syscall(number, fd, a, b, c, d) : -1;

    if (action == PASS)
        return rc;
    errno = EIO;
    return -1;
}

/* Under all names that liblmdb and the compiler may use for them. */
ssize_t pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    return fail_or_do(fd, SYS_pwrite64, (long)buf, (long)size, offset, 0);
}
ssize_t pwrite64(int fd, const void *buf, size_t size, off_t offset);
ssize_t pwrite64(int fd, const void *buf, size_t size, off_t offset)
{
    return pwrite(fd, buf, size, offset);
}
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return fail_or_do(fd, SYS_pwritev, (long)iov, count, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t offset)
{
    return pwritev(fd, iov, count, offset);
}
ssize_t writev(int fd, const struct iovec *iov, int count)
{
    return fail_or_do(fd, SYS_writev, (long)iov, count, 0, 0);
}
int fdatasync(int fd)
{
    return (int)fail_or_do(fd, SYS_fdatasync, 0, 0, 0, 0);
}

static void arm(const struct mode *mode, unsigned at)
{
    errors.mode = mode;
    errors.at = at;
    errors.calls = errors.failed = 0;
}

static void disarm(void)
{
    errors.mode = NULL;
}

/* -- a node with two stores -------------------------------------------------------------------- */

struct server {
    const char *dir;
    hf_tm *tm;
    hf_rm *rm[2];
    hf_instance *in[2];
};

static int try_open(struct server *s)
{
    hf_tm_config cfg = HF_TM_CONFIG_INIT; /* nobody is told: failing is what is wanted here */
    char path[512];
    int rc;

    (void)snprintf(path, sizeof(path), "%s/node", s->dir);
    cfg.dir = path;
    rc = hf_tm_open(&cfg, &s->tm);
    if (rc != HF_OK)
        return rc;
    s->rm[0] = kit_kv(s->tm, s->dir, "a");
    s->rm[1] = kit_kv(s->tm, s->dir, "b");
    return hf_tm_start(s->tm, 0);
}

static void open_whole(struct server *s)
{
    OK(try_open(s));
    for (int i = 0; i < 2; i++)
        s->in[i] = kit_instance(s->rm[i]);
}

static void close_all(struct server *s)
{
    for (int i = 0; i < 2; i++) {
        int rc = hf_instance_close(s->in[i]);

        CHECK(rc == HF_OK || rc == HF_ERM, "close an instance");
        s->in[i] = NULL;
    }
    if (s->tm != NULL)
        OK(hf_tm_close(s->tm, 0, NULL));
    s->tm = NULL;
}

static int count_one(void *user, const hf_inspect_tx *tx)
{
    (void)tx;
    ++*(int *)user;
    return 0;
}

/* The log is sound, and nothing is left in it. */
static void check_log(const char *dir, const char *what)
{
    char node[512];
    hf_inspect *in;
    int left = 0;

    (void)snprintf(node, sizeof(node), "%s/node", dir);
    OK(hf_inspect_open(node, &in));
    CHECK(hf_inspect_verify(in) == HF_OK, "%s", what);
    OK(hf_inspect_transactions(in, count_one, &left));
    CHECK(left == 0, "%s: %d transactions are left in the log", what, left);
    hf_inspect_close(in);
}

/* Open, recover, look: does the key exist, in both or in neither? */
static int settled(const char *dir, const char *key, const char *what)
{
    struct server s = {.dir = dir};
    hf_tm_stats stats = {.size = sizeof(stats)};
    int a, b;

    open_whole(&s);
    a = kit_has(s.in[0], key);
    b = kit_has(s.in[1], key);
    CHECK(a == b, "%s: %s is in one store only", what, key);
    OK(hf_tm_get_stats(s.tm, &stats));
    CHECK(stats.owed == 0 && stats.alarms == 0, "%s: owed %d, alarms %d", what, (int)stats.owed,
          (int)stats.alarms);
    close_all(&s);
    check_log(dir, what);
    return a;
}

/* -- in a decision ----------------------------------------------------------------------------- */

struct plan {
    const struct mode *mode;
    unsigned at;
};

/* Before the first prepare: the log's next commit is the decision's. */
static void begin_errors(void *user, hf_tx *tx)
{
    const struct plan *plan = user;

    (void)tx;
    arm(plan->mode, plan->at);
}

/* Commit under key, with the failure. Returns what hf_tx_commit() said; *ret_failed: how often. */
static int commit(const char *dir, const char *key, const struct plan *plan, unsigned *ret_failed)
{
    struct server s = {.dir = dir};
    const hf_sync sync = {.before = begin_errors, .user = (void *)plan};
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;
    int rc;

    open_whole(&s);
    OK(hf_tx_begin(s.tm, 0, &tx));
    for (int i = 0; i < 2; i++) {
        OK(hf_tx_enlist(tx, s.in[i]));
        OK(hf_kv_put(hf_instance_rmid(s.in[i]), key, strlen(key), "v", 1));
    }
    OK(hf_tx_watch(tx, &sync));
    rc = hf_tx_commit(tx, &r);
    *ret_failed = errors.failed;
    CHECK((rc == HF_OK && r.outcome == HF_COMMITTED) ||
              (rc == HF_EROLLEDBACK && r.outcome == HF_ROLLEDBACK) ||
              (rc == HF_EUNKNOWN && r.outcome == HF_UNKNOWN),
          "%s at %u: commit said %d, outcome %d", plan->mode->name, plan->at, rc, (int)r.outcome);
    if (rc == HF_EUNKNOWN) /* it tries no more */
        CHECK(hf_tx_begin(s.tm, 0, &tx) == HF_ELOG, "%s at %u: goes on", plan->mode->name,
              plan->at);
    close_all(&s); /* what failed for ever does so here, too */
    disarm();
    return rc;
}

struct tally {
    unsigned runs, committed, refused, unknown, unknown_committed;
};

static void sweep_decision(const char *dir, const struct mode *mode, struct tally *t)
{
    unsigned failed = 1;

    for (unsigned n = 1; failed > 0; n++) {
        const struct plan plan = {mode, n};
        char key[32], what[128];
        int rc, there;

        CHECK(n < CALLS_MAX, "%s: a commit makes over %d calls", mode->name, CALLS_MAX);
        (void)snprintf(key, sizeof(key), "m%d-n%u", (int)(mode - modes), n);
        (void)snprintf(what, sizeof(what), "%s, call %u", mode->name, n);
        rc = commit(dir, key, &plan, &failed);
        there = settled(dir, key, what);
        CHECK(rc == HF_EUNKNOWN || there == (rc == HF_OK), "%s: said %s", what,
              rc == HF_OK ? "committed" : "rolled back");
        CHECK(failed > 0 || rc == HF_OK, "%s: nothing failed, and it was not committed", what);
        t->runs++;
        t->committed += rc == HF_OK;
        t->refused += rc == HF_EROLLEDBACK;
        t->unknown += rc == HF_EUNKNOWN;
        t->unknown_committed += rc == HF_EUNKNOWN && there;
    }
}

/* -- in the opening after it, and its recovery ------------------------------------------------- */

static unsigned sweep_recovery(const char *dir, const struct mode *mode)
{
    /* The meta page is on disk, and neither told of nor taken back: a decision is left behind. */
    const struct plan leaves = {&modes[MODES - 1], 0};
    unsigned failed = 1, n;

    for (n = 1; failed > 0; n++) {
        struct server s = {.dir = dir};
        char key[32], what[128];

        CHECK(n < CALLS_MAX, "%s: a recovery makes over %d calls", mode->name, CALLS_MAX);
        (void)snprintf(key, sizeof(key), "r%d-n%u", (int)(mode - modes), n);
        (void)snprintf(what, sizeof(what), "recovery, %s, call %u", mode->name, n);
        CHECK(commit(dir, key, &leaves, &failed) == HF_EUNKNOWN, "%s: the decision was not left",
              what);
        arm(mode, n);
        (void)try_open(&s); /* whatever it says; it may have settled it, or not begun to */
        close_all(&s);
        failed = errors.failed;
        disarm();
        CHECK(settled(dir, key, what), "%s: a decision was lost", what);
    }
    return n - 1;
}

int main(int argc, char **argv)
{
    struct tally t = {.runs = 0};
    unsigned runs = 0;
    char dir[64];

#ifdef HF_FAULTS
    if (argc == 3 && strcmp(argv[1], "--plant") == 0)
        hf__bug_plant(argv[2]);
#else
    (void)argc;
    (void)argv;
#endif
    kit_tmpdir(dir);
    for (int i = 0; i < MODES; i++)
        sweep_decision(dir, &modes[i], &t);
    CHECK(t.unknown_committed > 0 && t.unknown > t.unknown_committed && t.committed >= MODES,
          "the failures hit nothing: %u unknown, %u of them on disk", t.unknown,
          t.unknown_committed);
    for (int i = 0; i < MODES; i++)
        runs += sweep_recovery(dir, &modes[i]);
    kit_remove(dir);
    printf(
        "crash_errors: ok: %u commits: %u committed, %u refused, %u unknown, of which %u were on "
        "disk; %u recoveries of such a one\n"
        "rig: %u runs with failing writes, 0 violations\n%u passed, 0 failed\n",
        t.runs, t.committed, t.refused, t.unknown, t.unknown_committed, runs, t.runs + runs,
        t.runs + runs);
    return 0;
}
