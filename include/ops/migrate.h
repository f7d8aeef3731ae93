/*
 * ops/migrate.h: the schema, brought to the version that this program knows.
 *
 * Each migration is one transaction together with its row in ballast.migration, and two runners at
 * once do it once (sql/migration_table.sql). A database whose schema is newer is refused: an old
 * program must not touch what it does not know.
 */
#ifndef BALLAST_OPS_MIGRATE_H
#define BALLAST_OPS_MIGRATE_H

#include <stdbool.h>

#include "base/attributes.h"
#include "ops/job.h"

struct migrate_options {
    bool plan; /* calls applied for what would be done, and changes nothing */
    void (*applied)(void *ctx, int version, const char *name); /* may be NULL */
    void *ctx;
};

struct migrate_result {
    int from; /* the version found; 0: no schema */
    int to;
    int applied;
};

/* The job must be of JOB_STORE_BARE and connected. */
enum job_result migrate_run(struct job *job, const struct migrate_options *options,
                            struct migrate_result *result) MUST_CHECK;

#endif
