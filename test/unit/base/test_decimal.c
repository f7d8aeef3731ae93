/* Numbers: one way to write them, and no other is read. */
#include "base/decimal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "unit.h"

static enum decimal_result parse_int64(const char *text, int64_t *value)
{
    return decimal_parse_int64(text, strlen(text), value);
}

START_TEST(writes_the_edges)
{
    char out[DECIMAL_ROOM];

    ck_assert_uint_eq(decimal_write_int64(out, 0), 1);
    ck_assert_str_eq(out, "0");
    ck_assert_uint_eq(decimal_write_int64(out, INT64_MIN), 20);
    ck_assert_str_eq(out, "-9223372036854775808");
    ck_assert_uint_eq(decimal_write_int64(out, INT64_MAX), 19);
    ck_assert_str_eq(out, "9223372036854775807");
    ck_assert_uint_eq(decimal_write_uint64(out, UINT64_MAX), 20);
    ck_assert_str_eq(out, "18446744073709551615");
    ck_assert_uint_eq(decimal_write_int64(out, -1), 2);
    ck_assert_str_eq(out, "-1");
}
END_TEST

START_TEST(reads_the_edges)
{
    int64_t value;
    uint64_t wide;

    ck_assert(parse_int64("9223372036854775807", &value) == DECIMAL_OK && value == INT64_MAX);
    ck_assert(parse_int64("-9223372036854775808", &value) == DECIMAL_OK && value == INT64_MIN);
    ck_assert(parse_int64("0", &value) == DECIMAL_OK && value == 0);
    ck_assert(parse_int64("-1", &value) == DECIMAL_OK && value == -1);
    ck_assert(decimal_parse_uint64("18446744073709551615", 20, &wide) == DECIMAL_OK);
    ck_assert(wide == UINT64_MAX);
}
END_TEST

START_TEST(refuses_what_does_not_fit_and_leaves_the_value)
{
    static const char *const texts[] = {
        "9223372036854775808",  "-9223372036854775809",  "18446744073709551615",
        "18446744073709551616", "-18446744073709551616", "99999999999999999999999999999999",
    };
    int64_t value = 42;
    uint64_t wide = 42;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_msg(parse_int64(texts[i], &value) == DECIMAL_RANGE, "%s", texts[i]);
    }
    ck_assert(decimal_parse_uint64("18446744073709551616", 20, &wide) == DECIMAL_RANGE);
    ck_assert_int_eq(value, 42);
    ck_assert_uint_eq(wide, 42);
}
END_TEST

START_TEST(refuses_other_forms)
{
    static const char *const texts[] = {
        "",    "-",   "+1",  "--1",  "01",  "00",  "-0",
        "-01", " 1",  "1 ",  "1.0",  "1e3", "0x1", "1,0",
        "1_0", "\t1", "1\n", "abc",  "1a",  "nan", "inf",
        "१",   ".5",  "5.",  "1\\0", "/",   ":",   "99999999999999999999999999x",
    };
    int64_t value = 42;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_msg(parse_int64(texts[i], &value) == DECIMAL_MALFORMED, "'%s'", texts[i]);
        ck_assert_msg(decimal_parse_positive(texts[i], strlen(texts[i]), &value) ==
                          DECIMAL_MALFORMED,
                      "'%s'", texts[i]);
    }
    ck_assert(decimal_parse_int64("1\0002", 3, &value) == DECIMAL_MALFORMED);
    ck_assert(decimal_parse_uint64("-1", 2, &(uint64_t){0}) == DECIMAL_MALFORMED);
    ck_assert_int_eq(value, 42);
}
END_TEST

START_TEST(amounts_are_positive)
{
    int64_t value = 42;

    ck_assert(decimal_parse_positive("0", 1, &value) == DECIMAL_RANGE);
    ck_assert(decimal_parse_positive("-5", 2, &value) == DECIMAL_RANGE);
    ck_assert(decimal_parse_positive("9223372036854775808", 19, &value) == DECIMAL_RANGE);
    ck_assert_int_eq(value, 42);
    ck_assert(decimal_parse_positive("1", 1, &value) == DECIMAL_OK && value == 1);
    ck_assert(decimal_parse_positive("9223372036854775807", 19, &value) == DECIMAL_OK);
    ck_assert(value == INT64_MAX);
}
END_TEST

START_TEST(reads_only_what_it_is_given)
{
    int64_t value;

    ck_assert(decimal_parse_int64("123456", 3, &value) == DECIMAL_OK && value == 123);
    ck_assert(decimal_parse_int64("12x", 2, &value) == DECIMAL_OK && value == 12);
}
END_TEST

START_TEST(agrees_with_printf_and_comes_back)
{
    for (int i = 0; i < 100000; i++) {
        int64_t number = (int64_t)(random_uint64() >> (i % 64)) * (i % 2 == 0 ? 1 : -1);
        char out[DECIMAL_ROOM], expected[32];
        int64_t back;
        size_t len = decimal_write_int64(out, number);

        snprintf(expected, sizeof expected, "%" PRId64, number);
        ck_assert_str_eq(out, expected);
        ck_assert_uint_eq(len, strlen(expected));
        ck_assert(decimal_parse_int64(out, len, &back) == DECIMAL_OK && back == number);
    }
}
END_TEST

UNIT_MAIN("decimal", writes_the_edges, reads_the_edges,
          refuses_what_does_not_fit_and_leaves_the_value, refuses_other_forms, amounts_are_positive,
          reads_only_what_it_is_given, agrees_with_printf_and_comes_back)
