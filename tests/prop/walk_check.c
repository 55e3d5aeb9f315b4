/*
 * walk_check.c - what must hold in every state of the walk.
 *
 * Numbers are those of ARCHITECTURE.md; 0 is what coordinator.h promises beside them.
 *
 *   1  xa_commit: only after FORCE was answered LOGGED in this life, or from a record on disk that
 *      lists the branch; never both xa_commit and xa_rollback to one branch, in all lives together
 *   2  no xa_rollback to a branch of a decision that is on disk
 *   5  honest branches end alike and as decided; a branch that did otherwise is in the record
 *      before xa_forget and before the caller hears, and the caller hears of what damage is known
 *   6  RELEASE: each listed branch acknowledged or proved to have committed; a record never stops
 *      listing a branch, and tells no more than is known
 *   8  after UNKNOWN no call and no other outcome; what was told stays true; truth follows the log
 *   0  asynchronous calls go at once, only votes and commits go beside them, ranks go in order
 *  10  calls only where [XA] Table 6-4 allows them, as far as answers tell
 *  13  a stale session is got rid of only in recovery, for a branch that is prepared and denied
 *  14  (walk_life.c) a second honest pass changes nothing
 *  15  an honest pass settles all that can be settled
 *
 * A branch that moved by its own will (a heuristic, an operator, told to commit and rolled back) is
 * exempt from "alike", not from being recorded.
 */
#include <limits.h>

#include "walk.h"

static bool any_known(const struct world *w, enum know know)
{
    unsigned i;

    for (i = 0; i < w->c.count; i++)
        if (w->rm[w->map[i]].know == know)
            return true;
    return false;
}

/* A branch ended, or may have, otherwise than it was decided. */
static bool is_damage(const struct world *w, const struct rm *rm)
{
    bool commit = w->forced || (w->mode == SETTLING && w->disk.decision == HF__COMMIT);

    if (rm->known == HF__FATE_MIXED || rm->known == HF__FATE_HAZARD)
        return true;
    if (rm->sent & 1U << HF__ACT_COMMIT_ONE)
        return false; /* alone: whatever it did is the decision */
    return rm->known == (commit ? HF__FATE_ROLLEDBACK : HF__FATE_COMMITTED);
}

/* -- actions ----------------------------------------------------------------------------------- */

static void check_end(const struct world *w, const struct rm *rm)
{
    if (w->mode != DECIDING || rm->know != K_ACTIVE)
        walk_violate("10", "xa_end of a branch that is not associated");
    if (w->want != WANT_COMMIT && !w->c.spoilt)
        walk_violate("0", "xa_end says TMSUCCESS in a transaction that must roll back");
}

static void check_prepare(const struct world *w, const struct rm *rm)
{
    if (rm->know != K_IDLE || w->mode != DECIDING)
        walk_violate("10", "xa_prepare of a branch that is not idle");
    if (w->want != WANT_COMMIT)
        walk_violate("0", "xa_prepare in a transaction that must roll back");
    if (any_known(w, K_ACTIVE))
        walk_violate("10", "xa_prepare before every branch was ended");
    if (any_known(w, K_DOOMED) || any_known(w, K_LOST) || any_known(w, K_NO))
        walk_violate("0", "xa_prepare after a no");
    if (w->count == 1)
        walk_violate("0", "xa_prepare of a lone branch");
}

/* The lowest rank that has to commit, and has not all answered. */
static int lowest_rank(const struct world *w)
{
    int lowest = INT_MAX;
    unsigned i;

    for (i = 0; i < w->c.count; i++)
        if (w->rm[w->map[i]].know == K_PREPARED && w->b[i].rank < lowest)
            lowest = w->b[i].rank;
    return lowest;
}

