/*
 * rm/postgres/session.c - a connection: opening it, beginning a branch in it, cleaning up.
 *
 * A branch begins lazily: xa_start() sends nothing. BEGIN goes out with the first statement of
 * hf_postgres_exec(), or when the native connection is asked for. With it goes the *marker*, SET
 * LOCAL holdfast.branch = gid: it lives exactly as long as the transaction, so that a message which
 * finds it is in the transaction that BEGIN began, and not in one that the user began after a
 * COMMIT by hand (operation.c). SET takes no snapshot: SET TRANSACTION is still possible after it.
 *
 * libpq tells an event procedure of every result that it hands out. That is how the statements that
 * a user makes on the native connection are seen: whether one changed something (operation.c asks
 * otherwise), how the last one failed, and whether one ran on a connection that was kept from
 * before, with BEGIN not sent yet: it is not in the branch, which must not say yes then; and that
 * a prepared statement went, for one of them is ours.
 *
 * Threads: as the rmid. The cancel object is made at open and freed at close: another thread may be
 * in PQcancel() at any time between.
 */
#include "session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <libpq-events.h>
#include <poll.h>
#include <time.h>

#include "cut.h"
#include "failure.h"

/* pg_current_xact_id() came with 13. */
enum { SERVER_VERSION_MIN = 130000 };

/* -- what the user does ------------------------------------------------------------------------ */

/* Commands that change nothing which a vote would have to cover; all others do. */
static int is_harmless(const char *tag)
{
    static const char *const harmless[] = {"SELECT",    "SHOW",    "EXPLAIN",   "FETCH", "MOVE",
                                           "SAVEPOINT", "RELEASE", "DECLARE",   "CLOSE", "SET",
                                           "RESET",     "PREPARE", "DEALLOCATE"};

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strncmp(tag, harmless[i], strlen(harmless[i])) == 0)
            return 1;
    return tag[0] == '\0';
}

static void see(struct pg_rmid *e, PGresult *result)
{
    struct pg_branch *b = &e->branch;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (b->state != PG_WORKING && b->state != PG_DOOMED)
        return;
    if (!b->begun)
        b->outside = 1;
    if (sqlstate == NULL) {
        b->wrote = b->wrote || !is_harmless(PQcmdStatus(result));
        return;
    }
    if (strcmp(sqlstate, "25P02") != 0) /* "failed before": what failed is known */
        (void)snprintf(b->sqlstate, sizeof(b->sqlstate), "%s", sqlstate);
}

static int on_event(PGEventId id, void *info, void *pass)
{
    struct pg_rmid *e = pass;
    const char *tag;

    if (id != PGEVT_RESULTCREATE)
        return 1;
    e->heard = 1;
    tag = PQcmdStatus(((PGEventResultCreate *)info)->result);
    if (strcmp(tag, "DEALLOCATE ALL") == 0 || strcmp(tag, "DISCARD ALL") == 0)
        e->vote = PG_VOTE_NEW; /* whoever sent it */
    else if (strcmp(tag, "DEALLOCATE") == 0 && e->vote == PG_VOTE_READY)
        e->vote = PG_VOTE_PLAIN; /* which one is not said: ours may be gone, or still there */
    if (e->own)
        return 1;
    e->used = 1;
    see(e, ((PGEventResultCreate *)info)->result);
    return 1;
}

/*
 * A warning that the wait for a standby was given up: what we asked for is done here, but perhaps
 * nowhere else. What the user's own functions warn of comes from RAISE. All that is not about a
 * statement of ours goes on to libpq's own receiver, and from there to the user's processor.
 */
static void on_notice(void *user, const PGresult *notice)
{
    struct pg_rmid *e = user;
    const char *sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *from = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);

    if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        e->ended = 1; /* nothing was asked: the server's last word */
    if (!e->own) {
        e->receiver(NULL, notice);
        return;
    }
    if (sqlstate == NULL || severity == NULL || strcmp(severity, "WARNING") != 0)
        return;
    if ((strcmp(sqlstate, "01000") != 0 && strncmp(sqlstate, "57P", 3) != 0) ||
        (from != NULL && strcmp(from, "exec_stmt_raise") == 0))
        return;
    e->operation.warned = 1;
    hf__pg_failure_result(e->conn, notice, "not replicated");
}

