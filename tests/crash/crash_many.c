/*
 * What: eight processes on one node, killed at random; the others recover what each leaves, and it
 *       comes back as another incarnation (invariants 3, 4, 5, 9, 15).
 * How:  worker i commits into its own two kv stores, a<i> and b<i>, one key a transaction, and
 *       tells each acknowledged key through a pipe; every worker registers all sixteen stores, so
 *       that whoever ticks first recovers a dead one's. After SECONDS all are killed, one process
 *       recovers what is left, and both stores of every pair must hold the same keys, all
 *       acknowledged ones among them; nothing may be in doubt, and no heuristic recorded.
 *       `crash_many [--seconds S] [--seed S]`
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "crash_kit.h"

enum { WORKERS = 8, ACKS_MAX = 1 << 20, TICK_EVERY = 16, STEP_MS = 5 };

struct worker {
    pid_t pid;
    int fd; /* its acknowledgements */
    unsigned life;
    unsigned (*acks)[2]; /* life and number of each: count of them */
    unsigned count;
};

static void alarms_only(void *user, int level, const char *text)
{
    if (level == HF_LOG_ALARM)
        fprintf(stderr, "%s: %s\n", (const char *)user, text);
}

static hf_tm *open_all(const char *dir, const char *who, hf_rm *rms[WORKERS][2])
{
    hf_tm *tm = kit_open_with(dir, who, alarms_only);

    for (int i = 0; i < WORKERS; i++)
        for (int k = 0; k < 2; k++) {
            char name[16];

            (void)snprintf(name, sizeof(name), "%c%d", 'a' + k, i);
            rms[i][k] = kit_kv(tm, dir, name);
        }
    return tm;
}

static void key_of(char key[32], unsigned life, unsigned number)
{
    (void)snprintf(key, 32, "%u.%u", life, number);
}

static void work(const char *dir, int me, unsigned life)
{
    hf_rm *rms[WORKERS][2];
    hf_tm *tm = open_all(dir, "worker", rms);
    hf_instance *a = kit_instance(rms[me][0]), *b = kit_instance(rms[me][1]);

    OK(hf_tm_start(tm, 0));
    for (unsigned n = 0;; n++) {
        unsigned told[2] = {life, n};
        char key[32];
        hf_tx *tx;

        key_of(key, life, n);
        OK(hf_tx_begin(tm, 0, &tx));
        OK(hf_tx_enlist(tx, a));
        OK(hf_tx_enlist(tx, b));
        OK(hf_kv_put(hf_instance_rmid(a), key, strlen(key), "1", 1));
        OK(hf_kv_put(hf_instance_rmid(b), key, strlen(key), "1", 1));
        OK(hf_tx_commit(tx, NULL));
        CHECK(write(STDOUT_FILENO, told, sizeof(told)) == sizeof(told), "tell");
        if (n % TICK_EVERY == 0)
            OK(hf_tm_tick(tm, NULL));
    }
}

