/*
 * cache/cache.h over the fake Redis. A connection keeps the order of its commands and of their
 * answers; two connections do not. One that is given up may still deliver a part of what was on
 * its way: the first so many commands, in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "fake_cache.h"
#include "fake_links.h"
#include "trace.h"

#define LINKS_MAX 4096      /* of one world, dead ones included */
#define REBUILD_LATE 400000 /* of a million writes of a rebuild */

static struct cache_link *links[LINKS_MAX];
static int link_count;
static struct command *free_commands;
static uint64_t tokens_given;

static void try_connect(void *object, uint64_t arg);

void cache_links_forget(void)
{
    link_count = 0;
    free_commands = NULL;
    tokens_given = 0;
}

/* --- up and down ------------------------------------------------------------------------------*/

struct cache_link *cache_link_create(struct event_base *base, const struct cache_options *options,
                                     const struct cache_hooks *hooks, void *ctx)
{
    struct cache_link *link = world_memory(sizeof *link);
    (void)base;
    assert(link_count < LINKS_MAX && world.running != NULL);
    links[link_count++] = link;
    link->process = world.running;
    link->hooks = *hooks;
    link->ctx = ctx;
    link->timeout_us = options->timeout_ms * MS;
    link->publish_timeout_us = options->publish_timeout_ms * MS;
    link->end = &link->first;
    link->refused_end = &link->refused;
    world_after(sim_delay(100), link->process, try_connect, link, ++link->attempt);
    return link;
}

static void verified(void *object, uint64_t arg)
{
    struct cache_link *link = object;
    if (link->freed || arg != link->attempt) {
        return;
    }
    link->token_floor = tokens_given + 1;
    link->up = true;
    if (link->hooks.up != NULL) {
        link->hooks.up(link->ctx, link);
    }
}

static void try_connect(void *object, uint64_t arg)
{
    struct cache_link *link = object;
    if (link->freed || arg != link->attempt) {
        return;
    }
    int node = link->process->cache_target;
    struct redis *redis = &redis_nodes[node];
    if (!redis->up || !redis->master || redis->hangs_until > world.now || redis->failing ||
        link->process->cache_away_until > world.now) {
        world_after(sim_between(50 * MS, 240 * MS), link->process, try_connect, link,
                    ++link->attempt);
        return;
    }
    link->connection = world_memory(sizeof *link->connection);
    link->connection->node = node;
    link->identity = redis->identity;
    world_after(sim_delay(200), link->process, verified, link, ++link->attempt);
}

static void release(struct command *command)
{
    command->next = free_commands;
    free_commands = command;
}

static void answer(struct command *command, enum cache_status status)
{
    command->abandoned = true;
    if (command->wanted != NULL) {
        for (int i = 0; i < command->redis.count; i++) {
            command->wanted[i].token_held = status == CACHE_OK && command->redis.entries[i].held;
        }
    }
    for (int i = 0; command->written != NULL && i < command->redis.count; i++) {
        command->written[i] = status == CACHE_OK && command->redis.entries[i].held;
        *command->stand = status == CACHE_OK && command->redis.stand;
    }
    switch (command->answer) {
    case ANSWER_READ:
        command->call.read(command->arg, status, status == CACHE_OK ? command->redis.stamp : "");
        break;
    case ANSWER_DONE:
        command->call.done(command->arg, status);
        break;
    case ANSWER_STAMP:
        command->call.stamp(command->arg, status, status == CACHE_OK ? command->redis.stamp : "");
        break;
    }
}

static void answer_lost(struct command *lost)
{
    while (lost != NULL) {
        struct command *next = lost->next;
        answer(lost, CACHE_LOST);
        if (lost->over) {
            release(lost);
        }
        lost = next;
    }
}

static void answer_refused(struct cache_link *link)
{
    struct command *refused = link->refused;
    link->refused = NULL;
    link->refused_end = &link->refused;
    answer_lost(refused);
}

/* What is in flight is answered LOST. Its memory stays for what arrives late. */
static void go_down(struct cache_link *link)
{
    struct connection *connection = link->connection;
    struct command *lost = link->first;
    bool was_up = link->up;
    link->first = NULL;
    link->end = &link->first;
    link->connection = NULL;
    link->up = false;
    if (connection != NULL && !connection->closed) {
        connection->closed = true;
        connection->late = sim_chance(500000) ? (int)sim_below(4) : 1000;
    }
    if (was_up && !link->freed && link->hooks.down != NULL) {
        link->hooks.down(link->ctx, link, "broken");
    }
    answer_lost(lost);
    if (link->freed) {
        answer_refused(link);
        return;
    }
    world_after(sim_between(20 * MS, 200 * MS), link->process, try_connect, link, ++link->attempt);
}

void cache_link_free(struct cache_link *link)
{
    link->freed = true;
    go_down(link);
}

bool cache_link_is_up(const struct cache_link *link)
{
    return !link->freed && link->up;
}

const char *cache_link_why(const struct cache_link *link)
{
    return cache_link_is_up(link) ? "" : "not connected";
}

const struct cache_identity *cache_link_identity(const struct cache_link *link)
{
    return cache_link_is_up(link) ? &link->identity : NULL;
}

void cache_link_set_mac_key(struct cache_link *link, const uint8_t key[16])
{
    (void)link;
    (void)key;
}

static void broken(void *object, uint64_t arg)
{
    struct cache_link *link = object;
    (void)arg;
    if (!link->freed && link->connection != NULL && link->connection->closed) {
        go_down(link);
    }
}

