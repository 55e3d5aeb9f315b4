/*
 * What: what a server, its settings and its users can do wrong to rm/mariadb, and what is then
 *       said: a clear error with the server's own words, no secret in it, no branch touched that is
 *       not ours, no connection pooled in an unknown state. And the small calls for a pool.
 * How:  one server, set wrong in one thing after the other; the transaction manager where the error
 *       is for its caller.
 */
#include "support/mariadb_t.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define SECRET "s3cr3t-canary"

static long last_branch;

static int refused(int rmid, const char *info)
{
    return my->xa_open_entry((char *)info, rmid, TMNOFLAGS);
}

static const char *with(const char *more)
{
    static char info[MAXINFOSIZE];

    (void)snprintf(info, sizeof(info), "socket=%s/socket;%s", my_env("HF_TEST_MARIADB_DIR"), more);
    return info;
}

/* -- opening ----------------------------------------------------------------------------------- */

static void open__a_wrong_password_is_told_without_it(void **state)
{
    (void)state;
    my_admin("CREATE OR REPLACE USER app IDENTIFIED BY 'right'");
    assert_int_equal(refused(1, with("user=app;password=" SECRET ";database=input")), XAER_RMERR);
    assert_int_equal(my_native(1), ER_ACCESS_DENIED_ERROR);
    assert_non_null(strstr(my_words(1), "Access denied for user 'app'"));
    assert_null(strstr(my_words(1), SECRET));
    assert_null(hf_mariadb_conn(1));
}

static void open__a_missing_database_and_a_missing_server_are_told(void **state)
{
    (void)state;
    assert_int_equal(refused(1, with("user=root;database=nosuch")), XAER_RMERR);
    assert_int_equal(my_native(1), ER_BAD_DB_ERROR);
    assert_int_equal(refused(1, "socket=/nonexistent/socket;user=root"), XAER_RMERR);
    assert_int_equal(my_native(1), 2002);
    assert_int_equal(refused(1, "sokcet=/x;password=" SECRET), XAER_INVAL);
    assert_null(strstr(my_words(1), SECRET));
}

/* Password, user and socket from an option file, which also asks to connect anew. */
static void open__takes_an_option_file(void **state)
{
    const char *path = t_path(my_env("HF_TEST_MARIADB_DIR"), "app.cnf");
    char info[MAXINFOSIZE];
    MYSQL *conn;
    FILE *f;

    (void)state;
    my_admin("CREATE OR REPLACE USER app IDENTIFIED BY 'right'");
    my_admin("GRANT ALL ON input.* TO app");
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fprintf(f,
                  "[bank]\nuser=app\npassword=right\nsocket=%s/socket\ndatabase=input\n"
                  "reconnect=1\n",
                  my_env("HF_TEST_MARIADB_DIR"));
    assert_int_equal(fclose(f), 0);
    (void)snprintf(info, sizeof(info), "file=%s;group=bank", path);
    my_xa(XA_OK, 1, refused(1, info));
    my_user(1, "SELECT * FROM t");
    conn = hf_mariadb_conn(1);
    my_admin("KILL %lu", mysql_thread_id(conn));
    while (mysql_query(conn, "DO 1") == 0) { /* until the kill has come */
    }
    assert_int_not_equal(mysql_query(conn, "DO 1"), 0); /* and it stays lost */
    my_close(1);
}

/* -- what is ours in the database -------------------------------------------------------------- */

static void identity__is_one_for_a_database_and_survives(void **state)
{
    unsigned char a[HF_IDENTITY_SIZE], b[HF_IDENTITY_SIZE], other[HF_IDENTITY_SIZE];

    (void)state;
    my_database("input_b");
    my_open(1, "input", "");
    my_open(2, "input", "");
    my_open(3, "input_b", "");
    t_ok(hf_mariadb_ext.identity(NULL, 1, a));
    my_server("stop");
    my_server("start");
    for (int rmid = 1; rmid <= 3; rmid++) {
        unsigned char lost[HF_IDENTITY_SIZE];

        assert_int_not_equal(hf_mariadb_ext.identity(NULL, rmid, lost), 0);
        my_close(rmid);
    }
    my_open(2, "input", "");
    my_open(3, "input_b", "");
    t_ok(hf_mariadb_ext.identity(NULL, 2, b));
    t_ok(hf_mariadb_ext.identity(NULL, 3, other));
    assert_memory_equal(a, b, HF_IDENTITY_SIZE);
    assert_memory_not_equal(a, other, HF_IDENTITY_SIZE);
    my_close(2);
    my_close(3);
}

