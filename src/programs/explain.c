/*
 * ballast explain: one account as store, cache and daemon see it, side by side. Each of the three
 * may be away; the others are shown all the same.
 */
#include "programs/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "gen/sql.h"
#include "ops/chunk.h"
#include "ops/compare.h"
#include "programs/client.h"

#define EXPLAIN_PATIENCE_US (INT64_C(3) * 1000 * 1000)

struct explain {
    struct cli *cli;
    struct job *job;
    struct account_id id;
    bool system;

    char store_error[JOB_ERROR_ROOM]; /* "": it answered */
    uint64_t era;                     /* id of the row */
    char era_state[16], stamp[CACHE_STAMP_MAX];
    char *row, *changes; /* JSON; row NULL: no such account */
    struct account_state state;

    char cache_error[JOB_ERROR_ROOM];
    bool raw_answered, raw_present;
    char raw[512];
    char cache_stamp[CACHE_STAMP_MAX];
    struct cache_value value;

    char daemon_error[CLIENT_ERROR_ROOM];
    struct buffer daemon; /* the reply, as JSON */
    struct buffer daemon_text;
};

/* --- the store --------------------------------------------------------------------------------*/

static void take_rows(void *arg, const struct store_rows *rows)
{
    struct explain *e = arg;
    const char *id = rows->value(rows, 0, 0), *row = rows->value(rows, 0, 2);

    if (decimal_parse_uint64(id, strlen(id), &e->era) != DECIMAL_OK) {
        e->era = 0;
    }
    snprintf(e->era_state, sizeof e->era_state, "%s", rows->value(rows, 0, 1));
    free(e->row);
    free(e->changes);
    e->row = row != NULL ? strdup(row) : NULL;
    e->changes = strdup(rows->value(rows, 0, 3));
}

static void take_stamp(void *arg, const struct store_rows *rows)
{
    struct explain *e = arg;

    snprintf(e->stamp, sizeof e->stamp, "%s:%s", rows->value(rows, 0, 0), rows->value(rows, 0, 1));
}

static enum job_result ask_store(struct explain *e)
{
    char id[ACCOUNT_ID_MAX + 1];
    const char *params[1] = {id};

    snprintf(id, sizeof id, "%.*s", (int)e->id.len, e->id.bytes);
    enum job_result end = job_connect_store(e->job);
    if (end == JOB_OK) {
        end = job_query(e->job, sql_explain_account, params, 1, true, take_rows, e);
    }
    if (end == JOB_OK) {
        end = job_query(e->job, sql_era_read, NULL, 0, true, take_stamp, e);
    }
    if (end != JOB_OK) {
        snprintf(e->store_error, sizeof e->store_error, "%s", e->job->error);
    }
    return end;
}

/* --- the cache --------------------------------------------------------------------------------*/

static void take_raw(void *arg, enum cache_status status, bool present, const char *bytes,
                     size_t len)
{
    struct explain *e = arg;

    e->raw_answered = true;
    e->raw_present = status == CACHE_OK && present;
    snprintf(e->raw, sizeof e->raw, "%.*s", e->raw_present ? (int)len : 0, bytes);
}

static bool has_raw(void *arg)
{
    return ((struct explain *)arg)->raw_answered;
}

/* Without the store there is no key for the checksum: the bytes are shown, and not judged. */
static void ask_cache(struct explain *e, bool store_answered)
{
    enum job_result end = job_open_cache(e->job);

    if (end == JOB_OK) {
        cache_raw(e->job->cache, &e->id, take_raw, e);
        job_finish(e->job, has_raw, e);
    }
    if (end == JOB_OK && store_answered) {
        struct chunk *chunk = chunk_create(e->job, NULL);
        chunk_add(chunk, &e->id, NULL);
        end = chunk_take(chunk, chunk_look);
        e->value = chunk->looks[0].value;
        memcpy(e->cache_stamp, chunk->stamp, sizeof e->cache_stamp);
        if (end == JOB_OK && chunk_take(chunk, chunk_read) == JOB_OK) {
            e->state = chunk->rows[0];
        }
        chunk_free(chunk);
    }
    if (end != JOB_OK) {
        snprintf(e->cache_error, sizeof e->cache_error, "%s", e->job->error);
    }
}

/* --- the daemon -------------------------------------------------------------------------------*/

