/*
 * holder/room.h - the structures of the holder, who may touch them, and what always holds.
 *
 * A holder has one mutex, held for short and never in a callback of the driver or the host, nor in
 * a call to tm. What may happen to a record is said by its state. In the transient states exactly
 * one thread works on it, the one that put it there; whatever others want of it meanwhile (its
 * transaction ended, destroy it, it was freed, the holder closes) they write down in it, under the
 * lock, and that thread acts on it when it holds the lock again, in hf__settle().
 *
 *   state       who may touch it            in which lists                       from, to
 *   IDLE        anyone, under the lock      holder.idle                          settled
 *   KEPT        anyone, under the lock      party.kept, party.members            settled
 *   RATING      the allocating thread       those it came from                   IDLE, KEPT
 *   PICKED      the allocating thread       none, or party.members               RATING, made
 *   USED        its user; under the lock    none, or party.members               PICKED
 *               free, request, owner's end
 *   RESETTING   the thread that frees it    none, or party.members               USED, ENDING
 *   ENDING      the thread that completes   none, or party.members               KEPT, USED,
 *               its transaction, or had it                                       TRACKED, others
 *   TRACKED     anyone, under the lock      none, or party.members               PICKED
 *   DESTROYING  the destroying thread       none                                 any
 *
 * Invariants
 *   R1  No id has two owners: a record leaves IDLE and KEPT under the lock only, by one thread, and
 *       is USED after that thread alone has said so.
 *   R2  No two callbacks overlap for one id: they are made in transient states only.
 *   R3  Each record gets to DESTROYING exactly once; its id stays known until destroy has returned.
 *   R4  A record is in party.members while its transaction runs, from before enlist is called. So
 *       the end of a transaction finds all, and no late one is filed under a dead transaction:
 *       hf__settle() looks at party.over under the lock, after the last callback.
 *   R5  pooled is the number of records that are not tracked; pooled + creating <= max, but for a
 *       max that was made smaller.
 *   R6  If somebody waits, and there is an idle one or room, the first who waits is awake (wait.c).
 *   R7  `released` is called once, when the holder is closed and no record and no other callback is
 *       left. Memory goes with the last call, record and party.
 *
 * Lock order: manager, holder. Nothing of this is durable: after a crash the pool is empty, and
 * what its resources did is tm's to recover.
 */
#ifndef HF_HOLDER_ROOM_H
#define HF_HOLDER_ROOM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "holdfast/holder.h"
#include "holdfast/internal/host.h"

enum {
    HF__MANAGER_MAGIC = 0x48464d47,
    HF__HOLDER_MAGIC = 0x48464844,
    HF__NAME_MAX = 31,
    HF__PARTY_BUCKETS = 64,
    HF__KIND_BUCKETS = 64,
    HF__FREE_RECORDS_MAX = 64, /* kept for later */
    HF__FREE_PARTIES_MAX = 64
};

/* A big structure on the stack of which little is used; no compiler option shall fill it. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define HF__UNFILLED __attribute__((uninitialized))
#endif
#endif
#ifndef HF__UNFILLED
#define HF__UNFILLED
#endif

/* -- lists ------------------------------------------------------------------------------------- */

/* A ring: the head is one of it. An element by itself is linked to itself. */
struct hf__list {
    struct hf__list *prev, *next;
};

#define HF__OF(type, member, link) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void hf__list_init(struct hf__list *l)
{
    l->prev = l->next = l;
}

static inline bool hf__list_empty(const struct hf__list *l)
{
    return l->next == l;
}

/* Harmless for one that is in no list. */
static inline void hf__list_remove(struct hf__list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = l;
}

static inline void hf__list_push(struct hf__list *head, struct hf__list *l)
{
    l->prev = head;
    l->next = head->next;
    head->next->prev = l;
    head->next = l;
}

static inline void hf__list_append(struct hf__list *head, struct hf__list *l)
{
    hf__list_push(head->prev, l);
}

/* -- records ----------------------------------------------------------------------------------- */

enum hf__state {
    HF__IDLE = 1,
    HF__KEPT,
    HF__RATING,
    HF__PICKED,
    HF__USED,
    HF__RESETTING,
    HF__ENDING,
    HF__TRACKED,
    HF__DESTROYING
};

/* A type of resource of which there are some, or should be. */
struct hf__kind {
    hf_restype type;
    uint32_t count;        /* records, and those being made */
    uint32_t stock;        /* hf_holder_stock */
    uint32_t leaving;      /* of count: past their idle limit */
    uint64_t swept;        /* the sweep that saw to the stock last */
    bool made;             /* one was */
    struct hf__kind *next; /* of its bucket */
};

