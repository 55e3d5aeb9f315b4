/*
 * What: what hf_tm_open says of a directory that is not a sound node of ours, and that it leaves
 *       everything as it was (tm.h, hf_tm_open; store.h S1, S2, S5).
 * How:  a node is made, then spoilt: by another kind, owner, mode, link, version or byte. A damaged
 *       file is opened in a child, because LMDB itself may crash on one.
 */
#include "support/fake_rm.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "holdfast/inspect.h"
#include "holdfast/internal/store.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static void write_file(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    assert_int_equal(close(fd), 0);
}

static char *read_file(const char *path, size_t *ret_size)
{
    struct stat st;
    char *bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    bytes = malloc((size_t)st.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(fd), 0);
    *ret_size = (size_t)st.st_size;
    return bytes;
}

static unsigned count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned count = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        count++;
    (void)closedir(d);
    return count - 2;
}

/* A node with a history of its own: one resource manager and one transaction that left no trace. */
static void make_node(struct world *w)
{
    hf_tx *tx;

    world_start(w, 2);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    world_close(w);
}

/* Refused, named in the text, and nothing is left open: the same again. */
static void expect_refused(struct world *w, int code)
{
    t_rc(code, world_try_open(w));
    assert_null(w->tm);
    assert_int_equal(hf_error_last()->code, code);
    assert_non_null(strstr(hf_error_last()->text, w->node));
    t_rc(code, world_try_open(w));
}

/* -- what it is -------------------------------------------------------------------------------- */

static void directory__that_does_not_exist_is_made(void **state)
{
    struct world *w = *state;
    struct stat st;

    world_open(w);
    assert_int_equal(stat(w->node, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(t_path(w->node, "decisions.mdb"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    world_close(w);
    assert_int_equal(world_records(w), 0);
}

static void directory__that_is_empty_is_made_a_node(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdir(w->node, 0700), 0);
    make_node(w);
}

static void directory__whose_parent_is_not_there_is_refused(void **state)
{
    struct world *w = *state;

    snprintf(w->node, sizeof(w->node), "%s/no/such/parent", w->dir);
    t_rc(HF_EIO, world_try_open(w));
    assert_int_equal(hf_error_last()->native_code, ENOENT);
}

static void file__instead_of_a_directory_is_refused(void **state)
{
    struct world *w = *state;
    struct stat st;

    write_file(w->node, "mine", 4);
    expect_refused(w, HF_ENOTNODE);
    assert_int_equal(stat(w->node, &st), 0);
    assert_int_equal(st.st_size, 4);
}

static void directory__with_other_things_in_it_is_refused_and_left_as_it_was(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdir(w->node, 0700), 0);
    write_file(t_path(w->node, "letter.txt"), "mine", 4);
    expect_refused(w, HF_ENOTNODE);
    assert_int_equal(count_entries(w->node), 1);
}

static void config__that_is_not_one_is_refused(void **state)
{
    struct world *w = *state;
    hf_tm_config c = HF_TM_CONFIG_INIT;
    hf_tm *tm = NULL;

    t_rc(HF_EINVAL, hf_tm_open(NULL, &tm));
    t_rc(HF_EINVAL, hf_tm_open(&c, &tm)); /* no directory */
    c.dir = w->node;
    t_rc(HF_EINVAL, hf_tm_open(&c, NULL));
    c.size = 0;
    t_rc(HF_EINVAL, hf_tm_open(&c, &tm));
    c.size = sizeof(c) + 8;
    t_rc(HF_EINVAL, hf_tm_open(&c, &tm));
    c.size = sizeof(c);
    c.dir = "";
    t_rc(HF_EINVAL, hf_tm_open(&c, &tm));
    c.dir = w->node;
    c.recover_ms = 2;
    c.recover_max_ms = 1;
    t_rc(HF_EINVAL, hf_tm_open(&c, &tm));
    assert_null(tm);
    assert_int_equal(access(w->node, F_OK), -1);
}

/* -- whose it is ------------------------------------------------------------------------------- */

static void directory__of_another_user_is_refused(void **state)
{
    struct world *w = *state;

    if (geteuid() != 0)
        skip();
    make_node(w);
    assert_int_equal(chown(w->node, 65534, 65534), 0);
    expect_refused(w, HF_EOWNER);
    assert_int_equal(chown(w->node, 0, 0), 0);
    assert_int_equal(chown(t_path(w->node, "decisions.mdb"), 65534, 65534), 0);
    t_rc(HF_EOWNER, world_try_open(w));
    assert_int_equal(chown(t_path(w->node, "decisions.mdb"), 0, 0), 0);
    make_node(w);
}

static void directory__open_to_others_is_refused(void **state)
{
    static const mode_t modes[] = {0750, 0707, 0777, 0701};
    struct world *w = *state;

    make_node(w);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(w->node, modes[i]), 0);
        expect_refused(w, HF_EOWNER);
    }
    assert_int_equal(chmod(w->node, 0700), 0);
    make_node(w);
}

