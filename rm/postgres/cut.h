/*
 * rm/postgres/cut.h - failpoints of this room: where the process may die, or the connection break.
 *
 * Such a point is passed before a message is sent, when it is sent, and when its answer is here but
 * not taken yet. To fail there is to find that the connection has broken: the socket is shut, so
 * that the server sees it, too, and the answer to a step is as good as never received.
 *
 * In a release they vanish, names and all (holdfast/internal/fault.h).
 */
#ifndef HF_PG_CUT_H
#define HF_PG_CUT_H

#include "holdfast/internal/fault.h"
#include "rmid.h"

enum pg_moment { PG_SENDING, PG_SENT, PG_ANSWERED };

#ifdef HF_FAULTS

/* The connection breaks. */
void hf__pg_cut(struct pg_rmid *entry);
/* Pass the point of the operation's step. */
void hf__pg_cut_step(struct pg_rmid *entry, enum pg_moment moment);

#define PG_CUT(name, entry)                                                                        \
    do {                                                                                           \
        if (HF_FAULT_FAILS(name))                                                                  \
            hf__pg_cut(entry);                                                                     \
    } while (0)

#else

#define hf__pg_cut_step(entry, moment) ((void)0)
#define PG_CUT(name, entry) ((void)0)

#endif

#endif
