/*
 * The cache against the store: pages of accounts, and what the cache holds of each; then the keys
 * of the cache that no account belongs to.
 *
 * Under load a value is older than the row for the moment that a publish takes, and newer than a
 * page that was read before it. What differs at first sight is therefore looked at again, up to
 * three times, each time between two reads of the store that lie further apart than a publish may
 * take (compare_differs). Only what is wrong every time is a difference.
 */
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "base/siphash.h"
#include "gen/sql.h"
#include "ops/compare.h"
#include "ops/known.h"
#include "ops/orphans.h"
#include "ops/reconcile_parts.h"

struct pass {
    struct reconcile *r;
    struct chunk *chunk; /* of pages */
    struct known *known; /* accounts that have a row */
    struct account_id cursor;
    uint64_t era; /* the open one, 0: none, as read last */
    char stamp[CACHE_STAMP_MAX];
    uint64_t paged; /* accounts of all pages, also those outside the sample */
    bool at_store;
    enum store_status status;
    size_t page_count;
};

/* --- the era ----------------------------------------------------------------------------------*/

static void take_era(void *arg, const struct store_rows *rows)
{
    struct pass *pass = arg;
    const char *id = rows->value(rows, 0, 0), *nonce = rows->value(rows, 0, 1);

    pass->era = 0;
    snprintf(pass->stamp, sizeof pass->stamp, "%s:%s", id, nonce);
    if (strcmp(rows->value(rows, 0, 2), "open") == 0 &&
        decimal_parse_uint64(id, strlen(id), &pass->era) != DECIMAL_OK) {
        pass->era = 0;
    }
}

static enum job_result read_era(struct pass *pass)
{
    return job_query(pass->r->job, sql_era_read, NULL, 0, true, take_era, pass);
}

/* The era under which the values of a chunk are believed; 0 where they are not. */
static uint64_t live_era(const struct pass *pass, const struct chunk *chunk)
{
    return strcmp(chunk->stamp, pass->stamp) == 0 ? pass->era : 0;
}

/* --- differences ------------------------------------------------------------------------------*/

/* Looks again at every account of the chunk, whose rows are those of an earlier read; leaves those
 * that differ still. */
static enum job_result look_again(struct pass *pass, struct chunk *chunk)
{
    struct account_state before[CHUNK_ACCOUNTS_MAX];
    bool keep[CHUNK_ACCOUNTS_MAX];

    memcpy(before, chunk->rows, chunk->count * sizeof before[0]);
    enum job_result end = chunk_take(chunk, chunk_look);
    if (end == JOB_OK) {
        end = read_era(pass);
    }
    if (end == JOB_OK) {
        end = chunk_take(chunk, chunk_read);
    }
    if (end != JOB_OK) {
        return end;
    }
    for (size_t i = 0; i < chunk->count; i++) {
        keep[i] = compare_differs(&before[i], &chunk->looks[i].value, live_era(pass, chunk),
                                  &chunk->rows[i]);
    }
    chunk_keep(chunk, keep);
    return JOB_OK;
}

/* Refills what differs; on return refill[i] is true where it differs all the same. */
static enum job_result repair(struct pass *pass, struct chunk *chunk)
{
    struct account_id ids[CHUNK_ACCOUNTS_MAX];
    size_t count = chunk->count, left = 0;

    memcpy(ids, chunk->ids, count * sizeof ids[0]);
    for (size_t i = 0; i < count; i++) {
        chunk->refill[i] = chunk->force[i] = true;
    }
    enum job_result end = job_take_lease(pass->r->job);
    if (end == JOB_OK) {
        end = chunk_take_refill(chunk);
    }
    if (end == JOB_OK) {
        end = look_again(pass, chunk);
    }
    if (end != JOB_OK) {
        return end;
    }
    bool still[CHUNK_ACCOUNTS_MAX] = {false};
    for (size_t i = 0; i < count && left < chunk->count; i++) {
        if (account_id_equal(&ids[i], &chunk->ids[left])) {
            still[i] = true;
            left++;
        }
    }
    memcpy(chunk->refill, still, sizeof still);
    return JOB_OK;
}

/* What is to be said of one difference, kept across its repair. */
struct note {
    char account[ACCOUNT_ID_MAX + 1];
    char expected[COMPARE_TEXT_ROOM];
    char found[COMPARE_TEXT_ROOM];
};

static void note_take(struct note *note, const struct chunk *chunk, size_t i)
{
    snprintf(note->account, sizeof note->account, "%.*s", (int)chunk->ids[i].len,
             chunk->ids[i].bytes);
    compare_state_text(note->expected, &chunk->rows[i]);
    compare_value_text(note->found, &chunk->looks[i].value);
}

static enum job_result report(struct pass *pass, struct chunk *chunk, const char *check)
{
    static struct note notes[CHUNK_ACCOUNTS_MAX]; /* 600 kB: not for the stack */
    struct reconcile *r = pass->r;
    size_t count = chunk->count;
    enum job_result end = JOB_OK, repaired = JOB_OK;

    for (size_t i = 0; i < count; i++) {
        note_take(&notes[i], chunk, i);
    }
    if (r->options->repair) {
        repaired = repair(pass, chunk);
    }
    for (size_t i = 0; end == JOB_OK && i < count; i++) {
        struct reconcile_finding finding = {
            .check = check,
            .account = notes[i].account,
            .expected = notes[i].expected,
            .found = notes[i].found,
            .repaired = r->options->repair && repaired == JOB_OK && !chunk->refill[i],
        };
        end = reconcile_note(r, &finding);
    }
    return end == JOB_OK ? repaired : end;
}

