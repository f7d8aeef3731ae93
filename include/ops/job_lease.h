/* ops/job_lease.h: between ops/job.c and ops/job_lease.c. */
#ifndef BALLAST_OPS_JOB_LEASE_H
#define BALLAST_OPS_JOB_LEASE_H

#include "ops/job.h"

/* The cache's link went up or down. */
void job_lease_cache_changed(struct job *job);

/* Drops trust and the lease's row, if one was taken, and frees what belongs to it. */
void job_lease_end(struct job *job);

#endif
