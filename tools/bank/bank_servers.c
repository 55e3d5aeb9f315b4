/*
 * tools/bank/bank_servers.c - start bank_servers.sh, give it commands, end it.
 *
 * The script is in a session of its own, so that Ctrl-C reaches us alone and it can remove what it
 * has made; if we are killed, the kernel kills it, and the servers' watchdogs do the rest.
 */
#define _GNU_SOURCE /* pipe2 */

#include "bank_servers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_SIZE = 16 };

const char *const server_titles[SERVER_COUNT] = {"PostgreSQL", "MariaDB"};

static const char *const names[SERVER_COUNT] = {"postgres", "mariadb"};

/* In the child. */
static void become(const char *script, const char *dir, const int fd[3], pid_t parent)
{
    char *const argv[] = {(char *)script, (char *)dir, NULL}; /* exec changes nothing */

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || setsid() < 0)
        _exit(127);
    for (int i = 0; i < 3; i++)
        if (dup2(fd[i], i) < 0)
            _exit(127);
    execv(script, argv);
    dprintf(STDERR_FILENO, "%s: %s\n", script, strerror(errno));
    _exit(127);
}

bool servers_start(struct servers *s, const char *script, const char *dir, const char *log_path)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, log = -1;
    pid_t parent = getpid();
    bool good = pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0;

    if (good)
        log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    s->pid = log < 0 ? -1 : fork();
    if (s->pid == 0)
        become(script, dir, (const int[]){in[0], out[1], log}, parent);
    good = s->pid > 0;
    if (!good)
        s->pid = 0;
    for (int i = 0; i < 3; i++) {
        int fd = (const int[]){in[0], out[1], log}[i];

        if (fd >= 0)
            (void)close(fd); /* the child's; nothing was written here */
    }
    s->asks = in[1];
    s->answers = out[0];
    return good;
}

bool servers_ask(const struct servers *s, const char *verb, enum server which)
{
    char line[32];
    int size = snprintf(line, sizeof(line), "%s %s\n", verb, names[which]);

    return write(s->asks, line, (size_t)size) == size;
}

bool servers_hear(const struct servers *s)
{
    char text[ANSWER_SIZE];
    ssize_t size = read(s->answers, text, sizeof(text)); /* one line: one write of the script */

    return size == 3 && memcmp(text, "ok\n", 3) == 0;
}

void servers_end(struct servers *s)
{
    if (s->pid == 0)
        return;
    (void)close(s->asks); /* the script's loop ends */
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    (void)close(s->answers);
    s->pid = 0;
}
