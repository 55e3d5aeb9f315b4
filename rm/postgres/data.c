/*
 * rm/postgres/data.c - what a user works with: the native connection, and statements that bring
 * BEGIN along.
 *
 * BEGIN and the marker go in the same message as the first statement: for a plain one as text
 * before it, for one with parameters as two more commands of a pipeline. Their two results are
 * ours, the rest is the user's.
 *
 * Threads: one for an rmid.
 */
#include <stdlib.h>
#include <string.h>

#include "association.h"
#include "cut.h"
#include "failure.h"
#include "holdfast/postgres.h"
#include "operation.h"
#include "session.h"

enum { SMALL_SQL = 4096, OWN_RESULTS = 2 };

/* -- the native connection --------------------------------------------------------------------- */

/* The entry, if the user may work in it now; else NULL, and why is noted. */
static struct pg_rmid *find(int rmid)
{
    struct pg_rmid *e = NULL;

    hf__pg_failure_begin(rmid);
    if (hf__pg_rmid_is_forked()) {
        hf__pg_failure_note("used in a child process after fork");
        return NULL;
    }
    e = hf__pg_rmid_find(rmid);
    if (e == NULL)
        hf__pg_failure_note("no such rmid is open");
    else if (e->failed || hf__pg_session_settle(e, -1) != XA_OK)
        (void)hf__pg_failure_end(XAER_RMFAIL);
    else if (!hf__pg_association_may_work(e))
        hf__pg_failure_note("the branch is suspended, ended or completing");
    else if (hf__pg_branch_is_unfinished(&e->branch) && atomic_load(&e->cancelled))
        hf__pg_failure_note("the branch was cancelled: its transaction's time is over");
    else
        return e;
    return NULL;
}

/* Has the branch's BEGIN yet to be sent? */
static int is_due(const struct pg_rmid *e)
{
    return hf__pg_branch_is_unfinished(&e->branch) && !e->branch.begun;
}

struct pg_conn *hf_postgres_conn(int rmid)
{
    struct pg_rmid *e = find(rmid);

    if (e == NULL || (is_due(e) && hf__pg_session_begin(e) != XA_OK))
        return NULL;
    return e->conn;
}

/* -- the first statement ----------------------------------------------------------------------- */

/* Results up to the user's first. NULL: both of ours were good; else the error that came instead:
   the branch cannot commit, for the user's statement did not run in it. */
static PGresult *take_own(struct pg_rmid *e, int between)
{
    PGresult *result = NULL;
    int good = 0;

    e->own = 1;
    while (good < OWN_RESULTS && result == NULL) {
        result = PQgetResult(e->conn);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            break;
        PQclear(result);
        result = NULL;
        good++;
        if (between) /* in a pipeline each command's results end with a NULL */
            PQclear(PQgetResult(e->conn));
    }
    e->own = 0;
    PG_CUT("postgres:begun", e);
    if (good == OWN_RESULTS) {
        e->branch.begun = 1;
        return NULL;
    }
    hf__pg_session_spoil(e, result);
    hf__pg_failure_result(e->conn, result, "begin");
    return result != NULL ? result : PQmakeEmptyPGresult(e->conn, PGRES_FATAL_ERROR);
}

static int is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* The last result of a message, as PQexec() gives it. last: one that is here already, or NULL. */
static PGresult *take_last(struct pg_rmid *e, PGresult *last)
{
    PGresult *result;

    while ((last == NULL || !is_copy(last)) && (result = PQgetResult(e->conn)) != NULL) {
        PQclear(last);
        last = result;
    }
    if (last == NULL)
        last = PQmakeEmptyPGresult(e->conn, PGRES_EMPTY_QUERY);
    return last;
}

static int is_null(const char *command)
{
    if (command == NULL)
        hf__pg_failure_note("the command is null");
    return command == NULL;
}

static PGresult *first_exec(struct pg_rmid *e, const char *command)
{
    char small[SMALL_SQL], *sql = small;
    size_t size = strlen(command);
    size_t at;
    int sent;

    if (size + PG_BEGIN_SIZE + 3 > sizeof(small) &&
        (sql = malloc(size + PG_BEGIN_SIZE + 3)) == NULL) {
        hf__pg_failure_note("out of memory");
        return NULL;
    }
    at = hf__pg_session_begin_text(e, sql);
    memcpy(sql + at, ";\n", 2);
    memcpy(sql + at + 2, command, size + 1);
    PG_CUT("postgres:begin-sending", e);
    sent = PQsendQuery(e->conn, sql);
    PG_CUT("postgres:begin-sent", e);
    if (sql != small)
        free(sql);
    if (!sent) {
        hf__pg_failure_connection(e->conn, "begin");
        return PQmakeEmptyPGresult(e->conn, PGRES_FATAL_ERROR);
    }
    return take_last(e, take_own(e, 0));
}

struct pg_result *hf_postgres_exec(int rmid, const char *command)
{
    struct pg_rmid *e = find(rmid);

    if (e == NULL || is_null(command))
        return NULL;
    return is_due(e) ? first_exec(e, command) : PQexec(e->conn, command);
}

/* Leave the pipeline: past its sync, with all that comes before. */
static void end_pipeline(struct pg_rmid *e)
{
    /* Bound: at most the commands' results and their ends come before the sync. */
    for (int i = 0; i < 16 && PQstatus(e->conn) == CONNECTION_OK; i++) {
        PGresult *result = PQgetResult(e->conn);
        int synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;

        PQclear(result);
        if (synced)
            break;
    }
    (void)PQexitPipelineMode(e->conn);
}

static int send_begin(struct pg_rmid *e)
{
    char text[PG_BEGIN_SIZE], *set;

    (void)hf__pg_session_begin_text(e, text);
    set = strchr(text, ';');
    *set = '\0';
    return PQsendQueryParams(e->conn, text, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
           PQsendQueryParams(e->conn, set + 1, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

struct pg_result *hf_postgres_exec_params(int rmid, const char *command, int count,
                                          const unsigned *types, const char *const *values,
                                          const int *lengths, const int *formats, int result_format)
{
    struct pg_rmid *e = find(rmid);
    PGresult *result;

    if (e == NULL || is_null(command))
        return NULL;
    if (!is_due(e))
        return PQexecParams(e->conn, command, count, types, values, lengths, formats,
                            result_format);
    if (PQenterPipelineMode(e->conn) != 1 || !send_begin(e) ||
        PQsendQueryParams(e->conn, command, count, types, values, lengths, formats,
                          result_format) != 1 ||
        PQpipelineSync(e->conn) != 1) {
        hf__pg_failure_connection(e->conn, "begin");
        (void)PQexitPipelineMode(e->conn);
        return PQmakeEmptyPGresult(e->conn, PGRES_FATAL_ERROR);
    }
    result = take_own(e, 1);
    if (result == NULL)
        result = PQgetResult(e->conn);
    end_pipeline(e);
    return result;
}
