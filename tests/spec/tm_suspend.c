/*
 * What: suspend, resume, hand-over; who has an instance in use; two instances of one resource
 *       manager in one transaction (transaction.h; [XA] table 6-2).
 * How:  a second thread that makes one call, or a whole completion, and hands back its code. "a" is
 *       bound to its thread, "b" to "d" are not. Last, the same with a real store.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <sched.h>

#include "holdfast/kv.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

struct pair {
    struct world *w;
    hf_tx *tx;
    hf_instance *in;
};

/* Run fn(p) in a thread of its own, and return what it returns. */
static int elsewhere(void *(*fn)(void *), struct pair *p)
{
    pthread_t thread;
    void *ret = NULL;

    assert_int_equal(pthread_create(&thread, NULL, fn, p), 0);
    assert_int_equal(pthread_join(thread, &ret), 0);
    return (int)(intptr_t)ret;
}

#define THREAD(name, call)                                                                         \
    static void *name(void *arg)                                                                   \
    {                                                                                              \
        struct pair *p = arg;                                                                      \
        return (void *)(intptr_t)(call);                                                           \
    }

THREAD(try_suspend, hf_tx_suspend(p->tx))
THREAD(try_resume, hf_tx_resume(p->tx))
THREAD(try_spoil, hf_tx_set_rollback_only(p->tx))

/* As a worker that is given a transaction: resume it, make one call, suspend it if it is there. */
static int visit(struct pair *p, int (*call)(struct pair *p))
{
    int rc = hf_tx_resume(p->tx), after;

    if (rc != HF_OK)
        return rc;
    if (hf_tx_current(p->w->tm) != p->tx)
        return -1;
    rc = call(p);
    after = hf_tx_current(p->w->tm) != NULL ? hf_tx_suspend(p->tx) : HF_OK;
    return rc != HF_OK ? rc : after;
}

static int commit(struct pair *p)
{
    return hf_tx_commit(p->tx, NULL);
}

static int rollback(struct pair *p)
{
    return hf_tx_rollback(p->tx, NULL);
}

static int enlist(struct pair *p)
{
    return hf_tx_enlist(p->tx, p->in);
}

static int delist(struct pair *p)
{
    return hf_tx_delist(p->tx, p->in);
}

THREAD(visit_commit, visit(p, commit))
THREAD(visit_rollback, visit(p, rollback))
THREAD(visit_enlist, visit(p, enlist))
THREAD(visit_delist, visit(p, delist))

/* "a" bound to its thread, "b" and "c" not; an instance of each. */
static struct pair start_bound(void **state)
{
    struct world *w = *state;
    hf_rm_config config = HF_RM_CONFIG_INIT;

    world_open(w);
    config.thread_bound = 1;
    for (int n = A; n <= C; n++) {
        config.name = (const char *[]){"a", "b", "c"}[n];
        config.xa = fake_switch(n);
        t_ok(hf_rm_register(w->tm, &config, &w->rm[n]));
        config.thread_bound = 0;
        if (n != A)
            fake_migrates(n);
    }
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, 3);
    world_trace_clear();
    return (struct pair){.w = w};
}

/* -- ordinary instances ------------------------------------------------------------------------ */

static void suspended__is_nobodys(void **state)
{
    struct pair p = start_bound(state);
    hf_sync sync = {NULL, NULL, NULL};
    hf_result result = HF_RESULT_INIT;
    XID xid;

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
    assert_int_equal(elsewhere(try_suspend, &p), HF_ETHREAD);
    t_ok(hf_tx_suspend(p.tx));
    assert_null(hf_tx_current(p.w->tm));
    t_rc(HF_ETHREAD, hf_tx_suspend(p.tx));
    t_rc(HF_ETHREAD, hf_tx_commit(p.tx, &result));
    t_rc(HF_ETHREAD, hf_tx_rollback(p.tx, &result));
    t_rc(HF_ETHREAD, hf_tx_enlist(p.tx, p.w->in[C]));
    t_rc(HF_ETHREAD, hf_tx_watch(p.tx, &sync));
    t_ok(hf_tx_xid(p.tx, &xid));
    assert_int_equal(world_stats(p.w).active, 1);
    t_rc(HF_EBUSY, hf_tm_close(p.w->tm, 0, NULL));
    t_ok(hf_tx_resume(p.tx));
    assert_ptr_equal(hf_tx_current(p.w->tm), p.tx);
    t_ok(hf_tx_commit(p.tx, NULL));
    world_expect("b.start b.end b.commit(one)");
}

