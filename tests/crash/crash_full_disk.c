/*
 * What: a full disk refuses new decisions before anything is written, and keeps nobody from
 *       finishing old ones, nor from opening the node again (store.h, S3; tm.h).
 * How:  full_disk.sh mounts a small file system and gives its directory. The node lies there; a
 *       file fills it, and decisions of a resource manager that never comes fill what the log has
 *       allocated. Nothing is simulated but the resource managers.
 */
#include "support/fake_rm.h"

#include <fcntl.h>

#include "coordinator.h"
#include "holdfast/inspect.h"
#include "log.h"

enum { OLD = 5, FILL_MAX = 10000 };

static const char *mounted;

/* Down to the last byte that there is for a file. */
static void fill_disk(const char *path)
{
    static char bytes[1 << 16];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    for (size_t size = sizeof(bytes); size > 0;) /* bound: the disk, then 16 halvings */
        if (write(fd, bytes, size) < (ssize_t)size)
            size /= 2;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(close(fd), 0);
}

/* What the log has allocated is filled with decisions that nobody can finish. */
static unsigned fill_log(const char *node, uint32_t branches)
{
    struct hf__rec rec = {.decision = HF__COMMIT, .outcome = HF_COMMITTED, .count = branches};
    struct hf__log *log;
    unsigned made = 0;
    uint32_t id;
    int rc = HF_OK;

    t_ok(hf__log_open(node, &log));
    t_ok(hf__log_bind(log, "never", NULL, &id));
    rec.branches = calloc(rec.count, sizeof(*rec.branches));
    assert_non_null(rec.branches);
    for (uint32_t i = 0; i < rec.count; i++)
        rec.branches[i] = (struct hf__rec_branch){
            .rm_id = id, .number = 1 + i, .state = HF_BRANCH_OWED, .token_size = HF_TOKEN_SIZE_MAX};
    while (rc == HF_OK && made < FILL_MAX) {
        hf__gtrid_make(rec.gtrid, hf__log_node(log), hf__log_incarnation(log),
                       (uint64_t)hf__log_nonce(log) << (64 - HF__NONCE_BITS) | (made + 1));
        rc = hf__log_decide(log, &rec);
        made += rc == HF_OK;
    }
    t_rc(HF_EFULL, rc);
    assert_false(hf__log_failed(log));
    free(rec.branches);
    hf__log_close(log, false);
    return made;
}

static void leave_old(struct world *w)
{
    world_start(w, 2);
    fake_answer(B, FAKE_COMMIT, XA_RETRY);
    for (int i = 0; i < OLD; i++) {
        hf_tx *tx;

        world_begin(w, 2, &tx);
        t_ok(hf_tx_commit(tx, NULL));
    }
    world_close(w);
    assert_int_equal(world_records(w), OLD);
}

static void expect_refused(struct world *w)
{
    unsigned in_doubt = fake_in_doubt(A) + fake_in_doubt(B);
    hf_result r = HF_RESULT_INIT;
    hf_tx *tx;

    for (int i = 0; i < 3; i++) { /* and it goes on: nothing has failed */
        world_begin(w, 2, &tx);
        t_rc(HF_EROLLEDBACK, hf_tx_commit(tx, &r));
        assert_int_equal(r.outcome, HF_ROLLEDBACK);
        assert_string_equal(r.call, "log");
        assert_non_null(strstr(r.text, "full"));
    }
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), in_doubt);
    world_begin(w, 1, &tx); /* one phase needs no log */
    t_ok(hf_tx_commit(tx, NULL));
}

/* A node cannot be made, and what is left of the attempt keeps nobody from making it later. */
static void try_new_node(const char *dir, int want_ok)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_tm *tm = NULL;
    int rc;

    config.dir = dir;
    rc = hf_tm_open(&config, &tm);
    if (want_ok) {
        t_ok(rc);
        t_ok(hf_tm_close(tm, 0, NULL));
        return;
    }
    assert_true(rc == HF_EFULL || rc == HF_EIO);
    assert_int_equal(hf_error_last()->native_code, ENOSPC);
}

/* The room that is left when new work is refused depends on how large it was. */
static void run(struct world *w, uint32_t branches)
{
    char filler[600], other[600];
    unsigned never;
    hf_tx *tx;

    snprintf(w->node, sizeof(w->node), "%s/node-%u", mounted, branches);
    snprintf(filler, sizeof(filler), "%s/filler", mounted);
    snprintf(other, sizeof(other), "%s/other-%u", mounted, branches);
    leave_old(w);
    fill_disk(filler);
    never = fill_log(w->node, branches);
    assert_true(never > 0);
    assert_int_equal(world_records(w), OLD + never);

    for (int again = 0; again < 2; again++) { /* opened with the disk full, and with work to do */
        world_start(w, 2);
        assert_int_equal(fake_in_doubt(B), OLD);
        expect_refused(w);
        world_close(w);
        assert_int_equal(world_records(w), OLD + never);
    }
    fake_answer(B, FAKE_COMMIT, XA_OK);
    world_start(w, 2); /* and it recovers */
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
    assert_int_equal(fake_rolled_back(B), 2 * 3); /* those that were refused, and no others */
    expect_refused(w);
    world_close(w);
    assert_int_equal(world_records(w), never);
    try_new_node(other, 0);

    assert_int_equal(remove(filler), 0);
    world_start(w, 2);
    world_begin(w, 2, &tx);
    t_ok(hf_tx_commit(tx, NULL));
    world_close(w);
    assert_int_equal(world_records(w), never);
    try_new_node(other, 1);
}

static void full_disk__refuses_what_is_new_and_finishes_what_is_old(void **state)
{
    static const uint32_t branches[] = {1000, 300, 20, 2};

    for (size_t i = 0; i < sizeof(branches) / sizeof(*branches); i++)
        run(i == 0 ? *state : world_again(state), branches[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_disk__refuses_what_is_new_and_finishes_what_is_old,
                                        world_setup, world_teardown),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: crash_full_disk DIRECTORY, of a small file system of its own\n");
        return 2;
    }
    mounted = argv[1];
    return cmocka_run_group_tests_name("crash.full_disk", tests, NULL, NULL);
}
