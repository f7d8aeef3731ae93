/*
 * The lock is held by the session of job->store: whoever dies gives it back. A row that still says
 * `running` while nobody holds the lock is that of a rebuild that died, and is marked failed by
 * the next one.
 *
 * A second lock is the wish for the first: a daemon that warms the cache asks once a second whether
 * somebody holds it, and makes room.
 */
#include "ops/rebuild_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "gen/sql.h"

#define REBUILD_POLL_US (250 * 1000) /* how often a waiting one tries the lock */

struct last {
    int64_t run; /* 0: none yet */
    bool running, done;
    bool by_daemon; /* a warming */
    struct rebuild_result result;
};

static uint64_t to_uint64(const char *text)
{
    uint64_t value;

    return text != NULL && decimal_parse_uint64(text, strlen(text), &value) == DECIMAL_OK ? value
                                                                                          : 0;
}

static void take_last(void *arg, const struct store_rows *rows)
{
    struct last *last = arg;

    *last = (struct last){0};
    if (rows->rows == 0) {
        return;
    }
    const char *state = rows->value(rows, 0, 2), *seconds = rows->value(rows, 0, 6);
    last->run = (int64_t)to_uint64(rows->value(rows, 0, 0));
    last->running = strcmp(state, "running") == 0;
    last->done = strcmp(state, "done") == 0;
    snprintf(last->result.runner, sizeof last->result.runner, "%s", rows->value(rows, 0, 1));
    last->by_daemon =
        strncmp(last->result.runner, JOB_DAEMON_PREFIX, sizeof JOB_DAEMON_PREFIX - 1) == 0;
    last->result.era = to_uint64(rows->value(rows, 0, 3));
    last->result.accounts = to_uint64(rows->value(rows, 0, 4));
    last->result.written = to_uint64(rows->value(rows, 0, 5));
    last->result.kept = last->result.accounts - last->result.written;
    last->result.seconds = seconds != NULL ? strtod(seconds, NULL) : 0;
}

static enum job_result read_last(struct job *job, struct last *last)
{
    return job_query(job, sql_rebuild_last, NULL, 0, true, take_last, last);
}

/* The lock is ours now. before: the newest run that had ended when we began to wait for the lock;
 * negative: we did not wait. */
static enum job_result take_over(struct job *job, int64_t before, struct rebuild_result *result)
{
    struct last last;
    enum job_result end = read_last(job, &last);

    if (end != JOB_OK) {
        return end;
    }
    if (last.running) {
        return rebuild_record_end(job, last.run, &last.result, "failed");
    }
    if (before >= 0 && last.run > before && last.done && !last.by_daemon) {
        *result = last.result;
        result->joined = true;
        return rebuild_unlock(job);
    }
    return JOB_OK;
}

/* Tells whom we wait for. *wanting: a daemon has been asked to make room. */
static enum job_result wait_for(struct job *job, const struct rebuild_options *options,
                                const struct last *last, bool *told, bool *wanting)
{
    const char *runner = last->running ? last->result.runner : "somebody who has just begun";
    enum job_result end = JOB_OK;

    if (!options->wait) {
        return job_fail(job, JOB_LATER, "a rebuild is being run by %s", runner);
    }
    if (last->running && last->by_daemon && !*wanting) {
        end = job_query(job, sql_rebuild_want, NULL, 0, true, NULL, NULL);
        *wanting = end == JOB_OK;
    }
    if (last->running && !*told && options->waiting != NULL) {
        options->waiting(options->ctx, runner);
        *told = true;
    }
    if (last->running && options->progress != NULL) {
        options->progress(options->ctx, &last->result, -1);
    }
    if (end == JOB_OK && job_pause(job, REBUILD_POLL_US) == JOB_SIGNAL) {
        end = job_fail(job, JOB_INTERRUPTED, "interrupted");
    }
    return end;
}

enum job_result rebuild_lock(struct job *job, const struct rebuild_options *options,
                             struct rebuild_result *result)
{
    int64_t before = -1;
    bool told = false, wanting = false;

    for (;;) {
        struct last last;
        int64_t locked;
        enum job_result end = job_query_int(job, sql_rebuild_lock, NULL, 0, true, &locked);
        if (end == JOB_OK && locked) {
            if (wanting) {
                end = job_query(job, sql_rebuild_unwant, NULL, 0, true, NULL, NULL);
            }
            return end == JOB_OK ? take_over(job, before, result) : end;
        }
        if (end == JOB_OK) {
            end = read_last(job, &last);
        }
        if (end != JOB_OK) {
            return end;
        }
        if (before < 0) {
            before = last.running ? last.run - 1 : last.run;
        }
        end = wait_for(job, options, &last, &told, &wanting);
        if (end != JOB_OK) {
            return end;
        }
    }
}

enum job_result rebuild_lock_for_era(struct job *job, uint64_t era, struct rebuild_result *result)
{
    struct last last = {0};
    int64_t locked, wanted = 0;
    enum job_result end = job_query_int(job, sql_rebuild_lock, NULL, 0, true, &locked);

    if (end == JOB_OK && !locked) {
        return job_fail(job, JOB_LATER, "another one is at it");
    }
    if (end == JOB_OK) {
        end = job_query_int(job, sql_rebuild_wanted, NULL, 0, true, &wanted);
    }
    if (end == JOB_OK && !wanted) {
        end = read_last(job, &last);
    }
    if (end == JOB_OK && last.running) {
        return rebuild_record_end(job, last.run, &last.result, "failed");
    }
    if (end == JOB_OK && last.done && last.result.era >= era) {
        *result = last.result;
        result->joined = true;
    }
    if (end == JOB_OK && (wanted || result->joined)) {
        end = rebuild_unlock(job);
    }
    return end == JOB_OK && wanted ? job_fail(job, JOB_LATER, "a rebuild takes over") : end;
}

enum job_result rebuild_unlock(struct job *job)
{
    return job_query(job, sql_rebuild_unlock, NULL, 0, true, NULL, NULL);
}

enum job_result rebuild_record_start(struct job *job, uint64_t era, int64_t *run)
{
    char text[24];
    const char *params[2] = {job->runner, text};

    snprintf(text, sizeof text, "%" PRIu64, era);
    return job_query_int(job, sql_rebuild_start, params, 2, true, run);
}

void rebuild_record_fill(struct rebuild_record *record, int64_t run,
                         const struct rebuild_result *result, const char *state)
{
    snprintf(record->run, sizeof record->run, "%" PRId64, run);
    snprintf(record->accounts, sizeof record->accounts, "%" PRIu64, result->accounts);
    snprintf(record->written, sizeof record->written, "%" PRIu64, result->written);
    record->params[0] = record->run;
    record->params[1] = record->accounts;
    record->params[2] = record->written;
    record->params[3] = state;
}

enum job_result rebuild_record_end(struct job *job, int64_t run,
                                   const struct rebuild_result *result, const char *state)
{
    struct rebuild_record record;

    rebuild_record_fill(&record, run, result, state);
    return job_query(job, sql_rebuild_progress, record.params, 4, true, NULL, NULL);
}
