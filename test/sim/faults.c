/*
 * A seed has some kinds of faults and not others: with all of them at once no era would live long
 * enough for the rarer meetings. Two sorts: those that come by themselves, with a mean interval,
 * and those that strike a step as it is done, with a chance in parts per million.
 */
#include "faults.h"

#include <string.h>

#include "base/attributes.h"
#include "database.h"
#include "fake_links.h"
#include "process.h"
#include "rebuild.h"
#include "redis.h"
#include "schedules.h"
#include "trace.h"

#define REBUILD_ALONE 400000 /* of a million rebuilds: those with a lease of their own */

#define EVICT_MARKS                                                                                \
    10000 /* of a million evictions: those that take the marks of a rebuild as well */

struct fault_row {
    uint32_t share;       /* of seeds that have it, in percent */
    uint32_t least, most; /* the interval in milliseconds, or the chance */
    void (*strike)(void); /* NULL: by chance */
};

const char *fault_word(enum fault fault)
{
    static const char *const words[] = {
#define FAULT_WORD(symbol, word) [FAULT_##symbol] = (word),
        FAULT_ROWS(FAULT_WORD)
#undef FAULT_WORD
    };
    return words[fault];
}

/* --- the faults that come by themselves -------------------------------------------------------*/

static int any_node(void)
{
    return redis_nodes[1 - redis_address()].up && sim_chance(300000) ? 1 - redis_address()
                                                                     : redis_address();
}

static struct process *any_process(void)
{
    return daemons[sim_below((uint32_t)daemon_count + 1)];
}

static void evict(void)
{
    redis_evict(any_node(), any_account());
    if (sim_chance(EVICT_MARKS)) {
        redis_evict_marks(any_node());
    }
}

static void flush(void)
{
    int node = any_node();
    memset(&redis_nodes[node].keys, 0, sizeof redis_nodes[node].keys);
    trace_note(-1, redis_nodes[node].identity.run_id, "flushed", 0, 0);
}

static void poison(void)
{
    redis_poison(any_node(), any_account());
}

static void restart_empty(void)
{
    redis_restart(any_node(), false);
}

static void restart_old(void)
{
    redis_restart(any_node(), true);
}

static void rewind_in_place(void)
{
    redis_rewind(any_node());
}

static void demote(void)
{
    redis_demote(any_node(), sim_between(5 * MS, 700 * MS));
}

static void hang(void)
{
    redis_nodes[any_node()].hangs_until =
        world.now + (sim_chance(500000) ? sim_between(1, 150 * MS) : sim_between(0, 2 * SECOND));
}

static void full_over(void *object, uint64_t arg)
{
    (void)arg;
    ((struct redis *)object)->full = false;
}

static void full(void)
{
    struct redis *redis = &redis_nodes[any_node()];
    redis->full = true;
    world_after(sim_between(50 * MS, 800 * MS), NULL, full_over, redis, 0);
}

static void cut_cache(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        cache_links_cut(process, -1);
    }
}

static void cache_away(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        process->cache_away_until = world.now + sim_between(50 * MS, 3 * SECOND);
        cache_links_cut(process, -1);
    }
}

static void slow_cache(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        process->cache_slow_until = world.now + sim_between(50 * MS, 700 * MS);
    }
}

static void crash_store(void)
{
    db_crash(sim_between(20 * MS, 1500 * MS));
}

static void store_away(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        process->store_away_until = world.now + sim_between(50 * MS, 3 * SECOND);
        store_links_cut(process);
    }
}

static void store_far(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        process->store_far_until = world.now + sim_between(300 * MS, 3 * SECOND);
    }
}

static void slow_store(void)
{
    db_set_slow(sim_between(50 * MS, SECOND));
}

static void readonly_store(void)
{
    db_set_readonly(sim_between(20 * MS, 500 * MS));
}

static void local_store(void)
{
    db_set_local_only(sim_between(20 * MS, 500 * MS));
}

