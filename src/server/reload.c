/*
 * SIGHUP. A struct config never changes: a reload makes another one, the workers take it over
 * between turns and the warmer at its next look, and the old one is freed when the last of them
 * has let go of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/daemon.h"
#include "server/worker_thread.h"

struct retired {
    struct config *config;
    struct retired *next;
};

void server_reload(struct server *server)
{
    char err[1024], pending[1024];

    if (log_reopen() != 0) {
        log_error("log-reopen-failed", "error=%s", LOG_VALUE(strerror(errno)));
    }
    struct config *fresh = config_reload(server->config, pending, sizeof pending, err, sizeof err);
    if (fresh == NULL) {
        log_error("config-rejected", "error=%s next=\"correct the file; the old settings stay\"",
                  LOG_VALUE(err));
        return;
    }
    struct retired *old = malloc(sizeof *old);
    if (old == NULL) {
        abort();
    }
    *old = (struct retired){.config = server->config, .next = server->retired};
    server->retired = old;
    server->config = fresh;
    log_set_level((enum log_level)fresh->log.level);
    server_raise_file_limit(fresh);
    for (int i = 0; i < server->worker_count; i++) {
        worker_offer_config(server->workers[i], fresh);
    }
    warmer_offer_config(server->warmer, fresh);
    log_info("config-reloaded", "file=%s needs_restart=%s", LOG_VALUE(fresh->path),
             LOG_VALUE(pending));
}

static bool server_config_is_used(const struct server *server, const struct config *config)
{
    if (warmer_holds_config(server->warmer, config)) {
        return true;
    }
    for (int i = 0; i < server->worker_count; i++) {
        if (worker_holds_config(server->workers[i], config)) {
            return true;
        }
    }
    return false;
}

void server_reap_configs(struct server *server)
{
    for (struct retired **at = &server->retired; *at != NULL;) {
        struct retired *retired = *at;

        if (server_config_is_used(server, retired->config)) {
            at = &retired->next;
        } else {
            *at = retired->next;
            config_free(retired->config);
            free(retired);
        }
    }
}

void server_free_configs(struct server *server)
{
    while (server->retired != NULL) {
        struct retired *retired = server->retired;

        server->retired = retired->next;
        config_free(retired->config);
        free(retired);
    }
    config_free(server->config);
    server->config = NULL;
}
