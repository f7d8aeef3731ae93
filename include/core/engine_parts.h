/*
 * The inside of an engine, shared by the files of core/ that make it up: engine.c (life, timer,
 * scheduling of the store's links), read.c (lookups in the cache), fill.c (misses), order.c (of the
 * reads of one connection), write.c and commit.c (group commit), detour.c (round locked accounts), query.c and ensure.c (what may be
 * shown when). Nobody else includes this.
 */
#ifndef BALLAST_CORE_ENGINE_PARTS_H
#define BALLAST_CORE_ENGINE_PARTS_H

#include "base/list.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "core/breaker.h"
#include "core/engine.h"

/* Lookups in one MGET: at 1,024 Redis spends about a millisecond on it; more only adds latency.
 * The simulator sets this and the next lower, so that they are reached. */
#ifndef LOOKUPS_MAX
#define LOOKUPS_MAX 1024
#endif
/* Batches of lookups in flight: two keep both sides busy, more would only make batches smaller. */
#define LOOKUP_BATCHES_MAX 4
/* Accounts in one statement of a fill: about 4 ms in the store; its array is walked by pointers. */
#ifndef FILL_ACCOUNTS_MAX
#define FILL_ACCOUNTS_MAX 1000
#endif
/* Fills under way: one on each reading link, one before it (token) and one behind (fill). */
#define FILLS_MAX 6
/* Commits whose publish is not confirmed yet; the next commit waits beyond. */
#define COMMITS_MAX 8
/* How often deadlines are looked at while anything is under way, microseconds. */
#define TICK_US 10000
/* How often a link to the cache is proved where no batch does it, microseconds. */
#define PROVE_US 250000
/* A pause after a batch that the store rolled back, before it is sent again, microseconds. */
#define RETRY_PAUSE_US 10000

/* --- ensure.c ---------------------------------------------------------------------------------*/

/* Makes versions safe to show (T7). One for each commit, fill or query under way; embedded. */
struct ensure {
    struct list link; /* on engine->fencing while it waits for a ticket */
    struct engine *engine;
    uint64_t era;    /* published under */
    uint64_t ticket; /* waited for; 0: none */
    bool again;      /* published a second time already, under a newer era */
    const struct account_entry *entries;
    size_t count;
    int64_t sent_us;
    void (*done)(struct ensure *ensure);
};

/* (a) where trusted: publish, and believe the confirmation; else (c). done comes exactly once,
 * possibly before this returns. entries must stay until then. */
void ensure_published(struct engine *engine, struct ensure *ensure,
                      const struct account_entry *entries, size_t count,
                      void (*done)(struct ensure *));
/* (c) at once, because (a) has just failed; entries as above. */
void ensure_fenced(struct engine *engine, struct ensure *ensure,
                   const struct account_entry *entries, size_t count,
                   void (*done)(struct ensure *));
void ensure_fences_done(struct engine *engine);

/* True where the cache may be used: the lease is valid now and the link leads to the era's Redis.
 * engine->era is then that era. */
bool engine_trusts_cache(struct engine *engine);

/* --- queues of items --------------------------------------------------------------------------*/

struct read_queue {
    struct read_item *first, **end;
    size_t count;
};

static inline void read_queue_init(struct read_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
    queue->count = 0;
}

static inline void read_queue_push(struct read_queue *queue, struct read_item *item)
{
    item->next = NULL;
    *queue->end = item;
    queue->end = &item->next;
    queue->count++;
}

static inline void read_queue_push_front(struct read_queue *queue, struct read_item *item)
{
    item->next = queue->first;
    if (queue->first == NULL) {
        queue->end = &item->next;
    }
    queue->first = item;
    queue->count++;
}

static inline struct read_item *read_queue_pop(struct read_queue *queue)
{
    struct read_item *item = queue->first;
    if (item != NULL) {
        queue->first = item->next;
        if (queue->first == NULL) {
            queue->end = &queue->first;
        }
        queue->count--;
    }
    return item;
}

/* Moves all of front before the queue's first. */
static inline void read_queue_prepend(struct read_queue *queue, struct read_queue *front)
{
    if (front->first != NULL) {
        *front->end = queue->first;
        if (queue->first == NULL) {
            queue->end = front->end;
        }
        queue->first = front->first;
        queue->count += front->count;
        read_queue_init(front);
    }
}

/* --- the order of reads: order.c --------------------------------------------------------------*/

