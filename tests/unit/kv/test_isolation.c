/*
 * What: what branches see of each other: which operation locks what, who waits, for how long and in
 *       which order, who lets go, and what a branch is told that did not get its lock.
 * How:  two or more rmids on one store; threads where somebody has to wait. Times are lower bounds
 *       only. The locks themselves are in test_lock.c.
 */
#include "kv_t.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "holdfast/internal/fault.h"

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static void two_rmids__reach_one_store(void **state)
{
    unsigned char a[HF_IDENTITY_SIZE], b[HF_IDENTITY_SIZE], c[HF_IDENTITY_SIZE];
    char info[MAXINFOSIZE];
    static const unsigned char zeroes[16];

    kv_open(1, *state);
    kv_open(2, *state);
    snprintf(info, sizeof(info), "dir=%s/./store", (const char *)*state);
    t_xa(XA_OK, kv.xa_open_entry(info, 3, TMNOFLAGS)); /* spelt otherwise */
    snprintf(info, sizeof(info), "dir=%s/another", (const char *)*state);
    t_xa(XA_OK, kv.xa_open_entry(info, 4, TMNOFLAGS));
    t_ok(hf_kv_ext.identity(NULL, 1, a));
    t_ok(hf_kv_ext.identity(NULL, 3, b));
    assert_memory_equal(a, b, sizeof(a));
    assert_memory_equal(a + 16, zeroes, 16);
    t_ok(hf_kv_ext.identity(NULL, 4, c));
    assert_memory_not_equal(a, c, 16);
    kv_store(1, 1, "k", "v");
    kv_expect(2, "k", "v");
    kv_expect(3, "k", "v");
    kv_expect(4, "k", NULL);
    kv_close(1);
    kv_expect(2, "k", "v");
    kv_close(2);
    kv_close(3);
    kv_open(1, *state);
    kv_expect(1, "k", "v");
    t_ok(hf_kv_ext.identity(NULL, 1, b));
    assert_memory_equal(a, b, sizeof(a)); /* one store always gives the same */
}

static void lock__is_not_taken_before_the_first_operation(void **state)
{
    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0"));
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    kv_begin(1, 1);
    kv_begin(2, 2);
    kv_put(2, "k", "two");
    t_rc(HF_EROLLEDBACK, hf_kv_get(1, "k", 1, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(1)}, 1, TMSUCCESS));
    kv_end(2, 2);
    t_xa(XA_OK, kv_commit(2, 2, TMONEPHASE));
}

static void lock__that_is_not_to_be_had_spoils_the_branch(void **state)
{
    XID x = kv_xid(2);
    uint64_t begun;
    char text[128] = "";
    int native = 0;

    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=50"));
    kv_begin(1, 1);
    kv_put(1, "k", "one");
    kv_begin(2, 2);
    begun = now_ms();
    t_rc(HF_EROLLEDBACK, hf_kv_put(2, "k", 1, "two", 3));
    assert_true(now_ms() - begun >= 50);
    t_rc(HF_EROLLEDBACK, hf_kv_get(2, "k", 1, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry(&x, 2, TMSUCCESS));
    t_ok(hf_kv_ext.error(NULL, 2, &native, text, sizeof(text)));
    t_rc(HF_ETIMEOUT, native);
    t_xa(XAER_PROTO, kv_prepare(2, 2)); /* S4: only a rollback leads out */
    t_xa(XA_OK, kv_rollback(2, 2));
    t_xa(XAER_NOTA, kv_rollback(2, 2));
    kv_end(1, 1);
    t_xa(XA_OK, kv_commit(1, 1, TMONEPHASE));
    kv_expect(2, "k", "one");
}

static void lock__of_a_reader_keeps_writers_out_until_its_vote(void **state)
{
    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    kv_store(1, 9, "k", "v");
    kv_begin(1, 1);
    kv_expect(1, "k", "v");
    kv_begin(2, 2);
    t_rc(HF_EROLLEDBACK, hf_kv_put(2, "k", 1, "two", 3));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(2)}, 2, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(2, 2));
    kv_end(1, 1);
    t_xa(XA_RDONLY, kv_prepare(1, 1));
    t_xa(XAER_NOTA, kv_commit(1, 1, TMNOFLAGS));
    assert_int_equal(kv_probe(1, 1), HF_PROBE_UNKNOWN);
    kv_begin(2, 3);
    kv_put(2, "k", "three");
    kv_end(2, 3);
    t_xa(XA_OK, kv_commit(2, 3, TMONEPHASE));
}

