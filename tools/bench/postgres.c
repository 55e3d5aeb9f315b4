/*
 * tools/bench/postgres.c - PostgreSQL: its statements by hand, by libpq and by the helper.
 *
 * Frozen: what goes by hand is not tuned, for better or for worse.
 */
#include <stdio.h>

#include <libpq-fe.h>

#include "databases.h"
#include "holdfast/postgres.h"

static int run(void *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    int good = PQresultStatus(result) == PGRES_COMMAND_OK;

    if (!good)
        complain("%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
    return good ? 0 : -1;
}

static int work_by_helper(int rmid)
{
    PGresult *result = hf_postgres_exec(rmid, BENCH_INSERT);
    int good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return good ? 0 : -1;
}

static int work_natively(int rmid)
{
    PGconn *conn = hf_postgres_conn(rmid);

    return conn != NULL ? run(conn, BENCH_INSERT) : -1;
}

/* One of its own: that of an rmid tells us of each result. */
static void *connect_to(const char *info, int rmid)
{
    PGconn *conn = PQconnectdb(info);

    (void)rmid;
    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    complain("%s", PQerrorMessage(conn));
    PQfinish(conn);
    return NULL;
}

static void disconnect(void *conn)
{
    PQfinish(conn);
}

const struct database_kind postgres_kind = {
    .server = "postgres",
    .info = "host=%s user=hf dbname=one",
    .create = "CREATE TABLE hf_bench (n bigint)",
    .xa = &hf_postgres_switch,
    .ext = &hf_postgres_ext,
    .work_by_helper = work_by_helper,
    .work_natively = work_natively,
    .connect = connect_to,
    .disconnect = disconnect,
    .run = run,
    .by_hand = {[HAND_BEGIN] = {"BEGIN"},
                [HAND_PREPARE] = {"PREPARE TRANSACTION '%s'"},
                [HAND_COMMIT] = {"COMMIT PREPARED '%s'"}},
};
