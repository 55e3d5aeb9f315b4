/*
 * tests/crash/matrix/pairs_servers.c - a PostgreSQL and a MariaDB for many runs, and the stores
 * that they make together with two of kv.
 *
 * A database's keys are numbers that no run but one has, so that nothing has to be cleaned up. The
 * questions of whoever judges go over connections of their own.
 */
#include <libpq-fe.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "holdfast/kv.h"
#include "holdfast/mariadb.h"
#include "holdfast/postgres.h"
#include "pairs.h"
#include "rig.h"
#include "script.h"

enum kind { PG, MY, KV, KV_TOO, KINDS };
enum { SQL_SIZE = 512, INFO_SIZE = DIR_SIZE + 128 };

struct servers {
    char dir[DIR_SIZE];
    struct script *script;
    PGconn *pg;
    MYSQL *my;
};

/* Which store is what, the first by the database that comes first. */
static const enum kind kinds[DBS][STORES] = {
    [DB_POSTGRES] = {PG, MY, KV, KV_TOO},
    [DB_MARIADB] = {MY, KV, PG, KV_TOO},
    [DB_KV] = {KV, PG, MY, KV_TOO},
};

static const struct {
    const char *name;
    const struct xa_switch_t *xa;
    const hf_rm_ext *ext;
    const char *before, *behind; /* the directory in the open string */
} rows[KINDS] = {
    [PG] = {"pg", &hf_postgres_switch, &hf_postgres_ext, "host=", "/pg user=hf dbname=one"},
    [MY] = {"my", &hf_mariadb_switch, &hf_mariadb_ext,
            "socket=", "/my/socket;user=root;database=one;proof=marker"},
    [KV] = {"kv", &hf_kv_switch, &hf_kv_ext, "dir=", "/kv;wait_ms=500"},
    [KV_TOO] = {"kv-too", &hf_kv_switch, &hf_kv_ext, "dir=", "/kv-too;wait_ms=500"},
};

/* What this process's run is about. */
static struct {
    const struct servers *servers;
    const enum kind *kinds;
    unsigned base;
    bool by_hand;
} now;

/* -- the servers ------------------------------------------------------------------------------- */

static PGconn *connect_pg(const struct servers *s)
{
    char info[INFO_SIZE];
    PGconn *conn;

    (void)snprintf(info, sizeof(info), "host=%s/pg user=hf dbname=one", s->dir);
    conn = PQconnectdb(info);
    if (PQstatus(conn) != CONNECTION_OK)
        rig_die("connect to PostgreSQL");
    return conn;
}

static MYSQL *connect_my(const struct servers *s)
{
    char socket[INFO_SIZE];
    MYSQL *conn = mysql_init(NULL);

    (void)snprintf(socket, sizeof(socket), "%s/my/socket", s->dir);
    if (conn == NULL || mysql_real_connect(conn, NULL, "root", NULL, "one", 0, socket, 0) == NULL)
        rig_die("connect to MariaDB");
    return conn;
}

void servers_connect(struct servers *s)
{
    s->pg = connect_pg(s);
    s->my = connect_my(s);
}

static bool exec_pg(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return good;
}

struct servers *servers_make(void)
{
    struct servers *s = calloc(1, sizeof(*s));
    PGconn *conn;

