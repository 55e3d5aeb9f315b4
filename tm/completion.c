/*
 * tm/completion.c - the blocking shell around the coordinator: commit and rollback as applications
 * call them.
 *
 * The coordinator says what to do; this file does it, with no lock held, and tells the answer. It
 * decides nothing but what the caller is told. Calls are made one after the other, but xa_prepare
 * and xa_commit of branches whose switch has TMUSEASYNC: these are begun with TMASYNC, and
 * xa_complete fetches their answers, in this thread, when there is nothing else to begin. An XID
 * stays where it is from the call to its answer. A handle is any positive number, so that a vote
 * of XA_RDONLY comes by xa_complete only.
 *
 *   the call with TMASYNC      what it means
 *     positive                 a handle
 *     XAER_ASYNC               not now: the same call without TMASYNC
 *     anything else            the answer
 *   xa_complete
 *     XA_OK                    the answer is where it was to be put
 *     XA_RETRY                 not yet (it was not asked for, but some do): fetched again later
 *     anything else            nothing is known of the branch: taken as XAER_RMFAIL
 *
 * If we crash after ...          on disk              recovery ...               failpoint
 *   an xa_end                    nothing              nothing to do              commit:ended
 *   a call with TMASYNC          maybe prepared, or   rolls it back, or          commit:asked
 *                                the decision         commits every branch
 *   an xa_prepare                a prepared branch    rolls it back              commit:prepared
 *   the last yes vote            prepared branches    rolls them back            log:voted
 *   the decision is durable      the decision         commits every branch       log:decided
 *   some xa_commit               the decision         commits the rest           commit:committed
 *   heuristics are recorded      what happened        forgets them               log:recorded
 *   the record is released       maybe the decision   proves, releases again     commit:released
 *
 * Spec: [XA] 2.3, 3.4, 3.5, 7.3; xa_complete.
 */
#include "completion.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "holdfast/internal/fault.h"

enum {
    SMALL_COUNT = 8,         /* branches of a record that fit on the stack */
    SMALL_FLIGHTS = 4,       /* calls with TMASYNC that do */
    RETRY_PAUSE_NS = 1000000 /* after a round of xa_complete that brought nothing */
};

/* -- records ---------------------------------------------------------------------------------- */

static uint8_t heuristic_state(const struct hf__branch *b)
{
    static const uint8_t states[] = {
        [HF__FATE_OPEN] = HF_BRANCH_HEUR_HAZARD,
        [HF__FATE_COMMITTED] = HF_BRANCH_HEUR_COMMIT,
        [HF__FATE_ROLLEDBACK] = HF_BRANCH_HEUR_ROLLBACK,
        [HF__FATE_MIXED] = HF_BRANCH_HEUR_MIXED,
        [HF__FATE_HAZARD] = HF_BRANCH_HEUR_HAZARD,
    };

    return states[b->fate];
}

bool hf__branch_store(const struct hf__coord *c, const struct hf__branch *b,
                      struct hf__rec_branch *ret)
{
    bool commits = c->phase == HF__P_FORCING || c->decision == HF__COMMIT;

    ret->code = b->code;
    switch ((enum hf__branch_state)b->state) {
    case HF__B_READONLY:
    case HF__B_ROLLEDBACK: /* presumed abort, and NOTA may have lied: a scan has to look again */
        return false;
    case HF__B_COMMITTED:
        ret->state = HF_BRANCH_DONE;
        return true;
    case HF__B_UNCONFIRMED:
        ret->state = HF_BRANCH_UNCONFIRMED;
        return true;
    case HF__B_HEURISTIC:
    case HF__B_RECORDED:
    case HF__B_FORGOTTEN:
    case HF__B_UNFORGOTTEN:
    case HF__B_FORGETTING:
        ret->state = heuristic_state(b);
        return true;
    default:
        break;
    }
    if (b->heuristic) { /* lost sight of in one phase: it may have committed */
        ret->state = heuristic_state(b);
        return true;
    }
    ret->state = HF_BRANCH_OWED;
    return commits; /* presumed abort: a branch to be rolled back is not in any record */
}

