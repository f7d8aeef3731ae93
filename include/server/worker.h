/*
 * A worker: one thread, one event loop, one engine, its own listeners (SO_REUSEPORT), sessions,
 * links and metrics. Workers share nothing but the trust view, the client registry and the
 * configuration in force.
 */
#ifndef BALLAST_SERVER_WORKER_H
#define BALLAST_SERVER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/metrics.h"
#include "core/engine.h"

struct event_base;
struct server;
struct session_group;

struct worker {
    /* set at creation, then constant */
    struct server *server;
    int index;
    struct event_base *base;
    struct engine *engine;
    struct metrics *metrics;
    struct session_group *group; /* its sessions: session_group_create() */

    /* the worker's thread */
    const struct config *config; /* the one in force; replaced between turns on reload */
    int session_count;           /* sessions that are open; 0 means that stopping may go on */
    bool stopping; /* SIGTERM: no new connections, sessions close when their replies are out */
};

/* The worker's thread: at the end of this turn of the loop, behind everything else that the turn
 * brought, engine_flush and then session_flush_dirty run once. Cheap to call again. */
void worker_end_of_turn(struct worker *worker);

/* Any thread: run(worker, data) is called on the worker's thread in one of its next turns. data is
 * copied. False where too many tasks wait there, or the worker has ended. */
typedef void worker_task_fn(struct worker *worker, const void *data);
#define WORKER_TASK_BYTES_MAX 80
bool worker_post(struct worker *worker, worker_task_fn *run, const void *data, size_t len)
    __attribute__((warn_unused_result));

#endif
