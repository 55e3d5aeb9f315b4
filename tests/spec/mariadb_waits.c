/*
 * What: no lock of ours is held over a round trip (rm/mariadb/session.c, R5). While a call of one
 *       thread waits for the server, whichever call it is and whichever of its messages, another
 *       thread opens rmids of its own, works with them, completes their branches and closes them.
 * How:  a send() that the client library finds before libc's stops the thread behind a message, and
 *       lets it go when the other one is done; one call and one message after the other. The other
 *       one's rmids are in the same bucket of the registry and in another one. Then without it: a
 *       lock at the server holds the vote.
 */
#include "support/mariadb_t.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { MINE = 1, HOLDER = 2, OTHER = 3, BESIDE = 4, SAME_BUCKET = MINE + 256 };
enum { LIMIT_S = 30 /* for what takes some milliseconds */ };

static _Atomic long last_branch;

/* -- the gate ---------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stopped; /* somebody waits there */
    int open;    /* and may go on */
    int over;    /* the call that should come by has returned */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local int stop_behind; /* so many messages of this thread's; 0: none, or it was */

static void gate_set(int *what, int value)
{
    (void)pthread_mutex_lock(&gate.lock);
    *what = value;
    (void)pthread_cond_broadcast(&gate.changed);
    (void)pthread_mutex_unlock(&gate.lock);
}

static int gate_get(const int *what)
{
    int value;

    (void)pthread_mutex_lock(&gate.lock);
    value = *what;
    (void)pthread_mutex_unlock(&gate.lock);
    return value;
}

static void stop_there(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    gate.stopped = 1;
    (void)pthread_cond_broadcast(&gate.changed);
    while (!gate.open)
        (void)pthread_cond_wait(&gate.changed, &gate.lock);
    (void)pthread_mutex_unlock(&gate.lock);
}

/* 1: somebody is stopped; 0: the call has returned. */
static int gate_wait(void)
{
    int stopped;

    (void)pthread_mutex_lock(&gate.lock);
    while (!gate.stopped && !gate.over)
        (void)pthread_cond_wait(&gate.changed, &gate.lock);
    stopped = gate.stopped;
    (void)pthread_mutex_unlock(&gate.lock);
    return stopped;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    ssize_t rc = syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);

    if (stop_behind > 0 && --stop_behind == 0)
        stop_there();
    return rc;
}

/* -- what waits -------------------------------------------------------------------------------- */

enum state { CLOSED, OPENED, IDLE, VOTING, PREPARED, SPOILT, HELD, LET_GO };

static char info[MAXINFOSIZE];

/* All but open, close and recover are of the branch x. */
static int do_open(XID *x)
{
    (void)x;
    return my->xa_open_entry(info, MINE, TMNOFLAGS);
}

static int do_close(XID *x)
{
    (void)x;
    return my->xa_close_entry((char *)"", MINE, TMNOFLAGS);
}

static int do_start(XID *x)
{
    return my->xa_start_entry(x, MINE, TMNOFLAGS);
}

static int do_prepare(XID *x)
{
    return my->xa_prepare_entry(x, MINE, TMNOFLAGS);
}

static int do_complete(XID *x)
{
    int handle = 0, answer = XAER_RMERR;
    int rc = my->xa_complete_entry(&handle, &answer, MINE, TMMULTIPLE);

    (void)x;
    return rc != XA_OK ? rc : answer;
}

/* The whole of it, as one that is under way does not pass by send() again. */
static int do_ask_and_complete(XID *x)
{
    int rc = my->xa_prepare_entry(x, MINE, TMASYNC);

    return rc > 0 ? do_complete(x) : rc;
}

static int do_commit(XID *x)
{
    return my->xa_commit_entry(x, MINE, TMNOFLAGS);
}

static int do_one_phase(XID *x)
{
    return my->xa_commit_entry(x, MINE, TMONEPHASE);
}

