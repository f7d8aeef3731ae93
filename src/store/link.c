/*
 * The life of a link.
 *
 *   WAITING -> CONNECTING     [connect_start]     the backoff has passed
 *   CONNECTING -> GREETING    [connect_poll]      libpq says that the server has let us in
 *   GREETING -> UP            [link_come_up]      session.c found everything as it has to be
 *   any of these -> FAILING   [link_fail]         refused, broken, silent
 *   FAILING -> WAITING        [link_drop]         answers what was in flight, says down
 *   any -> CLOSED             [store_link_free]
 *
 * WAITING and CLOSED have no connection; the others have one, except for the moment in which
 * libpq could not even begin. Only UP lets requests of the owner leave.
 *
 * PQcancel() blocks in libpq 15 and is never called: to give up on a server is to drop the
 * connection. Before PQfinish(), which would try once more to send what is left in libpq's buffer,
 * the socket is shut down if a request has not left completely: then its end never leaves, and a
 * statement without its Sync message is never committed (UNSENT).
 */
#include "store/link.h"

#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "store/bare.h"

/* The delay before a new attempt, with jitter: doubles up to the second while it does not help. */
#define BACKOFF_MS_MIN 50
#define BACKOFF_MS_MAX 1000
/* A link that was up for so long had a fresh misfortune: it begins with the short delay again. */
#define BACKOFF_FORGET_US 1000000

/* What was logged last, where it was not a reason for being down. */
#define LOGGED_NOTHING "-"
#define LOGGED_UP ""
#define LOGGED_READ_ONLY "read-only"

static void on_timer(evutil_socket_t fd, short what, void *arg);
static void on_deferred(evutil_socket_t fd, short what, void *arg);

/* Every change of state goes through here. */
void link_set_state(struct store_link *link, enum link_state to)
{
    static const unsigned allowed[] = {
        [LINK_WAITING] = 1 << LINK_CONNECTING | 1 << LINK_CLOSED,
        [LINK_CONNECTING] = 1 << LINK_GREETING | 1 << LINK_FAILING | 1 << LINK_CLOSED,
        [LINK_GREETING] = 1 << LINK_UP | 1 << LINK_FAILING | 1 << LINK_CLOSED,
        [LINK_UP] = 1 << LINK_FAILING | 1 << LINK_CLOSED,
        [LINK_FAILING] = 1 << LINK_WAITING | 1 << LINK_CLOSED,
        [LINK_CLOSED] = 0,
    };

    assert(allowed[link->state] & 1u << to);
    link->state = to;
}

void link_arm_timer(struct store_link *link, int64_t delay_ms)
{
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    int failed = event_add(link->timer, &delay);

    assert(!failed);
}

static void log_state(struct store_link *link, const char *state)
{
    if (strcmp(link->logged, state) == 0) {
        return;
    }
    snprintf(link->logged, sizeof(link->logged), "%s", state);
    if (link->state == LINK_UP) {
        log_event(link->read_only ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "store-up",
                  "link=%s backend=%d server=%d read_only=%d took_ms=%lld",
                  LOG_VALUE(link->options.application_name), PQbackendPID(link->conn),
                  PQserverVersion(link->conn), link->read_only,
                  (long long)(link->up_us - link->attempt_us) / 1000);
    } else {
        log_event(link->needs_operator ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "store-down",
                  "link=%s why=%s", LOG_VALUE(link->options.application_name), LOG_VALUE(state));
    }
}

/* --- failing ----------------------------------------------------------------------------------*/

/* Before anyone's callback runs: libpq closes the socket when it meets the end of the stream, and
 * libevent must not watch a number that may be another's by then. */
void link_forget_socket(struct store_link *link)
{
    event_del(link->readable);
    event_del(link->writable);
}

static void fail(struct store_link *link, bool operator_only, const char *fmt, va_list args)
{
    if (link->state == LINK_FAILING || link->state == LINK_CLOSED) {
        return;
    }
    link->needs_operator = operator_only;
    vsnprintf(link->why, sizeof(link->why), fmt, args);
    assert(link->why[0] != '\0');
    link_set_state(link, LINK_FAILING);
    link_forget_socket(link);
    event_active(link->deferred, 0, 0);
}

void link_fail(struct store_link *link, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail(link, false, fmt, args);
    va_end(args);
}

void link_refuse(struct store_link *link, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail(link, true, fmt, args);
    va_end(args);
}

/* The SQLSTATE in a message of libpq: with PQERRORS_VERBOSE, "FATAL:  3D000: database ...". A
 * connection that did not come about has no result to ask for it. */
static bool message_has_sqlstate(const char *message, const char *sqlstate)
{
    char mark[12];

    snprintf(mark, sizeof(mark), ":  %s: ", sqlstate);
    return strstr(message, mark) != NULL;
}

