/*
 * What: many at once: what an active transaction costs in memory, and that no lock of ours is held
 *       in a call to a resource manager.
 * How:  10,000 suspended transactions over a switch that does nothing, counted by malloc; sixteen
 *       threads that must all be in the same xa_ call before any of them may leave it.
 */
#include "support/fake_rm.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MALLOC_COUNTS 0 /* another malloc */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MALLOC_COUNTS 0
#endif
#endif
#ifndef MALLOC_COUNTS
#define MALLOC_COUNTS 1
#endif

enum { MANY = 10000, THREADS = 16, PREPARE_MS = 250 };

/* -- memory ------------------------------------------------------------------------------------ */

static int door(char *info, int rmid, long flags)
{
    (void)info;
    (void)rmid;
    (void)flags;
    return XA_OK;
}

static int branch(XID *xid, int rmid, long flags)
{
    (void)xid;
    (void)rmid;
    (void)flags;
    return XA_OK;
}

static int recover(XID *xids, long count, int rmid, long flags)
{
    (void)xids;
    (void)count;
    (void)rmid;
    (void)flags;
    return 0;
}

static int complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle;
    (void)ret;
    (void)rmid;
    (void)flags;
    return XAER_PROTO;
}

static const struct xa_switch_t nothing = {"nothing", TMNOFLAGS, 0,       door,   door,
                                           branch,    branch,    branch,  branch, branch,
                                           recover,   branch,    complete};

static size_t in_heap(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void active__costs_less_than_a_kibibyte(void **state)
{
    struct world *w = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_instance **in = calloc(2 * MANY, sizeof(hf_instance *));
    hf_tx **tx = calloc(MANY, sizeof(hf_tx *));
    size_t before, each;
    hf_rm *rm = NULL;

    assert_true(in != NULL && tx != NULL);
    config.name = "nothing";
    config.xa = &nothing;
    world_open(w);
    t_ok(hf_rm_register(w->tm, &config, &rm));
    t_ok(hf_tm_start(w->tm, 0));
    for (int i = 0; i < 2 * MANY; i++)
        t_ok(hf_instance_open(rm, &in[i]));
    before = in_heap();
    for (int i = 0; i < MANY; i++) {
        t_ok(hf_tx_begin(w->tm, 3600000, &tx[i]));
        t_ok(hf_tx_enlist(tx[i], in[2 * i]));
        t_ok(hf_tx_enlist(tx[i], in[2 * i + 1]));
        t_ok(hf_tx_suspend(tx[i]));
    }
    each = (in_heap() - before) / MANY;
    assert_int_equal(world_stats(w).active, MANY);
    for (int i = 0; i < MANY; i++) {
        t_ok(hf_tx_resume(tx[i]));
        t_ok(hf_tx_rollback(tx[i], NULL));
    }
    for (int i = 0; i < 2 * MANY; i++)
        t_ok(hf_instance_close(in[i]));
    free(in);
    free(tx);
    if (!MALLOC_COUNTS)
        skip();
    print_message("an active transaction with two branches: %zu bytes\n", each);
    assert_in_range(each, 100, 1023); /* below the lower one malloc was not counted */
}

/* -- locks ------------------------------------------------------------------------------------- */

/* In each kind of call, on each resource manager, all threads have to arrive before any goes on. */
struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t all_here;
    unsigned here[FAKE_RMS][FAKE_CALLS];
    unsigned alone; /* gave up waiting for the others */
    bool rounds;    /* else: sleep in xa_prepare of A */
};

static struct meeting meeting = {
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {{0}}, 0, false};

static void meet(void *user, int rm, enum fake_call call)
{
    const struct timespec nap = {.tv_nsec = PREPARE_MS * 1000000L};
    struct timespec until;

    (void)user;
    if (!meeting.rounds) {
        if (rm == A && call == FAKE_PREPARE)
            nanosleep(&nap, NULL);
        return;
    }
    if (call == FAKE_OPEN || call == FAKE_CLOSE)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    (void)pthread_mutex_lock(&meeting.lock);
    meeting.here[rm][call]++;
    (void)pthread_cond_broadcast(&meeting.all_here);
    while (meeting.alone == 0 && meeting.here[rm][call] % THREADS != 0)
        if (pthread_cond_timedwait(&meeting.all_here, &meeting.lock, &until) != 0)
            meeting.alone++;
    (void)pthread_mutex_unlock(&meeting.lock);
}

struct worker {
    hf_tm *tm;
    hf_instance *in[2];
    pthread_t thread;
    bool commits;
};

static void *work(void *arg)
{
    struct worker *me = arg;
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(me->tm, 0, &tx);

    for (int i = 0; rc == HF_OK && i < 2; i++)
        rc = hf_tx_enlist(tx, me->in[i]);
    if (rc == HF_OK)
        rc = me->commits ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL);
    return (void *)(intptr_t)rc;
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Sixteen threads, each with two instances of its own: how long one transaction of each takes. */
static double run_threads(struct world *w, bool commits)
{
    struct worker workers[THREADS];
    double from, took;

    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.tm = w->tm, .commits = commits};
        for (int n = 0; n < 2; n++)
            t_ok(hf_instance_open(w->rm[n], &workers[i].in[n]));
    }
    fake_on_call(meet, NULL);
    from = now_ms();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *ret = NULL;

        assert_int_equal(pthread_join(workers[i].thread, &ret), 0);
        assert_int_equal((int)(intptr_t)ret, HF_OK);
    }
    took = now_ms() - from;
    fake_on_call(NULL, NULL);
    for (int i = 0; i < THREADS; i++)
        for (int n = 0; n < 2; n++)
            t_ok(hf_instance_close(workers[i].in[n]));
    return took;
}

static void calls__are_made_by_all_threads_at_once(void **state)
{
    struct world *w = *state;

    world_start(w, 2);
    memset(meeting.here, 0, sizeof(meeting.here));
    meeting.rounds = true;
    (void)run_threads(w, true);
    (void)run_threads(w, false);
    meeting.rounds = false;
    assert_int_equal(meeting.alone, 0);
    for (int n = 0; n < 2; n++) {
        assert_int_equal(meeting.here[n][FAKE_START], 2 * THREADS);
        assert_int_equal(meeting.here[n][FAKE_END], 2 * THREADS);
        assert_int_equal(meeting.here[n][FAKE_PREPARE], THREADS);
        assert_int_equal(meeting.here[n][FAKE_COMMIT], THREADS);
        assert_int_equal(meeting.here[n][FAKE_ROLLBACK], THREADS);
    }
}

static void a_slow_prepare__is_slow_for_its_own_thread_only(void **state)
{
    struct world *w = *state;
    double took;

    world_start(w, 2);
    took = run_threads(w, true);
    print_message("16 threads, %d ms in each xa_prepare: %.0f ms\n", PREPARE_MS, took);
    assert_true(took >= PREPARE_MS);
    assert_true(took < THREADS * PREPARE_MS / 2); /* one after the other: 16 times as long */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(active__costs_less_than_a_kibibyte),
        T(calls__are_made_by_all_threads_at_once),
        T(a_slow_prepare__is_slow_for_its_own_thread_only),
    };

    return cmocka_run_group_tests_name("tm.many", tests, NULL, NULL);
}
