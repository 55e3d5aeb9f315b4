/*
 * rm/mariadb/branch.c - a branch's life at the server: xa_start() to xa_commit().
 *
 *              start           end           prepare            commit
 *   absent  ----------> active -----> (idle) ---------> prepared -------> absent
 *                          |             |                  |
 *                          `---TMFAIL----`--- spoilt -------`-- rollback -> absent
 *
 * Invariants
 *   B1  One session has one branch at a time, and MariaDB lets nobody else touch it: until it is
 *       prepared and the session has gone.
 *   B2  XA_OK to prepare comes only of the server's own OK to the whole vote (message.c): the
 *       savepoint was there, so the transaction is the one that xa_start() began.
 *   B3  XA_RB... to prepare or to a commit in one phase comes only when the branch is gone: an XA
 *       ROLLBACK went through, or there was nothing left for one.
 *   B4  Before a branch of another session is completed it is looked for (recover.c). One that a
 *       session still holds is XAER_NOTA, as the server itself says: no branch that this one may
 *       touch. The transaction manager sees it in the list all the same, knows whether that session
 *       is stale, and may call detach (ext.c) and ask again. One whose session is just ending would
 *       be worse: the server says OK, and does nothing.
 *   B5  What is not known is XAER_RMFAIL, and the connection is shut down.
 *
 * xa_end() sends nothing: XA END travels with the vote, the commit in one phase or the rollback. An
 * idle branch can therefore be joined again here. Suspending is kept here only.
 *
 * XA_RBROLLBACK of the server to a commit in phase two means a branch that only read: when its
 * session ended the server let go of it, and only of such (trans_xa_detach() in its sql/xa.cc;
 * tests/spec/mariadb_quirks.c). There was nothing to commit, and XA_OK is the whole truth.
 *
 * If we crash after ...     at the server              the transaction manager's recovery
 *   XA START, the work        active: dies with us       sees nothing
 *   the vote was sent         active, or prepared        rolls back what a scan shows
 *   the vote's OK             prepared                   has a decision and commits, or rolls back
 *   XA COMMIT was sent        prepared, or committed     commits, or probes
 * A session or a server that ends leaves the same behind (tests/spec/mariadb_ends.c).
 *
 * Threads: one for a session.
 * Spec: [XA] chapter 5; tables 6-2, 6-4, 6-5.
 */
#include "branch.h"

#include <stdatomic.h>
#include <string.h>

#include <errmsg.h>
#include <mysqld_error.h>

#include "answers.h"
#include "cut.h"
#include "message.h"
#include "recover.h"
#include "store.h"
#include "words.h"

static _Atomic int last_handle;

static int has(const struct my_session *s, const XID *xid)
{
    return s->branch != MY_ABSENT && hf__my_session_same(&s->xid, xid);
}

/* The quoted name of the marker's table, or NULL. */
static const char *marker_of(const struct my_session *s)
{
    return s->options.marker ? s->marker : NULL;
}

static int next_handle(void)
{
    return (int)((unsigned)atomic_fetch_add(&last_handle, 1) % 0x7ffffffeu) + 1;
}

/* An answer without a question to the server: as it is, or to be fetched. */
static int answer_at_once(struct my_session *s, int answer, long flags)
{
    if ((flags & TMASYNC) == 0 || answer < 0)
        return answer;
    s->op = MY_OP_PARKED;
    s->parked = answer;
    s->handle = next_handle();
    return s->handle;
}

/* -- what an answer means ---------------------------------------------------------------------- */

/*
 * XA END, if it is still needed; 0 if the connection is lost. Its answer tells, too, whether the
 * server has rolled back by itself, which takes the savepoint away: then the user's last error says
 * why, if the user stopped there. why: NULL, or the error number known so far.
 */
static int end_it(struct my_session *s, const XID *xid, unsigned *why)
{
    char sql[MY_MESSAGE_SIZE];
    unsigned native;

    hf__my_message_end(sql, xid);
    MY_CUT("mariadb:end-sending", s);
    native = hf__my_session_run(s, sql);
    MY_CUT("mariadb:ended", s);
    if (why != NULL && *why == ER_SP_DOES_NOT_EXIST && native == ER_XAER_RMFAIL &&
        strstr(mysql_error(s->conn), "ROLLBACK ONLY") != NULL)
        *why = hf__my_answers_kind(s->user_error) == MY_NO ? s->user_error : ER_XA_RBROLLBACK;
    return hf__my_answers_kind(native) != MY_LOST;
}

