/* GET MGET EXISTS BALANCE HISTORY BALANCEAT. */
#include <stdlib.h>
#include <string.h>

#include "server/command_query.h"
#include "server/command_words.h"
#include "server/handlers.h"
#include "server/reply_encode.h"
#include "server/session_state.h"
#include "server/slowlog.h"

static struct engine *engine_of(const struct call *call)
{
    return call->session->worker->engine;
}

static void describe_account(struct slowlog_entry *entry, const struct account_id *id)
{
    slowlog_word(entry, id->bytes, id->len);
}

/* --- GET and BALANCE --------------------------------------------------------------------------*/

static void one_done(struct read_item *item)
{
    reply_finish(item->owner);
}

static void describe_one(const struct reply *reply, const void *answer, struct slowlog_entry *entry)
{
    (void)answer;
    describe_account(entry, &reply->read.id);
}

struct reply *read_request(struct call *call, const struct account_id *id)
{
    struct reply *reply = call_request(call, 1);

    if (reply != NULL) {
        reply->describe = describe_one;
        reply->read.id = *id;
        reply->read.max_age_ms = -1;
        reply->read.deadline_us = call_deadline_us(call);
        reply->read.done = one_done;
        reply->read.stream = call->session->client.id;
        reply->read.owner = reply;
    }
    return reply;
}

static enum reply_grade one_grade(const struct reply *reply)
{
    return reply->read.answer == READ_STALE ? REPLY_STALE : REPLY_FINE;
}

static enum reply_grade encode_get(struct reply *reply, const void *answer, struct resp_writer *out)
{
    enum outcome outcome = encode_read_outcome(&reply->read, reply->session->stale_ok);

    (void)answer;
    if (outcome != OUTCOME_OK) {
        return encode_read_error(out, outcome);
    }
    if (reply->read.state.version == 0) {
        resp_nil(out);
    } else {
        resp_bulk_int64(out, reply->read.state.balance);
    }
    return one_grade(reply);
}

bool query_refuses_system(struct call *call, const struct account_id *id)
{
    if (!account_id_is_system(id)) {
        return false;
    }
    call_error(call, "ERR",
               "%.*s is a system account: it has a balance an asset and no version; use BALANCE",
               (int)id->len, id->bytes);
    return true;
}

void command_get(struct call *call)
{
    struct account_id id;
    struct reply *reply;

    if (!word_account(call, &call->args[1], &id) || query_refuses_system(call, &id)) {
        return;
    }
    reply = read_request(call, &id);
    if (reply != NULL) {
        reply->encode = encode_get;
        engine_read(engine_of(call), &reply->read);
    }
}

static enum reply_grade encode_balance_reply(struct reply *reply, const void *answer,
                                             struct resp_writer *out)
{
    enum outcome outcome = encode_read_outcome(&reply->read, true);

    (void)answer;
    if (outcome != OUTCOME_OK) {
        return encode_read_error(out, outcome);
    }
    if (reply->read.state.version == 0) {
        resp_nil(out);
    } else {
        encode_balance(out, &reply->read);
    }
    return one_grade(reply);
}

/* --- queries ----------------------------------------------------------------------------------*/

static void query_done(struct query_item *item)
{
    reply_finish_now(item->owner, item);
}

static void describe_query(const struct reply *reply, const void *answer,
                           struct slowlog_entry *entry)
{
    const struct query_item *item = answer;

    (void)reply;
    describe_account(entry, &item->account);
}

static enum reply_grade encode_query(struct reply *reply, const void *answer,
                                     struct resp_writer *out)
{
    const struct query_item *item = answer;

    (void)reply;
    if (item->outcome == OUTCOME_NOACCOUNT) {
        resp_nil(out);
    } else if (item->outcome == OUTCOME_UNAVAILABLE || item->outcome == OUTCOME_BUSY) {
        return encode_read_error(out, item->outcome);
    } else if (item->outcome != OUTCOME_OK) {
        encode_refusal(out, item->outcome, item->detail);
        return REPLY_ERROR;
    } else if (item->kind == QUERY_HISTORY) {
        encode_history(out, item);
    } else if (item->kind == QUERY_CHARGES) {
        encode_charges(out, item);
    } else if (item->kind == QUERY_SYSTEM_BALANCE) {
        encode_system_balance(out, item);
    } else if (item->version == 0) {
        resp_nil(out); /* there was no such account then */
    } else {
        encode_balance_at(out, item);
    }
    return REPLY_FINE;
}

