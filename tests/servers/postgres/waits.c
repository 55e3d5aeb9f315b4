/*
 * What: no lock of ours is held over a round trip (rm/postgres/rmid.c). While a call of one thread
 *       waits for the server, whichever call it is and whichever of its messages, another thread
 *       opens rmids of its own, works with them, completes their branches and closes them.
 * How:  a send() that libpq finds before libc's stops the thread behind a message, and lets it go
 *       when the other one is done; one call and one message after the other. The other one's rmids
 *       are in the same bucket of the registry and in another one.
 */
#include "pg_t.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { MINE = 1, BESIDE = 2, SAME_BUCKET = MINE + 64 };
enum { LIMIT_S = 30 /* for what takes some milliseconds */ };

static const char insert[] = "INSERT INTO waits VALUES (1)";
static char info[MAXINFOSIZE];
static _Atomic long last_branch;

/* -- the gate ---------------------------------------------------------------------------------- */

static sem_t came; /* the thread has come to its message, or its call has returned */
static sem_t go_on;
static _Atomic int stopped;
static _Thread_local int stop_behind; /* so many messages of this thread's; 0: none, or it was */

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0) /* bound: EINTR */
        continue;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    ssize_t rc = syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);

    if (stop_behind > 0 && --stop_behind == 0) {
        stopped = 1;
        (void)sem_post(&came);
        wait_for(&go_on);
    }
    return rc;
}

/* -- what waits -------------------------------------------------------------------------------- */

enum state { CLOSED, OPENED, LOCAL, STARTED, RUNNING, SPLIT, READ, IDLE, PREPARED };

