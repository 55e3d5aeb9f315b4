/*
 * What: what happens to a resource while one of its callbacks runs is acted on after it
 *       (holder/settle.c): its transaction ends, it is freed, its destruction is requested, the
 *       holder closes; and the order of callbacks around a transaction.
 * How:  a toy driver whose callbacks call the holder back, and whose trace is compared.
 */
#include "toy.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, toy_setup, toy_teardown)

static void holder__goes_through_a_life_in_order(void **state)
{
    struct toy *toy = *state;
    hf_tx *tx;
    hf_resid id;

    toy_open(toy, NULL);
    tx = toy_begin(toy);
    id = toy_alloc(toy, 7);
    t_ok(hf_holder_free(toy->holder, id));
    toy_expect(toy, "create 1 enlist 1 tx reset 1");
    assert_int_equal(toy_alloc(toy, 7), id);
    t_ok(hf_holder_free(toy->holder, id));
    toy_expect(toy, "rate 1 reset 1");
    assert_int_equal(toy_stats(toy).idle_enlisted, 1);
    t_ok(hf_tx_commit(tx, NULL));
    assert_int_equal(toy_stats(toy).idle, 1);
    assert_int_equal(toy_alloc(toy, 7), id);
    toy_expect(toy, "rate 1 enlist 1 -");
    t_ok(hf_holder_free(toy->holder, id));
    t_ok(hf_holder_close(toy->holder, HF_CLOSE_WAIT, 0, NULL));
    toy_expect(toy, "reset 1 destroy 1 released");
    t_ok(hf_holder_release(toy->holder));
}

/* -- the transaction ends meanwhile ------------------------------------------------------------ */

static void end_tx_in(struct toy *toy, const char *call, hf_resid id)
{
    (void)id;
    if (strcmp(call, "reset") == 0 || strcmp(call, "enlist") == 0)
        t_ok(hf_tx_rollback(hf_tx_current(toy->tm), NULL));
}

static void settle__files_no_late_free_under_a_dead_transaction(void **state)
{
    struct toy *toy = *state;
    hf_resid id;

    toy_open(toy, NULL);
    (void)toy_begin(toy);
    id = toy_alloc(toy, 7);
    toy->during = end_tx_in;
    t_ok(hf_holder_free(toy->holder, id));
    toy->during = NULL;
    assert_int_equal(toy_stats(toy).idle, 1);
    assert_int_equal(toy_stats(toy).idle_enlisted, 0);
}

static void alloc__fails_when_its_transaction_ends_in_enlist(void **state)
{
    struct toy *toy = *state;
    hf_resid id = 77;

    toy_open(toy, NULL);
    (void)toy_begin(toy);
    toy->during = end_tx_in;
    t_rc(HF_EROLLEDBACK, hf_holder_alloc(toy->holder, 7, &id));
    toy->during = NULL;
    assert_int_equal(id, 77);
    assert_int_equal(toy_stats(toy).idle, 1);
    toy_expect(toy, "create 1 enlist 1 tx");
}

/* -- tx_end ------------------------------------------------------------------------------------ */

static int tx_end(void *user, hf_resid id, const XID *xid, hf_outcome outcome)
{
    struct toy *toy = user;
    size_t used = strlen(toy->trace);

    assert_int_equal(xid->formatID, HF_XID_FORMAT);
    (void)snprintf(toy->trace + used, sizeof(toy->trace) - used, "%stx_end %u %s",
                   used > 0 ? " " : "", (unsigned)id, hf_outcome_name((int)outcome));
    if (toy->during != NULL)
        toy->during(toy, "tx_end", id);
    return toy->tx_end_rc;
}

static void free_in(struct toy *toy, const char *call, hf_resid id)
{
    if (strcmp(call, "tx_end") == 0)
        t_ok(hf_holder_free(toy->holder, id));
}

