/*
 * What: what is left of a branch when the process is killed, when the store refuses a step, and
 * when a
 *       step's outcome is not known (the crash table of rm/kv/branch.c).
 * How:  a child process works on the store and is killed, by itself or at a fault point; the parent
 * opens the store and looks. Without fault points in the build, only the kills by itself are there.
 */
#include "kv_t.h"

#include "holdfast/internal/fault.h"

#define KV_CALL(call) /* in a child, where assertions may not be used */                           \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            return 1;                                                                              \
    } while (0)

/* Branch 1 over an older value: "k" is "old" before it and "new" after it. */
static int work(const char *dir)
{
    XID x = kv_xid(9);

    KV_CALL(kv_open_with(1, dir, ""));
    KV_CALL(kv.xa_start_entry(&x, 1, TMNOFLAGS));
    KV_CALL(hf_kv_put(1, "k", 1, "old", 3));
    KV_CALL(kv.xa_end_entry(&x, 1, TMSUCCESS));
    KV_CALL(kv_commit(1, 9, TMONEPHASE));
    x = kv_xid(1);
    KV_CALL(kv.xa_start_entry(&x, 1, TMNOFLAGS));
    KV_CALL(hf_kv_put(1, "k", 1, "new", 3));
    KV_CALL(hf_kv_put(1, "more", 4, "m", 1));
    KV_CALL(kv.xa_end_entry(&x, 1, TMSUCCESS));
    return 0;
}

static int killed_before_prepare(const char *dir)
{
    KV_CALL(work(dir));
    return raise(SIGKILL);
}

static int killed_prepared(const char *dir)
{
    KV_CALL(work(dir));
    KV_CALL(kv_prepare(1, 1));
    return raise(SIGKILL);
}

static int killed_committed(const char *dir)
{
    KV_CALL(work(dir));
    KV_CALL(kv_prepare(1, 1));
    KV_CALL(kv_commit(1, 1, TMNOFLAGS));
    return raise(SIGKILL);
}

static int killed_rolledback(const char *dir)
{
    KV_CALL(work(dir));
    KV_CALL(kv_prepare(1, 1));
    KV_CALL(kv_rollback(1, 1));
    return raise(SIGKILL);
}

static int killed_onephased(const char *dir)
{
    KV_CALL(work(dir));
    KV_CALL(kv_commit(1, 1, TMONEPHASE));
    return raise(SIGKILL);
}

enum fate { NOTHING, PREPARED, COMMITTED, ROLLEDBACK };

/* Open after a crash and compare with the table; a prepared branch is then ended, by commit. */
static void expect_fate(const char *dir, enum fate fate)
{
    static const enum hf_probe probes[] = {HF_PROBE_UNKNOWN, HF_PROBE_PREPARED, HF_PROBE_COMMITTED,
                                           HF_PROBE_ROLLEDBACK};
    XID xids[16];

    kv_open(1, dir);
    assert_int_equal(kv_probe(1, 1), probes[fate]);
    assert_int_equal(kv_probe(1, 9), HF_PROBE_COMMITTED);
    assert_int_equal(kv_probe(1, 12345), HF_PROBE_UNKNOWN);
    if (fate == PREPARED) {
        kv_expect(1, "k", "old");
        kv_expect_prepared(1, 1);
        t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
        assert_int_equal(kv_probe(1, 1), HF_PROBE_COMMITTED);
        fate = COMMITTED;
    }
    t_xa(0, kv_recover(1, xids));
    t_xa(XAER_NOTA, kv_commit(1, 1, TMNOFLAGS));
    t_xa(XAER_NOTA, kv_rollback(1, 1));
    kv_expect(1, "k", fate == COMMITTED ? "new" : "old");
    kv_expect(1, "more", fate == COMMITTED ? "m" : NULL);
    kv_store(1, 50, "k", "free"); /* its lock is */
    kv_close(1);
}

