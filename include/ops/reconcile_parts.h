/* ops/reconcile_parts.h: between the files of reconcile. */
#ifndef BALLAST_OPS_RECONCILE_PARTS_H
#define BALLAST_OPS_RECONCILE_PARTS_H

#include "ops/chunk.h"
#include "ops/reconcile.h"

#define RECONCILE_AGAIN_US                                                                         \
    (100 * 1000)          /* between two looks at a difference: twice as long as a
                                           publish may take before the era is closed over it */
#define RECONCILE_LOOKS 3 /* at a difference, before it is reported */
/* Of one statement: it may read the whole journal, or what came since the last roll-up. */
#define RECONCILE_STATEMENT_MS (10 * 60 * 1000)

struct reconcile {
    struct job *job;
    const struct reconcile_options *options;
    struct reconcile_result *result;
    uint64_t estimate; /* accounts, about */
};

/* Counts, records and shows one difference. */
enum job_result reconcile_note(struct reconcile *r,
                               const struct reconcile_finding *finding) MUST_CHECK;

/* Each account and its journal: src/ops/reconcile_journal.c. */
enum job_result reconcile_journal(struct reconcile *r) MUST_CHECK;

/* The sums: src/ops/reconcile_store.c. */
enum job_result reconcile_assets(struct reconcile *r) MUST_CHECK;
enum job_result reconcile_roll_up(struct reconcile *r) MUST_CHECK;

/* Cached values: src/ops/reconcile_cache.c. */
enum job_result reconcile_cache(struct reconcile *r) MUST_CHECK;

void reconcile_show(struct reconcile *r, const char *stage, uint64_t done, double share);

#endif
