/* PostgreSQL, whatever is in the database: whether daemons can use it, and what it promises. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "gen/sql.h"
#include "ops/doctor_checks.h"

#define VERSION_MIN 150000
#define CONNECTIONS_WARN_PERCENT 80
#define CONNECTIONS_FAIL_PERCENT 97
#define CLOCK_WARN_MS 1000

#define MB (INT64_C(1) << 20)
#define DISK_FAIL_BYTES (512 * MB)
#define DISK_WARN_BYTES (4096 * MB)
#define DISK_WARN_PERCENT 5 /* of what there is, where that is more */

/* Columns of sql_doctor_server. */
enum {
    VERSION,
    IS_STANDBY,
    READ_ONLY,
    FSYNC,
    FULL_PAGE_WRITES,
    SYNCHRONOUS_COMMIT,
    STANDBY_NAMES,
    SYNC_STANDBYS,
    CONNECTIONS,
    CONNECTIONS_MAX,
    DATA_DIRECTORY,
    IS_LOCAL,
    NOW_MS,
};

/* --- reachable --------------------------------------------------------------------------------*/

static bool is_standby(const struct doctor_postgres *pg)
{
    return strstr(pg->open_why, "standby") != NULL;
}

/* What a person does about a message of libpq or of the server. */
static void next_of_refusal(const struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;
    static const struct {
        const char *part, *command;
    } rows[] = {
        {"pooler", "grep -n conninfo %s (give the address of PostgreSQL itself)"},
        {"password", "grep -n -e conninfo -e password-file %s"},
        {"28000", "grep -n -e conninfo -e password-file %s (and pg_hba.conf)"},
        {"name", "grep -n conninfo %s (name the server by hostaddr)"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strstr(pg->open_why, rows[i].part) != NULL) {
            doctor_next(finding, rows[i].command, exam->config->path);
            return;
        }
    }
    if (strstr(pg->open_why, "53300") != NULL) {
        doctor_next(finding,
                    "as a superuser: %s -c 'select usename, application_name, count(*) from "
                    "pg_stat_activity group by 1, 2 order by 3 desc'",
                    pg->sql.psql);
    } else if (strstr(pg->open_why, "3D000") != NULL) {
        doctor_next(finding,
                    "%s -c 'select datname from pg_database' (then createdb, and ballast "
                    "migrate)",
                    "psql -d postgres");
    } else {
        doctor_next(finding, "pg_isready%s; pg_lsclusters; systemctl status postgresql",
                    pg->sql.psql + strlen("psql"));
    }
}

static bool ask_server(struct doctor_postgres *pg)
{
    struct doctor_sql *sql = &pg->sql;
    struct doctor_server *server = &pg->server;
    int64_t sent_ms = clock_wall_ms();

    if (!doctor_sql_ask(sql, sql_doctor_server, DOCTOR_STATEMENT_MS) || sql->rows != 1) {
        snprintf(pg->open_why, sizeof pg->open_why, "%s", sql->why);
        return false;
    }
    int64_t here_ms = clock_wall_ms();
    *server = (struct doctor_server){
        .version = doctor_sql_number(sql, 0, VERSION),
        .is_standby = doctor_sql_cell(sql, 0, IS_STANDBY)[0] == 't',
        .read_only = doctor_sql_cell(sql, 0, READ_ONLY)[0] == 't',
        .is_local = doctor_sql_cell(sql, 0, IS_LOCAL)[0] == 't',
        .fsync = strcmp(doctor_sql_cell(sql, 0, FSYNC), "on") == 0,
        .full_page_writes = strcmp(doctor_sql_cell(sql, 0, FULL_PAGE_WRITES), "on") == 0,
        .sync_standbys = doctor_sql_number(sql, 0, SYNC_STANDBYS),
        .connections = doctor_sql_number(sql, 0, CONNECTIONS),
        .connections_max = doctor_sql_number(sql, 0, CONNECTIONS_MAX),
        .clock_ahead_ms = doctor_sql_number(sql, 0, NOW_MS) - (sent_ms + here_ms) / 2,
        .clock_error_ms = (here_ms - sent_ms) / 2 + 1,
    };
    snprintf(server->synchronous_commit, sizeof server->synchronous_commit, "%s",
             doctor_sql_cell(sql, 0, SYNCHRONOUS_COMMIT));
    snprintf(server->standby_names, sizeof server->standby_names, "%s",
             doctor_sql_cell(sql, 0, STANDBY_NAMES));
    snprintf(server->data_directory, sizeof server->data_directory, "%s",
             doctor_sql_cell(sql, 0, DATA_DIRECTORY));
    return true;
}

