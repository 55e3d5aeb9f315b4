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
/* Not running any more; freed. owes: recovery has something to finish. */
void hf__tx_finish(hf_tx *tx, hf_outcome outcome, bool owes);

#endif
