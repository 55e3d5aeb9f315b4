/*
 * What: threads of control ([TX] 2): what each has is its own; ends of threads, forks, resource
 *       managers that were lost; deadlines; phase two behind tx_commit().
 * How:  threads that make calls and hand back what came; scripted switches, one of which is held up
 *       in xa_commit by the test.
 */
#include "support/tx_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/inspect.h"
#include "holdfast/kv.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, tx_world_setup, tx_world_teardown)

static void *run_int(void *arg)
{
    int (**fn)(void) = arg;

    return (void *)(intptr_t)(*fn)();
}

/* Run it in a thread of its own; what it returns. */
static int elsewhere(int (*fn)(void))
{
    pthread_t thread;
    void *ret = NULL;

    assert_int_equal(pthread_create(&thread, NULL, run_int, &fn), 0);
    assert_int_equal(pthread_join(thread, &ret), 0);
    return (int)(intptr_t)ret;
}

/* -- what a thread has ------------------------------------------------------------------------- */

/* The number of calls that were not answered as state S0 has it. */
static int calls_of_a_thread_that_never_opened(void)
{
    TXINFO info;
    int rmid;

    return (tx_begin() != TX_PROTOCOL_ERROR) + (tx_commit() != TX_PROTOCOL_ERROR) +
           (tx_rollback() != TX_PROTOCOL_ERROR) + (tx_info(&info) != TX_PROTOCOL_ERROR) +
           (tx_info(NULL) != TX_PROTOCOL_ERROR) +
           (tx_set_commit_return(TX_COMMIT_COMPLETED) != TX_PROTOCOL_ERROR) +
           (tx_set_commit_return(TX_COMMIT_DECISION_LOGGED) != TX_PROTOCOL_ERROR) +
           (tx_set_transaction_control(TX_CHAINED) != TX_PROTOCOL_ERROR) +
           (tx_set_transaction_timeout(1) != TX_PROTOCOL_ERROR) + (tx_close() != TX_OK) +
           (hf_opened_rmid("a", &rmid) != HF_ESTATE);
}

static void a_thread_that_never_opened__is_in_S0(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_begin());
    world_trace_clear();
    assert_int_equal(elsewhere(calls_of_a_thread_that_never_opened), 0);
    world_expect("");
    assert_int_equal(tx_world_state(), 3); /* this one's transaction is what it was */
    t_tx(TX_OK, tx_commit());
}

static int rmid_of_b;

static int transaction_of_its_own(void)
{
    TXINFO info;
    int rc = tx_open();

    if (rc != TX_OK || tx_info(&info) != 0 || info.transaction_control != TX_UNCHAINED)
        return -1;
    rc = hf_opened_rmid("b", &rmid_of_b);
    if (rc != HF_OK || tx_begin() != TX_OK || tx_info(&info) != 1 || tx_rollback() != TX_OK)
        return -2;
    return tx_close();
}

static void threads__have_transactions_and_rmids_of_their_own(void **state)
{
    struct world *w = *state;
    int mine = 0;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_set_transaction_control(TX_CHAINED));
    t_tx(TX_OK, tx_begin());
    t_ok(hf_opened_rmid("b", &mine));
    t_rc(HF_ENOTFOUND, hf_opened_rmid("c", &mine));
    assert_int_equal(elsewhere(transaction_of_its_own), TX_OK);
    assert_int_not_equal(rmid_of_b, mine);
    assert_int_equal(fake_open_rmids(A), 1);
    assert_int_equal(tx_world_state(), 4);
    t_tx(TX_OK, tx_commit());
}

static void with_one_rmid__each_thread_opens_it(void **state)
{
    struct world *w = *state;
    unsigned opens;
    int mine = 0;

    tx_world_configure(w, 2, NULL, "rmid = process");
    t_tx(TX_OK, tx_open());
    t_ok(hf_opened_rmid("b", &mine));
    opens = fake_calls(B, FAKE_OPEN);
    assert_int_equal(elsewhere(transaction_of_its_own), TX_OK);
    assert_int_equal(rmid_of_b, mine);
    assert_int_equal(fake_calls(B, FAKE_OPEN), opens + 1);
}

static int ends_in_a_transaction(void)
{
    return tx_open() == TX_OK && tx_begin() == TX_OK;
}

