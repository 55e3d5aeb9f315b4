/*
 * tm/store.c - sealed records on LMDB: see holdfast/internal/store.h for the contract (S1 to S5).
 *
 * A record is   magic 2 | kind 1 | version 1 | payload bytes 4 | sequence 8 | payload | checksum 8
 * big-endian; the checksum is XXH3 over key, header and payload. The head record (key 0x00) holds
 * the number of the others and the sum of their checksums modulo 2^64, brought up to date by every
 * put and delete, so a batch costs one record more and verifying costs one walk.
 *
 * Why what is here is safe with LMDB 0.9.24
 *   - mdb_txn_commit() is: data pages, fdatasync, one meta page through an O_DSYNC descriptor. A
 *     failure at any of them may leave the new tree on disk or not, so it is HF_EUNKNOWN and the
 *     store is failed.
 *   - No MDB_WRITEMAP, MDB_NOSYNC, MDB_NOMEMINIT, MDB_DUPSORT, nested or very large transactions.
 *   - The map is replaced only while this process has no transaction: map_lock is held shared by
 *     every transaction and exclusively by the replacement.
 *   - The file is extended with fallocate() before pages are used, so a full disk is met before
 *     anything is written, and a file shorter than its tree can only be a truncated one.
 *   - The commit itself takes pages, for LMDB's list of free ones: the map and the file have room
 *     for those before it begins.
 *   - LMDB's own lock file must be opened once in a process, as ours must: the registry of
 *     store_dir.c sees to both.
 *
 * If we crash ...                         on disk                         the next opening
 *   after mkdir                           an empty directory              makes the rest
 *   while LMDB makes its file             blank pages, no mark            makes it anew
 *   after LMDB made its file              no head, transaction 0          makes it anew
 *   after the head                        a head, no mark in lock file    writes the mark
 *   after a new identity's batch          the mark names the former one   writes the mark
 *   in a commit                           the old tree or the new one     sees one of them, whole
 *
 * Locks, in this order: the registry's; map_lock; LMDB's writer mutex. The queue's is held for
 * moments, and nothing is taken under it.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "check.h"
#include "holdfast/base.h"
#include "holdfast/internal/fault.h"
#include "holdfast/internal/store.h"
#include "store_dir.h"
#include "store_pages.h"
#include "store_queue.h"

enum {
    MAGIC = 0x4846,
    RECORD_VERSION = 1,
    HEADER_SIZE = 16,
    CHECKSUM_SIZE = 8,
    CHECK_BYTES_MAX = 64 << 20, /* a file that is larger is not checked when it is opened */
    HEAD_SIZE = 72,             /* payload of the head record */
    HEAD_SIZE_MIN = 64,         /* and before it had the number of its commit */
    GROW_BYTES = 1 << 20,       /* the file grows by this */
    /* Allocated beyond the last page in use, for finishing old work: the largest decision (1,000
       branches, 76 KB) may eat into it, and then is written again twice before LMDB uses pages
       anew. */
    RESERVE_BYTES = 1 << 19,
    SMALL_BYTES = 1 << 15, /* of it, what any batch needs */
    SURE_BYTES = 1 << 17,  /* of it, what a batch may need without being asked */
    PAGE_SHARE = 4096,     /* what a record's change costs beside its own bytes */
    LISTED_SHARE = 512,    /* of a record's bytes, to list its pages as free: 8 bytes a page */
    READERS_MAX = 1024,    /* snapshots at a time, of all processes */
};

/* Sums over all records, in the head. */
struct head {
    uint32_t application;
    uint32_t format;
    unsigned char identity[HF__STORE_ID_SIZE];
    uint64_t created_ms;
    uint64_t count;
    uint64_t sum;
    uint64_t sequence;
    unsigned char former[HF__STORE_ID_SIZE]; /* identity before this one; zero: none */
};

struct hf__store {
    struct hf__store_dir dir;
    MDB_env *env;
    MDB_dbi dbi;
    uint32_t application, format;
    unsigned char identity[HF__STORE_ID_SIZE];
    uint64_t created_ms;
    _Atomic uint64_t commits;
    _Atomic bool failed; /* S4 */
    uint64_t file_bytes; /* allocated, as last seen; the leader's */
    uint64_t list_bytes; /* see list_bytes(), as last seen; the leader's */
    pthread_rwlock_t map_lock;
    bool unmapped; /* map_lock: a resize failed; nothing can be read any more */

    struct hf__store_queue queue; /* group commit */
};

struct hf__store_txn {
    struct hf__store *store;
    MDB_txn *mdb;
    /* of a write transaction: */
    struct head head;
    uint64_t writes_done;   /* puts and deletes */
    uint64_t bytes_written; /* by them, about */
    uint64_t used, map;     /* bytes of the file, before it, and of the map */
    bool reserve_whole;     /* new work may be taken on */
    bool writes;
    bool map_full;
    unsigned marks; /* the user's */
    void (*on_commit)(void *user, uint64_t number);
    void *on_commit_user;
    uint64_t on_commit_number;
};

/* -- small things ----------------------------------------------------------------------------- */

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts); /* cannot fail with the two clocks below */
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t hf__now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

uint64_t hf__monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

/* LMDB's codes, translated once. */
static int from_mdb(const struct hf__store *s, int rc, const char *doing)
{
    int code = HF_EIO;

    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        code = HF_EDAMAGED;
        break;
    case MDB_VERSION_MISMATCH:
        code = HF_ENEWER;
        break;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_READERS_FULL:
    case ENOSPC:
    case EDQUOT:
        code = HF_EFULL;
        break;
    case MDB_PANIC:
        code = HF_ELOG;
        break;
    case ENOMEM:
        code = HF_ENOMEM;
        break;
    default:
        break;
    }
    return hf__error(code, rc, "%s: %s: %s", s->dir.path, doing, mdb_strerror(rc));
}

