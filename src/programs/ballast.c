/* ballast: everything that a person or a job runs. See ballast(1). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "programs/cli.h"
#include "server/server.h"

#define DEFAULT_PATH "/etc/ballast/ballast.conf"
#define NAME_COLUMN 16

static const struct cli_command *const lists[] = {
    cli_jobs,   cli_requests,  cli_look,   cli_top,       cli_doctor,
    cli_import, cli_reconcile, cli_switch, cli_decisions, cli_sweep,
};
#define LIST_COUNT (sizeof lists / sizeof lists[0])

static const struct argument global_options[] = {
    {"config", 'c', ARGUMENT_TEXT, offsetof(struct cli, config_path), "FILE",
     "the configuration (" DEFAULT_PATH ", if it exists)", 0, 0},
    {"json", 0, ARGUMENT_FLAG, offsetof(struct cli, json), NULL,
     "one JSON object a line, each with \"schema\": 1", 0, 0},
    {"quiet", 'q', ARGUMENT_FLAG, offsetof(struct cli, quiet), NULL, "only complaints, no progress",
     0, 0},
    {"help", 'h', ARGUMENT_FLAG, offsetof(struct cli, help), NULL,
     "prints this, or the help of the subcommand", 0, 0},
};
#define GLOBAL_OPTION_COUNT (sizeof global_options / sizeof global_options[0])

/* Only before the subcommand. */
static const struct argument program_options[] = {
    {"version", 0, ARGUMENT_FLAG, offsetof(struct cli, version), NULL, "prints the version", 0, 0},
};

static const char exit_codes[] =
    "Exit: 0 done, clean; 1 failed; 2 differences found, or findings; 64 usage; 69 something needed is\n"
    "unreachable; 75 try later; 78 configuration.\n";

static void print_help(FILE *to)
{
    struct buffer out = BUFFER_EMPTY;

    buffer_append_text(&out, "usage: ballast [-c FILE] SUBCOMMAND ...\n\n");
    for (size_t i = 0; i < LIST_COUNT; i++) {
        for (const struct cli_command *c = lists[i]; c->name != NULL; c++) {
            buffer_printf(&out, "  %-*s %s\n", NAME_COLUMN, c->name, c->summary);
        }
    }
    buffer_append_text(&out, "\n");
    arguments_help(global_options, GLOBAL_OPTION_COUNT, &out);
    arguments_help(program_options, 1, &out);
    buffer_printf(&out, "\n`ballast SUBCOMMAND --help` says more.\n%s", exit_codes);
    fwrite(out.data, 1, out.len, to);
    buffer_free(&out);
}

static void print_command_help(const struct cli_command *command)
{
    struct buffer out = BUFFER_EMPTY;

    buffer_printf(&out, "usage: ballast %s%s%s\n\n%s.\n", command->name,
                  command->synopsis[0] != '\0' ? " " : "", command->synopsis, command->summary);
    if (command->details != NULL) {
        buffer_printf(&out, "\n%s", command->details);
    }
    buffer_append_text(&out, "\n");
    arguments_help(command->options, command->option_count, &out);
    arguments_help(global_options, GLOBAL_OPTION_COUNT, &out);
    buffer_printf(&out, "\n%s", exit_codes);
    cli_print(&out);
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < LIST_COUNT; i++) {
        for (const struct cli_command *c = lists[i]; c->name != NULL; c++) {
            if (strcmp(c->name, name) == 0) {
                return c;
            }
        }
    }
    return NULL;
}

static enum cli_exit usage(const struct cli *cli, const char *what)
{
    enum cli_exit status = cli_fail(cli, CLI_USAGE, "%s", what);

    if (cli->command != NULL) {
        fprintf(stderr, "usage: ballast %s %s\n", cli->command->name, cli->command->synopsis);
    } else {
        fputs("`ballast --help` lists the subcommands.\n", stderr);
    }
    return status;
}

/* The subcommand's words and options; words has room for argc. */
static bool read_command_line(struct cli *cli, int argc, char **argv, char err[256])
{
    const struct cli_command *command = cli->command;
    const struct argument_set sets[] = {
        {global_options, GLOBAL_OPTION_COUNT, cli},
        {command->options, command->option_count, cli->options},
    };

    if (!arguments_parse(sets, 2, argc, argv, false, &cli->words, err, 256)) {
        return false;
    }
    if (cli->help) {
        return true;
    }
    if (cli->words.count < command->words_min) {
        snprintf(err, 256, "too few words");
        return false;
    }
    if (command->words_max >= 0 && cli->words.count > command->words_max) {
        snprintf(err, 256, "unexpected word '%.64s'", cli->words.items[command->words_max]);
        return false;
    }
    return true;
}

static enum cli_exit load_config(struct cli *cli)
{
    const char *path = cli->config_path;

    if (path == NULL && access(DEFAULT_PATH, F_OK) == 0) {
        path = DEFAULT_PATH;
    }
    cli->config = config_load(path, cli->config_error, sizeof cli->config_error);
    if (cli->config == NULL && cli->command->takes_bad_config) {
        char err[256];
        cli->config = config_load(NULL, err, sizeof err);
    }
    if (cli->config == NULL) {
        return cli_fail(cli, CLI_CONFIG, "%s", cli->config_error);
    }
    return CLI_DONE;
}

/* argc and argv begin behind the subcommand's name. */
static enum cli_exit run_command(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = cli->command;
    char err[256];

    cli->options = calloc(1, command->options_size + 1);
    if (cli->options == NULL) {
        abort();
    }
    if (command->defaults != NULL) {
        memcpy(cli->options, command->defaults, command->options_size);
    }
    if (!read_command_line(cli, argc, argv, err)) {
        return usage(cli, err);
    }
    if (cli->help) {
        print_command_help(command);
        return CLI_DONE;
    }
    enum cli_exit status = load_config(cli);
    return status == CLI_DONE ? command->run(cli) : status;
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    const struct argument_set sets[] = {
        {global_options, GLOBAL_OPTION_COUNT, &cli},
        {program_options, 1, &cli},
    };
    char err[256];
    enum cli_exit status;

    signal(SIGPIPE, SIG_IGN);
    /* What the links would log, the subcommand says, once. */
    if (log_open("/dev/null", LOG_LEVEL_ERROR) != 0) {
        log_set_level(LOG_LEVEL_ERROR);
    }
    cli.words.items = calloc((size_t)argc + 1, sizeof *cli.words.items);
    if (cli.words.items == NULL) {
        abort();
    }
    if (!arguments_parse(sets, 2, argc - 1, argv + 1, true, &cli.words, err, sizeof err)) {
        status = usage(&cli, err);
    } else if (cli.version) {
        puts("ballast " BALLAST_VERSION);
        status = CLI_DONE;
    } else if (cli.words.count == 0) {
        print_help(cli.help ? stdout : stderr);
        status = cli.help ? CLI_DONE : CLI_USAGE;
    } else {
        int rest = cli.words.count - 1;
        cli.command = find_command(cli.words.items[0]);
        if (cli.command == NULL) {
            snprintf(err, sizeof err, "unknown subcommand '%.64s'", cli.words.items[0]);
            status = usage(&cli, err);
        } else {
            status = run_command(&cli, rest, argv + argc - rest);
        }
    }
    const char *lost = cli_output_lost();
    if (lost != NULL) {
        status = status != CLI_DONE ? status : CLI_FAILED;
        cli_fail(&cli, status, "cannot write the output: %s", lost);
    }
    log_close();
    config_free(cli.config);
    free(cli.options);
    free(cli.words.items);
    return (int)status;
}
