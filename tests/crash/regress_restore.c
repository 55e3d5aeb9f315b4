/*
 * What: a log that was restored from a backup, which gives its numbers out again, never rolls back
 *       what was prepared under the log that was lost, and issues no XID a second time.
 * How:  the node's directory is copied while it is closed, and while a process has it open; later
 *       processes decide, owe both commits and die; then the copy takes the directory's place.
 */
#include "support/fake_rm.h"

#include <sys/wait.h>

#include "holdfast/inspect.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static void run_tool(const char *tool, const char *option, const char *from, const char *to)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execlp(tool, tool, option, "--", from, to, (char *)NULL);
        _exit(127);
    }
    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void back_up(struct world *w)
{
    run_tool("cp", "-a", w->node, t_path(w->dir, "backup"));
}

static void restore(struct world *w)
{
    hf_inspect *in;

    run_tool("mv", "-T", w->node, t_path(w->dir, "lost"));
    run_tool("mv", "-T", t_path(w->dir, "backup"), w->node);
    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_adopt(in, HF_ADOPT_MOVED, "restored")); /* another inode: it would be refused */
    hf_inspect_close(in);
}

static void open_in_child(struct world *w)
{
    must_ok(world_try_open(w));
    world_register(w, 2);
    must_ok(hf_tm_start(w->tm, 0));
}

static void open_and_die(void *arg)
{
    open_in_child(arg);
}

/* Decided, and both resource managers gone: two branches stay prepared. */
static void owe_two_commits_and_die(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;

    open_in_child(w);
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must_ok(hf_tx_commit(tx, NULL));
}

static void back_up_while_open_and_owe_two_commits(void *arg)
{
    struct world *w = arg;
    hf_tx *tx = NULL;

    open_in_child(w);
    back_up(w);
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must_ok(hf_tx_commit(tx, NULL));
}

static void answer_commit(int code)
{
    fake_answer(A, FAKE_COMMIT, code);
    fake_answer(B, FAKE_COMMIT, code);
}

static void expect_all_left(struct world *w, unsigned branches)
{
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), branches);
    assert_int_equal(fake_calls(A, FAKE_ROLLBACK) + fake_calls(B, FAKE_ROLLBACK), 0);
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
}

static void prepare_one_and_die(void *arg)
{
    fake_answer(B, FAKE_PREPARE, XAER_RMFAIL);
    fake_answer(A, FAKE_ROLLBACK, XAER_RMFAIL);
    struct world *w = arg;
    hf_tx *tx = NULL;

    open_in_child(w);
    world_instances(w, 2);
    must_ok(hf_tx_begin(w->tm, 0, &tx));
    must_ok(hf_tx_enlist(tx, w->in[A]));
    must_ok(hf_tx_enlist(tx, w->in[B]));
    must(hf_tx_commit(tx, NULL) == HF_EROLLEDBACK);
}

static void restored_log__rolls_nothing_back_and_issues_no_xid_again(void **state)
{
    struct world *w = *state;
    hf_outcome outcome = HF_UNKNOWN;
    XID lost, next;
    hf_tx *tx;

    world_start(w, 2);
    world_close(w);
    back_up(w);
    answer_commit(XAER_RMFAIL);
    assert_int_equal(fake_child(owe_two_commits_and_die, w), 0);
    answer_commit(XA_OK);
    lost = fake_last_xid(A);
    restore(w);

    world_start(w, 2);
    expect_all_left(w, 2);
    assert_true(world_stats(w).alarms >= 2 && w->alarms >= 2); /* one for each branch */
    assert_int_not_equal(hf_tm_outcome(w->tm, &lost, &outcome) == HF_OK ? outcome : HF_UNKNOWN,
                         HF_ROLLEDBACK);
    t_ok(hf_tx_begin(w->tm, 0, &tx));
    t_ok(hf_tx_xid(tx, &next));
    assert_memory_equal(lost.data, next.data, 20); /* node and incarnation are the lost one's */
    assert_memory_not_equal(lost.data, next.data, 28);
    t_ok(hf_tx_rollback(tx, NULL));
    world_close(w);

    /* Nor ever after: also what presumed abort would be right about is left to an operator. */
    assert_int_equal(WEXITSTATUS(fake_child(prepare_one_and_die, w)), 0);
    fake_answer(B, FAKE_PREPARE, XA_OK);
    fake_answer(A, FAKE_ROLLBACK, XA_OK);
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 3);
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
}

/* The copy knows the one that was open then, and would roll its branches back, were it not for
   those of a later one, which come after them in every scan. */
static void restored_log__notices_before_it_rolls_back_what_it_knows(void **state)
{
    struct world *w = *state;

    world_start(w, 2);
    world_close(w);
    answer_commit(XAER_RMFAIL);
    assert_int_equal(fake_child(back_up_while_open_and_owe_two_commits, w), 0);
    assert_int_equal(fake_child(open_and_die, w), 0);
    assert_int_equal(fake_child(owe_two_commits_and_die, w), 0);
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 4);
    answer_commit(XA_OK);
    restore(w);

    world_start(w, 2);
    expect_all_left(w, 4);
    assert_true(world_stats(w).alarms >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(restored_log__rolls_nothing_back_and_issues_no_xid_again),
        T(restored_log__notices_before_it_rolls_back_what_it_knows),
    };

    return cmocka_run_group_tests_name("regress.restore", tests, NULL, NULL);
}
