/*
 * tm/store_pages.h - the structure of an LMDB file, checked by reading it, without LMDB.
 *
 * LMDB has no checksums: on a damaged page it may loop, abort or touch memory that is not its own,
 * and a flipped bit in a meta page may bring an older tree back. This looks at the bytes first.
 */
#ifndef HF_TM_STORE_PAGES_H
#define HF_TM_STORE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The newest commit, as the file has it. */
#define HF__PAGES_NEWEST UINT64_MAX

/* Is this, the value of the smallest key, what commit txnid wrote? */
typedef bool hf__pages_first_fn(const unsigned char *value, size_t size, uint64_t txnid);

/*
 * Check an LMDB 0.9 file (of a 64-bit machine of this byte order), as commit txnid left it: either
 * the newest, of a file that nobody writes meanwhile, or one that a reader of LMDB holds.
 *
 * Both meta pages, and whether each has the tree of its commit: `first` has to know by the first
 * entry, because a flipped bit in the number of a commit makes the older tree the newer. Then every
 * page of the free list and of the one database: kind, bounds, order of
 * keys, the counts that the meta page keeps; and that every page up to the last is used or free,
 * once.
 *
 * what: names the file in an error. HF_OK; HF_EDAMAGED: hf_error_last() names page and damage;
 * HF_EBUSY: two commits have followed; HF_EIO, HF_ENOMEM. Any thread.
 */
int hf__pages_check(int fd, const char *what, uint64_t txnid, hf__pages_first_fn *first);

#endif
