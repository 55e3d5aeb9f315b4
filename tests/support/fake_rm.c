/*
 * tests/support/fake_rm.c - four scripted resource managers that know [XA] table 6-4.
 *
 * A branch is in the table of its resource manager from its xa_start to the end of the program: one
 * that is over stays there with its fate, so that a call about it can be told from a call about
 * something that never was. What is legal is decided before the script is asked; what the answer
 * does to the branch is decided after it.
 *
 * Threads: one process-shared lock around all; the hook of fake_on_call() is called without it.
 */
#include "support/fake_rm.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "holdfast/inspect.h"

enum {
    BRANCHES_MAX = 2048,
    SESSIONS_MAX = 1100,
    SCRIPTS_MAX = 64,
    TRACE_SIZE = 65536,
    ILLEGAL_SIZE = 4096,
    SHARED_SIZE = 4096,
};

enum fate { OPEN_YET, COMMITTED, ROLLED_BACK, READ_ONLY };

struct branch {
    XID xid;
    enum fake_state state;
    enum fate fate;
    int heuristic; /* the XA code it answers from then on */
    pid_t pid;     /* of the session that works or worked for it */
    int rmid;
    unsigned long thread; /* that associated it */
    bool suspended;       /* active, and its association is: T2 of table 6-2 */
    bool suspending;      /* the xa_end that is served has TMSUSPEND */
    pid_t told;           /* the process that was truly told its end; 0: none was */
    bool voted_yes;       /* ever */
};

/* A call with TMASYNC whose answer was not fetched. */
struct pending {
    int handle; /* 0: none */
    enum fake_call call;
    const XID *at; /* the caller's, which has to stay */
    XID xid;       /* what it was */
    int code;
    enum fake_effect effect;
    unsigned long thread;
};

struct session {
    pid_t pid; /* 0: free */
    int rmid;
    bool failed; /* it answered XAER_RMFAIL: state R0 */
    bool scanning;
    unsigned cursor;
    struct pending pending;
};

struct script {
    bool set;
    enum fake_call call;
    unsigned nth; /* 0: always; else it counts down, and acts at 1 */
    int code;
    enum fake_effect effect;
};

struct rm {
    struct branch branches[BRANCHES_MAX];
    unsigned count;
    struct session sessions[SESSIONS_MAX];
    struct script scripts[SCRIPTS_MAX];
    unsigned calls[FAKE_CALLS];
    XID last;
    unsigned hooks;
    bool migrates;
    bool async;
    bool warns;
    int rank;
    int handles; /* given out */
    unsigned char identity;
    int probe;
    bool held;
    enum fake_scan scan;
    unsigned said; /* FAKE_SAID_... */
    int native;
    char text[128];
};

struct shared {
    pthread_mutex_t lock;
    struct rm rms[FAKE_RMS];
    char trace[TRACE_SIZE];
    char illegal[ILLEGAL_SIZE];
    unsigned char user[SHARED_SIZE];
};

static struct shared *all;
static void (*on_call)(void *user, int rm, enum fake_call call);
static void *on_call_user;
static int pause_to[2] = {-1, -1}, pause_back[2] = {-1, -1};
#ifdef HF_FAULTS
static unsigned long decided_seen, recorded_seen;
#endif

static const char *const call_names[FAKE_CALLS] = {
    "open",   "close",   "start",  "end",      "rollback", "prepare",
    "commit", "recover", "forget", "complete", "identity", "settings",
    "token",  "probe",   "cancel", "detach",   "error",
};

/* -- the trace --------------------------------------------------------------------------------- */

static void lock(void)
{
    if (pthread_mutex_lock(&all->lock) != 0)
        abort();
}

static void unlock(void)
{
    if (pthread_mutex_unlock(&all->lock) != 0)
        abort();
}

static void add(const char *text)
{
    size_t used = strlen(all->trace);

    snprintf(all->trace + used, TRACE_SIZE - used, "%s%s", used > 0 ? " " : "", text);
}

/* What the log has made durable since the last look. */
static void add_log(void)
{
#ifdef HF_FAULTS
    unsigned long decided = hf__fault_hits("log:decided");
    unsigned long recorded = hf__fault_hits("log:recorded");

    for (; decided_seen < decided; decided_seen++)
        add("log");
    for (; recorded_seen < recorded; recorded_seen++)
        add("record");
#endif
}

static void trace_call(int n, enum fake_call call, const char *flags)
{
    char text[64];

    all->rms[n].calls[call]++;
    if (call == FAKE_ERROR)
        return;
    add_log();
    snprintf(text, sizeof(text), "%c.%s%s", 'a' + n, call_names[call], flags);
    add(text);
}

static int illegal(int n, enum fake_call call, const char *why)
{
    size_t used = strlen(all->illegal);

    snprintf(all->illegal + used, ILLEGAL_SIZE - used, "%c.%s: %s\n", 'a' + n, call_names[call],
             why);
    return XAER_PROTO;
}

/* -- branches and sessions --------------------------------------------------------------------- */

static bool same(const XID *x, const XID *y)
{
    return x->formatID == y->formatID && x->gtrid_length == y->gtrid_length &&
           x->bqual_length == y->bqual_length &&
           memcmp(x->data, y->data, (size_t)(x->gtrid_length + x->bqual_length)) == 0;
}

static struct branch *find(struct rm *rm, const XID *xid)
{
    for (unsigned i = 0; i < rm->count; i++)
        if (same(&rm->branches[i].xid, xid))
            return &rm->branches[i];
    return NULL;
}

static struct branch *make(struct rm *rm, const XID *xid, enum fake_state state)
{
    struct branch *b;