void hf__branch_load(enum hf__decision decision, const struct hf__rec_branch *from,
                     struct hf__branch *ret)
{
    bool commits = decision == HF__COMMIT;
    static const uint8_t fates[] = {
        [HF_BRANCH_HEUR_COMMIT] = HF__FATE_COMMITTED,
        [HF_BRANCH_HEUR_ROLLBACK] = HF__FATE_ROLLEDBACK,
        [HF_BRANCH_HEUR_MIXED] = HF__FATE_MIXED,
        [HF_BRANCH_HEUR_HAZARD] = HF__FATE_HAZARD,
    };

    *ret = (struct hf__branch){.code = from->code};
    switch (from->state) {
    case HF_BRANCH_OWED:
        ret->state = HF__B_OWED;
        break;
    case HF_BRANCH_UNCONFIRMED:
        ret->state = HF__B_UNCONFIRMED;
        ret->unconfirmed = true;
        break;
    case HF_BRANCH_DONE:
        ret->state = HF__B_COMMITTED;
        ret->fate = commits ? HF__FATE_COMMITTED : HF__FATE_ROLLEDBACK;
        break;
    default:
        ret->state = HF__B_UNFORGOTTEN;
        ret->fate = fates[from->state];
        ret->heuristic = !(commits && ret->fate == HF__FATE_COMMITTED);
        break;
    }
}

/* -- what went wrong -------------------------------------------------------------------------- */

static void note(hf_result *result, const char *rm, const char *call, int xa_code, int native,
                 const char *text)
{
    if (result->call[0] != '\0')
        return; /* the first thing that went wrong is the one that explains the rest */
    result->xa_code = xa_code;
    result->native_code = native;
    (void)snprintf(result->rm, sizeof(result->rm), "%s", rm);
    (void)snprintf(result->call, sizeof(result->call), "%s", call);
    (void)snprintf(result->text, sizeof(result->text), "%s", text);
}

static void note_call(hf_result *result, const hf_instance *instance, const char *call, int xa_code)
{
    char text[256];
    int native = 0;

    if (result->call[0] != '\0')
        return;
    (void)snprintf(text, sizeof(text), "%s: %s answered %s", instance->rm->name, call,
                   hf__xa_name(xa_code));
    hf__instance_error(instance, &native, text, sizeof(text));
    note(result, instance->rm->name, call, xa_code, native, text);
}

/* -- doing what the coordinator asks for ------------------------------------------------------ */

/* A call with TMASYNC until its answer was fetched. The resource manager knows where xid is. */
struct flight {
    XID xid;
    uint64_t started; /* hf__timeline_now() */
    unsigned branch;
    int handle;
    enum hf__act_kind kind;
    bool landed;
};

struct shell {
    hf_tx *tx;
    struct hf__coord *c;
    hf_result *result;
    struct flight *flights; /* room for one of each async branch: none ever moves */
    unsigned flown;         /* of flights, in use; 0 again when all have landed */
    bool stop_decided;      /* when the decision is durable, the rest is left to hf_tx_finish() */
    struct flight small_flights[SMALL_FLIGHTS];
};

static const char *const call_names[] = {
    [HF__ACT_END] = "xa_end",           [HF__ACT_PREPARE] = "xa_prepare",
    [HF__ACT_COMMIT] = "xa_commit",     [HF__ACT_COMMIT_ONE] = "xa_commit",
    [HF__ACT_ROLLBACK] = "xa_rollback", [HF__ACT_FORGET] = "xa_forget",
};

/* mode: TMASYNC or TMNOFLAGS. */
static int call_rm(const struct hf__coord *c, enum hf__act_kind kind, const struct xa_switch_t *xa,
                   XID *xid, int rmid, long mode)
{
    switch (kind) {
    case HF__ACT_END:
        return xa->xa_end_entry(xid, rmid, c->spoilt ? TMFAIL : TMSUCCESS);
    case HF__ACT_PREPARE:
        return xa->xa_prepare_entry(xid, rmid, mode);
    case HF__ACT_COMMIT:
        return xa->xa_commit_entry(xid, rmid, mode);
    case HF__ACT_COMMIT_ONE:
        return xa->xa_commit_entry(xid, rmid, TMONEPHASE);
    case HF__ACT_ROLLBACK:
        return xa->xa_rollback_entry(xid, rmid, TMNOFLAGS);
    default:
        return xa->xa_forget_entry(xid, rmid, TMNOFLAGS);
    }
}

