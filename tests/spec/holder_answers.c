/*
 * What: what the holder says where few look: arguments of hf_holder_open_xa, ids that a driver must
 *       not give, leaks in a transaction; and who is told that a candidate was let go.
 * How:  a scripted driver, held in a callback where another thread has to come to wait.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

static void open_xa__wants_a_tm_and_hooks_of_a_known_size(void **state)
{
    struct pool *p = *state;
    hf_xa_hooks hooks = {.size = sizeof(hooks) - 1};
    hf_manager *plain = NULL;
    hf_holder *h = NULL;

    pool_open(p);
    t_rc(HF_EINVAL, hf_holder_open_xa(p->m, &hooks, NULL, &h));
    assert_null(h);
    t_rc(HF_EINVAL, hf_holder_open_xa(NULL, NULL, NULL, &h));
    p->manager.tm = NULL;
    t_ok(hf_manager_open(&p->manager, &plain));
    t_rc(HF_EINVAL, hf_holder_open_xa(plain, NULL, NULL, &h));
    assert_null(h);
    assert_non_null(strstr(hf_error_last()->text, "no tm"));
    t_ok(hf_manager_close(plain, 0, NULL));
}

static void create__gives_an_id_that_is_taken(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;

    pool_open_plain(p);
    assert_int_equal(pool_alloc(p, 7), 1);
    drv_next_id(p->d, 1);
    t_rc(HF_EINVAL, hf_holder_alloc(p->h, 7, &id));
    assert_non_null(strstr(hf_error_last()->text, "in use"));
    assert_int_equal(id, 99);
    assert_int_equal(pool_stats(p).failed_create, 1);
    assert_int_equal(pool_stats(p).used, 1); /* the first one is what it was */
    pool_free(p, 1);
}

static void leak__says_whether_it_is_in_a_transaction(void **state)
{
    struct pool *p = *state;
    const hf_event *e = &p->d->event[HF_EVENT_LEAK];
    uint64_t end = now_ms() + 30 * 1000;
    hf_resid inside, outside;
    hf_tx *tx;

    p->config.leak_ms = 30;
    pool_open(p);
    t_ok(pool_alloc_plain(p, 7, &outside));
    while (drv_events(p->d, HF_EVENT_LEAK) < 1 && now_ms() < end) {
        t_ok(hf_holder_sweep(p->h));
        sleep_ms(5);
    }
    assert_int_equal(e->id, outside);
    assert_int_equal(e->enlisted, 0);
    tx = pool_begin(p);
    inside = pool_alloc(p, 7);
    while (drv_events(p->d, HF_EVENT_LEAK) < 2 && now_ms() < end) {
        t_ok(hf_holder_sweep(p->h));
        sleep_ms(5);
    }
    assert_int_equal(e->id, inside);
    assert_int_equal(e->enlisted, 1);
    pool_free(p, inside);
    t_ok(hf_tx_commit(tx, NULL));
    pool_free(p, outside);
}

static int alloc_and_free(void *arg)
{
    struct request *r = arg;
    int rc = request_alloc(r);

    return rc == HF_OK ? request_free(r) : rc;
}

/* It came to wait because somebody else was looking at the only one there is. */
static void let_go__wakes_the_one_who_waits_for_it(void **state)
{
    struct pool *p = *state;
    struct request looks, waits;
    struct job looking, waiting;

    p->config.max = 1;
    pool_open_plain(p);
    pool_fill(p, 7, 1);
    looks = request_for(p, 8);
    waits = request_for(p, 7);
    looks.alloc.flags = waits.alloc.flags = HF_ALLOC_WAIT;
    looks.alloc.wait_ms = waits.alloc.wait_ms = 60 * 1000;
    drv_hold(p->d, DRV_RATE, 1);
    job_start(&looking, alloc_and_free, &looks);
    assert_int_equal(drv_held(p->d), 1);
    job_start(&waiting, alloc_and_free, &waits);
    pool_until_waiting(p, 1);
    drv_let_go(p->d);
    assert_int_equal(job_end(&waiting), HF_OK);
    assert_int_equal(waits.id, 1);
    assert_int_equal(job_end(&looking), HF_OK);
    assert_int_equal(looks.id, 2); /* 1 had to make room */
    assert_int_equal(pool_stats(p).timeouts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(open_xa__wants_a_tm_and_hooks_of_a_known_size),
        T(create__gives_an_id_that_is_taken),
        T(leak__says_whether_it_is_in_a_transaction),
        T(let_go__wakes_the_one_who_waits_for_it),
    };
    return cmocka_run_group_tests_name("holder.answers", tests, NULL, NULL);
}
