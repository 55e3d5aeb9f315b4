/*
 * tools/bank/bank.c - a server that moves money between two stores and loses none. Copy it.
 *
 * Accounts live in two key-value stores, east and west, and a transfer may touch both. So each
 * transfer is one global transaction: it happens in both stores or in neither, whatever crashes
 * in between. What the stores hold is in ledger.h; the command line and the list of transfers are
 * in bank_input.h.
 *
 * Invariants
 *   B1  Money and done/ID change in one transaction: a transfer is applied once, however often it
 *       is tried and whenever we are killed.
 *   B2  Balances are locked before they are read, in the order of the accounts' names, so that no
 *       transfers wait in a circle. If some did, kv would roll one back, and it is tried again.
 *   B3  "= ID" is said after hf_tx_commit() returned HF_OK: what was said survives a power cut.
 *   B4  After HF_EUNKNOWN nothing more is done here: only the next opening of the log can tell.
 *   B5  A store that dies does not end us: what failed is tried again for a minute. A pool throws
 *       away an instance that broke in a transaction; one that broke outside of any, we do.
 *
 * If we are killed ...              the next start ...
 *   before the decision is durable    rolls the transfer back; it is tried again
 *   after it                          commits it in both stores; done/ID says so
 *   before "= ID" is out              finds done/ID and goes on
 *
 * What is said, one write(2) for each line: "ready ..." when recovery is through, "+ ID" as a
 * transaction begins, "= ID" committed, "- ID CODE" rolled back, "done N" at the end.
 *
 * Exit status: 0 all done, 1 failed, 2 wrong options or list, 3 start me again (B4).
 *
 * Threads: each teller owns the transactions it begins, and an instance from its allocation until
 * it is freed; they share the pools and the list.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/holder.h"
#include "holdfast/tm.h"
#include "holdfast/transaction.h"

#include "bank_input.h"
#include "ledger.h"

enum { ACCOUNTS_PER_BATCH = 500 };
enum { TRIES_MAX = 300, PAUSE_STEP_MS = 10, PAUSE_MOST_MS = 250 }; /* a minute in all */
enum { RECOVERY_WAIT_MS = 10000, CLOSE_WAIT_MS = 5000 };
enum { EXIT_AGAIN = 3 };

struct bank {
    struct bank_input in;
    hf_tm *tm;
    hf_rm *store[STORE_COUNT];
    hf_manager *manager;
    hf_holder *pool[STORE_COUNT]; /* of instances of each store */
    atomic_size_t next;           /* the first transfer that no teller has taken */
    atomic_bool stopped;          /* a teller failed: the others take no more */
};

struct teller {
    struct bank *bank;
    pthread_t thread;
    hf_instance *at[STORE_COUNT]; /* what it has from the pool; NULL: none */
    bool begun;                   /* "+ ID" was said in this try */
};

/* The accounts of one setup transaction. */
struct batch {
    const char (*names)[NAME_SIZE];
    size_t count;
};

/* -- saying things --------------------------------------------------------------------------- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char line[128];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (write(STDOUT_FILENO, line, (size_t)size) != size)
        exit(EXIT_FAILURE); /* nobody listens */
}

static int report(const char *what, const char *whom, int code)
{
    fprintf(stderr, "bank: %s %s: %s: %s\n", what, whom, hf_strerror(code), hf_error_last()->text);
    return code;
}

static void on_log(void *user, int level, const char *text)
{
    static const char *const names[] = {"info", "warning", "alarm"};

    (void)user;
    fprintf(stderr, "bank: %s: %s\n", names[level], text);
}

/* -- the pools ------------------------------------------------------------------------------- */

/* An instance of a store; within a transaction it works for that. */
static int take(struct teller *teller, int store)
{
    struct bank *bank = teller->bank;
    hf_resid id;
    int code = hf_holder_alloc(bank->pool[store], hf_xa_type(bank->store[store]), &id);

    if (code == HF_OK)
        teller->at[store] = hf_holder_instance(bank->pool[store], id);
    return code;
}

/* All that the teller has. In a transaction they stay part of it until it is over. */
static int give_back(struct teller *teller)
{
    int code = HF_OK, freed;

    for (int i = 0; i < STORE_COUNT; i++) {
        if (teller->at[i] == NULL)
            continue;
        freed = hf_holder_free(teller->bank->pool[i], (hf_resid)teller->at[i]);
        code = code == HF_OK ? freed : code;
        teller->at[i] = NULL;
    }
    return code;
}

/* -- one global transaction ------------------------------------------------------------------ */

typedef int work_fn(struct teller *teller, hf_tx *tx, const void *arg);

/*
 * Begin, allocate, work, free, commit: the order of every transaction. hf_tx_commit() always ends
 * it; where the work fails we roll back ourselves. HF_EROLLEDBACK means that it may be tried again.
 */