    if (rm->count == BRANCHES_MAX)
        abort();
    b = &rm->branches[rm->count++];
    memset(b, 0, sizeof(*b));
    b->xid = *xid;
    b->state = state;
    return b;
}

static struct session *session_of(struct rm *rm, int rmid)
{
    pid_t self = getpid(); /* a system call, and there are many sessions */

    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        if (rm->sessions[i].rmid == rmid && rm->sessions[i].pid == self)
            return &rm->sessions[i];
    return NULL;
}

static void end_branch(struct branch *b, enum fate fate)
{
    b->state = FAKE_ABSENT;
    b->fate = fate;
}

/* What was not prepared dies with the session that worked for it. */
static void lose_session(struct rm *rm, pid_t pid, int rmid)
{
    for (unsigned i = 0; i < rm->count; i++) {
        struct branch *b = &rm->branches[i];

        if (b->pid == pid && b->rmid == rmid &&
            (b->state == FAKE_ACTIVE || b->state == FAKE_IDLE || b->state == FAKE_DOOMED))
            end_branch(b, ROLLED_BACK);
    }
}

static void apply(struct branch *b, enum fake_call call, int code);

/* An asynchronous call that nobody is left to fetch the answer of: FAKE_DONE is done. */
static void lose_pending(struct rm *rm, const struct pending *p)
{
    struct branch *b = p->handle != 0 ? find(rm, &p->xid) : NULL;

    if (b == NULL || p->effect != FAKE_DONE)
        return;
    apply(b, p->call, XA_OK);
    b->told = 0;
}

static void lose_process(pid_t pid)
{
    lock();
    for (int n = 0; n < FAKE_RMS; n++)
        for (unsigned i = 0; i < SESSIONS_MAX; i++) {
            struct session *s = &all->rms[n].sessions[i];

            if (s->pid == pid) {
                lose_pending(&all->rms[n], &s->pending);
                lose_session(&all->rms[n], pid, s->rmid);
                memset(s, 0, sizeof(*s));
            }
        }
    unlock();
}

/* -- what is answered, and what it does -------------------------------------------------------- */

static int scripted(struct rm *rm, enum fake_call call, int honest, enum fake_effect *ret_effect)
{
    int code = honest;
    bool once = false;

    *ret_effect = FAKE_BY_TABLE;
    for (unsigned i = 0; i < SCRIPTS_MAX; i++) {
        struct script *s = &rm->scripts[i];

        if (!s->set || s->call != call)
            continue;
        if (s->nth > 1) {
            s->nth--;
            continue;
        }
        if (s->nth == 0 && once)
            continue; /* what is said of this very call comes first */
        code = s->code;
        *ret_effect = s->effect;
        once = s->nth == 1;
        if (once)
            s->set = false;
    }
    return code;
}

static bool is_rb(int code)
{
    return code >= XA_RBBASE && code <= XA_RBEND;
}

static bool is_heuristic(int code)
{
    return code >= XA_HEURMIX && code <= XA_HEURHAZ;
}

static void apply_vote(struct branch *b, int code)
{
    b->voted_yes |= code == XA_OK;
    if (code == XA_OK)
        b->state = FAKE_PREPARED;
    else if (code == XA_RDONLY)
        end_branch(b, READ_ONLY);
    else if (is_rb(code) || code == XAER_NOTA)
        end_branch(b, ROLLED_BACK);
    if (b->state == FAKE_ABSENT)
        b->told = getpid();
}

/* xa_commit or xa_rollback; fate is what was asked for. */
static void apply_end(struct branch *b, enum fate fate, int code)
{
    bool voted = b->state == FAKE_PREPARED || b->state == FAKE_HEURISTIC;

    if (is_heuristic(code)) {
        b->state = FAKE_HEURISTIC;
        b->heuristic = code;
    } else if (code == XA_OK) {
        end_branch(b, fate);
        b->told = getpid();
    } else if (is_rb(code)) {
        end_branch(b, ROLLED_BACK);
        b->told = getpid();
    } else if (code == XAER_RMERR || (code == XAER_NOTA && !voted)) {
        end_branch(b, ROLLED_BACK);
    }
}

static void apply(struct branch *b, enum fake_call call, int code)
{
    switch (call) {
    case FAKE_END:
        b->suspended = b->suspending && code == XA_OK;
        if (b->suspended)
            break; /* active yet: xa_end is due again */
        b->state = code == XA_OK ? FAKE_IDLE : FAKE_DOOMED;
        if (code == XAER_NOTA)
            end_branch(b, ROLLED_BACK);
        break;
    case FAKE_PREPARE:
        apply_vote(b, code);
        break;
    case FAKE_COMMIT:
        apply_end(b, COMMITTED, code);
        break;
    case FAKE_ROLLBACK:
        apply_end(b, ROLLED_BACK, code);
        break;
    case FAKE_FORGET:
        if (code == XA_OK) {
            end_branch(b, OPEN_YET);
            b->told = getpid();
        }
        break;
    default:
        break;
    }
}

/* Is the call allowed for a branch in this state? NULL: yes. */
static const char *objection(const struct branch *b, enum fake_call call, long flags)
{
    bool over = b->state == FAKE_ABSENT;
    bool allowed = false;

    if (over && b->told == getpid())
        return "the branch is over, and this process was told so";
    if (call != FAKE_END && call != FAKE_PREPARE && over)
        return NULL; /* it may well ask: the answer is XAER_NOTA */
    switch (call) {
    case FAKE_END:
        allowed = b->state == FAKE_ACTIVE && !(b->suspended && flags == TMSUSPEND);
        break;
    case FAKE_PREPARE:
        allowed = b->state == FAKE_IDLE && flags == TMNOFLAGS;
        break;
    case FAKE_COMMIT:
        allowed = flags == TMONEPHASE ? b->state == FAKE_IDLE
                                      : b->state == FAKE_PREPARED || b->state == FAKE_HEURISTIC;
        break;
    case FAKE_ROLLBACK:
        allowed = b->state != FAKE_ACTIVE && flags == TMNOFLAGS;
        break;
    default:
        allowed = b->state == FAKE_HEURISTIC && flags == TMNOFLAGS;
        break;
    }
    return allowed ? NULL : "table 6-4 does not allow it in this state of the branch";
}

