/*
 * tests/support/bound_rm.h - a resource manager that looks at threads as [XA] 2.2 has it: each
 * opens it for itself, and what one has opened is not another's to use or to close.
 *
 *   bound_reset();
 *   config.xa = bound_switch(BOUND_DYNAMIC);
 *   assert_int_equal(bound_work(rmid), TM_OK);      it registers, as a dynamic one does first
 *   assert_int_equal(bound_seen().illegal, 0);
 *
 * Illegal is: xa_close in a thread that has not opened the rmid, or in D1 or D3; xa_end but by
 * the thread whose association it is; any other call but xa_open in a thread that does not have the
 * rmid open. The switches share all that is prepared. Only bound_lose() makes a call fail.
 *
 * Threads: any.
 */
#ifndef HF_TESTS_SUPPORT_BOUND_RM_H
#define HF_TESTS_SUPPORT_BOUND_RM_H

#include <stdbool.h>

#include "xa.h"

enum { BOUND_STATIC, BOUND_DYNAMIC, BOUND_SWITCHES };

/* Calls since bound_reset(). */
struct bound_seen {
    unsigned opens, closes, starts, ends, prepares, commits, rollbacks, scans, illegal;
};

/* No other thread may be at work. What the calling thread has open is not open any more. */
void bound_reset(void);
const struct xa_switch_t *bound_switch(int kind);
struct bound_seen bound_seen(void);
/* Branches that are prepared. */
unsigned bound_in_doubt(void);
/* The next xa_prepare, in any thread, answers XAER_RMFAIL: the thread does not have it open any
   more. */
void bound_lose(void);
/* A dynamic one works for the application, in the calling thread: what ax_reg() answered. */
int bound_work(int rmid);
/* What it does outside of any transaction is over: what ax_unreg() answered. */
int bound_rest(int rmid);

#endif
