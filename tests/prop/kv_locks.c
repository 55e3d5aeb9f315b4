/*
 * What: the lock manager of kv (rm/kv/lock.c) against a small model that keeps no lists but one
 *       line for each key, and looks at everything anew: who is granted what and when, who waits,
 *       what is a deadlock, over two tables (L1 to L6).
 * How:  six transactions with an owner in each table ask for keys and prefixes at random, wait, are
 *       refused, time out and let go, all in one thread; what each call answers, and who waits
 *       after it, has to be what the model says. `prop_kv_locks [--seed S] [--steps N] [--plant B]`
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "holdfast/internal/fault.h"
#include "lock.h"

enum { TABLES = 2, TRANSACTIONS = 6, OWNERS = TABLES * TRANSACTIONS };

static const char *const words[] = {"", "a", "b", "aa", "ab", "ba", "aab"};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

/* Owner i is that of transaction i % TRANSACTIONS in table i / TRANSACTIONS. */
struct model {
    enum kv_lock_mode key[WORDS]; /* held; 0: not */
    int prefix[WORDS];            /* held */
    int waits;
    int is_prefix; /* what it waits for */
    int word;
    enum kv_lock_mode mode;
    uint64_t came; /* when it began to wait */
};

static pthread_mutex_t mutexes[TABLES] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static struct kv_locks tables[TABLES];
static struct kv_owner owners[OWNERS];
static struct model models[OWNERS];
static int lines[TABLES][WORDS][TRANSACTIONS]; /* who waits for a key, in order */
static int line_count[TABLES][WORDS];
static uint64_t clock_of_model;
static uint64_t step, counts[KV_LOCK_WAITS + 1], overtaken;
static unsigned seed;

#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            printf("prop_kv_locks: step %" PRIu64 " differs from the model: ", step);              \
            printf(__VA_ARGS__);                                                                   \
            printf("; replay: --seed %u\n", seed);                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t random_state;

static unsigned pick(unsigned below)
{
    random_state ^= random_state << 13; /* xorshift64 */
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % below;
}

/* -- the model --------------------------------------------------------------------------------- */

static int covers(int prefix, int word)
{
    return strncmp(words[word], words[prefix], strlen(words[prefix])) == 0;
}

/* Does what `other` holds stand in the way of what q asks for? */
static int is_held_up(const struct model *q, const struct model *other)
{
    if (!q->is_prefix &&
        (q->mode == KV_EXCLUSIVE ? other->key[q->word] != 0 : other->key[q->word] == KV_EXCLUSIVE))
        return 1;
    for (int w = 0; w < WORDS; w++) {
        if (q->is_prefix && other->key[w] == KV_EXCLUSIVE && covers(q->word, w))
            return 1;
        if (!q->is_prefix && q->mode == KV_EXCLUSIVE && other->prefix[w] && covers(w, q->word))
            return 1;
    }
    return 0;
}

static int place_in_line(int i)
{
    const int *line = lines[i / TRANSACTIONS][models[i].word];

    for (int n = 0; n < TRANSACTIONS; n++)
        if (line[n] == i)
            return n;
    abort();
}

/* Is other, who waits, only ahead of i by the order of arrival? */
static int is_ahead(int i, int other)
{
    const struct model *q = &models[i], *o = &models[other];

    if (!o->waits)
        return 0;
    if (!q->is_prefix && !o->is_prefix)
        return q->word == o->word && place_in_line(other) == place_in_line(i) - 1;
    if (owners[i].passes == owners[other].ticket)
        return 0; /* it was let past him before */
    if (q->is_prefix && !o->is_prefix)
        return o->mode == KV_EXCLUSIVE && covers(q->word, o->word) && o->came < q->came;
    if (!q->is_prefix)
        return q->mode == KV_EXCLUSIVE && covers(o->word, q->word) && o->came < q->came;
    return 0;
}

enum { FREE, LATE, HELD };

static int obstacle(int i)
{
    int worst = FREE;

    for (int o = i / TRANSACTIONS * TRANSACTIONS; o < OWNERS; o++) {
        if (o == i || o / TRANSACTIONS != i / TRANSACTIONS)
            continue;
        if (is_held_up(&models[i], &models[o]))
            return HELD;
        if (is_ahead(i, o))
            worst = LATE;
    }
    return worst;
}

