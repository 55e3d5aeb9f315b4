/*
 * What: transactions whose time is over: marked, their work cancelled, rolled back by their owner;
 *       before the decision, never during or after it (transaction.h, tm.h).
 * How:  short deadlines, ticks by the test itself or by the background thread, and a scripted
 *       cancel hook that can be held up.
 */
#include "support/fake_rm.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

enum {
    REQUESTS_MS = 250,  /* what a tick says when nothing else is due */
    SOON_MS = 500,      /* a deadline: enough to enlist in it and to look, on a busy machine */
    FIRST_PAUSE_MS = 50 /* between the first cancel and the second; it doubles */
};

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* All with a cancel hook; a transaction with the first `enlisted` of them and so much time. */
static struct world *start(void **state, int count, int enlisted, uint32_t timeout_ms,
                           hf_tx **ret_tx)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;

    for (int n = 0; n < count; n++)
        fake_offer(n, 1u << FAKE_CANCEL);
    config.dir = w->node;
    config.recover_ms = config.recover_max_ms = 3600 * 1000; /* no pass is in the trace */
    t_ok(hf_tm_open(&config, &w->tm));
    world_register(w, count);
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, count);
    t_ok(hf_tx_begin(w->tm, timeout_ms, ret_tx));
    for (int n = 0; n < enlisted; n++)
        t_ok(hf_tx_enlist(*ret_tx, w->in[n]));
    world_trace_clear();
    return w;
}

static unsigned cancels(void)
{
    unsigned count = 0;

    for (int n = 0; n < FAKE_RMS; n++)
        count += fake_calls(n, FAKE_CANCEL);
    return count;
}

/* -- the limits -------------------------------------------------------------------------------- */

static void zero__is_no_deadline(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 1, 1, 0, &tx);
    uint32_t next = 0;

    pause_ms(20);
    t_ok(hf_tm_tick(w->tm, &next));
    assert_int_equal(next, REQUESTS_MS);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(cancels(), 0);
}

static void the_longest__is_weeks_away(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 1, 1, UINT32_MAX, &tx);
    uint32_t next = 0;

    t_ok(hf_tm_tick(w->tm, &next));
    assert_int_equal(next, REQUESTS_MS);
    t_ok(hf_tx_enlist(tx, w->in[A]));
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(cancels(), 0);
}

static void tick__says_when_the_next_one_is_due(void **state)
{
    hf_tx *tx, *longer;
    struct world *w = start(state, 1, 1, SOON_MS, &tx);
    uint32_t next = 0;

    t_ok(hf_tm_tick(w->tm, &next));
    assert_in_range(next, 0, SOON_MS + 1);
    t_ok(hf_tx_suspend(tx));
    t_ok(hf_tx_begin(w->tm, 3600000, &longer)); /* a later one does not put it off */
    t_ok(hf_tm_tick(w->tm, &next));
    assert_in_range(next, 0, SOON_MS + 1);
    pause_ms(SOON_MS + 10);
    t_ok(hf_tm_tick(w->tm, &next));
    assert_in_range(next, 0, FIRST_PAUSE_MS); /* it is cancelled again then */
    assert_int_equal(cancels(), 1);
    t_ok(hf_tx_commit(longer, NULL));
    t_ok(hf_tx_resume(tx));
    t_ok(hf_tx_rollback(tx, NULL));
}

/* -- what expiry does -------------------------------------------------------------------------- */

static void expired__is_cancelled_and_rolled_back_by_its_owner(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 3, 2, SOON_MS, &tx);
    hf_result result = HF_RESULT_INIT;

    t_ok(hf_tm_tick(w->tm, NULL));
    world_expect(""); /* not yet */
    pause_ms(SOON_MS + 10);
    t_ok(hf_tm_tick(w->tm, NULL));
    world_expect("a.cancel b.cancel");
    t_rc(HF_EROLLEDBACK, hf_tx_enlist(tx, w->in[C]));
    t_rc(HF_EROLLEDBACK, hf_tx_enlist(tx, w->in[A]));
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &result));
    assert_int_equal(result.outcome, HF_ROLLEDBACK);
    assert_string_equal(result.call, "deadline");
    world_expect("a.end(fail) b.end(fail) a.rollback b.rollback");
}

