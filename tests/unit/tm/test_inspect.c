/*
 * What: reading a node from outside (tm/inspect.c N1 to N4), and the one thing that is written.
 * How:  the log's own code makes a node in a directory of the test's, then closes it, or dies, or
 *       lives on in a child process; what the calls of inspect.h say is compared with what was
 *       made.
 */
#include "support/t.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "holdfast/internal/fault.h"
#include "make_node.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

struct world {
    char *root;
    char dir[PATH_MAX]; /* the node, in root */
    struct maker m;     /* open until close_node() */
    hf_inspect *in;
    pid_t child;
    int hold; /* the child ends when this is closed */
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->root = t_dir_make();
    assert_true(snprintf(w->dir, sizeof(w->dir), "%s/node", w->root) < PATH_MAX);
    *state = w;
    return 0;
}

static void end_child(struct world *w)
{
    int status;

    if (w->child == 0)
        return;
    assert_int_equal(close(w->hold), 0);
    assert_int_equal(waitpid(w->child, &status, 0), w->child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    w->child = 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    end_child(w);
    hf_inspect_close(w->in);
    hf__log_close(w->m.log, false);
    t_dir_remove(w->root);
    free(w);
    return 0;
}

static void close_node(struct world *w, bool clean)
{
    hf__log_close(w->m.log, clean);
    w->m.log = NULL;
}

/* Another process opens the node, makes an owed transaction, and lives until end_child(). */
static void start_child(struct world *w)
{
    int hold[2], ready[2];
    char c = 0;

    assert_int_equal(pipe(hold), 0);
    assert_int_equal(pipe(ready), 0);
    w->child = fork();
    assert_true(w->child >= 0);
    if (w->child == 0) {
        struct hf__rec rec;
        int rc;

        (void)close(hold[1]);
        rc = make_open(&w->m, w->dir);
        if (rc == HF_OK)
            rc = make_owed(&w->m, &rec);
        if (write(ready[1], &c, 1) == 1 && rc == HF_OK)
            rc = (int)read(hold[0], &c, 1); /* 0: its end was closed */
        _exit(rc);
    }
    w->hold = hold[1];
    assert_int_equal(close(hold[0]), 0);
    assert_int_equal(close(ready[1]), 0);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(close(ready[0]), 0);
}

/* -- opening ----------------------------------------------------------------------------- */

static void inspect__tells_what_is_wrong_with_a_directory(void **state)
{
    struct world *w = *state;
    const char *link = t_path(w->root, "link"), *other = t_path(w->root, "other");
    hf_inspect *in = (hf_inspect *)w;
    int fd;

    t_rc(HF_EINVAL, hf_inspect_open(NULL, &in));
    t_rc(HF_EINVAL, hf_inspect_open("", &in));
    t_rc(HF_EINVAL, hf_inspect_open(w->dir, NULL));
    t_rc(HF_ENOTFOUND, hf_inspect_open(w->dir, &in));
    assert_int_equal(mkdir(other, 0700), 0);
    t_rc(HF_ENOTNODE, hf_inspect_open(other, &in));
    fd = open(t_path(other, "file"), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    t_rc(HF_ENOTNODE, hf_inspect_open(t_path(other, "file"), &in));
    assert_int_equal(access(t_path(other, HF__LOG_FILE), F_OK), -1); /* and it made nothing */

    t_ok(make_open(&w->m, w->dir));
    t_rc(HF_EOPEN, hf_inspect_open(w->dir, &in));
    close_node(w, true);
    assert_int_equal(symlink(w->dir, link), 0);
    t_rc(HF_EOWNER, hf_inspect_open(link, &in));
    assert_int_equal(chmod(w->dir, 0755), 0);
    t_rc(HF_EOWNER, hf_inspect_open(w->dir, &in));
    assert_ptr_equal(in, w); /* untouched by all of them */
    assert_int_equal(chmod(w->dir, 0700), 0);
    t_ok(hf_inspect_open(w->dir, &w->in));
}

static void inspect__reads_the_node(void **state)
{
    struct world *w = *state;
    hf_inspect_node node = {.size = sizeof(node) - 1};
    struct hf__rec rec;
    char want[33];

    t_ok(make_open(&w->m, w->dir));
    t_ok(make_owed(&w->m, &rec));
    t_ok(hf__log_set_back_in_time(w->m.log));
    for (int i = 0; i < 16; i++)
        (void)sprintf(want + 2 * i, "%02x", hf__log_node(w->m.log)[i]);
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_rc(HF_EINVAL, hf_inspect_get_node(w->in, &node));
    t_rc(HF_EINVAL, hf_inspect_get_node(NULL, &node));
    node.size = sizeof(node);
    t_ok(hf_inspect_get_node(w->in, &node));
    assert_string_equal(node.identity, want);
    assert_int_equal(node.format, HF__LOG_FORMAT);
    assert_int_equal(node.highest, 1);
    assert_int_equal(node.alive, 0);
    assert_int_equal(node.back_in_time, 1);
    assert_int_equal(node.records, 5); /* node, incarnation, two bindings, transaction */
    assert_true(node.sequence >= node.records);
    assert_true(node.created_ms <= hf__now_ms() && node.created_ms + 60000 > hf__now_ms());
    assert_true(node.file_bytes > 0 && node.file_bytes <= node.map_bytes);
    assert_string_equal(node.lmdb, hf_inspect_lmdb_version());
}

/* -- what is in it ----------------------------------------------------------------------- */

struct seen {
    unsigned count;
    hf_inspect_incarnation incarnations[4];
    hf_inspect_rm rms[4];
    hf_inspect_tx txs[8];
    hf_inspect_branch branches[8][MAKE_BRANCHES];
    hf_inspect_request requests[128];
};

static int see_incarnation(void *user, const hf_inspect_incarnation *i)
{
    struct seen *s = user;

    assert_int_equal(i->size, sizeof(*i));
    assert_true(s->count < 4);
    s->incarnations[s->count++] = *i;
    return 0;
}

static int see_rm(void *user, const hf_inspect_rm *rm)
{
    struct seen *s = user;

    assert_int_equal(rm->size, sizeof(*rm));
    assert_true(s->count < 4);
    s->rms[s->count++] = *rm;
    return 0;
}

static int see_tx(void *user, const hf_inspect_tx *tx)
{
    struct seen *s = user;

    assert_int_equal(tx->size, sizeof(*tx));
    assert_true(s->count < 8 && tx->branch_count <= MAKE_BRANCHES);
    memcpy(s->branches[s->count], tx->branches, tx->branch_count * sizeof(*tx->branches));
    s->txs[s->count++] = *tx;
    return 0;
}

static int see_request(void *user, const hf_inspect_request *q)
{
    struct seen *s = user;

    assert_int_equal(q->size, sizeof(*q));
    assert_true(s->count < 128);
    s->requests[s->count++] = *q;
    return 0;
}

static void inspect__tells_the_living_from_the_dead(void **state)
{
    struct world *w = *state;
    hf_inspect_node node = {.size = sizeof(node)};
    struct seen s = {0};

    t_ok(make_open(&w->m, w->dir));
    close_node(w, true);
    t_ok(make_open(&w->m, w->dir));
    close_node(w, false);
    start_child(w);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_get_node(w->in, &node));
    assert_int_equal(node.highest, 3);
    assert_int_equal(node.alive, 1);
    t_ok(hf_inspect_incarnations(w->in, see_incarnation, &s));
    assert_int_equal(s.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t states[] = {HF_INC_CLOSED, HF_INC_OPEN, HF_INC_OPEN};

        assert_int_equal(s.incarnations[i].number, i + 1);
        assert_int_equal(s.incarnations[i].state, states[i]);
        assert_int_equal(s.incarnations[i].alive, i == 2);
        assert_int_equal(s.incarnations[i].pid, i == 2 ? w->child : getpid());
        assert_true(s.incarnations[i].claimed_ms >= node.created_ms);
    }
    end_child(w);
    s.count = 0;
    t_ok(hf_inspect_incarnations(w->in, see_incarnation, &s));
    assert_int_equal(s.incarnations[2].alive, 0);
}

static void inspect__shows_transactions_with_their_branches(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct hf__rec rec[2];
    XID xid;

    t_ok(make_open(&w->m, w->dir));
    t_ok(make_tx(&w->m, HF_MIXED, HF_BRANCH_HEUR_ROLLBACK, XA_HEURRB, HF_BRANCH_DONE, &rec[0]));
    t_ok(make_tx(&w->m, HF_COMMITTED, HF_BRANCH_UNCONFIRMED, XAER_NOTA, HF_BRANCH_OWED, &rec[1]));
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_transactions(w->in, see_tx, &s));
    assert_int_equal(s.count, 2);
    for (int i = 0; i < 2; i++) {
        hf__xid_make(&xid, rec[i].gtrid, 0, 0);
        assert_memory_equal(&s.txs[i].xid, &xid, sizeof(xid));
        assert_int_equal(s.txs[i].outcome, i == 0 ? HF_MIXED : HF_COMMITTED);
        assert_int_equal(s.txs[i].by_recovery, 0);
        assert_true(s.txs[i].decided_ms == rec[i].decided_ms);
        assert_int_equal(s.txs[i].written_by, 1);
        assert_int_equal(s.txs[i].branch_count, 2);
        assert_string_equal(s.branches[i][0].rm_name, "kv-a");
        assert_string_equal(s.branches[i][1].rm_name, "kv-b");
        assert_int_equal(s.branches[i][1].rm_id, w->m.rm_id[1]);
        assert_int_equal(s.branches[i][1].number, 2);
    }
    assert_int_equal(s.branches[0][0].state, HF_BRANCH_HEUR_ROLLBACK);
    assert_int_equal(s.branches[0][0].code, XA_HEURRB);
    assert_int_equal(s.branches[1][0].state, HF_BRANCH_UNCONFIRMED);
    assert_int_equal(s.branches[1][0].code, XAER_NOTA);
    assert_int_equal(s.branches[1][1].state, HF_BRANCH_OWED);
}

