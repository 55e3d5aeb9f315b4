/*
 * rm/mariadb/store.c - what is ours in the database, and what the server must be set to.
 *
 *   holdfast_identity   one row, random: which database this is. server_id and server_uid can be
 *                       equal on two servers of one host
 *   holdfast_marker     with proof=marker: one row for each branch that committed, written in the
 *                       branch itself by the statement that prepares it
 *
 * A marker is proof of a commit. Its absence proves nothing: rows older than MARKER_DAYS are
 * removed, some at each opening, whatever became of the transaction's record. So a record that is
 * settled later than that stays unconfirmed; it is never told something wrong.
 *
 * The statements leave no transaction open, also where an option file has turned autocommit off: a
 * read would begin one, and XA START is refused in it.
 *
 * Threads: one for a session. Spec: none; DESIGN: verified outcomes.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <errmsg.h>
#include <mysqld_error.h>

#include "answers.h"
#include "cut.h"
#include "message.h"
#include "words.h"

enum { DATABASE_MAX = 64, WORD_SIZE = 64 };

#define MARKER_DAYS "30"
#define MARKER_BATCH "1000"

/* End what a read may have begun. Its failure shows at the next statement. */
static void quiet(struct my_session *s)
{
    unsigned status = 0;

    if (mariadb_get_infov(s->conn, MARIADB_CONNECTION_SERVER_STATUS, &status) == 0 &&
        (status & SERVER_STATUS_IN_TRANS) != 0)
        (void)hf__my_session_run(s, "COMMIT");
}

/* -- identity ---------------------------------------------------------------------------------- */

/* Read the row. 0, ER_NO_SUCH_TABLE, ER_KEY_NOT_FOUND if there is no row, or another number. */
static unsigned read_identity(struct my_session *s, unsigned char ret_id[MY_IDENTITY_SIZE])
{
    MYSQL_RES *res = NULL;
    unsigned native;
    MYSQL_ROW row;

    MY_CUT("mariadb:identity-sending", s);
    native = hf__my_session_query(s, "SELECT id FROM holdfast_identity", &res);
    MY_CUT("mariadb:identity-answered", s);
    if (native != 0)
        return native;
    row = mysql_fetch_row(res);
    if (row == NULL || row[0] == NULL || mysql_fetch_lengths(res)[0] != MY_IDENTITY_SIZE)
        native = ER_KEY_NOT_FOUND;
    else
        memcpy(ret_id, row[0], MY_IDENTITY_SIZE);
    mysql_free_result(res);
    return native;
}

/* Two who come first at once: one row is ignored, and both read the other. */
static unsigned make_identity(struct my_session *s)
{
    unsigned char id[MY_IDENTITY_SIZE];
    char sql[128], *p = sql;
    unsigned native;

    if (getrandom(id, sizeof(id), 0) != sizeof(id))
        return CR_UNKNOWN_ERROR;
    native = hf__my_session_run(s, "CREATE TABLE IF NOT EXISTS holdfast_identity ("
                                   "one TINYINT PRIMARY KEY CHECK (one = 1), "
                                   "id BINARY(16) NOT NULL) ENGINE=InnoDB "
                                   "COMMENT='of Holdfast: drop it in a copy of the database'");
    if (native != 0)
        return native;
    p += sprintf(p, "INSERT IGNORE INTO holdfast_identity VALUES (1, X'");
    for (size_t i = 0; i < sizeof(id); i++)
        p += sprintf(p, "%02x", id[i]);
    (void)sprintf(p, "')");
    MY_CUT("mariadb:identity-making", s);
    native = hf__my_session_run(s, sql);
    quiet(s);
    return native;
}

/* -- markers ----------------------------------------------------------------------------------- */

/* `database`.`holdfast_marker`: the user may choose another database in the session. */
static int name_marker(struct my_session *s, const char *database)
{
    char *p = s->marker;

    if (strlen(database) > DATABASE_MAX)
        return -1;
    *p++ = '`';
    for (const char *c = database; *c != '\0'; c++) {
        if (*c == '`')
            *p++ = '`';
        *p++ = *c;
    }
    (void)strcpy(p, "`.holdfast_marker");
    return 0;
}

/* Remove some that are old. It never waits for a lock: a branch that is prepared, and that perhaps
   this very opening is to settle, has locks on its row. Then another opening removes them. */
static unsigned clean_markers(struct my_session *s)
{
    char sql[512];
    unsigned native;

    (void)snprintf(sql, sizeof(sql),
                   "SET STATEMENT innodb_lock_wait_timeout=0 FOR DELETE FROM %s "
                   "WHERE made < NOW() - INTERVAL " MARKER_DAYS " DAY LIMIT " MARKER_BATCH,
                   s->marker);
    native = hf__my_session_run(s, sql);
    quiet(s);
    return hf__my_answers_kind(native) == MY_LOST ? native : 0;
}

