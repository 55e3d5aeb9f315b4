/*
 * What: the decision log's promises L1 to L5, removals, and the history (tm/log.h).
 * How:  a node in a directory of its own, without a tm around it; other processes are forked before
 *       anything is open.
 */
#include "support/fake_rm.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "coordinator.h"
#include "log.h"

static char *dir;
static char node[512];

static int setup(void **state)
{
    (void)state;
    fake_reset();
    dir = t_dir_make();
    snprintf(node, sizeof(node), "%s/node", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
#ifdef HF_FAULTS
    (void)hf__fault_set(NULL);
#endif
    t_dir_remove(dir);
    return 0;
}
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static struct hf__log *open_log(void)
{
    struct hf__log *log = NULL;

    t_ok(hf__log_open(node, &log));
    assert_string_equal(hf__log_warning(log), "");
    return log;
}

/* -- decisions --------------------------------------------------------------------------------- */

static void gtrid_of(struct hf__log *log, uint64_t sequence, unsigned char ret[HF__GTRID_SIZE])
{
    hf__gtrid_make(ret, hf__log_node(log), hf__log_incarnation(log),
                   (uint64_t)hf__log_nonce(log) << (64 - HF__NONCE_BITS) | sequence);
}

static int decide(struct hf__log *log, uint64_t sequence, uint32_t branches)
{
    struct hf__rec rec = {.decision = HF__COMMIT, .outcome = HF_COMMITTED, .count = branches};
    int rc;

    gtrid_of(log, sequence, rec.gtrid);
    rec.branches = calloc(branches + 1, sizeof(*rec.branches));
    if (rec.branches == NULL)
        return HF_ENOMEM;
    for (uint32_t i = 0; i < branches; i++) {
        rec.branches[i] = (struct hf__rec_branch){
            .rm_id = 1 + i % 3,
            .number = 1 + i,
            .state = HF_BRANCH_OWED,
            .code = -7,
            .token_size = HF_TOKEN_SIZE_MAX,
        };
        memset(rec.branches[i].token, (int)('a' + i % 26), HF_TOKEN_SIZE_MAX);
    }
    rc = hf__log_decide(log, &rec);
    free(rec.branches);
    return rc;
}

static int count_one(void *user, const struct hf__rec *rec)
{
    assert_int_equal(rec->decision, HF__COMMIT);
    *(unsigned *)user += 1;
    return 0;
}

static unsigned count(struct hf__log *log)
{
    unsigned n = 0;

    t_ok(hf__log_each(log, count_one, &n));
    return n;
}

static bool has(struct hf__log *log, const unsigned char gtrid[HF__GTRID_SIZE])
{
    struct hf__rec rec = {.branches = NULL};
    int rc = hf__log_find(log, gtrid, &rec);

    assert_true(rc == HF_OK || rc == HF_ENOTFOUND);
    free(rec.branches);
    return rc == HF_OK;
}

static void decision__is_read_back_as_it_was(void **state)
{
    struct hf__log *log = open_log();
    struct hf__rec rec = {.branches = NULL};
    unsigned char gtrid[HF__GTRID_SIZE];

    (void)state;
    t_ok(decide(log, 1, 1000)); /* the most there may be, each with the largest token */
    gtrid_of(log, 1, gtrid);
    for (int again = 0; again < 2; again++) {
        t_ok(hf__log_find(log, gtrid, &rec));
        assert_memory_equal(rec.gtrid, gtrid, HF__GTRID_SIZE);
        assert_int_equal(rec.decision, HF__COMMIT);
        assert_int_equal(rec.outcome, HF_COMMITTED);
        assert_int_equal(rec.count, 1000);
        assert_true(rec.decided_ms > 1700000000000);
        for (uint32_t i = 0; i < 1000; i++) {
            assert_int_equal(rec.branches[i].number, 1 + i);
            assert_int_equal(rec.branches[i].rm_id, 1 + i % 3);
            assert_int_equal(rec.branches[i].state, HF_BRANCH_OWED);
            assert_int_equal(rec.branches[i].code, -7);
            assert_int_equal(rec.branches[i].token_size, HF_TOKEN_SIZE_MAX);
            assert_int_equal(rec.branches[i].token[63], 'a' + i % 26);
        }
        free(rec.branches);
        hf__log_close(log, false);
        log = open_log();
    }
    assert_int_equal(count(log), 1);
    hf__log_close(log, true);
}

static void decision__that_is_not_there_is_not_found(void **state)
{
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];

    (void)state;
    gtrid_of(log, 9, gtrid);
    assert_false(has(log, gtrid));
    assert_int_equal(count(log), 0);
    hf__log_close(log, true);
}