static void inspect__counts_what_is_owed_to_each_resource_manager(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct hf__rec rec[4];

    t_ok(make_open(&w->m, w->dir));
    t_ok(make_tx(&w->m, HF_COMMITTED, HF_BRANCH_DONE, 0, HF_BRANCH_DONE, &rec[0]));
    assert_int_equal(usleep(2000), 0); /* so that the oldest is not the oldest owed */
    t_ok(make_tx(&w->m, HF_COMMITTED, HF_BRANCH_OWED, 0, HF_BRANCH_HEUR_MIXED, &rec[1]));
    assert_int_equal(usleep(2000), 0);
    t_ok(make_tx(&w->m, HF_COMMITTED, HF_BRANCH_UNCONFIRMED, 0, HF_BRANCH_DONE, &rec[2]));
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_rms(w->in, see_rm, &s));
    assert_int_equal(s.count, 2);
    assert_string_equal(s.rms[0].name, "kv-a");
    assert_int_equal(s.rms[0].id, w->m.rm_id[0]);
    assert_int_equal(s.rms[0].has_identity, 1);
    assert_memory_equal(s.rms[0].identity, "the identity of a store, in full", 32);
    assert_int_equal(s.rms[0].owed, 2);
    assert_true(s.rms[0].since_ms == rec[1].decided_ms);
    assert_string_equal(s.rms[1].name, "kv-b");
    assert_int_equal(s.rms[1].has_identity, 0);
    assert_int_equal(s.rms[1].owed, 0);
    assert_true(s.rms[1].since_ms == 0);
}

