#include "cache/command.h"

#include "base/decimal.h"

/* Room for '*' or '$', a number and CRLF. */
#define HEADER_ROOM (1 + DECIMAL_ROOM + 2)

static void put_header(struct buffer *out, char type, size_t number)
{
    char *start = buffer_reserve(out, HEADER_ROOM);
    char *at = start;

    *at++ = type;
    at += decimal_write_uint64(at, number);
    *at++ = '\r';
    *at++ = '\n';
    buffer_commit(out, (size_t)(at - start));
}

void cache_command_begin(struct buffer *out, size_t count)
{
    put_header(out, '*', count);
}

void cache_command_joined(struct buffer *out, const char *head, size_t head_len, const char *tail,
                          size_t tail_len)
{
    put_header(out, '$', head_len + tail_len);
    buffer_append(out, head, head_len);
    buffer_append(out, tail, tail_len);
    buffer_append(out, "\r\n", 2);
}

void cache_command_bytes(struct buffer *out, const char *bytes, size_t len)
{
    cache_command_joined(out, bytes, len, "", 0);
}

void cache_command_text(struct buffer *out, const char *text)
{
    cache_command_bytes(out, text, strlen(text));
}

void cache_command_number(struct buffer *out, uint64_t number)
{
    char digits[DECIMAL_ROOM];

    cache_command_bytes(out, digits, decimal_write_uint64(digits, number));
}

void cache_command_words(struct buffer *out, const char *const *words, size_t count)
{
    cache_command_begin(out, count);
    for (size_t i = 0; i < count; i++) {
        cache_command_text(out, words[i]);
    }
}
