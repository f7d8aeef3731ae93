#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

static struct timespec clock_read(clockid_t id)
{
    struct timespec now;

    if (clock_gettime(id, &now) != 0) {
        abort(); /* Linux has both clocks; without them no lease can be judged */
    }
    return now;
}

int64_t clock_boot_us(void)
{
    struct timespec now = clock_read(CLOCK_BOOTTIME);

    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec now = clock_read(CLOCK_REALTIME);

    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