    if (s == NULL)
        rig_die("calloc");
    rig_dir_make(s->dir, sizeof(s->dir));
    if (chmod(s->dir, 0711) != 0) /* servers are other users, where this is root */
        rig_die(s->dir);
    s->script = script_start(PAIRS_SERVERS, s->dir);
    if (s->script == NULL) {
        rig_dir_remove(s->dir);
        free(s);
        return NULL;
    }
    if (!script_tell(s->script, "make"))
        rig_die("make the servers");
    conn = connect_pg(s);
    if (!exec_pg(conn, "CREATE TABLE late (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        rig_die("make a table");
    PQfinish(conn);
    return s;
}

void servers_kill(struct servers *s, enum event event)
{
    if (event == EVENT_NONE)
        return;
    PQfinish(s->pg);
    mysql_close(s->my);
    if (!script_tell(s->script, event == EVENT_POSTGRES ? "postgres" : "mariadb"))
        rig_die("start a server that was killed");
    servers_connect(s);
}

void servers_remove(struct servers *s)
{
    char command[DIR_SIZE + 32];

    (void)script_tell(s->script, "down");
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", s->dir);
    if (system(command) != 0)
        rig_die(s->dir);
}

/* -- what the judge asks ----------------------------------------------------------------------- */

static PGresult *ask_pg(const struct servers *s, const char *sql)
{
    PGresult *result = PQexec(s->pg, sql);

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        rig_die(PQerrorMessage(s->pg));
    return result;
}

static MYSQL_RES *ask_my(const struct servers *s, const char *sql)
{
    MYSQL_RES *rows_of = mysql_query(s->my, sql) == 0 ? mysql_store_result(s->my) : NULL;

    if (rows_of == NULL)
        rig_die(mysql_error(s->my));
    return rows_of;
}

static unsigned count_both(const struct servers *s, const char *pg_sql, const char *my_sql)
{
    PGresult *pg = ask_pg(s, pg_sql);
    MYSQL_RES *my = ask_my(s, my_sql);
    unsigned count = (unsigned)PQntuples(pg) + (unsigned)mysql_num_rows(my);

    PQclear(pg);
    mysql_free_result(my);
    return count;
}

static const char prepared_pg[] = "SELECT gid FROM pg_prepared_xacts";

unsigned servers_prepared(struct servers *s)
{
    return count_both(s, prepared_pg, "XA RECOVER");
}

unsigned servers_sessions(struct servers *s)
{
    return count_both(s,
                      "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                      "AND pid <> pg_backend_pid()",
                      "SELECT id FROM information_schema.processlist WHERE user = 'root' AND "
                      "id <> CONNECTION_ID()");
}

static void sweep_pg(PGconn *conn)
{
    PGresult *list = PQexec(conn, prepared_pg);
    char sql[SQL_SIZE];

    for (int i = 0; i < PQntuples(list); i++) {
        (void)snprintf(sql, sizeof(sql), "ROLLBACK PREPARED '%s'", PQgetvalue(list, i, 0));
        (void)exec_pg(conn, sql); /* it may have been finished meanwhile */
    }
    PQclear(list);
}

void servers_sweep(struct servers *s)
{
    MYSQL_RES *list = ask_my(s, "XA RECOVER FORMAT='SQL'");
    char sql[SQL_SIZE];
    MYSQL_ROW row;

    sweep_pg(s->pg);
    while ((row = mysql_fetch_row(list)) != NULL) {
        (void)snprintf(sql, sizeof(sql), "XA ROLLBACK %s", row[3]);
        (void)mysql_query(s->my, sql); /* the same */
    }
    mysql_free_result(list);
}

/* -- store B, where it answers otherwise ------------------------------------------------------- */

static const struct xa_switch_t *plain_b;

static int stubborn_commit(XID *xid, int rmid, long flags)
{
    static unsigned told_to_wait; /* by this process */

    if ((flags & TMONEPHASE) == 0 && told_to_wait++ == 0)
        return XA_RETRY;
    return plain_b->xa_commit_entry(xid, rmid, flags);
}

static char *put_hex(char *to, const char *bytes, long count)
{
    for (long i = 0; i < count; i++)
        to += sprintf(to, "%02x", (unsigned)(unsigned char)bytes[i]);
    return to;
}

/* In the session that has it: no other may. */
static void commit_my_by_hand(const XID *xid, int rmid)
{
    MYSQL *conn = hf_mariadb_conn(rmid);
    char sql[SQL_SIZE], *p = sql;

    p += sprintf(p, "XA COMMIT X'");
    p = put_hex(p, xid->data, xid->gtrid_length);
    p += sprintf(p, "',X'");
    p = put_hex(p, xid->data + xid->gtrid_length, xid->bqual_length);
    (void)sprintf(p, "',%ld", xid->formatID);
    if (conn != NULL)
        (void)mysql_query(conn, sql); /* or it is lost: then nobody has finished it */
}

/* An operator: in MariaDB they do what was decided, in PostgreSQL the opposite. */
static int meddling_commit(XID *xid, int rmid, long flags)
{
    if (now.by_hand && (flags & TMONEPHASE) == 0) {
        if (now.kinds[1] == PG) {
            PGconn *conn = connect_pg(now.servers);

            sweep_pg(conn);
            PQfinish(conn);
        } else if (now.kinds[1] == MY) {
            commit_my_by_hand(xid, rmid);
        }
    }
    return plain_b->xa_commit_entry(xid, rmid, flags);
}

static const struct xa_switch_t *switch_of(unsigned store, enum temper temper)
{
    static struct xa_switch_t changed;
    const struct xa_switch_t *plain = rows[now.kinds[store]].xa;

    if (store != 1 || (temper != STUBBORN && temper != WILLFUL))
        return plain;
    plain_b = plain;
    changed = *plain;
    changed.flags &= ~TMUSEASYNC;
    changed.xa_commit_entry = temper == STUBBORN ? stubborn_commit : meddling_commit;
    return &changed;
}

/* -- the stores -------------------------------------------------------------------------------- */

static int add(struct world *w)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < STORES; i++) {
        enum kind kind = now.kinds[i];
        hf_rm_config config = HF_RM_CONFIG_INIT;
        char info[MAXINFOSIZE];

        (void)snprintf(info, sizeof(info), "%s%s%s", rows[kind].before,
                       kind == PG || kind == MY ? now.servers->dir : w->dir, rows[kind].behind);
        config.name = rows[kind].name;
        config.xa = switch_of(i, w->temper);
        config.ext = rows[kind].ext;
        config.open_info = info;
        rc = hf_rm_register(w->tm, &config, &w->rm[i]);
    }
    return rc;
}

