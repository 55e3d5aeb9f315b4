/*
 * tools/txctl/tx.c - txctl tx list and txctl tx show.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "txctl.h"

struct gather {
    const struct call *call;
    struct incarnations incarnations;
    bool history; /* what is read now comes from there */
    bool attention;
    struct table rows;
    json_t *list;
    /* tx show: */
    char wanted[HF_XID_TEXT_SIZE]; /* the beginning of an XID, without a branch */
    unsigned found;
    struct table branches; /* of the first that was found */
    struct table facts;
};

/* -- one transaction --------------------------------------------------------------------- */

static enum tx_state state_of(const struct gather *g, const hf_inspect_tx *tx)
{
    enum tx_state state = tx_state(tx, &g->incarnations);

    return g->history && state != HEURISTIC && state != LEFT ? FINISHED : state;
}

static const char *state_text(const struct gather *g, const hf_inspect_tx *tx, char buf[TEXT_SIZE])
{
    (void)snprintf(buf, TEXT_SIZE, "%s%s%s", tx_state_name(state_of(g, tx)),
                   tx_count(tx, HF_BRANCH_UNCONFIRMED) > 0 ? ", unconfirmed" : "",
                   tx->by_recovery ? ", by recovery" : "");
    return buf;
}

static unsigned owed(const hf_inspect_tx *tx)
{
    return tx_count(tx, HF_BRANCH_OWED) + tx_count(tx, HF_BRANCH_UNCONFIRMED);
}

static json_t *tx_json(const struct gather *g, const hf_inspect_tx *tx, const char *xid)
{
    json_t *o = json_object(), *branches = json_array();

    for (uint32_t i = 0; i < tx->branch_count; i++) {
        const hf_inspect_branch *b = &tx->branches[i];
        json_t *one = json_object();

        json_put(one, "rm_id", json_count(b->rm_id));
        json_put(one, "rm", b->rm_name[0] != '\0' ? json_text(b->rm_name) : json_null());
        json_put(one, "number", json_count(b->number));
        json_put(one, "state", json_text(branch_state_name(b->state)));
        json_put(one, "code", json_integer(b->code));
        json_put(one, "code_name", json_text(xa_code_name(b->code)));
        json_put(branches, NULL, one);
    }
    json_put(o, "xid", json_text(xid));
    json_put(o, "state", json_text(tx_state_name(state_of(g, tx))));
    json_put(o, "outcome", json_text(hf_outcome_name((int)tx->outcome)));
    json_put(o, "decided_ms", json_time(tx->decided_ms));
    json_put(o, "written_by", json_count(tx->written_by));
    json_put(o, "writer_alive", json_boolean(is_alive(&g->incarnations, tx->written_by)));
    json_put(o, "by_recovery", json_boolean(tx->by_recovery != 0));
    json_put(o, "in_history", json_boolean(g->history));
    json_put(o, "owed", json_count(owed(tx)));
    json_put(o, "branches", branches);
    return o;
}

/* Read the log by fn, then, if it is asked for, the history. Complains. */
static int gather(struct gather *g, bool history, int (*fn)(void *, const hf_inspect_tx *))
{
    hf_inspect *in = NULL;
    int rc, code = open_node(g->call, &in);

    if (code != DONE)
        return code;
    rc = read_incarnations(in, &g->incarnations);
    if (rc == HF_OK)
        rc = hf_inspect_transactions(in, fn, g);
    if (rc != HF_OK)
        code = complain_of(rc, "read the decision log of", g->call->node);
    g->history = true;
    if (rc == HF_OK && history) {
        rc = hf_inspect_history(in, fn, g);
        if (rc != HF_OK)
            code = complain_of(rc, "read the history of", g->call->node);
    }
    hf_inspect_close(in);
    return code;
}

static void release(struct gather *g)
{
    table_free(&g->rows);
    table_free(&g->branches);
    table_free(&g->facts);
    json_decref(g->list);
    free_incarnations(&g->incarnations);
}

/* -- list -------------------------------------------------------------------------------- */

static int add_row(void *user, const hf_inspect_tx *tx)
{
    struct gather *g = user;
    char xid[HF_XID_TEXT_SIZE], text[TEXT_SIZE];
    enum tx_state state = state_of(g, tx);

    (void)hf_xid_format(&tx->xid, xid); /* "foreign" is an answer, too */
    g->attention |= !g->history && (state == IN_DOUBT || state == HEURISTIC);
    if (g->call->json) {
        json_put(g->list, NULL, tx_json(g, tx, xid));
        return 0;
    }
    table_add(&g->rows, "%s", xid);
    table_add(&g->rows, "%s", hf_outcome_name((int)tx->outcome));
    table_add(&g->rows, "%s", age_text(tx->decided_ms, text));
    table_add(&g->rows, "%u of %" PRIu32, owed(tx), tx->branch_count);
    table_add(&g->rows, "%" PRIu32, tx->written_by);
    table_add(&g->rows, "%s", state_text(g, tx, text));
    return 0;
}

