/*
 * The daemon: puts its parts together, runs the loop of the control thread, takes them apart.
 *
 *   main thread     control: trust machine, journal tail, HTTP, signals
 *   worker threads  listeners, sessions, engine, links (server/worker.c)
 *   warmer thread   fills the cache of a new era in the background (server/warmer.c)
 *   log thread      base/log.c
 *
 * What they share: the trust view, the board, the metrics (each written by one worker), and the
 * configuration in force.
 */
#include "server/server.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "server/daemon.h"
#include "server/http.h"
#include "server/notify.h"
#include "server/worker_thread.h"

#define SERVER_REAP_MS 1000

/* Until then a part that is not well is no news: links are being made, a lease taken. */
#define SERVER_START_US (INT64_C(3) * 1000 * 1000)

/* EX_CONFIG of sysexits(3): systemd need not try again. */
#define SERVER_EXIT_CONFIG 78

/* What ends the daemon before it serves: for the log, and for whoever typed the command where the
 * log is elsewhere. */
static void server_complain(const struct server *server, const char *event, const char *why,
                            const char *next)
{
    log_error(event, "why=%s next=%s", LOG_VALUE(why), LOG_VALUE(next));
    if (strcmp(server->config->log.file, "-") != 0) {
        fprintf(stderr, "ballastd: %s (%s)\n", why, next);
    }
}

/* --- for sessions -----------------------------------------------------------------------------*/

int server_worker_count(const struct server *server)
{
    return server->worker_count;
}

struct worker *server_worker(struct server *server, int index)
{
    assert(index >= 0 && index < server->worker_count);
    return server->workers[index];
}

int64_t server_started_boot_us(const struct server *server)
{
    return server->started_us;
}

void server_trust_status(struct server *server, struct trust_status *status)
{
    board_read_trust(server->board, status);
}

void server_warmer_status(struct server *server, struct warmer_status *status)
{
    warmer_status(server->warmer, status);
}

void server_engines(struct server *server, struct engine_status *sum)
{
    board_sum_engines(server->board, sum);
}

void server_health(struct server *server, struct health *health)
{
    board_read_health(server->board, health);
}

/* --- what the parts tell each other -----------------------------------------------------------*/

static void server_wake_control(void *ctx)
{
    struct server *server = ctx;

    if (server->control != NULL) { /* while workers run, it is there */
        control_wake(server->control);
    }
}

static void server_wake_workers(void *ctx)
{
    struct server *server = ctx;

    for (int i = 0; i < server->worker_count; i++) {
        worker_fences_done(server->workers[i]);
    }
}

static void server_note_ended(void *ctx)
{
    struct server *server = ctx;
    loop_wake_signal(&server->wake);
}

static void server_needs_operator(void *ctx, const char *why)
{
    struct server *server = ctx;
    const char *file = server->config->path;
    char next[512];

    if (!server->stopping) {
        snprintf(next, sizeof next, "ballast%s%s migrate", file[0] != '\0' ? " -c " : "", file);
        server_complain(server, "store-needs-operator", why, next);
        server_stop(server, "store-needs-operator", SERVER_EXIT_CONFIG);
    }
}

/* Not while the daemon is made or ends: then everything is on its way. */
static void server_judge_health(struct server *server, const struct trust_status *trust)
{
    const struct config *config = server->config;
    int64_t now_us = clock_boot_us();
    struct control_status control;
    struct engine_status engines;
    char summary[HEALTH_SUMMARY_ROOM];

    if (server->control == NULL || server->stopping) {
        return;
    }
    control_status(server->control, &control);
    board_sum_engines(server->board, &engines);
    const struct health_facts facts = {
        .trust = trust,
        .engines = &engines,
        .store_up = control.store_up,
        .cache_up = control.cache_up,
        .store_why = control.store_why,
        .cache_why = control.cache_why,
        .lease_us = config->cache.lease_ms * 1000,
        .queue_max = (size_t)(config->limits.queue * server->worker_count),
        .read_queue_max = (size_t)(config->limits.read_queue * server->worker_count),
    };
    health_update(&server->health, &facts, now_us - server->started_us < SERVER_START_US, now_us,
                  clock_wall_ms());
    board_put_health(server->board, &server->health);
    health_summarize(&server->health, summary);
    control_tell_health(server->control, summary);
}

