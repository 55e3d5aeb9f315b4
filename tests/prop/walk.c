/*
 * What: the commit protocol (tm/coordinator.c), in every state that zero to three branches can
 *       bring it into: every return code of every call, every truth behind it, every answer of the
 *       log, a crash between any two events, and crashes in the recovery from crashes.
 * How:  depth first over worlds (walk.h), with a visited set keyed on all of a world's bytes; no
 *       sampling. In each state the invariants of walk_check.c are checked, and cells (waiting
 *       state, answer) are counted: one that was never reached fails the walk.
 *
 * Two branches: each synchronous or not, of equal ranks or not. Calls that are under way together
 * are answered in every order, beside one another and beside a synchronous one, with and without
 * the next action being asked for in between; a crash finds each done or not. Where one is
 * asynchronous, or ranks differ, both are ended already and commit is asked for: xa_end and what
 * follows a wish to roll back know neither ranks nor TMASYNC. An answer that comes while a
 * synchronous call is out, or before the next action is asked for, is only taken; after the
 * synchronous one's, and after WAIT, the next action is asked for at once. Nothing is lost by that:
 * until it is asked answers do nothing but be taken, in any order to the same end, and WAIT has
 * nothing to give before the last. The first branch offers a probe and a detach, or neither; the
 * second one of them.
 *
 * Three branches, in ten settings of ranks and of who is asynchronous, without probes: the deciding
 * life only, to its end or to any crash, with one code of each class (walk_class.c proves that the
 * others lead to the same) and all truths that any code of the class can mean. What that life
 * leaves is judged there and then (walk_check_left): recovery works off one branch after the other,
 * synchronously and without ranks, and what two branches can bring it into is walked to the end.
 *
 *   walk               exit 0 if every cell was reached and nothing was violated
 *   walk --two         without the walks of three branches, which are most of it
 *   walk --plant NAME  plant a bug (fault builds); exit 0 only if a violation was found
 *
 * Three things are left out of the key, and why nothing is lost by it:
 *   - codes that branches remember, but for unrecorded heuristic ones: walk_life.c runs every step
 *     twice and proves that they make no difference; every code is still fed in every state;
 *   - what was asked for, once the deciding life is over: no later event depends on it;
 *   - what the caller was told, where it binds nobody (all but committed and rolled back).
 *
 * A violation is printed with the whole path of events that leads to it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/internal/fault.h"
#include "walk.h"

enum { SKIPPED = 77, SLOTS_FIRST = 1 << 16, NODES_FIRST = 1 << 15 };

struct node {
    struct world world;
    uint32_t parent; /* index; its own for a root */
    struct event by; /* the event that led here */
};

static struct node *nodes;
static size_t node_count, node_room;
static uint32_t *slots; /* index + 1; 0 is free */
static size_t slot_count;
static uint32_t *stack;
static size_t stack_count;
static uint64_t event_count;
static size_t state_count; /* of walks whose nodes are forgotten */

struct violation walk_violation;

/* Every return code of xa.h, and three that nobody defined (the last one is 0 in sixteen bits). */
const int walk_codes[CODE_COUNT] = {
    XA_OK,        XA_RDONLY,     XA_RETRY,      XA_HEURMIX,     XA_HEURRB,
    XA_HEURCOM,   XA_HEURHAZ,    XA_NOMIGRATE,  XAER_ASYNC,     XAER_RMERR,
    XAER_NOTA,    XAER_INVAL,    XAER_PROTO,    XAER_RMFAIL,    XAER_DUPID,
    XAER_OUTSIDE, XA_RBROLLBACK, XA_RBCOMMFAIL, XA_RBDEADLOCK,  XA_RBINTEGRITY,
    XA_RBOTHER,   XA_RBPROTO,    XA_RBTIMEOUT,  XA_RBTRANSIENT, 42,
    -99,          XA_RBEND + 1,  65536,
};

void walk_violate(const char *invariant, const char *why)
{
    if (walk_violation.found)
        return;
    walk_violation.found = true;
    (void)snprintf(walk_violation.why, WHY_SIZE, "invariant %s: %s", invariant, why);
}

/* -- cells ------------------------------------------------------------------------------------- */

static uint64_t cell_hits[MODE_COUNT][HF__B_STATE_COUNT][CODE_COUNT];
static uint64_t probe_hits[MODE_COUNT][4];
static uint64_t detach_hits[MODE_COUNT][2];
static uint64_t log_hits[MODE_COUNT][2][3];
static uint64_t beside_hits[5][CODE_COUNT];
static uint64_t crash_hits[2];