static void a_thread_that_ends__is_rolled_back_and_closed(void **state)
{
    struct world *w = *state;

    tx_world_configure(w, 2, NULL, NULL);
    assert_int_equal(elsewhere(ends_in_a_transaction), 1);
    assert_null(hf_opened_tm()); /* the node, too */
    assert_int_equal(fake_rolled_back(A) + fake_rolled_back(B), 2);
    assert_int_equal(fake_open_rmids(A) + fake_open_rmids(B), 0);
    assert_non_null(strstr(w->told, "a thread ended in a transaction"));
}

/* -- forks ------------------------------------------------------------------------------------- */

/* ThreadSanitizer knows no threads in a child of a process that has some. */
#ifdef __SANITIZE_THREAD__
#define CHILDS_BACKGROUND "no"
#define CHILDS_RETURN TX_COMMIT_COMPLETED
#else
#define CHILDS_BACKGROUND "yes"
#define CHILDS_RETURN TX_COMMIT_DECISION_LOGGED
#endif

static XID parents_xid;

static void child_of_one_that_is_open(void *arg)
{
    struct world *w = arg;

    TXINFO mine;
    int rmid;

    must(calls_of_a_thread_that_never_opened() == 0);
    must(hf_opened_tm() == NULL);
    w->told[0] = '\0';
    must(tx_open() == TX_OK); /* its own xa_open, in an incarnation of its own */
    must(strstr(w->told, "cannot open kv") != NULL && strstr(w->told, "open in process") != NULL);
    must(hf_opened_rmid("kv", &rmid) == HF_ERM); /* a kv store is one process's */
    must(hf_opened_rmid("a", &rmid) == HF_OK);
    must(tx_set_commit_return(CHILDS_RETURN) == TX_OK);
    must(tx_begin() == TX_OK);
    must(tx_info(&mine) == 1);
    must(memcmp(&mine.xid, &parents_xid, sizeof(mine.xid)) != 0);
    must(tx_commit() == TX_OK);
    must(tx_begin() == TX_OK);
    must(tx_rollback() == TX_OK);
    must(tx_close() == TX_OK);
}

/* Threads, a transaction, a kv store, and a second phase that may still be going on. */
static void a_child_after_fork__opens_for_itself_and_leaves_the_parents_alone(void **state)
{
    struct world *w = *state;
    char text[1024], value[8];
    TXINFO info;
    int rmid;

    rm_a = *fake_switch(A);
    rm_b = *fake_switch(B);
    snprintf(text, sizeof(text),
             "[holdfast]\nnode = %s\nbackground = " CHILDS_BACKGROUND "\n"
             "[rm a]\nsymbol = rm_a\n[rm b]\nsymbol = rm_b\n"
             "[rm kv]\ntype = kv\nopen = dir=%s/kv\n",
             w->node, w->dir);
    (void)tx_world_write(w, text);
    t_tx(TX_OK, tx_open());
    t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_DECISION_LOGGED));
    t_tx(TX_OK, tx_begin());
    t_ok(hf_opened_rmid("kv", &rmid));
    t_ok(hf_kv_put(rmid, "k", 1, "v", 1));
    assert_int_equal(tx_info(&info), 1);
    parents_xid = info.xid;
    for (int i = 0; i < 2; i++)
        assert_int_equal(fake_child(child_of_one_that_is_open, w), 0);
    assert_int_equal(fake_committed(A) + fake_committed(B), 4);
    assert_int_equal(tx_world_state(), 3);
    t_tx(TX_OK, tx_commit());
    t_tx(TX_OK, tx_begin());
    t_ok(hf_kv_get(rmid, "k", 1, value, sizeof(value), NULL));
    t_tx(TX_OK, tx_rollback());
    t_tx(TX_OK, tx_close());
    assert_int_equal(fake_committed(A) + fake_committed(B), 6);
    assert_int_equal(world_records(w), 0);
}

static void child_of_one_that_has_closed(void *arg)
{
    (void)arg;
    must(tx_open() == TX_OK);
    must(tx_begin() == TX_OK);
    must(tx_commit() == TX_OK);
    must(tx_close() == TX_OK);
}

