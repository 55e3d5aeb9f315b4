/*
 * What: timelines and their bytes (tm/timeline.h); entries of the history: bounded, merged, read
 *       also where an older version wrote them (tm/history.h); opening does not depend on them.
 * How:  the functions themselves; the history's file is also written by hand.
 */
#include "support/t.h"

#include <time.h>

#include "log.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static char *dir, node[512];

static int setup(void **state)
{
    (void)state;
    dir = t_dir_make();
    snprintf(node, sizeof(node), "%s/node", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_dir_remove(dir);
    return 0;
}

static struct hf__log *open_log(void)
{
    struct hf__log *log = NULL;

    t_ok(hf__log_open(node, &log));
    return log;
}

/* -- spans ------------------------------------------------------------------------------------ */

static struct hf__span some_span(void)
{
    struct hf__span s = {.incarnation = 7,
                         .by_recovery = true,
                         .kept = HF_KEPT_SLOW | HF_KEPT_RECOVERED,
                         .lost = 3,
                         .began_ms = 1700000000123,
                         .took_us = 5000000000,
                         .rm = "a-name-of-thirty-one-characters",
                         .call = "xa_prepare",
                         .text = "why",
                         .count = 2};

    s.events[0] = (struct hf__span_event){HF_CALL_PREPARE, -7, 1, 2, 3, 4};
    s.events[1] =
        (struct hf__span_event){HF_CALL_DECIDE, HF_EINVAL, 0, 0, UINT32_MAX, UINT64_C(1) << 40};
    return s;
}

static void assert_same(const struct hf__span *a, const struct hf__span *b)
{
    assert_int_equal(a->incarnation, b->incarnation);
    assert_int_equal(a->by_recovery, b->by_recovery);
    assert_int_equal(a->kept, b->kept);
    assert_int_equal(a->lost, b->lost);
    assert_int_equal(a->began_ms, b->began_ms);
    assert_int_equal(a->took_us, b->took_us);
    assert_string_equal(a->rm, b->rm);
    assert_string_equal(a->call, b->call);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->count, b->count);
    for (unsigned i = 0; i < a->count; i++) {
        assert_int_equal(a->events[i].call, b->events[i].call);
        assert_int_equal(a->events[i].code, b->events[i].code);
        assert_int_equal(a->events[i].rm_id, b->events[i].rm_id);
        assert_int_equal(a->events[i].number, b->events[i].number);
        assert_int_equal(a->events[i].took_us, b->events[i].took_us);
        assert_int_equal(a->events[i].at_us, b->events[i].at_us);
    }
}

static void span__is_read_back_as_it_was(void **state)
{
    struct hf__span s = some_span(), got;
    unsigned char buf[1024];
    size_t used = 0;

    (void)state;
    hf__span_encode(&s, buf);
    t_ok(hf__span_decode(buf, sizeof(buf), &got, &used));
    assert_int_equal(used, hf__span_size(&s));
    assert_same(&s, &got);
}

static void span__that_is_cut_or_lies_is_refused(void **state)
{
    static const struct {
        size_t at;
        unsigned char value;
    } lies[] = {{0, 1}, {3, 35}, {10, 1}, {32, 32}, {33, 16}, {34, 1}, {35, 160}};
    struct hf__span s = some_span(), got;
    size_t size = hf__span_size(&s), used;

    (void)state;
    for (size_t n = 0; n < size; n++) {
        unsigned char *cut = malloc(n + 1); /* the sanitizer sees a read behind it */

        assert_non_null(cut);
        if (n > 0) {
            unsigned char buf[1024];

            hf__span_encode(&s, buf);
            memcpy(cut, buf, n);
        }
        t_rc(HF_EDAMAGED, hf__span_decode(cut, n, &got, &used));
        free(cut);
    }
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        unsigned char buf[1024];

        hf__span_encode(&s, buf);
        buf[lies[i].at] = lies[i].value;
        t_rc(HF_EDAMAGED, hf__span_decode(buf, size, &got, &used));
    }
}

/* A later version may keep more events, and say more at the end. */
static void span__of_a_later_version_is_read_as_far_as_it_goes(void **state)
{
    enum { EVENTS = HF__TIMELINE_MAX + 5, MORE = 9 };
    unsigned char buf[HF__SPAN_BYTES + EVENTS * HF__EVENT_BYTES + 3 + MORE] = {0};
    struct hf__span got;
    size_t used = 0;

    (void)state;
    hf__put32(buf, sizeof(buf));
    buf[11] = EVENTS;
    buf[15] = 2; /* lost */
    buf[35] = 3;
    memcpy(buf + HF__SPAN_BYTES + EVENTS * HF__EVENT_BYTES, "why", 3);
    t_ok(hf__span_decode(buf, sizeof(buf), &got, &used));
    assert_int_equal(used, sizeof(buf));
    assert_int_equal(got.count, HF__TIMELINE_MAX);
    assert_int_equal(got.lost, 5 + 2);
    assert_string_equal(got.text, "why");
}