static enum job_result confirm(struct pass *pass, struct chunk *chunk, const char *check)
{
    for (int look = 0; look < RECONCILE_LOOKS; look++) {
        if (job_pause(pass->r->job, RECONCILE_AGAIN_US) == JOB_SIGNAL) {
            return job_fail(pass->r->job, JOB_INTERRUPTED, "interrupted");
        }
        enum job_result end = look_again(pass, chunk);
        if (end != JOB_OK || chunk->count == 0) {
            return end;
        }
    }
    return report(pass, chunk, check);
}

/* --- accounts ---------------------------------------------------------------------------------*/

/* Each night another sample: the run's number is the key. */
static bool in_sample(void *ctx, const struct account_id *id)
{
    const struct pass *pass = ctx;
    uint8_t key[SIPHASH_KEY_BYTES] = {0};

    if (pass->r->options->sample >= 100) {
        return true;
    }
    memcpy(key, &pass->r->result->run, sizeof pass->r->result->run);
    double share = (double)siphash24(id->bytes, id->len, key) * 0x1p-64;
    return share * 100 < pass->r->options->sample;
}

static void on_page(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_accounts *page)
{
    struct pass *pass = arg;

    (void)error;
    pass->at_store = false;
    pass->status = status;
    if (status != STORE_OK) {
        return;
    }
    pass->page_count = page->count;
    chunk_clear(pass->chunk);
    for (size_t i = 0; i < page->count; i++) {
        known_add(pass->known, &page->entries[i].id);
        if (in_sample(pass, &page->entries[i].id)) {
            chunk_add(pass->chunk, &page->entries[i].id, &page->entries[i].state);
        }
    }
    if (page->count > 0) {
        pass->cursor = page->entries[page->count - 1].id;
    }
}

static bool is_paged(void *arg)
{
    return !((struct pass *)arg)->at_store;
}

/* The era first, through job_query, which also waits for a store that is away. */
static enum job_result next_page(struct pass *pass)
{
    struct job *job = pass->r->job;

    for (;;) {
        enum job_result end = job_go_on(job);
        if (end == JOB_OK) {
            end = read_era(pass);
        }
        if (end != JOB_OK) {
            return end;
        }
        pass->at_store = true;
        store_page_accounts(job->store, &pass->cursor, CHUNK_ACCOUNTS_MAX, on_page, pass);
        job_finish(job, is_paged, pass);
        if (pass->status == STORE_OK) {
            return JOB_OK;
        }
        if (pass->status == STORE_REFUSED) {
            return job_fail(job, JOB_FAILED, "PostgreSQL refuses to read a page of accounts");
        }
    }
}

/* Leaves in the chunk what may be shown to readers and is not the page's row. */
static enum job_result look_at_page(struct pass *pass)
{
    struct chunk *chunk = pass->chunk;
    bool keep[CHUNK_ACCOUNTS_MAX];

    enum job_result end = chunk_take(chunk, chunk_look);
    if (end != JOB_OK) {
        return end;
    }
    pass->r->result->cached += chunk->count;
    for (size_t i = 0; i < chunk->count; i++) {
        const struct cache_value *value = &chunk->looks[i].value;
        keep[i] =
            compare_is_live(value, live_era(pass, chunk)) &&
            !(value->kind == CACHE_STATE && compare_states_equal(&value->state, &chunk->rows[i]));
    }
    chunk_keep(chunk, keep);
    return chunk->count > 0 ? confirm(pass, chunk, "cache") : JOB_OK;
}

static enum job_result check_accounts(struct pass *pass)
{
    const struct reconcile *r = pass->r;
    enum job_result end;

    do {
        end = next_page(pass);
        pass->paged += pass->page_count;
        if (end == JOB_OK && pass->chunk->count > 0) {
            end = look_at_page(pass);
        }
        reconcile_show(pass->r, "cache", pass->paged,
                       r->result->accounts > 0 ? (double)pass->paged / (double)r->result->accounts
                                               : -1);
    } while (end == JOB_OK && pass->page_count > 0);
    return end;
}

/* --- orphans ----------------------------------------------------------------------------------*/

static enum job_result orphan_era(void *ctx, uint64_t *era)
{
    struct pass *pass = ctx;
    enum job_result end = read_era(pass);

    *era = pass->era;
    return end;
}

/* Rows are never deleted: an account that the pages had is not one. */
static bool may_be_orphan(void *ctx, const struct account_id *id)
{
    const struct pass *pass = ctx;

    return !known_has(pass->known, id) && in_sample(ctx, id);
}

static enum job_result orphan_found(void *ctx, struct chunk *suspects)
{
    return confirm(ctx, suspects, "orphan");
}

static void orphan_progress(void *ctx, uint64_t keys)
{
    struct pass *pass = ctx;

    pass->r->result->keys = keys;
    reconcile_show(pass->r, "orphans", keys, -1);
}

enum job_result reconcile_cache(struct reconcile *r)
{
    struct pass pass = {.r = r, .chunk = chunk_create(r->job, NULL), .known = known_create()};
    const struct orphans_options orphans = {
        .era = orphan_era,
        .wanted = may_be_orphan,
        .found = orphan_found,
        .progress = orphan_progress,
        .ctx = &pass,
    };

    enum job_result end = check_accounts(&pass);
    chunk_free(pass.chunk);
    pass.chunk = NULL;
    if (end == JOB_OK) {
        end = orphans_scan(r->job, &orphans);
    }
    known_free(pass.known);
    r->result->cache_checked = end == JOB_OK;
    return end;
}
