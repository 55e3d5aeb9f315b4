/*
 * What: the decision tables of the commit protocol (tm/coordinator.c), row by row: for each call
 *       and each code, what is done next, what is owed, and what the caller is told.
 * How:  a row names a call, a branch and a set of codes. Each code of the set is answered in turn;
 *       every other question gets XA_OK, LOGGED or COMMITTED, unless the row says more. All that
 *       the coordinator asks for is written into one trace, which has to be the row's.
 *
 *   end0  xa_end(TMSUCCESS) of branch 0         endfail0  xa_end(TMFAIL)
 *   one0  xa_commit(TMONEPHASE)                 done:X    the outcome
 */
#include "support/t.h"

#include "coordinator.h"

enum { STOP = INT_MIN, BRANCHES = 2, SAYS = 4, TRACE_SIZE = 256 };

/* clang-format off: one case, one row */

/* -- sets of codes ----------------------------------------------------------------------------- */

#define RB_CODES                                                                                   \
    XA_RBROLLBACK, XA_RBCOMMFAIL, XA_RBDEADLOCK, XA_RBINTEGRITY, XA_RBOTHER, XA_RBPROTO,           \
        XA_RBTIMEOUT, XA_RBTRANSIENT
/* What no specification allows anywhere; 65536 is 0 in sixteen bits. */
#define STRANGE_CODES                                                                              \
    XAER_ASYNC, XAER_DUPID, XAER_OUTSIDE, 42, -99, -1, XA_RBBASE - 1, XA_RBEND + 1, 65536, 65636

static const int ok[] = { XA_OK, STOP };
static const int ok_or_nota[] = { XA_OK, XAER_NOTA, STOP };
static const int ended[] = { XA_OK, XA_NOMIGRATE, STOP };
static const int readonly[] = { XA_RDONLY, STOP };
static const int gone[] = { RB_CODES, XAER_NOTA, STOP };
static const int gone_or_rmerr[] = { RB_CODES, XAER_NOTA, XAER_RMERR, STOP };
static const int rolledback[] = { XA_OK, RB_CODES, XAER_NOTA, XAER_RMERR, STOP };
static const int rolledback_surely[] = { XA_OK, RB_CODES, XAER_RMERR, STOP };
static const int rmfail[] = { XAER_RMFAIL, STOP };
static const int heurcom[] = { XA_HEURCOM, STOP };
static const int heurrb[] = { XA_HEURRB, STOP };
static const int heurmix[] = { XA_HEURMIX, STOP };
static const int heurhaz[] = { XA_HEURHAZ, STOP };
static const int end_fails[] = {
    RB_CODES, XAER_RMERR, XAER_NOTA, XAER_PROTO, XAER_INVAL, XA_RETRY, XA_RDONLY, XA_HEURCOM,
    XA_HEURRB, XA_HEURMIX, XA_HEURHAZ, STRANGE_CODES, STOP
};
static const int vote_unclear[] = {
    XAER_RMERR, XAER_PROTO, XAER_INVAL, XA_RETRY, XA_NOMIGRATE, XA_HEURCOM, XA_HEURRB,
    XA_HEURMIX, XA_HEURHAZ, STRANGE_CODES, STOP
};
static const int commit_owed[] = {
    XA_RETRY, XAER_RMFAIL, XAER_PROTO, XAER_INVAL, XA_RDONLY, XA_NOMIGRATE, STRANGE_CODES, STOP
};
static const int one_illegal[] = {
    XA_RETRY, XAER_PROTO, XAER_INVAL, XA_RDONLY, XA_NOMIGRATE, STRANGE_CODES, STOP
};
static const int rollback_lost[] = {
    XAER_RMFAIL, XA_RETRY, XAER_PROTO, XAER_INVAL, XA_RDONLY, XA_NOMIGRATE, STRANGE_CODES, STOP
};
static const int rollback_no_proof[] = {
    XAER_NOTA, XAER_RMFAIL, XA_RETRY, XAER_PROTO, XAER_INVAL, XA_RDONLY, XA_NOMIGRATE,
    STRANGE_CODES, STOP
};
static const int forget_fails[] = {
    RB_CODES, XAER_RMERR, XAER_RMFAIL, XAER_PROTO, XAER_INVAL, XA_RETRY, XA_RDONLY, XA_HEURCOM,
    XA_HEURRB, XA_HEURMIX, XA_HEURHAZ, XA_NOMIGRATE, STRANGE_CODES, STOP
};
static const int refused_or_unknown[] = { HF__LOG_REFUSED, HF__LOG_UNKNOWN, STOP };
static const int log_refused[] = { HF__LOG_REFUSED, STOP };
static const int log_unknown[] = { HF__LOG_UNKNOWN, STOP };
static const int probe_committed[] = { HF_PROBE_COMMITTED, STOP };
static const int probe_rolledback[] = { HF_PROBE_ROLLEDBACK, STOP };
static const int probe_prepared[] = { HF_PROBE_PREPARED, STOP };
static const int nota[] = { XAER_NOTA, STOP };
static const int retry[] = { XA_RETRY, STOP };
static const int commit_owed_for_good[] = { XAER_RMFAIL, XAER_PROTO, XAER_INVAL, STOP };
static const int probe_unknown[] = { HF_PROBE_UNKNOWN, 99, STOP };

/* clang-format on */

/* -- one run ----------------------------------------------------------------------------------- */

enum start { COMMIT, ROLLBACK_ONLY, ROLLBACK };
#define DETACH(branch) (16U << (branch))

/* The answer to one question; branch is 0 for the log's. */
struct say {
    enum hf__act_kind call;
    unsigned branch;
    int answer;
};

struct row {
    unsigned count;
    enum start start;
    unsigned active;        /* bit set: branches whose xa_end is due */
    unsigned probes;        /* bit set: branches that can be probed; DETACH(n): n's can detach */
    enum hf__act_kind call; /* the question that each code of the set answers */
    unsigned branch;
    const int *codes;
    struct say also[SAYS]; /* other answers that are not the usual ones; ends with answer 0 */
    const char *trace;
    unsigned owed;
    unsigned unconfirmed;
};

struct run {
    struct hf__coord c;
    struct hf__branch b[BRANCHES];
    char trace[TRACE_SIZE];
    size_t used;
};

static void note(struct run *r, const char *word, int branch)
{
    int n = snprintf(r->trace + r->used, TRACE_SIZE - r->used, r->used > 0 ? " %s" : "%s", word);

    r->used += (size_t)n;
    if (branch >= 0)
        r->used += (size_t)snprintf(r->trace + r->used, TRACE_SIZE - r->used, "%d", branch);
    assert_true(r->used < TRACE_SIZE);
}

static int usual(enum hf__act_kind call)
{
    return call == HF__ACT_PROBE ? (int)HF_PROBE_COMMITTED : XA_OK; /* HF__LOGGED is 0 as well */
}

