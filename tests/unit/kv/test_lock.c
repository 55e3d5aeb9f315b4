/*
 * What: the lock manager by itself (rm/kv/lock.c, L1 to L6): what goes together, who waits, in
 *       which order they go on, what is a deadlock, and that nothing is left behind.
 * How:  owners on one or two tables. A request that has to wait runs in a thread of its own, and
 *       the test goes on when it is seen to wait: no result depends on time. Last, eight threads
 *       take locks at random, and whoever has one looks whether somebody else should not.
 */
#include "support/t.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "lock.h"

enum { OWNERS = 8, FOREVER = 600000, COUNT_MAX = 1000 };

enum what { KEY_SHARED, KEY_EXCLUSIVE, PREFIX };

struct asker {
    struct kv_owner owner;
    struct kv_locks *locks;
    pthread_t thread;
    const char *bytes;
    enum what what;
    uint32_t wait_ms;
    enum kv_lock_answer answer;
};

static struct {
    pthread_mutex_t mutex[2];
    struct kv_locks locks[2];
    struct asker askers[OWNERS];
} w;

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    for (int i = 0; i < 2; i++) {
        pthread_mutex_init(&w.mutex[i], NULL);
        hf__kv_locks_init(&w.locks[i], &w.mutex[i]);
    }
    for (int i = 0; i < OWNERS; i++) {
        hf__kv_lock_owner_init(&w.askers[i].owner, 100 + (uint64_t)i, COUNT_MAX);
        w.askers[i].locks = &w.locks[0];
    }
    return 0;
}

static void release(int i)
{
    pthread_mutex_lock(w.askers[i].locks->mutex);
    hf__kv_lock_release(w.askers[i].locks, &w.askers[i].owner);
    pthread_mutex_unlock(w.askers[i].locks->mutex);
}

/* Whatever a test does, nothing may be left in the end (L2). */
static int tear_down(void **state)
{
    int left = 0;

    (void)state;
    for (int i = 0; i < OWNERS; i++) {
        release(i);
        left += w.askers[i].owner.count != 0 || w.askers[i].owner.pending != NULL;
        hf__kv_lock_owner_end(&w.askers[i].owner);
    }
    for (int i = 0; i < 2; i++) {
        left += w.locks[i].first[0] != NULL || w.locks[i].prefixes != NULL;
        left += w.locks[i].exclusive != 0 || w.locks[i].earliest != NULL;
        for (int b = 0; b < KV_LOCK_BUCKETS; b++)
            left += w.locks[i].waiting[b] != NULL;
        hf__kv_locks_end(&w.locks[i]);
        pthread_mutex_destroy(&w.mutex[i]);
    }
    if (left != 0)
        print_error("%d things were left behind\n", left);
    return left == 0 ? 0 : -1;
}

#define LOCK_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

static enum kv_lock_answer take(int i, enum what what, const char *bytes, uint32_t wait_ms)
{
    struct asker *a = &w.askers[i];
    enum kv_lock_answer answer;

    pthread_mutex_lock(a->locks->mutex);
    if (what == PREFIX)
        answer = hf__kv_lock_prefix(a->locks, &a->owner, bytes, strlen(bytes), wait_ms);
    else
        answer = hf__kv_lock_key(a->locks, &a->owner, bytes, strlen(bytes),
                                 what == KEY_SHARED ? KV_SHARED : KV_EXCLUSIVE, wait_ms);
    pthread_mutex_unlock(a->locks->mutex);
    return answer;
}

static void has(int i, enum what what, const char *bytes)
{
    assert_int_equal(take(i, what, bytes, 0), KV_LOCKED);
}

static void has_not(int i, enum what what, const char *bytes)
{
    assert_int_equal(take(i, what, bytes, 0), KV_LOCK_TIMEOUT);
}

static void *run_asker(void *arg)
{
    struct asker *a = arg;

    a->answer = take((int)(a - w.askers), a->what, a->bytes, a->wait_ms);
    return NULL;
}

static int is_waiting(const struct asker *a)
{
    int waits;

    pthread_mutex_lock(a->locks->mutex);
    waits = a->owner.wait == KV_WAITS;
    pthread_mutex_unlock(a->locks->mutex);
    return waits;
}

