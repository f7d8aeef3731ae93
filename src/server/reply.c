/* The queue of replies of a session. */
#include "server/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/session_state.h"
#include "server/slowlog.h"

static void append(struct session *session, struct reply *reply)
{
    if (session->tail == NULL) {
        session->head = reply;
    } else {
        session->tail->next = reply;
    }
    session->tail = reply;
}

static void free_reply(struct reply *reply)
{
    struct session_group *group = reply->session->group;

    group->requests -= reply->command != NULL;
    buffer_free(&reply->text);
    free(reply->memory);
    spare_give(&group->items, reply->items, reply->items_room);
    pool_give(group->replies, reply);
}

/* --- what is answered at once -----------------------------------------------------------------*/

void reply_text_writer(struct session *session, struct resp_writer *writer)
{
    struct reply *tail = session->tail;

    session_touch(session);
    writer->protocol = session->protocol;
    writer->out = &session->out;
    if (tail == NULL) {
        return;
    }
    if (tail->command != NULL) {
        tail = pool_take(session->group->replies);
        assert(tail != NULL);
        tail->session = session;
        tail->done = true;
        append(session, tail);
    }
    tail->weight++;
    session->outstanding++;
    writer->out = &tail->text;
}

struct resp_writer *call_writer(struct call *call)
{
    if (!call->answered) {
        call->answered = true;
        reply_text_writer(call->session, &call->writer);
        call->start = call->writer.out->len;
    }
    return &call->writer;
}

void call_ok(struct call *call)
{
    resp_simple(call_writer(call), "OK");
}

void call_error(struct call *call, const char *code, const char *fmt, ...)
{
    bool mutates = call->command != NULL && call->command->class == COMMAND_MUTATION;
    char text[512];
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) < 0) {
        text[0] = '\0';
    }
    va_end(args);
    resp_error(call_writer(call), code, "%s%s", text, mutates ? "; nothing was applied" : "");
    call->failed = true;
}

/* --- requests ---------------------------------------------------------------------------------*/

struct reply *call_request(struct call *call, size_t units)
{
    struct session *session = call->session;
    struct session_group *group = session->group;
    struct reply *reply;

    if (group->requests >= LIMIT_WORKER_REQUESTS) {
        call_error(call, "BUSY", "too many requests are under way; try again after a while");
        return NULL;
    }
    reply = pool_take(group->replies);
    assert(reply != NULL);
    reply->session = session;
    reply->command = call->command;
    reply->weight = 1 + (uint32_t)(units / LIMIT_REQUEST_UNIT);
    reply->received_us = session->turn_us;
    append(session, reply);
    session->run = call->command->class;
    session->in_flight++;
    if (command_reads_store(call->command, call->args, call->count)) {
        reply->reads_store = true;
        session->store_reads++;
        session->store_command = call->command;
        session->store_accounts |= command_accounts(call->command, call->args, call->count);
    }
    session->outstanding += reply->weight;
    group->requests++;
    group->in_flight++;
    atomic_store_explicit(&session->client.in_flight, session->in_flight, memory_order_relaxed);
    return reply;
}

int64_t call_deadline_us(const struct call *call)
{
    const struct session *session = call->session;

    return session->turn_us + session->worker->config->limits.request_timeout_ms * 1000;
}

/* --- answers ----------------------------------------------------------------------------------*/

static void count_reply(const struct reply *reply)
{
    struct session_group *group = reply->session->group;
    struct metrics *metrics = group->worker->metrics;
    int64_t took_us = session_group_now(group) - reply->received_us;
    bool read = reply->command->class == COMMAND_READ;
    bool failed = reply->grade == REPLY_ERROR || reply->grade == REPLY_FAILED;

    command_stats_called(group->stats, command_index(reply->command), took_us, failed);
    metrics_add(read ? &metrics->commands_read : &metrics->commands_mutation, 1);
    histogram_record(read ? &metrics->latency_read : &metrics->latency_mutation, took_us);
    if (failed) {
        metrics_add(&metrics->command_errors, 1);
    }
}

/* Writes out the answered head of the queue. */
static void advance(struct session *session)
{
    struct resp_writer out = {.out = &session->out, .protocol = session->protocol};
    struct reply *reply;

    while ((reply = session->head) != NULL && reply->done) {
        session->head = reply->next;
        if (session->head == NULL) {
            session->tail = NULL;
        }
        if (reply->command == NULL) {
            session->text_bytes -= reply->count;
        } else {
            if (reply->encode != NULL) {
                reply->grade = reply->encode(reply, NULL, &out);
            }
            session->run_failed |= reply->grade == REPLY_FAILED || reply->grade == REPLY_STALE;
            count_reply(reply);
        }
        buffer_append(&session->out, reply->text.data, reply->text.len);
        session->outstanding -= reply->weight;
        free_reply(reply);
    }
}

static void note_if_slow(const struct reply *reply, const void *answer)
{
    const struct client *client = &reply->session->client;
    int64_t took_us = session_group_now(reply->session->group) - reply->received_us;
    struct slowlog_entry entry;

    if (LIKELY(took_us < LIMIT_SLOW_US)) {
        return;
    }
    memset(&entry, 0, sizeof entry);
    entry.took_us = took_us;
    slowlog_word(&entry, reply->command->name, strlen(reply->command->name));
    if (reply->describe != NULL) {
        reply->describe(reply, answer, &entry);
    }
    memcpy(entry.address, client->address, sizeof entry.address);
    memcpy(entry.name, client->name, sizeof entry.name);
    slowlog_add(&entry);
}

/* The engine has let go of it. False where nobody waits for it any more. */
static bool come_back(struct reply *reply, const void *answer)
{
    struct session *session = reply->session;

    assert(!reply->done && session->in_flight > 0);
    session->in_flight--;
    session->group->in_flight--;
    atomic_store_explicit(&session->client.in_flight, session->in_flight, memory_order_relaxed);
    if (reply->reads_store && --session->store_reads == 0) {
        session->store_accounts = 0;
    }
    if (session->state == SESSION_CLOSED) {
        free_reply(reply);
        return false;
    }
    note_if_slow(reply, answer);
    reply->done = true;
    session_touch(session);
    return true;
}

void reply_finish(struct reply *reply)
{
    struct session *session = reply->session;

    if (come_back(reply, NULL) && session->head == reply) {
        advance(session);
    }
}

void reply_finish_now(struct reply *reply, const void *answer)
{
    struct session *session = reply->session;
    struct resp_writer out = {.protocol = session->protocol};

    if (!come_back(reply, answer)) {
        return;
    }
    out.out = session->head == reply ? &session->out : &reply->text;
    reply->grade = reply->encode(reply, answer, &out);
    reply->encode = NULL;
    if (session->head == reply) {
        advance(session);
    }
}

void reply_abandon(struct session *session)
{
    struct reply *reply = session->head;

    while (reply != NULL) {
        struct reply *next = reply->next;
        if (reply->done) {
            free_reply(reply);
        }
        reply = next;
    }
    session->head = NULL;
    session->tail = NULL;
}
