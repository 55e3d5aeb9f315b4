/*
 * tests/unit/holder/toy.h - a toy driver that writes a trace, a node without resource managers, and
 * a manager over it.
 *
 *   create 1     rate 1 tx 50     enlist 1 tx     enlist 1 -     reset 1     destroy 1     ...
 *
 * Ids are 1, 2, 3 in the order of their making; ratings and answers are set by the test. Each toy
 * checks that no two of its callbacks for one id overlap.
 */
#ifndef HF_TESTS_UNIT_HOLDER_TOY_H
#define HF_TESTS_UNIT_HOLDER_TOY_H

#include "support/t.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "holdfast/holder.h"

enum { TOY_IDS = 128 };

struct toy {
    char *dir;
    hf_tm *tm;
    hf_manager *manager;
    hf_holder *holder;
    hf_driver driver;
    hf_resid next_id;
    int32_t idle_s;           /* -2: does not say */
    uint32_t rating[TOY_IDS]; /* of each id; 100 at first */
    int create_rc, enlist_rc, reset_rc, destroy_rc, adapt_rc, validate_rc, suspend_rc, resume_rc;
    int tx_end_rc;
    /* Called in each callback, before it answers; NULL: nobody. */
    void (*during)(struct toy *toy, const char *call, hf_resid id);
    unsigned released;
    hf_event events[64];
    unsigned event_count;
    hf_owner owner; /* of the calling thread */
    pthread_mutex_t lock;
    char trace[4096];
};

/* Setup and teardown of cmocka. */
int toy_setup(void **state);
int toy_teardown(void **state);
/* A holder with the toy's driver. config may be NULL. */
void toy_open(struct toy *toy, const hf_holder_config *config);
hf_tx *toy_begin(struct toy *toy);
hf_resid toy_alloc(struct toy *toy, hf_restype type);
hf_holder_stats toy_stats(struct toy *toy);
/* The trace is this; it is empty after it. */
void toy_expect(struct toy *toy, const char *trace);

#endif
