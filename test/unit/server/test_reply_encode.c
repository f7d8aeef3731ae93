/* The shapes of replies: which fields, in which order, as what. */
#include "server/reply_encode.h"

#include <string.h>

#include "unit.h"

static struct buffer text;

static struct resp_writer writer(int protocol)
{
    buffer_clear(&text);
    return (struct resp_writer){.out = &text, .protocol = protocol};
}

/* Shows line ends as spaces: "*2 $1 a :1 ". */
static const char *shown(void)
{
    static char out[4096];
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\r') {
            continue;
        }
        ck_assert_uint_lt(len, sizeof out - 1);
        out[len++] = text.data[i] == '\n' ? ' ' : text.data[i];
    }
    out[len] = '\0';
    return out;
}

static struct account_entry entry(const char *id, int64_t balance, uint64_t version)
{
    struct account_entry made = {
        .state = {.version = version, .balance = balance, .held = 10, .floor = -5}};
    ck_assert(account_id_parse(&made.id, id, strlen(id)));
    ck_assert(asset_parse(&made.state.asset, "USD/2", 5));
    return made;
}

static struct read_item item_of(struct account_entry account, enum read_answer answer)
{
    return (struct read_item){.id = account.id,
                              .state = account.state,
                              .answer = answer,
                              .source = READ_FROM_CACHE,
                              .age_ms = 7};
}

START_TEST(balance_is_a_map_of_eleven)
{
    struct read_item item = item_of(entry("alice", 100, 3), READ_CURRENT);
    struct resp_writer out = writer(3);
    encode_balance(&out, &item);
    ck_assert_str_eq(shown(), "%11 $7 account $5 alice $5 asset $5 USD/2 $7 balance $3 100 "
                              "$4 held $2 10 $9 available $2 90 $5 floor $2 -5 $6 status $6 active "
                              "$7 version $1 3 $6 source $5 cache $6 age_ms :7 $5 stale :0 ");
    item.answer = READ_STALE;
    out = writer(2);
    encode_balance(&out, &item);
    ck_assert_ptr_nonnull(strstr(shown(), "*22 $7 account"));
    ck_assert_ptr_nonnull(strstr(shown(), "$5 stale :1 "));
}
END_TEST

