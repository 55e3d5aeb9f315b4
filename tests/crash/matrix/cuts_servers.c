/*
 * tests/crash/matrix/cuts_servers.c - the server whose power is cut, with PostgreSQL, MariaDB, a kv
 * store and the node on one file system.
 *
 * The servers are run by cuts_servers.sh, which this process talks to over a pipe. A cut ends them
 * as it ends the process that uses them, and they recover by themselves when they are up again.
 */
#include <libpq-fe.h>
#include <mysql.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cuts.h"
#include "disk.h"
#include "holdfast/kv.h"
#include "holdfast/mariadb.h"
#include "holdfast/postgres.h"
#include "page.h"
#include "rig.h"
#include "script.h"

enum { THREADS = 3, USED = 3 };
enum { KV = A, PG = B, MY = C };

/* -- the script -------------------------------------------------------------------------------- */

static struct script *script;

static const char *make(void)
{
    if (script == NULL && (script = script_start(CUTS_SERVERS, disk_dir())) == NULL)
        return "PostgreSQL or MariaDB is not installed";
    if (!script_tell(script, "make"))
        rig_die("make the servers");
    return NULL;
}

static void up(void)
{
    if (!script_tell(script, "up"))
        rig_die("start the servers after a cut");
}

static void down(void)
{
    /* What is left of them keeps the file system from being unmounted: that will be seen. */
    (void)script_tell(script, "down");
}

/* -- the stores -------------------------------------------------------------------------------- */

static int add(struct world *w)
{
    static const struct {
        const char *name;
        const struct xa_switch_t *xa;
        const hf_rm_ext *ext;
        const char *before, *behind; /* the directory in the open string */
    } rows[USED] = {
        {"kv", &hf_kv_switch, &hf_kv_ext, "dir=", "/kv;wait_ms=500"},
        {"pg", &hf_postgres_switch, &hf_postgres_ext, "host=", "/pg user=hf dbname=one"},
        {"my", &hf_mariadb_switch, &hf_mariadb_ext,
         "socket=", "/my/socket;user=root;database=one;proof=marker"},
    };
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < USED; i++) {
        hf_rm_config config = HF_RM_CONFIG_INIT;
        char info[MAXINFOSIZE];

        (void)snprintf(info, sizeof(info), "%s%s%s", rows[i].before, w->dir, rows[i].behind);
        config.name = rows[i].name;
        config.xa = rows[i].xa;
        config.ext = rows[i].ext;
        config.open_info = info;
        rc = hf_rm_register(w->tm, &config, &w->rm[i]);
    }
    return rc;
}

/* 1: a row; 0: none; -1: no answer. */
static int find_pg(int rmid, const char *sql)
{
    PGresult *result = hf_postgres_exec(rmid, sql);
    int found = PQresultStatus(result) == PGRES_TUPLES_OK ? PQntuples(result) : -1;

    PQclear(result);
    return found;
}

static int find_my(int rmid, const char *sql)
{
    MYSQL *conn = hf_mariadb_conn(rmid);
    MYSQL_RES *rows = conn != NULL && mysql_query(conn, sql) == 0 ? mysql_store_result(conn) : NULL;
    int found = rows != NULL ? (int)mysql_num_rows(rows) : -1;

    mysql_free_result(rows);
    return found;
}

static int find(struct world *w, unsigned n, unsigned *ret_stores)
{
    char key[16], sql[64];
    int kv, pg, my;

    (void)snprintf(key, sizeof(key), "t%u", n);
    (void)snprintf(sql, sizeof(sql), "SELECT n FROM t WHERE n = %u", n);
    kv = hf_kv_get(hf_instance_rmid(w->in[0]), key, strlen(key), NULL, 0, NULL);
    pg = find_pg(hf_instance_rmid(w->in[1]), sql);
    my = find_my(hf_instance_rmid(w->in[2]), sql);
    *ret_stores = (kv == HF_OK ? KV : 0U) | (pg == 1 ? PG : 0U) | (my == 1 ? MY : 0U);
    if ((kv == HF_OK || kv == HF_ENOTFOUND) && pg >= 0 && my >= 0)
        return 0;
    (void)snprintf(w->shared->complaint, sizeof(w->shared->complaint),
                   "look for transaction %u: kv %d, postgres %d, mariadb %d", n, kv, pg, my);
    return 1;
}