static void a_child_of_one_that_has_closed__opens_for_itself(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_close());
    for (int i = 0; i < 2; i++)
        assert_int_equal(fake_child(child_of_one_that_has_closed, w), 0);
    assert_int_equal(fake_committed(A), 2);
    t_tx(TX_OK, tx_open());
}

static pthread_key_t end_key;

/* In the second round of destructors, when those of all keys had their first: nobody looks for
   memory that the test's own process would have freed. */
static void end_process(void *round)
{
    if (round == &end_key)
        _exit(0);
    (void)pthread_setspecific(end_key, &end_key);
}

/* Without a configuration it cannot open; then its one thread ends. */
static void child_that_cannot_open(void *arg)
{
    must(unsetenv("HOLDFAST_CONFIG") == 0);
    must(tx_open() == TX_FAIL);
    must(pthread_key_create(&end_key, end_process) == 0);
    must(pthread_setspecific(end_key, arg) == 0);
    pthread_exit(NULL);
}

/* What the parent's thread had is not looked at when that of the child ends. */
static void a_child_that_cannot_open__ends_in_peace(void **state)
{
    tx_world_open(*state, 2);
    assert_int_equal(fake_child(child_that_cannot_open, *state), 0);
    t_tx(TX_OK, tx_begin());
    t_tx(TX_OK, tx_commit());
}

/* -- resource managers that come and go -------------------------------------------------------- */

static void one_that_cannot_be_opened__is_left_out(void **state)
{
    struct world *w = *state;
    int rmid;

    tx_world_configure(w, 2, "background = no\nrecover_ms = 3600000", NULL);
    fake_answer(B, FAKE_OPEN, XAER_RMERR);
    t_tx(TX_OK, tx_open());
    assert_non_null(strstr(w->told, "cannot open b: b: xa_open answered XAER_RMERR"));
    t_rc(HF_ERM, hf_opened_rmid("b", &rmid));
    world_trace_clear();
    t_tx(TX_OK, tx_begin());
    t_tx(TX_OK, tx_commit());
    world_expect("a.start a.end a.commit(one)");
    fake_answer(B, FAKE_OPEN, XA_OK);
    t_tx(TX_OK, tx_open()); /* again: nothing is done */
    t_tx(TX_OK, tx_close());
    t_tx(TX_OK, tx_open());
    t_ok(hf_opened_rmid("b", &rmid));
}

/* It comes up while the program runs. */
static void one_that_could_not_be_opened__takes_part_when_it_can_be(void **state)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    struct world *w = *state;
    unsigned opens;
    int rmid;

    tx_world_configure(w, 2, "background = no\nrecover_ms = 1\nrecover_max_ms = 3", NULL);
    fake_answer(B, FAKE_OPEN, XAER_RMERR);
    t_tx(TX_OK, tx_open());
    opens = fake_calls(B, FAKE_OPEN);
    for (int i = 0; fake_calls(B, FAKE_OPEN) < opens + 3; i++) {
        assert_in_range(i, 0, 4000); /* a try after 3 ms, or as long as the last one took */
        (void)nanosleep(&pause, NULL);
        t_tx(TX_OK, tx_begin()); /* goes on without it, having tried or not */
        t_rc(HF_ERM, hf_opened_rmid("b", &rmid));
        t_tx(TX_OK, tx_commit());
    }
    fake_answer(B, FAKE_OPEN, XA_OK);
    for (int i = 0; hf_opened_rmid("b", &rmid) != HF_OK; i++) {
        assert_in_range(i, 0, 4000);
        if (i > 0)
            t_tx(TX_OK, tx_commit());
        (void)nanosleep(&pause, NULL);
        world_trace_clear();
        t_tx(TX_OK, tx_begin());
    }
    world_expect("b.open a.start b.start");
    assert_non_null(strstr(w->told, "b is open now"));
    t_ok(hf_opened_rmid("b", &rmid));
    t_tx(TX_OK, tx_commit());
    assert_int_equal(fake_committed(B), 1);
}

static struct {
    _Atomic bool hold; /* the next xa_open of B */
    _Atomic unsigned held;
    _Atomic bool go_on;
} opening;

static void short_pause(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    (void)nanosleep(&pause, NULL);
}