START_TEST(absence_is_never_shown_from_a_stale_value)
{
    struct read_item item = item_of(entry("alice", 0, 0), READ_STALE);
    ck_assert_int_eq(encode_read_outcome(&item, true), OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(encode_read_outcome(&item, false), OUTCOME_UNAVAILABLE);
    item.answer = READ_CURRENT;
    ck_assert_int_eq(encode_read_outcome(&item, false), OUTCOME_OK);
}
END_TEST

START_TEST(a_stale_value_needs_consent)
{
    struct read_item item = item_of(entry("alice", 1, 2), READ_STALE);
    ck_assert_int_eq(encode_read_outcome(&item, true), OUTCOME_OK);
    ck_assert_int_eq(encode_read_outcome(&item, false), OUTCOME_STALE);
    item.answer = READ_UNAVAILABLE;
    ck_assert_int_eq(encode_read_outcome(&item, true), OUTCOME_UNAVAILABLE);
    item.answer = READ_BUSY;
    ck_assert_int_eq(encode_read_outcome(&item, true), OUTCOME_BUSY);
}
END_TEST

static const char *mutation_shown(enum mutation_kind kind, const struct mutation_result *result)
{
    const struct mutation m = {
        .kind = kind, .amount = 500, .target = 8, .settlement = SETTLED_UNKNOWN};
    struct resp_writer out = writer(3);
    encode_mutation(&out, &m, result);
    return shown();
}

START_TEST(movements)
{
    struct mutation_result result = {
        .transfer = UINT64_MAX, .account = entry("alice", 100, 3), .duplicate = true};
    ck_assert_str_eq(
        mutation_shown(MUTATION_CREDIT, &result),
        "%6 $8 transfer $20 18446744073709551615 $7 account $5 alice $7 balance $3 100 "
        "$9 available $2 90 $7 version $1 3 $9 duplicate :1 ");
    result.transfer = 9;
    result.duplicate = false;
    result.to = entry("bob", 50, 4);
    ck_assert_str_eq(mutation_shown(MUTATION_TRANSFER, &result),
                     "%10 $8 transfer $1 9 $7 account $5 alice $7 balance $3 100 "
                     "$9 available $2 90 $7 version $1 3 $9 duplicate :0 $2 to $3 bob "
                     "$10 to_balance $2 50 $12 to_available $2 40 $10 to_version $1 4 ");
    struct mutation_result many = {.transfer = 9};
    ck_assert_str_eq(mutation_shown(MUTATION_MTRANSFER, &many),
                     "%2 $8 transfer $1 9 $9 duplicate :0 ");
}
END_TEST

START_TEST(settings)
{
    struct mutation_result result = {.account = entry("alice", 100, 3), .changed = true};
    ck_assert_str_eq(mutation_shown(MUTATION_OPEN, &result),
                     "%5 $7 account $5 alice $5 asset $5 USD/2 $5 floor $2 -5 $7 version $1 3 "
                     "$7 created :1 ");
    result.account.state.status = ACCOUNT_CLOSED;
    ck_assert_str_eq(mutation_shown(MUTATION_CLOSE, &result),
                     "%7 $7 account $5 alice $6 status $6 closed $5 floor $2 -5 $9 available $2 90 "
                     "$7 version $1 3 $7 changed :1 $9 duplicate :0 ");
}
END_TEST

START_TEST(holds_and_charges)
{
    struct mutation_result result = {.transfer = 7, .account = entry("alice", 100, 3)};
    strcpy(result.detail, "2024-05-01T12:00:00.000000Z");
    ck_assert_str_eq(mutation_shown(MUTATION_HOLD, &result),
                     "%7 $4 hold $1 7 $7 account $5 alice $7 balance $3 100 $9 available $2 90 "
                     "$7 version $1 3 $7 expires $27 2024-05-01T12:00:00.000000Z "
                     "$9 duplicate :0 ");
    ck_assert_str_eq(mutation_shown(MUTATION_RELEASE, &result),
                     "%6 $4 hold $1 8 $7 account $5 alice $7 balance $3 100 $9 available $2 90 "
                     "$7 version $1 3 $9 duplicate :0 ");
    ck_assert_str_eq(mutation_shown(MUTATION_CHARGE, &result),
                     "%6 $6 charge $1 7 $7 account $5 alice $6 amount $3 500 $5 state $5 begun "
                     "$7 version $1 3 $9 duplicate :0 ");
    ck_assert_str_eq(mutation_shown(MUTATION_SETTLE, &result),
                     "%7 $6 charge $1 8 $5 state $7 unknown $7 account $5 alice "
                     "$7 balance $3 100 $9 available $2 90 $7 version $1 3 $9 duplicate :0 ");
}
END_TEST

START_TEST(open_charges_are_maps)
{
    const char *cells[] = {"7", "alice", "500", "begun", "2024-05-01T12:00:00.000000Z"};
    struct query_item item = {.kind = QUERY_CHARGES, .cells = cells, .rows = 1, .columns = 5};
    struct resp_writer out = writer(3);
    encode_charges(&out, &item);
    ck_assert_str_eq(shown(), "*1 %5 $6 charge $1 7 $7 account $5 alice $6 amount $3 500 "
                              "$5 state $5 begun $5 begun $27 2024-05-01T12:00:00.000000Z ");
}
END_TEST

START_TEST(history_shows_a_missing_memo_as_nil)
{
    struct store_history_row row = {.transfer = 5,
                                    .version = 2,
                                    .amount = -3,
                                    .balance = 7,
                                    .counterparty = "@world",
                                    .kind = "debit",
                                    .key = "k",
                                    .at = "2024-05-01T12:00:00Z"};
    struct query_item item = {.kind = QUERY_HISTORY, .history = &row, .rows = 1};
    struct resp_writer out = writer(3);
    encode_history(&out, &item);
    ck_assert_str_eq(shown(), "*1 %9 $8 transfer $1 5 $7 version $1 2 $6 amount $2 -3 "
                              "$7 balance $1 7 $12 counterparty $6 @world $4 kind $5 debit "
                              "$3 key $1 k $4 memo _ $2 at $20 2024-05-01T12:00:00Z ");
}
END_TEST

START_TEST(every_refusal_says_what_why_and_what_next)
{
    for (int outcome = OUTCOME_OK + 1; outcome < OUTCOME_COUNT; outcome++) {
        struct resp_writer out = writer(2);
        encode_refusal(&out, outcome, "");
        const char *line = shown();
        ck_assert_int_eq(line[0], '-');
        ck_assert_ptr_eq(strstr(line, outcome_word(outcome)), line + 1);
        ck_assert_ptr_nonnull(strstr(line, "applied"));
        ck_assert_ptr_nonnull(strstr(line, outcome_advice(outcome)));
        ck_assert_int_eq(strstr(line, "nothing was applied") == NULL, outcome == OUTCOME_UNKNOWN);
    }
    struct resp_writer out = writer(2);
    encode_refusal(&out, OUTCOME_INSUFFICIENT, "available 5, asked 10");
    ck_assert_str_eq(shown(), "-INSUFFICIENT available 5, asked 10; nothing was applied; credit "
                              "the account or lower its floor ");
}
END_TEST

UNIT_MAIN("reply_encode", balance_is_a_map_of_eleven, absence_is_never_shown_from_a_stale_value,
          a_stale_value_needs_consent, movements, settings, holds_and_charges,
          open_charges_are_maps, history_shows_a_missing_memo_as_nil,
          every_refusal_says_what_why_and_what_next)
