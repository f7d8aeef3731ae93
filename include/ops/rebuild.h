/*
 * ops/rebuild.h: makes Redis agree with PostgreSQL, online and under any load.
 *
 * It walks the accounts in pages of a thousand, looks at what the cache holds of each page, keeps
 * what is right already and writes the rest by rules T11 and T9. Nothing older than what a reader
 * may have seen can be written, so it is safe to run at any time, to interrupt and to repeat. It
 * takes a lease like a daemon, and opens an era where no daemon runs. One whole rebuild runs at a
 * time: it holds an advisory lock, and leaves its progress in ballast.rebuild_run. Keys that look
 * like accounts which the store does not have are dropped at the end; they are looked for where
 * Redis holds another number of keys than the walk has left there.
 */
#ifndef BALLAST_OPS_REBUILD_H
#define BALLAST_OPS_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "model/account.h"
#include "ops/job.h"

struct rebuild_result {
    uint64_t accounts; /* read from the store */
    uint64_t written;  /* of them, values written to the cache (or that would be, in a dry run) */
    uint64_t kept;     /* of them, values that were right, or under way by somebody else */
    uint64_t dropped;  /* values in the cache of accounts that do not exist */
    uint64_t era;
    double seconds;
    bool joined; /* it is the result of another one that was waited for */
    char runner[JOB_RUNNER_ROOM];
};

struct rebuild_options {
    const struct account_id *account; /* only this one: no lock, no record; NULL: all */
    bool dry_run;                     /* writes nothing, takes neither lock nor lease */
    bool wait;                        /* for another one, and return its result; else JOB_LATER */
    int64_t rate;                     /* accounts a second; 0: as fast as it goes */
    /* Both may be NULL. Progress: share is 0 to 1, or below 0. */
    void (*progress)(void *ctx, const struct rebuild_result *so_far, double share);
    void (*waiting)(void *ctx, const char *runner);
    void *ctx;
};

/* The job must be connected to the store. */
enum job_result rebuild_run(struct job *job, const struct rebuild_options *options,
                            struct rebuild_result *result) MUST_CHECK;

#endif
