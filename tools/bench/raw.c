/*
 * tools/bench/raw.c - the baseline of `hf-bench commit`. FROZEN: not to be tuned with the product.
 *
 * What somebody writes who needs a durable record for each transaction and no transaction manager:
 * many threads, one LMDB environment, group commit. The ratio that hf-bench prints means something
 * over the years only if this file stays as it is. A change of it is a change of the measure, and
 * has to say so in CHANGELOG.md, with both numbers.
 *
 * Why it is fair
 *   - It is the best of the simple forms. The first to join a batch leads it; it waits for nothing
 *     but its turn, so a lone thread pays one LMDB commit and no sleep, and 64 threads share one.
 *     A batch has a condition variable of its own, so that nobody is woken for somebody else's,
 *     and the next leader is told first.
 *   - It promises the disk as much as we do: LMDB's default commit, fdatasync() and a synchronous
 *     meta page, with no flag that gives up anything (MDB_NOSUBDIR and MDB_NOTLS do not).
 *   - Its records have the size of ours. The decision of a transaction with two branches has a key
 *     of 29 bytes (kind 1, global transaction 28) and a value of 72: the seal's header 16, the
 *     transaction 24, two branches of 12 without tokens, the checksum 8 (tm/record.h, the head of
 *     tm/store.c). Its keys ascend, as ours do.
 *   - It removes what it has put: each thread's record in the batch that holds its next one. There
 *     as here the tree stays as small as what is in flight.
 *   - It does less than we do in everything else: no checksum, no count of the records, no check
 *     whether this process still may write, no room set aside for a full disk, no resource manager
 *     to call. That is the cost to be seen in the ratio.
 *
 * Threads: raw_commit() by any; lock guards all of struct raw but the environment.
 */
#include "raw.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 29, VALUE_SIZE = 72, SEQUENCE_AT = KEY_SIZE - 8 };

/* What a thread wants of the next batch. */
struct raw_job {
    unsigned char put[KEY_SIZE];
    unsigned char del[KEY_SIZE]; /* its last record */
    bool has_del;
    struct raw_job *next;
};

struct raw_thread {
    struct raw *raw;
    struct raw_job job;
};

struct raw {
    MDB_env *env;
    MDB_dbi dbi;
    unsigned char value[VALUE_SIZE];
    pthread_mutex_t lock;
    pthread_cond_t turn;        /* nobody leads any more; only the next leader waits for it */
    pthread_cond_t finished[2]; /* of a batch, by its number */
    struct raw_job *jobs, **jobs_end;
    uint64_t forming; /* number of the batch that jobs belong to */
    uint64_t done;    /* number of the last batch that was committed */
    uint64_t sequence;
    bool leading;
    int rc; /* the first failure; sticky */
};

static int write_batch(struct raw *raw, const struct raw_job *jobs)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(raw->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    for (const struct raw_job *job = jobs; job != NULL && rc == 0; job = job->next) {
        MDB_val put = {.mv_size = KEY_SIZE, .mv_data = (void *)job->put};
        MDB_val del = {.mv_size = KEY_SIZE, .mv_data = (void *)job->del};
        MDB_val value = {.mv_size = VALUE_SIZE, .mv_data = raw->value};

        rc = mdb_put(txn, raw->dbi, &put, &value, 0);
        if (rc == 0 && job->has_del)
            rc = mdb_del(txn, raw->dbi, &del, NULL);
    }
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* Lead the batch that forms, when it is our turn. With lock held. */
static void lead(struct raw *raw, uint64_t number)
{
    struct raw_job *jobs;
    int rc;

    while (raw->leading)
        (void)pthread_cond_wait(&raw->turn, &raw->lock);
    raw->leading = true;
    jobs = raw->jobs;
    raw->jobs = NULL;
    raw->jobs_end = &raw->jobs;
    raw->forming++;
    (void)pthread_mutex_unlock(&raw->lock);
    rc = write_batch(raw, jobs);
    (void)pthread_mutex_lock(&raw->lock);
    raw->leading = false;
    raw->done = number;
    if (raw->rc == 0)
        raw->rc = rc;
    (void)pthread_cond_signal(&raw->turn);
    (void)pthread_cond_broadcast(&raw->finished[number & 1]);
}

static void set_key(struct raw *raw, unsigned char key[KEY_SIZE])
{
    uint64_t sequence = ++raw->sequence;

    for (int i = 0; i < 8; i++)
        key[SEQUENCE_AT + i] = (unsigned char)(sequence >> (56 - 8 * i));
}

static int raw_commit(void *thread)
{
    struct raw_thread *t = thread;
    struct raw *raw = t->raw;
    uint64_t number;
    bool first;
    int rc;

    (void)pthread_mutex_lock(&raw->lock);
    set_key(raw, t->job.put);
    number = raw->forming;
    first = raw->jobs == NULL;
    t->job.next = NULL;
    *raw->jobs_end = &t->job;
    raw->jobs_end = &t->job.next;
    if (first)
        lead(raw, number);
    while (raw->done < number)
        (void)pthread_cond_wait(&raw->finished[number & 1], &raw->lock);
    rc = raw->rc;
    (void)pthread_mutex_unlock(&raw->lock);
    memcpy(t->job.del, t->job.put, KEY_SIZE);
    t->job.has_del = true;
    return rc;
}

static int open_thread(void *shared, void **ret_thread)
{
    struct raw_thread *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return ENOMEM;
    t->raw = shared;
    t->job.put[0] = 'T';
    *ret_thread = t;
    return 0;
}

/* Its last record stays: one for each thread and round. */
static int close_thread(void *thread)
{
    free(thread);
    return 0;
}

struct side raw_side(struct raw *raw)
{
    return (struct side){.name = "raw",
                         .shared = raw,
                         .open = open_thread,
                         .transact = raw_commit,
                         .close = close_thread,
                         .loop = raw_loop};
}

int raw_open(const char *path, struct raw **ret)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    MDB_txn *txn = NULL;
    int rc = raw != NULL ? 0 : ENOMEM;

    if (rc != 0)
        return rc;
    raw->jobs_end = &raw->jobs;
    raw->forming = 1;
    (void)pthread_mutex_init(&raw->lock, NULL);
    (void)pthread_cond_init(&raw->turn, NULL);
    (void)pthread_cond_init(&raw->finished[0], NULL);
    (void)pthread_cond_init(&raw->finished[1], NULL);
    rc = mdb_env_create(&raw->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(raw->env, (size_t)1 << 30);
    if (rc == 0)
        rc = mdb_env_open(raw->env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(raw->env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &raw->dbi);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else if (txn != NULL)
        mdb_txn_abort(txn);
    if (rc == 0)
        *ret = raw;
    else
        raw_close(raw);
    return rc;
}

void raw_close(struct raw *raw)
{
    if (raw == NULL)
        return;
    if (raw->env != NULL)
        mdb_env_close(raw->env);
    (void)pthread_cond_destroy(&raw->finished[1]);
    (void)pthread_cond_destroy(&raw->finished[0]);
    (void)pthread_cond_destroy(&raw->turn);
    (void)pthread_mutex_destroy(&raw->lock);
    free(raw);
}

const char *raw_strerror(int code)
{
    return mdb_strerror(code);
}
