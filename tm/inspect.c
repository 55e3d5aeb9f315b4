/*
 * tm/inspect.c - read a node from outside; the contract is holdfast/inspect.h.
 *
 * What always holds
 *   N1  No snapshot is held between calls, nor while a callback runs: what a call needs is copied
 *       out of one snapshot first. A reader that is stopped in the middle of a line of output pins
 *       nothing.
 *   N2  Nothing is written but a request, an adoption or, with nobody to ask, that a transaction
 *       is forgotten, and that through an opening of its own: a store is opened once in a process,
 *       so the one for reading is closed before and opened again after. It keeps byte 0 of the
 *       lock file: others open the node before or after, never in the middle of the write.
 *   N3  An incarnation is alive if its byte of the lock file is locked, or if that cannot be told.
 *   N4  The history is a guest: if it cannot be opened, only hf_inspect_history() and
 *       hf_inspect_verify() say so.
 *
 * If we crash in hf_inspect_ask(), the request is in the log whole or not at all (S3 of store.h).
 * hf_inspect_adopt() and hf_inspect_forget() have crash tables of their own, in adopt.c and
 * forget.c.
 */
#include "holdfast/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adopt.h"
#include "forget.h"
#include "history.h"
#include "page.h"

enum {
    REQUESTS_KEPT = 100, /* the newest; older ones are dropped when one is added */
    PATH_SIZE = 4096,
};

struct hf_inspect {
    struct hf__store *log;     /* NULL: it could not be opened again after a request */
    struct hf__store *history; /* NULL: not there, or history_error says why */
    hf_error history_error;    /* code HF_OK: none */
    char *dir;
};

/* -- opening ---------------------------------------------------------------------------------- */

static int open_log(const char *dir, unsigned flags, struct hf__store **ret)
{
    struct hf__store_config config = {.dir = dir,
                                      .file = HF__LOG_FILE,
                                      .lock_file = HF__LOCK_FILE,
                                      .companions = HF__LOG_COMPANIONS,
                                      .application = HF__LOG_APPLICATION,
                                      .format = HF__LOG_FORMAT,
                                      .flags = flags};

    return hf__store_open(&config, ret);
}

/* A node that was never finished has no history yet: that is none, not a fault (N4). */
static void open_history(hf_inspect *in)
{
    bool alone = in->log != NULL && !hf__store_shared(in->log);
    struct hf__store_config config = {.dir = in->dir,
                                      .file = HF__HISTORY_FILE,
                                      .application = HF__HISTORY_APPLICATION,
                                      .format = HF__HISTORY_FORMAT,
                                      .flags =
                                          HF__STORE_READONLY | (alone ? HF__STORE_CHECKED : 0)};
    char path[PATH_SIZE];
    struct stat st;

    if ((size_t)snprintf(path, sizeof(path), "%s/" HF__HISTORY_FILE, in->dir) < sizeof(path) &&
        lstat(path, &st) != 0 && errno == ENOENT)
        return;
    if (hf__store_open(&config, &in->history) != HF_OK)
        in->history_error = *hf_error_last();
}

int hf_inspect_open(const char *dir, hf_inspect **ret)
{
    hf_inspect *in;
    int rc;

    if (dir == NULL || dir[0] == '\0' || ret == NULL)
        return hf__error(HF_EINVAL, 0, "inspect a node: no directory, or nowhere to return it");
    in = calloc(1, sizeof(*in));
    if (in != NULL)
        in->dir = strdup(dir);
    if (in == NULL || in->dir == NULL) {
        free(in);
        return hf__error(HF_ENOMEM, ENOMEM, "%s: inspect", dir);
    }
    rc = open_log(dir, HF__STORE_READONLY | HF__STORE_CHECKED, &in->log);
    if (rc != HF_OK) {
        free(in->dir);
        free(in);
        return rc;
    }
    open_history(in);
    hf__store_opened(in->log); /* both were opened while nobody else opened or closed */
    *ret = in;
    return HF_OK;
}

/* LMDB's files are closed alone, as they are opened. */
static void close_both(hf_inspect *in)
{
    if (in->log != NULL)
        hf__store_closing(in->log);
    hf__store_close(in->history);
    hf__store_close(in->log);
    in->log = in->history = NULL;
}

void hf_inspect_close(hf_inspect *in)
{
    if (in == NULL)
        return;
    close_both(in);
    free(in->dir);
    free(in);
}

