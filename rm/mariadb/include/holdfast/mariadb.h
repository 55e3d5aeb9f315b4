/*
 * holdfast/mariadb.h - a MariaDB database as an XA resource manager.
 *
 * Register hf_mariadb_switch and hf_mariadb_ext with the transaction manager and an open string
 * such as "file=/etc/app/db.cnf;database=bank", enlist an instance, and work on the connection that
 * hf_mariadb_conn() lends. One rmid is one connection. The library is libholdfast-mariadb; it needs
 * MariaDB's own client library, and a server of version 10.5 or higher.
 *
 * Open string: key=value pairs separated by semicolons; a value ends at the next semicolon.
 *   socket=PATH      the server's Unix socket
 *   host=NAME        the server's host, over TCP; port=N
 *   user=NAME        password=TEXT; better, an option file:
 *   file=PATH        an option file of the client library, and group=NAME, the group to read in it
 *                    (preset: client). What the string itself says goes first
 *   database=NAME    the default database; here or in the option file, required
 *   proof=marker     each branch leaves a row that proves its commit (table holdfast_marker)
 *   unsafe=yes       open it though it may lose what it has acknowledged
 * An unknown key is an error, and so is a password that the file could hold: no text of ours ever
 * shows a value.
 *
 * In the database there is, made by the first opening where it is missing, a table
 * holdfast_identity with one row: which database this is. A copy of a database has to have that
 * table dropped before it is used as another one.
 *
 * What the user may do in a branch: everything that MariaDB allows between XA START and XA END, but
 * for a savepoint of the name holdfast, which is ours, and RELEASE_ALL_LOCKS(). Who
 * ends the branch by hand (XA END, XA ROLLBACK, a reset of the connection) gets XA_RBPROTO at the
 * vote: nothing is committed that the vote did not see. Tables of engines without transactions
 * (Aria, MyISAM) are not covered by any rollback.
 *
 * The server is not told a transaction's deadline: XA has no way to tell it. When the time is over
 * the running statement is killed.
 */
#ifndef HOLDFAST_MARIADB_H
#define HOLDFAST_MARIADB_H

#include "holdfast/holder.h"
#include "holdfast/tm.h"

HF_BEGIN_DECLS

struct st_mysql; /* MYSQL of mysql.h */

/** The switch: name "holdfast mariadb", version 0, TMUSEASYNC. Any thread may use any rmid, one at
    a time. */
extern HF_API const struct xa_switch_t hf_mariadb_switch;

/** identity, settings, probe, detach, cancel and error, for hf_rm_config.ext. ext_user is not
    used. */
extern HF_API const hf_rm_ext hf_mariadb_ext;

/**
 * The connection of an rmid, to work with between enlist and commit. Nothing is sent.
 *
 * @return  Borrowed: valid until xa_close(), and not to be closed. NULL if rmid is not open here,
 *          if its connection is lost, or in a child process after fork. Read every result to its
 *          end before the commit: a vote or a commit with an answer or with rows unread is never a
 *          yes, and ends the connection. If the user read some other answer since, a commit in one
 *          phase may have been done all the same; its outcome is then unknown. A statement that
 *          goes on is killed with its session, after five seconds.
 *
 * Threads: any, one at a time for an rmid.
 */
HF_API struct st_mysql *hf_mariadb_conn(int rmid);

/**
 * For hf_holder_open_xa(): a pool of connections, for one or more databases, of this switch only.
 *
 *     hf_holder_open_xa(manager, &hf_mariadb_hooks, &config, &pool);
 *     hf_holder_alloc(pool, hf_xa_type(rm), &id);          in a transaction or out of one
 *     mysql_query(hf_mariadb_conn(hf_holder_rmid(pool, id)), "...");
 *     hf_holder_free(pool, id);                            before or after the commit
 *
 * An allocation that finds a connection in the pool sends the one message of xa_start, and nothing
 * outside of a transaction. Nor is anything sent when one comes back after its transaction; one
 * that was used outside of a transaction, or after its end, is asked then, by one round trip,
 * whether an answer is unread: if so it is closed, and a statement that goes on for more than five
 * seconds is killed. A connection that comes back in a transaction of the user's own, or with
 * another autocommit, is cleaned by hf_mariadb_reset(); one whose default database is another one
 * gets its own again; one with a result unread is closed. One that is used after it was freed is
 * not handed out. Before one is handed out its socket is looked at, without a round trip, and one
 * that the server has closed is replaced; one that has not answered for ten seconds is asked, for
 * which the time of hf_holder_config.validate_timeout_ms holds. Leave validate_after_ms at 0.
 *
 * What its users did to the session stays on it, for whoever gets it next: SET SESSION, variables,
 * SET ROLE, mysql_change_user(); prepared statements; temporary tables; GET_LOCK(). LOCK TABLES
 * makes the next allocation of that connection fail, HF_EENLIST or HF_EDRIVER, and it goes. Let the
 * users clean up behind themselves, or use hf_mariadb_hooks_clean.
 */
extern HF_API const hf_xa_hooks hf_mariadb_hooks;

/** The same, and every user finds the session as it was opened: each that comes back is cleaned by
    hf_mariadb_reset(), two round trips, in the thread that ends its transaction or, without one,
    frees it. One whose user or role is another one is closed. */
extern HF_API const hf_xa_hooks hf_mariadb_hooks_clean;

/**
 * Clean the session for its next user: temporary tables, variables, locks and statements go, and
 * the default database is the one that it was opened with. Two round trips, one or two more if
 * there was something to undo that the client can see. What runs there is waited for five seconds,
 * and then killed.
 *
 * @retval HF_OK
 * @retval HF_EBUSY   rmid still has a branch, or a call under way: nothing was done.
 * @retval HF_ERM     the connection is lost or refused, or its user or role is not the one that it
 *                    was opened with (SET ROLE, mysql_change_user()): close rmid.
 * @retval HF_EINVAL  rmid is not open here. @retval HF_EFORK
 *
 * Threads: any, one at a time for an rmid.
 */
HF_API int hf_mariadb_reset(int rmid) HF_MUST_CHECK;

/**
 * Is the connection alive? One round trip, ten seconds at most; it is never connected anew.
 *
 * @retval HF_OK
 * @retval HF_EBUSY   a call is under way: nothing was done.
 * @retval HF_ERM     the connection is lost: close rmid.
 * @retval HF_EINVAL  rmid is not open here. @retval HF_EFORK
 *
 * Threads: any, one at a time for an rmid.
 */
HF_API int hf_mariadb_validate(int rmid) HF_MUST_CHECK;

HF_END_DECLS

#endif
