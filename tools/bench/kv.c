/*
 * tools/bench/kv.c - our side of `hf-bench kv`: a node and two kv stores, one key of each written
 * in every transaction.
 *
 * Each thread has an instance of each store and a key of its own, of the same name in both, so that
 * what is measured is two-phase commit over two durable stores and not waiting for a lock. Every
 * call's result is looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "holdfast/kv.h"
#include "holdfast/transaction.h"

enum { STORES = 2, CLOSE_WAIT_MS = 5000 };

struct kv_bench {
    hf_tm *tm;
    hf_rm *rms[STORES];
};

struct kv_thread {
    hf_tm *tm;
    hf_instance *instances[STORES];
    struct bench_pair pair;
};

static int refused(const char *what, int rc)
{
    complain("%s: %s (%s)", what, hf_error_last()->text, hf_strerror_name(rc));
    return rc;
}

static int register_store(struct kv_bench *kv, const char *dir, int which)
{
    static const char *const names[STORES] = {"east", "west"};
    hf_rm_config rm = HF_RM_CONFIG_INIT;
    char open_info[MAXINFOSIZE];
    int size = snprintf(open_info, sizeof(open_info), "dir=%s/%s;wait_ms=60000", dir, names[which]);

    if (size >= (int)sizeof(open_info))
        return HF_ELIMIT;
    rm.name = names[which];
    rm.xa = &hf_kv_switch;
    rm.ext = &hf_kv_ext;
    rm.open_info = open_info;
    return hf_rm_register(kv->tm, &rm, &kv->rms[which]);
}

int kv_open(const char *dir, const char *node_dir, struct kv_bench **ret)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    struct kv_bench *kv = calloc(1, sizeof(*kv));
    int rc;

    if (kv == NULL) {
        complain("open the stores: out of memory");
        return HF_ENOMEM;
    }
    config.dir = node_dir;
    rc = hf_tm_open(&config, &kv->tm);
    for (int i = 0; i < STORES && rc == HF_OK; i++)
        rc = register_store(kv, dir, i);
    if (rc == HF_OK)
        rc = hf_tm_start(kv->tm, 0);
    if (rc == HF_OK) {
        *ret = kv;
        return HF_OK;
    }
    (void)refused("open the stores", rc);
    (void)kv_close(kv); /* the first failure is the one that is told */
    return rc;
}

int kv_close(struct kv_bench *kv)
{
    int rc = HF_OK;

    if (kv != NULL && kv->tm != NULL)
        rc = hf_tm_close(kv->tm, CLOSE_WAIT_MS, NULL);
    free(kv);
    return rc == HF_OK ? rc : refused("close the stores", rc);
}

/* -- a thread's work -------------------------------------------------------------------------- */

static int close_thread(void *thread)
{
    struct kv_thread *t = thread;
    int rc = HF_OK;

    for (int i = 0; i < STORES; i++) {
        int closed = hf_instance_close(t->instances[i]);

        rc = rc == HF_OK ? closed : rc;
    }
    free(t);
    return rc == HF_OK ? rc : refused("close an instance", rc);
}

static int open_thread(void *shared, void **ret_thread)
{
    struct kv_bench *kv = shared;
    struct kv_thread *t = calloc(1, sizeof(*t));
    int rc = HF_OK;

    if (t == NULL)
        return HF_ENOMEM;
    t->tm = kv->tm;
    bench_pair_init(&t->pair);
    for (int i = 0; i < STORES && rc == HF_OK; i++)
        rc = hf_instance_open(kv->rms[i], &t->instances[i]);
    if (rc == HF_OK) {
        *ret_thread = t;
        return HF_OK;
    }
    (void)refused("open an instance", rc);
    (void)close_thread(t);
    return rc;
}

static int write_both(void *thread)
{
    struct kv_thread *t = thread;
    hf_tx *tx;
    int rc = hf_tx_begin(t->tm, 0, &tx);

    bench_pair_next(&t->pair);
    for (int i = 0; i < STORES && rc == HF_OK; i++) {
        rc = hf_tx_enlist(tx, t->instances[i]);
        if (rc == HF_OK)
            rc = hf_kv_put(hf_instance_rmid(t->instances[i]), t->pair.key, sizeof(t->pair.key),
                           t->pair.value, sizeof(t->pair.value));
    }
    if (rc == HF_OK)
        rc = hf_tx_commit(tx, NULL);
    return rc == HF_OK ? rc : refused("commit", rc);
}

struct side kv_side(struct kv_bench *kv)
{
    return (struct side){.name = "holdfast",
                         .shared = kv,
                         .open = open_thread,
                         .transact = write_both,
                         .close = close_thread,
                         .loop = measured_loop};
}