/* The number of rows; -1: no answer. */
static int run_pg(hf_instance *in, const char *sql)
{
    PGresult *result = hf_postgres_exec(hf_instance_rmid(in), sql);
    ExecStatusType status = PQresultStatus(result);
    int count = status == PGRES_TUPLES_OK ? PQntuples(result) : status == PGRES_COMMAND_OK ? 0 : -1;

    PQclear(result);
    return count;
}

static int run_my(hf_instance *in, const char *sql)
{
    MYSQL *conn = hf_mariadb_conn(hf_instance_rmid(in));
    MYSQL_RES *list;
    int count;

    if (conn == NULL || mysql_query(conn, sql) != 0)
        return -1;
    if (mysql_field_count(conn) == 0)
        return 0;
    list = mysql_store_result(conn);
    count = list != NULL ? (int)mysql_num_rows(list) : -1;
    mysql_free_result(list);
    return count;
}

bool servers_is(unsigned store, enum database what)
{
    return now.kinds[store] == (what == DB_POSTGRES ? PG : what == DB_MARIADB ? MY : KV);
}

int servers_exec(unsigned store, hf_instance *in, const char *sql)
{
    return (now.kinds[store] == PG ? run_pg(in, sql) : run_my(in, sql)) < 0 ? HF_ERM : HF_OK;
}

void servers_forget_us(void)
{
    MYSQL *conn = connect_my(now.servers);

    if (mysql_query(conn, "DROP TABLE IF EXISTS holdfast_identity, holdfast_marker") != 0)
        rig_die(mysql_error(conn));
    mysql_close(conn);
}

static int key_of(unsigned n, char ret[16])
{
    return snprintf(ret, 16, "t%u", n);
}

static int write_in(struct world *w, unsigned store, hf_instance *in, unsigned n)
{
    char text[64];

    (void)w;
    if (now.kinds[store] != PG && now.kinds[store] != MY)
        return hf_kv_put(hf_instance_rmid(in), text, (size_t)key_of(n, text), "1", 1);
    (void)snprintf(text, sizeof(text), "INSERT INTO t VALUES (%u)", now.base + n);
    return servers_exec(store, in, text);
}

static int read_in(struct world *w, unsigned store, hf_instance *in)
{
    (void)w;
    if (now.kinds[store] != PG && now.kinds[store] != MY)
        return hf_kv_get(hf_instance_rmid(in), "t0", 2, NULL, 0, NULL);
    return servers_exec(store, in, "SELECT n FROM t WHERE n = 0");
}

/* 1: it is there; 0: it is not; -1: no answer. */
static int find_in(unsigned store, hf_instance *in, unsigned n)
{
    char text[64];
    int rc;

    if (now.kinds[store] != PG && now.kinds[store] != MY) {
        rc = hf_kv_get(hf_instance_rmid(in), text, (size_t)key_of(n, text), NULL, 0, NULL);
        return rc == HF_OK ? 1 : rc == HF_ENOTFOUND ? 0 : -1;
    }
    (void)snprintf(text, sizeof(text), "SELECT n FROM t WHERE n = %u", now.base + n);
    return now.kinds[store] == PG ? run_pg(in, text) : run_my(in, text);
}

static int find(struct world *w, unsigned n, unsigned *ret_stores)
{
    *ret_stores = 0;
    for (unsigned i = 0; i < STORES; i++) {
        int found = find_in(i, w->in[i], n);

        if (found < 0) {
            (void)snprintf(w->shared->complaint, sizeof(w->shared->complaint),
                           "%s does not answer when it is asked for transaction %u",
                           rows[now.kinds[i]].name, n);
            return 1;
        }
        *ret_stores |= found > 0 ? 1U << i : 0;
    }
    return 0;
}

const struct stores *servers_stores(struct servers *s, enum database first, unsigned base,
                                    bool by_hand)
{
    static struct stores stores = {
        .all = A | B | C | D, .add = add, .find = find, .write = write_in, .read = read_in};

    now.servers = s;
    now.kinds = kinds[first];
    now.base = base;
    now.by_hand = by_hand;
    for (unsigned i = 0; i < STORES; i++)
        stores.xa[i] = rows[now.kinds[i]].xa;
    return &stores;
}
