/*
 * What: the instructions of one transaction (begin, enlist two, commit) without its log and its
 *       resource managers: what this library itself costs.
 * How:  the decision log is in memory (memory_log.c) and switches say yes. The program only
 *       commits as many transactions as it is told to; instructions.sh counts what it executed with
 *       one number and with another. The difference is free of what comes before and after.
 */
#include <stdio.h>
#include <stdlib.h>

#include "holdfast/transaction.h"

static unsigned long prepared, committed;

static int yes_info(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int yes_xid(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_OK;
}

static int prepare(XID *xid, int rmid, long flags)
{
    prepared++;
    return yes_xid(xid, rmid, flags);
}

static int commit(XID *xid, int rmid, long flags)
{
    committed += flags == TMNOFLAGS;
    return yes_xid(xid, rmid, flags);
}

static int none(XID *xids, long count_max, int rmid, long flags)
{
    (void)xids, (void)count_max, (void)rmid, (void)flags;
    return 0;
}

static int never(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

static const struct xa_switch_t yes = {
    "yes",   TMNOFLAGS, 0,      yes_info, yes_info, yes_xid, yes_xid,
    yes_xid, prepare,   commit, none,     yes_xid,  never,
};

static void must(int rc, const char *what)
{
    if (rc == HF_OK)
        return;
    fprintf(stderr, "instructions: %s: %s: %s\n", what, hf_strerror(rc), hf_error_last()->text);
    exit(1);
}

static void commit_one(hf_tm *tm, hf_instance *const in[2])
{
    hf_result result = HF_RESULT_INIT;
    hf_tx *tx;

    must(hf_tx_begin(tm, 60000, &tx), "begin");
    must(hf_tx_enlist(tx, in[0]), "enlist");
    must(hf_tx_enlist(tx, in[1]), "enlist");
    must(hf_tx_commit(tx, &result), "commit");
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"a", "b"};
    unsigned long count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_instance *in[2];
    hf_tm *tm;

    if (count == 0) {
        fprintf(stderr, "usage: instructions TRANSACTIONS\n");
        return 2;
    }
    config.dir = "in memory";
    must(hf_tm_open(&config, &tm), "open");
    for (int i = 0; i < 2; i++) {
        hf_rm_config rm_config = HF_RM_CONFIG_INIT;
        hf_rm *rm;

        rm_config.name = names[i];
        rm_config.xa = &yes;
        must(hf_rm_register(tm, &rm_config, &rm), "register");
        must(hf_instance_open(rm, &in[i]), "open an instance");
    }
    must(hf_tm_start(tm, 0), "start");
    for (unsigned long i = 0; i < count; i++)
        commit_one(tm, in);
    must(hf_instance_close(in[0]), "close an instance");
    must(hf_instance_close(in[1]), "close an instance");
    must(hf_tm_close(tm, 0, NULL), "close");
    if (prepared != 2 * count || committed != 2 * count) {
        fprintf(stderr, "instructions: %lu prepared and %lu committed branches, not %lu\n",
                prepared, committed, 2 * count);
        return 1;
    }
    printf("%lu transactions of two branches\n", count);
    return 0;
}