/* The vote is no: end what is left of the branch, so that it is gone when that is told (B3). */
static int give_up(struct my_session *s, unsigned why, int was_committing)
{
    char sql[MY_MESSAGE_SIZE];
    unsigned native;
    int ended;

    if (!end_it(s, &s->op_xid, &why))
        return hf__my_session_lose(s);
    hf__my_message_rollback(sql, &s->op_xid);
    MY_CUT("mariadb:give-up-sending", s);
    native = hf__my_session_run(s, sql);
    MY_CUT("mariadb:gave-up", s);
    switch (hf__my_answers_kind(native)) {
    case MY_FINE:
    case MY_NO:
        ended = 1;
        break;
    case MY_NOTA: /* nothing was left. A commit that failed otherwise may have been done, too */
        ended = !was_committing || hf__my_answers_kind(why) == MY_NO ||
                hf__my_answers_kind(why) == MY_STATE;
        break;
    default:
        ended = 0;
        break;
    }
    if (!ended)
        return hf__my_session_lose(s);
    hf__my_session_drop(s);
    return hf__my_answers_rollback(why);
}

static int finish_start(struct my_session *s, unsigned native)
{
    char sql[MY_MESSAGE_SIZE];
    int rc;

    s->refused = native != 0;
    if (native == 0) {
        s->association = MY_ASSOCIATED;
        hf__my_session_take(s, &s->op_xid);
        return XA_OK;
    }
    rc = hf__my_answers_start(native);
    if (rc == XAER_RMFAIL)
        return hf__my_session_lose(s);
    /* The lock came before the refusal: who holds it without the branch would be ended for it. */
    hf__my_message_unlock(sql, &s->op_xid);
    return hf__my_session_run(s, sql) != 0 ? hf__my_session_lose(s) : rc;
}

static int finish_prepare(struct my_session *s, unsigned native)
{
    switch (hf__my_answers_kind(native)) {
    case MY_FINE:
        s->branch = MY_PREPARED;
        return XA_OK;
    case MY_LOST:
    case MY_UNSURE:
        return hf__my_session_lose(s);
    default:
        return give_up(s, native, 0);
    }
}

static int finish_onephase(struct my_session *s, unsigned native)
{
    switch (hf__my_answers_kind(native)) {
    case MY_FINE:
        hf__my_session_drop(s);
        return XA_OK;
    case MY_LOST:
    case MY_UNSURE:
        return hf__my_session_lose(s);
    default:
        return give_up(s, native, 1);
    }
}

/* The server said OK to a session that is not the branch's own. Did it do so, too (recover.c)? */
static int verify(struct my_session *s)
{
    int marked = 1;
    unsigned native = 0;

    if (marker_of(s) != NULL)
        native = hf__my_store_marked(s, &s->op_xid, &marked);
    if (hf__my_answers_kind(native) == MY_LOST)
        return hf__my_session_lose(s);
    if (native == 0 && marked)
        return XA_OK;
    hf__my_words_note((int)native, "mariadb: it said that it committed, and the marker is not "
                                   "there: restart the server, the branch will be listed again");
    return XA_RETRY;
}

static int finish_commit(struct my_session *s, unsigned native)
{
    int own = has(s, &s->op_xid);
    int rc = XA_RETRY; /* a server that refuses to commit still has the branch */

    switch (hf__my_answers_kind(native)) {
    case MY_FINE:
        rc = own ? XA_OK : verify(s);
        break;
    case MY_LOST:
        return HF_BUG("mariadb-lost-is-done") ? XA_OK : hf__my_session_lose(s);
    case MY_NOTA:
        rc = XAER_NOTA; /* and nobody holds it: that was looked at before */
        break;
    case MY_NO: /* see the head */
        if (!own && native == ER_XA_RBROLLBACK)
            rc = XA_OK;
        break;
    default:
        break;
    }
    if (own && (rc == XA_OK || rc == XAER_NOTA))
        hf__my_session_drop(s);
    return rc;
}

