/* Intrusive lists. */
#include "base/list.h"

#include "unit.h"

struct item {
    int number;
    struct list link;
};

static struct item items[5];
static struct list head, other;

static void reset(void)
{
    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_init(&items[i].link);
    }
}

/* The numbers on the list, as digits. */
static int digits(struct list *list)
{
    int sum = 0;

    LIST_EACH(list, link) {
        sum = sum * 10 + LIST_ENTRY(link, struct item, link)->number;
    }
    return sum;
}

START_TEST(queue_keeps_order)
{
    reset();
    ck_assert(list_is_empty(&head));
    ck_assert_ptr_null(LIST_FIRST(&head, struct item, link));
    ck_assert_ptr_null(LIST_POP_FRONT(&head, struct item, link));
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[2].link);
    list_push_front(&head, &items[3].link);
    ck_assert_int_eq(digits(&head), 312);
    ck_assert_int_eq(LIST_FIRST(&head, struct item, link)->number, 3);
    ck_assert_int_eq(LIST_POP_FRONT(&head, struct item, link)->number, 3);
    ck_assert_int_eq(digits(&head), 12);
}
END_TEST

START_TEST(any_element_can_go_and_twice_does_no_harm)
{
    reset();
    for (int i = 1; i < 5; i++) {
        list_push_back(&head, &items[i].link);
    }
    ck_assert(list_is_linked(&items[2].link));
    list_unlink(&items[2].link);
    list_unlink(&items[2].link);
    ck_assert(!list_is_linked(&items[2].link));
    ck_assert_int_eq(digits(&head), 134);
    list_insert_before(&items[4].link, &items[2].link);
    ck_assert_int_eq(digits(&head), 1324);
}
END_TEST

START_TEST(walk_allows_to_unlink)
{
    reset();
    for (int i = 1; i < 5; i++) {
        list_push_back(&head, &items[i].link);
    }
    LIST_EACH(&head, link) {
        if (LIST_ENTRY(link, struct item, link)->number % 2 == 0) {
            list_unlink(link);
        }
    }
    ck_assert_int_eq(digits(&head), 13);
}
END_TEST

START_TEST(splice_joins_in_order)
{
    reset();
    list_splice_back(&head, &other);
    ck_assert(list_is_empty(&head));
    list_push_back(&other, &items[3].link);
    list_push_back(&other, &items[4].link);
    list_splice_back(&head, &other);
    ck_assert_int_eq(digits(&head), 34);
    ck_assert(list_is_empty(&other));
    list_push_back(&other, &items[1].link);
    list_splice_back(&head, &other);
    ck_assert_int_eq(digits(&head), 341);
}
END_TEST

UNIT_MAIN("list", queue_keeps_order, any_element_can_go_and_twice_does_no_harm,
          walk_allows_to_unlink, splice_joins_in_order)