static const uint8_t call_kinds[] = {
    [HF__ACT_END] = HF_CALL_END,           [HF__ACT_PREPARE] = HF_CALL_PREPARE,
    [HF__ACT_COMMIT] = HF_CALL_COMMIT,     [HF__ACT_COMMIT_ONE] = HF_CALL_COMMIT_ONE,
    [HF__ACT_ROLLBACK] = HF_CALL_ROLLBACK, [HF__ACT_FORGET] = HF_CALL_FORGET,
};

/* Is it an answer that nobody needs to hear about? */
static bool is_good(enum hf__act_kind kind, int code)
{
    return code == XA_OK || (kind == HF__ACT_PREPARE && code == XA_RDONLY) ||
           (kind == HF__ACT_ROLLBACK && code >= XA_RBBASE && code <= XA_RBEND) ||
           (kind == HF__ACT_FORGET && code == XAER_NOTA);
}

/* A yes vote may come with a token, which lets recovery prove the outcome. */
static void take_token(hf_tx *tx, unsigned branch, const XID *xid)
{
    struct hf__member *m = &tx->members[branch];
    const hf_rm *rm = m->instance->rm;
    size_t size = 0;

    if (rm->ext.token == NULL ||
        rm->ext.token(rm->ext_user, m->instance->rmid, xid, m->token, &size) != 0 ||
        size > sizeof(m->token))
        return; /* without one the outcome may stay unconfirmed, and nothing worse */
    m->token_size = (uint8_t)size;
}

/* Tell the timeline and the coordinator what a call brought that was begun at `started`. */
static void take_answer(struct shell *s, struct hf__act act, const XID *xid, uint64_t started,
                        int code)
{
    hf_instance *instance = s->tx->members[act.branch].instance;

    hf__timeline_add(&s->tx->timeline, call_kinds[act.kind], s->tx->members[act.branch].number,
                     code, started);
    if (act.kind == HF__ACT_END) {
        instance->associated = instance->suspended = false;
        HF_FAULT("commit:ended");
    } else if (act.kind == HF__ACT_PREPARE) {
        HF_FAULT("commit:prepared");
        if (code == XA_OK)
            take_token(s->tx, act.branch, xid);
    } else if (act.kind == HF__ACT_COMMIT) {
        HF_FAULT("commit:committed");
    }
    if (code == XAER_RMFAIL || code == XAER_PROTO || code == XAER_INVAL)
        hf__instance_lost(instance);
    if (!is_good(act.kind, code))
        note_call(s->result, instance, call_names[act.kind], code);
    hf__coord_answer(s->c, act.branch, code);
}

static void do_call(struct shell *s, struct hf__act act)
{
    const hf_instance *instance = s->tx->members[act.branch].instance;
    uint64_t started = hf__timeline_now();
    XID xid HF__WRITTEN_NEXT;

    hf__tx_branch_xid(s->tx, act.branch, &xid);
    take_answer(s, act, &xid, started,
                call_rm(s->c, act.kind, instance->rm->xa, &xid, instance->rmid, TMNOFLAGS));
}

/* Only hf_tx_finish() meets it at the outset: the others were refused (check_threads). */
static bool is_callable(const struct shell *s, unsigned branch)
{
    const hf_instance *instance = s->tx->members[branch].instance;

    return !instance->rm->one_rmid || hf__instance_callable(instance);
}

/* This thread has not opened it, so nobody answers here: recovery calls it in a thread that has. */
static void pass_over(struct shell *s, struct hf__act act)
{
    const hf_instance *instance = s->tx->members[act.branch].instance;
    char text[128];

    (void)snprintf(text, sizeof(text), "%s: left to recovery: this thread has not opened it",
                   instance->rm->name);
    note(s->result, instance->rm->name, call_names[act.kind], XAER_RMFAIL, 0, text);
    hf__coord_answer(s->c, act.branch, XAER_RMFAIL);
}

/* -- asynchronous calls ----------------------------------------------------------------------- */

static bool is_async(const struct shell *s, struct hf__act act)
{
    return (act.kind == HF__ACT_PREPARE || act.kind == HF__ACT_COMMIT) &&
           s->c->branches[act.branch].async;
}

static void begin_call(struct shell *s, struct hf__act act)
{
    const hf_instance *instance = s->tx->members[act.branch].instance;
    struct flight *f = &s->flights[s->flown];
    int code;

    *f = (struct flight){.branch = act.branch, .kind = act.kind, .started = hf__timeline_now()};
    hf__tx_branch_xid(s->tx, act.branch, &f->xid);
    code = call_rm(s->c, act.kind, instance->rm->xa, &f->xid, instance->rmid, TMASYNC);
    HF_FAULT("commit:asked");
    if (code > 0) {
        f->handle = code;
        s->flown++;
    } else if (code == XAER_ASYNC) {
        do_call(s, act);
    } else {
        take_answer(s, act, &f->xid, f->started, code);
    }
}

