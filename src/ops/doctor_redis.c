/* Redis: whether it can be asked, and whether it is one that daemons may use (rule T13). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ops/doctor_checks.h"
#include "ops/link_options.h"

#define VERSION_MIN 7
#define PINGS_US (100 * 1000)

/* Whether the text of an error has this code. */
static bool has_code(const char *text, const char *code)
{
    size_t len = strlen(code);

    return strncmp(text, code, len) == 0 && (text[len] == ' ' || text[len] == '\0');
}

/* --- reachable --------------------------------------------------------------------------------*/

static const char *service_of(const struct address *address)
{
    return address_is_local(address) ? "systemctl status redis-server" : "ping -c 3 ";
}

static void not_reachable(const struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_peer *peer = &exam->redis.peer;
    const struct address *address = &exam->config->cache.address;
    char text[ADDRESS_TEXT_ROOM];

    doctor_find(finding, DOCTOR_FAIL, "%s: %s", address_format(address, text), peer->why);
    if (strstr(peer->why, "AUTH") != NULL || strstr(peer->why, "NOPERM") != NULL ||
        strstr(peer->why, "WRONGPASS") != NULL) {
        doctor_next(finding, "%s%s PING (then set [cache] user and password-file)", peer->cli,
                    strstr(peer->cli, "--askpass") != NULL ? "" : " --askpass");
    } else if (strstr(peer->why, "time") != NULL) {
        doctor_next(finding, "timeout 2 %s PING; ps -C redis-server -o pid,stat,wchan,cmd",
                    peer->cli);
    } else {
        doctor_next(finding, "%s%s", service_of(address),
                    address_is_local(address) ? "" : address->host);
    }
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Any reply counts: with -MISCONF, PING is refused too. */
static bool measure_pings(struct doctor_redis *redis)
{
    int64_t began_us = clock_boot_us(), start_us = began_us;

    while (redis->pings < DOCTOR_PINGS && start_us - began_us < PINGS_US) {
        if (!DOCTOR_ASK(&redis->peer, "PING")) {
            return false;
        }
        int64_t now_us = clock_boot_us();
        redis->ping_us[redis->pings++] = now_us - start_us;
        start_us = now_us;
    }
    qsort(redis->ping_us, redis->pings, sizeof redis->ping_us[0], compare_times);
    return true;
}

void check_redis_reachable(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_redis *redis = &exam->redis;
    char address[ADDRESS_TEXT_ROOM], version[32];
    struct cache_options options = cache_options_of(exam->config, address);

    options.connect_timeout_ms = DOCTOR_CONNECT_MS;
    options.timeout_ms = DOCTOR_CONNECT_MS;
    if (!doctor_peer_open(&redis->peer, &options, exam->until_us) || !measure_pings(redis)) {
        not_reachable(exam, finding);
        return;
    }
    redis->info = doctor_peer_text(&redis->peer, (const char *const[]){"INFO"}, 1);
    if (redis->info == NULL) {
        not_reachable(exam, finding);
        return;
    }
    doctor_info_text(redis->info, "redis_version", version, sizeof version);
    doctor_find(finding, DOCTOR_OK, "%s answers, Redis %s", address, version);
}

void check_redis_version(struct doctor_exam *exam, struct doctor_finding *finding)
{
    char version[32];

    doctor_info_text(exam->redis.info, "redis_version", version, sizeof version);
    if (atoi(version) >= VERSION_MIN) {
        doctor_find(finding, DOCTOR_OK, "%s", version);
    } else {
        doctor_find(finding, DOCTOR_FAIL, "version '%s': Redis %d or later is needed", version,
                    VERSION_MIN);
        doctor_next(finding, "%s INFO server", exam->redis.peer.cli);
    }
}

void check_redis_latency(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const int64_t *sorted = exam->redis.ping_us;
    int64_t limit_us = exam->config->cache.publish_timeout_ms * 1000;
    int64_t median_us = sorted[exam->redis.pings / 2];
    enum doctor_result result = sorted[0] > limit_us       ? DOCTOR_FAIL
                                : median_us > limit_us / 2 ? DOCTOR_WARN
                                                           : DOCTOR_OK;

    doctor_find(finding, result,
                "PING takes %.1f ms (%.1f to %.1f); a publish may take %" PRId64
                " ms before the era is closed for it",
                (double)median_us / 1e3, (double)sorted[0] / 1e3,
                (double)sorted[exam->redis.pings - 1] / 1e3,
                exam->config->cache.publish_timeout_ms);
    if (result != DOCTOR_OK) {
        doctor_next(finding, "%s --latency-history; %s SLOWLOG GET 5", exam->redis.peer.cli,
                    exam->redis.peer.cli);
    }
}

/* --- serves -----------------------------------------------------------------------------------*/

void doctor_stamp_key(const struct doctor_exam *exam, char *out, size_t size)
{
    snprintf(out, size, "%s~era", exam->config->cache.prefix);
}

static void explain_refusal(const struct doctor_peer *peer, const char *text,
                            struct doctor_finding *finding)
{
    static const struct {
        const char *code, *words;
    } rows[] = {
        {"LOADING", "INFO persistence (it serves once it has loaded; see loading_eta_seconds)"},
        {"MASTERDOWN", "REPLICAOF NO ONE (or bring its master back: see INFO replication)"},
        {"BUSY", "SCRIPT KILL (a script that is not Ballast's runs)"},
        {"READONLY", "REPLICAOF NO ONE (or point [cache] address to its master)"},
        {"MISCONF", "INFO persistence (mend the disk, then BGSAVE; or CONFIG SET "
                    "stop-writes-on-bgsave-error no)"},
        {"NOREPLICAS", "CONFIG SET min-replicas-to-write 0 (or bring the replicas back)"},
        {"OOM", "CONFIG SET maxmemory-policy allkeys-lru (and more maxmemory)"},
        {"NOPERM", "ACL WHOAMI (then ACL SETUSER: all commands on the prefix, INFO, CONFIG|GET)"},
        {"NOAUTH", "--askpass PING (then set [cache] user and password-file)"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (has_code(text, rows[i].code)) {
            doctor_next(finding, "%s %s", peer->cli, rows[i].words);
            return;
        }
    }
    doctor_next(finding, "%s INFO", peer->cli);
}

void check_redis_serves(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_redis *redis = &exam->redis;
    char key[CACHE_STAMP_MAX + 64];

    doctor_stamp_key(exam, key, sizeof key);
    if (!DOCTOR_ASK(&redis->peer, "GET", key)) {
        doctor_find(finding, DOCTOR_FAIL, "%s", redis->peer.why);
        doctor_next(finding, "timeout 2 %s GET %s", redis->peer.cli, key);
    } else if (redis->peer.is_error && !has_code(redis->peer.texts[0], "WRONGTYPE")) {
        doctor_find(finding, DOCTOR_FAIL, "GET is answered: %s", redis->peer.texts[0]);
        explain_refusal(&redis->peer, redis->peer.texts[0], finding);
    } else {
        const char *stamp = redis->peer.texts[0];
        redis->stamp_known = true;
        snprintf(redis->stamp, sizeof redis->stamp, "%s",
                 stamp != NULL && !redis->peer.is_error ? stamp : "");
        doctor_find(finding, DOCTOR_OK, "reads are answered");
    }
}

/* As the daemon does with every batch: a write to Redis' eyes, which changes nothing. */
void check_redis_writable(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_peer *peer = &exam->redis.peer;
    char key[CACHE_STAMP_MAX + 64];

    doctor_stamp_key(exam, key, sizeof key);
    if (!DOCTOR_ASK(peer, "GETEX", key)) {
        doctor_find(finding, DOCTOR_FAIL, "%s", peer->why);
        doctor_next(finding, "timeout 2 %s GETEX %s", peer->cli, key);
    } else if (peer->is_error && !has_code(peer->texts[0], "WRONGTYPE")) {
        doctor_find(finding, DOCTOR_FAIL, "%s a write is answered: %s",
                    has_code(peer->texts[0], "READONLY") ? "read-only:" : "writes are refused:",
                    peer->texts[0]);
        explain_refusal(peer, peer->texts[0], finding);
    } else {
        doctor_find(finding, DOCTOR_OK, "writes are taken");
    }
}

/* --- role -------------------------------------------------------------------------------------*/

/* By the run id of whoever answers at its master's address; by the port, where that is no address.
 */
static bool is_own_master(const struct doctor_exam *exam, const char *host, int64_t port)
{
    struct doctor_peer peer = {.why = ""};
    char address[ADDRESS_TEXT_ROOM], unused[ADDRESS_TEXT_ROOM], own[STORE_RUN_ID_MAX];
    char other[STORE_RUN_ID_MAX] = "-";
    struct cache_options options = cache_options_of(exam->config, unused);

    snprintf(address, sizeof address, strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host,
             (int)port);
    options.address = address;
    options.connect_timeout_ms = options.timeout_ms = DOCTOR_CONNECT_MS / 4;
    doctor_info_text(exam->redis.info, "run_id", own, sizeof own);
    if (doctor_peer_open(&peer, &options, exam->until_us)) {
        char *info = doctor_peer_text(&peer, (const char *const[]){"INFO", "server"}, 2);
        if (info != NULL) {
            doctor_info_text(info, "run_id", other, sizeof other);
        }
        free(info);
    } else if (strcmp(host, "localhost") == 0) {
        snprintf(other, sizeof other, "%s",
                 port == doctor_info_number(exam->redis.info, "tcp_port", 0) ? own : "-");
    }
    doctor_peer_close(&peer);
    return strcmp(own, other) == 0;
}

void check_redis_role(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const char *info = exam->redis.info, *cli = exam->redis.peer.cli;
    char role[16], host[ADDRESS_TEXT_ROOM - 16], link[16];
    int64_t port = doctor_info_number(info, "master_port", 0);

    doctor_info_text(info, "role", role, sizeof role);
    if (strcmp(role, "master") == 0) {
        doctor_find(finding, DOCTOR_OK, "a master with %" PRId64 " replicas",
                    doctor_info_number(info, "connected_slaves", 0));
        return;
    }
    doctor_info_text(info, "master_host", host, sizeof host);
    doctor_info_text(info, "master_link_status", link, sizeof link);
    if (strcmp(role, "slave") != 0) {
        doctor_find(finding, DOCTOR_FAIL, "its role is '%s', not master", role);
        doctor_next(finding, "%s ROLE", cli);
    } else if (is_own_master(exam, host, port)) {
        doctor_find(finding, DOCTOR_FAIL,
                    "a replica of itself (%s:%" PRId64 "): read-only, and it never syncs", host,
                    port);
        doctor_next(finding, "%s REPLICAOF NO ONE (and take replicaof out of its file)", cli);
    } else {
        doctor_find(finding, DOCTOR_FAIL,
                    "a replica of %s:%" PRId64 " (link %s): no daemon uses it", host, port, link);
        doctor_next(finding, "%s REPLICAOF NO ONE (or set [cache] address = %s:%" PRId64 ")", cli,
                    host, port);
    }
}
