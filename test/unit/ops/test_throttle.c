/* The rests of a job in the background. */
#include "ops/throttle.h"

#include <stdlib.h>

#include "unit.h"

static int64_t step(struct throttle *throttle, int64_t cache_us, int64_t store_us)
{
    throttle_observe(throttle, THROTTLE_STORE, store_us);
    throttle_observe(throttle, THROTTLE_CACHE, cache_us);
    return throttle_rest(throttle, cache_us + store_us);
}

START_TEST(half_of_the_time_is_others)
{
    struct throttle throttle = THROTTLE_NONE;

    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(step(&throttle, 400, 1500), 1900);
    }
    ck_assert_int_eq(throttle_rest(&throttle, 0), 0);
    ck_assert_int_eq(throttle_rest(&throttle, -5), 0);
}
END_TEST

START_TEST(whoever_takes_longer_gets_more_rest)
{
    struct throttle throttle = THROTTLE_NONE;
    int64_t rest_us = 0;

    step(&throttle, 400, 1500);
    for (int i = 0; i < 20; i++) {
        rest_us = step(&throttle, 1200, 1500);
    }
    ck_assert_int_ge(rest_us, 5 * 2700 / 2); /* three times as long, or nearly */
    ck_assert_int_le(rest_us, 3 * 2700);
    ck_assert_int_eq(throttle.extra_us, 0);
    for (int i = 0; i < 20; i++) {
        rest_us = step(&throttle, 400, 1500);
    }
    ck_assert_int_le(rest_us, 2100);
}
END_TEST

START_TEST(a_slow_server_doubles_the_extra_rest)
{
    for (int server = 0; server < THROTTLE_SERVERS; server++) {
        struct throttle throttle = THROTTLE_NONE;
        int64_t cache_us = server == THROTTLE_CACHE ? 9000 : 400;
        int64_t store_us = server == THROTTLE_STORE ? 40000 : 1500;
        int64_t extra_us = THROTTLE_EXTRA_MIN_US;

        step(&throttle, 400, 1500);
        for (int i = 0; i < 20; i++) {
            int64_t rest_us = step(&throttle, cache_us, store_us);
            ck_assert_int_eq(throttle.extra_us, extra_us);
            ck_assert_int_ge(rest_us, cache_us + store_us + extra_us);
            ck_assert_int_le(rest_us, THROTTLE_TIMES_MAX * (cache_us + store_us) + extra_us);
            extra_us = 2 * extra_us < THROTTLE_EXTRA_MAX_US ? 2 * extra_us : THROTTLE_EXTRA_MAX_US;
        }
        ck_assert_int_eq(throttle.extra_us, THROTTLE_EXTRA_MAX_US);
    }
}
END_TEST

START_TEST(one_that_recovers_is_used_again)
{
    struct throttle throttle = THROTTLE_NONE;
    int steps = 0;

    step(&throttle, 400, 1500);
    for (int i = 0; i < 20; i++) {
        step(&throttle, 9000, 1500);
    }
    while (step(&throttle, 400, 1500) > 2100) {
        ck_assert_int_lt(++steps, 25);
    }
}
END_TEST

START_TEST(what_is_harmless_is_not_slow)
{
    struct throttle throttle = THROTTLE_NONE;

    step(&throttle, 100, 300);
    step(&throttle, 2900, 9900);
    ck_assert_int_eq(throttle.extra_us, 0);
}
END_TEST

START_TEST(a_lasting_change_becomes_the_measure)
{
    struct throttle throttle = THROTTLE_NONE;
    int steps = 0;

    step(&throttle, 1000, 1500);
    while (step(&throttle, 9000, 1500) > 11000) {
        ck_assert_int_lt(++steps, 1000);
    }
    ck_assert_int_gt(steps, 50);
    ck_assert_int_gt(step(&throttle, 40000, 1500), 42000); /* worse again */
}
END_TEST

UNIT_MAIN("throttle", half_of_the_time_is_others, whoever_takes_longer_gets_more_rest,
          a_slow_server_doubles_the_extra_rest, one_that_recovers_is_used_again,
          what_is_harmless_is_not_slow, a_lasting_change_becomes_the_measure)
