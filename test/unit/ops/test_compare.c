/* When a cached value differs from the store, and when it only looks as if it did. */
#include "ops/compare.h"

#include <string.h>

#include "unit.h"

#define ERA 7

static struct account_state state(uint64_t version, int64_t balance)
{
    struct account_state made = {.version = version, .balance = balance};

    ck_assert(asset_parse(&made.asset, "USD/2", 5));
    return made;
}

static struct cache_value value(enum cache_value_kind kind, uint64_t era, uint64_t version,
                                int64_t balance)
{
    return (struct cache_value){.kind = kind, .era = era, .state = state(version, balance)};
}

static bool differs(struct account_state before, struct cache_value cached,
                    struct account_state after)
{
    return compare_differs(&before, &cached, ERA, &after);
}

START_TEST(nothing_that_can_be_shown_is_no_difference)
{
    ck_assert(!differs(state(3, 5), value(CACHE_ABSENT, 0, 0, 0), state(3, 5)));
    ck_assert(!differs(state(3, 5), value(CACHE_TOKEN, ERA, 0, 0), state(3, 5)));
    ck_assert(!differs(state(3, 5), value(CACHE_STATE, ERA - 1, 2, 1), state(3, 5)));
    ck_assert(!differs(state(0, 0), value(CACHE_NEGATIVE, ERA, 0, 0), state(0, 0)));
    struct cache_value cached = value(CACHE_STATE, ERA, 9, 9);
    struct account_state row = state(3, 5);
    ck_assert(!compare_differs(&row, &cached, 0, &row));
}
END_TEST

START_TEST(poison_always_differs)
{
    struct cache_value cached = value(CACHE_POISON, 0, 0, 0);
    struct account_state row = state(3, 5), none = {0};

    ck_assert(compare_differs(&row, &cached, ERA, &row));
    ck_assert(compare_differs(&row, &cached, 0, &row));
    ck_assert(compare_differs(&none, &cached, ERA, &none));
}
END_TEST

START_TEST(versions_between_two_reads_are_right)
{
    ck_assert(!differs(state(3, 5), value(CACHE_STATE, ERA, 3, 5), state(3, 5)));
    ck_assert(!differs(state(3, 5), value(CACHE_STATE, ERA, 4, 6), state(5, 7)));
    ck_assert(!differs(state(3, 5), value(CACHE_STATE, ERA, 5, 7), state(5, 7)));
    ck_assert(!differs(state(0, 0), value(CACHE_STATE, ERA, 1, 0), state(1, 0)));
    ck_assert(!differs(state(0, 0), value(CACHE_NEGATIVE, ERA, 0, 0), state(1, 0)));
}
END_TEST

START_TEST(versions_outside_and_other_contents_differ)
{
    ck_assert(differs(state(3, 5), value(CACHE_STATE, ERA, 2, 4), state(3, 5)));
    ck_assert(differs(state(3, 5), value(CACHE_STATE, ERA, 4, 6), state(3, 5)));
    ck_assert(differs(state(3, 5), value(CACHE_STATE, ERA, 3, 6), state(3, 5)));
    ck_assert(differs(state(3, 5), value(CACHE_STATE, ERA, 3, 6), state(4, 7)));
    ck_assert(differs(state(3, 5), value(CACHE_STATE, ERA, 4, 6), state(4, 7)));
    ck_assert(differs(state(3, 5), value(CACHE_NEGATIVE, ERA, 0, 0), state(3, 5)));
    ck_assert(differs(state(0, 0), value(CACHE_STATE, ERA, 1, 0), state(0, 0)));
}
END_TEST

START_TEST(every_field_counts)
{
    struct account_state row = state(3, 5), other;

    ck_assert(compare_states_equal(&row, &row));
    other = row, other.held = 1;
    ck_assert(!compare_states_equal(&row, &other));
    other = row, other.floor = 1;
    ck_assert(!compare_states_equal(&row, &other));
    other = row, other.status = ACCOUNT_CLOSED;
    ck_assert(!compare_states_equal(&row, &other));
    other = row, other.asset.bytes[0] = 'E';
    ck_assert(!compare_states_equal(&row, &other));
}
END_TEST

UNIT_MAIN("compare", nothing_that_can_be_shown_is_no_difference, poison_always_differs,
          versions_between_two_reads_are_right, versions_outside_and_other_contents_differ,
          every_field_counts)
