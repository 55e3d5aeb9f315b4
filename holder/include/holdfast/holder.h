/*
 * holdfast/holder.h - the holder: a pool of resources that knows about transactions.
 *
 * It has the semantics of the COM+ Dispenser Manager (IHolder, IDispenserDriver). A *driver* knows
 * how to make, judge, enlist, clean and destroy one kind of thing; the *holder* keeps the things in
 * inventory and picks, for each request, the best one, preferring what is enlisted in the caller's
 * transaction already. What it picks and is not enlisted, the driver's `enlist` registers with the
 * transaction manager, by hf_tx_enlist(). When the transaction is over, committed or rolled back
 * alike, its resources return to general inventory.
 *
 *     hf_manager_open -> hf_holder_open (each driver) ->
 *         hf_holder_alloc ... work ... hf_holder_free, by any thread ->
 *     hf_holder_close -> hf_manager_close
 *
 * A resource is free or in use, and enlisted in a transaction or not:
 *
 *                 | not enlisted                         | enlisted in T
 *     free        | general inventory: for everybody     | enlisted inventory: for T alone
 *     in use      | its user has no transaction, or the  | works for T
 *                 | driver answered HF_NOT_ENLISTABLE    |
 *
 * The calls, with their names in COM+:
 *
 *     hf_manager_open, hf_manager_context     GetDispenserManager, IDispenserManager::GetContext
 *     hf_holder_open                          IDispenserManager::RegisterDispenser
 *     hf_holder_alloc, hf_holder_alloc_with   IHolder::AllocResource
 *     hf_holder_free                          IHolder::FreeResource
 *     hf_holder_track, hf_holder_track_s      IHolder::TrackResource, TrackResourceS
 *     hf_holder_untrack, hf_holder_untrack_s  IHolder::UntrackResource, UntrackResourceS
 *     hf_holder_request_destroy               IHolder::RequestDestroyResource
 *     hf_holder_close, hf_holder_release      IHolder::Close, IUnknown::Release
 *     hf_driver.create, rate, enlist, reset,  IDispenserDriver::CreateResource, RateResource,
 *         destroy, destroy_s                      EnlistResource, ResetResource, DestroyResource,
 *                                                 DestroyResourceS
 *     hf_driver.released                      the holder's IUnknown::Release of the driver
 *
 * and the codes:
 *
 *     HF_OK               S_OK
 *     HF_NOT_ENLISTABLE   S_FALSE, from enlist alone
 *     HF_EINVAL           E_INVALIDARG
 *     HF_EDRIVER          E_FAIL: a callback of the driver failed
 *     HF_EROLLEDBACK,
 *     HF_ESTATE           E_FAIL "the caller's transaction is aborting": it can only roll back, or
 *                         is completing
 *     HF_ENOTIMPL         E_NOTIMPL, from destroy and destroy_s
 *     HF_EENLIST          MTXDM_E_ENLISTRESOURCEFAILED, from enlist, handed through
 *
 * With configurations that are zero but for their size, all of it behaves as COM+ does.
 *
 * Callbacks run on any thread, never with a lock of ours held, and never two at once for one
 * resource. They may call the holder, also for the resource that they are called for.
 */
#ifndef HOLDFAST_HOLDER_H
#define HOLDFAST_HOLDER_H

#include "holdfast/transaction.h"

HF_BEGIN_DECLS

/** What a host's holders have in common: the transaction manager, the clock, the background work.
    Made by hf_manager_open(). Any thread may use it. */
typedef struct hf_manager hf_manager;
/** One driver's inventory. Made by hf_holder_open(). Any thread may use it. */
typedef struct hf_holder hf_holder;
/** A kind of resource (RESTYPID). Opaque; often a pointer, which must outlive the resources made of
    it. 0 is invalid. */
typedef uintptr_t hf_restype;
/** One resource (RESID), named by the driver; unique among all of a holder until its `destroy` has
    returned. 0 is invalid. */
