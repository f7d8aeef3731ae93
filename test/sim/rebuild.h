/*
 * A rebuild or a warming in a daemon: the real walk (src/ops/rebuild_walk.c, chunk.c) on links of
 * its own, under the trust of its daemon; one at a time in the world, as the lock has it.
 */
#ifndef BALLAST_SIM_REBUILD_H
#define BALLAST_SIM_REBUILD_H

#include "process.h"

/* Nothing where one runs already. */
void rebuild_begin(struct process *process);
/* That daemon is gone. */
void rebuild_lost_daemon(const struct process *process);

#endif
