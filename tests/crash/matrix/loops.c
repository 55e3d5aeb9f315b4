/*
 * What: fault loops: every n-th call of a kind fails, once or from then on, n from 1 until a run
 *       passes untouched; in the work of a server, and in the recovery of one that was killed.
 *       Nothing crashes or hangs, and what was said holds (invariants 1, 2, 5, 6, 8, 14, 15).
 * How:  the calls are ours, found before libc's by liblmdb too: memory, open, pwrite, writev and
 *       write, fdatasync and msync, ftruncate and fallocate, mmap, fcntl's locks, threads. Writes,
 *       flushes and calls of a resource manager fail before they are made or after: then the work
 *       is done and the answer lost. After each run: open again, recover, judge, as the crash
 *       matrix does.
 *
 *       crash_loops [--plant BUG] [--kind KIND] [--only KIND:SCENARIO:once|ever:work|recovery:N]
 *
 *       Not under a sanitizer, which has a malloc of its own.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/internal/fault.h"
#include "matrix.h"
#include "rig.h"

enum kind {
    MEMORY,
    OPEN,
    WRITE,
    WRITE_AFTER,
    LOG_AFTER, /* WRITE_AFTER, of the node's files alone */
    SYNC,
    SYNC_AFTER,
    TRUNCATE,
    MAP,
    LOCK,
    THREAD,
    RM_BEFORE,
    RM_AFTER,
    KINDS
};
static const char *const kind_names[KINDS] = {
    "memory",   "open", "write", "write-after", "log-after", "sync",    "sync-after",
    "truncate", "map",  "lock",  "thread",      "rm-before", "rm-after"};

enum { CALLS_MAX = 20000 };

/* What this process is to fail; counts from when it is armed. */
static struct {
    bool armed, ever;
    enum kind kind;
    unsigned at;
    unsigned calls; /* of the kind */
} fault;

static bool fails(enum kind kind)
{
    unsigned n;

    if (!fault.armed || fault.kind != kind)
        return false;
    n = __atomic_add_fetch(&fault.calls, 1, __ATOMIC_RELAXED);
    return n == fault.at || (fault.ever && n > fault.at);
}

/* Of calls that fail after they were made, for ever: all but the first are refused. LMDB takes a
   failed meta page back by writing the old one: only so it stays. */
static bool refused(enum kind after)
{
    return fault.armed && fault.kind == after && fault.ever &&
           __atomic_load_n(&fault.calls, __ATOMIC_RELAXED) >= fault.at;
}

static bool is_log(int fd)
{
    char link[64], path[DIR_SIZE + 64];
    ssize_t n;

    if (!fault.armed || fault.kind != LOG_AFTER)
        return false;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, "/node/") != NULL;
}

/* -- the calls -------------------------------------------------------------------------------- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
    if (!fails(MEMORY))
        return __libc_malloc(size);
    errno = ENOMEM;
    return NULL;
}

void *calloc(size_t count, size_t size)
{
    if (!fails(MEMORY))
        return __libc_calloc(count, size);
    errno = ENOMEM;
    return NULL;
}

void *realloc(void *p, size_t size)
{
    if (!fails(MEMORY))
        return __libc_realloc(p, size);
    errno = ENOMEM;
    return NULL;
}

static void *next(const char *name)
{
    bool armed = fault.armed;
    void *p;

    fault.armed = false; /* the search is not the product's */
    p = dlsym(RTLD_NEXT, name);
    fault.armed = armed;
    if (p == NULL)
        abort();
    return p;
}

#define NEXT(name) ((__typeof__(&name))next(#name))

/* Returns -1 with errno, if it is to fail. */
#define FAIL_AS(kind, code)                                                                        \
    do {                                                                                           \
        if (fails(kind)) {                                                                         \
            errno = (code);                                                                        \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

#define OPENER(name, head, pass)                                                                   \
    int name head                                                                                  \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(args, flags);                                                                     \
        mode = mode_of(flags, args);                                                               \
        va_end(args);                                                                              \
        FAIL_AS(OPEN, EMFILE);                                                                     \
        return NEXT(name) pass;                                                                    \
    }

OPENER(open, (const char *path, int flags, ...), (path, flags, mode))
OPENER(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENER(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))
OPENER(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))

/* Done, and told as failed. */
#define TELL_AS(kind, code, rc)                                                                    \
    do {                                                                                           \
        if (fails(kind)) {                                                                         \
            errno = (code);                                                                        \
            return -1;                                                                             \
        }                                                                                          \
        return rc;                                                                                 \
    } while (0)

#define WRITER(name, head, pass)                                                                   \
    ssize_t name head                                                                              \
    {                                                                                              \
        enum kind after = is_log(fd) ? LOG_AFTER : WRITE_AFTER;                                    \
        ssize_t rc;                                                                                \
                                                                                                   \
        if (refused(after)) {                                                                      \
            errno = EIO;                                                                           \
            return -1;                                                                             \
        }                                                                                          \
        FAIL_AS(WRITE, ENOSPC);                                                                    \
        rc = NEXT(name) pass;                                                                      \
        TELL_AS(after, EIO, rc);                                                                   \
    }