static int find(const struct row *row, int code, struct hf__act act)
{
    bool log = act.kind == HF__ACT_FORCE || act.kind == HF__ACT_RECORD;
    unsigned i;

    if (row->call == act.kind && (log || row->branch == act.branch))
        return code;
    for (i = 0; i < SAYS && row->also[i].answer != 0; i++)
        if (row->also[i].call == act.kind && (log || row->also[i].branch == act.branch))
            return row->also[i].answer;
    return usual(act.kind);
}

static void perform(struct run *r, const struct row *row, int code)
{
    static const char *const words[] = { "end",   "prepare", "force",  "commit", "one", "rollback",
                                        "probe", "detach",  "record", "forget", "release", "done" };
    struct hf__act act;

    for (;;) {
        act = hf__coord_next(&r->c);
        if (act.kind == HF__ACT_DONE)
            return;
        if (act.kind == HF__ACT_RELEASE) {
            note(r, words[act.kind], -1);
        } else if (act.kind == HF__ACT_FORCE || act.kind == HF__ACT_RECORD) {
            note(r, words[act.kind], -1);
            hf__coord_logged(&r->c, (enum hf__logged)find(row, code, act));
        } else {
            note(r, act.kind == HF__ACT_END && r->c.spoilt ? "endfail" : words[act.kind],
                 (int)act.branch);
            if (act.kind == HF__ACT_PROBE)
                hf__coord_probed(&r->c, act.branch, (enum hf_probe)find(row, code, act));
            else if (act.kind == HF__ACT_DETACH)
                hf__coord_detached(&r->c, act.branch, find(row, code, act) == 0);
            else
                hf__coord_answer(&r->c, act.branch, find(row, code, act));
        }
    }
}

static void conclude(struct run *r, const struct row *row, int code)
{
    static const char *const outcomes[] = { "done:unknown", "done:committed", "done:rolledback",
                                           "done:mixed", "done:hazard" };

    note(r, outcomes[hf__coord_outcome(&r->c)], -1);
    if (strcmp(r->trace, row->trace) != 0)
        fail_msg("code %d:\n  came:   %s\n  wanted: %s", code, r->trace, row->trace);
    if (hf__coord_owed(&r->c) != row->owed || hf__coord_unconfirmed(&r->c) != row->unconfirmed)
        fail_msg("code %d: %s: owed %u (%u), unconfirmed %u (%u)", code, row->trace,
                 hf__coord_owed(&r->c), row->owed, hf__coord_unconfirmed(&r->c), row->unconfirmed);
}

static void run_row(const struct row *row, int code)
{
    struct run r;
    unsigned i;

    memset(&r, 0, sizeof(r));
    for (i = 0; i < row->count; i++) {
        r.b[i].state = row->active & 1U << i ? HF__B_ACTIVE : HF__B_IDLE;
        r.b[i].can_probe = (row->probes & 1U << i) != 0;
    }
    hf__coord_init(&r.c, r.b, row->count);
    if (row->start == ROLLBACK)
        hf__coord_rollback(&r.c);
    else
        hf__coord_commit(&r.c, row->start == ROLLBACK_ONLY);
    perform(&r, row, code);
    conclude(&r, row, code);
}

static void run_rows(const struct row *rows, size_t count)
{
    size_t i;
    const int *code;

    for (i = 0; i < count; i++)
        for (code = rows[i].codes; *code != STOP; code++)
            run_row(&rows[i], *code);
}

#define RUN(rows) run_rows((rows), sizeof(rows) / sizeof((rows)[0]))

/* clang-format off */

/* -- xa_end ------------------------------------------------------------------------------------ */

