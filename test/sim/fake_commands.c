/* What is asked of the fake Redis: cache/cache.h in commands of redis.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "fake_cache.h"

#define REBUILD_UNMARKED 500000 /* of a million rebuilds: they go by rule T9 then */

void cache_read(struct cache_link *link, struct cache_lookup *const *lookups, size_t count,
                cache_read_fn *done, void *arg)
{
    struct command *command = command_new(link, REDIS_READ, ANSWER_READ, count);
    command->call.read = done;
    command->lookups = lookups;
    for (size_t i = 0; i < count; i++) {
        command->redis.entries[i].account = account_of(lookups[i]->id);
    }
    command_send(command, arg, link->timeout_us);
}

void cache_publish(struct cache_link *link, const char *stamp, uint64_t era,
                   const struct account_entry *entries, size_t count, cache_done_fn *done,
                   void *arg)
{
    struct command *command = command_new(link, REDIS_WRITE, ANSWER_DONE, count);
    command->call.done = done;
    command->redis.era = era;
    snprintf(command->redis.stamp, sizeof command->redis.stamp, "%s", stamp);
    for (size_t i = 0; i < count; i++) {
        command->redis.entries[i].account = account_of(&entries[i].id);
        command->redis.entries[i].state = entries[i].state;
    }
    command_send(command, arg, link->publish_timeout_us);
}

void cache_token(struct cache_link *link, const char *stamp, uint64_t era,
                 struct cache_fill_entry *entries, size_t count, uint64_t *token_id,
                 cache_done_fn *done, void *arg)
{
    struct command *command = command_new(link, REDIS_TOKEN, ANSWER_DONE, count);
    *token_id = command_next_token();
    command->call.done = done;
    command->wanted = entries;
    command->redis.era = era;
    command->redis.token = *token_id;
    snprintf(command->redis.stamp, sizeof command->redis.stamp, "%s", stamp);
    for (size_t i = 0; i < count; i++) {
        command->redis.entries[i].account = account_of(&entries[i].entry.id);
        command->redis.entries[i].force = entries[i].force;
    }
    command_send(command, arg, link->timeout_us);
}

void cache_fill(struct cache_link *link, const char *stamp, uint64_t era, uint64_t token_id,
                const struct cache_fill_entry *entries, size_t count, cache_done_fn *done,
                void *arg)
{
    struct command *command = command_new(link, REDIS_WRITE, ANSWER_DONE, count);
    command->call.done = done;
    command->redis.era = era;
    command->redis.token = token_id;
    snprintf(command->redis.stamp, sizeof command->redis.stamp, "%s", stamp);
    for (size_t i = 0; i < count; i++) {
        command->redis.entries[i].account = account_of(&entries[i].entry.id);
        command->redis.entries[i].state = entries[i].entry.state;
    }
    if (token_id < link->token_floor) {
        command->arg = arg;
        command_refuse(command);
        return;
    }
    command_send(command, arg, link->timeout_us);
}

void cache_stamp_read(struct cache_link *link, cache_stamp_fn *done, void *arg)
{
    struct command *command = command_new(link, REDIS_STAMP_READ, ANSWER_STAMP, 0);
    command->call.stamp = done;
    command_send(command, arg, link->timeout_us);
}

void cache_stamp_raise(struct cache_link *link, const char *stamp, cache_done_fn *done, void *arg)
{
    struct command *command = command_new(link, REDIS_STAMP_RAISE, ANSWER_DONE, 0);
    command->call.done = done;
    snprintf(command->redis.stamp, sizeof command->redis.stamp, "%s", stamp);
    command_send(command, arg, link->timeout_us);
}

void cache_marks_begin(struct cache_link *link, const char *stamp,
                       char nonce[CACHE_MARKS_NONCE_MAX], cache_done_fn *done, void *arg)
{
    struct command *command = command_new(link, REDIS_MARKS, ANSWER_DONE, 0);
    command->call.done = done;
    command->redis.token = sim_chance(REBUILD_UNMARKED) ? 0 : command_next_token();
    snprintf(nonce, CACHE_MARKS_NONCE_MAX, "%llu", (unsigned long long)command->redis.token);
    snprintf(command->redis.stamp, sizeof command->redis.stamp, "%s", stamp);
    command_send(command, arg, link->timeout_us);
}

void cache_rebuild(struct cache_link *link, const char *stamp, uint64_t era, const char *nonce,
                   const struct account_entry *entries, size_t count, bool *written, bool *stand,
                   cache_done_fn *done, void *arg)
{
    struct command *command = command_new(link, REDIS_REBUILD, ANSWER_DONE, count);
    command->call.done = done;
    command->written = written;
    command->stand = stand;
    command->redis.era = era;
    command->redis.token = strtoull(nonce, NULL, 10);
    snprintf(command->redis.stamp, sizeof command->redis.stamp, "%s", stamp);
    for (size_t i = 0; i < count; i++) {
        command->redis.entries[i].account = account_of(&entries[i].id);
        command->redis.entries[i].state = entries[i].state;
    }
    command_send(command, arg, link->timeout_us);
}