static void check_commit(const struct world *w, unsigned branch)
{
    unsigned m = w->map[branch];
    const struct rm *rm = &w->rm[m];

    if (w->mode == DECIDING && w->b[branch].rank > lowest_rank(w))
        walk_violate("0", "xa_commit before a lower rank has answered");
    if (rm->know == K_READONLY || rm->know == K_NO || rm->know == K_GONE)
        walk_violate("10", "xa_commit to a branch that is gone");
    else if (rm->know != K_PREPARED)
        walk_violate("10", "xa_commit to a branch that is not known to be prepared");
    if (w->mode == DECIDING && !w->forced)
        walk_violate("1", "xa_commit before the decision is durable");
    if (w->mode == UNDOING)
        walk_violate("1", "xa_commit while rolling back");
    if (!w->disk.present || w->disk.decision != HF__COMMIT || w->disk.b[m] == 0)
        walk_violate("1", "xa_commit to a branch that no decision on disk lists");
    if (rm->ever_back)
        walk_violate("1", "xa_commit to a branch that was told to roll back");
    if (rm->sent & 1U << HF__ACT_COMMIT)
        walk_violate("0", "xa_commit twice in one pass");
}

static void check_rollback(const struct world *w, const struct rm *rm)
{
    if (rm->know != K_IDLE && rm->know != K_DOOMED && rm->know != K_PREPARED)
        walk_violate("10", "xa_rollback to a branch that is gone, or not ended");
    if (w->forced || (w->logged && rm->yes))
        walk_violate("2", "xa_rollback although the decision is on disk");
    if (rm->ever_commit || w->mode == SETTLING)
        walk_violate("2", "xa_rollback to a branch that was told to commit");
    if (rm->sent & 1U << HF__ACT_ROLLBACK)
        walk_violate("0", "xa_rollback twice in one pass");
}

static void check_forget(const struct world *w, unsigned m)
{
    const struct rm *rm = &w->rm[m];

    if (rm->know != K_HEUR)
        walk_violate("10", "xa_forget of a branch that has not decided by itself");
    if (is_damage(w, rm) &&
        !(walk_listed_heuristic(&w->disk, m) && walk_listed_fate(&w->disk, m) == rm->known))
        walk_violate("5", "xa_forget before the heuristic is on disk");
    if (rm->sent & 1U << HF__ACT_FORGET)
        walk_violate("0", "xa_forget twice in one pass");
}

static void check_probe(const struct rm *rm, const struct hf__branch *b, enum mode mode)
{
    if (!b->can_probe)
        walk_violate("10", "a probe of a resource manager that offers none");
    if (rm->know != K_SUSPECT && !(mode == SETTLING && rm->know == K_PREPARED))
        walk_violate("10", "a probe of a branch that nothing has to be asked of");
    if (rm->probes >= 2U + rm->detaches)
        walk_violate("0", "a third probe in one pass, or a fourth with a detach");
}

static void check_detach(const struct world *w, unsigned branch)
{
    const struct rm *rm = &w->rm[w->map[branch]];

    if (!w->b[branch].can_detach || w->mode == DECIDING)
        walk_violate("13", "a detach that is not offered, or outside of recovery");
    if (!rm->nota || rm->detaches > 0)
        walk_violate("13", "a detach without XAER_NOTA or the like, or twice in one pass");
    if (w->scan[w->map[branch]] != HF__SEEN_IN_SCAN && rm->know != K_PREPARED)
        walk_violate("13", "a detach for a branch that neither scan nor probe finds prepared");
}

static void check_one(const struct world *w, const struct rm *rm)
{
    if (w->count != 1 || w->mode != DECIDING)
        walk_violate("1", "one-phase commit with more than one branch");
    if (rm->know != K_IDLE || w->want != WANT_COMMIT)
        walk_violate("10", "one-phase commit of a branch that is not idle");
}

static void check_release(const struct world *w)
{
    unsigned m;

    if (!w->disk.present || w->disk.removing || w->disk.decision != HF__COMMIT)
        walk_violate("6", "release without a record of a commit");
    if (!w->forced && w->mode != SETTLING)
        walk_violate("6", "release of a record that this life neither wrote nor settles");
    if (w->record_bad)
        walk_violate("6", "release although the record was refused");
    for (m = 0; m < w->count; m++) {
        if (w->disk.b[m] == 0)
            continue;
        if (w->rm[m].known != HF__FATE_COMMITTED)
            walk_violate("6", "release before a listed branch is acknowledged or proved");
        else if (w->rm[m].know != K_GONE)
            walk_violate("6", "release before xa_forget has succeeded");
    }
}

