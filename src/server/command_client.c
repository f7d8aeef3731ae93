/* CLIENT: what connections are there, what they are called, which shall go. */
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "server/client_name.h"
#include "server/handlers.h"
#include "server/server.h"
#include "server/session_state.h"

/* --- the own connection -----------------------------------------------------------------------*/

void command_client_id(struct call *call)
{
    resp_int(call_writer(call), (int64_t)call->session->client.id);
}

void command_client_getname(struct call *call)
{
    const char *name = call->session->client.name;

    if (name[0] == '\0') {
        resp_nil(call_writer(call));
    } else {
        resp_bulk_text(call_writer(call), name);
    }
}

/* Sets one of the card's texts; `what` is for the error. */
static bool set_word(struct call *call, const char *what, char *field,
                     const struct resp_slice *word)
{
    if (!clients_name_ok(word->data, word->len)) {
        call_error(call, "ERR", "%s cannot contain spaces, newlines or special characters.", what);
        return false;
    }
    if (word->len >= LIMIT_CLIENT_NAME_ROOM) {
        call_error(call, "ERR", "%s cannot be longer than %d bytes", what,
                   LIMIT_CLIENT_NAME_ROOM - 1);
        return false;
    }
    clients_set_text(field, LIMIT_CLIENT_NAME_ROOM, word->data, word->len);
    return true;
}

bool client_set_name(struct call *call, const struct resp_slice *name)
{
    return set_word(call, "Client names", call->session->client.name, name);
}

void command_client_setname(struct call *call)
{
    if (client_set_name(call, &call->args[2])) {
        call_ok(call);
    }
}

void command_client_setinfo(struct call *call)
{
    struct client *client = &call->session->client;
    const struct resp_slice *attribute = &call->args[2];
    const struct resp_slice *value = &call->args[3];
    bool done = false;

    if (resp_slice_is(attribute, "LIB-NAME")) {
        done = set_word(call, "lib-name", client->library, value);
    } else if (resp_slice_is(attribute, "LIB-VER")) {
        done = set_word(call, "lib-ver", client->library_version, value);
    } else {
        call_error(call, "ERR", "Unrecognized option '%.*s'",
                   (int)(attribute->len < 64 ? attribute->len : 64), attribute->data);
    }
    if (done) {
        call_ok(call);
    }
}

static bool take_switch(struct call *call, const char *on, const char *off, bool *value)
{
    *value = resp_slice_is(&call->args[2], on);
    if (!*value && !resp_slice_is(&call->args[2], off)) {
        call_error(call, "ERR", "syntax error");
        return false;
    }
    return true;
}

void command_client_no_effect(struct call *call)
{
    bool ignored;

    if (take_switch(call, "ON", "OFF", &ignored)) {
        call_ok(call);
    }
}

void command_client_stale(struct call *call)
{
    if (take_switch(call, "YES", "NO", &call->session->stale_ok)) {
        call_ok(call);
    }
}

void command_client_tracking(struct call *call)
{
    if (resp_slice_is(&call->args[2], "OFF")) {
        call_ok(call);
        return;
    }
    call_error(call, "ERR",
               "client-side caching is not offered: a balance kept by a client could not be "
               "withdrawn before the next change is acknowledged; read it again instead");
}

void command_client_info(struct call *call)
{
    struct buffer text = BUFFER_EMPTY;

    clients_describe(&call->session->client, clock_boot_us(), &text);
    resp_verbatim(call_writer(call), text.data, text.len);
    buffer_free(&text);
}

/* --- all connections --------------------------------------------------------------------------*/

/* Redis' kinds of clients: ours are all normal ones. Answers and returns false for other words. */
static bool take_type(struct call *call, const struct resp_slice *word, bool *nobody)
{
    static const char *const others[] = {"MASTER", "REPLICA", "SLAVE", "PUBSUB"};

    *nobody = false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        *nobody |= resp_slice_is(word, others[i]);
    }
    if (!*nobody && !resp_slice_is(word, "NORMAL")) {
        call_error(call, "ERR", "Unknown client type '%.*s'",
                   (int)(word->len < 64 ? word->len : 64), word->data);
        return false;
    }
    return true;
}