static void branch__that_was_not_prepared_dies_with_the_process(void **state)
{
    kv_expect_killed(kv_child(killed_before_prepare, *state));
    expect_fate(*state, NOTHING);
}

static void prepare__survives_a_kill(void **state)
{
    kv_expect_killed(kv_child(killed_prepared, *state));
    expect_fate(*state, PREPARED);
}

static void prepare__survives_any_number_of_kills_and_closes(void **state)
{
    kv_expect_killed(kv_child(killed_prepared, *state));
    for (int i = 0; i < 3; i++) {
        kv_open(1, *state);
        kv_open(2, *state);
        kv_expect_prepared(2, 1);
        kv_close(1);
        kv_close(2);
    }
    expect_fate(*state, PREPARED);
}

static void prepare__that_survived_a_kill_can_be_rolled_back(void **state)
{
    kv_expect_killed(kv_child(killed_prepared, *state));
    kv_open(1, *state);
    kv_open(2, *state);
    t_xa(XA_OK, kv_rollback(2, 1));
    assert_int_equal(kv_probe(1, 1), HF_PROBE_ROLLEDBACK);
    kv_close(1);
    kv_close(2);
    expect_fate(*state, ROLLEDBACK);
}

static void ends__are_durable_and_remembered(void **state)
{
    kv_expect_killed(kv_child(killed_committed, *state));
    expect_fate(*state, COMMITTED);
}

static void rollback__is_durable_and_remembered(void **state)
{
    kv_expect_killed(kv_child(killed_rolledback, *state));
    expect_fate(*state, ROLLEDBACK);
}

static void onephase__is_durable_and_remembered(void **state)
{
    kv_expect_killed(kv_child(killed_onephased, *state));
    expect_fate(*state, COMMITTED);
}

/* -- another process --------------------------------------------------------------------------- */

static int holder_pipe[2][2]; /* to the child, from the child */

static int hold_open(const char *dir)
{
    char byte = 'r';

    close(holder_pipe[0][1]); /* so that the end of a failed parent ends us, too */
    KV_CALL(kv_open_with(1, dir, ""));
    if (write(holder_pipe[1][1], &byte, 1) != 1 || read(holder_pipe[0][0], &byte, 1) != 1)
        return 1;
    return 0;
}

