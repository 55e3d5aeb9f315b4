/*
 * tests/servers/pool/pool_t.h - a node with a pool of PostgreSQL's connections and one of
 * MariaDB's.
 *
 *   pools_open(p, &hf_postgres_hooks, &hf_mariadb_hooks)
 *   id = take(p, PG); ... on pg_of(p, id) or my_of(p, id) ...; give(p, PG, id);
 *   a_good_transaction(p)        commits a row in both, which are the same rows after it
 *
 * Both databases have a table t(n), empty at first.
 */
#ifndef HF_TESTS_POOL_T_H
#define HF_TESTS_POOL_T_H

#include "servers/postgres/pg_t.h"
#include "support/mariadb_t.h"

#include <pthread.h>
#include <stdatomic.h>

#include "holdfast/holder.h"

enum { PG, MY, BOTH, CLOSE_MS = 60000 };

struct pools {
    char *dir;
    hf_tm *tm;
    hf_manager *manager;
    hf_rm *rm[BOTH];
    hf_holder *pool[BOTH];
    hf_holder_config config; /* of both pools */
    int last;                /* number that was given out last */
};

static inline void pools_rm(struct pools *p, int which, const struct xa_switch_t *xa,
                            const hf_rm_ext *ext, const char *info)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;

    config.name = which == PG ? "postgres" : "mariadb";
    config.xa = xa;
    config.ext = ext;
    config.open_info = info;
    t_ok(hf_rm_register(p->tm, &config, &p->rm[which]));
}

static inline void pools_open(struct pools *p, const hf_xa_hooks *pg_hooks,
                              const hf_xa_hooks *my_hooks)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_manager_config manager = HF_MANAGER_CONFIG_INIT;
    hf_holder_config pool = p->config;

    config.dir = t_path(p->dir, "node");
    t_ok(hf_tm_open(&config, &p->tm));
    pools_rm(p, PG, &hf_postgres_switch, &hf_postgres_ext, pg_info("one"));
    pools_rm(p, MY, &hf_mariadb_switch, &hf_mariadb_ext, my_info("pool", "proof=marker"));
    t_ok(hf_tm_start(p->tm, 0));
    manager.tm = p->tm;
    t_ok(hf_manager_open(&manager, &p->manager));
    pool.name = "postgres";
    t_ok(hf_holder_open_xa(p->manager, pg_hooks, &pool, &p->pool[PG]));
    pool.name = "mariadb";
    t_ok(hf_holder_open_xa(p->manager, my_hooks, &pool, &p->pool[MY]));
}

static inline void pools_close(struct pools *p)
{
    unsigned left = 0;

    t_ok(hf_manager_close(p->manager, CLOSE_MS, &left));
    assert_int_equal(left, 0);
    t_ok(hf_tm_close(p->tm, CLOSE_MS, NULL));
    p->tm = NULL;
}

static inline hf_holder_stats pool_stats(struct pools *p, int which)
{
    hf_holder_stats stats = {.size = sizeof(stats)};

    t_ok(hf_holder_get_stats(p->pool[which], &stats));
    return stats;
}

static inline hf_resid take(struct pools *p, int which)
{
    hf_resid id = 0;

    t_ok(hf_holder_alloc(p->pool[which], hf_xa_type(p->rm[which]), &id));
    return id;
}

static inline void give(struct pools *p, int which, hf_resid id)
{
    t_ok(hf_holder_free(p->pool[which], id));
}

static inline hf_tx *begin_tx(struct pools *p)
{
    hf_tx *tx = NULL;

    t_ok(hf_tx_begin(p->tm, 0, &tx));
    return tx;
}

static inline PGconn *pg_of(struct pools *p, hf_resid id)
{
    PGconn *conn = hf_postgres_conn(hf_holder_rmid(p->pool[PG], id));

    assert_non_null(conn);
    return conn;
}

static inline MYSQL *my_of(struct pools *p, hf_resid id)
{
    MYSQL *conn = hf_mariadb_conn(hf_holder_rmid(p->pool[MY], id));

    assert_non_null(conn);
    return conn;
}

/* A row in each, by any thread: 0 if it is there, for the transaction to commit. */
static inline int insert_pg(struct pools *p, hf_resid id, int n)
{
    char sql[64];
    PGresult *result;
    int bad;

    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", n);
    result = hf_postgres_exec(hf_holder_rmid(p->pool[PG], id), sql);
    bad = PQresultStatus(result) != PGRES_COMMAND_OK;
    PQclear(result);
    return bad;
}

static inline int insert_my(struct pools *p, hf_resid id, int n)
{
    MYSQL *conn = hf_mariadb_conn(hf_holder_rmid(p->pool[MY], id));
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", n);
    return conn == NULL || mysql_query(conn, sql) != 0;
}

static inline int in_pg(int n)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM t WHERE n = %d", n);
    return pg_number("one", sql);
}

static inline int in_my(int n)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM pool.t WHERE n = %d", n);
    return (int)my_number(sql);
}

static inline long my_prepared(void)
{
    MYSQL *conn = my_administrator();
    MYSQL_RES *res;
    long n;

    assert_int_equal(mysql_query(conn, "XA RECOVER"), 0);
    res = mysql_store_result(conn);
    assert_non_null(res);
    n = (long)mysql_num_rows(res);
    mysql_free_result(res);
    return n;
}

/* Nothing that anybody left is in the way of it, or in it. */
static inline void a_good_transaction(struct pools *p)
{
    int n = ++p->last;
    hf_tx *tx = begin_tx(p);
    hf_resid id[BOTH];

    for (int which = 0; which < BOTH; which++)
        id[which] = take(p, which);
    assert_int_equal(insert_pg(p, id[PG], n), 0);
    assert_int_equal(insert_my(p, id[MY], n), 0);
    for (int which = 0; which < BOTH; which++)
        give(p, which, id[which]);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(in_pg(n), 1);
    assert_int_equal(in_my(n), 1);
}

static inline int pools_setup(void **state)
{
    struct pools *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->config = (hf_holder_config)HF_HOLDER_CONFIG_INIT;
    p->dir = t_dir_make();
    (void)pg_value("one", "DROP TABLE IF EXISTS t");
    (void)pg_value("one", "CREATE TABLE t (n int PRIMARY KEY)");
    my_database("pool");
    my_admin("DELETE FROM pool.t");
    *state = p;
    return 0;
}

static inline int pools_teardown(void **state)
{
    struct pools *p = *state;

    t_dir_remove(p->dir);
    free(p);
    return 0;
}

#endif
