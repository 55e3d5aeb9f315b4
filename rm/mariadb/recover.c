/*
 * rm/mariadb/recover.c - which branches the server has prepared.
 *
 * The column with an XID's bytes is binary, so that no character set is between (a test has all 256
 * values), and its length has to be the sum of the two lengths; FORMAT='SQL' would be a literal in
 * one of several forms, to be parsed. The list is of the whole server: several databases, and other
 * transaction managers. A row that is not of the form fails the scan, as a scan that left one out
 * would prove nothing.
 *
 * Threads: one for a session.
 * Spec: [XA] xa_recover().
 */
#include "recover.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <errmsg.h>

#include "words.h"

/* A number of a column, from min to max. */
static int read_number(const char *text, long min, long max, long *ret)
{
    char *end;

    if (text == NULL)
        return -1;
    *ret = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && *ret >= min && *ret <= max ? 0 : -1;
}

/* formatID, gtrid_length, bqual_length, data */
static int read_xid(MYSQL_ROW row, const unsigned long *sizes, XID *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (read_number(row[0], LONG_MIN, LONG_MAX, &ret->formatID) != 0 ||
        read_number(row[1], 0, MAXGTRIDSIZE, &ret->gtrid_length) != 0 ||
        read_number(row[2], 0, MAXBQUALSIZE, &ret->bqual_length) != 0 || row[3] == NULL ||
        sizes[3] != (unsigned long)(ret->gtrid_length + ret->bqual_length))
        return -1;
    memcpy(ret->data, row[3], sizes[3]);
    return 0;
}

unsigned hf__my_recover_list(struct my_session *s, XID **ret, size_t *ret_count)
{
    MYSQL_RES *res = NULL;
    unsigned native = hf__my_session_query(s, "XA RECOVER", &res);
    size_t count = 0;
    MYSQL_ROW row;
    XID *list;

    if (native != 0)
        return native;
    list = calloc((size_t)mysql_num_rows(res) + 1, sizeof(*list));
    if (list == NULL)
        native = CR_OUT_OF_MEMORY;
    while (native == 0 && (row = mysql_fetch_row(res)) != NULL)
        if (mysql_num_fields(res) != 4 ||
            read_xid(row, mysql_fetch_lengths(res), &list[count++]) != 0)
            native = CR_UNKNOWN_ERROR;
    mysql_free_result(res);
    if (native != 0) {
        hf__my_words_note((int)native, native == CR_OUT_OF_MEMORY
                                           ? "mariadb: out of memory"
                                           : "mariadb: xa recover lists what is not an XID");
        free(list);
        return native;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

unsigned hf__my_recover_lists(struct my_session *s, const XID *xid, int *ret)
{
    XID *list = NULL;
    size_t count = 0;
    unsigned native = hf__my_recover_list(s, &list, &count);

    *ret = 0;
    for (size_t i = 0; native == 0 && i < count && !*ret; i++)
        *ret = hf__my_session_same(&list[i], xid);
    free(list);
    return native;
}
