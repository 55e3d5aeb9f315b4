/*
 * What: a resource manager that hangs in a recovery pass keeps no other's branches from being
 *       settled: hf_tm_recover() with its name, beside the pass that hangs (recovery.c).
 * How:  a process ends after its decision, and leaves its three branches prepared, and two that
 *       nothing was decided of; then a pass, in a thread, hangs in a call to a, and another is
 *       asked for meanwhile. Let go, both have to end with nothing in doubt.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <sys/wait.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* -- hanging ----------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum fake_call in; /* a hangs in this call; FAKE_CALLS: in none */
    unsigned hanging;  /* threads in it */
} hang = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, FAKE_CALLS, 0};

static void hang_there(void *user, int rm, enum fake_call call)
{
    (void)user;
    (void)pthread_mutex_lock(&hang.lock);
    hang.hanging += rm == A && call == hang.in;
    (void)pthread_cond_broadcast(&hang.changed);
    while (rm == A && call == hang.in)
        (void)pthread_cond_wait(&hang.changed, &hang.lock);
    (void)pthread_mutex_unlock(&hang.lock);
}

struct asked {
    hf_tm *tm;
    hf_rm *only;
    pthread_t thread;
    int rc;
};

static void *run_pass(void *arg)
{
    struct asked *asked = arg;

    asked->rc = hf_tm_recover(asked->tm, asked->only);
    return NULL;
}

/* A pass that does not come further than this call to a. */
static void start_hanging(struct asked *asked, enum fake_call call)
{
    hang.in = call;
    hang.hanging = 0;
    fake_on_call(hang_there, NULL);
    assert_int_equal(pthread_create(&asked->thread, NULL, run_pass, asked), 0);
    (void)pthread_mutex_lock(&hang.lock);
    while (hang.hanging == 0)
        (void)pthread_cond_wait(&hang.changed, &hang.lock);
    (void)pthread_mutex_unlock(&hang.lock);
}

static void let_go(void)
{
    (void)pthread_mutex_lock(&hang.lock);
    hang.in = FAKE_CALLS;
    (void)pthread_cond_broadcast(&hang.changed);
    (void)pthread_mutex_unlock(&hang.lock);
}

static void expect_end(struct asked *asked)
{
    assert_int_equal(pthread_join(asked->thread, NULL), 0);
    t_ok(asked->rc);
}

/* -- what is left behind ----------------------------------------------------------------------- */

/* For a and b, of a transaction that was never decided. */
static XID *undecided(void)
{
    return fake_shared();
}

/* One transaction that is decided; before it, one that was not, to make XIDs like it. */
static void leave_behind(void *arg)
{
    struct world *w = arg;
    hf_tx *tx;

    must_ok(world_try_open(w));
    world_register(w, 3);
    must_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 3);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    for (int n = 0; n < 2; n++)
        must_ok(hf_tx_enlist(tx, w->in[n]));
    must_ok(hf_tx_rollback(tx, NULL));
    for (int n = 0; n < 2; n++)
        undecided()[n] = fake_last_xid(n);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    for (int n = 0; n < 3; n++)
        must_ok(hf_tx_enlist(tx, w->in[n]));
    fake_answer(A, FAKE_COMMIT, XAER_RMFAIL);
    fake_answer(B, FAKE_COMMIT, XAER_RMFAIL);
    fake_answer(C, FAKE_COMMIT, XAER_RMFAIL);
    must(hf_tx_commit(tx, NULL) == HF_OK);
    _exit(7);
}

/* In these a has the record of its transaction in hand, and its other branches wait with it. */
static bool holds_record(enum fake_call call)
{
    return call == FAKE_COMMIT || call == FAKE_PROBE;
}

static void expect_in_doubt(unsigned in_b, unsigned in_c)
{
    assert_int_equal(fake_in_doubt(B), in_b);
    assert_int_equal(fake_in_doubt(C), in_c);
}

/* A world with a branch owed its commit in each of a, b, c, and one to be rolled back in a and in
   b, whose pass at the start did not reach them. */