static void identity__without_the_right_to_make_it_is_told(void **state)
{
    unsigned char id[HF_IDENTITY_SIZE];

    (void)state;
    my_admin("CREATE DATABASE IF NOT EXISTS input_poor");
    my_admin("DROP TABLE IF EXISTS input_poor.holdfast_identity");
    my_admin("CREATE OR REPLACE USER poor");
    my_admin("GRANT SELECT, INSERT ON input_poor.* TO poor");
    my_xa(XA_OK, 1, refused(1, with("user=poor;database=input_poor")));
    assert_int_not_equal(hf_mariadb_ext.identity(NULL, 1, id), 0);
    assert_non_null(strstr(my_words(1), "CREATE command denied"));
    my_close(1);
    my_xa(XA_OK, 1, refused(1, with("user=root")));
    assert_int_not_equal(hf_mariadb_ext.identity(NULL, 1, id), 0);
    assert_non_null(strstr(my_words(1), "No database selected"));
    my_close(1);
}

/* An option file may turn autocommit off: our own reads must not keep a branch out. */
static void identity__leaves_no_transaction_open(void **state)
{
    unsigned char id[HF_IDENTITY_SIZE];
    XID x = my_xid(++last_branch);
    enum hf_probe probe;
    char why[256];

    (void)state;
    my_open(1, "input", "proof=marker");
    my_user(1, "SET autocommit = 0");
    t_ok(hf_mariadb_ext.identity(NULL, 1, id));
    t_ok(hf_mariadb_ext.settings(NULL, 1, why, sizeof(why)));
    t_ok(hf_mariadb_ext.probe(NULL, 1, &x, NULL, 0, &probe));
    my_work(1, &x, last_branch);
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMONEPHASE));
    my_close(1);
}

/* -- proof ------------------------------------------------------------------------------------- */

static void proof__a_marker_proves_a_commit_and_its_absence_nothing(void **state)
{
    unsigned char id[HF_IDENTITY_SIZE];
    XID x = my_xid(++last_branch), y = my_xid(++last_branch);
    enum hf_probe probe = HF_PROBE_UNKNOWN;

    (void)state;
    my_open(1, "input", "proof=marker");
    my_open(2, "input", "");
    t_ok(hf_mariadb_ext.identity(NULL, 1, id));
    my_work(1, &x, last_branch);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.probe(NULL, 2, &x, NULL, 0, &probe));
    assert_int_equal(probe, HF_PROBE_PREPARED);
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.probe(NULL, 1, &x, NULL, 0, &probe));
    assert_int_equal(probe, HF_PROBE_COMMITTED);
    t_ok(hf_mariadb_ext.probe(NULL, 2, &x, NULL, 0, &probe)); /* not asked for there */
    assert_int_equal(probe, HF_PROBE_UNKNOWN);
    my_work(1, &y, last_branch + 1000);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&y, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_rollback_entry(&y, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.probe(NULL, 1, &y, NULL, 0, &probe));
    assert_int_equal(probe, HF_PROBE_UNKNOWN);
    my_close(1);
    my_close(2);
}

/* The user may have chosen another database meanwhile. */
static void proof__the_marker_goes_where_the_open_string_says(void **state)
{
    unsigned char id[HF_IDENTITY_SIZE];
    XID x = my_xid(++last_branch);
    enum hf_probe probe;

    (void)state;
    my_open(1, "input", "proof=marker");
    t_ok(hf_mariadb_ext.identity(NULL, 1, id));
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_user(1, "USE mysql");
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.probe(NULL, 1, &x, NULL, 0, &probe));
    assert_int_equal(probe, HF_PROBE_COMMITTED);
    my_close(1);
}

