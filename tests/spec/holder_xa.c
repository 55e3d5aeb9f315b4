/*
 * What: instances of resource managers as resources (hf_holder_open_xa): alloc, work, free, commit.
 * How:  scripted resource managers; the calls that they get, and no others, are the measure.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

static int reset_rc, validate_rc, clean_rc, resets, validates, cleans, hook_rmid;

static int hook_reset(void *user, int rmid)
{
    assert_ptr_equal(user, &resets);
    hook_rmid = rmid;
    resets++;
    return reset_rc;
}

static int hook_validate(void *user, int rmid, uint32_t timeout_ms)
{
    assert_ptr_equal(user, &resets);
    assert_int_equal(timeout_ms, 5000);
    hook_rmid = rmid;
    validates++;
    return validate_rc;
}

static int hook_clean(void *user, int rmid)
{
    assert_ptr_equal(user, &resets);
    hook_rmid = rmid;
    cleans++;
    return clean_rc;
}

/* A manager, and a holder for all resource managers of the world. */
static void open_xa(struct pool *p, int count, bool hooks)
{
    hf_xa_hooks h = {sizeof(h), hook_reset, hook_validate, &resets, 0, hook_clean};

    reset_rc = validate_rc = clean_rc = resets = validates = cleans = 0;
    if (p->w->tm == NULL)
        world_start(p->w, count);
    p->manager.tm = p->w->tm;
    t_ok(hf_manager_open(&p->manager, &p->m));
    t_ok(hf_holder_open_xa(p->m, hooks ? &h : NULL, &p->config, &p->h));
    memset(&h, 0xff, sizeof(h)); /* it is copied */
    world_trace_clear();
}

static hf_resid get(struct pool *p, int rm)
{
    hf_resid id = 0;

    t_ok(hf_holder_alloc(p->h, hf_xa_type(p->w->rm[rm]), &id));
    assert_int_not_equal(id, 0);
    return id;
}

static void put(struct pool *p, hf_resid id)
{
    t_ok(hf_holder_free(p->h, id));
}

/* -- alloc, work, free, commit ----------------------------------------------------------------- */

static void xa__alloc_work_free_commit(void **state)
{
    struct pool *p = *state;
    hf_instance *in;
    hf_resid id;
    hf_tx *tx;

    open_xa(p, 1, false);
    tx = pool_begin(p);
    id = get(p, A);
    in = hf_holder_instance(p->h, id);
    assert_non_null(in);
    assert_ptr_equal(hf_instance_rm(in), p->w->rm[A]);
    assert_true(hf_instance_rmid(in) >= 0);
    put(p, id);
    assert_null(hf_holder_instance(p->h, id)); /* it is not in use any more */
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.open a.start a.end a.commit(one)");
    assert_int_equal(fake_committed(A), 1);
    assert_int_equal(pool_stats(p).idle, 1);
}

static void xa__two_resource_managers(void **state)
{
    struct pool *p = *state;
    hf_resid a, b;
    hf_tx *tx;

    open_xa(p, 2, false);
    for (int n = 0; n < 2; n++) {
        tx = pool_begin(p);
        a = get(p, A);
        b = get(p, B);
        assert_ptr_equal(hf_instance_rm(hf_holder_instance(p->h, a)), p->w->rm[A]);
        assert_ptr_equal(hf_instance_rm(hf_holder_instance(p->h, b)), p->w->rm[B]);
        put(p, a);
        put(p, b);
        t_ok(hf_tx_commit(tx, NULL));
        if (n == 0)
            world_expect("a.open a.start b.open b.start a.end b.end a.prepare b.prepare" LOG
                         " a.commit b.commit");
        else /* the same two again */
            world_expect("a.start b.start a.end b.end a.prepare b.prepare" LOG
                         " a.commit b.commit");
    }
    assert_int_equal(pool_stats(p).idle, 2);
    assert_int_equal(pool_stats(p).created, 2);
}

