/*
 * What: the transactions of kv_model.h: transfers, scans, inserts and deletes that get in each
 *       other's way as much as they can.
 * How:  eight threads, each with a seed of its own. Half of the transfers lock before they read,
 *       the others run into deadlocks. A transaction that is not granted its locks is rolled back
 *       and another one begun.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "kv_model.h"

struct work {
    const struct crew *crew;
    pthread_t thread;
    unsigned seed;
    struct row_id id; /* of the next row */
    uint64_t writes;  /* made by this thread */
    int rmid[STORES];
    hf_instance *at[STORES];
    struct crew_counts counts;
    struct {
        struct row_head head;
        struct op ops[OPS_MAX];
    } row;
};

static atomic_ullong tickets;
static atomic_int stopped;

static unsigned pick(struct work *w, unsigned below)
{
    return (unsigned)rand_r(&w->seed) % below;
}

static void note(struct work *w, unsigned store, unsigned key, int writes, uint64_t value)
{
    CHECK(w->row.head.count < OPS_MAX, "too many operations");
    w->row.ops[w->row.head.count++] = (struct op){
        .store = (uint8_t)store, .key = (uint8_t)key, .writes = writes != 0, .value = value};
}

/* -- operations: HF_OK, HF_EROLLEDBACK --------------------------------------------------------- */

static int get(struct work *w, unsigned store, unsigned key, uint64_t *ret)
{
    char name[16];
    size_t size = key_name(key, name);
    int rc;

    *ret = 0;
    rc = hf_kv_get(w->rmid[store], name, size, ret, sizeof(*ret), NULL);
    if (rc != HF_OK && rc != HF_ENOTFOUND)
        return rc;
    note(w, store, key, 0, *ret);
    return HF_OK;
}

static int put(struct work *w, unsigned store, unsigned key)
{
    uint64_t value = (uint64_t)w->id.life << 48 | (uint64_t)(w->id.thread + 1) << 40 | ++w->writes;
    char name[16];
    size_t size = key_name(key, name);
    int rc = hf_kv_put(w->rmid[store], name, size, &value, sizeof(value));

    if (rc == HF_OK)
        note(w, store, key, 1, value);
    return rc;
}

static int transfer(struct work *w, unsigned store)
{
    unsigned key = pick(w, ACCOUNTS);
    char name[16];
    size_t size = key_name(key, name);
    uint64_t value;
    int rc = HF_OK;

    if (pick(w, 2) == 0)
        rc = hf_kv_lock(w->rmid[store], name, size);
    if (rc == HF_OK)
        rc = get(w, store, key, &value);
    return rc == HF_OK ? put(w, store, key) : rc;
}

/* An item that is there goes, one that is not comes. */
static int toggle(struct work *w, unsigned store)
{
    unsigned key = ACCOUNTS + pick(w, GROUPS * ITEMS);
    char name[16];
    size_t size = key_name(key, name);
    uint64_t value;
    int rc = get(w, store, key, &value);

    if (rc != HF_OK)
        return rc;
    if (value == 0)
        return put(w, store, key);
    rc = hf_kv_delete(w->rmid[store], name, size);
    CHECK(rc != HF_ENOTFOUND, "not serializable: %s was there, and vanished", name);
    if (rc == HF_OK)
        note(w, store, key, 1, 0);
    return rc;
}

struct seen {
    uint64_t values[KEYS];
};

static int see(void *user, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct seen *seen = user;
    char name[16] = "";
    unsigned group, item;

    CHECK(key_size < sizeof(name) && value_size == sizeof(uint64_t), "an item");
    memcpy(name, key, key_size);
    CHECK(sscanf(name, "it/%u/%u", &group, &item) == 2, "%s", name);
    memcpy(&seen->values[ACCOUNTS + group * ITEMS + item], value, value_size);
    return 0;
}

/* One group, or all: what is not there was read, too. */
static int scan(struct work *w, unsigned store, unsigned first, unsigned groups)
{
    struct seen seen = {{0}};
    char prefix[16];
    int size = groups == 1 ? snprintf(prefix, sizeof(prefix), "it/%u/", first)
                           : snprintf(prefix, sizeof(prefix), "it/");
    int rc = hf_kv_each(w->rmid[store], prefix, (size_t)size, see, &seen);

    for (unsigned k = 0; rc == HF_OK && k < groups * ITEMS; k++)
        note(w, store, ACCOUNTS + first * ITEMS + k, 0, seen.values[ACCOUNTS + first * ITEMS + k]);
    return rc;
}

static int operate(struct work *w, unsigned store)
{
    unsigned what = pick(w, 100);
    uint64_t value;

    if (what < 40)
        return transfer(w, store);
    if (what < 55)
        return get(w, store, pick(w, ACCOUNTS), &value);
    if (what < 78)
        return toggle(w, store);
    if (what < 96)
        return scan(w, store, pick(w, GROUPS), 1);
    return scan(w, store, 0, GROUPS);
}

/* Draw the ticket, with all locks in hand, and write the row: its key is nobody else's. */
static int put_row(struct work *w)
{
    size_t size = sizeof(w->row.head) + w->row.head.count * sizeof(struct op);
    char name[32];
    size_t name_size = row_name(&w->id, name);
    int rc = HF_OK;

    w->row.head.ticket = atomic_fetch_add(&tickets, 1);
    for (int store = 0; store < STORES && rc == HF_OK; store++)
        if (w->row.head.stores & 1U << store)
            rc = hf_kv_put(w->rmid[store], name, name_size, &w->row, size);
    return rc;
}

