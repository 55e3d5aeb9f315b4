/*
 * rm/mariadb/message.c - the statements of the XA protocol, as MariaDB's SQL.
 *
 * Each step is one statement, so that it costs one round trip: a compound statement (BEGIN NOT
 * ATOMIC, which session.c puts around it) does the parts one after the other and stops at the first
 * error.
 *
 *   start    DO GET_LOCK(...); XA START xid; SAVEPOINT holdfast
 *   vote     RELEASE SAVEPOINT holdfast; [INSERT the marker;] XA END xid; XA PREPARE xid
 *   commit   XA COMMIT xid
 *
 * The savepoint is in the transaction that XA START began and in no other: a user who ends the
 * branch by hand, even one who starts the same XID again, takes it away, and the vote stops there.
 * That is how a yes covers all of the user's work (invariant 12).
 *
 * The lock is named by the XID, and held by the session that works in the branch from XA START to
 * its next one; a start that is refused lets go of it. So whoever holds it is the one session that
 * can hold the branch (invariant 13), and whoever wants to know needs nothing but the XID: also for
 * a branch without a decision, which has no token. IS_USED_LOCK() is an argument of KILL, so that
 * looking and killing are one statement: a number that was read before could have been given to
 * another session meanwhile.
 *
 * XIDs go as hex literals; nothing else from outside is in a statement but the marker's name, which
 * is quoted by who made it. SHA1() makes a name of any XID that is within the limit for locks.
 *
 * Threads: no state.
 */
#include "message.h"

#include <stdio.h>
#include <string.h>

#include "holdfast/internal/fault.h"

enum { LITERAL_SIZE = 320, KEY_SIZE = 320, FORMAT_MAX = 0x7fffffff };

int hf__my_message_takes(const XID *xid)
{
    return xid != NULL && xid->formatID >= 0 && xid->formatID <= FORMAT_MAX &&
           xid->gtrid_length >= 1 && xid->gtrid_length <= MAXGTRIDSIZE && xid->bqual_length >= 0 &&
           xid->bqual_length <= MAXBQUALSIZE;
}

static char *put_hex(char *to, const char *bytes, long count)
{
    static const char digits[] = "0123456789abcdef";

    for (long i = 0; i < count; i++) {
        *to++ = digits[(unsigned char)bytes[i] >> 4];
        *to++ = digits[(unsigned char)bytes[i] & 15];
    }
    return to;
}

static char *put_text(char *to, const char *text)
{
    size_t size = strlen(text);

    memcpy(to, text, size + 1);
    return to + size;
}

/* X'gtrid',X'bqual',formatID */
static const char *literal(char out[LITERAL_SIZE], const XID *xid)
{
    char *p = put_text(out, "X'");

    p = put_hex(p, xid->data, xid->gtrid_length);
    p = put_text(p, "',X'");
    p = put_hex(p, xid->data + xid->gtrid_length, xid->bqual_length);
    (void)snprintf(p, (size_t)(out + LITERAL_SIZE - p), "',%ld", xid->formatID);
    return out;
}

/* All of an XID in hex: two of them have the same only if they are the same. */
static const char *key(char out[KEY_SIZE], const XID *xid)
{
    int head = snprintf(out, KEY_SIZE, "%08lx%02lx%02lx", xid->formatID, xid->gtrid_length,
                        xid->bqual_length);

    *put_hex(out + head, xid->data, xid->gtrid_length + xid->bqual_length) = '\0';
    return out;
}

void hf__my_message_start(char *ret, const XID *xid, const XID *before)
{
    char l[LITERAL_SIZE], k[KEY_SIZE], old[KEY_SIZE], release[KEY_SIZE + 64] = "";

    if (before != NULL)
        (void)snprintf(release, sizeof(release), "RELEASE_LOCK(SHA1(X'%s')),", key(old, before));
    (void)snprintf(ret, MY_MESSAGE_SIZE,
                   "DO %sGET_LOCK(SHA1(X'%s'),0); XA START %s; SAVEPOINT holdfast", release,
                   key(k, xid), literal(l, xid));
}

void hf__my_message_unlock(char *ret, const XID *xid)
{
    char k[KEY_SIZE];

    (void)snprintf(ret, MY_MESSAGE_SIZE, "DO RELEASE_LOCK(SHA1(X'%s'))", key(k, xid));
}

void hf__my_message_vote(char *ret, const XID *xid, const char *marker, int one_phase)
{
    const char *proof = HF_BUG("mariadb-savepoint-unread") ? "" : "RELEASE SAVEPOINT holdfast; ";
    char l[LITERAL_SIZE], k[KEY_SIZE], insert[KEY_SIZE + 512] = "";

    if (marker != NULL)
        (void)snprintf(insert, sizeof(insert), "INSERT INTO %s (xid) VALUES (X'%s'); ", marker,
                       key(k, xid));
    (void)literal(l, xid);
    (void)snprintf(ret, MY_MESSAGE_SIZE, "%s%sXA END %s; XA %s %s%s", proof, insert, l,
                   one_phase ? "COMMIT" : "PREPARE", l, one_phase ? " ONE PHASE" : "");
}

void hf__my_message_end(char *ret, const XID *xid)
{
    char l[LITERAL_SIZE];

    (void)snprintf(ret, MY_MESSAGE_SIZE, "XA END %s", literal(l, xid));
}

void hf__my_message_commit(char *ret, const XID *xid)
{
    char l[LITERAL_SIZE];

    (void)snprintf(ret, MY_MESSAGE_SIZE, "XA COMMIT %s", literal(l, xid));
}

void hf__my_message_rollback(char *ret, const XID *xid)
{
    char l[LITERAL_SIZE];

    (void)snprintf(ret, MY_MESSAGE_SIZE, "XA ROLLBACK %s", literal(l, xid));
}

void hf__my_message_kill(char *ret, const XID *xid, int query_only)
{
    char k[KEY_SIZE];

    (void)snprintf(ret, MY_MESSAGE_SIZE, "KILL %s IS_USED_LOCK(SHA1(X'%s'))",
                   query_only ? "QUERY" : "CONNECTION", key(k, xid));
}

void hf__my_message_holder(char *ret, const XID *xid)
{
    char k[KEY_SIZE];

    (void)snprintf(ret, MY_MESSAGE_SIZE, "SELECT IS_USED_LOCK(SHA1(X'%s'))", key(k, xid));
}

void hf__my_message_marked(char *ret, const XID *xid, const char *marker)
{
    char k[KEY_SIZE];

    (void)snprintf(ret, MY_MESSAGE_SIZE, "SELECT 1 FROM %s WHERE xid = X'%s'", marker, key(k, xid));
}
