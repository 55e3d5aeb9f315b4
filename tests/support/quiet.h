/*
 * tests/support/quiet.h - for programs that count what the library does of its own: allocations,
 * and a resource manager that adds none.
 *
 * malloc(), calloc() and realloc() of quiet.c stand before libc's. Link with ENABLE_EXPORTS, and
 * not under a sanitizer, which has its own.
 */
#ifndef HF_TESTS_SUPPORT_QUIET_H
#define HF_TESTS_SUPPORT_QUIET_H

#include <stdatomic.h>

#include "xa.h"

/* Calls from the program's own text, where the library is linked in; not liblmdb's or libc's. */
extern atomic_uint quiet_ours;

/* Says yes to everything, and does nothing. */
extern const struct xa_switch_t quiet_switch;

#endif
