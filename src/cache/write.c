/*
 * The guarded writes: publish (T8), token and fill (T9, T10), rebuild (T11; most of it goes the way of
 * gated.c). Each is a script (scripts.c) over some accounts; a large batch leaves as several calls,
 * parts, all in one write, and its caller hears once, when the last part is in. A script that Redis
 * has forgotten (SCRIPT FLUSH, or a restart between two commands) is sent whole, once: EVAL runs it
 * and remembers it. That part then comes behind whatever was sent meanwhile, which the rules allow:
 * writes may arrive in any order.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cache/command.h"
#include "cache/guarded.h"

static const struct link_command_ops part_ops;

static const struct account_entry *entry_at(const struct guarded *whole, size_t i)
{
    switch (whole->kind) {
    case GUARDED_PUBLISH:
    case GUARDED_REBUILD:
        return &whole->published[i];
    case GUARDED_FILL:
        return &whole->filled[i].entry;
    default:
        return &whole->wanted[i].entry;
    }
}

/* --- sending ----------------------------------------------------------------------------------*/

static void put_value(struct guarded *whole, size_t i, int64_t now_ms)
{
    struct cache_link *link = whole->link;
    const struct account_entry *entry = entry_at(whole, i);
    char value[CACHE_VALUE_MAX];

    assert(link->has_mac_key);
    cache_command_bytes(
        &link->out, value,
        cache_value_encode(value, link->mac_key, &entry->id, whole->era, now_ms, &entry->state));
}

void cache_guarded_put_entry(struct guarded *whole, size_t i, int64_t now_ms)
{
    cache_link_put_key(whole->link, &whole->published[i].id);
    put_value(whole, i, now_ms);
}

static void put_force(struct guarded_part *part)
{
    char force[CACHE_SCRIPT_KEYS_MAX];

    for (size_t i = 0; i < part->count; i++) {
        force[i] = part->whole->wanted[part->first + i].force ? '1' : '0';
    }
    cache_command_number(&part->whole->link->out, CACHE_TOKEN_MS);
    cache_command_bytes(&part->whole->link->out, force, part->count);
}

/* What stands behind the token: a time, and what there is for each account. */
static void put_accounts(struct guarded_part *part)
{
    struct guarded *whole = part->whole;
    bool is_rebuild = whole->kind == GUARDED_REBUILD;
    int64_t now_ms = clock_wall_ms();

    if (whole->kind == GUARDED_TOKEN) {
        put_force(part);
        return;
    }
    cache_command_number(&whole->link->out, is_rebuild ? CACHE_MARKS_MS : CACHE_NEGATIVE_MS);
    for (size_t i = part->first; i < part->first + part->count; i++) {
        if (is_rebuild) {
            cache_guarded_put_entry(whole, i, now_ms);
        } else {
            put_value(whole, i, now_ms);
        }
    }
}

static void put_script(struct guarded_part *part, enum cache_script script)
{
    struct cache_link *link = part->whole->link;

    if (part->is_repeated) {
        cache_command_text(&link->out, "EVAL");
        cache_command_text(&link->out, cache_scripts[script]);
    } else {
        cache_command_text(&link->out, "EVALSHA");
        cache_command_bytes(&link->out, link->script_sha[script], SCRIPT_SHA_CHARS);
    }
}

/* What differs by the kind of a write. */
static const struct shape {
    enum cache_script script;
    size_t own_keys;           /* the stamp, the marks */
    size_t keys_per_account;   /* that stand in KEYS */
    size_t values_per_account; /* arguments behind the fixed ones: stamp, era, token, a time */
    size_t values;             /* the same of all accounts together */
} shapes[] = {
    [GUARDED_PUBLISH] = {SCRIPT_WRITE, 2, 1, 1, 0},
    [GUARDED_TOKEN] = {SCRIPT_TOKEN, 1, 1, 0, 1},
    [GUARDED_FILL] = {SCRIPT_WRITE, 2, 1, 1, 0},
    [GUARDED_REBUILD] = {SCRIPT_REBUILD, 2, 0, 2, 0},
};

