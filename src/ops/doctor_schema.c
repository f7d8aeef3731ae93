/* PostgreSQL: what is in our schema: its version, who locks it, the timeline, the books. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gen/sql.h"
#include "ops/doctor_checks.h"

#define LOCK_FAIL_MS 1000 /* [store] lock-timeout-ms by default: batches fail by then */

/* Time for the books: a statement, and all of them. What takes longer is for `reconcile`. */
#define BOOKS_STATEMENT_MS 120
#define BOOKS_MS 400

/* Of a statement that gave no rows: that somebody holds a lock is another row's finding. */
static void not_answered(const struct doctor_sql *sql, struct doctor_finding *finding)
{
    doctor_find(finding, DOCTOR_FAIL, "the store does not tell: %s", sql->why);
    if (strstr(sql->why, "42501") != NULL) {
        doctor_next(finding, "as a superuser: grant ballast_daemon to the user of %s", sql->psql);
        return;
    }
    doctor_next(finding,
                "%s -c 'select pid, wait_event, pg_blocking_pids(pid), query from "
                "pg_stat_activity'",
                sql->psql);
}

/* --- schema -----------------------------------------------------------------------------------*/

void check_postgres_schema(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;
    const char *path = exam->config->path;
    int64_t version;

    if (!doctor_sql_ask(sql, sql_schema_exists, DOCTOR_STATEMENT_MS)) {
        not_answered(sql, finding);
        return;
    }
    if (doctor_sql_number(sql, 0, 0) == 0) {
        doctor_find(finding, DOCTOR_FAIL,
                    "the database has no schema ballast: is it the right one?");
        doctor_next(finding, "ballast -c %s migrate", path);
        return;
    }
    if (!doctor_sql_ask(sql, sql_schema_version, DOCTOR_STATEMENT_MS)) {
        not_answered(sql, finding);
        return;
    }
    version = doctor_sql_number(sql, 0, 0);
    if (version < sql_migrations_count) {
        doctor_find(finding, DOCTOR_FAIL,
                    "the schema is older (version %" PRId64 ") than this program (%d)", version,
                    sql_migrations_count);
        doctor_next(finding, "ballast -c %s migrate", path);
    } else if (version > sql_migrations_count) {
        doctor_find(finding, DOCTOR_FAIL,
                    "the schema is newer (version %" PRId64 ") than this program (%d)", version,
                    sql_migrations_count);
        doctor_next(finding, "ballast --version (and install the newer program)");
    } else {
        doctor_find(finding, DOCTOR_OK, "version %" PRId64, version);
    }
}

void check_postgres_privileges(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;

    if (!doctor_sql_ask(sql, sql_doctor_privileges, DOCTOR_STATEMENT_MS) || sql->rows == 0) {
        not_answered(sql, finding);
    } else if (doctor_sql_cell(sql, 0, 0)[0] == '\0') {
        doctor_find(finding, DOCTOR_OK, "user %s may call what a daemon calls",
                    doctor_sql_cell(sql, 0, 1));
    } else {
        doctor_find(finding, DOCTOR_FAIL, "user %s may not call ballast.%s",
                    doctor_sql_cell(sql, 0, 1), doctor_sql_cell(sql, 0, 0));
        doctor_next(finding, "as a superuser: grant ballast_daemon to \"%s\"",
                    doctor_sql_cell(sql, 0, 1));
    }
}

/* --- locks ------------------------------------------------------------------------------------*/

/* Columns of sql_doctor_locks. */
enum { PID, USER_NAME, APPLICATION, TABLE_NAME, MODE, AGE_MS, BLOCKED, IS_STRONG };

void check_postgres_locks(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;

    if (!doctor_sql_ask(sql, sql_doctor_locks, DOCTOR_STATEMENT_MS)) {
        not_answered(sql, finding);
        return;
    }
    if (sql->rows == 0) {
        doctor_find(finding, DOCTOR_OK, "nobody stands in the way of postings");
        return;
    }
    int64_t blocked = doctor_sql_number(sql, 0, BLOCKED),
            age_ms = doctor_sql_number(sql, 0, AGE_MS);
    bool strong = doctor_sql_cell(sql, 0, IS_STRONG)[0] == 't';
    char age[32] = "an unknown time", others[32] = "";

    if (doctor_sql_cell(sql, 0, AGE_MS)[0] != '\0') {
        snprintf(age, sizeof age, "%.1f s", (double)age_ms / 1e3);
    }
    if (sql->rows > 1) {
        snprintf(others, sizeof others, "; and %zu more", sql->rows - 1);
    }
    doctor_find(
        finding, blocked > 0 || (strong && age_ms >= LOCK_FAIL_MS) ? DOCTOR_FAIL : DOCTOR_WARN,
        "session %s (%s, %s) holds %s on ballast.%s for %s, and %" PRId64 " sessions wait for it%s",
        doctor_sql_cell(sql, 0, PID), doctor_sql_cell(sql, 0, USER_NAME),
        doctor_sql_cell(sql, 0, APPLICATION), doctor_sql_cell(sql, 0, MODE),
        doctor_sql_cell(sql, 0, TABLE_NAME), age, blocked, others);
    doctor_next(finding,
                "%s -c 'select query from pg_stat_activity where pid = %s' -c 'select "
                "pg_terminate_backend(%s)'",
                sql->psql, doctor_sql_cell(sql, 0, PID), doctor_sql_cell(sql, 0, PID));
}