static void end__of_every_branch_comes_first(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 3, 0, HF__ACT_END, 0, ended, { { 0 } },
          "end0 end1 prepare0 prepare1 force commit0 commit1 release done:committed", 0, 0 },
        { 2, COMMIT, 2, 0, HF__ACT_END, 1, ended, { { 0 } },
          "end1 prepare0 prepare1 force commit0 commit1 release done:committed", 0, 0 },
        { 1, COMMIT, 1, 0, HF__ACT_END, 0, ended, { { 0 } }, "end0 one0 done:committed", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void end__failure_rolls_all_branches_back(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 3, 0, HF__ACT_END, 0, end_fails, { { 0 } },
          "end0 endfail1 rollback0 rollback1 done:rolledback", 0, 0 },
        { 2, COMMIT, 3, 0, HF__ACT_END, 1, end_fails, { { 0 } },
          "end0 end1 rollback0 rollback1 done:rolledback", 0, 0 },
        { 1, COMMIT, 1, 0, HF__ACT_END, 0, end_fails, { { 0 } },
          "end0 rollback0 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void end__rmfail_leaves_the_branch_to_die_by_itself(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 3, 0, HF__ACT_END, 0, rmfail, { { 0 } },
          "end0 endfail1 rollback1 done:rolledback", 0, 0 },
        { 1, COMMIT, 1, 0, HF__ACT_END, 0, rmfail, { { 0 } }, "end0 done:rolledback", 0, 0 },
        { 2, ROLLBACK, 3, 0, HF__ACT_END, 1, rmfail, { { 0 } },
          "endfail0 endfail1 rollback0 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- which protocol ---------------------------------------------------------------------------- */

static void no_branch__needs_no_protocol(void **state)
{
    static const struct row rows[] = {
        { 0, COMMIT, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } }, "done:committed", 0, 0 },
        { 0, ROLLBACK, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } }, "done:rolledback", 0, 0 },
        { 0, ROLLBACK_ONLY, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } }, "done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void rollback_only__never_asks_for_a_vote(void **state)
{
    static const struct row rows[] = {
        { 2, ROLLBACK_ONLY, 3, 0, HF__ACT_DONE, 0, ok, { { 0 } },
          "endfail0 endfail1 rollback0 rollback1 done:rolledback", 0, 0 },
        { 1, ROLLBACK_ONLY, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } },
          "rollback0 done:rolledback", 0, 0 },
        { 2, ROLLBACK, 3, 0, HF__ACT_DONE, 0, ok, { { 0 } },
          "endfail0 endfail1 rollback0 rollback1 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- xa_prepare -------------------------------------------------------------------------------- */

static void prepare__readonly_branch_has_no_phase_two(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 0, readonly, { { 0 } },
          "prepare0 prepare1 force commit1 release done:committed", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 1, readonly, { { 0 } },
          "prepare0 prepare1 force commit0 release done:committed", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 0, readonly, { { HF__ACT_PREPARE, 1, XA_RDONLY } },
          "prepare0 prepare1 done:committed", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 1, gone, { { HF__ACT_PREPARE, 0, XA_RDONLY } },
          "prepare0 prepare1 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void prepare__stops_at_the_first_no(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 0, gone, { { 0 } },
          "prepare0 rollback1 done:rolledback", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 1, gone, { { 0 } },
          "prepare0 prepare1 rollback0 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void prepare__unclear_vote_is_a_no_and_gets_a_rollback(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 0, vote_unclear, { { 0 } },
          "prepare0 rollback0 rollback1 done:rolledback", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 1, vote_unclear, { { 0 } },
          "prepare0 prepare1 rollback0 rollback1 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void prepare__rmfail_leaves_the_branch_to_recovery(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 0, rmfail, { { 0 } },
          "prepare0 rollback1 done:rolledback", 1, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_PREPARE, 1, rmfail, { { 0 } },
          "prepare0 prepare1 rollback0 done:rolledback", 1, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- the decision ------------------------------------------------------------------------------ */

static void force__refused_rolls_back(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_FORCE, 0, log_refused, { { 0 } },
          "prepare0 prepare1 force rollback0 rollback1 done:rolledback", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_FORCE, 0, log_refused, { { HF__ACT_PREPARE, 0, XA_RDONLY } },
          "prepare0 prepare1 force rollback1 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

/* What is owed after it is recovery's to find out: only the trace and the outcome count here. */
static void force__unknown_tells_nobody_anything(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_FORCE, 0, log_unknown, { { 0 } },
          "prepare0 prepare1 force done:unknown", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_FORCE, 0, log_unknown, { { HF__ACT_PREPARE, 1, XA_RDONLY } },
          "prepare0 prepare1 force done:unknown", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- xa_commit --------------------------------------------------------------------------------- */

#define DECIDED "prepare0 prepare1 force commit0 commit1"

static void commit__heuristic_commit_is_recorded_and_forgotten(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 0, heurcom, { { 0 } },
          DECIDED " record forget0 release done:committed", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurcom, { { HF__ACT_COMMIT, 0, XA_HEURCOM } },
          DECIDED " record forget0 forget1 release done:committed", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void commit__damage_is_recorded_forgotten_and_kept(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurrb, { { 0 } },
          DECIDED " record forget1 done:mixed", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 0, heurmix, { { 0 } },
          DECIDED " record forget0 done:mixed", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurhaz, { { 0 } },
          DECIDED " record forget1 done:hazard", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurrb, { { HF__ACT_COMMIT, 0, XA_HEURHAZ } },
          DECIDED " record forget0 forget1 done:hazard", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurhaz, { { HF__ACT_COMMIT, 0, XA_HEURMIX } },
          DECIDED " record forget0 forget1 done:mixed", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void commit__all_rolled_back_by_themselves_is_rolled_back(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurrb, { { HF__ACT_COMMIT, 0, XA_HEURRB } },
          DECIDED " record forget0 forget1 done:rolledback", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurrb, { { HF__ACT_PREPARE, 0, XA_RDONLY } },
          "prepare0 prepare1 force commit1 record forget1 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void commit__not_now_is_owed_and_the_record_stays(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 3, HF__ACT_COMMIT, 1, commit_owed, { { 0 } },
          DECIDED " record done:committed", 1, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 0, commit_owed, { { 0 } },
          DECIDED " record done:committed", 1, 0 },
    };

    (void)state;
    RUN(rows);
}

/* The record says of both that they are owed already: there is nothing to write. */
static void commit__nothing_acknowledged_needs_no_second_record(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 0, commit_owed, { { HF__ACT_COMMIT, 1, XA_RETRY } },
          DECIDED " done:committed", 2, 0 },
    };

    (void)state;
    RUN(rows);
}

static void commit__what_proves_nothing_stays_unconfirmed(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 0, gone_or_rmerr, { { 0 } },
          DECIDED " record done:committed", 1, 1 },
        { 2, COMMIT, 0, 1, HF__ACT_COMMIT, 1, gone_or_rmerr, { { 0 } },
          DECIDED " record done:committed", 1, 1 },
        { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, gone_or_rmerr, { { HF__ACT_COMMIT, 0, XAER_NOTA } },
          DECIDED " record done:committed", 2, 2 },
    };

    (void)state;
    RUN(rows);
}

static void commit__what_proves_nothing_is_probed(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 2, HF__ACT_COMMIT, 1, gone_or_rmerr, { { 0 } },
          DECIDED " probe1 release done:committed", 0, 0 },
        { 2, COMMIT, 0, 3, HF__ACT_COMMIT, 0, gone_or_rmerr,
          { { HF__ACT_COMMIT, 1, XAER_RMERR } },
          DECIDED " probe0 probe1 release done:committed", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void probe__answer_decides(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 2, HF__ACT_PROBE, 1, probe_committed,
          { { HF__ACT_COMMIT, 1, XAER_NOTA } }, DECIDED " probe1 release done:committed", 0, 0 },
        { 2, COMMIT, 0, 2, HF__ACT_PROBE, 1, probe_rolledback,
          { { HF__ACT_COMMIT, 1, XAER_NOTA } }, DECIDED " probe1 record done:mixed", 0, 0 },
        { 2, COMMIT, 0, 2, HF__ACT_PROBE, 1, probe_prepared, { { HF__ACT_COMMIT, 1, XAER_NOTA } },
          DECIDED " probe1 record done:committed", 1, 0 },
        { 2, COMMIT, 0, 2, HF__ACT_PROBE, 1, probe_unknown, { { HF__ACT_COMMIT, 1, XAER_NOTA } },
          DECIDED " probe1 record done:committed", 1, 1 },
        { 2, COMMIT, 0, 3, HF__ACT_PROBE, 0, probe_rolledback,
          { { HF__ACT_COMMIT, 0, XAER_RMERR },
            { HF__ACT_COMMIT, 1, XA_HEURRB } },
          DECIDED " probe0 record forget1 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- RECORD and xa_forget ---------------------------------------------------------------------- */

/* xa_forget is still due: recovery owes it. */
static void record__that_fails_stops_forget_and_release(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_RECORD, 0, refused_or_unknown,
          { { HF__ACT_COMMIT, 1, XA_HEURRB } }, DECIDED " record done:mixed", 1, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_RECORD, 0, refused_or_unknown,
          { { HF__ACT_COMMIT, 1, XA_HEURCOM } }, DECIDED " record done:committed", 1, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_RECORD, 0, refused_or_unknown,
          { { HF__ACT_COMMIT, 0, XA_RETRY } }, DECIDED " record done:committed", 1, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_RECORD, 0, refused_or_unknown,
          { { HF__ACT_COMMIT_ONE, 0, XA_HEURMIX } }, "one0 record done:mixed", 1, 0 },
        { 1, ROLLBACK, 0, 0, HF__ACT_RECORD, 0, refused_or_unknown,
          { { HF__ACT_ROLLBACK, 0, XA_HEURCOM } }, "rollback0 record done:committed", 1, 0 },
    };

    (void)state;
    RUN(rows);
}

