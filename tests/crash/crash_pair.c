/*
 * What: two processes on one node; one is killed at a random moment, the other recovers its
 *       transactions while it goes on with its own (invariants 3, 4, 5, 9).
 * How:  ROUNDS times: the victim writes key n to stores a and b in transaction n, and tells each
 *       acknowledged n through a pipe; the survivor does the same with c and d in the same process
 *       that ticks. After a random number of acknowledgements the victim is killed; the survivor
 *       ticks until nothing is owed; then a and b must have the same keys, all acknowledged ones
 *       among them. A failure prints the seed: `crash_pair --seed S` replays the choices.
 */
#include <errno.h>
#include <signal.h>

#include "crash_kit.h"

enum { ROUNDS = 20, TICKS_MAX = 400 };

/* One transaction that writes key to both; HF_EROLLEDBACK is left to the caller. */
static int write_both(hf_tm *tm, hf_instance *x, hf_instance *y, const char *key)
{
    hf_tx *tx;

    OK(hf_tx_begin(tm, 0, &tx));
    OK(hf_tx_enlist(tx, x));
    OK(hf_tx_enlist(tx, y));
    OK(hf_kv_put(hf_instance_rmid(x), key, strlen(key), "1", 1));
    OK(hf_kv_put(hf_instance_rmid(y), key, strlen(key), "1", 1));
    return hf_tx_commit(tx, NULL);
}

static void run_victim(const char *dir, int round)
{
    hf_tm *tm = kit_open(dir, "victim");
    hf_rm *rm_a = kit_kv(tm, dir, "a"), *rm_b = kit_kv(tm, dir, "b");
    hf_instance *a = kit_instance(rm_a), *b = kit_instance(rm_b);

    OK(hf_tm_start(tm, 0));
    for (int i = 0;; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "%d.%d", round, i);
        OK(write_both(tm, a, b, key));
        CHECK(write(STDOUT_FILENO, &i, sizeof(i)) == sizeof(i), "tell");
    }
}

static pid_t start_victim(const char *self, const char *dir, int round, int *ret_fd)
{
    char number[16];
    int fds[2];
    pid_t pid;

    CHECK(pipe(fds) == 0, "pipe");
    (void)snprintf(number, sizeof(number), "%d", round);
    pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        execl(self, self, "--victim", dir, number, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

/* Read acknowledgements until there are `until` of them, or the victim is gone. Returns the last
   one. */
static int read_acks(int fd, int until, int last)
{
    int i;

    while (last < until && read(fd, &i, sizeof(i)) == sizeof(i))
        last = i;
    return last;
}

/* Work of the survivor's own, and recovery, until nothing of the victim's is left. */
static void recover_and_work(hf_tm *tm, hf_instance *c, hf_instance *d, int round)
{
    hf_tm_stats stats = {.size = sizeof(stats)};

    for (int i = 0;; i++) {
        char key[32];

        CHECK(i < TICKS_MAX, "round %d: not recovered after %d passes", round, i);
        (void)snprintf(key, sizeof(key), "%d.%d", round, i);
        OK(write_both(tm, c, d, key));
        OK(hf_tm_recover(tm, NULL));
        OK(hf_tm_get_stats(tm, &stats));
        if (stats.owed == 0 && i > 0)
            return;
    }
}

static void compare(hf_rm *rm_a, hf_rm *rm_b, int round, int acked)
{
    hf_instance *a = kit_instance(rm_a), *b = kit_instance(rm_b);

    for (int i = 0; i <= acked + 1; i++) {
        char key[32];
        int in_a, in_b;

        (void)snprintf(key, sizeof(key), "%d.%d", round, i);
        in_a = kit_has(a, key);
        in_b = kit_has(b, key);
        CHECK(in_a == in_b, "round %d: %s is in %s alone", round, key, in_a ? "a" : "b");
        CHECK(in_a || i > acked, "round %d: %s was acknowledged and is lost", round, key);
    }
    OK(hf_instance_close(a));
    OK(hf_instance_close(b));
}

static void survive(const char *self, const char *dir, unsigned seed)
{
    hf_tm *tm = kit_open(dir, "survivor");
    hf_rm *rm_a = kit_kv(tm, dir, "a"), *rm_b = kit_kv(tm, dir, "b");
    hf_instance *c = kit_instance(kit_kv(tm, dir, "c")), *d = kit_instance(kit_kv(tm, dir, "d"));
    hf_tm_stats stats = {.size = sizeof(stats)};

    OK(hf_tm_start(tm, 0));
    for (int round = 0; round < ROUNDS; round++) {
        int fd, acked;
        pid_t pid = start_victim(self, dir, round, &fd);

        acked = read_acks(fd, 1 + rand_r(&seed) % 40, -1);
        CHECK(acked >= 0, "round %d: the victim did nothing", round);
        nap_ms(rand_r(&seed) % 3);
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "kill");
        acked = read_acks(fd, 1 << 30, acked);
        (void)close(fd);
        recover_and_work(tm, c, d, round);
        compare(rm_a, rm_b, round, acked);
    }
    OK(hf_tm_get_stats(tm, &stats));
    CHECK(stats.recovered_committed + stats.recovered_rolledback > 0, "no kill hit a transaction");
    printf("crash_pair: ok: %d kills, the other process committed %d and rolled back %d\n", ROUNDS,
           (int)stats.recovered_committed, (int)stats.recovered_rolledback);
    printf("rig: %d kills beside a live process, 0 violations\n", ROUNDS);
    OK(hf_instance_close(c));
    OK(hf_instance_close(d));
    OK(hf_tm_close(tm, 0, NULL));
}

int main(int argc, char **argv)
{
    unsigned seed = (unsigned)time(NULL);
    char dir[64], self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    CHECK(n > 0, "find myself");
    self[n] = '\0';
    if (argc == 4 && strcmp(argv[1], "--victim") == 0)
        run_victim(argv[2], atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "--seed") == 0)
        seed = (unsigned)strtoul(argv[2], NULL, 10);
    fprintf(stderr, "crash_pair: --seed %u\n", seed);
    kit_tmpdir(dir);
    survive(self, dir, seed);
    kit_remove(dir);
    return 0;
}