static void server_trust_shown(void *ctx, const struct trust_status *trust)
{
    struct server *server = ctx;

    if (server->warmer != NULL) {
        warmer_note_trust(server->warmer, trust);
    }
    server_judge_health(server, trust);
}

static void server_signalled(int number, short what, void *arg)
{
    struct server *server = arg;

    (void)what;
    if (number == SIGHUP) {
        server_reload(server);
    } else {
        server_stop(server, number == SIGTERM ? "SIGTERM" : "SIGINT", EXIT_SUCCESS);
    }
}

static void server_reap_due(int fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd;
    (void)what;
    server_reap_configs(server);
    loop_timer_in_ms(server->reap_timer, SERVER_REAP_MS);
}

/* --- putting together -------------------------------------------------------------------------*/

static void server_watch_signals(struct server *server)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        server->signals[i] = evsignal_new(server->base, numbers[i], server_signalled, server);
        if (server->signals[i] == NULL || event_add(server->signals[i], NULL) != 0) {
            abort();
        }
    }
}

/* Unique for each start: the host's name for people, the rest for certain. */
static void server_name(struct server *server)
{
    char host[33] = "";

    static_assert(sizeof server->name >= sizeof host + 1 + 10 + 1 + 16, "a name fits whole");
    if (gethostname(host, sizeof host - 1) != 0) {
        snprintf(host, sizeof host, "localhost");
    }
    for (char *at = host; *at != '\0'; at++) { /* it stands quoted in a SET */
        *at = isalnum((unsigned char)*at) || *at == '.' || *at == '-' ? *at : '_';
    }
    snprintf(server->name, sizeof server->name, "%s-%d-%016llx", host, (int)getpid(),
             (unsigned long long)random_uint64());
}

static void server_make_workers(struct server *server)
{
    for (int i = 0; i < server->worker_count; i++) {
        struct worker_options options = {
            .server = server,
            .index = i,
            .config = server->config,
            .daemon = server->name,
            .view = server->view,
            .board = server->board,
            .ended = server_note_ended,
            .ctx = server,
        };
        server->workers[i] = worker_create(&options);
        server->metrics[i] = server->workers[i]->metrics;
    }
}

static void server_make(struct server *server, struct config *config)
{
    static const struct trust_view_hooks view_hooks = {.wake_control = server_wake_control,
                                                       .wake_workers = server_wake_workers};

    static_assert(LIMIT_WORKERS_MAX <= TRUST_WORKERS_MAX, "the view has room for every worker");
    server->config = config;
    server_name(server);
    server->unix_socket.fd = -1;
    server->worker_count = (int)config->listen.workers;
    server->started_us = clock_boot_us();
    server->started_wall_ms = clock_wall_ms();
    server->base = loop_base_new();
    server->board = board_create(server->worker_count);
    health_init(&server->health, server->started_us, server->started_wall_ms);
    server->view = trust_view_create(server->worker_count, &view_hooks, server);
    loop_wake_open(&server->wake, server->base, server_worker_ended, server);
    server->reap_timer = loop_timer_new(server->base, server_reap_due, server);
    loop_timer_in_ms(server->reap_timer, SERVER_REAP_MS);
    server_make_workers(server);
    server_watch_signals(server);
}

/* --- listening --------------------------------------------------------------------------------*/

static int server_listen_tcp(struct server *server, struct address address, struct buffer *shown,
                             char *err, size_t errlen)
{
    int fds[LIMIT_WORKERS_MAX];
    char text[ADDRESS_TEXT_ROOM];

    if (socket_listen_tcp(&address, (int)server->config->listen.backlog, fds, server->worker_count,
                          err, errlen) != 0) {
        return -1;
    }
    for (int i = 0; i < server->worker_count; i++) {
        worker_listen(server->workers[i], fds[i], NULL);
    }
    buffer_printf(shown, "%s%s", shown->len > 0 ? "," : "", address_format(&address, text));
    return 0;
}

