/*
 * What: table 7-1 of [TX]: every call in every state, with every return code that it has there, and
 *       the state after it.
 * How:  one table of rows; each row is played in all five states, over two scripted resource
 *       managers that bring the code about. The number of cells is printed.
 */
#include "support/tx_world.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, tx_world_setup, tx_world_teardown)

enum call {
    OPEN,
    CLOSE,
    BEGIN,
    COMMIT,
    ROLLBACK,
    INFO,
    SET_COMPLETED,
    SET_LOGGED,
    SET_TIMEOUT,
    SET_CHAINED,
    SET_UNCHAINED
};

enum { ERR = -1, STATES = 5 };

/* What a resource manager is made to answer; 0: nothing. */
struct answer {
    int rm;
    enum fake_call call;
    int code;
};

struct row {
    const char *name;
    enum call call;
    int code[STATES]; /* that has to come; TX_PROTOCOL_ERROR where next is ERR */
    int next[STATES]; /* ERR: refused, and the state is what it was */
    struct answer a, b;
    bool no_begin; /* the next xa_start fails, too */
};

#define NONE                                                                                       \
    {                                                                                              \
        A, FAKE_OPEN, 0                                                                            \
    }
#define EVERY(code)                                                                                \
    {                                                                                              \
        code, code, code, code, code                                                               \
    }
#define UNCHANGED                                                                                  \
    {                                                                                              \
        ERR, 1, 2, 3, 4                                                                            \
    }

