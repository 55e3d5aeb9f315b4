/*
 * What: what is bound to a thread: work outside of transactions ([XA] table 6-3, D3), and one rmid
 *       for all threads, each of which opens it for itself ([XA] 2.2, xa_open()).
 * How:  a resource manager that knows which thread has what open and counts the calls that [XA]
 *       does not allow there (support/bound_rm.h); a second thread that does one step after the
 *       other.
 */
#include "support/fake_rm.h"

#include "support/bound_rm.h"
#include "support/second_thread.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, world_teardown)

static int setup(void **state)
{
    bound_reset();
    return world_setup(state);
}

/* A bound one as "a", and an ordinary one as "b", of which the calling thread has an instance. */
static struct world *start(void **state, int kind, uint32_t one_rmid)
{
    struct world *w = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;

    world_open(w);
    config.name = "a";
    config.xa = bound_switch(kind);
    config.one_rmid = one_rmid;
    t_ok(hf_rm_register(w->tm, &config, &w->rm[A]));
    config.name = "b";
    config.xa = fake_switch(B);
    config.one_rmid = 0;
    t_ok(hf_rm_register(w->tm, &config, &w->rm[B]));
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 2);
    return w;
}

/* -- outside of transactions ------------------------------------------------------------------- */

static int work(void *arg)
{
    const struct world *w = arg;

    return bound_work(hf_instance_rmid(w->in[A]));
}

static int rest(void *arg)
{
    const struct world *w = arg;

    return bound_rest(hf_instance_rmid(w->in[A]));
}

static int begin_and_roll_back(void *arg)
{
    const struct world *w = arg;
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    return rc == HF_OK ? hf_tx_rollback(tx, NULL) : rc;
}

static void outside_for_another_thread__it_is_not_enlisted(void **state)
{
    struct world *w = start(state, BOUND_DYNAMIC, 0);
    struct second *other = second_start();
    hf_tx *tx;

    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_GOOD);
    assert_int_equal(second_do(other, work, w), TM_OK);
    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_OUTSIDE);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_rc(HF_EBUSY, hf_tx_enlist(tx, w->in[A])); /* its work would not be the transaction's */
    assert_int_equal(second_do(other, rest, w), TM_OK);
    t_ok(hf_tx_enlist(tx, w->in[A]));
    assert_int_equal(work(w), TM_OK);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(bound_seen().commits, 1);
    assert_int_equal(bound_seen().illegal, 0);
    second_end(other);
}

static void given_up__it_is_broken_and_can_be_closed(void **state)
{
    struct world *w = start(state, BOUND_DYNAMIC, 0);
    unsigned closes = bound_seen().closes;

    t_rc(HF_ESTATE, hf_instance_abandon(w->in[A]));
    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_GOOD);
    assert_int_equal(work(w), TM_OK);
    t_rc(HF_EBUSY, hf_instance_close(w->in[A]));
    t_rc(HF_EBUSY, begin_and_roll_back(w));
    t_ok(hf_instance_abandon(w->in[A]));
    t_rc(HF_ESTATE, hf_instance_abandon(w->in[A]));
    t_rc(HF_EINVAL, hf_instance_abandon(NULL));
    assert_int_equal(hf_instance_get_state(w->in[A]), HF_INSTANCE_BROKEN);
    assert_int_equal(rest(w), TMER_PROTO);
    t_ok(begin_and_roll_back(w));
    t_rc(HF_ERM, hf_instance_close(w->in[A])); /* the resource manager refuses, and it is gone */
    w->in[A] = NULL;
    assert_int_equal(bound_seen().closes, closes + 1);
}

static void given_up_by_another_thread__the_first_one_is_free_again(void **state)
{
    struct world *w = start(state, BOUND_DYNAMIC, 0);
    struct second *other = second_start();
    hf_instance *second;

    t_ok(hf_instance_open(w->rm[A], &second));
    assert_int_equal(second_do(other, work, w), TM_OK);
    t_rc(HF_EBUSY, second_do(other, begin_and_roll_back, w));
    t_ok(hf_instance_abandon(w->in[A]));
    t_ok(second_do(other, begin_and_roll_back, w));
    t_ok(hf_instance_close(w->in[A]));
    w->in[A] = second;
    assert_int_equal(second_do(other, work, w), TM_OK);
    t_rc(HF_EBUSY, second_do(other, begin_and_roll_back, w));
    assert_int_equal(second_do(other, rest, w), TM_OK);
    t_ok(second_do(other, begin_and_roll_back, w));
    second_end(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(outside_for_another_thread__it_is_not_enlisted),
        T(given_up__it_is_broken_and_can_be_closed),
        T(given_up_by_another_thread__the_first_one_is_free_again),
    };
    return cmocka_run_group_tests_name("tm.bound", tests, NULL, NULL);
}
