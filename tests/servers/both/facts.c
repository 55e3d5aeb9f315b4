/*
 * What: a decided transaction of which a server does not know, or must not be asked: the name
 *       reaches another database, a backup was restored, a standby was promoted without the tail,
 *       the user may not finish the branch; and branches beside it whose names are nearly ours.
 *       Nothing is concluded, nothing of others is touched, the record stays, and what is wrong is
 *       told; once it is mended the transaction is settled (invariants 6, 7, 8, 10).
 * How:  a child that is killed between its decision and its first commit leaves a branch in
 *       PostgreSQL and one in MariaDB; then the servers are changed and recovery runs.
 */
#include "both_t.h"

#include <sys/mman.h>

static const struct store *const stores[STORES] = {&one_pg, &my_a};
enum { PG, MY };

static struct xa_switch_t dying[STORES];

static int die(XID *xid, int rmid, long flags)
{
    (void)xid;
    (void)rmid;
    (void)flags;
    (void)kill(getpid(), SIGKILL);
    return XAER_RMFAIL;
}

/* A transaction that wrote number into both, is decided, and of which nobody was told. */
static XID leave_decided(struct node *n, int number)
{
    const struct xa_switch_t *const xa[STORES] = {&dying[PG], &dying[MY]};
    XID *shared =
        mmap(NULL, sizeof(XID), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    XID xid;
    pid_t pid;

    assert_true((void *)shared != MAP_FAILED);
    dying[PG] = hf_postgres_switch;
    dying[MY] = hf_mariadb_switch;
    dying[PG].xa_commit_entry = dying[MY].xa_commit_entry = die;
    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        hf_tx *tx;

        my_admin_conn = NULL; /* the parent's */
        node_open(n, stores, xa);
        tx = node_begin(n, stores, number);
        must(hf_tx_xid(tx, shared) == HF_OK, "xid");
        _exit(hf_tx_commit(tx, NULL) == HF_OK ? 98 : 97);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(prepared_everywhere(), STORES);
    xid = *shared;
    (void)munmap(shared, sizeof(XID));
    return xid;
}

/* A node whose store i is another one; passes; what it has said is in n->warned. */
static void recover_with(struct node *n, int i, const struct store *instead)
{
    const struct store *changed[STORES] = {stores[PG], stores[MY]};

    if (instead != NULL)
        changed[i] = instead;
    n->warned[0] = '\0';
    node_register(n, changed, NULL);
    t_ok(hf_tm_start(n->tm, 0));
    for (int pass = 0; pass < 3; pass++)
        t_ok(hf_tm_recover(n->tm, NULL));
    print_message("  %s: owed %d, unconfirmed %d, alarms %d: %s", stores[i]->database,
                  (int)node_stats(n).owed, (int)node_stats(n).unconfirmed,
                  (int)node_stats(n).alarms, n->warned);
}

/* Only what store i is owed is left, and nobody takes it for done. */
static void is_still_owed(struct node *n, int i, const XID *xid, int number)
{
    hf_outcome outcome = HF_UNKNOWN;

    assert_int_equal(node_stats(n).owed, 1);
    t_ok(hf_tm_outcome(n->tm, xid, &outcome));
    assert_int_equal(outcome, HF_COMMITTED);
    assert_int_equal(store_has(stores[!i], number), 1);
    t_ok(hf_tm_close(n->tm, 0, NULL));
}

/* All is as it was: it is settled. */
static void is_settled_now(struct node *n, int number)
{
    node_register(n, stores, NULL);
    t_ok(hf_tm_start(n->tm, 0));
    node_settle(n);
    for (int i = 0; i < STORES; i++)
        assert_int_equal(store_has(stores[i], number), 1);
    assert_int_equal(node_stats(n).unconfirmed, 0);
    t_ok(hf_tm_close(n->tm, 0, NULL));
}

/* -- another database under the name ----------------------------------------------------------- */

static void another_database_under_the_name_is_concluded_nothing_from(void **state)
{
    static const struct store other[STORES] = {
        {.is_pg = 1, .database = "two", .name = "one"},
        {.is_pg = 0, .database = "both_b", .name = "both_a", .more = "proof=marker"}};
    struct node *n = *state;

    my_database("both_b");
    for (int i = 0; i < STORES; i++) {
        XID xid = leave_decided(n, i);

        recover_with(n, i, &other[i]);
        assert_non_null(strstr(n->warned, stores[i]->database));
        assert_int_equal(prepared_everywhere(), 1);
        is_still_owed(n, i, &xid, i);
        is_settled_now(n, i);
    }
}

/* -- a restored backup ------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[4 * PATH_MAX];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(command, sizeof(command), format, ap);
    va_end(ap);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static const char *server_dir(int i)
{
    return i == PG ? pg_dir() : my_env("HF_TEST_MARIADB_DIR");
}

static void server(int i, const char *what)
{
    if (i == PG)
        pg_serve(what);
    else
        my_server(what);
}

/* The branch is not there, nor is what proves its commit; MariaDB without markers has none. */
static void a_restored_backup_is_concluded_nothing_from(void **state)
{
    static const struct store plain_my = {.is_pg = 0, .database = "both_a", .more = "unsafe=no"};
    struct node *n = *state;

    for (int i = 0; i < STORES; i++) {
        const char *dir = server_dir(i);
        XID xid;

        server(i, "stop");
        shell("cp -a '%s/data' '%s/backup'", dir, dir);
        server(i, "start");
        if (i == PG) /* or the restored one has soon written as much as the lost one had */
            pg_value("one", "CREATE TABLE big AS SELECT g FROM generate_series(1, 20000) AS g");
        xid = leave_decided(n, i);
        server(i, "stop");
        shell("cd '%s' && mv data lost && mv backup data", dir);
        server(i, "start");
        recover_with(n, i, NULL);
        assert_int_equal(store_has(stores[i], i), 0);
        is_still_owed(n, i, &xid, i);
        if (i == MY) {
            recover_with(n, i, &plain_my);
            is_still_owed(n, i, &xid, i);
        }
        server(i, "stop");
        shell("cd '%s' && rm -rf data && mv lost data", dir);
        server(i, "start");
        is_settled_now(n, i);
    }
    pg_value("one", "DROP TABLE big");
}

/* -- a standby --------------------------------------------------------------------------------- */

static void a_promoted_standby_without_the_tail_is_concluded_nothing_from(void **state)
{
    char more[MAXINFOSIZE], at[MAXINFOSIZE];
    const struct store standby = {.is_pg = 1, .database = "one", .more = more};
    struct node *n = *state;
    XID xid;

    (void)snprintf(more, sizeof(more), "host=%s/standby", pg_dir());
    (void)snprintf(at, sizeof(at), "host=%s/standby user=hf dbname=one", pg_dir());
    pg_serve("standby");
    pg_serve("standby-stop");
    xid = leave_decided(n, 1);
    pg_serve("standby-start");
    pg_serve("stop immediate");
    recover_with(n, PG,
                 &standby); /* it has the tail by now, or not; it proves nothing either way */
    assert_non_null(strstr(n->warned, "standby")); /* PostgreSQL's switch says why */
    is_still_owed(n, PG, &xid, 1);
    pg_serve("start");
    is_settled_now(n, 1);

    pg_serve("standby-stop");
    xid = leave_decided(n, 2);
    pg_serve("stop immediate");
    pg_serve("standby-start");
    pg_serve("standby-promote");
    for (int i = 0; i < 20; i++) /* ids are given out again, and others commit under them */
        (void)pg_value_at(at, "SELECT pg_current_xact_id()");
    recover_with(n, PG, &standby);
    is_still_owed(n, PG, &xid, 2);
    pg_serve("standby-stop");
    pg_serve("start");
    is_settled_now(n, 2);
}

/* -- rights ------------------------------------------------------------------------------------ */

/* MariaDB lets everybody finish every branch that no session holds. */
static void who_may_not_finish_the_branch_leaves_it(void **state)
{
    static const struct store plain = {.is_pg = 1, .database = "one", .more = "user=plain"};
    struct node *n = *state;
    XID xid = leave_decided(n, 1);

    recover_with(n, PG, &plain);
    assert_non_null(strstr(n->warned, "permission denied to finish"));
    assert_int_equal(pg_prepared(), 1);
    is_still_owed(n, PG, &xid, 1);
    is_settled_now(n, 1);
}

/* -- names that are nearly ours ---------------------------------------------------------------- */

/* Base 64, as the JDBC driver and we write gids. */
static char *put_base64(char *to, const unsigned char *from, long size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (long i = 0; i < size; i += 3) {
        unsigned n = (unsigned)from[i] << 16;

        n |= i + 1 < size ? (unsigned)from[i + 1] << 8 : 0;
        n |= i + 2 < size ? from[i + 2] : 0;
        *to++ = digits[n >> 18];
        *to++ = digits[n >> 12 & 63];
        *to++ = i + 1 < size ? digits[n >> 6 & 63] : '=';
        *to++ = i + 2 < size ? digits[n & 63] : '=';
    }
    *to = '\0';
    return to;
}

static char *put_hex(char *to, const unsigned char *from, long size)
{
    for (long i = 0; i < size; i++)
        to += sprintf(to, "%02x", from[i]);
    return to;
}

/* Somebody prepares a branch of that name; their row is row. */
static void prepare_by_hand(int i, const XID *x, int row)
{
    const unsigned char *gtrid = (const unsigned char *)x->data, *bqual = gtrid + x->gtrid_length;
    char name[512], sql[1024], *p = name;

    if (i == PG) {
        p += sprintf(p, "%ld_", x->formatID);
        p = put_base64(p, gtrid, x->gtrid_length);
        *p++ = '_';
        (void)put_base64(p, bqual, x->bqual_length);
        (void)snprintf(sql, sizeof(sql),
                       "BEGIN; INSERT INTO t VALUES (%d); PREPARE TRANSACTION '%s'", row, name);
        (void)pg_value("one", sql);
    } else {
        static const char *const steps[] = {"XA START ", "XA END ", "XA PREPARE "};
        MYSQL *conn = my_connect();

        p = put_hex(p + sprintf(p, "X'"), gtrid, x->gtrid_length);
        p = put_hex(p + sprintf(p, "',X'"), bqual, x->bqual_length);
        (void)sprintf(p, "',%ld", x->formatID);
        my_do(conn, "USE both_a");
        for (int step = 0; step < 3; step++) {
            (void)snprintf(sql, sizeof(sql), "%s%s", steps[step], name);
            my_do(conn, sql);
            (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", row);
            if (step == 0)
                my_do(conn, sql);
        }
        mysql_close(conn);
    }
}

enum { NEARLY = 9 };

/* The branch xid, but for one thing. */
static XID nearly(const XID *xid, int what)
{
    XID x = *xid;

    x.bqual_length = 8;
    memset(x.data + x.gtrid_length, 0, sizeof(x.data) - (size_t)x.gtrid_length);
    x.data[x.gtrid_length + 3] = 1; /* a resource manager id */
    /* a branch that the decision does not list; MariaDB does not tell XIDs by their formatID */
    x.data[x.gtrid_length + 7] = (char)(0x50 + what);
    switch (what) {
    case 0:
        break;
    case 1:
        x.data[x.gtrid_length + 3] = 99; /* nobody's id */
        break;
    case 2:
        x.data[0] ^= 1; /* another node's */
        break;
    case 3:
        x.formatID++;
        break;
    case 4:
        x.gtrid_length--; /* and one byte more of bqual */
        x.bqual_length++;
        break;
    case 5:
        x.gtrid_length++;
        x.bqual_length--;
        break;
    case 6:
        x.bqual_length--;
        break;
    case 7:
        x.bqual_length++;
        break;
    default:
        x.data[x.gtrid_length + 3] = 2; /* the other store's */
        break;
    }
    return x;
}

static void branches_with_names_that_are_nearly_ours_are_left_alone(void **state)
{
    struct node *n = *state;
    XID xid = leave_decided(n, 1);

    for (int i = 0; i < STORES; i++) {
        for (int what = 0; what < NEARLY; what++) {
            XID x = nearly(&xid, what);

            prepare_by_hand(i, &x, 100 + what);
        }
    }
    node_register(n, stores, NULL);
    t_ok(hf_tm_start(n->tm, 0));
    for (int pass = 0; pass < 3; pass++)
        t_ok(hf_tm_recover(n->tm, NULL));
    assert_int_equal(node_stats(n).owed, 0);
    assert_int_equal(prepared_everywhere(), STORES * NEARLY);
    for (int i = 0; i < STORES; i++) {
        assert_int_equal(store_has(stores[i], 1), 1);
        for (int what = 0; what < NEARLY; what++)
            assert_int_equal(store_has(stores[i], 100 + what), 0);
    }
    print_message("  it was told: %s", n->warned);
    t_ok(hf_tm_close(n->tm, 0, NULL));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(another_database_under_the_name_is_concluded_nothing_from),
        T(a_restored_backup_is_concluded_nothing_from),
        T(a_promoted_standby_without_the_tail_is_concluded_nothing_from),
        T(who_may_not_finish_the_branch_leaves_it),
        T(branches_with_names_that_are_nearly_ours_are_left_alone), /* last: it leaves them */
    };
    int failed = cmocka_run_group_tests_name("both.facts", tests, NULL, NULL);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
