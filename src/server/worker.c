/*
 * The thread of a worker.
 *
 * A turn of its loop: sockets and links bring events; sessions hand items to the engine, the
 * engine collects what it will ask; at the end of the turn (worker_end_of_turn) engine_flush sends
 * every batch at once, and the sessions write what has been answered.
 *
 * Other threads reach it by the wake-up alone: notices are bits, because they must not be lost;
 * tasks wait in a bounded queue.
 */
#include "server/worker_thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "server/listener.h"
#include "server/session.h"
#include "server/tender.h"
#include "server/worker_state.h"

/* What one connection asks all workers for: to close a client, to start counting anew. */
#define WORKER_TASKS_MAX 256

/* Tasks of one turn; sessions are served in between. */
#define WORKER_TASKS_A_TURN 64

/* Between looks at whether everything has been answered, while stopping. */
#define WORKER_STOP_POLL_MS 5

/* A store that restarts is back within a second: a read waits that long for it, and not longer
 * than a quarter of its deadline, before it settles for a stale value. */
#define WORKER_GRACE_MAX_MS 1000

#define WORKER_STATUS_MS 1000

enum worker_notice {
    WORKER_NOTICE_FENCES = 1,
    WORKER_NOTICE_CONFIG = 2,
    WORKER_NOTICE_STOP = 4,
};

static struct worker_thread *worker_thread_of(struct worker *worker)
{
    static_assert(offsetof(struct worker_thread, worker) == 0, "the cast below");
    return (struct worker_thread *)worker;
}

/* --- the engine's wishes, and the end of a turn -----------------------------------------------*/

void worker_end_of_turn(struct worker *worker)
{
    struct worker_thread *self = worker_thread_of(worker);

    /* What the end of a turn leaves for another one has to wait until sockets were looked at:
     * else one long pipeline would keep everybody else waiting. */
    if (self->turn_is_ending) {
        self->turn_again = true;
    } else {
        loop_soon(self->end_of_turn);
    }
}

static void worker_turn_ends(int fd, short what, void *arg)
{
    struct worker_thread *self = arg;

    (void)fd;
    (void)what;
    self->turn_is_ending = true;
    self->turn_again = false;
    engine_flush(self->worker.engine);
    session_flush_dirty(&self->worker);
    self->turn_is_ending = false;
    if (self->turn_again) {
        loop_timer_in_ms(self->end_of_turn, 0);
    }
}

static void worker_need_flush(void *ctx)
{
    struct worker_thread *self = ctx;
    worker_end_of_turn(&self->worker);
}

static void worker_need_timer(void *ctx, int64_t at_us)
{
    struct worker_thread *self = ctx;
    loop_timer_at(self->engine_timer, at_us);
}

static void worker_engine_due(int fd, short what, void *arg)
{
    struct worker_thread *self = arg;

    (void)fd;
    (void)what;
    engine_tick(self->worker.engine);
}

/* --- the status -------------------------------------------------------------------------------*/

static void worker_status_due(int fd, short what, void *arg)
{
    struct worker_thread *self = arg;

    (void)fd;
    (void)what;
    worker_show_status(self);
    loop_timer_in_ms(self->status_timer, WORKER_STATUS_MS);
}

/* --- what other threads tell ------------------------------------------------------------------*/

static void worker_notice(struct worker_thread *self, enum worker_notice notice)
{
    atomic_fetch_or(&self->notices, notice);
    loop_wake_signal(&self->wake);
}

void worker_fences_done(struct worker *worker)
{
    worker_notice(worker_thread_of(worker), WORKER_NOTICE_FENCES);
}

void worker_offer_config(struct worker *worker, const struct config *config)
{
    struct worker_thread *self = worker_thread_of(worker);

    atomic_store(&self->offered, config);
    worker_notice(self, WORKER_NOTICE_CONFIG);
}

bool worker_holds_config(const struct worker *worker, const struct config *config)
{
    const struct worker_thread *self = (const struct worker_thread *)worker;

    return atomic_load(&self->in_force) == config || atomic_load(&self->offered) == config;
}

