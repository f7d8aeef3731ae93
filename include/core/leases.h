/*
 * The other daemons, as their lease rows in the store show them: who is alive, who has seen an era
 * close, and which Redis each has verified.
 *
 * Whether a daemon is alive is judged on our clock alone: its renewals must grow within W. Expiry
 * times never stand in rows (a renewal may commit long after it was sent). While the store answers
 * us no renewal either, its silence says nothing about the others. Pure; one thread.
 */
#ifndef BALLAST_CORE_LEASES_H
#define BALLAST_CORE_LEASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "store/store.h"

struct lease_peer {
    struct store_lease lease;
    int64_t changed_us; /* when its renewals were last seen to grow, on our clock; its silence
                           counts from here */
};

struct leases {
    int64_t wait_us;      /* W */
    int64_t list_sent_us; /* when the renewal that brought the list was sent; 0: none yet */
    int64_t list_came_us; /* and when it came */
    /* Of our own row, with the renewal that brought the list; 0: it is not there, or not ours. At
     * the first, which makes the row, nobody who drains an era sees it until it commits (T4). */
    uint64_t own_renewals, own_born;
    uint64_t departed;    /* leases that were ever taken away, by the store's count */
    uint64_t transaction; /* of the renewal that brought the list */
    size_t count;
    struct lease_peer peers[STORE_LEASES_MAX];
};

/* Takes the list of a renewal sent at sent_us. False where our own row is not in it, or fenced: it is
 * listed as another daemon's then, since who fenced it may be gone, and nobody else may be left to
 * take it away. */
bool leases_absorb(struct leases *leases, const char *own, const struct store_leases *reply,
                   int64_t sent_us, int64_t now_us);

/* A daemon that has not renewed for W; NULL where there is none. */
const struct lease_peer *leases_silent(const struct leases *leases, int64_t now_us);

/* T5: true where every live daemon but us has verified this Redis. */
bool leases_agree(const struct leases *leases, const struct cache_identity *redis, int64_t now_us);

/* T4: true where every other daemon, alive or not, has seen that era close. */
bool leases_have_seen(const struct leases *leases, uint64_t era);

#endif
