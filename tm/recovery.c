/*
 * tm/recovery.c - finish what dead incarnations, and our own completions, left behind.
 *
 * One pass, in an order that matters:
 *   1  fence the dead: their decisions are all readable after that, and no more can come (log.h,
 *      L3)
 *   2  read the records, and which of them may be settled: those of fenced incarnations, and of our
 *      own whose transaction was over when the pass began
 *   3  scan each resource manager, completely; only then is absence worth anything
 *   4  judge each XID of the scans (hf__classify): foreign, left, rolled back, or listed by a
 *      record
 *   5  settle each record with the coordinator that decides transactions; one whose owner noted
 *      before it died that every branch had acknowledged (page.c) needs no questions
 *
 * Invariants (numbers of ARCHITECTURE.md)
 *   4   Records are read after our own forced fence, in a newer snapshot.
 *   7   A branch counts as absent only if its record was read before a complete scan began.
 *   10  Only XIDs of this node, of the scanned resource manager's durable id, are touched.
 *   13  A stale session is to be got rid of only for a branch that steps 2 and 4 let this pass end:
 *       of a fenced incarnation, or of a transaction of ours that was over when it began.
 *   14  Nothing here is remembered between passes: interrupted anywhere, the next one starts over.
 *
 * If we crash after ...          on disk                   the next pass
 *   a fence                      the fence                 goes on from there
 *   an xa_commit                 the decision              proves it, or shows it unconfirmed
 *   an xa_rollback               nothing                   finds nothing any more
 *   a stale session's end        as before                 tells the branch, which nobody holds
 *   the history's entries        entries and decisions     proves, releases; entries stay
 *   a release                    maybe the decision        proves, releases
 *
 * Passes may run at once: one for all, and one for each resource manager that was asked for by
 * name. A pass *has* its resource managers, so that two do not tell one branch; who asks by name
 * takes one from the pass for all, unless that is in a call to it. So what hangs in one keeps
 * nobody from the others. What a pass has lost counts as not reached: it concludes nothing from
 * it. A record is in one pass's hands from before it is read until what was learnt is written, or,
 * if that is all, until it is released: two passes that each told one branch of it, and then wrote
 * it, would have one answer refused, and nobody could ask for it again. So the transaction whose
 * branch hangs waits with it. Steps 1 and 2 call no resource manager, and are one pass's at a time.
 *
 * Threads: any. No lock is held in a call to a resource manager.
 * Spec: [XA] 2.3.3, 3.6; xa_recover().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "holdfast/internal/fault.h"
#include "node.h"

enum {
    SCAN_BATCH = 64,
    SCAN_MAX = 1 << 20,
    DONE_BATCH = 128, /* finished transactions that the history is told of together */
};

/* A resource manager in this pass. */
struct target {
    hf_rm *rm;
    hf_instance *instance; /* NULL: not reached */
    bool scanned;          /* completely */
    XID *xids;
    size_t count, room;
};

/* A global transaction that a branch was rolled back of. */
struct undone {
    unsigned char gtrid[HF__GTRID_SIZE];
    struct hf__span_event event;
    uint64_t began_ms;
};

/* One that is over everywhere: the history first, then the release. */
struct done {
    struct hf__rec rec; /* branches are its own */
    struct hf__span span;
};

/* A record that may be settled. */
struct pending {
    unsigned char gtrid[HF__GTRID_SIZE];
};

struct pass {
    struct hf__pass_seat seat;
    hf_tm *tm;
    unsigned char claim[HF__GTRID_SIZE]; /* tm->lock: of the record that is being settled */
    bool claims;                         /* tm->lock: there is one */
    struct hf__fences fences; /* before the scans */
    uint64_t *running;        /* sequences of our transactions when the pass began, in order */
    size_t running_count;
    uint64_t last; /* the newest sequence then */
    struct target *targets;
    size_t target_count;
    struct pending *pending; /* records that may be settled */
    size_t pending_count, pending_room;
    struct hf__acks released; /* before the scans */
    struct undone *undone;
    size_t undone_count, undone_room;
    struct done *done; /* room for DONE_BATCH */
    size_t done_count; /* tm->lock for writing */
    uint64_t committed, finished, owed, unconfirmed;
    bool back_in_time;
};

/* -- growing arrays --------------------------------------------------------------------------- */

static int grow(void **array, size_t *room, size_t count, size_t size)
{
    size_t more = *room != 0 ? 2 * *room : 64;
    void *p;

    if (count < *room)
        return HF_OK;
    p = realloc(*array, more * size);
    if (p == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "recover: room for %zu entries", more);
    *array = p;
    *room = more;
    return HF_OK;
}

/* -- 2: the records --------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Was a transaction of our own over when the pass began? One that ended since may be in a scan,
   prepared, that was made before its end. */
static bool was_over(const struct pass *p, uint64_t sequence)
{
    return sequence <= p->last &&
           (p->running_count == 0 || bsearch(&sequence, p->running, p->running_count,
                                             sizeof(*p->running), by_number) == NULL);
}

/* May this pass finish a transaction of that incarnation? */
static bool is_over(const struct pass *p, const unsigned char gtrid[HF__GTRID_SIZE])
{
    uint32_t incarnation = hf__gtrid_incarnation(gtrid);

    if (incarnation == hf__log_incarnation(p->tm->log))
        return was_over(p, hf__gtrid_sequence(gtrid)) && !hf__log_releasing(p->tm->log, gtrid);
    return hf__fenced(&p->fences, incarnation);
}

static int keep_record(void *user, const struct hf__rec *rec)
{
    struct pass *p = user;
    int rc;

    if (memcmp(rec->gtrid, hf__log_node(p->tm->log), HF__NODE_ID_SIZE) != 0 ||
        !is_over(p, rec->gtrid))
        return 0;
    rc = grow((void **)&p->pending, &p->pending_room, p->pending_count, sizeof(*p->pending));
    if (rc == HF_OK)
        memcpy(p->pending[p->pending_count++].gtrid, rec->gtrid, HF__GTRID_SIZE);
    return rc;
}

/* The records, and which of them are only waiting to be dropped: what the page cannot tell is
   proved. */
