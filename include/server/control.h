/*
 * server/control.h: the daemon's own links to store and cache with what runs on them: the trust
 * machine, and the journal's tail. One thread: the control thread.
 */
#ifndef BALLAST_SERVER_CONTROL_H
#define BALLAST_SERVER_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "core/tail.h"
#include "core/trust.h"
#include "server/board.h"

struct control;
struct event_base;

struct control_options {
    const struct config *config; /* read at creation only */
    const char *daemon;          /* the name of the lease: "HOST-PID-" and 16 hex digits */
    struct trust_view *view;
    struct board *board;
    /* The store needs an operator (schema missing, wrong database...), and was never up. why is a
     * sentence. Called once, from the loop. */
    void (*needs_operator)(void *ctx, const char *why);
    /* The state of the trust machine, once a second and whenever it may have changed. */
    void (*trust_shown)(void *ctx, const struct trust_status *trust);
    void *ctx;
};

/* The configuration must have passed store_options_check(). */
struct control *control_create(struct event_base *base,
                               const struct control_options *options) MUST_CHECK;
void control_free(struct control *control);

/* Any thread: trust_view_hooks.wake_control. */
void control_wake(struct control *control);

/* The daemon's health as its lease tells it from the next renewal on: store_link_tell_health(). */
void control_tell_health(struct control *control, const char *text);

/* Gives up trust and the own lease, then calls stopped(ctx). */
void control_stop(struct control *control, void (*stopped)(void *ctx));

struct control_status {
    const char *daemon; /* the name of the lease */
    struct trust_status trust;
    bool store_up, cache_up;
    const char *store_why, *cache_why; /* "" when up; valid until the loop goes on */
    struct tail_status tail;
};
void control_status(const struct control *control, struct control_status *status);

#endif
