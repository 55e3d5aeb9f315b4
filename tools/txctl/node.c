/*
 * tools/txctl/node.c - open a node for reading, and what its records mean to an operator.
 *
 * A transaction is in doubt if somebody still has to act on it and nobody lives to do so: a branch
 * of its record is owed or unconfirmed, and the incarnation that wrote it is gone. While that
 * incarnation lives the record is its work in progress; what it finished stays in the log until its
 * next batch.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "txctl.h"

/* -- opening ----------------------------------------------------------------------------- */

static char crash_text[512];

/* LMDB trusts its file: it may follow a damaged page out of the map, or abort. */
static void crashed(int number)
{
    ssize_t ignored = write(STDERR_FILENO, crash_text, strlen(crash_text));

    (void)number;
    (void)ignored; /* there is nobody else to tell */
    _exit(FAILED);
}

static void survive_damage(const char *node)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = (int)SA_RESETHAND};

    (void)snprintf(crash_text, sizeof(crash_text) - 1,
                   "txctl: reading the node %.300s crashed: it may be damaged, "
                   "which txctl log verify can tell",
                   node);
    (void)strcat(crash_text, "\n");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        (void)sigaction(numbers[i], &action, NULL); /* these can be caught */
}

int open_node(const struct call *call, hf_inspect **ret)
{
    int rc;

    survive_damage(call->node);
    rc = hf_inspect_open(call->node, ret);
    return rc == HF_OK ? DONE : complain_of(rc, "open the node", call->node);
}

/* -- incarnations ------------------------------------------------------------------------ */

static int keep_incarnation(void *user, const hf_inspect_incarnation *i)
{
    struct incarnations *all = user;
    hf_inspect_incarnation *more = realloc(all->list, (all->count + 1) * sizeof(*more));

    if (more == NULL)
        out_of_memory();
    all->list = more;
    all->list[all->count++] = *i;
    return 0;
}

int read_incarnations(hf_inspect *in, struct incarnations *ret)
{
    *ret = (struct incarnations){0};
    return hf_inspect_incarnations(in, keep_incarnation, ret);
}

void free_incarnations(struct incarnations *i)
{
    free(i->list);
    i->list = NULL;
}

bool is_alive(const struct incarnations *i, uint32_t number)
{
    for (size_t at = 0; at < i->count; at++)
        if (i->list[at].number == number)
            return i->list[at].alive != 0;
    return false; /* so old that the log has forgotten it */
}

/* -- transactions ------------------------------------------------------------------------ */

unsigned tx_count(const hf_inspect_tx *tx, uint32_t branch_state)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < tx->branch_count; i++)
        n += tx->branches[i].state == branch_state;
    return n;
}

enum tx_state tx_state(const hf_inspect_tx *tx, const struct incarnations *living)
{
    unsigned waiting = tx_count(tx, HF_BRANCH_OWED) + tx_count(tx, HF_BRANCH_UNCONFIRMED);

    if (tx->left)
        return LEFT;
    if (waiting + tx_count(tx, HF_BRANCH_DONE) < tx->branch_count)
        return HEURISTIC;
    if (waiting == 0)
        return FINISHED;
    return is_alive(living, tx->written_by) ? IN_PROGRESS : IN_DOUBT;
}

const char *tx_state_name(enum tx_state state)
{
    static const char *const names[TX_STATES] = {
        [IN_DOUBT] = "in doubt", [HEURISTIC] = "heuristic",       [IN_PROGRESS] = "in progress",
        [FINISHED] = "finished", [LEFT] = "left to the original",
    };

    return names[state];
}

const char *branch_state_name(uint32_t state)
{
    static const char *const names[] = {
        [HF_BRANCH_OWED] = "owed",
        [HF_BRANCH_UNCONFIRMED] = "unconfirmed",
        [HF_BRANCH_DONE] = "done",
        [HF_BRANCH_HEUR_COMMIT] = "heuristic commit",
        [HF_BRANCH_HEUR_ROLLBACK] = "heuristic rollback",
        [HF_BRANCH_HEUR_MIXED] = "heuristic mixed",
        [HF_BRANCH_HEUR_HAZARD] = "heuristic hazard",
    };

    if (state >= sizeof(names) / sizeof(*names) || names[state] == NULL)
        return "?";
    return names[state];
}

const char *xa_code_name(int code)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {
#define NAME(code) {code, #code}
        NAME(XA_OK),         NAME(XA_RDONLY),     NAME(XA_RETRY),      NAME(XA_HEURMIX),
        NAME(XA_HEURRB),     NAME(XA_HEURCOM),    NAME(XA_HEURHAZ),    NAME(XA_NOMIGRATE),
        NAME(XA_RBROLLBACK), NAME(XA_RBCOMMFAIL), NAME(XA_RBDEADLOCK), NAME(XA_RBINTEGRITY),
        NAME(XA_RBOTHER),    NAME(XA_RBPROTO),    NAME(XA_RBTIMEOUT),  NAME(XA_RBTRANSIENT),
        NAME(XAER_ASYNC),    NAME(XAER_RMERR),    NAME(XAER_NOTA),     NAME(XAER_INVAL),
        NAME(XAER_PROTO),    NAME(XAER_RMFAIL),   NAME(XAER_DUPID),    NAME(XAER_OUTSIDE),
#undef NAME
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].code == code)
            return names[i].name;
    return "?";
}