static void xa__reuse_in_the_same_transaction_makes_no_xa_call(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    open_xa(p, 1, false);
    tx = pool_begin(p);
    id = get(p, A);
    put(p, id);
    world_trace_clear();
    for (int n = 0; n < 3; n++) {
        assert_int_equal(get(p, A), id);
        put(p, id);
    }
    world_expect("");
    assert_int_equal(pool_stats(p).reused_enlisted, 3);
    t_ok(hf_tx_rollback(tx, NULL));
    world_expect("a.end(fail) a.rollback");
}

static void xa__two_at_once_are_two_branches(void **state)
{
    struct pool *p = *state;
    hf_resid one, two;
    hf_tx *tx;

    open_xa(p, 1, false);
    tx = pool_begin(p);
    one = get(p, A);
    two = get(p, A);
    assert_int_not_equal(one, two);
    assert_ptr_not_equal(hf_holder_instance(p->h, one), hf_holder_instance(p->h, two));
    put(p, one);
    put(p, two);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_calls(A, FAKE_PREPARE), 2);
    assert_int_equal(fake_committed(A), 2);
}

static void xa__outside_a_transaction_there_is_no_branch(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    open_xa(p, 1, false);
    id = get(p, A);
    assert_non_null(hf_holder_instance(p->h, id));
    put(p, id);
    world_expect("a.open");
    tx = pool_begin(p);
    put(p, get(p, A));
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.start a.end a.commit(one)");
    assert_int_equal(get(p, A), id); /* without one again */
    put(p, id);
    world_expect("");
}

static void xa__in_use_at_commit_and_freed_later(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    open_xa(p, 1, false);
    tx = pool_begin(p);
    id = get(p, A);
    t_ok(hf_tx_commit(tx, NULL));
    assert_non_null(hf_holder_instance(p->h, id));
    assert_int_equal(pool_stats(p).used, 1);
    put(p, id);
    assert_int_equal(pool_stats(p).idle, 1);
    world_expect("a.open a.start a.end a.commit(one)");
}

static void xa__a_thread_bound_instance_is_ended_and_joined(void **state)
{
    struct pool *p = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_resid id;
    hf_tx *tx;

    world_open(p->w);
    config.name = "a";
    config.xa = fake_switch(A);
    config.thread_bound = 1;
    t_ok(hf_rm_register(p->w->tm, &config, &p->w->rm[A]));
    t_ok(hf_tm_start(p->w->tm, 0));
    open_xa(p, 1, false);
    tx = pool_begin(p);
    id = get(p, A);
    put(p, id);
    assert_int_equal(get(p, A), id);
    put(p, id);
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.open a.start a.end a.start(join) a.end a.commit(one)");
}

/* -- threads ----------------------------------------------------------------------------------- */

struct worker {
    struct pool *p;
    hf_tx *tx;
    hf_resid id;
    atomic_int stage;
};

static void until(atomic_int *stage, int wanted)
{
    for (int n = 0; n < 30000 && atomic_load(stage) < wanted; n++)
        sleep_ms(1);
}

static int ten_transactions(void *arg)
{
    struct pool *p = arg;
    int rc = HF_OK;

    for (int n = 0; n < 10 && rc == HF_OK; n++) {
        hf_resid id = 0;
        hf_tx *tx = NULL;

        rc = hf_tx_begin(p->w->tm, 0, &tx);
        if (rc == HF_OK)
            rc = hf_holder_alloc(p->h, hf_xa_type(p->w->rm[A]), &id);
        if (rc == HF_OK)
            rc = hf_holder_free(p->h, id);
        if (rc == HF_OK)
            rc = hf_tx_commit(tx, NULL);
    }
    return rc;
}

