/*
 * What: who may do what: threads, the current transaction, instances in use, closing
 *       (transaction.h, tm.h).
 * How:  a second thread that makes one call and hands back its code; two nodes in one process.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <time.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* Run fn(arg) in a thread of its own, and return what it returns. */
static void *elsewhere(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    void *ret = NULL;

    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    assert_int_equal(pthread_join(thread, &ret), 0);
    return ret;
}

static int code(void *ret)
{
    return (int)(intptr_t)ret;
}

struct pair {
    struct world *w;
    hf_tx *tx;
};

static void *try_commit(void *arg)
{
    return (void *)(intptr_t)hf_tx_commit(((struct pair *)arg)->tx, NULL);
}

static void *try_rollback(void *arg)
{
    return (void *)(intptr_t)hf_tx_rollback(((struct pair *)arg)->tx, NULL);
}

static void *try_enlist(void *arg)
{
    return (void *)(intptr_t)hf_tx_enlist(((struct pair *)arg)->tx, ((struct pair *)arg)->w->in[B]);
}

static void *try_delist(void *arg)
{
    return (void *)(intptr_t)hf_tx_delist(((struct pair *)arg)->tx, ((struct pair *)arg)->w->in[A]);
}

static void *try_watch(void *arg)
{
    hf_sync sync = {NULL, NULL, NULL};

    return (void *)(intptr_t)hf_tx_watch(((struct pair *)arg)->tx, &sync);
}

static void *get_current(void *arg)
{
    return hf_tx_current(((struct pair *)arg)->w->tm);
}

static void *get_xid(void *arg)
{
    XID xid;

    return (void *)(intptr_t)hf_tx_xid(((struct pair *)arg)->tx, &xid);
}

static void another_thread__may_do_nothing_but_spoil(void **state)
{
    struct pair p = {.w = *state};

    world_start(p.w, 2);
    world_begin(p.w, 1, &p.tx);
    assert_int_equal(code(elsewhere(try_commit, &p)), HF_ETHREAD);
    assert_int_equal(code(elsewhere(try_rollback, &p)), HF_ETHREAD);
    assert_int_equal(code(elsewhere(try_enlist, &p)), HF_ETHREAD);
    assert_int_equal(code(elsewhere(try_delist, &p)), HF_ETHREAD);
    assert_int_equal(code(elsewhere(try_watch, &p)), HF_ETHREAD);
    assert_int_equal(code(elsewhere(get_xid, &p)), HF_OK);
    assert_null(elsewhere(get_current, &p));
    world_expect("a.start");
    t_ok(hf_tx_commit(p.tx, NULL));
}

static void *commit_one(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;

    if (hf_tx_begin(w->tm, 0, &tx) != HF_OK || hf_tx_current(w->tm) != tx ||
        hf_tx_enlist(tx, w->in[B]) != HF_OK)
        return (void *)(intptr_t)-1;
    return (void *)(intptr_t)hf_tx_commit(tx, NULL);
}

static void current__is_each_threads_own(void **state)
{
    struct world *w = *state;
    hf_tx *tx, *second = NULL;

    world_start(w, 2);
    assert_null(hf_tx_current(w->tm));
    world_begin(w, 1, &tx);
    assert_ptr_equal(hf_tx_current(w->tm), tx);
    t_rc(HF_ESTATE, hf_tx_begin(w->tm, 0, &second));
    assert_null(second);
    assert_int_equal(code(elsewhere(commit_one, w)), HF_OK);
    assert_ptr_equal(hf_tx_current(w->tm), tx);
    t_ok(hf_tx_commit(tx, NULL));
    assert_null(hf_tx_current(w->tm));
    assert_null(hf_tx_current(NULL));
}

static void current__is_each_nodes_own(void **state)
{
    struct world *w = *state;
    struct world other = {.dir = w->dir};
    hf_tx *one, *two;
    XID x, y;

    snprintf(other.node, sizeof(other.node), "%s/other", w->dir);
    world_start(w, 2);
    world_start(&other, 2);
    world_begin(w, 1, &one);
    assert_null(hf_tx_current(other.tm));
    world_begin(&other, 0, &two);
    assert_ptr_not_equal(one, two);
    assert_ptr_equal(hf_tx_current(w->tm), one);
    assert_ptr_equal(hf_tx_current(other.tm), two);
    t_ok(hf_tx_xid(one, &x));
    t_ok(hf_tx_xid(two, &y));
    assert_memory_not_equal(x.data, y.data, 16);
    t_rc(HF_EINVAL, hf_tx_enlist(two, w->in[B])); /* another node's instance */
    t_ok(hf_tx_enlist(two, other.in[B]));
    t_ok(hf_tx_commit(one, NULL));
    assert_ptr_equal(hf_tx_current(other.tm), two);
    t_ok(hf_tx_commit(two, NULL));
    world_close(&other);
}