static void timeline_accepted(void *object, uint64_t arg)
{
    (void)object;
    (void)arg;
    db_accept_timeline();
}

static void failover_store(void)
{
    db_failover();
    for (int i = 0; i <= daemon_count && sim_chance(700000); i++) {
        if (daemons[i] != NULL) { /* they ran beside it */
            process_crash(daemons[i]);
        }
    }
    world_after(sim_between(1500 * MS, 4 * SECOND), NULL, timeline_accepted, NULL, 0);
}

static void switched_on(void *object, uint64_t arg)
{
    (void)object;
    (void)arg;
    db_switch(false);
}

static void switch_off(void)
{
    db_switch(true);
    world_after(sim_between(0, SECOND), NULL, switched_on, NULL, 0);
}

static void post_in_sql(void)
{
    db_post_in_sql(any_account(), sim_between(-20, 20));
}

static void crash(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        trace_note(-1, process->name, "crashes", 0, 0);
        process_crash(process);
    }
}

static void stop(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        process_stop(process);
    }
}

static void rebuild(void)
{
    struct process *process = any_process();
    if (sim_chance(REBUILD_ALONE)) {
        rebuild_begin(NULL);
    } else if (process != NULL && !process->stopping) {
        rebuild_begin(process);
    }
}

static void pause_daemon(void)
{
    struct process *process = any_process();
    if (process != NULL) {
        int64_t time =
            sim_chance(300000) ? sim_between(0, 300 * MS) : sim_between(500 * MS, 3 * SECOND);
        trace_note(-1, process->name, "paused, for us", (uint64_t)time, 0);
        process_pause(process, time);
    }
}

/* --- the storm --------------------------------------------------------------------------------*/

static const struct fault_row rows[FAULT_COUNT] = {
    [FAULT_EVICT] = {85, 2, 60, evict},
    [FAULT_FLUSH] = {20, 500, 4000, flush},
    [FAULT_POISON] = {25, 5, 200, poison},
    [FAULT_CACHE_RESTART] = {15, 1000, 5000, restart_empty},
    [FAULT_CACHE_OLD] = {20, 1000, 5000, restart_old},
    [FAULT_CACHE_REWIND] = {20, 700, 4000, rewind_in_place},
    [FAULT_CACHE_DEMOTE] = {15, 700, 4000, demote},
    [FAULT_CACHE_SPLIT] = {25, 700, 6000, redis_split},
    [FAULT_CACHE_HANG] = {20, 300, 4000, hang},
    [FAULT_CACHE_CUT] = {30, 100, 3000, cut_cache},
    [FAULT_CACHE_AWAY] = {30, 300, 4000, cache_away},
    [FAULT_CACHE_SLOW] = {35, 200, 3000, slow_cache},
    [FAULT_CACHE_ERROR] = {20, 100, 10000, NULL},
    [FAULT_CACHE_FULL] = {15, 500, 3000, full},
    [FAULT_STORE_CUT] = {35, 200, 10000, NULL},
    [FAULT_STORE_SILENT] = {25, 20, 8000, NULL},
    [FAULT_STORE_LATE] = {40, 200, 20000, NULL},
    [FAULT_STORE_CRASH] = {15, 2000, 6000, crash_store},
    [FAULT_STORE_AWAY] = {20, 800, 4000, store_away},
    [FAULT_STORE_FAR] = {30, 400, 3000, store_far},
    [FAULT_STORE_SLOW] = {25, 400, 3000, slow_store},
    [FAULT_STORE_TRANSIENT] = {25, 100, 20000, NULL},
    [FAULT_STORE_READONLY] = {10, 1000, 5000, readonly_store},
    [FAULT_STORE_LOCAL] = {10, 1000, 5000, local_store},
    [FAULT_STORE_CURSED] = {15, 100, 5000, NULL},
    [FAULT_STORE_FAILOVER] = {12, 1500, 6000, failover_store},
    [FAULT_SQL_POST] = {25, 10, 500, post_in_sql},
    [FAULT_NOTIFY_LOST] = {40, 10000, 900000, NULL},
    [FAULT_CRASH] = {30, 600, 4000, crash},
    [FAULT_STOP] = {15, 1000, 5000, stop},
    [FAULT_PAUSE] = {35, 400, 4000, pause_daemon},
    [FAULT_STALL] = {40, 10, 1000, NULL},
    [FAULT_SWITCH] = {15, 300, 4000, switch_off},
    [FAULT_REBUILD] = {40, 50, 3000, rebuild},
    [FAULT_SCHEDULE] = {70, 50, 800, NULL}, /* an interval all the same: schedules.c */
};