struct query_item *query_request(struct call *call, enum query_kind kind,
                                 const struct account_id *id, size_t rows)
{
    struct query_item *item = calloc(1, sizeof *item);
    struct reply *reply = item != NULL ? call_request(call, rows) : NULL;

    if (reply == NULL) {
        if (item == NULL) {
            call_error(call, "BUSY", "out of memory; try again after a while");
        }
        free(item);
        return NULL;
    }
    reply->memory = item;
    reply->encode = encode_query;
    reply->describe = describe_query;
    item->kind = kind;
    item->account = *id;
    item->deadline_us = call_deadline_us(call);
    item->done = query_done;
    item->owner = reply;
    return item;
}

void command_balance(struct call *call)
{
    struct account_id id;
    struct options options;
    int64_t min_version = 0, max_age_ms = -1;

    if (!word_account(call, &call->args[1], &id) ||
        !word_options(call, &options,
                      OPTION_BIT(OPTION_FRESH) | OPTION_BIT(OPTION_MINVERSION) |
                          OPTION_BIT(OPTION_MAXAGE),
                      2) ||
        !word_number(call, &options, OPTION_MINVERSION, "MINVERSION", 0, INT64_MAX, &min_version) ||
        !word_number(call, &options, OPTION_MAXAGE, "MAXAGE", 0, INT64_MAX, &max_age_ms)) {
        return;
    }
    if (account_id_is_system(&id)) {
        struct query_item *item = query_request(call, QUERY_SYSTEM_BALANCE, &id, 1);
        if (item != NULL) {
            engine_query(engine_of(call), item);
        }
        return;
    }
    struct reply *reply = read_request(call, &id);
    if (reply != NULL) {
        reply->encode = encode_balance_reply;
        reply->read.fresh = options_has(&options, OPTION_FRESH);
        reply->read.min_version = (uint64_t)min_version;
        reply->read.max_age_ms = max_age_ms;
        engine_read(engine_of(call), &reply->read);
    }
}

void command_history(struct call *call)
{
    struct account_id id;
    struct options options;
    int64_t before = 0, count = LIMIT_HISTORY_DEFAULT;

    if (!word_account(call, &call->args[1], &id) || query_refuses_system(call, &id) ||
        !word_options(call, &options, OPTION_BIT(OPTION_BEFORE) | OPTION_BIT(OPTION_COUNT), 2) ||
        !word_number(call, &options, OPTION_BEFORE, "BEFORE", 1, INT64_MAX, &before) ||
        !word_number(call, &options, OPTION_COUNT, "COUNT", 1, LIMIT_HISTORY_MAX, &count)) {
        return;
    }
    struct query_item *item = query_request(call, QUERY_HISTORY, &id, (size_t)count);
    if (item != NULL) {
        item->before = (uint64_t)before;
        item->count = (int)count;
        engine_query(engine_of(call), item);
    }
}

void command_balanceat(struct call *call)
{
    const struct resp_slice *time = &call->args[2];
    struct account_id id;

    if (!word_account(call, &call->args[1], &id) || query_refuses_system(call, &id)) {
        return;
    }
    if (time->len >= QUERY_TIME_MAX || !time_is_rfc3339(time->data, time->len)) {
        call_error(call, "ERR",
                   "time must be of RFC 3339, with seconds and an offset: 2024-05-01T12:00:00Z");
        return;
    }
    struct query_item *item = query_request(call, QUERY_BALANCE_AT, &id, 1);
    if (item != NULL) {
        memcpy(item->time, time->data, time->len);
        engine_query(engine_of(call), item);
    }
}

/* --- MGET and EXISTS --------------------------------------------------------------------------*/

static void some_done(struct read_item *item)
{
    struct reply *reply = item->owner;

    if (--reply->left == 0) {
        reply_finish(reply);
    }
}

static void describe_some(const struct reply *reply, const void *answer,
                          struct slowlog_entry *entry)
{
    const struct read_item *items = reply->items;

    (void)answer;
    for (size_t i = 0; i < reply->count && i <= LIMIT_SLOWLOG_ARGS; i++) {
        describe_account(entry, &items[i].id);
    }
}

