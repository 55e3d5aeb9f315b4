/*
 * What: a resource manager that answers everything to xa_commit in phase two, and an extension and
 *       scans that answer everything, also wrongly late: the record leaves only on proof, and in
 *       the end everything is as decided, or told (invariants 2, 5 to 8, 10, 13, 14, 15).
 * How:  all combinations of
 *         the answer, and what truly became of the branch      25
 *         the probe: none, the truth, "unknown", "prepared" whatever became of it since, "not now"
 *         the scan: what is, what was before the prepare, what was while it was prepared
 *         detach: none, done, refused, said to be done and not
 *         the answer is given to the completion, to recovery by the same opening, by the next one
 *       each in a node of its own: two passes so, and three honest ones. What the branch's manager
 *       has *said* is counted where it says it; a record may be gone only if it said "committed",
 *       and stays if it said anything else. A probe that lies about what is over is not among them:
 *       what it states as proved is its contract.
 *
 *       Then the same answers, with another process that recovers in the middle of our pass,
 *       between any two of our calls: what we know is late then.
 *
 *       With --plant NAME, in a fault build, a planted bug has to be noticed.
 */
#include "support/fake_rm.h"

#include <stdlib.h>
#include <sys/wait.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* The branch is held by a session that hangs on, until it is detached. */
enum { HELD = 100 };

static const struct answer {
    int code;
    int effect; /* enum fake_effect, or HELD */
} answers[] = {
    {XA_OK, FAKE_BY_TABLE},      {XA_HEURCOM, FAKE_BY_TABLE}, {XA_HEURRB, FAKE_BY_TABLE},
    {XA_HEURMIX, FAKE_BY_TABLE}, {XA_HEURHAZ, FAKE_BY_TABLE}, {XAER_NOTA, FAKE_STAYS},
    {XAER_NOTA, FAKE_DONE},      {XAER_NOTA, FAKE_GONE},      {XAER_NOTA, HELD},
    {XAER_RMERR, FAKE_STAYS},    {XAER_RMERR, FAKE_DONE},     {XAER_RMERR, FAKE_GONE},
    {XA_RBROLLBACK, FAKE_STAYS}, {XA_RBROLLBACK, FAKE_DONE},  {XA_RBROLLBACK, FAKE_GONE},
    {XAER_RMFAIL, FAKE_STAYS},   {XAER_RMFAIL, FAKE_DONE},    {XAER_RMFAIL, FAKE_GONE},
    {XA_RETRY, FAKE_STAYS},      {XAER_PROTO, FAKE_STAYS},    {XAER_PROTO, FAKE_DONE},
    {XAER_PROTO, FAKE_GONE},     {4711, FAKE_STAYS},          {4711, FAKE_DONE},
    {4711, FAKE_GONE},
};
enum { ANSWERS = sizeof(answers) / sizeof(answers[0]) };

enum probe { NO_PROBE, PROBE_TRUTH, PROBE_UNKNOWN, PROBE_PREPARED, PROBE_NOT_NOW, PROBES };
enum { SCANS = FAKE_SCAN_AFTER + 1 };
enum detach { NO_DETACH, DETACH_DONE, DETACH_REFUSED, DETACH_SAID, DETACHES };
enum where { COMPLETION, SAME_OPENING, NEXT_OPENING, WHERES };

struct row {
    const struct answer *answer;
    enum probe probe;
    enum fake_scan scan;
    enum detach detach;
    enum where where;
};

static const char *describe(const struct row *row)
{
    static char text[128];

    snprintf(text, sizeof(text), "answer %d, effect %d, probe %d, scan %d, detach %d, where %d",
             row->answer->code, row->answer->effect, (int)row->probe, (int)row->scan,
             (int)row->detach, (int)row->where);
    return text;
}

