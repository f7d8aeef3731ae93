/* Reconciliation as a whole: its record, its findings, the order of its checks. */
#include "ops/reconcile_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "gen/sql.h"

enum job_result reconcile_note(struct reconcile *r, const struct reconcile_finding *finding)
{
    char run[24];
    const char *params[6] = {run,
                             finding->account,
                             finding->check,
                             finding->expected,
                             finding->found,
                             finding->repaired ? "true" : "false"};

    r->result->findings++;
    r->result->repaired += finding->repaired;
    if (r->options->finding != NULL) {
        r->options->finding(r->options->ctx, finding);
    }
    snprintf(run, sizeof run, "%" PRId64, r->result->run);
    return job_query(r->job, sql_reconcile_finding, params, 6, true, NULL, NULL);
}

void reconcile_show(struct reconcile *r, const char *stage, uint64_t done, double share)
{
    if (r->options->progress != NULL) {
        r->options->progress(r->options->ctx, stage, done, share);
    }
}

static enum job_result start(struct reconcile *r)
{
    char sample[32];
    const char *params[3] = {r->job->runner, sample, r->options->repair ? "true" : "false"};

    snprintf(sample, sizeof sample, "%.9g", r->options->sample / 100);
    return job_query_int(r->job, sql_reconcile_start, params, 3, true, &r->result->run);
}

static enum job_result finish(struct reconcile *r, const char *outcome)
{
    char numbers[5][24];
    const char *params[6];
    const uint64_t values[5] = {(uint64_t)r->result->run, r->result->accounts, r->result->transfers,
                                r->result->findings, r->result->repaired};

    for (size_t i = 0; i < 5; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%" PRIu64, values[i]);
        params[i] = numbers[i];
    }
    params[5] = outcome;
    return job_query(r->job, sql_reconcile_finish, params, 6, true, NULL, NULL);
}

#define DENIALS_AT_ONCE 10000 /* about 50 ms in the store */

static enum job_result forget_denials(struct reconcile *r)
{
    char days[24], most[24];
    const char *params[2] = {days, most};
    enum job_result end = JOB_OK;
    int64_t count;

    snprintf(days, sizeof days, "%" PRId64, r->options->denials_kept_days);
    snprintf(most, sizeof most, "%d", DENIALS_AT_ONCE);
    do {
        count = 0;
        end = job_go_on(r->job);
        if (end == JOB_OK) {
            end = job_query_int(r->job, sql_prune_denials, params, 2, true, &count);
        }
        r->result->forgotten += (uint64_t)count;
        if (count > 0) {
            reconcile_show(r, "denials", r->result->forgotten, -1);
        }
    } while (end == JOB_OK && count == DENIALS_AT_ONCE);
    return end;
}

static enum job_result check_all(struct reconcile *r)
{
    enum job_result end = reconcile_roll_up(r);
    if (end == JOB_OK) {
        end = forget_denials(r);
    }
    if (end == JOB_OK) {
        end = reconcile_journal(r);
    }
    if (end == JOB_OK) {
        end = reconcile_assets(r);
    }
    if (end == JOB_OK) {
        end = job_open_cache(r->job);
    }
    if (end == JOB_OK) {
        end = reconcile_cache(r);
    }
    /* The first call only noted how far the journal goes; by now, this one can sum that. */
    if (end == JOB_OK) {
        end = reconcile_roll_up(r);
    }
    return end;
}

enum job_result reconcile_run(struct job *job, const struct reconcile_options *options,
                              struct reconcile_result *result)
{
    struct reconcile r = {.job = job, .options = options, .result = result};
    int64_t started_us = clock_boot_us(), estimate = 0;
    char why[JOB_ERROR_ROOM];

    *result = (struct reconcile_result){0};
    enum job_result end = job_query_int(job, sql_account_estimate, NULL, 0, true, &estimate);
    r.estimate = (uint64_t)estimate;
    if (end == JOB_OK) {
        end = start(&r);
    }
    if (end != JOB_OK) {
        return end;
    }
    end = check_all(&r);
    result->seconds = (double)(clock_boot_us() - started_us) / 1e6;

    bool interrupted = job->interrupted;
    memcpy(why, job->error, sizeof why);
    job->interrupted = false; /* the row gets its end also then */
    enum job_result recorded = finish(&r, result->findings > 0 ? "differences"
                                          : end == JOB_OK      ? "clean"
                                                               : "failed");
    job->interrupted = interrupted;
    if (end != JOB_OK) {
        memcpy(job->error, why, sizeof why);
        return end;
    }
    return recorded;
}
