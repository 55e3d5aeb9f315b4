/*
 * rm/postgres/ext.c - hf_postgres_ext: which database it is, whether it keeps what it acknowledges,
 * what became of a branch, how to stop it, why a call failed.
 *
 * Identity is the system identifier of the cluster and the OID of the database. A standby has its
 * primary's, and keeps it when it is promoted: that is as it should be, for the prepared branches
 * are there too. What may not be there is the tail of the primary's log, and that is what the
 * proof is careful about:
 *
 *   the server is a standby                    it lists no prepared branch: unknown
 *   the token's timeline, and a WAL position   the id was never given away again: what
 *     not below the token's                    pg_xact_status says of it is true
 *   the same, but below                        the server was restored: unknown
 *   another timeline, and its history says     the same history up to there: true, too
 *     that it left the token's past the token
 *   the same, but before; or no history, or    unknown
 *     no right to read it
 *   NULL, or SQLSTATE 22023 ("in the future")  unknown
 *
 * What stays hidden: a backup of the cluster that was restored on the same timeline, and has since
 * written past the token's position. The README says so.
 *
 * The history of a timeline is a file that pg_read_file() shows to superusers and to members of
 * pg_read_server_files. Who has not the right gets "unknown" after a failover, and an operator.
 *
 * Threads: as the switch; cancel at any time.
 * Spec: DESIGN: verified outcomes; no part of [XA].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cut.h"
#include "failure.h"
#include "holdfast/postgres.h"
#include "operation.h"
#include "session.h"
#include "token.h"

enum { SQL_SIZE = 1024 };

/* The rmid, if its connection can be asked something. */
static int find(int rmid, struct pg_rmid **ret)
{
    struct pg_rmid *e;

    hf__pg_failure_begin(rmid);
    if (hf__pg_rmid_is_forked()) {
        hf__pg_failure_note("used in a child process after fork");
        return HF_EFORK;
    }
    e = hf__pg_rmid_find(rmid);
    if (e == NULL || e->conn == NULL || e->operation.step != PG_STEP_NONE ||
        hf__pg_session_settle(e, -1) != XA_OK) {
        hf__pg_failure_note("the rmid is not open, or busy, or its connection broke");
        return HF_EINVAL;
    }
    *ret = e;
    return HF_OK;
}

/* A statement with one row of that many columns; NULL: it failed, and why is noted. */
static PGresult *ask(struct pg_rmid *e, const char *sql, int columns, const char *when)
{
    PGresult *result = hf__pg_session_query(e, sql);

    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
        PQnfields(result) == columns)
        return result;
    hf__pg_failure_result(e->conn, result, when);
    PQclear(result);
    return NULL;
}

/* -- identity and settings --------------------------------------------------------------------- */

static int ext_identity(void *user, int rmid, unsigned char ret_id[HF_IDENTITY_SIZE])
{
    static const char sql[] =
        "SELECT s.system_identifier, d.oid FROM pg_catalog.pg_control_system() AS s, "
        "pg_catalog.pg_database AS d "
        "WHERE pg_catalog.nameeq(d.datname, pg_catalog.current_database())";
    unsigned long long numbers[2];
    struct pg_rmid *e = NULL;
    PGresult *result;
    int rc = find(rmid, &e);

    (void)user;
    if (rc != HF_OK)
        return rc;
    PG_CUT("postgres:identity-sending", e);
    result = ask(e, sql, 2, "identity");
    PG_CUT("postgres:identity-answered", e);
    if (result == NULL)
        return HF_ERM;
    memset(ret_id, 0, HF_IDENTITY_SIZE);
    numbers[0] = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
    numbers[1] = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
    for (int i = 0; i < 16; i++)
        ret_id[i] = (unsigned char)(numbers[i / 8] >> (56 - 8 * (i % 8)));
    PQclear(result);
    return HF_OK;
}

static const struct {
    const char *name;
    const char *bad;
    const char *mend;
} settings[] = {
    {"fsync", "off", "a crash of the machine loses what was prepared"},
    {"full_page_writes", "off", "a crash of the machine may damage what was prepared"},
    {"max_prepared_transactions", "0", "nothing can be prepared; above max_connections is safe"},
};
enum { SETTING_COUNT = sizeof(settings) / sizeof(settings[0]) };