static int transact(struct teller *teller, work_fn *work, const void *arg)
{
    hf_tx *tx;
    int code, freed, ended;

    code = hf_tx_begin(teller->bank->tm, 0, &tx);
    if (code != HF_OK)
        return code;
    for (int i = 0; i < STORE_COUNT && code == HF_OK; i++)
        code = take(teller, i);
    if (code == HF_OK)
        code = work(teller, tx, arg);
    freed = give_back(teller);
    if (code == HF_OK)
        code = freed;
    if (code == HF_OK)
        return hf_tx_commit(tx, NULL);
    ended = hf_tx_rollback(tx, NULL);
    return ended == HF_OK ? code : ended;
}

/* B4: whether the last decision is on disk is not known, and no new one can be made. */
static void leave_if_lost(int code)
{
    if (code == HF_EUNKNOWN || code == HF_ELOG || code == HF_EFENCED) {
        report("the log", "failed", code);
        _exit(EXIT_AGAIN);
    }
}

/* -- what the transactions do ---------------------------------------------------------------- */

/* East's accounts first, then west's. One teller does it, before the others begin. */
static int open_accounts(struct teller *teller, hf_tx *tx, const void *arg)
{
    const struct batch *batch = arg;
    int code = HF_OK;

    (void)tx;
    for (int store = EAST; store < STORE_COUNT; store++)
        for (size_t i = 0; i < batch->count && code == HF_OK; i++)
            if (ledger_home(batch->names[i]) == store)
                code = ledger_open(teller->at, batch->names[i]);
    return code;
}

/* HF_EEXIST: it was done before. */
static int move_money(struct teller *teller, hf_tx *tx, const void *arg)
{
    const struct transfer *transfer = arg;
    const char *from = transfer->from, *to = transfer->to;
    int64_t amount = transfer->amount;
    int in_order = strcmp(from, to) <= 0; /* B2 */
    int code;

    teller->begun = true;
    say("+ %s\n", transfer->id);
    code = ledger_mark_done(teller->at, transfer->id, tx);
    if (code == HF_OK)
        code = ledger_add(teller->at, in_order ? from : to, in_order ? -amount : amount);
    if (code == HF_OK)
        code = ledger_add(teller->at, in_order ? to : from, in_order ? amount : -amount);
    return code;
}

/* -- tellers --------------------------------------------------------------------------------- */

/* B5. Whether to do it again, after a pause; tries is how often it was done. */
static bool try_again(int code, unsigned tries)
{
    unsigned pause_ms = tries * PAUSE_STEP_MS;
    struct timespec pause;

    if (code != HF_EROLLEDBACK && code != HF_ERM && code != HF_EDRIVER && code != HF_EENLIST)
        return false; /* it would come to the same */
    if (pause_ms > PAUSE_MOST_MS)
        pause_ms = PAUSE_MOST_MS;
    pause = (struct timespec){.tv_nsec = (long)pause_ms * 1000000};
    if (tries > 1)
        (void)nanosleep(&pause, NULL); /* cut short: no harm */
    return tries < TRIES_MAX;
}

static int open_all_accounts(struct teller *teller)
{
    const struct bank_input *in = &teller->bank->in;
    int code = HF_OK;

    for (size_t at = 0; at < in->account_count && code == HF_OK; at += ACCOUNTS_PER_BATCH) {
        struct batch batch = {in->accounts + at, in->account_count - at};
        unsigned tries = 0;

        if (batch.count > ACCOUNTS_PER_BATCH)
            batch.count = ACCOUNTS_PER_BATCH;
        do
            code = transact(teller, open_accounts, &batch);
        while (try_again(code, ++tries));
    }
    return code;
}

/* Outside any transaction, where nobody but us notices that an instance has lost its store (B5). */
static int look_up(struct teller *teller, const struct transfer *transfer)
{
    int code = take(teller, EAST), freed;

    if (code != HF_OK)
        return code;
    code = ledger_is_done(teller->at, EAST, transfer->id);
    if (code == HF_ERM) {
        (void)hf_holder_request_destroy(teller->bank->pool[EAST], (hf_resid)teller->at[EAST]);
        teller->at[EAST] = NULL; /* it is gone, however that went */
        return code;
    }
    freed = give_back(teller);
    return freed == HF_OK ? code : freed;
}

/* The look spares a transaction for what was done earlier. */
static int try_transfer(struct teller *teller, const struct transfer *transfer)
{
    int code = look_up(teller, transfer);

    if (code != HF_ENOTFOUND)
        return code;
    teller->begun = false;
    code = transact(teller, move_money, transfer);
    leave_if_lost(code);
    if (code == HF_OK)
        say("= %s\n", transfer->id); /* B3 */
    else if (teller->begun)
        say("- %s %s\n", transfer->id, hf_strerror_name(code));
    return code == HF_EEXIST ? HF_OK : code;
}

