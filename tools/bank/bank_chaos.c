/*
 * tools/bank/bank_chaos.c - kill the bank again and again, and have its books checked.
 *
 * Runs the bank as a child and reads what it says. At moments drawn from a seed, spread over the
 * whole list, it sends SIGKILL while transfers are in flight, starts the bank again, lets
 * recovery run and goes on, until the list is done and bank_verify has agreed.
 *
 *   K1  A kill counts only if it hit something: after the pipe is drained to its end, at least
 *       one "+ ID" has neither "= ID" nor "- ID". Others are made again.
 *   K2  What counts as acknowledged is what came out of the pipe, not what the bank thinks it said.
 *   K3  C and R are what recovery itself counted in the next process ("ready ..."), nothing is
 *       inferred.
 *   K4  "demo: ok" is said last, and only if the verifier agreed and every bar was reached.
 *       Whatever happens else, the last line is "demo: failed: ..." and the status 1.
 *   K5  No child outlives us: each is reaped, or killed when we are told to stop, or by the kernel.
 *
 * Threads: none. The signal handler kills the child; the loop then sees the end of the pipe.
 */
#define _GNU_SOURCE /* pipe2, nftw */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, ID_SIZE = 64, FLIGHT_MAX = 256 };
enum {
    SILENCE_MS = 60000,
    LATE_LEAST_US = 3000,
    LATE_MOST_US = 300000,
    AGAIN_MAX = 100,
    MISSES_MAX = 1000
};
enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AGAIN = 3 };

struct options {
    uint64_t kills, transfers, seed;
    uint64_t min_committed, min_rolledback, min_doubt_percent;
    const char *csv, *plant, *dir;
    char bank[PATH_SIZE], verify[PATH_SIZE];
    bool verify_each, keep;
};

/* One process of the bank. */
struct run {
    int out;         /* our end of its stdout */
    char text[4096]; /* read and not yet a whole line */
    size_t text_size;
    char flight[FLIGHT_MAX][ID_SIZE]; /* begun, and not heard of since */
    size_t flight_count;
    bool ready, done;
    uint64_t acked_us;                    /* when the last acknowledgement came; 0: none yet */
    uint64_t committed, rolledback, owed; /* from its "ready" */
};

struct chaos {
    struct options o;
    uint64_t random;  /* state of draw() */
    uint64_t total;   /* transfers in the list */
    uint64_t acked;   /* by all runs */
    uint64_t pace_us; /* from one acknowledgement to the next, smoothed */
    uint64_t kills, misses, in_doubt;
    uint64_t committed, rolledback; /* by recovery, over all runs */
    bool judge_kill; /* the last run was killed in flight: the next "ready" says whether in doubt */
    FILE *acked_file;
    char acked_path[PATH_SIZE], log_path[PATH_SIZE], csv_path[PATH_SIZE];
    char verdict[256]; /* the verifier's last line */
    bool bar;          /* stderr is a terminal */
    uint64_t bar_us;   /* when it was last drawn */
};

static volatile sig_atomic_t child_pid;    /* 0: none */
static volatile sig_atomic_t told_to_stop; /* the signal */

/* -- small things ---------------------------------------------------------------------------- */

/* Say why and be false: `return fail(...)`. */
static bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("demo: failed: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    return false;
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* splitmix64 */
static uint64_t draw(struct chaos *c, uint64_t below)
{
    uint64_t z = c->random += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return below == 0 ? 0 : (z ^ z >> 31) % below;
}

static bool join(char ret[PATH_SIZE], const char *dir, const char *name)
{
    return (size_t)snprintf(ret, PATH_SIZE, "%s/%s", dir, name) < PATH_SIZE;
}

static void draw_bar(struct chaos *c, bool now)
{
    enum { WIDTH = 30 };
    static const char full[WIDTH + 1] = "##############################";
    uint64_t t = now_us();
    int part = c->total == 0 ? 0 : (int)(c->acked * WIDTH / c->total);

    if (!c->bar || (!now && t - c->bar_us < 100000))
        return;
    c->bar_us = t;
    fprintf(stderr,
            "\r[%-*.*s] %" PRIu64 "/%" PRIu64 " transfers, %" PRIu64 "/%" PRIu64
            " kills, recovered %" PRIu64 " + %" PRIu64 " ",
            WIDTH, part, full, c->acked, c->total, c->kills, c->o.kills, c->committed,
            c->rolledback);
}

static void clear_bar(const struct chaos *c)
{
    if (c->bar)
        fprintf(stderr, "\r\033[K");
}

/* -- children -------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    pid_t pid = child_pid;

    told_to_stop = number;
    if (pid > 0)
        (void)kill(pid, SIGKILL); /* it may be gone already */
}

