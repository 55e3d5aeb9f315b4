/*
 * What: calls at the wrong time, with nothing, or in the wrong process (tm.h, transaction.h,
 *       base.h).
 * How:  one test for each fact; after a refusal what was there works on.
 */
#include "support/fake_rm.h"

#include <sys/wait.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* -- the wrong state --------------------------------------------------------------------------- */

static void before_start__nothing_begins(void **state)
{
    struct world *w = *state;
    uint32_t next = 0;
    hf_tx *tx = NULL;

    world_open(w);
    world_register(w, 1);
    t_rc(HF_ESTATE, hf_tx_begin(w->tm, 0, &tx));
    t_rc(HF_ESTATE, hf_tm_tick(w->tm, &next));
    assert_null(tx);
    assert_null(hf_tx_current(w->tm));
    world_expect("");
    t_ok(hf_tm_start(w->tm, 0));
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_rollback(tx, NULL));
}

static void start__comes_once(void **state)
{
    struct world *w = *state;

    world_start(w, 1);
    t_rc(HF_ESTATE, hf_tm_start(w->tm, 0));
    t_ok(hf_tm_tick(w->tm, NULL));
}

static void close__before_start_is_good(void **state)
{
    struct world *w = *state;

    world_open(w);
    world_register(w, 2);
    world_close(w);
    world_expect("");
    world_start(w, 2);
}

static void instance__may_be_opened_before_start(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_open(w);
    world_register(w, 1);
    world_instances(w, 1);
    t_ok(hf_tm_start(w->tm, 0));
    world_begin(w, 1, &tx);
    t_ok(hf_tx_commit(tx, NULL));
}

static void register__after_start_is_good(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_open(w);
    t_ok(hf_tm_start(w->tm, 0));
    world_register(w, 2);
    world_instances(w, 2);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}

static void closing__refuses_what_is_new(void **state)
{
    struct world *w = *state;
    uint32_t next = 0;
    hf_tx *tx = NULL;
    XID xid;

    world_start(w, 1);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    t_rc(HF_EBUSY, hf_tm_close(w->tm, 0, NULL));
    t_rc(HF_ESTATE, hf_tm_start(w->tm, 0));
    t_rc(HF_ESTATE, hf_tm_recover(w->tm, NULL));
    t_rc(HF_ESTATE, hf_tm_tick(w->tm, &next));
    assert_int_equal(world_outcome(w, &xid), HF_UNKNOWN);
    assert_int_equal(world_stats(w).active, 1);
    t_ok(hf_tx_commit(tx, NULL));
    tx = NULL;
    t_rc(HF_ESTATE, hf_tx_begin(w->tm, 0, &tx));
    assert_null(tx);
}

/* -- outcomes ---------------------------------------------------------------------------------- */

static void outcome__of_a_running_transaction_is_unknown(void **state)
{
    struct world *w = *state;
    hf_outcome outcome = HF_MIXED;
    hf_tx *tx;
    XID xid;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    assert_int_equal(world_outcome(w, &xid), HF_UNKNOWN);
    xid = fake_last_xid(A); /* of a branch: only the gtrid counts */
    assert_int_equal(world_outcome(w, &xid), HF_UNKNOWN);
    t_ok(hf_tx_rollback(tx, NULL));
    t_rc(HF_ENOTFOUND, hf_tm_outcome(w->tm, &xid, &outcome));
    assert_int_equal(outcome, HF_MIXED); /* written with HF_OK only */
}

