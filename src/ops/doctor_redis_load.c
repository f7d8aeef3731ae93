/* Redis: what it has room for, and what a restart would do. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ops/doctor_checks.h"

#define MEMORY_WARN_PERCENT 85
#define CLIENTS_WARN_PERCENT 80

/* What a filling of the cache can write at its fastest, and how long a replica may be away and be
 * brought up to date from the backlog. */
#define BACKLOG_SECONDS 60
#define BACKLOG_WITH_REPLICAS_MIN (INT64_C(16) << 20)
#define BACKLOG_MIN (INT64_C(1) << 20) /* Redis' default */

static int64_t number(const struct doctor_exam *exam, const char *name)
{
    return doctor_info_number(exam->redis.info, name, 0);
}

/* --- memory -----------------------------------------------------------------------------------*/

static bool evicts(const char *policy)
{
    return strncmp(policy, "allkeys-", 8) == 0;
}

void check_redis_memory(struct doctor_exam *exam, struct doctor_finding *finding)
{
    int64_t limit = number(exam, "maxmemory");
    int64_t used = number(exam, "used_memory") - number(exam, "mem_not_counted_for_evict");
    char policy[32], used_text[DOCTOR_SIZE_ROOM], limit_text[DOCTOR_SIZE_ROOM];

    doctor_size(used_text, used);
    doctor_size(limit_text, limit);
    doctor_info_text(exam->redis.info, "maxmemory_policy", policy, sizeof policy);
    if (limit == 0) {
        int64_t total = number(exam, "total_system_memory");
        bool large = total > 0 && used > total / 2;
        doctor_find(finding, large ? DOCTOR_WARN : DOCTOR_OK,
                    "uses %s, without maxmemory, of %s on its machine", used_text,
                    doctor_size(limit_text, total));
        if (large) {
            doctor_next(finding, "%s CONFIG SET maxmemory %" PRId64 " (and in its file)",
                        exam->redis.peer.cli, total / 4 * 3);
        }
        return;
    }
    int64_t percent = used * 100 / limit;
    bool full = used >= limit && !evicts(policy), near = percent >= MEMORY_WARN_PERCENT;
    doctor_find(finding,
                full                      ? DOCTOR_FAIL
                : near && !evicts(policy) ? DOCTOR_WARN
                                          : DOCTOR_OK,
                "uses %s of maxmemory %s (%" PRId64 " %%), policy %s%s", used_text, limit_text,
                percent, policy, full ? ": writes, and reads inside MULTI, are answered -OOM" : "");
    if (finding->result != DOCTOR_OK) {
        doctor_next(finding, "%s CONFIG SET maxmemory %" PRId64 " (and in its file)",
                    exam->redis.peer.cli, used > limit ? used * 2 : limit * 2);
    }
}

void check_redis_eviction(struct doctor_exam *exam, struct doctor_finding *finding)
{
    char policy[32];

    doctor_info_text(exam->redis.info, "maxmemory_policy", policy, sizeof policy);
    if (number(exam, "maxmemory") == 0) {
        doctor_find(finding, DOCTOR_OK, "nothing is evicted without maxmemory");
    } else if (evicts(policy)) {
        doctor_find(finding, DOCTOR_OK, "%s: an evicted value is a miss (%" PRId64 " so far)",
                    policy, number(exam, "evicted_keys"));
    } else {
        doctor_find(finding, DOCTOR_WARN,
                    "maxmemory with %s: when it is full, values are refused instead of evicted",
                    policy);
        doctor_next(finding, "%s CONFIG SET maxmemory-policy allkeys-lru (and in its file)",
                    exam->redis.peer.cli);
    }
}

void check_redis_clients(struct doctor_exam *exam, struct doctor_finding *finding)
{
    int64_t clients = number(exam, "connected_clients"), limit = number(exam, "maxclients");
    bool near = limit > 0 && clients * 100 >= limit * CLIENTS_WARN_PERCENT;

    doctor_find(finding, near ? DOCTOR_WARN : DOCTOR_OK, "%" PRId64 " of %" PRId64 " clients",
                clients, limit);
    if (near) {
        doctor_next(finding, "%s CLIENT LIST", exam->redis.peer.cli);
    }
}

