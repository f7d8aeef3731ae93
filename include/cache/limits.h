/*
 * cache/limits.h: the limits of the cache layer, each with its unit and its reason.
 */
#ifndef BALLAST_CACHE_LIMITS_H
#define BALLAST_CACHE_LIMITS_H

#include <assert.h>

#include "cache/value.h"

/* Lookups, a read batch: about 300 kB of replies and 1 ms of Redis' one thread. */
#define CACHE_READ_LOOKUPS_MAX 4096

/* Accounts, a call of a script: Redis serves nobody else for about 1.5 ms. Larger batches leave as
 * several calls. Lua's unpack() would go up to about 8,000, two an account in a rebuild. */
#define CACHE_SCRIPT_KEYS_MAX 1000

/* Milliseconds that a token stands (rule T9): a fill that takes longer is void, and the next miss
 * may start its own. Longer than any read of the store that still has somebody waiting. */
#define CACHE_TOKEN_MS 2000

/* Milliseconds that "no such account" is remembered (rule T10): long enough to keep a flood of
 * unknown ids off the store, short enough that a flood does not fill the memory of Redis. */
#define CACHE_NEGATIVE_MS 60000

/* Milliseconds that the marks of a rebuild stand without a further write of it (rule T11): much
 * longer than one takes, and short enough that an interrupted one costs publishes nothing for long. */
#define CACHE_MARKS_MS 10000

/* Accounts behind one gate of a rebuild (gated.c): one that is not free keeps all of them out, and a
 * gate costs Redis as much as one or two of them. */
#define CACHE_GATE_ACCOUNTS 20
#define CACHE_GATES_MAX (CACHE_SCRIPT_KEYS_MAX / CACHE_GATE_ACCOUNTS)

/* Calls of a rebuild that go without gates after one where more than a third of them stayed shut:
 * its neighbours are like it, and what is tried in vain costs half of what it would save. */
#define CACHE_GATES_REST 15

/* Keys that Redis looks at in one SCAN, and the ids that it may return at most: a table that is
 * being resized returns whole chains more. */
#define CACHE_SCAN_COUNT 1000
#define CACHE_SCAN_IDS_MAX 65536

/* Requests under way on one link. The engine has a few batches, its jobs a few more; a part of a
 * write is one too. */
#define CACHE_REQUESTS_MAX 16384

/* Bytes of the key prefix: a name space, typed by a person. */
#define CACHE_PREFIX_MAX 64

/* Bytes of one element of a reply. The longest that we ask for is INFO; whatever is longer stands
 * in a key that is not ours, and is never read to its end. */
#define CACHE_REPLY_ITEM_MAX (1024 * 1024)

/* Milliseconds before the first attempt to connect again, and the most that doubling makes of it
 * (a quarter of jitter comes on top): a Redis that is back must be trusted again within a second,
 * and a few connections a second from every worker burden nobody. */
#define CACHE_RETRY_FIRST_MS 50
#define CACHE_RETRY_MAX_MS 240

/* Seconds in which one kind of error reply is logged at most once. */
#define CACHE_ERROR_LOG_S 60

static_assert(2 * CACHE_SCRIPT_KEYS_MAX <= 7000, "unpack() needs slots of Lua's C stack");
static_assert(CACHE_SCRIPT_KEYS_MAX % CACHE_GATE_ACCOUNTS == 0 && CACHE_GATES_MAX <= 64,
              "a part has gates for all its accounts, and a bit for each");
static_assert(CACHE_SCAN_COUNT < CACHE_SCAN_IDS_MAX, "a page must hold what was asked for");
static_assert(CACHE_VALUE_MAX < CACHE_REPLY_ITEM_MAX, "a value of ours is never oversized");

#endif
