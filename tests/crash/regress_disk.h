/*
 * tests/crash/regress_disk.h - a disk of a few megabytes that nobody else sees.
 *
 * An ext4 in a file, mounted in a mount namespace of our own: it is gone when we are. Needs root, a
 * loop device and mkfs.ext4.
 */
#ifndef HF_TESTS_CRASH_REGRESS_DISK_H
#define HF_TESTS_CRASH_REGRESS_DISK_H

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "crash_kit.h"

enum { DISK_BYTES = 12 << 20, DISK_PATH_SIZE = 96 };

static inline int disk_run(const char *const argv[])
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execvp(argv[0], (char **)(uintptr_t)argv);
        _exit(127);
    }
    (void)waitpid(pid, &status, 0);
    return status;
}

/* At DIR/disk, of which ret_disk is the path. NULL: done; else why it cannot be. */
static inline const char *disk_mount(const char *dir, char ret_disk[DISK_PATH_SIZE])
{
    char image[DISK_PATH_SIZE];
    int fd;

    (void)snprintf(image, sizeof(image), "%s/image", dir);
    (void)snprintf(ret_disk, DISK_PATH_SIZE, "%s/disk", dir);
    if (geteuid() != 0)
        return "mounting needs root";
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return "no mount namespace can be had";
    fd = open(image, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, DISK_BYTES) == 0 && mkdir(ret_disk, 0700) == 0, "make %s",
          image);
    (void)close(fd);
    if (disk_run((const char *[]){"mkfs.ext4", "-q", "-F", "-O", "^has_journal", image, NULL}) != 0)
        return "mkfs.ext4 cannot be run";
    if (disk_run((const char *[]){"mount", "-o", "loop", image, ret_disk, NULL}) != 0)
        return "a loop device cannot be mounted";
    return NULL;
}

static inline void disk_unmount(const char *disk)
{
    (void)umount2(disk, MNT_DETACH); /* else the end of the namespace does it */
}

#endif
