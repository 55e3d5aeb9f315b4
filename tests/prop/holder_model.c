/*
 * What: the holder does what a simple model of it says, call by call and callback by callback.
 * How:  a seeded scheduler runs operations of 8 simulated threads one after the other; each has a
 *       transaction of its own, which is resumed for its operations and suspended after them. The
 *       model says beforehand which callbacks come, in which order, draws their answers, and says
 *       what the call returns; the driver compares. Every thousand operations the counters are
 *       compared, too. A difference prints the seed, which replays it exactly.
 *
 *   prop_holder_model [--operations N] [--seed N]
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "holdfast/holder.h"
#include "holdfast/internal/fault.h"

enum { SIMULATED = 8, TYPES = 3, LIVE_MAX = 96, EXPECTED_MAX = 1024, FAILED = -7, NOBODY = -1 };

enum call { CREATE, RATE, ENLIST, RESET, DESTROY, ADAPT, VALIDATE, SUSPEND, RESUME, TX_END, CLEAN };
static const char *const call_names[] = {"create",  "rate",   "enlist",   "reset",
                                         "destroy", "adapt",  "validate", "suspend",
                                         "resume",  "tx_end", "clean"};

enum where { IDLE, KEPT, USED, TRACKED };

/* A resource, as the model sees it. Lists are in the order of `stamp`, the newest first. */
struct thing {
    hf_resid id;
    hf_restype type;
    hf_owner owner;
    enum where where;
    int tx; /* the simulated thread whose transaction it is enlisted in */
    unsigned long long placed, joined; /* stamps */
    bool unpooled, dirty, unclean, doomed, requested, active, released;
};

/* A callback that has to come, and its answer. */
struct expected {
    enum call call;
    hf_resid id;
    long detail; /* rate: needs_enlist; enlist: with a transaction; create: the type */
    int answer;
    uint32_t rating;
    bool unpooled;
    bool done;
};

static struct {
    struct thing things[LIVE_MAX];
    unsigned count;
    bool strict, paused;
    uint32_t max;
    hf_resid next_id;
    unsigned long long stamp;
    hf_tx *tx[SIMULATED];
    bool spoilt[SIMULATED]; /* rollback-only */
    uint64_t created, destroyed, allocated, reused;
    struct expected expected[EXPECTED_MAX];
    unsigned expected_count, next;
    bool unordered; /* the holder may choose the order */
} m;

static hf_tm *tm;
static hf_manager *manager;
static hf_holder *holder;
static hf_owner current_owner;
static unsigned long long seed = 1, operation, dice;
static const char *doing = "";

static void differ(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void differ(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fprintf(stderr, "holder_model: operation %llu, %s: ", operation, doing);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nagain: prop_holder_model --operations %llu --seed %llu\n", operation,
                  seed);
    va_end(args);
    for (unsigned i = 0; i < m.expected_count; i++)
        (void)fprintf(stderr, "    expected: %s %lu %ld%s\n", call_names[m.expected[i].call],
                      (unsigned long)m.expected[i].id, m.expected[i].detail,
                      m.expected[i].done ? ", came" : "");
    for (unsigned i = 0; i < m.count; i++)
        (void)fprintf(stderr, "    there: %lu type %lu place %d in %d%s%s\n",
                      (unsigned long)m.things[i].id, (unsigned long)m.things[i].type,
                      (int)m.things[i].where, m.things[i].tx, m.things[i].doomed ? " doomed" : "",
                      m.things[i].unpooled ? " unpooled" : "");
    _exit(1);
}

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 11) % sides);
}

/* -- the model: what is there ------------------------------------------------------------------ */

static struct thing *find(hf_resid id)
{
    for (unsigned i = 0; i < m.count; i++)
        if (m.things[i].id == id)
            return &m.things[i];
    return NULL;
}

static unsigned pooled(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < m.count; i++)
        count += m.things[i].where != TRACKED;
    return count;
}

/* The newest before that stamp, in a place. */
static struct thing *next_in(enum where where, int tx, unsigned long long before)
{
    struct thing *found = NULL;

    for (unsigned i = 0; i < m.count; i++) {
        struct thing *t = &m.things[i];

        if (t->where == where && t->tx == tx && t->placed < before &&
            (found == NULL || t->placed > found->placed))
            found = t;
    }
    return found;
}

