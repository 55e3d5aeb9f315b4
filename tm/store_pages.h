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

/* The commit that wrote this, the value of the smallest key; 0: it does not say. */
typedef uint64_t hf__pages_first_fn(const unsigned char *value, size_t size);

/*
 * Check an LMDB 0.9 file (of a 64-bit machine of this byte order), as commit txnid left it: either
 * the newest, of a file that nobody writes meanwhile, or one that a reader of LMDB holds.
 *
 * Both meta pages, and whether each has the tree of its commit: `first` knows by the first entry,
 * because a flipped bit in the number of a commit makes the older tree the newer. A commit that
 * failed and was taken back by LMDB leaves the same bytes; what tells them apart is `published`,
 * the newest commit that was ever told (0: not known). Then every page of the free list and of the
 * one database: kind, bounds, order of keys, the counts that the meta page keeps; and that every
 * page up to the last is used or free, once.
 *
 * what: names the file in an error. HF_OK; HF_EDAMAGED: hf_error_last() names page and damage;
 * HF_EBACKINTIME: an older tree has come back; HF_ENEWER; HF_EBUSY: two commits have followed;
 * HF_EIO, HF_ENOMEM. Any thread.
 */
int hf__pages_check(int fd, const char *what, uint64_t txnid, hf__pages_first_fn *first,
                    uint64_t published);

/* Is there nothing in it: only zeros, but for meta pages that no commit has written? A file of more
   than `size` bytes, or one that cannot be read, is something. */
bool hf__pages_blank(int fd, size_t size);

/* The newest commit that LMDB's lock file knows, before LMDB makes it new; 0: it does not say. */
uint64_t hf__pages_published(int lock_fd);

#endif
