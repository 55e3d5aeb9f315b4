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
 *   R4  An answer is believed only if it is the answer to this very message. The user may have sent
 *       statements whose answers nobody has read, and the OK of one of them would be taken for
 *       ours. So a message over a connection that somebody has used since our own last answer (R6)
 *       begins with a SELECT of a number that no other one has, in the same statement: what does
 *       not begin with that number, be it an OK or an error, breaks the connection. In practice
 *       that is the vote alone, and a row costs the server and us more than all else of a message.
 *       Where nothing was read since the user's last command, which is also so after
 *       mysql_stmt_close(), the number is asked for by itself first, so that nothing is done for
 *       who has an answer unread; so it is where nobody asked for anything and something came. That
 *       is waited for no longer than ASK_MS, as the user's answer may take hours; then the session
 *       is killed, with what it runs.
 *   R5  No lock is held over a round trip. The registry's locks, one for each bucket, are held for
 *       a walk along a list, so that threads with connections of their own do not wait for each
 *       other.
 *   R6  Between our own last answer and the next command of anybody the packet number of the client
 *       library is SETTLED, and between a message of ours and its answer it is SENT; neither is one
 *       of its own: each command sets it to 0, each packet of an answer to 256 at most. So it is
 *       known, without asking, that nobody used the connection; and who did while a message of ours
 *       was under way has taken its answer, or left one of his own: it is lost.
 *   R7  A prepared branch is completed by its own session only if nobody has used that since the
 *       vote, and let go by its loss else: mysql_reset_connection() takes the branch away from it,
 *       and the server says OK to a commit and does nothing (recover.c).
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

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <errmsg.h>
#include <ma_pvio.h>
#include <mysqld_error.h>

#include "answers.h"
#include "cut.h"
#include "message.h"
#include "words.h"

enum {
    BUCKETS = 256,
    CONNECT_TIMEOUT_S = 10,
    VERSION_MIN = 100500,
    ASK_MS = 5000,     /* for the answer to what asks for nothing but a number */
    SETTLED = 0x10000, /* R6 */
    SENT = 0x20000     /* R6: our message is under way */
};

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

int64_t hf__my_session_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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
    s->disturbed = 0;
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

/* After this nothing of ours is under way. */
static void settle(struct my_session *s)
{
    s->conn->net.pkt_nr = SETTLED;
    s->heard_ms = hf__my_session_now_ms();
}

static unsigned out_of_step(struct my_session *s)
{
    hf__my_words_note(CR_COMMANDS_OUT_OF_SYNC,
                      "mariadb: the connection has an answer that nobody has read");
    (void)hf__my_session_lose(s);
    return CR_COMMANDS_OUT_OF_SYNC;
}

/* The number is the column's name, which comes before any row, and in spite of sql_select_limit. */
static int has_number(const struct my_session *s, MYSQL_RES *res)
{
    char wanted[32];

    (void)snprintf(wanted, sizeof(wanted), "%llu", s->number);
    return mysql_num_fields(res) == 1 &&
           strcmp(mysql_fetch_field_direct(res, 0)->name, wanted) == 0;
}

/* Read the number that an answer begins with (R4), and the row's text into ret_text if that is not
   NULL. 0, or an error of the client library. */
static unsigned read_number(struct my_session *s, char ret_text[MY_WHO_SIZE])
{
    MYSQL_RES *res;
    MYSQL_ROW row;
    int same;

    s->answering = 1;
    if (mysql_read_query_result(s->conn) != 0) {
        (void)failed(s); /* whosever error that is */
        (void)hf__my_session_lose(s);
        return CR_COMMANDS_OUT_OF_SYNC;
    }
    res = mysql_use_result(s->conn);
    same = res != NULL && has_number(s, res);
    if (!same)
        (void)out_of_step(s); /* first, so that the rows of another statement end at once */
    if (ret_text != NULL)
        ret_text[0] = '\0';
    while (same && (row = mysql_fetch_row(res)) != NULL)
        if (ret_text != NULL && row[0] != NULL)
            (void)snprintf(ret_text, MY_WHO_SIZE, "%s", row[0]);
    mysql_free_result(res);
    if (!same)
        return CR_COMMANDS_OUT_OF_SYNC;
    return mysql_errno(s->conn) == 0 ? 0 : failed(s);
}

