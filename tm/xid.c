/*
 * tm/xid.c - transaction identifiers: made, recognised, written as text and read back.
 *
 * gtrid = node identity 16 | incarnation 4 | sequence 8; bqual = resource manager id 4 | branch
 * number 4; all big-endian. The rest of `data` is zero, because there are resource managers that
 * compare all 128 bytes.
 *
 * Text: 32 hex digits, dash, 8, dash, 16; for a branch also a slash, 8 hex digits, dash, 8.
 */
#include <stdio.h>
#include <string.h>

#include "record.h"

enum { GTRID_TEXT = 32 + 1 + 8 + 1 + 16, BRANCH_TEXT = 1 + 8 + 1 + 8 };
static_assert(GTRID_TEXT + BRANCH_TEXT < HF_XID_TEXT_SIZE, "the text fits");

void hf__gtrid_make(unsigned char gtrid[HF__GTRID_SIZE], const unsigned char node[HF__NODE_ID_SIZE],
                    uint32_t incarnation, uint64_t sequence)
{
    memcpy(gtrid, node, HF__NODE_ID_SIZE);
    hf__put32(gtrid + HF__NODE_ID_SIZE, incarnation);
    hf__put64(gtrid + HF__NODE_ID_SIZE + 4, sequence);
}

void hf__xid_make(XID *xid, const unsigned char gtrid[HF__GTRID_SIZE], uint32_t rm_id,
                  uint32_t number)
{
    /* Every byte is written once: there is no padding. */
    static_assert(sizeof(*xid) == 3 * sizeof(long) + XIDDATASIZE, "an XID without holes");
    xid->formatID = HF_XID_FORMAT;
    xid->gtrid_length = HF__GTRID_SIZE;
    xid->bqual_length = rm_id != 0 ? HF__BQUAL_SIZE : 0;
    memcpy(xid->data, gtrid, HF__GTRID_SIZE);
    memset(xid->data + HF__GTRID_SIZE, 0, XIDDATASIZE - HF__GTRID_SIZE);
    if (rm_id == 0)
        return;
    hf__put32((unsigned char *)xid->data + HF__GTRID_SIZE, rm_id);
    hf__put32((unsigned char *)xid->data + HF__GTRID_SIZE + 4, number);
}

bool hf__xid_ours(const XID *xid, const unsigned char **ret_gtrid, uint32_t *ret_rm_id,
                  uint32_t *ret_number)
{
    const unsigned char *bqual = (const unsigned char *)xid->data + HF__GTRID_SIZE;

    if (xid->formatID != HF_XID_FORMAT || xid->gtrid_length != HF__GTRID_SIZE ||
        (xid->bqual_length != HF__BQUAL_SIZE && xid->bqual_length != 0))
        return false;
    *ret_gtrid = (const unsigned char *)xid->data;
    *ret_rm_id = xid->bqual_length != 0 ? hf__get32(bqual) : 0;
    *ret_number = xid->bqual_length != 0 ? hf__get32(bqual + 4) : 0;
    return true;
}

static char *put_hex(char *to, const unsigned char *from, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    return to;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Read exactly 2 * bytes lower-case hex digits; NULL if they are not there. */
static const char *get_hex(const char *from, unsigned char *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++, from += 2) {
        int high = digit(from[0]);
        int low = high < 0 ? -1 : digit(from[1]);

        if (low < 0)
            return NULL;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return from;
}

int hf_xid_format(const XID *xid, char ret_text[HF_XID_TEXT_SIZE])
{
    const unsigned char *gtrid;
    uint32_t rm_id, number;
    char *p = ret_text;

    if (xid == NULL || !hf__xid_ours(xid, &gtrid, &rm_id, &number)) {
        strcpy(ret_text, "foreign");
        return hf__error(HF_EINVAL, 0, "not an XID of holdfast's form");
    }
    p = put_hex(p, gtrid, 16);
    *p++ = '-';
    p = put_hex(p, gtrid + 16, 4);
    *p++ = '-';
    p = put_hex(p, gtrid + 20, 8);
    if (xid->bqual_length != 0) {
        *p++ = '/';
        p = put_hex(p, gtrid + HF__GTRID_SIZE, 4);
        *p++ = '-';
        p = put_hex(p, gtrid + HF__GTRID_SIZE + 4, 4);
    }
    *p = '\0';
    return HF_OK;
}

/* Groups of hex digits, each followed by the separator that belongs there. */
static const char *get_groups(const char *p, unsigned char *to, const size_t *bytes,
                              const char *after)
{
    for (; p != NULL && *bytes != 0; to += *bytes++, after++) {
        p = get_hex(p, to, *bytes);
        if (p == NULL || (*after != ' ' && *p++ != *after))
            return NULL;
    }
    return p;
}

int hf_xid_parse(const char *text, XID *ret_xid)
{
    static const size_t gtrid_groups[] = {16, 4, 8, 0};
    static const size_t bqual_groups[] = {4, 4, 0};
    unsigned char bytes[HF__GTRID_SIZE + HF__BQUAL_SIZE] = {0};
    const char *p;
    bool branch = false;

    if (text == NULL || ret_xid == NULL)
        return hf__error(HF_EINVAL, 0, "no transaction identifier");
    p = get_groups(text, bytes, gtrid_groups, "-- ");
    if (p != NULL && *p == '/') {
        branch = true;
        p = get_groups(p + 1, bytes + HF__GTRID_SIZE, bqual_groups, "- ");
    }
    if (p == NULL || *p != '\0')
        return hf__error(HF_EINVAL, 0, "not a transaction identifier: %.80s", text);
    memset(ret_xid, 0, sizeof(*ret_xid));
    ret_xid->formatID = HF_XID_FORMAT;
    ret_xid->gtrid_length = HF__GTRID_SIZE;
    ret_xid->bqual_length = branch ? HF__BQUAL_SIZE : 0;
    memcpy(ret_xid->data, bytes, sizeof(bytes));
    return HF_OK;
}
