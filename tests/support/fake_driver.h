/*
 * tests/support/fake_driver.h - a scripted driver for the holder, and a pool to use it in.
 *
 * Every callback is written into one trace, as it begins and with what it answers; it answers well
 * unless a script says otherwise:
 *
 *   drv_rate(d, 0, 1, 1, 50);                      resource 1 is rated 50 if it must be enlisted
 *   drv_answer_once(d, DRV_ENLIST, 0, HF_EENLIST); the next enlist, of whatever resource
 *   pool_alloc(p, 7);
 *   drv_expect(d, "rate(7,1,1)=50 enlist(1,T)!EENLIST ...");
 *
 * In the trace stand create(TYPE)=ID, rate(TYPE,ID,NEEDS_ENLIST)=RATING, enlist(ID,T) within a
 * transaction and enlist(ID,-) out of it, tx_end(ID,OUTCOME), and CALL(ID) for all others; "!CODE"
 * is behind what did not answer HF_OK. The events of the manager have a trace of their own:
 * allocate(ID,RATED,RATING), and EVENT(ID) for all others; "+" is behind the id of one that is
 * enlisted.
 *
 * What a holder must never do is noted, and fails the test in pool_teardown(): two callbacks at
 * once for one resource, a callback for a resource that is not there, one after `released`, a
 * resource that two users have (drv_take), one that is left when the manager is closed.
 *
 * Threads: any.
 */
#ifndef HF_TESTS_SUPPORT_FAKE_DRIVER_H
#define HF_TESTS_SUPPORT_FAKE_DRIVER_H

#include "support/t.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "holdfast/holder.h"
#include "support/fake_rm.h"

enum drv_call {
    DRV_CREATE,
    DRV_RATE,
    DRV_ENLIST,
    DRV_RESET,
    DRV_DESTROY,
    DRV_DESTROY_S,
    DRV_ENLIST_S, /* from here on only where drv_offer() says so */
    DRV_ADAPT,
    DRV_VALIDATE,
    DRV_SUSPEND,
    DRV_RESUME,
    DRV_TX_END,
    DRV_CLEAN,
    DRV_TYPE_FREE,
    DRV_RELEASED, /* offered always */
    DRV_CALLS
};

enum { DRV_IDS = 1 << 16, DRV_EVENTS = HF_EVENT_LEAK + 1 };
/* drv_idle(): the limit is not written. */
#define DRV_SILENT INT32_MIN

/* What a callback was given last, and where and when it came. */
struct drv_seen {
    unsigned calls;
    pthread_t thread;
    uint64_t at_ms;
};

struct driver {
    pthread_mutex_t lock; /* all that follows */
    pthread_cond_t changed;
    struct drv_thing *things; /* by id */
    struct drv_rule *rules;
    unsigned rule_count;
    unsigned offered;  /* a bit for each optional callback that there is */
    unsigned withheld; /* and for each of rate, enlist and reset that there is not */
    unsigned holders;  /* opened with it: as many `released` have to come */
    hf_resid next_id;
    hf_resid sequence;
    int32_t idle_s;
    hf_rm *rm;         /* each resource has an instance of it; NULL: none */
    unsigned delay_us; /* each callback takes so long */

    struct drv_seen seen[DRV_CALLS];
    int32_t preset_idle_s;
    hf_resid preset_id;
    uint32_t preset_rating;
    uint32_t timeout_ms;
    hf_tx *tx;
    XID xid;

    enum drv_call held_call;
    hf_resid held_id;
    int held; /* 0: no, 1: wanted, 2: one is held, 3: it may go */
    void (*hook)(void *user, enum drv_call call, hf_resid id);
    void *hook_user;
    void (*event_hook)(void *user, const hf_event *event);
    void *event_user;
    atomic_uintptr_t owner; /* whom a thread works for that has not said drv_owner_here() */

    hf_event event[DRV_EVENTS]; /* the last of each kind; its strings are in the two below */
    char event_sid[DRV_EVENTS][32];
    char event_tag[DRV_EVENTS][32];
    unsigned events[DRV_EVENTS];
    char trace[16384];
    char told[16384];
    char wrong[4096];
};

/* -- scripts ----------------------------------------------------------------------------------- */

