/*
 * holdfast/postgres.h - PostgreSQL as an XA resource manager.
 *
 * Register hf_postgres_switch and hf_postgres_ext with the transaction manager and an open string
 * such as "host=/run/postgresql dbname=accounts", enlist an instance, and work on its connection:
 * by hf_postgres_exec() and hf_postgres_exec_params(), which send BEGIN along with the first
 * statement, or by libpq's own calls on hf_postgres_conn(). Needs PostgreSQL 13 or newer, and
 * max_prepared_transactions above 0. Link libholdfast-postgres.
 *
 * Open string: libpq's connection parameters, as key=value pairs or as a URI, at most 255 bytes.
 * Prefer service= and passfile= to a password. One key of ours may stand among the pairs:
 *   unsafe=yes    take a server whose settings lose what it acknowledged (hf_postgres_ext.settings)
 *
 * A branch is one transaction of one connection. BEGIN, COMMIT, ROLLBACK and PREPARE TRANSACTION
 * are ours: a branch that the user has ended by hand votes no. Savepoints are the user's. So are
 * prepared statements, but for the name holdfast_vote: DEALLOCATE ALL is welcome, inside of a
 * function it makes the branch's vote a no. What PostgreSQL cannot prepare makes it a no, too, in
 * its words: temporary tables, LISTEN, NOTIFY, WITH HOLD cursors. A branch that changed nothing
 * votes read-only; a notification that its queries sent by pg_notify() goes out with the vote, also
 * if another branch then votes no. The
 * connection's notice receiver is ours, and passes on what is not about our own statements; the
 * notice processor is the user's.
 *
 * [XA] has no way to tell a resource manager its transaction's deadline; when it is over, work is
 * cancelled by the extension. Who wants the server itself to guard adds, for example,
 * options='-c idle_in_transaction_session_timeout=60s' to the open string.
 */
#ifndef HOLDFAST_POSTGRES_H
#define HOLDFAST_POSTGRES_H

#include "holdfast/holder.h"
#include "holdfast/tm.h"

struct pg_conn;   /* PGconn of libpq-fe.h */
struct pg_result; /* PGresult of libpq-fe.h */

HF_BEGIN_DECLS

/**
 * The switch: name "holdfast postgres", version 0, TMUSEASYNC. Any thread may use any rmid, one at
 * a time. An rmid is a connection, and an unprepared branch belongs to the rmid that started it; a
 * prepared one can be completed by every rmid of its database. After XAER_RMFAIL an rmid answers
 * nothing else until it is closed, or opened again.
 */
extern HF_API const struct xa_switch_t hf_postgres_switch;

/**
 * identity, settings, token, probe, cancel and error, for hf_rm_config.ext; ext_user is not used.
 * The native code is the SQLSTATE: as a decimal number if it has digits only (40001), else in base
 * 36. detach is not there: PostgreSQL finishes a prepared branch from any session.
 */
extern HF_API const hf_rm_ext hf_postgres_ext;

/**
 * The native connection, with the branch's transaction begun in it: the one round trip that
 * hf_postgres_exec() saves.
 *
 * Ask for it after each hf_tx_enlist(): a statement on a connection that was kept from before runs
 * outside the transaction, which is noticed at its end, and then the transaction rolls back.
 *
 * @return  Borrowed, until the instance is delisted or closed. Never PQfinish or PQreset it, nor
 *          leave a query unfinished on it. NULL: rmid is not open, its branch is suspended, ended,
 *          completing or cancelled (its transaction's time is over), or BEGIN failed;
 *          hf_postgres_ext.error(NULL, rmid, ...) says why.
 *
 * Threads: any, one at a time for an rmid. Blocks for at most one round trip.
 */
HF_API struct pg_conn *hf_postgres_conn(int rmid) HF_MUST_CHECK;

/**
 * PQexec() on the rmid's connection. The first one in a branch carries BEGIN in the same message.
 *
 * @return  As PQexec(): the last result, to be freed by PQclear(). NULL: as hf_postgres_conn(), or
 *          no memory. If the first statement of a branch cannot even be parsed, the branch can only
 *          roll back.
 *
 * Threads: as hf_postgres_conn().
 */
HF_API struct pg_result *hf_postgres_exec(int rmid, const char *command) HF_MUST_CHECK;

/** The same for PQexecParams(), whose parameters these are; types are Oids. One statement only. */
HF_API struct pg_result *hf_postgres_exec_params(int rmid, const char *command, int count,
                                                 const unsigned *types, const char *const *values,
                                                 const int *lengths, const int *formats,
                                                 int result_format) HF_MUST_CHECK;

/**
 * For hf_holder_open_xa(): a pool of connections, for one or more databases, of this switch only.
 *
 *     hf_holder_open_xa(manager, &hf_postgres_hooks, &config, &pool);
 *     hf_holder_alloc(pool, hf_xa_type(rm), &id);          in a transaction or out of one
 *     hf_postgres_exec(hf_holder_rmid(pool, id), "...");
 *     hf_holder_free(pool, id);                            before or after the commit
 *
 * An allocation that finds a connection in the pool sends nothing. A connection that comes back in
 * a transaction or in a query is rolled back and cleaned by hf_postgres_reset(), or closed; one in
 * a COPY or a pipeline, and one whose session is not the one that was opened, is closed. What the
 * user set in the PGconn itself (tracing, verbosity, the notice processor, blocking) is as at
 * first. Before one is handed out its socket is looked at, without a round trip, and one that the
 * server has closed is replaced; one that has been idle for ten seconds is asked, for which the
 * time of hf_holder_config.validate_timeout_ms holds. Leave validate_after_ms at 0.
 *
 * What its users did to the session stays on it, for whoever gets it next: SET without LOCAL, also
 * SET ROLE, set_config() and search_path; prepared statements; LISTEN; temporary tables; cursors
 * WITH HOLD; advisory locks of the session. Use SET LOCAL and locks of the transaction, or
 * hf_postgres_hooks_clean.
 */
extern HF_API const hf_xa_hooks hf_postgres_hooks;

/**
 * The same, and every user finds the session as it was opened, but for what cannot be undone there
 * (the last value of a sequence is forgotten, libraries stay loaded): where statements of the user
 * ran, DISCARD ALL is sent when the connection has come back. Nobody waits for it: its answer is
 * read by what uses the connection next. It is one message more for each use; and prepared
 * statements have to be prepared anew.
 */
extern HF_API const hf_xa_hooks hf_postgres_hooks_clean;

/**
 * Clean the session for its next user: for a pool, when no branch is in it. A local transaction
 * that was left open is rolled back; then DISCARD ALL.
 *
 * @retval HF_OK
 * @retval HF_ESTATE  it has a branch that is not prepared: nothing was done.
 * @retval HF_ERM     the connection is not usable: destroy the instance.
 * @retval HF_EINVAL  rmid is not open here. @retval HF_EFORK
 *
 * Threads: as hf_postgres_conn(). Blocks for one or two round trips.
 */
HF_API int hf_postgres_reset(int rmid) HF_MUST_CHECK;

/**
 * Does the connection still answer? One round trip; a server that closed it is noticed without.
 *
 * @retval HF_OK
 * @retval HF_ERM     it does not: destroy the instance.
 * @retval HF_ESTATE  work is under way in it: nothing was done.
 * @retval HF_EINVAL  rmid is not open here. @retval HF_EFORK
 *
 * Threads: as hf_postgres_conn().
 */
HF_API int hf_postgres_validate(int rmid) HF_MUST_CHECK;

HF_END_DECLS

#endif
