/*
 * tm/coordinator.c - the commit protocol as a pure state machine: see coordinator.h for its
 * contract.
 *
 * A phase walks the branches with a cursor; when it has passed the last one and nothing is under
 * way, following() picks the phase that follows. A phase that goes to async branches at once walks
 * them twice, them first, and COMMITTING does so for each rank. Each answer is judged by one
 * function for each call, and those functions are the decision tables of [XA] as ARCHITECTURE.md
 * amends them.
 *
 *   commit:   ENDING -> VOTING -> FORCING -> COMMITTING -> PROBING -> RECORDING -> FORGETTING ->
 *   RELEASING
 *             ENDING -> COMMITTING_ONE -> (ROLLING_BACK) -> RECORDING -> FORGETTING
 *   spoilt:   ENDING | VOTING | FORCING -> ROLLING_BACK -> RECORDING -> FORGETTING
 *   settle:   COMMITTING -> PROBING -> (DETACHING) -> (COMMITTING -> PROBING) -> RECORDING ->
 *   FORGETTING -> RELEASING
 *   recovery's rollback: ROLLING_BACK -> (DETACHING -> ROLLING_BACK) -> RECORDING -> FORGETTING
 *
 * If we crash in ...       on disk          recovery ...
 *   ENDING, VOTING           nothing          rolls back what is prepared (presumed abort)
 *   FORCING                  either           commits, or rolls back: nobody was told anything
 *   COMMITTING, PROBING      the decision     commits what is still prepared, proves the rest
 *   DETACHING                as before        finds the session gone, or detaches it
 *   RECORDING                decision, or     is told the same heuristics again, records them
 *                            with heuristics
 *   FORGETTING               heuristics       forgets what is still listed
 *   RELEASING                the decision     proves each branch, releases again
 *
 * Threads: none of its own; one caller at a time.
 */
#include "coordinator.h"

#include "check.h"
#include "holdfast/internal/fault.h"

static bool is_rb(int code)
{
    return code >= XA_RBBASE && code <= XA_RBEND;
}

static void set_fate(struct hf__branch *b, enum hf__branch_state state, enum hf__fate fate)
{
    b->state = (uint8_t)state;
    b->fate = (uint8_t)fate;
}

/* Do its calls to async branches go out without waiting for one another? */
static bool is_at_once(uint8_t phase)
{
    return phase == HF__P_VOTING || phase == HF__P_COMMITTING;
}

/* The lowest rank that has not been told to commit; false: all were told. */
static bool find_rank(struct hf__coord *c)
{
    bool found = false;

    for (unsigned i = 0; i < c->count; i++) {
        const struct hf__branch *b = &c->branches[i];

        if (b->state != HF__B_PREPARED || (found && b->rank >= c->rank))
            continue;
        c->rank = b->rank;
        found = true;
    }
    return found;
}

static void start_round(struct hf__coord *c)
{
    c->cursor = 0;
    c->one_by_one = c->asyncs == 0 || !is_at_once(c->phase);
}

static void start_phase(struct hf__coord *c, enum hf__coord_phase phase)
{
    c->phase = (uint8_t)phase;
    c->rank = 0;
    start_round(c);
    if (phase == HF__P_COMMITTING)
        (void)find_rank(c);
}

void hf__coord_init(struct hf__coord *c, struct hf__branch *branches, unsigned count)
{
    *c = (struct hf__coord){.branches = branches, .count = count};
    for (unsigned i = 0; i < count; i++)
        c->asyncs += branches[i].async;
}

void hf__coord_commit(struct hf__coord *c, bool rollback_only)
{
    HF_CHECK(c->phase == HF__P_OPEN);
    c->spoilt = rollback_only;
    start_phase(c, HF__P_ENDING);
}

void hf__coord_rollback(struct hf__coord *c)
{
    hf__coord_commit(c, true);
}