typedef uintptr_t hf_resid;
/** On whose behalf a resource is used (INSTID), such as a request or a session; 0: nobody's. */
typedef uintptr_t hf_owner;

/** From hf_driver.enlist: the resource takes no part in transactions. Not an error. */
#define HF_NOT_ENLISTABLE 1
/** A perfect fit: the search ends. */
#define HF_RATING_PERFECT 100U
/** Any rating above 100: the resource is dead, and is destroyed. */
#define HF_RATING_DEAD 101U
/** An idle limit: stays in inventory for ever. */
#define HF_IDLE_NEVER (-1)
/** An idle limit: destroyed when freed, never pooled. */
#define HF_IDLE_NOT_POOLED 0
/** Seconds that a resource stays idle whose driver does not say. */
#define HF_IDLE_PRESET 60

/* -- what a driver brings ---------------------------------------------------------------------- */

/**
 * A driver. size, create, and one of destroy and destroy_s are needed; what else is NULL is off.
 * Copied by hf_holder_open(). Results are HF_OK or one that the hook names; any other negative
 * number is a failure, kept as the native code of HF_EDRIVER.
 */
typedef struct hf_driver {
    size_t size; /**< sizeof(hf_driver) */

    /**
     * Make a resource of a type, not enlisted. [CreateResource]
     *
     * @param ret_id      0 before the call. An id that is 0 or in use is refused: HF_EINVAL to the
     *                    caller; nothing is destroyed then, for the id may be another's.
     * @param ret_idle_s  Seconds it may lie idle in general inventory; HF_IDLE_PRESET before the
     *                    call, or the holder's own (hf_holder_config.idle_s).
     */
    int (*create)(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s);

    /**
     * How well does a free resource, of whatever type, serve a request for `type`? Judge only,
     * change nothing. [RateResource]
     *
     * NULL: 100 for the type it was made for, else 0.
     *
     * @param needs_enlist  1: choosing it would need an enlistment. 0 within a transaction: it was
     *                      used in this transaction before, was freed, and is considered again.
     * @param ret_rating    0 before the call: unusable. 1 bad ... 99 good; HF_RATING_PERFECT ends
     *                      the search; above it, as also a failure: dead, destroyed.
     */
    int (*rate)(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating);

    /**
     * Make it work for a transaction: as a rule hf_tx_enlist(). [EnlistResource]
     *
     * NULL: as if it answered HF_NOT_ENLISTABLE.
     *
     * @param tx  NULL: make sure that it is in no transaction; it was in one before.
     * @retval HF_OK
     * @retval HF_NOT_ENLISTABLE  the allocation succeeds, outside the transaction.
     * @retval HF_EENLIST         refused, and healthy: back to inventory; the allocation fails.
     * Any other failure: it is destroyed; the allocation fails with HF_EDRIVER.
     */
    int (*enlist)(void *user, hf_resid id, hf_tx *tx);

    /**
     * Clean what its user left; not called for one that is going to be destroyed. Must not disturb
     * an enlistment: its transaction may go on. A failure dooms it: destroyed now or, if enlisted,
     * when its transaction is over. [ResetResource]
     */
    int (*reset)(void *user, hf_resid id);

    /** Destroy it. Whatever the answer, it is forgotten; the event carries the answer.
        [DestroyResource] @retval HF_ENOTIMPL  this driver has no such ids. */
    int (*destroy)(void *user, hf_resid id);
    /** The same for one that was tracked by a string. [DestroyResourceS] */
    int (*destroy_s)(void *user, const char *sid);

    /* Beyond COM+. */

    /** As enlist, for one that is tracked by a string. NULL: it is tracked outside transactions. */
    int (*enlist_s)(void *user, const char *sid, hf_tx *tx);
    /** Bring one that was rated below 100 to what was asked for. A failure: it is destroyed, or
        doomed if it is enlisted, and the allocation fails with HF_EDRIVER. */
    int (*adapt)(void *user, hf_restype type, hf_resid id);
    /** Is it alive? Asked before one of general inventory is handed out that has been idle for
        hf_holder_config.validate_after_ms. A failure: it is destroyed, the search goes on. */
    int (*validate)(void *user, hf_resid id, uint32_t timeout_ms);
    /** It leaves use while its transaction runs, after reset: as a rule hf_tx_delist(). A failure
        dooms it. Called in the thread that allocated it or in the owner's of tx; freed by any other
        thread, it is called by the owner's next allocation of it. */
    int (*suspend)(void *user, hf_resid id, hf_tx *tx);
    /** It comes to use again in the same transaction: as a rule hf_tx_enlist(), which makes no call
        to the resource manager. Failures are those of enlist, but it stays enlisted: doomed. */
    int (*resume)(void *user, hf_resid id, hf_tx *tx);
    /** The transaction that it was enlisted in is over; also for tracked ones, but not for those
        tracked by a string. A failure dooms it: that is how a driver says that it is broken. */
    int (*tx_end)(void *user, hf_resid id, const XID *xid, hf_outcome outcome);
    /** No resource of the type is left, and none is being made. Not called for types of resources
        that are tracked only. */
    void (*type_free)(void *user, hf_restype type);
    /** The last callback ever, exactly once, after a successful hf_holder_open(): user may be
        freed. */
    void (*released)(void *user);
    /** It was used, and goes to general inventory now: nobody has it, and no transaction. Called
        once for each way back, after reset and tx_end; not for one that is doomed, not pooled, nor
        when the holder closes. One whose life is over, or above max, is cleaned, then destroyed. A
        failure: it is destroyed; who freed it, or ended the transaction, hears nothing. */
    int (*clean)(void *user, hf_resid id);
} hf_driver;

