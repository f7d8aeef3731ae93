/*
 * The end of the daemon. Workers stop accepting and answer what they have received; then trust is
 * given up and the own lease dropped, so that the other daemons need not wait for it; then the
 * loop of the control thread ends. What must not take long has a deadline; a second signal ends
 * the process at once, which loses nothing that was answered.
 */
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/daemon.h"
#include "server/notify.h"
#include "server/worker_thread.h"

/* The last answers still have to be written when the last deadline has passed. */
#define STOP_WRITE_MS 250

/* Then the workers free what they have, and the lease is dropped. */
#define STOP_LEAVE_MS 2000

static bool server_workers_have_ended(const struct server *server)
{
    for (int i = 0; i < server->worker_count; i++) {
        if (!worker_has_ended(server->workers[i])) {
            return false;
        }
    }
    return true;
}

static void server_has_left(void *ctx)
{
    struct server *server = ctx;
    event_base_loopbreak(server->base);
}

void server_worker_ended(void *arg)
{
    struct server *server = arg;

    if (server_workers_have_ended(server)) {
        control_stop(server->control, server_has_left);
    }
}

static void server_end_at_once(const struct server *server, const char *why)
{
    log_warn("stop", "reason=%s status=1 unfinished=%s", server->stop_reason, LOG_VALUE(why));
    log_close();
    _exit(1);
}

static void server_stop_is_late(int fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd;
    (void)what;
    if (!server_workers_have_ended(server)) {
        server_end_at_once(server, "a worker did not end in time");
    }
    server_has_left(server); /* without having dropped the lease: it runs out by itself */
}

void server_stop(struct server *server, const char *reason, int exit_status)
{
    int64_t deadline_us =
        clock_boot_us() + 1000 * (server->config->limits.request_timeout_ms + STOP_WRITE_MS);

    if (server->stopping) {
        server_end_at_once(server, "told again to stop");
    }
    server->stopping = true;
    server->stop_reason = reason;
    server->exit_status = exit_status;
    log_info("stopping", "reason=%s", reason);
    notify_manager("STOPPING=1");
    warmer_stop(server->warmer);
    for (int i = 0; i < server->worker_count; i++) {
        worker_stop(server->workers[i], deadline_us);
    }
    server->stop_timer = loop_timer_new(server->base, server_stop_is_late, server);
    loop_timer_at(server->stop_timer, deadline_us + 1000 * STOP_LEAVE_MS);
}