/* In the child. Its parent may have died before PR_SET_PDEATHSIG: then nobody waits for us. */
static void become(const char *const argv[], int out, int err, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
        _exit(127);
    execv(argv[0], (char *const *)argv); /* it changes nothing */
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/*
 * Start argv with its stdout in a pipe; its stderr goes to log_path, or to the pipe too if that
 * is NULL.
 */
static bool spawn(const char *const argv[], const char *log_path, int *ret_out)
{
    int pipe_fd[2], log_fd = -1;
    pid_t parent = getpid(), pid;
    sigset_t both, before;

    if (pipe2(pipe_fd, O_CLOEXEC) != 0)
        return fail("pipe: %s", strerror(errno));
    if (log_path != NULL)
        log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, &before); /* K5: no stop between fork and child_pid */
    pid = log_path != NULL && log_fd < 0 ? -1 : fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(argv, pipe_fd[1], log_fd < 0 ? pipe_fd[1] : log_fd, parent);
    }
    if (pid > 0)
        child_pid = pid;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && told_to_stop)
        (void)kill(pid, SIGKILL); /* the signal came before there was a child */
    close(pipe_fd[1]);
    if (log_fd >= 0)
        close(log_fd);
    if (pid < 0) {
        close(pipe_fd[0]);
        return fail("cannot start %s: %s", argv[0], strerror(errno));
    }
    *ret_out = pipe_fd[0];
    return true;
}