/* -- events ------------------------------------------------------------------------------------ */

/** The first five are those of IComResourceEvents. */
typedef enum hf_event_kind {
    HF_EVENT_CREATE = 1, /**< a new one was made and allocated (OnResourceCreate) */
    HF_EVENT_ALLOCATE,   /**< one of inventory was allocated (OnResourceAllocate) */
    HF_EVENT_RECYCLE,    /**< its user is done with it (OnResourceRecycle) */
    HF_EVENT_DESTROY,    /**< destroyed; code is the driver's answer (OnResourceDestroy) */
    HF_EVENT_TRACK,      /**< tracked (OnResourceTrack) */
    HF_EVENT_WAIT,       /**< an allocation begins to wait: the holder is full or paused */
    HF_EVENT_TIMEOUT,    /**< an allocation waited in vain; age_ms says how long */
    HF_EVENT_INVALID,    /**< judged dead, by rate, validate, adapt, reset or clean; a destroy
                              follows */
    HF_EVENT_LEAK        /**< in use for longer than leak_ms; told once for each allocation */
} hf_event_kind;

/** One event. All of it is borrowed for the call. */
typedef struct hf_event {
    size_t size; /**< sizeof(hf_event) */
    hf_event_kind kind;
    hf_holder *holder;
    const char *name; /**< the holder's */
    hf_restype type;  /**< 0 for tracked ones */
    hf_resid id;      /**< 0 where there is none */
    const char *sid;  /**< of one tracked by a string; else NULL */
    hf_owner owner;
    int enlisted;    /**< 1: in a transaction */
    uint32_t rated;  /**< ALLOCATE: candidates that were rated */
    uint32_t rating; /**< ALLOCATE: the winner's */
    int code;        /**< DESTROY, INVALID: the driver's answer; else HF_OK */
    uint64_t age_ms; /**< DESTROY: since it was made; LEAK: in use for; WAIT, TIMEOUT: waited */
    uint64_t thread; /**< LEAK: that allocated it, pthread_self() as a number */
    const char *tag; /**< of the allocation; "" if it had none */
} hf_event;

/* -- the manager ------------------------------------------------------------------------------- */

