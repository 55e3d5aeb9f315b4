/*
 * rm/postgres/openstring.h - the open string: libpq's connection parameters, and ours.
 *
 * Threads: no state.
 */
#ifndef HF_PG_OPENSTRING_H
#define HF_PG_OPENSTRING_H

#include "xa.h"

struct pg_openstring {
    char conninfo[2 * MAXINFOSIZE]; /* for libpq: without our keys; may hold a secret */
    int unsafe;                     /* unsafe=yes */
};

/* NULL, and *ret is filled; or what is wrong, without quoting the string: it may hold secrets. */
const char *hf__pg_openstring_parse(const char *text, struct pg_openstring *ret);

#endif
