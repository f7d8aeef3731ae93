/* When statements may be sent to a store that fails. */
#include "unit.h"

#include "base/random.h"
#include "core/breaker.h"

static struct breaker breaker;
static int64_t now = 1000000;

static void open_it(void)
{
    breaker = (struct breaker){0};
    ck_assert(breaker_admits(&breaker, now));
    breaker_sent(&breaker);
    ck_assert(breaker_failed(&breaker, now));
}

START_TEST(open_it_admits_nothing_until_the_pause_is_over)
{
    open_it();
    ck_assert(!breaker_admits(&breaker, now));
    ck_assert(!breaker_admits(&breaker, breaker.open_until - 1));
    ck_assert(breaker_admits(&breaker, breaker.open_until));
    ck_assert_int_le(breaker.open_until - now, 2 * BREAKER_PAUSE_US);
}
END_TEST

START_TEST(half_open_it_admits_one_probe)
{
    open_it();
    now = breaker.open_until;
    breaker_sent(&breaker);
    ck_assert(!breaker_admits(&breaker, now + BREAKER_PAUSE_MAX_US));
    breaker_passed(&breaker);
    ck_assert(breaker_admits(&breaker, now));
    breaker_sent(&breaker);
    ck_assert(breaker_admits(&breaker, now));
}
END_TEST

START_TEST(the_pause_doubles_with_each_failed_probe_up_to_a_limit)
{
    int64_t before;

    open_it();
    for (int i = 0; i < 12; i++) {
        before = breaker.pause_us;
        now = breaker.open_until;
        breaker_sent(&breaker);
        ck_assert(!breaker_failed(&breaker, now));
        ck_assert_int_eq(breaker.pause_us,
                         2 * before < BREAKER_PAUSE_MAX_US ? 2 * before : BREAKER_PAUSE_MAX_US);
    }
    breaker_sent(&breaker);
    breaker_passed(&breaker);
    ck_assert(breaker_failed(&breaker, now));
    ck_assert_int_eq(breaker.pause_us, BREAKER_PAUSE_US);
}
END_TEST

START_TEST(failures_of_one_trouble_open_it_once)
{
    int64_t until;

    open_it();
    until = breaker.open_until;
    ck_assert(!breaker_failed(&breaker, now + 1));
    ck_assert(!breaker_failed(&breaker, now + 2));
    ck_assert_int_eq(breaker.open_until, until);
    ck_assert_int_eq(breaker.pause_us, BREAKER_PAUSE_US);
}
END_TEST

UNIT_MAIN("breaker", open_it_admits_nothing_until_the_pause_is_over, half_open_it_admits_one_probe,
          the_pause_doubles_with_each_failed_probe_up_to_a_limit,
          failures_of_one_trouble_open_it_once)
