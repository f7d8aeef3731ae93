/* Keys and scripts of the fake Redis. What a script decides must be decided here the same way. */
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/mutant.h"
#include "fake_links.h"
#include "process.h"
#include "trace.h"

#define MARKS_US (10 * SECOND)
#define TOKEN_US (2 * SECOND)
#define NEGATIVE_US (60 * SECOND)

struct redis redis_nodes[REDIS_NODES];
static int address;
static uint64_t identities;

static void new_replid(struct redis *redis)
{
    snprintf(redis->identity.replid, sizeof redis->identity.replid, "p%llu",
             (unsigned long long)++identities);
}

static void new_process(struct redis *redis)
{
    snprintf(redis->identity.run_id, sizeof redis->identity.run_id, "r%llu",
             (unsigned long long)++identities);
    new_replid(redis);
    redis->up = true;
    redis->master = true;
}

void redis_begin(void)
{
    memset(redis_nodes, 0, sizeof redis_nodes);
    identities = 0;
    address = 0;
    new_process(&redis_nodes[0]);
}

int redis_address(void)
{
    return address;
}

/* --- scripts ----------------------------------------------------------------------------------*/

static struct slot *live_slot(struct redis *redis, int account)
{
    struct slot *slot = &redis->keys.slots[account];
    if (slot->kind != SLOT_ABSENT && slot->expires_at != 0 && slot->expires_at <= world.now) {
        *slot = (struct slot){.kind = SLOT_ABSENT};
    }
    return slot;
}

/* MULTI GETEX INFO ... EXEC: reads of keys and of the stamp alike. */
static bool has_moved(const struct redis *redis, const struct redis_command *command)
{
    return !redis->master || (strcmp(command->replid, redis->identity.replid) != 0 &&
                              !(MUTANT(INPLACE) && command->request == REDIS_READ));
}

static void read_keys(struct redis *redis, struct redis_command *command)
{
    if (has_moved(redis, command)) {
        command->status = CACHE_MOVED;
        return;
    }
    memcpy(command->stamp, redis->keys.stamp, sizeof command->stamp);
    for (int i = 0; i < command->count; i++) {
        command->entries[i].slot = *live_slot(redis, command->entries[i].account);
    }
    command->status = CACHE_OK;
}

/* LUA_PROBE and LUA_UNDER_STAMP. */
static bool may_write(struct redis *redis, struct redis_command *command)
{
    command->status = !redis->master                                   ? CACHE_MOVED
                      : redis->failing                                 ? CACHE_FAILED
                      : strcmp(redis->keys.stamp, command->stamp) != 0 ? CACHE_REFUSED
                                                                       : CACHE_OK;
    return command->status == CACHE_OK;
}

static bool is_of_era(const struct slot *slot, uint64_t era)
{
    return (slot->kind == SLOT_VALUE || slot->kind == SLOT_POISON) && slot->era == era;
}

enum verdict { VERDICT_WRITE, VERDICT_KEEP, VERDICT_VOID };

static enum verdict judge(const struct slot *slot, const struct redis_command *command,
                          const struct account_state *state)
{
    bool token = slot->kind == SLOT_TOKEN;
    if (token && command->token != 0 && slot->token == command->token) {
        return VERDICT_WRITE;
    }
    if (MUTANT(FILLNOTOK) && command->token != 0 && !is_of_era(slot, command->era)) {
        return VERDICT_WRITE;
    }
    if ((MUTANT(PUBCREATE) && slot->kind == SLOT_ABSENT && state->version > 0) ||
        (MUTANT(PUBOVERTOK) && token && state->version > 0)) {
        return VERDICT_WRITE;
    }
    if (MUTANT(PUBKEEPTOK) && token) {
        return VERDICT_KEEP;
    }
    if (MUTANT(NEGATIVE) && state->version == 0) {
        return VERDICT_WRITE;
    }
    if (is_of_era(slot, command->era)) {
        return slot->state.version < state->version || (MUTANT(PUBOLDER) && state->version > 0)
                   ? VERDICT_WRITE
                   : VERDICT_KEEP;
    }
    return VERDICT_VOID;
}

static bool marks_stand(const struct redis *redis)
{
    return redis->keys.marks != 0 && redis->keys.marks_expire_at > world.now;
}

/* LUA_MARK. */
static void mark_keys(struct redis *redis, const struct redis_command *command)
{
    bool forgotten = command->token != 0 ? MUTANT(RBFILL) : MUTANT(RBPUB);
    if (!marks_stand(redis) || forgotten) {
        return;
    }
    if (redis->full) {
        redis->keys.marks = 0;
    }
    for (int i = 0; i < command->count; i++) {
        redis->keys.marked[command->entries[i].account] = true;
    }
}

