/*
 * tools/txctl/report.c - how txctl says things: complaints, times, tables, JSON.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "txctl.h"

void complain(const char *format, ...)
{
    va_list args;

    (void)fputs("txctl: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

_Noreturn void out_of_memory(void)
{
    complain("out of memory");
    exit(FAILED);
}

int exit_of(int code)
{
    switch (code) {
    case HF_OK:
        return DONE;
    case HF_ENOTFOUND:
        return NOT_FOUND;
    case HF_EOWNER:
    case HF_ENETFS:
    case HF_EPIDNS:
    case HF_ENEWER:
    case HF_EOWNED:
        return REFUSED;
    default:
        return FAILED;
    }
}

int complain_of(int code, const char *attempt, const char *node)
{
    const hf_error *e = hf_error_last();
    const char *name = hf_strerror_name(code);

    complain("cannot %s %s: %s (%s)", attempt, node, e->code == code ? e->text : hf_strerror(code),
             name != NULL ? name : "unknown code");
    return exit_of(code);
}

/* -- times and sizes --------------------------------------------------------------------- */

uint64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const char *age_text(uint64_t ms, char buf[TEXT_SIZE])
{
    static const struct {
        uint64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    uint64_t now = now_ms(), age = now > ms ? (now - ms) / 1000 : 0; /* a clock may go back */
    size_t i = 0;

    while (units[i].seconds > 1 && age < units[i].seconds)
        i++;
    (void)snprintf(buf, TEXT_SIZE, "%" PRIu64 "%c", age / units[i].seconds, units[i].unit);
    return buf;
}

const char *time_text(uint64_t ms, char buf[TEXT_SIZE])
{
    char age[TEXT_SIZE];
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t n = 0;

    if (gmtime_r(&seconds, &tm) != NULL)
        n = strftime(buf, TEXT_SIZE, "%Y-%m-%d %H:%M:%S UTC ", &tm);
    (void)snprintf(buf + n, TEXT_SIZE - n, "(%s ago)", age_text(ms, age));
    return buf;
}

const char *size_text(uint64_t bytes, char buf[TEXT_SIZE])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;

    while (bytes >= 10240 && i + 1 < sizeof(units) / sizeof(*units)) {
        bytes /= 1024;
        i++;
    }
    (void)snprintf(buf, TEXT_SIZE, "%" PRIu64 " %s", bytes, units[i]);
    return buf;
}

const char *plain_text(const char *text, char buf[TEXT_SIZE])
{
    size_t i = 0;

    for (; text[i] != '\0' && i < TEXT_SIZE - 1; i++) {
        unsigned char c = (unsigned char)text[i];

        buf[i] = text[i];
        if (c < 0x20 || c >= 0x7f)
            buf[i] = '?';
    }
    buf[i] = '\0';
    return buf;
}

/* -- tables ------------------------------------------------------------------------------ */

void table_add(struct table *t, const char *format, ...)
{
    char **more = realloc(t->cell, (t->cells + 1) * sizeof(*more));
    va_list args;
    int n;

    if (more == NULL)
        out_of_memory();
    t->cell = more;
    va_start(args, format);
    n = vasprintf(&t->cell[t->cells], format, args);
    va_end(args);
    if (n < 0)
        out_of_memory();
    t->cells++;
}

void table_head(struct table *t, const char *const *names)
{
    for (t->columns = 0; names[t->columns] != NULL && t->columns < TABLE_COLUMNS_MAX; t->columns++)
        table_add(t, "%s", names[t->columns]);
}

void table_print(const struct table *t, const char *title, FILE *to)
{
    bool empty = t->cells == t->columns;
    int width[TABLE_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < t->cells; i++) {
        int n = (int)strlen(t->cell[i]);

        if (n > width[i % t->columns])
            width[i % t->columns] = n;
    }
    if (title != NULL)
        (void)fprintf(to, "%s%s\n", title, empty ? ": none" : "");
    for (size_t i = 0; !empty && i < t->cells; i++) {
        size_t column = i % t->columns;

        if (column + 1 < t->columns)
            (void)fprintf(to, "%-*s  ", width[column], t->cell[i]);
        else
            (void)fprintf(to, "%s\n", t->cell[i]); /* nothing follows, so nothing is padded */
    }
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->cells; i++)
        free(t->cell[i]);
    free(t->cell);
    *t = (struct table){0};
}

/* -- JSON -------------------------------------------------------------------------------- */

json_t *json_text(const char *text)
{
    char buf[TEXT_SIZE];
    json_t *value = json_string(text);

    if (value == NULL) /* not UTF-8 */
        value = json_string(plain_text(text, buf));
    if (value == NULL)
        out_of_memory();
    return value;
}

json_t *json_count(uint64_t n)
{
    json_t *value = json_integer((json_int_t)n);

    if (value == NULL)
        out_of_memory();
    return value;
}

json_t *json_time(uint64_t ms)
{
    return ms == 0 ? json_null() : json_count(ms);
}

void json_put(json_t *object, const char *name, json_t *value)
{
    int rc = json_is_array(object) ? json_array_append_new(object, value)
                                   : json_object_set_new(object, name, value);

    if (rc != 0)
        out_of_memory();
}

json_t *json_document(void)
{
    json_t *document = json_object();

    json_put(document, "schema", json_count(JSON_SCHEMA));
    return document;
}

void json_print(json_t *document)
{
    if (json_dumpf(document, stdout, JSON_INDENT(2)) == 0)
        (void)fputc('\n', stdout);
    json_decref(document);
}