static unsigned make_marker(struct my_session *s)
{
    MYSQL_RES *res = NULL;
    unsigned native = hf__my_session_query(s, "SELECT DATABASE()", &res);
    MYSQL_ROW row;
    char sql[512];

    if (native != 0)
        return native;
    row = mysql_fetch_row(res);
    native = row != NULL && row[0] != NULL && name_marker(s, row[0]) == 0 ? 0 : ER_NO_DB_ERROR;
    mysql_free_result(res);
    if (native != 0)
        return native;
    (void)snprintf(sql, sizeof(sql), "SELECT 1 FROM %s LIMIT 0", s->marker);
    native = hf__my_session_query(s, sql, &res);
    if (native == 0) {
        mysql_free_result(res);
    } else if (native == ER_NO_SUCH_TABLE) {
        (void)snprintf(sql, sizeof(sql),
                       "CREATE TABLE IF NOT EXISTS %s (xid VARBINARY(132) PRIMARY KEY, "
                       "made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, INDEX (made)) "
                       "ENGINE=InnoDB COMMENT='of Holdfast: commits that it can prove'",
                       s->marker);
        MY_CUT("mariadb:marker-making", s);
        native = hf__my_session_run(s, sql);
        MY_CUT("mariadb:marker-made", s);
    }
    return native == 0 ? clean_markers(s) : native;
}

int hf__my_store_identity(struct my_session *s, unsigned char ret_id[MY_IDENTITY_SIZE])
{
    unsigned native = read_identity(s, ret_id);

    if (native == ER_NO_SUCH_TABLE || native == ER_KEY_NOT_FOUND) {
        hf__my_words_begin(s->rmid); /* what was missing is made */
        native = make_identity(s);
        if (native == 0)
            native = read_identity(s, ret_id);
    }
    quiet(s);
    if (native == 0 && s->options.marker)
        native = make_marker(s);
    if (native == ER_NO_DB_ERROR)
        hf__my_words_note((int)native, "mariadb: the open string names no database");
    if (native != 0)
        hf__my_words_note((int)native, "mariadb: the tables of Holdfast cannot be read or made");
    return native == 0 ? 0 : -1;
}

unsigned hf__my_store_marked(struct my_session *s, const XID *xid, int *ret)
{
    unsigned long long found = 0;
    char sql[MY_MESSAGE_SIZE];
    unsigned native;

    *ret = 0;
    if (!s->options.marker || s->marker[0] == '\0')
        return 0;
    hf__my_message_marked(sql, xid, s->marker);
    MY_CUT("mariadb:proof-sending", s);
    native = hf__my_session_number(s, sql, &found);
    MY_CUT("mariadb:proof-answered", s);
    quiet(s);
    *ret = native == 0 && found == 1;
    return native;
}

/* -- settings ---------------------------------------------------------------------------------- */

struct settings {
    char flush[WORD_SIZE], read_only[WORD_SIZE], log_bin[WORD_SIZE], wsrep[WORD_SIZE];
    char replica[WORD_SIZE];
};

static unsigned read_settings(struct my_session *s, struct settings *ret)
{
    const struct {
        const char *name;
        char *to;
    } wanted[] = {{"INNODB_FLUSH_LOG_AT_TRX_COMMIT", ret->flush},
                  {"READ_ONLY", ret->read_only},
                  {"LOG_BIN", ret->log_bin},
                  {"WSREP_ON", ret->wsrep},
                  {"SLAVES_RUNNING", ret->replica}};
    MYSQL_RES *res = NULL;
    unsigned native = hf__my_session_query(
        s,
        "SELECT variable_name, variable_value FROM information_schema.global_variables WHERE "
        "variable_name IN ('innodb_flush_log_at_trx_commit','read_only','log_bin','wsrep_on') "
        "UNION ALL SELECT variable_name, variable_value FROM information_schema.global_status "
        "WHERE variable_name = 'slaves_running'",
        &res);
    MYSQL_ROW row;

    memset(ret, 0, sizeof(*ret));
    if (native != 0)
        return native;
    while ((row = mysql_fetch_row(res)) != NULL)
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
            if (row[0] != NULL && row[1] != NULL && strcasecmp(row[0], wanted[i].name) == 0)
                (void)snprintf(wanted[i].to, WORD_SIZE, "%s", row[1]);
    mysql_free_result(res);
    quiet(s);
    return 0;
}

static int is_on(const char *value)
{
    return strcasecmp(value, "ON") == 0 || strcmp(value, "1") == 0;
}

/* What is wrong, and how to mend it; NULL if nothing is. */
static const char *what_is_wrong(const struct settings *v)
{
    if (strcmp(v->flush, "1") != 0)
        return "innodb_flush_log_at_trx_commit is not 1: a prepared branch is lost by a power cut; "
               "SET GLOBAL innodb_flush_log_at_trx_commit=1, and in the server's option file";
    if (v->replica[0] != '\0' && strcmp(v->replica, "0") != 0)
        return "the server is a replica: what is committed there is not on its primary; "
               "open the primary instead";
    if (is_on(v->read_only))
        return "read_only is on, as on a replica: it refuses to finish branches; "
               "open the primary instead, or SET GLOBAL read_only=0";
    if (is_on(v->wsrep))
        return "wsrep_on is on: Galera does not support XA; use a server outside of the cluster";
    return NULL;
}

int hf__my_store_settings(struct my_session *s, char *ret_why, size_t why_size)
{
    struct settings v;
    const char *wrong;

    if (read_settings(s, &v) != 0)
        return -1;
    wrong = what_is_wrong(&v);
    if (wrong != NULL && !s->options.unsafe) {
        (void)snprintf(ret_why, why_size, "%s; or unsafe=yes", wrong);
        return 1;
    }
    if (wrong != NULL)
        (void)snprintf(ret_why, why_size, "unsafe=yes, and %s", wrong);
    else if (is_on(v.log_bin))
        (void)snprintf(ret_why, why_size,
                       "log_bin is on: by its makers' word (MDEV-21469) a crash of the server may "
                       "leave binary log and prepared branches different, on replicas too");
    else
        ret_why[0] = '\0';
    return 0;
}