/* -- removals ---------------------------------------------------------------------------------- */

static void removal__rides_with_a_later_batch(void **state)
{
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];

    (void)state;
    t_ok(decide(log, 1, 2));
    gtrid_of(log, 1, gtrid);
    hf__log_release(log, gtrid);
    assert_true(hf__log_releasing(log, gtrid));
    assert_true(has(log, gtrid)); /* nothing was written for it */
    t_ok(decide(log, 2, 2));
    assert_false(hf__log_releasing(log, gtrid));
    assert_false(has(log, gtrid));
    assert_int_equal(count(log), 1);
    gtrid_of(log, 2, gtrid);
    hf__log_release(log, gtrid);
    t_ok(hf__log_flush(log));
    assert_int_equal(count(log), 0);
    t_ok(hf__log_flush(log)); /* of nothing */
    hf__log_close(log, true);
}

static void removal__that_waits_is_done_by_the_close(void **state)
{
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];

    (void)state;
    t_ok(decide(log, 1, 2));
    gtrid_of(log, 1, gtrid);
    hf__log_release(log, gtrid);
    hf__log_close(log, true);
    log = open_log();
    assert_int_equal(count(log), 0);
    hf__log_close(log, true);
}

/* More than the ring holds: the one too many makes room by itself, and none is forgotten. */
static void removals__over_the_ring_are_all_done(void **state)
{
    enum { MANY = 1100 };
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];

    (void)state;
    for (uint64_t i = 1; i <= MANY; i++)
        t_ok(decide(log, i, 1));
    assert_int_equal(count(log), MANY);
    for (uint64_t i = 1; i <= MANY; i++) {
        gtrid_of(log, i, gtrid);
        hf__log_release(log, gtrid);
    }
    assert_true(count(log) < MANY);
    t_ok(hf__log_flush(log));
    assert_int_equal(count(log), 0);
    hf__log_close(log, true);
}

/* Somebody else finished it: what recovery learnt too late does not bring it back. */
static void record__that_was_finished_stays_away(void **state)
{
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];
    struct hf__rec rec = {.branches = NULL};
    int rc;

    (void)state;
    t_ok(decide(log, 1, 2));
    gtrid_of(log, 1, gtrid);
    t_ok(hf__log_find(log, gtrid, &rec));
    hf__log_release(log, gtrid);
    t_ok(hf__log_flush(log));
    rc = hf__log_record(log, &rec, true);
    assert_true(rc == HF_OK || rc == HF_EBUSY);
    assert_false(has(log, gtrid));
    t_ok(hf__log_record(
        log,
        &(struct hf__rec){
            .decision = HF__ROLLBACK, .outcome = HF_HAZARD, .count = 2, .branches = rec.branches},
        false));
    free(rec.branches);
    hf__log_close(log, true);
}

/* The page spares work: a log without one is as good as any other, and says what is wrong. */
static void page__that_cannot_be_used_is_told_and_no_more(void **state)
{
    unsigned char gtrid[HF__GTRID_SIZE];
    struct hf__acks acks = {0};
    struct hf__log *log = open_log();

    (void)state;
    hf__log_close(log, true);
    assert_int_equal(unlink(t_path(node, HF__PAGE_FILE)), 0);
    assert_int_equal(symlink("/dev/null", t_path(node, HF__PAGE_FILE)), 0);
    t_ok(hf__log_open(node, &log));
    assert_non_null(strstr(hf__log_warning(log), "there is no shared page: "));
    t_ok(decide(log, 1, 2));
    gtrid_of(log, 1, gtrid);
    hf__log_release(log, gtrid);
    t_ok(hf__log_released(log, &acks));
    assert_int_equal(acks.count, 0);
    assert_non_null(hf__log_live(log));
    hf__log_close(log, true);
    assert_int_equal(unlink(t_path(node, HF__PAGE_FILE)), 0);
    log = open_log();
    assert_int_equal(count(log), 0);
    t_ok(decide(log, 1, 2));
    gtrid_of(log, 1, gtrid);
    hf__log_release(log, gtrid);
    t_ok(hf__log_released(log, &acks));
    assert_true(acks.count == 1 && hf__acks_have(&acks, gtrid));
    hf__acks_free(&acks);
    hf__log_close(log, true);
}