void hf__coord_settle(struct hf__coord *c, enum hf__decision decision)
{
    HF_CHECK(c->phase == HF__P_OPEN);
    HF_CHECK(decision == HF__COMMIT || decision == HF__ROLLBACK);
    c->decision = (uint8_t)decision;
    c->recorded = true;
    for (unsigned i = 0; i < c->count; i++) {
        struct hf__branch *b = &c->branches[i];

        b->tried = b->denied = false;
        if (b->seen == HF__SEEN_NOT_REACHED)
            continue;
        if (b->state == HF__B_UNFORGOTTEN)
            b->state = b->seen == HF__SEEN_IN_SCAN ? HF__B_RECORDED : HF__B_FORGOTTEN;
        else if (b->state == HF__B_OWED || b->state == HF__B_UNCONFIRMED)
            b->state = b->seen == HF__SEEN_IN_SCAN ? HF__B_PREPARED : HF__B_SUSPECT;
    }
    start_phase(c, HF__P_COMMITTING);
}

/* -- the decision tables ---------------------------------------------------------------------- */

/* xa_end: an error means that the branch cannot commit; one that lost its resource manager dies
   by itself. */
void hf__coord_ended(struct hf__branch *b, int xa_code)
{
    if (xa_code == XA_OK || xa_code == XA_NOMIGRATE)
        b->state = HF__B_IDLE;
    else if (xa_code == XAER_RMFAIL)
        set_fate(b, HF__B_ROLLEDBACK, HF__FATE_ROLLEDBACK);
    else
        b->state = HF__B_DOUBTFUL;
}

static void judge_end(struct hf__coord *c, struct hf__branch *b, int code)
{
    hf__coord_ended(b, code);
    c->spoilt = c->spoilt || b->state != HF__B_IDLE;
}

static void judge_prepare(struct hf__coord *c, struct hf__branch *b, int code)
{
    if (c->spoilt && HF_BUG("drop-late-answer")) {
        set_fate(b, HF__B_ROLLEDBACK, HF__FATE_ROLLEDBACK);
        return;
    }
    if (code == XA_OK) {
        b->state = HF__B_PREPARED;
        return;
    }
    if (code == XA_RDONLY) {
        b->state = HF__B_READONLY;
        if (HF_BUG("read-only-gets-commit"))
            b->state = HF__B_PREPARED;
        return;
    }
    c->spoilt = true;
    if (is_rb(code) || code == XAER_NOTA)
        set_fate(b, HF__B_ROLLEDBACK, HF__FATE_ROLLEDBACK);
    else if (code == XAER_RMFAIL)
        set_fate(b, HF__B_LEFT, HF__FATE_ROLLEDBACK);
    else
        b->state = HF__B_DOUBTFUL;
}

/* A branch that decided by itself. agrees: as we decided, so that nothing is damaged. */
static void take_heuristic(struct hf__coord *c, struct hf__branch *b, int code, bool agrees)
{
    b->fate = code == XA_HEURMIX   ? HF__FATE_MIXED
              : code == XA_HEURRB  ? HF__FATE_ROLLEDBACK
              : code == XA_HEURCOM ? HF__FATE_COMMITTED
                                   : HF__FATE_HAZARD;
    b->heuristic = !agrees;
    /* A lone or rolled back branch that agrees leaves no record: there is nothing it could
       contradict. */
    if (agrees && !c->recorded) {
        b->state = HF__B_RECORDED;
        return;
    }
    b->state = HF__B_HEURISTIC;
    c->changed = true;
}

static bool is_heuristic(int code)
{
    return code >= XA_HEURMIX && code <= XA_HEURHAZ;
}

/* XAER_NOTA of a branch that is known to be prepared: may a stale session that holds it be got rid
   of? */
static bool may_detach(const struct hf__branch *b)
{
    return b->denied && b->can_detach && !b->detached;
}

/* Does the answer say that another session has the branch? XAER_NOTA, or what a resource manager
   that can detach says instead. */