const char *hf_inspect_lmdb_version(void)
{
    return hf__store_lmdb_version();
}

/* -- records copied out of a snapshot (N1) ---------------------------------------------------- */

struct entry {
    struct entry *next;
    struct hf__record record; /* data points into bytes */
    size_t key_size;
    unsigned char bytes[]; /* key, then payload */
};

struct copy {
    struct entry *first;
    struct entry **end;
};

static int copy_one(void *user, const unsigned char *key, size_t key_size,
                    const struct hf__record *r)
{
    struct copy *copy = user;
    struct entry *e = malloc(sizeof(*e) + key_size + r->size);

    if (e == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "copy a record of %zu bytes", r->size);
    e->next = NULL;
    e->record = *r;
    e->record.data = e->bytes + key_size;
    e->key_size = key_size;
    memcpy(e->bytes, key, key_size);
    if (r->size > 0)
        memcpy(e->bytes + key_size, r->data, r->size);
    *copy->end = e;
    copy->end = &e->next;
    return HF_OK;
}

static void copy_free(struct copy *copy)
{
    while (copy->first != NULL) {
        struct entry *e = copy->first;

        copy->first = e->next;
        free(e);
    }
}

static int refuse_closed(void)
{
    return hf__error(HF_EIO, 0, "the node could not be opened again after a request");
}

/* The records of each kind in `kinds`, in that order. Free ret also after an error. */
static int copy_kinds(struct hf__store *store, const char *kinds, struct copy *ret)
{
    struct hf__store_txn *txn = NULL;
    int rc;

    ret->first = NULL;
    ret->end = &ret->first;
    rc = store != NULL ? hf__store_read_begin(store, &txn) : refuse_closed();
    for (; rc == HF_OK && *kinds != '\0'; kinds++)
        rc = hf__store_each(txn, kinds, 1, copy_one, ret);
    hf__store_read_end(txn);
    return rc;
}

static int refuse_arguments(const char *what)
{
    return hf__error(HF_EINVAL, 0, "inspect %s: an argument is NULL or of an unknown size", what);
}

/* -- the node and its incarnations ------------------------------------------------------------ */

static bool alive(const hf_inspect *in, uint32_t incarnation)
{
    return hf__store_lock_holder(in->log, incarnation) != 0;
}

static void put_hex(char *to, const unsigned char *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        (void)sprintf(to + 2 * i, "%02x", from[i]); /* two digits and the NUL */
}

static int count_alive(const hf_inspect *in, const struct entry *e, uint32_t *ret)
{
    *ret = 0;
    for (; e != NULL; e = e->next) {
        struct hf__incarnation i;
        int rc = hf__incarnation_decode(e->bytes, e->key_size, &e->record, &i);

        if (rc != HF_OK)
            return rc;
        *ret += alive(in, i.number);
    }
    return HF_OK;
}

int hf_inspect_get_node(hf_inspect *in, hf_inspect_node *ret)
{
    struct hf__store_info info;
    static const unsigned char none[HF__STORE_ID_SIZE];
    struct hf__node node = {0}, place = {0};
    struct copy copy;
    uint32_t living = 0;
    int rc;

    if (in == NULL || ret == NULL || ret->size != sizeof(*ret))
        return refuse_arguments("a node");
    rc = copy_kinds(in->log, "NI", &copy);
    if (rc == HF_OK)
        rc = hf__store_info(in->log, &info);
    if (rc == HF_OK && copy.first != NULL && copy.first->record.kind == 'N') {
        rc = hf__node_decode(&copy.first->record, &node);
        if (rc == HF_OK)
            rc = count_alive(in, copy.first->next, &living);
    } else if (rc == HF_OK && info.records > 0) {
        rc = hf__error(HF_EDAMAGED, 0, "%s: the node record is missing", in->dir);
    }
    copy_free(&copy);
    if (rc != HF_OK)
        return rc;
    *ret = (hf_inspect_node){.size = sizeof(*ret),
                             .format = info.format,
                             .highest = node.highest,
                             .alive = living,
                             .back_in_time = (node.flags & HF__NODE_BACK_IN_TIME) != 0,
                             .created_ms = info.created_ms,
                             .records = info.records,
                             .sequence = info.sequence,
                             .file_bytes = info.file_bytes,
                             .map_bytes = info.map_bytes,
                             .lmdb = hf__store_lmdb_version()};
    put_hex(ret->identity, info.identity, sizeof(info.identity));
    if (memcmp(info.former, none, sizeof(none)) != 0)
        put_hex(ret->former, info.former, sizeof(info.former));
    place.nonce = node.nonce; /* only the embedder knows it */
    hf__place_find(in->dir, &place);
    if (hf__place_check(in->dir, &node, &place) != HF_OK) {
        ret->moved = 1;
        (void)snprintf(ret->moved_text, sizeof(ret->moved_text), "%s", hf_error_last()->text);
    }
    return HF_OK;
}

