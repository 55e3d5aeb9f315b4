/*
 * rm/mariadb/cut.h - failpoints of this room: where the process may die, or the connection break.
 *
 * Such a point is passed before a message is sent, when it is sent, and when its answer is here but
 * not taken yet. To fail there is to find that the connection has broken: the socket is shut, so
 * that the server sees it, too, and the answer to a step is as good as never received.
 *
 * In a release they vanish, names and all (holdfast/internal/fault.h).
 */
#ifndef HF_MARIADB_CUT_H
#define HF_MARIADB_CUT_H

#include "holdfast/internal/fault.h"
#include "session.h"

enum my_moment { MY_SENDING, MY_SENT, MY_ANSWERED };

#ifdef HF_FAULTS

/* The connection breaks. */
void hf__my_cut(struct my_session *s);
/* Pass the point of a call. 1: it broke there. */
int hf__my_cut_op(struct my_session *s, enum my_op op, enum my_moment moment);

#define MY_CUT(name, s)                                                                            \
    do {                                                                                           \
        if (HF_FAULT_FAILS(name))                                                                  \
            hf__my_cut(s);                                                                         \
    } while (0)

#else

#define hf__my_cut_op(s, op, moment) ((void)(op), 0)
#define MY_CUT(name, s) ((void)0)

#endif

#endif