static void put(struct thing *t, enum where where)
{
    t->where = where;
    t->placed = ++m.stamp;
}

/* -- the model: what has to come --------------------------------------------------------------- */

static struct expected *expect(enum call call, hf_resid id, long detail, int answer)
{
    struct expected *e = &m.expected[m.expected_count++];

    if (m.expected_count == EXPECTED_MAX)
        differ("too many callbacks for the model");
    *e = (struct expected){.call = call, .id = id, .detail = detail, .answer = answer};
    return e;
}

static int fails(unsigned one_in)
{
    return roll(one_in) == 0 ? FAILED : HF_OK;
}

static int destroy(struct thing *t)
{
    int answer = fails(20);

    expect(DESTROY, t->id, 0, answer);
    m.destroyed++;
    *t = m.things[--m.count];
    return answer;
}

/* It is nobody's, and in no transaction or in a running one. The answer of destroy, if it came. */
static int settle(struct thing *t)
{
    if (t->active) {
        int answer = fails(100);

        expect(SUSPEND, t->id, 0, answer);
        t->active = false;
        t->doomed = t->doomed || answer != HF_OK;
    }
    if (t->tx != NOBODY) {
        put(t, KEPT);
        return HF_OK;
    }
    if (t->unclean && !t->doomed && !t->unpooled) {
        int answer = fails(70);

        expect(CLEAN, t->id, 0, answer);
        t->unclean = false;
        t->doomed = answer != HF_OK;
    }
    if (t->doomed || t->unpooled || (m.max != 0 && pooled() > m.max))
        return destroy(t);
    put(t, IDLE);
    return HF_OK;
}

/* -- the model: an allocation ------------------------------------------------------------------ */

struct search {
    hf_restype type;
    int tx;
    hf_resid best; /* ids: things move when one is destroyed */
    uint32_t rating;
    hf_resid dead[LIVE_MAX];
    unsigned dead_count;
};

static void rate_all(struct search *s, enum where where, int tx, long needs_enlist)
{
    unsigned long long before = ~0ULL;
    struct thing *t;

    while (s->rating < HF_RATING_PERFECT && (t = next_in(where, tx, before)) != NULL) {
        struct expected *e;

        before = t->placed;
        if (t->doomed)
            continue;
        e = expect(RATE, t->id, needs_enlist, fails(300));
        if (t->type == s->type || roll(6) == 0)
            e->rating = roll(3) == 0 ? 1 + roll(99) : 100;
        if (roll(300) == 0)
            e->rating = 101 + roll(9);
        if (e->answer != HF_OK || e->rating > HF_RATING_PERFECT) {
            t->doomed = true;
            s->dead[s->dead_count++] = t->id;
        } else if (e->rating > s->rating) {
            s->best = t->id;
            s->rating = e->rating;
        }
    }
}

static void search(struct search *s)
{
    s->best = 0;
    s->rating = 0;
    s->dead_count = 0;
    if (s->tx != NOBODY)
        rate_all(s, KEPT, s->tx, 0);
    if (!m.paused && !(s->best != 0 && m.strict))
        rate_all(s, IDLE, NOBODY, s->tx != NOBODY);
    for (unsigned i = 0; i < s->dead_count; i++)
        (void)settle(find(s->dead[i]));
}

static struct thing *add(hf_resid id, hf_restype type)
{
    struct thing *t = &m.things[m.count++];

    if (m.count == LIVE_MAX)
        differ("too many resources for the model");
    *t = (struct thing){.id = id, .type = type, .tx = NOBODY, .where = USED};
    return t;
}

static int make(const struct search *s, hf_resid *ret)
{
    struct expected *e = expect(CREATE, m.next_id, (long)s->type, fails(30));

    if (e->answer != HF_OK)
        return HF_EDRIVER;
    e->unpooled = roll(25) == 0;
    add(m.next_id, s->type)->unpooled = e->unpooled;
    m.created++;
    *ret = m.next_id++;
    return HF_OK;
}

