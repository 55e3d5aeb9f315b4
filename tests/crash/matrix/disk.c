/*
 * tests/crash/matrix/disk.c - see disk.h.
 *
 * Each mount has a loop device of its own: the former one's cache must not show what the image does
 * not have. (XFS then has another device number at every mount, as it may have after a boot.)
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

enum {
    EXT4_BYTES = 128 << 20,
    XFS_BYTES = 320 << 20, /* mkfs.xfs makes none below 300 MiB */
    NO_LOG_FLUSH = 2,
    TRIES = 500, /* of 10 ms */
};
#define SHUTDOWN _IOR('X', 125, uint32_t) /* EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN */

static char reason[256], place[128];

static const char *because(const char *what)
{
    (void)snprintf(reason, sizeof(reason), "%s: %s", what, strerror(errno));
    return reason;
}

static void nap(void)
{
    const struct timespec time = {.tv_nsec = 10000000};

    (void)nanosleep(&time, NULL);
}

static void remove_place(void)
{
    (void)rmdir(place); /* an empty directory is no harm */
}

const char *disk_dir(void)
{
    return place;
}

const char *disk_namespace(void)
{
    if (geteuid() != 0)
        return "not root";
    if (unshare(CLONE_NEWNS) != 0)
        return because("unshare the mounts");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return because("make the mounts private");
    rig_dir_make(place, sizeof(place));
    (void)atexit(remove_place);
    return NULL;
}

/* mkfs, on an image that the child has under the same descriptor. Its exit status; 127: there is
   no such program. */
static int run_mkfs(const char *kind, int image)
{
    char path[32];
    int status;
    pid_t pid;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
    pid = fork();
    if (pid < 0)
        rig_die("fork");
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
        if (strcmp(kind, "xfs") == 0)
            execlp("mkfs.xfs", "mkfs.xfs", "-q", "-f", "-K", path, (char *)NULL);
        else
            execlp("mkfs.ext4", "mkfs.ext4", "-q", "-F", "-m", "0", "-E",
                   "lazy_itable_init=0,lazy_journal_init=0,nodiscard", path, (char *)NULL);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) != pid)
        rig_die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Attach the image to a free loop device, which lets go of it after its last use. */
static const char *attach(int image, int *ret_loop, char ret_path[32])
{
    const struct loop_config config = {.fd = (uint32_t)image,
                                       .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const char *why = NULL;

    if (control < 0)
        return because("/dev/loop-control");
    for (int i = 0; i < TRIES; i++) { /* others look for a free one, too */
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        why = NULL;
        (void)snprintf(ret_path, 32, "/dev/loop%d", number);
        *ret_loop = number >= 0 ? open(ret_path, O_RDWR | O_CLOEXEC) : -1;
        if (*ret_loop >= 0 && ioctl(*ret_loop, LOOP_CONFIGURE, &config) == 0)
            break;
        why = because(ret_path);
        if (*ret_loop >= 0)
            (void)close(*ret_loop);
        if (errno != EBUSY && errno != ENXIO)
            break;
        nap();
    }
    (void)close(control);
    return why;
}

static const char *mount_it(struct disk *d)
{
    char path[32];
    int loop = -1;
    const char *why = attach(d->image, &loop, path);

    if (why != NULL)
        return why;
    if (mount(path, place, d->kind, MS_NODEV | MS_NOSUID, NULL) != 0)
        why = because("mount");
    (void)close(loop);
    if (why != NULL)
        return why;
    d->root = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d->root >= 0 ? NULL : because(place);
}

const char *disk_make(struct disk *d, const char *kind, long bytes)
{
    int status;

    if (bytes == 0)
        bytes = strcmp(kind, "xfs") == 0 ? XFS_BYTES : EXT4_BYTES;

    *d = (struct disk){.kind = kind, .root = -1, .image = memfd_create("holdfast-disk", 0)};
    if (d->image < 0)
        return because("memfd_create");
    if (ftruncate(d->image, bytes) != 0)
        return because("ftruncate");
    status = run_mkfs(kind, d->image);
    if (status != 0) {
        (void)snprintf(reason, sizeof(reason),
                       status == 127 ? "there is no mkfs.%s" : "mkfs.%s failed", kind);
        return reason;
    }
    return mount_it(d);
}

void disk_cut(const struct disk *d)
{
    uint32_t how = NO_LOG_FLUSH;

    if (ioctl(d->root, SHUTDOWN, &how) != 0)
        rig_die("shut the file system down");
}

/* The last process may still be letting go. */
static void unmount_it(struct disk *d)
{
    int rc = -1;

    (void)close(d->root);
    d->root = -1;
    for (int i = 0; rc != 0 && i < TRIES; i++) {
        rc = umount2(place, 0);
        if (rc != 0 && errno != EBUSY)
            break;
        if (rc != 0)
            nap();
    }
    if (rc != 0)
        rig_die("umount");
}

void disk_again(struct disk *d)
{
    const char *why;

    unmount_it(d);
    why = mount_it(d);
    if (why != NULL) {
        fprintf(stderr, "%s after a cut: %s\n", d->kind, why);
        exit(2);
    }
}

void disk_keep(const struct disk *d, const char *path)
{
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t size = lseek(d->image, 0, SEEK_END), at = 0;

    if (to < 0 || size < 0)
        rig_die(path);
    while (at < size)
        if (sendfile(to, d->image, &at, (size_t)(size - at)) <= 0)
            rig_die(path);
    (void)close(to);
}

void disk_free(struct disk *d)
{
    if (d->root >= 0)
        unmount_it(d);
    if (d->image >= 0)
        (void)close(d->image);
    *d = (struct disk){.root = -1, .image = -1};
}