static void expired__is_noticed_without_a_tick(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 2, 1, SOON_MS, &tx);

    pause_ms(SOON_MS + 10);
    t_rc(HF_EROLLEDBACK, hf_tx_enlist(tx, w->in[B]));
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    world_expect("a.end(fail) a.rollback");
}

static void cancel__is_for_instances_in_use(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 2, 2, SOON_MS, &tx);

    t_ok(hf_tx_delist(tx, w->in[A]));
    fake_answer(B, FAKE_CANCEL, 1); /* it can not: nothing follows from that */
    pause_ms(SOON_MS + 10);
    t_ok(hf_tm_tick(w->tm, NULL));
    world_expect("b.cancel");
    t_ok(hf_tx_rollback(tx, NULL));
}

/* Tick until there were so many, or for that long: how many there were. */
static unsigned tick_until(struct world *w, unsigned count, double ms)
{
    double end = now_ms() + ms;

    while (cancels() < count && now_ms() < end) {
        t_ok(hf_tm_tick(w->tm, NULL));
        pause_ms(5);
    }
    return cancels();
}

enum { SLOW_MS = 120 };

/* The first cancels: whose they were, and when by the clock of whoever called. */
struct round {
    unsigned count;
    unsigned whose; /* a bit for each */
    double began[FAKE_RMS], ended[FAKE_RMS];
};

static void take_time(struct round *r, int rm, enum fake_call call, long ms)
{
    if (call != FAKE_CANCEL || r->count == FAKE_RMS)
        return;
    r->whose |= 1u << rm;
    r->began[r->count] = now_ms();
    if (ms > 0)
        pause_ms(ms);
    r->ended[r->count++] = now_ms();
}

static void say_when(void *user, int rm, enum fake_call call)
{
    take_time(user, rm, call, 0);
}

static void be_slow(void *user, int rm, enum fake_call call)
{
    take_time(user, rm, call, SLOW_MS);
}

/* The first one may have come before the server had begun with what it should stop. */
static void cancel__is_repeated_while_the_instance_is_in_use(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 2, 2, SOON_MS, &tx);
    struct round r = {0};
    uint32_t next = 0;

    t_ok(hf_tx_delist(tx, w->in[B]));
    fake_on_call(say_when, &r);
    assert_int_equal(tick_until(w, 3, 20000), 3);
    fake_on_call(NULL, NULL);
    assert_true(r.began[1] - r.ended[0] >= FIRST_PAUSE_MS - 2); /* it counts whole milliseconds */
    assert_true(r.began[2] - r.ended[1] >= 2 * FIRST_PAUSE_MS - 2);
    t_ok(hf_tx_delist(tx, w->in[A]));
    assert_int_equal(tick_until(w, 4, 4 * FIRST_PAUSE_MS + 100), 3); /* it has returned */
    t_ok(hf_tm_tick(w->tm, &next));
    assert_int_equal(next, REQUESTS_MS);
    assert_int_equal(fake_calls(B, FAKE_CANCEL), 0);
    t_ok(hf_tx_rollback(tx, NULL));
}

static void cancel__is_not_repeated_too_often(void **state)
{
    unsigned seen;
    double from;
    hf_tx *tx;
    struct world *w = start(state, 1, 1, SOON_MS, &tx);

    /* After 0, 50, 150, 350 ms; then at 750. With fewer this thread had no time; the time itself
       is measured, so that it may be longer. */
    pause_ms(SOON_MS + 10);
    from = now_ms();
    seen = tick_until(w, 100, 600);
    assert_in_range(seen, 1, 4 + (unsigned)(now_ms() - from) / 400);
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(tick_until(w, 100, 500), seen);
}

