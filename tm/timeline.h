/*
 * tm/timeline.h - what was done for a transaction, call by call.
 *
 * While a transaction runs, each call leaves an event in an array of fixed size inside the
 * transaction: no allocation, no lock, and for a clock the processor's counter, which costs one
 * instruction where clock_gettime() costs eighty. The clock itself is read at the begin and at the
 * end only. If the transaction turns out to be worth keeping, the timeline becomes a *span*, with
 * times in microseconds that are interpolated between those two readings.
 *
 * A span tells what one incarnation did: the owner of the transaction, or a recovery. The history
 * keeps the spans of a transaction one after the other.
 *
 *   span:   bytes 4 | incarnation 4 | by recovery 1 | kept 1 | events 2 | lost 4 | began ms 8 |
 *           took us 8 | rm bytes 1 | call bytes 1 | text bytes 2, then each
 *   event:  call 1 | 0 1 | code 2 | rm id 4 | number 4 | took us 4 | at us 8, then
 *           rm | call | text: what decided or spoilt the transaction
 * Fields that are added go to the end, which `bytes` lets older readers skip.
 */
#ifndef HF_TM_TIMELINE_H
#define HF_TM_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/inspect.h"
#include "holdfast/internal/store.h"

enum {
    HF__TIMELINE_MAX = 20, /* events; what does not fit is counted */
    HF__SPAN_BYTES = 36,   /* without events and texts */
    HF__EVENT_BYTES = 24,
    HF__SPAN_TEXT_MAX = 160, /* bytes of a reason */
};

/* An event while it is young, in two words: each is put together in registers. */
struct hf__event {
    uint64_t when; /* number of the branch 16, 0: none | ticks since the begin 48 */
    uint64_t what; /* enum hf_inspect_call_kind 16 | code 16 | took 32, in HF__TOOK_TICKS */
};

struct hf__timeline {
    uint64_t began_ns; /* monotonic */
    uint64_t began;    /* ticks */
    uint32_t count, lost;
    struct hf__event events[HF__TIMELINE_MAX];
};

struct hf__span_event {
    uint8_t call;
    int16_t code;
    uint32_t rm_id; /* 0: not known */
    uint32_t number;
    uint32_t took_us;
    uint64_t at_us;
};

struct hf__span {
    uint32_t incarnation;
    bool by_recovery;
    uint8_t kept; /* enum hf_inspect_kept */
    uint32_t lost;
    uint64_t began_ms; /* since 1970 */
    uint64_t took_us;
    char rm[32], call[16], text[HF__SPAN_TEXT_MAX]; /* "": nothing went wrong */
    unsigned count;
    struct hf__span_event events[HF__TIMELINE_MAX];
};

/* A counter of the processor runs at gigahertz: 32 bits of it alone are seconds. */
enum { HF__TOOK_TICKS = 64 };

/* The processor's counter; it need not be the same everywhere, nor run evenly: see
   hf__timeline_end(). */
static inline uint64_t hf__timeline_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return hf__monotonic_ms() * HF__TOOK_TICKS;
#endif
}

/* number: of the branch, 0 for the log's. started: hf__timeline_now() before the call. */
static inline void hf__timeline_add(struct hf__timeline *t, int call, uint32_t number, int code,
                                    uint64_t started)
{
    uint64_t took = (hf__timeline_now() - started) / HF__TOOK_TICKS;

    if (t->count == HF__TIMELINE_MAX) {
        t->lost++;
        return;
    }
    number = number < UINT16_MAX ? number : UINT16_MAX;
    took = took < UINT32_MAX ? took : UINT32_MAX;
    t->events[t->count].when = (uint64_t)number << 48 | (started - t->began) << 16 >> 16;
    t->events[t->count++].what = (uint64_t)call << 48 | (uint64_t)(uint16_t)code << 32 | took;
}

void hf__timeline_begin(struct hf__timeline *t);
/* Microseconds since the begin. */
uint64_t hf__timeline_took(const struct hf__timeline *t);
/* Times and events, in the order in which the calls began; the events' rm ids, and what else a span
   says, are the caller's to fill in. */
void hf__timeline_end(const struct hf__timeline *t, struct hf__span *ret);

size_t hf__span_size(const struct hf__span *span);
void hf__span_encode(const struct hf__span *span, unsigned char *buf);
/* Reads one of at most size bytes; *ret_used is how many it has. HF_EDAMAGED. */
int hf__span_decode(const unsigned char *p, size_t size, struct hf__span *ret, size_t *ret_used);

#endif