/* -- L1, L2: a commit that fails --------------------------------------------------------------- */

#ifdef HF_FAULTS
static void failed_commit__is_unknown_and_the_last(void **state)
{
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];

    (void)state;
    fault_at("store:commit-lost", "fail", 1);
    t_rc(HF_EUNKNOWN, decide(log, 1, 2));
    assert_true(hf__log_failed(log));
    t_rc(HF_ELOG, decide(log, 2, 2));
    (void)hf__fault_set(NULL);
    t_rc(HF_ELOG, decide(log, 3, 2));
    gtrid_of(log, 2, gtrid);
    hf__log_release(log, gtrid);
    hf__log_close(log, false);
    log = open_log();
    assert_int_equal(count(log), 1);
    hf__log_close(log, true);
}

/* A full disk refuses a decision before anything is written; what is old can be finished. */
static void full_disk__refuses_decisions_and_finishes_old_ones(void **state)
{
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];
    uint64_t last = 0;
    int rc = HF_OK;

    (void)state;
    fault_at("store:allocate", "fail", 0);
    /* Bound: a record has 76,000 bytes, so that 200 are more than is allocated ahead. */
    while (last < 200 && rc == HF_OK)
        rc = decide(log, ++last, 1000);
    t_rc(HF_EFULL, rc);
    assert_false(hf__log_failed(log));
    assert_int_equal(count(log), last - 1);
    gtrid_of(log, last, gtrid);
    assert_false(has(log, gtrid));
    for (uint64_t i = 1; i < last; i++) {
        gtrid_of(log, i, gtrid);
        hf__log_release(log, gtrid);
    }
    t_ok(hf__log_flush(log));
    assert_int_equal(count(log), 0);
    (void)hf__fault_set(NULL);
    t_ok(decide(log, last, 2));
    hf__log_close(log, true);
}
#endif

/* -- older logs -------------------------------------------------------------------------------- */

static int put_old(struct hf__store_txn *t, void *arg)
{
    const struct hf__node n = {.highest = 3, .next_rm_id = 2}; /* it could not tell where it was */
    struct hf__rec_branch branch = {.rm_id = 1, .number = 1, .state = HF_BRANCH_OWED};
    struct hf__rec rec = {
        .decision = HF__COMMIT, .outcome = HF_COMMITTED, .count = 1, .branches = &branch};
    unsigned char key[HF__KEY_SIZE_MAX], buf[HF__NODE_BYTES];
    int rc;

    hf__node_encode(&n, buf);
    rc = hf__store_put(t, "N", 1, 'N', buf, sizeof(buf));
    memcpy(rec.gtrid, arg, HF__GTRID_SIZE);
    hf__rec_encode(&rec, buf);
    return rc == HF_OK ? hf__store_put(t, key, hf__key_gtrid(key, 'T', rec.gtrid), 'T', buf,
                                       hf__rec_size(&rec))
                       : rc;
}

static void log__of_an_older_format_opens(void **state)
{
    struct hf__store_config c = {.dir = node,
                                 .file = HF__LOG_FILE,
                                 .lock_file = HF__LOCK_FILE,
                                 .application = HF__LOG_APPLICATION,
                                 .format = HF__LOG_FORMAT - 1,
                                 .flags = HF__STORE_CREATE};
    unsigned char gtrid[HF__GTRID_SIZE];
    struct hf__store *store = NULL;

    (void)state;
    t_ok(hf__store_open(&c, &store));
    hf__gtrid_make(gtrid, hf__store_identity(store), 3, 1);
    t_ok(hf__store_apply(store, put_old, gtrid));
    hf__store_opened(store);
    hf__store_close(store);
    for (uint32_t again = 1; again <= 2; again++) {
        struct hf__log *log = open_log();

        assert_int_equal(hf__log_incarnation(log), 3 + again);
        assert_int_equal(count(log), 1);
        assert_true(has(log, gtrid));
        hf__log_close(log, true);
    }
}

/* -- L3, L4: incarnations ---------------------------------------------------------------------- */

static void incarnation__is_one_higher_each_time(void **state)
{
    unsigned char first[HF__NODE_ID_SIZE];

    (void)state;
    for (uint32_t i = 1; i <= 5; i++) {
        struct hf__log *log = open_log();

        assert_int_equal(hf__log_incarnation(log), i);
        if (i == 1)
            memcpy(first, hf__log_node(log), sizeof(first));
        assert_memory_equal(first, hf__log_node(log), sizeof(first));
        hf__log_close(log, i % 2 == 0);
    }
}