static int damaged(const struct hf__store *s, const char *what, uint64_t at)
{
    return hf__error(HF_EDAMAGED, 0, "%s: %s (record %llu)", s->dir.path, what,
                     (unsigned long long)at);
}

static uint64_t checksum(const void *key, size_t key_size, const void *value, size_t size)
{
    return XXH3_64bits_withSeed(value, size, XXH3_64bits(key, key_size));
}

/* Check the seal of a record as it lies in the store. */
static int unseal(const struct hf__store *s, const MDB_val *key, const MDB_val *val,
                  struct hf__record *ret, uint64_t *ret_sum)
{
    const unsigned char *p = val->mv_data;
    uint64_t sum;

    if (val->mv_size < HEADER_SIZE + CHECKSUM_SIZE || (p[0] << 8 | p[1]) != MAGIC)
        return damaged(s, "not a record", 0);
    ret->size = hf__get32(p + 4);
    ret->sequence = hf__get64(p + 8);
    if (ret->size != val->mv_size - HEADER_SIZE - CHECKSUM_SIZE)
        return damaged(s, "wrong length", ret->sequence);
    sum = hf__get64(p + val->mv_size - CHECKSUM_SIZE);
    if (sum != checksum(key->mv_data, key->mv_size, p, val->mv_size - CHECKSUM_SIZE))
        return damaged(s, "wrong checksum", ret->sequence);
    if (p[3] > RECORD_VERSION)
        return hf__error(HF_ENEWER, 0, "%s: record %llu has version %u", s->dir.path,
                         (unsigned long long)ret->sequence, p[3]);
    ret->kind = p[2];
    ret->data = p + HEADER_SIZE;
    if (ret_sum != NULL)
        *ret_sum = sum;
    return HF_OK;
}

static int get_sealed(struct hf__store_txn *t, const void *key, size_t key_size,
                      struct hf__record *ret, uint64_t *ret_sum)
{
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)key}; /* LMDB only reads it */
    MDB_val v;
    int rc = mdb_get(t->mdb, t->store->dbi, &k, &v);

    if (rc == MDB_NOTFOUND)
        return HF_ENOTFOUND;
    if (rc != 0)
        return from_mdb(t->store, rc, "read a record");
    return unseal(t->store, &k, &v, ret, ret_sum);
}

/* Put a sealed record. Its checksum goes to ret_sum. mdb_flags: 0, or MDB_NOOVERWRITE. */
static int put_sealed(struct hf__store_txn *t, const void *key, size_t key_size, uint8_t kind,
                      uint64_t sequence, const void *payload, size_t size, unsigned mdb_flags,
                      uint64_t *ret_sum)
{
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)key};
    MDB_val v = {.mv_size = HEADER_SIZE + size + CHECKSUM_SIZE, .mv_data = NULL};
    unsigned char *p;
    int rc = mdb_put(t->mdb, t->store->dbi, &k, &v, MDB_RESERVE | mdb_flags);

    if (rc == MDB_KEYEXIST)
        return HF_EEXIST;
    if (rc != 0) {
        t->map_full = rc == MDB_MAP_FULL;
        return from_mdb(t->store, rc, "write a record");
    }
    p = v.mv_data;
    p[0] = MAGIC >> 8;
    p[1] = MAGIC & 0xff;
    p[2] = kind;
    p[3] = RECORD_VERSION;
    hf__put32(p + 4, (uint32_t)size);
    hf__put64(p + 8, sequence);
    if (size > 0)
        memcpy(p + HEADER_SIZE, payload, size);
    *ret_sum = checksum(key, key_size, p, HEADER_SIZE + size);
    hf__put64(p + HEADER_SIZE + size, *ret_sum);
    return HF_OK;
}

/* -- the head --------------------------------------------------------------------------------- */

static const unsigned char head_key[1] = {0};

static bool is_head(const MDB_val *key)
{
    return key->mv_size == sizeof(head_key) && *(unsigned char *)key->mv_data == head_key[0];
}

static int read_head(struct hf__store_txn *t, struct head *ret)
{
    struct hf__record r;
    const unsigned char *p;
    int rc = get_sealed(t, head_key, sizeof(head_key), &r, NULL);

    if (rc != HF_OK)
        return rc;
    if (r.size < HEAD_SIZE_MIN)
        return damaged(t->store, "head too short", r.sequence);
    p = r.data;
    if (r.size >= HEAD_SIZE && hf__get64(p + 64) + t->writes != mdb_txn_id(t->mdb))
        return hf__error(HF_EBACKINTIME, 0, "%s: an older state of it has come back: commit %llu",
                         t->store->dir.path, (unsigned long long)hf__get64(p + 64));
    ret->application = hf__get32(p);
    ret->format = hf__get32(p + 4);
    memcpy(ret->identity, p + 8, HF__STORE_ID_SIZE);
    ret->created_ms = hf__get64(p + 24);
    ret->count = hf__get64(p + 32);
    ret->sum = hf__get64(p + 40);
    memcpy(ret->former, p + 48, HF__STORE_ID_SIZE);
    ret->sequence = r.sequence;
    return HF_OK;
}

/* The head, unread, in its place: which commit wrote it? */
static uint64_t commit_of_head(const unsigned char *value, size_t size)
{
    return size < HEADER_SIZE + HEAD_SIZE + CHECKSUM_SIZE ? 0 : hf__get64(value + HEADER_SIZE + 64);
}

