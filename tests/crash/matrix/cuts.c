/*
 * What: power cuts on a real kernel: what was acknowledged is there, all else is there in full or
 *       not at all, whatever the file system makes of files that were being written (invariants 1,
 *       2, 4, 8, 10).
 * How:  a server commits with several threads, on an ext4 or XFS of its own that holds the node and
 *       all stores, and tells what it was told in memory that it shares with us. At a random moment
 *       the file system is shut down without a flush, the server is killed, and the image is
 *       mounted again; for a third of the cuts the power fails again while that is recovered. Then
 *       recovery has to settle everything, and the judge of the crash matrix looks at all
 *       transactions since the file system was made: the next cut goes on with the same files, and
 *       what one judgement found must be found by all later ones.
 *
 *       The first server makes everything, so the first cut of a file system meets new files and
 *       directories that nobody but Holdfast synced. Just before half of the cuts the node's shared
 *       page, which Holdfast never syncs, is written to the disk, whole or a single page of it: so
 *       it is newer than the log, or torn. After the others it is older, or gone.
 *
 *       crash_cuts [--cuts N] [--seed S] [--kind ext4|xfs] [--fresh N] [--plant BUG] [--keep FILE]
 *
 *       --fresh: cuts to one file system. --keep: where the image of a violation goes. Moments are
 *       not the same again for the same seed, choices are. With a bug planted the first violation
 *       ends it. Exit status 77: it needs root, loop devices, mkfs.ext4 and mkfs.xfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cuts.h"
#include "disk.h"
#include "holdfast/internal/fault.h"
#include "rig.h"

enum {
    SKIPPED = 77,
    START_SECONDS = 20, /* for a server to get to work */
    SHARE_MIN_PERCENT = 10,
    CUTS_TO_MEASURE = 50,
};

static struct tally {
    unsigned cuts, opening, second, violations;
    unsigned doubtful;               /* cuts that left something to recovery */
    unsigned long in_doubt, by_page; /* transactions that it settled; by the page alone */
    unsigned long acknowledged, not_told, late; /* late: not told, and there */
} tally;

static const struct load *load = &hf_load;
static struct orders *orders;
static struct shared *shared;
static struct disk disk = {.root = -1, .image = -1};
static unsigned seed = 1, dice;
static const char *planted, *keep;

static unsigned draw(unsigned below)
{
    return (unsigned)rand_r(&dice) % below;
}

static void nap_us(unsigned us)
{
    const struct timespec time = {.tv_nsec = (long)us * 1000};

    (void)nanosleep(&time, NULL);
}

/* A one-phase commit that got no answer is nobody's to know: HAZARD, and here as if untold. */
enum told cuts_told_by(int rc, hf_outcome outcome, unsigned stores)
{
    bool lone = (stores & (stores - 1)) == 0;

    if (rc == HF_EHEURISTIC)
        return lone && outcome == HF_HAZARD ? TOLD_NOTHING : TOLD_HEURISTIC;
    return rc == HF_OK ? TOLD_COMMITTED : rc == HF_EROLLEDBACK ? TOLD_ROLLEDBACK : TOLD_NOTHING;
}

/* -- processes -------------------------------------------------------------------------------- */

/* Half of the servers pass and tick in the background, while others commit. */
static int serve(void *unused)
{
    struct world w = load->world(orders);
    struct client clients[CUTS_THREADS_MAX];
    pthread_t threads[CUTS_THREADS_MAX];
    int rc;

    (void)unused;
    hf__bug_plant(planted);
    w.background = orders->seed % 2 == 0;
    rc = world_open(&w);
    if (rc == HF_OK)
        rc = hf_tm_start(w.tm, 0);
    if (rc == HF_OK)
        rc = world_instances(&w, load->instances);
    if (rc != HF_OK) {
        (void)snprintf(orders->complaint, sizeof(orders->complaint), "%s: %s", hf_strerror_name(rc),
                       hf_error_last()->text);
        return 1;
    }
    for (unsigned i = 0; i < load->threads; i++) {
        clients[i] = (struct client){orders, &w, orders->seed * load->threads + i};
        if (pthread_create(&threads[i], NULL, load->work, &clients[i]) != 0)
            return 2;
    }
    for (;;)
        (void)pause();
}

/* 0, or 1 and a complaint in shared. */
static int recover(void *unused)
{
    struct world w = load->world(orders);

    (void)unused;
    hf__bug_plant(planted);
    return world_recover(&w);
}

