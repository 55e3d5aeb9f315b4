/*
 * tm/tx/thread.c - threads of control: each has its own instances; all share one node.
 *
 *   no node -- the first tx_open --> OPENING -> OPEN -- the last tx_close --> CLOSING -> no node
 *
 * Whoever changes the node says so and lets the lock go while it does, since that calls resource
 * managers; others wait for the end of it. A node that cannot be closed, because a recovery pass
 * hangs, stays, with no threads, and the next tx_open tries again.
 *
 * A resource manager that could not be opened is tried again by tx_begin(), for all threads one try
 * at a time: an xa_open that hangs holds up the one thread that is in it.
 *
 * What a thread has is in a structure of its own, which only that thread touches. When a thread
 * ends without tx_close, a destructor rolls its transaction back, gives up what works outside of
 * transactions, and closes for it. In a child after fork there is no node and no thread has
 * anything: what the parent had is left alone, and tx_open opens the node for the child.
 *
 * The globals here are the node, the host's callback, and each thread's pointer to its own.
 */
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Between tries to open what could not be opened, if the file does not say. */
enum { RETRY_MS = 250, RETRY_MAX_MS = 30000 };

enum node_state { NONE, OPENING, OPEN, CLOSING };

static struct {
    enum node_state state;
    hf_config *config;
    hf_tm *tm;
    unsigned threads;
    void (*log)(void *user, int level, const char *text);
    void *user;
    bool to_stderr; /* as the file says */
} node;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;
static unsigned process; /* counted up in a child after fork, by its one thread */
static _Thread_local struct hf__tx_thread *self;

/* -- telling the host ------------------------------------------------------------------------- */

static void tell(void *user, int level, const char *text)
{
    static const char *const levels[] = {"info", "warning", "alarm"};
    void (*log)(void *, int, const char *);
    bool to_stderr;

    (void)user;
    (void)pthread_mutex_lock(&lock);
    log = node.log;
    user = node.user;
    to_stderr = node.to_stderr;
    (void)pthread_mutex_unlock(&lock);
    if (log != NULL)
        log(user, level, text);
    else if (to_stderr)
        (void)fprintf(stderr, "holdfast: %s: %s\n", levels[level], text);
}

void hf__tx_tell(int level, const char *format, ...)
{
    hf_error why = *hf_error_last();
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tell(NULL, level, text);
    if (hf_error_last()->code != why.code || strcmp(hf_error_last()->text, why.text) != 0)
        (void)hf_error_set(why.code, why.native_code, why.text); /* the host has failed at it */
}

void hf_opened_log(void (*log)(void *user, int level, const char *text), void *user)
{
    (void)pthread_mutex_lock(&lock);
    node.log = log;
    node.user = user;
    (void)pthread_mutex_unlock(&lock);
}

/* -- forks and ends of threads ---------------------------------------------------------------- */

static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
    hf__tx_behind_before_fork();
}

static void after_fork(void)
{
    hf__tx_behind_after_fork(false);
    (void)pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    hf__tx_behind_after_fork(true);
    process++;
    node.state = NONE; /* what the parent has open is not the child's to close, or to free */
    node.config = NULL;
    node.tm = NULL;
    node.threads = 0;
    (void)pthread_cond_init(&changed, NULL);
    (void)pthread_mutex_unlock(&lock);
}

/* Work outside of transactions: only the thread that ends could have ended it, and until then its
   instance could not be closed, nor the node. */
static void give_up_outside(struct hf__tx_thread *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        hf_instance *instance = t->slots[i].instance;

        if (instance == NULL || hf_instance_get_state(instance) != HF_INSTANCE_OUTSIDE)
            continue;
        hf__tx_tell(HF_LOG_WARNING, "a thread ended while %s worked outside of transactions",
                    hf_rm_name(t->slots[i].rm));
        (void)hf_instance_abandon(instance); /* cannot fail: it is OUTSIDE */
    }
}

static void at_thread_end(void *arg)
{
    struct hf__tx_thread *t = arg;

    if (t->process != process)
        return;
    if (t->tx != NULL) {
        hf__tx_tell(HF_LOG_WARNING, "a thread ended in a transaction, which is rolled back");
        (void)hf_tx_rollback(t->tx, NULL); /* what it leaves, recovery finds */
        t->tx = NULL;
    }
    give_up_outside(t);
    (void)hf__tx_thread_close(t);
}

