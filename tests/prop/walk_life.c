/*
 * walk_life.c - the model of the shell: lives, crashes, recovery and the log.
 *
 * One world goes through passes. In pass 0 an application asks for commit or rollback. Each later
 * pass is one recovery pass as ARCHITECTURE.md "Recovery" says: scan each resource manager, then
 * classify what the scans list, settle the record if there is one, roll back what has none. A crash
 * begins the next pass, and so does the quiet end of one. Passes 3 and 4 meet honest resource
 * managers and no crash: after pass 3 all has to be settled, and pass 4 must not change anything.
 *
 * If we crash ...        on disk                      the branch called         other branches
 *   in FORCE or RECORD   before or after, both tried   -                         idle ones are gone
 *   in a call            as it was                     done or not, both tried   idle ones are gone
 *   after RELEASE        with and without the record   -                         as they were
 *
 * The fence is taken as done: a pass whose fence failed changes nothing. So is the settling record
 * of an opening: what a pass reads is what is on disk. tests/crash tries both with real files.
 *
 * Each step of the coordinator runs twice, the second time with other remembered codes in branches
 * (heuristic ones that are not recorded keep theirs). Both have to agree in all but these codes,
 * which proves, for every step there is, that the key of the visited set may leave them out.
 */
#include <string.h>

#include "walk.h"

/* -- the coordinator's side -------------------------------------------------------------------- */

/* No byte of padding, and no code that does not matter, tells two equal worlds apart. */
static void tidy(struct world *w)
{
    struct world t;
    unsigned i;

    memset(&t, 0, sizeof(t));
    memcpy(&t.rm, &w->rm, sizeof(t) - offsetof(struct world, rm));
    t.c.count = w->c.count;
    t.c.cursor = w->c.cursor;
    t.c.phase = w->c.phase;
    t.c.decision = w->c.decision;
    t.c.asyncs = w->c.asyncs;
    t.c.under_way = w->c.under_way;
    t.c.rank = w->c.rank;
    t.c.one_by_one = w->c.one_by_one;
    t.c.waiting = w->c.waiting;
    t.c.spoilt = w->c.spoilt;
    t.c.recorded = w->c.recorded;
    t.c.changed = w->c.changed;
    t.c.record_failed = w->c.record_failed;
    for (i = 0; i < BRANCHES_MAX; i++) {
        t.b[i].rank = w->b[i].rank;
        t.b[i].async = w->b[i].async;
        t.b[i].state = w->b[i].state;
        t.b[i].fate = w->b[i].fate;
        t.b[i].seen = w->b[i].seen;
        t.b[i].can_probe = w->b[i].can_probe;
        t.b[i].can_detach = w->b[i].can_detach;
        t.b[i].detached = w->b[i].detached;
        t.b[i].denied = w->b[i].denied;
        t.b[i].tried = w->b[i].tried;
        t.b[i].heuristic = w->b[i].heuristic;
        t.b[i].unconfirmed = w->b[i].unconfirmed;
        t.b[i].code = walk_code(&w->b[i]);
    }
    memcpy(w, &t, sizeof(t));
}

/* Feed an answer and, if asked to, fetch the next action, on one world. */
static struct hf__act feed(struct world *w, const struct event *ev, bool ask)
{
    static const struct hf__act none = { HF__ACT_DONE, 0 };

    w->c.branches = w->b;
    switch (ev->kind) {
    case EV_ANSWER:
        hf__coord_answer(&w->c, ev->branch, ev->code);
        break;
    case EV_PROBED:
        hf__coord_probed(&w->c, ev->branch, (enum hf_probe)ev->code);
        break;
    case EV_DETACHED:
        hf__coord_detached(&w->c, ev->branch, ev->code != 0);
        break;
    case EV_LOGGED:
        hf__coord_logged(&w->c, (enum hf__logged)ev->code);
        break;
    default:
        break;
    }
    return ask ? hf__coord_next(&w->c) : none;
}

