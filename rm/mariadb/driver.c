/*
 * rm/mariadb/driver.c - the hooks of a holder: what a pool needs between two users.
 *
 * In a branch there is nothing to clean: its transaction goes on when its user has freed it, and
 * its end sees to what he left unfinished (branch.c). What comes back to the pool is looked at by
 * what the client library knows of it: whether anybody used it since our own last answer, and the
 * server's last word on transaction, autocommit and default database.
 *
 * Invariants
 *   P1  No connection is handed out with a transaction, a result or an answer of somebody else's.
 *       Who freed it before the end of his transaction left nothing: that end's answer was ours,
 *       and nobody has used it since (session.c, R6). Where somebody has, a question that only one
 *       answer fits shows whether another one is under way, also one that the client library has
 *       read already and keeps. So clean() knows when it comes back, and validate() lets it go if
 *       it was used after that. Nor is one handed out that still has a branch: a commit that was
 *       refused and is owed. Closing it lets go of the branch, so that recovery can commit it.
 *   P2  Without hf_mariadb_hooks_clean no transaction pays a round trip for the pool, unless its
 *       user uses the connection after its end. Who uses one outside of a transaction pays one.
 *   P3  A connection that the server closed is noticed without a round trip: its socket has
 *       something to read, and nobody has asked for anything. One that has not answered for longer
 *       may be dead without a word: it is asked, within the time that the holder gives.
 *   P4  What no answer shows, such as LOCK TABLES, may make the server refuse the next branch: that
 *       one allocation fails, and the connection goes.
 *   P5  A user's statement that goes on is not waited for: after some seconds the server is told to
 *       end the session.
 *
 * The reset is the client library's own call, which waits for its answer: there is no statement for
 * it that could be sent ahead. It leaves the user and the role, which are asked for before it.
 *
 * Threads: of the holder, one at a time for an rmid.
 */
#include "holdfast/mariadb.h"
#include "session.h"

enum { QUIET_MS = 10000 /* it has not answered for longer: it is asked */ };

/* The session, if a pool may use it; what the thread's last failure was stays noted. */
static struct my_session *find_idle(int rmid)
{
    struct my_session *s = hf__my_session_is_forked() ? NULL : hf__my_session_find(rmid);

    if (s == NULL || s->op != MY_OP_NONE || s->branch != MY_ABSENT)
        return NULL;
    return hf__my_session_check(s) == XA_OK ? s : NULL;
}

/* It is of no use to anybody. */
static int give_up(struct my_session *s)
{
    (void)hf__my_session_lose(s);
    return HF_ERM;
}

static int bring_back(int rmid, int all)
{
    struct my_session *s = find_idle(rmid);
    unsigned native;

    if (s == NULL)
        return HF_ERM;
    native = all ? 0 : hf__my_session_in_step(s); /* a reset asks by itself */
    if (native == 0 && (all || hf__my_session_is_changed(s)))
        native = hf__my_session_reset(s);
    else if (native == 0)
        native = hf__my_session_home(s);
    return native == 0 ? HF_OK : give_up(s);
}

static int clean(void *user, int rmid)
{
    (void)user;
    return bring_back(rmid, 0);
}

static int clean_all(void *user, int rmid)
{
    (void)user;
    return bring_back(rmid, 1);
}

static int validate(void *user, int rmid, uint32_t timeout_ms)
{
    struct my_session *s = find_idle(rmid);
    int limit_ms = timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX;

    (void)user;
    if (s == NULL)
        return HF_ERM;
    if (s->refused || !hf__my_session_is_untouched(s) || hf__my_session_is_changed(s) ||
        hf__my_session_has_input(s, 0))
        return give_up(s);
    if (hf__my_session_now_ms() - s->heard_ms < QUIET_MS)
        return HF_OK;
    return hf__my_session_ask(s, limit_ms) == 0 ? HF_OK : give_up(s);
}

const hf_xa_hooks hf_mariadb_hooks = {
    .size = sizeof(hf_xa_hooks),
    .validate = validate,
    .clean = clean,
};

const hf_xa_hooks hf_mariadb_hooks_clean = {
    .size = sizeof(hf_xa_hooks),
    .validate = validate,
    .clean = clean_all,
};
