/*
 * What: the process of an allocation as COM+ has it, step by step; a resource that cannot be made,
 *       an initial inventory, and every answer that a driver may give when it destroys.
 * How:  a scripted driver; its trace is printed for who wants to follow the eight steps.
 */
#include "support/fake_driver.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, pool_setup, pool_teardown)

/* -- the eight steps --------------------------------------------------------------------------- */

enum { TYPE = 7 };

/* Three resources that the transaction may have, and one that it may not: 1 is enlisted in another
   transaction, 2 in this one, 3 and 4 in none. */
static hf_tx *set_the_scene(struct pool *p, hf_tx **ret_other)
{
    hf_resid two, three, four;
    hf_tx *mine;

    *ret_other = pool_begin(p);
    pool_free(p, pool_alloc(p, TYPE));
    t_ok(hf_tx_suspend(*ret_other));
    mine = pool_begin(p);
    two = pool_alloc(p, TYPE);
    t_ok(pool_alloc_plain(p, TYPE, &three));
    t_ok(pool_alloc_plain(p, TYPE, &four));
    assert_int_equal(two, 2);
    assert_int_equal(three, 3);
    assert_int_equal(four, 4);
    pool_free(p, two);
    pool_free(p, three);
    pool_free(p, four);
    drv_clear(p->d);
    return mine;
}

static void show(struct pool *p, const char *step)
{
    print_message("    %-28s %s\n", step, p->d->trace);
}

/* Steps 1 to 8 of "Resource Dispenser Resource Allocation Process". */
static void the_eight_steps_of_an_allocation(void **state)
{
    struct pool *p = *state;
    const hf_restype type = TYPE; /* 1: the dispenser declares what it needs */
    hf_resid id = 0;
    hf_tx *mine, *other;

    pool_open(p);
    mine = set_the_scene(p, &other);

    /* 2: it asks the holder. 3: the candidates are 2, enlisted in the caller's transaction, then 4
       and 3, enlisted in none; never 1. 4: each is rated. 5: the highest wins. 7: it is enlisted,
       for it was not. 8: the call returns with it. */
    drv_rate(p->d, TYPE, 2, 0, 40);
    drv_rate(p->d, TYPE, 3, 1, 60);
    drv_rate(p->d, TYPE, 4, 1, 20);
    t_ok(hf_holder_alloc(p->h, type, &id));
    assert_int_equal(id, 3);
    show(p, "the highest, and enlist:");
    drv_expect(p->d, "rate(7,2,0)=40 rate(7,4,1)=20 rate(7,3,1)=60 enlist(3,T)");
    pool_free(p, id);
    drv_clear(p->d);

    /* 6: a perfect fit ends it early; 7: what is enlisted already is not enlisted again. */
    drv_rate(p->d, TYPE, 3, 0, 100);
    t_ok(hf_holder_alloc(p->h, type, &id));
    assert_int_equal(id, 3);
    show(p, "a perfect fit:");
    drv_expect(p->d, "rate(7,3,0)=100");
    pool_free(p, id);
    drv_clear(p->d);

    /* 6: if all are unusable, one is made, and enlisted. */
    drv_rate(p->d, TYPE, 0, -1, 0);
    t_ok(hf_holder_alloc(p->h, type, &id));
    assert_int_equal(id, 5);
    show(p, "none is usable:");
    drv_expect(p->d, "rate(7,3,0)=0 rate(7,2,0)=0 rate(7,4,1)=0 create(7)=5 enlist(5,T)");
    pool_free(p, id);

    t_ok(hf_tx_commit(mine, NULL));
    t_ok(hf_tx_resume(other));
    t_ok(hf_tx_commit(other, NULL));
    assert_int_equal(pool_stats(p).idle, 5);
}

/* -- the measure itself ------------------------------------------------------------------------ */

static void reset_within_reset(void *user, enum drv_call call, hf_resid id)
{
    struct pool *p = user;
    hf_driver table = drv_table(p->d);

    drv_on_call(p->d, NULL, NULL);
    if (call == DRV_RESET)
        (void)table.reset(p->d, id);
}