#define check(row, expr)                                                                           \
    do {                                                                                           \
        if (!(expr))                                                                               \
            fail_msg("%s:\n    %s\n    trace: %s", describe(row), #expr, world_trace());           \
    } while (0)

/* b answers so to the next xa_commit, and to what is asked after it. */
static void script(const struct row *row)
{
    if (row->answer->effect == HELD)
        fake_hold(B, true);
    else
        fake_answer_effect(B, FAKE_COMMIT, 1, row->answer->code,
                           (enum fake_effect)row->answer->effect);
    fake_scan(B, row->scan);
    if (row->probe == PROBE_UNKNOWN)
        fake_probe(B, HF_PROBE_UNKNOWN);
    else if (row->probe == PROBE_PREPARED)
        fake_probe(B, HF_PROBE_PREPARED);
    else if (row->probe == PROBE_NOT_NOW)
        fake_answer(B, FAKE_PROBE, 1);
    if (row->detach == DETACH_REFUSED)
        fake_answer(B, FAKE_DETACH, 1);
    else if (row->detach == DETACH_SAID)
        fake_answer_effect(B, FAKE_DETACH, 0, 0, FAKE_STAYS);
}

static void put_foreign(XID *ret)
{
    *ret = fake_last_xid(B);
    ret->data[3] ^= 1; /* another node */
    fake_put(B, ret);
}

/* A commit that b answers so; what the caller is told of it (invariants 5, 6, 8). */
static XID commit(const struct row *row, struct world *w)
{
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;
    XID xid;
    int rc;

    if (row->where == COMPLETION)
        script(row);
    else
        fake_answer_effect(B, FAKE_COMMIT, 1, XA_RETRY, FAKE_STAYS);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    rc = hf_tx_commit(tx, &r);
    check(row, rc == HF_OK || rc == HF_EHEURISTIC);
    check(row, r.outcome == HF_COMMITTED || (fake_said(B) & FAKE_SAID_OTHERWISE) != 0);
    check(row, (rc == HF_OK) == (r.outcome == HF_COMMITTED));
    check(row, r.owed > 0 || fake_said(B) != 0);
    check(row, fake_calls(B, FAKE_DETACH) == 0);
    return xid;
}

/* After a pass (invariants 2, 5, 6, 8, 10). */
static void check_pass(const struct row *row, struct world *w, const XID *xid, const XID *foreign)
{
    hf_outcome outcome;
    int rc = hf_tm_outcome(w->tm, xid, &outcome);

    check(row, rc == HF_OK || (rc == HF_ENOTFOUND && fake_said(B) == FAKE_SAID_COMMITTED));
    if (rc == HF_OK)
        check(row, outcome == HF_COMMITTED || (fake_said(B) & FAKE_SAID_OTHERWISE) != 0);
    check(row, world_stats(w).owed > 0 || fake_said(B) != 0);
    check(row, fake_calls(A, FAKE_ROLLBACK) == 0);
    /* A scan that lists what was acknowledged, and has no record any more: told in vain. */
    check(row, fake_calls(B, FAKE_ROLLBACK) == 0 ||
                   (row->scan == FAKE_SCAN_AFTER && (fake_said(B) & FAKE_SAID_COMMITTED) != 0));
    check(row, fake_state(B, foreign) == FAKE_PREPARED);
}

static void pass(const struct row *row, struct world *w, const XID *xid, const XID *foreign)
{
    unsigned detached = fake_calls(B, FAKE_DETACH);

    world_trace_clear();
    t_ok(hf_tm_recover(w->tm, NULL));
    check(row, fake_calls(B, FAKE_DETACH) <= detached + 1); /* once in a pass */
    check(row, row->detach != NO_DETACH || fake_calls(B, FAKE_DETACH) == 0);
    check_pass(row, w, xid, foreign);
}

/* Honest again: everything ends, or is told, and a pass more changes nothing (14, 15). */
static void check_end(const struct row *row, struct world *w, const XID *xid, const XID *foreign)
{
    unsigned said, records;

    fake_honest(B);
    pass(row, w, xid, foreign);
    pass(row, w, xid, foreign);
    check(row, fake_in_doubt(B) == 1 && fake_in_doubt(A) == 0); /* the foreign one */
    pass(row, w, xid, foreign);
    check(row, strstr(world_trace(), "commit") == NULL);
    check(row, strstr(world_trace(), "forget") == NULL);
    check(row, strstr(world_trace(), "record") == NULL);
    said = fake_said(B);
    world_close(w);
    records = world_records(w);
    check(row, records == ((said & FAKE_SAID_OTHERWISE) != 0 || said == 0));
    check(row, records > 0 || fake_rolled_back(B) == 0);
    check(row, fake_committed(A) == 1);
}

static void run(const struct row *row, struct world *w)
{
    XID xid, foreign;

    fake_offer(B, (row->probe != NO_PROBE ? 1u << FAKE_PROBE : 0) |
                      (row->detach != NO_DETACH ? 1u << FAKE_DETACH : 0));
    world_start(w, 2);
    xid = commit(row, w);
    put_foreign(&foreign);
    if (row->where == NEXT_OPENING) {
        world_close(w);
        script(row);
        world_start(w, 2);
        check_pass(row, w, &xid, &foreign);
    } else if (row->where == SAME_OPENING) {
        script(row);
    }
    pass(row, w, &xid, &foreign);
    pass(row, w, &xid, &foreign);
    check_end(row, w, &xid, &foreign);
}

static void every_answer__keeps_the_record_until_there_is_proof(void **state)
{
    unsigned cases = 0;

    for (unsigned n = 0; n < ANSWERS * PROBES * SCANS * DETACHES * WHERES; n++) {
        struct row row = {.answer = &answers[n % ANSWERS]};
        unsigned rest = n / ANSWERS;

        row.probe = (enum probe)(rest % PROBES);
        row.scan = (enum fake_scan)(rest / PROBES % SCANS);
        row.detach = (enum detach)(rest / PROBES / SCANS % DETACHES);
        row.where = (enum where)(rest / PROBES / SCANS / DETACHES);
        run(&row, world_again(state));
        cases++;
    }
    assert_int_equal(cases, 4500);
    print_message("rig: %u combinations of wrong answers, 0 violations\n", cases);
}

/* -- late, because another process was there meanwhile ----------------------------------------- */

/* The call of our pass before which the other one recovers. */
struct intrusion {
    pid_t other; /* waits to recover; 0: did */
    enum fake_call at;
};

static void recover_elsewhere(void *arg)
{
    struct world *w = arg;

    fake_child_pause();
    fake_honest(B);
    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
    must_ok(hf_tm_close(w->tm, 0, NULL));
}

static void intrude(void *user, int rm, enum fake_call call)
{
    struct intrusion *i = user;

    if (i->other == 0 || rm != B || call != i->at)
        return;
    assert_int_equal(fake_child_end(i->other), 0);
    i->other = 0;
}

static unsigned run_late(const struct row *row, struct world *w, enum fake_call at)
{
    struct intrusion intrusion = {.at = at};
    XID xid, foreign;

    fake_offer(B, (row->probe != NO_PROBE ? 1u << FAKE_PROBE : 0) | 1u << FAKE_DETACH);
    world_start(w, 2);
    xid = commit(row, w);
    put_foreign(&foreign);
    world_close(w);
    intrusion.other = fake_child_start(recover_elsewhere, w);
    script(row);
    world_open(w);
    world_register(w, 2);
    fake_on_call(intrude, &intrusion);
    t_ok(hf_tm_start(w->tm, 0));
    fake_on_call(NULL, NULL);
    if (intrusion.other != 0)
        (void)fake_child_kill(intrusion.other); /* no such call */
    check_pass(row, w, &xid, &foreign);
    check_end(row, w, &xid, &foreign);
    return intrusion.other == 0;
}

static void another_recoverer__in_the_middle_of_a_pass_changes_no_rule(void **state)
{
    static const enum fake_call calls[] = {FAKE_RECOVER, FAKE_COMMIT, FAKE_PROBE,
                                           FAKE_DETACH,  FAKE_FORGET, FAKE_CLOSE};
    unsigned cases = 0;

    for (unsigned a = 0; a < ANSWERS; a++)
        for (unsigned c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
            for (unsigned probe = NO_PROBE; probe <= PROBE_TRUTH; probe++) {
                struct row row = {.answer = &answers[a],
                                  .probe = (enum probe)probe,
                                  .detach = DETACH_DONE,
                                  .where = NEXT_OPENING};

                cases += run_late(&row, world_again(state), calls[c]);
            }
    print_message("%u passes with another recoverer in their middle\n", cases);
    assert_true(cases > 150);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        T(every_answer__keeps_the_record_until_there_is_proof),
        T(another_recoverer__in_the_middle_of_a_pass_changes_no_rule),
    };

    return cmocka_run_group_tests_name("tm.verified", tests, NULL, NULL);
}

#ifdef HF_FAULTS
/* In a process that nobody hears: it has to fail. */
static int run_planted(const char *bug)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(0);
        hf__bug_plant(bug);
        _exit(run_all() != 0);
    }
    if (pid == -1 || waitpid(pid, &status, 0) != pid)
        return 2;
    status = WIFEXITED(status) && WEXITSTATUS(status) == 1;
    printf("planted bug %s: %s\n%d passed, %d failed\n", bug, status ? "caught" : "NOT CAUGHT",
           status, !status);
    return !status;
}
#endif

int main(int argc, char **argv)
{
    /* Thousands of nodes, and no word about power cuts: memory does, where there is some. */
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
#ifdef HF_FAULTS
    if (argc == 3 && strcmp(argv[1], "--plant") == 0)
        return run_planted(argv[2]);
#else
    (void)argc;
    (void)argv;
#endif
    return run_all();
}