/* So that one thread's ticks have time for other things. */
static void cancel__that_takes_long_is_not_repeated_sooner(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 1, 1, SOON_MS, &tx);
    struct round r = {0};

    fake_on_call(be_slow, &r);
    assert_int_equal(tick_until(w, 2, 20000), 2);
    fake_on_call(NULL, NULL);
    assert_true(r.began[1] - r.ended[0] >= SLOW_MS - 10); /* it begins later than it sets out */
    t_ok(hf_tx_rollback(tx, NULL));
}

/* Transactions with an instance each, all of which are over, and nobody's. */
static struct world *all_over(void **state, hf_tx *ret_txs[FAKE_RMS])
{
    struct world *w = start(state, FAKE_RMS, 1, SOON_MS, &ret_txs[A]);

    for (int n = B; n < FAKE_RMS; n++) {
        t_ok(hf_tx_suspend(ret_txs[n - 1]));
        t_ok(hf_tx_begin(w->tm, SOON_MS, &ret_txs[n]));
        t_ok(hf_tx_enlist(ret_txs[n], w->in[n]));
    }
    t_ok(hf_tx_suspend(ret_txs[FAKE_RMS - 1]));
    pause_ms(SOON_MS + 10);
    return w;
}

/* However many are over: a tick is held up for so long, and then for as long it is not. */
static void cancels__of_many_leave_the_tick_half_its_time(void **state)
{
    hf_tx *txs[FAKE_RMS];
    struct world *w = all_over(state, txs);
    struct round r = {0};
    unsigned first;
    uint32_t next = REQUESTS_MS;

    fake_on_call(be_slow, &r);
    t_ok(hf_tm_tick(w->tm, &next));
    first = cancels();
    assert_in_range(first, 1, FAKE_RMS - 1);
    assert_in_range(next, 0, REQUESTS_MS);
    assert_in_range(tick_until(w, FAKE_RMS, 20000), FAKE_RMS, UINT_MAX);
    fake_on_call(NULL, NULL);
    assert_int_equal(r.whose, (1u << FAKE_RMS) - 1); /* none again before each had its turn */
    assert_true(r.began[first] - r.ended[first - 1] >= r.ended[first - 1] - r.began[0] - 10);
    for (int n = 0; n < FAKE_RMS; n++) {
        t_ok(hf_tx_resume(txs[n]));
        t_ok(hf_tx_rollback(txs[n], NULL));
    }
}

static _Atomic unsigned shared_cancels;

static int count_cancel(void *user, int rmid)
{
    (void)user, (void)rmid;
    shared_cancels++;
    return HF_OK;
}

/* The rmid would not say whose work it is. */
static void cancel__is_not_for_an_rmid_that_threads_share(void **state)
{
    static const hf_rm_ext ext = {.size = sizeof(ext), .cancel = count_cancel};
    struct world *w = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    uint32_t next = 0;
    hf_tx *tx;

    shared_cancels = 0;
    world_open(w);
    config.name = "a";
    config.xa = fake_switch(A);
    config.ext = &ext;
    config.one_rmid = 1;
    t_ok(hf_rm_register(w->tm, &config, &w->rm[A]));
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 1);
    t_ok(hf_tx_begin(w->tm, SOON_MS, &tx));
    t_ok(hf_tx_enlist(tx, w->in[A]));
    pause_ms(SOON_MS + 10);
    t_ok(hf_tm_tick(w->tm, &next));
    assert_int_equal(next, REQUESTS_MS); /* nor will it be */
    assert_int_equal(shared_cancels, 0);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
}

static void expired__while_it_is_nobodys(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 1, 1, SOON_MS, &tx);

    t_ok(hf_tx_suspend(tx));
    pause_ms(SOON_MS + 10);
    t_ok(hf_tm_tick(w->tm, NULL));
    world_expect("a.cancel");
    t_ok(hf_tx_resume(tx));
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    world_expect("a.end(fail) a.rollback");
}

