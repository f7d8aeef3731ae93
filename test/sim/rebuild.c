/* Turns of the walk, and what src/ops/job.c and warm.c are to it; see the header. */
#include "rebuild.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "fake_links.h"
#include "ops/rebuild_walk.h"
#include "ops/warming.h"
#include "trace.h"

#define PATIENCE_US (3 * SECOND)

static struct {
    struct process *process; /* NULL: none runs */
    uint64_t number;
    struct job job;
    struct rebuild_options options;
    struct rebuild_result result;
    struct rebuild rebuild;
    struct warm_options warm_options;
    struct warming warming;
    bool walks; /* one that is alone awaits its trust first, */
    int64_t patience_ends;
    bool over;
} self;

/* --- the job ----------------------------------------------------------------------------------*/

enum job_result job_fail(struct job *job, enum job_result result, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(job->error, sizeof job->error, fmt, args);
    va_end(args);
    return result;
}

bool job_trusts(struct job *job, struct trust_era *era)
{
    const struct cache_identity *redis = cache_link_identity(job->cache);
    return trust_view_check(job->view, era, clock_boot_us()) && redis != NULL &&
           strcmp(redis->run_id, era->redis.run_id) == 0 &&
           strcmp(redis->replid, era->redis.replid) == 0;
}

void job_suspect(struct job *job, uint64_t era)
{
    trust_view_suspect(job->view, era);
}

const char *job_distrust_why(struct job *job)
{
    (void)job;
    return "the daemon does not trust the cache";
}

void job_turn_by(struct job *job, int64_t at_us)
{
    (void)job, (void)at_us; /* turns come often */
}

static void pump_reads(struct job *job);

static void accounts_read(void *arg, enum store_status status, const struct store_error *error,
                          const struct store_accounts *reply)
{
    struct job_read *read = arg;
    struct job *job = read->job;
    job->reading = false;
    if (status == STORE_UNSENT) {
        list_push_front(&job->reads, &read->link);
    } else {
        read->done(read->arg, status, error, reply);
    }
    pump_reads(job);
}

static void pump_reads(struct job *job)
{
    if (!job->reading && !self.over && store_link_ready(job->reader)) {
        struct job_read *read = LIST_POP_FRONT(&job->reads, struct job_read, link);
        if (read != NULL) {
            job->reading = true;
            store_read_accounts(job->reader, read->ids, read->count, accounts_read, read);
        }
    }
}

void job_read_accounts(struct job *job, struct job_read *read)
{
    read->job = job;
    list_init(&read->link);
    list_push_back(&job->reads, &read->link);
    pump_reads(job);
}

enum job_result warming_check(struct warming *warming, int64_t now_us, int64_t *rate, bool *rests)
{
    (void)now_us, (void)rate;
    *rests = false;
    return self.over ? job_fail(warming->job, JOB_LATER, "the daemon ends") : JOB_OK;
}

bool warming_take_recent(struct warming *warming, struct chunk *chunk, size_t most)
{
    if (warming->recent_at == warming->recent_count) {
        return false;
    }
    chunk_clear(chunk);
    while (chunk->count < most && warming->recent_at < warming->recent_count) {
        chunk_add(chunk, &warming->recent[warming->recent_at++], NULL);
    }
    return true;
}

/* --- turns ------------------------------------------------------------------------------------*/

/* A job's cache link is its trust's as well, and goes with the process. */
static void end(void)
{
    self.over = true;
    if (!process_is_job(self.process)) {
        cache_link_free(self.job.cache);
    }
    store_link_free(self.job.reader);
    store_link_free(self.job.store);
    rebuild_slots_free(&self.rebuild);
    self.process = NULL;
}

static void finish(void)
{
    struct process *process = self.process;
    trace_note(-1, process->name, "rebuild over: accounts, written", self.result.accounts,
               self.result.written);
    end();
    if (process_is_job(process)) {
        process_stop(process);
    }
}

static bool may_walk(void)
{
    struct trust_era era;
    if (!self.walks && job_trusts(&self.job, &era)) {
        self.walks = true;
        rebuild_walk_begin(&self.rebuild);
    }
    return self.walks;
}

static void turn(void *object, uint64_t number)
{
    (void)object;
    if (self.process == NULL || number != self.number) {
        return;
    }
    pump_reads(&self.job);
    bool walks = may_walk();
    if (walks ? rebuild_walk_turn(&self.rebuild) && rebuild_walk_is_idle(&self.rebuild)
              : world.now > self.patience_ends) {
        finish();
        return;
    }
    world_after(sim_between(50, 2 * MS), self.process, turn, NULL, self.number);
}

static void choose_warming(uint64_t era)
{
    struct warming *warming = &self.warming;
    self.rebuild.warming = warming;
    self.warm_options = (struct warm_options){.era = era};
    memset(warming, 0, offsetof(struct warming, recent));
    warming->job = &self.job;
    warming->options = &self.warm_options;
    warming->throttle = THROTTLE_NONE;
    warming->asking = warming->full = false;
    warming->recent_at = 0;
    warming->recent_count = sim_below(4);
    for (size_t i = 0; i < warming->recent_count; i++) {
        account_name(&warming->recent[i], any_account());
    }
}

void rebuild_begin(struct process *process)
{
    static const struct store_hooks store_hooks = {.up = NULL};
    static const struct cache_hooks cache_hooks = {.up = NULL};
    bool alone = process == NULL;
    if (self.process != NULL || (alone && daemons[daemon_count] != NULL)) {
        return;
    }
    process = alone ? process_start_job() : process;
    struct process *before = world.running;
    world.running = process;
    self.process = process;
    self.number++;
    self.over = false;
    self.result = (struct rebuild_result){.era = 0};
    self.options = (struct rebuild_options){.rate = sim_chance(300000) ? 200 : 0};
    self.job = (struct job){.view = process->view, .patience_us = PATIENCE_US};
    list_init(&self.job.reads);
    self.job.store = process_store_link(&store_hooks, process);
    self.job.reader = process_store_link(&store_hooks, process);
    self.job.cache = alone ? process->cache : process_cache_link(&cache_hooks, process);
    self.rebuild = (struct rebuild){.job = &self.job,
                                    .options = &self.options,
                                    .result = &self.result,
                                    .rate = self.options.rate};
    struct trust_era era = {.id = 0};
    bool warms = !alone && trust_view_check(process->view, &era, process_clock(process));
    if (warms && sim_chance(500000)) {
        choose_warming(era.id);
    }
    rebuild_slots_create(&self.rebuild);
    self.walks = !alone;
    self.patience_ends = world.now + PATIENCE_US;
    if (self.walks) {
        rebuild_walk_begin(&self.rebuild);
    }
    world_after(sim_between(50, 2 * MS), process, turn, NULL, self.number);
    process->ahead_us = 0;
    world.running = before;
    trace_note(-1, process->name, "rebuild begins: warming, alone", self.rebuild.warming != NULL,
               alone);
}

void rebuild_lost_daemon(const struct process *process)
{
    if (process == self.process) {
        end();
    }
}