/* --- persistence ------------------------------------------------------------------------------*/

void check_redis_persistence(struct doctor_exam *exam, struct doctor_finding *finding)
{
    static const char *const states[][2] = {
        {"rdb_last_bgsave_status", "the last RDB snapshot"},
        {"aof_last_bgrewrite_status", "the last rewrite of the AOF"},
        {"aof_last_write_status", "the last write to the AOF"},
    };
    char state[16];

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        doctor_info_text(exam->redis.info, states[i][0], state, sizeof state);
        if (strcmp(state, "err") == 0) {
            doctor_find(finding, DOCTOR_FAIL, "%s failed: Redis may refuse writes (-MISCONF)",
                        states[i][1]);
            doctor_next(finding, "%s INFO persistence (mend the disk, then BGSAVE)",
                        exam->redis.peer.cli);
            return;
        }
    }
    doctor_find(finding, DOCTOR_OK, "no snapshot and no write of the AOF has failed");
}

/* A cache may be lost. What hurts is that a master which comes up empty empties its replicas, all
 * at once, each by a full synchronisation. */
void check_redis_restart(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_peer *peer = &exam->redis.peer;
    int64_t replicas = number(exam, "connected_slaves");
    bool aof = number(exam, "aof_enabled") == 1, rdb = false;

    if (DOCTOR_ASK(peer, "CONFIG", "GET", "save") && !peer->is_error && peer->count == 2) {
        rdb = peer->texts[1] != NULL && peer->texts[1][0] != '\0';
    } else {
        doctor_find(finding, DOCTOR_SKIPPED, "CONFIG GET save is refused");
        return;
    }
    if (aof || rdb) {
        doctor_find(finding, DOCTOR_OK,
                    "a restart loads what %s holds; the era shows how old it is",
                    aof ? "the AOF" : "the last snapshot");
    } else if (replicas == 0) {
        doctor_find(finding, DOCTOR_OK,
                    "no persistence: a restart comes up empty, and answers come from the store "
                    "until it is warm");
    } else {
        doctor_find(
            finding, DOCTOR_WARN,
            "no persistence: a restart of this master comes up empty and empties its %" PRId64
            " replicas, each by a full resynchronisation",
            replicas);
        doctor_next(finding, "%s CONFIG SET appendonly yes (and in its file)", peer->cli);
    }
}

void check_redis_backlog(struct doctor_exam *exam, struct doctor_finding *finding)
{
    int64_t size = number(exam, "repl_backlog_size"), replicas = number(exam, "connected_slaves");
    int64_t uptime_s = number(exam, "uptime_in_seconds");
    int64_t mean = uptime_s > 0 ? number(exam, "master_repl_offset") / uptime_s : 0;
    int64_t wanted = replicas > 0 ? BACKLOG_WITH_REPLICAS_MIN : BACKLOG_MIN;
    char size_text[DOCTOR_SIZE_ROOM], rate_text[DOCTOR_SIZE_ROOM];

    if (replicas > 0 && mean * BACKLOG_SECONDS > wanted) {
        wanted = mean * BACKLOG_SECONDS;
    }
    doctor_find(
        finding, size < wanted ? DOCTOR_WARN : DOCTOR_OK,
        "repl-backlog-size %s, %s/s replicated on average, %" PRId64 " replicas%s",
        doctor_size(size_text, size), doctor_size(rate_text, mean), replicas,
        size < wanted ? ": too small for a partial resync, each short break costs a full one" : "");
    if (size < wanted) {
        doctor_next(finding, "%s CONFIG SET repl-backlog-size %" PRId64 " (and in its file)",
                    exam->redis.peer.cli, wanted * 2);
    }
}
