/*
 * holdfast/internal/store.h - records on LMDB: the one door to it. Not installed.
 *
 * A store is one LMDB file in a directory of its own or of a node, holding sealed records in one
 * ordered key space. The decision log, the history and the kv resource manager all stand on it.
 *
 * What always holds
 *   S1  Every record carries magic, version, length, sequence and a checksum over key and value,
 *       checked whenever it is read.
 *   S2  The head record counts the records and sums their checksums: a missing or extra one is
 *       noticed by hf__store_verify(), not only a damaged one.
 *   S3  hf__store_apply() returns HF_OK only when all that its function wrote is durable. An error
 *       other than HF_EUNKNOWN means that nothing of it was written or ever will be.
 *   S4  A commit that fails is HF_EUNKNOWN: from then on every apply of this opening answers
 *       HF_ELOG.
 *   S5  One process opens a store once, found by device and inode of the directory before anything
 *       in it is opened: closing any descriptor of the lock file would drop this process's locks on
 *       it. In a child after fork nothing is open: it opens for itself, the same stores, too, and
 *       neither uses nor closes what it inherited.
 *
 * The lock file (one for a directory, never removed) is locked by F_SETLK, byte by byte: byte 0
 * while the directory is being opened or closed, or for as long as it is open
 * (HF__STORE_EXCLUSIVE). Bytes from 1 on are its user's.
 *
 * Threads: a store may be used by any thread. A transaction belongs to the thread that began it.
 * Keys begin with a byte of the user's, 0x01 to 0xff; 0x00 is the head. At most HF__STORE_KEY_MAX
 * bytes.
 */
#ifndef HOLDFAST_INTERNAL_STORE_H
#define HOLDFAST_INTERNAL_STORE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "holdfast/internal/host.h"

enum { HF__STORE_KEY_MAX = 511, HF__STORE_ID_SIZE = 16 };

enum {
    HF__STORE_CREATE = 1,    /* make directory and file if they are not there */
    HF__STORE_READONLY = 2,  /* for tools: no apply; the store may be open elsewhere */
    HF__STORE_EXCLUSIVE = 4, /* no other process may have it open: HF_EOWNED */
    HF__STORE_CACHED = 8,    /* what is read may be in the page cache only: opening is cheap, and
                                nothing may be concluded from what is not there any more */
    /* check the structure of the file before LMDB sees it, which may die of a damaged one; all of
       it is read, so for small ones. Not while other processes have the lock file locked: they may
       be writing. */
    HF__STORE_CHECKED = 16,
};

struct hf__store_config {
    const char *dir;       /* the directory */
    const char *file;      /* the LMDB file's name in it; LMDB adds "-lock" for its own */
    const char *lock_file; /* our lock file's name; NULL: somebody else guards this directory */
    /* space-separated names of other files that may be in dir; may be NULL */
    const char *companions;
    uint32_t application; /* four letters that say what the store is for */
    uint32_t format;      /* the newest format of the application that we can read */
    uint64_t map_bytes;   /* size of the map to start with; grows by itself; 0: 1 GiB */
    unsigned flags;
};

struct hf__store;
struct hf__store_txn;

/* A record as it was read; points into the store, valid until the transaction ends or writes. */
struct hf__record {
    const void *data; /* payload */
    size_t size;      /* payload bytes */
    uint64_t sequence;
    uint8_t kind;
};

struct hf__store_info {
    unsigned char identity[HF__STORE_ID_SIZE]; /* random, made with the store */
    uint32_t format;
    uint64_t created_ms; /* since 1970 */
    uint64_t records;    /* without the head */
    uint64_t sequence;   /* of the last record written */
    uint64_t map_bytes;
    uint64_t file_bytes;
    uint64_t commits; /* of this opening */
    unsigned char former[HF__STORE_ID_SIZE]; /* identity before hf__store_renew(); zero: none */
};

/*
 * Open. HF_EINVAL, HF_ENOTFOUND (no CREATE and not there), HF_ENOTNODE, HF_EOWNER, HF_ENETFS,
 * HF_EOPEN, HF_EOWNED, HF_EBUSY (another process held byte 0 for 10 s), HF_ENEWER, HF_EDAMAGED,
 * HF_EIO, HF_ENOMEM. On error nothing is left open. Opening syncs the file and drops its cached
 * pages first: what is read later is what is on the disk (not HF__STORE_CACHED). It does not
 * verify; the caller does. With CREATE, a file that was being made when the power went, and to
 * which nothing was ever written, is made anew; without, it is HF_EDAMAGED.
 *
 * With a lock file, byte 0 stays locked on return, so that the caller can finish its own opening
 * alone: it calls hf__store_opened(), which lets go unless the store is exclusive.
 */
int hf__store_open(const struct hf__store_config *config, struct hf__store **ret);
void hf__store_opened(struct hf__store *store);
/* Take byte 0 again, ahead of closing other stores of the same directory and then this one. */
void hf__store_closing(struct hf__store *store);
/* NULL is allowed. No transaction may be open. In a child after fork it does nothing at all. */
void hf__store_close(struct hf__store *store);

/* Locks of the lock file, bytes 1 and up. try: HF_OK, HF_EBUSY, HF_EIO. holder: pid, 0 free, -1
   unknown. */