static void file_in_it__open_to_others_is_refused(void **state)
{
    static const char *const files[] = {"decisions.mdb", "incarnations"};
    struct world *w = *state;

    make_node(w);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_int_equal(chmod(t_path(w->node, files[i]), 0640), 0);
        t_rc(HF_EOWNER, world_try_open(w));
        assert_int_equal(chmod(t_path(w->node, files[i]), 0600), 0);
    }
    make_node(w);
}

static void link__to_a_node_is_refused(void **state)
{
    struct world *w = *state;
    char real[600];

    make_node(w);
    snprintf(real, sizeof(real), "%s/real", w->dir);
    assert_int_equal(rename(w->node, real), 0);
    assert_int_equal(symlink(real, w->node), 0);
    expect_refused(w, HF_EOWNER);
    assert_int_equal(unlink(w->node), 0);
    assert_int_equal(rename(real, w->node), 0);
}

static void link__instead_of_a_file_in_it_is_refused(void **state)
{
    static const char *const files[] = {"decisions.mdb", "incarnations"};
    struct world *w = *state;

    make_node(w);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char real[600];

        snprintf(real, sizeof(real), "%s/aside", w->dir);
        assert_int_equal(rename(t_path(w->node, files[i]), real), 0);
        assert_int_equal(symlink(real, t_path(w->node, files[i])), 0);
        t_rc(HF_EOWNER, world_try_open(w));
        assert_int_equal(unlink(t_path(w->node, files[i])), 0);
        assert_int_equal(rename(real, t_path(w->node, files[i])), 0);
    }
    make_node(w);
}

/* -- who has it -------------------------------------------------------------------------------- */

static void node__that_is_open_in_this_process_is_refused_by_any_path(void **state)
{
    struct world *w = *state;
    struct world again = {.dir = w->dir};
    hf_inspect *in = NULL;
    char link[600];

    world_start(w, 2);
    snprintf(again.node, sizeof(again.node), "%s", w->node);
    t_rc(HF_EOPEN, world_try_open(&again));
    snprintf(again.node, sizeof(again.node), "%s/./node/../node/", w->dir);
    t_rc(HF_EOPEN, world_try_open(&again));
    snprintf(link, sizeof(link), "%s/way", w->dir);
    assert_int_equal(symlink(w->dir, link), 0);
    snprintf(again.node, sizeof(again.node), "%s/way/node", w->dir);
    t_rc(HF_EOPEN, world_try_open(&again));
    t_rc(HF_EOPEN, hf_inspect_open(w->node, &in));
    assert_null(in);
    /* and our incarnation is still ours: the looks have not dropped its lock */
    t_ok(hf_tm_recover(w->tm, NULL));
    world_close(w);
    t_ok(world_try_open(&again));
    world_close(&again);
}

static void is_alive(void *arg)
{
    struct world *w = arg;
    hf_inspect_node node = {.size = sizeof(node)};
    hf_inspect *in = NULL;

    must_ok(hf_inspect_open(w->node, &in));
    must_ok(hf_inspect_get_node(in, &node));
    must(node.alive == 1);
    hf_inspect_close(in);
}

static void wait_then_look(void *arg)
{
    fake_child_pause();
    is_alive(arg);
}

/* The lock that says so is not dropped by a refused second opening. */
static void node__is_seen_alive_from_outside_after_refused_openings(void **state)
{
    struct world *w = *state;
    struct world again = {.dir = w->dir};
    pid_t child = fake_child_start(wait_then_look, w);

    world_start(w, 1);
    snprintf(again.node, sizeof(again.node), "%s/../%s/node", w->dir, strrchr(w->dir, '/') + 1);
    t_rc(HF_EOPEN, world_try_open(&again));
    t_rc(HF_EOPEN, world_try_open(&again));
    assert_int_equal(fake_child_end(child), 0);
}