static void inspect__shows_the_history_oldest_first(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct hf__rec rec[3];

    t_ok(make_open(&w->m, w->dir));
    for (int i = 0; i < 3; i++) {
        t_ok(make_owed(&w->m, &rec[i]));
        rec[i].by_recovery = i == 1;
        rec[i].gtrid[HF__GTRID_SIZE - 1] = (unsigned char)(9 - i); /* another order than that */
        hf__history_remember(hf__log_history(w->m.log), &(struct hf__finished){.rec = &rec[i]}, 1);
    }
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_history(w->in, see_tx, &s));
    assert_int_equal(s.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(s.txs[i].xid.data, rec[i].gtrid, HF__GTRID_SIZE);
        assert_int_equal(s.txs[i].by_recovery, i == 1);
    }
}

static int stop_at_two(void *user, const hf_inspect_tx *tx)
{
    (void)tx;
    return ++*(int *)user == 2 ? 77 : 0;
}

/* Lock byte 0 for a while, and see whether the history stays open meanwhile. */
static int lock_and_look(const char *dir, int ready)
{
    const struct timespec time = {.tv_nsec = 200000000};
    struct flock first = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int lock = open(t_path(dir, HF__LOCK_FILE), O_RDWR | O_CLOEXEC);
    int lmdb = open(t_path(dir, HF__HISTORY_FILE "-lock"), O_RDWR | O_CLOEXEC);
    char c = 0;

    if (lock < 0 || lmdb < 0 || fcntl(lock, F_SETLK, &first) != 0 || write(ready, &c, 1) != 1)
        return 1;
    (void)nanosleep(&time, NULL); /* that nothing happens in it is right, however long it is */
    return fcntl(lmdb, F_GETLK, &first) == 0 && first.l_pid == getppid() ? 0 : 2;
}

