/*
 * What: a session, or its server, that ends at a step of the protocol (rm/mariadb/branch.c): before
 *       a message, while the server is at it, and when it has answered and nobody has read that.
 *       The call says so, with the server's words or the client library's; the rmid is lost, and a
 *       pool does not hand it out; and what the rmid, opened again, finds at the server is what the
 *       table at the head of branch.c says.
 * How:  a send() and a recv() that the client library finds before libc's have an administrator end
 *       the session, at each message of each call, and wait until it is gone. A lock at the server
 *       keeps it at a message. tests/crash breaks the connection at our end; this is the other one.
 */
#include "support/mariadb_t.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errmsg.h>

enum { MINE = 1, HOLDER = 2, OTHER = 3, WAIT_MS = 30000, NONE = -1, NEXT = -2 };

enum moment { BEFORE, UNDER_WAY, ANSWERED, MOMENTS };
static const char *const moment_names[MOMENTS] = {"before", "while it is at", "having answered"};

enum way { KILLED, SERVER_KILLED, SERVER_STOPPED, WAYS };
static const char *const way_names[WAYS] = {"session killed", "server killed", "server stopped"};

static long last_branch;

/* -- who ends it ------------------------------------------------------------------------------- */

static struct {
    int fd; /* of the session; NONE: nothing is to happen, or it has; NEXT: the next to be opened */
    unsigned long id;
    int message; /* at which; the first is 1 */
    enum moment moment;
    enum way way;
    int seen;   /* messages */
    int looked; /* one that may be repeated was among them */
} plan = {.fd = NONE};

static long sessions(const char *more)
{
    char sql[256];

    (void)snprintf(sql, sizeof(sql),
                   "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %lu%s", plan.id,
                   more);
    return my_number(sql);
}

static void wait_for_sessions(long want, const char *more)
{
    for (int i = 0; i < WAIT_MS && sessions(more) != want; i++)
        my_sleep_ms(1);
    assert_int_equal(sessions(more), want);
}

static void end_it(void)
{
    plan.fd = NONE;
    if (plan.way == KILLED) {
        my_admin("KILL CONNECTION %lu", plan.id);
        wait_for_sessions(0, "");
        my_admin("UNLOCK TABLES"); /* now nobody waits for them */
    } else {
        my_server(plan.way == SERVER_KILLED ? "kill" : "stop");
        my_server("start");
    }
}

static int is_of_administrator(int fd)
{
    return my_admin_conn != NULL && fd == mysql_get_socket(my_admin_conn);
}

/* Whether a session is ending is asked until none is (rm/mariadb/recover.c): it counts once. */
static int is_repeated(const void *bytes, size_t size)
{
    int repeated = memmem(bytes, size, "innodb_trx", 10) != NULL;

    if (!repeated)
        return 0;
    repeated = plan.looked;
    plan.looked = 1;
    return repeated;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (plan.fd == NEXT && !is_of_administrator(fd)) {
        plan.fd = fd;
        plan.id = (unsigned long)my_number("SELECT MAX(id) FROM information_schema.processlist");
    }
    if (fd == plan.fd && !is_repeated(bytes, size) && ++plan.seen == plan.message &&
        plan.moment == BEFORE)
        end_it();
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

ssize_t recv(int fd, void *to, size_t size, int flags)
{
    if (fd == plan.fd && plan.seen == plan.message) {
        struct pollfd answer = {.fd = fd, .events = POLLIN};

        /* where part of it is here the server is at the message, and not asleep before it */
        if (plan.moment == ANSWERED)
            assert_int_equal(poll(&answer, 1, WAIT_MS), 1);
        wait_for_sessions(1, plan.moment == UNDER_WAY ? " AND state = 'Waiting for backup lock'"
                                                      : " AND command = 'Sleep'");
        end_it();
    }
    return syscall(SYS_recvfrom, fd, to, size, flags, NULL, NULL);
}

/* -- steps ------------------------------------------------------------------------------------- */

enum state { OPENED, STARTED, IDLE, PREPARED, LET_GO };

static int do_start(XID *x)
{
    return my->xa_start_entry(x, MINE, TMNOFLAGS);
}

static int do_statement(XID *x)
{
    char sql[64];

    (void)x;
    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%ld)", last_branch);
    return my_user_try(MINE, sql) == 0 ? XA_OK : XAER_RMFAIL;
}

