/*
 * server/command_args.h: the words behind a command: options, numbers, patterns, times.
 */
#ifndef BALLAST_SERVER_COMMAND_ARGS_H
#define BALLAST_SERVER_COMMAND_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "wire/resp.h"

/* X(symbol, whether a value follows) */
#define OPTION_ROWS(X)                                                                             \
    X(AMOUNT, true)                                                                                \
    X(BEFORE, true)                                                                                \
    X(COUNT, true)                                                                                 \
    X(FLOOR, true)                                                                                 \
    X(FRESH, false)                                                                                \
    X(FROM, true)                                                                                  \
    X(IFBELOW, false)                                                                              \
    X(KEY, true)                                                                                   \
    X(MAXAGE, true)                                                                                \
    X(MEMO, true)                                                                                  \
    X(MINVERSION, true)                                                                            \
    X(THRESHOLD, true)                                                                             \
    X(TO, true)                                                                                    \
    X(TTL, true)

enum option {
#define OPTION_ENUM(symbol, valued) OPTION_##symbol,
    OPTION_ROWS(OPTION_ENUM)
#undef OPTION_ENUM
        OPTION_COUNT_OF
};

#define OPTION_BIT(option) (1u << (option))

/* The options of one request. */
struct options {
    unsigned given; /* OPTION_BITs */
    struct resp_slice value[OPTION_COUNT_OF];
};

/*
 * Reads the words as options in any order and case; `allowed` are OPTION_BITs. Returns false, with
 * what is wrong in `err`, where a word is no allowed option, comes twice or lacks its value.
 */
bool options_parse(struct options *options, unsigned allowed, const struct resp_slice *words,
                   size_t count, char *err, size_t errlen) MUST_CHECK;

/* NULL where the option was not given. */
const struct resp_slice *options_value(const struct options *options, enum option option);
bool options_has(const struct options *options, enum option option);

/* Whether the text is a date-time of RFC 3339: with seconds, and with Z or an offset. */
bool time_is_rfc3339(const char *text, size_t len) MUST_CHECK;

/* Shell patterns as in Redis: * ? [a-z] [^a] and \; `fold` ignores the case of ASCII letters. */
bool glob_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
                bool fold) MUST_CHECK;

#endif
