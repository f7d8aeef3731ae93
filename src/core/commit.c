/*
 * Group commit.
 *
 *   NONE -> POSTING           [post]          everything that waits in the lane, one transaction
 *   POSTING -> PUBLISHING     [posted]        committed; T7 makes its versions safe to show
 *   PUBLISHING -> NONE        [confirmed]     every item answered
 *   POSTING -> NONE           [back_to_queue] nothing was applied: it is tried again, or smaller
 *   POSTING -> ASKING_LOCKS   [posted]        rolled back, because somebody holds a lock
 *   ASKING_LOCKS -> NONE      [locks_known]   who touches it takes the detour next, the others go on
 *   POSTING -> IN_DOUBT       [posted]        the connection broke before the answer came, or the
 *                                             standby may not have it
 *   IN_DOUBT -> ASKING        [settle]        the link is up again
 *   ASKING -> IN_DOUBT        [settled]       and broke again
 *   ASKING -> PUBLISHING      [settled]       what it had refused is answered; the rest is sent again
 *
 * Group commit without a timer: while a commit is on the lane's link, mutations collect for the
 * next one; an idle engine sends a single mutation at once. The publish of one commit overlaps the
 * next commit. So N clients that wait for their answers come to take turns in two groups, and a
 * commit holds about N / 2. Waiting for all N would be no faster: measured, a commit costs the store
 * a third of a millisecond and each mutation in it a tenth of that, so that a full commit saves less
 * than what PostgreSQL would idle while the last one is published, answered and asked again. A second
 * link for every commit would help only where PostgreSQL has a core to spare, would take turns with
 * the first on a hot account, and would have to keep the order of each connection.
 *
 * A commit in doubt may have been done or not. Its mutations are sent again with the same keys, in
 * their order, and the unique key tells which had been done (invariant 2). But a key tells only of
 * what was done: a mutation that the store had refused would be judged again, after those that
 * came later in the same commit, and might then pass. So the store notes what a commit refuses
 * under the commit's number, and that is asked first; so it does with the expiries of holds, of
 * which no key tells. Nothing of the old connection is to come any more then: the link sees to it.
 *
 * A commit that the store rolled back is sent again in halves, until the mutation that is at fault
 * stands alone and is refused alone (fault row 8).
 */
#include "core/engine_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/random.h"

/* Accounts that one question for locks may name. */
#define LOCK_QUESTION_MAX LIMIT_BATCH_MAX

enum commit_stage {
    COMMIT_NONE,
    COMMIT_POSTING,
    COMMIT_ASKING_LOCKS,
    COMMIT_IN_DOUBT,
    COMMIT_ASKING,
    COMMIT_PUBLISHING
};

/* One transaction. Made once, with room for the largest batch, and used again and again. */
struct commit {
    struct list link; /* engine->commits_active or engine->commits_idle */
    struct engine *engine;
    struct lane *lane;
    enum commit_stage stage;
    int turn; /* trust_view_posting_begins() */
    struct ensure ensure;
    int64_t number; /* under which the store notes its refusals */
    int64_t sent_us;
    int64_t deadline_us; /* the earliest of its items */
    size_t count;
    size_t state_count;
    struct account_entry *states; /* to be published; grows to the largest reply */
    size_t state_room;
    struct write_item **items;
    struct store_posting **postings;
    const struct account_id **ids; /* of a question for locks; made at the first one */
};

void commit_create_all(struct engine *engine)
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

void commit_destroy_all(struct engine *engine)
{
    struct commit *commit;
    while ((commit = LIST_POP_FRONT(&engine->commits_idle, struct commit, link)) != NULL) {
        free(commit->states);
        free(commit->items);
        free(commit->postings);
        free(commit->ids);
        free(commit);
    }
}

/* --- its end ----------------------------------------------------------------------------------*/

static bool on_detour(const struct commit *commit)
{
    return commit->lane == &commit->engine->detour.lane;
}

static void free_lane(struct commit *commit)
{
    assert(commit->lane->commit == commit);
    commit->lane->commit = NULL;
}

/* Its items are decided: what comes later on the main lane cannot overtake them any more. */
static void items_decided(struct commit *commit)
{
    for (size_t i = 0; on_detour(commit) && i < commit->count; i++) {
        detour_left(&commit->engine->detour, commit->items[i]);
    }
}

static void commit_over(struct commit *commit)
{
    struct engine *engine = commit->engine;
    commit->stage = COMMIT_NONE;
    if (!engine->closing) { /* who ends with a commit unfinished is taken over (T12) */
        trust_view_posting_ends(engine->view, commit->turn);
    }
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
        write_answer(commit->engine, item);
        write_item_over(commit->engine, item);
    }
    commit_over(commit);
}