/* All of a transaction but its end. */
static int run_operations(struct work *w)
{
    unsigned count = 1 + pick(w, 5);
    int rc = HF_OK;

    w->row.head.count = 0;
    for (unsigned i = 0; i < count && rc == HF_OK; i++) {
        unsigned store = pick(w, STORES);

        if (!(w->row.head.stores & 1U << store))
            store = 1 - store;
        rc = operate(w, store);
    }
    return rc == HF_OK ? put_row(w) : rc;
}

/* -- threads ----------------------------------------------------------------------------------- */

static void one_transaction(struct work *w)
{
    static const unsigned choices[] = {3, 3, 3, 3, 3, 3, 3, 3, 1, 2}; /* which stores */
    hf_tx *tx;
    int rc;

    w->row.head.stores = choices[pick(w, 10)];
    OK(hf_tx_begin(w->crew->tm, 0, &tx));
    for (int store = 0; store < STORES; store++)
        if (w->row.head.stores & 1U << store)
            OK(hf_tx_enlist(tx, w->at[store]));
    rc = run_operations(w);
    CHECK(rc == HF_OK || rc == HF_EROLLEDBACK, "an operation answered %d", rc);
    if (rc == HF_EROLLEDBACK) {
        w->counts.deadlocks += hf_error_last()->native_code == XA_RBDEADLOCK;
        w->counts.timeouts += hf_error_last()->native_code == XA_RBTIMEOUT;
    }
    if (rc != HF_OK || pick(w, 20) == 0) {
        OK(hf_tx_rollback(tx, NULL));
        w->counts.rolledback++;
        return;
    }
    OK(hf_tx_commit(tx, NULL));
    w->counts.committed++;
    if (w->crew->ack_fd >= 0)
        CHECK(write(w->crew->ack_fd, &w->id, sizeof(w->id)) == sizeof(w->id), "tell");
}

static void *work(void *arg)
{
    struct work *w = arg;

    for (int store = 0; store < STORES; store++) {
        w->at[store] = kit_instance(w->crew->rm[store]);
        w->rmid[store] = hf_instance_rmid(w->at[store]);
    }
    for (; !atomic_load(&stopped); w->id.number++)
        one_transaction(w);
    for (int store = 0; store < STORES; store++)
        OK(hf_instance_close(w->at[store]));
    return NULL;
}

void crew_run(const struct crew *crew, struct crew_counts *ret)
{
    struct work *all = calloc(CREW_THREADS, sizeof(*all));

    CHECK(all != NULL, "memory");
    atomic_store(&tickets, crew->first_ticket);
    for (unsigned i = 0; i < CREW_THREADS; i++) {
        all[i].crew = crew;
        all[i].seed = crew->seed * 31 + i;
        all[i].id = (struct row_id){.life = crew->life, .thread = i};
        CHECK(pthread_create(&all[i].thread, NULL, work, &all[i]) == 0, "start a thread");
    }
    nap_ms(crew->seconds > 0 ? (long)(crew->seconds * 1000) : 3600000);
    atomic_store(&stopped, 1);
    memset(ret, 0, sizeof(*ret));
    for (unsigned i = 0; i < CREW_THREADS; i++) {
        (void)pthread_join(all[i].thread, NULL);
        ret->committed += all[i].counts.committed;
        ret->rolledback += all[i].counts.rolledback;
        ret->deadlocks += all[i].counts.deadlocks;
        ret->timeouts += all[i].counts.timeouts;
    }
    free(all);
}

/* -- the intruder ------------------------------------------------------------------------------ */

static void intrude_once(struct work *w, unsigned store, unsigned *refused)
{
    XID xid = {.formatID = 4711, .gtrid_length = sizeof(w->id)};
    int rc;

    memcpy(xid.data, &w->id, sizeof(w->id));
    w->row.head.stores = 1U << store;
    OK(hf_kv_switch.xa_start_entry(&xid, w->rmid[store], TMNOFLAGS));
    rc = run_operations(w);
    CHECK(rc == HF_OK || rc == HF_EROLLEDBACK, "an operation answered %d", rc);
    if (rc == HF_OK) {
        OK(hf_kv_switch.xa_end_entry(&xid, w->rmid[store], TMSUCCESS));
        OK(hf_kv_switch.xa_commit_entry(&xid, w->rmid[store], TMONEPHASE));
        return;
    }
    ++*refused;
    CHECK(hf_kv_switch.xa_end_entry(&xid, w->rmid[store], TMSUCCESS) == XA_RBTIMEOUT, "its reason");
    OK(hf_kv_switch.xa_rollback_entry(&xid, w->rmid[store], TMNOFLAGS));
}

unsigned intrude(const char *dir, unsigned life, unsigned seed, uint64_t first_ticket)
{
    enum { RMID = 1 << 20, TIMES = 40 };
    static struct work w;
    char info[256];
    unsigned refused = 0;

    memset(&w, 0, sizeof(w));
    w.seed = seed;
    w.id = (struct row_id){.life = life, .thread = INTRUDER};
    atomic_store(&tickets, first_ticket);
    for (int store = 0; store < STORES; store++) {
        w.rmid[store] = RMID + store;
        (void)snprintf(info, sizeof(info), "dir=%s/%c;wait_ms=0", dir, 'a' + store);
        OK(hf_kv_switch.xa_open_entry(info, w.rmid[store], TMNOFLAGS));
    }
    for (unsigned i = 0; i < TIMES; i++, w.id.number++)
        intrude_once(&w, i % STORES, &refused);
    info[0] = '\0';
    for (int store = 0; store < STORES; store++)
        OK(hf_kv_switch.xa_close_entry(info, w.rmid[store], TMNOFLAGS));
    return refused;
}