static bool says_held(const struct hf__branch *b, int code, int instead)
{
    return code == XAER_NOTA || (code == instead && b->can_detach);
}

/* Phase two. Only XA_OK, a heuristic or a proof ends a branch: everything else proves nothing. */
static void judge_commit(struct hf__coord *c, struct hf__branch *b, int code)
{
    b->tried = true;
    b->denied = says_held(b, code, XA_RETRY) &&
                (b->seen != HF__SEEN_NOT_REACHED || HF_BUG("detach-unscanned"));
    if (code == XA_OK) {
        set_fate(b, HF__B_COMMITTED, HF__FATE_COMMITTED);
        c->changed = true;
    } else if (is_heuristic(code)) {
        take_heuristic(c, b, code, code == XA_HEURCOM);
    } else if (code == XAER_NOTA || code == XAER_RMERR || is_rb(code)) {
        b->state = HF__B_SUSPECT;
        if (code == XAER_NOTA && HF_BUG("nota-is-done"))
            set_fate(b, HF__B_COMMITTED, HF__FATE_COMMITTED);
    } else {
        b->state = may_detach(b) && b->seen == HF__SEEN_IN_SCAN ? HF__B_HELD : HF__B_OWED;
        if (code == XAER_RMFAIL && HF_BUG("rmfail-is-done"))
            set_fate(b, HF__B_COMMITTED, HF__FATE_COMMITTED);
    }
}

static void judge_commit_one(struct hf__coord *c, struct hf__branch *b, int code)
{
    b->tried = true;
    if (code == XA_OK) {
        set_fate(b, HF__B_COMMITTED, HF__FATE_COMMITTED);
    } else if (is_heuristic(code)) {
        take_heuristic(c, b, code, code == XA_HEURCOM || code == XA_HEURRB);
    } else if (is_rb(code) || code == XAER_RMERR || code == XAER_NOTA) {
        set_fate(b, HF__B_ROLLEDBACK, HF__FATE_ROLLEDBACK);
    } else if (code == XAER_RMFAIL) {
        /* No record stands behind a one-phase commit: the honest answer is that we do not know. */
        set_fate(b, HF__B_LEFT, HF__FATE_HAZARD);
        b->heuristic = true;
        c->changed = true;
    } else {
        b->state = HF__B_DOUBTFUL; /* not allowed here; nothing happened: roll it back */
    }
}

static void judge_rollback(struct hf__coord *c, struct hf__branch *b, int code)
{
    b->denied = says_held(b, code, XAER_PROTO) && b->seen == HF__SEEN_IN_SCAN;
    if (b->denied) { /* the scan lists it: somebody holds it, or has just ended it */
        set_fate(b, may_detach(b) ? HF__B_HELD : HF__B_LEFT, HF__FATE_ROLLEDBACK);
        return;
    }
    if (code == XA_OK || is_rb(code) || code == XAER_RMERR || (code == XAER_NOTA && !b->tried)) {
        set_fate(b, HF__B_ROLLEDBACK, HF__FATE_ROLLEDBACK);
    } else if (is_heuristic(code)) {
        take_heuristic(c, b, code, code == XA_HEURRB);
    } else if (b->tried) {
        /* After a one-phase commit with an answer that is not allowed there, "gone" may be
           "committed". */
        set_fate(b, HF__B_LEFT, HF__FATE_HAZARD);
        b->heuristic = true;
        c->changed = true;
    } else {
        set_fate(b, HF__B_LEFT, HF__FATE_ROLLEDBACK);
    }
}

static void judge_forget(struct hf__coord *c, struct hf__branch *b, int code)
{
    b->state = code == XA_OK || code == XAER_NOTA ? HF__B_FORGOTTEN : HF__B_UNFORGOTTEN;
    (void)c;
}

