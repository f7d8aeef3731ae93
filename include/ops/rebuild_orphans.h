/* ops/rebuild_orphans.h: after the walk, drops what the cache holds of accounts that do not exist. */
#ifndef BALLAST_OPS_REBUILD_ORPHANS_H
#define BALLAST_OPS_REBUILD_ORPHANS_H

#include "ops/rebuild_walk.h"

enum job_result rebuild_drop_orphans(struct rebuild *r) MUST_CHECK;

#endif
