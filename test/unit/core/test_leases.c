/* Who is silent, who agrees and who has seen: the lease rows as one daemon judges them. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "core/leases.h"

#define MS 1000
#define W (1100 * MS)

static struct leases leases;
static struct store_lease rows[3];
static int64_t now = 5000 * MS;

static void set_up(void)
{
    memset(&leases, 0, sizeof leases);
    memset(rows, 0, sizeof rows);
    leases.wait_us = W;
    for (int i = 0; i < 3; i++) {
        snprintf(rows[i].daemon, sizeof rows[i].daemon, "d%d", i);
        snprintf(rows[i].run_id, sizeof rows[i].run_id, "run");
        rows[i].renewals = 2;
    }
}

/* A list that comes so much after the one before; d1 has renewed, d2 only if it is said to. */
static bool list_after(int64_t ms, bool second_renews)
{
    const struct store_leases reply = {.leases = rows, .count = 3};

    now += ms * MS;
    rows[0].renewals++;
    rows[1].renewals++;
    rows[2].renewals += second_renews;
    return leases_absorb(&leases, "d0", &reply, now, now);
}

START_TEST(who_does_not_renew_is_silent_after_the_wait)
{
    set_up();
    ck_assert(list_after(0, true));
    for (int64_t passed = 333; passed <= 999; passed += 333) {
        ck_assert(list_after(333, false));
        ck_assert_ptr_null(leases_silent(&leases, now));
    }
    ck_assert_ptr_null(leases_silent(&leases, now + 100 * MS));
    ck_assert_str_eq(leases_silent(&leases, now + 101 * MS)->lease.daemon, "d2");
    ck_assert(list_after(333, true));
    ck_assert_ptr_null(leases_silent(&leases, now));
}
END_TEST

START_TEST(nobody_is_silent_while_the_store_is)
{
    set_up();
    ck_assert(list_after(0, true));
    ck_assert_ptr_null(leases_silent(&leases, now + 10 * W)); /* by a list of long ago */
    ck_assert(list_after(10000, false));
    ck_assert_ptr_null(leases_silent(&leases, now)); /* the others have yet to reconnect */
    for (int64_t passed = 333; passed < 2500; passed += 333) {
        ck_assert(list_after(333, false));
        ck_assert_ptr_null(leases_silent(&leases, now));
    }
    ck_assert(list_after(333, false)); /* but not for ever */
    ck_assert_str_eq(leases_silent(&leases, now)->lease.daemon, "d2");
}
END_TEST

START_TEST(only_the_living_need_agree)
{
    struct cache_identity ours = {.run_id = "run", .replid = ""};

    set_up();
    ck_assert(list_after(0, true));
    ck_assert(leases_agree(&leases, &ours, now));
    snprintf(rows[2].run_id, sizeof rows[2].run_id, "other");
    ck_assert(list_after(333, false));
    ck_assert(!leases_agree(&leases, &ours, now));
    for (int i = 0; i < 3; i++) {
        ck_assert(list_after(333, false));
    }
    ck_assert(leases_agree(&leases, &ours, now));
}
END_TEST

START_TEST(all_must_have_seen_a_close)
{
    set_up();
    rows[1].seen = 7;
    ck_assert(list_after(0, true));
    ck_assert(!leases_have_seen(&leases, 7));
    rows[2].seen = 8;
    ck_assert(list_after(333, true));
    ck_assert(leases_have_seen(&leases, 7));
    ck_assert(!leases_have_seen(&leases, 8));
}
END_TEST

START_TEST(the_own_row_may_be_fenced_gone_or_new)
{
    struct store_leases none = {.leases = rows + 1, .count = 2};

    set_up();
    ck_assert(list_after(0, true));
    ck_assert_uint_eq(leases.own_renewals, 3);
    rows[0].fenced = true;
    ck_assert(!list_after(333, true));
    ck_assert_uint_eq(leases.own_renewals, 0);
    ck_assert(!leases_absorb(&leases, "d0", &none, now, now));
    rows[0].fenced = false;
    rows[0].renewals = 0;
    ck_assert(list_after(333, true));
    ck_assert_uint_eq(leases.own_renewals, 1); /* this renewal has made it */
}
END_TEST

UNIT_MAIN("leases", who_does_not_renew_is_silent_after_the_wait,
          nobody_is_silent_while_the_store_is, only_the_living_need_agree,
          all_must_have_seen_a_close, the_own_row_may_be_fenced_gone_or_new)
