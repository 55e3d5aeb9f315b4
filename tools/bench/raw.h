/*
 * tools/bench/raw.h - the baseline of `hf-bench commit`: see raw.c, which is frozen.
 */
#ifndef HF_BENCH_RAW_H
#define HF_BENCH_RAW_H

#include "bench.h"

/* An LMDB environment in the new file path. 0, or LMDB's code. */
int raw_open(const char *path, struct raw **ret);
void raw_close(struct raw *raw); /* NULL is allowed */
const char *raw_strerror(int code);

#endif