/* Fetch the answer of one; false: it has none yet. */
static bool complete_call(struct shell *s, struct flight *f)
{
    hf_instance *instance = s->tx->members[f->branch].instance;
    int answer = XA_OK;
    int code = instance->rm->xa->xa_complete_entry(&f->handle, &answer, instance->rmid, TMNOFLAGS);

    if (code == XA_RETRY)
        return false;
    if (code != XA_OK) {
        note_call(s->result, instance, "xa_complete", code);
        answer = XAER_RMFAIL;
    }
    f->landed = true;
    take_answer(s, (struct hf__act){f->kind, f->branch}, &f->xid, f->started, answer);
    return true;
}

/* Fetch at least one answer. A resource manager that never gives one keeps us here, like one that
   does not return from a call. */
static void wait_for_calls(struct shell *s)
{
    static const struct timespec pause = {.tv_nsec = RETRY_PAUSE_NS};
    unsigned answers, waiting;

    for (;;) {
        answers = waiting = 0;
        for (unsigned i = 0; i < s->flown; i++) {
            if (s->flights[i].landed)
                continue;
            if (complete_call(s, &s->flights[i]))
                answers++;
            else
                waiting++;
        }
        if (answers > 0)
            break;
        HF_CHECK(waiting > 0);
        (void)nanosleep(&pause, NULL);
    }
    if (waiting == 0)
        s->flown = 0;
}

/*
 * Say which branches go at once, and make room for as many calls. Without memory none does: slower,
 * and as right.
 */
static void plan_calls(struct shell *s)
{
    unsigned count = 0;

    for (unsigned i = 0; i < s->tx->count; i++) {
        const hf_rm *rm = s->tx->members[i].instance->rm;

        s->tx->branches[i].rank = rm->rank;
        s->tx->branches[i].async = (rm->xa->flags & TMUSEASYNC) != 0;
        count += s->tx->branches[i].async;
    }
    s->flights = s->small_flights;
    if (count <= SMALL_FLIGHTS)
        return;
    s->flights = calloc(count, sizeof(*s->flights));
    for (unsigned i = 0; s->flights == NULL && i < s->tx->count; i++)
        s->tx->branches[i].async = false;
}

static void do_probe(struct shell *s, struct hf__act act)
{
    const struct hf__member *m = &s->tx->members[act.branch];
    const hf_rm *rm = m->instance->rm;
    enum hf_probe answer = HF_PROBE_UNKNOWN;
    uint64_t started = hf__timeline_now();
    XID xid;

    hf__tx_branch_xid(s->tx, act.branch, &xid);
    if (m->instance->broken || !is_callable(s, act.branch) ||
        rm->ext.probe(rm->ext_user, m->instance->rmid, &xid, m->token, m->token_size, &answer) != 0)
        answer = HF_PROBE_UNKNOWN;
    hf__timeline_add(&s->tx->timeline, HF_CALL_PROBE, m->number, (int)answer, started);
    hf__coord_probed(s->c, act.branch, answer);
}

