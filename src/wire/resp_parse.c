/*
 * The parser's place in a multibulk command is two numbers: how many arguments are still to come,
 * and the length of the argument that is being received, if its `$` line has been read. Its
 * `offset` stands at the first byte that is not understood yet. A header line that is not whole is
 * looked at again from its start when more arrives: it has at most 32 bytes. An argument's bytes
 * are never looked at.
 *
 * For an inline command, `offset` says how far no line end was found.
 */
#include "wire/resp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/limits.h"

#define RESP_ARGS_FIRST 8
#define RESP_BULK_UNKNOWN (-1)
#define RESP_DIGITS_MAX 18 /* far beyond any limit, and no overflow yet */

static_assert(RESP_DIGITS_MAX + 4 <= LIMIT_RESP_HEADER_BYTES_MAX, "type, sign, digits, line end");

void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits)
{
    *parser = (struct resp_parser){.limits = *limits, .bulk_len = RESP_BULK_UNKNOWN};
}

void resp_args_free(struct resp_args *args)
{
    free(args->items);
    *args = (struct resp_args){0};
}

bool resp_slice_is(const struct resp_slice *slice, const char *word)
{
    return slice->len == strlen(word) && strncasecmp(slice->data, word, slice->len) == 0;
}

static struct resp_slice *resp_args_add(struct resp_args *args)
{
    if (UNLIKELY(args->count == args->cap)) {
        size_t cap = args->cap == 0 ? RESP_ARGS_FIRST : args->cap * 2;

        args->items = reallocarray(args->items, cap, sizeof *args->items);
        if (args->items == NULL) {
            abort();
        }
        args->cap = cap;
    }
    return &args->items[args->count++];
}

