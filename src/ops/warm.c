/* Warming the cache of a new era. See the header. */
#include "ops/warm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cache/info.h"
#include "gen/sql.h"
#include "ops/rebuild_record.h"
#include "ops/rebuild_walk.h"
#include "ops/warming.h"

/* A sequential scan of tens of millions of rows; beyond, the walk goes without. */
#define RECENT_TIMEOUT_MS 10000

/* How much of maxmemory may be in use: tokens, negative entries and what readers miss need room,
 * and an eviction would throw out what they use for what nobody has asked for. */
#define MEMORY_PERCENT_MAX 80
#define MEMORY_EVERY_US (500 * 1000)

/* --- what the walk asks -----------------------------------------------------------------------*/

static void on_memory(void *arg, enum cache_status status, const char *text)
{
    struct warming *warming = arg;

    warming->asking = false;
    if (status == CACHE_OK) {
        int64_t used = cache_info_number(text, strlen(text), "used_memory", 0),
                most = cache_info_number(text, strlen(text), "maxmemory", 0);
        warming->asked = true;
        warming->full = most != 0 && used / MEMORY_PERCENT_MAX >= most / 100;
    }
}

enum job_result warming_check(struct warming *warming, int64_t now_us, int64_t *rate, bool *rests)
{
    const struct warm_options *options = warming->options;
    struct job *job = warming->job;

    if (!options->wanted(options->ctx, rate)) {
        return job_fail(job, JOB_LATER, "the era is over");
    }
    if (!warming->asking && now_us >= warming->next_ask_us && cache_link_is_up(job->cache)) {
        warming->asking = true;
        warming->next_ask_us = now_us + MEMORY_EVERY_US;
        cache_info(job->cache, "memory", on_memory, warming);
    }
    *rests = !warming->asked;
    return JOB_OK;
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

/* --- the whole --------------------------------------------------------------------------------*/

static void take_recent(void *arg, const struct store_rows *rows)
{
    struct warming *warming = arg;

    for (size_t i = 0; i < rows->rows && warming->recent_count < WARMING_RECENT_MAX; i++) {
        const char *id = rows->value(rows, i, 0);
        if (account_id_parse(&warming->recent[warming->recent_count], id, strlen(id))) {
            warming->recent_count++;
        }
    }
}

/* Only the order depends on it: where it takes too long, the walk alone comes by everybody. */
static enum job_result read_recent(struct warming *warming)
{
    char count[16];
    const char *params[1] = {count};

    snprintf(count, sizeof count, "%d", WARMING_RECENT_MAX);
    enum job_result end = job_query_long(warming->job, sql_account_recent, params, 1,
                                         RECENT_TIMEOUT_MS, true, take_recent, warming);
    return end == JOB_INTERRUPTED ? end : JOB_OK;
}

static void show(void *ctx, const struct rebuild_result *so_far, double share)
{
    const struct warming *warming = ctx;

    (void)share;
    warming->options->progress(warming->options->ctx, so_far);
}

/* The lock is held. */
static enum job_result walk(struct warming *warming, struct rebuild_result *result)
{
    const struct rebuild_options options = {.progress = show, .ctx = warming};
    struct job *job = warming->job;
    struct rebuild r = {.job = job,
                        .options = &options,
                        .result = result,
                        .warming = warming,
                        .lock_downs = job->store_downs};
    int64_t estimate;

    result->era = warming->options->era;
    enum job_result end = job_query_int(job, sql_account_estimate, NULL, 0, true, &estimate);
    if (end == JOB_OK) {
        end = rebuild_record_start(job, result->era, &r.run);
    }
    if (end != JOB_OK) {
        return end;
    }
    r.estimate = (uint64_t)estimate;
    r.started_us = clock_boot_us();
    warming->options->started(warming->options->ctx, r.estimate);
    end = read_recent(warming);
    if (end == JOB_OK) {
        rebuild_slots_create(&r);
        end = rebuild_walk(&r);
        rebuild_slots_free(&r);
    }
    result->seconds = (double)(clock_boot_us() - r.started_us) / 1e6;

    char why[JOB_ERROR_ROOM];
    memcpy(why, job->error, sizeof why);
    enum job_result recorded =
        rebuild_record_end(job, r.run, result, end == JOB_OK ? "done" : "failed");
    if (end != JOB_OK) {
        memcpy(job->error, why, sizeof why);
    }
    return end != JOB_OK ? end : recorded;
}

enum job_result warm_run(struct job *job, const struct warm_options *options,
                         struct rebuild_result *result, bool *full)
{
    *result = (struct rebuild_result){0};
    *full = false;
    snprintf(result->runner, sizeof result->runner, "%s", job->runner);
    enum job_result end = job_connect_store(job);
    if (end == JOB_OK) {
        end = rebuild_lock_for_era(job, options->era, result);
    }
    if (end != JOB_OK || result->joined) {
        return end;
    }
    struct warming *warming = calloc(1, sizeof *warming);
    if (warming == NULL) {
        abort();
    }
    warming->job = job;
    warming->options = options;
    end = job_open_cache(job);
    if (end == JOB_OK) {
        end = walk(warming, result);
    }
    *full = warming->full;
    free(warming);
    if (rebuild_unlock(job) != JOB_OK && end == JOB_OK) {
        end = JOB_LATER; /* whether all is done is asked again */
    }
    return end;
}
