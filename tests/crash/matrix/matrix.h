/*
 * tests/crash/matrix/matrix.h - the crash matrix: what its parts know of each other.
 *
 * A *run* is a scenario in a process that dies, or whose call fails, at the n-th hit of a
 * failpoint; a recovery that dies at another; a clean recovery; and a judgement. The processes are
 * forked from a driver that never opens anything itself. What the application was told lies in
 * memory that is shared with the driver, so that it outlives the process that was told.
 */
#ifndef HF_TESTS_CRASH_MATRIX_H
#define HF_TESTS_CRASH_MATRIX_H

#include <stdbool.h>

#include "holdfast/transaction.h"

enum { STORES = 4, TXS_MAX = 4096, POINTS_MAX = 256, DIR_SIZE = 256 };
enum { A = 1, B = 2, C = 4, D = 8 }; /* stores, as a set */

/* What the application knows of one of its transactions. */
enum told { TOLD_NOTHING, TOLD_COMMITTED, TOLD_ROLLEDBACK, TOLD_HEURISTIC };

struct promise {
    unsigned stores; /* that it wrote its key to */
    enum told told;
    bool may_differ; /* a resource manager decides for itself in it */
};

/* Shared by the processes of one run. */
struct shared {
    unsigned count;
    struct promise promises[TXS_MAX];
    unsigned long hits[POINTS_MAX]; /* of each failpoint, in the last process that ended well */
    char complaint[512];            /* of the judge */
    hf_tm_stats recovery;           /* what the last one did */
    unsigned adopted;               /* how often the node was taken for one that moved */
};

/* How the stores answer. */
enum temper {
    PLAIN,    /* as kv does */
    STUBBORN, /* store B answers XA_RETRY to the first commit of a process */
    WILLFUL,  /* store B rolls back what it is told to commit, and says so: XA_HEURRB */
    REFUSING, /* store B votes no */
    HELD,     /* store B answers XAER_NOTA until recovery has it end a session (detach) */
    LATE      /* stores B and C have TMUSEASYNC, and do all of it in xa_complete */
};

struct world;

/* Other resource managers than four kv stores. */
struct stores {
    unsigned all; /* of them, as a set */
    const struct xa_switch_t *xa[STORES];
    int (*add)(struct world *w); /* register them; a code of Holdfast's */
    /* The stores that have the key of transaction n. 0, or 1 and shared->complaint. */
    int (*find)(struct world *w, unsigned n, unsigned *ret_stores);
    /* Make the key of transaction n in one; read there; for the scenarios alone. */
    int (*write)(struct world *w, unsigned store, hf_instance *in, unsigned n);
    int (*read)(struct world *w, unsigned store, hf_instance *in);
};

struct world {
    const char *dir;
    const struct stores *stores; /* NULL: four kv stores */
    struct shared *shared;
    enum temper temper;
    uint32_t history;
    bool background;
    bool stores_alone; /* judge the stores, and not log and history */
    hf_tm *tm;
    hf_rm *rm[STORES];
    hf_instance *in[STORES];
};

struct scenario {
    const char *name;
    enum temper temper;
    void (*run)(struct world *w);
};

extern const struct scenario hf_scenarios[];
extern const unsigned hf_scenario_count;

/* -- scenarios.c ------------------------------------------------------------------------------ */

/* The number of a new transaction that will write to these stores. */
unsigned scenario_promise(struct world *w, unsigned stores);
/* What the application was told of it, by a result code. */
void scenario_keep(struct world *w, unsigned n, int rc);
/* Enlist some stores in a transaction; write the key of transaction n to them. */
int scenario_enlist(hf_tx *tx, hf_instance *const in[STORES], unsigned stores);
int scenario_write(struct world *w, hf_instance *const in[STORES], unsigned stores, unsigned n);
/* One transaction that writes to some stores, in instances that are open. */
int scenario_transact(struct world *w, unsigned stores);
/* Open the node and the instances of a set of stores, and start. */
int scenario_start(struct world *w, unsigned stores);

/* -- pooled.c --------------------------------------------------------------------------------- */

void scenario_pooled(struct world *w);

/* -- world.c ---------------------------------------------------------------------------------- */

/* Open the node, adopting it where it was moved, and register all stores. Not started. */
int world_open(struct world *w);
/* Open the instances of a set of stores. */
int world_instances(struct world *w, unsigned stores);
/* Close what is open, as far as it can be. */
void world_close(struct world *w);
/* Open, recover until nothing is owed, close. 0, or 1: not in so many passes. */
int world_recover(struct world *w);
/* Does what the stores hold agree with what was promised? 0, or 1 and shared->complaint. What is
   found of a transaction of which nothing had been told is what was promised from then on. */
int world_judge(struct world *w);

/* -- stores.c --------------------------------------------------------------------------------- */

/* The switch of a store in such a world; dir is where a willful one keeps its marks. */
const struct xa_switch_t *store_switch(unsigned store, enum temper temper, const char *dir);
const hf_rm_ext *store_ext(unsigned store, enum temper temper);
/* From now on each call of a store, but xa_open and xa_close, asks whether it fails, before it does
   anything and after: XAER_RMFAIL then. With a temper of PLAIN only. */
void store_fail_calls(bool (*before)(void), bool (*after)(void));

#endif
