/*
 * tm/page.h - what the processes of a node share beside the log: which transactions are over
 * everywhere, and what each is doing. See page.c for why it may be believed, and why it need not be
 * there.
 */
#ifndef HF_TM_PAGE_H
#define HF_TM_PAGE_H

#include <stdatomic.h>

#include "record.h"

enum { HF__PAGE_ACKS = 1024 }; /* that one incarnation keeps */

struct hf__page;

/* Who claims a slot. */
struct hf__page_owner {
    unsigned char node[HF__NODE_ID_SIZE];
    uint32_t incarnation;
    uint32_t nonce;
};

/*
 * Open or make the page of the node in dir, and claim a slot for `owner`: a free one, or that of
 * the oldest incarnation that alive() denies. Called while nobody else opens or closes the node.
 * HF_ELIMIT (as many processes as there are slots), HF_EFULL, HF_EOWNER, HF_EIO, HF_ENOMEM: there
 * is no slot, and perhaps no page (*ret is NULL); everything works without.
 */
int hf__page_open(const char *dir, const struct hf__page_owner *owner,
                  bool (*alive)(void *user, uint32_t incarnation), void *user,
                  struct hf__page **ret);
/* NULL is allowed. finished: nothing of ours is in the log any more; the slot is free. */
void hf__page_close(struct hf__page *page, bool finished);

/*
 * Every branch of the transaction has acknowledged how it ended, or has been proved to have: its
 * record may be dropped, and the entry is overwritten by the one that is HF__PAGE_ACKS places
 * further on. No system call and no allocation; one thread at a time. page NULL: nothing is done.
 */
void hf__page_ack(struct hf__page *page, uint64_t place, const unsigned char gtrid[HF__GTRID_SIZE]);

/* What all incarnations of this node have told, living and dead, in order. */
struct hf__acks {
    struct hf__ack *list;
    size_t count, room;
};

/* ret: zero at first; hf__acks_free() it, also after an error. page NULL: none. HF_EIO,
   HF_ENOMEM. */
int hf__page_read(const struct hf__page *page, struct hf__acks *ret);
bool hf__acks_have(const struct hf__acks *acks, const unsigned char gtrid[HF__GTRID_SIZE]);
void hf__acks_free(struct hf__acks *acks);

/* What an incarnation does, as it does it: hf_tm_stats says what each number is. For people. */
struct hf__live {
    _Atomic uint64_t begun, committed, rolledback, active, owed, unconfirmed, alarms;
};

/* In our slot; NULL: we have none. */
struct hf__live *hf__page_live(struct hf__page *page);

static inline void hf__live_set(_Atomic uint64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed); /* its lock orders the writers */
}

/* Read the slot of one incarnation of `node`, living or not fenced yet, from outside. HF_ENOTFOUND:
   it has none, or there is no page that can be read. */
int hf__page_look(const char *dir, const unsigned char node[HF__NODE_ID_SIZE], uint32_t incarnation,
                  struct hf__live *ret);

#endif
