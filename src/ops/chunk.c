/* Accounts between store and cache. See the header. */
#include "ops/chunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mutant.h"

#define CHUNK_RETRY_US (100 * 1000) /* before a step is taken again */

static_assert(CHUNK_SLOTS >= 2 * CHUNK_ACCOUNTS_MAX, "the index needs free slots to end a search");

struct chunk *chunk_create(struct job *job, void *owner)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);

    if (chunk == NULL) {
        abort();
    }
    chunk->job = job;
    chunk->owner = owner;
    return chunk;
}

void chunk_free(struct chunk *chunk)
{
    free(chunk);
}

void chunk_clear(struct chunk *chunk)
{
    chunk->count = 0;
}

void chunk_add(struct chunk *chunk, const struct account_id *id, const struct account_state *row)
{
    assert(chunk->count < CHUNK_ACCOUNTS_MAX);
    size_t i = chunk->count++;

    chunk->ids[i] = *id;
    chunk->rows[i] = row != NULL ? *row : (struct account_state){0};
    chunk->looks[i].value = (struct cache_value){.kind = CACHE_ABSENT};
    chunk->refill[i] = chunk->force[i] = false;
}

void chunk_keep(struct chunk *chunk, const bool keep[CHUNK_ACCOUNTS_MAX])
{
    size_t to = 0;

    for (size_t i = 0; i < chunk->count; i++) {
        if (keep[i]) {
            chunk->ids[to] = chunk->ids[i];
            chunk->rows[to] = chunk->rows[i];
            chunk->looks[to].value = chunk->looks[i].value;
            to++;
        }
    }
    chunk->count = to;
}

static void finish(struct chunk *chunk, enum chunk_end end)
{
    chunk_fn *done = chunk->done;

    chunk->done = NULL;
    done(chunk, end);
}

static void begin(struct chunk *chunk, chunk_fn *done)
{
    assert(chunk->done == NULL && chunk->count > 0);
    chunk->done = done;
}

static enum chunk_end cache_end(enum cache_status status)
{
    return status == CACHE_OK ? CHUNK_DONE : status == CACHE_FAILED ? CHUNK_BROKEN : CHUNK_AGAIN;
}

/* --- look -------------------------------------------------------------------------------------*/

static void on_looked(void *arg, enum cache_status status, const char *stamp)
{
    struct chunk *chunk = arg;

    if (status == CACHE_OK) {
        snprintf(chunk->stamp, sizeof chunk->stamp, "%s", stamp);
    }
    finish(chunk, cache_end(status));
}

void chunk_look(struct chunk *chunk, chunk_fn *done)
{
    begin(chunk, done);
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->looks[i].id = &chunk->ids[i];
        chunk->look_list[i] = &chunk->looks[i];
    }
    cache_read(chunk->job->cache, chunk->look_list, chunk->count, on_looked, chunk);
}

/* --- read -------------------------------------------------------------------------------------*/

static void index_build(struct chunk *chunk)
{
    memset(chunk->slots, 0, sizeof chunk->slots);
    for (size_t i = 0; i < chunk->read.count; i++) {
        uint32_t slot = account_id_hash(chunk->id_list[i]) % CHUNK_SLOTS;
        while (chunk->slots[slot] != 0) {
            slot = (slot + 1) % CHUNK_SLOTS;
        }
        chunk->slots[slot] = (uint16_t)(i + 1);
    }
}

/* Position in id_list; the store returns only what it was asked for, or -1. */
static int index_find(const struct chunk *chunk, const struct account_id *id)
{
    uint32_t slot = account_id_hash(id) % CHUNK_SLOTS;

    while (chunk->slots[slot] != 0) {
        int i = chunk->slots[slot] - 1;
        if (account_id_equal(chunk->id_list[i], id)) {
            return i;
        }
        slot = (slot + 1) % CHUNK_SLOTS;
    }
    return -1;
}

