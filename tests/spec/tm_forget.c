/*
 * What: an operator forgets a transaction of which branches decided by themselves
 *       (hf_inspect_forget): what may be forgotten, by whom it is done, and what is left of it.
 * How:  a scripted resource manager decides by itself; the node is closed and looked at from
 *       outside, or open in this process and asked by a child, which does not share its opening.
 */
#include "support/fake_rm.h"

#include <unistd.h>

#include "holdfast/inspect.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* A commit that b answers so; the XID of the transaction. */
static XID commit_with(struct world *w, int code)
{
    hf_tx *tx;
    XID xid;
    int rc;

    fake_answer_once(B, FAKE_COMMIT, 1, code);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    rc = hf_tx_commit(tx, NULL);
    assert_true(rc == HF_OK || rc == HF_EHEURISTIC);
    return xid;
}

/* What is known of one transaction from outside. */
struct look {
    XID xid;
    unsigned found, forced, uids;
    uint32_t outcome;
    char text[160];
    hf_inspect_request request; /* the last one */
    int32_t first_result;
    unsigned requests;
};

static int look_at(void *user, const hf_inspect_tx *tx)
{
    struct look *l = user;

    if (memcmp(tx->xid.data, l->xid.data, 28) != 0)
        return 0;
    l->found++;
    l->outcome = tx->outcome;
    for (uint32_t i = 0; i < tx->span_count; i++)
        if (tx->spans[i].kept & HF_KEPT_FORCED) {
            l->forced++;
            assert_true(tx->spans[i].began_ms > 0);
            memcpy(l->text, tx->spans[i].text, sizeof(l->text));
        }
    return 0;
}

static int look_at_request(void *user, const hf_inspect_request *q)
{
    struct look *l = user;

    l->request = *q;
    if (l->requests == 0)
        l->first_result = q->state != 0 ? q->result : 1;
    l->requests++;
    return 0;
}

/* The history's entry, and the requests; the decision log verified. */
static struct look look(struct world *w, const XID *xid)
{
    struct look l = {.xid = *xid};
    hf_inspect *in = NULL;

    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_verify(in));
    t_ok(hf_inspect_history(in, look_at, &l));
    t_ok(hf_inspect_requests(in, look_at_request, &l));
    hf_inspect_close(in);
    return l;
}

static int forget(struct world *w, const XID *xid, const char *reason)
{
    hf_inspect *in = NULL;
    uint64_t number = 0;
    int rc;

    t_ok(hf_inspect_open(w->node, &in));
    rc = hf_inspect_forget(in, xid, reason, &number);
    assert_int_equal(number > 0, rc == HF_OK);
    t_ok(hf_inspect_requests(in, look_at_request, &(struct look){.found = 0})); /* still usable */
    hf_inspect_close(in);
    return rc;
}

static void expect_text(const struct look *l, const char *reason)
{
    char want[160];

    snprintf(want, sizeof(want), "uid %u: %s", (unsigned)getuid(), reason);
    assert_string_equal(l->text, want);
}

/* -- nobody has the node open ------------------------------------------------------------------ */

static void forget__moves_it_to_the_history_with_who_and_why(void **state)
{
    static const struct {
        int code;
        hf_outcome outcome;
    } rows[] = {{XA_HEURRB, HF_MIXED}, {XA_HEURMIX, HF_MIXED}, {XA_HEURHAZ, HF_HAZARD}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_again(state);
        struct look l;
        XID xid;

        world_start(w, 2);
        xid = commit_with(w, rows[i].code);
        world_close(w);
        assert_int_equal(world_records(w), 1);
        t_ok(forget(w, &xid, "seen, and mended by hand"));
        assert_int_equal(world_records(w), 0);
        l = look(w, &xid);
        assert_int_equal(l.found, 1);
        assert_int_equal(l.forced, 1);
        assert_int_equal(l.outcome, rows[i].outcome);
        expect_text(&l, "seen, and mended by hand");
        assert_int_equal(l.requests, 1);
        assert_int_equal(l.request.verb, HF_REQUEST_FORGET);
        assert_int_equal(l.request.state, 1);
        assert_int_equal(l.request.uid, getuid());
        assert_int_equal(l.request.result, HF_OK);
        assert_int_equal(l.request.incarnation, 0);
        assert_memory_equal(l.request.xid.data, xid.data, 28);
        assert_string_equal(l.request.reason, "seen, and mended by hand");
        world_start(w, 2);
        assert_int_equal(world_outcome(w, &xid), rows[i].outcome); /* the history knows */
        assert_int_equal(world_stats(w).owed, 0);
    }
}

