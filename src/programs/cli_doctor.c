/* `ballast doctor`: the table of checks for people, and a line a check for programs. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ops/doctor.h"
#include "programs/cli.h"

#define NAME_COLUMN 28
#define RESULTS 4

struct table {
    const struct cli *cli;
    struct buffer out;
    bool colour;
    int counts[RESULTS]; /* by enum doctor_result */
};

static const char *paint(const struct table *table, enum doctor_result result)
{
    static const char *const colours[RESULTS] = {"\033[32m", "\033[33m", "\033[1;31m", "\033[2m"};

    return table->colour ? colours[result] : "";
}

static void show_line(struct table *table, const char *check, const struct doctor_finding *finding)
{
    if (finding->result == DOCTOR_SKIPPED || (table->cli->quiet && finding->result == DOCTOR_OK)) {
        return;
    }
    buffer_printf(&table->out, "%s%-5s%s %-*s %s\n", paint(table, finding->result),
                  doctor_result_name(finding->result), table->colour ? "\033[0m" : "", NAME_COLUMN,
                  check, finding->evidence);
    if (finding->next[0] != '\0') {
        buffer_printf(&table->out, "%5s %*s next: %s\n", "", NAME_COLUMN, "", finding->next);
    }
}

static void show_json(struct table *table, const char *check, const struct doctor_finding *finding)
{
    struct json json;

    if (finding->result == DOCTOR_SKIPPED) {
        return;
    }
    json_begin(&json, &table->out);
    json_text(&json, "check", check);
    json_text(&json, "result", doctor_result_name(finding->result));
    json_text(&json, "evidence", finding->evidence);
    json_text(&json, "next", finding->next);
    json_end(&json);
}

static void show(void *arg, const char *check, const struct doctor_finding *finding)
{
    struct table *table = arg;

    table->counts[finding->result]++;
    if (table->cli->json) {
        show_json(table, check, finding);
    } else {
        show_line(table, check, finding);
    }
}

static void show_summary(struct table *table, int64_t took_us)
{
    const int *counts = table->counts;
    enum doctor_result worst = counts[DOCTOR_FAIL] > 0   ? DOCTOR_FAIL
                               : counts[DOCTOR_WARN] > 0 ? DOCTOR_WARN
                                                         : DOCTOR_OK;

    if (table->cli->json) {
        struct json json;
        json_begin(&json, &table->out);
        json_text(&json, "summary", doctor_result_name(worst));
        json_int(&json, "ok", counts[DOCTOR_OK]);
        json_int(&json, "warn", counts[DOCTOR_WARN]);
        json_int(&json, "fail", counts[DOCTOR_FAIL]);
        json_int(&json, "skipped", counts[DOCTOR_SKIPPED]);
        json_int(&json, "took_ms", took_us / 1000);
        json_end(&json);
    } else if (!table->cli->quiet) {
        buffer_printf(&table->out,
                      "%s%s%s: %d ok, %d warn, %d fail; %d could not be looked at (%.2f s)\n",
                      paint(table, worst), doctor_result_name(worst),
                      table->colour ? "\033[0m" : "", counts[DOCTOR_OK], counts[DOCTOR_WARN],
                      counts[DOCTOR_FAIL], counts[DOCTOR_SKIPPED], (double)took_us / 1e6);
    }
}

static enum cli_exit run_doctor(struct cli *cli)
{
    struct table table = {
        .cli = cli,
        .out = BUFFER_EMPTY,
        .colour = cli_is_coloured(),
    };
    const struct doctor_options options = {
        .config = cli->config,
        .config_error = cli->config_error[0] != '\0' ? cli->config_error : NULL,
    };
    int64_t start_us = clock_boot_us();

    struct doctor *doctor = doctor_run(&options);
    doctor_each(doctor, show, &table);
    show_summary(&table, clock_boot_us() - start_us);
    doctor_free(doctor);
    cli_print(&table.out);
    return table.counts[DOCTOR_FAIL] > 0 ? CLI_DIFFERENCES : CLI_DONE;
}

const struct cli_command cli_doctor[] = {
    {.name = "doctor",
     .synopsis = "",
     .words_min = 0,
     .words_max = 0,
     .takes_bad_config = true,
     .summary = "Checks Redis, PostgreSQL, the daemon, the configuration and this machine",
     .run = run_doctor,
     .details =
         "A line a check: ok, warn or fail, what was found, and the next command to type. Asks\n"
         "for at most two seconds, changes nothing, and needs no daemon. Exit 2 with a fail;\n"
         "--quiet leaves out what is ok.\n"},
    {.name = NULL},
};
