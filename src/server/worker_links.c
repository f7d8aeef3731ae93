/*
 * A worker's links: a writer, a second one round locked accounts (core/detour.c) and some readers to
 * the store, one to the cache.
 *
 * The key of the cache's checksums stands in the store: until some link to the store has been up,
 * every value reads as poison, and no era should be opened on the word of a worker that could not
 * use it. So the cache is reported to the trust view only from then on.
 */
#include "ops/link_options.h"
#include "server/worker_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

void worker_show_status(struct worker_thread *self)
{
    struct metrics *metrics = self->worker.metrics;
    struct engine_status status;
    bool trusted = trust_view_check(self->view, &self->era, clock_boot_us());

    engine_status(self->worker.engine, &status);
    board_put_engine(self->board, self->worker.index, &status);
    metrics_set(&metrics->store_up, status.writer_up && status.reader_up);
    metrics_set(&metrics->cache_up, status.cache_up);
    metrics_set(&metrics->cache_trusted, status.cache_up && self->mac_key_known && trusted);
    metrics_set(&metrics->era, (int64_t)self->era.id);
    metrics_set(&metrics->mutation_queue, (int64_t)status.writes_queued);
    metrics_set(&metrics->read_queue, (int64_t)status.reads_waiting);
}

static void worker_links_changed(struct worker_thread *self)
{
    const struct cache_identity *redis =
        self->mac_key_known ? cache_link_identity(self->cache) : NULL;

    trust_view_report_cache(self->view, self->worker.index, redis);
    engine_links_changed(self->worker.engine);
    worker_show_status(self);
}

static void worker_hurry_store_links(struct worker_thread *self)
{
    store_link_hurry(self->writer);
    store_link_hurry(self->detour);
    for (size_t i = 0; i < self->reader_count; i++) {
        store_link_hurry(self->readers[i]);
    }
}

static void worker_store_up(void *ctx, struct store_link *link)
{
    struct worker_thread *self = ctx;

    worker_hurry_store_links(self);
    cache_link_set_mac_key(self->cache, store_link_mac_key(link));
    self->mac_key_known = true;
    metrics_add(&self->worker.metrics->store_connects, 1);
    worker_links_changed(self);
}

static void worker_store_down(void *ctx, struct store_link *link, const char *why)
{
    struct worker_thread *self = ctx;

    (void)link;
    (void)why;
    if (!self->ending) {
        metrics_add(&self->worker.metrics->store_disconnects, 1);
        worker_links_changed(self);
    }
}

static void worker_cache_up(void *ctx, struct cache_link *link)
{
    struct worker_thread *self = ctx;

    (void)link;
    metrics_add(&self->worker.metrics->cache_connects, 1);
    worker_links_changed(self);
}

static void worker_cache_down(void *ctx, struct cache_link *link, const char *why)
{
    struct worker_thread *self = ctx;

    (void)link;
    (void)why;
    if (!self->ending) {
        metrics_add(&self->worker.metrics->cache_disconnects, 1);
        worker_links_changed(self);
    }
}

/* --- making and freeing -----------------------------------------------------------------------*/

static struct store_link *worker_make_store_link(struct worker_thread *self,
                                                 const struct store_options *options)
{
    static const struct store_hooks hooks = {.up = worker_store_up, .down = worker_store_down};
    char err[STORE_TEXT_MAX];
    struct store_link *link =
        store_link_create(self->worker.base, options, &hooks, self, err, sizeof err);

    if (link == NULL) {
        abort(); /* conninfo was checked before: no memory */
    }
    return link;
}

void worker_links_make(struct worker_thread *self, const struct config *config, const char *daemon)
{
    static const struct cache_hooks hooks = {.up = worker_cache_up, .down = worker_cache_down};
    char name[32], address[ADDRESS_TEXT_ROOM];
    struct cache_options cache = cache_options_of(config, address);

    snprintf(name, sizeof name, "ballastd worker %d", self->worker.index);
    struct store_options store = store_options_of(config, name);
    store.lease = daemon;
    self->writer = worker_make_store_link(self, &store);
    self->detour = worker_make_store_link(self, &store);
    store.lease = NULL;
    while (self->reader_count < (size_t)config->store.read_links) {
        self->readers[self->reader_count++] = worker_make_store_link(self, &store);
    }
    self->cache = cache_link_create(self->worker.base, &cache, &hooks, self);
    if (self->cache == NULL) {
        abort();
    }
    engine_attach(self->worker.engine, self->writer, self->detour, self->readers,
                  self->reader_count, self->cache);
}

void worker_links_take(struct worker_thread *self, const struct config *config)
{
    struct store_fuses fuses = store_fuses_of(config);

    store_link_set_fuses(self->writer, &fuses);
    store_link_set_fuses(self->detour, &fuses);
    for (size_t i = 0; i < self->reader_count; i++) {
        store_link_set_fuses(self->readers[i], &fuses);
    }
}

void worker_links_free(struct worker_thread *self)
{
    store_link_free(self->writer);
    store_link_free(self->detour);
    for (size_t i = 0; i < self->reader_count; i++) {
        store_link_free(self->readers[i]);
    }
    cache_link_free(self->cache);
}
