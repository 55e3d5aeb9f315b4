/*
 * tests/unit/tm/make_node.h - a node with transactions in chosen states, for those who read nodes.
 *
 * It is the log's own code (tm/log.h) that writes them, so what is read is what a server leaves.
 */
#ifndef HF_TESTS_MAKE_NODE_H
#define HF_TESTS_MAKE_NODE_H

#include <string.h>

#include "coordinator.h"
#include "log.h"

enum { MAKE_BRANCHES = 2 };

/* One incarnation that makes transactions of two branches, at "kv-a" and "kv-b". */
struct maker {
    struct hf__log *log;
    uint32_t rm_id[MAKE_BRANCHES];
    uint64_t sequence;
};

static inline int make_open(struct maker *m, const char *dir)
{
    static const unsigned char identity[HF_IDENTITY_SIZE] = "the identity of a store, in full";
    int rc = hf__log_open(dir, &m->log);

    m->sequence = 0;
    if (rc == HF_OK)
        rc = hf__log_bind(m->log, "kv-a", identity, &m->rm_id[0]);
    return rc == HF_OK ? hf__log_bind(m->log, "kv-b", NULL, &m->rm_id[1]) : rc;
}

/* The first branch is in this state, with this answer; the second in that one, with XA_OK. */
static inline int make_tx(struct maker *m, hf_outcome outcome, uint8_t first, int16_t code,
                          uint8_t second, struct hf__rec *ret)
{
    static struct hf__rec_branch branches[MAKE_BRANCHES]; /* lent to *ret until the next call */

    for (uint32_t i = 0; i < MAKE_BRANCHES; i++)
        branches[i] = (struct hf__rec_branch){.rm_id = m->rm_id[i],
                                              .number = i + 1,
                                              .state = i == 0 ? first : second,
                                              .code = i == 0 ? code : 0};
    *ret = (struct hf__rec){.decision = HF__COMMIT,
                            .outcome = (uint8_t)outcome,
                            .count = MAKE_BRANCHES,
                            .branches = branches};
    hf__gtrid_make(ret->gtrid, hf__log_node(m->log), hf__log_incarnation(m->log), ++m->sequence);
    return hf__log_record(m->log, ret, false);
}

static inline int make_owed(struct maker *m, struct hf__rec *ret)
{
    return make_tx(m, HF_COMMITTED, HF_BRANCH_OWED, XA_RETRY, HF_BRANCH_DONE, ret);
}

#endif