void hf__pg_session_listen(struct pg_rmid *entry)
{
    (void)PQsetNoticeReceiver(entry->conn, on_notice, entry);
}

/* -- opening and closing ----------------------------------------------------------------------- */

static PGconn *connect_to(const char *conninfo)
{
    static const char *const keys[] = {"fallback_application_name", "dbname", NULL};
    const char *const values[] = {"holdfast", conninfo, NULL};

    return PQconnectdbParams(keys, values, 1);
}

int hf__pg_session_open(struct pg_rmid *entry, const struct pg_openstring *open)
{
    PQconninfoOption *options = PQconninfoParse(open->conninfo, NULL);

    if (options == NULL) {
        hf__pg_failure_note("libpq cannot read the open string, and its words may quote secrets");
        return XAER_INVAL;
    }
    PQconninfoFree(options);
    entry->unsafe = open->unsafe;
    HF_FAULT("postgres:connecting");
    entry->conn = connect_to(open->conninfo);
    PG_CUT("postgres:connected", entry);
    if (PQstatus(entry->conn) != CONNECTION_OK) {
        hf__pg_failure_connection(entry->conn, "connect");
    } else if (PQserverVersion(entry->conn) < SERVER_VERSION_MIN) {
        hf__pg_failure_note("the server is older than PostgreSQL 13");
    } else {
        entry->cancel = PQgetCancel(entry->conn);
        if (entry->cancel != NULL &&
            PQregisterEventProc(entry->conn, on_event, "holdfast", entry)) {
            entry->receiver = PQsetNoticeReceiver(entry->conn, on_notice, entry);
            entry->processor = PQsetNoticeProcessor(entry->conn, NULL, NULL); /* asks only */
            entry->backend = PQbackendPID(entry->conn);
            return XA_OK;
        }
        hf__pg_failure_note("out of memory");
    }
    hf__pg_session_close(entry);
    return XAER_RMERR;
}

void hf__pg_session_close(struct pg_rmid *entry)
{
    PQfinish(entry->conn);
    entry->conn = NULL;
    PQfreeCancel(entry->cancel);
    entry->cancel = NULL;
}

int hf__pg_session_fail(struct pg_rmid *entry)
{
    PQfinish(entry->conn); /* the cancel object stays: it may be in use */
    entry->conn = NULL;
    entry->failed = 1;
    return XAER_RMFAIL;
}

int hf__pg_session_broken(const struct pg_rmid *entry)
{
    return PQstatus(entry->conn) != CONNECTION_OK;
}

/* -- beginning --------------------------------------------------------------------------------- */

size_t hf__pg_session_begin_text(const struct pg_rmid *entry, char ret[PG_BEGIN_SIZE])
{
    static const char text[] = "BEGIN;SET LOCAL holdfast.branch='";
    size_t size = strlen(entry->branch.gid), at = sizeof(text) - 1;

    static_assert(sizeof(text) + PG_GID_SIZE + 1 < PG_BEGIN_SIZE, "it fits");

    memcpy(ret, text, at);
    memcpy(ret + at, entry->branch.gid, size);
    memcpy(ret + at + size, "'", 2);
    return at + size + 1;
}

PGresult *hf__pg_session_query(struct pg_rmid *entry, const char *sql)
{
    PGresult *result;

    entry->own = 1;
    result = PQexec(entry->conn, sql);
    entry->own = 0;
    return result;
}

void hf__pg_session_spoil(struct pg_rmid *entry, const PGresult *why)
{
    const char *sqlstate = PQresultErrorField(why, PG_DIAG_SQLSTATE);
    int code = hf__pg_sqlstate_answer(sqlstate != NULL ? sqlstate : "", PG_ASKED_VOTE);

    entry->branch.state = PG_DOOMED;
    entry->branch.spoilt = code == XAER_RMFAIL ? XA_RBCOMMFAIL : code;
}

int hf__pg_session_begin(struct pg_rmid *entry)
{
    char sql[PG_BEGIN_SIZE];
    PGresult *result;
    int rc = XA_OK;

    if (PQtransactionStatus(entry->conn) != PQTRANS_IDLE) /* its answers go unseen, by PQexec() */
        entry->branch.outside = entry->used = 1;
    (void)hf__pg_session_begin_text(entry, sql);
    PG_CUT("postgres:begin-sending", entry);
    result = hf__pg_session_query(entry, sql);
    PG_CUT("postgres:begun", entry);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        hf__pg_failure_result(entry->conn, result, "begin");
        rc = hf__pg_session_broken(entry) ? hf__pg_session_fail(entry) : XAER_RMERR;
        hf__pg_session_spoil(entry, result);
    } else {
        entry->branch.begun = 1;
    }
    PQclear(result);
    return rc;
}

