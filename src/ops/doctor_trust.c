/*
 * The trust in the cache, from outside: the era and the leases in the store (rules T1 to T5), and
 * whether Redis is the one that the era speaks of (rule T6).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gen/sql.h"
#include "ops/doctor_checks.h"

#define LEASE_POLL_US (30 * 1000)
#define LEASE_RESERVE_US (150 * 1000) /* time that is left to the checks behind it */
#define CLOSED_FAIL_MS 10000          /* an era opens within seconds where nothing is wrong */
#define LOOK_AGAIN_US (150 * 1000)

/* Columns of sql_lease_list. */
enum {
    ERA_ID,
    ERA_STATE,
    ERA_NONCE,
    ERA_RUN_ID,
    ERA_REPLID,
    ERA_TIMELINE,
    ERA_TIMELINE_NOW,
    ERA_CHANGED,
    LEASE_DAEMON,
    LEASE_RENEWALS,
    LEASE_SEEN,
    LEASE_RUN_ID,
    LEASE_REPLID,
    LEASE_FENCED,
    LEASE_NOTE,
    ERA_SWITCHED_OFF,
    ERA_NOTE,
    ERA_AGE_MS,
};

struct lease {
    char daemon[64];
    char run_id[STORE_RUN_ID_MAX];
    int64_t first, last; /* renewals */
    bool fenced;
};

struct leases {
    struct lease items[STORE_LEASES_MAX];
    size_t count;
};

/* --- asking -----------------------------------------------------------------------------------*/

static struct lease *find_lease(struct leases *leases, const char *daemon)
{
    for (size_t i = 0; i < leases->count; i++) {
        if (strcmp(leases->items[i].daemon, daemon) == 0) {
            return &leases->items[i];
        }
    }
    return NULL;
}

static void take_lease(const struct doctor_sql *sql, size_t row, struct leases *leases)
{
    const char *daemon = doctor_sql_cell(sql, row, LEASE_DAEMON);
    int64_t renewals = doctor_sql_number(sql, row, LEASE_RENEWALS);
    struct lease *lease = find_lease(leases, daemon);

    if (daemon[0] == '\0' || (lease == NULL && leases->count == STORE_LEASES_MAX)) {
        return;
    }
    if (lease == NULL) {
        lease = &leases->items[leases->count++];
        *lease = (struct lease){.first = renewals};
        snprintf(lease->daemon, sizeof lease->daemon, "%s", daemon);
    }
    snprintf(lease->run_id, sizeof lease->run_id, "%s", doctor_sql_cell(sql, row, LEASE_RUN_ID));
    lease->last = renewals;
    lease->fenced = doctor_sql_cell(sql, row, LEASE_FENCED)[0] == 't';
}

/* Leases that have gone meanwhile stay in *leases. */
static bool read_era(struct doctor_exam *exam, struct leases *leases)
{
    const struct doctor_sql *sql = &exam->postgres.sql;
    struct doctor_era *era = &exam->postgres.era;

    if (!doctor_sql_ask(&exam->postgres.sql, sql_lease_list, DOCTOR_STATEMENT_MS) ||
        sql->rows == 0) {
        return false;
    }
    era->known = true;
    snprintf(era->id, sizeof era->id, "%s", doctor_sql_cell(sql, 0, ERA_ID));
    snprintf(era->state, sizeof era->state, "%s", doctor_sql_cell(sql, 0, ERA_STATE));
    snprintf(era->nonce, sizeof era->nonce, "%s", doctor_sql_cell(sql, 0, ERA_NONCE));
    snprintf(era->run_id, sizeof era->run_id, "%s", doctor_sql_cell(sql, 0, ERA_RUN_ID));
    snprintf(era->replid, sizeof era->replid, "%s", doctor_sql_cell(sql, 0, ERA_REPLID));
    snprintf(era->note, sizeof era->note, "%s", doctor_sql_cell(sql, 0, ERA_NOTE));
    era->switched_off = doctor_sql_cell(sql, 0, ERA_SWITCHED_OFF)[0] == 't';
    era->age_ms = doctor_sql_number(sql, 0, ERA_AGE_MS);
    for (size_t i = 0; leases != NULL && i < sql->rows; i++) {
        take_lease(sql, i, leases);
    }
    return true;
}

/* --- leases -----------------------------------------------------------------------------------*/