static void resume__is_refused_where_there_is_one_already(void **state)
{
    struct pair p = start_bound(state);
    hf_tx *other;

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_rc(HF_ESTATE, hf_tx_resume(p.tx)); /* it is not suspended */
    assert_int_equal(elsewhere(try_resume, &p), HF_ETHREAD);
    t_ok(hf_tx_suspend(p.tx));
    t_ok(hf_tx_begin(p.w->tm, 0, &other));
    t_rc(HF_ESTATE, hf_tx_resume(p.tx));
    assert_ptr_equal(hf_tx_current(p.w->tm), other);
    t_ok(hf_tx_rollback(other, NULL));
    t_ok(hf_tx_resume(p.tx));
    t_ok(hf_tx_rollback(p.tx, NULL));
}

static void suspend__lets_one_thread_have_many(void **state)
{
    struct pair p = start_bound(state);
    hf_tx *tx[50];
    XID x, y;

    for (int i = 0; i < 50; i++) {
        t_ok(hf_tx_begin(p.w->tm, 0, &tx[i]));
        t_ok(hf_tx_suspend(tx[i]));
    }
    for (int i = 0; i < 50; i += 2) {
        t_ok(hf_tx_resume(tx[i]));
        t_ok(hf_tx_xid(tx[i], &x));
        t_ok(hf_tx_xid(tx[i + 1], &y));
        assert_memory_not_equal(x.data, y.data, 28);
        t_ok(hf_tx_commit(tx[i], NULL));
        t_ok(hf_tx_resume(tx[i + 1]));
        t_ok(hf_tx_rollback(tx[i + 1], NULL));
    }
    assert_int_equal(world_stats(p.w).active, 0);
}

static void handed_over__is_the_other_threads(void **state)
{
    struct pair p = start_bound(state);

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
    t_ok(hf_tx_delist(p.tx, p.w->in[B]));
    t_ok(hf_tx_suspend(p.tx));
    p.in = p.w->in[C];
    assert_int_equal(elsewhere(visit_enlist, &p), HF_OK);
    assert_int_equal(elsewhere(visit_delist, &p), HF_OK); /* for a thread that is gone */
    assert_int_equal(elsewhere(visit_commit, &p), HF_OK);
    assert_int_equal(fake_committed(B) + fake_committed(C), 2);
    world_expect("b.start c.start b.end c.end b.prepare c.prepare" LOG " b.commit c.commit");
}

static void handed_over__can_be_spoilt_while_nobody_has_it(void **state)
{
    struct pair p = start_bound(state);

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
    t_ok(hf_tx_suspend(p.tx));
    assert_int_equal(elsewhere(try_spoil, &p), HF_OK);
    t_ok(hf_tx_resume(p.tx));
    t_rc(HF_EROLLEDBACK, hf_tx_commit(p.tx, NULL));
    world_expect("b.start b.end(fail) b.rollback");
}

/* -- in use ------------------------------------------------------------------------------------ */

static void completion__waits_for_the_thread_that_uses_an_instance(void **state)
{
    struct pair p = start_bound(state);

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
    t_ok(hf_tx_suspend(p.tx));
    p.in = p.w->in[B];
    assert_int_equal(elsewhere(visit_commit, &p), HF_EBUSY);
    assert_int_equal(elsewhere(visit_rollback, &p), HF_EBUSY);
    assert_int_equal(elsewhere(visit_enlist, &p), HF_EBUSY);
    world_expect("b.start");
    t_ok(hf_tx_delist(p.tx, p.w->in[B])); /* not the owner any more, but its user */
    t_rc(HF_ETHREAD, hf_tx_delist(p.tx, p.w->in[B]));
    assert_int_equal(elsewhere(visit_enlist, &p), HF_OK);
    assert_int_equal(elsewhere(visit_commit, &p), HF_EBUSY); /* that thread's use, now */
    assert_int_equal(elsewhere(visit_delist, &p), HF_OK);
    assert_int_equal(elsewhere(visit_commit, &p), HF_OK);
    world_expect("b.end b.commit(one)");
}

static void completion__by_the_thread_that_uses_them_needs_no_delist(void **state)
{
    struct pair p = start_bound(state);

    for (int i = 0; i < 2; i++) {
        t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
        for (int n = A; n <= C; n++)
            t_ok(hf_tx_enlist(p.tx, p.w->in[n]));
        t_ok(hf_tx_suspend(p.tx));
        t_ok(hf_tx_resume(p.tx));
        t_ok(i == 0 ? hf_tx_commit(p.tx, NULL) : hf_tx_rollback(p.tx, NULL));
    }
    assert_int_equal(fake_committed(A) + fake_committed(B) + fake_committed(C), 3);
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B) + fake_rolled_back(C), 3);
}

