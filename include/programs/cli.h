/*
 * programs/cli.h: what the subcommands of `ballast` share: exit codes, the global options, where
 * results and complaints go.
 *
 * Results go to standard output, as lines for people or, with --json, as an object a line; what is
 * wrong goes to standard error as "ballast: ...", and with --json also to standard output as an
 * object with "error". --quiet leaves the results of jobs and progress out, not complaints.
 */
#ifndef BALLAST_PROGRAMS_CLI_H
#define BALLAST_PROGRAMS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/config.h"
#include "ops/arguments.h"
#include "ops/job.h"
#include "ops/json.h"

/* sysexits(3) where it has a name for it. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_DIFFERENCES = 2,
    CLI_USAGE = 64,
    CLI_UNREACHABLE = 69,
    CLI_LATER = 75,
    CLI_CONFIG = 78,
};

struct cli {
    /* global options */
    const char *config_path; /* NULL: the usual place, or the defaults */
    bool json, quiet, help, version;

    struct config *config;   /* with config_error: the defaults */
    char config_error[1024]; /* why the file cannot be used; "": it can */
    const struct cli_command *command;
    struct argument_words words; /* of the subcommand, without its name */
    void *options;               /* the subcommand's own, as its table filled them */
};

/* A row of the table of subcommands. */
struct cli_command {
    const char *name;
    const char *synopsis;     /* behind the name */
    const char *summary;      /* one line, in the list */
    const char *details;      /* paragraphs for its --help, or NULL */
    int words_min, words_max; /* words_max -1: any number */
    const struct argument *options;
    size_t option_count;
    size_t options_size;   /* of the struct that they fill */
    const void *defaults;  /* the struct's content before; NULL: zeroes */
    bool takes_bad_config; /* looks at cli->config_error itself */
    enum cli_exit (*run)(struct cli *cli);
};

/* Every file of subcommands has one list, ended by a row without a name. */
extern const struct cli_command cli_requests[]; /* cli_request.c: passed on to the daemon */
extern const struct cli_command cli_look[];     /* cli_look.c: explain, status, era */
extern const struct cli_command cli_jobs[];     /* cli_jobs.c: migrate, rebuild */
extern const struct cli_command cli_switch[];   /* cli_switch.c: cache, accept-timeline */
extern const struct cli_command cli_doctor[];
extern const struct cli_command cli_top[];
extern const struct cli_command cli_decisions[]; /* cli_decisions.c: fuse, incidents */
extern const struct cli_command cli_sweep[];
extern const struct cli_command cli_reconcile[];
extern const struct cli_command cli_import[];

/* Complains; returns status: `return cli_fail(cli, CLI_FAILED, "...")`. code is the machine's word
 * for it in --json; cli_fail uses the exit code's name. */
enum cli_exit cli_fail(const struct cli *cli, enum cli_exit status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
enum cli_exit cli_fail_code(const struct cli *cli, enum cli_exit status, const char *code,
                            const char *text);
/* A remark that is no result: to standard error, not with --quiet. */
void cli_note(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Whether standard output is a terminal whose user has nothing against colour (NO_COLOR). */
bool cli_is_coloured(void);

/* Writes the text to standard output and empties the buffer. */
void cli_print(struct buffer *text);
/* Why not all of the output could be written (a full disk, a pipe that nobody reads), or NULL. */
const char *cli_output_lost(void);

/* Who runs this, for the record: "user@host". */
#define CLI_OPERATOR_ROOM 128
const char *cli_operator(char out[CLI_OPERATOR_ROOM]);

/* The exit code for an error of the daemon: the word that it begins with. */
enum cli_exit cli_reply_exit(const char *error);

/* The exit code for how a job ended. */
enum cli_exit cli_job_exit(enum job_result result);
/* Complains about job->error; returns the exit code. */
enum cli_exit cli_job_fail(const struct cli *cli, const struct job *job, enum job_result result);

/* A job that is connected to the store, or NULL after a complaint with *status set. */
struct job *cli_job_open(const struct cli *cli, const char *name, enum job_store store,
                         enum cli_exit *status) MUST_CHECK;

#endif
