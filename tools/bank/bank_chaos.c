/*
 * tools/bank/bank_chaos.c - kill the bank again and again, and have its books checked.
 *
 * Runs the bank as a child and reads what it says. At moments drawn from a seed, spread over the
 * whole list, it sends SIGKILL while transfers are in flight, starts the bank again, lets
 * recovery run and goes on, until the list is done and bank_verify has agreed. With --servers the
 * bank is bank_sql; in turn each of its two servers is killed, too, and started again, and the bank
 * has to go on by itself.
 *
 *   K1  A kill counts only if it hit something: after the pipe is drained to its end, at least
 *       one "+ ID" has neither "= ID" nor "- ID". With a server's it may have "- ID", when that is
 *       gone. Others are made again.
 *   K2  What counts as acknowledged is what came out of the pipe, not what the bank thinks it said.
 *   K3  C and R are what recovery itself counted in the next process ("ready ..."), nothing is
 *       inferred.
 *   K4  "demo: ok" is said last, and only if the verifier agreed and every bar was reached.
 *       Whatever happens else, the last line is "demo: failed: ..." and the status 1.
 *   K5  No child outlives us: each is reaped, or killed when we are told to stop, or by the kernel.
 *       So it is with the servers (bank_servers.c).
 *   K6  A server's kill counts once a transfer was acknowledged after its start, by the same bank.
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

#include "bank_servers.h"

enum { PATH_SIZE = 4096, ID_SIZE = 64, FLIGHT_MAX = 256 };
enum {
    SILENCE_MS = 60000,
    LATE_LEAST_US = 3000,
    LATE_MOST_US = 300000,
    AGAIN_MAX = 100,
    MISSES_MAX = 1000
};
enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AGAIN = 3 };

enum { KILLS = 24, TRANSFERS = 20000 };                               /* presets */
enum { SQL_KILLS = 24, SQL_SERVER_KILLS = 6, SQL_TRANSFERS = 12000 }; /* with --servers */

struct options {
    uint64_t kills, transfers; /* NOT_GIVEN, until preset() */
    uint64_t server_kills;     /* of each server; the same */
    uint64_t min_committed;    /* the same */
    uint64_t seed, min_rolledback, min_doubt_percent;
    const char *csv, *plant, *dir;
    const char *servers; /* the script that runs them; NULL: there are none */
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
    bool ready, done, killed;
    uint64_t acked_us;                    /* when the last acknowledgement came; 0: none yet */
    uint64_t committed, rolledback, owed; /* from its "ready" */
};

/* What is being done to a server. */
struct outage {
    enum { UP, KILLING, STARTING, STARTED } state;
    enum server which;
    const char *how;      /* for people */
    uint64_t killed_us;   /* when it was told */
    uint64_t acked;       /* transfers acknowledged when it served again */
    uint64_t tried_again; /* the whole's when it was told */
    uint64_t hit;         /* that were under way when it died: K1 */
};

struct chaos {
    struct options o;
    struct servers servers;
    struct outage outage;
    uint64_t random;              /* state of draw() */
    uint64_t total;               /* transfers in the list */
    uint64_t acked;               /* by all runs */
    uint64_t pace_us;             /* from one acknowledgement to the next, smoothed */
    uint64_t events, event_total; /* kills of whatever it be: that counted, and all to be made */
    uint64_t aimed_at;            /* the event that target is for; UINT64_MAX: none yet */
    uint64_t target;              /* acknowledgements at which it comes */
    uint64_t tried_again;         /* tries that failed */
    uint64_t server_kills[SERVER_COUNT];
    uint64_t kills, misses, in_doubt; /* of the bank; of whatever; of the bank */
    uint64_t committed, rolledback;   /* by recovery, over all runs */
    bool judge_kill; /* the last run was killed in flight: the next "ready" says whether in doubt */
    FILE *acked_file;
    char acked_path[PATH_SIZE], log_path[PATH_SIZE], csv_path[PATH_SIZE];
    char verdict[256]; /* the verifier's last line */
    bool bar;          /* stderr is a terminal */
    uint64_t bar_us;   /* when it was last drawn */
};

