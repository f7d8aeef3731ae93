/* The schema, brought to the version that this program knows. See the header. */
#include "ops/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "gen/sql.h"

#define MIGRATE_TIMEOUT_MS (60 * 60 * 1000) /* a table may have to be rewritten */

/* Before ballast.migration exists there is nothing that could be selected from. */
static enum job_result read_version(struct job *job, int *version)
{
    int64_t exists = 0, found = 0;

    enum job_result end = job_query_int(job, sql_schema_exists, NULL, 0, true, &exists);
    if (end == JOB_OK && exists) {
        end = job_query_int(job, sql_schema_version, NULL, 0, true, &found);
    }
    *version = (int)found;
    return end;
}

/*
 * One migration: lock, check that nobody has done it meanwhile, do it, record it; as one text,
 * which is one transaction. The check fails it where another runner was faster.
 */
static enum job_result apply(struct job *job, const struct sql_migration *migration)
{
    struct buffer text = BUFFER_EMPTY;

    buffer_printf(&text,
                  "BEGIN;\n"
                  "SELECT pg_advisory_xact_lock(hashtextextended('ballast.migrate', 0));\n"
                  "INSERT INTO ballast.migration (version, name) VALUES (%d, '%s');\n",
                  migration->version, migration->name);
    buffer_append_text(&text, migration->text);
    buffer_append_text(&text, "\nCOMMIT;\n");
    buffer_append_byte(&text, '\0');
    enum job_result end =
        job_query_long(job, text.data, NULL, 0, MIGRATE_TIMEOUT_MS, false, NULL, NULL);
    buffer_free(&text);
    return end;
}

/* A failed text leaves the session inside its transaction. */
static void roll_back(struct job *job)
{
    char why[JOB_ERROR_ROOM];

    memcpy(why, job->error, sizeof why);
    if (job_query(job, "ROLLBACK", NULL, 0, true, NULL, NULL) == JOB_OK) {
        memcpy(job->error, why, sizeof why);
    }
}

/* A migration that failed may have been done by somebody else: then that is as good. */
static enum job_result apply_or_find_done(struct job *job, const struct sql_migration *migration,
                                          bool *applied)
{
    char why[JOB_ERROR_ROOM];
    int version;

    enum job_result end = apply(job, migration);
    *applied = end == JOB_OK;
    if (end == JOB_OK || end == JOB_INTERRUPTED) {
        return end;
    }
    memcpy(why, job->error, sizeof why);
    roll_back(job);
    if (read_version(job, &version) == JOB_OK && version >= migration->version) {
        return JOB_OK;
    }
    return job_fail(job, end, "migration %d (%s): %s", migration->version, migration->name, why);
}

enum job_result migrate_run(struct job *job, const struct migrate_options *options,
                            struct migrate_result *result)
{
    *result = (struct migrate_result){0};
    enum job_result end = read_version(job, &result->from);
    if (end != JOB_OK) {
        return end;
    }
    if (result->from > sql_migrations_count) {
        return job_fail(job, JOB_OPERATOR,
                        "the schema is of version %d, newer than this program's %d: use the newer "
                        "program",
                        result->from, sql_migrations_count);
    }
    if (!options->plan) {
        end = job_query(job, sql_migration_table, NULL, 0, true, NULL, NULL);
    }
    result->to = result->from;
    for (int i = 0; end == JOB_OK && i < sql_migrations_count; i++) {
        const struct sql_migration *migration = &sql_migrations[i];
        bool applied = options->plan;
        if (migration->version <= result->from) {
            continue;
        }
        if (!options->plan) {
            end = apply_or_find_done(job, migration, &applied);
        }
        if (end == JOB_OK) {
            result->to = migration->version;
            result->applied += applied;
            if (applied && options->applied != NULL) {
                options->applied(options->ctx, migration->version, migration->name);
            }
        }
    }
    return end;
}
