/* INFO CONFIG LATENCY SLOWLOG TIME: the daemon as a whole. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "server/command_args.h"
#include "server/handlers.h"
#include "server/reply.h"
#include "server/server.h"
#include "server/session_state.h"
#include "server/slowlog.h"

void command_time(struct call *call)
{
    int64_t now_ms = clock_wall_ms();
    struct resp_writer *out = call_writer(call);

    resp_array(out, 2);
    resp_bulk_int64(out, now_ms / 1000);
    resp_bulk_int64(out, now_ms % 1000 * 1000);
}

void command_info(struct call *call)
{
    struct server *server = call->session->worker->server;
    struct buffer text = BUFFER_EMPTY;
    char section[32];

    if (call->count == 1) {
        server_info_text(server, "default", &text);
    }
    for (size_t i = 1; i < call->count; i++) {
        const struct resp_slice *word = &call->args[i];
        if (word->len < sizeof section) { /* no section has a longer name */
            memcpy(section, word->data, word->len);
            section[word->len] = '\0';
            server_info_text(server, section, &text);
        }
    }
    resp_verbatim(call_writer(call), text.len > 0 ? text.data : "", text.len);
    buffer_free(&text);
}

/* --- CONFIG -----------------------------------------------------------------------------------*/

/* Settings of Redis that clients and redis-benchmark ask for, and what they mean here. */
static const struct {
    const char *name;
    const char *value;
} foreign_settings[] = {
    {"appendonly", "no"}, /* nothing is kept here: the store keeps everything */
    {"databases", "1"},
    {"maxmemory", "0"},
    {"save", ""},
};

#define FOREIGN_COUNT (sizeof foreign_settings / sizeof foreign_settings[0])

static bool is_asked(const struct call *call, const char *name)
{
    for (size_t i = 2; i < call->count; i++) {
        if (glob_match(call->args[i].data, call->args[i].len, name, strlen(name), true)) {
            return true;
        }
    }
    return false;
}

static void write_setting(struct resp_writer *out, const struct config *config, size_t index)
{
    size_t len = config_value_text(config, index, NULL, 0);
    char *text = malloc(len + 1);

    resp_bulk_text(out, config_option_at(index)->name);
    assert(text != NULL);
    config_value_text(config, index, text, len + 1);
    resp_bulk(out, text, len);
    free(text);
}

void command_config_get(struct call *call)
{
    const struct config *config = call->session->worker->config;
    struct resp_writer *out = call_writer(call);
    size_t count = 0;

    for (size_t i = 0; i < config_option_count(); i++) {
        count += is_asked(call, config_option_at(i)->name) ? 1 : 0;
    }
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        count += is_asked(call, foreign_settings[i].name) ? 1 : 0;
    }
    resp_map(out, count);
    for (size_t i = 0; i < config_option_count(); i++) {
        if (is_asked(call, config_option_at(i)->name)) {
            write_setting(out, config, i);
        }
    }
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        if (is_asked(call, foreign_settings[i].name)) {
            resp_bulk_text(out, foreign_settings[i].name);
            resp_bulk_text(out, foreign_settings[i].value);
        }
    }
}

void command_config_set(struct call *call)
{
    const char *path = call->session->worker->config->path;

    call_error(call, "ERR",
               "settings are not changed from here, and none was: edit %s and send SIGHUP to "
               "ballastd",
               path[0] != '\0' ? path : "the configuration file");
}

static void reset_stats(struct worker *worker, const void *data)
{
    (void)data;
    command_stats_reset(worker->group->stats);
}

void command_config_resetstat(struct call *call)
{
    struct server *server = call->session->worker->server;

    for (int i = 0; i < server_worker_count(server); i++) {
        if (!worker_post(server_worker(server, i), reset_stats, "", 0)) {
            call_error(call, "BUSY", "a worker takes no task now; try again after a while");
            return;
        }
    }
    call_ok(call);
}

/* --- LATENCY ----------------------------------------------------------------------------------*/