/* FORCE and RECORD: the record lists what the coordinator has, as it has it now. */
static void do_log(struct shell *s, enum hf__act_kind kind)
{
    struct hf__rec_branch small[SMALL_COUNT] HF__WRITTEN_NEXT; /* as far as rec.count says */
    struct hf__rec rec = {.branches = small};
    uint64_t started = hf__timeline_now();
    hf_tx *tx = s->tx;
    int rc = HF_OK;

    if (tx->count > SMALL_COUNT &&
        (rec.branches = calloc(tx->count, sizeof(*rec.branches))) == NULL)
        rc = hf__error(HF_ENOMEM, ENOMEM, "log a transaction of %u branches", tx->count);
    for (unsigned i = 0; rc == HF_OK && i < tx->count; i++) {
        struct hf__rec_branch *b = &rec.branches[rec.count];

        if (!hf__branch_store(s->c, &tx->branches[i], b))
            continue;
        b->rm_id = tx->members[i].instance->rm->id;
        b->number = tx->members[i].number;
        b->token_size = tx->members[i].token_size;
        memcpy(b->token, tx->members[i].token, b->token_size);
        rec.count++;
    }
    memcpy(rec.gtrid, tx->gtrid, HF__GTRID_SIZE);
    if (kind == HF__ACT_FORCE) {
        rec.decision = HF__COMMIT;
        rec.outcome = HF_COMMITTED;
        rc = rc == HF_OK ? hf__log_decide(tx->tm->log, &rec) : rc;
        atomic_store_explicit(&tx->committed, rc == HF_OK, memory_order_release);
    } else {
        rec.decision = s->c->decision == HF__COMMIT ? HF__COMMIT : HF__ROLLBACK;
        rec.outcome = (uint8_t)hf__coord_outcome(s->c);
        rc = rc == HF_OK ? hf__log_record(tx->tm->log, &rec, s->c->recorded) : rc;
    }
    if (rec.branches != small)
        free(rec.branches);
    hf__timeline_add(&tx->timeline, kind == HF__ACT_FORCE ? HF_CALL_DECIDE : HF_CALL_RECORD, 0, rc,
                     started);
    if (rc != HF_OK)
        note(s->result, "", "log", XA_OK, hf_error_last()->native_code, hf_error_last()->text);
    if (rc == HF_EUNKNOWN || rc == HF_EFENCED)
        hf__tm_log_failed(tx->tm, "decide");
    hf__coord_logged(s->c, rc == HF_OK         ? HF__LOGGED
                           : rc == HF_EUNKNOWN ? HF__LOG_UNKNOWN
                                               : HF__LOG_REFUSED);
}

/* False: it has stopped at a durable decision. */
static bool run(struct shell *s)
{
    bool stopped = false;
    struct hf__act act;

    /* Bound: the coordinator ends; tests/prop/walk.c walks it through. */
    while (!stopped && (act = hf__coord_next(s->c)).kind != HF__ACT_DONE) {
        switch (act.kind) {
        case HF__ACT_FORCE:
        case HF__ACT_RECORD:
            do_log(s, act.kind);
            stopped = s->stop_decided && act.kind == HF__ACT_FORCE && s->c->decision == HF__COMMIT;
            break;
        case HF__ACT_PROBE:
            do_probe(s, act);
            break;
        case HF__ACT_RELEASE:
            hf__log_release(s->tx->tm->log, s->tx->gtrid);
            HF_FAULT("commit:released");
            break;
        case HF__ACT_WAIT:
            wait_for_calls(s);
            break;
        default:
            if (!is_callable(s, act.branch))
                pass_over(s, act);
            else if (is_async(s, act))
                begin_call(s, act);
            else
                do_call(s, act);
            break;
        }
    }
    if (s->flights != s->small_flights)
        free(s->flights); /* every vote was heard before the decision was forced */
    return !stopped;
}

/* -- around it -------------------------------------------------------------------------------- */

/* Let the instances go. One whose branch we lost sight of is not to be used again. The association
   ended in the first half of the commit: hf_tx_finish(), maybe in another thread, writes nothing of
   it, since the thread that works on looks at it. */
static void release_instances(hf_tx *tx, hf_outcome outcome)
{
    for (unsigned i = 0; i < tx->count; i++) {
        hf_instance *instance = tx->members[i].instance;

        if (outcome == HF_UNKNOWN || tx->branches[i].state == HF__B_LEFT)
            instance->broken = true;
        if (instance->associated || instance->suspended)
            instance->associated = instance->suspended = false;
        hf__instance_use(instance, 0);
        atomic_store_explicit(&instance->tx, NULL, memory_order_release); /* it may be gone now */
    }
}

/* After a hand-over an instance may still be in use by the thread that had the transaction before.
   An association that is bound to a thread never outlives that thread's ownership: hf_tx_resume()
   sees to it. Any other call is good in every thread that has called xa_open. One that was delisted
   may work outside of transactions, for any thread: tx->watching is set by now, at which ax_reg()
   looks when it has said so. */
