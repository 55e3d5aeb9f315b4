/*
 * What: the crash matrix with real databases: PostgreSQL, MariaDB and kv stores in one transaction,
 *       the process killed, or a connection broken, at failpoints of the transaction manager and of
 *       both databases' resource managers; servers killed before recovery; recovery killed, too
 *       (invariants 1, 5, 6, 10, 12, 13, 14, 15).
 * How:  each scenario is run once with each database first, to learn what it passes. Then rows are
 *       chosen (pairs.h) until every pair has come together, and run: the scenario that dies or
 *       fails, a server's restart, recovery, the judgement of world.c; besides, no server may have
 *       anything left prepared. From them is learned what recovery passes; so follow the rows in
 *       which recovery is killed as well, for all pairs of that with the rest.
 *
 *       In half of the rows recovery comes at once, while the server still ends the session of who
 *       has died; in the others it waits for that. Both end with a recovery after it.
 *
 *       crash_pairs [--jobs N] [--scenario NAME] [--seed N] [--plant BUG]
 *                   [--only SCENARIO,FIRST,POINT=ACTION@N,EVENT,SECOND]
 *
 *       A pair that has not come together is a failure, and so is a failpoint of a database where
 *       nothing was killed and nothing failed, unless one scenario alone is asked for. A violation
 *       is printed with the --only that shows it again; with a bug planted the first one ends it.
 *       Without the servers it is skipped: exit status 77.
 */
#include "pairs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/internal/fault.h"
#include "rig.h"

enum {
    JOBS_MAX = 8,
    CANDIDATES_MAX = 1 << 16,
    ROUNDS = 8,
    KEYS = 64,           /* of a run */
    GONE_MS_MAX = 20000, /* until a server has ended the sessions of the dead */
    SKIPPED = 77
};

const char *const pairs_action_names[ACTIONS] = {"kill", "fail"};
const char *const pairs_database_names[DBS] = {"postgres", "mariadb", "kv"};
const char *const pairs_event_names[EVENTS] = {"none", "postgres", "mariadb"};

/* Shared by the jobs. */
struct tally {
    unsigned next; /* row, or exploration */
    unsigned row_count;
    unsigned runs, violations, restarts, second_crashes, base;
    unsigned hits[SCENARIOS_MAX][DBS][POINTS_MAX]; /* without a crash */
    unsigned acted[POINTS_MAX];
    struct row rows[ROWS_MAX];
};

static struct tally *tally;
static struct servers *servers[JOBS_MAX];
static unsigned jobs = 2, seed = 1;
static const char *planted, *chosen;

/* Of this job. */
static struct servers *mine;
static struct shared *shared;
static char dir[DIR_SIZE];

/* -- one process of a run ---------------------------------------------------------------------- */

enum part { SCENARIO, RECOVERY, JUDGEMENT };

struct order {
    enum part part;
    const struct row *row;
    const char *faults;
    unsigned base;
};

static int obey(void *user)
{
    const struct order *o = user;
    struct pairs_scenario scenario = pairs_scenario(o->row->scenario);
    struct world w = {.dir = dir, .shared = shared, .temper = scenario.temper};
    const char *name;
    int bad = 0;

    w.stores = servers_stores(mine, o->row->first, o->base, o->part == SCENARIO);
    hf__bug_plant(planted);
    if (o->faults != NULL && hf__fault_set(o->faults) != 0)
        return 3;
    if (o->part == SCENARIO)
        scenario.run(&w);
    else
        bad = o->part == RECOVERY ? world_recover(&w) : world_judge(&w);
    if (strcmp(scenario.name, "peers") == 0 && o->part == SCENARIO)
        return bad; /* who was to die has noted its own */
    for (unsigned i = 0; (name = hf__fault_name(i, NULL)) != NULL; i++)
        shared->hits[i] += hf__fault_hits(name);
    return bad;
}

static int process(enum part part, const struct row *row, unsigned base, const char *faults)
{
    struct order order = {part, row, faults, base};

    memset(shared->hits, 0, sizeof(shared->hits));
    return rig_process(obey, &order);
}

/* -- one run ----------------------------------------------------------------------------------- */

static void nap_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};

    (void)nanosleep(&time, NULL);
}

static const char *second_name(const struct row *row)
{
    return row->second == NO_POINT ? "none" : hf__fault_name(row->second, NULL);
}

