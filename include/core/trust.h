/*
 * The trust machine of one daemon: leases, and the closing, draining and opening of eras (rules T1
 * to T5 of the design). It knows no sockets and no clock of its own: link events, a tick and wakes
 * in, requests on two links and writes to the trust view out. One thread: the control thread.
 */
#ifndef BALLAST_CORE_TRUST_H
#define BALLAST_CORE_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/trust_view.h"
#include "store/store.h"

struct trust;

struct trust_options {
    const char *daemon; /* unique for each process start; copied */
    const char *incarnation;
    int64_t lease_us; /* L; W is 1.1 L */
    /* Cut off from Redis for L: give the lease up and refuse every request, so that the other
     * daemons keep the cache. Else this daemon keeps the era drained, and all answer from SQL. */
    bool stand_aside;
};

struct trust_hooks {
    /* Call trust_tick at this time of clock_boot_us, or earlier. Replaces what was asked before. */
    void (*need_timer)(void *ctx, int64_t at_us);
    /* Own lease row was dropped after trust_stop: the process may end. */
    void (*stopped)(void *ctx);
};

enum trust_phase {
    TRUST_NO_STORE,  /* the store has not answered a renewal yet, or not within L */
    TRUST_TRUSTING,  /* an era is open and the lease on it runs */
    TRUST_JOINING,   /* an era is open, the lease on it is being taken */
    TRUST_ELSEWHERE, /* an era is open on a Redis that is not ours */
    TRUST_CLOSING,   /* an era is closing: waiting for leases (T4) */
    TRUST_DRAINED,   /* no era: everything is answered from the store; opening when agreed (T5) */
    TRUST_ASIDE      /* cut off from Redis, and told to refuse rather than to hold the others up */
};

struct trust_status {
    enum trust_phase phase;
    uint64_t era;                     /* id of the row in the store, as last seen */
    int64_t since_us;                 /* when the phase began */
    int64_t valid_until_us;           /* of the lease; 0 without */
    uint64_t opened, closed, adopted; /* eras, by this daemon */
    uint64_t taken_over;              /* dead daemons, by this one */
    size_t leases;                    /* live ones, own included */
    int64_t renewed_us;               /* when the renewal that the store took last was sent; or 0 */
    bool fenced;                      /* the own lease was taken over or has gone */
    bool switched_off;                /* by an operator */
    const char *why;                  /* a constant phrase: what it waits for */
};

/* The links belong to the caller; their events are passed on below. */
struct trust *trust_create(const struct trust_options *options, struct trust_view *view,
                           struct store_link *store, struct cache_link *cache,
                           const struct trust_hooks *hooks, void *ctx)
    __attribute__((warn_unused_result));
/* Before or after the links are freed; with no further event passed on. The view is dropped. */
void trust_free(struct trust *trust);

void trust_tick(struct trust *trust);          /* the timer came */
void trust_wake(struct trust *trust);          /* a worker asked (trust_view_hooks.wake_control) */
void trust_links_changed(struct trust *trust); /* the store's or the cache's link went up or down */
void trust_notified(struct trust *trust);      /* NOTIFY ballast_era: look at the row soon */

/* Drops trust and the own lease row, then calls hooks->stopped (also where the store is away). */
void trust_stop(struct trust *trust);

void trust_status(const struct trust *trust, struct trust_status *status);
const char *trust_phase_name(enum trust_phase phase);

#endif
