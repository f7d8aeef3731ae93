/* Header and rows of an import file. */
#include "ops/import_row.h"

#include <string.h>

#include "unit.h"

static char err[IMPORT_ERROR_ROOM];
static struct import_columns columns;
static struct import_row row;

static void read_record(const char *line, struct csv_reader *reader, struct csv_record *record)
{
    csv_init(reader);
    csv_feed(reader, line, strlen(line));
    csv_feed_end(reader);
    ck_assert(csv_next(reader, record) == CSV_RECORD);
}

static bool parse_header(const char *line)
{
    struct csv_reader reader;
    struct csv_record record;

    read_record(line, &reader, &record);
    bool good = import_columns_parse(&columns, &record, err);
    csv_free(&reader);
    return good;
}

static bool parse_row(const char *line)
{
    struct csv_reader reader;
    struct csv_record record;

    read_record(line, &reader, &record);
    bool good = import_row_parse(&row, &columns, &record, err);
    csv_free(&reader);
    return good;
}

START_TEST(columns_may_be_in_any_order)
{
    ck_assert(parse_header("key,amount,account,kind"));
    ck_assert(parse_row("k1,25,alice,debit"));
    ck_assert(row.mutation.kind == MUTATION_DEBIT);
    ck_assert_int_eq(row.mutation.amount, 25);
    ck_assert(!row.has_balance);
    ck_assert_int_eq(row.mutation.memo_len, 0);
}
END_TEST

START_TEST(a_header_must_be_whole)
{
    ck_assert(!parse_header("account,kind,amount"));
    ck_assert_str_eq(err, "the column 'key' is missing");
    ck_assert(!parse_header("account,kind,amount,key,key"));
    ck_assert_str_eq(err, "the column 'key' stands there twice");
    ck_assert(!parse_header("account,kind,amount,key,note"));
    ck_assert(strstr(err, "unknown column 'note'") != NULL);
}
END_TEST

START_TEST(a_row_is_read_whole)
{
    ck_assert(parse_header("account,kind,amount,key,memo,balance"));
    ck_assert(parse_row("alice,credit,9223372036854775807,k,\"x, y\",-5"));
    ck_assert(row.mutation.kind == MUTATION_CREDIT);
    ck_assert(row.mutation.amount == INT64_MAX);
    ck_assert_int_eq(row.mutation.memo_len, 4);
    ck_assert(row.has_balance);
    ck_assert_int_eq(row.balance, -5);
    ck_assert(parse_row("alice,credit,1,k,,"));
    ck_assert(!row.has_balance);
}
END_TEST

START_TEST(bad_rows_are_refused)
{
    static const char *const bad[] = {
        "alice,credit,1,k,memo", "alice,credit,1,k,memo,1,2",
        ",credit,1,k,,",         "@world,credit,1,k,,",
        "al ice,credit,1,k,,",   "alice,CREDIT,1,k,,",
        "alice,transfer,1,k,,",  "alice,credit,0,k,,",
        "alice,credit,-1,k,,",   "alice,credit,1.0,k,,",
        "alice,credit,+1,k,,",   "alice,credit,01,k,,",
        "alice,credit, 1,k,,",   "alice,credit,1,,,",
        "alice,credit,1,a b,,",  "alice,credit,1,k,,1.5",
        "alice,credit,1,k,,x",   "alice,credit,9223372036854775808,k,,",
    };

    ck_assert(parse_header("account,kind,amount,key,memo,balance"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err[0] = '\0';
        ck_assert_msg(!parse_row(bad[i]), "%s", bad[i]);
        ck_assert_msg(err[0] != '\0', "%s", bad[i]);
    }
}
END_TEST

UNIT_MAIN("import_row", columns_may_be_in_any_order, a_header_must_be_whole, a_row_is_read_whole,
          bad_rows_are_refused)