static int read_records(struct pass *p)
{
    int rc = hf__log_each(p->tm->log, keep_record, p);

    if (rc == HF_OK && p->pending_count > 0)
        (void)hf__log_released(p->tm->log, &p->released);
    return rc;
}

/* -- who calls whom --------------------------------------------------------------------------- */

/* Before a call to a resource manager; false: another pass has taken it. */
static bool begin_call(const struct pass *p, hf_rm *rm)
{
    bool mine;

    (void)pthread_mutex_lock(&p->tm->lock);
    mine = rm->pass == &p->seat;
    if (mine)
        rm->pass_calls = true;
    (void)pthread_mutex_unlock(&p->tm->lock);
    return mine;
}

/* Has no other pass taken it since? */
static bool has(const struct pass *p, const hf_rm *rm)
{
    bool mine;

    (void)pthread_mutex_lock(&p->tm->lock);
    mine = rm->pass == &p->seat;
    (void)pthread_mutex_unlock(&p->tm->lock);
    return mine;
}

static void end_call(const struct pass *p, hf_rm *rm)
{
    (void)pthread_mutex_lock(&p->tm->lock);
    rm->pass_calls = false;
    if (p->tm->pass_waiters > 0)
        (void)pthread_cond_broadcast(&p->tm->changed);
    (void)pthread_mutex_unlock(&p->tm->lock);
}

/* With the lock of the tm. */
static bool is_in_hand(const struct pass *p, const unsigned char gtrid[HF__GTRID_SIZE])
{
    bool found = p->claims && memcmp(p->claim, gtrid, HF__GTRID_SIZE) == 0;

    for (size_t i = 0; !found && i < p->done_count; i++)
        found = memcmp(p->done[i].rec.gtrid, gtrid, HF__GTRID_SIZE) == 0;
    return found;
}

/* Before a record is read to be settled; false: another pass has it in hand, or it is released. */
static bool claim(struct pass *p, const unsigned char gtrid[HF__GTRID_SIZE])
{
    bool taken = false;

    (void)pthread_mutex_lock(&p->tm->lock);
    for (const struct hf__pass_seat *s = p->tm->passes; !taken && s != NULL; s = s->next)
        taken = s != &p->seat && is_in_hand((const struct pass *)s, gtrid); /* the first member */
    if (!taken) {
        memcpy(p->claim, gtrid, HF__GTRID_SIZE);
        p->claims = true;
    }
    (void)pthread_mutex_unlock(&p->tm->lock);
    return !taken;
}

static void let_go(struct pass *p)
{
    (void)pthread_mutex_lock(&p->tm->lock);
    p->claims = false;
    (void)pthread_mutex_unlock(&p->tm->lock);
}

/* -- 3: the scans ----------------------------------------------------------------------------- */

static void tell_unreachable(struct target *t, const char *text)
{
    bool told;

    (void)pthread_mutex_lock(&t->rm->lock);
    told = t->rm->told_unreachable;
    t->rm->told_unreachable = true;
    (void)pthread_mutex_unlock(&t->rm->lock);
    if (!told)
        hf__tm_tell(t->rm->tm, HF_LOG_WARNING, "recovery cannot reach %s: %s", t->rm->name, text);
}

/* An order for searching; formatID and lengths are compared for all that it is worth. */
static int by_xid(const void *a, const void *b)
{
    const XID *x = a, *y = b;

    if (x->formatID != y->formatID)
        return x->formatID < y->formatID ? -1 : 1;
    if (x->gtrid_length != y->gtrid_length)
        return x->gtrid_length < y->gtrid_length ? -1 : 1;
    if (x->bqual_length != y->bqual_length)
        return x->bqual_length < y->bqual_length ? -1 : 1;
    return memcmp(x->data, y->data, HF__GTRID_SIZE + HF__BQUAL_SIZE);
}

/* One that is listed twice is one branch. In order. */
static void drop_doubles(struct target *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->count; i++)
        if (kept == 0 || by_xid(&t->xids[kept - 1], &t->xids[i]) != 0)
            t->xids[kept++] = t->xids[i];
    t->count = kept;
}

/* With the resource manager's own words, if it has any. */
static int scan_failed(struct target *t, int code)
{
    char text[256] = "it gives no reason";
    int native = 0;

    hf__instance_error(t->instance, &native, text, sizeof(text));
    return hf__error(HF_ERM, native != 0 ? native : code, "%s: xa_recover answered %s: %s",
                     t->rm->name, hf__xa_name(code), text);
}

static int scan(struct target *t)
{
    const struct xa_switch_t *xa = t->rm->xa;
    long flags = TMSTARTRSCAN;
    XID batch[SCAN_BATCH];
    int got, rc;

    do {
        got = xa->xa_recover_entry(batch, SCAN_BATCH, t->instance->rmid, flags);
        flags = TMNOFLAGS;
        if (got == XAER_RMFAIL)
            hf__instance_lost(t->instance);
        if (got < 0)
            return scan_failed(t, got);
        if (got > SCAN_BATCH)
            return hf__error(HF_ERM, got, "%s: xa_recover answered %s", t->rm->name,
                             "more XIDs than it was given room for");
        for (int i = 0; i < got; i++) {
            rc = grow((void **)&t->xids, &t->room, t->count, sizeof(*t->xids));
            if (rc != HF_OK)
                return rc;
            t->xids[t->count++] = batch[i];
        }
    } while (got == SCAN_BATCH && t->count < SCAN_MAX);
    if (got == SCAN_BATCH)
        return hf__error(HF_ELIMIT, 0, "%s: xa_recover lists over %d branches", t->rm->name,
                         SCAN_MAX);
    if (t->count > 0)
        qsort(t->xids, t->count, sizeof(*t->xids), by_xid);
    drop_doubles(t);
    t->scanned = true;
    return HF_OK;
}

/* The pass's own instances are not what hf_tm_close() reports as left open. */
static void count_instance(hf_tm *tm, int by)
{
    (void)pthread_mutex_lock(&tm->lock);
    tm->pass_instances += by;
    (void)pthread_mutex_unlock(&tm->lock);
}

static int open_and_scan(struct target *t)
{
    int rc = hf_instance_open(t->rm, &t->instance);

    HF_FAULT("recovery:reached");
    if (rc == HF_OK) {
        count_instance(t->rm->tm, 1);
        rc = scan(t);
    } else {
        t->instance = NULL;
    }
    HF_FAULT("recovery:scanned");
    return rc;
}