static void two_processes__have_one_node_open(void **state)
{
    struct world *w = *state;
    pid_t child;

    make_node(w);
    child = fake_child_start(wait_then_look, w);
    world_start(w, 2);
    assert_int_equal(world_stats(w).incarnation, 2);
    assert_int_equal(fake_child_end(child), 0);
}

/* Without it a living process would look dead; with a new one two could hold one number. */
static void lock_file__that_was_removed_or_emptied_is_refused(void **state)
{
    struct world *w = *state;

    make_node(w);
    assert_int_equal(truncate(t_path(w->node, "incarnations"), 0), 0);
    expect_refused(w, HF_EDAMAGED);
    assert_int_equal(unlink(t_path(w->node, "incarnations")), 0);
    expect_refused(w, HF_EDAMAGED);
}

static void open_and_wait(void *arg)
{
    struct world *w = arg;

    must_ok(world_try_open(w));
    fake_child_pause();
    must_ok(hf_tm_close(w->tm, 0, NULL));
}

/* The log was restored under a living process: it would give that one's number out again. */
static void log__that_is_older_than_a_living_process_is_refused(void **state)
{
    struct world *w = *state;
    const char *log;
    size_t size;
    char *bytes;
    pid_t child;

    make_node(w);
    log = t_path(w->node, "decisions.mdb");
    bytes = read_file(log, &size);
    child = fake_child_start(open_and_wait, w);
    assert_int_equal(unlink(log), 0); /* the child keeps the one that it has open */
    write_file(log, bytes, size);
    free(bytes);
    t_rc(HF_EBACKINTIME, world_try_open(w));
    assert_null(w->tm);
    (void)fake_child_kill(child);
}

/* -- where it is ------------------------------------------------------------------------------- */

static int try_open_with(struct world *w, const char *nonce)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;

    config.dir = w->node;
    config.nonce = nonce;
    return hf_tm_open(&config, &w->tm);
}

/* The node as another file, as a copy or a backup has it: the same bytes, another inode. */
static void copy_node(struct world *w, const char *name)
{
    static const char *const files[] = {"decisions.mdb", "history.mdb", "incarnations"};
    char from[sizeof(w->node)];

    strcpy(from, w->node);
    snprintf(w->node, sizeof(w->node), "%s/%s", w->dir, name);
    assert_int_equal(mkdir(w->node, 0700), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        size_t size;
        char *bytes = read_file(t_path(from, files[i]), &size);

        write_file(t_path(w->node, files[i]), bytes, size);
        free(bytes);
    }
}

static void adopt(const char *node, int how, hf_inspect_node *ret)
{
    hf_inspect *in;

    t_ok(hf_inspect_open(node, &in));
    t_ok(hf_inspect_adopt(in, how, "a test"));
    *ret = (hf_inspect_node){.size = sizeof(*ret)};
    t_ok(hf_inspect_get_node(in, ret));
    assert_int_equal(ret->moved, 0);
    t_ok(hf_inspect_verify(in));
    hf_inspect_close(in);
}

static void look(const char *node, hf_inspect_node *ret)
{
    hf_inspect *in;

    *ret = (hf_inspect_node){.size = sizeof(*ret)};
    t_ok(hf_inspect_open(node, &in));
    t_ok(hf_inspect_get_node(in, ret));
    hf_inspect_close(in);
}

/* Decided, and a and b have been told, b in vain: a record that says so is in the log. */
static void leave_owed(struct world *w, XID *ret_xid)
{
    hf_tx *tx;

    world_start(w, 2);
    fake_answer(B, FAKE_COMMIT, XA_RETRY);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, ret_xid));
    t_ok(hf_tx_commit(tx, NULL));
    world_close(w);
    fake_answer(B, FAKE_COMMIT, XA_OK);
    assert_int_equal(world_records(w), 1);
    assert_int_equal(fake_in_doubt(B), 1);
}

