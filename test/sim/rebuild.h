/*
 * A rebuild or a warming: the real walk (src/ops/rebuild_walk.c, chunk.c), in a daemon, on links of
 * its own and under the trust of its daemon; or alone, as a process with a lease of its own that
 * ends with it (`ballast rebuild`). One at a time in the world, as the lock has it.
 */
#ifndef BALLAST_SIM_REBUILD_H
#define BALLAST_SIM_REBUILD_H

#include "process.h"

/* process NULL: alone. Nothing where one runs already. */
void rebuild_begin(struct process *process);
/* That process goes; its own links have answered. */
void rebuild_lost_daemon(const struct process *process);

#endif
