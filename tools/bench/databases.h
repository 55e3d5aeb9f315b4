/*
 * tools/bench/databases.h - a kind of database, as hf-bench needs it: postgres.c and mariadb.c.
 *
 * databases.c has the servers, the node, the sides and the rows; a kind has its statements and its
 * client library. A transaction is one INSERT on each of two databases, of one kind or of two.
 */
#ifndef HF_BENCH_DATABASES_H
#define HF_BENCH_DATABASES_H

#include "bench.h"
#include "holdfast/tm.h"

enum { DATABASES = BENCH_SERVERS, INFO_SIZE = MAXINFOSIZE };

#define BENCH_INSERT "INSERT INTO hf_bench VALUES (1)"

/* What a user sends by hand, in this order; the INSERT goes between the first two. */
enum hand_step { HAND_BEGIN, HAND_PREPARE, HAND_COMMIT, HAND_STEPS };
enum { HAND_STATEMENTS = 2 }; /* of a step at most, a message each */

struct database_kind {
    const char *server; /* its name in the script that makes servers */
    const char *info;   /* the open string of such a server; %s is its directory */
    const char *create; /* the statement that makes the table */
    const struct xa_switch_t *xa;
    const hf_rm_ext *ext;

    int (*work_by_helper)(int rmid); /* the INSERT; 0 is good */
    int (*work_natively)(int rmid);

    void *(*connect)(const char *info, int rmid); /* NULL: it said why */
    void (*disconnect)(void *conn);
    int (*run)(void *conn, const char *sql);          /* 0, or -1 after it said why */
    const char *by_hand[HAND_STEPS][HAND_STATEMENTS]; /* %s is the branch; NULL: none */
};

extern const struct database_kind postgres_kind, mariadb_kind;

/* phases.c: the switch of database i with a clock at the calls that ask a server. */
void phases_wrap(unsigned i, const struct xa_switch_t *xa, struct xa_switch_t *ret);

#endif
