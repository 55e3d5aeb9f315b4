/*
 * rm/mariadb/driver.c - the hooks of a holder: what a pool needs between two users.
 *
 * In a branch there is nothing to clean: its transaction goes on when its user has freed it, and
 * its end sees to what he left unfinished (branch.c). What comes back to the pool is looked at by
 * what the client library knows of it without asking: the server's last word on transaction and
 * autocommit, the default database, and whether an answer was left unread.
 *
 * Invariants
 *   P1  No connection is handed out with a transaction, a result or an answer of somebody else's:
 *       clean() looks when it comes back, validate() when it is handed out. Nor is one that still
 *       has a branch: a commit that was refused and is owed. Closing it lets go of the branch, so
 *       that recovery can commit it.
 *   P2  Without hf_mariadb_hooks_clean no transaction pays a round trip for the pool.
 *   P3  A connection that the server closed is noticed without a round trip: its socket has
 *       something to read, and nobody has asked for anything. One that was idle for longer may be
 *       dead without a word: it is asked, within the time that the holder gives.
 *   P4  What no answer shows, such as LOCK TABLES, may make the server refuse the next branch: that
 *       one allocation fails, and the connection goes.
 *
 * The reset is the client library's own call, which waits for its answer: there is no statement for
 * it that could be sent ahead.
 *
 * Threads: of the holder, one at a time for an rmid.
 */
#include <poll.h>
#include <time.h>

#include "holdfast/mariadb.h"
#include "session.h"

enum { QUIET_MS = 10000 /* idle for longer: it is asked */ };

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

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
    s->heard_ms = now_ms();
    if (!hf__my_session_in_step(s) || hf__my_session_has_unread(s))
        return give_up(s); /* reading to the end of a result may take for ever */
    if (all || hf__my_session_is_changed(s))
        native = hf__my_session_reset(s);
    else
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

static int has_input(const struct my_session *s, int timeout_ms)
{
    struct pollfd socket = {.fd = mysql_get_socket(s->conn), .events = POLLIN};

    return poll(&socket, 1, timeout_ms) != 0;
}

static int answers(struct my_session *s, int timeout_ms)
{
    return hf__my_session_send(s, "DO 0") == 0 && has_input(s, timeout_ms) &&
           hf__my_session_answer(s) == 0;
}

static int validate(void *user, int rmid, uint32_t timeout_ms)
{
    struct my_session *s = find_idle(rmid);
    int limit_ms = timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX;
    int64_t now = now_ms();

    (void)user;
    if (s == NULL)
        return HF_ERM;
    if (s->refused || hf__my_session_has_unread(s) || hf__my_session_is_changed(s) ||
        has_input(s, 0))
        return give_up(s);
    if (now - s->heard_ms < QUIET_MS)
        return HF_OK;
    s->heard_ms = now;
    return answers(s, limit_ms) ? HF_OK : give_up(s);
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
