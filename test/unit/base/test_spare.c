#include "base/spare.h"

#include <string.h>

#include "unit.h"

START_TEST(gives_again_what_came_back)
{
    struct spare spare;
    spare_init(&spare, 64, 2);
    void *first = spare_take(&spare, 10), *second = spare_take(&spare, 64);
    memset(first, 1, 64);
    memset(second, 2, 64);
    spare_give(&spare, first, 10);
    spare_give(&spare, second, 64);
    ck_assert_int_eq(spare.count, 2);
    ck_assert_ptr_eq(spare_take(&spare, 1), second);
    ck_assert_ptr_eq(spare_take(&spare, 64), first);
    ck_assert_int_eq(spare.count, 0);
    spare_give(&spare, first, 64);
    spare_give(&spare, second, 1);
    spare_free(&spare);
}
END_TEST

START_TEST(keeps_no_more_than_it_may_and_nothing_long)
{
    struct spare spare;
    spare_init(&spare, 16, 1);
    void *blocks[] = {spare_take(&spare, 16), spare_take(&spare, 16), spare_take(&spare, 17)};
    spare_give(&spare, blocks[2], 17);
    ck_assert_int_eq(spare.count, 0);
    spare_give(&spare, blocks[1], 16);
    spare_give(&spare, blocks[0], 16);
    ck_assert_int_eq(spare.count, 1);
    spare_give(&spare, NULL, 16);
    ck_assert_int_eq(spare.count, 1);
    spare_free(&spare);
}
END_TEST

UNIT_MAIN("spare", gives_again_what_came_back, keeps_no_more_than_it_may_and_nothing_long)