static int judge(void *unused)
{
    struct world w = load->world(orders);

    (void)unused;
    hf__bug_plant(planted);
    return world_judge(&w);
}

static pid_t start(int (*fn)(void *))
{
    pid_t pid = fork();

    if (pid < 0)
        rig_die("fork");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(fn(NULL));
    }
    return pid;
}

static bool violated(const char *what, const char *why)
{
    fprintf(stderr, "crash_cuts: VIOLATION after cut %u (%s, --seed %u): %s: %s\n", tally.cuts,
            disk.kind, seed, what, why);
    tally.violations++;
    return true;
}

/* Run it to its end. True: a violation. */
static bool runs_badly(const char *what, int (*fn)(void *))
{
    int status = rig_process(fn, NULL);
    const char *signal = rig_signal_text(status);

    return !rig_ended_well(status) && violated(what, signal != NULL ? signal : shared->complaint);
}

/* It may fail, and die of a page that cannot be read any more, but not of anything else. */
static bool died_badly(const char *what, int status)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGBUS)
        return false;
    return violated(what, rig_signal_text(status));
}

/* -- a cut ------------------------------------------------------------------------------------ */

/* Write out the shared page, whole or in part, although nobody promised that it is; while the
   process goes on, or as it was at one moment. */
static void write_page_out(pid_t pid)
{
    unsigned choice = draw(4);
    int fd = choice < 2 ? openat(disk.root, load->page, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return; /* it may not be there yet */
    if (draw(3) > 0)
        (void)kill(pid, SIGSTOP);
    if (choice == 0)
        (void)fsync(fd);
    else
        (void)sync_file_range(fd, 4096 * (off_t)draw(8), 4096,
                              SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    (void)close(fd);
}

/* Bring everything back but the process that was cut. */
static void power_again(void)
{
    if (load->down != NULL)
        load->down();
    disk_again(&disk);
    if (load->up != NULL)
        load->up();
}

/* Cut the power under a process, and bring it back without it. True: a violation. */
static bool cut(const char *what, pid_t pid)
{
    int status = 0;
    bool ended;

    write_page_out(pid);
    ended = waitpid(pid, &status, WNOHANG) == pid;
    disk_cut(&disk);
    if (!ended) {
        (void)kill(pid, SIGCONT);
        nap_us(draw(2) * draw(3000)); /* half of them see what errors are like */
        (void)kill(pid, SIGKILL);
        if (waitpid(pid, &status, 0) != pid)
            rig_die("waitpid");
        power_again();
        return died_badly(what, status);
    }
    power_again();
    return !rig_ended_well(status) &&
           violated(what, orders->complaint[0] != '\0' ? orders->complaint : shared->complaint);
}

/* Wait until the server works. False: it does not. */
static bool gets_to_work(pid_t pid)
{
    for (unsigned ms = 0; ms < START_SECONDS * 1000; ms++) {
        siginfo_t info = {.si_pid = 0};

        if (__atomic_load_n(&orders->busy, __ATOMIC_SEQ_CST))
            return true;
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
            return false;
        nap_us(1000);
    }
    return false;
}

static bool cut_server(void)
{
    bool opening = draw(8) == 0, bad;
    pid_t pid;

    orders->busy = false;
    orders->complaint[0] = '\0';
    orders->seed = (unsigned)rand_r(&dice);
    pid = start(serve);
    if (opening) {
        tally.opening++;
        nap_us(draw(load->work_us));
        return cut("the server", pid);
    }
    bad = !gets_to_work(pid) && violated("the server does not get to work", orders->complaint);
    if (!bad)
        nap_us(draw(load->work_us));
    return cut("the server", pid) || bad;
}

static bool cut_recovery(void)
{
    pid_t pid = start(recover);

    tally.second++;
    nap_us(draw(load->work_us / 2));
    return cut("a first recovery", pid);
}

/* -- bookkeeping ------------------------------------------------------------------------------ */

/* What the judge found of what had not been told. `from`: the first transaction of this cut. */
static void count_promises(const struct shared *before, unsigned from)
{
    const hf_tm_stats *did = &shared->recovery;
    uint64_t settled =
        did->recovered_committed + did->recovered_rolledback + did->recovered_finished;

    for (unsigned n = from; n < before->count; n++) {
        tally.acknowledged += before->promises[n].told == TOLD_COMMITTED;
        tally.not_told += before->promises[n].told == TOLD_NOTHING;
        tally.late +=
            before->promises[n].told == TOLD_NOTHING && shared->promises[n].told == TOLD_COMMITTED;
    }
    tally.doubtful += settled > 0;
    tally.in_doubt += settled;
    tally.by_page += did->recovered_finished;
}

/* One cut, with all that follows. True: a violation. */
static bool cut_once(void)
{
    static struct shared before;
    unsigned from = shared->count;

    tally.cuts++;
    if (cut_server() || (draw(3) == 0 && cut_recovery()))
        return true;
    before = *shared;
    if (runs_badly("recovery", recover) || runs_badly("judgement", judge))
        return true;
    if (shared->adopted > 0)
        return violated("recovery", "the node was taken for one that moved");
    count_promises(&before, from);
    return false;
}

static int skipped(const char *what, const char *why)
{
    printf("crash_cuts: skipped: %s: %s\n", what, why);
    return SKIPPED;
}

static void forget(void)
{
    if (disk.root >= 0 && load->down != NULL)
        load->down();
    disk_free(&disk);
}

static void start_afresh(const char *kind)
{
    const char *why;

    forget();
    memset(shared, 0, sizeof(*shared));
    why = disk_make(&disk, kind, load->bytes);
    if (why == NULL && load->make != NULL)
        why = load->make();
    if (why != NULL)
        exit(tally.cuts == 0 ? skipped(kind, why) : 2);
}

static int report(double seconds)
{
    unsigned bad = tally.violations;

    printf(
        "crash_cuts: %s: %u cuts (%u of an opening), %u second cuts; %u left something in doubt: "
        "%lu transactions, %lu of them settled by the shared page; %lu acknowledged, %lu not "
        "told of which %lu were there; %u violations, %.1f s\n",
        load->name, tally.cuts, tally.opening, tally.second, tally.doubtful, tally.in_doubt,
        tally.by_page, tally.acknowledged, tally.not_told, tally.late, tally.violations, seconds);
    if (bad == 0 && tally.cuts >= CUTS_TO_MEASURE &&
        (tally.doubtful * 100 < tally.cuts * SHARE_MIN_PERCENT || tally.by_page == 0 ||
         tally.late == 0)) {
        printf("crash_cuts: these cuts do not meet what they are for\n");
        bad = 1;
    }
    printf("rig: %u power cuts, %u violations\n", tally.cuts, bad);
    printf("%u passed, %u failed\n", tally.cuts - tally.violations, bad);
    return bad == 0 && tally.cuts > 0 ? 0 : 1;
}

static int run(unsigned cuts, unsigned fresh, const char *only)
{
    static const char *const kinds[] = {"ext4", "xfs"};
    struct timespec from, to;
    bool bad = false;

    for (unsigned k = 0; only == NULL && k < 2; k++) { /* both, or neither */
        const char *why = disk_make(&disk, kinds[k], 0);

        if (why != NULL)
            return skipped(kinds[k], why);
        disk_free(&disk);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < cuts && !(bad && planted != NULL); i++) {
        if (i % fresh == 0 || bad || shared->count + TXS_MAX / 8 > TXS_MAX)
            start_afresh(only != NULL ? only : kinds[i / fresh % 2]);
        bad = cut_once();
        if (bad && keep != NULL)
            disk_keep(&disk, keep);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    forget();
    return report((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
}

int main(int argc, char **argv)
{
    unsigned cuts = load->cuts, fresh = load->fresh;
    const char *only = NULL, *why;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--cuts") == 0)
            cuts = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--fresh") == 0)
            fresh = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--kind") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--plant") == 0)
            planted = argv[i + 1];
        else if (strcmp(argv[i], "--keep") == 0)
            keep = argv[i + 1];
        else
            argc = 0;
    }
    if (argc % 2 == 0 || cuts == 0 || fresh == 0) {
        fprintf(stderr, "usage: crash_cuts [--cuts N] [--seed S] [--kind ext4|xfs] [--fresh N] "
                        "[--plant BUG] [--keep FILE]\n");
        return 2;
    }
    why = disk_namespace();
    if (why != NULL)
        return skipped(load->name, why);
    dice = seed;
    orders = rig_share(sizeof(*orders));
    shared = orders->shared = rig_share(sizeof(*shared));
    return run(cuts, fresh, only);
}
