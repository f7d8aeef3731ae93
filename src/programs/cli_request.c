/*
 * Subcommands that are commands of the protocol: the words go to the daemon as they are, and the
 * reply is shown, map by map. One table; what a command means is the daemon's business alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "programs/cli.h"
#include "programs/client.h"

#define REQUEST_SLACK_US (INT64_C(2) * 1000 * 1000) /* beyond the daemon's own deadline */
#define TABLE_COLUMNS_MAX 16

/* --- errors -----------------------------------------------------------------------------------*/

static const struct {
    const char *code;
    enum cli_exit status;
} error_exits[] = {
    {"ERR", CLI_USAGE},     {"UNAVAILABLE", CLI_UNREACHABLE},
    {"UNKNOWN", CLI_LATER}, {"BUSY", CLI_LATER},
    {"STALE", CLI_LATER},   {"NOAUTH", CLI_CONFIG},
    {"NOPERM", CLI_CONFIG}, {"WRONGPASS", CLI_CONFIG},
};

enum cli_exit cli_reply_exit(const char *error)
{
    size_t len = strcspn(error, " ");

    for (size_t i = 0; i < sizeof error_exits / sizeof error_exits[0]; i++) {
        if (strlen(error_exits[i].code) == len && memcmp(error_exits[i].code, error, len) == 0) {
            return error_exits[i].status;
        }
    }
    return CLI_FAILED;
}

static enum cli_exit fail_reply(const struct cli *cli, const char *text)
{
    char code[32];

    snprintf(code, sizeof code, "%.*s", (int)strcspn(text, " "), text);
    return cli_fail_code(cli, cli_reply_exit(text), code, text);
}

/* --- showing ----------------------------------------------------------------------------------*/

static const char *value_text(const redisReply *value, char room[32])
{
    switch (value->type) {
    case REDIS_REPLY_INTEGER:
        snprintf(room, 32, "%lld", value->integer);
        return room;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return value->str;
    default:
        return "-";
    }
}

static void map_to_json(const redisReply *map, struct buffer *out)
{
    struct json json;

    json_begin(&json, out);
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        const redisReply *value = map->element[i + 1];
        const char *name = map->element[i]->str;
        if (value->type == REDIS_REPLY_INTEGER) {
            json_int(&json, name, value->integer);
        } else if (value->type == REDIS_REPLY_STRING || value->type == REDIS_REPLY_STATUS) {
            json_text_n(&json, name, value->str, value->len);
        } else {
            json_raw(&json, name, NULL);
        }
    }
    json_end(&json);
}

static void map_to_lines(const redisReply *map, struct buffer *out)
{
    char room[32];

    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        buffer_printf(out, "%-14s %s\n", map->element[i]->str,
                      value_text(map->element[i + 1], room));
    }
}

