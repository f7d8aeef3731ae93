/* The shell of a daemon: what worker and control threads do in the product, without sockets. */
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "clients.h"
#include "fake_links.h"
#include "rebuild.h"
#include "redis.h"

#define LEASE_US SECOND

struct deferred {
    struct deferred *next;
    event_fn *run;
    void *object;
    uint64_t arg;
};

struct process *daemons[DAEMONS_MAX + 1];
int daemon_count;
static uint64_t processes_started;

/* --- time -------------------------------------------------------------------------------------*/

int64_t process_clock(const struct process *process)
{
    int64_t now = world_now();
    return process->clock_base_us + now + now * process->clock_drift_ppm / 1000000;
}

int64_t process_world_time(const struct process *process, int64_t clock_us)
{
    int64_t wait = clock_us - process_clock(process);
    if (wait > 3600 * SECOND) {
        wait = 3600 * SECOND;
    }
    return world_now() +
           (wait <= 0 ? 0 : wait * 1000000 / (1000000 + process->clock_drift_ppm) + 1);
}

static void resume(void *object, uint64_t arg);

static void stand_still(struct process *process, int64_t until)
{
    process->paused_us += until - world.now;
    process->paused = true;
    process->resume_at = until;
    world_at(until, NULL, resume, process, 0);
}

static void run_now(struct process *process, event_fn *run, void *object, uint64_t arg)
{
    world.running = process;
    run(object, arg);
    world.running = NULL;
    if (process->ahead_us > 0) {
        int64_t until = world.now + process->ahead_us;
        process->ahead_us = 0;
        if (!process->dead) {
            stand_still(process, until);
        }
    }
}

static void resume(void *object, uint64_t arg)
{
    struct process *process = object;
    (void)arg;
    process->paused = false;
    while (process->deferred != NULL && !process->paused && !process->dead) {
        struct deferred *first = process->deferred;
        process->deferred = first->next;
        if (first->next == NULL) {
            process->deferred_end = &process->deferred;
        }
        run_now(process, first->run, first->object, first->arg);
    }
}

void process_run(struct process *process, event_fn *run, void *object, uint64_t arg)
{
    if (process->dead) {
        return;
    }
    if (!process->paused) {
        run_now(process, run, object, arg);
        return;
    }
    struct deferred *later = world_memory(sizeof *later);
    *later = (struct deferred){.run = run, .object = object, .arg = arg};
    *process->deferred_end = later;
    process->deferred_end = &later->next;
}

void process_pause(struct process *process, int64_t for_us)
{
    if (!process->paused && !process->dead) {
        stand_still(process, world.now + for_us);
    }
}

/* --- the control thread -----------------------------------------------------------------------*/

static void trust_due(void *object, uint64_t arg)
{
    struct process *process = object;
    if (arg == process->trust_timer) {
        trust_tick(process->trust);
    }
}

static void trust_need_timer(void *ctx, int64_t at_us)
{
    struct process *process = ctx;
    world_at(process_world_time(process, at_us), process, trust_due, process,
             ++process->trust_timer);
}

static void process_free(struct process *process);

static void start_again(void *object, uint64_t arg)
{
    (void)object;
    if (daemons[arg] == NULL && (int)arg < daemon_count) { /* a job is not started again */
        process_start((int)arg);
    }
}

static void end_of_process(void *object, uint64_t arg)
{
    struct process *process = object;
    (void)arg;
    process_free(process);
    daemons[process->slot] = NULL;
    world_after(sim_between(0, 500 * MS), NULL, start_again, NULL, (uint64_t)process->slot);
}

static void trust_stopped(void *ctx)
{
    struct process *process = ctx;
    if (process->stopping && !process->dead) {
        process->stopping = false;
        world_after(sim_between(0, 200 * MS), process, end_of_process, process, 0);
    }
}

static void woken(void *object, uint64_t arg)
{
    struct process *process = object;
    (void)arg;
    process->wake_due = false;
    trust_wake(process->trust);
}

static void wake_control(void *ctx)
{
    struct process *process = ctx;
    if (!process->wake_due && process->trust != NULL) {
        process->wake_due = true;
        world_after(sim_delay(10), process, woken, process, 0);
    }
}

static void wake_workers(void *ctx)
{
    struct process *process = ctx;
    for (int i = 0; i < process->worker_count; i++) {
        worker_wake(&process->workers[i]);
    }
}

static void control_store_changed(void *ctx, struct store_link *link)
{
    struct process *process = ctx;
    (void)link;
    if (process->trust != NULL && process_is_job(process)) {
        trust_view_report_cache(process->view, 0, cache_link_identity(process->cache));
    }
    if (process->trust != NULL) {
        trust_links_changed(process->trust);
    }
}

static void control_store_down(void *ctx, struct store_link *link, const char *why)
{
    (void)why;
    control_store_changed(ctx, link);
}

static void control_cache_up(void *ctx, struct cache_link *link)
{
    (void)link;
    control_store_changed(ctx, NULL);
}

static void control_cache_down(void *ctx, struct cache_link *link, const char *why)
{
    (void)link;
    (void)why;
    control_store_changed(ctx, NULL);
}

static void era_notified(void *object, uint64_t arg)
{
    struct process *process = object;
    (void)arg;
    if (store_link_is_up(process->store)) {
        trust_notified(process->trust);
    }
}

void process_notify_era(struct process *process)
{
    world_after(sim_delay(100), process, era_notified, process, 0);
}

/* --- the tail ---------------------------------------------------------------------------------*/

static void tail_due(void *object, uint64_t arg)
{
    struct process *process = object;
    if (arg == process->tail_timer) {
        tail_tick(process->tail);
    }
}