static struct world *left_behind(void **state, bool probes)
{
    struct world *w = world_again(state);
    XID xid;

    for (int n = 0; n < 3; n++)
        fake_offer(n, probes ? 1U << FAKE_PROBE : 0);
    assert_int_equal(fake_child(leave_behind, w), 7 << 8);
    for (int n = 0; n < 3; n++)
        fake_honest(n);
    for (int n = 0; n < 2; n++) {
        xid = world_xid(&undecided()[n], 0, 999);
        fake_put(n, &xid);
        fake_answer(n, FAKE_OPEN, XAER_RMERR);
    }
    fake_answer(C, FAKE_OPEN, XAER_RMERR);
    world_open(w);
    world_register(w, 3);
    t_ok(hf_tm_start(w->tm, 0));
    for (int n = 0; n < 3; n++)
        fake_honest(n);
    assert_int_equal(fake_in_doubt(A), 2);
    assert_int_equal(fake_in_doubt(B), 2);
    assert_int_equal(fake_in_doubt(C), 1);
    return w;
}

/* Two more passes at most, and nothing is left anywhere. */
static void expect_all_settled(struct world *w)
{
    t_ok(hf_tm_recover(w->tm, NULL));
    t_ok(hf_tm_recover(w->tm, NULL));
    assert_int_equal(world_stats(w).owed, 0);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(fake_in_doubt(n), 0);
        assert_int_equal(fake_committed(n), 1);
    }
    fake_on_call(NULL, NULL);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

/* -- the pass for all hangs -------------------------------------------------------------------- */

static const enum fake_call everywhere[] = {FAKE_OPEN,     FAKE_RECOVER, FAKE_COMMIT,
                                            FAKE_ROLLBACK, FAKE_PROBE,   FAKE_CLOSE};
enum { EVERYWHERE = sizeof(everywhere) / sizeof(everywhere[0]) };

static void hanging_pass__leaves_the_others_to_who_asks_by_name(void **state)
{
    for (unsigned i = 0; i < EVERYWHERE; i++) {
        struct world *w = left_behind(state, true);
        struct asked all = {.tm = w->tm};

        if (everywhere[i] == FAKE_PROBE) /* of a branch that was committed, and a lost the answer */
            fake_answer_effect(A, FAKE_COMMIT, 1, XAER_NOTA, FAKE_DONE);
        start_hanging(&all, everywhere[i]);
        t_ok(hf_tm_recover(w->tm, w->rm[B]));
        t_ok(hf_tm_recover(w->tm, w->rm[C]));
        if (everywhere[i] == FAKE_PROBE) /* which comes after the commits of b and c */
            expect_in_doubt(0, 0);
        else
            expect_in_doubt(holds_record(everywhere[i]), holds_record(everywhere[i]));
        let_go();
        expect_end(&all);
        expect_all_settled(w);
    }
}

/* Only the call that hangs keeps a resource manager: behind it waits who asks for the same one. */
static void hanging_call__is_waited_for_by_who_asks_for_the_same(void **state)
{
    struct world *w = left_behind(state, true);
    struct asked all = {.tm = w->tm}, same = {.tm = w->tm, .only = w->rm[A]};

    start_hanging(&all, FAKE_RECOVER);
    assert_int_equal(pthread_create(&same.thread, NULL, run_pass, &same), 0);
    t_ok(hf_tm_recover(w->tm, w->rm[B]));
    assert_int_equal(hang.hanging, 1);
    let_go();
    expect_end(&all);
    expect_end(&same);
    expect_all_settled(w);
}

/* -- a pass by name hangs ---------------------------------------------------------------------- */

