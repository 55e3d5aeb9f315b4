/*
 * What: under everything at once the holder keeps its promises: no id has two owners, no two
 *       callbacks overlap for one id, what is enlisted is not destroyed before its transaction is
 *       over, nothing is offered to another transaction, each resource is destroyed exactly once,
 *       `released` is the last callback.
 * How:  threads allocate, free (also each other's), request destruction, end owners, commit and
 *       roll back, flush, resize, pause and sweep, with a driver that checks each callback and
 *       fails at random; in the middle of it the holder is closed. Round after round, seeded. The
 *       interleaving is the machine's: a seed replays what each thread does, not when.
 *
 *   prop_holder_storm [--seconds S] [--threads N] [--seed N] [--plant BUG]
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/holder.h"
#include "holdfast/internal/fault.h"

enum {
    THINGS_MAX = 1 << 18, /* made in one round: ids are never used again */
    THREADS_MAX = 64,
    MAILBOX = 4,
    ROUND_MS = 400,
    TYPES = 3,
    FAILED = -7
};

/* A resource. Its number is its id. */
struct thing {
    atomic_uint callbacks;              /* that run: 0 or 1 */
    atomic_uint owner;                  /* thread + 1; 0: nobody */
    atomic_ullong transaction;          /* its sequence; 0: none */
    atomic_bool made, destroyed, plain; /* plain: not enlistable */
    unsigned type;
};

static struct thing *things;
static atomic_uint thing_count, alive, released;
static atomic_ullong operations;
static unsigned long long seed = 1;
static const char *planted = "";
static _Thread_local unsigned long long dice;
static _Thread_local unsigned self;
static _Thread_local unsigned long long asked_for; /* the transaction of this thread's request */

static hf_tm *tm;
static hf_manager *manager;
static hf_holder *holder;
static atomic_bool stop;
static atomic_ulong mailbox[MAILBOX]; /* ids that anybody may free */

static void broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void broken(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("holder_storm: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nagain: prop_holder_storm --seed %llu%s%s\n", seed,
                  *planted != '\0' ? " --plant " : "", planted);
    va_end(args);
    _exit(1);
}

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 11) % sides);
}

static unsigned long long sequence_of(const XID *xid)
{
    unsigned long long sequence = 0;

    for (int i = 20; i < 28; i++)
        sequence = sequence << 8 | (unsigned char)xid->data[i];
    return sequence;
}

static unsigned long long current(const hf_tx *tx)
{
    XID xid;

    if (tx == NULL)
        return 0;
    if (hf_tx_xid(tx, &xid) != HF_OK)
        broken("a callback got a transaction that is none");
    return sequence_of(&xid);
}

/* -- the driver -------------------------------------------------------------------------------- */

static struct thing *begin(hf_resid id, const char *call)
{
    struct thing *t;

    if (id == 0 || id > atomic_load(&thing_count))
        broken("%s of %lu, which is none", call, (unsigned long)id);
    t = &things[id];
    if (atomic_fetch_add(&t->callbacks, 1) != 0)
        broken("two at once: callbacks for %lu, one of them %s", (unsigned long)id, call);
    if (!atomic_load(&t->made) || atomic_load(&t->destroyed))
        broken("%s of %lu, which is not there", call, (unsigned long)id);
    if (atomic_load(&released) != 0)
        broken("%s after released", call);
    if (roll(8) == 0)
        (void)sched_yield();
    return t;
}

static int end(struct thing *t, int rc)
{
    atomic_fetch_sub(&t->callbacks, 1);
    return rc;
}

static int on_create(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    unsigned id = atomic_fetch_add(&thing_count, 1) + 1;

    (void)user, (void)ret_idle_s;
    if (id >= THINGS_MAX || roll(40) == 0) {
        atomic_store(&things[id < THINGS_MAX ? id : 0].destroyed, true);
        return FAILED;
    }
    things[id].type = (unsigned)type;
    atomic_store(&things[id].plain, roll(12) == 0);
    atomic_store(&things[id].made, true);
    atomic_fetch_add(&alive, 1);
    if (roll(30) == 0)
        *ret_idle_s = HF_IDLE_NOT_POOLED;
    *ret_id = id;
    return HF_OK;
}

