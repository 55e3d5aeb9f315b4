/*
 * tools/bank/verify_sql.c - read the bank's databases, as any client of theirs would: by libpq and
 * libmariadb, and nothing of Holdfast. Prepared is what the servers themselves list.
 *
 * DIR/stores says where they are (see ledger_sql.c). libpq reads its line by itself; of MariaDB's
 * the keys socket, user, database and file are understood here, and others are not ours to know.
 */
#include <libpq-fe.h>
#include <mysql.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bank_verify.h"

enum { EAST, WEST };

static const char *const SELECT_DONE = "SELECT id, xid FROM done";
static const char *const SELECT_ACCOUNTS = "SELECT name, balance FROM account";
/* Whoever prepared it: there is nobody but the bank. */
static const char *const SELECT_PREPARED = "SELECT gid, database FROM pg_prepared_xacts";
/* formatID, lengths of its two parts, and both together. */
static const char *const LIST_PREPARED = "XA RECOVER FORMAT='SQL'";
enum { PREPARED_COLUMN = 2 };

/* One row of two columns. */
typedef void row_fn(struct audit *a, int store, const char *first, const char *second, size_t size);

static void found_prepared(struct audit *a, int store, const char *first, const char *second,
                           size_t size)
{
    violation(a, "%s: still prepared: %s %.*s", verify_names[store], first, (int)size, second);
}

/* The open string of a store. False: told. */
static bool read_open(struct audit *a, const char *dir, int store, char ret[VERIFY_OPEN_SIZE])
{
    char path[4096], line[VERIFY_OPEN_SIZE + 8];
    const char *name = verify_names[store];
    bool found = false;
    FILE *file = NULL;

    if ((size_t)snprintf(path, sizeof(path), "%s/stores", dir) < sizeof(path))
        file = fopen(path, "r");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = strncmp(line, name, 4) == 0 && line[4] == ' ';
    if (file != NULL)
        (void)fclose(file); /* only read from */
    if (!found) {
        violation(a, "%s: %s/stores does not say where it is", name, dir);
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    snprintf(ret, VERIFY_OPEN_SIZE, "%.*s", VERIFY_OPEN_SIZE - 1, line + 5);
    return true;
}

/* -- PostgreSQL ------------------------------------------------------------------------------ */

static void each_of_postgres(struct audit *a, PGconn *conn, const char *sql, row_fn *found)
{
    PGresult *result = PQexec(conn, sql);

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        violation(a, "east: cannot be read: %s", PQerrorMessage(conn));
    for (int i = 0; i < PQntuples(result); i++)
        found(a, EAST, PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
              (size_t)PQgetlength(result, i, 1));
    PQclear(result);
}

static void read_postgres(struct audit *a, const char *open)
{
    PGconn *conn = PQconnectdb(open);

    each_of_postgres(a, conn, SELECT_DONE, verify_found_done);
    each_of_postgres(a, conn, SELECT_ACCOUNTS, verify_found_account);
    each_of_postgres(a, conn, SELECT_PREPARED, found_prepared);
    PQfinish(conn);
}

/* -- MariaDB --------------------------------------------------------------------------------- */

/* The value of a key in key=value;...; "" if it is not there. */
static void take_value(const char *open, const char *key, char ret[VERIFY_OPEN_SIZE])
{
    size_t size = strlen(key);
    const char *at = open;

    ret[0] = '\0';
    while (at != NULL && (strncmp(at, key, size) != 0 || at[size] != '=')) {
        at = strchr(at, ';');
        at = at == NULL ? NULL : at + 1;
    }
    if (at != NULL)
        snprintf(ret, VERIFY_OPEN_SIZE, "%.*s", (int)strcspn(at + size + 1, ";"), at + size + 1);
}

static bool connect_mariadb(MYSQL *conn, const char *open)
{
    char socket[VERIFY_OPEN_SIZE], user[VERIFY_OPEN_SIZE], database[VERIFY_OPEN_SIZE];
    char file[VERIFY_OPEN_SIZE];

    take_value(open, "socket", socket);
    take_value(open, "user", user);
    take_value(open, "database", database);
    take_value(open, "file", file);
    if (file[0] != '\0' && (mysql_options(conn, MYSQL_READ_DEFAULT_FILE, file) != 0 ||
                            mysql_options(conn, MYSQL_READ_DEFAULT_GROUP, "client") != 0))
        return false;
    return mysql_real_connect(conn, NULL, user[0] == '\0' ? NULL : user, NULL,
                              database[0] == '\0' ? NULL : database, 0,
                              socket[0] == '\0' ? NULL : socket, 0) != NULL;
}

/* column: the first of the two that are of interest. */
static void each_of_mariadb(struct audit *a, MYSQL *conn, const char *sql, unsigned column,
                            row_fn *found)
{
    MYSQL_RES *rows = mysql_query(conn, sql) == 0 ? mysql_use_result(conn) : NULL;
    MYSQL_ROW row;

    while (rows != NULL && (row = mysql_fetch_row(rows)) != NULL)
        found(a, WEST, row[column], row[column + 1], mysql_fetch_lengths(rows)[column + 1]);
    if (mysql_errno(conn) != 0)
        violation(a, "west: cannot be read: %s", mysql_error(conn));
    mysql_free_result(rows);
}

static void read_mariadb(struct audit *a, const char *open)
{
    MYSQL *conn = mysql_init(NULL);

    if (conn == NULL || !connect_mariadb(conn, open)) {
        violation(a, "west: cannot be reached: %s",
                  conn == NULL ? "out of memory" : mysql_error(conn));
    } else {
        each_of_mariadb(a, conn, SELECT_DONE, 0, verify_found_done);
        each_of_mariadb(a, conn, SELECT_ACCOUNTS, 0, verify_found_account);
        each_of_mariadb(a, conn, LIST_PREPARED, PREPARED_COLUMN, found_prepared);
    }
    if (conn != NULL)
        mysql_close(conn);
}

/* -------------------------------------------------------------------------------------------- */

void verify_read_store(struct audit *a, const char *dir, int store)
{
    char open[VERIFY_OPEN_SIZE];

    if (!read_open(a, dir, store, open))
        return;
    if (store == EAST)
        read_postgres(a, open);
    else
        read_mariadb(a, open);
}