static void hold_an_open(void *user, int rm, enum fake_call call)
{
    (void)user;
    if (rm != B || call != FAKE_OPEN || !opening.hold)
        return;
    opening.held++;
    for (int i = 0; i < 4000 && !opening.go_on; i++) /* bound: 20 s, and the test fails */
        short_pause();
}

static int opens_late(void)
{
    int rc = tx_open();

    opening.hold = true;
    for (int i = 0; i < 4000 && opening.held == 0; i++) {
        short_pause();
        rc += tx_begin() + tx_commit();
    }
    return rc + tx_close();
}

/* It hangs in its xa_open: that is one thread's, and the others go on without it. */
static void one_that_hangs_when_it_is_opened__holds_up_one_thread(void **state)
{
    struct world *w = *state;
    int (*late)(void) = opens_late;
    pthread_t thread;
    void *rc = NULL;

    opening.hold = opening.go_on = false;
    opening.held = 0;
    tx_world_configure(w, 2, "background = no\nrecover_ms = 1\nrecover_max_ms = 1", NULL);
    fake_answer(B, FAKE_OPEN, XAER_RMERR);
    fake_on_call(hold_an_open, NULL);
    t_tx(TX_OK, tx_open());
    assert_int_equal(pthread_create(&thread, NULL, run_int, &late), 0);
    for (int i = 0; i < 4000 && opening.held == 0; i++)
        short_pause();
    assert_int_equal(opening.held, 1);
    for (int i = 0; i < 5; i++) {
        short_pause();
        t_tx(TX_OK, tx_begin());
        t_tx(TX_OK, tx_commit());
    }
    assert_int_equal(opening.held, 1);
    opening.hold = false;
    opening.go_on = true;
    assert_int_equal(pthread_join(thread, &rc), 0);
    assert_int_equal((int)(intptr_t)rc, TX_OK);
    fake_on_call(NULL, NULL);
}

static void one_that_was_lost__is_opened_again_before_the_next(void **state)
{
    struct world *w = *state;
    int before, after;

    tx_world_open(w, 2);
    t_ok(hf_opened_rmid("b", &before));
    t_tx(TX_OK, tx_begin());
    fake_answer_once(B, FAKE_END, 1, XAER_RMFAIL);
    t_tx(TX_ROLLBACK, tx_commit());
    fake_answer_once(B, FAKE_OPEN, 1, XAER_RMERR);
    t_tx(TX_ERROR, tx_begin()); /* work in it would be outside of the transaction */
    assert_int_equal(tx_world_state(), 1);
    world_trace_clear();
    t_tx(TX_OK, tx_begin());
    world_expect("b.open a.start b.start");
    t_ok(hf_opened_rmid("b", &after));
    assert_int_not_equal(before, after);
    t_tx(TX_OK, tx_commit());
}

/* -- what an application can see of a transaction ---------------------------------------------- */

static void rollback_only__is_shown_and_rolls_back(void **state)
{
    struct world *w = *state;
    TXINFO info;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_begin());
    assert_int_equal(tx_info(&info), 1);
    assert_int_equal(info.transaction_state, TX_ACTIVE);
    t_ok(hf_tx_set_rollback_only(hf_tx_current(hf_opened_tm())));
    assert_int_equal(tx_info(&info), 1);
    assert_int_equal(info.transaction_state, TX_ROLLBACK_ONLY);
    t_tx(TX_ROLLBACK, tx_commit());
}

static void a_timeout__is_the_next_transactions(void **state)
{
    const struct timespec over = {.tv_sec = 1, .tv_nsec = 200000000};
    struct world *w = *state;
    TXINFO info;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_set_transaction_control(TX_CHAINED));
    t_tx(TX_OK, tx_begin());
    t_tx(TX_OK, tx_set_transaction_timeout(1));
    (void)nanosleep(&over, NULL);
    assert_int_equal(tx_info(&info), 1);
    assert_int_equal(info.transaction_timeout, 1);
    assert_int_equal(info.transaction_state, TX_ACTIVE); /* this one began without */
    t_tx(TX_OK, tx_commit());
    (void)nanosleep(&over, NULL);
    assert_int_equal(tx_info(&info), 1);
    assert_int_equal(info.transaction_state, TX_TIMEOUT_ROLLBACK_ONLY);
    t_tx(TX_ROLLBACK, tx_commit());
    assert_int_equal(tx_world_state(), 4);
}