static const char *const mode_names[] = { "deciding", "settling", "undoing" };
static const char *const log_names[] = { "LOGGED", "REFUSED", "UNKNOWN" };
static const char *const probe_names[] = { "UNKNOWN", "PREPARED", "COMMITTED", "ROLLEDBACK" };

/* The waiting states of a mode. Undoing is rollback in recovery. */
static const struct {
    enum mode mode;
    enum hf__branch_state state;
    const char *name;
} cell_rows[] = {
    { DECIDING, HF__B_ENDING, "ENDING" },
    { DECIDING, HF__B_PREPARING, "PREPARING" },
    { DECIDING, HF__B_COMMITTING, "COMMITTING" },
    { DECIDING, HF__B_COMMITTING_ONE, "COMMITTING_ONE" },
    { DECIDING, HF__B_ROLLING_BACK, "ROLLING_BACK" },
    { DECIDING, HF__B_FORGETTING, "FORGETTING" },
    { SETTLING, HF__B_COMMITTING, "COMMITTING" },
    { SETTLING, HF__B_FORGETTING, "FORGETTING" },
    { UNDOING, HF__B_ROLLING_BACK, "ROLLING_BACK" },
    { UNDOING, HF__B_FORGETTING, "FORGETTING" },
};

void walk_cell(enum mode mode, enum hf__branch_state state, int code)
{
    unsigned i;

    for (i = 0; i < CODE_COUNT; i++)
        if (walk_codes[i] == code && state < HF__B_STATE_COUNT)
            cell_hits[mode][state][i]++;
}

/* Answers to calls that were under way beside others, or after a no. */
void walk_cell_beside(const struct world *w, unsigned branch, int code)
{
    bool vote = w->act == HF__ACT_PREPARE;
    bool others = (w->out & ~(1U << branch)) != 0;
    unsigned i;

    if (!vote && w->act != HF__ACT_COMMIT)
        return;
    for (i = 0; i < CODE_COUNT; i++) {
        if (walk_codes[i] != code)
            continue;
        if (others)
            beside_hits[(vote ? 0 : 2) + (w->b[branch].async ? 0 : 1)][i]++;
        if (vote && w->c.spoilt)
            beside_hits[4][i]++;
    }
}

void walk_cell_crash(enum hf__act_kind act, unsigned out)
{
    if ((out & (out - 1)) != 0)
        crash_hits[act == HF__ACT_PREPARE ? 0 : 1]++;
}

void walk_cell_probe(enum mode mode, enum hf_probe answer)
{
    probe_hits[mode][answer]++;
}

void walk_cell_detach(enum mode mode, bool gone)
{
    detach_hits[mode][gone]++;
}

void walk_cell_log(enum mode mode, enum hf__act_kind act, enum hf__logged answer)
{
    log_hits[mode][act == HF__ACT_FORCE ? 0 : 1][answer]++;
}

static unsigned count_cell(uint64_t hits, const char *mode, const char *state, const char *answer)
{
    if (hits == 0)
        printf("walk: not reached: %s %s %s\n", mode, state, answer);
    return hits > 0;
}

static unsigned count_log_cells(unsigned *ret_all)
{
    unsigned mode, i, reached = 0;

    for (i = 0; i < 3; i++) {
        reached += count_cell(log_hits[DECIDING][0][i], "deciding", "FORCE", log_names[i]);
        for (mode = 0; mode < MODE_COUNT; mode++)
            reached += count_cell(log_hits[mode][1][i], mode_names[mode], "RECORD", log_names[i]);
        *ret_all += 1 + MODE_COUNT;
    }
    for (i = 0; i < 2; i++) {
        reached += count_cell(detach_hits[SETTLING][i], "settling", "DETACHING", i ? "1" : "0");
        reached += count_cell(detach_hits[UNDOING][i], "undoing", "DETACHING", i ? "1" : "0");
        *ret_all += 2;
    }
    for (i = 0; i < 4; i++) {
        reached += count_cell(probe_hits[DECIDING][i], "deciding", "PROBING", probe_names[i]);
        reached += count_cell(probe_hits[SETTLING][i], "settling", "PROBING", probe_names[i]);
        *ret_all += 2;
    }
    return reached;
}

static unsigned count_beside_cells(unsigned *ret_all)
{
    static const char *const rows[] = { "PREPARING beside another", "PREPARING, one by one, beside",
                                       "COMMITTING beside another",
                                       "COMMITTING, one by one, beside", "PREPARING after a no" };
    unsigned row, i, reached = 0;
    char text[16];

    for (row = 0; row < 5; row++)
        for (i = 0; i < CODE_COUNT; i++) {
            (void)snprintf(text, sizeof(text), "%d", walk_codes[i]);
            reached += count_cell(beside_hits[row][i], "deciding", rows[row], text);
        }
    reached += count_cell(crash_hits[0], "deciding", "PREPARING two", "crash");
    reached += count_cell(crash_hits[1], "deciding", "COMMITTING two", "crash");
    *ret_all += 5 * CODE_COUNT + 2;
    return reached;
}