void hf__coord_answer(struct hf__coord *c, unsigned branch, int xa_code)
{
    static void (*const judges[HF__B_STATE_COUNT])(struct hf__coord *, struct hf__branch *, int) = {
        [HF__B_ENDING] = judge_end,
        [HF__B_PREPARING] = judge_prepare,
        [HF__B_COMMITTING] = judge_commit,
        [HF__B_COMMITTING_ONE] = judge_commit_one,
        [HF__B_ROLLING_BACK] = judge_rollback,
        [HF__B_FORGETTING] = judge_forget,
    };
    struct hf__branch *b = &c->branches[branch];

    HF_CHECK(branch < c->count && judges[b->state] != NULL);
    if (b->async && (b->state == HF__B_PREPARING || b->state == HF__B_COMMITTING)) {
        HF_CHECK(c->under_way > 0);
        c->under_way--;
    } else {
        HF_CHECK(c->waiting);
        c->waiting = false;
    }
    b->code = (int16_t)(xa_code < INT16_MIN || xa_code > INT16_MAX ? XAER_INVAL : xa_code);
    judges[b->state](c, b, xa_code);
}

/* It was told to commit and no proof can be had; the record says so, once. But what a scan of this
   pass lists, and is denied, is owed. */
static void leave_unconfirmed(struct hf__coord *c, struct hf__branch *b)
{
    if (b->denied && b->seen == HF__SEEN_IN_SCAN) {
        b->state = may_detach(b) ? HF__B_HELD : HF__B_OWED;
        return;
    }
    b->state = HF__B_UNCONFIRMED;
    c->changed = c->changed || !b->unconfirmed;
    b->unconfirmed = true;
}

void hf__coord_probed(struct hf__coord *c, unsigned branch, enum hf_probe answer)
{
    struct hf__branch *b = &c->branches[branch];

    HF_CHECK(c->waiting && branch < c->count && b->state == HF__B_PROBING);
    c->waiting = false;
    switch (answer) {
    case HF_PROBE_COMMITTED:
        set_fate(b, HF__B_COMMITTED, HF__FATE_COMMITTED);
        c->changed = true;
        break;
    case HF_PROBE_ROLLEDBACK: /* proof of damage; there is nothing at the resource manager to forget
    */
        set_fate(b, HF__B_HEURISTIC, HF__FATE_ROLLEDBACK);
        b->heuristic = true;
        b->code = XAER_NOTA;
        c->changed = true;
        break;
    case HF_PROBE_PREPARED:
        b->state = may_detach(b) ? HF__B_HELD : b->tried ? HF__B_OWED : HF__B_PREPARED;
        break;
    case HF_PROBE_UNKNOWN:
    default:
        leave_unconfirmed(c, b);
        break;
    }
}

/* Gone or not, nothing is concluded of the branch: it is told again, or it stays owed. */
void hf__coord_detached(struct hf__coord *c, unsigned branch, bool gone)
{
    struct hf__branch *b = &c->branches[branch];

    HF_CHECK(c->waiting && branch < c->count && b->state == HF__B_DETACHING);
    c->waiting = false;
    b->detached = true;
    if (gone)
        b->state = HF__B_PREPARED;
    else
        b->state = c->decision == HF__COMMIT ? HF__B_OWED : HF__B_LEFT;
    if (c->decision == HF__COMMIT && HF_BUG("detached-is-done"))
        set_fate(b, HF__B_COMMITTED, HF__FATE_COMMITTED);
}