/* script_marks. */
static void begin_marks(struct redis *redis, struct redis_command *command)
{
    if (!may_write(redis, command)) {
        return;
    }
    redis->keys.marks = 0;
    if (redis->full || command->token == 0) {
        command->status = CACHE_FAILED;
        return;
    }
    redis->keys.marks = command->token;
    redis->keys.marks_expire_at = world.now + MARKS_US;
    memset(redis->keys.marked, 0, sizeof redis->keys.marked);
}

/* script_rebuild. */
static void rebuild_keys(struct redis *redis, struct redis_command *command)
{
    if (!may_write(redis, command)) {
        return;
    }
    command->stand = !redis->full && marks_stand(redis) && redis->keys.marks == command->token;
    command->stand |= MUTANT(RBVOID);
    if (!command->stand) {
        return;
    }
    redis->keys.marks_expire_at = world.now + MARKS_US;
    for (int i = 0; i < command->count; i++) {
        struct redis_entry *entry = &command->entries[i];
        struct slot *slot = live_slot(redis, entry->account);
        bool has_old =
            (slot->kind == SLOT_VALUE || slot->kind == SLOT_POISON) && slot->era < command->era;
        bool marked = redis->keys.marked[entry->account] && !MUTANT(RBGUARD);
        entry->held = !marked && (slot->kind == SLOT_ABSENT || has_old);
        if (entry->held) {
            *slot = (struct slot){.kind = SLOT_VALUE,
                                  .era = command->era,
                                  .written_ms = world.now / 1000,
                                  .state = entry->state};
            trace_note(entry->account, redis->identity.run_id, "rebuilt: version, era",
                       entry->state.version, command->era);
        }
    }
}

/* script_write: publish and fill. */
static void write_keys(struct redis *redis, struct redis_command *command)
{
    if (!may_write(redis, command)) {
        return;
    }
    mark_keys(redis, command);
    for (int i = 0; i < command->count; i++) {
        struct redis_entry *entry = &command->entries[i];
        struct slot *slot = live_slot(redis, entry->account);
        enum verdict verdict = judge(slot, command, &entry->state);
        if (verdict == VERDICT_WRITE && redis->full) {
            verdict = VERDICT_VOID;
        }
        trace_note(entry->account, redis->identity.run_id,
                   verdict == VERDICT_WRITE  ? "written: version, era"
                   : verdict == VERDICT_KEEP ? "kept, not written: version, era"
                                             : "deleted instead of: version, era",
                   entry->state.version, command->era);
        if (verdict == VERDICT_WRITE) {
            *slot = (struct slot){
                .kind = SLOT_VALUE,
                .era = command->era,
                .expires_at = entry->state.version == 0 ? world.now + NEGATIVE_US : 0,
                .written_ms = world.now / 1000,
                .state = entry->state,
            };
            slot->state.held = MUTANT(HELDLOST) ? 0 : slot->state.held;
        } else if (verdict == VERDICT_VOID) {
            *slot = (struct slot){.kind = SLOT_ABSENT};
        }
    }
}

/* script_token. */
static void set_tokens(struct redis *redis, struct redis_command *command)
{
    if (!may_write(redis, command)) {
        return;
    }
    for (int i = 0; i < command->count; i++) {
        struct redis_entry *entry = &command->entries[i];
        struct slot *slot = live_slot(redis, entry->account);
        bool available =
            entry->force || (slot->kind != SLOT_TOKEN && !is_of_era(slot, command->era));
        entry->held = available && !redis->full;
        if (entry->held) {
            *slot = (struct slot){.kind = SLOT_TOKEN,
                                  .era = command->era,
                                  .token = command->token,
                                  .expires_at = world.now + TOKEN_US};
            trace_note(entry->account, redis->identity.run_id, "token, era", command->token,
                       command->era);
        }
    }
}

/* script_raise. */
static void raise_stamp(struct redis *redis, struct redis_command *command)
{
    if (!redis->master || redis->failing || redis->full) {
        command->status = !redis->master ? CACHE_MOVED : CACHE_FAILED;
        return;
    }
    uint64_t there = strtoull(redis->keys.stamp, NULL, 10);
    if (redis->keys.stamp[0] != '\0' && there >= strtoull(command->stamp, NULL, 10)) {
        command->status = CACHE_REFUSED;
        return;
    }
    memcpy(redis->keys.stamp, command->stamp, sizeof redis->keys.stamp);
    command->status = CACHE_OK;
}

void redis_execute(struct redis *redis, struct redis_command *command)
{
    switch (command->request) {
    case REDIS_READ:
        read_keys(redis, command);
        break;
    case REDIS_WRITE:
        write_keys(redis, command);
        break;
    case REDIS_TOKEN:
        set_tokens(redis, command);
        break;
    case REDIS_STAMP_READ:
        read_keys(redis, command);
        break;
    case REDIS_STAMP_RAISE:
        raise_stamp(redis, command);
        break;
    case REDIS_MARKS:
        begin_marks(redis, command);
        break;
    case REDIS_REBUILD:
        rebuild_keys(redis, command);
        break;
    }
}