struct race {
    struct pair p;
    _Atomic int resumed;
    unsigned busy;
};

static void *commit_until_free(void *arg)
{
    struct race *r = arg;
    int rc = hf_tx_resume(r->p.tx);

    r->resumed = 1;
    if (rc == HF_OK)
        while ((rc = hf_tx_commit(r->p.tx, NULL)) == HF_EBUSY)
            r->busy++;
    return (void *)(intptr_t)rc;
}

/* The delist of the one thread lets the commit of the other begin: nothing is touched after it. */
static void delist__races_with_the_commit_that_waits_for_it(void **state)
{
    struct race r = {.p = start_bound(state)};
    pthread_t thread;
    void *ret = NULL;

    for (int i = 0; i < 100; i++) {
        r.resumed = 0;
        t_ok(hf_tx_begin(r.p.w->tm, 0, &r.p.tx));
        t_ok(hf_tx_enlist(r.p.tx, r.p.w->in[B]));
        t_ok(hf_tx_suspend(r.p.tx));
        assert_int_equal(pthread_create(&thread, NULL, commit_until_free, &r), 0);
        while (!r.resumed)
            sched_yield();
        t_ok(hf_tx_delist(r.p.tx, r.p.w->in[B]));
        assert_int_equal(pthread_join(thread, &ret), 0);
        assert_int_equal((int)(intptr_t)ret, HF_OK);
    }
    assert_int_equal(fake_committed(B), 100);
}

/* -- instances that are bound to their thread -------------------------------------------------- */

static void bound__is_suspended_and_resumed_in_its_thread(void **state)
{
    struct pair p = start_bound(state);

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[A]));
    t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
    t_ok(hf_tx_suspend(p.tx));
    world_expect("a.start b.start a.end(suspend)");
    assert_int_equal(elsewhere(try_resume, &p), HF_EBUSY);
    world_expect("");
    t_ok(hf_tx_resume(p.tx));
    world_expect("a.start(resume)");
    t_ok(hf_tx_enlist(p.tx, p.w->in[A])); /* associated as before: no call */
    t_ok(hf_tx_suspend(p.tx));
    t_ok(hf_tx_resume(p.tx));
    t_ok(hf_tx_commit(p.tx, NULL));
    world_expect("a.end(suspend) a.start(resume) a.end b.end a.prepare b.prepare" LOG
                 " a.commit b.commit");
}

static void bound__that_is_delisted_does_not_hold_the_transaction(void **state)
{
    struct pair p = start_bound(state);

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[A]));
    t_ok(hf_tx_delist(p.tx, p.w->in[A]));
    t_ok(hf_tx_suspend(p.tx));
    world_expect("a.start a.end");
    p.in = p.w->in[A];
    assert_int_equal(elsewhere(visit_enlist, &p), HF_ETHREAD); /* its thread is this one */
    t_ok(hf_tx_resume(p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[A]));
    world_expect("a.start(join)");
    t_ok(hf_tx_delist(p.tx, p.w->in[A]));
    t_ok(hf_tx_suspend(p.tx));
    assert_int_equal(elsewhere(visit_commit, &p), HF_OK);
    world_expect("a.end a.commit(one)");
}

static void bound__that_can_not_be_suspended_stays(void **state)
{
    struct pair p = start_bound(state);

    fake_answer_once(A, FAKE_END, 1, XA_RBDEADLOCK);
    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[A]));
    t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
    t_rc(HF_ERM, hf_tx_suspend(p.tx));
    assert_ptr_equal(hf_tx_current(p.w->tm), p.tx);
    t_rc(HF_EROLLEDBACK, hf_tx_commit(p.tx, NULL));
    world_expect("a.start b.start a.end(suspend) b.end(fail) a.rollback b.rollback");
}

