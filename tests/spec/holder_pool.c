/*
 * What: what the holder has beyond COM+: a maximum and a queue, pause, resize, flush, stock. What
 *       it has of time, verdicts, events and counters is in holder_life.c.
 * How:  a scripted driver; waiters are threads, and the test goes on when the holder counts them.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

enum { WAITERS = 6, LONG_MS = 60 * 1000 };

/* -- a maximum --------------------------------------------------------------------------------- */

static void max__is_not_exceeded_and_without_a_wait_it_is_HF_ELIMIT(void **state)
{
    struct pool *p = *state;
    hf_resid id;

    p->config.max = 2;
    pool_open(p);
    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 7);
    t_rc(HF_ELIMIT, hf_holder_alloc(p->h, 7, &id));
    assert_int_equal(pool_stats(p).waits, 0);
    pool_free(p, 1);
    assert_int_equal(pool_alloc(p, 7), 1);
    assert_int_equal(drv_calls(p->d, DRV_CREATE), 2);
    assert_int_equal(pool_stats(p).most, 2);
    pool_free(p, 1);
    pool_free(p, 2);
}

static void max__an_alloc_waits_no_longer_than_it_may(void **state)
{
    struct pool *p = *state;
    uint64_t begin;
    hf_resid id;

    p->config.max = 1;
    p->config.wait_ms = 60;
    pool_open(p);
    (void)pool_alloc(p, 7);
    begin = now_ms();
    t_rc(HF_ETIMEOUT, hf_holder_alloc(p->h, 7, &id));
    assert_true(now_ms() - begin >= 59);
    drv_told(p->d, "create(1) wait timeout");
    assert_true(p->d->event[HF_EVENT_TIMEOUT].age_ms >= 59);
    t_rc(HF_ETIMEOUT, pool_alloc_wait(p, 7, 1, &id)); /* a time of its own */
    t_rc(HF_ELIMIT, pool_alloc_wait(p, 7, 0, &id));
    assert_int_equal(pool_stats(p).waits, 2);
    assert_int_equal(pool_stats(p).timeouts, 2);
    assert_int_equal(pool_stats(p).waiting, 0);
    assert_true(pool_stats(p).wait_us >= 59000);
    pool_free(p, 1);
}

/* Nobody waits for what only the wrong type of resource takes up. */
static void max__the_longest_idle_makes_room_for_another_type(void **state)
{
    struct pool *p = *state;

    p->config.max = 3;
    pool_open(p);
    pool_fill(p, 7, 3);
    assert_int_equal(pool_alloc(p, 7), 3);
    pool_free(p, 3);
    drv_clear(p->d);
    assert_int_equal(pool_alloc(p, 8), 4);
    assert_int_equal(drv_count(p->d, "destroy(1)"), 1); /* 2 and 3 were used later */
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 1);
    assert_int_equal(pool_stats(p).evicted, 1);
    assert_int_equal(pool_stats(p).idle, 2);
    pool_free(p, 4);
}

static void max__enlisted_inventory_makes_no_room(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    p->config.max = 1;
    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_rc(HF_ELIMIT, pool_alloc_plain(p, 7, &id));
    t_rc(HF_ELIMIT, hf_holder_alloc(p->h, 8, &id));
    assert_int_equal(pool_alloc(p, 7), 1); /* its own transaction has it all the same */
    pool_free(p, 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
}

/* -- the queue --------------------------------------------------------------------------------- */

struct queue {
    struct pool *p;
    atomic_uint served;
    struct waiter {
        struct queue *queue;
        struct job job;
        hf_restype type;
        hf_tx *tx;
        hf_resid id;
        unsigned place; /* in which it was served, from 1 */
    } waiters[WAITERS];
};

/* Wait for a resource, note when it came, give it back. */
static int wait_and_free(void *arg)
{
    struct waiter *w = arg;
    struct pool *p = w->queue->p;
    int rc = pool_alloc_wait(p, w->type, LONG_MS, &w->id);

    if (rc != HF_OK)
        return rc;
    drv_take(p->d, w->id);
    w->place = atomic_fetch_add(&w->queue->served, 1) + 1;
    drv_give(p->d, w->id);
    return hf_holder_free(p->h, w->id);
}

/* One more waits. */
static void queue_up(struct queue *q, unsigned n, hf_restype type)
{
    q->waiters[n].queue = q;
    q->waiters[n].type = type;
    job_start(&q->waiters[n].job, wait_and_free, &q->waiters[n]);
    pool_until_waiting(q->p, n + 1);
}

static void queue__serves_in_the_order_of_arrival(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    for (unsigned n = 0; n < WAITERS; n++)
        queue_up(&q, n, 7);
    assert_int_equal(pool_stats(p).waiting, WAITERS);
    pool_free(p, 1);
    for (unsigned n = 0; n < WAITERS; n++)
        assert_int_equal(job_end(&q.waiters[n].job), HF_OK);
    for (unsigned n = 0; n < WAITERS; n++)
        assert_int_equal(q.waiters[n].place, n + 1);
    assert_int_equal(drv_calls(p->d, DRV_CREATE), 1);
    assert_int_equal(pool_stats(p).waits, WAITERS);
    assert_int_equal(drv_events(p->d, HF_EVENT_WAIT), WAITERS);
    assert_int_equal(drv_events(p->d, HF_EVENT_TIMEOUT), 0);
}

/* Who comes while others wait does not go before them. */
static void queue__a_newcomer_does_not_go_first(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};
    hf_resid id;

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    drv_hold(p->d, DRV_RATE, 1); /* the waiter is about to get it */
    queue_up(&q, 0, 7);
    pool_free(p, 1);
    (void)drv_held(p->d);
    t_rc(HF_ELIMIT, pool_alloc_wait(p, 7, 0, &id));
    drv_let_go(p->d);
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 1);
}

