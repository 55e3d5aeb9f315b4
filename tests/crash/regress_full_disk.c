/*
 * What: on a full disk a node with many open decisions can be opened, recovered and closed, its
 *       records go away, and new decisions are refused before anything is written: rolled back,
 *       never unknown.
 * How:  regress_full_disk fault    the file cannot grow, says a fault point
 *       regress_full_disk mounted  an ext4 of a few megabytes, filled to the brim; needs root and a
 *                                  loop device, else it says so and exits with 77
 *       Forty branches of one resource manager, whose commits are all owed until it is told to take
 *       them, make the records large.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "crash_kit.h"
#include "holdfast/internal/fault.h"
#include "regress_disk.h"
#include "regress_rm.h"

enum { BRANCHES = 40, OWED_FIRST = 100, OWED_MAX = 20000, SKIPPED = 77 };

static bool mounted;

static int rm_token(void *user, int rmid, const XID *xid,
                    unsigned char ret_token[HF_TOKEN_SIZE_MAX], size_t *ret_size)
{
    (void)user, (void)rmid, (void)xid;
    memset(ret_token, 't', HF_TOKEN_SIZE_MAX);
    *ret_size = HF_TOKEN_SIZE_MAX;
    return 0;
}

/* Asked only about what it was not yet heard to have committed. */
static int rm_probe(void *user, int rmid, const XID *xid, const void *token, size_t token_size,
                    enum hf_probe *ret)
{
    (void)user, (void)rmid, (void)xid, (void)token, (void)token_size;
    *ret = HF_PROBE_PREPARED;
    return 0;
}

static const hf_rm_ext rm_ext = {.size = sizeof(rm_ext), .token = rm_token, .probe = rm_probe};

/* From now on nothing more fits. */
static void fill_disk(const char *dir)
{
    static const char zeros[4096];
    char path[128];
    int fd;

#ifdef HF_FAULTS
    if (!mounted) {
        CHECK(hf__fault_set("store:allocate=fail") == 0, "set a fault point");
        return;
    }
#endif
    (void)snprintf(path, sizeof(path), "%s/filler", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    CHECK(fd >= 0, "make %s", path);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        continue;
    CHECK(errno == ENOSPC, "fill %s: %d", path, errno);
    (void)fsync(fd);
    (void)close(fd);
}

static hf_tm *open_node(const char *dir, hf_rm **ret_rm)
{
    hf_tm *tm = kit_open(dir, "full disk");
    hf_rm_config config = HF_RM_CONFIG_INIT;

    config.name = "owing";
    config.xa = &regress_switch;
    config.ext = &rm_ext;
    OK(hf_rm_register(tm, &config, ret_rm));
    OK(hf_tm_start(tm, 0));
    return tm;
}

static int commit_one(hf_tm *tm, hf_instance *const instances[BRANCHES])
{
    hf_result result = HF_RESULT_INIT;
    hf_tx *tx;
    int rc;

    OK(hf_tx_begin(tm, 0, &tx));
    for (int i = 0; i < BRANCHES; i++)
        OK(hf_tx_enlist(tx, instances[i]));
    rc = hf_tx_commit(tx, &result);
    CHECK(rc == HF_OK || rc == HF_EROLLEDBACK, "commit: %d %s", rc, result.text);
    if (rc == HF_EROLLEDBACK) {
        CHECK(result.outcome == HF_ROLLEDBACK, "outcome %d", (int)result.outcome);
        CHECK(strcmp(result.call, "log") == 0, "refused by \"%s\"", result.call);
    }
    return rc;
}

/* Decisions until the disk is full, all of them owed; a pass over them; the end. */
static void owe_and_die(const char *dir, unsigned *ret_owed)
{
    hf_instance *instances[BRANCHES];
    unsigned n = 0;
    hf_rm *rm;
    hf_tm *tm = open_node(dir, &rm);

    for (int i = 0; i < BRANCHES; i++)
        OK(hf_instance_open(rm, &instances[i]));
    while (n < OWED_FIRST && commit_one(tm, instances) == HF_OK)
        n++;
    CHECK(n == OWED_FIRST, "the disk is too small");
    fill_disk(dir);
    while (n < OWED_MAX && commit_one(tm, instances) == HF_OK)
        n++;
    CHECK(n < OWED_MAX, "the disk was never full");
    CHECK(commit_one(tm, instances) == HF_EROLLEDBACK, "refused once, then not");
    OK(hf_tm_recover(tm, NULL));
    *ret_owed = n;
    _exit(0);
}

/* The disk is as full as it was. */
static void open_and_finish(const char *dir, unsigned *owed)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    hf_rm *rm;
    hf_tm *tm;

    if (!mounted)
        fill_disk(dir);
    tm = open_node(dir, &rm);
    OK(hf_tm_get_stats(tm, &stats));
    CHECK(stats.owed == 0, "%llu owed", (unsigned long long)stats.owed);
    CHECK(stats.recovered_committed == *owed, "%llu of %u committed",
          (unsigned long long)stats.recovered_committed, *owed);
    OK(hf_tm_close(tm, 0, NULL));
    _exit(0);
}

static int count_record(void *user, const hf_inspect_tx *tx)
{
    *(unsigned *)user += tx->branch_count > 0;
    return 0;
}

static void expect_no_records(const char *dir)
{
    hf_inspect *in = NULL;
    unsigned left = 0;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/node", dir);
    OK(hf_inspect_open(path, &in));
    OK(hf_inspect_verify(in));
    OK(hf_inspect_transactions(in, count_record, &left));
    CHECK(left == 0, "%u records are left", left);
    hf_inspect_close(in);
}

static void in_child(void (*fn)(const char *, unsigned *), const char *dir, unsigned *shared)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        fn(dir, shared);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0, "a child ended with %d", status);
}

int main(int argc, char **argv)
{
    char base[64], disk[96];
    const char *dir = base, *why = NULL;
    unsigned *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(argc == 2 && shared != MAP_FAILED, "usage: regress_full_disk fault|mounted");
    kit_tmpdir(base);
    mounted = strcmp(argv[1], "mounted") == 0;
    if (mounted) {
        why = disk_mount(base, disk);
        dir = disk;
    }
    if (why == NULL) {
        regress_commit_answer = (int *)&shared[1];
        *regress_commit_answer = XA_RETRY;
        in_child(owe_and_die, dir, &shared[0]);
        *regress_commit_answer = XA_OK;
        in_child(open_and_finish, dir, &shared[0]);
        expect_no_records(dir);
        printf("%u decisions were owed on a full disk, and paid\n", shared[0]);
    } else {
        printf("SKIPPED: %s\n", why);
    }
    if (mounted)
        disk_unmount(disk);
    kit_remove(base);
    return why == NULL ? 0 : SKIPPED;
}
