/*
 * holdfast/transaction.h - one global transaction: begin, enlist, commit, roll back.
 *
 * A transaction belongs to the thread that began it, or that resumed it last: its *owner*. A thread
 * has at most one current transaction for each tm. Other threads may call hf_tx_xid() and
 * hf_tx_set_rollback_only(), hf_tx_resume() if it is suspended, and hf_tx_delist() as it says.
 *
 * An instance is *in use* by the thread that called hf_tx_enlist(), from that call until
 * hf_tx_delist(). A transaction cannot complete while an instance is in use by a thread other than
 * its owner. Who never hands a transaction over need not delist.
 */
#ifndef HOLDFAST_TRANSACTION_H
#define HOLDFAST_TRANSACTION_H

#include "holdfast/tm.h"

HF_BEGIN_DECLS

/** One global transaction [XA 2.2]. Made by hf_tx_begin(), freed by commit or rollback. */
typedef struct hf_tx hf_tx;

/** How a completion went. Set size before the call; all else is written by it. */
typedef struct hf_result {
    size_t size;        /**< sizeof(hf_result) */
    hf_outcome outcome; /**< what became of the transaction */
    /** branches that recovery must still finish; the outcome stands all the same */
    unsigned owed;
    unsigned unconfirmed; /**< of those: told to commit, and answered so that it proves nothing */
    /** of the call that decided or spoilt it: XA's code; XA_OK if none did */
    int xa_code;
    /** the resource manager's own code for it, or errno of the log; 0 if none */
    int native_code;
    char rm[32]; /**< the resource manager's name, "" if none */
    /** "xa_prepare", ...; "log" if the log refused; "" if nothing went wrong */
    char call[16];
    char text[256]; /**< a sentence; "" if nothing went wrong */
    /** of those owed: told to commit and not known to have, or reached and not willing to roll
        back. The others wait for xa_forget, or are out of reach and can only roll back. */
    unsigned doubtful;
} hf_result;
#define HF_RESULT_INIT                                                                             \
    {                                                                                              \
        sizeof(hf_result), HF_UNKNOWN, 0, 0, 0, 0, "", "", "", 0                                   \
    }

/** Callbacks around completion. Either may be NULL. */
typedef struct hf_sync {
    /** Before the first xa_end of a commit: may work, enlist, set rollback-only. Not called on
        rollback. */
    void (*before)(void *user, hf_tx *tx);
    /** After the last call to a resource manager, with no lock held. tx is gone: instances are
        free, the thread has no current transaction. The tm cannot be closed before it returns. */
    void (*after)(void *user, const XID *xid, hf_outcome outcome);
    void *user; /**< passed to both */
} hf_sync;

/**
 * Begin a global transaction and make it the thread's current one. Writes nothing to disk.
 *
 * When its time is over the transaction is rollback-only: hf_tm_tick() or our thread notices, and
 * asks the resource managers of instances in use to stop (hf_rm_ext.cancel); hf_tx_enlist() and
 * hf_tx_commit() notice by themselves. The owner ends it; nobody else does. A completion that has
 * begun is not disturbed any more.
 *
 * @param timeout_ms  Its time: a commit asked for later than this rolls back instead; 0: no limit.
 * @param ret_tx      Written on success only.
 *
 * @retval HF_OK
 * @retval HF_ESTATE  before hf_tm_start(), after hf_tm_close(), or the thread has one already.
 * @retval HF_EBUSY   a resource manager has registered for this thread by ax_reg() outside of any
 *                    transaction, and has not yet called ax_unreg().
 * @retval HF_ELOG    the log failed: no decision could be recorded.
 * @retval HF_ELIMIT  too many at once. @retval HF_EINVAL, HF_EFORK, HF_ENOMEM
 *
 * Threads: any; it becomes the owner.
 */
HF_API int hf_tx_begin(hf_tm *tm, uint32_t timeout_ms, hf_tx **ret_tx) HF_MUST_CHECK;

/** The calling thread's current transaction of tm, or NULL; borrowed. */
HF_API hf_tx *hf_tx_current(hf_tm *tm);

/**
 * Make an instance work for the transaction: xa_start, as a branch of its own. An instance that
 * works for it already is good, and is not called. Nor is one whose switch has TMREGISTER: it gets
 * its branch when it is worked with, by ax_reg(), in the thread's current transaction.
 *
 * @retval HF_OK           it is in use by the calling thread.
 * @retval HF_EBUSY        the instance works for another transaction, is in use by another thread,
 *                         or has registered by ax_reg() outside of any transaction.
 * @retval HF_ESTATE       the instance is broken, or the transaction is completing.
 * @retval HF_EROLLEDBACK  the transaction is rollback-only, or its time is over: the instance must
 *                         not be worked with. Roll it back.
 * @retval HF_ERM          xa_start refused: not enlisted; the transaction goes on. After
 * XAER_RMFAIL the
 *                         instance is broken. hf_error_last() has the code.
 * @retval HF_ETHREAD      not the owner; or an instance bound to its thread has its branch in
 *                         another one, or was opened by another one (hf_rm_config.one_rmid).
 * @retval HF_ELIMIT       over 1,000 branches. @retval HF_EINVAL, HF_EFORK, HF_ENOMEM
 *
 * Threads: the owner. Spec: [XA] 3.3, xa_start().
 */