/* A scan that fails proves nothing, and keeps nobody else from being scanned. */
static int reach(const struct pass *p, struct target *t)
{
    int rc;

    if (!begin_call(p, t->rm))
        return HF_OK;
    rc = open_and_scan(t);
    end_call(p, t->rm);
    if (rc == HF_ESTATE) /* the node is closing: the next opening goes on */
        return rc;
    if (rc == HF_OK) {
        (void)pthread_mutex_lock(&t->rm->lock);
        t->rm->told_unreachable = false;
        (void)pthread_mutex_unlock(&t->rm->lock);
        return HF_OK;
    }
    tell_unreachable(t, hf_error_last()->text);
    return rc == HF_ENOMEM || rc == HF_EUNKNOWN || rc == HF_ELOG || rc == HF_EFENCED ? rc : HF_OK;
}

/* -- talking to branches: the coordinator's shell for recovery -------------------------------- */

struct settle {
    struct pass *pass;
    struct hf__rec *rec;
    struct target **reached; /* of each branch; NULL: not reached */
    struct hf__branch *branches;
    struct hf__coord c;
    int answer; /* the last one to xa_rollback */
    bool again; /* the record is in the log */
    struct hf__timeline timeline;
};

static const uint8_t call_kinds[] = {
    [HF__ACT_COMMIT] = HF_CALL_COMMIT,
    [HF__ACT_ROLLBACK] = HF_CALL_ROLLBACK,
    [HF__ACT_FORGET] = HF_CALL_FORGET,
};

static const char *const call_names[] = {
    [HF__ACT_COMMIT] = "xa_commit",
    [HF__ACT_ROLLBACK] = "xa_rollback",
    [HF__ACT_FORGET] = "xa_forget",
};

/* What the pass did for the transaction, as the history keeps it. */
static void put_span(const struct settle *s, struct hf__span *ret)
{
    hf__timeline_end(&s->timeline, ret);
    ret->incarnation = hf__log_incarnation(s->pass->tm->log);
    ret->by_recovery = true;
    ret->kept = HF_KEPT_RECOVERED;
    for (unsigned i = 0; i < ret->count; i++)
        for (uint32_t j = 0; j < s->rec->count && ret->events[i].rm_id == 0; j++)
            if (s->rec->branches[j].number == ret->events[i].number)
                ret->events[i].rm_id = s->rec->branches[j].rm_id;
}

/* Is the branch over, or not there: is there nothing to tell the host? */
static bool is_answer(int code)
{
    return code == XA_OK || code == XAER_NOTA || (code >= XA_RBBASE && code <= XA_RBEND) ||
           (code >= XA_HEURMIX && code <= XA_HEURHAZ);
}

/* A branch that stays in doubt, in the words of its resource manager, once until one is finished
   there: no right to do it, a session that holds it, no room. */
static void tell_refused(const struct target *t, const char *call, const XID *xid, int code)
{
    char text[256] = "it gives no reason", branch[HF_XID_TEXT_SIZE];
    int native = 0;
    bool told;

    (void)pthread_mutex_lock(&t->rm->lock);
    told = t->rm->told_refused;
    t->rm->told_refused = !is_answer(code) || (told && code == XAER_NOTA);
    told = told || !t->rm->told_refused;
    (void)pthread_mutex_unlock(&t->rm->lock);
    if (told)
        return;
    hf__instance_error(t->instance, &native, text, sizeof(text));
    (void)hf_xid_format(xid, branch);
    hf__tm_tell(t->rm->tm, HF_LOG_WARNING, "recovery: %s: %s of branch %s answered %s: %s",
                t->rm->name, call, branch, hf__xa_name(code), text);
}

static void call_branch(struct settle *s, struct hf__act act)
{
    struct target *t = s->reached[act.branch];
    uint64_t started = hf__timeline_now();
    const struct xa_switch_t *xa;
    XID xid;
    int code;
    bool mine;

    HF_CHECK(t != NULL && t->instance != NULL);
    mine = begin_call(s->pass, t->rm);
    xa = t->rm->xa;
    hf__xid_make(&xid, s->rec->gtrid, s->rec->branches[act.branch].rm_id,
                 s->rec->branches[act.branch].number);
    if (!mine || t->instance->broken ||
        (act.kind == HF__ACT_ROLLBACK && hf__log_failed(s->pass->tm->log)))
        code = XAER_RMFAIL; /* failed earlier in this pass; or we are not to judge any more */
    else if (act.kind == HF__ACT_COMMIT)
        code = xa->xa_commit_entry(&xid, t->instance->rmid, TMNOFLAGS);
    else if (act.kind == HF__ACT_ROLLBACK)
        code = xa->xa_rollback_entry(&xid, t->instance->rmid, TMNOFLAGS);
    else
        code = xa->xa_forget_entry(&xid, t->instance->rmid, TMNOFLAGS);
    hf__timeline_add(&s->timeline, call_kinds[act.kind], s->rec->branches[act.branch].number, code,
                     started);
    HF_FAULT("recovery:called");
    if (mine && !t->instance->broken)
        tell_refused(t, call_names[act.kind], &xid, code);
    if (mine && code == XAER_RMFAIL)
        hf__instance_lost(t->instance);
    if (mine)
        end_call(s->pass, t->rm);
    if (act.kind == HF__ACT_ROLLBACK)
        s->answer = code;
    if (act.kind == HF__ACT_COMMIT && (code == XA_OK || code == XA_HEURCOM))
        s->rec->by_recovery = true; /* not only learnt that others had committed it */
    hf__coord_answer(&s->c, act.branch, code);
}

static void probe_branch(struct settle *s, unsigned branch)
{
    const struct target *t = s->reached[branch];
    const struct hf__rec_branch *b = &s->rec->branches[branch];
    enum hf_probe answer = HF_PROBE_UNKNOWN;
    uint64_t started = hf__timeline_now();
    bool mine = begin_call(s->pass, t->rm);
    XID xid;

    hf__xid_make(&xid, s->rec->gtrid, b->rm_id, b->number);
    if (!mine) /* nobody was asked: it stays owed */
        answer = HF_PROBE_PREPARED;
    else if (t->instance->broken ||
             t->rm->ext.probe(t->rm->ext_user, t->instance->rmid, &xid, b->token, b->token_size,
                              &answer) != 0)
        answer = HF_PROBE_UNKNOWN;
    if (mine)
        end_call(s->pass, t->rm);
    hf__timeline_add(&s->timeline, HF_CALL_PROBE, b->number, (int)answer, started);
    HF_FAULT("recovery:probed");
    hf__coord_probed(&s->c, branch, answer);
}

