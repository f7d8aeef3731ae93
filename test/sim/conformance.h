/* The script of test/conformance against the fakes. */
#ifndef BALLAST_SIM_CONFORMANCE_H
#define BALLAST_SIM_CONFORMANCE_H

int conformance_run(const char *path);

#endif
