/*
 * tm/log.c - the decision log on a store: see log.h for L1 to L5.
 *
 * If we crash ...                            on disk               recovery, or the next opening
 *   before the claim's commit                nothing               gives the same number out
 *   after it                                 incarnation, open     fences it, finds nothing of its
 *   in a decision's commit                   with or without it    sees one of the two, after its
 *   fence after a decision's commit                the decision          commits the branches
 *   before a removal's batch                 a finished decision   proves each branch, removes it
 *   before a fence's commit                  incarnation, open     fences it again
 *   between fence and the end of recovery    incarnation, fenced   goes on: a fence is for ever
 *
 * The fence. A process killed between writing LMDB's meta page and publishing its number leaves a
 * decision that readers in other processes do not see and the next writer does; and what a dead
 * process wrote may be in the page cache and not on the disk. The forced record "n is fenced" is a
 * write, so it stands on that decision, brings it to the disk, and makes readers see it. Decisions
 * are read only after it.
 *
 * What is read back at an opening may not be on disk either (the cache outlives a failed flush):
 * the store syncs and drops cached pages, and the claim rewrites every open decision, so that its
 * own flush covers them before anything is concluded from them.
 *
 * Locks: release_lock guards the ring of removals, and their places in the page; it is taken inside
 * a batch, and nothing else is called under it.
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "adopt.h"
#include "check.h"
#include "coordinator.h"
#include "forget.h"
#include "holdfast/internal/fault.h"

enum {
    RING_SIZE = HF__PAGE_ACKS, /* removals that may wait: each has its place in the page, too */
    REMOVALS_PER_BATCH = 128,  /* of them, at most, ride in the batch of a decision */
    REMOVALS_PER_FLUSH = 512,  /* the same where nobody waits for a decision */
    REMOVALS_WHEN_FULL = 8,    /* the same on a full disk */
    SETTLED_PER_BATCH = 512,   /* open decisions that an opening rewrites at a time */
    SETTLED_WHEN_FULL = 4,
    INCARNATIONS_KEPT = 64, /* closed and fenced ones that stay to be looked at */
    FENCE_WAIT_MS = 1000,   /* for another recoverer's fence */
    FENCE_POLL_MS = 2,
    SMALL_RECORD = 1024, /* encoded on the stack */
};

struct hf__log {
    struct hf__store *store;
    struct hf__history *history; /* NULL: could not be opened */
    struct hf__page *page;       /* the same; written under release_lock */
    uint32_t incarnation;
    uint32_t nonce;
    bool locked; /* its byte */
    _Atomic bool failed;
    struct hf__live unseen; /* for when there is no page */
    char warning[300];
    pthread_mutex_t release_lock;
    uint64_t ring_first, ring_end; /* release_lock: waiting are [first, end) */
    unsigned char ring[RING_SIZE][HF__GTRID_SIZE];
};

const unsigned char *hf__log_node(const struct hf__log *log)
{
    return hf__store_identity(log->store);
}

uint32_t hf__log_incarnation(const struct hf__log *log)
{
    return log->incarnation;
}

const char *hf__log_warning(const struct hf__log *log)
{
    return log->warning;
}

uint32_t hf__log_nonce(const struct hf__log *log)
{
    return log->nonce;
}

bool hf__log_failed(struct hf__log *log)
{
    return atomic_load(&log->failed);
}

struct hf__history *hf__log_history(struct hf__log *log)
{
    return log->history;
}

/* L2: write no more, and let another opening fence us, so that nobody waits for what we cannot
   tell. */
static void fail(struct hf__log *log)
{
    if (!atomic_exchange(&log->failed, true) && log->locked)
        hf__store_lock_release(log->store, log->incarnation);
}

/* A batch of ours, if the log still takes any. add: new work, which a full disk refuses. */
static int apply(struct hf__log *log, hf__store_fn *fn, void *arg, bool add)
{
    int rc;

    if (hf__log_failed(log))
        return hf__error(HF_ELOG, 0, "the log failed earlier");
    rc = add ? hf__store_apply_new(log->store, fn, arg) : hf__store_apply(log->store, fn, arg);
    if (rc == HF_EUNKNOWN || rc == HF_ELOG || rc == HF_EFENCED || rc == HF_EDAMAGED)
        fail(log);
    return rc;
}

/* -- pieces of batches ------------------------------------------------------------------------ */

static int get_node(struct hf__store_txn *t, struct hf__node *ret)
{
    struct hf__record r;
    int rc = hf__store_get(t, "N", 1, &r);

    return rc == HF_OK ? hf__node_decode(&r, ret) : rc;
}

static int put_node(struct hf__store_txn *t, const struct hf__node *n)
{
    unsigned char buf[HF__NODE_BYTES];

    hf__node_encode(n, buf);
    return hf__store_put(t, "N", 1, 'N', buf, sizeof(buf));
}

static int get_incarnation(struct hf__store_txn *t, uint32_t number, struct hf__incarnation *ret)
{
    unsigned char key[HF__KEY_SIZE_MAX];
    size_t key_size = hf__key32(key, 'I', number);
    struct hf__record r;
    int rc = hf__store_get(t, key, key_size, &r);

    return rc == HF_OK ? hf__incarnation_decode(key, key_size, &r, ret) : rc;
}