static void spec_of(const struct row *row, char ret[128])
{
    (void)snprintf(ret, 128, "%s=%s@%u", hf__fault_name(row->point, NULL),
                   pairs_action_names[row->action], row->hit);
}

static bool violated(const struct row *row, const char *part, const char *what)
{
    char spec[128];

    spec_of(row, spec);
    fprintf(stderr, "crash_pairs: VIOLATION in %s: %s\n    --only %s,%s,%s,%s,%s\n", part, what,
            pairs_scenario(row->scenario).name, pairs_database_names[row->first], spec,
            pairs_event_names[row->event], second_name(row));
    (void)__atomic_fetch_add(&tally->violations, 1, __ATOMIC_RELAXED);
    return false;
}

/* How a process ended: true if well. */
static bool check(const struct row *row, const char *part, int status)
{
    const char *signal = rig_signal_text(status);

    if (rig_ended_well(status))
        return true;
    return violated(row, part, signal != NULL ? signal : shared->complaint);
}

static void end_who_stayed(void)
{
    pid_t pid = *pairs_behind;

    if (pid > 0)
        (void)kill(pid, SIGKILL);
    *pairs_behind = 0;
}

static bool wait_until_alone(const struct row *row)
{
    for (int waited = 0; servers_sessions(mine) > 0; waited += 5) {
        if (waited >= GONE_MS_MAX)
            return violated(row, "the end of sessions", "the dead still have some");
        nap_ms(5);
    }
    return true;
}

static void acted(unsigned point)
{
    (void)__atomic_fetch_add(&tally->acted[point], 1, __ATOMIC_RELAXED);
}

/* The scenario, up to its end. */
static bool run_scenario(struct row *row, unsigned base)
{
    char spec[128];
    int status;

    spec_of(row, spec);
    status = process(SCENARIO, row, base, spec);
    if (row->action == ACTION_KILL && rig_was_killed(status))
        row->acted = true;
    else if (!check(row, "the scenario", status))
        return false;
    else if (row->action == ACTION_FAIL && shared->hits[row->point] >= row->hit)
        row->acted = true;
    if (row->acted)
        acted(row->point);
    return true;
}

static bool run_second(struct row *row, unsigned base)
{
    char spec[128];
    int status;

    if (row->second == NO_POINT)
        return true;
    (void)snprintf(spec, sizeof(spec), "%s=kill@1", second_name(row));
    status = process(RECOVERY, row, base, spec);
    if (!rig_was_killed(status))
        return check(row, "the first recovery", status);
    row->second_acted = true;
    acted(row->second);
    (void)__atomic_fetch_add(&tally->second_crashes, 1, __ATOMIC_RELAXED);
    return true;
}

/* Recover; and again, if there had been sessions which could still act. */
static bool settle(struct row *row, unsigned base)
{
    bool last = false;

    for (int i = 0; !last; i++) {
        last = servers_sessions(mine) == 0;
        if (!check(row, "recovery", process(RECOVERY, row, base, NULL)))
            return false;
        for (unsigned p = 0; i == 0 && p < POINTS_MAX; p++)
            row->passed[p] = shared->hits[p] > 0;
        end_who_stayed();
        if (!last && !wait_until_alone(row))
            return false;
    }
    return true;
}

/* Half of the rows: a number of them that has nothing to do with what they are. */
static bool races(const struct row *row)
{
    return (row->scenario * 7 + row->point * 13 + row->action * 5 + row->first) % 4 < 2;
}

static bool run_parts(struct row *row)
{
    unsigned base = __atomic_add_fetch(&tally->base, KEYS, __ATOMIC_RELAXED);
    bool stays;

    rig_dir_empty(dir);
    memset(shared, 0, sizeof(*shared));
    row->acted = row->second_acted = false;
    if (!run_scenario(row, base))
        return false;
    servers_kill(mine, row->event);
    if (row->event != EVENT_NONE)
        (void)__atomic_fetch_add(&tally->restarts, 1, __ATOMIC_RELAXED);
    stays = *pairs_behind != 0;
    if (!races(row) && !stays && !wait_until_alone(row))
        return false;
    if (!run_second(row, base) || !settle(row, base))
        return false;
    if (servers_prepared(mine) != 0)
        return violated(row, "judgement", "a server still has a branch prepared");
    return check(row, "judgement", process(JUDGEMENT, row, base, NULL));
}

