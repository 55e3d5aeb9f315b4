/*
 * What: a recoverer that meets another one fencing the same dead incarnation does not take it for
 *       alive. It would leave the dead one's branches, and locks, to a pass that may come much
 *       later.
 * How:  an incarnation dies; another process holds its byte of the lock file, as a recoverer does
 *       while it fences, and lets go after 200 ms. One call to fence the dead must have fenced it.
 */
#include <fcntl.h>

#include "crash_kit.h"
#include "log.h"

enum { HELD_MS = 200 };

static pid_t spawn(const char *self, const char *role, const char *node)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl(self, self, role, node, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Claim an incarnation and die. */
static void claim(const char *node)
{
    struct hf__log *log;

    OK(hf__log_open(node, &log));
    CHECK(hf__log_incarnation(log) == 1, "not the first opening");
    _exit(0);
}

/* Hold byte 1 for a while; say so once it is held. */
static void hold(const char *node)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
    char path[512];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", node, HF__LOCK_FILE);
    fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_SETLK, &l) == 0, "lock byte 1");
    CHECK(write(STDOUT_FILENO, "h", 1) == 1, "tell");
    nap_ms(HELD_MS);
    _exit(0);
}

int main(int argc, char **argv)
{
    struct hf__fences fences;
    struct hf__log *log;
    char dir[64], node[80], self[512], byte;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int fds[2], out;
    pid_t holder;

    CHECK(n > 0, "find myself");
    self[n] = '\0';
    if (argc == 3 && strcmp(argv[1], "--claim") == 0)
        claim(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--hold") == 0)
        hold(argv[2]);
    kit_tmpdir(dir);
    (void)snprintf(node, sizeof(node), "%s/node", dir);
    CHECK(waitpid(spawn(self, "--claim", node), NULL, 0) > 0, "claim");
    OK(hf__log_open(node, &log));
    out = dup(STDOUT_FILENO);
    CHECK(pipe(fds) == 0 && dup2(fds[1], STDOUT_FILENO) == STDOUT_FILENO, "pipe");
    holder = spawn(self, "--hold", node);
    CHECK(read(fds[0], &byte, 1) == 1, "the holder did not start");
    CHECK(dup2(out, STDOUT_FILENO) == STDOUT_FILENO, "stdout");
    OK(hf__log_fence_dead(log, &fences));
    CHECK(hf__fenced(&fences, 1), "the dead incarnation was taken for alive");
    free(fences.open);
    CHECK(waitpid(holder, NULL, 0) == holder, "wait");
    hf__log_close(log, true);
    kit_remove(dir);
    printf("crash_fencing: ok\n");
    return 0;
}
