/* ops/job_lease.h: between ops/job.c and ops/job_lease.c. */
#ifndef BALLAST_OPS_JOB_LEASE_H
#define BALLAST_OPS_JOB_LEASE_H

#include "ops/job.h"

/* The settings of a store link as the configuration has them. */
struct store_options job_store_options(const struct config *config, const char *name);

/* The cache's link went up or down. */
void job_lease_cache_changed(struct job *job);

/* Drops trust and the lease's row, if one was taken, and frees what belongs to it. */
void job_lease_end(struct job *job);

#endif