static void xa__two_threads(void **state)
{
    struct pool *p = *state;
    struct job jobs[2];

    open_xa(p, 1, false);
    for (int n = 0; n < 2; n++)
        job_start(&jobs[n], ten_transactions, p);
    for (int n = 0; n < 2; n++)
        assert_int_equal(job_end(&jobs[n]), HF_OK);
    assert_int_equal(fake_committed(A), 20);
    assert_in_range(pool_stats(p).created, 1, 2);
    assert_int_equal(pool_stats(p).idle, pool_stats(p).created);
}

/* Resume, allocate, suspend; free when it is told to. */
static int keep_one(void *arg)
{
    struct worker *w = arg;
    int rc = hf_tx_resume(w->tx);

    if (rc == HF_OK)
        rc = hf_holder_alloc(w->p->h, hf_xa_type(w->p->w->rm[A]), &w->id);
    if (hf_tx_suspend(w->tx) != HF_OK)
        rc = -1;
    atomic_store(&w->stage, 1);
    until(&w->stage, 2);
    if (rc == HF_OK)
        rc = hf_holder_free(w->p->h, w->id);
    return rc;
}

static void xa__commit_while_another_thread_has_one_in_use_is_HF_EBUSY(void **state)
{
    struct pool *p = *state;
    struct worker w = {.p = p};
    struct job job;

    fake_migrates(A);
    open_xa(p, 1, false);
    w.tx = pool_begin(p);
    t_ok(hf_tx_suspend(w.tx));
    job_start(&job, keep_one, &w);
    until(&w.stage, 1);
    t_ok(hf_tx_resume(w.tx));
    t_rc(HF_EBUSY, hf_tx_commit(w.tx, NULL));
    atomic_store(&w.stage, 2);
    assert_int_equal(job_end(&job), HF_OK);
    t_ok(hf_tx_commit(w.tx, NULL));
    world_expect("a.open a.start a.end a.commit(one)");
    assert_int_equal(pool_stats(p).idle, 1);
}

static int use_and_suspend(void *arg)
{
    struct worker *w = arg;
    int rc = hf_tx_resume(w->tx);

    if (rc == HF_OK)
        rc = hf_holder_alloc(w->p->h, hf_xa_type(w->p->w->rm[A]), &w->id);
    if (rc == HF_OK)
        rc = hf_holder_free(w->p->h, w->id);
    return hf_tx_suspend(w->tx) == HF_OK ? rc : -1;
}

static void xa__hand_over_to_another_thread_makes_no_xa_call(void **state)
{
    struct pool *p = *state;
    struct worker w = {.p = p};
    struct job job;
    hf_resid id;

    open_xa(p, 1, false);
    w.tx = pool_begin(p);
    id = get(p, A);
    put(p, id);
    t_ok(hf_tx_suspend(w.tx));
    job_start(&job, use_and_suspend, &w);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(w.id, id);
    t_ok(hf_tx_resume(w.tx));
    assert_int_equal(get(p, A), id);
    put(p, id);
    t_ok(hf_tx_commit(w.tx, NULL));
    world_expect("a.open a.start a.end a.commit(one)");
}

static int free_it(void *arg)
{
    struct worker *w = arg;

    return hf_holder_free(w->p->h, w->id);
}

/* A third thread may free it; the owner's next allocation, or its commit, does what is left. */
static void xa__freed_by_any_thread(void **state)
{
    struct pool *p = *state;
    struct worker w = {.p = p};
    struct job job;

    open_xa(p, 1, false);
    w.tx = pool_begin(p);
    w.id = get(p, A);
    job_start(&job, free_it, &w);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(get(p, A), w.id);
    job_start(&job, free_it, &w);
    assert_int_equal(job_end(&job), HF_OK);
    t_ok(hf_tx_commit(w.tx, NULL));
    world_expect("a.open a.start a.end a.commit(one)");
    assert_int_equal(pool_stats(p).idle, 1);
}

/* -- failures ---------------------------------------------------------------------------------- */

