/*
 * tm/node.h - the structures behind hf_tm, hf_rm, hf_instance and hf_tx.
 *
 * Locks, in this order, none of them held in a call to a resource manager or to the host:
 *   tm->lock      lists and counters of the tm; states of hf_tm
 *   rm->lock      what the resource manager's name is bound to
 * The log's own locks come after both. Fields say which lock guards them; a field that says nothing
 * is set when the structure is made and never changes, or belongs to the thread that owns the
 * structure.
 */
#ifndef HF_TM_NODE_H
#define HF_TM_NODE_H

#include <pthread.h>
#include <stdatomic.h>

#include "coordinator.h"
#include "holdfast/transaction.h"
#include "log.h"
#include "timeline.h"

/* Of a variable that is written whole before it is read: a hardened build need not zero it. */
#ifdef __has_attribute
#if __has_attribute(uninitialized)
#define HF__WRITTEN_NEXT __attribute__((uninitialized))
#endif
#endif
#ifndef HF__WRITTEN_NEXT
#define HF__WRITTEN_NEXT
#endif

enum {
    HF__TM_MAGIC = 0x48465401,
    HF__RM_MAGIC = 0x48465402,
    HF__INSTANCE_MAGIC = 0x48465403,
    HF__TX_MAGIC = 0x48465404,
    HF__TX_BUCKETS = 1024,
    HF__TX_INLINE = 4,        /* branches that need no allocation */
    HF__TX_INLINE_SYNCS = 2,  /* and watchers */
    HF__TX_POOL_MAX = 1024,   /* transactions kept for reuse */
    HF__STRING_MAX = 255,     /* bytes of an open or close string [XA 4.3] */
};

/* Set rollback-only and completion race: one word decides which came first. */
enum hf__tx_phase { HF__TX_ACTIVE, HF__TX_ROLLBACK_ONLY, HF__TX_COMPLETING };

/* Of a transaction with a deadline: deadline.c. */
enum hf__expiry {
    HF__EXPIRY_WAITING,
    HF__EXPIRY_QUEUED,     /* in tm->expired */
    HF__EXPIRY_CANCELLING, /* a thread is in a cancel hook for it */
    HF__EXPIRY_REPEATING,  /* cancelled, and still in use: due again */
    HF__EXPIRY_OVER
};

/* A recovery pass that runs; recovery.c has the rest of it. */
struct hf__pass_seat {
    struct hf__pass_seat *next; /* tm->lock */
    uint64_t thread;
    hf_rm *only; /* NULL: all */
};

enum hf__tm_state { HF__TM_OPEN, HF__TM_STARTED, HF__TM_CLOSING };

struct hf_tm {
    uint32_t magic;
    unsigned process;
    hf_tm_config config; /* dir is not kept */
    struct hf__log *log;
    struct hf__live *live; /* the log's; written under lock, read by other processes */

    pthread_mutex_t lock;
    pthread_cond_t changed;  /* a count below went down, a pass ended, or the thread has to look */
    enum hf__tm_state state; /* lock */
    hf_rm *rms;              /* lock: list; entries never leave it */
    unsigned instances;      /* lock */
    int pass_instances;      /* lock: of those, a recovery pass's own */
    unsigned active;         /* lock */
    hf_tx *running[HF__TX_BUCKETS]; /* lock: by sequence */
    hf_tx *pool;                    /* lock: finished ones, for reuse */
    unsigned pool_count;            /* lock */
    hf_tm_stats stats;              /* lock */
    struct hf__pass_seat *passes;   /* lock: recovery passes that run */
    bool fencing;                   /* lock: one of them is in its first part */
    unsigned pass_waiters;          /* lock: threads that wait for a pass, or a call of one */
    bool told_failed;               /* lock: the host knows that the log failed */
    bool ticking;                   /* lock */
    uint64_t next_pass_ms;          /* lock; monotonic */
    uint32_t pause_ms;              /* lock: between passes, grows */
    _Atomic uint64_t sequence;      /* of transactions, from 1 */
    uint64_t next_expiry_ms;        /* lock; monotonic: nothing is due before; UINT64_MAX: never */
    uint64_t cancels_again_ms;      /* lock; monotonic: no cancel before */
    hf_tx *expired;                 /* lock: those whose work is to be cancelled, oldest first */
    hf_tx **expired_end;            /* lock: where the next one goes */

