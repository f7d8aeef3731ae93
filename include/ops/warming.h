/* ops/warming.h: between ops/warm.c and the walk of a rebuild, ops/rebuild_walk.c. */
#ifndef BALLAST_OPS_WARMING_H
#define BALLAST_OPS_WARMING_H

#include "ops/chunk.h"
#include "ops/throttle.h"
#include "ops/warm.h"

/* Accounts a step: each is a script that Redis runs to its end while everybody waits. */
#ifndef WARMING_CHUNK_MAX /* the simulator's is small */
#define WARMING_CHUNK_MAX 200
#endif

/* Accounts that changed last. */
#define WARMING_RECENT_MAX 10000

struct warming {
    struct job *job;
    const struct warm_options *options;
    struct throttle throttle;
    struct account_id recent[WARMING_RECENT_MAX];
    size_t recent_count, recent_at;
    bool asking; /* Redis, how its memory is */
    bool asked;  /* it has answered */
    bool full;
    int64_t next_ask_us;
};

/* JOB_OK: go on. Anything else is the end of the walk: JOB_LATER not wanted any more. *rate as in
 * warm_options. *rests: nothing may be written yet. */
enum job_result warming_check(struct warming *warming, int64_t now_us, int64_t *rate,
                              bool *rests) MUST_CHECK;

/* Moves the next of the accounts that changed last into the empty chunk; false: there are none. */
bool warming_take_recent(struct warming *warming, struct chunk *chunk, size_t most);

#endif
