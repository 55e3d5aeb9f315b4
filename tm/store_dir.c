/*
 * tm/store_dir.c - where a store lives: its directory, its lock file, and this process's registry.
 *
 * A directory is found by device and inode, and entered in the registry before any file in it is
 * opened (S5): LMDB's lock file must be opened once in a process, as ours must, because closing any
 * descriptor of a file drops the process's locks on it. Nothing that is not ours, that others may
 * write, or that lies on a network file system is opened at all.
 *
 * The lock file holds a mark: the identity of the store that it guards. A store without its lock
 * file, or with that of another, is refused: two processes would not see each other's locks.
 *
 * Threads: the registry has a lock; everything else here is done while a store is being opened or
 * closed, except for the locks, which the kernel orders.
 */
#include "store_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/base.h"
#include "holdfast/internal/fault.h"

enum {
    MARK_SIZE = 32, /* what the lock file holds once the store is made */
    OPEN_WAIT_MS = 10000,
    LOCK_POLL_MS = 10,
};
static const char mark_magic[16] = "holdfast store\n";

/* -- the registry ----------------------------------------------------------------------------- */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hf__store_dir *registry;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* A child of fork may open stores of its own, and the same ones: another thread must not hold the
   registry just then. */
static void lock_registry(void)
{
    (void)pthread_mutex_lock(&registry_lock);
}

static void unlock_registry(void)
{
    (void)pthread_mutex_unlock(&registry_lock);
}

/* What the parent has open is not open here: a child has none of its locks, and what it inherited
   of LMDB's is neither used nor closed, so that no close can drop a lock that the child takes. */
static void forget_registry(void)
{
    registry = NULL;
    unlock_registry();
}

static void watch_forks(void)
{
    (void)pthread_atfork(lock_registry, unlock_registry, forget_registry); /* ENOMEM: as HF_EOPEN */
}

/* Enter the registry (S5), before any file in the directory is opened. */
static int enter_registry(struct hf__store_dir *d)
{
    const struct hf__store_dir *o;
    int rc = HF_OK;

    (void)pthread_mutex_lock(&registry_lock);
    for (o = registry; o != NULL; o = o->next)
        if (o->dev == d->dev && o->ino == d->ino && strcmp(o->file, d->file) == 0)
            rc = hf__error(HF_EOPEN, 0, "%s: open already in this process", d->path);
    if (rc == HF_OK) {
        d->next = registry;
        registry = d;
    }
    (void)pthread_mutex_unlock(&registry_lock);
    return rc;
}

static void leave_registry(struct hf__store_dir *d)
{
    (void)pthread_mutex_lock(&registry_lock);
    for (struct hf__store_dir **at = &registry; *at != NULL; at = &(*at)->next)
        if (*at == d) {
            *at = d->next;
            break;
        }
    (void)pthread_mutex_unlock(&registry_lock);
}

/* -- locks of the lock file ------------------------------------------------------------------- */

/* length 0: to the end of all bytes. */
static int set_lock(int fd, short type, uint64_t byte, off_t length)
{
    struct flock l = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = length};

    while (fcntl(fd, F_SETLK, &l) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static int try_lock(const struct hf__store_dir *d, uint64_t byte)
{
    int err = set_lock(d->lock_fd, F_WRLCK, byte, 1);

    if (err == EACCES || err == EAGAIN)
        return HF_EBUSY;
    return err == 0 ? HF_OK : hf__error(HF_EIO, err, "%s: lock: %s", d->path, strerror(err));
}

/* A lock that cannot be let go ends with the process. */
static void let_go(const struct hf__store_dir *d, uint64_t byte)
{
    (void)set_lock(d->lock_fd, F_UNLCK, byte, 1);
}

static long holder(const struct hf__store_dir *d, uint64_t byte)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

    if (fcntl(d->lock_fd, F_GETLK, &l) != 0)
        return -1;
    if (l.l_type == F_UNLCK)
        return 0;
    return l.l_pid > 0 ? l.l_pid : -1;
}

bool hf__store_dir_shared(const struct hf__store_dir *d)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1};

    return d->lock_fd >= 0 && (fcntl(d->lock_fd, F_GETLK, &l) != 0 || l.l_type != F_UNLCK);
}

