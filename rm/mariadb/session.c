/*
 * rm/mariadb/session.c - the registry of open rmids, and their connections.
 *
 * Invariants
 *   R1  An rmid is in the registry from a successful xa_open() to its xa_close().
 *   R2  A connection is never connected anew: the server would give it another session, in which
 *       the branch is not. What an option file says of reconnecting is undone, and a session whose
 *       number has changed (the user's doing) is lost.
 *   R3  A lost connection is shut down at once, so that the server ends the session: it rolls back
 *       what is not prepared and lets go of what is. Its memory is freed by xa_close() only, as the
 *       user may have statements and results of it.
 *   R4  An answer is read by who asked. A statement that the user has sent (mysql_send_query) and
 *       whose answer nobody has read would have its OK taken for ours. So where nothing was read
 *       since the last command, which is also so after mysql_stmt_close(), a question that only
 *       one answer fits goes before the next statement.
 *   R5  No lock is held over a round trip. The registry's locks, one for each bucket, are held for
 *       a walk along a list, so that threads with connections of their own do not wait for each
 *       other.
 *
 * The calls are sent and answered by two functions of the client library that never mix their
 * waiting: mysql_send_query() and mysql_read_query_result(). Between them the thread may send to
 * other servers. The library's coroutines (mysql_real_query_start()) do the same, and would put the
 * user's connection into a mode with one poll more for each read.
 *
 * Threads: see session.h.
 * Spec: [XA] 3.2: the transaction manager chooses rmids; table 6-1.
 */
#include "session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <errmsg.h>

#include "answers.h"
#include "cut.h"
#include "words.h"

enum { BUCKETS = 256, CONNECT_TIMEOUT_S = 10, VERSION_MIN = 100500 };

static struct {
    pthread_mutex_t mutex;
    struct my_session *first;
} buckets[BUCKETS] = {[0 ... BUCKETS - 1] = {PTHREAD_MUTEX_INITIALIZER, NULL}};

static _Atomic unsigned opened; /* rmids */
static _Atomic int forked;      /* the parent of this process had some */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

int hf__my_session_same(const XID *a, const XID *b)
{
    return a->formatID == b->formatID && a->gtrid_length == b->gtrid_length &&
           a->bqual_length == b->bqual_length &&
           memcmp(a->data, b->data, (size_t)(a->gtrid_length + a->bqual_length)) == 0;
}

/* -- the registry ------------------------------------------------------------------------------ */

/* Another thread of the parent may have held any of the mutexes. What was inherited is neither used
   nor freed: mysql_close() in a child would end the parent's session. */
static void in_child(void)
{
    if (atomic_exchange(&opened, 0) == 0)
        return;
    atomic_store(&forked, 1);
    for (int b = 0; b < BUCKETS; b++) {
        (void)pthread_mutex_init(&buckets[b].mutex, NULL);
        buckets[b].first = NULL;
    }
}

int hf__my_session_is_forked(void)
{
    return atomic_load(&forked);
}

void hf__my_session_begin(void)
{
    if (hf__my_session_is_forked())
        atomic_store(&forked, 0);
}

struct my_session *hf__my_session_find(int rmid)
{
    unsigned b = (unsigned)rmid % BUCKETS;
    struct my_session *s;

    (void)pthread_mutex_lock(&buckets[b].mutex);
    s = buckets[b].first;
    while (s != NULL && s->rmid != rmid)
        s = s->next;
    (void)pthread_mutex_unlock(&buckets[b].mutex);
    return s;
}

static void add(struct my_session *s)
{
    unsigned b = (unsigned)s->rmid % BUCKETS;

    (void)pthread_mutex_lock(&buckets[b].mutex);
    s->next = buckets[b].first;
    buckets[b].first = s;
    (void)pthread_mutex_unlock(&buckets[b].mutex);
    (void)atomic_fetch_add(&opened, 1);
}

static void take_out(struct my_session *s)
{
    unsigned b = (unsigned)s->rmid % BUCKETS;
    struct my_session **link = &buckets[b].first;

    (void)pthread_mutex_lock(&buckets[b].mutex);
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    (void)pthread_mutex_unlock(&buckets[b].mutex);
    (void)atomic_fetch_sub(&opened, 1);
}

void hf__my_session_take(struct my_session *s, const XID *xid)
{
    unsigned b = (unsigned)s->rmid % BUCKETS;

    (void)pthread_mutex_lock(&buckets[b].mutex);
    s->xid = *xid;
    s->has = 1;
    (void)pthread_mutex_unlock(&buckets[b].mutex);
    s->branch = MY_ACTIVE;
}

void hf__my_session_drop(struct my_session *s)
{
    unsigned b = (unsigned)s->rmid % BUCKETS;

    (void)pthread_mutex_lock(&buckets[b].mutex);
    s->has = 0;
    (void)pthread_mutex_unlock(&buckets[b].mutex);
    s->branch = MY_ABSENT;
    s->association = MY_NONE;
}