/* All of it under the holder's lock, but for what the state gives to one thread. */
struct hf__record {
    hf_resid id;
    struct hf__kind *kind;   /* NULL: tracked */
    struct hf__list link;    /* in idle, kept, or a list on somebody's stack */
    struct hf__list member;  /* in party.members */
    struct hf__party *party; /* the transaction it is enlisted in, or was until just now */
    struct hf__record *next; /* of its bucket, or of those for later */
    enum hf__state state;
    int32_t idle_s;
    hf_owner owner;
    const char *tag;
    pthread_t thread;  /* that allocated it */
    char *sid;         /* tracked by a string; owned */
    uint64_t made_ms;  /* all of the monotonic clock */
    uint64_t since_ms; /* idle, or (with leak_ms) in use since */
    uint64_t ends_ms;  /* end of its life; 0: none */
    int dead_code;     /* dead: the driver's answer */
    bool tracked;
    bool used;     /* has a user, also while its transaction ends */
    bool enlisted; /* in party: the driver said so */
    bool active;   /* that, and not suspended since */
    bool dirty;    /* was enlisted once, and not in none since */
    /* facts for whoever has it next */
    bool unreset;   /* freed, and not reset yet */
    bool unclean;   /* was handed out, and not cleaned for the pool since */
    bool doomed;    /* destroy it instead of pooling it */
    bool requested; /* doomed by hf_holder_request_destroy() */
    bool dead;      /* doomed by an answer of the driver that nobody was told of yet */
    bool released;  /* tracked: its user or owner is done with it */
    bool forgotten; /* tracked: not ours to destroy */
    bool leak_told;
};

/* -- transactions ------------------------------------------------------------------------------ */

/* A thread in a callback with the hf_tx in its hand. */
struct hf__pin {
    pthread_t thread;
    struct hf__pin *next;
};

/* What a holder has in one transaction; from the first enlistment to the end. */
struct hf__party {
    hf_holder *holder;
    hf_tx *tx; /* names it, as long as it is in the table; good until over, and while pinned */
    bool over;
    hf_outcome outcome; /* when over; as is the next */
    XID xid;
    struct hf__list kept;    /* free ones, most recently used first */
    struct hf__list members; /* all */
    struct hf__pin *pins;
    unsigned refs; /* members, allocations that look, and the watch until it has run */
    struct hf__party *next;
};

/* -- calls, waits, holders --------------------------------------------------------------------- */

/* A thread between the beginning and the end of a public call. On its stack. */
struct hf__call {
    struct hf__list link;
    pthread_t thread;
};

/* An allocation in the queue. On its thread's stack. */
struct hf__waiter {
    struct hf__list link;
    pthread_cond_t wake;
    const hf_tx *tx; /* its transaction; NULL: none */
    uint64_t since_us;
    bool queued, awake;
};

/* What is known of the ready-made driver's callbacks: plain ones only look at the resource, call
   nobody and cannot block, so that the lock need not be let go for them. */
enum { HF__IS_XA = 1, HF__PLAIN_RATE = 2, HF__PLAIN_RESET = 4 };

enum hf__holder_state { HF__OPEN = 1, HF__CLOSING, HF__CLOSED };

struct hf_holder {
    unsigned magic;
    unsigned process;
    hf_manager *manager;
    hf_driver driver;
    void *user;
    hf_holder_config config;
    char name[HF__NAME_MAX + 1];
    unsigned nature; /* HF__IS_XA and so on */
    uint64_t serial; /* in the order of opening; under the manager's lock, as is the next */
    struct hf__list sibling;

    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t changed;
    struct hf__list calls;
    enum hf__holder_state state;
    bool force; /* destroy also what is enlisted */
    bool paused;
    bool told_release;   /* driver.released */
    bool abandoned;      /* no handle is used any more */
    bool dying;          /* somebody frees it */
    unsigned type_frees; /* callbacks that run */

    struct hf__list idle; /* most recently used first */
    struct hf__record **buckets;
    size_t bucket_count; /* a power of two */
    uint32_t records, pooled, creating;
    struct hf__record *spare_records;
    unsigned spare_record_count;
    struct hf__kind *kinds[HF__KIND_BUCKETS];

    struct hf__party *parties[HF__PARTY_BUCKETS];
    unsigned party_count; /* whose watch has not run yet, or that somebody looks at */
    struct hf__party *spare_parties;
    unsigned spare_party_count;

