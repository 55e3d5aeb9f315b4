/*
 * rm/kv/data.c - hf_kv_get(), put(), delete() and each(): the data of a store as a branch sees it.
 *
 * In a branch: its own writes first, then the committed data, under locks that the branch keeps
 * until it ends. Without a branch: a snapshot of the committed data, without any lock.
 *
 * Invariants
 *   D1  What a branch sees of committed data it has locked before: a key, shared, whether it is
 *       there or not, or a prefix. What it writes it has locked exclusively. So nothing that it has
 *       read changes, appears or vanishes before it ends (strict two-phase locking; serializable).
 *   D2  A write changes nothing but the branch's write set in memory.
 *   D3  An operation that failed half-way, or did not get its lock, spoils its branch. One that
 *       was over a limit has done nothing, and the branch can go on.
 *   D4  fn of hf_kv_each() runs with no mutex, no busy mark and no transaction of the store: it may
 *       take its time, and may call hf_kv_get().
 *
 * Because of D4 hf_kv_each() collects first and calls then. In a branch it collects BATCH_BYTES at
 * a time, as nobody else can write there; without one it collects all from one snapshot.
 *
 * Spec: [XA] 2.2: the native interface is the resource manager's own affair.
 */
#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "holdfast/internal/store.h"
#include "holdfast/kv.h"
#include "rmid.h"

/* Keys and values of one branch's write set: it is committed in one LMDB transaction. */
static const uint64_t WRITES_BYTES_MAX = 128 << 20;
/* hf_kv_each() in a branch collects about so much at a time. */
static const size_t BATCH_BYTES = 256 << 10;

/* One operation of one rmid. */
struct operation {
    struct kv_place *place;
    struct kv_branch *branch; /* busy for us; NULL: no branch, committed data */
};

/* -- begin and end ----------------------------------------------------------------------------- */

static int store_has_failed(void)
{
    return hf__error(HF_EIO, 0, "kv: the store failed: close every instance of it and open again");
}

static int branch_is_spoilt(const struct kv_branch *branch)
{
    return hf__error(HF_EROLLEDBACK, branch->spoilt, "kv: the branch can only be rolled back");
}

static int out_of_memory(void)
{
    return hf__error(HF_ENOMEM, 0, "kv: out of memory");
}

/* What an operation touches. */
struct access {
    const void *bytes; /* a key, or a prefix, which is read */
    size_t size;
    enum kv_lock_mode mode;
    int is_prefix;
};

static int lock_it(struct kv_place *place, struct kv_branch *branch, const struct access *access,
                   uint32_t wait_ms)
{
    enum kv_lock_answer answer;

    if (HF_BUG("kv-read-unlocked") && access->mode == KV_SHARED && !access->is_prefix)
        return HF_OK;
    if (access->is_prefix)
        answer =
            hf__kv_lock_prefix(&place->locks, &branch->owner, access->bytes, access->size, wait_ms);
    else
        answer = hf__kv_lock_key(&place->locks, &branch->owner, access->bytes, access->size,
                                 access->mode, wait_ms);
    switch (answer) {
    case KV_LOCKED:
    case KV_LOCK_REFUSED:
    case KV_LOCK_WAITS: /* only of the halves of a request */
        break;
    case KV_LOCK_TIMEOUT:
        hf__kv_branch_spoil(place, branch, XA_RBTIMEOUT);
        return hf__error(HF_EROLLEDBACK, XA_RBTIMEOUT, "kv: a lock was not to be had in %u ms",
                         (unsigned)wait_ms);
    case KV_LOCK_DEADLOCK:
        hf__kv_branch_spoil(place, branch, XA_RBDEADLOCK);
        return hf__error(HF_EROLLEDBACK, XA_RBDEADLOCK,
                         "kv: deadlock: those who hold the lock wait for this transaction");
    case KV_LOCK_LIMIT:
        return hf__error(HF_ELIMIT, 0, "kv: a branch may lock %u keys and prefixes",
                         (unsigned)KV_BRANCH_LOCKS_MAX);
    case KV_LOCK_NO_MEMORY:
        hf__kv_branch_spoil(place, branch, XA_RBOTHER);
        return out_of_memory();
    }
    if (place->failed)
        return store_has_failed();
    return branch->spoilt == 0 ? HF_OK : branch_is_spoilt(branch);
}

/* Make the branch busy, and lock what is to be touched; called with the mutex held. */
static int take(struct kv_place *place, struct kv_branch *branch, const struct access *access,
                uint32_t wait_ms)
{
    int rc;

    while (branch->busy) /* each turn waits for another rmid's operation to end */
        pthread_cond_wait(&place->changed, &place->mutex);
    if (place->failed)
        return store_has_failed();
    if (branch->spoilt != 0)
        return branch_is_spoilt(branch);
    branch->busy = 1;
    rc = lock_it(place, branch, access, wait_ms);
    if (rc != HF_OK)
        hf__kv_branch_unbusy(place, branch);
    return rc;
}