/* Optional callbacks that it has: 1u << DRV_ADAPT and so on. Before the holder is opened. */
void drv_offer(struct driver *d, unsigned calls);
/* What is NULL instead: of rate, enlist and reset. Before the holder is opened. */
void drv_withhold(struct driver *d, unsigned calls);
/* The table that both ask for. */
hf_driver drv_table(const struct driver *d);
/* From now on, for a resource (DRV_CREATE: a type) or (0) all of them; the latest word holds. */
void drv_answer(struct driver *d, enum drv_call call, hf_resid id, int code);
void drv_answer_once(struct driver *d, enum drv_call call, hf_resid id, int code);
/* Type 0, id 0, needs -1: any. Without a word: 100 for the type it was made for, else 0. */
void drv_rate(struct driver *d, hf_restype type, hf_resid id, int needs, uint32_t rating);
/* The next resource has this id; what follows goes on with the sequence 1, 2, 3 ... */
void drv_next_id(struct driver *d, hf_resid id);
/* Resources that are made from now on; DRV_SILENT at first. */
void drv_idle(struct driver *d, int32_t idle_s);
/* A resource that the test made itself, to have it tracked. */
void drv_made(struct driver *d, hf_resid id);
/* The test has destroyed it itself. */
void drv_unmade(struct driver *d, hf_resid id);
/* Called in each callback, with no lock held; NULL: nobody. */
void drv_on_call(struct driver *d, void (*fn)(void *user, enum drv_call call, hf_resid id),
                 void *user);
void drv_on_event(struct driver *d, void (*fn)(void *user, const hf_event *event), void *user);

/* The next callback of the kind, for this resource or (0) any, does not return. */
void drv_hold(struct driver *d, enum drv_call call, hf_resid id);
/* Wait until it is in there: its id. */
hf_resid drv_held(struct driver *d);
void drv_let_go(struct driver *d);

/* -- what came of it --------------------------------------------------------------------------- */

unsigned drv_calls(struct driver *d, enum drv_call call);
unsigned drv_events(struct driver *d, hf_event_kind kind);
/* Resources that exist. */
unsigned drv_alive(struct driver *d);
bool drv_is_alive(struct driver *d, hf_resid id);
/* The traces are these, and are empty after it. */
void drv_expect(struct driver *d, const char *trace);
void drv_told(struct driver *d, const char *events);
void drv_clear(struct driver *d);
/* How often a text, such as "destroy(1)", is in the trace. */
unsigned drv_count(struct driver *d, const char *text);
/* A user has the resource, and has it no more: two at once are noted as wrong. */
void drv_take(struct driver *d, hf_resid id);
void drv_give(struct driver *d, hf_resid id);
/* Note something as wrong. */
void drv_wrong(struct driver *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whom the calling thread works for; 0: as the others. */
void drv_owner_here(hf_owner owner);

uint64_t now_ms(void);
void sleep_ms(unsigned ms);

/* -- a pool ------------------------------------------------------------------------------------ */

struct pool {
    struct world *w; /* its tm is open after pool_open() */
    struct driver *d;
    hf_manager_config manager; /* may be changed before pool_open() */
    hf_holder_config config;   /* the same */
    hf_manager *m;
    hf_holder *h;
};

int pool_setup(void **state);
int pool_teardown(void **state);
/* A manager with the world's tm, and a holder. */
void pool_open(struct pool *p);
/* The same without a tm. */
void pool_open_plain(struct pool *p);
/* One more holder of the same driver. */
hf_holder *pool_open_another(struct pool *p);

hf_tx *pool_begin(struct pool *p);
hf_resid pool_alloc(struct pool *p, hf_restype type);
/* Outside any transaction. */
int pool_alloc_plain(struct pool *p, hf_restype type, hf_resid *ret_id);
/* Waits as long as it may. */
int pool_alloc_wait(struct pool *p, hf_restype type, uint32_t wait_ms, hf_resid *ret_id);
void pool_free(struct pool *p, hf_resid id);
/* Resources 1 to count of the type, of general inventory, 1 the longest; the traces are empty. */
void pool_fill(struct pool *p, hf_restype type, unsigned count);
hf_holder_stats pool_stats(struct pool *p);
/* Sweep until drv_alive() says this, for half a minute at most. */
void pool_sweep_until(struct pool *p, unsigned alive);
/* Until so many allocations wait; half a minute at most. */
void pool_until_waiting(struct pool *p, unsigned waiting);

/* A call in a thread of its own. */
struct job {
    pthread_t thread;
    int (*fn)(void *arg);
    void *arg;
    int rc;
    atomic_bool done;
};
void job_start(struct job *job, int (*fn)(void *arg), void *arg);
int job_end(struct job *job);

/* What a job may do: allocate, free, or both. */
struct request {
    struct pool *p;
    hf_restype type;
    hf_alloc alloc;
    hf_resid id; /* of the resource; 0 where there is none */
};
struct request request_for(struct pool *p, hf_restype type);
int request_alloc(void *arg);
int request_free(void *arg);

#endif
