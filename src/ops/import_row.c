/* A row of an import file as a mutation. See the header. */
#include "ops/import_row.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

static bool fail(char err[IMPORT_ERROR_ROOM], const char *what)
{
    snprintf(err, IMPORT_ERROR_ROOM, "%s", what);
    return false;
}

static bool field_is(const struct csv_field *field, const char *word)
{
    return field->len == strlen(word) && memcmp(field->data, word, field->len) == 0;
}

bool import_columns_parse(struct import_columns *columns, const struct csv_record *header,
                          char err[IMPORT_ERROR_ROOM])
{
    struct {
        const char *name;
        int *place;
        bool required;
    } known[] = {
        {"account", &columns->account, true}, {"kind", &columns->kind, true},
        {"amount", &columns->amount, true},   {"key", &columns->key, true},
        {"memo", &columns->memo, false},      {"balance", &columns->balance, false},
    };
    const size_t known_count = sizeof known / sizeof known[0];

    *columns = (struct import_columns){-1, -1, -1, -1, -1, -1, (int)header->count};
    for (size_t i = 0; i < header->count; i++) {
        const struct csv_field *field = &header->fields[i];
        size_t k = 0;
        while (k < known_count && !field_is(field, known[k].name)) {
            k++;
        }
        if (k == known_count) {
            snprintf(
                err, IMPORT_ERROR_ROOM,
                "unknown column '%.*s': the header is account,kind,amount,key[,memo][,balance]",
                (int)(field->len < 40 ? field->len : 40), field->data);
            return false;
        }
        if (*known[k].place >= 0) {
            snprintf(err, IMPORT_ERROR_ROOM, "the column '%s' stands there twice", known[k].name);
            return false;
        }
        *known[k].place = (int)i;
    }
    for (size_t k = 0; k < known_count; k++) {
        if (known[k].required && *known[k].place < 0) {
            snprintf(err, IMPORT_ERROR_ROOM, "the column '%s' is missing", known[k].name);
            return false;
        }
    }
    return true;
}

static const struct csv_field *field_at(const struct csv_record *record, int place)
{
    static const struct csv_field empty = {"", 0};

    return place < 0 ? &empty : &record->fields[place];
}

/* The columns that only some files have. */
static const char *parse_optional(struct import_row *row, const struct import_columns *columns,
                                  const struct csv_record *record)
{
    const struct csv_field *memo = field_at(record, columns->memo);
    const struct csv_field *balance = field_at(record, columns->balance);

    if (balance->len > 0) {
        if (decimal_parse_int64(balance->data, balance->len, &row->balance) != DECIMAL_OK) {
            return "the balance is not an integer of 64 bits";
        }
        row->has_balance = true;
    }
    return memo->len > 0 ? mutation_set_memo(&row->mutation, memo->data, memo->len) : NULL;
}

bool import_row_parse(struct import_row *row, const struct import_columns *columns,
                      const struct csv_record *record, char err[IMPORT_ERROR_ROOM])
{
    struct mutation *m = &row->mutation;
    const char *error;

    *row = (struct import_row){.line = record->line};
    if ((int)record->count != columns->count) {
        snprintf(err, IMPORT_ERROR_ROOM, "%zu fields where the header has %d", record->count,
                 columns->count);
        return false;
    }
    const struct csv_field *account = field_at(record, columns->account);
    const struct csv_field *kind = field_at(record, columns->kind);
    const struct csv_field *amount = field_at(record, columns->amount);
    const struct csv_field *key = field_at(record, columns->key);

    if (!account_id_parse(&m->account, account->data, account->len)) {
        return fail(err, "account must be 1 to 64 bytes of A-Z a-z 0-9 _ . : -");
    }
    if (account_id_is_system(&m->account)) {
        return fail(err, "a system account cannot be credited or debited");
    }
    if (field_is(kind, "credit") || field_is(kind, "debit")) {
        m->kind = field_is(kind, "credit") ? MUTATION_CREDIT : MUTATION_DEBIT;
    } else {
        return fail(err, "kind must be credit or debit");
    }
    error = mutation_parse_amount(&m->amount, amount->data, amount->len);
    if (error == NULL) {
        m->has_amount = true;
        error = mutation_set_key(m, key->data, key->len);
    }
    if (error == NULL) {
        error = parse_optional(row, columns, record);
    }
    return error == NULL || fail(err, error);
}
