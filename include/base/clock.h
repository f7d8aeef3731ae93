/*
 * base/clock.h: the two clocks of Ballast. They are read at the moment of use; nobody keeps a
 * loop time. A translation unit of its own, so that a simulator can link another one.
 */
#ifndef BALLAST_BASE_CLOCK_H
#define BALLAST_BASE_CLOCK_H

#include <stdint.h>

/*
 * Microseconds on CLOCK_BOOTTIME: never goes back, and goes on while the machine is suspended, so
 * that a lease that ran out during a suspend is seen to have run out. Every deadline, lease and
 * duration is measured with it. Says nothing between two machines.
 */
int64_t clock_boot_us(void);

/* Milliseconds since 1970-01-01 UTC, for showing to people. Jumps; decide nothing with it. */
int64_t clock_wall_ms(void);

#endif
