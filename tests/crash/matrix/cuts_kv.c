/*
 * tests/crash/matrix/cuts_kv.c - the server whose power is cut, with kv stores alone.
 *
 * Threads that commit one transaction after the other, on one to three stores, until they are
 * killed. After a cut their calls fail, and they go on all the same, as careful servers would: what
 * they are told then has to be true, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cuts.h"
#include "disk.h"
#include "holdfast/kv.h"
#include "page.h"

enum { VALUE_MAX = 6000, HISTORY_EVERY = 3 };

/* Some servers keep a history. */
static struct world world_of(struct orders *orders)
{
    return (struct world){
        .dir = disk_dir(), .shared = orders->shared, .history = orders->seed % HISTORY_EVERY == 0};
}

/* The number of a new transaction; TXS_MAX: there is no more room. */
static unsigned promise(struct shared *shared, unsigned stores)
{
    unsigned n = __atomic_load_n(&shared->count, __ATOMIC_SEQ_CST);

    while (n < TXS_MAX && !__atomic_compare_exchange_n(&shared->count, &n, n + 1, false,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        continue;
    if (n < TXS_MAX)
        shared->promises[n].stores = stores; /* all else is zero */
    return n;
}

static int write_all(hf_tx *tx, hf_instance *const in[STORES], unsigned stores, unsigned n,
                     size_t size)
{
    static const char value[VALUE_MAX];
    char key[16];
    int rc = HF_OK;

    (void)snprintf(key, sizeof(key), "t%u", n);
    for (unsigned i = 0; rc == HF_OK && i < STORES; i++) {
        if ((stores & 1U << i) == 0)
            continue;
        rc = hf_tx_enlist(tx, in[i]);
        if (rc == HF_OK)
            rc = hf_kv_put(hf_instance_rmid(in[i]), key, strlen(key), value, size);
    }
    return rc;
}

/* One transaction. What was told of it is noted at once. */
static void transact(struct client *c, hf_instance *const in[STORES])
{
    static const unsigned sets[] = {A, B, A | B, A | B, B | C, A | C, A | B | C, A | B | C};
    unsigned stores = sets[rand_r(&c->seed) % 8], dice = (unsigned)rand_r(&c->seed);
    unsigned n = promise(c->world->shared, stores);
    hf_result result = {.size = sizeof(result)};
    hf_tx *tx = NULL;
    int rc;

    if (n == TXS_MAX || hf_tx_begin(c->world->tm, 0, &tx) != HF_OK) {
        (void)pause(); /* there is nothing to do but to be killed */
        return;
    }
    rc = write_all(tx, in, stores, n, dice % 16 == 0 ? VALUE_MAX : dice % 100);
    if (rc == HF_OK && dice % 8 != 1)
        rc = hf_tx_commit(tx, &result);
    else
        rc = hf_tx_rollback(tx, NULL) == HF_OK ? HF_EROLLEDBACK : HF_EIO;
    c->world->shared->promises[n].told = cuts_told_by(rc, result.outcome, stores);
    c->orders->busy = true;
}

static void *work(void *user)
{
    struct client *c = user;
    hf_instance *in[STORES] = {NULL};

    for (unsigned i = 0; i < 3; i++)
        if (hf_instance_open(c->world->rm[i], &in[i]) != HF_OK)
            (void)pause();
    for (;;)
        transact(c, in);
    return NULL;
}

const struct load hf_load = {
    .name = "kv",
    .world = world_of,
    .work = work,
    .threads = 4,
    .instances = A | B | C | D,
    .page = "node/" HF__PAGE_FILE,
    .cuts = 200,
    .fresh = 25,
    .work_us = 10000,
};