int hf__my_session_elsewhere(const struct my_session *s, const XID *xid)
{
    int has = 0;

    for (unsigned b = 0; b < BUCKETS && !has; b++) {
        (void)pthread_mutex_lock(&buckets[b].mutex);
        for (const struct my_session *o = buckets[b].first; o != NULL && !has; o = o->next)
            has = o != s && o->has && hf__my_session_same(&o->xid, xid);
        (void)pthread_mutex_unlock(&buckets[b].mutex);
    }
    return has;
}

int hf__my_session_branch_of(int rmid, XID *ret)
{
    unsigned b = (unsigned)rmid % BUCKETS;
    const struct my_session *s;
    int has;

    (void)pthread_mutex_lock(&buckets[b].mutex);
    s = buckets[b].first;
    while (s != NULL && s->rmid != rmid)
        s = s->next;
    has = s != NULL && s->has;
    if (has)
        *ret = s->xid;
    (void)pthread_mutex_unlock(&buckets[b].mutex);
    return has;
}

/* -- connecting -------------------------------------------------------------------------------- */

static void begin_library(void)
{
    (void)mysql_library_init(0, NULL, NULL); /* not safe in two threads at once; never fails here */
    (void)pthread_atfork(NULL, NULL, in_child); /* ENOMEM: a child is not told apart */
}