static int honest_answer(const struct branch *b)
{
    if (b->state == FAKE_ABSENT)
        return XAER_NOTA;
    return b->state == FAKE_HEURISTIC ? b->heuristic : XA_OK;
}

/* What the answer does to the branch and the session. */
static void take_effect(struct rm *rm, struct session *s, struct branch *b, enum fake_call call,
                        int code, enum fake_effect effect)
{
    if (b->state != FAKE_ABSENT && effect != FAKE_STAYS)
        apply(b, call, effect == FAKE_DONE ? XA_OK : code);
    if (effect == FAKE_GONE)
        end_branch(b, ROLLED_BACK);
    if (effect == FAKE_DONE || effect == FAKE_GONE)
        b->told = 0;
    if (call == FAKE_COMMIT && (code == XA_OK || is_heuristic(code)))
        rm->said |= code == XA_OK || code == XA_HEURCOM ? FAKE_SAID_COMMITTED : FAKE_SAID_OTHERWISE;
    if (code == XAER_RMFAIL) {
        s->failed = true;
        lose_session(rm, getpid(), s->rmid);
    }
}

/* The first half of a call with TMASYNC: a handle, or what the script says at once. */
static int begin_async(int n, struct session *s, struct branch *b, enum fake_call call,
                       const XID *xid)
{
    struct rm *rm = &all->rms[n];
    struct pending p = {.call = call, .at = xid, .xid = *xid};

    if (!rm->async || (call != FAKE_PREPARE && call != FAKE_COMMIT))
        return illegal(n, call, "TMASYNC, which is not offered or not wanted here");
    p.code = scripted(rm, call, honest_answer(b), &p.effect);
    p.thread = (unsigned long)pthread_self();
    if (p.effect == FAKE_AT_ONCE) {
        if (p.code != XAER_ASYNC)
            take_effect(rm, s, b, call, p.code, FAKE_BY_TABLE);
        return p.code;
    }
    p.handle = ++rm->handles;
    s->pending = p;
    return p.handle;
}

/* A call about a branch that exists, but xa_start. Called with the lock held. */
static int serve(int n, enum fake_call call, const XID *xid, int rmid, long flags)
{
    struct rm *rm = &all->rms[n];
    struct session *s = session_of(rm, rmid);
    struct branch *b = find(rm, xid);
    enum fake_effect effect;
    const char *why;
    bool held;
    int code;

    if (s == NULL || s->failed)
        return illegal(n, call, "the rmid is not open, or it answered XAER_RMFAIL");
    if (s->pending.handle != 0)
        return illegal(n, call, "an asynchronous call of this rmid is under way");
    if (b == NULL)
        return illegal(n, call, "there never was such a branch");
    why = objection(b, call, flags & ~TMASYNC);
    if (why != NULL)
        return illegal(n, call, why);
    if (call == FAKE_END &&
        (b->rmid != rmid || (!rm->migrates && b->thread != (unsigned long)pthread_self())))
        return illegal(n, call, "another rmid or thread is associated");
    b->suspending = call == FAKE_END && flags == TMSUSPEND;
    if ((flags & TMASYNC) != 0)
        return begin_async(n, s, b, call, xid);

    held = rm->held && b->state == FAKE_PREPARED && (call == FAKE_COMMIT || call == FAKE_ROLLBACK);
    code = held ? XAER_NOTA : call == FAKE_FORGET ? XA_OK : honest_answer(b);
    code = scripted(rm, call, code, &effect);
    take_effect(rm, s, b, call, code, effect);
    return code;
}

/* The second half. When it fails itself, nobody is told the answer, and the rmid is of no use. */
static int serve_complete(int n, const int *handle, int *ret_answer, int rmid, long flags)
{
    struct rm *rm = &all->rms[n];
    struct session *s = session_of(rm, rmid);
    enum fake_effect effect;
    struct pending p;
    int code;

    if (s == NULL || s->failed || s->pending.handle == 0)
        return illegal(n, FAKE_COMPLETE, "nothing was asked for with TMASYNC");
    p = s->pending;
    if (*handle != p.handle || flags != TMNOFLAGS)
        return illegal(n, FAKE_COMPLETE, "another handle, or flags");
    if (p.thread != (unsigned long)pthread_self())
        return illegal(n, FAKE_COMPLETE, "another thread has begun the call");
    if (memcmp(p.at, &p.xid, sizeof(p.xid)) != 0)
        return illegal(n, FAKE_COMPLETE, "the XID has not stayed where it was");
    code = scripted(rm, FAKE_COMPLETE, XA_OK, &effect);
    if (code == XA_RETRY)
        return code;
    s->pending.handle = 0;
    if (code == XA_OK || effect == FAKE_DONE)
        take_effect(rm, s, find(rm, &p.xid), p.call, p.code, p.effect);
    s->failed |= code != XA_OK;
    *ret_answer = code == XA_OK ? p.code : XA_OK;
    return code;
}

