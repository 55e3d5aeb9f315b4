/*
 * tests/support/mariadb_t.h - a test's way to the MariaDB that with_mariadb.sh started for it.
 *
 *   my_open(1, "bank", "proof=marker");       xa_open of rmid 1 on a database, made if missing
 *   my_admin("DELETE FROM bank.t");           SQL of the administrator's, in another session
 *   my_number("SELECT COUNT(*) FROM bank.t")  the same, for one number
 *   my_user(1, "INSERT ...")                  SQL of the user's, on the connection of rmid 1
 *   my_await(0, "SELECT COUNT(*) ...")        wait until that is the number
 *   my_server("kill")                         stop, kill or start the server
 *
 * What fails that has to succeed fails the test, and says so in the server's words.
 */
#ifndef HF_TESTS_SUPPORT_MARIADB_T_H
#define HF_TESTS_SUPPORT_MARIADB_T_H

#include "support/t.h"

#include <stdarg.h>
#include <time.h>

#include <mysql.h>
#include <mysqld_error.h>

#include "holdfast/mariadb.h"
#include "holdfast/transaction.h"

static const struct xa_switch_t *const my = &hf_mariadb_switch;
static MYSQL *my_admin_conn;

static inline const char *my_env(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        fail_msg("%s is not set: run this by tests/support/with_mariadb.sh", name);
    return value;
}

static inline void my_sleep_ms(long ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)nanosleep(&ts, NULL);
}

/* -- the administrator ------------------------------------------------------------------------- */

/* A session of somebody else's, as root. */
static inline MYSQL *my_connect(void)
{
    MYSQL *conn = mysql_init(NULL);
    char path[PATH_MAX];

    assert_non_null(conn);
    (void)snprintf(path, sizeof(path), "%s/socket", my_env("HF_TEST_MARIADB_DIR"));
    if (mysql_real_connect(conn, NULL, "root", NULL, NULL, 0, path, 0) == NULL)
        fail_msg("connect: %s", mysql_error(conn));
    return conn;
}

/* The error number, 0 if there is none; rows are thrown away. */
static inline unsigned my_try(MYSQL *conn, const char *sql)
{
    MYSQL_RES *res;

    if (mysql_query(conn, sql) != 0)
        return mysql_errno(conn);
    res = mysql_store_result(conn);
    if (res != NULL)
        mysql_free_result(res);
    return mysql_errno(conn);
}

static inline void my_do(MYSQL *conn, const char *sql)
{
    if (my_try(conn, sql) != 0)
        fail_msg("%s: %u %s", sql, mysql_errno(conn), mysql_error(conn));
}

/* A server that was started again has other sessions. */
static inline MYSQL *my_administrator(void)
{
    if (my_admin_conn != NULL && mysql_ping(my_admin_conn) != 0) {
        mysql_close(my_admin_conn);
        my_admin_conn = NULL;
    }
    if (my_admin_conn == NULL)
        my_admin_conn = my_connect();
    return my_admin_conn;
}

__attribute__((format(printf, 1, 2))) static inline void my_admin(const char *format, ...)
{
    char sql[1024];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(sql, sizeof(sql), format, ap);
    va_end(ap);
    my_do(my_administrator(), sql);
}

static inline long my_number(const char *sql)
{
    MYSQL *conn = my_administrator();
    MYSQL_RES *res;
    MYSQL_ROW row;
    long n;

    if (mysql_query(conn, sql) != 0)
        fail_msg("%s: %s", sql, mysql_error(conn));
    res = mysql_store_result(conn);
    assert_non_null(res);
    row = mysql_fetch_row(res);
    n = row != NULL && row[0] != NULL ? strtol(row[0], NULL, 10) : -1;
    mysql_free_result(res);
    return n;
}

/* Wait until the query answers so: a minute at most, as sessions end in the server's own time. */
static inline void my_await(long wanted, const char *sql)
{
    for (int i = 0; i < 12000 && my_number(sql) != wanted; i++)
        my_sleep_ms(5);
    assert_int_equal(my_number(sql), wanted);
}

/* Wait until a session has ended. */
static inline void my_await_end(unsigned long session)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql),
                   "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %lu", session);
    my_await(0, sql);
}

