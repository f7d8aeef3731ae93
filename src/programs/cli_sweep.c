/*
 * ballast sweep: suspends the accounts that the store shows below their floor.
 *
 * The store lists them, a page at a time; the daemon is asked to SUSPEND each IFBELOW, so that the
 * store decides once more, under the account's lock and the fuse, and the cache hears of it. The
 * keys are made of account and version: a sweep that was interrupted is simply run again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gen/sql.h"
#include "model/account.h"
#include "ops/progress.h"
#include "programs/cli.h"
#include "programs/client.h"

#define SWEEP_PAGE "10000" /* accounts looked at in one statement, about 10 ms */
#define SWEEP_PAGE_MAX 10000
#define SWEEP_CHUNK 100                              /* suspensions on their way at once */
#define SWEEP_PATIENCE_US (INT64_C(2) * 1000 * 1000) /* beyond the daemon's own deadline */

struct sweep_words {
    bool dry_run;
};

static const struct argument table[] = {
    {"dry-run", 0, ARGUMENT_FLAG, offsetof(struct sweep_words, dry_run), NULL,
     "shows the accounts and suspends none", 0, 0},
};

/* An account that the store shows below its floor; the numbers as it wrote them. */
struct below {
    char account[ACCOUNT_ID_MAX + 1];
    char available[24], floor[24], version[24];
};

struct sweep {
    const struct cli *cli;
    struct client client;
    struct progress progress;
    char last[ACCOUNT_ID_MAX + 1];
    bool more;
    struct below *page;
    size_t page_count;
    uint64_t accounts, below, suspended;
};

/* --- the list ---------------------------------------------------------------------------------*/

/* sql/sweep_page.sql */
enum { AT_LAST, AT_ACCOUNTS, AT_ACCOUNT, AT_AVAILABLE, AT_FLOOR, AT_VERSION };

static void take_page(void *arg, const struct store_rows *rows)
{
    struct sweep *sweep = arg;
    const char *last = rows->value(rows, 0, AT_LAST);

    sweep->page_count = 0;
    sweep->more = last != NULL;
    if (last == NULL) {
        return;
    }
    snprintf(sweep->last, sizeof sweep->last, "%s", last);
    sweep->accounts += strtoull(rows->value(rows, 0, AT_ACCOUNTS), NULL, 10);
    for (size_t row = 0; row < rows->rows && row < SWEEP_PAGE_MAX; row++) {
        if (rows->value(rows, row, AT_ACCOUNT) == NULL) {
            break;
        }
        struct below *below = &sweep->page[sweep->page_count++];
        snprintf(below->account, sizeof below->account, "%s", rows->value(rows, row, AT_ACCOUNT));
        snprintf(below->available, sizeof below->available, "%s",
                 rows->value(rows, row, AT_AVAILABLE));
        snprintf(below->floor, sizeof below->floor, "%s", rows->value(rows, row, AT_FLOOR));
        snprintf(below->version, sizeof below->version, "%s", rows->value(rows, row, AT_VERSION));
    }
}

/* --- the suspensions --------------------------------------------------------------------------*/

static void show_account(struct sweep *sweep, const struct below *below, bool suspended)
{
    const struct cli *cli = sweep->cli;
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    if (cli->json) {
        json_begin(&json, &out);
        json_text(&json, "account", below->account);
        json_text(&json, "available", below->available);
        json_text(&json, "floor", below->floor);
        json_text(&json, "version", below->version);
        json_bool(&json, "suspended", suspended);
        json_end(&json);
    } else if (!cli->quiet) {
        progress_end(&sweep->progress);
        buffer_printf(&out, "%s: available %s, floor %s, version %s: %s\n", below->account,
                      below->available, below->floor, below->version,
                      suspended ? "suspended" : "not suspended");
    }
    if (out.len > 0) {
        cli_print(&out);
    }
}

static void send_suspend(struct sweep *sweep, const struct below *below)
{
    char key[2 * ACCOUNT_ID_MAX];
    const char *argv[] = {"SUSPEND", below->account, "KEY", key, "IFBELOW"};
    size_t lengths[5];

    snprintf(key, sizeof key, "sweep:%s:%s", below->account, below->version);
    for (size_t i = 0; i < 5; i++) {
        lengths[i] = strlen(argv[i]);
    }
    client_append(&sweep->client, 5, argv, lengths);
}

static bool was_changed(const redisReply *reply)
{
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        if (strcmp(reply->element[i]->str, "changed") == 0) {
            return reply->element[i + 1]->integer == 1;
        }
    }
    return false;
}

/* One reply; the sweep goes on while this is CLI_DONE. */
static enum cli_exit take_reply(struct sweep *sweep, const struct below *below)
{
    const struct cli *cli = sweep->cli;
    int64_t deadline_us =
        clock_boot_us() + cli->config->limits.request_timeout_ms * 1000 + SWEEP_PATIENCE_US;
    redisReply *reply = NULL;
    enum cli_exit status = CLI_DONE;