/* The last search that came upon it; it begins to wait by searching for a circle. */
static uint64_t round_of(const struct asker *a)
{
    uint64_t round;

    pthread_mutex_lock(a->locks->mutex);
    round = a->owner.round;
    pthread_mutex_unlock(a->locks->mutex);
    return round;
}

/* Ask in a thread, and return when it waits and has found no circle. */
static void waits(int i, enum what what, const char *bytes, uint32_t wait_ms)
{
    static const struct timespec nap = {.tv_nsec = 100000};
    struct asker *a = &w.askers[i];
    uint64_t round = round_of(a);

    a->what = what;
    a->bytes = bytes;
    a->wait_ms = wait_ms;
    assert_int_equal(pthread_create(&a->thread, NULL, run_asker, a), 0);
    for (int turns = 0; !is_waiting(a) || round_of(a) == round; turns++) {
        assert_true(turns < 100000);
        nanosleep(&nap, NULL);
    }
}

static void answers(int i, enum kv_lock_answer want)
{
    assert_int_equal(pthread_join(w.askers[i].thread, NULL), 0);
    assert_int_equal(w.askers[i].answer, want);
}

static void still_waits(int i)
{
    assert_true(is_waiting(&w.askers[i]));
}

/* -- what goes together ------------------------------------------------------------------------ */

static void matrix__is_that_of_the_header(void **state)
{
    /* held, asked for, do they go together */
    static const int rows[][3] = {
        {KEY_SHARED, KEY_SHARED, 1},
        {KEY_SHARED, KEY_EXCLUSIVE, 0},
        {KEY_EXCLUSIVE, KEY_SHARED, 0},
        {KEY_EXCLUSIVE, KEY_EXCLUSIVE, 0},
        {PREFIX, PREFIX, 1},
        {PREFIX, KEY_SHARED, 1},
        {PREFIX, KEY_EXCLUSIVE, 0},
        {KEY_SHARED, PREFIX, 1},
        {KEY_EXCLUSIVE, PREFIX, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        has(0, (enum what)rows[i][0], "k");
        assert_int_equal(take(1, (enum what)rows[i][1], "k", 0),
                         rows[i][2] ? KV_LOCKED : KV_LOCK_TIMEOUT);
        release(0);
        release(1);
    }
}

static void owner__does_not_exclude_itself(void **state)
{
    static const enum what all[] = {KEY_SHARED, KEY_EXCLUSIVE, PREFIX};

    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            has(0, all[i], "k");
            has(0, all[k], "k");
            has(0, all[i], "k");
            release(0);
        }
    }
}

static void owner__takes_nothing_twice(void **state)
{
    (void)state;
    has(0, KEY_SHARED, "a");
    has(0, KEY_SHARED, "a");
    has(0, KEY_EXCLUSIVE, "a");
    has(0, KEY_EXCLUSIVE, "a");
    has(0, KEY_SHARED, "a");
    assert_int_equal(w.askers[0].owner.count, 1);
    has_not(1, KEY_SHARED, "a"); /* it is still exclusive */
    has(0, PREFIX, "p");
    has(0, PREFIX, "p");
    has(0, PREFIX, "pq");
    has(0, KEY_SHARED, "pqr");
    assert_int_equal(w.askers[0].owner.count, 2);
}

static void prefix__meets_the_keys_below_it_alone(void **state)
{
    (void)state;
    has(0, PREFIX, "ab");
    has_not(1, KEY_EXCLUSIVE, "ab");
    has_not(1, KEY_EXCLUSIVE, "abc");
    has(1, KEY_EXCLUSIVE, "a");
    has(1, KEY_EXCLUSIVE, "aa");
    has(1, KEY_EXCLUSIVE, "ac");
    has(1, KEY_EXCLUSIVE, "b");
    has_not(2, PREFIX, "a");
    has_not(2, PREFIX, "aa");
    has_not(2, PREFIX, "");
    has(2, PREFIX, "ab");
    has(2, PREFIX, "abc");
    has(2, PREFIX, "aaa");
    release(0);
    release(1);
    has_not(1, KEY_EXCLUSIVE, "abcd"); /* of 2, twice */
    has(3, PREFIX, "");
    has_not(1, KEY_EXCLUSIVE, "z");
}

