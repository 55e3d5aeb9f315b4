/*
 * walk_class.c - classes of return codes, and the proof that a class has one meaning.
 *
 * Two codes are of one class if the coordinator goes to the same state by both, whatever state it
 * is in, and a caller knows the same after both. walk_prove_classes() tries every code of every
 * call with every value of everything that hf__coord_answer() may look at: fields of the branch,
 * and of the coordinator. So a walk that takes one code of each class, with all truths that fit any
 * code of it, walks the same states as one that takes all.
 */
#include <string.h>

#include "walk.h"

static int class_of_commit(int code)
{
    if (code == XA_OK || walk_is_heur(code))
        return code;
    return walk_is_rb(code) || code == XAER_NOTA || code == XAER_RMERR ? XAER_NOTA : XAER_RMFAIL;
}

static int class_of_rollback(int code)
{
    if (code == XAER_NOTA || walk_is_heur(code))
        return code;
    return code == XA_OK || walk_is_rb(code) || code == XAER_RMERR ? XA_OK : XAER_RMFAIL;
}

/* The code that stands for the class of this one. */
int walk_class(enum hf__act_kind call, int code)
{
    switch (call) {
    case HF__ACT_END:
        if (code == XA_OK || code == XA_NOMIGRATE)
            return XA_OK;
        return code == XAER_RMFAIL ? XAER_RMFAIL : XAER_RMERR;
    case HF__ACT_PREPARE:
        if (code == XA_OK || code == XA_RDONLY || code == XAER_RMFAIL)
            return code;
        return walk_is_rb(code) || code == XAER_NOTA ? XAER_NOTA : XAER_RMERR;
    case HF__ACT_COMMIT:
        return class_of_commit(code);
    case HF__ACT_COMMIT_ONE:
        if (code != XAER_RMFAIL && class_of_commit(code) == XAER_RMFAIL)
            return XAER_PROTO;
        return class_of_commit(code);
    case HF__ACT_ROLLBACK:
        return class_of_rollback(code);
    default:
        return code == XA_OK || code == XAER_NOTA ? XA_OK : XAER_RMFAIL;
    }
}

/* -- the proof --------------------------------------------------------------------------------- */

/* One value of everything that an answer may depend on: bits of n, then the fields of three and
   more values. */
static void set_up(struct hf__coord *c, struct hf__branch *b, unsigned n, enum hf__fate fate,
                   enum hf__decision decision)
{
    memset(c, 0, sizeof(*c));
    memset(b, 0, sizeof(*b));
    c->branches = b;
    c->count = 1;
    b->fate = (uint8_t)fate;
    b->can_probe = n & 1;
    b->tried = n >> 1 & 1;
    b->heuristic = n >> 2 & 1;
    b->unconfirmed = n >> 3 & 1;
    b->async = n >> 4 & 1;
    c->spoilt = n >> 5 & 1;
    c->recorded = n >> 6 & 1;
    c->changed = n >> 7 & 1;
    c->record_failed = n >> 8 & 1;
    c->one_by_one = n >> 9 & 1;
    c->decision = (uint8_t)decision;
    c->waiting = true;
    c->under_way = 1;
}

static void answer(struct hf__coord *c, struct hf__branch *b, enum hf__branch_state state, int code)
{
    b->state = (uint8_t)state;
    c->branches = b;
    hf__coord_answer(c, 0, code);
    b->code = walk_code(b);
    c->branches = NULL;
}

static void compare(enum hf__act_kind call, enum hf__branch_state state, int code,
                    const struct hf__coord *c, const struct hf__branch *b)
{
    struct hf__coord c1 = *c, c2 = *c;
    struct hf__branch b1 = *b, b2 = *b;
    struct rm rm1, rm2;
    bool single = b->tried;

    answer(&c1, &b1, state, code);
    answer(&c2, &b2, state, walk_class(call, code));
    if (memcmp(&c1, &c2, sizeof(c1)) != 0 || memcmp(&b1, &b2, sizeof(b1)) != 0)
        walk_violate("0", "two codes of a class lead to different states");
    memset(&rm1, 0, sizeof(rm1));
    memset(&rm2, 0, sizeof(rm2));
    walk_rm_learn(&rm1, call, code, single);
    walk_rm_learn(&rm2, call, walk_class(call, code), single);
    if (memcmp(&rm1, &rm2, sizeof(rm1)) != 0)
        walk_violate("0", "two codes of a class tell the caller different things");
}

/* Returns how many answers were compared. */
unsigned long walk_prove_classes(void)
{
    static const struct {
        enum hf__act_kind call;
        enum hf__branch_state state;
    } calls[] = {
        { HF__ACT_END, HF__B_ENDING },           { HF__ACT_PREPARE, HF__B_PREPARING },
        { HF__ACT_COMMIT, HF__B_COMMITTING },    { HF__ACT_COMMIT_ONE, HF__B_COMMITTING_ONE },
        { HF__ACT_ROLLBACK, HF__B_ROLLING_BACK }, { HF__ACT_FORGET, HF__B_FORGETTING },
    };
    unsigned long compared = 0;
    struct hf__coord c;
    struct hf__branch b;
    unsigned i, n, fate, decision, code;

    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        for (n = 0; n < 1U << 10; n++)
            for (fate = HF__FATE_OPEN; fate <= HF__FATE_HAZARD; fate++)
                for (decision = HF__UNDECIDED; decision <= HF__DECISION_UNKNOWN; decision++) {
                    set_up(&c, &b, n, (enum hf__fate)fate, (enum hf__decision)decision);
                    for (code = 0; code < CODE_COUNT; code++, compared++)
                        compare(calls[i].call, calls[i].state, walk_codes[code], &c, &b);
                }
    return compared;
}