static unsigned count_cells(unsigned *ret_all)
{
    unsigned row, i, reached;
    char text[16];

    *ret_all = 0;
    reached = count_log_cells(ret_all) + count_beside_cells(ret_all);
    for (row = 0; row < sizeof(cell_rows) / sizeof(cell_rows[0]); row++) {
        for (i = 0; i < CODE_COUNT; i++) {
            (void)snprintf(text, sizeof(text), "%d", walk_codes[i]);
            reached += count_cell(cell_hits[cell_rows[row].mode][cell_rows[row].state][i],
                                  mode_names[cell_rows[row].mode], cell_rows[row].name, text);
            (*ret_all)++;
        }
    }
    return reached;
}

/* -- the path to a violation ------------------------------------------------------------------- */

static const char *const act_names[] = { "end",      "prepare",  "force",  "commit",
                                         "one",      "rollback", "probe",  "detach",
                                         "record",   "forget",   "release", "done",
                                         "wait" };
static const char *const truth_names[] = { "alive",         "late",         "prepared",
                                           "committed",     "rolled back",  "read-only",
                                           "heuristic-com", "heuristic-rb", "heuristic-mix",
                                           "mixed" };

static const char *const stage_names[] = { "", "down", "scan", "rest", "end" };
static const char *const state_names[HF__B_STATE_COUNT] = {
    "ACTIVE",      "IDLE",      "DOUBTFUL",    "PREPARED",  "READONLY",     "COMMITTED",
    "ROLLEDBACK",  "LEFT",      "OWED",        "SUSPECT",   "HELD",         "UNCONFIRMED",
    "HEURISTIC",   "RECORDED",  "FORGOTTEN",   "UNFORGOTTEN", "ENDING",     "PREPARING",
    "COMMITTING",  "COMMIT_ONE", "ROLLING",    "PROBING",   "DETACHING",    "FORGETTING",
};

static void print_event(const struct world *w, const struct event *ev)
{
    const char *act = act_names[w->act];
    unsigned m = w->stage == ST_COORD ? w->map[ev->branch] : w->act_branch;
    unsigned i;

    switch (ev->kind) {
    case EV_ASK:
        printf("another action is asked for\n");
        break;
    case EV_ANSWER:
        printf("%s branch %u answers %d, in truth %s\n", act, m, ev->code, truth_names[ev->truth]);
        break;
    case EV_PROBED:
        printf("probe branch %u answers %s\n", m, probe_names[ev->code]);
        break;
    case EV_DETACHED:
        printf("detach branch %u: the stale session %s\n", m, ev->code ? "is gone" : "stays");
        break;
    case EV_LOGGED:
        printf("%s answers %s, %s disk\n", act, log_names[ev->code], ev->truth ? "on" : "not on");
        break;
    case EV_TOLD:
        printf("done\n");
        break;
    case EV_CRASH:
        printf("crash%s%s (write %s, removal %s)", w->stage == ST_COORD ? " in " : "",
               w->stage == ST_COORD ? act : "", ev->code & 1 ? "done" : "lost",
               ev->code & 2 ? "done" : "lost");
        for (i = 0; i < w->count; i++)
            printf(" %u is %s", i, truth_names[ev->truths[i]]);
        printf("\n");
        break;
    case EV_SCAN:
        printf("scan %s of branch %u, in truth %s\n", ev->code ? "complete" : "failed", m,
               truth_names[ev->truth]);
        break;
    default:
        printf("next pass\n");
        break;
    }
}

static void print_world(const struct world *w)
{
    unsigned i;

    printf("      pass %u %s%s; disk %s%s%s; told %d;", w->pass, stage_names[w->stage],
           w->stage == ST_COORD ? mode_names[w->mode] : "", w->disk.present ? "record" : "empty",
           w->disk.present && w->disk.decision == HF__COMMIT ? " commit" : "",
           w->disk.removing ? " removing" : "", w->told == NOT_TOLD ? -1 : w->told);
    for (i = 0; i < w->count; i++)
        printf(" %u: %s%s", i, truth_names[w->rm[i].truth], w->disk.b[i] != 0 ? " listed" : "");
    for (i = 0; i < w->c.count; i++)
        printf(" [%u %s]", w->map[i], state_names[w->b[i].state]);
    printf("\n");
}

