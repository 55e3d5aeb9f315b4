/*
 * tm/timeline.c - timelines, and their spans as bytes: see timeline.h. No input or output here but
 * the clock.
 *
 * Decoding trusts nothing: every length is checked against the payload before it is used.
 */
#include "timeline.h"

#include <string.h>
#include <time.h>

static uint64_t monotonic_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void hf__timeline_begin(struct hf__timeline *t)
{
    t->began_ns = monotonic_ns();
    t->began = hf__timeline_now();
    t->count = t->lost = 0;
}

uint64_t hf__timeline_took(const struct hf__timeline *t)
{
    return (monotonic_ns() - t->began_ns) / 1000;
}

/* Ticks in microseconds, given that `all` of them took `all_us`. A counter that ran backwards, or
   that is another one on another processor, cannot lead out of the transaction. */
static uint64_t to_us(uint64_t ticks, uint64_t all, uint64_t all_us)
{
    double us;

    if (all == 0 || ticks >= all)
        return all_us;
    us = (double)ticks / (double)all * (double)all_us;
    return (uint64_t)us;
}

static uint64_t begin_of(const struct hf__event *e)
{
    return e->when & (UINT64_MAX >> 16);
}

/* Calls that overlap were added as they were answered. */
static void sort_by_begin(const struct hf__timeline *t, struct hf__event *ret)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t at = i;

        for (; at > 0 && begin_of(&ret[at - 1]) > begin_of(&t->events[i]); at--)
            ret[at] = ret[at - 1];
        ret[at] = t->events[i];
    }
}

void hf__timeline_end(const struct hf__timeline *t, struct hf__span *ret)
{
    struct hf__event sorted[HF__TIMELINE_MAX];
    uint64_t took_us = hf__timeline_took(t);
    uint64_t ticks = hf__timeline_now() - t->began;

    if (ticks >> 48 != 0)
        ticks = 0; /* the counter went backwards, or a day is over: no time can be told */
    *ret = (struct hf__span){.lost = t->lost,
                             .began_ms = hf__now_ms() - took_us / 1000,
                             .took_us = took_us,
                             .count = t->count};
    sort_by_begin(t, sorted);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct hf__event *e = &sorted[i];
        uint64_t at_us = to_us(begin_of(e), ticks, took_us);
        uint64_t us = to_us((e->what & UINT32_MAX) * HF__TOOK_TICKS, ticks, took_us);

        if (us > took_us - at_us)
            us = took_us - at_us;
        ret->events[i] =
            (struct hf__span_event){.call = (uint8_t)(e->what >> 48),
                                    .code = (int16_t)(e->what >> 32),
                                    .number = (uint32_t)(e->when >> 48),
                                    .took_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX,
                                    .at_us = at_us};
    }
}

/* -- bytes ------------------------------------------------------------------------------------ */

static int bad(void)
{
    return hf__error(HF_EDAMAGED, 0,
                     "the history has a timeline that no version of holdfast wrote");
}

static void put16(unsigned char *p, unsigned v)
{
    p[0] = (unsigned char)(v >> 8);
    p[1] = (unsigned char)v;
}

static unsigned get16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

size_t hf__span_size(const struct hf__span *span)
{
    return HF__SPAN_BYTES + span->count * (size_t)HF__EVENT_BYTES +
           strnlen(span->rm, sizeof(span->rm)) + strnlen(span->call, sizeof(span->call)) +
           strnlen(span->text, sizeof(span->text));
}

void hf__span_encode(const struct hf__span *span, unsigned char *buf)
{
    size_t rm = strnlen(span->rm, sizeof(span->rm));
    size_t call = strnlen(span->call, sizeof(span->call));
    size_t text = strnlen(span->text, sizeof(span->text));
    unsigned char *p = buf + HF__SPAN_BYTES;

    hf__put32(buf, (uint32_t)hf__span_size(span));
    hf__put32(buf + 4, span->incarnation);
    buf[8] = span->by_recovery;
    buf[9] = span->kept;
    put16(buf + 10, span->count);
    hf__put32(buf + 12, span->lost);
    hf__put64(buf + 16, span->began_ms);
    hf__put64(buf + 24, span->took_us);
    buf[32] = (unsigned char)rm;
    buf[33] = (unsigned char)call;
    put16(buf + 34, (unsigned)text);
    for (unsigned i = 0; i < span->count; i++, p += HF__EVENT_BYTES) {
        const struct hf__span_event *e = &span->events[i];

        p[0] = e->call;
        p[1] = 0;
        put16(p + 2, (uint16_t)e->code);
        hf__put32(p + 4, e->rm_id);
        hf__put32(p + 8, e->number);
        hf__put32(p + 12, e->took_us);
        hf__put64(p + 16, e->at_us);
    }
    memcpy(p, span->rm, rm);
    memcpy(p + rm, span->call, call);
    memcpy(p + rm + call, span->text, text);
}

int hf__span_decode(const unsigned char *p, size_t size, struct hf__span *ret, size_t *ret_used)
{
    size_t bytes, rm, call, text;
    unsigned all, count;

    if (size < HF__SPAN_BYTES || (bytes = hf__get32(p)) < HF__SPAN_BYTES || bytes > size)
        return bad();
    all = get16(p + 10);
    count = all < HF__TIMELINE_MAX ? all : HF__TIMELINE_MAX; /* others may keep more */
    rm = p[32];
    call = p[33];
    text = get16(p + 34);
    if (rm >= sizeof(ret->rm) || call >= sizeof(ret->call) || text >= sizeof(ret->text) ||
        HF__SPAN_BYTES + all * (size_t)HF__EVENT_BYTES + rm + call + text > bytes)
        return bad();
    *ret = (struct hf__span){.incarnation = hf__get32(p + 4),
                             .by_recovery = p[8] != 0,
                             .kept = p[9],
                             .lost = hf__get32(p + 12) + (all - count),
                             .began_ms = hf__get64(p + 16),
                             .took_us = hf__get64(p + 24),
                             .count = count};
    *ret_used = bytes;
    p += HF__SPAN_BYTES;
    for (unsigned i = 0; i < count; i++, p += HF__EVENT_BYTES)
        ret->events[i] = (struct hf__span_event){.call = p[0],
                                                 .code = (int16_t)get16(p + 2),
                                                 .rm_id = hf__get32(p + 4),
                                                 .number = hf__get32(p + 8),
                                                 .took_us = hf__get32(p + 12),
                                                 .at_us = hf__get64(p + 16)};
    p += (all - count) * (size_t)HF__EVENT_BYTES;
    memcpy(ret->rm, p, rm);
    memcpy(ret->call, p + rm, call);
    memcpy(ret->text, p + rm + call, text);
    return HF_OK;
}
