/*
 * rm/kv/place.c - the registry of open stores.
 *
 * A store is found by device and inode of its directory before anything in it is opened, so that
 * two open strings that spell one directory differently share one place. One process opens a store:
 * it is opened HF__STORE_EXCLUSIVE, and a second process gets HF_EOWNED.
 *
 * Invariants
 *   P1  A directory has at most one place in this process.
 *   P2  Nobody reaches a place before its prepared branches have their locks again.
 *   P3  A place that has failed stays failed; no apply is made any more in this opening.
 *
 * Threads: `opening` makes opens and closes go one at a time, and nothing else waits for it.
 *
 * Spec: [XA] 2.2 leaves isolation to the resource manager; xa_open(), xa_close().
 */
#include "place.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

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
    hf__kv_locks_end(&place->locks);
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
    hf__kv_locks_init(&place->locks, &place->mutex);
    rc = open_store(open, &place->store);
    if (rc != HF_OK)
        goto fail;
    rc = hf__kv_disk_load(place->store, make_prepared, place);
    if (rc == HF_OK && !HF_BUG("kv-locks-not-retaken"))
        rc = hf__kv_branch_retake_all(place);
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

void hf__kv_place_forget_all(void)
{
    (void)pthread_mutex_init(&opening, NULL);
    places = NULL;
    hf__kv_locks_forget_all();
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
    hf__kv_lock_refuse_all(&place->locks);
    pthread_cond_broadcast(&place->changed);
}