/* Before FORCE: everybody voted yes, and exactly those who are prepared will be listed. */
void walk_check_force(const struct world *w)
{
    unsigned i, prepared = 0;

    for (i = 0; i < w->c.count; i++) {
        const struct rm *rm = &w->rm[w->map[i]];

        prepared += rm->know == K_PREPARED;
        if (rm->know != K_PREPARED && rm->know != K_READONLY)
            walk_violate("1", "a decision to commit without every vote");
        if ((rm->know == K_PREPARED) != (w->b[i].state == HF__B_PREPARED))
            walk_violate("1", "the decision lists others than those who voted yes");
    }
    if (prepared == 0 || w->count < 2)
        walk_violate("0", "a decision is forced that nobody needs");
    if (w->mode != DECIDING || w->want != WANT_COMMIT || w->forced || w->disk.present)
        walk_violate("1", "a decision is forced twice, or where none is due");
}

static void check_call(const struct world *w, struct hf__act act)
{
    unsigned m = w->map[act.branch];
    const struct rm *rm = &w->rm[m];

    if (w->unknown)
        walk_violate("8", "a call after the log answered UNKNOWN");
    switch (act.kind) {
    case HF__ACT_END:
        check_end(w, rm);
        break;
    case HF__ACT_PREPARE:
        check_prepare(w, rm);
        break;
    case HF__ACT_COMMIT:
        check_commit(w, act.branch);
        break;
    case HF__ACT_COMMIT_ONE:
        check_one(w, rm);
        break;
    case HF__ACT_ROLLBACK:
        check_rollback(w, rm);
        break;
    case HF__ACT_PROBE:
        check_probe(rm, &w->b[act.branch], (enum mode)w->mode);
        break;
    case HF__ACT_DETACH:
        check_detach(w, act.branch);
        break;
    default:
        check_forget(w, m);
        break;
    }
}

/* -- calls that are under way together --------------------------------------------------------- */

static bool any_said_no(const struct world *w)
{
    return any_known(w, K_DOOMED) || any_known(w, K_LOST) || any_known(w, K_NO);
}

/* Could this branch be called now, whether or not others have answered? */
static bool is_due(const struct world *w, unsigned branch)
{
    const struct rm *rm = &w->rm[w->map[branch]];

    if (w->out & 1U << branch)
        return false;
    if (w->act == HF__ACT_PREPARE)
        return rm->know == K_IDLE && !any_said_no(w);
    return rm->know == K_PREPARED && w->b[branch].rank == lowest_rank(w);
}

/* out: the branches that had not answered when the coordinator came up with act. */
static void check_beside(const struct world *w, struct hf__act act)
{
    bool waits = act.kind == HF__ACT_WAIT;
    unsigned i;

    if (w->out == 0) {
        if (waits)
            walk_violate("0", "it waits, and nothing is under way");
        return;
    }
    if (!waits && act.kind != w->act)
        walk_violate("0", "an action that does not go beside what is under way");
    else if (!waits && (w->out & 1U << act.branch))
        walk_violate("0", "a call to a branch that has not answered the last one");
    if (!waits && w->b[act.branch].async)
        return;
    for (i = 0; i < w->c.count; i++)
        if (is_due(w, i) && (waits || w->b[i].async) && (waits || i != act.branch))
            walk_violate("0", "a branch that could be called at once is not");
}

void walk_check_act(const struct world *w, struct hf__act act)
{
    if (act.kind > HF__ACT_WAIT || (walk_calls_rm(act.kind) && act.branch >= w->c.count)) {
        walk_violate("0", "no such action or branch");
        return;
    }
    if (walk_calls_rm(act.kind))
        check_call(w, act);
    else if (act.kind == HF__ACT_WAIT)
        check_beside(w, act);
    else if (w->unknown && act.kind != HF__ACT_DONE)
        walk_violate("8", "the log is used after it answered UNKNOWN");
    else if (act.kind == HF__ACT_FORCE)
        walk_check_force(w);
    else if (act.kind == HF__ACT_RELEASE)
        check_release(w);
    if (act.kind == HF__ACT_RECORD && w->records >= 3)
        walk_violate("0", "a fourth RECORD in one pass");
    check_beside(w, act);
}

/* -- the log ----------------------------------------------------------------------------------- */