/* Maps with the same fields as a table, numbers to the right. */
static void maps_to_table(redisReply *const *maps, size_t count, struct buffer *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    char room[32];

    if (count == 0) {
        return;
    }
    size_t columns = maps[0]->elements / 2;
    columns = columns < TABLE_COLUMNS_MAX ? columns : TABLE_COLUMNS_MAX;
    for (size_t c = 0; c < columns; c++) {
        widths[c] = strlen(maps[0]->element[2 * c]->str);
        for (size_t i = 0; i < count; i++) {
            size_t width = strlen(value_text(maps[i]->element[2 * c + 1], room));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t row = 0; row <= count; row++) {
        for (size_t c = 0; c < columns; c++) {
            const char *text = row == 0 ? maps[0]->element[2 * c]->str
                                        : value_text(maps[row - 1]->element[2 * c + 1], room);
            buffer_printf(out, "%s%-*s", c > 0 ? "  " : "", c + 1 < columns ? (int)widths[c] : 0,
                          text);
        }
        buffer_append_byte(out, '\n');
    }
}

static bool is_list(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY &&
           (reply->elements == 0 || reply->element[0]->type == REDIS_REPLY_ARRAY);
}

static void count_to_json(const char *name, size_t count, struct buffer *out)
{
    struct json json;

    json_begin(&json, out);
    json_int(&json, name, (int64_t)count);
    json_end(&json);
}

static void show(const struct cli *cli, const redisReply *reply, struct buffer *out)
{
    if (!is_list(reply)) {
        if (cli->json) {
            map_to_json(reply, out);
        } else {
            map_to_lines(reply, out);
        }
        return;
    }
    if (!cli->json) {
        maps_to_table(reply->element, reply->elements, out);
        return;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        map_to_json(reply->element[i], out);
    }
    count_to_json("count", reply->elements, out);
}

/* --- asking -----------------------------------------------------------------------------------*/

static bool connect_client(const struct cli *cli, struct client *client, enum cli_exit *status)
{
    char address[ADDRESS_TEXT_ROOM];
    int64_t deadline_us = clock_boot_us() + REQUEST_SLACK_US;

    client_init(client, cli->config);
    if (client_connect(client, deadline_us)) {
        return true;
    }
    *status = cli_fail(cli, client->refused ? CLI_CONFIG : CLI_UNREACHABLE, "ballastd at %s: %s",
                       client_address(cli->config, address), client->error);
    return false;
}

/* NULL after a complaint, with *status set. The reply is no error. */
static redisReply *next_reply(const struct cli *cli, struct client *client, enum cli_exit *status)
{
    int64_t deadline_us =
        clock_boot_us() + cli->config->limits.request_timeout_ms * 1000 + REQUEST_SLACK_US;
    redisReply *reply = NULL;

    switch (client_next(client, deadline_us, &reply)) {
    case CLIENT_REPLY:
        break;
    case CLIENT_TIMEOUT:
        *status = cli_fail(cli, CLI_UNREACHABLE,
                           "no answer from ballastd: a mutation may have been done; repeat it with "
                           "the same key");
        return NULL;
    case CLIENT_LOST:
        *status = cli_fail(cli, CLI_UNREACHABLE,
                           "the connection to ballastd was lost (%s): a mutation may have been "
                           "done; repeat it with the same key",
                           client->error);
        return NULL;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        *status = fail_reply(cli, reply->str);
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

static void append_words(struct client *client, const char *name, const char *const *words,
                         int count)
{
    const char **argv = calloc((size_t)count + 1, sizeof *argv);
    size_t *lengths = calloc((size_t)count + 1, sizeof *lengths);

    if (argv == NULL || lengths == NULL) {
        abort();
    }
    argv[0] = name;
    lengths[0] = strlen(name);
    for (int i = 0; i < count; i++) {
        argv[i + 1] = words[i];
        lengths[i + 1] = strlen(words[i]);
    }
    client_append(client, count + 1, argv, lengths);
    free(argv);
    free(lengths);
}

static enum cli_exit run_request(struct cli *cli)
{
    enum cli_exit status = CLI_DONE;
    struct buffer out = BUFFER_EMPTY;
    struct client client;

    if (!connect_client(cli, &client, &status)) {
        return status;
    }
    append_words(&client, cli->command->name, cli->words.items, cli->words.count);
    redisReply *reply = next_reply(cli, &client, &status);
    if (reply != NULL && reply->type == REDIS_REPLY_NIL) {
        status = cli_fail_code(cli, CLI_FAILED, "NOACCOUNT", "no such account");
    } else if (reply != NULL && !cli->quiet) {
        show(cli, reply, &out);
        cli_print(&out);
    }
    freeReplyObject(reply);
    client_close(&client);
    return status;
}

/* --- canspend ---------------------------------------------------------------------------------*/

static void show_canspend(const struct cli *cli, const redisReply *reply, struct buffer *out)
{
    static const char *const names[] = {"answer", "reason", "available", "version", "source"};
    const size_t count = sizeof names / sizeof names[0];
    struct json json;
    char room[32];

    if (cli->json) {
        json_begin(&json, out);
    }
    for (size_t i = 0; i < count && i < reply->elements; i++) {
        const redisReply *value = reply->element[i];
        if (!cli->json) {
            buffer_printf(out, "%-14s %s\n", names[i], value_text(value, room));
        } else if (value->type == REDIS_REPLY_STRING) {
            json_text_n(&json, names[i], value->str, value->len);
        } else {
            json_raw(&json, names[i], NULL);
        }
    }
    if (cli->json) {
        json_end(&json);
    }
}

static enum cli_exit run_canspend(struct cli *cli)
{
    enum cli_exit status = CLI_DONE;
    struct buffer out = BUFFER_EMPTY;
    struct client client;

    if (!connect_client(cli, &client, &status)) {
        return status;
    }
    append_words(&client, cli->command->name, cli->words.items, cli->words.count);
    redisReply *reply = next_reply(cli, &client, &status);
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
        const char *answer = reply->element[0]->str;
        status = strcmp(answer, "ALLOW") == 0  ? CLI_DONE
                 : strcmp(answer, "DENY") == 0 ? CLI_FAILED
                                               : CLI_LATER;
        show_canspend(cli, reply, &out);
        cli_print(&out);
    }
    freeReplyObject(reply);
    client_close(&client);
    return status;
}

/* --- get --------------------------------------------------------------------------------------*/

static const char *field(const redisReply *map, const char *name, char room[32])
{
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        if (strcmp(map->element[i]->str, name) == 0) {
            return value_text(map->element[i + 1], room);
        }
    }
    return "-";
}

static void show_balance(const struct cli *cli, const redisReply *map, struct buffer *out)
{
    char room[6][32];

    if (cli->json) {
        map_to_json(map, out);
        return;
    }
    buffer_printf(out, "%s %s %s", field(map, "account", room[0]), field(map, "balance", room[1]),
                  field(map, "asset", room[2]));
    if (strcmp(field(map, "version", room[0]), "-") != 0) {
        buffer_printf(out, "  available %s  floor %s  %s  version %s  from %s%s",
                      field(map, "available", room[0]), field(map, "floor", room[1]),
                      field(map, "status", room[2]), field(map, "version", room[3]),
                      field(map, "source", room[4]),
                      strcmp(field(map, "stale", room[5]), "1") == 0 ? "  STALE" : "");
    }
    buffer_append_byte(out, '\n');
}

static void show_unknown(const struct cli *cli, const char *account, struct buffer *out)
{
    struct json json;

    if (!cli->json) {
        fprintf(stderr, "ballast get: %s: no such account\n", account);
        return;
    }
    json_begin(&json, out);
    json_text(&json, "account", account);
    json_raw(&json, "balance", NULL);
    json_end(&json);
}

static void show_get(const struct cli *cli, const char *account, const redisReply *reply,
                     size_t *unknown, struct buffer *out)
{
    if (reply->type == REDIS_REPLY_NIL) {
        show_unknown(cli, account, out);
        (*unknown)++;
    } else if (is_list(reply)) {
        for (size_t i = 0; i < reply->elements; i++) {
            show_balance(cli, reply->element[i], out);
        }
    } else {
        show_balance(cli, reply, out);
    }
}

static enum cli_exit run_get(struct cli *cli)
{
    enum cli_exit status = CLI_DONE;
    struct buffer out = BUFFER_EMPTY;
    size_t unknown = 0;
    struct client client;

    if (!connect_client(cli, &client, &status)) {
        return status;
    }
    for (int i = 0; i < cli->words.count; i++) {
        append_words(&client, "BALANCE", &cli->words.items[i], 1);
    }
    for (int i = 0; i < cli->words.count && status == CLI_DONE; i++) {
        redisReply *reply = next_reply(cli, &client, &status);
        if (reply != NULL) {
            show_get(cli, cli->words.items[i], reply, &unknown, &out);
            freeReplyObject(reply);
        }
    }
    client_close(&client);
    if (cli->json && status == CLI_DONE) {
        struct json json;
        json_begin(&json, &out);
        json_int(&json, "count", cli->words.count);
        json_int(&json, "unknown", (int64_t)unknown);
        json_end(&json);
    }
    if (out.len > 0) {
        cli_print(&out);
    }
    return status == CLI_DONE && unknown > 0 ? CLI_FAILED : status;
}

/* --- the table --------------------------------------------------------------------------------*/

static const char amounts[] =
    "Amounts are integers of the asset's minor units. The key makes it safe to repeat: the same\n"
    "words with the same key are done once. An error says whether anything was applied.\n";

#define REQUEST(request, words, min, max, what)                                                    \
    {                                                                                              \
        .name = (request), .synopsis = (words), .words_min = (min), .words_max = (max),            \
        .summary = (what), .details = amounts, .run = run_request                                  \
    }

const struct cli_command cli_requests[] = {
    {.name = "get",
     .synopsis = "ACCOUNT...",
     .words_min = 1,
     .words_max = -1,
     .summary = "Shows balances, read through the daemon",
     .run = run_get,
     .details = "Exit 1 where the store says that one of the accounts does not exist.\n"},
    {.name = "history",
     .synopsis = "ACCOUNT [BEFORE version] [COUNT n]",
     .words_min = 1,
     .words_max = 5,
     .summary = "Shows the movements of an account, newest first",
     .run = run_request},
    {.name = "balanceat",
     .synopsis = "ACCOUNT TIME",
     .words_min = 2,
     .words_max = 2,
     .summary = "Shows the balance at a time, from the journal",
     .run = run_request,
     .details = "TIME is as in RFC 3339: 2013-07-18T01:02:03Z\n"},
    REQUEST("open", "ACCOUNT ASSET [FLOOR n]", 2, 4, "Opens an account"),
    REQUEST("credit", "ACCOUNT AMOUNT KEY key [FROM @system] [MEMO text]", 4, 8,
            "Credits an account"),
    REQUEST("debit", "ACCOUNT AMOUNT KEY key [TO @system] [MEMO text]", 4, 8, "Debits an account"),
    REQUEST("transfer", "FROM TO AMOUNT KEY key [MEMO text]", 5, 7,
            "Moves an amount from one account to another"),
    REQUEST("mtransfer", "KEY key FROM TO AMOUNT [FROM TO AMOUNT...]", 5, -1,
            "Moves up to 100 amounts, all or none"),
    REQUEST("reverse", "TRANSFER KEY key [AMOUNT n]", 3, 5,
            "Gives back a transfer, in part or whole"),
    REQUEST("hold", "ACCOUNT AMOUNT KEY key [TTL seconds]", 4, 6,
            "Sets an amount aside for a while (a week)"),
    REQUEST("capture", "HOLD [AMOUNT] KEY key [TO @system]", 3, 6,
            "Moves what a hold holds, or less; the rest is free again"),
    REQUEST("release", "HOLD KEY key", 3, 3, "Ends a hold: what it held is free again"),
    {.name = "canspend",
     .synopsis = "ACCOUNT AMOUNT",
     .words_min = 2,
     .words_max = 2,
     .summary = "Whether an account may spend an amount",
     .run = run_canspend,
     .details = "ALLOW (exit 0), DENY (exit 1), which only the store says and which is recorded, "
                "or UNKNOWN\n(exit 75): the store cannot be asked; decide nothing against the "
                "account.\n"},
    {.name = "charge",
     .synopsis = "begin ACCOUNT AMOUNT KEY key [THRESHOLD n] | settle CHARGE "
                 "succeeded|failed|unknown KEY key | list [ACCOUNT]",
     .words_min = 1,
     .words_max = 7,
     .summary = "Begins, settles and lists charges of cards",
     .run = run_request,
     .details = "A charge is begun before anyone calls the processor, if the account is below the\n"
                "threshold (0) and has no other one open, and settled once the processor has\n"
                "answered; succeeded credits the account, once.\n"},
    REQUEST("suspend", "ACCOUNT KEY key [IFBELOW]", 3, 4,
            "Lets an account take credits and no debits"),
    REQUEST("resume", "ACCOUNT KEY key", 3, 3, "Ends the suspension of an account"),
    REQUEST("setfloor", "ACCOUNT N KEY key", 4, 4, "Sets the lowest available balance"),
    REQUEST("close", "ACCOUNT KEY key", 3, 3, "Closes an empty account for good"),
    {.name = NULL},
};
