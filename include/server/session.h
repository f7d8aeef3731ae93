/*
 * A session: one client connection on one worker, RESP2 or RESP3.
 *
 * It reads, parses, dispatches commands to the engine and writes replies in the order of the
 * requests. Reads and mutations of one session never overlap: a read behind a mutation waits for
 * it and sees it, a mutation behind a read waits likewise (spec: order on one connection). Within
 * a run of reads, or of mutations, everything is in flight at once, but for one thing. A read that
 * goes past the cache (FRESH, HISTORY) waits for those before it of another kind, and what asks the
 * cache, and HISTORY itself, waits for those of the same account: of two that go different ways, or
 * whose statements do, the later one may find the older version, and nobody is shown an account going
 * back (invariant 4).
 *
 * The group is all sessions of one worker with what they share: memory, counters, the list of
 * those that have something to do at the end of the turn, the timer that ends idle ones.
 */
#ifndef BALLAST_SERVER_SESSION_H
#define BALLAST_SERVER_SESSION_H

#include <sys/socket.h>

#include "base/attributes.h"
#include "server/worker.h"

struct session;

/* Why a connection ended. X(symbol, word for the log, counter in struct metrics) */
#define SESSION_END_ROWS(X)                                                                        \
    X(CLIENT, "client", closed_by_client)                                                          \
    X(PROTOCOL, "protocol", closed_protocol)                                                       \
    X(OUTPUT, "output-buffer", closed_output)                                                      \
    X(IDLE, "idle", closed_idle)                                                                   \
    X(KILLED, "killed", closed_killed)                                                             \
    X(ERROR, "error", closed_error)                                                                \
    X(SHUTDOWN, "shutdown", closed_shutdown)

enum session_end {
#define SESSION_END_ENUM(symbol, word, counter) SESSION_END_##symbol,
    SESSION_END_ROWS(SESSION_END_ENUM)
#undef SESSION_END_ENUM
};

/* Takes the connected, non-blocking socket over. Closes it with -ERR max number of clients where
 * the limit is reached. unix_path NULL for TCP. */
void session_accept(struct worker *worker, int fd, const struct sockaddr *peer,
                    const char *unix_path);

/* Closes at once; requests under way are let go (a mutation goes on in the store). */
void session_close(struct session *session, enum session_end end);

/* --- called by the worker for all of its sessions ---------------------------------------------*/

/* What worker->group points to; made once base, metrics, config and index are set, and before the
 * server lets any worker's loop run. */
struct session_group *session_group_create(struct worker *worker) MUST_CHECK;

/* Behind session_close_all and engine_free: the engine calls back for the requests under way, and
 * the callbacks need what is freed here. */
void session_group_free(struct session_group *group);

/* The end of a turn, behind engine_flush: goes on with what the sessions had to put off, and
 * writes out what they have ready. May ask for another end of turn. */
void session_flush_dirty(struct worker *worker);

/* The worker is stopping: nothing more is read; every session closes when what it has received is
 * answered and written. worker->session_count falls to 0 as they do. */
void session_drain_all(struct worker *worker);

/* session_close of every session. */
void session_close_all(struct worker *worker, enum session_end end);

#endif