static void set_options(MYSQL *conn, const struct my_options *o)
{
    unsigned timeout_s = CONNECT_TIMEOUT_S;

    /* Options of a connection that is not open are only noted: they cannot fail. */
    (void)mysql_options(conn, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    if (o->file != NULL)
        (void)mysql_options(conn, MYSQL_READ_DEFAULT_FILE, o->file);
    if (o->group != NULL || o->file != NULL)
        (void)mysql_options(conn, MYSQL_READ_DEFAULT_GROUP, o->group != NULL ? o->group : "client");
}

/* Branches of older ones die with their session; other makers' servers answer otherwise. */
static int is_known(MYSQL *conn)
{
    if (strstr(mysql_get_server_info(conn), "MariaDB") != NULL &&
        mysql_get_server_version(conn) >= VERSION_MIN)
        return 1;
    hf__my_words_note(0, "mariadb: the server is not a MariaDB of version 10.5 or higher");
    return 0;
}

MYSQL *hf__my_session_connect(const struct my_options *options)
{
    static const char no = 0;
    MYSQL *conn;

    (void)pthread_once(&library_once, begin_library);
    conn = mysql_init(NULL);
    if (conn == NULL) {
        hf__my_words_note(CR_OUT_OF_MEMORY, "mariadb: out of memory");
        return NULL;
    }
    set_options(conn, options);
    if (mysql_real_connect(conn, options->host, options->user, options->password, options->database,
                           options->port, options->socket, 0) == NULL) {
        hf__my_words_note((int)mysql_errno(conn), mysql_error(conn));
        mysql_close(conn);
        return NULL;
    }
    (void)mysql_options(conn, MYSQL_OPT_RECONNECT, &no); /* whatever an option file says (R2) */
    if (!is_known(conn)) {
        mysql_close(conn);
        return NULL;
    }
    return conn;
}

int hf__my_session_open(int rmid, const char *info)
{
    struct my_session *s = calloc(1, sizeof(*s));
    char why[128];
    int rc = XAER_RMERR;

    if (s == NULL) {
        hf__my_words_note(CR_OUT_OF_MEMORY, "mariadb: out of memory");
        return XAER_RMERR;
    }
    *s = (struct my_session){.rmid = rmid, .xid = {.formatID = -1}};
    if (hf__my_options_parse(info, &s->options, why, sizeof(why)) != 0) {
        hf__my_words_note(0, why);
        rc = XAER_INVAL;
        goto fail;
    }
    HF_FAULT("mariadb:connecting");
    s->conn = hf__my_session_connect(&s->options);
    if (s->conn == NULL)
        goto fail;
    MY_CUT("mariadb:connected", s);
    s->thread_id = mysql_thread_id(s->conn);
    s->autocommits = (s->conn->server_status & SERVER_STATUS_AUTOCOMMIT) != 0;
    s->schema = strdup(s->conn->db != NULL ? s->conn->db : "");
    if (s->schema == NULL) {
        hf__my_words_note(CR_OUT_OF_MEMORY, "mariadb: out of memory");
        mysql_close(s->conn);
        goto fail;
    }
    add(s);
    return XA_OK;

fail:
    hf__my_options_wipe(&s->options);
    free(s);
    return rc;
}

void hf__my_session_close(struct my_session *s)
{
    take_out(s);
    mysql_close(s->conn);
    hf__my_options_wipe(&s->options);
    free(s->scan);
    free(s->calm);
    free(s->schema);
    free(s);
}

/* -- talking ----------------------------------------------------------------------------------- */

int hf__my_session_lose(struct my_session *s)
{
    s->lost = 1;
    s->op = MY_OP_NONE;
    (void)shutdown(mysql_get_socket(s->conn), SHUT_RDWR); /* it may be shut already */
    return XAER_RMFAIL;
}

int hf__my_session_check(struct my_session *s)
{
    if (!s->lost && mysql_thread_id(s->conn) != s->thread_id) {
        hf__my_words_note(CR_SERVER_GONE_ERROR, "mariadb: the connection was made anew by hand");
        return hf__my_session_lose(s);
    }
    return s->lost ? XAER_RMFAIL : XA_OK;
}

static unsigned failed(const struct my_session *s)
{
    unsigned native = mysql_errno(s->conn);

    if (native == 0)
        native = CR_UNKNOWN_ERROR;
    hf__my_words_note((int)native, mysql_error(s->conn));
    return native;
}

int hf__my_session_in_step(struct my_session *s)
{
    char sql[64], wanted[32];
    struct timespec now;
    MYSQL_RES *res = NULL;
    MYSQL_ROW row;
    int same = 0;

    if (s->conn->net.pkt_nr > 1) /* the last packet was one of an answer */
        return 1;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(wanted, sizeof(wanted), "%lld%09ld", (long long)now.tv_sec, now.tv_nsec);
    (void)snprintf(sql, sizeof(sql), "SELECT %s", wanted);
    if (mysql_send_query(s->conn, sql, (unsigned long)strlen(sql)) == 0 &&
        mysql_read_query_result(s->conn) == 0)
        res = mysql_store_result(s->conn);
    if (res != NULL) {
        row = mysql_fetch_row(res);
        same = row != NULL && row[0] != NULL && strcmp(row[0], wanted) == 0;
        mysql_free_result(res);
    }
    if (!same)
        hf__my_words_note(CR_COMMANDS_OUT_OF_SYNC,
                          "mariadb: the connection has an answer that nobody has read");
    return same;
}

int hf__my_session_has_unread(const struct my_session *s)
{
    return s->conn->net.pkt_nr <= 1 || s->conn->status != MYSQL_STATUS_READY ||
           mysql_more_results(s->conn);
}

unsigned hf__my_session_send(struct my_session *s, const char *sql)
{
    if (!hf__my_session_in_step(s))
        return CR_COMMANDS_OUT_OF_SYNC;
    return mysql_send_query(s->conn, sql, (unsigned long)strlen(sql)) == 0 ? 0 : failed(s);
}

unsigned hf__my_session_answer(struct my_session *s)
{
    unsigned native = mysql_read_query_result(s->conn) == 0 ? 0 : failed(s);

    /* Our statements have one result without rows. More would leave the connection out of step. */
    if (native == 0 && (mysql_field_count(s->conn) != 0 || mysql_more_results(s->conn))) {
        native = CR_COMMANDS_OUT_OF_SYNC;
        hf__my_words_note((int)native, "mariadb: an answer that belongs to another statement");
    }
    return native;
}

unsigned hf__my_session_run(struct my_session *s, const char *sql)
{
    unsigned native = hf__my_session_send(s, sql);

    return native == 0 ? hf__my_session_answer(s) : native;
}

unsigned hf__my_session_query(struct my_session *s, const char *sql, MYSQL_RES **ret)
{
    unsigned native = hf__my_session_send(s, sql);

    if (native != 0)
        return native;
    if (mysql_read_query_result(s->conn) != 0)
        return failed(s);
    *ret = mysql_store_result(s->conn);
    return *ret != NULL ? 0 : failed(s);
}

unsigned hf__my_session_number(struct my_session *s, const char *sql, unsigned long long *ret)
{
    MYSQL_RES *res = NULL;
    unsigned native = hf__my_session_query(s, sql, &res);
    MYSQL_ROW row;

    if (native != 0)
        return native;
    row = mysql_fetch_row(res);
    *ret = row != NULL && row[0] != NULL ? strtoull(row[0], NULL, 10) : 0;
    mysql_free_result(res);
    return 0;
}

/* -- as it was opened -------------------------------------------------------------------------- */

int hf__my_session_is_changed(const struct my_session *s)
{
    unsigned status = s->conn->server_status;

    return (status & SERVER_STATUS_IN_TRANS) != 0 ||
           ((status & SERVER_STATUS_AUTOCOMMIT) != 0) != s->autocommits;
}

unsigned hf__my_session_home(struct my_session *s)
{
    if (s->conn->db != NULL && strcmp(s->conn->db, s->schema) == 0)
        return 0;
    return mysql_select_db(s->conn, s->schema) == 0 ? 0 : failed(s);
}

unsigned hf__my_session_reset(struct my_session *s)
{
    unsigned native;

    if (!hf__my_session_in_step(s))
        return CR_COMMANDS_OUT_OF_SYNC;
    if (mysql_reset_connection(s->conn) != 0)
        return failed(s);
    /* The client takes no status from that answer; from that of a statement it does. */
    if (hf__my_session_is_changed(s) && (native = hf__my_session_run(s, "DO 0")) != 0)
        return native;
    return hf__my_session_home(s);
}
