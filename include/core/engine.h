/*
 * The engine of one worker: reads, mutations and queries in, answers out.
 *
 * It knows no sockets, no clock of its own and no threads: items and link events in; requests on
 * links and callbacks out. The journey of a read is drawn in core/read.c, that of a mutation in
 * core/write.c, and what may be shown when in core/ensure.c (rule T7).
 *
 * Everything is called on the worker's one thread. Every submitted item gets its done callback
 * exactly once, by its deadline, and never before the submitting call has returned; done may
 * submit further items. Callbacks come in no particular order: a session keeps its replies in
 * order itself.
 */
#ifndef BALLAST_CORE_ENGINE_H
#define BALLAST_CORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "cache/cache.h"
#include "core/trust_view.h"
#include "model/account.h"
#include "model/mutation.h"
#include "store/store.h"

struct engine;
struct metrics;

#define ENGINE_READ_LINKS_MAX LIMIT_READ_LINKS_MAX

struct engine_options {
    int worker;         /* index, for the trust view */
    int batch_max;      /* mutations in one commit */
    int queue_max;      /* mutations waiting or in flight; beyond: BUSY */
    int read_queue_max; /* accounts waiting for the store; beyond: BUSY */
    int64_t grace_us;   /* how long a read waits for a store that has just gone away, before it
                            is answered with a stale value */
};

struct engine_hooks {
    /* Call engine_flush at the end of this turn of the loop. */
    void (*need_flush)(void *ctx);
    /* Call engine_tick at this time of clock_boot_us, or earlier. Replaces what was asked before.*/
    void (*need_timer)(void *ctx, int64_t at_us);
};

struct engine *engine_create(const struct engine_options *options, struct trust_view *view,
                             struct metrics *metrics, const struct engine_hooks *hooks, void *ctx)
    __attribute__((warn_unused_result));
/*
 * The end, in this order: engine_detach(), after which nothing is sent any more; the caller frees
 * the links, whose callbacks still come in; engine_free() answers what is left (UNAVAILABLE or
 * UNKNOWN).
 */
void engine_detach(struct engine *engine);
void engine_free(struct engine *engine);

/* The links belong to the caller. Mutations go over writer: one link keeps their order, also when
 * they are sent again. Those that would wait for a locked account, and what must not overtake them,
 * go over detour (core/detour.c). */
void engine_attach(struct engine *engine, struct store_link *writer, struct store_link *detour,
                   struct store_link *const *readers, size_t reader_count,
                   struct cache_link *cache);

void engine_flush(struct engine *engine);
void engine_tick(struct engine *engine);
void engine_links_changed(struct engine *engine); /* any link of this engine went up or down */
void engine_fences_done(struct engine *engine);   /* trust_view_hooks.wake_workers */

/* --- reads ------------------------------------------------------------------------------------*/

enum read_answer {
    READ_CURRENT,     /* state holds: version 0 = the store says there is no such account */
    READ_STALE,       /* the store cannot be asked; state is the last value that the cache had */
    READ_UNAVAILABLE, /* the store cannot be asked, and the cache had nothing */
    READ_BUSY         /* a limit was reached: shed before anything was asked */
};

enum read_source { READ_FROM_CACHE, READ_FROM_STORE };

/* One account to be read. The submitter owns the memory until done; set the first part. */
struct read_item {
    struct account_id id; /* not a system account: those are queries */
    bool fresh;           /* from the store, whatever the cache holds */
    uint64_t min_version; /* a cached value below it does not count */
    int64_t max_age_ms;   /* nor one older; -1 = any */
    int64_t deadline_us;
    void (*done)(struct read_item *item);
    void *owner;
    uint64_t
        stream; /* a connection's number: what items of one stream show never goes back, taken in
                        the order of their submission, READ_STALE excepted */

    enum read_answer answer;
    enum read_source source;
    int64_t age_ms; /* of a cached value; 0 from the store */
    struct account_state state;

    /* the engine's own */
    struct cache_lookup lookup;
    struct read_item *next;
    bool poisoned; /* what stands in the cache is to be overwritten */
    bool hit;      /* state holds, and waits for an earlier item of the stream */
};

void engine_read(struct engine *engine, struct read_item *item);

/* --- mutations --------------------------------------------------------------------------------*/

struct write_item {
    struct store_posting posting; /* in: mutation, checked; out: result */
    int64_t received_us;
    int64_t deadline_us;
    /* result.outcome: the store's word, or UNAVAILABLE, UNKNOWN, BUSY. The item is valid during
     * the call only. */
    void (*done)(struct write_item *item);
    void *owner;
    uint64_t stream; /* a connection's number: items of one stream take effect in their order */

    /* the engine's own */
    struct write_item *next;
    bool answered; /* the client was told UNKNOWN; the outcome is still being resolved */
    bool sent;     /* has left at least once: may be applied */
    int turn;      /* of the commit that it was sent with; where sent */
};

/* A zeroed item from the engine's pool; NULL: the queue is full, answer BUSY. */
struct write_item *engine_write_new(struct engine *engine) __attribute__((warn_unused_result));
/* Gives back an item that was not submitted. */
void engine_write_discard(struct engine *engine, struct write_item *item);
/* Takes the item over. Items of one stream take effect in the order of their submission. */
void engine_write(struct engine *engine, struct write_item *item);

/* --- queries: what only the store can answer --------------------------------------------------*/

enum query_kind {
    QUERY_HISTORY,
    QUERY_BALANCE_AT,
    QUERY_SYSTEM_BALANCE,
    QUERY_CHARGES, /* open ones: of the account, or of all where it has len 0 */
    QUERY_WATCH    /* of the whole store: sql/watch.sql */
};

#define QUERY_TIME_MAX 48

/* The submitter owns the memory until done; results are valid during done only. */
struct query_item {
    enum query_kind kind;
    struct account_id account;
    uint64_t before;           /* HISTORY; 0 = from the newest */
    int count;                 /* HISTORY */
    char time[QUERY_TIME_MAX]; /* BALANCE_AT: RFC 3339 */
    int64_t deadline_us;
    void (*done)(struct query_item *item);
    void *owner;

    enum outcome outcome; /* OK, NOACCOUNT, ERR, UNAVAILABLE, BUSY */
    char detail[STORE_TEXT_MAX];
    struct store_history_row *history;            /* HISTORY: count rows of them */
    struct store_system_balance *system_balances; /* SYSTEM_BALANCE */
    const char **cells; /* CHARGES, WATCH: rows times columns; NULL = SQL NULL */
    size_t rows, columns;
    int64_t balance;  /* BALANCE_AT */
    uint64_t version; /* BALANCE_AT; 0: not open yet at that time */

    /* the engine's own */
    struct query_item *next;
    void *memory; /* the copied rows */
};

void engine_query(struct engine *engine, struct query_item *item);

/* --- looking in -------------------------------------------------------------------------------*/

struct engine_status {
    bool writer_up, reader_up, cache_up;
    const char *store_why, *cache_why; /* "" when up */
    const char
        *refusal; /* why the store, though up, takes no writes; "": it does, as far as known */
    size_t writes_queued, writes_in_flight, writes_in_doubt;
    int64_t oldest_doubt_us; /* age; 0 without */
    size_t reads_waiting;    /* for the store */
};
void engine_status(struct engine *engine, struct engine_status *status);

/* Items under way: 0 means that a graceful end may go on. */
size_t engine_pending(const struct engine *engine);

#endif
