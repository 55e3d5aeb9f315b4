/*
 * tests/servers/both/both_t.h - what tests beside a PostgreSQL and a MariaDB share.
 *
 *   node_open(&n, one_pg, my_a)       a node over two stores, with an instance of each
 *   node_settle(&n)                   passes until nothing is owed, and nothing is prepared
 *   store_has(one_pg, 7)              is row 7 there?
 *
 * A store is a database with a table t of numbers. must() is for what also children do, which
 * cmocka does not know: it ends the process.
 */
#ifndef HF_TESTS_BOTH_T_H
#define HF_TESTS_BOTH_T_H

#include "servers/postgres/pg_t.h"
#include "support/mariadb_t.h"

#include <signal.h>

#include "holdfast/internal/fault.h"

enum { PASSES_MAX = 3000, SETTLE_MS_MAX = 5000, STORES = 2 };

struct store {
    int is_pg;
    const char *database;
    const char *name; /* that it is registered by; NULL: the database's */
    const char *more; /* of the open string; NULL: as usual */
};

static const struct store one_pg = {.is_pg = 1, .database = "one"};
static const struct store two_pg = {.is_pg = 1, .database = "two"};
static const struct store my_a = {.is_pg = 0, .database = "both_a"};

struct node {
    char *dir;
    hf_tm *tm;
    hf_rm *rm[STORES];
    hf_instance *in[STORES];
    char warned[4096]; /* warnings and alarms, a line each */
};

static inline void must(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "both: %s: %s\n", what, hf_error_last()->text);
    _exit(99);
}

static inline const char *store_info(const struct store *s)
{
    if (s->is_pg)
        return pg_info_with(s->database, s->more != NULL ? s->more : "");
    return my_info(s->database, s->more != NULL ? s->more : "proof=marker");
}

/* Every store, empty. */
static inline void stores_make(void)
{
    const struct store *const pgs[] = {&one_pg, &two_pg};

    for (size_t i = 0; i < sizeof(pgs) / sizeof(pgs[0]); i++) {
        pg_value(pgs[i]->database, "DROP TABLE IF EXISTS t");
        pg_value(pgs[i]->database, "CREATE TABLE t (n int PRIMARY KEY)");
    }
    my_database(my_a.database);
    my_admin("DELETE FROM %s.t", my_a.database);
}

static inline int store_has(const struct store *s, int n)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s%st WHERE n = %d",
                   s->is_pg ? "" : s->database, s->is_pg ? "" : ".", n);
    return s->is_pg ? pg_number(s->database, sql) : (int)my_number(sql);
}

static inline int store_insert(const struct store *s, hf_instance *in, int n)
{
    char sql[64];
    int good;

    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", n);
    if (s->is_pg) {
        PGresult *result = hf_postgres_exec(hf_instance_rmid(in), sql);

        good = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        return good;
    }
    return hf_mariadb_conn(hf_instance_rmid(in)) != NULL &&
           mysql_query(hf_mariadb_conn(hf_instance_rmid(in)), sql) == 0;
}

/* Prepared branches at both servers. */
static inline int prepared_everywhere(void)
{
    MYSQL *conn = my_administrator();
    MYSQL_RES *res;
    int n;

    my_do(conn, "DO 1"); /* alive, or fails here */
    assert_int_equal(mysql_query(conn, "XA RECOVER"), 0);
    res = mysql_store_result(conn);
    assert_non_null(res);
    n = (int)mysql_num_rows(res);
    mysql_free_result(res);
    return n + pg_prepared();
}

static inline void node_told(void *user, int level, const char *text)
{
    struct node *n = user;

    size_t used = strlen(n->warned);

    if (level != HF_LOG_INFO && used < sizeof(n->warned))
        (void)snprintf(n->warned + used, sizeof(n->warned) - used, "%s\n", text);
}

/* Open it and register its stores; xa: switches instead of the stores' own, or NULL. */
static inline void node_register(struct node *n, const struct store *const stores[STORES],
                                 const struct xa_switch_t *const xa[STORES])
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/node", n->dir);
    config.dir = path;
    config.log = node_told;
    config.user = n;
    must(hf_tm_open(&config, &n->tm) == HF_OK, "open the node");
    for (int i = 0; i < STORES; i++) {
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        rm.name = stores[i]->name != NULL ? stores[i]->name : stores[i]->database;
        rm.xa = xa != NULL ? xa[i] : stores[i]->is_pg ? &hf_postgres_switch : &hf_mariadb_switch;
        rm.ext = stores[i]->is_pg ? &hf_postgres_ext : &hf_mariadb_ext;
        rm.open_info = store_info(stores[i]);
        must(hf_rm_register(n->tm, &rm, &n->rm[i]) == HF_OK, "register");
    }
}

static inline void node_open(struct node *n, const struct store *const stores[STORES],
                             const struct xa_switch_t *const xa[STORES])
{
    node_register(n, stores, xa);
    must(hf_tm_start(n->tm, 0) == HF_OK, "start");
    for (int i = 0; i < STORES; i++)
        must(hf_instance_open(n->rm[i], &n->in[i]) == HF_OK, "open an instance");
}

static inline void node_close(struct node *n)
{
    for (int i = 0; i < STORES; i++) {
        t_ok(hf_instance_close(n->in[i]));
        n->in[i] = NULL;
    }
    t_ok(hf_tm_close(n->tm, 0, NULL));
    n->tm = NULL;
}

static inline hf_tm_stats node_stats(struct node *n)
{
    hf_tm_stats stats = {.size = sizeof(stats)};

    t_ok(hf_tm_get_stats(n->tm, &stats));
    return stats;
}

/* Passes until nothing is owed, and only so many are prepared: those of others. */
static inline void node_settle_but(struct node *n, int others)
{
    for (int i = 0; i < PASSES_MAX; i++) {
        t_ok(hf_tm_recover(n->tm, NULL));
        if (node_stats(n).owed == 0 && prepared_everywhere() == others)
            return;
        my_sleep_ms(10);
    }
    fail_msg("%d branches are owed, %d are prepared", (int)node_stats(n).owed,
             prepared_everywhere());
}

static inline void node_settle(struct node *n)
{
    node_settle_but(n, 0);
}

/* Begin, enlist both, and write row number to both. */
static inline hf_tx *node_begin(struct node *n, const struct store *const stores[STORES],
                                int number)
{
    hf_tx *tx;

    must(hf_tx_begin(n->tm, 0, &tx) == HF_OK, "begin");
    for (int i = 0; i < STORES; i++) {
        must(hf_tx_enlist(tx, n->in[i]) == HF_OK, "enlist");
        must(store_insert(stores[i], n->in[i], number), "insert");
    }
    return tx;
}

static inline int setup(void **state)
{
    struct node *n = calloc(1, sizeof(*n));

    assert_non_null(n);
    n->dir = t_dir_make();
    stores_make();
    *state = n;
    return 0;
}

static inline int teardown(void **state)
{
    struct node *n = *state;

    t_dir_remove(n->dir);
    free(n);
    return 0;
}

/* With --plant BUG: 1, and the bug is planted. The one test that is then run has to fail. */
static inline int plant(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "--plant") != 0)
        return 0;
#ifdef HF_FAULTS
    hf__bug_plant(argv[2]);
#endif
    return 1;
}

#endif
