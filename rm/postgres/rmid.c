/*
 * rm/postgres/rmid.c - the registry of open rmids.
 *
 * Invariants
 *   R1  An rmid is in the registry from a successful xa_open() to its xa_close().
 *   R2  In a child after fork nothing is open, whatever its parent had; `forked` is 1 if that was
 *       something, until the first xa_open() makes the child's own beginning. What was inherited is
 *       neither used nor freed: PQfinish() in a child would end the parent's session. (A handler of
 *       pthread_atfork() does it: to ask for the process's id costs a system call each time.)
 *
 * Threads: a bucket's mutex is held for a walk along it, never in a call to libpq, and no other
 * lock is taken meanwhile: threads with connections of their own do not wait for each other.
 * Spec: [XA] 3.2: the transaction manager chooses rmids; tables 6-1, 6-2.
 */
#include "rmid.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BUCKETS = 64 };

static struct bucket {
    pthread_mutex_t mutex;
    struct pg_rmid *first; /* guarded by mutex */
} buckets[BUCKETS] = {[0 ... BUCKETS - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER}};

static _Atomic unsigned count; /* of all entries */
static _Atomic int forked;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Another thread of the parent may have held any of the mutexes. */
static void in_child(void)
{
    if (atomic_exchange(&count, 0) == 0)
        return;
    atomic_store(&forked, 1);
    for (int i = 0; i < BUCKETS; i++) {
        (void)pthread_mutex_init(&buckets[i].mutex, NULL);
        buckets[i].first = NULL;
    }
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* ENOMEM: a child is not told apart */
}

int hf__pg_rmid_is_forked(void)
{
    return atomic_load(&forked);
}

void hf__pg_rmid_begin(void)
{
    if (hf__pg_rmid_is_forked())
        atomic_store(&forked, 0);
}

static struct bucket *bucket_of(int rmid)
{
    return &buckets[(unsigned)rmid % BUCKETS];
}

struct pg_rmid *hf__pg_rmid_find(int rmid)
{
    struct bucket *b = bucket_of(rmid);
    struct pg_rmid *e;

    pthread_mutex_lock(&b->mutex);
    e = b->first;
    while (e != NULL && e->rmid != rmid)
        e = e->next;
    pthread_mutex_unlock(&b->mutex);
    return e;
}

struct pg_rmid *hf__pg_rmid_add(int rmid)
{
    struct bucket *b = bucket_of(rmid);
    struct pg_rmid *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    e->rmid = rmid;
    (void)pthread_once(&once, watch_forks);
    atomic_fetch_add(&count, 1);
    pthread_mutex_lock(&b->mutex);
    e->next = b->first;
    b->first = e;
    pthread_mutex_unlock(&b->mutex);
    return e;
}

void hf__pg_rmid_remove(struct pg_rmid *entry)
{
    struct bucket *b = bucket_of(entry->rmid);
    struct pg_rmid **link;

    pthread_mutex_lock(&b->mutex);
    link = &b->first;
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    pthread_mutex_unlock(&b->mutex);
    atomic_fetch_sub(&count, 1);
    free(entry->scan.xids);
    free(entry);
}