/** How to open a manager. Start from HF_MANAGER_CONFIG_INIT. */
typedef struct hf_manager_config {
    size_t size; /**< sizeof(hf_manager_config) */
    hf_tm *tm;   /**< whose transactions count; NULL: a pool without transactions */
    /** 0: the host calls hf_manager_tick(); 1: one thread of ours does, from the first
        hf_holder_open() on. */
    uint32_t background;
    uint32_t sweep_ms;             /**< between sweeps; 0: 10,000 as in COM+ */
    hf_owner (*owner)(void *user); /**< on whose behalf the calling thread works; NULL: 0 */
    /** Called for each event, in the thread in which it happens, with no lock held. NULL: none. */
    void (*event)(void *user, const hf_event *event);
    void *user; /**< passed to both */
} hf_manager_config;
#define HF_MANAGER_CONFIG_INIT                                                                     \
    {                                                                                              \
        sizeof(hf_manager_config), NULL, 0, 0, NULL, NULL, NULL                                    \
    }

/**
 * Open a manager. A process may have several. [GetDispenserManager]
 *
 * @param ret  Written on success only.
 * @retval HF_OK, HF_EINVAL, HF_ENOMEM, HF_EFORK (of config->tm)
 *
 * Threads: any. config->tm must stay open until hf_manager_close() has returned HF_OK.
 */
HF_API int hf_manager_open(const hf_manager_config *config, hf_manager **ret) HF_MUST_CHECK;

/**
 * Close every holder that is open still, as hf_holder_close(HF_CLOSE_DETACH) does, and free the
 * manager with all of its holders when nothing is left. No allocation succeeds from the first call
 * on.
 *
 * @param wait_ms   Most milliseconds to wait for resources in use and transactions.
 * @param ret_left  Resources that are left: in use, tracked, or enlisted. May be NULL.
 *
 * @retval HF_OK     freed. Nobody may use it or its holders any more.
 * @retval HF_EBUSY  resources are left, or a call runs: free them, end the transactions, call
 *                   again.
 * @retval HF_ESTATE called in one of its callbacks. @retval HF_EINVAL, HF_EFORK
 *
 * Threads: any one.
 */
HF_API int hf_manager_close(hf_manager *manager, uint32_t wait_ms, unsigned *ret_left);

/** The calling thread's context. [GetContext] @param ret_owner, ret_tx  Borrowed; 0 and NULL if
    there is none; either may be NULL. @retval HF_OK, HF_EINVAL, HF_EFORK. Any thread. */
HF_API int hf_manager_context(hf_manager *manager, hf_owner *ret_owner, hf_tx **ret_tx);

/**
 * Sweep what is due: resources past their idle limit or lifetime, leaks, minimum inventory.
 *
 * @param ret_next_ms  Milliseconds until it has something to do again. May be NULL.
 * @retval HF_OK, HF_EINVAL, HF_EFORK
 *
 * Threads: any; two at once is allowed. Blocks in the driver's destroy and create.
 */
HF_API int hf_manager_tick(hf_manager *manager, uint32_t *ret_next_ms);

/**
 * An owner's life is over: what it still uses is reclaimed in every holder. Tracked resources are
 * untracked and destroyed, at the end of their transaction if they are in one; pooled ones are
 * freed, where the holder has HF_HOLDER_RECLAIM.
 *
 * @retval HF_OK, HF_EINVAL (owner is 0), HF_EFORK. Any thread.
 */
HF_API int hf_manager_owner_end(hf_manager *manager, hf_owner owner);

/* -- holders ----------------------------------------------------------------------------------- */

/** hf_holder_config.flags: an enlisted candidate with any rating wins over every unenlisted one. */
#define HF_HOLDER_STRICT 0x1U
/** The same: pooled resources are freed when their owner ends. The driver promises that none of
    them is reachable from elsewhere. */
#define HF_HOLDER_RECLAIM 0x2U