/* All workers accept on one socket, each through a descriptor of its own. */
static int server_listen_unix(struct server *server, struct buffer *shown, char *err, size_t errlen)
{
    const struct config *config = server->config;

    if (config->listen.unix_path[0] == '\0') {
        return 0;
    }
    if (socket_listen_unix(&server->unix_socket, config->listen.unix_path,
                           (mode_t)config->listen.unix_mode, (int)config->listen.backlog, err,
                           errlen) != 0) {
        return -1;
    }
    for (int i = 0; i < server->worker_count; i++) {
        int fd = fcntl(server->unix_socket.fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            snprintf(err, errlen, "cannot share %s: out of descriptors", server->unix_socket.path);
            return -1;
        }
        worker_listen(server->workers[i], fd, server->unix_socket.path);
    }
    buffer_printf(shown, "%s%s", shown->len > 0 ? "," : "", server->unix_socket.path);
    return 0;
}

/* Fills in, for the log, what is listened on. */
static int server_listen(struct server *server, struct buffer *shown, char *err, size_t errlen)
{
    const struct config_addresses *addresses = &server->config->listen.addresses;

    for (size_t i = 0; i < addresses->count; i++) {
        if (addresses->items[i].kind == ADDRESS_TCP &&
            server_listen_tcp(server, addresses->items[i], shown, err, errlen) != 0) {
            return -1;
        }
    }
    if (server_listen_unix(server, shown, err, errlen) != 0) {
        return -1;
    }
    if (server->config->listen.http.kind != ADDRESS_NONE) {
        struct address address = server->config->listen.http;
        char text[ADDRESS_TEXT_ROOM];
        server->http = http_create(server, &address, err, errlen);
        if (server->http == NULL) {
            return -1;
        }
        buffer_printf(shown, "%shttp://%s", shown->len > 0 ? "," : "",
                      address_format(&address, text));
    }
    return 0;
}

/* --- running and taking apart -----------------------------------------------------------------*/

static void server_make_control(struct server *server)
{
    struct control_options options = {
        .config = server->config,
        .daemon = server->name,
        .view = server->view,
        .board = server->board,
        .needs_operator = server_needs_operator,
        .trust_shown = server_trust_shown,
        .ctx = server,
    };
    server->control = control_create(server->base, &options);
}

static void server_serve(struct server *server, const char *listening)
{
    log_info("start", "version=%s pid=%d workers=%d config=%s listen=%s", BALLAST_VERSION,
             (int)getpid(), server->worker_count, LOG_VALUE(server->config->path),
             LOG_VALUE(listening));
    server->warmer = warmer_create(server->config, server->view);
    server_make_control(server);
    for (int i = 0; i < server->worker_count; i++) {
        worker_start(server->workers[i]);
    }
    notify_manager("READY=1");
    if (event_base_loop(server->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
        abort();
    }
    warmer_free(server->warmer); /* before the control that it may wake */
    server->warmer = NULL;
    log_info("stop", "reason=%s status=%d uptime_s=%lld", server->stop_reason, server->exit_status,
             (long long)((clock_boot_us() - server->started_us) / 1000000));
}

static void server_take_apart(struct server *server)
{
    http_free(server->http);
    control_free(server->control);
    server->control = NULL;
    for (int i = 0; i < server->worker_count; i++) {
        worker_free(server->workers[i]);
    }
    socket_close_unix(&server->unix_socket);
    for (size_t i = 0; i < sizeof server->signals / sizeof server->signals[0]; i++) {
        event_free(server->signals[i]);
    }
    if (server->stop_timer != NULL) {
        event_free(server->stop_timer);
    }
    event_free(server->reap_timer);
    loop_wake_close(&server->wake);
    event_base_free(server->base);
    trust_view_free(server->view);
    board_free(server->board);
    server_free_configs(server);
    free(server);
}

int server_run(struct config *config)
{
    struct server *server = calloc(1, sizeof *server);
    struct buffer listening = BUFFER_EMPTY;
    char err[512];
    int status;

    if (server == NULL) {
        abort();
    }
    server_raise_file_limit(config);
    server_make(server, config);
    if (server_listen(server, &listening, err, sizeof err) == 0) {
        buffer_append_byte(&listening, '\0');
        server_serve(server, listening.data);
        status = server->exit_status;
    } else {
        server_complain(server, "start-failed", err, "correct [listen], or end what listens there");
        status = EXIT_FAILURE;
    }
    buffer_free(&listening);
    server_take_apart(server);
    return status;
}