static void proof__old_markers_are_removed(void **state)
{
    unsigned char id[HF_IDENTITY_SIZE];

    (void)state;
    my_open(1, "input", "proof=marker");
    t_ok(hf_mariadb_ext.identity(NULL, 1, id));
    my_admin("REPLACE INTO input.holdfast_marker VALUES ('old', NOW() - INTERVAL 31 DAY), "
             "('young', NOW() - INTERVAL 29 DAY)");
    t_ok(hf_mariadb_ext.identity(NULL, 1, id));
    assert_int_equal(my_number("SELECT COUNT(*) FROM input.holdfast_marker WHERE xid = 'old'"), 0);
    assert_int_equal(my_number("SELECT COUNT(*) FROM input.holdfast_marker WHERE xid = 'young'"),
                     1);
    my_close(1);
}

/* A branch that cannot leave its marker votes no: proof was asked for. */
static void proof__without_its_table_the_vote_is_no(void **state)
{
    unsigned char id[HF_IDENTITY_SIZE];
    XID x = my_xid(++last_branch);

    (void)state;
    my_open(1, "input", "proof=marker");
    t_ok(hf_mariadb_ext.identity(NULL, 1, id));
    my_admin("DROP TABLE input.holdfast_marker");
    my_work(1, &x, last_branch);
    my_xa(XA_RBOTHER, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(my_native(1), ER_NO_SUCH_TABLE);
    assert_false(my_lists(1, &x));
    my_close(1);
}

/* -- settings ---------------------------------------------------------------------------------- */

static void check_settings(const char *more, int want, const char *says)
{
    char why[256] = "";
    int rc;

    my_open(1, "input", more);
    rc = hf_mariadb_ext.settings(NULL, 1, why, sizeof(why));
    if (rc != want || (says == NULL ? why[0] != '\0' : strstr(why, says) == NULL))
        fail_msg("settings answered %d and '%s'", rc, why);
    my_close(1);
}

static void settings__that_lose_a_vote_are_refused_by_name(void **state)
{
    (void)state;
    check_settings("", 0, NULL);
    my_admin("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    check_settings("", 1, "SET GLOBAL innodb_flush_log_at_trx_commit=1");
    check_settings("unsafe=yes", 0, "unsafe=yes, and innodb_flush_log_at_trx_commit is not 1");
    my_admin("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
    my_admin("SET GLOBAL read_only = 1");
    check_settings("", 1, "read_only is on");
    my_admin("SET GLOBAL read_only = 0");
    check_settings("", 0, NULL);
}

/* It is not connected to its master; but what that sends would be written beside us. */
static void settings__a_running_replica_is_refused(void **state)
{
    (void)state;
    my_admin("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1, MASTER_USER = 'x'");
    my_admin("START SLAVE");
    check_settings("", 1, "replica");
    check_settings("unsafe=yes", 0, "unsafe=yes");
    my_admin("STOP SLAVE");
    my_admin("RESET SLAVE ALL");
    check_settings("", 0, NULL);
}

/* Start the server again, with a binary log or without. */
static void set_binary_log(int on)
{
    const char *path = t_path(my_env("HF_TEST_MARIADB_DIR"), "options");
    FILE *f = on ? fopen(path, "w") : NULL;

    if (on) {
        assert_non_null(f);
        (void)fprintf(f, "--log-bin=binary\n--server-id=7\n--innodb-rollback-on-timeout=1\n");
        assert_int_equal(fclose(f), 0);
    } else {
        assert_int_equal(unlink(path), 0);
    }
    my_server("stop");
    my_server("start");
}

enum { OPENERS = 6, NAMES = 2 };

/* A node over two databases of the server, and how many warnings each brought. */
struct warned {
    hf_tm *tm;
    hf_rm *rm[NAMES];
    _Atomic int count[NAMES];
    pthread_barrier_t all_here;
};

static const char *const warned_names[NAMES] = {"input", "input_b"};

static void count_warning(void *user, int level, const char *text)
{
    struct warned *w = user;

    for (int i = 0; i < NAMES; i++) {
        size_t size = strlen(warned_names[i]);

        if (level == HF_LOG_WARNING && strstr(text, "MDEV-21469") != NULL &&
            strncmp(text, warned_names[i], size) == 0 && text[size] == ':')
            atomic_fetch_add(&w->count[i], 1);
    }
}

static void warned_open(struct warned *w, const char *dir)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;

    config.dir = dir;
    config.log = count_warning;
    config.user = w;
    t_ok(hf_tm_open(&config, &w->tm));
    for (int i = 0; i < NAMES; i++) {
        hf_rm_config rm = HF_RM_CONFIG_INIT;

        rm.name = warned_names[i];
        rm.xa = my;
        rm.ext = &hf_mariadb_ext;
        rm.open_info = with(i == 0 ? "user=late;database=input" : "user=late;database=input_b");
        t_ok(hf_rm_register(w->tm, &rm, &w->rm[i]));
    }
    t_ok(hf_tm_start(w->tm, 0)); /* its pass is refused: who comes first will be one of many */
    assert_int_equal(w->count[0] + w->count[1], 0);
    my_admin("CREATE USER late");
    my_admin("GRANT ALL ON *.* TO late");
}

static void *open_and_close(void *arg)
{
    struct warned *w = arg;
    intptr_t bad = 0;

    (void)pthread_barrier_wait(&w->all_here);
    for (int i = 0; i < 2 * NAMES; i++) {
        hf_instance *in = NULL;

        bad |= hf_instance_open(w->rm[i % NAMES], &in) != HF_OK;
        bad |= hf_instance_close(in) != HF_OK;
    }
    mysql_thread_end();
    return (void *)bad;
}

/* Many threads open the names for the first time, at once; then one that is lost is replaced, and a
   pass recovers. */
static void open_many(struct warned *w)
{
    pthread_t threads[OPENERS];
    hf_instance *in = NULL;

    assert_int_equal(pthread_barrier_init(&w->all_here, NULL, OPENERS), 0);
    for (int i = 0; i < OPENERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, w), 0);
    for (int i = 0; i < OPENERS; i++) {
        void *bad;

        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    assert_int_equal(pthread_barrier_destroy(&w->all_here), 0);
    t_ok(hf_instance_open(w->rm[0], &in));
    my_admin("KILL %lu", mysql_thread_id(hf_mariadb_conn(hf_instance_rmid(in))));
    t_ok(hf_instance_close(in));
    t_ok(hf_instance_open(w->rm[0], &in));
    t_ok(hf_instance_close(in));
    t_ok(hf_tm_recover(w->tm, NULL));
}

/* Said once for each name in an opening of the node, whoever opens it and how often. */
static void warn_once(void)
{
    char *dir = t_dir_make();
    const char *path = t_path(dir, "node");
    struct warned w;

    my_database("input_b");
    for (int opening = 0; opening < 2; opening++) {
        memset(&w, 0, sizeof(w));
        my_admin("DROP USER IF EXISTS late");
        warned_open(&w, path);
        open_many(&w);
        for (int i = 0; i < NAMES; i++)
            assert_int_equal(w.count[i], 1);
        t_ok(hf_tm_close(w.tm, 0, NULL));
    }
    t_dir_remove(dir);
}

/* A warning, once, and no more. */
static void settings__the_binary_log_brings_one_warning(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    set_binary_log(1);
    check_settings("", 0, "MDEV-21469");
    warn_once();
    my_open(1, "input", "");
    my_open(2, "input", "");
    my_work(1, &x, last_branch);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0));
    my_close(1);
    my_xa(XA_OK, 2, my->xa_commit_entry(&x, 2, TMNOFLAGS));
    my_close(2);
    set_binary_log(0);
}