    pthread_t thread; /* config.background, once started */
    bool has_thread;
    bool stop; /* lock: the thread has to end */
};

struct hf_rm {
    uint32_t magic;
    hf_tm *tm;
    hf_rm *next;
    char name[HF__RM_NAME_SIZE];
    const struct xa_switch_t *xa;
    char open_info[HF__STRING_MAX + 1];
    char close_info[HF__STRING_MAX + 1];
    int rank;
    bool thread_bound;
    bool dynamic;  /* TMREGISTER: xa_start is never called */
    bool one_rmid; /* for all instances */
    hf_rm_ext ext; /* hooks that are not offered are NULL */
    void *ext_user;

    pthread_mutex_t lock;
    bool bound;                               /* lock */
    uint32_t id;                              /* lock until bound, then fixed */
    bool has_identity;                        /* the same */
    unsigned char identity[HF_IDENTITY_SIZE]; /* the same */
    int rmid;                                 /* lock: of all, if one_rmid; 0: none yet */
    bool told_unreachable; /* lock: the host was told since it was last reached */
    bool told_refused;     /* lock: of a branch that could not be finished, since one was */

    const struct hf__pass_seat *pass; /* tm->lock: the recovery pass that has it; NULL: none */
    bool pass_calls;                  /* tm->lock: which is in a call to it */
};

struct hf_instance {
    uint32_t magic;
    hf_rm *rm;
    int rmid;
    _Atomic bool broken;
    /* Enlisted in; NULL: none. Whoever completes it puts NULL here last of all: from then on the
       instance is free for what comes next, or for its close. Load it once: another thread may be
       completing it (hf_tx_finish). Under tm->lock what it points to is there. */
    hf_tx *_Atomic tx;
    unsigned branch; /* of tx */
    bool associated; /* between xa_start and xa_end; tx's owner's, and so is the next */
    bool suspended;  /* the same, after xa_end(TMSUSPEND): rm->thread_bound only */
    uint64_t thread; /* that called xa_start */
    /* The thread that has it in use, from enlist to delist; 0: none. Until that thread puts 0 here,
       no completion begins, so that tx stays what it is. */
    _Atomic uint64_t user;
    uint64_t opener;           /* the thread that called xa_open */
    uint64_t opening;          /* which xa_open it has; rm->one_rmid: with others of that thread */
    hf_instance *next_of_rmid; /* instance.c's registry */
    /* The thread that ax_reg() gave the null XID, until ax_unreg(), or until it is given up; 0:
       none. */
    _Atomic uint64_t outside;
};

/* A branch beside its struct hf__branch. */
struct hf__member {
    hf_instance *instance;
    uint32_t number; /* of the branch, from 1 */
    uint8_t token_size;
    unsigned char token[HF_TOKEN_SIZE_MAX];
};

struct hf_tx {
    uint32_t magic;
    hf_tm *tm;
    hf_tx *next_running;   /* tm->lock; also links the pool */
    hf_tx *next_of_thread; /* the owner's list of current transactions */
    /* The owner, a thread; 0: suspended. Changes under tm->lock. */
    _Atomic uint64_t owner;
    uint64_t bound_to;     /* tm->lock: the one thread that may resume it; 0: any */
    uint64_t deadline_ms;  /* monotonic; 0: none */
    hf_tx *next_expired;   /* tm->lock */
    hf_tx **expired_at;    /* tm->lock: what points to it in tm->expired */
    uint64_t cancel_at_ms; /* tm->lock; monotonic: the next cancel, if REPEATING */
    uint8_t expiry;        /* tm->lock: enum hf__expiry */
    uint8_t cancels;       /* tm->lock: how often it was cancelled, up to a few */
    unsigned char gtrid[HF__GTRID_SIZE];
    _Atomic int phase;      /* enum hf__tx_phase */
    _Atomic bool watching;  /* a completion has begun, its watchers' `before` run; not COMPLETING */
    _Atomic bool decided;   /* by hf_tx_decide(): hf_tx_finish() is due */
    _Atomic bool committed; /* the decision is durable */
    hf_sync *syncs;         /* inline ones at first */
    unsigned sync_count, sync_room;
    hf_sync inline_syncs[HF__TX_INLINE_SYNCS];
    struct hf__branch *branches; /* as many members; inline ones at first */
    struct hf__member *members;
    unsigned count, room;
    uint32_t numbers; /* branch numbers given out: one that xa_start refused is spent */
    struct hf__coord coord;
    struct hf__timeline timeline;
    struct hf__branch inline_branches[HF__TX_INLINE];
    struct hf__member inline_members[HF__TX_INLINE];
};

