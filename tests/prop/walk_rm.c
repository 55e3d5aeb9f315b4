/*
 * walk_rm.c - the model resource managers: which true states fit which answer.
 *
 * A resource manager may answer any code. What it may mean by it follows the specification and,
 * where real ones stray from it, what they were seen to mean. An answer of success is never a lie:
 * no transaction manager could live with that. Everything else may stand for more than one truth:
 *
 *   prepare  RMFAIL: prepared, gone, or still being prepared; an error: idle, prepared or gone
 *   commit   NOTA: an old session hangs on (prepared), or an operator committed or rolled back;
 *            RMERR, RB*: rolled back for good, or a confusion with RMFAIL; RMFAIL: anything
 *   one      RMFAIL, and what is no answer at all: committed, rolled back, (idle)
 *   HEURHAZ  any heuristic
 *
 * Left out, because nothing could see it: a branch without a decision that an operator commits by
 * hand and of which the resource manager says NOTA to xa_rollback, which [XA] takes as rolled back.
 */
#include "walk.h"

#define BIT(t) (1U << (t))

static const unsigned any_heuristic = BIT(T_S5_COM) | BIT(T_S5_RB) | BIT(T_S5_MIX);

static bool is_s5(enum truth truth)
{
    return truth == T_S5_COM || truth == T_S5_RB || truth == T_S5_MIX;
}

static enum truth forgotten(enum truth truth)
{
    if (truth == T_S5_COM)
        return T_COMMITTED;
    return truth == T_S5_RB ? T_ROLLEDBACK : T_MIXED;
}

static int heuristic_code(enum truth truth)
{
    if (truth == T_S5_COM)
        return XA_HEURCOM;
    return truth == T_S5_RB ? XA_HEURRB : XA_HEURMIX;
}

/* The heuristics that a HEUR* code may stand for. */
static unsigned heuristics(int code)
{
    switch (code) {
    case XA_HEURCOM:
        return BIT(T_S5_COM);
    case XA_HEURRB:
        return BIT(T_S5_RB);
    case XA_HEURMIX:
        return BIT(T_S5_MIX);
    default:
        return any_heuristic;
    }
}

static unsigned after_prepare(int code)
{
    if (code == XA_OK)
        return BIT(T_PREPARED);
    if (code == XA_RDONLY)
        return BIT(T_READONLY);
    if (walk_is_rb(code) || code == XAER_NOTA)
        return BIT(T_ROLLEDBACK);
    if (code == XAER_RMFAIL)
        return BIT(T_PREPARED) | BIT(T_ROLLEDBACK) | BIT(T_LATE);
    return BIT(T_ALIVE) | BIT(T_PREPARED) | BIT(T_ROLLEDBACK);
}

static unsigned after_one(int code)
{
    if (code == XA_OK)
        return BIT(T_COMMITTED);
    if (walk_is_rb(code) || code == XAER_NOTA || code == XAER_RMERR)
        return BIT(T_ROLLEDBACK);
    if (walk_is_heur(code))
        return heuristics(code);
    if (code == XAER_RMFAIL)
        return BIT(T_COMMITTED) | BIT(T_ROLLEDBACK);
    return BIT(T_ALIVE) | BIT(T_COMMITTED) | BIT(T_ROLLEDBACK);
}

/* A branch that has decided by itself is told to commit or to roll back. */
static unsigned after_decision_on_s5(bool commit, enum truth truth, int code)
{
    if (code == XA_OK || walk_is_rb(code))
        return commit && code != XA_OK ? BIT(truth) : 0;
    if (walk_is_heur(code))
        return heuristics(code) & BIT(truth);
    if (code == XAER_NOTA) /* an operator has made it forget */
        return commit ? BIT(forgotten(truth)) : 0;
    return BIT(truth);
}

static unsigned after_commit(enum truth truth, int code)
{
    if (is_s5(truth))
        return after_decision_on_s5(true, truth, code);
    if (truth != T_PREPARED) {
        if (walk_is_heur(code) || code == XA_RETRY || (code == XA_OK && truth != T_COMMITTED))
            return 0;
        return BIT(truth);
    }
    if (code == XA_OK)
        return BIT(T_COMMITTED);
    if (walk_is_heur(code))
        return heuristics(code);
    if (code == XA_RETRY)
        return BIT(T_PREPARED);
    if (code == XAER_RMFAIL)
        return BIT(T_PREPARED) | BIT(T_COMMITTED) | BIT(T_ROLLEDBACK) | BIT(T_S5_COM) |
               BIT(T_S5_RB);
    return BIT(T_PREPARED) | BIT(T_COMMITTED) | BIT(T_ROLLEDBACK);
}

