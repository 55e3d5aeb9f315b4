/*
 * What: a kill leaves few finished decisions to be proved: what was acknowledged is noted in the
 *       shared page, and recovery believes a note that is true, and no other (tm/page.c).
 * How:  64 threads commit at once; resource manager b acknowledges when all decisions are durable,
 *       so that no removal can ride along, and the process is killed. With the page recovery asks
 *       nobody; without it, it proves each branch. Then: kills at random moments, after which at
 *       most one decision for each thread is to be proved; a branch that is prepared although it
 *       was noted; and a kill between two acknowledgements, recovered while b cannot be reached.
 *       --plant ack-page-early notes a transaction when it is decided.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "crash_kit.h"
#include "holdfast/internal/fault.h"
#include "support/flat_rm.h"

enum { THREADS = 64, BRANCHES = 200000, KILLS = 5 };

/* Shared with the victim. */
static struct shared {
    atomic_uint in_commit; /* of b */
    atomic_uint returned;  /* from hf_tx_commit */
} * shared;

static struct victim {
    hf_tm *tm;
    hf_rm *rms[FLAT_RMS];
    bool once;
} victim;

static hf_tm *open_flat(const char *dir, const char *who, hf_rm *rms[FLAT_RMS])
{
    hf_tm *tm = kit_open(dir, who);

    for (int i = 0; i < FLAT_RMS; i++)
        rms[i] = flat_register(tm, i);
    return tm;
}

static void *commit_some(void *arg)
{
    struct victim *v = arg;
    hf_instance *a = kit_instance(v->rms[FLAT_A]), *b = kit_instance(v->rms[FLAT_B]);

    do {
        hf_tx *tx;

        OK(hf_tx_begin(v->tm, 0, &tx));
        OK(hf_tx_enlist(tx, a));
        OK(hf_tx_enlist(tx, b));
        OK(hf_tx_commit(tx, NULL));
        atomic_fetch_add(&shared->returned, 1);
    } while (!v->once);
    for (;;)
        nap_ms(1000);
    return NULL;
}

/* b acknowledges when every thread's decision is durable. */
static void wait_for_all(int rm)
{
    if (rm != FLAT_B)
        return;
    atomic_fetch_add(&shared->in_commit, 1);
    while (atomic_load(&shared->in_commit) < THREADS)
        nap_ms(1);
}

static void die_in_b(int rm)
{
    if (rm == FLAT_B)
        (void)kill(getpid(), SIGKILL);
}

/* A process with so many threads that commit: once each, or until it is killed. */
static pid_t start_victim(const char *dir, int threads, bool once, void (*on_commit)(int rm))
{
    pid_t pid;

    atomic_store(&shared->in_commit, 0);
    atomic_store(&shared->returned, 0);
    (void)fflush(NULL);
    pid = fork();
    CHECK(pid >= 0, "fork");
    if (pid > 0)
        return pid;
    flat_on_commit(on_commit);
    victim.once = once;
    victim.tm = open_flat(dir, "victim", victim.rms);
    OK(hf_tm_start(victim.tm, 0));
    for (int i = 1; i < threads; i++) {
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, commit_some, &victim) == 0, "a thread");
    }
    (void)commit_some(&victim);
    _exit(1);
}

static void wait_for_victim(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid, "wait");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the victim ended by itself: %x",
          (unsigned)status);
}

static void end_victim(pid_t pid)
{
    CHECK(kill(pid, SIGKILL) == 0, "kill");
    wait_for_victim(pid);
}

static void wait_for(atomic_uint *count, unsigned wanted)
{
    for (int i = 0; atomic_load(count) < wanted; i++) {
        CHECK(i < 60000, "%u of %u", atomic_load(count), wanted);
        nap_ms(1);
    }
}

static int count_one(void *user, const hf_inspect_tx *tx)
{
    (void)tx;
    ++*(unsigned *)user;
    return 0;
}

static unsigned records_left(const char *dir)
{
    unsigned count = 0;
    char node[512];
    hf_inspect *in;

    (void)snprintf(node, sizeof(node), "%s/node", dir);
    OK(hf_inspect_open(node, &in));
    OK(hf_inspect_verify(in));
    OK(hf_inspect_transactions(in, count_one, &count));
    hf_inspect_close(in);
    return count;
}

/* What a recovery did. */
struct done {
    hf_tm_stats stats;
    unsigned long long asked; /* xa_commit and probe, of both */
};

/* What the victim shows of itself, alive and dead. */
static int check_shown(void *user, const hf_inspect_incarnation *i)
{
    CHECK(i->alive == *(const uint32_t *)user && i->counted == 1, "not shown");
    CHECK(i->begun == THREADS && i->committed == THREADS && i->active == 0 && i->rolledback == 0,
          "%u begun, %u committed, %u active", (unsigned)i->begun, (unsigned)i->committed,
          (unsigned)i->active);
    return 0;
}

static void look_at_victim(const char *dir, uint32_t alive)
{
    char node[512];
    hf_inspect *in;

    (void)snprintf(node, sizeof(node), "%s/node", dir);
    OK(hf_inspect_open(node, &in));
    OK(hf_inspect_incarnations(in, check_shown, &alive));
    hf_inspect_close(in);
}

static unsigned long long count_asked(void)
{
    struct flat_calls a = flat_calls(FLAT_A), b = flat_calls(FLAT_B);

    return a.commit + a.probe + b.commit + b.probe;
}

static struct done recover(const char *dir)
{
    struct done done = {.stats = {.size = sizeof(done.stats)}};
    unsigned long long before = count_asked();
    hf_rm *rms[FLAT_RMS];
    hf_tm *tm = open_flat(dir, "recoverer", rms);