static void take_map(struct explain *e, const redisReply *map)
{
    struct json json = {&e->daemon};

    json_begin(&json, &e->daemon);
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        const redisReply *value = map->element[i + 1];
        if (value->type == REDIS_REPLY_INTEGER) {
            json_int(&json, map->element[i]->str, value->integer);
            buffer_printf(&e->daemon_text, " %s %lld", map->element[i]->str, value->integer);
        } else if (value->type == REDIS_REPLY_STRING || value->type == REDIS_REPLY_STATUS) {
            json_text_n(&json, map->element[i]->str, value->str, value->len);
            buffer_printf(&e->daemon_text, " %s %s", map->element[i]->str, value->str);
        }
    }
    buffer_append_byte(&e->daemon, '}');
}

static void ask_daemon(struct explain *e)
{
    char id[ACCOUNT_ID_MAX + 1];
    const char *words[2] = {"BALANCE", id};

    snprintf(id, sizeof id, "%.*s", (int)e->id.len, e->id.bytes);
    redisReply *reply = client_ask(e->cli->config, 2, words, e->daemon_error);
    if (reply == NULL) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        snprintf(e->daemon_error, sizeof e->daemon_error, "%s", reply->str);
    } else if (reply->type == REDIS_REPLY_NIL) {
        buffer_append_text(&e->daemon, "null");
        buffer_append_text(&e->daemon_text, " no such account");
    } else if (reply->elements == 0 || reply->element[0]->type == REDIS_REPLY_ARRAY) {
        buffer_append_byte(&e->daemon, '[');
        for (size_t i = 0; i < reply->elements; i++) {
            buffer_append_text(&e->daemon, i > 0 ? "," : "");
            take_map(e, reply->element[i]);
        }
        buffer_append_byte(&e->daemon, ']');
    } else {
        take_map(e, reply);
    }
    freeReplyObject(reply);
}

/* --- the verdict ------------------------------------------------------------------------------*/

/* What a reader is told, and why. */
static void verdict(const struct explain *e, char out[512])
{
    const struct cache_value *value = &e->value;

    if (e->store_error[0] != '\0') {
        snprintf(out, 512, "the last cached value, marked stale: the store cannot be asked");
    } else if (e->system) {
        snprintf(out, 512, "from the store: a system account is never cached");
    } else if (e->cache_error[0] != '\0') {
        snprintf(out, 512, "from the store: the cache cannot be used");
    } else if (strcmp(e->era_state, "open") != 0) {
        snprintf(out, 512, "from the store: era %" PRIu64 " is %s", e->era, e->era_state);
    } else if (strcmp(e->stamp, e->cache_stamp) != 0) {
        snprintf(out, 512, "from the store: Redis bears the stamp '%s', the era's is '%s'",
                 e->cache_stamp, e->stamp);
    } else if (value->kind == CACHE_ABSENT) {
        snprintf(out, 512, "from the store, and cached then: there is no key");
    } else if (value->kind == CACHE_TOKEN) {
        snprintf(out, 512, "from the store: somebody is filling the key");
    } else if (value->kind == CACHE_POISON) {
        snprintf(out, 512, "from the store: the bytes are no value of this account");
    } else if (value->era != e->era) {
        snprintf(out, 512, "from the store: the value is of era %" PRIu64 ", now is %" PRIu64,
                 value->era, e->era);
    } else if (value->kind == CACHE_NEGATIVE) {
        snprintf(out, 512, "no such account: the store said so in this era");
    } else {
        snprintf(out, 512, "from the cache, version %" PRIu64, value->state.version);
    }
}

/* Whether the cached value, if it can be shown, is the row. */
static bool agrees(const struct explain *e)
{
    uint64_t era =
        strcmp(e->era_state, "open") == 0 && strcmp(e->stamp, e->cache_stamp) == 0 ? e->era : 0;

    return !compare_differs(&e->state, &e->value, era, &e->state);
}

static void show_json(const struct explain *e, const char *reader, struct buffer *out)
{
    static const char *const kinds[] = {"absent", "value", "negative", "token", "poison"};
    bool judged = e->store_error[0] == '\0' && e->cache_error[0] == '\0';
    struct json json;

    json_begin(&json, out);
    json_text_n(&json, "account", e->id.bytes, e->id.len);
    json_text(&json, "reader", reader);
    if (e->store_error[0] != '\0') {
        json_text(&json, "store_error", e->store_error);
    } else {
        json_raw(&json, "store", e->row);
        json_int(&json, "era", (int64_t)e->era);
        json_text(&json, "era_state", e->era_state);
        json_text(&json, "stamp", e->stamp);
        json_raw(&json, "changes", e->changes);
    }
    if (e->cache_error[0] != '\0') {
        json_text(&json, "cache_error", e->cache_error);
    } else if (!e->system) {
        json_text(&json, "cache_raw", e->raw_present ? e->raw : NULL);
    }
    if (judged && !e->system) {
        json_text(&json, "cache_stamp", e->cache_stamp);
        json_text(&json, "cache", kinds[e->value.kind]);
        json_bool(&json, "agrees", agrees(e));
    }
    if (e->daemon_error[0] != '\0') {
        json_text(&json, "daemon_error", e->daemon_error);
    } else {
        json_raw(&json, "daemon", e->daemon.data);
    }
    json_end(&json);
}

