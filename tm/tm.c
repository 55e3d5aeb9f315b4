/*
 * tm/tm.c - a node's life in this process: open, start, tick, close.
 *
 *   hf_tm_open -> OPEN -- hf_tm_start --> STARTED -- hf_tm_close --> CLOSING -> freed
 *
 * Work that is due (a recovery pass, removals that wait, requests of operators) is done by
 * hf_tm_tick(), on the host's thread or on one of ours. Passes come soon after a start and while
 * something is owed, and back off (recover_ms to recover_max_ms); requests are looked for every
 * REQUESTS_MS.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "completion.h"

enum {
    REQUESTS_MS = 250, /* between two looks for requests, and for removals that wait */
    START_POLL_MS = 50,
    SLOW_MS = 1000, /* presets of the configuration */
    UNCONFIRMED_MS = 86400000,
    RECOVER_MS = 250,
    RECOVER_MAX_MS = 30000,
};

static _Atomic uint64_t next_thread = 1;
static _Thread_local uint64_t this_thread;

uint64_t hf__thread(void)
{
    if (this_thread == 0)
        this_thread = atomic_fetch_add(&next_thread, 1);
    return this_thread;
}

int hf__tm_check(const hf_tm *tm)
{
    if (tm == NULL || tm->magic != HF__TM_MAGIC)
        return hf__error(HF_EINVAL, 0, "not an open node");
    if (tm->process != hf__process())
        return hf__error(HF_EFORK, 0, "the node was opened by the parent process");
    return HF_OK;
}

