/*
 * What: many at once: 64 waiters on 4 resources, deadlines of waits, 10,000 idle resources.
 * How:  a driver that only counts. Waiters begin one after the other, each when the one before is
 *       seen to wait, and note the order in which they are served. Times are printed; what decides
 *       is a limit far above.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "holdfast/holder.h"
#include "support/t.h"

enum { WAITERS = 64, RESOURCES = 4, TYPE = 7, LATE_LIMIT_MS = 500, IDLE = 10000, PAIRS = 20000 };

static struct {
    hf_manager *manager;
    hf_holder *holder;
    atomic_uint made, rated, served;
} crowd;

static int create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    (void)user, (void)type, (void)ret_idle_s;
    *ret_id = atomic_fetch_add(&crowd.made, 1) + 1;
    return HF_OK;
}

static int rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    (void)user, (void)type, (void)id, (void)needs_enlist;
    atomic_fetch_add(&crowd.rated, 1);
    *ret_rating = HF_RATING_PERFECT;
    return HF_OK;
}

static int destroy(void *user, hf_resid id)
{
    (void)user, (void)id;
    return HF_OK;
}

static int setup(void **state)
{
    const hf_driver driver = {
        .size = sizeof(driver), .create = create, .rate = rate, .destroy = destroy};
    hf_manager_config manager = HF_MANAGER_CONFIG_INIT;
    hf_holder_config config = HF_HOLDER_CONFIG_INIT;

    (void)state;
    atomic_store(&crowd.made, 0);
    atomic_store(&crowd.rated, 0);
    atomic_store(&crowd.served, 0);
    t_ok(hf_manager_open(&manager, &crowd.manager));
    t_ok(hf_holder_open(crowd.manager, &driver, NULL, &config, &crowd.holder));
    return 0;
}

static int teardown(void **state)
{
    unsigned left = 1;

    (void)state;
    t_ok(hf_manager_close(crowd.manager, 0, &left));
    assert_int_equal(left, 0);
    return 0;
}
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static hf_holder_stats stats(void)
{
    hf_holder_stats s = {.size = sizeof(s)};

    t_ok(hf_holder_get_stats(crowd.holder, &s));
    return s;
}

static int alloc_for(uint32_t wait_ms, hf_resid *ret_id)
{
    hf_alloc request = HF_ALLOC_INIT;

    request.flags = HF_ALLOC_WAIT;
    request.wait_ms = wait_ms;
    return hf_holder_alloc_with(crowd.holder, TYPE, &request, ret_id);
}

static hf_resid alloc(void)
{
    hf_resid id = 0;

    t_ok(alloc_for(0, &id));
    return id;
}

/* -- the queue --------------------------------------------------------------------------------- */

struct waiter {
    pthread_t thread;
    unsigned place; /* in the order of service, from 0 */
    int rc;
};

static void *wait_and_pass_on(void *user)
{
    struct waiter *w = user;
    hf_resid id = 0;

    w->rc = alloc_for(60000, &id);
    if (w->rc == HF_OK) {
        w->place = atomic_fetch_add(&crowd.served, 1);
        w->rc = hf_holder_free(crowd.holder, id);
    }
    return NULL;
}

/* All of them wait, in the order of their numbers. */
static void queue_up(struct waiter waiters[WAITERS])
{
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_and_pass_on, &waiters[i]),
                         0);
        while (stats().waiting != i + 1)
            (void)sched_yield();
    }
}

static void fill(hf_resid ids[RESOURCES])
{
    t_ok(hf_holder_resize(crowd.holder, RESOURCES));
    for (int i = 0; i < RESOURCES; i++)
        ids[i] = alloc();
}

static void waiters_64_on_one_of_4__are_served_as_they_came(void **state)
{
    struct waiter waiters[WAITERS];
    hf_resid ids[RESOURCES];

    (void)state;
    fill(ids);
    queue_up(waiters);
    t_ok(hf_holder_free(crowd.holder, ids[0])); /* it goes from hand to hand */
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
        assert_int_equal(waiters[i].rc, HF_OK);
        assert_int_equal(waiters[i].place, i);
    }
    for (int i = 1; i < RESOURCES; i++)
        t_ok(hf_holder_free(crowd.holder, ids[i]));
    assert_int_equal(atomic_load(&crowd.made), RESOURCES);
    assert_int_equal(stats().most, RESOURCES);
}

static void waiters_64_on_4__are_all_served_and_nobody_waits_out(void **state)
{
    struct waiter waiters[WAITERS];
    hf_resid ids[RESOURCES];
    bool seen[WAITERS] = {false};

    (void)state;
    fill(ids);
    queue_up(waiters);
    for (int i = 0; i < RESOURCES; i++)
        t_ok(hf_holder_free(crowd.holder, ids[i]));
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
        assert_int_equal(waiters[i].rc, HF_OK);
        assert_true(waiters[i].place < WAITERS && !seen[waiters[i].place]);
        seen[waiters[i].place] = true;
    }
    assert_int_equal(stats().timeouts, 0);
    assert_int_equal(stats().waits, WAITERS);
    assert_int_equal(atomic_load(&crowd.made), RESOURCES);
}

static void wait__ends_at_its_deadline(void **state)
{
    double worst = 0;
    hf_resid ids[RESOURCES], none;

    (void)state;
    fill(ids);
    for (uint32_t ms = 5; ms <= 50; ms += 5) {
        double began = now_ms(), late;

        t_rc(HF_ETIMEOUT, alloc_for(ms, &none));
        late = now_ms() - began - ms;
        assert_true(late >= -0.01 && late < LATE_LIMIT_MS);
        worst = late > worst ? late : worst;
    }
    print_message("deadlines of 5 to 50 ms: at most %.2f ms late\n", worst);
    for (int i = 0; i < RESOURCES; i++)
        t_ok(hf_holder_free(crowd.holder, ids[i]));
}

/* -- the inventory ----------------------------------------------------------------------------- */

/* Microseconds of an allocation and a free. */
static double pair_us(void)
{
    double began;

    for (int i = 0; i < PAIRS / 10; i++)
        t_ok(hf_holder_free(crowd.holder, alloc()));
    began = now_ms();
    for (int i = 0; i < PAIRS; i++)
        t_ok(hf_holder_free(crowd.holder, alloc()));
    return (now_ms() - began) * 1e3 / PAIRS;
}

static void idle_10000__cost_no_more_than_one(void **state)
{
    double one, all;
    unsigned rated;

    (void)state;
    one = pair_us();
    assert_int_equal(stats().idle, 1);
    t_ok(hf_holder_stock(crowd.holder, TYPE, IDLE));
    assert_int_equal(stats().idle, IDLE);
    rated = atomic_load(&crowd.rated);
    all = pair_us();
    assert_int_equal(atomic_load(&crowd.rated) - rated, PAIRS + PAIRS / 10); /* one each */
    print_message("an allocation and a free: %.2f us with 1 idle, %.2f us with %d\n", one, all,
                  IDLE);
    assert_true(all < 20 * one + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(waiters_64_on_one_of_4__are_served_as_they_came),
        T(waiters_64_on_4__are_all_served_and_nobody_waits_out),
        T(wait__ends_at_its_deadline),
        T(idle_10000__cost_no_more_than_one),
    };

    return cmocka_run_group_tests_name("holder.crowd", tests, NULL, NULL);
}