static void outcome__of_another_nodes_xid_is_refused(void **state)
{
    struct world *w = *state;
    hf_outcome outcome;
    hf_tx *tx;
    XID xid;

    world_start(w, 1);
    world_begin(w, 0, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    t_ok(hf_tx_rollback(tx, NULL));
    xid.data[3] ^= 1;
    t_rc(HF_EINVAL, hf_tm_outcome(w->tm, &xid, &outcome));
    xid.data[3] ^= 1;
    xid.formatID = 1;
    t_rc(HF_EINVAL, hf_tm_outcome(w->tm, &xid, &outcome));
    xid.formatID = -1;
    t_rc(HF_EINVAL, hf_tm_outcome(w->tm, &xid, &outcome));
    xid.formatID = HF_XID_FORMAT;
    xid.gtrid_length = 27;
    t_rc(HF_EINVAL, hf_tm_outcome(w->tm, &xid, &outcome));
}

/* -- nothing ----------------------------------------------------------------------------------- */

static void null__is_refused_everywhere(void **state)
{
    struct world *w = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_outcome outcome;
    hf_instance *in = NULL;
    hf_rm *rm = NULL;
    hf_tx *tx = NULL;
    XID xid = {.formatID = 0};

    t_rc(HF_EINVAL, hf_tm_start(NULL, 0));
    t_rc(HF_EINVAL, hf_tm_tick(NULL, NULL));
    t_rc(HF_EINVAL, hf_tm_recover(NULL, NULL));
    t_rc(HF_EINVAL, hf_tm_close(NULL, 0, NULL));
    t_rc(HF_EINVAL, hf_tm_outcome(NULL, &xid, &outcome));
    t_rc(HF_EINVAL, hf_tm_get_stats(NULL, &stats));
    t_rc(HF_EINVAL, hf_rm_register(NULL, &config, &rm));
    t_rc(HF_EINVAL, hf_instance_open(NULL, &in));
    t_ok(hf_instance_close(NULL));
    t_rc(HF_EINVAL, hf_tx_begin(NULL, 0, &tx));
    t_rc(HF_EINVAL, hf_tx_enlist(NULL, NULL));
    t_rc(HF_EINVAL, hf_tx_delist(NULL, NULL));
    t_rc(HF_EINVAL, hf_tx_suspend(NULL));
    t_rc(HF_EINVAL, hf_tx_resume(NULL));
    t_rc(HF_EINVAL, hf_tx_set_rollback_only(NULL));
    t_rc(HF_EINVAL, hf_tx_xid(NULL, &xid));
    t_rc(HF_EINVAL, hf_tx_commit(NULL, NULL));
    t_rc(HF_EINVAL, hf_tx_rollback(NULL, NULL));

    world_start(w, 1);
    t_rc(HF_EINVAL, hf_rm_register(w->tm, NULL, &rm));
    t_rc(HF_EINVAL, hf_rm_register(w->tm, &config, NULL));
    t_rc(HF_EINVAL, hf_instance_open(w->rm[A], NULL));
    t_rc(HF_EINVAL, hf_tx_begin(w->tm, 0, NULL));
    assert_null(hf_tx_current(w->tm));
    t_rc(HF_EINVAL, hf_tm_get_stats(w->tm, NULL));
    t_rc(HF_EINVAL, hf_tm_outcome(w->tm, NULL, &outcome));
    world_begin(w, 1, &tx);
    t_ok(hf_tx_xid(tx, &xid));
    t_rc(HF_EINVAL, hf_tm_outcome(w->tm, &xid, NULL));
    t_rc(HF_EINVAL, hf_tx_enlist(tx, NULL));
    t_rc(HF_EINVAL, hf_tx_delist(tx, NULL));
    t_rc(HF_EINVAL, hf_tx_xid(tx, NULL));
    assert_null(rm);
    assert_null(in);
    t_ok(hf_tx_commit(tx, NULL));
}

static void size__that_is_not_ours_is_refused(void **state)
{
    struct world *w = *state;
    hf_tm_stats stats = {.size = sizeof(stats) + 8};
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    world_start(w, 1);
    t_rc(HF_EINVAL, hf_tm_get_stats(w->tm, &stats));
    stats.size = 0;
    t_rc(HF_EINVAL, hf_tm_get_stats(w->tm, &stats));
    world_begin(w, 1, &tx);
    r.size = 0;
    t_rc(HF_EINVAL, hf_tx_commit(tx, &r));
    r.size = sizeof(r) + 8;
    t_rc(HF_EINVAL, hf_tx_commit(tx, &r));
    t_rc(HF_EINVAL, hf_tx_rollback(tx, &r));
    world_expect("a.start"); /* nothing was done, and tx is not freed */
    r.size = sizeof(r);
    t_ok(hf_tx_commit(tx, &r));
    assert_int_equal(r.size, sizeof(r));
}

/* -- after fork -------------------------------------------------------------------------------- */

struct inherited {
    struct world *w;
    hf_tx *tx;
};

static void use_everything(void *arg)
{
    struct inherited *i = arg;
    struct world *w = i->w;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_sync sync = {NULL, NULL, NULL};
    hf_outcome outcome;
    hf_instance *in = NULL;
    uint32_t next;
    hf_rm *rm = NULL;
    hf_tx *tx = NULL;
    XID xid = fake_last_xid(A);

    config.name = "c";
    config.xa = fake_switch(C);
    must(hf_tm_start(w->tm, 0) == HF_EFORK);
    must(hf_tm_tick(w->tm, &next) == HF_EFORK);
    must(hf_tm_recover(w->tm, NULL) == HF_EFORK);
    must(hf_tm_outcome(w->tm, &xid, &outcome) == HF_EFORK);
    must(hf_tm_get_stats(w->tm, &stats) == HF_EFORK);
    must(hf_rm_register(w->tm, &config, &rm) == HF_EFORK);
    must(hf_instance_open(w->rm[A], &in) == HF_EFORK);
    must(hf_instance_close(w->in[B]) == HF_EFORK);
    must(hf_tx_begin(w->tm, 0, &tx) == HF_EFORK);
    must(hf_tx_current(w->tm) == NULL);
    must(hf_tx_enlist(i->tx, w->in[B]) == HF_EFORK);
    must(hf_tx_delist(i->tx, w->in[A]) == HF_EFORK);
    must(hf_tx_suspend(i->tx) == HF_EFORK);
    must(hf_tx_resume(i->tx) == HF_EFORK);
    must(hf_tx_set_rollback_only(i->tx) == HF_EFORK);
    must(hf_tx_xid(i->tx, &xid) == HF_EFORK);
    must(hf_tx_watch(i->tx, &sync) == HF_EFORK);
    must(hf_tx_commit(i->tx, NULL) == HF_EFORK);
    must(hf_tx_rollback(i->tx, NULL) == HF_EFORK);
    must(hf_tm_close(w->tm, 0, NULL) == HF_EFORK);
    must(hf_error_last()->code == HF_EFORK);
}

static void fork__leaves_everything_to_the_parent(void **state)
{
    struct inherited i = {.w = *state};

    world_start(i.w, 2);
    world_begin(i.w, 1, &i.tx);
    world_trace_clear();
    assert_int_equal(fake_child(use_everything, &i), 0);
    world_expect(""); /* no resource manager heard of it */
    t_ok(hf_tx_enlist(i.tx, i.w->in[B]));
    t_ok(hf_tx_commit(i.tx, NULL));
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}

static void open_another(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;

    w->tm = NULL; /* the parent's: not ours to close */
    snprintf(w->node, sizeof(w->node), "%s/childs", w->dir);
    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must_ok(hf_tx_commit(tx, NULL));
    must(hf_instance_close(w->in[A]) == HF_OK && hf_instance_close(w->in[B]) == HF_OK);
    must_ok(hf_tm_close(w->tm, 0, NULL));
}

/* A child may open a node of its own; what it inherited stays the parent's. */
static void fork__a_child_opens_a_node_of_its_own(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    assert_int_equal(fake_child(open_another, w), 0);
    assert_int_equal(fake_committed(A), 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A), 2);
}

