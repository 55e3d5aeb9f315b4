/*
 * What: the example in holder/README.md, which quotes all of this file but its head.
 * How:  cli/quoted.sh compares the two; the program is run: its second run finds the first one's.
 */
#include <stdio.h>

#include "holdfast/holder.h"
#include "holdfast/kv.h"

/* Allocate, work, free: the instance joins the thread's transaction, and stays in it when freed. */
static int put(hf_holder *pool, hf_rm *store)
{
    hf_resid id;
    int rc = hf_holder_alloc(pool, hf_xa_type(store), &id);

    if (rc != HF_OK)
        return rc;
    rc = hf_kv_put(hf_instance_rmid(hf_holder_instance(pool, id)), "greeting", 8, "hello", 5);
    (void)hf_holder_free(pool, id);
    return rc;
}

/* In both stores or in none. */
static int greet(hf_tm *tm, hf_holder *pool, hf_rm *east, hf_rm *west)
{
    hf_tx *tx;
    int rc = hf_tx_begin(tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    rc = put(pool, east);
    if (rc == HF_OK)
        rc = put(pool, west);
    if (rc == HF_OK)
        return hf_tx_commit(tx, NULL); /* both are in the pool again, whatever it says */
    (void)hf_tx_rollback(tx, NULL);
    return rc;
}

static int open_store(hf_tm *tm, const char *name, const char *open_info, hf_rm **ret)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;

    config.name = name;
    config.xa = &hf_kv_switch;
    config.ext = &hf_kv_ext;
    config.open_info = open_info;
    return hf_rm_register(tm, &config, ret);
}

int main(void)
{
    hf_tm_config tm_config = HF_TM_CONFIG_INIT;
    hf_manager_config manager_config = HF_MANAGER_CONFIG_INIT;
    hf_holder_config pool_config = HF_HOLDER_CONFIG_INIT;
    hf_manager *manager = NULL;
    hf_holder *pool = NULL;
    hf_rm *east, *west;
    hf_tm *tm = NULL;
    int rc;

    tm_config.dir = "node";
    rc = hf_tm_open(&tm_config, &tm);
    if (rc == HF_OK)
        rc = open_store(tm, "east", "dir=east", &east);
    if (rc == HF_OK)
        rc = open_store(tm, "west", "dir=west", &west);
    if (rc == HF_OK)
        rc = hf_tm_start(tm, 1000);
    manager_config.tm = tm;
    manager_config.background = 1; /* idle instances are closed after a minute */
    if (rc == HF_OK)
        rc = hf_manager_open(&manager_config, &manager);
    pool_config.max = 20;       /* instances of both stores */
    pool_config.wait_ms = 1000; /* for one, when all are in use */
    if (rc == HF_OK)
        rc = hf_holder_open_xa(manager, NULL, &pool_config, &pool);
    if (rc == HF_OK)
        rc = greet(tm, pool, east, west);
    printf("%s\n", rc == HF_OK ? "hello in both" : hf_error_last()->text);
    if (manager != NULL)
        (void)hf_manager_close(manager, 1000, NULL); /* before the tm, and its holders with it */
    if (tm != NULL)
        (void)hf_tm_close(tm, 1000, NULL);
    return rc == HF_OK ? 0 : 1;
}
