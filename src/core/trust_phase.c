/* Where the trust machine stands, for people and for its timer. */
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/trust_machine.h"

static const struct cache_identity no_redis;

bool trust_same_redis(const struct cache_identity *a, const struct cache_identity *b)
{
    return strcmp(a->run_id, b->run_id) == 0 && strcmp(a->replid, b->replid) == 0;
}

void trust_set_redis(struct cache_identity *redis, const char *run_id, const char *replid)
{
    snprintf(redis->run_id, sizeof redis->run_id, "%s", run_id);
    snprintf(redis->replid, sizeof redis->replid, "%s", replid);
}

struct cache_identity trust_verified_redis(const struct trust *t)
{
    const struct cache_identity *own = cache_link_identity(t->cache);
    return own != NULL && trust_view_all_on(t->view, own) ? *own : no_redis;
}

void trust_update_phase(struct trust *t, int64_t now)
{
    enum trust_phase phase = TRUST_NO_STORE;
    const char *why = "the store has not answered a renewal of the lease";
    bool heard = t->row_known && store_link_is_up(t->store);
    if (t->aside) {
        phase = TRUST_ASIDE;
        why = "cut off from Redis: refusing, so that the other daemons keep the cache";
    } else if (t->granted != 0 && now < t->valid_until_us) {
        struct cache_identity in_row, own = trust_verified_redis(t);
        trust_set_redis(&in_row, t->row.run_id, t->row.replid);
        bool ours = trust_same_redis(&own, &in_row);
        phase = ours ? TRUST_TRUSTING : TRUST_ELSEWHERE;
        why = ours ? "" : "the era is open on a Redis that this daemon is not connected to";
    } else if (heard && (t->row.state == ERA_CLOSING || t->row.id <= t->dropped) &&
               t->row.state != ERA_DRAINED) {
        phase = TRUST_CLOSING;
        why = "waiting until no daemon can trust the closing era";
    } else if (heard && t->row.state == ERA_DRAINED) {
        phase = TRUST_DRAINED;
        why = t->row.switched_off          ? "switched off by an operator: ballast cache on"
              : cache_link_is_up(t->cache) ? "waiting to open an era that all daemons agree on"
                                           : "no Redis to open an era on";
    } else if (heard && t->row.id > t->dropped && t->row.timeline_current && !t->fenced) {
        phase = TRUST_JOINING;
        why = "taking a lease on the open era";
    } else if (heard) {
        phase = TRUST_ELSEWHERE;
        why = "the open era is not one that this daemon may trust";
    }
    if (phase != t->status.phase || t->status.since_us == 0) {
        log_info("trust", "phase=%s era=%llu why=%s", trust_phase_name(phase),
                 (unsigned long long)t->row.id, LOG_VALUE(why));
        t->status.since_us = now;
    }
    t->status.phase = phase;
    t->status.why = why;
    t->status.era = t->row.id;
    t->status.valid_until_us = t->valid_until_us;
    t->status.leases = t->leases.count + 1;
    t->status.renewed_us = t->leases.list_sent_us;
    t->status.fenced = t->fenced;
    t->status.switched_off = t->row.switched_off;
}

int64_t trust_next_wake(const struct trust *t, int64_t now)
{
    int64_t at = t->renew_at_us;
    if (t->row_known && t->row.state == ERA_CLOSING && at > now + TRUST_POLL_US) {
        at = now + TRUST_POLL_US;
    }
    if (t->row_known && t->row.state == ERA_DRAINED && t->opening.stage == OPENING_IDLE &&
        t->opening.not_before_us > now && t->opening.not_before_us < at) {
        at = t->opening.not_before_us;
    }
    if (t->stand_aside && t->cut_off_us != 0 && !t->aside && t->cut_off_us + t->lease_us < at) {
        at = t->cut_off_us + t->lease_us;
    }
    if (t->valid_until_us > now && t->valid_until_us < at) {
        at = t->valid_until_us;
    }
    /* With a request under way, or the link down, its callback comes first. */
    return at > now ? at : now + TRUST_POLL_US;
}

void trust_status(const struct trust *trust, struct trust_status *status)
{
    *status = trust->status;
}

const char *trust_phase_name(enum trust_phase phase)
{
    static const char *const names[] = {
        [TRUST_NO_STORE] = "no-store",   [TRUST_TRUSTING] = "trusting", [TRUST_JOINING] = "joining",
        [TRUST_ELSEWHERE] = "elsewhere", [TRUST_CLOSING] = "closing",   [TRUST_DRAINED] = "drained",
        [TRUST_ASIDE] = "aside",
    };
    assert((unsigned)phase < sizeof names / sizeof names[0]);
    return names[phase];
}