/* Does transaction t wait for itself? Its set of those it waits for grows until it does not. */
static int is_in_circle(int t)
{
    unsigned reached = 0, before = ~0U;

    for (int turn = 0; turn <= TRANSACTIONS && reached != before; turn++) {
        before = reached;
        for (int i = 0; i < OWNERS; i++) {
            int from = i % TRANSACTIONS;

            if (!models[i].waits || (from != t && !(reached & 1U << from)))
                continue;
            for (int o = 0; o < OWNERS; o++)
                if (o != i && o / TRANSACTIONS == i / TRANSACTIONS &&
                    (is_held_up(&models[i], &models[o]) || is_ahead(i, o)))
                    reached |= 1U << o % TRANSACTIONS;
        }
    }
    return (reached & 1U << t) != 0;
}

static int is_covered(const struct model *q, int word)
{
    for (int w = 0; w < WORDS; w++)
        if (q->prefix[w] && covers(w, word))
            return 1;
    return 0;
}

static void model_line_up(int i)
{
    struct model *q = &models[i];
    int *line = lines[i / TRANSACTIONS][q->word], *count = &line_count[i / TRANSACTIONS][q->word];
    int first = q->key[q->word] != 0 || is_covered(q, q->word);

    q->waits = 1;
    q->came = ++clock_of_model;
    if (q->is_prefix)
        return;
    if (first)
        memmove(line + 1, line, (size_t)*count * sizeof(*line));
    line[first ? 0 : *count] = i;
    ++*count;
}

static void model_leave(int i)
{
    struct model *q = &models[i];
    int *line = lines[i / TRANSACTIONS][q->word], *count = &line_count[i / TRANSACTIONS][q->word];
    int at;

    if (!q->is_prefix) {
        at = place_in_line(i);
        --*count;
        memmove(line + at, line + at + 1, (size_t)(*count - at) * sizeof(*line));
        line[*count] = -1;
    }
    q->waits = 0;
}

static void model_grant(int i)
{
    struct model *q = &models[i];

    model_leave(i);
    if (q->is_prefix)
        q->prefix[q->word] = 1;
    else
        q->key[q->word] = q->mode;
}

/* Grant whatever can be granted, the earliest first, until nothing can. */
static void model_settle(void)
{
    int best;

    do { /* each turn ends a wait */
        best = -1;
        for (int i = 0; i < OWNERS; i++)
            if (models[i].waits && obstacle(i) == FREE &&
                (best < 0 || models[i].came < models[best].came))
                best = i;
        if (best >= 0)
            model_grant(best);
    } while (best >= 0);
}

/* What a request has to answer; the model is then as it has to be. */
static enum kv_lock_answer model_ask(int i, int may_wait)
{
    struct model *q = &models[i];
    int worst;

    if (q->is_prefix ? is_covered(q, q->word) : q->key[q->word] >= q->mode)
        return KV_LOCKED;
    if (!q->is_prefix && q->mode == KV_SHARED && is_covered(q, q->word))
        return KV_LOCKED;
    owners[i].ticket = UINT64_MAX; /* nobody passes it by what it was before */
    model_line_up(i);
    worst = obstacle(i);
    if (worst == FREE || (worst == LATE && is_in_circle(i % TRANSACTIONS))) {
        overtaken += worst == LATE;
        model_grant(i);
        return KV_LOCKED;
    }
    if (worst == HELD && (!may_wait || is_in_circle(i % TRANSACTIONS))) {
        model_leave(i);
        return may_wait ? KV_LOCK_DEADLOCK : KV_LOCK_TIMEOUT;
    }
    return KV_LOCK_WAITS;
}

/* -- both -------------------------------------------------------------------------------------- */

static void compare(void)
{
    for (int i = 0; i < OWNERS; i++) {
        size_t count = 0;

        for (int w = 0; w < WORDS; w++)
            count += (models[i].key[w] != 0) + (size_t)models[i].prefix[w];
        CHECK((owners[i].wait == KV_WAITS) == models[i].waits, "owner %d %s", i,
              models[i].waits ? "does not wait" : "waits");
        CHECK(owners[i].count == count, "owner %d has %zu locks, not %zu", i, owners[i].count,
              count);
    }
    for (int t = 0; t < TRANSACTIONS; t++)
        CHECK(!is_in_circle(t), "transaction %d waits for itself", t);
}

static void let_go(int t)
{
    for (int i = t; i < OWNERS; i += TRANSACTIONS) {
        pthread_mutex_lock(&mutexes[i / TRANSACTIONS]);
        hf__kv_lock_release(&tables[i / TRANSACTIONS], &owners[i]);
        pthread_mutex_unlock(&mutexes[i / TRANSACTIONS]);
        memset(models[i].key, 0, sizeof(models[i].key));
        memset(models[i].prefix, 0, sizeof(models[i].prefix));
        model_settle();
    }
}

