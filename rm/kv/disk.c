/*
 * rm/kv/disk.c - the durable steps of a branch, and reading prepared branches back.
 *
 * LMDB has no prepare that survives a crash, so a prepared branch is a header record and its write
 * set in chunk records, all put by one apply. Committing is one more apply that carries the writes
 * out, takes the records away and remembers the outcome. branch.c has the crash table of these
 * steps.
 *
 * Invariants
 *   K1  A prepared header and all of its chunks appear and disappear in one apply.
 *   K2  An outcome appears in the very apply that ends the branch, never before and never later.
 *   K3  Outcomes are numbered without a gap from numbers.first to numbers.next - 1.
 *
 * Each function given to hf__store_apply() may be run again from the start and keeps no state of
 * its own.
 *
 * Spec: [XA] 2.3.1, xa_prepare(): the resource manager holds a yes vote stably.
 */
#include "disk.h"

#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "holdfast/internal/store.h"

/* A chunk takes no more writes once it has this many bytes; one large write may exceed it. */
enum { CHUNK_BYTES = 65536 };
/* An apply forgets at most so many outcomes, should the horizon have been shortened. */
enum { FORGET_MAX = 8 };

struct step {
    const struct kv_xid *xid;
    const struct kv_writes *writes;
    int prepared;
};

static int damaged(const char *what)
{
    return hf__error(HF_EDAMAGED, 0, "kv: %s does not have its form", what);
}

/* Put a record that cannot be there yet, which is half as dear as any other. */
static int add(struct hf__store_txn *txn, const struct kv_key *key, uint8_t kind,
               const void *payload, size_t size)
{
    int rc = hf__store_add(txn, key->bytes, key->size, kind, payload, size);

    return rc == HF_EEXIST ? damaged("the set of branches: one of them is there twice") : rc;
}

/* -- outcomes ---------------------------------------------------------------------------------- */

