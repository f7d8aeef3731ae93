/* What can be served now, from what the threads have put on the board. */
#include <stdio.h>

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

void server_readiness(struct server *server, struct readiness *readiness)
{
    struct trust_status trust;

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
    board_read_trust(server->board, &trust);
    if (readiness->cache.ok && trust.phase != TRUST_TRUSTING) {
        readiness->cache.ok = false;
        snprintf(readiness->cache.why, sizeof readiness->cache.why, "not trusted: %s", trust.why);
    }
    if (server->stopping) {
        readiness->reads.ok = readiness->writes.ok = false;
        snprintf(readiness->reads.why, sizeof readiness->reads.why, "the daemon is stopping");
        snprintf(readiness->writes.why, sizeof readiness->writes.why, "the daemon is stopping");
    }
    readiness->ready = readiness->reads.ok && readiness->writes.ok;
}