/* XAER_NOTA of a branch that is prepared: the resource manager looks for a session that died, and
   hangs on. What is not got rid of is looked for again in the next pass. */
static void detach_branch(struct settle *s, unsigned branch)
{
    const struct target *t = s->reached[branch];
    const struct hf__rec_branch *b = &s->rec->branches[branch];
    uint64_t started = hf__timeline_now();
    bool mine = begin_call(s->pass, t->rm);
    int code = -1;
    XID xid;

    hf__xid_make(&xid, s->rec->gtrid, b->rm_id, b->number);
    if (mine && !t->instance->broken && !hf__log_failed(s->pass->tm->log))
        code = t->rm->ext.detach(t->rm->ext_user, t->instance->rmid, &xid, b->token, b->token_size);
    if (mine)
        end_call(s->pass, t->rm);
    hf__timeline_add(&s->timeline, HF_CALL_DETACH, b->number, code, started);
    HF_FAULT("recovery:detached");
    hf__coord_detached(&s->c, branch, code == 0);
}

/* The record again, with what became of its branches. What is not reached stays as it was. */
static void record_again(struct settle *s)
{
    hf_tm *tm = s->pass->tm;
    struct hf__rec rec = *s->rec;
    uint64_t started = hf__timeline_now();
    int rc = HF_OK;

    rec.count = 0;
    rec.branches = calloc(s->rec->count + 1, sizeof(*rec.branches));
    if (rec.branches == NULL)
        rc = hf__error(HF_ENOMEM, ENOMEM, "recover: record a transaction");
    for (uint32_t i = 0; rc == HF_OK && i < s->rec->count; i++) {
        rec.branches[rec.count] = s->rec->branches[i];
        rec.count += hf__branch_store(&s->c, &s->branches[i], &rec.branches[rec.count]);
    }
    rec.outcome = (uint8_t)hf__coord_outcome(&s->c);
    if (rc == HF_OK)
        rc = hf__log_record(tm->log, &rec, s->again);
    hf__timeline_add(&s->timeline, HF_CALL_RECORD, 0, rc, started);
    if (rc == HF_EUNKNOWN || rc == HF_EFENCED)
        hf__tm_log_failed(tm, "recover");
    free(rec.branches);
    hf__coord_logged(&s->c, rc == HF_OK         ? HF__LOGGED
                            : rc == HF_EUNKNOWN ? HF__LOG_UNKNOWN
                                                : HF__LOG_REFUSED);
    if (rc == HF_OK && rec.outcome != (rec.decision == HF__COMMIT ? HF_COMMITTED : HF_ROLLEDBACK))
        hf__tm_tell(tm, HF_LOG_ALARM, "a branch ended otherwise than decided: see txctl tx list");
}

/* Its own thread has told its owner what became of it, and counted it. */
static bool is_own(const struct pass *p, const unsigned char gtrid[HF__GTRID_SIZE])
{
    return hf__gtrid_incarnation(gtrid) == hf__log_incarnation(p->tm->log);
}

static unsigned count_unconfirmed(const struct hf__rec *rec)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < rec->count; i++)
        n += rec->branches[i].state == HF_BRANCH_UNCONFIRMED;
    return n;
}

/* Remember how transactions ended, then let their records go, in this order. */
static void finish_done(struct pass *p)
{
    struct hf__history *history = hf__log_history(p->tm->log);
    struct hf__finished list[DONE_BATCH];

    if (p->done_count == 0)
        return;
    for (size_t i = 0; i < p->done_count; i++)
        list[i] = (struct hf__finished){.rec = &p->done[i].rec, .span = &p->done[i].span};
    if (p->tm->config.history != HF__HISTORY_NONE)
        hf__history_remember(history, list, p->done_count);
    HF_FAULT("recovery:remembered");
    for (size_t i = 0; i < p->done_count; i++) {
        struct hf__rec *rec = &p->done[i].rec;
        unsigned unconfirmed = count_unconfirmed(rec);

        if (unconfirmed > 0 && !list[i].written) { /* without proof, never without a trace */
            p->owed += unconfirmed;
            p->unconfirmed += unconfirmed;
            free(rec->branches);
            continue;
        }
        p->committed += !list[i].had && rec->by_recovery && !is_own(p, rec->gtrid);
        hf__log_release(p->tm->log, rec->gtrid);
        free(rec->branches);
    }
    (void)pthread_mutex_lock(&p->tm->lock);
    p->done_count = 0;
    (void)pthread_mutex_unlock(&p->tm->lock);
}

/* The transaction is over everywhere. If there is no memory, the next pass sees that, too. */
static void release(struct settle *s, uint8_t kept)
{
    struct pass *p = s->pass;
    struct done *d;

    if (p->done == NULL)
        p->done = calloc(DONE_BATCH, sizeof(*p->done));
    if (p->done == NULL)
        return;
    d = &p->done[p->done_count];
    d->rec = *s->rec;
    d->rec.branches = calloc(s->rec->count + 1, sizeof(*d->rec.branches));
    if (d->rec.branches == NULL)
        return;
    d->rec.outcome = (uint8_t)hf__coord_outcome(&s->c);
    for (uint32_t i = 0; i < s->rec->count; i++) {
        d->rec.branches[i] = s->rec->branches[i];
        (void)hf__branch_store(&s->c, &s->branches[i], &d->rec.branches[i]);
    }
    put_span(s, &d->span);
    d->span.kept |= kept;
    (void)pthread_mutex_lock(&p->tm->lock);
    p->done_count++;
    (void)pthread_mutex_unlock(&p->tm->lock);
    if (p->done_count == DONE_BATCH)
        finish_done(p);
}