/* LMDB's files are closed by one process at a time, as they are opened: else the last to close may
   take away the mutexes of the next to open. */
static void inspect__closes_alone(void **state)
{
    struct world *w = *state;
    int ready[2], status;
    pid_t child;
    char c;

    t_ok(make_open(&w->m, w->dir));
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(lock_and_look(w->dir, ready[1]));
    assert_int_equal(close(ready[1]), 0);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(close(ready[0]), 0);
    hf_inspect_close(w->in);
    w->in = NULL;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void inspect__walk_ends_where_its_callback_says(void **state)
{
    struct world *w = *state;
    struct hf__rec rec;
    int calls = 0;

    t_ok(make_open(&w->m, w->dir));
    for (int i = 0; i < 3; i++)
        t_ok(make_owed(&w->m, &rec));
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    assert_int_equal(hf_inspect_transactions(w->in, stop_at_two, &calls), 77);
    assert_int_equal(calls, 2);
    t_rc(HF_EINVAL, hf_inspect_transactions(w->in, NULL, NULL));
}

static int ask_again(void *user, const hf_inspect_tx *tx)
{
    uint64_t number;

    (void)tx;
    return hf_inspect_ask(user, HF_REQUEST_RECOVER, "from a callback", &number);
}

/* Asking closes the store: with a snapshot still open that would pull the map from under it (N1).
 */
static void inspect__holds_no_snapshot_while_a_callback_runs(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct hf__rec rec;

    t_ok(make_open(&w->m, w->dir));
    for (int i = 0; i < 3; i++)
        t_ok(make_owed(&w->m, &rec));
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_transactions(w->in, ask_again, w->in));
    t_ok(hf_inspect_requests(w->in, see_request, &s));
    assert_int_equal(s.count, 3);
}

/* -- requests ---------------------------------------------------------------------------- */

static void ask__leaves_a_request_with_uid_time_and_reason(void **state)
{
    struct world *w = *state;
    uint64_t number = 0, before = hf__now_ms();
    struct seen s = {0};
    char reason[200];

    memset(reason, 'x', sizeof(reason));
    reason[sizeof(reason) - 1] = '\0';
    start_child(w);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_rc(HF_EINVAL, hf_inspect_ask(w->in, 0, "no verb", &number));
    t_rc(HF_EINVAL, hf_inspect_ask(w->in, 2, "no verb of ours", &number));
    t_rc(HF_EINVAL, hf_inspect_ask(w->in, HF_REQUEST_RECOVER, "nowhere to return it", NULL));
    t_ok(hf_inspect_ask(w->in, HF_REQUEST_RECOVER, reason, &number));
    assert_int_equal(number, 1);
    t_ok(hf_inspect_ask(w->in, HF_REQUEST_RECOVER, NULL, &number));
    assert_int_equal(number, 2);
    t_ok(hf_inspect_requests(w->in, see_request, &s));
    assert_int_equal(s.count, 2);
    assert_int_equal(s.requests[0].number, 1);
    assert_int_equal(s.requests[0].verb, HF_REQUEST_RECOVER);
    assert_int_equal(s.requests[0].state, 0);
    assert_int_equal(s.requests[0].uid, getuid());
    assert_true(s.requests[0].asked_ms >= before && s.requests[0].asked_ms <= hf__now_ms());
    assert_int_equal(strlen(s.requests[0].reason), 127);
    assert_string_equal(s.requests[1].reason, "");
}

static void ask__keeps_the_newest_hundred(void **state)
{
    struct world *w = *state;
    uint64_t number = 0;
    struct seen s = {0};

    t_ok(make_open(&w->m, w->dir));
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    for (unsigned i = 1; i <= 103; i++) {
        t_ok(hf_inspect_ask(w->in, HF_REQUEST_RECOVER, "", &number));
        assert_int_equal(number, i);
    }
    t_ok(hf_inspect_requests(w->in, see_request, &s));
    assert_int_equal(s.count, 100);
    assert_int_equal(s.requests[0].number, 4);
    assert_int_equal(s.requests[99].number, 103);
    t_ok(hf_inspect_verify(w->in));
}

