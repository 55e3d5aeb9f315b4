/*
 * What: a committed transaction of two branches allocates nothing of ours once warmed up.
 * How:  malloc(), calloc() and realloc() of this program stand before libc's; a call counts when it
 *       comes from the program's own text, where the library is linked in, and not from liblmdb or
 *       libc. The counter is checked to count first. Resource managers are switches that say yes.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "holdfast/transaction.h"
#include "support/quiet.h"

enum { WARM_UP = 200, COUNTED = 2000 };

static void must(int rc, const char *what)
{
    if (rc == HF_OK)
        return;
    fprintf(stderr, "hot_path: %s: %s: %s\n", what, hf_strerror(rc), hf_error_last()->text);
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

static hf_tm *open_node(const char *dir, hf_instance *in[2])
{
    static const char *const names[] = {"a", "b"};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_tm *tm;

    config.dir = dir;
    must(hf_tm_open(&config, &tm), "open");
    for (int i = 0; i < 2; i++) {
        hf_rm_config rm_config = HF_RM_CONFIG_INIT;
        hf_rm *rm;

        rm_config.name = names[i];
        rm_config.xa = &quiet_switch;
        must(hf_rm_register(tm, &rm_config, &rm), "register");
        must(hf_instance_open(rm, &in[i]), "open an instance");
    }
    must(hf_tm_start(tm, 0), "start");
    return tm;
}

int main(void)
{
    char dir[] = "/tmp/holdfast-hot-XXXXXX", command[64];
    hf_instance *in[2];
    unsigned counted;
    hf_tm *tm;

    if (mkdtemp(dir) == NULL)
        return 1;
    tm = open_node(dir, in);
    if (atomic_load(&quiet_ours) == 0) {
        fprintf(stderr,
                "hot_path: opening a node was not seen to allocate: the counter is blind\n");
        return 1;
    }
    for (int i = 0; i < WARM_UP; i++)
        commit_one(tm, in);
    atomic_store(&quiet_ours, 0);
    for (int i = 0; i < COUNTED; i++)
        commit_one(tm, in);
    counted = atomic_load(&quiet_ours);
    must(hf_instance_close(in[0]), "close an instance");
    must(hf_instance_close(in[1]), "close an instance");
    must(hf_tm_close(tm, 0, NULL), "close");
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    if (system(command) != 0)
        return 1;
    printf("hot_path: %u allocations of ours in %d transactions\n", counted, COUNTED);
    return counted == 0 ? 0 : 1;
}