static void read_rows(struct chunk *chunk, size_t count, store_accounts_fn *done)
{
    chunk->read =
        (struct job_read){.ids = chunk->id_list, .count = count, .done = done, .arg = chunk};
    index_build(chunk);
    job_read_accounts(chunk->job, &chunk->read);
}

static void on_read(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_accounts *reply)
{
    struct chunk *chunk = arg;

    (void)error;
    if (status != STORE_OK) {
        finish(chunk, CHUNK_AGAIN);
        return;
    }
    chunk->era = reply->era;
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->rows[i] = (struct account_state){0};
    }
    for (size_t i = 0; i < reply->count; i++) {
        int at = index_find(chunk, &reply->entries[i].id);
        if (at >= 0) {
            chunk->rows[at] = reply->entries[i].state;
        }
    }
    finish(chunk, CHUNK_DONE);
}

void chunk_read(struct chunk *chunk, chunk_fn *done)
{
    begin(chunk, done);
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->id_list[i] = &chunk->ids[i];
    }
    read_rows(chunk, chunk->count, on_read);
}

/* --- refill: rule T9 --------------------------------------------------------------------------*/

/* The stamp is another, or this is no master any more: nobody may believe the era (FENCE). */
static enum chunk_end refill_end(struct chunk *chunk, enum cache_status status)
{
    if (status == CACHE_REFUSED || status == CACHE_MOVED) {
        job_suspect(chunk->job, chunk->refill_era.id);
    }
    return cache_end(status);
}

static void on_filled(void *arg, enum cache_status status)
{
    struct chunk *chunk = arg;

    if (status == CACHE_OK) {
        chunk->written = chunk->entry_count;
    }
    finish(chunk, refill_end(chunk, status));
}

/* What must not be filled in: it may be older than what a reader was shown since. */
static struct account_state page_row(const struct chunk *chunk, const struct account_id *id)
{
    size_t i = 0;

    while (!account_id_equal(&chunk->ids[i], id)) {
        i++;
    }
    return chunk->rows[i];
}

static void on_refill_read(void *arg, enum store_status status, const struct store_error *error,
                           const struct store_accounts *reply)
{
    struct chunk *chunk = arg;

    (void)error;
    if (status != STORE_OK) {
        finish(chunk, CHUNK_AGAIN);
        return;
    }
    for (size_t i = 0; i < reply->count; i++) {
        int at = index_find(chunk, &reply->entries[i].id);
        if (at >= 0) {
            chunk->entries[at].entry.state =
                MUTANT(RBROW) ? page_row(chunk, &reply->entries[i].id) : reply->entries[i].state;
        }
    }
    if (MUTANT(RBERA)) {
        (void)job_trusts(chunk->job, &chunk->refill_era);
    }
    cache_fill(chunk->job->cache, chunk->refill_era.stamp, chunk->refill_era.id, chunk->token_id,
               chunk->entries, chunk->entry_count, on_filled, chunk);
}

/* The tokens stand: what is read from here on is as new as anything that a reader was shown. */
static void on_tokens(void *arg, enum cache_status status)
{
    struct chunk *chunk = arg;
    size_t held = 0;

    if (status != CACHE_OK) {
        finish(chunk, refill_end(chunk, status));
        return;
    }
    for (size_t i = 0; i < chunk->entry_count; i++) {
        if (chunk->entries[i].token_held) {
            chunk->entries[held] = chunk->entries[i];
            chunk->entries[held].entry.state = (struct account_state){0};
            held++;
        }
    }
    chunk->entry_count = held;
    if (held == 0) {
        finish(chunk, CHUNK_DONE);
        return;
    }
    for (size_t i = 0; i < held; i++) {
        chunk->id_list[i] = &chunk->entries[i].entry.id;
    }
    read_rows(chunk, held, on_refill_read);
}

