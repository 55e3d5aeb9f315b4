/*
 * tests/crash/matrix/pairs_scenarios.c - what the processes of the matrix with databases do: the
 * scenarios of scenarios.c that mean something there, and some that only databases have.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/internal/fault.h"
#include "pairs.h"

enum { ALL = A | B | C }; /* which has both databases and a kv store, in any order */

pid_t *pairs_behind;

static void nap_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

/* One transaction in all stores, of which one database will say no, for what this does there. */
static int refused_by(struct world *w, enum database who, const char *sql)
{
    unsigned n = scenario_promise(w, ALL);
    hf_tx *tx = NULL;
    int rc = hf_tx_begin(w->tm, 0, &tx);

    if (rc != HF_OK)
        return rc;
    rc = scenario_enlist(tx, w->in, ALL);
    for (unsigned i = 0; rc == HF_OK && i < STORES; i++)
        if ((ALL & 1U << i) != 0 && servers_is(i, who))
            rc = servers_exec(i, w->in[i], sql);
    if (rc == HF_OK)
        rc = scenario_write(w, w->in, ALL, n);
    if (rc == HF_OK) {
        rc = hf_tx_commit(tx, NULL);
        scenario_keep(w, n, rc);
        return rc == HF_EROLLEDBACK ? HF_OK : rc;
    }
    if (hf_tx_rollback(tx, NULL) == HF_OK)
        scenario_keep(w, n, HF_EROLLEDBACK);
    return rc;
}

/* A constraint that is checked when it prepares; work that was committed by hand; the same for
   MariaDB: the savepoint by which it knows its transaction. */
static void refused(struct world *w)
{
    int rc = scenario_start(w, ALL);

    if (rc == HF_OK)
        rc = refused_by(w, DB_POSTGRES, "INSERT INTO late VALUES (1), (1)");
    if (rc == HF_OK)
        rc = refused_by(w, DB_POSTGRES, "COMMIT; BEGIN");
    if (rc == HF_OK)
        (void)refused_by(w, DB_MARIADB, "RELEASE SAVEPOINT holdfast");
    world_close(w);
}

/* Somebody has all connections open, too, and keeps them after this process has died. */
static void held(struct world *w)
{
    if (scenario_start(w, ALL) == HF_OK) {
        pid_t pid = fork();

        if (pid == 0)
            for (;;)
                (void)pause();
        *pairs_behind = pid;
        (void)scenario_transact(w, A | B);
        (void)scenario_transact(w, B | C);
        (void)scenario_transact(w, A | C);
    }
    world_close(w);
}

/* Time is over while the transaction works. Twice, if it was over before it had begun to. */
static void deadline(struct world *w)
{
    static const unsigned times_ms[] = {40, 800};
    int rc = scenario_start(w, A | B);

    for (int i = 0; rc == HF_OK && i < 2; i++) {
        hf_tx *tx = NULL;
        unsigned n;

        rc = hf_tx_begin(w->tm, times_ms[i], &tx);
        if (rc != HF_OK)
            break;
        n = scenario_promise(w, A | B);
        if (scenario_enlist(tx, w->in, A | B) == HF_OK)
            (void)scenario_write(w, w->in, A | B, n);
        nap_ms(times_ms[i] + 5);
        (void)hf_tm_tick(w->tm, NULL);
        scenario_keep(w, n, hf_tx_commit(tx, NULL));
        if (hf__fault_hits("postgres:cancelling") + hf__fault_hits("mariadb:cancelling") > 0)
            break;
    }
    if (rc == HF_OK)
        (void)scenario_transact(w, A | B);
    world_close(w);
}

/* A database in which nothing of ours is. */
static void fresh(struct world *w)
{
    servers_forget_us();
    if (scenario_start(w, ALL) == HF_OK)
        (void)scenario_transact(w, ALL);
    world_close(w);
}

static const struct pairs_scenario own[] = {
    {"refused", PLAIN, refused},
    {"held", PLAIN, held},
    {"deadline", PLAIN, deadline},
    {"fresh", PLAIN, fresh},
};

/* "heuristic" is an operator who finishes branches by hand here. */
static const char *const shared[] = {"one",       "two",   "three",   "read-only", "rollback",
                                     "heuristic", "retry", "threads", "peers"};

enum { OWN = sizeof(own) / sizeof(own[0]), SHARED = sizeof(shared) / sizeof(shared[0]) };

struct pairs_scenario pairs_scenario(unsigned i)
{
    if (i < OWN)
        return own[i];
    for (unsigned k = 0; i < OWN + SHARED && k < hf_scenario_count; k++)
        if (strcmp(hf_scenarios[k].name, shared[i - OWN]) == 0)
            return (struct pairs_scenario){hf_scenarios[k].name, hf_scenarios[k].temper,
                                           hf_scenarios[k].run};
    return (struct pairs_scenario){.name = NULL};
}