static int put_incarnation(struct hf__store_txn *t, const struct hf__incarnation *i)
{
    unsigned char key[HF__KEY_SIZE_MAX], buf[HF__INCARNATION_BYTES];

    hf__incarnation_encode(i, buf);
    return hf__store_put(t, key, hf__key32(key, 'I', i->number), 'I', buf, sizeof(buf));
}

/* L3, inside every batch of ours. */
static int check_not_fenced(struct hf__store_txn *t, const struct hf__log *log)
{
    struct hf__incarnation me;
    int rc = get_incarnation(t, log->incarnation, &me);

    if (rc != HF_OK && rc != HF_ENOTFOUND)
        return rc;
    if ((rc == HF_ENOTFOUND || me.state != HF_INC_OPEN) && !HF_BUG("fenced-appends"))
        return hf__error(HF_EFENCED, 0, "incarnation %u was fenced by another process",
                         log->incarnation);
    return HF_OK;
}

typedef int put_fn(struct hf__store_txn *, const void *, size_t, uint8_t, const void *, size_t);

/* put: hf__store_put or hf__store_add. */
static int put_rec(struct hf__store_txn *t, const struct hf__rec *rec, put_fn *put)
{
    unsigned char key[HF__KEY_SIZE_MAX], small[SMALL_RECORD];
    size_t size = hf__rec_size(rec);
    unsigned char *buf = size <= sizeof(small) ? small : malloc(size);
    int rc;

    if (buf == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "encode a transaction of %u branches", rec->count);
    hf__rec_encode(rec, buf);
    rc = put(t, key, hf__key_gtrid(key, 'T', rec->gtrid), 'T', buf, size);
    if (buf != small)
        free(buf);
    return rc;
}

/* -- one batch -------------------------------------------------------------------------------- */

/* What a batch expects of a record before it puts it. */
enum expects { DECIDES, IS_NEW, IS_THERE };

struct batch {
    struct hf__log *log;
    struct hf__rec *rec; /* NULL: removals only */
    enum expects expects;
    unsigned removals_max;
};

static int put_expected(struct hf__store_txn *t, const struct batch *b)
{
    unsigned char key[HF__KEY_SIZE_MAX];
    struct hf__record r;
    int rc;

    if (b->expects != IS_THERE) {
        rc = put_rec(t, b->rec, hf__store_add);
        HF_CHECK(rc != HF_EEXIST || b->expects != DECIDES); /* one transaction is decided once */
    } else {
        rc = hf__store_get(t, key, hf__key_gtrid(key, 'T', b->rec->gtrid), &r);
        if (rc == HF_OK && (b->rec->sequence == 0 || b->rec->sequence == r.sequence))
            return put_rec(t, b->rec, hf__store_put);
    }
    /* Another process has recovered the transaction since we read its record: it knows more. */
    if (rc == HF_EEXIST || rc == HF_ENOTFOUND || (rc == HF_OK && b->expects == IS_THERE))
        return hf__error(HF_EBUSY, 0, "another process is recovering the same transaction");
    return rc;
}

/* What a batch does once, for the first of its jobs that comes so far. */
enum { MARK_NOT_FENCED = 1, MARK_DROPPED = 2 };

static void forget_dropped(void *user, uint64_t end)
{
    struct hf__log *log = user;

    (void)pthread_mutex_lock(&log->release_lock);
    log->ring_first = end;
    (void)pthread_mutex_unlock(&log->release_lock);
}

/* Drop some of what waits, to be forgotten once the batch is durable. Until then nobody changes
   those places of the ring. */
static int drop_released(struct hf__store_txn *t, struct batch *b)
{
    struct hf__log *log = b->log;
    uint64_t first, n;

    if (*hf__store_marks(t) & MARK_DROPPED)
        return HF_OK;
    (void)pthread_mutex_lock(&log->release_lock);
    first = log->ring_first;
    n = log->ring_end - first;
    if (n > b->removals_max)
        n = b->removals_max;
    (void)pthread_mutex_unlock(&log->release_lock);
    for (uint64_t i = 0; i < n; i++) {
        unsigned char key[HF__KEY_SIZE_MAX];
        const unsigned char *gtrid = log->ring[(first + i) % RING_SIZE];
        int rc = hf__store_delete(t, key, hf__key_gtrid(key, 'T', gtrid));

        if (rc != HF_OK && rc != HF_ENOTFOUND) /* another recoverer may have dropped it */
            return rc;
    }
    *hf__store_marks(t) |= MARK_DROPPED;
    hf__store_on_commit(t, forget_dropped, log, first + n);
    return HF_OK;
}

static int fill_batch(struct hf__store_txn *t, void *arg)
{
    struct batch *b = arg;
    int rc = *hf__store_marks(t) & MARK_NOT_FENCED ? HF_OK : check_not_fenced(t, b->log);

    if (rc == HF_OK)
        *hf__store_marks(t) |= MARK_NOT_FENCED;
    if (rc == HF_OK && b->rec != NULL)
        rc = put_expected(t, b);
    return rc == HF_OK ? drop_released(t, b) : rc;
}