    if (client_next(&sweep->client, deadline_us, &reply) != CLIENT_REPLY) {
        return cli_fail(cli, CLI_UNREACHABLE, "no answer from ballastd %s: run the sweep again",
                        sweep->client.error);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        char code[32];
        snprintf(code, sizeof code, "%.*s", (int)strcspn(reply->str, " "), reply->str);
        status = cli_fail_code(cli, cli_reply_exit(reply->str), code, reply->str);
    } else {
        bool changed = was_changed(reply);
        sweep->suspended += changed;
        show_account(sweep, below, changed);
    }
    freeReplyObject(reply);
    return status;
}

static enum cli_exit suspend_page(struct sweep *sweep)
{
    enum cli_exit status = CLI_DONE;

    for (size_t at = 0; at < sweep->page_count && status == CLI_DONE;) {
        size_t end = at + SWEEP_CHUNK < sweep->page_count ? at + SWEEP_CHUNK : sweep->page_count;

        for (size_t i = at; i < end; i++) {
            send_suspend(sweep, &sweep->page[i]);
        }
        for (; at < end && status == CLI_DONE; at++) {
            status = take_reply(sweep, &sweep->page[at]);
        }
    }
    return status;
}

/* --- the whole --------------------------------------------------------------------------------*/

static enum cli_exit sweep_all(struct sweep *sweep, struct job *job)
{
    const struct sweep_words *words = sweep->cli->options;
    enum cli_exit status = CLI_DONE;

    do {
        const char *const params[] = {sweep->last, SWEEP_PAGE};
        enum job_result end = job_go_on(job);

        if (end == JOB_OK) {
            end = job_query(job, sql_sweep_page, params, 2, true, take_page, sweep);
        }
        if (end != JOB_OK) {
            return cli_job_fail(sweep->cli, job, end);
        }
        sweep->below += sweep->page_count;
        if (!words->dry_run) {
            status = suspend_page(sweep);
        } else {
            for (size_t i = 0; i < sweep->page_count; i++) {
                show_account(sweep, &sweep->page[i], false);
            }
        }
        progress_update(&sweep->progress, sweep->accounts, -1, clock_boot_us());
    } while (sweep->more && status == CLI_DONE);
    return status;
}

static void show_summary(const struct sweep *sweep, enum cli_exit status)
{
    const struct cli *cli = sweep->cli;
    const struct sweep_words *words = cli->options;
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    if (cli->json) {
        json_begin(&json, &out);
        json_int(&json, "accounts", (int64_t)sweep->accounts);
        json_int(&json, "below", (int64_t)sweep->below);
        json_int(&json, "suspended", (int64_t)sweep->suspended);
        json_bool(&json, "dry_run", words->dry_run);
        json_bool(&json, "whole", status == CLI_DONE);
        json_end(&json);
    } else if (!cli->quiet) {
        buffer_printf(
            &out,
            "%" PRIu64 " accounts, %" PRIu64 " below their floor, %" PRIu64 " suspended%s%s\n",
            sweep->accounts, sweep->below, sweep->suspended, words->dry_run ? " (dry run)" : "",
            status == CLI_DONE ? "" : "; stopped: run it again to go on");
    }
    if (out.len > 0) {
        cli_print(&out);
    }
}

static enum cli_exit run_sweep(struct cli *cli)
{
    const struct sweep_words *words = cli->options;
    struct sweep sweep = {.cli = cli};
    char address[ADDRESS_TEXT_ROOM];
    enum cli_exit status = CLI_DONE;

    client_init(&sweep.client, cli->config);
    if (!words->dry_run && !client_connect(&sweep.client, clock_boot_us() + SWEEP_PATIENCE_US)) {
        return cli_fail(cli, sweep.client.refused ? CLI_CONFIG : CLI_UNREACHABLE,
                        "ballastd at %s: %s", client_address(cli->config, address),
                        sweep.client.error);
    }
    struct job *job = cli_job_open(cli, "sweep", JOB_STORE_WHOLE, &status);
    if (job != NULL) {
        sweep.page = calloc(SWEEP_PAGE_MAX, sizeof *sweep.page);
        if (sweep.page == NULL) {
            abort();
        }
        progress_start(&sweep.progress, cli->quiet || cli->json, "sweep", "accounts",
                       clock_boot_us());
        status = sweep_all(&sweep, job);
        progress_end(&sweep.progress);
        show_summary(&sweep, status);
        free(sweep.page);
        job_free(job);
    }
    client_close(&sweep.client);
    return status;
}

const struct cli_command cli_sweep[] = {
    {.name = "sweep",
     .synopsis = "[--dry-run]",
     .options = table,
     .option_count = sizeof table / sizeof table[0],
     .options_size = sizeof(struct sweep_words),
     .run = run_sweep,
     .summary = "Suspends accounts that the store shows below their floor",
     .details =
         "Each is decided by the store once more, through the daemon, under the fuse of\n"
         "suspensions: a blown fuse ends the sweep (exit 1). Safe to interrupt and to repeat.\n"},
    {.name = NULL},
};
