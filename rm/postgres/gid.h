/*
 * rm/postgres/gid.h - XIDs as global identifiers of PostgreSQL.
 *
 * Threads: no state.
 */
#ifndef HF_PG_GID_H
#define HF_PG_GID_H

#include "xa.h"

enum { PG_GID_SIZE = 200 }; /* with its NUL; PostgreSQL's own limit */

/* 0; -1: not an XID that has a gid: a null one, a negative format, a length out of range. */
int hf__pg_gid_format(const XID *xid, char ret[PG_GID_SIZE]);
/* 0; -1: not of that form. Strict: what comes back formats to the same text. */
int hf__pg_gid_parse(const char *gid, XID *ret);

#endif