void worker_stop(struct worker *worker, int64_t deadline_us)
{
    struct worker_thread *self = worker_thread_of(worker);

    atomic_store(&self->stop_deadline_us, deadline_us);
    worker_notice(self, WORKER_NOTICE_STOP);
}

bool worker_has_ended(const struct worker *worker)
{
    return atomic_load(&((const struct worker_thread *)worker)->has_ended);
}

bool worker_post(struct worker *worker, worker_task_fn *run, const void *data, size_t len)
{
    struct worker_thread *self = worker_thread_of(worker);

    if (!task_queue_put(self->tasks, run, data, len)) {
        return false;
    }
    loop_wake_signal(&self->wake);
    return true;
}

static void worker_run_tasks(struct worker_thread *self)
{
    struct task tasks[WORKER_TASKS_A_TURN];
    size_t count = task_queue_take(self->tasks, tasks, WORKER_TASKS_A_TURN);

    for (size_t i = 0; i < count; i++) {
        tasks[i].run(&self->worker, tasks[i].data);
    }
    if (count == WORKER_TASKS_A_TURN) {
        loop_wake_signal(&self->wake);
    }
}

/* --- stopping ---------------------------------------------------------------------------------*/

static void worker_begin_stop(struct worker_thread *self)
{
    if (!self->worker.stopping) {
        for (int i = 0; i < self->listener_count; i++) {
            listener_end(self->listeners[i]);
        }
        self->listener_count = 0;
        self->worker.stopping = true;
        if (self->tender != NULL) {
            tender_stop(self->tender);
        }
        session_drain_all(&self->worker);
    }
    loop_timer_in_ms(self->stop_timer, 0);
}

static void worker_stop_due(int fd, short what, void *arg)
{
    struct worker_thread *self = arg;
    bool idle = self->worker.session_count == 0 && engine_pending(self->worker.engine) == 0;

    (void)fd;
    (void)what;
    if (idle || clock_boot_us() >= atomic_load(&self->stop_deadline_us)) {
        event_base_loopbreak(self->worker.base);
    } else {
        loop_timer_in_ms(self->stop_timer, WORKER_STOP_POLL_MS);
    }
}

/* Of two reloads in quick succession the first one's may be freed as soon as it is offered no more:
 * it is in force only where it still was when it stood there for all to see. */
static void worker_take_config(struct worker_thread *self)
{
    const struct config *config;

    do {
        config = atomic_load(&self->offered);
        atomic_store(&self->in_force, config);
    } while (config != atomic_load(&self->offered));
    self->worker.config = config;
    worker_links_take(self, config);
}

static void worker_woken(void *arg)
{
    struct worker_thread *self = arg;
    unsigned notices = atomic_exchange(&self->notices, 0);

    if (notices & WORKER_NOTICE_CONFIG) {
        worker_take_config(self);
    }
    if (notices & WORKER_NOTICE_FENCES) {
        engine_fences_done(self->worker.engine);
    }
    if (notices & WORKER_NOTICE_STOP) {
        worker_begin_stop(self);
    }
    worker_run_tasks(self);
}

/* Lets go of sessions, links and engine, in this order: requests get their callbacks, which need
 * their sessions. */
static void worker_let_go(struct worker_thread *self)
{
    struct worker *worker = &self->worker;

    self->ending = true;
    task_queue_close(self->tasks);
    for (int i = 0; i < self->listener_count; i++) {
        listener_end(self->listeners[i]);
    }
    self->listener_count = 0;
    session_close_all(worker, SESSION_END_SHUTDOWN);
    if (self->tender != NULL) {
        tender_stop(self->tender);
    }
    engine_detach(worker->engine);
    worker_links_free(self);
    engine_free(worker->engine);
    worker->engine = NULL;
    tender_free(self->tender);
    event_free(self->end_of_turn);
    event_free(self->engine_timer);
    event_free(self->status_timer);
    event_free(self->stop_timer);
    session_group_free(worker->group);
}