void chunk_refill(struct chunk *chunk, const struct trust_era *era, chunk_fn *done)
{
    begin(chunk, done);
    chunk->refill_era = *era;
    chunk->written = 0;
    chunk->entry_count = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->refill[i]) {
            chunk->entries[chunk->entry_count++] =
                (struct cache_fill_entry){.entry.id = chunk->ids[i], .force = chunk->force[i]};
        }
    }
    assert(chunk->entry_count > 0);
    cache_token(chunk->job->cache, chunk->refill_era.stamp, chunk->refill_era.id, chunk->entries,
                chunk->entry_count, &chunk->token_id, on_tokens, chunk);
}

/* --- write: rule T11 --------------------------------------------------------------------------*/

static void on_written(void *arg, enum cache_status status)
{
    struct chunk *chunk = arg;
    bool keep[CHUNK_ACCOUNTS_MAX];

    if (status != CACHE_OK) {
        finish(chunk, refill_end(chunk, status));
        return;
    }
    memset(keep, true, chunk->count * sizeof keep[0]);
    for (size_t i = 0; i < chunk->plain_count; i++) {
        chunk->written += chunk->plain_written[i];
        keep[chunk->plain_at[i]] = !chunk->plain_written[i];
    }
    chunk_keep(chunk, keep);
    finish(chunk, CHUNK_DONE);
}

void chunk_write(struct chunk *chunk, const struct trust_era *era, const char *nonce,
                 chunk_fn *done)
{
    begin(chunk, done);
    chunk->refill_era = *era;
    chunk->written = chunk->plain_count = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->rows[i].version > 0) {
            chunk->plain_at[chunk->plain_count] = (uint16_t)i;
            chunk->plain[chunk->plain_count].id = chunk->ids[i];
            chunk->plain[chunk->plain_count++].state = chunk->rows[i];
        }
    }
    assert(chunk->plain_count > 0);
    cache_rebuild(chunk->job->cache, era->stamp, era->id, nonce, chunk->plain, chunk->plain_count,
                  chunk->plain_written, &chunk->marks_stand, on_written, chunk);
}

/* --- waiting ----------------------------------------------------------------------------------*/

static void on_taken(struct chunk *chunk, enum chunk_end end)
{
    chunk->waiting = false;
    chunk->end = end;
}

static bool is_taken(void *arg)
{
    return !((struct chunk *)arg)->waiting;
}

static enum job_result give_up(struct chunk *chunk)
{
    struct job *job = chunk->job;

    if (chunk->end == CHUNK_BROKEN) {
        return job_fail(job, JOB_FAILED, "Redis answers with errors: is its memory full?");
    }
    if (!store_link_is_up(job->reader)) {
        return job_fail(job, JOB_UNREACHABLE, "PostgreSQL cannot be reached: %s",
                        store_link_why(job->reader));
    }
    return job_fail(job, JOB_UNREACHABLE, "Redis cannot be used: %s", cache_link_why(job->cache));
}

/* step NULL: a refill. */
static enum job_result take(struct chunk *chunk, void (*step)(struct chunk *, chunk_fn *))
{
    struct job *job = chunk->job;
    int64_t deadline_us = clock_boot_us() + job->patience_us;

    for (;;) {
        chunk->waiting = true;
        if (step != NULL) {
            step(chunk, on_taken);
        } else {
            struct trust_era era = {0};
            enum job_result result = job_await_trust(job, &era);
            if (result != JOB_OK) {
                return result;
            }
            chunk_refill(chunk, &era, on_taken);
        }
        job_finish(job, is_taken, chunk);
        if (chunk->end == CHUNK_DONE) {
            return JOB_OK;
        }
        if (chunk->end == CHUNK_BROKEN || clock_boot_us() >= deadline_us) {
            return give_up(chunk);
        }
        if (job_pause(job, CHUNK_RETRY_US) == JOB_SIGNAL) {
            return job_fail(job, JOB_INTERRUPTED, "interrupted");
        }
    }
}

enum job_result chunk_take(struct chunk *chunk, void (*step)(struct chunk *chunk, chunk_fn *done))
{
    return take(chunk, step);
}

enum job_result chunk_take_refill(struct chunk *chunk)
{
    return take(chunk, NULL);
}