static int begin(int rmid, const struct access *access, struct operation *ret)
{
    struct kv_rmid *entry;
    int rc = HF_OK;

    if (hf__kv_rmid_is_forked())
        return hf__error(HF_EFORK, 0, "kv: used in a child process after fork");
    entry = hf__kv_rmid_find(rmid);
    if (entry == NULL)
        return hf__error(HF_EINVAL, 0, "kv: rmid %d is not open", rmid);
    if (entry->association == KV_SUSPENDED)
        return hf__error(HF_ESTATE, 0, "kv: the association of rmid %d is suspended", rmid);
    if (entry->association == KV_NONE && access->mode == KV_EXCLUSIVE)
        return hf__error(HF_ESTATE, 0, "kv: rmid %d is in no branch: nothing can be written", rmid);
    ret->place = entry->place;
    ret->branch = entry->branch;
    pthread_mutex_lock(&ret->place->mutex);
    if (ret->branch != NULL)
        rc = take(ret->place, ret->branch, access, entry->wait_ms);
    else if (ret->place->failed)
        rc = store_has_failed();
    pthread_mutex_unlock(&ret->place->mutex);
    return rc;
}

/* Returns rc as the caller of the operation shall see it. */
static int end(struct operation *op, int rc)
{
    if (rc == HF_ELOG || rc == HF_EUNKNOWN)
        rc = HF_EIO;
    if (op->branch == NULL)
        return rc;
    pthread_mutex_lock(&op->place->mutex);
    if (rc == HF_EIO || rc == HF_EDAMAGED || rc == HF_ENOMEM || rc == HF_EFORK)
        hf__kv_branch_spoil(op->place, op->branch, XA_RBOTHER); /* D3 */
    else if (op->branch->spoilt != 0)
        rc = branch_is_spoilt(op->branch); /* by a cancel, or under another rmid */
    hf__kv_branch_unbusy(op->place, op->branch);
    pthread_mutex_unlock(&op->place->mutex);
    return rc;
}

static int check_key(const void *key, size_t key_size)
{
    if (key == NULL || key_size < 1 || key_size > HF_KV_KEY_MAX)
        return hf__error(HF_EINVAL, 0, "kv: a key has 1 to %d bytes", HF_KV_KEY_MAX);
    return HF_OK;
}

/* -- get, put, delete, lock -------------------------------------------------------------------- */

static void copy_out(const void *value, size_t size, void *buf, size_t buf_size, size_t *ret_size)
{
    size_t n = size < buf_size ? size : buf_size;

    if (buf != NULL && n > 0)
        memcpy(buf, value, n);
    if (ret_size != NULL)
        *ret_size = size;
}

static int get_committed(struct kv_place *place, const void *key, size_t key_size, void *buf,
                         size_t buf_size, size_t *ret_size)
{
    struct hf__store_txn *txn = NULL;
    struct hf__record record;
    struct kv_key data_key;
    int rc;

    hf__kv_layout_data_key(key, key_size, &data_key);
    rc = hf__store_read_begin(place->store, &txn);
    if (rc != HF_OK)
        return rc;
    rc = hf__store_get(txn, data_key.bytes, data_key.size, &record);
    if (rc == HF_OK)
        copy_out(record.data, record.size, buf, buf_size, ret_size);
    hf__store_read_end(txn);
    return rc;
}

/* In an operation: the value as the branch sees it. HF_ENOTFOUND as of hf_kv_get(). */
static int look_up(struct operation *op, const void *key, size_t key_size, void *buf,
                   size_t buf_size, size_t *ret_size)
{
    const struct kv_write *own = NULL;

    if (op->branch != NULL)
        own = hf__kv_writes_find(&op->branch->writes, key, key_size);
    if (own == NULL)
        return get_committed(op->place, key, key_size, buf, buf_size, ret_size);
    if (own->op == KV_DELETE)
        return hf__error(HF_ENOTFOUND, 0, "kv: no such key");
    copy_out(own->value, own->value_size, buf, buf_size, ret_size);
    return HF_OK;
}

int hf_kv_get(int rmid, const void *key, size_t key_size, void *buf, size_t buf_size,
              size_t *ret_size)
{
    const struct access access = {.bytes = key, .size = key_size, .mode = KV_SHARED};
    struct operation op;
    int rc = check_key(key, key_size);

    if (rc == HF_OK && buf == NULL && buf_size > 0)
        rc = hf__error(HF_EINVAL, 0, "kv: no buffer");
    if (rc == HF_OK)
        rc = begin(rmid, &access, &op);
    if (rc != HF_OK)
        return rc;
    return end(&op, look_up(&op, key, key_size, buf, buf_size, ret_size));
}

