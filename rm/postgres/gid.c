/*
 * rm/postgres/gid.c - XIDs as global identifiers of PostgreSQL: FORMAT_GTRID_BQUAL.
 *
 * The form is that of PostgreSQL's JDBC driver, so that other tools can read ours and we theirs:
 * the formatID in decimal, then gtrid and bqual in Base64 with padding (RFC 4648, section 4). The
 * longest has 19 + 1 + 88 + 1 + 88 characters. The alphabet has no quote and no backslash, so a gid
 * that was formatted here can stand in a literal as it is.
 *
 * All applications of a database share the gids, and a gid is free text: what is read must be the
 * very text that formatting its XID gives, or it is somebody else's and is left alone.
 *
 * Threads: no state.
 * Spec: [XA] 4.2.
 */
#include "gid.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { BASE64_MAX = (MAXGTRIDSIZE + 2) / 3 * 4 }; /* of a part */
static_assert(20 + 1 + 2 * BASE64_MAX + 1 < PG_GID_SIZE, "every XID has a gid");

static char *encode(const unsigned char *from, long size, char *to)
{
    for (long i = 0; i < size; i += 3) {
        long left = size - i;
        unsigned bits = (unsigned)from[i] << 16;

        bits |= left > 1 ? (unsigned)from[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned)from[i + 2] : 0;
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        *to++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    return to;
}

static char *put_number(unsigned long n, char *to)
{
    char digits[20]; /* the last one first */
    int count = 0;

    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

/* Several times for each branch: without stdio, whose parsing of a format is most of the work. */
int hf__pg_gid_format(const XID *xid, char ret[PG_GID_SIZE])
{
    const unsigned char *data;
    char *at;

    if (xid == NULL || xid->formatID < 0 || xid->gtrid_length < 1 ||
        xid->gtrid_length > MAXGTRIDSIZE || xid->bqual_length < 0 ||
        xid->bqual_length > MAXBQUALSIZE)
        return -1;
    data = (const unsigned char *)xid->data;
    at = put_number((unsigned long)xid->formatID, ret);
    *at++ = '_';
    at = encode(data, xid->gtrid_length, at);
    *at++ = '_';
    at = encode(data + xid->gtrid_length, xid->bqual_length, at);
    *at = '\0';
    return 0;
}

/* size characters into at most room bytes; how many, or -1. */
static long decode(const char *from, size_t size, char *to, long room)
{
    long count = 0;

    if (size % 4 != 0)
        return -1;
    for (size_t i = 0; i < size; i += 4) {
        unsigned bits = 0, pad = 0;

        for (size_t j = 0; j < 4; j++) {
            const char *digit = from[i + j] != '\0' ? strchr(alphabet, from[i + j]) : NULL;

            if (from[i + j] == '=' && i + 4 == size && j >= 2)
                pad++;
            else if (digit == NULL || pad > 0)
                return -1;
            bits = bits << 6 | (pad > 0 ? 0 : (unsigned)(digit - alphabet));
        }
        if (count + 3 - (long)pad > room)
            return -1;
        for (unsigned j = 0; j < 3 - pad; j++)
            to[count++] = (char)(bits >> (16 - 8 * j));
    }
    return count;
}

static int read_format(const char *text, size_t size, long *ret)
{
    long n = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || n > (LONG_MAX - (text[i] - '0')) / 10)
            return -1;
        n = n * 10 + (text[i] - '0');
    }
    *ret = n;
    return 0;
}

int hf__pg_gid_parse(const char *gid, XID *ret)
{
    char again[PG_GID_SIZE];
    const char *gtrid, *bqual;
    XID xid;

    if (strnlen(gid, PG_GID_SIZE) == PG_GID_SIZE)
        return -1;
    gtrid = strchr(gid, '_');
    bqual = gtrid == NULL ? NULL : strchr(gtrid + 1, '_');
    if (bqual == NULL)
        return -1;
    memset(&xid, 0, sizeof(xid));
    if (read_format(gid, (size_t)(gtrid - gid), &xid.formatID) != 0)
        return -1;
    gtrid++;
    xid.gtrid_length = decode(gtrid, (size_t)(bqual - gtrid), xid.data, MAXGTRIDSIZE);
    if (xid.gtrid_length < 1)
        return -1;
    bqual++;
    xid.bqual_length = decode(bqual, strlen(bqual), xid.data + xid.gtrid_length, MAXBQUALSIZE);
    if (xid.bqual_length < 0 || hf__pg_gid_format(&xid, again) != 0 || strcmp(again, gid) != 0)
        return -1;
    *ret = xid;
    return 0;
}