static void limit__is_kept(void **state)
{
    char key[16];

    (void)state;
    for (int i = 0; i < COUNT_MAX; i++) {
        snprintf(key, sizeof(key), "%d", i * 7919 % COUNT_MAX);
        has(0, i % 2 ? KEY_SHARED : KEY_EXCLUSIVE, key);
    }
    assert_int_equal(take(0, KEY_SHARED, "one more", 0), KV_LOCK_LIMIT);
    assert_int_equal(take(0, PREFIX, "", 0), KV_LOCK_LIMIT);
    has(0, KEY_EXCLUSIVE, "7");
    has_not(1, PREFIX, "");
    release(0);
    has(1, PREFIX, "");
}

/* -- order ------------------------------------------------------------------------------------- */

static void line__is_first_come_first_served(void **state)
{
    (void)state;
    has(0, KEY_EXCLUSIVE, "k");
    waits(1, KEY_EXCLUSIVE, "k", FOREVER);
    waits(2, KEY_SHARED, "k", FOREVER);
    waits(3, KEY_SHARED, "k", FOREVER);
    waits(4, KEY_EXCLUSIVE, "k", FOREVER);
    release(0);
    answers(1, KV_LOCKED);
    still_waits(2);
    release(1);
    answers(2, KV_LOCKED); /* all readers that follow one another, at once */
    answers(3, KV_LOCKED);
    still_waits(4);
    release(2);
    still_waits(4);
    release(3);
    answers(4, KV_LOCKED);
}

/* Nobody starves: a reader does not pass a writer who waits for readers. */
static void line__is_not_jumped_by_readers(void **state)
{
    (void)state;
    has(0, KEY_SHARED, "k");
    waits(1, KEY_EXCLUSIVE, "k", FOREVER);
    has_not(2, KEY_SHARED, "k");
    waits(2, KEY_SHARED, "k", FOREVER);
    has(3, KEY_EXCLUSIVE, "other");
    release(0);
    answers(1, KV_LOCKED);
    still_waits(2);
    release(1);
    answers(2, KV_LOCKED);
}

static void line__of_keys_and_prefixes_is_one(void **state)
{
    (void)state;
    has(0, KEY_EXCLUSIVE, "pa");
    waits(1, PREFIX, "p", FOREVER);
    waits(2, KEY_EXCLUSIVE, "pb", FOREVER); /* free, but 1 came earlier */
    has(3, KEY_SHARED, "pc");
    waits(4, PREFIX, "", FOREVER); /* 2 came earlier */
    release(0);
    answers(1, KV_LOCKED);
    still_waits(2);
    still_waits(4);
    release(1);
    answers(2, KV_LOCKED);
    still_waits(4);
    release(2);
    answers(4, KV_LOCKED);
}

static void wait__that_ends_lets_those_behind_go_on(void **state)
{
    (void)state;
    has(0, KEY_SHARED, "k");
    waits(1, KEY_EXCLUSIVE, "k", FOREVER);
    waits(2, KEY_SHARED, "k", FOREVER);
    pthread_mutex_lock(&w.mutex[0]);
    hf__kv_lock_refuse(&w.locks[0], &w.askers[1].owner);
    hf__kv_lock_refuse(&w.locks[0], &w.askers[0].owner); /* does not wait: nothing */
    pthread_mutex_unlock(&w.mutex[0]);
    answers(1, KV_LOCK_REFUSED);
    answers(2, KV_LOCKED);
    waits(3, KEY_EXCLUSIVE, "k", 30);
    waits(4, PREFIX, "k", FOREVER); /* 3 came earlier */
    answers(3, KV_LOCK_TIMEOUT);
    answers(4, KV_LOCKED);
}

static void refuse_all__wakes_everybody(void **state)
{
    (void)state;
    has(0, KEY_EXCLUSIVE, "k");
    waits(1, KEY_EXCLUSIVE, "k", FOREVER);
    waits(2, PREFIX, "", FOREVER);
    waits(3, KEY_SHARED, "k", FOREVER);
    pthread_mutex_lock(&w.mutex[0]);
    hf__kv_lock_refuse_all(&w.locks[0]);
    pthread_mutex_unlock(&w.mutex[0]);
    for (int i = 1; i <= 3; i++)
        answers(i, KV_LOCK_REFUSED);
}