/* --- the thread -------------------------------------------------------------------------------*/

static void *worker_main(void *arg)
{
    struct worker_thread *self = arg;
    char name[16];

    snprintf(name, sizeof name, "worker-%d", self->worker.index);
    pthread_setname_np(pthread_self(), name);
    worker_status_due(-1, 0, self);
    if (event_base_loop(self->worker.base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
        abort();
    }
    worker_let_go(self);
    atomic_store(&self->has_ended, true);
    self->ended(self->ctx);
    return NULL;
}

void worker_start(struct worker *worker)
{
    struct worker_thread *self = worker_thread_of(worker);
    sigset_t all, before;

    /* Signals are the control thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&self->thread, NULL, worker_main, self) != 0) {
        abort();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    self->started = true;
}

static void worker_accepted(void *arg, int fd, const struct sockaddr *peer, const char *unix_path)
{
    struct worker_thread *self = arg;
    session_accept(&self->worker, fd, peer, unix_path);
}

void worker_listen(struct worker *worker, int fd, const char *unix_path)
{
    struct worker_thread *self = worker_thread_of(worker);
    struct listener_options options = {
        .fd = fd,
        .unix_path = unix_path,
        .shared = unix_path != NULL,
        .accepted = worker_accepted,
        .arg = self,
    };

    assert(self->listener_count < WORKER_LISTENERS_MAX);
    self->listeners[self->listener_count++] = listener_create(worker->base, &options);
}

/* --- making and freeing -----------------------------------------------------------------------*/

static void worker_make_engine(struct worker_thread *self, const struct config *config)
{
    int64_t grace_ms = config->limits.request_timeout_ms / 4;
    struct engine_options options = {
        .worker = self->worker.index,
        .batch_max = (int)config->limits.batch,
        .queue_max = (int)config->limits.queue,
        .read_queue_max = (int)config->limits.read_queue,
        .grace_us = 1000 * (grace_ms < WORKER_GRACE_MAX_MS ? grace_ms : WORKER_GRACE_MAX_MS),
    };
    static const struct engine_hooks hooks = {
        .need_flush = worker_need_flush,
        .need_timer = worker_need_timer,
    };

    self->worker.engine = engine_create(&options, self->view, self->worker.metrics, &hooks, self);
}

struct worker *worker_create(const struct worker_options *options)
{
    struct worker_thread *self = calloc(1, sizeof *self);

    if (self == NULL) {
        abort();
    }
    struct worker *worker = &self->worker;
    worker->server = options->server;
    worker->index = options->index;
    worker->config = options->config;
    worker->base = loop_base_new();
    worker->metrics = metrics_create();
    self->view = options->view;
    self->board = options->board;
    self->ended = options->ended;
    self->ctx = options->ctx;
    atomic_store(&self->offered, options->config);
    atomic_store(&self->in_force, options->config);
    self->tasks = task_queue_create(WORKER_TASKS_MAX);
    loop_wake_open(&self->wake, worker->base, worker_woken, self);
    self->end_of_turn = loop_timer_new(worker->base, worker_turn_ends, self);
    self->engine_timer = loop_timer_new(worker->base, worker_engine_due, self);
    self->status_timer = loop_timer_new(worker->base, worker_status_due, self);
    self->stop_timer = loop_timer_new(worker->base, worker_stop_due, self);
    worker_make_engine(self, options->config);
    worker_links_make(self, options->config, options->daemon);
    worker->group = session_group_create(worker);
    if (worker->group == NULL) {
        abort();
    }
    self->tender = worker->index == 0 ? tender_create(worker) : NULL;
    return worker;
}

void worker_free(struct worker *worker)
{
    struct worker_thread *self = worker_thread_of(worker);

    if (!self->started) {
        worker_let_go(self);
    } else if (pthread_join(self->thread, NULL) != 0) {
        abort();
    }
    loop_wake_close(&self->wake);
    task_queue_free(self->tasks);
    event_base_free(worker->base);
    free(worker->metrics);
    free(self);
}
