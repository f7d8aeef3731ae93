/*
 * base/log.h: the log, one logfmt line an event:
 *
 *   ts=2013-07-18T01:02:03.123456Z level=info event=store-up host=127.0.0.1 took_ms=12
 *
 * Writing never blocks the caller. A line is formatted on the caller's stack and copied into a
 * bounded ring; a thread of the log's own writes the ring out. Where the ring is full (a stuck
 * pipe, a full disk) the line is dropped and counted, and the first line that can be written
 * afterwards is followed by `event=log-dropped lines=N`.
 *
 * Before log_open() and after log_close(), lines go straight to standard error: tests and the
 * command line need no set-up.
 *
 * Every function may be called by any thread, but for log_open(), log_reopen() and log_close(),
 * which belong to one (the main) thread.
 */
#ifndef BALLAST_BASE_LOG_H
#define BALLAST_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* An event without details has an empty format. */
#pragma GCC diagnostic ignored "-Wformat-zero-length"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
};

/*
 * Opens the log and starts its thread. `path` is a file that is appended to, or "-" for standard
 * error. Returns 0, or -1 with errno set and the log as it was. Call once, after any fork().
 */
int log_open(const char *path, enum log_level level) MUST_CHECK;

/* Opens the file again by its path, after a rotation. Returns 0; -1: errno, the old file stays. */
int log_reopen(void) MUST_CHECK;

/* Writes out what waits, for at most a second, and ends the thread. */
void log_close(void);

/* The least severe level that is written; may be changed at any time. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* "debug", "info", "warn" or "error". */
const char *log_level_name(enum log_level level);

/*
 * Writes one line. `event` is a constant like "store-up"; `fmt` and its arguments are the
 * "key=value key=value" part, or "" for none. Text that others chose goes through LOG_VALUE().
 * Line ends in the result are shown as spaces; an overlong line is cut and ends in "...".
 */
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As log_event(), but their arguments are not evaluated where the level is not written. */
#define log_debug(...) LOG_IF_ENABLED(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_IF_ENABLED(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) LOG_IF_ENABLED(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) LOG_IF_ENABLED(LOG_LEVEL_ERROR, __VA_ARGS__)

#define LOG_IF_ENABLED(level, ...)                                                                 \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            log_event((level), __VA_ARGS__);                                                       \
        }                                                                                          \
    } while (0)

/* Room for one quoted value; longer ones are cut and end in "...". */
struct log_value {
    char text[256];
};

/*
 * The value as logfmt wants it: as it is where it is plain, else in double quotes with `"`, `\`,
 * line ends and bytes that cannot be printed escaped. Writes into `room` and returns its text.
 * `text` may be NULL, which shows as "".
 */
const char *log_value_quote(struct log_value *room, const char *text, size_t len);

/* For arguments of log_event(): quotes into a temporary that lives until the end of the block. */
#define LOG_VALUE(string) log_value_quote(&(struct log_value){{0}}, (string), SIZE_MAX)
#define LOG_VALUE_N(data, len) log_value_quote(&(struct log_value){{0}}, (data), (len))

/* Lines dropped since the start, because nobody took the ones before. */
uint64_t log_dropped_count(void);

#endif