void hf__coord_logged(struct hf__coord *c, enum hf__logged result)
{
    HF_CHECK(c->waiting && (c->phase == HF__P_FORCING || c->phase == HF__P_RECORDING));
    c->waiting = false;
    if (c->phase == HF__P_FORCING) {
        c->recorded = result == HF__LOGGED;
        c->decision = result == HF__LOGGED        ? HF__COMMIT
                      : result == HF__LOG_REFUSED ? HF__UNDECIDED
                                                  : HF__DECISION_UNKNOWN;
        c->spoilt = result != HF__LOGGED;
        return;
    }
    c->record_failed = result != HF__LOGGED;
    if (c->record_failed)
        return;
    c->recorded = true;
    c->changed = false;
    for (unsigned i = 0; i < c->count; i++) {
        struct hf__branch *b = &c->branches[i];

        if (b->state == HF__B_HEURISTIC) /* one that a probe proved is not known there any more */
            b->state = is_heuristic(b->code) ? HF__B_RECORDED : HF__B_FORGOTTEN;
    }
}

/* -- what follows what ------------------------------------------------------------------------ */

static bool any_in(const struct hf__coord *c, enum hf__branch_state state)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->branches[i].state == state)
            return true;
    return false;
}

/* Nothing is owed to any branch, and none ended otherwise than decided: the record can go. */
static bool may_release(const struct hf__coord *c)
{
    if (!c->recorded || c->record_failed)
        return false;
    for (unsigned i = 0; i < c->count; i++) {
        const struct hf__branch *b = &c->branches[i];

        if (b->heuristic)
            return false;
        if (b->state != HF__B_COMMITTED && b->state != HF__B_READONLY &&
            b->state != HF__B_FORGOTTEN)
            return HF_BUG("release-early") && any_in(c, HF__B_COMMITTED);
    }
    return true;
}

/* What a record has to say that it does not say yet. A record that is about to go needs no
   update. */
static bool must_record(const struct hf__coord *c)
{
    if (HF_BUG("forget-before-record"))
        return false;
    return c->changed && !c->record_failed && (any_in(c, HF__B_HEURISTIC) || !may_release(c));
}

static enum hf__coord_phase after_end(const struct hf__coord *c)
{
    if (c->spoilt)
        return HF__P_ROLLING_BACK;
    if (c->count == 1)
        return HF__P_COMMITTING_ONE;
    return HF__P_VOTING;
}

static enum hf__coord_phase after_vote(struct hf__coord *c)
{
    if (c->spoilt)
        return HF__P_ROLLING_BACK;
    if (any_in(c, HF__B_PREPARED))
        return HF_BUG("commit-before-decision") ? HF__P_COMMITTING : HF__P_FORCING;
    c->decision = HF__COMMIT; /* nobody wrote anything */
    return HF__P_DONE;
}

static enum hf__coord_phase after_force(const struct hf__coord *c)
{
    if (c->decision == HF__COMMIT)
        return HF__P_COMMITTING;
    if (c->decision == HF__DECISION_UNKNOWN && !HF_BUG("rollback-after-unknown"))
        return HF__P_DONE;
    return HF__P_ROLLING_BACK;
}

/* The phase that follows one whose cursor passed the last branch. */
static enum hf__coord_phase following(struct hf__coord *c)
{
    switch ((enum hf__coord_phase)c->phase) {
    case HF__P_ENDING:
        return after_end(c);
    case HF__P_VOTING:
        return after_vote(c);
    case HF__P_FORCING:
        return after_force(c);
    case HF__P_COMMITTING:
        return HF__P_PROBING;
    case HF__P_PROBING: /* a probe may have found a branch prepared that was not told in this pass
    */
        if (any_in(c, HF__B_HELD))
            return HF__P_DETACHING;
        return any_in(c, HF__B_PREPARED) ? HF__P_COMMITTING : HF__P_RECORDING;
    case HF__P_DETACHING:
        if (!any_in(c, HF__B_PREPARED))
            return HF__P_RECORDING;
        return c->decision == HF__COMMIT ? HF__P_COMMITTING : HF__P_ROLLING_BACK;
    case HF__P_COMMITTING_ONE:
        if (any_in(c, HF__B_DOUBTFUL))
            return HF__P_ROLLING_BACK;
        return HF__P_RECORDING;
    case HF__P_ROLLING_BACK:
        return any_in(c, HF__B_HELD) ? HF__P_DETACHING : HF__P_RECORDING;
    case HF__P_RECORDING:
        return HF__P_FORGETTING;
    case HF__P_FORGETTING:
        return HF__P_RELEASING;
    default:
        return HF__P_DONE;
    }
}

