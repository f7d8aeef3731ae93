/*
 * The journey of a mutation.
 *
 *   engine_write -> queue -> one commit of everything that waited -> store: one statement,
 *                                                                    one transaction
 *        each item's outcome <- confirmed (T7 a or c) <- published in one script <-+
 *
 * Group commit without a timer: while a commit is on the writer's link, mutations collect for the
 * next one; an idle engine sends a single mutation at once. The publish of one commit overlaps the
 * next commit.
 *
 * A commit whose connection broke is in doubt: its mutations go back to the front of the queue, in
 * order, and are sent again with the same keys; the unique key tells whether they had been done
 * (invariant 2). A commit that the store rolled back is sent again in halves, until the mutation
 * that is at fault stands alone and is refused alone (fault row 8). Either way nothing that came
 * later overtakes: one link, one order.
 */
#include "core/engine_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/mutant.h"

/* One transaction. Made once, with room for the largest batch, and used again and again. */
struct commit {
    struct list link; /* engine->commits_active or engine->commits_idle */
    struct engine *engine;
    struct ensure ensure;
    int64_t sent_us;
    int64_t deadline_us; /* the earliest of its items */
    size_t count;
    size_t state_count;
    struct account_entry *states; /* to be published; grows to the largest reply */
    size_t state_room;
    struct write_item **items;
    struct store_posting **postings;
};

void write_create(struct engine *engine)
{
    size_t room = (size_t)engine->options.batch_max;
    list_init(&engine->commits_active);
    list_init(&engine->commits_idle);
    for (int i = 0; i < COMMITS_MAX; i++) {
        struct commit *commit = calloc(1, sizeof *commit);
        if (commit == NULL || (commit->items = calloc(room, sizeof *commit->items)) == NULL ||
            (commit->postings = calloc(room, sizeof *commit->postings)) == NULL) {
            abort();
        }
        commit->engine = engine;
        list_init(&commit->link);
        list_init(&commit->ensure.link);
        list_push_back(&engine->commits_idle, &commit->link);
    }
}

