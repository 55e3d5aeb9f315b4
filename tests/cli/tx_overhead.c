/*
 * What: a transaction by tx.h, and the same by the native interface (tests/cli/tx_overhead.sh).
 * How:  two resource managers that vote read-only, so that no log is in it; each loop is a function
 *       of its own, which callgrind counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/config.h"
#include "holdfast/transaction.h"
#include "tx.h"

enum { WARM_UP = 100, COUNT = 1000, RMS = 2 };

static int by_info(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int by_xid(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_OK;
}

static int votes(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_RDONLY;
}

static int lists(XID *xids, long count, int rmid, long flags)
{
    (void)xids, (void)count, (void)rmid, (void)flags;
    return 0;
}

static int completes(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

struct xa_switch_t read_only = {"read only", TMNOFLAGS, 0,      by_info, by_info, by_xid,   by_xid,
                                by_xid,      votes,     by_xid, lists,   by_xid,  completes};

static void fail(const char *what)
{
    fprintf(stderr, "tx_overhead: %s: %s\n", what, hf_error_last()->text);
    exit(1);
}

__attribute__((noinline)) void tx_loop(int count);
__attribute__((noinline)) void native_loop(hf_tm *tm, hf_instance **in, int count);

void tx_loop(int count)
{
    for (int i = 0; i < count; i++)
        if (tx_begin() != TX_OK || tx_commit() != TX_OK)
            fail("tx");
}

void native_loop(hf_tm *tm, hf_instance **in, int count)
{
    hf_result result = HF_RESULT_INIT;
    hf_tx *tx;

    for (int i = 0; i < count; i++) {
        if (hf_tx_begin(tm, 0, &tx) != HF_OK)
            fail("begin");
        for (int n = 0; n < RMS; n++)
            if (hf_tx_enlist(tx, in[n]) != HF_OK)
                fail("enlist");
        if (hf_tx_commit(tx, &result) != HF_OK)
            fail("commit");
    }
}

static void run_native(void)
{
    hf_config *config = NULL;
    hf_instance *in[RMS];
    hf_tm *tm = NULL;

    if (hf_config_load(getenv("HOLDFAST_CONFIG"), &config) != HF_OK ||
        hf_config_open(config, NULL, &tm) != HF_OK || hf_tm_start(tm, 0) != HF_OK)
        fail("open");
    for (int n = 0; n < RMS; n++)
        if (hf_instance_open(hf_config_find_rm(config, n == 0 ? "a" : "b"), &in[n]) != HF_OK)
            fail("open an instance");
    native_loop(tm, in, WARM_UP);
    native_loop(tm, in, COUNT);
    for (int n = 0; n < RMS; n++)
        if (hf_instance_close(in[n]) != HF_OK)
            fail("close an instance");
    if (hf_tm_close(tm, 0, NULL) != HF_OK)
        fail("close");
    hf_config_free(config);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "native") == 0) {
        run_native();
        return 0;
    }
    if (tx_open() != TX_OK)
        fail("tx_open");
    tx_loop(WARM_UP);
    tx_loop(COUNT);
    return tx_close() == TX_OK ? 0 : 1;
}