static void bound__that_can_not_go_on_leaves_only_rollback(void **state)
{
    static const struct {
        int code;
        const char *rest;
    } rows[] = {
        {XA_RBTIMEOUT, "b.end(fail) a.rollback b.rollback"},
        {XAER_NOTA, "b.end(fail) a.rollback b.rollback"},
        {XAER_RMERR, "a.end(fail) b.end(fail) a.rollback b.rollback"}, /* suspended still */
        {XAER_RMFAIL, "b.end(fail) b.rollback"},                       /* it dies by itself */
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pair p = start_bound(state);

        t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
        t_ok(hf_tx_enlist(p.tx, p.w->in[A]));
        t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
        t_ok(hf_tx_suspend(p.tx));
        world_trace_clear();
        fake_answer_once(A, FAKE_START, 1, rows[i].code);
        t_rc(HF_ERM, hf_tx_resume(p.tx));
        assert_ptr_equal(hf_tx_current(p.w->tm), p.tx);
        assert_int_equal(hf_instance_broken(p.w->in[A]), rows[i].code == XAER_RMFAIL);
        t_rc(HF_EROLLEDBACK, hf_tx_enlist(p.tx, p.w->in[C]));
        world_expect("a.start(resume)");
        t_ok(hf_tx_rollback(p.tx, NULL));
        world_expect(rows[i].rest);
        (void)world_again(state);
    }
}

static void join__that_is_refused_leaves_only_rollback(void **state)
{
    static const struct {
        int code;
        const char *rest;
    } rows[] = {
        {XA_RBROLLBACK, "a.rollback"},
        {XAER_RMERR, "a.rollback"},
        {XAER_RMFAIL, ""},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pair p = start_bound(state);

        t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
        t_ok(hf_tx_enlist(p.tx, p.w->in[A]));
        t_ok(hf_tx_delist(p.tx, p.w->in[A]));
        fake_answer_once(A, FAKE_START, 1, rows[i].code);
        t_rc(HF_ERM, hf_tx_enlist(p.tx, p.w->in[A]));
        world_trace_clear();
        t_ok(hf_tx_rollback(p.tx, NULL));
        world_expect(rows[i].rest);
        (void)world_again(state);
    }
}

static void bound__by_the_switch_itself(void **state)
{
    struct world *w = *state;
    struct xa_switch_t sw = *fake_switch(D);
    hf_rm_config config = HF_RM_CONFIG_INIT;
    struct pair p = {.w = w};

    sw.flags = TMNOMIGRATE;
    config.name = "d";
    config.xa = &sw;
    world_open(w);
    t_ok(hf_rm_register(w->tm, &config, &w->rm[D]));
    t_ok(hf_tm_start(w->tm, 0));
    t_ok(hf_instance_open(w->rm[D], &w->in[D]));
    world_trace_clear();
    t_ok(hf_tx_begin(w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, w->in[D]));
    fake_answer_effect(D, FAKE_END, 1, XA_NOMIGRATE, FAKE_DONE); /* suspended, pinned to here */
    t_ok(hf_tx_suspend(p.tx));
    assert_int_equal(elsewhere(try_resume, &p), HF_EBUSY);
    t_ok(hf_tx_resume(p.tx));
    t_ok(hf_tx_commit(p.tx, NULL));
    world_expect("d.start d.end(suspend) d.start(resume) d.end d.commit(one)");
    world_close(w); /* the switch is on this stack */
}

/* -- watchers ---------------------------------------------------------------------------------- */

static int watcher_got;

static void suspend_it(void *user, hf_tx *tx)
{
    (void)user;
    watcher_got = hf_tx_suspend(tx);
}

static void watcher__can_not_suspend(void **state)
{
    struct pair p = start_bound(state);
    hf_sync sync = {.before = suspend_it};

    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_watch(p.tx, &sync));
    t_ok(hf_tx_commit(p.tx, NULL));
    assert_int_equal(watcher_got, HF_ESTATE);
}

/* -- loosely coupled --------------------------------------------------------------------------- */

/* Two instances of one resource manager are two branches: locks of one stand in the other's way. */
static void two_instances__are_two_branches(void **state)
{
    struct pair p = start_bound(state);
    hf_instance *second = NULL;
    XID x, y;

    t_ok(hf_instance_open(p.w->rm[B], &second));
    world_trace_clear();
    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.w->in[B]));
    x = fake_last_xid(B);
    t_ok(hf_tx_enlist(p.tx, second));
    y = fake_last_xid(B);
    assert_int_equal(x.gtrid_length, y.gtrid_length);
    assert_int_equal(x.bqual_length, y.bqual_length);
    assert_memory_equal(x.data, y.data, (size_t)x.gtrid_length);
    assert_memory_not_equal(x.data + x.gtrid_length, y.data + y.gtrid_length,
                            (size_t)x.bqual_length);
    t_ok(hf_tx_commit(p.tx, NULL));
    world_expect("b.start b.start b.end b.end b.prepare b.prepare" LOG " b.commit b.commit");
    assert_int_equal(fake_committed(B), 2);
    t_ok(hf_instance_close(second));
}

