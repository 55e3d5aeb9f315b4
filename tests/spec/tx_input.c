/*
 * What: bad input to the TX interface: calls out of order and from threads that never opened,
 *       arguments that are none, open strings that are refused, and resource managers that answer
 *       what the specification does not allow there. Each gets its TX code and an explanation
 *       through the log callback, and no transaction is left half done.
 * How:  tables. After each row the resource managers are honest again, and the node is closed and
 *       opened: nothing is in doubt, nothing is in the log, and every branch has one fate.
 */
#include "support/tx_world.h"

#include <pthread.h>
#include <sys/resource.h>

#define T(fn) cmocka_unit_test_setup_teardown(fn, tx_world_setup, tx_world_teardown)

static void expect_told(const struct world *w, const char *says, const char *of)
{
    if (strstr(w->told, says) == NULL)
        fail_msg("%s\ntold: %s\nwanted: %s", of, w->told, says);
}

/* -- calls ------------------------------------------------------------------------------------- */

static int commit_logged(void)
{
    return tx_set_commit_return(TX_COMMIT_DECISION_LOGGED);
}

static int chained(void)
{
    return tx_set_transaction_control(TX_CHAINED);
}

static int timeout(void)
{
    return tx_set_transaction_timeout(1);
}

static int info(void)
{
    return tx_info(NULL);
}

static int bad_commit_return(void)
{
    return tx_set_commit_return(7);
}

static int bad_control(void)
{
    return tx_set_transaction_control(-3);
}

static int bad_timeout(void)
{
    return tx_set_transaction_timeout(-5);
}

static const struct call {
    int (*call)(void);
    int state; /* 0, 1 or 3 */
    int code;
    const char *says;
} calls[] = {
    {tx_begin, 0, TX_PROTOCOL_ERROR,
     "tx_begin: TX_PROTOCOL_ERROR: this thread has not called tx_op"},
    {tx_commit, 0, TX_PROTOCOL_ERROR, "tx_commit: TX_PROTOCOL_ERROR: this thread has not called"},
    {tx_rollback, 0, TX_PROTOCOL_ERROR,
     "tx_rollback: TX_PROTOCOL_ERROR: this thread has not called"},
    {info, 0, TX_PROTOCOL_ERROR, "tx_info: TX_PROTOCOL_ERROR: this thread has not called"},
    {commit_logged, 0, TX_PROTOCOL_ERROR,
     "tx_set_commit_return: TX_PROTOCOL_ERROR: this thread has n"},
    {chained, 0, TX_PROTOCOL_ERROR,
     "tx_set_transaction_control: TX_PROTOCOL_ERROR: this thread has"},
    {timeout, 0, TX_PROTOCOL_ERROR,
     "tx_set_transaction_timeout: TX_PROTOCOL_ERROR: this thread has"},
    {bad_timeout, 0, TX_PROTOCOL_ERROR, "tx_set_transaction_timeout: TX_PROTOCOL_ERROR"},
    {tx_commit, 1, TX_PROTOCOL_ERROR,
     "tx_commit: TX_PROTOCOL_ERROR: this thread is in no transaction"},
    {tx_rollback, 1, TX_PROTOCOL_ERROR,
     "tx_rollback: TX_PROTOCOL_ERROR: this thread is in no trans"},
    {tx_begin, 3, TX_PROTOCOL_ERROR,
     "tx_begin: TX_PROTOCOL_ERROR: this thread is in a transaction"},
    {tx_close, 3, TX_PROTOCOL_ERROR,
     "tx_close: TX_PROTOCOL_ERROR: this thread is in a transaction"},
    {bad_commit_return, 1, TX_EINVAL,
     "tx_set_commit_return: TX_EINVAL: 7 is not one of its values"},
    {bad_control, 3, TX_EINVAL,
     "tx_set_transaction_control: TX_EINVAL: -3 is not one of its values"},
    {bad_timeout, 1, TX_EINVAL,
     "tx_set_transaction_timeout: TX_EINVAL: -5 is not one of its values"},
};

