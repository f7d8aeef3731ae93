/*
 * server/command_stats.h: how often each command ran, and how long it took.
 *
 * Each worker has counters of its own, which only its thread writes. They are registered, so that
 * any thread can sum over all workers that there are.
 */
#ifndef BALLAST_SERVER_COMMAND_STATS_H
#define BALLAST_SERVER_COMMAND_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/histogram.h"

struct command_stats;

struct command_stats *command_stats_create(void) MUST_CHECK;
void command_stats_free(struct command_stats *stats);

/* --- the worker's thread; index is command_index() --------------------------------------------*/

/* It ran, and was answered, with an error or not. */
void command_stats_called(struct command_stats *stats, int index, int64_t took_us, bool failed);
/* It did not run: arity, permission. */
void command_stats_rejected(struct command_stats *stats, int index);
/* CONFIG RESETSTAT. */
void command_stats_reset(struct command_stats *stats);

/* --- any thread -------------------------------------------------------------------------------*/

struct command_total {
    uint64_t calls;
    uint64_t rejected;
    uint64_t failed;
};

/* Of all workers. *latency, in microseconds, becomes the caller's own sum. */
void command_stats_sum(int index, struct command_total *total, struct histogram *latency);

#endif