static int do_rollback(XID *x)
{
    return my->xa_rollback_entry(x, MINE, TMNOFLAGS);
}

static int do_recover(XID *x)
{
    XID list[8];
    int rc = my->xa_recover_entry(list, 8, MINE, TMSTARTRSCAN | TMENDRSCAN);

    (void)x;
    return rc < 0 ? rc : XA_OK;
}

static int do_identity(XID *x)
{
    unsigned char id[HF_IDENTITY_SIZE];

    (void)x;
    return hf_mariadb_ext.identity(NULL, MINE, id);
}

static int do_settings(XID *x)
{
    char why[256];

    (void)x;
    return hf_mariadb_ext.settings(NULL, MINE, why, sizeof(why));
}

static int do_probe(XID *x)
{
    enum hf_probe probe;

    return hf_mariadb_ext.probe(NULL, MINE, x, NULL, 0, &probe);
}

static int do_detach(XID *x)
{
    return hf_mariadb_ext.detach(NULL, MINE, x, NULL, 0);
}

static int do_cancel(XID *x)
{
    (void)x;
    return hf_mariadb_ext.cancel(NULL, MINE);
}

static int do_validate(XID *x)
{
    (void)x;
    return hf_mariadb_validate(MINE);
}

static int do_reset(XID *x)
{
    (void)x;
    return hf_mariadb_reset(MINE);
}

static int do_clean(XID *x)
{
    (void)x;
    return hf_mariadb_hooks_clean.clean(NULL, MINE);
}

/* Each answers 0; messages: at least so many, each of which it is stopped behind. */
static const struct row {
    const char *name;
    enum state from;
    int (*go)(XID *x);
    int messages;
} rows[] = {
    {"xa_open", CLOSED, do_open, 2},
    {"xa_close", OPENED, do_close, 1},
    {"xa_start", OPENED, do_start, 1},
    {"xa_prepare", IDLE, do_prepare, 1},
    {"xa_prepare, xa_complete", IDLE, do_ask_and_complete, 1},
    {"xa_commit", PREPARED, do_commit, 1},
    {"xa_commit in one phase", IDLE, do_one_phase, 1},
    {"xa_commit of another session's", LET_GO, do_commit, 5},
    {"xa_rollback of what is prepared", PREPARED, do_rollback, 1},
    {"xa_rollback of what is not", IDLE, do_rollback, 2},
    {"xa_rollback after TMFAIL", SPOILT, do_rollback, 2},
    {"xa_recover", OPENED, do_recover, 1},
    {"identity", OPENED, do_identity, 1},
    {"settings", OPENED, do_settings, 1},
    {"probe", PREPARED, do_probe, 1},
    {"detach", HELD, do_detach, 2},
    {"cancel", IDLE, do_cancel, 2},
    {"hf_mariadb_validate", OPENED, do_validate, 1},
    {"hf_mariadb_reset", OPENED, do_reset, 2},
    {"clean of hf_mariadb_hooks_clean", OPENED, do_clean, 2},
};

static void open_with_marker(int rmid)
{
    unsigned char id[HF_IDENTITY_SIZE];

    my_open(rmid, "waits", "proof=marker");
    t_ok(hf_mariadb_ext.identity(NULL, rmid, id)); /* finds its table, or makes it */
}

static void bring(enum state state, XID *x)
{
    int rmid = state == HELD || state == LET_GO ? HOLDER : MINE;

    if (state != CLOSED)
        open_with_marker(MINE);
    if (state <= OPENED)
        return;
    if (rmid == HOLDER)
        open_with_marker(HOLDER);
    my_work(rmid, x, ++last_branch);
    if (state == SPOILT) {
        my_xa(XA_OK, MINE, my->xa_start_entry(x, MINE, TMJOIN));
        my_xa(XA_RBROLLBACK, MINE, my->xa_end_entry(x, MINE, TMFAIL));
    }
    if (state == PREPARED || rmid == HOLDER)
        my_xa(XA_OK, rmid, my->xa_prepare_entry(x, rmid, TMNOFLAGS));
    if (state == LET_GO)
        t_ok(hf_mariadb_ext.detach(NULL, OTHER, x, NULL, 0));
}