/* --- timeline ---------------------------------------------------------------------------------*/

/* Columns of sql_timeline. */
enum { AT_PRESENT, AT_ACCEPTED, AT_SETTLED };

void check_postgres_timeline(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;

    if (!doctor_sql_ask(sql, sql_timeline, DOCTOR_STATEMENT_MS) || sql->rows == 0) {
        not_answered(sql, finding);
        return;
    }
    const char *present = doctor_sql_cell(sql, 0, AT_PRESENT);
    if (strcmp(present, doctor_sql_cell(sql, 0, AT_ACCEPTED)) != 0) {
        doctor_find(finding, DOCTOR_FAIL,
                    "PostgreSQL writes on timeline %s, accepted is %s: a failover or a restore; "
                    "nothing is posted until an operator has looked",
                    present, doctor_sql_cell(sql, 0, AT_ACCEPTED));
        doctor_next(finding, "ballast -c %s accept-timeline", exam->config->path);
    } else if (strcmp(present, doctor_sql_cell(sql, 0, AT_SETTLED)) != 0) {
        doctor_find(finding, DOCTOR_WARN,
                    "timeline %s is accepted, and an era of before is still to be drained by a "
                    "daemon",
                    present);
        doctor_next(finding, "ballast -c %s era", exam->config->path);
    } else {
        doctor_find(finding, DOCTOR_OK, "timeline %s is accepted", present);
    }
}

/* --- books ------------------------------------------------------------------------------------*/

/* The next query of sql/invariants.sql: "-- NAME: what it checks", then the statement up to its
 * semicolon, into text. NULL behind the last one; else where to go on. */
static const char *next_query(const char *at, char name[64], char *text, size_t size)
{
    static const char head[] = "\n-- ";
    const char *colon, *end;

    while ((at = strstr(at, head)) != NULL) {
        at += strlen(head);
        colon = at + strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
        end = strstr(at, ";\n");
        if (*colon == ':' && end != NULL && (size_t)(end - at) < size) {
            snprintf(name, 64, "%.*s", (int)(colon - at), at);
            at = strchr(at, '\n');
            while (at[1] == '-') { /* the rest of the comment */
                at = strchr(at + 1, '\n');
            }
            snprintf(text, size, "%.*s", (int)(end - at), at);
            return end;
        }
    }
    return NULL;
}

/* Each as far as its time goes: on large books most are for the nightly job. */
void check_postgres_books(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;
    int64_t until_us = clock_boot_us() + BOOKS_MS * INT64_C(1000);
    int done = 0, left = 0;
    size_t size = strlen(sql_invariants) + 1;
    char name[64], *text = malloc(size);

    if (text == NULL) {
        abort();
    }
    for (const char *at = sql_invariants; (at = next_query(at, name, text, size)) != NULL;) {
        if (clock_boot_us() >= until_us) {
            left++;
        } else if (doctor_sql_ask(sql, text, BOOKS_STATEMENT_MS) && sql->rows > 0) {
            doctor_find(finding, DOCTOR_FAIL, "%s: %zu findings, the first: %s: %s", name,
                        sql->rows, doctor_sql_cell(sql, 0, 0), doctor_sql_cell(sql, 0, 1));
            doctor_next(finding, "ballast -c %s reconcile --report findings.jsonl",
                        exam->config->path);
            break;
        } else if (sql->status == STORE_OK) {
            done++;
        } else if (sql->timed_out) {
            left++;
        } else {
            not_answered(sql, finding);
            break;
        }
    }
    free(text);
    if (finding->evidence[0] == '\0' && done == 0) {
        doctor_find(finding, DOCTOR_SKIPPED, "the books are too large to be read in this time");
    } else if (finding->evidence[0] == '\0') {
        doctor_find(finding, DOCTOR_OK, "%d queries of sql/invariants.sql find nothing%s", done,
                    left > 0 ? "; the others take longer than a moment: ballast reconcile" : "");
    }
}