/* What a phase does with one branch: the call, and the state in which its answer is awaited. */
struct step {
    enum hf__act_kind kind;
    uint8_t waiting_in;
    uint32_t acts_on; /* set of branch states, 1 << state */
};

static const struct step steps[HF__P_COUNT] = {
    [HF__P_ENDING] = {HF__ACT_END, HF__B_ENDING, 1u << HF__B_ACTIVE},
    [HF__P_VOTING] = {HF__ACT_PREPARE, HF__B_PREPARING, 1u << HF__B_IDLE},
    [HF__P_COMMITTING] = {HF__ACT_COMMIT, HF__B_COMMITTING, 1u << HF__B_PREPARED},
    [HF__P_COMMITTING_ONE] = {HF__ACT_COMMIT_ONE, HF__B_COMMITTING_ONE, 1u << HF__B_IDLE},
    [HF__P_ROLLING_BACK] = {HF__ACT_ROLLBACK, HF__B_ROLLING_BACK,
                            1u << HF__B_IDLE | 1u << HF__B_DOUBTFUL | 1u << HF__B_PREPARED},
    [HF__P_PROBING] = {HF__ACT_PROBE, HF__B_PROBING, 1u << HF__B_SUSPECT},
    [HF__P_DETACHING] = {HF__ACT_DETACH, HF__B_DETACHING, 1u << HF__B_HELD},
    [HF__P_FORGETTING] = {HF__ACT_FORGET, HF__B_FORGETTING, 1u << HF__B_RECORDED},
};

/* Is it this branch's turn, as far as rank and async go? */
static bool is_its_turn(const struct hf__coord *c, const struct hf__branch *b)
{
    if (!is_at_once(c->phase))
        return true;
    if (c->phase == HF__P_COMMITTING && b->rank != c->rank && !HF_BUG("rank-ignored"))
        return false;
    return b->async != c->one_by_one;
}

/* A step for the next branch that the round has work for; false when it has passed the last one. */
static bool next_branch(struct hf__coord *c, struct hf__act *act)
{
    const struct step *step = &steps[c->phase];

    if (step->acts_on == 0)
        return false;
    for (; c->cursor < c->count; c->cursor++) {
        struct hf__branch *b = &c->branches[c->cursor];

        if (c->phase == HF__P_VOTING && c->spoilt)
            return false; /* stop preparing at the first no */
        if (b->state == HF__B_HEURISTIC && HF_BUG("forget-before-record"))
            b->state = HF__B_RECORDED;
        if (!(step->acts_on >> b->state & 1) || !is_its_turn(c, b))
            continue;
        if (c->phase == HF__P_PROBING && !b->can_probe) {
            leave_unconfirmed(c, b);
            continue;
        }
        HF_CHECK(step->kind != HF__ACT_COMMIT || c->decision != HF__ROLLBACK);
        b->state = step->waiting_in;
        *act = (struct hf__act){step->kind, c->cursor++};
        if (c->one_by_one)
            c->waiting = true;
        else
            c->under_way++;
        return true;
    }
    return false;
}

/* Another round of the same phase: those that are not async, or the next rank. */
static bool next_round(struct hf__coord *c)
{
    if (!c->one_by_one) {
        c->one_by_one = true;
        c->cursor = 0;
        return true;
    }
    if (c->phase != HF__P_COMMITTING || c->under_way > 0 || !find_rank(c))
        return false;
    start_round(c);
    return true;
}

/* Has the phase to hear an answer before it can end? */
static bool must_hear(const struct hf__coord *c)
{
    if (c->phase == HF__P_VOTING && HF_BUG("force-before-last-vote"))
        return false;
    return c->under_way > 0;
}

