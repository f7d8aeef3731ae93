/*
 * The engine's life, its end-of-turn flush and its tick, and the sharing of the reading links
 * between fills and queries. What happens to an item is told in read.c, fill.c, write.c, query.c.
 */
#include "core/engine_parts.h"

#include <stdlib.h>

#include "base/attributes.h"
#include "base/clock.h"

/* Queries wait in the sessions' own requests; those on a link or in ENSURE need an object. */
#define QUERIES_ACTIVE_MAX 256

/* Whether the store takes writes again is not known before one is tried: after this, nobody knows. */
#define REFUSAL_STANDS_US (INT64_C(10) * 1000 * 1000)

struct engine *engine_create(const struct engine_options *options, struct trust_view *view,
                             struct metrics *metrics, const struct engine_hooks *hooks, void *ctx)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        abort();
    }
    engine->options = *options;
    engine->hooks = *hooks;
    engine->ctx = ctx;
    engine->view = view;
    engine->metrics = metrics;
    read_queue_init(&engine->lookups);
    read_queue_init(&engine->misses);
    read_queue_init(&engine->order.behind);
    engine->query_end = &engine->query_first;
    list_init(&engine->fills_active);
    list_init(&engine->queries_active);
    list_init(&engine->fencing);
    engine->batches = pool_create("lookup batches", read_batch_size(), 2 * LOOKUP_BATCHES_MAX);
    engine->fills = pool_create("fills", fill_size(), FILLS_MAX);
    engine->items = pool_create("mutations", sizeof(struct write_item), (size_t)options->queue_max);
    write_create(engine);
    engine->queries = pool_create("queries", query_size(), QUERIES_ACTIVE_MAX);
    return engine;
}

void engine_attach(struct engine *engine, struct store_link *writer, struct store_link *detour,
                   struct store_link *const *readers, size_t reader_count, struct cache_link *cache)
{
    assert(reader_count > 0 && reader_count <= ENGINE_READ_LINKS_MAX);
    engine->main.link = writer;
    engine->detour.lane.link = detour;
    for (size_t i = 0; i < reader_count; i++) {
        engine->readers[i] = readers[i];
    }
    engine->reader_count = reader_count;
    engine->cache = cache;
    engine_links_changed(engine);
    engine_ask_timer(engine);
}

void engine_detach(struct engine *engine)
{
    engine->closing = true;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    engine->closing = true;
    fill_drop_all(engine);
    query_drop_all(engine);
    write_drop_all(engine);
    for (struct read_item *item; (item = read_queue_pop(&engine->lookups)) != NULL;) {
        read_finish(item, READ_UNAVAILABLE);
    }
    pool_destroy(engine->batches);
    pool_destroy(engine->fills);
    pool_destroy(engine->items);
    commit_destroy_all(engine);
    pool_destroy(engine->queries);
    free(engine);
}

/* --- turns and ticks --------------------------------------------------------------------------*/

size_t engine_pending(const struct engine *engine)
{
    size_t pending = engine->lookups.count + engine->looking_up + engine->misses.count +
                     engine->order.behind.count + pool_used(engine->fills) + engine->queued +
                     engine->queries_queued + pool_used(engine->queries);
    return pending;
}

void engine_ask_flush(struct engine *engine)
{
    if (!engine->flush_asked && !engine->closing) {
        engine->flush_asked = true;
        engine->hooks.need_flush(engine->ctx);
    }
}

void engine_ask_timer(struct engine *engine)
{
    if (!engine->timer_asked && !engine->closing) {
        engine->timer_asked = true;
        engine->hooks.need_timer(engine->ctx, clock_boot_us() + TICK_US);
    }
}

static void proved(void *arg, enum cache_status status, const char *stamp)
{
    struct engine *engine = arg;
    (void)stamp;
    (void)status; /* CACHE_MOVED: the link drops itself, and connects to what is there now */
    engine->proving = false;
}

/* Every batch of lookups proves the link (T13), but without an era there are none, and a Redis
 * that was rewound in place drops no connection: the daemons would never agree on it again. */
static void prove_link(struct engine *engine, int64_t now)
{
    if (!engine->proving && now >= engine->prove_at_us && cache_link_is_up(engine->cache)) {
        engine->proving = true;
        engine->prove_at_us = now + PROVE_US;
        cache_stamp_read(engine->cache, proved, engine);
    }
    if (!engine->timer_asked) {
        engine->hooks.need_timer(engine->ctx, now + PROVE_US);
    }
}