static void ask(int i)
{
    struct model *q = &models[i];
    struct kv_locks *table = &tables[i / TRANSACTIONS];
    int may_wait = pick(8) != 0;
    enum kv_lock_answer want, answer;

    q->is_prefix = pick(4) == 0;
    q->word = q->is_prefix ? (int)pick(4) : 1 + (int)pick(WORDS - 1);
    q->mode = q->is_prefix || pick(2) ? KV_SHARED : KV_EXCLUSIVE;
    /* The model looks at the tickets, which the request is about to change. */
    want = model_ask(i, may_wait);
    pthread_mutex_lock(&mutexes[i / TRANSACTIONS]);
    answer = q->is_prefix ? hf__kv_lock_ask_prefix(table, &owners[i], words[q->word],
                                                   strlen(words[q->word]), may_wait)
                          : hf__kv_lock_ask_key(table, &owners[i], words[q->word],
                                                strlen(words[q->word]), q->mode, may_wait);
    pthread_mutex_unlock(&mutexes[i / TRANSACTIONS]);
    CHECK(answer == want, "owner %d asked for %s \"%s\", mode %d: %d, not %d", i,
          q->is_prefix ? "prefix" : "key", words[q->word], (int)q->mode, (int)answer, (int)want);
    counts[answer]++;
    model_settle();
    if (answer == KV_LOCK_DEADLOCK && pick(4) != 0)
        let_go(i % TRANSACTIONS);
}

/* An owner that waits gives up. */
static void end_wait(int i)
{
    enum kv_lock_answer answer = KV_LOCK_REFUSED;

    model_leave(i);
    model_settle();
    pthread_mutex_lock(&mutexes[i / TRANSACTIONS]);
    if (pick(2) == 0)
        hf__kv_lock_refuse(&tables[i / TRANSACTIONS], &owners[i]);
    else
        answer = hf__kv_lock_wait(&tables[i / TRANSACTIONS], &owners[i], 0);
    pthread_mutex_unlock(&mutexes[i / TRANSACTIONS]);
    counts[answer]++;
}

static void one_step(void)
{
    int t = (int)pick(TRANSACTIONS), waiting = -1;

    for (int i = t; i < OWNERS; i += TRANSACTIONS)
        if (models[i].waits)
            waiting = i;
    if (waiting >= 0 && pick(8) == 0)
        end_wait(waiting);
    else if (waiting < 0 && pick(6) == 0)
        let_go(t);
    else if (waiting < 0)
        ask(t + (int)pick(TABLES) * TRANSACTIONS);
}

static void set_up(void)
{
    memset(lines, -1, sizeof(lines));
    for (int i = 0; i < TABLES; i++)
        hf__kv_locks_init(&tables[i], &mutexes[i]);
    for (int i = 0; i < OWNERS; i++)
        hf__kv_lock_owner_init(&owners[i], 1 + (uint64_t)(i % TRANSACTIONS), 1000);
}

static void tear_down(void)
{
    for (int i = 0; i < OWNERS; i++)
        if (models[i].waits)
            end_wait(i);
    for (int t = 0; t < TRANSACTIONS; t++)
        let_go(t);
    compare();
    for (int i = 0; i < TABLES; i++)
        CHECK(tables[i].first[0] == NULL && tables[i].prefixes == NULL && tables[i].exclusive == 0,
              "table %d is not empty", i);
}

int main(int argc, char **argv)
{
    uint64_t steps = 300000;

    seed = (unsigned)time(NULL);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--steps") == 0)
            steps = strtoull(argv[i + 1], NULL, 10);
#ifdef HF_FAULTS
        else if (strcmp(argv[i], "--plant") == 0)
            hf__bug_plant(argv[i + 1]);
#endif
    }
    printf("prop_kv_locks: --seed %u --steps %" PRIu64 "\n", seed, steps);
    random_state = 0x9e3779b97f4a7c15U ^ seed;
    set_up();
    for (step = 0; step < steps; step++) {
        one_step();
        compare();
    }
    tear_down();
    for (int i = KV_LOCKED; i <= KV_LOCK_WAITS; i++)
        CHECK(counts[i] > 0 || i == KV_LOCK_LIMIT || i == KV_LOCK_NO_MEMORY, "no answer %d", i);
    CHECK(overtaken > 0, "nobody was let past who would have waited for himself");
    printf("prop_kv_locks: ok: %" PRIu64 " granted, %" PRIu64 " waited, %" PRIu64
           " deadlocks, %" PRIu64 " let past\n",
           counts[KV_LOCKED], counts[KV_LOCK_WAITS], counts[KV_LOCK_DEADLOCK], overtaken);
    printf("rig: %" PRIu64 " steps against a model, 0 violations\n", steps);
    printf("1 passed, 0 failed\n");
    return 0;
}