static void open__in_another_process_is_refused_by_name(void **state)
{
    char byte, text[256] = "";
    int native = 0, status;
    pid_t pid;

    assert_int_equal(pipe(holder_pipe[0]), 0);
    assert_int_equal(pipe(holder_pipe[1]), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(hold_open(*state));
    assert_int_equal(read(holder_pipe[1][0], &byte, 1), 1);
    t_xa(XAER_RMERR, kv_open_with(1, *state, ""));
    t_ok(hf_kv_ext.error(NULL, 1, &native, text, sizeof(text)));
    t_rc(HF_EOWNED, native);
    assert_non_null(strstr(text, "open in process"));
    assert_int_not_equal(hf_kv_ext.error(NULL, 2, &native, text, sizeof(text)), 0);
    assert_int_equal(write(holder_pipe[0][1], &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    kv_open(1, *state);
    for (int i = 0; i < 4; i++)
        close(holder_pipe[i / 2][i % 2]);
}

static void open__of_what_is_no_store_is_refused(void **state)
{
    char text[256] = "";
    char path[PATH_MAX];
    int native = 0;
    FILE *f;

    t_xa(XAER_RMERR, kv_open_with(1, *state, "create=no"));
    t_ok(hf_kv_ext.error(NULL, 1, &native, text, sizeof(text)));
    t_rc(HF_ENOTFOUND, native);
    assert_int_equal(mkdir(t_path(*state, "store"), 0700), 0);
    snprintf(path, sizeof(path), "%s/store/letter.txt", (const char *)*state);
    f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    t_xa(XAER_RMERR, kv_open_with(1, *state, ""));
    t_ok(hf_kv_ext.error(NULL, 1, &native, text, sizeof(text)));
    t_rc(HF_ENOTNODE, native);
    t_xa(XAER_INVAL, kv_open_with(1, *state, "colour=red"));
    t_ok(hf_kv_ext.error(NULL, 1, &native, text, sizeof(text)));
    t_rc(HF_EINVAL, native);
    assert_non_null(strstr(text, "colour"));
}

#ifdef HF_FAULTS

/* -- every fault point ------------------------------------------------------------------------- */

enum path { TWO_PHASE, ROLL_BACK, ONE_PHASE, REOPEN };

struct point {
    const char *name;
    enum path path;
    enum fate fate;
};

/* The crash table of branch.c, and the store's own points on the way. */
static const struct point points[] = {
    {"kv:prepare", TWO_PHASE, NOTHING},          {"kv:prepare-half", TWO_PHASE, NOTHING},
    {"kv:prepared", TWO_PHASE, PREPARED},        {"kv:commit", TWO_PHASE, PREPARED},
    {"kv:commit-half", TWO_PHASE, PREPARED},     {"kv:committed", TWO_PHASE, COMMITTED},
    {"kv:rollback", ROLL_BACK, PREPARED},        {"kv:rolledback", ROLL_BACK, ROLLEDBACK},
    {"kv:onephase", ONE_PHASE, NOTHING},         {"kv:commit-half", ONE_PHASE, NOTHING},
    {"kv:onephased", ONE_PHASE, COMMITTED},      {"kv:loaded", REOPEN, PREPARED},
    {"store:before-commit", TWO_PHASE, NOTHING}, {"store:after-commit", TWO_PHASE, PREPARED},
    {"store:before-commit", ONE_PHASE, NOTHING}, {"store:after-commit", ONE_PHASE, COMMITTED},
};
static const struct point *killed_at;

static int go_to_point(const char *dir)
{
    char spec[64], none[] = "";

    KV_CALL(work(dir));
    snprintf(spec, sizeof(spec), "%s=kill", killed_at->name);
    KV_CALL(hf__fault_set(spec));
    if (killed_at->path == ONE_PHASE)
        return kv_commit(1, 1, TMONEPHASE) + 100;
    KV_CALL(kv_prepare(1, 1));
    switch (killed_at->path) {
    case TWO_PHASE:
        return kv_commit(1, 1, TMNOFLAGS) + 100;
    case ROLL_BACK:
        return kv_rollback(1, 1) + 100;
    case REOPEN:
    case ONE_PHASE:
        break;
    }
    KV_CALL(kv.xa_close_entry(none, 1, TMNOFLAGS));
    return kv_open_with(1, dir, "") + 100;
}

static void kill__at_each_fault_point_leaves_what_the_table_says(void **state)
{
    char dir[PATH_MAX];

    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        print_message("%s\n", points[i].name);
        snprintf(dir, sizeof(dir), "%s/%zu", (const char *)*state, i);
        assert_int_equal(mkdir(dir, 0700), 0);
        killed_at = &points[i];
        kv_expect_killed(kv_child(go_to_point, dir));
        expect_fate(dir, points[i].fate);
    }
}

/* -- refused, and not known -------------------------------------------------------------------- */

static void expect_native(int rmid, int code)
{
    char text[256] = "";
    int native = 0;

    t_ok(hf_kv_ext.error(NULL, rmid, &native, text, sizeof(text)));
    t_rc(code, native);
    assert_true(text[0] != '\0');
}

static void fault(const char *spec)
{
    assert_int_equal(hf__fault_set(NULL), 0);
    assert_int_equal(hf__fault_set(spec), 0);
}

static int teardown_faults(void **state)
{
    (void)hf__fault_set(NULL);
    return kv_teardown(state);
}

static void refusal__of_a_prepare_rolls_back(void **state)
{
    t_ok(work(*state));
    fault("kv:prepare=fail");
    t_xa(XA_RBOTHER, kv_prepare(1, 1));
    expect_native(1, HF_EFULL);
    fault(NULL);
    t_xa(XAER_NOTA, kv_rollback(1, 1)); /* the branch is gone */
    assert_int_equal(kv_probe(1, 1), HF_PROBE_UNKNOWN);
    kv_store(1, 2, "k", "next"); /* the lock, too */
}

static void refusal__of_a_onephase_commit_rolls_back(void **state)
{
    t_ok(work(*state));
    fault("kv:onephase=fail");
    t_xa(XA_RBOTHER, kv_commit(1, 1, TMONEPHASE));
    fault(NULL);
    t_xa(XAER_NOTA, kv_rollback(1, 1));
    kv_expect(1, "k", "old");
    kv_store(1, 2, "k", "next");
}

static void refusal__of_a_commit_is_retried(void **state)
{
    t_ok(work(*state));
    t_xa(XA_OK, kv_prepare(1, 1));
    fault("kv:commit=fail");
    t_xa(XA_RETRY, kv_commit(1, 1, TMNOFLAGS));
    expect_native(1, HF_EFULL);
    kv_expect_prepared(1, 1);
    fault(NULL);
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    kv_expect(1, "k", "new");
}

static void refusal__of_a_rollback_leaves_the_branch_prepared(void **state)
{
    t_ok(work(*state));
    t_xa(XA_OK, kv_prepare(1, 1));
    fault("kv:rollback=fail");
    t_xa(XAER_RMFAIL, kv_rollback(1, 1));
    expect_native(1, HF_EFULL);
    fault(NULL);
    kv_expect_prepared(1, 1);
    t_xa(XA_OK, kv_rollback(1, 1));
    kv_expect(1, "k", "old");
}

/* Everything by rmid is XAER_RMFAIL now; closing works, and opening only once all are closed. */
static void expect_failed(const char *dir)
{
    XID x = kv_xid(77), xids[16];
    enum hf_probe probe;
    char none[] = "";

    t_xa(XAER_RMFAIL, kv.xa_start_entry(&x, 2, TMNOFLAGS));
    t_xa(XAER_RMFAIL, kv.xa_start_entry(&x, 2, TMJOIN));
    t_xa(XAER_RMFAIL, kv.xa_end_entry(&x, 2, TMSUCCESS));
    t_xa(XAER_RMFAIL, kv_prepare(2, 1));
    expect_native(2, HF_EIO);
    t_xa(XAER_RMFAIL, kv_commit(1, 1, TMNOFLAGS));
    t_xa(XAER_RMFAIL, kv_commit(1, 1, TMONEPHASE));
    t_xa(XAER_RMFAIL, kv_rollback(2, 1));
    t_xa(XAER_RMFAIL, kv.xa_forget_entry(&x, 2, TMNOFLAGS));
    t_xa(XAER_RMFAIL, kv_recover(2, xids));
    t_rc(HF_EIO, hf_kv_get(2, "k", 1, NULL, 0, NULL));
    t_rc(HF_EIO, hf_kv_ext.probe(NULL, 2, &x, NULL, 0, &probe));
    t_xa(XAER_RMERR, kv_open_with(3, dir, "")); /* it is open, and failed */
    kv_close(1);
    t_xa(XAER_RMERR, kv_open_with(1, dir, ""));
    t_xa(XA_OK, kv.xa_close_entry(none, 2, TMNOFLAGS));
}

struct unknown {
    const char *spec;
    enum path path;
    enum fate fate;
};

/* commit-fails: the old tree is on the disk; commit-lost: the new one is. kv cannot know which. */
static const struct unknown unknowns[] = {
    {"store:commit-fails=fail", TWO_PHASE, NOTHING},
    {"store:commit-lost=fail", TWO_PHASE, PREPARED},
    {"store:commit-fails=fail", ONE_PHASE, NOTHING},
    {"store:commit-lost=fail", ONE_PHASE, COMMITTED},
    {"store:commit-fails=fail@2", TWO_PHASE, PREPARED},
    {"store:commit-lost=fail@2", TWO_PHASE, COMMITTED},
    {"store:commit-fails=fail@2", ROLL_BACK, PREPARED},
    {"store:commit-lost=fail@2", ROLL_BACK, ROLLEDBACK},
};

static void unknown__is_neither_a_yes_nor_a_no(void **state)
{
    char dir[PATH_MAX];

    for (size_t i = 0; i < sizeof(unknowns) / sizeof(unknowns[0]); i++) {
        const struct unknown *u = &unknowns[i];
        int second = strchr(u->spec, '@') != NULL;

        print_message("%s in path %d\n", u->spec, (int)u->path);
        snprintf(dir, sizeof(dir), "%s/%zu", (const char *)*state, i);
        assert_int_equal(mkdir(dir, 0700), 0);
        t_ok(work(dir));
        kv_open(2, dir);
        fault(u->spec);
        if (u->path == ONE_PHASE)
            t_xa(XAER_RMFAIL, kv_commit(1, 1, TMONEPHASE));
        else
            t_xa(second ? XA_OK : XAER_RMFAIL, kv_prepare(1, 1));
        if (second && u->path == TWO_PHASE)
            t_xa(XAER_RMFAIL, kv_commit(1, 1, TMNOFLAGS));
        if (second && u->path == ROLL_BACK)
            t_xa(XAER_RMFAIL, kv_rollback(1, 1));
        expect_native(1, HF_EUNKNOWN);
        fault(NULL);
        expect_failed(dir);
        expect_fate(dir, u->fate);
    }
}

/*
 * xa_close() of a failed store works from T1, and xa_open() of an open rmid is then a new opening.
 */
static void unknown__is_settled_by_opening_again(void **state)
{
    XID x = kv_xid(3);

    t_ok(work(*state));
    kv_open(2, *state);
    t_xa(XA_OK, kv.xa_start_entry(&x, 2, TMNOFLAGS));
    fault("store:commit-lost=fail");
    t_xa(XAER_RMFAIL, kv_prepare(1, 1));
    fault(NULL);
    t_rc(HF_EIO, hf_kv_put(2, "a", 1, "b", 1));
    t_xa(XAER_RMFAIL, kv.xa_end_entry(&x, 2, TMSUCCESS));
    kv_close(2); /* associated */
    kv_open(1, *state);
    kv_expect_prepared(1, 1);
    t_xa(XA_OK, kv_commit(1, 1, TMNOFLAGS));
    kv_expect(1, "k", "new");
}

#define FAULT_TEST(fn) cmocka_unit_test_setup_teardown(fn, kv_setup, teardown_faults)
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        KV_TEST(branch__that_was_not_prepared_dies_with_the_process),
        KV_TEST(prepare__survives_a_kill),
        KV_TEST(prepare__survives_any_number_of_kills_and_closes),
        KV_TEST(prepare__that_survived_a_kill_can_be_rolled_back),
        KV_TEST(ends__are_durable_and_remembered),
        KV_TEST(rollback__is_durable_and_remembered),
        KV_TEST(onephase__is_durable_and_remembered),
        KV_TEST(open__in_another_process_is_refused_by_name),
        KV_TEST(open__of_what_is_no_store_is_refused),
#ifdef HF_FAULTS
        FAULT_TEST(kill__at_each_fault_point_leaves_what_the_table_says),
        FAULT_TEST(refusal__of_a_prepare_rolls_back),
        FAULT_TEST(refusal__of_a_onephase_commit_rolls_back),
        FAULT_TEST(refusal__of_a_commit_is_retried),
        FAULT_TEST(refusal__of_a_rollback_leaves_the_branch_prepared),
        FAULT_TEST(unknown__is_neither_a_yes_nor_a_no),
        FAULT_TEST(unknown__is_settled_by_opening_again),
#endif
    };

    return cmocka_run_group_tests_name("kv.recovery", tests, NULL, NULL);
}