static void init_once(void)
{
    (void)pthread_atfork(before_fork, after_fork, in_child);
    has_key = pthread_key_create(&key, at_thread_end) == 0;
}

struct hf__tx_thread *hf__tx_self(void)
{
    return self != NULL && self->process == process ? self : NULL;
}

/* -- the node --------------------------------------------------------------------------------- */

/* The TX code for a node that could not be opened: is it worth another try? */
static int code_of_open(int rc)
{
    switch (rc) {
    case HF_EBUSY:
    case HF_EFULL:
    case HF_EIO:
    case HF_ENOMEM:
    case HF_EUNKNOWN:
        return TX_ERROR;
    default:
        return TX_FAIL;
    }
}

static int start(hf_config *config, hf_tm *tm)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    int rc = hf_tm_start(tm, (uint32_t)config->start_wait_ms);

    if (rc == HF_OK && hf_tm_get_stats(tm, &stats) == HF_OK && stats.owed > 0)
        hf__tx_tell(HF_LOG_WARNING,
                    "%llu branches of earlier transactions are owed their end: txctl -n %s status",
                    (unsigned long long)stats.owed, config->node);
    return rc;
}

/* Called by the one thread that is OPENING. */
static int open_node(hf_config **ret_config, hf_tm **ret_tm)
{
    hf_config_host host = HF_CONFIG_HOST_INIT;
    const char *path = secure_getenv("HOLDFAST_CONFIG"); /* the file names libraries */
    hf_config *config = NULL;
    hf_tm *tm = NULL;
    int rc;

    if (path == NULL || path[0] == '\0') {
        (void)hf_error_set(HF_EINVAL, 0, "the environment has no HOLDFAST_CONFIG");
        return HF_EINVAL;
    }
    rc = hf_config_load(path, &config);
    if (rc != HF_OK)
        return rc == HF_EIO || rc == HF_ENOMEM ? rc : HF_EINVAL;
    (void)pthread_mutex_lock(&lock);
    node.to_stderr = config->log != 0;
    (void)pthread_mutex_unlock(&lock);
    host.log = tell;
    rc = hf_config_open(config, &host, &tm);
    if (rc == HF_OK)
        rc = start(config, tm);
    if (rc != HF_OK) {
        hf_error why = *hf_error_last();

        if (tm != NULL)
            (void)hf_tm_close(tm, (uint32_t)config->close_wait_ms, NULL);
        hf_config_free(config);
        return hf_error_set(rc, why.native_code, why.text);
    }
    *ret_config = config;
    *ret_tm = tm;
    return HF_OK;
}

/* Close the one that is left, if there is one, and open. Both are NULL if there is no node. */
static int reopen_node(hf_config **config, hf_tm **tm)
{
    int rc = *tm != NULL ? hf_tm_close(*tm, 0, NULL) : HF_OK;

    if (rc != HF_OK)
        return rc;
    hf_config_free(*config);
    *config = NULL;
    *tm = NULL;
    return open_node(config, tm);
}

static void change(enum node_state state)
{
    node.state = state;
    (void)pthread_cond_broadcast(&changed);
}

