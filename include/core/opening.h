/*
 * The first half of opening an era (rule T5): find an id above every stamp and row, and write the
 * stamp into Redis, before the store is asked to make it true by compare and set.
 *
 * One attempt at a time; after an era that did not last, and after a failure, the next one waits.
 * One thread; callbacks of the cache's link lead to changed().
 */
#ifndef BALLAST_CORE_OPENING_H
#define BALLAST_CORE_OPENING_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "store/store.h"

enum opening_stage {
    OPENING_IDLE,
    OPENING_STAMP_READ,  /* the stamp in Redis is being read */
    OPENING_STAMP_RAISE, /* ours is being written */
    OPENING_READY        /* it stands: next may be written to the store */
};

struct opening {
    struct cache_link *cache;
    void (*changed)(void *ctx); /* the stage went on, by a callback */
    void *ctx;
    enum opening_stage stage;
    bool abandoned;   /* its owner is going: nothing more is written */
    uint64_t above;   /* next.id is above this, and above the stamp in Redis */
    uint64_t another; /* a stamp above the row: another daemon is between its two halves */
    struct store_era next;
    int64_t not_before_us; /* of the next attempt */
    int64_t delay_us;
};

/* Begins an attempt, unless one is under way or it is too early. lasted: the era before this one
 * held for long, so that what went wrong before it is forgiven. */
void opening_begin(struct opening *opening, uint64_t above, const struct cache_identity *redis,
                   bool lasted, int64_t now_us);

/* The era cannot be opened any more (another is, or the store failed): READY becomes IDLE. */
void opening_cancel(struct opening *opening);

/* "ID:NONCE", as it stands in Redis. */
void opening_stamp(char stamp[CACHE_STAMP_MAX], const struct store_era *era);

#endif
