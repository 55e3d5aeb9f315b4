/*
 * holdfast/inspect.h - read a node from outside, live or dead, for tools.
 *
 * Reads short snapshots of the decision log and the history and holds none between calls, so a
 * stopped reader pins nothing. What it can write is a request to the processes that have the node
 * open, and, if none has, that a transaction is forgotten, and the adoption of a node that was
 * moved or copied. A damaged log can crash LMDB itself: a tool that meets unknown logs calls
 * hf_inspect_verify() in a child.
 */
#ifndef HOLDFAST_INSPECT_H
#define HOLDFAST_INSPECT_H

#include "holdfast/base.h"

HF_BEGIN_DECLS

/** A node opened for reading. One thread at a time. */
typedef struct hf_inspect hf_inspect;

typedef struct hf_inspect_node {
    size_t size;           /**< set by the caller */
    char identity[33];     /**< hex */
    uint32_t format;       /**< of the log */
    uint32_t highest;      /**< the highest incarnation ever given out */
    uint32_t alive;        /**< processes that have the node open now */
    uint32_t back_in_time; /**< 1: the log was found to be older than work done under it */
    uint64_t created_ms;   /**< since 1970 */
    uint64_t records;      /**< in the decision log */
    uint64_t sequence;     /**< of the last record written */
    uint64_t file_bytes;   /**< of the decision log */
    uint64_t map_bytes;    /**< of its map */
    const char *lmdb;      /**< version of LMDB in use; static */
    char former[33];       /**< hex: the identity of the original, if it was copied; else "" */
    uint32_t moved;        /**< 1: it is not where it was: hf_tm_open() answers HF_EMOVED */
    char moved_text[256];  /**< what differs */
} hf_inspect_node;

enum hf_incarnation_state { HF_INC_OPEN = 1, HF_INC_CLOSED = 2, HF_INC_FENCED = 3 };

typedef struct hf_inspect_incarnation {
    size_t size;
    uint32_t number;
    uint32_t state;      /**< enum hf_incarnation_state, as the log says */
    uint32_t alive;      /**< 1: a process holds its lock */
    int64_t pid;         /**< of the process that claimed it */
    uint64_t claimed_ms; /**< since 1970 */
    /** 1: the process shows what it is doing, or what it did until it died: the numbers below, as
        in hf_tm_stats. 0: they are not known, and 0 */
    uint32_t counted;
    uint64_t begun;
    uint64_t committed;
    uint64_t rolledback;
    uint64_t active;
    uint64_t owed;
    uint64_t unconfirmed;
    uint64_t alarms;
} hf_inspect_incarnation;

typedef struct hf_inspect_rm {
    size_t size;
    uint32_t id;           /**< durable id */
    uint32_t has_identity; /**< 0: the name alone */
    char name[32];
    unsigned char identity[32];
    uint64_t owed;     /**< branches in the decision log that wait for it */
    uint64_t since_ms; /**< the oldest decision among them; 0: none */
} hf_inspect_rm;

/** State of a branch in a record. Stored: never renumbered. */
enum hf_branch_state {
    HF_BRANCH_OWED = 1,        /**< has to be told */
    HF_BRANCH_UNCONFIRMED = 2, /**< told; the answer proves nothing */
    HF_BRANCH_DONE = 3,        /**< ended as decided, acknowledged or proved */
    HF_BRANCH_HEUR_COMMIT = 4, /**< committed by itself, or against a rollback */
    HF_BRANCH_HEUR_ROLLBACK = 5,
    HF_BRANCH_HEUR_MIXED = 6,
    HF_BRANCH_HEUR_HAZARD = 7
};

typedef struct hf_inspect_branch {
    uint32_t rm_id;
    uint32_t number;
    uint32_t state;   /**< enum hf_branch_state */
    int32_t code;     /**< the resource manager's last answer */
    char rm_name[32]; /**< "" if the id is not in the log */
} hf_inspect_branch;

/** A call of a timeline. Stored: never renumbered. */
enum hf_inspect_call_kind {
    HF_CALL_START = 1, /**< xa_start */
    HF_CALL_END = 2,
    HF_CALL_PREPARE = 3,
    HF_CALL_COMMIT = 4,
    HF_CALL_COMMIT_ONE = 5, /**< xa_commit, one phase */
    HF_CALL_ROLLBACK = 6,
    HF_CALL_FORGET = 7,
    HF_CALL_PROBE = 8,   /**< what became of the branch? code: enum hf_probe */
    HF_CALL_DECIDE = 9,  /**< the decision was forced into the log; code: a result code */
    HF_CALL_RECORD = 10, /**< what branches did by themselves was; code: a result code */
    HF_CALL_DETACH = 11  /**< a stale session was to be got rid of; code: 0, or the hook's own */
};

