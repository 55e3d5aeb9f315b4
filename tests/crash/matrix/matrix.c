/*
 * What: the crash matrix: every failpoint x every scenario x a second crash at every failpoint of
 *       the recovery that follows (invariants 1 to 10, 14, 15).
 * How:  each scenario is run once to learn which failpoints it passes, and how often. Then, for
 *       each of them and for its first, second and last hit, a process dies there; a recovery
 *       follows, from which is learned what recovery passes after just this crash, and for each of
 *       those it is done again with a recovery that dies there. After a clean recovery the stores
 *       must hold what the application was told, all or none of each transaction, the log must
 *       verify, nothing may be owed or prepared, and a further recovery must find nothing to do.
 *       Where a call can be made to fail, the same with a failure instead of the first crash.
 *
 *       crash_matrix [--jobs N] [--scenario NAME] [--plant BUG]
 *                    [--only SCENARIO:POINT=ACTION@N[:POINT]]
 *
 *       A violation is printed with the --only that shows it again; with a bug planted the first
 *       one ends it. A failpoint of tm, rm/kv or holder that nothing reaches is a failure, unless
 *       one scenario alone is asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/internal/fault.h"
#include "matrix.h"
#include "rig.h"

enum { ITEMS_MAX = 8192, JOBS_MAX = 16 };

struct item {
    unsigned scenario, point, hit;
    bool fails; /* instead of kill */
};

struct tally {
    unsigned runs, second_crashes, violations;
    unsigned next; /* item */
    unsigned char reached[POINTS_MAX];
};

static struct item items[ITEMS_MAX];
static unsigned item_count;
static struct tally *tally; /* shared by the jobs */
static struct shared *shared;
static char dir[DIR_SIZE];
static const char *planted, *chosen;

/* -- one process of a run --------------------------------------------------------------------- */

enum part { SCENARIO, RECOVERY, JUDGEMENT };

struct order {
    enum part part;
    unsigned scenario;
    const char *faults;
};

static int obey(void *user)
{
    const struct order *order = user;
    const struct scenario *scenario = &hf_scenarios[order->scenario];
    struct world w = {.dir = dir, .shared = shared, .temper = scenario->temper};
    const char *name;
    int bad = 0;

    hf__bug_plant(planted);
    if (order->faults != NULL && hf__fault_set(order->faults) != 0)
        return 3;
    if (order->part == SCENARIO)
        scenario->run(&w);
    else
        bad = order->part == RECOVERY ? world_recover(&w) : world_judge(&w);
    for (unsigned i = 0; (name = hf__fault_name(i, NULL)) != NULL; i++)
        shared->hits[i] += hf__fault_hits(name);
    return bad;
}

/* The wait status of a process that did this part. Its hits of failpoints are in shared. */
static int process(enum part part, unsigned scenario, const char *faults)
{
    struct order order = {part, scenario, faults};

    memset(shared->hits, 0, sizeof(shared->hits));
    return rig_process(obey, &order);
}

/* -- one run ---------------------------------------------------------------------------------- */

static void spec_of(const struct item *item, char ret[128])
{
    (void)snprintf(ret, 128, "%s=%s@%u", hf__fault_name(item->point, NULL),
                   item->fails ? "fail" : "kill", item->hit);
}

static bool violated(const struct item *item, const char *second, const char *part, int status)
{
    const char *signal = rig_signal_text(status);
    char spec[128];

    spec_of(item, spec);
    fprintf(stderr, "crash_matrix: VIOLATION in %s: %s\n    --only %s:%s%s%s\n", part,
            signal != NULL ? signal : shared->complaint, hf_scenarios[item->scenario].name, spec,
            second != NULL ? ":" : "", second != NULL ? second : "");
    (void)__atomic_fetch_add(&tally->violations, 1, __ATOMIC_RELAXED);
    return true;
}

/* Scenario, recovery that dies at `second` (NULL: none), recovery, judgement. After it the hits of
   the clean recovery are in ret_recovery. True: a violation. */
