/*
 * tests/crash/matrix/scenarios.c - what the processes of the crash matrix do until they die.
 *
 * Any call may fail: a scenario then does what a careful server does, and ends. It notes what it
 * was told at once after it was told.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/inspect.h"
#include "holdfast/internal/fault.h"
#include "holdfast/kv.h"
#include "matrix.h"

static void nap_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};

    (void)nanosleep(&time, NULL);
}

unsigned scenario_promise(struct world *w, unsigned stores)
{
    unsigned n = __atomic_fetch_add(&w->shared->count, 1, __ATOMIC_SEQ_CST);

    w->shared->promises[n] = (struct promise){.stores = stores, .may_differ = w->temper == WILLFUL};
    return n;
}

void scenario_keep(struct world *w, unsigned n, int rc)
{
    w->shared->promises[n].told = rc == HF_OK            ? TOLD_COMMITTED
                                  : rc == HF_EROLLEDBACK ? TOLD_ROLLEDBACK
                                  : rc == HF_EHEURISTIC  ? TOLD_HEURISTIC
                                                         : TOLD_NOTHING;
}

int scenario_enlist(hf_tx *tx, hf_instance *const in[STORES], unsigned stores)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < STORES; i++)
        if ((stores & 1U << i) != 0)
            rc = hf_tx_enlist(tx, in[i]);
    return rc;
}

static int write_one(struct world *w, unsigned store, hf_instance *in, unsigned n)
{
    char key[16];

    if (w->stores != NULL)
        return w->stores->write(w, store, in, n);
    (void)snprintf(key, sizeof(key), "t%u", n);
    return hf_kv_put(hf_instance_rmid(in), key, strlen(key), "1", 1);
}

static int read_one(struct world *w, unsigned store, hf_instance *in)
{
    if (w->stores != NULL)
        return w->stores->read(w, store, in);
    return hf_kv_get(hf_instance_rmid(in), "t0", 2, NULL, 0, NULL);
}

int scenario_write(struct world *w, hf_instance *const in[STORES], unsigned stores, unsigned n)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < STORES; i++)
        if ((stores & 1U << i) != 0)
            rc = write_one(w, i, in[i], n);
    return rc;
}

static int read_all(struct world *w, hf_instance *const in[STORES], unsigned stores)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < STORES; i++)
        if ((stores & 1U << i) != 0)
            rc = read_one(w, i, in[i]);
    return rc == HF_ENOTFOUND ? HF_OK : rc;
}

enum end { COMMIT, ROLLBACK, DOOM };

/* Told as a result code; of a lone branch whose answer was lost nothing is: there is no record. */
static int told_of(int rc, const hf_result *result, unsigned stores)
{
    bool lone = (stores & (stores - 1)) == 0;

    return rc == HF_EHEURISTIC && lone && result->outcome == HF_HAZARD ? HF_EIO : rc;
}

/* One transaction that writes to some stores and reads in others. */
static int transact_in(struct world *w, hf_instance *const in[STORES], unsigned writes,
                       unsigned reads, enum end end)
{
    unsigned n = scenario_promise(w, writes);
    hf_result result = HF_RESULT_INIT;
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    rc = scenario_enlist(tx, in, writes | reads);
    if (rc == HF_OK)
        rc = scenario_write(w, in, writes, n);
    if (rc == HF_OK)
        rc = read_all(w, in, reads);
    if (rc == HF_OK && end == DOOM)
        rc = hf_tx_set_rollback_only(tx);
    if (rc == HF_OK && end != ROLLBACK) {
        rc = hf_tx_commit(tx, &result);
        scenario_keep(w, n, told_of(rc, &result, writes));
        return rc == HF_EROLLEDBACK && (end == DOOM || w->temper == REFUSING) ? HF_OK : rc;
    }
    if (hf_tx_rollback(tx, NULL) == HF_OK)
        scenario_keep(w, n, HF_EROLLEDBACK);
    return rc;
}