/* Room for one more write of so many bytes? */
static int check_room(const struct operation *op, size_t bytes)
{
    if (op->branch->writes.bytes + bytes > WRITES_BYTES_MAX)
        return hf__error(HF_ELIMIT, 0, "kv: a branch may write %u MiB",
                         (unsigned)(WRITES_BYTES_MAX >> 20));
    return HF_OK;
}

int hf_kv_put(int rmid, const void *key, size_t key_size, const void *value, size_t value_size)
{
    const struct access access = {.bytes = key, .size = key_size, .mode = KV_EXCLUSIVE};
    struct operation op;
    int rc = check_key(key, key_size);

    if (rc == HF_OK && value == NULL && value_size > 0)
        rc = hf__error(HF_EINVAL, 0, "kv: no value");
    if (rc == HF_OK && value_size > HF_KV_VALUE_MAX)
        rc = hf__error(HF_ELIMIT, 0, "kv: a value has at most %d bytes", HF_KV_VALUE_MAX);
    if (rc == HF_OK)
        rc = begin(rmid, &access, &op);
    if (rc != HF_OK)
        return rc;
    rc = check_room(&op, key_size + value_size);
    if (rc == HF_OK)
        rc = hf__kv_writes_put(&op.branch->writes, key, key_size, value, value_size);
    return end(&op, rc == HF_ENOMEM ? out_of_memory() : rc);
}

int hf_kv_lock(int rmid, const void *key, size_t key_size)
{
    const struct access access = {.bytes = key, .size = key_size, .mode = KV_EXCLUSIVE};
    struct operation op;
    int rc = check_key(key, key_size);

    if (rc == HF_OK)
        rc = begin(rmid, &access, &op);
    return rc == HF_OK ? end(&op, HF_OK) : rc;
}

int hf_kv_delete(int rmid, const void *key, size_t key_size)
{
    const struct access access = {.bytes = key, .size = key_size, .mode = KV_EXCLUSIVE};
    struct operation op;
    int rc = check_key(key, key_size);

    if (rc == HF_OK)
        rc = begin(rmid, &access, &op);
    if (rc != HF_OK)
        return rc;
    rc = look_up(&op, key, key_size, NULL, 0, NULL);
    if (rc == HF_OK)
        rc = check_room(&op, key_size);
    if (rc == HF_OK)
        rc = hf__kv_writes_delete(&op.branch->writes, key, key_size);
    return end(&op, rc == HF_ENOMEM ? out_of_memory() : rc);
}

/* -- each -------------------------------------------------------------------------------------- */

/* Collected keys and values, one after the other: struct item, key, value. */
struct batch {
    unsigned char *bytes;
    size_t size;
    size_t capacity;
};

struct item {
    size_t key_size;
    size_t value_size;
};

/* Where an iteration stands. */
struct iteration {
    const unsigned char *prefix;
    size_t prefix_size;
    unsigned char from[HF_KV_KEY_MAX + 1]; /* what is still to come is not below it */
    size_t from_size;
    struct batch batch;
    size_t batch_bytes_max;     /* stop collecting beyond it */
    const struct kv_write *own; /* while collecting: the branch's next write */
    int full;                   /* there may be more */
};

enum { STOP = 1 }; /* ends hf__store_each(); no result code is above 0 */

static int reserve(struct batch *batch, size_t more)
{
    size_t capacity = batch->capacity > 0 ? batch->capacity : 4096;
    unsigned char *bytes;

    while (capacity - batch->size < more)
        capacity *= 2; /* bounded by the memory there is */
    if (capacity == batch->capacity)
        return HF_OK;
    bytes = realloc(batch->bytes, capacity);
    if (bytes == NULL)
        return out_of_memory();
    batch->bytes = bytes;
    batch->capacity = capacity;
    return HF_OK;
}

/* Add one pair and move on behind it. HF_OK, STOP when the batch is full, HF_ENOMEM. */
static int collect(struct iteration *it, const void *key, size_t key_size, const void *value,
                   size_t value_size)
{
    struct item item = {.key_size = key_size, .value_size = value_size};
    unsigned char *p;
    int rc = reserve(&it->batch, sizeof(item) + key_size + value_size);

    if (rc != HF_OK)
        return rc;
    p = it->batch.bytes + it->batch.size;
    memcpy(p, &item, sizeof(item));
    memcpy(p + sizeof(item), key, key_size);
    if (value_size > 0)
        memcpy(p + sizeof(item) + key_size, value, value_size);
    it->batch.size += sizeof(item) + key_size + value_size;
    memcpy(it->from, key, key_size);
    it->from[key_size] = 0; /* the least key above this one */
    it->from_size = key_size + 1;
    it->full = it->batch.size >= it->batch_bytes_max;
    return it->full ? STOP : HF_OK;
}

