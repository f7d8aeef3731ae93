/* The last events, kept to be shown when a check fails. */
#ifndef BALLAST_SIM_TRACE_H
#define BALLAST_SIM_TRACE_H

#include "base/attributes.h"
#include "world.h"

extern bool trace_verbose; /* print everything at once */

/* text and its two numbers are formatted only when shown. account -1: of no account. */
void trace_note(int account, const char *who, const char *text, uint64_t a, uint64_t b);
/* Prints the last events about that account, and those about none. */
void trace_show(int account);
void trace_clear(void);

#endif
