/*
 * ops/throttle.h: how fast a job in the background may go, judged by what it observes: the time
 * that cache and store take to answer it.
 *
 * The job works at most half of the time: it rests for as long as its last step took, where both
 * servers answer as fast as they can (their own best of late). Where one takes twice as long,
 * others use it too, and the rest is twice as long, and so on. Where one takes much longer than a
 * healthy server ever does, an extra rest doubles at every such step, and shrinks by a quarter at
 * every other. The best is forgotten slowly, so that a server that is busier or farther away than
 * it was becomes the measure in its turn. Knows no clock: times are the caller's, in microseconds.
 */
#ifndef BALLAST_OPS_THROTTLE_H
#define BALLAST_OPS_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

enum throttle_server { THROTTLE_CACHE, THROTTLE_STORE, THROTTLE_SERVERS };

struct throttle {
    int64_t best_us[THROTTLE_SERVERS];   /* 0: nothing observed yet */
    int64_t times_x16[THROTTLE_SERVERS]; /* how many times the best answers take, smoothed, x 16 */
    bool slow;                           /* an answer since the last rest was slow */
    int64_t extra_us;                    /* what a rest is longer for the sake of slow servers */
};

#define THROTTLE_NONE ((struct throttle){.slow = false})

#define THROTTLE_TIMES_MAX 10
#define THROTTLE_EXTRA_MIN_US 2000
/* A chunk of some hundred accounts every tenth of a second costs next to nothing, and a cache that
 * stays cold costs the store more. */
#define THROTTLE_EXTRA_MAX_US (100 * 1000)

/* A server has answered after so long. */
void throttle_observe(struct throttle *throttle, enum throttle_server server, int64_t took_us);

/* A step has taken so long, all in all: how long to rest before the next. */
int64_t throttle_rest(struct throttle *throttle, int64_t step_us);

#endif