void link_fail_broken(struct store_link *link)
{
    const char *message = PQerrorMessage(link->conn);
    int len = (int)strcspn(message, "\n");

    if (link->parting[0] != '\0') {
        link_fail(link, "%s", link->parting);
    } else if (message_has_sqlstate(message, "3D000")) {
        link_refuse(link, "%.*s", len, message);
    } else if (len > 0) {
        link_fail(link, "%.*s", len, message);
    } else {
        link_fail(link, "the connection is closed");
    }
}

static void close_connection(struct store_link *link)
{
    link_forget_socket(link);
    event_del(link->timer);
    if (link->conn != NULL) {
        if (link->stage == REQUEST_SENDING && PQsocket(link->conn) >= 0) {
            (void)shutdown(PQsocket(link->conn), SHUT_RDWR);
        }
        PQfinish(link->conn);
        link->conn = NULL;
    }
}

static void link_drop(struct store_link *link)
{
    bool was_up = link->up_us != 0;
    bool look_again = link->look_again;

    if (was_up && clock_boot_us() - link->up_us >= BACKOFF_FORGET_US) {
        link->backoff_ms = BACKOFF_MS_MIN;
    }
    close_connection(link);
    link->up_us = 0;
    link->look_again = false;
    link_set_state(link, LINK_WAITING);
    link_arm_timer(link, random_jitter(link->backoff_ms));
    link->backoff_ms =
        link->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : link->backoff_ms * 2;
    if (!look_again) {
        log_state(link, link->why);
    }
    request_abandon(link);
    if (was_up && link->state != LINK_CLOSED && link->hooks.down != NULL) {
        link->hooks.down(link->ctx, link, link->why);
    }
}

static void link_destroy(struct store_link *link)
{
    event_free(link->readable);
    event_free(link->writable);
    event_free(link->timer);
    event_free(link->deferred);
    params_free(&link->params);
    free(link->entries);
    free(link->scratch);
    free((char *)link->options.conninfo);
    free((char *)link->options.password_file);
    if (link->options.password != NULL) {
        explicit_bzero((char *)link->options.password, strlen(link->options.password));
        free((char *)link->options.password);
    }
    free((char *)link->options.application_name);
    free((char *)link->options.lease);
    free(link);
}

void link_enter(struct store_link *link)
{
    assert(!link->entered);
    link->entered = true;
}

void link_leave(struct store_link *link)
{
    assert(link->entered);
    if (link->state == LINK_FAILING) {
        link_drop(link);
    }
    link->entered = false;
    if (link->state == LINK_CLOSED) {
        link_destroy(link);
    }
}

/* --- what connect.c and session.c lead to ------------------------------------------------------*/

void link_come_up(struct store_link *link)
{
    link_set_state(link, LINK_UP);
    event_del(link->timer);
    link->up_us = clock_boot_us();
    link->why[0] = '\0';
    link->needs_operator = false;
    log_state(link, link->read_only ? LOGGED_READ_ONLY : LOGGED_UP);
    if (link->hooks.up != NULL) {
        link->hooks.up(link->ctx, link);
    }
}

/* --- what libevent calls ----------------------------------------------------------------------*/

/* The hook may free the link, and then there is no connection any more. */
static void deliver_notifies(struct store_link *link)
{
    PGnotify *notify;

    while (link->conn != NULL && (notify = PQnotifies(link->conn)) != NULL) {
        if (link->hooks.notify != NULL) {
            link->hooks.notify(link->ctx, link, notify->relname, notify->extra);
        }
        PQfreemem(notify);
    }
}

/* False where the connection broke. Under TLS a record may have been read off the socket of which
 * libpq took only a part: the rest would not make the socket readable again. */
static bool consume_input(PGconn *conn)
{
    const SSL *tls = PQsslStruct(conn, "OpenSSL");

    do {
        if (!PQconsumeInput(conn)) {
            return false;
        }
    } while (tls != NULL && SSL_pending(tls) > 0);
    return true;
}

static void work_connection(struct store_link *link, short what)
{
    bool broken = false;

    if (what & EV_READ) {
        broken = !consume_input(link->conn);
    }
    if (broken) {
        link_forget_socket(link);
        if (link->stage == REQUEST_SENDING) {
            link->stage = REQUEST_SENT; /* it flushes before it reads: the end may have left */
        }
    }
    request_advance(link);
    deliver_notifies(link);
    if (link->conn != NULL && (broken || PQstatus(link->conn) == CONNECTION_BAD)) {
        link_fail_broken(link);
    }
}

void link_on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct store_link *link = arg;

    (void)fd;
    link_enter(link);
    if (link->state == LINK_CONNECTING) {
        connect_poll(link);
    } else if (link->conn != NULL && link->state != LINK_FAILING) {
        work_connection(link, what);
    }
    link_leave(link);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct store_link *link = arg;

    (void)fd;
    (void)what;
    link_enter(link);
    if (link->state == LINK_WAITING) {
        connect_start(link);
    } else if (link->state == LINK_CONNECTING || link->state == LINK_GREETING) {
        link_fail(link, "no connection within %d ms", link->options.connect_timeout_ms);
    } else if (link->state == LINK_UP) {
        request_expire(link);
    }
    link_leave(link);
}