/* What does not fit the first in the queue is destroyed for it, so that it cannot starve. */
static void queue__one_for_whom_nothing_fits_is_not_starved(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};

    p->config.max = 2;
    pool_open(p);
    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 7);
    queue_up(&q, 0, 8);
    queue_up(&q, 1, 7);
    pool_free(p, 1);
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    pool_free(p, 2);
    assert_int_equal(job_end(&q.waiters[1].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 3);
    assert_true(drv_calls(p->d, DRV_DESTROY) >= 1);
}

/* The one of the transaction is for it alone, so it does not queue. */
static void queue__who_finds_one_of_its_transaction_does_not_wait(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};
    hf_tx *tx;

    p->config.max = 1;
    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    queue_up(&q, 0, 7); /* a thread without a transaction */
    assert_int_equal(pool_alloc(p, 7), 1);
    pool_free(p, 1);
    assert_int_equal(pool_stats(p).waiting, 1);
    t_ok(hf_tx_commit(tx, NULL)); /* now it is free for all */
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 1);
}

static void queue__is_served_when_a_resource_is_destroyed(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    queue_up(&q, 0, 7);
    t_ok(hf_holder_request_destroy(p->h, 1));
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 2);
}

static void queue__is_served_when_a_creation_fails(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};
    struct request r;
    struct job job;

    p->config.max = 1;
    pool_open(p);
    drv_answer_once(p->d, DRV_CREATE, 0, -5);
    drv_hold(p->d, DRV_CREATE, 0);
    r = request_for(p, 7);
    job_start(&job, request_alloc, &r);
    (void)drv_held(p->d);
    queue_up(&q, 0, 7); /* there is one being made: full */
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_EDRIVER);
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
}

static void queue__fails_when_the_holder_is_closed(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    queue_up(&q, 0, 7);
    queue_up(&q, 1, 7);
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    assert_int_equal(job_end(&q.waiters[0].job), HF_ECLOSED);
    assert_int_equal(job_end(&q.waiters[1].job), HF_ECLOSED);
    pool_free(p, 1);
}

static void queue__one_that_gives_up_leaves_the_rest_in_order(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};
    hf_resid id;

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    queue_up(&q, 0, 7);
    t_rc(HF_ETIMEOUT, pool_alloc_wait(p, 7, 10, &id)); /* the second */
    queue_up(&q, 1, 7);
    pool_free(p, 1);
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(job_end(&q.waiters[1].job), HF_OK);
    assert_int_equal(q.waiters[0].place, 1);
    assert_int_equal(q.waiters[1].place, 2);
}

/* Whose transaction can only roll back by the time that it is served gets nothing, and the resource
   is the next one's. */