static void xa__an_open_that_fails_is_HF_EDRIVER(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;

    open_xa(p, 1, false);
    fake_answer_once(A, FAKE_OPEN, 1, XAER_RMERR);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, hf_xa_type(p->w->rm[A]), &id));
    assert_int_not_equal(hf_error_last()->native_code, 0);
    assert_int_equal(id, 99);
    put(p, get(p, A));
    assert_int_equal(pool_stats(p).failed_create, 1);
}

static void xa__a_broken_instance_is_not_pooled(void **state)
{
    static const enum fake_call calls[] = {FAKE_START, FAKE_END, FAKE_COMMIT};
    struct pool *p = *state;

    for (unsigned n = 0; n < 3; n++) {
        hf_resid id = 0;
        hf_tx *tx;
        int rc;

        open_xa(p, 1, false);
        put(p, get(p, A));
        tx = pool_begin(p);
        fake_answer_once(A, calls[n], 1, XAER_RMFAIL);
        rc = hf_holder_alloc(p->h, hf_xa_type(p->w->rm[A]), &id);
        if (calls[n] == FAKE_START)
            assert_int_equal(rc, HF_EDRIVER);
        else
            put(p, id);
        rc = hf_tx_commit(tx, NULL); /* whatever it is, the transaction is over */
        assert_null(hf_tx_current(p->w->tm));
        assert_true((rc == HF_OK) == (calls[n] == FAKE_START));
        assert_int_equal(pool_stats(p).idle, 0);
        assert_int_equal(pool_stats(p).used + pool_stats(p).idle_enlisted, 0);
        assert_int_equal(pool_stats(p).destroyed, 1);
        put(p, get(p, A));
        assert_int_equal(pool_stats(p).created, 2);
        t_ok(hf_manager_close(p->m, 0, NULL));
        p->m = NULL;
    }
}

static void xa__broken_while_in_use_it_goes_when_it_is_freed(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    open_xa(p, 1, false);
    tx = pool_begin(p);
    id = get(p, A);
    fake_answer_once(A, FAKE_END, 1, XAER_RMFAIL);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    assert_int_equal(hf_instance_broken(hf_holder_instance(p->h, id)), 1);
    put(p, id);
    assert_int_equal(pool_stats(p).idle, 0);
    assert_int_equal(pool_stats(p).destroyed, 1);
}

/* "XAER_OUTSIDE, XAER_PROTO, XA_RB*: the resource is healthy, the transaction was refused." */
static void xa__a_refused_enlistment_is_HF_EENLIST_and_the_instance_stays(void **state)
{
    static const int codes[] = {XAER_OUTSIDE, XAER_PROTO, XA_RBROLLBACK, XA_RBDEADLOCK, XA_RBOTHER};
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    open_xa(p, 1, false);
    for (unsigned n = 0; n < sizeof(codes) / sizeof(*codes); n++) {
        tx = pool_begin(p);
        fake_answer_once(A, FAKE_START, 1, codes[n]);
        t_rc(HF_EENLIST, hf_holder_alloc(p->h, hf_xa_type(p->w->rm[A]), &id));
        assert_int_equal(id, 99);
        assert_int_equal(pool_stats(p).idle, 1);
        t_ok(hf_tx_rollback(tx, NULL));
    }
    tx = pool_begin(p);
    put(p, get(p, A));
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.open a.start a.start a.start a.start a.start a.start a.end a.commit(one)");
}

/* A native code beside XA's does not hide that the transaction alone was refused. */
static void xa__a_native_code_makes_no_difference(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    fake_offer(A, 1U << FAKE_ERROR);
    open_xa(p, 1, false);
    tx = pool_begin(p);
    fake_answer_once(A, FAKE_START, 1, XA_RBROLLBACK);
    fake_error(A, 4242, "the transaction was rolled back");
    t_rc(HF_EENLIST, hf_holder_alloc(p->h, hf_xa_type(p->w->rm[A]), &id));
    assert_int_equal(pool_stats(p).idle, 1);
    t_ok(hf_tx_rollback(tx, NULL));
}