static int on_rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret)
{
    struct thing *t = begin(id, "rate");
    unsigned long long mine = asked_for, its = atomic_load(&t->transaction);

    (void)user;
    if (its != 0 && its != mine)
        broken("%lu is offered to a transaction that is not its own", (unsigned long)id);
    if (mine != 0 && needs_enlist != (its == 0))
        broken("needs_enlist is %d for %lu", needs_enlist, (unsigned long)id);
    if (t->type == type)
        *ret = roll(4) == 0 ? 30 + roll(70) : 100;
    if (roll(200) == 0)
        *ret = HF_RATING_DEAD;
    if (roll(400) == 0)
        (void)hf_holder_request_destroy(holder, id);
    return end(t, HF_OK);
}

static int on_enlist(void *user, hf_resid id, hf_tx *tx)
{
    struct thing *t = begin(id, "enlist");

    (void)user;
    if (atomic_load(&t->transaction) != 0)
        broken("%lu is enlisted and has a transaction", (unsigned long)id);
    if (roll(60) == 0)
        return end(t, roll(2) == 0 ? HF_EENLIST : FAILED);
    if (atomic_load(&t->plain))
        return end(t, HF_NOT_ENLISTABLE);
    atomic_store(&t->transaction, current(tx));
    return end(t, HF_OK);
}

static int on_reset(void *user, hf_resid id)
{
    struct thing *t = begin(id, "reset");

    (void)user;
    atomic_store(&t->owner, 0);
    if (roll(300) == 0)
        (void)hf_holder_request_destroy(holder, id);
    return end(t, roll(100) == 0 ? FAILED : HF_OK);
}

static int on_destroy(void *user, hf_resid id)
{
    struct thing *t = begin(id, "destroy");

    (void)user;
    if (atomic_load(&t->transaction) != 0)
        broken("%lu is destroyed before its transaction is over", (unsigned long)id);
    if (atomic_exchange(&t->destroyed, true))
        broken("%lu is destroyed twice", (unsigned long)id);
    atomic_fetch_sub(&alive, 1);
    return end(t, roll(20) == 0 ? FAILED : HF_OK);
}

static int on_adapt(void *user, hf_restype type, hf_resid id)
{
    struct thing *t = begin(id, "adapt");

    (void)user, (void)type;
    return end(t, roll(50) == 0 ? FAILED : HF_OK);
}

static int on_validate(void *user, hf_resid id, uint32_t timeout_ms)
{
    struct thing *t = begin(id, "validate");

    (void)user, (void)timeout_ms;
    if (atomic_load(&t->transaction) != 0)
        broken("validate of %lu within its transaction", (unsigned long)id);
    return end(t, roll(50) == 0 ? FAILED : HF_OK);
}

static int in_use_or_not(hf_resid id, const hf_tx *tx, const char *call)
{
    struct thing *t = begin(id, call);

    if (atomic_load(&t->transaction) != current(tx))
        broken("%s of %lu, which is not in that transaction", call, (unsigned long)id);
    return end(t, roll(200) == 0 ? FAILED : HF_OK);
}

static int on_suspend(void *user, hf_resid id, hf_tx *tx)
{
    (void)user;
    return in_use_or_not(id, tx, "suspend");
}

static int on_resume(void *user, hf_resid id, hf_tx *tx)
{
    (void)user;
    return in_use_or_not(id, tx, "resume");
}

static int on_tx_end(void *user, hf_resid id, const XID *xid, hf_outcome outcome)
{
    struct thing *t = begin(id, "tx_end");

    (void)user;
    if (outcome != HF_COMMITTED && outcome != HF_ROLLEDBACK)
        broken("outcome %d", (int)outcome);
    if (atomic_exchange(&t->transaction, 0) != sequence_of(xid))
        broken("tx_end of %lu for a transaction that is not its own", (unsigned long)id);
    return end(t, roll(100) == 0 ? FAILED : HF_OK);
}

