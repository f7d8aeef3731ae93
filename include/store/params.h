/*
 * store/params.h (private to the store layer): the parameters of one statement in PostgreSQL's
 * binary format, scalars and one-dimensional arrays, built in one reusable buffer: after the first
 * batches of a link nothing is allocated.
 *
 * A set is built from params_reset() on, in the order of $1, $2...; an array is opened with its
 * number of elements and gets exactly so many. params_seal() then yields what libpq wants.
 */
#ifndef BALLAST_STORE_PARAMS_H
#define BALLAST_STORE_PARAMS_H

#include <stdint.h>

#include "base/buffer.h"

#define PARAMS_MAX 16 /* post_batch has eleven */

/* Object ids of pg_type.dat: fixed in every PostgreSQL. */
enum param_type {
    PARAM_BOOL = 16,
    PARAM_INT8 = 20,
    PARAM_INT2 = 21,
    PARAM_INT4 = 23,
    PARAM_TEXT = 25,
    PARAM_INT2_ARRAY = 1005,
    PARAM_INT4_ARRAY = 1007,
    PARAM_TEXT_ARRAY = 1009,
    PARAM_INT8_ARRAY = 1016
};

/* Zeroed: empty. */
struct params {
    struct buffer bytes;
    int count;
    int open_elements;    /* of the array being built: still to come */
    size_t open_offset;   /* where that array starts in bytes */
    enum param_type open; /* its element type; 0: no array is open */
    size_t offsets[PARAMS_MAX];
    const char *values[PARAMS_MAX]; /* valid from params_seal() to the next change */
    int lengths[PARAMS_MAX];
    int formats[PARAMS_MAX];
};

void params_free(struct params *params);
void params_reset(struct params *params);
void params_seal(struct params *params);

/* One scalar parameter each. */
void params_null(struct params *params);
void params_text(struct params *params, const char *bytes, size_t len);
void params_int8(struct params *params, int64_t value);
void params_int4(struct params *params, int32_t value);

/* Opens an array of `count` elements of type PARAM_TEXT, INT8, INT4 or INT2; 0 makes '{}'. */
void params_array(struct params *params, enum param_type element, int count);
/* One element each, of the type that the array was opened with. */
void params_element_null(struct params *params);
void params_element_text(struct params *params, const char *bytes, size_t len);
void params_element_int8(struct params *params, int64_t value);
void params_element_int4(struct params *params, int32_t value);
void params_element_int2(struct params *params, int16_t value);

#endif