/* -- cleaning up ------------------------------------------------------------------------------- */

enum {
    DRAIN_TRIES = 50,   /* cancels, until the connection is given up */
    DRAIN_WAIT_MS = 100 /* after each */
};

/* Drop what is there. 1: the query is over; 0: the rest is still to come; -1: it never ends. */
static int drop_results(PGconn *conn)
{
    /* Bound: a server that is cancelled does not go on for ever; each result is one message. */
    while (PQconsumeInput(conn) == 1 && !PQisBusy(conn)) {
        PGresult *result = PQgetResult(conn);
        ExecStatusType status = PQresultStatus(result);

        PQclear(result);
        if (result == NULL)
            return 1;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return -1;
    }
    return PQstatus(conn) == CONNECTION_OK ? 0 : -1;
}

/* A cancel that comes before the server has begun with the query is lost: it is sent again. */
static int cancel_and_drop(struct pg_rmid *e)
{
    struct pollfd socket = {.fd = PQsocket(e->conn), .events = POLLIN};
    char text[256];
    int over = 0;

    e->own = 1;
    for (int i = 0; i < DRAIN_TRIES && over == 0; i++) {
        (void)PQcancel(e->cancel, text, sizeof(text)); /* it is tried again */
        (void)poll(&socket, 1, DRAIN_WAIT_MS);
        over = drop_results(e->conn);
    }
    e->own = 0;
    return over == 1;
}

int hf__pg_session_drain(struct pg_rmid *entry)
{
    if (PQpipelineStatus(entry->conn) != PQ_PIPELINE_OFF || hf__pg_session_broken(entry))
        return hf__pg_session_fail(entry);
    if (PQtransactionStatus(entry->conn) != PQTRANS_ACTIVE)
        return XA_OK;
    entry->used = 1; /* what it answers is read as ours, but it was the user's */
    if (cancel_and_drop(entry) && PQtransactionStatus(entry->conn) != PQTRANS_ACTIVE)
        return XA_OK;
    return hf__pg_session_fail(entry);
}

/* -- answers within a time --------------------------------------------------------------------- */

int64_t hf__pg_session_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Read until the next result is here. 0: the time is over, or the connection. */
static int wait_result(PGconn *conn, int64_t end_ms, int limited)
{
    struct pollfd socket = {.fd = PQsocket(conn), .events = POLLIN};

    while (PQisBusy(conn)) { /* bound: the time; without a limit as PQgetResult() */
        int64_t left_ms = limited ? end_ms - hf__pg_session_now_ms() : -1;

        if (limited && left_ms <= 0)
            return 0;
        (void)poll(&socket, 1, (int)left_ms); /* whatever it says, reading tells */
        if (PQconsumeInput(conn) != 1)
            return 0;
    }
    return 1;
}

int hf__pg_session_gather(struct pg_rmid *entry, int timeout_ms)
{
    int64_t end_ms = hf__pg_session_now_ms() + timeout_ms;
    int good = 1;
    PGresult *result;

    entry->own = 1;
    do { /* bound: one command was sent */
        ExecStatusType status;

        if (!wait_result(entry->conn, end_ms, timeout_ms >= 0)) {
            good = 0;
            break;
        }
        result = PQgetResult(entry->conn);
        status = PQresultStatus(result);
        good =
            good && (result == NULL || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY);
        PQclear(result);
    } while (result != NULL);
    entry->own = 0;
    entry->heard = 0; /* the pool's own question: it was asked before the user who is next */
    return good && PQtransactionStatus(entry->conn) == PQTRANS_IDLE;
}

int hf__pg_session_settle(struct pg_rmid *entry, int timeout_ms)
{
    if (!entry->cleaning)
        return XA_OK;
    entry->cleaning = entry->used = 0;
    return hf__pg_session_gather(entry, timeout_ms) ? XA_OK : hf__pg_session_fail(entry);
}