/* Count the thread in; the first one opens. */
static int join_node(void)
{
    hf_config *config = NULL;
    hf_tm *tm = NULL;
    int rc = HF_OK;

    (void)pthread_mutex_lock(&lock);
    while (node.state == OPENING || node.state == CLOSING)
        (void)pthread_cond_wait(&changed, &lock);
    if (node.state == NONE || node.threads == 0) {
        config = node.config; /* of one that could not be closed */
        tm = node.tm;
        change(OPENING);
        (void)pthread_mutex_unlock(&lock);
        rc = reopen_node(&config, &tm);
        (void)pthread_mutex_lock(&lock);
        node.config = config;
        node.tm = tm;
        change(tm != NULL ? OPEN : NONE);
    }
    node.threads += rc == HF_OK;
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

/* Count it out; the last one closes. */
static int leave_node(void)
{
    hf_config *config;
    hf_tm *tm;
    int rc;

    (void)pthread_mutex_lock(&lock);
    if (--node.threads > 0) {
        (void)pthread_mutex_unlock(&lock);
        return HF_OK;
    }
    config = node.config;
    tm = node.tm;
    change(CLOSING);
    (void)pthread_mutex_unlock(&lock);
    hf__tx_behind_stop();
    rc = hf_tm_close(tm, (uint32_t)config->close_wait_ms, NULL);
    if (rc == HF_OK)
        hf_config_free(config);
    (void)pthread_mutex_lock(&lock);
    if (rc == HF_OK) {
        node.config = NULL;
        node.tm = NULL;
    }
    change(rc == HF_OK ? NONE : OPEN);
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

/* -- a thread --------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* it cannot fail */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int open_slot(struct hf__tx_slot *slot)
{
    int rc = hf_instance_open(slot->rm, &slot->instance);

    if (rc == HF_OK)
        slot->had = true;
    else
        hf__tx_tell(HF_LOG_WARNING, "cannot open %s: %s", hf_rm_name(slot->rm),
                    hf_error_last()->text);
    return rc;
}

/* Is it time to try it again? Then it is for this thread to do, and no other tries meanwhile. */
static bool claim_try(struct hf__tx_rm *rm)
{
    bool due;

    (void)pthread_mutex_lock(&lock);
    due = !rm->trying && now_ms() >= rm->again_ms;
    rm->trying = rm->trying || due;
    (void)pthread_mutex_unlock(&lock);
    return due;
}

/* Put the next try off, after one that failed: as long as it took, at least. The pauses are those
   of hf_tm_config. */
static void plan_try(const hf_config *config, struct hf__tx_rm *rm, bool claimed, uint64_t took)
{
    int64_t most = config->recover_max_ms, first = config->recover_ms;
    uint64_t at;

    if (most == 0)
        most = first > RETRY_MAX_MS ? first : RETRY_MAX_MS;
    if (first == 0)
        first = most < RETRY_MS ? most : RETRY_MS;
    if (rm->pause_ms == 0)
        rm->pause_ms = (uint32_t)first;
    else if (claimed)
        rm->pause_ms = rm->pause_ms < most / 2 ? 2 * rm->pause_ms : (uint32_t)most;
    at = now_ms() + (took > rm->pause_ms ? took : rm->pause_ms);
    if (at > rm->again_ms)
        rm->again_ms = at;
}

/* One that was not open so far. claimed: by claim_try(). */
static int try_slot(const hf_config *config, struct hf__tx_rm *rm, struct hf__tx_slot *slot,
                    bool claimed)
{
    uint64_t began = now_ms();
    int rc = open_slot(slot);

    (void)pthread_mutex_lock(&lock);
    if (claimed)
        rm->trying = false;
    if (rc == HF_OK)
        rm->again_ms = rm->pause_ms = 0; /* the others may try at once */
    else
        plan_try(config, rm, claimed, now_ms() - began);
    (void)pthread_mutex_unlock(&lock);
    if (rc == HF_OK && slot->late)
        hf__tx_tell(HF_LOG_INFO, "%s is open now, and takes part", hf_rm_name(slot->rm));
    slot->late = rc != HF_OK;
    return rc;
}

/* The xa_opens of a thread. How many succeeded. */
static unsigned open_slots(struct hf__tx_thread *t)
{
    unsigned count = 0;

    for (unsigned i = 0; i < t->count; i++) {
        t->slots[i].rm = t->config->rms[i].rm;
        t->slots[i].dynamic = (t->config->rms[i].xa->flags & TMREGISTER) != 0;
        t->bound = t->bound || hf__config_rm_bound(&t->config->rms[i]);
        count += try_slot(t->config, &t->config->rms[i], &t->slots[i], false) == HF_OK;
    }
    return count;
}

/* TX_OK, TX_ERROR; TX_PROTOCOL_ERROR, and not all are closed: one is at work outside of
   transactions. Only those that register by themselves can be, so these go first. */
static int close_slots(struct hf__tx_thread *t)
{
    int code = TX_OK;

    for (unsigned n = 0; n < 2 * t->count; n++) {
        unsigned i = n % t->count;
        int rc;

        if (t->slots[i].dynamic != (n < t->count))
            continue;
        rc = hf_instance_close(t->slots[i].instance);
        if (rc == HF_EBUSY) {
            hf__tx_tell(HF_LOG_WARNING, "tx_close: %s", hf_error_last()->text);
            return TX_PROTOCOL_ERROR;
        }
        t->slots[i].instance = NULL;
        if (rc == HF_OK)
            continue;
        hf__tx_tell(HF_LOG_WARNING, "cannot close %s: %s", hf_rm_name(t->slots[i].rm),
                    hf_error_last()->text);
        code = TX_ERROR;
    }
    return code;
}

int hf__tx_thread_open(void)
{
    struct hf__tx_thread *t;
    int rc;

    (void)pthread_once(&once, init_once);
    if (self != NULL) { /* the parent's, whose memory this is a copy of */
        if (has_key)
            (void)pthread_setspecific(key, NULL); /* should we not get as far as to set it again */
        free(self);
        self = NULL;
    }
    rc = join_node();
    if (rc != HF_OK) {
        hf__tx_tell(HF_LOG_ALARM, "tx_open: %s", hf_error_last()->text);
        return code_of_open(rc);
    }
    t = calloc(1, sizeof(*t) + node.config->count * sizeof(t->slots[0]));
    if (t == NULL) {
        (void)leave_node();
        (void)hf_error_set(HF_ENOMEM, ENOMEM, "tx_open");
        return TX_ERROR;
    }
    t->process = process;
    t->config = node.config; /* both stay while this thread is counted in */
    t->tm = node.tm;
    t->count = t->config->count;
    t->timeout = (TRANSACTION_TIMEOUT)t->config->timeout;
    self = t;
    if (has_key)
        (void)pthread_setspecific(key, t);
    if (open_slots(t) > 0 || t->count == 0)
        return TX_OK;
    (void)hf__tx_thread_close(t);
    hf__tx_tell(HF_LOG_ALARM, "tx_open: no resource manager can be opened");
    return TX_ERROR;
}

int hf__tx_thread_close(struct hf__tx_thread *t)
{
    int code;

    hf__tx_behind_wait(t);
    code = close_slots(t);
    if (code == TX_PROTOCOL_ERROR)
        return code;
    if (has_key)
        (void)pthread_setspecific(key, NULL);
    self = NULL;
    free(t);
    if (leave_node() != HF_OK) {
        hf__tx_tell(HF_LOG_ALARM, "tx_close: %s", hf_error_last()->text);
        code = TX_FAIL;
    }
    return code;
}

int hf__tx_thread_mend(struct hf__tx_thread *t)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < t->count; i++) {
        struct hf__tx_slot *slot = &t->slots[i];

        if (slot->instance != NULL && hf_instance_broken(slot->instance)) {
            (void)hf_instance_close(slot->instance); /* whatever xa_close says of what is lost */
            slot->instance = NULL;
        }
        if (slot->instance == NULL && slot->had)
            rc = open_slot(slot);
        else if (slot->instance == NULL && claim_try(&t->config->rms[i]))
            (void)try_slot(t->config, &t->config->rms[i], slot, true); /* or they go without it */
    }
    return rc;
}