#ifdef HF_FAULTS
static void *ask(void *in)
{
    uint64_t number;

    return hf_inspect_ask(in, HF_REQUEST_RECOVER, "", &number) == HF_OK ? in : NULL;
}

/* Ask, and stay in front of the commit until `hold` ends. */
static int ask_slowly(const char *dir, int ready, int hold)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    pthread_t thread;
    hf_inspect *in = NULL;
    void *asked = NULL;
    unsigned long before = hf__fault_hits("store:before-commit");
    char c = 0;

    if (hf_inspect_open(dir, &in) != HF_OK || hf__fault_set("store:before-commit=barrier:2") != 0 ||
        pthread_create(&thread, NULL, ask, in) != 0)
        return 1;
    while (hf__fault_hits("store:before-commit") == before)
        (void)nanosleep(&pause, NULL);
    if (write(ready, &c, 1) != 1 || read(hold, &c, 1) != 0 || hf__fault_set(NULL) != 0)
        return 2;
    (void)pthread_join(thread, &asked);
    hf_inspect_close(in);
    return asked != NULL ? 0 : 3;
}

/* Who opens the node meanwhile would look at pages that are being written. */
static void ask__keeps_others_from_opening_the_node_while_it_writes(void **state)
{
    struct world *w = *state;
    struct flock first = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int hold[2], ready[2], fd;
    char c;

    t_ok(make_open(&w->m, w->dir));
    close_node(w, true);
    assert_int_equal(pipe(hold), 0);
    assert_int_equal(pipe(ready), 0);
    w->child = fork();
    assert_true(w->child >= 0);
    if (w->child == 0) {
        (void)close(hold[1]);
        _exit(ask_slowly(w->dir, ready[1], hold[0]));
    }
    w->hold = hold[1];
    assert_int_equal(close(hold[0]), 0);
    assert_int_equal(close(ready[1]), 0);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(close(ready[0]), 0);
    fd = open(t_path(w->dir, HF__LOCK_FILE), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETLK, &first), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(first.l_type, F_WRLCK);
    assert_int_equal(first.l_pid, w->child);
    end_child(w);
}
#endif

/* -- verify ------------------------------------------------------------------------------ */

static void verify__is_content_with_a_living_node(void **state)
{
    struct world *w = *state;

    start_child(w);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_verify(w->in));
}

struct planted {
    const void *key;
    size_t key_size;
    const void *payload;
    size_t size;
    uint8_t kind;
};

static int plant(struct hf__store_txn *t, void *arg)
{
    const struct planted *p = arg;

    return hf__store_put(t, p->key, p->key_size, p->kind, p->payload, p->size);
}

/* Put a well-sealed record that no version of ours writes, beside the good ones. */
static void plant_in(const struct world *w, const char *file, uint32_t application,
                     struct planted planted)
{
    struct hf__store_config config = {.dir = w->dir,
                                      .file = file,
                                      .lock_file = HF__LOCK_FILE,
                                      .application = application,
                                      .format = HF__LOG_FORMAT};
    struct hf__store *store;

    if (application == HF__HISTORY_APPLICATION)
        config.lock_file = NULL;
    t_ok(hf__store_open(&config, &store));
    hf__store_opened(store);
    t_ok(hf__store_apply(store, plant, &planted));
    hf__store_close(store);
}

static void verify_finds(struct world *w, const char *file, struct planted planted)
{
    uint32_t application =
        strcmp(file, HF__LOG_FILE) == 0 ? HF__LOG_APPLICATION : HF__HISTORY_APPLICATION;
    struct hf__rec rec;

    t_ok(make_open(&w->m, w->dir));
    t_ok(make_owed(&w->m, &rec));
    hf__history_remember(hf__log_history(w->m.log), &(struct hf__finished){.rec = &rec}, 1);
    close_node(w, true);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_verify(w->in));
    hf_inspect_close(w->in);
    w->in = NULL;
    plant_in(w, file, application, planted);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_rc(HF_EDAMAGED, hf_inspect_verify(w->in));
    assert_int_equal(hf_error_last()->code, HF_EDAMAGED);
}

static void verify__finds_a_record_of_unknown_kind(void **state)
{
    verify_finds(*state, HF__LOG_FILE, (struct planted){"Z", 1, "?", 1, 'Z'});
}

