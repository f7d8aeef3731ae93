/*
 * The journey of a mutation.
 *
 *   engine_write -> queue -> one commit of everything that waited -> store: one statement,
 *                                                                    one transaction
 *        each item's outcome <- confirmed (T7 a or c) <- published in one script <-+
 *
 * Here: the items, their two queues (the main lane's and the detour's, core/detour.c) and their
 * deadlines. The commit is told in core/commit.c.
 */
#include "core/engine_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"

static void lane_init(struct lane *lane, struct engine *engine, int batch_limit)
{
    lane->engine = engine;
    lane->batch_limit = batch_limit;
    write_queue_init(&lane->queue);
}

void write_create(struct engine *engine)
{
    lane_init(&engine->main, engine, engine->options.batch_max);
    lane_init(&engine->detour.lane, engine, 1);
    commit_create_all(engine);
}

/* --- one item ---------------------------------------------------------------------------------*/

static void count_outcome(struct metrics *metrics, const struct mutation_result *result)
{
    switch (result->outcome) {
    case OUTCOME_OK:
        metrics_add(result->duplicate ? &metrics->mutations_duplicate : &metrics->mutations_ok, 1);
        break;
    case OUTCOME_UNKNOWN:
        metrics_add(&metrics->mutations_unknown, 1);
        break;
    case OUTCOME_UNAVAILABLE:
        metrics_add(&metrics->mutations_unavailable, 1);
        break;
    case OUTCOME_BUSY:
        metrics_add(&metrics->mutations_busy, 1);
        break;
    default:
        metrics_add(&metrics->mutations_refused, 1);
    }
}

void write_answer(struct engine *engine, struct write_item *item)
{
    if (!item->answered) {
        item->answered = true;
        count_outcome(engine->metrics, &item->posting.result);
        item->done(item);
    }
}

void write_answer_as(struct engine *engine, struct write_item *item, enum outcome outcome,
                     const char *detail)
{
    if (!item->answered) {
        struct mutation_result *result = &item->posting.result;
        memset(result, 0, sizeof *result);
        result->outcome = outcome;
        snprintf(result->detail, sizeof result->detail, "%s", detail);
        write_answer(engine, item);
    }
}

void write_item_over(struct engine *engine, struct write_item *item)
{
    engine->queued--;
    if (item->sent && !engine->closing) {
        trust_view_posting_ends(engine->view, item->turn);
    }
    engine_write_discard(engine, item);
}

struct write_item *engine_write_new(struct engine *engine)
{
    if (engine->closing) {
        return NULL;
    }
    struct write_item *item = pool_take(engine->items);
    if (item == NULL) {
        metrics_add(&engine->metrics->busy_queue, 1);
    }
    return item;
}

void engine_write_discard(struct engine *engine, struct write_item *item)
{
    mutation_clear(&item->posting.mutation);
    pool_give(engine->items, item);
}

/* A reload may shorten what later requests get, and a session may count from an earlier moment. */
static void note_deadline(struct lane *lane, int64_t deadline_us)
{
    if (deadline_us < lane->latest_us) {
        lane->unordered_us = lane->latest_us;
    } else {
        lane->latest_us = deadline_us;
    }
}

void engine_write(struct engine *engine, struct write_item *item)
{
    assert(item->done != NULL && mutation_check(&item->posting.mutation) == NULL);
    engine->queued++;
    metrics_set(&engine->metrics->mutation_queue, (int64_t)engine->queued);
    note_deadline(&engine->main, item->deadline_us);
    write_queue_push(&engine->main.queue, item);
    engine_ask_flush(engine);
}

/* --- leaving the queue unsent -----------------------------------------------------------------*/

static void remove_from(struct lane *lane, struct write_item **place)
{
    struct write_item *item = *place;
    *place = item->next;
    lane->queue.count--;
    if (*place == NULL) {
        lane->queue.end = place;
    }
    if (lane == &lane->engine->detour.lane) {
        detour_left(&lane->engine->detour, item);
    }
}

/* What has never been sent may be refused; what is in doubt has to be resolved all the same. */
static void refuse_unsent(struct lane *lane)
{
    struct write_item **place = &lane->queue.first;
    while (*place != NULL) {
        struct write_item *item = *place;
        if (item->sent) {
            place = &item->next;
            continue;
        }
        remove_from(lane, place);
        write_answer_as(lane->engine, item, OUTCOME_UNAVAILABLE,
                        "this daemon is cut off from Redis and stands aside for the others");
        write_item_over(lane->engine, item);
    }
}

/* It has not been sent: nothing was applied. */
static void answer_unsent(struct lane *lane, struct write_item *item)
{
    const char *why = store_link_why(lane->link);
    bool is_detour = lane == &lane->engine->detour.lane;
    char detail[MUTATION_DETAIL_MAX];

    if (why[0] != '\0') {
        snprintf(detail, sizeof detail, "the store is away: %s", why);
    } else {
        snprintf(detail, sizeof detail, "%s",
                 is_detour ? "somebody holds the lock of an account in the store" : "");
    }
    write_answer_as(lane->engine, item, OUTCOME_UNAVAILABLE, detail);
}

/* On the main lane deadlines stand in order most of the time, but for what came back in doubt. */
static void expire_queue(struct lane *lane, int64_t now)
{
    bool in_order = lane == &lane->engine->main && now >= lane->unordered_us;
    struct write_item **place = &lane->queue.first;
    while (*place != NULL) {
        struct write_item *item = *place;
        if (item->deadline_us > now && !item->sent && in_order) {
            break;
        }
        if (item->deadline_us <= now && !item->sent) {
            remove_from(lane, place);
            metrics_add(&lane->engine->metrics->deadlines_mutation, !item->answered);
            answer_unsent(lane, item);
            write_item_over(lane->engine, item);
            continue;
        }
        if (item->deadline_us <= now) {
            write_answer_as(lane->engine, item, OUTCOME_UNKNOWN,
                            "the deadline passed while the commit was in doubt");
        }
        place = &item->next;
    }
}

/* --- what the engine calls --------------------------------------------------------------------*/

void write_advance(struct engine *engine)
{
    if (trust_view_is_aside(engine->view)) {
        refuse_unsent(&engine->main);
        refuse_unsent(&engine->detour.lane);
    }
    commit_advance(&engine->main);
    commit_advance(&engine->detour.lane);
}

void write_tick(struct engine *engine, int64_t now)
{
    commit_tick(engine, now);
    expire_queue(&engine->main, now);
    expire_queue(&engine->detour.lane, now);
    write_advance(engine);
}

static void drop_queue(struct lane *lane)
{
    struct write_item *item;
    while ((item = write_queue_pop(&lane->queue)) != NULL) {
        write_answer_as(lane->engine, item, item->sent ? OUTCOME_UNKNOWN : OUTCOME_UNAVAILABLE,
                        "the daemon is stopping");
        write_item_over(lane->engine, item);
    }
}

void write_drop_all(struct engine *engine)
{
    commit_drop_all(engine);
    drop_queue(&engine->main);
    drop_queue(&engine->detour.lane);
}

static void add_doubts(const struct lane *lane, struct engine_status *status, int64_t now)
{
    for (const struct write_item *item = lane->queue.first; item != NULL; item = item->next) {
        if (item->sent) {
            engine_count_doubt(status, now - item->received_us);
        }
    }
}

void write_status(const struct engine *engine, struct engine_status *status, int64_t now)
{
    add_doubts(&engine->main, status, now);
    add_doubts(&engine->detour.lane, status, now);
}
