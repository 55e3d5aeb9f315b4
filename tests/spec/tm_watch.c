/*
 * What: callbacks around completion (hf_tx_watch): when, in which order, and what they may do.
 * How:  watchers write into the same kind of trace as the resource managers, a letter each.
 */
#include "support/fake_rm.h"

static char seen[512];
static struct world *world;
static hf_tx *begun;
static XID told_xid;
static hf_outcome told_outcome;

static void note(const char *text)
{
    size_t used = strlen(seen);

    snprintf(seen + used, sizeof(seen) - used, "%s%s", used > 0 ? " " : "", text);
}

static int watch_setup(void **state)
{
    int rc = world_setup(state);

    seen[0] = '\0';
    world = *state;
    return rc;
}
#define W(fn) cmocka_unit_test_setup_teardown(fn, watch_setup, world_teardown)

static void before(void *user, hf_tx *tx)
{
    assert_ptr_equal(tx, begun);
    assert_int_equal(fake_calls(A, FAKE_END), 0);
    note((const char *)user);
}

static void after(void *user, const XID *xid, hf_outcome outcome)
{
    char text[32];

    told_xid = *xid;
    told_outcome = outcome;
    assert_null(hf_tx_current(world->tm));
    snprintf(text, sizeof(text), "/%s", (const char *)user);
    note(text);
}

static void watch(hf_tx *tx, void (*b)(void *, hf_tx *), void (*a)(void *, const XID *, hf_outcome),
                  const char *name)
{
    hf_sync sync = {b, a, (void *)(uintptr_t)name};

    t_ok(hf_tx_watch(tx, &sync));
    memset(&sync, 0xff, sizeof(sync)); /* it is copied */
}

static void watchers__run_in_the_order_of_registration(void **state)
{
    struct world *w = *state;
    XID xid;

    world_start(w, 2);
    world_begin(w, 2, &begun);
    t_ok(hf_tx_xid(begun, &xid));
    watch(begun, before, after, "one");
    watch(begun, before, NULL, "two");
    watch(begun, NULL, after, "three");
    t_ok(hf_tx_commit(begun, NULL));
    assert_string_equal(seen, "one two /one /three");
    assert_int_equal(told_outcome, HF_COMMITTED);
    assert_memory_equal(&told_xid, &xid, sizeof(xid));
}

static void before__is_not_called_on_rollback(void **state)
{
    struct world *w = *state;

    world_start(w, 1);
    world_begin(w, 1, &begun);
    watch(begun, before, after, "one");
    t_ok(hf_tx_rollback(begun, NULL));
    assert_string_equal(seen, "/one");
    assert_int_equal(told_outcome, HF_ROLLEDBACK);
}

static void after_the_last_call(void *user, const XID *xid, hf_outcome outcome)
{
    (void)user;
    (void)xid;
    (void)outcome;
    note(fake_calls(B, FAKE_COMMIT) == 1 ? "late" : "early");
    assert_int_equal(hf_instance_broken(world->in[A]), 0);
}

static void after__is_told_every_outcome(void **state)
{
    struct world *w = *state;

    world_start(w, 2);
    world_begin(w, 2, &begun);
    watch(begun, NULL, after_the_last_call, "");
    t_ok(hf_tx_commit(begun, NULL));
    assert_string_equal(seen, "late");

    fake_answer_once(A, FAKE_PREPARE, 1, XA_RBOTHER);
    world_begin(w, 2, &begun);
    watch(begun, NULL, after, "no");
    t_rc(HF_EROLLEDBACK, hf_tx_commit(begun, NULL));
    assert_int_equal(told_outcome, HF_ROLLEDBACK);
    fake_answer_once(A, FAKE_COMMIT, 1, XA_HEURHAZ);
    world_begin(w, 2, &begun);
    watch(begun, NULL, after, "hazard");
    t_rc(HF_EHEURISTIC, hf_tx_commit(begun, NULL));
    assert_int_equal(told_outcome, HF_HAZARD);
    assert_string_equal(seen, "late /no /hazard");
}

static void before_enlists(void *user, hf_tx *tx)
{
    (void)user;
    note("enlist");
    t_ok(hf_tx_enlist(tx, world->in[B]));
}

static void before__may_enlist(void **state)
{
    struct world *w = *state;

    world_start(w, 2);
    world_begin(w, 1, &begun);
    watch(begun, before_enlists, NULL, "");
    t_ok(hf_tx_commit(begun, NULL));
    world_expect("a.start b.start a.end b.end a.prepare b.prepare" LOG " a.commit b.commit");
    assert_string_equal(seen, "enlist");
}

static void before_watches(void *user, hf_tx *tx)
{
    (void)user;
    note("first");
    watch(tx, before, after, "second");
}

static void before__may_add_a_watcher_that_runs_too(void **state)
{
    struct world *w = *state;

    world_start(w, 1);
    world_begin(w, 1, &begun);
    watch(begun, before_watches, NULL, "");
    t_ok(hf_tx_commit(begun, NULL));
    assert_string_equal(seen, "first second /second");
}

static void before_vetoes(void *user, hf_tx *tx)
{
    (void)user;
    note("veto");
    t_ok(hf_tx_set_rollback_only(tx));
}