static void open_and_die(void *arg)
{
    struct hf__log *log = NULL;

    must_ok(hf__log_open(node, &log));
    *(uint32_t *)fake_shared() = hf__log_incarnation(log);
    must(arg == NULL);
    _exit(7); /* without a close */
}

static void incarnation__of_the_dead_is_fenced_once(void **state)
{
    struct hf__fences f = {.highest = 0}, g = {.highest = 0};
    struct hf__log *log;

    (void)state;
    assert_int_equal(fake_child(open_and_die, NULL), 7 << 8);
    assert_int_equal(*(uint32_t *)fake_shared(), 1);
    log = open_log();
    assert_int_equal(hf__log_incarnation(log), 2);
    t_ok(hf__log_fence_dead(log, &f));
    assert_int_equal(f.highest, 2);
    assert_int_equal(f.open_count, 1);
    assert_int_equal(f.open[0], 2);
    assert_true(hf__fenced(&f, 1));
    assert_false(hf__fenced(&f, 2));
    assert_false(hf__fenced(&f, 3)); /* never given out: nothing is known of it */
    t_ok(hf__log_fence_dead(log, &g));
    assert_int_equal(g.open_count, 1);
    free(f.open);
    free(g.open);
    hf__log_close(log, true);
}

static void live_and_decide(void *arg)
{
    struct hf__log *log = NULL;

    must_ok(hf__log_open(node, &log));
    must_ok(decide(log, 1, 2));
    fake_child_pause();
    must(decide(log, 2, 2) == HF_OK);
    must(arg == NULL);
    hf__log_close(log, true);
}

static void incarnation__of_the_living_is_not_fenced(void **state)
{
    pid_t child = fake_child_start(live_and_decide, NULL);
    struct hf__fences f = {.highest = 0};
    struct hf__log *log = open_log();

    (void)state;
    t_ok(hf__log_fence_dead(log, &f));
    assert_int_equal(f.open_count, 2);
    assert_false(hf__fenced(&f, 1));
    free(f.open);
    assert_int_equal(fake_child_end(child), 0);
    assert_int_equal(count(log), 2);
    f = (struct hf__fences){.highest = 0};
    t_ok(hf__log_fences(log, &f));
    assert_true(hf__fenced(&f, 1)); /* it has closed: over, too */
    free(f.open);
    hf__log_close(log, true);
}

/* Somebody in its process opens and closes the lock file: that drops the lock of a living one. */
static void lose_the_lock(void *arg)
{
    struct hf__log *log = NULL;
    int fd;

    must_ok(hf__log_open(node, &log));
    must_ok(decide(log, 1, 2));
    fd = open(t_path(node, HF__LOCK_FILE), O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && close(fd) == 0);
    fake_child_pause(); /* it is taken for dead, and fenced */
    must(decide(log, 2, 2) == HF_EFENCED);
    must(hf__log_failed(log));
    must(decide(log, 3, 2) != HF_OK);
    must(arg == NULL);
    hf__log_close(log, false);
}

static void fenced__appends_nothing(void **state)
{
    pid_t child = fake_child_start(lose_the_lock, NULL);
    struct hf__fences f = {.highest = 0};
    struct hf__log *log = open_log();

    (void)state;
    t_ok(hf__log_fence_dead(log, &f));
    assert_true(hf__fenced(&f, 1));
    free(f.open);
    assert_int_equal(count(log), 1);
    assert_int_equal(fake_child_end(child), 0);
    assert_int_equal(count(log), 1);
    hf__log_close(log, true);
}

static int count_incarnation(void *user, const hf_inspect_incarnation *i)
{
    assert_true(i->number > 0);
    *(unsigned *)user += 1;
    return 0;
}

/* Old ones that are over are dropped: the log stays small however often it is opened. */
static void incarnations__are_pruned(void **state)
{
    enum { OPENINGS = 100 };
    hf_inspect_node n = {.size = sizeof(n)};
    unsigned kept = 0;
    hf_inspect *in = NULL;

    (void)state;
    for (unsigned i = 0; i < OPENINGS; i++)
        hf__log_close(open_log(), true);
    t_ok(hf_inspect_open(node, &in));
    t_ok(hf_inspect_incarnations(in, count_incarnation, &kept));
    t_ok(hf_inspect_get_node(in, &n));
    t_ok(hf_inspect_verify(in));
    hf_inspect_close(in);
    assert_int_equal(n.highest, OPENINGS);
    assert_int_equal(n.alive, 0);
    assert_in_range(kept, 1, 70);
}