static void settle__frees_after_the_end_what_was_freed_in_it(void **state)
{
    struct toy *toy = *state;
    hf_tx *tx;
    hf_resid id;

    toy->driver.tx_end = tx_end;
    toy_open(toy, NULL);
    tx = toy_begin(toy);
    id = toy_alloc(toy, 7);
    toy->during = free_in;
    t_ok(hf_tx_commit(tx, NULL));
    toy_expect(toy, "create 1 enlist 1 tx tx_end 1 committed reset 1");
    t_rc(HF_EINVAL, hf_holder_free(toy->holder, id));
    assert_int_equal(toy_stats(toy).idle, 1);
}

static void settle__destroys_what_tx_end_finds_broken(void **state)
{
    struct toy *toy = *state;
    hf_tx *tx;
    hf_resid id;

    toy->driver.tx_end = tx_end;
    toy->tx_end_rc = -5;
    toy_open(toy, NULL);
    tx = toy_begin(toy);
    id = toy_alloc(toy, 7);
    t_ok(hf_tx_rollback(tx, NULL));
    toy_expect(toy, "create 1 enlist 1 tx tx_end 1 rolledback");
    t_ok(hf_holder_free(toy->holder, id));
    toy_expect(toy, "destroy 1");
}

/* -- requests in callbacks --------------------------------------------------------------------- */

static void request_in_rate(struct toy *toy, const char *call, hf_resid id)
{
    if (strcmp(call, "rate") == 0)
        t_ok(hf_holder_request_destroy(toy->holder, id));
}

static void request__within_rate_destroys_after_it(void **state)
{
    struct toy *toy = *state;

    toy_open(toy, NULL);
    t_ok(hf_holder_free(toy->holder, toy_alloc(toy, 7)));
    toy->trace[0] = '\0';
    toy->during = request_in_rate;
    assert_int_equal(toy_alloc(toy, 7), 2);
    toy->during = NULL;
    toy_expect(toy, "rate 1 destroy 1 create 2");
    t_ok(hf_holder_free(toy->holder, 2));
}

static void everything_in_reset(struct toy *toy, const char *call, hf_resid id)
{
    if (strcmp(call, "reset") != 0)
        return;
    t_rc(HF_EINVAL, hf_holder_free(toy->holder, id));
    t_rc(HF_EINVAL, hf_holder_untrack(toy->holder, id, 1));
    t_rc(HF_EINVAL, hf_holder_track(toy->holder, id));
    t_rc(HF_ESTATE, hf_manager_close(toy->manager, 0, NULL));
    t_ok(hf_holder_request_destroy(toy->holder, id));
    t_rc(HF_EINVAL, hf_holder_request_destroy(toy->holder, id));
    t_ok(hf_holder_close(toy->holder, HF_CLOSE_DETACH, 0, NULL));
    t_rc(HF_ECLOSED, hf_holder_request_destroy(toy->holder, id));
    t_ok(hf_holder_release(toy->holder));
}

static void callbacks__may_call_for_their_own_resource(void **state)
{
    struct toy *toy = *state;

    toy_open(toy, NULL);
    toy->during = everything_in_reset;
    t_ok(hf_holder_free(toy->holder, toy_alloc(toy, 7)));
    toy->during = NULL;
    toy_expect(toy, "create 1 reset 1 destroy 1 released");
    t_ok(hf_manager_close(toy->manager, 0, NULL));
    toy->manager = NULL;
}

/* -- rating ------------------------------------------------------------------------------------ */

static void fill(struct toy *toy, unsigned count)
{
    hf_resid ids[TOY_IDS];

    for (unsigned i = 0; i < count; i++) {
        hf_alloc request = HF_ALLOC_INIT;

        t_ok(hf_holder_alloc_with(toy->holder, 7, &request, &ids[i]));
    }
    for (unsigned i = 0; i < count; i++)
        t_ok(hf_holder_free(toy->holder, ids[i]));
    toy->trace[0] = '\0';
}

static void rating__the_best_wins_and_losers_keep_their_places(void **state)
{
    struct toy *toy = *state;
    hf_resid id;

    toy_open(toy, NULL);
    fill(toy, 4); /* 4 was used last */
    toy->rating[4] = 10;
    toy->rating[3] = 60;
    toy->rating[2] = 0;
    toy->rating[1] = 60;
    id = toy_alloc(toy, 7);
    assert_int_equal(id, 3);
    toy_expect(toy, "rate 4 rate 3 rate 2 rate 1");
    t_ok(hf_holder_free(toy->holder, id));
    toy->rating[4] = 100;
    toy->rating[3] = 0;
    toy->trace[0] = '\0';
    id = toy_alloc(toy, 7);
    assert_int_equal(id, 4);
    toy_expect(toy, "rate 3 rate 4");
    t_ok(hf_holder_free(toy->holder, id));
}

