/* What each SQLSTATE that we may meet means for its request. */
#include "store/sqlstate.h"

#include "unit.h"

static const struct {
    const char *sqlstate;
    enum store_status status;
    bool reconnect;
} expected[] = {
    {"40001", STORE_TRANSIENT, false}, /* serialization_failure */
    {"40P01", STORE_TRANSIENT, false}, /* deadlock_detected */
    {"55P03", STORE_TRANSIENT, false}, /* lock_not_available */
    {"57014", STORE_TRANSIENT, false}, /* query_canceled */
    {"53200", STORE_TRANSIENT, false}, /* out_of_memory */
    {"53300", STORE_TRANSIENT, false}, /* too_many_connections */
    {"26000", STORE_TRANSIENT, true},  /* invalid_sql_statement_name */
    {"0A000", STORE_TRANSIENT, true},  /* feature_not_supported: a cached plan's result type */
    {"25006", STORE_READONLY, false},  /* read_only_sql_transaction */
    {"53100", STORE_READONLY, false},  /* disk_full */
    {"58030", STORE_READONLY, false},  /* io_error */
    {"42501", STORE_READONLY, false},  /* insufficient_privilege */
    {"42883", STORE_READONLY, true},   /* undefined_function */
    {"42P01", STORE_READONLY, true},   /* undefined_table */
    {"3F000", STORE_READONLY, true},   /* invalid_schema_name */
    {"08006", STORE_IN_DOUBT, true},   /* connection_failure */
    {"08007", STORE_IN_DOUBT, true},   /* transaction_resolution_unknown */
    {"57P01", STORE_IN_DOUBT, true},   /* admin_shutdown */
    {"57P02", STORE_IN_DOUBT, true},   /* crash_shutdown */
    {"57P03", STORE_IN_DOUBT, true},   /* cannot_connect_now */
    {"22003", STORE_REFUSED, false},   /* numeric_value_out_of_range */
    {"22007", STORE_REFUSED, false},   /* invalid_datetime_format */
    {"23514", STORE_REFUSED, false},   /* check_violation */
    {"P0001", STORE_REFUSED, false},   /* raise_exception */
    {"XX000", STORE_REFUSED, false},   /* internal_error */
    {"", STORE_REFUSED, false},        {"40", STORE_REFUSED, false},
};

START_TEST(every_code_has_its_meaning)
{
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct sqlstate_meaning meaning = sqlstate_classify(expected[i].sqlstate);

        ck_assert_msg(meaning.status == expected[i].status, "%s: %d", expected[i].sqlstate,
                      (int)meaning.status);
        ck_assert_msg(meaning.reconnect == expected[i].reconnect, "%s", expected[i].sqlstate);
    }
}
END_TEST

START_TEST(no_code_is_refused)
{
    ck_assert_int_eq(sqlstate_classify(NULL).status, STORE_REFUSED);
}
END_TEST

START_TEST(a_missing_schema_is_known)
{
    ck_assert(sqlstate_is_schema_missing("3F000"));
    ck_assert(sqlstate_is_schema_missing("42P01"));
    ck_assert(sqlstate_is_schema_missing("42883"));
    ck_assert(!sqlstate_is_schema_missing("42501"));
    ck_assert(!sqlstate_is_schema_missing(""));
}
END_TEST

START_TEST(a_bad_statement_is_blamed_on_its_text)
{
    ck_assert(sqlstate_blames_statement("42601"));
    ck_assert(sqlstate_blames_statement("42P01"));
    ck_assert(!sqlstate_blames_statement("40001"));
    ck_assert(!sqlstate_blames_statement(""));
}
END_TEST

UNIT_MAIN("sqlstate", every_code_has_its_meaning, no_code_is_refused, a_missing_schema_is_known,
          a_bad_statement_is_blamed_on_its_text)
