/*
 * rm/mariadb/words.c - the thread's last failure in the switch; words.h says why it is the
 * thread's.
 *
 * The native code is the server's or the client library's error number, and the text is theirs: our
 * statements have an XID in them and nothing of the user's, and neither library nor server repeats
 * a password.
 *
 * Threads: thread-local.
 */
#include "words.h"

#include <stdio.h>

#include "xa.h"

static _Thread_local struct {
    int rmid;
    int noted;
    int native;
    char text[256];
} last;

void hf__my_words_begin(int rmid)
{
    last.rmid = rmid;
    last.noted = 0;
}

void hf__my_words_note(int native, const char *text)
{
    if (last.noted)
        return;
    last.noted = 1;
    last.native = native;
    (void)snprintf(last.text, sizeof(last.text), "%s", text);
}

int hf__my_words_end(int xa_code)
{
    static const struct {
        int xa_code;
        const char *text;
    } plain[] = {
        {XAER_ASYNC, "mariadb: the call has no asynchronous form here"},
        {XAER_INVAL, "mariadb: flags or an argument of the call are not valid"},
        {XAER_PROTO, "mariadb: the call is not allowed in this state"},
        {XAER_NOTA, "mariadb: no such branch"},
        {XAER_DUPID, "mariadb: the branch exists already"},
        {XAER_RMERR, "mariadb: the connection still has an unfinished branch"},
        {XAER_RMFAIL, "mariadb: the connection was lost: close the instance"},
        {XA_RETRY, "mariadb: the server refuses it, and still has the branch"},
        {XA_RBROLLBACK, "mariadb: the branch was told to fail"},
    };

    for (size_t i = 0; !last.noted && i < sizeof(plain) / sizeof(plain[0]); i++)
        if (plain[i].xa_code == xa_code)
            hf__my_words_note(0, plain[i].text);
    return xa_code;
}

int hf__my_words_get(int rmid, int *ret_native, char *ret_text, size_t text_size)
{
    if (last.rmid != rmid || !last.noted)
        return -1;
    *ret_native = last.native;
    if (text_size > 0)
        (void)snprintf(ret_text, text_size, "%s", last.text);
    return 0;
}
