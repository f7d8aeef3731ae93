/*
 * Binary results, read strictly. Integers are in network order; a boolean is one byte.
 */
#include "store/rows.h"

#include <endian.h>
#include <string.h>

#include "store/params.h"

static Oid shape_type(char letter)
{
    switch (letter) {
    case 't':
        return PARAM_TEXT;
    case '8':
        return PARAM_INT8;
    case '4':
        return PARAM_INT4;
    case '2':
        return PARAM_INT2;
    case 'b':
        return PARAM_BOOL;
    default:
        assert(!"a letter of rows_have_shape");
        return 0;
    }
}

bool rows_have_shape(const PGresult *result, const char *shape)
{
    int columns = (int)strlen(shape);

    if (PQnfields(result) != columns) {
        return false;
    }
    for (int i = 0; i < columns; i++) {
        if (PQftype(result, i) != shape_type(shape[i]) || PQfformat(result, i) != 1) {
            return false;
        }
    }
    return true;
}

bool rows_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column);
}

/* Copies a cell of exactly `size` bytes. */
static bool read_cell(const PGresult *result, int row, int column, void *out, int size)
{
    if (PQgetisnull(result, row, column) || PQgetlength(result, row, column) != size) {
        return false;
    }
    memcpy(out, PQgetvalue(result, row, column), (size_t)size);
    return true;
}

bool rows_int8(const PGresult *result, int row, int column, int64_t *value)
{
    uint64_t wire;

    if (!read_cell(result, row, column, &wire, sizeof(wire))) {
        return false;
    }
    *value = (int64_t)be64toh(wire);
    return true;
}

bool rows_count(const PGresult *result, int row, int column, uint64_t *value)
{
    int64_t number;

    if (!rows_int8(result, row, column, &number) || number < 0) {
        return false;
    }
    *value = (uint64_t)number;
    return true;
}

bool rows_int4(const PGresult *result, int row, int column, int32_t *value)
{
    uint32_t wire;

    if (!read_cell(result, row, column, &wire, sizeof(wire))) {
        return false;
    }
    *value = (int32_t)be32toh(wire);
    return true;
}

bool rows_int2(const PGresult *result, int row, int column, int16_t *value)
{
    uint16_t wire;

    if (!read_cell(result, row, column, &wire, sizeof(wire))) {
        return false;
    }
    *value = (int16_t)be16toh(wire);
    return true;
}

bool rows_bool(const PGresult *result, int row, int column, bool *value)
{
    uint8_t wire;

    if (!read_cell(result, row, column, &wire, sizeof(wire)) || wire > 1) {
        return false;
    }
    *value = wire == 1;
    return true;
}

const char *rows_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

bool rows_copy(const PGresult *result, int row, int column, char *out, size_t size)
{
    size_t len = (size_t)PQgetlength(result, row, column);

    if (len >= size) {
        return false;
    }
    memcpy(out, PQgetvalue(result, row, column), len);
    out[len] = '\0';
    return true;
}

bool rows_account(const PGresult *result, int row, int column, struct account_entry *entry)
{
    const char *id = rows_text(result, row, column);
    const char *asset = rows_text(result, row, column + 1);
    const char *status = rows_text(result, row, column + 5);
    struct account_state *state = &entry->state;

    if (id == NULL || asset == NULL || status == NULL) {
        return false;
    }
    if (!account_id_parse(&entry->id, id, (size_t)PQgetlength(result, row, column)) ||
        account_id_is_system(&entry->id)) {
        return false;
    }
    return asset_parse(&state->asset, asset, (size_t)PQgetlength(result, row, column + 1)) &&
           rows_int8(result, row, column + 2, &state->balance) &&
           rows_int8(result, row, column + 3, &state->held) && state->held >= 0 &&
           rows_int8(result, row, column + 4, &state->floor) &&
           account_status_parse(&state->status, status,
                                (size_t)PQgetlength(result, row, column + 5)) &&
           rows_count(result, row, column + 6, &state->version) && state->version > 0;
}

bool rows_era_state(const PGresult *result, int row, int column, enum era_state *state)
{
    static const char *const names[] = {
        [ERA_OPEN] = "open", [ERA_CLOSING] = "closing", [ERA_DRAINED] = "drained"};
    const char *text = rows_text(result, row, column);

    if (text == NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *state = (enum era_state)i;
            return true;
        }
    }
    return false;
}