/* -- upgrades ---------------------------------------------------------------------------------- */

static void upgrade__goes_to_the_head_of_the_line(void **state)
{
    (void)state;
    has(0, KEY_SHARED, "k");
    has(1, KEY_SHARED, "k");
    waits(2, KEY_EXCLUSIVE, "k", FOREVER);
    waits(0, KEY_EXCLUSIVE, "k", FOREVER);
    release(1);
    answers(0, KV_LOCKED);
    assert_int_equal(w.askers[0].owner.count, 1);
    still_waits(2);
    release(0);
    answers(2, KV_LOCKED);
}

static void upgrade__that_is_given_up_leaves_the_shared_lock(void **state)
{
    (void)state;
    has(0, KEY_SHARED, "k");
    has(1, KEY_SHARED, "k");
    has_not(0, KEY_EXCLUSIVE, "k");
    waits(0, KEY_EXCLUSIVE, "k", 20);
    answers(0, KV_LOCK_TIMEOUT);
    release(1);
    has_not(1, KEY_EXCLUSIVE, "k");
    has(1, KEY_SHARED, "k");
}

static void upgrade__of_a_prefix_to_a_key_passes_who_waits_for_the_prefix(void **state)
{
    (void)state;
    has(0, PREFIX, "p");
    waits(1, KEY_EXCLUSIVE, "pk", FOREVER);
    has(0, KEY_EXCLUSIVE, "pk");
    release(0);
    answers(1, KV_LOCKED);
}

static void upgrade__by_two_readers_is_a_deadlock(void **state)
{
    (void)state;
    has(0, KEY_SHARED, "k");
    has(1, KEY_SHARED, "k");
    waits(0, KEY_EXCLUSIVE, "k", FOREVER);
    assert_int_equal(take(1, KEY_EXCLUSIVE, "k", FOREVER), KV_LOCK_DEADLOCK);
    still_waits(0);
    release(1);
    answers(0, KV_LOCKED);
}

/* -- deadlocks --------------------------------------------------------------------------------- */

static void deadlock__of_two_is_found_by_the_second(void **state)
{
    (void)state;
    has(0, KEY_EXCLUSIVE, "a");
    has(1, KEY_EXCLUSIVE, "b");
    waits(0, KEY_SHARED, "b", FOREVER);
    assert_int_equal(take(1, KEY_SHARED, "a", FOREVER), KV_LOCK_DEADLOCK);
    still_waits(0);
    release(1);
    answers(0, KV_LOCKED);
}

static void deadlock__of_three_is_found_by_the_third(void **state)
{
    (void)state;
    has(0, KEY_EXCLUSIVE, "a");
    has(1, KEY_EXCLUSIVE, "b");
    has(2, KEY_EXCLUSIVE, "c");
    waits(0, KEY_EXCLUSIVE, "b", FOREVER);
    waits(1, KEY_EXCLUSIVE, "c", FOREVER);
    waits(3, KEY_EXCLUSIVE, "a", FOREVER); /* waits too, in no circle */
    assert_int_equal(take(2, KEY_EXCLUSIVE, "a", FOREVER), KV_LOCK_DEADLOCK);
    release(2);
    answers(1, KV_LOCKED);
    release(1);
    answers(0, KV_LOCKED);
    release(0);
    answers(3, KV_LOCKED);
}

static void deadlock__through_a_prefix_is_found(void **state)
{
    (void)state;
    has(0, PREFIX, "p");
    has(1, KEY_EXCLUSIVE, "q");
    waits(1, KEY_EXCLUSIVE, "p1", FOREVER);
    assert_int_equal(take(0, PREFIX, "q", FOREVER), KV_LOCK_DEADLOCK);
    release(0);
    answers(1, KV_LOCKED);
    has(0, KEY_EXCLUSIVE, "r");
    waits(0, PREFIX, "p", FOREVER);
    assert_int_equal(take(1, PREFIX, "", FOREVER), KV_LOCK_DEADLOCK);
    release(1);
    answers(0, KV_LOCKED);
}