static int ext_settings(void *user, int rmid, char *ret_why, size_t why_size)
{
    static const char sql[] = "SELECT pg_catalog.current_setting('fsync'), "
                              "pg_catalog.current_setting('full_page_writes'), "
                              "pg_catalog.current_setting('max_prepared_transactions')";
    struct pg_rmid *e = NULL;
    PGresult *result = NULL;
    int native, rc = find(rmid, &e);

    (void)user;
    if (rc == HF_OK && e->unsafe)
        return HF_OK;
    if (rc == HF_OK && (result = ask(e, sql, SETTING_COUNT, "settings")) == NULL)
        rc = HF_ERM;
    if (rc != HF_OK) {
        (void)hf__pg_failure_get(rmid, &native, ret_why, why_size);
        return rc;
    }
    for (int i = 0; rc == HF_OK && i < SETTING_COUNT; i++) {
        if (strcmp(PQgetvalue(result, 0, i), settings[i].bad) != 0)
            continue;
        (void)snprintf(ret_why, why_size,
                       "%s is %s: %s; change it in postgresql.conf and restart the server, or put "
                       "unsafe=yes into the open string",
                       settings[i].name, settings[i].bad, settings[i].mend);
        rc = HF_ERM;
    }
    PQclear(result);
    return rc;
}

/* -- proof ------------------------------------------------------------------------------------- */

static int ext_token(void *user, int rmid, const XID *xid,
                     unsigned char ret_token[HF_TOKEN_SIZE_MAX], size_t *ret_size)
{
    struct pg_rmid *e = NULL;
    char gid[PG_GID_SIZE];
    int rc = find(rmid, &e);

    (void)user;
    if (rc != HF_OK)
        return rc;
    if (hf__pg_gid_format(xid, gid) != 0 || e->branch.state != PG_PREPARED ||
        strcmp(e->branch.gid, gid) != 0 || e->branch.token_size == 0)
        return HF_ENOTFOUND;
    memcpy(ret_token, e->branch.token, e->branch.token_size);
    *ret_size = e->branch.token_size;
    return HF_OK;
}

/* Where the history of the server's timeline left the token's, past the token? */
static int history_has(struct pg_rmid *e, uint32_t timeline, const struct pg_token *token)
{
    char sql[SQL_SIZE], switched[32];
    unsigned parent;
    uint64_t at;
    int has = 0;
    PGresult *result;

    (void)snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_read_file('pg_wal/%08X.history')",
                   timeline);
    result = ask(e, sql, 1, "timeline history");
    if (result == NULL)
        return 0;
    for (const char *line = PQgetvalue(result, 0, 0); line != NULL && !has;) {
        if (sscanf(line, "%u %31s", &parent, switched) == 2 && parent == token->timeline &&
            hf__pg_token_position(switched, &at) == 0)
            has = at >= token->position;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    PQclear(result);
    return has;
}

/* What pg_xact_status said, if the server's history has the token's moment in it. */
static enum hf_probe judge(struct pg_rmid *e, const PGresult *r, const struct pg_token *token)
{
    const char *status = PQgetvalue(r, 0, 1);
    uint32_t timeline;
    uint64_t position;

    if (hf__pg_token_timeline(PQgetvalue(r, 0, 2), &timeline) != 0 ||
        hf__pg_token_position(PQgetvalue(r, 0, 3), &position) != 0 || position < token->position)
        return HF_PROBE_UNKNOWN;
    if (timeline != token->timeline && !history_has(e, timeline, token))
        return HF_PROBE_UNKNOWN;
    if (strcmp(status, "committed") == 0)
        return HF_PROBE_COMMITTED;
    if (strcmp(status, "aborted") == 0)
        return HF_PROBE_ROLLEDBACK;
    return HF_PROBE_UNKNOWN; /* in progress, though not prepared: its session is at it; or NULL */
}

