/*
 * tools/bench/raw.h - the baselines of `hf-bench commit` and `kv`: see raw.c and raw_kv.c, which
 * are frozen.
 */
#ifndef HF_BENCH_RAW_H
#define HF_BENCH_RAW_H

#include "bench.h"

/* An LMDB environment in the new file path. 0, or LMDB's code. */
int raw_open(const char *path, struct raw **ret);
void raw_close(struct raw *raw); /* NULL is allowed */
const char *raw_strerror(int code);

/* Two of them, in the new files first and second. */
int raw_kv_open(const char *first, const char *second, struct raw_kv **ret);
void raw_kv_close(struct raw_kv *raw); /* NULL is allowed */

#endif
