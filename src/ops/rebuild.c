/* Rebuild as a whole: trust, lock and record around the walk and the end. */
#include "ops/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "gen/sql.h"
#include "ops/known.h"
#include "ops/rebuild_orphans.h"
#include "ops/rebuild_record.h"
#include "ops/rebuild_walk.h"

static enum job_result rebuild_all(struct rebuild *r)
{
    enum job_result end = rebuild_walk(r);

    return end == JOB_OK ? rebuild_drop_orphans(r) : end;
}

/* --- one account ------------------------------------------------------------------------------*/

static enum job_result rebuild_one(struct rebuild *r)
{
    struct slot *slot = &r->slots[0];

    chunk_clear(slot->chunk);
    chunk_add(slot->chunk, r->options->account, NULL);
    enum job_result end = chunk_take(slot->chunk, chunk_read);
    if (end == JOB_OK) {
        slot->step = SLOT_WAITING;
        r->end = true;
        end = rebuild_walk(r);
    }
    return end;
}

/* --- beginning and end ------------------------------------------------------------------------*/

static void take_era(void *arg, const struct store_rows *rows)
{
    struct trust_era *era = arg;
    const char *id = rows->value(rows, 0, 0), *nonce = rows->value(rows, 0, 1);
    const char *state = rows->value(rows, 0, 2);

    *era = (struct trust_era){0};
    if (strcmp(state, "open") == 0 &&
        decimal_parse_uint64(id, strlen(id), &era->id) == DECIMAL_OK) {
        snprintf(era->stamp, sizeof era->stamp, "%s:%s", id, nonce);
    }
}

static enum job_result prepare_trust(struct rebuild *r)
{
    struct trust_era era = {0};
    enum job_result end;

    if (r->options->dry_run) {
        return job_query(r->job, sql_era_read, NULL, 0, true, take_era, &r->dry_era);
    }
    end = job_take_lease(r->job);
    if (end == JOB_OK) {
        end = job_await_trust(r->job, &era);
    }
    r->result->era = era.id;
    return end;
}

/* A whole rebuild: under the lock, recorded. Where the lock is lost with the session, it is taken
 * again and the walk goes on from where it was, unless another one has done the work by then. */
static enum job_result rebuild_recorded(struct rebuild *r)
{
    enum job_result end;

    do {
        struct rebuild_result joined = {0};
        uint64_t downs = r->job->store_downs;
        end = rebuild_lock(r->job, r->options, &joined);
        if (end != JOB_OK) {
            return end;
        }
        if (joined.joined) {
            *r->result = joined;
            return JOB_OK;
        }
        r->lock_downs = downs;
        end = prepare_trust(r);
        if (end == JOB_OK) {
            end = rebuild_record_start(r->job, r->result->era, &r->run);
        }
        if (end != JOB_OK) {
            return end;
        }
        end = rebuild_all(r);
    } while (end == JOB_LATER);

    bool interrupted = r->job->interrupted;
    char why[JOB_ERROR_ROOM];
    memcpy(why, r->job->error, sizeof why);
    r->job->interrupted = false; /* whoever waits for us should learn of the end at once */
    enum job_result recorded =
        rebuild_record_end(r->job, r->run, r->result, end == JOB_OK ? "done" : "failed");
    r->job->interrupted = interrupted;
    if (end != JOB_OK) {
        memcpy(r->job->error, why, sizeof why);
        return end;
    }
    return recorded == JOB_OK ? rebuild_unlock(r->job) : recorded;
}

enum job_result rebuild_run(struct job *job, const struct rebuild_options *options,
                            struct rebuild_result *result)
{
    struct rebuild r = {.job = job, .options = options, .result = result, .rate = options->rate};
    int64_t estimate = 0;

    *result = (struct rebuild_result){0};
    snprintf(result->runner, sizeof result->runner, "%s", job->runner);
    enum job_result end = job_open_cache(job);
    if (end == JOB_OK) {
        end = job_query_int(job, sql_account_estimate, NULL, 0, true, &estimate);
    }
    if (end != JOB_OK) {
        return end;
    }
    r.estimate = (uint64_t)estimate;
    r.started_us = clock_boot_us();
    rebuild_slots_create(&r);
    r.known = known_create();
    if (options->account == NULL && !options->dry_run) {
        end = rebuild_recorded(&r);
    } else {
        end = prepare_trust(&r);
        if (end == JOB_OK) {
            end = options->account != NULL ? rebuild_one(&r) : rebuild_all(&r);
        }
    }
    if (!result->joined) {
        result->seconds = (double)(clock_boot_us() - r.started_us) / 1e6;
    }
    known_free(r.known);
    rebuild_slots_free(&r);
    return end;
}