static void run(struct settle *s)
{
    struct hf__act act;

    hf__timeline_begin(&s->timeline);
    /* Bound: the coordinator ends. */
    while ((act = hf__coord_next(&s->c)).kind != HF__ACT_DONE) {
        switch (act.kind) {
        case HF__ACT_RECORD:
            record_again(s);
            break;
        case HF__ACT_PROBE:
            probe_branch(s, act.branch);
            break;
        case HF__ACT_DETACH:
            detach_branch(s, act.branch);
            break;
        case HF__ACT_RELEASE:
            release(s, 0);
            break;
        default:
            call_branch(s, act);
            break;
        }
    }
}

/* -- 4: the XIDs of a scan -------------------------------------------------------------------- */

/* NOTA says that there was nothing to roll back any more: nothing was done here. */
static bool proves_rollback(int code)
{
    return code == XA_OK || code == XA_HEURRB || (code >= XA_RBBASE && code <= XA_RBEND);
}

static int note_undone(struct pass *p, const struct settle *s)
{
    struct hf__span span;
    struct undone *u;
    int rc;

    if (is_own(p, s->rec->gtrid))
        return HF_OK;
    rc = grow((void **)&p->undone, &p->undone_room, p->undone_count, sizeof(*p->undone));
    if (rc != HF_OK)
        return rc;
    put_span(s, &span);
    u = &p->undone[p->undone_count++];
    *u = (struct undone){.event = span.events[0], .began_ms = span.began_ms};
    for (unsigned i = 1; i < span.count; i++)
        if (span.events[i].call == HF_CALL_ROLLBACK) /* the one after a stale session was ended */
            u->event = span.events[i];
    memcpy(u->gtrid, s->rec->gtrid, HF__GTRID_SIZE);
    return HF_OK;
}

/*
 * Presumed abort: prepared, and no decision names it. A branch that has meanwhile decided by itself
 * is recorded under its gtrid, next to what such a record may say of others already.
 */
static int roll_back(struct pass *p, struct target *t, const unsigned char gtrid[HF__GTRID_SIZE],
                     const struct hf__rec_branch *branch, const struct hf__rec *have)
{
    struct settle s = {.pass = p};
    struct hf__rec rec = {.decision = HF__ROLLBACK};
    uint32_t before = have != NULL ? have->count : 0;
    uint32_t count = before + 1;
    int rc = HF_OK;

    memcpy(rec.gtrid, gtrid, HF__GTRID_SIZE);
    rec.branches = calloc(count, sizeof(*rec.branches));
    s.branches = calloc(count, sizeof(*s.branches));
    s.reached = calloc(count, sizeof(*s.reached));
    if (rec.branches == NULL || s.branches == NULL || s.reached == NULL) {
        rc = hf__error(HF_ENOMEM, ENOMEM, "recover: roll back");
    } else {
        for (uint32_t i = 0; i < before; i++) {
            rec.branches[i] = have->branches[i];
            hf__branch_load(HF__ROLLBACK, &rec.branches[i], &s.branches[i]);
        }
        rec.branches[before] = *branch;
        rec.count = count;
        rec.decided_ms = have != NULL ? have->decided_ms : 0;
        rec.sequence = have != NULL ? have->sequence : 0;
        s.again = have != NULL;
        s.branches[before].state = HF__B_PREPARED;
        s.branches[before].seen = HF__SEEN_IN_SCAN;
        s.branches[before].can_detach = t->rm->ext.detach != NULL;
        s.reached[before] = t;
        s.rec = &rec;
        hf__coord_init(&s.c, s.branches, count);
        hf__coord_rollback(&s.c);
        run(&s);
        if (proves_rollback(s.answer))
            rc = note_undone(p, &s);
        else if (s.answer ==
                 XAER_RMERR) /* by [XA] rolled back; it is looked for again all the same */
            p->owed++;
        p->owed += hf__coord_owed(&s.c);
    }
    free(rec.branches);
    free(s.branches);
    free(s.reached);
    return rc;
}

static const struct hf__rec_branch *find_branch(const struct hf__rec *rec, uint32_t rm_id,
                                                uint32_t number)
{
    for (uint32_t i = 0; i < rec->count; i++)
        if (rec->branches[i].rm_id == rm_id && rec->branches[i].number == number)
            return &rec->branches[i];
    return NULL;
}

static void alarm_xid(struct pass *p, const struct target *t, const XID *xid, const char *what)
{
    char text[HF_XID_TEXT_SIZE];

    (void)hf_xid_format(xid, text);
    hf__tm_tell(p->tm, HF_LOG_ALARM, "%s: branch %s %s", t->rm->name, text, what);
}

/*
 * Rule 5: is the branch newer than the log? Its incarnation was never given out; or it was, but not
 * with this nonce: a restored log gives numbers out again. Ours has issued no sequence above its
 * last.
 */
static int is_newer(const struct pass *p, const XID *xid, bool *ret)
{
    const unsigned char *gtrid = NULL;
    uint32_t rm_id, number;
    uint64_t sequence;
    bool known;
    int rc;

    *ret = false;
    if (!hf__xid_ours(xid, &gtrid, &rm_id, &number) ||
        memcmp(gtrid, hf__log_node(p->tm->log), HF__NODE_ID_SIZE) != 0)
        return HF_OK;
    sequence = hf__gtrid_sequence(gtrid);
    rc = hf__log_knows(p->tm->log, hf__gtrid_incarnation(gtrid), sequence, &known);
    if (rc == HF_OK)
        *ret = !known || (hf__gtrid_incarnation(gtrid) == hf__log_incarnation(p->tm->log) &&
                          sequence > atomic_load(&p->tm->sequence));
    return rc;
}

/* Before anything is rolled back in this pass: has the log gone back in time? */
static int check_time(struct pass *p, const struct target *t)
{
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && !p->back_in_time && i < t->count; i++) {
        bool newer = false;

        rc = is_newer(p, &t->xids[i], &newer);
        if (rc == HF_OK && newer) {
            p->back_in_time = true;
            rc = hf__log_set_back_in_time(p->tm->log);
        }
    }
    return rc;
}

/* Everything that classifying one XID needs. The order of the looks matters: see rule 3 and step
   2. */