void cache_links_cut(const struct process *process, int node)
{
    for (int i = 0; i < link_count; i++) {
        struct cache_link *link = links[i];
        struct connection *connection = link->connection;
        if (link->freed || connection == NULL || connection->closed ||
            (process != NULL && link->process != process) ||
            (node >= 0 && connection->node != node)) {
            continue;
        }
        connection->closed = true;
        connection->late = process != NULL && sim_chance(500000) ? (int)sim_below(4) : 0;
        world_after(sim_delay(200), link->process, broken, link, 0);
    }
}

/* --- commands ---------------------------------------------------------------------------------*/

static void watch_deadlines(void *object, uint64_t arg)
{
    struct cache_link *link = object;
    (void)arg;
    link->watching = false;
    if (link->freed || link->first == NULL) {
        return;
    }
    int64_t least = INT64_MAX;
    for (const struct command *at = link->first; at != NULL; at = at->next) {
        least = at->deadline < least ? at->deadline : least;
    }
    if (least <= world_now()) {
        trace_note(-1, link->process->name, "cache: deadline passed", 0, 0);
        go_down(link);
    } else {
        link->watching = true;
        world_at(least, link->process, watch_deadlines, link, 0);
    }
}

static void answered(void *object, uint64_t arg)
{
    struct command *command = object;
    struct cache_link *link = command->link;
    (void)arg;
    command->over = true;
    if (command->abandoned) {
        release(command);
        return;
    }
    if (command->connection->closed) {
        return; /* the link is about to find out, and answers then */
    }
    assert(link->first == command);
    link->first = command->next;
    if (link->first == NULL) {
        link->end = &link->first;
    }
    enum cache_status status = command->redis.status;
    if (status == CACHE_OK && command->answer == ANSWER_READ) {
        for (int i = 0; i < command->redis.count; i++) {
            const struct slot *slot = &command->redis.entries[i].slot;
            command->lookups[i]->value = (struct cache_value){
                .kind = slot->kind == SLOT_ABSENT   ? CACHE_ABSENT
                        : slot->kind == SLOT_TOKEN  ? CACHE_TOKEN
                        : slot->kind == SLOT_POISON ? CACHE_POISON
                        : slot->state.version == 0  ? CACHE_NEGATIVE
                                                    : CACHE_STATE,
                .era = slot->era,
                .written_ms = INT64_C(1374105600000) + slot->written_ms,
                .state = slot->state,
            };
        }
    }
    answer(command, status);
    if (status == CACHE_MOVED && link->connection == command->connection) {
        go_down(link);
    }
    release(command);
}

static void executed(struct command *command)
{
    struct connection *connection = command->connection;
    int64_t at = world_now() + sim_delay(80);
    connection->answers = at > connection->answers ? at : connection->answers;
    world_at(connection->answers, command->link->process, answered, command, 0);
}

static void arrived(void *object, uint64_t arg)
{
    struct command *command = object;
    struct connection *connection = command->connection;
    struct redis *redis = &redis_nodes[connection->node];
    (void)arg;
    if (redis->hangs_until > world.now || command->order != connection->taken) {
        world_after(1 * MS, NULL, arrived, command, 0);
        return;
    }
    connection->taken++;
    if (connection->closed) {
        if (redis->up && connection->late-- > 0) {
            redis_execute(redis, &command->redis);
        }
        command->over = true;
        if (command->abandoned) {
            release(command);
        }
        return;
    }
    if (fault_strikes(FAULT_CACHE_ERROR)) {
        command->redis.status = CACHE_FAILED;
    } else {
        redis_execute(redis, &command->redis);
    }
    executed(command);
}

static void refuse_due(void *object, uint64_t arg)
{
    (void)arg;
    answer_refused(object);
}

void command_refuse(struct command *command)
{
    struct cache_link *link = command->link;
    command->over = true;
    if (link->refused == NULL) {
        world_after(0, link->process, refuse_due, link, 0);
    }
    *link->refused_end = command;
    link->refused_end = &command->next;
}

struct command *command_new(struct cache_link *link, enum redis_request request, enum answer how,
                            size_t count)
{
    struct command *command = free_commands;
    assert(count <= SIM_ENTRIES_MAX);
    if (command != NULL) {
        free_commands = command->next;
    } else {
        command = world_memory(sizeof *command);
    }
    memset(command, 0, offsetof(struct command, redis.entries));
    command->link = link;
    command->answer = how;
    command->redis.request = request;
    command->redis.count = (int)count;
    for (size_t i = 0; i < count; i++) {
        command->redis.entries[i].held = command->redis.entries[i].force = false;
    }
    return command;
}

void command_send(struct command *command, void *arg, int64_t timeout)
{
    struct cache_link *link = command->link;
    command->arg = arg;
    if (!cache_link_is_up(link)) {
        command_refuse(command);
        return;
    }
    memcpy(command->redis.replid, link->identity.replid, sizeof command->redis.replid);
    struct connection *connection = link->connection;
    command->connection = connection;
    command->order = connection->sent++;
    command->deadline = world_now() + timeout;
    *link->end = command;
    link->end = &command->next;
    if (!link->watching) {
        link->watching = true;
        world_at(command->deadline, link->process, watch_deadlines, link, 0);
    }
    int64_t at = world_now() + sim_delay(80);
    if (link->process->cache_slow_until > world.now) {
        at += sim_between(0, 3 * SECOND);
    }
    if (command->redis.request == REDIS_REBUILD && world.storm && sim_chance(REBUILD_LATE)) {
        at += sim_between(0, 400 * MS); /* its rows grow old meanwhile: the marks are what counts */
    }
    connection->arrives = at > connection->arrives ? at : connection->arrives;
    world_at(connection->arrives, NULL, arrived, command, 0);
}

uint64_t command_next_token(void)
{
    return ++tokens_given;
}
