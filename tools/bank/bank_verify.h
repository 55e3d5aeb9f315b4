/*
 * tools/bank/bank_verify.h - what the judge and those who read the stores for it have in common.
 *
 * bank_verify.c judges; verify_kv.c, or verify_sql.c, is linked to it and reads: two programs.
 */
#ifndef BANK_VERIFY_H
#define BANK_VERIFY_H

#include <stddef.h>

enum { VERIFY_STORES = 2, VERIFY_OPEN_SIZE = 256 };

extern const char *const verify_names[VERIFY_STORES]; /* "east" and "west" */

struct audit; /* the judge's */

/* One line "verify: ...", and the judgement is that the books are wrong. */
void violation(struct audit *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A store holds a done mark, an account; texts need no NUL and may be anything. */
void verify_found_done(struct audit *a, int store, const char *id, const char *value, size_t size);
void verify_found_account(struct audit *a, int store, const char *name, const char *value,
                          size_t size);

/*
 * Read a store of the bank in dir: tell each done mark and each account, and as violations what is
 * prepared (V6) and what else should not be there, or cannot be read.
 */
void verify_read_store(struct audit *a, const char *dir, int store);

#endif