static void back_in_time__is_remembered(void **state)
{
    struct hf__fences f = {.highest = 0};
    struct hf__log *log = open_log();

    (void)state;
    t_ok(hf__log_fences(log, &f));
    assert_int_equal(f.flags & HF__NODE_BACK_IN_TIME, 0);
    free(f.open);
    t_ok(hf__log_set_back_in_time(log));
    t_ok(hf__log_set_back_in_time(log));
    hf__log_close(log, true);
    log = open_log();
    f = (struct hf__fences){.highest = 0};
    t_ok(hf__log_fences(log, &f));
    assert_int_equal(f.flags & HF__NODE_BACK_IN_TIME, HF__NODE_BACK_IN_TIME);
    free(f.open);
    hf__log_close(log, true);
}

/* -- L5: resource manager ids ------------------------------------------------------------------ */

static uint32_t bind_to(struct hf__log *log, const char *name, int identity)
{
    unsigned char bytes[HF_IDENTITY_SIZE];
    uint32_t id = 0;

    memset(bytes, identity, sizeof(bytes));
    t_ok(hf__log_bind(log, name, identity != 0 ? bytes : NULL, &id));
    assert_true(id > 0);
    return id;
}

static void id__belongs_to_a_name_and_an_identity_for_ever(void **state)
{
    struct hf__log *log = open_log();
    uint32_t a1 = bind_to(log, "a", 1), a2 = bind_to(log, "a", 2), a0 = bind_to(log, "a", 0);
    uint32_t b1 = bind_to(log, "b", 1);

    (void)state;
    assert_true(a1 != a2 && a1 != a0 && a2 != a0);
    assert_true(b1 != a1 && b1 != a2 && b1 != a0);
    assert_int_equal(bind_to(log, "a", 1), a1);
    hf__log_close(log, true);
    log = open_log();
    assert_int_equal(bind_to(log, "b", 1), b1);
    assert_int_equal(bind_to(log, "a", 2), a2);
    assert_int_equal(bind_to(log, "a", 0), a0);
    assert_int_equal(bind_to(log, "a", 1), a1);
    assert_true(bind_to(log, "c", 1) > b1);
    hf__log_close(log, true);
}

static void bind_one(void *arg)
{
    struct hf__log *log = NULL;
    uint32_t id = 0;

    must_ok(hf__log_open(node, &log));
    must_ok(hf__log_bind(log, "childs", NULL, &id));
    *(uint32_t *)fake_shared() = id;
    must(arg == NULL);
    fake_child_pause();
    hf__log_close(log, true);
}

static void id__is_one_for_all_processes(void **state)
{
    pid_t child = fake_child_start(bind_one, NULL);
    struct hf__log *log = open_log();

    (void)state;
    assert_int_not_equal(bind_to(log, "parents", 0), *(uint32_t *)fake_shared());
    assert_int_equal(bind_to(log, "childs", 0), *(uint32_t *)fake_shared());
    assert_int_equal(fake_child_end(child), 0);
    hf__log_close(log, true);
}

/* -- the history ------------------------------------------------------------------------------- */

static void remember(struct hf__log *log, uint64_t sequence, hf_outcome outcome)
{
    struct hf__rec rec = {.decision = HF__COMMIT, .outcome = (uint8_t)outcome};

    gtrid_of(log, sequence, rec.gtrid);
    hf__history_remember(hf__log_history(log), &(struct hf__finished){.rec = &rec}, 1);
}

static void history__keeps_the_first_entry(void **state)
{
    struct hf__log *log = open_log();
    unsigned char gtrid[HF__GTRID_SIZE];
    hf_outcome outcome = HF_UNKNOWN;

    (void)state;
    gtrid_of(log, 1, gtrid);
    t_rc(HF_ENOTFOUND, hf__history_recall(hf__log_history(log), gtrid, &outcome));
    remember(log, 1, HF_COMMITTED);
    remember(log, 1, HF_ROLLEDBACK);
    t_ok(hf__history_recall(hf__log_history(log), gtrid, &outcome));
    assert_int_equal(outcome, HF_COMMITTED);
    hf__log_close(log, true);
    log = open_log();
    t_ok(hf__history_recall(hf__log_history(log), gtrid, &outcome));
    assert_int_equal(outcome, HF_COMMITTED);
    hf__log_close(log, true);
}