static const struct lease *silent_lease(const struct leases *leases, size_t *live)
{
    const struct lease *silent = NULL;

    *live = 0;
    for (size_t i = 0; i < leases->count; i++) {
        bool renewed = leases->items[i].last != leases->items[i].first;
        *live += renewed;
        silent = renewed || silent != NULL ? silent : &leases->items[i];
    }
    return silent;
}

/* Daemons that see no Redis, or another one than their peers, keep the era closed for all (T5). */
static const struct lease *odd_lease(const struct leases *leases, const char *run_id)
{
    for (size_t i = 0; i < leases->count; i++) {
        const struct lease *lease = &leases->items[i];
        if (lease->fenced || lease->run_id[0] == '\0' ||
            (run_id[0] != '\0' && strcmp(lease->run_id, run_id) != 0)) {
            return lease;
        }
    }
    return NULL;
}

static void judge_leases(struct doctor_exam *exam, const struct leases *leases, int64_t watched_us,
                         struct doctor_finding *finding)
{
    size_t live;
    const char *first = leases->count > 0 ? leases->items[0].run_id : "";
    const struct lease *silent = silent_lease(leases, &live), *odd = odd_lease(leases, first);

    exam->postgres.leases = leases->count;
    exam->postgres.live_leases = live;
    if (leases->count == 0) {
        doctor_find(finding, DOCTOR_WARN, "no daemon holds a lease: none runs");
        doctor_next(finding, "systemctl start ballastd");
    } else if (silent != NULL) {
        doctor_find(finding, DOCTOR_WARN,
                    "lease %s was not renewed for %.1f s: that daemon is dead, stopped, or cut off "
                    "from PostgreSQL (%zu of %zu leases live)",
                    silent->daemon, (double)watched_us / 1e6, live, leases->count);
        doctor_next(finding, "ballast -c %s era; systemctl status ballastd", exam->config->path);
    } else if (odd != NULL) {
        doctor_find(finding, DOCTOR_WARN, "daemon %s %s: its peers cannot use the cache",
                    odd->daemon,
                    odd->fenced              ? "is fenced"
                    : odd->run_id[0] == '\0' ? "has no Redis that it may use"
                                             : "uses another Redis than its peers");
        doctor_next(finding, "ballast -c %s era; curl that daemon's /readyz?verbose",
                    exam->config->path);
    } else {
        doctor_find(finding, DOCTOR_OK, "%zu leases, all renewed, on one Redis", leases->count);
    }
}

/* A lease is renewed every third of its length: one round shows who lives. A silent one is watched
 * for its whole length and a tenth, if the time of the run allows. */
void check_era_leases(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;
    struct leases leases = {.count = 0};
    int64_t start_us = clock_boot_us(), until_us = exam->until_us - LEASE_RESERVE_US;
    int64_t w_us = exam->config->cache.lease_ms * 1100;
    size_t live;

    if (until_us > start_us + w_us) {
        until_us = start_us + w_us;
    }
    bool read = read_era(exam, &leases);
    while (read && silent_lease(&leases, &live) != NULL && clock_boot_us() < until_us) {
        doctor_loop_pause(&sql->loop, LEASE_POLL_US);
        read = read_era(exam, &leases);
    }
    if (!exam->postgres.era.known) {
        doctor_find(finding, DOCTOR_FAIL, "the era cannot be read: %s", sql->why);
        doctor_next(finding, "ballast -c %s era", exam->config->path);
        return;
    }
    judge_leases(exam, &leases, clock_boot_us() - start_us, finding);
}

/* --- the era ----------------------------------------------------------------------------------*/

void check_era_state(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;
    const struct doctor_era *era = &pg->era;
    double age_s = (double)era->age_ms / 1e3;

    if (!era->known) {
        doctor_find(finding, DOCTOR_SKIPPED, "the era is not known");
    } else if (era->switched_off) {
        doctor_find(finding, DOCTOR_WARN,
                    "the cache is switched off (%s): all is answered from the store", era->note);
        doctor_next(finding, "ballast -c %s cache on", exam->config->path);
    } else if (strcmp(era->state, "open") == 0) {
        doctor_find(finding, DOCTOR_OK, "era %s is open, since %.0f s", era->id, age_s);
    } else if (pg->live_leases == 0) {
        doctor_find(finding, DOCTOR_WARN,
                    "era %s is %s: a daemon opens the next one, and none runs", era->id,
                    era->state);
        doctor_next(finding, "systemctl start ballastd");
    } else {
        doctor_find(finding, era->age_ms > CLOSED_FAIL_MS ? DOCTOR_FAIL : DOCTOR_WARN,
                    "era %s is %s since %.1f s: all is answered from the store until all daemons "
                    "agree on one Redis",
                    era->id, era->state, age_s);
        doctor_next(finding, "ballast -c %s era; ballast -c %s status", exam->config->path,
                    exam->config->path);
    }
}

