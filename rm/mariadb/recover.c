/*
 * rm/mariadb/recover.c - which branches the server has prepared.
 *
 * The column with an XID's bytes is binary, so that no character set is between (a test has all 256
 * values), and its length has to be the sum of the two lengths; FORMAT='SQL' would be a literal in
 * one of several forms, to be parsed. The list is of the whole server: several databases, and other
 * transaction managers. A row that is not of the form fails the scan, as a scan that left one out
 * would prove nothing.
 *
 * A branch whose session ends is a trap. MariaDB offers it to everybody before its engine has let
 * go of it: the session gives it up in THD::cleanup(), and InnoDB only in ha_close_connection(), a
 * little later. XA COMMIT in between finds it, asks an engine that does not know it yet, does not
 * look at the engine's answer, and says OK. Nothing was committed, and the branch is in no list
 * until the server starts again: 24 of 1,000 commits, in a loop that asked at once (10.11.19). The
 * lock that the session held is let go of between the two. So a branch is completed by others only
 * when its lock was seen free, and InnoDB has no transaction any more of a session that is ending:
 * one that the list of sessions shows as killed, as each is before it lets go of its lock, or does
 * not show at all. On a busy machine a session can stand there for long: of 48,000 two took more
 * than 100 ms, so that to wait for a time alone does not do.
 *
 * InnoDB's list is a copy that is made anew when it was not read for a tenth of a second: CALM_MS
 * pass before each look, so that what is looked at is no older than the free lock. As long as a
 * session is ending all branches count as held. Who has not the privilege PROCESS cannot look, and
 * waits for BLIND_MS: that is a limit of time and not a proof. With proof=marker the marker is
 * looked for after the OK, and that is one (branch.c, verify).
 *
 * What was free stays free: nobody can take up a prepared branch again. So all that are free are
 * remembered with the session, and a recovery pass waits once.
 *
 * Threads: one for a session.
 * Spec: [XA] xa_recover().
 */
#include "recover.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <errmsg.h>
#include <mysqld_error.h>

#include "answers.h"
#include "cut.h"
#include "message.h"
#include "words.h"

enum {
    CALM_MS = 110, /* more than the age of InnoDB's copy */
    LOOKS_MAX = 50,
    BLIND_MS = 1000,
    HELD_TRIES = 10,
    HELD_PAUSE_MS = 5
};

/* One that is killed and still at a statement, or rolls back, has prepared nothing. */
static const char ending[] =
    "SELECT COUNT(*) FROM information_schema.innodb_trx t LEFT JOIN information_schema.processlist "
    "p ON p.id=t.trx_mysql_thread_id WHERE t.trx_mysql_thread_id<>0 AND "
    "t.trx_state<>'ROLLING BACK' AND "
    "(p.id IS NULL OR (p.command='Killed' AND p.info IS NULL))";

static void pause_ms(long ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&ts, NULL);
}

/* A number of a column, from min to max. */
static int read_number(const char *text, long min, long max, long *ret)
{
    char *end;

    if (text == NULL)
        return -1;
    *ret = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && *ret >= min && *ret <= max ? 0 : -1;
}

/* formatID, gtrid_length, bqual_length, data */
static int read_xid(MYSQL_ROW row, const unsigned long *sizes, XID *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (read_number(row[0], LONG_MIN, LONG_MAX, &ret->formatID) != 0 ||
        read_number(row[1], 0, MAXGTRIDSIZE, &ret->gtrid_length) != 0 ||
        read_number(row[2], 0, MAXBQUALSIZE, &ret->bqual_length) != 0 || row[3] == NULL ||
        sizes[3] != (unsigned long)(ret->gtrid_length + ret->bqual_length))
        return -1;
    memcpy(ret->data, row[3], sizes[3]);
    return 0;
}

