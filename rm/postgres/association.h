/*
 * rm/postgres/association.h - the association of an rmid with its branch: xa_start(), xa_end().
 *
 * Functions return XA_... or XAER_... . Threads: one for an rmid.
 */
#ifndef HF_PG_ASSOCIATION_H
#define HF_PG_ASSOCIATION_H

#include "rmid.h"

/* T0 to T1 with a new branch. Sends nothing. */
int hf__pg_association_start(struct pg_rmid *entry, const char *gid);
/* T0 to T1 with the branch that this rmid worked in before. */
int hf__pg_association_join(struct pg_rmid *entry, const char *gid);
/* T2 to T1. */
int hf__pg_association_resume(struct pg_rmid *entry, const char *gid);

/* T1 to T2. */
int hf__pg_association_suspend(struct pg_rmid *entry, const char *gid);
/* T1 or T2 to T0. fail: TMFAIL, the branch is spoilt. */
int hf__pg_association_end(struct pg_rmid *entry, const char *gid, int fail);

/* May the user's statements go to the connection, so that they belong where he thinks? */
int hf__pg_association_may_work(const struct pg_rmid *entry);

/* The branch that has not ended or voted, if gid names it; else NULL. */
struct pg_branch *hf__pg_association_branch(struct pg_rmid *entry, const char *gid);

#endif
