/*
 * ops/warm.h: fills the cache of an era that has just been opened, in the background of a daemon
 * that serves: the walk of a rebuild (ops/rebuild_walk.h) with three differences.
 *
 *   - The accounts that changed last come first.
 *   - Only what the cache lacks is written, and only in this one era. What stands there already was
 *     put there by a reader or a mutation, and is as new as anything.
 *   - It gives way: to load, as ops/throttle.h judges it; to memory, which is left for those whom
 *     the cache serves; to a rebuild that somebody asks for, which takes over.
 *
 * One runs at a time over all daemons, and none beside a rebuild: they share lock and record.
 */
#ifndef BALLAST_OPS_WARM_H
#define BALLAST_OPS_WARM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "ops/job.h"
#include "ops/rebuild.h"

struct warm_options {
    uint64_t era;
    /* Asked at least every 20 ms: false ends it at once. *rate: accounts a second at most; 0: as
     * fast as the servers bear. */
    bool (*wanted)(void *ctx, int64_t *rate);
    void (*started)(void *ctx, uint64_t estimate); /* accounts, about */
    void (*progress)(void *ctx, const struct rebuild_result *so_far);
    void *ctx;
};

/*
 * JOB_OK: the era's cache is as warm as it gets: result->joined where somebody else had done that
 * before, *full where Redis has no memory for more. JOB_LATER: somebody else is at it, or it is not
 * wanted any more. The job must be one of a daemon's.
 */
enum job_result warm_run(struct job *job, const struct warm_options *options,
                         struct rebuild_result *result, bool *full) MUST_CHECK;

#endif