static int wait_within(void *arg)
{
    struct waiter *w = arg;
    struct pool *p = w->queue->p;
    hf_tx *tx;
    int rc = hf_tx_begin(p->w->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    w->tx = tx;
    rc = pool_alloc_wait(p, w->type, LONG_MS, &w->id);
    return hf_tx_rollback(tx, NULL) == HF_OK ? rc : -1;
}

static void queue__who_can_only_roll_back_gets_nothing(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    q.waiters[0] = (struct waiter){.queue = &q, .type = 7};
    job_start(&q.waiters[0].job, wait_within, &q.waiters[0]);
    pool_until_waiting(p, 1);
    queue_up(&q, 1, 7);
    t_ok(hf_tx_set_rollback_only(q.waiters[0].tx));
    drv_clear(p->d);
    pool_free(p, 1);
    assert_int_equal(job_end(&q.waiters[0].job), HF_EROLLEDBACK);
    assert_int_equal(job_end(&q.waiters[1].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 0);
    drv_expect(p->d, "reset(1) rate(7,1,0)=100 reset(1)"); /* the driver is not called for it */
    assert_int_equal(pool_stats(p).idle, 1);
}

static int request_it(void *arg)
{
    struct request *r = arg;

    return hf_holder_request_destroy(r->p->h, r->id);
}

static void queue__waits_for_a_destroy_and_is_served(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};
    struct request r;
    struct job job;

    p->config.max = 1;
    pool_open(p);
    pool_fill(p, 7, 1);
    r = request_for(p, 7);
    r.id = 1;
    drv_hold(p->d, DRV_DESTROY, 1);
    job_start(&job, request_it, &r);
    (void)drv_held(p->d);
    q.waiters[0] = (struct waiter){.queue = &q, .type = 7};
    job_start(&q.waiters[0].job, wait_and_free, &q.waiters[0]);
    sleep_ms(20); /* it waits, or has been served by a new one */
    drv_let_go(p->d);
    assert_int_equal(job_end(&job), HF_OK);
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 2);
}

static void max__one_that_is_found_dead_makes_room_at_once(void **state)
{
    struct pool *p = *state;

    p->config.max = 1;
    drv_offer(p->d, 1u << DRV_VALIDATE);
    pool_open(p);
    pool_fill(p, 7, 1);
    drv_answer_once(p->d, DRV_VALIDATE, 1, -5);
    assert_int_equal(pool_alloc(p, 7), 2);
    pool_free(p, 2);
    drv_rate(p->d, 7, 2, -1, HF_RATING_DEAD);
    assert_int_equal(pool_alloc(p, 7), 3);
    pool_free(p, 3);
    assert_int_equal(pool_stats(p).most, 1);
}

static void queue__fails_when_the_manager_is_closed(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    queue_up(&q, 0, 7);
    t_rc(HF_EBUSY, hf_manager_close(p->m, 0, NULL));
    assert_int_equal(job_end(&q.waiters[0].job), HF_ECLOSED);
    pool_free(p, 1);
}

/* What is doomed in a transaction takes up room until that is over. */
static void queue__is_served_when_what_is_doomed_has_gone(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};
    hf_resid id;
    hf_tx *tx;

    p->config.max = 1;
    pool_open(p);
    tx = pool_begin(p);
    (void)pool_alloc(p, 7);
    t_ok(hf_holder_request_destroy(p->h, 1));
    t_rc(HF_ELIMIT, hf_holder_alloc(p->h, 7, &id));
    queue_up(&q, 0, 7);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 2);
    assert_int_equal(pool_stats(p).most, 1);
}

static int wait_once(void *arg)
{
    struct request *r = arg;
    int rc = request_alloc(r);

    return rc == HF_OK ? request_free(r) : rc;
}

static void queue__nobody_of_many_starves(void **state)
{
    enum { MANY = 64, FEW = 4 };
    struct pool *p = *state;
    struct request requests[MANY];
    struct job jobs[MANY];

    p->config.max = FEW;
    p->config.wait_ms = LONG_MS;
    pool_open(p);
    for (unsigned n = 0; n < FEW; n++)
        (void)pool_alloc(p, 7);
    for (unsigned n = 0; n < MANY; n++) {
        requests[n] = request_for(p, n % 8 == 0 ? 8 : 7);
        job_start(&jobs[n], wait_once, &requests[n]);
    }
    pool_until_waiting(p, MANY);
    for (hf_resid id = 1; id <= FEW; id++)
        pool_free(p, id);
    for (unsigned n = 0; n < MANY; n++)
        assert_int_equal(job_end(&jobs[n]), HF_OK);
    assert_int_equal(pool_stats(p).waits, MANY);
    assert_int_equal(pool_stats(p).timeouts, 0);
    assert_int_equal(pool_stats(p).allocated, MANY + FEW);
    assert_true(pool_stats(p).most <= FEW);
}

/* -- pause, resize ----------------------------------------------------------------------------- */

