/*
 * rm/postgres/scan.h - xa_recover(): the prepared branches of the rmid's database.
 *
 * Threads: one for an rmid.
 */
#ifndef HF_PG_SCAN_H
#define HF_PG_SCAN_H

#include "rmid.h"

/* Read them all; a scan that was open ends. XA_OK, XAER_RMERR (not read, as on a standby),
   XAER_RMFAIL. */
int hf__pg_scan_begin(struct pg_rmid *entry);
/* Up to count of them; how many. */
int hf__pg_scan_next(struct pg_rmid *entry, XID *xids, long count);
void hf__pg_scan_end(struct pg_rmid *entry);

#endif