static const struct stores stores = {
    .all = KV | PG | MY,
    .xa = {&hf_kv_switch, &hf_postgres_switch, &hf_mariadb_switch},
    .add = add,
    .find = find,
};

static struct world world_of(struct orders *orders)
{
    return (struct world){.dir = disk_dir(), .stores = &stores, .shared = orders->shared};
}

/* -- the work ---------------------------------------------------------------------------------- */

static bool insert_pg(int rmid, const char *sql)
{
    PGresult *result = hf_postgres_exec(rmid, sql);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return good;
}

static bool write_all(hf_tx *tx, hf_instance *const in[STORES], unsigned set, unsigned n)
{
    char key[16], sql[64];
    bool good = true;

    (void)snprintf(key, sizeof(key), "t%u", n);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%u)", n);
    for (unsigned i = 0; good && i < USED; i++)
        if ((set & 1U << i) != 0)
            good = hf_tx_enlist(tx, in[i]) == HF_OK;
    if (good && (set & KV) != 0)
        good = hf_kv_put(hf_instance_rmid(in[0]), key, strlen(key), "1", 1) == HF_OK;
    if (good && (set & PG) != 0)
        good = insert_pg(hf_instance_rmid(in[1]), sql);
    if (good && (set & MY) != 0) {
        MYSQL *conn = hf_mariadb_conn(hf_instance_rmid(in[2]));

        good = conn != NULL && mysql_query(conn, sql) == 0;
    }
    return good;
}

/* One transaction. False: there will not be another one that works. */
static bool transact(struct client *c, hf_instance *const in[STORES])
{
    static const unsigned sets[] = {KV,      PG,      MY,           KV | PG,
                                    PG | MY, KV | MY, KV | PG | MY, KV | PG | MY};
    struct shared *shared = c->world->shared;
    unsigned set = sets[rand_r(&c->seed) % 8];
    unsigned n = __atomic_fetch_add(&shared->count, 1, __ATOMIC_SEQ_CST);
    hf_result result = {.size = sizeof(result)};
    hf_tx *tx = NULL;
    bool written;
    int rc;

    shared->promises[n].stores = set;
    if (hf_tx_begin(c->world->tm, 0, &tx) != HF_OK)
        return false;
    written = write_all(tx, in, set, n);
    if (written)
        rc = hf_tx_commit(tx, &result);
    else
        rc = hf_tx_rollback(tx, NULL) == HF_OK ? HF_EROLLEDBACK : HF_EIO;
    shared->promises[n].told = cuts_told_by(rc, result.outcome, set);
    c->orders->busy = c->orders->busy || rc == HF_OK;
    return written && n + THREADS < TXS_MAX;
}

static void *work(void *user)
{
    struct client *c = user;
    hf_instance *in[STORES] = {NULL};
    bool good = true;

    for (unsigned i = 0; good && i < USED; i++)
        good = hf_instance_open(c->world->rm[i], &in[i]) == HF_OK;
    while (good)
        good = transact(c, in);
    (void)pause(); /* there is nothing to do but to be killed */
    return NULL;
}

const struct load hf_load = {
    .name = "servers",
    .world = world_of,
    .work = work,
    .threads = THREADS,
    .page = "node/" HF__PAGE_FILE,
    .cuts = 50,
    .fresh = 25,
    .work_us = 60000,
    .bytes = 1L << 30,
    .make = make,
    .up = up,
    .down = down,
};