int hf__store_shared(struct hf__store *s)
{
    return hf__store_dir_shared(hf__store_place(s));
}

int hf__store_lock_try(struct hf__store *s, uint64_t byte)
{
    return try_lock(hf__store_place(s), byte);
}

int hf__store_lock_all(struct hf__store *s)
{
    const struct hf__store_dir *d = hf__store_place(s);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1};
    int err = set_lock(d->lock_fd, F_WRLCK, 1, 0);

    if (err == 0)
        return HF_OK;
    if (err != EACCES && err != EAGAIN)
        return hf__error(HF_EIO, err, "%s: lock: %s", d->path, strerror(err));
    if (fcntl(d->lock_fd, F_GETLK, &l) != 0 || l.l_type == F_UNLCK)
        l.l_pid = -1; /* it let go meanwhile */
    return hf__error(HF_EOWNED, 0, "%s: open in process %ld", d->path, (long)l.l_pid);
}

void hf__store_lock_release(struct hf__store *s, uint64_t byte)
{
    let_go(hf__store_place(s), byte);
}

long hf__store_lock_holder(struct hf__store *s, uint64_t byte)
{
    return holder(hf__store_place(s), byte);
}

void hf__store_opened(struct hf__store *s)
{
    const struct hf__store_dir *d = hf__store_place(s);

    if (d->lock_fd >= 0 && !(d->flags & HF__STORE_EXCLUSIVE))
        let_go(d, 0);
}

int hf__store_dir_take(const struct hf__store_dir *d)
{
    struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};

    if (d->lock_fd < 0)
        return HF_OK;
    for (int waited = 0;; waited += LOCK_POLL_MS) {
        int rc = try_lock(d, 0);

        if (rc != HF_EBUSY)
            return rc;
        if (d->flags & HF__STORE_EXCLUSIVE)
            return hf__error(HF_EOWNED, 0, "%s: open in process %ld", d->path, holder(d, 0));
        if (waited >= OPEN_WAIT_MS)
            return hf__error(HF_EBUSY, 0, "%s: process %ld is opening or closing it", d->path,
                             holder(d, 0));
        (void)nanosleep(&pause, NULL);
    }
}

/* -- the directory ---------------------------------------------------------------------------- */

static int check_file_system(const struct hf__store_dir *d)
{
    static const uint32_t network[] = {
        0x6969 /* nfs */,      0x517b /* smb */,      0xff534d42 /* cifs */, 0xfe534d42 /* smb2 */,
        0x01021997 /* 9p */,   0x65735546 /* fuse */, 0x5346414f /* afs */,  0x73757245 /* coda */,
        0x00c36400 /* ceph */, 0x564c /* ncp */,
    };
    struct statfs fs;

    if (fstatfs(d->dir_fd, &fs) != 0)
        return hf__error(HF_EIO, errno, "%s: ask for the file system: %s", d->path,
                         strerror(errno));
    for (size_t i = 0; i < sizeof(network) / sizeof(*network); i++)
        if ((uint32_t)fs.f_type == network[i])
            return hf__error(HF_ENETFS, 0, "%s: on a file system of type 0x%x", d->path,
                             network[i]);
    return HF_OK;
}

static int check_owner(const struct hf__store_dir *d, const struct stat *st, const char *what)
{
    if (st->st_uid != geteuid())
        return hf__error(HF_EOWNER, 0, "%s: %s belongs to user %u", d->path, what, st->st_uid);
    if (st->st_mode & (S_IRWXG | S_IRWXO))
        return hf__error(HF_EOWNER, 0, "%s: %s has mode %o; others must have no access", d->path,
                         what, st->st_mode & 07777);
    return HF_OK;
}

/* A directory that has anything else in it is somebody else's. */
static int check_entries(const struct hf__store_dir *d, const struct hf__store_config *cfg)
{
    int fd = openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;
    char known[256];
    int rc = HF_OK;

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd); /* nothing was written through it */
        return hf__error(HF_EIO, errno, "%s: read the directory: %s", d->path, strerror(errno));
    }
    (void)snprintf(known, sizeof(known), " . .. %s %s-lock %s %s ", cfg->file, cfg->file,
                   cfg->lock_file != NULL ? cfg->lock_file : "",
                   cfg->companions ? cfg->companions : "");
    while (rc == HF_OK && (e = readdir(dir)) != NULL) {
        char name[NAME_MAX + 3];

        (void)snprintf(name, sizeof(name), " %s ", e->d_name);
        if (strstr(known, name) == NULL)
            rc = hf__error(HF_ENOTNODE, 0, "%s: not there, and the directory has other files: %s",
                           d->path, e->d_name);
    }
    (void)closedir(dir);
    return rc;
}