/* One element of a JSON array of objects a line. */
static void show_changes(const char *changes, struct buffer *out)
{
    int depth = 0;
    bool quoted = false, escaped = false;

    for (const char *at = changes; *at != '\0'; at++) {
        quoted ^= *at == '"' && !escaped;
        escaped = *at == '\\' && !escaped;
        depth += !quoted && *at == '{' ? 1 : 0;
        if (depth == 1 && !quoted && *at == '{') {
            buffer_append_text(out, "  ");
        }
        if (depth > 0) {
            buffer_append_byte(out, *at);
        }
        if (!quoted && *at == '}' && --depth == 0) {
            buffer_append_byte(out, '\n');
        }
    }
}

static void show_lines(const struct explain *e, const char *reader, struct buffer *out)
{
    char text[COMPARE_TEXT_ROOM];

    buffer_printf(out, "account  %.*s\nreader   %s\n", (int)e->id.len, e->id.bytes, reader);
    if (e->store_error[0] != '\0') {
        buffer_printf(out, "store    %s\n", e->store_error);
    } else {
        buffer_printf(out, "store    %s\nera      %" PRIu64 " %s, stamp %s\n",
                      e->row != NULL ? e->row
                      : e->system    ? "a sum of the journal: no row"
                                     : "no such account",
                      e->era, e->era_state, e->stamp);
    }
    if (e->cache_error[0] != '\0') {
        buffer_printf(out, "cache    %s\n", e->cache_error);
    } else if (!e->system) {
        buffer_printf(out, "cache    %s\n", e->raw_present ? e->raw : "no key");
    }
    if (e->cache_error[0] == '\0' && e->store_error[0] == '\0' && !e->system) {
        buffer_printf(out, "         %s; %s\n", compare_value_text(text, &e->value),
                      agrees(e) ? "no difference to the store" : "NOT what the store says");
    }
    if (e->daemon_error[0] != '\0') {
        buffer_printf(out, "daemon   %s\n", e->daemon_error);
    } else {
        buffer_printf(out, "daemon  %.*s\n", (int)e->daemon_text.len, e->daemon_text.data);
    }
    if (e->changes != NULL && !e->system) {
        buffer_append_text(out, "changes, the newest first:\n");
        show_changes(e->changes, out);
    }
}

enum cli_exit explain_run(struct cli *cli)
{
    struct explain e = {.cli = cli};
    struct buffer out = BUFFER_EMPTY;
    const char *word = cli->words.items[0];
    char err[JOB_ERROR_ROOM], reader[512];

    if (!account_id_parse(&e.id, word, strlen(word))) {
        return cli_fail(cli, CLI_USAGE, "'%s' is no account id", word);
    }
    e.system = account_id_is_system(&e.id);
    e.job = job_create(cli->config, "explain", JOB_STORE_WHOLE, err);
    if (e.job == NULL) {
        return cli_fail(cli, CLI_CONFIG, "%s", err);
    }
    e.job->patience_us = EXPLAIN_PATIENCE_US;
    enum job_result stored = ask_store(&e);
    if (!e.system) {
        ask_cache(&e, stored == JOB_OK);
    }
    ask_daemon(&e);
    buffer_append_byte(&e.daemon, '\0');

    verdict(&e, reader);
    if (cli->json) {
        show_json(&e, reader, &out);
    } else {
        show_lines(&e, reader, &out);
    }
    cli_print(&out);
    job_free(e.job);
    free(e.row);
    free(e.changes);
    buffer_free(&e.daemon);
    buffer_free(&e.daemon_text);
    if (stored != JOB_OK) {
        return cli_job_exit(stored);
    }
    return e.cache_error[0] != '\0' || e.daemon_error[0] != '\0' ? CLI_UNREACHABLE : CLI_DONE;
}
