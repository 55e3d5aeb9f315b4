/*
 * tools/bench/node.c - our side: a durable node, and two resource managers that do nothing.
 *
 * The switches answer XA_OK at once, xa_prepare included, so a commit is what the transaction
 * manager itself costs: two branches, two phases, one decision forced to the log. Each thread has
 * an instance of each resource manager, as a server's threads have; every call's result is looked
 * at.
 */
#include <stdlib.h>

#include "bench.h"
#include "holdfast/transaction.h"

enum { RMS = 2, CLOSE_WAIT_MS = 5000 };

struct node {
    hf_tm *tm;
    hf_rm *rms[RMS];
};

struct node_thread {
    hf_tm *tm;
    hf_instance *instances[RMS];
};

/* -- a resource manager that does nothing ----------------------------------------------------- */

static int with_info(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int with_xid(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_OK;
}

static int recover(XID *xids, long count, int rmid, long flags)
{
    (void)xids, (void)count, (void)rmid, (void)flags;
    return 0;
}

static int complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO; /* TMASYNC is not offered */
}

static const struct xa_switch_t no_op_switch = {
    .name = "hf-bench no-op",
    .flags = TMNOFLAGS,
    .xa_open_entry = with_info,
    .xa_close_entry = with_info,
    .xa_start_entry = with_xid,
    .xa_end_entry = with_xid,
    .xa_rollback_entry = with_xid,
    .xa_prepare_entry = with_xid,
    .xa_commit_entry = with_xid,
    .xa_recover_entry = recover,
    .xa_forget_entry = with_xid,
    .xa_complete_entry = complete,
};

/* -- the node --------------------------------------------------------------------------------- */

static int refused(const char *what, int rc)
{
    complain("%s: %s (%s)", what, hf_error_last()->text, hf_strerror_name(rc));
    return rc;
}

int node_open(const char *dir, struct node **ret)
{
    static const char *const names[RMS] = {"one", "two"};
    hf_tm_config config = HF_TM_CONFIG_INIT;
    struct node *node = calloc(1, sizeof(*node));
    int rc;

    if (node == NULL) {
        complain("open the node: out of memory");
        return HF_ENOMEM;
    }
    config.dir = dir;
    rc = hf_tm_open(&config, &node->tm);
    for (int i = 0; i < RMS && rc == HF_OK; i++) {
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        rm.name = names[i];
        rm.xa = &no_op_switch;
        rc = hf_rm_register(node->tm, &rm, &node->rms[i]);
    }
    if (rc == HF_OK)
        rc = hf_tm_start(node->tm, 0);
    if (rc == HF_OK) {
        *ret = node;
        return HF_OK;
    }
    (void)refused("open the node", rc);
    (void)node_close(node); /* the first failure is the one that is told */
    return rc;
}

int node_close(struct node *node)
{
    int rc = HF_OK;

    if (node != NULL && node->tm != NULL)
        rc = hf_tm_close(node->tm, CLOSE_WAIT_MS, NULL);
    free(node);
    return rc == HF_OK ? rc : refused("close the node", rc);
}

/* -- a thread's work -------------------------------------------------------------------------- */

static int close_thread(void *thread)
{
    struct node_thread *t = thread;
    int rc = HF_OK;

    for (int i = 0; i < RMS; i++) {
        int closed = hf_instance_close(t->instances[i]);

        rc = rc == HF_OK ? closed : rc;
    }
    free(t);
    return rc == HF_OK ? rc : refused("close an instance", rc);
}

static int open_thread(void *shared, void **ret_thread)
{
    struct node *node = shared;
    struct node_thread *t = calloc(1, sizeof(*t));
    int rc = HF_OK;

    if (t == NULL)
        return HF_ENOMEM;
    t->tm = node->tm;
    for (int i = 0; i < RMS && rc == HF_OK; i++)
        rc = hf_instance_open(node->rms[i], &t->instances[i]);
    if (rc == HF_OK) {
        *ret_thread = t;
        return HF_OK;
    }
    (void)refused("open an instance", rc);
    (void)close_thread(t);
    return rc;
}

static int begin(const struct node_thread *t, hf_tx **ret)
{
    int rc = hf_tx_begin(t->tm, 0, ret);

    for (int i = 0; i < RMS && rc == HF_OK; i++)
        rc = hf_tx_enlist(*ret, t->instances[i]);
    return rc == HF_OK ? rc : refused("begin", rc);
}

static int commit_one(void *thread)
{
    hf_tx *tx;
    int rc = begin(thread, &tx);

    if (rc != HF_OK)
        return rc;
    rc = hf_tx_commit(tx, NULL);
    return rc == HF_OK ? rc : refused("commit", rc);
}

static int roll_back_one(void *thread)
{
    hf_tx *tx;
    int rc = begin(thread, &tx);

    if (rc != HF_OK)
        return rc;
    rc = hf_tx_rollback(tx, NULL);
    return rc == HF_OK ? rc : refused("roll back", rc);
}

struct side node_commit_side(struct node *node)
{
    return (struct side){.name = "holdfast",
                         .shared = node,
                         .open = open_thread,
                         .transact = commit_one,
                         .close = close_thread,
                         .loop = measured_loop};
}

struct side node_begin_side(struct node *node)
{
    struct side side = node_commit_side(node);

    side.transact = roll_back_one;
    return side;
}
