/*
 * The answers that a request can have: one row a class, with the word that the protocol shows.
 *
 * Invariant 9: every request ends in exactly one of these, and "unknown" is never folded into
 * "failed": whoever retries must know whether anything may have been applied.
 */
#ifndef BALLAST_MODEL_OUTCOME_H
#define BALLAST_MODEL_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>

/* X(symbol, word, HTTP status, what a client should do next) */
#define OUTCOME_ROWS(X)                                                                            \
    X(OK, "OK", 200, "")                                                                           \
    X(ERR, "ERR", 400, "correct the request")                                                      \
    X(NOACCOUNT, "NOACCOUNT", 404, "open the account first")                                       \
    X(EXISTS, "EXISTS", 409, "the account is open with other words")                               \
    X(NOTRANSFER, "NOTRANSFER", 404, "check the transfer's id")                                    \
    X(NOHOLD, "NOHOLD", 404,                                                                       \
      "check the hold's id: it may have been captured, released or expired")                       \
    X(NOCHARGE, "NOCHARGE", 404, "check the charge's id")                                          \
    X(INSUFFICIENT, "INSUFFICIENT", 409, "credit the account or lower its floor")                  \
    X(SUSPENDED, "SUSPENDED", 409, "resume the account first")                                     \
    X(CLOSED, "CLOSED", 409, "the account is closed for good")                                     \
    X(ASSET, "ASSET", 409, "both sides must be of one asset")                                      \
    X(OVERFLOW, "OVERFLOW", 409, "the balance would leave the range of 64 bits")                   \
    X(KEYREUSED, "KEYREUSED", 409, "use a new key for another request")                            \
    X(NOTEMPTY, "NOTEMPTY", 409, "empty the account first")                                        \
    X(NOTDUE, "NOTDUE", 409, "there is enough: do not charge")                                     \
    X(OPENCHARGE, "OPENCHARGE", 409, "settle the open charge first (CHARGE LIST)")                 \
    X(SETTLED, "SETTLED", 409, "the first answer holds: compare it with the processor's")          \
    X(FUSE, "FUSE", 503, "an operator must look: `ballast fuse`, `ballast incidents`")             \
    X(UNAVAILABLE, "UNAVAILABLE", 503, "try again")                                                \
    X(UNKNOWN, "UNKNOWN", 504, "repeat with the same key until the answer is definite")            \
    X(BUSY, "BUSY", 503, "try again after a while")                                                \
    X(STALE, "STALE", 503, "ask BALANCE, or say CLIENT STALE yes")

enum outcome {
#define OUTCOME_ENUM(symbol, word, http, advice) OUTCOME_##symbol,
    OUTCOME_ROWS(OUTCOME_ENUM)
#undef OUTCOME_ENUM
        OUTCOME_COUNT
};

const char *outcome_word(enum outcome outcome);
const char *outcome_advice(enum outcome outcome);
int outcome_http_status(enum outcome outcome);

/* The store's word for an outcome; false for a word that this program does not know. */
bool outcome_parse(enum outcome *outcome, const char *word, size_t len)
    __attribute__((warn_unused_result));

#endif
