/*
 * tm/instance.c - instances of resource managers: xa_open, identity, the durable id, xa_close.
 *
 * A name is bound to what it reaches (L5) when the first instance of this opening reaches it. Every
 * later instance has to reach the same; if it does not, it is closed again and nothing is concluded
 * from it.
 *
 * A registry of all open instances, by rmid, is what ax_reg() finds them by. With one rmid for all
 * (hf_rm_config.one_rmid) an instance belongs to the thread that opened it; those of one thread,
 * also a recovery pass's, share that thread's xa_open: the first one calls it, and the last one
 * calls xa_close. What one of them loses all of them have lost; the next one to be opened calls
 * xa_open again. Of broken ones each calls xa_close when its own thread closes it (a second one
 * does nothing, [XA] xa_close()), unless that thread has a good one by then, which it would close.
 * No other thread calls that xa_close: there it would close what that thread itself has open, or
 * nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "node.h"

/* One number space for the process: switches are shared by all nodes that it has open. */
static _Atomic int next_rmid = 1;

static _Atomic uint64_t openings; /* calls of xa_open */

enum { RMID_BUCKETS = 256 };
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER; /* the innermost */
static hf_instance *registry[RMID_BUCKETS];
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

void hf__instance_error(const hf_instance *instance, int *ret_native, char *ret_text, size_t size)
{
    const hf_rm *rm = instance->rm;
    int native = 0;
    char text[256] = "";

    if (rm->ext.error == NULL ||
        rm->ext.error(rm->ext_user, instance->rmid, &native, text, sizeof(text)) != 0)
        return;
    *ret_native = native;
    text[sizeof(text) - 1] = '\0';
    if (text[0] != '\0' && size > 0) {
        strncpy(ret_text, text, size - 1);
        ret_text[size - 1] = '\0';
    }
}

static int xa_failed(const hf_instance *instance, const char *call, int code)
{
    char text[256];
    int native = 0;

    strcpy(text, "it gives no reason");
    hf__instance_error(instance, &native, text, sizeof(text));
    (void)hf__error(HF_ERM, native != 0 ? native : code, "%s: %s answered %s: %s",
                    instance->rm->name, call, hf__xa_name(code), text);
    return hf__error_xa(HF_ERM, code);
}

/* Ask the store who it is, and whether it keeps what it acknowledges. why: what it has to say of
   that, though it is good. */
static int ask(const hf_instance *instance, unsigned char ret_id[HF_IDENTITY_SIZE],
               bool *ret_has_identity, char why[256])
{
    const hf_rm *rm = instance->rm;

    why[0] = '\0';
    memset(ret_id, 0, HF_IDENTITY_SIZE);
    *ret_has_identity = rm->ext.identity != NULL;
    if (rm->ext.identity != NULL && rm->ext.identity(rm->ext_user, instance->rmid, ret_id) != 0)
        return xa_failed(instance, "the question for its identity", XAER_RMERR);
    if (rm->ext.settings != NULL && rm->ext.settings(rm->ext_user, instance->rmid, why, 256) != 0) {
        why[255] = '\0';
        return hf__error(HF_ERM, 0, "%s: refused, what it acknowledges may be lost: %s", rm->name,
                         why);
    }
    return HF_OK;
}

static int compare(const hf_rm *rm, const unsigned char *identity)
{
    if (memcmp(rm->identity, identity, HF_IDENTITY_SIZE) == 0)
        return HF_OK;
    return hf__error(HF_EIDENTITY, 0, "%s: reaches another store than when it was bound", rm->name);
}

/* Once for each opening: recovery waits for a store that the name does not reach any more. */
static void tell_of_former(const hf_rm *rm, uint32_t id)
{
    uint32_t owed = 0;

    if (hf__log_owed_to_former(rm->tm->log, rm->name, id, &owed) == HF_OK && owed > 0)
        hf__tm_tell(rm->tm, HF_LOG_ALARM,
                    "%s: reaches another store than before; the former one is owed %u branches, "
                    "which wait until the name reaches it again",
                    rm->name, owed);
}

