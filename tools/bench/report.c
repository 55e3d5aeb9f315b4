/*
 * tools/bench/report.c - rows as a table for people, or as one JSON document; complaints on stderr.
 *
 * The document's shape is interface: {"schema":1,"measure":...,"rows":[...]}, one object for each
 * thread count and baseline. Members may be added, none is taken away or changes its meaning.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "bench.h"

void complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("hf-bench: ", stderr); /* if stderr is gone there is nobody to tell */
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

static bool has_phases(const struct sample *s)
{
    return s->phase_us[PHASE_WORK] > 0;
}

/* -- JSON ------------------------------------------------------------------------------------- */

/* An object; null for a side without phases. */
static json_t *where_json(const struct sample *s)
{
    if (!has_phases(s))
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", /* one transaction's */
                     "work_us", s->phase_us[PHASE_WORK], "prepare_us", s->phase_us[PHASE_PREPARE],
                     "decide_us", s->phase_us[PHASE_DECIDE], "commit_us", s->phase_us[PHASE_COMMIT],
                     "rest_us", s->phase_us[PHASE_REST], "messages", s->messages_per_tx,
                     "round_trips", s->round_trips_per_tx);
}

static json_t *row_json(const struct row *row)
{
    const struct sample *s = &row->ours;
    json_t *baseline_per_s = row->baseline_name ? json_real(row->baseline.tx_per_s) : json_null();
    json_t *ratio = row->baseline_name ? json_real(row->ratio) : json_null();

    return json_pack(
        "{s:i, s:f, s:s?, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:o, s:o}",
        "threads", (int)row->threads, "tx_per_s", s->tx_per_s, "baseline", row->baseline_name,
        "baseline_per_s", baseline_per_s, "ratio", ratio, "p50_us", s->p50_us, "p99_us", s->p99_us,
        "p999_us", s->p999_us, "log_commits_per_tx", s->log_commits_per_tx, "flushes_per_tx",
        s->flushes_per_tx, "switches_per_tx", s->switches_per_tx, "side", row->name,
        "cpu_us_per_tx", s->cpu_us_per_tx, "baseline_cpu_us_per_tx", row->baseline.cpu_us_per_tx,
        "where", where_json(s), "baseline_where",
        row->baseline_name ? where_json(&row->baseline) : json_null());
}

static int report_json(const struct bench_options *o, const struct row *rows, unsigned count)
{
    json_t *array = json_array();
    json_t *document =
        json_pack("{s:i, s:s, s:O}", "schema", 1, "measure", o->measure, "rows", array);
    int rc = document != NULL ? 0 : -1;

    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = json_array_append_new(array, row_json(&rows[i]));
    if (rc == 0)
        rc = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(document);
    json_decref(array);
    return rc == 0 && putchar('\n') == '\n' ? 0 : -1;
}

/* -- the table -------------------------------------------------------------------------------- */

static void print_side(unsigned threads, const char *name, const struct sample *s,
                       const char *ratio)
{
    printf("%7u  %-8s %9.0f %6s %9.1f %9.1f %9.1f %10.1f %11.3f %11.3f %11.3f\n", threads, name,
           s->tx_per_s, ratio, s->p50_us, s->p99_us, s->p999_us, s->cpu_us_per_tx,
           s->log_commits_per_tx, s->flushes_per_tx, s->switches_per_tx);
}

static void print_where(unsigned threads, const char *name, const struct sample *s)
{
    const double *us = s->phase_us;

    printf("%7u  %-8s %9.1f %9.1f %9.1f %9.1f %9.1f %10.1f %11.2f %14.2f\n", threads, name,
           us[PHASE_WORK], us[PHASE_PREPARE], us[PHASE_DECIDE], us[PHASE_COMMIT], us[PHASE_REST],
           s->cpu_us_per_tx, s->messages_per_tx, s->round_trips_per_tx);
}

/* Where the time of one transaction goes. Means, while the table above has medians. */
static void report_where(const struct row *rows, unsigned count)
{
    printf("\n%7s  %-8s %9s %9s %9s %9s %9s %10s %11s %14s\n", "threads", "side", "work us",
           "prepare", "decide", "commit", "rest", "cpu us/tx", "messages/tx", "round trips/tx");
    for (unsigned i = 0; i < count; i++) {
        print_where(rows[i].threads, rows[i].name, &rows[i].ours);
        print_where(rows[i].threads, rows[i].baseline_name, &rows[i].baseline);
    }
}

static void report_table(const struct row *rows, unsigned count)
{
    printf("%7s  %-8s %9s %6s %9s %9s %9s %10s %11s %11s %11s\n", "threads", "side", "tx/s",
           "ratio", "p50 us", "p99 us", "p99.9 us", "cpu us/tx", "commits/tx", "flushes/tx",
           "switches/tx");
    for (unsigned i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        char ratio[32] = "";

        if (row->baseline_name != NULL)
            (void)snprintf(ratio, sizeof(ratio), "%.3f", row->ratio);
        print_side(row->threads, row->name, &row->ours, ratio);
        if (row->baseline_name != NULL)
            print_side(row->threads, row->baseline_name, &row->baseline, "");
    }
    if (count > 0 && has_phases(&rows[0].ours))
        report_where(rows, count);
}

int report(const struct bench_options *o, const struct row *rows, unsigned count)
{
    int rc = 0;

    if (o->json)
        rc = report_json(o, rows, count);
    else
        report_table(rows, count);
    if (rc != 0 || fflush(stdout) != 0 || ferror(stdout)) {
        complain("cannot write the report");
        return -1;
    }
    return 0;
}
