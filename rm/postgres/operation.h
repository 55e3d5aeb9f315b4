/*
 * rm/postgres/operation.h - votes and completions: xa_prepare(), xa_commit(), xa_rollback().
 *
 * A call returns its answer, XA_... or XAER_..., or PG_UNDER_WAY: its message is sent, and
 * hf__pg_operation_wait() or _poll() brings the answer. One is under way for an rmid.
 *
 * Threads: one for an rmid.
 */
#ifndef HF_PG_OPERATION_H
#define HF_PG_OPERATION_H

#include "rmid.h"

enum { PG_UNDER_WAY = 1 << 20 };

enum pg_step {
    PG_STEP_NONE,
    PG_STEP_ASK,              /* did the branch change anything? */
    PG_STEP_PREPARE,          /* the check, the token and PREPARE TRANSACTION */
    PG_STEP_COMMIT_READ_ONLY, /* COMMIT of what changed nothing */
    PG_STEP_COMMIT_ONE,       /* the check and COMMIT */
    PG_STEP_COMMIT_PREPARED,
    PG_STEP_ROLLBACK_PREPARED,
    PG_STEP_ROLLBACK,
    PG_STEP_CLEAN, /* ROLLBACK after a vote that failed; the answer is that vote's */
    PG_STEP_COUNT
};

int hf__pg_operation_prepare(struct pg_rmid *entry, const char *gid);
int hf__pg_operation_commit(struct pg_rmid *entry, const char *gid);
int hf__pg_operation_commit_one(struct pg_rmid *entry, const char *gid);
int hf__pg_operation_rollback(struct pg_rmid *entry, const char *gid);

/* The answer of what is under way. */
int hf__pg_operation_wait(struct pg_rmid *entry);
/* The same if it is there; else PG_UNDER_WAY. */
int hf__pg_operation_poll(struct pg_rmid *entry);

#endif