    struct hf__list queue; /* first come, first served */
    uint32_t waiting;
    uint64_t news; /* counts what those who wait may want to look at */

    uint64_t dice;
    uint64_t sweeps;
    hf_holder_stats stats; /* those since the opening */
};

struct hf_manager {
    unsigned magic;
    unsigned process;
    hf_manager_config config;
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t changed;
    struct hf__list holders;
    uint64_t serials;
    struct hf__list calls;
    bool closing;
    bool has_thread, stop;
    pthread_t thread;
    uint64_t due_ms; /* the next sweep */
};

/* -- manager.c --------------------------------------------------------------------------------- */

/* What a request is made for. */
struct hf__context {
    hf_tx *tx;
    hf_owner owner;
    const char *tag;
};

int hf__manager_check(const hf_manager *m);
/* The one that the request names. */
int hf__manager_tx_named(hf_manager *m, const hf_alloc *request, struct hf__context *ret);
/* Has it still the same one? */
bool hf__manager_is_current(hf_manager *m, const struct hf__context *c);
/* May it still do work? HF_OK, HF_EROLLEDBACK or HF_ESTATE. */
int hf__manager_tx_state(hf_tx *tx);
/* The transaction of the calling thread, or the one of the request; its state is looked at. */
static inline int hf__manager_tx(hf_manager *m, const hf_alloc *request, struct hf__context *ret)
{
    if (request != NULL && (request->flags & HF_ALLOC_TX) != 0)
        return hf__manager_tx_named(m, request, ret);
    ret->tx = hf_tx_current(m->config.tm); /* NULL for no tm */
    return ret->tx != NULL ? hf__manager_tx_state(ret->tx) : HF_OK;
}
/* The next holder after that serial, with a call entered; NULL: no more. */
hf_holder *hf__manager_next(hf_manager *m, uint64_t *serial, struct hf__call *call);
/* Our thread, from the first holder on. Under the manager's lock. */
int hf__manager_start_thread(hf_manager *m);

/* -- holder.c ---------------------------------------------------------------------------------- */

int hf__holder_bad(const hf_holder *h); /* why */
static inline int hf__holder_check(const hf_holder *h)
{
    return h != NULL && h->magic == HF__HOLDER_MAGIC && h->process == hf__process()
               ? HF_OK
               : hf__holder_bad(h);
}
static inline void hf__lock(hf_holder *h)
{
    (void)pthread_mutex_lock(&h->lock); /* cannot fail: initialised, and not held by us */
}
static inline void hf__unlock(hf_holder *h)
{
    (void)pthread_mutex_unlock(&h->lock);
}
/* Begin a call: the lock is held after it. */
static inline void hf__enter(hf_holder *h, struct hf__call *call)
{
    call->thread = pthread_self();
    hf__lock(h);
    hf__list_push(&h->calls, &call->link);
}
/* End it, with the lock held; h may be gone after it. */
void hf__leave_closed(hf_holder *h, struct hf__call *call);
static inline void hf__leave(hf_holder *h, struct hf__call *call)
{
    if (h->state != HF__OPEN) {
        hf__leave_closed(h, call);
        return;
    }
    call->link.prev->next = call->link.next;
    call->link.next->prev = call->link.prev;
    hf__unlock(h);
}
/* Close without waiting for transactions. The lock is held. */
void hf__holder_shut(hf_holder *h);
uint32_t hf__holder_left(const hf_holder *h);
void hf__holder_free(hf_holder *h);
int hf__holder_make(hf_manager *m, const hf_driver *driver, void *user,
                    const hf_holder_config *config, unsigned nature, hf_holder **ret);

/* -- inventory.c ------------------------------------------------------------------------------- */

struct hf__record *hf__find(const hf_holder *h, hf_resid id);
struct hf__record *hf__find_s(const hf_holder *h, const char *sid);
/* A zeroed one, in no list. NULL: no memory. */
struct hf__record *hf__record_take(hf_holder *h);
void hf__record_put_back(hf_holder *h, struct hf__record *r);
/* Into the table; id, sid, kind and tracked are set. */
void hf__record_add(hf_holder *h, struct hf__record *r);
/* Out of it, and back. Its kind goes with the last one: then the lock was let go for type_free. */
void hf__record_drop(hf_holder *h, struct hf__record *r);
/* Call for each record; fn must not add or drop any. */
void hf__each_record(hf_holder *h, void (*fn)(hf_holder *h, struct hf__record *r, void *arg),
                     void *arg);
