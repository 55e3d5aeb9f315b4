/*
 * What: closing while a resource manager hangs, asking for recovery inside recovery, the order of
 *       phase two, the most branches.
 * How:  a scripted resource manager that waits in xa_recover until it is let go; a log callback
 *       that calls back; the trace. What used to wait for ever is ended by alarm().
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <stdatomic.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

enum { HANGS_S = 20, WAITS_MS = 50, IN_TIME_MS = 5000 };

static atomic_bool hanging, may_go;

static void hang_in_scan(void *user, int rm, enum fake_call call)
{
    (void)user;
    if (rm != A || call != FAKE_RECOVER)
        return;
    atomic_store(&hanging, true);
    while (!atomic_load(&may_go))
        (void)usleep(500);
}

static int pass_rc;

static void *run_pass(void *tm)
{
    pass_rc = hf_tm_recover(tm, NULL);
    return NULL;
}

static long ms_since(const struct timespec *from)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void close__returns_in_time_while_a_resource_manager_hangs(void **state)
{
    struct world *w = *state;
    struct timespec from;
    unsigned left = 7;
    pthread_t pass;

    world_open(w);
    world_register(w, 2);
    t_ok(hf_tm_start(w->tm, 0));
    atomic_store(&hanging, false);
    atomic_store(&may_go, false);
    fake_on_call(hang_in_scan, NULL);
    assert_int_equal(pthread_create(&pass, NULL, run_pass, w->tm), 0);
    while (!atomic_load(&hanging))
        (void)usleep(500);
    (void)alarm(HANGS_S);
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    t_rc(HF_EBUSY, hf_tm_close(w->tm, WAITS_MS, &left));
    assert_in_range(ms_since(&from), WAITS_MS / 2, IN_TIME_MS);
    assert_int_equal(left, 0); /* nothing that the host could end */
    atomic_store(&may_go, true);
    assert_int_equal(pthread_join(pass, NULL), 0);
    assert_int_equal(pass_rc, HF_OK);
    t_ok(hf_tm_close(w->tm, WAITS_MS, &left));
    assert_int_equal(left, 0);
    w->tm = NULL;
    (void)alarm(0);
}

/* -- recovery inside recovery ------------------------------------------------------------------ */

struct host {
    hf_tm *tm;
    unsigned asked;
    int rc;
};

static void recover_again(void *user, int level, const char *text)
{
    struct host *host = user;

    if (level != HF_LOG_WARNING || strstr(text, "cannot reach") == NULL)
        return;
    host->asked++;
    host->rc = hf_tm_recover(host->tm, NULL);
}

static void recover__is_refused_inside_a_pass(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_rm_config rm_config = HF_RM_CONFIG_INIT;
    struct host host = {.asked = 0};
    hf_rm *rm = NULL;

    config.dir = w->node;
    config.log = recover_again;
    config.user = &host;
    t_ok(hf_tm_open(&config, &host.tm));
    rm_config.name = "a";
    rm_config.xa = fake_switch(A);
    t_ok(hf_rm_register(host.tm, &rm_config, &rm));
    fake_answer(A, FAKE_OPEN, XAER_RMERR);
    (void)alarm(HANGS_S);
    t_ok(hf_tm_start(host.tm, 0));
    (void)alarm(0);
    assert_int_equal(host.asked, 1);
    assert_int_equal(host.rc, HF_ESTATE);
    t_ok(hf_tm_recover(host.tm, NULL)); /* outside it is good */
    t_ok(hf_tm_close(host.tm, 0, NULL));
}

/* -- ranks and limits -------------------------------------------------------------------------- */

static void phase_two__goes_lowest_rank_first(void **state)
{
    struct world *w = *state;
    static const int ranks[] = {30, 20, -10};
    static const char *const names[] = {"a", "b", "c"};
    hf_tx *tx;

    for (int end = 0; end < 2; end++) {
        w = world_again(state);
        world_open(w);
        for (int n = A; n <= C; n++) {
            hf_rm_config config = HF_RM_CONFIG_INIT;

            config.name = names[n];
            config.xa = fake_switch(n);
            config.rank = ranks[n];
            t_ok(hf_rm_register(w->tm, &config, &w->rm[n]));
        }
        t_ok(hf_tm_start(w->tm, 0));
        world_instances(w, 3);
        world_begin(w, 3, &tx);
        world_trace_clear();
        t_ok(end == 0 ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
        assert_non_null(strstr(world_trace(), end == 0 ? "c.commit b.commit a.commit"
                                                       : "c.rollback b.rollback a.rollback"));
    }
}

static void branch_1001__is_refused_and_the_thousand_commit(void **state)
{
    static hf_instance *many[1001];
    struct world *w = *state;
    hf_tx *tx;

    world_start(w, 1);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    for (int i = 0; i < 1001; i++) {
        t_ok(hf_instance_open(w->rm[A], &many[i]));
        t_rc(i < 1000 ? HF_OK : HF_ELIMIT, hf_tx_enlist(tx, many[i]));
    }
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(fake_committed(A), 1000);
    for (int i = 0; i < 1001; i++)
        t_ok(hf_instance_close(many[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(close__returns_in_time_while_a_resource_manager_hangs),
        T(recover__is_refused_inside_a_pass),
        T(phase_two__goes_lowest_rank_first),
        T(branch_1001__is_refused_and_the_thousand_commit),
    };

    return cmocka_run_group_tests_name("regress.calls", tests, NULL, NULL);
}
