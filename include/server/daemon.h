/*
 * server/daemon.h (private to the control thread): the daemon's parts, and what they do to each
 * other. Sessions see server/server.h.
 */
#ifndef BALLAST_SERVER_DAEMON_H
#define BALLAST_SERVER_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "core/trust_view.h"
#include "server/board.h"
#include "server/control.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/socket.h"
#include "server/warmer.h"

struct event;
struct http;
struct retired;

struct server {
    /* constant once the workers run */
    struct board *board;
    struct trust_view *view;
    struct worker *workers[LIMIT_WORKERS_MAX];
    struct metrics *metrics[LIMIT_WORKERS_MAX];
    int worker_count;
    char name[64];      /* of the lease */
    int64_t started_us; /* clock_boot_us */
    int64_t started_wall_ms;
    struct warmer *warmer; /* NULL before and after the daemon serves */

    /* the control thread's */
    struct config *config;   /* in force */
    struct retired *retired; /* those before, until every worker has let go of them */
    struct event_base *base;
    struct control *control;
    struct http *http;
    struct socket_unix unix_socket;
    struct event *signals[3];
    struct event *reap_timer;
    struct event *stop_timer;
    struct loop_wake wake; /* a worker has ended */
    struct health health;  /* the one that goes to the board */
    bool stopping;
    const char *stop_reason;
    int exit_status;
};

/* --- server/reload.c --------------------------------------------------------------------------*/

/* SIGHUP: opens the log again, reads the file again, hands what it says to the workers. */
void server_reload(struct server *server);

/* Frees configurations that no worker uses any more; at the end, all of them. */
void server_reap_configs(struct server *server);
void server_free_configs(struct server *server);

/* --- server/file_limit.c ----------------------------------------------------------------------*/

/* Raises RLIMIT_NOFILE to what the configuration may need; says in the log where it cannot. */
void server_raise_file_limit(const struct config *config);

/* --- server/stop.c ----------------------------------------------------------------------------*/

/* The graceful end; called again, the end at once. reason is constant. */
void server_stop(struct server *server, const char *reason, int exit_status);

/* For a loop_wake: a worker has ended. */
void server_worker_ended(void *arg);

#endif