static void lock__of_a_prepared_branch_stays_until_it_ends(void **state)
{
    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0"));
    kv_begin(1, 1);
    kv_put(1, "k", "one");
    kv_end(1, 1);
    t_xa(XA_OK, kv_prepare(1, 1));
    kv_begin(1, 2);
    t_rc(HF_EROLLEDBACK, hf_kv_get(1, "k", 1, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(2)}, 1, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(1, 2));
    kv_close(1);
    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0")); /* retaken at open */
    kv_expect(1, "k", NULL);                           /* no branch: no lock */
    kv_begin(1, 3);
    t_rc(HF_EROLLEDBACK, hf_kv_get(1, "k", 1, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(3)}, 1, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(1, 3));
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    kv_begin(1, 4);
    kv_expect(1, "k", "one");
    kv_end(1, 4);
    t_xa(XA_OK, kv_commit(1, 4, TMONEPHASE));
}

/* What a prepared branch wrote is locked again at open, key by key, and nothing else is. */
static void lock__is_retaken_at_open_for_each_key_that_was_written(void **state)
{
    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0"));
    for (long n = 1; n <= 2; n++) {
        kv_begin(1, n);
        kv_put(1, n == 1 ? "a" : "b", "v");
        t_rc(n == 1 ? HF_ENOTFOUND : HF_OK, hf_kv_delete(1, n == 1 ? "c" : "b", 1));
        kv_end(1, n);
        t_xa(XA_OK, kv_prepare(1, n));
    }
    kv_close(1);
    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0"));
    kv_begin(1, 3);
    kv_put(1, "other", "v");
    kv_expect(1, "c", NULL); /* it was not there: nothing was written */
    t_rc(HF_EROLLEDBACK, hf_kv_put(1, "a", 1, "w", 1));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(3)}, 1, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(1, 3));
    kv_begin(1, 4);
    t_rc(HF_EROLLEDBACK, hf_kv_get(1, "b", 1, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(4)}, 1, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(1, 4));
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    t_xa(XA_OK, kv_rollback(1, 2));
    kv_begin(1, 5);
    kv_expect(1, "a", "v");
    kv_expect(1, "b", NULL);
    kv_end(1, 5);
    t_xa(XA_RDONLY, kv_prepare(1, 5));
}

static int count_all(void *user, const void *key, size_t key_size, const void *value,
                     size_t value_size)
{
    (void)key;
    (void)key_size;
    (void)value;
    (void)value_size;
    ++*(int *)user;
    return 0;
}

static int count_of(int rmid, const char *prefix)
{
    int count = 0;

    t_ok(hf_kv_each(rmid, prefix, strlen(prefix), count_all, &count));
    return count;
}

/* What each operation locks: held by branch 1, asked for by branch 2. */
static void operations__lock_what_they_touch(void **state)
{
    enum op { GET, PUT, DELETE, LOCK, EACH };
    static const int rows[][3] = {
        /* held, asked for on the same key, do they go together */
        {GET, GET, 1},     {GET, PUT, 0},   {GET, DELETE, 0}, {GET, LOCK, 0},   {GET, EACH, 1},
        {PUT, GET, 0},     {PUT, PUT, 0},   {PUT, EACH, 0},   {DELETE, GET, 0}, {DELETE, EACH, 0},
        {LOCK, GET, 0},    {LOCK, LOCK, 0}, {LOCK, EACH, 0},  {EACH, GET, 1},   {EACH, PUT, 0},
        {EACH, DELETE, 0}, {EACH, LOCK, 0}, {EACH, EACH, 1},
    };

    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    kv_store(1, 9, "pk", "v");
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        const char *key = i % 2 ? "pk" : "pn"; /* one is there, one is not */
        int gone = i % 2 ? HF_OK : HF_ENOTFOUND, rc = HF_OK, count = 0;

        kv_begin(1, 1);
        kv_begin(2, 2);
        for (int who = 1; who <= 2; who++) {
            switch ((enum op)rows[i / 2][who - 1]) {
            case GET:
                rc = hf_kv_get(who, key, 2, NULL, 0, NULL);
                break;
            case PUT:
                rc = hf_kv_put(who, key, 2, "w", 1);
                break;
            case DELETE:
                rc = hf_kv_delete(who, key, 2);
                break;
            case LOCK:
                rc = hf_kv_lock(who, key, 2);
                break;
            case EACH:
                rc = hf_kv_each(who, "p", 1, count_all, &count);
                break;
            }
            assert_true(rc == HF_OK || rc == gone || (who == 2 && rc == HF_EROLLEDBACK));
        }
        assert_int_equal(rc != HF_EROLLEDBACK, rows[i / 2][2]);
        for (int who = 1; who <= 2; who++) {
            (void)kv.xa_end_entry((XID[]){kv_xid(who)}, who, TMFAIL);
            t_xa(XA_OK, kv_rollback(who, who));
        }
    }
}

