/* What the subcommands share. See the header. */
#include "programs/cli.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *exit_name(enum cli_exit status)
{
    switch (status) {
    case CLI_DONE:
        return "done";
    case CLI_FAILED:
        return "failed";
    case CLI_DIFFERENCES:
        return "differences";
    case CLI_USAGE:
        return "usage";
    case CLI_UNREACHABLE:
        return "unreachable";
    case CLI_LATER:
        return "later";
    case CLI_CONFIG:
        return "configuration";
    }
    abort();
}

enum cli_exit cli_fail_code(const struct cli *cli, enum cli_exit status, const char *code,
                            const char *text)
{
    fflush(stdout);
    fprintf(stderr, "ballast%s%s: %s\n", cli->command != NULL ? " " : "",
            cli->command != NULL ? cli->command->name : "", text);
    if (cli->json) {
        struct buffer out = BUFFER_EMPTY;
        struct json json;
        json_begin(&json, &out);
        json_text(&json, "error", code);
        json_text(&json, "text", text);
        json_end(&json);
        cli_print(&out);
    }
    return status;
}

enum cli_exit cli_fail(const struct cli *cli, enum cli_exit status, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return cli_fail_code(cli, status, exit_name(status), text);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
    va_list args;

    if (cli->quiet) {
        return;
    }
    va_start(args, fmt);
    fprintf(stderr, "ballast %s: ", cli->command->name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

bool cli_is_coloured(void)
{
    const char *no_color = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');
}

/* Of the first write to standard output that failed and whose reason is known. */
static int output_errno;

void cli_print(struct buffer *text)
{
    bool written = text->len == 0 || /* an empty buffer has no data */
                   (fwrite(text->data, 1, text->len, stdout) == text->len && fflush(stdout) == 0);

    if (!written && output_errno == 0) {
        output_errno = errno;
    }
    buffer_free(text);
}

const char *cli_output_lost(void)
{
    if (output_errno == 0 && fflush(stdout) != 0) {
        output_errno = errno;
    }
    if (output_errno != 0) {
        return strerror(output_errno);
    }
    return ferror(stdout) ? "write error" : NULL;
}

enum cli_exit cli_job_exit(enum job_result result)
{
    switch (result) {
    case JOB_OK:
        return CLI_DONE;
    case JOB_UNREACHABLE:
        return CLI_UNREACHABLE;
    case JOB_OPERATOR:
        return CLI_CONFIG;
    case JOB_LATER:
        return CLI_LATER;
    case JOB_FAILED:
    case JOB_INTERRUPTED:
        return CLI_FAILED;
    }
    abort();
}

enum cli_exit cli_job_fail(const struct cli *cli, const struct job *job, enum job_result result)
{
    return cli_fail(cli, cli_job_exit(result), "%s", job->error);
}

struct job *cli_job_open(const struct cli *cli, const char *name, enum job_store store,
                         enum cli_exit *status)
{
    char err[JOB_ERROR_ROOM];
    struct job *job = job_create(cli->config, name, store, err);

    if (job == NULL) {
        *status = cli_fail(cli, CLI_CONFIG, "%s", err);
        return NULL;
    }
    enum job_result result = job_connect_store(job);
    if (result != JOB_OK) {
        *status = cli_job_fail(cli, job, result);
        job_free(job);
        return NULL;
    }
    return job;
}

const char *cli_operator(char out[CLI_OPERATOR_ROOM])
{
    const struct passwd *user = getpwuid(getuid());
    char host[64] = "";

    gethostname(host, sizeof host - 1);
    snprintf(out, CLI_OPERATOR_ROOM, "%.40s@%s", user != NULL ? user->pw_name : "?", host);
    return out;
}
