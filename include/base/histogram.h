/*
 * base/histogram.h: how values are distributed, in fixed memory: latencies in microseconds, sizes
 * of batches. Log-linear: 32 buckets to each power of two, so that a quantile is at most 3.2 % too
 * high at any size; up to 32 values are exact. Powers of two are bucket edges, and an edge belongs
 * to the bucket below it, so that "how many were at most 2^n" is exact too.
 *
 * One thread records. Any other may read at the same time: every field is a relaxed atomic, and a
 * reader may see a value counted in one field and not yet in another.
 */
#ifndef BALLAST_BASE_HISTOGRAM_H
#define BALLAST_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_MAX_BITS 36 /* 2^36 us are 19 hours; anything above counts as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

/* A zeroed struct is an empty histogram. */
struct histogram {
    _Atomic uint64_t sum;
    _Atomic uint64_t max;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts one value; a negative one (there is no such duration) counts as 0. */
void histogram_record(struct histogram *histogram, int64_t value);

/* Adds `from` to `into`, which belongs to the caller. */
void histogram_merge(struct histogram *into, const struct histogram *from);

void histogram_reset(struct histogram *histogram);

uint64_t histogram_count(const struct histogram *histogram);
uint64_t histogram_sum(const struct histogram *histogram);
uint64_t histogram_max(const struct histogram *histogram);

/* How many values were at most `edge`; exact for a power of two and for anything up to 32. */
uint64_t histogram_count_up_to(const struct histogram *histogram, int64_t edge);

/* The value that a share `q` (0 to 1) of the values do not exceed; 0 for an empty histogram. */
int64_t histogram_quantile(const struct histogram *histogram, double q);

#endif