WRITER(write, (int fd, const void *buf, size_t size), (fd, buf, size))
WRITER(pwrite, (int fd, const void *buf, size_t size, off_t at), (fd, buf, size, at))
WRITER(pwrite64, (int fd, const void *buf, size_t size, off64_t at), (fd, buf, size, at))
WRITER(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))

#define SYNCER(name, head, pass)                                                                   \
    int name head                                                                                  \
    {                                                                                              \
        int rc;                                                                                    \
                                                                                                   \
        if (refused(SYNC_AFTER)) {                                                                 \
            errno = EIO;                                                                           \
            return -1;                                                                             \
        }                                                                                          \
        FAIL_AS(SYNC, EIO);                                                                        \
        rc = NEXT(name) pass;                                                                      \
        TELL_AS(SYNC_AFTER, EIO, rc);                                                              \
    }

SYNCER(fdatasync, (int fd), (fd))
SYNCER(fsync, (int fd), (fd))
SYNCER(msync, (void *p, size_t size, int flags), (p, size, flags))

int ftruncate(int fd, off_t size)
{
    FAIL_AS(TRUNCATE, ENOSPC);
    return NEXT(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    FAIL_AS(TRUNCATE, ENOSPC);
    return NEXT(ftruncate64)(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    FAIL_AS(TRUNCATE, ENOSPC);
    return NEXT(fallocate)(fd, mode, offset, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
    FAIL_AS(TRUNCATE, ENOSPC);
    return NEXT(fallocate64)(fd, mode, offset, size);
}

void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    if (fd < 0 || !fails(MAP))
        return NEXT(mmap)(at, size, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
{
    if (fd < 0 || !fails(MAP))
        return NEXT(mmap64)(at, size, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

static bool is_lock(int command)
{
    return command == F_SETLK || command == F_SETLKW || command == F_GETLK;
}

int fcntl(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    if (is_lock(command))
        FAIL_AS(LOCK, ENOLCK);
    return NEXT(fcntl)(fd, command, arg);
}

int fcntl64(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    if (is_lock(command))
        FAIL_AS(LOCK, ENOLCK);
    return NEXT(fcntl64)(fd, command, arg);
}

int pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *user)
{
    if (fails(THREAD))
        return EAGAIN;
    return NEXT(pthread_create)(ret, attributes, fn, user);
}

/* -- one run ---------------------------------------------------------------------------------- */

static struct shared *shared;
static char dir[DIR_SIZE];
static const char *planted, *chosen;

struct loop {
    enum kind kind;
    unsigned scenario;
    bool ever, recovery;
    unsigned at; /* 0: nothing fails */
};

static bool fail_before(void)
{
    return fails(RM_BEFORE);
}

static bool fail_after(void)
{
    return fails(RM_AFTER);
}

static int obey(const struct loop *loop, bool recovery)
{
    const struct scenario *scenario = &hf_scenarios[loop->scenario];
    struct world w = {.dir = dir, .shared = shared, .temper = scenario->temper};
    int bad = 0;

    hf__bug_plant(planted);
    store_fail_calls(fail_before, fail_after);
    fault.kind = loop->kind;
    fault.ever = loop->ever;
    fault.at = loop->at;
    fault.armed = loop->at != 0;
    if (recovery)
        bad = world_recover(&w);
    else
        scenario->run(&w);
    fault.armed = false;
    shared->hits[0] = fault.calls;
    return bad;
}

/* Work, in which calls fail or which is killed. */
static int work(void *user)
{
    const struct loop *loop = user;
    struct loop calm = *loop;

    if (!loop->recovery)
        return obey(loop, false);
    calm.at = 0;
    if (hf__fault_set("commit:committed=kill@1,kv:prepared=kill@5") != 0)
        return 3;
    return obey(&calm, false);
}

/* Recovery in which calls fail: what it answers does not matter. */
static int recover_badly(void *user)
{
    (void)obey(user, true);
    return 0;
}

static int recover(void *user)
{
    struct loop calm = *(const struct loop *)user;

    calm.at = 0;
    return obey(&calm, true);
}

static int judge(void *user)
{
    const struct loop *loop = user;
    struct world w = {.dir = dir, .shared = shared, .temper = hf_scenarios[loop->scenario].temper};

    return world_judge(&w);
}

static bool violated(const struct loop *loop, const char *part, int status)
{
    const char *signal = rig_signal_text(status);

    fprintf(stderr, "crash_loops: VIOLATION in %s: %s\n    --only %s:%s:%s:%s:%u\n", part,
            signal != NULL ? signal : shared->complaint, kind_names[loop->kind],
            hf_scenarios[loop->scenario].name, loop->ever ? "ever" : "once",
            loop->recovery ? "recovery" : "work", loop->at);
    return true;
}

/* True: a violation. ret_calls: calls of the kind that were counted where some were to fail. */
static bool run(struct loop *loop, unsigned *ret_calls)
{
    int status;

    rig_dir_empty(dir);
    memset(shared, 0, sizeof(*shared));
    status = rig_process(work, loop);
    *ret_calls = (unsigned)shared->hits[0];
    if (!rig_ended_well(status) && !(loop->recovery && rig_was_killed(status)))
        return violated(loop, "the work", status);
    if (loop->recovery) {
        shared->hits[0] = 0;
        status = rig_process(recover_badly, loop);
        *ret_calls = (unsigned)shared->hits[0];
        if (!rig_ended_well(status))
            return violated(loop, "the recovery that fails", status);
    }
    status = rig_process(recover, loop);
    if (!rig_ended_well(status))
        return violated(loop, "recovery", status);
    status = rig_process(judge, loop);
    return !rig_ended_well(status) && violated(loop, "judgement", status);
}

/* n from 1 until a run has fewer calls than n. */
static void run_loop(struct loop loop, unsigned *runs, unsigned *violations)
{
    unsigned calls;

    do {
        loop.at++;
        *violations += run(&loop, &calls);
        (*runs)++;
    } while (calls >= loop.at && loop.at < CALLS_MAX);
    if (loop.at == CALLS_MAX) {
        fprintf(stderr, "crash_loops: %s never ends\n", kind_names[loop.kind]);
        (*violations)++;
    }
}

static unsigned find_scenario(const char *name)
{
    unsigned i = 0;

    while (i < hf_scenario_count && strcmp(hf_scenarios[i].name, name) != 0)
        i++;
    return i;
}

static const struct {
    const char *scenario;
    bool recovery;
} places[] = {{"two", false}, {"threads", false}, {"reopened", false}, {"two", true}};
enum { PLACES = sizeof(places) / sizeof(places[0]) };

/* All loops of a kind. A kind of which no call was ever seen proves nothing. */
static void run_kind(enum kind kind, unsigned *total, unsigned *violations)
{
    unsigned most = 0;

    for (unsigned i = 0; i < PLACES * 2; i++) {
        struct loop loop = {.kind = kind,
                            .scenario = find_scenario(places[i / 2].scenario),
                            .ever = i % 2 != 0,
                            .recovery = places[i / 2].recovery};
        unsigned runs = 0, bad = 0;

        if (planted != NULL && *violations > 0)
            return;
        run_loop(loop, &runs, &bad);
        printf("crash_loops: %-11s %-8s %-4s %-8s %5u runs, %u violations\n", kind_names[kind],
               places[i / 2].scenario, loop.ever ? "ever" : "once",
               loop.recovery ? "recovery" : "work", runs, bad);
        (void)fflush(stdout);
        *total += runs;
        *violations += bad;
        most = runs > most ? runs : most;
    }
    if (most < 2) {
        printf("crash_loops: no call of the kind %s was seen\n", kind_names[kind]);
        (*violations)++;
    }
}

static int all(void)
{
    unsigned total = 0, violations = 0;

    for (unsigned kind = 0; kind < KINDS; kind++)
        if (chosen == NULL || strcmp(chosen, kind_names[kind]) == 0)
            run_kind(kind, &total, &violations);
    printf("rig: %u runs with failing calls, %u violations\n", total, violations);
    printf("%u passed, %u failed\n", total - violations, violations);
    return violations == 0 && total > 0 ? 0 : 1;
}

static int only(const char *text)
{
    char kind[16], scenario[32], how[8], part[16];
    struct loop loop = {.kind = 0};
    unsigned calls;

    if (sscanf(text, "%15[^:]:%31[^:]:%7[^:]:%15[^:]:%u", kind, scenario, how, part, &loop.at) != 5)
        return 2;
    while (loop.kind < KINDS && strcmp(kind_names[loop.kind], kind) != 0)
        loop.kind++;
    loop.scenario = find_scenario(scenario);
    loop.ever = strcmp(how, "ever") == 0;
    loop.recovery = strcmp(part, "recovery") == 0;
    if (loop.kind == KINDS || loop.scenario == hf_scenario_count)
        return 2;
    if (run(&loop, &calls)) {
        printf("crash_loops: see %s\n", dir);
        return 1;
    }
    printf("crash_loops: no violation; %u calls\n", calls);
    return 0;
}

int main(int argc, char **argv)
{
    const char *one = NULL;
    int rc;

    shared = rig_share(sizeof(*shared));
    rig_dir_make(dir, sizeof(dir));
    for (; argc >= 3; argc -= 2, argv += 2) {
        if (strcmp(argv[1], "--plant") == 0)
            planted = argv[2];
        else if (strcmp(argv[1], "--kind") == 0)
            chosen = argv[2];
        else if (strcmp(argv[1], "--only") == 0)
            one = argv[2];
        else
            break;
    }
    rc = argc != 1 ? 2 : one != NULL ? only(one) : all();
    if (rc == 2)
        fprintf(stderr, "usage: crash_loops [--plant BUG] [--kind KIND] [--only KIND:SCENARIO:"
                        "once|ever:work|recovery:N]\n");
    if (rc != 1)
        rig_dir_remove(dir);
    return rc;
}