static void node__that_was_copied_is_refused_and_left_as_it_was(void **state)
{
    struct world *w = *state;
    size_t before_size, after_size;
    char *before, *after;
    hf_inspect_node n;

    make_node(w);
    copy_node(w, "copy");
    before = read_file(t_path(w->node, "decisions.mdb"), &before_size);
    expect_refused(w, HF_EMOVED);
    assert_non_null(strstr(hf_error_last()->text, "inode"));
    assert_null(strstr(hf_error_last()->text, "machine"));
    assert_null(strstr(hf_error_last()->text, "nonce"));
    after = read_file(t_path(w->node, "decisions.mdb"), &after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);
    look(w->node, &n);
    assert_int_equal(n.moved, 1);
    assert_non_null(strstr(n.moved_text, "inode"));
}

static void node__whose_directory_has_another_name_is_where_it_was(void **state)
{
    struct world *w = *state;
    const char *to;

    make_node(w);
    to = t_path(w->dir, "renamed");
    assert_int_equal(rename(w->node, to), 0);
    snprintf(w->node, sizeof(w->node), "%s/renamed", w->dir);
    make_node(w);
}

static void moved_node__finishes_what_it_began(void **state)
{
    struct world *w = *state;
    hf_inspect_node was, n;
    XID xid;

    leave_owed(w, &xid);
    look(w->node, &was);
    copy_node(w, "copy");
    t_rc(HF_EMOVED, world_try_open(w));
    adopt(w->node, HF_ADOPT_MOVED, &n);
    assert_string_equal(n.identity, was.identity);
    assert_string_equal(n.former, "");
    assert_int_equal(world_records(w), 1);
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(B), 0);
    assert_int_equal(fake_committed(B), 1);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED);
    world_close(w);
    make_node(w); /* and it is at home here */
}

struct left {
    unsigned count;
    hf_inspect_tx tx;
};

static int note_left(void *user, const hf_inspect_tx *tx)
{
    struct left *l = user;

    l->count += tx->left;
    if (tx->left)
        l->tx = *tx;
    return 0;
}

static void copied_node__leaves_to_the_original_what_that_began(void **state)
{
    struct world *w = *state;
    char original[sizeof(w->node)];
    hf_inspect_node was, n;
    hf_inspect *in;
    struct left left = {0};
    XID xid, mine;
    hf_tx *tx;

    leave_owed(w, &xid);
    look(w->node, &was);
    strcpy(original, w->node);
    copy_node(w, "copy");
    adopt(w->node, HF_ADOPT_COPIED, &n);
    assert_string_not_equal(n.identity, was.identity);
    assert_string_equal(n.former, was.identity);
    assert_int_equal(n.highest, was.highest);

    world_start(w, 2); /* recovery sees the branch, and it is nobody's here */
    assert_int_equal(fake_in_doubt(B), 1);
    assert_int_equal(world_stats(w).owed, 0);
    assert_int_equal(world_outcome(w, &xid), HF_COMMITTED); /* that was decided before */
    xid = world_xid(&xid, 0, 12345);
    t_rc(HF_EINVAL, hf_tm_outcome(w->tm, &xid, &(hf_outcome){0}));
    world_begin(w, 2, &tx);
    t_ok(hf_tx_xid(tx, &mine));
    assert_memory_not_equal(mine.data, xid.data, 16);
    t_ok(hf_tx_commit(tx, NULL));
    world_close(w);
    assert_int_equal(world_records(w), 0);
    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_history(in, note_left, &left));
    hf_inspect_close(in);
    assert_int_equal(left.count, 1);
    assert_int_equal(left.tx.outcome, HF_COMMITTED);
    assert_memory_equal(left.tx.xid.data, xid.data, 16);

    strcpy(w->node, original); /* which finishes it */
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(B), 0);
    assert_int_equal(fake_committed(B), 2);
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), 0);
}

/* The original has prepared, and not decided: the copy must not roll that back. */
static void copied_node__rolls_back_nothing_of_the_original(void **state)
{
    struct world *w = *state;
    char original[sizeof(w->node)];
    hf_inspect_node n;
    XID xid;

    make_node(w);
    strcpy(original, w->node);
    xid = fake_last_xid(A);
    xid = world_xid(&xid, 0, 77);
    fake_put(A, &xid);
    copy_node(w, "copy");
    adopt(w->node, HF_ADOPT_COPIED, &n);
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(A), 1);
    assert_int_equal(world_stats(w).recovered_rolledback, 0);
    world_close(w);
    strcpy(w->node, original);
    world_start(w, 2);
    assert_int_equal(fake_in_doubt(A), 0);
}

