/*
 * tools/bench/mariadb.c - MariaDB: its statements by hand and on the native connection.
 *
 * There is no helper: XA START goes before the user's first statement in a message of its own, and
 * the native connection is what a user has. So the two sides of ours differ by the other database.
 *
 * Frozen: what goes by hand is not tuned, for better or for worse.
 */
#include <string.h>

#include <mysql.h>

#include "databases.h"
#include "holdfast/mariadb.h"

static int run(void *conn, const char *sql)
{
    if (mysql_real_query(conn, sql, (unsigned long)strlen(sql)) == 0)
        return 0;
    complain("%s: %s", sql, mysql_error(conn));
    return -1;
}

static int work(int rmid)
{
    MYSQL *conn = hf_mariadb_conn(rmid);

    return conn != NULL ? run(conn, BENCH_INSERT) : -1;
}

/* That of an rmid which never begins a branch: it is as libmariadb made it, from the open string
   that nobody else reads. */
static void *connect_to(const char *info, int rmid)
{
    MYSQL *conn = hf_mariadb_conn(rmid);

    (void)info;
    if (conn == NULL)
        complain("no connection to MariaDB");
    return conn;
}

static void disconnect(void *conn)
{
    (void)conn; /* the rmid's */
}

const struct database_kind mariadb_kind = {
    .server = "mariadb",
    .info = "socket=%s/socket;user=root;database=bench",
    .create = "CREATE TABLE hf_bench (n bigint) ENGINE=InnoDB",
    .xa = &hf_mariadb_switch,
    .ext = &hf_mariadb_ext,
    .work_by_helper = work,
    .work_natively = work,
    .connect = connect_to,
    .disconnect = disconnect,
    .run = run,
    .by_hand = {[HAND_BEGIN] = {"XA START '%s'"},
                [HAND_PREPARE] = {"XA END '%s'", "XA PREPARE '%s'"},
                [HAND_COMMIT] = {"XA COMMIT '%s'"}},
};
