/* Histograms, against sorted arrays. */
#include "base/histogram.h"

#include <stdlib.h>

#include "base/random.h"
#include "unit.h"

static struct histogram histogram, other;

START_TEST(empty_one_is_all_zero)
{
    ck_assert_uint_eq(histogram_count(&histogram), 0);
    ck_assert_uint_eq(histogram_sum(&histogram), 0);
    ck_assert_int_eq(histogram_quantile(&histogram, 0.99), 0);
    ck_assert_uint_eq(histogram_count_up_to(&histogram, 1000), 0);
}
END_TEST

START_TEST(small_values_are_exact)
{
    for (int64_t value = 0; value <= 32; value++) {
        histogram_reset(&histogram);
        histogram_record(&histogram, value);
        ck_assert_int_eq(histogram_quantile(&histogram, 0.5), value);
        ck_assert_uint_eq(histogram_count_up_to(&histogram, value), 1);
        if (value >= 2) {
            ck_assert_uint_eq(histogram_count_up_to(&histogram, value - 1), 0);
        }
    }
}
END_TEST

START_TEST(powers_of_two_are_edges_from_below)
{
    for (int bit = 1; bit < HISTOGRAM_MAX_BITS; bit++) {
        int64_t edge = (int64_t)1 << bit;

        histogram_reset(&histogram);
        histogram_record(&histogram, edge - 1);
        histogram_record(&histogram, edge);
        histogram_record(&histogram, edge + 1);
        ck_assert_uint_eq(histogram_count_up_to(&histogram, edge), 2);
    }
}
END_TEST

START_TEST(odd_values_have_a_place)
{
    histogram_record(&histogram, -5);
    histogram_record(&histogram, INT64_MAX);
    histogram_record(&histogram, (int64_t)1 << HISTOGRAM_MAX_BITS);
    ck_assert_uint_eq(histogram_count(&histogram), 3);
    ck_assert_uint_eq(histogram_max(&histogram), INT64_MAX);
    ck_assert_int_eq(histogram_quantile(&histogram, 1), INT64_MAX);
    ck_assert_uint_eq(histogram_count_up_to(&histogram, 1), 1);
}
END_TEST

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

START_TEST(quantiles_are_close_and_never_too_low)
{
    enum { COUNT = 20000 };
    static int64_t values[COUNT];
    static const double shares[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    uint64_t sum = 0;

    for (int i = 0; i < COUNT; i++) {
        values[i] = (int64_t)(random_uint64() >> (29 + i % 35));
        sum += (uint64_t)values[i];
        histogram_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    ck_assert_uint_eq(histogram_count(&histogram), COUNT);
    ck_assert_uint_eq(histogram_sum(&histogram), sum);
    ck_assert_uint_eq(histogram_max(&histogram), (uint64_t)values[COUNT - 1]);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        int64_t rank = (int64_t)(shares[i] * COUNT);
        int64_t exact = values[rank == 0 ? 0 : rank - 1];
        int64_t told = histogram_quantile(&histogram, shares[i]);

        ck_assert_int_ge(told, exact);
        ck_assert_int_le(told, exact + exact / 31 + 1);
    }
}
END_TEST

START_TEST(merge_is_the_same_as_recording_all)
{
    static struct histogram both;

    for (int i = 0; i < 1000; i++) {
        int64_t value = random_between(0, 1000000);

        histogram_record(i % 3 == 0 ? &histogram : &other, value);
        histogram_record(&both, value);
    }
    histogram_merge(&histogram, &other);
    ck_assert_mem_eq(&histogram, &both, sizeof both);
}
END_TEST

UNIT_MAIN("histogram", empty_one_is_all_zero, small_values_are_exact,
          powers_of_two_are_edges_from_below, odd_values_have_a_place,
          quantiles_are_close_and_never_too_low, merge_is_the_same_as_recording_all)
