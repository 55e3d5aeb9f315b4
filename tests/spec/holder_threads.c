/*
 * What: the conformance checklist of the holder, line 29: many threads, resources and transactions.
 * How:  threads that do what they like, from a seed that a failure prints. Two owners, and
 *       callbacks that overlap, are noted by the driver; pool_teardown() looks.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

enum { THREADS = 4, ROUNDS = 150, TYPES = 2, SLOTS = 3, VISITS = 80, HELD = 3, TRACKED = 30000 };

/* What a walk is like, beside allocating and freeing. */
enum manner {
    IMPATIENT = 1,   /* waits a little, and goes on without */
    TRACKING = 2,    /* has resources of its own watched */
    LEAVING = 4,     /* lets the end of an owner clean up behind it */
    INTERRUPTED = 8, /* ends when the holder is closed */
};

struct walker {
    struct pool *p;
    struct job job;
    uint64_t random;
    unsigned number, manner;
    hf_resid held[HELD];
    hf_resid tracked; /* the last one that it had watched */
    const char *what; /* that failed */
};

static unsigned roll(struct walker *w, unsigned sides)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(w->random >> 33) % sides;
}

static int failed(struct walker *w, int rc, const char *what)
{
    if (rc != HF_OK && w->what == NULL)
        w->what = what;
    return rc;
}

/* Give it back, or have it destroyed. */
static int give_back(struct walker *w, hf_resid id)
{
    int rc;

    drv_give(w->p->d, id);
    if (roll(w, 8) > 0)
        return failed(w, hf_holder_free(w->p->h, id), "free");
    rc = hf_holder_request_destroy(w->p->h, id);
    if (rc == HF_ECLOSED && w->manner & INTERRUPTED)
        rc = hf_holder_free(w->p->h, id);
    return failed(w, rc, "request_destroy");
}

/* *ret_id is 0 where it was waited for in vain. */
static int get_one(struct walker *w, hf_resid *ret_id)
{
    hf_restype type = 7 + roll(w, TYPES);
    int rc;

    if (w->manner & IMPATIENT)
        rc = pool_alloc_wait(w->p, type, roll(w, 4), ret_id);
    else
        rc = hf_holder_alloc(w->p->h, type, ret_id);
    if (rc == HF_OK)
        drv_take(w->p->d, *ret_id);
    if (w->manner & IMPATIENT && (rc == HF_ETIMEOUT || rc == HF_ELIMIT))
        rc = HF_OK;
    return failed(w, rc, "alloc");
}

/* Have one watched; ret_id is 0 if it was not. */
static int track_one(struct walker *w, hf_resid *ret_id)
{
    hf_resid id = TRACKED + w->number * 1000 + (w->tracked + 1) % 1000;
    int rc;

    if (!(w->manner & TRACKING) || roll(w, 2))
        return HF_OK;
    w->tracked++;
    drv_made(w->p->d, id);
    rc = hf_holder_track(w->p->h, id);
    if (rc == HF_OK)
        *ret_id = id;
    else
        drv_unmade(w->p->d, id);
    return failed(w, rc, "track");
}

static int untrack_one(struct walker *w, hf_resid id)
{
    int destroy = roll(w, 4) > 0;
    int rc = failed(w, hf_holder_untrack(w->p->h, id, destroy), "untrack");

    if (rc == HF_OK && !destroy)
        drv_unmade(w->p->d, id);
    return rc;
}

/* What others do to the whole holder at any time. */
static int meddle(struct walker *w)
{
    switch (roll(w, 20)) {
    case 0:
        return failed(w, hf_holder_flush(w->p->h, 0, HF_FLUSH_IDLE), "flush");
    case 1:
        return failed(w, hf_holder_flush(w->p->h, 7, HF_FLUSH_ALL), "flush");
    case 2:
        return failed(w, hf_holder_sweep(w->p->h), "sweep");
    case 3:
        return failed(w, hf_manager_tick(w->p->m, NULL), "tick");
    case 4:
        return failed(w, hf_holder_resize(w->p->h, w->p->config.max), "resize");
    case 5:
        (void)pool_stats(w->p);
        return HF_OK;
    default:
        return HF_OK;
    }
}

