/*
 * tests/support/flat_rm.c - see flat_rm.h. A branch is 37 bytes in an array that is shared with
 * children: its state, and the identifier that a scan lists.
 */
#include "support/flat_rm.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { XID_BYTES = 36, GTRID_BYTES = 28, COUNT_BYTES = 5, RMIDS = 4096, FORMAT = 0x48465458 };

struct branch {
    _Atomic uint8_t state;
    unsigned char xid[XID_BYTES];
};

struct rm {
    atomic_ullong prepare, commit, rollback, recover, probe;
    uint32_t count;
    struct branch branches[];
};

static struct rm *rms[FLAT_RMS];
static size_t rm_size;
static bool unreachable[FLAT_RMS];
static void (*on_commit)(int rm);
static uint8_t rm_of[RMIDS];    /* by rmid */
static uint32_t scan_at[RMIDS]; /* the same: where its scan goes on */

static void refuse(const char *what)
{
    fprintf(stderr, "flat_rm: %s\n", what);
    abort();
}

void flat_make(uint32_t count)
{
    for (int i = 0; i < FLAT_RMS; i++) {
        if (rms[i] != NULL)
            (void)munmap(rms[i], rm_size);
    }
    rm_size = sizeof(struct rm) + (count + 1) * sizeof(struct branch);
    for (int i = 0; i < FLAT_RMS; i++) {
        rms[i] = mmap(NULL, rm_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (rms[i] == MAP_FAILED)
            refuse("no memory");
        rms[i]->count = count;
    }
}

/* The branch of a transaction, by the count in the low bytes of its sequence. */
static struct branch *find(int rm, const XID *xid)
{
    const unsigned char *p = (const unsigned char *)xid->data + GTRID_BYTES - COUNT_BYTES;
    uint64_t number = 0;

    for (int i = 0; i < COUNT_BYTES; i++)
        number = number << 8 | p[i];
    if (xid->gtrid_length + xid->bqual_length != XID_BYTES || number > rms[rm]->count)
        refuse("a branch that is not expected");
    return &rms[rm]->branches[number];
}

/* -- the switch ------------------------------------------------------------------------------- */

static int flat_open(char *info, int rmid, long flags)
{
    int rm = info[0] == 'b';

    (void)flags;
    if (rmid < 0 || rmid >= RMIDS)
        refuse("too many instances");
    rm_of[rmid] = (uint8_t)rm;
    return unreachable[rm] ? XAER_RMFAIL : XA_OK;
}

static int flat_close(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int flat_work(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_OK;
}

static int flat_prepare(XID *xid, int rmid, long flags)
{
    (void)flags;
    atomic_fetch_add(&rms[rm_of[rmid]]->prepare, 1);
    flat_put(rm_of[rmid], xid);
    return XA_OK;
}

static int end_branch(XID *xid, int rmid, enum flat_state to)
{
    struct branch *b = find(rm_of[rmid], xid);

    if (atomic_load(&b->state) != FLAT_PREPARED)
        return XAER_NOTA;
    atomic_store(&b->state, (uint8_t)to);
    return XA_OK;
}

static int flat_commit(XID *xid, int rmid, long flags)
{
    (void)flags;
    atomic_fetch_add(&rms[rm_of[rmid]]->commit, 1);
    if (on_commit != NULL)
        on_commit(rm_of[rmid]);
    return end_branch(xid, rmid, FLAT_COMMITTED);
}

static int flat_rollback(XID *xid, int rmid, long flags)
{
    (void)flags;
    atomic_fetch_add(&rms[rm_of[rmid]]->rollback, 1);
    return end_branch(xid, rmid, FLAT_ROLLEDBACK);
}

static int flat_recover(XID *xids, long room, int rmid, long flags)
{
    struct rm *rm = rms[rm_of[rmid]];
    long n = 0;

    atomic_fetch_add(&rm->recover, 1);
    if (flags & TMSTARTRSCAN)
        scan_at[rmid] = 0;
    for (; n < room && scan_at[rmid] <= rm->count; scan_at[rmid]++) {
        const struct branch *b = &rm->branches[scan_at[rmid]];

        if (atomic_load(&b->state) != FLAT_PREPARED)
            continue;
        xids[n] = (XID){.formatID = FORMAT,
                        .gtrid_length = GTRID_BYTES,
                        .bqual_length = XID_BYTES - GTRID_BYTES};
        memcpy(xids[n++].data, b->xid, XID_BYTES);
    }
    return (int)n;
}

static int flat_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

static const struct xa_switch_t flat_xa = {
    "flat",        TMNOFLAGS,    0,           flat_open,    flat_close, flat_work,     flat_work,
    flat_rollback, flat_prepare, flat_commit, flat_recover, flat_work,  flat_complete,
};

static int flat_probe(void *user, int rmid, const XID *xid, const void *token, size_t token_size,
                      enum hf_probe *ret)
{
    static const enum hf_probe answers[] = {
        [FLAT_NONE] = HF_PROBE_UNKNOWN,
        [FLAT_PREPARED] = HF_PROBE_PREPARED,
        [FLAT_COMMITTED] = HF_PROBE_COMMITTED,
        [FLAT_ROLLEDBACK] = HF_PROBE_ROLLEDBACK,
    };

    (void)user, (void)token, (void)token_size;
    atomic_fetch_add(&rms[rm_of[rmid]]->probe, 1);
    *ret = answers[atomic_load(&find(rm_of[rmid], xid)->state)];
    return 0;
}

static const hf_rm_ext flat_ext = {.size = sizeof(flat_ext), .probe = flat_probe};

/* -- what tests call -------------------------------------------------------------------------- */

hf_rm *flat_register(hf_tm *tm, int rm)
{
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_rm *ret = NULL;

    config.name = rm == FLAT_A ? "a" : "b";
    config.open_info = config.name;
    config.xa = &flat_xa;
    config.ext = &flat_ext;
    if (hf_rm_register(tm, &config, &ret) != HF_OK)
        refuse(hf_error_last()->text);
    return ret;
}

void flat_unreachable(int rm, bool is)
{
    unreachable[rm] = is;
}

void flat_on_commit(void (*fn)(int rm))
{
    on_commit = fn;
}

enum flat_state flat_state(int rm, uint32_t number)
{
    return (enum flat_state)atomic_load(&rms[rm]->branches[number].state);
}

void flat_put(int rm, const XID *xid)
{
    struct branch *b = find(rm, xid);

    memcpy(b->xid, xid->data, XID_BYTES);
    atomic_store(&b->state, FLAT_PREPARED);
}

void flat_restore(int rm, uint32_t number)
{
    if (flat_state(rm, number) != FLAT_COMMITTED)
        refuse("a branch that was not committed is not restored");
    atomic_store(&rms[rm]->branches[number].state, FLAT_PREPARED);
}

struct flat_calls flat_calls(int rm)
{
    return (struct flat_calls){.prepare = atomic_load(&rms[rm]->prepare),
                               .commit = atomic_load(&rms[rm]->commit),
                               .rollback = atomic_load(&rms[rm]->rollback),
                               .recover = atomic_load(&rms[rm]->recover),
                               .probe = atomic_load(&rms[rm]->probe)};
}