/* What the process shows of itself. */
static void add_live(const hf_inspect *in, hf_inspect_incarnation *to)
{
    struct hf__live live;

    if (hf__page_look(in->dir, hf__store_identity(in->log), to->number, &live) != HF_OK)
        return;
    to->counted = 1;
    to->begun = live.begun;
    to->committed = live.committed;
    to->rolledback = live.rolledback;
    to->active = live.active;
    to->owed = live.owed;
    to->unconfirmed = live.unconfirmed;
    to->alarms = live.alarms;
}

int hf_inspect_incarnations(hf_inspect *in, int (*fn)(void *, const hf_inspect_incarnation *),
                            void *user)
{
    struct copy copy;
    int rc;

    if (in == NULL || fn == NULL)
        return refuse_arguments("incarnations");
    rc = copy_kinds(in->log, "I", &copy);
    for (const struct entry *e = copy.first; rc == HF_OK && e != NULL; e = e->next) {
        struct hf__incarnation i;
        hf_inspect_incarnation out = {.size = sizeof(out)};

        rc = hf__incarnation_decode(e->bytes, e->key_size, &e->record, &i);
        if (rc != HF_OK)
            break;
        out.number = i.number;
        out.state = i.state;
        out.alive = alive(in, i.number);
        out.pid = i.pid;
        out.claimed_ms = i.claimed_ms;
        if (out.alive || i.state == HF_INC_OPEN)
            add_live(in, &out);
        rc = fn(user, &out);
    }
    copy_free(&copy);
    return rc;
}

/* -- resource managers and transactions ------------------------------------------------------- */

/* The bindings of a node, in the order of their ids. */
struct rms {
    hf_inspect_rm *list;
    size_t count;
};