HF_API int hf_tx_enlist(hf_tx *tx, hf_instance *instance) HF_MUST_CHECK;

/**
 * Out of use until enlisted again: no call to an ordinary instance, xa_end(TMSUCCESS) for one that
 * is bound to its thread. The branch stays in the transaction.
 *
 * @retval HF_OK
 * @retval HF_ENOTFOUND  not enlisted in tx.
 * @retval HF_ERM        xa_end failed: the transaction is rollback-only now.
 * @retval HF_ETHREAD, HF_EINVAL, HF_EFORK
 *
 * Threads: the owner, for any instance of its transaction: it may answer for a thread that is gone.
 * After a hand-over also the thread that has an ordinary instance in use: until then tx does not
 * complete, from then on it may be freed any moment. Spec: [XA] xa_end().
 */
HF_API int hf_tx_delist(hf_tx *tx, hf_instance *instance);

/**
 * Take the transaction off its thread. It belongs to nobody until a thread resumes it, and keeps
 * its branches, watchers and deadline.
 *
 * An instance that is bound to its thread (hf_rm_config.thread_bound) and not delisted gets
 * xa_end(TMSUSPEND): only the same thread can resume the transaction then. To hand it to another
 * one, delist such instances before. Other instances are not called.
 *
 * @retval HF_OK      the thread has no current transaction any more.
 * @retval HF_ERM     xa_end failed: the transaction is still this thread's, and rollback-only.
 * @retval HF_ESTATE  completing, or called by one of its watchers: nothing was done.
 * @retval HF_ETHREAD, HF_EINVAL, HF_EFORK  nothing was done.
 *
 * Threads: the owner. Spec: [XA] xa_end(), table 6-2.
 */
HF_API int hf_tx_suspend(hf_tx *tx) HF_MUST_CHECK;

/**
 * Make a suspended transaction the calling thread's current one; the thread is its owner now.
 *
 * Associations that hf_tx_suspend() suspended go on by xa_start(TMRESUME), also if the transaction
 * is rollback-only: no work may slip out of it. An instance that the previous owner has in use
 * stays that thread's until it, or the new owner, delists it.
 *
 * @retval HF_OK
 * @retval HF_ERM      xa_start failed: resumed all the same, and rollback-only.
 * @retval HF_ESTATE   the thread has a current transaction of this tm, perhaps this one: nothing
 *                     was done.
 * @retval HF_EBUSY    an association of it is bound to another thread, or a resource manager is at
 *                     work for this one outside of any transaction: nothing was done.
 * @retval HF_ETHREAD  it is not suspended, but another thread's: nothing was done.
 * @retval HF_EINVAL, HF_EFORK
 *
 * Threads: any. Spec: [XA] xa_start(), table 6-2.
 */
HF_API int hf_tx_resume(hf_tx *tx) HF_MUST_CHECK;

/**
 * From now on the transaction can only roll back; hf_tx_commit() will do that.
 *
 * @retval HF_OK
 * @retval HF_ESTATE  completing already: too late. @retval HF_EINVAL, HF_EFORK
 *
 * Threads: any, as long as the caller knows that tx is not completed yet.
 */
HF_API int hf_tx_set_rollback_only(hf_tx *tx);

/** What may still be done with a transaction. */
typedef enum hf_tx_state {
    HF_TX_ACTIVE = 1,    /**< work, commit, roll back */
    HF_TX_ROLLBACK_ONLY, /**< roll back */
    HF_TX_TIMED_OUT,     /**< the same, because its time is over */
    HF_TX_COMPLETING     /**< nothing: its commit or rollback has begun */
} hf_tx_state;

/**
 * Whether more work makes sense. It may have changed when the call returns, but never back.
 *
 * @param ret_state  Written on success only.
 * @retval HF_OK, HF_EINVAL, HF_EFORK
 *
 * Threads: any, as long as the caller knows that tx is not completed yet.
 */
HF_API int hf_tx_get_state(hf_tx *tx, hf_tx_state *ret_state);

/**
 * The transaction's identifier. Keep it before the commit, to ask for the outcome later.
 *
 * @param ret_xid  The gtrid, with bqual_length 0; zeroed whole first.
 * @retval HF_OK, HF_EINVAL, HF_EFORK
 *
 * Threads: any, before completion.
 */
HF_API int hf_tx_xid(const hf_tx *tx, XID *ret_xid);

/**
 * Have callbacks made around the completion; they run in the order of their registration.
 *
 * @param sync  Copied.
 * @retval HF_OK, HF_ESTATE (completing), HF_ETHREAD, HF_EINVAL, HF_EFORK, HF_ENOMEM
 *
 * Threads: the owner.
 */
HF_API int hf_tx_watch(hf_tx *tx, const hf_sync *sync) HF_MUST_CHECK;

