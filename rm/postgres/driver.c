/*
 * rm/postgres/driver.c - what a pool needs between two users: the hooks of a holder; reset and
 * validate, for a pool of another make.
 *
 * In a branch there is nothing to clean: its transaction goes on when its user has freed it, and
 * its end sees to what he left unfinished (association.c, operation.c). What comes back to the pool
 * is looked at by what libpq knows of it without asking.
 *
 * Invariants
 *   P1  No connection is handed out with a transaction, a query, a COPY or a pipeline that somebody
 *       else began, nor with an answer that he did not read: clean() looks when it comes back,
 *       validate() when it is handed out. Nor is one whose session is not the one that was opened.
 *   P2  No transaction waits for a round trip of the pool's. DISCARD ALL, which
 *       hf_postgres_hooks_clean wants, is sent when the connection comes back, and its answer is
 *       read by what uses it next: by then it is there as a rule. If it failed the connection is
 *       not used.
 *   P3  A connection that the server closed is noticed without a round trip: its socket has
 *       something to read, and nobody has asked for anything. One that was idle for longer may be
 *       dead without a word (a machine that is gone, a firewall that forgot): it is asked, within
 *       the time that the holder gives.
 *
 * DISCARD ALL cannot travel with BEGIN: in a message with other statements the server refuses it,
 * and libpq sends a second message before the answer to the first one only in its pipeline mode,
 * which takes one statement at a time.
 *
 * Threads: as the rmid; of the holder, one at a time.
 */
#include <poll.h>
#include <stdio.h>

#include "association.h"
#include "failure.h"
#include "holdfast/postgres.h"
#include "operation.h"
#include "session.h"

enum {
    QUIET_MS = 10000, /* idle for longer: it is asked */
    LOOKS_MAX = 16    /* reads of what came by itself; a session that listens may get much */
};

static int is_busy(const struct pg_rmid *e)
{
    return e->operation.step != PG_STEP_NONE || e->operation.handle != 0 ||
           hf__pg_branch_is_unfinished(&e->branch);
}

static int refuse(int code, const char *why)
{
    if (why != NULL)
        hf__pg_failure_note(why);
    return code;
}

/* The entry, if it has a connection and no branch that is not prepared. */
static int find_free(int rmid, struct pg_rmid **ret)
{
    struct pg_rmid *e;

    hf__pg_failure_begin(rmid);
    if (hf__pg_rmid_is_forked())
        return refuse(HF_EFORK, "used in a child process after fork");
    *ret = e = hf__pg_rmid_find(rmid);
    if (e == NULL)
        return refuse(HF_EINVAL, "no such rmid is open");
    if (e->failed || hf__pg_session_settle(e, -1) != XA_OK)
        return refuse(HF_ERM, "the connection broke earlier");
    if (is_busy(e))
        return refuse(HF_ESTATE, "the connection has a branch that is not prepared");
    return HF_OK;
}

static int command(struct pg_rmid *e, const char *sql)
{
    PGresult *result = hf__pg_session_query(e, sql);
    int good =
        PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_EMPTY_QUERY;

    if (!good)
        hf__pg_failure_result(e->conn, result, "reset");
    PQclear(result);
    return good ? HF_OK : HF_ERM;
}

int hf_postgres_reset(int rmid)
{
    struct pg_rmid *e = NULL;
    int rc = find_free(rmid, &e);

    if (rc != HF_OK)
        return rc;
    if (hf__pg_session_drain(e) != XA_OK)
        return HF_ERM;
    if (PQtransactionStatus(e->conn) != PQTRANS_IDLE)
        rc = command(e, "ROLLBACK");
    if (rc == HF_OK)
        rc = command(e, "DISCARD ALL");
    e->used = e->used && rc != HF_OK;
    return rc;
}

int hf_postgres_validate(int rmid)
{
    struct pg_rmid *e = NULL;
    int rc = find_free(rmid, &e);

    if (rc != HF_OK)
        return rc;
    if (hf__pg_session_broken(e))
        return HF_ERM;
    if (PQtransactionStatus(e->conn) != PQTRANS_IDLE)
        return HF_ESTATE;
    return command(e, "");
}