static int write_batch(struct hf__log *log, struct hf__rec *rec, enum expects expects)
{
    struct batch b = {.log = log, .rec = rec, .expects = expects};
    bool add = rec != NULL && expects == DECIDES;
    int rc;

    b.removals_max = rec != NULL ? REMOVALS_PER_BATCH : REMOVALS_PER_FLUSH;
    rc = apply(log, fill_batch, &b, add);
    if (rc == HF_EFULL && !add) { /* little fits into what a full disk leaves, but it does */
        b.removals_max = REMOVALS_WHEN_FULL;
        rc = apply(log, fill_batch, &b, add);
    }
    return rc;
}

int hf__log_decide(struct hf__log *log, struct hf__rec *rec)
{
    int rc;

    rec->decided_ms = hf__now_ms();
    rec->written_by = log->incarnation;
    HF_FAULT("log:voted");
    if (HF_BUG("ack-before-durable"))
        return HF_OK;
    rc = write_batch(log, rec, DECIDES);
    if (rc == HF_OK && HF_BUG("ack-page-early"))
        hf__page_ack(log->page, 0, rec->gtrid);
    if (rc == HF_OK)
        HF_FAULT("log:decided");
    return rc;
}

int hf__log_record(struct hf__log *log, struct hf__rec *rec, bool again)
{
    int rc;

    if (rec->decided_ms == 0)
        rec->decided_ms = hf__now_ms();
    rec->written_by = log->incarnation;
    rc = write_batch(log, rec, again ? IS_THERE : IS_NEW);
    if (rc == HF_OK)
        HF_FAULT("log:recorded");
    return rc;
}

int hf__log_flush(struct hf__log *log)
{
    int rc = HF_OK;
    bool waiting = true;

    /* Bound: each round drops 8 of at most 1,024, or more, unless others keep releasing. */
    for (int i = 0; rc == HF_OK && i < 2 * RING_SIZE / REMOVALS_WHEN_FULL; i++) {
        (void)pthread_mutex_lock(&log->release_lock);
        waiting = log->ring_first != log->ring_end;
        (void)pthread_mutex_unlock(&log->release_lock);
        if (!waiting)
            break;
        rc = write_batch(log, NULL, IS_NEW);
    }
    return rc;
}

/* Put it into the ring; false if that is full. */
static bool queue_release(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE])
{
    bool room;

    (void)pthread_mutex_lock(&log->release_lock);
    room = log->ring_end - log->ring_first < RING_SIZE;
    if (room) {
        hf__page_ack(log->page, log->ring_end, gtrid);
        memcpy(log->ring[log->ring_end++ % RING_SIZE], gtrid, HF__GTRID_SIZE);
    }
    (void)pthread_mutex_unlock(&log->release_lock);
    return room;
}

void hf__log_release(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE])
{
    if (queue_release(log, gtrid))
        return;
    (void)hf__log_flush(log);        /* if it fails the record stays: */
    (void)queue_release(log, gtrid); /* recovery proves and drops it */
}

bool hf__log_releasing(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE])
{
    bool found = false;

    (void)pthread_mutex_lock(&log->release_lock);
    for (uint64_t i = log->ring_first; !found && i < log->ring_end; i++)
        found = memcmp(log->ring[i % RING_SIZE], gtrid, HF__GTRID_SIZE) == 0;
    (void)pthread_mutex_unlock(&log->release_lock);
    return found;
}

struct hf__live *hf__log_live(struct hf__log *log)
{
    struct hf__live *live = hf__page_live(log->page);

    return live != NULL ? live : &log->unseen;
}

int hf__log_released(struct hf__log *log, struct hf__acks *ret)
{
    return hf__page_read(log->page, ret);
}

/* -- resource managers ------------------------------------------------------------------------ */

struct bind {
    const struct hf__log *log;
    struct hf__binding want; /* id: the answer */
};

static int match_binding(void *user, const unsigned char *key, size_t key_size,
                         const struct hf__record *r)
{
    struct bind *b = user;
    struct hf__binding have;
    int rc = hf__binding_decode(key, key_size, r, &have);

    if (rc != HF_OK)
        return rc;
    if (strcmp(have.name, b->want.name) == 0 && have.has_identity == b->want.has_identity &&
        memcmp(have.identity, b->want.identity, HF_IDENTITY_SIZE) == 0)
        b->want.id = have.id;
    return 0;
}

static int bind_name(struct hf__store_txn *t, void *arg)
{
    struct bind *b = arg;
    struct hf__node node;
    unsigned char key[HF__KEY_SIZE_MAX], buf[HF__BINDING_BYTES];
    int rc = check_not_fenced(t, b->log);

    b->want.id = 0;
    if (rc == HF_OK)
        rc = hf__store_each(t, "R", 1, match_binding, b);
    if (rc != HF_OK || b->want.id != 0)
        return rc;
    rc = get_node(t, &node);
    if (rc != HF_OK)
        return rc;
    b->want.id = node.next_rm_id++;
    hf__binding_encode(&b->want, buf);
    rc = hf__store_put(t, key, hf__key32(key, 'R', b->want.id), 'R', buf, sizeof(buf));
    return rc == HF_OK ? put_node(t, &node) : rc;
}