static void on_deferred(evutil_socket_t fd, short what, void *arg)
{
    struct store_link *link = arg;

    (void)fd;
    (void)what;
    link_enter(link);
    request_reject(link);
    link_leave(link);
}

/* --- what store.h declares --------------------------------------------------------------------*/

/* NULL stays NULL. */
static char *copy_string(const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    if (text != NULL && copy == NULL) {
        abort();
    }
    return copy;
}

static struct event *new_event(struct store_link *link, event_callback_fn callback)
{
    struct event *event = event_new(link->base, -1, 0, callback, link);

    if (event == NULL) {
        abort();
    }
    return event;
}

static struct store_link *create(struct event_base *base, const struct store_options *options,
                                 const struct store_hooks *hooks, void *ctx, bool bare, char *err,
                                 size_t errlen)
{
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(options->conninfo, &message);
    struct store_link *link;

    if (parsed == NULL) {
        snprintf(err, errlen, "%.*s", message == NULL ? 0 : (int)strcspn(message, "\n"), message);
        PQfreemem(message);
        return NULL;
    }
    PQconninfoFree(parsed);
    assert(options->connect_timeout_ms > 0 && options->statement_timeout_ms > 0);
    assert(options->lock_timeout_ms > 0);

    link = calloc(1, sizeof(*link));
    if (link == NULL) {
        abort();
    }
    link->base = base;
    link->options = *options;
    link->options.conninfo = copy_string(options->conninfo);
    link->options.application_name = copy_string(options->application_name);
    link->options.lease = copy_string(options->lease);
    link->options.password = copy_string(options->password);
    link->options.password_file = copy_string(options->password_file);
    link->writer_id = (int64_t)random_uint64();
    link->hooks = *hooks;
    link->ctx = ctx;
    link->bare = bare;
    link->readable = new_event(link, link_on_socket);
    link->writable = new_event(link, link_on_socket);
    link->timer = new_event(link, on_timer);
    link->deferred = new_event(link, on_deferred);
    link->backoff_ms = BACKOFF_MS_MIN;
    snprintf(link->why, sizeof(link->why), "not connected yet");
    snprintf(link->logged, sizeof(link->logged), "%s", LOGGED_NOTHING);
    link_arm_timer(link, 0);
    return link;
}

struct store_link *store_link_create(struct event_base *base, const struct store_options *options,
                                     const struct store_hooks *hooks, void *ctx, char *err,
                                     size_t errlen)
{
    return create(base, options, hooks, ctx, false, err, errlen);
}

struct store_link *store_link_create_bare(struct event_base *base,
                                          const struct store_options *options,
                                          const struct store_hooks *hooks, void *ctx, char *err,
                                          size_t errlen)
{
    return create(base, options, hooks, ctx, true, err, errlen);
}

void store_link_free(struct store_link *link)
{
    if (link == NULL) {
        return;
    }
    link_set_state(link, LINK_CLOSED);
    snprintf(link->why, sizeof(link->why), "the link is closed");
    event_del(link->deferred);
    close_connection(link);
    request_abandon(link);
    request_reject(link);
    if (!link->entered) {
        link_destroy(link);
    }
}

void store_link_hurry(struct store_link *link)
{
    if (link->state == LINK_WAITING) {
        link_arm_timer(link, 0);
    }
}

void store_link_cut(struct store_link *link)
{
    link_fail(link, "given up by its owner");
}

bool store_link_ready(const struct store_link *link)
{
    return link->state == LINK_UP && link->stage == REQUEST_NONE && !link->rejecting;
}

bool store_link_is_up(const struct store_link *link)
{
    return link->state == LINK_UP;
}

const char *store_link_why(const struct store_link *link)
{
    return link->why;
}

const uint8_t *store_link_mac_key(const struct store_link *link)
{
    return link->mac_key;
}

int store_link_schema_version(const struct store_link *link)
{
    return link->schema_version;
}

bool store_link_needs_operator(const struct store_link *link)
{
    return link->needs_operator;
}

/* --- reused memory ----------------------------------------------------------------------------*/

struct account_entry *link_entries(struct store_link *link, size_t count)
{
    if (count > link->entry_capacity) {
        free(link->entries);
        link->entries = calloc(count, sizeof(*link->entries));
        if (link->entries == NULL) {
            abort();
        }
        link->entry_capacity = count;
    }
    return link->entries;
}

void *link_scratch(struct store_link *link, size_t size)
{
    if (size > link->scratch_size) {
        free(link->scratch);
        link->scratch = malloc(size);
        if (link->scratch == NULL) {
            abort();
        }
        link->scratch_size = size;
    }
    return link->scratch;
}