static int do_prepare(XID *x)
{
    return my->xa_prepare_entry(x, MINE, TMNOFLAGS);
}

static int do_one_phase(XID *x)
{
    return my->xa_commit_entry(x, MINE, TMONEPHASE);
}

static int do_commit(XID *x)
{
    return my->xa_commit_entry(x, MINE, TMNOFLAGS);
}

static int do_rollback(XID *x)
{
    return my->xa_rollback_entry(x, MINE, TMNOFLAGS);
}

static int do_recover(XID *x)
{
    XID list[64];
    int rc = my->xa_recover_entry(list, 64, MINE, TMSTARTRSCAN | TMENDRSCAN);

    (void)x;
    return rc < 0 ? rc : XA_OK;
}

static int do_identity(XID *x)
{
    unsigned char id[HF_IDENTITY_SIZE];

    (void)x;
    return hf_mariadb_ext.identity(NULL, MINE, id) == 0 ? XA_OK : XAER_RMFAIL;
}

static int do_settings(XID *x)
{
    char why[256];

    (void)x;
    return hf_mariadb_ext.settings(NULL, MINE, why, sizeof(why)) == 0 ? XA_OK : XAER_RMFAIL;
}

static int do_probe(XID *x)
{
    enum hf_probe probe;

    return hf_mariadb_ext.probe(NULL, MINE, x, NULL, 0, &probe) == 0 ? XA_OK : XAER_RMFAIL;
}

/* What is at the server when its session has gone. */
enum left { NOTHING, A_BRANCH, ITS_ROW };

static const struct row {
    const char *name;
    enum state from;
    int (*go)(XID *x);
    int messages;
    int done_by; /* so many of them */
    enum left before, after;
    int is_held; /* by a global read lock: which message, 0 if none */
    int marker;  /* proof=marker */
} rows[] = {
    {"xa_start", OPENED, do_start, 1, 1, NOTHING, NOTHING, 0, 0},
    {"a statement", STARTED, do_statement, 1, 1, NOTHING, NOTHING, 1, 0},
    {"xa_prepare", IDLE, do_prepare, 1, 1, NOTHING, A_BRANCH, 1, 0},
    {"xa_prepare with a marker", IDLE, do_prepare, 1, 1, NOTHING, A_BRANCH, 1, 1},
    {"xa_commit in one phase", IDLE, do_one_phase, 1, 1, NOTHING, ITS_ROW, 1, 0},
    {"xa_commit", PREPARED, do_commit, 1, 1, A_BRANCH, ITS_ROW, 1, 0},
    {"xa_commit of another's", LET_GO, do_commit, 6, 6, A_BRANCH, ITS_ROW, 6, 0},
    {"xa_commit of another's with a marker", LET_GO, do_commit, 7, 6, A_BRANCH, ITS_ROW, 6, 1},
    {"xa_rollback, not prepared", IDLE, do_rollback, 2, 2, NOTHING, NOTHING, 2, 0},
    {"xa_rollback, prepared", PREPARED, do_rollback, 1, 1, A_BRANCH, NOTHING, 1, 0},
    {"xa_rollback of another's", LET_GO, do_rollback, 6, 6, A_BRANCH, NOTHING, 6, 0},
    {"xa_recover", OPENED, do_recover, 1, 1, NOTHING, NOTHING, 0, 0},
    {"identity", OPENED, do_identity, 1, 1, NOTHING, NOTHING, 0, 0},
    {"settings", OPENED, do_settings, 1, 1, NOTHING, NOTHING, 0, 0},
    {"probe", PREPARED, do_probe, 1, 1, A_BRANCH, A_BRANCH, 0, 0},
    {"probe of a marker", OPENED, do_probe, 2, 2, NOTHING, NOTHING, 0, 1},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void open_one(int rmid, int marker)
{
    unsigned char id[HF_IDENTITY_SIZE];

    my_open(rmid, "ends", marker ? "proof=marker" : "");
    t_ok(hf_mariadb_ext.identity(NULL, rmid, id)); /* finds its tables, or makes them */
}

static void bring(const struct row *row, XID *x)
{
    enum state state = row->from;
    int rmid = state == LET_GO ? HOLDER : MINE;

    open_one(MINE, row->marker);
    if (state == LET_GO)
        open_one(HOLDER, row->marker);
    if (state == STARTED)
        my_xa(XA_OK, MINE, my->xa_start_entry(x, MINE, TMNOFLAGS));
    if (state >= IDLE)
        my_work(rmid, x, last_branch);
    if (state >= PREPARED)
        my_xa(XA_OK, rmid, my->xa_prepare_entry(x, rmid, TMNOFLAGS));
    if (state != LET_GO)
        return;
    open_one(OTHER, 0);
    t_ok(hf_mariadb_ext.detach(NULL, OTHER, x, NULL, 0));
    my_close(OTHER);
    my_close(HOLDER);
}

static long row_is_there(void)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM ends.t WHERE n = %ld", last_branch);
    return my_number(sql);
}

