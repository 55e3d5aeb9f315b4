/*
 * rm/kv/place.c - the registry of open stores, and the one lock that each store has.
 *
 * A store is found by device and inode of its directory before anything in it is opened, so that
 * two open strings that spell one directory differently share one place. One process opens a store:
 * it is opened HF__STORE_EXCLUSIVE, and a second process gets HF_EOWNED.
 *
 * The store's lock belongs to a branch from its first read or write until it ends, votes read-only
 * or is spoilt. A prepared branch keeps it, also over a reopen: then `prepared` is not 0 and nobody
 * gets it.
 *
 * Invariants
 *   P1  A directory has at most one place in this process.
 *   P2  owner != NULL implies prepared == 0: a branch gets the lock only when nothing is prepared.
 *   P3  If the lock is free, nobody waits for it.
 *   P4  A place that has failed stays failed; no apply is made any more in this opening.
 *
 * Threads: `opening` makes opens and closes go one at a time, and nothing else waits for it. The
 * time of waiting is CLOCK_MONOTONIC's.
 *
 * Spec: [XA] 2.2 leaves isolation to the resource manager; xa_open(), xa_close().
 */
#include "place.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "branch.h"
#include "disk.h"
#include "holdfast/internal/fault.h"
#include "holdfast/internal/store.h"

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static struct kv_place *places; /* guarded by opening */

/* -- the registry ------------------------------------------------------------------------------ */

static struct kv_place *find_place(const struct stat *st)
{
    struct kv_place *p = places;

    while (p != NULL && (p->device != st->st_dev || p->inode != st->st_ino))
        p = p->next;
    return p;
}

/* Open the store itself and check all of it. */
static int open_store(const struct kv_openstring *open, struct hf__store **ret)
{
    struct hf__store_config config = {
        .dir = open->dir,
        .file = "kv.mdb",
        .lock_file = "lock",
        .application = KV_APPLICATION,
        .format = KV_FORMAT,
        .flags = HF__STORE_EXCLUSIVE | (open->create ? HF__STORE_CREATE : 0),
    };
    struct hf__store *store = NULL;
    int rc;

    rc = hf__store_open(&config, &store);
    if (rc != HF_OK)
        return rc;
    rc = hf__store_verify(store);
    if (rc != HF_OK) {
        hf__store_close(store);
        return rc;
    }
    *ret = store;
    return HF_OK;
}

static struct kv_writes *make_prepared(void *user, const struct kv_xid *xid)
{
    return hf__kv_branch_make_prepared(user, xid);
}

static void free_place(struct kv_place *place)
{
    if (place == NULL)
        return;
    hf__kv_branch_drop_all(place);
    hf__store_close(place->store);
    pthread_cond_destroy(&place->changed);
    pthread_mutex_destroy(&place->mutex);
    free(place);
}

/* A place of its own for a store that is not open here. */
static int make_place(const struct kv_openstring *open, struct kv_place **ret)
{
    struct kv_place *place = calloc(1, sizeof(*place));
    struct stat st;
    int rc;

    if (place == NULL)
        return hf__error(HF_ENOMEM, 0, "kv: no memory to open the store");
    pthread_mutex_init(&place->mutex, NULL);
    pthread_cond_init(&place->changed, NULL);
    rc = open_store(open, &place->store);
    if (rc != HF_OK)
        goto fail;
    rc = hf__kv_disk_load(place->store, make_prepared, place);
    if (rc != HF_OK)
        goto fail;
    HF_FAULT("kv:loaded");
    if (lstat(open->dir, &st) != 0) {
        rc = hf__error(HF_EIO, errno, "kv: cannot stat the store's directory");
        goto fail;
    }
    hf__store_opened(place->store);
    place->device = st.st_dev;
    place->inode = st.st_ino;
    *ret = place;
    return HF_OK;

fail:
    free_place(place);
    return rc;
}

int hf__kv_place_open(const struct kv_openstring *open, struct kv_place **ret)
{
    struct kv_place *place = NULL;
    struct stat st;
    int rc = HF_OK;

    pthread_mutex_lock(&opening);
    if (lstat(open->dir, &st) == 0)
        place = find_place(&st);
    if (place == NULL) {
        rc = make_place(open, &place);
        if (rc != HF_OK)
            goto out;
        place->next = places;
        places = place;
    } else if (hf__kv_place_failed(place)) {
        rc = hf__error(HF_EIO, 0, "kv: the store failed; close every instance of it first");
        goto out;
    }
    place->references++;
    *ret = place;
out:
    pthread_mutex_unlock(&opening);
    return rc;
}

