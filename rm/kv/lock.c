/*
 * rm/kv/lock.c - the lock manager: who holds which key and prefix, who waits, and who must not.
 *
 * Keys that are held or waited for are in a skip list, in byte order, because a prefix has to meet
 * the keys below it; prefixes are in a plain list, because there are few. Each lock has its holders
 * and a line of owners that wait.
 *
 * Invariants
 *   L1  Two owners never hold what the table in lock.h does not allow together.
 *   L2  A lock is there if and only if somebody holds it or waits for it: memory is bounded by
 *       count_max for each owner, and one more for each that waits.
 *   L3  Everything a grant needs was allocated before the wait: granting and letting go never fail.
 *   L4  First come first served: a request waits for whoever is ahead of it in line, and between
 *       keys and prefixes for whoever came earlier. Two exceptions: an owner that reads a key
 *       already goes to the head of its line to write it, and L6.
 *   L5  When a call returns, nobody waits who could be granted what he waits for (settle).
 *   L6  An owner never waits where that could not end: before the first sleep the graph of who
 *       waits for whom is searched. If waiting would close a circle, the request is granted when
 *       nothing but the order of arrival was in its way, and is KV_LOCK_DEADLOCK otherwise.
 *
 * The graph's nodes are global transactions, not owners: a branch here waits for a branch whose
 * transaction waits in another store of this process, so all tables are searched. An edge that is
 * there when somebody begins to wait stays until its end, so that a circle is always found by the
 * last one who joins it. What is not found is a circle through another process or another kind of
 * resource manager, or through a transaction that works in two threads: wait_ms ends those.
 * The last one is the victim, as a rule: all others have waited longer, and go on. Of two who join
 * at the same moment the one who searches first is.
 *
 *   request --> granted
 *           --> in line --> granted by settle() when others let go
 *                       --> deadlock, timed out, refused: out of line, and settle() for the others
 *
 * If we crash while a branch ...   the next opening (branch.c, before anybody is let in) ...
 *   works, or waits                 knows nothing of it: its locks are gone with its writes
 *   is prepared                     locks what it wrote exclusively, from its write set on the disk
 *   is prepared, and has read       leaves that free: it asks for no lock any more, so its place in
 *                                   the order of transactions is settled, and two-phase locking
 *                                   holds without its read locks
 *   ended, and not told so          has nothing to lock
 * Nothing of this file is on the disk. tests/crash/crash_kv_model kills it there.
 *
 * What it costs: a key is found in the time of a skip list. One that is read by n owners costs up
 * to n steps when one more reads it. An exclusive lock looks at every prefix that is locked, and a
 * prefix at every lock on a key below it. Each sleep holds up all tables for one search, which
 * looks at each owner that waits at most once.
 *
 * Threads: lock.h. `searching` is taken without a table's mutex; then all tables' mutexes, in the
 * order of the list. Who is granted is woken by a condition variable of his own.
 *
 * Spec: [XA] 2.2 leaves isolation to the resource manager; XA_RBDEADLOCK in chapter 5.
 */
#include "lock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "holdfast/internal/fault.h"
#include "writes.h"

/* One owner's part in a lock. */
struct kv_hold {
    struct kv_lock *lock;
    struct kv_owner *owner;        /* NULL: it is pending, or nobody's */
    struct kv_hold *next, *before; /* of the lock */
    struct kv_hold *next_owned;    /* of the owner */
    enum kv_lock_mode mode;
};

/* A lock's place in a list, which can be left without a search. */
struct in_list {
    struct kv_lock *next;
    struct kv_lock **back; /* what points to us */
};

/* A key or a prefix. */
struct kv_lock {
    struct kv_hold *holders; /* one that is exclusive, or any number of shared ones */
    struct kv_owner *first;  /* who waits */
    struct kv_owner *last;
    unsigned char *bytes; /* behind at, in the same block */
    uint16_t size;
    uint8_t is_prefix;
    uint8_t levels; /* of at; a prefix has one, of prefixes */
    uint8_t room_is_taken;
    struct kv_hold room; /* for one hold, as most locks have no more */
    struct in_list at[]; /* of the keys in byte order, one for each level */
};