/* Why xa_start is not allowed; NULL: it is. */
static const char *start_objection(const struct branch *b, int rmid, long flags)
{
    if (flags == TMNOFLAGS)
        return b == NULL ? NULL : "an XID is started once";
    if (flags == TMJOIN)
        return b != NULL && b->state == FAKE_IDLE ? NULL : "TMJOIN needs a branch that is idle";
    if (flags != TMRESUME)
        return "flags that it does not have";
    if (b == NULL || b->state != FAKE_ACTIVE || !b->suspended || b->pid != getpid() ||
        b->rmid != rmid || b->thread != (unsigned long)pthread_self())
        return "TMRESUME needs an association that was suspended in this thread";
    return NULL;
}

static int serve_start(int n, const XID *xid, int rmid, long flags)
{
    struct rm *rm = &all->rms[n];
    struct session *s = session_of(rm, rmid);
    enum fake_effect effect;
    struct branch *b;
    const char *why;
    int code;

    if (s == NULL || s->failed)
        return illegal(n, FAKE_START, "the rmid is not open, or it answered XAER_RMFAIL");
    b = find(rm, xid);
    why = start_objection(b, rmid, flags);
    if (why != NULL)
        return illegal(n, FAKE_START, why);
    for (unsigned i = 0; i < rm->count; i++)
        if (rm->branches[i].state == FAKE_ACTIVE && rm->branches[i].pid == getpid() &&
            rm->branches[i].rmid == rmid && flags != TMRESUME)
            return illegal(n, FAKE_START, "the rmid is associated with another branch");
    rm->last = *xid;
    code = scripted(rm, FAKE_START, XA_OK, &effect);
    if (code == XA_OK || effect == FAKE_DONE) {
        b = b != NULL ? b : make(rm, xid, FAKE_ACTIVE);
        b->state = FAKE_ACTIVE;
        b->suspended = false;
        b->pid = getpid();
        b->rmid = rmid;
        b->thread = (unsigned long)pthread_self();
    }
    if (flags != TMNOFLAGS && (is_rb(code) || code == XAER_NOTA)) {
        b->state = FAKE_DOOMED;
        b->suspended = false;
    }
    if (code == XAER_RMFAIL) {
        s->failed = true;
        lose_session(rm, getpid(), rmid);
    }
    return code;
}

static int serve_open(int n, int rmid)
{
    struct rm *rm = &all->rms[n];
    struct session *s = session_of(rm, rmid);
    enum fake_effect effect;
    int code = scripted(rm, FAKE_OPEN, XA_OK, &effect);

    if (code != XA_OK)
        return code;
    for (unsigned i = 0; s == NULL && i < SESSIONS_MAX; i++)
        if (rm->sessions[i].pid == 0)
            s = &rm->sessions[i];
    if (s == NULL)
        abort();
    *s = (struct session){.pid = getpid(), .rmid = rmid};
    return XA_OK;
}

static int serve_close(int n, int rmid)
{
    struct rm *rm = &all->rms[n];
    struct session *s = session_of(rm, rmid);
    enum fake_effect effect;

    for (unsigned i = 0; i < rm->count; i++)
        if (rm->branches[i].state == FAKE_ACTIVE && rm->branches[i].pid == getpid() &&
            rm->branches[i].rmid == rmid)
            return illegal(n, FAKE_CLOSE, "a branch is active in it");
    if (s != NULL) {
        lose_session(rm, getpid(), rmid);
        memset(s, 0, sizeof(*s));
    }
    return scripted(rm, FAKE_CLOSE, XA_OK, &effect);
}

static bool is_listed(const struct rm *rm, struct branch *b)
{
    if (rm->scan == FAKE_SCAN_BEFORE)
        return false;
    if (rm->scan == FAKE_SCAN_AFTER && b->voted_yes) {
        b->told = 0; /* who lists it asks to be told again */
        return true;
    }
    return b->state == FAKE_PREPARED || b->state == FAKE_HEURISTIC;
}

static int serve_recover(int n, XID *xids, long count, int rmid, long flags)
{
    struct rm *rm = &all->rms[n];
    struct session *s = session_of(rm, rmid);
    enum fake_effect effect;
    int found = 0, code;

    if (s == NULL || s->failed)
        return illegal(n, FAKE_RECOVER, "the rmid is not open, or it answered XAER_RMFAIL");
    if (xids == NULL || count <= 0 || (flags & ~(TMSTARTRSCAN | TMENDRSCAN)) != 0)
        return illegal(n, FAKE_RECOVER, "no room for XIDs, or flags it does not have");
    if ((flags & TMSTARTRSCAN) != 0) {
        s->scanning = true;
        s->cursor = 0;
    }
    if (!s->scanning)
        return illegal(n, FAKE_RECOVER, "no scan is open");
    code = scripted(rm, FAKE_RECOVER, XA_OK, &effect);
    if (code < 0) {
        s->scanning = false;
        s->failed = code == XAER_RMFAIL;
        return code;
    }
    for (; s->cursor < rm->count && found < count; s->cursor++)
        if (is_listed(rm, &rm->branches[s->cursor]))
            xids[found++] = rm->branches[s->cursor].xid;
    if (found < count || (flags & TMENDRSCAN) != 0)
        s->scanning = false;
    return found;
}

/* -- the switches ------------------------------------------------------------------------------ */

static void arrive(int n, enum fake_call call, const char *flags)
{
    if (on_call != NULL)
        on_call(on_call_user, n, call);
    lock();
    trace_call(n, call, flags);
}