/* -- one end ----------------------------------------------------------------------------------- */

struct strike {
    const struct row *row;
    int message;
    enum moment moment;
    enum way way;
    int by_pool; /* a pool is the first to look at a connection whose last call was good */
};

/* The end comes as planned. Returns the call's answer. */
static int strike(const struct strike *s, XID *x)
{
    int rc;

    if (s->moment == UNDER_WAY)
        my_admin("FLUSH TABLES WITH READ LOCK");
    plan.fd = mysql_get_socket(hf_mariadb_conn(MINE));
    plan.id = mysql_thread_id(hf_mariadb_conn(MINE));
    plan.message = s->message;
    plan.moment = s->moment;
    plan.way = s->way;
    plan.seen = plan.looked = 0;
    rc = s->row->go(x);
    if (plan.fd != NONE)
        fail_msg("%s has no message %d", s->row->name, s->message);
    return rc;
}

/* Server or client library say which end it was. In 10.11 no end of a session has words of the
   server's: it closes the socket. */
static void check_words(void)
{
    switch (my_native(MINE)) {
    case ER_CONNECTION_KILLED:
    case ER_SERVER_SHUTDOWN:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
        if (strstr(my_words(MINE), "erver") != NULL || strstr(my_words(MINE), "onnection") != NULL)
            return;
        break;
    default:
        break;
    }
    fail_msg("%d: %s", my_native(MINE), my_words(MINE));
}

/* Hooks need not say that the connection is lost: the next call of the switch has to. */
static int is_hook(const struct row *row)
{
    return row->go == do_identity || row->go == do_settings || row->go == do_probe;
}

/* No call, and no pool, takes it for good. xa_end() and the pool's clean() ask nobody. */
static void check_lost(const struct strike *s, XID *x, int rc)
{
    int associated = s->row->from == STARTED || (s->row->go == do_start && rc == XA_OK);

    if (associated)
        my_xa(XA_OK, MINE, my->xa_end_entry(x, MINE, TMSUCCESS));
    if (s->by_pool) {
        (void)hf_mariadb_hooks.clean(NULL, MINE);
    } else {
        if (is_hook(s->row) && rc != XA_OK)
            check_words();
        if (associated || rc == XA_OK || is_hook(s->row))
            my_xa(XAER_RMFAIL, MINE, associated ? do_prepare(x) : do_recover(x));
        check_words();
        assert_null(hf_mariadb_conn(MINE));
    }
    t_rc(HF_ERM, hf_mariadb_hooks.validate(NULL, MINE, 1000));
    t_rc(HF_ERM, hf_mariadb_hooks.clean(NULL, MINE));
    t_rc(HF_ERM, hf_mariadb_hooks_clean.clean(NULL, MINE));
    if (s->by_pool)
        return;
    t_rc(HF_ERM, hf_mariadb_reset(MINE));
    t_rc(HF_ERM, hf_mariadb_validate(MINE));
    my_xa(XAER_RMFAIL, MINE, do_rollback(x));
}

/* Opened again: what is there is what was to be expected, and it can be completed. */
static void check_left(const struct row *row, XID *x, enum left left)
{
    int commits = row->go == do_commit;

    my_close(MINE);
    open_one(MINE, row->marker);
    assert_int_equal(my_lists(MINE, x), left == A_BRANCH);
    assert_int_equal(row_is_there(), left == ITS_ROW);
    if (left == A_BRANCH) {
        my_xa(XA_OK, MINE, commits ? do_commit(x) : do_rollback(x));
        assert_int_equal(row_is_there(), commits);
        assert_false(my_lists(MINE, x));
    } else {
        my_xa(XAER_NOTA, MINE, do_rollback(x));
    }
    my_work(MINE, x, last_branch + 1000000); /* the name is free, and the rmid serves */
    my_xa(XA_OK, MINE, do_rollback(x));
    my_close(MINE);
}

