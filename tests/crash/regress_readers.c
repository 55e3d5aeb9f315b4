/*
 * What: a thousand snapshots of a store at a time; and a reader that was killed does not make the
 *       log grow without end: a recovery pass clears away what it left.
 * How:  snapshots of many threads; a child that begins to read the log and is killed, a pass, and
 *       several megabytes of decisions that are all finished.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "holdfast/internal/store.h"
#include "record.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

enum { SNAPSHOTS = 1000, THREADS = 20, TRANSACTIONS = 400, MEGABYTE = 1 << 20 };

static struct hf__store *store_read;
static pthread_barrier_t all_have_begun;

/* The number of snapshots it could have, all at the same time as those of the other threads. */
static void *hold_snapshots(void *ret_count)
{
    struct hf__store_txn *snapshots[SNAPSHOTS / THREADS];
    int *count = ret_count;

    while (*count < SNAPSHOTS / THREADS &&
           hf__store_read_begin(store_read, &snapshots[*count]) == HF_OK)
        *count += 1;
    (void)pthread_barrier_wait(&all_have_begun);
    for (int i = 0; i < *count; i++)
        hf__store_read_end(snapshots[i]);
    return NULL;
}

static void snapshots__may_be_a_thousand(void **state)
{
    struct world *w = *state;
    struct hf__store_config config = {
        .dir = w->node, .file = "data", .application = 1, .format = 1, .flags = HF__STORE_CREATE};
    int counts[THREADS] = {0}, sum = 0;
    pthread_t threads[THREADS];

    t_ok(hf__store_open(&config, &store_read));
    assert_int_equal(pthread_barrier_init(&all_have_begun, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_snapshots, &counts[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += counts[i];
    }
    assert_int_equal(sum, SNAPSHOTS);
    (void)pthread_barrier_destroy(&all_have_begun);
    hf__store_close(store_read);
}

/* Pauses first: a child of a process that has the node open already could not open it. */
static void read_and_be_killed(void *arg)
{
    struct world *w = arg;
    struct hf__store_config config = {.dir = w->node,
                                      .file = HF__LOG_FILE,
                                      .lock_file = HF__LOCK_FILE,
                                      .companions = HF__LOG_COMPANIONS,
                                      .application = HF__LOG_APPLICATION,
                                      .format = HF__LOG_FORMAT,
                                      .flags = HF__STORE_READONLY};
    struct hf__store_txn *snapshot;
    struct hf__store *store;

    fake_child_pause();
    must_ok(hf__store_open(&config, &store));
    hf__store_opened(store);
    must_ok(hf__store_read_begin(store, &snapshot));
    (void)kill(getpid(), SIGKILL);
}

static off_t log_size_after(struct world *w, int transactions)
{
    struct stat st;
    hf_tx *tx;

    for (int i = 0; i < transactions; i++) {
        world_begin(w, 2, &tx);
        t_ok(hf_tx_commit(tx, NULL));
        world_trace_clear();
    }
    t_ok(hf_tm_recover(w->tm, NULL)); /* drops the last of the records, too */
    assert_int_equal(stat(t_path(w->node, HF__LOG_FILE), &st), 0);
    return st.st_size;
}

static void killed_reader__pins_nothing_after_a_pass(void **state)
{
    struct world *w = *state;
    pid_t reader = fake_child_start(read_and_be_killed, w);
    off_t before, after;

    world_start(w, 2);
    assert_true(WIFSIGNALED(fake_child_end(reader)));
    before = log_size_after(w, 1);
    after = log_size_after(w, TRANSACTIONS);
    assert_in_range(after, before, before + MEGABYTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(snapshots__may_be_a_thousand),
        T(killed_reader__pins_nothing_after_a_pass),
    };

    return cmocka_run_group_tests_name("regress.readers", tests, NULL, NULL);
}
