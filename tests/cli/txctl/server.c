/*
 * tests/cli/txctl/server.c - a real server, for txctl to look at: two kv stores, one transaction.
 *
 *   txctl_server DIR live    recover, commit, print "live", tick until stdin ends, close
 *   txctl_server DIR die     commit, and be killed when the second store is told to commit
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "holdfast/kv.h"
#include "holdfast/transaction.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ != HF_OK) {                                                                        \
            (void)fprintf(stderr, "server: %s: %s: %s\n", #call, hf_strerror(rc_),                 \
                          hf_error_last()->text);                                                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static hf_tm *tm;
static struct xa_switch_t killer; /* kv's, but for what commits */

static int die(XID *xid, int rmid, long flags)
{
    (void)xid;
    (void)rmid;
    (void)flags;
    (void)kill(getpid(), SIGKILL);
    return XAER_RMFAIL;
}

static hf_rm *add(const char *dir, const char *name, const struct xa_switch_t *xa)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;
    char open_info[200];
    hf_rm *rm;

    (void)snprintf(open_info, sizeof(open_info), "dir=%s/%s", dir, name);
    config.name = name;
    config.xa = xa;
    config.ext = &hf_kv_ext;
    config.open_info = open_info;
    TRY(hf_rm_register(tm, &config, &rm));
    return rm;
}

static void transact(hf_instance *a, hf_instance *b)
{
    hf_result result = HF_RESULT_INIT;
    char text[HF_XID_TEXT_SIZE];
    hf_tx *tx;
    XID xid;

    TRY(hf_tx_begin(tm, 0, &tx));
    TRY(hf_tx_xid(tx, &xid));
    TRY(hf_xid_format(&xid, text));
    (void)printf("xid %s\n", text);
    (void)fflush(stdout);
    TRY(hf_tx_enlist(tx, a));
    TRY(hf_tx_enlist(tx, b));
    TRY(hf_kv_put(hf_instance_rmid(a), "key", 3, text, strlen(text)));
    TRY(hf_kv_put(hf_instance_rmid(b), "key", 3, text, strlen(text)));
    TRY(hf_tx_commit(tx, &result));
}

int main(int argc, char **argv)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_instance *a, *b;
    char node[200];
    hf_rm *east, *west;
    uint32_t next_ms = 0;

    if (argc != 3)
        return 2;
    (void)snprintf(node, sizeof(node), "%s/node", argv[1]);
    config.dir = node;
    killer = hf_kv_switch;
    killer.xa_commit_entry = die;
    TRY(hf_tm_open(&config, &tm));
    east = add(argv[1], "east", &hf_kv_switch);
    west = add(argv[1], "west", strcmp(argv[2], "die") == 0 ? &killer : &hf_kv_switch);
    TRY(hf_tm_start(tm, 5000));
    TRY(hf_instance_open(east, &a));
    TRY(hf_instance_open(west, &b));
    transact(a, b);
    (void)puts("live");
    (void)fflush(stdout);
    do
        TRY(hf_tm_tick(tm, &next_ms));
    while (poll(&in, 1, next_ms < 50 ? (int)next_ms : 50) == 0);
    TRY(hf_instance_close(a));
    TRY(hf_instance_close(b));
    TRY(hf_tm_close(tm, 1000, NULL));
    return 0;
}
