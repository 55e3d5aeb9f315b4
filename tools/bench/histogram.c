/*
 * tools/bench/histogram.c - latencies without an allocation or a lock: 32 buckets a power of two.
 *
 * A value below 32 has a bucket of its own; above, the highest bit and the five behind it say
 * which, so a value read back is off by at most 1/64. Any 64-bit value has its bucket.
 */
#include "bench.h"

enum { SUB_BUCKETS = 1 << HISTOGRAM_SUB_BITS };

static unsigned bucket_of(uint64_t ns)
{
    unsigned shift;

    if (ns < SUB_BUCKETS)
        return (unsigned)ns;
    shift = 63 - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(ns);
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(ns >> shift);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->total++;
    h->buckets[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->total += from->total;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

/* The middle of a bucket, in nanoseconds. */
static double middle(unsigned bucket)
{
    unsigned shift = bucket < 2 * SUB_BUCKETS ? 0 : bucket / SUB_BUCKETS - 1;
    uint64_t low = (uint64_t)(bucket - shift * SUB_BUCKETS) << shift;

    return (double)low + (double)((uint64_t)1 << shift) / 2;
}

double histogram_us(const struct histogram *h, double part)
{
    uint64_t rank = (uint64_t)(part * (double)h->total), seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > rank || (seen == h->total && seen > 0))
            return middle(i) / 1000;
    }
    return 0;
}