/* A counter that runs backwards, or jumps, cannot lead out of the transaction. */
static void timeline__stays_within_its_transaction(void **state)
{
    static const uint64_t jumps[] = {0, 1000, (uint64_t)1 << 40, (uint64_t)1 << 50,
                                     UINT64_MAX - 1000};
    const struct timespec pause = {.tv_nsec = 2000000};

    (void)state;
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct hf__timeline t;
        struct hf__span s;

        hf__timeline_begin(&t);
        hf__timeline_add(&t, HF_CALL_START, 1, 0, hf__timeline_now() + jumps[i]);
        (void)nanosleep(&pause, NULL);
        hf__timeline_add(&t, HF_CALL_END, 70000, 99999, hf__timeline_now() - jumps[i]);
        t.began += i % 2 != 0 ? jumps[i] : 0;
        hf__timeline_end(&t, &s);
        assert_true(s.took_us >= 2000);
        assert_int_equal(s.count, 2);
        assert_true(s.events[0].number == UINT16_MAX || s.events[1].number == UINT16_MAX);
        assert_true(s.events[0].at_us <= s.events[1].at_us);
        for (unsigned n = 0; n < s.count; n++)
            assert_true(s.events[n].at_us + s.events[n].took_us <= s.took_us);
    }
}

/* -- entries ---------------------------------------------------------------------------------- */

static struct hf__rec rec_of(struct hf__log *log, uint64_t sequence, hf_outcome outcome)
{
    struct hf__rec rec = {.decision = HF__COMMIT, .outcome = (uint8_t)outcome};

    hf__gtrid_make(rec.gtrid, hf__log_node(log), hf__log_incarnation(log), sequence);
    return rec;
}

static void remember(struct hf__log *log, uint64_t sequence, hf_outcome outcome, bool open,
                     bool want_had)
{
    struct hf__rec rec = rec_of(log, sequence, outcome);
    struct hf__span span = some_span();
    struct hf__finished f = {.rec = &rec, .span = &span, .open = open};

    span.began_ms = sequence;
    hf__history_remember(hf__log_history(log), &f, 1);
    assert_int_equal(f.had, want_had);
    assert_true(f.written);
}

struct seen {
    unsigned count, spans, open;
    uint32_t outcome;
    uint64_t first; /* sequence */
};

static int see(void *user, const hf_inspect_tx *tx)
{
    struct seen *s = user;

    if (s->count++ == 0)
        s->first = hf__gtrid_sequence((const unsigned char *)tx->xid.data);
    s->spans = tx->span_count;
    s->open = tx->open;
    s->outcome = tx->outcome;
    return 0;
}

static struct seen read_history(void)
{
    struct seen s = {0};
    hf_inspect *in = NULL;

    t_ok(hf_inspect_open(node, &in));
    t_ok(hf_inspect_verify(in));
    t_ok(hf_inspect_history(in, see, &s));
    hf_inspect_close(in);
    return s;
}

static void entry__takes_more_while_it_is_open(void **state)
{
    struct hf__log *log = open_log();
    struct hf__rec rec = rec_of(log, 1, HF_UNKNOWN);
    hf_outcome outcome = HF_MIXED;
    struct seen s;

    (void)state;
    remember(log, 1, HF_UNKNOWN, true, false);
    t_rc(HF_ENOTFOUND, hf__history_recall(hf__log_history(log), rec.gtrid, &outcome));
    remember(log, 1, HF_COMMITTED, true, false);
    remember(log, 1, HF_ROLLEDBACK, false, false);
    remember(log, 1, HF_COMMITTED, false, true); /* it was final */
    t_ok(hf__history_recall(hf__log_history(log), rec.gtrid, &outcome));
    assert_int_equal(outcome, HF_ROLLEDBACK);
    remember(log, 1, HF_UNKNOWN, true, true); /* one that comes late adds its span, no more */
    hf__log_close(log, true);
    s = read_history();
    assert_int_equal(s.count, 1);
    assert_int_equal(s.spans, 4);
    assert_int_equal(s.open, 0);
    assert_int_equal(s.outcome, HF_ROLLEDBACK);
}

static void entry__has_a_bounded_number_of_spans(void **state)
{
    struct hf__log *log = open_log();
    struct seen s;

    (void)state;
    for (int i = 0; i < 3 * HF__SPANS_MAX; i++)
        remember(log, 1, HF_UNKNOWN, true, false);
    hf__log_close(log, true);
    s = read_history();
    assert_int_equal(s.count, 1);
    assert_int_equal(s.spans, HF__SPANS_MAX);
}