int hf__log_bind(struct hf__log *log, const char *name, const unsigned char *identity,
                 uint32_t *ret_id)
{
    struct bind b = {.log = log};
    int rc;

    (void)snprintf(b.want.name, sizeof(b.want.name), "%s", name);
    b.want.has_identity = identity != NULL;
    if (identity != NULL)
        memcpy(b.want.identity, identity, HF_IDENTITY_SIZE);
    rc = apply(log, bind_name, &b, false); /* not new work: recovery on a full disk needs it */
    if (rc == HF_OK)
        *ret_id = b.want.id;
    return rc;
}

/* -- reading ---------------------------------------------------------------------------------- */

int hf__log_find(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE],
                 struct hf__rec *ret)
{
    struct hf__store_txn *t;
    struct hf__record r;
    unsigned char key[HF__KEY_SIZE_MAX];
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = hf__store_get(t, key, hf__key_gtrid(key, 'T', gtrid), &r);
    if (rc == HF_OK)
        rc = hf__rec_decode(gtrid, r.data, r.size, ret);
    if (rc == HF_OK)
        ret->sequence = r.sequence;
    hf__store_read_end(t);
    return rc;
}

struct each {
    int (*fn)(void *user, const struct hf__rec *rec);
    void *user;
};

static int each_rec(void *user, const unsigned char *key, size_t key_size,
                    const struct hf__record *r)
{
    const struct each *e = user;
    struct hf__rec rec;
    int rc;

    if (key_size != HF__KEY_SIZE_MAX || r->kind != 'T')
        return hf__error(HF_EDAMAGED, 0, "the log has a transaction under a key of %zu bytes",
                         key_size);
    rc = hf__rec_decode(key + 1, r->data, r->size, &rec);
    if (rc != HF_OK)
        return rc;
    rec.sequence = r->sequence;
    rc = e->fn(e->user, &rec);
    free(rec.branches);
    return rc;
}

int hf__log_each(struct hf__log *log, int (*fn)(void *user, const struct hf__rec *rec), void *user)
{
    struct each e = {fn, user};
    struct hf__store_txn *t;
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = hf__store_each(t, "T", 1, each_rec, &e);
    hf__store_read_end(t);
    return rc;
}

struct former {
    struct hf__store_txn *t;
    const char *name;
    uint32_t id;
    uint32_t owed;
};

/* Is rm_id bound to the name, for another store than that of the name's id now? */
static int is_former(const struct former *f, uint32_t rm_id, bool *ret)
{
    unsigned char key[HF__KEY_SIZE_MAX];
    size_t key_size = hf__key32(key, 'R', rm_id);
    struct hf__binding b;
    struct hf__record r;
    int rc;

    *ret = false;
    if (rm_id == f->id)
        return HF_OK;
    rc = hf__store_get(f->t, key, key_size, &r);
    if (rc == HF_ENOTFOUND)
        return HF_OK;
    if (rc == HF_OK)
        rc = hf__binding_decode(key, key_size, &r, &b);
    *ret = rc == HF_OK && strcmp(b.name, f->name) == 0;
    return rc;
}

static int count_former(void *user, const struct hf__rec *rec)
{
    struct former *f = user;
    int rc = HF_OK;

    for (uint32_t i = 0; rc == HF_OK && i < rec->count; i++) {
        bool former = false;

        if (rec->branches[i].state != HF_BRANCH_OWED &&
            rec->branches[i].state != HF_BRANCH_UNCONFIRMED)
            continue;
        rc = is_former(f, rec->branches[i].rm_id, &former);
        f->owed += former;
    }
    return rc;
}

int hf__log_owed_to_former(struct hf__log *log, const char *name, uint32_t id, uint32_t *ret)
{
    struct former f = {.name = name, .id = id};
    struct each e = {count_former, &f};
    int rc = hf__store_read_begin(log->store, &f.t);

    if (rc != HF_OK)
        return rc;
    rc = hf__store_each(f.t, "T", 1, each_rec, &e);
    hf__store_read_end(f.t);
    if (rc == HF_OK)
        *ret = f.owed;
    return rc;
}

/* -- fences ----------------------------------------------------------------------------------- */

static int note_open(void *user, const unsigned char *key, size_t key_size,
                     const struct hf__record *r)
{
    struct hf__fences *f = user;
    struct hf__incarnation i;
    int rc = hf__incarnation_decode(key, key_size, r, &i);

    if (rc != HF_OK || i.state != HF_INC_OPEN)
        return rc;
    if (f->open_count == f->open_room) {
        uint32_t room = f->open_room != 0 ? 2 * f->open_room : 64;
        uint32_t *more = realloc(f->open, room * sizeof(*more));

        if (more == NULL)
            return hf__error(HF_ENOMEM, ENOMEM, "read %u incarnations", room);
        f->open = more;
        f->open_room = room;
    }
    f->open[f->open_count++] = i.number;
    return 0;
}

static int read_fences(struct hf__store_txn *t, struct hf__fences *ret)
{
    struct hf__node node;
    int rc = get_node(t, &node);

    *ret = (struct hf__fences){0};
    if (rc != HF_OK)
        return rc;
    ret->highest = node.highest;
    ret->flags = node.flags;
    return hf__store_each(t, "I", 1, note_open, ret);
}

