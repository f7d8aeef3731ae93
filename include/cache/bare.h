/*
 * cache/bare.h: a link that asks nothing of the server beyond being there, for `doctor`, which meets
 * replicas, servers that load or are full, and servers that speak the protocol and are no Redis.
 *
 * It goes up as soon as it is connected and has authenticated (where the options have a password).
 * It takes cache_ask() alone.
 */
#ifndef BALLAST_CACHE_BARE_H
#define BALLAST_CACHE_BARE_H

#include "base/attributes.h"
#include "cache/cache.h"

/* As cache_link_create(). */
struct cache_link *cache_link_create_bare(struct event_base *base,
                                          const struct cache_options *options,
                                          const struct cache_hooks *hooks, void *ctx) MUST_CHECK;

/* A reply, its arrays flattened: numbers are written out, nil is NULL. */
struct cache_answer {
    bool is_error; /* then the one text is the error's */
    const char *const *texts;
    size_t count;
};

/* answer is valid during the callback, and NULL unless the status is OK: an error is an answer. */
typedef void cache_answer_fn(void *arg, enum cache_status status,
                             const struct cache_answer *answer);

/* Any command. words may go when the call has returned. */
void cache_ask(struct cache_link *link, const char *const *words, size_t count,
               cache_answer_fn *done, void *arg);

#endif
