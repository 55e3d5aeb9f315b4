/*
 * tm/history.c - finished transactions that were worth keeping: see history.h.
 *
 * If we crash ...                    on disk
 *   in a commit of the history       the entry, or not: nothing else depends on it
 *   between entry and release        entry and decision: recovery proves, releases; the entry stays
 */
#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_MAX = 10000 }; /* finished transactions */

struct hf__history {
    struct hf__store *store;
};

int hf__history_open(const char *dir, struct hf__history **ret)
{
    struct hf__store_config cfg = {.dir = dir,
                                   .file = HF__HISTORY_FILE,
                                   .companions =
                                       HF__LOG_FILE " " HF__LOG_FILE "-lock " HF__LOCK_FILE,
                                   .application = HF__HISTORY_APPLICATION,
                                   .format = HF__HISTORY_FORMAT,
                                   .flags = HF__STORE_CREATE};
    struct hf__history *h = calloc(1, sizeof(*h));
    int rc;

    if (h == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: open the history", dir);
    rc = hf__store_open(&cfg, &h->store);
    if (rc != HF_OK) {
        free(h);
        return rc;
    }
    *ret = h;
    return HF_OK;
}

void hf__history_close(struct hf__history *h)
{
    if (h == NULL)
        return;
    hf__store_close(h->store);
    free(h);
}

void hf__history_sweep(struct hf__history *h)
{
    if (h != NULL)
        hf__store_sweep(h->store);
}

/* -- writing ---------------------------------------------------------------------------------- */

struct finished {
    const struct hf__rec *rec;
    uint64_t first, last; /* numbers in use */
    bool had;             /* it was there already */
};

static int note_number(void *user, const unsigned char *key, size_t key_size,
                       const struct hf__record *r)
{
    struct finished *f = user;

    (void)r;
    if (key_size != 9)
        return hf__error(HF_EDAMAGED, 0, "the history has a key of %zu bytes", key_size);
    f->first = hf__get64(key + 1);
    return 1; /* the first is enough */
}

static int drop_oldest(struct hf__store_txn *t, uint64_t number)
{
    unsigned char key[HF__KEY_SIZE_MAX], index[HF__KEY_SIZE_MAX];
    size_t key_size = hf__key64(key, 'H', number);
    struct hf__record r;
    int rc = hf__store_get(t, key, key_size, &r);

    if (rc != HF_OK)
        return rc == HF_ENOTFOUND ? HF_OK : rc;
    if (r.size < HF__GTRID_SIZE)
        return hf__error(HF_EDAMAGED, 0, "the history has an entry of %zu bytes", r.size);
    rc = hf__store_delete(t, index, hf__key_gtrid(index, 'G', r.data));
    if (rc == HF_OK || rc == HF_ENOTFOUND)
        rc = hf__store_delete(t, key, key_size);
    return rc;
}

static int put_finished(struct hf__store_txn *t, void *arg)
{
    struct finished *f = arg;
    unsigned char key[HF__KEY_SIZE_MAX], number[8];
    size_t size = HF__FINISHED_BYTES + hf__rec_size(f->rec);
    unsigned char *buf;
    struct hf__record r;
    int rc = hf__store_get(t, key, hf__key_gtrid(key, 'G', f->rec->gtrid), &r);

    f->had = rc == HF_OK;
    if (rc != HF_ENOTFOUND)
        return rc; /* it is there: the first entry stays */
    rc = hf__store_get(t, "L", 1, &r);
    if (rc != HF_OK && rc != HF_ENOTFOUND)
        return rc;
    f->last = rc == HF_OK && r.size == 8 ? hf__get64(r.data) : 0;
    f->first = f->last + 1;
    rc = hf__store_each(t, "H", 1, note_number, f);
    if (rc != 0 && rc != 1)
        return rc;
    rc = f->last - f->first + 1 >= HISTORY_MAX ? drop_oldest(t, f->first) : HF_OK;
    if (rc != HF_OK)
        return rc;
    buf = calloc(1, size);
    if (buf == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "write the history");
    memcpy(buf, f->rec->gtrid, HF__GTRID_SIZE);
    hf__rec_encode(f->rec, buf + HF__FINISHED_BYTES);
    hf__put64(number, f->last + 1);
    rc = hf__store_put(t, key, hf__key64(key, 'H', f->last + 1), 'H', buf, size);
    free(buf);
    if (rc == HF_OK)
        rc = hf__store_put(t, key, hf__key_gtrid(key, 'G', f->rec->gtrid), 'G', number,
                           sizeof(number));
    return rc == HF_OK ? hf__store_put(t, "L", 1, 'L', number, sizeof(number)) : rc;
}

bool hf__history_remember(struct hf__history *h, const struct hf__rec *rec)
{
    struct finished f = {.rec = rec};

    if (h != NULL) /* the decision log does not depend on whether this works */
        (void)hf__store_apply(h->store, put_finished, &f);
    return !f.had;
}

/* -- reading ---------------------------------------------------------------------------------- */

int hf__history_recall(struct hf__history *h, const unsigned char gtrid[HF__GTRID_SIZE],
                       hf_outcome *ret)
{
    struct hf__store_txn *t;
    struct hf__record r;
    unsigned char key[HF__KEY_SIZE_MAX];
    int rc;

    if (h == NULL)
        return HF_ENOTFOUND;
    rc = hf__store_read_begin(h->store, &t);
    if (rc != HF_OK)
        return rc;
    rc = hf__store_get(t, key, hf__key_gtrid(key, 'G', gtrid), &r);
    if (rc == HF_OK && r.size == 8)
        rc = hf__store_get(t, key, hf__key64(key, 'H', hf__get64(r.data)), &r);
    if (rc == HF_OK && r.size >= HF__FINISHED_BYTES + HF__REC_BYTES)
        *ret = ((const unsigned char *)r.data)[HF__FINISHED_BYTES + 1];
    else if (rc == HF_OK)
        rc = hf__error(HF_EDAMAGED, 0, "the history has an entry of %zu bytes", r.size);
    hf__store_read_end(t);
    return rc;
}