static int check_threads(const hf_tx *tx)
{
    uint64_t owner = atomic_load(&tx->owner);

    for (unsigned i = 0; i < tx->count; i++) {
        const hf_instance *instance = tx->members[i].instance;
        uint64_t user = atomic_load(&instance->user);

        HF_CHECK(!instance->associated || !instance->rm->thread_bound || instance->thread == owner);
        if (user != 0 && user != owner)
            return hf__error(HF_EBUSY, 0, "%s: an instance is in use by another thread",
                             instance->rm->name);
        if (atomic_load(&instance->outside) != 0 && !instance->broken)
            return hf__error(HF_EBUSY, 0, "%s: an instance works outside of transactions",
                             instance->rm->name);
        if (instance->rm->one_rmid && !hf__instance_callable(instance))
            return hf__error(HF_ETHREAD, 0, "%s: this thread has not opened it",
                             instance->rm->name);
    }
    return HF_OK;
}

static int code_of(hf_outcome outcome, bool committing)
{
    switch (outcome) {
    case HF_COMMITTED:
        return committing ? HF_OK : HF_EHEURISTIC;
    case HF_ROLLEDBACK:
        return committing ? HF_EROLLEDBACK : HF_OK;
    case HF_UNKNOWN:
        return HF_EUNKNOWN;
    default:
        return HF_EHEURISTIC;
    }
}

static unsigned count_doubtful(const hf_tx *tx)
{
    unsigned count = 0;

    for (unsigned i = 0; i < tx->count; i++) {
        const struct hf__branch *b = &tx->branches[i];

        count += b->state == HF__B_OWED || b->state == HF__B_UNCONFIRMED ||
                 (b->state == HF__B_LEFT && b->code != XAER_RMFAIL);
    }
    return count;
}

/* Tell the caller; the watchers after that; then there is no transaction any more. */
static int finish(struct shell *s, hf_result *ret_result, bool committing)
{
    hf_tx *tx = s->tx;
    hf_outcome outcome = hf__coord_outcome(s->c);
    int rc = code_of(outcome, committing);
    XID xid;

    s->result->outcome = outcome;
    s->result->owed = hf__coord_owed(s->c);
    s->result->unconfirmed = hf__coord_unconfirmed(s->c);
    s->result->doubtful = s->result->owed > 0 ? count_doubtful(tx) : 0;
    if (ret_result != NULL)
        *ret_result = *s->result;
    hf__tx_keep(tx, s->result, committing);
    hf__xid_make(&xid, tx->gtrid, 0, 0);
    release_instances(tx, outcome);
    if (atomic_load(&tx->owner) != 0)
        hf__tx_leave_thread(tx);
    hf__tx_leave(tx, outcome, s->result->owed > 0);
    for (unsigned i = 0; i < tx->sync_count; i++)
        if (tx->syncs[i].after != NULL)
            tx->syncs[i].after(tx->syncs[i].user, &xid, outcome);
    hf__tx_put_back(tx);
    if (rc != HF_OK)
        return hf__error(rc, s->result->native_code, "%s", s->result->text);
    return HF_OK;
}

/* Lowest rank first; within a rank in the order of enlisting. Most often there is nothing to do. */
static void order_by_rank(hf_tx *tx)
{
    for (unsigned i = 1; i < tx->count; i++) {
        struct hf__branch branch = tx->branches[i];
        struct hf__member member = tx->members[i];
        unsigned at = i;

        while (at > 0 && tx->members[at - 1].instance->rm->rank > member.instance->rm->rank) {
            tx->branches[at] = tx->branches[at - 1];
            tx->members[at] = tx->members[at - 1];
            at--;
        }
        tx->branches[at] = branch;
        tx->members[at] = member;
    }
}

/* HF_OK: tx->watching is set, and stays until it is COMPLETING. */
static int check_completion(hf_tx *tx, const hf_result *ret_result)
{
    int rc = hf__tx_check_owner(tx);

    if (rc == HF_OK && tx->watching)
        rc = hf__error(HF_ESTATE, 0, "complete a transaction from one of its watchers");
    if (rc == HF_OK && ret_result != NULL && ret_result->size != sizeof(*ret_result))
        rc = hf__error(HF_EINVAL, 0, "hf_result has size %zu; this version knows %zu",
                       ret_result->size, sizeof(*ret_result));
    if (rc != HF_OK)
        return rc;
    atomic_store(&tx->watching, true);
    rc = check_threads(tx);
    if (rc != HF_OK)
        atomic_store(&tx->watching, false);
    return rc;
}

/* From here on it is COMPLETING. As hf__deadline_leave(). */
static bool leave_active(hf_tx *tx)
{
    bool rollback_only = hf__deadline_leave(tx);

    atomic_store_explicit(&tx->watching, false, memory_order_release);
    return rollback_only;
}