static bool take_id(struct call *call, const struct resp_slice *word, uint64_t *id)
{
    if (decimal_parse_uint64(word->data, word->len, id) != DECIMAL_OK || *id == 0) {
        call_error(call, "ERR", "Invalid client ID");
        return false;
    }
    return true;
}

void command_client_list(struct call *call)
{
    const struct resp_slice *args = call->args;
    struct client_filter filter = {0};
    struct buffer text = BUFFER_EMPTY;
    int64_t now_us = clock_boot_us();

    if (call->count == 4 && resp_slice_is(&args[2], "TYPE")) {
        if (!take_type(call, &args[3], &filter.nobody)) {
            return;
        }
        clients_list(&filter, now_us, &text);
    } else if (call->count > 3 && resp_slice_is(&args[2], "ID")) {
        for (size_t i = 3; i < call->count; i++) {
            if (!take_id(call, &args[i], &filter.id)) {
                buffer_free(&text);
                return;
            }
            clients_list(&filter, now_us, &text);
        }
    } else if (call->count == 2) {
        clients_list(&filter, now_us, &text);
    } else {
        call_error(call, "ERR", "syntax error");
        return;
    }
    resp_verbatim(call_writer(call), text.len > 0 ? text.data : "", text.len);
    buffer_free(&text);
}

static bool take_kill_filter(struct call *call, const struct resp_slice *word,
                             const struct resp_slice *value, struct client_filter *filter)
{
    if (resp_slice_is(word, "ID")) {
        return take_id(call, value, &filter->id);
    }
    if (resp_slice_is(word, "TYPE")) {
        return take_type(call, value, &filter->nobody);
    }
    if (resp_slice_is(word, "ADDR")) {
        filter->address = value->data;
        filter->address_len = value->len;
    } else if (resp_slice_is(word, "LADDR")) {
        filter->here = value->data;
        filter->here_len = value->len;
    } else if (resp_slice_is(word, "USER")) {
        filter->user = value->data;
        filter->user_len = value->len;
    } else if (resp_slice_is(word, "SKIPME") && resp_slice_is(value, "YES")) {
        filter->except = call->session->client.id;
    } else if (resp_slice_is(word, "SKIPME") && resp_slice_is(value, "NO")) {
        filter->except = 0;
    } else {
        call_error(call, "ERR", "syntax error");
        return false;
    }
    return true;
}

static void close_killed(struct worker *worker, const void *data)
{
    (void)data;
    session_close_killed(worker->group);
}

static void wake_workers(struct server *server, uint64_t workers)
{
    for (int i = 0; i < server_worker_count(server); i++) {
        if ((workers & UINT64_C(1) << i) != 0 &&
            !worker_post(server_worker(server, i), close_killed, "", 0)) {
            log_debug("client-kill-late", "worker=%d", i); /* its next sweep finds the marks */
        }
    }
}

void command_client_kill(struct call *call)
{
    struct session *session = call->session;
    struct client_filter filter = {.except = session->client.id};
    bool by_address = call->count == 3;
    uint64_t workers;

    if (by_address) {
        filter.except = 0;
        filter.address = call->args[2].data;
        filter.address_len = call->args[2].len;
    } else if (call->count % 2 != 0) {
        call_error(call, "ERR", "syntax error");
        return;
    }
    for (size_t i = 2; !by_address && i < call->count; i += 2) {
        if (!take_kill_filter(call, &call->args[i], &call->args[i + 1], &filter)) {
            return;
        }
    }
    size_t count = clients_kill(&filter, &workers);
    if (atomic_load_explicit(&session->client.killed, memory_order_relaxed)) {
        /* Itself: the reply is still written. */
        atomic_store_explicit(&session->client.killed, false, memory_order_relaxed);
        session_end_after_replies(session, SESSION_END_KILLED);
    }
    wake_workers(session->worker->server, workers);
    if (!by_address) {
        resp_int(call_writer(call), (int64_t)count);
    } else if (count > 0) {
        call_ok(call);
    } else {
        call_error(call, "ERR", "No such client");
    }
}
