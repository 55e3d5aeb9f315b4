/*
 * tools/txctl/status.c - txctl status: the node at a glance.
 *
 * All that is printed is read first, in a few short snapshots, so that a live node may move between
 * two of them by the work of a moment; nothing is held while a terminal or a pipe takes its time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "txctl.h"

struct glance {
    const struct call *call;
    hf_inspect_node node;
    struct incarnations incarnations;
    uint64_t count[TX_STATES];
    uint64_t unconfirmed; /* transactions with such a branch */
    struct table rms;     /* or, for JSON: */
    json_t *rm_list;
    struct table requests;
    json_t *request_list;
};

static int count_tx(void *user, const hf_inspect_tx *tx)
{
    struct glance *g = user;

    g->count[tx_state(tx, &g->incarnations)]++;
    g->unconfirmed += tx_count(tx, HF_BRANCH_UNCONFIRMED) > 0;
    return 0;
}

static int add_rm(void *user, const hf_inspect_rm *rm)
{
    struct glance *g = user;
    char hex[2 * sizeof(rm->identity) + 1], name[TEXT_SIZE], since[TEXT_SIZE];
    json_t *o;

    for (size_t i = 0; i < sizeof(rm->identity); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", rm->identity[i]);
    if (!g->call->json) {
        table_add(&g->rms, "%" PRIu32, rm->id);
        table_add(&g->rms, "%s", plain_text(rm->name, name));
        table_add(&g->rms, "%" PRIu64, rm->owed);
        table_add(&g->rms, "%s", rm->since_ms != 0 ? time_text(rm->since_ms, since) : "-");
        return 0;
    }
    o = json_object();
    json_put(o, "id", json_count(rm->id));
    json_put(o, "name", json_text(rm->name));
    json_put(o, "identity", rm->has_identity ? json_text(hex) : json_null());
    json_put(o, "owed", json_count(rm->owed));
    json_put(o, "owed_since_ms", json_time(rm->since_ms));
    json_put(g->rm_list, NULL, o);
    return 0;
}

static const char *verb_name(uint32_t verb)
{
    switch (verb) {
    case HF_REQUEST_RECOVER:
        return "recover";
    case HF_REQUEST_FORGET:
        return "tx forget";
    case HF_REQUEST_ADOPT_MOVED:
        return "adopt --moved";
    case HF_REQUEST_ADOPT_COPIED:
        return "adopt --copied";
    default:
        return "?";
    }
}

static int add_request(void *user, const hf_inspect_request *q)
{
    struct glance *g = user;
    const char *verb = verb_name(q->verb);
    char text[TEXT_SIZE];
    json_t *o;

    if (!g->call->json) {
        table_add(&g->requests, "%" PRIu64, q->number);
        table_add(&g->requests, "%s", verb);
        table_add(&g->requests, "%" PRIu32, q->uid);
        table_add(&g->requests, "%s", time_text(q->asked_ms, text));
        if (q->state != 0 && q->incarnation == 0)
            table_add(&g->requests, "by txctl");
        else if (q->state != 0)
            table_add(&g->requests, "by incarnation %" PRIu32, q->incarnation);
        else
            table_add(&g->requests, "waiting");
        table_add(&g->requests, "%s", plain_text(q->reason, text));
        return 0;
    }
    o = json_object();
    json_put(o, "number", json_count(q->number));
    json_put(o, "verb", json_text(verb));
    json_put(o, "done", json_boolean(q->state != 0));
    json_put(o, "uid", json_count(q->uid));
    json_put(o, "asked_ms", json_time(q->asked_ms));
    json_put(o, "done_ms", json_time(q->done_ms));
    json_put(o, "incarnation", q->incarnation != 0 ? json_count(q->incarnation) : json_null());
    json_put(o, "reason", json_text(q->reason));
    if (q->verb == HF_REQUEST_FORGET) {
        (void)hf_xid_format(&q->xid, text);
        json_put(o, "xid", json_text(text));
        json_put(o, "result",
                 q->state == 0        ? json_null()
                 : q->result == HF_OK ? json_text("OK")
                                      : json_text(hf_strerror_name(q->result)));
    }
    json_put(g->request_list, NULL, o);
    return 0;
}

static int look(hf_inspect *in, struct glance *g)
{
    int rc = hf_inspect_get_node(in, &g->node);

    if (rc == HF_OK)
        rc = read_incarnations(in, &g->incarnations);
    if (rc == HF_OK)
        rc = hf_inspect_transactions(in, count_tx, g);
    if (rc == HF_OK)
        rc = hf_inspect_rms(in, add_rm, g);
    if (rc == HF_OK && g->call->requests)
        rc = hf_inspect_requests(in, add_request, g);
    return rc;
}

/* An incarnation is of interest while it lives, and from its death until it is fenced. */
static const char *process_state(const hf_inspect_incarnation *i)
{
    return i->alive ? "alive" : i->state == HF_INC_OPEN ? "died, not recovered yet" : NULL;
}

static void print_alarms(const struct glance *g)
{
    if (g->node.back_in_time)
        (void)printf("alarms        the log went back in time: recovery rolls nothing back by "
                     "itself\n");
    if (g->node.moved)
        (void)printf("alarms        %s\n", g->node.moved_text);
    if (!g->node.back_in_time && !g->node.moved)
        (void)printf("alarms        none\n");
}

/* As the process shows it. */
static void add_number(struct table *t, const hf_inspect_incarnation *i, uint64_t number)
{
    if (i->counted)
        table_add(t, "%" PRIu64, number);
    else
        table_add(t, "-");
}

static void print_processes(const struct glance *g)
{
    static const char *const names[] = {"INCARNATION", "PID",         "STATE", "SINCE", "ACTIVE",
                                        "COMMITTED",   "ROLLED BACK", "OWED",  NULL};
    struct table t = {0};

    table_head(&t, names);
    for (size_t i = 0; i < g->incarnations.count; i++) {
        const hf_inspect_incarnation *one = &g->incarnations.list[i];
        char since[TEXT_SIZE];

        if (process_state(one) == NULL)
            continue;
        table_add(&t, "%" PRIu32, one->number);
        table_add(&t, "%" PRId64, one->pid);
        table_add(&t, "%s", process_state(one));
        table_add(&t, "%s", time_text(one->claimed_ms, since));
        add_number(&t, one, one->active);
        add_number(&t, one, one->committed);
        add_number(&t, one, one->rolledback);
        add_number(&t, one, one->owed);
    }
    table_print(&t, "processes", stdout);
    table_free(&t);
}

static void print_text(struct glance *g)
{
    const hf_inspect_node *n = &g->node;
    char used[TEXT_SIZE], map[TEXT_SIZE], made[TEXT_SIZE];

    (void)printf("node          %s\n", g->call->node);
    (void)printf("identity      %s\n", n->identity);
    if (n->former[0] != '\0')
        (void)printf("copied from   %s\n", n->former);
    (void)printf("format        %" PRIu32 ", %s\n", n->format, n->lmdb);
    (void)printf("made          %s\n", time_text(n->created_ms, made));
    (void)printf("incarnations  %" PRIu32 " given out, %" PRIu32 " alive\n", n->highest, n->alive);
    (void)printf("log           %" PRIu64 " records, the last is number %" PRIu64 "; %s of %s\n",
                 n->records, n->sequence, size_text(n->file_bytes, used),
                 size_text(n->map_bytes, map));
    (void)printf("transactions  %" PRIu64 " in doubt, %" PRIu64 " heuristic, %" PRIu64
                 " in progress, %" PRIu64 " finished; %" PRIu64 " unconfirmed\n",
                 g->count[IN_DOUBT], g->count[HEURISTIC], g->count[IN_PROGRESS], g->count[FINISHED],
                 g->unconfirmed);
    print_alarms(g);
    (void)putchar('\n');
    print_processes(g);
    (void)putchar('\n');
    table_print(&g->rms, "resource managers", stdout);
    if (g->call->requests) {
        (void)putchar('\n');
        table_print(&g->requests, "requests", stdout);
    }
}

static json_t *counted_json(const hf_inspect_incarnation *i)
{
    json_t *o = json_object();

    json_put(o, "begun", json_count(i->begun));
    json_put(o, "active", json_count(i->active));
    json_put(o, "committed", json_count(i->committed));
    json_put(o, "rolled_back", json_count(i->rolledback));
    json_put(o, "owed", json_count(i->owed));
    json_put(o, "unconfirmed", json_count(i->unconfirmed));
    json_put(o, "alarms", json_count(i->alarms));
    return o;
}

static json_t *processes_json(const struct glance *g)
{
    json_t *list = json_array();

    for (size_t i = 0; i < g->incarnations.count; i++) {
        const hf_inspect_incarnation *one = &g->incarnations.list[i];
        json_t *o;

        if (process_state(one) == NULL)
            continue;
        o = json_object();
        json_put(o, "incarnation", json_count(one->number));
        json_put(o, "pid", json_integer(one->pid));
        json_put(o, "alive", json_boolean(one->alive != 0));
        json_put(o, "since_ms", json_time(one->claimed_ms));
        json_put(o, "counted", one->counted ? counted_json(one) : json_null());
        json_put(list, NULL, o);
    }
    return list;
}

static void print_json(struct glance *g, bool attention)
{
    const hf_inspect_node *n = &g->node;
    json_t *d = json_document(), *node = json_object(), *txs = json_object();

    json_put(node, "path", json_text(g->call->node));
    json_put(node, "identity", json_text(n->identity));
    json_put(node, "format", json_count(n->format));
    json_put(node, "lmdb", json_text(n->lmdb));
    json_put(node, "created_ms", json_time(n->created_ms));
    json_put(node, "highest_incarnation", json_count(n->highest));
    json_put(node, "alive", json_count(n->alive));
    json_put(node, "records", json_count(n->records));
    json_put(node, "sequence", json_count(n->sequence));
    json_put(node, "file_bytes", json_count(n->file_bytes));
    json_put(node, "map_bytes", json_count(n->map_bytes));
    json_put(node, "back_in_time", json_boolean(n->back_in_time != 0));
    json_put(node, "copied_from", n->former[0] != '\0' ? json_text(n->former) : json_null());
    json_put(node, "moved", n->moved ? json_text(n->moved_text) : json_null());
    json_put(txs, "in_doubt", json_count(g->count[IN_DOUBT]));
    json_put(txs, "heuristic", json_count(g->count[HEURISTIC]));
    json_put(txs, "in_progress", json_count(g->count[IN_PROGRESS]));
    json_put(txs, "finished", json_count(g->count[FINISHED]));
    json_put(txs, "unconfirmed", json_count(g->unconfirmed));
    json_put(d, "attention", json_boolean(attention));
    json_put(d, "node", node);
    json_put(d, "transactions", txs);
    json_put(d, "processes", processes_json(g));
    json_put(d, "resource_managers", json_incref(g->rm_list));
    if (g->call->requests)
        json_put(d, "requests", json_incref(g->request_list));
    json_print(d);
}

int status(const struct call *call)
{
    static const char *const rm_head[] = {"ID", "NAME", "OWED", "SINCE", NULL};
    static const char *const request_head[] = {"NUMBER", "VERB",   "UID", "ASKED",
                                               "DONE",   "REASON", NULL};
    struct glance g = {.call = call,
                       .node.size = sizeof(g.node),
                       .rm_list = json_array(),
                       .request_list = json_array()};
    hf_inspect *in = NULL;
    bool attention = false;
    int rc, code = open_node(call, &in);

    table_head(&g.rms, rm_head);
    table_head(&g.requests, request_head);
    if (code != DONE)
        goto out;
    rc = look(in, &g);
    hf_inspect_close(in);
    if (rc != HF_OK) {
        code = complain_of(rc, "read the node", call->node);
        goto out;
    }
    attention = g.count[IN_DOUBT] + g.count[HEURISTIC] > 0 || g.node.back_in_time || g.node.moved;
    if (call->json)
        print_json(&g, attention);
    else
        print_text(&g);
    code = attention ? ATTENTION : DONE;
out:
    table_free(&g.rms);
    table_free(&g.requests);
    json_decref(g.rm_list);
    json_decref(g.request_list);
    free_incarnations(&g.incarnations);
    return code;
}
