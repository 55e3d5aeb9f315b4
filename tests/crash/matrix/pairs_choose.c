/*
 * tests/crash/matrix/pairs_choose.c - which rows to run: all pairs, greedily.
 *
 * A row has values of eight features. Six are its parameters; the other two are the *rooms* of its
 * failpoints (the text before the colon), which stand for them where the pairs would be too many. A
 * restart of a server costs a second, so it meets each room and not each failpoint. A second crash
 * meets each action and each first database, and its room each scenario and each room of a first
 * one. A scenario meets each failpoint of the databases, and of the others, of which crash_matrix
 * runs all, each room. `paired` says which features are paired.
 *
 * The same rows are chosen in the same order every time: the row with the most pairs that none has
 * yet, and of several the first.
 */
#include <stdio.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "pairs.h"

enum feature { SCENARIO, POINT, ROOM, ACTION, FIRST, EVENT, SECOND, SECOND_ROOM, FEATURES };
enum { ROOMS_MAX = 32, VALUES_MAX = 1024 };
enum { WANTED = 1, CHOSEN = 2, COVERED = 4 };

static const unsigned sizes[FEATURES] = {SCENARIOS_MAX, POINTS_MAX, ROOMS_MAX,  ACTIONS,
                                         DBS,           EVENTS,     POINTS_MAX, ROOMS_MAX};

#define BIT(feature) (1U << (feature))
static const unsigned paired[FEATURES] = {
    [SCENARIO] = BIT(POINT) | BIT(ROOM) | BIT(ACTION) | BIT(FIRST) | BIT(EVENT) | BIT(SECOND_ROOM),
    [POINT] = BIT(ACTION) | BIT(FIRST),
    [ROOM] = BIT(EVENT) | BIT(SECOND_ROOM),
    [ACTION] = BIT(FIRST) | BIT(EVENT) | BIT(SECOND),
    [FIRST] = BIT(EVENT) | BIT(SECOND),
    [EVENT] = BIT(SECOND_ROOM),
};

static unsigned char pairs[VALUES_MAX][VALUES_MAX];

bool pairs_is_of_database(unsigned point)
{
    const char *name = hf__fault_name(point, NULL);

    return strncmp(name, "postgres:", 9) == 0 || strncmp(name, "mariadb:", 8) == 0;
}

/* The number of a failpoint's room; rooms are numbered in the order of failpoints. */
static unsigned room_of(unsigned point)
{
    static unsigned rooms[POINTS_MAX], known;
    const char *name, *before;

    for (; known <= point; known++) {
        name = hf__fault_name(known, NULL);
        before = known > 0 ? hf__fault_name(known - 1, NULL) : name;
        rooms[known] = known > 0 ? rooms[known - 1] : 0;
        if (strncmp(name, before, strcspn(name, ":") + 1) != 0)
            rooms[known]++;
    }
    return rooms[point];
}

/* The row's values, numbered through all features; -1: it has none of that feature. */
static void values_of(const struct row *row, int ret[FEATURES])
{
    const bool has_second = row->second != NO_POINT;
    const int own[FEATURES] = {
        (int)row->scenario,
        (int)row->point,
        (int)room_of(row->point),
        (int)row->action,
        (int)row->first,
        (int)row->event,
        has_second ? (int)row->second : -1,
        has_second ? (int)room_of(row->second) : -1,
    };
    int from = 0;

    for (int f = 0; f < FEATURES; f++) {
        ret[f] = own[f] < 0 ? -1 : from + own[f];
        from += (int)sizes[f];
    }
}

/* Of the row's pairs those that have all of `with` and nothing of `without`: mark them, and return
   how many there were. */
static unsigned mark(const struct row *row, unsigned char with, unsigned char without,
                     unsigned char bit)
{
    int values[FEATURES];
    unsigned count = 0;

    values_of(row, values);
    for (unsigned f = 0; f < FEATURES; f++)
        for (unsigned g = 0; g < FEATURES; g++) {
            unsigned char *pair;

            if ((paired[f] & BIT(g)) == 0 || values[f] < 0 || values[g] < 0 ||
                (f == SCENARIO && g == POINT && !pairs_is_of_database(row->point)))
                continue;
            pair = &pairs[values[f]][values[g]];
            if ((*pair & with) != with || (*pair & without) != 0)
                continue;
            *pair |= bit;
            count++;
        }
    return count;
}

void pairs_want(const struct row *row)
{
    (void)mark(row, 0, 0, WANTED);
}

void pairs_cover(const struct row *row)
{
    (void)mark(row, WANTED, 0, CHOSEN | COVERED);
}

static unsigned count(unsigned char bit)
{
    unsigned n = 0;

    for (unsigned i = 0; i < VALUES_MAX; i++)
        for (unsigned j = 0; j < VALUES_MAX; j++)
            n += (pairs[i][j] & bit) != 0;
    return n;
}

unsigned pairs_wanted(void)
{
    return count(WANTED);
}

unsigned pairs_covered(void)
{
    return count(COVERED);
}

/* What was chosen before and has not come together may be chosen again. */
static void forget_choice(void)
{
    for (unsigned i = 0; i < VALUES_MAX; i++)
        for (unsigned j = 0; j < VALUES_MAX; j++)
            if ((pairs[i][j] & COVERED) == 0)
                pairs[i][j] &= (unsigned char)~CHOSEN;
}

unsigned pairs_choose(const struct row rows[], unsigned row_count, const bool skip[],
                      unsigned ret[], unsigned max)
{
    unsigned chosen = 0;

    forget_choice();
    while (chosen < max) {
        unsigned best = 0, most = 0;

        for (unsigned i = 0; i < row_count; i++) {
            unsigned gain = skip[i] ? 0 : mark(&rows[i], WANTED, CHOSEN, 0);

            if (gain > most) {
                most = gain;
                best = i;
            }
        }
        if (most == 0)
            break;
        (void)mark(&rows[best], WANTED, CHOSEN, CHOSEN);
        ret[chosen++] = best;
    }
    return chosen;
}

/* -- names ------------------------------------------------------------------------------------- */

static const char *room_name(unsigned room, char ret[32])
{
    for (unsigned i = 0; hf__fault_name(i, NULL) != NULL; i++)
        if (room_of(i) == room) {
            const char *name = hf__fault_name(i, NULL);

            (void)snprintf(ret, 32, "%.*s:", (int)strcspn(name, ":"), name);
            break;
        }
    return ret;
}

/* The name of a value, of those that are numbered through all features. */
static const char *name_of(unsigned value, char ret[32])
{
    unsigned f = 0;

    for (; value >= sizes[f]; f++)
        value -= sizes[f];
    switch ((enum feature)f) {
    case SCENARIO:
        return pairs_scenario(value).name;
    case POINT:
    case SECOND:
        return hf__fault_name(value, NULL);
    case ACTION:
        return pairs_action_names[value];
    case FIRST:
        return pairs_database_names[value];
    case EVENT:
        return pairs_event_names[value];
    default:
        return room_name(value, ret);
    }
}

void pairs_print_missing(void)
{
    char a[32], b[32];

    for (unsigned i = 0; i < VALUES_MAX; i++)
        for (unsigned j = 0; j < VALUES_MAX; j++)
            if ((pairs[i][j] & (WANTED | COVERED)) == WANTED)
                fprintf(stderr, "crash_pairs: never together: %s and %s\n", name_of(i, a),
                        name_of(j, b));
}