/* What the driver is there to notice, it notices: here a holder that does everything wrong. */
static void the_driver_notes_what_a_holder_must_not_do(void **state)
{
    static const char *const notes[] = {"1 has two owners", "reset(1) overlaps",
                                        "destroy(1): it does not exist", "9 was given out",
                                        "after the last released"};
    struct pool *p = *state;
    hf_driver table = drv_table(p->d);
    hf_resid id = 0;
    int32_t idle_s = 0;

    p->d->holders = 1;
    t_ok(table.create(p->d, TYPE, &id, &idle_s));
    drv_take(p->d, id);
    drv_take(p->d, id);
    drv_on_call(p->d, reset_within_reset, p);
    t_ok(table.reset(p->d, id));
    t_ok(table.destroy(p->d, id));
    t_ok(table.destroy(p->d, id));
    drv_take(p->d, 9);
    table.released(p->d);
    (void)table.create(p->d, TYPE, &id, &idle_s);
    for (unsigned n = 0; n < sizeof(notes) / sizeof(*notes); n++)
        if (strstr(p->d->wrong, notes[n]) == NULL)
            fail_msg("'%s' is not noted, but: %s", notes[n], p->d->wrong);
    p->d->wrong[0] = '\0'; /* or pool_teardown() fails */
    drv_unmade(p->d, id);
}

/* -- CreateResource ---------------------------------------------------------------------------- */

static void CreateResource__E_FAIL(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;

    pool_open(p);
    drv_answer_once(p->d, DRV_CREATE, 0, -5);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, TYPE, &id));
    assert_int_equal(hf_error_last()->code, HF_EDRIVER);
    assert_int_equal(hf_error_last()->native_code, -5);
    assert_int_equal(id, 99);
    drv_expect(p->d, "create(7)!-5");
    drv_told(p->d, "");
    assert_int_equal(pool_stats(p).failed_create, 1);
    assert_int_equal(pool_stats(p).created, 0);
    assert_int_equal(pool_alloc(p, TYPE), 2);
    pool_free(p, 2);
}

static void CreateResource__E_FAIL_within_a_transaction(void **state)
{
    struct pool *p = *state;
    hf_resid id = 99;
    hf_tx *tx;

    pool_open(p);
    tx = pool_begin(p);
    drv_answer_once(p->d, DRV_CREATE, 0, HF_EDRIVER);
    t_rc(HF_EDRIVER, hf_holder_alloc(p->h, TYPE, &id));
    drv_expect(p->d, "create(7)!EDRIVER");
    assert_int_equal(id, 99);
    t_ok(hf_tx_commit(tx, NULL));
}

static void CreateResource__sets_up_initial_inventory(void **state)
{
    struct pool *p = *state;
    hf_resid id;

    pool_open(p);
    t_ok(hf_holder_stock(p->h, TYPE, 3));
    drv_expect(p->d, "create(7)=1 create(7)=2 create(7)=3");
    assert_int_equal(pool_stats(p).idle, 3);
    assert_int_equal(pool_stats(p).created, 3);
    assert_int_equal(pool_stats(p).allocated, 0);
    assert_int_equal(drv_events(p->d, HF_EVENT_ALLOCATE), 0);
    drv_clear(p->d);
    id = pool_alloc(p, TYPE); /* one of those */
    assert_in_range(id, 1, 3);
    assert_int_equal(drv_calls(p->d, DRV_CREATE), 3);
    pool_free(p, id);
}

static void CreateResource__E_FAIL_in_initial_inventory(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    drv_answer_once(p->d, DRV_CREATE, 0, -5);
    t_rc(HF_EDRIVER, hf_holder_stock(p->h, TYPE, 2));
    pool_sweep_until(p, 2); /* it is tried again */
    assert_int_equal(pool_stats(p).idle, 2);
}

static void CreateResource__says_how_long_it_may_lie_idle(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    (void)pool_alloc(p, TYPE);
    assert_int_equal(p->d->preset_idle_s, HF_IDLE_PRESET);
    assert_int_equal(p->d->preset_id, 0);
    pool_free(p, 1); /* a driver that does not write the limit is good */
    assert_int_equal(pool_stats(p).idle, 1);
}

/* -- DestroyResource --------------------------------------------------------------------------- */

