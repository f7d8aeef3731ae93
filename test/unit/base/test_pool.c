/* Pools: zeroed objects, a limit, and memory that is used again. */
#include "base/pool.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "unit.h"

#define LIMIT 3000

struct object {
    uint64_t number;
    char text[33];
};

START_TEST(objects_are_zeroed_distinct_and_aligned)
{
    struct pool *pool = pool_create("objects", sizeof(struct object), LIMIT);
    static struct object *objects[LIMIT];

    for (size_t i = 0; i < LIMIT; i++) {
        struct object *object = pool_take(pool);

        ck_assert_ptr_nonnull(object);
        ck_assert_uint_eq((uintptr_t)object % _Alignof(max_align_t), 0);
        ck_assert_uint_eq(object->number, 0);
        memset(object, 0xff, sizeof *object);
        object->number = i;
        objects[i] = object;
    }
    for (size_t i = 0; i < LIMIT; i++) {
        ck_assert_uint_eq(objects[i]->number, i);
        pool_give(pool, objects[i]);
    }

    struct object *again = pool_take(pool);

    ck_assert_uint_eq(again->number, 0);
    ck_assert_int_eq(again->text[32], 0);
    pool_give(pool, again);
    pool_destroy(pool);
}
END_TEST

START_TEST(limit_holds)
{
    struct pool *pool = pool_create("two", 1, 2);
    void *first = pool_take(pool);
    void *second = pool_take(pool);

    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(pool_take(pool));
    ck_assert_uint_eq(pool_used(pool), 2);
    pool_give(pool, first);
    ck_assert_ptr_nonnull(first = pool_take(pool));
    ck_assert_ptr_null(pool_take(pool));
    pool_give(pool, first);
    pool_give(pool, second);
    pool_give(pool, NULL);
    ck_assert_uint_eq(pool_used(pool), 0);
    ck_assert_uint_eq(pool_high_water(pool), 2);
    ck_assert_uint_eq(pool_limit(pool), 2);
    ck_assert_str_eq(pool_name(pool), "two");
    pool_destroy(pool);
}
END_TEST

START_TEST(last_given_is_first_taken)
{
    struct pool *pool = pool_create("warm", 64, 100);
    void *first = pool_take(pool);
    void *second = pool_take(pool);

    pool_give(pool, first);
    ck_assert_ptr_eq(pool_take(pool), first);
    pool_give(pool, first);
    pool_give(pool, second);
    ck_assert_ptr_eq(pool_take(pool), second);
    pool_give(pool, second);
    pool_destroy(pool);
    pool_destroy(NULL);
}
END_TEST

UNIT_MAIN("pool", objects_are_zeroed_distinct_and_aligned, limit_holds, last_given_is_first_taken)
