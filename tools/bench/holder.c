/*
 * tools/bench/holder.c - the sides of `hf-bench holder`: allocate and free, in a transaction.
 *
 * Each thread has a transaction of its own, in which its resource is enlisted from the first
 * allocation on; the driver rates it 100 and does nothing else, so that what is measured is the
 * holder. All threads share one holder of at most 32 resources. With work, a microsecond of
 * arithmetic lies between the allocation and the free; one thread doing the same is the baseline.
 * Without, a hundred pairs are timed at a time, because a reading of the clock costs as much as a
 * few of them.
 */
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "holdfast/holder.h"

enum { RESOURCES = 32, PAIRS = 100, CLOSE_WAIT_MS = 5000, CALIBRATE_ROUNDS = 2000000 };

struct holder_bench {
    hf_tm *tm;
    hf_manager *manager;
    hf_holder *holder;
    hf_resid ids;
    unsigned rounds_per_us; /* of the arithmetic */
};

struct holder_thread {
    struct holder_bench *bench;
    hf_tx *tx;
};

static int refused(const char *what, int rc)
{
    complain("%s: %s (%s)", what, hf_error_last()->text, hf_strerror_name(rc));
    return rc;
}

/* -- the driver ------------------------------------------------------------------------------- */

static int create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    struct holder_bench *bench = user;

    (void)type, (void)ret_idle_s;
    *ret_id = __atomic_add_fetch(&bench->ids, 1, __ATOMIC_RELAXED);
    return HF_OK;
}

static int rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    (void)user, (void)type, (void)id, (void)needs_enlist;
    *ret_rating = HF_RATING_PERFECT;
    return HF_OK;
}

static int enlist(void *user, hf_resid id, hf_tx *tx)
{
    (void)user, (void)id, (void)tx;
    return HF_OK;
}

static int nothing(void *user, hf_resid id)
{
    (void)user, (void)id;
    return HF_OK;
}

/* -- the work --------------------------------------------------------------------------------- */

static uint64_t arithmetic(unsigned rounds)
{
    uint64_t x = 1;

    for (unsigned i = 0; i < rounds; i++) {
        x = x * 6364136223846793005U + 1442695040888963407U;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

/* The best of a few: what another process took of the time is not ours. */
static unsigned calibrate(void)
{
    uint64_t best_ns = UINT64_MAX;

    for (int i = 0; i < 5; i++) {
        struct timespec a, b;
        uint64_t ns;

        (void)clock_gettime(CLOCK_MONOTONIC, &a); /* cannot fail with this clock */
        (void)arithmetic(CALIBRATE_ROUNDS);
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 + (uint64_t)b.tv_nsec -
             (uint64_t)a.tv_nsec;
        best_ns = ns < best_ns ? ns : best_ns;
    }
    return (unsigned)(CALIBRATE_ROUNDS * 1000ULL / (best_ns + 1)) + 1;
}

static int pair(const struct holder_thread *t, unsigned rounds)
{
    hf_resid id;
    int rc = hf_holder_alloc(t->bench->holder, 1, &id);

    if (rc == HF_OK) {
        (void)arithmetic(rounds);
        rc = hf_holder_free(t->bench->holder, id);
    }
    return rc == HF_OK ? rc : refused("a pair", rc);
}

static int transact_with_work(void *thread)
{
    const struct holder_thread *t = thread;

    return pair(t, t->bench->rounds_per_us);
}

static int transact_bare(void *thread)
{
    int rc = HF_OK;

    for (int i = 0; i < PAIRS && rc == HF_OK; i++)
        rc = pair(thread, 0);
    return rc;
}

/* -- threads, and all of it ------------------------------------------------------------------- */

static int open_thread(void *shared, void **ret_thread)
{
    struct holder_thread *t = calloc(1, sizeof(*t));
    int rc;

    if (t == NULL)
        return HF_ENOMEM;
    t->bench = shared;
    rc = hf_tx_begin(t->bench->tm, 0, &t->tx);
    if (rc != HF_OK) {
        free(t);
        return refused("begin", rc);
    }
    *ret_thread = t;
    return HF_OK;
}

static int close_thread(void *thread)
{
    struct holder_thread *t = thread;
    int rc = hf_tx_rollback(t->tx, NULL);

    free(t);
    return rc == HF_OK ? rc : refused("roll back", rc);
}

struct side holder_side(struct holder_bench *bench, bool work, unsigned threads)
{
    return (struct side){.name = threads != 0 ? "one" : "holdfast",
                         .shared = bench,
                         .open = open_thread,
                         .transact = work ? transact_with_work : transact_bare,
                         .close = close_thread,
                         .loop = measured_loop,
                         .threads = threads,
                         .each = work ? 1 : PAIRS};
}

int holder_open(const char *dir, struct holder_bench **ret)
{
    const hf_driver driver = {.size = sizeof(driver),
                              .create = create,
                              .rate = rate,
                              .enlist = enlist,
                              .reset = nothing,
                              .destroy = nothing};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_manager_config manager = HF_MANAGER_CONFIG_INIT;
    hf_holder_config holder = HF_HOLDER_CONFIG_INIT;
    struct holder_bench *bench = calloc(1, sizeof(*bench));
    int rc;

    if (bench == NULL) {
        complain("open the holder: out of memory");
        return HF_ENOMEM;
    }
    bench->rounds_per_us = calibrate();
    config.dir = dir;
    holder.max = RESOURCES;
    holder.wait_ms = CLOSE_WAIT_MS;
    rc = hf_tm_open(&config, &bench->tm);
    if (rc == HF_OK)
        rc = hf_tm_start(bench->tm, 0);
    manager.tm = bench->tm;
    if (rc == HF_OK)
        rc = hf_manager_open(&manager, &bench->manager);
    if (rc == HF_OK)
        rc = hf_holder_open(bench->manager, &driver, bench, &holder, &bench->holder);
    if (rc == HF_OK) {
        *ret = bench;
        return HF_OK;
    }
    (void)refused("open the holder", rc);
    (void)holder_close(bench); /* the first failure is the one that is told */
    return rc;
}

int holder_close(struct holder_bench *bench)
{
    int rc = HF_OK;

    if (bench == NULL)
        return HF_OK;
    if (bench->manager != NULL)
        rc = hf_manager_close(bench->manager, CLOSE_WAIT_MS, NULL);
    if (rc == HF_OK && bench->tm != NULL)
        rc = hf_tm_close(bench->tm, CLOSE_WAIT_MS, NULL);
    free(bench);
    return rc == HF_OK ? rc : refused("close the holder", rc);
}