struct hf__act hf__coord_next(struct hf__coord *c)
{
    struct hf__act act = {HF__ACT_DONE, 0};

    HF_CHECK(!c->waiting && c->phase != HF__P_OPEN);
    /* Bound: phases only follow one another forward, but for PROBING -> COMMITTING, which a
       branch causes once, because xa_commit sets `tried`, and for what follows DETACHING, which it
       causes once, because that sets `detached`. A phase has two rounds, COMMITTING two for each
       rank that is prepared when the round begins: a round tells all of that rank. */
    while (c->phase != HF__P_DONE) {
        bool ask_log = c->phase == HF__P_FORCING || (c->phase == HF__P_RECORDING && must_record(c));

        if (ask_log && c->cursor == 0) {
            c->cursor = 1;
            c->waiting = true;
            act.kind = c->phase == HF__P_FORCING ? HF__ACT_FORCE : HF__ACT_RECORD;
            return act;
        }
        if (next_branch(c, &act))
            return act;
        if (next_round(c))
            continue;
        if (must_hear(c)) {
            act.kind = HF__ACT_WAIT;
            return act;
        }
        if (c->phase == HF__P_RELEASING && may_release(c)) {
            c->phase = HF__P_DONE;
            act.kind = HF__ACT_RELEASE;
            return act;
        }
        start_phase(c, following(c));
    }
    return act;
}

/* -- what came of it -------------------------------------------------------------------------- */

hf_outcome hf__coord_outcome(const struct hf__coord *c)
{
    bool has[HF__FATE_HAZARD + 1] = {false};
    bool commits = c->decision == HF__COMMIT;

    if (c->decision == HF__DECISION_UNKNOWN)
        return HF_UNKNOWN;
    for (unsigned i = 0; i < c->count; i++) {
        const struct hf__branch *b = &c->branches[i];

        if (b->state == HF__B_READONLY)
            continue;
        if (b->fate == HF__FATE_OPEN) /* owed or unconfirmed: it follows the decision */
            has[commits ? HF__FATE_COMMITTED : HF__FATE_ROLLEDBACK] = true;
        else
            has[b->fate] = true;
    }
    if (has[HF__FATE_MIXED] || (has[HF__FATE_COMMITTED] && has[HF__FATE_ROLLEDBACK]))
        return HF_MIXED;
    if (has[HF__FATE_HAZARD])
        return HF_HAZARD;
    if (has[HF__FATE_COMMITTED])
        return HF_COMMITTED;
    return has[HF__FATE_ROLLEDBACK] || !commits ? HF_ROLLEDBACK : HF_COMMITTED;
}

static unsigned count_in(const struct hf__coord *c, uint32_t states)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->count; i++)
        n += states >> c->branches[i].state & 1;
    return n;
}

unsigned hf__coord_owed(const struct hf__coord *c)
{
    return count_in(c, 1u << HF__B_LEFT | 1u << HF__B_OWED | 1u << HF__B_UNCONFIRMED |
                           1u << HF__B_HEURISTIC | 1u << HF__B_UNFORGOTTEN);
}

unsigned hf__coord_unconfirmed(const struct hf__coord *c)
{
    return count_in(c, 1u << HF__B_UNCONFIRMED);
}

enum hf__verdict hf__classify(const struct hf__sighting *s)
{
    if (!s->our_node || !s->our_rm)
        return HF__FOREIGN;
    if (s->above_highest)
        return HF__BACK_IN_TIME;
    if (s->own_incarnation ? s->running : !s->fenced)
        return HF__LEAVE;
    if (s->record && s->record_lists)
        return HF__SETTLE;
    if (s->record && s->record_commits)
        return HF__UNLISTED;
    return s->no_rollback ? HF__LEAVE : HF__ROLL_BACK;
}
