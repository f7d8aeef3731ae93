/*
 * base/buffer.h: a growable run of bytes, appended to at the end and consumed at the front: what a
 * session has received and what it has to send.
 *
 * `data` and `len` are the bytes that are there. Consuming moves `data` forward and copies
 * nothing; the room in front is taken back when the buffer is empty or has to grow. Any call that
 * appends or reserves may move the bytes: keep offsets across it, not pointers.
 *
 * Out of memory aborts. Whoever must bound a buffer uses the _within functions, or looks at `len`.
 */
#ifndef BALLAST_BASE_BUFFER_H
#define BALLAST_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/attributes.h"

struct buffer {
    char *data;  /* first byte that has not been consumed; NULL only before the first append */
    size_t len;  /* bytes there */
    size_t cap;  /* bytes from `data` to the end of the allocation */
    char *start; /* the allocation; owned */
};

/* An empty buffer owns nothing: this, or a zeroed struct. */
#define BUFFER_EMPTY ((struct buffer){0})

/* Frees the bytes; the buffer is empty and can be used again. */
void buffer_free(struct buffer *buffer);

/* buffer_reserve() where there may be no room yet. */
char *buffer_reserve_slowly(struct buffer *buffer, size_t more);

/* Makes room for `more` bytes behind the last one and returns where they go. */
static inline char *buffer_reserve(struct buffer *buffer, size_t more)
{
    if (UNLIKELY(buffer->start == NULL || more > buffer->cap - buffer->len)) {
        return buffer_reserve_slowly(buffer, more);
    }
    return buffer->data + buffer->len;
}

/* The same, but NULL, with nothing changed, where the buffer would then exceed `limit` bytes. */
char *buffer_reserve_within(struct buffer *buffer, size_t more, size_t limit) MUST_CHECK;

/* Forgets the first `count` bytes; count <= len. */
void buffer_consume(struct buffer *buffer, size_t count);

/* Forgets all bytes and keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Gives memory beyond `keep` bytes back, if the buffer is empty: an idle session is small. */
void buffer_trim(struct buffer *buffer, size_t keep);

/* Appends formatted text, without a NUL. */
void buffer_printf(struct buffer *buffer, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends, or returns false with nothing changed where there would be more than `limit` bytes. */
bool buffer_append_within(struct buffer *buffer, const void *bytes, size_t count,
                          size_t limit) MUST_CHECK;

/* Says that `count` bytes have been written to where buffer_reserve() pointed. */
static inline void buffer_commit(struct buffer *buffer, size_t count)
{
    assert(count <= buffer->cap - buffer->len);
    buffer->len += count;
}

static inline void buffer_append(struct buffer *buffer, const void *bytes, size_t count)
{
    if (count == 0) {
        return;
    }
    if (UNLIKELY(count > buffer->cap - buffer->len)) {
        (void)buffer_reserve(buffer, count);
    }
    memcpy(buffer->data + buffer->len, bytes, count);
    buffer->len += count;
}

static inline void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

static inline void buffer_append_byte(struct buffer *buffer, char byte)
{
    buffer_append(buffer, &byte, 1);
}

#endif