static void before__may_set_rollback_only(void **state)
{
    struct world *w = *state;

    world_start(w, 2);
    world_begin(w, 2, &begun);
    watch(begun, before_vetoes, after, "one");
    t_rc(HF_EROLLEDBACK, hf_tx_commit(begun, NULL));
    world_expect("a.start b.start a.end(fail) b.end(fail) a.rollback b.rollback");
    assert_int_equal(told_outcome, HF_ROLLEDBACK);
}

static void before_completes(void *user, hf_tx *tx)
{
    (void)user;
    t_rc(HF_ESTATE, hf_tx_commit(tx, NULL));
    t_rc(HF_ESTATE, hf_tx_rollback(tx, NULL));
    note("refused");
}

static void before__may_not_complete(void **state)
{
    struct world *w = *state;

    world_start(w, 1);
    world_begin(w, 1, &begun);
    watch(begun, before_completes, after, "one");
    t_ok(hf_tx_commit(begun, NULL));
    assert_string_equal(seen, "refused /one");
    world_expect("a.start a.end a.commit(one)");
}

/* From inside a resource manager's xa_prepare everything about the transaction is too late. */
static void meddle(void *user, int rm, enum fake_call call)
{
    hf_sync sync = {before, NULL, NULL};

    (void)user;
    if (rm != A || call != FAKE_PREPARE)
        return;
    t_rc(HF_ESTATE, hf_tx_set_rollback_only(begun));
    t_rc(HF_ESTATE, hf_tx_enlist(begun, world->in[C]));
    t_rc(HF_ESTATE, hf_tx_watch(begun, &sync));
    t_rc(HF_ESTATE, hf_tx_commit(begun, NULL));
    t_rc(HF_ESTATE, hf_tx_rollback(begun, NULL));
    note("meddled");
}

static void completing__refuses_everything(void **state)
{
    struct world *w = *state;

    world_start(w, 3);
    world_begin(w, 2, &begun);
    fake_on_call(meddle, NULL);
    t_ok(hf_tx_commit(begun, NULL));
    assert_string_equal(seen, "meddled");
}

/* The thread has no transaction any more: it may begin the next one at once. */
static void after_begins(void *user, const XID *xid, hf_outcome outcome)
{
    hf_tx *next;

    (void)user;
    (void)xid;
    assert_int_equal(outcome, HF_COMMITTED);
    world_begin(world, 2, &next);
    t_ok(hf_tx_commit(next, NULL));
    note("again");
}

static void after__may_begin_another(void **state)
{
    struct world *w = *state;

    world_start(w, 2);
    world_begin(w, 2, &begun);
    watch(begun, NULL, after_begins, "");
    t_ok(hf_tx_commit(begun, NULL));
    assert_string_equal(seen, "again");
    assert_int_equal(fake_committed(A), 2);
}

static unsigned counted;

static void count(void *user, const XID *xid, hf_outcome outcome)
{
    (void)xid;
    (void)outcome;
    assert_int_equal(counted, (unsigned)(uintptr_t)user);
    counted++;
}

static void watchers__may_be_many(void **state)
{
    struct world *w = *state;

    world_start(w, 1);
    for (int round = 0; round < 2; round++) { /* the second has the memory of the first */
        world_begin(w, 1, &begun);
        for (uintptr_t i = 0; i < 100; i++) {
            hf_sync sync = {NULL, count, (void *)i};

            t_ok(hf_tx_watch(begun, &sync));
        }
        counted = 0;
        t_ok(hf_tx_commit(begun, NULL));
        assert_int_equal(counted, 100);
    }
}

static void after_closes(void *user, const XID *xid, hf_outcome outcome)
{
    unsigned left = 0;

    (void)user;
    (void)xid;
    (void)outcome;
    t_rc(HF_EBUSY, hf_tm_close(world->tm, 0, &left));
    assert_true(left > 0);
    note("busy");
}

static void after__holds_the_node_open(void **state)
{
    struct world *w = *state;

    world_start(w, 1);
    world_begin(w, 1, &begun);
    watch(begun, NULL, after_closes, "");
    t_ok(hf_tx_commit(begun, NULL));
    assert_string_equal(seen, "busy");
}

static void watch__refuses_what_is_not_one(void **state)
{
    struct world *w = *state;
    hf_sync none = {NULL, NULL, NULL};

    world_start(w, 1);
    world_begin(w, 1, &begun);
    t_rc(HF_EINVAL, hf_tx_watch(begun, NULL));
    t_rc(HF_EINVAL, hf_tx_watch(NULL, &none));
    t_ok(hf_tx_watch(begun, &none)); /* either may be NULL, and so both */
    t_ok(hf_tx_commit(begun, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        W(watchers__run_in_the_order_of_registration),
        W(before__is_not_called_on_rollback),
        W(after__is_told_every_outcome),
        W(before__may_enlist),
        W(before__may_add_a_watcher_that_runs_too),
        W(before__may_set_rollback_only),
        W(before__may_not_complete),
        W(completing__refuses_everything),
        W(after__may_begin_another),
        W(watchers__may_be_many),
        W(after__holds_the_node_open),
        W(watch__refuses_what_is_not_one),
    };

    return cmocka_run_group_tests_name("tm.watch", tests, NULL, NULL);
}
