/* ballast import: a file of credits and debits, through the daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ops/progress.h"
#include "programs/cli.h"
#include "programs/import.h"

struct import_words {
    const char *asset;
    int64_t floor;
    int64_t window;
    int64_t patience_s;
};

static const struct import_words defaults = {.window = 2000, .patience_s = 60};

static const struct argument table[] = {
    {"asset", 0, ARGUMENT_TEXT, offsetof(struct import_words, asset), "A",
     "opens accounts that are missing; all must be of this asset (USD/2)", 0, 0},
    {"floor", 0, ARGUMENT_INT, offsetof(struct import_words, floor), "N",
     "the floor of accounts that are opened (0)", INT64_MIN, INT64_MAX},
    {"window", 0, ARGUMENT_INT, offsetof(struct import_words, window), "N",
     "rows under way at once (2000)", 1, 10000},
    {"patience", 0, ARGUMENT_INT, offsetof(struct import_words, patience_s), "S",
     "seconds that nothing may move, while a server is away (60)", 1, 86400},
};

struct view {
    const struct cli *cli;
    struct progress progress;
};

static void on_progress(void *ctx, uint64_t rows, double share)
{
    struct view *view = ctx;

    progress_update(&view->progress, rows, share, clock_boot_us());
}

static void on_waiting(void *ctx, const char *why)
{
    const struct view *view = ctx;

    cli_note(view->cli, "waiting: %s", why);
}

static enum cli_exit exit_of(enum import_end end)
{
    switch (end) {
    case IMPORT_DONE:
        return CLI_DONE;
    case IMPORT_DIFFERENCE:
        return CLI_DIFFERENCES;
    case IMPORT_UNREACHABLE:
        return CLI_UNREACHABLE;
    case IMPORT_REFUSED:
        return CLI_CONFIG;
    case IMPORT_BAD_ROW:
    case IMPORT_BAD_INPUT:
        return CLI_FAILED;
    }
    return CLI_FAILED;
}

static const char *end_name(enum import_end end)
{
    static const char *const names[] = {
        [IMPORT_DONE] = "done",
        [IMPORT_BAD_ROW] = "bad-row",
        [IMPORT_DIFFERENCE] = "difference",
        [IMPORT_BAD_INPUT] = "bad-input",
        [IMPORT_UNREACHABLE] = "unreachable",
        [IMPORT_REFUSED] = "refused",
    };

    return names[end];
}

static void show(const struct cli *cli, const struct import_result *done, double seconds)
{
    struct buffer out = BUFFER_EMPTY;
    struct json json;
    char counts[5][PROGRESS_COUNT_ROOM];
    double rate = seconds > 0 ? (double)done->done / seconds : 0;

    if (cli->json) {
        json_begin(&json, &out);
        json_text(&json, "result", end_name(done->end));
        json_int(&json, "rows", (int64_t)done->done);
        json_int(&json, "duplicates", (int64_t)done->duplicates);
        json_int(&json, "checked", (int64_t)done->checked);
        json_int(&json, "opened", (int64_t)done->opened);
        json_int(&json, "retried", (int64_t)done->retried);
        if (done->line != 0) {
            json_int(&json, "line", (int64_t)done->line);
        }
        json_real(&json, "seconds", seconds);
        json_real(&json, "rate", rate);
        json_end(&json);
    } else if (!cli->quiet) {
        buffer_printf(
            &out,
            "%s rows done, %s of them duplicates, %s balances checked, %s accounts "
            "opened, %.1f s, %s/s\n",
            progress_count(counts[0], done->done), progress_count(counts[1], done->duplicates),
            progress_count(counts[2], done->checked), progress_count(counts[3], done->opened),
            seconds, progress_count(counts[4], (uint64_t)rate));
    }
    if (out.len > 0) {
        cli_print(&out);
    }
}

static enum cli_exit run_import(struct cli *cli)
{
    const struct import_words *words = cli->options;
    const char *path = cli->words.items[0];
    struct view view = {.cli = cli};
    struct import_input input;
    struct import_result done;
    struct asset asset;
    struct import_options options = {
        .config = cli->config,
        .floor = words->floor,
        .window = words->window,
        .patience_us = words->patience_s * 1000000,
        .progress = on_progress,
        .waiting = on_waiting,
        .ctx = &view,
    };

    if (words->asset != NULL) {
        if (!asset_parse(&asset, words->asset, strlen(words->asset))) {
            return cli_fail(cli, CLI_USAGE, "'%s' is no asset: CODE/SCALE, like USD/2",
                            words->asset);
        }
        options.asset = &asset;
    }
    if (!import_input_open(&input, path)) {
        return cli_fail(cli, CLI_FAILED, "%s", input.error);
    }
    int64_t started_us = clock_boot_us();
    progress_start(&view.progress, cli->quiet || cli->json, "import", "rows", started_us);
    import_run(&options, &input, &done);
    progress_end(&view.progress);
    import_input_close(&input);

    enum cli_exit status = exit_of(done.end);
    if (status != CLI_DONE) {
        char text[IMPORT_TEXT_ROOM + 256];
        if (done.line != 0) {
            snprintf(text, sizeof text, "%s:%" PRIu64 ": %s", path, done.line, done.text);
        } else {
            snprintf(text, sizeof text, "%s: %s", path, done.text);
        }
        cli_fail_code(cli, status, end_name(done.end), text);
    }
    show(cli, &done, (double)(clock_boot_us() - started_us) / 1e6);
    return status;
}

const struct cli_command cli_import[] = {
    {.name = "import",
     .synopsis = "FILE [--asset A] [--floor N] [--window N] [--patience S]",
     .words_min = 1,
     .words_max = 1,
     .options = table,
     .option_count = sizeof table / sizeof table[0],
     .options_size = sizeof defaults,
     .defaults = &defaults,
     .run = run_import,
     .summary = "Loads a CSV file of credits and debits, through the daemon",
     .details =
         "FILE is plain or gzip, - is standard input. Its header is\n"
         "account,kind,amount,key[,memo][,balance]; kind is credit or debit. Where there is a\n"
         "balance, every reply is compared with it. Safe to run twice or to resume: a key is done\n"
         "once. A row that cannot be taken is named by its line, and no later one is sent.\n"
         "Exit 1 with a bad row, 2 with a balance that differs.\n"},
    {.name = NULL},
};
