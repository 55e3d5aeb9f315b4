/*
 * holdfast/internal/host.h - what every room needs of the process it lives in: the thread's last
 * error, clocks, and whether it was forked. Not installed.
 */
#ifndef HOLDFAST_INTERNAL_HOST_H
#define HOLDFAST_INTERNAL_HOST_H

#include <stdint.h>

/* Set the thread's last error and return code. native is errno, LMDB's or XA's code, or 0. */
int hf__error(int code, int native, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The thread's last error comes from this answer of an xa_ call. Returns code. */
int hf__error_xa(int code, int xa_code);

uint64_t hf__now_ms(void);       /* since 1970 */
uint64_t hf__monotonic_ms(void); /* for deadlines */

/* A number that changes in a child after fork: handles remember it. */
unsigned hf__process(void);

#endif