static void pause__allocations_wait_until_it_goes_on(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};
    hf_resid id;

    pool_open(p);
    pool_fill(p, 7, 1);
    t_ok(hf_holder_pause(p->h, 1));
    t_rc(HF_ELIMIT, hf_holder_alloc(p->h, 7, &id));
    t_rc(HF_ETIMEOUT, pool_alloc_wait(p, 7, 5, &id));
    drv_expect(p->d, ""); /* the driver is not asked */
    queue_up(&q, 0, 7);
    queue_up(&q, 1, 8);
    t_ok(hf_holder_pause(p->h, 0));
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(job_end(&q.waiters[1].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 1);
}

static void pause__spares_who_finds_one_of_its_transaction(void **state)
{
    struct pool *p = *state;
    hf_resid id;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    t_ok(hf_holder_pause(p->h, 1));
    assert_int_equal(pool_alloc(p, 7), 1);
    t_rc(HF_ELIMIT, hf_holder_alloc(p->h, 7, &id));
    pool_free(p, 1); /* free is not held up */
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(hf_holder_pause(p->h, 0));
}

static void resize__to_less_lets_what_is_too_much_go_as_it_becomes_free(void **state)
{
    struct pool *p = *state;
    hf_resid id;

    pool_open(p);
    for (int n = 0; n < 4; n++)
        (void)pool_alloc(p, 7);
    pool_free(p, 4);
    t_ok(hf_holder_resize(p->h, 2));
    pool_free(p, 3);
    pool_free(p, 2);
    assert_int_equal(drv_alive(p->d), 2);
    assert_true(drv_is_alive(p->d, 1));
    assert_int_equal(pool_stats(p).idle, 1);
    (void)pool_alloc(p, 7);
    t_rc(HF_ELIMIT, hf_holder_alloc(p->h, 7, &id));
    for (id = 1; id <= 4; id++)
        if (drv_is_alive(p->d, id))
            pool_free(p, id);
    assert_int_equal(pool_stats(p).idle, 2);
}

static void resize__to_more_serves_the_queue(void **state)
{
    struct pool *p = *state;
    struct queue q = {.p = p};

    p->config.max = 1;
    pool_open(p);
    (void)pool_alloc(p, 7);
    queue_up(&q, 0, 7);
    t_ok(hf_holder_resize(p->h, 2));
    assert_int_equal(job_end(&q.waiters[0].job), HF_OK);
    assert_int_equal(q.waiters[0].id, 2);
    t_ok(hf_holder_resize(p->h, 0)); /* no limit */
    for (int n = 0; n < 3; n++)
        (void)pool_alloc(p, 7);
    for (hf_resid id = 1; id <= 4; id++)
        pool_free(p, id);
}

/* -- flush ------------------------------------------------------------------------------------- */

static void flush__idle_destroys_general_inventory_alone(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    pool_fill(p, 7, 3); /* 3 in use, 2 enlisted and free, 1 idle */
    (void)pool_alloc(p, 7);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_clear(p->d);
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_IDLE));
    drv_expect(p->d, "destroy(1)");
    pool_free(p, 3);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(pool_stats(p).idle, 2);
}

static void flush__all_destroys_the_others_as_they_become_free(void **state)
{
    struct pool *p = *state;
    hf_tx *tx;

    pool_open(p);
    pool_fill(p, 7, 3);
    (void)pool_alloc(p, 7);
    tx = pool_begin(p);
    pool_free(p, pool_alloc(p, 7));
    drv_clear(p->d);
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_ALL));
    drv_expect(p->d, "destroy(1)");
    pool_free(p, 3);
    assert_false(drv_is_alive(p->d, 3));
    assert_true(drv_is_alive(p->d, 2));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(drv_alive(p->d), 0);
    pool_free(p, pool_alloc(p, 7)); /* those that are made after it are pooled */
    assert_int_equal(pool_stats(p).idle, 1);
}

static void flush__of_a_type_spares_others(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    (void)pool_alloc(p, 7);
    (void)pool_alloc(p, 8);
    (void)pool_alloc(p, 8);
    pool_free(p, 1);
    pool_free(p, 2);
    drv_clear(p->d);
    t_ok(hf_holder_flush(p->h, 8, HF_FLUSH_ALL));
    drv_expect(p->d, "destroy(2)");
    pool_free(p, 3);
    assert_int_equal(drv_alive(p->d), 1);
    assert_true(drv_is_alive(p->d, 1));
    t_rc(HF_EINVAL, hf_holder_flush(p->h, 0, (hf_flush)3));
    t_rc(HF_EINVAL, hf_holder_flush(p->h, 0, (hf_flush)0));
}

/* -- stock ------------------------------------------------------------------------------------- */