static int do_branch(int n, enum fake_call call, const XID *xid, int rmid, long flags)
{
    int code;

    arrive(n, call,
           call == FAKE_START && flags == TMJOIN        ? "(join)"
           : call == FAKE_START && flags == TMRESUME    ? "(resume)"
           : call == FAKE_END && flags == TMFAIL        ? "(fail)"
           : call == FAKE_END && flags == TMSUSPEND     ? "(suspend)"
           : call == FAKE_END && flags != TMSUCCESS     ? "(other)"
           : call == FAKE_COMMIT && flags == TMONEPHASE ? "(one)"
           : (flags & TMASYNC) != 0                     ? "(async)"
                                                        : "");
    if (call == FAKE_END && flags != TMSUCCESS && flags != TMFAIL && flags != TMSUSPEND)
        code = illegal(n, call, "none of TMSUCCESS, TMFAIL, TMSUSPEND");
    else if (call == FAKE_START)
        code = serve_start(n, xid, rmid, flags);
    else
        code = serve(n, call, xid, rmid, flags);
    unlock();
    return code;
}

static int do_door(int n, enum fake_call call, int rmid)
{
    int code;

    arrive(n, call, "");
    code = call == FAKE_OPEN ? serve_open(n, rmid) : serve_close(n, rmid);
    unlock();
    return code;
}

static int do_recover(int n, XID *xids, long count, int rmid, long flags)
{
    int code;

    arrive(n, FAKE_RECOVER, (flags & TMSTARTRSCAN) != 0 ? "" : "(more)");
    code = serve_recover(n, xids, count, rmid, flags);
    unlock();
    return code;
}

static int do_complete(int n, const int *handle, int *ret_answer, int rmid, long flags)
{
    int code;

    arrive(n, FAKE_COMPLETE, "");
    code = serve_complete(n, handle, ret_answer, rmid, flags);
    unlock();
    return code;
}

/* clang-format off */
#define ENTRIES(n, letter)                                                                         \
    static int letter##_open(char *s, int r, long f) { (void)s; (void)f;                           \
        return do_door(n, FAKE_OPEN, r); }                                                         \
    static int letter##_close(char *s, int r, long f) { (void)s; (void)f;                          \
        return do_door(n, FAKE_CLOSE, r); }                                                        \
    static int letter##_start(XID *x, int r, long f) { return do_branch(n, FAKE_START, x, r, f); } \
    static int letter##_end(XID *x, int r, long f) { return do_branch(n, FAKE_END, x, r, f); }     \
    static int letter##_rollback(XID *x, int r, long f) {                                          \
        return do_branch(n, FAKE_ROLLBACK, x, r, f); }                                             \
    static int letter##_prepare(XID *x, int r, long f) {                                           \
        return do_branch(n, FAKE_PREPARE, x, r, f); }                                              \
    static int letter##_commit(XID *x, int r, long f) {                                            \
        return do_branch(n, FAKE_COMMIT, x, r, f); }                                               \
    static int letter##_recover(XID *x, long c, int r, long f) {                                   \
        return do_recover(n, x, c, r, f); }                                                        \
    static int letter##_forget(XID *x, int r, long f) {                                            \
        return do_branch(n, FAKE_FORGET, x, r, f); }                                               \
    static int letter##_complete(int *h, int *v, int r, long f) {                                  \
        return do_complete(n, h, v, r, f); }
