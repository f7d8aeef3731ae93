/*
 * Values in the cache of accounts that the store does not have: the end of a rebuild.
 *
 * They are looked for only where Redis holds another number of lasting keys than the walk has left
 * there: a look at every key would cost Redis as much again as half of the walk. (Tokens, marks and
 * remembered absences are not lasting, and end by themselves.) A value that has just been evicted
 * may hide one of them until the next rebuild, or `ballast reconcile`, which looks at every key.
 */
#include "ops/rebuild_orphans.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cache/info.h"
#include "ops/known.h"
#include "ops/orphans.h"

/* --- how many keys there are ------------------------------------------------------------------*/

struct key_count {
    bool answered;
    uint64_t lasting; /* 0: not known */
};

static void on_keyspace(void *arg, enum cache_status status, const char *text)
{
    struct key_count *count = arg;
    char ours[128]; /* of the database that links use; they never select another */
    uint64_t keys, expires;

    count->answered = true;
    if (status == CACHE_OK && cache_info_field(text, strlen(text), "db0", ours, sizeof ours) &&
        sscanf(ours, "keys=%" SCNu64 ",expires=%" SCNu64, &keys, &expires) == 2) {
        count->lasting = keys - expires;
    }
}

static bool is_answered(void *arg)
{
    return ((struct key_count *)arg)->answered;
}

/* The walk's values and the stamp. */
static bool holds_nothing_else(struct rebuild *r)
{
    uint64_t ours = r->result->kept + (r->options->dry_run ? 0 : r->result->written) + 1;
    struct key_count count = {.lasting = 0};

    cache_info(r->job->cache, "keyspace", on_keyspace, &count);
    job_finish(r->job, is_answered, &count);
    return count.lasting == ours;
}

/* --- the look at every key --------------------------------------------------------------------*/

static enum job_result trusted_era(void *ctx, uint64_t *era)
{
    struct rebuild *r = ctx;
    struct trust_era now = {0};

    if (r->options->dry_run) {
        *era = r->dry_era.id;
        return JOB_OK;
    }
    enum job_result end = job_await_trust(r->job, &now);
    *era = now.id;
    return end;
}

static bool is_unknown(void *ctx, const struct account_id *id)
{
    const struct rebuild *r = ctx;

    return !known_has(r->known, id);
}

/* A refill of an account without a row leaves a remembered absence, which ends by itself. */
static enum job_result drop_orphans(void *ctx, struct chunk *suspects)
{
    struct rebuild *r = ctx;

    for (size_t i = 0; i < suspects->count; i++) {
        suspects->refill[i] = suspects->force[i] = true;
    }
    if (!r->options->dry_run) {
        enum job_result end = chunk_take_refill(suspects);
        if (end != JOB_OK) {
            return end;
        }
    }
    r->result->dropped += suspects->count;
    return JOB_OK;
}

enum job_result rebuild_drop_orphans(struct rebuild *r)
{
    const struct orphans_options orphans = {
        .era = trusted_era, .wanted = is_unknown, .found = drop_orphans, .ctx = r};

    return holds_nothing_else(r) ? JOB_OK : orphans_scan(r->job, &orphans);
}
