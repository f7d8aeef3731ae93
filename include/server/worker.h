/*
 * A worker: one thread, one event loop, one engine, its own listeners (SO_REUSEPORT), sessions,
 * links and metrics. Workers share nothing but the trust view, the client registry and the
 * configuration in force.
 */
#ifndef BALLAST_SERVER_WORKER_H
#define BALLAST_SERVER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/metrics.h"
#include "core/engine.h"

struct event_base;
struct session;
struct server;

struct worker {
    /* set at creation, then constant */
    struct server *server;
    int index;
    struct event_base *base;
    struct engine *engine;
    struct metrics *metrics;

    /* the worker's thread */
    const struct config *config; /* the one in force; replaced between turns on reload */
    struct session *sessions;    /* all open ones, intrusive doubly linked list */
    int session_count;
    bool stopping; /* SIGTERM: no new connections, sessions close when their replies are out */
};

#endif
