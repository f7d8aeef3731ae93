/* How fast a job in the background may go. See the header. */
#include "ops/throttle.h"

/* Slow is more than so many times the best... */
#define SLOW_TIMES 3
/* ...and more than what is harmless: a script over some hundred keys, a page by an index. */
static const int64_t harmless_us[THROTTLE_SERVERS] = {
    [THROTTLE_CACHE] = 3 * 1000,
    [THROTTLE_STORE] = 10 * 1000,
};

/* The best grows by this part at every answer: it doubles within some 180. */
#define FORGET_PART 256

/* Ratios are counted in sixteenths. */
#define ONE 16

void throttle_observe(struct throttle *throttle, enum throttle_server server, int64_t took_us)
{
    int64_t *best_us = &throttle->best_us[server], *times = &throttle->times_x16[server];

    if (took_us < 1) {
        took_us = 1;
    }
    *best_us += *best_us / FORGET_PART + 1;
    if (*best_us == 1 || took_us < *best_us) {
        *best_us = took_us;
    }
    if (took_us > harmless_us[server] && took_us > SLOW_TIMES * *best_us) {
        throttle->slow = true;
    }

    int64_t now = ONE * took_us / *best_us;
    now = now < ONE * THROTTLE_TIMES_MAX ? now : ONE * THROTTLE_TIMES_MAX;
    *times = *times == 0 ? now : (3 * *times + now) / 4;
}

int64_t throttle_rest(struct throttle *throttle, int64_t step_us)
{
    int64_t extra_us = throttle->extra_us, times = ONE;

    for (int i = 0; i < THROTTLE_SERVERS; i++) {
        times = throttle->times_x16[i] > times ? throttle->times_x16[i] : times;
    }
    if (!throttle->slow) {
        extra_us -= extra_us / 4;
        extra_us = extra_us < THROTTLE_EXTRA_MIN_US ? 0 : extra_us;
    } else {
        extra_us = extra_us == 0 ? THROTTLE_EXTRA_MIN_US : 2 * extra_us;
        extra_us = extra_us > THROTTLE_EXTRA_MAX_US ? THROTTLE_EXTRA_MAX_US : extra_us;
    }
    throttle->extra_us = extra_us;
    throttle->slow = false;
    return (step_us > 0 ? step_us * times / ONE : 0) + extra_us;
}