static bool open_era(const struct doctor_exam *exam)
{
    return exam->postgres.era.known && strcmp(exam->postgres.era.state, "open") == 0;
}

void check_era_redis(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_era *era = &exam->postgres.era;
    char run_id[STORE_RUN_ID_MAX], replid[STORE_RUN_ID_MAX];

    if (!open_era(exam) || exam->redis.info == NULL) {
        doctor_find(finding, DOCTOR_SKIPPED, "no open era, or no Redis");
        return;
    }
    doctor_info_text(exam->redis.info, "run_id", run_id, sizeof run_id);
    doctor_info_text(exam->redis.info, "master_replid", replid, sizeof replid);
    if (strcmp(run_id, era->run_id) == 0 && strcmp(replid, era->replid) == 0) {
        doctor_find(finding, DOCTOR_OK, "run_id %.8s and replid %.8s are those of era %s", run_id,
                    replid, era->id);
        return;
    }
    doctor_find(finding, DOCTOR_FAIL,
                "era %s is of run_id %.8s, replid %.8s; this Redis is run_id %.8s, replid %.8s: it "
                "%s",
                era->id, era->run_id, era->replid, run_id, replid,
                strcmp(run_id, era->run_id) == 0
                    ? "was a replica meanwhile, and may be rewound"
                    : "was restarted (empty or rewound), or is another server");
    doctor_next(finding, "ballast -c %s era; ballast -c %s rebuild", exam->config->path,
                exam->config->path);
}

/* Both again: between the two an era may have been opened. */
static void look_again(struct doctor_exam *exam)
{
    struct doctor_redis *redis = &exam->redis;
    char key[CACHE_STAMP_MAX + 64];

    doctor_loop_pause(&redis->peer.loop, LOOK_AGAIN_US);
    doctor_stamp_key(exam, key, sizeof key);
    if (read_era(exam, NULL) && DOCTOR_ASK(&redis->peer, "GET", key) && !redis->peer.is_error) {
        const char *stamp = redis->peer.texts[0];
        snprintf(redis->stamp, sizeof redis->stamp, "%s", stamp != NULL ? stamp : "");
    }
}

static bool stamp_fits(const struct doctor_exam *exam, char *wanted, size_t size)
{
    snprintf(wanted, size, "%s:%s", exam->postgres.era.id, exam->postgres.era.nonce);
    return strcmp(exam->redis.stamp, wanted) == 0;
}

void check_era_stamp(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_redis *redis = &exam->redis;
    char wanted[CACHE_STAMP_MAX + STORE_NONCE_MAX];

    if (open_era(exam) && redis->stamp_known && !stamp_fits(exam, wanted, sizeof wanted)) {
        look_again(exam);
    }
    if (!open_era(exam) || !redis->stamp_known) {
        doctor_find(finding, DOCTOR_SKIPPED, "no open era, or no Redis");
    } else if (stamp_fits(exam, wanted, sizeof wanted)) {
        doctor_find(finding, DOCTOR_OK, "Redis bears the stamp of era %s", exam->postgres.era.id);
    } else if (redis->stamp[0] == '\0') {
        doctor_find(finding, DOCTOR_FAIL,
                    "Redis is empty or was flushed: the stamp of era %s is missing",
                    exam->postgres.era.id);
        doctor_next(finding, "ballast -c %s rebuild", exam->config->path);
    } else {
        doctor_find(finding, DOCTOR_FAIL,
                    "Redis is rewound, or another store's: it bears the stamp '%s', the era's is "
                    "'%s'",
                    redis->stamp, wanted);
        doctor_next(finding, "ballast -c %s era; ballast -c %s rebuild", exam->config->path,
                    exam->config->path);
    }
}
