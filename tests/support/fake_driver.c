/*
 * tests/support/fake_driver.c - a scripted driver for the holder, and a pool to use it in: see
 * fake_driver.h.
 *
 * A callback decides what it answers, and is in the trace, as it begins; then comes the hook, then
 * the barrier. Nothing is locked in either.
 */
#include "support/fake_driver.h"

#include <time.h>

enum { RULES = 128, LIMIT_MS = 30 * 1000 };

struct drv_thing {
    hf_restype type;
    hf_instance *instance;
    bool alive;
    bool busy;  /* a callback for it runs */
    bool taken; /* a user has it */
};

struct drv_rule {
    enum drv_call call;
    hf_resid id;
    int code;
    bool once, used;
    hf_restype type; /* of a rating, as the two below */
    int needs;
    uint32_t rating;
};

static const char *const call_names[DRV_CALLS] = {
    "create",   "rate",    "enlist", "reset",  "destroy", "destroy_s", "enlist_s", "adapt",
    "validate", "suspend", "resume", "tx_end", "clean",   "type_free", "released"};
static const char *const event_names[DRV_EVENTS] = {
    "", "create", "allocate", "recycle", "destroy", "track", "wait", "timeout", "invalid", "leak"};

uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
    struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0)
        continue;
}

/* -- text -------------------------------------------------------------------------------------- */

static void add(char *buf, size_t size, const char *separator, const char *format,
                va_list arguments)
{
    size_t used = strlen(buf);
    int n = snprintf(buf + used, size - used, "%s", used > 0 ? separator : "");

    if (n >= 0 && used + (size_t)n < size)
        (void)vsnprintf(buf + used + n, size - used - (size_t)n, format, arguments);
}

/* Called with the lock held. */
__attribute__((format(printf, 2, 3))) static void trace(struct driver *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(d->trace, sizeof(d->trace), " ", format, arguments);
    va_end(arguments);
}

/* Called with the lock held. */
__attribute__((format(printf, 2, 3))) static void wrong(struct driver *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(d->wrong, sizeof(d->wrong), "\n", format, arguments);
    va_end(arguments);
}

void drv_wrong(struct driver *d, const char *format, ...)
{
    va_list arguments;

    pthread_mutex_lock(&d->lock);
    va_start(arguments, format);
    add(d->wrong, sizeof(d->wrong), "\n", format, arguments);
    va_end(arguments);
    pthread_mutex_unlock(&d->lock);
}

/* "!EINVAL" and the like; "" for HF_OK. */
static const char *code_text(int code, char buf[24])
{
    const char *name = code == HF_NOT_ENLISTABLE ? "NOT_ENLISTABLE" : hf_strerror_name(code);

    if (code == HF_OK)
        return "";
    if (name != NULL)
        snprintf(buf, 24, "!%s", name);
    else
        snprintf(buf, 24, "!%d", code);
    return buf;
}

/* -- a callback -------------------------------------------------------------------------------- */

/* The latest rule for it. Called with the lock held. */
static int answer_of(struct driver *d, enum drv_call call, hf_resid id)
{
    for (unsigned n = d->rule_count; n > 0; n--) {
        struct drv_rule *r = &d->rules[n - 1];

        if (r->call != call || r->used || (r->id != 0 && r->id != id))
            continue;
        r->used = r->once;
        return r->code;
    }
    return HF_OK;
}

static uint32_t rating_of(struct driver *d, hf_restype type, hf_resid id, int needs)
{
    for (unsigned n = d->rule_count; n > 0; n--) {
        const struct drv_rule *r = &d->rules[n - 1];

        if (r->call == DRV_CALLS && (r->type == 0 || r->type == type) &&
            (r->id == 0 || r->id == id) && (r->needs < 0 || r->needs == needs))
            return r->rating;
    }
    return d->things[id].type == type ? 100 : 0;
}

/* A callback begins: the lock is held from here to act(). id 0: for no resource with a number. */
static void enter(struct driver *d, enum drv_call call, hf_resid id)
{
    pthread_mutex_lock(&d->lock);
    d->seen[call].calls++;
    d->seen[call].thread = pthread_self();
    d->seen[call].at_ms = now_ms();
    if (d->seen[DRV_RELEASED].calls > d->holders ||
        (call != DRV_RELEASED && d->seen[DRV_RELEASED].calls == d->holders))
        wrong(d, "%s(%lu) after the last released", call_names[call], (unsigned long)id);
    if (id == 0)
        return;
    if (id >= DRV_IDS) {
        wrong(d, "%s of the unknown id %lu", call_names[call], (unsigned long)id);
        pthread_mutex_unlock(&d->lock);
        abort();
    }
    if (!d->things[id].alive)
        wrong(d, "%s(%lu): it does not exist", call_names[call], (unsigned long)id);
    if (d->things[id].busy)
        wrong(d, "%s(%lu) overlaps another callback for it", call_names[call], (unsigned long)id);
    d->things[id].busy = true;
}