int hf__log_fences(struct hf__log *log, struct hf__fences *ret)
{
    struct hf__store_txn *t;
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = read_fences(t, ret);
    hf__store_read_end(t);
    if (rc != HF_OK) {
        free(ret->open);
        *ret = (struct hf__fences){0};
    }
    return rc;
}

bool hf__fenced(const struct hf__fences *f, uint32_t incarnation)
{
    for (uint32_t i = 0; i < f->open_count; i++)
        if (f->open[i] == incarnation)
            return false;
    return incarnation <= f->highest;
}

struct fence {
    const struct hf__log *log;
    uint32_t *dead; /* count of them, locked by us */
    uint32_t count;
};

static int put_fences(struct hf__store_txn *t, void *arg)
{
    const struct fence *f = arg;
    int rc = check_not_fenced(t, f->log);

    for (uint32_t i = 0; rc == HF_OK && i < f->count; i++) {
        struct hf__incarnation inc;

        rc = get_incarnation(t, f->dead[i], &inc);
        if (rc == HF_ENOTFOUND) { /* another recoverer fenced it, and it was dropped since */
            rc = HF_OK;
            continue;
        }
        if (rc == HF_OK) {
            inc.state = HF_INC_FENCED;
            inc.fenced_by = f->log->incarnation;
            rc = put_incarnation(t, &inc);
        }
    }
    return rc;
}

/*
 * Is the lock of an incarnation held by somebody else than the process that claimed it? Then that
 * one is dead, and another recoverer is fencing it just now.
 */
static int held_by_recoverer(struct hf__log *log, uint32_t number, bool *ret)
{
    long holder = hf__store_lock_holder(log->store, number);
    struct hf__store_txn *t;
    struct hf__incarnation inc;
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = get_incarnation(t, number, &inc);
    hf__store_read_end(t);
    *ret = rc == HF_OK && inc.state == HF_INC_OPEN && holder >= 0 && holder != inc.pid;
    return rc == HF_ENOTFOUND ? HF_OK : rc;
}

/* HF_OK: it was dead, and is locked by us. HF_EBUSY: it lives, or somebody else has fenced it. */
static int lock_if_dead(struct hf__log *log, uint32_t number)
{
    const struct timespec pause = {.tv_nsec = FENCE_POLL_MS * 1000000L};
    bool recoverer = true;
    int rc = HF_EBUSY;

    /* A recoverer holds it for one commit; one that is stopped in it leaves it to the next pass. */
    for (int waited = 0; waited <= FENCE_WAIT_MS && recoverer; waited += FENCE_POLL_MS) {
        int held;

        rc = hf__store_lock_try(log->store, number);
        if (rc != HF_EBUSY)
            return rc;
        held = held_by_recoverer(log, number, &recoverer);
        if (held != HF_OK)
            return held;
        if (recoverer)
            (void)nanosleep(&pause, NULL);
    }
    return rc;
}

/* Lock those that nobody holds. */
static int lock_dead(struct hf__log *log, const struct hf__fences *view, struct fence *f)
{
    int rc = HF_OK;

    for (uint32_t i = 0; rc == HF_OK && i < view->open_count; i++) {
        if (view->open[i] == log->incarnation)
            continue;
        rc = lock_if_dead(log, view->open[i]);
        if (rc == HF_OK)
            f->dead[f->count++] = view->open[i];
        else if (rc == HF_EBUSY)
            rc = HF_OK;
    }
    return rc;
}

int hf__log_fence_dead(struct hf__log *log, struct hf__fences *ret)
{
    struct fence f = {.log = log};
    int rc = hf__log_fences(log, ret);

    if (rc != HF_OK)
        return rc;
    f.dead = calloc(ret->open_count + 1, sizeof(*f.dead));
    rc = f.dead != NULL ? lock_dead(log, ret, &f)
                        : hf__error(HF_ENOMEM, ENOMEM, "fence %u incarnations", ret->open_count);
    if (rc == HF_OK && f.count > 0 && !HF_BUG("recover-without-fence")) {
        HF_FAULT("log:fencing");
        rc = apply(log, put_fences, &f, false);
        HF_FAULT("log:fenced");
    }
    for (uint32_t i = 0; i < f.count; i++)
        hf__store_lock_release(log->store, f.dead[i]);
    free(f.dead);
    free(ret->open);
    *ret = (struct hf__fences){0};
    if (rc == HF_OK)
        rc = hf__log_fences(log, ret);
    if (HF_BUG("recover-without-fence"))
        ret->open_count = 0;
    return rc;
}

int hf__log_knows(struct hf__log *log, uint32_t incarnation, uint64_t sequence, bool *ret)
{
    uint32_t nonce = (uint32_t)(sequence >> (64 - HF__NONCE_BITS));
    struct hf__store_txn *t;
    struct hf__incarnation inc;
    struct hf__node node;
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = get_node(t, &node);
    if (rc == HF_OK)
        rc = get_incarnation(t, incarnation, &inc);
    hf__store_read_end(t);
    /* An old one is dropped from the log some time; then its number has to do. */
    *ret = rc == HF_OK ? inc.nonce == nonce : rc == HF_ENOTFOUND && incarnation <= node.highest;
    return rc == HF_ENOTFOUND ? HF_OK : rc;
}