/* -- a branch of somebody else's --------------------------------------------------------------- */

/* Prepared, and held by no session: its name cannot be taken, and it stays. Who was refused is not
   taken for the one who holds it, and ended. */
static void strangers__an_xid_in_use_is_refused_and_left_alone(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    my_open(1, "input", "");
    my_open(2, "input", "");
    my_work(1, &x, last_branch);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0)); /* when this returns its session is gone */
    my_close(1);
    my_xa(XAER_DUPID, 2, my->xa_start_entry(&x, 2, TMNOFLAGS));
    assert_int_equal(my_native(2), ER_XAER_DUPID);
    my_open(3, "input", "");
    t_ok(hf_mariadb_ext.detach(NULL, 3, &x, NULL, 0));
    t_ok(hf_mariadb_validate(2));
    assert_true(my_lists(2, &x));
    my_xa(XA_OK, 3, my->xa_rollback_entry(&x, 3, TMNOFLAGS));
    my_work(2, &x, last_branch);
    my_xa(XA_OK, 2, my->xa_commit_entry(&x, 2, TMONEPHASE));
    my_close(2);
    my_close(3);
}

/* -- rights ------------------------------------------------------------------------------------ */

/* A server that became read-only keeps the branch: XA_RETRY, and it commits later. */
static void rights__a_commit_that_is_refused_is_asked_for_again(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    my_admin("CREATE OR REPLACE USER app");
    my_admin("GRANT ALL ON input.* TO app");
    my_xa(XA_OK, 1, refused(1, with("user=app;database=input")));
    my_work(1, &x, last_branch);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_admin("SET GLOBAL read_only = 1");
    my_xa(XA_RETRY, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    assert_int_equal(my_native(1), ER_OPTION_PREVENTS_STATEMENT);
    my_admin("SET GLOBAL read_only = 0");
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    my_close(1);
}

/* Another user's session is not ours to kill; the branch waits for it. */
static void rights__a_session_of_another_user_is_not_ended(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    my_admin("CREATE OR REPLACE USER app");
    my_admin("GRANT ALL ON input.* TO app");
    my_open(1, "input", ""); /* as root */
    my_xa(XA_OK, 2, refused(2, with("user=app;database=input")));
    my_work(1, &x, last_branch);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    assert_int_not_equal(hf_mariadb_ext.detach(NULL, 2, &x, NULL, 0), 0);
    assert_int_equal(my_native(2), ER_KILL_DENIED_ERROR);
    my_xa(XAER_NOTA, 2, my->xa_commit_entry(&x, 2, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    my_close(1);
    my_close(2);
}

/* -- a pool, processes, threads ---------------------------------------------------------------- */

static void pool__reset_and_validate(void **state)
{
    XID x = my_xid(++last_branch);

    (void)state;
    t_rc(HF_EINVAL, hf_mariadb_reset(1));
    t_rc(HF_EINVAL, hf_mariadb_validate(1));
    my_open(1, "input", "");
    t_ok(hf_mariadb_validate(1));
    my_user(1, "SET @left_behind = 1");
    my_user(1, "CREATE TEMPORARY TABLE left_behind (n INT)");
    my_xa(XA_OK, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    t_rc(HF_EBUSY, hf_mariadb_reset(1));
    my_xa(XA_OK, 1, my->xa_end_entry(&x, 1, TMSUCCESS));
    my_xa(XA_OK, 1, my->xa_rollback_entry(&x, 1, TMNOFLAGS));
    t_ok(hf_mariadb_reset(1));
    assert_int_equal(my_user_try(1, "SELECT * FROM left_behind"), ER_NO_SUCH_TABLE);
    my_work(1, &x, last_branch); /* its lock went with the rest, and is taken again */
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMONEPHASE));
    my_admin("KILL %lu", mysql_thread_id(hf_mariadb_conn(1)));
    while (hf_mariadb_validate(1) == HF_OK) { /* until the kill has come */
    }
    t_rc(HF_ERM, hf_mariadb_validate(1));
    t_rc(HF_ERM, hf_mariadb_reset(1));
    assert_null(hf_mariadb_conn(1));
    my_xa(XAER_RMFAIL, 1, my->xa_start_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, refused(1, my_info("input", ""))); /* anew, under the same rmid */
    t_ok(hf_mariadb_validate(1));
    my_close(1);
}

static void fork__a_child_touches_nothing_of_its_parents(void **state)
{
    XID x = my_xid(++last_branch);
    int status = 0;
    pid_t pid;

    (void)state;
    my_open(1, "input", "");
    my_work(1, &x, last_branch);
    pid = fork();
    if (pid == 0) {
        int good = my->xa_prepare_entry(&x, 1, TMNOFLAGS) == XAER_RMFAIL &&
                   my->xa_close_entry((char *)"", 1, TMNOFLAGS) == XAER_RMERR &&
                   hf_mariadb_conn(1) == NULL && hf_mariadb_reset(1) == HF_EFORK &&
                   hf_mariadb_validate(1) == HF_EFORK &&
                   refused(1, my_info("input", "")) == XA_OK && /* a session of its own */
                   my->xa_prepare_entry(&x, 1, TMNOFLAGS) != XA_OK &&
                   hf_mariadb_validate(1) == HF_OK &&
                   my->xa_close_entry((char *)"", 1, TMNOFLAGS) == XA_OK;

        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    my_xa(XA_OK, 1, my->xa_prepare_entry(&x, 1, TMNOFLAGS));
    my_xa(XA_OK, 1, my->xa_commit_entry(&x, 1, TMNOFLAGS));
    my_close(1);
}

enum { THREADS = 8, ROUNDS = 20 };

static char threads_info[MAXINFOSIZE];

static void *work_alone(void *arg)
{
    int rmid = 100 + (int)(intptr_t)arg;
    intptr_t bad = 0;

    for (int i = 0; i < ROUNDS && bad == 0; i++) {
        XID x = my_xid(1000000 + rmid * 1000 + i);
        char sql[64];
        int handle, answer = XA_OK;

        (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", 1000000 + rmid * 1000 + i);
        if (i % 5 == 0)
            bad |= my->xa_open_entry(threads_info, rmid, TMNOFLAGS) != XA_OK;
        bad |= my->xa_start_entry(&x, rmid, TMNOFLAGS) != XA_OK;
        bad |= mysql_query(hf_mariadb_conn(rmid), sql) != 0;
        bad |= my->xa_end_entry(&x, rmid, TMSUCCESS) != XA_OK;
        handle = my->xa_prepare_entry(&x, rmid, TMASYNC);
        bad |= my->xa_complete_entry(&handle, &answer, rmid, TMNOFLAGS) != XA_OK;
        bad |= answer != XA_OK;
        bad |= my->xa_commit_entry(&x, rmid, TMNOFLAGS) != XA_OK;
        if (i % 5 == 4)
            bad |= my->xa_close_entry((char *)"", rmid, TMNOFLAGS) != XA_OK;
    }
    mysql_thread_end();
    return (void *)bad;
}

static void threads__work_side_by_side(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    strcpy(threads_info, my_info("input", ""));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work_alone, (void *)(intptr_t)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *bad;

        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    assert_int_equal(my_number("SELECT COUNT(*) FROM input.t WHERE n >= 1000000"),
                     THREADS * ROUNDS);
}

static int setup(void **state)
{
    (void)state;
    my_database("input");
    my_admin("SET GLOBAL read_only = 0, GLOBAL innodb_flush_log_at_trx_commit = 1");
    return 0;
}

/* What a failed test may have left open. */
static int teardown(void **state)
{
    XID x = my_xid(last_branch);

    (void)state;
    for (int rmid = 1; rmid <= 3; rmid++) {
        (void)my->xa_end_entry(&x, rmid, TMFAIL);
        (void)my->xa_close_entry((char *)"", rmid, TMNOFLAGS);
    }
    return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(open__a_wrong_password_is_told_without_it),
        T(open__a_missing_database_and_a_missing_server_are_told),
        T(open__takes_an_option_file),
        T(identity__is_one_for_a_database_and_survives),
        T(identity__without_the_right_to_make_it_is_told),
        T(identity__leaves_no_transaction_open),
        T(proof__a_marker_proves_a_commit_and_its_absence_nothing),
        T(proof__the_marker_goes_where_the_open_string_says),
        T(proof__old_markers_are_removed),
        T(proof__without_its_table_the_vote_is_no),
        T(settings__that_lose_a_vote_are_refused_by_name),
        T(settings__a_running_replica_is_refused),
        T(settings__the_binary_log_brings_one_warning),
        T(strangers__an_xid_in_use_is_refused_and_left_alone),
        T(rights__a_commit_that_is_refused_is_asked_for_again),
        T(rights__a_session_of_another_user_is_not_ended),
        T(pool__reset_and_validate),
        T(fork__a_child_touches_nothing_of_its_parents),
        T(threads__work_side_by_side),
    };
    int failed = cmocka_run_group_tests_name("mariadb.input", tests, NULL, NULL);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
