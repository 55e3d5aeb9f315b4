/*
 * holdfast/tm.h - the transaction manager: a node, its resource managers, recovery.
 *
 * A *node* is a directory that holds the decision log. Opening it makes an *incarnation*: a number
 * that was never given out before, held by a lock for as long as the process lives. The order of
 * calls is
 *
 *     hf_tm_open -> hf_rm_register (each) -> hf_tm_start -> hf_tx_begin ... hf_tx_commit ->
 *     hf_tm_close
 *
 * and hf_tm_tick from time to time. The library starts no thread and installs no signal handler
 * unless it is asked to.
 */
#ifndef HOLDFAST_TM_H
#define HOLDFAST_TM_H

#include "holdfast/base.h"

HF_BEGIN_DECLS

/** One opening of a node: one incarnation. Made by hf_tm_open(). Any thread may use it. */
typedef struct hf_tm hf_tm;
/** A resource manager: a name, a switch, an open string. Lives until hf_tm_close(). Any thread. */
typedef struct hf_rm hf_rm;
/** One xa_open: one rmid, unique in the process. Used by one thread at a time. */
typedef struct hf_instance hf_instance;

/** Severity of a text given to hf_tm_config.log. */
enum hf_level { HF_LOG_INFO = 0, HF_LOG_WARNING = 1, HF_LOG_ALARM = 2 };

/** How to open a node. Start from HF_TM_CONFIG_INIT; what is zero takes its default. */
typedef struct hf_tm_config {
    size_t size;         /**< sizeof(hf_tm_config) */
    const char *dir;     /**< the node's directory; made (0700) if it does not exist */
    uint32_t background; /**< 0: the host calls hf_tm_tick(); 1: one thread of ours does */
    /** Told what an operator should know. May be NULL. Called from any thread, with no lock
        held. */
    void (*log)(void *user, int level, const char *text);
    void *user; /**< passed to log */
    /** Called when an invariant is broken, before abort(). May be NULL. It must not return into
        us. */
    void (*panic)(void *user, const char *text);
    /** What else tells this place from others: a host name, a pod's id. NULL or "": nothing. The
        first one given is kept (as a hash), and later openings have to give the same. A clone of a
        whole machine changes nothing that the library can see by itself: this is what tells. */
    const char *nonce;
    /** Which finished transactions the history keeps. 0: those that were slow, failed, recovered or
        heuristic; 1: all; 2: none, so that hf_tm_outcome() knows none either. It is written by
        hf_tm_tick() and hf_tm_close(), not by commits. */
    uint32_t history;
    uint32_t history_max; /**< most of them to keep; the oldest make room. 0: 10,000 */
    uint32_t slow_ms;     /**< from begin to the end of completion; 0: 1,000 */
    /** How long after its decision a commit that can be neither confirmed nor denied stays in the
        decision log before it moves to the history; not with history 2. 0: 24 hours */
    uint32_t unconfirmed_ms;
    /** The pause between recovery passes, after one that has got something done; it doubles with
        each that has not, up to recover_max_ms. A pass is begun by hf_tm_tick(), which our thread
        calls every 250 ms at the latest. 0: 250, or recover_max_ms if that is less */
    uint32_t recover_ms;
    uint32_t recover_max_ms; /**< not below recover_ms. 0: 30,000, or recover_ms if that is more */
} hf_tm_config;
#define HF_TM_CONFIG_INIT                                                                          \
    {                                                                                              \
        sizeof(hf_tm_config), NULL, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0                    \
    }

/** What a resource manager says of a branch that it is asked about by name. */
enum hf_probe {
    HF_PROBE_UNKNOWN = 0,   /**< it cannot tell */
    HF_PROBE_PREPARED = 1,  /**< prepared, waiting */
    HF_PROBE_COMMITTED = 2, /**< committed, with proof */
    HF_PROBE_ROLLEDBACK = 3 /**< rolled back, with proof */
};

/** Bytes of an identity and most bytes of a proof token. */
enum { HF_IDENTITY_SIZE = 32, HF_TOKEN_SIZE_MAX = 64 };

/**
 * What a resource manager may offer beside its switch. Every hook may be NULL. Hooks are called
 * without locks and may block. They return 0 for good; any other number means "not now" and is
 * never taken as an answer about a branch.
 */