/* -- the hooks of a holder --------------------------------------------------------------------- */

/* The entry, if it is one that a pool may use. What the thread's last failure was stays noted: the
   user may ask for it after his commit, which is where we are called. */
static struct pg_rmid *find_idle(int rmid)
{
    struct pg_rmid *e = hf__pg_rmid_is_forked() ? NULL : hf__pg_rmid_find(rmid);

    return e != NULL && !e->failed && !is_busy(e) ? e : NULL;
}

/* In no transaction, no query, no pipeline, and nothing of an answer is left. */
static int is_at_rest(const struct pg_rmid *e)
{
    return PQpipelineStatus(e->conn) == PQ_PIPELINE_OFF &&
           PQtransactionStatus(e->conn) == PQTRANS_IDLE && PQbackendPID(e->conn) == e->backend;
}

/* What the user set in libpq's own object, and would come back to him. */
static void restore(struct pg_rmid *e)
{
    (void)PQsetnonblocking(e->conn, 0); /* fails only if the connection broke */
    (void)PQsetErrorVerbosity(e->conn, PQERRORS_DEFAULT);
    (void)PQsetNoticeProcessor(e->conn, e->processor, NULL);
    hf__pg_session_listen(e);
    PQuntrace(e->conn);
}

static int clean(void *user, int rmid)
{
    struct pg_rmid *e = find_idle(rmid);
    int rc = HF_OK;

    (void)user;
    if (e == NULL || PQbackendPID(e->conn) != e->backend)
        return HF_ERM;
    restore(e);
    if (!is_at_rest(e))
        rc = hf_postgres_reset(rmid);
    if (e->heard)
        e->heard_ms = hf__pg_session_now_ms();
    e->heard = 0;
    return rc;
}

static int clean_all(void *user, int rmid)
{
    int rc = clean(user, rmid);
    struct pg_rmid *e = rc == HF_OK ? hf__pg_rmid_find(rmid) : NULL;

    if (e == NULL || !e->used)
        return rc;
    if (PQsendQuery(e->conn, "DISCARD ALL") != 1)
        return HF_ERM;
    e->cleaning = 1;
    return HF_OK;
}

/* What came by itself: the server's last word, or the end of the connection (P3). */
static int is_open(struct pg_rmid *e)
{
    struct pollfd socket = {.fd = PQsocket(e->conn), .events = POLLIN};
    int good = 1;

    e->own = 1;
    for (int i = 0; good && i < LOOKS_MAX && poll(&socket, 1, 0) != 0; i++)
        good = PQconsumeInput(e->conn) == 1 && !PQisBusy(e->conn);
    e->own = 0;
    return good && !e->ended && !hf__pg_session_broken(e);
}

static int validate(void *user, int rmid, uint32_t timeout_ms)
{
    struct pg_rmid *e = find_idle(rmid);
    int limit_ms = timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX;
    int64_t now_ms = hf__pg_session_now_ms();

    (void)user;
    if (e == NULL || hf__pg_session_settle(e, limit_ms) != XA_OK || !is_at_rest(e) || !is_open(e))
        return HF_ERM;
    if (now_ms - e->heard_ms < QUIET_MS)
        return HF_OK;
    if (PQsendQuery(e->conn, "") == 1 && hf__pg_session_gather(e, limit_ms)) {
        e->heard_ms = now_ms;
        return HF_OK;
    }
    (void)hf__pg_session_fail(e);
    return HF_ERM;
}

const hf_xa_hooks hf_postgres_hooks = {
    .size = sizeof(hf_xa_hooks),
    .validate = validate,
    .clean = clean,
};

const hf_xa_hooks hf_postgres_hooks_clean = {
    .size = sizeof(hf_xa_hooks),
    .validate = validate,
    .clean = clean_all,
};