static void scramble(struct world *w, int seed)
{
    static const int16_t others[] = { XA_RBOTHER, XAER_RMFAIL, XAER_NOTA,
                                      XA_RETRY,   XAER_RMERR,  XA_HEURMIX };
    unsigned i;

    for (i = 0; i < BRANCHES_MAX; i++) {
        if (walk_code(&w->b[i]) == 0) {
            unsigned count = w->b[i].state == HF__B_HEURISTIC ? 5 : 6;

            w->b[i].code = others[((unsigned)seed + i) % count];
        }
    }
}

/* The same with other remembered codes: it must come to the same. */
static struct hf__act feed_both(struct world *w, const struct event *ev, bool ask)
{
    struct world twin;
    struct hf__act act, twin_act;

    memcpy(&twin, w, sizeof(twin));
    scramble(&twin, ev->code + ev->kind);
    act = feed(w, ev, ask);
    twin_act = feed(&twin, ev, ask);
    tidy(w);
    tidy(&twin);
    if (memcmp(w, &twin, sizeof(twin)) != 0 || act.kind != twin_act.kind ||
        act.branch != twin_act.branch)
        walk_violate("0", "an old code, not a heuristic one, makes a difference");
    return act;
}

/* An action goes out. */
static void hand_out(struct world *w, struct hf__act act)
{
    w->act_branch = 0;
    if (act.kind == HF__ACT_WAIT) {
        w->turn = TURN_WAIT;
        return;
    }
    w->act = (uint8_t)act.kind;
    w->turn = TURN_ANSWER;
    if (act.kind == HF__ACT_RECORD)
        w->records++;
    if (!walk_calls_rm(act.kind) || act.branch >= w->c.count)
        return;
    w->out |= (uint8_t)(1U << act.branch);
    if (walk_is_async(w, act.kind, act.branch))
        w->turn = TURN_ASK;
    else
        w->act_branch = (uint8_t)act.branch;
}

/* Take the coordinator to the next action that waits for something. */
static void advance(struct world *w, const struct event *ev)
{
    static const struct event nothing = { 0, EV_TOLD, 0, 0, { 0 } };
    struct hf__act act = feed_both(w, ev, true);

    walk_check_act(w, act);
    if (act.kind == HF__ACT_RELEASE && !walk_violation.found) {
        w->disk.removing = true;
        act = feed_both(w, &nothing, true);
        if (act.kind == HF__ACT_RELEASE)
            walk_violate("6", "the record is released twice");
        walk_check_act(w, act);
    }
    hand_out(w, act);
}

/* -- the log ----------------------------------------------------------------------------------- */

static struct hf__branch loaded(const struct disk *d, unsigned rm)
{
    struct hf__rec_branch rec;
    struct hf__branch b;

    memset(&rec, 0, sizeof(rec));
    rec.state = d->b[rm];
    hf__branch_load((enum hf__decision)d->decision, &rec, &b);
    return b;
}

enum hf__fate walk_listed_fate(const struct disk *d, unsigned rm)
{
    return d->b[rm] == 0 ? HF__FATE_OPEN : (enum hf__fate)loaded(d, rm).fate;
}

bool walk_listed_heuristic(const struct disk *d, unsigned rm)
{
    return d->b[rm] >= HF_BRANCH_HEUR_COMMIT;
}

/* The record as the shell writes it: from what the coordinator has, and nothing else. */
static struct disk compose(const struct world *w)
{
    struct disk d = { .present = true };
    unsigned i;

    if (w->mode == SETTLING)
        d.decision = w->pending.decision;
    else
        d.decision =
            w->act == HF__ACT_FORCE || w->c.decision == HF__COMMIT ? HF__COMMIT : HF__ROLLBACK;
    for (i = 0; i < w->c.count; i++) {
        struct hf__rec_branch rec;

        memset(&rec, 0, sizeof(rec));
        if (hf__branch_store(&w->c, &w->b[i], &rec))
            d.b[w->map[i]] = rec.state;
    }
    return d;
}

/* The outcome of a write, true or not, is on disk. */
static void write_disk(struct world *w)
{
    bool force = w->act == HF__ACT_FORCE;
    struct disk next = compose(w);

    w->logged |= force;
    walk_check_record(w, &next);
    w->disk = next;
}