/* The best there is, or a new one; its id. */
static int obtain(struct search *s, hf_resid *ret, bool *ret_made)
{
    struct thing *oldest = NULL;

    for (;;) {
        struct thing *t;
        int answer;

        search(s);
        if (s->best == 0)
            break;
        t = find(s->best);
        *ret = s->best;
        if (t->tx != NOBODY)
            return HF_OK;
        answer = fails(60);
        expect(VALIDATE, t->id, 0, answer);
        if (answer == HF_OK)
            return HF_OK;
        t->where = USED;
        (void)destroy(t);
    }
    if (m.paused)
        return HF_ELIMIT;
    if (m.max != 0 && pooled() >= m.max) {
        for (struct thing *t = next_in(IDLE, NOBODY, ~0ULL); t != NULL;
             t = next_in(IDLE, NOBODY, t->placed))
            oldest = t;
        if (oldest == NULL)
            return HF_ELIMIT;
        (void)destroy(oldest);
        if (pooled() >= m.max) { /* it was made smaller, and is not small yet */
            hf_restype type = s->type;
            int tx = s->tx;

            *s = (struct search){.type = type, .tx = tx};
            return 1;
        }
    }
    *ret_made = true;
    return make(s, ret);
}

static int fail_with(struct thing *t, bool doom, int rc)
{
    t->where = USED;
    t->doomed = t->doomed || doom;
    (void)settle(t);
    return rc;
}

static int adapt(struct thing *t)
{
    int answer = fails(40);

    expect(ADAPT, t->id, (long)t->type, answer);
    return answer;
}

static int resume(struct thing *t, uint32_t rating)
{
    int answer = roll(150) == 0 ? (roll(2) == 0 ? HF_EENLIST : FAILED) : HF_OK;

    expect(RESUME, t->id, 0, answer);
    t->active = answer == HF_OK;
    if (answer != HF_OK)
        return fail_with(t, true, answer == HF_EENLIST ? HF_EENLIST : HF_EDRIVER);
    if (rating < HF_RATING_PERFECT && adapt(t) != HF_OK)
        return fail_with(t, true, HF_EDRIVER);
    return HF_OK;
}

static int enlist(struct thing *t, int tx)
{
    int answer = HF_OK;

    if (roll(40) == 0)
        answer = roll(3) == 0 ? FAILED : roll(2) == 0 ? HF_EENLIST : HF_NOT_ENLISTABLE;
    expect(ENLIST, t->id, tx != NOBODY, answer);
    if (answer == HF_OK && tx != NOBODY) {
        t->tx = tx;
        t->joined = ++m.stamp;
        t->dirty = t->active = true;
    } else if (answer == HF_OK || answer == HF_NOT_ENLISTABLE) {
        t->dirty = t->dirty && tx != NOBODY;
    } else {
        t->dirty = true;
        return fail_with(t, answer != HF_EENLIST, answer == HF_EENLIST ? HF_EENLIST : HF_EDRIVER);
    }
    return HF_OK;
}

static int model_alloc(hf_restype type, int tx, hf_owner owner, hf_resid *ret)
{
    struct search s = {.type = type, .tx = tx};
    bool made = false, reused;
    struct thing *t;
    int rc;

    if (tx != NOBODY && m.spoilt[tx])
        return HF_EROLLEDBACK;
    do {
        rc = obtain(&s, ret, &made);
    } while (rc == 1);
    if (rc != HF_OK)
        return rc;
    t = find(*ret);
    t->where = USED;
    reused = t->tx != NOBODY;
    if (reused) {
        rc = resume(t, s.rating);
    } else {
        if (!made && s.rating < HF_RATING_PERFECT && adapt(t) != HF_OK)
            return fail_with(t, true, HF_EDRIVER);
        if (tx != NOBODY || t->dirty)
            rc = enlist(t, tx);
    }
    if (rc != HF_OK)
        return rc;
    t->owner = owner;
    t->unclean = true;
    m.allocated++;
    m.reused += reused;
    return HF_OK;
}

/* -- the model: everything else ---------------------------------------------------------------- */

static int model_free(hf_resid id)
{
    struct thing *t = find(id);
    int answer = HF_OK;

    if (t == NULL || t->where != USED)
        return HF_EINVAL;
    if (!t->doomed && (t->tx != NOBODY || !t->unpooled)) {
        answer = fails(50);
        expect(RESET, id, 0, answer);
        t->doomed = answer != HF_OK;
    }
    (void)settle(t);
    return answer == HF_OK ? HF_OK : HF_EDRIVER;
}

