/* All sessions of one worker: the end of a turn, the sweep for idle and stuck ones, the end. */
#include <stdlib.h>

#include "base/clock.h"
#include "server/command.h"
#include "server/loop.h"
#include "server/reply.h"
#include "server/session_io.h"
#include "server/session_limits.h"
#include "server/session_state.h"

static void sweep_due(int fd, short what, void *arg);

struct session_group *session_group_create(struct worker *worker)
{
    struct session_group *group = calloc(1, sizeof *group);

    if (group == NULL) {
        return NULL;
    }
    command_table_prepare();
    group->worker = worker;
    list_init(&group->open);
    list_init(&group->closed);
    list_init(&group->dirty);
    /* Every text slot stands behind a request's: at most as many again. */
    group->replies = pool_create("replies", sizeof(struct reply), 2 * LIMIT_WORKER_REQUESTS);
    spare_init(&group->items, LIMIT_SPARE_ITEMS * sizeof(struct read_item), LIMIT_SPARE_BLOCKS);
    group->stats = command_stats_create();
    group->scratch = malloc(LIMIT_SESSION_READ_BYTES);
    group->sweep = loop_timer_new(worker->base, sweep_due, group);
    if (group->scratch == NULL) {
        session_group_free(group);
        return NULL;
    }
    loop_timer_in_ms(group->sweep, LIMIT_SESSION_SWEEP_MS);
    return group;
}

/* What is closed and has nothing in flight can go: no event and no engine knows it any more. */
static void free_closed(struct session_group *group)
{
    LIST_EACH(&group->closed, link) {
        struct session *session = LIST_ENTRY(link, struct session, link);
        if (session->in_flight == 0) {
            list_unlink(link);
            free(session);
        }
    }
}

void session_group_free(struct session_group *group)
{
    if (group == NULL) {
        return;
    }
    assert(list_is_empty(&group->open));
    free_closed(group);
    assert(list_is_empty(&group->closed));
    event_free(group->sweep);
    pool_destroy(group->replies);
    spare_free(&group->items);
    resp_args_free(&group->args);
    command_stats_free(group->stats);
    free(group->scratch);
    free(group);
}

int64_t session_group_now(struct session_group *group)
{
    if (group->now_us == 0) {
        group->now_us = clock_boot_us();
    }
    return group->now_us;
}

/* --- the end of a turn ------------------------------------------------------------------------*/

void session_touch(struct session *session)
{
    if (!list_is_linked(&session->dirty_link)) {
        list_push_back(&session->group->dirty, &session->dirty_link);
        worker_end_of_turn(session->worker);
    }
}

void session_flush_dirty(struct worker *worker)
{
    struct session_group *group = worker->group;
    struct session *session;
    struct list dirty;

    /* What becomes dirty again meanwhile waits for the next end of a turn: others get theirs. */
    list_init(&dirty);
    list_splice_back(&dirty, &group->dirty);
    while ((session = LIST_POP_FRONT(&dirty, struct session, dirty_link)) != NULL) {
        session_settle(session);
    }
    free_closed(group);
    group->now_us = 0;
    metrics_set(&worker->metrics->requests_in_flight, group->in_flight);
}

/* --- the sweep --------------------------------------------------------------------------------*/

/* Memory that a burst took is kept until here, so that the next burst allocates nothing. */
static void trim_session(struct session *session)
{
    buffer_trim(&session->in, LIMIT_SESSION_KEEP_BYTES);
    buffer_trim(&session->out, LIMIT_SESSION_KEEP_BYTES);
}

static void sweep_session(struct session *session, int64_t now_us)
{
    const struct config *config = session->worker->config;
    int64_t idle_us = config->limits.idle_timeout_ms * 1000;
    int64_t active_us = atomic_load_explicit(&session->client.active_us, memory_order_relaxed);

    if (session->took_output || session->in_flight > 0) {
        session->took_output = false;
        active_us = now_us;
        atomic_store_explicit(&session->client.active_us, now_us, memory_order_relaxed);
    }
    if (atomic_load_explicit(&session->client.killed, memory_order_relaxed)) {
        session_close(session, SESSION_END_KILLED);
    } else if (session->over_us != 0 && now_us - session->over_us > LIMIT_SESSION_STALL_US) {
        session_close(session, SESSION_END_OUTPUT);
    } else if (session->state == SESSION_LINGERING &&
               now_us - session->linger_us > LIMIT_SESSION_LINGER_US) {
        session_close(session, session->end);
    } else if (idle_us > 0 && now_us - active_us > idle_us) {
        session_close(session, session->out.len > 0 ? SESSION_END_OUTPUT : SESSION_END_IDLE);
    }
}

static void sweep_due(int fd, short what, void *arg)
{
    struct session_group *group = arg;
    struct metrics *metrics = group->worker->metrics;
    int64_t now_us = clock_boot_us();
    int64_t output_bytes = 0;

    (void)fd;
    (void)what;
    LIST_EACH(&group->open, link) {
        struct session *session = LIST_ENTRY(link, struct session, link);
        output_bytes += (int64_t)session->out.len;
        trim_session(session);
        sweep_session(session, now_us);
    }
    free_closed(group);
    metrics_set(&metrics->output_bytes, output_bytes);
    metrics_set(&metrics->requests_in_flight, group->in_flight);
    loop_timer_in_ms(group->sweep, LIMIT_SESSION_SWEEP_MS);
}

void session_close_killed(struct session_group *group)
{
    LIST_EACH(&group->open, link) {
        struct session *session = LIST_ENTRY(link, struct session, link);
        if (atomic_load_explicit(&session->client.killed, memory_order_relaxed)) {
            session_close(session, SESSION_END_KILLED);
        }
    }
}

/* --- the end ----------------------------------------------------------------------------------*/

void session_drain_all(struct worker *worker)
{
    LIST_EACH(&worker->group->open, link) {
        struct session *session = LIST_ENTRY(link, struct session, link);
        if (session->state == SESSION_OPEN) {
            session->end = SESSION_END_SHUTDOWN;
            session_become(session, SESSION_DRAINING);
            session_io_stop_reading(session);
        }
        session_touch(session);
    }
}

void session_close_all(struct worker *worker, enum session_end end)
{
    LIST_EACH(&worker->group->open, link) {
        session_close(LIST_ENTRY(link, struct session, link), end);
    }
}
