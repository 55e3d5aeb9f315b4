/*
 * tests/support/second_thread.h - a second thread that does what it is told, step by step, so that
 * what happens in which thread, and in which order, is the test's to say.
 *
 *   struct second *s = second_start();
 *   assert_int_equal(second_do(s, fn, arg), HF_OK);    fn(arg) in that thread, and its answer
 *   second_end(s);                                     the thread has ended when it returns
 */
#ifndef HF_TESTS_SUPPORT_SECOND_THREAD_H
#define HF_TESTS_SUPPORT_SECOND_THREAD_H

#include "support/t.h"

#include <pthread.h>
#include <stdbool.h>

struct second {
    pthread_t thread;
    pthread_mutex_t lock; /* all that follows */
    pthread_cond_t changed;
    int (*fn)(void *arg); /* NULL: nothing to do */
    void *arg;
    int rc;
    bool end;
};

static inline void *second__run(void *arg)
{
    struct second *s = arg;

    (void)pthread_mutex_lock(&s->lock);
    while (!s->end) {
        if (s->fn == NULL) {
            (void)pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        s->rc = s->fn(s->arg);
        s->fn = NULL;
        (void)pthread_cond_broadcast(&s->changed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

static inline struct second *second_start(void)
{
    struct second *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    assert_int_equal(pthread_create(&s->thread, NULL, second__run, s), 0);
    return s;
}

static inline int second_do(struct second *s, int (*fn)(void *arg), void *arg)
{
    int rc;

    (void)pthread_mutex_lock(&s->lock);
    s->fn = fn;
    s->arg = arg;
    (void)pthread_cond_broadcast(&s->changed);
    while (s->fn != NULL)
        (void)pthread_cond_wait(&s->changed, &s->lock);
    rc = s->rc;
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static inline void second_end(struct second *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->end = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->changed);
    free(s);
}

#endif
