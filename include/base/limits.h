/*
 * base/limits.h: the limits of the base and wire layers that no option moves, and the bounds of
 * the options that move the others (base/config.h). Each with its unit and its reason.
 */
#ifndef BALLAST_BASE_LIMITS_H
#define BALLAST_BASE_LIMITS_H

#include <assert.h>

/* Workers, a daemon. A worker saturates a core; 16 of them saturate one PostgreSQL long before. */
#define LIMIT_WORKERS_MAX 16

/* Connections to the store that a worker reads through. */
#define LIMIT_READ_LINKS_MAX 8

/* Listening addresses, and users. Both are walked linearly. */
#define LIMIT_LISTEN_ADDRESSES_MAX 16
#define LIMIT_USERS_MAX 64

/* Bytes of a user's name, and of a secret in a file. */
#define LIMIT_USER_NAME_BYTES_MAX 64
#define LIMIT_SECRET_BYTES_MAX 512

/* Bytes of a line of the configuration file: a conninfo with the paths of certificates fits. */
#define LIMIT_CONFIG_LINE_BYTES_MAX 4000

/* Bytes of an inline request, as in Redis: a person typed it. */
#define LIMIT_INLINE_BYTES_MAX (64 * 1024)

/* Bytes of a `*N` or `$N` line with its end: 20 digits, and room for nothing else. */
#define LIMIT_RESP_HEADER_BYTES_MAX 32

/* Arguments and bytes a bulk that a client may send before it has authenticated, as in Redis. */
#define LIMIT_ARGS_BEFORE_AUTH 10
#define LIMIT_BULK_BYTES_BEFORE_AUTH (16 * 1024)

/* `[limits] args`: MGET of 1,000 accounts and MTRANSFER of 100 legs must fit. */
#define LIMIT_ARGS_MIN 1024
#define LIMIT_ARGS_MAX 65536

/* `[limits] bulk-bytes`: an idempotency key (128) and a memo must fit with room to spare. */
#define LIMIT_BULK_BYTES_MIN 1024
#define LIMIT_BULK_BYTES_MAX (16 * 1024 * 1024)

/* `[limits] batch`: above some thousands a commit only gets longer, not cheaper. */
#define LIMIT_BATCH_MAX 10000

/* Bytes of one log line with its newline: one write to a pipe of PIPE_BUF is not torn. */
#define LIMIT_LOG_LINE_BYTES_MAX 2048

/* Bytes of log lines that wait for the writer; beyond, lines are dropped and counted. */
#define LIMIT_LOG_RING_BYTES (1024 * 1024)

static_assert(LIMIT_ARGS_BEFORE_AUTH < LIMIT_ARGS_MIN, "authentication must only widen");
static_assert(LIMIT_BULK_BYTES_BEFORE_AUTH <= LIMIT_INLINE_BYTES_MAX, "inline is the wider one");
static_assert(LIMIT_ARGS_MIN >= 3 + 3 * 100, "MTRANSFER KEY key and 100 legs");
static_assert(LIMIT_LOG_LINE_BYTES_MAX <= 4096, "PIPE_BUF on Linux");
static_assert(LIMIT_LOG_RING_BYTES >= 64 * LIMIT_LOG_LINE_BYTES_MAX, "a burst must fit");

#endif