/* Away with all that a cell may have left. */
static void clean(XID *x)
{
    (void)my->xa_end_entry(x, MINE, TMFAIL);
    for (int rmid = MINE; rmid <= HOLDER; rmid++) {
        (void)my->xa_rollback_entry(x, rmid, TMNOFLAGS);
        my_close(rmid);
    }
    assert_false(my_lists(OTHER, x));
}

struct waiting {
    const struct row *row;
    XID x;
    int stop_behind;
    int answer;
};

static void *wait_for_server(void *arg)
{
    struct waiting *w = arg;

    stop_behind = w->stop_behind;
    w->answer = w->row->go(&w->x);
    stop_behind = 0;
    gate_set(&gate.over, 1);
    mysql_thread_end();
    return NULL;
}

/* -- what does not ----------------------------------------------------------------------------- */

struct beside {
    int holds_votes; /* the server does, and all that changes anything, XA ROLLBACK, too */
    const char *wrong;
};

static int insert(int rmid)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%ld)", ++last_branch);
    return my_try(hf_mariadb_conn(rmid), sql) == 0;
}

#define MUST(want, expr)                                                                           \
    do {                                                                                           \
        if ((expr) != (want))                                                                      \
            return #expr;                                                                          \
    } while (0)

/* What is wrong; NULL if nothing is. No other rmid has y: every bucket is looked through for it. */
static const char *complete_branches(int rmid)
{
    XID x = my_xid(++last_branch), y = my_xid(++last_branch), list[64];

    MUST(XA_OK, my->xa_start_entry(&x, rmid, TMNOFLAGS));
    MUST(1, insert(rmid));
    MUST(XA_OK, my->xa_end_entry(&x, rmid, TMSUCCESS));
    MUST(XAER_NOTA, my->xa_prepare_entry(&y, rmid, TMNOFLAGS));
    MUST(XA_OK, my->xa_prepare_entry(&x, rmid, TMNOFLAGS));
    MUST(1, my->xa_recover_entry(list, 64, rmid, TMSTARTRSCAN | TMENDRSCAN) > 0);
    MUST(XA_OK, my->xa_commit_entry(&x, rmid, TMNOFLAGS));
    MUST(XA_OK, my->xa_start_entry(&y, rmid, TMNOFLAGS));
    MUST(1, insert(rmid));
    MUST(XA_OK, my->xa_end_entry(&y, rmid, TMSUCCESS));
    MUST(XA_OK, my->xa_commit_entry(&y, rmid, TMONEPHASE));
    return NULL;
}

static const char *use(int rmid, int holds_votes)
{
    unsigned char id[HF_IDENTITY_SIZE];
    XID x = my_xid(++last_branch);
    const char *wrong;

    MUST(XA_OK, my->xa_open_entry(info, rmid, TMNOFLAGS));
    MUST(HF_OK, hf_mariadb_ext.identity(NULL, rmid, id));
    wrong = holds_votes ? NULL : complete_branches(rmid);
    if (wrong != NULL)
        return wrong;
    MUST(HF_OK, hf_mariadb_reset(rmid));
    MUST(XA_OK, my->xa_start_entry(&x, rmid, TMNOFLAGS));
    MUST(XA_OK, my->xa_end_entry(&x, rmid, TMSUCCESS));
    if (!holds_votes)
        MUST(XA_OK, my->xa_rollback_entry(&x, rmid, TMNOFLAGS));
    MUST(HF_OK, hf_mariadb_validate(rmid));
    (void)hf_mariadb_conn(MINE); /* whether it is open yet, or still */
    MUST(XA_OK, my->xa_close_entry((char *)"", rmid, TMNOFLAGS)); /* with its branch */
    return NULL;
}