static void the_files_timeout__is_the_initial_one(void **state)
{
    struct world *w = *state;
    TXINFO info;

    tx_world_configure(w, 1, "background = no\ntimeout = 33", NULL);
    t_tx(TX_OK, tx_open());
    assert_int_equal(tx_info(&info), 0);
    assert_int_equal(info.transaction_timeout, 33);
}

/* -- TX_COMMIT_DECISION_LOGGED ----------------------------------------------------------------- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static unsigned commits_begun; /* since it was opened or closed */
static pthread_t commit_thread;

/* user: NULL, or hold the first one only. */
static void hold_commits(void *user, int rm, enum fake_call call)
{
    if (rm != A || call != FAKE_COMMIT)
        return;
    (void)pthread_mutex_lock(&gate);
    commit_thread = pthread_self();
    (void)pthread_cond_broadcast(&gate_opens);
    if (commits_begun++ == 0 || user == NULL)
        while (!gate_open)
            (void)pthread_cond_wait(&gate_opens, &gate);
    (void)pthread_mutex_unlock(&gate);
}

static void wait_for_a_commit(void)
{
    (void)pthread_mutex_lock(&gate);
    while (commits_begun == 0)
        (void)pthread_cond_wait(&gate_opens, &gate);
    (void)pthread_mutex_unlock(&gate);
}

static void open_gate(bool open)
{
    (void)pthread_mutex_lock(&gate);
    gate_open = open;
    commits_begun = 0;
    (void)pthread_cond_broadcast(&gate_opens);
    (void)pthread_mutex_unlock(&gate);
}

static void phase_two__goes_on_behind_the_call(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    fake_on_call(hold_commits, NULL);
    open_gate(false);
    t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_DECISION_LOGGED));
    t_tx(TX_OK, tx_begin());
    t_tx(TX_OK, tx_commit()); /* returns, although no resource manager can commit */
    assert_int_equal(tx_world_state(), 1);
    assert_int_equal(fake_committed(A) + fake_committed(B), 0);
    wait_for_a_commit(); /* by the library's thread */
    open_gate(true);
    t_tx(TX_OK, tx_begin()); /* waits for the end of it */
    assert_int_equal(fake_committed(A) + fake_committed(B), 2);
    assert_false(pthread_equal(commit_thread, pthread_self()));
    t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_COMPLETED));
    t_tx(TX_OK, tx_commit());
    assert_int_equal(fake_committed(A) + fake_committed(B), 4);
    assert_true(pthread_equal(commit_thread, pthread_self()));
    fake_on_call(NULL, NULL);
}

static int logged_commits(void)
{
    int rc = tx_open() + tx_set_commit_return(TX_COMMIT_DECISION_LOGGED);

    for (int i = 0; i < 3; i++)
        rc += tx_begin() + tx_commit();
    return rc + tx_close();
}

/* The one that serves all hangs in a resource manager: other threads go on. */
static void phase_two__that_hangs_holds_up_nobody_else(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    fake_on_call(hold_commits, w);
    open_gate(false);
    t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_DECISION_LOGGED));
    t_tx(TX_OK, tx_begin());
    t_tx(TX_OK, tx_commit());
    wait_for_a_commit();
    assert_int_equal(elsewhere(logged_commits), TX_OK);
    assert_int_equal(fake_committed(A), 3); /* and not this thread's */
    open_gate(true);
    t_tx(TX_OK, tx_close());
    assert_int_equal(fake_committed(A) + fake_committed(B), 8);
    fake_on_call(NULL, NULL);
    assert_int_equal(world_records(w), 0);
}

static void phase_two__is_over_when_tx_close_returns(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_DECISION_LOGGED));
    t_tx(TX_OK, tx_set_transaction_control(TX_CHAINED));
    t_tx(TX_OK, tx_begin());
    for (int i = 0; i < 10; i++)
        t_tx(TX_OK, tx_commit());
    t_tx(TX_OK, tx_set_transaction_control(TX_UNCHAINED));
    t_tx(TX_OK, tx_commit());
    t_tx(TX_OK, tx_close());
    assert_int_equal(fake_committed(A) + fake_committed(B), 22);
    assert_int_equal(world_records(w), 0);
}

