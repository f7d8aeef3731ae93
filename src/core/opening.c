/* The stamp of the next era; see the header. */
#include "core/opening.h"

#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/random.h"

#define RETRY_US 100000       /* after Redis failed, or another daemon's stamp won */
#define DELAY_FIRST_US 100000 /* after an era that did not last: 0.1, 0.2, ... 2 s (T5) */
#define DELAY_MAX_US 2000000

void opening_stamp(char stamp[CACHE_STAMP_MAX], const struct store_era *era)
{
    int len = snprintf(stamp, CACHE_STAMP_MAX, "%llu:%s", (unsigned long long)era->id, era->nonce);
    assert(len > 0 && len < CACHE_STAMP_MAX);
}

static void fail(struct opening *opening)
{
    opening->stage = OPENING_IDLE;
    opening->not_before_us = clock_boot_us() + RETRY_US;
}

static void stamp_raised(void *arg, enum cache_status status)
{
    struct opening *opening = arg;
    if (status == CACHE_OK) {
        opening->stage = OPENING_READY;
    } else {
        fail(opening);
    }
    opening->changed(opening->ctx);
}

static void stamp_read(void *arg, enum cache_status status, const char *stamp)
{
    struct opening *opening = arg;
    if (status != CACHE_OK || opening->abandoned) {
        fail(opening);
        opening->changed(opening->ctx);
        return;
    }
    /* A stamp that is not ours to read counts as none: raising it overwrites garbage. */
    uint64_t there = 0;
    if (decimal_parse_uint64(stamp, strcspn(stamp, ":"), &there) != DECIMAL_OK ||
        there > CACHE_VERSION_MAX) {
        there = 0;
    }
    /* Overwriting the stamp of an opening under way would only spoil that era: it gets its time. */
    if (there > opening->above && there != opening->another) {
        opening->another = there;
        fail(opening);
        opening->changed(opening->ctx);
        return;
    }
    struct store_era *next = &opening->next;
    next->id = (there > opening->above ? there : opening->above) + 1;
    next->state = ERA_OPEN;
    snprintf(next->nonce, sizeof next->nonce, "%016llx", (unsigned long long)random_uint64());
    char ours[CACHE_STAMP_MAX];
    opening_stamp(ours, next);
    opening->stage = OPENING_STAMP_RAISE;
    cache_stamp_raise(opening->cache, ours, stamp_raised, opening);
}

void opening_begin(struct opening *opening, uint64_t above, const struct cache_identity *redis,
                   bool lasted, int64_t now_us)
{
    if (opening->stage != OPENING_IDLE || now_us < opening->not_before_us) {
        return;
    }
    opening->delay_us = lasted || opening->delay_us == 0 ? DELAY_FIRST_US : 2 * opening->delay_us;
    if (opening->delay_us > DELAY_MAX_US) {
        opening->delay_us = DELAY_MAX_US;
    }
    opening->not_before_us = now_us + random_jitter(opening->delay_us);
    opening->above = above;
    memset(&opening->next, 0, sizeof opening->next);
    memcpy(opening->next.run_id, redis->run_id, sizeof opening->next.run_id);
    memcpy(opening->next.replid, redis->replid, sizeof opening->next.replid);
    opening->stage = OPENING_STAMP_READ;
    cache_stamp_read(opening->cache, stamp_read, opening);
}

void opening_cancel(struct opening *opening)
{
    if (opening->stage == OPENING_READY) {
        opening->stage = OPENING_IDLE;
    }
}
