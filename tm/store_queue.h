/*
 * tm/store_queue.h - jobs that wait for a batch: for store.c alone. See store_queue.c.
 */
#ifndef HF_TM_STORE_QUEUE_H
#define HF_TM_STORE_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "holdfast/base.h"
#include "holdfast/internal/store.h"

/* What a caller wants done in a transaction; lives on its stack. */
struct hf__store_job {
    hf__store_fn *fn;
    void *arg;
    struct hf__store_job *next;
    bool spares_reserve; /* new work: refused while the reserve is not whole */
    int rc;
    hf_error why; /* if rc is not HF_OK */
    _Atomic bool done;
};

/* Run the jobs of a batch, a list, and set each one's rc. Called by one thread at a time. */
typedef void hf__store_run_fn(struct hf__store *store, struct hf__store_job *jobs);

struct hf__store_queue {
    hf__store_run_fn *run;
    struct hf__store *store; /* for run */
    pthread_mutex_t lock;
    struct hf__store_job *first, **end; /* lock: jobs that wait for a batch */
    unsigned batch;                     /* lock: number of the batch that forms */
    bool leading;                       /* lock: somebody leads, or has been told to */
    _Atomic uint32_t leader_word;       /* the leader-to-be sleeps on it */
    _Atomic uint32_t batch_word[2];     /* the others of a batch sleep on one, by its number */
};

/* queue must not move. */
void hf__store_queue_init(struct hf__store_queue *queue, hf__store_run_fn *run,
                          struct hf__store *store);
void hf__store_queue_destroy(struct hf__store_queue *queue);

/* Returns when the job was in a batch that is over. The caller may have led it. It cannot be
   cancelled meanwhile. */
void hf__store_queue_do(struct hf__store_queue *queue, struct hf__store_job *job);

#endif
