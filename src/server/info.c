/*
 * INFO: the state of the daemon as text, in sections of `key:value` lines like Redis', so that
 * what reads Redis' INFO can read this. The sections are rows of a table.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/clients.h"
#include "server/command.h"
#include "server/command_stats.h"
#include "server/server.h"

struct info {
    struct server *server;
    struct metrics *sum; /* of all workers */
    struct buffer *out;
};

static void line(const struct info *info, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void line(const struct info *info, const char *key, const char *fmt, ...)
{
    char value[STORE_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(value, sizeof value, fmt, args) < 0) {
        value[0] = '\0';
    }
    va_end(args);
    buffer_printf(info->out, "%s:%s\r\n", key, value);
}

static void line_count(const struct info *info, const char *key, uint64_t value)
{
    line(info, key, "%llu", (unsigned long long)value);
}

/* --- sections ---------------------------------------------------------------------------------*/

static void show_server(const struct info *info)
{
    int64_t up_s = (clock_boot_us() - server_started_boot_us(info->server)) / 1000000;

    line(info, "ballast_version", "%s", BALLAST_VERSION);
    /* Clients read it to learn which commands of a connection they may use. */
    line(info, "redis_version", "7.0.0");
    line(info, "redis_mode", "standalone");
    line(info, "process_id", "%d", (int)getpid());
    line(info, "workers", "%d", server_worker_count(info->server));
    line(info, "uptime_in_seconds", "%lld", (long long)up_s);
    line(info, "uptime_in_days", "%lld", (long long)(up_s / 86400));
}

static void show_clients(const struct info *info)
{
    line_count(info, "connected_clients", clients_count());
    line_count(info, "requests_in_flight", (uint64_t)metrics_gauge(&info->sum->requests_in_flight));
    line_count(info, "output_buffer_bytes", (uint64_t)metrics_gauge(&info->sum->output_bytes));
}

static void show_memory(const struct info *info)
{
    struct rusage usage = {0};
    unsigned long long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (statm != NULL) {
        if (fscanf(statm, "%*u %llu", &pages) != 1) {
            pages = 0;
        }
        fclose(statm);
    }
    getrusage(RUSAGE_SELF, &usage);
    line_count(info, "used_memory_rss", pages * (unsigned long long)sysconf(_SC_PAGESIZE));
    line_count(info, "used_memory_peak", (uint64_t)usage.ru_maxrss * 1024);
}

/* What clients look for before they use a connection. */
static void show_persistence(const struct info *info)
{
    line(info, "loading", "0");
}

static void show_replication(const struct info *info)
{
    line(info, "role", "master");
    line(info, "connected_slaves", "0");
}

static void show_stats(const struct info *info)
{
    const struct metrics *sum = info->sum;

    line_count(info, "total_connections_received", metrics_counter(&sum->connections_accepted));
    line_count(info, "rejected_connections", metrics_counter(&sum->connections_refused));
    line_count(info, "total_commands_processed",
               metrics_counter(&sum->commands_read) + metrics_counter(&sum->commands_mutation) +
                   metrics_counter(&sum->commands_other));
    line_count(info, "total_error_replies", metrics_counter(&sum->command_errors));
    line_count(info, "total_net_input_bytes", metrics_counter(&sum->bytes_received));
    line_count(info, "total_net_output_bytes", metrics_counter(&sum->bytes_sent));
    line_count(info, "keyspace_hits", metrics_counter(&sum->cache_hits));
    line_count(info, "keyspace_misses", metrics_counter(&sum->cache_misses));
}

/* Where answers came from, and what would have told in time of a cache that lies. */
static void show_answers(const struct info *info)
{
    const struct metrics *sum = info->sum;
    uint64_t cache = metrics_counter(&sum->cache_hits) + metrics_counter(&sum->cache_negatives);
    uint64_t store = metrics_counter(&sum->store_answers);
    uint64_t stale = metrics_counter(&sum->stale_answers), all = cache + store + stale;

    line_count(info, "answers_from_cache", cache);
    line_count(info, "answers_from_store", store);
    line_count(info, "answers_stale", stale);
    line(info, "answers_from_store_percent", "%.1f",
         all > 0 ? (double)store * 100 / (double)all : 0.0);
    line_count(info, "values_poisoned", metrics_counter(&sum->cache_poisoned));
    line_count(info, "publishes_failed",
               metrics_counter(&sum->publishes_failed) + metrics_counter(&sum->publishes_refused));
    line_count(info, "outcomes_unknown", metrics_counter(&sum->mutations_unknown));
    line_count(info, "commits_in_doubt", metrics_counter(&sum->commits_in_doubt));
}

static void show_health(const struct info *info)
{
    struct health health;
    int64_t now_us = clock_boot_us();
    char key[64];

    server_health(info->server, &health);
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        const struct health_item *item = &health.parts[part];
        const char *name = health_part_name(part);
        snprintf(key, sizeof key, "health_%s", name);
        line(info, key, "%s", health_state_name(item->state));
        snprintf(key, sizeof key, "health_%s_since_ms", name);
        line(info, key, "%lld", (long long)((now_us - item->since_us) / 1000));
        if (item->state != HEALTH_OK) {
            snprintf(key, sizeof key, "health_%s_cause", name);
            line(info, key, "%s", item->cause);
            snprintf(key, sizeof key, "health_%s_action", name);
            line(info, key, "%s", item->action);
        }
    }
}

