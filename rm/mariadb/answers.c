/*
 * rm/mariadb/answers.c - the one table from MariaDB's error numbers to XA's codes.
 *
 * Careful where it costs nothing: a number that is not in the table is "the server said no and did
 * nothing" (MY_REFUSED), which is XAER_RMFAIL at xa_start(), a no at the vote, and XA_RETRY at a
 * commit in phase two, because a server that refuses to commit still has the branch. Numbers of the
 * client library are all MY_LOST: after them nobody knows what the server has read.
 *
 * MariaDB says XAER_RMFAIL (1399) of a session in the wrong state, which is not what XA means by
 * it. Its XAER_NOTA (1397) it also says of a branch that is prepared while its old session hangs on
 * (branch.c looks first, and says which).
 *
 * tests/unit/mariadb/test_answers.c provokes each row on a real server, or says why it cannot.
 *
 * Threads: no state.
 */
#include "answers.h"

#include <stddef.h>

#include <errmsg.h>
#include <mysqld_error.h>

#include "xa.h"

static const struct {
    unsigned native;
    enum my_kind kind;
    int rollback; /* what a vote says of it; 0: XA_RBOTHER */
} rows[] = {
    {ER_XAER_NOTA, MY_NOTA, 0},
    {ER_XAER_RMFAIL, MY_STATE, XA_RBPROTO}, /* somebody ended the branch by hand */
    {ER_XAER_OUTSIDE, MY_OUTSIDE, 0},
    {ER_XAER_DUPID, MY_DUPID, 0},
    {ER_XA_RBROLLBACK, MY_NO, XA_RBROLLBACK},
    {ER_XA_RBTIMEOUT, MY_NO, XA_RBTIMEOUT},
    {ER_XA_RBDEADLOCK, MY_NO, XA_RBDEADLOCK},
    {ER_LOCK_DEADLOCK, MY_NO, XA_RBDEADLOCK},
    {ER_LOCK_WAIT_TIMEOUT, MY_NO, XA_RBTIMEOUT},
    {ER_STATEMENT_TIMEOUT, MY_NO, XA_RBTIMEOUT},
    {ER_SP_DOES_NOT_EXIST, MY_NO, XA_RBPROTO}, /* our savepoint: the same, and more */
    {ER_QUERY_INTERRUPTED, MY_NO, XA_RBOTHER},
    {ER_DUP_ENTRY, MY_NO, XA_RBINTEGRITY},
    {ER_ERROR_DURING_COMMIT, MY_UNSURE, 0},
    {ER_CONNECTION_KILLED, MY_LOST, 0},
    {ER_SERVER_SHUTDOWN, MY_LOST, 0},
    {ER_NEW_ABORTING_CONNECTION, MY_LOST, 0},
    {ER_NET_READ_ERROR, MY_LOST, 0},
    {ER_NET_READ_INTERRUPTED, MY_LOST, 0},
    {ER_NET_ERROR_ON_WRITE, MY_LOST, 0},
    {ER_NET_WRITE_INTERRUPTED, MY_LOST, 0},
    {ER_NET_PACKETS_OUT_OF_ORDER, MY_LOST, 0},
};
enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static int is_of_client(unsigned native)
{
    return (native >= CR_MIN_ERROR && native <= CR_MAX_ERROR) || (native >= 5000 && native < 6000);
}

static size_t find(unsigned native)
{
    size_t i = 0;

    while (i < ROW_COUNT && rows[i].native != native)
        i++;
    return i;
}

enum my_kind hf__my_answers_kind(unsigned native)
{
    size_t i = find(native);

    if (native == 0)
        return MY_FINE;
    if (i < ROW_COUNT)
        return rows[i].kind;
    return is_of_client(native) ? MY_LOST : MY_REFUSED;
}

int hf__my_answers_rollback(unsigned native)
{
    size_t i = find(native);

    return i < ROW_COUNT && rows[i].rollback != 0 ? rows[i].rollback : XA_RBOTHER;
}

int hf__my_answers_start(unsigned native)
{
    switch (hf__my_answers_kind(native)) {
    case MY_DUPID:
        return XAER_DUPID;
    case MY_OUTSIDE:
        return XAER_OUTSIDE;
    case MY_STATE:
        return XAER_RMERR;
    default: /* XA START may have gone through, and what follows it not */
        return XAER_RMFAIL;
    }
}

unsigned hf__my_answers_row(unsigned row)
{
    return row < ROW_COUNT ? rows[row].native : 0;
}