void hf__log_sweep(struct hf__log *log)
{
    hf__store_sweep(log->store);
    hf__history_sweep(log->history);
}

static int put_back_in_time(struct hf__store_txn *t, void *arg)
{
    struct hf__node node;
    int rc = check_not_fenced(t, arg);

    if (rc == HF_OK)
        rc = get_node(t, &node);
    if (rc != HF_OK || node.flags & HF__NODE_BACK_IN_TIME)
        return rc;
    node.flags |= HF__NODE_BACK_IN_TIME;
    return put_node(t, &node);
}

int hf__log_set_back_in_time(struct hf__log *log)
{
    return apply(log, put_back_in_time, log, false);
}

/* -- requests --------------------------------------------------------------------------------- */

struct requests {
    int (*fn)(void *user, const struct hf__request *q);
    void *user;
};

static int each_request(void *user, const unsigned char *key, size_t key_size,
                        const struct hf__record *r)
{
    const struct requests *e = user;
    struct hf__request q;
    int rc = hf__request_decode(key, key_size, r, &q);

    return rc == HF_OK && q.state == 0 ? e->fn(e->user, &q) : rc;
}

int hf__log_requests(struct hf__log *log, int (*fn)(void *user, const struct hf__request *q),
                     void *user)
{
    struct requests e = {fn, user};
    struct hf__store_txn *t;
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = hf__store_each(t, "Q", 1, each_request, &e);
    hf__store_read_end(t);
    return rc;
}

struct request_done {
    const struct hf__log *log;
    uint64_t number;
    int result;
};

static int put_request_done(struct hf__store_txn *t, void *arg)
{
    const struct request_done *d = arg;
    unsigned char key[HF__KEY_SIZE_MAX], buf[HF__REQUEST_BYTES_MAX];
    size_t key_size = hf__key64(key, 'Q', d->number);
    struct hf__request q;
    struct hf__record r;
    int rc = check_not_fenced(t, d->log);

    if (rc == HF_OK)
        rc = hf__store_get(t, key, key_size, &r);
    if (rc == HF_OK)
        rc = hf__request_decode(key, key_size, &r, &q);
    if (rc != HF_OK || q.state != 0)
        return rc;
    q.state = 1;
    q.done_ms = hf__now_ms();
    q.incarnation = d->log->incarnation;
    q.result = d->result;
    return hf__store_put(t, key, key_size, 'Q', buf, hf__request_encode(&q, buf));
}

int hf__log_request_done(struct hf__log *log, uint64_t number)
{
    return hf__log_request_answer(log, number, HF_OK);
}

int hf__log_request_answer(struct hf__log *log, uint64_t number, int result)
{
    struct request_done d = {log, number, result};

    return apply(log, put_request_done, &d, false);
}

struct forgetting {
    const struct hf__log *log;
    struct hf__request *q;
};

static int put_forgotten(struct hf__store_txn *t, void *arg)
{
    struct forgetting *f = arg;
    int rc = check_not_fenced(t, f->log);

    f->q->incarnation = f->log->incarnation;
    return rc == HF_OK ? hf__forget_put(t, f->q) : rc;
}

int hf__log_forget(struct hf__log *log, struct hf__request *q, bool tell)
{
    struct forgetting f = {log, q};
    struct hf__rec rec;
    int rc = hf__log_find(log, q->gtrid, &rec);

    if (rc != HF_OK)
        return rc;
    rc = hf__forget_check(&rec);
    if (rc == HF_OK && tell)
        rc = hf__forget_tell(log->history, &rec, q, log->incarnation);
    free(rec.branches);
    return rc == HF_OK ? apply(log, put_forgotten, &f, false) : rc;
}

int hf__log_former(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE], hf_outcome *ret)
{
    struct hf__store_txn *t;
    struct hf__record r;
    unsigned char key[HF__KEY_SIZE_MAX];
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = hf__store_get(t, key, hf__key_gtrid(key, 'O', gtrid), &r);
    if (rc == HF_OK && r.size >= HF__REC_BYTES)
        *ret = ((const unsigned char *)r.data)[1];
    else if (rc == HF_OK)
        rc = hf__error(HF_EDAMAGED, 0, "the log has a record of %zu bytes", r.size);
    hf__store_read_end(t);
    return rc == HF_ENOTFOUND ? hf__history_recall(log->history, gtrid, ret) : rc;
}

/* -- claim and open --------------------------------------------------------------------------- */

struct claim {
    struct hf__log *log;
    const char *dir;
    uint64_t nonce;      /* the embedder's */
    uint32_t below;      /* the highest incarnation so far */
    uint32_t stale[256]; /* old incarnations to drop */
    uint32_t stale_count;
};

