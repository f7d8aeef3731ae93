/*
 * The marks of rule T11: set before a page is read, they let its rows go where nothing of the era
 * stands and nobody has written to the account since. Without them the walk goes on by rule T9.
 */
#include "base/clock.h"
#include "ops/rebuild_walk.h"

#define MARKS_RETRY_US (1000 * 1000) /* between attempts to set them */

static void on_marked(void *arg, enum cache_status status)
{
    struct rebuild *r = arg;

    r->marks.asked = false;
    r->marks.stand = status == CACHE_OK;
    r->marks.retry_at_us = clock_boot_us() + MARKS_RETRY_US;
}

bool rebuild_marks_settled(struct rebuild *r, int64_t now_us)
{
    struct marks *marks = &r->marks;
    struct trust_era era = {0};

    if (r->options->dry_run || marks->asked) {
        return !marks->asked;
    }
    if (!job_trusts(r->job, &era)) {
        marks->stand = false;
        return true;
    }
    if ((marks->stand && marks->era.id == era.id) || now_us < marks->retry_at_us) {
        return true;
    }
    marks->stand = false;
    marks->asked = true;
    marks->era = era;
    cache_marks_begin(r->job->cache, marks->era.stamp, marks->nonce, on_marked, r);
    return false;
}