/** How to open a holder. Start from HF_HOLDER_CONFIG_INIT; zero behaves as COM+ does. */
typedef struct hf_holder_config {
    size_t size;      /**< sizeof(hf_holder_config) */
    const char *name; /**< for people: events, errors; at most 31 bytes; copied; NULL: "" */
    uint32_t flags;   /**< HF_HOLDER_... */
    uint32_t max;     /**< most pooled resources, in use or not; 0: no limit */
    /** Most milliseconds that an allocation waits for one, first come, first served, while max are
        there; 0: HF_ELIMIT at once. */
    uint32_t wait_ms;
    int32_t idle_s;   /**< preset of idle limits; 0: HF_IDLE_PRESET */
    uint32_t life_ms; /**< oldest age; less up to a fortieth, by chance, so that they do not all
                           end at once; 0: no limit. Never ends one in use or enlisted. */
    uint32_t validate_after_ms;   /**< idle for less is not validated; 0: always validated */
    uint32_t validate_timeout_ms; /**< given to validate; 0: 5,000 */
    uint32_t leak_ms;             /**< in use for longer is told as HF_EVENT_LEAK; 0: never */
} hf_holder_config;
#define HF_HOLDER_CONFIG_INIT                                                                      \
    {                                                                                              \
        sizeof(hf_holder_config), NULL, 0, 0, 0, 0, 0, 0, 0, 0                                     \
    }

/**
 * Make a holder for a driver: a new one every time. [RegisterDispenser]
 *
 * @param driver  Copied. Callbacks may come at once.
 * @param user    Given to every callback, until hf_driver.released, which is not called if this
 *                fails.
 * @param config  Copied. NULL: HF_HOLDER_CONFIG_INIT.
 * @param ret     Written on success only.
 *
 * @retval HF_OK
 * @retval HF_EINVAL  a null, a size that is not known, no create, no destroy, an unknown flag.
 * @retval HF_ECLOSED the manager is closing. @retval HF_ENOMEM, HF_EFORK, HF_EIO (no thread)
 *
 * Threads: any.
 */
HF_API int hf_holder_open(hf_manager *manager, const hf_driver *driver, void *user,
                          const hf_holder_config *config, hf_holder **ret) HF_MUST_CHECK;

/** hf_holder_alloc_with(): which of the fields below count. */
#define HF_ALLOC_TX 0x1U    /**< tx, also NULL: outside any transaction */
#define HF_ALLOC_OWNER 0x2U /**< owner */
#define HF_ALLOC_WAIT 0x4U  /**< wait_ms */

/** One request. Start from HF_ALLOC_INIT. */
typedef struct hf_alloc {
    size_t size;      /**< sizeof(hf_alloc) */
    uint32_t flags;   /**< HF_ALLOC_...; without one, what the context or the holder says */
    uint32_t wait_ms; /**< most milliseconds to wait while the holder is full or paused */
    hf_tx *tx;        /**< one that the calling thread owns */
    hf_owner owner;
    const char *tag; /**< for leak reports; kept as a pointer while it is in use; may be NULL */
} hf_alloc;
#define HF_ALLOC_INIT                                                                              \
    {                                                                                              \
        sizeof(hf_alloc), 0, 0, NULL, 0, NULL                                                      \
    }

/**
 * Take the best resource there is for the thread's current transaction, or make one.
 * [AllocResource]
 *
 * Candidates are the free ones that are enlisted in the transaction, then those of general
 * inventory, the most recently used first, of any type. Each is rated; the highest wins, the
 * earlier of equals; 100 ends the search. If none is rated above 0 one is made; where the holder is
 * full, the one of general inventory that was idle longest makes room. Then it is enlisted, if it
 * is not yet.
 *
 * @param type    Not 0.
 * @param ret_id  Written on success only. Give it back by hf_holder_free(), once.
 *
 * @retval HF_OK
 * @retval HF_EINVAL       type 0; or create gave an id that is 0 or in use.
 * @retval HF_EROLLEDBACK  the transaction can only roll back: the driver was not called, or the
 *                         transaction's time ended during the enlistment, which was undone.
 * @retval HF_ESTATE       the transaction is completing.
 * @retval HF_EENLIST      the driver's enlist refused; the resource is healthy and stays.
 * @retval HF_EDRIVER      create, enlist or adapt failed; hf_error_last() has the driver's code.
 * @retval HF_ELIMIT       the holder is full, or paused, and does not wait.
 * @retval HF_ETIMEOUT     the same, waited in vain.
 * @retval HF_ECLOSED      closed, perhaps during the wait.
 * @retval HF_ETHREAD      request->tx is not the calling thread's. @retval HF_ENOMEM, HF_EFORK
 *
 * Threads: any. Blocks in the driver, and as long as it may wait.
 */
