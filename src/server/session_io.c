/*
 * The socket of a session.
 *
 * What one recv() brings lands in the worker's scratch and is parsed there; only what cannot be
 * run yet (half a command, or one that has to wait) is copied into the session, which therefore
 * owns no input memory beyond what its client has sent and not yet had run.
 *
 * Nothing is written but at the end of a turn: all that a turn has made ready leaves in one send().
 *
 * Reading pauses, and so does parsing, while the pipeline is full, a command waits for what is in
 * flight, or the client does not take its replies. The event is deleted only when it fires
 * meanwhile: a client that sends nothing more costs nothing.
 */
#include "server/session_io.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/command.h"
#include "server/reply.h"

static bool has_input_room(const struct session *session)
{
    const struct config *config = session->worker->config;

    return session->in.len <= (size_t)config->limits.bulk_bytes +
                                  (size_t)config->limits.args * LIMIT_SESSION_ARG_OVERHEAD_BYTES;
}

static bool may_parse(const struct session *session)
{
    const struct config *config = session->worker->config;

    return !session->held &&
           (session->state == SESSION_OPEN || session->state == SESSION_DRAINING) &&
           session->outstanding < (uint64_t)config->limits.pipeline &&
           session->out.len + session->text_bytes < (size_t)config->limits.output_buffer_bytes;
}

/* --- parsing ----------------------------------------------------------------------------------*/

/* The client may still be sending what broke the protocol: it shall see why before the reset. */
static void end_broken(struct session *session, const char *error)
{
    struct resp_writer writer;

    reply_text_writer(session, &writer);
    resp_error(&writer, "ERR", "%s", error);
    metrics_add(&session->worker->metrics->protocol_errors, 1);
    session->linger = true;
    session_end_after_replies(session, SESSION_END_PROTOCOL);
}

/* The arguments point into bytes that are about to move. */
static void hold_command(struct session *session, const char *base, size_t len)
{
    for (size_t i = 0; i < session->args.count; i++) {
        struct resp_slice *slice = &session->args.items[i];
        slice->offset = (size_t)(slice->data - base);
    }
    session->held = true;
    session->held_len = len;
}

/* Arguments are the worker's, so that an idle session has none; who has half a command, or one that
 * waits, keeps those until it is run. */
static void borrow_args(struct session *session)
{
    if (session->args.items == NULL) {
        session->args = session->group->args;
        session->args.count = 0;
        session->group->args = (struct resp_args){0};
    }
}

static void give_args_back(struct session *session)
{
    struct resp_args *args = &session->args;

    if (session->held || session->parser.offset > 0) {
        return;
    }
    if (session->group->args.items == NULL && args->cap <= LIMIT_SESSION_KEEP_ARGS) {
        session->group->args = *args;
    } else {
        resp_args_free(args);
    }
    *args = (struct resp_args){0};
}

static size_t parse_commands(struct session *session, char *data, size_t len)
{
    size_t used = 0;

    while (used < len && may_parse(session)) {
        size_t consumed = 0;
        enum resp_result result =
            resp_parse(&session->parser, data + used, len - used, &session->args, &consumed);
        if (result == RESP_PROTOCOL_ERROR) {
            end_broken(session, session->parser.error);
            return len;
        }
        if (result == RESP_NEED_MORE) {
            return used + consumed;
        }
        const struct command *command = command_resolve(session->args.items, session->args.count);
        if (command != NULL && command_must_wait(session, command, &session->args)) {
            hold_command(session, data + used, consumed);
            return used;
        }
        command_dispatch(session, command, session->args.items, session->args.count);
        used += consumed;
    }
    return used;
}

static size_t parse(struct session *session, char *data, size_t len)
{
    borrow_args(session);
    size_t used = parse_commands(session, data, len);
    give_args_back(session);
    return used;
}

/* Runs the command that waited, if it may run now. */
static void run_held(struct session *session)
{
    struct resp_args *args = &session->args;
    const struct command *command;

    for (size_t i = 0; i < args->count; i++) {
        args->items[i].data = session->in.data + args->items[i].offset;
    }
    command = command_resolve(args->items, args->count);
    if (command != NULL && command_must_wait(session, command, args)) {
        hold_command(session, session->in.data, session->held_len);
        return;
    }
    session->held = false;
    command_dispatch(session, command, args->items, args->count);
    buffer_consume(&session->in, session->held_len);
    give_args_back(session);
}

static void parse_input(struct session *session)
{
    if (session->held && session->in_flight == 0) {
        run_held(session);
    }
    if (session->in.len > 0 && may_parse(session)) {
        size_t used = parse(session, session->in.data, session->in.len);
        buffer_consume(&session->in, used);
    }
    if (may_parse(session) && !has_input_room(session)) {
        end_broken(session, "Protocol error: request too big");
    }
}

/* --- reading ----------------------------------------------------------------------------------*/

void session_io_stop_reading(struct session *session)
{
    if (session->reading) {
        event_del(&session->read_event);
        session->reading = false;
    }
}

