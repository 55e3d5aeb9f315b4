/*
 * rm/postgres/sqlstate.h - PostgreSQL's SQLSTATEs as answers of XA: one table.
 *
 * Threads: no state.
 */
#ifndef HF_PG_SQLSTATE_H
#define HF_PG_SQLSTATE_H

#include <stddef.h>

enum { PG_SQLSTATE_SIZE = 6 }; /* with its NUL */

/* What the error answered. */
enum pg_asked {
    PG_ASKED_VOTE,     /* PREPARE TRANSACTION, COMMIT in one phase, or a statement of the user's */
    PG_ASKED_COMMIT,   /* COMMIT PREPARED */
    PG_ASKED_ROLLBACK, /* ROLLBACK PREPARED */
    PG_ASKED_KINDS
};

/* XA_... or XAER_...; sqlstate "" is a connection that broke. */
int hf__pg_sqlstate_answer(const char *sqlstate, enum pg_asked asked);
/* For hf_rm_ext.error: decimal, or base 36 if it has letters; 0 for "". */
int hf__pg_sqlstate_number(const char *sqlstate);
/* Row i of the table: a SQLSTATE, or the two characters of a class; NULL: no more. For tests. */
const char *hf__pg_sqlstate_row(size_t i);

#endif
