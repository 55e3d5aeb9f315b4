/*
 * tm/log.h - the decision log of a node, and the incarnation that this opening has claimed.
 *
 * Nothing here knows LMDB: a replicated store could stand behind the same calls. In particular
 * nobody may assume that a decision is one commit of a store.
 *
 * What always holds
 *   L1  hf__log_decide() returns HF_OK only when the decision is durable. HF_EUNKNOWN: it may be.
 *       Any other error: it is not, and never will be.
 *   L2  After HF_EUNKNOWN this opening writes nothing any more and has let go of its incarnation's
 *       lock.
 *   L3  A fenced incarnation appends nothing: every batch checks its own state in its own
 *       transaction.
 *   L4  An incarnation's number is durable only under its lock, and is never given out twice.
 *   L5  A resource manager id is never given to another name or identity.
 */
#ifndef HF_TM_LOG_H
#define HF_TM_LOG_H

#include "history.h"
#include "page.h"
#include "record.h"

struct hf__log;

/* Which incarnations were certainly over when the view was taken. */
struct hf__fences {
    uint32_t highest;
    uint32_t flags; /* of the node record */
    uint32_t *open; /* incarnations that may still append, ours among them; free() it */
    uint32_t open_count, open_room;
};

/* Open or make the node in dir, verify all of it, claim an incarnation. Errors as hf_tm_open(). A
   history or a shared page that cannot be opened is not an error: hf__log_warning() tells. */
int hf__log_open(const char *dir, struct hf__log **ret);
/* The same with a nonce of the embedder's, which is compared with the one stored; NULL: none. */
int hf__log_open_with(const char *dir, const char *nonce, struct hf__log **ret);
/* clean: nothing of ours is unfinished but what the log itself tells; the incarnation is closed
   durably. */
void hf__log_close(struct hf__log *log, bool clean);

const unsigned char *hf__log_node(const struct hf__log *log); /* identity, HF__NODE_ID_SIZE */
uint32_t hf__log_incarnation(const struct hf__log *log);
uint32_t hf__log_nonce(const struct hf__log *log); /* of our incarnation: HF__NONCE_BITS bits */
bool hf__log_failed(struct hf__log *log);          /* L2, or fenced */
const char *hf__log_warning(const struct hf__log *log); /* "" if there is none */

/* The durable id of a name and identity (NULL: none), given out if new. */
int hf__log_bind(struct hf__log *log, const char *name, const unsigned char *identity,
                 uint32_t *ret_id);
/* How many branches are owed under other ids of the name: to stores that it reached before. */
int hf__log_owed_to_former(struct hf__log *log, const char *name, uint32_t id, uint32_t *ret);

/* Force a decision to commit. rec->decision, outcome, branches are the caller's; the rest is
   filled in. */
int hf__log_decide(struct hf__log *log, struct hf__rec *rec);
/* Force a record with what branches did by themselves. again: it is in the log, as it was read, if
   rec->sequence says when that was; else it is new. HF_EBUSY: another process was there meanwhile,
   and nothing was written. */
int hf__log_record(struct hf__log *log, struct hf__rec *rec, bool again);
/* The transaction is over everywhere: drop its record with some later batch. Does not block on the
   disk, but when 1,024 are waiting. */
void hf__log_release(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE]);
/* Is it waiting to be dropped? */
bool hf__log_releasing(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE]);
/* Drop what waits to be dropped, now. */
int hf__log_flush(struct hf__log *log);
/* Those that were released, by living and dead incarnations, whose records may be there still: see
   page.h. */
int hf__log_released(struct hf__log *log, struct hf__acks *ret);

/* Where to show what we are doing; never NULL. */
struct hf__live *hf__log_live(struct hf__log *log);

/* Each read is a snapshot of its own, newer than any commit that returned before the call. */
int hf__log_find(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE],
                 struct hf__rec *ret);
int hf__log_each(struct hf__log *log, int (*fn)(void *user, const struct hf__rec *rec), void *user);

/* Fence every dead incarnation: lock, forced record, only then tell. *ret: the state after that. */
int hf__log_fence_dead(struct hf__log *log, struct hf__fences *ret);
int hf__log_fences(struct hf__log *log, struct hf__fences *ret);
bool hf__fenced(const struct hf__fences *f, uint32_t incarnation);
/* Is an XID of that incarnation, with that sequence, one that this log can know of? A restored log
   gives numbers out again, but not with the same nonce. */
int hf__log_knows(struct hf__log *log, uint32_t incarnation, uint64_t sequence, bool *ret);
/* Clear away what killed readers left. */
void hf__log_sweep(struct hf__log *log);
/* Rule 5 of recovery: remember that the log is older than work done under it. */
int hf__log_set_back_in_time(struct hf__log *log);

/* Requests of operators that wait. done: mark it. */
int hf__log_requests(struct hf__log *log, int (*fn)(void *user, const struct hf__request *q),
                     void *user);
int hf__log_request_done(struct hf__log *log, uint64_t number);
/* The same of one to forget, with what came of it. */
int hf__log_request_answer(struct hf__log *log, uint64_t number, int result);
/* Forget what q asks for, and mark it done. tell: the history, first. HF_ENOTFOUND, HF_ESTATE: it
   may not be, and nothing was written. */
int hf__log_forget(struct hf__log *log, struct hf__request *q, bool tell);

/* The history of the same node; NULL: it could not be opened. */
struct hf__history *hf__log_history(struct hf__log *log);
/* Of a transaction under a former identity: left to the original, or in the history. */
int hf__log_former(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE], hf_outcome *ret);

#endif
