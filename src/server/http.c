/*
 * HTTP on the control loop: evhttp, a table of routes, and limits. Requests are answered from
 * memory at once, so nothing here waits.
 */
#include "server/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/json.h"
#include "server/daemon.h"
#include "server/http_pages.h"

/* A probe's or a browser's request is small; nobody sends us a body. */
#define HTTP_HEADERS_BYTES_MAX (16 * 1024)
#define HTTP_BODY_BYTES_MAX (16 * 1024)

/* Seconds that a connection may be idle or slow. */
#define HTTP_TIMEOUT_S 10

#define HTTP_BACKLOG 64

/* Out of descriptors: as for other listeners. */
#define HTTP_PAUSE_MS 100

struct http {
    struct server *server;
    struct evhttp *evhttp;
};

/* An answer under way. */
struct answer {
    int status;
    const char *type;
    struct buffer body;
};

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"
#define TYPE_PROBLEM "application/problem+json"
#define TYPE_HTML "text/html; charset=utf-8"
#define TYPE_SCRIPT "text/javascript; charset=utf-8"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

static const char *http_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 503:
        return "Service Unavailable";
    }
    return "Internal Server Error";
}

/* --- routes -----------------------------------------------------------------------------------*/

static void route_livez(struct server *server, const char *query, struct answer *answer)
{
    (void)server;
    (void)query;
    buffer_append_text(&answer->body, "ok\n");
}

static void show_ability(const struct ability *ability, struct buffer *out)
{
    if (ability->ok) {
        buffer_printf(out, "%s ok\n", ability->name);
        return;
    }
    buffer_printf(out, "%s failed: %s (since %.1f s%s%s)\n", ability->name, ability->why,
                  (double)(clock_boot_us() - ability->since_us) / 1e6,
                  ability->action[0] != '\0' ? "; " : "", ability->action);
}

static bool query_has(const char *query, const char *word)
{
    size_t len = strlen(word);

    while (query != NULL && *query != '\0') {
        if (strncmp(query, word, len) == 0 && strchr("&=", query[len]) != NULL) {
            return true; /* strchr finds the end of the text too */
        }
        query = strchr(query, '&');
        query = query != NULL ? query + 1 : NULL;
    }
    return false;
}

static void route_readyz(struct server *server, const char *query, struct answer *answer)
{
    struct readiness readiness;

    server_readiness(server, &readiness);
    if (query_has(query, "verbose")) {
        show_ability(&readiness.reads, &answer->body);
        show_ability(&readiness.writes, &answer->body);
        show_ability(&readiness.cache, &answer->body);
    }
    buffer_append_text(&answer->body, readiness.ready ? "ready\n" : "not ready\n");
    answer->status = readiness.ready ? 200 : 503;
}

static void answer_ability(const struct ability *ability, struct answer *answer)
{
    show_ability(ability, &answer->body);
    answer->status = ability->ok ? 200 : 503;
}

static void route_readyz_reads(struct server *server, const char *query, struct answer *answer)
{
    struct readiness readiness;

    (void)query;
    server_readiness(server, &readiness);
    answer_ability(&readiness.reads, answer);
}

static void route_readyz_writes(struct server *server, const char *query, struct answer *answer)
{
    struct readiness readiness;

    (void)query;
    server_readiness(server, &readiness);
    answer_ability(&readiness.writes, answer);
}

static void route_readyz_cache(struct server *server, const char *query, struct answer *answer)
{
    struct readiness readiness;

    (void)query;
    server_readiness(server, &readiness);
    answer_ability(&readiness.cache, answer);
}

static void route_metrics(struct server *server, const char *query, struct answer *answer)
{
    (void)query;
    page_metrics(server, &answer->body);
}

static void route_status_json(struct server *server, const char *query, struct answer *answer)
{
    (void)query;
    page_status_json(server, &answer->body);
}

static void route_status_html(struct server *server, const char *query, struct answer *answer)
{
    (void)query;
    page_status_html(server, &answer->body);
}

static void route_status_script(struct server *server, const char *query, struct answer *answer)
{
    (void)server;
    (void)query;
    buffer_append_text(&answer->body, page_status_script);
}