int scenario_transact(struct world *w, unsigned stores)
{
    return transact_in(w, w->in, stores, 0, COMMIT);
}

static int transact(struct world *w, unsigned writes, unsigned reads, enum end end)
{
    return transact_in(w, w->in, writes, reads, end);
}

int scenario_start(struct world *w, unsigned stores)
{
    int rc = world_open(w);

    if (rc == HF_OK)
        rc = hf_tm_start(w->tm, 0);
    return rc == HF_OK ? world_instances(w, stores) : rc;
}

/* -- the scenarios ---------------------------------------------------------------------------- */

static void run_plain(struct world *w, unsigned writes, unsigned reads, enum end end)
{
    int rc = scenario_start(w, writes | reads);

    for (int i = 0; rc == HF_OK && i < 2; i++)
        rc = transact(w, writes, reads, end);
    if (rc == HF_OK)
        (void)hf_tm_tick(w->tm, NULL);
    world_close(w);
}

static void one(struct world *w)
{
    run_plain(w, A, 0, COMMIT);
}

static void two(struct world *w)
{
    run_plain(w, A | B, 0, COMMIT);
}

static void three(struct world *w)
{
    run_plain(w, A | B | C, 0, COMMIT);
}

static void read_only(struct world *w)
{
    int rc = scenario_start(w, A | B | C);

    if (rc == HF_OK)
        rc = transact(w, 0, A | B, COMMIT);
    if (rc == HF_OK)
        rc = transact(w, A, B, COMMIT);
    if (rc == HF_OK)
        (void)transact(w, A | C, B, COMMIT);
    world_close(w);
}

static void rollback(struct world *w)
{
    int rc = scenario_start(w, A | B);

    if (rc == HF_OK)
        rc = transact(w, A | B, 0, ROLLBACK);
    if (rc == HF_OK)
        (void)transact(w, A | B, 0, DOOM);
    world_close(w);
}

/* The second commits while the first one's resource manager has something of its own to say. */
static void tempered(struct world *w)
{
    if (scenario_start(w, A | B | C) == HF_OK) {
        (void)transact(w, A | B, 0, COMMIT);
        (void)transact(w, A | C, 0, COMMIT);
        if (hf_tm_recover(w->tm, NULL) == HF_OK)
            (void)transact(w, B | C, 0, COMMIT);
    }
    world_close(w);
}

struct listed {
    XID xids[TXS_MAX];
    unsigned count;
};

static int list_heuristic(void *user, const hf_inspect_tx *tx)
{
    struct listed *l = user;

    if (tx->outcome == HF_MIXED && l->count < TXS_MAX)
        l->xids[l->count++] = tx->xid;
    return 0;
}

/* An operator has seen what stores decided by themselves, and the log forgets it. */
static void forgotten(struct world *w)
{
    struct listed l = {.count = 0};
    char node[DIR_SIZE + 8];
    uint64_t number;
    hf_inspect *in;
    int rc;

    tempered(w);
    (void)snprintf(node, sizeof(node), "%s/node", w->dir);
    if (hf_inspect_open(node, &in) != HF_OK)
        return;
    rc = hf_inspect_transactions(in, list_heuristic, &l);
    for (unsigned i = 0; rc == HF_OK && i < l.count; i++)
        rc = hf_inspect_forget(in, &l.xids[i], "the crash matrix has seen it", &number);
    hf_inspect_close(in);
}

static void deadline(struct world *w)
{
    hf_tx *tx = NULL;

    if (scenario_start(w, A | B) == HF_OK && hf_tx_begin(w->tm, 1, &tx) == HF_OK) {
        unsigned n = scenario_promise(w, A | B);
        int rc = scenario_enlist(tx, w->in, A | B);

        if (rc == HF_OK)
            (void)scenario_write(w, w->in, A | B, n);
        nap_ms(4);
        (void)hf_tm_tick(w->tm, NULL);
        scenario_keep(w, n, hf_tx_commit(tx, NULL));
        (void)transact(w, A | B, 0, COMMIT);
    }
    world_close(w);
}

