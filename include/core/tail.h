/*
 * The journal's tail: makes the cache show what no daemon has committed, the postings made in SQL.
 *
 * ballast.announce() writes a row for each account that somebody changed, in his transaction, and
 * notifies. A tail reads these rows a page at a time, publishes the accounts as they stand (T8), and
 * takes away the rows whose publish was confirmed under trust, as an acknowledgement would be (T7 a).
 * One that saw the era drained takes them away as they are: whatever a later era is filled with is
 * read later (T7 b). So a row that is gone has been published, whoever died on the way, and a lost
 * NOTIFY, a broken connection, or no daemon at all only delays it: there is no position to lose, and
 * a transaction that commits late is seen when it commits.
 *
 * It serves freshness: nobody has acknowledged these postings, and a reader who was shown one by
 * SQL goes through ENSURE as with any other.
 *
 * It knows no sockets and no clock of its own; one thread, the control thread. Several daemons may
 * publish the same rows; that is idle work and harms nothing.
 */
#ifndef BALLAST_CORE_TAIL_H
#define BALLAST_CORE_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/trust_view.h"
#include "store/store.h"

struct tail;

struct tail_hooks {
    /* Call tail_tick at this time of clock_boot_us, or earlier. Replaces what was asked before. */
    void (*need_timer)(void *ctx, int64_t at_us);
};

/* The store's link is the tail's alone; the cache's may be shared, and must know the key of the
 * checksums before the store's is up. Both belong to the caller. */
struct tail *tail_create(struct trust_view *view, struct store_link *store,
                         struct cache_link *cache, const struct tail_hooks *hooks, void *ctx)
    __attribute__((warn_unused_result));
/* Nothing is sent any more: call it before the links are freed, and tail_free() after. */
void tail_detach(struct tail *tail);
void tail_free(struct tail *tail);

void tail_tick(struct tail *tail);          /* the timer came */
void tail_notified(struct tail *tail);      /* NOTIFY on STORE_JOURNAL_CHANNEL */
void tail_links_changed(struct tail *tail); /* one of the links went up or down */

struct tail_status {
    uint64_t notified;  /* times that NOTIFY woke it */
    uint64_t published; /* accounts that were announced and have been published */
    uint64_t deferred;  /* pages that could not be published at once: the cache is not trusted */
};
void tail_status(const struct tail *tail, struct tail_status *status);

#endif