static const struct route {
    const char *path;
    const char *type;
    void (*answer)(struct server *server, const char *query, struct answer *answer);
} routes[] = {
    {"/", TYPE_HTML, route_status_html},
    {"/livez", TYPE_TEXT, route_livez},
    {"/metrics", TYPE_METRICS, route_metrics},
    {"/readyz", TYPE_TEXT, route_readyz},
    {"/readyz/cache", TYPE_TEXT, route_readyz_cache},
    {"/readyz/reads", TYPE_TEXT, route_readyz_reads},
    {"/readyz/writes", TYPE_TEXT, route_readyz_writes},
    {"/status.js", TYPE_SCRIPT, route_status_script},
    {"/status.json", TYPE_JSON, route_status_json},
};

static const struct route *route_find(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].path, path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

/* --- requests ---------------------------------------------------------------------------------*/

/* RFC 9457. */
static void answer_problem(struct answer *answer, int status, const char *detail)
{
    struct json json;

    answer->status = status;
    answer->type = TYPE_PROBLEM;
    json_begin(&json, &answer->body);
    json_text(&json, "type", "about:blank");
    json_text(&json, "title", http_reason(status));
    json_int(&json, "status", status);
    json_text(&json, "detail", detail);
    json_end(&json);
}

static void answer_send(struct evhttp_request *request, struct answer *answer)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evbuffer_new();

    if (body == NULL || evbuffer_add(body, answer->body.data, answer->body.len) != 0) {
        abort();
    }
    evhttp_add_header(headers, "Content-Type", answer->type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
                      "connect-src 'self'; frame-ancestors 'none'");
    evhttp_send_reply(request, answer->status, http_reason(answer->status), body);
    evbuffer_free(body);
}

static void http_requested(struct evhttp_request *request, void *arg)
{
    struct http *http = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    const struct route *route = path != NULL ? route_find(path) : NULL;
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    struct answer answer = {.status = 200, .body = BUFFER_EMPTY};

    if (route == NULL) {
        answer_problem(&answer, 404, "there is nothing at this path");
    } else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
        answer_problem(&answer, 405, "this can only be read: use GET");
    } else {
        answer.type = route->type;
        route->answer(http->server, evhttp_uri_get_query(uri), &answer);
    }
    answer_send(request, &answer);
    buffer_free(&answer.body);
}

/* --- listening --------------------------------------------------------------------------------*/

static void http_resume(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    evconnlistener_enable(arg);
}

/* Most likely out of descriptors: the queue stays readable, so not looking is all that helps. The
 * other listeners tell the log. arg is evhttp's own. */
static void http_accept_failed(struct evconnlistener *listener, void *arg)
{
    static const struct timeval pause = {.tv_usec = HTTP_PAUSE_MS * 1000};

    (void)arg;
    evconnlistener_disable(listener);
    if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, http_resume, listener,
                        &pause) != 0) {
        abort();
    }
}

struct http *http_create(struct server *server, struct address *address, char *err, size_t errlen)
{
    struct http *http;
    int fd;

    if (socket_listen_tcp(address, HTTP_BACKLOG, &fd, 1, err, errlen) != 0) {
        return NULL;
    }
    http = calloc(1, sizeof *http);
    if (http == NULL) {
        abort();
    }
    http->server = server;
    http->evhttp = evhttp_new(server->base);
    struct evhttp_bound_socket *bound =
        http->evhttp != NULL ? evhttp_accept_socket_with_handle(http->evhttp, fd) : NULL;
    if (bound == NULL) {
        abort();
    }
    evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound), http_accept_failed);
    evhttp_set_max_headers_size(http->evhttp, HTTP_HEADERS_BYTES_MAX);
    evhttp_set_max_body_size(http->evhttp, HTTP_BODY_BYTES_MAX);
    evhttp_set_timeout(http->evhttp, HTTP_TIMEOUT_S);
    evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                                 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                                 EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
                                                 EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(http->evhttp, http_requested, http);
    return http;
}

void http_free(struct http *http)
{
    if (http != NULL) {
        evhttp_free(http->evhttp); /* closes the socket too */
        free(http);
    }
}