static void *begin_with_a(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    if (rc == HF_OK)
        rc = hf_tx_enlist(tx, w->in[A]);
    if (tx != NULL && hf_tx_rollback(tx, NULL) != HF_OK)
        return NULL;
    return (void *)(intptr_t)rc;
}

static void instance__works_for_one_transaction_at_a_time(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 1, &tx);
    assert_int_equal(code(elsewhere(begin_with_a, w)), HF_EBUSY);
    t_rc(HF_EBUSY, hf_instance_close(w->in[A]));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(code(elsewhere(begin_with_a, w)), HF_OK);
}

/* For an ordinary one delist is nothing: the association ends with the completion. */
static void delist__of_an_ordinary_instance_is_no_call(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_delist(tx, w->in[A]));
    t_rc(HF_ENOTFOUND, hf_tx_delist(tx, w->in[B]));
    t_ok(hf_tx_enlist(tx, w->in[A]));
    t_ok(hf_tx_delist(tx, w->in[A]));
    t_rc(HF_EBUSY, hf_instance_close(w->in[A])); /* the branch stays in the transaction */
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.start a.end a.commit(one)");
}

static void register_bound(struct world *w)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;

    config.name = "a";
    config.xa = fake_switch(A);
    config.thread_bound = 1;
    world_open(w);
    t_ok(hf_rm_register(w->tm, &config, &w->rm[A]));
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 1);
    world_trace_clear();
}

static void delist__of_a_bound_instance_ends_its_association(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    register_bound(w);
    world_begin(w, 1, &tx);
    t_ok(hf_tx_delist(tx, w->in[A]));
    world_expect("a.start a.end");
    t_ok(hf_tx_enlist(tx, w->in[A]));
    t_ok(hf_tx_delist(tx, w->in[A]));
    world_expect("a.start(join) a.end");
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.commit(one)");
}

static void delist__that_fails_leaves_only_rollback(void **state)
{
    struct world *w = *state;
    hf_tx *tx;

    register_bound(w);
    fake_answer_once(A, FAKE_END, 1, XA_RBDEADLOCK);
    world_begin(w, 1, &tx);
    t_rc(HF_ERM, hf_tx_delist(tx, w->in[A]));
    t_rc(HF_EROLLEDBACK, hf_tx_enlist(tx, w->in[A]));
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    world_expect("a.start a.end a.rollback");
}

/* -- closing ----------------------------------------------------------------------------------- */

static void close__refuses_while_something_is_left(void **state)
{
    struct world *w = *state;
    unsigned left = 99;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_instance *more = NULL;
    hf_rm *rm = NULL;
    hf_tx *tx, *second = NULL;

    world_start(w, 2);
    world_begin(w, 1, &tx);
    t_rc(HF_EBUSY, hf_tm_close(w->tm, 0, &left));
    assert_int_equal(left, 3); /* one transaction, two instances */

    t_rc(HF_ESTATE, hf_tx_begin(w->tm, 0, &second)); /* refused from the first call on */
    t_rc(HF_ESTATE, hf_instance_open(w->rm[B], &more));
    config.name = "late";
    config.xa = fake_switch(C);
    t_rc(HF_ESTATE, hf_rm_register(w->tm, &config, &rm));
    t_rc(HF_ESTATE, hf_tm_start(w->tm, 0));

    t_ok(hf_tx_enlist(tx, w->in[B])); /* what has begun may go on to its end */
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    t_rc(HF_EBUSY, hf_tm_close(w->tm, 0, &left));
    assert_int_equal(left, 2);
    world_close(w);
    world_start(w, 2);
}

static void *finish_soon(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    if (rc == HF_OK)
        rc = hf_tx_enlist(tx, w->in[A]);
    pause_ms(100);
    if (tx != NULL && rc == HF_OK)
        rc = hf_tx_commit(tx, NULL);
    if (rc == HF_OK)
        rc = hf_instance_close(w->in[A]);
    return (void *)(intptr_t)rc;
}

static void close__waits_for_what_ends_in_time(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    void *ret = NULL;
    unsigned left = 99;

    world_start(w, 1);
    assert_int_equal(pthread_create(&thread, NULL, finish_soon, w), 0);
    while (world_stats(w).active == 0)
        pause_ms(1);
    pause_ms(20);
    t_ok(hf_tm_close(w->tm, 20000, &left));
    assert_int_equal(left, 0);
    w->tm = NULL;
    w->in[A] = NULL;
    assert_int_equal(pthread_join(thread, &ret), 0);
    assert_int_equal(code(ret), HF_OK);
    assert_int_equal(fake_committed(A), 1);
}

static void close__leaves_no_session_open(void **state)
{
    struct world *w = *state;

    world_start(w, 3);
    t_ok(hf_tm_recover(w->tm, NULL));
    world_close(w);
    for (int n = 0; n < 3; n++)
        assert_int_equal(fake_open_rmids(n), 0);
}