static void write_latency(struct resp_writer *out, const char *name, const struct histogram *sum)
{
    uint64_t count = histogram_count(sum);
    size_t edges = 0;
    uint64_t below = 0;

    /* Cumulative, as Redis shows it, and only where something was added. */
    for (int bit = 0; bit <= HISTOGRAM_MAX_BITS && below < count; bit++) {
        uint64_t up_to = histogram_count_up_to(sum, INT64_C(1) << bit);
        edges += up_to > below ? 1 : 0;
        below = up_to;
    }
    resp_bulk_text(out, name);
    resp_map(out, 2);
    resp_bulk_text(out, "calls");
    resp_int(out, (int64_t)count);
    resp_bulk_text(out, "histogram_usec");
    resp_map(out, edges);
    below = 0;
    for (int bit = 0; bit <= HISTOGRAM_MAX_BITS && below < count; bit++) {
        uint64_t up_to = histogram_count_up_to(sum, INT64_C(1) << bit);
        if (up_to > below) {
            resp_int(out, INT64_C(1) << bit);
            resp_int(out, (int64_t)up_to);
        }
        below = up_to;
    }
}

static bool is_latency_asked(const struct call *call, const char *name)
{
    for (size_t i = 2; i < call->count; i++) {
        const struct resp_slice *word = &call->args[i];
        if (glob_match(word->data, word->len, name, strlen(name), true)) {
            return true;
        }
    }
    return call->count == 2;
}

void command_latency_histogram(struct call *call)
{
    struct histogram *sums = calloc(command_count(), sizeof *sums);
    struct command_total total;
    size_t shown = 0;

    if (sums == NULL) {
        call_error(call, "BUSY", "out of memory; try again after a while");
        return;
    }
    for (size_t i = 0; i < command_count(); i++) {
        if (is_latency_asked(call, command_at(i)->name)) {
            command_stats_sum((int)i, &total, &sums[i]);
            shown += histogram_count(&sums[i]) > 0 ? 1 : 0;
        }
    }
    resp_map(call_writer(call), shown);
    for (size_t i = 0; i < command_count(); i++) {
        if (histogram_count(&sums[i]) > 0) {
            write_latency(call_writer(call), command_at(i)->name, &sums[i]);
        }
    }
    free(sums);
}

/* --- SLOWLOG ----------------------------------------------------------------------------------*/

void command_slowlog_len(struct call *call)
{
    resp_int(call_writer(call), (int64_t)slowlog_count());
}

void command_slowlog_reset(struct call *call)
{
    slowlog_reset();
    call_ok(call);
}

void command_slowlog_get(struct call *call)
{
    int64_t wanted = 10;

    if (call->count > 3) {
        call_error(call, "ERR", "syntax error");
        return;
    }
    if (call->count == 3 &&
        (decimal_parse_int64(call->args[2].data, call->args[2].len, &wanted) != DECIMAL_OK ||
         wanted < -1)) {
        call_error(call, "ERR", "count should be greater than or equal to -1");
        return;
    }
    size_t room =
        wanted < 0 || wanted > LIMIT_SLOWLOG_ENTRIES ? LIMIT_SLOWLOG_ENTRIES : (size_t)wanted;
    struct slowlog_entry *entries = calloc(room + 1, sizeof *entries);
    if (entries == NULL) {
        call_error(call, "BUSY", "out of memory; try again after a while");
        return;
    }
    struct resp_writer *out = call_writer(call);
    size_t count = slowlog_copy(entries, room);
    resp_array(out, count);
    for (size_t i = 0; i < count; i++) {
        const struct slowlog_entry *entry = &entries[i];
        resp_array(out, 6);
        resp_int(out, (int64_t)entry->id);
        resp_int(out, entry->wall_s);
        resp_int(out, entry->took_us);
        resp_array(out, (size_t)entry->arg_count);
        for (int word = 0; word < entry->arg_count; word++) {
            resp_bulk_text(out, entry->args[word]);
        }
        resp_bulk_text(out, entry->address);
        resp_bulk_text(out, entry->name);
    }
    free(entries);
}