HF_API int hf_holder_alloc(hf_holder *holder, hf_restype type, hf_resid *ret_id) HF_MUST_CHECK;

/** hf_holder_alloc() with transaction, owner, wait and tag of one's own. @param request  NULL: as
    HF_ALLOC_INIT. Errors as above; HF_EINVAL also for a size or flag that is not known. */
HF_API int hf_holder_alloc_with(hf_holder *holder, hf_restype type, const hf_alloc *request,
                                hf_resid *ret_id) HF_MUST_CHECK;

/**
 * Give a resource back. It is reset; then it goes to the inventory of its transaction while that
 * runs, and to general inventory else. [FreeResource]
 *
 * @retval HF_OK
 * @retval HF_EINVAL   not in use by way of an allocation: unknown, freed already, tracked.
 *                     Nothing was done.
 * @retval HF_EDRIVER  reset failed: it is doomed and will be destroyed; do not free it again.
 * @retval HF_EFORK
 *
 * Threads: any, not only the one that allocated it. Also after hf_holder_close(): it is destroyed.
 */
HF_API int hf_holder_free(hf_holder *holder, hf_resid id);

/**
 * Watch over a resource that the caller made itself: it is enlisted in the current transaction, and
 * is destroyed when it has been untracked, or its owner ended, *and* its transaction is over.
 * Never pooled, rated, or reset. [TrackResource]
 *
 * @retval HF_OK           also where enlist answered HF_NOT_ENLISTABLE.
 * @retval HF_EINVAL       id 0, or known to this holder already.
 * @retval HF_EROLLEDBACK, HF_ESTATE, HF_EENLIST, HF_EDRIVER  as with hf_holder_alloc(): not
 *                         tracked, still the caller's.
 * @retval HF_ECLOSED, HF_ENOMEM, HF_EFORK  not tracked.
 *
 * Threads: any.
 */
HF_API int hf_holder_track(hf_holder *holder, hf_resid id) HF_MUST_CHECK;
/** The same by a string, which is copied; compared byte by byte; not empty. [TrackResourceS] */
HF_API int hf_holder_track_s(hf_holder *holder, const char *sid) HF_MUST_CHECK;

/**
 * End the watch. [UntrackResource]
 *
 * @param destroy  1: have it destroyed, at the end of its transaction if that runs still. 0: the
 *                 caller sees to it, and to its transaction.
 * @retval HF_OK
 * @retval HF_EINVAL   not tracked: unknown, untracked already, pooled.
 * @retval HF_EDRIVER  destroy failed; it is forgotten all the same. @retval HF_EFORK
 *
 * Threads: any.
 */
HF_API int hf_holder_untrack(hf_holder *holder, hf_resid id, int destroy);
/** The same by the string. [UntrackResourceS] */
HF_API int hf_holder_untrack_s(hf_holder *holder, const char *sid, int destroy);

/**
 * A pooled resource is bad: destroy it instead of pooling it. One in use is taken from its user,
 * who must not free it. One that is enlisted goes when its transaction is over; one in a callback,
 * when that returns. [RequestDestroyResource]
 *
 * @retval HF_OK       destroyed, or accepted.
 * @retval HF_EINVAL   unknown, or tracked, or requested already.
 * @retval HF_EDRIVER  destroy failed; it is forgotten all the same. @retval HF_EFORK
 *
 * Threads: any.
 */
