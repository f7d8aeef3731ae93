/*
 * Misses: accounts that the store has to answer for, and the cache is filled with (rule T9).
 *
 *   misses -> a fill of up to 1,000 distinct accounts (single flight inside it)
 *
 *     COLLECTED --trusted--> TOKENS --> READY --> READING --> FILLING --> answered
 *         |                    token in every       the statement     confirmed under the token's
 *         +---not trusted------> absent key           |                era (T7 a)
 *                                                     +-- saw drained --> answered (T7 b)
 *                                                     +-- else / unconfirmed --> FENCED (T7 c)
 *
 * A hit that came too early for the order of its connection (order.c) waits in a fill as well.
 *
 * The store is read after the tokens stand, so that a publish that comes in between finds the
 * token, removes it, and makes the fill void: a late fill can never bring an old version back.
 * At most FILLS_MAX fills are under way: with everything missing the store sees a few statements
 * of 1,000 accounts at a time, however many clients ask.
 */
#include "core/engine_parts.h"

#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/mutant.h"

#define TABLE_SIZE 2048 /* power of two, at most half full */

enum fill_phase { FILL_TOKENS, FILL_READY, FILL_READING, FILL_FILLING, FILL_FENCED };

struct fill {
    struct list link; /* engine->fills_active, oldest first */
    struct engine *engine;
    enum fill_phase phase;
    bool tokens; /* some stand, under token_id and era */
    uint64_t token_id;
    struct trust_era era; /* the tokens' */
    int64_t sent_us;
    int64_t deadline_us; /* the earliest of the waiting items */
    struct ensure ensure;
    size_t count;
    struct cache_fill_entry entries[FILL_ACCOUNTS_MAX];
    struct read_item *waiters[FILL_ACCOUNTS_MAX]; /* of each entry, linked by next */
    const struct account_id *ids[FILL_ACCOUNTS_MAX];
    struct account_entry shown[FILL_ACCOUNTS_MAX]; /* for a publish, where no token stands */
    uint16_t table[TABLE_SIZE];                    /* index into entries + 1; 0 = free */
};

size_t fill_size(void)
{
    return sizeof(struct fill);
}

/* The entry of that account in this fill; where there is none, a free slot is in *slot. */
static struct cache_fill_entry *find(struct fill *fill, const struct account_id *id, uint32_t *slot)
{
    uint32_t at = account_id_hash(id) & (TABLE_SIZE - 1);
    while (fill->table[at] != 0) {
        struct cache_fill_entry *entry = &fill->entries[fill->table[at] - 1];
        if (account_id_equal(&entry->entry.id, id)) {
            *slot = at;
            return entry;
        }
        at = (at + 1) & (TABLE_SIZE - 1);
    }
    *slot = at;
    return NULL;
}

static void join(struct fill *fill, struct read_item *item)
{
    uint32_t slot;
    struct cache_fill_entry *entry = find(fill, &item->id, &slot);
    if (entry == NULL) {
        entry = &fill->entries[fill->count];
        memset(entry, 0, sizeof *entry);
        entry->entry.id = item->id;
        fill->waiters[fill->count] = NULL;
        fill->table[slot] = (uint16_t)++fill->count;
    } else {
        metrics_add(&fill->engine->metrics->store_reads_joined, 1);
    }
    size_t index = (size_t)(entry - fill->entries);
    entry->force |= item->poisoned;
    item->next = fill->waiters[index];
    fill->waiters[index] = item;
    order_join(fill->engine, item, fill);
    if (fill->deadline_us > item->deadline_us) {
        fill->deadline_us = item->deadline_us;
    }
}

/* A hit needs no statement of its own where the earlier read that it waits for has one. */
static bool join_earlier(struct engine *engine, struct read_item *item)
{
    uint32_t slot;
    struct fill *fill = order_fill_of_earlier(engine, item);
    if (fill == NULL || find(fill, &item->id, &slot) == NULL) {
        return false;
    }
    order_wait(engine, item);
    join(fill, item);
    return true;
}

/* What a read must not do: the statement's snapshot is older than the read (T6). */
static bool join_sent(struct engine *engine, struct read_item *item)
{
    uint32_t slot;
    LIST_EACH(&engine->fills_active, at) {
        struct fill *fill = LIST_ENTRY(at, struct fill, link);
        if (fill->phase == FILL_READING && find(fill, &item->id, &slot) != NULL) {
            order_wait(engine, item);
            join(fill, item);
            return true;
        }
    }
    return false;
}

void fill_add(struct engine *engine, struct read_item *item)
{
    if (engine->closing) {
        read_finish(item, READ_UNAVAILABLE);
    } else if ((item->hit && join_earlier(engine, item)) ||
               (MUTANT(JOIN) && join_sent(engine, item))) {
        return;
    } else if (engine->misses.count + engine->order.behind.count >=
               (size_t)engine->options.read_queue_max) {
        metrics_add(&engine->metrics->busy_read_queue, 1);
        read_finish(item, READ_BUSY);
    } else {
        order_wait(engine, item);
        read_queue_push(&engine->misses, item);
        engine_ask_flush(engine);
    }
}