static int write_head(struct hf__store_txn *t)
{
    unsigned char p[HEAD_SIZE] = {0};
    uint64_t unused;

    hf__put32(p, t->head.application);
    hf__put32(p + 4, t->head.format);
    memcpy(p + 8, t->head.identity, HF__STORE_ID_SIZE);
    hf__put64(p + 24, t->head.created_ms);
    hf__put64(p + 32, t->head.count);
    hf__put64(p + 40, t->head.sum);
    memcpy(p + 48, t->head.former, HF__STORE_ID_SIZE);
    hf__put64(p + 64, mdb_txn_id(t->mdb));
    return put_sealed(t, head_key, sizeof(head_key), 0, t->head.sequence, p, sizeof(p), 0, &unused);
}

/* -- transactions ----------------------------------------------------------------------------- */

/* Another process made the map larger (bytes 0), or we need more room. */
static int set_map(struct hf__store *s, size_t bytes)
{
    int rc;

    (void)pthread_rwlock_wrlock(&s->map_lock);
    rc = s->unmapped ? EIO : mdb_env_set_mapsize(s->env, bytes);
    s->unmapped = rc != 0; /* LMDB takes the old map away first */
    (void)pthread_rwlock_unlock(&s->map_lock);
    return rc == 0 ? HF_OK : from_mdb(s, rc, "resize the map");
}

void hf__store_sweep(struct hf__store *s)
{
    int dead;

    (void)mdb_reader_check(s->env, &dead); /* what it cannot check stays for the next time */
}

/* Begin with map_lock held shared; on error it is not held. */
static int begin(struct hf__store *s, unsigned mdb_flags, MDB_txn **ret)
{
    enum { TRIES = 8 }; /* each time another process has to have grown the map in between */

    if (s->dir.process != hf__process())
        return hf__error(HF_EFORK, 0, "%s: opened by the parent process", s->dir.path);
    for (int i = 0; i < TRIES; i++) {
        int rc;

        (void)pthread_rwlock_rdlock(&s->map_lock);
        rc = s->unmapped ? EIO : mdb_txn_begin(s->env, NULL, mdb_flags, ret);
        if (rc == 0)
            return HF_OK;
        (void)pthread_rwlock_unlock(&s->map_lock);
        if (rc == MDB_READERS_FULL && i == 0)
            hf__store_sweep(s);
        else if (rc != MDB_MAP_RESIZED)
            return from_mdb(s, rc, "begin");
        else if ((rc = set_map(s, 0)) != HF_OK)
            return rc;
    }
    return hf__error(HF_EBUSY, MDB_MAP_RESIZED, "%s: begin: the map keeps growing", s->dir.path);
}

