/*
 * rm/postgres/operation.c - votes and completions, as messages to the server and what they prove.
 *
 * Each step is one simple-query message: the server runs its statements in order and drops the rest
 * after an error, so that the check guards what follows it in the same message.
 *
 *   prepare, the branch changed something    check, token; PREPARE TRANSACTION gid
 *   prepare, only queries were seen          check, xid              then COMMIT, or the above
 *   prepare, nothing was sent                no message: XA_RDONLY
 *   one phase                                SELECT check; COMMIT
 *   commit, rollback of a prepared one       COMMIT PREPARED gid, ROLLBACK PREPARED gid
 *   rollback of another                      ROLLBACK
 *
 * Invariants
 *   O1  A yes covers all of the user's work (invariant 12): the check finds the marker that was set
 *       with BEGIN. After a COMMIT by hand it is gone, and the SELECT fails, by a cast that cannot
 *       be made, before PREPARE.
 *   O2  A yes is the command tag PREPARE TRANSACTION, with no warning that the wait for a standby
 *       was given up. In a failed transaction PREPARE answers ROLLBACK, and no error.
 *   O3  An error to PREPARE is a rollback. What is sent after it is ROLLBACK at most, never
 *       ROLLBACK PREPARED: with 42710 the gid is somebody else's.
 *   O4  A session that ends, or a connection that breaks, proves nothing: XAER_RMFAIL, and the
 *       connection is not used again.
 *
 * If the server or we die after ...     the server has             recovery
 *   the message is sent                 nothing, or the branch,    rolls it back, also when it
 *                                       now or a little later      appears after the first scan
 *   PREPARE was answered                the branch                 by the decision
 *   COMMIT PREPARED is sent             the branch, or its end     commits again; NOTA: the probe
 *   the vote of a read-only branch      nothing                    has nothing to do
 *
 * Read-only. Two messages without a flush (query, COMMIT) stand against two with one each (PREPARE,
 * COMMIT PREPARED), and no line in the decision log. It is asked only where each statement that
 * libpq showed us was a query: a branch that wrote is never asked. One whose queries wrote, by a
 * function or FOR UPDATE, pays a round trip more. Serializable branches are committed like all
 * others: COMMIT checks them, where a ROLLBACK would not.
 *
 * The check of a vote is a query of five functions, and to parse and plan it costs a server more
 * than to run it. So the second vote of a session makes a prepared statement of it, by SQL and in
 * the same message, and those that follow execute that. A connection that is reset after each
 * transaction never gets so far. Who deallocates all is seen (session.c), and who deallocates one:
 * it may have been ours, and the user's take its name, so that from then on the check is a query.
 * Who does so in a function, or has a statement of that name, makes one vote a no (26000, 42P05),
 * and the next one is sent otherwise.
 *
 * The token is the transaction id, the timeline and the WAL position at the check. Whatever the
 * branch made durable was in the WAL before that position, under this id or a higher one, so that a
 * history which contains the position never gives the id away again (ext.c).
 *
 * Threads: one for an rmid; nothing is locked while a message is under way.
 * Spec: [XA] xa_prepare(), xa_commit(), xa_rollback(); table 6-4; DESIGN: verified outcomes.
 */
#include "operation.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "association.h"
#include "cut.h"
#include "failure.h"
#include "holdfast/internal/fault.h"
#include "session.h"
#include "token.h"

enum { SQL_SIZE = 2048 };

/* -- the messages ------------------------------------------------------------------------------ */

/* In pg_catalog's own names: a search path of the user's changes nothing. */
#define MARKER "pg_catalog.current_setting('holdfast.branch',true)"
#define CHECK(gid, then)                                                                           \
    "SELECT CASE WHEN pg_catalog.texteq(" MARKER "," gid ")THEN " then " ELSE pg_catalog.concat("  \
    "'not the transaction that began the branch, but: '," MARKER                                   \
    ")::pg_catalog.int4::pg_catalog.text END"
#define XID_TEXT "pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text"
/* What a one-phase commit acknowledges is on disk, also with synchronous_commit off. */
#define FLUSHED                                                                                    \
    "CASE pg_catalog.current_setting('synchronous_commit')WHEN 'off'THEN "                         \
    "pg_catalog.set_config('synchronous_commit','on',true)END"

#define VOTE(gid)                                                                                  \
    CHECK(gid, XID_TEXT)                                                                           \
    ",pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()),"                         \
    "pg_catalog.pg_current_wal_insert_lsn()"

#define UNCHECKED                                                                                  \
    "SELECT " XID_TEXT ",pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()),"      \
    "pg_catalog.pg_current_wal_insert_lsn()"
#define PREPARED "PREPARE holdfast_vote(pg_catalog.text)AS " VOTE("$1") ";"
#define EXECUTED "EXECUTE holdfast_vote('%s')"