/* Until the second wait its number is not given to anybody else, whom on_signal() could hit. */
static int reap(void)
{
    pid_t pid = child_pid;
    siginfo_t info;
    int status = 0;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue;
    child_pid = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* The last lines of the bank's log, for a failure; said before it. */
static void show_log_tail(const struct chaos *c)
{
    char tail[1200];
    FILE *file = fopen(c->log_path, "r");
    size_t size;

    if (file == NULL)
        return;
    if (fseek(file, -(long)(sizeof(tail) - 1), SEEK_END) != 0)
        rewind(file); /* it is shorter */
    size = fread(tail, 1, sizeof(tail) - 1, file);
    tail[size] = '\0';
    (void)fclose(file); /* only read from */
    if (size > 0)
        printf("the end of %s:\n%s%s", c->log_path, tail, tail[size - 1] == '\n' ? "" : "\n");
}

static void describe_end(int status, char ret[80])
{
    if (WIFSIGNALED(status))
        snprintf(ret, 80, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(ret, 80, "exited with %d", WEXITSTATUS(status));
}

/* -- what the bank says ---------------------------------------------------------------------- */

static size_t find_flight(const struct run *r, const char *id)
{
    size_t i = 0;

    while (i < r->flight_count && strcmp(r->flight[i], id) != 0)
        i++;
    return i;
}

static bool hear_ready(struct run *r, const char *line)
{
    r->ready = sscanf(line,
                      "ready recovered_committed=%" SCNu64 " recovered_rolledback=%" SCNu64
                      " owed=%" SCNu64,
                      &r->committed, &r->rolledback, &r->owed) == 3;
    return r->ready;
}

static bool hear_begun(struct run *r, const char *id)
{
    if (r->flight_count == FLIGHT_MAX || strlen(id) >= ID_SIZE ||
        find_flight(r, id) < r->flight_count)
        return false;
    memcpy(r->flight[r->flight_count++], id, strlen(id) + 1);
    return true;
}

static bool hear_ended(struct run *r, char *id)
{
    size_t i;

    id[strcspn(id, " ")] = '\0'; /* a code may follow */
    i = find_flight(r, id);
    if (i == r->flight_count)
        return false;
    memmove(r->flight[i], r->flight[--r->flight_count], ID_SIZE);
    return true;
}

static bool hear_acked(struct chaos *c, struct run *r, char *id)
{
    uint64_t t = now_us();

    if (r->acked_us != 0)
        c->pace_us = (7 * c->pace_us + t - r->acked_us) / 8;
    r->acked_us = t;
    c->acked++;
    return hear_ended(r, id) && fprintf(c->acked_file, "%s\n", id) > 0;
}

/* False: not the protocol at the head of bank.c. */
static bool hear(struct chaos *c, struct run *r, char *line)
{
    if (strncmp(line, "ready ", 6) == 0)
        return hear_ready(r, line);
    if (strncmp(line, "+ ", 2) == 0)
        return hear_begun(r, line + 2);
    if (strncmp(line, "- ", 2) == 0)
        return hear_ended(r, line + 2);
    if (strncmp(line, "= ", 2) == 0)
        return hear_acked(c, r, line + 2);
    r->done = strncmp(line, "done ", 5) == 0;
    return r->done;
}

/*
 * Take the whole lines out of the buffer. A killed bank leaves no part of one: each is one
 * write(2).
 */
static bool hear_all(struct chaos *c, struct run *r)
{
    char *start = r->text, *end;

    while ((end = memchr(start, '\n', r->text_size - (size_t)(start - r->text))) != NULL) {
        *end = '\0';
        if (!hear(c, r, start))
            return fail("the bank said what it should not: %s", start);
        start = end + 1;
    }
    r->text_size -= (size_t)(start - r->text);
    memmove(r->text, start, r->text_size);
    return r->text_size < sizeof(r->text) || fail("the bank said an endless line");
}

enum heard { HEARD, HEARD_END, HEARD_WRONG };

static enum heard listen(struct chaos *c, struct run *r)
{
    struct pollfd p = {.fd = r->out, .events = POLLIN};
    int ready = poll(&p, 1, SILENCE_MS);
    ssize_t size;

    if (ready < 0 && errno == EINTR)
        return HEARD;
    if (ready == 0) {
        fail("the bank was silent for %d seconds", SILENCE_MS / 1000);
        return HEARD_WRONG;
    }
    size = read(r->out, r->text + r->text_size, sizeof(r->text) - r->text_size);
    if (size < 0 && errno == EINTR)
        return HEARD;
    if (size <= 0)
        return HEARD_END;
    r->text_size += (size_t)size;
    return hear_all(c, r) ? HEARD : HEARD_WRONG;
}

/* -- one run of the bank --------------------------------------------------------------------- */

static bool start_bank(struct chaos *c, struct run *r, bool recover_only)
{
    char transfers[24], seed[24];
    const char *argv[10];
    int n = 0;

    snprintf(transfers, sizeof(transfers), "%" PRIu64, c->o.transfers);
    snprintf(seed, sizeof(seed), "%" PRIu64, c->o.seed);
    argv[n++] = c->o.bank;
    if (recover_only)
        argv[n++] = "--recover-only";
    argv[n++] = c->o.csv != NULL ? "--csv" : "--csv-out";
    argv[n++] = c->csv_path;
    argv[n++] = "--transfers";
    argv[n++] = transfers;
    argv[n++] = "--seed";
    argv[n++] = seed;
    argv[n++] = c->o.dir;
    argv[n] = NULL;
    memset(r, 0, sizeof(*r));
    return spawn(argv, c->log_path, &r->out);
}

static void take_recovery(struct chaos *c, const struct run *r)
{
    c->committed += r->committed;
    c->rolledback += r->rolledback;
    if (c->judge_kill && r->committed + r->rolledback > 0)
        c->in_doubt++;
    c->judge_kill = false;
}

/*
 * A little later than the moment that was asked for. That moment is an acknowledgement, so the
 * delay is drawn from the time of two transfers, however slow the machine: every step of a commit
 * is hit.
 */
static void kill_bank(struct chaos *c)
{
    uint64_t most = 2 * c->pace_us, late;
    struct timespec delay;

    if (most < LATE_LEAST_US)
        most = LATE_LEAST_US;
    if (most > LATE_MOST_US)
        most = LATE_MOST_US;
    late = draw(c, most + 1);
    delay = (struct timespec){0, (long)late * 1000};
    (void)nanosleep(&delay, NULL);         /* a signal may cut it short */
    (void)kill((pid_t)child_pid, SIGKILL); /* it may have ended: its status says so */
}

/*
 * Run the bank to its end, or kill it once `target` transfers are acknowledged and some are in
 * flight. ret_status is its wait status.
 */
static bool run_bank(struct chaos *c, struct run *r, bool recover_only, uint64_t target,
                     int *ret_status)
{
    enum heard heard = HEARD;
    bool killed = false, taken = false;

    if (!start_bank(c, r, recover_only))
        return false;
    while (heard == HEARD) {
        heard = listen(c, r);
        draw_bar(c, false);
        if (r->ready && !taken) {
            take_recovery(c, r);
            taken = true;
        }
        if (!killed && c->acked >= target && r->flight_count > 0) {
            kill_bank(c);
            killed = true; /* go on to the end of the pipe: K1, K2 */
        }
    }
    if (heard == HEARD_WRONG)
        (void)kill((pid_t)child_pid, SIGKILL); /* what it does now is of no interest */
    close(r->out);
    *ret_status = reap();
    if (fflush(c->acked_file) != 0)
        return fail("%s: %s", c->acked_path, strerror(errno));
    if (told_to_stop)
        return fail("stopped by signal %d", (int)told_to_stop);
    if (heard == HEARD_WRONG)
        return false;
    return r->owed == 0 || fail("recovery left %" PRIu64 " branches owed", r->owed);
}

static bool bad_end(const struct chaos *c, int status)
{
    char end[80];

    describe_end(status, end);
    show_log_tail(c);
    return fail("the bank %s", end);
}

/* -- the verifier ---------------------------------------------------------------------------- */

/* All that it says, or as much as fits; the rest is read and dropped. False: it fell silent. */
static bool read_all(int fd, char *ret, size_t room)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char dropped[4096];
    size_t used = 0;
    ssize_t size = 1;
    int ready = 1;

    while (size > 0 && ready != 0) {
        bool fits = used + 1 < room;

        ready = poll(&p, 1, SILENCE_MS);
        if (ready <= 0)
            continue; /* a signal: its handler ended the child */
        size = read(fd, fits ? ret + used : dropped, fits ? room - used - 1 : sizeof(dropped));
        used += fits && size > 0 ? (size_t)size : 0;
    }
    ret[used] = '\0';
    return ready != 0;
}

static bool verify(struct chaos *c, bool partial)
{
    const char *argv[8];
    char said[16384], end[80];
    char *last;
    int n = 0, out, status;
    bool silent;

    argv[n++] = c->o.verify;
    if (partial)
        argv[n++] = "--partial";
    argv[n++] = "--acked";
    argv[n++] = c->acked_path;
    argv[n++] = "--csv";
    argv[n++] = c->csv_path;
    argv[n++] = c->o.dir;
    argv[n] = NULL;
    if (!spawn(argv, NULL, &out))
        return false;
    silent = !read_all(out, said, sizeof(said));
    if (silent)
        (void)kill((pid_t)child_pid, SIGKILL); /* its end is told below */
    close(out);
    status = reap();
    if (told_to_stop)
        return fail("stopped by signal %d", (int)told_to_stop);
    describe_end(status, end);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("%s", said);
        return fail("after %" PRIu64 " kills the verifier %s%s", c->kills,
                    silent ? "was silent for a minute and " : "", end);
    }
    said[strcspn(said, "\n")] = '\0';
    last = strstr(said, "verify: ok: ");
    if (last == NULL)
        return fail("the verifier %s and did not say that all is well", end);
    snprintf(c->verdict, sizeof(c->verdict), "%s", last);
    return true;
}

