/*
 * tm/forget.h - an operator forgets a transaction of which branches decided by themselves.
 */
#ifndef HF_TM_FORGET_H
#define HF_TM_FORGET_H

#include "history.h"

/* HF_OK, or HF_ESTATE: something is owed yet, or no branch decided by itself. */
int hf__forget_check(const struct hf__rec *rec);
/* Its entry in the history, durable on return: who, when, why. HF_OK, HF_EIO. */
int hf__forget_tell(struct hf__history *h, const struct hf__rec *rec, const struct hf__request *q,
                    uint32_t incarnation);
/* Inside a batch: the record goes, and the request is done: the one that q->number says, or a new
   one. HF_ENOTFOUND, HF_ESTATE: nothing was written. */
int hf__forget_put(struct hf__store_txn *t, struct hf__request *q);
/* All of it, for a node that nobody has open: HF_EOWNED. Fills in q->number. */
int hf__forget_alone(const char *dir, struct hf__request *q);

#endif