static void each__is_repeatable_and_sees_own_writes(void **state)
{
    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    kv_store(1, 9, "p1", "v");
    kv_begin(1, 1);
    assert_int_equal(count_of(1, "p"), 1);
    kv_begin(2, 2);
    kv_put(2, "q", "free");
    t_rc(HF_EROLLEDBACK, hf_kv_put(2, "p2", 2, "v", 1)); /* it would be a phantom */
    kv_put(1, "p3", "own");
    assert_int_equal(count_of(1, "p"), 2);
    assert_int_equal(count_of(1, ""), 2);
    t_ok(hf_kv_delete(1, "p1", 2));
    assert_int_equal(count_of(1, "p"), 1);
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(2)}, 2, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(2, 2));
    kv_end(1, 1);
    t_xa(XA_OK, kv_commit(1, 1, TMONEPHASE));
    assert_int_equal(count_of(2, ""), 1);
}

static void branches__on_other_keys_do_not_wait(void **state)
{
    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0"));
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    kv_begin(1, 1);
    kv_begin(2, 2);
    kv_put(1, "a", "one");
    kv_put(2, "b", "two");
    kv_end(1, 1);
    kv_end(2, 2);
    t_xa(XA_OK, kv_prepare(1, 1));
    t_xa(XA_OK, kv_prepare(2, 2));
    t_xa(XA_OK, kv_commit(2, 2, TMNOFLAGS));
    t_xa(XA_OK, kv_rollback(1, 1));
    kv_expect(1, "a", NULL);
    kv_expect(1, "b", "two");
}

