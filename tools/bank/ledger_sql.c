/*
 * tools/bank/ledger_sql.c - the ledger in two databases: east is a PostgreSQL, west a MariaDB.
 * Begins and ends no transaction.
 *
 *   account (name, balance)
 *   done (id, xid)            id is the primary key: nobody can write it twice
 *
 * bank_servers.sh makes the tables. Where the databases are stands in DIR/stores, one line "east
 * OPEN" and one "west OPEN"; OPEN is the store's open string, in which a password has no place: use
 * passfile= and file=.
 *
 * What a server answers becomes one of four: the transfer was done before; the work was given up,
 * or the connection lost, and it may be done again; or neither, and then the server's own words go
 * to stderr.
 */
#include "ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <mysql.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/mariadb.h"
#include "holdfast/postgres.h"

#include "bank_input.h"

enum { SQL_SIZE = 512, QUOTED_SIZE = 2 * NAME_SIZE + 1, LINE_SIZE = MAXINFOSIZE + 8 };

/* MariaDB's own numbers, of mysqld_error.h; those of the client begin with 2000. */
enum {
    MY_SHUTDOWN = 1053,
    MY_DUPLICATE = 1062,
    MY_LOCK_WAIT = 1205,
    MY_DEADLOCK = 1213,
    MY_OUT_OF_RANGE = 1264,
    MY_ROLLED_BACK = 1402,
    MY_DEADLOCK_XA = 1614,
    MY_EXPRESSION_RANGE = 1690,
    MY_KILLED = 1927,
    MY_CLIENT_FIRST = 2000,
    MY_CLIENT_LAST = 2999
};

static int refuse(const char *store, const char *words)
{
    fprintf(stderr, "bank: %s: %s\n", store, words);
    return HF_EIO;
}

/* -- PostgreSQL ------------------------------------------------------------------------------ */

static int judge_postgres(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result); /* of NULL: a fatal error */
    const char *state;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return HF_OK;
    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state == NULL || strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0)
        return HF_ERM; /* no words of a server, or its last ones */
    if (strcmp(state, "23505") == 0)
        return HF_EEXIST;
    if (strcmp(state, "22003") == 0)
        return HF_ELIMIT;
    if (strncmp(state, "40", 2) == 0 || strcmp(state, "55P03") == 0)
        return HF_EROLLEDBACK; /* a deadlock, a lock waited for in vain */
    return refuse("east", PQresultErrorMessage(result));
}

