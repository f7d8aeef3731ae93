/* Subcommands that prepare and mend: migrate and rebuild. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ops/migrate.h"
#include "ops/progress.h"
#include "ops/rebuild.h"
#include "programs/cli.h"

/* --- migrate ----------------------------------------------------------------------------------*/

struct migrate_words {
    bool plan;
};

static const struct argument migrate_table[] = {
    {"plan", 0, ARGUMENT_FLAG, offsetof(struct migrate_words, plan), NULL,
     "prints what would be done and changes nothing", 0, 0},
};

static void migration_done(void *ctx, int version, const char *name)
{
    const struct cli *cli = ctx;
    const struct migrate_words *words = cli->options;
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    if (cli->json) {
        json_begin(&json, &out);
        json_int(&json, "version", version);
        json_text(&json, "name", name);
        json_bool(&json, "applied", !words->plan);
        json_end(&json);
    } else if (!cli->quiet) {
        buffer_printf(&out, "%s %04d %s\n", words->plan ? "would apply" : "applied", version, name);
    }
    if (out.len > 0) {
        cli_print(&out);
    }
}

static void show_migrated(const struct cli *cli, const struct migrate_result *result, bool plan)
{
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    if (cli->json) {
        json_begin(&json, &out);
        json_int(&json, "from", result->from);
        json_int(&json, "to", result->to);
        json_int(&json, plan ? "pending" : "applied", result->applied);
        json_end(&json);
    } else if (result->applied == 0 && !cli->quiet) {
        buffer_printf(&out, "the schema is of version %d: nothing to do\n", result->to);
    } else if (!cli->quiet) {
        buffer_printf(&out, "the schema %s of version %d\n", plan ? "would be" : "is", result->to);
    }
    if (out.len > 0) {
        cli_print(&out);
    }
}

static enum cli_exit run_migrate(struct cli *cli)
{
    const struct migrate_words *words = cli->options;
    const struct migrate_options options = {words->plan, migration_done, cli};
    struct migrate_result done;
    enum cli_exit status = CLI_DONE;

    struct job *job = cli_job_open(cli, "migrate", JOB_STORE_BARE, &status);
    if (job == NULL) {
        return status;
    }
    enum job_result result = migrate_run(job, &options, &done);
    if (result == JOB_OK) {
        show_migrated(cli, &done, words->plan);
    } else {
        status = cli_job_fail(cli, job, result);
    }
    job_free(job);
    return status;
}

/* --- rebuild ----------------------------------------------------------------------------------*/

struct rebuild_words {
    const char *account;
    bool dry_run, no_wait;
    int64_t rate;
};

static const struct argument rebuild_table[] = {
    {"account", 0, ARGUMENT_TEXT, offsetof(struct rebuild_words, account), "ACCOUNT",
     "only this account", 0, 0},
    {"dry-run", 0, ARGUMENT_FLAG, offsetof(struct rebuild_words, dry_run), NULL,
     "counts what would be written, and writes nothing", 0, 0},
    {"rate", 0, ARGUMENT_INT, offsetof(struct rebuild_words, rate), "N",
     "at most so many accounts a second", 1, 1000000000},
    {"no-wait", 0, ARGUMENT_FLAG, offsetof(struct rebuild_words, no_wait), NULL,
     "exits with 75 where another rebuild runs", 0, 0},
};

struct rebuild_view {
    const struct cli *cli;
    struct progress progress;
};

static void rebuild_progress(void *ctx, const struct rebuild_result *so_far, double share)
{
    struct rebuild_view *view = ctx;

    progress_update(&view->progress, so_far->accounts, share, clock_boot_us());
}

static void rebuild_waiting(void *ctx, const char *runner)
{
    const struct rebuild_view *view = ctx;

    cli_note(view->cli, "waiting for the rebuild that is being run by %s", runner);
}

