/*
 * A value v >= 1 is filed by v - 1, which makes every bucket reach up to and include its edge.
 * Values up to 2^SUB_BITS have a bucket each; above, the power of two gives the row and the next
 * SUB_BITS bits below the highest give the bucket in it.
 */
#include "base/histogram.h"

#include <assert.h>

#define SUB_BUCKETS (1 << HISTOGRAM_SUB_BITS)
#define VALUE_MAX ((int64_t)1 << HISTOGRAM_MAX_BITS)

static unsigned histogram_index(int64_t value)
{
    if (value <= SUB_BUCKETS) {
        return value <= 1 ? 0 : (unsigned)value - 1;
    }

    uint64_t below = (uint64_t)(value > VALUE_MAX ? VALUE_MAX : value) - 1;
    unsigned shift = 63 - (unsigned)__builtin_clzll(below) - HISTOGRAM_SUB_BITS;

    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(below >> shift);
}

/* The greatest value in the bucket. */
static int64_t histogram_edge(unsigned index)
{
    unsigned row = index >> HISTOGRAM_SUB_BITS;
    unsigned shift = row == 0 ? 0 : row - 1;
    int64_t step = row == 0 ? index : (index & (SUB_BUCKETS - 1)) + SUB_BUCKETS;

    return (step + 1) << shift;
}

static inline uint64_t histogram_load(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* The one writer needs no locked instruction. */
static inline void histogram_add(_Atomic uint64_t *field, uint64_t count)
{
    atomic_store_explicit(field, histogram_load(field) + count, memory_order_relaxed);
}

void histogram_record(struct histogram *histogram, int64_t value)
{
    uint64_t counted = value < 0 ? 0 : (uint64_t)value;

    histogram_add(&histogram->buckets[histogram_index(value)], 1);
    histogram_add(&histogram->sum, counted);
    if (counted > histogram_load(&histogram->max)) {
        atomic_store_explicit(&histogram->max, counted, memory_order_relaxed);
    }
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = histogram_load(&from->buckets[i]);

        if (count > 0) {
            histogram_add(&into->buckets[i], count);
        }
    }
    histogram_add(&into->sum, histogram_load(&from->sum));
    if (histogram_load(&from->max) > histogram_load(&into->max)) {
        atomic_store_explicit(&into->max, histogram_load(&from->max), memory_order_relaxed);
    }
}

void histogram_reset(struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        atomic_store_explicit(&histogram->buckets[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&histogram->sum, 0, memory_order_relaxed);
    atomic_store_explicit(&histogram->max, 0, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *histogram)
{
    return histogram_count_up_to(histogram, VALUE_MAX);
}

uint64_t histogram_sum(const struct histogram *histogram)
{
    return histogram_load(&histogram->sum);
}

uint64_t histogram_max(const struct histogram *histogram)
{
    return histogram_load(&histogram->max);
}

uint64_t histogram_count_up_to(const struct histogram *histogram, int64_t edge)
{
    unsigned last = histogram_index(edge);
    uint64_t count = 0;

    for (unsigned i = 0; i <= last; i++) {
        count += histogram_load(&histogram->buckets[i]);
    }
    return count;
}

int64_t histogram_quantile(const struct histogram *histogram, double q)
{
    uint64_t count = histogram_count(histogram);
    uint64_t max = histogram_max(histogram);
    uint64_t seen = 0;

    assert(q >= 0 && q <= 1);
    if (count == 0) {
        return 0;
    }

    double rank = q * (double)count;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram_load(&histogram->buckets[i]);
        if (seen > 0 && (double)seen >= rank) {
            int64_t edge = histogram_edge(i);

            /* Nothing was above the greatest value; the last bucket holds all that is too big. */
            return (uint64_t)edge < max && i < HISTOGRAM_BUCKETS - 1 ? edge : (int64_t)max;
        }
    }
    return (int64_t)max; /* counted by another thread since */
}