/* ret_rows: that it gave or changed. */
static int in_postgres(hf_instance *at, const char *sql, const char *first, const char *second,
                       long *ret_rows)
{
    const char *const values[] = {first, second};
    PGresult *result = hf_postgres_exec_params(hf_instance_rmid(at), sql, second == NULL ? 1 : 2,
                                               NULL, values, NULL, NULL, 0);
    int code = judge_postgres(result);

    if (code == HF_OK)
        *ret_rows = PQresultStatus(result) == PGRES_TUPLES_OK
                        ? PQntuples(result)
                        : strtol(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return code;
}

/* -- MariaDB --------------------------------------------------------------------------------- */

static int judge_mariadb(MYSQL *conn)
{
    unsigned number = mysql_errno(conn);

    switch (number) {
    case MY_DUPLICATE:
        return HF_EEXIST;
    case MY_OUT_OF_RANGE:
    case MY_EXPRESSION_RANGE:
        return HF_ELIMIT;
    case MY_LOCK_WAIT:
    case MY_DEADLOCK:
    case MY_ROLLED_BACK:
    case MY_DEADLOCK_XA:
        return HF_EROLLEDBACK;
    case MY_SHUTDOWN:
    case MY_KILLED:
        return HF_ERM;
    default:
        if (number >= MY_CLIENT_FIRST && number <= MY_CLIENT_LAST)
            return HF_ERM;
        return refuse("west", mysql_error(conn));
    }
}

/* Text as it may stand between quotes; of at most NAME_SIZE bytes. "" without a connection. */
static const char *quote(hf_instance *at, const char *text, char ret[QUOTED_SIZE])
{
    MYSQL *conn = hf_mariadb_conn(hf_instance_rmid(at));

    ret[0] = '\0';
    if (conn != NULL)
        (void)mysql_real_escape_string(conn, ret, text, strlen(text));
    return ret;
}

static int in_mariadb(hf_instance *at, long *ret_rows, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int in_mariadb(hf_instance *at, long *ret_rows, const char *format, ...)
{
    MYSQL *conn = hf_mariadb_conn(hf_instance_rmid(at));
    char sql[SQL_SIZE];
    MYSQL_RES *rows;
    va_list args;
    int size;

    if (conn == NULL)
        return HF_ERM;
    va_start(args, format);
    size = vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    if (mysql_real_query(conn, sql, (unsigned long)size) != 0)
        return judge_mariadb(conn);
    if (mysql_field_count(conn) == 0) {
        *ret_rows = (long)mysql_affected_rows(conn);
        return HF_OK;
    }
    rows = mysql_store_result(conn);
    if (rows == NULL)
        return judge_mariadb(conn);
    *ret_rows = (long)mysql_num_rows(rows);
    mysql_free_result(rows);
    return HF_OK;
}

/* -- the ledger ------------------------------------------------------------------------------ */

int ledger_open(hf_instance *const at[STORE_COUNT], const char *account)
{
    char balance[24], name[QUOTED_SIZE];
    long rows;

    snprintf(balance, sizeof(balance), "%d", LEDGER_OPENING_BALANCE);
    if (ledger_home(account) == EAST)
        return in_postgres(at[EAST],
                           "INSERT INTO account VALUES ($1, $2::bigint) ON CONFLICT DO NOTHING",
                           account, balance, &rows);
    return in_mariadb(at[WEST], &rows, "INSERT IGNORE INTO account VALUES ('%s', %s)",
                      quote(at[WEST], account, name), balance);
}

int ledger_add(hf_instance *const at[STORE_COUNT], const char *account, int64_t amount)
{
    char more[24], name[QUOTED_SIZE];
    long rows = 0;
    int code;

    snprintf(more, sizeof(more), "%" PRId64, amount);
    if (ledger_home(account) == EAST)
        code = in_postgres(at[EAST],
                           "UPDATE account SET balance = balance + $1::bigint WHERE name = $2",
                           more, account, &rows);
    else
        code = in_mariadb(at[WEST], &rows,
                          "UPDATE account SET balance = balance + (%s) WHERE name = '%s'", more,
                          quote(at[WEST], account, name));
    return code == HF_OK && rows != 1 ? HF_ENOTFOUND : code;
}

int ledger_is_done(hf_instance *const at[STORE_COUNT], int store, const char *id)
{
    char quoted[QUOTED_SIZE];
    long rows = 0;
    int code;

    if (store == EAST)
        code = in_postgres(at[EAST], "SELECT 1 FROM done WHERE id = $1", id, NULL, &rows);
    else
        code = in_mariadb(at[WEST], &rows, "SELECT 1 FROM done WHERE id = '%s'",
                          quote(at[WEST], id, quoted));
    return code == HF_OK && rows == 0 ? HF_ENOTFOUND : code;
}

int ledger_mark_done(hf_instance *const at[STORE_COUNT], const char *id, const hf_tx *tx)
{
    char text[HF_XID_TEXT_SIZE], quoted[QUOTED_SIZE];
    long rows;
    XID xid;
    int code = hf_tx_xid(tx, &xid);

    if (code == HF_OK)
        code = hf_xid_format(&xid, text);
    if (code == HF_OK)
        code = in_postgres(at[EAST], "INSERT INTO done VALUES ($1, $2)", id, text, &rows);
    if (code == HF_OK)
        code = in_mariadb(at[WEST], &rows, "INSERT INTO done VALUES ('%s', '%s')",
                          quote(at[WEST], id, quoted), text);
    return code;
}

/* -- where the stores are -------------------------------------------------------------------- */

/* The open string of a store. */
static int read_store(const char *dir, const char *name, char ret_open[MAXINFOSIZE])
{
    char path[4096], line[LINE_SIZE] = "";
    size_t size = strlen(name);
    FILE *file;
    int found = 0;

    if ((size_t)snprintf(path, sizeof(path), "%s/stores", dir) >= sizeof(path))
        return HF_ELIMIT;
    file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "bank: %s: %s\n", path, strerror(errno));
        return HF_EIO;
    }
    while (!found && fgets(line, sizeof(line), file) != NULL)
        found = strncmp(line, name, size) == 0 && line[size] == ' ' && strchr(line, '\n') != NULL;
    (void)fclose(file); /* only read from */
    line[strcspn(line, "\n")] = '\0';
    if (!found || strlen(line + size + 1) >= MAXINFOSIZE) {
        fprintf(stderr, "bank: %s: no line \"%s OPEN\", or it is too long\n", path, name);
        return HF_EIO;
    }
    memcpy(ret_open, line + size + 1, strlen(line + size + 1) + 1);
    return HF_OK;
}

int ledger_register(hf_tm *tm, const char *dir, hf_rm *ret_store[STORE_COUNT])
{
    hf_rm_config config = HF_RM_CONFIG_INIT;
    char open_info[MAXINFOSIZE];
    int code = read_store(dir, "east", open_info);

    if (code != HF_OK)
        return code;
    config.name = "east";
    config.xa = &hf_postgres_switch;
    config.ext = &hf_postgres_ext;
    config.open_info = open_info;
    code = hf_rm_register(tm, &config, &ret_store[EAST]);
    if (code == HF_OK)
        code = read_store(dir, "west", open_info);
    if (code != HF_OK)
        return code;
    config.name = "west";
    config.xa = &hf_mariadb_switch;
    config.ext = &hf_mariadb_ext;
    return hf_rm_register(tm, &config, &ret_store[WEST]);
}

/* A connection that its server has closed is noticed before it is handed out. */
const hf_xa_hooks *ledger_hooks(int store)
{
    return store == EAST ? &hf_postgres_hooks : &hf_mariadb_hooks;
}
