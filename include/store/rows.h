/*
 * store/rows.h (private to the store layer): strict reading of binary results. Whatever the store
 * sends that is not exactly what the statement promises is refused, never interpreted.
 *
 * The readers return false on NULL, on a wrong length and on a value outside its range. Texts
 * point into the result; libpq ends them with a NUL.
 */
#ifndef BALLAST_STORE_ROWS_H
#define BALLAST_STORE_ROWS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "model/account.h"
#include "store/store.h"

/* Whether the result's columns are, in order: 't' text, '8' int8, '4' int4, '2' int2, 'b' bool,
 * all binary. Checked once a result, before any cell. */
bool rows_have_shape(const PGresult *result, const char *shape) MUST_CHECK;

bool rows_is_null(const PGresult *result, int row, int column);
bool rows_int8(const PGresult *result, int row, int column, int64_t *value) MUST_CHECK;
/* An int8 from 0 on: ids, versions and counters. */
bool rows_count(const PGresult *result, int row, int column, uint64_t *value) MUST_CHECK;
bool rows_int4(const PGresult *result, int row, int column, int32_t *value) MUST_CHECK;
bool rows_int2(const PGresult *result, int row, int column, int16_t *value) MUST_CHECK;
bool rows_bool(const PGresult *result, int row, int column, bool *value) MUST_CHECK;
/* NULL where it is SQL's NULL. */
const char *rows_text(const PGresult *result, int row, int column);
/* Copies; NULL gives "". False where it does not fit with its NUL. */
bool rows_copy(const PGresult *result, int row, int column, char *out, size_t size) MUST_CHECK;

/*
 * The seven columns from `column` on that every statement shows an account in: account_id text,
 * asset text, balance, held, floor int8, status text, version int8 ("tt888t8"). False unless it is
 * a state that an account can have; a system account has none.
 */
#define ROWS_ACCOUNT "tt888t8"
#define ROWS_ACCOUNT_COLUMNS 7
bool rows_account(const PGresult *result, int row, int column,
                  struct account_entry *entry) MUST_CHECK;

/* "open", "closing" or "drained". */
bool rows_era_state(const PGresult *result, int row, int column, enum era_state *state) MUST_CHECK;

#endif
