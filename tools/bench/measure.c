/*
 * tools/bench/measure.c - runs sides on threads, round after round, and takes medians.
 *
 * The threads of a round open what they need, warm up, and meet; then the clock runs until the last
 * of them has finished its last transaction, so every transaction that is counted lies within the
 * time that is measured, and every flush of theirs within the count. Which side goes first changes
 * from round to round. In the loop nothing is allocated and nothing is shared but the flag to
 * stop.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench.h"

struct run {
    const struct bench_options *options;
    const struct side *side;
    pthread_barrier_t ready, start, finish; /* of the workers and the one who measures */
    atomic_bool stop;                       /* begin no more */
};

struct worker {
    struct run *run;
    pthread_t thread;
    void *context; /* the side's */
    int rc;        /* the first failure; 0 is good */
    struct histogram latency;
    uint64_t phase_ns[PHASES]; /* all 0: the side has none */
};

static volatile sig_atomic_t interrupted;

void measure_interrupt(void)
{
    interrupted = 1;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* -- what is written --------------------------------------------------------------------------- */

void bench_pair_init(struct bench_pair *ret)
{
    static atomic_ullong last;
    unsigned long long number = atomic_fetch_add(&last, 1) + 1;

    memset(ret, 'k', sizeof(*ret));
    memcpy(ret->key + sizeof(ret->key) - sizeof(number), &number, sizeof(number));
}

void bench_pair_next(struct bench_pair *pair)
{
    uint64_t number;

    memcpy(&number, pair->value, sizeof(number));
    number++;
    memcpy(pair->value, &number, sizeof(number));
}

/* -- one thread ------------------------------------------------------------------------------- */

static inline void loop(struct worker *w)
{
    const struct side *side = w->run->side;
    uint64_t count = w->run->options->count, before = now_ns();

    /* Bound: count, or until the time is over. */
    while (w->rc == 0 && !interrupted &&
           !atomic_load_explicit(&w->run->stop, memory_order_relaxed)) {
        uint64_t after;

        w->rc = side->transact(w->context);
        after = now_ns();
        histogram_add(&w->latency, after - before);
        before = after;
        if (w->latency.total == count)
            break;
    }
}

/* Two of them, and never inlined, so that callgrind can be told to count in one alone. */
__attribute__((noinline)) void measured_loop(struct worker *w)
{
    loop(w);
}

__attribute__((noinline)) void raw_loop(struct worker *w)
{
    loop(w);
    __asm__ volatile(""); /* not the same function as the one above */
}

static void *work(void *arg)
{
    struct worker *w = arg;
    const struct side *side = w->run->side;

    w->rc = side->open(side->shared, &w->context);
    for (uint64_t i = 0; i < w->run->options->warmup && w->rc == 0; i++)
        w->rc = side->transact(w->context);
    (void)pthread_barrier_wait(&w->run->ready);
    (void)pthread_barrier_wait(&w->run->start);
    if (side->has_phases)
        phases_reset();
    side->loop(w);
    if (side->has_phases)
        phases_add(w->phase_ns);
    (void)pthread_barrier_wait(&w->run->finish);
    if (w->context != NULL) {
        int rc = side->close(w->context);

        w->rc = w->rc == 0 ? rc : w->rc;
    }
    return NULL;
}

/* -- one round -------------------------------------------------------------------------------- */

struct reading {
    uint64_t ns;
    double cpu_us, switches;
    struct flushes disk;
    struct messages net;
};

static struct reading read_all(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u); /* cannot fail for oneself */
    return (struct reading){.ns = now_ns(),
                            .cpu_us = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
                                      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec),
                            .switches = (double)(u.ru_nvcsw + u.ru_nivcsw),
                            .disk = flushes_now(),
                            .net = messages_now()};
}

/* In short pieces: a signal may have been another thread's to take. */
static void sleep_until(uint64_t ns)
{
    uint64_t now;

    while (!interrupted && (now = now_ns()) < ns) {
        uint64_t piece = ns - now < 50000000 ? ns - now : 50000000;
        const struct timespec ts = {.tv_nsec = (long)piece};

        (void)nanosleep(&ts, NULL); /* cut short: the loop goes on */
    }
}

