/*
 * Queries: what only the store can answer (history, a balance at a time, system accounts). They
 * share the reading links with fills, in turns. A reply that bears a version leaves only after
 * ENSURE, like any other (T7): the account's present row, read by the same statement, is published.
 */
#include "core/engine_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/mutant.h"

/* One query under way. It outlives its item where the item's deadline passes first. */
struct query {
    struct list link; /* engine->queries_active */
    struct engine *engine;
    struct query_item *item;   /* NULL: answered at its deadline */
    struct account_id account; /* the store's copy: the item may be gone */
    char time[QUERY_TIME_MAX];
    char name[ACCOUNT_ID_MAX + 1]; /* of the account, as a text */
    const char *param;             /* it, or NULL */
    struct ensure ensure;
    struct account_entry present;
};

size_t query_size(void)
{
    return sizeof(struct query);
}

static void finish(struct query_item *item, enum outcome outcome, const char *detail)
{
    item->outcome = outcome;
    snprintf(item->detail, sizeof item->detail, "%s", detail);
    void *memory = item->memory;
    item->done(item); /* the item is the submitter's again, its rows are ours to free */
    free(memory);
}

static void query_over(struct query *query, enum outcome outcome, const char *detail)
{
    struct engine *engine = query->engine;
    struct query_item *item = query->item;
    list_unlink(&query->link);
    pool_give(engine->queries, query);
    if (item != NULL) {
        finish(item, outcome, detail);
    }
    engine_ask_flush(engine);
}

void engine_query(struct engine *engine, struct query_item *item)
{
    item->next = NULL;
    item->memory = NULL;
    item->rows = 0;
    item->outcome = OUTCOME_OK;
    *engine->query_end = item;
    engine->query_end = &item->next;
    engine->queries_queued++;
    engine_ask_flush(engine);
}

/* --- replies of the store ---------------------------------------------------------------------*/

/* Rows and their texts are copied behind one another into one block: the reply ends with the
 * callback, and ENSURE may take longer. */
struct copier {
    char *at;
};