typedef struct hf_rm_ext {
    size_t size; /**< sizeof(hf_rm_ext) */
    /** Which store does rmid reach? Two stores never give the same answer; one store always
        does. */
    int (*identity)(void *user, int rmid, unsigned char ret_id[HF_IDENTITY_SIZE]);
    /** Is what it acknowledges durable? Nonzero refuses the resource manager; ret_why says what
        to mend. With 0 a text there is a warning, told to log once for each opening of the node. */
    int (*settings)(void *user, int rmid, char *ret_why, size_t why_size);
    /** Read after a yes vote and stored with the decision: what probe() needs to prove the
        outcome. */
    int (*token)(void *user, int rmid, const XID *xid, unsigned char ret_token[HF_TOKEN_SIZE_MAX],
                 size_t *ret_size);
    /** What became of a branch? HF_PROBE_UNKNOWN unless it can be proved. */
    int (*probe)(void *user, int rmid, const XID *xid, const void *token, size_t token_size,
                 enum hf_probe *ret);
    /** Get rid of a stale session that holds a prepared branch, so that others can end it.
        Recovery asks, at most once for a branch in a pass, when XAER_NOTA was the answer to its
        xa_commit or xa_rollback (or, from a switch that knows better, XA_RETRY or XAER_PROTO)
        although a scan of the same pass lists the branch, or probe() finds it prepared: the session
        that prepared it hangs on, and its branch is nobody else's to see. It is asked only for
        branches of an opening that is fenced, and for those of a transaction of this opening that
        is over; never for a living process's, nor for what is not ours.
        The hook may end a session only on evidence that this one holds the branch, and that it
        belongs to an opening that is over or to an instance of this process that is closed or
        broken: no innocent session is ever ended. 0: no such session is left, or never was; the
        call is made again at once. Else, without evidence or not yet: nothing is concluded, the
        branch stays owed, and the next pass scans and asks again. xid and the token are as with
        probe(); a branch without a decision has no token. */
    int (*detach)(void *user, int rmid, const XID *xid, const void *token, size_t token_size);
    /** Stop what the instance is doing: its transaction's time is over. The one hook that is called
        while another thread works; it may come when nothing runs. It comes again, after 50 ms at
        first and then ever less often, to once a second, as long as the instance is in use and no
        completion has begun: so one that comes before the work has begun at the server does not
        have to be remembered. The transaction's completion waits for it, so it should not take
        long, and must not complete a transaction. After some that took long the next ones wait for
        as long, of all resource managers. Never called with hf_rm_config.one_rmid, where rmid would
        not say whose work to stop. What it returns changes nothing. */
    int (*cancel)(void *user, int rmid);
    /** The native code and text of rmid's last failure, without secrets. */
    int (*error)(void *user, int rmid, int *ret_native, char *ret_text, size_t text_size);
} hf_rm_ext;

/** How to register a resource manager. Start from HF_RM_CONFIG_INIT. */
typedef struct hf_rm_config {
    size_t size; /**< sizeof(hf_rm_config) */
    /** 1 to 31 bytes; a durable id is bound to it in the log. Copied */
    const char *name;
    /** Must outlive the tm; version 0, no null entry. With TMUSEASYNC its prepares and commits go
        out with TMASYNC, beside those of others, and its answers are fetched by xa_complete in the
        same thread. */
    const struct xa_switch_t *xa;
    const char *open_info;        /**< at most 255 bytes; NULL is "". Copied, never logged */
    const char *close_info;       /**< at most 255 bytes; NULL is "". Copied, never logged */
    /** Phase two goes rank by rank, lowest first: the next begins when each branch of the lower
        one has answered. Votes do not wait for ranks. */
    int rank;
    /** forced to 1 by TMNOMIGRATE, by TMREGISTER and by one_rmid */
    uint32_t thread_bound;
    const hf_rm_ext *ext;         /**< may be NULL; must outlive the tm */
    void *ext_user;               /**< passed to each hook */
    /** 1: all instances have one rmid, and each belongs to the thread that opened it, by an xa_open
        of its own: as switches want it whose rmids name databases and not connections. Instances
        of one thread share its xa_open. 0: an rmid for each instance. */
    uint32_t one_rmid;
} hf_rm_config;
#define HF_RM_CONFIG_INIT                                                                          \
    {                                                                                              \
        sizeof(hf_rm_config), NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, 0                          \
    }

