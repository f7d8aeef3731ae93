/*
 * server/session_state.h: what a session is made of. Private to session*.c, command*.c and
 * reply*.c.
 *
 * The states, and what each promises (all changes in session.c's session_become):
 *
 *   OPEN       reads, parses, answers
 *   DRAINING   reads no more (the client has closed its side, or the worker stops); what was
 *              received is still run and answered
 *   ENDING     parses no more (QUIT, a broken request, CLIENT KILL of itself); what is in flight
 *              is still answered
 *   LINGERING  everything is written and our side shut; what the client still sends is thrown away,
 *              so that it can read the replies before the socket is reset
 *   CLOSED     the socket is closed; the memory waits for its requests to come back
 *
 *   OPEN -> DRAINING | ENDING    DRAINING -> ENDING    DRAINING | ENDING -> LINGERING
 *   any -> CLOSED
 */
#ifndef BALLAST_SERVER_SESSION_STATE_H
#define BALLAST_SERVER_SESSION_STATE_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/spare.h"
#include "server/clients.h"
#include "server/command.h"
#include "server/command_stats.h"
#include "server/session.h"
#include "wire/resp.h"

struct reply;

enum session_state {
    SESSION_OPEN,
    SESSION_DRAINING,
    SESSION_ENDING,
    SESSION_LINGERING,
    SESSION_CLOSED,
};

/* All sessions of a worker and what they share. */
struct session_group {
    struct worker *worker;
    struct list open;   /* every session but the closed ones */
    struct list closed; /* freed at the end of a turn, when nothing of theirs is in flight */
    struct list dirty;  /* to be looked after at the end of this turn */
    struct pool *replies;
    struct spare items;    /* of replies to MGET and EXISTS */
    struct resp_args args; /* of whoever is parsed; a session has its own while half a command
                              of it is there */
    struct command_stats *stats;
    struct event *sweep;
    int64_t now_us;     /* of this turn's answers, for latencies; 0: not read yet */
    uint32_t in_flight; /* requests of all sessions */
    uint32_t requests;  /* they, and those whose answer waits behind another one */
    char *scratch;      /* LIMIT_SESSION_READ_BYTES: what one recv() brought */
};

struct session {
    struct list link;       /* group->open or group->closed */
    struct list dirty_link; /* group->dirty */
    struct session_group *group;
    struct worker *worker;
    enum session_state state;
    enum session_end end; /* why it will close; from DRAINING on */
    bool linger;          /* ENDING: the client may still be sending what broke the protocol */
    int fd;
    struct event read_event, write_event;
    bool reading, writing; /* the events are added */

    struct resp_parser parser;
    struct resp_args args;
    struct buffer in; /* received and not yet parsed; the held command's bytes */
    bool held;        /* a command is parsed and waits: its args are offsets into in */
    size_t held_len;  /* bytes of it */
    int64_t turn_us;  /* when the requests being parsed began to count: deadlines */

    struct reply *head, *tail; /* replies that are not written out yet, in order */
    size_t text_bytes;         /* of the text slots among them */
    struct buffer out;
    bool took_output;       /* the client has taken some since the last sweep */
    enum command_class run; /* of what is in flight */
    uint32_t in_flight;     /* requests of the engine */
    uint32_t outstanding;   /* weight of all replies in the queue */
    bool run_failed;        /* the store did not answer one of them */
    int64_t over_us;        /* since when the output has been over its cap; 0: it is not */
    int64_t linger_us;      /* since when it lingers */

    /* those in flight that go past the cache: how many, which, and their command_accounts() */
    uint32_t store_reads;
    const struct command *store_command;
    uint64_t store_accounts;

    int protocol;  /* 2 or 3 */
    bool stale_ok; /* CLIENT STALE yes */
    bool authenticated;
    enum config_role role; /* once authenticated */
    struct client client;
};

/* The one place where the state changes; aborts on anything else than the diagram shows. */
void session_become(struct session *session, enum session_state state);

/* At the end of this turn: parses on, writes out, closes. */
void session_touch(struct session *session);

/* On the worker's own thread: closes those that CLIENT KILL has marked. */
void session_close_killed(struct session_group *group);

/* Answers what is in flight, then closes. */
void session_end_after_replies(struct session *session, enum session_end end);

/* The role of the session; false: it has to authenticate first. */
bool session_role(const struct session *session, enum config_role *role);
void session_authenticate(struct session *session, const struct config_user *user);
/* RESET: as a new connection. */
void session_reset(struct session *session);

/* A clock read in this turn: for statistics, never for deadlines or trust. */
int64_t session_group_now(struct session_group *group);

#endif