static unsigned after_rollback(enum truth truth, int code)
{
    bool ended = code == XA_OK || walk_is_rb(code);

    if (is_s5(truth))
        return after_decision_on_s5(false, truth, code);
    switch (truth) {
    case T_ALIVE:
        if (walk_is_heur(code))
            return 0;
        return ended || code == XAER_RMERR || code == XAER_NOTA ? BIT(T_ROLLEDBACK) : BIT(T_ALIVE);
    case T_PREPARED:
        if (walk_is_heur(code))
            return heuristics(code);
        if (code == XAER_RMFAIL)
            return BIT(T_PREPARED) | BIT(T_ROLLEDBACK) | BIT(T_S5_COM);
        if (ended)
            return BIT(T_ROLLEDBACK);
        return code == XA_RETRY ? BIT(T_PREPARED) : BIT(T_PREPARED) | BIT(T_ROLLEDBACK);
    case T_COMMITTED: /* by xa_commit(TMONEPHASE) that gave no answer */
        return walk_is_heur(code) || ended || code == XAER_RMERR ? 0 : BIT(T_COMMITTED);
    default:
        return walk_is_heur(code) ? 0 : BIT(truth);
    }
}

static unsigned after_forget(enum truth truth, int code)
{
    if (!is_s5(truth))
        return BIT(truth);
    if (code == XA_OK || code == XAER_NOTA)
        return BIT(forgotten(truth));
    return code == XAER_RMFAIL ? BIT(truth) | BIT(forgotten(truth)) : BIT(truth);
}

/* The true states that a branch can be in after it answered a call with code. None: it cannot. */
unsigned walk_rm_truths(enum hf__act_kind call, enum truth truth, int code)
{
    switch (call) {
    case HF__ACT_END:
        return BIT(truth);
    case HF__ACT_PREPARE:
        return after_prepare(code);
    case HF__ACT_COMMIT:
        return after_commit(truth, code);
    case HF__ACT_COMMIT_ONE:
        return after_one(code);
    case HF__ACT_ROLLBACK:
        return after_rollback(truth, code);
    case HF__ACT_FORGET:
        return after_forget(truth, code);
    default:
        return 0;
    }
}

/* The same if nobody was left to hear the answer. */
unsigned walk_rm_crash_truths(enum hf__act_kind call, enum truth truth)
{
    switch (call) {
    case HF__ACT_PREPARE:
        return BIT(T_ALIVE) | BIT(T_PREPARED) | BIT(T_LATE) | BIT(T_READONLY);
    case HF__ACT_COMMIT:
        return truth == T_PREPARED ? BIT(truth) | BIT(T_COMMITTED) | BIT(T_S5_RB) : BIT(truth);
    case HF__ACT_COMMIT_ONE:
        return BIT(T_ALIVE) | BIT(T_COMMITTED);
    case HF__ACT_ROLLBACK:
        return truth == T_PREPARED ? BIT(truth) | BIT(T_ROLLEDBACK) : BIT(truth);
    case HF__ACT_FORGET:
        return is_s5(truth) ? BIT(truth) | BIT(forgotten(truth)) : BIT(truth);
    default:
        return BIT(truth);
    }
}

/* What an honest, reachable resource manager answers to recovery. */
int walk_rm_fair_code(enum hf__act_kind call, enum truth truth)
{
    if (call == HF__ACT_FORGET)
        return is_s5(truth) ? XA_OK : XAER_NOTA;
    if (is_s5(truth))
        return heuristic_code(truth);
    return truth == T_PREPARED ? XA_OK : XAER_NOTA;
}

/* A probe knows what is finished and what is prepared; a heuristic is not its business. */
enum hf_probe walk_rm_fair_probe(const struct rm *rm)
{
    switch (rm->truth) {
    case T_PREPARED:
        return HF_PROBE_PREPARED;
    case T_COMMITTED:
        return HF_PROBE_COMMITTED;
    case T_ROLLEDBACK:
        return HF_PROBE_ROLLEDBACK;
    default:
        return HF_PROBE_UNKNOWN;
    }
}

/* xa_recover lists what is prepared or heuristically completed. */
bool walk_rm_is_scanned(enum truth truth)
{
    return truth == T_PREPARED || is_s5(truth);
}

