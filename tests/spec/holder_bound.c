/*
 * What: instances as resources (hf_holder_open_xa) where threads matter: work outside of
 *       transactions, one rmid for all threads, and what is freed while it is being completed.
 * How:  a resource manager that knows which thread has what open (support/bound_rm.h), a second
 *       thread, and the holder's counters.
 */
#include "support/fake_driver.h"

#include "support/bound_rm.h"
#include "support/second_thread.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, pool_teardown)

static int setup(void **state)
{
    bound_reset();
    return pool_setup(state);
}

/* A holder of instances of the bound one, "a"; "b" is an ordinary one. */
static struct pool *start(void **state, int kind, uint32_t one_rmid, const hf_xa_hooks *hooks)
{
    struct pool *p = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;

    world_open(p->w);
    config.name = "a";
    config.xa = bound_switch(kind);
    config.one_rmid = one_rmid;
    t_ok(hf_rm_register(p->w->tm, &config, &p->w->rm[A]));
    config.name = "b";
    config.xa = fake_switch(B);
    config.one_rmid = 0;
    t_ok(hf_rm_register(p->w->tm, &config, &p->w->rm[B]));
    t_ok(hf_tm_start(p->w->tm, 0));
    p->manager.tm = p->w->tm;
    t_ok(hf_manager_open(&p->manager, &p->m));
    t_ok(hf_holder_open_xa(p->m, hooks, &p->config, &p->h));
    return p;
}

static hf_resid get(struct pool *p, int rm)
{
    hf_resid id = 0;

    t_ok(hf_holder_alloc(p->h, hf_xa_type(p->w->rm[rm]), &id));
    return id;
}

static int rmid_of(struct pool *p, hf_resid id)
{
    hf_instance *in = hf_holder_instance(p->h, id);

    assert_non_null(in);
    return hf_instance_rmid(in);
}

/* What the second thread is told to do. */
struct told {
    struct pool *p;
    hf_resid id;
    int rmid;
};

static int alloc_and_free(void *arg)
{
    struct told *j = arg;
    int rc = hf_holder_alloc(j->p->h, hf_xa_type(j->p->w->rm[A]), &j->id);

    return rc == HF_OK ? hf_holder_free(j->p->h, j->id) : rc;
}

static int work(void *arg)
{
    const struct told *j = arg;

    return bound_work(j->rmid);
}

/* -- work outside of transactions -------------------------------------------------------------- */

static void freed_while_it_works_outside__it_is_given_up(void **state)
{
    struct pool *p = start(state, BOUND_DYNAMIC, 0, NULL);
    hf_resid id = get(p, A);
    hf_tx *tx;

    assert_int_equal(bound_work(rmid_of(p, id)), TM_OK);
    t_rc(HF_EDRIVER, hf_holder_free(p->h, id));
    assert_int_equal(pool_stats(p).failed_reset, 1);
    assert_int_equal(pool_stats(p).idle, 0);
    assert_int_equal(pool_stats(p).destroyed, 1);
    tx = pool_begin(p); /* the thread is free of it */
    id = get(p, A);
    assert_int_equal(bound_work(rmid_of(p, id)), TM_OK);
    t_ok(hf_holder_free(p->h, id));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(bound_seen().commits, 1);
    assert_int_equal(pool_stats(p).idle, 1);
}

static int ends_it(void *user, int rmid)
{
    (void)user;
    return bound_rest(rmid);
}

static void reset_ends_what_was_outside__it_is_pooled(void **state)
{
    hf_xa_hooks hooks = {.size = sizeof(hooks), .reset = ends_it};
    struct pool *p = start(state, BOUND_DYNAMIC, 0, &hooks);
    hf_resid id = get(p, A);

    assert_int_equal(bound_work(rmid_of(p, id)), TM_OK);
    t_ok(hf_holder_free(p->h, id));
    assert_int_equal(pool_stats(p).idle, 1);
    assert_int_equal(get(p, A), id);
    assert_int_equal(bound_work(rmid_of(p, id)), TM_OK);
    t_ok(hf_holder_free(p->h, id));
    assert_int_equal(bound_seen().illegal, 0);
}

