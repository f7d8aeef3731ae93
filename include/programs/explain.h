/* programs/explain.h: `ballast explain ACCOUNT`. */
#ifndef BALLAST_PROGRAMS_EXPLAIN_H
#define BALLAST_PROGRAMS_EXPLAIN_H

#include "programs/cli.h"

enum cli_exit explain_run(struct cli *cli);

#endif