static const uint64_t NOT_GIVEN = UINT64_MAX;

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
            WIDTH, part, full, c->acked, c->total, c->events, c->event_total, c->committed,
            c->rolledback);
}

static void clear_bar(const struct chaos *c)
{
    if (c->bar)
        fprintf(stderr, "\r\033[K");
}

/* What happens at a kill; with servers only, where there are few and each takes its time. */
static void tell(const struct chaos *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(const struct chaos *c, const char *format, ...)
{
    va_list args;

    if (c->o.servers == NULL)
        return;
    clear_bar(c);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
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
    if (strncmp(line, "- ", 2) == 0) {
        c->tried_again++;
        return hear_ended(r, line + 2);
    }
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

/* -- the servers ----------------------------------------------------------------------------- */

static bool ask_server(struct chaos *c, const char *verb)
{
    return servers_ask(&c->servers, verb, c->outage.which) ||
           fail("%s: it is gone; see %s", c->o.servers, c->log_path);
}

/* The answer to the last thing that was asked of them. */
static bool hear_servers(struct chaos *c, const struct run *r)
{
    struct outage *o = &c->outage;
    const char *title = server_titles[o->which];

    if (!servers_hear(&c->servers))
        return told_to_stop || fail("%s could not be %s; see %s", title,
                                    o->state == KILLING ? "killed" : "started", c->log_path);
    if (o->state == STARTING) {
        o->state = STARTED;
        o->acked = c->acked;
        return true;
    }
    o->state = STARTING;
    o->hit = r->flight_count + c->tried_again - o->tried_again;
    if (o->hit > 0)
        tell(c,
             "demo: kill %" PRIu64 " of %" PRIu64 ": %s (%s), after %" PRIu64 " transfers, %" PRIu64
             " under way\n",
             c->events + 1, c->event_total, title, o->how, c->acked, o->hit);
    return ask_server(c, "start");
}

/* K1, K6 */
static bool count_outage(struct chaos *c)
{
    struct outage *o = &c->outage;

    o->state = UP;
    if (o->hit == 0) {
        c->misses++;
        return c->misses < MISSES_MAX || fail("%d kills hit nothing in flight", MISSES_MAX);
    }
    tell(c,
         "demo:     started again: the same bank went on after %.1f s; tried again: %" PRIu64 "\n",
         (double)(now_us() - o->killed_us) / 1e6, c->tried_again - o->tried_again);
    c->server_kills[o->which]++;
    c->events++;
    return true;
}

static enum heard hear_bank(struct chaos *c, struct run *r)
{
    ssize_t size = read(r->out, r->text + r->text_size, sizeof(r->text) - r->text_size);

    if (size < 0 && errno == EINTR)
        return HEARD;
    if (size <= 0)
        return HEARD_END;
    r->text_size += (size_t)size;
    return hear_all(c, r) ? HEARD : HEARD_WRONG;
}

/* The bank goes first: when we hear that a server is gone, we know what was said before. */
static enum heard listen(struct chaos *c, struct run *r)
{
    bool answers = c->outage.state == KILLING || c->outage.state == STARTING;
    struct pollfd p[2] = {{.fd = r->out, .events = POLLIN},
                          {.fd = answers ? c->servers.answers : -1, .events = POLLIN}};
    int ready = poll(p, 2, SILENCE_MS);

    if (ready < 0 && errno == EINTR)
        return HEARD;
    if (ready == 0) {
        fail("the bank was silent for %d seconds", SILENCE_MS / 1000);
        return HEARD_WRONG;
    }
    if (p[0].revents != 0)
        return hear_bank(c, r);
    return hear_servers(c, r) ? HEARD : HEARD_WRONG;
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
    if (c->judge_kill)
        tell(c,
             "demo:     started again: recovery committed %" PRIu64 " and rolled back %" PRIu64
             "\n",
             r->committed, r->rolledback);
    c->judge_kill = false;
}

/*
 * A little later than the moment that was asked for. That moment is an acknowledgement, so the
 * delay is drawn from the time of two transfers, however slow the machine: every step of a commit
 * is hit.
 */
static void wait_a_little(struct chaos *c)
{
    uint64_t most = 2 * c->pace_us, late;
    struct timespec delay;

    if (most < LATE_LEAST_US)
        most = LATE_LEAST_US;
    if (most > LATE_MOST_US)
        most = LATE_MOST_US;
    late = draw(c, most + 1);
    delay = (struct timespec){0, (long)late * 1000};
    (void)nanosleep(&delay, NULL); /* a signal may cut it short */
}

/*
 * What is killed at event i. Those of the servers, PostgreSQL and MariaDB in turn, are spread over
 * the bank's. False: the bank.
 */
static bool is_server(const struct chaos *c, uint64_t i, uint64_t *ret_number)
{
    uint64_t servers = c->event_total - c->o.kills;

    *ret_number = i * servers / c->event_total;
    return (i + 1) * servers / c->event_total > *ret_number;
}

/* The bank, or a server while the bank goes on. PostgreSQL is stopped at once every other time. */
static bool strike(struct chaos *c, struct run *r)
{
    bool immediate;
    uint64_t number;

    wait_a_little(c);
    if (!is_server(c, c->events, &number)) {
        (void)kill((pid_t)child_pid, SIGKILL); /* it may have ended: its status says so */
        r->killed = true;                      /* go on to the end of the pipe: K1, K2 */
        return true;
    }
    immediate = number % SERVER_COUNT == SERVER_POSTGRES && number / SERVER_COUNT % 2 == 1;
    c->outage = (struct outage){.state = KILLING,
                                .which = (enum server)(number % SERVER_COUNT),
                                .how = immediate ? "immediate stop" : "SIGKILL",
                                .killed_us = now_us(),
                                .tried_again = c->tried_again};
    r->acked_us = 0; /* the time until the next acknowledgement is not the bank's pace */
    return ask_server(c, immediate ? "immediate" : "kill");
}

/*
 * The number of acknowledgements at which event i comes: one in each of so many equal parts of the
 * list. The last tenth stays free for what is lost on the way: transfers that recovery commits
 * are never acknowledged.
 */
static uint64_t event_target(struct chaos *c, uint64_t i)
{
    uint64_t span = c->total - c->total / 10;
    uint64_t from = span * i / c->event_total, to = span * (i + 1) / c->event_total;

    return from + draw(c, to - from);
}

/* Is it time for the next event? Each gets its moment once: one that hit nothing keeps it. */
static bool is_due(struct chaos *c, const struct run *r)
{
    if (r->killed || c->outage.state != UP || c->events == c->event_total)
        return false;
    if (c->aimed_at != c->events) {
        c->aimed_at = c->events;
        c->target = event_target(c, c->events);
    }
    return c->acked >= c->target && r->flight_count > 0;
}

/* After something was heard. */
static bool go_on(struct chaos *c, struct run *r, bool recover_only)
{
    if (c->outage.state == STARTED && c->acked > c->outage.acked)
        return count_outage(c);
    return recover_only || !is_due(c, r) || strike(c, r);
}

/*
 * Run the bank to its end, or kill it when that is due; servers are killed meanwhile. ret_status is
 * its wait status.
 */
static bool run_bank(struct chaos *c, struct run *r, bool recover_only, int *ret_status)
{
    enum heard heard = HEARD;
    bool taken = false;

    if (!start_bank(c, r, recover_only))
        return false;
    while (heard == HEARD) {
        heard = listen(c, r);
        draw_bar(c, false);
        if (r->ready && !taken) {
            take_recovery(c, r);
            taken = true;
        }
        if (heard == HEARD && !go_on(c, r, recover_only))
            heard = HEARD_WRONG;
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
        return fail("after %" PRIu64 " kills the verifier %s%s", c->events,
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
    bool good = r != NULL ? run_bank(c, r, true, &status) : fail("out of memory");

    if (good && (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !r->ready))
        good = bad_end(c, status);
    free(r);
    return good && verify(c, true);
}

/* -- the whole ------------------------------------------------------------------------------- */

static bool count_kill(struct chaos *c, const struct run *r)
{
    if (r->flight_count == 0) {
        c->misses++;
        return c->misses < MISSES_MAX || fail("%d kills hit nothing in flight", MISSES_MAX);
    }
    c->kills++;
    c->events++;
    c->judge_kill = true;
    tell(c,
         "demo: kill %" PRIu64 " of %" PRIu64 ": the bank (SIGKILL), after %" PRIu64
         " transfers, %zu under way\n",
         c->events, c->event_total, c->acked, r->flight_count);
    draw_bar(c, true);
    return !c->o.verify_each || verify_now(c);
}

/* Run and kill until the list is done. */
static bool wreak(struct chaos *c, struct run *r)
{
    unsigned again = 0;
    int status;

    for (;;) {
        if (!run_bank(c, r, false, &status))
            return false;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && r->killed) {
            if (!count_kill(c, r))
                return false;
        } else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_AGAIN) {
            if (c->outage.state != UP)
                return fail("the bank asked to be started again while %s was away",
                            server_titles[c->outage.which]);
            if (++again > AGAIN_MAX)
                return fail("the bank asked to be started again %u times", again);
        } else if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && r->done) {
            break;
        } else {
            return bad_end(c, status);
        }
    }
    if (c->events < c->event_total)
        return fail("the bank was through with %" PRIu64 " transfers after %" PRIu64 " of %" PRIu64
                    " kills: use more transfers",
                    c->total, c->events, c->event_total);
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

    printf("%s\n", c->verdict);
    printf("demo: in doubt at %" PRIu64 "%% of kills (%" PRIu64 " of %" PRIu64 "), %" PRIu64
           " kills hit nothing and were made again\n",
           percent, c->in_doubt, c->kills, c->misses);
    if (c->committed < o->min_committed)
        return fail("recovery committed %" PRIu64 ", not %" PRIu64 " or more", c->committed,
                    o->min_committed);
    if (c->rolledback < o->min_rolledback)
        return fail("recovery rolled back %" PRIu64 ", not %" PRIu64 " or more", c->rolledback,
                    o->min_rolledback);
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

static bool start_servers(struct chaos *c)
{
    tell(c, "demo: making a PostgreSQL and a MariaDB\n");
    if (!servers_start(&c->servers, c->o.servers, c->o.dir, c->log_path))
        return fail("%s: cannot be started: %s", c->o.servers, strerror(errno));
    if (servers_hear(&c->servers))
        return true;
    if (told_to_stop)
        return fail("stopped by signal %d", (int)told_to_stop);
    show_log_tail(c);
    return fail("%s made no servers", c->o.servers);
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
    return count_transfers(c) && (o->servers == NULL || start_servers(c));
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
    good = good && verify(c, false);
    servers_end(&c->servers); /* their logs are in DIR then */
    if (!good || !hear_no_alarm(c) || !reach_bars(c))
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
    "  --min-committed K       fail unless recovery committed this many (1; with --servers 0)\n"
    "  --min-rolledback K      ... rolled back this many (1)\n"
    "  --min-doubt-percent P   ... found something in doubt after so many kills\n"
    "  --bank PATH, --verify PATH   the programs, if not beside this one\n"
    "  --servers SCRIPT        run bank_sql, over the servers of tools/bank/bank_servers.sh, and\n"
    "                          kill these, too; 12000 transfers\n"
    "  --server-kills N        so many of each (6)\n"
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

static bool take_option(int letter, struct options *o)
{
    switch (letter) {
    case 'k':
        return take_number(optarg, 100000, &o->kills) && o->kills > 0;
    case 'N':
        return take_number(optarg, 100000, &o->server_kills);
    case 'n':
        return take_number(optarg, 100000000, &o->transfers);
    case 's':
        return take_number(optarg, UINT64_MAX, &o->seed);
    case 'C':
        return take_number(optarg, UINT64_MAX, &o->min_committed);
    case 'R':
        return take_number(optarg, UINT64_MAX, &o->min_rolledback);
    case 'P':
        return take_number(optarg, 100, &o->min_doubt_percent);
    case 'b':
        return (size_t)snprintf(o->bank, PATH_SIZE, "%s", optarg) < PATH_SIZE;
    case 'v':
        return (size_t)snprintf(o->verify, PATH_SIZE, "%s", optarg) < PATH_SIZE;
    case 'c':
        o->csv = optarg;
        return true;
    case 'p':
        o->plant = optarg;
        return true;
    case 'S':
        o->servers = optarg;
        return true;
    case 'e':
        o->verify_each = true;
        return true;
    case 'K':
        o->keep = true;
        return true;
    default:
        return false;
    }
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
        {"servers", 1, NULL, 'S'},        {"server-kills", 1, NULL, 'N'},
        {"help", 0, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    bool good = true;
    int letter;

    while (good && (letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 'h') {
            fputs(USAGE, stdout);
            exit(EXIT_SUCCESS);
        }
        good = take_option(letter, o);
    }
    if (!good || argc - optind != 1) {
        fputs(USAGE, stderr);
        return false;
    }
    o->dir = argv[optind];
    return true;
}

static void preset(struct options *o)
{
    bool sql = o->servers != NULL;

    if (o->kills == NOT_GIVEN)
        o->kills = sql ? SQL_KILLS : KILLS;
    if (o->transfers == NOT_GIVEN)
        o->transfers = sql ? SQL_TRANSFERS : TRANSFERS;
    if (o->server_kills == NOT_GIVEN)
        o->server_kills = SQL_SERVER_KILLS;
    if (o->min_committed == NOT_GIVEN)
        o->min_committed = sql ? 0 : 1; /* servers carry out what was sent: it may be none */
}

/* A script that is gone shall be an error of write(). Not SIG_IGN, which the bank would inherit. */
static void on_pipe(int number)
{
    (void)number;
}

static bool get_ready(struct chaos *c)
{
    struct options *o = &c->o;
    struct sigaction action = {.sa_handler = on_signal}, pipe_action = {.sa_handler = on_pipe};
    bool sql = o->servers != NULL;
    const char *bank = sql ? "bank_sql" : "bank";

    if (o->plant != NULL)
        bank = sql ? "bank_sql_faulty" : "bank_faulty";
    if (!beside(bank, o->bank) || !beside(sql ? "bank_sql_verify" : "bank_verify", o->verify))
        return fail("cannot tell where the bank is: use --bank and --verify");
    if (o->plant != NULL && setenv("HOLDFAST_BUG", o->plant, 1) != 0)
        return fail("out of memory");
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0 ||
        sigaction(SIGPIPE, &pipe_action, NULL) != 0)
        return fail("sigaction: %s", strerror(errno));
    c->event_total = o->kills + (sql ? SERVER_COUNT * o->server_kills : 0);
    c->aimed_at = UINT64_MAX;
    c->bar = isatty(STDERR_FILENO) == 1;
    c->random = o->seed;
    return true;
}

static void say_ok(const struct chaos *c)
{
    printf("demo: ok: %" PRIu64 " transfers, ", c->total);
    if (c->o.servers == NULL)
        printf("%" PRIu64 " kills", c->kills);
    else
        printf("%" PRIu64 " kills of the bank, %" PRIu64 " of %s, %" PRIu64 " of %s", c->kills,
               c->server_kills[SERVER_POSTGRES], server_titles[SERVER_POSTGRES],
               c->server_kills[SERVER_MARIADB], server_titles[SERVER_MARIADB]);
    printf(", %" PRIu64 " committed and %" PRIu64
           " rolled back by recovery, 0 lost, total unchanged\n",
           c->committed, c->rolledback);
}

int main(int argc, char **argv)
{
    static struct chaos c;
    bool good;

    c.o = (struct options){.kills = NOT_GIVEN,
                           .transfers = NOT_GIVEN,
                           .server_kills = NOT_GIVEN,
                           .min_committed = NOT_GIVEN,
                           .min_rolledback = 1};
    c.o.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
    if (!read_options(argc, argv, &c.o))
        return EXIT_USAGE;
    preset(&c.o);
    setlinebuf(stdout);
    printf("demo: seed %" PRIu64 ", directory %s\n", c.o.seed, c.o.dir);
    good = get_ready(&c) && play(&c);
    if (!good)
        return EXIT_FAILED;
    say_ok(&c);
    return EXIT_SUCCESS;
}
