/* The other daemons' leases; see the header for how they are judged. */
#include "core/leases.h"

#include <string.h>

/* After an outage of the store the others reconnect later than we did, by at most so much: the
 * longest pause of a link between two attempts (store/link.c), and some. */
#define REUNION_US 1500000

/* Lists come every third of a lease, and W is more than a lease: with one missing in between, a
 * daemon that renews in time may seem not to. */
static bool is_watching(const struct leases *leases, int64_t now_us)
{
    return leases->list_came_us != 0 && now_us - leases->list_came_us <= leases->wait_us / 2;
}

static const struct lease_peer *find(const struct leases *leases, const char *daemon)
{
    for (size_t i = 0; i < leases->count; i++) {
        if (strcmp(leases->peers[i].lease.daemon, daemon) == 0) {
            return &leases->peers[i];
        }
    }
    return NULL;
}

bool leases_absorb(struct leases *leases, const char *own, const struct store_leases *reply,
                   int64_t sent_us, int64_t now_us)
{
    struct lease_peer fresh[STORE_LEASES_MAX];
    size_t count = 0;
    bool own_holds = false;
    int64_t since_us = is_watching(leases, now_us) ? 0 : now_us + REUNION_US;
    leases->own_renewals = 0;
    leases->departed = reply->departed;
    leases->transaction = reply->transaction;
    for (size_t i = 0; i < reply->count && count < STORE_LEASES_MAX; i++) {
        const struct store_lease *lease = &reply->leases[i];
        if (strcmp(lease->daemon, own) == 0) {
            own_holds = !lease->fenced;
            leases->own_renewals = own_holds ? lease->renewals : 0;
            leases->own_born = lease->born;
            if (own_holds) {
                continue;
            }
        }
        const struct lease_peer *before = find(leases, lease->daemon);
        bool unchanged = before != NULL && before->lease.renewals == lease->renewals &&
                         before->lease.born == lease->born;
        fresh[count].lease = *lease;
        fresh[count].changed_us = unchanged ? before->changed_us : now_us;
        if (unchanged && fresh[count].changed_us < since_us) {
            fresh[count].changed_us = since_us;
        }
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        leases->peers[i] = fresh[i];
    }
    leases->count = count;
    leases->list_sent_us = sent_us;
    leases->list_came_us = now_us;
    return own_holds;
}

static bool is_silent(const struct leases *leases, const struct lease_peer *peer, int64_t now_us)
{
    return is_watching(leases, now_us) && now_us - peer->changed_us >= leases->wait_us;
}

const struct lease_peer *leases_silent(const struct leases *leases, int64_t now_us)
{
    for (size_t i = 0; i < leases->count; i++) {
        if (is_silent(leases, &leases->peers[i], now_us)) {
            return &leases->peers[i];
        }
    }
    return NULL;
}

bool leases_agree(const struct leases *leases, const struct cache_identity *redis, int64_t now_us)
{
    for (size_t i = 0; i < leases->count; i++) {
        const struct lease_peer *peer = &leases->peers[i];
        if (!is_silent(leases, peer, now_us) && (strcmp(peer->lease.run_id, redis->run_id) != 0 ||
                                                 strcmp(peer->lease.replid, redis->replid) != 0)) {
            return false;
        }
    }
    return true;
}

bool leases_have_seen(const struct leases *leases, uint64_t era)
{
    for (size_t i = 0; i < leases->count; i++) {
        if (leases->peers[i].lease.seen < era) {
            return false;
        }
    }
    return true;
}
