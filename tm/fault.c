/*
 * tm/fault.c - failpoints and planted bugs of a fault build; an empty file in a release.
 *
 * A failpoint is known by the text of its name, from the first time it is passed or set. They are
 * few, and a fault build need not be fast: one table, one lock.
 */
#include "holdfast/internal/fault.h"

#ifdef HF_FAULTS

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POINTS_MAX = 256, NAME_MAX_BYTES = 64 };
enum action { PASS, KILL, FAIL };

struct point {
    char name[NAME_MAX_BYTES];
    unsigned long hits;
    unsigned long at; /* act on this hit only; 0: on every one */
    enum action action;
};

static struct point points[POINTS_MAX];
static unsigned point_count;
static char planted[NAME_MAX_BYTES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Called with the lock held. NULL: the table is full, or the name too long. */
static struct point *find(const char *name)
{
    for (unsigned i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0)
            return &points[i];
    if (point_count == POINTS_MAX || strlen(name) >= NAME_MAX_BYTES)
        return NULL;
    strcpy(points[point_count].name, name);
    return &points[point_count++];
}

int hf__fault_hit(const char *name)
{
    struct point *p;
    enum action action = PASS;

    (void)pthread_mutex_lock(&lock);
    p = find(name);
    if (p != NULL) {
        p->hits++;
        if (p->at == 0 || p->at == p->hits)
            action = p->action;
    }
    (void)pthread_mutex_unlock(&lock);
    if (p == NULL)
        abort();
    if (action == KILL)
        (void)kill(getpid(), SIGKILL);
    return action == FAIL;
}

/* One "NAME=kill@3"; called with the lock held. */
static int set_one(char *spec)
{
    char *equals = strchr(spec, '=');
    char *at = strchr(spec, '@');
    struct point *p;

    if (equals == NULL || equals == spec)
        return -1;
    *equals = '\0';
    if (at != NULL)
        *at++ = '\0';
    p = find(spec);
    if (p == NULL)
        return -1;
    if (strcmp(equals + 1, "kill") == 0)
        p->action = KILL;
    else if (strcmp(equals + 1, "fail") == 0)
        p->action = FAIL;
    else
        return -1;
    p->at = at != NULL ? p->hits + strtoul(at, NULL, 10) : 0;
    return 0;
}

int hf__fault_set(const char *spec)
{
    char *copy = NULL, *rest, *one;
    int rc = 0;

    if (spec != NULL && (copy = strdup(spec)) == NULL)
        return -1;
    (void)pthread_mutex_lock(&lock);
    if (spec == NULL)
        for (unsigned i = 0; i < point_count; i++)
            points[i].action = PASS;
    for (rest = copy; copy != NULL && rc == 0 && (one = strtok_r(rest, ",", &rest)) != NULL;)
        rc = set_one(one);
    (void)pthread_mutex_unlock(&lock);
    free(copy);
    return rc;
}

unsigned long hf__fault_hits(const char *name)
{
    unsigned long hits = 0;

    (void)pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0)
            hits = points[i].hits;
    (void)pthread_mutex_unlock(&lock);
    return hits;
}

void hf__bug_plant(const char *name)
{
    (void)pthread_mutex_lock(&lock);
    planted[0] = '\0';
    if (name != NULL)
        strncat(planted, name, sizeof(planted) - 1);
    (void)pthread_mutex_unlock(&lock);
}

int hf__bug_planted(const char *name)
{
    int yes;

    (void)pthread_mutex_lock(&lock);
    yes = strcmp(planted, name) == 0;
    (void)pthread_mutex_unlock(&lock);
    return yes;
}

#else

typedef int hf__fault_nothing; /* ISO C wants a declaration */

#endif
