/*
 * rm/postgres/scan.c - xa_recover(): the prepared branches of the rmid's database.
 *
 * pg_prepared_xacts shows those of all databases of the cluster, and a branch can be finished in
 * its own only: others are not ours to list. A gid that is not an XID's is free text of somebody
 * else's, and is left alone; a valid XID of another transaction manager is listed, as XA wants it,
 * and its formatID tells whose it is.
 *
 * A standby lists none at all while it is one, although they are there: its scan is an error, for
 * an empty one would prove what is not true. The question is in the same statement as the list.
 *
 * All are read at the start of a scan and handed out from memory: the list is one moment's.
 *
 * Threads: one for an rmid.
 * Spec: [XA] xa_recover(); DESIGN: a failed or partial scan proves nothing.
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

#include "cut.h"
#include "failure.h"
#include "session.h"

static const char list[] =
    "SELECT pg_catalog.pg_is_in_recovery(), x.gid FROM (SELECT 1) AS one LEFT JOIN "
    "pg_catalog.pg_prepared_xacts AS x ON pg_catalog.nameeq(x.database, "
    "pg_catalog.current_database())";

/* The rows as XIDs; -1: no memory. */
static long take(struct pg_scan *scan, const PGresult *result)
{
    int rows = PQntuples(result);
    long count = 0;

    scan->xids = calloc((size_t)rows, sizeof(*scan->xids));
    if (scan->xids == NULL)
        return -1;
    for (int i = 0; i < rows; i++)
        if (!PQgetisnull(result, i, 1))
            count += hf__pg_gid_parse(PQgetvalue(result, i, 1), &scan->xids[count]) == 0 &&
                     !HF_BUG("postgres-scan-skips");
    return count;
}

int hf__pg_scan_begin(struct pg_rmid *entry)
{
    struct pg_scan *scan = &entry->scan;
    PGresult *result;
    int rc = XAER_RMERR;

    hf__pg_scan_end(entry);
    PG_CUT("postgres:scan-sending", entry);
    result = hf__pg_session_query(entry, list);
    PG_CUT("postgres:scan-answered", entry);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) < 1) {
        hf__pg_failure_result(entry->conn, result, "list prepared transactions");
        if (hf__pg_session_broken(entry))
            rc = hf__pg_session_fail(entry);
    } else if (strcmp(PQgetvalue(result, 0, 0), "f") != 0) {
        hf__pg_failure_note("the server is a standby: it does not list prepared transactions");
    } else if ((scan->count = take(scan, result)) < 0) {
        hf__pg_failure_note("out of memory");
    } else {
        scan->open = 1;
        rc = XA_OK;
    }
    PQclear(result);
    return rc;
}

int hf__pg_scan_next(struct pg_rmid *entry, XID *xids, long count)
{
    struct pg_scan *scan = &entry->scan;
    long left = scan->count - scan->next;

    count = count < left ? count : left;
    if (count > 0)
        memcpy(xids, scan->xids + scan->next, (size_t)count * sizeof(*xids));
    scan->next += count;
    return (int)count;
}

void hf__pg_scan_end(struct pg_rmid *entry)
{
    free(entry->scan.xids);
    memset(&entry->scan, 0, sizeof(entry->scan));
}