static void run(struct row *row)
{
    for (int try = 0; try < 2; try++) {
        (void)__atomic_fetch_add(&tally->runs, 1, __ATOMIC_RELAXED);
        row->violated = !run_parts(row);
        end_who_stayed();
        if (row->violated) {
            (void)wait_until_alone(row);
            servers_sweep(mine);
        }
        if (row->violated || row->acted)
            return;
        row->hit = 1; /* threads do not pass it the same number of times each time */
    }
}

/* -- jobs -------------------------------------------------------------------------------------- */

/* What is made in a database once only is made now. */
static void warm_up(void)
{
    struct row row = {.second = NO_POINT};

    while (strcmp(pairs_scenario(row.scenario).name, "three") != 0)
        row.scenario++;
    (void)check(
        &row, "the first use of a server",
        process(SCENARIO, &row, __atomic_add_fetch(&tally->base, KEYS, __ATOMIC_RELAXED), NULL));
}

static void explore_one(unsigned i)
{
    struct row row = {.scenario = i / DBS, .first = (enum database)(i % DBS), .hit = 1};

    row.second = NO_POINT;
    if (pairs_scenario(row.scenario).name == NULL)
        return;
    if (chosen != NULL && strcmp(chosen, pairs_scenario(row.scenario).name) != 0)
        return;
    rig_dir_empty(dir);
    memset(shared, 0, sizeof(*shared));
    if (check(&row, "the scenario without a crash",
              process(SCENARIO, &row, __atomic_add_fetch(&tally->base, KEYS, __ATOMIC_RELAXED),
                      NULL)))
        for (unsigned p = 0; p < POINTS_MAX; p++)
            tally->hits[row.scenario][row.first][p] = (unsigned)shared->hits[p];
    end_who_stayed();
    (void)wait_until_alone(&row);
}

static void run_one(unsigned i)
{
    run(&tally->rows[i]);
}

static int work(unsigned job, void (*one)(unsigned i), unsigned end)
{
    mine = servers[job];
    shared = rig_share(sizeof(*shared));
    pairs_behind = rig_share(sizeof(*pairs_behind));
    rig_dir_make(dir, sizeof(dir));
    servers_connect(mine);
    if (one == explore_one)
        warm_up();
    for (;;) {
        unsigned i = __atomic_fetch_add(&tally->next, 1, __ATOMIC_RELAXED);

        if (i >= end || (planted != NULL && tally->violations > 0))
            break;
        one(i);
    }
    rig_dir_remove(dir);
    return 0;
}

/* From one number to another, by all jobs. */
static void work_in_jobs(void (*one)(unsigned i), unsigned from, unsigned end)
{
    pid_t pids[JOBS_MAX];

    tally->next = from;
    for (unsigned i = 0; i < jobs; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            rig_die("fork");
        if (pids[i] == 0)
            exit(work(i, one, end));
    }
    for (unsigned i = 0; i < jobs; i++) {
        int status;

        if (waitpid(pids[i], &status, 0) != pids[i] || !rig_ended_well(status)) {
            fprintf(stderr, "crash_pairs: a job did not end well: %x\n", (unsigned)status);
            (void)__atomic_fetch_add(&tally->violations, 1, __ATOMIC_RELAXED);
        }
    }
}

/* -- rows -------------------------------------------------------------------------------------- */

static struct row *candidates;
static bool *tried;
static unsigned candidate_count;

/* kv and holder have a matrix of their own. */
static bool is_of_interest(unsigned point)
{
    const char *name = hf__fault_name(point, NULL);

    return strncmp(name, "kv:", 3) != 0 && strncmp(name, "holder:", 7) != 0;
}

/* wanted: its pairs are. */
static void add_candidate(const struct row *row, bool wanted)
{
    if (candidate_count == CANDIDATES_MAX)
        rig_die("too many candidates");
    candidates[candidate_count] = *row;
    tried[candidate_count++] = false;
    if (wanted)
        pairs_want(row);
}

static void shuffle(void)
{
    unsigned state = seed;

    for (unsigned i = candidate_count; i > 1; i--) {
        unsigned k = (unsigned)rand_r(&state) % i;
        struct row row = candidates[i - 1];

        candidates[i - 1] = candidates[k];
        candidates[k] = row;
    }
}

