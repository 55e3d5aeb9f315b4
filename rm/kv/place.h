/*
 * rm/kv/place.h - a store's directory as this process has it open: one for all rmids that reach it.
 *
 * Threads: `mutex` guards the branches, the locks and `failed`. It is held for a few instructions
 * or while waiting on a condition, never across a call to the store. Lock order: the opening mutex
 * of place.c, then that of the search for deadlocks (lock.c), then the places' mutexes, of which
 * only the search holds more than one; the rmids' mutex is held alone.
 */
#ifndef HF_KV_PLACE_H
#define HF_KV_PLACE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "lock.h"
#include "openstring.h"

struct hf__store;
struct kv_branch;

enum { KV_BRANCH_BUCKETS = 256 };

struct kv_place {
    /* Guarded by the opening mutex. */
    struct kv_place *next;
    dev_t device; /* of the directory */
    ino_t inode;
    unsigned references; /* rmids */

    struct hf__store *store; /* the same from open to close */

    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a branch stopped being busy */
    /* Guarded by mutex. */
    int failed; /* a commit's outcome is not known: all is XAER_RMFAIL until it is opened anew */
    struct kv_branch *branches[KV_BRANCH_BUCKETS];
    unsigned prepared; /* branches */
    struct kv_locks locks;
};

/*
 * Take part in the store that the open string names: opened now, or open already. Prepared branches
 * are read back and hold the locks of what they wrote. Errors are hf__store_open()'s, and HF_EIO
 * for a store whose opening has failed and that other rmids have not closed yet.
 */
int hf__kv_place_open(const struct kv_openstring *open, struct kv_place **ret);
/* The last one closes the store; branches that are not prepared are forgotten with it. */
void hf__kv_place_close(struct kv_place *place);
/* In a child after fork: the parent's places are not this process's. */
void hf__kv_place_forget_all(void);

int hf__kv_place_failed(struct kv_place *place);
/* A step's outcome is not known. Called with mutex held; wakes all who wait. */
void hf__kv_place_fail(struct kv_place *place);

#endif
