/*
 * rm/kv/lock.h - the lock manager: locks on keys, and on all keys that start with a prefix.
 *
 * It knows nothing of branches, stores and disks: an *owner* takes locks of a *table*, and lets go
 * of all of them at once. A key is locked shared or exclusive, a prefix shared:
 *
 *                              key shared   key exclusive   prefix of the key, shared
 *   key shared                     +              -                    +
 *   key exclusive                  -              -                    -
 *   prefix of the key, shared      +              -                    +
 *
 * Threads: every call is made with the table's mutex held, and one that waits lets go of it
 * meanwhile. An owner belongs to one table, and one thread at a time takes locks for it.
 */
#ifndef HF_KV_LOCK_H
#define HF_KV_LOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum { KV_LOCK_LEVELS = 16, KV_LOCK_BUCKETS = 64 };
enum kv_lock_mode { KV_SHARED = 1, KV_EXCLUSIVE = 2 }; /* the greater one includes the other */

/* What became of a request. Nothing was taken unless KV_LOCKED. */
enum kv_lock_answer {
    KV_LOCKED,
    KV_LOCK_TIMEOUT,   /* not to be had in wait_ms */
    KV_LOCK_DEADLOCK,  /* waiting for it would never have ended */
    KV_LOCK_REFUSED,   /* hf__kv_lock_refuse() ended the wait */
    KV_LOCK_LIMIT,     /* the owner has as many as it may */
    KV_LOCK_NO_MEMORY, /* nothing has changed */
    KV_LOCK_WAITS,     /* it is in line: only of the halves */
};

struct kv_lock;
struct kv_hold;

enum kv_wait { KV_WAITS_NOT, KV_WAITS, KV_GRANTED, KV_REFUSED };

/* Guarded by the mutex of its table; while it waits it is in three lists at once. */
struct kv_owner {
    uint64_t transaction;     /* all owners of one global transaction have the same number */
    struct kv_hold *holds;    /* of keys */
    struct kv_hold *prefixes; /* of prefixes */
    size_t count;             /* of both */
    size_t count_max;

    enum kv_wait wait;
    struct kv_locks *table;  /* in which it waits */
    pthread_cond_t wake;     /* CLOCK_MONOTONIC; nobody else's */
    struct kv_lock *wanted;  /* the request: what, */
    enum kv_lock_mode mode;  /* how, */
    struct kv_hold *pending; /* and what it will be; an upgrade's is the one that it has already */
    uint64_t ticket;         /* by which it came; unique in the table */
    uint64_t passes;         /* ticket of one who waits for us: we do not wait for him */
    struct kv_owner *ahead;  /* in the line of the lock */
    struct kv_owner *behind;
    struct kv_owner *earlier; /* of all who wait in the table */
    struct kv_owner *later;
    struct kv_owner *bucket_next; /* of all who wait, by transaction */

    uint64_t round; /* of the search that has seen it */
    struct kv_owner *to_do;
};

/* All locks of one store. */
struct kv_locks {
    pthread_mutex_t *mutex;
    struct kv_locks *next; /* of all tables in the process; guarded by the search's mutex */
    struct kv_lock *first[KV_LOCK_LEVELS]; /* keys, in byte order */
    struct kv_lock *prefixes;
    uint32_t random;                    /* picks levels */
    size_t exclusive;                   /* keys that are held so */
    uint64_t tickets;                   /* given out */
    struct kv_owner *earliest, *latest; /* who wait */
    struct kv_owner *waiting[KV_LOCK_BUCKETS];
};

/* A table begins as zeroes, and its mutex is not held here. It must be empty when it ends. */
void hf__kv_locks_init(struct kv_locks *locks, pthread_mutex_t *mutex);
void hf__kv_locks_end(struct kv_locks *locks);
/* In a child after fork: the parent's tables are not this process's. */
void hf__kv_locks_forget_all(void);

/*
 * An owner begins as zeroes. It holds nothing, and does not wait, when it ends. count_max bounds
 * the memory that its locks take: some 200 bytes and the key for each.
 */
void hf__kv_lock_owner_init(struct kv_owner *owner, uint64_t transaction, size_t count_max);
void hf__kv_lock_owner_end(struct kv_owner *owner);

/*
 * Take a lock, or wait for it at most wait_ms, first come first served. What the owner holds
 * already, also by a prefix, is not taken twice; shared becomes exclusive.
 */
enum kv_lock_answer hf__kv_lock_key(struct kv_locks *locks, struct kv_owner *owner, const void *key,
                                    size_t size, enum kv_lock_mode mode, uint32_t wait_ms);
enum kv_lock_answer hf__kv_lock_prefix(struct kv_locks *locks, struct kv_owner *owner,
                                       const void *prefix, size_t size, uint32_t wait_ms);

/*
 * The halves of the two: ask, and if the answer is KV_LOCK_WAITS, wait until owner->wait is not
 * KV_WAITS any more. may_wait 0: what others hold is KV_LOCK_TIMEOUT at once.
 */
enum kv_lock_answer hf__kv_lock_ask_key(struct kv_locks *locks, struct kv_owner *owner,
                                        const void *key, size_t size, enum kv_lock_mode mode,
                                        int may_wait);
enum kv_lock_answer hf__kv_lock_ask_prefix(struct kv_locks *locks, struct kv_owner *owner,
                                           const void *prefix, size_t size, int may_wait);
enum kv_lock_answer hf__kv_lock_wait(struct kv_locks *locks, struct kv_owner *owner,
                                     uint32_t wait_ms);

/* Let go of everything; whoever can go on is woken, and nobody else. Needs no memory. */
void hf__kv_lock_release(struct kv_locks *locks, struct kv_owner *owner);

/* If the owner waits, it is woken with KV_LOCK_REFUSED. */
void hf__kv_lock_refuse(struct kv_locks *locks, struct kv_owner *owner);
/* All who wait. */
void hf__kv_lock_refuse_all(struct kv_locks *locks);

#endif
