/*
 * What: a recovery pass of our own process that is slower than one of its transactions: what the
 *       pass saw prepared, and what is over when it comes to judge, is not rolled back.
 * How:  the pass begins when branch a has prepared and b is about to. Foreign branches make its
 *       scan of a two calls long: the first lists ours, in the second it is held.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <stdatomic.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

enum { BATCH = 64 }; /* XIDs that a pass asks for at a time */

static atomic_int pass_is_held, pass_may_go;
static pthread_t pass_thread;
static int pass_rc;

static void *run_pass(void *tm)
{
    pass_rc = hf_tm_recover(tm, NULL);
    return NULL;
}

static void wait_for(atomic_int *flag)
{
    while (!atomic_load(flag))
        (void)usleep(500);
}

static void hold_a_pass(void *user, int rm, enum fake_call call)
{
    static atomic_int scan_calls;
    struct world *w = user;

    if (rm == B && call == FAKE_PREPARE && !atomic_load(&pass_is_held)) {
        XID foreign = {.formatID = 1, .gtrid_length = 1};

        for (int i = 1; i < BATCH; i++, foreign.data[0]++)
            fake_put(A, &foreign);
        atomic_store(&scan_calls, 0);
        must(pthread_create(&pass_thread, NULL, run_pass, w->tm) == 0);
        wait_for(&pass_is_held);
    } else if (rm == A && call == FAKE_RECOVER && atomic_fetch_add(&scan_calls, 1) == 1) {
        atomic_store(&pass_is_held, 1);
        wait_for(&pass_may_go);
    }
}

static void let_the_pass_go(void)
{
    atomic_store(&pass_may_go, 1);
    assert_int_equal(pthread_join(pass_thread, NULL), 0);
}

static void begin_held(struct world *w, hf_tx **ret_tx, XID *ret_xid)
{
    atomic_store(&pass_is_held, 0);
    atomic_store(&pass_may_go, 0);
    world_start(w, 2);
    world_begin(w, 2, ret_tx);
    t_ok(hf_tx_xid(*ret_tx, ret_xid));
    fake_on_call(hold_a_pass, w);
}

static void pass__with_a_stale_scan_rolls_back_nothing_that_has_committed(void **state)
{
    struct world *w = *state;
    hf_outcome outcome = HF_UNKNOWN;
    XID xid;
    hf_tx *tx;

    fake_answer(A, FAKE_ROLLBACK, XAER_RMERR);
    begin_held(w, &tx, &xid);
    t_ok(hf_tx_commit(tx, NULL));
    world_begin(w, 2, &tx); /* its decision drops the record of the first */
    t_ok(hf_tx_commit(tx, NULL));
    let_the_pass_go();
    assert_int_equal(pass_rc, HF_OK);
    assert_int_equal(fake_calls(A, FAKE_ROLLBACK), 0);
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
    if (hf_tm_outcome(w->tm, &xid, &outcome) == HF_OK)
        assert_int_equal(outcome, HF_COMMITTED);
}

#ifdef HF_FAULTS
static void pass__rolls_back_nothing_of_a_decision_that_became_unknown(void **state)
{
    struct world *w = *state;
    XID xid;
    hf_tx *tx;

    begin_held(w, &tx, &xid);
    fault_at("store:commit-fails", "fail", 1);
    t_rc(HF_EUNKNOWN, hf_tx_commit(tx, NULL));
    let_the_pass_go();
    assert_int_equal(fake_calls(A, FAKE_ROLLBACK) + fake_calls(B, FAKE_ROLLBACK), 0);
    assert_int_equal(fake_in_doubt(A), BATCH);
    assert_int_equal(fake_in_doubt(B), 1);
    assert_int_equal(world_outcome(w, &xid), HF_UNKNOWN);
    world_close(w);
    world_start(w, 2); /* it was not on the disk, and only now is that certain */
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), 2);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pass__with_a_stale_scan_rolls_back_nothing_that_has_committed),
#ifdef HF_FAULTS
        T(pass__rolls_back_nothing_of_a_decision_that_became_unknown),
#endif
    };

    return cmocka_run_group_tests_name("regress.pass", tests, NULL, NULL);
}
