/*
 * server/session_io.h: a session's socket: what comes in is parsed and run, what is ready goes out.
 * Private to session*.c.
 */
#ifndef BALLAST_SERVER_SESSION_IO_H
#define BALLAST_SERVER_SESSION_IO_H

#include "server/session_state.h"

/* Makes the events of the new session's socket and begins to read. */
void session_io_start(struct session *session);

/* Reads no more; and neither reads nor writes any more. */
void session_io_stop_reading(struct session *session);
void session_io_stop(struct session *session);

/* The end of a turn: goes on with what had to wait, writes, and closes if that was the last. */
void session_settle(struct session *session);

#endif
