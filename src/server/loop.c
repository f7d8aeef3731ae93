/* Wake-ups and timers of an event loop; see the header. */
#include "server/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/attributes.h"
#include "base/clock.h"

struct event_base *loop_base_new(void)
{
    struct event_config *config = event_config_new();

    if (config == NULL || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0) {
        abort();
    }
    struct event_base *base = event_base_new_with_config(config);
    if (base == NULL) {
        abort();
    }
    event_config_free(config);
    return base;
}

struct event *loop_timer_new(struct event_base *base, void (*fn)(int fd, short what, void *arg),
                             void *arg)
{
    struct event *timer = event_new(base, -1, 0, fn, arg);

    if (timer == NULL) {
        abort();
    }
    return timer;
}

void loop_timer_at(struct event *timer, int64_t at_us)
{
    int64_t delay_us = at_us - clock_boot_us();

    if (delay_us < 0) {
        delay_us = 0;
    }
    struct timeval delay = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
    if (event_add(timer, &delay) != 0) {
        abort();
    }
}

void loop_timer_in_ms(struct event *timer, int64_t ms)
{
    loop_timer_at(timer, clock_boot_us() + ms * 1000);
}

void loop_soon(struct event *timer)
{
    /* libevent works through the active events of one priority in the order of their activation,
     * and through those that are activated meanwhile in the same pass. */
    event_active(timer, EV_TIMEOUT, 0);
}

static void wake_read(int fd, short what, void *arg)
{
    struct loop_wake *wake = arg;
    uint64_t count;

    (void)what;
    /* EAGAIN: another turn has taken it already. */
    if (read(fd, &count, sizeof count) == sizeof count) {
        wake->fn(wake->arg);
    }
}

void loop_wake_open(struct loop_wake *wake, struct event_base *base, loop_fn *fn, void *arg)
{
    wake->fn = fn;
    wake->arg = arg;
    wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake->fd < 0) {
        abort();
    }
    wake->event = event_new(base, wake->fd, EV_READ | EV_PERSIST, wake_read, wake);
    if (wake->event == NULL || event_add(wake->event, NULL) != 0) {
        abort();
    }
}

void loop_wake_close(struct loop_wake *wake)
{
    event_free(wake->event);
    close(wake->fd);
    wake->fd = -1;
}

void loop_wake_signal(const struct loop_wake *wake)
{
    uint64_t one = 1;

    /* EAGAIN: the counter is full, so the loop has been told. */
    while (write(wake->fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}