static void tail_need_timer(void *ctx, int64_t at_us)
{
    struct process *process = ctx;
    world_at(process_world_time(process, at_us), process, tail_due, process, ++process->tail_timer);
}

static void tail_store_up(void *ctx, struct store_link *link)
{
    struct process *process = ctx;
    (void)link;
    tail_links_changed(process->tail);
}

static void tail_store_down(void *ctx, struct store_link *link, const char *why)
{
    (void)ctx;
    (void)link;
    (void)why;
}

static void posting_notified(void *object, uint64_t arg)
{
    struct process *process = object;
    (void)arg;
    if (store_link_is_up(process->tail_store)) {
        tail_notified(process->tail);
    }
}

void process_notify_posting(struct process *process)
{
    world_after(sim_delay(100), process, posting_notified, process, 0);
}

/* --- links ------------------------------------------------------------------------------------*/

struct store_link *process_store_link(const struct store_hooks *hooks, void *ctx)
{
    char err[80];
    const struct store_options options = {
        .statement_timeout_ms = 1000, .lock_timeout_ms = 300, .connect_timeout_ms = 500};
    return store_link_create(NULL, &options, hooks, ctx, err, sizeof err);
}

struct cache_link *process_cache_link(const struct cache_hooks *hooks, void *ctx)
{
    const struct cache_options options = {
        .timeout_ms = 100, .publish_timeout_ms = 50, .connect_timeout_ms = 500};
    return cache_link_create(NULL, &options, hooks, ctx);
}

/* --- life -------------------------------------------------------------------------------------*/

/* A process without anything in it, which runs. */
static struct process *new_process(int slot)
{
    struct process *process = world_memory(sizeof *process);
    daemons[slot] = process;
    process->slot = slot;
    process->deferred_end = &process->deferred;
    process->clock_base_us = sim_between(1, 1000) * SECOND;
    process->clock_drift_ppm = sim_between(-45000, 45000);
    process->cache_target = redis_address();
    if (world.storm && world.lease_trouble && sim_chance(400000)) {
        process->store_far_until = world.now + sim_between(100 * MS, SECOND);
    }
    snprintf(process->name, sizeof process->name, "%c%d.%llu", slot == daemon_count ? 'j' : 'd',
             slot, (unsigned long long)++processes_started);
    world.running = process;
    return process;
}

static void start_trust(struct process *process)
{
    static const struct trust_hooks trust_hooks = {trust_need_timer, trust_stopped};
    static const struct store_hooks store_hooks = {control_store_changed, control_store_down, NULL};
    static const struct cache_hooks cache_hooks = {control_cache_up, control_cache_down};
    process->store = process_store_link(&store_hooks, process);
    process->cache = process_cache_link(&cache_hooks, process);
    const struct trust_options options = {
        .daemon = process->name,
        .incarnation = process->name,
        .lease_us = LEASE_US,
        .stand_aside = world.aside && !process_is_job(process),
    };
    process->trust = trust_create(&options, process->view, process->store, process->cache,
                                  &trust_hooks, process);
}

static const struct trust_view_hooks view_hooks = {wake_control, wake_workers};

void process_start(int slot)
{
    static const struct store_hooks tail_store_hooks = {tail_store_up, tail_store_down, NULL};
    static const struct tail_hooks tail_hooks = {tail_need_timer};
    struct process *before = world.running;
    struct process *process = new_process(slot);
    process->worker_count = (int)sim_between(1, WORKERS_MAX);
    process->view = trust_view_create(process->worker_count, &view_hooks, process);
    for (int i = 0; i < process->worker_count; i++) {
        worker_start(process, i);
    }
    start_trust(process);
    process->tail_store = process_store_link(&tail_store_hooks, process);
    process->tail =
        tail_create(process->view, process->tail_store, process->cache, &tail_hooks, process);
    process->ahead_us = 0;
    world.running = before;
}

struct process *process_start_job(void)
{
    struct process *before = world.running;
    struct process *process = new_process(daemon_count);
    process->view = trust_view_create(1, &view_hooks, process);
    start_trust(process);
    process->ahead_us = 0;
    world.running = before;
    return process;
}

bool process_is_job(const struct process *process)
{
    return process->slot == daemon_count;
}

static void process_free(struct process *process)
{
    struct process *before = world.running;
    world.running = process;
    for (int i = 0; i < process->worker_count; i++) {
        worker_free(&process->workers[i]);
    }
    if (process->tail != NULL) {
        tail_detach(process->tail);
        store_link_free(process->tail_store);
    }
    cache_link_free(process->cache);
    rebuild_lost_daemon(process);
    store_link_free(process->store);
    trust_free(process->trust);
    if (process->tail != NULL) {
        tail_free(process->tail);
    }
    trust_view_free(process->view);
    process->ahead_us = 0;
    process->dead = true;
    world.running = before;
    clients_lost_daemon(process);
}

void process_crash(struct process *process)
{
    process->dead = true;
    process_free(process);
    daemons[process->slot] = NULL;
    world_after(sim_between(10 * MS, SECOND), NULL, start_again, NULL, (uint64_t)process->slot);
}

static void stop_now(void *object, uint64_t arg)
{
    struct process *process = object;
    (void)arg;
    process->stopping = true;
    trust_stop(process->trust);
}

void process_stop(struct process *process)
{
    if (!process->stopping) {
        world_after(0, process, stop_now, process, 0);
    }
}

void processes_end(void)
{
    processes_started = 0;
    for (int i = 0; i <= daemon_count; i++) {
        if (daemons[i] != NULL) {
            daemons[i]->dead = true;
            process_free(daemons[i]);
            daemons[i] = NULL;
        }
    }
}