static void learn(struct rm *rm, enum know know, enum hf__fate known)
{
    rm->know = (uint8_t)know;
    rm->known = (uint8_t)known;
}

static void learn_heuristic(struct rm *rm, int code)
{
    static const enum hf__fate fates[] = { HF__FATE_MIXED, HF__FATE_ROLLEDBACK, HF__FATE_COMMITTED,
                                          HF__FATE_HAZARD };

    learn(rm, K_HEUR, fates[code - XA_HEURMIX]);
}

static void learn_end(struct rm *rm, int code)
{
    if (code == XA_OK || code == XA_NOMIGRATE)
        learn(rm, K_IDLE, HF__FATE_OPEN);
    else if (code == XAER_RMFAIL)
        learn(rm, K_LOST, HF__FATE_ROLLEDBACK);
    else
        learn(rm, K_DOOMED, HF__FATE_OPEN);
}

static void learn_prepare(struct rm *rm, int code)
{
    if (code == XA_OK)
        learn(rm, K_PREPARED, HF__FATE_OPEN);
    else if (code == XA_RDONLY)
        learn(rm, K_READONLY, HF__FATE_OPEN);
    else if (walk_is_rb(code) || code == XAER_NOTA)
        learn(rm, K_NO, HF__FATE_ROLLEDBACK);
    else if (code == XAER_RMFAIL)
        learn(rm, K_LOST, HF__FATE_ROLLEDBACK);
    else
        learn(rm, K_DOOMED, HF__FATE_OPEN);
    rm->yes |= code == XA_OK;
}

static void learn_commit(struct rm *rm, int code)
{
    if (code == XA_OK)
        learn(rm, K_GONE, HF__FATE_COMMITTED);
    else if (walk_is_heur(code))
        learn_heuristic(rm, code);
    else if (code == XAER_NOTA || code == XAER_RMERR || walk_is_rb(code))
        learn(rm, K_SUSPECT, HF__FATE_OPEN);
    else
        learn(rm, K_LOST, HF__FATE_OPEN);
}

static void learn_one(struct rm *rm, int code)
{
    if (code == XA_OK)
        learn(rm, K_GONE, HF__FATE_COMMITTED);
    else if (walk_is_heur(code))
        learn_heuristic(rm, code);
    else if (code == XAER_NOTA || code == XAER_RMERR || walk_is_rb(code))
        learn(rm, K_GONE, HF__FATE_ROLLEDBACK);
    else if (code == XAER_RMFAIL)
        learn(rm, K_LOST, HF__FATE_HAZARD);
    else
        learn(rm, K_DOOMED, HF__FATE_OPEN);
}

/* after_one: xa_commit(TMONEPHASE) gave no answer, so that NOTA may mean that it had committed. */
static void learn_rollback(struct rm *rm, int code, bool after_one_phase)
{
    if (code == XA_OK || walk_is_rb(code) || code == XAER_RMERR)
        learn(rm, K_GONE, HF__FATE_ROLLEDBACK);
    else if (walk_is_heur(code))
        learn_heuristic(rm, code);
    else if (after_one_phase)
        learn(rm, K_LOST, HF__FATE_HAZARD);
    else
        learn(rm, K_LOST, HF__FATE_ROLLEDBACK);
}

/* What the caller of a call knows after the answer. */
void walk_rm_learn(struct rm *rm, enum hf__act_kind call, int code, bool single)
{
    switch (call) {
    case HF__ACT_END:
        learn_end(rm, code);
        break;
    case HF__ACT_PREPARE:
        learn_prepare(rm, code);
        break;
    case HF__ACT_COMMIT:
        learn_commit(rm, code);
        break;
    case HF__ACT_COMMIT_ONE:
        learn_one(rm, code);
        break;
    case HF__ACT_ROLLBACK:
        learn_rollback(rm, code, single);
        break;
    default: /* FORGET: the fate stays what it is */
        rm->know = code == XA_OK || code == XAER_NOTA ? K_GONE : K_LOST;
        break;
    }
}

/* A branch changes its true state; note when it does so by its own will. */
void walk_rm_move(struct rm *rm, enum hf__act_kind call, enum truth truth)
{
    bool heuristic = is_s5(truth) && !is_s5(rm->truth);
    bool against = call == HF__ACT_COMMIT && rm->truth == T_PREPARED && truth == T_ROLLEDBACK;

    rm->own_will |= heuristic || against;
    rm->truth = (uint8_t)truth;
}
