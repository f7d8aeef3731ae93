/* Subcommands that look: status and era. explain has a file of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gen/sql.h"
#include "programs/cli.h"
#include "programs/client.h"
#include "programs/explain.h"

/* --- status -----------------------------------------------------------------------------------*/

/* "name:value" lines of INFO as one object. */
static void info_to_json(const char *text, struct buffer *out)
{
    struct json json;
    char name[96];

    json_begin(&json, out);
    while (*text != '\0') {
        size_t len = strcspn(text, "\r\n");
        const char *colon = memchr(text, ':', len);
        if (text[0] != '#' && colon != NULL && (size_t)(colon - text) < sizeof name) {
            snprintf(name, sizeof name, "%.*s", (int)(colon - text), text);
            json_text_n(&json, name, colon + 1, len - (size_t)(colon + 1 - text));
        }
        text += len;
        text += strspn(text, "\r\n");
    }
    json_end(&json);
}

static void info_to_lines(const char *text, struct buffer *out)
{
    for (; *text != '\0'; text++) {
        if (*text != '\r') {
            buffer_append_byte(out, *text);
        }
    }
}

static enum cli_exit run_status(struct cli *cli)
{
    const char *words[1] = {"INFO"};
    char err[CLIENT_ERROR_ROOM], address[ADDRESS_TEXT_ROOM];
    struct buffer out = BUFFER_EMPTY;

    redisReply *reply = client_ask(cli->config, 1, words, err);
    if (reply == NULL) {
        return cli_fail(cli, CLI_UNREACHABLE, "ballastd at %s: %s",
                        client_address(cli->config, address), err);
    }
    if (reply->type != REDIS_REPLY_STRING) {
        enum cli_exit status = cli_fail(cli, CLI_FAILED, "ballastd: %s", reply->str);
        freeReplyObject(reply);
        return status;
    }
    if (cli->json) {
        info_to_json(reply->str, &out);
    } else {
        info_to_lines(reply->str, &out);
    }
    freeReplyObject(reply);
    cli_print(&out);
    return CLI_DONE;
}

/* --- era --------------------------------------------------------------------------------------*/

/* Columns of sql_lease_list. */
enum {
    ERA_ID,
    ERA_STATE,
    ERA_NONCE,
    ERA_RUN_ID,
    ERA_REPLID,
    ERA_TIMELINE,
    ERA_TIMELINE_NOW,
    ERA_CHANGED,
    LEASE_DAEMON,
    LEASE_RENEWALS,
    LEASE_SEEN,
    LEASE_RUN_ID,
    LEASE_REPLID,
    LEASE_FENCED,
    LEASE_NOTE,
    ERA_SWITCHED_OFF,
    ERA_NOTE,
};

struct era_view {
    const struct cli *cli;
    struct buffer out;
};

static const char *or_dash(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : "-";
}

static void era_to_json(const struct store_rows *rows, size_t leases, struct buffer *out)
{
    struct json json;

    for (size_t i = 0; i < leases; i++) {
        const char *fenced = rows->value(rows, i, LEASE_FENCED);
        json_begin(&json, out);
        json_text(&json, "daemon", rows->value(rows, i, LEASE_DAEMON));
        json_text(&json, "renewals", rows->value(rows, i, LEASE_RENEWALS));
        json_text(&json, "seen", rows->value(rows, i, LEASE_SEEN));
        json_text(&json, "run_id", rows->value(rows, i, LEASE_RUN_ID));
        json_text(&json, "replid", rows->value(rows, i, LEASE_REPLID));
        json_bool(&json, "fenced", fenced != NULL && fenced[0] == 't');
        json_text(&json, "note", rows->value(rows, i, LEASE_NOTE));
        json_end(&json);
    }
    json_begin(&json, out);
    json_text(&json, "era", rows->value(rows, 0, ERA_ID));
    json_text(&json, "state", rows->value(rows, 0, ERA_STATE));
    json_text(&json, "nonce", rows->value(rows, 0, ERA_NONCE));
    json_text(&json, "run_id", rows->value(rows, 0, ERA_RUN_ID));
    json_text(&json, "replid", rows->value(rows, 0, ERA_REPLID));
    json_text(&json, "timeline", rows->value(rows, 0, ERA_TIMELINE));
    json_text(&json, "timeline_now", rows->value(rows, 0, ERA_TIMELINE_NOW));
    json_bool(&json, "switched_off", rows->value(rows, 0, ERA_SWITCHED_OFF)[0] == 't');
    json_text(&json, "note", rows->value(rows, 0, ERA_NOTE));
    json_text(&json, "changed_at", rows->value(rows, 0, ERA_CHANGED));
    json_int(&json, "leases", (int64_t)leases);
    json_end(&json);
}

