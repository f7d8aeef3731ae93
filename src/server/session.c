/*
 * A session from its socket to its end: accepting, states, authentication, closing. Reading and
 * writing are in session_io.c, what all sessions of a worker share in session_group.c.
 */
#include "server/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/reply.h"
#include "server/session_io.h"
#include "server/session_state.h"

static const char *const end_words[] = {
#define END_WORD(symbol, word, counter) [SESSION_END_##symbol] = (word),
    SESSION_END_ROWS(END_WORD)
#undef END_WORD
};

void session_become(struct session *session, enum session_state state)
{
    enum session_state from = session->state;
    bool allowed = false;

    switch (state) {
    case SESSION_DRAINING:
        allowed = from == SESSION_OPEN;
        break;
    case SESSION_ENDING:
        allowed = from == SESSION_OPEN || from == SESSION_DRAINING;
        break;
    case SESSION_LINGERING:
        allowed = from == SESSION_DRAINING || from == SESSION_ENDING;
        break;
    case SESSION_CLOSED:
        allowed = from != SESSION_CLOSED;
        break;
    case SESSION_OPEN:
        break;
    }
    assert(allowed);
    session->state = state;
}

/* --- accepting --------------------------------------------------------------------------------*/

static void address_text(char out[ADDRESS_TEXT_ROOM], const struct sockaddr *from)
{
    struct address address = {.kind = ADDRESS_TCP};

    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        address.port = ntohs(in.sin_port);
        inet_ntop(AF_INET, &in.sin_addr, address.host, sizeof address.host);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        address.port = ntohs(in6.sin6_port);
        inet_ntop(AF_INET6, &in6.sin6_addr, address.host, sizeof address.host);
    } else {
        address.kind = ADDRESS_NONE;
    }
    address_format(&address, out);
}

static void introduce(struct client *client, int fd, const struct sockaddr *peer,
                      const char *unix_path)
{
    client->fd = fd;
    client->local = unix_path != NULL;
    if (unix_path != NULL) {
        snprintf(client->address, sizeof client->address, "%s:0", unix_path);
        snprintf(client->here, sizeof client->here, "%s:0", unix_path);
        return;
    }
    struct sockaddr_storage here = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof here;
    if (getsockname(fd, (struct sockaddr *)&here, &len) != 0) {
        here.ss_family = AF_UNSPEC;
    }
    address_text(client->address, peer);
    address_text(client->here, (struct sockaddr *)&here);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* The kernel buffers so few bytes of a new socket in any case. */
static void refuse(struct worker *worker, int fd)
{
    static const char text[] = "-ERR max number of clients reached\r\n";

    metrics_add(&worker->metrics->connections_refused, 1);
    metrics_add(&worker->metrics->busy_clients, 1);
    if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        log_debug("client-refused", "error=%s", LOG_VALUE(strerror(errno)));
    }
    close(fd);
}

void session_accept(struct worker *worker, int fd, const struct sockaddr *peer,
                    const char *unix_path)
{
    struct session *session = NULL;

    if (worker->stopping) {
        close(fd);
        return;
    }
    if (clients_count() < (size_t)worker->config->limits.clients) {
        session = calloc(1, sizeof *session);
    }
    if (session == NULL) {
        refuse(worker, fd);
        return;
    }
    session->group = worker->group;
    session->worker = worker;
    session->fd = fd;
    session->state = SESSION_OPEN;
    session->client.worker = worker->index;
    session->client.created_us = clock_boot_us();
    session->turn_us = session->client.created_us;
    atomic_store_explicit(&session->client.active_us, session->turn_us, memory_order_relaxed);
    introduce(&session->client, fd, peer, unix_path);
    clients_register(&session->client);
    list_init(&session->dirty_link);
    list_init(&session->link);
    list_push_back(&session->group->open, &session->link);
    session_reset(session);
    session_io_start(session);
    worker->session_count++;
    metrics_add(&worker->metrics->connections_accepted, 1);
    metrics_set(&worker->metrics->clients, worker->session_count);
    log_debug("client-connected", "id=%llu addr=%s", (unsigned long long)session->client.id,
              session->client.address);
}

/* --- who it is --------------------------------------------------------------------------------*/

static void set_limits(struct session *session)
{
    const struct config *config = session->worker->config;
    enum config_role role;

    if (session_role(session, &role)) {
        session->parser.limits.args = (size_t)config->limits.args;
        session->parser.limits.bulk = (size_t)config->limits.bulk_bytes;
    } else {
        session->parser.limits.args = LIMIT_ARGS_BEFORE_AUTH;
        session->parser.limits.bulk = LIMIT_BULK_BYTES_BEFORE_AUTH;
    }
}

bool session_role(const struct session *session, enum config_role *role)
{
    if (session->authenticated) {
        *role = session->role;
        return true;
    }
    *role = CONFIG_ROLE_ADMIN;
    return session->worker->config->auth.users.count == 0;
}

void session_authenticate(struct session *session, const struct config_user *user)
{
    session->authenticated = true;
    session->role = user->role;
    clients_set_text(session->client.user, sizeof session->client.user, user->name,
                     strlen(user->name));
    set_limits(session);
}

void session_reset(struct session *session)
{
    struct client *client = &session->client;

    session->protocol = 2;
    session->stale_ok = false;
    session->authenticated = false;
    atomic_store_explicit(&client->protocol, 2, memory_order_relaxed);
    clients_set_text(client->name, sizeof client->name, "", 0);
    clients_set_text(client->user, sizeof client->user, "default", strlen("default"));
    set_limits(session);
}

/* --- ending -----------------------------------------------------------------------------------*/

void session_end_after_replies(struct session *session, enum session_end end)
{
    if (session->state == SESSION_OPEN || session->state == SESSION_DRAINING) {
        session->end = end;
        session_become(session, SESSION_ENDING);
        session_io_stop_reading(session);
        session_touch(session);
    }
}

static void count_end(struct metrics *metrics, enum session_end end)
{
    switch (end) {
#define END_COUNT(symbol, word, counter)                                                           \
    case SESSION_END_##symbol:                                                                     \
        metrics_add(&metrics->counter, 1);                                                         \
        break;
        SESSION_END_ROWS(END_COUNT)
#undef END_COUNT
    }
}

void session_close(struct session *session, enum session_end end)
{
    struct worker *worker = session->worker;

    session_become(session, SESSION_CLOSED);
    session_io_stop(session);
    close(session->fd);
    clients_remove(&session->client);
    list_unlink(&session->dirty_link);
    list_unlink(&session->link);
    list_push_back(&session->group->closed, &session->link);
    reply_abandon(session);
    buffer_free(&session->in);
    buffer_free(&session->out);
    resp_args_free(&session->args);
    worker->session_count--;
    metrics_set(&worker->metrics->clients, worker->session_count);
    count_end(worker->metrics, end);
    log_debug("client-closed", "id=%llu addr=%s reason=%s", (unsigned long long)session->client.id,
              session->client.address, end_words[end]);
}