/**
 * Decide the transaction and carry the decision out.
 *
 * Every association is ended and all branches vote; if every vote is yes the decision is forced to
 * the log, and only then is any branch told to commit. A branch that voted read-only takes no part
 * in the second phase; a lone branch is committed in one phase; neither needs a record [XA 2.3.2].
 *
 * @param tx          Freed, but for HF_EINVAL, HF_ETHREAD, HF_ESTATE, HF_EBUSY and HF_EFORK.
 * @param ret_result  May be NULL. Written whenever tx is freed.
 *
 * @retval HF_OK           COMMITTED, and it survives a power cut. A branch that could not be
 *                         reached is owed its commit; recovery pays. Instances can be used again.
 * @retval HF_EROLLEDBACK  ROLLEDBACK: a vote was no, a vote was lost, it was rollback-only or too
 *                         late, or the log refused the decision before writing; or every branch
 *                         rolled back by itself after it. The work may be done again.
 * @retval HF_EHEURISTIC   MIXED or HAZARD: recorded in the log, unless that refused; an operator
 *                         has to look (txctl).
 * @retval HF_EUNKNOWN     UNKNOWN: the log failed while deciding. No branch is told anything, all
 *                         of its instances are broken, the tm takes no more work. Do not do the
 *                         work again: close and open the tm, here or in another process, then
 *                         hf_tm_outcome().
 * @retval HF_EBUSY        an instance is in use by another thread, or has registered by ax_reg()
 *                         outside of any transaction: nothing was done, tx and instances are as
 *                         they were. Have it delisted, or wait for its ax_unreg(), and call again.
 * @retval HF_ESTATE       completing already.
 * @retval HF_ETHREAD      not the owner; or a branch is of a resource manager with one rmid for all
 *                         (hf_rm_config.one_rmid) that this thread has not opened: nothing was
 *                         done. Open an instance here, and call again.
 * @retval HF_EINVAL, HF_EFORK nothing was done.
 *
 * Threads: the owner. Blocks in resource managers and for the disk, and until a cancel that runs
 * for this transaction has returned; no lock of ours is held in an xa_ call. Spec: [XA] 2.3, 3.4,
 * 7.3; xa_end(), xa_prepare(), xa_commit(), xa_forget().
 */
HF_API int hf_tx_commit(hf_tx *tx, hf_result *ret_result) HF_MUST_CHECK;

/**
 * Decide the transaction as hf_tx_commit() does, and leave telling its branches to hf_tx_finish().
 *
 * Where a decision has been forced to the log, the call returns before any branch is told: the work
 * is committed and survives a power cut, and the branches hold their locks until hf_tx_finish().
 * The transaction belongs to nobody then and is *ret_rest; the thread has no current one; the
 * instances are enlisted in it, so that they cannot be used or closed. Where no decision is needed
 * (one branch, votes that are all read-only, a rollback), everything is done: *ret_rest is NULL.
 *
 * @param ret_rest  Written whenever tx is not what it was. Not NULL: call hf_tx_finish() with it.
 *                  A process that dies before leaves that to recovery.
 *
 * @return as hf_tx_commit(). With *ret_rest HF_OK: ret_result says COMMITTED, and in owed how many
 * branches are to be told.
 *
 * Threads: the owner. Spec: [XA] 2.3; [TX] TX_COMMIT_DECISION_LOGGED.
 */
HF_API int hf_tx_decide(hf_tx *tx, hf_result *ret_result, hf_tx **ret_rest) HF_MUST_CHECK;

/**
 * Carry out what hf_tx_decide() has decided. In any thread: branches that have ended are bound to
 * none. Only a resource manager with one rmid for all (hf_rm_config.one_rmid) that the calling
 * thread has not opened is not called: what it is owed is left to recovery, and the rest finished.
 *
 * @param rest        Freed, but for HF_EINVAL, HF_ESTATE and HF_EFORK.
 * @param ret_result  As with hf_tx_commit().
 *
 * @retval HF_OK          as hf_tx_commit().
 * @retval HF_EHEURISTIC, HF_EROLLEDBACK  the same: branches took decisions of their own.
 * @retval HF_ESTATE      not from hf_tx_decide(), or being finished already.
 * @retval HF_EINVAL, HF_EFORK
 *
 * Threads: any, once. Spec: [XA] xa_commit(), xa_forget().
 */
HF_API int hf_tx_finish(hf_tx *rest, hf_result *ret_result);

/**
 * Roll the transaction back everywhere.
 *
 * @param tx          As with hf_tx_commit().
 * @param ret_result  May be NULL. Written whenever tx is freed.
 *
 * @retval HF_OK          ROLLEDBACK. A branch that could not be reached is left to recovery.
 * @retval HF_EHEURISTIC  MIXED, HAZARD or COMMITTED: a branch had committed by itself.
 * @retval HF_EBUSY, HF_ESTATE, HF_ETHREAD, HF_EINVAL, HF_EFORK  as with hf_tx_commit(): nothing was
 *                        done.
 *
 * Threads: the owner. Spec: [XA] xa_rollback().
 */
HF_API int hf_tx_rollback(hf_tx *tx, hf_result *ret_result);

HF_END_DECLS

#endif