/*
 * After a kill: recover in a process of its own, and look at the stores before more is done to
 * them.
 */
static bool verify_now(struct chaos *c)
{
    struct run *r = malloc(sizeof(*r));
    int status;
    bool good = r != NULL ? run_bank(c, r, true, UINT64_MAX, &status) : fail("out of memory");

    if (good && (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !r->ready))
        good = bad_end(c, status);
    free(r);
    return good && verify(c, true);
}

/* -- the whole ------------------------------------------------------------------------------- */

/*
 * The number of acknowledgements at which kill i comes: one in each of `kills` equal parts of the
 * list. The last tenth stays free for what is lost on the way: transfers that recovery commits
 * are never acknowledged.
 */
static uint64_t kill_target(struct chaos *c, uint64_t i)
{
    uint64_t span = c->total - c->total / 10;
    uint64_t from = span * i / c->o.kills, to = span * (i + 1) / c->o.kills;

    return from + draw(c, to - from);
}

static bool count_kill(struct chaos *c, const struct run *r)
{
    if (r->flight_count == 0) {
        c->misses++;
        return c->misses < MISSES_MAX || fail("%d kills hit nothing in flight", MISSES_MAX);
    }
    c->kills++;
    c->judge_kill = true;
    draw_bar(c, true);
    return !c->o.verify_each || verify_now(c);
}