static void strike(void *object, uint64_t arg)
{
    const struct fault_row *row = &rows[arg];
    (void)object;
    if (!world.storm) {
        return;
    }
    fault_count((enum fault)arg);
    row->strike();
    world_after(sim_between(1, 2 * world.rate[arg] * MS), NULL, strike, NULL, arg);
}

static void take_snapshot(void *object, uint64_t arg)
{
    (void)arg;
    if (!world.storm) {
        return;
    }
    if (object == NULL) {
        db_take_snapshot();
    } else {
        struct redis *redis = object;
        redis->snapshot = redis->keys;
    }
    world_after(sim_between(10 * MS, 2 * SECOND), NULL, take_snapshot, object, 0);
}

/* Small numbers as often as large ones. */
static uint32_t log_between(uint32_t low, uint32_t high)
{
    uint32_t value = high;
    while (value / 2 >= low && sim_chance(600000)) {
        value /= 2;
    }
    return (uint32_t)sim_between(value / 2 > low ? value / 2 : low, value);
}

/* A lease that is believed too long shows only where the next era's stamp does not stand in the
 * way: on an old master, or while the daemons cannot agree on a Redis; a read that is too old only
 * where eras come and go over the same keys. */
static bool goes_with_trouble(enum fault fault)
{
    switch (fault) {
    case FAULT_CACHE_SPLIT:
    case FAULT_CACHE_AWAY:
    case FAULT_STORE_FAR:
    case FAULT_CRASH:
        return world.lease_trouble;
    case FAULT_CACHE_ERROR:
        return world.read_trouble;
    default:
        return false;
    }
}

void faults_begin(void)
{
    uint32_t more = (uint32_t)(world.staged ? sim_between(0, 30) : sim_between(30, 150));
    world.storm = true;
    world.lease_trouble = !world.staged && sim_chance(500000);
    world.read_trouble = !world.staged && sim_chance(250000);
    for (int i = 0; i < FAULT_COUNT; i++) {
        assert(rows[i].most > 0);
        bool has = sim_below(10000) < rows[i].share * more || (i == FAULT_SCHEDULE && world.staged);
        if (!has && !goes_with_trouble((enum fault)i)) {
            continue;
        }
        world.rate[i] = log_between(rows[i].least, rows[i].most);
        if (rows[i].strike != NULL) {
            world_after(sim_between(1, 2 * world.rate[i] * MS), NULL, strike, NULL, (uint64_t)i);
        }
    }
    if (world.staged) {
        world.rate[FAULT_SCHEDULE] = rows[FAULT_SCHEDULE].least;
    }
    for (int i = 0; i < REDIS_NODES; i++) {
        world_after(sim_between(0, SECOND), NULL, take_snapshot, &redis_nodes[i], 0);
    }
    world_after(sim_between(0, SECOND), NULL, take_snapshot, NULL, 0);
    schedules_begin();
}

void faults_end(void)
{
    world.storm = false;
    schedules_end();
    redis_heal();
    db_heal();
    for (int i = 0; i <= daemon_count; i++) {
        if (daemons[i] != NULL) {
            daemons[i]->cache_slow_until = daemons[i]->cache_away_until = 0;
            daemons[i]->store_away_until = daemons[i]->store_far_until = 0;
        }
    }
}