static int has_prefix(const struct iteration *it, const struct kv_write *write)
{
    return write->key_size >= it->prefix_size &&
           memcmp(write->key, it->prefix, it->prefix_size) == 0;
}

/* Collect the branch's next write, unless it deletes. */
static int collect_own(struct iteration *it)
{
    const struct kv_write *w = it->own;

    it->own = w->next[0];
    return w->op == KV_PUT ? collect(it, w->key, w->key_size, w->value, w->value_size) : HF_OK;
}

/* A committed pair: the branch's writes below it come first, and one of the same key instead. */
static int merge(void *user, const unsigned char *key, size_t key_size,
                 const struct hf__record *record)
{
    struct iteration *it = user;
    int order = 1;
    int rc;

    if (record->kind != KV_KIND_DATA || key_size < 2)
        return hf__error(HF_EDAMAGED, 0, "kv: a record of data is of another kind");
    while (it->own != NULL) {
        order = hf__kv_writes_compare(it->own->key, it->own->key_size, key + 1, key_size - 1);
        if (order > 0)
            break;
        rc = collect_own(it);
        if (rc != HF_OK || order == 0)
            return rc;
    }
    return collect(it, key + 1, key_size - 1, record->data, record->size);
}

/* The next batch. HF_OK; it->full says whether there may be another one. */
static int collect_batch(struct operation *op, struct iteration *it)
{
    struct hf__store_txn *txn = NULL;
    struct kv_key prefix, from;
    int rc;

    it->batch.size = 0;
    it->full = 0;
    it->own = NULL;
    if (op->branch != NULL)
        it->own = hf__kv_writes_seek(&op->branch->writes, it->from, it->from_size);
    hf__kv_layout_data_key(it->prefix, it->prefix_size, &prefix);
    hf__kv_layout_data_key(it->from, it->from_size, &from);
    rc = hf__store_read_begin(op->place->store, &txn);
    if (rc != HF_OK)
        return rc;
    rc = hf__store_each_from(txn, prefix.bytes, prefix.size, from.bytes, from.size, merge, it);
    hf__store_read_end(txn);
    while (rc == HF_OK && it->own != NULL && has_prefix(it, it->own))
        rc = collect_own(it);
    return rc == STOP ? HF_OK : rc;
}

/* Hand a batch out. */
static int call_for_each(const struct batch *batch, hf_kv_each_fn *fn, void *user)
{
    const unsigned char *p = batch->bytes;
    struct item item;
    int rc;

    for (size_t left = batch->size; left > 0;) {
        memcpy(&item, p, sizeof(item));
        rc = fn(user, p + sizeof(item), item.key_size, p + sizeof(item) + item.key_size,
                item.value_size);
        if (rc != 0)
            return rc;
        p += sizeof(item) + item.key_size + item.value_size;
        left -= sizeof(item) + item.key_size + item.value_size;
    }
    return HF_OK;
}

/* Batches until there are no more; the association must stay what it is meanwhile. */
static int iterate(int rmid, struct iteration *it, hf_kv_each_fn *fn, void *user)
{
    const struct access access = {
        .bytes = it->prefix, .size = it->prefix_size, .mode = KV_SHARED, .is_prefix = 1};
    struct kv_branch *first = NULL;
    struct operation op;
    int rc, begun = 0;

    do { /* each turn moves it->from up */
        rc = begin(rmid, &access, &op);
        if (rc != HF_OK)
            return rc;
        if (!begun) {
            begun = 1;
            first = op.branch;
            it->batch_bytes_max = first != NULL ? BATCH_BYTES : SIZE_MAX;
        }
        if (op.branch != first)
            rc = hf__error(HF_ESTATE, 0, "kv: the branch ended during an iteration");
        else
            rc = collect_batch(&op, it);
        rc = end(&op, rc);
        if (rc == HF_OK)
            rc = call_for_each(&it->batch, fn, user);
    } while (rc == HF_OK && it->full);
    return rc;
}

int hf_kv_each(int rmid, const void *prefix, size_t prefix_size, hf_kv_each_fn *fn, void *user)
{
    struct iteration it = {.prefix = prefix, .prefix_size = prefix_size};
    int rc;

    if (fn == NULL || (prefix == NULL && prefix_size > 0) || prefix_size > HF_KV_KEY_MAX)
        return hf__error(HF_EINVAL, 0, "kv: a prefix has at most %d bytes", HF_KV_KEY_MAX);
    if (prefix_size == 0)
        it.prefix = it.from;
    else
        memcpy(it.from, prefix, prefix_size);
    it.from_size = prefix_size;
    rc = iterate(rmid, &it, fn, user);
    free(it.batch.bytes);
    return rc;
}