#define SWITCH(letter, flags)                                                                      \
    { "fake " #letter, flags, 0, letter##_open, letter##_close, letter##_start, letter##_end,  \
      letter##_rollback, letter##_prepare, letter##_commit, letter##_recover, letter##_forget,     \
      letter##_complete }
/* clang-format on */

ENTRIES(A, a)
ENTRIES(B, b)
ENTRIES(C, c)
ENTRIES(D, d)

static const struct xa_switch_t switches[2][FAKE_RMS] = {
    {SWITCH(a, TMNOFLAGS), SWITCH(b, TMNOFLAGS), SWITCH(c, TMNOFLAGS), SWITCH(d, TMNOFLAGS)},
    {SWITCH(a, TMUSEASYNC), SWITCH(b, TMUSEASYNC), SWITCH(c, TMUSEASYNC), SWITCH(d, TMUSEASYNC)},
};

/* -- the extension ----------------------------------------------------------------------------- */

static const int numbers[FAKE_RMS] = {A, B, C, D}; /* ext_user points to one of them */

/* 0, or what the script says; the lock is held on return. */
static int hook_with(void *user, enum fake_call call, int rmid, int *ret_n,
                     enum fake_effect *ret_effect)
{
    struct session *s;

    *ret_n = *(const int *)user;
    arrive(*ret_n, call, "");
    s = session_of(&all->rms[*ret_n], rmid);
    if (s == NULL || (s->failed && call != FAKE_ERROR))
        (void)illegal(*ret_n, call, "the rmid is not open, or it answered XAER_RMFAIL");
    else if (s->pending.handle != 0)
        (void)illegal(*ret_n, call, "an asynchronous call of this rmid is under way");
    return scripted(&all->rms[*ret_n], call, 0, ret_effect);
}

static int hook(void *user, enum fake_call call, int rmid, int *ret_n)
{
    enum fake_effect effect;

    return hook_with(user, call, rmid, ret_n, &effect);
}

static int ext_identity(void *user, int rmid, unsigned char ret_id[HF_IDENTITY_SIZE])
{
    int n, rc = hook(user, FAKE_IDENTITY, rmid, &n);

    if (rc == 0) {
        memset(ret_id, 0, HF_IDENTITY_SIZE);
        ret_id[0] = (unsigned char)(n + 1);
        ret_id[1] = all->rms[n].identity;
    }
    unlock();
    return rc;
}

static int ext_settings(void *user, int rmid, char *ret_why, size_t why_size)
{
    int n, rc = hook(user, FAKE_SETTINGS, rmid, &n);

    if (rc != 0)
        snprintf(ret_why, why_size, "durable=off; set it to on");
    else if (all->rms[n].warns)
        snprintf(ret_why, why_size, "durable=mostly");
    unlock();
    return rc;
}

static int ext_token(void *user, int rmid, const XID *xid,
                     unsigned char ret_token[HF_TOKEN_SIZE_MAX], size_t *ret_size)
{
    int n, rc = hook(user, FAKE_TOKEN, rmid, &n);

    (void)xid;
    if (rc == 0) {
        memset(ret_token, 't', HF_TOKEN_SIZE_MAX);
        *ret_size = HF_TOKEN_SIZE_MAX;
    }
    unlock();
    return rc;
}

static enum hf_probe truth(struct rm *rm, const XID *xid)
{
    const struct branch *b = find(rm, xid);

    if (b == NULL)
        return HF_PROBE_UNKNOWN;
    if (b->state == FAKE_PREPARED)
        return HF_PROBE_PREPARED;
    if (b->state != FAKE_ABSENT || b->fate == OPEN_YET || b->fate == READ_ONLY)
        return HF_PROBE_UNKNOWN;
    return b->fate == COMMITTED ? HF_PROBE_COMMITTED : HF_PROBE_ROLLEDBACK;
}

static int ext_probe(void *user, int rmid, const XID *xid, const void *token, size_t token_size,
                     enum hf_probe *ret)
{
    int n, rc = hook(user, FAKE_PROBE, rmid, &n);
    struct rm *rm = &all->rms[n];
    const unsigned char *byte = token;

    if ((rm->hooks & 1u << FAKE_TOKEN) != 0 &&
        (token_size != HF_TOKEN_SIZE_MAX || byte[0] != 't' || byte[token_size - 1] != 't'))
        (void)illegal(n, FAKE_PROBE, "the token is not the one that was given out");
    if (rc == 0)
        *ret = rm->probe >= 0 ? (enum hf_probe)rm->probe : truth(rm, xid);
    if (rc == 0 && (*ret == HF_PROBE_COMMITTED || *ret == HF_PROBE_ROLLEDBACK))
        rm->said |= *ret == HF_PROBE_COMMITTED ? FAKE_SAID_COMMITTED : FAKE_SAID_OTHERWISE;
    unlock();
    return rc;
}

static int ext_cancel(void *user, int rmid)
{
    int n, rc = hook(user, FAKE_CANCEL, rmid, &n);

    unlock();
    return rc;
}

/* Is the session that prepared the branch another process's, and does it live? */
static bool is_innocent(const struct rm *rm, const struct branch *b)
{
    if (b->pid == 0 || b->pid == getpid())
        return false;
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        if (rm->sessions[i].pid == b->pid && rm->sessions[i].rmid == b->rmid)
            return true;
    return false;
}

static int ext_detach(void *user, int rmid, const XID *xid, const void *token, size_t token_size)
{
    enum fake_effect effect;
    int n, rc = hook_with(user, FAKE_DETACH, rmid, &n, &effect);
    struct rm *rm = &all->rms[n];
    const struct branch *b = find(rm, xid);

    (void)token;
    (void)token_size;
    if (b == NULL || !b->voted_yes)
        (void)illegal(n, FAKE_DETACH, "the branch was never prepared by us");
    else if (is_innocent(rm, b))
        (void)illegal(n, FAKE_DETACH, "the process that prepared it lives");
    if (rc == 0 && effect != FAKE_STAYS)
        rm->held = false;
    unlock();
    return rc;
}

static int ext_error(void *user, int rmid, int *ret_native, char *ret_text, size_t text_size)
{
    int n, rc = hook(user, FAKE_ERROR, rmid, &n);

    if (rc == 0) {
        *ret_native = all->rms[n].native;
        snprintf(ret_text, text_size, "%s", all->rms[n].text);
    }
    unlock();
    return rc;
}

/* -- scripts ----------------------------------------------------------------------------------- */

void fake_reset(void)
{
    pthread_mutexattr_t shared;

    if (all == NULL) {
        all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || pthread_mutexattr_init(&shared) != 0 ||
            pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) != 0 ||
            pthread_mutex_init(&all->lock, &shared) != 0)
            abort();
        (void)pthread_mutexattr_destroy(&shared);
    }
    lock();
    memset(all->rms, 0, sizeof(all->rms));
    all->trace[0] = all->illegal[0] = '\0';
    memset(all->user, 0, sizeof(all->user));
    for (int n = 0; n < FAKE_RMS; n++) {
        all->rms[n].identity = 1;
        all->rms[n].probe = -1;
    }
    unlock();
    on_call = NULL;
#ifdef HF_FAULTS
    (void)hf__fault_set(NULL);
    decided_seen = hf__fault_hits("log:decided");
    recorded_seen = hf__fault_hits("log:recorded");
#endif
}

static void write_script(int n, struct script script)
{
    struct rm *rm = &all->rms[n];

    lock();
    for (unsigned i = 0; i < SCRIPTS_MAX; i++)
        if (script.nth == 0 && rm->scripts[i].set && rm->scripts[i].call == script.call &&
            rm->scripts[i].nth == 0)
            rm->scripts[i].set = false;
    for (unsigned i = 0; i < SCRIPTS_MAX; i++)
        if (script.set && !rm->scripts[i].set) {
            rm->scripts[i] = script;
            script.set = false;
        }
    if (script.set)
        abort();
    unlock();
}

void fake_answer(int rm, enum fake_call call, int code)
{
    write_script(rm, (struct script){.set = code != XA_OK, .call = call, .code = code});
}

void fake_answer_effect(int rm, enum fake_call call, unsigned n, int code, enum fake_effect effect)
{
    write_script(
        rm, (struct script){.set = true, .call = call, .nth = n, .code = code, .effect = effect});
}

void fake_honest(int rm)
{
    memset(all->rms[rm].scripts, 0, sizeof(all->rms[rm].scripts));
    all->rms[rm].probe = -1;
    all->rms[rm].held = false;
    all->rms[rm].scan = FAKE_SCAN_NOW;
}