static int model_request(hf_resid id)
{
    struct thing *t = find(id);

    if (t == NULL || t->where == TRACKED || t->requested)
        return HF_EINVAL;
    t->requested = t->doomed = true;
    if (t->where == KEPT)
        return HF_OK;
    return settle(t) == HF_OK ? HF_OK : HF_EDRIVER;
}

static void model_end(int tx)
{
    for (;;) {
        struct thing *t = NULL;
        int answer = fails(60);

        for (unsigned i = 0; i < m.count; i++)
            if (m.things[i].tx == tx && (t == NULL || m.things[i].joined > t->joined))
                t = &m.things[i];
        if (t == NULL)
            break;
        expect(TX_END, t->id, 0, answer);
        t->doomed = t->doomed || answer != HF_OK;
        t->tx = NOBODY;
        t->active = false;
        if (t->where == KEPT)
            (void)settle(t);
        else if (t->where == TRACKED && t->released)
            (void)destroy(t);
    }
    m.tx[tx] = NULL;
    m.spoilt[tx] = false;
}

static void model_flush(hf_restype type, hf_flush what)
{
    m.unordered = true;
    for (unsigned i = m.count; i-- > 0;) {
        struct thing *t = &m.things[i];

        if (t->where == TRACKED || (type != 0 && t->type != type) ||
            (what == HF_FLUSH_IDLE && t->where != IDLE))
            continue;
        t->doomed = true;
        if (t->where == IDLE)
            (void)destroy(t);
    }
}

static void model_resize(uint32_t max)
{
    m.max = max;
    while (max != 0 && pooled() > max) {
        struct thing *oldest = NULL;

        for (struct thing *t = next_in(IDLE, NOBODY, ~0ULL); t != NULL;
             t = next_in(IDLE, NOBODY, t->placed))
            oldest = t;
        if (oldest == NULL)
            return;
        (void)destroy(oldest);
    }
}

static int model_track(hf_resid id, int tx, hf_owner owner)
{
    int answer = HF_OK;
    struct thing *t;

    if (tx != NOBODY && m.spoilt[tx])
        return HF_EROLLEDBACK;
    if (find(id) != NULL)
        return HF_EINVAL;
    t = add(id, 0);
    t->where = TRACKED;
    t->owner = owner;
    if (tx == NOBODY)
        return HF_OK;
    if (roll(20) == 0)
        answer = roll(3) == 0 ? FAILED : roll(2) == 0 ? HF_EENLIST : HF_NOT_ENLISTABLE;
    expect(ENLIST, id, 1, answer);
    if (answer == HF_OK) {
        t->tx = tx;
        t->joined = ++m.stamp;
    } else if (answer != HF_NOT_ENLISTABLE) {
        *t = m.things[--m.count];
        return answer == HF_EENLIST ? HF_EENLIST : HF_EDRIVER;
    }
    return HF_OK;
}

static int model_untrack(hf_resid id, int destroys)
{
    struct thing *t = find(id);

    if (t == NULL || t->where != TRACKED || t->released)
        return HF_EINVAL;
    if (!destroys) {
        *t = m.things[--m.count];
        return HF_OK;
    }
    t->released = true;
    if (t->tx != NOBODY)
        return HF_OK;
    return destroy(t) == HF_OK ? HF_OK : HF_EDRIVER;
}

static void model_owner_end(hf_owner owner)
{
    for (unsigned i = 0; i < m.count; i++) {
        struct thing *t = &m.things[i];

        if (t->owner != owner) /* an owner has one at most */
            continue;
        if (t->where == USED)
            (void)model_free(t->id);
        else if (t->where == TRACKED)
            (void)model_untrack(t->id, 1);
        return;
    }
}

/* -- the driver -------------------------------------------------------------------------------- */

static const struct expected *came(enum call call, hf_resid id, long detail)
{
    struct expected *e = NULL;

    if (!m.unordered) {
        if (m.next < m.expected_count)
            e = &m.expected[m.next];
    } else {
        for (unsigned i = 0; i < m.expected_count && e == NULL; i++)
            if (!m.expected[i].done && m.expected[i].call == call && m.expected[i].id == id)
                e = &m.expected[i];
    }
    if (e == NULL || e->call != call || (call != CREATE && e->id != id) || e->detail != detail)
        differ("came: %s %lu %ld", call_names[call], (unsigned long)id, detail);
    m.next++;
    e->done = true;
    return e;
}

