/* Rows of accounts against the entries of their journals. */
#include "ops/books.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define ACCOUNTS 5000

static struct books *books;

static void account(const char *id, int64_t balance, int64_t version)
{
    books_add_account(books, id, strlen(id), balance, version);
}

static void entry(const char *id, int64_t version, int64_t amount)
{
    ck_assert_int_eq(books_add_entry(books, id, strlen(id), version, amount), BOOKS_TAKEN);
}

static bool wrong(const char *id)
{
    return books_is_wrong(books, id, strlen(id));
}

START_TEST(agrees_with_whatever_order_the_entries_have)
{
    books = books_create();
    account("a", 70, 4);
    account("b", 30, 1);
    entry("a", 4, -30);
    entry("b", 1, 30);
    entry("a", 1, 0);
    entry("a", 3, 60);
    ck_assert(wrong("a")); /* one is missing yet */
    entry("a", 2, 40);
    ck_assert(!wrong("a"));
    ck_assert(!wrong("b"));
    ck_assert_uint_eq(books_count_wrong(books), 0);
    books_free(books);
}
END_TEST

START_TEST(a_balance_a_gap_and_a_version_twice_are_wrong)
{
    books = books_create();
    account("balance", 6, 2);
    account("gap", 5, 3);
    account("twice", 5, 2);
    account("both", 5, 3);
    for (int i = 0; i < 4; i++) {
        entry((const char *const[]){"balance", "gap", "twice", "both"}[i], 1, 5);
    }
    entry("balance", 2, 0);
    entry("gap", 3, 0);
    entry("twice", 2, 0);
    entry("twice", 2, 0);
    entry("both", 3, 0); /* as many entries as versions, the first and the last there */
    entry("both", 3, 0);
    ck_assert_uint_eq(books_count_wrong(books), 4);
    ck_assert(!books_is_wrong(books, "none", 4));
    books_free(books);
}
END_TEST

START_TEST(what_came_after_the_row_is_passed_over)
{
    books = books_create();
    account("a", 5, 2);
    entry("a", 1, 0);
    entry("a", 2, 5);
    ck_assert_int_eq(books_add_entry(books, "a", 1, 3, 100), BOOKS_LATER);
    ck_assert_int_eq(books_add_entry(books, "new", 3, 1, 0), BOOKS_NO_ROW);
    ck_assert_uint_eq(books_count_wrong(books), 0);
    books_free(books);
}
END_TEST

START_TEST(amounts_of_64_bits_do_not_wrap_around)
{
    books = books_create();
    account("wrap", 0, 3); /* 2^64 less than what came */
    account("full", INT64_MAX, 3);
    account("low", INT64_MIN, 1);
    entry("wrap", 1, INT64_MAX);
    entry("wrap", 2, INT64_MAX);
    entry("wrap", 3, 2);
    entry("full", 1, INT64_MAX);
    entry("full", 2, INT64_MAX);
    entry("full", 3, -INT64_MAX);
    entry("low", 1, INT64_MIN);
    ck_assert(wrong("wrap"));
    ck_assert(!wrong("full"));
    ck_assert(!wrong("low"));
    books_free(books);
}
END_TEST

START_TEST(versions_that_cannot_be_are_wrong)
{
    books = books_create();
    account("zero", 0, 0);
    account("much", 0, INT64_MAX);
    account("good", 0, 1);
    account("below", 0, 1);
    account("row", 0, 1);
    account("row", 0, 1);
    entry("good", 1, 0);
    entry("row", 1, 0);
    entry("below", 1, 0);
    entry("below", 0, 0);
    ck_assert_int_eq(books_add_entry(books, "much", 4, 1, 0), BOOKS_LATER);
    ck_assert_uint_eq(books_count_wrong(books), 4);
    ck_assert(!wrong("good"));
    books_free(books);
}
END_TEST

/* Versions of many lengths, so that runs of bits begin and end anywhere in a word. */
START_TEST(many_accounts_and_then_others)
{
    char id[32];

    books = books_create();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < ACCOUNTS; i++) {
            snprintf(id, sizeof id, "%d:%d", round, i);
            account(id, i, i % 200 + 1);
        }
        for (int i = 0; i < ACCOUNTS; i++) {
            snprintf(id, sizeof id, "%d:%d", round, i);
            for (int version = i % 200 + 1; version > 0; version--) {
                if (i != 4321 || version != 70) {
                    entry(id, version, version == 1 ? i : 0);
                }
            }
        }
        ck_assert_uint_eq(books_count_wrong(books), 1);
        snprintf(id, sizeof id, "%d:4321", round);
        ck_assert(wrong(id));
        books_clear(books);
        ck_assert_int_eq(books_add_entry(books, id, strlen(id), 1, 0), BOOKS_NO_ROW);
    }
    books_free(books);
}
END_TEST

UNIT_MAIN("books", agrees_with_whatever_order_the_entries_have,
          a_balance_a_gap_and_a_version_twice_are_wrong, what_came_after_the_row_is_passed_over,
          amounts_of_64_bits_do_not_wrap_around, versions_that_cannot_be_are_wrong,
          many_accounts_and_then_others)