void write_destroy(struct engine *engine)
{
    struct commit *commit;
    while ((commit = LIST_POP_FRONT(&engine->commits_idle, struct commit, link)) != NULL) {
        free(commit->states);
        free(commit->items);
        free(commit->postings);
        free(commit);
    }
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

/* Tells the client, once. The item stays: it may have to be resolved yet. */
static void answer(struct engine *engine, struct write_item *item)
{
    if (!item->answered) {
        item->answered = true;
        count_outcome(engine->metrics, &item->posting.result);
        item->done(item);
    }
}

static void answer_as(struct engine *engine, struct write_item *item, enum outcome outcome,
                      const char *detail)
{
    if (!item->answered) {
        struct mutation_result *result = &item->posting.result;
        memset(result, 0, sizeof *result);
        result->outcome = outcome;
        snprintf(result->detail, sizeof result->detail, "%s", detail);
        answer(engine, item);
    }
}

static void item_over(struct engine *engine, struct write_item *item)
{
    engine->queued--;
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

void engine_write(struct engine *engine, struct write_item *item)
{
    assert(item->done != NULL && mutation_check(&item->posting.mutation) == NULL);
    item->next = NULL;
    *engine->queue_end = item;
    engine->queue_end = &item->next;
    engine->queued++;
    metrics_set(&engine->metrics->mutation_queue, (int64_t)engine->queued);
    engine_ask_flush(engine);
}

/* --- one commit -------------------------------------------------------------------------------*/

static void commit_over(struct commit *commit)
{
    struct engine *engine = commit->engine;
    list_unlink(&commit->link);
    list_push_front(&engine->commits_idle, &commit->link);
    metrics_set(&engine->metrics->mutation_queue, (int64_t)engine->queued);
    engine_ask_flush(engine);
}

static void confirmed(struct ensure *ensure)
{
    struct commit *commit = LIST_ENTRY(ensure, struct commit, ensure);
    for (size_t i = 0; i < commit->count; i++) {
        struct write_item *item = commit->items[i];
        answer(commit->engine, item);
        item_over(commit->engine, item);
    }
    commit_over(commit);
}

static int by_account_then_newest(const void *a, const void *b)
{
    const struct account_entry *x = a, *y = b;
    size_t common = x->id.len < y->id.len ? x->id.len : y->id.len;
    int order = memcmp(x->id.bytes, y->id.bytes, common);
    if (order == 0) {
        order = (int)x->id.len - (int)y->id.len;
    }
    if (order == 0) {
        order = x->state.version < y->state.version   ? 1
                : x->state.version > y->state.version ? -1
                                                      : 0;
    }
    return order;
}

/* The newest state of each account is what gets published. */
static void keep_states(struct commit *commit, const struct store_posted *posted)
{
    if (posted->count == 0) {
        return;
    }
    if (commit->state_room < posted->count) {
        commit->state_room = 2 * posted->count;
        free(commit->states);
        commit->states = malloc(commit->state_room * sizeof *commit->states);
        if (commit->states == NULL) {
            abort();
        }
    }
    memcpy(commit->states, posted->states, posted->count * sizeof *commit->states);
    qsort(commit->states, posted->count, sizeof *commit->states, by_account_then_newest);
    size_t kept = 0;
    for (size_t i = 0; i < posted->count; i++) {
        if (kept == 0 || !account_id_equal(&commit->states[kept - 1].id, &commit->states[i].id)) {
            commit->states[kept++] = commit->states[i];
        }
    }
    commit->state_count = kept;
}

/* Back to the front of the queue, in order: the next commit begins with them. */
static void back_to_queue(struct commit *commit, bool may_be_applied)
{
    struct engine *engine = commit->engine;
    for (size_t i = commit->count; i-- > 0;) {
        struct write_item *item = commit->items[i];
        item->sent |= may_be_applied;
        if (MUTANT(NEWKEY) && may_be_applied) {
            item->posting.mutation.key[0] = 'n';
        }
        item->next = engine->queue_first;
        if (engine->queue_first == NULL) {
            engine->queue_end = &item->next;
        }
        engine->queue_first = item;
    }
    commit_over(commit);
}

static void answer_commit(struct commit *commit, enum outcome outcome, const char *detail)
{
    for (size_t i = 0; i < commit->count; i++) {
        struct write_item *item = commit->items[i];
        bool doubtful = item->sent && outcome != OUTCOME_UNKNOWN;
        answer_as(commit->engine, item, doubtful ? OUTCOME_UNKNOWN : outcome, detail);
        item_over(commit->engine, item);
    }
    commit_over(commit);
}

/* The store rolled the commit back: a part of it may do better. */
static void send_smaller(struct commit *commit)
{
    struct engine *engine = commit->engine;
    engine->batch_limit = commit->count > 1 ? (int)(commit->count / 2) : 1;
    back_to_queue(commit, false);
}

static void posted(void *arg, enum store_status status, const struct store_error *error,
                   const struct store_posted *reply)
{
    struct commit *commit = arg;
    struct engine *engine = commit->engine;
    struct metrics *metrics = engine->metrics;
    int64_t now = clock_boot_us();
    engine->writing = false;
    switch (status) {
    case STORE_OK:
        metrics_add(&metrics->commits, 1);
        histogram_record(&metrics->batch_size, (int64_t)commit->count);
        histogram_record(&metrics->commit_latency, now - commit->sent_us);
        if (engine->batch_limit < engine->options.batch_max) {
            engine->batch_limit = engine->batch_limit * 2 < engine->options.batch_max
                                      ? engine->batch_limit * 2
                                      : engine->options.batch_max;
        }
        keep_states(commit, reply);
        if (MUTANT(POSTDRAINED) && mutant_saw_drained) {
            confirmed(&commit->ensure);
            break;
        }
        ensure_published(engine, &commit->ensure, commit->states, commit->state_count, confirmed);
        break;
    case STORE_UNSENT:
        back_to_queue(commit, false);
        break;
    case STORE_IN_DOUBT:
        metrics_add(&metrics->commits_in_doubt, 1);
        metrics_add(&metrics->mutations_resubmitted, commit->count);
        if (MUTANT(DOUBTNO)) {
            answer_commit(commit, OUTCOME_UNAVAILABLE, "");
            break;
        }
        back_to_queue(commit, true);
        break;
    case STORE_TRANSIENT:
        metrics_add(&metrics->commits_failed, 1);
        engine->write_pause_us = now + RETRY_PAUSE_US;
        send_smaller(commit);
        break;
    case STORE_READONLY:
        metrics_add(&metrics->commits_failed, 1);
        answer_commit(commit, OUTCOME_UNAVAILABLE, error->text);
        break;
    case STORE_REFUSED:
        metrics_add(&metrics->commits_failed, 1);
        if (commit->count > 1) {
            send_smaller(commit);
        } else {
            answer_commit(commit, OUTCOME_ERR, error->text);
        }
        break;
    case STORE_LOCAL_ONLY: /* fault row 5: a failover may forget it */
        metrics_add(&metrics->commits_in_doubt, 1);
        answer_commit(commit, OUTCOME_UNKNOWN,
                      "committed on the primary alone: synchronous replication was cancelled");
        break;
    }
    write_advance(engine);
}

static struct commit *commit_new(struct engine *engine)
{
    struct commit *commit = LIST_POP_FRONT(&engine->commits_idle, struct commit, link);
    if (commit != NULL) {
        commit->count = commit->state_count = 0;
        commit->deadline_us = INT64_MAX;
        commit->ensure.again = false;
        list_push_back(&engine->commits_active, &commit->link);
    }
    return commit;
}

/* What has never been sent may be refused; what is in doubt has to be resolved all the same. */
static void refuse_unsent(struct engine *engine)
{
    struct write_item **place = &engine->queue_first;
    while (*place != NULL) {
        struct write_item *item = *place;
        if (item->sent) {
            place = &item->next;
            continue;
        }
        *place = item->next;
        answer_as(engine, item, OUTCOME_UNAVAILABLE,
                  "this daemon is cut off from Redis and stands aside for the others");
        item_over(engine, item);
    }
    engine->queue_end = place;
}

void write_advance(struct engine *engine)
{
    if (trust_view_is_aside(engine->view)) {
        refuse_unsent(engine);
    }
    if (engine->closing || engine->writing || engine->queue_first == NULL ||
        !store_link_ready(engine->writer) || clock_boot_us() < engine->write_pause_us) {
        return;
    }
    size_t room = (size_t)engine->batch_limit;
    struct commit *commit = commit_new(engine);
    if (commit == NULL) {
        return; /* COMMITS_MAX wait for their publish: the first that is confirmed asks again */
    }
    while (engine->queue_first != NULL && commit->count < room) {
        struct write_item *item = engine->queue_first;
        engine->queue_first = item->next;
        commit->items[commit->count] = item;
        commit->postings[commit->count++] = &item->posting;
        if (!item->answered && commit->deadline_us > item->deadline_us) {
            commit->deadline_us = item->deadline_us;
        }
    }
    if (engine->queue_first == NULL) {
        engine->queue_end = &engine->queue_first;
    }
    engine->writing = true;
    commit->sent_us = clock_boot_us();
    store_post(engine->writer, commit->postings, commit->count, posted, commit);
}

/* --- deadlines --------------------------------------------------------------------------------*/

static void expire_commit(struct commit *commit, int64_t now)
{
    commit->deadline_us = INT64_MAX;
    for (size_t i = 0; i < commit->count; i++) {
        struct write_item *item = commit->items[i];
        if (item->answered) {
            continue;
        }
        if (item->deadline_us <= now) {
            metrics_add(&commit->engine->metrics->deadlines_mutation, 1);
            item->answered = true; /* the result may be filled already: it must not be touched */
            struct write_item told = *item;
            memset(&told.posting.result, 0, sizeof told.posting.result);
            told.posting.result.outcome = OUTCOME_UNKNOWN;
            snprintf(told.posting.result.detail, sizeof told.posting.result.detail, "%s",
                     "the deadline passed while the commit was in doubt");
            count_outcome(commit->engine->metrics, &told.posting.result);
            told.done(&told);
        } else if (commit->deadline_us > item->deadline_us) {
            commit->deadline_us = item->deadline_us;
        }
    }
}

/* It has not been sent: nothing was applied. */
static void answer_unsent(struct engine *engine, struct write_item *item)
{
    const char *why = store_link_why(engine->writer);
    char detail[MUTATION_DETAIL_MAX];

    snprintf(detail, sizeof detail, why[0] != '\0' ? "the store is away: %s" : "%s", why);
    answer_as(engine, item, OUTCOME_UNAVAILABLE, detail);
}

void write_tick(struct engine *engine, int64_t now)
{
    LIST_EACH(&engine->commits_active, at) {
        struct commit *commit = LIST_ENTRY(at, struct commit, link);
        if (commit->deadline_us <= now) {
            expire_commit(commit, now);
        }
    }
    /* In the queue deadlines stand in order, but for mutations that came back in doubt. */
    struct write_item **place = &engine->queue_first;
    while (*place != NULL) {
        struct write_item *item = *place;
        if (item->deadline_us > now && !item->sent) {
            break;
        }
        if (item->deadline_us <= now && !item->sent) {
            *place = item->next;
            metrics_add(&engine->metrics->deadlines_mutation, 1);
            answer_unsent(engine, item);
            item_over(engine, item);
            continue;
        }
        if (item->deadline_us <= now) {
            answer_as(engine, item, OUTCOME_UNKNOWN,
                      "the deadline passed while the commit was in doubt");
        }
        place = &item->next;
    }
    if (engine->queue_first == NULL) {
        engine->queue_end = &engine->queue_first;
    } else if (*place == NULL) {
        engine->queue_end = place;
    }
    write_advance(engine);
}

void write_drop_all(struct engine *engine)
{
    LIST_EACH(&engine->commits_active, at) {
        struct commit *commit = LIST_ENTRY(at, struct commit, link);
        if (list_is_linked(&commit->ensure.link)) {
            list_unlink(&commit->ensure.link);
        }
        answer_commit(commit, OUTCOME_UNKNOWN, "the daemon is stopping");
    }
    while (engine->queue_first != NULL) {
        struct write_item *item = engine->queue_first;
        engine->queue_first = item->next;
        answer_as(engine, item, item->sent ? OUTCOME_UNKNOWN : OUTCOME_UNAVAILABLE,
                  "the daemon is stopping");
        item_over(engine, item);
    }
    engine->queue_end = &engine->queue_first;
}
