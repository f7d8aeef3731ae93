/* The reply writer, in RESP2 and RESP3. */
#include "wire/resp.h"

#include <string.h>

#include "unit.h"

static struct buffer out;
static struct resp_writer two = {.out = &out, .protocol = 2};
static struct resp_writer three = {.out = &out, .protocol = 3};

/* What was written since the last call. */
static void wrote(const char *expected)
{
    ck_assert_uint_eq(out.len, strlen(expected));
    ck_assert_mem_eq(out.data, expected, out.len);
    buffer_clear(&out);
}

START_TEST(the_same_in_both)
{
    struct resp_writer *writers[] = {&two, &three};

    for (int i = 0; i < 2; i++) {
        resp_simple(writers[i], "OK");
        wrote("+OK\r\n");
        resp_int(writers[i], INT64_MIN);
        wrote(":-9223372036854775808\r\n");
        resp_bulk(writers[i], "a\r\n", 3);
        wrote("$3\r\na\r\n\r\n");
        resp_bulk(writers[i], NULL, 0);
        wrote("$0\r\n\r\n");
        resp_bulk_text(writers[i], "abc");
        wrote("$3\r\nabc\r\n");
        resp_bulk_int64(writers[i], -100);
        wrote("$4\r\n-100\r\n");
        resp_bulk_int64(writers[i], INT64_MAX);
        wrote("$19\r\n9223372036854775807\r\n");
        resp_bulk_uint64(writers[i], UINT64_MAX);
        wrote("$20\r\n18446744073709551615\r\n");
        resp_array(writers[i], 0);
        wrote("*0\r\n");
        resp_array(writers[i], 1000);
        wrote("*1000\r\n");
    }
    buffer_free(&out);
}
END_TEST

START_TEST(what_differs)
{
    resp_nil(&two);
    wrote("$-1\r\n");
    resp_nil(&three);
    wrote("_\r\n");
    resp_nil_array(&two);
    wrote("*-1\r\n");
    resp_nil_array(&three);
    wrote("_\r\n");
    resp_map(&two, 3);
    wrote("*6\r\n");
    resp_map(&three, 3);
    wrote("%3\r\n");
    resp_set(&two, 3);
    wrote("*3\r\n");
    resp_set(&three, 3);
    wrote("~3\r\n");
    resp_push(&two, 3);
    wrote("*3\r\n");
    resp_push(&three, 3);
    wrote(">3\r\n");
    resp_verbatim(&two, "a\nb", 3);
    wrote("$3\r\na\nb\r\n");
    resp_verbatim(&three, "a\nb", 3);
    wrote("=7\r\ntxt:a\nb\r\n");
    resp_bool(&two, true);
    wrote(":1\r\n");
    resp_bool(&two, false);
    wrote(":0\r\n");
    resp_bool(&three, true);
    wrote("#t\r\n");
    resp_bool(&three, false);
    wrote("#f\r\n");
    resp_double(&two, 0.5);
    wrote("$3\r\n0.5\r\n");
    resp_double(&three, 0.5);
    wrote(",0.5\r\n");
    buffer_free(&out);
}
END_TEST

START_TEST(errors_are_one_clean_line)
{
    static char text[5000];

    resp_error(&two, "ERR", "no '%s', only %d", "x", 5);
    wrote("-ERR no 'x', only 5\r\n");
    resp_error(&two, "ERR", "quoted '%s%c'", "a\r\n-ERR b", 0);
    wrote("-ERR quoted 'a  -ERR b '\r\n");
    memset(text, 'x', sizeof text - 1);
    resp_error(&two, "ERR", "%s", text);
    ck_assert_uint_le(out.len, 1100);
    ck_assert_mem_eq(out.data + out.len - 3, "x\r\n", 3);
    buffer_free(&out);
}
END_TEST

START_TEST(many_replies_grow_the_buffer)
{
    size_t at = 0;

    for (int i = 0; i < 10000; i++) {
        resp_bulk_int64(&two, 7);
    }
    for (int i = 0; i < 10000; i++, at += 7) {
        ck_assert_mem_eq(out.data + at, "$1\r\n7\r\n", 7);
    }
    ck_assert_uint_eq(out.len, at);
    buffer_free(&out);
}
END_TEST

UNIT_MAIN("resp_write", the_same_in_both, what_differs, errors_are_one_clean_line,
          many_replies_grow_the_buffer)