static void stock__is_made_up_again_by_the_sweep(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    t_ok(hf_holder_stock(p->h, 7, 2));
    assert_int_equal(drv_alive(p->d), 2);
    t_ok(hf_holder_flush(p->h, 7, HF_FLUSH_IDLE));
    pool_sweep_until(p, 2);
    t_ok(hf_holder_stock(p->h, 7, 0)); /* what is there stays */
    t_ok(hf_holder_sweep(p->h));
    assert_int_equal(drv_alive(p->d), 2);
}

static void stock__counts_those_in_use(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    (void)pool_alloc(p, 7);
    t_ok(hf_holder_stock(p->h, 7, 2));
    assert_int_equal(drv_alive(p->d), 2);
    pool_free(p, 1);
    t_ok(hf_holder_stock(p->h, 8, 1));
    assert_int_equal(drv_alive(p->d), 3);
    assert_int_equal(drv_count(p->d, "create(8)=3"), 1);
}

static void stock__over_the_maximum_is_HF_ELIMIT(void **state)
{
    struct pool *p = *state;

    p->config.max = 2;
    pool_open(p);
    t_rc(HF_ELIMIT, hf_holder_stock(p->h, 7, 3));
    assert_true(drv_alive(p->d) <= 2);
    t_rc(HF_EINVAL, hf_holder_stock(p->h, 0, 1));
    t_ok(hf_holder_stock(p->h, 7, 2));
}

static void stock__of_a_driver_that_gives_bad_ids_fails(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    drv_next_id(p->d, 0);
    assert_int_not_equal(hf_holder_stock(p->h, 7, 1), HF_OK);
    pool_sweep_until(p, 1); /* the sweep tries again */
    drv_next_id(p->d, 2);
    p->d->sequence = 2;
    t_ok(hf_holder_stock(p->h, 7, 2));
    drv_next_id(p->d, 2); /* a duplicate */
    assert_int_not_equal(hf_holder_stock(p->h, 7, 3), HF_OK);
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
    assert_int_equal(pool_stats(p).idle, 2);
}

static void stock__is_not_gone_below_by_idle_limits(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    drv_idle(p->d, 1);
    t_ok(hf_holder_stock(p->h, 7, 2));
    for (int n = 0; n < 3; n++)
        (void)pool_alloc(p, 7);
    for (hf_resid id = 1; id <= 3; id++)
        pool_free(p, id);
    pool_sweep_until(p, 2);
    sleep_ms(1100);
    t_ok(hf_holder_sweep(p->h));
    assert_int_equal(drv_alive(p->d), 2);
    assert_int_equal(drv_calls(p->d, DRV_CREATE), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(max__is_not_exceeded_and_without_a_wait_it_is_HF_ELIMIT),
        T(max__an_alloc_waits_no_longer_than_it_may),
        T(max__the_longest_idle_makes_room_for_another_type),
        T(max__enlisted_inventory_makes_no_room),
        T(queue__serves_in_the_order_of_arrival),
        T(queue__a_newcomer_does_not_go_first),
        T(queue__one_for_whom_nothing_fits_is_not_starved),
        T(queue__who_finds_one_of_its_transaction_does_not_wait),
        T(queue__is_served_when_a_resource_is_destroyed),
        T(queue__is_served_when_a_creation_fails),
        T(queue__fails_when_the_holder_is_closed),
        T(queue__one_that_gives_up_leaves_the_rest_in_order),
        T(queue__who_can_only_roll_back_gets_nothing),
        T(queue__waits_for_a_destroy_and_is_served),
        T(max__one_that_is_found_dead_makes_room_at_once),
        T(queue__fails_when_the_manager_is_closed),
        T(queue__is_served_when_what_is_doomed_has_gone),
        T(queue__nobody_of_many_starves),
        T(pause__allocations_wait_until_it_goes_on),
        T(pause__spares_who_finds_one_of_its_transaction),
        T(resize__to_less_lets_what_is_too_much_go_as_it_becomes_free),
        T(resize__to_more_serves_the_queue),
        T(flush__idle_destroys_general_inventory_alone),
        T(flush__all_destroys_the_others_as_they_become_free),
        T(flush__of_a_type_spares_others),
        T(stock__is_made_up_again_by_the_sweep),
        T(stock__counts_those_in_use),
        T(stock__over_the_maximum_is_HF_ELIMIT),
        T(stock__of_a_driver_that_gives_bad_ids_fails),
        T(stock__is_not_gone_below_by_idle_limits),
    };
    return cmocka_run_group_tests_name("holder.pool", tests, NULL, NULL);
}
