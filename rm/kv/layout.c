/*
 * rm/kv/layout.c - encode and decode the records of a kv store. layout.h is the table of formats.
 *
 * What is read back was checked by the store (magic, checksum); the checks here are for what a
 * defect of ours, or another version, may have written. They answer -1, and the caller says
 * "damaged".
 *
 * Threads: no state.
 * Spec: [XA] 4.2, with bqual_length 0 accepted as others issue it; unused bytes have no meaning.
 */
#include "layout.h"

#include <assert.h>
#include <string.h>

#include "holdfast/internal/store.h"

static_assert((int)KV_KEY_SIZE_MAX <= (int)HF__STORE_KEY_MAX, "a user's key fits");
static_assert(1 + KV_XID_SIZE_MAX + 4 <= KV_KEY_SIZE_MAX, "struct kv_key holds every key");
static_assert((int)HF_KV_VALUE_MAX + (int)HF_KV_KEY_MAX + (int)KV_WRITE_HEAD_SIZE + 1 <=
                  (int)HF__STORE_PAYLOAD_MAX,
              "the largest write fits a chunk of its own");

enum { XID_HEAD_SIZE = 10 };

int hf__kv_layout_xid(const XID *xid, struct kv_xid *ret)
{
    if (xid == NULL || xid->formatID == -1)
        return -1;
    if (xid->gtrid_length < 1 || xid->gtrid_length > MAXGTRIDSIZE)
        return -1;
    if (xid->bqual_length < 0 || xid->bqual_length > MAXBQUALSIZE)
        return -1;
    memset(ret, 0, sizeof(*ret));
    hf__put64(ret->bytes, (uint64_t)xid->formatID);
    ret->bytes[8] = (unsigned char)xid->gtrid_length;
    ret->bytes[9] = (unsigned char)xid->bqual_length;
    ret->size = (size_t)(xid->gtrid_length + xid->bqual_length);
    memcpy(ret->bytes + XID_HEAD_SIZE, xid->data, ret->size);
    ret->size += XID_HEAD_SIZE;
    return 0;
}

int hf__kv_layout_xid_read(const unsigned char *bytes, size_t size, XID *ret)
{
    XID out = {0};
    struct kv_xid again;

    if (size < XID_HEAD_SIZE || size > KV_XID_SIZE_MAX)
        return -1;
    out.formatID = (long)hf__get64(bytes);
    out.gtrid_length = bytes[8];
    out.bqual_length = bytes[9];
    memcpy(out.data, bytes + XID_HEAD_SIZE, size - XID_HEAD_SIZE);
    if (hf__kv_layout_xid(&out, &again) != 0 || again.size != size)
        return -1;
    *ret = out;
    return 0;
}

