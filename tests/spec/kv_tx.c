/*
 * What: kv under the transaction manager where transactions meet: a deadline ends the wait for a
 *       lock, a circle over two stores costs one transaction and not the others, and what is told
 *       says which (holdfast/kv.h, transaction.h).
 * How:  a node and two stores; a second thread where somebody has to wait. wait_ms is an hour: only
 *       what is tested can end a wait before the test's time limit.
 */
#include "support/t.h"

#include <pthread.h>
#include <time.h>

#include "holdfast/kv.h"
#include "holdfast/transaction.h"

enum { STORES = 2, USERS = 2 };

struct user {
    hf_tx *tx;
    hf_instance *at[STORES];
    int rmid[STORES];
};

static struct {
    char *dir;
    hf_tm *tm;
    hf_rm *rm[STORES];
    struct user user[USERS];
} w;

static int set_up(void **state)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    char path[512];

    (void)state;
    w.dir = t_dir_make();
    snprintf(path, sizeof(path), "%s/node", w.dir);
    config.dir = path;
    t_ok(hf_tm_open(&config, &w.tm));
    for (int i = 0; i < STORES; i++) {
        static const char *const names[] = {"east", "west"};
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        snprintf(path, sizeof(path), "dir=%s/%s;wait_ms=3600000", w.dir, names[i]);
        rm.name = names[i];
        rm.xa = &hf_kv_switch;
        rm.ext = &hf_kv_ext;
        rm.open_info = path;
        t_ok(hf_rm_register(w.tm, &rm, &w.rm[i]));
    }
    t_ok(hf_tm_start(w.tm, 0));
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < STORES; i++) {
            t_ok(hf_instance_open(w.rm[i], &w.user[u].at[i]));
            w.user[u].rmid[i] = hf_instance_rmid(w.user[u].at[i]);
        }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < STORES; i++)
            t_ok(hf_instance_close(w.user[u].at[i]));
    t_ok(hf_tm_close(w.tm, 1000, NULL));
    t_dir_remove(w.dir);
    return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

static void begin(int u, uint32_t timeout_ms)
{
    t_ok(hf_tx_begin(w.tm, timeout_ms, &w.user[u].tx));
    for (int i = 0; i < STORES; i++)
        t_ok(hf_tx_enlist(w.user[u].tx, w.user[u].at[i]));
}

static int put(int u, int store, const char *key, const char *value)
{
    return hf_kv_put(w.user[u].rmid[store], key, strlen(key), value, strlen(value));
}

static void expect(int store, const char *key, const char *want)
{
    char got[32] = "";
    int rc = hf_kv_get(w.user[0].rmid[store], key, strlen(key), got, sizeof(got) - 1, NULL);

    t_rc(want == NULL ? HF_ENOTFOUND : HF_OK, rc);
    assert_string_equal(got, want == NULL ? "" : want);
}

/* Ticks from another thread until it has been let out of its wait. */
static void *tick(void *arg)
{
    static const struct timespec nap = {.tv_nsec = 10000000};

    for (int i = 0; i < 10; i++) {
        nanosleep(&nap, NULL);
        if (hf_tm_tick(arg, NULL) != HF_OK)
            abort();
    }
    return NULL;
}

static void deadline__ends_a_wait_for_a_lock(void **state)
{
    hf_result result = HF_RESULT_INIT;
    pthread_t ticker;

    (void)state;
    begin(0, 0);
    t_ok(put(0, 0, "k", "held"));
    t_ok(hf_tx_suspend(w.user[0].tx));
    begin(1, 50);
    t_ok(put(1, 1, "k", "mine"));
    assert_int_equal(pthread_create(&ticker, NULL, tick, w.tm), 0);
    t_rc(HF_EROLLEDBACK, put(1, 0, "k", "never"));
    assert_int_equal(hf_error_last()->native_code, XA_RBTIMEOUT);
    assert_int_equal(pthread_join(ticker, NULL), 0);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(w.user[1].tx, &result));
    assert_int_equal(result.outcome, HF_ROLLEDBACK);
    assert_string_equal(result.call, "deadline");
    t_ok(hf_tx_resume(w.user[0].tx));
    t_ok(hf_tx_commit(w.user[0].tx, NULL));
    expect(0, "k", "held");
    expect(1, "k", NULL);
}

struct other {
    int rc;
    pthread_barrier_t both_have_one;
    pthread_t thread;
};

/* User 1, in a thread of its own: west, then east, and commit. */
static void *go_the_other_way(void *arg)
{
    struct other *o = arg;

    o->rc = hf_tx_begin(w.tm, 0, &w.user[1].tx);
    for (int i = 0; i < STORES && o->rc == HF_OK; i++)
        o->rc = hf_tx_enlist(w.user[1].tx, w.user[1].at[i]);
    if (o->rc == HF_OK)
        o->rc = put(1, 1, "k", "other way");
    (void)pthread_barrier_wait(&o->both_have_one);
    if (o->rc == HF_OK)
        o->rc = put(1, 0, "k", "other way");
    if (o->rc == HF_OK)
        o->rc = hf_tx_commit(w.user[1].tx, NULL);
    else if (hf_tx_rollback(w.user[1].tx, NULL) != HF_OK)
        abort();
    return NULL;
}

/* Neither store sees the circle alone. Either may be the one that is given up. */
static void deadlock__over_two_stores_costs_one_transaction(void **state)
{
    hf_result result = HF_RESULT_INIT;
    struct other o = {0};
    int rc;

    (void)state;
    begin(0, 0);
    t_ok(put(0, 0, "k", "one way"));
    assert_int_equal(pthread_barrier_init(&o.both_have_one, NULL, 2), 0);
    assert_int_equal(pthread_create(&o.thread, NULL, go_the_other_way, &o), 0);
    (void)pthread_barrier_wait(&o.both_have_one);
    rc = put(0, 1, "k", "one way");
    if (rc == HF_OK) {
        t_ok(hf_tx_commit(w.user[0].tx, NULL));
    } else {
        t_rc(HF_EROLLEDBACK, rc);
        assert_int_equal(hf_error_last()->native_code, XA_RBDEADLOCK);
        t_rc(HF_EROLLEDBACK, hf_tx_commit(w.user[0].tx, &result));
        assert_int_equal(result.xa_code, XA_RBDEADLOCK);
        assert_string_equal(result.rm, "west");
    }
    assert_int_equal(pthread_join(o.thread, NULL), 0);
    (void)pthread_barrier_destroy(&o.both_have_one);
    t_rc(rc == HF_OK ? HF_EROLLEDBACK : HF_OK, o.rc);
    for (int store = 0; store < STORES; store++)
        expect(store, "k", rc == HF_OK ? "one way" : "other way");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(deadline__ends_a_wait_for_a_lock),
        T(deadlock__over_two_stores_costs_one_transaction),
    };

    return cmocka_run_group_tests_name("kv.tx", tests, NULL, NULL);
}
