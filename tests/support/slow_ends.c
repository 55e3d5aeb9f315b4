/*
 * tests/support/slow_ends.c - a MariaDB whose sessions end slowly. To be preloaded: slow_ends.sh.
 *
 * A session that ends gives up its locks, leaves the list of sessions, and has its engines let go
 * of what it had prepared, in this order (unlink_thd() in the server's sql/mysqld.cc). Usually that
 * takes microseconds, and on a busy machine any time. Here it takes a pause before it leaves the
 * list and one after it: at the lock of the list, if it is taken in unlink_thd().
 *
 * HF_SLOW_ENDS names a file to which a byte is written for each pause.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 250, SIZE = 512 /* of unlink_thd(), about */ };

typedef int rwlock_call(pthread_rwlock_t *lock);

static rwlock_call *next(const char *name)
{
    rwlock_call *call;

    *(void **)&call = dlsym(RTLD_NEXT, name);
    return call;
}

static int is_in_the_end(const void *caller)
{
    static const char *begin;

    if (begin == NULL)
        begin = dlsym(RTLD_DEFAULT, "_Z10unlink_thdP3THD");
    return begin != NULL && (const char *)caller > begin && (const char *)caller < begin + SIZE;
}

static void take_time(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    const char *path = getenv("HF_SLOW_ENDS");
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

    if (fd >= 0 && (write(fd, ".", 1) != 1 || close(fd) != 0))
        abort();
    (void)nanosleep(&pause, NULL);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    static rwlock_call *real;

    if (real == NULL)
        real = next("pthread_rwlock_wrlock");
    if (is_in_the_end(__builtin_return_address(0)))
        take_time();
    return real(lock);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    static rwlock_call *real;
    int rc;

    if (real == NULL)
        real = next("pthread_rwlock_unlock");
    rc = real(lock);
    if (is_in_the_end(__builtin_return_address(0)))
        take_time();
    return rc;
}
