/* Binary parameters, byte by byte, and their memory. */
#include "store/params.h"

#include <signal.h>
#include <string.h>

#include "unit.h"

static struct params set;

static void expect(int index, const char *bytes, size_t len)
{
    params_seal(&set);
    ck_assert_int_eq(set.lengths[index], (int)len);
    ck_assert_int_eq(set.formats[index], 1);
    ck_assert_mem_eq(set.values[index], bytes, len);
}

#define EXPECT(index, literal) expect(index, literal, sizeof(literal) - 1)

START_TEST(scalars)
{
    params_reset(&set);
    params_int8(&set, -2);
    params_int4(&set, 258);
    params_text(&set, "ab", 2);
    params_text(&set, "", 0);
    params_null(&set);
    EXPECT(0, "\xff\xff\xff\xff\xff\xff\xff\xfe");
    EXPECT(1, "\0\0\1\2");
    EXPECT(2, "ab");
    ck_assert_int_eq(set.count, 5);
    ck_assert_int_eq(set.lengths[3], 0);
    ck_assert_ptr_nonnull(set.values[3]); /* the empty string is not NULL */
    ck_assert_ptr_null(set.values[4]);
}
END_TEST

START_TEST(an_empty_text_alone_is_not_null)
{
    struct params other = {0};

    params_reset(&other);
    params_text(&other, "", 0);
    params_seal(&other);
    ck_assert_ptr_nonnull(other.values[0]);
    ck_assert_int_eq(other.lengths[0], 0);
    params_free(&other);
}
END_TEST

START_TEST(text_array_with_a_null)
{
    params_reset(&set);
    params_array(&set, PARAM_TEXT, 3);
    params_element_text(&set, "abc", 3);
    params_element_null(&set);
    params_element_text(&set, "", 0);
    EXPECT(0, "\0\0\0\1" /* dimensions */
              "\0\0\0\1" /* has nulls */
              "\0\0\0\x19"
              "\0\0\0\3" /* elements */
              "\0\0\0\1" /* lower bound */
              "\0\0\0\3abc"
              "\xff\xff\xff\xff"
              "\0\0\0\0");
}
END_TEST

START_TEST(int_arrays)
{
    params_reset(&set);
    params_array(&set, PARAM_INT8, 1);
    params_element_int8(&set, INT64_MIN);
    params_array(&set, PARAM_INT4, 2);
    params_element_int4(&set, 1);
    params_element_int4(&set, -1);
    params_array(&set, PARAM_INT2, 1);
    params_element_int2(&set, 513);
    EXPECT(0, "\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\1\0\0\0\1"
              "\0\0\0\x08\x80\0\0\0\0\0\0\0");
    EXPECT(1, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1"
              "\0\0\0\4\0\0\0\1\0\0\0\4\xff\xff\xff\xff");
    EXPECT(2, "\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\1\0\0\0\1\0\0\0\2\2\1");
}
END_TEST

START_TEST(an_empty_array_has_no_dimension)
{
    params_reset(&set);
    params_array(&set, PARAM_TEXT, 0);
    params_int4(&set, 1);
    EXPECT(0, "\0\0\0\0\0\0\0\0\0\0\0\x19");
    EXPECT(1, "\0\0\0\1");
}
END_TEST

START_TEST(nothing_is_allocated_the_second_time)
{
    const char *start = NULL;

    for (int round = 0; round < 3; round++) {
        params_reset(&set);
        params_array(&set, PARAM_TEXT, 10000);
        for (int i = 0; i < 10000; i++) {
            params_element_text(&set, "0123456789abcdef", 16);
        }
        params_seal(&set);
        if (round > 0) {
            ck_assert_ptr_eq(set.values[0], start);
        }
        start = set.values[0];
    }
}
END_TEST

START_TEST(a_missing_element_aborts)
{
    params_reset(&set);
    params_array(&set, PARAM_INT8, 2);
    params_element_int8(&set, 1);
    params_seal(&set);
}
END_TEST

START_TEST(an_element_of_another_type_aborts)
{
    params_reset(&set);
    params_array(&set, PARAM_INT8, 2);
    params_element_text(&set, "x", 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("params");
    TCase *all = tcase_create("params");
    SRunner *runner;
    int failed;

    tcase_add_test(all, scalars);
    tcase_add_test(all, an_empty_text_alone_is_not_null);
    tcase_add_test(all, text_array_with_a_null);
    tcase_add_test(all, int_arrays);
    tcase_add_test(all, an_empty_array_has_no_dimension);
    tcase_add_test(all, nothing_is_allocated_the_second_time);
    tcase_add_test_raise_signal(all, a_missing_element_aborts, SIGABRT);
    tcase_add_test_raise_signal(all, an_element_of_another_type_aborts, SIGABRT);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
