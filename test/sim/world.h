/*
 * The simulated world: one seed, one virtual clock, one queue of events ordered by time and then
 * by number. Everything that happens, happens in an event; what belongs to a daemon's process
 * waits while that process is paused, and is lost when it is dead.
 *
 * Nothing here may depend on an address in memory, on the wall clock or on the order of a hash: a
 * seed replays byte for byte.
 */
#ifndef BALLAST_SIM_WORLD_H
#define BALLAST_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/account.h"

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)

#define ACCOUNTS_MAX 24 /* few, so that everything meets on them */
#define DAEMONS_MAX 4   /* running at a time; a restarted one is another process in its slot */
#define SIM_ENTRIES_MAX 32

struct process;

/* What faults may do, and how often they did it: one counter a row. X(symbol, word) */
#define FAULT_ROWS(X)                                                                              \
    X(EVICT, "cache-evict")                                                                        \
    X(FLUSH, "cache-flushall")                                                                     \
    X(POISON, "cache-poison")                                                                      \
    X(CACHE_RESTART, "cache-restart-empty")                                                        \
    X(CACHE_OLD, "cache-restart-old-snapshot")                                                     \
    X(CACHE_REWIND, "cache-rewound-in-place")                                                      \
    X(CACHE_DEMOTE, "cache-demoted")                                                               \
    X(CACHE_SPLIT, "cache-second-master")                                                          \
    X(CACHE_HANG, "cache-hang")                                                                    \
    X(CACHE_CUT, "cache-connection-cut")                                                           \
    X(CACHE_AWAY, "cache-away")                                                                    \
    X(CACHE_SLOW, "cache-slow-connection")                                                         \
    X(CACHE_ERROR, "cache-error-reply")                                                            \
    X(CACHE_FULL, "cache-memory-full")                                                             \
    X(STORE_CUT, "store-connection-cut")                                                           \
    X(STORE_SILENT, "store-reply-lost")                                                            \
    X(STORE_LATE, "store-late-backend")                                                            \
    X(STORE_CRASH, "store-crash")                                                                  \
    X(STORE_AWAY, "store-away")                                                                    \
    X(STORE_FAR, "store-far-away")                                                                 \
    X(STORE_SLOW, "store-slow")                                                                    \
    X(STORE_TRANSIENT, "store-rolled-back")                                                        \
    X(STORE_READONLY, "store-read-only")                                                           \
    X(STORE_LOCAL, "store-not-replicated")                                                         \
    X(STORE_CURSED, "store-cursed-mutation")                                                       \
    X(STORE_FAILOVER, "store-failover")                                                            \
    X(SQL_POST, "post-in-sql")                                                                     \
    X(NOTIFY_LOST, "notify-lost")                                                                  \
    X(CRASH, "daemon-crash")                                                                       \
    X(STOP, "daemon-stop")                                                                         \
    X(PAUSE, "daemon-pause")                                                                       \
    X(STALL, "daemon-stall-in-a-step")                                                             \
    X(SWITCH, "cache-switched-off")                                                                \
    X(REBUILD, "rebuild")                                                                          \
    X(SCHEDULE, "schedule")

enum fault {
#define FAULT_ENUM(symbol, word) FAULT_##symbol,
    FAULT_ROWS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_COUNT
};

struct world {
    uint64_t seed;
    int64_t now; /* virtual microseconds; see world_now() */
    struct process *running;
    uint64_t steps;
    int account_count;
    bool skewed;                  /* some accounts are asked for more often than others */
    int quiet_accounts;           /* the last ones, which only schedules.c asks for */
    bool storm;                   /* faults are on */
    bool staged;                  /* little happens but schedules, one after the other */
    bool aside;                   /* when-cut-off = aside */
    bool lease_trouble;           /* and meet the statements of the trust protocol above all */
    bool read_trouble;            /* and reads of the store */
    uint32_t rate[FAULT_COUNT];   /* of this seed, in the fault's own unit; 0: none */
    uint64_t faults[FAULT_COUNT]; /* done */
    uint64_t operations;
    bool failed;
};

extern struct world world;

void world_begin(uint64_t seed);
/* Runs everything up to that time, or until a check fails. */
void world_run(int64_t until_us);
void world_end(void);

/* Now, as the running process sees it: a stall inside a step has moved it on. */
int64_t world_now(void);

typedef void event_fn(void *object, uint64_t arg);
/* owner NULL: an event of the world outside all daemons. */
void world_at(int64_t at_us, struct process *owner, event_fn *run, void *object, uint64_t arg);
void world_after(int64_t delay_us, struct process *owner, event_fn *run, void *object,
                 uint64_t arg);

/* Memory that lives until world_end(); zeroed. */
void *world_memory(size_t size);

/* --- chance -----------------------------------------------------------------------------------*/

uint64_t sim_random(void);
uint32_t sim_below(uint32_t limit);             /* 0 .. limit - 1 */
int64_t sim_between(int64_t low, int64_t high); /* both included */
bool sim_chance(uint32_t parts_per_million);
/* Mostly little more than low; now and then ten or a hundred times that. */
int64_t sim_delay(int64_t low);

void fault_count(enum fault fault);
/* True where that fault strikes now: its rate is in parts per million. Counts it. */
bool fault_strikes(enum fault fault);

/* --- accounts ---------------------------------------------------------------------------------*/

void account_name(struct account_id *id, int account);
/* Low numbers are the busier ones: what happens next to an account differs. */
int any_account(void);
int account_of(const struct account_id *id); /* -1: a system account */

#endif