static int on_clean(void *user, hf_resid id)
{
    struct thing *t = begin(id, "clean");

    (void)user;
    if (atomic_load(&t->transaction) != 0)
        broken("clean of %lu within its transaction", (unsigned long)id);
    return end(t, roll(100) == 0 ? FAILED : HF_OK);
}

static void on_released(void *user)
{
    (void)user;
    if (atomic_fetch_add(&released, 1) != 0)
        broken("released twice");
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
    .released = on_released,
};

/* -- what a thread does ------------------------------------------------------------------------ */

static void check_rc(const char *call, int rc)
{
    switch (rc) {
    case HF_OK:
    case HF_EINVAL: /* somebody else was faster */
    case HF_EDRIVER:
    case HF_EENLIST:
    case HF_EROLLEDBACK:
    case HF_ELIMIT:
    case HF_ETIMEOUT:
    case HF_ECLOSED:
        return;
    default:
        broken("%s answered %s: %s", call, hf_strerror(rc), hf_error_last()->text);
    }
}

static hf_resid take(hf_owner owner)
{
    unsigned long long mine = current(hf_tx_current(tm)), its;
    hf_alloc request = HF_ALLOC_INIT;
    hf_resid id = 0;
    int rc;

    request.flags = HF_ALLOC_OWNER | HF_ALLOC_WAIT;
    request.owner = owner;
    request.wait_ms = roll(3) == 0 ? 1 : 0;
    request.tag = "storm";
    if (roll(10) == 0) {
        request.flags |= HF_ALLOC_TX; /* outside */
        mine = 0;
    }
    asked_for = mine;
    rc = hf_holder_alloc_with(holder, 1 + roll(TYPES), &request, &id);
    check_rc("alloc", rc);
    if (rc != HF_OK && id != 0)
        broken("an allocation that failed wrote an id");
    if (rc != HF_OK)
        return 0;
    if (atomic_exchange(&things[id].owner, self + 1) != 0)
        broken("two at once: owners of %lu", (unsigned long)id);
    its = atomic_load(&things[id].transaction);
    if (its != mine && !atomic_load(&things[id].plain) && !atomic_load(&things[id].destroyed))
        broken("%lu does not work for the transaction that it was asked for", (unsigned long)id);
    return id;
}

/* Leave it in the mailbox; what is found there is freed. */
static void post(hf_resid id)
{
    hf_resid found = atomic_exchange(&mailbox[roll(MAILBOX)], id);

    if (found != 0)
        check_rc("free", hf_holder_free(holder, found));
}

static void give_back(hf_resid id)
{
    switch (roll(16)) {
    case 0:
        check_rc("request", hf_holder_request_destroy(holder, id));
        check_rc("free", hf_holder_free(holder, id));
        break;
    case 1:
    case 2:
    case 3:
        post(id);
        break;
    default:
        check_rc("free", hf_holder_free(holder, id));
        break;
    }
}

static void meddle(void)
{
    unsigned count = atomic_load(&thing_count);

    switch (roll(60)) {
    case 0:
        check_rc("flush", hf_holder_flush(holder, roll(2) == 0 ? 0 : 1 + roll(TYPES),
                                          roll(2) == 0 ? HF_FLUSH_IDLE : HF_FLUSH_ALL));
        break;
    case 1:
        check_rc("resize", hf_holder_resize(holder, 8 + roll(32)));
        break;
    case 2:
        check_rc("pause", hf_holder_pause(holder, 1));
        check_rc("pause", hf_holder_pause(holder, 0));
        break;
    case 3:
        check_rc("sweep", hf_holder_sweep(holder));
        break;
    case 4:
        check_rc("stock", hf_holder_stock(holder, 1 + roll(TYPES), roll(3)));
        break;
    case 5:
        if (count > 0) /* whosever it is */
            check_rc("request",
                     hf_holder_request_destroy(holder, count > 40 ? count - roll(40) : 1));
        break;
    default:
        break;
    }
}

