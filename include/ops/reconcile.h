/*
 * ops/reconcile.h: the nightly proof that the books are right and that the cache agrees with them.
 *
 *   journal   an account's balance is the sum of its journal, and its versions have no gaps
 *   asset     what accounts hold of an asset and what system accounts owe sums to zero
 *   cache     a cached value that readers may be shown is the account's row
 *   orphan    nor is there one of an account that does not exist
 *
 * A difference is looked at again before it is reported. What is found is in the tables
 * ballast.reconciliation_run and reconciliation_finding; a repair mends the cache, from the store,
 * and never the store. Beside it, denials of long ago are forgotten.
 */
#ifndef BALLAST_OPS_RECONCILE_H
#define BALLAST_OPS_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "ops/job.h"

struct reconcile_finding {
    const char *check;   /* "journal", "asset", "cache", "orphan" */
    const char *account; /* NULL for "asset" */
    const char *expected, *found;
    bool repaired;
};

struct reconcile_result {
    int64_t run;
    uint64_t accounts;  /* whose journal was summed */
    uint64_t transfers; /* movements that were summed, a side each */
    uint64_t cached;    /* accounts whose cached value was looked at */
    uint64_t keys;      /* keys of the cache that were walked over */
    uint64_t findings, repaired;
    uint64_t forgotten; /* denials older than [store] denials-kept-days */
    bool cache_checked;
    double seconds;
};

struct reconcile_options {
    bool repair;
    double sample; /* percent of the accounts whose cached values are looked at */
    int64_t denials_kept_days;
    /* May be NULL. Texts are valid during the call. */
    void (*finding)(void *ctx, const struct reconcile_finding *finding);
    /* stage: "denials", "journal", "cache", "orphans" */
    void (*progress)(void *ctx, const char *stage, uint64_t done, double share);
    void *ctx;
};

/*
 * The job must be connected to the store. JOB_OK: all was checked; look at findings.
 * JOB_UNREACHABLE with cache_checked false: the store was checked as a whole, the cache was not.
 */
enum job_result reconcile_run(struct job *job, const struct reconcile_options *options,
                              struct reconcile_result *result) MUST_CHECK;

#endif