/* Two scanners that have both seen the prefix and both want to write below it. */
static void deadlock__of_two_scanners_that_write_is_found(void **state)
{
    (void)state;
    has(0, PREFIX, "p");
    has(1, PREFIX, "p");
    waits(0, KEY_EXCLUSIVE, "p1", FOREVER);
    assert_int_equal(take(1, KEY_EXCLUSIVE, "p2", FOREVER), KV_LOCK_DEADLOCK);
    release(1);
    answers(0, KV_LOCKED);
}

/* A reader behind a writer who waits for a reader: the way goes through the line. */
static void deadlock__through_the_line_is_found(void **state)
{
    (void)state;
    has(0, KEY_EXCLUSIVE, "a");
    has(1, KEY_SHARED, "b");
    waits(1, KEY_SHARED, "a", FOREVER);
    waits(2, KEY_EXCLUSIVE, "b", FOREVER);
    assert_int_equal(take(0, KEY_EXCLUSIVE, "b", FOREVER), KV_LOCK_DEADLOCK);
    release(0);
    answers(1, KV_LOCKED);
    release(1);
    answers(2, KV_LOCKED);
}

/* In two stores, where neither knows of the circle alone. */
static void deadlock__over_two_tables_is_found(void **state)
{
    (void)state;
    w.askers[2].owner.transaction = w.askers[0].owner.transaction;
    w.askers[3].owner.transaction = w.askers[1].owner.transaction;
    w.askers[2].locks = &w.locks[1];
    w.askers[3].locks = &w.locks[1];
    has(0, KEY_EXCLUSIVE, "a");
    has(3, KEY_EXCLUSIVE, "a");
    waits(2, KEY_EXCLUSIVE, "a", FOREVER); /* transaction 0 waits for 1 in the other table */
    assert_int_equal(take(1, KEY_EXCLUSIVE, "a", FOREVER), KV_LOCK_DEADLOCK);
    release(1);
    release(3);
    answers(2, KV_LOCKED);
}

/* Two branches of one transaction in one store: the first ends only when the second has ended. */
static void deadlock__with_the_own_transaction_is_found(void **state)
{
    (void)state;
    w.askers[1].owner.transaction = w.askers[0].owner.transaction;
    has(0, KEY_EXCLUSIVE, "a");
    assert_int_equal(take(1, KEY_SHARED, "a", FOREVER), KV_LOCK_DEADLOCK);
}

/* Only the order of arrival is in the way of 0, and 1 waits for it: 0 goes first. */
static void order__alone_makes_no_deadlock(void **state)
{
    char key[16];

    (void)state;
    has(0, KEY_EXCLUSIVE, "p0");
    waits(1, PREFIX, "p", FOREVER);
    for (int i = 1; i < 50; i++) {
        snprintf(key, sizeof(key), "p%d", i);
        assert_int_equal(take(0, KEY_EXCLUSIVE, key, FOREVER), KV_LOCKED);
        has(0, KEY_EXCLUSIVE, key);
    }
    still_waits(1);
    has_not(2, KEY_EXCLUSIVE, "px"); /* 1 does not wait for 2 */
    release(0);
    answers(1, KV_LOCKED);
    has(3, KEY_SHARED, "k");
    waits(4, KEY_EXCLUSIVE, "k", FOREVER);
    assert_int_equal(take(3, PREFIX, "k", 0), KV_LOCKED);
    release(3);
    answers(4, KV_LOCKED);
}

/* -- at random --------------------------------------------------------------------------------- */

enum { KEYS = 6, ROUNDS = 3000 };
static atomic_int readers[KEYS], writers[KEYS];
static atomic_int broken, deadlocks, timeouts;

/* Note what was got, and look at what others have. */
static void look(enum what what, int key, int *reads, int *writes)
{
    for (int k = 0; k < KEYS; k++) {
        if (what != PREFIX && k != key)
            continue;
        if (what == KEY_EXCLUSIVE && !writes[k]) {
            writes[k] = 1;
            atomic_fetch_add(&writers[k], 1);
        } else if (what != KEY_EXCLUSIVE && !reads[k]) {
            reads[k] = 1;
            atomic_fetch_add(&readers[k], 1);
        }
        if (atomic_load(&writers[k]) > writes[k])
            atomic_fetch_add(&broken, 1);
        if (writes[k] && atomic_load(&readers[k]) > reads[k])
            atomic_fetch_add(&broken, 1);
    }
}

