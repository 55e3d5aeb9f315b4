/*
 * rm/postgres/failure.h - why the thread's last XA call failed, for hf_postgres_ext.error.
 *
 * It belongs to the thread, not to the rmid: an xa_open() that fails leaves no rmid behind.
 *
 * Threads: thread-local.
 */
#ifndef HF_PG_FAILURE_H
#define HF_PG_FAILURE_H

#include <stddef.h>

#include <libpq-fe.h>

/* Every entry of the switch begins with this, and ends with hf__pg_failure_end(). */
void hf__pg_failure_begin(int rmid);
/* A sentence of ours. The first note of a call stays. */
void hf__pg_failure_note(const char *text);
/* The server's words, or libpq's if the connection broke; `when` says what was being done. */
void hf__pg_failure_result(const PGconn *conn, const PGresult *result, const char *when);
/* libpq's words; the connection's secrets are taken out. */
void hf__pg_failure_connection(const PGconn *conn, const char *when);
/* If nothing was noted and xa_code is a failure, a plain sentence. Returns xa_code. */
int hf__pg_failure_end(int xa_code);
/* HF_OK, or HF_ENOTFOUND: nothing of this rmid's. */
int hf__pg_failure_get(int rmid, int *ret_native, char *ret_text, size_t text_size);

#endif