/* A failpoint that a scenario passes, killed there and failing. */
static void add_point(unsigned scenario, enum database first, unsigned point, int can_fail)
{
    unsigned hits = tally->hits[scenario][first][point];
    struct row row = {.scenario = scenario, .point = point, .first = first, .second = NO_POINT};

    row.hit = 1 + (scenario * 31 + point * 17 + first + seed) % hits;
    add_candidate(&row, true);
    row.action = ACTION_FAIL;
    if (can_fail)
        add_candidate(&row, true);
}

static void add_first_crashes(void)
{
    unsigned plain;
    int can_fail;

    for (unsigned s = 0; s < SCENARIOS_MAX; s++)
        for (unsigned d = 0; d < DBS; d++)
            for (unsigned p = 0; hf__fault_name(p, &can_fail) != NULL; p++)
                if (tally->hits[s][d][p] > 0 && is_of_interest(p))
                    add_point(s, (enum database)d, p, can_fail);
    shuffle();
    plain = candidate_count;
    for (unsigned e = EVENT_POSTGRES; e < EVENTS; e++)
        for (unsigned i = 0; i < plain; i++) {
            struct row row = candidates[i];

            row.event = (enum event)e;
            add_candidate(&row, true);
        }
}

/* Does its recovery pass the same points each time? With several threads or processes, or in a race
   with a server, it may find more or less to do. */
static bool is_certain(const struct row *row)
{
    const char *name = pairs_scenario(row->scenario).name;

    return !races(row) && strcmp(name, "threads") != 0 && strcmp(name, "peers") != 0;
}

/* Rows again, with recovery killed where it passed; those without a restart first. */
static void add_second_crashes(unsigned row_count)
{
    for (unsigned e = 0; e < 2; e++)
        for (unsigned i = 0; i < row_count; i++) {
            struct row row = tally->rows[i];

            if (!row.acted || row.violated || (row.event != EVENT_NONE) != (e > 0))
                continue;
            for (unsigned p = 0; hf__fault_name(p, NULL) != NULL; p++) {
                row.second = p;
                if (row.passed[p] && is_of_interest(p))
                    add_candidate(&row, is_certain(&row));
            }
        }
}

static void cover(unsigned from, unsigned end)
{
    for (unsigned i = from; i < end; i++) {
        struct row row = tally->rows[i];

        if (!row.acted)
            continue;
        if (!row.second_acted)
            row.second = NO_POINT;
        pairs_cover(&row);
    }
}

/* What raced past its failpoint may be tried again, at the first hit. */
static void forget_tries(void)
{
    for (unsigned i = 0; i < candidate_count; i++) {
        candidates[i].hit = tried[i] ? 1 : candidates[i].hit;
        tried[i] = false;
    }
}

/* Choose and run until all pairs of the candidates have come together, or in vain. */
static void run_candidates(void)
{
    static unsigned picks[ROWS_MAX];

    for (int round = 0; round < ROUNDS; round++) {
        unsigned from = tally->row_count;
        unsigned n =
            pairs_choose(candidates, candidate_count, tried, picks, ROWS_MAX - tally->row_count);

        for (unsigned i = 0; i < n; i++) {
            tried[picks[i]] = true;
            tally->rows[tally->row_count++] = candidates[picks[i]];
        }
        work_in_jobs(run_one, from, tally->row_count);
        cover(from, tally->row_count);
        if (planted != NULL && tally->violations > 0)
            break;
        if (n == 0)
            forget_tries();
    }
}

/* -- all --------------------------------------------------------------------------------------- */

static unsigned report_points(void)
{
    unsigned of_databases = 0, missed = 0;
    const char *name;

    for (unsigned i = 0; (name = hf__fault_name(i, NULL)) != NULL; i++) {
        if (!pairs_is_of_database(i))
            continue;
        of_databases++;
        printf("%s%-30s %5u", of_databases % 2 == 0 ? "   " : "\n", name, tally->acted[i]);
        if (tally->acted[i] == 0 && chosen == NULL) {
            fprintf(stderr, "crash_pairs: nothing was killed, nothing failed at %s\n", name);
            missed++;
        }
    }
    printf("\n\n%u failpoints of databases, %u of them not met\n", of_databases, missed);
    return missed;
}