void hf__kv_place_close(struct kv_place *place)
{
    struct kv_place **link = &places;

    pthread_mutex_lock(&opening);
    if (--place->references == 0) {
        while (*link != place)
            link = &(*link)->next;
        *link = place->next;
        free_place(place);
    }
    pthread_mutex_unlock(&opening);
}

int hf__kv_place_failed(struct kv_place *place)
{
    int failed;

    pthread_mutex_lock(&place->mutex);
    failed = place->failed;
    pthread_mutex_unlock(&place->mutex);
    return failed;
}

void hf__kv_place_fail(struct kv_place *place)
{
    place->failed = 1;
    hf__kv_place_refuse(place, NULL);
    pthread_cond_broadcast(&place->changed);
}

/* -- the store's lock -------------------------------------------------------------------------- */

enum waiting { WAITING, GRANTED, REFUSED };

/* One thread in line. On its stack; linked while it waits; guarded by the place's mutex. */
struct kv_waiter {
    struct kv_waiter *next;
    struct kv_branch *branch;
    enum waiting state;
    pthread_cond_t wake;
};

static int is_free(const struct kv_place *place)
{
    return place->owner == NULL && place->prepared == 0;
}

/* Take a waiter out of the line; nothing if it is not in it. */
static void leave_line(struct kv_place *place, struct kv_waiter *waiter)
{
    struct kv_waiter *before = NULL;
    struct kv_waiter *w = place->first;

    for (; w != NULL && w != waiter; w = w->next)
        before = w;
    if (w == NULL)
        return;
    if (before == NULL)
        place->first = w->next;
    else
        before->next = w->next;
    if (place->last == w)
        place->last = before;
}

/* Take every waiter of one branch (NULL: of any) out of the line and wake it. */
static void wake(struct kv_place *place, const struct kv_branch *branch, enum waiting state)
{
    struct kv_waiter *w = place->first;
    struct kv_waiter *next;

    for (; w != NULL; w = next) {
        next = w->next;
        if (branch != NULL && w->branch != branch)
            continue;
        leave_line(place, w);
        w->state = state;
        pthread_cond_signal(&w->wake);
    }
}

/* Give a free lock to the first in line, and to all threads that wait for the same branch. */
static void hand_on(struct kv_place *place)
{
    if (!is_free(place) || place->first == NULL)
        return;
    place->owner = place->first->branch;
    wake(place, place->owner, GRANTED);
}

static struct timespec after_ms(uint32_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Stand in line until woken or out of time. */
static enum waiting wait_in_line(struct kv_place *place, struct kv_branch *branch, uint32_t wait_ms)
{
    struct kv_waiter waiter = {.branch = branch, .state = WAITING};
    struct timespec until = after_ms(wait_ms);
    pthread_condattr_t attributes;
    int rc = 0;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter.wake, &attributes);
    pthread_condattr_destroy(&attributes);

    if (place->last == NULL)
        place->first = &waiter;
    else
        place->last->next = &waiter;
    place->last = &waiter;
    while (waiter.state == WAITING && rc == 0) /* each turn is a wake-up or the time being over */
        rc = pthread_cond_timedwait(&waiter.wake, &place->mutex, &until);
    leave_line(place, &waiter);
    pthread_cond_destroy(&waiter.wake);
    return waiter.state;
}

int hf__kv_place_lock(struct kv_place *place, struct kv_branch *branch, uint32_t wait_ms)
{
    if (place->owner == branch)
        return HF_OK;
    if (is_free(place)) {
        place->owner = branch;
        return HF_OK;
    }
    if (wait_ms == 0)
        return HF_ETIMEOUT;
    switch (wait_in_line(place, branch, wait_ms)) {
    case GRANTED:
        return HF_OK;
    case REFUSED:
        return HF_EROLLEDBACK;
    case WAITING:
        break;
    }
    return HF_ETIMEOUT;
}

void hf__kv_place_unlock(struct kv_place *place, struct kv_branch *branch)
{
    if (place->owner != branch)
        return;
    place->owner = NULL;
    hand_on(place);
}

void hf__kv_place_keep(struct kv_place *place, struct kv_branch *branch)
{
    if (place->owner == branch)
        place->owner = NULL;
    place->prepared++;
}

void hf__kv_place_unkeep(struct kv_place *place)
{
    place->prepared--;
    hand_on(place);
}

void hf__kv_place_refuse(struct kv_place *place, const struct kv_branch *branch)
{
    wake(place, branch, REFUSED);
}
