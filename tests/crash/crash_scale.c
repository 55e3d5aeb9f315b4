/*
 * What: recovery costs what is in doubt, and nothing else: of 1,000, 10,000 and 100,000 decisions,
 *       with an empty history and with a large one; at most 0.01 commits of the log a decision.
 * How:  64 threads decide, by the log's own calls, for an incarnation that is then given up; both
 *       branches of each are prepared in two resource managers. A node is opened and started: its
 *       first pass has to commit them all. Counted, not timed: calls to LMDB, which stand before
 *       the library's, and calls to the resource managers. `crash_scale [COUNT...]`
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

#include "coordinator.h"
#include "crash_kit.h"
#include "log.h"
#include "support/flat_rm.h"

enum { DECIDERS = 64, HISTORY_LARGE = 50000, HISTORY_MAX = 1000000, HISTORY_BATCH = 128 };
enum { COUNTS_MAX = 8 };

/* -- calls to LMDB ---------------------------------------------------------------------------- */

static atomic_ullong reads, steps, changes, snapshots, log_commits, other_commits;

static void *next(const char *name)
{
    void *p = dlsym(RTLD_NEXT, name);

    CHECK(p != NULL, "%s is not in LMDB", name);
    return p;
}

/* Pass a call on, and count it. */
#define COUNTED(counter, name, parameters, arguments)                                              \
    int name parameters;                                                                           \
    int name parameters                                                                            \
    {                                                                                              \
        static int(*_Atomic real) parameters;                                                      \
                                                                                                   \
        if (atomic_load(&real) == NULL)                                                            \
            atomic_store(&real, (int(*) parameters)next(#name));                                   \
        atomic_fetch_add(&counter, 1);                                                             \
        return atomic_load(&real) arguments;                                                       \
    }

COUNTED(reads, mdb_get, (void *txn, unsigned dbi, void *key, void *data), (txn, dbi, key, data))
COUNTED(steps, mdb_cursor_get, (void *cursor, void *key, void *data, int op),
        (cursor, key, data, op))
COUNTED(changes, mdb_put, (void *txn, unsigned dbi, void *key, void *data, unsigned flags),
        (txn, dbi, key, data, flags))
COUNTED(changes, mdb_del, (void *txn, unsigned dbi, void *key, void *data), (txn, dbi, key, data))
COUNTED(snapshots, mdb_txn_begin, (void *env, void *parent, unsigned flags, void *ret),
        (env, parent, flags, ret))

void *mdb_txn_env(void *txn);
int mdb_env_get_path(void *env, const char **ret);
int mdb_txn_commit(void *txn);
int mdb_txn_commit(void *txn)
{
    static int (*_Atomic real)(void *);
    const char *path = "";

    if (atomic_load(&real) == NULL)
        atomic_store(&real, (int (*)(void *))next("mdb_txn_commit"));
    (void)mdb_env_get_path(mdb_txn_env(txn), &path);
    if (strstr(path, HF__LOG_FILE) != NULL)
        atomic_fetch_add(&log_commits, 1);
    else
        atomic_fetch_add(&other_commits, 1);
    return atomic_load(&real)(txn);
}

struct cost {
    unsigned long long reads, steps, changes, snapshots, log_commits, other_commits;
};

static struct cost cost_now(void)
{
    return (struct cost){atomic_load(&reads),       atomic_load(&steps),
                         atomic_load(&changes),     atomic_load(&snapshots),
                         atomic_load(&log_commits), atomic_load(&other_commits)};
}

static struct cost cost_since(struct cost was)
{
    struct cost now = cost_now();

    return (struct cost){now.reads - was.reads,
                         now.steps - was.steps,
                         now.changes - was.changes,
                         now.snapshots - was.snapshots,
                         now.log_commits - was.log_commits,
                         now.other_commits - was.other_commits};
}

/* -- decisions of a process that is gone ------------------------------------------------------- */

struct decider {
    struct hf__log *log;
    uint32_t ids[FLAT_RMS];
    atomic_uint next; /* from 1 */
    unsigned count;
};

static void gtrid_of(struct hf__log *log, uint64_t number, unsigned char ret[HF__GTRID_SIZE])
{
    hf__gtrid_make(ret, hf__log_node(log), hf__log_incarnation(log),
                   (uint64_t)hf__log_nonce(log) << (64 - HF__NONCE_BITS) | number);
}

static void *decide(void *arg)
{
    struct decider *d = arg;
    unsigned number;

    while ((number = atomic_fetch_add(&d->next, 1)) <= d->count) {
        struct hf__rec_branch branches[FLAT_RMS];
        struct hf__rec rec = {.decision = HF__COMMIT,
                              .outcome = HF_COMMITTED,
                              .count = FLAT_RMS,
                              .branches = branches};

        gtrid_of(d->log, number, rec.gtrid);
        for (uint32_t i = 0; i < FLAT_RMS; i++) {
            XID xid;

            branches[i] = (struct hf__rec_branch){
                .rm_id = d->ids[i], .number = i + 1, .state = HF_BRANCH_OWED};
            hf__xid_make(&xid, rec.gtrid, d->ids[i], i + 1);
            flat_put((int)i, &xid);
        }
        OK(hf__log_decide(d->log, &rec));
    }
    return NULL;
}

/* Finished transactions of long ago. */
static void fill_history(struct hf__log *log, unsigned count)
{
    struct hf__rec recs[HISTORY_BATCH];
    struct hf__finished list[HISTORY_BATCH];

    hf__history_limit(hf__log_history(log), HISTORY_MAX);
    for (unsigned done = 0; done < count; done += HISTORY_BATCH) {
        for (unsigned i = 0; i < HISTORY_BATCH; i++) {
            recs[i] = (struct hf__rec){.decision = HF__COMMIT, .outcome = HF_COMMITTED};
            gtrid_of(log, (1ULL << 32) + done + i, recs[i].gtrid);
            list[i] = (struct hf__finished){.rec = &recs[i]};
        }
        hf__history_remember(hf__log_history(log), list, HISTORY_BATCH);
        CHECK(list[HISTORY_BATCH - 1].written, "the history is not written");
    }
}

static void leave_decisions(const char *node, unsigned count, unsigned history)
{
    struct decider d = {.count = count, .next = 1};
    pthread_t threads[DECIDERS];

    OK(hf__log_open(node, &d.log));
    OK(hf__log_bind(d.log, "a", NULL, &d.ids[FLAT_A]));
    OK(hf__log_bind(d.log, "b", NULL, &d.ids[FLAT_B]));
    fill_history(d.log, history);
    for (int i = 0; i < DECIDERS; i++)
        CHECK(pthread_create(&threads[i], NULL, decide, &d) == 0, "a thread");
    for (int i = 0; i < DECIDERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "a thread");
    hf__log_close(d.log, false);
}

/* -- one run ---------------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check_calls(unsigned count)
{
    for (int i = 0; i < FLAT_RMS; i++) {
        struct flat_calls calls = flat_calls(i);

        CHECK(calls.commit == count, "%llu xa_commit of %u", calls.commit, count);
        CHECK(calls.probe == 0 && calls.rollback == 0, "probed or rolled back");
        CHECK(calls.recover <= count / 64 + 2, "%llu xa_recover", calls.recover);
        for (unsigned n = 1; n <= count; n++)
            CHECK(flat_state(i, n) == FLAT_COMMITTED, "%u is not committed", n);
    }
}

/* Recover so many decisions; what it took, from the opening of the node to the end of the pass. */
static struct cost run(unsigned count, unsigned history)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    char dir[64], node[80];
    struct cost cost;
    double began;
    hf_tm *tm;

    kit_tmpdir(dir);
    (void)snprintf(node, sizeof(node), "%s/node", dir);
    flat_make(count);
    leave_decisions(node, count, history);
    cost = cost_now();
    began = seconds_now();
    config.dir = node;
    config.history_max = HISTORY_MAX; /* none makes room for another */
    OK(hf_tm_open(&config, &tm));
    (void)flat_register(tm, FLAT_A);
    (void)flat_register(tm, FLAT_B);
    OK(hf_tm_start(tm, 0));
    cost = cost_since(cost);
    printf("crash_scale: %6u decisions, %5u in the history: %llu log commits (%.4f each), %llu "
           "reads, %llu steps, %llu changes, %llu transactions, %llu other commits; %.2f s\n",
           count, history, cost.log_commits, (double)cost.log_commits / count, cost.reads,
           cost.steps, cost.changes, cost.snapshots, cost.other_commits, seconds_now() - began);
    OK(hf_tm_get_stats(tm, &stats));
    CHECK(stats.recovered_committed == count && stats.owed == 0 && stats.passes == 1,
          "%llu of %u recovered", (unsigned long long)stats.recovered_committed, count);
    OK(hf_tm_close(tm, 0, NULL));
    check_calls(count);
    kit_remove(dir);
    return cost;
}

/* -- what has to hold ------------------------------------------------------------------------- */

/* More decisions cost in proportion: one of n, together b, is at most a tenth dearer than one of m,
   together a. */
static void check_linear(const char *what, unsigned long long a, unsigned m, unsigned long long b,
                         unsigned n)
{
    CHECK((double)b / n <= 1.1 * (double)a / m, "%s: %.3f each of %u, %.3f each of %u", what,
          (double)a / m, m, (double)b / n, n);
}

static void compare(struct cost a, unsigned m, struct cost b, unsigned n)
{
    check_linear("reads", a.reads, m, b.reads, n);
    check_linear("steps", a.steps, m, b.steps, n);
    check_linear("changes", a.changes, m, b.changes, n);
    check_linear("transactions", a.snapshots, m, b.snapshots, n);
    check_linear("log commits", a.log_commits, m, b.log_commits, n);
    check_linear("other commits", a.other_commits, m, b.other_commits, n);
}

int main(int argc, char **argv)
{
    unsigned counts[COUNTS_MAX] = {1000, 10000, 100000}, used = 3;
    struct cost costs[COUNTS_MAX], with_history;

    if (argc > 1)
        used = 0;
    for (int i = 1; i < argc && used < COUNTS_MAX; i++)
        counts[used++] = (unsigned)strtoul(argv[i], NULL, 10);
    for (unsigned i = 0; i < used; i++) {
        costs[i] = run(counts[i], 0);
        CHECK(counts[i] < 10000 || costs[i].log_commits * 100 <= counts[i], "%llu log commits",
              costs[i].log_commits);
        if (i > 0)
            compare(costs[i - 1], counts[i - 1], costs[i], counts[i]);
    }
    with_history = run(counts[used > 1 ? 1 : 0], HISTORY_LARGE);
    compare(costs[used > 1 ? 1 : 0], 1, with_history, 1);
    printf("crash_scale: ok\n");
    return 0;
}
