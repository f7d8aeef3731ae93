/* The words of a mutation: each limit from both sides, and the whole. */
#include "model/mutation.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static struct account_id id(const char *text)
{
    struct account_id parsed;
    ck_assert(account_id_parse(&parsed, text, strlen(text)));
    return parsed;
}

static const char *amount_error(const char *text)
{
    int64_t amount;
    return mutation_parse_amount(&amount, text, strlen(text));
}

START_TEST(amounts_are_positive_integers_of_64_bits)
{
    int64_t amount;
    ck_assert_ptr_null(mutation_parse_amount(&amount, "1", 1));
    ck_assert_int_eq(amount, 1);
    ck_assert_ptr_null(mutation_parse_amount(&amount, "9223372036854775807", 19));
    ck_assert_int_eq(amount, INT64_MAX);
    static const char *const bad[] = {"",    "0",   "-1",
                                      "+1",  "1.0", "1e3",
                                      " 1",  "1 ",  "01",
                                      "0x1", "NaN", "9223372036854775808",
                                      "-0",  "１",  "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(amount_error(bad[i]) != NULL, "%s", bad[i]);
    }
}
END_TEST

START_TEST(floors_are_any_integers_of_64_bits)
{
    int64_t floor;
    ck_assert_ptr_null(mutation_parse_floor(&floor, "-9223372036854775808", 20));
    ck_assert_int_eq(floor, INT64_MIN);
    ck_assert_ptr_null(mutation_parse_floor(&floor, "0", 1));
    ck_assert_ptr_nonnull(mutation_parse_floor(&floor, "-9223372036854775809", 20));
    ck_assert_ptr_nonnull(mutation_parse_floor(&floor, "1.5", 3));
}
END_TEST

START_TEST(keys_are_printable_without_space)
{
    struct mutation m = {0};
    char longest[129];
    memset(longest, 'k', sizeof longest);
    ck_assert_ptr_null(mutation_set_key(&m, longest, 128));
    ck_assert_uint_eq(m.key_len, 128);
    ck_assert_ptr_nonnull(mutation_set_key(&m, longest, 129));
    ck_assert_ptr_nonnull(mutation_set_key(&m, "", 0));
    ck_assert_ptr_nonnull(mutation_set_key(&m, "a b", 3));
    ck_assert_ptr_nonnull(mutation_set_key(&m, "a\n", 2));
    ck_assert_ptr_nonnull(mutation_set_key(&m, "a\0b", 3));
    ck_assert_ptr_nonnull(mutation_set_key(&m, "\xc3\xa9", 2));
    ck_assert_ptr_null(mutation_set_key(&m, "~!\"#", 4));
}
END_TEST