/* The first part of a vote's message, by enum pg_vote. */
static const struct {
    const char *sql;
    int check; /* which of the message's statements is the check */
} votes[PG_VOTE_COUNT] = {
    [PG_VOTE_NEW] = {VOTE("'%s'"), 1},
    [PG_VOTE_AGAIN] = {PREPARED EXECUTED, 2},
    [PG_VOTE_READY] = {EXECUTED, 1},
    [PG_VOTE_PLAIN] = {VOTE("'%s'"), 1},
};

/* A message has its gid once or twice. */
static const struct {
    const char *sql;
    const char *when; /* for an error's text */
    const char *tag;  /* of the last command, if all is well */
    int votes;        /* one of votes goes before it */
} steps[PG_STEP_COUNT] = {
    [PG_STEP_ASK] = {CHECK("'%s'", XID_TEXT), "prepare", "SELECT 1", 0},
    [PG_STEP_PREPARE] = {";PREPARE TRANSACTION '%s'", "prepare", "PREPARE TRANSACTION", 1},
    [PG_STEP_COMMIT_READ_ONLY] = {"COMMIT", "read-only vote", "COMMIT"},
    [PG_STEP_COMMIT_ONE] = {CHECK("'%s'", FLUSHED) ";COMMIT", "commit in one phase", "COMMIT"},
    [PG_STEP_COMMIT_PREPARED] = {"COMMIT PREPARED '%s'", "commit", "COMMIT PREPARED"},
    [PG_STEP_ROLLBACK_PREPARED] = {"ROLLBACK PREPARED '%s'", "rollback", "ROLLBACK PREPARED"},
    [PG_STEP_ROLLBACK] = {"ROLLBACK", "rollback", "ROLLBACK"},
    [PG_STEP_CLEAN] = {"ROLLBACK", "rollback", "ROLLBACK"},
};

/* The longest of them. */
static_assert(sizeof(PREPARED EXECUTED) + 64 + 2 * PG_GID_SIZE < SQL_SIZE, "a message has room");

/* Put gid where the message has %s. Returns the end. */
static char *write_sql(const char *sql, const char *gid, char *ret)
{
    size_t at = 0, size = strlen(gid);

    for (; *sql != '\0'; sql++) {
        if (sql[0] == '%' && sql[1] == 's') {
            memcpy(ret + at, gid, size);
            at += size;
            sql++;
        } else {
            ret[at++] = *sql;
        }
    }
    ret[at] = '\0';
    return ret + at;
}

static int send_step(struct pg_rmid *e, enum pg_step step)
{
    struct pg_operation *o = &e->operation;
    char sql[SQL_SIZE], *end = sql;

    o->step = step;
    o->check = 1;
    o->results = o->failed = o->ended = o->warned = o->read_only = 0;
    o->tag[0] = o->sqlstate[0] = '\0';
    if (steps[step].votes) {
        end = write_sql(votes[e->vote].sql, o->gid, sql);
        o->check = votes[e->vote].check;
        if (HF_BUG("postgres-marker-unread"))
            end = write_sql(UNCHECKED, o->gid, sql);
        if (e->vote == PG_VOTE_NEW)
            e->vote = PG_VOTE_AGAIN;
    }
    (void)write_sql(steps[step].sql, o->gid, end);
    e->own = 1;
    hf__pg_session_listen(e);
    hf__pg_cut_step(e, PG_SENDING);
    if (PQsendQuery(e->conn, sql) == 1) {
        hf__pg_cut_step(e, PG_SENT);
        return PG_UNDER_WAY;
    }
    hf__pg_failure_connection(e->conn, steps[step].when);
    e->own = 0;
    o->step = PG_STEP_NONE;
    return hf__pg_session_fail(e);
}

/* -- the answers ------------------------------------------------------------------------------- */

static void read_row(struct pg_rmid *e, const PGresult *result)
{
    struct pg_branch *b = &e->branch;

    e->operation.read_only = PQgetisnull(result, 0, 0);
    if (e->operation.step == PG_STEP_PREPARE && PQnfields(result) == 3)
        b->token_size = hf__pg_token_write(PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
                                           PQgetvalue(result, 0, 2), b->token);
}

static void gather(struct pg_rmid *e, PGresult *result)
{
    struct pg_operation *o = &e->operation;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    ExecStatusType status = PQresultStatus(result);

    o->results++;
    if (o->results < o->check && status == PGRES_COMMAND_OK)
        e->vote = PG_VOTE_READY;
    if (status == PGRES_TUPLES_OK && PQntuples(result) == 1)
        read_row(e, result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        (void)snprintf(o->tag, sizeof(o->tag), "%s", PQcmdStatus(result));
        return;
    }
    o->failed = o->failed != 0 ? o->failed : o->results;
    o->ended = o->ended || severity == NULL || strcmp(severity, "ERROR") != 0;
    (void)snprintf(o->sqlstate, sizeof(o->sqlstate), "%s", sqlstate != NULL ? sqlstate : "");
    hf__pg_failure_result(e->conn, result, steps[o->step].when);
}

