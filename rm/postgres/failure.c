/*
 * rm/postgres/failure.c - why the thread's last XA call failed; failure.h says why it is the
 * thread's.
 *
 * The server's words are its primary message and its hint. Its detail is left out: that is where
 * it quotes keys and rows. A password does not get into libpq's words either; should it ever, it
 * is taken out before they are kept.
 *
 * Threads: thread-local.
 */
#include "failure.h"

#include <stdio.h>
#include <string.h>

#include "holdfast/base.h"
#include "sqlstate.h"

static _Thread_local struct {
    int rmid;
    int noted;
    int native;
    char text[sizeof(((hf_error *)0)->text)];
} last;

void hf__pg_failure_begin(int rmid)
{
    last.rmid = rmid;
    last.noted = 0;
}

/* One line, without libpq's line end. */
static void keep(int native, const char *text)
{
    if (last.noted)
        return;
    last.noted = 1;
    last.native = native;
    (void)snprintf(last.text, sizeof(last.text), "%s", text);
    for (char *at = last.text; *at != '\0'; at++)
        if (*at == '\n' || *at == '\t')
            *at = at[1] == '\0' ? '\0' : ' ';
}

void hf__pg_failure_note(const char *text)
{
    keep(0, text);
}

static void hide(char *text, const char *secret)
{
    size_t size = secret != NULL ? strlen(secret) : 0;
    char *at = text;

    while (size > 0 && (at = strstr(at, secret)) != NULL) {
        memset(at, '*', size);
        at += size;
    }
}

void hf__pg_failure_connection(const PGconn *conn, const char *when)
{
    char text[1024];

    if (conn == NULL) {
        hf__pg_failure_note("out of memory");
        return;
    }
    (void)snprintf(text, sizeof(text), "%s: %s", when, PQerrorMessage(conn));
    hide(text, PQpass(conn));
    keep(0, text);
}

void hf__pg_failure_result(const PGconn *conn, const PGresult *result, const char *when)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    char text[1024];

    if (sqlstate == NULL) {
        hf__pg_failure_connection(conn, when);
        return;
    }
    (void)snprintf(text, sizeof(text), "%s: %s: %s%s%s", when, sqlstate,
                   PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), hint != NULL ? "; " : "",
                   hint != NULL ? hint : "");
    hide(text, PQpass(conn));
    keep(hf__pg_sqlstate_number(sqlstate), text);
}

int hf__pg_failure_end(int xa_code)
{
    static const struct {
        int xa_code;
        const char *text;
    } plain[] = {
        {XAER_ASYNC, "not as an asynchronous call"},
        {XAER_INVAL, "flags or an argument of the call are not valid"},
        {XAER_PROTO, "the call is not allowed in this state"},
        {XAER_NOTA, "no such branch"},
        {XAER_DUPID, "the branch exists already"},
        {XAER_OUTSIDE, "a transaction of the user's own is open on the connection"},
        {XAER_RMFAIL, "the connection broke earlier: close the instance and open another"},
        {XA_RBROLLBACK, "the branch can only roll back"},
    };

    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (plain[i].xa_code == xa_code)
            keep(0, plain[i].text);
    return xa_code;
}

int hf__pg_failure_get(int rmid, int *ret_native, char *ret_text, size_t text_size)
{
    if (!last.noted || last.rmid != rmid)
        return HF_ENOTFOUND;
    *ret_native = last.native;
    (void)snprintf(ret_text, text_size, "%s", last.text);
    return HF_OK;
}
