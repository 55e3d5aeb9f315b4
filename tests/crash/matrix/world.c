/*
 * tests/crash/matrix/world.c - a node with four kv stores: opening, recovery, judgement.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/inspect.h"
#include "holdfast/kv.h"
#include "matrix.h"

enum { PASSES_MAX = 6, PASSES_OF_SERVERS_MAX = 200, SCAN_MAX = 16 };

static int complain(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(struct world *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(w->shared->complaint, sizeof(w->shared->complaint), format, args);
    va_end(args);
    return 1;
}

static void node_path(const struct world *w, char ret[DIR_SIZE + 8])
{
    (void)snprintf(ret, DIR_SIZE + 8, "%s/node", w->dir);
}

static int adopt(const char *node)
{
    hf_inspect *in;
    int rc = hf_inspect_open(node, &in);

    if (rc != HF_OK)
        return rc;
    rc = hf_inspect_adopt(in, HF_ADOPT_MOVED, "the crash matrix moved it");
    hf_inspect_close(in);
    return rc;
}

static int open_node(struct world *w)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    char node[DIR_SIZE + 8];
    int rc;

    node_path(w, node);
    config.dir = node;
    config.history = w->history;
    config.background = w->background;
    rc = hf_tm_open(&config, &w->tm);
    if (rc == HF_EMOVED) {
        w->shared->adopted++;
        rc = adopt(node);
        if (rc == HF_OK)
            rc = hf_tm_open(&config, &w->tm);
    }
    return rc;
}

static int add_stores(struct world *w)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < STORES; i++) {
        hf_rm_config config = HF_RM_CONFIG_INIT;
        char name[2] = {(char)('a' + i), '\0'}, info[DIR_SIZE];

        (void)snprintf(info, sizeof(info), "dir=%s/%s;wait_ms=200", w->dir, name);
        config.name = name;
        config.xa = store_switch(i, w->temper, w->dir);
        config.ext = store_ext(i, w->temper);
        config.open_info = info;
        rc = hf_rm_register(w->tm, &config, &w->rm[i]);
    }
    return rc;
}

int world_open(struct world *w)
{
    int rc;

    w->tm = NULL;
    memset(w->in, 0, sizeof(w->in));
    rc = open_node(w);
    if (rc == HF_OK)
        rc = w->stores != NULL ? w->stores->add(w) : add_stores(w);
    return rc;
}

int world_instances(struct world *w, unsigned stores)
{
    int rc = HF_OK;

    for (unsigned i = 0; rc == HF_OK && i < STORES; i++)
        if ((stores & 1U << i) != 0 && w->in[i] == NULL)
            rc = hf_instance_open(w->rm[i], &w->in[i]);
    return rc;
}

void world_close(struct world *w)
{
    for (unsigned i = 0; i < STORES; i++)
        if (w->in[i] != NULL)
            (void)hf_instance_close(w->in[i]);
    memset(w->in, 0, sizeof(w->in));
    if (w->tm != NULL)
        (void)hf_tm_close(w->tm, 0, NULL);
    w->tm = NULL;
}

/* A server may be at what the dead had asked of it. */
static void nap(void)
{
    const struct timespec time = {.tv_nsec = 20000000};

    (void)nanosleep(&time, NULL);
}

int world_recover(struct world *w)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    int passes = w->stores != NULL ? PASSES_OF_SERVERS_MAX : PASSES_MAX;
    int rc = world_open(w);

    if (rc == HF_OK)
        rc = hf_tm_start(w->tm, 0);
    stats.owed = 1;
    for (int pass = 0; rc == HF_OK && stats.owed != 0 && pass < passes; pass++) {
        if (pass > 0 && w->stores != NULL)
            nap();
        rc = hf_tm_recover(w->tm, NULL);
        if (rc == HF_OK)
            rc = hf_tm_tick(w->tm, NULL);
        if (rc == HF_OK)
            rc = hf_tm_get_stats(w->tm, &stats);
    }
    world_close(w);
    w->shared->recovery = stats;
    if (rc != HF_OK)
        return complain(w, "recovery: %s: %s", hf_strerror_name(rc), hf_error_last()->text);
    if (stats.owed != 0)
        return complain(w, "after %d passes %llu branches are owed", passes,
                        (unsigned long long)stats.owed);
    if (stats.alarms != 0 && w->temper != WILLFUL) /* a heuristic is one */
        return complain(w, "recovery raised an alarm");
    return 0;
}

/* -- the judge -------------------------------------------------------------------------------- */

static int count_heuristics(void *user, const hf_inspect_tx *tx)
{
    *(unsigned *)user += tx->outcome == HF_MIXED || tx->outcome == HF_HAZARD;
    return 0;
}