/* Decode the bindings that a copy begins with; *at is what comes after. */
static int read_rms(const struct entry **at, struct rms *ret)
{
    size_t count = 0;

    for (const struct entry *e = *at; e != NULL && e->bytes[0] == 'R'; e = e->next)
        count++;
    ret->count = 0;
    ret->list = calloc(count + 1, sizeof(*ret->list));
    if (ret->list == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "read %zu resource managers", count);
    for (; ret->count < count; *at = (*at)->next) {
        hf_inspect_rm *rm = &ret->list[ret->count];
        struct hf__binding b;
        int rc = hf__binding_decode((*at)->bytes, (*at)->key_size, &(*at)->record, &b);

        if (rc != HF_OK)
            return rc;
        rm->size = sizeof(*rm);
        rm->id = b.id;
        rm->has_identity = b.has_identity;
        memcpy(rm->name, b.name, sizeof(rm->name));
        memcpy(rm->identity, b.identity, sizeof(rm->identity));
        ret->count++;
    }
    return HF_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const hf_inspect_rm *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* NULL if the id is not bound. */
static hf_inspect_rm *find_rm(const struct rms *rms, uint32_t id)
{
    const hf_inspect_rm key = {.id = id};

    return bsearch(&key, rms->list, rms->count, sizeof(*rms->list), compare_ids);
}

static int read_transaction(const struct entry *e, struct hf__rec *ret)
{
    if (e->record.kind != 'T' || e->key_size != 1 + HF__GTRID_SIZE)
        return hf__error(HF_EDAMAGED, 0, "a transaction's record is of another kind");
    return hf__rec_decode(e->bytes + 1, e->record.data, e->record.size, ret);
}

static void count_owed(const struct rms *rms, const struct hf__rec *rec)
{
    for (uint32_t i = 0; i < rec->count; i++) {
        hf_inspect_rm *rm = find_rm(rms, rec->branches[i].rm_id);

        if (rm == NULL || rec->branches[i].state > HF_BRANCH_UNCONFIRMED)
            continue;
        rm->owed++;
        if (rm->since_ms == 0 || rec->decided_ms < rm->since_ms)
            rm->since_ms = rec->decided_ms;
    }
}

int hf_inspect_rms(hf_inspect *in, int (*fn)(void *, const hf_inspect_rm *), void *user)
{
    struct rms rms = {0};
    struct copy copy;
    const struct entry *e;
    int rc;

    if (in == NULL || fn == NULL)
        return refuse_arguments("resource managers");
    rc = copy_kinds(in->log, "RT", &copy);
    e = copy.first;
    if (rc == HF_OK)
        rc = read_rms(&e, &rms);
    for (; rc == HF_OK && e != NULL; e = e->next) {
        struct hf__rec rec;

        rc = read_transaction(e, &rec);
        if (rc != HF_OK)
            break;
        count_owed(&rms, &rec);
        free(rec.branches);
    }
    for (size_t i = 0; rc == HF_OK && i < rms.count; i++)
        rc = fn(user, &rms.list[i]);
    free(rms.list);
    copy_free(&copy);
    return rc;
}

/* The spans of an entry of the history, as callbacks are shown them. */
struct story {
    bool open;
    unsigned count;
    hf_inspect_span spans[HF__SPANS_MAX];
    hf_inspect_event events[HF__SPANS_MAX][HF__TIMELINE_MAX];
};

/* Show a record to a callback. A branch of an id that is not bound has no name. story: may be
   NULL. */
static int show(const struct hf__rec *rec, const struct rms *rms, const struct story *story,
                int (*fn)(void *, const hf_inspect_tx *), void *user)
{
    hf_inspect_branch *branches = calloc((size_t)rec->count + 1, sizeof(*branches));
    hf_inspect_tx tx = {.size = sizeof(tx),
                        .outcome = rec->outcome,
                        .by_recovery = rec->by_recovery,
                        .decided_ms = rec->decided_ms,
                        .branch_count = rec->count,
                        .branches = branches,
                        .written_by = rec->written_by,
                        .left = rec->left,
                        .open = story != NULL && story->open,
                        .span_count = story != NULL ? story->count : 0,
                        .spans = story != NULL ? story->spans : NULL};
    int rc;

    if (branches == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "show a transaction of %u branches", rec->count);
    hf__xid_make(&tx.xid, rec->gtrid, 0, 0);
    for (uint32_t i = 0; i < rec->count; i++) {
        const struct hf__rec_branch *b = &rec->branches[i];
        const hf_inspect_rm *rm = find_rm(rms, b->rm_id);

        branches[i] = (hf_inspect_branch){
            .rm_id = b->rm_id, .number = b->number, .state = b->state, .code = b->code};
        if (rm != NULL)
            memcpy(branches[i].rm_name, rm->name, sizeof(rm->name));
    }
    rc = fn(user, &tx);
    free(branches);
    return rc;
}

int hf_inspect_transactions(hf_inspect *in, int (*fn)(void *, const hf_inspect_tx *), void *user)
{
    struct rms rms = {0};
    struct copy copy;
    const struct entry *e;
    int rc;

    if (in == NULL || fn == NULL)
        return refuse_arguments("transactions");
    rc = copy_kinds(in->log, "RT", &copy);
    e = copy.first;
    if (rc == HF_OK)
        rc = read_rms(&e, &rms);
    for (; rc == HF_OK && e != NULL; e = e->next) {
        struct hf__rec rec;

        rc = read_transaction(e, &rec);
        if (rc != HF_OK)
            break;
        rc = show(&rec, &rms, NULL, fn, user);
        free(rec.branches);
    }
    free(rms.list);
    copy_free(&copy);
    return rc;
}

static int read_finished(const unsigned char *key, size_t key_size, const struct hf__record *r,
                         struct hf__rec *ret)
{
    const unsigned char *p = r->data;

    if (r->kind != 'H' || key_size != 9 || key[0] != 'H' || r->size < HF__FINISHED_BYTES)
        return hf__error(HF_EDAMAGED, 0, "a record of the history is no finished transaction");
    return hf__rec_decode(p, p + HF__FINISHED_BYTES, r->size - HF__FINISHED_BYTES, ret);
}

static void show_span(const struct hf__span *from, const struct rms *rms, hf_inspect_span *ret,
                      hf_inspect_event *ret_events)
{
    *ret = (hf_inspect_span){.incarnation = from->incarnation,
                             .by_recovery = from->by_recovery,
                             .kept = from->kept,
                             .lost = from->lost,
                             .began_ms = from->began_ms,
                             .took_us = from->took_us,
                             .event_count = from->count,
                             .events = ret_events};
    memcpy(ret->rm, from->rm, sizeof(ret->rm));
    memcpy(ret->call, from->call, sizeof(ret->call));
    memcpy(ret->text, from->text, sizeof(ret->text));
    for (unsigned i = 0; i < from->count; i++) {
        const struct hf__span_event *e = &from->events[i];
        const hf_inspect_rm *rm = find_rm(rms, e->rm_id);

        ret_events[i] = (hf_inspect_event){.call = e->call,
                                           .rm_id = e->rm_id,
                                           .number = e->number,
                                           .code = e->code,
                                           .at_us = e->at_us,
                                           .took_us = e->took_us};
        if (rm != NULL)
            memcpy(ret_events[i].rm_name, rm->name, sizeof(rm->name));
    }
}

/* A recovery may tell its part before the owner does: the order is that of the begins. */
static int compare_spans(const void *a, const void *b)
{
    const hf_inspect_span *x = a, *y = b;

    if (x->began_ms != y->began_ms)
        return x->began_ms < y->began_ms ? -1 : 1;
    return (int)x->by_recovery - (int)y->by_recovery;
}

static int read_story(const struct hf__record *r, const struct hf__rec *rec, const struct rms *rms,
                      struct story *ret)
{
    const unsigned char *payload = r->data, *p;
    unsigned count;

    p = hf__history_spans(payload, r->size, rec, &ret->open, &count);
    if (count > HF__SPANS_MAX)
        return hf__error(HF_EDAMAGED, 0, "the history has an entry of %u timelines", count);
    for (ret->count = 0; ret->count < count; ret->count++) {
        struct hf__span span;
        size_t used;
        int rc = hf__span_decode(p, r->size - (size_t)(p - payload), &span, &used);

        if (rc != HF_OK)
            return rc;
        show_span(&span, rms, &ret->spans[ret->count], ret->events[ret->count]);
        p += used;
    }
    qsort(ret->spans, ret->count, sizeof(*ret->spans), compare_spans);
    return HF_OK;
}

static int history_state(const hf_inspect *in)
{
    const hf_error *e = &in->history_error;

    return e->code == HF_OK ? HF_OK : hf__error(e->code, e->native_code, "%s", e->text);
}

/* What was left to the original of this copy, if it is one: *at is what comes after bindings. */
static int show_left(const struct entry *at, const struct rms *rms,
                     int (*fn)(void *, const hf_inspect_tx *), void *user)
{
    int rc = HF_OK;

    for (; rc == HF_OK && at != NULL; at = at->next) {
        struct hf__rec rec;

        if (at->record.kind != 'O' || at->key_size != 1 + HF__GTRID_SIZE)
            return hf__error(HF_EDAMAGED, 0, "a record of the original is of another kind");
        rc = hf__rec_decode(at->bytes + 1, at->record.data, at->record.size, &rec);
        if (rc != HF_OK)
            break;
        rec.left = true;
        rc = show(&rec, rms, NULL, fn, user);
        free(rec.branches);
    }
    return rc;
}

int hf_inspect_history(hf_inspect *in, int (*fn)(void *, const hf_inspect_tx *), void *user)
{
    struct rms rms = {0};
    struct copy names, copy = {0};
    struct story *story;
    const struct entry *e;
    int rc;

    if (in == NULL || fn == NULL)
        return refuse_arguments("the history");
    story = malloc(sizeof(*story));
    if (story == NULL)
        return hf__error(HF_ENOMEM, ENOMEM, "read the history");
    rc = copy_kinds(in->log, "RO", &names);
    e = names.first;
    if (rc == HF_OK)
        rc = read_rms(&e, &rms);
    if (rc == HF_OK)
        rc = show_left(e, &rms, fn, user);
    if (rc == HF_OK)
        rc = in->history != NULL ? copy_kinds(in->history, "H", &copy) : history_state(in);
    for (e = copy.first; rc == HF_OK && e != NULL; e = e->next) {
        struct hf__rec rec;

        rc = read_finished(e->bytes, e->key_size, &e->record, &rec);
        if (rc != HF_OK)
            break;
        rc = read_story(&e->record, &rec, &rms, story);
        if (rc == HF_OK)
            rc = show(&rec, &rms, story, fn, user);
        free(rec.branches);
    }
    free(story);
    free(rms.list);
    copy_free(&copy);
    copy_free(&names);
    return rc;
}

/* -- verify ----------------------------------------------------------------------------------- */

/* What the node record says was given out. */
struct limits {
    uint32_t highest;
    uint32_t next_rm_id;
};

static int above(const char *what, uint32_t number, const char *limit, uint32_t value)
{
    return hf__error(HF_EDAMAGED, 0, "the log has %s %u, and %s is %u", what, number, limit, value);
}

static int check_transaction(const unsigned char *key, size_t key_size, const struct hf__record *r,
                             const struct limits *limits)
{
    struct hf__rec rec;
    int rc;

    if (key_size != 1 + HF__GTRID_SIZE)
        return hf__error(HF_EDAMAGED, 0, "the log has a transaction with a key of %zu bytes",
                         key_size);
    rc = hf__rec_decode(key + 1, r->data, r->size, &rec);
    if (rc != HF_OK)
        return rc;
    if (rec.written_by > limits->highest)
        rc = above("a transaction written by incarnation", rec.written_by, "the highest",
                   limits->highest);
    for (uint32_t i = 0; rc == HF_OK && i < rec.count; i++)
        if (rec.branches[i].rm_id >= limits->next_rm_id)
            rc = above("a branch of resource manager", rec.branches[i].rm_id,
                       "the next to be given", limits->next_rm_id);
    free(rec.branches);
    return rc;
}

static int check_log_record(void *user, const unsigned char *key, size_t key_size,
                            const struct hf__record *r)
{
    const struct limits *limits = user;
    struct hf__node node;
    struct hf__incarnation i;
    struct hf__binding b;
    struct hf__request q;
    int rc;

    switch (key[0] == r->kind ? r->kind : 0) {
    case 'N':
        return key_size == 1 ? hf__node_decode(r, &node)
                             : hf__error(HF_EDAMAGED, 0, "the log has a second node record");
    case 'I':
        rc = hf__incarnation_decode(key, key_size, r, &i);
        if (rc == HF_OK && i.number > limits->highest)
            rc = above("incarnation", i.number, "the highest", limits->highest);
        return rc;
    case 'R':
        rc = hf__binding_decode(key, key_size, r, &b);
        if (rc == HF_OK && b.id >= limits->next_rm_id)
            rc = above("resource manager", b.id, "the next to be given", limits->next_rm_id);
        return rc;
    case 'T':
    case 'O':
        return check_transaction(key, key_size, r, limits);
    case 'Q':
        return hf__request_decode(key, key_size, r, &q);
    default:
        return hf__error(HF_EDAMAGED, 0, "the log has a record of kind %u under key 0x%02x",
                         r->kind, key[0]);
    }
}

static int check_history_record(void *user, const unsigned char *key, size_t key_size,
                                const struct hf__record *r)
{
    hf_inspect_rm nobody;
    const struct rms none = {.list = &nobody};
    struct story *story;
    struct hf__rec rec;
    int rc;

    (void)user;
    if (key[0] == 'G' && r->kind == 'G' && key_size == 1 + HF__GTRID_SIZE && r->size == 8)
        return HF_OK;
    if (key[0] == 'L' && r->kind == 'L' && key_size == 1 && r->size == 8)
        return HF_OK; /* the last number given out */
    rc = read_finished(key, key_size, r, &rec);
    if (rc != HF_OK)
        return rc;
    story = malloc(sizeof(*story));
    rc = story != NULL ? read_story(r, &rec, &none, story)
                       : hf__error(HF_ENOMEM, ENOMEM, "verify the history");
    free(story);
    free(rec.branches);
    return rc;
}

static int check_log(const hf_inspect *in)
{
    struct hf__store_txn *txn = NULL;
    struct hf__record r;
    struct hf__node node = {0};
    struct limits limits;
    int rc = hf__store_verify(in->log);

    if (rc == HF_OK)
        rc = hf__store_read_begin(in->log, &txn);
    if (rc != HF_OK)
        return rc;
    rc = hf__store_get(txn, "N", 1, &r);
    if (rc == HF_OK)
        rc = hf__node_decode(&r, &node);
    else if (rc == HF_ENOTFOUND)
        rc = HF_OK; /* a node that was never finished has no record at all; any is above its limits
                     */
    limits = (struct limits){.highest = node.highest, .next_rm_id = node.next_rm_id};
    if (rc == HF_OK)
        rc = hf__store_each(txn, NULL, 0, check_log_record, &limits);
    hf__store_read_end(txn);
    return rc;
}

static int check_history(const hf_inspect *in)
{
    struct hf__store_txn *txn = NULL;
    int rc;

    if (in->history == NULL)
        return history_state(in);
    rc = hf__store_verify(in->history);
    if (rc == HF_OK)
        rc = hf__store_read_begin(in->history, &txn);
    if (rc == HF_OK)
        rc = hf__store_each(txn, NULL, 0, check_history_record, NULL);
    hf__store_read_end(txn);
    return rc;
}

int hf_inspect_verify(hf_inspect *in)
{
    int rc;

    if (in == NULL)
        return refuse_arguments("by verifying");
    if (in->log == NULL)
        return refuse_closed();
    rc = check_log(in);
    return rc == HF_OK ? check_history(in) : rc;
}

/* -- requests --------------------------------------------------------------------------------- */

int hf_inspect_requests(hf_inspect *in, int (*fn)(void *, const hf_inspect_request *), void *user)
{
    struct copy copy;
    int rc;

    if (in == NULL || fn == NULL)
        return refuse_arguments("requests");
    rc = copy_kinds(in->log, "Q", &copy);
    for (const struct entry *e = copy.first; rc == HF_OK && e != NULL; e = e->next) {
        struct hf__request q;
        hf_inspect_request out;

        rc = hf__request_decode(e->bytes, e->key_size, &e->record, &q);
        if (rc != HF_OK)
            break;
        out = (hf_inspect_request){.size = sizeof(out),
                                   .number = q.number,
                                   .verb = q.verb,
                                   .state = q.state,
                                   .uid = q.uid,
                                   .incarnation = q.incarnation,
                                   .asked_ms = q.asked_ms,
                                   .done_ms = q.done_ms};
        memcpy(out.reason, q.reason, sizeof(out.reason));
        if (q.verb == HF_REQUEST_FORGET) {
            hf__xid_make(&out.xid, q.gtrid, 0, 0);
            out.result = q.result;
        }
        rc = fn(user, &out);
    }
    copy_free(&copy);
    return rc;
}

/* The numbers of the requests that are there. */
struct span {
    uint64_t first; /* 0: none */
    uint64_t last;
};

static int note_request(void *user, const unsigned char *key, size_t key_size,
                        const struct hf__record *r)
{
    struct span *span = user;
    struct hf__request q;
    int rc = hf__request_decode(key, key_size, r, &q);

    if (rc != HF_OK)
        return rc;
    if (span->first == 0)
        span->first = q.number;
    span->last = q.number;
    return HF_OK;
}

/* Add a request under the next number, and drop what is older than the newest REQUESTS_KEPT. */
int hf__put_request(struct hf__store_txn *txn, void *arg)
{
    struct hf__request *q = arg;
    struct span span = {0};
    unsigned char key[HF__KEY_SIZE_MAX], payload[HF__REQUEST_BYTES_MAX];
    int rc = hf__store_each(txn, "Q", 1, note_request, &span);

    if (rc != HF_OK)
        return rc;
    q->number = span.last + 1;
    rc = hf__store_put(txn, key, hf__key64(key, 'Q', q->number), 'Q', payload,
                       hf__request_encode(q, payload));
    /* Bound: REQUESTS_KEPT; numbers are dense, so in practice one goes for each that comes. */
    for (uint64_t n = span.first;
         rc == HF_OK && n != 0 && n + REQUESTS_KEPT <= q->number && n < span.first + REQUESTS_KEPT;
         n++) {
        rc = hf__store_delete(txn, key, hf__key64(key, 'Q', n));
        if (rc == HF_ENOTFOUND)
            rc = HF_OK;
    }
    return rc;
}

/* Byte 0 is ours until the end: who has it checks the pages of a file that nobody writes. */
static int write_asked(const char *dir, struct hf__request *q)
{
    struct hf__store *writable = NULL;
    int rc = open_log(dir, 0, &writable);

    if (rc != HF_OK)
        return rc;
    rc = hf__store_apply(writable, hf__put_request, q);
    hf__store_close(writable);
    return rc;
}

/* Write through openings of its own, while ours are closed (N2). */
static int write_request(hf_inspect *in, int (*write)(const char *dir, struct hf__request *q),
                         struct hf__request *q, uint64_t *ret_number)
{
    hf_error failure = {0};
    int rc;

    close_both(in);
    in->history_error = (hf_error){0};
    rc = write(in->dir, q);
    if (rc != HF_OK)
        failure = *hf_error_last();
    if (open_log(in->dir, HF__STORE_READONLY | HF__STORE_CHECKED, &in->log) == HF_OK) {
        open_history(in);
        hf__store_opened(in->log); /* else the next call says that there is no node any more */
    }
    if (rc != HF_OK)
        return hf__error(rc, failure.native_code, "%s", failure.text);
    *ret_number = q->number;
    return HF_OK;
}

int hf_inspect_ask(hf_inspect *in, int verb, const char *reason, uint64_t *ret_number)
{
    struct hf__request q = {.verb = (uint8_t)verb, .uid = getuid(), .asked_ms = hf__now_ms()};

    if (in == NULL || ret_number == NULL || verb != HF_REQUEST_RECOVER)
        return refuse_arguments("by asking");
    (void)snprintf(q.reason, sizeof(q.reason), "%s",
                   reason != NULL ? reason : ""); /* cut, as said */
    return write_request(in, write_asked, &q, ret_number);
}

/* -- forgetting ------------------------------------------------------------------------------- */

/* May it be forgotten, and by whom? */
static int check_forget(hf_inspect *in, const struct hf__request *q, uint32_t *ret_alive)
{
    hf_inspect_node node = {.size = sizeof(node)};
    unsigned char key[HF__KEY_SIZE_MAX];
    struct hf__store_txn *t = NULL;
    struct hf__record r;
    struct hf__rec rec;
    int rc = hf_inspect_get_node(in, &node);

    *ret_alive = node.alive;
    if (rc == HF_OK)
        rc = hf__store_read_begin(in->log, &t);
    if (rc != HF_OK)
        return rc;
    rc = hf__store_get(t, key, hf__key_gtrid(key, 'T', q->gtrid), &r);
    if (rc == HF_OK)
        rc = hf__rec_decode(q->gtrid, r.data, r.size, &rec);
    hf__store_read_end(t);
    if (rc == HF_ENOTFOUND)
        return hf__error(rc, 0, "forget: no such transaction in the decision log");
    if (rc != HF_OK)
        return rc;
    rc = hf__forget_check(&rec);
    free(rec.branches);
    return rc;
}

int hf_inspect_forget(hf_inspect *in, const XID *xid, const char *reason, uint64_t *ret_number)
{
    struct hf__request q = {.verb = HF_REQUEST_FORGET, .uid = getuid(), .asked_ms = hf__now_ms()};
    const unsigned char *gtrid;
    uint32_t rm_id, number, alive = 0;
    int rc;

    if (in == NULL || xid == NULL || ret_number == NULL ||
        !hf__xid_ours(xid, &gtrid, &rm_id, &number))
        return refuse_arguments("by forgetting");
    memcpy(q.gtrid, gtrid, HF__GTRID_SIZE);
    (void)snprintf(q.reason, sizeof(q.reason), "%s",
                   reason != NULL ? reason : ""); /* cut, as said */
    rc = check_forget(in, &q, &alive);
    if (rc != HF_OK)
        return rc;
    return write_request(in, alive > 0 ? write_asked : hf__forget_alone, &q, ret_number);
}

/* -- adoption --------------------------------------------------------------------------------- */

int hf_inspect_adopt(hf_inspect *in, int how, const char *reason)
{
    hf_error failure = {0};
    int rc;

    if (in == NULL)
        return refuse_arguments("by adopting");
    hf__store_close(in->log); /* a store is opened once in a process (N2) */
    in->log = NULL;
    rc = hf__adopt(in->dir, how, reason);
    if (rc != HF_OK)
        failure = *hf_error_last();
    if (open_log(in->dir, HF__STORE_READONLY | HF__STORE_CHECKED, &in->log) == HF_OK)
        hf__store_opened(in->log); /* else the next call says that there is no node any more */
    return rc == HF_OK ? HF_OK : hf__error(rc, failure.native_code, "%s", failure.text);
}
