/*
 * What: the example in rm/mariadb/README.md, which quotes all of this file but its head.
 * How:  servers/pool/example.sh has a server for it; cli/quoted.sh compares the two, and runs it
 *       twice.
 */
#include <stdio.h>

#include "holdfast/mariadb.h"
#include <mysql.h>

/* In the thread's transaction: the connection joins it, and stays in it when it is freed. */
static int execute(hf_holder *pool, hf_rm *rm, const char *sql)
{
    hf_resid id;
    int rc = hf_holder_alloc(pool, hf_xa_type(rm), &id);

    if (rc != HF_OK)
        return rc;
    rc = mysql_query(hf_mariadb_conn(hf_holder_rmid(pool, id)), sql) == 0 ? HF_OK : HF_ERM;
    (void)hf_holder_free(pool, id);
    return rc;
}

int main(void)
{
    hf_tm_config tm_config = HF_TM_CONFIG_INIT;
    hf_rm_config rm_config = HF_RM_CONFIG_INIT;
    hf_manager_config manager_config = HF_MANAGER_CONFIG_INIT;
    hf_manager *manager = NULL;
    hf_holder *pool = NULL;
    hf_rm *rm = NULL;
    hf_tm *tm = NULL;
    hf_tx *tx;
    int rc;

    tm_config.dir = "node";
    rm_config.name = "accounts";
    rm_config.xa = &hf_mariadb_switch;
    rm_config.ext = &hf_mariadb_ext;
    rm_config.open_info = "user=root;database=bank";
    rc = hf_tm_open(&tm_config, &tm);
    if (rc == HF_OK)
        rc = hf_rm_register(tm, &rm_config, &rm);
    if (rc == HF_OK)
        rc = hf_tm_start(tm, 1000);
    manager_config.tm = tm;
    manager_config.background = 1; /* idle connections are closed after a minute */
    if (rc == HF_OK)
        rc = hf_manager_open(&manager_config, &manager);
    if (rc == HF_OK)
        rc = hf_holder_open_xa(manager, &hf_mariadb_hooks, NULL, &pool);
    if (rc == HF_OK)
        rc = hf_tx_begin(tm, 0, &tx);
    if (rc == HF_OK) {
        rc = execute(pool, rm, "INSERT INTO entry VALUES (1)");
        if (rc == HF_OK)
            rc = hf_tx_commit(tx, NULL); /* the connection is in the pool again, whatever it says */
        else
            (void)hf_tx_rollback(tx, NULL);
    }
    printf("%s\n", rc == HF_OK ? "committed" : hf_error_last()->text);
    if (manager != NULL)
        (void)hf_manager_close(manager, 1000, NULL); /* before the tm, and its pools with it */
    if (tm != NULL)
        (void)hf_tm_close(tm, 1000, NULL);
    return rc == HF_OK ? 0 : 1;
}