static void logged(struct world *w, const struct event *ev)
{
    bool force = w->act == HF__ACT_FORCE;

    if (ev->truth)
        write_disk(w);
    if (force)
        w->forced = ev->code == HF__LOGGED;
    else
        w->record_bad |= ev->code != HF__LOGGED;
    if (ev->code == HF__LOG_UNKNOWN) {
        w->unknown |= force;
        w->log_dead = true;
    }
    advance(w, ev);
}

/* -- lives ------------------------------------------------------------------------------------- */

/* A coordinator is done: nothing of it is known to the next one. */
static void forget_coord(struct world *w)
{
    unsigned i;

    memset(&w->c, 0, sizeof(w->c));
    memset(w->b, 0, sizeof(w->b));
    memset(w->map, 0, sizeof(w->map));
    for (i = 0; i < BRANCHES_MAX; i++) {
        w->rm[i].know = K_ACTIVE;
        w->rm[i].known = HF__FATE_OPEN;
        w->rm[i].sent = 0;
        w->rm[i].probes = w->rm[i].detaches = 0;
        w->rm[i].nota = false;
    }
    w->mode = DECIDING;
    w->act = 0;
    w->act_branch = 0;
    w->turn = TURN_ANSWER;
    w->out = 0;
    w->records = 0;
    w->forced = false;
    w->unknown = false;
    w->record_bad = false;
}

/* Forget what only a life or a pass that is over knew, and what nothing asks after any more. */
static void forget_life(struct world *w)
{
    forget_coord(w);
    memset(w->scan, 0, sizeof(w->scan));
    memset(&w->pending, 0, sizeof(w->pending));
    w->judged = 0;
    w->want = WANT_COMMIT;
    if (w->told != HF_COMMITTED && w->told != HF_ROLLEDBACK)
        w->told = NOT_TOLD; /* binds nobody */
}

static void begin_pass(struct world *w)
{
    forget_life(w);
    if (w->coarse) {
        w->stage = ST_END;
        return;
    }
    w->pass++;
    w->stage = ST_SCAN;
    w->log_dead = false;
    w->pending = w->disk;
}

/* Sessions die, and what has not voted with them. */
static void lose_sessions(struct world *w)
{
    unsigned i;

    for (i = 0; i < w->count; i++)
        if (w->rm[i].truth == T_ALIVE)
            w->rm[i].truth = T_ROLLEDBACK;
}

static void rest(struct world *w)
{
    bool dead = w->log_dead;

    lose_sessions(w);
    if (w->pass >= PASS_FAIR)
        walk_check_settled(w);
    if (w->pass == 0)
        walk_check_left(w);
    forget_life(w);
    w->stage = w->coarse ? ST_END : dead ? ST_DOWN : ST_REST;
}

/* The call was made, whether or not its answer is heard. */
static void called(struct rm *rm, enum hf__act_kind call, enum truth truth)
{
    walk_rm_move(rm, call, truth);
    rm->ever_commit |= call == HF__ACT_COMMIT;
    rm->ever_back |= call == HF__ACT_ROLLBACK;
    rm->ever_one |= call == HF__ACT_COMMIT_ONE;
}

static void crash(struct world *w, const struct event *ev)
{
    bool waits = w->stage == ST_COORD;
    bool writes = waits && (w->act == HF__ACT_FORCE || w->act == HF__ACT_RECORD);
    unsigned i;

    if (writes && (ev->code & 1))
        write_disk(w);
    if (w->mode == DECIDING)
        walk_cell_crash((enum hf__act_kind)w->act, w->out);
    for (i = 0; i < w->c.count; i++)
        if (w->out & 1U << i)
            called(walk_rm(w, i), (enum hf__act_kind)w->act, (enum truth)ev->truths[w->map[i]]);
    if (w->disk.removing && (ev->code & 2))
        memset(&w->disk, 0, sizeof(w->disk));
    w->disk.removing = false;
    w->own = false;
    lose_sessions(w);
    if (waits && w->mode == DECIDING)
        walk_check_left(w);
    begin_pass(w);
}