/* With a thread of ours nobody has to tick: what is owed is paid, and the close ends the thread. */
static void background__pays_what_is_owed(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_tx *tx;

    config.dir = w->node;
    config.background = 1;
    t_ok(hf_tm_open(&config, &w->tm));
    world_register(w, 2);
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    fake_answer_once(B, FAKE_COMMIT, 1, XA_RETRY);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    for (int i = 0; i < 1500 && fake_in_doubt(B) > 0; i++) /* bound: 15 s, and then it fails */
        pause_ms(10);
    assert_int_equal(fake_in_doubt(B), 0);
    for (int n = 0; n < 2; n++) {
        t_ok(hf_instance_close(w->in[n]));
        w->in[n] = NULL;
    }
    t_ok(hf_tm_close(w->tm, 20000, NULL)); /* a pass that is under way counts as something left */
    w->tm = NULL;
}

/* -- instances --------------------------------------------------------------------------------- */

static void instance_open__tells_why_it_was_refused(void **state)
{
    struct world *w = *state;
    hf_instance *in = NULL;

    fake_offer(B, 1u << FAKE_SETTINGS);
    fake_offer(C, 1u << FAKE_IDENTITY);
    world_start(w, 1);
    world_close(w);
    world_open(w);
    world_register(w, 3);
    t_ok(hf_tm_start(w->tm, 0));
    fake_answer_once(A, FAKE_OPEN, 1, XAER_RMERR);
    t_rc(HF_ERM, hf_instance_open(w->rm[A], &in));
    assert_int_equal(hf_error_last()->native_code, XAER_RMERR);
    fake_answer_once(B, FAKE_SETTINGS, 1, 1);
    t_rc(HF_ERM, hf_instance_open(w->rm[B], &in));
    assert_non_null(strstr(hf_error_last()->text, "durable=off; set it to on"));
    fake_answer_once(C, FAKE_IDENTITY, 1, 1);
    t_rc(HF_ERM, hf_instance_open(w->rm[C], &in));
    assert_null(in);
    assert_int_equal(fake_open_rmids(A) + fake_open_rmids(B) + fake_open_rmids(C), 0);
    world_instances(w, 3); /* and later they are good */
}

/* It opens, and has something to say: once. */
static void instance_open__tells_a_warning_of_the_settings_once(void **state)
{
    struct world *w = *state;

    fake_offer(B, 1u << FAKE_SETTINGS);
    fake_warn(B, true);
    world_start(w, 2);
    assert_non_null(strstr(w->told, "b: durable=mostly"));
    w->told[0] = '\0';
    t_ok(hf_instance_close(w->in[B]));
    t_ok(hf_instance_open(w->rm[B], &w->in[B]));
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_null(strstr(w->told, "durable"));
}

static void instance_open__notices_another_store_under_the_name(void **state)
{
    struct world *w = *state;
    hf_instance *in = NULL;

    fake_offer(A, 1u << FAKE_IDENTITY);
    world_start(w, 1);
    fake_identity(A, 2);
    t_rc(HF_EIDENTITY, hf_instance_open(w->rm[A], &in));
    assert_null(in);
    assert_int_equal(fake_open_rmids(A), 1);
    fake_identity(A, 1);
    t_ok(hf_instance_open(w->rm[A], &in));
    t_ok(hf_instance_close(in));
}

static void instance_close__tells_a_failure_and_is_gone_all_the_same(void **state)
{
    struct world *w = *state;

    world_start(w, 1);
    assert_string_equal(hf_rm_name(w->rm[A]), "a");
    assert_ptr_equal(hf_instance_rm(w->in[A]), w->rm[A]);
    fake_answer_once(A, FAKE_CLOSE, 1, XAER_RMERR);
    t_rc(HF_ERM, hf_instance_close(w->in[A]));
    w->in[A] = NULL;
    t_ok(hf_instance_close(NULL));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(another_thread__may_do_nothing_but_spoil),
        T(current__is_each_threads_own),
        T(current__is_each_nodes_own),
        T(instance__works_for_one_transaction_at_a_time),
        T(delist__of_an_ordinary_instance_is_no_call),
        T(delist__of_a_bound_instance_ends_its_association),
        T(delist__that_fails_leaves_only_rollback),
        T(close__refuses_while_something_is_left),
        T(close__waits_for_what_ends_in_time),
        T(close__leaves_no_session_open),
        T(background__pays_what_is_owed),
        T(instance_open__tells_why_it_was_refused),
        T(instance_open__tells_a_warning_of_the_settings_once),
        T(instance_open__notices_another_store_under_the_name),
        T(instance_close__tells_a_failure_and_is_gone_all_the_same),
    };

    return cmocka_run_group_tests_name("tm.thread", tests, NULL, NULL);
}