/* There is no more of the answer. */
static unsigned read_end(struct my_session *s)
{
    if (mysql_more_results(s->conn))
        return out_of_step(s);
    settle(s);
    return 0;
}

/* The next part of an answer whose number was read, if it has one; an error is the last one. */
static unsigned read_next(struct my_session *s)
{
    int rc = s->answering ? mysql_next_result(s->conn) : mysql_read_query_result(s->conn);
    unsigned native;

    if (rc < 0)
        return out_of_step(s);
    s->answering = 1;
    if (rc == 0)
        return 0;
    native = failed(s);
    if (hf__my_answers_kind(native) == MY_LOST)
        (void)hf__my_session_lose(s);
    else
        settle(s);
    return native;
}

int hf__my_session_is_untouched(const struct my_session *s)
{
    return s->conn->net.pkt_nr == SETTLED && s->conn->status == MYSQL_STATUS_READY;
}

/* The client library reads ahead, which the socket knows nothing of. */
int hf__my_session_has_input(const struct my_session *s, int timeout_ms)
{
    struct pollfd socket = {.fd = mysql_get_socket(s->conn), .events = POLLIN};
    const MARIADB_PVIO *io = s->conn->net.pvio; /* NULL: the connection has ended */

    int64_t end_ms = hf__my_session_now_ms() + timeout_ms;
    int rc;

    if (io == NULL || (io->cache != NULL && io->cache_pos < io->cache + io->cache_size))
        return 1;
    /* Bound: the signals that come meanwhile. */
    while ((rc = poll(&socket, 1, timeout_ms)) < 0 && errno == EINTR) {
        int64_t left_ms = end_ms - hf__my_session_now_ms();

        timeout_ms = left_ms > 0 ? (int)left_ms : 0;
    }
    return rc != 0; /* what else is wrong with it, reading tells */
}

/* R7 */
static void notice_use(struct my_session *s)
{
    if (s->branch == MY_PREPARED && !hf__my_session_is_untouched(s))
        s->disturbed = 1;
}

int hf__my_session_is_disturbed(struct my_session *s)
{
    notice_use(s);
    return s->disturbed;
}

/* Have the server end the session, over a connection of its own: what runs there would hold its
   locks to its end, as MariaDB does not look whether anybody waits for it. What cannot be done is
   left to that end. */
static void kill_it(const struct my_session *s)
{
    MYSQL *conn = hf__my_session_connect(&s->options);
    char sql[64];

    if (conn == NULL)
        return;
    (void)snprintf(sql, sizeof(sql), "KILL CONNECTION %lu", s->thread_id);
    (void)mysql_query(conn, sql);
    mysql_close(conn);
}

/* A message that asks for nothing but its number, and for who the session is, if that is not NULL.
   It waits for timeout_ms; what the session does after that is ended if kills. */
static unsigned ask(struct my_session *s, int timeout_ms, int kills, char ret_who[MY_WHO_SIZE])
{
    char sql[128];
    unsigned native;

    notice_use(s);
    (void)snprintf(sql, sizeof(sql),
                   ret_who == NULL ? "SELECT %llu"
                                   : "SELECT CONCAT_WS('/',CURRENT_USER(),CURRENT_ROLE()) `%llu`",
                   ++s->number);
    if (mysql_send_query(s->conn, sql, (unsigned long)strlen(sql)) != 0)
        return failed(s);
    if (!hf__my_session_has_input(s, timeout_ms)) {
        if (kills)
            kill_it(s);
        return out_of_step(s);
    }
    native = read_number(s, ret_who);
    if (native == 0 && mysql_more_results(s->conn))
        return out_of_step(s);
    if (native == 0)
        settle(s);
    return native;
}

unsigned hf__my_session_ask(struct my_session *s, int timeout_ms)
{
    return ask(s, timeout_ms, 0, NULL);
}

unsigned hf__my_session_in_step(struct my_session *s)
{
    return hf__my_session_is_untouched(s) ? 0 : ask(s, ASK_MS, 1, NULL);
}

/* Could an answer of somebody else's be under way that our own number would not tell from ours, or
   not before the message is carried out? pkt_nr: 1 after a command of which no answer was read. */
static int is_doubtful(const struct my_session *s)
{
    return hf__my_session_is_untouched(s) ? hf__my_session_has_input(s, 0)
                                          : s->conn->net.pkt_nr <= 1;
}

