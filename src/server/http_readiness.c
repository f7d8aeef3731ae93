/* What can be served now, from what the threads have put on the board; since when not, and what is
 * done about it, from the health of the part that is to blame. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/daemon.h"
#include "server/http_pages.h"

/* The first reason stands for all. */
static void ability_fail(struct ability *ability, int worker, const char *why)
{
    if (ability->ok) {
        ability->ok = false;
        snprintf(ability->why, sizeof ability->why, "worker %d: %s", worker,
                 why[0] != '\0' ? why : "not connected");
    }
}

static void note_refusal(struct server *server, struct ability *writes)
{
    struct engine_status engines;

    board_sum_engines(server->board, &engines);
    if (writes->ok && engines.refusal[0] != '\0') {
        writes->ok = false;
        snprintf(writes->why, sizeof writes->why, "%s", engines.refusal);
    }
}

/* The part may have been judged before this failed. */
static void blame(struct ability *ability, const struct health_item *part)
{
    bool known = part->state != HEALTH_OK;

    ability->since_us = known ? part->since_us : clock_boot_us();
    ability->action = known ? part->action : "";
}

void server_readiness(struct server *server, struct readiness *readiness)
{
    struct trust_status trust;
    struct health health;

    board_read_health(server->board, &health);
    *readiness = (struct readiness){
        .reads = {.name = "reads", .ok = true},
        .writes = {.name = "writes", .ok = true},
        .cache = {.name = "cache", .ok = true},
    };
    for (int i = 0; i < server->worker_count; i++) {
        struct engine_status status;
        board_read_engine(server->board, i, &status);
        if (!status.reader_up) {
            ability_fail(&readiness->reads, i, status.store_why);
        }
        if (!status.writer_up) {
            ability_fail(&readiness->writes, i, status.store_why);
        }
        if (!status.cache_up) {
            ability_fail(&readiness->cache, i, status.cache_why);
        }
    }
    readiness->ready = readiness->reads.ok && readiness->writes.ok && !server->stopping;
    note_refusal(server, &readiness->writes);
    board_read_trust(server->board, &trust);
    bool cache_up = readiness->cache.ok;
    if (readiness->cache.ok && trust.phase != TRUST_TRUSTING) {
        readiness->cache.ok = false;
        snprintf(readiness->cache.why, sizeof readiness->cache.why, "not trusted: %s", trust.why);
    }
    if (server->stopping) {
        readiness->reads.ok = readiness->writes.ok = false;
        snprintf(readiness->reads.why, sizeof readiness->reads.why, "the daemon is stopping");
        snprintf(readiness->writes.why, sizeof readiness->writes.why, "the daemon is stopping");
    }
    blame(&readiness->reads, &health.parts[HEALTH_STORE]);
    blame(&readiness->writes, &health.parts[HEALTH_STORE]);
    blame(&readiness->cache, &health.parts[cache_up ? HEALTH_ERA : HEALTH_CACHE]);
}
