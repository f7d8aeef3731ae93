/* Values of accounts that the store does not have. See the header. */
#include "ops/orphans.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ops/compare.h"

#define SCAN_RETRY_US (100 * 1000)

struct scan {
    struct job *job;
    const struct orphans_options *options;
    struct chunk *chunk;
    uint64_t cursor;
    uint64_t keys;
    bool answered;
    enum cache_status status;
    struct account_id *ids; /* of the page */
    size_t count, cap;
};

static void on_page(void *arg, enum cache_status status, const struct cache_scan_page *page)
{
    struct scan *scan = arg;

    scan->answered = true;
    scan->status = status;
    scan->count = 0;
    if (status != CACHE_OK) {
        return;
    }
    if (page->count > scan->cap) {
        scan->cap = page->count;
        scan->ids = realloc(scan->ids, scan->cap * sizeof *scan->ids);
        if (scan->ids == NULL) {
            abort();
        }
    }
    for (size_t i = 0; i < page->count; i++) {
        if (scan->options->wanted == NULL ||
            scan->options->wanted(scan->options->ctx, &page->ids[i])) {
            scan->ids[scan->count++] = page->ids[i];
        }
    }
    scan->cursor = page->next_cursor;
    scan->keys += page->count;
}

static bool is_answered(void *arg)
{
    return ((struct scan *)arg)->answered;
}

/* A cursor outlives the connection: a page that was lost is asked for again. */
static enum job_result next_page(struct scan *scan)
{
    struct job *job = scan->job;
    int64_t deadline_us = clock_boot_us() + job->patience_us;

    for (;;) {
        enum job_result end = job_go_on(job);
        if (end != JOB_OK) {
            return end;
        }
        scan->answered = false;
        cache_scan(job->cache, scan->cursor, on_page, scan);
        job_finish(job, is_answered, scan);
        if (scan->status == CACHE_OK) {
            return JOB_OK;
        }
        if (scan->status == CACHE_FAILED) {
            return job_fail(job, JOB_FAILED, "Redis refuses SCAN");
        }
        if (clock_boot_us() >= deadline_us) {
            return job_fail(job, JOB_UNREACHABLE, "Redis cannot be used: %s",
                            cache_link_why(job->cache));
        }
        if (job_pause(job, SCAN_RETRY_US) == JOB_SIGNAL) {
            return job_fail(job, JOB_INTERRUPTED, "interrupted");
        }
    }
}

/* Leaves in the chunk the accounts without a row that the cache has something live of. */
static enum job_result suspect(struct scan *scan)
{
    struct chunk *chunk = scan->chunk;
    bool keep[CHUNK_ACCOUNTS_MAX];
    uint64_t era;

    enum job_result end = chunk_take(chunk, chunk_read);
    if (end != JOB_OK) {
        return end;
    }
    for (size_t i = 0; i < chunk->count; i++) {
        keep[i] = chunk->rows[i].version == 0;
    }
    chunk_keep(chunk, keep);
    if (chunk->count == 0) {
        return JOB_OK;
    }
    end = chunk_take(chunk, chunk_look);
    if (end == JOB_OK) {
        end = scan->options->era(scan->options->ctx, &era);
    }
    if (end != JOB_OK) {
        return end;
    }
    for (size_t i = 0; i < chunk->count; i++) {
        const struct cache_value *value = &chunk->looks[i].value;
        keep[i] = value->kind != CACHE_NEGATIVE && compare_is_live(value, era);
    }
    chunk_keep(chunk, keep);
    return JOB_OK;
}

static enum job_result look_at_page(struct scan *scan)
{
    for (size_t from = 0; from < scan->count; from += CHUNK_ACCOUNTS_MAX) {
        chunk_clear(scan->chunk);
        for (size_t i = from; i < scan->count && i < from + CHUNK_ACCOUNTS_MAX; i++) {
            chunk_add(scan->chunk, &scan->ids[i], NULL);
        }
        enum job_result end = suspect(scan);
        if (end == JOB_OK && scan->chunk->count > 0) {
            end = scan->options->found(scan->options->ctx, scan->chunk);
        }
        if (end != JOB_OK) {
            return end;
        }
    }
    return JOB_OK;
}

enum job_result orphans_scan(struct job *job, const struct orphans_options *options)
{
    struct scan scan = {.job = job, .options = options, .chunk = chunk_create(job, NULL)};
    enum job_result end;

    do {
        end = next_page(&scan);
        if (end == JOB_OK) {
            end = look_at_page(&scan);
        }
        if (options->progress != NULL) {
            options->progress(options->ctx, scan.keys);
        }
    } while (end == JOB_OK && scan.cursor != 0);
    chunk_free(scan.chunk);
    free(scan.ids);
    return end;
}