static struct timespec limit_from_now(void)
{
    struct timespec limit;

    (void)clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_MS / 1000;
    return limit;
}

/* The barrier. Called with the lock held. */
static void stand(struct driver *d, enum drv_call call, hf_resid id)
{
    struct timespec limit = limit_from_now();

    if (d->held != 1 || d->held_call != call || (d->held_id != 0 && d->held_id != id))
        return;
    d->held = 2;
    d->held_id = id;
    pthread_cond_broadcast(&d->changed);
    while (d->held == 2) {
        if (pthread_cond_timedwait(&d->changed, &d->lock, &limit) == ETIMEDOUT) {
            wrong(d, "nobody let %s(%lu) go", call_names[call], (unsigned long)id);
            break;
        }
    }
    d->held = 0;
    pthread_cond_broadcast(&d->changed);
}

/* Hook, with the lock given back, and barrier: then it is done with the resource. */
static void act(struct driver *d, enum drv_call call, hf_resid id)
{
    void (*hook)(void *, enum drv_call, hf_resid) = d->hook;
    void *user = d->hook_user;
    unsigned delay_us = d->delay_us;

    pthread_mutex_unlock(&d->lock);
    if (delay_us > 0)
        (void)usleep(delay_us);
    if (hook != NULL)
        hook(user, call, id);
    pthread_mutex_lock(&d->lock);
    stand(d, call, id);
    if (id != 0)
        d->things[id].busy = false;
}

/* A whole callback that only answers by a code. */
static int simple(struct driver *d, enum drv_call call, hf_resid id)
{
    char buf[24];
    int code;

    enter(d, call, id);
    code = answer_of(d, call, id);
    trace(d, "%s(%lu)%s", call_names[call], (unsigned long)id, code_text(code, buf));
    act(d, call, id);
    pthread_mutex_unlock(&d->lock);
    return code;
}

/* -- the callbacks ----------------------------------------------------------------------------- */

static int cb_create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    struct driver *d = user;
    hf_instance *instance = NULL;
    char buf[24];
    hf_resid id;
    int code;

    enter(d, DRV_CREATE, 0);
    d->preset_id = *ret_id;
    d->preset_idle_s = *ret_idle_s;
    code = answer_of(d, DRV_CREATE, type);
    id = d->next_id != DRV_IDS ? d->next_id : ++d->sequence;
    d->next_id = DRV_IDS;
    if (code == HF_OK && d->rm != NULL)
        code = hf_instance_open(d->rm, &instance);
    if (code == HF_OK)
        trace(d, "create(%lu)=%lu", (unsigned long)type, (unsigned long)id);
    else
        trace(d, "create(%lu)%s", (unsigned long)type, code_text(code, buf));
    act(d, DRV_CREATE, 0);
    if (code == HF_OK && id != 0 && id < DRV_IDS && !d->things[id].alive)
        d->things[id] = (struct drv_thing){.type = type, .instance = instance, .alive = true};
    if (code == HF_OK) {
        *ret_id = id;
        if (d->idle_s != DRV_SILENT)
            *ret_idle_s = d->idle_s;
    }
    pthread_mutex_unlock(&d->lock);
    return code;
}

static int cb_rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    struct driver *d = user;
    uint32_t rating;
    char buf[24];
    int code;

    enter(d, DRV_RATE, id);
    d->preset_rating = *ret_rating;
    code = answer_of(d, DRV_RATE, id);
    rating = rating_of(d, type, id, needs_enlist);
    if (code == HF_OK)
        trace(d, "rate(%lu,%lu,%d)=%u", (unsigned long)type, (unsigned long)id, needs_enlist,
              rating);
    else
        trace(d, "rate(%lu,%lu,%d)%s", (unsigned long)type, (unsigned long)id, needs_enlist,
              code_text(code, buf));
    act(d, DRV_RATE, id);
    pthread_mutex_unlock(&d->lock);
    if (code == HF_OK)
        *ret_rating = rating;
    return code;
}