/* A completion: SET1 in S3 and S4; with no_begin SET2 in S4, and SET1 in S3 all the same. */
#define COMPLETES(name, call, code, a, b)                                                          \
    {name " [" #code "]", call, EVERY(code), {ERR, ERR, ERR, 1, 4}, a, b, false},                  \
    {                                                                                              \
        name " [" #code " + TX_NO_BEGIN]", call, {0, 0, 0, code, code + TX_NO_BEGIN},              \
            {ERR, ERR, ERR, 1, 2}, a, b, true                                                      \
    }
#define ANSWER(rm, call, code)                                                                     \
    {                                                                                              \
        rm, call, code                                                                             \
    }

static const struct row rows[] = {
    {"tx_open", OPEN, EVERY(TX_OK), {1, 1, 2, 3, 4}, NONE, NONE, false},
    {"tx_close", CLOSE, EVERY(TX_OK), {0, 0, 0, ERR, ERR}, NONE, NONE, false},
    {"tx_close [TX_ERROR]",
     CLOSE,
     {TX_OK, TX_ERROR, TX_ERROR, 0, 0},
     {0, 0, 0, ERR, ERR},
     ANSWER(A, FAKE_CLOSE, XAER_RMERR),
     NONE,
     false},
    {"tx_begin", BEGIN, EVERY(TX_OK), {ERR, 3, 4, ERR, ERR}, NONE, NONE, false},
    {"tx_begin [TX_OUTSIDE]",
     BEGIN,
     EVERY(TX_OUTSIDE),
     {ERR, 1, 2, ERR, ERR},
     ANSWER(B, FAKE_START, XAER_OUTSIDE),
     NONE,
     false},
    {"tx_begin [TX_ERROR]",
     BEGIN,
     EVERY(TX_ERROR),
     {ERR, 1, 2, ERR, ERR},
     ANSWER(B, FAKE_START, XAER_RMERR),
     NONE,
     false},
    {"tx_begin [TX_FAIL]",
     BEGIN,
     EVERY(TX_FAIL),
     {ERR, 1, 2, ERR, ERR},
     ANSWER(B, FAKE_START, XAER_RMFAIL),
     NONE,
     false},
    COMPLETES("tx_commit", COMMIT, TX_OK, NONE, NONE),
    COMPLETES("tx_commit", COMMIT, TX_ROLLBACK, ANSWER(A, FAKE_PREPARE, XA_RBROLLBACK), NONE),
    COMPLETES("tx_commit", COMMIT, TX_MIXED, ANSWER(A, FAKE_COMMIT, XA_HEURRB), NONE),
    COMPLETES("tx_commit", COMMIT, TX_HAZARD, ANSWER(A, FAKE_COMMIT, XA_HEURHAZ), NONE),
    COMPLETES("tx_rollback", ROLLBACK, TX_OK, NONE, NONE),
    COMPLETES("tx_rollback", ROLLBACK, TX_MIXED, ANSWER(A, FAKE_ROLLBACK, XA_HEURMIX), NONE),
    COMPLETES("tx_rollback", ROLLBACK, TX_HAZARD, ANSWER(A, FAKE_ROLLBACK, XA_HEURHAZ), NONE),
    COMPLETES("tx_rollback", ROLLBACK, TX_COMMITTED, ANSWER(A, FAKE_ROLLBACK, XA_HEURCOM),
              ANSWER(B, FAKE_ROLLBACK, XA_HEURCOM)),
    {"tx_info", INFO, {0, 0, 0, 1, 1}, UNCHANGED, NONE, NONE, false},
    {"tx_set_commit_return(TX_COMMIT_COMPLETED)", SET_COMPLETED, EVERY(TX_OK), UNCHANGED, NONE,
     NONE, false},
    {"tx_set_commit_return(TX_COMMIT_DECISION_LOGGED)", SET_LOGGED, EVERY(TX_OK), UNCHANGED, NONE,
     NONE, false},
    {"tx_set_transaction_timeout", SET_TIMEOUT, EVERY(TX_OK), UNCHANGED, NONE, NONE, false},
    {"tx_set_transaction_control(TX_CHAINED)",
     SET_CHAINED,
     EVERY(TX_OK),
     {ERR, 2, 2, 4, 4},
     NONE,
     NONE,
     false},
    {"tx_set_transaction_control(TX_UNCHAINED)",
     SET_UNCHAINED,
     EVERY(TX_OK),
     {ERR, 1, 1, 3, 3},
     NONE,
     NONE,
     false},
};

static int make_call(enum call call)
{
    switch (call) {
    case OPEN:
        return tx_open();
    case CLOSE:
        return tx_close();
    case BEGIN:
        return tx_begin();
    case COMMIT:
        return tx_commit();
    case ROLLBACK:
        return tx_rollback();
    case INFO:
        return tx_info(NULL);
    case SET_COMPLETED:
        return tx_set_commit_return(TX_COMMIT_COMPLETED);
    case SET_LOGGED:
        return tx_set_commit_return(TX_COMMIT_DECISION_LOGGED);
    case SET_TIMEOUT:
        return tx_set_transaction_timeout(60);
    case SET_CHAINED:
        return tx_set_transaction_control(TX_CHAINED);
    default:
        return tx_set_transaction_control(TX_UNCHAINED);
    }
}

static void go_to(struct world *w, int state)
{
    tx_world_configure(w, 2, NULL, NULL);
    if (state == 0)
        return;
    t_tx(TX_OK, tx_open());
    if (state == 2 || state == 4)
        t_tx(TX_OK, tx_set_transaction_control(TX_CHAINED));
    if (state >= 3)
        t_tx(TX_OK, tx_begin());
    assert_int_equal(tx_world_state(), state);
}

static void make_answer(const struct answer *answer)
{
    if (answer->code != 0)
        fake_answer_once(answer->rm, answer->call, 1, answer->code);
}

static void play(struct world *w, const struct row *row, int state)
{
    bool refused = row->next[state] == ERR;
    int code;

    go_to(w, state);
    make_answer(&row->a);
    make_answer(&row->b);
    if (row->no_begin)
        fake_answer_once(B, FAKE_START, 1, XAER_RMERR);
    world_trace_clear();
    code = make_call(row->call);
    if (code != (refused ? TX_PROTOCOL_ERROR : row->code[state])) {
        print_error("%s in S%d: %s, ", row->name, state, tx_code_name(code));
        fail_msg("wanted %s", tx_code_name(refused ? TX_PROTOCOL_ERROR : row->code[state]));
    }
    if (refused)
        world_expect(""); /* nobody was called */
    if (tx_world_state() != (refused ? state : row->next[state]))
        fail_msg("%s in S%d leads to S%d", row->name, state, tx_world_state());
    fake_answer(A, FAKE_CLOSE, XA_OK);
}

static void every_cell_of_table_7_1__is_as_specified(void **state)
{
    struct world *w = *state;
    unsigned cells = 0;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int s = 0; s < STATES; s++, cells++) {
            play(w, &rows[i], s);
            w = tx_world_again(state);
        }
    print_message("table 7-1: %u cells\n", cells);
    assert_int_equal(cells, 5 * 29); /* a row that is lost is noticed */
}