static void forget__of_what_is_owed_is_refused(void **state)
{
    static const int codes[] = {XA_RETRY, XAER_RMFAIL, XAER_NOTA};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct world *w = world_again(state);
        struct look l;
        XID xid;

        world_start(w, 3);
        fake_answer(C, FAKE_COMMIT, XA_HEURRB); /* damage, too: what is owed comes first */
        fake_answer_effect(B, FAKE_COMMIT, 1, codes[i],
                           codes[i] == XAER_NOTA ? FAKE_DONE : FAKE_STAYS);
        {
            hf_tx *tx;

            world_begin(w, 3, &tx);
            t_ok(hf_tx_xid(tx, &xid));
            t_rc(HF_EHEURISTIC, hf_tx_commit(tx, NULL));
        }
        world_close(w);
        t_rc(HF_ESTATE, forget(w, &xid, NULL));
        assert_int_equal(world_records(w), 1);
        l = look(w, &xid);
        assert_int_equal(l.forced, 0);
        assert_int_equal(l.requests, 0);
    }
}

static void forget__of_what_is_only_unfinished_is_refused(void **state)
{
    struct world *w = *state;
    XID xid;

    world_start(w, 2);
    xid = commit_with(w, XA_RETRY);
    world_close(w);
    t_rc(HF_ESTATE, forget(w, &xid, NULL));
    assert_int_equal(world_records(w), 1);
}

static void forget__of_what_is_not_there_is_not_found(void **state)
{
    struct world *w = *state;
    hf_inspect *in = NULL;
    uint64_t number;
    XID xid, other;

    world_start(w, 2);
    xid = commit_with(w, XA_HEURRB);
    world_close(w);
    other = world_xid(&xid, 0, 4711);
    t_rc(HF_ENOTFOUND, forget(w, &other, NULL));
    other = xid;
    other.data[0] ^= 1;
    t_rc(HF_ENOTFOUND, forget(w, &other, NULL));
    t_ok(forget(w, &xid, NULL));
    t_rc(HF_ENOTFOUND, forget(w, &xid, NULL)); /* once */
    t_ok(hf_inspect_open(w->node, &in));
    other.formatID = 0;
    t_rc(HF_EINVAL, hf_inspect_forget(in, &other, NULL, &number));
    t_rc(HF_EINVAL, hf_inspect_forget(in, NULL, NULL, &number));
    t_rc(HF_EINVAL, hf_inspect_forget(in, &xid, NULL, NULL));
    t_rc(HF_EINVAL, hf_inspect_forget(NULL, &xid, NULL, &number));
    hf_inspect_close(in);
}

/* -- a process has it open --------------------------------------------------------------------- */

static void ask_from_outside(void *arg)
{
    struct world *w = arg;
    hf_inspect *in = NULL;
    uint64_t number = 0;
    XID xid;

    fake_child_pause(); /* forked before the node was opened, so that it may look at it */
    memcpy(&xid, fake_shared(), sizeof(xid));
    must_ok(hf_inspect_open(w->node, &in));
    must_ok(hf_inspect_forget(in, &xid, "by the owner", &number));
    must(number == 1);
    hf_inspect_close(in);
}