static void start(struct worker *w, const char *self, const char *dir, int me)
{
    char index[16], life[16];
    int fds[2];

    CHECK(pipe2(fds, O_CLOEXEC) == 0, "pipe");
    (void)snprintf(index, sizeof(index), "%d", me);
    (void)snprintf(life, sizeof(life), "%u", ++w->life);
    w->pid = fork();
    if (w->pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        execl(self, self, "--worker", dir, index, life, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    w->fd = fds[0];
}

/* What it has told so far; all of it, once it is dead. */
static void take(struct worker *w)
{
    struct pollfd fd = {.fd = w->fd, .events = POLLIN};

    while (w->count < ACKS_MAX && poll(&fd, 1, 0) == 1 &&
           read(w->fd, w->acks[w->count], sizeof(*w->acks)) == (ssize_t)sizeof(*w->acks))
        w->count++;
}

static void stop(struct worker *w)
{
    int status;

    CHECK(kill(w->pid, SIGKILL) == 0 && waitpid(w->pid, &status, 0) == w->pid, "kill");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a worker ended by itself: %x",
          (unsigned)status);
    take(w);
    (void)close(w->fd);
}

/* Let them work, and keep their pipes from filling up. */
static void read_for(struct worker *workers, long ms)
{
    for (; ms > 0; ms -= STEP_MS) {
        nap_ms(STEP_MS);
        for (int i = 0; i < WORKERS; i++)
            take(&workers[i]);
    }
}

static int count_heuristics(void *user, const hf_inspect_tx *tx)
{
    *(unsigned *)user += tx->outcome != HF_COMMITTED && tx->outcome != HF_ROLLEDBACK;
    return 0;
}

static int same_in_other(void *user, const void *key, size_t key_size, const void *value,
                         size_t value_size)
{
    int other = *(const int *)user;

    (void)value, (void)value_size;
    CHECK(hf_kv_get(other, key, key_size, NULL, 0, NULL) == HF_OK, "%.*s is in one store alone",
          (int)key_size, (const char *)key);
    return 0;
}

static unsigned verify_pair(hf_rm *const pair[2], const struct worker *w)
{
    hf_instance *in[2] = {kit_instance(pair[0]), kit_instance(pair[1])};
    int rmid[2] = {hf_instance_rmid(in[0]), hf_instance_rmid(in[1])};

    OK(hf_kv_each(rmid[0], "", 0, same_in_other, &rmid[1]));
    OK(hf_kv_each(rmid[1], "", 0, same_in_other, &rmid[0]));
    for (unsigned i = 0; i < w->count; i++) {
        char key[32];

        key_of(key, w->acks[i][0], w->acks[i][1]);
        CHECK(kit_has(in[0], key), "%s was acknowledged and is lost", key);
    }
    OK(hf_instance_close(in[0]));
    OK(hf_instance_close(in[1]));
    return w->count;
}

static unsigned verify(const char *dir, const struct worker *workers)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_rm *rms[WORKERS][2];
    hf_tm *tm = open_all(dir, "verifier", rms);
    unsigned total = 0, heuristics = 0;
    hf_inspect *in;
    char node[512];

    OK(hf_tm_start(tm, 10000));
    OK(hf_tm_recover(tm, NULL));
    OK(hf_tm_get_stats(tm, &stats));
    CHECK(stats.owed == 0 && stats.alarms == 0, "%d are owed, %d alarms", (int)stats.owed,
          (int)stats.alarms);
    for (int i = 0; i < WORKERS; i++)
        total += verify_pair(rms[i], &workers[i]);
    OK(hf_tm_close(tm, 0, NULL));
    (void)snprintf(node, sizeof(node), "%s/node", dir);
    OK(hf_inspect_open(node, &in));
    OK(hf_inspect_verify(in));
    OK(hf_inspect_transactions(in, count_heuristics, &heuristics));
    hf_inspect_close(in);
    CHECK(heuristics == 0, "%u heuristics", heuristics);
    return total;
}

static void run(const char *self, const char *dir, unsigned seed, int seconds)
{
    static struct worker workers[WORKERS];
    time_t until = time(NULL) + seconds;
    unsigned kills = 0, total;

    for (int i = 0; i < WORKERS; i++) {
        workers[i].acks = calloc(ACKS_MAX, sizeof(*workers[i].acks));
        CHECK(workers[i].acks != NULL, "no memory");
        start(&workers[i], self, dir, i);
    }
    while (time(NULL) < until) {
        int i = rand_r(&seed) % WORKERS;

        read_for(workers, 20 + rand_r(&seed) % 60);
        stop(&workers[i]);
        kills++;
        start(&workers[i], self, dir, i);
    }
    for (int i = 0; i < WORKERS; i++)
        stop(&workers[i]);
    total = verify(dir, workers);
    CHECK(total > kills, "only %u acknowledgements for %u kills", total, kills);
    printf("crash_many: ok: %d processes, %u kills, %u acknowledged, nothing lost, nothing in "
           "doubt\n",
           WORKERS, kills, total);
    printf("rig: %u kills of one of %d processes, 0 violations\n", kills, WORKERS);
}

int main(int argc, char **argv)
{
    unsigned seed = (unsigned)time(NULL);
    char dir[64], self[512];
    int seconds = 10;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    CHECK(n > 0, "find myself");
    self[n] = '\0';
    if (argc == 5 && strcmp(argv[1], "--worker") == 0)
        work(argv[2], atoi(argv[3]), (unsigned)atoi(argv[4]));
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = atoi(argv[i + 1]);
    }
    fprintf(stderr, "crash_many: --seed %u --seconds %d\n", seed, seconds);
    kit_tmpdir(dir);
    run(self, dir, seed, seconds);
    kit_remove(dir);
    return 0;
}
