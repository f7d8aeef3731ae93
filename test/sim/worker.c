/* A worker of a daemon: an engine with its links; see process.h. */
#include <stdlib.h>

#include "base/metrics.h"
#include "process.h"

static void fences_due(void *object, uint64_t arg)
{
    struct worker *worker = object;
    (void)arg;
    worker->fences_due = false;
    engine_fences_done(worker->engine);
}

void worker_wake(struct worker *worker)
{
    if (!worker->fences_due) {
        worker->fences_due = true;
        world_after(sim_delay(10), worker->process, fences_due, worker, 0);
    }
}

static void flush_due(void *object, uint64_t arg)
{
    struct worker *worker = object;
    (void)arg;
    worker->flush_due = false;
    engine_flush(worker->engine);
}

static void need_flush(void *ctx)
{
    struct worker *worker = ctx;
    if (!worker->flush_due) {
        worker->flush_due = true;
        world_after((int64_t)sim_below(30), worker->process, flush_due, worker, 0);
    }
}

static void engine_due(void *object, uint64_t arg)
{
    struct worker *worker = object;
    if (arg == worker->timer) {
        engine_tick(worker->engine);
    }
}

static void engine_need_timer(void *ctx, int64_t at_us)
{
    struct worker *worker = ctx;
    world_at(process_world_time(worker->process, at_us), worker->process, engine_due, worker,
             ++worker->timer);
}

static void worker_links_changed(struct worker *worker)
{
    if (worker->process->dead || worker->engine == NULL || worker->cache == NULL) {
        return;
    }
    trust_view_report_cache(worker->process->view, worker->index,
                            cache_link_identity(worker->cache));
    engine_links_changed(worker->engine);
}

static void worker_store_up(void *ctx, struct store_link *link)
{
    (void)link;
    worker_links_changed(ctx);
}

static void worker_store_down(void *ctx, struct store_link *link, const char *why)
{
    (void)link;
    (void)why;
    worker_links_changed(ctx);
}

static void worker_cache_up(void *ctx, struct cache_link *link)
{
    (void)link;
    worker_links_changed(ctx);
}

static void worker_cache_down(void *ctx, struct cache_link *link, const char *why)
{
    (void)link;
    (void)why;
    worker_links_changed(ctx);
}

void worker_start(struct process *process, int index)
{
    static const struct engine_hooks engine_hooks = {need_flush, engine_need_timer};
    static const struct store_hooks store_hooks = {worker_store_up, worker_store_down, NULL};
    static const struct cache_hooks cache_hooks = {worker_cache_up, worker_cache_down};
    struct worker *worker = &process->workers[index];
    const struct engine_options options = {
        .worker = index,
        .batch_max = (int)sim_between(1, SIM_ENTRIES_MAX / 2),
        .queue_max = 64,
        .read_queue_max = 256,
        .grace_us = 250 * MS,
    };
    worker->process = process;
    worker->index = index;
    worker->metrics = metrics_create();
    worker->engine = engine_create(&options, process->view, worker->metrics, &engine_hooks, worker);
    worker->reader_count = 1 + sim_below(2);
    worker->writer = process_store_link(&store_hooks, worker);
    worker->detour = process_store_link(&store_hooks, worker);
    for (size_t i = 0; i < worker->reader_count; i++) {
        worker->readers[i] = process_store_link(&store_hooks, worker);
    }
    worker->cache = process_cache_link(&cache_hooks, worker);
    engine_attach(worker->engine, worker->writer, worker->detour, worker->readers,
                  worker->reader_count, worker->cache);
}

void worker_free(struct worker *worker)
{
    engine_detach(worker->engine);
    cache_link_free(worker->cache);
    store_link_free(worker->writer);
    store_link_free(worker->detour);
    for (size_t k = 0; k < worker->reader_count; k++) {
        store_link_free(worker->readers[k]);
    }
    engine_free(worker->engine);
    free(worker->metrics);
}