static bool run(const struct item *item, const char *second, unsigned long *ret_recovery)
{
    char spec[128];
    int status;

    (void)__atomic_fetch_add(&tally->runs, 1, __ATOMIC_RELAXED);
    rig_dir_empty(dir);
    memset(shared, 0, sizeof(*shared));
    spec_of(item, spec);
    status = process(SCENARIO, item->scenario, spec);
    if (rig_was_killed(status))
        tally->reached[item->point] = 1;
    else if (!rig_ended_well(status))
        return violated(item, second, "the scenario", status);
    if (second != NULL) {
        (void)snprintf(spec, sizeof(spec), "%s=kill@1", second);
        status = process(RECOVERY, item->scenario, spec);
        if (rig_was_killed(status))
            (void)__atomic_fetch_add(&tally->second_crashes, 1, __ATOMIC_RELAXED);
        else if (!rig_ended_well(status))
            return violated(item, second, "the first recovery", status);
    }
    status = process(RECOVERY, item->scenario, NULL);
    if (!rig_ended_well(status))
        return violated(item, second, "recovery", status);
    if (ret_recovery != NULL)
        memcpy(ret_recovery, shared->hits, sizeof(shared->hits));
    status = process(JUDGEMENT, item->scenario, NULL);
    return !rig_ended_well(status) && violated(item, second, "judgement", status);
}

/* An item, and again with each second crash that recovery offers. */
static void run_all(const struct item *item)
{
    unsigned long recovery[POINTS_MAX] = {0};
    const char *name;

    if (run(item, NULL, recovery) || item->fails)
        return;
    for (unsigned i = 0; (name = hf__fault_name(i, NULL)) != NULL; i++) {
        if (recovery[i] == 0)
            continue;
        tally->reached[i] = 1;
        (void)run(item, name, NULL);
    }
}

/* -- the matrix ------------------------------------------------------------------------------- */

static void add_item(unsigned scenario, unsigned point, unsigned long hit, bool fails)
{
    if (item_count == ITEMS_MAX) {
        fprintf(stderr, "crash_matrix: more than %d items\n", ITEMS_MAX);
        exit(2);
    }
    items[item_count++] = (struct item){scenario, point, (unsigned)hit, fails};
}

/* Run each scenario without a crash, and note what it passes. */
static bool explore(void)
{
    bool good = true;

    for (unsigned s = 0; s < hf_scenario_count; s++) {
        const struct item none = {.scenario = s};
        int can_fail, status;

        if (chosen != NULL && strcmp(chosen, hf_scenarios[s].name) != 0)
            continue;
        rig_dir_empty(dir);
        memset(shared, 0, sizeof(*shared));
        status = process(SCENARIO, s, NULL);
        if (!rig_ended_well(status))
            good = !violated(&none, NULL, "the scenario without a crash", status);
        for (unsigned i = 0; hf__fault_name(i, &can_fail) != NULL; i++) {
            unsigned long hits = shared->hits[i];

            for (unsigned long n = 1; n <= hits; n++)
                if (n <= 2 || n == hits)
                    add_item(s, i, n, false);
            if (can_fail && hits > 0) {
                add_item(s, i, 1, true);
                add_item(s, i, hits, true);
            }
        }
    }
    return good;
}

static void work(void)
{
    shared = rig_share(sizeof(*shared));
    rig_dir_make(dir, sizeof(dir));
    for (;;) {
        unsigned i = __atomic_fetch_add(&tally->next, 1, __ATOMIC_RELAXED);

        if (i >= item_count || (planted != NULL && tally->violations > 0))
            break;
        run_all(&items[i]);
    }
    rig_dir_remove(dir);
}

static void work_in(unsigned jobs)
{
    for (unsigned i = 0; i < jobs; i++) {
        pid_t pid = fork();

        if (pid < 0)
            rig_die("fork");
        if (pid == 0) {
            work();
            exit(0);
        }
    }
    for (unsigned i = 0; i < jobs; i++) {
        int status;

        if (wait(&status) < 0 || !rig_ended_well(status)) {
            fprintf(stderr, "crash_matrix: a job did not end well: %x\n", (unsigned)status);
            (void)__atomic_fetch_add(&tally->violations, 1, __ATOMIC_RELAXED);
        }
    }
}

