/*
 * tm/history.c - finished transactions that were worth keeping: see history.h.
 *
 * Two ways lead into it. What the owner of a transaction has to tell waits in memory, encoded, in
 * one of two buffers of fixed size; whoever writes takes the full one and leaves the empty one, so
 * that nobody waits for the disk. What recovery has to tell is written at once, many transactions
 * in a batch, because their records leave the decision log after it.
 *
 * One transaction has one entry. While it is open, later ones are merged into it: recovery finishes
 * what its owner could not, and the spans of both stand one after the other.
 *
 * If we crash ...                    on disk
 *   with entries that wait           nothing of them: their transactions are over all the same
 *   in a commit of the history       the batch, or not: nothing else depends on it
 *   between entry and release        entry and decision: recovery proves, releases; the entry stays
 *
 * What it says is true whether it is on the disk or not, so it is opened without dropping cached
 * pages: an opening costs the same, however long the history.
 *
 * Locks: lock guards the buffers; write_lock is held by the one who writes them, and comes first.
 * Nothing is called under lock.
 */
#include "history.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"

enum {
    HISTORY_MAX = 10000,     /* entries, if nobody says how many */
    BUFFER_BYTES = 1 << 20,  /* entries that may wait, twice */
    ENTRIES_PER_BATCH = 512, /* entries in one commit, at most */
    DROPPED_PER_ENTRY = 2,   /* old ones that one new one drops: a lower limit is reached in time */
};

struct buffer {
    unsigned char *bytes; /* entries: size 4 | payload */
    size_t used;
};

struct hf__history {
    struct hf__store *store;
    uint64_t max;
    pthread_mutex_t write_lock;
    pthread_mutex_t lock;
    struct buffer waiting; /* lock; bytes NULL: none waited yet */
    struct buffer writing; /* write_lock to change it, and lock */
    uint64_t dropped;      /* lock */
};