static const char *copy_text(struct copier *copier, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = memcpy(copier->at, text, size);
    copier->at += size;
    return copy;
}

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static void *block(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void copy_history(struct query_item *item, const struct store_history *reply)
{
    size_t size = reply->count * sizeof *reply->rows;
    for (size_t i = 0; i < reply->count; i++) {
        const struct store_history_row *row = &reply->rows[i];
        size += text_size(row->counterparty) + text_size(row->kind) + text_size(row->key) +
                text_size(row->memo) + text_size(row->at);
    }
    item->memory = item->history = block(size);
    struct copier copier = {(char *)(item->history + reply->count)};
    for (size_t i = 0; i < reply->count; i++) {
        const struct store_history_row *from = &reply->rows[i];
        struct store_history_row *to = &item->history[i];
        *to = *from;
        to->counterparty = copy_text(&copier, from->counterparty);
        to->kind = copy_text(&copier, from->kind);
        to->key = copy_text(&copier, from->key);
        to->memo = copy_text(&copier, from->memo);
        to->at = copy_text(&copier, from->at);
    }
    item->rows = reply->count;
}

static void copy_system(struct query_item *item, const struct store_system_balance *rows,
                        size_t count)
{
    size_t size = count * sizeof *rows;
    for (size_t i = 0; i < count; i++) {
        size += text_size(rows[i].asset) + text_size(rows[i].balance);
    }
    item->memory = item->system_balances = block(size);
    struct copier copier = {(char *)(item->system_balances + count)};
    for (size_t i = 0; i < count; i++) {
        item->system_balances[i].asset = copy_text(&copier, rows[i].asset);
        item->system_balances[i].balance = copy_text(&copier, rows[i].balance);
    }
    item->rows = count;
}

static void copy_cells(struct query_item *item, const struct store_rows *rows)
{
    size_t cells = rows->rows * rows->columns;
    size_t size = cells * sizeof *item->cells;
    for (size_t i = 0; i < cells; i++) {
        size += text_size(rows->value(rows, i / rows->columns, i % rows->columns));
    }
    item->memory = item->cells = block(size);
    struct copier copier = {(char *)(item->cells + cells)};
    for (size_t i = 0; i < cells; i++) {
        item->cells[i] =
            copy_text(&copier, rows->value(rows, i / rows->columns, i % rows->columns));
    }
    item->rows = rows->rows;
    item->columns = rows->columns;
}

static void shown(struct ensure *ensure)
{
    struct query *query = LIST_ENTRY(ensure, struct query, ensure);
    query_over(query, OUTCOME_OK, "");
}

/* Back to the end of the queue: the store could not answer this time. */
static void again(struct query *query)
{
    struct engine *engine = query->engine;
    struct query_item *item = query->item;
    query->item = NULL;
    engine_read_failed(engine);
    query_over(query, OUTCOME_OK, "");
    if (item != NULL) {
        engine_query(engine, item);
    }
}

/* True where the reply is one to go on with. */
static bool replied(struct query *query, enum store_status status, const struct store_error *error)
{
    if (status == STORE_OK) {
        breaker_passed(&query->engine->breaker);
        return true;
    }
    if (status == STORE_REFUSED) {
        breaker_passed(&query->engine->breaker);
        query_over(query, OUTCOME_ERR, error->text);
    } else {
        again(query);
    }
    return false;
}

static void ensure_present(struct query *query, const struct store_era_seen *era,
                           const struct account_entry *present)
{
    if (present->state.version == 0) {
        query_over(query, OUTCOME_NOACCOUNT, "");
    } else if (era->state == ERA_DRAINED || MUTANT(QUERYSHOW)) {
        query_over(query, OUTCOME_OK, ""); /* T7 b */
    } else {
        query->present = *present;
        ensure_published(query->engine, &query->ensure, &query->present, 1, shown);
    }
}

static void history_read(void *arg, enum store_status status, const struct store_error *error,
                         const struct store_history *reply)
{
    struct query *query = arg;
    struct engine *engine = query->engine;
    if (replied(query, status, error)) {
        if (query->item != NULL) {
            copy_history(query->item, reply);
        }
        ensure_present(query, &reply->era, &reply->present);
    }
    engine_feed_readers(engine);
}

static void balance_at_read(void *arg, enum store_status status, const struct store_error *error,
                            const struct store_balance_at *reply)
{
    struct query *query = arg;
    struct engine *engine = query->engine;
    if (replied(query, status, error)) {
        if (query->item != NULL) {
            query->item->balance = reply->balance;
            query->item->version = reply->version;
        }
        ensure_present(query, &reply->era, &reply->present);
    }
    engine_feed_readers(engine);
}

/* A system account has no version that a cache could contradict: no ENSURE. */
static void system_read(void *arg, enum store_status status, const struct store_error *error,
                        const struct store_system_balance *rows, size_t count)
{
    struct query *query = arg;
    struct engine *engine = query->engine;
    if (replied(query, status, error)) {
        if (query->item != NULL) {
            copy_system(query->item, rows, count);
        }
        query_over(query, OUTCOME_OK, "");
    }
    engine_feed_readers(engine);
}

/* Neither have lists. */
static void list_read(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_rows *rows)
{
    struct query *query = arg;
    struct engine *engine = query->engine;
    if (replied(query, status, error)) {
        if (query->item != NULL) {
            copy_cells(query->item, rows);
        }
        query_over(query, OUTCOME_OK, "");
    }
    engine_feed_readers(engine);
}

/* --- scheduling -------------------------------------------------------------------------------*/

bool query_feed(struct engine *engine, struct store_link *link)
{
    struct query_item *item = engine->query_first;
    if (item == NULL || trust_view_is_aside(engine->view)) {
        return false;
    }
    struct query *query = pool_take(engine->queries);
    if (query == NULL) {
        return false;
    }
    engine->query_first = item->next;
    if (engine->query_first == NULL) {
        engine->query_end = &engine->query_first;
    }
    engine->queries_queued--;
    query->engine = engine;
    query->item = item;
    query->account = item->account;
    memcpy(query->time, item->time, sizeof query->time);
    list_init(&query->link);
    list_init(&query->ensure.link);
    list_push_back(&engine->queries_active, &query->link);
    breaker_sent(&engine->breaker);
    switch (item->kind) {
    case QUERY_HISTORY:
        store_read_history(link, &query->account, item->before, item->count, history_read, query);
        break;
    case QUERY_BALANCE_AT:
        store_read_balance_at(link, &query->account, query->time, balance_at_read, query);
        break;
    case QUERY_SYSTEM_BALANCE:
        store_read_system(link, &query->account, system_read, query);
        break;
    case QUERY_CHARGES:
    case QUERY_WATCH:
        memcpy(query->name, query->account.bytes, query->account.len);
        query->name[query->account.len] = '\0';
        query->param = query->account.len > 0 ? query->name : NULL;
        store_read_list(link, item->kind == QUERY_CHARGES ? STORE_LIST_CHARGES : STORE_LIST_WATCH,
                        &query->param, list_read, query);
        break;
    }
    return true;
}

void query_tick(struct engine *engine, int64_t now)
{
    LIST_EACH(&engine->queries_active, at) {
        struct query *query = LIST_ENTRY(at, struct query, link);
        if (query->item != NULL && query->item->deadline_us <= now) {
            struct query_item *item = query->item;
            query->item = NULL;
            metrics_add(&engine->metrics->deadlines_read, 1);
            finish(item, OUTCOME_UNAVAILABLE, "the store did not answer in time");
        }
    }
    bool gone = engine_store_is_gone(engine, now);
    struct query_item *item = engine->query_first;
    engine->query_first = NULL;
    engine->query_end = &engine->query_first;
    for (struct query_item *next; item != NULL; item = next) {
        next = item->next;
        if (gone || item->deadline_us <= now) {
            engine->queries_queued--;
            finish(item, OUTCOME_UNAVAILABLE, "the store cannot be asked now");
        } else {
            item->next = NULL;
            *engine->query_end = item;
            engine->query_end = &item->next;
        }
    }
}

void query_drop_all(struct engine *engine)
{
    LIST_EACH(&engine->queries_active, at) {
        struct query *query = LIST_ENTRY(at, struct query, link);
        if (list_is_linked(&query->ensure.link)) {
            list_unlink(&query->ensure.link);
        }
        query_over(query, OUTCOME_UNAVAILABLE, "the daemon is stopping");
    }
    while (engine->query_first != NULL) {
        struct query_item *item = engine->query_first;
        engine->query_first = item->next;
        engine->queries_queued--;
        finish(item, OUTCOME_UNAVAILABLE, "the daemon is stopping");
    }
    engine->query_end = &engine->query_first;
}