/* What is left in its hands after the transaction. */
static int let_go(struct walker *w, hf_resid tracked, int rc)
{
    bool leave = w->manner & LEAVING && roll(w, 2);

    for (unsigned n = 0; n < HELD; n++) {
        hf_resid id = w->held[n];

        w->held[n] = 0;
        if (id == 0)
            continue;
        if (leave)
            drv_give(w->p->d, id);
        else if (give_back(w, id) != HF_OK)
            rc = -1;
    }
    if (leave && failed(w, hf_manager_owner_end(w->p->m, w->number + 1), "owner_end") != HF_OK)
        return -1;
    if (!leave && tracked != 0 && untrack_one(w, tracked) != HF_OK)
        return -1;
    return rc;
}

/* Allocate some, in a transaction or not; free each before its transaction ends or after. */
static int one_round(struct walker *w)
{
    hf_resid tracked = 0;
    hf_tx *tx = NULL;
    int rc = HF_OK, ended = HF_OK;

    if (roll(w, 3) > 0)
        rc = failed(w, hf_tx_begin(w->p->w->tm, 0, &tx), "begin");
    for (unsigned n = 0; n < HELD && rc == HF_OK; n++) {
        rc = get_one(w, &w->held[n]);
        if (rc == HF_OK && w->held[n] != 0 && roll(w, 2)) {
            rc = give_back(w, w->held[n]);
            w->held[n] = 0;
        }
    }
    if (rc == HF_OK)
        rc = track_one(w, &tracked);
    if (tx != NULL && roll(w, 2))
        ended = failed(w, hf_tx_commit(tx, NULL), "commit");
    else if (tx != NULL)
        ended = failed(w, hf_tx_rollback(tx, NULL), "rollback");
    return let_go(w, tracked, rc != HF_OK ? rc : ended);
}

static int walk(void *arg)
{
    struct walker *w = arg;
    int rc = HF_OK;

    drv_owner_here(w->number + 1);
    for (unsigned n = 0; n < ROUNDS && rc == HF_OK; n++) {
        rc = one_round(w);
        if (rc == HF_OK)
            rc = meddle(w);
    }
    return rc == HF_ECLOSED && w->manner & INTERRUPTED ? HF_OK : rc;
}

/* Where a thread sweeps beside, and resources do not live long: until it has nothing to do. */
static void until_swept(struct pool *p)
{
    uint64_t end = now_ms() + 30 * 1000;

    while (p->manager.background != 0 && now_ms() < end) {
        if (drv_alive(p->d) == 0 && pool_stats(p).destroyed == drv_calls(p->d, DRV_DESTROY))
            return;
        sleep_ms(2);
    }
}

static void start_walk(struct pool *p, struct walker *walkers, uint64_t seed, unsigned manner)
{
    for (unsigned n = 0; n < THREADS; n++) {
        walkers[n] =
            (struct walker){.p = p, .random = seed * 1000 + n, .number = n, .manner = manner};
        job_start(&walkers[n].job, walk, &walkers[n]);
    }
}

static void end_walk(struct walker *walkers, uint64_t seed)
{
    unsigned bad = 0;

    for (unsigned n = 0; n < THREADS; n++) {
        int rc = job_end(&walkers[n].job);

        bad += rc != HF_OK;
        if (rc != HF_OK)
            print_error("seed %lu, thread %u: %s: %s\n", (unsigned long)seed, n,
                        walkers[n].what != NULL ? walkers[n].what : "?", hf_strerror(rc));
    }
    assert_int_equal(bad, 0);
}

static void all_walk(struct pool *p, uint64_t seed, unsigned manner)
{
    struct walker walkers[THREADS];
    hf_holder_stats stats;

    start_walk(p, walkers, seed, manner);
    end_walk(walkers, seed);
    until_swept(p);
    stats = pool_stats(p);
    assert_int_equal(stats.used + stats.used_enlisted + stats.idle_enlisted + stats.doomed, 0);
    assert_int_equal(stats.idle, drv_alive(p->d));
    assert_int_equal(stats.created, drv_calls(p->d, DRV_CREATE));
    assert_int_equal(stats.tracked, 0);
    if (!(manner & TRACKING))
        assert_int_equal(stats.destroyed, drv_calls(p->d, DRV_DESTROY));
}

