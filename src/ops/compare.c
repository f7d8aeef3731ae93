/* Does a cached value agree with the store? See the header. */
#include "ops/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool compare_states_equal(const struct account_state *a, const struct account_state *b)
{
    return a->version == b->version && a->balance == b->balance && a->held == b->held &&
           a->floor == b->floor && a->status == b->status && a->asset.len == b->asset.len &&
           memcmp(a->asset.bytes, b->asset.bytes, a->asset.len) == 0;
}

bool compare_is_live(const struct cache_value *value, uint64_t era)
{
    switch (value->kind) {
    case CACHE_STATE:
    case CACHE_NEGATIVE:
        return era != 0 && value->era == era;
    case CACHE_POISON:
        return true;
    case CACHE_ABSENT:
    case CACHE_TOKEN:
        return false;
    }
    return true;
}

bool compare_differs(const struct account_state *before, const struct cache_value *value,
                     uint64_t era, const struct account_state *after)
{
    uint64_t version = value->kind == CACHE_STATE ? value->state.version : 0;

    if (!compare_is_live(value, era)) {
        return false;
    }
    if (value->kind == CACHE_POISON || version < before->version || version > after->version) {
        return true;
    }
    if (version == 0) {
        return false; /* absence, and there was none before */
    }
    return (version == before->version && !compare_states_equal(&value->state, before)) ||
           (version == after->version && !compare_states_equal(&value->state, after));
}

const char *compare_state_text(char out[COMPARE_TEXT_ROOM], const struct account_state *state)
{
    if (state->version == 0) {
        snprintf(out, COMPARE_TEXT_ROOM, "no such account");
    } else {
        snprintf(out, COMPARE_TEXT_ROOM,
                 "balance %" PRId64 ", held %" PRId64 ", floor %" PRId64 ", %s, version %" PRIu64
                 ", %.*s",
                 state->balance, state->held, state->floor, account_status_name(state->status),
                 state->version, (int)state->asset.len, state->asset.bytes);
    }
    return out;
}

const char *compare_value_text(char out[COMPARE_TEXT_ROOM], const struct cache_value *value)
{
    static const char *const words[] = {
        [CACHE_ABSENT] = "no key",
        [CACHE_NEGATIVE] = "a remembered absence",
        [CACHE_TOKEN] = "a fill under way",
        [CACHE_POISON] = "poison: no value of this account with a good checksum",
    };

    if (value->kind == CACHE_STATE) {
        return compare_state_text(out, &value->state);
    }
    snprintf(out, COMPARE_TEXT_ROOM, "%s", words[value->kind]);
    return out;
}
