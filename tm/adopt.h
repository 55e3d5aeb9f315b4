/*
 * tm/adopt.h - where a node lives, and what is done with one that does not live there any more.
 */
#ifndef HF_TM_ADOPT_H
#define HF_TM_ADOPT_H

#include "record.h"

/* Where the log in dir lives: machine, file_system and inode; 0: it cannot be told. */
void hf__place_find(const char *dir, struct hf__node *ret);
/* What is stored of an embedder's nonce; 0 for NULL and "". */
uint64_t hf__place_nonce(const char *text);
/* HF_OK, or HF_EMOVED with the thread's error saying what differs. */
int hf__place_check(const char *dir, const struct hf__node *was, const struct hf__node *now);

/* The node in dir is here now: how as hf_inspect_adopt(), and its errors. */
int hf__adopt(const char *dir, int how, const char *reason);

/* The log of a node that nobody has open, and that nobody can open until it is closed: HF_EOWNED.
   Verified. */
int hf__open_alone(const char *dir, struct hf__store **ret);

/* inspect.c: add a request (struct hf__request *arg) under the next number; inside a batch. */
int hf__put_request(struct hf__store_txn *txn, void *arg);

#endif