static void line_29__no_id_has_two_owners_and_no_callbacks_overlap(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    all_walk(p, 1, 0);
}

static void line_29__with_callbacks_that_take_their_time(void **state)
{
    struct pool *p = *state;

    p->d->delay_us = 20;
    drv_offer(p->d, 1u << DRV_TX_END | 1u << DRV_ADAPT | 1u << DRV_VALIDATE);
    drv_rate(p->d, 7, 0, 1, 60);
    pool_open(p);
    all_walk(p, 2, 0);
}

static void line_29__with_resource_managers(void **state)
{
    struct pool *p = *state;

    world_start(p->w, 1);
    p->d->rm = p->w->rm[A];
    pool_open(p);
    all_walk(p, 3, 0);
    assert_int_equal(fake_in_doubt(A), 0);
}

static void line_29__with_a_maximum_and_a_sweep_beside(void **state)
{
    struct pool *p = *state;

    p->manager.background = 1;
    p->manager.sweep_ms = 1;
    p->config.max = 3 * THREADS;
    p->config.wait_ms = 60 * 1000;
    p->config.life_ms = 20;
    pool_open(p);
    all_walk(p, 4, 0);
    assert_true(pool_stats(p).most <= 3 * THREADS);
}

static void line_29__with_waits_in_vain(void **state)
{
    struct pool *p = *state;

    p->config.max = 3;
    p->d->delay_us = 20;
    pool_open(p);
    all_walk(p, 5, IMPATIENT);
    assert_true(pool_stats(p).most <= 3);
    assert_int_equal(pool_stats(p).waiting, 0);
}

static void line_29__with_tracked_ones_and_owners_that_end(void **state)
{
    struct pool *p = *state;

    p->config.flags = HF_HOLDER_RECLAIM;
    drv_offer(p->d, 1u << DRV_TX_END);
    pool_open(p);
    all_walk(p, 10, TRACKING | LEAVING);
    assert_true(pool_stats(p).reclaimed > 0);
}

/* Line 28 with many: whoever comes too late is told, and what they have is destroyed. */
static void closed_in_the_midst(struct pool *p, hf_close how, uint64_t seed)
{
    struct walker walkers[THREADS];

    p->d->delay_us = 20;
    pool_open(p);
    start_walk(p, walkers, seed, INTERRUPTED | TRACKING);
    while (drv_calls(p->d, DRV_CREATE) < 20)
        sleep_ms(1);
    t_ok(hf_holder_close(p->h, how, 30 * 1000, NULL));
    end_walk(walkers, seed);
    assert_int_equal(drv_alive(p->d), 0);
    assert_int_equal(drv_calls(p->d, DRV_RELEASED), 1);
}

static void line_29__closed_in_the_midst(void **state)
{
    closed_in_the_midst(*state, HF_CLOSE_DETACH, 11);
}

static void line_29__closed_in_the_midst_by_one_who_waits(void **state)
{
    closed_in_the_midst(*state, HF_CLOSE_WAIT, 12);
}

/* A driver with as little as there may be, and nobody who listens: the shortest ways. */
static void line_29__with_next_to_nothing(void **state)
{
    struct pool *p = *state;

    p->manager = (hf_manager_config)HF_MANAGER_CONFIG_INIT;
    drv_withhold(p->d, 1u << DRV_RATE | 1u << DRV_RESET);
    pool_open(p);
    all_walk(p, 8, 0);
}

/* -- transactions that go from thread to thread ------------------------------------------------ */

struct visitor {
    struct walker w;
    struct slot {
        pthread_mutex_t lock; /* who has it has the transaction */
        hf_tx *tx;
    } * slots;
};

/* Resume a transaction, or begin one; work; suspend it, or end it. */
static int visit(struct visitor *v, struct slot *slot)
{
    struct walker *w = &v->w;
    int rc = slot->tx != NULL ? failed(w, hf_tx_resume(slot->tx), "resume")
                              : failed(w, hf_tx_begin(w->p->w->tm, 0, &slot->tx), "begin");

    for (unsigned n = roll(w, 3); n > 0 && rc == HF_OK; n--) {
        hf_resid id = 0;

        rc = get_one(w, &id);
        if (rc == HF_OK)
            rc = give_back(w, id);
    }
    if (rc != HF_OK)
        return rc;
    if (roll(w, 3) > 0)
        return failed(w, hf_tx_suspend(slot->tx), "suspend");
    rc = roll(w, 2) ? failed(w, hf_tx_commit(slot->tx, NULL), "commit")
                    : failed(w, hf_tx_rollback(slot->tx, NULL), "rollback");
    slot->tx = NULL;
    return rc;
}

