/* Subcommands about what was decided against customers: fuse, incidents. */
#include <stdio.h>
#include <string.h>

#include "gen/sql.h"
#include "programs/cli.h"
#include "server/command_args.h"

#define INCIDENTS_PAGE "1000"

/* A column of a result that is shown: its name in --json, and whether it is a number there. */
struct shown_column {
    const char *name;
    bool is_number;
};

static void row_to_json(const struct store_rows *rows, size_t row,
                        const struct shown_column *columns, struct buffer *out)
{
    struct json json;

    json_begin(&json, out);
    for (size_t i = 0; i < rows->columns; i++) {
        const char *value = rows->value(rows, row, i);
        if (value == NULL || columns[i].is_number) {
            json_raw(&json, columns[i].name, value);
        } else {
            json_text(&json, columns[i].name, value);
        }
    }
    json_end(&json);
}

static const char *cell(const struct store_rows *rows, size_t row, size_t column)
{
    const char *value = rows->value(rows, row, column);

    return value != NULL ? value : "-";
}

/* --- fuse -------------------------------------------------------------------------------------*/

struct fuse_words {
    const char *reason;
};

static const struct argument fuse_table[] = {
    {"reason", 0, ARGUMENT_TEXT, offsetof(struct fuse_words, reason), "TEXT",
     "why it is reset, for the record", 0, 0},
};

/* sql/fuse_list.sql */
static const struct shown_column fuse_columns[] = {
    {"fuse", false},    {"state", false},   {"counted", true}, {"allowed", true},
    {"window_s", true}, {"changed", false}, {"note", false},
};

struct fuse_view {
    const struct cli *cli;
    size_t count, blown;
};

static void show_fuses(void *arg, const struct store_rows *rows)
{
    struct fuse_view *view = arg;
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    view->count = rows->rows;
    view->blown = 0;
    for (size_t row = 0; row < rows->rows; row++) {
        view->blown += strcmp(cell(rows, row, 1), "blown") == 0;
        if (view->cli->json) {
            row_to_json(rows, row, fuse_columns, &out);
        } else {
            buffer_printf(&out, "%-12s %-6s %s of %s in %s s  since %s  %s\n", cell(rows, row, 0),
                          cell(rows, row, 1), cell(rows, row, 2), cell(rows, row, 3),
                          cell(rows, row, 4), cell(rows, row, 5), cell(rows, row, 6));
        }
    }
    if (view->cli->json) {
        json_begin(&json, &out);
        json_int(&json, "count", (int64_t)view->count);
        json_int(&json, "blown", (int64_t)view->blown);
        json_end(&json);
    }
    cli_print(&out);
}

static void take_bool(void *arg, const struct store_rows *rows)
{
    *(bool *)arg = rows->rows > 0 && cell(rows, 0, 0)[0] == 't';
}

static enum job_result reset_fuse(const struct cli *cli, struct job *job, bool *was_blown)
{
    const struct fuse_words *words = cli->options;
    char by[CLI_OPERATOR_ROOM];
    const char *const params[] = {cli->words.items[1], cli_operator(by), words->reason};

    return job_query(job, sql_fuse_reset, params, 3, true, take_bool, was_blown);
}

static enum cli_exit check_fuse_words(const struct cli *cli)
{
    const struct fuse_words *words = cli->options;
    const char *name = cli->words.count == 2 ? cli->words.items[1] : "";

    if (cli->words.count == 0) {
        return CLI_DONE;
    }
    if (cli->words.count != 2 || strcmp(cli->words.items[0], "reset") != 0) {
        return cli_fail(cli, CLI_USAGE, "fuse, or fuse reset NAME --reason TEXT");
    }
    if (strcmp(name, "charges") != 0 && strcmp(name, "suspensions") != 0) {
        return cli_fail(cli, CLI_USAGE, "no fuse '%s': there are charges and suspensions", name);
    }
    if (words->reason == NULL || words->reason[0] == '\0') {
        return cli_fail(cli, CLI_USAGE, "--reason says why the fuse is reset: it is recorded");
    }
    return CLI_DONE;
}

static enum cli_exit run_fuse(struct cli *cli)
{
    enum cli_exit status = check_fuse_words(cli);
    struct fuse_view view = {.cli = cli};
    enum job_result end = JOB_OK;
    bool was_blown = false;

    if (status != CLI_DONE) {
        return status;
    }
    struct job *job = cli_job_open(cli, "fuse", JOB_STORE_WHOLE, &status);
    if (job == NULL) {
        return status;
    }
    if (cli->words.count > 0) {
        end = reset_fuse(cli, job, &was_blown);
    }
    if (end == JOB_OK) {
        end = job_query(job, sql_fuse_list, NULL, 0, true, show_fuses, &view);
    }
    if (end != JOB_OK) {
        status = cli_job_fail(cli, job, end);
    } else if (cli->words.count > 0) {
        cli_note(cli, was_blown ? "reset: it was blown" : "reset: it was whole");
    }
    job_free(job);
    return status;
}

/* --- incidents --------------------------------------------------------------------------------*/

struct incidents_words {
    const char *since, *until;
};

static const struct argument incidents_table[] = {
    {"since", 0, ARGUMENT_TEXT, offsetof(struct incidents_words, since), "T",
     "from this time on (RFC 3339)", 0, 0},
    {"until", 0, ARGUMENT_TEXT, offsetof(struct incidents_words, until), "T",
     "up to this time (now)", 0, 0},
};