/* Give the name its durable id, or check that it still reaches the same. No lock is held in the
   hooks. */
static int bind_instance(hf_instance *instance)
{
    hf_rm *rm = instance->rm;
    unsigned char identity[HF_IDENTITY_SIZE];
    bool has_identity, bound;
    char why[256];
    uint32_t id = 0;
    int rc = ask(instance, identity, &has_identity, why);

    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&rm->lock);
    bound = rm->bound;
    rc = bound ? compare(rm, identity) : HF_OK;
    (void)pthread_mutex_unlock(&rm->lock);
    if (bound || rc != HF_OK)
        return rc;
    rc = hf__log_bind(rm->tm->log, rm->name, has_identity ? identity : NULL, &id);
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&rm->lock);
    if (!rm->bound) {
        rm->id = id;
        rm->has_identity = has_identity;
        memcpy(rm->identity, identity, HF_IDENTITY_SIZE);
        rm->bound = true;
    } else {
        rc = compare(rm, identity); /* another thread was first */
        bound = true;
    }
    (void)pthread_mutex_unlock(&rm->lock);
    why[255] = '\0';
    if (!bound && why[0] != '\0')
        hf__tm_tell(rm->tm, HF_LOG_WARNING, "%s: %s", rm->name, why);
    if (!bound)
        tell_of_former(rm, id);
    return rc;
}

/* Count it before the resource manager is called, so that the node cannot close meanwhile. */
static int reserve(hf_tm *tm)
{
    int rc = HF_OK;

    (void)pthread_mutex_lock(&tm->lock);
    if (tm->state == HF__TM_CLOSING)
        rc = hf__error(HF_ESTATE, 0, "open an instance: the node is closing");
    else
        tm->instances++;
    (void)pthread_mutex_unlock(&tm->lock);
    return rc;
}

static void unreserve(hf_tm *tm)
{
    (void)pthread_mutex_lock(&tm->lock);
    tm->instances--;
    (void)pthread_cond_broadcast(&tm->changed);
    (void)pthread_mutex_unlock(&tm->lock);
}

/* -- the registry ----------------------------------------------------------------------------- */

static hf_instance **bucket(int rmid)
{
    return &registry[(unsigned)rmid % RMID_BUCKETS];
}

/* The parent's instances are not this process's; another thread may have held the lock. */
static void forget_registry(void)
{
    (void)pthread_mutex_init(&registry_lock, NULL);
    memset(registry, 0, sizeof(registry));
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, forget_registry); /* ENOMEM: they stay, and answer HF_EFORK */
}

static void enter_registry(hf_instance *instance)
{
    hf_instance **at = bucket(instance->rmid);

    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_lock(&registry_lock);
    instance->next_of_rmid = *at;
    *at = instance;
    (void)pthread_mutex_unlock(&registry_lock);
}

static void leave_registry(hf_instance *instance)
{
    hf_instance **at = bucket(instance->rmid);

    (void)pthread_mutex_lock(&registry_lock);
    while (*at != NULL && *at != instance)
        at = &(*at)->next_of_rmid;
    if (*at != NULL)
        *at = instance->next_of_rmid;
    (void)pthread_mutex_unlock(&registry_lock);
}

/* The higher, the more it is this one that ax_reg() and ax_unreg() mean. */
static int preference(const hf_instance *instance)
{
    if (instance->associated || atomic_load(&instance->outside) != 0)
        return 2;
    return instance->broken ? 0 : 1;
}

hf_instance *hf__instance_of(int rmid, bool *ret_known)
{
    uint64_t self = hf__thread();
    hf_instance *best = NULL;

    *ret_known = rmid > 0 && rmid < atomic_load(&next_rmid);
    (void)pthread_mutex_lock(&registry_lock);
    for (hf_instance *at = *bucket(rmid); at != NULL; at = at->next_of_rmid) {
        if (at->rmid != rmid || (at->rm->one_rmid && at->opener != self))
            continue;
        if (best == NULL || preference(at) > preference(best))
            best = at;
    }
    (void)pthread_mutex_unlock(&registry_lock);
    return best;
}