static void nonce__that_was_given_has_to_be_given_again(void **state)
{
    struct world *w = *state;
    hf_inspect_node n;

    t_ok(try_open_with(w, NULL)); /* none is stored yet */
    t_ok(hf_tm_close(w->tm, 0, NULL));
    for (int i = 0; i < 2; i++) {
        t_ok(try_open_with(w, "pod-1"));
        t_ok(hf_tm_close(w->tm, 0, NULL));
    }
    w->tm = NULL;
    t_rc(HF_EMOVED, try_open_with(w, "pod-2"));
    assert_non_null(strstr(hf_error_last()->text, "another nonce than"));
    t_rc(HF_EMOVED, try_open_with(w, ""));
    t_rc(HF_EMOVED, try_open_with(w, NULL));
    assert_null(w->tm);
    adopt(w->node, HF_ADOPT_MOVED, &n);
    t_ok(try_open_with(w, "pod-2"));
    t_ok(hf_tm_close(w->tm, 0, NULL));
    w->tm = NULL;
    t_rc(HF_EMOVED, try_open_with(w, "pod-1"));
}

static void adopt__needs_a_node_that_nobody_has_open(void **state)
{
    struct world *w = *state;
    hf_inspect *in;
    pid_t child;

    make_node(w);
    child = fake_child_start(open_and_wait, w);
    t_ok(hf_inspect_open(w->node, &in));
    t_rc(HF_EOWNED, hf_inspect_adopt(in, HF_ADOPT_MOVED, NULL));
    assert_non_null(strstr(hf_error_last()->text, w->node));
    t_rc(HF_EOWNED, hf_inspect_adopt(in, HF_ADOPT_COPIED, NULL));
    t_rc(HF_EINVAL, hf_inspect_adopt(in, 0, NULL));
    t_rc(HF_EINVAL, hf_inspect_adopt(in, 3, NULL));
    t_rc(HF_EINVAL, hf_inspect_adopt(NULL, HF_ADOPT_MOVED, NULL));
    (void)fake_child_kill(child);
    t_ok(hf_inspect_adopt(in, HF_ADOPT_COPIED, NULL));
    hf_inspect_close(in);
    make_node(w);
}

static int note_adoption(void *user, const hf_inspect_request *q)
{
    *(hf_inspect_request *)user = *q;
    return 0;
}

static void adopt__tells_who_did_it_when_and_why(void **state)
{
    struct world *w = *state;
    hf_inspect_request q = {0};
    hf_inspect_node n;
    hf_inspect *in;

    make_node(w);
    adopt(w->node, HF_ADOPT_MOVED, &n); /* also where it was */
    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_requests(in, note_adoption, &q));
    hf_inspect_close(in);
    assert_int_equal(q.number, 1);
    assert_int_equal(q.verb, HF_REQUEST_ADOPT_MOVED);
    assert_int_equal(q.state, 1);
    assert_int_equal(q.uid, getuid());
    assert_true(q.asked_ms > 1700000000000 && q.asked_ms == q.done_ms);
    assert_string_equal(q.reason, "a test");
    make_node(w);
}

#ifdef HF_FAULTS

static void adopt_and_die(void *arg)
{
    const struct world *w = arg;
    hf_inspect *in;
    const char *where = fake_shared();

    must_ok(hf_inspect_open(w->node, &in));
    fault_at(where, "kill", 1);
    must(hf_inspect_adopt(in, HF_ADOPT_COPIED, NULL) != HF_OK); /* it is killed in there */
}

