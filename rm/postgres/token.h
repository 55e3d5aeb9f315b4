/*
 * rm/postgres/token.h - the proof token of a branch: transaction id, timeline, WAL position.
 *
 *   version 1 | transaction id 8 | timeline 4 | WAL position 8        big-endian, in bytes
 *
 * Threads: no state.
 */
#ifndef HF_PG_TOKEN_H
#define HF_PG_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "holdfast/tm.h"

struct pg_token {
    uint64_t xid; /* with its epoch */
    uint32_t timeline;
    uint64_t position;
};

/* From what the server answers: an xid8, the name of a WAL file, a pg_lsn. Bytes; 0: unreadable. */
size_t hf__pg_token_write(const char *xid, const char *walfile, const char *lsn,
                          unsigned char ret[HF_TOKEN_SIZE_MAX]);
/* 0; -1: not a token of a version that is known. */
int hf__pg_token_read(const void *token, size_t size, struct pg_token *ret);

/* 0; -1 unless the whole text is of that form. */
int hf__pg_token_position(const char *lsn, uint64_t *ret);
int hf__pg_token_timeline(const char *walfile, uint32_t *ret);

#endif