/* enlist, suspend and resume. */
static int with_tx(struct driver *d, enum drv_call call, hf_resid id, hf_tx *tx)
{
    hf_instance *instance;
    char buf[24];
    int code;

    enter(d, call, id);
    d->tx = tx;
    code = answer_of(d, call, id);
    instance = d->things[id].instance;
    trace(d, "%s(%lu,%s)%s", call_names[call], (unsigned long)id, tx != NULL ? "T" : "-",
          code_text(code, buf));
    pthread_mutex_unlock(&d->lock);
    if (code == HF_OK && instance != NULL && tx != NULL)
        code = call == DRV_SUSPEND ? hf_tx_delist(tx, instance) : hf_tx_enlist(tx, instance);
    pthread_mutex_lock(&d->lock);
    act(d, call, id);
    pthread_mutex_unlock(&d->lock);
    return code;
}

static int cb_enlist(void *user, hf_resid id, hf_tx *tx)
{
    return with_tx(user, DRV_ENLIST, id, tx);
}

static int cb_suspend(void *user, hf_resid id, hf_tx *tx)
{
    return with_tx(user, DRV_SUSPEND, id, tx);
}

static int cb_resume(void *user, hf_resid id, hf_tx *tx)
{
    return with_tx(user, DRV_RESUME, id, tx);
}

static int cb_reset(void *user, hf_resid id)
{
    return simple(user, DRV_RESET, id);
}

static int cb_destroy(void *user, hf_resid id)
{
    struct driver *d = user;
    hf_instance *instance;
    char buf[24];
    int code;

    enter(d, DRV_DESTROY, id);
    code = answer_of(d, DRV_DESTROY, id);
    instance = d->things[id].instance;
    trace(d, "destroy(%lu)%s", (unsigned long)id, code_text(code, buf));
    act(d, DRV_DESTROY, id);
    d->things[id].alive = false;
    pthread_mutex_unlock(&d->lock);
    if (instance != NULL && hf_instance_close(instance) != HF_OK)
        drv_wrong(d, "destroy(%lu): its instance cannot be closed", (unsigned long)id);
    return code;
}

static int with_sid(struct driver *d, enum drv_call call, const char *sid, const char *more)
{
    char buf[24];
    int code;

    enter(d, call, 0);
    code = answer_of(d, call, 0);
    trace(d, "%s(%s%s)%s", call_names[call], sid, more, code_text(code, buf));
    act(d, call, 0);
    pthread_mutex_unlock(&d->lock);
    return code;
}

static int cb_destroy_s(void *user, const char *sid)
{
    return with_sid(user, DRV_DESTROY_S, sid, "");
}

static int cb_enlist_s(void *user, const char *sid, hf_tx *tx)
{
    return with_sid(user, DRV_ENLIST_S, sid, tx != NULL ? ",T" : ",-");
}

static int cb_adapt(void *user, hf_restype type, hf_resid id)
{
    struct driver *d = user;
    char buf[24];
    int code;

    enter(d, DRV_ADAPT, id);
    code = answer_of(d, DRV_ADAPT, id);
    trace(d, "adapt(%lu,%lu)%s", (unsigned long)type, (unsigned long)id, code_text(code, buf));
    act(d, DRV_ADAPT, id);
    if (code == HF_OK)
        d->things[id].type = type;
    pthread_mutex_unlock(&d->lock);
    return code;
}

static int cb_validate(void *user, hf_resid id, uint32_t timeout_ms)
{
    struct driver *d = user;

    pthread_mutex_lock(&d->lock);
    d->timeout_ms = timeout_ms;
    pthread_mutex_unlock(&d->lock);
    return simple(d, DRV_VALIDATE, id);
}

static int cb_tx_end(void *user, hf_resid id, const XID *xid, hf_outcome outcome)
{
    struct driver *d = user;
    char buf[24];
    int code;

    enter(d, DRV_TX_END, id);
    d->xid = *xid;
    code = answer_of(d, DRV_TX_END, id);
    trace(d, "tx_end(%lu,%s)%s", (unsigned long)id, hf_outcome_name((int)outcome),
          code_text(code, buf));
    act(d, DRV_TX_END, id);
    pthread_mutex_unlock(&d->lock);
    return code;
}

static int cb_clean(void *user, hf_resid id)
{
    return simple(user, DRV_CLEAN, id);
}