static int read_numbers(struct hf__store_txn *txn, struct kv_numbers *ret)
{
    struct hf__record record;
    struct kv_key key;
    int rc;

    hf__kv_layout_numbers_key(&key);
    rc = hf__store_get(txn, key.bytes, key.size, &record);
    if (rc == HF_ENOTFOUND) {
        ret->next = 0;
        ret->first = 0;
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    if (record.kind != KV_KIND_NUMBERS ||
        hf__kv_layout_numbers_read(record.data, record.size, ret) != 0)
        return damaged("the record of outcome numbers");
    return HF_OK;
}

static int read_outcome_of(struct hf__store_txn *txn, const struct kv_xid *xid,
                           enum kv_outcome *ret, uint64_t *ret_number)
{
    struct hf__record record;
    struct kv_key key;
    int rc;

    hf__kv_layout_outcome_of_key(xid, &key);
    rc = hf__store_get(txn, key.bytes, key.size, &record);
    if (rc != HF_OK)
        return rc;
    if (record.kind != KV_KIND_OUTCOME_OF ||
        hf__kv_layout_outcome_of_read(record.data, record.size, ret, ret_number) != 0)
        return damaged("the outcome of a branch");
    return HF_OK;
}

/* Forget the outcome of one number, and that of its XID unless the XID was used again since. */
static int forget_outcome(struct hf__store_txn *txn, uint64_t number)
{
    struct hf__record record;
    struct kv_key key;
    struct kv_xid xid;
    enum kv_outcome outcome;
    uint64_t newest;
    int rc;

    hf__kv_layout_outcome_key(number, &key);
    rc = hf__store_get(txn, key.bytes, key.size, &record);
    if (rc == HF_ENOTFOUND)
        return damaged("the list of outcomes: one that is missing");
    if (rc != HF_OK)
        return rc;
    if (record.kind != KV_KIND_OUTCOME ||
        hf__kv_layout_outcome_read(record.data, record.size, &outcome, &xid) != 0)
        return damaged("an outcome");
    rc = hf__store_delete(txn, key.bytes, key.size);
    if (rc != HF_OK)
        return rc;
    rc = read_outcome_of(txn, &xid, &outcome, &newest);
    if (rc == HF_ENOTFOUND || (rc == HF_OK && newest != number))
        return HF_OK;
    if (rc != HF_OK)
        return rc;
    hf__kv_layout_outcome_of_key(&xid, &key);
    return hf__store_delete(txn, key.bytes, key.size);
}

static int put_outcome(struct hf__store_txn *txn, enum kv_outcome outcome, const struct kv_xid *xid,
                       uint64_t number)
{
    unsigned char payload[KV_OUTCOME_SIZE_MAX];
    struct kv_key key;
    size_t size;
    int rc;

    size = hf__kv_layout_outcome(outcome, xid, payload);
    hf__kv_layout_outcome_key(number, &key);
    rc = add(txn, &key, KV_KIND_OUTCOME, payload, size);
    if (rc != HF_OK)
        return rc;
    hf__kv_layout_outcome_of(outcome, number, payload);
    hf__kv_layout_outcome_of_key(xid, &key);
    return hf__store_put(txn, key.bytes, key.size, KV_KIND_OUTCOME_OF, payload, KV_OUTCOME_OF_SIZE);
}

int hf__kv_disk_remember(struct hf__store_txn *txn, enum kv_outcome outcome,
                         const struct kv_xid *xid, uint64_t keep)
{
    unsigned char payload[KV_NUMBERS_SIZE];
    struct kv_numbers numbers;
    struct kv_key key;
    int rc;

    rc = read_numbers(txn, &numbers);
    if (rc != HF_OK)
        return rc;
    rc = put_outcome(txn, outcome, xid, numbers.next);
    if (rc != HF_OK)
        return rc;
    numbers.next++;
    for (int n = 0; n < FORGET_MAX && numbers.next - numbers.first > keep; n++) {
        rc = forget_outcome(txn, numbers.first);
        if (rc != HF_OK)
            return rc;
        numbers.first++;
    }
    hf__kv_layout_numbers(&numbers, payload);
    hf__kv_layout_numbers_key(&key);
    return hf__store_put(txn, key.bytes, key.size, KV_KIND_NUMBERS, payload, sizeof(payload));
}

int hf__kv_disk_outcome(struct hf__store *store, const struct kv_xid *xid, enum kv_outcome *ret)
{
    struct hf__store_txn *txn = NULL;
    uint64_t number;
    int rc;

    rc = hf__store_read_begin(store, &txn);
    if (rc != HF_OK)
        return rc;
    rc = read_outcome_of(txn, xid, ret, &number);
    hf__store_read_end(txn);
    return rc;
}

/* -- prepare ----------------------------------------------------------------------------------- */

/* Put one chunk, of the writes from first on; *ret_next is the first that is not in it any more. */
static int put_chunk(struct hf__store_txn *txn, const struct kv_xid *xid, uint32_t chunk,
                     const struct kv_write *first, const struct kv_write **ret_next)
{
    const struct kv_write *end;
    unsigned char *payload, *p;
    struct kv_key key;
    size_t size = 1;
    int rc;

    for (end = first; end != NULL && (end == first || size < CHUNK_BYTES); end = end->next[0])
        size += hf__kv_layout_write_size(end);
    payload = malloc(size);
    if (payload == NULL)
        return HF_ENOMEM;
    payload[0] = KV_RECORD_VERSION;
    p = payload + 1;
    for (; first != end; first = first->next[0])
        p = hf__kv_layout_write(first, p);
    hf__kv_layout_writes_key(xid, chunk, &key);
    rc = add(txn, &key, KV_KIND_WRITES, payload, size);
    free(payload);
    *ret_next = end;
    return rc;
}

static int apply_prepare(struct hf__store_txn *txn, void *arg)
{
    const struct step *step = arg;
    const struct kv_write *write = step->writes->first[0];
    struct kv_prepared header = {.writes = step->writes->count, .bytes = step->writes->bytes};
    unsigned char payload[KV_PREPARED_SIZE];
    struct kv_key key;
    int rc;

    while (write != NULL) {
        rc = put_chunk(txn, step->xid, header.chunks, write, &write);
        if (rc != HF_OK)
            return rc;
        header.chunks++;
    }
    HF_FAULT("kv:prepare-half");
    hf__kv_layout_prepared(&header, payload);
    hf__kv_layout_prepared_key(step->xid, &key);
    return add(txn, &key, KV_KIND_PREPARED, payload, sizeof(payload));
}

int hf__kv_disk_prepare(struct hf__store *store, const struct kv_xid *xid,
                        const struct kv_writes *writes)
{
    struct step step = {.xid = xid, .writes = writes};

    return hf__store_apply(store, apply_prepare, &step);
}

/* -- commit and rollback ----------------------------------------------------------------------- */

static int carry_out(struct hf__store_txn *txn, const struct kv_write *write)
{
    struct kv_key key;
    int rc;

    hf__kv_layout_data_key(write->key, write->key_size, &key);
    if (write->op == KV_PUT)
        return hf__store_put(txn, key.bytes, key.size, KV_KIND_DATA,
                             write->value_size > 0 ? write->value : (const unsigned char *)"",
                             write->value_size);
    rc = hf__store_delete(txn, key.bytes, key.size);
    return rc == HF_ENOTFOUND ? HF_OK : rc; /* put and deleted by this very branch */
}

/* Take away header and chunks of a prepared branch (K1). */
static int remove_records(struct hf__store_txn *txn, const struct kv_xid *xid)
{
    struct kv_prepared header;
    struct hf__record record;
    struct kv_key key;
    int rc;

    hf__kv_layout_prepared_key(xid, &key);
    rc = hf__store_get(txn, key.bytes, key.size, &record);
    if (rc == HF_ENOTFOUND)
        return damaged("a prepared branch: its record is missing");
    if (rc != HF_OK)
        return rc;
    if (record.kind != KV_KIND_PREPARED ||
        hf__kv_layout_prepared_read(record.data, record.size, &header) != 0)
        return damaged("a prepared branch");
    rc = hf__store_delete(txn, key.bytes, key.size);
    for (uint32_t chunk = 0; rc == HF_OK && chunk < header.chunks; chunk++) {
        hf__kv_layout_writes_key(xid, chunk, &key);
        rc = hf__store_delete(txn, key.bytes, key.size);
        if (rc == HF_ENOTFOUND)
            return damaged("a prepared branch: a part of its write set is missing");
    }
    return rc;
}

static int apply_commit(struct hf__store_txn *txn, void *arg)
{
    const struct step *step = arg;
    int rc;

    for (const struct kv_write *w = step->writes->first[0]; w != NULL; w = w->next[0]) {
        rc = carry_out(txn, w);
        if (rc != HF_OK)
            return rc;
    }
    HF_FAULT("kv:commit-half");
    if (step->prepared) {
        rc = remove_records(txn, step->xid);
        if (rc != HF_OK)
            return rc;
    }
    return hf__kv_disk_remember(txn, KV_COMMITTED, step->xid, KV_OUTCOMES_MAX);
}

int hf__kv_disk_commit(struct hf__store *store, const struct kv_xid *xid,
                       const struct kv_writes *writes, int prepared)
{
    struct step step = {.xid = xid, .writes = writes, .prepared = prepared};

    return hf__store_apply(store, apply_commit, &step);
}

static int apply_rollback(struct hf__store_txn *txn, void *arg)
{
    const struct step *step = arg;
    int rc = remove_records(txn, step->xid);

    if (rc != HF_OK)
        return rc;
    return hf__kv_disk_remember(txn, KV_ROLLEDBACK, step->xid, KV_OUTCOMES_MAX);
}

int hf__kv_disk_rollback(struct hf__store *store, const struct kv_xid *xid)
{
    struct step step = {.xid = xid};

    return hf__store_apply(store, apply_rollback, &step);
}

/* -- reading back ------------------------------------------------------------------------------ */

struct loading {
    hf__kv_disk_make_fn *make;
    void *user;
    struct kv_xid *xids; /* of the headers; grows */
    size_t count;
    struct hf__store_txn *txn;
    uint64_t chunks; /* that the headers speak of */
    uint64_t found;  /* chunk records that there are */
};

/* A header: remember its XID. The store must not be asked for more while it iterates. */
static int load_header(void *user, const unsigned char *key, size_t key_size,
                       const struct hf__record *record)
{
    struct loading *loading = user;
    struct kv_prepared header;
    struct kv_xid *more;
    XID xid;

    if (record->kind != KV_KIND_PREPARED ||
        hf__kv_layout_xid_read(key + 1, key_size - 1, &xid) != 0 ||
        hf__kv_layout_prepared_read(record->data, record->size, &header) != 0)
        return damaged("a prepared branch");
    more = realloc(loading->xids, (loading->count + 1) * sizeof(*more));
    if (more == NULL)
        return HF_ENOMEM;
    loading->xids = more;
    loading->chunks += header.chunks;
    return hf__kv_layout_xid(&xid, &more[loading->count++]) == 0 ? HF_OK : HF_EDAMAGED;
}

static int count_chunk(void *user, const unsigned char *key, size_t key_size,
                       const struct hf__record *record)
{
    struct loading *loading = user;

    (void)key;
    (void)key_size;
    (void)record;
    loading->found++;
    return HF_OK;
}

static int load_chunk(struct hf__store_txn *txn, const struct kv_xid *xid, uint32_t chunk,
                      struct kv_writes *set)
{
    struct kv_chunk_write write;
    struct hf__record record;
    struct kv_key key;
    size_t offset = 1;
    int rc, more;

    hf__kv_layout_writes_key(xid, chunk, &key);
    rc = hf__store_get(txn, key.bytes, key.size, &record);
    if (rc == HF_ENOTFOUND)
        return damaged("a prepared branch: a part of its write set is missing");
    if (rc != HF_OK)
        return rc;
    if (record.kind != KV_KIND_WRITES || record.size < 1 ||
        *(const unsigned char *)record.data != KV_RECORD_VERSION)
        return damaged("a part of a write set");
    while ((more = hf__kv_layout_write_read(record.data, record.size, &offset, &write)) == 1) {
        if (write.op == KV_PUT)
            rc = hf__kv_writes_put(set, write.key, write.key_size, write.value, write.value_size);
        else
            rc = hf__kv_writes_delete(set, write.key, write.key_size);
        if (rc != HF_OK)
            return rc;
    }
    return more == 0 ? HF_OK : damaged("a part of a write set");
}

static int load_branch(struct loading *loading, const struct kv_xid *xid)
{
    struct kv_prepared header;
    struct hf__record record;
    struct kv_writes *set;
    struct kv_key key;
    int rc;

    hf__kv_layout_prepared_key(xid, &key);
    rc = hf__store_get(loading->txn, key.bytes, key.size, &record);
    if (rc != HF_OK)
        return rc;
    if (hf__kv_layout_prepared_read(record.data, record.size, &header) != 0)
        return damaged("a prepared branch");
    set = loading->make(loading->user, xid);
    if (set == NULL)
        return HF_ENOMEM;
    for (uint32_t chunk = 0; chunk < header.chunks; chunk++) {
        rc = load_chunk(loading->txn, xid, chunk, set);
        if (rc != HF_OK)
            return rc;
    }
    if (set->count != header.writes || set->bytes != header.bytes)
        return damaged("a prepared branch: its write set is not complete");
    return HF_OK;
}

int hf__kv_disk_load(struct hf__store *store, hf__kv_disk_make_fn *make, void *user)
{
    struct loading loading = {.make = make, .user = user};
    int rc;

    rc = hf__store_read_begin(store, &loading.txn);
    if (rc != HF_OK)
        return rc;
    rc = hf__store_each(loading.txn, "p", 1, load_header, &loading);
    if (rc == HF_OK)
        rc = hf__store_each(loading.txn, "w", 1, count_chunk, &loading);
    if (rc == HF_OK && loading.chunks != loading.found)
        rc = damaged("the set of prepared branches: writes without a branch, or without a part");
    for (size_t i = 0; rc == HF_OK && i < loading.count; i++)
        rc = load_branch(&loading, &loading.xids[i]);
    hf__store_read_end(loading.txn);
    free(loading.xids);
    return rc;
}
