/*
 * holder/inventory.c - records and types: who is known, and the memory they live in.
 *
 * The table of ids grows with the records; a record is in it from the moment its id is known until
 * destroy has returned. Memory of records is kept for later ones, so that a pool that breathes does
 * not allocate. All of it under the holder's lock.
 */
#include <stdlib.h>
#include <string.h>

#include "room.h"

static size_t hash_id(hf_resid id)
{
    return (size_t)(((uint64_t)id * 0x9e3779b97f4a7c15U) >> 24);
}

static size_t hash_sid(const char *sid)
{
    uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a */

    for (const unsigned char *at = (const unsigned char *)sid; *at != '\0'; at++)
        hash = (hash ^ *at) * 0x100000001b3U;
    return (size_t)(hash >> 16);
}

static size_t hash_of(const struct hf__record *r)
{
    return r->sid != NULL ? hash_sid(r->sid) : hash_id(r->id);
}

struct hf__record *hf__find(const hf_holder *h, hf_resid id)
{
    struct hf__record *r = h->buckets[hash_id(id) & (h->bucket_count - 1)];

    while (r != NULL && (r->id != id || r->sid != NULL))
        r = r->next;
    return r;
}

struct hf__record *hf__find_s(const hf_holder *h, const char *sid)
{
    struct hf__record *r = h->buckets[hash_sid(sid) & (h->bucket_count - 1)];

    while (r != NULL && (r->sid == NULL || strcmp(r->sid, sid) != 0))
        r = r->next;
    return r;
}

/* Twice as many buckets. Without memory for them the chains get longer, nothing else. */
static void grow(hf_holder *h)
{
    size_t count = 2 * h->bucket_count;
    struct hf__record **buckets = calloc(count, sizeof(*buckets));

    if (buckets == NULL)
        return;
    for (size_t i = 0; i < h->bucket_count; i++) {
        while (h->buckets[i] != NULL) {
            struct hf__record *r = h->buckets[i];
            struct hf__record **to = &buckets[hash_of(r) & (count - 1)];

            h->buckets[i] = r->next;
            r->next = *to;
            *to = r;
        }
    }
    free(h->buckets);
    h->buckets = buckets;
    h->bucket_count = count;
}

struct hf__record *hf__record_take(hf_holder *h)
{
    struct hf__record *r = h->spare_records;

    if (r != NULL) {
        h->spare_records = r->next;
        h->spare_record_count--;
        memset(r, 0, sizeof(*r));
    } else {
        r = calloc(1, sizeof(*r));
    }
    if (r != NULL) {
        hf__list_init(&r->link);
        hf__list_init(&r->member);
    }
    return r;
}

void hf__record_put_back(hf_holder *h, struct hf__record *r)
{
    free(r->sid);
    r->sid = NULL;
    if (h->spare_record_count >= HF__FREE_RECORDS_MAX) {
        free(r);
        return;
    }
    r->next = h->spare_records;
    h->spare_records = r;
    h->spare_record_count++;
}

void hf__record_add(hf_holder *h, struct hf__record *r)
{
    struct hf__record **bucket;

    if (h->records >= h->bucket_count)
        grow(h);
    bucket = &h->buckets[hash_of(r) & (h->bucket_count - 1)];
    r->next = *bucket;
    *bucket = r;
    h->records++;
    if (r->tracked)
        return;
    h->pooled++;
    if (h->pooled > h->stats.most)
        h->stats.most = h->pooled;
}

void hf__record_drop(hf_holder *h, struct hf__record *r)
{
    struct hf__record **at = &h->buckets[hash_of(r) & (h->bucket_count - 1)];
    struct hf__kind *kind = r->kind;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    h->records--;
    hf__list_remove(&r->link);
    if (!r->tracked) {
        h->pooled--;
        hf__wake(h);
    }
    hf__record_put_back(h, r);
    if (kind != NULL)
        hf__kind_less(h, kind);
}

void hf__each_record(hf_holder *h, void (*fn)(hf_holder *h, struct hf__record *r, void *arg),
                     void *arg)
{
    for (size_t i = 0; i < h->bucket_count; i++)
        for (struct hf__record *r = h->buckets[i]; r != NULL; r = r->next)
            fn(h, r, arg);
}

/* -- types ------------------------------------------------------------------------------------- */

static struct hf__kind **kind_at(hf_holder *h, hf_restype type)
{
    struct hf__kind **at = &h->kinds[hash_id(type) % HF__KIND_BUCKETS];

    while (*at != NULL && (*at)->type != type)
        at = &(*at)->next;
    return at;
}

struct hf__kind *hf__kind_of(hf_holder *h, hf_restype type)
{
    struct hf__kind **at = kind_at(h, type);

    if (*at == NULL) {
        *at = calloc(1, sizeof(**at));
        if (*at != NULL)
            (*at)->type = type;
    }
    return *at;
}

void hf__kind_unused(hf_holder *h, struct hf__kind *kind)
{
    struct hf__kind **at;

    if (kind->count > 0 || kind->stock > 0)
        return;
    at = kind_at(h, kind->type);
    *at = kind->next;
    if (kind->made && h->driver.type_free != NULL) {
        h->type_frees++;
        hf__unlock(h);
        h->driver.type_free(h->user, kind->type);
        hf__lock(h);
        h->type_frees--;
    }
    free(kind);
}

void hf__kind_less(hf_holder *h, struct hf__kind *kind)
{
    kind->count--;
    hf__kind_unused(h, kind);
}

/* -- and --------------------------------------------------------------------------------------- */

bool hf__has_room(const hf_holder *h)
{
    return h->config.max == 0 || h->pooled + h->creating < h->config.max;
}

uint64_t hf__dice(hf_holder *h)
{
    h->dice ^= h->dice << 13; /* xorshift: nobody's secrets depend on it */
    h->dice ^= h->dice >> 7;
    h->dice ^= h->dice << 17;
    return h->dice;
}
