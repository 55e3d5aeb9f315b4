/*
 * rm/kv/writes.c - the write set of one branch, a skip list in byte order.
 *
 * Sorted, because hf_kv_each() merges it with the committed data, and because LMDB likes its keys
 * in order when the set is applied. A skip list, because it needs neither rotation nor recursion.
 *
 * Invariants
 *   W1  next[n] of a write is the next one in byte order that has a level n; level 0 has them all.
 *   W2  A key is in the set once: the last write of it.
 *   W3  When memory runs out the set is as it was before the call.
 *
 * Spec: none; LMDB's own order (mdb_cmp_memn) is the same byte order.
 */
#include "writes.h"

#include <stdlib.h>
#include <string.h>

#include "holdfast/base.h"

int hf__kv_writes_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    size_t common = a_size < b_size ? a_size : b_size;
    int order = common == 0 ? 0 : memcmp(a, b, common);

    if (order != 0)
        return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

/* One level; each further one with a chance of a quarter. xorshift32: any seed but zero does. */
static uint8_t pick_levels(struct kv_writes *set)
{
    uint32_t r = set->random == 0 ? 0x9e3779b9U : set->random;
    uint8_t levels = 1;

    r ^= r << 13;
    r ^= r >> 17;
    r ^= r << 5;
    set->random = r;
    for (; (r & 3) == 0 && levels < KV_WRITES_LEVELS; r >>= 2)
        levels++;
    return levels;
}

/* The links that a write of key would hang on: one for each level, the last one below key. */
static void find_links(struct kv_writes *set, const void *key, size_t key_size,
                       struct kv_write **ret_links[KV_WRITES_LEVELS])
{
    struct kv_write **row = set->first;

    for (int level = KV_WRITES_LEVELS - 1; level >= 0; level--) {
        while (row[level] != NULL &&
               hf__kv_writes_compare(row[level]->key, row[level]->key_size, key, key_size) < 0)
            row = row[level]->next;
        ret_links[level] = &row[level];
    }
}

/* Hang a new write, with no value yet, on its links. NULL: no memory. */
static struct kv_write *add(struct kv_writes *set, const void *key, size_t key_size,
                            struct kv_write **links[KV_WRITES_LEVELS])
{
    uint8_t levels = pick_levels(set);
    size_t head = sizeof(struct kv_write) + levels * sizeof(struct kv_write *);
    struct kv_write *w = malloc(head + key_size);

    if (w == NULL)
        return NULL;
    w->value = NULL;
    w->value_size = 0;
    w->key_size = (uint16_t)key_size;
    w->op = KV_DELETE;
    w->levels = levels;
    w->key = (unsigned char *)w + head;
    memcpy(w->key, key, key_size);
    for (int level = 0; level < levels; level++) {
        w->next[level] = *links[level];
        *links[level] = w;
    }
    set->count++;
    set->bytes += key_size;
    return w;
}

static int change(struct kv_writes *set, enum kv_op op, const void *key, size_t key_size,
                  const void *value, size_t value_size)
{
    struct kv_write **links[KV_WRITES_LEVELS];
    unsigned char *copy = NULL;
    struct kv_write *w;

    if (value_size > 0) {
        copy = malloc(value_size);
        if (copy == NULL)
            return HF_ENOMEM;
        memcpy(copy, value, value_size);
    }
    find_links(set, key, key_size, links);
    w = *links[0];
    if (w == NULL || hf__kv_writes_compare(w->key, w->key_size, key, key_size) != 0)
        w = add(set, key, key_size, links);
    if (w == NULL) {
        free(copy);
        return HF_ENOMEM;
    }
    set->bytes = set->bytes - w->value_size + value_size;
    free(w->value);
    w->value = copy;
    w->value_size = (uint32_t)value_size;
    w->op = (uint8_t)op;
    return HF_OK;
}

int hf__kv_writes_put(struct kv_writes *set, const void *key, size_t key_size, const void *value,
                      size_t value_size)
{
    return change(set, KV_PUT, key, key_size, value, value_size);
}

int hf__kv_writes_delete(struct kv_writes *set, const void *key, size_t key_size)
{
    return change(set, KV_DELETE, key, key_size, NULL, 0);
}

const struct kv_write *hf__kv_writes_seek(const struct kv_writes *set, const void *key,
                                          size_t key_size)
{
    struct kv_write *const *row = set->first;

    for (int level = KV_WRITES_LEVELS - 1; level >= 0; level--) {
        while (row[level] != NULL &&
               hf__kv_writes_compare(row[level]->key, row[level]->key_size, key, key_size) < 0)
            row = row[level]->next;
    }
    return row[0];
}

const struct kv_write *hf__kv_writes_find(const struct kv_writes *set, const void *key,
                                          size_t key_size)
{
    const struct kv_write *w = hf__kv_writes_seek(set, key, key_size);

    if (w == NULL || hf__kv_writes_compare(w->key, w->key_size, key, key_size) != 0)
        return NULL;
    return w;
}

void hf__kv_writes_clear(struct kv_writes *set)
{
    struct kv_write *w = set->first[0];
    struct kv_write *next;

    for (; w != NULL; w = next) {
        next = w->next[0];
        free(w->value);
        free(w);
    }
    memset(set, 0, sizeof(*set));
}