static void forget__is_done_by_the_process_that_has_the_node_open(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(ask_from_outside, w);
    struct look l;
    XID xid;

    world_start(w, 2);
    xid = commit_with(w, XA_HEURRB);
    memcpy(fake_shared(), &xid, sizeof(xid));
    assert_int_equal(fake_child_end(child), 0);
    t_ok(hf_tm_tick(w->tm, NULL));
    assert_int_equal(world_outcome(w, &xid), HF_MIXED);
    world_close(w);
    assert_int_equal(world_records(w), 0);
    l = look(w, &xid);
    assert_int_equal(l.found, 1);
    assert_int_equal(l.forced, 1);
    expect_text(&l, "by the owner");
    assert_int_equal(l.request.state, 1);
    assert_int_equal(l.request.result, HF_OK);
    assert_int_equal(l.request.incarnation, 1);
}

/* It was listed when somebody asked, and is gone when the next owner comes to it. */
static void forget__that_the_owner_refuses_says_so_in_the_request(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(ask_from_outside, w);
    hf_inspect *in = NULL;
    uint64_t number;
    struct look l;
    XID xid;

    world_start(w, 2);
    xid = commit_with(w, XA_HEURRB);
    memcpy(fake_shared(), &xid, sizeof(xid));
    assert_int_equal(fake_child_end(child), 0);
    world_close(w); /* without a tick */
    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_forget(in, &xid, "somebody else was faster", &number));
    hf_inspect_close(in);
    world_start(w, 2);
    t_ok(hf_tm_tick(w->tm, NULL));
    world_close(w);
    l = look(w, &xid);
    assert_int_equal(l.requests, 2);
    assert_int_equal(l.first_result, HF_ENOTFOUND);
    assert_int_equal(l.request.result, HF_OK); /* the second one, done by itself */
    assert_int_equal(l.forced, 1);
    expect_text(&l, "somebody else was faster");
}

/* -- interrupted ------------------------------------------------------------------------------- */

#ifdef HF_FAULTS
static void forget_and_die(void *arg)
{
    struct world *w = arg;
    hf_inspect *in = NULL;
    uint64_t number;
    XID xid;

    memcpy(&xid, fake_shared(), sizeof(xid));
    fault_at("forget:told", "kill", 1);
    must_ok(hf_inspect_open(w->node, &in));
    must(hf_inspect_forget(in, &xid, "the first try", &number) == HF_OK);
}
#endif

static void killed_after_the_history__it_is_told_once(void **state)
{
#ifdef HF_FAULTS
    struct world *w = *state;
    struct look l;
    XID xid;

    world_start(w, 2);
    xid = commit_with(w, XA_HEURRB);
    world_close(w);
    memcpy(fake_shared(), &xid, sizeof(xid));
    assert_true(fake_child(forget_and_die, w) != 0);
    assert_int_equal(world_records(w), 1);
    t_ok(forget(w, &xid, "the second try"));
    assert_int_equal(world_records(w), 0);
    l = look(w, &xid);
    assert_int_equal(l.found, 1);
    assert_int_equal(l.forced, 1);
    expect_text(&l, "the first try");
    assert_string_equal(l.request.reason, "the second try");
#else
    (void)state;
    skip();
#endif
}

/* What left no trace in the history stays in the log. */
static void history_that_cannot_be_written__keeps_the_record(void **state)
{
    struct world *w = *state;
    char path[600];
    XID xid;

    world_start(w, 2);
    xid = commit_with(w, XA_HEURRB);
    world_close(w);
    snprintf(path, sizeof(path), "%s/history.mdb", w->node);
    assert_int_equal(truncate(path, 4096), 0);
    t_rc(HF_EDAMAGED, forget(w, &xid, NULL));
    assert_int_equal(unlink(path), 0); /* the log alone can be verified */
    assert_int_equal(world_records(w), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(forget__moves_it_to_the_history_with_who_and_why),
        T(forget__of_what_is_owed_is_refused),
        T(forget__of_what_is_only_unfinished_is_refused),
        T(forget__of_what_is_not_there_is_not_found),
        T(forget__is_done_by_the_process_that_has_the_node_open),
        T(forget__that_the_owner_refuses_says_so_in_the_request),
        T(killed_after_the_history__it_is_told_once),
        T(history_that_cannot_be_written__keeps_the_record),
    };

    return cmocka_run_group_tests_name("tm.forget", tests, NULL, NULL);
}
