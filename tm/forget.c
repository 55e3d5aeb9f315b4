/*
 * tm/forget.c - an operator forgets a transaction of which branches decided by themselves.
 *
 * Such a record stays in the decision log until somebody has looked at it: it is the only trace of
 * damage that no program can mend. Who forgets it is asked for a reason, and both go to the history
 * with the record. A process that has the node open does it, asked by a request (log.c); if there
 * is none, the one who asks does, alone: no byte of the lock file may be anybody's.
 *
 * It decides nothing: every branch has ended. So what recovery must prove before it releases a
 * record (invariant 6) is not asked here, but that nothing is owed is.
 *
 * If we crash after ...          on disk                      the next one who forgets it
 *   the history's entry          record and entry             finds both: nothing is told twice
 *   the batch                    entry, and the request done  is told that there is no such record
 */
#include "forget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adopt.h"
#include "holdfast/internal/fault.h"

int hf__forget_check(const struct hf__rec *rec)
{
    unsigned owed = 0, heuristic = 0;

    for (uint32_t i = 0; i < rec->count; i++) {
        uint8_t state = rec->branches[i].state;

        owed += state == HF_BRANCH_OWED || state == HF_BRANCH_UNCONFIRMED;
        heuristic += state >= HF_BRANCH_HEUR_COMMIT;
    }
    if (owed > 0)
        return hf__error(HF_ESTATE, 0, "forget: %u of its branches are still owed", owed);
    if (heuristic == 0)
        return hf__error(HF_ESTATE, 0, "forget: no branch of it decided by itself");
    return HF_OK;
}

int hf__forget_tell(struct hf__history *h, const struct hf__rec *rec, const struct hf__request *q,
                    uint32_t incarnation)
{
    struct hf__span span = {.incarnation = incarnation,
                            .kept = HF_KEPT_FORCED,
                            .began_ms = hf__now_ms(),
                            .call = "forget"};
    struct hf__finished f = {.rec = rec, .span = &span};

    (void)snprintf(span.text, sizeof(span.text), "uid %u: %s", q->uid, q->reason);
    hf__history_remember(h, &f, 1);
    HF_FAULT("forget:told");
    return f.written ? HF_OK : hf__error(HF_EIO, 0, "forget: the history cannot be written");
}

static int put_done(struct hf__store_txn *t, struct hf__request *q)
{
    unsigned char key[HF__KEY_SIZE_MAX], buf[HF__REQUEST_BYTES_MAX];
    size_t key_size = hf__key64(key, 'Q', q->number);
    struct hf__record r;
    int rc;

    if (q->number == 0)
        return hf__put_request(t, q);
    rc = hf__store_get(t, key, key_size, &r);
    if (rc != HF_OK)
        return rc == HF_ENOTFOUND ? HF_OK : rc; /* dropped meanwhile: there are only so many */
    return hf__store_put(t, key, key_size, 'Q', buf, hf__request_encode(q, buf));
}

int hf__forget_put(struct hf__store_txn *t, struct hf__request *q)
{
    unsigned char key[HF__KEY_SIZE_MAX];
    size_t key_size = hf__key_gtrid(key, 'T', q->gtrid);
    struct hf__record r;
    struct hf__rec rec;
    int rc = hf__store_get(t, key, key_size, &r);

    if (rc == HF_ENOTFOUND)
        return hf__error(HF_ENOTFOUND, 0, "forget: no such transaction in the decision log");
    if (rc == HF_OK)
        rc = hf__rec_decode(q->gtrid, r.data, r.size, &rec);
    if (rc != HF_OK)
        return rc;
    rc = hf__forget_check(&rec);
    free(rec.branches);
    if (rc == HF_OK)
        rc = hf__store_delete(t, key, key_size);
    q->state = 1;
    q->result = HF_OK;
    q->done_ms = hf__now_ms();
    return rc == HF_OK ? put_done(t, q) : rc;
}

/* -- with nobody else ------------------------------------------------------------------------- */

/* The record, if it may be forgotten, of a node that lives here. */
static int find(const char *dir, struct hf__store *store, const struct hf__request *q,
                struct hf__rec *ret)
{
    struct hf__node was, now = {0};
    unsigned char key[HF__KEY_SIZE_MAX];
    struct hf__store_txn *t;
    struct hf__record r;
    int rc = hf__store_read_begin(store, &t);

    if (rc != HF_OK)
        return rc;
    rc = hf__store_get(t, "N", 1, &r);
    if (rc == HF_OK)
        rc = hf__node_decode(&r, &was);
    if (rc == HF_OK)
        rc = hf__store_get(t, key, hf__key_gtrid(key, 'T', q->gtrid), &r);
    if (rc == HF_OK)
        rc = hf__rec_decode(q->gtrid, r.data, r.size, ret);
    hf__store_read_end(t);
    if (rc == HF_ENOTFOUND)
        return hf__error(HF_ENOTFOUND, 0, "forget: no such transaction in the decision log");
    if (rc != HF_OK)
        return rc;
    hf__place_find(dir, &now);
    now.nonce = was.nonce; /* the embedder's: nobody gives it here */
    rc = hf__place_check(dir, &was, &now);
    return rc == HF_OK ? hf__forget_check(ret) : rc;
}

static int put(struct hf__store_txn *t, void *arg)
{
    struct hf__request *q = arg;

    q->number = 0; /* this may be a second try */
    return hf__forget_put(t, q);
}

int hf__forget_alone(const char *dir, struct hf__request *q)
{
    struct hf__history *history = NULL;
    struct hf__store *store = NULL;
    struct hf__rec rec = {.branches = NULL};
    int rc = hf__open_alone(dir, &store);

    if (rc != HF_OK)
        return rc;
    rc = find(dir, store, q, &rec);
    if (rc == HF_OK)
        rc = hf__history_open(dir, true, &history);
    if (rc == HF_OK)
        rc = hf__forget_tell(history, &rec, q, 0);
    if (rc == HF_OK)
        rc = hf__store_apply(store, put, q);
    hf__history_close(history); /* while byte 0 is ours, as it was opened */
    hf__store_close(store);
    free(rec.branches);
    return rc;
}
