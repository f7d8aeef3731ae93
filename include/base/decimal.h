/*
 * base/decimal.h: 64-bit integers to decimal digits and back, without locale and without surprise.
 * Money passes through here: there is one way to write a number, and no other is read.
 */
#ifndef BALLAST_BASE_DECIMAL_H
#define BALLAST_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* Room for any 64-bit integer with its sign and a NUL. */
#define DECIMAL_ROOM 21

enum decimal_result {
    DECIMAL_OK,
    DECIMAL_MALFORMED, /* empty, or anything that decimal_write_…() would not have written */
    DECIMAL_RANGE,     /* digits in good form, but the number does not fit */
};

/* Write the number and a NUL; return the count of characters without the NUL. */
size_t decimal_write_int64(char out[DECIMAL_ROOM], int64_t value);
size_t decimal_write_uint64(char out[DECIMAL_ROOM], uint64_t value);

/*
 * Read exactly the `len` characters: digits, for int64 behind at most one '-'. No '+', no space,
 * no leading zero, no "-0", no NUL needed. `*value` is set only with DECIMAL_OK.
 */
enum decimal_result decimal_parse_int64(const char *text, size_t len, int64_t *value) MUST_CHECK;
enum decimal_result decimal_parse_uint64(const char *text, size_t len, uint64_t *value) MUST_CHECK;

/* A positive int64 (1 to 9,223,372,036,854,775,807), as amounts are; "0" and "-1" are RANGE. */
enum decimal_result decimal_parse_positive(const char *text, size_t len, int64_t *value) MUST_CHECK;

#endif