static uint64_t pid_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* LMDB tells readers apart by pid: everybody who has the node open must see the same pids. */
static int check_incarnation(void *user, const unsigned char *key, size_t key_size,
                             const struct hf__record *r)
{
    struct claim *c = user;
    struct hf__incarnation i;
    uint64_t ours = pid_namespace();
    int rc = hf__incarnation_decode(key, key_size, r, &i);

    if (rc != HF_OK)
        return rc;
    if (i.state == HF_INC_OPEN && ours != 0 && i.pid_namespace != 0 && i.pid_namespace != ours &&
        hf__store_lock_holder(c->log->store, i.number) != 0)
        return hf__error(HF_EPIDNS, 0, "%s: incarnation %u lives in another PID namespace", c->dir,
                         i.number);
    if (i.state != HF_INC_OPEN && i.number + INCARNATIONS_KEPT < c->below &&
        c->stale_count < sizeof(c->stale) / sizeof(*c->stale))
        c->stale[c->stale_count++] = i.number;
    return 0;
}

static int refuse_unknown(const struct claim *c, uint32_t number)
{
    return hf__error(HF_EBACKINTIME, 0,
                     "%s: process %ld lives as incarnation %u, which the log does not know", c->dir,
                     hf__store_lock_holder(c->log->store, number), number);
}

/* The number of the new incarnation, under its lock (L4). */
static int take_number(struct claim *c, struct hf__node *node)
{
    struct hf__log *log = c->log;
    uint32_t number = node->highest + 1;
    int rc;

    if (HF_BUG("reuse-gtrid") && node->highest > 0)
        number = node->highest;
    rc = log->locked && log->incarnation == number ? HF_OK : hf__store_lock_try(log->store, number);
    if (rc == HF_EBUSY)
        return refuse_unknown(c, number);
    if (rc != HF_OK)
        return rc;
    log->incarnation = node->highest = number;
    log->locked = true;
    return HF_OK;
}

static int put_claim(struct hf__store_txn *t, void *arg)
{
    struct claim *c = arg;
    struct hf__node node = {.next_rm_id = 1};
    struct hf__incarnation me = {.state = HF_INC_OPEN, .uid = geteuid(), .pid = getpid()};
    unsigned char key[HF__KEY_SIZE_MAX];
    int rc = get_node(t, &node);

    if (rc == HF_ENOTFOUND) {
        hf__place_find(c->dir, &node);
        rc = HF_OK;
    }
    if (node.nonce == 0)
        node.nonce = c->nonce;
    c->stale_count = 0; /* this may be a second try */
    c->below = node.highest;
    if (rc == HF_OK)
        rc = hf__store_each(t, "I", 1, check_incarnation, c);
    if (rc == HF_OK)
        rc = take_number(c, &node);
    if (rc != HF_OK)
        return rc;
    me.number = node.highest;
    me.nonce = c->log->nonce;
    me.claimed_ms = hf__now_ms();
    me.pid_namespace = pid_namespace();
    rc = put_incarnation(t, &me);
    if (rc == HF_OK)
        rc = put_node(t, &node);
    for (uint32_t i = 0; rc == HF_OK && i < c->stale_count; i++)
        rc = hf__store_delete(t, key, hf__key32(key, 'I', c->stale[i]));
    return rc;
}

/* Open decisions to be rewritten, some at a time: copied out, because a batch must not write while
   it walks. */
struct resettle {
    const struct hf__log *log;
    unsigned max, count;
    unsigned char from[HF__KEY_SIZE_MAX]; /* the key to go on from */
    size_t from_size;
    struct hf__rec recs[SETTLED_PER_BATCH + 1];
};

static int copy_open(void *user, const unsigned char *key, size_t key_size,
                     const struct hf__record *r)
{
    struct resettle *s = user;
    int rc;

    if (key_size != HF__KEY_SIZE_MAX || r->kind != 'T')
        return hf__error(HF_EDAMAGED, 0, "a transaction under a key of %zu bytes", key_size);
    rc = hf__rec_decode(key + 1, r->data, r->size, &s->recs[s->count]);
    if (rc != HF_OK)
        return rc;
    return s->count++ == s->max; /* one more than is rewritten: where to go on */
}

static void free_open(struct resettle *s)
{
    for (unsigned i = 0; i < s->count; i++)
        free(s->recs[i].branches);
    s->count = 0;
}

static int put_open(struct hf__store_txn *t, void *arg)
{
    struct resettle *s = arg;
    int rc = check_not_fenced(t, s->log);

    free_open(s); /* this may be a second try */
    if (rc == HF_OK)
        rc = hf__store_each_from(t, "T", 1, s->from, s->from_size, copy_open, s);
    for (unsigned i = 0; rc >= 0 && i < s->count && i < s->max; i++) {
        int put = put_rec(t, &s->recs[i], hf__store_put);

        rc = put == HF_OK ? rc : put;
    }
    return rc < 0 ? rc : HF_OK;
}

/* What is read of open decisions is on the disk only after a flush that succeeded (head of this
   file). */
static int settle_open(struct hf__log *log)
{
    struct resettle *s = calloc(1, sizeof(*s));
    bool more = true;
    int rc = s != NULL ? HF_OK : hf__error(HF_ENOMEM, ENOMEM, "settle the open decisions");

    if (rc != HF_OK)
        return rc;
    s->log = log;
    s->max = SETTLED_PER_BATCH;
    memcpy(s->from, "T", 1);
    s->from_size = 1;
    /* Bound: the open decisions, of which each round passes at least one. */
    while (rc == HF_OK && more) {
        rc = apply(log, put_open, s, false);
        if (rc == HF_EFULL && s->max > 1) { /* one by one, if they are large */
            s->max = s->max > SETTLED_WHEN_FULL ? SETTLED_WHEN_FULL : 1;
            rc = HF_OK;
            continue;
        }
        more = s->count > s->max;
        if (more)
            s->from_size = hf__key_gtrid(s->from, 'T', s->recs[s->max].gtrid);
    }
    free_open(s);
    free(s);
    return rc;
}

