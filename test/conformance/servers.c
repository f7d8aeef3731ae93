/* The script against real servers: servers SCRIPT CONNINFO REDIS_ADDRESS. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attributes.h"
#include "script.h"

static struct event_base *base;

static void turn(void)
{
    event_base_loop(base, EVLOOP_ONCE);
}

static void wait_ms(int ms)
{
    const struct timeval time = {ms / 1000, (ms % 1000) * 1000};
    event_base_loopexit(base, &time);
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

int main(int argc, char **argv)
{
    static const struct store_hooks store_hooks;
    static const struct cache_hooks cache_hooks;
    char err[STORE_TEXT_MAX] = "no memory";

    if (argc != 4 || (base = event_base_new()) == NULL) {
        fputs("servers SCRIPT CONNINFO REDIS_ADDRESS\n", stderr);
        return 64;
    }
    const struct store_options store_options = {.conninfo = argv[2],
                                                .application_name = "conformance",
                                                .lease = "d0",
                                                .connect_timeout_ms = 10000,
                                                .statement_timeout_ms = 10000,
                                                .lock_timeout_ms = 5000,
                                                .allow_fsync_off = true};
    const struct cache_options cache_options = {.address = argv[3],
                                                .prefix = "bl:",
                                                .connect_timeout_ms = 10000,
                                                .timeout_ms = 10000,
                                                .publish_timeout_ms = 10000};
    struct script_servers servers = {.turn = turn, .wait_ms = wait_ms};
    servers.store = store_link_create(base, &store_options, &store_hooks, NULL, err, sizeof err);
    servers.cache = cache_link_create(base, &cache_options, &cache_hooks, NULL);
    if (servers.store == NULL || servers.cache == NULL) {
        fprintf(stderr, "servers: %s\n", err);
        return 1;
    }
    while (!store_link_is_up(servers.store) || !cache_link_is_up(servers.cache)) {
        turn();
    }
    cache_link_set_mac_key(servers.cache, store_link_mac_key(servers.store));
    return script_run(argv[1], &servers);
}
