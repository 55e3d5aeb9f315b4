/*
 * rm/kv/rmid.c - the registry of open rmids.
 *
 * Invariants
 *   R1  An rmid is in the registry from a successful xa_open() to its xa_close().
 *   R2  `owner` is not 0 if and only if an rmid is open, and tells which process opened it: a child
 *       after fork sees another number. There nothing is open, whatever its parent had, and the
 *       first xa_open() makes the child's own beginning. What was inherited is neither used nor
 *       freed.
 *
 * Threads: `mutex` is held for a walk along one bucket, and no other lock is taken meanwhile.
 * Spec: [XA] 3.2: the transaction manager chooses rmids; tables 6-1, 6-2.
 */
#include "rmid.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "holdfast/internal/store.h"

enum { BUCKETS = 64 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct kv_rmid *buckets[BUCKETS]; /* guarded by mutex */
static unsigned count;                   /* of all entries; guarded by mutex */
static _Atomic uint64_t owner;           /* hf__process() + 1 of who has rmids open; 0: nobody */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Another thread of the parent may have held any of the mutexes. */
static void in_child(void)
{
    (void)pthread_mutex_init(&mutex, NULL);
    for (int i = 0; i < BUCKETS; i++)
        buckets[i] = NULL;
    count = 0;
    hf__kv_place_forget_all();
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* ENOMEM: a child opens what its parent had not */
}

void hf__kv_rmid_begin(void)
{
    uint64_t opened_by = atomic_load(&owner);

    (void)pthread_once(&once, watch_forks);
    if (hf__kv_rmid_is_forked()) /* unless another thread has been faster */
        (void)atomic_compare_exchange_strong(&owner, &opened_by, 0);
}

int hf__kv_rmid_is_forked(void)
{
    uint64_t opened_by = atomic_load(&owner);

    return opened_by != 0 && opened_by != (uint64_t)hf__process() + 1;
}

static struct kv_rmid **bucket_of(int rmid)
{
    return &buckets[(unsigned)rmid % BUCKETS];
}

struct kv_rmid *hf__kv_rmid_find(int rmid)
{
    struct kv_rmid *e;

    pthread_mutex_lock(&mutex);
    e = *bucket_of(rmid);
    while (e != NULL && e->rmid != rmid)
        e = e->next;
    pthread_mutex_unlock(&mutex);
    return e;
}

struct kv_rmid *hf__kv_rmid_add(int rmid, uint32_t wait_ms, struct kv_place *place)
{
    struct kv_rmid *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    e->rmid = rmid;
    e->wait_ms = wait_ms;
    e->place = place;
    pthread_mutex_lock(&mutex);
    e->next = *bucket_of(rmid);
    *bucket_of(rmid) = e;
    if (count++ == 0)
        atomic_store(&owner, (uint64_t)hf__process() + 1);
    pthread_mutex_unlock(&mutex);
    return e;
}

void hf__kv_rmid_remove(struct kv_rmid *entry)
{
    struct kv_rmid **link;

    hf__kv_branch_scan_end(&entry->scan);
    hf__kv_place_close(entry->place);
    pthread_mutex_lock(&mutex);
    link = bucket_of(entry->rmid);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    if (--count == 0)
        atomic_store(&owner, 0);
    pthread_mutex_unlock(&mutex);
    free(entry);
}