void cache_part_send_script(struct guarded_part *part)
{
    struct guarded *whole = part->whole;
    struct cache_link *link = whole->link;
    struct buffer *out = &link->out;
    const struct shape *shape = &shapes[whole->kind];
    size_t keys = shape->own_keys + part->count * shape->keys_per_account;

    /* Name, script, number of keys, the keys; stamp, era, token, a time, and the values. */
    cache_command_begin(out,
                        3 + keys + 4 + part->count * shape->values_per_account + shape->values);
    put_script(part, shape->script);
    cache_command_number(out, keys);
    cache_link_put_own_key(link, LINK_STAMP_KEY);
    if (shape->own_keys > 1) {
        cache_link_put_own_key(link, LINK_MARKS_KEY);
    }
    for (size_t i = 0; i < part->count * shape->keys_per_account; i++) {
        cache_link_put_key(link, &entry_at(whole, part->first + i)->id);
    }
    cache_command_text(out, whole->stamp);
    cache_command_number(out, whole->era);
    cache_command_text(out, whole->token);
    put_accounts(part);
    cache_link_send(&part->command, &part_ops, 1, whole->deadline_us);
}

/* --- answers ----------------------------------------------------------------------------------*/

/* A digit an account, or nothing at all where the marks have gone. */
static bool take_written(struct guarded_part *part, const struct link_item *item)
{
    const struct guarded *whole = part->whole;

    if (item->type != REDIS_REPLY_STRING || (item->len != part->count && item->len != 0)) {
        return false;
    }
    *whole->stand = *whole->stand && item->len > 0;
    for (size_t i = 0; i < item->len; i++) {
        whole->written[part->first + i] = item->bytes[i] == '1';
    }
    return true;
}

static bool part_item(struct link_command *command, const struct link_item *item)
{
    struct guarded_part *part = (struct guarded_part *)command;
    bool is_token = part->whole->kind == GUARDED_TOKEN;

    if (cache_item_is_error(item, "NOSCRIPT") && !part->is_repeated) {
        part->is_forgotten = true;
        return true;
    }
    if (item->type == REDIS_REPLY_ERROR) {
        return cache_command_fail(command, item);
    }
    if (item->type == REDIS_REPLY_INTEGER && item->number == 0) {
        command->status = CACHE_REFUSED;
        return true;
    }
    if (part->whole->kind == GUARDED_REBUILD) {
        return take_written(part, item);
    }
    if (!is_token) {
        return item->type == REDIS_REPLY_INTEGER;
    }
    if (item->type != REDIS_REPLY_STRING || item->len != part->count) {
        return false;
    }
    for (size_t i = 0; i < part->count; i++) {
        part->whole->wanted[part->first + i].token_held = item->bytes[i] == '1';
    }
    return true;
}

/* Of two answers, the one that a caller must hear: the later in this order. */
static int severity(enum cache_status status)
{
    static const int order[] = {
        [CACHE_OK] = 0,    [CACHE_REFUSED] = 1, [CACHE_FAILED] = 2,
        [CACHE_MOVED] = 3, [CACHE_LOST] = 4,
    };

    return order[status];
}

void cache_part_end(struct guarded_part *part, enum cache_status status)
{
    struct guarded *whole = part->whole;

    pool_give(whole->link->parts, part);
    if (severity(status) > severity(whole->status)) {
        whole->status = status;
    }
    whole->parts_left--;
    if (whole->parts_left > 0) {
        return;
    }
    for (size_t i = 0;
         whole->status != CACHE_OK && whole->kind == GUARDED_TOKEN && i < whole->count; i++) {
        whole->wanted[i].token_held = false;
    }
    whole->done(whole->arg, whole->status);
    pool_give(whole->link->guarded, whole);
}

static void part_end(struct link_command *command, enum cache_status status)
{
    struct guarded_part *part = (struct guarded_part *)command;

    if (part->is_forgotten && status == CACHE_OK) {
        part->is_forgotten = false;
        part->is_repeated = true;
        cache_part_send_script(part);
        return;
    }
    cache_part_end(part, status);
}

static const struct link_command_ops part_ops = {.item = part_item, .end = part_end};

/* --- requests ---------------------------------------------------------------------------------*/

size_t cache_guarded_size(void)
{
    return sizeof(struct guarded);
}

size_t cache_part_size(void)
{
    return sizeof(struct guarded_part);
}