void hf__tm_tell(hf_tm *tm, int level, const char *format, ...)
{
    char text[512];
    va_list args;

    if (level == HF_LOG_ALARM) {
        (void)pthread_mutex_lock(&tm->lock);
        hf__live_set(&tm->live->alarms, ++tm->stats.alarms);
        (void)pthread_mutex_unlock(&tm->lock);
    }
    if (tm->config.log == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tm->config.log(tm->config.user, level, text);
}

void hf__tm_log_failed(hf_tm *tm, const char *doing)
{
    hf_error why = *hf_error_last();
    bool told;

    (void)pthread_mutex_lock(&tm->lock);
    told = tm->told_failed;
    tm->told_failed = true;
    (void)pthread_mutex_unlock(&tm->lock);
    if (told)
        return;
    hf__tm_tell(tm, HF_LOG_ALARM, "%s: %s; the node takes no more work until it is opened again",
                doing, why.text);
    (void)hf__error(why.code, why.native_code, "%s",
                    why.text); /* the host's callback may have failed at something */
}

/* -- open ------------------------------------------------------------------------------------- */

static void init_locks(hf_tm *tm)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&tm->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&tm->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static void set_pauses(hf_tm_config *c)
{
    uint32_t first = c->recover_ms, most = c->recover_max_ms;

    if (first == 0)
        c->recover_ms = most != 0 && most < RECOVER_MS ? most : RECOVER_MS;
    if (most == 0)
        c->recover_max_ms = first > RECOVER_MAX_MS ? first : RECOVER_MAX_MS;
}

int hf_tm_open(const hf_tm_config *config, hf_tm **ret_tm)
{
    hf_tm_config cfg;
    hf_tm *tm;
    int rc;

    if (config == NULL || ret_tm == NULL || config->dir == NULL || config->dir[0] == '\0')
        return hf__error(HF_EINVAL, 0, "open a node: a null argument");
    rc = hf__copy_sized(&cfg, sizeof(cfg), config, config->size, "hf_tm_config");
    if (rc == HF_OK && cfg.history > HF__HISTORY_NONE)
        rc =
            hf__error(HF_EINVAL, 0, "hf_tm_config.history is %u; it can be 0, 1 or 2", cfg.history);
    if (rc == HF_OK && cfg.recover_max_ms != 0 && cfg.recover_ms > cfg.recover_max_ms)
        rc = hf__error(HF_EINVAL, 0, "hf_tm_config.recover_ms is above recover_max_ms");
    if (rc != HF_OK)
        return rc;
    tm = calloc(1, sizeof(*tm));
    if (tm == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "%s: open", cfg.dir);
    rc = hf__log_open_with(cfg.dir, cfg.nonce, &tm->log);
    if (rc != HF_OK) {
        free(tm);
        return rc;
    }
    tm->live = hf__log_live(tm->log);
    tm->magic = HF__TM_MAGIC;
    tm->process = hf__process();
    tm->config = cfg;
    tm->config.dir = tm->config.nonce = NULL;
    tm->config.slow_ms = cfg.slow_ms != 0 ? cfg.slow_ms : SLOW_MS;
    tm->config.unconfirmed_ms = cfg.unconfirmed_ms != 0 ? cfg.unconfirmed_ms : UNCONFIRMED_MS;
    hf__history_limit(hf__log_history(tm->log), cfg.history_max);
    set_pauses(&tm->config);
    tm->pause_ms = tm->config.recover_ms;
    tm->next_expiry_ms = UINT64_MAX;
    tm->expired_end = &tm->expired;
    atomic_store(&tm->sequence, (uint64_t)hf__log_nonce(tm->log) << (64 - HF__NONCE_BITS));
    init_locks(tm);
    if (cfg.panic != NULL)
        hf__panic_hook(cfg.panic, cfg.user);
    if (hf__log_warning(tm->log)[0] != '\0')
        hf__tm_tell(tm, HF_LOG_WARNING, "%s", hf__log_warning(tm->log));
    *ret_tm = tm;
    return HF_OK;
}

/* -- the work that is due --------------------------------------------------------------------- */

/* When to look again: for requests, or for the next transaction whose time is over. */
static uint32_t pause_now(hf_tm *tm)
{
    uint64_t now = hf__monotonic_ms(), next;

    (void)pthread_mutex_lock(&tm->lock);
    next = tm->next_expiry_ms;
    (void)pthread_mutex_unlock(&tm->lock);
    if (next <= now)
        return 0;
    return next - now < REQUESTS_MS ? (uint32_t)(next - now) : REQUESTS_MS;
}

struct asked {
    bool recover;
    struct hf__request list[32];
    unsigned count;
};

static int note_request(void *user, const struct hf__request *q)
{
    struct asked *a = user;

    a->recover = a->recover || q->verb == HF_REQUEST_RECOVER;
    a->list[a->count++] = *q;
    return a->count == sizeof(a->list) / sizeof(*a->list); /* the rest next time */
}

/* An operator wants a transaction forgotten of which branches decided by themselves. That it may
   not be is an answer, too. */
static int serve_forget(hf_tm *tm, struct hf__request *q)
{
    bool own = memcmp(q->gtrid, hf__log_node(tm->log), HF__NODE_ID_SIZE) == 0 &&
               hf__gtrid_incarnation(q->gtrid) == hf__log_incarnation(tm->log);
    int rc = HF_ESTATE; /* its owner is about to write the record again */

    if (!own || !hf__tx_running(tm, hf__gtrid_sequence(q->gtrid), NULL))
        rc = hf__log_forget(tm->log, q, tm->config.history != HF__HISTORY_NONE);
    if (rc == HF_ENOTFOUND || rc == HF_ESTATE || rc == HF_EIO)
        rc = hf__log_request_answer(tm->log, q->number, rc);
    return rc;
}

/* Do what operators ask for, then mark it done, in this order: asked twice is better than not
   done. */
static int serve_requests(hf_tm *tm)
{
    struct asked asked = {0};
    int rc = hf__log_requests(tm->log, note_request, &asked);

    if (rc < 0)
        return rc;
    rc = asked.recover ? hf__recover(tm, NULL) : HF_OK;
    for (unsigned i = 0; rc == HF_OK && i < asked.count; i++) {
        if (asked.list[i].verb == HF_REQUEST_FORGET)
            rc = serve_forget(tm, &asked.list[i]);
        else
            rc = hf__log_request_done(tm->log, asked.list[i].number);
        if (rc == HF_ENOTFOUND)
            rc = HF_OK; /* dropped meanwhile: there are only so many */
    }
    return rc;
}

/* A pass, and when the next one is due: soon while passes get something done, then ever later. */
static int pass_and_plan(hf_tm *tm)
{
    const uint32_t most = tm->config.recover_max_ms;
    uint64_t owed;
    int rc;

    (void)pthread_mutex_lock(&tm->lock);
    owed = tm->stats.owed;
    (void)pthread_mutex_unlock(&tm->lock);
    rc = hf__recover(tm, NULL);
    (void)pthread_mutex_lock(&tm->lock);
    if (tm->stats.owed < owed)
        tm->pause_ms = tm->config.recover_ms;
    else
        tm->pause_ms = tm->pause_ms < most / 2 ? 2 * tm->pause_ms : most;
    tm->next_pass_ms = hf__monotonic_ms() + tm->pause_ms;
    (void)pthread_mutex_unlock(&tm->lock);
    return rc;
}

static int do_due_work(hf_tm *tm)
{
    bool pass_due;
    int rc;

    (void)pthread_mutex_lock(&tm->lock);
    pass_due = hf__monotonic_ms() >= tm->next_pass_ms;
    (void)pthread_mutex_unlock(&tm->lock);
    hf__history_write(hf__log_history(tm->log));
    if (hf__log_failed(tm->log))
        return hf__error(HF_ELOG, 0, "the log failed; close the node and open it again");
    rc = serve_requests(tm);
    if (rc == HF_OK && pass_due)
        rc = pass_and_plan(tm);
    if (rc == HF_OK)
        rc = hf__log_flush(tm->log);
    if (rc == HF_EUNKNOWN || rc == HF_EFENCED)
        hf__tm_log_failed(tm, "flush");
    return rc;
}

int hf_tm_tick(hf_tm *tm, uint32_t *ret_next_ms)
{
    int rc = hf__tm_check(tm);
    bool mine = false;

    if (rc != HF_OK)
        return rc;
    hf__deadline_expire(tm); /* also while closing, or while another thread is in a pass */
    (void)pthread_mutex_lock(&tm->lock);
    if (tm->state != HF__TM_STARTED) {
        rc = hf__error(HF_ESTATE, 0, "tick: the node is not started, or closing");
    } else if (!tm->ticking) {
        mine = tm->ticking = true;
    }
    (void)pthread_mutex_unlock(&tm->lock);
    if (mine) {
        rc = do_due_work(tm);
        (void)pthread_mutex_lock(&tm->lock);
        tm->ticking = false;
        (void)pthread_cond_broadcast(&tm->changed);
        (void)pthread_mutex_unlock(&tm->lock);
    }
    if (ret_next_ms != NULL)
        *ret_next_ms = pause_now(tm);
    return rc;
}

/* -- our thread, if asked for ----------------------------------------------------------------- */

static struct timespec at_ms(uint64_t at)
{
    return (struct timespec){.tv_sec = (time_t)(at / 1000),
                             .tv_nsec = (long)(at % 1000) * 1000000L};
}

/* Sleep until then, or until something expires, which may begin meanwhile. False: it has to end. */
static bool sleep_until(hf_tm *tm, uint64_t then)
{
    bool stop;
    int err = 0;

    (void)pthread_mutex_lock(&tm->lock);
    while (!tm->stop && err == 0) {
        struct timespec until = at_ms(then < tm->next_expiry_ms ? then : tm->next_expiry_ms);

        err = pthread_cond_timedwait(&tm->changed, &tm->lock, &until);
    }
    stop = tm->stop;
    (void)pthread_mutex_unlock(&tm->lock);
    return !stop;
}

static void *background(void *arg)
{
    hf_tm *tm = arg;
    uint32_t next_ms = REQUESTS_MS;

    do
        (void)hf_tm_tick(tm, &next_ms); /* what fails is told to the host, and tried again */
    while (sleep_until(tm, hf__monotonic_ms() + next_ms));
    return NULL;
}

/* The thread takes no signals: they are the host's. */
static int start_thread(hf_tm *tm)
{
    sigset_t all, old;
    int err;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&tm->thread, NULL, background, tm);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err != 0)
        return hf__error(HF_ENOMEM, err, "start the background thread");
    tm->has_thread = true; /* the tm is not started yet: no other thread looks */
    return HF_OK;
}

