/*
 * rm/kv/writes.h - the write set of one branch: keys in byte order, each with a new value or
 * deleted.
 *
 * Threads: none of its own; the branch that owns it lets one thread in at a time.
 */
#ifndef HF_KV_WRITES_H
#define HF_KV_WRITES_H

#include <stddef.h>
#include <stdint.h>

enum { KV_WRITES_LEVELS = 16 };

enum kv_op { KV_PUT = 1, KV_DELETE = 2 }; /* stored: never renumber */

/* One write. Owned by its set; valid until the key is written again or the set is cleared. */
struct kv_write {
    unsigned char *value; /* NULL with KV_DELETE, and where value_size is 0 */
    uint32_t value_size;
    uint16_t key_size;
    uint8_t op;              /* enum kv_op */
    uint8_t levels;          /* of next */
    unsigned char *key;      /* behind next, in the same block */
    struct kv_write *next[]; /* one for each level: the next write in byte order that has it */
};

struct kv_writes {
    struct kv_write *first[KV_WRITES_LEVELS];
    uint32_t random; /* state of the generator that picks levels; 0 before the first write */
    uint64_t count;  /* writes */
    uint64_t bytes;  /* of keys and values */
};

/* A set starts as zeroes. */
void hf__kv_writes_clear(struct kv_writes *set);

/* Write a key; what was there for it is replaced. HF_OK; HF_ENOMEM: nothing changed. */
int hf__kv_writes_put(struct kv_writes *set, const void *key, size_t key_size, const void *value,
                      size_t value_size);
int hf__kv_writes_delete(struct kv_writes *set, const void *key, size_t key_size);

/* The write of a key, or NULL. */
const struct kv_write *hf__kv_writes_find(const struct kv_writes *set, const void *key,
                                          size_t key_size);
/* The first write whose key is not below key, or NULL. The one after it is its next[0]. */
const struct kv_write *hf__kv_writes_seek(const struct kv_writes *set, const void *key,
                                          size_t key_size);

/* Byte order: below 0, 0, above 0. A prefix comes before what it starts. */
int hf__kv_writes_compare(const void *a, size_t a_size, const void *b, size_t b_size);

#endif
