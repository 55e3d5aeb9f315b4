/*
 * What: openings of a node that die before their first pass do not add up to one that cannot
 *       start; and an opening beside a closing of the same node, in one process, keeps its lock.
 * How:  300 children open and are gone. For the lock, the program's own close() takes its time over
 *       the lock file; the kernel drops all of a process's locks on a file with any descriptor of
 *       it, and a child asks who holds them.
 */
#include "support/fake_rm.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "holdfast/inspect.h"
#include "record.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

enum { OPENINGS = 300, CLOSE_US = 200000 };

static void open_and_die(void *arg)
{
    must_ok(world_try_open(arg));
}

static void openings__that_died_at_once_do_not_add_up(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < OPENINGS; i++)
        assert_int_equal(fake_child(open_and_die, w), 0);
    world_start(w, 1); /* all of them are fenced here */
    assert_int_equal(world_stats(w).incarnation, OPENINGS + 1);
    t_ok(hf_tm_recover(w->tm, NULL));
    world_close(w);
    world_start(w, 1);
}

/* -- the lock ---------------------------------------------------------------------------------- */

static atomic_bool armed, closing;

static bool is_lock_file(int fd)
{
    char link[64], path[512];
    ssize_t n;
    size_t name = strlen("/" HF__LOCK_FILE);

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path));
    return n > (ssize_t)name && memcmp(path + n - name, "/" HF__LOCK_FILE, name) == 0;
}

/* libc's, but for the lock file when it is armed. */
int close(int fd)
{
    if (atomic_load(&armed) && is_lock_file(fd)) {
        atomic_store(&armed, false);
        atomic_store(&closing, true);
        (void)usleep(CLOSE_US);
    }
    return (int)syscall(SYS_close, fd);
}

static void *close_reader(void *in)
{
    hf_inspect_close(in);
    return NULL;
}

struct question {
    const struct world *w;
    uint32_t incarnation;
};

/* Exits with 0 if another process holds the byte. */
static void ask_for_lock(void *arg)
{
    const struct question *q = arg;
    struct flock lock = {.l_type = F_WRLCK, .l_start = (off_t)q->incarnation, .l_len = 1};
    char path[600];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/" HF__LOCK_FILE, q->w->node);
    fd = open(path, O_RDWR);
    must(fd >= 0);
    must(fcntl(fd, F_GETLK, &lock) == 0);
    must(lock.l_type != F_UNLCK);
}

static void opening__beside_a_closing_keeps_its_lock(void **state)
{
    struct world *w = *state;
    struct question q = {.w = w};
    hf_inspect *in = NULL;
    pthread_t closer;
    int rc, tries = 0;

    world_start(w, 1);
    world_close(w);
    t_ok(hf_inspect_open(w->node, &in));
    atomic_store(&closing, false);
    atomic_store(&armed, true);
    assert_int_equal(pthread_create(&closer, NULL, close_reader, in), 0);
    while (!atomic_load(&closing))
        (void)usleep(500);
    while ((rc = world_try_open(w)) == HF_EOPEN && tries++ < 5000)
        (void)usleep(1000);
    t_rc(HF_OK, rc);
    assert_int_equal(pthread_join(closer, NULL), 0);
    q.incarnation = world_stats(w).incarnation;
    assert_int_equal(fake_child(ask_for_lock, &q), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(openings__that_died_at_once_do_not_add_up),
        T(opening__beside_a_closing_keeps_its_lock),
    };

    return cmocka_run_group_tests_name("regress.openings", tests, NULL, NULL);
}
