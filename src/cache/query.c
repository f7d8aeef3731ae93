/*
 * The requests that are one command and one reply: the stamp (T5), and what jobs, doctor and
 * operators ask for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "base/random.h"
#include "cache/command.h"
#include "cache/link.h"

/* A command with the callback of whichever request it is. */
struct query {
    struct link_command command;
    union {
        cache_done_fn *raised;
        cache_scan_fn *scan;
        cache_raw_fn *raw;
        cache_text_fn *text;
    } done;
    void *arg;
};

static void query_init(struct query *query, struct cache_link *link, void *arg)
{
    query->command.link = link;
    query->arg = arg;
}

static void query_send(struct query *query, const struct link_command_ops *ops)
{
    cache_link_send(&query->command, ops, 1, cache_link_deadline(query->command.link->timeout_ms));
}

/* --- the stamp --------------------------------------------------------------------------------*/

static bool raise_item(struct link_command *command, const struct link_item *item)
{
    if (item->type == REDIS_REPLY_ERROR) {
        return cache_command_fail(command, item);
    }
    if (item->type == REDIS_REPLY_INTEGER && item->number == 0) {
        command->status = CACHE_REFUSED;
    }
    return item->type == REDIS_REPLY_INTEGER;
}

static void raise_end(struct link_command *command, enum cache_status status)
{
    struct query *self = (struct query *)command;

    self->done.raised(self->arg, status);
    free(self);
}

static const struct link_command_ops raise_ops = {.item = raise_item, .end = raise_end};

/* EVAL with the whole text: this happens once an era. */
void cache_stamp_raise(struct cache_link *link, const char *stamp, cache_done_fn *done, void *arg)
{
    struct query *self = cache_allocate(sizeof(*self));

    assert(strlen(stamp) < CACHE_STAMP_MAX);
    query_init(self, link, arg);
    self->done.raised = done;
    cache_command_begin(&link->out, 5);
    cache_command_text(&link->out, "EVAL");
    cache_command_text(&link->out, cache_scripts[SCRIPT_RAISE]);
    cache_command_number(&link->out, 1);
    cache_link_put_own_key(link, LINK_STAMP_KEY);
    cache_command_text(&link->out, stamp);
    query_send(self, &raise_ops);
}

/* The same, once a rebuild. */
void cache_marks_begin(struct cache_link *link, const char *stamp,
                       char nonce[CACHE_MARKS_NONCE_MAX], cache_done_fn *done, void *arg)
{
    struct query *self = cache_allocate(sizeof(*self));

    snprintf(nonce, CACHE_MARKS_NONCE_MAX, "%016" PRIx64, random_uint64());
    query_init(self, link, arg);
    self->done.raised = done;
    cache_command_begin(&link->out, 8);
    cache_command_text(&link->out, "EVAL");
    cache_command_text(&link->out, cache_scripts[SCRIPT_MARKS]);
    cache_command_number(&link->out, 2);
    cache_link_put_own_key(link, LINK_STAMP_KEY);
    cache_link_put_own_key(link, LINK_MARKS_KEY);
    cache_command_text(&link->out, stamp);
    cache_command_text(&link->out, nonce);
    cache_command_number(&link->out, CACHE_MARKS_MS);
    query_send(self, &raise_ops);
}

/* --- scan -------------------------------------------------------------------------------------*/

struct scan_query {
    struct query query;
    uint64_t next_cursor;
    struct account_id *ids;
    size_t count;
    size_t room;
};

/* [cursor, [key, ...]]; keys that no account can have are not ours to show. */
static bool scan_item(struct link_command *command, const struct link_item *item)
{
    struct scan_query *self = (struct scan_query *)command;
    size_t prefix_len = command->link->prefix_len;

    if (item->type == REDIS_REPLY_ERROR) {
        return cache_command_fail(command, item);
    }
    if (item->depth == 0) {
        return item->type == REDIS_REPLY_ARRAY && item->number == 2;
    }
    if (item->depth == 1 && item->index == 0) {
        return item->type == REDIS_REPLY_STRING &&
               decimal_parse_uint64(item->bytes, item->len, &self->next_cursor) == DECIMAL_OK;
    }
    if (item->depth == 1) {
        if (item->type != REDIS_REPLY_ARRAY || item->number > CACHE_SCAN_IDS_MAX) {
            return false;
        }
        self->room = (size_t)item->number;
        self->ids = cache_allocate((self->room + 1) * sizeof(*self->ids));
        return true;
    }
    if (item->type != REDIS_REPLY_STRING || self->count == self->room) {
        return false;
    }
    if (item->len > prefix_len && memcmp(item->bytes, command->link->prefix, prefix_len) == 0 &&
        account_id_parse(&self->ids[self->count], item->bytes + prefix_len,
                         item->len - prefix_len)) {
        self->count++;
    }
    return true;
}