static void stop_thread(hf_tm *tm)
{
    if (!tm->has_thread)
        return;
    (void)pthread_mutex_lock(&tm->lock);
    tm->stop = true;
    (void)pthread_cond_broadcast(&tm->changed);
    (void)pthread_mutex_unlock(&tm->lock);
    (void)pthread_join(tm->thread, NULL);
    tm->has_thread = false;
}

/* -- start and recover ------------------------------------------------------------------------ */

static bool anything_owed(hf_tm *tm)
{
    bool owed;

    (void)pthread_mutex_lock(&tm->lock);
    owed = tm->stats.owed > tm->stats.unconfirmed;
    (void)pthread_mutex_unlock(&tm->lock);
    return owed;
}

int hf_tm_start(hf_tm *tm, uint32_t wait_ms)
{
    const struct timespec pause = {.tv_nsec = START_POLL_MS * 1000000L};
    uint64_t until = hf__monotonic_ms() + wait_ms;
    int rc = hf__tm_check(tm);

    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&tm->lock);
    if (tm->state != HF__TM_OPEN)
        rc = hf__error(HF_ESTATE, 0, "start: the node is started, or closing");
    (void)pthread_mutex_unlock(&tm->lock);
    if (rc == HF_OK)
        rc = pass_and_plan(tm);
    while (rc == HF_OK && anything_owed(tm) && hf__monotonic_ms() < until) {
        (void)nanosleep(&pause, NULL);
        rc = pass_and_plan(tm);
    }
    if (rc == HF_OK && tm->config.background != 0)
        rc = start_thread(tm); /* its ticks do nothing until the state below says so */
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&tm->lock);
    if (tm->state == HF__TM_OPEN)
        tm->state = HF__TM_STARTED;
    tm->pause_ms = tm->config.recover_ms;
    tm->next_pass_ms = hf__monotonic_ms() + tm->config.recover_ms;
    (void)pthread_mutex_unlock(&tm->lock);
    return HF_OK;
}