static void rating__above_a_hundred_is_dead(void **state)
{
    struct toy *toy = *state;

    toy_open(toy, NULL);
    fill(toy, 2);
    toy->rating[2] = HF_RATING_DEAD;
    toy->event_count = 0;
    assert_int_equal(toy_alloc(toy, 7), 1);
    toy_expect(toy, "rate 2 rate 1 destroy 2");
    assert_int_equal(toy->event_count, 3);
    assert_int_equal(toy->events[0].kind, HF_EVENT_INVALID);
    assert_int_equal(toy->events[1].kind, HF_EVENT_DESTROY);
    assert_int_equal(toy->events[2].kind, HF_EVENT_ALLOCATE);
    assert_int_equal(toy->events[2].rated, 2);
    assert_int_equal(toy->events[2].rating, 100);
    t_ok(hf_holder_free(toy->holder, 1));
}

static void full__the_one_idle_longest_makes_room(void **state)
{
    struct toy *toy = *state;
    hf_holder_config config = HF_HOLDER_CONFIG_INIT;
    hf_resid id;

    config.max = 2;
    toy_open(toy, &config);
    fill(toy, 2);
    toy->rating[1] = toy->rating[2] = 0;
    assert_int_equal(toy_alloc(toy, 7), 3);
    toy_expect(toy, "rate 2 rate 1 destroy 1 create 3");
    assert_int_equal(toy_alloc(toy, 7), 4);
    t_rc(HF_ELIMIT, hf_holder_alloc(toy->holder, 7, &id));
    t_ok(hf_holder_free(toy->holder, 3));
    t_ok(hf_holder_free(toy->holder, 4));
}

/* -- tracking ---------------------------------------------------------------------------------- */

static void tracked__is_destroyed_after_both_in_either_order(void **state)
{
    struct toy *toy = *state;
    hf_tx *tx;

    toy_open(toy, NULL);
    tx = toy_begin(toy);
    t_ok(hf_holder_track(toy->holder, 50));
    t_rc(HF_EINVAL, hf_holder_track(toy->holder, 50));
    t_rc(HF_EINVAL, hf_holder_free(toy->holder, 50));
    t_ok(hf_holder_untrack(toy->holder, 50, 1));
    toy_expect(toy, "enlist 50 tx");
    t_ok(hf_tx_commit(tx, NULL));
    toy_expect(toy, "destroy 50");
    tx = toy_begin(toy);
    t_ok(hf_holder_track(toy->holder, 51));
    t_ok(hf_tx_commit(tx, NULL));
    t_ok(hf_holder_untrack(toy->holder, 51, 1));
    toy_expect(toy, "enlist 51 tx destroy 51");
    toy->owner = 9;
    t_ok(hf_holder_track_s(toy->holder, "a thing"));
    t_ok(hf_manager_owner_end(toy->manager, 9));
    toy_expect(toy, "destroy_s a thing");
    t_rc(HF_EINVAL, hf_holder_untrack_s(toy->holder, "a thing", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(holder__goes_through_a_life_in_order),
        T(settle__files_no_late_free_under_a_dead_transaction),
        T(alloc__fails_when_its_transaction_ends_in_enlist),
        T(settle__frees_after_the_end_what_was_freed_in_it),
        T(settle__destroys_what_tx_end_finds_broken),
        T(request__within_rate_destroys_after_it),
        T(callbacks__may_call_for_their_own_resource),
        T(rating__the_best_wins_and_losers_keep_their_places),
        T(rating__above_a_hundred_is_dead),
        T(full__the_one_idle_longest_makes_room),
        T(tracked__is_destroyed_after_both_in_either_order),
    };
    return cmocka_run_group_tests_name("holder.settle", tests, NULL, NULL);
}