static void expired__also_while_the_node_closes(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 1, 1, SOON_MS, &tx);

    t_rc(HF_EBUSY, hf_tm_close(w->tm, SOON_MS + 200, NULL));
    t_rc(HF_ESTATE, hf_tm_tick(w->tm, NULL));
    world_expect("a.cancel");
    t_ok(hf_tx_rollback(tx, NULL));
}

/* -- never during or after the decision -------------------------------------------------------- */

struct late {
    struct world *w;
    unsigned ticks;
};

static void let_it_expire(void *user, int rm, enum fake_call call)
{
    struct late *late = user;

    (void)rm;
    if (call == FAKE_PREPARE && late->ticks == 0)
        pause_ms(SOON_MS + 10);
    if (call == FAKE_PREPARE || call == FAKE_COMMIT) {
        t_ok(hf_tm_tick(late->w->tm, NULL));
        late->ticks++;
    }
}

static void expired__while_completing_changes_nothing(void **state)
{
    hf_tx *tx;
    struct world *w = start(state, 2, 2, SOON_MS, &tx);
    struct late late = {.w = w};

    fake_on_call(let_it_expire, &late);
    t_ok(hf_tx_commit(tx, NULL));
    fake_on_call(NULL, NULL);
    assert_int_equal(late.ticks, 4);
    assert_int_equal(cancels(), 0);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}

/* -- a cancel that takes its time -------------------------------------------------------------- */

struct held {
    struct world *w;
    _Atomic int in_cancel; /* 1 + the resource manager whose hook was called first */
    _Atomic int go_on;
};

static void hold_first_cancel(void *user, int rm, enum fake_call call)
{
    struct held *held = user;
    int none = 0;

    if (call != FAKE_CANCEL || !atomic_compare_exchange_strong(&held->in_cancel, &none, 1 + rm))
        return;
    for (int i = 0; i < 20000 && !held->go_on; i++) /* bound: 20 s, and the test fails */
        pause_ms(1);
}

static void *tick(void *arg)
{
    return (void *)(intptr_t)hf_tm_tick(((struct held *)arg)->w->tm, NULL);
}

static void *let_go_soon(void *arg)
{
    pause_ms(100);
    ((struct held *)arg)->go_on = 1;
    return NULL;
}

/* So that a cancel never hits what the instance does next. */
static void completion__waits_for_a_cancel_that_runs(void **state)
{
    hf_tx *tx;
    struct held held = {.w = start(state, 1, 1, SOON_MS, &tx)};
    pthread_t ticker, waker;

    fake_on_call(hold_first_cancel, &held);
    pause_ms(SOON_MS + 10);
    assert_int_equal(pthread_create(&ticker, NULL, tick, &held), 0);
    while (held.in_cancel == 0)
        pause_ms(1);
    assert_int_equal(pthread_create(&waker, NULL, let_go_soon, &held), 0);
    t_ok(hf_tx_rollback(tx, NULL));
    assert_int_equal(pthread_join(ticker, NULL), 0);
    assert_int_equal(pthread_join(waker, NULL), 0);
    fake_on_call(NULL, NULL);
    world_expect("a.cancel a.end(fail) a.rollback"); /* the hook writes when it goes on */
}