/* It registered after it was freed, in a thread that should not have had it any more. */
static void at_work_outside_for_a_thread__it_is_given_to_none(void **state)
{
    struct pool *p = start(state, BOUND_DYNAMIC, 0, NULL);
    struct second *other = second_start();
    struct told j = {.p = p};
    hf_resid id = get(p, A), other_id;
    hf_tx *tx;

    j.rmid = rmid_of(p, id);
    t_ok(hf_holder_free(p->h, id));
    assert_int_equal(second_do(other, work, &j), TM_OK);
    tx = pool_begin(p);
    other_id = get(p, A);
    assert_int_not_equal(other_id, id);
    t_ok(hf_holder_free(p->h, other_id));
    t_ok(hf_tx_rollback(tx, NULL));
    second_end(other);
    t_ok(hf_manager_close(p->m, 0, NULL)); /* it does not stay open for ever */
    p->m = NULL;
    t_ok(hf_tm_close(p->w->tm, 0, NULL));
    p->w->tm = NULL;
}

/* -- one rmid for all threads ------------------------------------------------------------------ */

static void one_rmid__each_thread_gets_its_own(void **state)
{
    struct pool *p = start(state, BOUND_STATIC, 1, NULL);
    struct second *other = second_start();
    struct told j = {.p = p};
    hf_resid theirs, mine;
    hf_tx *tx;

    t_ok(second_do(other, alloc_and_free, &j));
    theirs = j.id;
    tx = pool_begin(p);
    mine = get(p, A);
    assert_int_not_equal(mine, theirs);
    t_ok(hf_holder_free(p->h, mine));
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(second_do(other, alloc_and_free, &j));
    assert_int_equal(j.id, theirs);
    assert_int_equal(get(p, A), mine);
    t_ok(hf_holder_free(p->h, mine));
    assert_int_equal(pool_stats(p).created, 2);
    assert_int_equal(bound_seen().illegal, 0);
    second_end(other);
}

static int cleaned;

static int clean_it(void *user, int rmid)
{
    (void)user, (void)rmid;
    cleaned++;
    return HF_OK;
}

static int alloc_it(void *arg)
{
    struct told *j = arg;

    return hf_holder_alloc(j->p->h, hf_xa_type(j->p->w->rm[A]), &j->id);
}

static void one_rmid__is_cleaned_by_its_own_thread_or_closed(void **state)
{
    hf_xa_hooks hooks = {.size = sizeof(hooks), .clean = clean_it};
    struct pool *p = start(state, BOUND_STATIC, 1, &hooks);
    struct second *other = second_start();
    struct told j = {.p = p};

    cleaned = 0;
    t_ok(second_do(other, alloc_and_free, &j));
    assert_int_equal(cleaned, 1);
    assert_int_equal(pool_stats(p).idle, 1);
    t_ok(second_do(other, alloc_it, &j));
    t_ok(hf_holder_free(p->h, j.id)); /* the rmid means another connection here */
    assert_int_equal(cleaned, 1);
    assert_int_equal(pool_stats(p).idle, 0);
    assert_int_equal(pool_stats(p).destroyed, 1);
    assert_int_equal(bound_seen().illegal, 0);
    second_end(other);
}

/* -- freed while its transaction is being completed -------------------------------------------- */

static void freed_between_decide_and_finish__it_is_pooled(void **state)
{
    struct pool *p = start(state, BOUND_STATIC, 0, NULL);
    hf_tx *tx = pool_begin(p), *rest = NULL;
    hf_resid a = get(p, A), b = get(p, B);

    t_ok(hf_tx_decide(tx, NULL, &rest));
    assert_non_null(rest);
    t_ok(hf_holder_free(p->h, a));
    t_ok(hf_holder_free(p->h, b));
    t_ok(hf_tx_finish(rest, NULL));
    assert_int_equal(pool_stats(p).idle, 2);
    assert_int_equal(pool_stats(p).destroyed, 0);
    assert_int_equal(bound_seen().commits, 1);
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(get(p, A), a);
    t_ok(hf_holder_free(p->h, a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(freed_while_it_works_outside__it_is_given_up),
        T(reset_ends_what_was_outside__it_is_pooled),
        T(at_work_outside_for_a_thread__it_is_given_to_none),
        T(one_rmid__each_thread_gets_its_own),
        T(one_rmid__is_cleaned_by_its_own_thread_or_closed),
        T(freed_between_decide_and_finish__it_is_pooled),
    };
    return cmocka_run_group_tests_name("holder.bound", tests, NULL, NULL);
}
