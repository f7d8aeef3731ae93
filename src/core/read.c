/*
 * The journey of a read.
 *
 *   engine_read -> lookups -(end of turn)-> one MULTI GETEX INFO MGET EXEC -> looked_up
 *                                                                                |
 *        T6: lease valid by a clock read now, stamp and Redis are the era's, value's era and
 *        checksum right                                                          |
 *                           hit: answer, in its order (order.c) <-------------------+
 *                           anything else: misses -> fill.c -> the store answers
 *
 * All reads of one turn of the loop share a batch; while LOOKUP_BATCHES_MAX are under way, later
 * reads collect for the next one, so that batches grow with the load. A read joins only batches
 * that have not been sent.
 */
#include "core/engine_parts.h"

#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutant.h"

#define POISON_LOG_US 1000000 /* at most one line a second; the metric counts every one */

struct lookup_batch {
    struct engine *engine;
    int64_t sent_us;
    size_t count;
    int64_t wall_ms; /* when the answer came, for ages */
    bool stale;      /* the store is away: whatever carries our checksum will do */
    struct read_item *items[LOOKUPS_MAX];
    struct cache_lookup *lookups[LOOKUPS_MAX];
};

size_t read_batch_size(void)
{
    return sizeof(struct lookup_batch);
}

void read_finish(struct read_item *item, enum read_answer answer)
{
    item->answer = answer;
    item->done(item);
}

void engine_read(struct engine *engine, struct read_item *item)
{
    item->lookup.id = &item->id;
    item->poisoned = false;
    item->hit = false;
    read_queue_push(&engine->lookups, item);
    engine_ask_flush(engine);
}

static void audit_poison(struct engine *engine, const struct read_item *item)
{
    metrics_add(&engine->metrics->cache_poisoned, 1);
    int64_t now = clock_boot_us();
    if (now - engine->poison_logged_us >= POISON_LOG_US) {
        engine->poison_logged_us = now;
        log_warn("cache-poisoned", "account=%.*s", item->id.len, item->id.bytes);
    }
}

/* Two daemons' clocks: an age is for people only. */
static int64_t age_of(const struct lookup_batch *batch, const struct cache_value *value)
{
    return batch->wall_ms > value->written_ms ? batch->wall_ms - value->written_ms : 0;
}

/* A batch that was read under trust: is this item's value one to believe? */
static bool hit(const struct lookup_batch *batch, struct read_item *item)
{
    struct engine *engine = batch->engine;
    struct metrics *metrics = engine->metrics;
    const struct cache_value *value = &item->lookup.value;
    switch (value->kind) {
    case CACHE_STATE:
    case CACHE_NEGATIVE:
        if (value->era != engine->era.id && !MUTANT(OLDERA)) {
            metrics_add(&metrics->cache_old_era, 1);
            return false;
        }
        break;
    case CACHE_ABSENT:
        metrics_add(&metrics->cache_misses, 1);
        return false;
    case CACHE_TOKEN:
        metrics_add(&metrics->cache_tokens, 1);
        return false;
    case CACHE_POISON:
        audit_poison(engine, item);
        item->poisoned = true;
        return false;
    }
    item->age_ms = age_of(batch, value);
    if (value->state.version < item->min_version ||
        (item->max_age_ms >= 0 && item->age_ms > item->max_age_ms)) {
        metrics_add(&metrics->cache_misses, 1);
        return false;
    }
    metrics_add(value->kind == CACHE_STATE ? &metrics->cache_hits : &metrics->cache_negatives, 1);
    item->state = value->state;
    item->source = READ_FROM_CACHE;
    return true;
}

static void answer_unavailable(struct engine *engine, struct read_item *item)
{
    metrics_add(&engine->metrics->deadlines_read, 1);
    read_finish(item, READ_UNAVAILABLE);
}

static void answer_stale(const struct lookup_batch *batch, struct read_item *item, bool looked_up)
{
    struct engine *engine = batch->engine;
    const struct cache_value *value = &item->lookup.value;
    if (looked_up && value->kind == CACHE_STATE) {
        item->age_ms = age_of(batch, value);
        item->state = value->state;
        item->source = READ_FROM_CACHE;
        metrics_add(&engine->metrics->stale_answers, 1);
        read_finish(item, READ_STALE);
    } else {
        answer_unavailable(engine, item);
    }
}

