/*
 * tm/record.c - encode and decode what record.h describes. No input or output here.
 *
 * Decoding trusts nothing: the store's checksum says that a payload is what was written, not that a
 * sane program wrote it. Every length is checked against the payload before it is used.
 */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static int bad(const char *what)
{
    return hf__error(HF_EDAMAGED, 0, "the log has %s that no version of holdfast wrote", what);
}

/* -- keys ------------------------------------------------------------------------------------- */

size_t hf__key32(unsigned char key[HF__KEY_SIZE_MAX], char kind, uint32_t number)
{
    key[0] = (unsigned char)kind;
    hf__put32(key + 1, number);
    return 5;
}

size_t hf__key64(unsigned char key[HF__KEY_SIZE_MAX], char kind, uint64_t number)
{
    key[0] = (unsigned char)kind;
    hf__put64(key + 1, number);
    return 9;
}

size_t hf__key_gtrid(unsigned char key[HF__KEY_SIZE_MAX], char kind,
                     const unsigned char gtrid[HF__GTRID_SIZE])
{
    key[0] = (unsigned char)kind;
    memcpy(key + 1, gtrid, HF__GTRID_SIZE);
    return 1 + HF__GTRID_SIZE;
}

/* -- node, incarnation, binding --------------------------------------------------------------- */

void hf__node_encode(const struct hf__node *n, unsigned char buf[HF__NODE_BYTES])
{
    memset(buf, 0, HF__NODE_BYTES);
    hf__put32(buf, n->highest);
    hf__put32(buf + 4, n->next_rm_id);
    hf__put32(buf + 8, n->flags);
    memcpy(buf + 16, n->machine, sizeof(n->machine));
    hf__put64(buf + 32, n->file_system);
    hf__put64(buf + 40, n->inode);
    hf__put64(buf + 48, n->nonce);
}

int hf__node_decode(const struct hf__record *r, struct hf__node *ret)
{
    const unsigned char *p = r->data;

    if (r->kind != 'N' || r->size < HF__NODE_BYTES)
        return bad("a node record");
    ret->highest = hf__get32(p);
    ret->next_rm_id = hf__get32(p + 4);
    ret->flags = hf__get32(p + 8);
    memcpy(ret->machine, p + 16, sizeof(ret->machine));
    ret->file_system = hf__get64(p + 32);
    ret->inode = hf__get64(p + 40);
    ret->nonce = hf__get64(p + 48);
    return HF_OK;
}

void hf__incarnation_encode(const struct hf__incarnation *i,
                            unsigned char buf[HF__INCARNATION_BYTES])
{
    memset(buf, 0, HF__INCARNATION_BYTES);
    buf[0] = i->state;
    hf__put32(buf + 4, i->uid);
    hf__put64(buf + 8, (uint64_t)i->pid);
    hf__put64(buf + 16, i->claimed_ms);
    hf__put64(buf + 24, i->pid_namespace);
    hf__put32(buf + 32, i->fenced_by);
    hf__put32(buf + 36, i->nonce);
}

int hf__incarnation_decode(const unsigned char *key, size_t key_size, const struct hf__record *r,
                           struct hf__incarnation *ret)
{
    const unsigned char *p = r->data;

    if (r->kind != 'I' || r->size < HF__INCARNATION_BYTES || key_size != 5 || p[0] < HF_INC_OPEN ||
        p[0] > HF_INC_FENCED)
        return bad("an incarnation");
    ret->number = hf__get32(key + 1);
    ret->state = p[0];
    ret->uid = hf__get32(p + 4);
    ret->pid = (int64_t)hf__get64(p + 8);
    ret->claimed_ms = hf__get64(p + 16);
    ret->pid_namespace = hf__get64(p + 24);
    ret->fenced_by = hf__get32(p + 32);
    ret->nonce = hf__get32(p + 36);
    return HF_OK;
}

void hf__binding_encode(const struct hf__binding *b, unsigned char buf[HF__BINDING_BYTES])
{
    memset(buf, 0, HF__BINDING_BYTES);
    buf[0] = b->has_identity;
    buf[1] = (unsigned char)strnlen(b->name, sizeof(b->name) - 1);
    memcpy(buf + 4, b->identity, HF_IDENTITY_SIZE);
    memcpy(buf + 36, b->name, buf[1]);
}

int hf__binding_decode(const unsigned char *key, size_t key_size, const struct hf__record *r,
                       struct hf__binding *ret)
{
    const unsigned char *p = r->data;

    if (r->kind != 'R' || r->size < HF__BINDING_BYTES || key_size != 5 || p[1] >= HF__RM_NAME_SIZE)
        return bad("a resource manager's binding");
    memset(ret, 0, sizeof(*ret));
    ret->id = hf__get32(key + 1);
    ret->has_identity = p[0] != 0;
    memcpy(ret->identity, p + 4, HF_IDENTITY_SIZE);
    memcpy(ret->name, p + 36, p[1]);
    return HF_OK;
}

/* -- requests --------------------------------------------------------------------------------- */

size_t hf__request_encode(const struct hf__request *q, unsigned char buf[HF__REQUEST_BYTES_MAX])
{
    size_t reason = strnlen(q->reason, sizeof(q->reason) - 1);

    memset(buf, 0, HF__REQUEST_BYTES);
    buf[0] = q->verb;
    buf[1] = q->state;
    hf__put32(buf + 4, q->uid);
    hf__put64(buf + 8, q->asked_ms);
    hf__put64(buf + 16, q->done_ms);
    hf__put32(buf + 24, q->incarnation);
    hf__put32(buf + 28, q->rm_id);
    buf[33] = (unsigned char)reason; /* buf[32] is its high byte: always 0 */
    memcpy(buf + HF__REQUEST_BYTES, q->reason, reason);
    if (q->verb != HF_REQUEST_FORGET)
        return HF__REQUEST_BYTES + reason;
    memcpy(buf + HF__REQUEST_BYTES + reason, q->gtrid, HF__GTRID_SIZE);
    hf__put32(buf + HF__REQUEST_BYTES + reason + HF__GTRID_SIZE, (uint32_t)q->result);
    return HF__REQUEST_BYTES + reason + HF__REQUEST_ABOUT;
}

