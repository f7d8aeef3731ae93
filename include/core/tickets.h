/*
 * The tickets that workers ask for in order to show a version without the cache (rule T7 c). A
 * ticket is settled by a row of the era that was read after it was asked for: one that is drained,
 * or a later era than the one found open then. Tickets are numbered by trust_view_fence(); those up
 * to a number are treated alike. One thread: the trust machine's.
 */
#ifndef BALLAST_CORE_TICKETS_H
#define BALLAST_CORE_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/trust_view.h"
#include "store/store.h"

struct tickets {
    struct trust_view *view;
    uint64_t at_send; /* asked for before the request under way was sent */
    uint64_t read;    /* the row was read after these were asked for */
    uint64_t waiting; /* up to this one they wait for waiting_era to end; 0: none waits */
    uint64_t waiting_era;
};

/* A request that will bring the row is being sent. */
void tickets_sending(struct tickets *tickets);

/* The row of the request sent last has come. */
void tickets_absorb(struct tickets *tickets, const struct store_era *row);

/* That request has opened an era: its statement found the era before it drained. */
void tickets_opened(struct tickets *tickets);

/* A new era is trusted: whoever waits may publish under it instead. */
void tickets_return(struct tickets *tickets);

bool tickets_wait_for(const struct tickets *tickets, uint64_t era);

/* True where some were asked for since the row was last read. */
bool tickets_are_new(const struct tickets *tickets);

#endif