/* -- for programs that want to know ----------------------------------------------------------- */

int hf_opened_rmid(const char *name, int *ret_rmid)
{
    struct hf__tx_thread *t = hf__tx_self();

    if (name == NULL || ret_rmid == NULL)
        return hf_error_set(HF_EINVAL, 0, "hf_opened_rmid: a null argument");
    if (t == NULL)
        return hf_error_set(HF_ESTATE, 0, "hf_opened_rmid: this thread has not called tx_open()");
    hf__tx_behind_wait(t); /* the caller will use it: it may be another thread's still */
    for (unsigned i = 0; i < t->count; i++) {
        if (strcmp(hf_rm_name(t->slots[i].rm), name) != 0)
            continue;
        if (t->slots[i].instance == NULL)
            return hf_error_set(HF_ERM, 0, "hf_opened_rmid: the resource manager is not open");
        *ret_rmid = hf_instance_rmid(t->slots[i].instance);
        return HF_OK;
    }
    return hf_error_set(HF_ENOTFOUND, 0, "hf_opened_rmid: no resource manager of this name");
}

hf_tm *hf_opened_tm(void)
{
    hf_tm *tm;

    (void)pthread_mutex_lock(&lock);
    tm = node.state == OPEN && node.threads > 0 ? node.tm : NULL;
    (void)pthread_mutex_unlock(&lock);
    return tm;
}