/* "XAER_RMFAIL, XAER_RMERR: other failure, destroy." */
static void xa__an_enlistment_that_fails_is_HF_EDRIVER_and_the_instance_goes(void **state)
{
    static const int codes[] = {XAER_RMERR, XAER_RMFAIL};
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    open_xa(p, 1, false);
    for (unsigned n = 0; n < 2; n++) {
        tx = pool_begin(p);
        fake_answer_once(A, FAKE_START, 1, codes[n]);
        t_rc(HF_EDRIVER, hf_holder_alloc(p->h, hf_xa_type(p->w->rm[A]), &id));
        assert_int_equal(id, 99);
        assert_int_equal(pool_stats(p).idle, 0);
        assert_int_equal(pool_stats(p).destroyed, n + 1);
        t_ok(hf_tx_rollback(tx, NULL));
    }
}

static void xa__rollback_only_is_HF_EROLLEDBACK_without_a_call(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    open_xa(p, 1, false);
    tx = pool_begin(p);
    t_ok(hf_tx_set_rollback_only(tx));
    t_rc(HF_EROLLEDBACK, hf_holder_alloc(p->h, hf_xa_type(p->w->rm[A]), &id));
    world_expect("");
    assert_int_equal(id, 99);
    t_ok(hf_tx_rollback(tx, NULL));
}

static void xa__requested_to_be_destroyed_it_is_closed_after_its_transaction(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    open_xa(p, 1, false);
    tx = pool_begin(p);
    id = get(p, A);
    t_ok(hf_holder_request_destroy(p->h, id));
    world_expect("a.open a.start");
    t_ok(hf_tx_commit(tx, NULL));
    world_expect("a.end a.commit(one) a.close");
}

/* -- hooks, arguments -------------------------------------------------------------------------- */

static void xa__hooks_reset_validate_and_clean(void **state)
{
    struct pool *p = *state;
    hf_resid id, other;
    int rmid;
    hf_tx *tx;

    open_xa(p, 1, true);
    tx = pool_begin(p);
    id = get(p, A);
    rmid = hf_instance_rmid(hf_holder_instance(p->h, id));
    put(p, id);
    assert_int_equal(resets, 1);
    assert_int_equal(hook_rmid, rmid);
    put(p, get(p, A));
    assert_int_equal(validates, 0); /* not within a branch */
    assert_int_equal(cleans, 0);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(cleans, 1);
    put(p, get(p, A));
    assert_int_equal(validates, 1);
    validate_rc = -5;
    other = get(p, A); /* not alive: another one */
    assert_int_equal(pool_stats(p).invalid, 1);
    assert_int_equal(pool_stats(p).created, 2);
    reset_rc = -5;
    t_rc(HF_EDRIVER, hf_holder_free(p->h, other));
    assert_int_equal(pool_stats(p).idle, 0);
    assert_int_equal(pool_stats(p).destroyed, 2);
    assert_int_equal(cleans, 2);
    validate_rc = reset_rc = 0;
    clean_rc = -5;
    put(p, get(p, A));
    assert_int_equal(cleans, 3);
    assert_int_equal(pool_stats(p).idle, 0);
    assert_int_equal(pool_stats(p).destroyed, 3);
}

static void xa__an_idle_limit_for_its_instances(void **state)
{
    struct pool *p = *state;
    hf_xa_hooks h = {.size = sizeof(h), .idle_s = 1};
    uint64_t end = now_ms() + 30 * 1000;

    open_xa(p, 1, false);
    t_ok(hf_holder_open_xa(p->m, &h, &p->config, &p->h));
    put(p, get(p, A));
    while (pool_stats(p).destroyed == 0 && now_ms() < end) {
        t_ok(hf_holder_sweep(p->h));
        sleep_ms(10);
    }
    assert_int_equal(pool_stats(p).expired_idle, 1);
    world_expect("a.open a.close");
}

