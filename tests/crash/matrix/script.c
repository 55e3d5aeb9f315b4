/*
 * tests/crash/matrix/script.c - see script.h.
 */
#include "script.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "rig.h"

struct script {
    FILE *to, *from;
};

static bool says_ok(struct script *s)
{
    char line[16] = "";

    return fgets(line, sizeof(line), s->from) != NULL && strcmp(line, "ok\n") == 0;
}

static _Noreturn void become(const char *path, const char *dir, int to, int from)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* a server that nobody waits for is in the way */
    (void)dup2(to, STDIN_FILENO);
    (void)dup2(from, STDOUT_FILENO);
    execl(path, path, dir, (char *)NULL);
    _exit(127);
}

struct script *script_start(const char *path, const char *dir)
{
    struct script *s = malloc(sizeof(*s));
    int to[2], from[2];
    pid_t pid;

    if (s == NULL || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        rig_die("pipe");
    pid = fork();
    if (pid < 0)
        rig_die("fork");
    if (pid == 0)
        become(path, dir, to[0], from[1]);
    (void)close(to[0]);
    (void)close(from[1]);
    s->to = fdopen(to[1], "w");
    s->from = fdopen(from[0], "r");
    if (s->to == NULL || s->from == NULL)
        rig_die("fdopen");
    if (says_ok(s))
        return s;
    (void)fclose(s->to);
    (void)fclose(s->from);
    free(s);
    return NULL;
}

bool script_tell(struct script *s, const char *word)
{
    return fprintf(s->to, "%s\n", word) >= 0 && fflush(s->to) == 0 && says_ok(s);
}