static void *make_call(void *arg)
{
    const struct call *c = arg;

    return (void *)(intptr_t)c->call();
}

/* State 0: from a thread that never opened, while this one is in a transaction. */
static int play_call(struct call *c)
{
    pthread_t thread;
    void *ret = NULL;

    if (c->state != 0)
        return c->call();
    assert_int_equal(pthread_create(&thread, NULL, make_call, c), 0);
    assert_int_equal(pthread_join(thread, &ret), 0);
    return (int)(intptr_t)ret;
}

static void a_call_that_is_refused__is_explained_and_changes_nothing(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        struct call c = calls[i];

        if (c.state != 1)
            t_tx(TX_OK, tx_begin());
        w->told[0] = '\0';
        world_trace_clear();
        t_tx(c.code, play_call(&c));
        expect_told(w, c.says, c.says);
        world_expect(""); /* nobody was called */
        assert_int_equal(tx_world_state(), c.state == 1 ? 1 : 3);
        if (c.state != 1)
            t_tx(TX_OK, tx_commit());
    }
    t_tx(TX_OK, tx_close());
    assert_int_equal(world_records(w), 0);
}

/* -- a thread that cannot be had --------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which need the room */
static void no_room_for_a_thread(void *arg)
{
    struct rlimit now, none = {.rlim_cur = 1};
    struct world *w = arg;
    TXINFO is;

    must(tx_open() == TX_OK);
    must(getrlimit(RLIMIT_AS, &now) == 0);
    none.rlim_max = now.rlim_max;
    must(setrlimit(RLIMIT_AS, &none) == 0);
    w->told[0] = '\0';
    must(tx_set_commit_return(TX_COMMIT_DECISION_LOGGED) == TX_NOT_SUPPORTED);
    must(strstr(w->told, "TX_NOT_SUPPORTED: no thread for it") != NULL);
    must(setrlimit(RLIMIT_AS, &now) == 0);
    must(tx_info(&is) == 0 && is.when_return == TX_COMMIT_COMPLETED);
    must(tx_set_commit_return(TX_COMMIT_DECISION_LOGGED) == TX_OK);
    must(tx_begin() == TX_OK && tx_commit() == TX_OK && tx_close() == TX_OK);
}

static void without_a_thread_for_it__TX_NOT_SUPPORTED(void **state)
{
    struct world *w = *state;

    tx_world_configure(w, 2, NULL, NULL);
    assert_int_equal(fake_child(no_room_for_a_thread, w), 0);
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
}
#endif

/* -- what a resource manager answers ----------------------------------------------------------- */

enum end { COMMIT, ROLLBACK };

/* b of two answers that, once, to the call; what tx_open, tx_begin or the completion returns. */
static const struct answer {
    enum fake_call call;
    int code;
    enum end end;
    int tx;
    const char *says;
} answers[] = {
    {FAKE_START, XA_RDONLY, COMMIT, TX_FAIL, "tx_begin: b: xa_start answered XA_RDONLY"},
    {FAKE_START, XA_HEURMIX, COMMIT, TX_FAIL, "tx_begin: b: xa_start answered XA_HEURMIX"},
    {FAKE_START, XA_RBROLLBACK, COMMIT, TX_FAIL, "tx_begin: b: xa_start answered XA_RBROLLBACK"},
    {FAKE_START, 42, COMMIT, TX_FAIL, "tx_begin: b: xa_start answered a code that is not XA's"},
    {FAKE_START, XAER_DUPID, COMMIT, TX_ERROR, "tx_begin: b: xa_start answered XAER_DUPID"},
    {FAKE_START, XAER_OUTSIDE, COMMIT, TX_OUTSIDE, "tx_begin: b: xa_start answered XAER_OUTSIDE"},
    {FAKE_END, 42, COMMIT, TX_ROLLBACK, "tx_commit: rolledback, 0 branches"},
    {FAKE_END, XA_RETRY, COMMIT, TX_ROLLBACK, "xa_end answered XA_RETRY"},
    {FAKE_PREPARE, 42, COMMIT, TX_ROLLBACK, "xa_prepare answered a code that is not XA's"},
    {FAKE_PREPARE, XA_HEURCOM, COMMIT, TX_ROLLBACK, "xa_prepare answered XA_HEURCOM"},
    {FAKE_PREPARE, XA_RETRY, COMMIT, TX_ROLLBACK, "xa_prepare answered XA_RETRY"},
    {FAKE_COMMIT, 42, COMMIT, TX_HAZARD, "xa_commit answered a code that is not XA's"},
    {FAKE_COMMIT, XA_RDONLY, COMMIT, TX_HAZARD, "xa_commit answered XA_RDONLY"},
    {FAKE_COMMIT, XAER_PROTO, COMMIT, TX_HAZARD, "xa_commit answered XAER_PROTO"},
    {FAKE_ROLLBACK, 42, ROLLBACK, TX_HAZARD, "xa_rollback answered a code that is not XA's"},
    {FAKE_ROLLBACK, XA_RETRY, ROLLBACK, TX_HAZARD, "xa_rollback answered XA_RETRY"},
};