static void xa__bad_arguments(void **state)
{
    struct pool *p = *state;
    hf_xa_hooks hooks = {.size = 3};
    hf_manager *plain = NULL;
    hf_holder *h = NULL;
    hf_resid id = 99;

    open_xa(p, 1, false);
    t_rc(HF_EINVAL, hf_holder_open_xa(NULL, NULL, NULL, &h));
    t_rc(HF_EINVAL, hf_holder_open_xa(p->m, NULL, NULL, NULL));
    t_rc(HF_EINVAL, hf_holder_open_xa(p->m, &hooks, NULL, &h));
    p->manager.tm = NULL;
    t_ok(hf_manager_open(&p->manager, &plain));
    t_rc(HF_EINVAL, hf_holder_open_xa(plain, NULL, NULL, &h));
    t_ok(hf_manager_close(plain, 0, NULL));
    assert_null(h);
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 0, &id));
    assert_null(hf_holder_instance(p->h, 0));
    assert_null(hf_holder_instance(p->h, 12345));
    assert_null(hf_holder_instance(NULL, 1));
}

static void xa__close_closes_every_instance(void **state)
{
    struct pool *p = *state;
    hf_resid one, two;
    unsigned open;

    open_xa(p, 1, false);
    open = fake_open_rmids(A);
    one = get(p, A);
    two = get(p, A);
    put(p, one);
    put(p, two);
    assert_int_equal(fake_open_rmids(A), open + 2);
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    assert_int_equal(fake_open_rmids(A), open);
}

/* The tm does not close what is enlisted, and so force detaches. */
static void xa__close_by_force_waits_for_the_transaction(void **state)
{
    struct pool *p = *state;
    hf_resid one, two;
    unsigned open;
    hf_tx *tx;

    open_xa(p, 1, false);
    open = fake_open_rmids(A);
    tx = pool_begin(p);
    one = get(p, A);
    two = get(p, A);
    put(p, one);
    t_ok(hf_holder_close(p->h, HF_CLOSE_FORCE, 0, NULL));
    assert_int_equal(fake_open_rmids(A), open + 2);
    put(p, two);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A), 2);
    assert_int_equal(fake_open_rmids(A), open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(xa__alloc_work_free_commit),
        T(xa__two_resource_managers),
        T(xa__reuse_in_the_same_transaction_makes_no_xa_call),
        T(xa__two_at_once_are_two_branches),
        T(xa__outside_a_transaction_there_is_no_branch),
        T(xa__in_use_at_commit_and_freed_later),
        T(xa__a_thread_bound_instance_is_ended_and_joined),
        T(xa__two_threads),
        T(xa__commit_while_another_thread_has_one_in_use_is_HF_EBUSY),
        T(xa__hand_over_to_another_thread_makes_no_xa_call),
        T(xa__freed_by_any_thread),
        T(xa__an_open_that_fails_is_HF_EDRIVER),
        T(xa__a_broken_instance_is_not_pooled),
        T(xa__broken_while_in_use_it_goes_when_it_is_freed),
        T(xa__a_refused_enlistment_is_HF_EENLIST_and_the_instance_stays),
        T(xa__a_native_code_makes_no_difference),
        T(xa__an_enlistment_that_fails_is_HF_EDRIVER_and_the_instance_goes),
        T(xa__rollback_only_is_HF_EROLLEDBACK_without_a_call),
        T(xa__requested_to_be_destroyed_it_is_closed_after_its_transaction),
        T(xa__hooks_reset_validate_and_clean),
        T(xa__an_idle_limit_for_its_instances),
        T(xa__bad_arguments),
        T(xa__close_closes_every_instance),
        T(xa__close_by_force_waits_for_the_transaction),
    };
    return cmocka_run_group_tests_name("holder.xa", tests, NULL, NULL);
}
