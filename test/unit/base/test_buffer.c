/* Buffers: appended to at the end, consumed at the front, against a plain array. */
#include "base/buffer.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/random.h"
#include "unit.h"

START_TEST(empty_buffer_owns_nothing)
{
    struct buffer buffer = BUFFER_EMPTY;

    buffer_append(&buffer, NULL, 0);
    ck_assert_ptr_null(buffer.start);
    buffer_consume(&buffer, 0);
    buffer_clear(&buffer);
    buffer_trim(&buffer, 0);
    buffer_free(&buffer);
    ck_assert_uint_eq(buffer.len, 0);
}
END_TEST

START_TEST(reserve_of_nothing_gives_a_place)
{
    struct buffer buffer = BUFFER_EMPTY;

    ck_assert_ptr_nonnull(buffer_reserve(&buffer, 0));
    buffer_free(&buffer);
}
END_TEST

START_TEST(appends_and_prints)
{
    struct buffer buffer = BUFFER_EMPTY;
    char long_text[2000];

    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    buffer_append_text(&buffer, "ab");
    buffer_append_byte(&buffer, 'c');
    buffer_printf(&buffer, "%d-%s", 5, "d");
    ck_assert_mem_eq(buffer.data, "abc5-d", 6);
    ck_assert_uint_eq(buffer.len, 6);
    buffer_printf(&buffer, "%s", long_text);
    ck_assert_uint_eq(buffer.len, 6 + sizeof long_text - 1);
    ck_assert_mem_eq(buffer.data + 6, long_text, sizeof long_text - 1);
    buffer_free(&buffer);
}
END_TEST

START_TEST(limits_hold_and_change_nothing)
{
    struct buffer buffer = BUFFER_EMPTY;

    ck_assert(buffer_append_within(&buffer, "12345", 5, 8));
    ck_assert(!buffer_append_within(&buffer, "6789", 4, 8));
    ck_assert(buffer_append_within(&buffer, "678", 3, 8));
    ck_assert(!buffer_append_within(&buffer, "9", 1, 8));
    ck_assert(!buffer_append_within(&buffer, "9", 1, 4));
    ck_assert(!buffer_append_within(&buffer, "9", SIZE_MAX, SIZE_MAX));
    ck_assert_ptr_null(buffer_reserve_within(&buffer, 1, 8));
    ck_assert_ptr_null(buffer_reserve_within(&buffer, SIZE_MAX, SIZE_MAX));
    ck_assert_ptr_nonnull(buffer_reserve_within(&buffer, 1, 9));
    ck_assert_mem_eq(buffer.data, "12345678", 8);
    ck_assert_uint_eq(buffer.len, 8);
    buffer_free(&buffer);
}
END_TEST

START_TEST(trims_only_an_empty_one)
{
    struct buffer buffer = BUFFER_EMPTY;

    (void)buffer_reserve(&buffer, 100000);
    buffer_append_byte(&buffer, 'x');
    buffer_trim(&buffer, 1000);
    ck_assert_uint_ge(buffer.cap, 100000);
    buffer_consume(&buffer, 1);
    buffer_trim(&buffer, 1000000);
    ck_assert_uint_ge(buffer.cap, 100000);
    buffer_trim(&buffer, 1000);
    ck_assert_uint_eq(buffer.cap, 0);
    buffer_free(&buffer);
}
END_TEST

/* A stream that never lets the buffer become empty must not make it grow for ever. */
START_TEST(room_in_front_is_taken_back)
{
    struct buffer buffer = BUFFER_EMPTY;

    buffer_append(&buffer, "0123456789", 10);
    for (int i = 0; i < 100000; i++) {
        buffer_append(&buffer, "0123456789", 10);
        buffer_consume(&buffer, 10);
        ck_assert_mem_eq(buffer.data, "0123456789", 10);
    }
    ck_assert_uint_le((size_t)(buffer.data - buffer.start) + buffer.cap, 1024);
    buffer_free(&buffer);
}
END_TEST

START_TEST(random_work_agrees_with_an_array)
{
    enum { ROOM = 1 << 20 };
    unsigned char *model = malloc(ROOM);
    size_t first = 0, last = 0;
    struct buffer buffer = BUFFER_EMPTY;
    unsigned char next = 0;

    while (last < ROOM - 4096) {
        if (random_between(0, 2) > 0) {
            size_t count = (size_t)random_between(0, random_between(0, 9) == 0 ? 4000 : 40);

            for (size_t i = 0; i < count; i++) {
                model[last + i] = next++;
            }
            buffer_append(&buffer, model + last, count);
            last += count;
        } else {
            size_t count = (size_t)random_between(0, (int64_t)(last - first));

            buffer_consume(&buffer, count);
            first += count;
        }
        ck_assert_uint_eq(buffer.len, last - first);
        ck_assert_uint_le(buffer.len, buffer.cap);
        if (buffer.len > 0) {
            ck_assert_mem_eq(buffer.data, model + first, last - first);
        }
    }
    buffer_free(&buffer);
    free(model);
}
END_TEST

UNIT_MAIN("buffer", empty_buffer_owns_nothing, reserve_of_nothing_gives_a_place, appends_and_prints,
          limits_hold_and_change_nothing, trims_only_an_empty_one, room_in_front_is_taken_back,
          random_work_agrees_with_an_array)