static int is_good(PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static int do_open(XID *x)
{
    (void)x;
    return pg.xa_open_entry(info, MINE, TMNOFLAGS);
}

static int do_close(XID *x)
{
    (void)x;
    return pg.xa_close_entry((char *)"", MINE, TMNOFLAGS);
}

static int do_conn(XID *x)
{
    (void)x;
    return hf_postgres_conn(MINE) == NULL;
}

static int do_exec(XID *x)
{
    (void)x;
    return !is_good(hf_postgres_exec(MINE, insert));
}

static int do_exec_params(XID *x)
{
    (void)x;
    return !is_good(hf_postgres_exec_params(MINE, insert, 0, NULL, NULL, NULL, NULL, 0));
}

static int do_prepare(XID *x)
{
    return pg.xa_prepare_entry(x, MINE, TMNOFLAGS);
}

static int do_read_only(XID *x)
{
    return do_prepare(x) != XA_RDONLY;
}

static int do_vote_no(XID *x)
{
    return do_prepare(x) != XA_RBPROTO;
}

static int do_ask_and_complete(XID *x)
{
    int answer = XAER_RMERR, handle = pg.xa_prepare_entry(x, MINE, TMASYNC);
    int rc = handle > 0 ? pg.xa_complete_entry(&handle, &answer, MINE, TMNOFLAGS) : XAER_RMERR;

    return rc != XA_OK ? rc : answer;
}

static int do_commit(XID *x)
{
    return pg.xa_commit_entry(x, MINE, TMNOFLAGS);
}

static int do_one_phase(XID *x)
{
    return pg.xa_commit_entry(x, MINE, TMONEPHASE);
}

static int do_rollback(XID *x)
{
    return pg.xa_rollback_entry(x, MINE, TMNOFLAGS);
}

static int do_recover(XID *x)
{
    XID list[8];
    int rc = pg.xa_recover_entry(list, 8, MINE, TMSTARTRSCAN | TMENDRSCAN);

    (void)x;
    return rc < 0 ? rc : XA_OK;
}

static int do_identity(XID *x)
{
    unsigned char id[HF_IDENTITY_SIZE];

    (void)x;
    return hf_postgres_ext.identity(NULL, MINE, id);
}

static int do_settings(XID *x)
{
    char why[256];

    (void)x;
    return hf_postgres_ext.settings(NULL, MINE, why, sizeof(why));
}

static int do_commit_and_probe(XID *x)
{
    unsigned char token[HF_TOKEN_SIZE_MAX];
    enum hf_probe probe = HF_PROBE_UNKNOWN;
    size_t size = 0;
    int rc = hf_postgres_ext.token(NULL, MINE, x, token, &size);

    if (rc == HF_OK)
        rc = do_commit(x);
    if (rc == HF_OK)
        rc = hf_postgres_ext.probe(NULL, MINE, x, token, size, &probe);
    return rc != HF_OK ? rc : probe != HF_PROBE_COMMITTED;
}

static int do_cancel(XID *x)
{
    (void)x;
    return hf_postgres_ext.cancel(NULL, MINE);
}

static int do_validate(XID *x)
{
    (void)x;
    return hf_postgres_validate(MINE);
}

static int do_reset(XID *x)
{
    (void)x;
    return hf_postgres_reset(MINE);
}

/* It has not been heard of since it was opened: it is asked. */
static int do_look(XID *x)
{
    (void)x;
    return hf_postgres_hooks.validate(NULL, MINE, LIMIT_S * 1000);
}

static int do_hooks(XID *x)
{
    int rc = do_exec(x);

    if (rc == 0)
        rc = hf_postgres_hooks_clean.clean(NULL, MINE);
    return rc != 0 ? rc : hf_postgres_hooks_clean.validate(NULL, MINE, LIMIT_S * 1000);
}

/* Each answers 0; messages: at least so many, each of which it is stopped behind. */
static const struct row {
    const char *name;
    enum state from;
    int (*go)(XID *x);
    int messages;
} rows[] = {
    {"xa_open", CLOSED, do_open, 1},
    {"xa_close", OPENED, do_close, 1},
    {"hf_postgres_conn", STARTED, do_conn, 1},
    {"hf_postgres_exec", STARTED, do_exec, 1},
    {"hf_postgres_exec_params", STARTED, do_exec_params, 1},
    {"xa_prepare", IDLE, do_prepare, 1},
    {"xa_prepare of what changed nothing", READ, do_read_only, 2},
    {"xa_prepare of what was ended by hand", SPLIT, do_vote_no, 2},
    {"xa_prepare, xa_complete", IDLE, do_ask_and_complete, 1},
    {"xa_commit", PREPARED, do_commit, 1},
    {"xa_commit in one phase", IDLE, do_one_phase, 1},
    {"xa_rollback of what is prepared", PREPARED, do_rollback, 1},
    {"xa_rollback of what is not", IDLE, do_rollback, 1},
    {"xa_rollback while a query runs", RUNNING, do_rollback, 2},
    {"xa_recover", OPENED, do_recover, 1},
    {"identity", OPENED, do_identity, 1},
    {"settings", OPENED, do_settings, 1},
    {"xa_commit, probe", PREPARED, do_commit_and_probe, 3},
    {"cancel", IDLE, do_cancel, 1},
    {"hf_postgres_validate", OPENED, do_validate, 1},
    {"hf_postgres_reset", LOCAL, do_reset, 2},
    {"validate of hf_postgres_hooks", OPENED, do_look, 1},
    {"a statement, hf_postgres_hooks_clean", OPENED, do_hooks, 2},
};

static void bring(enum state state, XID *x)
{
    if (state != CLOSED)
        pg_open(MINE, info);
    if (state == LOCAL)
        pg_do(MINE, "BEGIN");
    if (state < STARTED)
        return;
    t_xa(XA_OK, pg.xa_start_entry(x, MINE, TMNOFLAGS));
    if (state == STARTED)
        return;
    pg_do(MINE, state == READ ? "SELECT 1" : insert);
    if (state == SPLIT)
        pg_do(MINE, "COMMIT; BEGIN");
    if (state == RUNNING)
        assert_int_equal(PQsendQuery(hf_postgres_conn(MINE), "SELECT pg_sleep(600)"), 1);
    (void)pg.xa_end_entry(x, MINE, state == RUNNING ? TMFAIL : TMSUCCESS);
    if (state == PREPARED)
        t_xa(XA_OK, do_prepare(x));
}

/* Away with all that a cell may have left. */
static void clean(XID *x)
{
    (void)pg.xa_end_entry(x, MINE, TMFAIL);
    (void)do_rollback(x);
    pg_close(MINE);
    assert_int_equal(pg_prepared(), 0);
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
    (void)sem_post(&came);
    return NULL;
}

/* -- what does not ----------------------------------------------------------------------------- */

#define MUST(want, expr)                                                                           \
    do {                                                                                           \
        if ((expr) != (want))                                                                      \
            return #expr;                                                                          \
    } while (0)

/* What is wrong; NULL if nothing is. */
static const char *use(int rmid)
{
    XID x = pg_xid(++last_branch), y = pg_xid(++last_branch), list[8];
    unsigned char id[HF_IDENTITY_SIZE];

    MUST(XA_OK, pg.xa_open_entry(info, rmid, TMNOFLAGS));
    MUST(HF_OK, hf_postgres_ext.identity(NULL, rmid, id));
    MUST(XA_OK, pg.xa_start_entry(&x, rmid, TMNOFLAGS));
    MUST(1, is_good(hf_postgres_exec(rmid, insert)));
    MUST(XA_OK, pg.xa_end_entry(&x, rmid, TMSUCCESS));
    MUST(XA_OK, pg.xa_prepare_entry(&x, rmid, TMNOFLAGS));
    MUST(1, pg.xa_recover_entry(list, 8, rmid, TMSTARTRSCAN | TMENDRSCAN) > 0);
    MUST(XA_OK, pg.xa_commit_entry(&x, rmid, TMNOFLAGS));
    MUST(XA_OK, pg.xa_start_entry(&y, rmid, TMNOFLAGS));
    MUST(1, is_good(hf_postgres_exec_params(rmid, insert, 0, NULL, NULL, NULL, NULL, 0)));
    MUST(XA_OK, pg.xa_end_entry(&y, rmid, TMSUCCESS));
    MUST(XA_OK, pg.xa_commit_entry(&y, rmid, TMONEPHASE));
    MUST(XA_OK, pg.xa_start_entry(&x, rmid, TMNOFLAGS));
    MUST(1, hf_postgres_conn(rmid) != NULL);
    MUST(XA_OK, pg.xa_end_entry(&x, rmid, TMSUCCESS));
    MUST(XA_OK, pg.xa_rollback_entry(&x, rmid, TMNOFLAGS));
    MUST(HF_OK, hf_postgres_ext.cancel(NULL, rmid));
    MUST(HF_OK, hf_postgres_reset(rmid));
    MUST(HF_OK, hf_postgres_validate(rmid));
    MUST(XA_OK, pg.xa_close_entry((char *)"", rmid, TMNOFLAGS));
    return NULL;
}

static void *work_beside(void *arg)
{
    const char **ret_wrong = arg;

    *ret_wrong = use(SAME_BUCKET);
    if (*ret_wrong == NULL)
        *ret_wrong = use(BESIDE);
    return NULL;
}

/* Returns what was wrong; the gate is open afterwards. */
static const char *run_beside(void)
{
    const char *wrong = NULL;
    struct timespec limit;
    pthread_t thread;
    int waits;

    assert_int_equal(pthread_create(&thread, NULL, work_beside, &wrong), 0);
    (void)clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_S;
    waits = pthread_timedjoin_np(thread, NULL, &limit) != 0;
    (void)sem_post(&go_on);
    if (waits)
        assert_int_equal(pthread_join(thread, NULL), 0);
    return waits ? "it waits" : wrong;
}

/* Stop a call behind one of its messages. 0: it has no such message. */
static int stop_behind_message(const struct row *row, int message)
{
    struct waiting w = {.row = row, .x = pg_xid(++last_branch), .stop_behind = message};
    const char *wrong = NULL;
    pthread_t thread;

    bring(row->from, &w.x);
    stopped = 0;
    assert_int_equal(sem_init(&came, 0, 0), 0);
    assert_int_equal(sem_init(&go_on, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_server, &w), 0);
    wait_for(&came);
    if (stopped)
        wrong = run_beside();
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
    (void)strcpy(info, pg_info("one"));
    (void)pg_value("one", "CREATE TABLE waits (n int)");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads__wait_for_no_call_of_another),
    };

    return cmocka_run_group_tests_name("postgres.waits", tests, NULL, NULL);
}