/** Counters since hf_tm_open(). */
typedef struct hf_tm_stats {
    size_t size;                   /**< set by the caller: sizeof(hf_tm_stats) */
    uint32_t incarnation;          /**< ours */
    uint32_t active;               /**< global transactions begun and not completed */
    uint64_t begun;                /**< global transactions */
    uint64_t committed;            /**< completed with HF_COMMITTED, by their own thread */
    uint64_t rolledback;           /**< completed with HF_ROLLEDBACK, by their own thread */
    uint64_t recovered_committed;  /**< of other openings, that recovery here committed */
    uint64_t recovered_rolledback; /**< of other openings, that recovery here rolled back */
    uint64_t owed;                 /**< branches still owed a completion, after the last pass */
    /** of those: commits that can be neither confirmed nor denied */
    uint64_t unconfirmed;
    uint64_t alarms; /**< things an operator should look at, told to log */
    uint64_t passes; /**< recovery passes */
    /** finished transactions that the history should have and does not: too many at once, or it
        cannot be written */
    uint64_t history_dropped;
    /** of other openings, that were over everywhere and whose records recovery here dropped without
        asking anybody: their owners had noted it before they died */
    uint64_t recovered_finished;
} hf_tm_stats;

/**
 * Open a node: make it if the directory does not exist or is empty, verify the whole log, and claim
 * an incarnation. Nothing is concluded about other incarnations' transactions here; hf_tm_start()
 * does.
 *
 * @param config  Copied.
 * @param ret_tm  Written on success only. The caller closes it with hf_tm_close().
 *
 * @retval HF_OK
 * @retval HF_EINVAL      config, its size, dir, history or recover_ms is not valid.
 * @retval HF_ENOTNODE    dir is something else: a file, or a directory with other things in it.
 * @retval HF_EOWNER      dir or a file in it belongs to another user, is open to others, or is a
 *                        link.
 * @retval HF_ENETFS      dir is on a network file system.
 * @retval HF_EOPEN       this process has the node open already.
 * @retval HF_EPIDNS      a process in another PID namespace has the node open.
 * @retval HF_ENEWER      a newer version of Holdfast wrote the log.
 * @retval HF_EDAMAGED    a record is damaged or missing; see hf_error_last() and `txctl log
 *                        verify`.
 * @retval HF_EBACKINTIME a living process holds an incarnation that the log does not know, or the
 *                        log's newest commits are gone: an older state of it has come back.
 * @retval HF_EMOVED      the node lies elsewhere than when it was used last (machine id, file
 *                        system, inode), or the nonce is another: hf_error_last() says which. Two
 *                        running copies of one node would roll back each other's work, so nothing
 *                        is written until hf_inspect_adopt() or `txctl log adopt` says whether it
 *                        was moved or copied. What cannot be told counts as equal.
 * @retval HF_EFULL       no room for the claim.
 * @retval HF_EUNKNOWN    the claim may or may not be on disk; it is given up, and fenced later.
 * @retval HF_EBUSY       another process is opening or closing the node and did not finish in 10 s.
 * @retval HF_EIO, HF_ENOMEM
 * In every error nothing is left open, and no incarnation is left claimed.
 *
 * In a child after fork what the parent has opened is HF_EFORK to use, and stays the parent's; the
 * child opens the node for itself, which is an incarnation of its own. What it inherited of
 * connections to databases stays open in it until it ends or calls exec, unused: better fork first.
 *
 * Threads: any. Blocks for file input and output.
 * Spec: [XA] 2.3.1 leaves the log to the transaction manager.
 */
HF_API int hf_tm_open(const hf_tm_config *config, hf_tm **ret_tm) HF_MUST_CHECK;

/**
 * Tell the node of a resource manager. It is not called yet: the first hf_instance_open() or
 * recovery pass reaches it. Allowed at any time before hf_tm_close(); those that own unfinished
 * work should be registered before hf_tm_start().
 *
 * @param config  Copied, but for the switch and the extension, which must outlive tm.
 * @param ret_rm  Written on success only; borrowed, lives until hf_tm_close().
 *
 * @retval HF_OK
 * @retval HF_EINVAL   a null, a name that is empty or over 31 bytes, an open or close string over
 * 255.
 * @retval HF_ESWITCH  version other than 0, a null entry, a name without a NUL.
 * @retval HF_EEXIST   the name is registered already.
 * @retval HF_ESTATE   tm is closing.
 * @retval HF_EFORK, HF_ENOMEM
 *
 * Threads: any. Does not block.
 */
HF_API int hf_rm_register(hf_tm *tm, const hf_rm_config *config, hf_rm **ret_rm) HF_MUST_CHECK;

/**
 * Is it a switch that hf_rm_register() takes? Nothing is called.
 *
 * @param name  For the text of the error.
 * @retval HF_OK
 * @retval HF_ESWITCH  version other than 0, a null entry, a name without a NUL.
 * @retval HF_EINVAL   a null argument.
 *
 * Threads: any. Spec: [XA] 4.3.
 */
