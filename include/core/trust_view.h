/*
 * What the workers of one daemon may know of trust, and how they ask for more of it.
 *
 * One thread, the control thread, runs the trust machine (core/trust.h) and writes here; every
 * worker reads. A worker believes a cached value only while trust_view_check says so with a clock
 * read after the value arrived (rule T6). Dropping an era is one atomic store, seen by all workers
 * at their next check (rule T2).
 *
 * Era ids only grow and a dropped era is never adopted again: that is what makes the lock-free
 * check sound.
 */
#ifndef BALLAST_CORE_TRUST_VIEW_H
#define BALLAST_CORE_TRUST_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

#define TRUST_WORKERS_MAX 64

struct trust_view;

/* An era as a worker needs it to judge a batch of values. */
struct trust_era {
    uint64_t id; /* 0: none */
    char stamp[CACHE_STAMP_MAX];
    struct cache_identity redis;
};

struct trust_view_hooks {
    /* Any thread: somebody asked for a fence, or reported: run trust_wake on the control thread. */
    void (*wake_control)(void *ctx);
    /* Control thread: fences were completed or returned: run engine_fences_done on every worker's
     * thread. */
    void (*wake_workers)(void *ctx);
};

struct trust_view *trust_view_create(int workers, const struct trust_view_hooks *hooks, void *ctx)
    __attribute__((warn_unused_result));
void trust_view_free(struct trust_view *view);

/* --- any worker thread ------------------------------------------------------------------------*/

/*
 * True while the lease on an era is valid at now_us, a clock read by the caller after whatever it
 * wants to believe had arrived. *era is the caller's own copy, refreshed when the era changed; on
 * false it may be older.
 */
bool trust_view_check(struct trust_view *view, struct trust_era *era, int64_t now_us);

/*
 * ENSURE (c): returns a ticket. Once trust_view_fence_done(ticket), the era row was read after
 * this call, and the era found open or closing then has been drained or replaced: no daemon
 * trusts a value older than what was committed before the call.
 */
uint64_t trust_view_fence(struct trust_view *view);
bool trust_view_fence_done(struct trust_view *view, uint64_t ticket);

/*
 * True where a grant of trust came after that ticket was asked for, and the machine has given the
 * ticket back instead of closing the new era for it: try (a) under the new trust, and ask for
 * another ticket only if that fails.
 */
bool trust_view_fence_returned(struct trust_view *view, uint64_t ticket);

/*
 * T12: a commit that is about to be sent, until what it did is published, or known to be nothing. The
 * number that begins returns is given back to ends, once for each begins and continues: a part of a
 * commit may stay in doubt longer than the rest.
 */
int trust_view_posting_begins(struct trust_view *view) __attribute__((warn_unused_result));
void trust_view_posting_continues(struct trust_view *view, int turn);
void trust_view_posting_ends(struct trust_view *view, int turn);

/* True while this daemon stands aside: every request is to be refused. */
bool trust_view_is_aside(struct trust_view *view);

/* A surprise under that era (stamp gone, replica, other replid): close it if it is still open. */
void trust_view_suspect(struct trust_view *view, uint64_t era);

/* The Redis behind this worker's connection; NULL while it has none. */
void trust_view_report_cache(struct trust_view *view, int worker,
                             const struct cache_identity *redis);

/* --- control thread: core/trust.c -------------------------------------------------------------*/

void trust_view_grant(struct trust_view *view, const struct trust_era *era, int64_t valid_until_us);
void trust_view_drop(struct trust_view *view);
uint64_t trust_view_fences_requested(struct trust_view *view);
void trust_view_complete_fences(struct trust_view *view, uint64_t ticket);
/* Every ticket up to this one that is not done. After the grant that makes it worth while. */
void trust_view_return_fences(struct trust_view *view, uint64_t ticket);
void trust_view_set_aside(struct trust_view *view, bool aside);
/* True where every commit that was begun before the last time that this was true has ended. */
bool trust_view_postings_turn(struct trust_view *view);
bool trust_view_is_posting(struct trust_view *view); /* some commit has not ended */
/* The highest era reported as suspect so far. */
uint64_t trust_view_suspected(struct trust_view *view);
/* True where every worker reports this very Redis. */
bool trust_view_all_on(struct trust_view *view, const struct cache_identity *redis);

#endif