static void completion__does_not_wait_for_the_cancel_of_another(void **state)
{
    hf_tx *tx[2];
    struct held held = {.w = start(state, 2, 1, SOON_MS, &tx[A])};
    pthread_t ticker;
    int first;

    t_ok(hf_tx_suspend(tx[A]));
    t_ok(hf_tx_begin(held.w->tm, SOON_MS, &tx[B]));
    t_ok(hf_tx_enlist(tx[B], held.w->in[B]));
    t_ok(hf_tx_suspend(tx[B]));
    fake_on_call(hold_first_cancel, &held);
    pause_ms(SOON_MS + 10);
    assert_int_equal(pthread_create(&ticker, NULL, tick, &held), 0);
    while (held.in_cancel == 0)
        pause_ms(1);
    first = held.in_cancel - 1;
    t_ok(hf_tx_resume(tx[1 - first]));
    t_rc(HF_EROLLEDBACK, hf_tx_commit(tx[1 - first], NULL)); /* while the other one hangs */
    held.go_on = 1;
    assert_int_equal(pthread_join(ticker, NULL), 0);
    fake_on_call(NULL, NULL);
    assert_int_equal(cancels(), 1); /* of the other one nothing runs any more */
    t_ok(hf_tx_resume(tx[first]));
    t_ok(hf_tx_rollback(tx[first], NULL));
}

/* -- our thread -------------------------------------------------------------------------------- */

static void note_cancel(void *user, int rm, enum fake_call call)
{
    (void)rm;
    if (call == FAKE_CANCEL)
        atomic_fetch_add((_Atomic unsigned *)user, 1);
}

/* It slept for longer when the transaction began: the begin wakes it. */
static void background__cancels_in_time(void **state)
{
    struct world *w = *state;
    hf_tm_config config = HF_TM_CONFIG_INIT;
    _Atomic unsigned seen = 0;
    double fastest = 1e9;

    fake_offer(A, 1u << FAKE_CANCEL);
    fake_on_call(note_cancel, &seen);
    config.dir = w->node;
    config.background = 1;
    t_ok(hf_tm_open(&config, &w->tm));
    world_register(w, 1);
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 1);
    for (unsigned good = 0; good < 5;) { /* bound: the test's time limit */
        double from;
        hf_tx *tx;

        pause_ms(40); /* it sleeps by now */
        seen = 0;
        from = now_ms();
        t_ok(hf_tx_begin(w->tm, 10, &tx));
        if (hf_tx_enlist(tx, w->in[A]) != HF_OK) { /* the machine was busy for longer: again */
            t_ok(hf_tx_rollback(tx, NULL));
            continue;
        }
        good++;
        for (int ms = 0; ms < 20000 && seen == 0; ms++) /* bound: 20 s, and then it fails */
            pause_ms(1);
        assert_true(seen > 0);
        fastest = now_ms() - from < fastest ? now_ms() - from : fastest;
        t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, NULL));
    }
    assert_true(fastest >= 10 && fastest < 200); /* by its own clock it looks every 250 ms */
    fake_on_call(NULL, NULL);
    t_ok(hf_instance_close(w->in[A]));
    w->in[A] = NULL;
    t_ok(hf_tm_close(w->tm, 20000, NULL));
    w->tm = NULL;
}

/* -- everything at once ------------------------------------------------------------------------ */

enum { ROUNDS = 60 };

struct storm {
    struct world *w;
    _Atomic int completing[FAKE_RMS];
    _Atomic unsigned hit, cancelled, committed, rolled_back, ended;
    _Atomic int failed;
};

struct worker {
    struct storm *storm;
    int n;
};

static void watch_storm(void *user, int rm, enum fake_call call)
{
    struct storm *s = user;

    if (call == FAKE_END)
        s->completing[rm] = 1;
    if (call != FAKE_CANCEL)
        return;
    s->cancelled++;
    for (int i = 0; i < 3; i++) { /* as long as it runs nothing else may begin */
        s->hit += s->completing[rm] != 0;
        pause_ms(1);
    }
    s->hit += s->completing[rm] != 0;
}