#ifdef HF_FAULTS
/* A lock is allocated with room for one branch's part; a second branch's is allocated beside it. */
static void memory__that_runs_out_spoils_the_branch_and_leaves_nothing(void **state)
{
    int count = 0, rc;

    kv_open(1, *state);
    kv_open(3, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    for (long i = 0; i < 4; i++) {
        kv_begin(3, 300 + i);
        if (i >= 2) {
            t_rc(i == 2 ? HF_ENOTFOUND : HF_OK, hf_kv_get(3, "k", 1, NULL, 0, NULL));
            assert_int_equal(count_of(3, "k"), i == 2 ? 0 : 1);
        }
        kv_begin(1, i);
        kv_put(1, "mine", "v");
        assert_int_equal(hf__fault_set("kv:lock-memory=fail@1"), 0);
        rc = i % 2 == 0 ? hf_kv_get(1, "k", 1, NULL, 0, NULL)
                        : hf_kv_each(1, "k", 1, count_all, &count);
        assert_int_equal(hf__fault_set(NULL), 0);
        t_rc(HF_ENOMEM, rc);
        kv_end(3, 300 + i);
        t_xa(XA_RDONLY, kv_prepare(3, 300 + i));
        kv_store(2, 100 + i, "mine", "free");
        if (i >= 2)
            kv_store(2, 200 + i, "k", "free");
        t_xa(XA_RBOTHER, kv.xa_end_entry((XID[]){kv_xid(i)}, 1, TMSUCCESS));
        t_xa(XA_OK, kv_rollback(1, i));
    }
}

/* Phase two asks for no memory of the lock manager's. */
static void memory__of_locks_is_not_needed_to_commit(void **state)
{
    kv_open(1, *state);
    kv_begin(1, 1);
    kv_put(1, "k", "v");
    kv_end(1, 1);
    assert_int_equal(hf__fault_set("kv:lock-memory=fail"), 0);
    t_xa(XA_OK, kv_prepare(1, 1));
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    assert_int_equal(hf__fault_set(NULL), 0);
    kv_expect(1, "k", "v");
}
#endif

/* -- threads ----------------------------------------------------------------------------------- */

struct worker {
    int rmid;
    long branch;
    int rc;
    uint64_t waited_ms;
    unsigned order; /* in which it got the lock */
    atomic_uint *next;
    pthread_t thread;
};

/*
 * In a branch of its own: append to "k", and commit. No assertions: it is not the runner's thread.
 */
static void *run_worker(void *arg)
{
    struct worker *w = arg;
    uint64_t begun = now_ms();
    XID x = kv_xid(w->branch);

    w->rc = kv.xa_start_entry(&x, w->rmid, TMNOFLAGS);
    if (w->rc == XA_OK)
        w->rc = hf_kv_put(w->rmid, "k", 1, &w->branch, sizeof(w->branch));
    w->waited_ms = now_ms() - begun;
    w->order = atomic_fetch_add(w->next, 1);
    if (w->rc == HF_OK)
        w->rc = kv.xa_end_entry(&x, w->rmid, TMSUCCESS);
    if (w->rc == XA_OK)
        w->rc = kv.xa_commit_entry(&x, w->rmid, TMONEPHASE);
    return NULL;
}

static void lock__is_handed_on_first_come_first_served(void **state)
{
    enum { WORKERS = 4 };
    struct worker workers[WORKERS];
    atomic_uint next = 0;

    kv_open(1, *state);
    kv_begin(1, 1);
    kv_put(1, "k", "held");
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.rmid = 10 + i, .branch = 10 + i, .next = &next};
        kv_open(10 + i, *state);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
        pause_ms(50); /* so that they come in this order */
    }
    kv_end(1, 1);
    t_xa(XA_OK, kv_commit(1, 1, TMONEPHASE));
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        t_xa(XA_OK, workers[i].rc);
        assert_int_equal(workers[i].order, i);
        kv_close(10 + i);
    }
    assert_true(workers[0].waited_ms >= 150);
}

/* Waits in a call for "k" that another branch holds, until it is let out. */
struct waiter {
    int rmid;
    int rc, native;
    pthread_t thread;
};

static void *run_waiter(void *arg)
{
    struct waiter *w = arg;

    w->rc = hf_kv_put(w->rmid, "k", 1, "w", 1);
    w->native = hf_error_last()->native_code;
    return NULL;
}

static void cancel__ends_a_wait_and_spoils_the_branch(void **state)
{
    struct waiter w = {.rmid = 2};
    uint64_t begun = now_ms();

    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=3600000"));
    kv_begin(1, 1);
    kv_put(1, "k", "held");
    kv_begin(2, 2);
    kv_put(2, "mine", "v");
    assert_int_equal(pthread_create(&w.thread, NULL, run_waiter, &w), 0);
    pause_ms(20);
    t_ok(hf_kv_ext.cancel(NULL, 2));
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    assert_true(now_ms() - begun < 600000);
    t_rc(HF_EROLLEDBACK, w.rc);
    assert_int_equal(w.native, XA_RBTIMEOUT);
    kv_put(1, "mine", "free"); /* at once: the branch holds nothing any more */
    t_rc(HF_EROLLEDBACK, hf_kv_get(2, "other", 5, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(2)}, 2, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(2, 2));
    kv_end(1, 1);
    t_xa(XA_OK, kv_commit(1, 1, TMONEPHASE));
}

