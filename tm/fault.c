/*
 * tm/fault.c - failpoints and planted bugs of a fault build; an empty file in a release.
 *
 * The program's failpoints lie in the section hf_faults, one entry for each place; several places
 * may share a name, and are one point then. The table of points is made from it, in the order of
 * names, at the first use. A fault build need not be fast: one table, one lock.
 */
#include "holdfast/internal/fault.h"

#ifdef HF_FAULTS

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { POINTS_MAX = 256, BUG_NAME_SIZE = 64 };
enum action { PASS, KILL, FAIL, DELAY, BARRIER };
enum trigger { ALWAYS, ONCE, FROM, SOMETIMES };

struct point {
    const char *name;
    bool can_fail;
    unsigned long hits;
    enum action action;
    unsigned long value; /* DELAY: milliseconds; BARRIER: threads */
    enum trigger trigger;
    unsigned long at;   /* ONCE, FROM: the hit; SOMETIMES: of a hundred */
    uint64_t random;    /* SOMETIMES */
    unsigned waiting;   /* BARRIER: threads in it */
    unsigned long open; /* BARRIER: how often it has let go */
};

/* The linker makes both, where the program has any such section. */
extern struct hf__fault_point __start_hf_faults[] __attribute__((weak));
extern struct hf__fault_point __stop_hf_faults[] __attribute__((weak));

static struct point points[POINTS_MAX];
static unsigned point_count;
static char planted[BUG_NAME_SIZE];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct point *)a)->name, ((const struct point *)b)->name);
}

static void collect(void)
{
    unsigned kept = 0;

    for (const struct hf__fault_point *p = __start_hf_faults; p < __stop_hf_faults; p++) {
        if (point_count == POINTS_MAX)
            abort();
        points[point_count++] = (struct point){.name = p->name, .can_fail = p->can_fail != 0};
    }
    qsort(points, point_count, sizeof(points[0]), by_name);
    for (unsigned i = 0; i < point_count; i++) {
        if (kept > 0 && strcmp(points[kept - 1].name, points[i].name) == 0)
            points[kept - 1].can_fail |= points[i].can_fail;
        else
            points[kept++] = points[i];
    }
    point_count = kept;
}

/* Called with the lock held. NULL: there is none. */
static struct point *find(const char *name)
{
    const struct point key = {.name = name};

    return bsearch(&key, points, point_count, sizeof(points[0]), by_name);
}

static void take_lock(void)
{
    (void)pthread_once(&once, collect);
    (void)pthread_mutex_lock(&lock);
}

/* The same numbers for the same seed; good enough to choose hits by. */
static unsigned draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (unsigned)(*random % 100);
}

static bool triggered(struct point *p)
{
    switch (p->trigger) {
    case ONCE:
        return p->hits == p->at;
    case FROM:
        return p->hits >= p->at;
    case SOMETIMES:
        return draw(&p->random) < p->at;
    default:
        return true;
    }
}

static void nap(unsigned long ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0)
        continue;
}

/* Called with the lock held. */
static void wait_for_others(struct point *p)
{
    unsigned long open = p->open;

    if (++p->waiting >= p->value) {
        p->waiting = 0;
        p->open++;
        (void)pthread_cond_broadcast(&let_go);
    }
    while (p->open == open)
        (void)pthread_cond_wait(&let_go, &lock);
}

int hf__fault_hit(const char *name)
{
    enum action action = PASS;
    unsigned long value;
    struct point *p;

    take_lock();
    p = find(name);
    if (p == NULL)
        abort(); /* every name that is passed is in the section */
    p->hits++;
    if (p->action != PASS && triggered(p))
        action = p->action;
    if (action == BARRIER)
        wait_for_others(p);
    value = p->value;
    (void)pthread_mutex_unlock(&lock);
    if (action == KILL)
        (void)kill(getpid(), SIGKILL);
    if (action == DELAY)
        nap(value);
    return action == FAIL;
}

/* A number at *text, which is moved behind it. */
static bool read_number(char **text, unsigned long *ret)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    *ret = strtoul(*text, &end, 10);
    *text = end;
    return true;
}

static bool read_word(char **text, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool read_action(char **text, struct point *p)
{
    if (read_word(text, "kill"))
        p->action = KILL;
    else if (p->can_fail && read_word(text, "fail"))
        p->action = FAIL;
    else if (read_word(text, "delay:"))
        p->action = DELAY;
    else if (read_word(text, "barrier:"))
        p->action = BARRIER;
    else
        return false;
    return p->action == KILL || p->action == FAIL || read_number(text, &p->value);
}

static bool read_trigger(char **text, struct point *p)
{
    unsigned long seed = 1;

    p->trigger = ALWAYS;
    if (read_word(text, "@")) {
        if (!read_number(text, &p->at))
            return false;
        p->at += p->hits;
        p->trigger = read_word(text, "+") ? FROM : ONCE;
    } else if (read_word(text, "%")) {
        if (!read_number(text, &p->at) || (read_word(text, ":") && !read_number(text, &seed)))
            return false;
        p->random = seed * 0x9e3779b97f4a7c15U + 1;
        p->trigger = SOMETIMES;
    }
    return **text == '\0';
}

/* One NAME=ACTION[TRIGGER]; called with the lock held. */
static int set_one(char *text)
{
    char *equals = strchr(text, '=');
    struct point *p, read;

    if (equals == NULL)
        return -1;
    *equals++ = '\0';
    p = find(text);
    if (p == NULL)
        return -1;
    read = *p;
    if (!read_action(&equals, &read) || !read_trigger(&equals, &read))
        return -1;
    *p = read;
    return 0;
}

int hf__fault_set(const char *list)
{
    char *copy = NULL, *rest, *one;
    int rc = 0;

    if (list != NULL && (copy = strdup(list)) == NULL)
        return -1;
    take_lock();
    for (unsigned i = 0; list == NULL && i < point_count; i++) {
        points[i].action = PASS;
        points[i].waiting = 0;
        points[i].open++;
    }
    if (list == NULL)
        (void)pthread_cond_broadcast(&let_go);
    for (rest = copy; copy != NULL && rc == 0 && (one = strtok_r(rest, ",", &rest)) != NULL;)
        rc = set_one(one);
    (void)pthread_mutex_unlock(&lock);
    free(copy);
    return rc;
}

unsigned long hf__fault_hits(const char *name)
{
    const struct point *p;
    unsigned long hits;

    take_lock();
    p = find(name);
    hits = p != NULL ? p->hits : 0;
    (void)pthread_mutex_unlock(&lock);
    return hits;
}

const char *hf__fault_name(unsigned i, int *ret_can_fail)
{
    (void)pthread_once(&once, collect);
    if (i >= point_count)
        return NULL;
    if (ret_can_fail != NULL)
        *ret_can_fail = points[i].can_fail;
    return points[i].name;
}

void hf__bug_plant(const char *name)
{
    take_lock();
    planted[0] = '\0';
    if (name != NULL)
        strncat(planted, name, sizeof(planted) - 1);
    (void)pthread_mutex_unlock(&lock);
}

int hf__bug_planted(const char *name)
{
    int yes;

    take_lock();
    yes = strcmp(planted, name) == 0;
    (void)pthread_mutex_unlock(&lock);
    return yes;
}

#else

typedef int hf__fault_nothing; /* ISO C wants a declaration */

#endif