int hf_tm_recover(hf_tm *tm, hf_rm *only)
{
    int rc = hf__tm_check(tm);

    if (rc == HF_OK && only != NULL && (only->magic != HF__RM_MAGIC || only->tm != tm))
        rc = hf__error(HF_EINVAL, 0, "recover: not a resource manager of this node");
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&tm->lock);
    if (tm->state == HF__TM_CLOSING)
        rc = hf__error(HF_ESTATE, 0, "recover: the node is closing");
    (void)pthread_mutex_unlock(&tm->lock);
    return rc == HF_OK ? hf__recover(tm, only) : rc;
}

/* May that incarnation, not ours, still decide something? */
static bool is_open(hf_tm *tm, uint32_t incarnation)
{
    struct hf__fences fences;
    bool open;

    if (incarnation == hf__log_incarnation(tm->log) || hf__log_fences(tm->log, &fences) != HF_OK)
        return false;
    open = incarnation <= fences.highest && !hf__fenced(&fences, incarnation);
    free(fences.open);
    return open;
}

int hf_tm_outcome(hf_tm *tm, const XID *xid, hf_outcome *ret_outcome)
{
    const unsigned char *gtrid = NULL;
    uint32_t rm_id, number, incarnation;
    bool committed = false;
    struct hf__rec rec;
    int rc = hf__tm_check(tm);

    if (rc != HF_OK)
        return rc;
    if (xid == NULL || ret_outcome == NULL || !hf__xid_ours(xid, &gtrid, &rm_id, &number))
        return hf__error(HF_EINVAL, 0, "ask for an outcome: not an identifier of this node");
    if (memcmp(gtrid, hf__log_node(tm->log), HF__NODE_ID_SIZE) != 0) {
        rc = hf__log_former(tm->log, gtrid, ret_outcome); /* of the original of this copy? */
        return rc == HF_ENOTFOUND
                   ? hf__error(HF_EINVAL, 0, "ask for an outcome: not an identifier of this node")
                   : rc;
    }
    incarnation = hf__gtrid_incarnation(gtrid);
    if (incarnation == hf__log_incarnation(tm->log) &&
        (hf__tx_running(tm, hf__gtrid_sequence(gtrid), &committed) || hf__log_failed(tm->log))) {
        *ret_outcome = committed ? HF_COMMITTED : HF_UNKNOWN;
        return HF_OK;
    }
    rc = hf__log_find(tm->log, gtrid, &rec);
    if (rc == HF_OK) {
        *ret_outcome = rec.outcome;
        free(rec.branches);
        return HF_OK;
    }
    if (rc == HF_ENOTFOUND)
        rc = hf__history_recall(hf__log_history(tm->log), gtrid, ret_outcome);
    if (rc == HF_ENOTFOUND && is_open(tm, incarnation)) {
        *ret_outcome = HF_UNKNOWN; /* another process may be running it */
        return HF_OK;
    }
    if (rc == HF_ENOTFOUND)
        return hf__error(HF_ENOTFOUND, 0,
                         "the transaction is no longer known; that does not mean rolled back");
    return rc;
}

