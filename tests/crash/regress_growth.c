/*
 * What: a store whose map another process makes larger, while readers come and go and a writer of
 *       our own measures it: nobody reads a map that has been taken away.
 * How:  one process writes sixty kilobytes at a time into a map of one megabyte; another begins and
 *       ends snapshots in three threads and applies nothing in a fourth; a signal ends it if it
 *       touches what is gone. All is still whole in the end.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "crash_kit.h"
#include "holdfast/internal/store.h"

enum { ROUNDS = 20, RECORDS = 90, RECORD_BYTES = 60000, READERS = 3, MAP_BYTES = 1 << 20 };

static atomic_bool stop;

static struct hf__store *open_store(const char *dir)
{
    struct hf__store_config config = {.dir = dir,
                                      .file = "data",
                                      .lock_file = "lock",
                                      .application = 1,
                                      .format = 1,
                                      .map_bytes = MAP_BYTES,
                                      .flags = HF__STORE_CREATE};
    struct hf__store *store;

    OK(hf__store_open(&config, &store));
    hf__store_opened(store);
    return store;
}

static int put_large(struct hf__store_txn *txn, void *arg)
{
    static const char payload[RECORD_BYTES];
    unsigned char key[5] = {'k'};

    hf__put32(key + 1, *(const uint32_t *)arg);
    return hf__store_put(txn, key, sizeof(key), 'x', payload, sizeof(payload));
}

static int put_nothing(struct hf__store_txn *txn, void *arg)
{
    (void)txn, (void)arg;
    return HF_OK;
}

static void write_all(const char *dir)
{
    struct hf__store *store = open_store(dir);

    for (uint32_t i = 0; i < RECORDS; i++)
        OK(hf__store_apply(store, put_large, &i));
    hf__store_close(store);
}

static void *read_on(void *store)
{
    struct hf__store_txn *snapshot;

    while (!atomic_load(&stop)) {
        OK(hf__store_read_begin(store, &snapshot));
        hf__store_read_end(snapshot);
    }
    return NULL;
}

static void *apply_on(void *store)
{
    while (!atomic_load(&stop))
        OK(hf__store_apply(store, put_nothing, NULL));
    return NULL;
}

/* Says when it has begun, and ends when the other end is closed: the writer is done. */
static void follow(const char *dir, int writer)
{
    struct hf__store *store = open_store(dir);
    pthread_t threads[READERS + 1];
    char byte;

    for (int i = 0; i <= READERS; i++)
        CHECK(pthread_create(&threads[i], NULL, i < READERS ? read_on : apply_on, store) == 0,
              "make a thread");
    CHECK(write(writer, "", 1) == 1 && read(writer, &byte, 1) == 0, "wait for the writer");
    atomic_store(&stop, true);
    for (int i = 0; i <= READERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "join");
    hf__store_close(store);
}

static pid_t start_follower(const char *dir, int ends[2])
{
    pid_t pid = fork();

    CHECK(pid >= 0, "fork");
    if (pid == 0) {
        (void)close(ends[1]);
        follow(dir, ends[0]);
        _exit(0);
    }
    (void)close(ends[0]);
    return pid;
}

static void run_round(const char *dir, int round)
{
    struct hf__store_info info;
    struct hf__store *store;
    int ends[2], status;
    char byte, path[128];
    pid_t follower;

    (void)snprintf(path, sizeof(path), "%s/%d", dir, round);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "make a pair of sockets");
    follower = start_follower(path, ends);
    CHECK(read(ends[1], &byte, 1) == 1, "round %d: the follower did not begin", round);
    write_all(path);
    (void)close(ends[1]);
    CHECK(waitpid(follower, &status, 0) == follower, "wait");
    CHECK(!WIFSIGNALED(status), "round %d: signal %d", round, WTERMSIG(status));
    CHECK(WEXITSTATUS(status) == 0, "round %d: exit %d", round, WEXITSTATUS(status));
    store = open_store(path);
    OK(hf__store_verify(store));
    OK(hf__store_info(store, &info));
    CHECK(info.records == RECORDS, "%llu records", (unsigned long long)info.records);
    CHECK(info.map_bytes >= 4 * (uint64_t)MAP_BYTES, "the map did not grow");
    hf__store_close(store);
}

int main(void)
{
    char dir[64];

    kit_tmpdir(dir);
    for (int round = 0; round < ROUNDS; round++)
        run_round(dir, round);
    kit_remove(dir);
    printf("%d rounds: nobody was hurt\n", ROUNDS);
    return 0;
}