static void run_transaction(int i, unsigned *seed)
{
    int reads[KEYS] = {0}, writes[KEYS] = {0};
    enum kv_lock_answer answer = KV_LOCKED;

    for (int n = 1 + rand_r(seed) % 4; n > 0 && answer == KV_LOCKED; n--) {
        char key[2] = {(char)('a' + rand_r(seed) % KEYS), '\0'};
        enum what what = rand_r(seed) % 5 == 0 ? PREFIX : (enum what)(rand_r(seed) % 2);

        answer = take(i, what, what == PREFIX ? "" : key, rand_r(seed) % 50 == 0 ? 0 : FOREVER);
        if (answer == KV_LOCKED)
            look(what, key[0] - 'a', reads, writes);
        (void)sched_yield(); /* so that others come while we hold it */
    }
    deadlocks += answer == KV_LOCK_DEADLOCK;
    timeouts += answer == KV_LOCK_TIMEOUT;
    for (int k = 0; k < KEYS; k++) {
        atomic_fetch_sub(&readers[k], reads[k]);
        atomic_fetch_sub(&writers[k], writes[k]);
    }
    release(i);
}

static void *run_at_random(void *arg)
{
    struct asker *a = arg;
    unsigned seed = (unsigned)a->owner.transaction;

    for (int n = 0; n < ROUNDS; n++)
        run_transaction((int)(a - w.askers), &seed);
    return NULL;
}

/* A deadlock that is not found would last for ten minutes: the test's time limit. */
static void threads__never_hold_what_excludes_each_other(void **state)
{
    (void)state;
    for (int i = 0; i < OWNERS; i++)
        assert_int_equal(pthread_create(&w.askers[i].thread, NULL, run_at_random, &w.askers[i]), 0);
    for (int i = 0; i < OWNERS; i++)
        assert_int_equal(pthread_join(w.askers[i].thread, NULL), 0);
    print_message("%d deadlocks, %d time-outs\n", deadlocks, timeouts);
    assert_int_equal(broken, 0);
    assert_true(deadlocks > 0);
    assert_true(timeouts > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCK_TEST(matrix__is_that_of_the_header),
        LOCK_TEST(owner__does_not_exclude_itself),
        LOCK_TEST(owner__takes_nothing_twice),
        LOCK_TEST(prefix__meets_the_keys_below_it_alone),
        LOCK_TEST(limit__is_kept),
        LOCK_TEST(line__is_first_come_first_served),
        LOCK_TEST(line__is_not_jumped_by_readers),
        LOCK_TEST(line__of_keys_and_prefixes_is_one),
        LOCK_TEST(wait__that_ends_lets_those_behind_go_on),
        LOCK_TEST(refuse_all__wakes_everybody),
        LOCK_TEST(upgrade__goes_to_the_head_of_the_line),
        LOCK_TEST(upgrade__that_is_given_up_leaves_the_shared_lock),
        LOCK_TEST(upgrade__of_a_prefix_to_a_key_passes_who_waits_for_the_prefix),
        LOCK_TEST(upgrade__by_two_readers_is_a_deadlock),
        LOCK_TEST(deadlock__of_two_is_found_by_the_second),
        LOCK_TEST(deadlock__of_three_is_found_by_the_third),
        LOCK_TEST(deadlock__through_a_prefix_is_found),
        LOCK_TEST(deadlock__of_two_scanners_that_write_is_found),
        LOCK_TEST(deadlock__through_the_line_is_found),
        LOCK_TEST(deadlock__over_two_tables_is_found),
        LOCK_TEST(deadlock__with_the_own_transaction_is_found),
        LOCK_TEST(order__alone_makes_no_deadlock),
        LOCK_TEST(threads__never_hold_what_excludes_each_other),
    };

    return cmocka_run_group_tests_name("kv.lock", tests, NULL, NULL);
}
