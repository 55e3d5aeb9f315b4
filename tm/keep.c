/*
 * tm/keep.c - which transactions go to the history when their owner has completed them.
 *
 * Asked after the outcome is known and before the caller is told; it reads the clock, and for one
 * that is worth keeping it copies a few hundred bytes. The disk is the tick's business.
 *
 * An entry is *open* while the decision log may still have something to say: recovery's is merged
 * into it then (history.c).
 */
#include <stdlib.h>
#include <string.h>

#include "node.h"

enum { SMALL_COUNT = 8 }; /* branches of a record that fit on the stack */

static bool is_heuristic(const hf_tx *tx)
{
    for (unsigned i = 0; i < tx->count; i++)
        if (tx->branches[i].heuristic || tx->branches[i].state == HF__B_FORGOTTEN ||
            tx->branches[i].state == HF__B_UNFORGOTTEN)
            return true;
    return false;
}

/* Bits of enum hf_inspect_kept; 0: it is not worth keeping. */
static uint8_t judge(const hf_tx *tx, const hf_result *result, bool committing)
{
    const hf_tm_config *config = &tx->tm->config;
    hf_outcome wanted = committing ? HF_COMMITTED : HF_ROLLEDBACK;
    unsigned kept = 0;

    if (config->history == HF__HISTORY_NONE)
        return 0;
    if (config->history == HF__HISTORY_ALL)
        kept |= HF_KEPT_ALL;
    if (hf__timeline_took(&tx->timeline) / 1000 >= config->slow_ms)
        kept |= HF_KEPT_SLOW;
    if (result->outcome != wanted || result->owed > 0)
        kept |= HF_KEPT_FAILED;
    if (is_heuristic(tx))
        kept |= HF_KEPT_HEURISTIC;
    return (uint8_t)kept;
}

static void put_span(const hf_tx *tx, const hf_result *result, struct hf__span *ret)
{
    hf__timeline_end(&tx->timeline, ret);
    ret->incarnation = hf__log_incarnation(tx->tm->log);
    memcpy(ret->rm, result->rm, sizeof(ret->rm));
    memcpy(ret->call, result->call, sizeof(ret->call));
    memcpy(ret->text, result->text, sizeof(ret->text) - 1);
    ret->text[sizeof(ret->text) - 1] = '\0';
    for (unsigned i = 0; i < ret->count; i++)
        for (unsigned j = 0; j < tx->count && ret->events[i].rm_id == 0; j++)
            if (tx->members[j].number == ret->events[i].number)
                ret->events[i].rm_id = tx->members[j].instance->rm->id;
}

static void keep(const hf_tx *tx, const hf_result *result, uint8_t kept)
{
    const struct hf__coord *c = &tx->coord;
    struct hf__rec_branch small[SMALL_COUNT];
    struct hf__rec rec = {.branches = small};
    struct hf__span span;
    struct hf__finished f = {.rec = &rec, .span = &span};

    if (tx->count > SMALL_COUNT &&
        (rec.branches = calloc(tx->count, sizeof(*rec.branches))) == NULL)
        return;
    put_span(tx, result, &span);
    span.kept = kept;
    memcpy(rec.gtrid, tx->gtrid, HF__GTRID_SIZE);
    rec.decision = c->decision == HF__COMMIT ? HF__COMMIT : HF__ROLLBACK;
    rec.outcome = (uint8_t)result->outcome;
    rec.decided_ms = hf__now_ms();
    rec.written_by = span.incarnation;
    for (unsigned i = 0; i < tx->count; i++) {
        struct hf__rec_branch *b = &rec.branches[rec.count];

        *b = (struct hf__rec_branch){.rm_id = tx->members[i].instance->rm->id,
                                     .number = tx->members[i].number};
        rec.count += hf__branch_store(c, &tx->branches[i], b);
    }
    f.open = result->outcome == HF_UNKNOWN || result->owed > 0 || c->record_failed ||
             (c->recorded && (kept & HF_KEPT_HEURISTIC) != 0);
    hf__history_queue(hf__log_history(tx->tm->log), &f);
    if (rec.branches != small)
        free(rec.branches);
}

void hf__tx_keep(const hf_tx *tx, const hf_result *result, bool committing)
{
    uint8_t kept = judge(tx, result, committing);

    if (kept != 0)
        keep(tx, result, kept);
}
