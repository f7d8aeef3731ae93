/* Clients: each asks, waits for the answer, thinks, and asks again, at any daemon. */
#ifndef BALLAST_SIM_CLIENTS_H
#define BALLAST_SIM_CLIENTS_H

#include "process.h"

#define CLIENTS_DEADLINE_MAX (2500 * MS) /* whatever was asked has been answered by then */

void clients_begin(void);
/* One request more, by a client of its own, where there is one free. */
void clients_ask_read(int daemon, int account);
/* Opens the account where there is none. */
void clients_ask_posting(int daemon, enum mutation_kind kind, int account, int64_t amount);
/* Their connections to that daemon are broken. */
void clients_lost_daemon(const struct process *process);
/* No new requests. */
void clients_stop(void);
/* Fails where a request is left without an answer. */
void clients_check_all_answered(void);
/* Reads every account at every daemon; counts the answers that came from a cache. */
void clients_probe(void);
uint64_t clients_probes_sent(void);
uint64_t clients_probes_from_cache(void);

#endif