/* -- tm.c ------------------------------------------------------------------------------------- */

/* HF_OK, HF_EINVAL, HF_EFORK. */
int hf__tm_check(const hf_tm *tm);
/* Tell the host. Called with no lock held. */
void hf__tm_tell(hf_tm *tm, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A number for the calling thread, never given to another. */
uint64_t hf__thread(void);
/* After the log failed or we were fenced: the host is told once. */
void hf__tm_log_failed(hf_tm *tm, const char *doing);

/* -- rm.c, instance.c ------------------------------------------------------------------------- */

/* The native code and text of an instance's last failure; text may stay as it is. */
void hf__instance_error(const hf_instance *instance, int *ret_native, char *ret_text, size_t size);
/* "XAER_RMFAIL"; static. */
const char *hf__xa_name(int xa_code);
/* Copy a structure that begins with its size: HF_EINVAL if that is not one we know. */
int hf__copy_sized(void *to, size_t to_size, const void *from, size_t from_size, const char *what);

/* The instance that the calling thread has open by that rmid: with one rmid for all, the one at
   work if there is one, and a broken one last. Or NULL; then whether it was ever given out. */
hf_instance *hf__instance_of(int rmid, bool *ret_known);
/* The calling thread has lost sight of what it reaches by the instance: it is broken, with all that
   share its xa_open. */
void hf__instance_lost(hf_instance *instance);
/* May the calling thread call the resource manager by it? It has to have opened its rmid. */
bool hf__instance_callable(const hf_instance *instance);
/* Does one of tm work outside of transactions for the calling thread? *ret_all: how many do, of all
   nodes. */
bool hf__instance_outside(const hf_tm *tm, unsigned *ret_all);

/* -- ax.c ------------------------------------------------------------------------------------- */

/* Is a resource manager of tm at work for the calling thread outside of any transaction? */
bool hf__ax_outside(const hf_tm *tm);

/* -- transaction.c ---------------------------------------------------------------------------- */

/* Is it begun by this opening, and not completed? Then *ret_committed says whether the decision is
   durable that it commits; may be NULL. Any thread. */
bool hf__tx_running(hf_tm *tm, uint64_t sequence, bool *ret_committed);
/* All of them, in no order, and the newest sequence given out. free() them. HF_OK, HF_ENOMEM. */
int hf__tx_all_running(hf_tm *tm, uint64_t **ret, size_t *ret_count, uint64_t *ret_last);
/* ax_reg() in the thread's current transaction: TM_OK, TM_JOIN, TM_RESUME, or TMER_... */
int hf__tx_register(hf_tx *tx, hf_instance *instance, XID *ret_xid);
/* Forget the calling thread's list of a tm that closes. */
void hf__tx_free_pool(hf_tm *tm);

/* -- recovery.c ------------------------------------------------------------------------------- */

/* One pass. only: NULL for all but those that have a pass of their own. Waits for another of the
   same, and for a call of another pass to that one. */
int hf__recover(hf_tm *tm, hf_rm *only);

/* -- keep.c ----------------------------------------------------------------------------------- */

enum hf__history_level { HF__HISTORY_WORTHY, HF__HISTORY_ALL, HF__HISTORY_NONE };

/* The transaction is completed, by its owner: tell the history, if it is worth keeping. Does not
   touch the disk. */
void hf__tx_keep(const hf_tx *tx, const hf_result *result, bool committing);

/* -- the record of a transaction, from its branches: completion.c ----------------------------- */

/* A branch of a coordinator as the log keeps it; false: it has no place in a record. */
bool hf__branch_store(const struct hf__coord *c, const struct hf__branch *b,
                      struct hf__rec_branch *ret);
/* And back. */
void hf__branch_load(enum hf__decision decision, const struct hf__rec_branch *from,
                     struct hf__branch *ret);

#endif