/* The rmid's branch is over: it had this gid, and the connection is free. */
static int leave(struct pg_rmid *e, int answer)
{
    if (strcmp(e->branch.gid, e->operation.gid) == 0)
        e->branch.state = PG_ABSENT;
    return answer;
}

/* A vote of no; the transaction has to be cleaned up if it is still there. */
static int vote_no(struct pg_rmid *e, int vote)
{
    e->operation.vote = vote;
    if (PQtransactionStatus(e->conn) == PQTRANS_IDLE)
        return leave(e, vote);
    return send_step(e, PG_STEP_CLEAN);
}

static int react_to_error(struct pg_rmid *e)
{
    struct pg_operation *o = &e->operation;
    int code;

    switch ((enum pg_step)o->step) {
    case PG_STEP_COMMIT_PREPARED:
        code = hf__pg_sqlstate_answer(o->sqlstate, PG_ASKED_COMMIT);
        return code == XAER_NOTA ? leave(e, code) : code;
    case PG_STEP_ROLLBACK_PREPARED:
        code = hf__pg_sqlstate_answer(o->sqlstate, PG_ASKED_ROLLBACK);
        return code == XAER_NOTA ? leave(e, code) : code;
    case PG_STEP_ROLLBACK:
    case PG_STEP_CLEAN:
        return XAER_RMFAIL;
    default:
        break;
    }
    if (o->failed < o->check && strcmp(o->sqlstate, "42P05") == 0)
        e->vote = PG_VOTE_PLAIN;
    if (o->failed == o->check && strcmp(o->sqlstate, "26000") == 0)
        e->vote = PG_VOTE_NEW;
    if (o->failed == o->check && o->step != PG_STEP_COMMIT_READ_ONLY &&
        strcmp(o->sqlstate, "22P02") == 0)
        return vote_no(e, XA_RBPROTO); /* the check (O1) */
    code = hf__pg_sqlstate_answer(o->sqlstate, PG_ASKED_VOTE);
    return code == XAER_RMFAIL ? code : vote_no(e, code);
}

static int react_to_success(struct pg_rmid *e)
{
    struct pg_operation *o = &e->operation;

    switch ((enum pg_step)o->step) {
    case PG_STEP_ASK:
        return send_step(e, o->read_only ? PG_STEP_COMMIT_READ_ONLY : PG_STEP_PREPARE);
    case PG_STEP_PREPARE:
        e->branch.state = PG_PREPARED;
        return o->warned ? XAER_RMERR : XA_OK; /* it is prepared; xa_rollback() is due (O2) */
    case PG_STEP_COMMIT_READ_ONLY:
        return leave(e, XA_RDONLY);
    case PG_STEP_COMMIT_ONE:
        return o->warned ? XAER_RMFAIL : leave(e, XA_OK);
    case PG_STEP_COMMIT_PREPARED:
        return o->warned ? XA_RETRY : leave(e, XA_OK);
    case PG_STEP_CLEAN:
        return leave(e, o->vote);
    default:
        return leave(e, XA_OK);
    }
}

/* The message is answered to its end: the answer, or the next message is under way. */
static int react(struct pg_rmid *e)
{
    struct pg_operation *o = &e->operation;
    int is_vote = o->step == PG_STEP_PREPARE || o->step == PG_STEP_COMMIT_READ_ONLY ||
                  o->step == PG_STEP_COMMIT_ONE;

    if (hf__pg_session_broken(e) || o->ended) {
        hf__pg_failure_connection(e->conn, steps[o->step].when);
        return XAER_RMFAIL;
    }
    if (o->failed != 0 && o->step == PG_STEP_PREPARE && HF_BUG("postgres-error-is-yes"))
        return react_to_success(e);
    if (o->failed != 0)
        return react_to_error(e);
    if (strcmp(o->tag, steps[o->step].tag) == 0)
        return react_to_success(e);
    if (is_vote && strcmp(o->tag, "ROLLBACK") == 0) { /* O2 */
        hf__pg_failure_note("the branch's transaction had failed before");
        return vote_no(e, XA_RBROLLBACK);
    }
    hf__pg_failure_note("the server answered with another command's tag");
    return XAER_RMFAIL;
}

/* -- driving ----------------------------------------------------------------------------------- */

