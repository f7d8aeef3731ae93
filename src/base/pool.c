/*
 * Free objects are chained through their own first bytes. Slabs double in size from 16 objects to
 * 1,024, so that a small pool stays small and a large one allocates seldom. Under the address
 * sanitizer, free objects are poisoned: use after pool_give() is found as it would be with free().
 */
#include "base/pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISONS 1
#endif
#endif

#ifdef POOL_POISONS
#include <sanitizer/asan_interface.h>
#define POOL_POISON(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define POOL_UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define POOL_POISON(at, size) ((void)0)
#define POOL_UNPOISON(at, size) ((void)0)
#endif

#define POOL_SLAB_FIRST 16
#define POOL_SLAB_MAX 1024

struct pool_free {
    struct pool_free *next;
};

struct pool_slab {
    struct pool_slab *next;
    alignas(max_align_t) unsigned char objects[];
};

struct pool {
    const char *name;
    size_t object_size; /* rounded up to the alignment */
    size_t limit;
    size_t used;
    size_t high_water;
    size_t made; /* objects in all slabs */
    struct pool_free *free;
    struct pool_slab *slabs;
};

struct pool *pool_create(const char *name, size_t object_size, size_t limit)
{
    const size_t align = alignof(max_align_t);
    struct pool *pool = calloc(1, sizeof *pool);

    assert(object_size > 0 && object_size <= SIZE_MAX / POOL_SLAB_MAX / 2);
    if (pool == NULL) {
        abort();
    }
    pool->name = name;
    pool->object_size = (object_size + align - 1) / align * align;
    pool->limit = limit;
    return pool;
}

void pool_destroy(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    if (pool->used != 0) {
        fprintf(stderr, "pool %s: destroyed with %zu objects in use\n", pool->name, pool->used);
        abort();
    }
    while (pool->slabs != NULL) {
        struct pool_slab *slab = pool->slabs;

        pool->slabs = slab->next;
        free(slab);
    }
    free(pool);
}

static void pool_push(struct pool *pool, void *object)
{
    struct pool_free *entry = object;

    entry->next = pool->free;
    pool->free = entry;
    POOL_POISON(object, pool->object_size);
}

static void pool_add_slab(struct pool *pool)
{
    size_t count = pool->made < POOL_SLAB_FIRST ? POOL_SLAB_FIRST : pool->made;

    count = count > POOL_SLAB_MAX ? POOL_SLAB_MAX : count;
    count = count > pool->limit - pool->made ? pool->limit - pool->made : count;

    struct pool_slab *slab = malloc(sizeof *slab + count * pool->object_size);

    if (slab == NULL) {
        abort();
    }
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->made += count;
    for (size_t i = count; i > 0; i--) { /* so that they are handed out in rising order */
        pool_push(pool, slab->objects + (i - 1) * pool->object_size);
    }
}

void *pool_take_raw(struct pool *pool)
{
    if (pool->used == pool->limit) {
        return NULL;
    }
    if (pool->free == NULL) {
        pool_add_slab(pool);
    }

    struct pool_free *entry = pool->free;

    POOL_UNPOISON(entry, pool->object_size);
    pool->free = entry->next;
    pool->used++;
    if (pool->used > pool->high_water) {
        pool->high_water = pool->used;
    }
    return entry;
}

void *pool_take(struct pool *pool)
{
    void *object = pool_take_raw(pool);

    return object == NULL ? NULL : memset(object, 0, pool->object_size);
}

void pool_give(struct pool *pool, void *object)
{
    if (object == NULL) {
        return;
    }
    assert(pool->used > 0);
    pool->used--;
    pool_push(pool, object);
}

size_t pool_used(const struct pool *pool)
{
    return pool->used;
}

size_t pool_high_water(const struct pool *pool)
{
    return pool->high_water;
}

size_t pool_limit(const struct pool *pool)
{
    return pool->limit;
}

const char *pool_name(const struct pool *pool)
{
    return pool->name;
}