/* T6, for the batch as a whole; reports what is wrong about it. */
static bool batch_is_trusted(struct engine *engine, enum cache_status status, const char *stamp,
                             size_t count)
{
    bool trusted = engine_trusts_cache(engine);
    if (status == CACHE_OK && trusted && strcmp(stamp, engine->era.stamp) == 0) {
        return true;
    }
    if (status != CACHE_OK) {
        metrics_add(&engine->metrics->cache_failed, count);
    } else {
        metrics_add(&engine->metrics->cache_untrusted, count);
    }
    if (trusted && (status == CACHE_OK || status == CACHE_MOVED)) {
        trust_view_suspect(engine->view, engine->era.id); /* flushed, rewound, demoted: FENCE */
    }
    return false;
}

static void answer_in_order(struct engine *engine, struct read_item *item)
{
    if (order_has_earlier(engine, item)) {
        item->hit = true;
        fill_add(engine, item);
    } else {
        read_finish(item, READ_CURRENT);
    }
}

static void looked_up(void *arg, enum cache_status status, const char *stamp)
{
    struct lookup_batch *batch = arg;
    struct engine *engine = batch->engine;
    engine->batches_in_flight--;
    engine->looking_up -= batch->count;
    histogram_record(&engine->metrics->cache_latency, clock_boot_us() - batch->sent_us);
    batch->wall_ms = clock_wall_ms();
    bool trusted = !batch->stale && batch_is_trusted(engine, status, stamp, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        struct read_item *item = batch->items[i];
        if (batch->stale) {
            answer_stale(batch, item, status == CACHE_OK);
        } else if (trusted && hit(batch, item)) {
            answer_in_order(engine, item);
        } else {
            fill_add(engine, item);
        }
    }
    pool_give(engine->batches, batch);
    if (engine->lookups.count > 0) {
        engine_ask_flush(engine);
    }
}

static struct lookup_batch *send_batch(struct engine *engine, struct read_queue *from, bool stale)
{
    struct lookup_batch *batch = pool_take_raw(engine->batches);
    if (batch == NULL) {
        return NULL;
    }
    batch->engine = engine;
    batch->stale = stale;
    batch->count = 0;
    while (from->count > 0 && batch->count < LOOKUPS_MAX) {
        struct read_item *item = read_queue_pop(from);
        batch->items[batch->count] = item;
        batch->lookups[batch->count++] = &item->lookup;
    }
    batch->sent_us = clock_boot_us();
    engine->batches_in_flight++;
    engine->looking_up += batch->count;
    metrics_add(&engine->metrics->cache_batches, 1);
    histogram_record(&engine->metrics->lookup_batch_size, (int64_t)batch->count);
    cache_read(engine->cache, batch->lookups, batch->count, looked_up, batch);
    return batch;
}

static void refuse_all(struct engine *engine)
{
    for (struct read_item *item; (item = read_queue_pop(&engine->lookups)) != NULL;) {
        read_finish(item, READ_UNAVAILABLE);
    }
}

/* Reads that the cache must not answer go to the store without being looked up; where it is not
 * trusted, behind those that are looked up yet and will go the same way (order.c). A fresh one has
 * nothing of its connection before it: the session sees to that. False: nothing is looked up. */
static bool sort_out(struct engine *engine)
{
    struct read_queue all = engine->lookups;
    bool trusted = engine_trusts_cache(engine);
    read_queue_init(&engine->lookups);
    for (struct read_item *item = all.first, *next; item != NULL; item = next) {
        next = item->next;
        if (!item->fresh && (trusted || (engine->looking_up > 0 && !MUTANT(ORDER)))) {
            read_queue_push(&engine->lookups, item);
        } else {
            metrics_add(&engine->metrics->cache_untrusted, trusted ? 0 : 1);
            fill_add(engine, item);
        }
    }
    return trusted;
}

void read_send_lookups(struct engine *engine)
{
    if (trust_view_is_aside(engine->view)) {
        refuse_all(engine);
        return;
    }
    if (engine->lookups.count == 0 || engine->batches_in_flight >= LOOKUP_BATCHES_MAX ||
        !sort_out(engine)) {
        return;
    }
    while (engine->lookups.count > 0 && engine->batches_in_flight < LOOKUP_BATCHES_MAX) {
        if (send_batch(engine, &engine->lookups, false) == NULL) {
            return; /* a batch that comes back asks for the next flush */
        }
    }
}

void read_answer_stale(struct engine *engine, struct read_queue *items)
{
    while (items->count > 0) {
        if (engine->closing || !cache_link_is_up(engine->cache) ||
            send_batch(engine, items, true) == NULL) {
            answer_unavailable(engine, read_queue_pop(items));
        }
    }
}
