/* A world without daemons, clients or faults, but for a process that the links belong to. */
#include "conformance.h"

#include <stdio.h>

#include "base/attributes.h"
#include "checker.h"
#include "conformance/script.h"
#include "process.h"
#include "redis.h"

#define KEYS_MAX 256

static void turn(void)
{
    world_run(world.now + MS);
}

static void wait_ms(int ms)
{
    world_run(world.now + ms * MS);
}

int conformance_run(const char *path)
{
    static struct process process = {.name = "d0"};
    static const struct store_hooks store_hooks;
    static const struct cache_hooks cache_hooks;
    const struct db_posting any = {.account = -1};
    world_begin(1);
    world.account_count = ACCOUNTS_MAX;
    checker_begin();
    redis_begin();
    db_begin();
    for (int i = 0; i < KEYS_MAX; i++) {
        checker_key_submitted(checker_key_new(&any, false));
    }
    process.deferred_end = &process.deferred;
    process.cache_target = redis_address();
    world.running = &process;
    struct script_servers servers = {process_store_link(&store_hooks, &process),
                                     process_cache_link(&cache_hooks, &process), turn, wait_ms};
    world.running = NULL;
    while (!store_link_is_up(servers.store) || !cache_link_is_up(servers.cache)) {
        turn();
    }
    return script_run(path, &servers);
}
