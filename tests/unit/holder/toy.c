/*
 * tests/unit/holder/toy.c - the toy driver, see toy.h.
 */
#include "toy.h"

#include <pthread.h>

static atomic_int inside[TOY_IDS];

static void note(struct toy *toy, hf_resid id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void note(struct toy *toy, hf_resid id, const char *format, ...)
{
    size_t used;
    va_list args;

    assert_true(id < TOY_IDS);
    if (id != 0 && atomic_fetch_add(&inside[id], 1) != 0)
        fail_msg("two callbacks at once for %u", (unsigned)id);
    (void)pthread_mutex_lock(&toy->lock);
    used = strlen(toy->trace);
    va_start(args, format);
    if (used > 0 && used + 1 < sizeof(toy->trace))
        toy->trace[used++] = ' ';
    (void)vsnprintf(toy->trace + used, sizeof(toy->trace) - used, format, args);
    va_end(args);
    (void)pthread_mutex_unlock(&toy->lock);
}

static int done(struct toy *toy, const char *call, hf_resid id, int rc)
{
    if (toy->during != NULL)
        toy->during(toy, call, id);
    if (id != 0)
        atomic_fetch_sub(&inside[id], 1);
    return rc;
}

static int create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    struct toy *toy = user;

    (void)type;
    assert_int_equal(*ret_id, 0);
    *ret_id = toy->next_id;
    if (toy->create_rc == HF_OK)
        note(toy, 0, "create %u", (unsigned)toy->next_id++);
    if (toy->idle_s != -2)
        *ret_idle_s = toy->idle_s;
    return done(toy, "create", 0, toy->create_rc);
}

static int rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    struct toy *toy = user;

    (void)type;
    assert_int_equal(*ret_rating, 0);
    note(toy, id, "rate %u%s", (unsigned)id, needs_enlist ? " tx" : "");
    *ret_rating = toy->rating[id];
    return done(toy, "rate", id, HF_OK);
}

static int enlist(void *user, hf_resid id, hf_tx *tx)
{
    note(user, id, "enlist %u %s", (unsigned)id, tx != NULL ? "tx" : "-");
    return done(user, "enlist", id, ((struct toy *)user)->enlist_rc);
}

static int reset(void *user, hf_resid id)
{
    note(user, id, "reset %u", (unsigned)id);
    return done(user, "reset", id, ((struct toy *)user)->reset_rc);
}

static int destroy(void *user, hf_resid id)
{
    note(user, id, "destroy %u", (unsigned)id);
    return done(user, "destroy", id, ((struct toy *)user)->destroy_rc);
}

static int destroy_s(void *user, const char *sid)
{
    note(user, 0, "destroy_s %s", sid);
    return done(user, "destroy_s", 0, ((struct toy *)user)->destroy_rc);
}

static void released(void *user)
{
    struct toy *toy = user;

    toy->released++;
    note(toy, 0, "released");
}

static void on_event(void *user, const hf_event *event)
{
    struct toy *toy = user;

    (void)pthread_mutex_lock(&toy->lock);
    if (toy->event_count < 64)
        toy->events[toy->event_count++] = *event;
    (void)pthread_mutex_unlock(&toy->lock);
}

static hf_owner on_owner(void *user)
{
    return ((struct toy *)user)->owner;
}

int toy_setup(void **state)
{
    struct toy *toy = calloc(1, sizeof(*toy));
    hf_manager_config config = HF_MANAGER_CONFIG_INIT;
    hf_tm_config tm_config = HF_TM_CONFIG_INIT;

    assert_non_null(toy);
    memset(inside, 0, sizeof(inside));
    (void)pthread_mutex_init(&toy->lock, NULL);
    toy->dir = t_dir_make();
    toy->next_id = 1;
    toy->idle_s = -2;
    for (unsigned i = 0; i < TOY_IDS; i++)
        toy->rating[i] = 100;
    toy->driver = (hf_driver){.size = sizeof(hf_driver),
                              .create = create,
                              .rate = rate,
                              .enlist = enlist,
                              .reset = reset,
                              .destroy = destroy,
                              .destroy_s = destroy_s,
                              .released = released};
    tm_config.dir = t_path(toy->dir, "node");
    t_ok(hf_tm_open(&tm_config, &toy->tm));
    t_ok(hf_tm_start(toy->tm, 0));
    config.tm = toy->tm;
    config.owner = on_owner;
    config.event = on_event;
    config.user = toy;
    t_ok(hf_manager_open(&config, &toy->manager));
    *state = toy;
    return 0;
}

int toy_teardown(void **state)
{
    struct toy *toy = *state;
    hf_tx *tx = hf_tx_current(toy->tm);
    unsigned left = 0;

    toy->during = NULL;
    if (tx != NULL)
        t_ok(hf_tx_rollback(tx, NULL));
    if (toy->manager != NULL)
        (void)hf_manager_close(toy->manager, 0, &left);
    assert_int_equal(left, 0);
    t_ok(hf_tm_close(toy->tm, 0, NULL));
    t_dir_remove(toy->dir);
    (void)pthread_mutex_destroy(&toy->lock);
    free(toy);
    return 0;
}

void toy_open(struct toy *toy, const hf_holder_config *config)
{
    t_ok(hf_holder_open(toy->manager, &toy->driver, toy, config, &toy->holder));
}

hf_tx *toy_begin(struct toy *toy)
{
    hf_tx *tx;

    t_ok(hf_tx_begin(toy->tm, 0, &tx));
    return tx;
}

hf_resid toy_alloc(struct toy *toy, hf_restype type)
{
    hf_resid id = 0;

    t_ok(hf_holder_alloc(toy->holder, type, &id));
    return id;
}

hf_holder_stats toy_stats(struct toy *toy)
{
    hf_holder_stats stats = {.size = sizeof(stats)};

    t_ok(hf_holder_get_stats(toy->holder, &stats));
    return stats;
}

void toy_expect(struct toy *toy, const char *trace)
{
    assert_string_equal(toy->trace, trace);
    toy->trace[0] = '\0';
}