/* -- what the table does not say --------------------------------------------------------------- */

static void arguments__are_checked_and_change_nothing(void **state)
{
    struct world *w = *state;
    TXINFO before, after;

    tx_world_open(w, 1);
    assert_int_equal(tx_info(&before), 0);
    t_tx(TX_EINVAL, tx_set_commit_return(2));
    t_tx(TX_EINVAL, tx_set_commit_return(-1));
    t_tx(TX_EINVAL, tx_set_transaction_control(2));
    t_tx(TX_EINVAL, tx_set_transaction_control(-1));
    t_tx(TX_EINVAL, tx_set_transaction_timeout(-1));
    t_tx(TX_EINVAL, tx_set_transaction_timeout(4294968));
    assert_int_equal(tx_info(&after), 0);
    assert_memory_equal(&before, &after, sizeof(before));
    t_tx(TX_OK, tx_set_transaction_timeout(4294967));
}

static void characteristics__begin_as_specified_and_end_with_tx_close(void **state)
{
    struct world *w = *state;
    TXINFO info;

    tx_world_open(w, 1);
    assert_int_equal(tx_info(&info), 0);
    assert_int_equal(info.xid.formatID, -1);
    assert_int_equal(info.when_return, TX_COMMIT_COMPLETED);
    assert_int_equal(info.transaction_control, TX_UNCHAINED);
    assert_int_equal(info.transaction_timeout, 0);
    t_tx(TX_OK, tx_set_transaction_control(TX_CHAINED));
    t_tx(TX_OK, tx_set_transaction_timeout(7));
    assert_int_equal(tx_info(&info), 0);
    assert_int_equal(info.transaction_timeout, 7);
    t_tx(TX_OK, tx_close());
    t_tx(TX_OK, tx_open());
    assert_int_equal(tx_info(&info), 0);
    assert_int_equal(info.transaction_control, TX_UNCHAINED);
    assert_int_equal(info.transaction_timeout, 0);
}

/* Each transaction has an identifier of its own, chained ones too. */
static void tx_info__names_the_transaction(void **state)
{
    struct world *w = *state;
    TXINFO first, second;
    XID branch;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_set_transaction_control(TX_CHAINED));
    t_tx(TX_OK, tx_begin());
    assert_int_equal(tx_info(&first), 1);
    assert_int_equal(first.transaction_state, TX_ACTIVE);
    branch = fake_last_xid(A);
    assert_int_equal(first.xid.gtrid_length, branch.gtrid_length);
    assert_memory_equal(first.xid.data, branch.data, (size_t)branch.gtrid_length);
    for (long i = branch.gtrid_length + branch.bqual_length; i < XIDDATASIZE; i++)
        assert_int_equal(branch.data[i], 0); /* zeroed whole: some compare all of it */
    t_tx(TX_OK, tx_commit());
    assert_int_equal(tx_info(&second), 1);
    assert_memory_not_equal(&first.xid, &second.xid, sizeof(first.xid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_cell_of_table_7_1__is_as_specified),
        T(arguments__are_checked_and_change_nothing),
        T(characteristics__begin_as_specified_and_end_with_tx_close),
        T(tx_info__names_the_transaction),
    };
    return cmocka_run_group_tests_name("tx.states", tests, NULL, NULL);
}
