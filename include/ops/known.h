/*
 * ops/known.h: which accounts a walk has come by, for the question whether a key that shows up in
 * the cache is one of them, without asking the store for each.
 *
 * It keeps 64 bits of a keyed hash an account, 11 to 21 bytes in all, instead of its id: of 2^64
 * accounts that the walk has not come by, it takes one for each that it has for known.
 */
#ifndef BALLAST_OPS_KNOWN_H
#define BALLAST_OPS_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "model/account.h"

struct known;

struct known *known_create(void) MUST_CHECK;
void known_free(struct known *known);

void known_add(struct known *known, const struct account_id *id);
bool known_has(const struct known *known, const struct account_id *id);

#endif