/* -- a real store ------------------------------------------------------------------------------ */

static hf_instance *start_kv(struct world *w, const char *name, uint32_t thread_bound)
{
    static char info[600];
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_instance *in = NULL;
    hf_rm *rm = NULL;

    snprintf(info, sizeof(info), "dir=%s/%s;wait_ms=0", w->dir, name);
    config.name = name;
    config.xa = &hf_kv_switch;
    config.ext = &hf_kv_ext;
    config.open_info = info;
    config.thread_bound = thread_bound;
    t_ok(hf_rm_register(w->tm, &config, &rm));
    t_ok(hf_instance_open(rm, &in));
    return in;
}

/* Go on with what was written before, and write more. */
static int add_to_kv(struct pair *p)
{
    int rmid = hf_instance_rmid(p->in), rc = hf_tx_enlist(p->tx, p->in);
    char value[8] = "";

    if (rc == HF_OK)
        rc = hf_kv_get(rmid, "one", 3, value, sizeof(value), NULL);
    if (rc == HF_OK && value[0] != '1')
        rc = -1;
    if (rc == HF_OK)
        rc = hf_kv_put(rmid, "two", 3, "2", 1);
    return rc == HF_OK ? hf_tx_delist(p->tx, p->in) : rc;
}

THREAD(visit_kv, visit(p, add_to_kv))

static void kv__goes_with_its_transaction(void **state)
{
    struct pair p = {.w = *state};
    int rmid;

    world_open(p.w);
    t_ok(hf_tm_start(p.w->tm, 0));
    p.in = start_kv(p.w, "store", 0);
    rmid = hf_instance_rmid(p.in);
    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.in));
    t_ok(hf_kv_put(rmid, "one", 3, "1", 1));
    t_ok(hf_tx_delist(p.tx, p.in));
    t_ok(hf_tx_suspend(p.tx));
    assert_int_equal(elsewhere(visit_kv, &p), HF_OK);
    assert_int_equal(elsewhere(visit_commit, &p), HF_OK);
    t_ok(hf_kv_get(rmid, "one", 3, NULL, 0, NULL));
    t_ok(hf_kv_get(rmid, "two", 3, NULL, 0, NULL));
    t_ok(hf_instance_close(p.in));
}

static void kv__bound_to_its_thread_is_suspended(void **state)
{
    struct pair p = {.w = *state};
    int rmid;

    world_open(p.w);
    t_ok(hf_tm_start(p.w->tm, 0));
    p.in = start_kv(p.w, "store", 1);
    rmid = hf_instance_rmid(p.in);
    t_ok(hf_tx_begin(p.w->tm, 0, &p.tx));
    t_ok(hf_tx_enlist(p.tx, p.in));
    t_ok(hf_kv_put(rmid, "one", 3, "1", 1));
    t_ok(hf_tx_suspend(p.tx));
    t_rc(HF_ESTATE, hf_kv_put(rmid, "two", 3, "2", 1));
    t_ok(hf_tx_resume(p.tx));
    t_ok(hf_kv_put(rmid, "two", 3, "2", 1));
    t_ok(hf_tx_commit(p.tx, NULL));
    t_ok(hf_kv_get(rmid, "one", 3, NULL, 0, NULL));
    t_ok(hf_kv_get(rmid, "two", 3, NULL, 0, NULL));
    t_ok(hf_instance_close(p.in));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(suspended__is_nobodys),
        T(resume__is_refused_where_there_is_one_already),
        T(suspend__lets_one_thread_have_many),
        T(handed_over__is_the_other_threads),
        T(handed_over__can_be_spoilt_while_nobody_has_it),
        T(completion__waits_for_the_thread_that_uses_an_instance),
        T(completion__by_the_thread_that_uses_them_needs_no_delist),
        T(delist__races_with_the_commit_that_waits_for_it),
        T(bound__is_suspended_and_resumed_in_its_thread),
        T(bound__that_is_delisted_does_not_hold_the_transaction),
        T(bound__that_can_not_be_suspended_stays),
        T(bound__that_can_not_go_on_leaves_only_rollback),
        T(join__that_is_refused_leaves_only_rollback),
        T(bound__by_the_switch_itself),
        T(watcher__can_not_suspend),
        T(two_instances__are_two_branches),
        T(kv__goes_with_its_transaction),
        T(kv__bound_to_its_thread_is_suspended),
    };

    return cmocka_run_group_tests_name("tm.suspend", tests, NULL, NULL);
}
