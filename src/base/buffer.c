#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_FIRST_BYTES 512 /* holds a small command with its reply; doubles from there */

void buffer_free(struct buffer *buffer)
{
    free(buffer->start);
    *buffer = BUFFER_EMPTY;
}

/* The room that was consumed in front of the data. */
static size_t buffer_front(const struct buffer *buffer)
{
    return (size_t)(buffer->data - buffer->start);
}

static void buffer_grow(struct buffer *buffer, size_t need)
{
    size_t front = buffer->start == NULL ? 0 : buffer_front(buffer);
    size_t total = front + buffer->cap;

    /* Sliding is paid for by what was consumed only where at least half the room is in front. */
    if (buffer->start != NULL && need <= total && front >= buffer->len) {
        memmove(buffer->start, buffer->data, buffer->len);
        buffer->data = buffer->start;
        buffer->cap = total;
        return;
    }

    size_t size = total < BUFFER_FIRST_BYTES ? BUFFER_FIRST_BYTES / 2 : total;

    do {
        if (size > SIZE_MAX / 2) {
            abort();
        }
        size *= 2;
    } while (size < need);

    char *start = malloc(size);

    if (start == NULL) {
        abort();
    }
    if (buffer->len > 0) {
        memcpy(start, buffer->data, buffer->len);
    }
    free(buffer->start);
    buffer->start = start;
    buffer->data = start;
    buffer->cap = size;
}

char *buffer_reserve_slowly(struct buffer *buffer, size_t more)
{
    if (more > SIZE_MAX - buffer->len) {
        abort();
    }
    if (buffer->start == NULL || more > buffer->cap - buffer->len) {
        buffer_grow(buffer, buffer->len + more);
    }
    return buffer->data + buffer->len;
}

char *buffer_reserve_within(struct buffer *buffer, size_t more, size_t limit)
{
    if (buffer->len > limit || more > limit - buffer->len) {
        return NULL;
    }
    return buffer_reserve(buffer, more);
}

bool buffer_append_within(struct buffer *buffer, const void *bytes, size_t count, size_t limit)
{
    if (buffer->len > limit || count > limit - buffer->len) {
        return false;
    }
    buffer_append(buffer, bytes, count);
    return true;
}

void buffer_clear(struct buffer *buffer)
{
    if (buffer->start != NULL) {
        buffer->cap += buffer_front(buffer);
        buffer->data = buffer->start;
        buffer->len = 0;
    }
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    assert(count <= buffer->len);

    if (count == buffer->len) {
        buffer_clear(buffer);
        return;
    }
    buffer->data += count;
    buffer->len -= count;
    buffer->cap -= count;
}

void buffer_trim(struct buffer *buffer, size_t keep)
{
    if (buffer->len == 0 && buffer->cap > keep) {
        buffer_free(buffer);
    }
}

void buffer_printf(struct buffer *buffer, const char *fmt, ...)
{
    char *to = buffer_reserve(buffer, 128);
    size_t room = buffer->cap - buffer->len;
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);

    int len = vsnprintf(to, room, fmt, args);

    if (len < 0) {
        abort(); /* a format that the C library does not know */
    }
    if ((size_t)len >= room) {
        to = buffer_reserve(buffer, (size_t)len + 1);
        (void)vsnprintf(to, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    va_end(args);
    buffer_commit(buffer, (size_t)len);
}