static int finish_rollback(struct my_session *s, unsigned native)
{
    int own = has(s, &s->op_xid);
    int rc;

    switch (hf__my_answers_kind(native)) {
    case MY_FINE:
        rc = XA_OK;
        break;
    case MY_NO:
        rc = hf__my_answers_rollback(native);
        break;
    case MY_NOTA:
        rc = XAER_NOTA;
        break;
    default: /* what is not prepared ends with the session, what is waits for recovery */
        return hf__my_session_lose(s);
    }
    if (own)
        hf__my_session_drop(s);
    return rc;
}

static int finish(struct my_session *s, enum my_op op, unsigned native)
{
    switch (op) {
    case MY_OP_START:
        return finish_start(s, native);
    case MY_OP_PREPARE:
        return finish_prepare(s, native);
    case MY_OP_COMMIT:
        return finish_commit(s, native);
    case MY_OP_ONEPHASE:
        return finish_onephase(s, native);
    default:
        return finish_rollback(s, native);
    }
}

/* -- asking ------------------------------------------------------------------------------------ */

static unsigned take_answer(struct my_session *s, enum my_op op)
{
    unsigned native = hf__my_session_answer(s);

    return hf__my_cut_op(s, op, MY_ANSWERED) ? CR_SERVER_LOST : native;
}

static int ask(struct my_session *s, enum my_op op, const XID *xid, const char *sql, long flags)
{
    unsigned native;

    s->op_xid = *xid;
    s->user_error = mysql_errno(s->conn);
    (void)hf__my_cut_op(s, op, MY_SENDING);
    native = hf__my_session_send(s, sql);
    (void)hf__my_cut_op(s, op, MY_SENT);
    if (native == 0 && (flags & TMASYNC) != 0) {
        s->op = op;
        s->handle = next_handle();
        return s->handle;
    }
    if (native == 0)
        native = take_answer(s, op);
    return finish(s, op, native);
}

int hf__my_branch_complete(struct my_session *s, int *handle, int *ret_answer, long flags)
{
    enum my_op op = s->op;

    if (op == MY_OP_NONE)
        return XAER_PROTO;
    if ((flags & TMMULTIPLE) != 0)
        *handle = s->handle;
    else if (*handle != s->handle)
        return XAER_INVAL;
    if (op == MY_OP_PARKED) {
        s->op = MY_OP_NONE;
        *ret_answer = s->parked;
        return XA_OK;
    }
    if ((flags & TMNOWAIT) != 0 && !hf__my_session_is_answered(s))
        return XA_RETRY;
    s->op = MY_OP_NONE;
    *ret_answer = finish(s, op, take_answer(s, op));
    return XA_OK;
}

/* -- association [XA table 6-2] ---------------------------------------------------------------- */

int hf__my_branch_start(struct my_session *s, const XID *xid, long flags)
{
    char sql[MY_MESSAGE_SIZE];

    if (s->association != MY_NONE)
        return XAER_PROTO;
    if (s->branch != MY_ABSENT)
        return has(s, xid) ? XAER_DUPID : XAER_RMERR;
    hf__my_message_start(sql, xid, s->xid.formatID == -1 ? NULL : &s->xid);
    return ask(s, MY_OP_START, xid, sql, flags);
}

/* Only the session itself can work in its branch again. */
int hf__my_branch_join(struct my_session *s, const XID *xid, long flags)
{
    if (!has(s, xid)) {
        if (!hf__my_session_elsewhere(s, xid))
            return XAER_NOTA;
        hf__my_words_note(0, "mariadb: a branch is of one connection, no other can join it");
        return XAER_RMERR;
    }
    if (s->association != MY_NONE || s->branch == MY_PREPARED)
        return XAER_PROTO;
    if (s->branch == MY_SPOILT)
        return answer_at_once(s, XA_RBROLLBACK, flags);
    s->association = MY_ASSOCIATED;
    return answer_at_once(s, XA_OK, flags);
}

int hf__my_branch_resume(struct my_session *s, const XID *xid, long flags)
{
    if (!has(s, xid))
        return s->association == MY_NONE ? XAER_NOTA : XAER_PROTO;
    if (s->association != MY_SUSPENDED)
        return XAER_PROTO;
    s->association = MY_ASSOCIATED;
    return answer_at_once(s, XA_OK, flags);
}