static int on_create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    const struct expected *e = came(CREATE, 0, (long)type);

    (void)user;
    *ret_id = e->id;
    *ret_idle_s = e->unpooled ? HF_IDLE_NOT_POOLED : HF_IDLE_NEVER;
    return e->answer;
}

static int on_rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    const struct expected *e = came(RATE, id, needs_enlist);

    (void)user, (void)type;
    *ret_rating = e->rating;
    return e->answer;
}

static int on_enlist(void *user, hf_resid id, hf_tx *tx)
{
    (void)user;
    return came(ENLIST, id, tx != NULL)->answer;
}

static int on_reset(void *user, hf_resid id)
{
    (void)user;
    return came(RESET, id, 0)->answer;
}

static int on_destroy(void *user, hf_resid id)
{
    (void)user;
    return came(DESTROY, id, 0)->answer;
}

static int on_adapt(void *user, hf_restype type, hf_resid id)
{
    const struct thing *t = find(id);

    (void)user, (void)type;
    return came(ADAPT, id, t != NULL ? (long)t->type : m.expected[m.next].detail)->answer;
}

static int on_validate(void *user, hf_resid id, uint32_t timeout_ms)
{
    (void)user, (void)timeout_ms;
    return came(VALIDATE, id, 0)->answer;
}

static int on_suspend(void *user, hf_resid id, hf_tx *tx)
{
    (void)user, (void)tx;
    return came(SUSPEND, id, 0)->answer;
}

static int on_resume(void *user, hf_resid id, hf_tx *tx)
{
    (void)user, (void)tx;
    return came(RESUME, id, 0)->answer;
}

static int on_tx_end(void *user, hf_resid id, const XID *xid, hf_outcome outcome)
{
    (void)user, (void)xid, (void)outcome;
    return came(TX_END, id, 0)->answer;
}

static int on_clean(void *user, hf_resid id)
{
    (void)user;
    return came(CLEAN, id, 0)->answer;
}

static hf_owner on_owner(void *user)
{
    (void)user;
    return current_owner;
}

static const hf_driver driver = {
    .size = sizeof(hf_driver),
    .create = on_create,
    .rate = on_rate,
    .enlist = on_enlist,
    .reset = on_reset,
    .destroy = on_destroy,
    .adapt = on_adapt,
    .validate = on_validate,
    .suspend = on_suspend,
    .resume = on_resume,
    .tx_end = on_tx_end,
    .clean = on_clean,
};

/* -- operations -------------------------------------------------------------------------------- */

static void compare(int want, int got)
{
    if (want != got)
        differ("returned %s (%s), the model says %s",
               hf_strerror_name(got) ? hf_strerror_name(got) : "OK", hf_error_last()->text,
               hf_strerror_name(want) ? hf_strerror_name(want) : "OK");
    if (m.next != m.expected_count)
        differ("%u callbacks came of %u", m.next, m.expected_count);
}

/* The model first: what it expects has to be there when the callbacks come. */
#define CHECK(model, call)                                                                         \
    do {                                                                                           \
        int want_ = (model);                                                                       \
                                                                                                   \
        compare(want_, (call));                                                                    \
    } while (0)

/* One that is live, more often than not in that place. */
static hf_resid some(enum where where)
{
    hf_resid id = 1 + roll(1000);

    for (unsigned tries = 0; tries < 6 && m.count > 0; tries++) {
        const struct thing *t = &m.things[roll(m.count)];

        id = t->id;
        if (t->where == where)
            break;
    }
    return roll(50) == 0 ? 1 + roll(1000) : id;
}

static void alloc_one(int s)
{
    hf_alloc request = HF_ALLOC_INIT;
    hf_restype type = 1 + roll(TYPES);
    hf_resid want = 0, got = 0;
    bool outside = m.tx[s] == NULL || roll(8) == 0;
    int rc;

    doing = "alloc";
    if (outside && m.tx[s] != NULL)
        request.flags = HF_ALLOC_TX;
    rc = model_alloc(type, outside ? NOBODY : s, current_owner, &want);
    compare(rc, hf_holder_alloc_with(holder, type, &request, &got));
    if (got != (rc == HF_OK ? want : 0))
        differ("gave %lu, the model says %lu", (unsigned long)got, (unsigned long)want);
}

