/* What the world does to the connections of daemons, beside the headers that the links implement. */
#ifndef BALLAST_SIM_FAKE_LINKS_H
#define BALLAST_SIM_FAKE_LINKS_H

#include "process.h"

/* Connections break: of one process (NULL: of all), to one Redis (-1: any). */
void cache_links_cut(const struct process *process, int node);
void store_links_cut(const struct process *process);
/* For the end of a world: the registers are emptied. */
void cache_links_forget(void);
void store_links_forget(void);

#endif
