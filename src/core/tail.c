/*
 * The journal's tail; see the header for what it promises.
 *
 *            NOTIFY, link up, TAIL_POLL_US passed                 trusted
 *   RESTING ------------------------------------> READING ------------------> PUBLISHING
 *      ^  ^                                        |  ^  |                        |
 *      |  +---------- no more rows ----------------+  |  +-- saw drained --+      | confirmed
 *      |                                              |                    v      v
 *      |                                              +-- next page --- FORGETTING
 *      +--- anything else, to be tried again after TAIL_RETRY_US
 *
 * A page is never larger than TAIL_PAGE, and the next one is read only when it is done: a job that
 * posts a million rows costs time, not memory.
 */
#include "core/tail.h"

#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"

/* Accounts in a page: a few milliseconds in the store and in Redis, on links that others use too.
 * The simulator sets a smaller one, so that pages follow each other. */
#ifndef TAIL_PAGE
#define TAIL_PAGE 1000
#endif
#define TAIL_POLL_US 400000 /* a NOTIFY that was lost delays a post by so much */
#define TAIL_RETRY_US 50000 /* while the cache is not trusted, or a request has failed */

enum tail_phase { TAIL_RESTING, TAIL_READING, TAIL_PUBLISHING, TAIL_FORGETTING };

struct tail {
    struct store_link *store;
    struct cache_link *cache;
    struct trust_view *view;
    struct tail_hooks hooks;
    void *ctx;
    enum tail_phase phase;
    bool detached;
    bool woken;            /* there may be rows that the reading under way does not see */
    int64_t due_us;        /* of the next reading */
    struct trust_era era;  /* own copy; valid when trusts() said so */
    uint64_t published_in; /* the era of the publish under way */
    struct tail_status status;

    struct account_id after; /* the last id of the page before */
    size_t count;
    struct account_entry entries[TAIL_PAGE];
    int64_t marks[TAIL_PAGE];
};

static void read_page(struct tail *tail);

/* T6, T13: the lease is valid now, and the link leads to the era's Redis. */
static bool trusts(struct tail *tail)
{
    const struct cache_identity *link = cache_link_identity(tail->cache);
    return link != NULL && trust_view_check(tail->view, &tail->era, clock_boot_us()) &&
           strcmp(link->run_id, tail->era.redis.run_id) == 0 &&
           strcmp(link->replid, tail->era.redis.replid) == 0;
}

static void rest(struct tail *tail, int64_t for_us)
{
    tail->phase = TAIL_RESTING;
    tail->due_us = clock_boot_us() + for_us;
    if (!tail->detached) {
        tail->hooks.need_timer(tail->ctx, tail->due_us);
    }
}

static void start(struct tail *tail)
{
    if (tail->phase == TAIL_RESTING && !tail->detached && store_link_ready(tail->store)) {
        tail->woken = false;
        tail->after.len = 0;
        read_page(tail);
    }
}

static void forgotten(void *arg, enum store_status status, const struct store_error *error)
{
    struct tail *tail = arg;
    (void)error; /* the adapter has logged it */
    if (status != STORE_OK || !store_link_ready(tail->store) || tail->detached) {
        rest(tail, TAIL_RETRY_US);
        return;
    }
    tail->status.published += tail->count;
    read_page(tail);
}

static void forget(struct tail *tail)
{
    if (!store_link_ready(tail->store) || tail->detached) {
        rest(tail, TAIL_RETRY_US);
        return;
    }
    tail->phase = TAIL_FORGETTING;
    store_forget_announced(tail->store, tail->entries, tail->marks, tail->count, forgotten, tail);
}

static void published(void *arg, enum cache_status status)
{
    struct tail *tail = arg;
    if (status == CACHE_REFUSED || status == CACHE_MOVED) {
        trust_view_suspect(tail->view, tail->published_in);
    }
    if (status == CACHE_OK && trusts(tail) && tail->era.id == tail->published_in) {
        forget(tail);
    } else {
        tail->status.deferred++;
        rest(tail, TAIL_RETRY_US);
    }
}

static void page_came(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_announced *reply)
{
    struct tail *tail = arg;
    (void)error; /* the adapter has logged it */
    if (status != STORE_OK || tail->detached) {
        rest(tail, TAIL_RETRY_US);
        return;
    }
    assert(reply->count <= TAIL_PAGE);
    if (reply->count == 0) {
        rest(tail, tail->woken ? 0 : TAIL_POLL_US);
        return;
    }
    tail->count = reply->count;
    memcpy(tail->entries, reply->entries, reply->count * sizeof tail->entries[0]);
    memcpy(tail->marks, reply->marks, reply->count * sizeof tail->marks[0]);
    tail->after = tail->entries[tail->count - 1].id;
    if (reply->era.state == ERA_DRAINED) {
        forget(tail);
    } else if (trusts(tail)) {
        tail->phase = TAIL_PUBLISHING;
        tail->published_in = tail->era.id;
        cache_publish(tail->cache, tail->era.stamp, tail->era.id, tail->entries, tail->count,
                      published, tail);
    } else {
        tail->status.deferred++;
        rest(tail, TAIL_RETRY_US);
    }
}

static void read_page(struct tail *tail)
{
    tail->phase = TAIL_READING;
    store_read_announced(tail->store, &tail->after, TAIL_PAGE, page_came, tail);
}

/* --- the interface ----------------------------------------------------------------------------*/

struct tail *tail_create(struct trust_view *view, struct store_link *store,
                         struct cache_link *cache, const struct tail_hooks *hooks, void *ctx)
{
    struct tail *tail = calloc(1, sizeof *tail);
    if (tail == NULL) {
        abort();
    }
    tail->view = view;
    tail->store = store;
    tail->cache = cache;
    tail->hooks = *hooks;
    tail->ctx = ctx;
    return tail;
}

void tail_detach(struct tail *tail)
{
    tail->detached = true;
}

void tail_free(struct tail *tail)
{
    free(tail);
}

void tail_tick(struct tail *tail)
{
    if (tail->phase == TAIL_RESTING && clock_boot_us() < tail->due_us) {
        rest(tail, tail->due_us - clock_boot_us());
        return;
    }
    start(tail);
}

void tail_notified(struct tail *tail)
{
    tail->status.notified++;
    tail->woken = true;
    start(tail);
}

void tail_links_changed(struct tail *tail)
{
    start(tail); /* whatever was notified meanwhile was not heard */
}

void tail_status(const struct tail *tail, struct tail_status *status)
{
    *status = tail->status;
}