void fake_answer_once(int rm, enum fake_call call, unsigned n, int code)
{
    fake_answer_effect(rm, call, n, code, FAKE_BY_TABLE);
}

void fake_on_call(void (*fn)(void *user, int rm, enum fake_call call), void *user)
{
    on_call = fn;
    on_call_user = user;
}

void fake_async(int rm, bool async)
{
    all->rms[rm].async = async;
}

void fake_rank(int rm, int rank)
{
    all->rms[rm].rank = rank;
}

void fake_offer(int rm, unsigned hooks)
{
    all->rms[rm].hooks = hooks;
}

void fake_migrates(int rm)
{
    all->rms[rm].migrates = true;
}

void fake_identity(int rm, unsigned char identity)
{
    all->rms[rm].identity = identity;
}

void fake_warn(int rm, bool warns)
{
    all->rms[rm].warns = warns;
}

void fake_probe(int rm, int answer)
{
    all->rms[rm].probe = answer;
}

void fake_hold(int rm, bool held)
{
    all->rms[rm].held = held;
}

void fake_scan(int rm, enum fake_scan scan)
{
    all->rms[rm].scan = scan;
}

unsigned fake_said(int rm)
{
    return all->rms[rm].said;
}

void fake_finish(int rm, const XID *xid, bool commit)
{
    struct branch *b;

    lock();
    b = find(&all->rms[rm], xid);
    if (b == NULL)
        abort();
    end_branch(b, commit ? COMMITTED : ROLLED_BACK);
    unlock();
}

void fake_error(int rm, int native, const char *text)
{
    all->rms[rm].native = native;
    snprintf(all->rms[rm].text, sizeof(all->rms[rm].text), "%s", text);
}

/* -- what they have ---------------------------------------------------------------------------- */

const struct xa_switch_t *fake_switch(int rm)
{
    return &switches[all->rms[rm].async][rm];
}

XID fake_last_xid(int rm)
{
    return all->rms[rm].last;
}

void fake_put(int rm, const XID *xid)
{
    lock();
    (void)make(&all->rms[rm], xid, FAKE_PREPARED);
    unlock();
}

enum fake_state fake_state(int rm, const XID *xid)
{
    const struct branch *b;
    enum fake_state state;

    lock();
    b = find(&all->rms[rm], xid);
    state = b != NULL ? b->state : FAKE_ABSENT;
    unlock();
    return state;
}

static unsigned count_branches(int n, bool over, enum fate fate)
{
    unsigned count = 0;

    lock();
    for (unsigned i = 0; i < all->rms[n].count; i++) {
        const struct branch *b = &all->rms[n].branches[i];

        if (over)
            count += b->state == FAKE_ABSENT && b->fate == fate;
        else
            count += b->state == FAKE_PREPARED || b->state == FAKE_HEURISTIC;
    }
    unlock();
    return count;
}

unsigned fake_in_doubt(int rm)
{
    return count_branches(rm, false, OPEN_YET);
}

unsigned fake_committed(int rm)
{
    return count_branches(rm, true, COMMITTED);
}

unsigned fake_rolled_back(int rm)
{
    return count_branches(rm, true, ROLLED_BACK);
}

unsigned fake_open_rmids(int rm)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        count += all->rms[rm].sessions[i].pid == getpid();
    return count;
}

unsigned fake_calls(int rm, enum fake_call call)
{
    return all->rms[rm].calls[call];
}

/* -- children ---------------------------------------------------------------------------------- */

void fake_child_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: in a child: %s; last error: %s\n", file, line, what,
            hf_error_last()->text);
    _exit(99);
}

void *fake_shared(void)
{
    return all->user;
}

static pid_t fork_child(void (*fn)(void *arg), void *arg)
{
    pid_t pid = fork();

    if (pid == -1)
        abort();
    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    return pid;
}

static int wait_child(pid_t pid)
{
    int status = -1;

    if (waitpid(pid, &status, 0) != pid)
        abort();
    lose_process(pid);
    return status;
}

int fake_child(void (*fn)(void *arg), void *arg)
{
    return wait_child(fork_child(fn, arg));
}

static void close_pipes(void)
{
    for (int i = 0; i < 2; i++) {
        (void)close(pause_to[i]);
        (void)close(pause_back[i]);
        pause_to[i] = pause_back[i] = -1;
    }
}

pid_t fake_child_start(void (*fn)(void *arg), void *arg)
{
    char byte;
    pid_t pid;

    if (pipe(pause_to) != 0 || pipe(pause_back) != 0)
        abort();
    pid = fork_child(fn, arg);
    (void)close(pause_to[1]); /* so that a child which dies before its pause is noticed */
    pause_to[1] = -1;
    if (read(pause_to[0], &byte, 1) != 1)
        print_error("the child ended before its pause\n");
    return pid;
}

void fake_child_pause(void)
{
    char byte = 0;

    (void)close(pause_back[1]); /* so that this process ends with its parent */
    if (write(pause_to[1], &byte, 1) != 1 || read(pause_back[0], &byte, 1) != 1)
        _exit(98);
}

int fake_child_end(pid_t pid)
{
    char byte = 0;

    if (write(pause_back[1], &byte, 1) != 1)
        abort();
    close_pipes();
    return wait_child(pid);
}

int fake_child_kill(pid_t pid)
{
    if (kill(pid, SIGKILL) != 0)
        abort();
    close_pipes();
    return wait_child(pid);
}

/* -- a world ----------------------------------------------------------------------------------- */

