/*
 * Connecting: libpq is polled until the server has let us in, or not. libpq resolves names with
 * blocking look-ups, so that conninfo should hold addresses (`hostaddr`).
 */
#include "store/link.h"

#include "base/clock.h"
#include "base/config.h"

/* Defaults stand before the conninfo, which overrides them; what must hold stands behind it. */
static PGconn *start_connection(const struct store_options *options)
{
    const char *keywords[16];
    const char *values[16];
    int count = 0;
    const char *const settings[][2] = {
        {"target_session_attrs", "primary"}, /* among several hosts */
        {"gssencmode", "disable"},           /* looks for tickets, on files and networks */
        {"keepalives_idle", "10"},           /* seconds: an idle link has no other deadline */
        {"keepalives_interval", "3"},        {"keepalives_count", "3"},
        {"dbname", options->conninfo}, /* expanded: a whole connection string */
        {"password", options->password},     {"application_name", options->application_name},
        {"client_encoding", "UTF8"},
    };

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (settings[i][1] != NULL) {
            keywords[count] = settings[i][0];
            values[count++] = settings[i][1];
        }
    }
    keywords[count] = NULL;
    values[count] = NULL;
    return PQconnectStartParams(keywords, values, 1);
}

/* libpq may change the socket with every poll: no event outlives one. */
static void await_connection(struct store_link *link, short what)
{
    struct event *event = what == EV_READ ? link->readable : link->writable;
    int failed =
        event_assign(event, link->base, PQsocket(link->conn), what, link_on_socket, link) ||
        event_add(event, NULL);

    assert(!failed);
}

void connect_poll(struct store_link *link)
{
    int failed;

    link_forget_socket(link);
    switch (PQconnectPoll(link->conn)) {
    case PGRES_POLLING_READING:
        await_connection(link, EV_READ);
        return;
    case PGRES_POLLING_WRITING:
        await_connection(link, EV_WRITE);
        return;
    case PGRES_POLLING_OK:
        break;
    default:
        link_fail_broken(link);
        return;
    }
    if (PQsetnonblocking(link->conn, 1) != 0) {
        link_fail_broken(link);
        return;
    }
    failed = event_assign(link->readable, link->base, PQsocket(link->conn), EV_READ | EV_PERSIST,
                          link_on_socket, link) ||
             event_assign(link->writable, link->base, PQsocket(link->conn), EV_WRITE,
                          link_on_socket, link) ||
             event_add(link->readable, NULL);
    assert(!failed);
    link_set_state(link, LINK_GREETING);
    session_greet(link);
}

void connect_start(struct store_link *link)
{
    link_set_state(link, LINK_CONNECTING);
    link->attempt_us = clock_boot_us();
    config_renew_secret((char **)&link->options.password, link->options.password_file);
    link->parting[0] = '\0';
    link_arm_timer(link, link->options.connect_timeout_ms);
    link->conn = start_connection(&link->options);
    if (link->conn == NULL) {
        link_fail(link, "out of memory");
        return;
    }
    PQsetErrorVerbosity(link->conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(link->conn, request_note, link);
    if (PQstatus(link->conn) == CONNECTION_BAD) {
        link_fail_broken(link);
        return;
    }
    await_connection(link, EV_WRITE);
}