/* Walk log and history; how many heuristics do they list? */
static int judge_log(struct world *w, unsigned *ret_heuristics)
{
    char node[DIR_SIZE + 8];
    hf_inspect *in;
    int rc;

    node_path(w, node);
    *ret_heuristics = 0;
    rc = hf_inspect_open(node, &in);
    if (rc != HF_OK)
        return complain(w, "inspect: %s", hf_error_last()->text);
    rc = hf_inspect_verify(in);
    if (rc == HF_OK)
        rc = hf_inspect_transactions(in, count_heuristics, ret_heuristics);
    if (rc == HF_OK) /* those that were forgotten */
        rc = hf_inspect_history(in, count_heuristics, ret_heuristics);
    hf_inspect_close(in);
    return rc == HF_OK ? 0 : complain(w, "verify: %s", hf_error_last()->text);
}

/* The stores, as a set, that hold the key of transaction n. */
static int find_key(struct world *w, unsigned n, unsigned *ret_stores)
{
    char key[16];

    (void)snprintf(key, sizeof(key), "t%u", n);
    *ret_stores = 0;
    for (unsigned i = 0; i < STORES; i++) {
        int rc = hf_kv_get(hf_instance_rmid(w->in[i]), key, strlen(key), NULL, 0, NULL);

        if (rc != HF_OK && rc != HF_ENOTFOUND)
            return complain(w, "read %s: %s", key, hf_error_last()->text);
        *ret_stores |= rc == HF_OK ? 1U << i : 0;
    }
    return 0;
}

static int judge_one(struct world *w, unsigned n, unsigned *ret_differ)
{
    struct promise *p = &w->shared->promises[n];
    unsigned found;

    if ((w->stores != NULL ? w->stores->find : find_key)(w, n, &found) != 0)
        return 1;
    if (found != 0 && found != p->stores && p->may_differ) {
        (*ret_differ)++; /* told or not: it may have happened after that */
        return 0;
    }
    if (found != 0 && found != p->stores)
        return complain(w, "transaction %u is in stores %x of %x", n, found, p->stores);
    if (p->told == TOLD_COMMITTED && found != p->stores)
        return complain(w, "transaction %u was said to be committed and is in stores %x of %x", n,
                        found, p->stores);
    if (p->told == TOLD_ROLLEDBACK && found != 0)
        return complain(w, "transaction %u was said to be rolled back and is in stores %x", n,
                        found);
    if (p->told == TOLD_HEURISTIC && !p->may_differ)
        return complain(w, "transaction %u was said to be heuristic", n);
    if (p->told == TOLD_NOTHING)
        p->told = found != 0 ? TOLD_COMMITTED : TOLD_ROLLEDBACK;
    return 0;
}

/* No store may still hold a prepared branch. */
static int judge_scan(struct world *w, unsigned store)
{
    XID found[SCAN_MAX];
    const struct xa_switch_t *xa = w->stores != NULL ? w->stores->xa[store] : &hf_kv_switch;
    int n = xa->xa_recover_entry(found, SCAN_MAX, hf_instance_rmid(w->in[store]),
                                 TMSTARTRSCAN | TMENDRSCAN);

    return n == 0 ? 0 : complain(w, "store %u answers %d to xa_recover", store, n);
}

/* The node is open, and its own pass found nothing more to do. */
static int judge_stores(struct world *w, unsigned *ret_differ)
{
    hf_tm_stats stats = {.size = sizeof(stats)};
    int rc = hf_tm_get_stats(w->tm, &stats), bad = 0;

    if (rc != HF_OK)
        return complain(w, "statistics: %s", hf_error_last()->text);
    if (stats.recovered_committed + stats.recovered_rolledback + stats.owed + stats.alarms != 0)
        return complain(w, "a second recovery still found something to do");
    for (unsigned i = 0; bad == 0 && i < STORES; i++)
        if (w->in[i] != NULL)
            bad = judge_scan(w, i);
    for (unsigned n = 0; bad == 0 && n < w->shared->count; n++)
        bad = judge_one(w, n, ret_differ);
    return bad;
}

int world_judge(struct world *w)
{
    unsigned differ = 0, heuristics;
    int rc = world_open(w), bad;

    if (rc == HF_OK)
        rc = hf_tm_start(w->tm, 0);
    if (rc == HF_OK)
        rc = world_instances(w, w->stores != NULL ? w->stores->all : A | B | C | D);
    bad = rc == HF_OK ? judge_stores(w, &differ)
                      : complain(w, "opening: %s: %s", hf_strerror_name(rc), hf_error_last()->text);
    world_close(w);
    if (w->stores_alone)
        return bad;
    if (bad == 0)
        bad = judge_log(w, &heuristics);
    if (bad == 0 && differ > heuristics)
        return complain(w, "%u transactions ended differently, and %u are recorded", differ,
                        heuristics);
    return bad;
}