static int play_answer(const struct answer *a)
{
    int code;

    fake_answer_effect(B, a->call, 1, a->code, a->call == FAKE_END ? FAKE_DONE : FAKE_STAYS);
    code = tx_begin();
    if (code != TX_OK)
        return code;
    return a->end == COMMIT ? tx_commit() : tx_rollback();
}

static void an_answer_that_is_none__is_explained_and_leaves_nothing_behind(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        tx_world_open(w, 2);
        w->told[0] = '\0';
        t_tx(answers[i].tx, play_answer(&answers[i]));
        expect_told(w, answers[i].says, answers[i].says);
        assert_int_equal(tx_world_state(), 1);
        t_tx(TX_OK, tx_close());
        t_tx(TX_OK, tx_open()); /* recovery */
        assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
        assert_int_equal(fake_committed(A), fake_committed(B));
        assert_int_equal(fake_committed(A), answers[i].call == FAKE_COMMIT);
        t_tx(TX_OK, tx_close());
        assert_int_equal(world_records(w), 0);
        w = tx_world_again(state);
    }
    print_message("%zu answers that are none\n", sizeof(answers) / sizeof(*answers));
}

static void an_open_string_that_is_refused__is_explained(void **state)
{
    static const struct {
        int code;
        const char *says;
    } rows[] = {
        {XAER_RMERR, "xa_open answered XAER_RMERR"},
        {XAER_INVAL, "xa_open answered XAER_INVAL"},
        {XAER_PROTO, "xa_open answered XAER_PROTO"},
        {XAER_RMFAIL, "xa_open answered XAER_RMFAIL"},
        {XA_RDONLY, "xa_open answered XA_RDONLY"},
        {42, "xa_open answered a code that is not XA's"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tx_world_configure(w, 1, NULL, "open = secret=swordfish");
        fake_answer(A, FAKE_OPEN, rows[i].code);
        w->told[0] = '\0';
        t_tx(TX_ERROR, tx_open());
        expect_told(w, rows[i].says, rows[i].says);
        expect_told(w, "tx_open: no resource manager can be opened", rows[i].says);
        assert_null(strstr(w->told, "swordfish"));
        t_tx(TX_PROTOCOL_ERROR, tx_begin());
        assert_null(hf_opened_tm());
        fake_answer(A, FAKE_OPEN, XA_OK);
        t_tx(TX_OK, tx_open());
        t_tx(TX_OK, tx_close());
        assert_int_equal(world_records(w), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        T(without_a_thread_for_it__TX_NOT_SUPPORTED), /* first: no thread has left a stack */
#endif
        T(a_call_that_is_refused__is_explained_and_changes_nothing),
        T(an_answer_that_is_none__is_explained_and_leaves_nothing_behind),
        T(an_open_string_that_is_refused__is_explained),
    };
    return cmocka_run_group_tests_name("tx.input", tests, NULL, NULL);
}