int hf_tm_get_stats(hf_tm *tm, hf_tm_stats *ret_stats)
{
    int rc = hf__tm_check(tm);

    if (rc == HF_OK && (ret_stats == NULL || ret_stats->size != sizeof(*ret_stats)))
        rc = hf__error(HF_EINVAL, 0,
                       "hf_tm_stats is null, or of a size that this version does not know");
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&tm->lock);
    *ret_stats = tm->stats;
    ret_stats->active = tm->active;
    (void)pthread_mutex_unlock(&tm->lock);
    ret_stats->size = sizeof(*ret_stats);
    ret_stats->incarnation = hf__log_incarnation(tm->log);
    ret_stats->history_dropped = hf__history_dropped(hf__log_history(tm->log));
    return HF_OK;
}

/* -- close ------------------------------------------------------------------------------------ */

/* What keeps the node from closing: *ret_left the host's transactions and instances, and passes. */
static bool in_use(const hf_tm *tm, unsigned *ret_left)
{
    unsigned passing = (unsigned)tm->pass_instances; /* also one that is just closed */

    *ret_left = tm->active + (tm->instances > passing ? tm->instances - passing : 0);
    return *ret_left > 0 || tm->instances > 0 || tm->passes != NULL || tm->pass_waiters > 0 ||
           tm->ticking;
}

/* Wait for all of that to end; false if it did not in time. */
static bool drain(hf_tm *tm, uint32_t drain_ms, unsigned *ret_left)
{
    struct timespec until = at_ms(hf__monotonic_ms() + drain_ms);
    bool busy;

    (void)pthread_mutex_lock(&tm->lock);
    tm->state = HF__TM_CLOSING;
    (void)pthread_cond_broadcast(&tm->changed); /* who waits for a pass has none to wait for */
    while ((busy = in_use(tm, ret_left)) &&
           pthread_cond_timedwait(&tm->changed, &tm->lock, &until) != ETIMEDOUT)
        continue;
    busy = in_use(tm, ret_left);
    (void)pthread_mutex_unlock(&tm->lock);
    return !busy;
}

int hf_tm_close(hf_tm *tm, uint32_t drain_ms, unsigned *ret_left)
{
    unsigned left;
    int rc = hf__tm_check(tm);

    if (rc != HF_OK)
        return rc;
    if (!drain(tm, drain_ms, &left))
        rc = hf__error(HF_EBUSY, 0, "close: %u transactions and instances are left, or a pass runs",
                       left);
    if (ret_left != NULL)
        *ret_left = left;
    if (rc != HF_OK)
        return rc;
    stop_thread(tm);
    hf__panic_unhook(tm->config.panic, tm->config.user);
    hf__log_close(tm->log, true);
    hf__tx_free_pool(tm);
    while (tm->rms != NULL) {
        hf_rm *rm = tm->rms;

        tm->rms = rm->next;
        rm->magic = 0;
        (void)pthread_mutex_destroy(&rm->lock);
        free(rm);
    }
    (void)pthread_cond_destroy(&tm->changed);
    (void)pthread_mutex_destroy(&tm->lock);
    tm->magic = 0;
    free(tm);
    return HF_OK;
}
