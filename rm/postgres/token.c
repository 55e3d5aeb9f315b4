/*
 * rm/postgres/token.c - the proof token of a branch: transaction id, timeline, WAL position.
 *
 * A token is stored in the decision log, and must be readable for as long as a record is: its
 * layout is never changed, another one gets another version.
 *
 * Threads: no state.
 * Spec: DESIGN: verified outcomes.
 */
#include "token.h"

#include <assert.h>
#include <string.h>

enum { VERSION = 1, SIZE = 1 + 8 + 4 + 8 };
static_assert((int)SIZE <= (int)HF_TOKEN_SIZE_MAX, "it fits");

static void put(unsigned char *p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, v >>= 8)
        p[i] = (unsigned char)v;
}

static uint64_t get(const unsigned char *p, int bytes)
{
    uint64_t v = 0;

    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* size digits of a base up to 16; 0, or -1. */
static int read_number(const char *text, size_t size, unsigned base, uint64_t *ret)
{
    static const char digits[] = "0123456789ABCDEF";
    uint64_t n = 0;

    if (size == 0)
        return -1;
    for (size_t i = 0; i < size; i++) {
        const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;

        if (digit == NULL || (unsigned)(digit - digits) >= base || n > UINT64_MAX / base)
            return -1;
        n = n * base + (uint64_t)(digit - digits);
    }
    *ret = n;
    return 0;
}

int hf__pg_token_position(const char *lsn, uint64_t *ret)
{
    const char *slash = strchr(lsn, '/');
    uint64_t high, low;

    if (slash == NULL || slash - lsn > 8 || strlen(slash + 1) > 8 ||
        read_number(lsn, (size_t)(slash - lsn), 16, &high) != 0 ||
        read_number(slash + 1, strlen(slash + 1), 16, &low) != 0)
        return -1;
    *ret = high << 32 | low;
    return 0;
}

int hf__pg_token_timeline(const char *walfile, uint32_t *ret)
{
    uint64_t n;

    if (strlen(walfile) != 24 || read_number(walfile, 8, 16, &n) != 0)
        return -1;
    *ret = (uint32_t)n;
    return 0;
}

size_t hf__pg_token_write(const char *xid, const char *walfile, const char *lsn,
                          unsigned char ret[HF_TOKEN_SIZE_MAX])
{
    struct pg_token t;

    if (read_number(xid, strlen(xid), 10, &t.xid) != 0 ||
        hf__pg_token_timeline(walfile, &t.timeline) != 0 ||
        hf__pg_token_position(lsn, &t.position) != 0)
        return 0;
    ret[0] = VERSION;
    put(ret + 1, t.xid, 8);
    put(ret + 9, t.timeline, 4);
    put(ret + 13, t.position, 8);
    return SIZE;
}

int hf__pg_token_read(const void *token, size_t size, struct pg_token *ret)
{
    const unsigned char *p = token;

    if (size != SIZE || p[0] != VERSION)
        return -1;
    ret->xid = get(p + 1, 8);
    ret->timeline = (uint32_t)get(p + 9, 4);
    ret->position = get(p + 13, 8);
    return 0;
}
