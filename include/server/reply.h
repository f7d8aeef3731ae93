/*
 * server/reply.h: replies in the order of their requests.
 *
 * A reply that is complete when nothing is pending before it is written straight into the
 * session's output. A request to the engine takes a slot in the session's queue; what is answered
 * at once behind it goes into a text slot at the queue's end. When the engine has answered, the
 * completed head of the queue is encoded into the output.
 *
 *   request ── call_request() ──> slot ── engine … done ── reply_finish() ──> output
 *   PING    ── call_writer() ─────────────────────────────────────────────> output, or text slot
 */
#ifndef BALLAST_SERVER_REPLY_H
#define BALLAST_SERVER_REPLY_H

#include "core/engine.h"
#include "server/command.h"
#include "wire/resp.h"

struct session;
struct slowlog_entry;

/* One command being run. Lives as long as its handler. */
struct call {
    struct session *session;
    const struct command *command;
    const struct resp_slice *args; /* args[0] is the name */
    size_t count;
    bool answered; /* call_writer() was used: it needs no engine */
    bool failed;   /* by an error */
    size_t start;  /* bytes that were in writer.out before */
    struct resp_writer writer;
};

/* How a request ended. */
enum reply_grade {
    REPLY_FINE,
    REPLY_STALE, /* with a stale value: the store did not answer */
    REPLY_ERROR, /* refused */
    REPLY_FAILED /* the store did not answer, or not in time */
};

struct reply {
    struct reply *next;
    struct session *session;
    const struct command *command; /* NULL: a text slot */
    bool done;
    bool reads_store;
    uint32_t weight; /* of the pipeline */
    int64_t received_us;
    /* Writes the reply; answer is the engine's item. Called once, when it is its turn or the
     * answer would vanish. */
    enum reply_grade (*encode)(struct reply *reply, const void *answer, struct resp_writer *out);
    /* Adds the request's words. NULL: none but the name. */
    void (*describe)(const struct reply *reply, const void *answer, struct slowlog_entry *entry);
    enum reply_grade grade;
    struct buffer text; /* a text slot's, or an answer that had to be encoded before its turn */
    void *memory;       /* owned; freed with the reply */
    struct read_item *items; /* MGET, EXISTS: from the group's spare ones; given back with it */
    size_t items_room;       /* bytes that were asked for them */
    size_t count;            /* of them; text slots: bytes in session->text_bytes */
    size_t left;             /* accounts that have not been answered */
    size_t extra;            /* EXISTS: system accounts */
    int64_t amount;          /* CANSPEND */
    struct read_item read;   /* GET, BALANCE, CANSPEND */
};

/* --- for handlers -----------------------------------------------------------------------------*/

/* Where to write the reply of a command that needs no engine, in its place. */
struct resp_writer *call_writer(struct call *call);
void call_ok(struct call *call);
void call_error(struct call *call, const char *code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A slot for a request to the engine; `units` are its accounts or rows. NULL where the worker has
 * too many under way: BUSY has been answered. */
struct reply *call_request(struct call *call, size_t units) MUST_CHECK;

/* When a request that is taken up now has to be answered. */
int64_t call_deadline_us(const struct call *call);

/* --- for the engine's callbacks ---------------------------------------------------------------*/

/* The answer stands in the reply's own items until its turn. */
void reply_finish(struct reply *reply);
/* The answer is valid during this call only. */
void reply_finish_now(struct reply *reply, const void *answer);

/* --- for the session --------------------------------------------------------------------------*/

/* Where a text may be written that belongs behind everything requested so far. */
void reply_text_writer(struct session *session, struct resp_writer *writer);

/* The session is closed: lets go of what is not in flight. */
void reply_abandon(struct session *session);

#endif