static void verify__finds_a_record_under_another_kinds_key(void **state)
{
    verify_finds(*state, HF__LOG_FILE, (struct planted){"R\0\0\0\1", 5, "?", 1, 'I'});
}

static void verify__finds_an_incarnation_above_the_highest(void **state)
{
    unsigned char buf[HF__INCARNATION_BYTES];

    hf__incarnation_encode(&(struct hf__incarnation){.state = HF_INC_OPEN}, buf);
    verify_finds(*state, HF__LOG_FILE, (struct planted){"I\0\0\0\2", 5, buf, sizeof(buf), 'I'});
}

static void verify__finds_a_binding_that_was_not_given_out(void **state)
{
    unsigned char buf[HF__BINDING_BYTES];

    hf__binding_encode(&(struct hf__binding){.name = "kv"}, buf);
    verify_finds(*state, HF__LOG_FILE, (struct planted){"R\0\0\0\3", 5, buf, sizeof(buf), 'R'});
}

static void verify__finds_a_branch_of_nobodys(void **state)
{
    struct hf__rec_branch branch = {.rm_id = 3, .number = 1, .state = HF_BRANCH_OWED};
    struct hf__rec rec = {.decision = HF__COMMIT, .written_by = 1, .count = 1, .branches = &branch};
    unsigned char key[HF__KEY_SIZE_MAX], buf[HF__REC_BYTES + HF__REC_BRANCH_BYTES];

    hf__rec_encode(&rec, buf);
    (void)hf__key_gtrid(key, 'T', rec.gtrid);
    verify_finds(*state, HF__LOG_FILE, (struct planted){key, sizeof(key), buf, sizeof(buf), 'T'});
}

static void verify__finds_a_history_entry_that_is_cut(void **state)
{
    verify_finds(*state, HF__HISTORY_FILE,
                 (struct planted){"H\0\0\0\0\0\0\0\7", 9, "short", 5, 'H'});
}

static void verify__needs_no_history(void **state)
{
    struct world *w = *state;
    struct seen s = {0};

    t_ok(make_open(&w->m, w->dir));
    close_node(w, true);
    assert_int_equal(unlink(t_path(w->dir, HF__HISTORY_FILE)), 0);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_verify(w->in));
    t_ok(hf_inspect_history(w->in, see_tx, &s));
    assert_int_equal(s.count, 0);
}

static void damaged_history__is_told_and_hides_nothing_of_the_log(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct hf__rec rec;
    int fd;

    t_ok(make_open(&w->m, w->dir));
    t_ok(make_owed(&w->m, &rec));
    close_node(w, true);
    fd = open(t_path(w->dir, HF__HISTORY_FILE), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(close(fd), 0);
    t_ok(hf_inspect_open(w->dir, &w->in));
    t_ok(hf_inspect_transactions(w->in, see_tx, &s));
    assert_int_equal(s.count, 1);
    t_rc(HF_EDAMAGED, hf_inspect_history(w->in, see_tx, &s));
    t_rc(HF_EDAMAGED, hf_inspect_verify(w->in));
    assert_non_null(strstr(hf_error_last()->text, HF__HISTORY_FILE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(inspect__tells_what_is_wrong_with_a_directory),
        T(inspect__reads_the_node),
        T(inspect__tells_the_living_from_the_dead),
        T(inspect__shows_transactions_with_their_branches),
        T(inspect__counts_what_is_owed_to_each_resource_manager),
        T(inspect__shows_the_history_oldest_first),
        T(inspect__closes_alone),
        T(inspect__walk_ends_where_its_callback_says),
        T(inspect__holds_no_snapshot_while_a_callback_runs),
        T(ask__leaves_a_request_with_uid_time_and_reason),
        T(ask__keeps_the_newest_hundred),
#ifdef HF_FAULTS
        T(ask__keeps_others_from_opening_the_node_while_it_writes),
#endif
        T(verify__is_content_with_a_living_node),
        T(verify__finds_a_record_of_unknown_kind),
        T(verify__finds_a_record_under_another_kinds_key),
        T(verify__finds_an_incarnation_above_the_highest),
        T(verify__finds_a_binding_that_was_not_given_out),
        T(verify__finds_a_branch_of_nobodys),
        T(verify__finds_a_history_entry_that_is_cut),
        T(verify__needs_no_history),
        T(damaged_history__is_told_and_hides_nothing_of_the_log),
    };
    return cmocka_run_group_tests_name("tm.inspect", tests, NULL, NULL);
}