/* A record, when it is written: it must not lose a branch, nor tell more or less than is known. */
void walk_check_record(const struct world *w, const struct disk *next)
{
    unsigned i;

    for (i = 0; i < w->count; i++)
        if (w->disk.b[i] != 0 && next->b[i] == 0)
            walk_violate("6", "a record stops listing a branch");
    if (w->disk.present && next->decision != w->disk.decision)
        walk_violate("8", "a record changes its decision");
    for (i = 0; i < w->c.count; i++) {
        unsigned m = w->map[i];
        const struct rm *rm = &w->rm[m];
        enum hf__fate fate = walk_listed_fate(next, m);

        if (w->act == HF__ACT_FORCE && (next->b[m] == HF_BRANCH_OWED) != (rm->know == K_PREPARED))
            walk_violate("1", "a decision does not list just those who voted yes");
        if (fate != HF__FATE_OPEN && fate != rm->known)
            walk_violate("5", "a record tells another fate than the branch told");
        if (next->b[m] == HF_BRANCH_DONE && walk_rm_is_scanned((enum truth)rm->truth))
            walk_violate("6", "a record says done of a branch that is not");
        if (is_damage(w, rm) && !walk_listed_heuristic(next, m))
            walk_violate("5", "a record does not tell what a branch did by itself");
    }
}

/* -- the caller -------------------------------------------------------------------------------- */

/* The outcome that follows from what the answers told, and nothing else. */
static hf_outcome expected(const struct world *w)
{
    unsigned n[HF__FATE_HAZARD + 1] = { 0 };
    unsigned i;

    if (w->unknown)
        return HF_UNKNOWN;
    for (i = 0; i < w->c.count; i++) {
        const struct rm *rm = &w->rm[w->map[i]];

        if (rm->know == K_READONLY)
            continue;
        if (rm->known == HF__FATE_OPEN)
            n[w->forced ? HF__FATE_COMMITTED : HF__FATE_ROLLEDBACK]++;
        else
            n[rm->known]++;
    }
    if (n[HF__FATE_MIXED] > 0 || (n[HF__FATE_COMMITTED] > 0 && n[HF__FATE_ROLLEDBACK] > 0))
        return HF_MIXED;
    if (n[HF__FATE_HAZARD] > 0)
        return HF_HAZARD;
    if (n[HF__FATE_COMMITTED] > 0)
        return HF_COMMITTED;
    if (n[HF__FATE_ROLLEDBACK] > 0)
        return HF_ROLLEDBACK;
    return w->want == WANT_COMMIT ? HF_COMMITTED : HF_ROLLEDBACK;
}

void walk_check_told(const struct world *w, hf_outcome outcome)
{
    hf_outcome right = expected(w);

    if (right == HF_UNKNOWN && outcome != HF_UNKNOWN)
        walk_violate("8", "an unknown outcome is told as something else");
    else if (right != outcome)
        walk_violate("5", "the caller is told another outcome than the answers give");
}

static bool is_owed(unsigned state)
{
    return state == HF__B_LEFT || state == HF__B_OWED || state == HF__B_UNCONFIRMED ||
           state == HF__B_HEURISTIC || state == HF__B_UNFORGOTTEN;
}

void walk_check_done(const struct world *w)
{
    unsigned i, owed = 0, unconfirmed = 0;

    for (i = 0; i < w->c.count; i++) {
        const struct rm *rm = &w->rm[w->map[i]];

        owed += is_owed(w->b[i].state);
        unconfirmed += w->b[i].state == HF__B_UNCONFIRMED;
        if (w->b[i].state >= HF__B_ENDING)
            walk_violate("0", "done while a branch waits for an answer");
        if (is_damage(w, rm) && !walk_listed_heuristic(&w->disk, w->map[i]) && !w->record_bad &&
            !w->unknown)
            walk_violate("5", "done before a heuristic is recorded");
        if (w->mode == DECIDING && rm->truth == T_ALIVE && rm->know != K_LOST)
            walk_violate("0", "done, and a branch was never told to end");
        if (!w->unknown && !w->forced && rm->know == K_PREPARED && w->mode != SETTLING)
            walk_violate("5", "done, and a prepared branch was not told to roll back");
    }
    if (owed != hf__coord_owed(&w->c) || unconfirmed != hf__coord_unconfirmed(&w->c))
        walk_violate("0", "what is owed is counted wrong");
}