enum { HISTORY_FULL = 10000 };

/* What a long life leaves behind: as many entries as there may be, in one batch. */
static int fill_history(struct hf__store_txn *t, void *arg)
{
    struct hf__rec rec = {.decision = HF__COMMIT, .outcome = HF_COMMITTED};
    unsigned char buf[HF__FINISHED_BYTES + HF__REC_BYTES] = {0};
    unsigned char key[HF__KEY_SIZE_MAX], number[8];
    int rc = HF_OK;

    for (uint64_t i = 1; i <= HISTORY_FULL && rc == HF_OK; i++) {
        hf__gtrid_make(rec.gtrid, arg, 1, i);
        memcpy(buf, rec.gtrid, HF__GTRID_SIZE);
        hf__rec_encode(&rec, buf + HF__FINISHED_BYTES);
        hf__put64(number, i);
        rc = hf__store_put(t, key, hf__key64(key, 'H', i), 'H', buf, sizeof(buf));
        if (rc == HF_OK)
            rc = hf__store_put(t, key, hf__key_gtrid(key, 'G', rec.gtrid), 'G', number, 8);
    }
    return rc == HF_OK ? hf__store_put(t, "L", 1, 'L', number, 8) : rc;
}

static void history__is_bounded(void **state)
{
    struct hf__store_config c = {
        .dir = node,
        .file = HF__HISTORY_FILE,
        .companions = HF__LOG_FILE " " HF__LOG_FILE "-lock " HF__LOCK_FILE,
        .application = HF__HISTORY_APPLICATION,
        .format = HF__HISTORY_FORMAT,
    };
    unsigned char id[HF__NODE_ID_SIZE], gtrid[HF__GTRID_SIZE];
    struct hf__store *history = NULL;
    struct hf__store_info info;
    struct hf__log *log = open_log();
    hf_outcome outcome;

    (void)state;
    memcpy(id, hf__log_node(log), sizeof(id));
    hf__log_close(log, true);
    t_ok(hf__store_open(&c, &history));
    t_ok(hf__store_apply(history, fill_history, id));
    hf__store_close(history);

    log = open_log();
    for (uint64_t i = 1; i <= 5; i++)
        remember(log, 20000 + i, HF_ROLLEDBACK);
    hf__gtrid_make(gtrid, id, 1, 5);
    t_rc(HF_ENOTFOUND,
         hf__history_recall(hf__log_history(log), gtrid, &outcome)); /* the oldest made room */
    hf__gtrid_make(gtrid, id, 1, 6);
    t_ok(hf__history_recall(hf__log_history(log), gtrid, &outcome));
    gtrid_of(log, 20005, gtrid);
    t_ok(hf__history_recall(hf__log_history(log), gtrid, &outcome));
    assert_int_equal(outcome, HF_ROLLEDBACK);
    hf__log_close(log, true);
    t_ok(hf__store_open(&c, &history));
    t_ok(hf__store_info(history, &info));
    t_ok(hf__store_verify(history));
    hf__store_close(history);
    assert_in_range(info.records, 2 * HISTORY_FULL - 2, 2 * HISTORY_FULL + 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(decision__is_read_back_as_it_was),
        T(decision__that_is_not_there_is_not_found),
        T(removal__rides_with_a_later_batch),
        T(removal__that_waits_is_done_by_the_close),
        T(removals__over_the_ring_are_all_done),
        T(page__that_cannot_be_used_is_told_and_no_more),
        T(record__that_was_finished_stays_away),
#ifdef HF_FAULTS
        T(failed_commit__is_unknown_and_the_last),
        T(full_disk__refuses_decisions_and_finishes_old_ones),
#endif
        T(log__of_an_older_format_opens),
        T(incarnation__is_one_higher_each_time),
        T(incarnation__of_the_dead_is_fenced_once),
        T(incarnation__of_the_living_is_not_fenced),
        T(fenced__appends_nothing),
        T(incarnations__are_pruned),
        T(back_in_time__is_remembered),
        T(id__belongs_to_a_name_and_an_identity_for_ever),
        T(id__is_one_for_all_processes),
        T(history__keeps_the_first_entry),
        T(history__is_bounded),
    };

    t_plant(argc, argv);
    return cmocka_run_group_tests_name("tm.log", tests, NULL, NULL);
}