static int visit_all(void *arg)
{
    struct visitor *v = arg;
    int rc = HF_OK;

    for (unsigned n = 0; n < VISITS && rc == HF_OK; n++) {
        struct slot *slot = &v->slots[roll(&v->w, SLOTS)];

        pthread_mutex_lock(&slot->lock);
        rc = visit(v, slot);
        pthread_mutex_unlock(&slot->lock);
        if (rc == HF_OK)
            rc = meddle(&v->w);
    }
    return rc;
}

static void hand_around(struct pool *p, uint64_t seed)
{
    struct slot slots[SLOTS];
    struct visitor visitors[THREADS];
    unsigned bad = 0;

    for (unsigned n = 0; n < SLOTS; n++) {
        slots[n].tx = NULL;
        assert_int_equal(pthread_mutex_init(&slots[n].lock, NULL), 0);
    }
    for (unsigned n = 0; n < THREADS; n++) {
        visitors[n] = (struct visitor){.w = {.p = p, .random = seed * 1000 + n}, .slots = slots};
        job_start(&visitors[n].w.job, visit_all, &visitors[n]);
    }
    for (unsigned n = 0; n < THREADS; n++) {
        int rc = job_end(&visitors[n].w.job);

        bad += rc != HF_OK;
        if (rc != HF_OK)
            print_error("seed %lu, thread %u: %s: %s\n", (unsigned long)seed, n,
                        visitors[n].w.what != NULL ? visitors[n].w.what : "?", hf_strerror(rc));
    }
    for (unsigned n = 0; n < SLOTS; n++) {
        if (slots[n].tx != NULL && hf_tx_resume(slots[n].tx) == HF_OK)
            t_ok(hf_tx_commit(slots[n].tx, NULL));
        (void)pthread_mutex_destroy(&slots[n].lock);
    }
    assert_int_equal(bad, 0);
    assert_int_equal(pool_stats(p).idle, drv_alive(p->d));
    assert_int_equal(pool_stats(p).idle_enlisted, 0);
    assert_true(pool_stats(p).reused_enlisted > 0);
}

static void line_29__with_transactions_that_go_from_thread_to_thread(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    hand_around(p, 6);
}

static void line_29__the_same_with_next_to_nothing(void **state)
{
    struct pool *p = *state;

    p->manager = (hf_manager_config)HF_MANAGER_CONFIG_INIT;
    drv_withhold(p->d, 1u << DRV_RATE | 1u << DRV_RESET);
    pool_open(p);
    hand_around(p, 9);
}

static void line_29__the_same_with_branches_and_all_hooks(void **state)
{
    struct pool *p = *state;

    world_start(p->w, 1);
    fake_migrates(A);
    p->d->rm = p->w->rm[A];
    drv_offer(p->d, 1u << DRV_SUSPEND | 1u << DRV_RESUME | 1u << DRV_TX_END);
    pool_open(p);
    hand_around(p, 7);
    assert_int_equal(fake_in_doubt(A), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(line_29__no_id_has_two_owners_and_no_callbacks_overlap),
        T(line_29__with_callbacks_that_take_their_time),
        T(line_29__with_resource_managers),
        T(line_29__with_a_maximum_and_a_sweep_beside),
        T(line_29__with_waits_in_vain),
        T(line_29__with_tracked_ones_and_owners_that_end),
        T(line_29__closed_in_the_midst),
        T(line_29__closed_in_the_midst_by_one_who_waits),
        T(line_29__with_next_to_nothing),
        T(line_29__with_transactions_that_go_from_thread_to_thread),
        T(line_29__the_same_with_next_to_nothing),
        T(line_29__the_same_with_branches_and_all_hooks),
    };
    return cmocka_run_group_tests_name("holder.threads", tests, NULL, NULL);
}