int hf__my_branch_end(struct my_session *s, const XID *xid, long flags)
{
    if (!has(s, xid))
        return XAER_NOTA;
    if (s->association == MY_NONE)
        return XAER_PROTO;
    if ((flags & TMSUSPEND) != 0) {
        if (s->association != MY_ASSOCIATED)
            return XAER_PROTO;
        s->association = MY_SUSPENDED;
        return answer_at_once(s, (flags & TMMIGRATE) != 0 ? XA_NOMIGRATE : XA_OK, flags);
    }
    s->association = MY_NONE;
    if ((flags & TMFAIL) == 0)
        return answer_at_once(s, XA_OK, flags);
    s->branch = MY_SPOILT;
    return answer_at_once(s, XA_RBROLLBACK, flags);
}

/* -- completion [XA table 6-4] ----------------------------------------------------------------- */

int hf__my_branch_prepare(struct my_session *s, const XID *xid, long flags)
{
    char sql[MY_MESSAGE_SIZE];

    if (!has(s, xid))
        return hf__my_session_elsewhere(s, xid) ? XAER_PROTO : XAER_NOTA;
    if (s->association != MY_NONE || s->branch != MY_ACTIVE)
        return XAER_PROTO;
    hf__my_message_vote(sql, xid, marker_of(s), 0);
    return ask(s, MY_OP_PREPARE, xid, sql, flags);
}

/* A prepared branch of this session, which it may not have any more. */
static int keep(struct my_session *s)
{
    if (s->branch != MY_PREPARED || !hf__my_session_is_disturbed(s))
        return XA_OK;
    hf__my_words_note(0, "mariadb: somebody has used the connection since its branch was prepared");
    return hf__my_session_lose(s);
}

/* May a branch be completed that is not of this session? unknown: the answer if nobody can tell. */
static int look(struct my_session *s, const XID *xid, int unknown)
{
    enum my_place place = MY_NOWHERE;
    unsigned native = hf__my_recover_look(s, xid, &place);

    if (hf__my_answers_kind(native) == MY_LOST)
        return hf__my_session_lose(s);
    if (native != 0)
        return unknown;
    switch (place) {
    case MY_FREE:
        return XA_OK;
    case MY_HELD:
        hf__my_words_note(ER_XAER_NOTA, "mariadb: prepared, and held by another session");
        return XAER_NOTA;
    default: /* what is not prepared its own rmid has to complete */
        return hf__my_session_elsewhere(s, xid) ? XAER_PROTO : XAER_NOTA;
    }
}

static int commit_one_phase(struct my_session *s, const XID *xid, long flags)
{
    char sql[MY_MESSAGE_SIZE];

    if (!has(s, xid))
        return hf__my_session_elsewhere(s, xid) ? XAER_PROTO : XAER_NOTA;
    if (s->association != MY_NONE || s->branch != MY_ACTIVE)
        return XAER_PROTO;
    hf__my_message_vote(sql, xid, NULL, 1);
    return ask(s, MY_OP_ONEPHASE, xid, sql, flags);
}

int hf__my_branch_commit(struct my_session *s, const XID *xid, long flags)
{
    char sql[MY_MESSAGE_SIZE];
    int rc;

    if ((flags & TMONEPHASE) != 0)
        return commit_one_phase(s, xid, flags);
    if (has(s, xid) ? s->branch != MY_PREPARED : s->branch != MY_ABSENT)
        return XAER_PROTO;
    rc = has(s, xid) ? keep(s) : look(s, xid, XA_RETRY);
    if (rc != XA_OK)
        return answer_at_once(s, rc, flags);
    hf__my_message_commit(sql, xid);
    return ask(s, MY_OP_COMMIT, xid, sql, flags);
}

int hf__my_branch_rollback(struct my_session *s, const XID *xid, long flags)
{
    char sql[MY_MESSAGE_SIZE];
    int rc;

    if (has(s, xid) ? s->association != MY_NONE : s->branch != MY_ABSENT)
        return XAER_PROTO;
    rc = has(s, xid) ? keep(s) : look(s, xid, XAER_PROTO);
    if (rc != XA_OK)
        return answer_at_once(s, rc, flags);
    if ((s->branch == MY_ACTIVE || s->branch == MY_SPOILT) && !end_it(s, xid, NULL))
        return hf__my_session_lose(s);
    hf__my_message_rollback(sql, xid);
    return ask(s, MY_OP_ROLLBACK, xid, sql, flags);
}

/* MariaDB decides nothing by itself: no branch is ever in S5. */
int hf__my_branch_forget(struct my_session *s, const XID *xid, long flags)
{
    (void)flags;
    return has(s, xid) ? XAER_PROTO : XAER_NOTA;
}