/* What comes after the decision is told, and not returned; what comes before it is returned. */
static void later_heuristics__are_told_and_not_returned(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_DECISION_LOGGED));
    t_tx(TX_OK, tx_begin());
    fake_answer_once(B, FAKE_COMMIT, 1, XA_HEURRB);
    t_tx(TX_OK, tx_commit());
    t_tx(TX_OK, tx_begin());
    assert_non_null(strstr(w->told, "after tx_commit: mixed"));
    fake_answer_once(B, FAKE_PREPARE, 1, XA_RBDEADLOCK);
    t_tx(TX_ROLLBACK, tx_commit());
    t_tx(TX_OK, tx_close());
    assert_int_equal(world_records(w), 1); /* for an operator */
}

static int add_kept(void *user, const hf_inspect_tx *tx)
{
    for (uint32_t i = 0; i < tx->span_count; i++)
        *(uint32_t *)user |= tx->spans[i].kept;
    return 0;
}

/* Why the history keeps what it has; the node is closed. */
static uint32_t kept_because(const struct world *w)
{
    hf_inspect *in = NULL;
    uint32_t kept = 0;

    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_history(in, add_kept, &kept));
    hf_inspect_close(in);
    return kept;
}

/* Nobody waits for what goes wrong behind the call: it reaches the operator, by the log callback,
   the log and the history, and the thread's next transaction is none the worse. */
static void errors_behind_the_call__reach_the_operator(void **state)
{
    static const struct {
        int code;
        enum fake_effect effect;
        const char *says;
        unsigned records; /* that stay when all is honest again */
        uint32_t kept;
    } rows[] = {
        {XAER_RMFAIL, FAKE_STAYS,
         "after tx_commit: committed, 1 branches are owed their end: b: xa_"
         "commit answered XAER_RMFAIL",
         0, HF_KEPT_RECOVERED},
        {XA_RETRY, FAKE_STAYS, "1 branches are owed their end: b: xa_commit answered XA_RETRY", 0,
         HF_KEPT_RECOVERED},
        {XAER_PROTO, FAKE_STAYS, "b: xa_commit answered XAER_PROTO", 0, HF_KEPT_RECOVERED},
        {XAER_RMERR, FAKE_BY_TABLE, "b: xa_commit answered XAER_RMERR", 1, 0},
        {XA_HEURHAZ, FAKE_BY_TABLE, "after tx_commit: hazard", 1, 0},
        {XA_HEURMIX, FAKE_BY_TABLE, "after tx_commit: mixed", 1, 0},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tx_world_open(w, 2);
        t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_DECISION_LOGGED));
        t_tx(TX_OK, tx_begin());
        fake_answer_effect(B, FAKE_COMMIT, 1, rows[i].code, rows[i].effect);
        t_tx(TX_OK, tx_commit());
        t_tx(TX_OK, tx_begin());
        if (strstr(w->told, rows[i].says) == NULL)
            fail_msg("told: %s\nwanted: %s", w->told, rows[i].says);
        t_tx(TX_OK, tx_commit());
        t_tx(TX_OK, tx_close());
        t_tx(TX_OK, tx_open());
        assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
        t_tx(TX_OK, tx_close());
        assert_int_equal(world_records(w), rows[i].records);
        assert_int_equal(kept_because(w) & rows[i].kept, rows[i].kept);
        w = tx_world_again(state);
    }
}

static void what_is_bound_to_its_thread__is_finished_there(void **state)
{
    static const char *const keys[] = {"thread_bound = yes", "rmid = process"};
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        tx_world_configure(w, 2, NULL, keys[i]);
        t_tx(TX_OK, tx_open());
        fake_on_call(hold_commits, NULL);
        open_gate(true);
        t_tx(TX_OK, tx_set_commit_return(TX_COMMIT_DECISION_LOGGED));
        t_tx(TX_OK, tx_begin());
        t_tx(TX_OK, tx_commit());
        assert_int_equal(fake_committed(A) + fake_committed(B), 2);
        assert_true(pthread_equal(commit_thread, pthread_self()));
        t_tx(TX_OK, tx_begin()); /* at once */
        t_tx(TX_OK, tx_commit());
        fake_on_call(NULL, NULL);
        w = tx_world_again(state);
    }
}