static void show_store(const struct info *info)
{
    struct engine_status sum;

    server_engines(info->server, &sum);
    line(info, "store_writes", "%s", sum.writer_up ? "up" : "down");
    line(info, "store_reads", "%s", sum.reader_up ? "up" : "down");
    line(info, "store_why", "%s", sum.store_why);
    line(info, "store_refusal", "%s", sum.refusal);
    line_count(info, "mutations_queued", sum.writes_queued);
    line_count(info, "mutations_in_flight", sum.writes_in_flight);
    line_count(info, "mutations_in_doubt", sum.writes_in_doubt);
    line(info, "oldest_doubt_ms", "%lld", (long long)(sum.oldest_doubt_us / 1000));
    line_count(info, "reads_waiting", sum.reads_waiting);
}

static void show_cache(const struct info *info)
{
    struct engine_status sum;

    server_engines(info->server, &sum);
    line(info, "cache", "%s", sum.cache_up ? "up" : "down");
    line(info, "cache_why", "%s", sum.cache_why);
}

static void show_trust(const struct info *info)
{
    struct trust_status trust;
    int64_t now_us = clock_boot_us();

    server_trust_status(info->server, &trust);
    line(info, "trust", "%s", trust_phase_name(trust.phase));
    line(info, "trust_why", "%s", trust.why != NULL ? trust.why : "");
    line(info, "trust_since_ms", "%lld", (long long)((now_us - trust.since_us) / 1000));
    line_count(info, "era", trust.era);
    line_count(info, "eras_opened", trust.opened);
    line_count(info, "eras_closed", trust.closed);
    line_count(info, "eras_adopted", trust.adopted);
    line_count(info, "leases", trust.leases);
    line_count(info, "daemons_taken_over", trust.taken_over);

    struct warmer_status warmer;
    server_warmer_status(info->server, &warmer);
    line(info, "warming", "%s", warmer.running ? "yes" : "no");
    line_count(info, "warmed_accounts", warmer.accounts);
    line(info, "warm_percent", "%d", warmer.percent);
}

static void show_decisions(const struct info *info)
{
    const struct metrics *sum = info->sum;

    line(info, "fuse_charges", "%s", metrics_gauge(&sum->fuse_charges) > 0 ? "blown" : "whole");
    line(info, "fuse_suspensions", "%s",
         metrics_gauge(&sum->fuse_suspensions) > 0 ? "blown" : "whole");
    line_count(info, "charges_open", (uint64_t)metrics_gauge(&sum->charges_open));
    line_count(info, "charge_oldest_s", (uint64_t)metrics_gauge(&sum->charge_oldest));
    line_count(info, "holds_due", (uint64_t)metrics_gauge(&sum->holds_due));
}

static void show_commands(const struct info *info)
{
    struct histogram *latency = calloc(1, sizeof *latency);
    struct command_total total;

    assert(latency != NULL);
    for (size_t i = 0; i < command_count(); i++) {
        command_stats_sum((int)i, &total, latency);
        if (total.calls == 0 && total.rejected == 0) {
            continue;
        }
        uint64_t usec = histogram_sum(latency);
        buffer_printf(info->out,
                      "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                      "failed_calls=%llu\r\n",
                      command_at(i)->name, (unsigned long long)total.calls,
                      (unsigned long long)usec,
                      total.calls > 0 ? (double)usec / (double)total.calls : 0.0,
                      (unsigned long long)total.rejected, (unsigned long long)total.failed);
    }
    free(latency);
}

static void show_metric(void *arg, const char *family, const char *labels, int64_t value)
{
    const struct info *info = arg;

    buffer_printf(info->out, labels[0] != '\0' ? "%s{%s}:%lld\r\n" : "%s%s:%lld\r\n", family,
                  labels, (long long)value);
}

static void show_metrics(const struct info *info)
{
    struct info copy = *info;

    metrics_each(info->sum, show_metric, &copy);
}

/* --- the table --------------------------------------------------------------------------------*/

static const struct {
    const char *name;
    bool by_default; /* else only by name, or with `everything` */
    void (*show)(const struct info *info);
} sections[] = {
    {"Server", true, show_server},
    {"Health", true, show_health},
    {"Answers", true, show_answers},
    {"Clients", true, show_clients},
    {"Memory", true, show_memory},
    {"Persistence", true, show_persistence},
    {"Stats", true, show_stats},
    {"Replication", true, show_replication},
    {"Store", true, show_store},
    {"Cache", true, show_cache},
    {"Trust", true, show_trust},
    {"Decisions", true, show_decisions},
    {"Commandstats", false, show_commands},
    {"Metrics", false, show_metrics},
};

void server_info_text(struct server *server, const char *section, struct buffer *out)
{
    bool everything = strcasecmp(section, "everything") == 0 || strcasecmp(section, "all") == 0;
    bool by_default = everything || strcasecmp(section, "default") == 0;
    int workers = server_worker_count(server);
    struct metrics *each[LIMIT_WORKERS_MAX];
    struct info info = {.server = server, .out = out, .sum = metrics_create()};

    for (int i = 0; i < workers; i++) {
        each[i] = server_worker(server, i)->metrics;
    }
    metrics_sum(info.sum, each, workers);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (everything || (by_default && sections[i].by_default) ||
            strcasecmp(section, sections[i].name) == 0) {
            buffer_printf(out, "%s# %s\r\n", out->len > 0 ? "\r\n" : "", sections[i].name);
            sections[i].show(&info);
        }
    }
    free(info.sum);
}
