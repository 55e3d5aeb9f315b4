/*
 * tests/crash/matrix/rig.c - see rig.h.
 */
#include "rig.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn void rig_die(const char *what)
{
    perror(what);
    exit(2);
}

void *rig_share(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        rig_die("mmap");
    return p;
}

void rig_dir_make(char ret[], size_t size)
{
    const char *parent = getenv("TMPDIR");

    if (parent == NULL)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(ret, size, "%s/holdfast-rig-XXXXXX", parent);
    if (mkdtemp(ret) == NULL)
        rig_die(ret);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type;
    return at->level > 0 ? remove(path) : 0;
}

void rig_dir_empty(const char *dir)
{
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        rig_die(dir);
}

void rig_dir_remove(const char *dir)
{
    rig_dir_empty(dir);
    if (rmdir(dir) != 0)
        rig_die(dir);
}

int rig_process(int (*fn)(void *user), void *user)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        rig_die("fork");
    if (pid == 0) {
        (void)alarm(RIG_CHILD_SECONDS);
        _exit(fn(user));
    }
    if (waitpid(pid, &status, 0) != pid)
        rig_die("waitpid");
    return status;
}

bool rig_ended_well(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool rig_was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

const char *rig_signal_text(int status)
{
    static char text[64];

    if (!WIFSIGNALED(status))
        return NULL;
    (void)snprintf(text, sizeof(text), "%s", strsignal(WTERMSIG(status)));
    return WTERMSIG(status) == SIGALRM ? "it hangs" : text;
}
