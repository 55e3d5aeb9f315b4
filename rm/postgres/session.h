/*
 * rm/postgres/session.h - a connection: opening it, beginning a branch in it, cleaning up.
 *
 * Threads: as the rmid.
 */
#ifndef HF_PG_SESSION_H
#define HF_PG_SESSION_H

#include "openstring.h"
#include "rmid.h"

/* Connect. XA_OK, XAER_INVAL (the string) or XAER_RMERR; on failure the entry has no connection. */
int hf__pg_session_open(struct pg_rmid *entry, const struct pg_openstring *open);
/* Disconnect; the server rolls back what was not prepared. */
void hf__pg_session_close(struct pg_rmid *entry);
/* To R0: the connection's state is not known. Returns XAER_RMFAIL. */
int hf__pg_session_fail(struct pg_rmid *entry);
/* Did libpq notice that the connection broke? */
int hf__pg_session_broken(const struct pg_rmid *entry);

/* The text that begins the entry's branch; at least PG_BEGIN_SIZE bytes. Returns its length. */
enum { PG_BEGIN_SIZE = 300 };
size_t hf__pg_session_begin_text(const struct pg_rmid *entry, char ret[PG_BEGIN_SIZE]);
/* Begin the branch in the server. XA_OK; XAER_RMFAIL, XAER_RMERR: the branch is spoilt. */
int hf__pg_session_begin(struct pg_rmid *entry);

/* The branch can only roll back: it was not begun, for what this result says. */
void hf__pg_session_spoil(struct pg_rmid *entry, const PGresult *why);
/* Hear the notices of what is sent next, also if the user has put a receiver of his own in. */
void hf__pg_session_listen(struct pg_rmid *entry);
/* One message of ours, waiting for it. What came last, to be cleared by the caller; NULL: no
   memory. */
PGresult *hf__pg_session_query(struct pg_rmid *entry, const char *sql);

/*
 * Take away what a user left unfinished: a query that runs is cancelled, results dropped. XA_OK,
 * or XAER_RMFAIL: the connection has to go.
 */
int hf__pg_session_drain(struct pg_rmid *entry);

/*
 * Read what came of a command of ours that was sent, within the time; -1: without a limit. 1: it
 * went well, and the session is idle. 0: it did not, or the answer is still to come.
 */
int hf__pg_session_gather(struct pg_rmid *entry, int timeout_ms);
/* Before anything is sent: read what came of the pool's DISCARD ALL. XA_OK, or XAER_RMFAIL. */
int hf__pg_session_settle(struct pg_rmid *entry, int timeout_ms);
int64_t hf__pg_session_now_ms(void);

#endif