/* The gravest of what became of the accounts: all are shown, or one error. */
static enum outcome some_outcome(const struct reply *reply)
{
    const struct read_item *items = reply->items;
    bool stale = false, unavailable = false;

    for (size_t i = 0; i < reply->count; i++) {
        switch (encode_read_outcome(&items[i], reply->session->stale_ok)) {
        case OUTCOME_OK:
            break;
        case OUTCOME_BUSY:
            return OUTCOME_BUSY;
        case OUTCOME_STALE:
            stale = true;
            break;
        default:
            unavailable = true;
        }
    }
    return unavailable ? OUTCOME_UNAVAILABLE : stale ? OUTCOME_STALE : OUTCOME_OK;
}

static enum reply_grade encode_mget(struct reply *reply, const void *answer,
                                    struct resp_writer *out)
{
    const struct read_item *items = reply->items;
    enum outcome outcome = some_outcome(reply);

    (void)answer;
    if (outcome != OUTCOME_OK) {
        return encode_read_error(out, outcome);
    }
    resp_array(out, reply->count);
    for (size_t i = 0; i < reply->count; i++) {
        if (items[i].state.version == 0) {
            resp_nil(out);
        } else {
            resp_bulk_int64(out, items[i].state.balance);
        }
    }
    return REPLY_FINE;
}

static enum reply_grade encode_exists(struct reply *reply, const void *answer,
                                      struct resp_writer *out)
{
    const struct read_item *items = reply->items;
    enum outcome outcome = some_outcome(reply);
    int64_t known = (int64_t)reply->extra;

    (void)answer;
    if (outcome != OUTCOME_OK) {
        return encode_read_error(out, outcome);
    }
    for (size_t i = 0; i < reply->count; i++) {
        known += items[i].state.version > 0 ? 1 : 0;
    }
    resp_int(out, known);
    return REPLY_FINE;
}

/* Reads the accounts that the command names into items; false: an error has been answered. */
static bool read_accounts(struct call *call, struct read_item *items, size_t *count,
                          size_t *systems)
{
    bool exists = systems != NULL;

    for (size_t i = 1; i < call->count; i++) {
        struct read_item *item = &items[*count];
        if (!word_account(call, &call->args[i], &item->id)) {
            return false;
        }
        if (exists && account_id_is_system(&item->id)) {
            ++*systems; /* needs no OPEN: it is always there */
            continue;
        }
        if (query_refuses_system(call, &item->id)) {
            return false;
        }
        ++*count;
    }
    return true;
}

/* Sets what the engine is told; what it answers, it sets itself. */
static void ask(struct call *call, struct reply *reply, struct read_item *item)
{
    item->fresh = false;
    item->min_version = 0;
    item->max_age_ms = -1;
    item->deadline_us = call_deadline_us(call);
    item->done = some_done;
    item->stream = call->session->client.id;
    item->owner = reply;
    item->age_ms = 0;
    item->state.version = 0;
    engine_read(engine_of(call), item);
}

static void command_some(struct call *call, size_t *systems,
                         enum reply_grade (*encode)(struct reply *, const void *,
                                                    struct resp_writer *))
{
    struct spare *spare = &call->session->group->items;
    size_t room = (call->count - 1) * sizeof(struct read_item);
    struct read_item *items = spare_take(spare, room);
    struct reply *reply = NULL;
    size_t count = 0;

    if (items == NULL) {
        call_error(call, "BUSY", "out of memory; try again after a while");
        return;
    }
    if (read_accounts(call, items, &count, systems)) {
        if (count == 0) {
            resp_int(call_writer(call), (int64_t)*systems); /* EXISTS of system accounts alone */
        } else {
            reply = call_request(call, count);
        }
    }
    if (reply == NULL) {
        spare_give(spare, items, room);
        return;
    }
    reply->items = items;
    reply->items_room = room;
    reply->encode = encode;
    reply->describe = describe_some;
    reply->count = count;
    reply->left = count;
    reply->extra = systems != NULL ? *systems : 0;
    for (size_t i = 0; i < count; i++) {
        ask(call, reply, &items[i]);
    }
}

void command_mget(struct call *call)
{
    command_some(call, NULL, encode_mget);
}

void command_exists(struct call *call)
{
    size_t systems = 0;

    command_some(call, &systems, encode_exists);
}
