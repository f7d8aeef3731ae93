/*
 * A read batch (rules T6 and T13), in one write:
 *
 *   MULTI               +OK
 *   GETEX stamp         +QUEUED    a write to Redis' eyes: -READONLY here on a demoted master
 *   INFO replication    +QUEUED
 *   MGET account...     +QUEUED
 *   EXEC                [stamp, text, [value or nil, ...]]
 *
 * The elements of EXEC's reply arrive in that order, so that the values are decoded, straight out
 * of the reader's buffer, only when the stamp has been read and INFO has named the master that was
 * verified: nothing ran in Redis between the three.
 *
 * Without accounts, and then without MGET, it reads the stamp alone, and proves the link as well as
 * any other: a Redis that was rewound under its connections must not pass for the one that was
 * verified, least of all where the next era is going to be opened.
 */
#include <stdlib.h>

#include "cache/command.h"
#include "cache/info.h"
#include "cache/link.h"

enum { REPLIES_WITHOUT_ACCOUNTS = 4, REPLIES_WITH_ACCOUNTS };
enum { EXEC_STAMP, EXEC_INFO, EXEC_VALUES, EXEC_COUNT };

struct read_batch {
    struct link_command command;
    struct cache_lookup *const *lookups;
    size_t count;
    size_t decoded; /* values that have arrived */
    cache_read_fn *done;
    void *arg;
    char stamp[CACHE_STAMP_MAX];
};

static bool read_identity(struct link_command *command, const struct link_item *item)
{
    char replid[CACHE_RUN_ID_MAX];

    if (item->type != REDIS_REPLY_STRING) {
        return item->type == REDIS_REPLY_ERROR && cache_command_fail(command, item);
    }
    if (!cache_info_has(item->bytes, item->len, "role", "master")) {
        return cache_command_moved(command, "not a master any more");
    }
    if (!cache_info_field(item->bytes, item->len, "master_replid", replid, sizeof(replid)) ||
        strcmp(replid, command->link->identity.replid) != 0) {
        return cache_command_moved(command, "was made a replica and promoted again");
    }
    return true;
}

static bool read_value(struct read_batch *batch, const struct link_item *item)
{
    const struct cache_link *link = batch->command.link;
    struct cache_lookup *lookup = batch->lookups[item->index];

    batch->decoded = (size_t)item->index + 1;
    if (batch->command.status != CACHE_OK || item->type == REDIS_REPLY_NIL) {
        return true;
    }
    if (item->type != REDIS_REPLY_STRING) {
        return false;
    }
    if (link->has_mac_key) {
        cache_value_decode(&lookup->value, link->mac_key, lookup->id, item->bytes, item->len);
    } else {
        lookup->value.kind = CACHE_POISON;
    }
    return true;
}

static bool read_exec(struct read_batch *batch, const struct link_item *item)
{
    if (item->depth == 0) {
        return item->type == REDIS_REPLY_ARRAY &&
               item->number == (batch->count > 0 ? EXEC_COUNT : EXEC_VALUES);
    }
    if (item->depth == 2) {
        return item->parent_index == EXEC_VALUES && read_value(batch, item);
    }
    switch (item->index) {
    case EXEC_STAMP:
        if (item->type == REDIS_REPLY_ERROR && !cache_item_is_error(item, "WRONGTYPE")) {
            return cache_command_fail(&batch->command, item);
        }
        cache_link_copy_stamp(batch->stamp, item);
        return true;
    case EXEC_INFO:
        return read_identity(&batch->command, item);
    default:
        if (item->type == REDIS_REPLY_ERROR) {
            return cache_command_fail(&batch->command, item);
        }
        return item->type == REDIS_REPLY_ARRAY && item->number == (long long)batch->count;
    }
}

/* EXEC is the last command of a batch. */
static bool is_at_exec(const struct link_command *command)
{
    return command->reply == command->replies - 1;
}

static bool read_item(struct link_command *command, const struct link_item *item)
{
    if (item->depth == 0 && item->type == REDIS_REPLY_ERROR) {
        return cache_command_fail(command, item);
    }
    if (is_at_exec(command)) {
        return read_exec((struct read_batch *)command, item);
    }
    return item->type == REDIS_REPLY_STATUS;
}

static const struct account_id *read_expects(const struct link_command *command)
{
    const struct read_batch *batch = (const struct read_batch *)command;

    if (!is_at_exec(command) || batch->decoded == batch->count) {
        return NULL;
    }
    return batch->lookups[batch->decoded]->id;
}

static void read_end(struct link_command *command, enum cache_status status)
{
    struct read_batch *batch = (struct read_batch *)command;

    /* A connection that broke in the middle of the values has proven nothing about the first. */
    for (size_t i = 0; status != CACHE_OK && i < batch->decoded; i++) {
        batch->lookups[i]->value.kind = CACHE_ABSENT;
    }
    batch->done(batch->arg, status, status == CACHE_OK ? batch->stamp : "");
    pool_give(batch->command.link->reads, batch);
}

static const struct link_command_ops read_ops = {
    .item = read_item,
    .end = read_end,
    .expects = read_expects,
};

size_t cache_read_size(void)
{
    return sizeof(struct read_batch);
}

void cache_read(struct cache_link *link, struct cache_lookup *const *lookups, size_t count,
                cache_read_fn *done, void *arg)
{
    struct read_batch *batch = pool_take(link->reads);
    struct buffer *out = &link->out;

    assert(batch != NULL && count <= CACHE_READ_LOOKUPS_MAX);
    batch->command.link = link;
    batch->lookups = lookups;
    batch->count = count;
    batch->done = done;
    batch->arg = arg;
    CACHE_COMMAND(out, "MULTI");
    cache_command_begin(out, 2);
    cache_command_text(out, "GETEX");
    cache_link_put_own_key(link, LINK_STAMP_KEY);
    CACHE_COMMAND(out, "INFO", "replication");
    if (count > 0) {
        cache_command_begin(out, 1 + count);
        cache_command_text(out, "MGET");
    }
    for (size_t i = 0; i < count; i++) {
        lookups[i]->value.kind = CACHE_ABSENT;
        cache_link_put_key(link, lookups[i]->id);
    }
    CACHE_COMMAND(out, "EXEC");
    cache_link_send(&batch->command, &read_ops,
                    count > 0 ? REPLIES_WITH_ACCOUNTS : REPLIES_WITHOUT_ACCOUNTS,
                    cache_link_deadline(link->timeout_ms));
}

void cache_stamp_read(struct cache_link *link, cache_stamp_fn *done, void *arg)
{
    cache_read(link, NULL, 0, done, arg);
}