static void start_reading(struct session *session)
{
    if (!session->reading) {
        session->reading = true;
        if (event_add(&session->read_event, NULL) != 0) {
            session->reading = false;
            session_close(session, SESSION_END_ERROR);
        }
    }
}

static void take_input(struct session *session, char *data, size_t len)
{
    session->turn_us = clock_boot_us();
    metrics_add(&session->worker->metrics->bytes_received, len);
    if (session->in_flight == 0 && session->in.len == 0) {
        session->run_failed = false;
    }
    if (session->in.len == 0) {
        size_t used = parse(session, data, len);
        buffer_append(&session->in, data + used, len - used);
    } else {
        buffer_append(&session->in, data, len);
        parse_input(session);
    }
    atomic_store_explicit(&session->client.input_bytes, session->in.len, memory_order_relaxed);
}

static void read_ready(int fd, short what, void *arg)
{
    struct session *session = arg;
    char *scratch = session->group->scratch;

    (void)what;
    if (session->state != SESSION_LINGERING && !may_parse(session)) {
        session_io_stop_reading(session);
        return;
    }
    ssize_t got = recv(fd, scratch, LIMIT_SESSION_READ_BYTES, 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            session_close(session, errno == ECONNRESET ? SESSION_END_CLIENT : SESSION_END_ERROR);
        }
    } else if (session->state == SESSION_LINGERING) {
        if (got == 0) {
            session_close(session, session->end);
        }
    } else if (got == 0) {
        /* Whoever shuts down its sending side may still wait for replies. */
        session->end = SESSION_END_CLIENT;
        session_become(session, SESSION_DRAINING);
        session_io_stop_reading(session);
        session_touch(session);
    } else {
        take_input(session, scratch, (size_t)got);
    }
}

/* --- writing ----------------------------------------------------------------------------------*/

static void watch_writable(struct session *session, bool wanted)
{
    if (wanted == session->writing) {
        return;
    }
    session->writing = wanted;
    if (wanted ? event_add(&session->write_event, NULL) : event_del(&session->write_event)) {
        session->writing = false;
        session_close(session, SESSION_END_ERROR);
    }
}

static void write_output(struct session *session)
{
    struct buffer *out = &session->out;

    while (out->len > 0) {
        ssize_t sent = send(session->fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno == EAGAIN) {
                break;
            }
            session_close(session, errno == EPIPE || errno == ECONNRESET ? SESSION_END_CLIENT
                                                                         : SESSION_END_ERROR);
            return;
        }
        metrics_add(&session->worker->metrics->bytes_sent, (uint64_t)sent);
        buffer_consume(out, (size_t)sent);
        session->took_output = true;
    }
    if (out->len < (size_t)session->worker->config->limits.output_buffer_bytes) {
        session->over_us = 0;
    } else if (session->over_us == 0) {
        session->over_us = clock_boot_us();
    }
    atomic_store_explicit(&session->client.output_bytes, out->len, memory_order_relaxed);
    watch_writable(session, out->len > 0);
}

static void write_ready(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    session_touch(arg);
}

/* --- the events, and the end of a turn --------------------------------------------------------*/

void session_io_start(struct session *session)
{
    struct event_base *base = session->worker->base;
    struct resp_limits limits = session->parser.limits;

    resp_parser_init(&session->parser, &limits);
    event_assign(&session->read_event, base, session->fd, EV_READ | EV_PERSIST, read_ready,
                 session);
    event_assign(&session->write_event, base, session->fd, EV_WRITE | EV_PERSIST, write_ready,
                 session);
    start_reading(session);
}

void session_io_stop(struct session *session)
{
    session_io_stop_reading(session);
    if (session->writing) {
        event_del(&session->write_event);
        session->writing = false;
    }
}

static void linger(struct session *session)
{
    session_become(session, SESSION_LINGERING);
    session->linger_us = clock_boot_us();
    shutdown(session->fd, SHUT_WR);
    start_reading(session);
}

/* Closing a socket that holds unread bytes resets it, and the client would lose replies that have
 * reached it and not been read yet. */
static bool has_unread(const struct session *session)
{
    int unread = 0;

    return ioctl(session->fd, FIONREAD, &unread) == 0 && unread > 0;
}

static bool is_over(const struct session *session)
{
    return (session->state == SESSION_DRAINING || session->state == SESSION_ENDING) &&
           session->head == NULL && session->out.len == 0;
}

void session_settle(struct session *session)
{
    /* Deadlines of what waited begin now, unless the store has already let the requests before it
     * wait in vain: a pipeline must not multiply the deadline by its length. */
    if (session->in.len > 0 && !session->run_failed) {
        session->turn_us = clock_boot_us();
    }
    parse_input(session);
    bool paused = !may_parse(session);
    write_output(session);
    if (session->state == SESSION_CLOSED) {
        return;
    }
    if (paused && may_parse(session) && session->in.len > 0) {
        session_touch(session);
    } else if (is_over(session)) {
        if (session->linger || has_unread(session)) {
            linger(session);
        } else {
            session_close(session, session->end);
        }
    } else if (session->state == SESSION_OPEN && may_parse(session)) {
        start_reading(session);
    }
}