unsigned hf__my_session_send(struct my_session *s, const char *sql)
{
    char framed[MY_MESSAGE_SIZE + 64], number[32] = "";
    int size;

    notice_use(s);
    if (is_doubtful(s) && ask(s, ASK_MS, 1, NULL) != 0)
        return CR_COMMANDS_OUT_OF_SYNC;
    s->has_number = !hf__my_session_is_untouched(s);
    s->is_compound = s->has_number || strchr(sql, ';') != NULL;
    s->answering = 0;
    s->number_error = 0;
    if (s->has_number)
        (void)snprintf(number, sizeof(number), "SELECT %llu; ", ++s->number);
    size = snprintf(framed, sizeof(framed), s->is_compound ? "BEGIN NOT ATOMIC %s%s; END" : "%s%s",
                    number, sql);
    if (mysql_send_query(s->conn, framed, (unsigned long)size) != 0)
        return failed(s);
    s->conn->net.pkt_nr = SENT;
    return 0;
}

/* The number, if there is one and it was not read yet. */
static unsigned take_number(struct my_session *s)
{
    if (s->number_error == 0 && s->conn->net.pkt_nr != SENT)
        s->number_error = out_of_step(s);
    if (s->has_number && !s->answering && s->number_error == 0) {
        s->number_error = read_number(s, NULL);
        s->conn->net.pkt_nr = SENT; /* the rest is under way still */
    }
    return s->number_error;
}

/* The server sends the number as soon as it begins, and the rest when it is done, which may be long
   after. */
int hf__my_session_is_answered(struct my_session *s)
{
    if (s->conn->net.pkt_nr == SENT && !hf__my_session_has_input(s, 0))
        return 0;
    return take_number(s) != 0 || hf__my_session_has_input(s, 0);
}

/* As far as the first part that is not the number. */
static unsigned begin_answer(struct my_session *s)
{
    unsigned native = take_number(s);

    return native == 0 ? read_next(s) : native;
}

unsigned hf__my_session_answer(struct my_session *s)
{
    unsigned native = begin_answer(s);

    if (native != 0)
        return native;
    return mysql_field_count(s->conn) == 0 ? read_end(s) : out_of_step(s);
}

unsigned hf__my_session_run(struct my_session *s, const char *sql)
{
    unsigned native = hf__my_session_send(s, sql);

    return native == 0 ? hf__my_session_answer(s) : native;
}

unsigned hf__my_session_query(struct my_session *s, const char *sql, MYSQL_RES **ret)
{
    unsigned native = hf__my_session_send(s, sql);
    MYSQL_RES *res;

    if (native == 0)
        native = begin_answer(s);
    if (native != 0)
        return native;
    res = mysql_store_result(s->conn);
    if (res == NULL)
        return failed(s);
    if (s->is_compound)
        native = read_next(s);
    if (native == 0)
        native = read_end(s);
    if (native == 0)
        *ret = res;
    else
        mysql_free_result(res);
    return native;
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

/* -- open and close ---------------------------------------------------------------------------- */

/* Others than of any session before, in this process or another one, that a user may have had. */
static unsigned long long first_number(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec;
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
    s->number = first_number();
    if (ask(s, CONNECT_TIMEOUT_S * 1000, 0, s->who) != 0) {
        mysql_close(s->conn);
        goto fail;
    }
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
    if (mysql_select_db(s->conn, s->schema) != 0)
        return failed(s);
    settle(s);
    return 0;
}

/* The server's own reset leaves a role and a user as they are. Such a session is of no more use: to
   make another one is hardly dearer than to change the user. */
unsigned hf__my_session_reset(struct my_session *s)
{
    char who[sizeof(s->who)];
    unsigned native = ask(s, ASK_MS, 1, who);

    if (native != 0)
        return native;
    if (strcmp(who, s->who) != 0) {
        hf__my_words_note(ER_ACCESS_DENIED_CHANGE_USER_ERROR,
                          "mariadb: the session has another user or role than at first");
        return ER_ACCESS_DENIED_CHANGE_USER_ERROR;
    }
    if (mysql_reset_connection(s->conn) != 0)
        return failed(s);
    settle(s); /* nothing was under way before it */
    /* The client takes no status from that answer; from that of a statement it does. */
    if (hf__my_session_is_changed(s) && (native = hf__my_session_run(s, "DO 0")) != 0)
        return native;
    return hf__my_session_home(s);
}
