/* Account ids, assets, statuses: what is one and what is not. */
#include "model/account.h"

#include <string.h>

#include "unit.h"

static bool id_ok(const char *text)
{
    struct account_id id = {0};
    bool ok = account_id_parse(&id, text, strlen(text));
    if (ok) {
        ck_assert_uint_eq(id.len, strlen(text));
        ck_assert_mem_eq(id.bytes, text, id.len);
    } else {
        ck_assert_uint_eq(id.len, 0); /* untouched */
    }
    return ok;
}

START_TEST(ids_are_1_to_64_allowed_bytes)
{
    char longest[66];
    memset(longest, 'a', sizeof longest);
    longest[64] = '\0';
    ck_assert(id_ok(longest));
    longest[64] = 'a';
    longest[65] = '\0';
    ck_assert(!id_ok(longest));
    ck_assert(id_ok("a"));
    ck_assert(id_ok("Ab9_.:-"));
    ck_assert(id_ok("@world"));
    ck_assert(!id_ok(""));
    ck_assert(!id_ok("@"));
    ck_assert(!id_ok("a@b"));
    ck_assert(!id_ok("@@b"));
    ck_assert(!id_ok("a b"));
    ck_assert(!id_ok("a/b"));
    ck_assert(!id_ok("a~b"));
    ck_assert(!id_ok("\xc3\xa9"));
    struct account_id id;
    ck_assert(!account_id_parse(&id, "a\0b", 3));
}
END_TEST

START_TEST(every_byte_is_judged)
{
    const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
    for (int c = 0; c < 256; c++) {
        char text[2] = {'x', (char)c};
        struct account_id id;
        ck_assert_int_eq(account_id_parse(&id, text, 2), c != 0 && strchr(allowed, c) != NULL);
    }
}
END_TEST

START_TEST(system_accounts_have_an_at_in_front)
{
    struct account_id id;
    ck_assert(account_id_parse(&id, "@world", 6) && account_id_is_system(&id));
    ck_assert(account_id_parse(&id, "world", 5) && !account_id_is_system(&id));
    struct account_id none = {0};
    ck_assert(!account_id_is_system(&none));
}
END_TEST

START_TEST(equality_and_hash_agree)
{
    struct account_id a = {0}, b, c;
    memset(&b, 0xff, sizeof b); /* what stands behind the id does not count */
    ck_assert(account_id_parse(&a, "alice", 5) && account_id_parse(&b, "alice", 5));
    ck_assert(account_id_parse(&c, "alicf", 5));
    ck_assert(account_id_equal(&a, &b) && !account_id_equal(&a, &c));
    ck_assert_uint_eq(account_id_hash(&a), account_id_hash(&b));
}
END_TEST

START_TEST(ids_are_ordered_by_their_bytes)
{
    static const char *const ordered[] = {"-", "1", "10", "2", "B", "a", "ab", "b"};
    struct account_id a, b;
    for (size_t i = 0; i < sizeof ordered / sizeof ordered[0]; i++) {
        for (size_t j = 0; j < sizeof ordered / sizeof ordered[0]; j++) {
            ck_assert(account_id_parse(&a, ordered[i], strlen(ordered[i])));
            ck_assert(account_id_parse(&b, ordered[j], strlen(ordered[j])));
            int order = account_id_compare(&a, &b);
            ck_assert(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    }
}
END_TEST

START_TEST(assets_are_code_and_scale)
{
    static const char *const good[] = {"USD/2", "A/0", "ABCDEFGHIJKL/18", "9/9", "USD/10"};
    static const char *const bad[] = {
        "",       "USD",    "USD/",  "/2",     "usd/2",  "USD/19",          "USD/-1",
        "USD/02", "USD/00", "U D/2", "USD/2 ", "USD//2", "ABCDEFGHIJKLM/2", "USD/100"};
    struct asset asset;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(asset_parse(&asset, good[i], strlen(good[i])), "%s", good[i]);
        ck_assert_mem_eq(asset.bytes, good[i], asset.len);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!asset_parse(&asset, bad[i], strlen(bad[i])), "%s", bad[i]);
    }
}
END_TEST

START_TEST(available_saturates_at_the_low_end)
{
    struct account_state state = {.balance = 10, .held = 3};
    ck_assert_int_eq(account_available(&state), 7);
    state.balance = INT64_MIN;
    state.held = 1;
    ck_assert_int_eq(account_available(&state), INT64_MIN);
}
END_TEST

START_TEST(status_names_go_both_ways)
{
    for (int i = ACCOUNT_ACTIVE; i <= ACCOUNT_CLOSED; i++) {
        const char *name = account_status_name((enum account_status)i);
        enum account_status back;
        ck_assert(account_status_parse(&back, name, strlen(name)));
        ck_assert_int_eq(back, i);
    }
    enum account_status status;
    ck_assert(!account_status_parse(&status, "activ", 5));
    ck_assert(!account_status_parse(&status, "ACTIVE", 6));
}
END_TEST

START_TEST(spending_stops_at_the_floor)
{
    struct account_state state = {.version = 1, .balance = 100, .held = 30, .floor = -10};

    ck_assert(account_can_spend(&state, 80));
    ck_assert(!account_can_spend(&state, 81));
    ck_assert(!account_can_spend(&state, INT64_MAX));
    state.status = ACCOUNT_SUSPENDED;
    ck_assert(!account_can_spend(&state, 1));
    state = (struct account_state){.version = 1, .balance = INT64_MAX, .floor = INT64_MIN};
    ck_assert(account_can_spend(&state, INT64_MAX));
    state.balance = INT64_MIN;
    ck_assert(!account_can_spend(&state, 1));
    state = (struct account_state){.version = 0, .balance = 5};
    ck_assert(!account_can_spend(&state, 1));
}
END_TEST

UNIT_MAIN("account", ids_are_1_to_64_allowed_bytes, every_byte_is_judged,
          system_accounts_have_an_at_in_front, equality_and_hash_agree,
          ids_are_ordered_by_their_bytes, assets_are_code_and_scale,
          available_saturates_at_the_low_end, status_names_go_both_ways,
          spending_stops_at_the_floor)
