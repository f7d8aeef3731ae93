/* A function a part says what it is in now; one function compares with before. */
#include "server/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/log.h"

#define BACKLOG_DEGRADED_PERCENT 50

static void set(struct health_item *item, enum health_state state, const char *action,
                const char *fmt, ...) PRINTF_LIKE(4, 5);

static void set(struct health_item *item, enum health_state state, const char *action,
                const char *fmt, ...)
{
    va_list args;

    item->state = state;
    item->action = action;
    va_start(args, fmt);
    vsnprintf(item->cause, sizeof item->cause, fmt, args);
    va_end(args);
}

/* --- the parts --------------------------------------------------------------------------------*/

static const char *first_of(const char *a, const char *b)
{
    return a[0] != '\0' ? a : b[0] != '\0' ? b : "not connected";
}

static void judge_store(const struct health_facts *facts, int64_t now_us, struct health_item *item)
{
    const struct engine_status *engines = facts->engines;

    (void)now_us;
    if (!engines->reader_up || !engines->writer_up) {
        set(item, HEALTH_FAILED,
            "connects again; answers mutations UNAVAILABLE, and reads with values marked stale",
            "%s", first_of(engines->store_why, facts->store_why));
    } else if (engines->refusal[0] != '\0') {
        set(item, HEALTH_FAILED, "goes on trying; answers reads, and mutations UNAVAILABLE",
            "no writes are taken: %s", engines->refusal);
    } else if (!facts->store_up) {
        set(item, HEALTH_DEGRADED, "connects again; answers from the store",
            "the link of the lease: %s", first_of(facts->store_why, ""));
    } else {
        set(item, HEALTH_OK, "", "%s", "");
    }
}

static void judge_cache(const struct health_facts *facts, int64_t now_us, struct health_item *item)
{
    (void)now_us;
    if (!facts->engines->cache_up || !facts->cache_up) {
        set(item, HEALTH_DEGRADED, "connects again; answers from the store", "%s",
            first_of(facts->engines->cache_why, facts->cache_why));
    } else {
        set(item, HEALTH_OK, "", "%s", "");
    }
}

static void judge_era(const struct health_facts *facts, int64_t now_us, struct health_item *item)
{
    static const struct {
        enum health_state state;
        const char *action;
    } phases[] = {
        [TRUST_NO_STORE] = {HEALTH_DEGRADED, "asks the store again; believes nothing cached"},
        [TRUST_TRUSTING] = {HEALTH_OK, ""},
        [TRUST_JOINING] = {HEALTH_DEGRADED, "takes a lease; answers from the store until then"},
        [TRUST_ELSEWHERE] = {HEALTH_DEGRADED,
                             "answers from the store until an era opens that it may trust"},
        [TRUST_CLOSING] = {HEALTH_DEGRADED,
                           "waits for the leases, then drains the era; answers from the store"},
        [TRUST_DRAINED] = {HEALTH_DEGRADED, "opens an era as soon as all daemons agree on one "
                                            "Redis; answers from the store"},
        [TRUST_ASIDE] = {HEALTH_FAILED, "refuses every request until Redis is back"},
    };
    const struct trust_status *trust = facts->trust;
    const char *action = phases[trust->phase].action;

    (void)now_us;
    if (trust->phase == TRUST_DRAINED && trust->switched_off) {
        action = "keeps the era closed; answers from the store";
    }
    set(item, phases[trust->phase].state, action, "%s", trust->why != NULL ? trust->why : "");
}

static void judge_lease(const struct health_facts *facts, int64_t now_us, struct health_item *item)
{
    static const char action[] = "renews it as soon as it can; believes nothing cached meanwhile";
    const struct trust_status *trust = facts->trust;
    int64_t age_us = now_us - trust->renewed_us;

    if (trust->phase == TRUST_ASIDE) {
        set(item, HEALTH_DEGRADED, "takes a new one when Redis is back",
            "given up, for the sake of the other daemons");
    } else if (trust->renewed_us == 0) {
        set(item, HEALTH_DEGRADED, action, "the store has not granted one yet");
    } else if (trust->fenced) {
        set(item, HEALTH_DEGRADED, action, "another daemon took it for dead");
    } else if (age_us >= facts->lease_us) {
        set(item, HEALTH_DEGRADED, action,
            "not renewed for longer than it runs: the store is away "
            "or slow");
    } else {
        set(item, HEALTH_OK, "", "%s", "");
    }
}

