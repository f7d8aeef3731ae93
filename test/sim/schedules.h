/*
 * Schedules: meetings that chance alone hardly ever brings about, because several things have to
 * come at their own moments, one after the other. Each is a short play around one account with two
 * daemons in it, whose times are drawn from the seed; the rest of the storm goes on around it.
 */
#ifndef BALLAST_SIM_SCHEDULES_H
#define BALLAST_SIM_SCHEDULES_H

#include "database.h"
#include "world.h"

void schedules_begin(void);
void schedules_end(void);

/* By how much the schedule that runs delays this part of a statement's way. */
int64_t schedule_delay(const struct statement *statement, enum leg leg);
/* Whether notices do not reach that daemon now. */
bool schedule_is_deaf(int slot);

#endif