static void start(struct world *w, enum mode mode, unsigned count)
{
    static const struct event nothing = { 0, EV_BEGIN, 0, 0, { 0 } };

    w->stage = ST_COORD;
    w->mode = (uint8_t)mode;
    w->c.branches = w->b;
    if (mode == SETTLING)
        hf__coord_settle(&w->c, (enum hf__decision)w->pending.decision);
    else if (mode == UNDOING || w->want == WANT_ROLLBACK)
        hf__coord_rollback(&w->c);
    else
        hf__coord_commit(&w->c, w->want == WANT_ROLLBACK_ONLY);
    if (w->c.count != count)
        walk_violate("0", "the coordinator changed the number of branches");
    advance(w, &nothing);
}

/* count, want, can_probe, and states, ranks and async of b are set: make the coordinator. */
void walk_begin(struct world *w)
{
    unsigned i;

    for (i = 0; i < w->count; i++) {
        w->map[i] = (uint8_t)i;
        w->rm[i].truth = T_ALIVE;
        w->rm[i].know = w->b[i].state == HF__B_ACTIVE ? K_ACTIVE : K_IDLE;
        w->b[i].can_probe = w->rm[i].can_probe;
    }
    w->told = NOT_TOLD;
    w->own = true;
    hf__coord_init(&w->c, w->b, w->count);
    start(w, DECIDING, w->count);
}

/* -- recovery ---------------------------------------------------------------------------------- */

/* A branch as a record lists it, and what the record lets this life know. */
static struct hf__branch load(struct world *w, const struct disk *d, unsigned m)
{
    struct hf__branch b = loaded(d, m);

    w->rm[m].known = b.fate;
    if (b.state == HF__B_UNFORGOTTEN) /* a complete scan lists what is not forgotten */
        w->rm[m].know = w->scan[m] == HF__SEEN_ABSENT ? K_GONE : K_HEUR;
    else
        w->rm[m].know = b.state == HF__B_COMMITTED ? K_GONE : K_PREPARED;
    return b;
}

/*
 * Presumed abort for one XID of a scan. What a record of other branches' heuristics says goes into
 * the same coordinator, so that it is written again with it; these branches are not called.
 */
static void begin_undo(struct world *w, unsigned m)
{
    unsigned i, count = 0;

    for (i = 0; i < w->count; i++) {
        if (w->disk.b[i] == 0)
            continue;
        w->b[count] = load(w, &w->disk, i);
        w->rm[i].know = K_LOST;
        w->map[count++] = (uint8_t)i;
    }
    w->b[count].state = HF__B_PREPARED;
    w->b[count].seen = HF__SEEN_IN_SCAN;
    w->b[count].can_detach = w->rm[m].can_detach;
    w->rm[m].know = K_PREPARED;
    w->map[count++] = (uint8_t)m;
    hf__coord_init(&w->c, w->b, count);
    start(w, UNDOING, count);
}

static void begin_settle(struct world *w)
{
    unsigned i, count = 0;

    for (i = 0; i < w->count; i++) {
        if (w->pending.b[i] == 0)
            continue;
        w->b[count] = load(w, &w->pending, i);
        w->b[count].seen = w->scan[i];
        w->b[count].can_probe = w->rm[i].can_probe;
        w->b[count].can_detach = w->rm[i].can_detach;
        w->map[count++] = (uint8_t)i;
    }
    hf__coord_init(&w->c, w->b, count);
    start(w, SETTLING, count);
}

static enum hf__verdict classify(const struct world *w, unsigned m)
{
    struct hf__sighting s;

    memset(&s, 0, sizeof(s));
    s.our_node = true;
    s.our_rm = true;
    s.own_incarnation = w->own;
    s.fenced = !w->own;
    s.record = w->disk.present;
    s.record_commits = w->disk.present && w->disk.decision == HF__COMMIT;
    s.record_lists = w->disk.present && w->disk.b[m] != 0;
    return hf__classify(&s);
}