static void pass_for_all__goes_on_beside_one_that_hangs_by_name(void **state)
{
    for (unsigned i = 0; i < EVERYWHERE; i++) {
        struct world *w = left_behind(state, true);
        struct asked one = {.tm = w->tm, .only = w->rm[A]};
        unsigned left = 7;

        if (everywhere[i] == FAKE_PROBE)
            fake_answer_effect(A, FAKE_COMMIT, 1, XAER_NOTA, FAKE_DONE);
        start_hanging(&one, everywhere[i]);
        t_ok(hf_tm_recover(w->tm, NULL));
        assert_int_equal(hang.hanging, 1);
        expect_in_doubt(holds_record(everywhere[i]), holds_record(everywhere[i]));
        if (i + 1 == EVERYWHERE) {
            t_rc(HF_EBUSY, hf_tm_close(w->tm, 0, &left));
            assert_int_equal(left, 0); /* nothing of the host's: it is the pass */
            let_go();
            expect_end(&one);
            t_ok(hf_tm_close(w->tm, 1000, &left));
            world_start(w, 3);
        } else {
            let_go();
            expect_end(&one);
        }
        expect_all_settled(w);
    }
}

/* -- one record, two passes -------------------------------------------------------------------- */

/* Each has told one branch: what either has heard is written, for nobody can ask again. */
static void passes__that_meet_in_a_record_lose_no_answer(void **state)
{
    struct world *w = left_behind(state, false);
    struct asked one = {.tm = w->tm, .only = w->rm[A]};

    start_hanging(&one, FAKE_COMMIT);
    t_ok(hf_tm_recover(w->tm, w->rm[B]));
    let_go();
    expect_end(&one);
    expect_all_settled(w);
}

/* b and c have acknowledged, and the pass that knows of it hangs in a, in a later call. */
static void finished__by_a_pass_that_hangs_is_not_asked_for_again(void **state)
{
    struct world *w = left_behind(state, false);
    struct asked all = {.tm = w->tm};

    fake_answer(A, FAKE_OPEN, XAER_RMERR);
    t_ok(hf_tm_recover(w->tm, w->rm[B]));
    fake_answer(A, FAKE_OPEN, XA_OK);
    start_hanging(&all, FAKE_CLOSE); /* what is finished is released by then */
    t_ok(hf_tm_recover(w->tm, w->rm[C]));
    t_ok(hf_tm_recover(w->tm, w->rm[B]));
    assert_int_equal(world_stats(w).unconfirmed, 0);
    let_go();
    expect_end(&all);
    expect_all_settled(w);
}

/* -- all at once ------------------------------------------------------------------------------- */

enum { CROWD = 100 };

static void *ask_again_and_again(void *arg)
{
    struct asked *asked = arg;

    for (int i = 0; i < 20 && asked->rc == HF_OK; i++)
        asked->rc = hf_tm_recover(asked->tm, asked->only);
    return NULL;
}

/* Every branch is told, and told once: a second time would be XAER_NOTA, and no rollback. */
static void passes__at_once_settle_each_branch_once(void **state)
{
    struct world *w = left_behind(state, true);
    struct asked asked[5] = {{.tm = w->tm}, {.tm = w->tm}};
    XID xid;

    for (unsigned i = 0; i < CROWD; i++)
        for (int n = 0; n < 2; n++) {
            xid = world_xid(&undecided()[n], 0, 1000 + i);
            fake_put(n, &xid);
        }
    for (int n = 0; n < 5; n++) {
        asked[n].only = n < 3 ? w->rm[n] : NULL;
        asked[n].tm = w->tm;
        assert_int_equal(pthread_create(&asked[n].thread, NULL, ask_again_and_again, &asked[n]), 0);
    }
    for (int n = 0; n < 5; n++)
        expect_end(&asked[n]);
    for (int n = 0; n < 2; n++) {
        assert_int_equal(fake_rolled_back(n), CROWD + 2);
        assert_int_equal(fake_calls(n, FAKE_ROLLBACK), CROWD + 2);
    }
    expect_all_settled(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(hanging_pass__leaves_the_others_to_who_asks_by_name),
        T(hanging_call__is_waited_for_by_who_asks_for_the_same),
        T(pass_for_all__goes_on_beside_one_that_hangs_by_name),
        T(passes__that_meet_in_a_record_lose_no_answer),
        T(finished__by_a_pass_that_hangs_is_not_asked_for_again),
        T(passes__at_once_settle_each_branch_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