int hf__request_decode(const unsigned char *key, size_t key_size, const struct hf__record *r,
                       struct hf__request *ret)
{
    const unsigned char *p = r->data;
    size_t reason;

    if (r->kind != 'Q' || r->size < HF__REQUEST_BYTES || key_size != 9)
        return bad("a request");
    reason = (size_t)p[32] << 8 | p[33];
    if (reason >= sizeof(ret->reason) || reason > r->size - HF__REQUEST_BYTES)
        return bad("a request's reason");
    memset(ret, 0, sizeof(*ret));
    ret->number = hf__get64(key + 1);
    ret->verb = p[0];
    ret->state = p[1];
    ret->uid = hf__get32(p + 4);
    ret->asked_ms = hf__get64(p + 8);
    ret->done_ms = hf__get64(p + 16);
    ret->incarnation = hf__get32(p + 24);
    ret->rm_id = hf__get32(p + 28);
    memcpy(ret->reason, p + HF__REQUEST_BYTES, reason);
    if (ret->verb != HF_REQUEST_FORGET)
        return HF_OK;
    if (r->size - HF__REQUEST_BYTES - reason < HF__REQUEST_ABOUT)
        return bad("a request to forget");
    p += HF__REQUEST_BYTES + reason;
    memcpy(ret->gtrid, p, HF__GTRID_SIZE);
    ret->result = (int32_t)hf__get32(p + HF__GTRID_SIZE);
    return HF_OK;
}

/* -- transactions ----------------------------------------------------------------------------- */

size_t hf__rec_size(const struct hf__rec *rec)
{
    size_t size = HF__REC_BYTES;

    for (uint32_t i = 0; i < rec->count; i++)
        size += HF__REC_BRANCH_BYTES + rec->branches[i].token_size;
    return size;
}

void hf__rec_encode(const struct hf__rec *rec, unsigned char *buf)
{
    unsigned char *p = buf + HF__REC_BYTES;

    HF_CHECK(rec->count <= HF__BRANCHES_MAX);
    memset(buf, 0, HF__REC_BYTES);
    buf[0] = rec->decision;
    buf[1] = rec->outcome;
    buf[2] = rec->by_recovery;
    hf__put32(buf + 4, rec->count);
    hf__put64(buf + 8, rec->decided_ms);
    hf__put32(buf + 16, rec->written_by);
    for (uint32_t i = 0; i < rec->count; i++) {
        const struct hf__rec_branch *b = &rec->branches[i];

        HF_CHECK(b->token_size <= HF_TOKEN_SIZE_MAX);
        hf__put32(p, b->rm_id);
        hf__put32(p + 4, b->number);
        p[8] = b->state;
        p[9] = b->token_size;
        p[10] = (unsigned char)((uint16_t)b->code >> 8);
        p[11] = (unsigned char)b->code;
        memcpy(p + HF__REC_BRANCH_BYTES, b->token, b->token_size);
        p += HF__REC_BRANCH_BYTES + b->token_size;
    }
}

int hf__rec_decode(const unsigned char gtrid[HF__GTRID_SIZE], const unsigned char *p, size_t size,
                   struct hf__rec *ret)
{
    const unsigned char *end = p + size;

    if (size < HF__REC_BYTES || p[0] < 1 || p[0] > 2 || p[1] > HF_HAZARD ||
        hf__get32(p + 4) > HF__BRANCHES_MAX)
        return bad("a transaction");
    *ret = (struct hf__rec){.decision = p[0],
                            .outcome = p[1],
                            .by_recovery = p[2] != 0,
                            .count = hf__get32(p + 4),
                            .decided_ms = hf__get64(p + 8),
                            .written_by = hf__get32(p + 16)};
    memcpy(ret->gtrid, gtrid, HF__GTRID_SIZE);
    ret->branches = calloc(ret->count + 1, sizeof(*ret->branches));
    if (ret->branches == NULL)
        return hf__error(HF_ENOMEM, 0, "read a transaction of %u branches", ret->count);
    p += HF__REC_BYTES;
    for (uint32_t i = 0; i < ret->count; i++) {
        struct hf__rec_branch *b = &ret->branches[i];

        if (end - p < HF__REC_BRANCH_BYTES || p[9] > HF_TOKEN_SIZE_MAX ||
            end - p < HF__REC_BRANCH_BYTES + p[9] || p[8] < HF_BRANCH_OWED ||
            p[8] > HF_BRANCH_HEUR_HAZARD) {
            free(ret->branches);
            ret->branches = NULL;
            return bad("a branch");
        }
        if (ret->decision == HF__ROLLBACK && p[8] <= HF_BRANCH_UNCONFIRMED) {
            free(ret->branches);
            ret->branches = NULL;
            return bad("a branch to commit in a transaction that is not committed,");
        }
        b->rm_id = hf__get32(p);
        b->number = hf__get32(p + 4);
        b->state = p[8];
        b->token_size = p[9];
        b->code = (int16_t)(p[10] << 8 | p[11]);
        memcpy(b->token, p + HF__REC_BRANCH_BYTES, b->token_size);
        p += HF__REC_BRANCH_BYTES + b->token_size;
    }
    return HF_OK;
}
