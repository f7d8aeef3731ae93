/*
 * A session: one client connection on one worker, RESP2 or RESP3.
 *
 * It reads, parses, dispatches commands to the engine and writes replies in the order of the
 * requests. Reads and mutations of one session never overlap: a read behind a mutation waits for
 * it and sees it, a mutation behind a read waits likewise (spec: order on one connection). Within
 * a run of reads, or of mutations, everything is in flight at once.
 *
 * The group is all sessions of one worker with what they share: memory, the list of those that
 * have something to write at the end of the turn, the timer that ends idle ones, and the event by
 * which other threads reach them (CLIENT KILL). It activates events across threads: the process
 * must have called evthread_use_pthreads() before it made its event bases.
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

/* For worker->group, once base, metrics, config and index are set; on any thread, before the
 * worker's loop runs. NULL: no memory. */
struct session_group *session_group_create(struct worker *worker) MUST_CHECK;

/*
 * Closes what is still open. The engine must be freed between the two: it calls back for the
 * requests under way, and those callbacks need their sessions.
 */
void session_group_close(struct session_group *group);
void session_group_free(struct session_group *group);

/*
 * The worker is stopping: nothing more is read; every session closes when what it has received is
 * answered and written. worker->session_count falls to 0 as they do.
 */
void session_group_drain(struct session_group *group);

/* Takes the connected, non-blocking socket over. Closes it with -ERR max number of clients where
 * the limit is reached. unix_path NULL for TCP. */
void session_accept(struct worker *worker, int fd, const struct sockaddr *peer,
                    const char *unix_path);

/* Closes at once; requests under way are let go (a mutation goes on in the store). */
void session_close(struct session *session, enum session_end end);

#endif