static int all(void)
{
    struct timespec from, to;
    unsigned missed, first_rows, wanted, covered;

    candidates = calloc(CANDIDATES_MAX, sizeof(*candidates));
    tried = calloc(CANDIDATES_MAX, sizeof(*tried));
    if (candidates == NULL || tried == NULL)
        rig_die("calloc");
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    work_in_jobs(explore_one, 0, SCENARIOS_MAX * DBS);
    add_first_crashes();
    run_candidates();
    first_rows = tally->row_count;
    candidate_count = 0;
    if (planted == NULL || tally->violations == 0) {
        add_second_crashes(first_rows);
        run_candidates();
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    wanted = pairs_wanted();
    covered = pairs_covered();
    missed = report_points();
    if (planted == NULL)
        pairs_print_missing();
    printf("crash_pairs: seed %u: %u of %u pairs covered; %u runs, %u second crashes, %u restarts "
           "of a server, %u violations, %ld s\n",
           seed, covered, wanted, tally->runs, tally->second_crashes, tally->restarts,
           tally->violations, (long)(to.tv_sec - from.tv_sec));
    printf("rig: %u runs with databases and crashes, %u violations\n", tally->runs,
           tally->violations);
    missed += wanted - covered + (wanted == 0);
    printf("%u passed, %u failed\n", tally->runs - tally->violations, tally->violations + missed);
    return tally->violations == 0 && missed == 0 ? 0 : 1;
}

/* -- one by name ------------------------------------------------------------------------------- */

static bool find_point(const char *name, unsigned *ret)
{
    const char *other;

    *ret = NO_POINT;
    if (strcmp(name, "none") == 0)
        return true;
    for (unsigned i = 0; *ret == NO_POINT && (other = hf__fault_name(i, NULL)) != NULL; i++)
        if (strcmp(other, name) == 0)
            *ret = i;
    return *ret != NO_POINT;
}

static unsigned find_word(const char *word, const char *const words[], unsigned count)
{
    unsigned i = 0;

    while (i < count && strcmp(words[i], word) != 0)
        i++;
    return i;
}

static int only(const char *text)
{
    char scenario[32], first[16], point[64], action[8], event[16], second[64];
    struct row *row = &tally->rows[0];

    if (sscanf(text, "%31[^,],%15[^,],%63[^=]=%7[^@]@%u,%15[^,],%63s", scenario, first, point,
               action, &row->hit, event, second) != 7)
        return 2;
    while (row->scenario < SCENARIOS_MAX &&
           (pairs_scenario(row->scenario).name == NULL ||
            strcmp(pairs_scenario(row->scenario).name, scenario) != 0))
        row->scenario++;
    row->first = (enum database)find_word(first, pairs_database_names, DBS);
    row->action = (enum action)find_word(action, pairs_action_names, ACTIONS);
    row->event = (enum event)find_word(event, pairs_event_names, EVENTS);
    if (row->scenario == SCENARIOS_MAX || row->first == DBS || row->action == ACTIONS ||
        row->event == EVENTS || !find_point(point, &row->point) || row->point == NO_POINT ||
        !find_point(second, &row->second))
        return 2;
    jobs = 1;
    work_in_jobs(run_one, 0, 1);
    printf("crash_pairs: %s; %s\n", row->violated ? "violated" : "no violation",
           row->acted ? "the failpoint was met" : "the failpoint was not met");
    return row->violated ? 1 : 0;
}

static int with_servers(const char *one)
{
    int rc = 1;

    for (unsigned i = 0; i < jobs; i++) {
        servers[i] = servers_make();
        if (servers[i] == NULL) {
            printf("crash_pairs: SKIPPED: PostgreSQL or MariaDB is not installed\n");
            return SKIPPED;
        }
    }
    rc = one != NULL ? only(one) : all();
    for (unsigned i = 0; i < JOBS_MAX && servers[i] != NULL; i++)
        servers_remove(servers[i]);
    return rc;
}

int main(int argc, char **argv)
{
    const char *one = NULL;

    tally = rig_share(sizeof(*tally));
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--jobs") == 0)
            jobs = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--scenario") == 0)
            chosen = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0)
            seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--plant") == 0)
            planted = argv[i + 1];
        else if (strcmp(argv[i], "--only") == 0)
            one = argv[i + 1];
        else
            argc = 0;
    }
    if (argc % 2 == 0 || jobs == 0 || jobs > JOBS_MAX) {
        fprintf(stderr, "usage: crash_pairs [--jobs N] [--scenario NAME] [--seed N] [--plant BUG] "
                        "[--only ...]\n");
        return 2;
    }
    return with_servers(one);
}