void engine_flush(struct engine *engine)
{
    engine->flush_asked = false;
    if (engine->closing) {
        return;
    }
    read_send_lookups(engine);
    fill_start(engine);
    engine_feed_readers(engine);
    write_advance(engine);
    if (engine_pending(engine) > 0) {
        engine_ask_timer(engine);
    }
}

void engine_tick(struct engine *engine)
{
    engine->timer_asked = false;
    if (engine->closing) {
        return;
    }
    int64_t now = clock_boot_us();
    fill_tick(engine, now);
    query_tick(engine, now);
    write_tick(engine, now);
    engine_flush(engine);
    prove_link(engine, now);
}

void engine_fences_done(struct engine *engine)
{
    ensure_fences_done(engine);
}

bool engine_store_is_gone(const struct engine *engine, int64_t now)
{
    return trust_view_is_aside(engine->view) ||
           (engine->readers_down_us != 0 &&
            now - engine->readers_down_us >= engine->options.grace_us);
}

void engine_read_failed(struct engine *engine)
{
    if (breaker_failed(&engine->breaker, clock_boot_us())) {
        metrics_add(&engine->metrics->store_read_pauses, 1);
    }
}

/* --- links ------------------------------------------------------------------------------------*/

/* Puts a statement on the link, of whose turn it is, else of who has one. */
static bool feed(struct engine *engine, struct store_link *link)
{
    engine->query_turn = !engine->query_turn;
    return engine->query_turn ? query_feed(engine, link) || fill_feed(engine, link)
                              : fill_feed(engine, link) || query_feed(engine, link);
}

void engine_feed_readers(struct engine *engine)
{
    int64_t now = clock_boot_us();
    for (size_t i = 0; i < engine->reader_count && !engine->closing; i++) {
        struct store_link *link = engine->readers[i];
        if (store_link_ready(link) && breaker_admits(&engine->breaker, now)) {
            (void)feed(engine, link);
        }
    }
}

static bool any_reader_up(const struct engine *engine)
{
    for (size_t i = 0; i < engine->reader_count; i++) {
        if (store_link_is_up(engine->readers[i])) {
            return true;
        }
    }
    return false;
}

void engine_links_changed(struct engine *engine)
{
    if (engine->closing || engine->reader_count == 0) {
        return;
    }
    engine->matched_era = 0; /* the cache's link may lead to another Redis now */
    bool writer_up = store_link_is_up(engine->main.link);
    if (any_reader_up(engine)) {
        engine->readers_down_us = 0;
    } else if (engine->readers_down_us == 0 || (writer_up && !engine->writer_was_up)) {
        engine->readers_down_us = clock_boot_us(); /* the store is back: a reader will be soon */
    }
    engine->writer_was_up = writer_up;
    metrics_set(&engine->metrics->store_up, writer_up && any_reader_up(engine));
    metrics_set(&engine->metrics->cache_up, cache_link_is_up(engine->cache));
    engine_ask_flush(engine);
}

/* --- looking in -------------------------------------------------------------------------------*/

/* Of the link that posts, else of one that reads. */
static const char *why_no_store(const struct engine *engine)
{
    const char *why = store_link_why(engine->main.link);

    return why[0] != '\0' || any_reader_up(engine) || engine->reader_count == 0
               ? why
               : store_link_why(engine->readers[0]);
}

void engine_status(struct engine *engine, struct engine_status *status)
{
    int64_t now = clock_boot_us();
    *status = (struct engine_status){
        .writer_up = store_link_is_up(engine->main.link),
        .reader_up = any_reader_up(engine),
        .cache_up = cache_link_is_up(engine->cache),
        .store_why = why_no_store(engine),
        .cache_why = cache_link_why(engine->cache),
        .refusal = engine->refused_us != 0 && now - engine->refused_us < REFUSAL_STANDS_US
                       ? engine->refusal
                       : "",
        .writes_queued = engine->queued,
        .reads_waiting = engine->misses.count + engine->order.behind.count,
    };
    commit_status(engine, status, now);
    write_status(engine, status, now);
}