static void show_rebuilt(const struct cli *cli, const struct rebuild_result *done, bool dry_run)
{
    char accounts[PROGRESS_COUNT_ROOM], written[PROGRESS_COUNT_ROOM], kept[PROGRESS_COUNT_ROOM];
    char dropped[PROGRESS_COUNT_ROOM], rate_text[PROGRESS_COUNT_ROOM];
    double rate = done->seconds > 0 ? (double)done->accounts / done->seconds : 0;
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    if (cli->json) {
        json_begin(&json, &out);
        json_int(&json, "accounts", (int64_t)done->accounts);
        json_int(&json, "written", (int64_t)done->written);
        json_int(&json, "kept", (int64_t)done->kept);
        json_int(&json, "dropped", (int64_t)done->dropped);
        json_int(&json, "era", (int64_t)done->era);
        json_real(&json, "seconds", done->seconds);
        json_real(&json, "rate", rate);
        json_bool(&json, "dry_run", dry_run);
        json_text(&json, "runner", done->runner);
        json_bool(&json, "joined", done->joined);
        json_end(&json);
    } else if (!cli->quiet) {
        buffer_printf(&out, "%s accounts, %s %swritten, %s kept, %s dropped, %.1f s, %s/s%s%s\n",
                      progress_count(accounts, done->accounts),
                      progress_count(written, done->written), dry_run ? "would be " : "",
                      progress_count(kept, done->kept), progress_count(dropped, done->dropped),
                      done->seconds, progress_count(rate_text, (uint64_t)rate),
                      done->joined ? ", done by " : "", done->joined ? done->runner : "");
    }
    if (out.len > 0) {
        cli_print(&out);
    }
}

static enum cli_exit run_rebuild(struct cli *cli)
{
    const struct rebuild_words *words = cli->options;
    struct rebuild_view view = {.cli = cli};
    struct account_id account;
    struct rebuild_result done;
    enum cli_exit status = CLI_DONE;
    struct rebuild_options options = {
        .dry_run = words->dry_run,
        .wait = !words->no_wait,
        .rate = words->rate,
        .progress = rebuild_progress,
        .waiting = rebuild_waiting,
        .ctx = &view,
    };

    if (words->account != NULL) {
        if (!account_id_parse(&account, words->account, strlen(words->account)) ||
            account_id_is_system(&account)) {
            return cli_fail(cli, CLI_USAGE, "'%s' is no account that a cache holds",
                            words->account);
        }
        options.account = &account;
    }
    struct job *job = cli_job_open(cli, "rebuild", JOB_STORE_WHOLE, &status);
    if (job == NULL) {
        return status;
    }
    progress_start(&view.progress, cli->quiet || cli->json, "rebuild", "accounts", clock_boot_us());
    enum job_result result = rebuild_run(job, &options, &done);
    progress_end(&view.progress);
    if (result == JOB_OK) {
        show_rebuilt(cli, &done, words->dry_run);
    } else {
        status = cli_job_fail(cli, job, result);
    }
    job_free(job);
    return status;
}

/* --- the table --------------------------------------------------------------------------------*/

#define TABLE(table) .options = (table), .option_count = sizeof(table) / sizeof((table)[0])

const struct cli_command cli_jobs[] = {
    {.name = "migrate",
     .synopsis = "[--plan]",
     TABLE(migrate_table),
     .options_size = sizeof(struct migrate_words),
     .run = run_migrate,
     .summary = "Creates or upgrades the schema in PostgreSQL",
     .details =
         "Connects as [store] conninfo says: that role must be able to create the schema and\n"
         "roles. Safe to repeat; a schema that is newer than this program is refused.\n"},
    {.name = "rebuild",
     .synopsis = "[--account A] [--dry-run] [--rate N] [--no-wait]",
     TABLE(rebuild_table),
     .options_size = sizeof(struct rebuild_words),
     .run = run_rebuild,
     .summary = "Makes Redis agree with PostgreSQL, online",
     .details =
         "Works under load, with or without the daemon running; safe to repeat and to interrupt.\n"
         "Values that are right are kept. One rebuild runs at a time: a second one waits and\n"
         "returns the result of the first. A daemon that fills an empty cache in the background\n"
         "makes room for it within a second.\n"},
    {.name = NULL},
};
