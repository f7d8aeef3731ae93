/*
 * The stage of schedules.c: what a play has at hand. One play runs at a time; what it has planned
 * means nothing when the next one runs.
 */
#ifndef BALLAST_SIM_STAGE_H
#define BALLAST_SIM_STAGE_H

#include "database.h"
#include "process.h"
#include "world.h"

#define DELAYS_MAX 4
#define ANY_CONTROL (-1) /* every statement of the trust protocol */

/* What is late: a leg of the statements of one kind, of the daemon in that slot. */
struct delay {
    int slot;
    int kind; /* enum statement_kind, or ANY_CONTROL */
    enum leg leg;
    int64_t least_us, most_us;
    event_fn *then;               /* runs once, when it is met for the first time, */
    int64_t then_us;              /* at most so long afterwards; the delay ends with it */
    const struct process *before; /* the run of the daemon that it does not count for */
};

struct stage {
    bool running;
    uint64_t number; /* of the play: an event of another one means nothing */
    int victim, helper, account;
    bool deaf; /* the victim hears no notices */
    bool asking;
    bool last; /* no play follows this one */
    int64_t late_us;
    struct delay delays[DELAYS_MAX];
    int delay_count;
};

extern struct stage stage;

/* Every event of a play begins with it: its number is the event's argument. */
bool stage_is_over(uint64_t number);
void stage_after(int64_t delay_us, event_fn *run);
struct delay *stage_delay(int slot, int kind, enum leg leg, int64_t least_us, int64_t most_us);

void stage_post(int slot, enum mutation_kind kind, int64_t amount);
/* The value of the present era stands in the cache. */
void stage_warm_up(int64_t within_us);
/* The helper changes the account, again and again, and the victim reads it. */
void stage_ask_both(void);
/* The account's key is gone from every Redis. */
void stage_evict(void);

/* Events. */
void stage_read_at_victim(void *object, uint64_t number);
void stage_read_at_both(void *object, uint64_t number);
void stage_switch_on(void *object, uint64_t number);
void stage_curtain(void *object, uint64_t number);

/* --- plays: of trust, in plays_trust.c, and of rows, in plays_rows.c --------------------------*/

/* A lease that is believed too long (T1, T2, T4, T6). */
void play_lease(void);
/* A lease whose row nobody sees yet (T4). */
void play_joiner(void);
/* A closer that comes too late (T4). */
void play_closer(void);
/* A close that a failover forgets (T14). */
void play_failover(void);
/* A daemon that dies with its commit not published (T12). */
void play_death(void);
/* An expelling that comes when its daemon is back (T12). */
void play_return(void);
/* An era of another master, while the one before it is trusted (T5). */
void play_masters(void);

/* A fill that is older than its era (T7 b, T9). */
void play_fill(void);
/* A rebuild that writes an old row (T11). */
void play_rebuild(void);
/* A statement that outlives its connection (invariant 2). */
void play_backend(void);

#endif
