/*
 * base/pool.h: objects of one size, for one thread. They are allocated in slabs and kept for the
 * next user, so that the steady state allocates nothing and the limit is a number, not the memory
 * of the machine.
 */
#ifndef BALLAST_BASE_POOL_H
#define BALLAST_BASE_POOL_H

#include <stddef.h>

#include "base/attributes.h"

struct pool;

/*
 * A pool of objects of `object_size` bytes, at most `limit` in use at a time, aligned for any
 * type. Allocates nothing yet but itself. The name (not copied) is for messages.
 */
struct pool *pool_create(const char *name, size_t object_size, size_t limit);

/* Frees the pool with all its objects. None may be in use: that is a leak, and aborts. */
void pool_destroy(struct pool *pool);

/* An object, zeroed; NULL where `limit` are in use. */
void *pool_take(struct pool *pool) MUST_CHECK;

/* The same, with whatever bytes its last user left: for large objects that are filled anyway. */
void *pool_take_raw(struct pool *pool) MUST_CHECK;

/* Takes the object back; NULL does nothing. Its bytes must not be touched afterwards. */
void pool_give(struct pool *pool, void *object);

/* Objects in use now, and the most that ever were. */
size_t pool_used(const struct pool *pool);
size_t pool_high_water(const struct pool *pool);
size_t pool_limit(const struct pool *pool);
const char *pool_name(const struct pool *pool);

#endif
