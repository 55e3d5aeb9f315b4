/*
 * rm/postgres/sqlstate.c - PostgreSQL's SQLSTATEs as answers of XA: one table.
 *
 * The rules behind it:
 *   vote      an error to PREPARE or COMMIT is a rollback: XA_RB..., and nothing is sent after it
 *             that could meet somebody else's branch of the same name
 *   commit    a branch that may still be prepared is XA_RETRY, whatever stands in the way; only a
 *             name that the server does not know is XAER_NOTA, and that is proof of nothing
 *   rollback  XA_RETRY is not allowed, so that what may still be prepared is XAER_RMFAIL
 *   a session that ends (FATAL) or a connection that breaks leaves the outcome open: XAER_RMFAIL
 *
 * tests/servers/postgres/sqlstate.c provokes each row from a real server, or says why it cannot.
 *
 * Threads: no state.
 * Spec: [XA] chapter 5; PostgreSQL, appendix A.
 */
#include "sqlstate.h"

#include <stddef.h>
#include <string.h>

#include "xa.h"

/* Five characters, or two for all else of the class. The first that matches counts. */
/* clang-format off */
static const struct {
    const char *sqlstate;
    int answer[PG_ASKED_KINDS];
} rows[] = {
    /*         vote             commit       rollback */
    {"08", {XAER_RMFAIL, XAER_RMFAIL, XAER_RMFAIL}},       /* the connection */
    {"0A000", {XA_RBOTHER, XA_RETRY, XAER_RMFAIL}},        /* cannot be prepared; other database */
    {"22P02", {XA_RBOTHER, XA_RETRY, XAER_RMFAIL}},        /* of the user's: ours is XA_RBPROTO */
    {"23", {XA_RBINTEGRITY, XA_RETRY, XAER_RMFAIL}},       /* constraints, deferred ones too */
    {"25006", {XA_RBOTHER, XA_RETRY, XAER_RMFAIL}},        /* a standby, or read-only */
    {"25P02", {XA_RBROLLBACK, XA_RETRY, XAER_RMFAIL}},     /* failed before */
    {"25P03", {XAER_RMFAIL, XAER_RMFAIL, XAER_RMFAIL}},    /* idle for too long, session ended */
    {"40001", {XA_RBTRANSIENT, XA_RETRY, XAER_RMFAIL}},    /* serialization */
    {"40002", {XA_RBINTEGRITY, XA_RETRY, XAER_RMFAIL}},    /* a constraint at the commit */
    {"40P01", {XA_RBDEADLOCK, XA_RETRY, XAER_RMFAIL}},
    {"40", {XA_RBROLLBACK, XA_RETRY, XAER_RMFAIL}},
    {"42501", {XA_RBOTHER, XA_RETRY, XAER_RMFAIL}},        /* not our branch to finish */
    {"42704", {XA_RBOTHER, XAER_NOTA, XAER_NOTA}},         /* no such gid */
    {"42710", {XA_RBOTHER, XA_RETRY, XAER_RMFAIL}},        /* the gid is somebody else's */
    {"53", {XA_RBTRANSIENT, XA_RETRY, XAER_RMFAIL}},       /* no room: also for prepared ones */
    {"55000", {XA_RBOTHER, XA_RETRY, XAER_RMFAIL}},        /* prepare is off; busy */
    {"55P03", {XA_RBTIMEOUT, XA_RETRY, XAER_RMFAIL}},      /* a lock was not to be had in time */
    {"57014", {XA_RBTIMEOUT, XA_RETRY, XAER_RMFAIL}},      /* cancelled, or over its time */
    {"57", {XAER_RMFAIL, XAER_RMFAIL, XAER_RMFAIL}},       /* shutdown, crash, not up yet */
};
/* clang-format on */
enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static const int otherwise[PG_ASKED_KINDS] = {XA_RBOTHER, XA_RETRY, XAER_RMFAIL};

int hf__pg_sqlstate_answer(const char *sqlstate, enum pg_asked asked)
{
    if (sqlstate[0] == '\0')
        return XAER_RMFAIL;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (strncmp(rows[i].sqlstate, sqlstate, strlen(rows[i].sqlstate)) == 0)
            return rows[i].answer[asked];
    return otherwise[asked];
}

const char *hf__pg_sqlstate_row(size_t i)
{
    return i < ROW_COUNT ? rows[i].sqlstate : NULL;
}

int hf__pg_sqlstate_number(const char *sqlstate)
{
    int base = strspn(sqlstate, "0123456789") == strlen(sqlstate) ? 10 : 36;
    int n = 0;

    for (; *sqlstate != '\0'; sqlstate++)
        n = n * base + (*sqlstate <= '9' ? *sqlstate - '0' : *sqlstate - 'A' + 10);
    return n;
}