/* Run and kill until the list is done. */
static bool wreak(struct chaos *c, struct run *r)
{
    uint64_t target = UINT64_MAX;
    uint64_t aimed_at = UINT64_MAX; /* the kill that target is for */
    unsigned again = 0;
    int status;

    for (;;) {
        if (c->kills == c->o.kills)
            target = UINT64_MAX;
        else if (aimed_at != c->kills)
            target = kill_target(c, aimed_at = c->kills);
        if (!run_bank(c, r, false, target, &status))
            return false;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && c->acked >= target) {
            if (!count_kill(c, r))
                return false;
        } else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_AGAIN) {
            if (++again > AGAIN_MAX)
                return fail("the bank asked to be started again %u times", again);
        } else if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && r->done) {
            break;
        } else {
            return bad_end(c, status);
        }
    }
    if (c->kills < c->o.kills)
        return fail("the bank was through with %" PRIu64 " transfers after %" PRIu64 " of %" PRIu64
                    " kills: use more transfers",
                    c->total, c->kills, c->o.kills);
    return true;
}

/* The library calls what an operator has to look at an alarm. A kill is no reason for one. */
static bool hear_no_alarm(const struct chaos *c)
{
    static const char mark[] = "bank: alarm: ";
    FILE *file = fopen(c->log_path, "r");
    char *line = NULL;
    size_t room = 0;
    bool good = file != NULL || fail("%s: %s", c->log_path, strerror(errno));

    while (good && getline(&line, &room, file) >= 0)
        if (strncmp(line, mark, strlen(mark)) == 0)
            good = fail("an alarm: %.*s", (int)strcspn(line + strlen(mark), "\n"),
                        line + strlen(mark));
    free(line);
    if (file != NULL)
        (void)fclose(file); /* only read from */
    return good;
}

