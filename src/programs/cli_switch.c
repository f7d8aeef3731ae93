/* Subcommands that an operator decides with: cache off|on, accept-timeline. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "gen/sql.h"
#include "programs/cli.h"

#define DRAIN_WAIT_US 3000000 /* a daemon needs W (about a second) where another one is silent */
#define DRAIN_POLL_US 20000

/* Who did it, for the record in the era row. */
static void note_of(char *out, size_t size, const char *what)
{
    char by[CLI_OPERATOR_ROOM];

    snprintf(out, size, "%s by %s", what, cli_operator(by));
}

/* --- cache off|on -----------------------------------------------------------------------------*/

struct seen_era {
    char id[24];
    char state[16];
};

/* The first columns of the era's statements: id, nonce, state. */
static void take_state(void *arg, const struct store_rows *rows)
{
    struct seen_era *seen = arg;

    if (rows->rows > 0) {
        snprintf(seen->id, sizeof seen->id, "%s", rows->value(rows, 0, 0));
        snprintf(seen->state, sizeof seen->state, "%s", rows->value(rows, 0, 2));
    }
}

static enum job_result await_drained(struct job *job, struct seen_era *seen)
{
    int64_t deadline = clock_boot_us() + DRAIN_WAIT_US;
    enum job_result end = JOB_OK;

    while (end == JOB_OK && strcmp(seen->state, "drained") != 0 && clock_boot_us() < deadline) {
        if (job_pause(job, DRAIN_POLL_US) == JOB_SIGNAL) {
            break;
        }
        end = job_query(job, sql_era_read, NULL, 0, true, take_state, seen);
    }
    return end;
}

static void print_switched(const struct cli *cli, bool off, const struct seen_era *seen)
{
    struct buffer out = BUFFER_EMPTY;
    bool drained = strcmp(seen->state, "drained") == 0;

    if (cli->json) {
        struct json json;

        json_begin(&json, &out);
        json_text(&json, "cache", off ? "off" : "on");
        json_text(&json, "era", seen->id);
        json_text(&json, "state", seen->state);
        json_end(&json);
    } else if (!off) {
        buffer_printf(&out, "the cache is on: an era opens when all daemons agree on one Redis\n");
    } else if (drained) {
        buffer_printf(&out, "the cache is off: every answer comes from PostgreSQL, until "
                            "`ballast cache on`\n");
    } else {
        buffer_printf(&out,
                      "the cache is off; era %s is still closing: no daemon is there to end "
                      "it, or one is silent\n",
                      seen->id);
    }
    cli_print(&out);
}

static enum cli_exit run_cache(struct cli *cli)
{
    bool off = strcmp(cli->words.items[0], "off") == 0;
    char note[160];
    const char *const params[2] = {off ? "true" : "false", note};
    struct seen_era seen = {"", ""};
    enum cli_exit status = CLI_DONE;

    if (!off && strcmp(cli->words.items[0], "on") != 0) {
        return cli_fail(cli, CLI_USAGE, "cache off, or cache on");
    }
    note_of(note, sizeof note, off ? "cache off" : "cache on");
    struct job *job = cli_job_open(cli, "cache", JOB_STORE_WHOLE, &status);
    if (job == NULL) {
        return status;
    }
    enum job_result end = job_query(job, sql_cache_switch, params, 2, true, take_state, &seen);
    if (end == JOB_OK && off) {
        end = await_drained(job, &seen);
    }
    if (end == JOB_OK) {
        print_switched(cli, off, &seen);
    } else {
        status = cli_job_fail(cli, job, end);
    }
    job_free(job);
    return status;
}

/* --- accept-timeline --------------------------------------------------------------------------*/

/* Columns of sql_timeline. */
enum { AT_PRESENT, AT_ACCEPTED, AT_SETTLED, AT_NEWEST, AT_NEWEST_AT, AT_ACCEPTED_NOW };

struct timeline {
    char present[16], accepted[16], newest[24], newest_at[40];
    bool settled, accepted_now;
};