static void work_in_the_same(void *arg)
{
    struct world *w = arg;
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_tm *parents = w->tm;
    hf_tx *tx = NULL;

    w->tm = NULL;
    must_ok(world_try_open(w));
    must(hf_tm_get_stats(w->tm, &stats) == HF_OK && stats.incarnation > 1);
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0)); /* the parent's transaction is alive: left alone */
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must_ok(hf_tx_commit(tx, NULL));
    must(hf_tm_close(parents, 0, NULL) == HF_EFORK); /* and drops no lock */
    must(hf_instance_close(w->in[A]) == HF_OK && hf_instance_close(w->in[B]) == HF_OK);
    must_ok(hf_tm_close(w->tm, 0, NULL));
}

/* The same one, too: as an incarnation of its own, beside the parent's, which has a transaction
   running. A second child, after the first has closed everything: the parent's
   lock is where it was. */
static void fork__a_child_opens_the_same_node(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fake_child(work_in_the_same, w), 0);
    assert_int_equal(fake_committed(A) + fake_committed(B), 4);
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(hf_tm_recover(w->tm, NULL));
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A) + fake_committed(B), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(before_start__nothing_begins),
        T(start__comes_once),
        T(close__before_start_is_good),
        T(instance__may_be_opened_before_start),
        T(register__after_start_is_good),
        T(closing__refuses_what_is_new),
        T(outcome__of_a_running_transaction_is_unknown),
        T(outcome__of_another_nodes_xid_is_refused),
        T(null__is_refused_everywhere),
        T(size__that_is_not_ours_is_refused),
        T(fork__leaves_everything_to_the_parent),
        T(fork__a_child_opens_a_node_of_its_own),
        T(fork__a_child_opens_the_same_node),
    };

    return cmocka_run_group_tests_name("tm.calls", tests, NULL, NULL);
}