static struct guarded *guarded_create(struct cache_link *link, enum guarded_kind kind,
                                      const char *stamp, uint64_t era, size_t count, int timeout_ms)
{
    struct guarded *whole = pool_take(link->guarded);
    size_t len = strlen(stamp);

    assert(whole != NULL && count >= 1);
    assert(len < sizeof(whole->stamp));
    whole->link = link;
    whole->kind = kind;
    whole->era = era;
    whole->count = count;
    whole->deadline_us = cache_link_deadline(timeout_ms);
    memcpy(whole->stamp, stamp, len + 1);
    return whole;
}

struct guarded_part *cache_part_create(struct guarded *whole, size_t first, size_t count)
{
    struct guarded_part *part = pool_take(whole->link->parts);

    assert(part != NULL);
    part->command.link = whole->link;
    part->whole = whole;
    part->first = first;
    part->count = count;
    whole->parts_left++;
    return part;
}

/* A token of an earlier connection: Redis may be another, so nothing is sent. */
static void guarded_start(struct guarded *whole, bool is_stale)
{
    struct cache_link *link = whole->link;

    for (size_t first = 0; first < whole->count; first += CACHE_SCRIPT_KEYS_MAX) {
        size_t left = whole->count - first;
        struct guarded_part *part = cache_part_create(
            whole, first, left < CACHE_SCRIPT_KEYS_MAX ? left : CACHE_SCRIPT_KEYS_MAX);

        if (is_stale || !cache_link_is_up(link)) {
            cache_link_refuse(&part->command, &part_ops);
        } else if (whole->kind != GUARDED_REBUILD) {
            cache_part_send_script(part);
        } else if (link->gates_rest > 0) {
            link->gates_rest--;
            cache_part_send_script(part);
        } else {
            cache_part_send_gated(part);
        }
    }
}

static void name_token(struct guarded *whole, uint64_t token_id)
{
    snprintf(whole->token, sizeof(whole->token), "~%" PRIu64 " %016" PRIx64 "-%" PRIu64, whole->era,
             whole->link->token_nonce, token_id);
}

void cache_publish(struct cache_link *link, const char *stamp, uint64_t era,
                   const struct account_entry *entries, size_t count, cache_done_fn *done,
                   void *arg)
{
    struct guarded *whole =
        guarded_create(link, GUARDED_PUBLISH, stamp, era, count, link->publish_timeout_ms);

    whole->published = entries;
    whole->done = done;
    whole->arg = arg;
    guarded_start(whole, false);
}

void cache_token(struct cache_link *link, const char *stamp, uint64_t era,
                 struct cache_fill_entry *entries, size_t count, uint64_t *token_id,
                 cache_done_fn *done, void *arg)
{
    struct guarded *whole =
        guarded_create(link, GUARDED_TOKEN, stamp, era, count, link->timeout_ms);

    *token_id = link->token_next++;
    for (size_t i = 0; i < count; i++) {
        entries[i].token_held = false;
    }
    whole->wanted = entries;
    whole->done = done;
    whole->arg = arg;
    name_token(whole, *token_id);
    guarded_start(whole, false);
}

void cache_fill(struct cache_link *link, const char *stamp, uint64_t era, uint64_t token_id,
                const struct cache_fill_entry *entries, size_t count, cache_done_fn *done,
                void *arg)
{
    struct guarded *whole = guarded_create(link, GUARDED_FILL, stamp, era, count, link->timeout_ms);

    whole->filled = entries;
    whole->done = done;
    whole->arg = arg;
    name_token(whole, token_id);
    guarded_start(whole, token_id < link->token_floor);
}

void cache_rebuild(struct cache_link *link, const char *stamp, uint64_t era, const char *nonce,
                   const struct account_entry *entries, size_t count, bool *written, bool *stand,
                   cache_done_fn *done, void *arg)
{
    struct guarded *whole =
        guarded_create(link, GUARDED_REBUILD, stamp, era, count, link->timeout_ms);

    *stand = true; /* until a part says otherwise */
    memset(written, 0, count * sizeof(*written));
    whole->published = entries;
    whole->written = written;
    whole->stand = stand;
    whole->done = done;
    whole->arg = arg;
    snprintf(whole->token, sizeof(whole->token), "%s", nonce);
    guarded_start(whole, false);
}