/* Each occasion on which an id is destroyed by a driver that answers `code`. */
static void destroy_by_all_ways(struct pool *p, int code)
{
    hf_resid id;

    pool_open(p);
    drv_answer(p->d, DRV_DESTROY, 0, code);

    pool_fill(p, TYPE, 1);
    t_rc(HF_EDRIVER, hf_holder_request_destroy(p->h, 1));
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].id, 1);
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].code, code);
    t_rc(HF_EINVAL, hf_holder_request_destroy(p->h, 1)); /* it is forgotten */

    drv_made(p->d, 50);
    t_ok(hf_holder_track(p->h, 50));
    t_rc(HF_EDRIVER, hf_holder_untrack(p->h, 50, 1));
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].id, 50);
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].code, code);
    t_rc(HF_EINVAL, hf_holder_untrack(p->h, 50, 1));

    id = pool_alloc(p, TYPE); /* the inventory is empty: a new one */
    assert_int_equal(id, 2);
    pool_free(p, id);
    t_ok(hf_holder_flush(p->h, 0, HF_FLUSH_IDLE));
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].id, 2);
    assert_int_equal(pool_stats(p).idle, 0);
    assert_true(pool_stats(p).destroy_failed >= 2);

    id = pool_alloc(p, TYPE);
    pool_free(p, id);
    t_ok(hf_holder_close(p->h, HF_CLOSE_WAIT, 0, NULL));
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].id, 3);
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].code, code);
}

static void DestroyResource__S_OK(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    pool_fill(p, TYPE, 1);
    t_ok(hf_holder_request_destroy(p->h, 1));
    drv_expect(p->d, "destroy(1)");
    drv_told(p->d, "destroy(1)");
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].code, HF_OK);
    assert_int_equal(pool_stats(p).destroyed, 1);
    assert_int_equal(pool_stats(p).destroy_failed, 0);
}

static void DestroyResource__E_NOTIMPL(void **state)
{
    destroy_by_all_ways(*state, HF_ENOTIMPL);
}

static void DestroyResource__E_FAIL(void **state)
{
    destroy_by_all_ways(*state, -5);
}

static void DestroyResourceS__E_NOTIMPL_and_E_FAIL(void **state)
{
    struct pool *p = *state;

    pool_open(p);
    for (int n = 0; n < 2; n++) {
        int code = n == 0 ? HF_ENOTIMPL : -5;

        drv_answer(p->d, DRV_DESTROY_S, 0, code);
        t_ok(hf_holder_track_s(p->h, "a to b"));
        t_rc(HF_EDRIVER, hf_holder_untrack_s(p->h, "a to b", 1));
        assert_int_equal(p->d->event[HF_EVENT_DESTROY].code, code);
        assert_string_equal(p->d->event[HF_EVENT_DESTROY].sid, "a to b");
        t_rc(HF_EINVAL, hf_holder_untrack_s(p->h, "a to b", 1));
    }
    assert_int_equal(drv_calls(p->d, DRV_DESTROY), 0);
}

/* A driver need have only one of the two. */
static void DestroyResource__is_not_needed_beside_DestroyResourceS(void **state)
{
    struct pool *p = *state;
    hf_driver table = drv_table(p->d);

    table.destroy = NULL;
    pool_open(p);
    p->d->holders++;
    t_ok(hf_holder_open(p->m, &table, p->d, NULL, &p->h));
    t_ok(hf_holder_track_s(p->h, "s"));
    t_ok(hf_holder_untrack_s(p->h, "s", 1));
    drv_expect(p->d, "destroy_s(s)");
    (void)pool_alloc(p, TYPE);
    pool_free(p, 1);
    t_rc(HF_EDRIVER, hf_holder_request_destroy(p->h, 1)); /* as if it answered E_NOTIMPL */
    assert_int_equal(p->d->event[HF_EVENT_DESTROY].code, HF_ENOTIMPL);
    drv_unmade(p->d, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_eight_steps_of_an_allocation),
        T(the_driver_notes_what_a_holder_must_not_do),
        T(CreateResource__E_FAIL),
        T(CreateResource__E_FAIL_within_a_transaction),
        T(CreateResource__sets_up_initial_inventory),
        T(CreateResource__E_FAIL_in_initial_inventory),
        T(CreateResource__says_how_long_it_may_lie_idle),
        T(DestroyResource__S_OK),
        T(DestroyResource__E_NOTIMPL),
        T(DestroyResource__E_FAIL),
        T(DestroyResourceS__E_NOTIMPL_and_E_FAIL),
        T(DestroyResource__is_not_needed_beside_DestroyResourceS),
    };
    return cmocka_run_group_tests_name("holder.seed", tests, NULL, NULL);
}