static void print_root(const struct world *w)
{
    static const char *const wants[] = { "commit", "commit, rollback-only", "rollback" };
    unsigned i;

    printf("begin: %u branches, %s", w->count, wants[w->want]);
    for (i = 0; i < w->count; i++)
        printf(", branch %u of rank %d%s%s", i, w->b[i].rank, w->b[i].async ? ", async" : "",
               w->rm[i].can_probe ? ", with probe" : "");
    printf("\n");
}

/* The path to node, then the event that broke the invariant. */
static void print_path(uint32_t at, const struct event *last)
{
    uint32_t chain[256]; /* a path has fewer than 40 events in each of 5 passes */
    unsigned n = 0, i;

    for (; n < 255 && nodes[at].parent != at; at = nodes[at].parent)
        chain[n++] = at;
    print_root(&nodes[at].world);
    print_world(&nodes[at].world);
    for (i = n; i > 0; i--) {
        const struct node *node = &nodes[chain[i - 1]];

        printf("%3u ", n - i + 1);
        print_event(&nodes[node->parent].world, &node->by);
        print_world(&node->world);
    }
    if (last != NULL) {
        printf("%3u ", n + 1);
        print_event(&nodes[n > 0 ? chain[0] : at].world, last);
    }
}

/* -- the search -------------------------------------------------------------------------------- */

static void *grow(void *old, size_t count, size_t size)
{
    void *p = realloc(old, count * size);

    if (p == NULL) {
        fprintf(stderr, "walk: out of memory for %zu states\n", count);
        exit(2);
    }
    return p;
}