static void take_timeline(void *arg, const struct store_rows *rows)
{
    struct timeline *t = arg;
    const char *newest = rows->value(rows, 0, AT_NEWEST), *at = rows->value(rows, 0, AT_NEWEST_AT);

    snprintf(t->present, sizeof t->present, "%s", rows->value(rows, 0, AT_PRESENT));
    snprintf(t->accepted, sizeof t->accepted, "%s", rows->value(rows, 0, AT_ACCEPTED));
    snprintf(t->newest, sizeof t->newest, "%s", newest != NULL ? newest : "none");
    snprintf(t->newest_at, sizeof t->newest_at, "%s", at != NULL ? at : "-");
    t->settled = strcmp(rows->value(rows, 0, AT_SETTLED), t->present) == 0;
    t->accepted_now = rows->value(rows, 0, AT_ACCEPTED_NOW)[0] == 't';
}

static void print_timeline(const struct cli *cli, const struct timeline *t)
{
    struct buffer out = BUFFER_EMPTY;

    if (cli->json) {
        struct json json;

        json_begin(&json, &out);
        json_text(&json, "timeline", t->present);
        json_text(&json, "accepted", t->accepted);
        json_bool(&json, "settled", t->settled);
        json_text(&json, "newest_transfer", t->newest);
        json_text(&json, "newest_at", t->newest_at);
        json_end(&json);
    } else {
        buffer_printf(&out,
                      "PostgreSQL writes on timeline %s; accepted is %s\n"
                      "the newest transfer that it knows: %s, of %s\n"
                      "what was acknowledged after that is not in these books: clients that repeat "
                      "their keys post it again\n",
                      t->present, t->accepted[0] != '\0' ? t->accepted : "none", t->newest,
                      t->newest_at);
        if (!t->settled) {
            buffer_printf(&out, "an era of the cache is still closing: posting begins when a "
                                "daemon has ended it\n");
        }
    }
    cli_print(&out);
}

/* At a terminal the operator is asked; a script has decided. */
static bool operator_agrees(void)
{
    char answer[16] = "";

    if (!isatty(STDIN_FILENO)) {
        return true;
    }
    fputs("let posting go on? (yes/no) ", stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static enum cli_exit run_accept(struct cli *cli)
{
    char note[160];
    const char *const params[1] = {note};
    struct timeline timeline = {.settled = false};
    enum cli_exit status = CLI_DONE;

    note_of(note, sizeof note, "timeline accepted");
    struct job *job = cli_job_open(cli, "accept-timeline", JOB_STORE_WHOLE, &status);
    if (job == NULL) {
        return status;
    }
    enum job_result end = job_query(job, sql_timeline, NULL, 0, true, take_timeline, &timeline);
    if (end == JOB_OK) {
        print_timeline(cli, &timeline);
    }
    if (end == JOB_OK && strcmp(timeline.present, timeline.accepted) == 0) {
        cli_note(cli, "this timeline is accepted already");
    } else if (end == JOB_OK && !operator_agrees()) {
        status = cli_fail(cli, CLI_FAILED, "nothing was changed");
    } else if (end == JOB_OK) {
        end = job_query(job, sql_accept_timeline, params, 1, true, NULL, NULL);
        if (end == JOB_OK) {
            cli_note(cli, "accepted: posting goes on");
        }
    }
    if (end != JOB_OK) {
        status = cli_job_fail(cli, job, end);
    }
    job_free(job);
    return status;
}

const struct cli_command cli_switch[] = {
    {.name = "cache",
     .synopsis = "off|on",
     .words_min = 1,
     .words_max = 1,
     .summary = "Closes the era and keeps it closed, until on",
     .run = run_cache,
     .details = "With the cache off every answer comes from PostgreSQL. Who did it stands in the\n"
                "era row; `ballast era` shows it.\n"},
    {.name = "accept-timeline",
     .synopsis = "",
     .words_min = 0,
     .words_max = 0,
     .summary = "Lets posting go on after a failover of PostgreSQL",
     .run = run_accept,
     .details = "Prints what the new primary knows. At a terminal it asks before it accepts.\n"},
    {.name = NULL},
};
