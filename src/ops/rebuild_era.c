/*
 * The era that a walk writes for. A value is believed only under its own: what a walk had been through
 * when the next era opened is nothing to readers, even where Redis still has all of it.
 */
#include "ops/rebuild_walk.h"

static bool has_done_something(const struct rebuild *r)
{
    bool done = r->result->accounts > 0;

    for (size_t i = 0; i < REBUILD_SLOTS; i++) {
        done = done || r->slots[i].plain_written > 0;
    }
    return done;
}

bool rebuild_begins_anew(struct rebuild *r, uint64_t era)
{
    bool other = r->era != 0 && r->era != era;

    r->era = era;
    /* A warming has one era; a single account is through once, in whichever there is. */
    if (!other || r->warming != NULL || r->options->account != NULL || !has_done_something(r)) {
        return false;
    }
    for (size_t i = 0; i < REBUILD_SLOTS; i++) {
        struct slot *slot = &r->slots[i];
        slot->step = slot->step == SLOT_WAITING ? SLOT_FREE : slot->step;
        slot->is_void = slot->step != SLOT_FREE;
        slot->plain_written = 0;
    }
    r->cursor = (struct account_id){.len = 0};
    r->end = false;
    r->result->accounts = r->result->written = r->result->kept = r->result->dropped = 0;
    return true;
}