int hf__kv_layout_xid_equal(const struct kv_xid *a, const struct kv_xid *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* -- keys -------------------------------------------------------------------------------------- */

static void make_key(unsigned char tag, const void *bytes, size_t size, struct kv_key *ret)
{
    ret->bytes[0] = tag;
    if (size > 0)
        memcpy(ret->bytes + 1, bytes, size);
    ret->size = 1 + size;
}

void hf__kv_layout_data_key(const void *user_key, size_t size, struct kv_key *ret)
{
    make_key('d', user_key, size, ret);
}

void hf__kv_layout_numbers_key(struct kv_key *ret)
{
    make_key('m', NULL, 0, ret);
}

void hf__kv_layout_outcome_key(uint64_t number, struct kv_key *ret)
{
    unsigned char bytes[8];

    hf__put64(bytes, number);
    make_key('o', bytes, sizeof(bytes), ret);
}

void hf__kv_layout_prepared_key(const struct kv_xid *xid, struct kv_key *ret)
{
    make_key('p', xid->bytes, xid->size, ret);
}

void hf__kv_layout_writes_key(const struct kv_xid *xid, uint32_t chunk, struct kv_key *ret)
{
    make_key('w', xid->bytes, xid->size, ret);
    hf__put32(ret->bytes + ret->size, chunk);
    ret->size += 4;
}

void hf__kv_layout_outcome_of_key(const struct kv_xid *xid, struct kv_key *ret)
{
    make_key('x', xid->bytes, xid->size, ret);
}

/* -- payloads ---------------------------------------------------------------------------------- */

static int outcome_is_known(unsigned char outcome)
{
    return outcome == KV_COMMITTED || outcome == KV_ROLLEDBACK;
}

void hf__kv_layout_numbers(const struct kv_numbers *numbers, unsigned char ret[KV_NUMBERS_SIZE])
{
    ret[0] = KV_RECORD_VERSION;
    hf__put64(ret + 1, numbers->next);
    hf__put64(ret + 9, numbers->first);
}

int hf__kv_layout_numbers_read(const void *data, size_t size, struct kv_numbers *ret)
{
    const unsigned char *p = data;

    if (size != KV_NUMBERS_SIZE || p[0] != KV_RECORD_VERSION)
        return -1;
    ret->next = hf__get64(p + 1);
    ret->first = hf__get64(p + 9);
    return ret->first <= ret->next ? 0 : -1;
}

size_t hf__kv_layout_outcome(enum kv_outcome outcome, const struct kv_xid *xid,
                             unsigned char ret[KV_OUTCOME_SIZE_MAX])
{
    ret[0] = KV_RECORD_VERSION;
    ret[1] = (unsigned char)outcome;
    memcpy(ret + 2, xid->bytes, xid->size);
    return 2 + xid->size;
}

int hf__kv_layout_outcome_read(const void *data, size_t size, enum kv_outcome *ret_outcome,
                               struct kv_xid *ret_xid)
{
    const unsigned char *p = data;
    XID xid;

    if (size < 2 || p[0] != KV_RECORD_VERSION || !outcome_is_known(p[1]))
        return -1;
    if (hf__kv_layout_xid_read(p + 2, size - 2, &xid) != 0)
        return -1;
    *ret_outcome = (enum kv_outcome)p[1];
    return hf__kv_layout_xid(&xid, ret_xid);
}

void hf__kv_layout_prepared(const struct kv_prepared *prepared, unsigned char ret[KV_PREPARED_SIZE])
{
    ret[0] = KV_RECORD_VERSION;
    hf__put32(ret + 1, prepared->chunks);
    hf__put64(ret + 5, prepared->writes);
    hf__put64(ret + 13, prepared->bytes);
}

int hf__kv_layout_prepared_read(const void *data, size_t size, struct kv_prepared *ret)
{
    const unsigned char *p = data;

    if (size != KV_PREPARED_SIZE || p[0] != KV_RECORD_VERSION)
        return -1;
    ret->chunks = hf__get32(p + 1);
    ret->writes = hf__get64(p + 5);
    ret->bytes = hf__get64(p + 13);
    return ret->chunks > 0 && ret->writes > 0 ? 0 : -1;
}

void hf__kv_layout_outcome_of(enum kv_outcome outcome, uint64_t number,
                              unsigned char ret[KV_OUTCOME_OF_SIZE])
{
    ret[0] = KV_RECORD_VERSION;
    ret[1] = (unsigned char)outcome;
    hf__put64(ret + 2, number);
}

int hf__kv_layout_outcome_of_read(const void *data, size_t size, enum kv_outcome *ret_outcome,
                                  uint64_t *ret_number)
{
    const unsigned char *p = data;

    if (size != KV_OUTCOME_OF_SIZE || p[0] != KV_RECORD_VERSION || !outcome_is_known(p[1]))
        return -1;
    *ret_outcome = (enum kv_outcome)p[1];
    *ret_number = hf__get64(p + 2);
    return 0;
}

/* -- writes in a chunk ------------------------------------------------------------------------- */

size_t hf__kv_layout_write_size(const struct kv_write *write)
{
    return KV_WRITE_HEAD_SIZE + (size_t)write->key_size + write->value_size;
}

unsigned char *hf__kv_layout_write(const struct kv_write *write, unsigned char *p)
{
    *p++ = write->op;
    *p++ = (unsigned char)(write->key_size >> 8);
    *p++ = (unsigned char)write->key_size;
    hf__put32(p, write->value_size);
    p += 4;
    memcpy(p, write->key, write->key_size);
    p += write->key_size;
    if (write->value_size > 0)
        memcpy(p, write->value, write->value_size);
    return p + write->value_size;
}

int hf__kv_layout_write_read(const unsigned char *chunk, size_t size, size_t *offset,
                             struct kv_chunk_write *ret)
{
    const unsigned char *p = chunk + *offset;
    size_t left = size - *offset;

    if (left == 0)
        return 0;
    if (left < KV_WRITE_HEAD_SIZE || (p[0] != KV_PUT && p[0] != KV_DELETE))
        return -1;
    ret->op = (enum kv_op)p[0];
    ret->key_size = (size_t)p[1] << 8 | p[2];
    ret->value_size = hf__get32(p + 3);
    if (ret->key_size < 1 || ret->key_size > HF_KV_KEY_MAX || ret->value_size > HF_KV_VALUE_MAX)
        return -1;
    if (left - KV_WRITE_HEAD_SIZE < ret->key_size + ret->value_size)
        return -1;
    if (ret->op == KV_DELETE && ret->value_size != 0)
        return -1;
    ret->key = p + KV_WRITE_HEAD_SIZE;
    ret->value = ret->key + ret->key_size;
    *offset += KV_WRITE_HEAD_SIZE + ret->key_size + ret->value_size;
    return 1;
}