bool hf__instance_outside(const hf_tm *tm, unsigned *ret_all)
{
    uint64_t self = hf__thread();
    bool found = false;

    *ret_all = 0;
    (void)pthread_mutex_lock(&registry_lock);
    for (unsigned i = 0; i < RMID_BUCKETS; i++)
        for (const hf_instance *at = registry[i]; at != NULL; at = at->next_of_rmid) {
            if (atomic_load(&at->outside) != self)
                continue;
            ++*ret_all;
            found = found || at->rm->tm == tm;
        }
    (void)pthread_mutex_unlock(&registry_lock);
    return found;
}

/* The xa_open that the thread has of this rmid, by an instance that is not broken, nor this one; 0:
   none. */
static uint64_t find_opening(int rmid, uint64_t thread, const hf_instance *but)
{
    uint64_t opening = 0;

    (void)pthread_mutex_lock(&registry_lock);
    for (const hf_instance *at = *bucket(rmid); at != NULL && opening == 0; at = at->next_of_rmid)
        if (at != but && at->rmid == rmid && at->opener == thread && !at->broken)
            opening = at->opening;
    (void)pthread_mutex_unlock(&registry_lock);
    return opening;
}

/* All that share its xa_open. */
static void break_siblings(const hf_instance *instance)
{
    (void)pthread_mutex_lock(&registry_lock);
    for (hf_instance *o = *bucket(instance->rmid); o != NULL; o = o->next_of_rmid) {
        if (o->rmid != instance->rmid || o->opener != instance->opener ||
            o->opening != instance->opening)
            continue;
        o->broken = true;
        atomic_store(&o->outside, 0);
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

void hf__instance_lost(hf_instance *instance)
{
    bool known = false;

    if (instance->rm->one_rmid && instance->opener != hf__thread())
        instance = hf__instance_of(instance->rmid, &known); /* the call went by this thread's own */
    if (instance == NULL)
        return;
    instance->broken = true;
    if (instance->rm->one_rmid)
        break_siblings(instance);
}

bool hf__instance_callable(const hf_instance *instance)
{
    return !instance->rm->one_rmid || instance->opener == hf__thread() ||
           find_opening(instance->rmid, hf__thread(), NULL) != 0;
}

/* -- open and close --------------------------------------------------------------------------- */

static int choose_rmid(hf_rm *rm, int *ret_rmid)
{
    int rmid;

    (void)pthread_mutex_lock(&rm->lock);
    rmid = rm->rmid; /* 0, unless all have one and it was chosen */
    if (rmid == 0)
        rmid = atomic_fetch_add(&next_rmid, 1);
    if (rmid <= 0 || rmid == INT_MAX)
        atomic_store(&next_rmid, rmid = INT_MAX);
    else if (rm->one_rmid)
        rm->rmid = rmid;
    (void)pthread_mutex_unlock(&rm->lock);
    *ret_rmid = rmid;
    if (rmid == INT_MAX)
        return hf__error(HF_ELIMIT, 0, "%s: this process has used up its rmids", rm->name);
    return HF_OK;
}

static int reach(hf_instance *instance)
{
    hf_rm *rm = instance->rm;
    int code, rc;

    if (rm->one_rmid)
        instance->opening = find_opening(instance->rmid, instance->opener, NULL);
    if (instance->opening != 0)
        return HF_OK; /* by one that was bound */
    instance->opening = atomic_fetch_add(&openings, 1) + 1;
    code = rm->xa->xa_open_entry(rm->open_info, instance->rmid, TMNOFLAGS);
    HF_FAULT("instance:opened");
    if (code != XA_OK)
        return xa_failed(instance, "xa_open", code);
    rc = bind_instance(instance);
    if (rc != HF_OK) {
        hf_error why = *hf_error_last();

        (void)rm->xa->xa_close_entry(rm->close_info, instance->rmid, TMNOFLAGS); /* unused so far */
        (void)hf__error(why.code, why.native_code, "%s", why.text);
    }
    return rc;
}

int hf_instance_open(hf_rm *rm, hf_instance **ret)
{
    hf_instance *instance;
    int rc;

    if (rm == NULL || ret == NULL || rm->magic != HF__RM_MAGIC)
        return hf__error(HF_EINVAL, 0, "open an instance: not a resource manager");
    rc = hf__tm_check(rm->tm);
    if (rc == HF_OK)
        rc = reserve(rm->tm);
    if (rc != HF_OK)
        return rc;
    instance = calloc(1, sizeof(*instance));
    if (instance == NULL) {
        unreserve(rm->tm);
        return hf__error(HF_ENOMEM, ENOMEM, "%s: open an instance", rm->name);
    }
    *instance = (hf_instance){.magic = HF__INSTANCE_MAGIC, .rm = rm, .opener = hf__thread()};
    rc = choose_rmid(rm, &instance->rmid);
    if (rc == HF_OK)
        rc = reach(instance);
    if (rc != HF_OK) {
        instance->magic = 0;
        free(instance);
        unreserve(rm->tm);
        return rc;
    }
    enter_registry(instance);
    *ret = instance;
    return HF_OK;
}

int hf_instance_rmid(const hf_instance *instance)
{
    return instance->rmid;
}

hf_rm *hf_instance_rm(const hf_instance *instance)
{
    return instance->rm;
}

int hf_instance_broken(const hf_instance *instance)
{
    return instance->broken;
}

int hf_instance_get_state(const hf_instance *instance)
{
    if (instance->broken)
        return HF_INSTANCE_BROKEN;
    if (atomic_load(&instance->outside) != 0)
        return HF_INSTANCE_OUTSIDE;
    if (instance->rm->one_rmid && instance->opener != hf__thread())
        return HF_INSTANCE_ELSEWHERE;
    return HF_INSTANCE_GOOD;
}

int hf_instance_abandon(hf_instance *instance)
{
    int rc;

    if (instance == NULL || instance->magic != HF__INSTANCE_MAGIC)
        return hf__error(HF_EINVAL, 0, "abandon an instance: not one");
    rc = hf__tm_check(instance->rm->tm);
    if (rc != HF_OK)
        return rc;
    if (atomic_exchange(&instance->outside, 0) == 0)
        return hf__error(HF_ESTATE, 0, "%s: abandon an instance that has not registered",
                         instance->rm->name);
    instance->broken = true;
    if (instance->rm->one_rmid)
        break_siblings(instance);
    return HF_OK;
}

int hf_instance_close(hf_instance *instance)
{
    hf_rm *rm;
    int rc, code = XA_OK;
    bool own;

    if (instance == NULL)
        return HF_OK;
    if (instance->magic != HF__INSTANCE_MAGIC)
        return hf__error(HF_EINVAL, 0, "close an instance: not one");
    rm = instance->rm;
    rc = hf__tm_check(rm->tm);
    if (rc != HF_OK)
        return rc;
    if (instance->tx != NULL)
        return hf__error(HF_EBUSY, 0, "%s: close an instance that is enlisted", rm->name);
    if (atomic_load(&instance->outside) != 0 && !instance->broken)
        return hf__error(HF_EBUSY, 0, "%s: close an instance that has registered", rm->name);
    leave_registry(instance);
    own = !rm->one_rmid || instance->opener == hf__thread();
    if (instance->broken && rm->one_rmid && own)
        break_siblings(instance);
    if (own && !(rm->one_rmid && find_opening(instance->rmid, instance->opener, instance) != 0))
        code = rm->xa->xa_close_entry(rm->close_info, instance->rmid, TMNOFLAGS);
    rc = code == XA_OK ? HF_OK : xa_failed(instance, "xa_close", code);
    instance->magic = 0;
    free(instance);
    unreserve(rm->tm);
    return rc;
}
