/*
 * server/worker_state.h (private to the worker's thread): what its files share.
 *
 *   worker.c        the thread: turns, notices and tasks, listeners, the end
 *   worker_links.c  links to store and cache: what their coming and going means; the status shown
 */
#ifndef BALLAST_SERVER_WORKER_STATE_H
#define BALLAST_SERVER_WORKER_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/trust_view.h"
#include "server/board.h"
#include "server/loop.h"
#include "server/task_queue.h"
#include "server/worker_thread.h"

struct listener;
struct tender;

struct worker_thread {
    struct worker worker; /* first: what sessions see of it */
    struct trust_view *view;
    struct board *board;
    void (*ended)(void *ctx);
    void *ctx;

    struct store_link *writer, *detour;
    struct store_link *readers[ENGINE_READ_LINKS_MAX];
    size_t reader_count;
    struct cache_link *cache;
    bool mac_key_known;
    struct trust_era era; /* as last seen, for the metrics */
    bool ending;          /* links and engine are being freed: their events mean nothing */

    struct tender *tender; /* of the first worker, else NULL */
    struct listener *listeners[WORKER_LISTENERS_MAX];
    int listener_count;

    struct event *end_of_turn;
    bool turn_is_ending; /* its event runs */
    bool turn_again;     /* and something is left for another turn */
    struct event *engine_timer;
    struct event *status_timer;
    struct event *stop_timer;

    pthread_t thread;
    bool started;

    /* shared with other threads */
    struct loop_wake wake;
    struct task_queue *tasks;
    _Atomic unsigned notices;
    _Atomic(const struct config *) offered;
    _Atomic(const struct config *) in_force;
    _Atomic int64_t stop_deadline_us;
    atomic_bool has_ended;
};

/* Makes the links and gives them to the engine; frees them. While self->ending, the events that
 * freeing brings mean nothing. */
void worker_links_make(struct worker_thread *self, const struct config *config, const char *daemon);
/* What a reload has changed for links. */
void worker_links_take(struct worker_thread *self, const struct config *config);
void worker_links_free(struct worker_thread *self);

/* Once a second and at changes: puts the state on the board and into the metrics. */
void worker_show_status(struct worker_thread *self);

#endif