#define ORDER_PLACES 4096

/* A connection and an account, or several that share the hash. */
struct order_place {
    struct fill *fill; /* that some of them have joined; never two; NULL: none */
    uint32_t joined;   /* how many */
    uint32_t behind;   /* how many wait for that fill's end */
    uint32_t waiting;  /* how many wait for the store in all, joined, behind and not yet sent */
};

struct order {
    size_t waiting; /* of all places */
    struct order_place places[ORDER_PLACES];
    struct read_queue behind; /* may join no fill before another one is over */
};

/* True while an earlier read of the item's connection and account waits for the store. */
bool order_has_earlier(struct engine *engine, const struct read_item *item);
/* The item begins to wait for the store; it has its answer, or will get none. */
void order_wait(struct engine *engine, const struct read_item *item);
void order_done(struct engine *engine, const struct read_item *item);
/* False where an earlier one is in another fill, or waits for one. */
bool order_may_join(struct engine *engine, const struct read_item *item, const struct fill *fill);
/* The one fill that the earlier ones are in; NULL where there is none or one of them is in none. */
struct fill *order_fill_of_earlier(struct engine *engine, const struct read_item *item);
void order_join(struct engine *engine, const struct read_item *item, struct fill *fill);
void order_leave(struct engine *engine, const struct read_item *item);
void order_put_behind(struct engine *engine, struct read_item *item);
/* A fill is over: who waited for one goes before the other misses. */
void order_release(struct engine *engine);

/* --- mutations: write.c, commit.c, detour.c ---------------------------------------------------*/

struct commit;

struct write_queue {
    struct write_item *first, **end;
    size_t count;
};

static inline void write_queue_init(struct write_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
    queue->count = 0;
}

static inline void write_queue_push(struct write_queue *queue, struct write_item *item)
{
    item->next = NULL;
    *queue->end = item;
    queue->end = &item->next;
    queue->count++;
}

static inline struct write_item *write_queue_pop(struct write_queue *queue)
{
    struct write_item *item = queue->first;
    if (item != NULL) {
        queue->first = item->next;
        if (queue->first == NULL) {
            queue->end = &queue->first;
        }
        queue->count--;
    }
    return item;
}

/* Moves all of more to the end of queue. */
static inline void write_queue_join(struct write_queue *queue, struct write_queue *more)
{
    if (more->first != NULL) {
        *queue->end = more->first;
        queue->end = more->end;
        queue->count += more->count;
        write_queue_init(more);
    }
}

/* A link that posts, and what waits for it, in order. */
struct lane {
    struct engine *engine;
    struct store_link *link;
    struct write_queue queue;
    struct commit *commit; /* under way on the link, or in doubt: nothing passes it; NULL: none */
    int batch_limit;       /* shrinks after a rollback, to find the mutation that is at fault */
    int64_t pause_us;      /* nothing is sent before */
    int64_t latest_us;     /* the latest deadline that was ever queued */
    int64_t unordered_us;  /* until then one in the queue may be earlier than one before it */
    int64_t forget;        /* a commit whose refusals the store need not keep; 0: none */
};

/* Streams and accounts are told apart by a hash: two that share a place are treated as one, which
 * costs the one that is not meant a detour. */
#define DETOUR_PLACES 4096

struct detour {
    struct lane lane;
    uint32_t streams[DETOUR_PLACES]; /* items on the detour, queue and commit */
    bool locked[DETOUR_PLACES];      /* accounts that a posting would wait for */
};

/* --- the engine -------------------------------------------------------------------------------*/

struct engine {
    struct engine_options options;
    struct engine_hooks hooks;
    void *ctx;
    struct trust_view *view;
    struct metrics *metrics;

    struct store_link *readers[ENGINE_READ_LINKS_MAX];
    size_t reader_count;
    struct cache_link *cache;
    struct breaker breaker;  /* of what is sent to the readers */
    int64_t readers_down_us; /* since when no reader is up, or since the writer came back before
                                them; 0: one is */
    bool writer_was_up;

    struct trust_era era; /* own copy; valid when engine_trusts_cache() said so */
    uint64_t matched_era; /* the era that was compared with the link's identity */
    bool matched;         /* and what came out */
    bool flush_asked;
    bool timer_asked;
    bool proving; /* the cache's link is asked for the stamp, to prove itself */
    int64_t prove_at_us;
    bool closing; /* engine_free is under way: nothing new is sent */