/** Why a transaction is in the history: bits. Stored: never renumbered. */
enum hf_inspect_kept {
    HF_KEPT_SLOW = 1,         /**< it took hf_tm_config.slow_ms */
    HF_KEPT_FAILED = 2,       /**< not committed, though asked for; or not finished at once */
    HF_KEPT_RECOVERED = 4,    /**< recovery ended it */
    HF_KEPT_HEURISTIC = 8,    /**< mixed, hazard, or a branch decided by itself */
    HF_KEPT_UNCONFIRMED = 16, /**< it left the log by hf_tm_config.unconfirmed_ms */
    HF_KEPT_ALL = 32,         /**< all are kept */
    HF_KEPT_FORCED = 64       /**< an operator forgot it: who and why is the span's text */
};

typedef struct hf_inspect_event {
    uint32_t call;   /**< enum hf_inspect_call_kind */
    uint32_t rm_id;  /**< 0: the log's, or not known */
    uint32_t number; /**< of the branch; 0: the log's */
    int32_t code;    /**< the answer */
    uint64_t at_us;  /**< since the span began */
    uint64_t took_us;
    char rm_name[32]; /**< "" if there is none, or the id is not in the log */
} hf_inspect_event;

/** What one incarnation did for a transaction, call by call. */
typedef struct hf_inspect_span {
    uint32_t incarnation;
    uint32_t by_recovery; /**< 0: the transaction's owner; 1: a recovery pass */
    uint32_t kept;        /**< bits of enum hf_inspect_kept */
    uint32_t lost;        /**< events that did not fit */
    uint64_t began_ms;    /**< since 1970 */
    uint64_t took_us;
    char rm[32];    /**< of the call that decided or spoilt the transaction; "" if none did */
    char call[16];  /**< that call: "xa_prepare", "log", "deadline", ...; "" if none did */
    char text[160]; /**< and why, in the resource manager's words if it has any */
    uint32_t event_count;
    /** In the order in which the calls began, and those with TMASYNC until their answers were
        fetched. Borrowed for the call */
    const hf_inspect_event *events;
} hf_inspect_span;

typedef struct hf_inspect_tx {
    size_t size;
    XID xid;              /**< bqual_length 0 */
    uint32_t outcome;     /**< hf_outcome */
    uint32_t by_recovery; /**< history: recovery ended it, not its own thread */
    uint64_t decided_ms;  /**< since 1970 */
    uint32_t branch_count;
    const hf_inspect_branch *branches; /**< borrowed for the call */
    uint32_t written_by;               /**< the incarnation that wrote the record last */
    /** history: 1: unfinished when this node was copied; the original finishes it, and what became
        of it is not known here */
    uint32_t left;
    /** history: 1: it was not over everywhere when this was written; the decision log may say
        more */
    uint32_t open;
    uint32_t span_count;          /**< history: 0 in older entries */
    const hf_inspect_span *spans; /**< borrowed for the call */
} hf_inspect_tx;

typedef struct hf_inspect_request {
    size_t size;
    uint64_t number;
    uint32_t verb;        /**< enum hf_request_verb */
    uint32_t state;       /**< 0 waiting, 1 done */
    uint32_t uid;         /**< who asked */
    uint32_t incarnation; /**< who did it */
    uint64_t asked_ms;
    uint64_t done_ms;
    char reason[128];
    XID xid;        /**< HF_REQUEST_FORGET: which; bqual_length 0 */
    int32_t result; /**< HF_REQUEST_FORGET, done: what came of it, a result code */
} hf_inspect_request;

/** Stored: never renumbered. Adoptions are not asked for but done; they are listed as requests. */
enum hf_request_verb {
    HF_REQUEST_RECOVER = 1,
    HF_REQUEST_FORGET = 2,
    HF_REQUEST_ADOPT_MOVED = 16,
    HF_REQUEST_ADOPT_COPIED = 17
};

/** Open. @retval HF_OK, HF_ENOTFOUND, HF_ENOTNODE, HF_EOWNER, HF_EOPEN (in this very process),
    HF_ENEWER,
    HF_EDAMAGED, HF_EBUSY, HF_EIO, HF_ENOMEM, HF_EINVAL. Nothing is left open on error. */
HF_API int hf_inspect_open(const char *dir, hf_inspect **ret) HF_MUST_CHECK;
/** LMDB's name and version, as the library runs on it. Static. Any thread. */
HF_API const char *hf_inspect_lmdb_version(void);
/** NULL is allowed. */
HF_API void hf_inspect_close(hf_inspect *in);