/* sql/incidents.sql */
static const struct shown_column incident_columns[] = {
    {"decision", true}, {"at", false},     {"kind", false},      {"account", false},
    {"amount", false},  {"charge", false}, {"key", false},       {"balance", false},
    {"held", false},    {"floor", false},  {"status", false},    {"version", false},
    {"daemon", false},  {"era", false},    {"era_state", false}, {"health", false},
    {"detail", false},
};

/* sql/incident_totals.sql */
static const struct shown_column total_columns[] = {
    {"total", false}, {"health", false}, {"decisions", true}, {"accounts", true}, {"amount", false},
};

struct incidents_view {
    const struct cli *cli;
    size_t shown, page;
    char last[24];
};

static void show_incident(const struct store_rows *rows, size_t row, struct buffer *out)
{
    buffer_printf(out,
                  "%s %-8s %s amount %s balance %s held %s floor %s version %s charge %s key %s  "
                  "%s  by %s, era %s %s, %s\n",
                  cell(rows, row, 1), cell(rows, row, 2), cell(rows, row, 3), cell(rows, row, 4),
                  cell(rows, row, 7), cell(rows, row, 8), cell(rows, row, 9), cell(rows, row, 11),
                  cell(rows, row, 5), cell(rows, row, 6), cell(rows, row, 16), cell(rows, row, 12),
                  cell(rows, row, 13), cell(rows, row, 14), cell(rows, row, 15));
}

static void show_incidents(void *arg, const struct store_rows *rows)
{
    struct incidents_view *view = arg;
    struct buffer out = BUFFER_EMPTY;

    view->page = rows->rows;
    for (size_t row = 0; row < rows->rows; row++) {
        if (view->cli->json) {
            row_to_json(rows, row, incident_columns, &out);
        } else if (!view->cli->quiet) {
            show_incident(rows, row, &out);
        }
        snprintf(view->last, sizeof view->last, "%s", cell(rows, row, 0));
    }
    view->shown += rows->rows;
    if (out.len > 0) {
        cli_print(&out);
    }
}

static void show_totals(void *arg, const struct store_rows *rows)
{
    struct incidents_view *view = arg;
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    for (size_t row = 0; row < rows->rows; row++) {
        if (view->cli->json) {
            row_to_json(rows, row, total_columns, &out);
        } else {
            buffer_printf(&out, "%-8s with health '%s': %s, of %s accounts, amounts %s\n",
                          cell(rows, row, 0), cell(rows, row, 1), cell(rows, row, 2),
                          cell(rows, row, 3), cell(rows, row, 4));
        }
    }
    if (view->cli->json) {
        json_begin(&json, &out);
        json_int(&json, "count", (int64_t)view->shown);
        json_end(&json);
    } else {
        buffer_printf(&out, "%zu decisions\n", view->shown);
    }
    cli_print(&out);
}

static enum job_result list_incidents(struct job *job, struct incidents_view *view)
{
    const struct incidents_words *words = view->cli->options;
    const char *const params[] = {words->since, words->until, view->last, INCIDENTS_PAGE};
    enum job_result end;

    do {
        end = job_go_on(job);
        if (end == JOB_OK) {
            end = job_query(job, sql_incidents, params, 4, true, show_incidents, view);
        }
    } while (end == JOB_OK && view->page > 0 && cli_output_lost() == NULL);
    return end == JOB_OK ? job_query(job, sql_incident_totals, params, 2, true, show_totals, view)
                         : end;
}

static enum cli_exit run_incidents(struct cli *cli)
{
    const struct incidents_words *words = cli->options;
    struct incidents_view view = {.cli = cli, .last = "0"};
    enum cli_exit status = CLI_DONE;

    if (words->since == NULL) {
        return cli_fail(cli, CLI_USAGE, "--since is needed: a time like 2013-07-18T01:02:03Z");
    }
    if (!time_is_rfc3339(words->since, strlen(words->since)) ||
        (words->until != NULL && !time_is_rfc3339(words->until, strlen(words->until)))) {
        return cli_fail(cli, CLI_USAGE, "a time is as in RFC 3339: 2013-07-18T01:02:03Z");
    }
    struct job *job = cli_job_open(cli, "incidents", JOB_STORE_WHOLE, &status);
    if (job == NULL) {
        return status;
    }
    enum job_result end = list_incidents(job, &view);
    if (end != JOB_OK) {
        status = cli_job_fail(cli, job, end);
    }
    job_free(job);
    return status;
}

/* --- the table --------------------------------------------------------------------------------*/

#define TABLE(table) .options = (table), .option_count = sizeof(table) / sizeof((table)[0])

const struct cli_command cli_decisions[] = {
    {.name = "fuse",
     .synopsis = "[reset NAME --reason TEXT]",
     TABLE(fuse_table),
     .options_size = sizeof(struct fuse_words),
     .words_min = 0,
     .words_max = 2,
     .run = run_fuse,
     .summary = "Shows the fuses of charges and suspensions; resets one",
     .details =
         "A blown fuse refuses what it guards (-FUSE) on every daemon until it is reset; it\n"
         "counts from the reset on. Who reset it and why is recorded among the incidents.\n"},
    {.name = "incidents",
     .synopsis = "--since T [--until T]",
     TABLE(incidents_table),
     .options_size = sizeof(struct incidents_words),
     .run = run_incidents,
     .summary = "Shows what was decided against accounts in a window, and adds it up",
     .details =
         "Every suspension, denial, charge and settlement with the balance, floor and version\n"
         "that the store had read, and every change of a fuse; with the daemon, the era of the\n"
         "cache and the daemon's health as it had told the store with its lease: ok, or its worst\n"
         "part and why.\n"},
    {.name = NULL},
};