static void limit__that_is_lower_is_reached_in_time(void **state)
{
    struct hf__log *log = open_log();
    struct seen s;

    (void)state;
    for (uint64_t i = 1; i <= 40; i++)
        remember(log, i, HF_COMMITTED, false, false);
    hf__history_limit(hf__log_history(log), 10);
    for (uint64_t i = 41; i <= 80; i++)
        remember(log, i, HF_COMMITTED, false, false);
    hf__log_close(log, true);
    s = read_history();
    assert_int_equal(s.count, 10);
    assert_int_equal(s.first, 71);
}

/* -- what was written by hand ----------------------------------------------------------------- */

struct filler {
    unsigned char id[HF__NODE_ID_SIZE];
    uint64_t count;
};

/* As the first version wrote them: without spans. */
static int fill(struct hf__store_txn *t, void *arg)
{
    const struct filler *f = arg;
    struct hf__rec rec = {.decision = HF__COMMIT, .outcome = HF_COMMITTED};
    unsigned char buf[HF__FINISHED_BYTES + HF__REC_BYTES] = {0};
    unsigned char key[HF__KEY_SIZE_MAX], number[8] = {0};
    int rc = HF_OK;

    for (uint64_t i = 1; i <= f->count && rc == HF_OK; i++) {
        hf__gtrid_make(rec.gtrid, f->id, 1, i);
        memcpy(buf, rec.gtrid, HF__GTRID_SIZE);
        hf__rec_encode(&rec, buf + HF__FINISHED_BYTES);
        hf__put64(number, i);
        rc = hf__store_put(t, key, hf__key64(key, 'H', i), 'H', buf, sizeof(buf));
        if (rc == HF_OK)
            rc = hf__store_put(t, key, hf__key_gtrid(key, 'G', rec.gtrid), 'G', number, 8);
    }
    return rc == HF_OK ? hf__store_put(t, "L", 1, 'L', number, 8) : rc;
}

static void fill_history(uint64_t count)
{
    struct hf__store_config c = {
        .dir = node,
        .file = HF__HISTORY_FILE,
        .companions = HF__LOG_FILE " " HF__LOG_FILE "-lock " HF__LOCK_FILE,
        .application = HF__HISTORY_APPLICATION,
        .format = HF__HISTORY_FORMAT,
    };
    struct hf__log *log = open_log();
    struct hf__store *history = NULL;
    struct filler f = {.count = count};

    memcpy(f.id, hf__log_node(log), sizeof(f.id));
    hf__log_close(log, true);
    t_ok(hf__store_open(&c, &history));
    t_ok(hf__store_apply(history, fill, &f));
    hf__store_close(history);
}

static void entry__of_an_older_version_is_read_and_final(void **state)
{
    struct hf__rec rec = {.decision = HF__COMMIT, .outcome = HF_ROLLEDBACK};
    struct hf__finished f = {.rec = &rec};
    hf_outcome outcome = HF_UNKNOWN;
    struct hf__log *log;
    struct seen s;

    (void)state;
    fill_history(1);
    s = read_history();
    assert_int_equal(s.count, 1);
    assert_int_equal(s.spans, 0);
    assert_int_equal(s.open, 0);
    log = open_log();
    hf__gtrid_make(rec.gtrid, hf__log_node(log), 1, 1);
    hf__history_remember(hf__log_history(log), &f, 1);
    assert_true(f.had && f.written);
    t_ok(hf__history_recall(hf__log_history(log), rec.gtrid, &outcome));
    assert_int_equal(outcome, HF_COMMITTED);
    hf__log_close(log, true);
}

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t time_of_opening(const char *which)
{
    uint64_t start = now_us(), took;
    struct hf__log *log;

    snprintf(node, sizeof(node), "%s/%s", dir, which);
    log = open_log();
    took = now_us() - start;
    hf__log_close(log, true);
    return took;
}

/* In turn, and the least of many: what is measured is work, not what else the machine does. On a
   busy one that takes longer. */
static void opening__does_not_depend_on_the_history(void **state)
{
    uint64_t few = UINT64_MAX, many = UINT64_MAX;

    (void)state;
    snprintf(node, sizeof(node), "%s/few", dir);
    fill_history(100);
    snprintf(node, sizeof(node), "%s/many", dir);
    fill_history(100000);
    for (int i = 0; i < 300 && (i < 30 || many > 2 * few); i++) {
        uint64_t a = time_of_opening("few"), b = time_of_opening("many");

        few = a < few ? a : few;
        many = b < many ? b : many;
    }
    print_message("opening: %llu us with 100 entries, %llu us with 100,000\n",
                  (unsigned long long)few, (unsigned long long)many);
    assert_true(many <= 2 * few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(span__is_read_back_as_it_was),
        T(span__that_is_cut_or_lies_is_refused),
        T(span__of_a_later_version_is_read_as_far_as_it_goes),
        T(timeline__stays_within_its_transaction),
        T(entry__takes_more_while_it_is_open),
        T(entry__has_a_bounded_number_of_spans),
        T(limit__that_is_lower_is_reached_in_time),
        T(entry__of_an_older_version_is_read_and_final),
        T(opening__does_not_depend_on_the_history),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
