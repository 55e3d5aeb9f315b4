/*
 * tests/prop/memory_log.c - the decision log (tm/log.h) in memory, for a program that measures
 * what a transaction costs without one.
 *
 * A program that has this file among its sources is linked without tm/log.c: each function of log.h
 * stands here, so that the linker does not look for them in the library. If one is missing, it says
 * that others are defined twice.
 *
 * Decisions are kept in a table of slots by sequence, copied on the way in and out. There is one
 * incarnation and no history, nothing is forced, nothing survives, and nobody fences anybody; what
 * nobody who measures calls answers that there is nothing.
 *
 * Threads: one. What a lock costs here is not what is measured.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "log.h"

enum { SLOTS = 4096, BRANCHES = 8 };

struct slot {
    bool used;
    struct hf__rec rec;
    struct hf__rec_branch branches[BRANCHES];
};

struct hf__log {
    unsigned char node[HF__NODE_ID_SIZE];
    uint32_t rm_ids;
    struct hf__live live;
    struct slot slots[SLOTS];
};

int hf__log_open_with(const char *dir, const char *nonce, struct hf__log **ret)
{
    struct hf__log *log = calloc(1, sizeof(*log));

    (void)dir;
    (void)nonce;
    if (log == NULL)
        return HF_ENOMEM;
    memcpy(log->node, "a node in memory", sizeof(log->node));
    *ret = log;
    return HF_OK;
}

int hf__log_open(const char *dir, struct hf__log **ret)
{
    return hf__log_open_with(dir, NULL, ret);
}

void hf__log_close(struct hf__log *log, bool clean)
{
    (void)clean;
    free(log);
}

const unsigned char *hf__log_node(const struct hf__log *log)
{
    return log->node;
}

uint32_t hf__log_incarnation(const struct hf__log *log)
{
    (void)log;
    return 1;
}

uint32_t hf__log_nonce(const struct hf__log *log)
{
    (void)log;
    return 7;
}

bool hf__log_failed(struct hf__log *log)
{
    (void)log;
    return false;
}

const char *hf__log_warning(const struct hf__log *log)
{
    (void)log;
    return "";
}

struct hf__history *hf__log_history(struct hf__log *log)
{
    (void)log;
    return NULL;
}

int hf__log_bind(struct hf__log *log, const char *name, const unsigned char *identity,
                 uint32_t *ret_id)
{
    (void)name;
    (void)identity;
    *ret_id = ++log->rm_ids;
    return HF_OK;
}

int hf__log_owed_to_former(struct hf__log *log, const char *name, uint32_t id, uint32_t *ret)
{
    (void)log;
    (void)name;
    (void)id;
    *ret = 0;
    return HF_OK;
}

/* -- decisions -------------------------------------------------------------------------------- */

static struct slot *slot_of(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE])
{
    return &log->slots[hf__gtrid_sequence(gtrid) % SLOTS];
}

static bool holds(const struct slot *s, const unsigned char gtrid[HF__GTRID_SIZE])
{
    return s->used && memcmp(s->rec.gtrid, gtrid, HF__GTRID_SIZE) == 0;
}

static int put(struct hf__log *log, const struct hf__rec *rec)
{
    struct slot *s = slot_of(log, rec->gtrid);

    HF_CHECK(rec->count <= BRANCHES);
    HF_CHECK(!s->used || holds(s, rec->gtrid)); /* SLOTS decisions at a time */
    s->used = true;
    s->rec = *rec;
    memcpy(s->branches, rec->branches, rec->count * sizeof(*rec->branches));
    s->rec.branches = s->branches;
    return HF_OK;
}

int hf__log_decide(struct hf__log *log, struct hf__rec *rec)
{
    rec->decided_ms = hf__now_ms();
    rec->written_by = 1;
    return put(log, rec);
}

int hf__log_record(struct hf__log *log, struct hf__rec *rec, bool again)
{
    (void)again;
    rec->written_by = 1;
    return put(log, rec);
}

void hf__log_release(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE])
{
    struct slot *s = slot_of(log, gtrid);

    HF_CHECK(holds(s, gtrid)); /* what is released was decided, and once */
    s->used = false;
}

bool hf__log_releasing(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE])
{
    (void)log;
    (void)gtrid;
    return false;
}

int hf__log_flush(struct hf__log *log)
{
    (void)log;
    return HF_OK;
}

int hf__log_released(struct hf__log *log, struct hf__acks *ret)
{
    (void)log;
    *ret = (struct hf__acks){0};
    return HF_OK;
}

struct hf__live *hf__log_live(struct hf__log *log)
{
    return &log->live;
}

int hf__log_find(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE],
                 struct hf__rec *ret)
{
    const struct slot *s = slot_of(log, gtrid);
    int rc = HF_ENOTFOUND;

    if (holds(s, gtrid)) {
        *ret = s->rec;
        ret->branches = calloc(BRANCHES, sizeof(*ret->branches));
        rc = ret->branches != NULL ? HF_OK : HF_ENOMEM;
        if (rc == HF_OK)
            memcpy(ret->branches, s->branches, sizeof(s->branches));
    }
    return rc;
}

int hf__log_each(struct hf__log *log, int (*fn)(void *user, const struct hf__rec *rec), void *user)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < SLOTS; i++)
        if (log->slots[i].used)
            rc = fn(user, &log->slots[i].rec);
    return rc;
}

/* -- what only a log of several processes has -------------------------------------------------- */

int hf__log_fences(struct hf__log *log, struct hf__fences *ret)
{
    (void)log;
    *ret = (struct hf__fences){.highest = 1};
    return HF_OK;
}

int hf__log_fence_dead(struct hf__log *log, struct hf__fences *ret)
{
    return hf__log_fences(log, ret);
}

bool hf__fenced(const struct hf__fences *f, uint32_t incarnation)
{
    (void)f;
    (void)incarnation;
    return false;
}

int hf__log_knows(struct hf__log *log, uint32_t incarnation, uint64_t sequence, bool *ret)
{
    (void)log;
    (void)sequence;
    *ret = incarnation == 1;
    return HF_OK;
}

void hf__log_sweep(struct hf__log *log)
{
    (void)log;
}

int hf__log_set_back_in_time(struct hf__log *log)
{
    (void)log;
    return HF_OK;
}

int hf__log_requests(struct hf__log *log, int (*fn)(void *user, const struct hf__request *q),
                     void *user)
{
    (void)log;
    (void)fn;
    (void)user;
    return HF_OK;
}

int hf__log_request_done(struct hf__log *log, uint64_t number)
{
    return hf__log_request_answer(log, number, HF_OK);
}

int hf__log_request_answer(struct hf__log *log, uint64_t number, int result)
{
    (void)log;
    (void)number;
    (void)result;
    return HF_ENOTFOUND;
}

int hf__log_forget(struct hf__log *log, struct hf__request *q, bool tell)
{
    (void)log;
    (void)q;
    (void)tell;
    return HF_ENOTFOUND;
}

int hf__log_former(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE], hf_outcome *ret)
{
    (void)log;
    (void)gtrid;
    (void)ret;
    return HF_ENOTFOUND;
}
