/*
 * rm/mariadb/ext.c - hf_mariadb_ext, and what is lent to the user and to a pool.
 *
 * A stale session, and one whose time is over, is found by the lock that it holds, which is named
 * by the XID (message.c): the statement that kills looks in the same instant, so that no session is
 * hit but the one that works in this very branch. detach() is for the transaction manager to call:
 * who holds the branch is stale only if the transaction's owner is gone, which the server cannot
 * know. token is NULL, as the XID says it all.
 *
 * Proof: with proof=marker a row that the branch itself wrote proves its commit. Nothing proves a
 * rollback, and without a marker nothing proves a commit: HF_PROBE_UNKNOWN.
 *
 * Threads: as the switch; hook_cancel() comes while another thread uses the rmid, and reads of it
 * only what that thread does not change meanwhile.
 * Spec: DESIGN: verified outcomes; no part of [XA].
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <mysqld_error.h>

#include "answers.h"
#include "cut.h"
#include "holdfast/mariadb.h"
#include "message.h"
#include "recover.h"
#include "store.h"
#include "words.h"

enum { GONE_TRIES = 200, GONE_PAUSE_NS = 10000000, ALIVE_MS = 10000 };

/* An rmid that a hook may talk to: open, not lost, no call under way. */
static int usable(int rmid, struct my_session **ret)
{
    hf__my_words_begin(rmid);
    if (hf__my_session_is_forked())
        return HF_EFORK;
    *ret = hf__my_session_find(rmid);
    if (*ret == NULL)
        return HF_EINVAL;
    if ((*ret)->op != MY_OP_NONE)
        return HF_EBUSY;
    return hf__my_session_check(*ret) == XA_OK ? HF_OK : HF_ERM;
}

static int hook_identity(void *user, int rmid, unsigned char ret_id[HF_IDENTITY_SIZE])
{
    unsigned char id[MY_IDENTITY_SIZE];
    struct my_session *s;
    int rc = usable(rmid, &s);

    (void)user;
    if (rc == HF_OK && hf__my_store_identity(s, id) != 0)
        rc = HF_ERM;
    if (rc != HF_OK)
        return rc;
    memset(ret_id, 0, HF_IDENTITY_SIZE);
    memcpy(ret_id, id, sizeof(id));
    return HF_OK;
}

static int hook_settings(void *user, int rmid, char *ret_why, size_t why_size)
{
    struct my_session *s;
    int rc = usable(rmid, &s);
    int native;

    (void)user;
    if (rc == HF_OK)
        rc = hf__my_store_settings(s, ret_why, why_size);
    if (rc < 0 && hf__my_words_get(rmid, &native, ret_why, why_size) != 0)
        (void)snprintf(ret_why, why_size, "its settings cannot be read");
    return rc;
}

static int hook_probe(void *user, int rmid, const XID *xid, const void *token, size_t token_size,
                      enum hf_probe *ret)
{
    struct my_session *s;
    int rc = usable(rmid, &s);
    int found = 0;

    (void)user;
    (void)token;
    (void)token_size;
    if (rc != HF_OK)
        return rc;
    if (!hf__my_message_takes(xid))
        return HF_EINVAL;
    if (hf__my_recover_lists(s, xid, &found) != 0)
        return HF_ERM;
    if (found) {
        *ret = HF_PROBE_PREPARED;
        return HF_OK;
    }
    if (hf__my_store_marked(s, xid, &found) != 0)
        return HF_ERM;
    *ret = found ? HF_PROBE_COMMITTED : HF_PROBE_UNKNOWN;
    return HF_OK;
}

/* Kill the session that holds the branch, and wait until it has gone. */
static int hook_detach(void *user, int rmid, const XID *xid, const void *token, size_t token_size)
{
    static const struct timespec pause = {.tv_nsec = GONE_PAUSE_NS};
    unsigned long long holder = 1;
    char sql[MY_MESSAGE_SIZE];
    struct my_session *s;
    int rc = usable(rmid, &s);
    unsigned native;

    (void)user;
    (void)token;
    (void)token_size;
    if (rc != HF_OK)
        return rc;
    if (!hf__my_message_takes(xid))
        return HF_EINVAL;
    if (hf__my_session_same(&s->xid, xid))
        return HF_ESTATE; /* that would be this one */
    hf__my_message_kill(sql, xid, 0);
    MY_CUT("mariadb:detach-sending", s);
    native = hf__my_session_run(s, sql);
    MY_CUT("mariadb:detach-answered", s);
    if (native != 0 && native != ER_NO_SUCH_THREAD)
        return hf__my_answers_kind(native) == MY_LOST ? (hf__my_session_lose(s), HF_ERM) : HF_ERM;
    hf__my_message_holder(sql, xid);
    for (int i = 0; i < GONE_TRIES; i++) {
        native = hf__my_session_number(s, sql, &holder);
        if (native != 0 || holder == 0)
            break;
        (void)nanosleep(&pause, NULL);
    }
    MY_CUT("mariadb:detached", s);
    return native == 0 && holder == 0 ? HF_OK : HF_ERM;
}

/* Over a connection of its own: that of rmid has the statement that is to end. */
static int hook_cancel(void *user, int rmid)
{
    char sql[MY_MESSAGE_SIZE];
    struct my_session *s;
    MYSQL *conn;
    XID xid;
    int rc;

    (void)user;
    hf__my_words_begin(rmid);
    if (hf__my_session_is_forked())
        return HF_EFORK;
    if (!hf__my_session_branch_of(rmid, &xid))
        return HF_OK; /* nothing of a transaction runs there */
    s = hf__my_session_find(rmid);
    conn = s != NULL ? hf__my_session_connect(&s->options) : NULL;
    if (conn == NULL)
        return HF_ERM;
    hf__my_message_kill(sql, &xid, 1);
    HF_FAULT("mariadb:cancelling");
    rc = mysql_query(conn, sql) == 0 || mysql_errno(conn) == ER_NO_SUCH_THREAD ? HF_OK : HF_ERM;
    if (rc != HF_OK)
        hf__my_words_note((int)mysql_errno(conn), mysql_error(conn));
    mysql_close(conn);
    return rc;
}

static int hook_error(void *user, int rmid, int *ret_native, char *ret_text, size_t text_size)
{
    (void)user;
    return hf__my_words_get(rmid, ret_native, ret_text, text_size);
}

const hf_rm_ext hf_mariadb_ext = {
    .size = sizeof(hf_rm_ext),
    .identity = hook_identity,
    .settings = hook_settings,
    .probe = hook_probe,
    .detach = hook_detach,
    .cancel = hook_cancel,
    .error = hook_error,
};

/* -- for the user and for a pool --------------------------------------------------------------- */

struct st_mysql *hf_mariadb_conn(int rmid)
{
    struct my_session *s = hf__my_session_is_forked() ? NULL : hf__my_session_find(rmid);

    return s != NULL && !s->lost ? s->conn : NULL;
}

int hf_mariadb_reset(int rmid)
{
    struct my_session *s;
    int rc = usable(rmid, &s);

    if (rc != HF_OK)
        return rc;
    if (s->branch != MY_ABSENT)
        return HF_EBUSY;
    if (hf__my_session_reset(s) == 0)
        return HF_OK;
    (void)hf__my_session_lose(s);
    return HF_ERM;
}

int hf_mariadb_validate(int rmid)
{
    struct my_session *s;
    int rc = usable(rmid, &s);

    if (rc != HF_OK)
        return rc;
    if (hf__my_session_ask(s, ALIVE_MS) == 0)
        return HF_OK;
    (void)hf__my_session_lose(s);
    return HF_ERM;
}