static int look_at(struct pass *p, const struct target *t, const XID *xid, struct hf__sighting *ret,
                   struct hf__rec *ret_rec, struct hf__rec_branch *ret_branch)
{
    const unsigned char *gtrid = NULL;
    struct hf__log *log = p->tm->log;
    hf_outcome finished;
    uint32_t incarnation;
    int rc;

    *ret = (struct hf__sighting){.no_rollback = p->back_in_time};
    if (!hf__xid_ours(xid, &gtrid, &ret_branch->rm_id, &ret_branch->number) ||
        (memcmp(gtrid, hf__log_node(log), HF__NODE_ID_SIZE) != 0 && !HF_BUG("foreign-is-ours")))
        return HF_OK;
    ret->our_node = true;
    ret->our_rm = ret_branch->rm_id == t->rm->id;
    incarnation = hf__gtrid_incarnation(gtrid);
    ret->own_incarnation = incarnation == hf__log_incarnation(log);
    ret->running = ret->own_incarnation && !was_over(p, hf__gtrid_sequence(gtrid));
    ret->fenced = hf__fenced(&p->fences, incarnation);
    if (hf__log_failed(log)) /* rule 3: its outcome may be UNKNOWN */
        return hf__error(HF_ELOG, 0, "recover: the log failed");
    rc = is_newer(p, xid, &ret->above_highest);
    if (rc != HF_OK)
        return rc;
    rc = hf__log_find(log, gtrid, ret_rec);
    if (rc == HF_ENOTFOUND) { /* another recoverer may have committed it since the scan */
        ret->record_commits = ret->record =
            hf__history_recall(hf__log_history(log), gtrid, &finished) == HF_OK &&
            finished == HF_COMMITTED;
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    ret->record = true;
    ret->record_commits = ret_rec->decision == HF__COMMIT;
    ret->record_lists = find_branch(ret_rec, ret_branch->rm_id, ret_branch->number) != NULL;
    return HF_OK;
}

static int judge(struct pass *p, struct target *t, const XID *xid)
{
    struct hf__sighting sighting;
    struct hf__rec rec = {.branches = NULL};
    struct hf__rec_branch branch = {.state = HF_BRANCH_OWED};
    int rc = look_at(p, t, xid, &sighting, &rec, &branch);

    if (rc != HF_OK)
        return rc;
    switch (hf__classify(&sighting)) {
    case HF__ROLL_BACK:
        if (HF_BUG("doubt-stays"))
            break;
        rc = roll_back(p, t, (const unsigned char *)xid->data, &branch,
                       sighting.record ? &rec : NULL);
        break;
    case HF__UNLISTED:
        alarm_xid(p, t, xid, "is not listed by the decision to commit its transaction: left alone");
        break;
    case HF__BACK_IN_TIME:
        alarm_xid(p, t, xid,
                  "is newer than the log, which must have gone back in time: left alone");
        break;
    case HF__FOREIGN:
    case HF__LEAVE:
    case HF__SETTLE:
        break;
    }
    free(rec.branches);
    return rc;
}

/* -- 5: the records --------------------------------------------------------------------------- */

static struct target *find_target(const struct pass *p, uint32_t rm_id)
{
    for (size_t i = 0; i < p->target_count; i++)
        if (p->targets[i].scanned && p->targets[i].rm->id == rm_id)
            return &p->targets[i];
    return NULL;
}

static enum hf__seen seen_in(const struct target *t, const struct hf__rec *rec,
                             const struct hf__rec_branch *b)
{
    XID want;

    if (t == NULL)
        return HF_BUG("absent-unscanned") ? HF__SEEN_ABSENT : HF__SEEN_NOT_REACHED;
    hf__xid_make(&want, rec->gtrid, b->rm_id, b->number);
    if (t->count == 0 || bsearch(&want, t->xids, t->count, sizeof(want), by_xid) == NULL)
        return HF__SEEN_ABSENT;
    return HF__SEEN_IN_SCAN;
}

/*
 * May a commit that can be neither confirmed nor denied move to the history? Every branch is
 * acknowledged, or it was asked for in this pass, as in one before, and nothing came of it; and the
 * time that the host allows for it is over.
 */
static bool may_leave(const struct pass *p, const struct hf__rec *rec, const struct settle *s)
{
    uint64_t now = hf__now_ms();

    if (rec->decision != HF__COMMIT || hf__coord_unconfirmed(&s->c) == 0 || s->c.record_failed ||
        p->tm->config.history == HF__HISTORY_NONE || hf__log_history(p->tm->log) == NULL ||
        now < rec->decided_ms || now - rec->decided_ms < p->tm->config.unconfirmed_ms)
        return false;
    for (uint32_t i = 0; i < rec->count; i++) {
        const struct hf__branch *b = &s->branches[i];
        bool asked = b->state == HF__B_UNCONFIRMED && b->seen == HF__SEEN_ABSENT &&
                     rec->branches[i].state == HF_BRANCH_UNCONFIRMED &&
                     (s->reached[i] == NULL || has(p, s->reached[i]->rm));

        if (b->heuristic || (b->state != HF__B_COMMITTED && b->state != HF__B_FORGOTTEN && !asked))
            return false;
    }
    return true;
}

/*
 * Its owner noted before it died that every branch had acknowledged (page.c): then nobody has to be
 * asked. The note was made before the scans, so a branch that one of them lists nevertheless is one
 * whose resource manager has lost what it acknowledged: it is committed again, as decided.
 */
static void take_note(struct settle *s)
{
    struct pass *p = s->pass;
    bool noted = hf__acks_have(&p->released, s->rec->gtrid), all = true;

    for (uint32_t i = 0; noted && i < s->rec->count; i++) {
        const struct hf__rec_branch *b = &s->rec->branches[i];
        XID xid;

        if (seen_in(s->reached[i], s->rec, b) != HF__SEEN_IN_SCAN)
            continue;
        hf__xid_make(&xid, s->rec->gtrid, b->rm_id, b->number);
        alarm_xid(p, s->reached[i], &xid,
                  "is prepared, and had acknowledged its end: settled again");
        noted = false;
    }
    for (uint32_t i = 0; noted && i < s->rec->count; i++) {
        if (s->rec->branches[i].state == HF_BRANCH_OWED)
            s->rec->branches[i].state = HF_BRANCH_DONE;
        all = all && s->rec->branches[i].state == HF_BRANCH_DONE;
    }
    p->finished += noted && all;
}

static int prepare_settle(struct settle *s)
{
    struct hf__rec *rec = s->rec;

    s->branches = calloc(rec->count + 1, sizeof(*s->branches));
    s->reached = calloc(rec->count + 1, sizeof(*s->reached));
    if (s->branches == NULL || s->reached == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "recover: settle");
    for (uint32_t i = 0; i < rec->count; i++)
        s->reached[i] = find_target(s->pass, rec->branches[i].rm_id);
    take_note(s);
    for (uint32_t i = 0; i < rec->count; i++) {
        hf__branch_load(rec->decision, &rec->branches[i], &s->branches[i]);
        s->branches[i].seen = (uint8_t)seen_in(s->reached[i], rec, &rec->branches[i]);
        s->branches[i].can_probe = s->reached[i] != NULL && s->reached[i]->rm->ext.probe != NULL;
        s->branches[i].can_detach = s->reached[i] != NULL && s->reached[i]->rm->ext.detach != NULL;
    }
    hf__coord_init(&s->c, s->branches, rec->count);
    hf__coord_settle(&s->c, rec->decision);
    return HF_OK;
}

/*
 * The record as it is now: another recoverer may have changed it since it was noted as pending. The
 * scans still began after each branch in it was known to be prepared.
 */
static int settle_claimed(struct pass *p, const unsigned char gtrid[HF__GTRID_SIZE])
{
    struct hf__rec rec;
    struct settle s = {.pass = p, .rec = &rec, .again = true};
    int rc = hf__log_releasing(p->tm->log, gtrid) ? HF_ENOTFOUND
                                                  : hf__log_find(p->tm->log, gtrid, &rec);

    if (rc != HF_OK) /* finished since it was read, by its own thread or by another recoverer */
        return rc == HF_ENOTFOUND ? HF_OK : rc;
    rc = prepare_settle(&s);
    if (rc == HF_OK) {
        run(&s);
        if (may_leave(p, &rec, &s)) {
            release(&s, HF_KEPT_UNCONFIRMED);
        } else {
            p->owed += hf__coord_owed(&s.c);
            p->owed += s.c.record_failed && hf__coord_owed(&s.c) == 0; /* somebody looks again */
            p->unconfirmed += hf__coord_unconfirmed(&s.c);
        }
    }
    free(rec.branches);
    free(s.branches);
    free(s.reached);
    return rc;
}

static int settle_record(struct pass *p, const unsigned char gtrid[HF__GTRID_SIZE])
{
    int rc = HF_OK;

    if (claim(p, gtrid))
        rc = settle_claimed(p, gtrid);
    else
        p->owed++; /* somebody looks again */
    let_go(p);
    return rc;
}

/* -- the pass --------------------------------------------------------------------------------- */

/* The one that was asked for, which enter() has taken; or all that no other pass has. */
static int make_targets(struct pass *p)
{
    const hf_rm *only = p->seat.only;
    hf_tm *tm = p->tm;
    size_t n = 0;

    (void)pthread_mutex_lock(&tm->lock);
    for (hf_rm *rm = tm->rms; rm != NULL; rm = rm->next)
        n++;
    p->targets = calloc(n + 1, sizeof(*p->targets));
    for (hf_rm *rm = tm->rms; p->targets != NULL && rm != NULL; rm = rm->next) {
        if (only == NULL && rm->pass == NULL)
            rm->pass = &p->seat;
        if (rm->pass != &p->seat)
            continue;
        p->targets[p->target_count++].rm = rm;
    }
    (void)pthread_mutex_unlock(&tm->lock);
    return p->targets != NULL ? HF_OK
                              : hf__error(HF_ENOMEM, ENOMEM, "recover: %zu resource managers", n);
}

static int by_gtrid(const void *a, const void *b)
{
    const struct undone *x = a, *y = b;

    return memcmp(x->gtrid, y->gtrid, HF__GTRID_SIZE);
}

/* One transaction of which branches were rolled back; *at is what comes after its branches. */
static void take_undone(const struct pass *p, size_t *at, struct done *ret)
{
    const struct undone *first = &p->undone[*at];
    struct hf__span *span = &ret->span;

    ret->rec = (struct hf__rec){.decision = HF__ROLLBACK,
                                .outcome = HF_ROLLEDBACK,
                                .by_recovery = true,
                                .decided_ms = hf__now_ms(),
                                .written_by = hf__log_incarnation(p->tm->log)};
    memcpy(ret->rec.gtrid, first->gtrid, HF__GTRID_SIZE);
    *span = (struct hf__span){.incarnation = ret->rec.written_by,
                              .by_recovery = true,
                              .kept = HF_KEPT_RECOVERED,
                              .began_ms = first->began_ms};
    for (; *at < p->undone_count && by_gtrid(first, &p->undone[*at]) == 0; ++*at) {
        const struct hf__span_event *e = &p->undone[*at].event;

        if (span->count == HF__TIMELINE_MAX) {
            span->lost++;
            continue;
        }
        span->events[span->count] = *e;
        span->events[span->count++].at_us = span->took_us; /* one after the other */
        span->took_us += e->took_us;
    }
}

/* Global transactions rolled back, once each; remembered, so that their owners can ask. */
static uint64_t remember_undone(struct pass *p)
{
    struct hf__history *history = hf__log_history(p->tm->log);
    struct hf__finished list[DONE_BATCH];
    struct done *done = calloc(DONE_BATCH, sizeof(*done));
    uint64_t n = 0;
    size_t at = 0;

    if (p->undone_count > 0)
        qsort(p->undone, p->undone_count, sizeof(*p->undone), by_gtrid);
    while (done != NULL && at < p->undone_count) {
        size_t count = 0;

        for (; count < DONE_BATCH && at < p->undone_count; count++) {
            take_undone(p, &at, &done[count]);
            list[count] = (struct hf__finished){.rec = &done[count].rec, .span = &done[count].span};
        }
        if (p->tm->config.history != HF__HISTORY_NONE)
            hf__history_remember(history, list, count);
        for (size_t i = 0; i < count; i++)
            n += !list[i].had;
    }
    free(done);
    return n;
}

static void count(struct pass *p, bool complete)
{
    uint64_t rolledback = remember_undone(p);
    hf_tm_stats *stats = &p->tm->stats;

    (void)pthread_mutex_lock(&p->tm->lock);
    stats->recovered_committed += p->committed;
    stats->recovered_rolledback += rolledback;
    stats->recovered_finished += p->finished;
    if (complete) {
        stats->passes++;
        stats->owed = p->owed;
        stats->unconfirmed = p->unconfirmed;
        hf__live_set(&p->tm->live->owed, p->owed);
        hf__live_set(&p->tm->live->unconfirmed, p->unconfirmed);
    }
    (void)pthread_mutex_unlock(&p->tm->lock);
    if (p->committed + rolledback > 0)
        hf__tm_tell(p->tm, HF_LOG_INFO, "recovery committed %llu and rolled back %llu transactions",
                    (unsigned long long)p->committed, (unsigned long long)rolledback);
}

/* Steps 1 and 2. */
static int fence_and_read(struct pass *p)
{
    int rc = make_targets(p);

    hf__log_sweep(p->tm->log);
    if (rc == HF_OK)
        rc = hf__tx_all_running(p->tm, &p->running, &p->running_count, &p->last);
    if (p->running_count > 0)
        qsort(p->running, p->running_count, sizeof(*p->running), by_number);
    if (rc == HF_OK)
        rc = hf__log_fence_dead(p->tm->log, &p->fences);
    p->back_in_time = p->fences.flags & HF__NODE_BACK_IN_TIME;
    return rc == HF_OK ? read_records(p) : rc;
}

static void end_fencing(hf_tm *tm)
{
    (void)pthread_mutex_lock(&tm->lock);
    tm->fencing = false;
    (void)pthread_cond_broadcast(&tm->changed);
    (void)pthread_mutex_unlock(&tm->lock);
}

static int run_pass(struct pass *p)
{
    int rc = fence_and_read(p);

    end_fencing(p->tm);
    for (size_t i = 0; rc == HF_OK && i < p->target_count; i++)
        rc = reach(p, &p->targets[i]);
    for (size_t i = 0; rc == HF_OK && i < p->target_count; i++)
        if (p->targets[i].scanned)
            rc = check_time(p, &p->targets[i]);
    for (size_t i = 0; rc == HF_OK && i < p->target_count; i++)
        for (size_t j = 0; rc == HF_OK && p->targets[i].scanned && j < p->targets[i].count; j++)
            rc = judge(p, &p->targets[i], &p->targets[i].xids[j]);
    for (size_t i = 0; rc == HF_OK && i < p->pending_count; i++)
        rc = settle_record(p, p->pending[i].gtrid);
    finish_done(p);
    return rc;
}

static void free_pass(struct pass *p)
{
    for (size_t i = 0; i < p->target_count; i++) {
        bool opened = p->targets[i].instance != NULL;

        (void)hf_instance_close(p->targets[i].instance); /* what failed starts over next time */
        if (opened)
            count_instance(p->tm, -1);
        free(p->targets[i].xids);
    }
    hf__acks_free(&p->released);
    free(p->targets);
    free(p->pending);
    free(p->undone);
    free(p->done);
    free(p->running);
    free(p->fences.open);
}

/* Does it wait? For one of the same kind, a call to the one it is for, one that fences. */
static bool has_to_wait(const hf_tm *tm, const struct pass *p)
{
    const hf_rm *only = p->seat.only;

    for (const struct hf__pass_seat *other = tm->passes; other != NULL; other = other->next)
        if (other->only == only)
            return true;
    return tm->fencing || (only != NULL && only->pass_calls);
}

/* A callback of the host's that asks for another pass could wait for itself. */
static int enter(struct pass *p)
{
    hf_tm *tm = p->tm;
    int rc = HF_OK;

    (void)pthread_mutex_lock(&tm->lock);
    for (const struct hf__pass_seat *other = tm->passes; other != NULL; other = other->next)
        if (other->thread == p->seat.thread)
            rc = hf__error(HF_ESTATE, 0, "recover: asked for inside a recovery pass");
    tm->pass_waiters++;
    while (rc == HF_OK && tm->state != HF__TM_CLOSING && has_to_wait(tm, p))
        (void)pthread_cond_wait(&tm->changed, &tm->lock);
    tm->pass_waiters--;
    if (rc == HF_OK && tm->state == HF__TM_CLOSING) {
        rc = hf__error(HF_ESTATE, 0, "recover: the node is being closed");
        (void)pthread_cond_broadcast(&tm->changed); /* who closes it waits for us */
    }
    if (rc == HF_OK) {
        p->seat.next = tm->passes;
        tm->passes = &p->seat;
        tm->fencing = true;
        if (p->seat.only != NULL)
            p->seat.only->pass = &p->seat; /* whoever had it is not in a call to it */
    }
    (void)pthread_mutex_unlock(&tm->lock);
    return rc;
}

static void leave(struct pass *p)
{
    hf_tm *tm = p->tm;
    struct hf__pass_seat **at = &tm->passes;

    (void)pthread_mutex_lock(&tm->lock);
    for (hf_rm *rm = tm->rms; rm != NULL; rm = rm->next)
        if (rm->pass == &p->seat)
            rm->pass = NULL;
    while (*at != &p->seat)
        at = &(*at)->next;
    *at = p->seat.next;
    (void)pthread_cond_broadcast(&tm->changed);
    (void)pthread_mutex_unlock(&tm->lock);
}

int hf__recover(hf_tm *tm, hf_rm *only)
{
    struct pass p = {.seat = {.thread = hf__thread(), .only = only}, .tm = tm};
    int rc = enter(&p);

    if (rc != HF_OK)
        return rc;
    if (hf__log_failed(tm->log)) {
        rc = hf__error(HF_ELOG, 0, "recover: the log failed earlier");
        end_fencing(tm);
    } else {
        rc = run_pass(&p);
    }
    if (rc == HF_OK)
        rc = hf__log_flush(tm->log);
    if (rc == HF_EUNKNOWN || rc == HF_EFENCED)
        hf__tm_log_failed(tm, "recover");
    count(&p, rc == HF_OK); /* what was done was done, also if the pass did not end */
    free_pass(&p);
    leave(&p);
    return rc;
}