static void fill_over(struct fill *fill)
{
    struct engine *engine = fill->engine;
    list_unlink(&fill->link);
    pool_give(engine->fills, fill);
    order_release(engine);
    engine_ask_flush(engine);
}

/* The item goes out of its fill, and not back to the misses. */
static void leave(struct engine *engine, const struct read_item *item)
{
    order_leave(engine, item);
    order_done(engine, item);
}

static void answer_all(struct fill *fill)
{
    struct engine *engine = fill->engine;
    for (size_t i = 0; i < fill->count; i++) {
        for (struct read_item *item = fill->waiters[i], *next; item != NULL; item = next) {
            next = item->next;
            leave(engine, item);
            if (!item->hit || item->state.version < fill->entries[i].entry.state.version) {
                item->state = fill->entries[i].entry.state;
                item->source = READ_FROM_STORE;
                item->age_ms = 0;
                metrics_add(&engine->metrics->store_answers, 1);
            }
            read_finish(item, READ_CURRENT);
        }
    }
    fill_over(fill);
}

static void fence_passed(struct ensure *ensure)
{
    answer_all(LIST_ENTRY(ensure, struct fill, ensure));
}

/* What bears a version; returns how many. Absence outranks nothing: it may just be said. */
static size_t collect_shown(struct fill *fill)
{
    size_t count = 0;
    for (size_t i = 0; i < fill->count; i++) {
        if (fill->entries[i].entry.state.version > 0) {
            fill->shown[count++] = fill->entries[i].entry;
        }
    }
    return count;
}

static void fence(struct fill *fill)
{
    size_t count = collect_shown(fill);
    fill->phase = FILL_FENCED;
    if (count == 0) {
        answer_all(fill);
    } else {
        ensure_fenced(fill->engine, &fill->ensure, fill->shown, count, fence_passed);
    }
}

static void filled(void *arg, enum cache_status status)
{
    struct fill *fill = arg;
    struct engine *engine = fill->engine;
    if (status == CACHE_OK && engine_trusts_cache(engine) && engine->era.id == fill->era.id) {
        metrics_add(&engine->metrics->fills_ok, fill->count);
        answer_all(fill);
        return;
    }
    metrics_add(status == CACHE_OK ? &engine->metrics->fills_lost : &engine->metrics->fills_failed,
                fill->count);
    if (status == CACHE_REFUSED || status == CACHE_MOVED) {
        trust_view_suspect(engine->view, fill->era.id);
    }
    fence(fill);
}

/* Every account's state is known; now they must become safe to show. */
static void show(struct fill *fill)
{
    struct engine *engine = fill->engine;
    bool trusted = engine_trusts_cache(engine);
    if (MUTANT(SHOW)) {
        answer_all(fill);
        return;
    }
    if (MUTANT(FILLCURERA) && trusted) {
        fill->era = engine->era;
    }
    fill->phase = FILL_FILLING;
    if (trusted && fill->tokens && engine->era.id == fill->era.id) {
        cache_fill(engine->cache, fill->era.stamp, fill->era.id, fill->token_id, fill->entries,
                   fill->count, filled, fill);
        return;
    }
    ensure_published(engine, &fill->ensure, fill->shown, collect_shown(fill), fence_passed);
}

/* The statement failed: its items go back in front, and those of one account, of which the last
 * stands first, in their order. */
static void back_to_queue(struct fill *fill)
{
    struct engine *engine = fill->engine;
    order_release(engine); /* they stand behind these */
    for (size_t i = 0; i < fill->count; i++) {
        for (struct read_item *item = fill->waiters[i], *next; item != NULL; item = next) {
            next = item->next;
            order_leave(engine, item);
            read_queue_push_front(&engine->misses, item);
        }
    }
    fill_over(fill);
}

static void refuse_all(struct fill *fill)
{
    for (size_t i = 0; i < fill->count; i++) {
        for (struct read_item *item = fill->waiters[i], *next; item != NULL; item = next) {
            next = item->next;
            leave(fill->engine, item);
            read_finish(item, READ_UNAVAILABLE);
        }
    }
    fill_over(fill);
}

static void store_read(void *arg, enum store_status status, const struct store_error *error,
                       const struct store_accounts *reply)
{
    struct fill *fill = arg;
    struct engine *engine = fill->engine;
    (void)error; /* the adapter has logged it */
    if (status == STORE_REFUSED) {
        breaker_passed(&engine->breaker);
        refuse_all(fill);
        return;
    }
    if (status != STORE_OK) {
        engine_read_failed(engine);
        back_to_queue(fill);
        return;
    }
    breaker_passed(&engine->breaker);
    histogram_record(&engine->metrics->store_read_latency, clock_boot_us() - fill->sent_us);
    for (size_t i = 0; i < reply->count; i++) {
        uint32_t slot;
        struct cache_fill_entry *entry = find(fill, &reply->entries[i].id, &slot);
        assert(entry != NULL); /* the store may not answer for an account that was not asked for */
        entry->entry.state = reply->entries[i].state;
    }
    if (reply->era.state == ERA_DRAINED) {
        answer_all(fill); /* T7 b */
    } else {
        show(fill);
    }
    engine_feed_readers(engine);
}