HF_API int hf_switch_check(const char *name, const struct xa_switch_t *xa);

/** The name it was registered under; borrowed. */
HF_API const char *hf_rm_name(const hf_rm *rm);

/**
 * Run the first recovery pass and allow hf_tx_begin(). A resource manager that cannot be reached
 * does not fail it: what it is owed stays owed, and later passes try again.
 *
 * @param wait_ms  Most milliseconds to repeat passes while something is still owed; 0: one pass.
 *
 * @retval HF_OK      begun; hf_tm_get_stats() says what is owed.
 * @retval HF_ESTATE  started already, or closing.
 * @retval HF_ELOG, HF_EUNKNOWN, HF_EFENCED, HF_EDAMAGED, HF_EFULL, HF_EIO
 *                    the log could not be written or read; not started.
 * @retval HF_EINVAL, HF_EFORK, HF_ENOMEM
 *
 * Threads: any one. Calls resource managers, so it may block.
 */
HF_API int hf_tm_start(hf_tm *tm, uint32_t wait_ms) HF_MUST_CHECK;

/**
 * Do the work that is due: transactions whose time is over, recovery, removals, requests of
 * operators. For hosts without our thread.
 *
 * @param ret_next_ms  Milliseconds after which to call again: at the latest when the next running
 *                     transaction's time is over, or a cancel is due again. One that begins later
 *                     with less time is noticed at that call, or by its owner. May be NULL.
 *
 * @retval HF_OK
 * @retval HF_ESTATE  not started, or closing; work whose time is over was cancelled all the same.
 * @retval HF_ELOG, HF_EUNKNOWN, HF_EFENCED, HF_EDAMAGED, HF_EFULL, HF_EIO, HF_EINVAL, HF_EFORK,
 * HF_ENOMEM
 *
 * Threads: any; if another thread is in it, only looks for what is over. May block in resource
 * managers.
 */
HF_API int hf_tm_tick(hf_tm *tm, uint32_t *ret_next_ms);

/**
 * Run one recovery pass now, with instances of its own.
 *
 * A pass goes through its resource managers one by one, so one that hangs holds it up. One that
 * is asked for by name is served all the same: a host whose resource managers may hang gives each
 * a thread that calls this with its name from time to time, beside hf_tm_tick(), which passes for
 * all. Where one hangs in a commit, the other branches of that transaction wait with it.
 *
 * @param only  Only this resource manager; it is taken from a pass for all that runs, when that is
 *              not just in a call to it, and counts there as not reached. Waits for such a call,
 *              and for another pass for this one. NULL: all, but those that are being served by
 *              name; waits for another pass for all.
 *
 * @retval HF_OK  the pass ran; what is owed still is in hf_tm_get_stats().
 * @retval HF_ESTATE, HF_ELOG, HF_EUNKNOWN, HF_EFENCED, HF_EDAMAGED, HF_EFULL, HF_EIO, HF_EINVAL,
 * HF_EFORK,
 *         HF_ENOMEM  as with hf_tm_start(); nothing ambiguous was taken as done.
 *
 * Threads: any, but not in a callback of a pass (HF_ESTATE). Blocks in resource managers, and no
 * longer than those it is for.
 * Spec: [XA] 2.3.3, 3.6; stricter: ARCHITECTURE.md "Recovery".
 */
HF_API int hf_tm_recover(hf_tm *tm, hf_rm *only) HF_MUST_CHECK;

/**
 * Close the node. New transactions are refused from the first call on, also when it returns
 * HF_EBUSY.
 *
 * @param drain_ms  Most milliseconds to wait for active transactions and open instances.
 * @param ret_left  How many of both are left; 0 if only a recovery pass is in the way. May be NULL.
 *
 * @retval HF_OK     closed and freed, with all of its resource managers. Decided transactions whose
 *                   branches are owed stay in the log for the next opening.
 * @retval HF_EBUSY  still open: complete the transactions, close the instances, call again. Also
 *                   while a recovery pass runs: a resource manager that hangs may hang it.
 * @retval HF_EFORK  in a child process: nothing was done; the parent's tm is untouched.
 * @retval HF_EINVAL
 *
 * Threads: any one; nobody else may use tm during the call that succeeds.
 */
HF_API int hf_tm_close(hf_tm *tm, uint32_t drain_ms, unsigned *ret_left);

