/*
 * ops/chunk.h: up to a thousand accounts on their way between store and cache, and the steps that
 * jobs take with them: look at what the cache holds, read what the store holds, refill the cache by
 * rule T9 (token, then store, then fill), which is safe at any time and under any load, and write
 * rows under the marks of a rebuild by rule T11, which is faster, and leaves what is not plain to T9.
 *
 * Every step ends in its callback, exactly once, never before the call has returned.
 */
#ifndef BALLAST_OPS_CHUNK_H
#define BALLAST_OPS_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "ops/job.h"

#ifndef CHUNK_ACCOUNTS_MAX /* the simulator's is small */
#define CHUNK_ACCOUNTS_MAX 1000
#endif
#define CHUNK_SLOTS 2048 /* of the index: a power of two, at most half full */

enum chunk_end {
    CHUNK_DONE,
    CHUNK_AGAIN, /* a link was lost or the era is over: nothing is known, do it again */
    CHUNK_BROKEN /* the cache answers with errors */
};

struct chunk;
typedef void chunk_fn(struct chunk *chunk, enum chunk_end end);

struct chunk {
    struct job *job;
    void *owner;

    size_t count;
    struct account_id ids[CHUNK_ACCOUNTS_MAX];
    struct account_state rows[CHUNK_ACCOUNTS_MAX]; /* of the store; version 0: no such account */
    struct cache_lookup looks[CHUNK_ACCOUNTS_MAX]; /* of the cache */
    char stamp[CACHE_STAMP_MAX];                   /* the one they were read under */
    struct store_era_seen era;                     /* what the store's read saw */
    bool refill[CHUNK_ACCOUNTS_MAX];               /* in: which to refill */
    bool force[CHUNK_ACCOUNTS_MAX];                /* in: also over a value of this era */
    size_t written;                                /* out: of a refill, or a write */
    bool marks_stand;                              /* out: of a write */

    /* --- chunk.c's own --- */
    chunk_fn *done;
    struct trust_era refill_era;
    uint64_t token_id;
    struct job_read read;
    size_t entry_count;
    struct cache_fill_entry entries[CHUNK_ACCOUNTS_MAX];
    const struct account_id *id_list[CHUNK_ACCOUNTS_MAX];
    struct cache_lookup *look_list[CHUNK_ACCOUNTS_MAX];
    struct account_entry plain[CHUNK_ACCOUNTS_MAX];
    uint16_t plain_at[CHUNK_ACCOUNTS_MAX]; /* its place in ids */
    bool plain_written[CHUNK_ACCOUNTS_MAX];
    size_t plain_count;
    bool waiting;                /* in chunk_take */
    enum chunk_end end;          /* of the step that was waited for */
    uint16_t slots[CHUNK_SLOTS]; /* index by id into what is being read: position + 1 */
};

struct chunk *chunk_create(struct job *job, void *owner) MUST_CHECK;
void chunk_free(struct chunk *chunk);

void chunk_clear(struct chunk *chunk);
/* An account with its row, or NULL where the row is not known yet. There must be room. */
void chunk_add(struct chunk *chunk, const struct account_id *id, const struct account_state *row);
/* Keeps only the accounts of which keep[i] is true. */
void chunk_keep(struct chunk *chunk, const bool keep[CHUNK_ACCOUNTS_MAX]);

/* Fills looks and stamp. */
void chunk_look(struct chunk *chunk, chunk_fn *done);
/* Fills rows and era. */
void chunk_read(struct chunk *chunk, chunk_fn *done);
/* Refills the accounts marked in refill, under that era. */
void chunk_refill(struct chunk *chunk, const struct trust_era *era, chunk_fn *done);
/* Writes the rows, which were read under the marks of that nonce, where the cache holds nothing of
 * the era, and keeps the other accounts; all of them where the marks have gone. */
void chunk_write(struct chunk *chunk, const struct trust_era *era, const char *nonce,
                 chunk_fn *done);

/*
 * Takes a step (chunk_look or chunk_read) and waits for it, again and again while links are lost,
 * for up to the job's patience. Not from a callback.
 */
enum job_result chunk_take(struct chunk *chunk,
                           void (*step)(struct chunk *chunk, chunk_fn *done)) MUST_CHECK;
/* The same for a refill, under whatever era is trusted; the job must have its lease. */
enum job_result chunk_take_refill(struct chunk *chunk) MUST_CHECK;

#endif
