/*
 * tests/servers/postgres/pg_t.h - what tests beside a real PostgreSQL share.
 *
 *   pg_info("one")                     an open string for a database of the test's server
 *   pg_value("one", "SELECT 1")        one value, by a connection of its own; static
 *   pg_serve("kill")                   have the server's parent do something: with_postgres.sh
 *   t_xa(XA_OK, pg.xa_start_entry(...))  the call has to answer this very code
 */
#ifndef HF_TESTS_PG_T_H
#define HF_TESTS_PG_T_H

#include "support/t.h"

#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

#include <libpq-fe.h>

#include "holdfast/postgres.h"
#include "holdfast/transaction.h"

#define pg hf_postgres_switch

#define t_xa(want, expr) t__xa((want), (expr), #expr, __FILE__, __LINE__)

static inline void t__xa(int want, int got, const char *expr, const char *file, int line)
{
    char text[256] = "";
    int native = 0;

    if (got == want)
        return;
    for (int rmid = 1; rmid < 20 && text[0] == '\0'; rmid++)
        (void)hf_postgres_ext.error(NULL, rmid, &native, text, sizeof(text));
    print_error("%s\n    answered %d, wanted %d: %s\n", expr, got, want, text);
    _fail(file, line);
}

static inline const char *pg_dir(void)
{
    const char *dir = getenv("HF_PG_DIR");

    if (dir == NULL)
        fail_msg("HF_PG_DIR is not set: run it by with_postgres.sh");
    return dir;
}

/* In one of eight static buffers. */
static inline char *pg_info_with(const char *database, const char *more)
{
    static char kept[8][MAXINFOSIZE];
    static unsigned next;
    char *info = kept[next++ % 8];

    if (snprintf(info, MAXINFOSIZE, "host=%s user=hf dbname=%s %s", pg_dir(), database, more) >=
        MAXINFOSIZE)
        fail_msg("the open string is too long");
    return info;
}

static inline char *pg_info(const char *database)
{
    return pg_info_with(database, "");
}

static inline void pg_serve(const char *what)
{
    char answer[32] = "";
    FILE *to = fopen(t_path(pg_dir(), "ask"), "w"), *from = fopen(t_path(pg_dir(), "answer"), "r");

    assert_non_null(to);
    assert_non_null(from);
    fprintf(to, "%s\n", what);
    (void)fclose(to);
    if (fgets(answer, sizeof(answer), from) == NULL || strcmp(answer, "done\n") != 0)
        fail_msg("the server's parent could not: %s", what);
    (void)fclose(from);
}

static inline const char *pg_value_at(const char *info, const char *sql)
{
    static char value[256];
    PGconn *conn = PQconnectdb(info);
    PGresult *result;

    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(conn));
    result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    snprintf(value, sizeof(value), "%s",
             PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : PQcmdStatus(result));
    PQclear(result);
    PQfinish(conn);
    return value;
}

static inline const char *pg_value(const char *database, const char *sql)
{
    return pg_value_at(pg_info(database), sql);
}

static inline int pg_number(const char *database, const char *sql)
{
    return atoi(pg_value(database, sql));
}

/* Prepared transactions of the whole cluster. */
static inline int pg_prepared(void)
{
    return pg_number("postgres", "SELECT count(*) FROM pg_prepared_xacts");
}

/* What the thread's last call on rmid left as its reason. */
static inline const char *pg_why(int rmid)
{
    static char text[256];
    int native = 0;

    text[0] = '\0';
    (void)hf_postgres_ext.error(NULL, rmid, &native, text, sizeof(text));
    return text;
}

static inline int pg_native(int rmid)
{
    char text[256];
    int native = 0;

    (void)hf_postgres_ext.error(NULL, rmid, &native, text, sizeof(text));
    return native;
}

/* A statement through the helper: it has to be good. */
static inline void pg_do(int rmid, const char *sql)
{
    PGresult *result = hf_postgres_exec(rmid, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s%s", sql, result == NULL ? pg_why(rmid) : PQresultErrorMessage(result), "");
    PQclear(result);
}

/* A statement that has to fail with this SQLSTATE; NULL: whichever. */
static inline void pg_fails(int rmid, const char *sql, const char *sqlstate)
{
    PGresult *result = hf_postgres_exec(rmid, sql);
    const char *got = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (PQresultStatus(result) != PGRES_FATAL_ERROR)
        fail_msg("%s did not fail", sql);
    if (sqlstate != NULL)
        assert_string_equal(got != NULL ? got : "", sqlstate);
    PQclear(result);
}

static inline void pg_open(int rmid, char *info)
{
    t_xa(XA_OK, pg.xa_open_entry(info, rmid, TMNOFLAGS));
}

static inline void pg_close(int rmid)
{
    char none[] = "";

    t_xa(XA_OK, pg.xa_close_entry(none, rmid, TMNOFLAGS));
}

/* An XID that is not Holdfast's; every number is another branch. */
static inline XID pg_xid(long number)
{
    XID xid;

    memset(&xid, 0, sizeof(xid));
    xid.formatID = 4711;
    xid.gtrid_length = 8;
    xid.bqual_length = 2;
    snprintf(xid.data, sizeof(xid.data), "%08ldb1", number);
    return xid;
}

#endif