/* One that the holder did not make: watched, then untracked, or left to its owner's end. */
static void track_one(void)
{
    unsigned id = atomic_fetch_add(&thing_count, 1) + 1;
    int rc;

    if (id >= THINGS_MAX)
        return;
    atomic_store(&things[id].plain, roll(6) == 0);
    atomic_store(&things[id].made, true);
    atomic_fetch_add(&alive, 1);
    rc = hf_holder_track(holder, id);
    check_rc("track", rc);
    if (rc == HF_OK) {
        check_rc("free", hf_holder_free(holder, id)); /* refused */
        check_rc("untrack", hf_holder_untrack(holder, id, 1));
    } else if (!atomic_exchange(&things[id].destroyed, true)) {
        atomic_fetch_sub(&alive, 1);
    }
}

static void one_owner(hf_owner owner)
{
    hf_resid ids[4] = {0};
    hf_tx *tx = NULL;

    if (roll(4) != 0 && hf_tx_begin(tm, 0, &tx) != HF_OK)
        broken("begin: %s", hf_error_last()->text);
    for (unsigned i = 0; i < 6; i++) {
        unsigned at = roll(4);

        if (ids[at] != 0)
            give_back(ids[at]);
        ids[at] = take(0);
        meddle();
        atomic_fetch_add(&operations, 2);
    }
    if (roll(4) == 0) { /* some that nobody frees */
        (void)take(owner);
        check_rc("owner's end", hf_manager_owner_end(manager, owner));
    }
    if (roll(4) == 0)
        track_one();
    if (tx != NULL && roll(12) == 0)
        (void)hf_tx_set_rollback_only(tx);
    for (unsigned i = 0; i < 2; i++)
        if (ids[i] != 0)
            give_back(ids[i]);
    if (tx != NULL) {
        int rc = roll(3) == 0 ? hf_tx_rollback(tx, NULL) : hf_tx_commit(tx, NULL);

        if (rc != HF_OK && rc != HF_EROLLEDBACK)
            broken("complete: %s", hf_error_last()->text);
    }
    for (unsigned i = 2; i < 4; i++)
        if (ids[i] != 0)
            give_back(ids[i]);
}

static void *work(void *arg)
{
    hf_owner owner;

    self = (unsigned)(uintptr_t)arg;
    dice = (seed + self + 1) * 0x9e3779b97f4a7c15U | 1;
    owner = (hf_owner)(self + 1) << 32;
    while (!atomic_load(&stop) && atomic_load(&thing_count) < THINGS_MAX - 1000)
        one_owner(++owner);
    return NULL;
}

/* -- rounds ------------------------------------------------------------------------------------ */

static unsigned long long now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (unsigned long long)ts.tv_sec * 1000 + (unsigned long long)ts.tv_nsec / 1000000;
}

static void sleep_ms(unsigned ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&ts, NULL);
}

static void open_round(void)
{
    hf_manager_config config = HF_MANAGER_CONFIG_INIT;
    hf_holder_config h = HF_HOLDER_CONFIG_INIT;

    memset(things, 0, THINGS_MAX * sizeof(*things));
    memset(mailbox, 0, sizeof(mailbox));
    atomic_store(&thing_count, 0);
    atomic_store(&alive, 0);
    atomic_store(&released, 0);
    atomic_store(&stop, false);
    config.tm = tm;
    config.background = 1;
    config.sweep_ms = 3;
    if (hf_manager_open(&config, &manager) != HF_OK)
        broken("open a manager: %s", hf_error_last()->text);
    h.name = "storm";
    h.flags = HF_HOLDER_RECLAIM | (roll(2) == 0 ? HF_HOLDER_STRICT : 0);
    h.max = 8 + roll(32);
    h.wait_ms = 5;
    h.life_ms = 10;
    h.leak_ms = 20;
    h.idle_s = 1;
    if (hf_holder_open(manager, &driver, NULL, &h, &holder) != HF_OK)
        broken("open a holder: %s", hf_error_last()->text);
}