static void end_at(const struct strike *s)
{
    XID x = my_xid(++last_branch);
    int done = s->moment == ANSWERED ? s->message : s->message - 1;
    int want = done == s->row->messages ? XA_OK : XAER_RMFAIL;
    int rc;

    print_message("  %s %s message %d of %s\n", way_names[s->way], moment_names[s->moment],
                  s->message, s->row->name);
    bring(s->row, &x);
    rc = strike(s, &x);
    my_xa(want, MINE, rc);
    check_lost(s, &x, rc);
    check_left(s->row, &x, done >= s->row->done_by ? s->row->after : s->row->before);
}

/* -- all of them ------------------------------------------------------------------------------- */

static void session__killed_before_each_message(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++)
        for (int m = 1; m <= rows[i].messages; m++)
            end_at(&(struct strike){&rows[i], m, BEFORE, KILLED, 0});
}

/* There is no rmid then, and it can be opened. */
static void session__killed_while_it_is_opened(void **state)
{
    (void)state;
    for (int m = 1; m <= 2; m++) {
        (void)my_administrator();
        plan.fd = NEXT;
        plan.message = m;
        plan.moment = BEFORE;
        plan.way = KILLED;
        plan.seen = 0;
        my_xa(XAER_RMERR, MINE, my->xa_open_entry((char *)my_info("ends", ""), MINE, TMNOFLAGS));
        assert_int_equal(plan.fd, NONE);
        check_words();
        assert_null(hf_mariadb_conn(MINE));
        t_rc(HF_ERM, hf_mariadb_hooks.validate(NULL, MINE, 1000));
        my_open(MINE, "ends", "");
        my_close(MINE);
    }
}

static void session__killed_when_each_message_is_answered(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++)
        for (int m = 1; m <= rows[i].messages; m++)
            for (int by_pool = 0; by_pool <= (m == rows[i].messages); by_pool++)
                end_at(&(struct strike){&rows[i], m, ANSWERED, KILLED, by_pool});
}

static void session__killed_while_the_server_is_at_a_message(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++)
        if (rows[i].is_held != 0)
            end_at(&(struct strike){&rows[i], rows[i].is_held, UNDER_WAY, KILLED, 0});
}

/* One at each step where something is left, as each costs a start of the server. */
static void server__ends_at_a_message(void **state)
{
    static const struct {
        int (*go)(XID *x);
        enum state from;
        enum moment moment;
        enum way way;
    } ends[] = {
        {do_start, OPENED, BEFORE, SERVER_KILLED},
        {do_prepare, IDLE, ANSWERED, SERVER_KILLED},
        {do_one_phase, IDLE, ANSWERED, SERVER_KILLED},
        {do_commit, PREPARED, UNDER_WAY, SERVER_KILLED},
        {do_prepare, IDLE, ANSWERED, SERVER_STOPPED},
        {do_commit, PREPARED, BEFORE, SERVER_STOPPED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        int row = 0;

        while (rows[row].go != ends[i].go || rows[row].from != ends[i].from)
            row++;
        end_at(&(struct strike){&rows[row], 1, ends[i].moment, ends[i].way, 0});
    }
}

static int setup(void **state)
{
    (void)state;
    my_database("ends");
    return 0;
}

/* What a failed test may have left open. */
static int teardown(void **state)
{
    XID x = my_xid(last_branch);

    (void)state;
    plan.fd = NONE;
    (void)my_try(my_administrator(), "UNLOCK TABLES");
    for (int rmid = MINE; rmid <= OTHER; rmid++) {
        (void)my->xa_end_entry(&x, rmid, TMFAIL);
        (void)my->xa_rollback_entry(&x, rmid, TMNOFLAGS);
        (void)my->xa_close_entry((char *)"", rmid, TMNOFLAGS);
    }
    my_open(OTHER, "ends", "");
    if (my_lists(OTHER, &x))
        (void)my->xa_rollback_entry(&x, OTHER, TMNOFLAGS);
    my_close(OTHER);
    return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(session__killed_while_it_is_opened),
        T(session__killed_before_each_message),
        T(session__killed_when_each_message_is_answered),
        T(session__killed_while_the_server_is_at_a_message),
        T(server__ends_at_a_message),
    };
    int failed;

    t_plant(argc, argv);
    failed = cmocka_run_group_tests_name("mariadb.ends", tests, NULL, NULL);
    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