START_TEST(memos_are_utf8_without_nul)
{
    struct mutation m = {0};
    static const char *const good[] = {
        "", "plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\xb0", "two words"};
    static const char *const bad[] = {
        "\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xe0\x80\x80", "\xf4\x90\x80\x80", "a\x80"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_ptr_null(mutation_set_memo(&m, good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_ptr_nonnull(mutation_set_memo(&m, bad[i], strlen(bad[i])));
    }
    ck_assert_ptr_nonnull(mutation_set_memo(&m, "a\0b", 3));
    char longest[257];
    memset(longest, 'm', sizeof longest);
    ck_assert_ptr_null(mutation_set_memo(&m, longest, 256));
    ck_assert_ptr_nonnull(mutation_set_memo(&m, longest, 257));
}
END_TEST

static struct mutation credit(void)
{
    struct mutation m = {.kind = MUTATION_CREDIT, .has_amount = true, .amount = 5};
    m.account = id("alice");
    m.peer = id("@world");
    ck_assert_ptr_null(mutation_set_key(&m, "k1", 2));
    return m;
}

START_TEST(a_movement_needs_both_sides_right)
{
    struct mutation m = credit();
    ck_assert_ptr_null(mutation_check(&m));
    m.peer = id("bob"); /* a credit comes from a system account */
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.kind = MUTATION_TRANSFER;
    ck_assert_ptr_null(mutation_check(&m));
    m.peer = id("alice");
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.account = id("@a");
    m.peer = id("@b");
    ck_assert_ptr_nonnull(mutation_check(&m));
    m = credit();
    m.account = id("@world");
    ck_assert_ptr_nonnull(mutation_check(&m));
    m = credit();
    m.key_len = 0;
    ck_assert_ptr_nonnull(mutation_check(&m));
    m = credit();
    m.amount = 0;
    ck_assert_ptr_nonnull(mutation_check(&m));
}
END_TEST

START_TEST(legs_are_checked_one_by_one)
{
    struct mutation m = {.kind = MUTATION_MTRANSFER};
    ck_assert_ptr_null(mutation_set_key(&m, "k", 1));
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.legs = calloc(2, sizeof *m.legs);
    m.leg_count = 2;
    m.legs[0] = (struct mutation_leg){.from = id("a"), .to = id("b"), .amount = 1};
    m.legs[1] = (struct mutation_leg){.from = id("b"), .to = id("@fees"), .amount = 1};
    ck_assert_ptr_null(mutation_check(&m));
    m.legs[1].to = id("b");
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.legs[1].to = id("c");
    m.legs[1].amount = 0;
    ck_assert_ptr_nonnull(mutation_check(&m));
    mutation_clear(&m);
    ck_assert_ptr_null(m.legs);
}
END_TEST

START_TEST(what_each_kind_needs)
{
    struct mutation m = {.kind = MUTATION_OPEN, .account = id("alice")};
    ck_assert_ptr_nonnull(mutation_check(&m)); /* the asset */
    ck_assert(asset_parse(&m.asset, "USD/2", 5));
    ck_assert_ptr_null(mutation_check(&m)); /* no key needed */
    m.account = id("@world");
    ck_assert_ptr_nonnull(mutation_check(&m));

    m = (struct mutation){.kind = MUTATION_REVERSE};
    ck_assert_ptr_null(mutation_set_key(&m, "k", 1));
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.target = 7;
    ck_assert_ptr_null(mutation_check(&m));

    m = (struct mutation){.kind = MUTATION_SETFLOOR, .account = id("alice")};
    ck_assert_ptr_null(mutation_set_key(&m, "k", 1));
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.has_amount = true;
    m.amount = -100;
    ck_assert_ptr_null(mutation_check(&m));

    m.kind = MUTATION_CLOSE;
    ck_assert_ptr_null(mutation_check(&m));
}
END_TEST

/* With everything that a kind needs it is right, and without any one thing of it wrong. */
static void check_needs(struct mutation m, bool needs_account, bool needs_key, bool needs_amount,
                        bool needs_target)
{
    struct mutation without;

    ck_assert_ptr_null(mutation_check(&m));
    without = m;
    without.account.len = 0;
    ck_assert_int_eq(mutation_check(&without) != NULL, needs_account);
    without = m;
    without.key_len = 0;
    ck_assert_int_eq(mutation_check(&without) != NULL, needs_key);
    without = m;
    without.has_amount = false;
    ck_assert_int_eq(mutation_check(&without) != NULL, needs_amount);
    without = m;
    without.target = 0;
    ck_assert_int_eq(mutation_check(&without) != NULL, needs_target);
}

START_TEST(what_holds_and_decisions_need)
{
    struct mutation m = credit();

    m.target = 7;
    m.kind = MUTATION_HOLD;
    check_needs(m, true, true, true, false);
    m.ttl_s = MUTATION_TTL_MAX;
    ck_assert_ptr_null(mutation_check(&m));
    m.ttl_s++;
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.ttl_s = 0;
    m.kind = MUTATION_CAPTURE;
    check_needs(m, false, true, false, true);
    m.amount = 0;
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.amount = 5;
    m.peer = id("bob");
    ck_assert_ptr_nonnull(mutation_check(&m));
    m.kind = MUTATION_RELEASE;
    check_needs(m, false, true, false, true);
    m.kind = MUTATION_SUSPEND;
    check_needs(m, true, true, false, false);
    m.kind = MUTATION_RESUME;
    check_needs(m, true, true, false, false);
    m.kind = MUTATION_CHARGE;
    check_needs(m, true, true, true, false);
    m.kind = MUTATION_SETTLE;
    check_needs(m, false, true, false, true);
    m.kind = MUTATION_CANSPEND;
    check_needs(m, true, false, true, false);
    m.kind = MUTATION_EXPIRE;
    check_needs(m, false, false, true, false);
    m.amount = MUTATION_EXPIRE_MAX + 1;
    ck_assert_ptr_nonnull(mutation_check(&m));
}
END_TEST

START_TEST(outcomes_go_both_ways)
{
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        const char *word = outcome_word((enum outcome)i);
        enum outcome back;
        ck_assert(outcome_parse(&back, word, strlen(word)));
        ck_assert_int_eq(back, i);
    }
    enum outcome outcome;
    ck_assert(!outcome_parse(&outcome, "MAYBE", 5));
}
END_TEST

UNIT_MAIN("mutation", amounts_are_positive_integers_of_64_bits, floors_are_any_integers_of_64_bits,
          keys_are_printable_without_space, memos_are_utf8_without_nul,
          a_movement_needs_both_sides_right, legs_are_checked_one_by_one, what_each_kind_needs,
          what_holds_and_decisions_need, outcomes_go_both_ways)