static int probe_prepared(struct pg_rmid *e, const char *gid, enum hf_probe *ret)
{
    char sql[SQL_SIZE];
    PGresult *result;

    (void)snprintf(sql, sizeof(sql),
                   "SELECT pg_catalog.pg_is_in_recovery(), EXISTS (SELECT FROM "
                   "pg_catalog.pg_prepared_xacts AS x WHERE pg_catalog.texteq(x.gid, '%s') AND "
                   "pg_catalog.nameeq(x.database, pg_catalog.current_database()))",
                   gid);
    PG_CUT("postgres:probe-sending", e);
    result = ask(e, sql, 2, "probe");
    PG_CUT("postgres:probe-answered", e);
    if (result == NULL)
        return HF_ERM;
    if (strcmp(PQgetvalue(result, 0, 0), "f") != 0) {
        hf__pg_failure_note("the server is a standby: it does not know prepared transactions");
        PQclear(result);
        return HF_ERM;
    }
    *ret = strcmp(PQgetvalue(result, 0, 1), "t") == 0 ? HF_PROBE_PREPARED : HF_PROBE_UNKNOWN;
    PQclear(result);
    return HF_OK;
}

/* First whether it is prepared, then its status: what ends between has a status that is final. */
static int probe(struct pg_rmid *e, const char *gid, const void *token, size_t token_size,
                 enum hf_probe *ret)
{
    char sql[SQL_SIZE];
    struct pg_token t;
    PGresult *result;
    int rc = probe_prepared(e, gid, ret);

    if (rc != HF_OK || *ret == HF_PROBE_PREPARED || hf__pg_token_read(token, token_size, &t) != 0)
        return rc;
    (void)snprintf(sql, sizeof(sql),
                   "SELECT pg_catalog.pg_is_in_recovery(), "
                   "pg_catalog.pg_xact_status('%llu'::pg_catalog.xid8), "
                   "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), "
                   "pg_catalog.pg_current_wal_insert_lsn()",
                   (unsigned long long)t.xid);
    PG_CUT("postgres:proof-sending", e);
    result = ask(e, sql, 4, "probe");
    PG_CUT("postgres:proof-answered", e);
    if (result == NULL) /* 22023: the id was not given out here */
        return hf__pg_session_broken(e) ? HF_ERM : HF_OK;
    *ret = judge(e, result, &t);
    PQclear(result);
    return HF_OK;
}

static int ext_probe(void *user, int rmid, const XID *xid, const void *token, size_t token_size,
                     enum hf_probe *ret)
{
    enum hf_probe answer = HF_PROBE_UNKNOWN;
    struct pg_rmid *e = NULL;
    char gid[PG_GID_SIZE];
    int rc = find(rmid, &e);

    (void)user;
    if (rc == HF_OK &&
        (hf__pg_gid_format(xid, gid) != 0 || PQtransactionStatus(e->conn) != PQTRANS_IDLE)) {
        hf__pg_failure_note("not an XID, or a transaction is open on the connection");
        rc = HF_EINVAL;
    }
    if (rc == HF_OK)
        rc = probe(e, gid, token, token_size, &answer);
    if (rc == HF_OK)
        *ret = answer;
    return rc;
}

/* -- the rest ---------------------------------------------------------------------------------- */

static int ext_cancel(void *user, int rmid)
{
    struct pg_rmid *e;
    char text[256];

    (void)user;
    if (hf__pg_rmid_is_forked())
        return HF_EFORK;
    e = hf__pg_rmid_find(rmid);
    if (e == NULL)
        return HF_EINVAL;
    atomic_store(&e->cancelled, 1); /* before: no statement that begins later is missed by both */
    if (HF_FAULT_FAILS("postgres:cancelling"))
        return HF_ERM;
    return PQcancel(e->cancel, text, sizeof(text)) == 1 ? HF_OK : HF_ERM;
}

static int ext_error(void *user, int rmid, int *ret_native, char *ret_text, size_t text_size)
{
    (void)user;
    return hf__pg_failure_get(rmid, ret_native, ret_text, text_size);
}

const hf_rm_ext hf_postgres_ext = {
    .size = sizeof(hf_rm_ext),
    .identity = ext_identity,
    .settings = ext_settings,
    .token = ext_token,
    .probe = ext_probe,
    .cancel = ext_cancel,
    .error = ext_error,
};