static void close_round(void)
{
    hf_holder_stats s = {.size = sizeof(s)};
    unsigned left = 0, waited = 0;
    int rc;

    for (unsigned i = 0; i < MAILBOX; i++) {
        hf_resid id = atomic_exchange(&mailbox[i], 0);

        if (id != 0)
            check_rc("free", hf_holder_free(holder, id));
    }
    if (hf_holder_get_stats(holder, &s) != HF_OK)
        broken("stats: %s", hf_error_last()->text);
    if (s.idle_enlisted + s.used_enlisted != 0)
        broken("%u are filed under transactions that are over", s.idle_enlisted + s.used_enlisted);
    if (s.used != 0)
        broken("%u are in use, and nobody uses any", s.used);
    do {
        rc = hf_manager_close(manager, 1000, &left);
    } while (rc == HF_EBUSY && left == 0 && waited++ < 30);
    if (rc != HF_OK)
        broken("close: %u are left: %s", left, hf_error_last()->text);
    if (atomic_load(&alive) != 0)
        broken("%u were never destroyed", atomic_load(&alive));
    if (atomic_load(&released) != 1)
        broken("released was called %u times", atomic_load(&released));
}

/* A failpoint that nothing passes is none. */
static void check_failpoints(void)
{
#ifdef HF_FAULTS
    static const char *const names[] = {
        "holder:watched",   "holder:ended",    "holder:rated",     "holder:created",
        "holder:validated", "holder:enlisted", "holder:resumed",   "holder:adapted",
        "holder:resetting", "holder:tx-end",   "holder:suspended", "holder:destroying",
        "holder:destroyed", "holder:tracking", "holder:requested", "holder:reclaiming",
        "holder:expired",   "holder:closing",  "holder:closed",    "holder:cleaned"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (hf__fault_hits(names[i]) == 0)
            broken("the failpoint %s was not passed", names[i]);
#endif
}

static void round_of(unsigned threads)
{
    pthread_t workers[THREADS_MAX];

    open_round();
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&workers[i], NULL, work, (void *)(uintptr_t)i) != 0)
            broken("no thread");
    sleep_ms(ROUND_MS);
    if (hf_holder_close(holder, HF_CLOSE_DETACH, 0, NULL) != HF_OK) /* in the middle of it */
        broken("close: %s", hf_error_last()->text);
    sleep_ms(ROUND_MS / 8);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < threads; i++)
        (void)pthread_join(workers[i], NULL);
    close_round();
}

/* Nobody but the sweep, which makes some, lets them grow old, and makes others. */
static void calm_round(void)
{
    open_round();
    check_rc("stock", hf_holder_stock(holder, 1, 4));
    sleep_ms(100);
    if (hf_holder_close(holder, HF_CLOSE_WAIT, 0, NULL) != HF_OK)
        broken("close: %s", hf_error_last()->text);
    close_round();
}

static void open_tm(char *dir)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;

    if (mkdtemp(dir) == NULL)
        broken("no directory");
    config.dir = dir;
    if (hf_tm_open(&config, &tm) != HF_OK || hf_tm_start(tm, 0) != HF_OK)
        broken("open a node: %s", hf_error_last()->text);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/holdfast-storm-XXXXXX", command[64];
    unsigned seconds = 4, threads = 8, rounds = 0;
    unsigned long long until;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--plant") == 0)
            planted = argv[i + 1];
        else
            return 2;
    }
    if (threads == 0 || threads > THREADS_MAX)
        return 2;
#ifdef HF_FAULTS
    if (*planted != '\0')
        hf__bug_plant(planted);
#endif
    things = calloc(THINGS_MAX, sizeof(*things));
    if (things == NULL)
        return 2;
    dice = seed * 0x9e3779b97f4a7c15U | 1;
    open_tm(dir);
    until = now_ms() + seconds * 1000ULL;
    do {
        round_of(threads);
        rounds++;
        seed++;
    } while (now_ms() < until);
    calm_round();
    check_failpoints();
    if (hf_tm_close(tm, 1000, NULL) != HF_OK)
        broken("close the node: %s", hf_error_last()->text);
    free(things);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    if (system(command) != 0)
        return 1;
    printf("holder_storm: %u rounds\n", rounds);
    printf("rig: %llu operations of threads, 0 violations\n", atomic_load(&operations));
    return 0;
}