/* To the front of the queue, in order: the next commit begins with them. */
static void back_to_queue(struct commit *commit)
{
    struct write_queue *queue = &commit->lane->queue, before;
    write_queue_init(&before);
    for (size_t i = 0; i < commit->count; i++) {
        write_queue_push(&before, commit->items[i]);
    }
    write_queue_join(&before, queue);
    write_queue_join(queue, &before);
    free_lane(commit);
    commit_over(commit);
}

static void answer_commit(struct commit *commit, enum outcome outcome, const char *detail)
{
    items_decided(commit);
    free_lane(commit);
    for (size_t i = 0; i < commit->count; i++) {
        struct write_item *item = commit->items[i];
        bool doubtful = item->sent && outcome != OUTCOME_UNKNOWN;
        write_answer_as(commit->engine, item, doubtful ? OUTCOME_UNKNOWN : outcome, detail);
        write_item_over(commit->engine, item);
    }
    commit_over(commit);
}

/* The store rolled the commit back: a part of it may do better. */
static void send_smaller(struct commit *commit)
{
    commit->lane->batch_limit = commit->count > 1 ? (int)(commit->count / 2) : 1;
    back_to_queue(commit);
}

/* --- committed --------------------------------------------------------------------------------*/

static int by_account_then_newest(const void *a, const void *b)
{
    const struct account_entry *x = a, *y = b;
    int order = account_id_compare(&x->id, &y->id);
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

/* The results are there, and what they tell of. The lane is free for the next commit. */
static void publish(struct commit *commit, const struct store_posted *posted)
{
    items_decided(commit);
    free_lane(commit);
    commit->stage = COMMIT_PUBLISHING;
    keep_states(commit, posted);
    ensure_published(commit->engine, &commit->ensure, commit->states, commit->state_count,
                     confirmed);
}

static void count_commit(const struct commit *commit)
{
    struct metrics *metrics = commit->engine->metrics;
    metrics_add(&metrics->commits, 1);
    histogram_record(&metrics->batch_size, (int64_t)commit->count);
    histogram_record(&metrics->commit_latency, clock_boot_us() - commit->sent_us);
}

static void committed(struct commit *commit, const struct store_posted *posted)
{
    struct lane *lane = commit->lane;
    int limit = commit->engine->options.batch_max;
    count_commit(commit);
    commit->engine->refused_us = 0;
    lane->batch_limit = lane->batch_limit * 2 < limit ? lane->batch_limit * 2 : limit;
    lane->forget = 0;
    for (size_t i = 0; i < commit->count; i++) {
        const struct store_posting *posting = commit->postings[i];
        if (posting->result.outcome != OUTCOME_OK || posting->mutation.kind == MUTATION_EXPIRE) {
            lane->forget = commit->number;
        }
        if (on_detour(commit)) {
            detour_mark(&commit->engine->detour, commit->items[i], false);
        }
    }
    if (MUTANT(POSTDRAINED) && mutant_saw_drained) {
        items_decided(commit);
        free_lane(commit);
        confirmed(&commit->ensure);
        return;
    }
    publish(commit, posted);
}

/* --- somebody holds a lock --------------------------------------------------------------------*/

static bool is_about_a_lock(const struct store_error *error)
{
    return strcmp(error->sqlstate, "55P03") == 0     /* lock_not_available */
           || strcmp(error->sqlstate, "57014") == 0; /* query_canceled: statement_timeout */
}

static void locks_known(void *arg, enum store_status status, const struct store_error *error,
                        const struct store_accounts *reply)
{
    struct commit *commit = arg;
    struct engine *engine = commit->engine;
    (void)error;
    if (status != STORE_OK || reply->count == 0) {
        /* A lock on a key, or on the account of a transfer that is named by its id, or gone. */
        send_smaller(commit);
    } else {
        detour_mark_locked(&engine->detour, reply->entries, reply->count);
        back_to_queue(commit);
    }
    commit_advance(commit->lane);
}

/* The accounts that the commit's words name. */
static size_t collect_ids(struct commit *commit)
{
    size_t count = 0;
    if (commit->ids == NULL) {
        commit->ids = calloc(LOCK_QUESTION_MAX, sizeof *commit->ids);
        if (commit->ids == NULL) {
            abort();
        }
    }
    for (size_t i = 0; i < commit->count; i++) {
        count += detour_accounts(commit->items[i], commit->ids + count, LOCK_QUESTION_MAX - count);
    }
    return count;
}

static void wait_on_detour(struct commit *commit)
{
    struct lane *lane = commit->lane;
    bool alone = commit->count == 1;
    lane->pause_us = clock_boot_us() + RETRY_PAUSE_US;
    lane->batch_limit = 1;
    back_to_queue(commit);
    if (alone) {
        detour_rotate(&lane->engine->detour);
    }
}

static void ran_into_lock(struct commit *commit)
{
    struct engine *engine = commit->engine;
    struct lane *lane = commit->lane;
    if (on_detour(commit)) {
        wait_on_detour(commit);
    } else if (commit->count == 1) {
        detour_mark(&engine->detour, commit->items[0], true);
        detour_push(&engine->detour, commit->items[0]);
        commit->count = 0;
        back_to_queue(commit);
    } else if (store_link_ready(lane->link)) {
        size_t count = collect_ids(commit);
        commit->stage = COMMIT_ASKING_LOCKS;
        store_read_locked(lane->link, commit->ids, count, locks_known, commit);
    } else {
        send_smaller(commit);
    }
}

/* --- in doubt ---------------------------------------------------------------------------------*/

static void settled(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_posted *refused)
{
    struct commit *commit = arg;
    struct write_queue again;
    size_t kept = 0;
    if (status != STORE_OK) {
        log_warn("commit-in-doubt", "count=%zu error=%s", commit->count, LOG_VALUE(error->text));
        commit->stage = COMMIT_IN_DOUBT;
        commit->lane->pause_us = clock_boot_us() + RETRY_PAUSE_US;
        return;
    }
    write_queue_init(&again);
    for (size_t i = 0; i < commit->count; i++) {
        struct write_item *item = commit->items[i];
        if (item->posting.result.outcome == OUTCOME_UNKNOWN) {
            if (MUTANT(NEWKEY)) {
                item->posting.mutation.key[0] = 'n';
            }
            write_queue_push(&again, item);
        } else {
            commit->items[kept++] = item;
        }
    }
    commit->count = kept;
    write_queue_join(&again, &commit->lane->queue);
    write_queue_join(&commit->lane->queue, &again);
    commit->lane->forget = kept > 0 ? commit->number : 0;
    publish(commit, refused);
    commit_advance(commit->lane);
}

static void settle(struct commit *commit)
{
    commit->stage = COMMIT_ASKING;
    store_read_refusals(commit->lane->link, commit->postings, commit->count, commit->number,
                        settled, commit);
}

/* The result may be filled already, or about to be: it must not be touched. */
static void tell_unknown(struct commit *commit, struct write_item *item, const char *detail)
{
    struct write_item told = *item;
    item->answered = true;
    write_answer_as(commit->engine, &told, OUTCOME_UNKNOWN, detail);
}

static void put_in_doubt(struct commit *commit)
{
    metrics_add(&commit->engine->metrics->commits_in_doubt, 1);
    metrics_add(&commit->engine->metrics->mutations_resubmitted, commit->count);
    commit->stage = COMMIT_IN_DOUBT;
    for (size_t i = 0; i < commit->count; i++) {
        struct write_item *item = commit->items[i];
        if (!item->sent) {
            item->sent = true;
            item->turn = commit->turn;
            trust_view_posting_continues(commit->engine->view, item->turn);
        }
    }
}

/* --- posting ----------------------------------------------------------------------------------*/

/* The store rolled it back. */
static void failed(struct commit *commit, enum store_status status, const struct store_error *error)
{
    metrics_add(&commit->engine->metrics->commits_failed, 1);
    if (status == STORE_READONLY) {
        commit->engine->refused_us = clock_boot_us();
        snprintf(commit->engine->refusal, sizeof commit->engine->refusal, "%s", error->text);
        answer_commit(commit, OUTCOME_UNAVAILABLE, error->text);
    } else if (status == STORE_TRANSIENT && is_about_a_lock(error)) {
        ran_into_lock(commit);
    } else if (status == STORE_TRANSIENT) {
        commit->lane->pause_us = clock_boot_us() + RETRY_PAUSE_US;
        send_smaller(commit);
    } else if (commit->count > 1) {
        send_smaller(commit);
    } else {
        answer_commit(commit, OUTCOME_ERR, error->text);
    }
}

static void posted(void *arg, enum store_status status, const struct store_error *error,
                   const struct store_posted *reply)
{
    struct commit *commit = arg;
    struct lane *lane = commit->lane;
    switch (status) {
    case STORE_OK:
        committed(commit, reply);
        break;
    case STORE_UNSENT:
        back_to_queue(commit);
        break;
    case STORE_IN_DOUBT:
        if (MUTANT(DOUBTNO)) {
            answer_commit(commit, OUTCOME_UNAVAILABLE, "");
            break;
        }
        put_in_doubt(commit);
        break;
    case STORE_TRANSIENT:
    case STORE_READONLY:
    case STORE_REFUSED:
        failed(commit, status, error);
        break;
    case STORE_LOCAL_ONLY: /* fault row 5: a failover may forget it. Else it is to be published. */
        for (size_t i = 0; i < commit->count; i++) {
            if (!commit->items[i]->answered) {
                tell_unknown(
                    commit, commit->items[i],
                    "committed on the primary alone: synchronous replication was cancelled");
            }
        }
        put_in_doubt(commit);
        break;
    }
    commit_advance(lane);
}

static struct commit *commit_new(struct lane *lane)
{
    struct engine *engine = lane->engine;
    struct commit *commit = LIST_POP_FRONT(&engine->commits_idle, struct commit, link);
    if (commit != NULL) {
        commit->lane = lane;
        commit->count = commit->state_count = 0;
        commit->deadline_us = INT64_MAX;
        commit->ensure.again = false;
        commit->turn = trust_view_posting_begins(engine->view);
        list_push_back(&engine->commits_active, &commit->link);
    }
    return commit;
}

static bool has_of_stream(const struct commit *commit, const struct write_item *item)
{
    for (size_t i = 0; i < commit->count; i++) {
        if (detour_one_stream(commit->items[i], item)) {
            return true;
        }
    }
    return false;
}

/* What has to go round a lock leaves the main lane here, where what its stream had sent before is
 * decided; but for what this commit has of it, which ends before it then. */
static void take_items(struct commit *commit)
{
    struct lane *lane = commit->lane;
    struct detour *detour = &commit->engine->detour;
    struct write_item *item;
    while (commit->count < (size_t)lane->batch_limit && (item = lane->queue.first) != NULL) {
        bool diverted = !on_detour(commit) && detour_takes(detour, item);
        if (diverted && has_of_stream(commit, item)) {
            break;
        }
        item = write_queue_pop(&lane->queue);
        if (diverted) {
            detour_push(detour, item);
            continue;
        }
        commit->items[commit->count] = item;
        commit->postings[commit->count++] = &item->posting;
        if (!item->answered && commit->deadline_us > item->deadline_us) {
            commit->deadline_us = item->deadline_us;
        }
    }
}

static void post(struct lane *lane)
{
    struct commit *commit = commit_new(lane);
    if (commit == NULL) {
        return; /* COMMITS_MAX wait for their publish: the first that is confirmed asks again */
    }
    take_items(commit);
    if (commit->count == 0) {
        commit_over(commit);
        return;
    }
    lane->commit = commit;
    commit->stage = COMMIT_POSTING;
    commit->number = (int64_t)random_uint64();
    commit->sent_us = clock_boot_us();
    store_post(lane->link, commit->postings, commit->count, commit->number, lane->forget, posted,
               commit);
}

void commit_advance(struct lane *lane)
{
    if (lane->engine->closing || !store_link_ready(lane->link) ||
        clock_boot_us() < lane->pause_us) {
        return;
    }
    if (lane->commit == NULL && lane->queue.first != NULL) {
        post(lane);
    } else if (lane->commit != NULL && lane->commit->stage == COMMIT_IN_DOUBT) {
        settle(lane->commit);
    }
}

/* --- deadlines, and the end -------------------------------------------------------------------*/

static void expire(struct commit *commit, int64_t now)
{
    commit->deadline_us = INT64_MAX;
    for (size_t i = 0; i < commit->count; i++) {
        struct write_item *item = commit->items[i];
        if (item->answered) {
            continue;
        }
        if (item->deadline_us <= now) {
            metrics_add(&commit->engine->metrics->deadlines_mutation, 1);
            tell_unknown(commit, item, "the deadline passed while the commit was in doubt");
        } else if (commit->deadline_us > item->deadline_us) {
            commit->deadline_us = item->deadline_us;
        }
    }
}

void commit_tick(struct engine *engine, int64_t now)
{
    LIST_EACH(&engine->commits_active, at) {
        struct commit *commit = LIST_ENTRY(at, struct commit, link);
        if (commit->deadline_us <= now) {
            expire(commit, now);
        }
    }
}

void commit_drop_all(struct engine *engine)
{
    LIST_EACH(&engine->commits_active, at) {
        struct commit *commit = LIST_ENTRY(at, struct commit, link);
        if (list_is_linked(&commit->ensure.link)) {
            list_unlink(&commit->ensure.link);
        }
        for (size_t i = 0; i < commit->count; i++) {
            write_answer_as(engine, commit->items[i], OUTCOME_UNKNOWN, "the daemon is stopping");
            write_item_over(engine, commit->items[i]);
        }
        commit_over(commit);
    }
}

void commit_status(const struct engine *engine, struct engine_status *status, int64_t now)
{
    LIST_EACH(&engine->commits_active, at) {
        const struct commit *commit = LIST_ENTRY(at, struct commit, link);
        bool in_doubt = commit->stage == COMMIT_IN_DOUBT || commit->stage == COMMIT_ASKING;
        status->writes_in_flight += !in_doubt;
        for (size_t i = 0; in_doubt && i < commit->count; i++) {
            engine_count_doubt(status, now - commit->items[i]->received_us);
        }
    }
}
