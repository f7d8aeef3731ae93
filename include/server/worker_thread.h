/*
 * server/worker_thread.h: a worker as the control thread handles it: made, started, told and
 * ended. What sessions may use of it is server/worker.h.
 */
#ifndef BALLAST_SERVER_WORKER_THREAD_H
#define BALLAST_SERVER_WORKER_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "core/trust_view.h"
#include "server/board.h"
#include "server/worker.h"

struct worker_options {
    struct server *server;
    int index;
    const struct config *config; /* stays until worker_holds_config denies it */
    const char *daemon;          /* the name of the lease */
    struct trust_view *view;
    struct board *board;
    void (*ended)(void *ctx); /* on the worker's thread, when it has let go of everything */
    void *ctx;
};

/* Makes its loop, engine, links and sessions; its thread does not run yet. The configuration must
 * have passed store_options_check(). */
struct worker *worker_create(const struct worker_options *options) MUST_CHECK;

/* Accepts on this listening socket, which is the worker's from now on; unix_path must stay. Up to
 * WORKER_LISTENERS_MAX, before the start. */
#define WORKER_LISTENERS_MAX (LIMIT_LISTEN_ADDRESSES_MAX + 1)
void worker_listen(struct worker *worker, int fd, const char *unix_path);

void worker_start(struct worker *worker);

/* Fences were completed: trust_view_hooks.wake_workers. */
void worker_fences_done(struct worker *worker);

/* From one of the next turns on this configuration holds. */
void worker_offer_config(struct worker *worker, const struct config *config);
bool worker_holds_config(const struct worker *worker, const struct config *config);

/* No new connections; what was received is answered; at the deadline (of clock_boot_us) at the
 * latest everything is closed, and options.ended called. */
void worker_stop(struct worker *worker, int64_t deadline_us);
bool worker_has_ended(const struct worker *worker);

/* Joins a thread that has ended, or never was started, and frees everything. */
void worker_free(struct worker *worker);

#endif