unsigned hf__my_recover_list(struct my_session *s, XID **ret, size_t *ret_count)
{
    MYSQL_RES *res = NULL;
    size_t count = 0;
    unsigned native;
    MYSQL_ROW row;
    XID *list;

    MY_CUT("mariadb:scan-sending", s);
    native = hf__my_session_query(s, "XA RECOVER", &res);
    MY_CUT("mariadb:scan-answered", s);
    if (native != 0)
        return native;
    list = calloc((size_t)mysql_num_rows(res) + 1, sizeof(*list));
    if (list == NULL)
        native = CR_OUT_OF_MEMORY;
    while (native == 0 && (row = mysql_fetch_row(res)) != NULL)
        if (mysql_num_fields(res) != 4 ||
            read_xid(row, mysql_fetch_lengths(res), &list[count++]) != 0)
            native = CR_UNKNOWN_ERROR;
    mysql_free_result(res);
    if (native != 0) {
        hf__my_words_note((int)native, native == CR_OUT_OF_MEMORY
                                           ? "mariadb: out of memory"
                                           : "mariadb: xa recover lists what is not an XID");
        free(list);
        return native;
    }
    *ret = list;
    *ret_count = HF_BUG("mariadb-scan-skips") ? 0 : count;
    return 0;
}

unsigned hf__my_recover_lists(struct my_session *s, const XID *xid, int *ret)
{
    XID *list = NULL;
    size_t count = 0;
    unsigned native = hf__my_recover_list(s, &list, &count);

    *ret = 0;
    for (size_t i = 0; native == 0 && i < count && !*ret; i++)
        *ret = hf__my_session_same(&list[i], xid);
    free(list);
    return native;
}

/* -- branches of other sessions ---------------------------------------------------------------- */

static int contains(const XID *list, size_t count, const XID *xid)
{
    for (size_t i = 0; i < count; i++)
        if (hf__my_session_same(&list[i], xid))
            return 1;
    return 0;
}

static unsigned is_held(struct my_session *s, const XID *xid, int *ret)
{
    unsigned long long holder = 0;
    char sql[MY_MESSAGE_SIZE];
    unsigned native;

    hf__my_message_holder(sql, xid);
    MY_CUT("mariadb:look-sending", s);
    native = hf__my_session_number(s, sql, &holder);
    MY_CUT("mariadb:looked", s);
    *ret = holder != 0;
    return native;
}

/* Wait until InnoDB has let go of what ending sessions had prepared; ret: it has. */
static unsigned wait_for_calm(struct my_session *s, int *ret)
{
    unsigned long long count = 1;

    *ret = 0;
    for (int i = 0; i < LOOKS_MAX && count > 0; i++) {
        unsigned native;

        pause_ms(CALM_MS);
        MY_CUT("mariadb:calm-sending", s);
        native = hf__my_session_number(s, ending, &count);
        MY_CUT("mariadb:calm", s);
        if (hf__my_answers_kind(native) == MY_LOST)
            return native;
        if (native == ER_SPECIFIC_ACCESS_DENIED_ERROR) {
            pause_ms(BLIND_MS);
            count = 0;
        } else if (native != 0) {
            count = 1; /* who could look and did not knows nothing */
        }
    }
    *ret = count == 0;
    return 0;
}

/* Read the list again, and of each branch whether its session has let go of it; then wait. */
static unsigned find_free(struct my_session *s)
{
    size_t count = 0, kept = 0;
    XID *list = NULL;
    unsigned native = hf__my_recover_list(s, &list, &count);
    int calm = 0;

    for (size_t i = 0; native == 0 && i < count; i++) {
        int held = 0;

        native = is_held(s, &list[i], &held);
        if (!held)
            list[kept++] = list[i];
    }
    if (native == 0 && kept > 0)
        native = wait_for_calm(s, &calm);
    if (native != 0) {
        free(list);
        return native;
    }
    free(s->calm);
    s->calm = list;
    s->calm_count = calm ? kept : 0;
    return 0;
}

unsigned hf__my_recover_look(struct my_session *s, const XID *xid, enum my_place *ret)
{
    int listed = 0, held = 1;
    unsigned native = 0;

    if (contains(s->calm, s->calm_count, xid)) {
        *ret = MY_FREE;
        return 0;
    }
    native = hf__my_recover_lists(s, xid, &listed);
    /* It may just be ending: that takes no long time. */
    for (int i = 0; native == 0 && listed && held && i < HELD_TRIES; i++) {
        if (i > 0)
            pause_ms(HELD_PAUSE_MS);
        native = is_held(s, xid, &held);
    }
    if (native == 0 && listed && !held)
        native = find_free(s);
    if (native != 0)
        return native;
    *ret = !listed ? MY_NOWHERE : contains(s->calm, s->calm_count, xid) ? MY_FREE : MY_HELD;
    return 0;
}