static void complete(int s)
{
    hf_tx *tx = m.tx[s];
    bool commits = roll(3) != 0, spoilt = m.spoilt[s];

    doing = commits ? "commit" : "rollback";
    model_end(s);
    compare(commits && spoilt ? HF_EROLLEDBACK : HF_OK,
            commits ? hf_tx_commit(tx, NULL) : hf_tx_rollback(tx, NULL));
}

static void track_or_not(int s)
{
    hf_resid id = roll(2) == 0 ? some(TRACKED) : 1000000000 + roll(1000);

    if (find(id) == NULL) /* not one that create is going to give */
        id = 1000000000 + roll(1000);
    if (roll(2) == 0 && m.count < LIVE_MAX - 8) {
        doing = "track";
        CHECK(model_track(id, m.tx[s] != NULL ? s : NOBODY, current_owner),
              hf_holder_track(holder, id));
    } else {
        int destroys = roll(4) != 0;

        doing = "untrack";
        CHECK(model_untrack(id, destroys), hf_holder_untrack(holder, id, destroys));
    }
}

static void control(void)
{
    hf_restype type = roll(2) == 0 ? 0 : 1 + roll(TYPES);
    hf_flush what = roll(3) == 0 ? HF_FLUSH_ALL : HF_FLUSH_IDLE;
    uint32_t max = roll(5) == 0 ? 40 : 4 + roll(24);

    switch (roll(3)) {
    case 0:
        doing = "flush";
        model_flush(type, what);
        compare(HF_OK, hf_holder_flush(holder, type, what));
        break;
    case 1:
        doing = "resize";
        model_resize(max);
        compare(HF_OK, hf_holder_resize(holder, max));
        break;
    default:
        doing = "pause";
        m.paused = !m.paused && roll(3) == 0;
        compare(HF_OK, hf_holder_pause(holder, m.paused));
        break;
    }
}

static void begin_or_end(int s)
{
    if (m.tx[s] == NULL) {
        doing = "begin";
        compare(HF_OK, hf_tx_begin(tm, 0, &m.tx[s]));
    } else if (roll(6) == 0) {
        doing = "set rollback-only";
        m.spoilt[s] = true;
        compare(HF_OK, hf_tx_set_rollback_only(m.tx[s]));
    } else {
        complete(s);
    }
}

static void one(int s)
{
    hf_resid id;

    m.expected_count = m.next = 0;
    m.unordered = false;
    current_owner = (hf_owner)operation + 1;
    switch (roll(24)) {
    case 0:
    case 1:
    case 2:
        begin_or_end(s);
        break;
    case 3:
        doing = "request";
        id = some(roll(2) == 0 ? IDLE : USED);
        CHECK(model_request(id), hf_holder_request_destroy(holder, id));
        break;
    case 4:
    case 5:
        track_or_not(s);
        break;
    case 6:
        if (roll(4) == 0)
            control();
        break;
    case 7:
        doing = "owner's end";
        id = m.count > 0 ? m.things[roll(m.count)].owner : 0;
        id = id != 0 ? id : 12;
        model_owner_end(id);
        compare(HF_OK, hf_manager_owner_end(manager, id));
        break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
        alloc_one(s);
        break;
    default:
        doing = "free";
        id = some(USED);
        CHECK(model_free(id), hf_holder_free(holder, id));
        break;
    }
}