static enum resp_result resp_fail(struct resp_parser *parser, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

static enum resp_result resp_fail(struct resp_parser *parser, const char *fmt, ...)
{
    static const char prefix[] = "Protocol error: ";
    const size_t len = sizeof prefix - 1;
    va_list args;

    memcpy(parser->error, prefix, len);
    va_start(args, fmt);
    vsnprintf(parser->error + len, sizeof parser->error - len, fmt, args);
    va_end(args);
    return RESP_PROTOCOL_ERROR;
}

/* ------------------------------------------------------------------------------ multibulk -- */

/* What a `*` or `$` line turned out to be. */
enum resp_header {
    RESP_HEADER_OK,
    RESP_HEADER_PARTIAL,
    RESP_HEADER_INVALID, /* not a number in good form, or no line end where one must be */
    RESP_HEADER_ENDLESS, /* garbage without a line end, longer than any number */
};

/*
 * A line that does not go on as a number does: how to call it shows once its end is there. Only the
 * bytes of a header count, so that the answer does not depend on how much has come.
 */
static enum resp_header resp_header_garbage(const char *line, size_t len)
{
    bool whole = len >= LIMIT_RESP_HEADER_BYTES_MAX;

    if (memchr(line, '\r', whole ? LIMIT_RESP_HEADER_BYTES_MAX : len) != NULL) {
        return RESP_HEADER_INVALID;
    }
    return whole ? RESP_HEADER_ENDLESS : RESP_HEADER_PARTIAL;
}

static bool resp_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The header of one digit or two, of which nearly all are; false: any other, or none. */
static inline bool resp_read_short_header(const char *line, size_t len, int64_t *value,
                                          size_t *size)
{
    if (len < 5 || !resp_is_digit(line[1]) || line[1] == '0') {
        return false;
    }
    bool two = resp_is_digit(line[2]);
    if (line[2 + two] != '\r' || line[3 + two] != '\n') {
        return false;
    }
    *value = two ? 10 * (line[1] - '0') + (line[2] - '0') : line[1] - '0';
    *size = 4 + two;
    return true;
}

/*
 * Reads the number behind the type byte at `line`, of which `len` bytes are there. Sets `*value`
 * and `*size`, the bytes of the line with its end. Leading zeros and `+` are refused, as in Redis.
 */
static enum resp_header resp_read_header(const char *line, size_t len, int64_t *value, size_t *size)
{
    const bool negative = len > 1 && line[1] == '-';
    const size_t first = negative ? 2 : 1;
    size_t at = first;
    int64_t number = 0;

    if (LIKELY(resp_read_short_header(line, len, value, size))) {
        return RESP_HEADER_OK;
    }
    for (; at < len && line[at] >= '0' && line[at] <= '9'; at++) {
        if (at - first == RESP_DIGITS_MAX) {
            return RESP_HEADER_INVALID;
        }
        number = number * 10 + (line[at] - '0');
    }
    if (at == len) {
        return RESP_HEADER_PARTIAL;
    }
    if (line[at] != '\r') {
        return resp_header_garbage(line, len);
    }
    if (at == first || (line[first] == '0' && (at - first > 1 || negative))) {
        return RESP_HEADER_INVALID;
    }
    if (at + 1 == len) {
        return RESP_HEADER_PARTIAL;
    }
    if (line[at + 1] != '\n') {
        return RESP_HEADER_INVALID;
    }
    *value = negative ? -number : number;
    *size = at + 2;
    return RESP_HEADER_OK;
}

/* Reads `*N`; passes on to the arguments. */
static enum resp_result resp_parse_count(struct resp_parser *parser, const char *data, size_t len)
{
    int64_t count;
    size_t size;

    switch (resp_read_header(data, len, &count, &size)) {
    case RESP_HEADER_PARTIAL:
        return RESP_NEED_MORE;
    case RESP_HEADER_INVALID:
        return resp_fail(parser, "invalid multibulk length");
    case RESP_HEADER_ENDLESS:
        return resp_fail(parser, "too big mbulk count string");
    case RESP_HEADER_OK:
        break;
    }
    if (count > 0 && (uint64_t)count > parser->limits.args) {
        return resp_fail(parser, "invalid multibulk length");
    }
    parser->args_left = count > 0 ? count : 0;
    parser->offset = size;
    return RESP_COMMAND;
}

/* Reads `$N`, and leaves the offset at the argument's first byte. */
static enum resp_result resp_parse_length(struct resp_parser *parser, const char *data, size_t len)
{
    const char *line = data + parser->offset;
    int64_t value;
    size_t size;

    if (line[0] != '$') {
        unsigned char c = (unsigned char)line[0];

        return resp_fail(parser, "expected '$', got '%c'", c >= ' ' && c < 0x7f ? c : '?');
    }
    switch (resp_read_header(line, len - parser->offset, &value, &size)) {
    case RESP_HEADER_PARTIAL:
        return RESP_NEED_MORE;
    case RESP_HEADER_INVALID:
        return resp_fail(parser, "invalid bulk length");
    case RESP_HEADER_ENDLESS:
        return resp_fail(parser, "too big bulk count string");
    case RESP_HEADER_OK:
        break;
    }
    if (value < 0 || (uint64_t)value > parser->limits.bulk) {
        return resp_fail(parser, "invalid bulk length");
    }
    parser->bulk_len = value;
    parser->offset += size;
    return RESP_COMMAND;
}

/* Reads the arguments that are still to come, as far as they are there. */
static enum resp_result resp_parse_args(struct resp_parser *parser, const char *data, size_t len,
                                        struct resp_args *args)
{
    while (parser->args_left > 0) {
        if (parser->bulk_len == RESP_BULK_UNKNOWN) {
            if (parser->offset == len) {
                return RESP_NEED_MORE;
            }

            enum resp_result result = resp_parse_length(parser, data, len);

            if (result != RESP_COMMAND) {
                return result;
            }
        }

        size_t bulk = (size_t)parser->bulk_len;
        size_t end = parser->offset + bulk;

        if (len - parser->offset < bulk + 2) {
            return RESP_NEED_MORE;
        }
        if (UNLIKELY(data[end] != '\r' || data[end + 1] != '\n')) {
            return resp_fail(parser, "expected CRLF after bulk");
        }

        struct resp_slice *arg = resp_args_add(args);

        arg->offset = parser->offset;
        arg->len = bulk;
        parser->offset = end + 2;
        parser->bulk_len = RESP_BULK_UNKNOWN;
        parser->args_left--;
    }
    return RESP_COMMAND;
}

/* --------------------------------------------------------------------------------- inline -- */

static bool resp_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

static int resp_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape of a word in double quotes, behind the backslash at `*at`; moves past it. */
static char resp_unescape(const char **at, const char *end)
{
    const char *c = *at + 1;

    if (end - c >= 3 && c[0] == 'x' && resp_hex_digit(c[1]) >= 0 && resp_hex_digit(c[2]) >= 0) {
        *at = c + 3;
        return (char)(resp_hex_digit(c[1]) << 4 | resp_hex_digit(c[2]));
    }
    *at = c + 1;
    switch (*c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return *c;
    }
}

/*
 * Unquotes the part of a word behind the quote at `*at`, to `*to`, which never overtakes it; moves
 * both. False where the quote is not closed, or not followed by a space.
 */
static bool resp_unquote(const char **at, const char *end, char **to)
{
    const char quote = *(*at)++;

    while (*at < end && **at != quote) {
        bool escaped = **at == '\\' && end - *at >= 2;

        if (escaped && quote == '"') {
            *(*to)++ = resp_unescape(at, end);
        } else if (escaped && (*at)[1] == '\'') {
            *(*to)++ = '\'';
            *at += 2;
        } else {
            *(*to)++ = *(*at)++;
        }
    }
    if (*at == end) {
        return false;
    }
    (*at)++;
    return *at == end || resp_is_space(**at);
}

/* Splits the line into words, as redis-cli does; quoted ones are rewritten where they stand. */
static enum resp_result resp_split(struct resp_parser *parser, char *data, size_t first,
                                   size_t last, struct resp_args *args)
{
    const char *at = data + first;
    const char *end = data + last;

    for (;;) {
        while (at < end && resp_is_space(*at)) {
            at++;
        }
        if (at == end) {
            return RESP_COMMAND;
        }
        if (args->count == parser->limits.args) {
            return resp_fail(parser, "too many arguments in inline request");
        }

        struct resp_slice *arg = resp_args_add(args);
        char *to = data + (at - data);

        arg->offset = (size_t)(at - data);
        while (at < end && !resp_is_space(*at)) {
            if (*at != '"' && *at != '\'') {
                *to++ = *at++;
            } else if (!resp_unquote(&at, end, &to)) {
                return resp_fail(parser, "unbalanced quotes in request");
            }
        }
        arg->len = (size_t)(to - data) - arg->offset;
        if (arg->len > parser->limits.bulk) {
            return resp_fail(parser, "too big inline request");
        }
    }
}

/* A browser that was tricked into speaking to us would go on with commands in its request body. */
static bool resp_is_http(const char *data, const struct resp_args *args)
{
    if (args->count == 0) {
        return false;
    }

    struct resp_slice word = {.data = data + args->items[0].offset, .len = args->items[0].len};

    return resp_slice_is(&word, "POST") || resp_slice_is(&word, "HOST:");
}

static enum resp_result resp_parse_inline(struct resp_parser *parser, char *data, size_t len,
                                          struct resp_args *args)
{
    const char *newline = memchr(data + parser->offset, '\n', len - parser->offset);
    size_t line = newline == NULL ? len : (size_t)(newline - data);

    if (line > LIMIT_INLINE_BYTES_MAX) {
        return resp_fail(parser, "too big inline request");
    }
    if (newline == NULL) {
        parser->offset = len;
        return RESP_NEED_MORE;
    }
    parser->offset = line + 1;

    enum resp_result result = resp_split(parser, data, 0, line, args);

    if (result == RESP_COMMAND && resp_is_http(data, args)) {
        return resp_fail(parser, "this is not HTTP; the connection is closed");
    }
    return result;
}

/* ------------------------------------------------------------------------------------------ */

/* Finds one command, which may be an empty one, at the start of the bytes. */
static enum resp_result resp_parse_one(struct resp_parser *parser, char *data, size_t len,
                                       struct resp_args *args)
{
    if (parser->args_left == 0) {
        if (len == 0) {
            return RESP_NEED_MORE;
        }
        if (data[0] != '*') {
            return resp_parse_inline(parser, data, len, args);
        }

        enum resp_result result = resp_parse_count(parser, data, len);

        if (result != RESP_COMMAND) {
            return result;
        }
    }
    return resp_parse_args(parser, data, len, args);
}

enum resp_result resp_parse(struct resp_parser *parser, char *data, size_t len,
                            struct resp_args *args, size_t *consumed)
{
    size_t done = 0;

    if (parser->offset == 0) {
        args->count = 0;
    }
    for (;;) {
        enum resp_result result = resp_parse_one(parser, data + done, len - done, args);

        if (result != RESP_COMMAND) {
            *consumed = done;
            return result;
        }
        for (size_t i = 0; i < args->count; i++) {
            args->items[i].data = data + done + args->items[i].offset;
        }
        done += parser->offset;
        parser->offset = 0;
        if (args->count > 0) {
            *consumed = done;
            return RESP_COMMAND;
        }
    }
}
