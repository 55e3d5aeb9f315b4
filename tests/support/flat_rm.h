/*
 * tests/support/flat_rm.h - two resource managers, "a" and "b", for very many branches: a state for
 * each, by the count in the transaction's sequence, and counters of the calls. No trace, no script.
 *
 *   flat_make(100000);                            in shared memory: a branch outlives its process
 *   rm = flat_register(tm, FLAT_A);
 *   assert(flat_state(FLAT_A, 7) == FLAT_PREPARED);
 *
 * Threads: any, and any process forked after flat_make().
 */
#ifndef HF_TESTS_SUPPORT_FLAT_RM_H
#define HF_TESTS_SUPPORT_FLAT_RM_H

#include <stdbool.h>
#include <stdint.h>

#include "holdfast/transaction.h"

enum { FLAT_A, FLAT_B, FLAT_RMS };
enum flat_state { FLAT_NONE, FLAT_PREPARED, FLAT_COMMITTED, FLAT_ROLLEDBACK };

/* Calls since flat_make(), of all processes. */
struct flat_calls {
    unsigned long long prepare, commit, rollback, recover, probe;
};

/* Transactions 1 to count, none of which has a branch yet. Frees what an earlier call made. */
void flat_make(uint32_t count);
hf_rm *flat_register(hf_tm *tm, int rm);
/* xa_open answers XAER_RMFAIL; this process only. */
void flat_unreachable(int rm, bool unreachable);
/* Called in xa_commit, before anything is done; NULL: nobody. This process only. */
void flat_on_commit(void (*fn)(int rm));

enum flat_state flat_state(int rm, uint32_t number);
/* A branch of the global transaction: prepared, whatever it was. */
void flat_put(int rm, const XID *xid);
/* Was committed, and is prepared again: its store was restored. */
void flat_restore(int rm, uint32_t number);
struct flat_calls flat_calls(int rm);

#endif
