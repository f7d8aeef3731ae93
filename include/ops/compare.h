/*
 * ops/compare.h: does a cached value agree with the store? The rules that rebuild and reconcile
 * share. Pure.
 */
#ifndef BALLAST_OPS_COMPARE_H
#define BALLAST_OPS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/value.h"
#include "model/account.h"

bool compare_states_equal(const struct account_state *a, const struct account_state *b);

/* Whether readers may be shown this value, or might take it for one: a value or a remembered
 * absence of this era (0: no era is open), or poison. */
bool compare_is_live(const struct cache_value *value, uint64_t era);

/*
 * Whether the value differs from the store for good. before is the row (version 0: none) as it was
 * read before the value was looked at, long enough for a publish to have arrived; after, the row
 * as it was read afterwards. A right value is that of a version between the two; of each that is
 * known, it must have the contents.
 */
bool compare_differs(const struct account_state *before, const struct cache_value *value,
                     uint64_t era, const struct account_state *after);

/* "balance 5, held 0, floor 0, active, version 3, USD/2"; "no such account" for version 0. */
#define COMPARE_TEXT_ROOM 256
const char *compare_state_text(char out[COMPARE_TEXT_ROOM], const struct account_state *state);
const char *compare_value_text(char out[COMPARE_TEXT_ROOM], const struct cache_value *value);

#endif