/* Judge the XIDs that are left, one coordinator for each that is rolled back; then settle. */
static void judge(struct world *w)
{
    forget_coord(w);
    while (w->judged < w->count && !w->log_dead) {
        unsigned m = w->judged++;
        enum hf__verdict verdict;

        if (w->scan[m] != HF__SEEN_IN_SCAN)
            continue;
        verdict = classify(w, m);
        walk_check_verdict(w, m, verdict);
        if (verdict == HF__ROLL_BACK) {
            begin_undo(w, m);
            return;
        }
    }
    if (w->pending.present && w->disk.present && !w->log_dead)
        begin_settle(w);
    else
        rest(w);
}

static void scan(struct world *w, const struct event *ev)
{
    unsigned m = w->act_branch;

    if (m < w->count) {
        w->rm[m].truth = ev->truth;
        if (ev->code)
            w->scan[m] = walk_rm_is_scanned(ev->truth) ? HF__SEEN_IN_SCAN : HF__SEEN_ABSENT;
        w->act_branch++;
    }
    if (w->act_branch >= w->count)
        judge(w);
}

static void told(struct world *w)
{
    w->c.branches = w->b;
    walk_check_done(w);
    if (w->mode == DECIDING) {
        hf_outcome outcome = hf__coord_outcome(&w->c);

        walk_check_told(w, outcome);
        w->told = (uint8_t)outcome;
    }
    if (w->mode == UNDOING)
        judge(w);
    else
        rest(w);
}

static void next(struct world *w)
{
    if (w->disk.removing)
        memset(&w->disk, 0, sizeof(w->disk));
    if (w->pass == PASS_AGAIN)
        w->stage = ST_END;
    else
        begin_pass(w);
}

/* -- events ------------------------------------------------------------------------------------ */

/*
 * The shell asks for the next action when it may not go on without (after an answer to a call that
 * is not asynchronous, and when it was told to wait), and at any time (EV_ASK) when it may.
 */
static void answer(struct world *w, const struct event *ev)
{
    struct rm *rm = walk_rm(w, ev->branch);
    enum hf__act_kind call = (enum hf__act_kind)w->act;
    bool async = walk_is_async(w, call, ev->branch);

    walk_cell((enum mode)w->mode, (enum hf__branch_state)w->b[ev->branch].state, ev->code);
    walk_cell_beside(w, ev->branch, ev->code);
    w->out &= (uint8_t)~(1U << ev->branch);
    called(rm, call, (enum truth)ev->truth);
    walk_rm_learn(rm, call, ev->code, (rm->sent & 1U << HF__ACT_COMMIT_ONE) != 0);
    rm->sent |= (uint16_t)(1U << call);
    rm->nota = ev->code == XAER_NOTA || ev->code == XA_RETRY || ev->code == XAER_PROTO;
    if (!async || w->turn == TURN_WAIT)
        advance(w, ev);
    else
        (void)feed_both(w, ev, false);
}

static void probed(struct world *w, const struct event *ev)
{
    struct rm *rm = walk_rm(w, ev->branch);

    w->out = 0;
    walk_cell_probe((enum mode)w->mode, (enum hf_probe)ev->code);
    rm->probes++;
    if (ev->code == HF_PROBE_PREPARED)
        rm->know = K_PREPARED;
    else if (ev->code != HF_PROBE_UNKNOWN) {
        rm->know = K_GONE;
        rm->known = ev->code == HF_PROBE_COMMITTED ? HF__FATE_COMMITTED : HF__FATE_ROLLEDBACK;
    }
    advance(w, ev);
}

/* A stale session that is gone leaves the branch as it was; it may be told again. */
static void detached(struct world *w, const struct event *ev)
{
    struct rm *rm = walk_rm(w, ev->branch);

    w->out = 0;
    walk_cell_detach((enum mode)w->mode, ev->code != 0);
    rm->detaches++;
    rm->nota = false;
    if (ev->code) {
        rm->know = K_PREPARED;
        rm->known = HF__FATE_OPEN;
        rm->sent &= (uint16_t)~(1U << HF__ACT_COMMIT | 1U << HF__ACT_ROLLBACK);
    } else {
        rm->know = K_LOST;
    }
    advance(w, ev);
}

/* Twice is once: nothing moves in the last pass. */
static void check_again(const struct world *before, const struct world *after)
{
    unsigned i;

    if (memcmp(&before->disk, &after->disk, sizeof(before->disk)) != 0)
        walk_violate("14", "a second honest pass changes the log");
    for (i = 0; i < before->count; i++)
        if (before->rm[i].truth != after->rm[i].truth)
            walk_violate("14", "a second honest pass moves a branch");
}

