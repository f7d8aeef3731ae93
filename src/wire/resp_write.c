#include "wire/resp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"

#define RESP_HEADER_ROOM (DECIMAL_ROOM + 2) /* type, number and line end; the NUL's place counts */
#define BULK_NUMBER_ROOM (5 + DECIMAL_ROOM + 2) /* a header of two digits, the number, a line end */

/* `<type><number>\r\n` */
static void resp_header(struct resp_writer *writer, char type, int64_t number)
{
    char *to = buffer_reserve(writer->out, RESP_HEADER_ROOM);
    size_t len;

    to[0] = type;
    len = 1 + decimal_write_int64(to + 1, number);
    to[len++] = '\r';
    to[len++] = '\n';
    buffer_commit(writer->out, len);
}

static bool resp_is_three(const struct resp_writer *writer)
{
    return writer->protocol >= 3;
}

void resp_simple(struct resp_writer *writer, const char *text)
{
    buffer_append_byte(writer->out, '+');
    buffer_append_text(writer->out, text);
    buffer_append(writer->out, "\r\n", 2);
}

void resp_error(struct resp_writer *writer, const char *code, const char *fmt, ...)
{
    char text[1024]; /* an error is a sentence or two; what it quotes of the client's is cut */
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);

    if (len < 0) {
        abort(); /* a format that the C library does not know */
    }
    if ((size_t)len >= sizeof text) {
        len = sizeof text - 1;
    }
    for (int i = 0; i < len; i++) {
        if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0') {
            text[i] = ' ';
        }
    }
    buffer_append_byte(writer->out, '-');
    buffer_append_text(writer->out, code);
    buffer_append_byte(writer->out, ' ');
    buffer_append(writer->out, text, (size_t)len);
    buffer_append(writer->out, "\r\n", 2);
}

void resp_int(struct resp_writer *writer, int64_t value)
{
    resp_header(writer, ':', value);
}

void resp_bulk(struct resp_writer *writer, const void *bytes, size_t len)
{
    /* One reservation for all three parts: this is what most replies are. */
    (void)buffer_reserve(writer->out, RESP_HEADER_ROOM + len + 2);
    resp_header(writer, '$', (int64_t)len);
    buffer_append(writer->out, bytes, len);
    buffer_append(writer->out, "\r\n", 2);
}

void resp_bulk_text(struct resp_writer *writer, const char *text)
{
    resp_bulk(writer, text, strlen(text));
}

/* What GET and MGET answer. */
void resp_bulk_int64(struct resp_writer *writer, int64_t value)
{
    char text[DECIMAL_ROOM];
    size_t len = decimal_write_int64(text, value);
    char *to = buffer_reserve(writer->out, BULK_NUMBER_ROOM);
    char *at = to;

    *at++ = '$';
    if (len >= 10) {
        *at++ = (char)('0' + len / 10);
    }
    *at++ = (char)('0' + len % 10);
    *at++ = '\r';
    *at++ = '\n';
    memcpy(at, text, sizeof text); /* all of it: a copy of known size is two loads */
    at += len;
    *at++ = '\r';
    *at++ = '\n';
    buffer_commit(writer->out, (size_t)(at - to));
}

void resp_bulk_uint64(struct resp_writer *writer, uint64_t value)
{
    char text[DECIMAL_ROOM];

    resp_bulk(writer, text, decimal_write_uint64(text, value));
}

void resp_nil(struct resp_writer *writer)
{
    buffer_append_text(writer->out, resp_is_three(writer) ? "_\r\n" : "$-1\r\n");
}

void resp_nil_array(struct resp_writer *writer)
{
    buffer_append_text(writer->out, resp_is_three(writer) ? "_\r\n" : "*-1\r\n");
}

void resp_array(struct resp_writer *writer, size_t count)
{
    resp_header(writer, '*', (int64_t)count);
}

void resp_map(struct resp_writer *writer, size_t count)
{
    if (resp_is_three(writer)) {
        resp_header(writer, '%', (int64_t)count);
    } else {
        resp_header(writer, '*', (int64_t)count * 2);
    }
}

void resp_set(struct resp_writer *writer, size_t count)
{
    resp_header(writer, resp_is_three(writer) ? '~' : '*', (int64_t)count);
}

void resp_push(struct resp_writer *writer, size_t count)
{
    resp_header(writer, resp_is_three(writer) ? '>' : '*', (int64_t)count);
}

void resp_verbatim(struct resp_writer *writer, const char *text, size_t len)
{
    if (!resp_is_three(writer)) {
        resp_bulk(writer, text, len);
        return;
    }
    resp_header(writer, '=', (int64_t)len + 4);
    buffer_append(writer->out, "txt:", 4);
    buffer_append(writer->out, text, len);
    buffer_append(writer->out, "\r\n", 2);
}

void resp_bool(struct resp_writer *writer, bool value)
{
    if (resp_is_three(writer)) {
        buffer_append_text(writer->out, value ? "#t\r\n" : "#f\r\n");
    } else {
        resp_int(writer, value);
    }
}

void resp_double(struct resp_writer *writer, double value)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%.17g", value);

    if (!resp_is_three(writer)) {
        resp_bulk(writer, text, (size_t)len);
        return;
    }
    buffer_append_byte(writer->out, ',');
    buffer_append(writer->out, text, (size_t)len);
    buffer_append(writer->out, "\r\n", 2);
}
