#include "base/config_derived.h"

#include <stdio.h>
#include <string.h>

struct address config_client_address(const struct config *config)
{
    struct address address = {.kind = ADDRESS_NONE};

    if (config->listen.addresses.count > 0) {
        address = config->listen.addresses.items[0];
        if (strcmp(address.host, "0.0.0.0") == 0) {
            snprintf(address.host, sizeof address.host, "127.0.0.1");
        } else if (strcmp(address.host, "::") == 0) {
            snprintf(address.host, sizeof address.host, "::1");
        }
    }
    if (address.kind == ADDRESS_NONE && config->listen.unix_path[0] != '\0') {
        address.kind = ADDRESS_UNIX;
        snprintf(address.path, sizeof address.path, "%s", config->listen.unix_path);
    }
    return address;
}

const struct config_user *config_client_user(const struct config *config)
{
    const struct config_user *best = NULL;

    for (size_t i = 0; i < config->auth.users.count; i++) {
        const struct config_user *user = &config->auth.users.items[i];
        if (best == NULL || user->role > best->role) {
            best = user;
        }
    }
    return best;
}

/* Standard streams, log, loops, wake-ups, HTTP connections, files opened on a reload. */
#define FILES_BASE 128
#define FILES_A_WORKER 8

int64_t config_files_wanted(const struct config *config)
{
    int64_t links = 2 + config->store.read_links; /* with a writer, and the cache */
    int64_t a_worker = FILES_A_WORKER + links + (int64_t)config->listen.addresses.count;

    return FILES_BASE + config->limits.clients + config->listen.workers * a_worker;
}