static int summarize(const struct worker *workers, unsigned threads, const struct reading *a,
                     const struct reading *b, struct sample *ret)
{
    struct histogram *all = calloc(1, sizeof(*all));
    const struct side *side = workers[0].run->side;
    double each = side->each != 0 ? side->each : 1, n;

    if (all == NULL)
        return ENOMEM;
    for (unsigned i = 0; i < threads; i++)
        histogram_merge(all, &workers[i].latency);
    n = (double)all->total * each;
    *ret = (struct sample){
        .tx_per_s = n / ((double)(b->ns - a->ns) / 1e9),
        .p50_us = histogram_us(all, 0.5) / each,
        .p99_us = histogram_us(all, 0.99) / each,
        .p999_us = histogram_us(all, 0.999) / each,
        .cpu_us_per_tx = (b->cpu_us - a->cpu_us) / n,
        .log_commits_per_tx = (double)(b->disk.log_commits - a->disk.log_commits) / n,
        .flushes_per_tx = (double)(b->disk.flushes - a->disk.flushes) / n,
        .switches_per_tx = (b->switches - a->switches) / n,
        .messages_per_tx = (double)(b->net.messages - a->net.messages) / n,
        .round_trips_per_tx = (double)(b->net.round_trips - a->net.round_trips) / n,
    };
    for (unsigned i = 0; i < threads; i++)
        for (unsigned j = 0; j < PHASES; j++)
            ret->phase_us[j] += (double)workers[i].phase_ns[j] / 1e3 / n;
    free(all);
    return n > 0 ? 0 : -1;
}

static int run_workers(struct run *run, struct worker *workers, unsigned threads,
                       struct sample *ret)
{
    const struct bench_options *o = run->options;
    struct reading before, after;
    int rc = 0;

    for (unsigned i = 0; i < threads; i++) {
        workers[i].run = run;
        rc = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
        if (rc != 0) { /* the others wait at the barrier for ever */
            complain("start thread %u: %s", i + 1, strerror(rc));
            exit(EXIT_FAILURE);
        }
    }
    (void)pthread_barrier_wait(&run->ready); /* what opening and warming up wrote is not counted */
    before = read_all();
    (void)pthread_barrier_wait(&run->start);
    if (o->count == 0) {
        sleep_until(before.ns + (uint64_t)(o->seconds * 1e9));
        atomic_store(&run->stop, true);
    }
    (void)pthread_barrier_wait(&run->finish);
    after = read_all();
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        rc = rc == 0 ? workers[i].rc : rc;
    }
    if (rc == 0)
        rc = summarize(workers, threads, &before, &after, ret);
    return interrupted ? EINTR : rc;
}

static int measure_round(const struct bench_options *o, unsigned threads, const struct side *side,
                         struct sample *ret)
{
    struct worker *workers;
    struct run run = {.options = o, .side = side};
    int rc;

    threads = side->threads != 0 ? side->threads : threads;
    workers = calloc(threads, sizeof(*workers));
    rc = workers != NULL ? 0 : ENOMEM;
    if (rc == 0) {
        (void)pthread_barrier_init(&run.ready, NULL, threads + 1);
        (void)pthread_barrier_init(&run.start, NULL, threads + 1);
        (void)pthread_barrier_init(&run.finish, NULL, threads + 1);
        rc = run_workers(&run, workers, threads, ret);
        (void)pthread_barrier_destroy(&run.finish);
        (void)pthread_barrier_destroy(&run.start);
        (void)pthread_barrier_destroy(&run.ready);
        free(workers);
    }
    if (rc != 0 && interrupted)
        complain("interrupted");
    else if (rc != 0)
        complain("%s on %u threads failed (%d)", side->name, threads, rc);
    return rc == 0 ? 0 : -1;
}

/* -- rounds ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* A sample is an array of doubles by another name. */
enum { SAMPLE_VALUES = sizeof(struct sample) / sizeof(double) };

static struct sample medians(const struct sample *samples, unsigned rounds)
{
    double all[BENCH_ROUNDS_MAX][SAMPLE_VALUES], one[BENCH_ROUNDS_MAX], middle[SAMPLE_VALUES];
    struct sample ret;

    memcpy(all, samples, rounds * sizeof(*samples));
    for (unsigned v = 0; v < SAMPLE_VALUES; v++) {
        for (unsigned r = 0; r < rounds; r++)
            one[r] = all[r][v];
        middle[v] = median(one, rounds);
    }
    memcpy(&ret, middle, sizeof(ret));
    return ret;
}

int measure_row(const struct bench_options *o, unsigned threads, const struct side *ours,
                const struct side *baseline, struct row *ret)
{
    struct sample a[BENCH_ROUNDS_MAX], b[BENCH_ROUNDS_MAX];
    double ratios[BENCH_ROUNDS_MAX];
    int rc = 0;

    for (unsigned r = 0; r < o->rounds && rc == 0; r++) {
        if (baseline != NULL && r % 2 == 1)
            rc = measure_round(o, threads, baseline, &b[r]);
        if (rc == 0)
            rc = measure_round(o, threads, ours, &a[r]);
        if (rc == 0 && baseline != NULL && r % 2 == 0)
            rc = measure_round(o, threads, baseline, &b[r]);
        if (rc == 0 && baseline != NULL)
            ratios[r] = a[r].tx_per_s / b[r].tx_per_s;
    }
    if (rc != 0)
        return rc;
    *ret = (struct row){.threads = threads, .name = ours->name, .ours = medians(a, o->rounds)};
    if (baseline != NULL) {
        ret->baseline_name = baseline->name;
        ret->baseline = medians(b, o->rounds);
        ret->ratio = median(ratios, o->rounds);
    }
    return 0;
}