bool fill_feed(struct engine *engine, struct store_link *link)
{
    LIST_EACH(&engine->fills_active, at) {
        struct fill *fill = LIST_ENTRY(at, struct fill, link);
        if (fill->phase != FILL_READY) {
            continue;
        }
        fill->phase = FILL_READING;
        fill->sent_us = clock_boot_us();
        for (size_t i = 0; i < fill->count; i++) {
            fill->ids[i] = &fill->entries[i].entry.id;
        }
        metrics_add(&engine->metrics->store_reads, fill->count);
        metrics_add(&engine->metrics->store_read_batches, 1);
        histogram_record(&engine->metrics->read_batch_size, (int64_t)fill->count);
        breaker_sent(&engine->breaker);
        store_read_accounts(link, fill->ids, fill->count, store_read, fill);
        return true;
    }
    return false;
}

static void tokens_set(void *arg, enum cache_status status)
{
    struct fill *fill = arg;
    fill->tokens = status == CACHE_OK;
    if (status == CACHE_REFUSED || status == CACHE_MOVED) {
        trust_view_suspect(fill->engine->view, fill->era.id);
    }
    fill->phase = FILL_READY;
    engine_feed_readers(fill->engine);
}

static bool collect(struct engine *engine)
{
    struct fill *fill = pool_take_raw(engine->fills);
    if (fill == NULL) {
        return false;
    }
    memset(fill, 0, offsetof(struct fill, entries)); /* entries are cleared as they join */
    memset(fill->table, 0, sizeof fill->table);
    list_init(&fill->link);
    list_init(&fill->ensure.link);
    fill->engine = engine;
    fill->deadline_us = INT64_MAX;
    bool want_tokens = false;
    while (engine->misses.count > 0 && fill->count < FILL_ACCOUNTS_MAX) {
        struct read_item *item = read_queue_pop(&engine->misses);
        if (!order_may_join(engine, item, fill)) {
            order_put_behind(engine, item);
            continue;
        }
        want_tokens |= !item->fresh || item->poisoned;
        join(fill, item);
    }
    if (fill->count == 0) {
        pool_give(engine->fills, fill);
        return true;
    }
    list_push_back(&engine->fills_active, &fill->link);
    if (want_tokens && engine_trusts_cache(engine)) {
        fill->phase = FILL_TOKENS;
        fill->era = engine->era;
        cache_token(engine->cache, fill->era.stamp, fill->era.id, fill->entries, fill->count,
                    &fill->token_id, tokens_set, fill);
    } else {
        fill->phase = FILL_READY;
    }
    return true;
}

void fill_start(struct engine *engine)
{
    if (engine->closing || engine->misses.count == 0 ||
        !breaker_admits(&engine->breaker, clock_boot_us())) {
        return;
    }
    if (engine->readers_down_us != 0) {
        return; /* fill_tick answers what has waited long enough */
    }
    while (engine->misses.count > 0 && collect(engine)) {
    }
    engine_feed_readers(engine);
}

/* Items of a fill under way whose deadline has come leave it; the fill itself goes on. */
static void expire_waiters(struct fill *fill, int64_t now, struct read_queue *late)
{
    fill->deadline_us = INT64_MAX;
    for (size_t i = 0; i < fill->count; i++) {
        struct read_item **place = &fill->waiters[i];
        while (*place != NULL) {
            struct read_item *item = *place;
            if (item->deadline_us <= now) {
                *place = item->next;
                leave(fill->engine, item);
                read_queue_push(late, item);
            } else {
                if (fill->deadline_us > item->deadline_us) {
                    fill->deadline_us = item->deadline_us;
                }
                place = &item->next;
            }
        }
    }
}

void fill_tick(struct engine *engine, int64_t now)
{
    bool gone = engine_store_is_gone(engine, now);
    struct read_queue late, rest;
    read_queue_init(&late);
    read_queue_init(&rest);
    LIST_EACH(&engine->fills_active, at) {
        struct fill *fill = LIST_ENTRY(at, struct fill, link);
        if (fill->deadline_us <= now) {
            expire_waiters(fill, now, &late);
        }
    }
    order_release(engine); /* the next fill sorts them out again */
    for (struct read_item *item; (item = read_queue_pop(&engine->misses)) != NULL;) {
        if (gone || item->deadline_us <= now) {
            order_done(engine, item);
            read_queue_push(&late, item);
        } else {
            read_queue_push(&rest, item);
        }
    }
    read_queue_prepend(&engine->misses, &rest);
    read_answer_stale(engine, &late);
    fill_start(engine);
}

void fill_drop_all(struct engine *engine)
{
    LIST_EACH(&engine->fills_active, at) {
        struct fill *fill = LIST_ENTRY(at, struct fill, link);
        if (list_is_linked(&fill->ensure.link)) {
            list_unlink(&fill->ensure.link);
        }
        refuse_all(fill);
    }
    order_release(engine);
    for (struct read_item *item; (item = read_queue_pop(&engine->misses)) != NULL;) {
        order_done(engine, item);
        read_finish(item, READ_UNAVAILABLE);
    }
}