/* K4 */
static bool reach_bars(const struct chaos *c)
{
    const struct options *o = &c->o;
    uint64_t percent = c->kills == 0 ? 0 : c->in_doubt * 100 / c->kills;
    uint64_t committed = o->min_committed > 1 ? o->min_committed : 1;
    uint64_t rolledback = o->min_rolledback > 1 ? o->min_rolledback : 1;

    printf("%s\n", c->verdict);
    printf("demo: in doubt at %" PRIu64 "%% of kills (%" PRIu64 " of %" PRIu64 "), %" PRIu64
           " kills hit nothing and were made again\n",
           percent, c->in_doubt, c->kills, c->misses);
    if (c->committed < committed)
        return fail("recovery committed %" PRIu64 ", not %" PRIu64 " or more", c->committed,
                    committed);
    if (c->rolledback < rolledback)
        return fail("recovery rolled back %" PRIu64 ", not %" PRIu64 " or more", c->rolledback,
                    rolledback);
    if (percent < o->min_doubt_percent)
        return fail("in doubt at %" PRIu64 "%% of kills, not %" PRIu64 "%% or more", percent,
                    o->min_doubt_percent);
    return true;
}

/* Lines but the header. Whether they are good is for the bank to say. */
static bool count_transfers(struct chaos *c)
{
    FILE *file;
    char *line = NULL;
    size_t room = 0;

    c->total = c->o.transfers;
    if (c->o.csv == NULL)
        return true;
    file = fopen(c->o.csv, "r");
    if (file == NULL)
        return fail("%s: %s", c->o.csv, strerror(errno));
    for (c->total = 0; getline(&line, &room, file) >= 0; c->total++)
        continue;
    c->total -= c->total > 0;
    free(line);
    (void)fclose(file); /* only read from */
    return true;
}

/*
 * DIR must be ours alone: an older bank's transfers are done already. rmdir() refuses what is not
 * empty.
 */