/* See that a transfer is done. */
static int serve(struct teller *teller, const struct transfer *transfer)
{
    unsigned tries = 0;
    int code;

    do
        code = try_transfer(teller, transfer);
    while (try_again(code, ++tries));
    return code;
}

static void *teller_main(void *arg)
{
    struct teller *teller = arg;
    struct bank *bank = teller->bank;

    while (!atomic_load(&bank->stopped)) {
        size_t i = atomic_fetch_add(&bank->next, 1);
        int code;

        if (i >= bank->in.transfer_count)
            break;
        code = serve(teller, &bank->in.transfers[i]);
        if (code != HF_OK) {
            report("transfer", bank->in.transfers[i].id, code);
            atomic_store(&bank->stopped, true);
        }
    }
    return NULL;
}

/* -- opening and closing --------------------------------------------------------------------- */

/*
 * Open the node, name the stores, recover. Background: the library's own thread does what falls due
 * later; a server that has a loop leaves it 0 and calls hf_tm_tick() there.
 */
static int open_bank(struct bank *bank)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_tm_stats stats = {.size = sizeof(stats)};
    char dir[4096];
    int code;

    if ((size_t)snprintf(dir, sizeof(dir), "%s/node", bank->in.dir) >= sizeof(dir))
        return HF_ELIMIT;
    config.dir = dir;
    config.background = 1;
    config.log = on_log;
    code = hf_tm_open(&config, &bank->tm);
    if (code == HF_OK)
        code = ledger_register(bank->tm, bank->in.dir, bank->store);
    if (code == HF_OK)
        code = hf_tm_start(bank->tm, RECOVERY_WAIT_MS);
    if (code == HF_OK)
        code = hf_tm_get_stats(bank->tm, &stats);
    if (code == HF_OK)
        say("ready recovered_committed=%" PRIu64 " recovered_rolledback=%" PRIu64 " owed=%" PRIu64
            "\n",
            stats.recovered_committed, stats.recovered_rolledback, stats.owed);
    return code;
}

/* A pool for each store; each teller works with at most one instance of either. */
static int open_pools(struct bank *bank)
{
    hf_manager_config config = HF_MANAGER_CONFIG_INIT;
    hf_holder_config pool = HF_HOLDER_CONFIG_INIT;
    int code;

    config.tm = bank->tm;
    config.background = 1;
    code = hf_manager_open(&config, &bank->manager);
    pool.max = bank->in.threads;
    for (int i = 0; i < STORE_COUNT && code == HF_OK; i++) {
        pool.name = hf_rm_name(bank->store[i]);
        code = hf_holder_open_xa(bank->manager, ledger_hooks(i), &pool, &bank->pool[i]);
    }
    return code;
}

static void run_tellers(struct bank *bank, struct teller *tellers, unsigned count)
{
    unsigned started = 0;
    int error = 0;

    while (started < count && error == 0) {
        error = pthread_create(&tellers[started].thread, NULL, teller_main, &tellers[started]);
        started += error == 0;
    }
    if (error != 0) {
        fprintf(stderr, "bank: start teller %u of %u: %s\n", started + 1, count, strerror(error));
        atomic_store(&bank->stopped, true);
    }
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(tellers[i].thread, NULL); /* cannot fail: ours, joined once */
}

static int do_business(struct bank *bank)
{
    struct teller tellers[THREADS_MAX] = {0};
    unsigned count = bank->in.threads;
    int code = open_pools(bank);

    for (unsigned i = 0; i < count; i++)
        tellers[i].bank = bank;
    if (code == HF_OK)
        code = open_all_accounts(&tellers[0]);
    if (code == HF_OK)
        run_tellers(bank, tellers, count);
    else
        report("open", "the accounts", code);
    return atomic_load(&bank->stopped) ? HF_ERM : code;
}

int main(int argc, char **argv)
{
    static struct bank bank;
    int status = bank_input_read(argc, argv, &bank.in);
    int code;

    if (status >= 0)
        return status;
    code = open_bank(&bank);
    if (code != HF_OK)
        report("open", bank.in.dir, code);
    else if (!bank.in.recover_only)
        code = do_business(&bank);
    leave_if_lost(code);
    if (bank.manager != NULL && hf_manager_close(bank.manager, CLOSE_WAIT_MS, NULL) != HF_OK)
        code = report("close", "the pools", hf_error_last()->code);
    if (bank.tm != NULL && hf_tm_close(bank.tm, CLOSE_WAIT_MS, NULL) != HF_OK)
        code = report("close", bank.in.dir, hf_error_last()->code);
    if (code == HF_OK && !bank.in.recover_only)
        say("done %zu\n", bank.in.transfer_count);
    bank_input_free(&bank.in);
    return code == HF_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
