/*
 * tools/txctl/tx.c - txctl tx list, txctl tx show and txctl tx why.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "txctl.h"

enum { OWNER_AT = 16 }; /* in an XID: node 16, incarnation 4, sequence 8 */

struct gather {
    const struct call *call;
    struct incarnations incarnations;
    bool history; /* what is read now comes from there */
    bool attention;
    struct table rows;
    json_t *list;
    XID *logged; /* tx list --history: what the decision log has, in order */
    size_t logged_count;
    /* tx show, tx why: */
    char wanted[HF_XID_TEXT_SIZE]; /* the beginning of an XID, without a branch */
    unsigned found;
    bool why;
    XID first;             /* that was found; the history may have it as well as the log */
    struct table branches; /* of it */
    struct table facts;
    struct table calls; /* tx why */
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

static bool same_xid(const XID *a, const XID *b)
{
    return a->gtrid_length == b->gtrid_length &&
           memcmp(a->data, b->data, (size_t)a->gtrid_length) == 0;
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
    free(g->logged);
    table_free(&g->calls);
    table_free(&g->rows);
    table_free(&g->branches);
    table_free(&g->facts);
    json_decref(g->list);
    free_incarnations(&g->incarnations);
}

/* -- list -------------------------------------------------------------------------------- */

static int compare_xids(const void *a, const void *b)
{
    return memcmp(((const XID *)a)->data, ((const XID *)b)->data, XIDDATASIZE);
}

/* A transaction that is not over stands in the log, and what its owner told in the history, too. */
static bool is_listed(struct gather *g, const hf_inspect_tx *tx)
{
    if (!g->history) { /* the log has them in the order of their bytes */
        XID *more = realloc(g->logged, (g->logged_count + 1) * sizeof(*more));

        if (more == NULL)
            out_of_memory();
        g->logged = more;
        g->logged[g->logged_count++] = tx->xid;
        return false;
    }
    return g->logged_count > 0 &&
           bsearch(&tx->xid, g->logged, g->logged_count, sizeof(*g->logged), compare_xids) != NULL;
}

static int add_row(void *user, const hf_inspect_tx *tx)
{
    struct gather *g = user;
    char xid[HF_XID_TEXT_SIZE], text[TEXT_SIZE];
    enum tx_state state = state_of(g, tx);

    if (g->call->history && is_listed(g, tx))
        return 0;
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

/* -- why --------------------------------------------------------------------------------- */

static const struct {
    unsigned bit;
    const char *name;
} kept_names[] = {
    {HF_KEPT_SLOW, "slow"},
    {HF_KEPT_FAILED, "failed"},
    {HF_KEPT_RECOVERED, "recovered"},
    {HF_KEPT_HEURISTIC, "heuristic"},
    {HF_KEPT_UNCONFIRMED, "unconfirmed"},
    {HF_KEPT_FORCED, "forced"},
};
enum { KEPT_NAMES = sizeof(kept_names) / sizeof(*kept_names) };

static const char *call_name(uint32_t call)
{
    static const char *const names[] = {
        [HF_CALL_START] = "xa_start",       [HF_CALL_END] = "xa_end",
        [HF_CALL_PREPARE] = "xa_prepare",   [HF_CALL_COMMIT] = "xa_commit",
        [HF_CALL_COMMIT_ONE] = "xa_commit", [HF_CALL_ROLLBACK] = "xa_rollback",
        [HF_CALL_FORGET] = "xa_forget",     [HF_CALL_PROBE] = "probe",
        [HF_CALL_DECIDE] = "decide",        [HF_CALL_RECORD] = "record",
        [HF_CALL_DETACH] = "detach",
    };

    return call < sizeof(names) / sizeof(*names) && names[call] != NULL ? names[call] : "?";
}

static const char *answer_name(const hf_inspect_event *e)
{
    static const char *const probes[] = {"unknown", "prepared", "committed", "rolledback"};
    const char *name;

    if (e->call == HF_CALL_PROBE)
        return e->code >= 0 && e->code < 4 ? probes[e->code] : "?";
    if (e->call == HF_CALL_DETACH)
        return e->code == 0 ? "gone" : "not now";
    if (e->call != HF_CALL_DECIDE && e->call != HF_CALL_RECORD)
        return xa_code_name(e->code);
    name = e->code == HF_OK ? "OK" : hf_strerror_name(e->code);
    return name != NULL ? name : "?";
}

static json_t *event_json(const hf_inspect_event *e)
{
    json_t *o = json_object();

    json_put(o, "call", json_text(call_name(e->call)));
    json_put(o, "one_phase", json_boolean(e->call == HF_CALL_COMMIT_ONE));
    json_put(o, "rm_id", e->rm_id != 0 ? json_count(e->rm_id) : json_null());
    json_put(o, "rm", e->rm_name[0] != '\0' ? json_text(e->rm_name) : json_null());
    json_put(o, "number", e->number != 0 ? json_count(e->number) : json_null());
    json_put(o, "code", json_integer(e->code));
    json_put(o, "code_name", json_text(answer_name(e)));
    json_put(o, "at_us", json_count(e->at_us));
    json_put(o, "took_us", json_count(e->took_us));
    return o;
}

static json_t *span_json(const hf_inspect_span *s)
{
    json_t *o = json_object(), *kept = json_array(), *calls = json_array();
    const char *by = s->by_recovery ? "recovery" : "owner";

    if (s->kept & HF_KEPT_FORCED)
        by = "operator";

    for (size_t i = 0; i < KEPT_NAMES; i++)
        if (s->kept & kept_names[i].bit)
            json_put(kept, NULL, json_text(kept_names[i].name));
    for (uint32_t i = 0; i < s->event_count; i++)
        json_put(calls, NULL, event_json(&s->events[i]));
    json_put(o, "by", json_text(by));
    json_put(o, "incarnation", json_count(s->incarnation));
    json_put(o, "kept", kept);
    json_put(o, "began_ms", json_time(s->began_ms));
    json_put(o, "took_us", json_count(s->took_us));
    json_put(o, "cause_rm", s->rm[0] != '\0' ? json_text(s->rm) : json_null());
    json_put(o, "cause_call", s->call[0] != '\0' ? json_text(s->call) : json_null());
    json_put(o, "cause_text", s->text[0] != '\0' ? json_text(s->text) : json_null());
    json_put(o, "calls_lost", json_count(s->lost));
    json_put(o, "calls", calls);
    return o;
}

static const char *us_text(uint64_t us, char buf[TEXT_SIZE])
{
    if (us < 1000)
        (void)snprintf(buf, TEXT_SIZE, "%" PRIu64 " us", us);
    else if (us < 1000000)
        (void)snprintf(buf, TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " ms", us / 1000, us / 100 % 10);
    else
        (void)snprintf(buf, TEXT_SIZE, "%" PRIu64 ".%03" PRIu64 " s", us / 1000000,
                       us / 1000 % 1000);
    return buf;
}

static void add_call(struct table *t, const hf_inspect_span *s, const hf_inspect_event *e)
{
    char text[TEXT_SIZE];

    table_add(t, "+%s", us_text(e->at_us, text));
    table_add(t, "%s", us_text(e->took_us, text));
    table_add(t, "%s %" PRIu32, s->by_recovery ? "recovery" : "owner", s->incarnation);
    if (e->number != 0)
        table_add(t, "%s %08" PRIx32 "-%08" PRIx32,
                  e->rm_name[0] != '\0' ? plain_text(e->rm_name, text) : "?", e->rm_id, e->number);
    else
        table_add(t, "log");
    table_add(t, "%s%s", call_name(e->call), e->call == HF_CALL_COMMIT_ONE ? " (one phase)" : "");
    table_add(t, "%s (%" PRId32 ")", answer_name(e), e->code);
}

/* Its identifier says who began it, also if that process left no word of it. */
static void add_owner(struct gather *g, const hf_inspect_tx *tx)
{
    const unsigned char *p = (const unsigned char *)tx->xid.data + OWNER_AT;
    uint32_t owner = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    char text[TEXT_SIZE];

    (void)snprintf(text, sizeof(text), "incarnation %" PRIu32 ", %s", owner,
                   is_alive(&g->incarnations, owner) ? "alive" : "gone");
    fact(g, "begun by", text);
}

static void add_span(struct gather *g, const hf_inspect_span *s)
{
    char text[TEXT_SIZE], more[TEXT_SIZE];
    size_t n = 0;

    if (s->kept & HF_KEPT_FORCED) {
        fact(g, "forgotten", time_text(s->began_ms, text));
        fact(g, "by", plain_text(s->text, text));
        return;
    }
    (void)snprintf(text, sizeof(text), "%s, incarnation %" PRIu32 ", in %s",
                   s->by_recovery ? "recovery" : "its owner", s->incarnation,
                   us_text(s->took_us, more));
    fact(g, s->by_recovery ? "finished by" : "completed by", text);
    fact(g, s->by_recovery ? "recovered" : "begun", time_text(s->began_ms, text));
    text[0] = '\0';
    for (size_t i = 0; i < KEPT_NAMES; i++)
        if (s->kept & kept_names[i].bit)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? ", " : "",
                                  kept_names[i].name);
    fact(g, "kept because", n > 0 ? text : "all are");
    if (s->call[0] != '\0') {
        (void)snprintf(text, sizeof(text), "%s%s%s", plain_text(s->call, more),
                       s->rm[0] != '\0' ? " of " : "", s->rm);
        fact(g, "first trouble", plain_text(text, more));
        fact(g, "", plain_text(s->text, text));
    }
    for (uint32_t i = 0; i < s->event_count; i++)
        add_call(&g->calls, s, &s->events[i]);
    if (s->lost > 0) {
        (void)snprintf(text, sizeof(text), "%" PRIu32 " later calls are not kept", s->lost);
        fact(g, "", text);
    }
}

/* The history's part of the story; the log may have told of the same transaction before. */
static void add_spans(struct gather *g, const hf_inspect_tx *tx)
{
    json_t *spans;

    if (!g->call->json) {
        for (uint32_t i = 0; i < tx->span_count; i++)
            add_span(g, &tx->spans[i]);
        return;
    }
    spans = json_object_get(json_array_get(g->list, 0), "spans");
    for (uint32_t i = 0; i < tx->span_count; i++)
        json_put(spans, NULL, span_json(&tx->spans[i]));
}

static int match(void *user, const hf_inspect_tx *tx)
{
    struct gather *g = user;
    char xid[HF_XID_TEXT_SIZE], text[TEXT_SIZE];

    (void)hf_xid_format(&tx->xid, xid);
    if (strncmp(xid, g->wanted, strlen(g->wanted)) != 0)
        return 0;
    if (g->found > 0 && same_xid(&g->first, &tx->xid)) {
        if (g->why)
            add_spans(g, tx);
        return 0;
    }
    if (g->found++ > 0)
        return 0;
    g->first = tx->xid;
    if (g->call->json) {
        json_t *o = tx_json(g, tx, xid);

        json_put(g->list, NULL, o);
        if (g->why) {
            json_put(o, "spans", json_array());
            add_spans(g, tx);
        }
        return 0;
    }
    fact(g, "transaction", xid);
    if (g->why)
        add_owner(g, tx);
    fact(g, "outcome", hf_outcome_name((int)tx->outcome));
    fact(g, "state", state_text(g, tx, text));
    fact(g, "decided", time_text(tx->decided_ms, text));
    (void)snprintf(text, sizeof(text), "incarnation %" PRIu32 ", %s", tx->written_by,
                   is_alive(&g->incarnations, tx->written_by) ? "alive" : "gone");
    fact(g, "written by", text);
    fact(g, "found in", g->history ? "the history" : "the decision log");
    add_branches(g, tx);
    if (g->why)
        add_spans(g, tx);
    return 0;
}

/* The whole text form, with or without a branch, or the beginning of one. */
static int parse_wanted(const char *text, char wanted[HF_XID_TEXT_SIZE])
{
    size_t n = strcspn(text, "/");
    XID xid;

    if (text[n] == '/' && hf_xid_parse(text, &xid) != HF_OK) {
        complain("%s: not a transaction identifier", text);
        return USAGE;
    }
    if (n == 0 || n >= HF_XID_TEXT_SIZE || strspn(text, "0123456789abcdef-") < n) {
        complain("%s: not the beginning of a transaction identifier", text);
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
        table_print(g->why ? &g->calls : &g->branches, g->why ? "calls" : "branches", stdout);
        return;
    }
    d = json_document();
    json_put(d, "transaction", json_incref(json_array_get(g->list, 0)));
    json_print(d);
}

static int print_one(const struct call *call, bool why)
{
    static const char *const names[] = {"AT", "TOOK", "BY", "BRANCH", "CALL", "ANSWER", NULL};
    struct gather g = {.call = call, .list = json_array(), .facts.columns = 2, .why = why};
    int code = parse_wanted(call->xid, g.wanted);

    table_head(&g.calls, names);
    if (code == DONE)
        code = gather(&g, true, match);
    if (code == DONE && g.found == 0) {
        complain("%s: not in the decision log nor the history of %s; "
                 "that does not mean that it was rolled back",
                 call->xid, call->node);
        code = NOT_FOUND;
    } else if (code == DONE && g.found > 1) {
        complain("%s: %u transactions begin like this; give more of it", call->xid, g.found);
        code = USAGE;
    } else if (g.found == 1) {
        print_found(&g);
    }
    release(&g);
    return code;
}

int tx_show(const struct call *call)
{
    return print_one(call, false);
}

int tx_why(const struct call *call)
{
    return print_one(call, true);
}
