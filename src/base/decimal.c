#include "base/decimal.h"

#include <stdbool.h>
#include <string.h>

#define DECIMAL_DIGITS_SURE 19 /* so many cannot overflow */

static const char digit_pairs[201] =
    "00010203040506070809101112131415161718192021222324252627282930"
    "31323334353637383940414243444546474849505152535455565758596061"
    "62636465666768697071727374757677787980818283848586878889909192"
    "93949596979899";

/* A number of so many bits has (bits * log10(2)) digits, rounded down, or one more. 1233 / 4096 is
 * that logarithm, near enough for 64 bits. */
static size_t decimal_digits(uint64_t value)
{
    static const uint64_t powers[20] = {
        [1] = 10,
        [2] = 100,
        [3] = 1000,
        [4] = 10000,
        [5] = 100000,
        [6] = 1000000,
        [7] = 10000000,
        [8] = 100000000,
        [9] = 1000000000,
        [10] = 10000000000,
        [11] = 100000000000,
        [12] = 1000000000000,
        [13] = 10000000000000,
        [14] = 100000000000000,
        [15] = 1000000000000000,
        [16] = 10000000000000000,
        [17] = 100000000000000000,
        [18] = 1000000000000000000,
        [19] = 10000000000000000000u,
    };
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned most = bits * 1233 >> 12;

    return most + (value >= powers[most]);
}

/* From the back, in its place: a copy would cost as much again. */
static size_t decimal_write(char *out, uint64_t value)
{
    size_t len = decimal_digits(value);
    char *at = out + len;

    *at = '\0';
    while (value >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(at, digit_pairs + 2 * value, 2);
    } else {
        *--at = (char)('0' + value);
    }
    return len;
}

size_t decimal_write_uint64(char out[DECIMAL_ROOM], uint64_t value)
{
    return decimal_write(out, value);
}

size_t decimal_write_int64(char out[DECIMAL_ROOM], int64_t value)
{
    if (value >= 0) {
        return decimal_write(out, (uint64_t)value);
    }
    out[0] = '-';
    /* Negated as unsigned: INT64_MIN has no positive counterpart. 19 digits leave room. */
    return 1 + decimal_write(out + 1, -(uint64_t)value);
}

/* One that is so long that it may not fit. */
static enum decimal_result decimal_parse_long(const char *text, size_t len, uint64_t *value)
{
    uint64_t number = 0;
    enum decimal_result result = DECIMAL_OK;

    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0';

        if (digit > 9) {
            return DECIMAL_MALFORMED;
        }
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digit, &number)) {
            result = DECIMAL_RANGE; /* but go on: the rest may be no digits at all */
        }
    }
    if (result == DECIMAL_OK) {
        *value = number;
    }
    return result;
}

enum decimal_result decimal_parse_uint64(const char *text, size_t len, uint64_t *value)
{
    uint64_t number = 0;

    if (len == 0 || (text[0] == '0' && len > 1)) {
        return DECIMAL_MALFORMED;
    }
    if (len > DECIMAL_DIGITS_SURE) {
        return decimal_parse_long(text, len, value);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0';

        if (digit > 9) {
            return DECIMAL_MALFORMED;
        }
        number = number * 10 + digit;
    }
    *value = number;
    return DECIMAL_OK;
}

enum decimal_result decimal_parse_int64(const char *text, size_t len, int64_t *value)
{
    bool negative = len > 0 && text[0] == '-';
    uint64_t number = 0;
    enum decimal_result result = decimal_parse_uint64(text + negative, len - negative, &number);

    if (result != DECIMAL_OK) {
        return result;
    }
    if (negative && number == 0) {
        return DECIMAL_MALFORMED;
    }
    if (number > (uint64_t)INT64_MAX + negative) {
        return DECIMAL_RANGE;
    }
    *value = negative ? (int64_t)-number : (int64_t)number;
    return DECIMAL_OK;
}

enum decimal_result decimal_parse_positive(const char *text, size_t len, int64_t *value)
{
    int64_t number = 0;
    enum decimal_result result = decimal_parse_int64(text, len, &number);

    if (result != DECIMAL_OK) {
        return result;
    }
    if (number <= 0) {
        return DECIMAL_RANGE;
    }
    *value = number;
    return DECIMAL_OK;
}
