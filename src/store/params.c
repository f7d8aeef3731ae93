/*
 * Binary parameters. An array on the wire (array_send in PostgreSQL's arrayfuncs.c) is five
 * 4-byte words in network order - dimensions, "has nulls", element type, length, lower bound -
 * and then each element as a 4-byte length (-1: NULL) with its bytes. An empty one has no
 * dimension and ends after the third word.
 */
#include "store/params.h"

#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <string.h>

#define ARRAY_NULLS_OFFSET 4 /* bytes from the start of an array to its "has nulls" word */

/* Lengths are int in libpq, and a message has to stay below 1 GB anyway. */
#define PARAMS_BYTES_MAX (512u * 1024 * 1024)

static void append_word(struct params *params, uint32_t value)
{
    uint32_t wire = htobe32(value);

    buffer_append(&params->bytes, &wire, sizeof(wire));
}

void params_free(struct params *params)
{
    buffer_free(&params->bytes);
    params->count = 0;
    params->open = 0;
}

void params_reset(struct params *params)
{
    buffer_clear(&params->bytes);
    params->count = 0;
    params->open = 0;
}

void params_seal(struct params *params)
{
    assert(params->open == 0);
    for (int i = 0; i < params->count; i++) {
        bool null = params->lengths[i] < 0;

        params->values[i] = null ? NULL : params->bytes.data + params->offsets[i];
    }
}

/* A parameter begins at the end of the buffer. */
static int begin(struct params *params)
{
    int index = params->count;

    assert(params->open == 0 && index < PARAMS_MAX);
    params->count++;
    params->offsets[index] = params->bytes.len;
    params->lengths[index] = -1;
    params->formats[index] = 1;
    return index;
}

static void end(struct params *params, int index)
{
    assert(params->bytes.len <= PARAMS_BYTES_MAX);
    params->lengths[index] = (int)(params->bytes.len - params->offsets[index]);
}

void params_null(struct params *params)
{
    begin(params);
}

void params_text(struct params *params, const char *bytes, size_t len)
{
    int index = begin(params);

    /* A parameter of length 0 needs an address too: NULL would be SQL's NULL. */
    buffer_reserve(&params->bytes, len + 1);
    buffer_append(&params->bytes, bytes, len);
    end(params, index);
}

void params_int8(struct params *params, int64_t value)
{
    int index = begin(params);
    uint64_t wire = htobe64((uint64_t)value);

    buffer_append(&params->bytes, &wire, sizeof(wire));
    end(params, index);
}

void params_int4(struct params *params, int32_t value)
{
    int index = begin(params);

    append_word(params, (uint32_t)value);
    end(params, index);
}

void params_array(struct params *params, enum param_type element, int count)
{
    int index = begin(params);

    assert(count >= 0);
    assert(element == PARAM_TEXT || element == PARAM_INT8 || element == PARAM_INT4 ||
           element == PARAM_INT2);
    params->open_offset = params->offsets[index];
    append_word(params, count > 0 ? 1 : 0);
    append_word(params, 0);
    append_word(params, element);
    if (count == 0) {
        end(params, index);
        return;
    }
    append_word(params, (uint32_t)count);
    append_word(params, 1);
    params->open = element;
    params->open_elements = count;
}

static void expect_element(struct params *params, enum param_type element)
{
    assert(params->open == element && params->open_elements > 0);
}

/* The last element closes the array. */
static void count_element(struct params *params)
{
    if (--params->open_elements == 0) {
        params->open = 0;
        end(params, params->count - 1);
    }
}

void params_element_null(struct params *params)
{
    const uint32_t yes = htobe32(1);

    expect_element(params, params->open);
    assert(params->open != 0);
    append_word(params, UINT32_MAX);
    memcpy(params->bytes.data + params->open_offset + ARRAY_NULLS_OFFSET, &yes, sizeof(yes));
    count_element(params);
}

void params_element_text(struct params *params, const char *bytes, size_t len)
{
    expect_element(params, PARAM_TEXT);
    assert(len <= INT_MAX);
    append_word(params, (uint32_t)len);
    buffer_append(&params->bytes, bytes, len);
    count_element(params);
}

void params_element_int8(struct params *params, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    expect_element(params, PARAM_INT8);
    append_word(params, sizeof(wire));
    buffer_append(&params->bytes, &wire, sizeof(wire));
    count_element(params);
}

void params_element_int4(struct params *params, int32_t value)
{
    expect_element(params, PARAM_INT4);
    append_word(params, sizeof(uint32_t));
    append_word(params, (uint32_t)value);
    count_element(params);
}

void params_element_int2(struct params *params, int16_t value)
{
    uint16_t wire = htobe16((uint16_t)value);

    expect_element(params, PARAM_INT2);
    append_word(params, sizeof(wire));
    buffer_append(&params->bytes, &wire, sizeof(wire));
    count_element(params);
}
