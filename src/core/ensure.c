/*
 * ENSURE (rule T7): showing is acknowledging. A version may be shown to anybody only when no
 * reader, at any daemon, can be shown an older one from the cache afterwards. Three ways:
 *
 *   (a) trust holds after the commit or the store read, and the publish was confirmed under that
 *       era: every cache value of the era is at least as new.            [ensure_published]
 *   (b) for reads only: the very statement that read the account saw the era drained: nobody
 *       trusts a cache now, and what an era opened later is filled with is read later.
 *                                                                        [fill.c, query.c]
 *   (c) the era row was read after the commit, and the era found open or closing then has been
 *       drained or replaced since: the values that might be older are dead.  [ensure_fenced]
 *
 * (a) costs one script in Redis for a whole batch; (c) takes over when Redis is slow, refuses, or
 * is gone, and costs at most W. (a) is tried again where an era has come to be trusted meanwhile.
 */
#include "core/engine_parts.h"

#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/mutant.h"

bool engine_trusts_cache(struct engine *engine)
{
    int64_t now = clock_boot_us();
    if (MUTANT(EARLYCHK)) {
        now -= now % 500000;
    }
    if (engine->closing || !trust_view_check(engine->view, &engine->era, now)) {
        return false;
    }
    const struct cache_identity *link = cache_link_identity(engine->cache);
    if (link == NULL) {
        return false;
    }
    if (engine->matched_era != engine->era.id) { /* a changed link resets matched_era */
        engine->matched_era = engine->era.id;
        engine->matched = strcmp(link->run_id, engine->era.redis.run_id) == 0 &&
                          strcmp(link->replid, engine->era.redis.replid) == 0;
    }
    return engine->matched || MUTANT(NORUNID);
}

static void fence(struct ensure *ensure)
{
    struct engine *engine = ensure->engine;
    ensure->ticket = trust_view_fence(engine->view);
    metrics_add(&engine->metrics->fences, 1);
    list_push_back(&engine->fencing, &ensure->link);
    engine_ask_timer(engine);
}

static void published(void *arg, enum cache_status status)
{
    struct ensure *ensure = arg;
    struct engine *engine = ensure->engine;
    struct metrics *metrics = engine->metrics;
    int64_t now = clock_boot_us();
    bool trusted = engine_trusts_cache(engine) && engine->era.id == ensure->era;
    if (status == CACHE_OK && (trusted || MUTANT(WSTALE))) {
        metrics_add(&metrics->publishes_ok, 1);
        histogram_record(&metrics->publish_latency, now - ensure->sent_us);
        ensure->done(ensure);
        return;
    }
    metrics_add(status == CACHE_REFUSED ? &metrics->publishes_refused : &metrics->publishes_failed,
                1);
    if (status == CACHE_REFUSED || status == CACHE_MOVED) {
        trust_view_suspect(engine->view, ensure->era);
    }
    if (!ensure->again && engine_trusts_cache(engine) && engine->era.id > ensure->era) {
        ensure->again = true;
        ensure_published(engine, ensure, ensure->entries, ensure->count, ensure->done);
        return;
    }
    fence(ensure);
}

void ensure_published(struct engine *engine, struct ensure *ensure,
                      const struct account_entry *entries, size_t count,
                      void (*done)(struct ensure *))
{
    ensure->engine = engine;
    ensure->entries = entries;
    ensure->count = count;
    ensure->done = done;
    if (count == 0) {
        done(ensure);
        return;
    }
    if (!engine_trusts_cache(engine) && !(MUTANT(WSTALE) && engine->era.id > 0)) {
        fence(ensure);
        return;
    }
    ensure->era = engine->era.id;
    ensure->sent_us = clock_boot_us();
    cache_publish(engine->cache, engine->era.stamp, engine->era.id, entries, count, published,
                  ensure);
}

void ensure_fenced(struct engine *engine, struct ensure *ensure,
                   const struct account_entry *entries, size_t count, void (*done)(struct ensure *))
{
    ensure->engine = engine;
    ensure->entries = entries;
    ensure->count = count;
    ensure->done = done;
    fence(ensure);
}

void ensure_fences_done(struct engine *engine)
{
    LIST_EACH(&engine->fencing, link) {
        struct ensure *ensure = LIST_ENTRY(link, struct ensure, link);
        if (trust_view_fence_done(engine->view, ensure->ticket)) {
            list_unlink(link);
            ensure->done(ensure);
        } else if (trust_view_fence_returned(engine->view, ensure->ticket)) {
            list_unlink(link);
            ensure_published(engine, ensure, ensure->entries, ensure->count, ensure->done);
        }
    }
}