static pthread_mutex_t searching = PTHREAD_MUTEX_INITIALIZER;
static struct kv_locks *tables; /* guarded by searching; the oldest first */
static uint64_t rounds;         /* searches made; guarded by searching */

/* -- tables and owners ------------------------------------------------------------------------- */

void hf__kv_locks_init(struct kv_locks *locks, pthread_mutex_t *mutex)
{
    struct kv_locks **link = &tables;

    locks->mutex = mutex;
    locks->random = 0x9e3779b9U;
    pthread_mutex_lock(&searching);
    while (*link != NULL)
        link = &(*link)->next;
    *link = locks;
    pthread_mutex_unlock(&searching);
}

void hf__kv_locks_end(struct kv_locks *locks)
{
    struct kv_locks **link = &tables;

    pthread_mutex_lock(&searching);
    while (*link != locks)
        link = &(*link)->next;
    *link = locks->next;
    pthread_mutex_unlock(&searching);
}

void hf__kv_locks_forget_all(void)
{
    (void)pthread_mutex_init(&searching, NULL);
    tables = NULL;
}

void hf__kv_lock_owner_init(struct kv_owner *owner, uint64_t transaction, size_t count_max)
{
    pthread_condattr_t attributes;

    owner->transaction = transaction;
    owner->count_max = count_max;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&owner->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

void hf__kv_lock_owner_end(struct kv_owner *owner)
{
    pthread_cond_destroy(&owner->wake);
}

/* -- locks by key and prefix ------------------------------------------------------------------- */

static int starts_with(const void *key, size_t size, const struct kv_lock *prefix)
{
    return size >= prefix->size &&
           (prefix->size == 0 || memcmp(key, prefix->bytes, prefix->size) == 0);
}

static int is_below(const struct kv_lock *lock, const struct kv_lock *prefix)
{
    return starts_with(lock->bytes, lock->size, prefix);
}

/* One level; each further one with a chance of a quarter. xorshift32. */
static uint8_t pick_levels(struct kv_locks *locks)
{
    uint32_t r = locks->random;
    uint8_t levels = 1;

    r ^= r << 13;
    r ^= r >> 17;
    r ^= r << 5;
    locks->random = r;
    for (; (r & 3) == 0 && levels < KV_LOCK_LEVELS; r >>= 2)
        levels++;
    return levels;
}

/* The links that a key's lock hangs on, or would: one for each level, the last one below key. */
static void find_links(struct kv_locks *locks, const void *key, size_t size,
                       struct kv_lock **ret_links[KV_LOCK_LEVELS])
{
    struct kv_lock *below = NULL;
    struct kv_lock **link;

    for (int level = KV_LOCK_LEVELS - 1; level >= 0; level--) {
        link = below != NULL ? &below->at[level].next : &locks->first[level];
        while (*link != NULL &&
               hf__kv_writes_compare((*link)->bytes, (*link)->size, key, size) < 0) {
            below = *link;
            link = &below->at[level].next;
        }
        ret_links[level] = link;
    }
}

/* On the list of a level, in front of what the link points to. */
static void hang(struct kv_lock *lock, int level, struct kv_lock **link)
{
    lock->at[level] = (struct in_list){.next = *link, .back = link};
    if (*link != NULL)
        (*link)->at[level].back = &lock->at[level].next;
    *link = lock;
}

/* The first lock on a key that is not below prefix; those that start with it follow one another. */
static struct kv_lock *seek(struct kv_locks *locks, const struct kv_lock *prefix)
{
    struct kv_lock **links[KV_LOCK_LEVELS];

    find_links(locks, prefix->bytes, prefix->size, links);
    return *links[0];
}

static struct kv_lock *allocate(const void *bytes, size_t size, uint8_t levels)
{
    size_t head = sizeof(struct kv_lock) + levels * sizeof(struct in_list);
    struct kv_lock *lock = HF_FAULT_FAILS("kv:lock-memory") ? NULL : malloc(head + size);

    if (lock == NULL)
        return NULL;
    memset(lock, 0, head);
    lock->levels = levels;
    lock->size = (uint16_t)size;
    lock->bytes = (unsigned char *)lock + head;
    if (size > 0)
        memcpy(lock->bytes, bytes, size);
    return lock;
}

/* The lock on a key, made if there is none. NULL: no memory. */
static struct kv_lock *lock_of_key(struct kv_locks *locks, const void *key, size_t size)
{
    struct kv_lock **links[KV_LOCK_LEVELS];
    struct kv_lock *lock;

    find_links(locks, key, size, links);
    lock = *links[0];
    if (lock != NULL && hf__kv_writes_compare(lock->bytes, lock->size, key, size) == 0)
        return lock;
    lock = allocate(key, size, pick_levels(locks));
    for (int level = 0; lock != NULL && level < lock->levels; level++)
        hang(lock, level, links[level]);
    return lock;
}

static struct kv_lock *lock_of_prefix(struct kv_locks *locks, const void *prefix, size_t size)
{
    struct kv_lock *lock = locks->prefixes;

    while (lock != NULL && hf__kv_writes_compare(lock->bytes, lock->size, prefix, size) != 0)
        lock = lock->at[0].next;
    if (lock != NULL)
        return lock;
    lock = allocate(prefix, size, 1);
    if (lock == NULL)
        return NULL;
    lock->is_prefix = 1;
    hang(lock, 0, &locks->prefixes);
    return lock;
}

/* A lock that nobody holds and nobody waits for goes (L2). */
static void drop_if_unused(struct kv_lock *lock)
{
    if (lock->holders != NULL || lock->first != NULL)
        return;
    for (int level = 0; level < lock->levels; level++) {
        *lock->at[level].back = lock->at[level].next;
        if (lock->at[level].next != NULL)
            lock->at[level].next->at[level].back = lock->at[level].back;
    }
    free(lock);
}

/* -- holds ------------------------------------------------------------------------------------- */

static struct kv_hold *hold_of(const struct kv_lock *lock, const struct kv_owner *owner)
{
    struct kv_hold *hold = lock->holders;

    while (hold != NULL && hold->owner != owner)
        hold = hold->next;
    return hold;
}

/* Does a prefix that the owner has locked cover this key, or prefix? */
static int is_covered(const struct kv_owner *owner, const void *key, size_t size)
{
    const struct kv_hold *hold = owner->prefixes;

    while (hold != NULL && !starts_with(key, size, hold->lock))
        hold = hold->next_owned;
    return hold != NULL;
}

/* A hold that is nobody's yet. NULL: no memory. */
static struct kv_hold *make_hold(struct kv_lock *lock)
{
    struct kv_hold *hold = &lock->room;

    if (lock->room_is_taken)
        hold = HF_FAULT_FAILS("kv:lock-memory") ? NULL : malloc(sizeof(*hold));
    if (hold == NULL)
        return NULL;
    lock->room_is_taken = 1;
    *hold = (struct kv_hold){.lock = lock};
    return hold;
}

static void free_hold(struct kv_hold *hold)
{
    if (hold == &hold->lock->room)
        hold->lock->room_is_taken = 0;
    else
        free(hold);
}

/* The pending hold becomes one that counts. */
static void take(struct kv_locks *locks, struct kv_owner *owner)
{
    struct kv_hold *hold = owner->pending;
    struct kv_hold **owned;

    owner->pending = NULL;
    if (owner->mode == KV_EXCLUSIVE)
        locks->exclusive++;
    hold->mode = owner->mode;
    if (hold->owner != NULL)
        return; /* an upgrade of what it holds */
    hold->owner = owner;
    hold->next = hold->lock->holders;
    if (hold->next != NULL)
        hold->next->before = hold;
    hold->lock->holders = hold;
    owned = hold->lock->is_prefix ? &owner->prefixes : &owner->holds;
    hold->next_owned = *owned;
    *owned = hold;
    owner->count++;
}

/* Nothing becomes of the pending hold. */
static void give_up(struct kv_owner *owner)
{
    struct kv_hold *hold = owner->pending;

    owner->pending = NULL;
    if (hold->owner == NULL)
        free_hold(hold);
    drop_if_unused(owner->wanted);
}

static void let_go(struct kv_locks *locks, struct kv_hold *hold)
{
    struct kv_lock *lock = hold->lock;

    if (hold->mode == KV_EXCLUSIVE)
        locks->exclusive--;
    if (hold->before != NULL)
        hold->before->next = hold->next;
    else
        lock->holders = hold->next;
    if (hold->next != NULL)
        hold->next->before = hold->before;
    free_hold(hold);
    drop_if_unused(lock);
}

/* -- the line ---------------------------------------------------------------------------------- */

/* At the end of the lock's line; at its head if the owner reads already what it wants to write. */
static void line_up(struct kv_owner *owner, int at_the_head)
{
    struct kv_lock *lock = owner->wanted;

    owner->ahead = at_the_head ? NULL : lock->last;
    owner->behind = at_the_head ? lock->first : NULL;
    *(owner->ahead != NULL ? &owner->ahead->behind : &lock->first) = owner;
    *(owner->behind != NULL ? &owner->behind->ahead : &lock->last) = owner;
}

static void leave_line(struct kv_owner *owner)
{
    struct kv_lock *lock = owner->wanted;

    *(owner->ahead != NULL ? &owner->ahead->behind : &lock->first) = owner->behind;
    *(owner->behind != NULL ? &owner->behind->ahead : &lock->last) = owner->ahead;
    owner->ahead = NULL;
    owner->behind = NULL;
}

static struct kv_owner **bucket_of(struct kv_locks *locks, uint64_t transaction)
{
    return &locks->waiting[transaction % KV_LOCK_BUCKETS];
}

/* Among those who wait in this table. */
static void begin_to_wait(struct kv_locks *locks, struct kv_owner *owner)
{
    struct kv_owner **bucket = bucket_of(locks, owner->transaction);

    owner->wait = KV_WAITS;
    owner->table = locks;
    owner->earlier = locks->latest;
    owner->later = NULL;
    *(owner->earlier != NULL ? &owner->earlier->later : &locks->earliest) = owner;
    locks->latest = owner;
    owner->bucket_next = *bucket;
    *bucket = owner;
}

/* Not any more; its request is over, one way or the other. */
static void end_wait(struct kv_locks *locks, struct kv_owner *owner, enum kv_wait how)
{
    struct kv_owner **bucket = bucket_of(locks, owner->transaction);

    owner->wait = how;
    *(owner->earlier != NULL ? &owner->earlier->later : &locks->earliest) = owner->later;
    *(owner->later != NULL ? &owner->later->earlier : &locks->latest) = owner->earlier;
    while (*bucket != owner)
        bucket = &(*bucket)->bucket_next;
    *bucket = owner->bucket_next;
    leave_line(owner);
}

/* -- what is in the way ------------------------------------------------------------------------ */

/*
 * Goes over the owners that a request in line has to wait for. meet() is told each of them, and
 * whether it is in the way by what it holds or only by having come earlier; other than 0 ends it.
 */
typedef int meet_fn(void *user, const struct kv_owner *other, int holds);

static int meet_holders(const struct kv_owner *owner, const struct kv_lock *lock, meet_fn *meet,
                        void *user)
{
    const struct kv_hold *hold = lock->holders;
    int stop = 0;

    for (; hold != NULL && stop == 0; hold = hold->next)
        if (hold->owner != owner && (owner->mode == KV_EXCLUSIVE || hold->mode == KV_EXCLUSIVE))
            stop = meet(user, hold->owner, 1);
    return stop;
}

/* Those in the line of another lock than the one it waits for, of one mode. */
static int meet_earlier(const struct kv_owner *owner, const struct kv_lock *lock,
                        enum kv_lock_mode mode, meet_fn *meet, void *user)
{
    const struct kv_owner *other = lock->first;
    int stop = 0;

    for (; other != NULL && stop == 0; other = other->behind)
        if (other != owner && other->mode == mode && other->ticket < owner->ticket &&
            other->ticket != owner->passes)
            stop = meet(user, other, 0);
    return stop;
}

static int meet_of_key(const struct kv_locks *locks, const struct kv_owner *owner, meet_fn *meet,
                       void *user)
{
    const struct kv_lock *lock = owner->wanted;
    const struct kv_lock *prefix = owner->mode == KV_EXCLUSIVE ? locks->prefixes : NULL;
    int stop = meet_holders(owner, lock, meet, user);

    if (stop == 0 && owner->ahead != NULL)
        stop = meet(user, owner->ahead, 0);
    for (; prefix != NULL && stop == 0; prefix = prefix->at[0].next) {
        if (!is_below(lock, prefix))
            continue;
        stop = meet_holders(owner, prefix, meet, user);
        if (stop == 0)
            stop = meet_earlier(owner, prefix, KV_SHARED, meet, user);
    }
    return stop;
}

static int meet_of_prefix(struct kv_locks *locks, const struct kv_owner *owner, meet_fn *meet,
                          void *user)
{
    const struct kv_lock *prefix = owner->wanted;
    const struct kv_lock *lock = NULL;
    int stop = 0;

    if (locks->exclusive > 0 || locks->earliest != NULL)
        lock = seek(locks, prefix);
    for (; lock != NULL && stop == 0 && is_below(lock, prefix); lock = lock->at[0].next) {
        stop = meet_holders(owner, lock, meet, user);
        if (stop == 0)
            stop = meet_earlier(owner, lock, KV_EXCLUSIVE, meet, user);
    }
    return stop;
}

static int meet_all(struct kv_locks *locks, const struct kv_owner *owner, meet_fn *meet, void *user)
{
    return owner->wanted->is_prefix ? meet_of_prefix(locks, owner, meet, user)
                                    : meet_of_key(locks, owner, meet, user);
}

enum { FREE = 0, LATE = 1, HELD = 2 }; /* how bad it is */

struct obstacle {
    int worst;
    uint64_t ticket; /* of one who came earlier */
};

static int note_obstacle(void *user, const struct kv_owner *other, int holds)
{
    struct obstacle *o = user;

    if (holds) {
        o->worst = HELD;
        return 1;
    }
    o->worst = LATE;
    o->ticket = other->ticket;
    return 0;
}

static struct obstacle find_obstacle(struct kv_locks *locks, const struct kv_owner *owner)
{
    struct obstacle o = {.worst = FREE};

    (void)meet_all(locks, owner, note_obstacle, &o);
    return o;
}

/* Grant what can be granted now, in the order in which they came (L5). */
static void settle(struct kv_locks *locks)
{
    struct kv_owner *later;

    if (HF_BUG("kv-waiter-forgotten") && locks->earliest == locks->latest)
        return;
    for (struct kv_owner *w = locks->earliest; w != NULL; w = later) {
        later = w->later;
        if (find_obstacle(locks, w).worst != FREE)
            continue;
        end_wait(locks, w, KV_GRANTED);
        take(locks, w);
        pthread_cond_signal(&w->wake);
    }
}

/* -- deadlocks (L6) ---------------------------------------------------------------------------- */

struct search {
    uint64_t transaction; /* that must not be met */
    uint64_t round;
    struct kv_owner *to_do; /* owners that wait, seen and not followed yet */
};

/* Put all owners of a transaction that wait, in whatever store, on the list; once each. */
static int follow(void *user, const struct kv_owner *other, int holds)
{
    struct search *s = user;

    (void)holds;
    if (other->transaction == s->transaction)
        return 1;
    for (struct kv_locks *t = tables; t != NULL; t = t->next) {
        struct kv_owner *w = *bucket_of(t, other->transaction);

        for (; w != NULL; w = w->bucket_next) {
            if (w->transaction != other->transaction || w->round == s->round)
                continue;
            w->round = s->round;
            w->to_do = s->to_do;
            s->to_do = w;
        }
    }
    return 0;
}

/* Does the owner wait for itself? With all mutexes held. Each turn takes one owner off the list. */
static int closes_a_circle(struct kv_owner *owner)
{
    struct search s = {.transaction = owner->transaction, .round = ++rounds, .to_do = owner};
    struct kv_owner *w;

    owner->round = s.round;
    owner->to_do = NULL;
    while ((w = s.to_do) != NULL) {
        s.to_do = w->to_do;
        if (meet_all(w->table, w, follow, &s) != 0)
            return 1;
    }
    return 0;
}

/* Look for a circle. Lets go of the mutex meanwhile: the wait may be over on return. */
static int search(struct kv_locks *locks, struct kv_owner *owner)
{
    int found;

    pthread_mutex_unlock(locks->mutex);
    pthread_mutex_lock(&searching);
    for (struct kv_locks *t = tables; t != NULL; t = t->next)
        pthread_mutex_lock(t->mutex);
    found = owner->wait == KV_WAITS && !HF_BUG("kv-deadlock-unseen") && closes_a_circle(owner);
    for (struct kv_locks *t = tables; t != NULL; t = t->next)
        if (t != locks)
            pthread_mutex_unlock(t->mutex);
    pthread_mutex_unlock(&searching);
    return found;
}

/* -- requests ---------------------------------------------------------------------------------- */

static struct timespec after_ms(uint32_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Waiting has ended without the lock. */
static enum kv_lock_answer stop_waiting(struct kv_locks *locks, struct kv_owner *owner,
                                        enum kv_lock_answer answer)
{
    end_wait(locks, owner, KV_WAITS_NOT);
    give_up(owner);
    settle(locks); /* somebody may have waited for us alone */
    return answer;
}

/* In line, and not to be granted at once: wait, unless it would never end (L6). */
static enum kv_lock_answer join_line(struct kv_locks *locks, struct kv_owner *owner)
{
    struct obstacle o;

    begin_to_wait(locks, owner);
    if (search(locks, owner)) {
        o = find_obstacle(locks, owner);
        if (o.worst == HELD)
            return stop_waiting(locks, owner, KV_LOCK_DEADLOCK);
        owner->passes = o.ticket; /* it waits for us: so we go first, this time and later */
        end_wait(locks, owner, KV_GRANTED);
        take(locks, owner);
        return KV_LOCKED;
    }
    return KV_LOCK_WAITS;
}

/* wanted and mode are set; held: the owner's hold of it, or NULL. */
static enum kv_lock_answer ask(struct kv_locks *locks, struct kv_owner *owner, struct kv_hold *held,
                               int may_wait)
{
    enum kv_lock_answer answer = KV_LOCKED;
    struct obstacle o;

    owner->pending = held;
    if (held == NULL && owner->count >= owner->count_max)
        answer = KV_LOCK_LIMIT;
    else if (held == NULL && (owner->pending = make_hold(owner->wanted)) == NULL)
        answer = KV_LOCK_NO_MEMORY;
    if (answer != KV_LOCKED) {
        drop_if_unused(owner->wanted);
        return answer;
    }
    owner->ticket = ++locks->tickets;
    line_up(owner, held != NULL || is_covered(owner, owner->wanted->bytes, owner->wanted->size));
    o = find_obstacle(locks, owner);
    if (o.worst == FREE) {
        leave_line(owner);
        take(locks, owner);
        return KV_LOCKED;
    }
    if (may_wait || o.worst == LATE)
        return join_line(locks, owner);
    leave_line(owner);
    give_up(owner);
    return KV_LOCK_TIMEOUT;
}

enum kv_lock_answer hf__kv_lock_ask_key(struct kv_locks *locks, struct kv_owner *owner,
                                        const void *key, size_t size, enum kv_lock_mode mode,
                                        int may_wait)
{
    struct kv_lock *lock;
    struct kv_hold *held;

    if (mode == KV_SHARED && is_covered(owner, key, size))
        return KV_LOCKED;
    lock = lock_of_key(locks, key, size);
    if (lock == NULL)
        return KV_LOCK_NO_MEMORY;
    held = hold_of(lock, owner);
    if (held != NULL && held->mode >= mode)
        return KV_LOCKED;
    owner->wanted = lock;
    owner->mode = mode;
    return ask(locks, owner, held, may_wait);
}

enum kv_lock_answer hf__kv_lock_ask_prefix(struct kv_locks *locks, struct kv_owner *owner,
                                           const void *prefix, size_t size, int may_wait)
{
    if (is_covered(owner, prefix, size) || HF_BUG("kv-prefix-unlocked"))
        return KV_LOCKED;
    owner->wanted = lock_of_prefix(locks, prefix, size);
    if (owner->wanted == NULL)
        return KV_LOCK_NO_MEMORY;
    owner->mode = KV_SHARED;
    return ask(locks, owner, NULL, may_wait);
}

enum kv_lock_answer hf__kv_lock_wait(struct kv_locks *locks, struct kv_owner *owner,
                                     uint32_t wait_ms)
{
    struct timespec until = after_ms(wait_ms);
    int rc = 0;

    while (owner->wait == KV_WAITS && rc == 0) /* each turn is a wake-up, or the time being over */
        rc = pthread_cond_timedwait(&owner->wake, locks->mutex, &until);
    if (owner->wait == KV_WAITS)
        return stop_waiting(locks, owner, KV_LOCK_TIMEOUT);
    return owner->wait == KV_GRANTED ? KV_LOCKED : KV_LOCK_REFUSED;
}

enum kv_lock_answer hf__kv_lock_key(struct kv_locks *locks, struct kv_owner *owner, const void *key,
                                    size_t size, enum kv_lock_mode mode, uint32_t wait_ms)
{
    enum kv_lock_answer answer = hf__kv_lock_ask_key(locks, owner, key, size, mode, wait_ms > 0);

    return answer == KV_LOCK_WAITS ? hf__kv_lock_wait(locks, owner, wait_ms) : answer;
}

enum kv_lock_answer hf__kv_lock_prefix(struct kv_locks *locks, struct kv_owner *owner,
                                       const void *prefix, size_t size, uint32_t wait_ms)
{
    enum kv_lock_answer answer = hf__kv_lock_ask_prefix(locks, owner, prefix, size, wait_ms > 0);

    return answer == KV_LOCK_WAITS ? hf__kv_lock_wait(locks, owner, wait_ms) : answer;
}

/* -- letting go -------------------------------------------------------------------------------- */

static void let_go_all(struct kv_locks *locks, struct kv_hold **list)
{
    struct kv_hold *hold = *list;
    struct kv_hold *next;

    *list = NULL;
    for (; hold != NULL; hold = next) {
        next = hold->next_owned;
        let_go(locks, hold);
    }
}

void hf__kv_lock_release(struct kv_locks *locks, struct kv_owner *owner)
{
    if (owner->count == 0)
        return;
    let_go_all(locks, &owner->holds);
    let_go_all(locks, &owner->prefixes);
    owner->count = 0;
    settle(locks);
}

static void refuse(struct kv_locks *locks, struct kv_owner *owner)
{
    end_wait(locks, owner, KV_REFUSED);
    give_up(owner);
    pthread_cond_signal(&owner->wake);
}

void hf__kv_lock_refuse(struct kv_locks *locks, struct kv_owner *owner)
{
    if (owner->wait != KV_WAITS)
        return;
    refuse(locks, owner);
    settle(locks);
}

void hf__kv_lock_refuse_all(struct kv_locks *locks)
{
    while (locks->earliest != NULL)
        refuse(locks, locks->earliest);
}
