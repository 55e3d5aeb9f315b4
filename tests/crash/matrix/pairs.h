/*
 * tests/crash/matrix/pairs.h - the crash matrix with real databases: what its parts know of each
 * other.
 *
 * A *row* is one run: a scenario, the failpoint and what happens there, the database that has the
 * first branch, what becomes of a server before recovery, and where recovery dies. There are too
 * many to run all. So rows are chosen until each pair of values that can come together has done so.
 */
#ifndef HF_TESTS_CRASH_PAIRS_H
#define HF_TESTS_CRASH_PAIRS_H

#include <sys/types.h>

#include "matrix.h"

enum { SCENARIOS_MAX = 16, ROWS_MAX = 4096, NO_POINT = POINTS_MAX };

enum action { ACTION_KILL, ACTION_FAIL, ACTIONS };
enum database { DB_POSTGRES, DB_MARIADB, DB_KV, DBS };
enum event { EVENT_NONE, EVENT_POSTGRES, EVENT_MARIADB, EVENTS };

struct row {
    unsigned scenario, point, hit;
    enum action action;
    enum database first;
    enum event event;
    unsigned second; /* point; NO_POINT: recovery is left alone */
    /* What came of it. */
    bool acted, second_acted, violated;
    unsigned char passed[POINTS_MAX]; /* by recovery, the first that nobody killed */
};

extern const char *const pairs_action_names[ACTIONS];
extern const char *const pairs_database_names[DBS];
extern const char *const pairs_event_names[EVENTS];

/* -- pairs_scenarios.c ------------------------------------------------------------------------- */

struct pairs_scenario {
    const char *name;
    enum temper temper;
    void (*run)(struct world *w);
};

/* The i-th; its members are NULL if there are not so many. */
struct pairs_scenario pairs_scenario(unsigned i);
/* Processes that scenario leaves behind note themselves here; in memory that is shared. */
extern pid_t *pairs_behind;

/* -- pairs_servers.c --------------------------------------------------------------------------- */

struct servers;

/* A PostgreSQL and a MariaDB in a directory of their own, up; NULL: one is not installed. */
struct servers *servers_make(void);
/* They end, and the directory goes. */
void servers_remove(struct servers *s);
/* Connect to both, in the process that asks what follows. */
void servers_connect(struct servers *s);
void servers_kill(struct servers *s, enum event event);
/* Branches that are prepared; sessions other than this one. */
unsigned servers_prepared(struct servers *s);
unsigned servers_sessions(struct servers *s);
/* Roll back all that is prepared. */
void servers_sweep(struct servers *s);

/* The stores of a run: two databases and two kv stores, one of them the first. The keys of a run
   begin at base. by_hand: this process's commits are finished by hand, if the world is WILLFUL. */
const struct stores *servers_stores(struct servers *s, enum database first, unsigned base,
                                    bool by_hand);
/* For scenarios that know what they work with; the text of an SQL statement for one server. */
bool servers_is(unsigned store, enum database what);
int servers_exec(unsigned store, hf_instance *in, const char *sql);
/* MariaDB has none of our tables any more. */
void servers_forget_us(void);

/* -- pairs_choose.c ---------------------------------------------------------------------------- */

bool pairs_is_of_database(unsigned point);
/* From now on this row's pairs are wanted. */
void pairs_want(const struct row *row);
/* This row's have come together. */
void pairs_cover(const struct row *row);
/* How many there are; of those, how many have. */
unsigned pairs_wanted(void);
unsigned pairs_covered(void);

/* Choose of these rows, but for those with a mark in `skip`, some that together have all the wanted
   pairs that they can have and that are not covered. Their numbers; how many. */
unsigned pairs_choose(const struct row rows[], unsigned count, const bool skip[], unsigned ret[],
                      unsigned max);
/* Print those that are missing. */
void pairs_print_missing(void);

#endif