static void compare_stats(void)
{
    hf_holder_stats s = {.size = sizeof(s)};
    uint32_t idle = 0, kept = 0, used = 0, used_enlisted = 0, tracked = 0, doomed = 0;

    for (unsigned i = 0; i < m.count; i++) {
        const struct thing *t = &m.things[i];

        idle += t->where == IDLE;
        kept += t->where == KEPT;
        used += t->where == USED && t->tx == NOBODY;
        used_enlisted += t->where == USED && t->tx != NOBODY;
        tracked += t->where == TRACKED;
        doomed += t->where != TRACKED && t->doomed;
    }
    doing = "stats";
    if (hf_holder_get_stats(holder, &s) != HF_OK)
        differ("refused");
    if (s.idle != idle || s.idle_enlisted != kept || s.used != used ||
        s.used_enlisted != used_enlisted || s.tracked != tracked || s.doomed != doomed)
        differ("%u %u %u %u %u %u, the model says %u %u %u %u %u %u", s.idle, s.idle_enlisted,
               s.used, s.used_enlisted, s.tracked, s.doomed, idle, kept, used, used_enlisted,
               tracked, doomed);
    if (s.created != m.created || s.destroyed != m.destroyed || s.allocated != m.allocated ||
        s.reused_enlisted != m.reused)
        differ("created, destroyed, allocated or reused");
}

/* -- all of it --------------------------------------------------------------------------------- */

static void must(int rc, const char *what)
{
    doing = what;
    if (rc != HF_OK)
        differ("%s: %s", hf_strerror(rc), hf_error_last()->text);
}

static void open_all(char *dir)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_manager_config manager_config = HF_MANAGER_CONFIG_INIT;
    hf_holder_config holder_config = HF_HOLDER_CONFIG_INIT;

    if (mkdtemp(dir) == NULL)
        exit(2);
    config.dir = dir;
    config.history = 2;
    must(hf_tm_open(&config, &tm), "open");
    must(hf_tm_start(tm, 0), "start");
    manager_config.tm = tm;
    manager_config.owner = on_owner;
    must(hf_manager_open(&manager_config, &manager), "open a manager");
    m.next_id = 1;
    m.max = 16;
    m.strict = roll(2) == 0;
    holder_config.max = m.max;
    holder_config.flags = HF_HOLDER_RECLAIM | (m.strict ? HF_HOLDER_STRICT : 0);
    must(hf_holder_open(manager, &driver, NULL, &holder_config, &holder), "open a holder");
}

/* Everything goes back; then nothing may be left but general inventory. */
static void close_all(void)
{
    m.expected_count = m.next = 0;
    m.unordered = false;
    for (int s = 0; s < SIMULATED; s++) {
        if (m.tx[s] == NULL)
            continue;
        must(hf_tx_resume(m.tx[s]), "resume");
        m.expected_count = m.next = 0;
        complete(s);
    }
    for (unsigned i = 0; i < m.count;) {
        const struct thing *t = &m.things[i];
        hf_resid id = t->id;

        m.expected_count = m.next = 0;
        if (t->where == USED)
            CHECK(model_free(id), hf_holder_free(holder, id));
        else if (t->where == TRACKED)
            CHECK(model_untrack(id, 0), hf_holder_untrack(holder, id, 0));
        else
            i++;
    }
    m.expected_count = m.next = 0;
    m.unordered = true;
    while (m.count > 0)
        (void)destroy(&m.things[0]);
    must(hf_holder_close(holder, HF_CLOSE_WAIT, 0, NULL), "close");
    compare(HF_OK, HF_OK);
    must(hf_manager_close(manager, 0, NULL), "close a manager");
    must(hf_tm_close(tm, 0, NULL), "close the node");
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/holdfast-model-XXXXXX", command[64];
    unsigned long long operations = 1000000;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--operations") == 0)
            operations = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else
            return 2;
    }
    dice = seed * 0x9e3779b97f4a7c15U | 1;
    open_all(dir);
    while (operation < operations) {
        int s = (int)roll(SIMULATED);
        hf_tx *tx = m.tx[s];

        operation++;
        if (tx != NULL)
            must(hf_tx_resume(tx), "resume");
        one(s);
        if (m.tx[s] != NULL)
            must(hf_tx_suspend(m.tx[s]), "suspend");
        if (operation % 1000 == 0)
            compare_stats();
    }
    close_all();
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    if (system(command) != 0)
        return 1;
    printf(
        "holder_model: seed %llu, %llu operations, no difference; %llu allocations, of which %llu "
        "were enlisted already, of %llu resources\n",
        seed, operations, (unsigned long long)m.allocated, (unsigned long long)m.reused,
        (unsigned long long)m.created);
    printf("rig: %llu operations against a model, 0 violations\n", operations);
    return 0;
}
