/*
 * tools/bench/flushes.c - counts what reaches the disk, from outside of what is measured.
 *
 * The program defines pwrite(), fdatasync() and fsync() itself and exports them, so that liblmdb
 * finds these before libc's: no counter of ours has to be believed. LMDB 0.9 commits with one
 * fdatasync() for the data pages and one write of a meta page through a descriptor that was opened
 * with O_DSYNC; so such a write is a commit, and both are flushes. Looking at the descriptor costs
 * one more system call for each page, with either side.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "bench.h"

static _Atomic uint64_t synchronous_writes, syncs;

struct flushes flushes_now(void)
{
    uint64_t commits = atomic_load(&synchronous_writes);

    return (struct flushes){.log_commits = commits, .flushes = commits + atomic_load(&syncs)};
}

/* Under both of its names. errno is left as the write has set it. */
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    long flags = syscall(SYS_fcntl, fd, F_GETFL);

    if (flags >= 0 && flags & O_DSYNC)
        atomic_fetch_add_explicit(&synchronous_writes, 1, memory_order_relaxed);
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite(fd, data, size, offset);
}

int fdatasync(int fd)
{
    atomic_fetch_add_explicit(&syncs, 1, memory_order_relaxed);
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    atomic_fetch_add_explicit(&syncs, 1, memory_order_relaxed);
    return (int)syscall(SYS_fsync, fd);
}
