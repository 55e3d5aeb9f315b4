/*
 * tm/completion.h - what the active and the completing half of a transaction need of each other.
 */
#ifndef HF_TM_COMPLETION_H
#define HF_TM_COMPLETION_H

#include "node.h"

/* From here on the thread has it in use; 0: nobody has. What it did before is seen by who reads. */
static inline void hf__instance_use(hf_instance *instance, uint64_t thread)
{
    atomic_store_explicit(&instance->user, thread, memory_order_release);
}

/* HF_OK, HF_EINVAL, HF_EFORK. */
int hf__tx_check(const hf_tx *tx);
/* The same, HF_ETHREAD, and HF_ESTATE once it is completing. */
int hf__tx_check_owner(const hf_tx *tx);
void hf__tx_branch_xid(const hf_tx *tx, unsigned branch, XID *ret);
/* It is not the thread's current transaction any more. */
void hf__tx_leave_thread(hf_tx *tx);
/* Not running any more. owes: recovery has something to finish. */
void hf__tx_leave(hf_tx *tx, hf_outcome outcome, bool owes);
/* Freed. The tm can be closed only after this. */
void hf__tx_put_back(hf_tx *tx);

/* -- deadline.c ------------------------------------------------------------------------------- */

/* Set the deadline of a transaction that begins; 0: none. */
void hf__deadline_begin(hf_tx *tx, uint32_t timeout_ms);
/* It is among the running ones now. Under tm->lock. */
void hf__deadline_listed(hf_tx *tx);
/* Is its time over? It is rollback-only then. For the owner; no need of a tick. */
bool hf__deadline_passed(hf_tx *tx);
/* It completes from here on, and no deadline does anything any more. Waits for cancels that run.
   True: it can only roll back. */
bool hf__deadline_leave(hf_tx *tx);
/* Mark what is over, and cancel its work. */
void hf__deadline_expire(hf_tm *tm);

#endif