static void *work_beside(void *arg)
{
    struct beside *b = arg;

    b->wrong = use(SAME_BUCKET, b->holds_votes);
    if (b->wrong == NULL)
        b->wrong = use(BESIDE, b->holds_votes);
    mysql_thread_end();
    return NULL;
}

/* Returns what was wrong; "it waits" within LIMIT_S, and then the gate is open. */
static const char *run_beside(int holds_votes)
{
    struct beside b = {.holds_votes = holds_votes};
    struct timespec limit;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, work_beside, &b), 0);
    (void)clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_S;
    if (pthread_timedjoin_np(thread, NULL, &limit) == 0)
        return b.wrong;
    gate_set(&gate.open, 1);
    if (holds_votes)
        my_admin("UNLOCK TABLES");
    assert_int_equal(pthread_join(thread, NULL), 0);
    return "it waits";
}

/* -- the two of them --------------------------------------------------------------------------- */

/* Stop a call behind one of its messages. 0: it has no such message. */
static int stop_behind_message(const struct row *row, int message)
{
    struct waiting w = {.row = row, .x = my_xid(++last_branch), .stop_behind = message};
    const char *wrong = NULL;
    pthread_t thread;
    int stopped;

    bring(row->from, &w.x);
    gate.stopped = gate.open = gate.over = 0;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_server, &w), 0);
    stopped = gate_wait();
    if (stopped)
        wrong = run_beside(0);
    gate_set(&gate.open, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (wrong != NULL)
        fail_msg("%s waits behind message %d, and another thread: %s", row->name, message, wrong);
    if (w.answer != 0)
        fail_msg("%s, stopped behind message %d: %d", row->name, message, w.answer);
    clean(&w.x);
    return stopped;
}

static void threads__wait_for_no_call_of_another(void **state)
{
    int stops = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int message = 1;

        while (stop_behind_message(&rows[i], message))
            message++;
        if (message - 1 < rows[i].messages)
            fail_msg("%s was stopped behind %d messages", rows[i].name, message - 1);
        stops += message - 1;
    }
    print_message("  %d messages\n", stops);
}

static long waits_at_the_server(unsigned long id)
{
    char sql[160];

    (void)snprintf(sql, sizeof(sql),
                   "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %lu AND "
                   "state LIKE 'Waiting for backup lock'",
                   id);
    return my_number(sql);
}

static void threads__wait_for_no_vote_that_the_server_holds(void **state)
{
    static const struct row vote = {"xa_prepare", IDLE, do_prepare, 1};
    struct waiting w = {.row = &vote, .x = my_xid(++last_branch)};
    const char *wrong;
    unsigned long id;
    pthread_t thread;
    int over;

    (void)state;
    my_open(MINE, "waits", "");
    my_work(MINE, &w.x, ++last_branch);
    id = mysql_thread_id(hf_mariadb_conn(MINE));
    gate.stopped = gate.open = gate.over = 0;
    my_admin("FLUSH TABLES WITH READ LOCK");
    assert_int_equal(pthread_create(&thread, NULL, wait_for_server, &w), 0);
    for (int i = 0; i < LIMIT_S * 1000 && waits_at_the_server(id) == 0; i++)
        my_sleep_ms(1);
    wrong = run_beside(1);
    over = gate_get(&gate.over);
    my_admin("UNLOCK TABLES");
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (wrong != NULL)
        fail_msg("another thread: %s", wrong);
    assert_int_equal(over, 0);
    my_xa(XA_OK, MINE, w.answer);
    clean(&w.x);
}

static int setup(void **state)
{
    (void)state;
    my_database("waits");
    (void)strcpy(info, my_info("waits", ""));
    open_with_marker(OTHER);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    my_close(OTHER);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads__wait_for_no_call_of_another),
        cmocka_unit_test(threads__wait_for_no_vote_that_the_server_holds),
    };
    int failed = cmocka_run_group_tests_name("mariadb.waits", tests, setup, teardown);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