HF_API int hf_holder_request_destroy(hf_holder *holder, hf_resid id);

/* -- control ----------------------------------------------------------------------------------- */

/** Have at least `count` pooled resources of a type, from now on: makes what is missing now, and in
    each sweep; idle limits do not go below it. [initial inventory]
    @retval HF_OK, HF_EINVAL, HF_ELIMIT (over max), HF_EDRIVER (create failed: the sweep tries
    again), HF_ECLOSED, HF_ENOMEM, HF_EFORK. Any thread. */
HF_API int hf_holder_stock(hf_holder *holder, hf_restype type, uint32_t count) HF_MUST_CHECK;

/** Another maximum; 0: none. What is too much goes as it becomes free. @retval HF_OK, HF_EINVAL,
    HF_ECLOSED, HF_EFORK. Any thread. */
HF_API int hf_holder_resize(hf_holder *holder, uint32_t max);

/** paused 1: allocations wait, as if the holder were full, but for those that find one enlisted in
    their transaction; 0: go on. @retval HF_OK, HF_EINVAL, HF_ECLOSED, HF_EFORK. Any thread. */
HF_API int hf_holder_pause(hf_holder *holder, int paused);

/** What hf_holder_flush() takes. */
typedef enum hf_flush {
    HF_FLUSH_IDLE = 1, /**< general inventory */
    HF_FLUSH_ALL = 2   /**< and all others as they become free */
} hf_flush;

/** Destroy pooled resources, of one type or of all (type 0). @retval HF_OK, HF_EINVAL, HF_ECLOSED,
    HF_EFORK. Any thread. Blocks in destroy. */
HF_API int hf_holder_flush(hf_holder *holder, hf_restype type, hf_flush what);

/** Sweep this holder now, whether it is due or not. @retval HF_OK, HF_EINVAL, HF_ECLOSED, HF_EFORK.
    Any thread. */
HF_API int hf_holder_sweep(hf_holder *holder);

/** What hf_holder_close() does with resources whose transactions have not ended in time. */
typedef enum hf_close {
    HF_CLOSE_WAIT = 1,   /**< HF_EBUSY; the holder stays closed to allocations */
    HF_CLOSE_DETACH = 2, /**< each is destroyed as its transaction ends */
    HF_CLOSE_FORCE = 3   /**< free ones are destroyed now, used ones as they are freed; what that
                              does to the transaction is the resource manager's business. A holder
                              of hf_holder_open_xa() detaches them all the same: tm does not close
                              an instance that is enlisted */
} hf_close;

/**
 * Close a holder: general inventory is destroyed, waiting allocations fail; resources in use are
 * destroyed when they are freed, tracked ones as they are untracked. [Close]
 *
 * @param wait_ms   Most milliseconds to wait for transactions with enlisted resources.
 * @param ret_left  Resources that are left. May be NULL.
 *
 * @retval HF_OK      closed; also if destroying failed. hf_driver.released comes now or with the
 *                    last resource.
 * @retval HF_EBUSY   HF_CLOSE_WAIT, and transactions run: call again.
 * @retval HF_ECLOSED it was closed. @retval HF_EINVAL, HF_EFORK
 *
 * Threads: any. The handle is good until hf_holder_release() or hf_manager_close(): every call but
 * hf_holder_free(), untrack, stats and these answers HF_ECLOSED.
 */
HF_API int hf_holder_close(hf_holder *holder, hf_close how, uint32_t wait_ms, unsigned *ret_left);

/** No call with this handle will come any more: closes it as HF_CLOSE_DETACH if it is open, and
    frees it with its last resource. NULL is HF_OK. @retval HF_OK, HF_EINVAL, HF_EFORK. */
HF_API int hf_holder_release(hf_holder *holder);

