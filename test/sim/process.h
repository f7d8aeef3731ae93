/*
 * One run of a daemon: a trust view, a trust machine, a tail, one or two engines with their links, a
 * clock of its own. It stands still while it is paused, and is gone when it has crashed; what it
 * had sent by then goes on without it.
 */
#ifndef BALLAST_SIM_PROCESS_H
#define BALLAST_SIM_PROCESS_H

#include "core/engine.h"
#include "core/tail.h"
#include "core/trust.h"
#include "world.h"

#define WORKERS_MAX 2

struct request;

struct worker {
    struct process *process;
    int index;
    struct engine *engine;
    struct store_link *writer, *detour, *readers[2];
    size_t reader_count;
    struct cache_link *cache;
    struct metrics *metrics;
    bool flush_due, fences_due;
    uint64_t timer; /* the number of the timer that counts */
};

struct process {
    int slot;
    char name[24];
    bool dead;
    bool stopping;
    bool paused;
    int64_t paused_us; /* altogether: nobody could answer in that time */
    int64_t ahead_us;  /* the step that runs was stalled so long */
    int64_t clock_base_us;
    int64_t clock_drift_ppm;
    int64_t resume_at;
    struct deferred *deferred, **deferred_end;

    struct trust_view *view;
    struct trust *trust;
    struct tail *tail;
    struct store_link *store, *tail_store;
    struct cache_link *cache;
    bool wake_due;
    uint64_t trust_timer, tail_timer;
    int cache_target; /* the Redis that its address leads to */
    int64_t cache_slow_until, cache_away_until, store_away_until, store_far_until;
    struct worker workers[WORKERS_MAX];
    int worker_count;
};

/* Those that run now, by slot; NULL: none. In the slot after the daemons' there may be a job, a
 * process without workers or a tail. */
extern struct process *daemons[DAEMONS_MAX + 1];
extern int daemon_count;

void process_start(int slot);
/* A job with a lease of its own; there is none yet. It is told of eras, and not started again. */
struct process *process_start_job(void);
bool process_is_job(const struct process *process);
/* At once and without a word: clients see their connections break. */
void process_crash(struct process *process);
/* A graceful end; another run takes the slot when it is over. */
void process_stop(struct process *process);
void process_pause(struct process *process, int64_t for_us);
void processes_end(void);

/* worker.c */
void worker_start(struct process *process, int index);
void worker_free(struct worker *worker);
/* The fences that it waits for may be there. */
void worker_wake(struct worker *worker);

/* An event of this process. */
void process_run(struct process *process, event_fn *run, void *object, uint64_t arg);

/* Its clock now. */
int64_t process_clock(const struct process *process);
/* When the world's clock will be there. */
int64_t process_world_time(const struct process *process, int64_t clock_us);

/* Links of this process beside those of its workers. */
struct store_link *process_store_link(const struct store_hooks *hooks, void *ctx);
struct cache_link *process_cache_link(const struct cache_hooks *hooks, void *ctx);

void process_notify_era(struct process *process);
void process_notify_posting(struct process *process);

#endif
