/*
 * server/loop.h: what every event loop here needs of libevent: a wake-up from other threads, and
 * timers that are given as times of clock_boot_us. Out of memory or descriptors at creation
 * aborts: that is at the start of the daemon, and nothing could be served.
 */
#ifndef BALLAST_SERVER_LOOP_H
#define BALLAST_SERVER_LOOP_H

#include <stdint.h>

struct event;
struct event_base;

typedef void loop_fn(void *arg);

/* One base for one thread: libevent's own locks are not needed, and not set up. */
struct event_base *loop_base_new(void);

/* --- timers, and events that are only made active ---------------------------------------------*/

/* fn(arg) is called when the timer is due, or when loop_soon was called. Free with event_free. */
struct event *loop_timer_new(struct event_base *base, void (*fn)(int fd, short what, void *arg),
                             void *arg);

/* Due at this time of clock_boot_us; it may come a moment earlier. Replaces what was set. */
void loop_timer_at(struct event *timer, int64_t at_us);
void loop_timer_in_ms(struct event *timer, int64_t ms);

/* Due in this very turn, behind everything that the turn has brought so far. */
void loop_soon(struct event *timer);

/* --- wake-ups ---------------------------------------------------------------------------------*/

struct loop_wake {
    int fd; /* an eventfd */
    struct event *event;
    loop_fn *fn;
    void *arg;
};

/* fn(arg) is called on the loop's thread once for one or more signals. */
void loop_wake_open(struct loop_wake *wake, struct event_base *base, loop_fn *fn, void *arg);
void loop_wake_close(struct loop_wake *wake);

/* Any thread. What was written before the signal is seen by fn. */
void loop_wake_signal(const struct loop_wake *wake);

#endif
