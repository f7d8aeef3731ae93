/*
 * ops/import_row.h: a row of an import file as a mutation.
 *
 * The header names the columns, in any order: account, kind (credit or debit), amount, key; memo
 * and balance may be missing. Everything that can be known without the store is checked here, so
 * that a bad row is named before anything is sent.
 */
#ifndef BALLAST_OPS_IMPORT_ROW_H
#define BALLAST_OPS_IMPORT_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "model/mutation.h"
#include "ops/csv.h"

/* Where each column stands in a record; -1: it does not. */
struct import_columns {
    int account, kind, amount, key, memo, balance;
    int count;
};

struct import_row {
    uint64_t line;
    struct mutation mutation; /* credit from or debit to @world */
    bool has_balance;         /* the file says what the balance is after this row */
    int64_t balance;
};

#define IMPORT_ERROR_ROOM 160

/* False with err set where the record is no header that can be used. */
bool import_columns_parse(struct import_columns *columns, const struct csv_record *header,
                          char err[IMPORT_ERROR_ROOM]) MUST_CHECK;

/* False with err set where the row cannot be taken. */
bool import_row_parse(struct import_row *row, const struct import_columns *columns,
                      const struct csv_record *record, char err[IMPORT_ERROR_ROOM]) MUST_CHECK;

#endif
