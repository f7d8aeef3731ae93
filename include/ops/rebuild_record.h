/*
 * ops/rebuild_record.h: that one rebuild runs at a time, and what it leaves in ballast.rebuild_run.
 */
#ifndef BALLAST_OPS_REBUILD_RECORD_H
#define BALLAST_OPS_REBUILD_RECORD_H

#include "ops/rebuild.h"

/*
 * Takes the lock of rebuilds. JOB_OK with result->joined: another one held it, was waited for and
 * is done: *result is what it did, and the lock is not held. JOB_LATER: another holds it and
 * options->wait is false. A daemon that warms the cache is asked to leave that to us: it looks at
 * less than a rebuild does, so its result would not do.
 */
enum job_result rebuild_lock(struct job *job, const struct rebuild_options *options,
                             struct rebuild_result *result) MUST_CHECK;
/*
 * The same for a daemon that warms the cache of an era, which never waits. JOB_OK with
 * result->joined: the last one that ran did all for this era, or a later one; the lock is not held.
 * JOB_LATER: another one runs, or somebody waits to run one.
 */
enum job_result rebuild_lock_for_era(struct job *job, uint64_t era,
                                     struct rebuild_result *result) MUST_CHECK;
enum job_result rebuild_unlock(struct job *job) MUST_CHECK;

enum job_result rebuild_record_start(struct job *job, uint64_t era, int64_t *run) MUST_CHECK;

/* The parameters of sql_rebuild_progress, in text. */
struct rebuild_record {
    char run[24], accounts[24], written[24];
    const char *params[4];
};
void rebuild_record_fill(struct rebuild_record *record, int64_t run,
                         const struct rebuild_result *result, const char *state);
/* state: done or failed. */
enum job_result rebuild_record_end(struct job *job, int64_t run,
                                   const struct rebuild_result *result,
                                   const char *state) MUST_CHECK;

#endif