/* The crash table of adopt.c. The mark of the lock file is behind in the third row. */
static void adopt__that_is_killed_is_done_whole_or_not_at_all(void **state)
{
    static const char *const wheres[] = {"adopt:alone", "store:before-commit", "store:after-commit",
                                         "adopt:stored"};

    for (int i = 0; i < 4; i++) {
        struct world *w = world_again(state);
        hf_inspect_node was, n;
        XID xid;

        leave_owed(w, &xid);
        look(w->node, &was);
        copy_node(w, "copy");
        strcpy(fake_shared(), wheres[i]);
        assert_true(WIFSIGNALED(fake_child(adopt_and_die, w)));
        look(w->node, &n); /* a reader does not mind */
        if (i < 2) {
            assert_string_equal(n.identity, was.identity);
            t_rc(HF_EMOVED, world_try_open(w));
            adopt(w->node, HF_ADOPT_COPIED, &n);
        }
        assert_string_equal(n.former, was.identity);
        assert_int_equal(n.moved, 0);
        for (int again = 0; again < 2; again++) {
            world_start(w, 2);
            assert_int_equal(fake_in_doubt(B), 1);
            world_close(w);
        }
        assert_int_equal(world_records(w), 0);
    }
}

#endif

/* -- what is in it ----------------------------------------------------------------------------- */

static void open_and_close(void *arg)
{
    struct world *w = arg;
    int rc = world_try_open(w);

    if (rc == HF_OK) {
        world_register(w, 2);
        rc = hf_tm_start(w->tm, 0);
        (void)hf_tm_close(w->tm, 0, NULL);
    }
    _exit(rc == HF_OK ? 0 : rc == HF_EDAMAGED ? 1 : rc == HF_ENOTNODE ? 2 : 3);
}

/* A byte here and there, wherever one is not zero: refused, a crash of LMDB, or nothing of ours
   hurt. */
static void damage__never_starts_silently(void **state)
{
    enum { TRIES = 120 };
    struct world *w = *state;
    unsigned ends[4] = {0}, crashed = 0, written = 0, nth = 0;
    size_t size;
    char *bytes;
    const char *log;

    make_node(w);
    log = t_path(w->node, "decisions.mdb");
    bytes = read_file(log, &size);
    for (size_t at = 0; at < size; at++)
        written += bytes[at] != 0;
    for (size_t at = 0; at < size; at++) {
        int status;

        if (bytes[at] == 0 || nth++ % (written / TRIES + 1) != 0)
            continue;
        bytes[at] ^= 0x55;
        write_file(log, bytes, size);
        bytes[at] ^= 0x55;
        status = fake_child(open_and_close, w);
        if (WIFEXITED(status) && WEXITSTATUS(status) < 4)
            ends[WEXITSTATUS(status)]++;
        else
            crashed++; /* a sanitizer ends a crash by an exit of its own */
    }
    print_message("not hurt %u, damaged %u, no node %u, other errors %u, crashed in LMDB %u\n",
                  ends[0], ends[1], ends[2], ends[3], crashed);
    assert_true(ends[1] > 0);
    assert_int_equal(ends[3], 0);
    free(bytes);
}

/* Each byte of a record's value, wherever it lies: found by its marker, flipped, refused. */
static void damage__of_a_record_is_refused(void **state)
{
    struct world *w = *state;
    unsigned found = 0;
    size_t size;
    char *bytes;
    const char *log;

    make_node(w);
    log = t_path(w->node, "decisions.mdb");
    bytes = read_file(log, &size);
    for (size_t at = 0; at + 4 < size; at++) {
        if (memcmp(bytes + at, "a\0\0\0", 4) != 0 || memcmp(bytes + at + 4, "\0\0\0", 3) != 0)
            continue;
        bytes[at] = 'z'; /* every copy of the binding of "a": old pages, too */
        found++;
    }
    assert_true(found > 0);
    write_file(log, bytes, size);
    free(bytes);
    assert_int_equal(fake_child(open_and_close, w), 1 << 8);
}

static void log__that_was_cut_short_is_refused(void **state)
{
    struct world *w = *state;
    size_t size;
    char *bytes;
    const char *log;
    int status;

    make_node(w);
    log = t_path(w->node, "decisions.mdb");
    bytes = read_file(log, &size);
    for (size_t keep = 1; keep <= 4; keep++) {
        write_file(log, bytes, keep * 4096 - 1000);
        status = fake_child(open_and_close, w);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 2);
    }
    free(bytes);
}

/* An empty log file in a node is a node that lost its log: never made anew in silence. */
static void log__that_was_emptied_is_refused(void **state)
{
    struct world *w = *state;
    int status;

    make_node(w);
    write_file(t_path(w->node, "decisions.mdb"), "", 0);
    status = fake_child(open_and_close, w);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 2);
}

