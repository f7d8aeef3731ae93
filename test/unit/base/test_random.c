/* Randomness stays within its bounds; clocks go on. */
#include "base/random.h"

#include <stdbool.h>

#include "base/clock.h"
#include "unit.h"

START_TEST(between_reaches_both_ends_and_not_beyond)
{
    bool seen[7] = {false};

    for (int i = 0; i < 10000; i++) {
        int64_t value = random_between(-3, 3);

        ck_assert(value >= -3 && value <= 3);
        seen[value + 3] = true;
    }
    for (int i = 0; i < 7; i++) {
        ck_assert(seen[i]);
    }
    ck_assert_int_eq(random_between(5, 5), 5);
    ck_assert_int_eq(random_between(INT64_MAX, INT64_MAX), INT64_MAX);
    (void)random_between(INT64_MIN, INT64_MAX);
}
END_TEST

START_TEST(jitter_is_a_quarter_and_never_zero)
{
    int64_t low = INT64_MAX, high = 0;

    for (int i = 0; i < 10000; i++) {
        int64_t value = random_jitter(1000);

        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    ck_assert(low >= 750 && low < 800);
    ck_assert(high <= 1250 && high > 1200);
    ck_assert_int_eq(random_jitter(0), 1);
    ck_assert_int_eq(random_jitter(1), 1);
    ck_assert_int_ge(random_jitter(INT64_MAX), INT64_MAX / 4 * 3);
}
END_TEST

START_TEST(bytes_differ)
{
    unsigned char a[300] = {0}, b[300] = {0};

    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    ck_assert_mem_ne(a, b, sizeof a);
    ck_assert(random_uint64() != random_uint64());
}
END_TEST

START_TEST(clocks_go_on)
{
    int64_t first = clock_boot_us();

    ck_assert_int_gt(first, 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_boot_us();

        ck_assert_int_ge(now, first);
        first = now;
    }
    ck_assert_int_gt(clock_wall_ms(), 1700000000000);
}
END_TEST

UNIT_MAIN("random", between_reaches_both_ends_and_not_beyond, jitter_is_a_quarter_and_never_zero,
          bytes_differ, clocks_go_on)