/** All of these: HF_OK, HF_EDAMAGED, HF_EIO, HF_EINVAL; callbacks that return other than 0 end the
    walk, and that number is returned. */
HF_API int hf_inspect_get_node(hf_inspect *in, hf_inspect_node *ret);
HF_API int hf_inspect_incarnations(hf_inspect *in,
                                   int (*fn)(void *, const hf_inspect_incarnation *), void *user);
HF_API int hf_inspect_rms(hf_inspect *in, int (*fn)(void *, const hf_inspect_rm *), void *user);
/** The decision log: decided, and not finished everywhere or kept for an operator. */
HF_API int hf_inspect_transactions(hf_inspect *in, int (*fn)(void *, const hf_inspect_tx *),
                                   void *user);
/** The history: what was left to the original of a copied node, then finished transactions that
    were worth keeping, oldest first. */
HF_API int hf_inspect_history(hf_inspect *in, int (*fn)(void *, const hf_inspect_tx *), void *user);
HF_API int hf_inspect_requests(hf_inspect *in, int (*fn)(void *, const hf_inspect_request *),
                               void *user);

/** Walk the whole log and history and check every record. HF_EDAMAGED: hf_error_last() names the
    damage. */
HF_API int hf_inspect_verify(hf_inspect *in) HF_MUST_CHECK;

/** Ask the processes that have the node open to do something; they look within a second.
    @param reason  Kept with the request; cut at 127 bytes. @param ret_number  Of the request.
    @retval HF_OK  durable. HF_EUNKNOWN, HF_EFULL, HF_EIO, HF_EINVAL. */
HF_API int hf_inspect_ask(hf_inspect *in, int verb, const char *reason,
                          uint64_t *ret_number) HF_MUST_CHECK;

/**
 * Forget a transaction that stays in the decision log because a branch of it decided by itself. It
 * moves to the history (HF_KEPT_FORCED), with uid, time and reason.
 *
 * If a process has the node open it is asked to: hf_inspect_requests() says when the request is
 * done, and with which result. If nobody has, it is done at once, and leaves a request that is done
 * in the same list.
 *
 * @param xid         Any XID of the transaction; only the gtrid counts.
 * @param reason      Kept; cut at 127 bytes. May be NULL.
 * @param ret_number  Of the request. Written on success only.
 *
 * @retval HF_OK         asked or done, and durable.
 * @retval HF_ESTATE     something of it is still owed, or no branch of it decided by itself.
 * @retval HF_ENOTFOUND  it is not in the decision log.
 * @retval HF_EOWNED     a process has opened the node just now: try again.
 * @retval HF_EMOVED     the node was moved or copied: it has to be adopted first.
 * @retval HF_EUNKNOWN, HF_EFULL, HF_EDAMAGED, HF_EBUSY, HF_EIO, HF_EINVAL, HF_ENOMEM
 * In every error but HF_EUNKNOWN the decision log is as it was.
 */
HF_API int hf_inspect_forget(hf_inspect *in, const XID *xid, const char *reason,
                             uint64_t *ret_number) HF_MUST_CHECK;

/** What became of a node that is not where it was. */
enum hf_adopt { HF_ADOPT_MOVED = 1, HF_ADOPT_COPIED = 2 };

/**
 * Take a node as one that lives here, so that hf_tm_open() opens it again.
 *
 * @param how     HF_ADOPT_MOVED: the original is gone. The node keeps its identity and finishes
 *                what is unfinished. Also for a node restored from a backup in place of the lost
 *                one, and for a copy with copies of all its resource managers, cut off from the
 *                original's.
 *                HF_ADOPT_COPIED: the original lives. The node gets a new identity for new
 *                transactions. Those of the old one are left to the original: listed in the
 *                history, and never touched from here.
 *                To take a copy for moved while the original runs loses transactions: both would
 *                roll back what the other has prepared.
 * @param reason  Kept with uid and time, in the list of requests; cut at 127 bytes. May be NULL.
 *
 * @retval HF_OK      durable. Also for a node that is where it was: a clone of a whole machine
 *                    differs in nothing, and is told that it is a copy in this way.
 * @retval HF_EOWNED  a process has the node open.
 * @retval HF_EUNKNOWN, HF_EFULL, HF_EDAMAGED, HF_ENOTNODE, HF_EBUSY, HF_EIO, HF_EINVAL, HF_ENOMEM
 * In every error but HF_EUNKNOWN nothing was written.
 */
HF_API int hf_inspect_adopt(hf_inspect *in, int how, const char *reason) HF_MUST_CHECK;

HF_END_DECLS

#endif
