/*
 * server/health.h: how the daemon is, part by part: the state, its cause, since when, and what the
 * daemon does about it. The control thread judges at least once a second and whenever trust may
 * have changed, and tells the log of each change of state; everybody else sees copies (board.h).
 */
#ifndef BALLAST_SERVER_HEALTH_H
#define BALLAST_SERVER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "core/trust.h"
#include "store/store.h"

enum health_part {
    HEALTH_STORE,   /* PostgreSQL, of all links: reading and posting */
    HEALTH_CACHE,   /* Redis, of all links */
    HEALTH_ERA,     /* whether the cache may be believed */
    HEALTH_LEASE,   /* whether the store goes on renewing our right to believe it */
    HEALTH_BACKLOG, /* what waits, and what is in doubt */
    HEALTH_PARTS
};

enum health_state {
    HEALTH_OK,
    HEALTH_DEGRADED, /* every answer is right: slower, or later */
    HEALTH_FAILED,   /* some requests are refused, or answered with values marked stale */
    HEALTH_STATES
};

struct health_item {
    enum health_state state;
    int64_t since_us; /* of the state: clock_boot_us() */
    int64_t since_wall_ms;
    char cause[STORE_TEXT_MAX]; /* "" where it is ok */
    const char *action;         /* what the daemon does about it; a constant */
};

struct health {
    struct health_item parts[HEALTH_PARTS];
};

/* What it is judged by. */
struct health_facts {
    const struct trust_status *trust;
    const struct engine_status *engines; /* of all workers together: board_sum_engines() */
    bool store_up, cache_up;             /* the control thread's links */
    const char *store_why, *cache_why;
    int64_t lease_us;
    size_t queue_max, read_queue_max; /* of all workers together */
};

/* The parts at the start: not ok, and nobody has been told. */
void health_init(struct health *health, int64_t now_us, int64_t now_wall_ms);

/* Brings *health up to date; a part whose state changes is logged, with `quiet` only where it
 * becomes ok: at the start everything is still on its way. */
void health_update(struct health *health, const struct health_facts *facts, bool quiet,
                   int64_t now_us, int64_t now_wall_ms);

/* In one line: "ok", or the worst part (of several the first) and why, as in "cache degraded:
 * Connection refused". Printable ASCII, whatever others have put into the cause. */
#define HEALTH_SUMMARY_ROOM 160
void health_summarize(const struct health *health, char out[HEALTH_SUMMARY_ROOM]);

const char *health_part_name(enum health_part part);    /* "store", "cache"... */
const char *health_state_name(enum health_state state); /* "ok", "degraded", "failed" */

#endif