#ifdef HF_FAULTS
/* Nobody waits for what will not come any more, and a refused commit keeps its locks. */
static void failure__of_the_store_lets_everybody_out(void **state)
{
    struct waiter w = {.rmid = 2};

    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=3600000"));
    t_xa(XA_OK, kv_open_with(3, *state, "wait_ms=0"));
    kv_begin(1, 1);
    kv_put(1, "k", "held");
    kv_end(1, 1);
    t_xa(XA_OK, kv_prepare(1, 1));
    assert_int_equal(hf__fault_set("kv:commit=fail"), 0);
    t_xa(XA_RETRY, kv_commit(1, 1, TMNOFLAGS));
    assert_int_equal(hf__fault_set(NULL), 0);
    kv_begin(3, 3);
    t_rc(HF_EROLLEDBACK, hf_kv_get(3, "k", 1, NULL, 0, NULL));
    kv_begin(2, 2);
    assert_int_equal(pthread_create(&w.thread, NULL, run_waiter, &w), 0);
    pause_ms(20);
    assert_int_equal(hf__fault_set("store:commit-fails=fail"), 0);
    t_xa(XAER_RMFAIL, kv_commit(1, 1, TMNOFLAGS));
    assert_int_equal(hf__fault_set(NULL), 0);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    t_rc(HF_EIO, w.rc);
    for (int rmid = 1; rmid <= 3; rmid++)
        kv_close(rmid);
    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0"));
    kv_expect_prepared(1, 1);
    kv_begin(1, 4);
    t_rc(HF_EROLLEDBACK, hf_kv_get(1, "k", 1, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(4)}, 1, TMSUCCESS));
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    kv_expect(1, "k", "held");
}
#endif

static void cancel__of_what_does_not_run_changes_nothing_but_its_branch(void **state)
{
    kv_open(1, *state);
    t_rc(HF_EINVAL, hf_kv_ext.cancel(NULL, 7));
    t_ok(hf_kv_ext.cancel(NULL, 1)); /* in no branch */
    kv_begin(1, 1);
    kv_put(1, "k", "v");
    kv_end(1, 1);
    t_ok(hf_kv_ext.cancel(NULL, 1)); /* not associated any more */
    t_xa(XA_OK, kv_prepare(1, 1));
    t_ok(hf_kv_ext.cancel(NULL, 1));
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    kv_expect(1, "k", "v");
}

/* Which of the two is given up is the second one, as a rule; here either may be. */
static void deadlock__is_told_to_one_branch_and_the_other_goes_on(void **state)
{
    struct waiter w = {.rmid = 1};
    char text[128] = "";
    int native = 0, rc, victim;

    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=3600000"));
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=3600000"));
    kv_begin(1, 1);
    kv_put(1, "a", "one");
    kv_begin(2, 2);
    kv_put(2, "k", "two");
    assert_int_equal(pthread_create(&w.thread, NULL, run_waiter, &w), 0);
    pause_ms(20);
    rc = hf_kv_put(2, "a", 1, "w", 1);
    native = hf_error_last()->native_code;
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    victim = rc == HF_OK ? 1 : 2;
    t_rc(HF_EROLLEDBACK, victim == 1 ? w.rc : rc);
    t_ok(victim == 1 ? rc : w.rc); /* the other one got what the victim let go */
    assert_int_equal(victim == 1 ? w.native : native, XA_RBDEADLOCK);
    t_rc(HF_EROLLEDBACK, hf_kv_put(victim, "z", 1, "v", 1));
    assert_int_equal(hf_error_last()->native_code, XA_RBDEADLOCK);
    t_xa(XA_RBDEADLOCK, kv.xa_end_entry((XID[]){kv_xid(victim)}, victim, TMSUCCESS));
    t_ok(hf_kv_ext.error(NULL, victim, &native, text, sizeof(text)));
    assert_non_null(strstr(text, "deadlock"));
    t_xa(XA_OK, kv_rollback(victim, victim));
    kv_end(3 - victim, 3 - victim);
    t_xa(XA_OK, kv_commit(3 - victim, 3 - victim, TMONEPHASE));
    kv_expect(1, "a", victim == 1 ? "w" : "one");
    kv_expect(1, "k", victim == 1 ? "two" : "w");
}

/*
 * Rolling back, and a read-only vote, wake who waits; a store of somebody else's is not in the way.
 */