    OK(hf_tm_start(tm, 0));
    OK(hf_tm_get_stats(tm, &done.stats));
    OK(hf_tm_close(tm, 0, NULL));
    done.asked = count_asked() - before;
    CHECK(records_left(dir) == 0, "records are left");
    return done;
}

static void check_atomic(void)
{
    for (uint32_t i = 0; i <= BRANCHES; i++) {
        enum flat_state a = flat_state(FLAT_A, i), b = flat_state(FLAT_B, i);
        bool committed = a == FLAT_COMMITTED;

        CHECK(a != FLAT_PREPARED && b != FLAT_PREPARED, "transaction %u is in doubt", i);
        CHECK(committed == (b == FLAT_COMMITTED), "transaction %u is in one store alone", i);
    }
}

static void make_world(char dir[64])
{
    kit_tmpdir(dir);
    flat_make(BRANCHES);
    flat_on_commit(NULL);
}

/* 64 finished decisions in the log, all of them noted, if the page is still there. */
static void kill_after_commits(bool with_page)
{
    char dir[64], page[512];
    unsigned left;
    struct done done;
    pid_t pid;

    make_world(dir);
    pid = start_victim(dir, THREADS, true, wait_for_all);
    wait_for(&shared->returned, THREADS);
    look_at_victim(dir, 1);
    end_victim(pid);
    look_at_victim(dir, 0);
    left = records_left(dir);
    CHECK(left == THREADS, "%u records are left", left);
    (void)snprintf(page, sizeof(page), "%s/node/shared.page", dir);
    CHECK(with_page || unlink(page) == 0, "take the page away");
    done = recover(dir);
    printf(
        "crash_acks: %s the page: %u finished decisions left by a kill, %u dropped at once, %llu "
        "questions asked\n",
        with_page ? "with" : "without", left, (unsigned)done.stats.recovered_finished, done.asked);
    CHECK(done.stats.recovered_finished == (with_page ? left : 0), "dropped at once");
    CHECK(done.asked == (with_page ? 0 : 2ULL * left), "asked");
    CHECK(done.stats.recovered_committed == 0 && done.stats.alarms == 0, "committed, or alarms");
    check_atomic();
    kit_remove(dir);
}

/* At most one transaction of each thread is neither unfinished nor noted. */
static void kill_at_random(unsigned *seed)
{
    unsigned left = 0, proved = 0;

    for (int i = 0; i < KILLS; i++) {
        char dir[64];
        struct done done;
        unsigned records;
        pid_t pid;

        make_world(dir);
        pid = start_victim(dir, THREADS, false, NULL);
        wait_for(&shared->returned, 100);
        nap_ms(rand_r(seed) % 50);
        end_victim(pid);
        records = records_left(dir);
        done = recover(dir);
        CHECK(done.stats.recovered_finished <= records, "dropped what was not there");
        CHECK(records - done.stats.recovered_finished <= THREADS, "%u of %u records had no note",
              records - (unsigned)done.stats.recovered_finished, records);
        CHECK(done.stats.alarms == 0, "alarms");
        left += records;
        proved += records - (unsigned)done.stats.recovered_finished;
        check_atomic();
        kit_remove(dir);
    }
    printf("crash_acks: %d kills at random left %u records, of which %u had to be proved\n", KILLS,
           left, proved);
}

/* The store of b was restored from before it acknowledged: the note is not believed. */
static void note_against_a_scan(void)
{
    char dir[64];
    struct done done;
    pid_t pid;

    make_world(dir);
    pid = start_victim(dir, THREADS, true, wait_for_all);
    wait_for(&shared->returned, THREADS);
    end_victim(pid);
    flat_restore(FLAT_B, 7);
    done = recover(dir);
    CHECK(done.stats.recovered_finished == THREADS - 1 && done.stats.alarms == 1,
          "%u dropped at once, %u alarms", (unsigned)done.stats.recovered_finished,
          (unsigned)done.stats.alarms);
    check_atomic();
    kit_remove(dir);
}

/* a has acknowledged and b has not: nothing is noted, so b is owed its commit until it is back. */
static void kill_between_acknowledgements(void)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_rm *rms[FLAT_RMS];
    char dir[64];
    hf_tm *tm;

    make_world(dir);
    wait_for_victim(start_victim(dir, 1, true, die_in_b));
    tm = open_flat(dir, "recoverer", rms);
    flat_unreachable(FLAT_B, true);
    OK(hf_tm_start(tm, 0));
    flat_unreachable(FLAT_B, false);
    OK(hf_tm_recover(tm, NULL));
    check_atomic();
    OK(hf_tm_get_stats(tm, &stats));
    CHECK(stats.recovered_finished == 0 && stats.recovered_committed == 1 && stats.alarms == 0,
          "%u dropped at once, %u committed, %u alarms", (unsigned)stats.recovered_finished,
          (unsigned)stats.recovered_committed, (unsigned)stats.alarms);
    OK(hf_tm_close(tm, 0, NULL));
    kit_remove(dir);
}

int main(int argc, char **argv)
{
    unsigned seed = (unsigned)time(NULL);

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED, "no memory");
    for (int i = 1; i + 1 < argc; i += 2) {
#ifdef HF_FAULTS
        if (strcmp(argv[i], "--plant") == 0)
            hf__bug_plant(argv[i + 1]);
#endif
        if (strcmp(argv[i], "--seed") == 0)
            seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
    }
    printf("crash_acks --seed %u\n", seed);
    kill_between_acknowledgements();
    kill_after_commits(true);
    kill_after_commits(false);
    note_against_a_scan();
    kill_at_random(&seed);
    printf("crash_acks: ok\nrig: %d kills at random, 0 violations\n", KILLS);
    return 0;
}
