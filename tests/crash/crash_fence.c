/*
 * What: a decision that readers of other processes do not see yet must still bind them (invariants
 *       2, 4). LMDB writes its meta page, then publishes the transaction's number in its lock file;
 *       a process that is killed between the two leaves a decision that other processes' readers
 *       miss.
 * How:  the survivor opens the node first. The victim votes, then is killed in the decision's
 *       commit right after the meta page was written, by a pwrite() of ours that LMDB finds before
 *       libc's. The survivor recovers; both stores must have the key, and the log no heuristic.
 *       --plant BUG plants a bug in the survivor; recover-without-fence must be caught.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "crash_kit.h"
#include "holdfast/internal/fault.h"

enum { META_BYTES = 120 }; /* of LMDB 0.9 on 64 bits */

static volatile int armed; /* die after the next meta page of the decision log */

static int is_log(int fd)
{
    char link[64], path[512];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, "/decisions.mdb") != NULL;
}

/* Found by liblmdb before libc's, under both of its names. */
ssize_t pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    ssize_t n = syscall(SYS_pwrite64, fd, buf, size, offset);

    if (armed && size == META_BYTES && is_log(fd))
        (void)kill(getpid(), SIGKILL);
    return n;
}
ssize_t pwrite64(int fd, const void *buf, size_t size, off_t offset);
ssize_t pwrite64(int fd, const void *buf, size_t size, off_t offset)
{
    return pwrite(fd, buf, size, offset);
}

static void arm(void *user, hf_tx *tx)
{
    (void)user;
    (void)tx;
    armed =
        /* the kv stores have files of other names; the next commit of the log is the decision's */
        1;
}

static void run_victim(const char *dir)
{
    hf_tm *tm = kit_open(dir, "victim");
    hf_instance *a = kit_instance(kit_kv(tm, dir, "a"));
    hf_instance *b = kit_instance(kit_kv(tm, dir, "b"));
    const hf_sync sync = {.before = arm};
    hf_tx *tx;

    OK(hf_tm_start(tm, 0));
    OK(hf_tx_begin(tm, 0, &tx));
    OK(hf_tx_enlist(tx, a));
    OK(hf_tx_enlist(tx, b));
    OK(hf_kv_put(hf_instance_rmid(a), "k", 1, "v", 1));
    OK(hf_kv_put(hf_instance_rmid(b), "k", 1, "v", 1));
    OK(hf_tx_watch(tx, &sync));
    CHECK(hf_tx_commit(tx, NULL) != HF_OK, "the victim was not killed in its decision");
    exit(1);
}

static int count_heuristics(void *user, const hf_inspect_tx *tx)
{
    *(int *)user += tx->outcome == HF_MIXED || tx->outcome == HF_HAZARD;
    return 0;
}

/* The victim as a process of its own: a fork of this one would share LMDB's environment. */
static void kill_victim(const char *self, const char *dir)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execl(self, self, "--victim", dir, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
          "the victim ended with status %x", (unsigned)status);
}

static void survive(const char *self, const char *dir)
{
    hf_tm *tm = kit_open(dir, "survivor");
    hf_rm *rm_a = kit_kv(tm, dir, "a"), *rm_b = kit_kv(tm, dir, "b");
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_instance *a, *b;
    hf_inspect *in;
    char node[512];
    int heuristics = 0;

    OK(hf_tm_start(tm, 0));
    kill_victim(self, dir);
    for (int i = 0; i < 2; i++) /* the second pass must find nothing to do */
        OK(hf_tm_recover(tm, NULL));
    a = kit_instance(rm_a);
    b = kit_instance(rm_b);
    CHECK(kit_has(a, "k") && kit_has(b, "k"), "the decision to commit was not carried out");
    OK(hf_instance_close(a));
    OK(hf_instance_close(b));
    OK(hf_tm_get_stats(tm, &stats));
    CHECK(stats.recovered_committed == 1 && stats.recovered_rolledback == 0 && stats.owed == 0,
          "recovery committed %d, rolled back %d", (int)stats.recovered_committed,
          (int)stats.recovered_rolledback);
    OK(hf_tm_close(tm, 0, NULL));
    (void)snprintf(node, sizeof(node), "%s/node", dir);
    OK(hf_inspect_open(node, &in));
    OK(hf_inspect_transactions(in, count_heuristics, &heuristics));
    CHECK(heuristics == 0, "the log has %d heuristics", heuristics);
    hf_inspect_close(in);
}

int main(int argc, char **argv)
{
    char dir[64], self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    CHECK(n > 0, "find myself");
    self[n] = '\0';
    if (argc == 3 && strcmp(argv[1], "--victim") == 0)
        run_victim(argv[2]);
#ifdef HF_FAULTS
    if (argc == 3 && strcmp(argv[1], "--plant") == 0)
        hf__bug_plant(argv[2]);
#endif
    kit_tmpdir(dir);
    survive(self, dir);
    kit_remove(dir);
    printf("crash_fence: ok: a decision that was written and not published was carried out\n"
           "rig: 1 kills between write and publication, 0 violations\n");
    return 0;
}