/**
 * What became of a global transaction, as far as it is still known.
 *
 * @param xid          Any XID of the transaction; only the gtrid counts.
 * @param ret_outcome  Written with HF_OK only.
 *
 * @retval HF_OK         HF_UNKNOWN: not decided, or not known until the log is opened again.
 *                       HF_COMMITTED: decided so, perhaps while branches are still being told (as
 *                       between hf_tx_decide() and hf_tx_finish()); only heuristics change that.
 * @retval HF_ENOTFOUND  no longer known. That does NOT mean rolled back.
 * @retval HF_EINVAL     not an XID of this node, nor one of the node it is a copy of that its log
 *                       or history knows.
 * @retval HF_EDAMAGED, HF_EIO, HF_EFORK
 *
 * Threads: any.
 */
HF_API int hf_tm_outcome(hf_tm *tm, const XID *xid, hf_outcome *ret_outcome) HF_MUST_CHECK;

/** Copy the counters. @retval HF_OK, HF_EINVAL (a null, or an unknown size), HF_EFORK. Any
    thread. */
HF_API int hf_tm_get_stats(hf_tm *tm, hf_tm_stats *ret_stats);

/* -- instances -------------------------------------------------------------------------------- */

/**
 * Open an instance of a resource manager: xa_open with a fresh rmid. The first one in a process
 * also checks settings and identity, and binds the name to a durable id in the log.
 *
 * @param ret  Written on success only; the caller closes it with hf_instance_close().
 *
 * @retval HF_OK
 * @retval HF_ERM        xa_open refused; hf_error_last() has code and text.
 * @retval HF_EIDENTITY  the name reaches another store than this process bound it to.
 * @retval HF_ESTATE     tm is closing. @retval HF_ELIMIT rmids are used up.
 * @retval HF_ELOG, HF_EUNKNOWN, HF_EFENCED, HF_EFULL, HF_EIO, HF_EINVAL, HF_EFORK, HF_ENOMEM
 *
 * Threads: any. Blocks in the resource manager; no lock of ours is held meanwhile.
 * Spec: [XA] 3.2, xa_open().
 */
HF_API int hf_instance_open(hf_rm *rm, hf_instance **ret) HF_MUST_CHECK;

/** The rmid, to give to native calls. */
HF_API int hf_instance_rmid(const hf_instance *instance);

/** Its resource manager; borrowed. */
HF_API hf_rm *hf_instance_rm(const hf_instance *instance);

/** 1: close it and never pool it: its state at the resource manager is not known. Else 0. */
HF_API int hf_instance_broken(const hf_instance *instance);

/** What the calling thread may do with an instance; the first that is true. */
enum hf_instance_state {
    HF_INSTANCE_GOOD = 0,    /**< work with it, enlist it unless it is enlisted elsewhere */
    HF_INSTANCE_BROKEN = 1,  /**< close it: hf_instance_broken() */
    HF_INSTANCE_OUTSIDE = 2, /**< nothing in a transaction: ax_reg() gave it the null XID, for this
                                  thread or another one, and ax_unreg() has not come yet */
    HF_INSTANCE_ELSEWHERE = 3 /**< close it: another thread opened it, and all have one rmid */
};

/** Which of them it is. Threads: any, one at a time. */
HF_API int hf_instance_get_state(const hf_instance *instance);

/**
 * Give up what an instance does outside of any transaction: whoever worked with it has left, and
 * ax_unreg() will not come. It is broken then, and hf_instance_close() closes it, though [XA] has
 * no xa_close there: only that can still release what the resource manager holds. With one rmid
 * for all, so are the others that share its xa_open.
 *
 * @retval HF_OK
 * @retval HF_ESTATE  not HF_INSTANCE_OUTSIDE: nothing was done. @retval HF_EINVAL, HF_EFORK
 *
 * Threads: any, one at a time. Spec: [XA] table 6-3, ax_unreg().
 */
HF_API int hf_instance_abandon(hf_instance *instance);

/**
 * Close an instance: xa_close. A branch that is prepared in it goes to recovery.
 *
 * @param instance  Freed with HF_OK and HF_ERM. NULL is HF_OK.
 *
 * @retval HF_OK
 * @retval HF_ERM   xa_close failed; the instance is gone all the same.
 * @retval HF_EBUSY enlisted in a transaction, or registered by ax_reg() outside of any and not
 *                  broken: nothing was done.
 * @retval HF_EFORK
 *
 * Threads: any, one at a time. With one rmid for all (hf_rm_config.one_rmid) xa_close is called in
 * the thread that opened it only; elsewhere the instance goes, and what its thread has open at the
 * resource manager stays open. Spec: [XA] xa_close().
 */
HF_API int hf_instance_close(hf_instance *instance);

HF_END_DECLS

#endif