static void lock__is_let_go_by_every_end_of_a_branch(void **state)
{
    for (int how = 0; how < 4; how++) {
        struct worker w = {.rmid = 2, .branch = 100 + how};
        atomic_uint next = 0;

        w.next = &next;
        kv_open(1, *state);
        kv_open(2, *state);
        kv_begin(1, how);
        if (how == 0)
            t_rc(HF_ENOTFOUND, hf_kv_get(1, "none", 4, NULL, 0, NULL));
        else
            kv_put(1, "k", "v");
        assert_int_equal(pthread_create(&w.thread, NULL, run_worker, &w), 0);
        pause_ms(30);
        if (how == 3) { /* TMFAIL lets go at once; the branch is still to be rolled back */
            t_xa(XA_RBROLLBACK, kv.xa_end_entry((XID[]){kv_xid(how)}, 1, TMFAIL));
            assert_int_equal(pthread_join(w.thread, NULL), 0);
            t_xa(XA_OK, kv_rollback(1, how));
        } else {
            kv_end(1, how);
            if (how == 0)
                t_xa(XA_RDONLY, kv_prepare(1, how));
            else if (how == 1)
                t_xa(XA_OK, kv_rollback(1, how));
            else {
                t_xa(XA_OK, kv_prepare(1, how));
                t_xa(XA_OK, kv_rollback(1, how));
            }
            assert_int_equal(pthread_join(w.thread, NULL), 0);
        }
        t_xa(XA_OK, w.rc);
        kv_close(1);
        kv_close(2);
    }
}

/* Tightly coupled: the second rmid shares the branch's lock and its writes. */
static void join__shares_lock_and_writes(void **state)
{
    XID x = kv_xid(1);

    t_xa(XA_OK, kv_open_with(1, *state, "wait_ms=0"));
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    kv_begin(1, 1);
    kv_put(1, "a", "one");
    t_xa(XA_OK, kv.xa_start_entry(&x, 2, TMJOIN));
    kv_expect(2, "a", "one");
    kv_put(2, "b", "two");
    kv_end(1, 1);
    t_xa(XAER_PROTO, kv_prepare(1, 1)); /* rmid 2 is still in it */
    kv_end(2, 1);
    t_xa(XA_OK, kv_prepare(2, 1));
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    kv_expect(1, "b", "two");
}

/* What others ask of a branch that waits for a lock is answered without waiting with it. */
static void join__of_a_branch_that_waits_can_end_the_wait(void **state)
{
    struct waiter w = {.rmid = 2};
    XID x = kv_xid(2);

    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=3600000"));
    kv_open(3, *state);
    kv_begin(1, 1);
    kv_put(1, "k", "held");
    kv_begin(2, 2);
    assert_int_equal(pthread_create(&w.thread, NULL, run_waiter, &w), 0);
    pause_ms(20);
    t_xa(XAER_PROTO, kv_prepare(3, 2));
    t_xa(XAER_PROTO, kv_rollback(3, 2));
    assert_int_equal(kv_probe(3, 2), HF_PROBE_UNKNOWN);
    t_xa(XA_OK, kv.xa_start_entry(&x, 3, TMJOIN));
    t_xa(XA_OK, kv.xa_end_entry(&x, 3, TMSUSPEND));
    t_xa(XA_OK, kv.xa_start_entry(&x, 3, TMRESUME));
    t_xa(XA_RBROLLBACK, kv.xa_end_entry(&x, 3, TMFAIL));
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    t_rc(HF_EROLLEDBACK, w.rc);
    assert_int_equal(w.native, XA_RBROLLBACK);
    t_xa(XA_RBROLLBACK, kv.xa_end_entry(&x, 2, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(3, 2));
    kv_end(1, 1);
    t_xa(XA_OK, kv_commit(1, 1, TMONEPHASE));
}

/* Two threads write to one branch at once, by an rmid each: every write is there. */
struct writer {
    int rmid;
    int failed;
    pthread_t thread;
};
enum { WRITES = 20000 };

static void *run_writer(void *arg)
{
    struct writer *w = arg;
    char key[32];

    for (int n = 0; n < WRITES; n++) {
        int size = snprintf(key, sizeof(key), "%d/%d", n * 7919 % WRITES, w->rmid);

        w->failed += hf_kv_put(w->rmid, key, (size_t)size, key, (size_t)size) != HF_OK;
    }
    return NULL;
}

static int count_pair(void *user, const void *key, size_t key_size, const void *value,
                      size_t value_size)
{
    assert_int_equal(key_size, value_size);
    assert_memory_equal(key, value, key_size);
    ++*(int *)user;
    return 0;
}

static void join__lets_one_operation_in_at_a_time(void **state)
{
    struct writer writers[2] = {{.rmid = 1}, {.rmid = 2}};
    XID x = kv_xid(1);
    int count = 0;

    kv_open(1, *state);
    kv_open(2, *state);
    kv_begin(1, 1);
    t_xa(XA_OK, kv.xa_start_entry(&x, 2, TMJOIN));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        assert_int_equal(writers[i].failed, 0);
    }
    t_ok(hf_kv_each(2, NULL, 0, count_pair, &count));
    assert_int_equal(count, 2 * WRITES);
    kv_end(1, 1);
    kv_end(2, 1);
    t_xa(XA_OK, kv_prepare(1, 1));
    t_xa(XA_OK, kv_rollback(2, 1));
}