/* --- faults -----------------------------------------------------------------------------------*/

void redis_restart(int node, bool from_snapshot)
{
    struct redis *redis = &redis_nodes[node];
    if (from_snapshot) {
        redis->keys = redis->snapshot;
    } else {
        memset(&redis->keys, 0, sizeof redis->keys);
    }
    redis->hangs_until = 0;
    new_process(redis);
    trace_note(-1, redis->identity.run_id, "restarted: node, from snapshot", (uint64_t)node,
               from_snapshot);
    cache_links_cut(NULL, node);
}

void redis_rewind(int node)
{
    redis_nodes[node].keys = redis_nodes[node].snapshot;
    new_replid(&redis_nodes[node]);
    trace_note(-1, redis_nodes[node].identity.run_id, "rewound in place: node", (uint64_t)node, 0);
}

static void promote(void *object, uint64_t arg)
{
    struct redis *redis = object;
    if (strcmp(redis->identity.run_id, "") != 0 && !redis->master) {
        redis->master = true;
        new_replid(redis);
        trace_note(-1, redis->identity.run_id, "promoted again: node", arg, 0);
    }
}

void redis_demote(int node, int64_t for_us)
{
    struct redis *redis = &redis_nodes[node];
    redis->master = false;
    if (sim_chance(500000)) {
        redis->keys = redis->snapshot; /* it follows a master that lags */
    }
    trace_note(-1, redis->identity.run_id, "demoted: node", (uint64_t)node, 0);
    world_after(for_us, NULL, promote, redis, (uint64_t)node);
}

static void old_master_ends(void *object, uint64_t arg)
{
    (void)object;
    if ((int)arg != address) {
        redis_nodes[arg].up = false;
        trace_note(-1, redis_nodes[arg].identity.run_id, "old master gone: node", arg, 0);
        cache_links_cut(NULL, (int)arg);
        for (int i = 0; i <= daemon_count; i++) {
            if (daemons[i] != NULL) {
                daemons[i]->cache_target = address;
            }
        }
    }
}

/* A replica that lags is made a second master; the first one lives on for a while. */
void redis_split(void)
{
    int second = 1 - address;
    struct redis *redis = &redis_nodes[second];
    if (redis->up) {
        return;
    }
    redis->keys = sim_chance(500000) ? redis_nodes[address].keys : redis_nodes[address].snapshot;
    redis->full = redis->failing = false;
    redis->hangs_until = 0;
    new_process(redis);
    trace_note(-1, redis->identity.run_id, "second master: node", (uint64_t)second, 0);
    for (int i = 0; i <= daemon_count; i++) {
        if (daemons[i] != NULL && sim_chance(500000)) {
            daemons[i]->cache_target = second;
            if (sim_chance(700000)) {
                cache_links_cut(daemons[i], -1);
            }
        }
    }
    uint64_t first = (uint64_t)address;
    address = second;
    world_after(sim_between(100 * MS, 4 * SECOND), NULL, old_master_ends, NULL, first);
}

/* Garbage, or a value with its front intact or a higher version in it. A forged value of the
 * present era with a lower version is beyond what a script can tell: a late publish would believe
 * it, and write its own old version over it. */
void redis_poison(int node, int account)
{
    struct slot *slot = &redis_nodes[node].keys.slots[account];
    bool garbage = slot->kind == SLOT_ABSENT || slot->kind == SLOT_TOKEN || sim_below(3) == 0;
    slot->kind = SLOT_POISON;
    slot->era = garbage ? 0 : slot->era;
    slot->state.version += sim_below(3) == 0 ? 5 : 0;
    slot->expires_at = 0;
    trace_note(account, redis_nodes[node].identity.run_id, "poisoned", 0, 0);
}

void redis_evict(int node, int account)
{
    redis_nodes[node].keys.slots[account] = (struct slot){.kind = SLOT_ABSENT};
    trace_note(account, redis_nodes[node].identity.run_id, "evicted", 0, 0);
}

void redis_evict_marks(int node)
{
    redis_nodes[node].keys.marks = 0;
    memset(redis_nodes[node].keys.marked, 0, sizeof redis_nodes[node].keys.marked);
    trace_note(-1, redis_nodes[node].identity.run_id, "marks evicted", 0, 0);
}

void redis_heal(void)
{
    struct redis *redis = &redis_nodes[address];
    redis->full = redis->failing = false;
    redis->hangs_until = 0;
    if (!redis->up || !redis->master) {
        new_process(redis);
        cache_links_cut(NULL, address);
    }
    old_master_ends(NULL, (uint64_t)(1 - address));
}