static bool is_ours(const char *name)
{
    return strncmp(name, "postgres:", 9) != 0 && strncmp(name, "mariadb:", 8) != 0;
}

static unsigned report_unreached(void)
{
    unsigned unreached = 0;
    const char *name;

    for (unsigned i = 0; (name = hf__fault_name(i, NULL)) != NULL; i++) {
        if (tally->reached[i] || !is_ours(name))
            continue;
        fprintf(stderr, "crash_matrix: nothing reaches the failpoint %s\n", name);
        unreached++;
    }
    return unreached;
}

static int all(unsigned jobs)
{
    struct timespec from, to;
    unsigned unreached, points = 0;
    bool good;

    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    shared = rig_share(sizeof(*shared));
    rig_dir_make(dir, sizeof(dir));
    good = explore();
    rig_dir_remove(dir);
    work_in(jobs);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    while (hf__fault_name(points, NULL) != NULL)
        points++;
    unreached = chosen == NULL ? report_unreached() : 0;
    printf("crash_matrix: %u failpoints, %u not reached; %u scenarios, %u first crashes and "
           "failures, %u second crashes; %u runs, %u violations, %ld s\n",
           points, unreached, hf_scenario_count, item_count, tally->second_crashes, tally->runs,
           tally->violations, (long)(to.tv_sec - from.tv_sec));
    printf("rig: %u runs with crashes, %u violations\n", tally->runs,
           tally->violations + unreached);
    printf("%u passed, %u failed\n", tally->runs - tally->violations,
           tally->violations + unreached);
    good = good && item_count > 0;
    return good && tally->violations == 0 && unreached == 0 ? 0 : 1;
}

/* -- one by name ------------------------------------------------------------------------------ */

static bool find(const char *scenario, const char *point, struct item *ret)
{
    const char *name;

    for (ret->scenario = 0; ret->scenario < hf_scenario_count; ret->scenario++)
        if (strcmp(hf_scenarios[ret->scenario].name, scenario) == 0)
            break;
    for (ret->point = 0; (name = hf__fault_name(ret->point, NULL)) != NULL; ret->point++)
        if (strcmp(name, point) == 0)
            break;
    return ret->scenario < hf_scenario_count && name != NULL;
}

/* SCENARIO:POINT=ACTION@N[:POINT], where a point's name has a colon of its own. */
static int only(const char *text)
{
    char scenario[32], room[32], rest[32], action[8], second[64] = "";
    char point[80];
    struct item item;

    if (sscanf(text, "%31[^:]:%31[^:]:%31[^=]=%7[^@]@%u:%63s", scenario, room, rest, action,
               &item.hit, second) < 5)
        return 2;
    (void)snprintf(point, sizeof(point), "%s:%s", room, rest);
    item.fails = strcmp(action, "fail") == 0;
    if (!find(scenario, point, &item))
        return 2;
    shared = rig_share(sizeof(*shared));
    rig_dir_make(dir, sizeof(dir));
    if (!run(&item, second[0] != '\0' ? second : NULL, NULL)) {
        printf("crash_matrix: no violation\n");
        rig_dir_remove(dir);
        return 0;
    }
    printf("crash_matrix: see %s\n", dir);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned jobs = 2;

    tally = rig_share(sizeof(*tally));
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--jobs") == 0)
            jobs = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--scenario") == 0)
            chosen = argv[i + 1];
        else if (strcmp(argv[i], "--plant") == 0)
            planted = argv[i + 1];
        else if (strcmp(argv[i], "--only") == 0)
            return only(argv[i + 1]);
        else
            argc = 0;
    }
    if (argc % 2 == 0 || jobs == 0 || jobs > JOBS_MAX) {
        fprintf(stderr,
                "usage: crash_matrix [--jobs N] [--scenario NAME] [--plant BUG] [--only ...]\n");
        return 2;
    }
    return all(jobs);
}