int hf__store_lock_try(struct hf__store *store, uint64_t byte);
void hf__store_lock_release(struct hf__store *store, uint64_t byte);
/* Bytes 1 and up, all of them, until the store is closed. HF_OK, HF_EOWNED (somebody has one),
   HF_EIO. */
int hf__store_lock_all(struct hf__store *store);
long hf__store_lock_holder(struct hf__store *store, uint64_t byte);
/* 1: another process holds any byte but 0, or that cannot be told. */
int hf__store_shared(struct hf__store *store);

int hf__store_info(struct hf__store *store, struct hf__store_info *ret);
const unsigned char *hf__store_identity(const struct hf__store *store); /* borrowed, 16 bytes */
const char *hf__store_lmdb_version(void);                               /* static */

/* -- reading ---------------------------------------------------------------------------------- */

/* A snapshot. HF_EFORK, HF_EIO, HF_ENOMEM, HF_ELOG (LMDB panicked). */
int hf__store_read_begin(struct hf__store *store, struct hf__store_txn **ret);
void hf__store_read_end(struct hf__store_txn *txn); /* NULL is allowed */
/* Clear away snapshots of processes that were killed: they would keep pages from being used
   again. */
void hf__store_sweep(struct hf__store *store);

/* HF_ENOTFOUND, HF_EDAMAGED, HF_EIO. Works in read and in write transactions. */
int hf__store_get(struct hf__store_txn *txn, const void *key, size_t key_size,
                  struct hf__record *ret);

/* fn for every record whose key starts with prefix (size 0: all), in key order, until fn returns
   other than 0, which is then returned. fn must not write. HF_EDAMAGED, HF_EIO. */
typedef int hf__store_each_fn(void *user, const unsigned char *key, size_t key_size,
                              const struct hf__record *record);
int hf__store_each(struct hf__store_txn *txn, const void *prefix, size_t prefix_size,
                   hf__store_each_fn *fn, void *user);
/* The same, beginning at the first key not below `from`, which must start with prefix. */
int hf__store_each_from(struct hf__store_txn *txn, const void *prefix, size_t prefix_size,
                        const void *from, size_t from_size, hf__store_each_fn *fn, void *user);

/* Walk all records; check S1 and S2. HF_EDAMAGED with hf_error_last() naming the first damage. */
int hf__store_verify(struct hf__store *store);

/* -- writing ---------------------------------------------------------------------------------- */

/*
 * Run fn in a write transaction and commit it durably. fn returns 0 to commit or one of our codes
 * to leave everything as it was; then apply returns that code. fn may be run again from the start
 * (the map had to grow). No resource manager is called in fn.
 *
 * HF_OK          durable.
 * HF_EUNKNOWN    the commit failed: it may or may not be on disk (S4).
 * HF_ELOG        an earlier commit failed. HF_EFULL no room, nothing written. HF_EFORK, HF_EIO,
 * HF_ENOMEM.
 */
typedef int hf__store_fn(struct hf__store_txn *txn, void *arg);
int hf__store_apply(struct hf__store *store, hf__store_fn *fn, void *arg);
/* The same for new work, which a full disk refuses (HF_EFULL) while the reserve for finishing
   old work is
   not whole. */
int hf__store_apply_new(struct hf__store *store, hf__store_fn *fn, void *arg);

/* Inside fn only. put replaces. A record may be HF__STORE_PAYLOAD_MAX bytes. HF_EFULL, HF_EIO,
   HF_EDAMAGED. */
enum { HF__STORE_PAYLOAD_MAX = 1 << 24 };
int hf__store_put(struct hf__store_txn *txn, const void *key, size_t key_size, uint8_t kind,
                  const void *payload, size_t size);
/* The same for a key that is not there; HF_EEXIST: it is, and nothing was done. Half as dear. */
int hf__store_add(struct hf__store_txn *txn, const void *key, size_t key_size, uint8_t kind,
                  const void *payload, size_t size);
/* HF_ENOTFOUND */
int hf__store_delete(struct hf__store_txn *txn, const void *key, size_t key_size);
/* Bits of the user's that are 0 when a transaction begins: for what a batch needs once, however
   many jobs it has. A job that fails must not leave one behind that it has not earned. */
unsigned *hf__store_marks(struct hf__store_txn *txn);
/* Have fn(user, number) called once the transaction is durable, by the leader, before it tells
   anybody; never if it does not become so. One for a transaction. */
void hf__store_on_commit(struct hf__store_txn *txn, void (*fn)(void *user, uint64_t number),
                         void *user, uint64_t number);
/* Give the store another identity with this batch, which has to write something else too. The lock
   file keeps the former one until the next opening that writes, which puts it right: see the crash
   table of store.c. hf__store_identity() of this opening stays as it was. */
void hf__store_renew(struct hf__store_txn *txn, const unsigned char identity[HF__STORE_ID_SIZE]);

/* -- for all who stand on it ------------------------------------------------------------------ */

/* Of any bytes; it may be stored. */
uint64_t hf__store_hash(const void *bytes, size_t size);

static inline void hf__put32(unsigned char *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof(v));
}
static inline void hf__put64(unsigned char *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
}
static inline uint32_t hf__get32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}
static inline uint64_t hf__get64(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

#endif