static void log__that_was_removed_is_not_made_anew(void **state)
{
    struct world *w = *state;
    int status;

    make_node(w);
    assert_int_equal(unlink(t_path(w->node, "decisions.mdb")), 0);
    status = fake_child(open_and_close, w);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 2);
}

static void log__that_is_text_is_refused(void **state)
{
    struct world *w = *state;
    int status;

    make_node(w);
    write_file(t_path(w->node, "decisions.mdb"), "not a database", 14);
    status = fake_child(open_and_close, w);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 2);
}

/* The history is not the log: without it, or with a damaged one, the node opens and says so. */
static void history__that_is_damaged_keeps_nobody_from_opening(void **state)
{
    struct world *w = *state;

    make_node(w);
    write_file(t_path(w->node, "history.mdb"), "not a database", 14);
    world_start(w, 2);
    assert_string_not_equal(w->told, "");
    world_close(w);
}

static int make_newer(struct hf__store_txn *txn, void *arg)
{
    return hf__store_put(txn, arg, 1, 1, "later", 5);
}

/* As a later version would have left it: the format number of the log is higher. */
static void node__of_a_newer_format_is_refused_by_name(void **state)
{
    struct world *w = *state;
    struct hf__store_config c = {
        .dir = w->node,
        .file = "decisions.mdb",
        .lock_file = "incarnations",
        .application = 0x48464c47,
        .format = 2,
        .flags = HF__STORE_CREATE,
    };
    struct hf__store *store = NULL;
    char key[] = "N";

    t_ok(hf__store_open(&c, &store));
    t_ok(hf__store_apply(store, make_newer, key));
    hf__store_opened(store);
    hf__store_close(store);
    expect_refused(w, HF_ENEWER);
}

/* Another thing that stands on the same store is not a node. */
static void store__of_another_application_is_refused(void **state)
{
    struct world *w = *state;
    struct hf__store_config c = {
        .dir = w->node,
        .file = "decisions.mdb",
        .lock_file = "incarnations",
        .application = 0x4f544852,
        .format = 1,
        .flags = HF__STORE_CREATE,
    };
    struct hf__store *store = NULL;

    t_ok(hf__store_open(&c, &store));
    hf__store_opened(store);
    hf__store_close(store);
    expect_refused(w, HF_ENOTNODE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(directory__that_does_not_exist_is_made),
        T(directory__that_is_empty_is_made_a_node),
        T(directory__whose_parent_is_not_there_is_refused),
        T(file__instead_of_a_directory_is_refused),
        T(directory__with_other_things_in_it_is_refused_and_left_as_it_was),
        T(config__that_is_not_one_is_refused),
        T(directory__of_another_user_is_refused),
        T(directory__open_to_others_is_refused),
        T(file_in_it__open_to_others_is_refused),
        T(link__to_a_node_is_refused),
        T(link__instead_of_a_file_in_it_is_refused),
        T(node__that_is_open_in_this_process_is_refused_by_any_path),
        T(node__is_seen_alive_from_outside_after_refused_openings),
        T(two_processes__have_one_node_open),
        T(lock_file__that_was_removed_or_emptied_is_refused),
        T(log__that_is_older_than_a_living_process_is_refused),
        T(node__that_was_copied_is_refused_and_left_as_it_was),
        T(node__whose_directory_has_another_name_is_where_it_was),
        T(moved_node__finishes_what_it_began),
        T(copied_node__leaves_to_the_original_what_that_began),
        T(copied_node__rolls_back_nothing_of_the_original),
        T(nonce__that_was_given_has_to_be_given_again),
        T(adopt__needs_a_node_that_nobody_has_open),
        T(adopt__tells_who_did_it_when_and_why),
#ifdef HF_FAULTS
        T(adopt__that_is_killed_is_done_whole_or_not_at_all),
#endif
        T(damage__never_starts_silently),
        T(damage__of_a_record_is_refused),
        T(log__that_was_cut_short_is_refused),
        T(log__that_was_emptied_is_refused),
        T(log__that_was_removed_is_not_made_anew),
        T(log__that_is_text_is_refused),
        T(history__that_is_damaged_keeps_nobody_from_opening),
        T(node__of_a_newer_format_is_refused_by_name),
        T(store__of_another_application_is_refused),
    };

    return cmocka_run_group_tests_name("tm.open", tests, NULL, NULL);
}
