/*
 * Values in the cache of accounts that the store does not have: the end of a rebuild.
 *
 * They are looked for only where Redis holds another number of lasting keys than the walk has left
 * there: a look at every key would cost Redis as much again as half of the walk. (Tokens, marks and
 * remembered absences are not lasting, and end by themselves.) A value that has just been evicted
 * may hide one of them until the next rebuild, or `ballast reconcile`, which looks at every key.
 */
#include "ops/rebuild_orphans.h"

#include <string.h>

#include "base/decimal.h"
#include "ops/known.h"
#include "ops/orphans.h"

/* --- how many keys there are ------------------------------------------------------------------*/

struct key_count {
    bool answered;
    uint64_t lasting; /* 0: not known */
};

/* "keys=3,expires=1,avg_ttl=0" */
static uint64_t number_behind(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    uint64_t value = 0;

    if (at == NULL) {
        return 0;
    }
    at += strlen(name);
    return decimal_parse_uint64(at, strspn(at, "0123456789"), &value) == DECIMAL_OK ? value : 0;
}

static void on_keyspace(void *arg, enum cache_status status, const char *text)
{
    static const char database[] = "\ndb0:"; /* ours: a link never selects another */
    struct key_count *count = arg;
    const char *line = status == CACHE_OK ? strstr(text, database) : NULL;

    count->answered = true;
    if (line != NULL) {
        count->lasting = number_behind(line, "keys=") - number_behind(line, "expires=");
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