/* -- every state ------------------------------------------------------------------------------- */

void walk_check_world(const struct world *w)
{
    unsigned m;

    for (m = 0; m < w->count; m++) {
        const struct rm *rm = &w->rm[m];

        if (rm->own_will)
            continue;
        if (w->logged && rm->yes && rm->truth == T_ROLLEDBACK)
            walk_violate("5", "an honest branch rolled back although the decision is to commit");
        if (!w->logged && !rm->ever_one && rm->truth == T_COMMITTED)
            walk_violate("5", "an honest branch committed without a decision");
        if (w->told == HF_COMMITTED && rm->truth == T_ROLLEDBACK)
            walk_violate("8", "the caller was told committed, and an honest branch rolled back");
        if (w->told == HF_ROLLEDBACK && rm->truth == T_COMMITTED)
            walk_violate("8", "the caller was told rolled back, and an honest branch committed");
        if (w->logged && rm->yes && rm->truth == T_PREPARED &&
            (!w->disk.present || w->disk.removing))
            walk_violate("6", "the record is gone while a branch is prepared");
    }
}

void walk_check_verdict(const struct world *w, unsigned rm, enum hf__verdict verdict)
{
    bool listed = w->disk.present && w->disk.b[rm] != 0;

    if (verdict != (listed ? HF__SETTLE : HF__ROLL_BACK))
        walk_violate("10", "recovery does not settle what is recorded and roll back the rest");
}

/* The deciding life is over, by a crash or in peace: what it left has to lead to the same end
   everywhere. */
void walk_check_left(const struct world *w)
{
    unsigned m;

    for (m = 0; m < w->count; m++) {
        const struct rm *rm = &w->rm[m];

        if (w->disk.present && w->disk.decision == HF__COMMIT && (w->disk.b[m] != 0) != rm->yes)
            walk_violate("6", "the decision that is left does not list just those who voted yes");
        if (w->logged && !w->disk.present && rm->yes && rm->known != HF__FATE_COMMITTED)
            walk_violate("6", "the decision is gone, and not every branch is known to follow it");
    }
}

/* -- after an honest pass ---------------------------------------------------------------------- */

static bool may_stay(const struct world *w, unsigned m)
{
    uint8_t state = w->disk.b[m];

    if (state == HF_BRANCH_HEUR_COMMIT && w->disk.decision == HF__COMMIT)
        return false;
    if (walk_listed_heuristic(&w->disk, m))
        return true; /* damage: until an operator forgets it */
    /* No probe can say "mixed". */
    return (state == HF_BRANCH_UNCONFIRMED || state == HF_BRANCH_OWED) &&
           (!w->rm[m].can_probe || w->rm[m].truth == T_MIXED);
}

/* Nothing is in doubt, and a record is left only where there is something to tell. */
void walk_check_settled(const struct world *w)
{
    bool reason = false;
    unsigned m;

    for (m = 0; m < w->count; m++) {
        const struct rm *rm = &w->rm[m];

        if (rm->truth == T_PREPARED || rm->truth == T_LATE)
            walk_violate("15", "a branch is in doubt after an honest pass");
        if (rm->truth == T_S5_COM || rm->truth == T_S5_RB || rm->truth == T_S5_MIX)
            walk_violate("15", "a heuristic is not forgotten after an honest pass");
        if (may_stay(w, m))
            reason = true;
        if (w->logged && rm->yes && (rm->truth == T_ROLLEDBACK || rm->truth == T_MIXED) &&
            (!w->disk.present || w->disk.removing || w->disk.b[m] == 0))
            walk_violate("5", "a branch did not commit as decided, and no record lists it");
        if (!w->logged && !rm->ever_one && (rm->truth == T_COMMITTED || rm->truth == T_MIXED) &&
            !walk_listed_heuristic(&w->disk, m))
            walk_violate("5", "a branch committed by itself, and no record tells");
    }
    if (w->disk.present && !w->disk.removing && !reason)
        walk_violate("15", "a record is left with nothing owed, open or damaged");
    if (!w->disk.present && w->disk.removing)
        walk_violate("6", "a removal without a record");
}
