/*
 * The trust rules as questions: what follows from what the trust machine knows. Nothing is changed here;
 * core/trust.c asks, and acts. The numbers are those at its head.
 */
#include "base/clock.h"
#include "base/mutant.h"
#include "core/trust_machine.h"

#define JOIN_US 50000 /* that tickets against a new era wait for our lease on it */

/* T5: the Redis that every live lease, ours included, has verified; NULL where they differ. */
const struct cache_identity *trust_agreed_redis(const struct trust *t, int64_t now)
{
    struct cache_identity own = trust_verified_redis(t);
    bool agreed = own.run_id[0] != '\0' && trust_same_redis(&own, &t->reported) &&
                  leases_agree(&t->leases, &own, now);
    return agreed ? &t->reported : NULL;
}

/* --- the own lease ------------------------------------------------------------------------------*/

/* A row that has been renewed less often than it was is that of an older store; so is another row in
 * its place, unless leases have been taken away meanwhile (T12), which the store counts. */
bool trust_lease_went_back(const struct trust *t)
{
    const struct leases *now = &t->leases;
    if (now->departed < t->departed) {
        return true;
    }
    if (now->own_renewals == 0 || t->renewals == 0) {
        return false;
    }
    return now->own_born == t->born ? now->own_renewals <= t->renewals
                                    : now->departed == t->departed;
}

/* Its lease's row goes away without another word: a renewal that is still on its way grants
 * nothing, since nobody would wait for what it granted. */
bool trust_is_leaving(const struct trust *t)
{
    return (t->stopping || t->aside) && !MUTANT(LEAVER);
}

/* T1, by the renewal that was absorbed last. */
bool trust_may_grant(const struct trust *t)
{
    return t->row.state == ERA_OPEN && (t->row.id > t->dropped || MUTANT(READOPT)) &&
           (t->row.timeline_current || MUTANT(NOTL)) && !t->fenced && t->forgotten == 0 &&
           (t->renewals > 1 || MUTANT(FIRSTLEASE)) && !trust_is_leaving(t);
}

/* Silent for longer than its lease, and the row was taken away: it may come back into the era, which
 * stayed open, as if it had just started. */
bool trust_was_taken_over(const struct trust *t)
{
    return t->renewals <= 1 && clock_boot_us() >= t->valid_until_us && t->row.id == t->granted &&
           t->row.state == ERA_OPEN && t->forgotten == 0 && !trust_is_leaving(t);
}

/* --- the end of an era --------------------------------------------------------------------------*/

/* An open era that a renewal may make ours in a moment. */
static bool is_joining(const struct trust *t, int64_t now)
{
    return t->granted == 0 && t->row.id > t->dropped && t->row.timeline_current && !t->fenced &&
           now - t->open_since_us < JOIN_US;
}

bool trust_must_close(const struct trust *t, int64_t now)
{
    if (!t->row_known || t->row.state != ERA_OPEN) {
        return false;
    }
    struct cache_identity in_row;
    trust_set_redis(&in_row, t->row.run_id, t->row.replid);
    const struct cache_identity *agreed = trust_agreed_redis(t, now);
    const struct lease_peer *silent = t->aside ? NULL : leases_silent(&t->leases, now);
    /* An era up to the last one dropped is of no use to us: a close of ours is under way, or lost */
    return t->row.switched_off || (t->row.id <= t->dropped && !MUTANT(READOPT)) ||
           (tickets_wait_for(&t->tickets, t->row.id) && !is_joining(t, now)) ||
           trust_view_suspected(t->view) >= t->row.id ||
           (agreed != NULL && !trust_same_redis(agreed, &in_row)) ||
           (silent != NULL && take_over_is_stuck(&t->take_over, silent, t->leases.wait_us, now));
}

/* What T4 must not ask: a renewal may commit after the list of leases was read. */
static bool leases_seem_over(const struct trust *t, int64_t now)
{
    for (size_t i = 0; i < t->leases.count; i++) {
        const struct lease_peer *peer = &t->leases.peers[i];
        if (peer->lease.seen < t->row.id && now - peer->changed_us < t->leases.wait_us) {
            return false;
        }
    }
    return true;
}

/* T4. */
bool trust_may_drain(const struct trust *t, int64_t now)
{
    if (!t->row_known || t->row.state != ERA_CLOSING) {
        return false;
    }
    if (MUTANT(NODRAIN) || (MUTANT(EXPIRE) && leases_seem_over(t, now))) {
        return true;
    }
    int64_t wait_us = MUTANT(SHORTWAIT) ? t->lease_us / 2 : t->leases.wait_us;
    /* T14: a failover may have forgotten leases too. The era closed for it bears no nonce. */
    bool listed = t->leases.list_sent_us >= t->closing_since_us && t->row.nonce[0] != '\0';
    return now - t->closing_since_us >= wait_us ||
           (listed && (leases_have_seen(&t->leases, t->row.id) || MUTANT(NOTIFYSEEN)));
}