static void tell(void *user, int level, const char *text)
{
    struct world *w = user;
    size_t used = strlen(w->told);

    w->alarms += level == HF_LOG_ALARM;
    snprintf(w->told + used, sizeof(w->told) - used, "%s\n", text);
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return -1;
    fake_reset();
    w->dir = t_dir_make();
    snprintf(w->node, sizeof(w->node), "%s/node", w->dir);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    int rc = 0;

#ifdef HF_FAULTS
    (void)hf__fault_set(NULL);
#endif
    if (w->tm != NULL) {
        for (int n = 0; n < FAKE_RMS; n++)
            (void)hf_instance_close(w->in[n]);
        (void)hf_tm_close(w->tm, 0, NULL);
    }
    if (all->illegal[0] != '\0') {
        print_error("calls that were not allowed:\n%s    trace: %s\n", all->illegal, all->trace);
        rc = -1;
    }
    t_dir_remove(w->dir);
    free(w);
    return rc;
}

struct world *world_again(void **state)
{
    assert_int_equal(world_teardown(state), 0);
    assert_int_equal(world_setup(state), 0);
    return *state;
}

int world_try_open(struct world *w)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;

    config.dir = w->node;
    config.log = tell;
    config.user = w;
    return hf_tm_open(&config, &w->tm);
}

void world_open(struct world *w)
{
    t_ok(world_try_open(w));
}

void world_register(struct world *w, int count)
{
    static const char *const names[FAKE_RMS] = {"a", "b", "c", "d"};
    static hf_rm_ext ext[FAKE_RMS];

    for (int n = 0; n < count; n++) {
        hf_rm_config config = HF_RM_CONFIG_INIT;
        unsigned hooks = all->rms[n].hooks;

        ext[n] = (hf_rm_ext){.size = sizeof(ext[n])};
        ext[n].identity = hooks & 1u << FAKE_IDENTITY ? ext_identity : NULL;
        ext[n].settings = hooks & 1u << FAKE_SETTINGS ? ext_settings : NULL;
        ext[n].token = hooks & 1u << FAKE_TOKEN ? ext_token : NULL;
        ext[n].probe = hooks & 1u << FAKE_PROBE ? ext_probe : NULL;
        ext[n].cancel = hooks & 1u << FAKE_CANCEL ? ext_cancel : NULL;
        ext[n].detach = hooks & 1u << FAKE_DETACH ? ext_detach : NULL;
        ext[n].error = hooks & 1u << FAKE_ERROR ? ext_error : NULL;
        config.name = names[n];
        config.xa = fake_switch(n);
        config.rank = all->rms[n].rank;
        config.ext = hooks != 0 ? &ext[n] : NULL;
        config.ext_user = (void *)(uintptr_t)&numbers[n];
        t_ok(hf_rm_register(w->tm, &config, &w->rm[n]));
    }
}

void world_instances(struct world *w, int count)
{
    for (int n = 0; n < count; n++)
        t_ok(hf_instance_open(w->rm[n], &w->in[n]));
}

void world_start(struct world *w, int count)
{
    world_open(w);
    world_register(w, count);
    t_ok(hf_tm_start(w->tm, 0));
    world_instances(w, count);
    world_trace_clear();
}

void world_close(struct world *w)
{
    for (int n = 0; n < FAKE_RMS; n++) {
        t_ok(hf_instance_close(w->in[n]));
        w->in[n] = NULL;
        w->rm[n] = NULL;
    }
    t_ok(hf_tm_close(w->tm, 0, NULL));
    w->tm = NULL;
}

void world_begin(struct world *w, int count, hf_tx **ret_tx)
{
    t_ok(hf_tx_begin(w->tm, 0, ret_tx));
    for (int n = 0; n < count; n++)
        t_ok(hf_tx_enlist(*ret_tx, w->in[n]));
}

const char *world_trace(void)
{
    lock();
    add_log();
    unlock();
    return all->trace;
}

void world_trace_clear(void)
{
    lock();
    add_log();
    all->trace[0] = '\0';
    unlock();
}

void world_expect(const char *trace)
{
    assert_string_equal(world_trace(), trace);
    world_trace_clear();
}

hf_tm_stats world_stats(struct world *w)
{
    hf_tm_stats stats = {.size = sizeof(stats)};

    t_ok(hf_tm_get_stats(w->tm, &stats));
    return stats;
}

hf_outcome world_outcome(struct world *w, const XID *xid)
{
    hf_outcome outcome = HF_UNKNOWN;

    t_ok(hf_tm_outcome(w->tm, xid, &outcome));
    return outcome;
}

static int count_transaction(void *user, const hf_inspect_tx *tx)
{
    unsigned *count = user;

    assert_non_null(tx);
    *count += 1;
    return 0;
}

unsigned world_records(struct world *w)
{
    hf_inspect *in = NULL;
    unsigned count = 0;

    t_ok(hf_inspect_open(w->node, &in));
    t_ok(hf_inspect_verify(in));
    t_ok(hf_inspect_transactions(in, count_transaction, &count));
    hf_inspect_close(in);
    return count;
}

XID world_xid(const XID *like, uint32_t incarnation, uint64_t sequence)
{
    XID xid = *like;

    for (int i = 0; i < 4 && incarnation != 0; i++)
        xid.data[16 + i] = (char)(incarnation >> (24 - 8 * i));
    for (int i = 3; i < 8; i++)
        xid.data[20 + i] = (char)(sequence >> (56 - 8 * i));
    return xid;
}

#ifdef HF_FAULTS
void fault_at(const char *name, const char *action, unsigned n)
{
    char spec[128];

    if (n == 0)
        snprintf(spec, sizeof(spec), "%s=%s", name, action);
    else
        snprintf(spec, sizeof(spec), "%s=%s@%u", name, action, n);
    if (hf__fault_set(spec) != 0)
        abort();
}
#endif