static size_t percent(size_t count, size_t most)
{
    return most > 0 ? count * 100 / most : 0;
}

static void judge_backlog(const struct health_facts *facts, int64_t now_us,
                          struct health_item *item)
{
    const struct engine_status *engines = facts->engines;
    size_t writes = percent(engines->writes_queued, facts->queue_max);
    size_t reads = percent(engines->reads_waiting, facts->read_queue_max);

    (void)now_us;
    if (writes >= 100 || reads >= 100) {
        set(item, HEALTH_FAILED, "answers BUSY to what comes",
            "%zu mutations and %zu reads wait for the store: a queue is full",
            engines->writes_queued, engines->reads_waiting);
    } else if (engines->writes_in_doubt > 0) {
        set(item, HEALTH_DEGRADED, "sends them again under the same keys, until the store tells",
            "%zu mutations in doubt, the oldest since %" PRId64 " ms", engines->writes_in_doubt,
            engines->oldest_doubt_us / 1000);
    } else if (writes >= BACKLOG_DEGRADED_PERCENT || reads >= BACKLOG_DEGRADED_PERCENT) {
        set(item, HEALTH_DEGRADED, "batches them; answers BUSY when a queue is full",
            "%zu mutations and %zu reads wait for the store", engines->writes_queued,
            engines->reads_waiting);
    } else {
        set(item, HEALTH_OK, "", "%s", "");
    }
}

static const struct {
    const char *name;
    void (*judge)(const struct health_facts *facts, int64_t now_us, struct health_item *item);
} parts[HEALTH_PARTS] = {
    [HEALTH_STORE] = {"store", judge_store},
    [HEALTH_CACHE] = {"cache", judge_cache},
    [HEALTH_ERA] = {"era", judge_era},
    [HEALTH_LEASE] = {"lease", judge_lease},
    [HEALTH_BACKLOG] = {"backlog", judge_backlog},
};

/* --- before and now ---------------------------------------------------------------------------*/

const char *health_part_name(enum health_part part)
{
    assert((unsigned)part < HEALTH_PARTS);
    return parts[part].name;
}

const char *health_state_name(enum health_state state)
{
    static const char *const names[HEALTH_STATES] = {"ok", "degraded", "failed"};

    assert((unsigned)state < HEALTH_STATES);
    return names[state];
}

void health_init(struct health *health, int64_t now_us, int64_t now_wall_ms)
{
    for (int i = 0; i < HEALTH_PARTS; i++) {
        health->parts[i] = (struct health_item){
            .state = HEALTH_DEGRADED,
            .since_us = now_us,
            .since_wall_ms = now_wall_ms,
            .cause = "the daemon is starting",
            .action = "",
        };
    }
}

static void tell(enum health_part part, const struct health_item *before,
                 const struct health_item *now, int64_t now_us)
{
    log_event(now->state == HEALTH_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "health",
              "part=%s state=%s was=%s lasted_ms=%" PRId64 " cause=%s action=%s", parts[part].name,
              health_state_name(now->state), health_state_name(before->state),
              (now_us - before->since_us) / 1000,
              LOG_VALUE(now->state == HEALTH_OK ? before->cause : now->cause),
              LOG_VALUE(now->action));
}

void health_update(struct health *health, const struct health_facts *facts, bool quiet,
                   int64_t now_us, int64_t now_wall_ms)
{
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        struct health_item *item = &health->parts[part];
        struct health_item now = *item;
        parts[part].judge(facts, now_us, &now);
        if (now.state != item->state) {
            now.since_us = now_us;
            now.since_wall_ms = now_wall_ms;
            if (!quiet || now.state == HEALTH_OK) {
                tell(part, item, &now, now_us);
            }
        }
        *item = now;
    }
}

void health_summarize(const struct health *health, char out[HEALTH_SUMMARY_ROOM])
{
    enum health_part worst = 0;

    for (enum health_part part = 1; part < HEALTH_PARTS; part++) {
        if (health->parts[part].state > health->parts[worst].state) {
            worst = part;
        }
    }
    const struct health_item *item = &health->parts[worst];
    if (item->state == HEALTH_OK) {
        snprintf(out, HEALTH_SUMMARY_ROOM, "ok");
        return;
    }
    snprintf(out, HEALTH_SUMMARY_ROOM, "%s %s: %s", parts[worst].name,
             health_state_name(item->state), item->cause);
    for (char *at = out; *at != '\0'; at++) {
        *at = *at >= ' ' && *at <= '~' ? *at : '?';
    }
}
