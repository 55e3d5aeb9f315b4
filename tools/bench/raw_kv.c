/*
 * tools/bench/raw_kv.c - the baseline of `hf-bench kv`. FROZEN: not to be tuned with the product.
 *
 * What somebody writes who keeps two stores and does without atomicity: the same key, with the same
 * value, in one LMDB environment and, when that is durable, in the other. A crash in between leaves
 * it in one of them, and nothing in the program knows. As in raw.c, whose head says why that is
 * fair, the first to join a batch leads it, without waiting for anything but its turn, so that many
 * threads share a commit; and the disk is promised as much as by us, once for each store.
 *
 * It does less than we do: two durable commits, one after the other, where two votes, a decision
 * and two commits are five; no checksum, no lock on a key, no outcome to remember.
 *
 * Threads: raw_kv_put() by any; lock guards all of struct environment but the environment itself.
 */
#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"

enum { ENVIRONMENTS = 2 };

struct put {
    struct bench_pair *pair;
    struct put *next;
};

struct environment {
    MDB_env *env;
    MDB_dbi dbi;
    pthread_mutex_t lock;
    pthread_cond_t turn;        /* nobody leads any more; only the next leader waits for it */
    pthread_cond_t finished[2]; /* of a batch, by its number */
    struct put *puts, **puts_end;
    uint64_t forming; /* number of the batch that puts belong to */
    uint64_t done;    /* number of the last batch that was committed */
    bool leading;
    int rc; /* the first failure; sticky */
};

struct raw_kv {
    struct environment environments[ENVIRONMENTS];
};

struct raw_kv_thread {
    struct raw_kv *raw;
    struct bench_pair pair;
};

static int write_batch(struct environment *e, const struct put *puts)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(e->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    for (; puts != NULL && rc == 0; puts = puts->next) {
        MDB_val key = {.mv_size = sizeof(puts->pair->key), .mv_data = puts->pair->key};
        MDB_val value = {.mv_size = sizeof(puts->pair->value), .mv_data = puts->pair->value};

        rc = mdb_put(txn, e->dbi, &key, &value, 0);
    }
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* Lead the batch that forms, when it is our turn. With lock held. */
static void lead(struct environment *e, uint64_t number)
{
    struct put *puts;
    int rc;

    while (e->leading)
        (void)pthread_cond_wait(&e->turn, &e->lock);
    e->leading = true;
    puts = e->puts;
    e->puts = NULL;
    e->puts_end = &e->puts;
    e->forming++;
    (void)pthread_mutex_unlock(&e->lock);
    rc = write_batch(e, puts);
    (void)pthread_mutex_lock(&e->lock);
    e->leading = false;
    e->done = number;
    if (e->rc == 0)
        e->rc = rc;
    (void)pthread_cond_signal(&e->turn);
    (void)pthread_cond_broadcast(&e->finished[number & 1]);
}

static int raw_kv_put(struct environment *e, struct bench_pair *pair)
{
    struct put put = {.pair = pair};
    uint64_t number;
    bool first;
    int rc;

    (void)pthread_mutex_lock(&e->lock);
    number = e->forming;
    first = e->puts == NULL;
    *e->puts_end = &put;
    e->puts_end = &put.next;
    if (first)
        lead(e, number);
    while (e->done < number)
        (void)pthread_cond_wait(&e->finished[number & 1], &e->lock);
    rc = e->rc;
    (void)pthread_mutex_unlock(&e->lock);
    return rc;
}

static int write_both(void *thread)
{
    struct raw_kv_thread *t = thread;
    int rc = 0;

    bench_pair_next(&t->pair);
    for (int i = 0; i < ENVIRONMENTS && rc == 0; i++)
        rc = raw_kv_put(&t->raw->environments[i], &t->pair);
    return rc;
}

static int open_thread(void *shared, void **ret_thread)
{
    struct raw_kv_thread *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return ENOMEM;
    t->raw = shared;
    bench_pair_init(&t->pair);
    *ret_thread = t;
    return 0;
}

static int close_thread(void *thread)
{
    free(thread);
    return 0;
}

struct side raw_kv_side(struct raw_kv *raw)
{
    return (struct side){.name = "raw",
                         .shared = raw,
                         .open = open_thread,
                         .transact = write_both,
                         .close = close_thread,
                         .loop = raw_loop};
}

static int open_environment(struct environment *e, const char *path)
{
    MDB_txn *txn = NULL;
    int rc;

    e->puts_end = &e->puts;
    e->forming = 1;
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_cond_init(&e->turn, NULL);
    (void)pthread_cond_init(&e->finished[0], NULL);
    (void)pthread_cond_init(&e->finished[1], NULL);
    rc = mdb_env_create(&e->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(e->env, (size_t)1 << 30);
    if (rc == 0)
        rc = mdb_env_open(e->env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(e->env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &e->dbi);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else if (txn != NULL)
        mdb_txn_abort(txn);
    return rc;
}

int raw_kv_open(const char *first, const char *second, struct raw_kv **ret)
{
    struct raw_kv *raw = calloc(1, sizeof(*raw));
    int rc;

    if (raw == NULL)
        return ENOMEM;
    rc = open_environment(&raw->environments[0], first);
    if (rc == 0)
        rc = open_environment(&raw->environments[1], second);
    if (rc == 0)
        *ret = raw;
    else
        raw_kv_close(raw);
    return rc;
}

/* The mutexes and conditions hold nothing that would have to be given back. */
void raw_kv_close(struct raw_kv *raw)
{
    for (int i = 0; raw != NULL && i < ENVIRONMENTS; i++)
        if (raw->environments[i].env != NULL)
            mdb_env_close(raw->environments[i].env);
    free(raw);
}