int hf__store_read_begin(struct hf__store *s, struct hf__store_txn **ret)
{
    struct hf__store_txn *t = calloc(1, sizeof(*t));
    int rc;

    if (t == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: begin a read", s->dir.path);
    t->store = s;
    rc = begin(s, MDB_RDONLY, &t->mdb);
    if (rc != HF_OK) {
        free(t);
        return rc;
    }
    *ret = t;
    return HF_OK;
}

void hf__store_read_end(struct hf__store_txn *t)
{
    if (t == NULL)
        return;
    mdb_txn_abort(t->mdb);
    (void)pthread_rwlock_unlock(&t->store->map_lock);
    free(t);
}

int hf__store_get(struct hf__store_txn *t, const void *key, size_t key_size, struct hf__record *ret)
{
    return get_sealed(t, key, key_size, ret, NULL);
}

int hf__store_each_from(struct hf__store_txn *t, const void *prefix, size_t prefix_size,
                        const void *from, size_t from_size, hf__store_each_fn *fn, void *user)
{
    MDB_val k = {.mv_size = from_size, .mv_data = (void *)from};
    MDB_val v;
    MDB_cursor *cursor = NULL;
    struct hf__record r;
    int rc = mdb_cursor_open(t->mdb, t->store->dbi, &cursor);

    if (rc != 0)
        return from_mdb(t->store, rc, "open a cursor");
    /* Bound: the records of the store. */
    for (rc = mdb_cursor_get(cursor, &k, &v, from_size > 0 ? MDB_SET_RANGE : MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        if (prefix_size > 0 &&
            (k.mv_size < prefix_size || memcmp(k.mv_data, prefix, prefix_size) != 0))
            break;
        if (is_head(&k))
            continue;
        rc = unseal(t->store, &k, &v, &r, NULL);
        if (rc == HF_OK)
            rc = fn(user, k.mv_data, k.mv_size, &r);
        if (rc != 0) {
            mdb_cursor_close(cursor);
            return rc;
        }
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? HF_OK : from_mdb(t->store, rc, "walk");
}

int hf__store_each(struct hf__store_txn *t, const void *prefix, size_t prefix_size,
                   hf__store_each_fn *fn, void *user)
{
    return hf__store_each_from(t, prefix, prefix_size, prefix, prefix_size, fn, user);
}

static void check_put(const struct hf__store_txn *t, const void *key, size_t key_size, size_t size)
{
    HF_CHECK(t->writes && key_size > 0 && key_size <= HF__STORE_KEY_MAX);
    HF_CHECK(*(const unsigned char *)key != head_key[0] && size <= HF__STORE_PAYLOAD_MAX);
}

int hf__store_put(struct hf__store_txn *t, const void *key, size_t key_size, uint8_t kind,
                  const void *payload, size_t size)
{
    struct hf__record old;
    uint64_t old_sum = 0, new_sum;
    int rc;

    check_put(t, key, key_size, size);
    rc = get_sealed(t, key, key_size, &old, &old_sum);
    if (rc != HF_OK && rc != HF_ENOTFOUND)
        return rc;
    t->writes_done++;
    t->bytes_written += key_size + size + PAGE_SHARE;
    if (rc == HF_OK)
        t->bytes_written += old.size / LISTED_SHARE;
    t->head.count += rc == HF_ENOTFOUND;
    rc = put_sealed(t, key, key_size, kind, ++t->head.sequence, payload, size, 0, &new_sum);
    t->head.sum += new_sum - old_sum;
    return rc;
}

int hf__store_add(struct hf__store_txn *t, const void *key, size_t key_size, uint8_t kind,
                  const void *payload, size_t size)
{
    uint64_t sum;
    int rc;

    check_put(t, key, key_size, size);
    rc = put_sealed(t, key, key_size, kind, t->head.sequence + 1, payload, size, MDB_NOOVERWRITE,
                    &sum);
    if (rc == HF_EEXIST)
        return rc;
    t->writes_done++; /* also if it failed: the transaction may be spoilt */
    if (rc != HF_OK)
        return rc;
    t->bytes_written += key_size + size + PAGE_SHARE;
    t->head.sequence++;
    t->head.count++;
    t->head.sum += sum;
    return HF_OK;
}

int hf__store_delete(struct hf__store_txn *t, const void *key, size_t key_size)
{
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)key};
    struct hf__record old;
    uint64_t sum;
    int rc;

    HF_CHECK(t->writes && key_size > 0);
    rc = get_sealed(t, key, key_size, &old, &sum);
    if (rc != HF_OK)
        return rc;
    rc = mdb_del(t->mdb, t->store->dbi, &k, NULL);
    if (rc != 0) {
        t->map_full = rc == MDB_MAP_FULL;
        return from_mdb(t->store, rc, "delete a record");
    }
    t->writes_done++;
    t->bytes_written += PAGE_SHARE + old.size / LISTED_SHARE;
    t->head.count--;
    t->head.sum -= sum;
    return HF_OK;
}

unsigned *hf__store_marks(struct hf__store_txn *t)
{
    return &t->marks;
}

void hf__store_on_commit(struct hf__store_txn *t, void (*fn)(void *user, uint64_t number),
                         void *user, uint64_t number)
{
    t->on_commit = fn;
    t->on_commit_user = user;
    t->on_commit_number = number;
}

void hf__store_renew(struct hf__store_txn *t, const unsigned char identity[HF__STORE_ID_SIZE])
{
    HF_CHECK(t->writes);
    memcpy(t->head.former, t->head.identity, HF__STORE_ID_SIZE);
    memcpy(t->head.identity, identity, HF__STORE_ID_SIZE);
}

/* -- room ------------------------------------------------------------------------------------- */

/*
 * The file is allocated ahead of its use, so that a full disk is met before anything is written.
 * New work is refused while less than RESERVE_BYTES are free in it; what finishes old work may use
 * up the reserve. Called by the leader of a batch.
 */
static int ensure_file(struct hf__store *s, uint64_t used, uint64_t need)
{
    mdb_filehandle_t fd;
    uint64_t want = (used + need + GROW_BYTES) / GROW_BYTES * GROW_BYTES;
    int err = 0;

    if (used + need <= s->file_bytes)
        return HF_OK;
    (void)mdb_env_get_fd(s->env, &fd); /* the environment is open */
    if (HF_FAULT_FAILS("store:allocate"))
        err = ENOSPC;
    else if (fallocate(fd, 0, 0, (off_t)want) != 0)
        err = errno;
    if (err == EOPNOTSUPP)
        err = ftruncate(fd, (off_t)want) == 0 ? 0 : errno;
    if (err != 0)
        return hf__error(err == ENOSPC || err == EDQUOT ? HF_EFULL : HF_EIO, err,
                         "%s: allocate room: %s", s->dir.path, strerror(err));
    s->file_bytes = want;
    return HF_OK;
}

/* Bytes in use by the last committed tree, and of the map, which map_lock keeps where it is. */
static void measure_held(struct hf__store *s, uint64_t *ret_used, uint64_t *ret_map)
{
    MDB_envinfo info;
    MDB_stat st;

    (void)mdb_env_info(s->env, &info); /* neither can fail with an open environment */
    (void)mdb_env_stat(s->env, &st);
    *ret_used = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
    *ret_map = info.me_mapsize;
}

static void measure(struct hf__store *s, uint64_t *ret_used, uint64_t *ret_map)
{
    (void)pthread_rwlock_rdlock(&s->map_lock);
    measure_held(s, ret_used, ret_map);
    (void)pthread_rwlock_unlock(&s->map_lock);
}

/* Room in the map and on the disk for a batch that has not begun. */
static int ensure_room(struct hf__store_txn *t, bool map_was_full)
{
    struct hf__store *s = t->store;
    int rc = HF_OK;

    measure(s, &t->used, &t->map);
    if (map_was_full || t->used + RESERVE_BYTES > t->map / 5 * 4)
        rc = set_map(s, t->map * 2);
    if (rc != HF_OK)
        return rc;
    rc = ensure_file(s, t->used, RESERVE_BYTES + s->list_bytes);
    t->reserve_whole = rc == HF_OK;
    return rc == HF_EFULL ? ensure_file(s, t->used, SMALL_BYTES) : rc;
}

/*
 * What LMDB's list of free pages may take in the commit (mdb_freelist_save() of 0.9.24). It copies
 * the list's first and last page; puts the batch's own free pages into one record; and writes the
 * numbers that it has read and not used anew, in records of a page or more in a row, before the
 * pages of the old ones are free. So it is less than the list is now, but for the last page of each
 * record, and that again if a record has to be moved because it grew.
 */
static uint64_t list_bytes(const struct hf__store_txn *t)
{
    enum { LIST = 0 }; /* as mdb_stat(1) reads it */
    MDB_stat st;

    (void)mdb_stat(t->mdb, LIST, &st); /* cannot fail in a transaction that no error has ended */
    return 2 * (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) * st.ms_psize;
}

/* Room for what a batch has written so far, and for the pages that its commit will copy on the
   way. ret_fits: in the map; on the disk it is seen to. */
static int ensure_written(struct hf__store_txn *t, bool *ret_fits)
{
    struct hf__store *s = t->store;
    uint64_t need;

    s->list_bytes = list_bytes(t);
    need = 2 * t->bytes_written + SMALL_BYTES + s->list_bytes;
    measure_held(s, &t->used, &t->map); /* other processes may have written since ensure_room() */
    *ret_fits = t->used + need <= t->map;
    if (!*ret_fits || need <= SURE_BYTES)
        return HF_OK; /* ensure_room() has seen to that, or the reserve does */
    return ensure_file(s, t->used, need);
}

/* -- apply ------------------------------------------------------------------------------------ */

/* Nothing after this point can be taken back: the tree may be on disk whatever is returned. */
static int commit(struct hf__store_txn *t)
{
    struct hf__store *s = t->store;
    int rc;

    HF_FAULT("store:before-commit");
    if (HF_FAULT_FAILS("store:commit-fails")) {
        mdb_txn_abort(t->mdb);
        rc = EIO;
    } else {
        rc = mdb_txn_commit(t->mdb);
    }
    if (rc != 0 || HF_FAULT_FAILS("store:commit-lost")) {
        atomic_store(&s->failed, true);
        return hf__error(HF_EUNKNOWN, rc, "%s: commit: %s; it may or may not be on disk",
                         s->dir.path, mdb_strerror(rc));
    }
    atomic_fetch_add(&s->commits, 1);
    if (t->on_commit != NULL)
        t->on_commit(t->on_commit_user, t->on_commit_number);
    HF_FAULT("store:after-commit");
    return HF_OK;
}

static void set_result(struct hf__store_job *job, int rc)
{
    job->rc = rc;
    if (rc != HF_OK)
        job->why = *hf_error_last();
}

/*
 * Run the jobs in t. A job that refuses before it has written leaves the others be. One that fails
 * after that has spoilt the transaction: false, and each has to run alone.
 */
static bool run_jobs(struct hf__store_txn *t, struct hf__store_job *jobs)
{
    for (struct hf__store_job *job = jobs; job != NULL; job = job->next) {
        uint64_t writes = t->writes_done;

        if (job->spares_reserve && !t->reserve_whole) {
            set_result(job,
                       hf__error(HF_EFULL, ENOSPC, "%s: the disk is full", t->store->dir.path));
            continue;
        }
        set_result(job, job->fn(t, job->arg));
        if (job->rc != HF_OK && (t->map_full || t->writes_done != writes))
            return false;
    }
    return true;
}

static void set_results(struct hf__store_job *jobs, int rc)
{
    for (struct hf__store_job *job = jobs; job != NULL; job = job->next)
        if (job->rc == HF_OK)
            set_result(job, rc);
}

enum attempt { ATTEMPT_DONE, ATTEMPT_SPOILT, ATTEMPT_GROW };

/* Everything up to the commit. HF_OK: it can be committed, if *ret says that the attempt is
   done. */
static int fill(struct hf__store_txn *t, struct hf__store_job *jobs, enum attempt *ret)
{
    bool fits = true;
    int rc = read_head(t, &t->head);

    if (rc == HF_ENOTFOUND)
        rc = damaged(t->store, "the head record is missing", 0);
    if (rc != HF_OK)
        return rc;
    if (!run_jobs(t, jobs)) {
        *ret = t->map_full ? ATTEMPT_GROW : ATTEMPT_SPOILT;
        return HF_OK;
    }
    if (t->writes_done == 0)
        return HF_OK;
    rc = write_head(t);
    if (rc == HF_OK)
        rc = ensure_written(t, &fits);
    if (t->map_full || !fits)
        *ret = ATTEMPT_GROW;
    if (rc == HF_EFULL && jobs->next != NULL)
        *ret = ATTEMPT_SPOILT; /* not all of them may be too large */
    return rc;
}

/* One transaction for the jobs; afterwards each has its result, unless it has to be tried again. */
static enum attempt try_batch(struct hf__store *s, struct hf__store_job *jobs, bool grow)
{
    struct hf__store_txn t = {.store = s, .writes = true};
    enum attempt result = ATTEMPT_DONE;
    int rc = ensure_room(&t, grow);

    for (struct hf__store_job *job = jobs; job != NULL; job = job->next)
        job->rc = HF_OK;
    if (rc == HF_OK)
        rc = begin(s, 0, &t.mdb);
    if (rc == HF_OK) {
        rc = fill(&t, jobs, &result);
        if (rc == HF_OK && result == ATTEMPT_DONE && t.writes_done > 0)
            rc = commit(&t);
        else
            mdb_txn_abort(t.mdb);
        (void)pthread_rwlock_unlock(&s->map_lock);
    }
    if (rc == HF_ELOG) /* LMDB itself gave up on an earlier commit */
        atomic_store(&s->failed, true);
    set_results(jobs, rc);
    return result;
}

/* Jobs in one transaction, each time with a larger map if it was full. */
static enum attempt run_together(struct hf__store *s, struct hf__store_job *jobs)
{
    enum { TRIES = 10 }; /* each but the first doubles the map */
    enum attempt result = ATTEMPT_GROW;

    for (int i = 0; i < TRIES && result == ATTEMPT_GROW; i++)
        result = try_batch(s, jobs, i > 0);
    return result;
}

static void run_batch(struct hf__store *s, struct hf__store_job *jobs)
{
    if (atomic_load(&s->failed)) {
        set_results(jobs, hf__error(HF_ELOG, 0, "%s: an earlier commit failed", s->dir.path));
        return;
    }
    if (run_together(s, jobs) == ATTEMPT_DONE)
        return;
    /* Bound: the jobs of the batch. Each alone keeps the result of its own last attempt. */
    for (struct hf__store_job *job = jobs, *next; job != NULL; job = next) {
        next = job->next;
        job->next = NULL;
        if (run_together(s, job) == ATTEMPT_GROW && job->rc == HF_OK)
            set_result(job, hf__error(HF_EFULL, MDB_MAP_FULL, "%s: the map is full", s->dir.path));
        job->next = next;
    }
}

static int apply(struct hf__store *s, hf__store_fn *fn, void *arg, bool spares_reserve)
{
    struct hf__store_job job = {.fn = fn, .arg = arg, .spares_reserve = spares_reserve};

    if (s->dir.flags & HF__STORE_READONLY)
        return hf__error(HF_ESTATE, 0, "%s: opened for reading", s->dir.path);
    if (s->dir.process != hf__process())
        return hf__error(HF_EFORK, 0, "%s: opened by the parent process", s->dir.path);
    hf__store_queue_do(&s->queue, &job);
    if (job.rc != HF_OK && job.why.code == job.rc)
        (void)hf__error(job.why.code, job.why.native_code, "%s", job.why.text);
    return job.rc;
}

int hf__store_apply(struct hf__store *s, hf__store_fn *fn, void *arg)
{
    return apply(s, fn, arg, false);
}

int hf__store_apply_new(struct hf__store *s, hf__store_fn *fn, void *arg)
{
    return apply(s, fn, arg, true);
}

/* -- verify ----------------------------------------------------------------------------------- */

/* The pages that a reader holds. HF_EBUSY: others commit faster than we look. */
static int verify_pages(struct hf__store *s, struct hf__store_txn **t)
{
    enum { TRIES = 100 };
    mdb_filehandle_t fd;
    int rc = HF_EBUSY;

    (void)mdb_env_get_fd(s->env, &fd);
    for (int i = 0; i < TRIES && rc == HF_EBUSY; i++) {
        hf__store_read_end(*t);
        *t = NULL;
        rc = hf__store_read_begin(s, t);
        if (rc == HF_OK)
            rc = hf__pages_check(fd, s->dir.path, mdb_txn_id((*t)->mdb), commit_of_head, 0);
    }
    return rc;
}

int hf__store_verify(struct hf__store *s)
{
    struct hf__store_txn *t = NULL;
    struct head head;
    struct hf__record r;
    MDB_cursor *cursor = NULL;
    MDB_val k, v;
    uint64_t count = 0, sum = 0, one = 0;
    int rc = verify_pages(s, &t);

    if (rc == HF_OK)
        rc = read_head(t, &head);
    if (rc == HF_ENOTFOUND)
        rc = damaged(s, "the head record is missing", 0);
    if (rc == HF_OK && (rc = mdb_cursor_open(t->mdb, s->dbi, &cursor)) != 0)
        rc = from_mdb(s, rc, "open a cursor");
    /* Bound: the records of the store; a damaged tree that has a loop ends with a count that is
       off. */
    while (rc == HF_OK && count <= head.count &&
           (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        rc = unseal(s, &k, &v, &r, &one);
        if (is_head(&k))
            continue;
        if (rc == HF_OK && r.sequence > head.sequence)
            rc = damaged(s, "a record is newer than the head", r.sequence);
        count++;
        sum += one;
    }
    if (rc == MDB_NOTFOUND)
        rc = HF_OK;
    else if (rc != HF_OK && hf_strerror_name(rc) == NULL)
        rc = from_mdb(s, rc, "walk");
    if (rc == HF_OK && (count != head.count || sum != head.sum))
        rc = hf__error(HF_EDAMAGED, 0, "%s: %s: %llu records, the head says %llu", s->dir.path,
                       count < head.count   ? "records are missing"
                       : count > head.count ? "there are records too many"
                                            : "a record is not the one that was written",
                       (unsigned long long)count, (unsigned long long)head.count);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    hf__store_read_end(t);
    return rc;
}

int hf__store_info(struct hf__store *s, struct hf__store_info *ret)
{
    struct hf__store_txn *t = NULL;
    struct head head;
    uint64_t used, map;
    int rc = hf__store_read_begin(s, &t);

    if (rc == HF_OK)
        rc = read_head(t, &head);
    hf__store_read_end(t);
    if (rc == HF_OK) {
        measure(s, &used, &map);
        *ret = (struct hf__store_info){.format = head.format,
                                       .created_ms = head.created_ms,
                                       .records = head.count,
                                       .sequence = head.sequence,
                                       .map_bytes = map,
                                       .file_bytes = used};
        memcpy(ret->identity, head.identity, sizeof(ret->identity));
        memcpy(ret->former, head.former, sizeof(ret->former));
        ret->commits = atomic_load(&s->commits);
    }
    return rc;
}

uint64_t hf__store_hash(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

const unsigned char *hf__store_identity(const struct hf__store *s)
{
    return s->identity;
}

const char *hf__store_lmdb_version(void)
{
    return mdb_version(NULL, NULL, NULL);
}

/* -- opening ---------------------------------------------------------------------------------- */

static unsigned env_flags(const struct hf__store_config *cfg)
{
    bool log = strcmp(cfg->file, "decisions.mdb") == 0;
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (cfg->flags & HF__STORE_READONLY ? MDB_RDONLY : 0);

    if ((log && HF_BUG("log-nosync")) || (!log && HF_BUG("kv-nosync")))
        flags |= MDB_NOSYNC;
    return flags;
}

static int open_env(struct hf__store *s, const struct hf__store_config *cfg)
{
    mdb_filehandle_t fd;
    uint64_t used, map;
    MDB_txn *txn;
    int rc = mdb_env_create(&s->env);

    if (rc == 0)
        rc = mdb_env_set_mapsize(s->env, cfg->map_bytes != 0 ? cfg->map_bytes : (size_t)1 << 30);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(s->env, READERS_MAX);
    if (rc == 0)
        rc = mdb_env_open(s->env, s->dir.path, env_flags(cfg), 0600);
    if (rc == 0)
        rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc == EINVAL ? damaged(s, "its pages have a size that LMDB does not know", 0)
                            : from_mdb(s, rc, "open");
    rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    mdb_txn_abort(txn);
    if (rc != 0)
        return from_mdb(s, rc, "open the record space");
    (void)mdb_env_get_fd(s->env, &fd);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    hf__store_sweep(s);
    measure(s, &used, &map);
    if (s->file_bytes != 0 && s->file_bytes < used)
        return hf__error(HF_EDAMAGED, 0, "%s: truncated: %llu bytes of at least %llu", s->dir.path,
                         (unsigned long long)s->file_bytes, (unsigned long long)used);
    return HF_OK;
}

/* A new store gets its head. Called with byte 0 locked. */
static int make_head(struct hf__store *s)
{
    struct hf__store_txn t = {.store = s, .writes = true};
    MDB_envinfo info;
    int rc;

    (void)mdb_env_info(s->env, &info);
    if (info.me_last_txnid != 0)
        return damaged(s, "the head record is missing", 0);
    t.head = (struct head){.application = s->application,
                           .format = s->format,
                           .created_ms = hf__now_ms(),
                           .sequence = 1};
    if (getrandom(t.head.identity, sizeof(t.head.identity), 0) != (ssize_t)sizeof(t.head.identity))
        return hf__error(HF_EIO, errno, "%s: make an identity: %s", s->dir.path, strerror(errno));
    rc = ensure_room(&t, false);
    if (rc == HF_OK)
        rc = begin(s, 0, &t.mdb);
    if (rc != HF_OK)
        return rc;
    rc = write_head(&t);
    if (rc == HF_OK)
        rc = commit(&t);
    else
        mdb_txn_abort(t.mdb);
    (void)pthread_rwlock_unlock(&s->map_lock);
    return rc == HF_OK ? hf__store_dir_sync(&s->dir) : rc;
}

/* The mark of a store that was given a new identity by a batch after which we crashed. */
static bool is_former(const struct head *head, const unsigned char mark[HF__STORE_ID_SIZE])
{
    static const unsigned char none[HF__STORE_ID_SIZE];

    return memcmp(head->former, none, sizeof(none)) != 0 &&
           memcmp(head->former, mark, sizeof(none)) == 0;
}

/* Read the head, or make it; then head and mark have to agree. */
static int settle_head(struct hf__store *s)
{
    struct hf__store_txn *t = NULL;
    struct head head = {0};
    unsigned char mark[HF__STORE_ID_SIZE];
    bool marked = false;
    int rc;

    if (s->dir.lock_fd >= 0) {
        rc = hf__store_dir_mark(&s->dir, mark);
        if (rc != HF_OK && rc != HF_ENOTFOUND)
            return rc;
        marked = rc == HF_OK;
    }
    for (int made = 0;; made++) {
        rc = hf__store_read_begin(s, &t);
        if (rc == HF_OK)
            rc = read_head(t, &head);
        hf__store_read_end(t);
        t = NULL;
        if (rc != HF_ENOTFOUND || made > 0)
            break;
        if (marked || !(s->dir.flags & HF__STORE_CREATE))
            return damaged(s, "it is empty, and was not", 0);
        rc = make_head(s);
        if (rc != HF_OK)
            return rc;
    }
    if (rc != HF_OK)
        return rc;
    if (head.application != s->application)
        return hf__error(HF_ENOTNODE, 0, "%s: a store of another kind", s->dir.path);
    if (head.format > s->format)
        return hf__error(HF_ENEWER, 0, "%s: format %u; this version reads up to %u", s->dir.path,
                         head.format, s->format);
    memcpy(s->identity, head.identity, sizeof(s->identity));
    s->created_ms = head.created_ms;
    if (s->dir.lock_fd < 0)
        return HF_OK;
    if (marked && is_former(&head, mark))
        return s->dir.flags & HF__STORE_READONLY ? HF_OK
                                                 : hf__store_dir_set_mark(&s->dir, s->identity);
    if (marked && memcmp(mark, s->identity, sizeof(mark)) != 0)
        return hf__error(HF_EDAMAGED, 0, "%s: the lock file is of another store", s->dir.path);
    if (!marked && head.sequence > 1)
        return hf__error(HF_EDAMAGED, 0, "%s: the lock file was removed or emptied", s->dir.path);
    return marked || s->dir.flags & HF__STORE_READONLY
               ? HF_OK
               : hf__store_dir_set_mark(&s->dir, s->identity);
}

static uint64_t published(const struct hf__store *s)
{
    char name[sizeof(s->dir.file) + 8];
    uint64_t txnid;
    int fd;

    (void)snprintf(name, sizeof(name), "%s-lock", s->dir.file);
    fd = openat(s->dir.dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    txnid = fd >= 0 ? hf__pages_published(fd) : 0;
    if (fd >= 0)
        (void)close(fd); /* nobody has it open: no lock of this process is lost (S5) */
    return txnid;
}

/* Before LMDB sees them. An empty file is for LMDB to make. */
static int check_pages(struct hf__store *s)
{
    int fd = openat(s->dir.dir_fd, s->dir.file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;
    struct stat st;

    if (fd < 0)
        return hf__error(HF_EIO, errno, "%s: open: %s", s->dir.path, strerror(errno));
    rc = fstat(fd, &st) != 0 || st.st_size > 0
             ? hf__pages_check(fd, s->dir.path, HF__PAGES_NEWEST, commit_of_head, published(s))
             : HF_OK;
    (void)close(fd);
    return rc;
}

static int sync_file(struct hf__store *s)
{
    mdb_filehandle_t fd;

    (void)mdb_env_get_fd(s->env, &fd);
    return fdatasync(fd) == 0
               ? HF_OK
               : hf__error(HF_EIO, errno, "%s: sync: %s", s->dir.path, strerror(errno));
}

/*
 * A file whose making was cut off, if its size reached the disk and its pages did not, or not all.
 * That nothing is lost with it: a mark is durable before the first opening ends, so without one
 * nothing was ever applied; byte 0 is ours, and who has the store open has marked it; and there is
 * nothing in the file, not so much as the head. Who lost a lock file has both, or something, left.
 */
static int empty_blank(struct hf__store *s)
{
    unsigned char mark[HF__STORE_ID_SIZE];
    int fd, rc = HF_OK;

    if (s->dir.lock_fd < 0 || s->file_bytes == 0 || s->file_bytes > GROW_BYTES ||
        hf__store_dir_mark(&s->dir, mark) != HF_ENOTFOUND)
        return HF_OK;
    fd = openat(s->dir.dir_fd, s->dir.file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || !hf__pages_blank(fd, GROW_BYTES))
        rc = HF_OK; /* what is wrong with it is told as with any other */
    else if ((s->dir.flags & (HF__STORE_CREATE | HF__STORE_READONLY)) != HF__STORE_CREATE)
        rc = hf__error(HF_EDAMAGED, 0,
                       "%s: its making was cut off, and nothing was ever written to it: remove its "
                       "directory, or open it so that it may be made",
                       s->dir.path);
    else if (ftruncate(fd, 0) != 0)
        rc = hf__error(HF_EIO, errno, "%s: make it anew: %s", s->dir.path, strerror(errno));
    else
        s->file_bytes = 0;
    if (fd >= 0)
        (void)close(fd); /* LMDB has not opened it, and nobody else has: no lock is lost (S5) */
    return rc;
}

static int open_files(struct hf__store *s, const struct hf__store_config *cfg)
{
    int rc = hf__store_dir_check_file(&s->dir, cfg, &s->file_bytes);

    if (rc == HF_OK)
        rc = empty_blank(s);
    if (rc == HF_OK && s->file_bytes <= CHECK_BYTES_MAX && (cfg->flags & HF__STORE_CHECKED) != 0 &&
        !hf__store_dir_shared(&s->dir))
        rc = check_pages(s);
    if (rc == HF_OK || rc == HF_ENOTFOUND) {
        bool made = s->file_bytes == 0;

        rc = open_env(s, cfg);
        if (rc == HF_OK && made && (cfg->flags & HF__STORE_READONLY) == 0)
            rc = sync_file(s); /* LMDB's first pages, before the file grows behind them */
    }
    return rc == HF_OK ? settle_head(s) : rc;
}

static void release(struct hf__store *s)
{
    if (s->env != NULL)
        mdb_env_close(s->env);
    hf__store_dir_close(&s->dir); /* after the files in it (S5) */
    (void)pthread_rwlock_destroy(&s->map_lock);
    hf__store_queue_destroy(&s->queue);
    free(s);
}

struct hf__store_dir *hf__store_place(struct hf__store *s)
{
    return &s->dir;
}

int hf__store_open(const struct hf__store_config *cfg, struct hf__store **ret)
{
    struct hf__store *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: open", cfg->dir);
    s->application = cfg->application;
    s->format = cfg->format;
    hf__store_queue_init(&s->queue, run_batch, s);
    (void)pthread_rwlock_init(&s->map_lock, NULL);
    rc = hf__store_dir_open(&s->dir, cfg);
    if (rc == HF_OK)
        rc = open_files(s, cfg);
    if (rc != HF_OK) {
        release(s);
        return rc;
    }
    *ret = s;
    return HF_OK;
}

void hf__store_closing(struct hf__store *s)
{
    if (s->dir.flags & HF__STORE_EXCLUSIVE)
        return;
    (void)hf__store_dir_take(&s->dir); /* if it is not to be had, closing is still better */
}

void hf__store_close(struct hf__store *s)
{
    if (s == NULL || s->dir.process != hf__process())
        return; /* in a child the parent's environment is not ours to touch */
    hf__store_closing(s);
    release(s);
}