static bool is_alive(void *user, uint32_t incarnation)
{
    const struct hf__log *log = user;

    return hf__store_lock_holder(log->store, incarnation) != 0;
}

/* The history is for people, and the page spares recovery work: that one cannot be opened is told,
   and nothing more; of the two the history is the graver. */
static void open_companions(struct hf__log *log, const char *dir)
{
    struct hf__page_owner me = {.incarnation = log->incarnation, .nonce = log->nonce};

    memcpy(me.node, hf__log_node(log), sizeof(me.node));
    if (hf__page_open(dir, &me, is_alive, log, &log->page) != HF_OK)
        (void)snprintf(log->warning, sizeof(log->warning), "there is no shared page: %s",
                       hf_error_last()->text);
    if (hf__history_open(dir, !hf__store_shared(log->store), &log->history) != HF_OK)
        (void)snprintf(log->warning, sizeof(log->warning), "there is no history: %s",
                       hf_error_last()->text);
}

/* Is this where the node was? Before anything is written, and while nobody else opens it. */
static int check_place(const struct hf__log *log, const struct claim *c)
{
    struct hf__node was = {0}, now = {.nonce = c->nonce};
    struct hf__store_txn *t;
    int rc = hf__store_read_begin(log->store, &t);

    if (rc != HF_OK)
        return rc;
    rc = get_node(t, &was);
    hf__store_read_end(t);
    if (rc != HF_OK)
        return rc == HF_ENOTFOUND ? HF_OK : rc; /* it is being made */
    hf__place_find(c->dir, &now);
    rc = hf__place_check(c->dir, &was, &now);
    if (rc == HF_EMOVED && hf__store_lock_holder(log->store, was.highest + 1) != 0)
        return refuse_unknown(c, was.highest + 1); /* the graver of the two */
    return rc;
}

static int make_nonce(struct hf__log *log)
{
    if (getrandom(&log->nonce, sizeof(log->nonce), 0) != (ssize_t)sizeof(log->nonce))
        return hf__error(HF_EIO, errno, "make a nonce: %s", strerror(errno));
    log->nonce >>= 32 - HF__NONCE_BITS;
    if (HF_BUG("reuse-gtrid"))
        log->nonce = 0;
    return HF_OK;
}

int hf__log_open_with(const char *dir, const char *nonce, struct hf__log **ret)
{
    struct hf__store_config cfg = {.dir = dir,
                                   .file = HF__LOG_FILE,
                                   .lock_file = HF__LOCK_FILE,
                                   .companions = HF__LOG_COMPANIONS,
                                   .application = HF__LOG_APPLICATION,
                                   .format = HF__LOG_FORMAT,
                                   .flags = HF__STORE_CREATE | HF__STORE_CHECKED};
    struct hf__log *log = calloc(1, sizeof(*log));
    struct claim c = {.log = log, .dir = dir, .nonce = hf__place_nonce(nonce)};
    int rc;

    if (log == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: open", dir);
    (void)pthread_mutex_init(&log->release_lock, NULL);
    rc = hf__store_open(&cfg, &log->store);
    if (rc == HF_OK)
        rc = hf__store_verify(log->store);
    if (rc == HF_OK)
        rc = check_place(log, &c);
    if (rc == HF_OK)
        rc = make_nonce(log);
    if (rc == HF_OK)
        rc = apply(log, put_claim, &c, false);
    HF_FAULT("log:claimed");
    if (rc == HF_OK)
        rc = settle_open(log);
    if (rc == HF_OK) {
        open_companions(log, dir);
        hf__store_opened(log->store);
        *ret = log;
        return HF_OK;
    }
    hf__store_close(log->store);
    (void)pthread_mutex_destroy(&log->release_lock);
    free(log);
    return rc;
}

int hf__log_open(const char *dir, struct hf__log **ret)
{
    return hf__log_open_with(dir, NULL, ret);
}

static int put_closed(struct hf__store_txn *t, void *arg)
{
    const struct hf__log *log = arg;
    struct hf__incarnation me;
    int rc = check_not_fenced(t, log);

    if (rc == HF_OK)
        rc = get_incarnation(t, log->incarnation, &me);
    if (rc != HF_OK)
        return rc;
    me.state = HF_INC_CLOSED;
    return put_incarnation(t, &me);
}

void hf__log_close(struct hf__log *log, bool clean)
{
    if (log == NULL)
        return;
    clean = clean && hf__log_flush(log) == HF_OK;
    if (clean)
        (void)apply(log, put_closed, log, false); /* if it fails the next opening fences us */
    hf__store_closing(log->store); /* LMDB's files are closed alone, as they are opened */
    hf__history_close(log->history);
    hf__page_close(log->page, clean);
    hf__store_close(log->store); /* lets go of our byte */
    (void)pthread_mutex_destroy(&log->release_lock);
    free(log);
}