static void reopened(struct world *w)
{
    w->history = 1; /* all are kept, so that the history is written */
    for (int i = 0; i < 2; i++) {
        if (scenario_start(w, A | B) == HF_OK) {
            (void)transact(w, A | B, 0, COMMIT);
            (void)hf_tm_tick(w->tm, NULL);
            (void)transact(w, A | B, 0, COMMIT);
        }
        world_close(w);
    }
}

static void *client(void *user)
{
    struct world *w = user;
    hf_instance *in[STORES] = {NULL};

    if (hf_instance_open(w->rm[0], &in[0]) == HF_OK && hf_instance_open(w->rm[1], &in[1]) == HF_OK)
        for (int i = 0; i < 3; i++)
            if (transact_in(w, in, A | B, 0, COMMIT) != HF_OK)
                break;
    (void)hf_instance_close(in[0]);
    (void)hf_instance_close(in[1]);
    return NULL;
}

static void threads(struct world *w)
{
    pthread_t clients[3];
    unsigned count = 0;

    w->background = true;
    if (scenario_start(w, 0) == HF_OK)
        while (count < 3 && pthread_create(&clients[count], NULL, client, w) == 0)
            count++;
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(clients[i], NULL);
    world_close(w);
}

/* One process meets the failpoint; another one, on the same node, goes on and recovers it. Ends as
   the first one did. */
static void peers(struct world *w)
{
    int status = 0;
    pid_t victim = fork();

    if (victim == 0) {
        run_plain(w, A | B, 0, COMMIT);
        for (unsigned i = 0; hf__fault_name(i, NULL) != NULL; i++)
            w->shared->hits[i] = hf__fault_hits(hf__fault_name(i, NULL));
        _exit(0);
    }
    (void)hf__fault_set(NULL);
    if (scenario_start(w, C | D) == HF_OK) {
        (void)transact(w, C | D, 0, COMMIT);
        (void)waitpid(victim, &status, 0);
        if (hf_tm_recover(w->tm, NULL) == HF_OK)
            (void)transact(w, C | D, 0, COMMIT);
    } else {
        (void)waitpid(victim, &status, 0);
    }
    world_close(w);
    if (WIFSIGNALED(status))
        (void)kill(getpid(), WTERMSIG(status));
}

static void run_command(const char *program, const char *a, const char *b, const char *c)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp(program, program, a, b, c, (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
}

/* The node is copied and the original removed: it has moved, and world_open() adopts it. */
static void moved(struct world *w)
{
    char from[DIR_SIZE + 8], to[DIR_SIZE + 8];

    run_plain(w, A | B, 0, COMMIT);
    (void)snprintf(from, sizeof(from), "%s/node", w->dir);
    (void)snprintf(to, sizeof(to), "%s/moved", w->dir);
    run_command("cp", "-a", from, to);
    run_command("rm", "-rf", "--", from);
    (void)rename(to, from);
    run_plain(w, A | B, 0, COMMIT);
}

const struct scenario hf_scenarios[] = {
    {"one", PLAIN, one},
    {"two", PLAIN, two},
    {"three", PLAIN, three},
    {"read-only", PLAIN, read_only},
    {"rollback", PLAIN, rollback},
    {"refused", REFUSING, tempered},
    {"heuristic", WILLFUL, tempered},
    {"forgotten", WILLFUL, forgotten},
    {"retry", STUBBORN, tempered},
    {"held", HELD, tempered},
    {"late", LATE, tempered},
    {"pooled", PLAIN, scenario_pooled},
    {"deadline", PLAIN, deadline},
    {"reopened", PLAIN, reopened},
    {"threads", PLAIN, threads},
    {"peers", PLAIN, peers},
    {"moved", PLAIN, moved},
};
const unsigned hf_scenario_count = sizeof(hf_scenarios) / sizeof(hf_scenarios[0]);