/* -- many at once ------------------------------------------------------------------------------ */

enum { THREADS = 6, OPENINGS = 4, TRANSACTIONS = 10 };

/* Opens and closes the node again and again, while others do; transactions of both kinds. */
static int works_and_closes(void)
{
    for (int i = 0; i < OPENINGS; i++) {
        if (tx_open() != TX_OK || tx_set_commit_return(i % 2 == 0 ? TX_COMMIT_DECISION_LOGGED
                                                                  : TX_COMMIT_COMPLETED) != TX_OK)
            return 1;
        for (int n = 0; n < TRANSACTIONS; n++)
            if (tx_begin() != TX_OK || (n % 4 == 3 ? tx_rollback() : tx_commit()) != TX_OK)
                return 2;
        if (tx_close() != TX_OK)
            return 3;
    }
    return 0;
}

static void many_threads__open_work_and_close_at_once(void **state)
{
    struct world *w = *state;
    int (*work)(void) = works_and_closes;
    pthread_t threads[THREADS];
    void *ret;

    tx_world_configure(w, 2, "background = yes", NULL);
    assert_non_null(strstr(getenv("HOLDFAST_CONFIG"), "tx.ini"));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_int, &work), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &ret), 0);
        assert_int_equal((int)(intptr_t)ret, 0);
    }
    assert_null(hf_opened_tm());
    assert_int_equal(fake_open_rmids(A) + fake_open_rmids(B), 0);
    assert_int_equal(fake_committed(A), THREADS * OPENINGS * (TRANSACTIONS - 2));
    assert_int_equal(fake_committed(B), THREADS * OPENINGS * (TRANSACTIONS - 2));
    assert_int_equal(world_records(w), 0);
}

/* -- a log that fails -------------------------------------------------------------------------- */

#ifdef HF_FAULTS
static void an_outcome_that_is_not_known__is_TX_FAIL(void **state)
{
    struct world *w = *state;

    tx_world_open(w, 2);
    t_tx(TX_OK, tx_set_transaction_control(TX_CHAINED));
    t_tx(TX_OK, tx_begin());
    fault_at("store:commit-lost", "fail", 1);
    t_tx(TX_FAIL, tx_commit());
    assert_int_equal(tx_world_state(), 2); /* and nothing was begun */
    t_tx(TX_FAIL, tx_begin());
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 2); /* nobody was told anything */
    t_tx(TX_OK, tx_close());
    t_tx(TX_OK, tx_open()); /* recovery finds out */
    assert_int_equal(fake_in_doubt(A) + fake_in_doubt(B), 0);
    assert_int_equal(fake_committed(A), fake_committed(B));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_thread_that_never_opened__is_in_S0),
        T(threads__have_transactions_and_rmids_of_their_own),
        T(with_one_rmid__each_thread_opens_it),
        T(a_thread_that_ends__is_rolled_back_and_closed),
        T(a_child_after_fork__opens_for_itself_and_leaves_the_parents_alone),
        T(a_child_of_one_that_has_closed__opens_for_itself),
        T(a_child_that_cannot_open__ends_in_peace),
        T(one_that_cannot_be_opened__is_left_out),
        T(one_that_could_not_be_opened__takes_part_when_it_can_be),
        T(one_that_hangs_when_it_is_opened__holds_up_one_thread),
        T(one_that_was_lost__is_opened_again_before_the_next),
        T(rollback_only__is_shown_and_rolls_back),
        T(a_timeout__is_the_next_transactions),
        T(the_files_timeout__is_the_initial_one),
        T(phase_two__goes_on_behind_the_call),
        T(phase_two__that_hangs_holds_up_nobody_else),
        T(phase_two__is_over_when_tx_close_returns),
        T(later_heuristics__are_told_and_not_returned),
        T(errors_behind_the_call__reach_the_operator),
        T(what_is_bound_to_its_thread__is_finished_there),
        T(many_threads__open_work_and_close_at_once),
#ifdef HF_FAULTS
        T(an_outcome_that_is_not_known__is_TX_FAIL),
#endif
    };
    return cmocka_run_group_tests_name("tx.threads", tests, NULL, NULL);
}
