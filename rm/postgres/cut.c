/*
 * rm/postgres/cut.c - see cut.h. An empty file in a release.
 */
#include "cut.h"

#ifdef HF_FAULTS

#include <sys/socket.h>

#include "operation.h"

void hf__pg_cut(struct pg_rmid *entry)
{
    (void)shutdown(PQsocket(entry->conn), SHUT_RDWR); /* it may be broken already */
    entry->operation.ended = 1;
}

static int breaks_sending(enum pg_step step)
{
    switch (step) {
    case PG_STEP_ASK:
        return HF_FAULT_FAILS("postgres:ask-sending");
    case PG_STEP_PREPARE:
        return HF_FAULT_FAILS("postgres:prepare-sending");
    case PG_STEP_COMMIT_READ_ONLY:
        return HF_FAULT_FAILS("postgres:read-only-sending");
    case PG_STEP_COMMIT_ONE:
        return HF_FAULT_FAILS("postgres:onephase-sending");
    case PG_STEP_COMMIT_PREPARED:
        return HF_FAULT_FAILS("postgres:commit-sending");
    case PG_STEP_ROLLBACK_PREPARED:
        return HF_FAULT_FAILS("postgres:rollback-prepared-sending");
    case PG_STEP_ROLLBACK:
        return HF_FAULT_FAILS("postgres:rollback-sending");
    case PG_STEP_CLEAN:
        return HF_FAULT_FAILS("postgres:clean-sending");
    default:
        return 0;
    }
}

static int breaks_sent(enum pg_step step)
{
    switch (step) {
    case PG_STEP_ASK:
        return HF_FAULT_FAILS("postgres:ask-sent");
    case PG_STEP_PREPARE:
        return HF_FAULT_FAILS("postgres:prepare-sent");
    case PG_STEP_COMMIT_READ_ONLY:
        return HF_FAULT_FAILS("postgres:read-only-sent");
    case PG_STEP_COMMIT_ONE:
        return HF_FAULT_FAILS("postgres:onephase-sent");
    case PG_STEP_COMMIT_PREPARED:
        return HF_FAULT_FAILS("postgres:commit-sent");
    case PG_STEP_ROLLBACK_PREPARED:
        return HF_FAULT_FAILS("postgres:rollback-prepared-sent");
    case PG_STEP_ROLLBACK:
        return HF_FAULT_FAILS("postgres:rollback-sent");
    case PG_STEP_CLEAN:
        return HF_FAULT_FAILS("postgres:clean-sent");
    default:
        return 0;
    }
}

static int breaks_answered(enum pg_step step)
{
    switch (step) {
    case PG_STEP_ASK:
        return HF_FAULT_FAILS("postgres:ask-answered");
    case PG_STEP_PREPARE:
        return HF_FAULT_FAILS("postgres:prepare-answered");
    case PG_STEP_COMMIT_READ_ONLY:
        return HF_FAULT_FAILS("postgres:read-only-answered");
    case PG_STEP_COMMIT_ONE:
        return HF_FAULT_FAILS("postgres:onephase-answered");
    case PG_STEP_COMMIT_PREPARED:
        return HF_FAULT_FAILS("postgres:commit-answered");
    case PG_STEP_ROLLBACK_PREPARED:
        return HF_FAULT_FAILS("postgres:rollback-prepared-answered");
    case PG_STEP_ROLLBACK:
        return HF_FAULT_FAILS("postgres:rollback-answered");
    case PG_STEP_CLEAN:
        return HF_FAULT_FAILS("postgres:clean-answered");
    default:
        return 0;
    }
}

void hf__pg_cut_step(struct pg_rmid *entry, enum pg_moment moment)
{
    enum pg_step step = (enum pg_step)entry->operation.step;

    if (moment == PG_SENDING ? breaks_sending(step)
        : moment == PG_SENT  ? breaks_sent(step)
                             : breaks_answered(step))
        hf__pg_cut(entry);
}

#else

typedef int hf__pg_cut_nothing; /* ISO C wants a declaration */

#endif
