#include "base/config.h"

#include <stdlib.h>
#include <string.h>

static const char *const cut_off_words[] = {"drain", "aside", NULL};
static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};

#define FIELD(field) .offset = offsetof(struct config, field)
#define SECOND ((int64_t)1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define KB ((int64_t)1024)
#define MB (1024 * KB)
#define GB (1024 * MB)

/* Sorted by name: config_option_find() searches by halves. */
static const struct config_option options[] = {
    {"auth.user", CONFIG_USERS, NULL, .reload = true, FIELD(auth.users)},
    {"cache.address", CONFIG_ADDRESS, "127.0.0.1:6379", FIELD(cache.address)},
    {"cache.connect-timeout-ms", CONFIG_DURATION, "1000", 10, HOUR,
     FIELD(cache.connect_timeout_ms)},
    {"cache.lease-ms", CONFIG_DURATION, "1000", 100, 60 * SECOND, FIELD(cache.lease_ms)},
    {"cache.password-file", CONFIG_STRING, "", 0, 4095, FIELD(cache.password_file)},
    {"cache.prefix", CONFIG_STRING, "bal:", 1, 64, FIELD(cache.prefix)},
    {"cache.publish-timeout-ms", CONFIG_DURATION, "50", 1, 10 * SECOND,
     FIELD(cache.publish_timeout_ms)},
    {"cache.timeout-ms", CONFIG_DURATION, "100", 1, 10 * SECOND, FIELD(cache.timeout_ms)},
    {"cache.user", CONFIG_STRING, "", 0, 64, FIELD(cache.user)},
    {"cache.warm", CONFIG_BOOL, "yes", .reload = true, FIELD(cache.warm)},
    {"cache.warm-rate", CONFIG_INT, "0", 0, 1000000000, .reload = true, FIELD(cache.warm_rate)},
    {"cache.when-cut-off", CONFIG_WORD, "drain", .words = cut_off_words, FIELD(cache.when_cut_off)},
    {"fuses.charges", CONFIG_INT, "100", 0, 1000000000, .reload = true, FIELD(fuses.charges)},
    {"fuses.charges-percent", CONFIG_INT, "1", 0, 100, .reload = true,
     FIELD(fuses.charges_percent)},
    {"fuses.suspensions", CONFIG_INT, "100", 0, 1000000000, .reload = true,
     FIELD(fuses.suspensions)},
    {"fuses.suspensions-percent", CONFIG_INT, "1", 0, 100, .reload = true,
     FIELD(fuses.suspensions_percent)},
    {"fuses.window-ms", CONFIG_DURATION, "600000", SECOND, 365 * DAY, .reload = true,
     FIELD(fuses.window_ms)},
    {"limits.args", CONFIG_INT, "4096", LIMIT_ARGS_MIN, LIMIT_ARGS_MAX, .reload = true,
     FIELD(limits.args)},
    {"limits.batch", CONFIG_INT, "1000", 1, LIMIT_BATCH_MAX, FIELD(limits.batch)},
    {"limits.bulk-bytes", CONFIG_SIZE, "64kb", LIMIT_BULK_BYTES_MIN, LIMIT_BULK_BYTES_MAX,
     .reload = true, FIELD(limits.bulk_bytes)},
    {"limits.clients", CONFIG_INT, "10000", 1, 1000000, .reload = true, FIELD(limits.clients)},
    {"limits.idle-timeout-ms", CONFIG_DURATION, "0", 0, 365 * DAY, .reload = true,
     FIELD(limits.idle_timeout_ms)},
    {"limits.output-buffer-bytes", CONFIG_SIZE, "16mb", 64 * KB, 4 * GB, .reload = true,
     FIELD(limits.output_buffer_bytes)},
    {"limits.pipeline", CONFIG_INT, "1024", 1, 1000000, .reload = true, FIELD(limits.pipeline)},
    {"limits.queue", CONFIG_INT, "100000", 1, 10000000, FIELD(limits.queue)},
    {"limits.read-queue", CONFIG_INT, "100000", 1, 10000000, FIELD(limits.read_queue)},
    {"limits.request-timeout-ms", CONFIG_DURATION, "5000", 10, HOUR, .reload = true,
     FIELD(limits.request_timeout_ms)},
    {"listen.address", CONFIG_ADDRESSES, "127.0.0.1:6480", FIELD(listen.addresses)},
    {"listen.backlog", CONFIG_INT, "511", 1, 65535, FIELD(listen.backlog)},
    {"listen.http", CONFIG_ADDRESS, "127.0.0.1:6481", FIELD(listen.http)},
    {"listen.unix", CONFIG_STRING, "", 0, ADDRESS_PATH_ROOM - 1, FIELD(listen.unix_path)},
    {"listen.unix-mode", CONFIG_MODE, "0770", 0, 0777, FIELD(listen.unix_mode)},
    {"listen.workers", CONFIG_INT, "1", 1, LIMIT_WORKERS_MAX, FIELD(listen.workers)},
    {"log.file", CONFIG_STRING, "-", 1, 4095, FIELD(log.file)},
    {"log.level", CONFIG_WORD, "info", .words = level_words, .reload = true, FIELD(log.level)},
    {"store.allow-fsync-off", CONFIG_BOOL, "no", FIELD(store.allow_fsync_off)},
    {"store.connect-timeout-ms", CONFIG_DURATION, "5000", 10, HOUR,
     FIELD(store.connect_timeout_ms)},
    {"store.conninfo", CONFIG_STRING, "dbname=ballast", 0, LIMIT_CONFIG_LINE_BYTES_MAX,
     FIELD(store.conninfo)},
    {"store.denials-kept-days", CONFIG_INT, "400", 1, 36500, .reload = true,
     FIELD(store.denials_kept_days)},
    {"store.lock-timeout-ms", CONFIG_DURATION, "1000", 0, HOUR, FIELD(store.lock_timeout_ms)},
    {"store.password-file", CONFIG_STRING, "", 0, 4095, FIELD(store.password_file)},
    {"store.read-links", CONFIG_INT, "1", 1, LIMIT_READ_LINKS_MAX, FIELD(store.read_links)},
    {"store.statement-timeout-ms", CONFIG_DURATION, "4000", 0, HOUR,
     FIELD(store.statement_timeout_ms)},
};

#define OPTION_COUNT (sizeof options / sizeof options[0])

size_t config_option_count(void)
{
    return OPTION_COUNT;
}

const struct config_option *config_option_at(size_t index)
{
    assert(index < OPTION_COUNT);
    return &options[index];
}

static int config_option_compare(const void *name, const void *option)
{
    return strcmp(name, ((const struct config_option *)option)->name);
}

const struct config_option *config_option_find(const char *name)
{
    return bsearch(name, options, OPTION_COUNT, sizeof options[0], config_option_compare);
}
