/*
 * The inside of an engine, shared by the files of core/ that make it up: engine.c (life, timer,
 * scheduling of the store's links), read.c (lookups in the cache), fill.c (misses), write.c (group
 * commit), query.c and ensure.c (what may be shown when). Nobody else includes this.
 */
#ifndef BALLAST_CORE_ENGINE_PARTS_H
#define BALLAST_CORE_ENGINE_PARTS_H

#include "base/list.h"
#include "base/metrics.h"
#include "base/pool.h"
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
/* Refreshes for posts made in SQL, under way; beyond, the era is closed instead. */
#define REFRESHES_MAX 4096
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

/* --- the engine -------------------------------------------------------------------------------*/

struct engine {
    struct engine_options options;
    struct engine_hooks hooks;
    void *ctx;
    struct trust_view *view;
    struct metrics *metrics;

    struct store_link *writer;
    struct store_link *readers[ENGINE_READ_LINKS_MAX];
    size_t reader_count;
    struct cache_link *cache;
    int64_t readers_down_us; /* since when no reader is up; 0: one is */

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
    int64_t misses_pause_us; /* nothing is sent before: the store has just rolled one back */
    struct pool *refreshes;
    int64_t poison_logged_us;

    /* write.c */
    struct pool *items;
    struct write_item *queue_first, **queue_end;
    size_t queued;
    struct list commits_active, commits_idle;
    bool writing;           /* a commit is on the writer link */
    int batch_limit;        /* shrinks after a rollback, to find the mutation that is at fault */
    int64_t write_pause_us; /* nothing is sent before */

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
void write_destroy(struct engine *engine);
void write_advance(struct engine *engine);
void write_tick(struct engine *engine, int64_t now);
void write_drop_all(struct engine *engine);

bool query_feed(struct engine *engine, struct store_link *link);
void query_tick(struct engine *engine, int64_t now);
void query_drop_all(struct engine *engine);

#endif
