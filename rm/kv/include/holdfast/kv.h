/*
 * holdfast/kv.h - an embedded, durable key-value store that is an XA resource manager.
 *
 * A store is a directory; one process opens it at a time. Register hf_kv_switch and hf_kv_ext with
 * the transaction manager and an open string such as "dir=/var/lib/app/accounts", enlist an
 * instance, and read and write by its rmid. What is written becomes visible, and durable, when the
 * transaction commits.
 *
 * Open string: key=value pairs separated by semicolons; a value ends at the next semicolon.
 *   dir=PATH      the store's directory; made (0700) if it is not there. Required.
 *   wait_ms=N     how long an operation waits for a lock; 0 to 3600000, preset 5000.
 *   create=no     do not make it: a missing store is an error. Preset yes.
 * An unknown key is an error.
 *
 * Keys are 1 to HF_KV_KEY_MAX bytes, values 0 to HF_KV_VALUE_MAX.
 *
 * Isolation: branches are serializable, by strict two-phase locking. A branch locks each key that
 * it reads (shared, also one that is not there), each that it writes (exclusive), and the prefix of
 * an iteration (shared: nobody else can change, add or delete a key below it), and keeps the locks
 * until it ends, or until a read-only vote; a prepared branch keeps those of its writes also over a
 * kill and a reopen. Locks are given first come first served.
 *
 * An operation that does not get its lock in wait_ms, or that would wait for ever because who holds
 * it waits for this very transaction, here or in another store of this process, answers
 * HF_EROLLEDBACK: the branch has lost its locks and its writes and can only be rolled back, and the
 * whole transaction may be tried again. hf_error_last()->native_code is XA_RBTIMEOUT or
 * XA_RBDEADLOCK, and xa_end() answers the same. A transaction that reads a key to write it soon
 * calls hf_kv_lock() first: two that read and then write the same key would wait for each other,
 * and one would have to begin again.
 *
 * Two instances of one store in one transaction are two branches, and exclude each other: what one
 * has written the other one cannot lock, which is a deadlock at once. Enlist one of them.
 *
 * Outcomes: a store remembers how its newest HF_KV_OUTCOMES branches ended that wrote something and
 * were committed, or rolled back after a yes vote. Asked for an older one, or for one that it never
 * prepared, hf_kv_ext.probe says HF_PROBE_UNKNOWN, never what is not proved. The horizon is counted
 * in branches, not in time: a recovery that comes later than that many commits of others leaves the
 * transaction "committed, unconfirmed".
 */
#ifndef HOLDFAST_KV_H
#define HOLDFAST_KV_H

#include "holdfast/tm.h"

HF_BEGIN_DECLS

enum { HF_KV_KEY_MAX = 480, HF_KV_VALUE_MAX = 1 << 20, HF_KV_OUTCOMES = 100000 };

/** The switch: name "holdfast kv", version 0, no flags. Any thread may use any rmid, one at a
    time. */
extern HF_API const struct xa_switch_t hf_kv_switch;

/** identity, probe, cancel and error of kv, for hf_rm_config.ext. ext_user is not used. */
extern HF_API const hf_rm_ext hf_kv_ext;

/**
 * Read a value. In a branch: with the branch's own writes, under a shared lock of the key. With no
 * branch: the last committed state, without a lock.
 *
 * @param buf       At most buf_size bytes of the value are written to it. May be NULL with size 0.
 * @param ret_size  The whole value's size, also when it did not fit. May be NULL.
 *
 * @retval HF_OK
 * @retval HF_ENOTFOUND    no such key.
 * @retval HF_EROLLEDBACK  the branch cannot commit any more: the lock was not to be had in time or
 *                         without a deadlock, the transaction's time was over, or an earlier
 *                         operation failed. Roll back and try again.
 * @retval HF_EINVAL       rmid is not open here; key is too short or too long.
 * @retval HF_ESTATE       the association is suspended.
 * @retval HF_ELIMIT       the branch has locked a million keys and prefixes; nothing was done.
 * @retval HF_EDAMAGED, HF_EIO, HF_ENOMEM, HF_EFORK
 *
 * Threads: any, one at a time for an rmid.
 */
HF_API int hf_kv_get(int rmid, const void *key, size_t key_size, void *buf, size_t buf_size,
                     size_t *ret_size) HF_MUST_CHECK;

/** Write a value, in a branch. @retval as hf_kv_get(); HF_ESTATE: no branch; HF_ELIMIT: value
    too large. */
HF_API int hf_kv_put(int rmid, const void *key, size_t key_size, const void *value,
                     size_t value_size) HF_MUST_CHECK;

/**
 * Lock a key for writing, in a branch, before it is read: what hf_kv_get() then answers can be
 * written back without waiting for anybody. The key need not be there. A write does this by itself.
 * @retval as hf_kv_put().
 */
HF_API int hf_kv_lock(int rmid, const void *key, size_t key_size) HF_MUST_CHECK;

/** Delete a key, in a branch. @retval as hf_kv_put(); HF_ENOTFOUND: no such key, and nothing was
    done. */
HF_API int hf_kv_delete(int rmid, const void *key, size_t key_size) HF_MUST_CHECK;

/** Called for one key; pointers are valid during the call. Other than 0 stops the iteration. */
typedef int hf_kv_each_fn(void *user, const void *key, size_t key_size, const void *value,
                          size_t value_size);

/**
 * Call fn for every key that starts with prefix, in byte order, as hf_kv_get() would see them. In a
 * branch the prefix is locked: until the branch ends the same call shows the same, but for the
 * branch's own writes.
 *
 * @param fn  Must not call hf_kv_put or hf_kv_delete for this rmid.
 * @retval HF_OK; what fn returned, if other than 0; else as hf_kv_get(), but for HF_ENOTFOUND.
 *
 * Threads: as hf_kv_get().
 */
HF_API int hf_kv_each(int rmid, const void *prefix, size_t prefix_size, hf_kv_each_fn *fn,
                      void *user) HF_MUST_CHECK;

HF_END_DECLS

#endif