void walk_apply(struct world *w, const struct event *ev)
{
    struct world before;

    memcpy(&before, w, sizeof(before));
    switch (ev->kind) {
    case EV_ANSWER:
        answer(w, ev);
        break;
    case EV_PROBED:
        probed(w, ev);
        break;
    case EV_DETACHED:
        detached(w, ev);
        break;
    case EV_LOGGED:
        walk_cell_log((enum mode)w->mode, (enum hf__act_kind)w->act, (enum hf__logged)ev->code);
        logged(w, ev);
        break;
    case EV_ASK:
        advance(w, ev);
        break;
    case EV_TOLD:
        told(w);
        break;
    case EV_CRASH:
        crash(w, ev);
        break;
    case EV_SCAN:
        scan(w, ev);
        break;
    default:
        next(w);
        break;
    }
    tidy(w);
    if (before.pass == PASS_AGAIN)
        check_again(&before, w);
    walk_check_world(w);
}

/* -- which events there are -------------------------------------------------------------------- */

static unsigned add(struct event *ret, unsigned n, enum event_kind kind, int code, unsigned truth)
{
    if (n == EVENTS_MAX) {
        walk_violate("0", "more events in one state than there is room for");
        return n;
    }
    memset(&ret[n], 0, sizeof(ret[n]));
    ret[n].kind = (uint8_t)kind;
    ret[n].code = code;
    ret[n].truth = (uint8_t)truth;
    return n + 1;
}

static unsigned add_truths(struct event *ret, unsigned n, enum event_kind kind, int code,
                           unsigned truths)
{
    unsigned t;

    for (t = 0; t < T_COUNT; t++)
        if (truths & 1U << t)
            n = add(ret, n, kind, code, t);
    return n;
}

/* The first of a set of truths from this one on; T_COUNT: none. */
static unsigned first_truth(unsigned set, unsigned from)
{
    while (from < T_COUNT && !(set & 1U << from))
        from++;
    return from;
}

/* A crash with each combination of what may have become of the branches that were called. */
static unsigned add_crashes(const struct world *w, struct event *ret, unsigned n, int code)
{
    unsigned sets[BRANCHES_MAX] = { 0 };
    uint8_t pick[BRANCHES_MAX] = { 0 };
    unsigned i, m;

    for (m = 0; m < w->count; m++)
        sets[m] = 1U << w->rm[m].truth;
    for (i = 0; i < w->c.count; i++)
        if (w->out & 1U << i)
            sets[w->map[i]] = walk_rm_crash_truths((enum hf__act_kind)w->act,
                                                   (enum truth)w->rm[w->map[i]].truth);
    for (m = 0; m < w->count; m++)
        pick[m] = (uint8_t)first_truth(sets[m], 0);
    do { /* count through them, as with digits */
        unsigned at = n;

        n = add(ret, n, EV_CRASH, code, 0);
        if (n > at)
            memcpy(ret[at].truths, pick, sizeof(pick));
        for (m = 0; m < w->count; m++) {
            pick[m] = (uint8_t)first_truth(sets[m], pick[m] + 1U);
            if (pick[m] < T_COUNT)
                break;
            pick[m] = (uint8_t)first_truth(sets[m], 0);
        }
    } while (m < w->count);
    return n;
}

static unsigned crashes(const struct world *w, struct event *ret, unsigned n)
{
    bool writes =
        w->stage == ST_COORD && (w->act == HF__ACT_FORCE || w->act == HF__ACT_RECORD);
    int last = w->disk.removing ? 3 : 1;
    int code;

    for (code = 0; code <= last; code += writes ? 1 : 2)
        n = add_crashes(w, ret, n, code);
    return n;
}