static int open_dir(struct hf__store_dir *d, const struct hf__store_config *cfg)
{
    struct stat st;

    if (lstat(cfg->dir, &st) != 0) {
        if (errno != ENOENT || !(cfg->flags & HF__STORE_CREATE))
            return hf__error(errno == ENOENT ? HF_ENOTFOUND : HF_EIO, errno, "%s: %s", cfg->dir,
                             strerror(errno));
        if (mkdir(cfg->dir, 0700) != 0 && errno != EEXIST)
            return hf__error(HF_EIO, errno, "%s: make the directory: %s", cfg->dir,
                             strerror(errno));
        HF_FAULT("dir:made");
    } else if (S_ISLNK(st.st_mode)) {
        return hf__error(HF_EOWNER, 0, "%s: is a symbolic link", cfg->dir);
    } else if (!S_ISDIR(st.st_mode)) {
        return hf__error(HF_ENOTNODE, ENOTDIR, "%s: is not a directory", cfg->dir);
    }
    d->dir_fd = open(cfg->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (d->dir_fd < 0 || fstat(d->dir_fd, &st) != 0)
        return hf__error(errno == EACCES ? HF_EOWNER : HF_EIO, errno, "%s: open the directory: %s",
                         cfg->dir, strerror(errno));
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    return check_owner(d, &st, "the directory");
}

/* -- the files -------------------------------------------------------------------------------- */

static int open_lock_file(struct hf__store_dir *d, const struct hf__store_config *cfg)
{
    int create = cfg->flags & HF__STORE_CREATE ? O_CREAT : 0;
    struct stat st;

    if (cfg->lock_file == NULL)
        return HF_OK;
    d->lock_fd = openat(d->dir_fd, cfg->lock_file, O_RDWR | O_NOFOLLOW | O_CLOEXEC | create, 0600);
    if (d->lock_fd < 0 && errno == ENOENT)
        return hf__error(HF_ENOTNODE, errno, "%s: the lock file %s is not there", d->path,
                         cfg->lock_file);
    if (d->lock_fd < 0 || fstat(d->lock_fd, &st) != 0)
        return hf__error(errno == ELOOP || errno == EACCES ? HF_EOWNER : HF_EIO, errno,
                         "%s: open %s: %s", d->path, cfg->lock_file, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return hf__error(HF_EOWNER, 0, "%s: %s is not a file", d->path, cfg->lock_file);
    return check_owner(d, &st, cfg->lock_file);
}

int hf__store_dir_mark(const struct hf__store_dir *d, unsigned char ret_id[HF__STORE_ID_SIZE])
{
    unsigned char mark[MARK_SIZE];
    ssize_t n = pread(d->lock_fd, mark, sizeof(mark), 0);

    if (n < 0)
        return hf__error(HF_EIO, errno, "%s: read the lock file: %s", d->path, strerror(errno));
    if (n == 0)
        return HF_ENOTFOUND;
    if (n < MARK_SIZE || memcmp(mark, mark_magic, sizeof(mark_magic)) != 0)
        return hf__error(HF_EDAMAGED, 0, "%s: the lock file is damaged", d->path);
    memcpy(ret_id, mark + sizeof(mark_magic), HF__STORE_ID_SIZE);
    return HF_OK;
}

int hf__store_dir_set_mark(const struct hf__store_dir *d, const unsigned char id[HF__STORE_ID_SIZE])
{
    unsigned char mark[MARK_SIZE];

    memcpy(mark, mark_magic, sizeof(mark_magic));
    memcpy(mark + sizeof(mark_magic), id, HF__STORE_ID_SIZE);
    if (pwrite(d->lock_fd, mark, sizeof(mark), 0) != MARK_SIZE ||
        (!HF_BUG("mark-unsynced") && fsync(d->lock_fd) != 0))
        return hf__error(HF_EIO, errno, "%s: write the lock file: %s", d->path, strerror(errno));
    HF_FAULT("dir:marked");
    return HF_OK;
}

int hf__store_dir_check_file(const struct hf__store_dir *d, const struct hf__store_config *cfg,
                             uint64_t *ret_bytes)
{
    struct stat st;
    int fd = openat(d->dir_fd, cfg->file,
                    (cfg->flags & HF__STORE_READONLY ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC);
    int rc = HF_OK;

    if (fd < 0 && errno == ENOENT)
        return cfg->flags & HF__STORE_CREATE
                   ? HF_ENOTFOUND
                   : hf__error(HF_ENOTNODE, ENOENT, "%s: not there", d->path);
    if (fd < 0 || fstat(fd, &st) != 0)
        rc = hf__error(errno == ELOOP || errno == EACCES ? HF_EOWNER : HF_EIO, errno,
                       "%s: open: %s", d->path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = hf__error(HF_EOWNER, 0, "%s: is not a file", d->path);
    else
        rc = check_owner(d, &st, "it");
    if (rc == HF_OK && !(cfg->flags & (HF__STORE_READONLY | HF__STORE_CACHED))) {
        if (fdatasync(fd) != 0)
            rc = hf__error(HF_EIO, errno, "%s: sync: %s", d->path, strerror(errno));
        else
            (void)posix_fadvise(fd, 0, 0,
                                POSIX_FADV_DONTNEED); /* advice: pages mapped elsewhere stay */
    }
    if (rc == HF_OK)
        *ret_bytes = (uint64_t)st.st_size;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

int hf__store_dir_sync(const struct hf__store_dir *d)
{
    int fd;
    int rc = HF_OK;

    if (fsync(d->dir_fd) != 0)
        return hf__error(HF_EIO, errno, "%s: sync the directory: %s", d->path, strerror(errno));
    fd = openat(d->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc =
            hf__error(HF_EIO, errno, "%s: sync the parent directory: %s", d->path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* -- open and close --------------------------------------------------------------------------- */

/* The paths. A slash at the end would make the kernel follow a link before we can see that it is
   one. */
static int set_paths(struct hf__store_dir *d, struct hf__store_config *cfg,
                     char dir[HF__STORE_PATH_SIZE])
{
    size_t length = strlen(cfg->dir);

    while (length > 1 && cfg->dir[length - 1] == '/')
        length--;
    if (length >= HF__STORE_PATH_SIZE || strlen(cfg->file) >= sizeof(d->file) ||
        (size_t)snprintf(d->path, sizeof(d->path), "%.*s/%s", (int)length, cfg->dir, cfg->file) >=
            sizeof(d->path))
        return hf__error(HF_EINVAL, 0, "the path of a store is too long");
    (void)snprintf(dir, HF__STORE_PATH_SIZE, "%.*s", (int)length, cfg->dir);
    (void)snprintf(d->file, sizeof(d->file), "%s", cfg->file);
    cfg->dir = dir;
    return HF_OK;
}

int hf__store_dir_open(struct hf__store_dir *d, const struct hf__store_config *config)
{
    struct hf__store_config cfg = *config;
    char dir[HF__STORE_PATH_SIZE];
    struct stat st;
    int rc;

    (void)pthread_once(&fork_once, watch_forks);
    *d = (struct hf__store_dir){
        .dir_fd = -1, .lock_fd = -1, .flags = cfg.flags, .process = hf__process()};
    rc = set_paths(d, &cfg, dir);
    if (rc == HF_OK)
        rc = open_dir(d, &cfg);
    if (rc == HF_OK)
        rc = enter_registry(d);
    if (rc == HF_OK)
        rc = check_file_system(d);
    if (rc == HF_OK && fstatat(d->dir_fd, cfg.file, &st, AT_SYMLINK_NOFOLLOW) != 0)
        rc = check_entries(d, &cfg);
    if (rc == HF_OK)
        rc = open_lock_file(d, &cfg);
    return rc == HF_OK ? hf__store_dir_take(d) : rc;
}

void hf__store_dir_close(struct hf__store_dir *d)
{
    if (d->lock_fd >= 0)
        (void)close(d->lock_fd); /* lets go of every byte */
    if (d->dir_fd >= 0)
        (void)close(d->dir_fd);
    leave_registry(d); /* only now may this process open the directory again (S5) */
}
