/* From the configuration to the options of links. */
#include "ops/link_options.h"

#include <event2/event.h>
#include <stdlib.h>

struct store_fuses store_fuses_of(const struct config *config)
{
    return (struct store_fuses){
        .charges = config->fuses.charges,
        .charges_percent = config->fuses.charges_percent,
        .suspensions = config->fuses.suspensions,
        .suspensions_percent = config->fuses.suspensions_percent,
        .window_ms = config->fuses.window_ms,
    };
}

struct store_options store_options_of(const struct config *config, const char *application_name)
{
    return (struct store_options){
        .conninfo = config->store.conninfo,
        .password = config->store.password[0] != '\0' ? config->store.password : NULL,
        .password_file =
            config->store.password_file[0] != '\0' ? config->store.password_file : NULL,
        .application_name = application_name,
        .connect_timeout_ms = (int)config->store.connect_timeout_ms,
        .statement_timeout_ms = (int)config->store.statement_timeout_ms,
        .lock_timeout_ms = (int)config->store.lock_timeout_ms,
        .fuses = store_fuses_of(config),
        .allow_fsync_off = config->store.allow_fsync_off,
    };
}

struct cache_options cache_options_of(const struct config *config, char address[ADDRESS_TEXT_ROOM])
{
    return (struct cache_options){
        .address = address_format(&config->cache.address, address),
        .prefix = config->cache.prefix,
        .user = config->cache.user[0] != '\0' ? config->cache.user : NULL,
        .password = config->cache.password[0] != '\0' ? config->cache.password : NULL,
        .password_file =
            config->cache.password_file[0] != '\0' ? config->cache.password_file : NULL,
        .connect_timeout_ms = (int)config->cache.connect_timeout_ms,
        .timeout_ms = (int)config->cache.timeout_ms,
        .publish_timeout_ms = (int)config->cache.publish_timeout_ms,
    };
}

int store_options_check(const struct config *config, char *err, size_t errlen)
{
    static const struct store_hooks no_hooks;
    struct store_options options = store_options_of(config, "ballastd");
    struct event_base *base = event_base_new();

    if (base == NULL) {
        abort();
    }
    struct store_link *link = store_link_create(base, &options, &no_hooks, NULL, err, errlen);

    /* The loop does not run: nothing is connected to. */
    if (link != NULL) {
        store_link_free(link);
    }
    event_base_free(base);
    return link != NULL ? 0 : -1;
}
