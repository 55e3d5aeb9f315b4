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
#include "timeline.h"

struct hf__history;

/* Opened while the log holds byte 0 of the lock file, and closed so. */
int hf__history_open(const char *dir, bool alone, struct hf__history **ret);
void hf__history_close(struct hf__history *h);
/* Clear away what killed readers left. */
void hf__history_sweep(struct hf__history *h);

/* Most finished transactions to keep; 0: 10,000. The oldest make room. */
void hf__history_limit(struct hf__history *h, uint32_t max);

struct hf__finished {
    const struct hf__rec *rec;
    const struct hf__span *span; /* what we did for it; NULL: nothing is known */
    bool open;                   /* more may come: it is not over everywhere, or UNKNOWN */
    bool had;                    /* out: the history has it already, and not open */
    bool written;                /* out: the history has it now */
};

/* Write them, count of them, in one batch: durable on return, unless the history fails. An entry
   that is there and open takes what the new one says, and keeps its spans; one that is not stays as
   it is. */
void hf__history_remember(struct hf__history *h, struct hf__finished *list, size_t count);
/* The same, later: it does not touch the disk. Dropped, and counted, if too much waits. */
void hf__history_queue(struct hf__history *h, const struct hf__finished *f);
/* Write what waits. */
void hf__history_write(struct hf__history *h);
/* How many were dropped, or could not be written. */
uint64_t hf__history_dropped(struct hf__history *h);

/* What it says of a transaction, and what waits to be written. HF_ENOTFOUND: nothing, or that the
   outcome was not known. */
int hf__history_recall(struct hf__history *h, const unsigned char gtrid[HF__GTRID_SIZE],
                       hf_outcome *ret);

/* Where the spans of an entry begin, behind a transaction that was decoded from it; NULL: it is of
   an older version, and has none. */
const unsigned char *hf__history_spans(const unsigned char *payload, size_t size,
                                       const struct hf__rec *rec, bool *ret_open,
                                       unsigned *ret_count);

#endif
