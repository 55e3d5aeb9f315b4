/*
 * tm/store_queue.c - group commit: leader and followers, for store.c alone.
 *
 * Whoever comes while nobody leads, leads: it takes all jobs that wait, runs them in one
 * transaction, commits once, and tells the others. Those who come meanwhile queue for the next
 * batch, and the first of them is its leader-to-be, who sleeps on a word of its own, so that
 * handing over wakes one thread; the rest of a batch sleep on one word and are woken by one call,
 * after the next batch has begun. Nobody waits for company: a lone caller pays one commit and no
 * sleep.
 *
 * Invariants
 *   Q1  One thread leads at a time: `leading` is set, under the lock, from before a caller is told
 *       to lead until it finds nobody waiting, or wakes the one that leads next.
 *   Q2  A job lives on its caller's stack. The leader does not touch it after it has stored `done`.
 *
 * Threads: any. The lock is held for moments, and nothing is taken under it.
 */
#include "store_queue.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void hf__store_queue_init(struct hf__store_queue *q, hf__store_run_fn *run, struct hf__store *store)
{
    *q = (struct hf__store_queue){.run = run, .store = store};
    (void)pthread_mutex_init(&q->lock, NULL);
    q->end = &q->first;
}

void hf__store_queue_destroy(struct hf__store_queue *q)
{
    (void)pthread_mutex_destroy(&q->lock);
}

static void sleep_on(_Atomic uint32_t *word, uint32_t seen)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0); /* woken, or changed */
}

static void wake(_Atomic uint32_t *word, int count)
{
    atomic_fetch_add(word, 1);
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* Take what waits. Its jobs sleep on the word that is returned. */
static struct hf__store_job *take_jobs(struct hf__store_queue *q, _Atomic uint32_t **ret_word)
{
    struct hf__store_job *jobs;

    (void)pthread_mutex_lock(&q->lock);
    jobs = q->first;
    q->first = NULL;
    q->end = &q->first;
    *ret_word = &q->batch_word[q->batch++ & 1];
    (void)pthread_mutex_unlock(&q->lock);
    return jobs;
}

/* The next batch begins before this one's callers are woken. */
static void hand_over(struct hf__store_queue *q)
{
    bool more;

    (void)pthread_mutex_lock(&q->lock);
    more = q->first != NULL;
    q->leading = more;
    (void)pthread_mutex_unlock(&q->lock);
    if (more)
        wake(&q->leader_word, 1);
}

static void lead(struct hf__store_queue *q, const struct hf__store_job *mine)
{
    _Atomic uint32_t *word;
    struct hf__store_job *jobs = take_jobs(q, &word), *next;
    bool others = false;

    q->run(q->store, jobs);
    hand_over(q);
    for (struct hf__store_job *job = jobs; job != NULL; job = next) {
        next = job->next;
        others = others || job != mine;
        atomic_store_explicit(&job->done, true,
                              memory_order_release); /* it may be gone after this */
    }
    if (others)
        wake(word, INT_MAX);
}

/* Queue. Returns when the job is done, or when its caller has to lead. */
static bool wait_or_lead(struct hf__store_queue *q, struct hf__store_job *job)
{
    _Atomic uint32_t *word;
    uint32_t seen;
    bool first;

    (void)pthread_mutex_lock(&q->lock);
    first = q->first == NULL;
    *q->end = job;
    q->end = &job->next;
    if (first && !q->leading) {
        q->leading = true;
        (void)pthread_mutex_unlock(&q->lock);
        return true;
    }
    word = first ? &q->leader_word : &q->batch_word[q->batch & 1];
    seen = atomic_load(word);
    (void)pthread_mutex_unlock(&q->lock);
    if (first) { /* the leader-to-be: the one who leads hands over to it, and to nobody else */
        while (atomic_load(word) == seen)
            sleep_on(word, seen);
        return true;
    }
    while (!atomic_load_explicit(&job->done, memory_order_acquire)) {
        sleep_on(word, seen);
        seen = atomic_load(word);
    }
    return false;
}

void hf__store_queue_do(struct hf__store_queue *q, struct hf__store_job *job)
{
    int cancel;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    if (wait_or_lead(q, job))
        lead(q, job);
    (void)pthread_setcancelstate(cancel, NULL);
}
