/*
 * rm/kv/layout.h - the records of a kv store, byte by byte: keys, and what is in the payloads.
 *
 *   key                       kind  payload
 *   'd' user's key               1  the value, as it is
 *   'm'                          2  version(1) next(8) first(8): the outcomes' numbers in use
 *   'o' number(8)                3  version(1) outcome(1) xid(10 to 138)
 *   'p' xid                      4  version(1) chunks(4) writes(8) bytes(8)
 *   'w' xid chunk(4)             5  version(1), writes: op(1) key_size(2) value_size(4) key value
 *   'x' xid                      6  version(1) outcome(1) number(8)
 *
 * Numbers are big-endian. xid: formatID(8) gtrid_length(1) bqual_length(1), then the used bytes: no
 * XID's form is the beginning of another's. Magic, checksum and sequence are the store's.
 */
#ifndef HF_KV_LAYOUT_H
#define HF_KV_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "holdfast/kv.h"
#include "writes.h"

enum { KV_APPLICATION = 0x48464b56, KV_FORMAT = 1 }; /* "HFKV" */
enum { KV_RECORD_VERSION = 1 };

enum kv_kind {
    KV_KIND_DATA = 1,
    KV_KIND_NUMBERS = 2,
    KV_KIND_OUTCOME = 3,
    KV_KIND_PREPARED = 4,
    KV_KIND_WRITES = 5,
    KV_KIND_OUTCOME_OF = 6,
};

/* How a branch ended. Stored. */
enum kv_outcome { KV_COMMITTED = 1, KV_ROLLEDBACK = 2 };

enum {
    KV_XID_SIZE_MAX = 8 + 1 + 1 + MAXGTRIDSIZE + MAXBQUALSIZE,
    KV_KEY_SIZE_MAX = 1 + HF_KV_KEY_MAX + 1, /* one more than a key has, to seek behind it */
    KV_NUMBERS_SIZE = 17,
    KV_OUTCOME_SIZE_MAX = 2 + KV_XID_SIZE_MAX,
    KV_PREPARED_SIZE = 21,
    KV_OUTCOME_OF_SIZE = 10,
    KV_WRITE_HEAD_SIZE = 7,
};

/* An XID in the form that is stored and compared: the used bytes only. */
struct kv_xid {
    unsigned char bytes[KV_XID_SIZE_MAX];
    size_t size;
};

/* The key of a record. */
struct kv_key {
    unsigned char bytes[KV_KEY_SIZE_MAX];
    size_t size;
};

struct kv_numbers {
    uint64_t next;  /* the number of the next outcome */
    uint64_t first; /* the oldest one that is remembered; next if there is none */
};

struct kv_prepared {
    uint32_t chunks; /* records that hold the write set */
    uint64_t writes; /* in all of them */
    uint64_t bytes;  /* of keys and values */
};

/* 0, or -1: NULL, the null XID, or a length out of range (gtrid 1 to 64, bqual 0 to 64). */
int hf__kv_layout_xid(const XID *xid, struct kv_xid *ret);
/* Back, the whole XID zeroed first. 0, or -1: not the form above. */
int hf__kv_layout_xid_read(const unsigned char *bytes, size_t size, XID *ret);
int hf__kv_layout_xid_equal(const struct kv_xid *a, const struct kv_xid *b);

void hf__kv_layout_data_key(const void *user_key, size_t size, struct kv_key *ret);
void hf__kv_layout_numbers_key(struct kv_key *ret);
void hf__kv_layout_outcome_key(uint64_t number, struct kv_key *ret);
void hf__kv_layout_prepared_key(const struct kv_xid *xid, struct kv_key *ret);
void hf__kv_layout_writes_key(const struct kv_xid *xid, uint32_t chunk, struct kv_key *ret);
void hf__kv_layout_outcome_of_key(const struct kv_xid *xid, struct kv_key *ret);

/* Payloads. A _read answers 0, or -1 for bytes that are not of that form. */
void hf__kv_layout_numbers(const struct kv_numbers *numbers, unsigned char ret[KV_NUMBERS_SIZE]);
int hf__kv_layout_numbers_read(const void *data, size_t size, struct kv_numbers *ret);
size_t hf__kv_layout_outcome(enum kv_outcome outcome, const struct kv_xid *xid,
                             unsigned char ret[KV_OUTCOME_SIZE_MAX]);
int hf__kv_layout_outcome_read(const void *data, size_t size, enum kv_outcome *ret_outcome,
                               struct kv_xid *ret_xid);
void hf__kv_layout_prepared(const struct kv_prepared *prepared,
                            unsigned char ret[KV_PREPARED_SIZE]);
int hf__kv_layout_prepared_read(const void *data, size_t size, struct kv_prepared *ret);
void hf__kv_layout_outcome_of(enum kv_outcome outcome, uint64_t number,
                              unsigned char ret[KV_OUTCOME_OF_SIZE]);
int hf__kv_layout_outcome_of_read(const void *data, size_t size, enum kv_outcome *ret_outcome,
                                  uint64_t *ret_number);

/* Bytes that a write takes in a chunk. */
size_t hf__kv_layout_write_size(const struct kv_write *write);
/* Append a write at p, where there is room for it; returns the byte behind it. */
unsigned char *hf__kv_layout_write(const struct kv_write *write, unsigned char *p);

/* One write as it stands in a chunk; points into it. */
struct kv_chunk_write {
    enum kv_op op;
    const unsigned char *key;
    size_t key_size;
    const unsigned char *value;
    size_t value_size;
};
/* Read the write at *offset and move on. 1, 0 at the end of the chunk, -1 for what is no write. */
int hf__kv_layout_write_read(const unsigned char *chunk, size_t size, size_t *offset,
                             struct kv_chunk_write *ret);

#endif