static void cb_type_free(void *user, hf_restype type)
{
    struct driver *d = user;

    enter(d, DRV_TYPE_FREE, 0);
    trace(d, "type_free(%lu)", (unsigned long)type);
    act(d, DRV_TYPE_FREE, 0);
    pthread_mutex_unlock(&d->lock);
}

static void cb_released(void *user)
{
    struct driver *d = user;

    enter(d, DRV_RELEASED, 0);
    trace(d, "released");
    act(d, DRV_RELEASED, 0);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

hf_driver drv_table(const struct driver *d)
{
    hf_driver t = {.size = sizeof(t)};

    t.create = cb_create;
    t.rate = d->withheld & 1u << DRV_RATE ? NULL : cb_rate;
    t.enlist = d->withheld & 1u << DRV_ENLIST ? NULL : cb_enlist;
    t.reset = d->withheld & 1u << DRV_RESET ? NULL : cb_reset;
    t.destroy = cb_destroy;
    t.destroy_s = cb_destroy_s;
    t.released = cb_released;
    t.enlist_s = d->offered & 1u << DRV_ENLIST_S ? cb_enlist_s : NULL;
    t.adapt = d->offered & 1u << DRV_ADAPT ? cb_adapt : NULL;
    t.validate = d->offered & 1u << DRV_VALIDATE ? cb_validate : NULL;
    t.suspend = d->offered & 1u << DRV_SUSPEND ? cb_suspend : NULL;
    t.resume = d->offered & 1u << DRV_RESUME ? cb_resume : NULL;
    t.tx_end = d->offered & 1u << DRV_TX_END ? cb_tx_end : NULL;
    t.clean = d->offered & 1u << DRV_CLEAN ? cb_clean : NULL;
    t.type_free = d->offered & 1u << DRV_TYPE_FREE ? cb_type_free : NULL;
    return t;
}

/* -- events ------------------------------------------------------------------------------------ */

/* Called with the lock held. */
__attribute__((format(printf, 2, 3))) static void told(struct driver *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(d->told, sizeof(d->told), " ", format, arguments);
    va_end(arguments);
}

/* Called with the lock held. */
static void keep_event(struct driver *d, const hf_event *e)
{
    hf_event *kept = &d->event[e->kind];

    *kept = *e;
    kept->sid = NULL;
    if (e->sid != NULL) {
        snprintf(d->event_sid[e->kind], sizeof(d->event_sid[0]), "%s", e->sid);
        kept->sid = d->event_sid[e->kind];
    }
    snprintf(d->event_tag[e->kind], sizeof(d->event_tag[0]), "%s", e->tag);
    kept->tag = d->event_tag[e->kind];
    d->events[e->kind]++;
}

static void on_event(void *user, const hf_event *e)
{
    struct driver *d = user;
    const char *name, *plus = e->enlisted ? "+" : "";
    void (*hook)(void *, const hf_event *);

    pthread_mutex_lock(&d->lock);
    hook = d->event_hook;
    if (e->size != sizeof(*e) || e->kind < HF_EVENT_CREATE || e->kind > HF_EVENT_LEAK ||
        e->tag == NULL || e->name == NULL || e->holder == NULL) {
        wrong(d, "an event of kind %d is not whole", (int)e->kind);
        pthread_mutex_unlock(&d->lock);
        return;
    }
    name = event_names[e->kind];
    keep_event(d, e);
    if (e->kind == HF_EVENT_ALLOCATE)
        told(d, "%s(%lu%s,%u,%u)", name, (unsigned long)e->id, plus, e->rated, e->rating);
    else if (e->kind == HF_EVENT_WAIT || e->kind == HF_EVENT_TIMEOUT)
        told(d, "%s", name);
    else if (e->sid != NULL)
        told(d, "%s(%s%s)", name, e->sid, plus);
    else
        told(d, "%s(%lu%s)", name, (unsigned long)e->id, plus);
    pthread_mutex_unlock(&d->lock);
    if (hook != NULL)
        hook(d->event_user, e);
}

static _Thread_local hf_owner owner_here;

void drv_owner_here(hf_owner owner)
{
    owner_here = owner;
}

static hf_owner on_owner(void *user)
{
    struct driver *d = user;

    return owner_here != 0 ? owner_here : atomic_load(&d->owner);
}

/* -- scripts ----------------------------------------------------------------------------------- */

static void add_rule(struct driver *d, struct drv_rule rule)
{
    pthread_mutex_lock(&d->lock);
    if (d->rule_count == RULES)
        abort();
    d->rules[d->rule_count++] = rule;
    pthread_mutex_unlock(&d->lock);
}

void drv_offer(struct driver *d, unsigned calls)
{
    d->offered |= calls;
}

void drv_withhold(struct driver *d, unsigned calls)
{
    d->withheld |= calls;
}

void drv_answer(struct driver *d, enum drv_call call, hf_resid id, int code)
{
    add_rule(d, (struct drv_rule){.call = call, .id = id, .code = code});
}

void drv_answer_once(struct driver *d, enum drv_call call, hf_resid id, int code)
{
    add_rule(d, (struct drv_rule){.call = call, .id = id, .code = code, .once = true});
}

void drv_rate(struct driver *d, hf_restype type, hf_resid id, int needs, uint32_t rating)
{
    add_rule(d, (struct drv_rule){
                    .call = DRV_CALLS, .type = type, .id = id, .needs = needs, .rating = rating});
}

void drv_next_id(struct driver *d, hf_resid id)
{
    d->next_id = id;
}

void drv_idle(struct driver *d, int32_t idle_s)
{
    d->idle_s = idle_s;
}

void drv_made(struct driver *d, hf_resid id)
{
    pthread_mutex_lock(&d->lock);
    d->things[id] = (struct drv_thing){.alive = true};
    pthread_mutex_unlock(&d->lock);
}

void drv_unmade(struct driver *d, hf_resid id)
{
    pthread_mutex_lock(&d->lock);
    d->things[id].alive = false;
    pthread_mutex_unlock(&d->lock);
}

void drv_on_call(struct driver *d, void (*fn)(void *user, enum drv_call call, hf_resid id),
                 void *user)
{
    pthread_mutex_lock(&d->lock);
    d->hook = fn;
    d->hook_user = user;
    pthread_mutex_unlock(&d->lock);
}

void drv_on_event(struct driver *d, void (*fn)(void *user, const hf_event *event), void *user)
{
    pthread_mutex_lock(&d->lock);
    d->event_hook = fn;
    d->event_user = user;
    pthread_mutex_unlock(&d->lock);
}

void drv_hold(struct driver *d, enum drv_call call, hf_resid id)
{
    pthread_mutex_lock(&d->lock);
    d->held_call = call;
    d->held_id = id;
    d->held = 1;
    pthread_mutex_unlock(&d->lock);
}

hf_resid drv_held(struct driver *d)
{
    struct timespec limit = limit_from_now();
    bool late = false;
    hf_resid id;

    pthread_mutex_lock(&d->lock);
    while (d->held != 2 && !late)
        late = pthread_cond_timedwait(&d->changed, &d->lock, &limit) == ETIMEDOUT;
    id = d->held_id;
    pthread_mutex_unlock(&d->lock);
    if (late)
        fail_msg("no %s came to be held", call_names[d->held_call]);
    return id;
}

void drv_let_go(struct driver *d)
{
    pthread_mutex_lock(&d->lock);
    d->held = d->held == 2 ? 3 : 0;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

/* -- what came of it --------------------------------------------------------------------------- */

unsigned drv_calls(struct driver *d, enum drv_call call)
{
    unsigned calls;

    pthread_mutex_lock(&d->lock);
    calls = d->seen[call].calls;
    pthread_mutex_unlock(&d->lock);
    return calls;
}

unsigned drv_events(struct driver *d, hf_event_kind kind)
{
    unsigned events;

    pthread_mutex_lock(&d->lock);
    events = d->events[kind];
    pthread_mutex_unlock(&d->lock);
    return events;
}

unsigned drv_alive(struct driver *d)
{
    unsigned alive = 0;

    pthread_mutex_lock(&d->lock);
    for (unsigned id = 0; id < DRV_IDS; id++)
        alive += d->things[id].alive;
    pthread_mutex_unlock(&d->lock);
    return alive;
}

bool drv_is_alive(struct driver *d, hf_resid id)
{
    bool alive;

    pthread_mutex_lock(&d->lock);
    alive = d->things[id].alive;
    pthread_mutex_unlock(&d->lock);
    return alive;
}

/* A copy of a trace, which is empty after it. */
static char *cut(struct driver *d, char *text)
{
    char *copy;

    pthread_mutex_lock(&d->lock);
    copy = strdup(text);
    text[0] = '\0';
    pthread_mutex_unlock(&d->lock);
    return copy;
}

static void expect(struct driver *d, char *text, const char *want, const char *what)
{
    char *got = cut(d, text);
    bool same = strcmp(got, want) == 0;

    if (!same)
        print_error("%s\n    were   %s\n    wanted %s\n", what, got, want);
    free(got);
    if (!same)
        fail();
}

void drv_expect(struct driver *d, const char *text)
{
    expect(d, d->trace, text, "callbacks");
}

void drv_told(struct driver *d, const char *events)
{
    expect(d, d->told, events, "events");
}

void drv_clear(struct driver *d)
{
    free(cut(d, d->trace));
    free(cut(d, d->told));
}

unsigned drv_count(struct driver *d, const char *text)
{
    unsigned count = 0;
    size_t size = strlen(text);

    pthread_mutex_lock(&d->lock);
    for (const char *at = d->trace; (at = strstr(at, text)) != NULL; at += size)
        count += at == d->trace || at[-1] == ' ';
    pthread_mutex_unlock(&d->lock);
    return count;
}

void drv_take(struct driver *d, hf_resid id)
{
    pthread_mutex_lock(&d->lock);
    if (id == 0 || id >= DRV_IDS || !d->things[id].alive)
        wrong(d, "%lu was given out and does not exist", (unsigned long)id);
    else if (d->things[id].taken)
        wrong(d, "%lu has two owners", (unsigned long)id);
    else
        d->things[id].taken = true;
    pthread_mutex_unlock(&d->lock);
}

void drv_give(struct driver *d, hf_resid id)
{
    pthread_mutex_lock(&d->lock);
    d->things[id].taken = false;
    pthread_mutex_unlock(&d->lock);
}

/* -- a pool ------------------------------------------------------------------------------------ */

static struct driver *driver_new(void)
{
    struct driver *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return NULL;
    d->things = calloc(DRV_IDS, sizeof(*d->things));
    d->rules = calloc(RULES, sizeof(*d->rules));
    d->next_id = DRV_IDS;
    d->idle_s = DRV_SILENT;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->changed, NULL);
    return d;
}

static void driver_free(struct driver *d)
{
    free(d->things);
    free(d->rules);
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_cond_destroy(&d->changed);
    free(d);
}

int pool_setup(void **state)
{
    struct pool *p = calloc(1, sizeof(*p));
    void *world = NULL;

    if (p == NULL || world_setup(&world) != 0)
        return -1;
    p->w = world;
    p->d = driver_new();
    if (p->d == NULL || p->d->things == NULL || p->d->rules == NULL)
        return -1;
    p->manager = (hf_manager_config)HF_MANAGER_CONFIG_INIT;
    p->manager.event = on_event;
    p->manager.owner = on_owner;
    p->manager.user = p->d;
    p->config = (hf_holder_config)HF_HOLDER_CONFIG_INIT;
    p->config.name = "pool";
    *state = p;
    return 0;
}

/* What a test that failed in its middle has left. */
static void tidy(struct pool *p)
{
    hf_tx *tx = p->w->tm != NULL ? hf_tx_current(p->w->tm) : NULL;

    drv_on_call(p->d, NULL, NULL);
    drv_on_event(p->d, NULL, NULL);
    drv_let_go(p->d);
    if (tx != NULL)
        (void)hf_tx_rollback(tx, NULL);
}

int pool_teardown(void **state)
{
    struct pool *p = *state;
    void *world = p->w;
    unsigned left = 0;
    int rc = HF_OK;

    tidy(p);
    if (p->m != NULL)
        rc = hf_manager_close(p->m, 1000, &left);
    if (rc != HF_OK)
        drv_wrong(p->d, "the manager does not close: %s, %u left", hf_strerror(rc), left);
    if (rc == HF_OK && drv_alive(p->d) != 0)
        drv_wrong(p->d, "%u resources are left", drv_alive(p->d));
    if (rc == HF_OK && drv_calls(p->d, DRV_RELEASED) != p->d->holders)
        drv_wrong(p->d, "released %u times", drv_calls(p->d, DRV_RELEASED));
    if (world_teardown(&world) != 0)
        rc = -1;
    if (p->d->wrong[0] != '\0') {
        print_error("%s\n    trace: %s\n", p->d->wrong, p->d->trace);
        rc = -1;
    }
    if (rc == HF_OK)
        driver_free(p->d); /* else callbacks may come still */
    free(p);
    return rc == HF_OK ? 0 : -1;
}

void pool_open_plain(struct pool *p)
{
    t_ok(hf_manager_open(&p->manager, &p->m));
    p->h = pool_open_another(p);
}

void pool_open(struct pool *p)
{
    if (p->w->tm == NULL)
        world_start(p->w, 0);
    p->manager.tm = p->w->tm;
    pool_open_plain(p);
}

hf_holder *pool_open_another(struct pool *p)
{
    hf_driver table = drv_table(p->d);
    hf_holder *holder = NULL;

    p->d->holders++;
    t_ok(hf_holder_open(p->m, &table, p->d, &p->config, &holder));
    return holder;
}

hf_tx *pool_begin(struct pool *p)
{
    hf_tx *tx = NULL;

    t_ok(hf_tx_begin(p->w->tm, 0, &tx));
    return tx;
}

hf_resid pool_alloc(struct pool *p, hf_restype type)
{
    hf_resid id = 0;

    t_ok(hf_holder_alloc(p->h, type, &id));
    drv_take(p->d, id);
    return id;
}

int pool_alloc_plain(struct pool *p, hf_restype type, hf_resid *ret_id)
{
    hf_alloc request = HF_ALLOC_INIT;

    request.flags = HF_ALLOC_TX;
    return hf_holder_alloc_with(p->h, type, &request, ret_id);
}

int pool_alloc_wait(struct pool *p, hf_restype type, uint32_t wait_ms, hf_resid *ret_id)
{
    hf_alloc request = HF_ALLOC_INIT;

    request.flags = HF_ALLOC_WAIT;
    request.wait_ms = wait_ms;
    return hf_holder_alloc_with(p->h, type, &request, ret_id);
}

void pool_free(struct pool *p, hf_resid id)
{
    drv_give(p->d, id);
    t_ok(hf_holder_free(p->h, id));
}

void pool_fill(struct pool *p, hf_restype type, unsigned count)
{
    hf_resid ids[64];

    assert_true(count <= 64);
    for (unsigned n = 0; n < count; n++)
        ids[n] = pool_alloc(p, type);
    for (unsigned n = 0; n < count; n++)
        pool_free(p, ids[n]);
    drv_clear(p->d);
}

hf_holder_stats pool_stats(struct pool *p)
{
    hf_holder_stats stats = {.size = sizeof(stats)};

    t_ok(hf_holder_get_stats(p->h, &stats));
    return stats;
}

void pool_sweep_until(struct pool *p, unsigned alive)
{
    uint64_t end = now_ms() + LIMIT_MS;

    while (drv_alive(p->d) != alive) {
        if (now_ms() > end)
            fail_msg("%u resources are there, not %u", drv_alive(p->d), alive);
        t_ok(hf_holder_sweep(p->h));
        sleep_ms(5);
    }
}

void pool_until_waiting(struct pool *p, unsigned waiting)
{
    uint64_t end = now_ms() + LIMIT_MS;

    while (pool_stats(p).waiting != waiting) {
        if (now_ms() > end)
            fail_msg("%u allocations wait, not %u", pool_stats(p).waiting, waiting);
        sleep_ms(1);
    }
}

/* -- jobs -------------------------------------------------------------------------------------- */

static void *run_job(void *arg)
{
    struct job *job = arg;

    job->rc = job->fn(job->arg);
    atomic_store(&job->done, true);
    return NULL;
}

void job_start(struct job *job, int (*fn)(void *arg), void *arg)
{
    job->fn = fn;
    job->arg = arg;
    atomic_store(&job->done, false);
    assert_int_equal(pthread_create(&job->thread, NULL, run_job, job), 0);
}

int job_end(struct job *job)
{
    assert_int_equal(pthread_join(job->thread, NULL), 0);
    return job->rc;
}

struct request request_for(struct pool *p, hf_restype type)
{
    return (struct request){.p = p, .type = type, .alloc = HF_ALLOC_INIT};
}

int request_alloc(void *arg)
{
    struct request *r = arg;
    int rc = hf_holder_alloc_with(r->p->h, r->type, &r->alloc, &r->id);

    if (rc == HF_OK)
        drv_take(r->p->d, r->id);
    return rc;
}

int request_free(void *arg)
{
    struct request *r = arg;

    drv_give(r->p->d, r->id);
    return hf_holder_free(r->p->h, r->id);
}