int hf__history_open(const char *dir, bool alone, struct hf__history **ret)
{
    struct hf__store_config cfg = {.dir = dir,
                                   .file = HF__HISTORY_FILE,
                                   .companions = HF__HISTORY_COMPANIONS,
                                   .application = HF__HISTORY_APPLICATION,
                                   .format = HF__HISTORY_FORMAT,
                                   .flags = HF__STORE_CREATE | HF__STORE_CACHED |
                                            (alone ? HF__STORE_CHECKED : 0)};
    struct hf__history *h = calloc(1, sizeof(*h));
    int rc;

    if (h == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: open the history", dir);
    rc = hf__store_open(&cfg, &h->store);
    if (rc != HF_OK) {
        free(h);
        return rc;
    }
    h->max = HISTORY_MAX;
    (void)pthread_mutex_init(&h->write_lock, NULL);
    (void)pthread_mutex_init(&h->lock, NULL);
    *ret = h;
    return HF_OK;
}

void hf__history_close(struct hf__history *h)
{
    if (h == NULL)
        return;
    hf__history_write(h);
    hf__store_close(h->store);
    free(h->waiting.bytes);
    free(h->writing.bytes);
    (void)pthread_mutex_destroy(&h->lock);
    (void)pthread_mutex_destroy(&h->write_lock);
    free(h);
}

void hf__history_limit(struct hf__history *h, uint32_t max)
{
    if (h != NULL)
        h->max = max != 0 ? max : HISTORY_MAX;
}

void hf__history_sweep(struct hf__history *h)
{
    if (h != NULL)
        hf__store_sweep(h->store);
}

static void count_dropped(struct hf__history *h, uint64_t n)
{
    (void)pthread_mutex_lock(&h->lock);
    h->dropped += n;
    (void)pthread_mutex_unlock(&h->lock);
}

uint64_t hf__history_dropped(struct hf__history *h)
{
    uint64_t n;

    if (h == NULL)
        return 0;
    (void)pthread_mutex_lock(&h->lock);
    n = h->dropped;
    (void)pthread_mutex_unlock(&h->lock);
    return n;
}

/* -- an entry as bytes ------------------------------------------------------------------------ */

static size_t entry_size(const struct hf__finished *f)
{
    return HF__FINISHED_BYTES + hf__rec_size(f->rec) + HF__SPANS_BYTES +
           (f->span != NULL ? hf__span_size(f->span) : 0);
}

static void entry_encode(const struct hf__finished *f, unsigned char *buf)
{
    unsigned char *p = buf + HF__FINISHED_BYTES + hf__rec_size(f->rec);

    memset(buf, 0, HF__FINISHED_BYTES);
    memcpy(buf, f->rec->gtrid, HF__GTRID_SIZE);
    hf__rec_encode(f->rec, buf + HF__FINISHED_BYTES);
    memset(p, 0, HF__SPANS_BYTES);
    p[0] = f->open;
    p[1] = f->span != NULL;
    if (f->span != NULL)
        hf__span_encode(f->span, p + HF__SPANS_BYTES);
}

const unsigned char *hf__history_spans(const unsigned char *payload, size_t size,
                                       const struct hf__rec *rec, bool *ret_open,
                                       unsigned *ret_count)
{
    size_t at = HF__FINISHED_BYTES + hf__rec_size(rec);

    *ret_open = false;
    *ret_count = 0;
    if (size < at + HF__SPANS_BYTES)
        return NULL;
    *ret_open = payload[at] != 0;
    *ret_count = payload[at + 1];
    return payload + at + HF__SPANS_BYTES;
}

/* An entry, taken apart. */
struct parts {
    const unsigned char *payload;
    size_t rec_end; /* what comes before the spans' head */
    const unsigned char *spans;
    size_t spans_size;
    unsigned count;
    bool open;
};

static int take_apart(const unsigned char *payload, size_t size, struct parts *ret)
{
    struct hf__rec rec;
    int rc;

    if (size < HF__FINISHED_BYTES)
        return hf__error(HF_EDAMAGED, 0, "the history has an entry of %zu bytes", size);
    rc = hf__rec_decode(payload, payload + HF__FINISHED_BYTES, size - HF__FINISHED_BYTES, &rec);
    if (rc != HF_OK)
        return rc;
    *ret = (struct parts){.payload = payload, .rec_end = HF__FINISHED_BYTES + hf__rec_size(&rec)};
    ret->spans = hf__history_spans(payload, size, &rec, &ret->open, &ret->count);
    if (ret->spans != NULL)
        ret->spans_size = size - (size_t)(ret->spans - payload);
    free(rec.branches);
    return HF_OK;
}

/* -- writing ---------------------------------------------------------------------------------- */

/* A batch under way: entries, as buffers have them. */
struct batch {
    const struct hf__history *h;
    const unsigned char *bytes; /* size 4 | payload, ... */
    size_t used;
    size_t from, to;           /* bytes that this batch has passed */
    size_t from_entry, entry;  /* and entries */
    struct hf__finished *list; /* of each; NULL: nobody asks what the history had */
    uint64_t first, last;      /* numbers in use */
};

static int note_number(void *user, const unsigned char *key, size_t key_size,
                       const struct hf__record *r)
{
    struct batch *b = user;

    (void)r;
    if (key_size != 9)
        return hf__error(HF_EDAMAGED, 0, "the history has a key of %zu bytes", key_size);
    b->first = hf__get64(key + 1);
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

/* The same transaction twice: what is final counts, the spans stand one after the other. */
static int put_merged(struct hf__store_txn *t, uint64_t number, const struct parts *have,
                      const struct parts *now)
{
    const struct parts *says = have->open ? now : have;
    bool fits = have->count + now->count <= HF__SPANS_MAX;
    unsigned char key[HF__KEY_SIZE_MAX], *buf, *p;
    size_t now_size = fits ? now->spans_size : 0;
    size_t size = says->rec_end + HF__SPANS_BYTES + have->spans_size + now_size;
    int rc;

    buf = malloc(size);
    if (buf == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "write the history");
    memcpy(buf, says->payload, says->rec_end);
    p = buf + says->rec_end;
    memset(p, 0, HF__SPANS_BYTES);
    p[0] = have->open && now->open;
    p[1] = (unsigned char)(have->count + (fits ? now->count : 0));
    if (have->spans_size > 0)
        memcpy(p + HF__SPANS_BYTES, have->spans, have->spans_size);
    if (now_size > 0)
        memcpy(p + HF__SPANS_BYTES + have->spans_size, now->spans, now_size);
    rc = hf__store_put(t, key, hf__key64(key, 'H', number), 'H', buf, size);
    free(buf);
    return rc;
}

static int put_new(struct hf__store_txn *t, struct batch *b, const unsigned char *payload,
                   size_t size)
{
    unsigned char key[HF__KEY_SIZE_MAX], number[8];
    int rc = HF_OK;

    for (int i = 0; rc == HF_OK && i < DROPPED_PER_ENTRY && b->last - b->first + 1 >= b->h->max;
         i++)
        rc = drop_oldest(t, b->first++);
    if (rc != HF_OK)
        return rc;
    b->last++;
    hf__put64(number, b->last);
    rc = hf__store_put(t, key, hf__key64(key, 'H', b->last), 'H', payload, size);
    if (rc == HF_OK)
        rc = hf__store_put(t, key, hf__key_gtrid(key, 'G', payload), 'G', number, sizeof(number));
    return rc;
}

static int put_entry(struct hf__store_txn *t, struct batch *b, const unsigned char *payload,
                     size_t size, bool *ret_had)
{
    unsigned char key[HF__KEY_SIZE_MAX];
    struct parts have, now;
    struct hf__record r;
    uint64_t number;
    int rc = hf__store_get(t, key, hf__key_gtrid(key, 'G', payload), &r);

    *ret_had = false;
    if (rc == HF_ENOTFOUND || (rc == HF_OK && r.size != 8))
        return put_new(t, b, payload, size);
    if (rc != HF_OK)
        return rc;
    number = hf__get64(r.data);
    rc = hf__store_get(t, key, hf__key64(key, 'H', number), &r);
    if (rc == HF_ENOTFOUND)
        return put_new(t, b, payload, size);
    if (rc == HF_OK)
        rc = take_apart(r.data, r.size, &have);
    if (rc == HF_OK)
        rc = take_apart(payload, size, &now);
    if (rc != HF_OK)
        return rc;
    *ret_had = !have.open;
    return have.open || now.open ? put_merged(t, number, &have, &now) : HF_OK;
}

static int put_batch(struct hf__store_txn *t, void *arg)
{
    struct batch *b = arg;
    unsigned char number[8];
    struct hf__record r;
    int rc = hf__store_get(t, "L", 1, &r);

    if (rc != HF_OK && rc != HF_ENOTFOUND)
        return rc;
    b->to = b->from; /* this may be a second try */
    b->entry = b->from_entry;
    b->last = rc == HF_OK && r.size == 8 ? hf__get64(r.data) : 0;
    b->first = b->last + 1;
    rc = hf__store_each(t, "H", 1, note_number, b);
    rc = rc == 1 ? HF_OK : rc;
    while (rc == HF_OK && b->to < b->used && b->entry < b->from_entry + ENTRIES_PER_BATCH) {
        size_t size = hf__get32(b->bytes + b->to);
        bool had;

        rc = put_entry(t, b, b->bytes + b->to + 4, size, &had);
        if (b->list != NULL)
            b->list[b->entry].had = had;
        b->entry++;
        b->to += 4 + size;
    }
    hf__put64(number, b->last);
    return rc == HF_OK ? hf__store_put(t, "L", 1, 'L', number, sizeof(number)) : rc;
}

/* All of the bytes, a batch at a time. One that fails is left out: the next may work. */
static void write_bytes(struct hf__history *h, const struct buffer *bytes,
                        struct hf__finished *list)
{
    struct batch b = {.h = h, .bytes = bytes->bytes, .used = bytes->used, .list = list};

    while (b.from < b.used) { /* each round passes at least one entry */
        if (hf__store_apply(h->store, put_batch, &b) != HF_OK) {
            b.to = b.from;
            b.entry = b.from_entry;
            for (; b.to < b.used && b.entry < b.from_entry + ENTRIES_PER_BATCH; b.entry++)
                b.to += 4 + hf__get32(b.bytes + b.to);
            count_dropped(h, b.entry - b.from_entry);
        } else if (list != NULL) {
            for (size_t i = b.from_entry; i < b.entry; i++)
                list[i].written = true;
        }
        b.from = b.to;
        b.from_entry = b.entry;
    }
}

/* -- at once ---------------------------------------------------------------------------------- */

void hf__history_remember(struct hf__history *h, struct hf__finished *list, size_t count)
{
    struct buffer bytes = {0};
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        list[i].had = list[i].written = false;
        size += 4 + entry_size(&list[i]);
    }
    if (h == NULL || count == 0) /* the decision log does not depend on whether this works */
        return;
    bytes.bytes = malloc(size);
    if (bytes.bytes == NULL) {
        count_dropped(h, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        hf__put32(bytes.bytes + bytes.used, (uint32_t)entry_size(&list[i]));
        entry_encode(&list[i], bytes.bytes + bytes.used + 4);
        bytes.used += 4 + entry_size(&list[i]);
    }
    write_bytes(h, &bytes, list);
    free(bytes.bytes);
}

/* -- later ------------------------------------------------------------------------------------ */

void hf__history_queue(struct hf__history *h, const struct hf__finished *f)
{
    size_t size = entry_size(f);

    if (h == NULL)
        return;
    (void)pthread_mutex_lock(&h->lock);
    if (h->waiting.bytes == NULL)
        h->waiting.bytes = malloc(BUFFER_BYTES);
    if (h->waiting.bytes != NULL && size + 4 <= BUFFER_BYTES - h->waiting.used) {
        hf__put32(h->waiting.bytes + h->waiting.used, (uint32_t)size);
        entry_encode(f, h->waiting.bytes + h->waiting.used + 4);
        h->waiting.used += 4 + size;
    } else {
        h->dropped++;
    }
    (void)pthread_mutex_unlock(&h->lock);
}

void hf__history_write(struct hf__history *h)
{
    struct buffer empty;

    if (h == NULL)
        return;
    (void)pthread_mutex_lock(&h->write_lock);
    (void)pthread_mutex_lock(&h->lock);
    empty = h->writing;
    h->writing = h->waiting;
    h->waiting = empty;
    (void)pthread_mutex_unlock(&h->lock);
    HF_FAULT("history:writing");
    write_bytes(h, &h->writing, NULL); /* others only read it: see recall */
    (void)pthread_mutex_lock(&h->lock);
    h->writing.used = 0;
    (void)pthread_mutex_unlock(&h->lock);
    (void)pthread_mutex_unlock(&h->write_lock);
}

/* -- reading ---------------------------------------------------------------------------------- */

static bool find_in(const struct buffer *b, const unsigned char gtrid[HF__GTRID_SIZE],
                    hf_outcome *ret)
{
    bool found = false;

    for (size_t at = 0; at < b->used; at += 4 + hf__get32(b->bytes + at)) {
        const unsigned char *payload = b->bytes + at + 4;

        if (memcmp(payload, gtrid, HF__GTRID_SIZE) != 0)
            continue;
        *ret = payload[HF__FINISHED_BYTES + 1];
        found = true;
    }
    return found;
}

static int find_stored(struct hf__history *h, const unsigned char gtrid[HF__GTRID_SIZE],
                       hf_outcome *ret)
{
    struct hf__store_txn *t;
    struct hf__record r;
    unsigned char key[HF__KEY_SIZE_MAX];
    int rc = hf__store_read_begin(h->store, &t);

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

int hf__history_recall(struct hf__history *h, const unsigned char gtrid[HF__GTRID_SIZE],
                       hf_outcome *ret)
{
    hf_outcome outcome = HF_UNKNOWN;
    bool found;
    int rc;

    if (h == NULL)
        return HF_ENOTFOUND;
    rc = find_stored(h, gtrid, &outcome); /* recovery may know more than its owner, who waits */
    if (rc != HF_OK && rc != HF_ENOTFOUND)
        return rc;
    if (rc == HF_ENOTFOUND) {
        (void)pthread_mutex_lock(&h->lock);
        found = find_in(&h->writing, gtrid, &outcome) || find_in(&h->waiting, gtrid, &outcome);
        (void)pthread_mutex_unlock(&h->lock);
        rc = found ? HF_OK : HF_ENOTFOUND;
    }
    if (rc == HF_OK && outcome == HF_UNKNOWN)
        rc = HF_ENOTFOUND;
    if (rc == HF_OK)
        *ret = outcome;
    return rc;
}
