/*
 * tests/crash/kv_model.h - conflicting transactions over two kv stores, and the serial model that
 * judges them.
 *
 * Each store has the accounts acc/0 to acc/9 and the items it/G/N, which come and go: G is 0 to 3,
 * N 00 to 15. In memory a key is its number below KEYS. Every value is written once: it is the
 * number of one write, and 0 means that there is none.
 *
 * A transaction writes down in a row of its own, tx/LIFE/THREAD/N, what it read and what it wrote,
 * and its *ticket*, a number that it drew when it had all its locks. Under two-phase locking
 * the order of the tickets is one in which the transactions could have run one after the other. So
 * the judge runs them in that order against arrays, and compares every read, and in the end both
 * stores. The row is in each store that the transaction touched, in the same transaction.
 */
#ifndef HF_TESTS_KV_MODEL_H
#define HF_TESTS_KV_MODEL_H

#include <stdint.h>

#include "crash_kit.h"

enum { STORES = 2, ACCOUNTS = 10, GROUPS = 4, ITEMS = 16, KEYS = ACCOUNTS + GROUPS * ITEMS };
enum { OPS_MAX = 1024 };

struct op {
    uint64_t value; /* read or written */
    uint8_t store;
    uint8_t key;
    uint8_t writes;
    uint8_t zero[5];
};

struct row_head {
    uint64_t ticket;
    uint32_t stores; /* a bit for each that it touched */
    uint32_t count;  /* of the ops that follow */
};

/* Who wrote a row; in the row's key. */
struct row_id {
    unsigned life;
    unsigned thread;
    unsigned number;
};

static inline size_t key_name(unsigned key, char name[16])
{
    int size = key < ACCOUNTS ? snprintf(name, 16, "acc/%u", key)
                              : snprintf(name, 16, "it/%u/%02u", (key - ACCOUNTS) / ITEMS,
                                         (key - ACCOUNTS) % ITEMS);

    return (size_t)size;
}

static inline size_t row_name(const struct row_id *id, char name[32])
{
    return (size_t)snprintf(name, 32, "tx/%04u/%02u/%08u", id->life, id->thread, id->number);
}

/* -- the transactions (kv_model_work.c) -------------------------------------------------------- */

struct crew {
    hf_tm *tm;
    hf_rm *rm[STORES];
    unsigned life;
    unsigned seed;
    uint64_t first_ticket;
    int ack_fd;     /* a struct row_id for every commit that was acknowledged; -1: nobody asks */
    double seconds; /* 0: until killed */
};

struct crew_counts {
    unsigned long committed, rolledback, deadlocks, timeouts;
};

enum { CREW_THREADS = 8, INTRUDER = 99 };

/* Eight threads, for so long. */
void crew_run(const struct crew *crew, struct crew_counts *ret);

/*
 * Before recovery: one-phase transactions by the switch itself, that must not get at what a
 * transaction in doubt has written. Returns how many of them were refused for a lock.
 */
unsigned intrude(const char *dir, unsigned life, unsigned seed, uint64_t first_ticket);

/* -- the judge (kv_model.c) -------------------------------------------------------------------- */

struct verdict {
    unsigned rows;
    uint64_t highest_ticket;
};

/* Read both stores, run all rows, compare. Says what is wrong, and exits with 1. */
void judge(hf_rm *const rm[STORES], const struct row_id *acked, size_t acked_count,
           struct verdict *ret);

#endif
