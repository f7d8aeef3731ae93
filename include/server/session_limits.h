/*
 * server/session_limits.h: the limits of sessions and commands that no option moves. Each with its
 * unit and its reason.
 */
#ifndef BALLAST_SERVER_SESSION_LIMITS_H
#define BALLAST_SERVER_SESSION_LIMITS_H

#include <assert.h>

/* Bytes that one session may bring into one turn of the loop: others wait no longer than that. */
#define LIMIT_SESSION_READ_BYTES (64 * 1024)

/* Bytes of buffers that a session keeps which is idle when it is swept: 10,000 of them must be
 * small. And arguments that a worker keeps for all of them. */
#define LIMIT_SESSION_KEEP_BYTES 4096
#define LIMIT_SESSION_KEEP_ARGS 65536

/* Bytes beyond the arguments themselves that a command takes for each of them: `$N` and ends. */
#define LIMIT_SESSION_ARG_OVERHEAD_BYTES 128

/* How often idle and stuck sessions are looked for. */
#define LIMIT_SESSION_SWEEP_MS 1000

/* How long output may stay over `[limits] output-buffer` before the session is closed: a client
 * that is only slow for a moment is kept. */
#define LIMIT_SESSION_STALL_US (10 * 1000 * 1000)

/* How long the rest of a broken request is thrown away, so that the client sees the error rather
 * than a reset. */
#define LIMIT_SESSION_LINGER_US (2 * 1000 * 1000)

/* Requests that one worker has under way for all of its sessions, or answered and not written out
 * yet, because one before them is under way: some 400 bytes each. */
#define LIMIT_WORKER_REQUESTS 262144

/* So many accounts of an MGET, or rows of a HISTORY, count as one more request of the pipeline:
 * what a session may have under way is bounded in memory, not only in number. */
#define LIMIT_REQUEST_UNIT 32

/* Accounts of one MGET for which memory is kept from one request to the next, and for how many such
 * requests: some 3 MB a worker. */
#define LIMIT_SPARE_ITEMS 128
#define LIMIT_SPARE_BLOCKS 64

/* Rows of one HISTORY. */
#define LIMIT_HISTORY_DEFAULT 10
#define LIMIT_HISTORY_MAX 1000

/* Bytes of what a client calls itself and its library, with NUL. */
#define LIMIT_CLIENT_NAME_ROOM 65

/* SLOWLOG: what a request must take to be noted, how many are kept, and how much of each. */
#define LIMIT_SLOW_US (100 * 1000)
#define LIMIT_SLOWLOG_ENTRIES 128
#define LIMIT_SLOWLOG_ARGS 8
#define LIMIT_SLOWLOG_ARG_ROOM 80

static_assert(LIMIT_SLOWLOG_ARG_ROOM > 64, "an account id must fit");

#endif
