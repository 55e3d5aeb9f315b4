/*
 * What: where a node must not be opened: on a network file system (HF_ENETFS), and from a PID
 *       namespace other than that of a process that has it open (HF_EPIDNS).
 * How:  this program's fstatfs() stands before libc's and says what it is told to, which tries the
 *       library's judgement and not a kernel's; namespaces are real ones, made by a child, for
 *       which it takes root: without, that test is skipped and says so.
 */
#include "support/fake_rm.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

/* -- file systems ------------------------------------------------------------------------------ */

static struct {
    bool lies;
    uint32_t type;
    int error; /* not 0: that instead */
    unsigned asked;
} say;

int fstatfs(int fd, struct statfs *ret)
{
    long rc = syscall(SYS_fstatfs, fd, ret);

    say.asked++;
    if (!say.lies)
        return (int)rc;
    ret->f_type = (__typeof__(ret->f_type))say.type;
    errno = say.error;
    return say.error != 0 ? -1 : 0;
}

static void network_file_system__is_refused(void **state)
{
    static const uint32_t types[] = {0x6969,     0x517b,     0xff534d42, 0xfe534d42, 0x01021997,
                                     0x65735546, 0x5346414f, 0x73757245, 0x00c36400, 0x564c};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        memset(&say, 0, sizeof(say));
        say.lies = true;
        say.type = types[i];
        t_rc(HF_ENETFS, world_try_open(w));
        assert_null(w->tm);
        assert_true(say.asked > 0);
        assert_non_null(strstr(hf_error_last()->text, w->node));
    }
    memset(&say, 0, sizeof(say));
    world_open(w); /* what was refused left nothing behind */
    world_close(w);
    say.lies = true;
    say.type = 0x6969;
    t_rc(HF_ENETFS, world_try_open(w)); /* also a node that is there: it was moved */
    memset(&say, 0, sizeof(say));
    assert_int_equal(world_records(w), 0);
}

static void file_system__that_is_local_is_taken(void **state)
{
    static const uint32_t types[] = {0xef53 /* ext */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */,
                                     0x01021994 /* tmpfs */, 0x794c7630 /* overlay */};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        memset(&say, 0, sizeof(say));
        say.lies = true;
        say.type = types[i];
        world_open(w);
        world_close(w);
    }
    memset(&say, 0, sizeof(say));
}

static void file_system__that_cannot_be_told_is_an_error(void **state)
{
    struct world *w = *state;

    memset(&say, 0, sizeof(say));
    say.lies = true;
    say.error = ENOSYS;
    t_rc(HF_EIO, world_try_open(w));
    assert_int_equal(hf_error_last()->native_code, ENOSYS);
    memset(&say, 0, sizeof(say));
}

/* -- PID namespaces ---------------------------------------------------------------------------- */

enum { NO_NAMESPACE = 42 };

/* In a process that is number one of a namespace of its own: what opening says. */
static void open_in_another_namespace(void *arg)
{
    struct world *w = arg;
    int status = 0;
    pid_t pid;

    fake_child_pause(); /* forked before the node was opened, so that it may open it */
    if (unshare(CLONE_NEWPID) != 0)
        _exit(NO_NAMESPACE);
    pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        must(getpid() == 1);
        _exit(world_try_open(w) == HF_EPIDNS ? 7 : 8);
    }
    must(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    must(WEXITSTATUS(status) == 7);
}

/* The other way round: the other namespace's process has it open, and dies. */
static void hold_in_another_namespace(void *arg)
{
    struct world *w = arg;
    int status;
    pid_t pid;

    if (unshare(CLONE_NEWPID) != 0) {
        fake_child_pause();
        _exit(NO_NAMESPACE);
    }
    pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        must_ok(world_try_open(w));
        fake_child_pause();
        _exit(0); /* without a close */
    }
    must(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void skip_without_namespaces(int status)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) != NO_NAMESPACE)
        return;
    print_message("SKIPPED: making a PID namespace is not permitted here; it takes root\n");
    skip();
}

static void another_pid_namespace__is_refused_while_one_lives(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(open_in_another_namespace, w);
    int status;

    world_start(w, 1);
    status = fake_child_end(child);
    skip_without_namespaces(status);
    assert_int_equal(status, 0);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void another_pid_namespace__that_is_gone_keeps_nobody_out(void **state)
{
    struct world *w = *state;
    pid_t child = fake_child_start(hold_in_another_namespace, w);
    int rc = world_try_open(w), status;

    if (rc == HF_OK) { /* then there is no namespace */
        world_close(w);
        skip_without_namespaces(fake_child_end(child));
        fail_msg("a node was opened from two PID namespaces");
    }
    t_rc(HF_EPIDNS, rc);
    assert_non_null(strstr(hf_error_last()->text, "PID namespace"));
    status = fake_child_end(child);
    assert_int_equal(status, 0);
    world_start(w, 1); /* it is dead, and can be fenced */
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(network_file_system__is_refused),
        T(file_system__that_is_local_is_taken),
        T(file_system__that_cannot_be_told_is_an_error),
        T(another_pid_namespace__is_refused_while_one_lives),
        T(another_pid_namespace__that_is_gone_keeps_nobody_out),
    };

    return cmocka_run_group_tests_name("tm.where", tests, NULL, NULL);
}
