/*
 * A session: one client connection on one worker, RESP2 or RESP3.
 *
 * It reads, parses, dispatches commands to the engine and writes replies in the order of the
 * requests. Reads and mutations of one session never overlap: a read behind a mutation waits for
 * it and sees it, a mutation behind a read waits likewise (spec: order on one connection). Within
 * a run of reads, or of mutations, everything is in flight at once.
 */
#ifndef BALLAST_SERVER_SESSION_H
#define BALLAST_SERVER_SESSION_H

#include <sys/socket.h>

#include "server/worker.h"

/* Takes the connected, non-blocking socket over. Closes it with -ERR max number of clients where
 * the limit is reached. unix_path NULL for TCP. */
void session_accept(struct worker *worker, int fd, const struct sockaddr *peer,
                    const char *unix_path);

/* Closes at once; requests under way are let go (a mutation goes on in the store). */
void session_close(struct session *session, const char *reason);

/* The worker is stopping: no further reads; closes when every reply has been written. */
void session_drain(struct session *session);

/* --- called by the worker for all of its sessions ---------------------------------------------*/

/* The end of a turn, behind engine_flush: writes out what the sessions have ready. */
void session_flush_dirty(struct worker *worker);

/* session_drain and session_close of every session; the latter before the worker's links and
 * engine are freed. Requests under way still get their callbacks afterwards. */
void session_drain_all(struct worker *worker);
void session_close_all(struct worker *worker, const char *reason);

#endif