static int advance(struct pg_rmid *e, int waits)
{
    int answer = PG_UNDER_WAY;

    /* Bound: a message has at most three results, and an operation three messages. */
    while (answer == PG_UNDER_WAY) {
        PGresult *result;

        if (!waits && PQconsumeInput(e->conn) == 1 && PQisBusy(e->conn))
            return PG_UNDER_WAY;
        result = PQgetResult(e->conn);
        if (result != NULL) {
            gather(e, result);
            PQclear(result);
            continue;
        }
        hf__pg_cut_step(e, PG_ANSWERED);
        answer = react(e);
    }
    e->own = 0;
    e->operation.step = PG_STEP_NONE;
    if (answer == XAER_RMFAIL)
        return hf__pg_session_fail(e);
    return answer;
}

int hf__pg_operation_wait(struct pg_rmid *entry)
{
    return advance(entry, 1);
}

int hf__pg_operation_poll(struct pg_rmid *entry)
{
    return advance(entry, 0);
}

/* -- what is asked ----------------------------------------------------------------------------- */

static int begin(struct pg_rmid *e, const char *gid, enum pg_step step)
{
    (void)strcpy(e->operation.gid, gid);
    return send_step(e, step);
}

/* Before a vote: XA_OK if the branch can be asked for it. */
static int check_vote(struct pg_rmid *e, const char *gid)
{
    const struct pg_branch *b = hf__pg_association_branch(e, gid);

    if (b == NULL)
        return e->branch.state == PG_PREPARED && strcmp(e->branch.gid, gid) == 0 ? XAER_PROTO
                                                                                 : XAER_NOTA;
    if (e->association != PG_NONE || b->state == PG_DOOMED)
        return XAER_PROTO;
    return XA_OK;
}

/* A branch that BEGIN was never sent for, or that the user has got hold of since its end. */
static int vote_at_once(struct pg_rmid *e, const char *gid, int yes, int *ret)
{
    struct pg_branch *b = &e->branch;

    (void)strcpy(e->operation.gid, gid);
    if (PQtransactionStatus(e->conn) == PQTRANS_ACTIVE) {
        hf__pg_failure_note("a query was left unfinished on the connection");
        *ret = hf__pg_session_drain(e) == XA_OK ? vote_no(e, XA_RBPROTO) : XAER_RMFAIL;
        return 1;
    }
    if (b->begun)
        return 0;
    if (b->outside)
        hf__pg_failure_note("a statement ran outside the branch");
    *ret = leave(e, b->outside ? XA_RBPROTO : yes);
    return 1;
}

int hf__pg_operation_prepare(struct pg_rmid *entry, const char *gid)
{
    int rc = check_vote(entry, gid);

    if (rc != XA_OK || vote_at_once(entry, gid, XA_RDONLY, &rc))
        return rc;
    return begin(entry, gid, entry->branch.wrote ? PG_STEP_PREPARE : PG_STEP_ASK);
}

int hf__pg_operation_commit_one(struct pg_rmid *entry, const char *gid)
{
    int rc = check_vote(entry, gid);

    if (rc != XA_OK || vote_at_once(entry, gid, XA_OK, &rc))
        return rc;
    return begin(entry, gid, PG_STEP_COMMIT_ONE);
}

int hf__pg_operation_commit(struct pg_rmid *entry, const char *gid)
{
    if (hf__pg_association_branch(entry, gid) != NULL)
        return XAER_PROTO;
    if (hf__pg_session_broken(entry))
        return hf__pg_session_fail(entry);
    if (PQtransactionStatus(entry->conn) != PQTRANS_IDLE) {
        hf__pg_failure_note("the connection has another transaction");
        return XA_RETRY;
    }
    return begin(entry, gid, PG_STEP_COMMIT_PREPARED);
}

static int rollback_unprepared(struct pg_rmid *e, const char *gid)
{
    (void)strcpy(e->operation.gid, gid);
    if (hf__pg_session_drain(e) != XA_OK)
        return XAER_RMFAIL;
    if (PQtransactionStatus(e->conn) == PQTRANS_IDLE) /* not begun, or ended by hand */
        return leave(e, XA_OK);
    return begin(e, gid, PG_STEP_ROLLBACK);
}

int hf__pg_operation_rollback(struct pg_rmid *entry, const char *gid)
{
    if (hf__pg_association_branch(entry, gid) != NULL)
        return entry->association != PG_NONE ? XAER_PROTO : rollback_unprepared(entry, gid);
    if (hf__pg_session_broken(entry))
        return hf__pg_session_fail(entry);
    if (PQtransactionStatus(entry->conn) != PQTRANS_IDLE) {
        hf__pg_failure_note("the connection has another transaction");
        return XAER_PROTO;
    }
    return begin(entry, gid, PG_STEP_ROLLBACK_PREPARED);
}
