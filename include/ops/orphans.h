/*
 * ops/orphans.h: values in the cache of accounts that the store does not have. The cache is walked
 * by SCAN, and the store asked about every account that shows up.
 */
#ifndef BALLAST_OPS_ORPHANS_H
#define BALLAST_OPS_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "ops/chunk.h"
#include "ops/job.h"

struct orphans_options {
    /* The era whose values count; asked for each page, because eras change. */
    enum job_result (*era)(void *ctx, uint64_t *era);
    /* Which accounts to look at; NULL: all. */
    bool (*wanted)(void *ctx, const struct account_id *id);
    /* Accounts without a row whose cached value counts as live, to be looked at again. May wait. */
    enum job_result (*found)(void *ctx, struct chunk *suspects);
    /* May be NULL. */
    void (*progress)(void *ctx, uint64_t keys);
    void *ctx;
};

enum job_result orphans_scan(struct job *job, const struct orphans_options *options) MUST_CHECK;

#endif
