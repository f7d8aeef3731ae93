/* ballast reconcile: the nightly job. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ops/progress.h"
#include "ops/reconcile.h"
#include "programs/cli.h"

struct reconcile_words {
    bool repair;
    double sample;
    const char *report;
};

static const struct reconcile_words defaults = {.sample = 100};

static const struct argument table[] = {
    {"repair", 0, ARGUMENT_FLAG, offsetof(struct reconcile_words, repair), NULL,
     "mends the cache from the store; never the store", 0, 0},
    {"sample", 0, ARGUMENT_PERCENT, offsetof(struct reconcile_words, sample), "P",
     "looks at the cached values of P percent of the accounts, each run at others", 0, 0},
    {"report", 0, ARGUMENT_TEXT, offsetof(struct reconcile_words, report), "FILE",
     "also writes findings and summary to FILE, a JSON object a line", 0, 0},
};

struct view {
    const struct cli *cli;
    FILE *report; /* NULL: none */
    struct progress progress;
    const char *stage;
};

/* To the report, and to the output as it is asked for. */
static void emit(struct view *view, struct buffer *line)
{
    if (view->report != NULL) {
        fwrite(line->data, 1, line->len, view->report);
    }
    if (view->cli->json) {
        cli_print(line);
    } else {
        buffer_free(line);
    }
}

static void on_finding(void *ctx, const struct reconcile_finding *finding)
{
    struct view *view = ctx;
    struct buffer line = BUFFER_EMPTY;
    struct json json;

    json_begin(&json, &line);
    json_text(&json, "check", finding->check);
    json_text(&json, "account", finding->account);
    json_text(&json, "expected", finding->expected);
    json_text(&json, "found", finding->found);
    json_bool(&json, "repaired", finding->repaired);
    json_end(&json);
    emit(view, &line);
    if (!view->cli->json) {
        progress_end(&view->progress);
        view->stage = NULL;
        printf("%s: %s%sexpected %s; found %s%s\n", finding->check,
               finding->account != NULL ? finding->account : "",
               finding->account != NULL ? ": " : "", finding->expected, finding->found,
               finding->repaired ? "; repaired" : "");
        fflush(stdout);
    }
}

static void on_progress(void *ctx, const char *stage, uint64_t done, double share)
{
    struct view *view = ctx;
    int64_t now_us = clock_boot_us();

    if (view->stage == NULL || strcmp(view->stage, stage) != 0) {
        progress_end(&view->progress);
        view->stage = stage;
        progress_start(&view->progress, view->cli->quiet || view->cli->json, stage,
                       strcmp(stage, "orphans") == 0   ? "keys"
                       : strcmp(stage, "journal") == 0 ? "rows"
                       : strcmp(stage, "denials") == 0 ? "denials"
                                                       : "accounts",
                       now_us);
    }
    progress_update(&view->progress, done, share, now_us);
}

static void show_summary(struct view *view, const struct reconcile_result *done,
                         const char *outcome)
{
    struct buffer line = BUFFER_EMPTY;
    struct json json;
    char counts[5][PROGRESS_COUNT_ROOM];

    json_begin(&json, &line);
    json_text(&json, "result", outcome);
    json_int(&json, "run", done->run);
    json_int(&json, "accounts", (int64_t)done->accounts);
    json_int(&json, "transfers", (int64_t)done->transfers);
    json_int(&json, "cached", (int64_t)done->cached);
    json_int(&json, "keys", (int64_t)done->keys);
    json_int(&json, "findings", (int64_t)done->findings);
    json_int(&json, "repaired", (int64_t)done->repaired);
    json_int(&json, "denials_forgotten", (int64_t)done->forgotten);
    json_bool(&json, "cache_checked", done->cache_checked);
    json_real(&json, "seconds", done->seconds);
    json_end(&json);
    emit(view, &line);
    if (!view->cli->json && !view->cli->quiet) {
        printf("%s: %s accounts, %s sides of transfers, %s cached values looked at, %s findings, "
               "%s repaired, %.1f s (run %" PRId64 ")\n",
               outcome, progress_count(counts[0], done->accounts),
               progress_count(counts[1], done->transfers), progress_count(counts[2], done->cached),
               progress_count(counts[3], done->findings), progress_count(counts[4], done->repaired),
               done->seconds, done->run);
    }
}

static enum cli_exit conclude(struct view *view, struct job *job, enum job_result result,
                              const struct reconcile_result *done)
{
    const struct cli *cli = view->cli;
    const char *outcome = done->findings > 0 ? "differences"
                          : result == JOB_OK ? "clean"
                                             : "failed";
    enum cli_exit status = CLI_DONE;

    if (result != JOB_OK) {
        status =
            cli_fail(cli, cli_job_exit(result), "%s%s",
                     done->cache_checked ? "" : "the cache could not be checked: ", job->error);
    }
    show_summary(view, done, outcome);
    return done->findings > 0 ? CLI_DIFFERENCES : status;
}

static enum cli_exit run_reconcile(struct cli *cli)
{
    const struct reconcile_words *words = cli->options;
    struct view view = {.cli = cli};
    const struct reconcile_options options = {
        .repair = words->repair,
        .sample = words->sample,
        .denials_kept_days = cli->config->store.denials_kept_days,
        .finding = on_finding,
        .progress = on_progress,
        .ctx = &view,
    };
    struct reconcile_result done;
    enum cli_exit status = CLI_DONE;

    if (words->report != NULL) {
        view.report = fopen(words->report, "w");
        if (view.report == NULL) {
            return cli_fail(cli, CLI_FAILED, "%s: %s", words->report, strerror(errno));
        }
    }
    struct job *job = cli_job_open(cli, "reconcile", JOB_STORE_WHOLE, &status);
    if (job != NULL) {
        enum job_result result = reconcile_run(job, &options, &done);
        progress_end(&view.progress);
        status = conclude(&view, job, result, &done);
        job_free(job);
    }
    if (view.report != NULL) {
        bool lost = ferror(view.report) != 0;
        if (fclose(view.report) != 0 || lost) {
            status = cli_fail(cli, CLI_FAILED, "%s: %s", words->report, strerror(errno));
        }
    }
    return status;
}

const struct cli_command cli_reconcile[] = {
    {.name = "reconcile",
     .synopsis = "[--repair] [--sample P] [--report FILE]",
     .options = table,
     .option_count = sizeof table / sizeof table[0],
     .options_size = sizeof defaults,
     .defaults = &defaults,
     .run = run_reconcile,
     .summary = "Proves the books, and that the cache agrees with them",
     .details =
         "For every account: the balance is the sum of its journal, its versions have no gaps, and\n"
         "what Redis holds of it is its row; every asset sums to zero; Redis holds nothing of\n"
         "accounts that do not exist. A difference is read again before it is reported. Exit 2\n"
         "with a difference, also where it was repaired. A row is written to\n"
         "ballast.reconciliation_run every time.\n"
         "Denials older than [store] denials-kept-days are forgotten on this occasion.\n"},
    {.name = NULL},
};
