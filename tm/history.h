/*
 * tm/history.h - the history of a node: finished transactions, in a file of their own.
 *
 * It is for people and for hf_tm_outcome(): a node opens, commits and recovers without it, and a
 * failure here is not an error of the caller's. All calls but open take NULL for a history that
 * could not be opened.
 */
#ifndef HF_TM_HISTORY_H
#define HF_TM_HISTORY_H

#include "record.h"

struct hf__history;

/* Opened while the log holds byte 0 of the lock file, and closed so. */
int hf__history_open(const char *dir, struct hf__history **ret);
void hf__history_close(struct hf__history *h);
/* Clear away what killed readers left. */
void hf__history_sweep(struct hf__history *h);

/* False: it has the transaction already. */
bool hf__history_remember(struct hf__history *h, const struct hf__rec *rec);
int hf__history_recall(struct hf__history *h, const unsigned char gtrid[HF__GTRID_SIZE],
                       hf_outcome *ret);

#endif
