/*
 * tools/bench/bench.h - what the files of hf-bench share.
 *
 * A *side* is one way to do the work: ours, or the baseline. measure.c runs a side on some threads
 * for a while, which gives a sample; rounds of both sides, one after the other, give a row.
 */
#ifndef HF_BENCH_H
#define HF_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_THREADS_MAX = 1024,     /* at a time */
    BENCH_THREAD_COUNTS_MAX = 16, /* rows of one run */
    BENCH_ROUNDS_MAX = 99,
    BENCH_ROWS_MAX = 3 * BENCH_THREAD_COUNTS_MAX,
    BENCH_SERVERS = 2,
};

struct bench_options {
    const char *measure; /* "commit", "kv", "holder", "begin", "postgres" or "mixed" */
    unsigned threads[BENCH_THREAD_COUNTS_MAX];
    unsigned rows; /* in use of them */
    unsigned rounds;
    double seconds;  /* of each round and side, if count is 0 */
    uint64_t count;  /* transactions of each thread, round and side; 0: as many as fit */
    uint64_t warmup; /* of each thread before the clock starts */
    bool json;
    const char *dir;
    const char *server[BENCH_SERVERS]; /* connection strings */
    unsigned servers;                  /* given of them: none or all */
};

/* -- latencies (histogram.c) ------------------------------------------------------------------ */

enum { HISTOGRAM_SUB_BITS = 5, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS) << 5 };

/* Counts of nanoseconds in buckets that are 1/32 of a power of two wide. One thread's. */
struct histogram {
    uint64_t total;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The middle of the bucket in which the part-th of all lies, in microseconds; 0 if it is empty. */
double histogram_us(const struct histogram *h, double part);

/* -- what reaches the disk (flushes.c) -------------------------------------------------------- */

struct flushes {
    uint64_t log_commits; /* LMDB's: meta pages written through an O_DSYNC descriptor */
    uint64_t flushes;     /* those, and calls of fdatasync() and fsync() */
};

/* Of this process, since it began. */
struct flushes flushes_now(void);

/* -- what goes to servers (messages.c) -------------------------------------------------------- */

struct messages {
    uint64_t messages;
    uint64_t round_trips; /* messages that are sent before an answer is read are one */
};

/* Of this process, since it began. */
struct messages messages_now(void);

/* -- where the time goes (phases.c) ------------------------------------------------------------ */

enum phase {
    PHASE_REST, /* all that is not one of the others */
    PHASE_WORK, /* the user's statements, and what begins a branch */
    PHASE_PREPARE,
    PHASE_DECIDE, /* from the last vote to the first commit */
    PHASE_COMMIT,
    PHASES
};

/* The calling thread is in this phase from now on. */
void phase_enter(enum phase phase);
void phases_reset(void);
void phases_add(uint64_t ret_ns[PHASES]); /* the thread's, since the last reset */

/* -- sides ------------------------------------------------------------------------------------ */

struct row;
struct worker;

struct side {
    const char *name;
    void *shared;                                 /* given to open */
    int (*open)(void *shared, void **ret_thread); /* what one thread needs; 0 is good */
    int (*transact)(void *thread);                /* 0 is good; anything else ends the run */
    int (*close)(void *thread);
    void (*loop)(struct worker *w); /* measured_loop or raw_loop, see measure.c */
    unsigned threads;               /* always so many; 0: as the row says */
    unsigned each;                  /* what one call of transact counts for; 0: one */
    bool has_phases;                /* transact says in which phase it is */
};

/* node.c: a node in dir and two resource managers that do nothing. */
struct node;
int node_open(const char *dir, struct node **ret);
int node_close(struct node *node); /* NULL is allowed */
struct side node_commit_side(struct node *node);
struct side node_begin_side(struct node *node);

/* raw.c, behind raw.h. */
struct raw;
struct side raw_side(struct raw *raw);

/* What one thread writes in `hf-bench kv`: always its own key, and each time another value. */
struct bench_pair {
    unsigned char key[16];
    unsigned char value[64];
};
void bench_pair_init(struct bench_pair *ret); /* a key that no other thread has */
void bench_pair_next(struct bench_pair *pair);

/* kv.c: a node and two kv stores, in dir. */
struct kv_bench;
int kv_open(const char *dir, const char *node_dir, struct kv_bench **ret);
int kv_close(struct kv_bench *kv); /* NULL is allowed */
struct side kv_side(struct kv_bench *kv);

/* raw_kv.c, behind raw.h. */
struct raw_kv;
struct side raw_kv_side(struct raw_kv *raw);

/* holder.c: a node, and a holder of toys. */
struct holder_bench;
int holder_open(const char *dir, struct holder_bench **ret);
int holder_close(struct holder_bench *bench); /* NULL is allowed */
/* With a microsecond of work or without; threads as in struct side. */
struct side holder_side(struct holder_bench *bench, bool work, unsigned threads);

/* databases.c, where libpq is: rows of its own, BENCH_ROWS_MAX at most. 0, or else it said why. */
int measure_postgres(const struct bench_options *o, const char *node_dir, struct row *rows,
                     unsigned *ret_count);
int measure_mixed(const struct bench_options *o, const char *node_dir, struct row *rows,
                  unsigned *ret_count);

/* -- measuring -------------------------------------------------------------------------------- */

/* One round of one side, or the medians of its rounds, value by value. */
struct sample {
    double tx_per_s;
    double p50_us, p99_us, p999_us;
    double cpu_us_per_tx; /* user and system, of all threads */
    double log_commits_per_tx, flushes_per_tx;
    double switches_per_tx; /* of context, of all threads, wanted or not */
    double messages_per_tx, round_trips_per_tx;
    double phase_us[PHASES]; /* of a transaction, on average; all 0: not known of this side */
};

struct row {
    unsigned threads;
    const char *name; /* of our side */
    struct sample ours, baseline;
    const char *baseline_name; /* NULL: there is none */
    double ratio;              /* median of each round's own; ours through baseline's */
};

void measured_loop(struct worker *w);
void raw_loop(struct worker *w);

/* Rounds on some threads. baseline may be NULL. 0, or -1 after saying why on stderr. */
int measure_row(const struct bench_options *o, unsigned threads, const struct side *ours,
                const struct side *baseline, struct row *ret);
/* End the round that runs, and the run with it. From a signal handler. */
void measure_interrupt(void);

/* -- telling (report.c) ----------------------------------------------------------------------- */

/* To stdout, as a table or one JSON document. 0, or -1 if it could not be written. */
int report(const struct bench_options *o, const struct row *rows, unsigned count);
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