static void scan_end(struct link_command *command, enum cache_status status)
{
    struct scan_query *self = (struct scan_query *)command;
    struct cache_scan_page page = {0};

    if (status == CACHE_OK) {
        page = (struct cache_scan_page){
            .next_cursor = self->next_cursor,
            .ids = self->ids,
            .count = self->count,
        };
    }
    self->query.done.scan(self->query.arg, status, &page);
    free(self->ids);
    free(self);
}

static const struct link_command_ops scan_ops = {.item = scan_item, .end = scan_end};

void cache_scan(struct cache_link *link, uint64_t cursor, cache_scan_fn *done, void *arg)
{
    struct scan_query *self = cache_allocate(sizeof(*self));
    char pattern[2 * CACHE_PREFIX_MAX + 1];
    size_t len = 0;

    query_init(&self->query, link, arg);
    self->query.done.scan = done;
    for (size_t i = 0; i < link->prefix_len; i++) {
        if (strchr("*?[]\\^-", link->prefix[i]) != NULL) {
            pattern[len++] = '\\';
        }
        pattern[len++] = link->prefix[i];
    }
    pattern[len++] = '*';
    cache_command_begin(&link->out, 6);
    cache_command_text(&link->out, "SCAN");
    cache_command_number(&link->out, cursor);
    cache_command_text(&link->out, "MATCH");
    cache_command_bytes(&link->out, pattern, len);
    cache_command_text(&link->out, "COUNT");
    cache_command_number(&link->out, CACHE_SCAN_COUNT);
    query_send(&self->query, &scan_ops);
}

/* --- texts ------------------------------------------------------------------------------------*/

struct text_query {
    struct query query;
    bool is_present;
    struct buffer text; /* ends in a NUL when told */
};

/* A string, or an array of names and values as lines `name:value`. An error is a text too, so that
 * whoever asked can show it. */
static bool text_item(struct link_command *command, const struct link_item *item)
{
    struct text_query *self = (struct text_query *)command;

    switch (item->type) {
    case REDIS_REPLY_ERROR:
        cache_command_fail(command, item);
        break;
    case REDIS_REPLY_STRING:
        break;
    case REDIS_REPLY_NIL:
        return true;
    case REDIS_REPLY_ARRAY:
        return item->depth == 0;
    default:
        return false;
    }
    self->is_present = true;
    buffer_append(&self->text, item->bytes, item->len);
    if (item->depth == 1) {
        buffer_append_text(&self->text, item->index % 2 == 0 ? ":" : "\r\n");
    }
    return self->text.len <= CACHE_REPLY_ITEM_MAX;
}

static void raw_end(struct link_command *command, enum cache_status status)
{
    struct text_query *self = (struct text_query *)command;
    size_t len = self->text.len;

    buffer_append_byte(&self->text, '\0');
    self->query.done.raw(self->query.arg, status, self->is_present, self->text.data, len);
    buffer_free(&self->text);
    free(self);
}

static const struct link_command_ops raw_ops = {.item = text_item, .end = raw_end};

void cache_raw(struct cache_link *link, const struct account_id *id, cache_raw_fn *done, void *arg)
{
    struct text_query *self = cache_allocate(sizeof(*self));

    query_init(&self->query, link, arg);
    self->query.done.raw = done;
    cache_command_begin(&link->out, 2);
    cache_command_text(&link->out, "GET");
    cache_link_put_key(link, id);
    query_send(&self->query, &raw_ops);
}

static void info_end(struct link_command *command, enum cache_status status)
{
    struct text_query *self = (struct text_query *)command;

    buffer_append_byte(&self->text, '\0');
    self->query.done.text(self->query.arg, status, self->text.data);
    buffer_free(&self->text);
    free(self);
}

static const struct link_command_ops info_ops = {.item = text_item, .end = info_end};

/* "config PATTERN" is CONFIG GET; every other section is one of INFO. */
void cache_info(struct cache_link *link, const char *section, cache_text_fn *done, void *arg)
{
    static const char config[] = "config ";
    struct text_query *self = cache_allocate(sizeof(*self));

    query_init(&self->query, link, arg);
    self->query.done.text = done;
    if (strncmp(section, config, sizeof(config) - 1) == 0) {
        CACHE_COMMAND(&link->out, "CONFIG", "GET", section + sizeof(config) - 1);
    } else {
        CACHE_COMMAND(&link->out, "INFO", section);
    }
    query_send(&self->query, &info_ops);
}