void check_postgres_reachable(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_postgres *pg = &exam->postgres;
    int64_t start_us = clock_boot_us();
    bool open =
        doctor_sql_open(&pg->sql, exam->config, exam->until_us, pg->open_why) && ask_server(pg);

    if (open || is_standby(pg)) {
        doctor_find(finding, DOCTOR_OK, "%s: answers within %.1f ms", pg->sql.psql,
                    (double)(clock_boot_us() - start_us) / 1e3);
        return;
    }
    doctor_find(finding, DOCTOR_FAIL, "%s: %s", pg->sql.psql, pg->open_why);
    next_of_refusal(exam, finding);
}

void check_postgres_role(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_postgres *pg = &exam->postgres;

    if (is_standby(pg) || pg->server.is_standby) {
        doctor_find(finding, DOCTOR_FAIL, "a standby%s%s: no daemon uses it, nothing can be posted",
                    pg->open_why[0] != '\0' ? ": " : "", pg->open_why);
        doctor_next(finding, "pg_ctl promote (where its primary is gone for good; else set [store] "
                             "conninfo to the primary)");
    } else {
        doctor_find(finding, DOCTOR_OK, "a primary");
    }
}

void check_postgres_version(struct doctor_exam *exam, struct doctor_finding *finding)
{
    int64_t version = exam->postgres.server.version;

    if (version >= VERSION_MIN) {
        doctor_find(finding, DOCTOR_OK, "PostgreSQL %" PRId64 ".%" PRId64, version / 10000,
                    version % 10000);
    } else {
        doctor_find(finding, DOCTOR_FAIL, "version %" PRId64 ": PostgreSQL 15 or later is needed",
                    version);
        doctor_next(finding, "pg_upgradecluster --help");
    }
}

/* --- what a commit is worth -------------------------------------------------------------------*/

void check_postgres_writable(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;

    if (pg->server.read_only) {
        doctor_find(finding, DOCTOR_FAIL,
                    "transactions are read-only here (default_transaction_read_only, 25006): reads "
                    "go on, mutations are UNAVAILABLE");
        doctor_next(finding,
                    "%s -c 'set default_transaction_read_only = off' -c 'alter database ... reset "
                    "default_transaction_read_only' (or alter system reset, alter role reset)",
                    pg->sql.psql);
    } else {
        doctor_find(finding, DOCTOR_OK, "transactions may write");
    }
}

void check_postgres_fsync(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;
    bool allowed = exam->config->store.allow_fsync_off;

    if (pg->server.fsync) {
        doctor_find(finding, DOCTOR_OK, "fsync is on%s",
                    allowed ? ", though [store] allow-fsync-off allows it to be off" : "");
        return;
    }
    doctor_find(finding, allowed ? DOCTOR_WARN : DOCTOR_FAIL,
                "fsync is off: a crash of the machine loses what was acknowledged%s",
                allowed ? " ([store] allow-fsync-off)" : "; daemons refuse to post");
    doctor_next(finding, "%s -c 'alter system set fsync = on' -c 'select pg_reload_conf()'",
                pg->sql.psql);
}

void check_postgres_full_page_writes(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;

    if (pg->server.full_page_writes) {
        doctor_find(finding, DOCTOR_OK, "full_page_writes is on");
        return;
    }
    doctor_find(finding, DOCTOR_WARN,
                "full_page_writes is off: a crash can leave torn pages, unless the file system "
                "writes whole ones");
    doctor_next(finding,
                "%s -c 'alter system set full_page_writes = on' -c 'select pg_reload_conf()'",
                pg->sql.psql);
}

void check_postgres_synchronous_commit(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;
    const char *value = pg->server.synchronous_commit;

    if (strcmp(value, "off") != 0) {
        doctor_find(finding, DOCTOR_OK, "synchronous_commit is %s; daemons set it to on", value);
        return;
    }
    doctor_find(finding, DOCTOR_WARN,
                "synchronous_commit is off: daemons set it to on for themselves, but what others "
                "post in SQL can be lost in a crash");
    doctor_next(finding,
                "%s -c 'alter system set synchronous_commit = on' -c 'select pg_reload_conf()'",
                pg->sql.psql);
}