/* The watchers, the deadline; then all that the coordinator asks for. As run(). */
static bool commit(struct shell *s)
{
    hf_tx *tx = s->tx;
    bool rollback_only;

    for (unsigned i = 0; i < tx->sync_count; i++) { /* a watcher may add watchers */
        hf_sync sync = tx->syncs[i];

        if (sync.before != NULL)
            sync.before(sync.user, tx);
    }
    rollback_only = leave_active(tx);
    if (tx->deadline_ms != 0 && hf__monotonic_ms() > tx->deadline_ms) {
        note(s->result, "", "deadline", XA_OK, 0,
             "the transaction's time was over before it was committed");
        rollback_only = true;
    } else if (rollback_only) {
        note(s->result, "", "rollback-only", XA_OK, 0, "the transaction was set to roll back only");
    }
    s->c = &tx->coord;
    order_by_rank(tx);
    plan_calls(s);
    hf__coord_init(s->c, tx->branches, tx->count);
    hf__coord_commit(s->c, rollback_only);
    return run(s);
}

int hf_tx_commit(hf_tx *tx, hf_result *ret_result)
{
    hf_result result = HF_RESULT_INIT;
    struct shell s = {.tx = tx, .result = &result};
    int rc = check_completion(tx, ret_result);

    if (rc != HF_OK)
        return rc;
    (void)commit(&s);
    return finish(&s, ret_result, true);
}

/* -- the same in two halves ------------------------------------------------------------------- */

static unsigned count_untold(const hf_tx *tx)
{
    unsigned count = 0;

    for (unsigned i = 0; i < tx->count; i++)
        count += tx->branches[i].state == HF__B_PREPARED;
    return count;
}

int hf_tx_decide(hf_tx *tx, hf_result *ret_result, hf_tx **ret_rest)
{
    hf_result result = HF_RESULT_INIT;
    struct shell s = {.tx = tx, .result = &result, .stop_decided = true};
    int rc;

    if (ret_rest == NULL)
        return hf__error(HF_EINVAL, 0, "decide: nowhere to put the rest");
    rc = check_completion(tx, ret_result);
    if (rc != HF_OK)
        return rc;
    *ret_rest = NULL;
    if (commit(&s))
        return finish(&s, ret_result, true);
    result.outcome = HF_COMMITTED;
    result.owed = count_untold(tx);
    if (ret_result != NULL)
        *ret_result = result;
    hf__tx_leave_thread(tx);
    (void)pthread_mutex_lock(&tx->tm->lock); /* T1 */
    atomic_store(&tx->owner, 0);
    (void)pthread_mutex_unlock(&tx->tm->lock);
    atomic_store(&tx->decided, true);
    *ret_rest = tx;
    return HF_OK;
}

int hf_tx_finish(hf_tx *rest, hf_result *ret_result)
{
    hf_result result = HF_RESULT_INIT;
    struct shell s = {.tx = rest, .result = &result};
    int rc = hf__tx_check(rest);

    if (rc == HF_OK && ret_result != NULL && ret_result->size != sizeof(*ret_result))
        rc = hf__error(HF_EINVAL, 0, "hf_result has size %zu; this version knows %zu",
                       ret_result->size, sizeof(*ret_result));
    if (rc == HF_OK && !atomic_load(&rest->decided))
        rc = hf__error(HF_ESTATE, 0, "finish: not a transaction that was decided");
    if (rc == HF_OK && !atomic_exchange(&rest->decided, false))
        rc = hf__error(HF_ESTATE, 0, "finish: another thread does");
    if (rc != HF_OK)
        return rc;
    s.c = &rest->coord;
    plan_calls(&s);
    (void)run(&s);
    return finish(&s, ret_result, true);
}

int hf_tx_rollback(hf_tx *tx, hf_result *ret_result)
{
    hf_result result = HF_RESULT_INIT;
    struct shell s = {.tx = tx, .result = &result};
    int rc = check_completion(tx, ret_result);

    if (rc != HF_OK)
        return rc;
    (void)leave_active(tx);
    order_by_rank(tx);
    s.c = &tx->coord;
    hf__coord_init(s.c, tx->branches, tx->count);
    hf__coord_rollback(s.c);
    run(&s);
    return finish(&s, ret_result, false);
}
