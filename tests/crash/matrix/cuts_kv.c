/*
 * tests/crash/matrix/cuts_kv.c - the server whose power is cut, with kv stores alone.
 *
 * Threads that commit one transaction after the other, on one to three stores, until they are
 * killed. After a cut their calls fail, and they go on all the same, as careful servers would: what
 * they are told then has to be true, too.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cuts.h"
#include "disk.h"
#include "holdfast/kv.h"
#include "page.h"

enum { THREADS = 4, VALUE_MAX = 6000, HISTORY_EVERY = 3 };

struct client {
    struct orders *orders;
    struct world *world;
    unsigned seed;
};

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

/* A one-phase commit that got no answer is nobody's to know: HAZARD, and here as if untold. */
static enum told told_by(int rc, hf_outcome outcome, unsigned stores)
{
    bool lone = (stores & (stores - 1)) == 0;

    if (rc == HF_EHEURISTIC)
        return lone && outcome == HF_HAZARD ? TOLD_NOTHING : TOLD_HEURISTIC;
    return rc == HF_OK ? TOLD_COMMITTED : rc == HF_EROLLEDBACK ? TOLD_ROLLEDBACK : TOLD_NOTHING;
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
    c->world->shared->promises[n].told = told_by(rc, result.outcome, stores);
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

static int serve(void *user)
{
    struct orders *orders = user;
    struct world w = world_of(orders);
    struct client clients[THREADS];
    pthread_t threads[THREADS];
    int rc;

    w.background = orders->seed % 2 == 0; /* recovery passes and ticks while others commit */
    rc = world_open(&w);
    if (rc == HF_OK)
        rc = hf_tm_start(w.tm, 0);
    if (rc == HF_OK)
        rc = world_instances(&w, A | B | C | D);
    if (rc != HF_OK) {
        (void)snprintf(orders->complaint, sizeof(orders->complaint), "%s: %s", hf_strerror_name(rc),
                       hf_error_last()->text);
        return 1;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        clients[i] = (struct client){orders, &w, orders->seed * THREADS + i};
        if (pthread_create(&threads[i], NULL, work, &clients[i]) != 0)
            return 2;
    }
    for (;;)
        (void)pause();
}

static int recover(void *user)
{
    struct world w = world_of(user);

    return world_recover(&w);
}

static int judge(void *user)
{
    struct world w = world_of(user);

    return world_judge(&w);
}

const struct load hf_load = {
    .name = "kv",
    .serve = serve,
    .recover = recover,
    .judge = judge,
    .page = "node/" HF__PAGE_FILE,
    .cuts = 200,
    .fresh = 25,
    .work_us = 10000,
};
