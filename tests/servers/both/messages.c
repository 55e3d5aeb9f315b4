/*
 * What: how many messages a branch costs beyond the user's statements: PostgreSQL two with the
 *       helper, prepare and commit, and three with native work; MariaDB three. A branch that
 *       nobody used costs PostgreSQL none, one that only read no more than one that wrote.
 * How:  send() of this program counts what client libraries send; each message of theirs that fits
 *       into their buffers is one. The user's one statement is taken off.
 */
#include "both_t.h"

#include <sys/socket.h>
#include <sys/syscall.h>

static int sent;

ssize_t send(int fd, const void *buf, size_t size, int flags)
{
    sent++;
    return syscall(SYS_sendto, fd, buf, size, flags, NULL, 0);
}

enum { RMID = 1, ROUNDS = 3 };
enum work { BY_HELPER, NATIVE, READS, NONE };

static long last_branch;

static void statement(int is_pg, enum work work)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%ld)", last_branch);
    if (work == READS)
        (void)snprintf(sql, sizeof(sql), "SELECT 1");
    if (work == NONE)
        return;
    if (is_pg && work == NATIVE)
        PQclear(PQexec(hf_postgres_conn(RMID), sql));
    else if (is_pg)
        pg_do(RMID, sql);
    else
        my_user(RMID, "%s", sql);
}

/* A branch from xa_start to its commit; how many messages it took but for the user's one. */
static int branch(const struct xa_switch_t *xa, enum work work, int *ret_vote)
{
    XID x = my_xid(++last_branch);
    int before = sent;

    assert_int_equal(xa->xa_start_entry(&x, RMID, TMNOFLAGS), XA_OK);
    statement(xa == &hf_postgres_switch, work);
    assert_int_equal(xa->xa_end_entry(&x, RMID, TMSUCCESS), XA_OK);
    *ret_vote = xa->xa_prepare_entry(&x, RMID, TMNOFLAGS);
    if (*ret_vote == XA_OK)
        assert_int_equal(xa->xa_commit_entry(&x, RMID, TMNOFLAGS), XA_OK);
    return sent - before - (work != NONE);
}

static void costs(const struct xa_switch_t *xa, enum work work, int vote, int messages)
{
    for (int i = 0; i < ROUNDS; i++) { /* the first one on a connection costs no more */
        int got_vote, got = branch(xa, work, &got_vote);

        assert_int_equal(got_vote, vote);
        if (got != messages)
            fail_msg("%d messages, wanted %d", got, messages);
    }
}

static void a_branch_of_postgresql(void **state)
{
    (void)state;
    pg_open(RMID, pg_info("one"));
    costs(&hf_postgres_switch, BY_HELPER, XA_OK, 2);
    costs(&hf_postgres_switch, NATIVE, XA_OK, 3);
    costs(&hf_postgres_switch, READS, XA_RDONLY, 2);
    costs(&hf_postgres_switch, NONE, XA_RDONLY, 0);
    pg_close(RMID);
}

static void a_branch_of_mariadb(void **state)
{
    static const char *const more[] = {"", "proof=marker"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        unsigned char id[HF_IDENTITY_SIZE];

        my_open(RMID, my_a.database, more[i]);
        t_ok(hf_mariadb_ext.identity(NULL, RMID, id));
        costs(&hf_mariadb_switch, NATIVE, XA_OK, 3);
        costs(&hf_mariadb_switch, READS, XA_OK, 3);
        my_close(RMID);
    }
}

/* The transaction manager adds none. */
static void a_transaction_over_both(void **state)
{
    const struct store *const stores[STORES] = {&one_pg, &my_a};
    struct node *n = *state;

    node_open(n, stores, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        int before = sent;

        t_ok(hf_tx_commit(node_begin(n, stores, 1000 + i), NULL));
        assert_int_equal(sent - before - STORES, 2 + 3);
    }
    node_close(n);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_branch_of_postgresql),
        T(a_branch_of_mariadb),
        T(a_transaction_over_both),
    };
    int failed = cmocka_run_group_tests_name("both.messages", tests, NULL, NULL);

    if (my_admin_conn != NULL)
        mysql_close(my_admin_conn);
    return failed;
}