    /* read.c */
    struct read_queue lookups; /* to be looked up at the next flush */
    struct pool *batches;
    size_t batches_in_flight;
    size_t looking_up; /* items in them */

    /* fill.c */
    struct read_queue misses; /* to be read from the store */
    struct pool *fills;
    struct list fills_active;
    int64_t poison_logged_us;

    struct order order; /* order.c */

    /* write.c */
    struct pool *items;
    struct lane main;
    struct detour detour;
    size_t queued; /* items, in queues and commits */
    struct list commits_active, commits_idle;
    int64_t refused_us; /* when the store last took no writes at all; 0: it has since */
    char refusal[STORE_TEXT_MAX];

    /* query.c */
    struct query_item *query_first, **query_end;
    size_t queries_queued, queries_in_flight;
    struct pool *queries;
    struct list queries_active;
    bool query_turn; /* a reading link goes to queries and fills in turns */

    struct list fencing; /* ensures that wait for a ticket */
};

void engine_ask_flush(struct engine *engine);
void engine_ask_timer(struct engine *engine);
/* True where reads need not wait for the store any longer: it has been away for longer than a
 * restart takes, or this daemon stands aside. */
bool engine_store_is_gone(const struct engine *engine, int64_t now);
/* A statement that was sent under engine->breaker has failed. */
void engine_read_failed(struct engine *engine);
/* Gives work to every idle reading link. */
void engine_feed_readers(struct engine *engine);

void read_send_lookups(struct engine *engine);
/* Answers with what the cache last had, marked stale, or UNAVAILABLE; takes the items over. */
void read_answer_stale(struct engine *engine, struct read_queue *items);
void read_finish(struct read_item *item, enum read_answer answer);

size_t read_batch_size(void); /* of the objects in engine->batches; so are the next ones */
size_t fill_size(void);
size_t query_size(void);

void fill_add(struct engine *engine, struct read_item *item);
void fill_start(struct engine *engine);
/* True where it put a statement on the link. */
bool fill_feed(struct engine *engine, struct store_link *link);
void fill_tick(struct engine *engine, int64_t now);
void fill_drop_all(struct engine *engine);

void write_create(struct engine *engine);
void write_advance(struct engine *engine);
void write_tick(struct engine *engine, int64_t now);
void write_drop_all(struct engine *engine);
/* Tells the client, once. The item stays: it may have to be resolved yet. */
void write_answer(struct engine *engine, struct write_item *item);
void write_answer_as(struct engine *engine, struct write_item *item, enum outcome outcome,
                     const char *detail);
/* The last word on an item: it goes back to its pool. */
void write_item_over(struct engine *engine, struct write_item *item);

void commit_create_all(struct engine *engine);
void commit_destroy_all(struct engine *engine);
/* Puts what the lane has to do on its link, if that is free. */
void commit_advance(struct lane *lane);
void commit_tick(struct engine *engine, int64_t now);
void commit_drop_all(struct engine *engine);
/* What is in doubt, in commits, and waiting to be sent again. */
void commit_status(const struct engine *engine, struct engine_status *status, int64_t now);
void write_status(const struct engine *engine, struct engine_status *status, int64_t now);
static inline void engine_count_doubt(struct engine_status *status, int64_t age_us)
{
    status->writes_in_doubt++;
    status->oldest_doubt_us = age_us > status->oldest_doubt_us ? age_us : status->oldest_doubt_us;
}

/* True for what touches a locked account, or must not overtake what is on the detour. */
bool detour_takes(const struct detour *detour, const struct write_item *item);
/* True where both are of one stream, or of two that share a place. */
bool detour_one_stream(const struct write_item *a, const struct write_item *b);
void detour_push(struct detour *detour, struct write_item *item);
void detour_left(struct detour *detour, const struct write_item *item);
/* The accounts with a row that the item's words name, room at most; returns how many. */
size_t detour_accounts(const struct write_item *item, const struct account_id **ids, size_t room);
void detour_mark_locked(struct detour *detour, const struct account_entry *accounts, size_t count);
/* The accounts of the item are locked, or are not any more. */
void detour_mark(struct detour *detour, const struct write_item *item, bool locked);
/* The first item cannot be done now: it goes behind the others, with what must not overtake it. */
void detour_rotate(struct detour *detour);

bool query_feed(struct engine *engine, struct store_link *link);
void query_tick(struct engine *engine, int64_t now);
void query_drop_all(struct engine *engine);

#endif
