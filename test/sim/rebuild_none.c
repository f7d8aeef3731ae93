/* What the walk's files name and no rebuild of the simulator comes to: it blocks, or is recorded. */
#include <stdlib.h>

#include "ops/rebuild_record.h"

enum job_wait_end job_wait(struct job *job, bool (*ready)(void *arg), void *arg,
                           int64_t deadline_us)
{
    (void)job, (void)ready, (void)arg, (void)deadline_us;
    abort();
}

void job_finish(struct job *job, bool (*ready)(void *arg), void *arg)
{
    (void)job, (void)ready, (void)arg;
    abort();
}

enum job_wait_end job_pause(struct job *job, int64_t duration_us)
{
    (void)job, (void)duration_us;
    abort();
}

enum job_result job_await_trust(struct job *job, struct trust_era *era)
{
    (void)job, (void)era;
    abort();
}

void rebuild_record_fill(struct rebuild_record *record, int64_t run,
                         const struct rebuild_result *result, const char *state)
{
    (void)record, (void)run, (void)result, (void)state;
    abort();
}

void store_query(struct store_link *link, const char *sql, const char *const *params, int count,
                 int timeout_ms, store_rows_fn *done, void *arg)
{
    (void)link, (void)sql, (void)params, (void)count, (void)timeout_ms, (void)done, (void)arg;
    abort();
}