static bool prepare(struct chaos *c)
{
    const struct options *o = &c->o;

    if (rmdir(o->dir) != 0 && errno != ENOENT)
        return fail("%s: not an empty or a new directory: %s", o->dir, strerror(errno));
    if (mkdir(o->dir, 0700) != 0)
        return fail("%s: %s", o->dir, strerror(errno));
    if (!join(c->acked_path, o->dir, "acked") || !join(c->log_path, o->dir, "bank.log") ||
        !join(c->csv_path, o->dir, "transfers.csv"))
        return fail("%s: the path is too long", o->dir);
    if (o->csv != NULL)
        snprintf(c->csv_path, PATH_SIZE, "%s", o->csv);
    c->acked_file = fopen(c->acked_path, "w");
    if (c->acked_file == NULL)
        return fail("%s: %s", c->acked_path, strerror(errno));
    return count_transfers(c);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static bool play(struct chaos *c)
{
    struct run *r = malloc(sizeof(*r));
    bool good = r != NULL ? prepare(c) && wreak(c, r) : fail("out of memory");

    free(r);
    clear_bar(c);
    if (c->acked_file != NULL && fclose(c->acked_file) != 0)
        good = good && fail("%s: %s", c->acked_path, strerror(errno));
    if (!good || !verify(c, false) || !hear_no_alarm(c) || !reach_bars(c))
        return false;
    if (!c->o.keep && nftw(c->o.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return fail("%s: cannot be removed: %s", c->o.dir, strerror(errno));
    return true;
}

/* -- the command line ------------------------------------------------------------------------ */

static const char USAGE[] =
    "usage: bank_chaos [options] DIR\n"
    "  --kills N               kill the bank so many times while transfers are in flight (24)\n"
    "  --transfers N           make so many transfers (20000)\n"
    "  --csv FILE              or take these: id,from,to,amount\n"
    "  --seed S                for transfers and moments; drawn and said if not given\n"
    "  --verify-each           verify after each kill, not only at the end\n"
    "  --min-committed K       fail unless recovery committed this many\n"
    "  --min-rolledback K      ... rolled back this many\n"
    "  --min-doubt-percent P   ... found something in doubt after so many kills\n"
    "  --bank PATH, --verify PATH   the programs, if not beside this one\n"
    "  --plant BUG             run bank_faulty with this mistake planted in it\n"
    "  --keep                  do not remove DIR at the end; after a failure it always stays\n";

static bool take_number(const char *text, uint64_t most, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *ret <= most;
}

/* The programs stand beside this one. */
static bool beside(const char *name, char ret[PATH_SIZE])
{
    char self[PATH_SIZE];
    ssize_t size;

    if (ret[0] != '\0')
        return true;
    size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size < 0)
        return false;
    self[size] = '\0';
    *strrchr(self, '/') = '\0';
    return join(ret, self, name);
}

static bool read_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"kills", 1, NULL, 'k'},          {"bank", 1, NULL, 'b'},
        {"verify", 1, NULL, 'v'},         {"transfers", 1, NULL, 'n'},
        {"seed", 1, NULL, 's'},           {"csv", 1, NULL, 'c'},
        {"verify-each", 0, NULL, 'e'},    {"min-committed", 1, NULL, 'C'},
        {"min-rolledback", 1, NULL, 'R'}, {"min-doubt-percent", 1, NULL, 'P'},
        {"keep", 0, NULL, 'K'},           {"plant", 1, NULL, 'p'},
        {"help", 0, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    bool good = true;
    int letter;

    while (good && (letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (letter) {
        case 'k':
            good = take_number(optarg, 100000, &o->kills) && o->kills > 0;
            break;
        case 'n':
            good = take_number(optarg, 100000000, &o->transfers);
            break;
        case 's':
            good = take_number(optarg, UINT64_MAX, &o->seed);
            break;
        case 'C':
            good = take_number(optarg, UINT64_MAX, &o->min_committed);
            break;
        case 'R':
            good = take_number(optarg, UINT64_MAX, &o->min_rolledback);
            break;
        case 'P':
            good = take_number(optarg, 100, &o->min_doubt_percent);
            break;
        case 'b':
            good = (size_t)snprintf(o->bank, PATH_SIZE, "%s", optarg) < PATH_SIZE;
            break;
        case 'v':
            good = (size_t)snprintf(o->verify, PATH_SIZE, "%s", optarg) < PATH_SIZE;
            break;
        case 'c':
            o->csv = optarg;
            break;
        case 'p':
            o->plant = optarg;
            break;
        case 'e':
            o->verify_each = true;
            break;
        case 'K':
            o->keep = true;
            break;
        case 'h':
            fputs(USAGE, stdout);
            exit(EXIT_SUCCESS);
        default:
            good = false;
        }
    }
    if (!good || argc - optind != 1) {
        fputs(USAGE, stderr);
        return false;
    }
    o->dir = argv[optind];
    return true;
}

static bool get_ready(struct chaos *c)
{
    struct options *o = &c->o;
    struct sigaction action = {.sa_handler = on_signal};

    if (!beside(o->plant != NULL ? "bank_faulty" : "bank", o->bank) ||
        !beside("bank_verify", o->verify))
        return fail("cannot tell where the bank is: use --bank and --verify");
    if (o->plant != NULL && setenv("HOLDFAST_BUG", o->plant, 1) != 0)
        return fail("out of memory");
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0)
        return fail("sigaction: %s", strerror(errno));
    c->bar = isatty(STDERR_FILENO) == 1;
    c->random = o->seed;
    return true;
}

int main(int argc, char **argv)
{
    static struct chaos c = {.o = {.kills = 24, .transfers = 20000}};

    c.o.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
    if (!read_options(argc, argv, &c.o))
        return EXIT_USAGE;
    setlinebuf(stdout);
    printf("demo: seed %" PRIu64 ", directory %s\n", c.o.seed, c.o.dir);
    if (!get_ready(&c) || !play(&c))
        return EXIT_FAILED;
    printf("demo: ok: %" PRIu64 " transfers, %" PRIu64 " kills, %" PRIu64 " committed and %" PRIu64
           " rolled back by recovery, 0 lost, total unchanged\n",
           c.total, c.kills, c.committed, c.rolledback);
    return EXIT_SUCCESS;
}
