/* The storm: which faults a seed has, how often, and when they strike. */
#ifndef BALLAST_SIM_FAULTS_H
#define BALLAST_SIM_FAULTS_H

#include "world.h"

void faults_begin(void);
/* Everything is whole again, and stays so. */
void faults_end(void);
const char *fault_word(enum fault fault);

#endif