int tx_list(const struct call *call)
{
    static const char *const names[] = {"XID", "OUTCOME", "AGE", "OWED", "BY", "STATE", NULL};
    struct gather g = {.call = call, .list = json_array()};
    int code;

    table_head(&g.rows, names);
    code = gather(&g, call->history, add_row);
    if (code == DONE && call->json) {
        json_t *d = json_document();

        json_put(d, "attention", json_boolean(g.attention));
        json_put(d, "transactions", json_incref(g.list));
        json_print(d);
    } else if (code == DONE) {
        table_print(&g.rows, g.rows.cells == g.rows.columns ? "transactions" : NULL, stdout);
    }
    release(&g);
    return code == DONE && g.attention ? ATTENTION : code;
}

/* -- show -------------------------------------------------------------------------------- */

static void fact(struct gather *g, const char *name, const char *value)
{
    table_add(&g->facts, "%s", name);
    table_add(&g->facts, "%s", value);
}

static void add_branches(struct gather *g, const hf_inspect_tx *tx)
{
    static const char *const names[] = {"BRANCH", "RM", "STATE", "LAST ANSWER", NULL};

    table_head(&g->branches, names);
    for (uint32_t i = 0; i < tx->branch_count; i++) {
        const hf_inspect_branch *b = &tx->branches[i];
        char name[TEXT_SIZE];

        table_add(&g->branches, "%08" PRIx32 "-%08" PRIx32, b->rm_id, b->number);
        table_add(&g->branches, "%s", b->rm_name[0] != '\0' ? plain_text(b->rm_name, name) : "?");
        table_add(&g->branches, "%s", branch_state_name(b->state));
        table_add(&g->branches, "%s (%" PRId32 ")", xa_code_name(b->code), b->code);
    }
}

static int match(void *user, const hf_inspect_tx *tx)
{
    struct gather *g = user;
    char xid[HF_XID_TEXT_SIZE], text[TEXT_SIZE];

    (void)hf_xid_format(&tx->xid, xid);
    if (strncmp(xid, g->wanted, strlen(g->wanted)) != 0 || g->found++ > 0)
        return 0;
    if (g->call->json) {
        json_put(g->list, NULL, tx_json(g, tx, xid));
        return 0;
    }
    fact(g, "transaction", xid);
    fact(g, "outcome", hf_outcome_name((int)tx->outcome));
    fact(g, "state", state_text(g, tx, text));
    fact(g, "decided", time_text(tx->decided_ms, text));
    (void)snprintf(text, sizeof(text), "incarnation %" PRIu32 ", %s", tx->written_by,
                   is_alive(&g->incarnations, tx->written_by) ? "alive" : "gone");
    fact(g, "written by", text);
    fact(g, "found in", g->history ? "the history" : "the decision log");
    add_branches(g, tx);
    return 0;
}

/* The whole text form, with or without a branch, or the beginning of one. */
static int parse_wanted(const char *text, char wanted[HF_XID_TEXT_SIZE])
{
    size_t n = strcspn(text, "/");
    XID xid;

    if (text[n] == '/' && hf_xid_parse(text, &xid) != HF_OK) {
        complain("tx show: %s: not a transaction identifier", text);
        return USAGE;
    }
    if (n == 0 || n >= HF_XID_TEXT_SIZE || strspn(text, "0123456789abcdef-") < n) {
        complain("tx show: %s: not the beginning of a transaction identifier", text);
        return USAGE;
    }
    memcpy(wanted, text, n);
    wanted[n] = '\0';
    return DONE;
}

static void print_found(struct gather *g)
{
    json_t *d;

    if (!g->call->json) {
        table_print(&g->facts, NULL, stdout);
        (void)putchar('\n');
        table_print(&g->branches, "branches", stdout);
        return;
    }
    d = json_document();
    json_put(d, "transaction", json_incref(json_array_get(g->list, 0)));
    json_print(d);
}

int tx_show(const struct call *call)
{
    struct gather g = {.call = call, .list = json_array(), .facts.columns = 2};
    int code = parse_wanted(call->xid, g.wanted);

    if (code == DONE)
        code = gather(&g, true, match);
    if (code == DONE && g.found == 0) {
        complain("tx show: %s: not in the decision log nor the history of %s; "
                 "that does not mean that it was rolled back",
                 call->xid, call->node);
        code = NOT_FOUND;
    } else if (code == DONE && g.found > 1) {
        complain("tx show: %s: %u transactions begin like this; give more of it", call->xid,
                 g.found);
        code = USAGE;
    } else if (g.found == 1) {
        print_found(&g);
    }
    release(&g);
    return code;
}
