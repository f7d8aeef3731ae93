/* /metrics: what the workers count, and the control thread's own. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/daemon.h"
#include "server/http_pages.h"

static void family(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP ballast_%s %s\n# TYPE ballast_%s %s\n", name, help, name, type);
}

static void gauge(struct buffer *out, const char *name, const char *help, double value)
{
    family(out, name, "gauge", help);
    buffer_printf(out, "ballast_%s %.15g\n", name, value);
}

static void counter(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    family(out, name, "counter", help);
    buffer_printf(out, "ballast_%s %" PRIu64 "\n", name, value);
}

static void show_trust(const struct trust_status *trust, struct buffer *out)
{
    int64_t left_us = trust->valid_until_us - clock_boot_us();

    family(out, "trust_phase", "gauge", "1 for the phase that the trust machine is in.");
    for (int phase = TRUST_NO_STORE; phase <= TRUST_ASIDE; phase++) {
        buffer_printf(out, "ballast_trust_phase{phase=\"%s\"} %d\n",
                      trust_phase_name((enum trust_phase)phase), (int)trust->phase == phase);
    }
    gauge(out, "store_era", "The era in the store, as this daemon saw it last.",
          (double)trust->era);
    gauge(out, "lease_remaining_seconds", "How long the lease on the era still runs; 0 without.",
          left_us > 0 ? (double)left_us / 1e6 : 0);
    gauge(out, "leases", "Leases of daemons on the store, this one's included.",
          (double)trust->leases);
    counter(out, "take_overs_total", "Dead daemons whose commits and leases this one took over.",
            trust->taken_over);
    family(out, "eras_total", "counter", "What this daemon did to eras.");
    buffer_printf(out, "ballast_eras_total{event=\"opened\"} %" PRIu64 "\n", trust->opened);
    buffer_printf(out, "ballast_eras_total{event=\"closed\"} %" PRIu64 "\n", trust->closed);
    buffer_printf(out, "ballast_eras_total{event=\"adopted\"} %" PRIu64 "\n", trust->adopted);
}

static void show_health(struct server *server, struct buffer *out)
{
    struct health health;
    struct engine_status engines;

    board_read_health(server->board, &health);
    family(out, "health", "gauge", "1 for the state that a part is in, as this daemon sees it.");
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        for (enum health_state state = 0; state < HEALTH_STATES; state++) {
            buffer_printf(out, "ballast_health{part=\"%s\",state=\"%s\"} %d\n",
                          health_part_name(part), health_state_name(state),
                          (int)(health.parts[part].state == state));
        }
    }
    family(out, "health_changed_timestamp_seconds", "gauge",
           "When the state of a part changed last, in seconds since 1970.");
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        buffer_printf(out, "ballast_health_changed_timestamp_seconds{part=\"%s\"} %.3f\n",
                      health_part_name(part), (double)health.parts[part].since_wall_ms / 1e3);
    }
    board_sum_engines(server->board, &engines);
    gauge(out, "mutations_in_doubt", "Mutations whose commit the store has yet to tell of.",
          (double)engines.writes_in_doubt);
    gauge(out, "oldest_doubt_seconds", "Since when the oldest of them is in doubt; 0 without.",
          (double)engines.oldest_doubt_us / 1e6);
}

static void show_warmer(struct server *server, struct buffer *out)
{
    struct warmer_status warmer;

    server_warmer_status(server, &warmer);
    gauge(out, "warm_running", "1 while this daemon fills the cache in the background.",
          warmer.running);
    gauge(out, "warm_accounts", "Accounts of the present era that this daemon has gone through.",
          (double)warmer.accounts);
    gauge(out, "warm_accounts_estimate", "About how many there are in all; 0 where not known.",
          (double)warmer.estimate);
    counter(out, "warm_values_written_total", "Values that this daemon's warmings wrote.",
            warmer.written);
    family(out, "warm_runs_total", "counter", "Warmings by this daemon, by their end.");
    buffer_printf(out, "ballast_warm_runs_total{end=\"done\"} %" PRIu64 "\n", warmer.done);
    buffer_printf(out, "ballast_warm_runs_total{end=\"stopped\"} %" PRIu64 "\n", warmer.stopped);
    buffer_printf(out, "ballast_warm_runs_total{end=\"failed\"} %" PRIu64 "\n", warmer.failed);
}

void page_metrics(struct server *server, struct buffer *out)
{
    struct control_status control;

    metrics_render_prometheus(server->metrics, server->worker_count, out);
    control_status(server->control, &control);
    show_health(server, out);
    show_trust(&control.trust, out);
    show_warmer(server, out);
    gauge(out, "control_store_up", "1 while the control thread has a connection to the store.",
          control.store_up);
    gauge(out, "control_cache_up", "1 while the control thread has a verified cache connection.",
          control.cache_up);
    counter(out, "tail_notices_total", "Times that NOTIFY told of changes made in SQL.",
            control.tail.notified);
    counter(out, "tail_published_total", "Accounts changed in SQL that this daemon published.",
            control.tail.published);
    counter(out, "tail_deferred_total",
            "Pages of such accounts that were put off: the cache was not trusted.",
            control.tail.deferred);
    gauge(out, "start_time_seconds", "When the daemon started, in seconds since 1970.",
          (double)server->started_wall_ms / 1e3);
    family(out, "build_info", "gauge", "1; the label says which version runs.");
    buffer_printf(out, "ballast_build_info{version=\"%s\"} 1\n", BALLAST_VERSION);
}