static void *work(void *arg)
{
    struct worker *me = arg;
    struct storm *s = me->storm;

    for (int i = 0; i < ROUNDS; i++) {
        hf_tx *tx = NULL;
        int rc;

        s->completing[me->n] = 0;
        if (hf_tx_begin(s->w->tm, 1 + (uint32_t)(i % 3), &tx) != HF_OK) {
            s->failed = 1;
            break;
        }
        rc = hf_tx_enlist(tx, s->w->in[me->n]);
        s->failed |= rc != HF_OK && rc != HF_EROLLEDBACK;
        pause_ms(i % 5);
        rc = hf_tx_commit(tx, NULL);
        s->failed |= rc != HF_OK && rc != HF_EROLLEDBACK;
        s->committed += rc == HF_OK;
        s->rolled_back += rc == HF_EROLLEDBACK;
    }
    s->ended++;
    return NULL;
}

static void storm__no_cancel_hits_a_completion(void **state)
{
    struct storm s = {.w = *state};
    struct worker workers[FAKE_RMS];
    pthread_t threads[FAKE_RMS];

    for (int n = 0; n < FAKE_RMS; n++)
        fake_offer(n, 1u << FAKE_CANCEL);
    world_start(s.w, FAKE_RMS);
    fake_on_call(watch_storm, &s);
    for (int n = 0; n < FAKE_RMS; n++) {
        workers[n] = (struct worker){&s, n};
        assert_int_equal(pthread_create(&threads[n], NULL, work, &workers[n]), 0);
    }
    while (s.ended < FAKE_RMS)
        t_ok(hf_tm_tick(s.w->tm, NULL));
    for (int n = 0; n < FAKE_RMS; n++)
        assert_int_equal(pthread_join(threads[n], NULL), 0);
    fake_on_call(NULL, NULL);
    assert_false(s.failed);
    assert_int_equal(s.hit, 0);
    assert_int_equal(s.committed + s.rolled_back, FAKE_RMS * ROUNDS);
    assert_true(s.rolled_back > 0 && s.cancelled > 0);
}

static void state__says_what_may_still_be_done(void **state)
{
    hf_tx *tx;
    hf_tx_state now = 0;
    struct world *w = start(state, 2, 1, 0, &tx);

    t_ok(hf_tx_get_state(tx, &now));
    assert_int_equal(now, HF_TX_ACTIVE);
    t_ok(hf_tx_set_rollback_only(tx));
    t_ok(hf_tx_get_state(tx, &now));
    assert_int_equal(now, HF_TX_ROLLBACK_ONLY);
    t_rc(HF_EINVAL, hf_tx_get_state(tx, NULL));
    t_rc(HF_EINVAL, hf_tx_get_state(NULL, &now));
    t_ok(hf_tx_rollback(tx, NULL));

    t_ok(hf_tx_begin(w->tm, SOON_MS, &tx)); /* no tick: the question itself has to notice */
    pause_ms(SOON_MS + 10);
    t_ok(hf_tx_get_state(tx, &now));
    assert_int_equal(now, HF_TX_TIMED_OUT);
    t_rc(HF_EROLLEDBACK, hf_tx_enlist(tx, w->in[1]));
    t_ok(hf_tx_rollback(tx, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(zero__is_no_deadline),
        T(the_longest__is_weeks_away),
        T(tick__says_when_the_next_one_is_due),
        T(expired__is_cancelled_and_rolled_back_by_its_owner),
        T(expired__is_noticed_without_a_tick),
        T(cancel__is_for_instances_in_use),
        T(cancel__is_repeated_while_the_instance_is_in_use),
        T(cancel__is_not_repeated_too_often),
        T(cancel__that_takes_long_is_not_repeated_sooner),
        T(cancels__of_many_leave_the_tick_half_its_time),
        T(cancel__is_not_for_an_rmid_that_threads_share),
        T(expired__while_it_is_nobodys),
        T(expired__also_while_the_node_closes),
        T(expired__while_completing_changes_nothing),
        T(completion__waits_for_a_cancel_that_runs),
        T(completion__does_not_wait_for_the_cancel_of_another),
        T(background__cancels_in_time),
        T(state__says_what_may_still_be_done),
        T(storm__no_cancel_hits_a_completion),
    };

    return cmocka_run_group_tests_name("tm.deadline", tests, NULL, NULL);
}
