#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ops/doctor_parts.h"

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg; /* it only ends a turn of the loop */
}

void doctor_loop_open(struct doctor_loop *loop, int64_t until_us)
{
    loop->until_us = until_us;
    loop->base = event_base_new();
    loop->deadline = loop->base != NULL ? evtimer_new(loop->base, on_deadline, NULL) : NULL;
    if (loop->deadline == NULL) {
        abort();
    }
}

bool doctor_loop_turn(struct doctor_loop *loop)
{
    int64_t left_us = loop->until_us - clock_boot_us();
    struct timeval left = {left_us / 1000000, left_us % 1000000};

    if (left_us <= 0) {
        return false;
    }
    evtimer_add(loop->deadline, &left);
    event_base_loop(loop->base, EVLOOP_ONCE);
    return true;
}

void doctor_loop_pause(struct doctor_loop *loop, int64_t us)
{
    int64_t end_us = loop->until_us, pause_us = clock_boot_us() + us;

    loop->until_us = pause_us < end_us ? pause_us : end_us;
    while (doctor_loop_turn(loop)) {
    }
    loop->until_us = end_us;
}

void doctor_loop_close(struct doctor_loop *loop)
{
    if (loop->base != NULL) {
        event_free(loop->deadline);
        event_base_free(loop->base);
        loop->base = NULL;
    }
}