/** Counters; those of inventory are now's, all others since hf_holder_open(). */
typedef struct hf_holder_stats {
    size_t size;            /**< sizeof(hf_holder_stats), set before the call */
    uint32_t idle;          /**< general inventory */
    uint32_t idle_enlisted; /**< enlisted inventory */
    uint32_t used;          /**< in use, and not enlisted */
    uint32_t used_enlisted; /**< in use, and enlisted */
    uint32_t doomed;        /**< of all: to be destroyed when they can be */
    uint32_t tracked;
    uint32_t waiting; /**< allocations that wait */
    uint32_t most;    /**< most pooled ones at any time */
    uint64_t created, destroyed, destroy_failed;
    uint64_t allocated;       /**< allocations that succeeded */
    uint64_t reused_enlisted; /**< of those: by one enlisted in the transaction already */
    uint64_t enlisted;        /**< enlistments */
    uint64_t rated;           /**< candidates */
    uint64_t recycled;
    uint64_t expired_idle, expired_life, invalid, evicted;
    uint64_t failed_create, failed_enlist, failed_reset;
    uint64_t waits, timeouts;
    uint64_t wait_us; /**< microseconds that allocations waited, in all */
    uint64_t leaks, reclaimed;
} hf_holder_stats;

/** Copy the counters. @retval HF_OK, HF_EINVAL (a null, or an unknown size), HF_EFORK. Any thread,
    also after hf_holder_close(). */
HF_API int hf_holder_get_stats(hf_holder *holder, hf_holder_stats *ret_stats);

/* -- XA instances as resources ----------------------------------------------------------------- */

/** What a resource manager's instances need beside XA. Any hook may be NULL. With one rmid for all
    (hf_rm_config.one_rmid) none is called in a thread that has not opened it: it fails instead. */
typedef struct hf_xa_hooks {
    size_t size; /**< sizeof(hf_xa_hooks) */
    /** Clean what the user left; it may be within a branch that goes on. */
    int (*reset)(void *user, int rmid);
    /** Is the connection alive? Not called within a branch. */
    int (*validate)(void *user, int rmid, uint32_t timeout_ms);
    void *user;     /**< passed to all; must outlive the holder */
    int32_t idle_s; /**< idle limit of instances; 0: the holder's */
    /** It was used, and goes back to the pool: nobody has it, and it is in no transaction. A
        failure: the instance is closed. hf_driver.clean */
    int (*clean)(void *user, int rmid);
} hf_xa_hooks;

/**
 * Make a holder whose resources are instances (hf_instance_open) of resource managers of the
 * manager's tm: its driver is ready-made. A type is a resource manager, hf_xa_type(). A broken
 * instance is never pooled. Nor is one that is freed while it works outside of transactions
 * (ax_reg): reset failed, and it is given up. Of instances that have one rmid
 * (hf_rm_config.one_rmid) a thread is given those that it has opened itself.
 *
 * @param hooks  Copied; NULL: none.
 * @retval HF_OK, HF_EINVAL (also if the manager has no tm), HF_ECLOSED, HF_ENOMEM, HF_EFORK, HF_EIO
 *
 * Threads: any. Close the manager before the tm.
 */
HF_API int hf_holder_open_xa(hf_manager *manager, const hf_xa_hooks *hooks,
                             const hf_holder_config *config, hf_holder **ret) HF_MUST_CHECK;

/** The type to ask for, to get an instance of rm. */
static inline hf_restype hf_xa_type(hf_rm *rm)
{
    return (hf_restype)rm;
}

/** The instance that an allocation gave; borrowed until hf_holder_free(). NULL: id is not in use,
    or the holder is not of hf_holder_open_xa(). Any thread. */
HF_API hf_instance *hf_holder_instance(hf_holder *holder, hf_resid id);

/** Its rmid, which the native calls of resource managers ask for; -1 where that would be NULL. */
static inline int hf_holder_rmid(hf_holder *holder, hf_resid id)
{
    const hf_instance *instance = hf_holder_instance(holder, id);

    return instance != NULL ? hf_instance_rmid(instance) : -1;
}

HF_END_DECLS

#endif