/* A branch spoilt under one rmid is spoilt for all: each hears it at its own xa_end. */
static void join__hears_of_a_spoilt_branch(void **state)
{
    XID x = kv_xid(1);

    kv_open(1, *state);
    kv_open(2, *state);
    kv_open(3, *state);
    kv_begin(1, 1);
    kv_put(1, "a", "one");
    t_xa(XA_OK, kv.xa_start_entry(&x, 2, TMJOIN));
    t_xa(XA_RBROLLBACK, kv.xa_end_entry(&x, 2, TMFAIL));
    t_rc(HF_EROLLEDBACK, hf_kv_put(1, "a", 1, "b", 1));
    t_xa(XA_RBROLLBACK, kv.xa_start_entry(&x, 3, TMJOIN)); /* not associated */
    t_xa(XAER_PROTO, kv.xa_end_entry(&x, 3, TMSUCCESS));
    t_xa(XA_RBROLLBACK, kv.xa_end_entry(&x, 1, TMSUCCESS));
    t_xa(XAER_PROTO, kv.xa_start_entry(&x, 3, TMJOIN)); /* S4 */
    t_xa(XA_OK, kv_rollback(3, 1));
}

static void close__with_a_suspended_association_spoils_the_branch(void **state)
{
    XID x = kv_xid(1);

    kv_open(1, *state);
    kv_open(2, *state);
    kv_begin(1, 1);
    kv_put(1, "a", "one");
    t_xa(XA_OK, kv.xa_start_entry(&x, 2, TMJOIN));
    t_xa(XA_OK, kv.xa_end_entry(&x, 1, TMSUSPEND | TMMIGRATE));
    kv_close(1);
    t_rc(HF_EROLLEDBACK, hf_kv_get(2, "a", 1, NULL, 0, NULL));
    t_xa(XA_RBPROTO, kv.xa_end_entry(&x, 2, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(2, 1));
}

/* Nobody will end an idle branch whose rmid is closed: it must not hold the store for ever. */
static void close__ends_the_idle_branches_of_the_rmid(void **state)
{
    kv_open(1, *state);
    t_xa(XA_OK, kv_open_with(2, *state, "wait_ms=0"));
    kv_begin(1, 1);
    kv_put(1, "a", "one");
    kv_end(1, 1);
    kv_begin(2, 2);
    t_rc(HF_EROLLEDBACK, hf_kv_get(2, "a", 1, NULL, 0, NULL));
    t_xa(XA_RBTIMEOUT, kv.xa_end_entry((XID[]){kv_xid(2)}, 2, TMSUCCESS));
    t_xa(XA_OK, kv_rollback(2, 2));
    kv_close(1);
    t_xa(XAER_NOTA, kv_prepare(2, 1));
    kv_begin(2, 3);
    kv_expect(2, "a", NULL);
    kv_end(2, 3);
    t_xa(XA_RDONLY, kv_prepare(2, 3));
}

/*
 * Eight threads add to four counters, 25 times each, every branch in two phases: nothing is lost.
 */
struct adder {
    int rmid;
    int failed;
    pthread_t thread;
};
enum { ADDERS = 8, ROUNDS = 25 };

static void *run_adder(void *arg)
{
    struct adder *a = arg;

    for (long round = 0; round < ROUNDS; round++) {
        XID x = kv_xid(1000 * a->rmid + round);
        char key = (char)('0' + round % 4);
        uint64_t n = 0;
        int rc;

        a->failed += kv.xa_start_entry(&x, a->rmid, TMNOFLAGS) != XA_OK;
        a->failed += hf_kv_lock(a->rmid, &key, 1) != HF_OK;
        rc = hf_kv_get(a->rmid, &key, 1, &n, sizeof(n), NULL);
        a->failed += rc != HF_OK && rc != HF_ENOTFOUND;
        n++;
        a->failed += hf_kv_put(a->rmid, &key, 1, &n, sizeof(n)) != HF_OK;
        a->failed += kv.xa_end_entry(&x, a->rmid, TMSUCCESS) != XA_OK;
        a->failed += kv.xa_prepare_entry(&x, a->rmid, TMNOFLAGS) != XA_OK;
        a->failed += kv.xa_commit_entry(&x, a->rmid, TMNOFLAGS) != XA_OK;
        rc = hf_kv_get(a->rmid, &key, 1, &n, sizeof(n), NULL); /* outside a branch, meanwhile */
        a->failed += rc != HF_OK;
    }
    return NULL;
}

static void threads__lose_no_update(void **state)
{
    struct adder adders[ADDERS];
    uint64_t sum = 0, n;

    for (int i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){.rmid = 20 + i};
        t_xa(XA_OK, kv_open_with(20 + i, *state, "wait_ms=60000"));
        assert_int_equal(pthread_create(&adders[i].thread, NULL, run_adder, &adders[i]), 0);
    }
    for (int i = 0; i < ADDERS; i++) {
        assert_int_equal(pthread_join(adders[i].thread, NULL), 0);
        assert_int_equal(adders[i].failed, 0);
    }
    for (char key = '0'; key < '4'; key++) {
        t_ok(hf_kv_get(20, &key, 1, &n, sizeof(n), NULL));
        sum += n;
    }
    assert_int_equal(sum, ADDERS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KV_TEST(two_rmids__reach_one_store),
        KV_TEST(lock__is_not_taken_before_the_first_operation),
        KV_TEST(lock__that_is_not_to_be_had_spoils_the_branch),
        KV_TEST(lock__of_a_reader_keeps_writers_out_until_its_vote),
        KV_TEST(lock__of_a_prepared_branch_stays_until_it_ends),
        KV_TEST(lock__is_retaken_at_open_for_each_key_that_was_written),
        KV_TEST(operations__lock_what_they_touch),
        KV_TEST(each__is_repeatable_and_sees_own_writes),
        KV_TEST(branches__on_other_keys_do_not_wait),
#ifdef HF_FAULTS
        KV_TEST(memory__that_runs_out_spoils_the_branch_and_leaves_nothing),
        KV_TEST(memory__of_locks_is_not_needed_to_commit),
        KV_TEST(failure__of_the_store_lets_everybody_out),
#endif
        KV_TEST(cancel__ends_a_wait_and_spoils_the_branch),
        KV_TEST(cancel__of_what_does_not_run_changes_nothing_but_its_branch),
        KV_TEST(deadlock__is_told_to_one_branch_and_the_other_goes_on),
        KV_TEST(lock__is_handed_on_first_come_first_served),
        KV_TEST(lock__is_let_go_by_every_end_of_a_branch),
        KV_TEST(join__shares_lock_and_writes),
        KV_TEST(join__of_a_branch_that_waits_can_end_the_wait),
        KV_TEST(join__lets_one_operation_in_at_a_time),
        KV_TEST(join__hears_of_a_spoilt_branch),
        KV_TEST(close__with_a_suspended_association_spoils_the_branch),
        KV_TEST(close__ends_the_idle_branches_of_the_rmid),
        KV_TEST(threads__lose_no_update),
    };

    return cmocka_run_group_tests_name("kv.isolation", tests, NULL, NULL);
}
