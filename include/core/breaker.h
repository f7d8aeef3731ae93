/*
 * A circuit breaker for the statements that read from the store, one a worker.
 *
 *   CLOSED     everything may be sent
 *   OPEN       nothing may, for a pause that doubles with every probe that fails, with jitter
 *   HALF-OPEN  the pause is over: one statement may, as a probe; it closes the breaker, or opens it
 *
 *   CLOSED --failed--> OPEN --pause over--> HALF-OPEN --passed--> CLOSED
 *                        ^------failed---------'
 *
 * It is also the budget for retries: what failed goes back to its queue and leaves again within a
 * statement that the breaker lets through. So a store in trouble sees one statement a pause from a
 * worker, however many clients ask, and what they ask for waits until its deadline.
 *
 * Failures of statements that were under way when it opened are part of the failure that opened it.
 * Times are of clock_boot_us(), read by the caller. One thread.
 */
#ifndef BALLAST_CORE_BREAKER_H
#define BALLAST_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* The first pause, and what it doubles up to, microseconds. */
#define BREAKER_PAUSE_US 10000
#define BREAKER_PAUSE_MAX_US 320000

struct breaker {        /* zeroed: closed */
    int64_t pause_us;   /* the last one; 0: closed */
    int64_t open_until; /* with jitter */
    bool probing;       /* a statement was sent half-open */
};

bool breaker_admits(const struct breaker *breaker, int64_t now_us);
/* A statement was sent; exactly one of the next two follows for each. */
void breaker_sent(struct breaker *breaker);
void breaker_passed(struct breaker *breaker); /* it was answered, be it by a refusal */
/* True where this opened a closed breaker. */
bool breaker_failed(struct breaker *breaker, int64_t now_us);

#endif
