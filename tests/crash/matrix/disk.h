/*
 * tests/crash/matrix/disk.h - a file system of one's own, whose power can be cut.
 *
 * The image lies in memory, is mounted through a loop device that goes away with the mount, and in
 * a mount namespace that goes away with the processes in it. So nothing is left behind however they
 * end, but for an empty directory.
 *
 * What a cut is: the shutdown call of ext4 and XFS, without a flush of their logs. Whatever had not
 * been submitted to the device is lost: dirty pages, and what the log did not have yet. The device
 * keeps what was submitted: this is not a disk that lies about its cache.
 */
#ifndef HF_TESTS_CRASH_DISK_H
#define HF_TESTS_CRASH_DISK_H

struct disk {
    const char *kind; /* "ext4", "xfs" */
    int image;
    int root; /* of the mounted file system; -1: it is not mounted */
};

/* Give this process and those that it forks mounts that nobody else sees, and a place for one.
   NULL, or why not. */
const char *disk_namespace(void);
/* Where it is mounted. */
const char *disk_dir(void);
/* Make a file system of so many bytes (0: a small one) and mount it. NULL, or why that is not
   possible here: static memory. */
const char *disk_make(struct disk *d, const char *kind, long bytes);
/* Cut the power. Processes that work on it meet errors from now on. */
void disk_cut(const struct disk *d);
/* After a cut, when no process has anything open in it any more: unmount, and mount again. */
void disk_again(struct disk *d);
/* Copy the image to a file. */
void disk_keep(const struct disk *d, const char *path);
/* Unmount it and forget it. */
void disk_free(struct disk *d);

#endif