static const char *era_meaning(const char *state, size_t leases)
{
    if (strcmp(state, "open") == 0) {
        return leases > 0 ? "daemons with a lease answer from the cache"
                          : "nobody holds a lease: a daemon that starts may adopt it";
    }
    if (strcmp(state, "closing") == 0) {
        return "everything is answered from the store until every lease has seen the close";
    }
    return "everything is answered from the store until all daemons agree on one Redis";
}

static void era_to_lines(const struct store_rows *rows, size_t leases, struct buffer *out)
{
    const char *state = rows->value(rows, 0, ERA_STATE);
    const char *now = rows->value(rows, 0, ERA_TIMELINE_NOW);
    const char *timeline = rows->value(rows, 0, ERA_TIMELINE);

    buffer_printf(out, "era %s is %s since %s\n", rows->value(rows, 0, ERA_ID), state,
                  rows->value(rows, 0, ERA_CHANGED));
    buffer_printf(out, "  %s\n", era_meaning(state, leases));
    buffer_printf(out, "  stamp %s:%s\n", rows->value(rows, 0, ERA_ID),
                  rows->value(rows, 0, ERA_NONCE));
    buffer_printf(out, "  redis run_id %s replid %s\n", or_dash(rows->value(rows, 0, ERA_RUN_ID)),
                  or_dash(rows->value(rows, 0, ERA_REPLID)));
    buffer_printf(out, "  timeline %s%s\n", timeline,
                  now == NULL                  ? " (a standby)"
                  : strcmp(now, timeline) != 0 ? ": NOT the present one of PostgreSQL"
                                               : "");
    if (rows->value(rows, 0, ERA_SWITCHED_OFF)[0] == 't') {
        buffer_append_text(out, "  switched off: `ballast cache on` lets an era open again\n");
    }
    if (rows->value(rows, 0, ERA_NOTE) != NULL) {
        buffer_printf(out, "  last decision: %s\n", rows->value(rows, 0, ERA_NOTE));
    }
    for (size_t i = 0; i < leases; i++) {
        const char *fenced = rows->value(rows, i, LEASE_FENCED);
        buffer_printf(out, "lease %s  renewals %s  seen %s  redis %s%s  %s\n",
                      rows->value(rows, i, LEASE_DAEMON), rows->value(rows, i, LEASE_RENEWALS),
                      rows->value(rows, i, LEASE_SEEN), or_dash(rows->value(rows, i, LEASE_RUN_ID)),
                      fenced != NULL && fenced[0] == 't' ? "  FENCED" : "",
                      or_dash(rows->value(rows, i, LEASE_NOTE)));
    }
    if (leases == 0) {
        buffer_append_text(out, "no leases\n");
    }
}

static void take_era(void *arg, const struct store_rows *rows)
{
    struct era_view *view = arg;
    size_t leases = rows->rows;

    if (rows->rows == 0) {
        return;
    }
    if (rows->value(rows, 0, LEASE_DAEMON) == NULL) {
        leases = 0;
    }
    buffer_clear(&view->out); /* the statement may have been repeated */
    if (view->cli->json) {
        era_to_json(rows, leases, &view->out);
    } else {
        era_to_lines(rows, leases, &view->out);
    }
}

static enum cli_exit run_era(struct cli *cli)
{
    struct era_view view = {.cli = cli, .out = BUFFER_EMPTY};
    enum cli_exit status = CLI_DONE;

    struct job *job = cli_job_open(cli, "era", JOB_STORE_WHOLE, &status);
    if (job == NULL) {
        return status;
    }
    enum job_result result = job_query(job, sql_lease_list, NULL, 0, true, take_era, &view);
    if (result == JOB_OK) {
        cli_print(&view.out);
    } else {
        status = cli_job_fail(cli, job, result);
        buffer_free(&view.out);
    }
    job_free(job);
    return status;
}

const struct cli_command cli_look[] = {
    {.name = "explain",
     .synopsis = "ACCOUNT",
     .words_min = 1,
     .words_max = 1,
     .summary = "Shows what store, cache and daemon say of an account, and why",
     .run = explain_run,
     .details = "Store row, cached value, era, the last journal rows, the daemon's answer.\n"},
    {.name = "status",
     .synopsis = "",
     .words_min = 0,
     .words_max = 0,
     .summary = "Shows how the daemon is",
     .run = run_status},
    {.name = "era",
     .synopsis = "",
     .words_min = 0,
     .words_max = 0,
     .summary = "Shows the era of the cache and who holds a lease",
     .run = run_era},
    {.name = NULL},
};
