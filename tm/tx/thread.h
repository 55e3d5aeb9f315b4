/*
 * tm/tx/thread.h - what a thread of control has open, and the node that all of them share.
 */
#ifndef HF_TX_THREAD_H
#define HF_TX_THREAD_H

#include <stdbool.h>

#include "configuration.h"
#include "holdfast/transaction.h"
#include "tx.h"

/* A resource manager in a thread. */
struct hf__tx_slot {
    hf_rm *rm;
    hf_instance *instance; /* NULL: not open */
    bool had;              /* it was open in this thread */
    bool late;             /* tx_open() could not open it */
    bool dynamic;          /* registers by itself: not enlisted */
};

struct hf__tx_thread {
    unsigned process; /* see hf__tx_self() */
    hf_config *config;
    hf_tm *tm;
    hf_tx *tx; /* NULL: states S1 and S2 */
    bool chained;
    COMMIT_RETURN when_return;
    TRANSACTION_TIMEOUT timeout; /* seconds */
    bool bound;                  /* an instance is bound to this thread: no other may finish */
    bool behind;                 /* the last transaction went to behind.c */
    hf_tx *rest;                 /* behind.c's lock: that transaction until it is over */
    struct hf__tx_thread *next_behind; /* the same */
    unsigned count;
    struct hf__tx_slot slots[];
};

/* The calling thread's, or NULL: state S0. */
struct hf__tx_thread *hf__tx_self(void);

/* From S0. TX_OK, TX_ERROR, TX_FAIL. */
int hf__tx_thread_open(void);
/* To S0, without a transaction. TX_OK, TX_ERROR, TX_FAIL; TX_PROTOCOL_ERROR: still open. */
int hf__tx_thread_close(struct hf__tx_thread *t);
/* Open again what was lost. HF_OK, or why it cannot be. What could not be opened so far is tried
   again when it is time, and its failure is none. */
int hf__tx_thread_mend(struct hf__tx_thread *t);

/* -- behind.c --------------------------------------------------------------------------------- */

/* Have the thread that finishes; false: it cannot be started. */
bool hf__tx_behind_start(void);
/* End it. Nothing waits for it any more. */
void hf__tx_behind_stop(void);
/* Between them nobody else is in here. In a child nothing is left to be done. */
void hf__tx_behind_before_fork(void);
void hf__tx_behind_after_fork(bool child);
/* Finish this in that thread; t has to stay until hf__tx_behind_wait(). */
void hf__tx_behind_push(struct hf__tx_thread *t, hf_tx *rest);
/* Wait until what was pushed is over; finish it here if nobody has begun to. */
void hf__tx_behind_wait(struct hf__tx_thread *t);

/* Tell the host. Called with no lock held; keeps the last error. */
void hf__tx_tell(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