static void forget__nota_is_forgotten(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_FORGET, 1, ok_or_nota, { { HF__ACT_COMMIT, 1, XA_HEURCOM } },
          DECIDED " record forget1 release done:committed", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_FORGET, 0, ok_or_nota,
          { { HF__ACT_COMMIT_ONE, 0, XA_HEURCOM } }, "one0 forget0 done:committed", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void forget__that_fails_is_owed_and_the_record_stays(void **state)
{
    static const struct row rows[] = {
        { 2, COMMIT, 0, 0, HF__ACT_FORGET, 1, forget_fails, { { HF__ACT_COMMIT, 1, XA_HEURCOM } },
          DECIDED " record forget1 done:committed", 1, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_FORGET, 0, forget_fails, { { HF__ACT_COMMIT, 0, XA_HEURHAZ } },
          DECIDED " record forget0 done:hazard", 1, 0 },
        { 1, ROLLBACK, 0, 0, HF__ACT_FORGET, 0, forget_fails,
          { { HF__ACT_ROLLBACK, 0, XA_HEURRB } }, "rollback0 forget0 done:rolledback", 1, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- xa_commit(TMONEPHASE) --------------------------------------------------------------------- */

static void one_phase__ends_a_lone_branch_without_a_record(void **state)
{
    static const struct row rows[] = {
        { 1, COMMIT, 0, 0, HF__ACT_COMMIT_ONE, 0, ok, { { 0 } }, "one0 done:committed", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_COMMIT_ONE, 0, heurcom, { { 0 } },
          "one0 forget0 done:committed", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_COMMIT_ONE, 0, gone_or_rmerr, { { 0 } },
          "one0 done:rolledback", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_COMMIT_ONE, 0, heurrb, { { 0 } },
          "one0 forget0 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void one_phase__damage_is_recorded(void **state)
{
    static const struct row rows[] = {
        { 1, COMMIT, 0, 0, HF__ACT_COMMIT_ONE, 0, heurmix, { { 0 } },
          "one0 record forget0 done:mixed", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_COMMIT_ONE, 0, heurhaz, { { 0 } },
          "one0 record forget0 done:hazard", 0, 0 },
        { 1, COMMIT, 0, 1, HF__ACT_COMMIT_ONE, 0, rmfail, { { 0 } },
          "one0 record done:hazard", 1, 0 },
    };

    (void)state;
    RUN(rows);
}

static void one_phase__illegal_answer_is_followed_by_rollback(void **state)
{
    static const struct row rows[] = {
        { 1, COMMIT, 0, 0, HF__ACT_COMMIT_ONE, 0, one_illegal, { { 0 } },
          "one0 rollback0 done:rolledback", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, rolledback_surely,
          { { HF__ACT_COMMIT_ONE, 0, XA_RETRY } }, "one0 rollback0 done:rolledback", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, rollback_no_proof,
          { { HF__ACT_COMMIT_ONE, 0, XA_RETRY } }, "one0 rollback0 record done:hazard", 1, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, heurrb, { { HF__ACT_COMMIT_ONE, 0, XAER_PROTO } },
          "one0 rollback0 forget0 done:rolledback", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, heurmix,
          { { HF__ACT_COMMIT_ONE, 0, XAER_PROTO } },
          "one0 rollback0 record forget0 done:mixed", 0, 0 },
        { 1, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, heurcom,
          { { HF__ACT_COMMIT_ONE, 0, XAER_PROTO } },
          "one0 rollback0 record forget0 done:committed", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- xa_rollback ------------------------------------------------------------------------------- */

static void rollback__gone_is_rolled_back(void **state)
{
    static const struct row rows[] = {
        { 1, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, rolledback, { { 0 } },
          "rollback0 done:rolledback", 0, 0 },
        { 2, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, rolledback, { { 0 } },
          "rollback0 rollback1 done:rolledback", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, rolledback,
          { { HF__ACT_PREPARE, 1, XA_RBOTHER } },
          "prepare0 prepare1 rollback0 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void rollback__heuristic_rollback_agrees_and_needs_no_record(void **state)
{
    static const struct row rows[] = {
        { 1, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, heurrb, { { 0 } },
          "rollback0 forget0 done:rolledback", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, heurrb, { { HF__ACT_PREPARE, 1, XA_RBOTHER } },
          "prepare0 prepare1 rollback0 forget0 done:rolledback", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void rollback__damage_is_recorded(void **state)
{
    static const struct row rows[] = {
        { 1, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, heurcom, { { 0 } },
          "rollback0 record forget0 done:committed", 0, 0 },
        { 1, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, heurmix, { { 0 } },
          "rollback0 record forget0 done:mixed", 0, 0 },
        { 1, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, heurhaz, { { 0 } },
          "rollback0 record forget0 done:hazard", 0, 0 },
        { 2, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 1, heurcom, { { 0 } },
          "rollback0 rollback1 record forget1 done:mixed", 0, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, heurcom, { { HF__ACT_PREPARE, 1, XA_RBOTHER } },
          "prepare0 prepare1 rollback0 record forget0 done:mixed", 0, 0 },
    };

    (void)state;
    RUN(rows);
}

static void rollback__no_answer_leaves_the_branch_to_recovery(void **state)
{
    static const struct row rows[] = {
        { 1, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, rollback_lost, { { 0 } },
          "rollback0 done:rolledback", 1, 0 },
        { 2, ROLLBACK, 0, 0, HF__ACT_ROLLBACK, 0, rollback_lost, { { 0 } },
          "rollback0 rollback1 done:rolledback", 1, 0 },
        { 2, COMMIT, 0, 0, HF__ACT_ROLLBACK, 0, rollback_lost,
          { { HF__ACT_PREPARE, 1, XAER_RMFAIL } },
          "prepare0 prepare1 rollback0 done:rolledback", 2, 0 },
    };

    (void)state;
    RUN(rows);
}

/* -- settling a record ------------------------------------------------------------------------- */

/* A branch as a record lists it. */
struct listed {
    enum hf__branch_state state;
    enum hf__seen seen;
    enum hf__fate fate;
};

struct settle_row {
    enum hf__decision decision;
    struct listed b[BRANCHES];
    struct row row;
};

static void run_settle(const struct settle_row *row, int code)
{
    struct run r;
    unsigned i;

    memset(&r, 0, sizeof(r));
    for (i = 0; i < row->row.count; i++) {
        struct hf__branch *b = &r.b[i];

        b->state = (uint8_t)row->b[i].state;
        b->seen = (uint8_t)row->b[i].seen;
        b->fate = (uint8_t)row->b[i].fate;
        b->heuristic = b->state == HF__B_UNFORGOTTEN &&
                       (row->decision != HF__COMMIT || b->fate != HF__FATE_COMMITTED);
        b->unconfirmed = b->state == HF__B_UNCONFIRMED;
        b->can_probe = (row->row.probes & 1U << i) != 0;
        b->can_detach = (row->row.probes & DETACH(i)) != 0;
    }
    hf__coord_init(&r.c, r.b, row->row.count);
    hf__coord_settle(&r.c, row->decision);
    perform(&r, &row->row, code);
    conclude(&r, &row->row, code);
}

static void run_settles(const struct settle_row *rows, size_t count)
{
    size_t i;
    const int *code;

    for (i = 0; i < count; i++)
        for (code = rows[i].row.codes; *code != STOP; code++)
            run_settle(&rows[i], *code);
}

#define SETTLE(rows) run_settles((rows), sizeof(rows) / sizeof((rows)[0]))

#define OWED_IN_SCAN { HF__B_OWED, HF__SEEN_IN_SCAN, HF__FATE_OPEN }
#define OWED_ABSENT { HF__B_OWED, HF__SEEN_ABSENT, HF__FATE_OPEN }
#define OWED_NOT_REACHED { HF__B_OWED, HF__SEEN_NOT_REACHED, HF__FATE_OPEN }
#define UNCONFIRMED_ABSENT { HF__B_UNCONFIRMED, HF__SEEN_ABSENT, HF__FATE_OPEN }
#define UNCONFIRMED_IN_SCAN { HF__B_UNCONFIRMED, HF__SEEN_IN_SCAN, HF__FATE_OPEN }
#define DONE_ABSENT { HF__B_COMMITTED, HF__SEEN_ABSENT, HF__FATE_COMMITTED }
#define DONE_NOT_REACHED { HF__B_COMMITTED, HF__SEEN_NOT_REACHED, HF__FATE_COMMITTED }

static void settle__commits_what_the_scan_lists(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { OWED_IN_SCAN, OWED_IN_SCAN },
          { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 0, ok, { { 0 } },
            "commit0 commit1 release done:committed", 0, 0 } },
        { HF__COMMIT,
          { DONE_ABSENT, UNCONFIRMED_IN_SCAN },
          { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, ok, { { 0 } },
            "commit1 release done:committed", 0, 0 } },
        { HF__COMMIT,
          { DONE_NOT_REACHED, OWED_IN_SCAN },
          { 2, COMMIT, 0, 3, HF__ACT_COMMIT, 1, commit_owed, { { 0 } },
            "commit1 done:committed", 1, 0 } },
        { HF__COMMIT,
          { DONE_ABSENT, OWED_IN_SCAN },
          { 2, COMMIT, 0, 0, HF__ACT_COMMIT, 1, heurrb, { { 0 } },
            "commit1 record forget1 done:mixed", 0, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

static void settle__concludes_nothing_from_what_was_not_reached(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { OWED_NOT_REACHED, OWED_NOT_REACHED },
          { 2, COMMIT, 0, 3, HF__ACT_DONE, 0, ok, { { 0 } }, "done:committed", 2, 0 } },
        { HF__COMMIT,
          { OWED_IN_SCAN, OWED_NOT_REACHED },
          { 2, COMMIT, 0, 3, HF__ACT_DONE, 0, ok, { { 0 } },
            "commit0 record done:committed", 1, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

static void settle__absence_alone_releases_nothing(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { OWED_ABSENT },
          { 1, COMMIT, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } }, "record done:committed", 1, 1 } },
        { HF__COMMIT,
          { UNCONFIRMED_ABSENT, DONE_ABSENT },
          { 2, COMMIT, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } }, "done:committed", 1, 1 } },
    };

    (void)state;
    SETTLE(rows);
}

static void settle__absent_branch_is_probed(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { OWED_ABSENT },
          { 1, COMMIT, 0, 1, HF__ACT_PROBE, 0, probe_committed, { { 0 } },
            "probe0 release done:committed", 0, 0 } },
        { HF__COMMIT,
          { UNCONFIRMED_ABSENT },
          { 1, COMMIT, 0, 1, HF__ACT_PROBE, 0, probe_committed, { { 0 } },
            "probe0 release done:committed", 0, 0 } },
        { HF__COMMIT,
          { OWED_ABSENT, DONE_ABSENT },
          { 2, COMMIT, 0, 1, HF__ACT_PROBE, 0, probe_rolledback, { { 0 } },
            "probe0 record done:mixed", 0, 0 } },
        { HF__COMMIT,
          { OWED_ABSENT },
          { 1, COMMIT, 0, 1, HF__ACT_PROBE, 0, probe_unknown, { { 0 } },
            "probe0 record done:committed", 1, 1 } },
        { HF__COMMIT,
          { OWED_ABSENT },
          { 1, COMMIT, 0, 1, HF__ACT_PROBE, 0, probe_prepared, { { 0 } },
            "probe0 commit0 release done:committed", 0, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

/* Once it was sent in this pass, a branch found prepared waits for the next one. */
static void settle__commits_once_in_a_pass(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1, HF__ACT_PROBE, 0, probe_prepared,
            { { HF__ACT_COMMIT, 0, XAER_NOTA } }, "commit0 probe0 done:committed", 1, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

/* XAER_NOTA of what the scan lists, or a probe finds prepared: a stale session may hold it. */
static void settle__denied_and_prepared_is_detached_once(void **state)
{
    static const struct settle_row rows[] = {
        /* no probe: the scan alone says that it is prepared */
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, DETACH(0), HF__ACT_COMMIT, 0, nota, { { 0 } },
            "commit0 detach0 commit0 done:committed", 1, 0 } },
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, DETACH(0), HF__ACT_COMMIT, 0, nota, { { HF__ACT_DETACH, 0, 1 } },
            "commit0 detach0 done:committed", 1, 0 } },
        /* a probe that finds it prepared, in the scan or not */
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1 | DETACH(0), HF__ACT_PROBE, 0, probe_prepared,
            { { HF__ACT_COMMIT, 0, XAER_NOTA } },
            "commit0 probe0 detach0 commit0 probe0 done:committed", 1, 0 } },
        { HF__COMMIT,
          { OWED_ABSENT },
          { 1, COMMIT, 0, 1 | DETACH(0), HF__ACT_PROBE, 0, probe_prepared,
            { { HF__ACT_COMMIT, 0, XAER_NOTA } },
            "probe0 commit0 probe0 detach0 commit0 probe0 done:committed", 1, 0 } },
        /* one that cannot tell, and a scan that can */
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1 | DETACH(0), HF__ACT_PROBE, 0, probe_unknown,
            { { HF__ACT_COMMIT, 0, XAER_NOTA } },
            "commit0 probe0 detach0 commit0 probe0 done:committed", 1, 0 } },
        /* one that knows better: nobody is detached */
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1 | DETACH(0), HF__ACT_PROBE, 0, probe_committed,
            { { HF__ACT_COMMIT, 0, XAER_NOTA } }, "commit0 probe0 release done:committed", 0, 0 } },
        /* not listed, and nobody can say that it is prepared */
        { HF__COMMIT,
          { OWED_ABSENT },
          { 1, COMMIT, 0, 1 | DETACH(0), HF__ACT_PROBE, 0, probe_unknown, { { 0 } },
            "probe0 record done:committed", 1, 1 } },
        /* XA_RETRY is one from whom can detach; other answers are no sign of it */
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1 | DETACH(0), HF__ACT_COMMIT, 0, retry, { { 0 } },
            "commit0 detach0 commit0 done:committed", 1, 0 } },
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1, HF__ACT_COMMIT, 0, retry, { { 0 } },
            "commit0 done:committed", 1, 0 } },
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1 | DETACH(0), HF__ACT_COMMIT, 0, commit_owed_for_good, { { 0 } },
            "commit0 done:committed", 1, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

/* Without the hook: listed and denied is owed, until a scan does not list it any more. */
static void settle__denied_and_listed_is_owed(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 0, HF__ACT_COMMIT, 0, nota, { { 0 } }, "commit0 done:committed", 1, 0 } },
        { HF__COMMIT,
          { OWED_IN_SCAN },
          { 1, COMMIT, 0, 1, HF__ACT_PROBE, 0, probe_unknown, { { HF__ACT_COMMIT, 0, XAER_NOTA } },
            "commit0 probe0 done:committed", 1, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

/* Recovery's rollback of what a scan lists. */
static void undo__denied_is_detached_once(void **state)
{
    static const struct {
        bool offered, gone;
        int again; /* the answer to the second xa_rollback */
        const char *trace;
        unsigned owed;
    } rows[] = {
        { true, true, XA_OK, "rollback0 detach0 rollback0 done:rolledback", 0 },
        { true, true, XAER_NOTA, "rollback0 detach0 rollback0 done:rolledback", 1 },
        { true, true, XA_HEURCOM, "rollback0 detach0 rollback0 record forget0 done:committed", 0 },
        { true, false, XA_OK, "rollback0 detach0 done:rolledback", 1 },
        { false, false, XA_OK, "rollback0 done:rolledback", 1 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct row row = { .count = 1, .trace = rows[i].trace, .owed = rows[i].owed };
        struct hf__act act;
        struct run r;
        unsigned told = 0;

        memset(&r, 0, sizeof(r));
        r.b[0].state = HF__B_PREPARED;
        r.b[0].seen = HF__SEEN_IN_SCAN;
        r.b[0].can_detach = rows[i].offered;
        hf__coord_init(&r.c, r.b, 1);
        hf__coord_rollback(&r.c);
        while ((act = hf__coord_next(&r.c)).kind != HF__ACT_DONE) {
            static const char *const words[] = { [HF__ACT_ROLLBACK] = "rollback",
                                                [HF__ACT_DETACH] = "detach",
                                                [HF__ACT_RECORD] = "record",
                                                [HF__ACT_FORGET] = "forget" };

            note(&r, words[act.kind], act.kind == HF__ACT_RECORD ? -1 : (int)act.branch);
            if (act.kind == HF__ACT_RECORD)
                hf__coord_logged(&r.c, HF__LOGGED);
            else if (act.kind == HF__ACT_DETACH)
                hf__coord_detached(&r.c, 0, rows[i].gone);
            else if (act.kind == HF__ACT_FORGET)
                hf__coord_answer(&r.c, 0, XA_OK);
            else
                hf__coord_answer(&r.c, 0, told++ == 0 ? XAER_NOTA : rows[i].again);
        }
        conclude(&r, &row, (int)i);
    }
}

static void settle__all_acknowledged_is_released(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { DONE_ABSENT, DONE_NOT_REACHED },
          { 2, COMMIT, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } }, "release done:committed", 0, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

static void settle__heuristic_commit_is_forgotten_and_released(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { { HF__B_UNFORGOTTEN, HF__SEEN_IN_SCAN, HF__FATE_COMMITTED }, DONE_ABSENT },
          { 2, COMMIT, 0, 0, HF__ACT_FORGET, 0, ok_or_nota, { { 0 } },
            "forget0 release done:committed", 0, 0 } },
        { HF__COMMIT,
          { { HF__B_UNFORGOTTEN, HF__SEEN_IN_SCAN, HF__FATE_COMMITTED } },
          { 1, COMMIT, 0, 0, HF__ACT_FORGET, 0, forget_fails, { { 0 } },
            "forget0 done:committed", 1, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

static void settle__heuristics_are_forgotten_and_stay_in_the_record(void **state)
{
    static const struct settle_row rows[] = {
        { HF__COMMIT,
          { { HF__B_UNFORGOTTEN, HF__SEEN_IN_SCAN, HF__FATE_ROLLEDBACK }, DONE_ABSENT },
          { 2, COMMIT, 0, 0, HF__ACT_FORGET, 0, ok_or_nota, { { 0 } },
            "forget0 done:mixed", 0, 0 } },
        { HF__COMMIT,
          { { HF__B_UNFORGOTTEN, HF__SEEN_IN_SCAN, HF__FATE_HAZARD } },
          { 1, COMMIT, 0, 0, HF__ACT_FORGET, 0, forget_fails, { { 0 } },
            "forget0 done:hazard", 1, 0 } },
        { HF__ROLLBACK,
          { { HF__B_UNFORGOTTEN, HF__SEEN_IN_SCAN, HF__FATE_COMMITTED } },
          { 1, COMMIT, 0, 0, HF__ACT_FORGET, 0, ok_or_nota, { { 0 } },
            "forget0 done:committed", 0, 0 } },
        { HF__COMMIT,
          { { HF__B_UNFORGOTTEN, HF__SEEN_NOT_REACHED, HF__FATE_MIXED } },
          { 1, COMMIT, 0, 0, HF__ACT_DONE, 0, ok, { { 0 } }, "done:mixed", 1, 0 } },
    };

    (void)state;
    SETTLE(rows);
}

/* -- classify ---------------------------------------------------------------------------------- */

/* Ours, of a fenced incarnation that the log knows, without a record. */
static const struct hf__sighting dead = { .our_node = true, .our_rm = true, .fenced = true };
/* Ours, begun by this opening and over. */
static const struct hf__sighting own = {
    .our_node = true, .our_rm = true, .own_incarnation = true
};

static void decide_and_list(struct hf__sighting *s, bool commits, bool lists)
{
    s->record = true;
    s->record_commits = commits;
    s->record_lists = lists;
}

static void classify__touches_only_what_is_ours(void **state)
{
    struct hf__sighting s = dead;

    (void)state;
    decide_and_list(&s, true, true);
    s.our_node = false;
    assert_int_equal(hf__classify(&s), HF__FOREIGN);
    s.our_node = true;
    s.our_rm = false;
    assert_int_equal(hf__classify(&s), HF__FOREIGN);
    s.our_node = false;
    s.above_highest = true;
    assert_int_equal(hf__classify(&s), HF__FOREIGN);
}

static void classify__leaves_what_lives(void **state)
{
    struct hf__sighting s = dead;

    (void)state;
    s.fenced = false;
    assert_int_equal(hf__classify(&s), HF__LEAVE);
    decide_and_list(&s, true, true);
    assert_int_equal(hf__classify(&s), HF__LEAVE);
    s = own;
    s.running = true;
    assert_int_equal(hf__classify(&s), HF__LEAVE);
    decide_and_list(&s, true, true);
    assert_int_equal(hf__classify(&s), HF__LEAVE);
}

static void classify__settles_what_a_record_lists(void **state)
{
    struct hf__sighting s = dead;

    (void)state;
    decide_and_list(&s, true, true);
    assert_int_equal(hf__classify(&s), HF__SETTLE);
    s.no_rollback = true;
    assert_int_equal(hf__classify(&s), HF__SETTLE);
    s = dead;
    decide_and_list(&s, false, true);
    assert_int_equal(hf__classify(&s), HF__SETTLE);
    s = own;
    decide_and_list(&s, true, true);
    assert_int_equal(hf__classify(&s), HF__SETTLE);
}

static void classify__alarms_at_a_branch_that_its_decision_does_not_list(void **state)
{
    struct hf__sighting s = dead;

    (void)state;
    decide_and_list(&s, true, false);
    assert_int_equal(hf__classify(&s), HF__UNLISTED);
    s.no_rollback = true;
    assert_int_equal(hf__classify(&s), HF__UNLISTED);
    s = own;
    decide_and_list(&s, true, false);
    assert_int_equal(hf__classify(&s), HF__UNLISTED);
}

static void classify__alarms_at_a_log_older_than_the_branch(void **state)
{
    struct hf__sighting s = dead;

    (void)state;
    s.above_highest = true;
    assert_int_equal(hf__classify(&s), HF__BACK_IN_TIME);
    s.fenced = false; /* a number that was never given out cannot have been fenced */
    assert_int_equal(hf__classify(&s), HF__BACK_IN_TIME);
    s.no_rollback = true;
    assert_int_equal(hf__classify(&s), HF__BACK_IN_TIME);
}

static void classify__rolls_back_the_rest(void **state)
{
    struct hf__sighting s = dead;

    (void)state;
    assert_int_equal(hf__classify(&s), HF__ROLL_BACK);
    assert_int_equal(hf__classify(&own), HF__ROLL_BACK);
    decide_and_list(&s, false, false); /* a record that only tells of another branch's heuristic */
    assert_int_equal(hf__classify(&s), HF__ROLL_BACK);
    s = dead;
    s.no_rollback = true;
    assert_int_equal(hf__classify(&s), HF__LEAVE);
}

/* clang-format on */

/* -- ranks, and branches that may be under way together ---------------------------------------- */

enum { MANY = 4 };

/* An action is asked for, and has to be this one; branch -1: it is of no branch. */
static void want(struct hf__coord *c, enum hf__act_kind kind, int branch)
{
    struct hf__act act = hf__coord_next(c);

    assert_int_equal(act.kind, kind);
    if (branch >= 0)
        assert_int_equal(act.branch, branch);
}

static void begin_many(struct hf__coord *c, struct hf__branch *b, unsigned async, const int *ranks)
{
    unsigned i;

    memset(b, 0, MANY * sizeof(*b));
    for (i = 0; i < MANY; i++) {
        b[i].state = HF__B_IDLE;
        b[i].async = (async & 1U << i) != 0;
        b[i].rank = ranks[i];
    }
    hf__coord_init(c, b, MANY);
    hf__coord_commit(c, false);
}

static void want_synchronous(struct hf__coord *c, enum hf__act_kind kind, const unsigned *order)
{
    unsigned i;

    for (i = 0; i < MANY; i++) {
        want(c, kind, (int)order[i]);
        hf__coord_answer(c, order[i], XA_OK);
    }
}

static void vote_yes(struct hf__coord *c)
{
    unsigned i;

    for (i = 0; i < MANY; i++) {
        want(c, HF__ACT_PREPARE, (int)i);
        if (!c->branches[i].async)
            hf__coord_answer(c, i, XA_OK);
    }
    for (i = 0; i < MANY; i++)
        if (c->branches[i].async)
            hf__coord_answer(c, i, XA_OK);
    want(c, HF__ACT_FORCE, -1);
    hf__coord_logged(c, HF__LOGGED);
}

static void ranks__commit_lowest_first_in_any_order_of_branches(void **state)
{
    static const int ranks[MANY] = {5, -3, 5, INT_MIN};
    static const unsigned as_they_are[MANY] = {0, 1, 2, 3}, by_rank[MANY] = {3, 1, 0, 2};
    struct hf__branch b[MANY];
    struct hf__coord c;

    (void)state;
    begin_many(&c, b, 0, ranks);
    want_synchronous(&c, HF__ACT_PREPARE, as_they_are);
    want(&c, HF__ACT_FORCE, -1);
    hf__coord_logged(&c, HF__LOGGED);
    want_synchronous(&c, HF__ACT_COMMIT, by_rank);
    want(&c, HF__ACT_RELEASE, -1);
    want(&c, HF__ACT_DONE, -1);
}

static void votes__are_asked_of_async_branches_first_and_at_once(void **state)
{
    static const int ranks[MANY] = {0, 1, 0, 2};
    struct hf__branch b[MANY];
    struct hf__coord c;

    (void)state;
    begin_many(&c, b, 1U << 1 | 1U << 3, ranks);
    want(&c, HF__ACT_PREPARE, 1);
    want(&c, HF__ACT_PREPARE, 3);
    want(&c, HF__ACT_PREPARE, 0);
    hf__coord_answer(&c, 3, XA_OK); /* while the synchronous one has not answered */
    hf__coord_answer(&c, 0, XA_OK);
    want(&c, HF__ACT_PREPARE, 2);
    hf__coord_answer(&c, 2, XA_OK);
    want(&c, HF__ACT_WAIT, -1);
    want(&c, HF__ACT_WAIT, -1); /* asking is free */
    hf__coord_answer(&c, 1, XA_OK);
    want(&c, HF__ACT_FORCE, -1);
}

static void no__stops_the_asking_and_late_votes_are_heard(void **state)
{
    static const int ranks[MANY] = {0, 0, 0, 0};
    struct hf__branch b[MANY];
    struct hf__coord c;

    (void)state;
    begin_many(&c, b, 7, ranks);
    want(&c, HF__ACT_PREPARE, 0);
    want(&c, HF__ACT_PREPARE, 1);
    hf__coord_answer(&c, 1, XA_RBOTHER); /* before the third was asked */
    want(&c, HF__ACT_WAIT, -1);
    hf__coord_answer(&c, 0, XA_OK);
    want(&c, HF__ACT_ROLLBACK, 0);
    hf__coord_answer(&c, 0, XA_OK);
    want(&c, HF__ACT_ROLLBACK, 2);
    hf__coord_answer(&c, 2, XA_OK);
    want(&c, HF__ACT_ROLLBACK, 3);
    hf__coord_answer(&c, 3, XA_OK);
    want(&c, HF__ACT_DONE, -1);
    assert_int_equal(hf__coord_outcome(&c), HF_ROLLEDBACK);
}

static void commits__of_a_rank_go_at_once_and_the_next_waits(void **state)
{
    static const int ranks[MANY] = {0, 0, 0, 1};
    struct hf__branch b[MANY];
    struct hf__coord c;

    (void)state;
    begin_many(&c, b, 1U << 0 | 1U << 1 | 1U << 3, ranks);
    want(&c, HF__ACT_PREPARE, 0);
    want(&c, HF__ACT_PREPARE, 1);
    want(&c, HF__ACT_PREPARE, 3);
    want(&c, HF__ACT_PREPARE, 2);
    hf__coord_answer(&c, 2, XA_OK);
    hf__coord_answer(&c, 0, XA_OK);
    hf__coord_answer(&c, 1, XA_OK);
    hf__coord_answer(&c, 3, XA_OK);
    want(&c, HF__ACT_FORCE, -1);
    hf__coord_logged(&c, HF__LOGGED);
    want(&c, HF__ACT_COMMIT, 0);
    want(&c, HF__ACT_COMMIT, 1);
    want(&c, HF__ACT_COMMIT, 2);
    hf__coord_answer(&c, 2, XA_OK);
    want(&c, HF__ACT_WAIT, -1);
    hf__coord_answer(&c, 1, XAER_RMFAIL); /* owed: the rank has answered all the same */
    want(&c, HF__ACT_WAIT, -1);
    hf__coord_answer(&c, 0, XA_OK);
    want(&c, HF__ACT_COMMIT, 3);
    want(&c, HF__ACT_WAIT, -1);
    hf__coord_answer(&c, 3, XA_OK);
    want(&c, HF__ACT_RECORD, -1);
    hf__coord_logged(&c, HF__LOGGED);
    want(&c, HF__ACT_DONE, -1);
    assert_int_equal(hf__coord_outcome(&c), HF_COMMITTED);
    assert_int_equal(hf__coord_owed(&c), 1);
}

/* Two of a rank, twice: the order of answers within a rank is nobody's business. */
static void answers__may_come_in_every_order(void **state)
{
    static const int ranks[MANY] = {1, 0, 1, 0};
    static const unsigned pairs[2][2] = {{1, 3}, {0, 2}};
    struct hf__branch b[MANY];
    struct hf__coord c;
    unsigned order, pair;

    (void)state;
    for (order = 0; order < 4; order++) {
        begin_many(&c, b, 15, ranks);
        vote_yes(&c);
        for (pair = 0; pair < 2; pair++) {
            unsigned first = order >> pair & 1;

            want(&c, HF__ACT_COMMIT, (int)pairs[pair][0]);
            want(&c, HF__ACT_COMMIT, (int)pairs[pair][1]);
            hf__coord_answer(&c, pairs[pair][first], XA_OK);
            want(&c, HF__ACT_WAIT, -1);
            hf__coord_answer(&c, pairs[pair][!first], XA_OK);
        }
        want(&c, HF__ACT_RELEASE, -1);
        want(&c, HF__ACT_DONE, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(end__of_every_branch_comes_first),
        cmocka_unit_test(end__failure_rolls_all_branches_back),
        cmocka_unit_test(end__rmfail_leaves_the_branch_to_die_by_itself),
        cmocka_unit_test(no_branch__needs_no_protocol),
        cmocka_unit_test(rollback_only__never_asks_for_a_vote),
        cmocka_unit_test(prepare__readonly_branch_has_no_phase_two),
        cmocka_unit_test(prepare__stops_at_the_first_no),
        cmocka_unit_test(prepare__unclear_vote_is_a_no_and_gets_a_rollback),
        cmocka_unit_test(prepare__rmfail_leaves_the_branch_to_recovery),
        cmocka_unit_test(force__refused_rolls_back),
        cmocka_unit_test(force__unknown_tells_nobody_anything),
        cmocka_unit_test(commit__heuristic_commit_is_recorded_and_forgotten),
        cmocka_unit_test(commit__damage_is_recorded_forgotten_and_kept),
        cmocka_unit_test(commit__all_rolled_back_by_themselves_is_rolled_back),
        cmocka_unit_test(commit__not_now_is_owed_and_the_record_stays),
        cmocka_unit_test(commit__nothing_acknowledged_needs_no_second_record),
        cmocka_unit_test(commit__what_proves_nothing_stays_unconfirmed),
        cmocka_unit_test(commit__what_proves_nothing_is_probed),
        cmocka_unit_test(probe__answer_decides),
        cmocka_unit_test(record__that_fails_stops_forget_and_release),
        cmocka_unit_test(forget__nota_is_forgotten),
        cmocka_unit_test(forget__that_fails_is_owed_and_the_record_stays),
        cmocka_unit_test(one_phase__ends_a_lone_branch_without_a_record),
        cmocka_unit_test(one_phase__damage_is_recorded),
        cmocka_unit_test(one_phase__illegal_answer_is_followed_by_rollback),
        cmocka_unit_test(rollback__gone_is_rolled_back),
        cmocka_unit_test(rollback__heuristic_rollback_agrees_and_needs_no_record),
        cmocka_unit_test(rollback__damage_is_recorded),
        cmocka_unit_test(rollback__no_answer_leaves_the_branch_to_recovery),
        cmocka_unit_test(settle__commits_what_the_scan_lists),
        cmocka_unit_test(settle__concludes_nothing_from_what_was_not_reached),
        cmocka_unit_test(settle__absence_alone_releases_nothing),
        cmocka_unit_test(settle__absent_branch_is_probed),
        cmocka_unit_test(settle__commits_once_in_a_pass),
        cmocka_unit_test(settle__denied_and_prepared_is_detached_once),
        cmocka_unit_test(settle__denied_and_listed_is_owed),
        cmocka_unit_test(undo__denied_is_detached_once),
        cmocka_unit_test(settle__all_acknowledged_is_released),
        cmocka_unit_test(settle__heuristic_commit_is_forgotten_and_released),
        cmocka_unit_test(settle__heuristics_are_forgotten_and_stay_in_the_record),
        cmocka_unit_test(classify__touches_only_what_is_ours),
        cmocka_unit_test(classify__leaves_what_lives),
        cmocka_unit_test(classify__settles_what_a_record_lists),
        cmocka_unit_test(classify__alarms_at_a_branch_that_its_decision_does_not_list),
        cmocka_unit_test(classify__alarms_at_a_log_older_than_the_branch),
        cmocka_unit_test(classify__rolls_back_the_rest),
        cmocka_unit_test(ranks__commit_lowest_first_in_any_order_of_branches),
        cmocka_unit_test(votes__are_asked_of_async_branches_first_and_at_once),
        cmocka_unit_test(no__stops_the_asking_and_late_votes_are_heard),
        cmocka_unit_test(commits__of_a_rank_go_at_once_and_the_next_waits),
        cmocka_unit_test(answers__may_come_in_every_order),
    };
    return cmocka_run_group_tests_name("tm.coordinator", tests, NULL, NULL);
}
