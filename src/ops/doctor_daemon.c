/* The daemon of this configuration, and what it says of itself (INFO). It may be down: then this
 * section is one warning. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config_derived.h"
#include "base/version.h"
#include "ops/doctor_checks.h"
#include "ops/link_options.h"

#define BACKLOG_WARN_PERCENT 50

static void not_reachable(const struct doctor_exam *exam, const char *address,
                          struct doctor_finding *finding)
{
    const struct doctor_peer *peer = &exam->daemon.peer;
    bool hangs = strstr(peer->why, "time") != NULL;

    doctor_find(finding, hangs ? DOCTOR_FAIL : DOCTOR_WARN, "ballastd at %s: %s", address,
                peer->why);
    if (hangs) {
        doctor_next(finding, "ps -C ballastd -o pid,stat,wchan,cmd; journalctl -u ballastd -n 20");
    } else {
        doctor_next(finding, "systemctl status ballastd; journalctl -u ballastd -n 20");
    }
}

void check_daemon_reachable(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_daemon *daemon = &exam->daemon;
    struct address address = config_client_address(exam->config);
    const struct config_user *user = config_client_user(exam->config);
    char text[ADDRESS_TEXT_ROOM], version[32];
    struct cache_options options = {
        .address = address_format(&address, text),
        .prefix = "",
        .user = user != NULL ? user->name : NULL,
        .password = user != NULL ? user->password : NULL,
        .connect_timeout_ms = DOCTOR_CONNECT_MS,
        .timeout_ms = DOCTOR_CONNECT_MS,
        .publish_timeout_ms = DOCTOR_CONNECT_MS,
    };

    if (address.kind == ADDRESS_NONE) {
        doctor_find(finding, DOCTOR_SKIPPED, "it has no address");
        return;
    }
    if (doctor_peer_open(&daemon->peer, &options, exam->until_us)) {
        daemon->info =
            doctor_peer_text(&daemon->peer, (const char *const[]){"INFO", "everything"}, 2);
    }
    if (daemon->info == NULL) {
        not_reachable(exam, text, finding);
        return;
    }
    doctor_info_text(daemon->info, "ballast_version", version, sizeof version);
    doctor_find(finding, DOCTOR_OK, "ballastd %s at %s answers, up %" PRId64 " s", version, text,
                doctor_info_number(daemon->info, "uptime_in_seconds", 0));
}

void check_daemon_version(struct doctor_exam *exam, struct doctor_finding *finding)
{
    char version[32];

    doctor_info_text(exam->daemon.info, "ballast_version", version, sizeof version);
    if (strcmp(version, BALLAST_VERSION) == 0) {
        doctor_find(finding, DOCTOR_OK, "%s, as this program", version);
    } else {
        doctor_find(finding, DOCTOR_WARN, "ballastd is %s, this program is %s",
                    version[0] != '\0' ? version : "no ballastd", BALLAST_VERSION);
        doctor_next(finding, "systemctl restart ballastd");
    }
}

/* --- what it reaches --------------------------------------------------------------------------*/

void check_daemon_store(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const char *info = exam->daemon.info;
    char reads[16], writes[16], why[STORE_TEXT_MAX];

    doctor_info_text(info, "store_reads", reads, sizeof reads);
    doctor_info_text(info, "store_writes", writes, sizeof writes);
    doctor_info_text(info, "store_why", why, sizeof why);
    if (strcmp(reads, "up") == 0 && strcmp(writes, "up") == 0) {
        doctor_find(finding, DOCTOR_OK, "it reads from and posts to the store");
    } else {
        doctor_find(finding, DOCTOR_FAIL, "its store is away (reads %s, writes %s): %s", reads,
                    writes, why);
        doctor_next(finding, "ballast -c %s status; journalctl -u ballastd -g store- -n 10",
                    exam->config->path);
    }
}

void check_daemon_cache(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const char *info = exam->daemon.info;
    char cache[16], why[STORE_TEXT_MAX];

    doctor_info_text(info, "cache", cache, sizeof cache);
    doctor_info_text(info, "cache_why", why, sizeof why);
    if (strcmp(cache, "up") == 0) {
        doctor_find(finding, DOCTOR_OK, "it has verified connections to Redis");
    } else {
        doctor_find(finding, DOCTOR_FAIL, "it cannot use Redis: %s; it answers from the store",
                    why);
        doctor_next(finding, "ballast -c %s status; journalctl -u ballastd -g cache- -n 10",
                    exam->config->path);
    }
}

void check_daemon_trust(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const char *info = exam->daemon.info;
    char phase[16], why[STORE_TEXT_MAX];
    double since_s = (double)doctor_info_number(info, "trust_since_ms", 0) / 1e3;

    doctor_info_text(info, "trust", phase, sizeof phase);
    doctor_info_text(info, "trust_why", why, sizeof why);
    if (strcmp(phase, "trusting") == 0) {
        doctor_find(finding, DOCTOR_OK, "it trusts the cache, since %.0f s", since_s);
    } else {
        doctor_find(finding, DOCTOR_WARN, "it answers from the store, %s since %.1f s: %s", phase,
                    since_s, why);
        doctor_next(finding, "ballast -c %s era; journalctl -u ballastd -g trust -n 10",
                    exam->config->path);
    }
}

/* --- what waits in it -------------------------------------------------------------------------*/

void check_daemon_backlog(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const char *info = exam->daemon.info;
    const struct config *config = exam->config;
    int64_t queued = doctor_info_number(info, "mutations_queued", 0);
    int64_t doubt = doctor_info_number(info, "mutations_in_doubt", 0);
    int64_t reads = doctor_info_number(info, "reads_waiting", 0);
    int64_t workers = doctor_info_number(info, "workers", 1);
    bool full = queued * 100 >= config->limits.queue * workers * BACKLOG_WARN_PERCENT ||
                reads * 100 >= config->limits.read_queue * workers * BACKLOG_WARN_PERCENT;

    doctor_find(finding, doubt > 0 || full ? DOCTOR_WARN : DOCTOR_OK,
                "%" PRId64 " mutations and %" PRId64 " reads wait; %" PRId64
                " mutations in doubt, the oldest since %.1f s",
                queued, reads, doubt, (double)doctor_info_number(info, "oldest_doubt_ms", 0) / 1e3);
    if (finding->result != DOCTOR_OK) {
        doctor_next(finding, "ballast -c %s status; journalctl -u ballastd -g store- -n 10",
                    config->path);
    }
}

void check_daemon_poison(struct doctor_exam *exam, struct doctor_finding *finding)
{
    int64_t poisoned =
        doctor_info_number(exam->daemon.info, "cache_lookups{result=\"poisoned\"}", 0);

    doctor_find(finding, poisoned > 0 ? DOCTOR_WARN : DOCTOR_OK,
                "%" PRId64 " cached values since its start that no daemon wrote%s", poisoned,
                poisoned > 0 ? ": edited by hand, damaged, or another store's; the store answered"
                             : "");
    if (poisoned > 0) {
        doctor_next(finding, "journalctl -u ballastd -g poison -n 5; ballast -c %s reconcile",
                    exam->config->path);
    }
}
