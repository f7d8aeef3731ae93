/* Which accounts a walk has come by. */
#include "ops/known.h"

#include <stdio.h>

#include "unit.h"

#define ACCOUNTS 20000

static struct account_id id_of(int number)
{
    struct account_id id = {.len = 0};
    char text[32];

    ck_assert(account_id_parse(&id, text, (size_t)snprintf(text, sizeof text, "a:%d", number)));
    return id;
}

START_TEST(knows_what_was_added_and_nothing_else)
{
    struct known *known = known_create();

    for (int i = 0; i < ACCOUNTS; i++) {
        struct account_id id = id_of(i);
        ck_assert(!known_has(known, &id));
        known_add(known, &id);
        known_add(known, &id);
    }
    for (int i = 0; i < 2 * ACCOUNTS; i++) {
        struct account_id id = id_of(i);
        ck_assert_int_eq(known_has(known, &id), i < ACCOUNTS);
    }
    known_free(known);
}
END_TEST

UNIT_MAIN("known", knows_what_was_added_and_nothing_else)