/* The truths that fit a code, or any code of the class that it stands for. */
static unsigned truths_of(const struct world *w, enum truth truth, int code)
{
    enum hf__act_kind call = (enum hf__act_kind)w->act;
    unsigned i, truths = 0;

    if (!w->coarse)
        return walk_rm_truths(call, truth, code);
    if (walk_class(call, code) != code)
        return 0;
    for (i = 0; i < CODE_COUNT; i++)
        if (walk_class(call, walk_codes[i]) == code)
            truths |= walk_rm_truths(call, truth, walk_codes[i]);
    return truths;
}

static unsigned answers(const struct world *w, struct event *ret, unsigned n, unsigned branch)
{
    const struct rm *rm = &w->rm[w->map[branch]];
    enum truth truth = (enum truth)rm->truth;
    unsigned i, first = n;

    if (w->pass >= PASS_FAIR) {
        int code = walk_rm_fair_code((enum hf__act_kind)w->act, truth);

        n = add_truths(ret, n, EV_ANSWER, code, truths_of(w, truth, code));
    } else {
        for (i = 0; i < CODE_COUNT; i++)
            n = add_truths(ret, n, EV_ANSWER, walk_codes[i], truths_of(w, truth, walk_codes[i]));
    }
    for (i = first; i < n; i++)
        ret[i].branch = (uint8_t)branch;
    return n;
}

/* Each branch that was called may answer; where another action may be asked for, that is an event
   too. */
static unsigned call_events(const struct world *w, struct event *ret)
{
    unsigned i, n = 0;

    for (i = 0; i < w->c.count; i++)
        if (w->out & 1U << i)
            n = answers(w, ret, n, i);
    return w->turn == TURN_ASK ? add(ret, n, EV_ASK, 0, 0) : n;
}

static unsigned coord_events(const struct world *w, struct event *ret)
{
    bool fair = w->pass >= PASS_FAIR;
    unsigned n = 0;

    switch (w->act) {
    case HF__ACT_DONE:
        return add(ret, n, EV_TOLD, 0, 0);
    case HF__ACT_PROBE:
        if (!fair)
            n = add(ret, n, EV_PROBED, HF_PROBE_UNKNOWN, 0);
        n = add(ret, n, EV_PROBED, (int)walk_rm_fair_probe(&w->rm[w->map[w->act_branch]]), 0);
        ret[0].branch = ret[n - 1].branch = w->act_branch;
        return n;
    case HF__ACT_DETACH:
        n = add(ret, n, EV_DETACHED, 1, 0);
        if (!fair)
            n = add(ret, n, EV_DETACHED, 0, 0);
        ret[0].branch = ret[n - 1].branch = w->act_branch;
        return n;
    case HF__ACT_FORCE:
    case HF__ACT_RECORD:
        if (!fair)
            n = add(ret, n, EV_LOGGED, HF__LOG_REFUSED, 0);
        if (w->log_dead)
            return n;
        if (!fair) {
            n = add(ret, n, EV_LOGGED, HF__LOG_UNKNOWN, 0);
            n = add(ret, n, EV_LOGGED, HF__LOG_UNKNOWN, 1);
        }
        return add(ret, n, EV_LOGGED, HF__LOGGED, 1);
    default:
        return call_events(w, ret);
    }
}

static unsigned scan_events(const struct world *w, struct event *ret)
{
    bool fair = w->pass >= PASS_FAIR;
    unsigned n, truths, truth = T_ALIVE;

    if (w->count > 0)
        truth = w->rm[w->act_branch].truth;
    truths = 1U << truth;
    if (truth == T_LATE)
        truths = 1U << T_PREPARED | 1U << T_ROLLEDBACK | (fair ? 0U : 1U << T_LATE);
    n = add_truths(ret, 0, EV_SCAN, 1, truths);
    return fair ? n : add_truths(ret, n, EV_SCAN, 0, truths);
}

unsigned walk_events(const struct world *w, struct event ret[EVENTS_MAX])
{
    unsigned n = 0;

    if (w->stage == ST_COORD)
        n = coord_events(w, ret);
    else if (w->stage == ST_SCAN)
        n = scan_events(w, ret);
    else if (w->stage == ST_REST)
        n = add(ret, 0, EV_NEXT, 0, 0);
    if (w->stage != ST_END && w->pass < PASS_FAIR)
        n = crashes(w, ret, n);
    return n;
}