/* The type, made if need be. NULL: no memory. */
struct hf__kind *hf__kind_of(hf_holder *h, hf_restype type);
/* One less; frees it with the last. The lock may be let go. */
void hf__kind_less(hf_holder *h, struct hf__kind *kind);
/* It is not wanted any more where nothing is left of it. The lock may be let go. */
void hf__kind_unused(hf_holder *h, struct hf__kind *kind);
bool hf__has_room(const hf_holder *h);
uint64_t hf__dice(hf_holder *h);

/* -- party.c ----------------------------------------------------------------------------------- */

/* That of a running transaction, or NULL. */
struct hf__party *hf__party_find(const hf_holder *h, const hf_tx *tx);
/* The same, made and watched if need be; with a reference. The lock is let go meanwhile. */
int hf__party_get(hf_holder *h, const struct hf__context *c, struct hf__party **ret);
void hf__party_unref(struct hf__party *p);
void hf__party_join(struct hf__party *p, struct hf__record *r);
void hf__party_leave(struct hf__record *r);
static inline void hf__party_pin(struct hf__party *p, struct hf__pin *pin)
{
    pin->thread = pthread_self();
    pin->next = p->pins;
    p->pins = pin;
}
static inline void hf__party_unpin(struct hf__party *p, const struct hf__pin *pin)
{
    struct hf__pin **at = &p->pins;

    while (*at != pin)
        at = &(*at)->next;
    *at = pin->next;
    if (p->over)
        (void)pthread_cond_broadcast(&p->holder->changed);
}

/* -- settle.c ---------------------------------------------------------------------------------- */

/* What the driver answered on the way: HF_OK, or its failure. */
struct hf__answers {
    int reset, destroy;
};

/* Put a record in a transient state of the calling thread's where it belongs, as things are now.
   The lock is held, and let go in between. ret may be NULL. */
void hf__settle(hf_holder *h, struct hf__record *r, struct hf__answers *ret);
/* The driver's answer means that it is dead; that is told when it is settled. */
void hf__doom(hf_holder *h, struct hf__record *r, int code);
/* It leaves use, if the calling thread may say so. The lock is let go. */
void hf__suspend(hf_holder *h, struct hf__record *r);
/* Settle all of a list on the caller's stack, linked by link, in a transient state. */
void hf__settle_all(hf_holder *h, struct hf__list *list);

/* -- alloc.c ----------------------------------------------------------------------------------- */

/* Make one: PICKED. There is room for it. The lock is let go. */
int hf__make(hf_holder *h, hf_restype type, struct hf__record **ret);

/* -- wait.c ------------------------------------------------------------------------------------ */

/* There is something for the first who waits. */
void hf__wake(hf_holder *h);
/* There is something for those who wait in this transaction. */
void hf__wake_party(hf_holder *h, const struct hf__party *p);
void hf__wake_all(hf_holder *h);
/* May this one take from general inventory? */
bool hf__wait_turn(const hf_holder *h, const struct hf__waiter *w);
/* Wait for a change, unless there was one since `news`. HF_OK: look again. */
int hf__wait(hf_holder *h, struct hf__waiter *w, hf_restype type, const struct hf__context *c,
             uint32_t wait_ms, uint64_t news);
/* Out of the queue, if it is in it. */
void hf__wait_done(hf_holder *h, struct hf__waiter *w);
int hf__cond_init(pthread_cond_t *cond); /* of the monotonic clock */
/* Until cond is signalled or the time has come: ETIMEDOUT. */
int hf__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_us);
uint64_t hf__now_us(void); /* of the same clock */

/* -- event.c ----------------------------------------------------------------------------------- */

static inline bool hf__listens(const hf_holder *h)
{
    return h->manager->config.event != NULL;
}
/* Of a record in a state of the calling thread's; the lock is not held. event may be NULL: nothing
   to add; else its members for rated, rating, code, age and so on. */
void hf__tell_listener(hf_holder *h, hf_event_kind kind, const struct hf__record *r,
                       const hf_event *more);
static inline void hf__tell(hf_holder *h, hf_event_kind kind, const struct hf__record *r,
                            const hf_event *more)
{
    if (hf__listens(h))
        hf__tell_listener(h, kind, r, more);
}
/* hf_error_last() with the driver's own code. */
int hf__driver_failed(const hf_holder *h, const char *call, int code);

/* -- sweep.c ----------------------------------------------------------------------------------- */

void hf__sweep(hf_holder *h);
/* Destroy idle ones, least recently used first, until no more than max are there. */
void hf__shrink(hf_holder *h);
/* Make what the type lacks of its stock. */
int hf__fill(hf_holder *h, hf_restype type);

#endif
