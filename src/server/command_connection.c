/* PING ECHO SELECT QUIT RESET HELLO AUTH: the connection itself. */
#include <string.h>

#include <openssl/crypto.h>

#include "base/decimal.h"
#include "server/client_name.h"
#include "server/handlers.h"
#include "server/reply.h"
#include "server/server.h"
#include "server/session_state.h"

void command_ping(struct call *call)
{
    if (call->count > 2) {
        call_error(call, "ERR", "wrong number of arguments for 'ping' command");
    } else if (call->count == 2) {
        resp_bulk(call_writer(call), call->args[1].data, call->args[1].len);
    } else {
        resp_simple(call_writer(call), "PONG");
    }
}

void command_echo(struct call *call)
{
    resp_bulk(call_writer(call), call->args[1].data, call->args[1].len);
}

void command_select(struct call *call)
{
    int64_t index;

    if (decimal_parse_int64(call->args[1].data, call->args[1].len, &index) != DECIMAL_OK) {
        call_error(call, "ERR", "value is not an integer or out of range");
    } else if (index != 0) {
        call_error(call, "ERR", "DB index is out of range");
    } else {
        call_ok(call);
    }
}

void command_quit(struct call *call)
{
    call_ok(call);
    session_end_after_replies(call->session, SESSION_END_CLIENT);
}

void command_reset(struct call *call)
{
    session_reset(call->session);
    resp_simple(call_writer(call), "RESET");
}

/* --- who is there -----------------------------------------------------------------------------*/

/* Takes the same time for every wrong password of one length. */
static bool is_password(const struct config_user *user, const struct resp_slice *given)
{
    size_t len = strlen(user->password);

    return given->len == len && CRYPTO_memcmp(user->password, given->data, len) == 0;
}

/* Answers where it fails. */
static bool authenticate(struct call *call, const struct resp_slice *name,
                         const struct resp_slice *password)
{
    struct session *session = call->session;
    const struct config *config = session->worker->config;
    const struct config_user *user = config_user_find(config, name->data, name->len);

    if (config->auth.users.count == 0 && name->len == strlen("default") &&
        memcmp(name->data, "default", name->len) == 0) {
        return true; /* as Redis' default user without a password */
    }
    if (user == NULL || !is_password(user, password)) {
        metrics_add(&session->worker->metrics->auth_failures, 1);
        call_error(call, "WRONGPASS", "invalid username-password pair or user is disabled.");
        return false;
    }
    session_authenticate(session, user);
    return true;
}

void command_auth(struct call *call)
{
    static const struct resp_slice default_user = {.data = "default", .len = 7};
    const struct config *config = call->session->worker->config;

    if (call->count > 3) {
        call_error(call, "ERR", "syntax error");
    } else if (call->count == 2 && config->auth.users.count == 0) {
        call_error(call, "ERR",
                   "AUTH <password> called without any password configured for the default user. "
                   "Are you sure your configuration is correct?");
    } else if (call->count == 2 ? authenticate(call, &default_user, &call->args[1])
                                : authenticate(call, &call->args[1], &call->args[2])) {
        call_ok(call);
    }
}

/* --- HELLO ------------------------------------------------------------------------------------*/

struct hello {
    int64_t protocol; /* 0: as it is */
    const struct resp_slice *user, *password, *name;
};

/* Answers and returns false where the words make no sense. */
static bool read_hello(struct call *call, struct hello *hello)
{
    const struct resp_slice *args = call->args;
    size_t at = 1;

    *hello = (struct hello){0};
    if (call->count > 1) {
        if (decimal_parse_int64(args[1].data, args[1].len, &hello->protocol) != DECIMAL_OK) {
            call_error(call, "ERR", "Protocol version is not an integer or out of range");
            return false;
        }
        if (hello->protocol != 2 && hello->protocol != 3) {
            call_error(call, "NOPROTO", "unsupported protocol version");
            return false;
        }
        at = 2;
    }
    while (at < call->count) {
        size_t left = call->count - at;
        if (left >= 3 && resp_slice_is(&args[at], "AUTH")) {
            hello->user = &args[at + 1];
            hello->password = &args[at + 2];
            at += 3;
        } else if (left >= 2 && resp_slice_is(&args[at], "SETNAME")) {
            hello->name = &args[at + 1];
            at += 2;
        } else {
            call_error(call, "ERR", "Syntax error in HELLO option '%.*s'",
                       (int)(args[at].len < 64 ? args[at].len : 64), args[at].data);
            return false;
        }
    }
    return true;
}

static void describe_server(struct call *call)
{
    struct resp_writer *out = call_writer(call);

    resp_map(out, 7);
    resp_bulk_text(out, "server");
    resp_bulk_text(out, "ballast");
    resp_bulk_text(out, "version");
    resp_bulk_text(out, BALLAST_VERSION);
    resp_bulk_text(out, "proto");
    resp_int(out, call->session->protocol);
    resp_bulk_text(out, "id");
    resp_int(out, (int64_t)call->session->client.id);
    resp_bulk_text(out, "mode");
    resp_bulk_text(out, "standalone");
    resp_bulk_text(out, "role");
    resp_bulk_text(out, "master");
    resp_bulk_text(out, "modules");
    resp_array(out, 0);
}

void command_hello(struct call *call)
{
    struct session *session = call->session;
    enum config_role role;
    struct hello hello;

    if (!read_hello(call, &hello) ||
        (hello.user != NULL && !authenticate(call, hello.user, hello.password))) {
        return;
    }
    if (!session_role(session, &role)) {
        call_error(call, "NOAUTH",
                   "HELLO must be called with the client already authenticated, otherwise the "
                   "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client "
                   "and select the RESP protocol version at the same time");
        return;
    }
    if (hello.name != NULL && !client_set_name(call, hello.name)) {
        return;
    }
    if (hello.protocol != 0) {
        session->protocol = (int)hello.protocol;
        atomic_store_explicit(&session->client.protocol, session->protocol, memory_order_relaxed);
    }
    describe_server(call);
}
