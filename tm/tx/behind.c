/*
 * tm/tx/behind.c - second phases that go on behind tx_commit() (TX_COMMIT_DECISION_LOGGED).
 *
 * One thread for the process, started when the first thread of control asks for the characteristic,
 * ended with the node. A thread of control has at most one transaction here: its instances are
 * still enlisted in it, so that the next one cannot begin before its end, and hf__tx_behind_wait()
 * comes first in tx_begin() and tx_close(). Who waits for one that our thread has not begun yet
 * finishes it by itself: a resource manager that hangs holds up only those that need it.
 *
 * If we crash while something waits here, the decision is in the log, and recovery carries it out.
 */
#include <pthread.h>
#include <signal.h>

#include "thread.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER; /* for our thread */
static pthread_cond_t over = PTHREAD_COND_INITIALIZER; /* for those that wait */
static pthread_t thread;
static bool running, stop;                           /* lock */
static struct hf__tx_thread *first, **last = &first; /* lock: that wait for their turn */

static void finish(hf_tx *rest)
{
    hf_result result = HF_RESULT_INIT;
    int rc = hf_tx_finish(rest, &result);

    if (rc != HF_OK || result.owed > 0)
        hf__tx_tell(rc == HF_OK ? HF_LOG_WARNING : HF_LOG_ALARM,
                    "after tx_commit: %s, %u branches are owed their end: %s",
                    hf_outcome_name(result.outcome), result.owed, result.text);
}

static void *run(void *arg)
{
    (void)pthread_mutex_lock(&lock);
    for (;;) {
        struct hf__tx_thread *t = first;

        if (t != NULL) {
            first = t->next_behind;
            last = first == NULL ? &first : last;
            (void)pthread_mutex_unlock(&lock);
            finish(t->rest);
            (void)pthread_mutex_lock(&lock);
            t->rest = NULL;
            (void)pthread_cond_broadcast(&over);
        } else if (stop) {
            break;
        } else {
            (void)pthread_cond_wait(&work, &lock);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return arg;
}

bool hf__tx_behind_start(void)
{
    sigset_t all, old;
    bool started;

    (void)pthread_mutex_lock(&lock);
    if (!running) {
        (void)sigfillset(&all); /* signals are the host's */
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        stop = false;
        running = pthread_create(&thread, NULL, run, NULL) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    started = running;
    (void)pthread_mutex_unlock(&lock);
    return started;
}

void hf__tx_behind_stop(void)
{
    bool ran;

    (void)pthread_mutex_lock(&lock);
    ran = running;
    running = false;
    stop = true;
    (void)pthread_cond_broadcast(&work);
    (void)pthread_mutex_unlock(&lock);
    if (ran)
        (void)pthread_join(thread, NULL);
}

void hf__tx_behind_before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

void hf__tx_behind_after_fork(bool child)
{
    if (child) { /* our thread is not there */
        (void)pthread_cond_init(&work, NULL);
        (void)pthread_cond_init(&over, NULL);
        running = stop = false;
        first = NULL;
        last = &first;
    }
    (void)pthread_mutex_unlock(&lock);
}

void hf__tx_behind_push(struct hf__tx_thread *t, hf_tx *rest)
{
    (void)pthread_mutex_lock(&lock);
    t->rest = rest;
    t->behind = true;
    t->next_behind = NULL;
    *last = t;
    last = &t->next_behind;
    (void)pthread_cond_signal(&work);
    (void)pthread_mutex_unlock(&lock);
}

/* Out of those that wait for their turn; NULL: our thread has begun it, or it is over. */
static hf_tx *take_back(struct hf__tx_thread *t)
{
    struct hf__tx_thread **at = &first;
    hf_tx *rest = t->rest;

    while (*at != NULL && *at != t)
        at = &(*at)->next_behind;
    if (*at == NULL)
        return NULL;
    *at = t->next_behind;
    if (*at == NULL)
        last = at;
    t->rest = NULL;
    return rest;
}

void hf__tx_behind_wait(struct hf__tx_thread *t)
{
    hf_tx *mine;

    if (!t->behind)
        return;
    (void)pthread_mutex_lock(&lock);
    mine = take_back(t);
    while (t->rest != NULL)
        (void)pthread_cond_wait(&over, &lock);
    (void)pthread_mutex_unlock(&lock);
    if (mine != NULL)
        finish(mine);
    t->behind = false;
}