void check_postgres_standbys(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;
    const char *names = pg->server.standby_names;

    if (names[0] == '\0') {
        doctor_find(finding, DOCTOR_OK, "no synchronous standby is configured");
    } else if (pg->server.sync_standbys > 0) {
        doctor_find(finding, DOCTOR_OK, "%" PRId64 " synchronous standbys stream (%s)",
                    pg->server.sync_standbys, names);
    } else {
        doctor_find(finding, DOCTOR_FAIL,
                    "synchronous_standby_names is '%s' and none of them streams: no commit ends",
                    names);
        doctor_next(finding,
                    "%s -c 'select application_name, state, sync_state from pg_stat_replication' "
                    "(start the standby)",
                    pg->sql.psql);
    }
}

/* --- room -------------------------------------------------------------------------------------*/

void check_postgres_connections(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_postgres *pg = &exam->postgres;
    int64_t used = pg->server.connections, most = pg->server.connections_max;
    int64_t percent = most > 0 ? used * 100 / most : 0;

    doctor_find(finding,
                percent >= CONNECTIONS_FAIL_PERCENT   ? DOCTOR_FAIL
                : percent >= CONNECTIONS_WARN_PERCENT ? DOCTOR_WARN
                                                      : DOCTOR_OK,
                "%" PRId64 " of %" PRId64 " connections are taken", used, most);
    if (finding->result != DOCTOR_OK) {
        doctor_next(finding,
                    "%s -c 'select usename, application_name, state, count(*) from "
                    "pg_stat_activity group by 1, 2, 3 order by 4 desc'",
                    pg->sql.psql);
    }
}

/* One file system; false where it cannot be seen. */
static bool look_at_disk(const char *path, struct doctor_finding *finding)
{
    char size[DOCTOR_SIZE_ROOM], all[DOCTOR_SIZE_ROOM];
    struct statvfs disk;

    if (statvfs(path, &disk) != 0) {
        return false;
    }
    int64_t left = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    int64_t total = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    int64_t share = total / 100 * DISK_WARN_PERCENT;
    int64_t wanted = share > DISK_WARN_BYTES ? share : DISK_WARN_BYTES;
    bool small = total <= DISK_WARN_BYTES; /* then only a share says something */
    doctor_find(finding,
                left < (small ? share : DISK_FAIL_BYTES) ? DOCTOR_FAIL
                : left < (small ? 2 * share : wanted)    ? DOCTOR_WARN
                                                         : DOCTOR_OK,
                "%s of %s are free in %s", doctor_size(size, left), doctor_size(all, total), path);
    if (finding->result != DOCTOR_OK) {
        doctor_next(finding, "df -h %s; du -sh %s/*", path, path);
    }
    return true;
}

/* The log of transactions may have a disk of its own: a full one stops the server, while without room
 * for the data postings fail (53100) and reads go on. */
void check_postgres_disk(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_server *server = &exam->postgres.server;
    char wal[sizeof server->data_directory + 8];
    struct doctor_finding of_wal = {.result = DOCTOR_SKIPPED};

    if (!server->is_local || server->data_directory[0] == '\0' ||
        !look_at_disk(server->data_directory, finding)) {
        doctor_find(finding, DOCTOR_SKIPPED, "its disk cannot be seen from here");
        return;
    }
    snprintf(wal, sizeof wal, "%s/pg_wal", server->data_directory);
    if (look_at_disk(wal, &of_wal) && of_wal.result > finding->result) {
        *finding = of_wal;
    }
}

/* Versions order everything; what expires does so by the store's clock. */
void check_postgres_clock(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_server *server = &exam->postgres.server;
    int64_t off_ms = llabs(server->clock_ahead_ms);
    bool bad = off_ms > CLOCK_WARN_MS + server->clock_error_ms;

    doctor_find(finding, bad ? DOCTOR_WARN : DOCTOR_OK, "its clock is %" PRId64 " ms %s ours",
                off_ms, server->clock_ahead_ms < 0 ? "behind" : "ahead of");
    if (bad) {
        doctor_next(finding, "date; %s -Atc 'select clock_timestamp()'; timedatectl",
                    exam->postgres.sql.psql);
    }
}