static inline void my_server(const char *what)
{
    char command[3 * PATH_MAX];

    (void)snprintf(command, sizeof(command), "'%s' %s '%s'", my_env("HF_TEST_MARIADB_SCRIPT"), what,
                   my_env("HF_TEST_MARIADB_DIR"));
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* -- the resource manager ---------------------------------------------------------------------- */

/* A database with one table, t, of numbers. */
static inline void my_database(const char *name)
{
    my_admin("CREATE DATABASE IF NOT EXISTS %s", name);
    my_admin("CREATE TABLE IF NOT EXISTS %s.t (n INT PRIMARY KEY) ENGINE=InnoDB", name);
}

static inline const char *my_info(const char *database, const char *more)
{
    static char info[4][MAXINFOSIZE];
    static unsigned next;
    char *to = info[next++ % 4];

    (void)snprintf(to, MAXINFOSIZE, "%s;database=%s;%s", my_env("HF_TEST_MARIADB"), database, more);
    return to;
}

static inline const char *my_words(int rmid)
{
    static char text[256];
    int native = 0;

    strcpy(text, "no words");
    (void)hf_mariadb_ext.error(NULL, rmid, &native, text, sizeof(text));
    return text;
}

/* The error number behind the last failure of rmid in this thread; -1: there was none. */
static inline int my_native(int rmid)
{
    char text[256];
    int native = 0;

    return hf_mariadb_ext.error(NULL, rmid, &native, text, sizeof(text)) == 0 ? native : -1;
}

static inline void my__xa(int want, int got, int rmid, const char *expr, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s\n    answered %d, wanted %d: %s\n", expr, got, want, my_words(rmid));
    _fail(file, line);
}
#define my_xa(want, rmid, expr) my__xa((want), (expr), (rmid), #expr, __FILE__, __LINE__)

static inline void my_open(int rmid, const char *database, const char *more)
{
    my_xa(XA_OK, rmid, my->xa_open_entry((char *)my_info(database, more), rmid, TMNOFLAGS));
}

static inline void my_close(int rmid)
{
    my_xa(XA_OK, rmid, my->xa_close_entry((char *)"", rmid, TMNOFLAGS));
}

/* A branch of a transaction manager that is not ours, unless it is made otherwise. */
static inline XID my_xid(long number)
{
    XID x = {.formatID = 4711, .gtrid_length = 8, .bqual_length = 4};

    (void)snprintf(x.data, sizeof(x.data), "%08lxabcd", number);
    return x;
}

/* SQL on the connection of rmid. The error number, 0 if there is none. */
static inline unsigned my_user_try(int rmid, const char *sql)
{
    MYSQL *conn = hf_mariadb_conn(rmid);

    if (conn == NULL)
        fail_msg("rmid %d has no connection", rmid);
    return my_try(conn, sql);
}

__attribute__((format(printf, 2, 3))) static inline void my_user(int rmid, const char *format, ...)
{
    char sql[1024];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(sql, sizeof(sql), format, ap);
    va_end(ap);
    if (my_user_try(rmid, sql) != 0)
        fail_msg("rmid %d: %s: %s", rmid, sql, mysql_error(hf_mariadb_conn(rmid)));
}

/* xa_start, an INSERT of n, xa_end. */
static inline void my_work(int rmid, XID *xid, long n)
{
    my_xa(XA_OK, rmid, my->xa_start_entry(xid, rmid, TMNOFLAGS));
    my_user(rmid, "INSERT INTO t VALUES (%ld)", n);
    my_xa(XA_OK, rmid, my->xa_end_entry(xid, rmid, TMSUCCESS));
}

/* Is it in the server's list, as rmid sees it? */
static inline int my_lists(int rmid, const XID *xid)
{
    XID list[64];
    int n = my->xa_recover_entry(list, 64, rmid, TMSTARTRSCAN | TMENDRSCAN);

    if (n < 0)
        fail_msg("xa_recover answered %d: %s", n, my_words(rmid));
    for (int i = 0; i < n; i++)
        if (list[i].formatID == xid->formatID && list[i].gtrid_length == xid->gtrid_length &&
            list[i].bqual_length == xid->bqual_length &&
            memcmp(list[i].data, xid->data, (size_t)(xid->gtrid_length + xid->bqual_length)) == 0)
            return 1;
    return 0;
}

#endif