static size_t hash(const struct world *w)
{
    const unsigned char *p = (const unsigned char *)w;
    uint64_t h = 1469598103934665603ULL;
    size_t i;

    for (i = 0; i + 8 <= sizeof(*w); i += 8) {
        uint64_t word;

        memcpy(&word, p + i, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
        h ^= h >> 29;
    }
    for (; i < sizeof(*w); i++)
        h = (h ^ p[i]) * 0x9E3779B97F4A7C15ULL;
    return (size_t)(h ^ h >> 32);
}

static uint32_t *find(const struct world *w)
{
    size_t at = hash(w) & (slot_count - 1);

    while (slots[at] != 0 && memcmp(&nodes[slots[at] - 1].world, w, sizeof(*w)) != 0)
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

static void rehash(void)
{
    size_t i;

    slot_count = slot_count == 0 ? SLOTS_FIRST : slot_count * 2;
    free(slots);
    slots = grow(NULL, slot_count, sizeof(*slots));
    memset(slots, 0, slot_count * sizeof(*slots));
    for (i = 0; i < node_count; i++)
        *find(&nodes[i].world) = (uint32_t)i + 1;
}

/* Keep a world if it is new, and put it on the stack. */
static void visit(const struct world *w, uint32_t parent, const struct event *by)
{
    struct node *node;
    uint32_t *slot;

    if ((node_count + 1) * 2 > slot_count)
        rehash();
    slot = find(w);
    if (*slot != 0)
        return;
    if (node_count == node_room) {
        node_room = node_room == 0 ? NODES_FIRST : node_room * 2;
        nodes = grow(nodes, node_room, sizeof(*nodes));
        stack = grow(stack, node_room, sizeof(*stack));
    }
    node = &nodes[node_count];
    memcpy(&node->world, w, sizeof(*w));
    node->parent = by == NULL ? (uint32_t)node_count : parent;
    node->by = by == NULL ? (struct event){ .kind = EV_BEGIN } : *by;
    stack[stack_count++] = (uint32_t)node_count++;
    *slot = (uint32_t)node_count;
}

/* Try every event in one state. */
static void expand(uint32_t at)
{
    struct event events[EVENTS_MAX];
    struct world w;
    unsigned i, n = walk_events(&nodes[at].world, events);

    if (n == 0 && nodes[at].world.stage != ST_END)
        walk_violate("0", "a state with no way out");
    for (i = 0; i < n && !walk_violation.found; i++) {
        memcpy(&w, &nodes[at].world, sizeof(w));
        event_count++;
        walk_apply(&w, &events[i]);
        if (!walk_violation.found)
            visit(&w, at, &events[i]);
        else
            print_path(at, &events[i]);
    }
}

/* One transaction; bit sets of branches. */
struct root {
    unsigned count;
    enum want want;
    unsigned probes; /* can be probed */
    unsigned idle;   /* are ended already */
    unsigned async;
    int ranks[BRANCHES_MAX];
};

static void begin(const struct root *root)
{
    unsigned i, count = root->count;
    struct world w;

    if (walk_violation.found)
        return;
    memset(&w, 0, sizeof(w));
    w.count = (uint8_t)count;
    w.want = (uint8_t)root->want;
    w.coarse = count > 2;
    for (i = 0; i < count; i++) {
        w.b[i].async = (root->async & 1U << i) != 0;
        w.b[i].rank = root->ranks[i];
        w.rm[i].can_probe = (root->probes & 1U << i) != 0;
        w.rm[i].can_detach = w.rm[i].can_probe == (i == 0); /* both, or neither; one of them */
        w.b[i].state = root->idle & 1U << i ? HF__B_IDLE : HF__B_ACTIVE;
    }
    walk_begin(&w);
    visit(&w, 0, NULL);
    if (walk_violation.found) {
        print_path((uint32_t)node_count - 1, NULL);
        return;
    }
    while (stack_count > 0 && !walk_violation.found)
        expand(stack[--stack_count]);
}

static void walk_synchronous(void)
{
    unsigned count, want, probes, idle;

    for (count = 0; count <= 2; count++)
        for (want = 0; want < WANT_COUNT; want++)
            for (probes = 0; probes < 1U << count; probes++)
                for (idle = 0; idle < 1U << count; idle++)
                    begin(&(struct root){ count, (enum want)want, probes, idle, 0, { 0 } });
}

static void walk_two(void)
{
    unsigned probes, async;
    int ranks;

    for (probes = 0; probes < 4; probes++)
        for (async = 0; async < 4; async++)
            for (ranks = 0; ranks < 3; ranks++)
                begin(&(struct root){
                    2, WANT_COMMIT, probes, 3, async, { ranks & 1, ranks >> 1, 0 } });
}

/* Nothing that the states of other walks could be equal to. */
static void forget_nodes(void)
{
    state_count += node_count;
    node_count = 0;
    memset(slots, 0, slot_count * sizeof(*slots));
}

static void walk_three(void)
{
    static const struct root roots[] = {
        { 3, WANT_COMMIT, 0, 7, 0, { 0, 0, 0 } }, { 3, WANT_COMMIT, 0, 7, 0, { 2, 1, 0 } },
        { 3, WANT_COMMIT, 0, 7, 2, { 0, 0, 0 } }, { 3, WANT_COMMIT, 0, 7, 3, { 0, 0, 0 } },
        { 3, WANT_COMMIT, 0, 7, 6, { 1, 1, 0 } }, { 3, WANT_COMMIT, 0, 7, 5, { 0, 1, 0 } },
        { 3, WANT_COMMIT, 0, 7, 7, { 0, 0, 0 } }, { 3, WANT_COMMIT, 0, 7, 7, { 0, 0, 1 } },
        { 3, WANT_COMMIT, 0, 7, 7, { 1, 0, 0 } }, { 3, WANT_COMMIT, 0, 7, 7, { 2, 1, 0 } },
    };
    unsigned i;

    for (i = 0; i < sizeof(roots) / sizeof(roots[0]) && !walk_violation.found; i++) {
        forget_nodes();
        begin(&roots[i]);
    }
}

int main(int argc, char **argv)
{
    const char *plant = NULL;
    bool three = true;
    unsigned long compared;
    unsigned reached, all;

    if (argc == 3 && strcmp(argv[1], "--plant") == 0)
        plant = argv[2];
    else if (argc == 2 && strcmp(argv[1], "--two") == 0)
        three = false;
    else if (argc != 1) {
        fprintf(stderr, "usage: walk [--two | --plant NAME]\n");
        return 2;
    }
    if (plant != NULL) {
#ifdef HF_FAULTS
        hf__bug_plant(plant);
#else
        printf("walk: no bug can be planted in this build\n");
        return SKIPPED;
#endif
    }

    walk_two();
    walk_synchronous();
    compared = walk_prove_classes();
    if (three)
        walk_three();
    if (walk_violation.found)
        printf("walk: violated after %zu states: %s\n", state_count + node_count,
               walk_violation.why);
    if (plant != NULL) {
        printf("walk: planted bug %s: %s\n", plant,
               walk_violation.found ? "caught" : "NOT CAUGHT");
        return walk_violation.found ? 0 : 1;
    }
    if (walk_violation.found)
        return 1;
    reached = count_cells(&all);
    printf("walk: %zu states, %" PRIu64 " events, %lu answers of one class compared, %u of %u "
           "cells, 0 violations\n",
           state_count + node_count, event_count, compared, reached, all);
    printf("rig: %zu states, %u violations\n", state_count + node_count, all - reached);
    return reached == all ? 0 : 1;
}
