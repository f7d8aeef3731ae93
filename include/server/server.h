/*
 * The daemon as a whole: the control thread (trust, HTTP, signals, journal tail) and what all
 * workers share.
 */
#ifndef BALLAST_SERVER_SERVER_H
#define BALLAST_SERVER_SERVER_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/version.h"
#include "core/trust.h"
#include "server/health.h"
#include "server/warmer.h"
#include "server/worker.h"

struct server;

/*
 * Runs until a signal ends it. The exit status: 0, 1, or 78 where only an operator can help. Takes
 * the configuration over, which must have passed store_options_check(). The log must be open.
 */
int server_run(struct config *config);

/* --- for sessions, on any worker thread -------------------------------------------------------*/

int server_worker_count(const struct server *server);
struct worker *server_worker(struct server *server, int index); /* only ->metrics is shared */
int64_t server_started_boot_us(const struct server *server);
/* A copy of the trust machine's state, at most a second old. */
void server_trust_status(struct server *server, struct trust_status *status);
void server_warmer_status(struct server *server, struct warmer_status *status);
/* A copy of the state of all workers' engines together, at most a second old. */
void server_engines(struct server *server, struct engine_status *sum);
/* How the daemon is, as it was judged last. */
void server_health(struct server *server, struct health *health);

/* INFO [section ...]: the text that INFO, and `ballast status`, show. Defined in server/info.c. */
void server_info_text(struct server *server, const char *section, struct buffer *out);

#endif
