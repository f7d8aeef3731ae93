/*
 * What base/ takes from the machine, taken from the world instead: clocks, randomness, the log.
 *
 * The clock is read at the moment of use, so a process can be stalled between any two reads of it:
 * that is where a check that was made too early is found out.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/random.h"
#include "process.h"
#include "trace.h"

enum mutant mutant_chosen;
bool mutant_saw_drained;

int64_t clock_boot_us(void)
{
    struct process *process = world.running;
    assert(process != NULL);
    if (world.rate[FAULT_STALL] > 0 && process->trust != NULL && process->ahead_us == 0 &&
        fault_strikes(FAULT_STALL)) {
        process->ahead_us =
            sim_chance(500000) ? sim_between(1, 50 * MS) : sim_between(50 * MS, 2500 * MS);
    }
    return process_clock(process);
}

int64_t clock_wall_ms(void)
{
    return INT64_C(1374105600000) + world_now() / 1000;
}

uint64_t random_uint64(void)
{
    return sim_random();
}

void random_bytes(void *out, size_t len)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (unsigned char)sim_random();
    }
}

int64_t random_between(int64_t low, int64_t high)
{
    return sim_between(low, high);
}

int64_t random_jitter(int64_t base)
{
    int64_t value = sim_between(base - base / 4, base + base / 4);
    return value > 0 ? value : 1;
}

bool log_enabled(enum log_level level)
{
    return trace_verbose && level >= LOG_LEVEL_INFO;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    va_list args;
    (void)level;
    printf("%10.6f %-8s %s ", (double)world_now() / 1e6,
           world.running != NULL ? world.running->name : "-", event);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

const char *log_value_quote(struct log_value *room, const char *text, size_t len)
{
    int max = len < sizeof room->text ? (int)len : (int)sizeof room->text - 1;
    snprintf(room->text, sizeof room->text, "%.*s", max, text == NULL ? "" : text);
    return room->text;
}

uint64_t log_dropped_count(void)
{
    return 0;
}
