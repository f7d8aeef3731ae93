/*
 * server/warmer.h: the thread of a daemon that fills the cache of a new era in the background
 * (ops/warm.h). It sleeps, without a connection, until the trust machine trusts an era that nobody
 * has warmed yet.
 *
 * The daemon that opened the era goes first; the others look a moment later whether it is being
 * done, and go on looking until it is, so that an era is warmed also where its opener has died.
 */
#ifndef BALLAST_SERVER_WARMER_H
#define BALLAST_SERVER_WARMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config.h"
#include "core/trust.h"
#include "core/trust_view.h"

struct warmer;

/* Starts the thread. The view must stay; the configuration until warmer_holds_config denies it. */
struct warmer *warmer_create(const struct config *config, struct trust_view *view) MUST_CHECK;

/* Control thread: the state of the trust machine, whenever it may have changed. */
void warmer_note_trust(struct warmer *warmer, const struct trust_status *trust);
/* Control thread: this configuration holds from now on. */
void warmer_offer_config(struct warmer *warmer, const struct config *config);
bool warmer_holds_config(struct warmer *warmer, const struct config *config);

/* Tells it to end; called again does nothing. */
void warmer_stop(struct warmer *warmer);
/* Waits for its end, for about half a second where a server hangs. NULL does nothing. */
void warmer_free(struct warmer *warmer);

struct warmer_status {
    bool running;                   /* this daemon warms now */
    int percent;                    /* of the present era, as far as this daemon knows */
    uint64_t accounts, estimate;    /* the same: done; in all, about (0: not known) */
    uint64_t written;               /* values, since the start of the daemon */
    uint64_t done, stopped, failed; /* warmings, since the start of the daemon */
};

/* Any thread. */
void warmer_status(struct warmer *warmer, struct warmer_status *status);

#endif
