/*
 * A job as a member of the fleet: it runs the trust machine of core/trust.c on its own loop, with
 * one worker, itself. What it writes to the cache is then written under the rules that bind every
 * daemon, and with no daemon running it opens the era on its own. A job inside a daemon has nothing
 * of this but the daemon's trust view.
 */
#include "ops/link_options.h"
#include "ops/job_lease.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"

#define LEASE_WORKER 0

/* --- from the trust machine -------------------------------------------------------------------*/

static void need_timer(void *ctx, int64_t at_us)
{
    struct job *job = ctx;
    int64_t delay_us = at_us - clock_boot_us();

    if (delay_us < 0) {
        delay_us = 0;
    }
    struct timeval delay = {(time_t)(delay_us / 1000000), (suseconds_t)(delay_us % 1000000)};
    evtimer_add(job->trust_timer, &delay);
}

static void stopped(void *ctx)
{
    struct job *job = ctx;

    job->trust_stopped = true;
}

static void wake_control(void *ctx)
{
    struct job *job = ctx;

    event_active(job->trust_wake, EV_TIMEOUT, 0);
}

static void wake_workers(void *ctx)
{
    (void)ctx; /* a job asks for no fences */
}

/* --- to the trust machine ---------------------------------------------------------------------*/

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    struct job *job = arg;

    (void)fd, (void)events;
    trust_tick(job->trust);
}

static void on_wake(evutil_socket_t fd, short events, void *arg)
{
    struct job *job = arg;

    (void)fd, (void)events;
    trust_wake(job->trust);
}

static void on_control_changed(void *ctx, struct store_link *link)
{
    struct job *job = ctx;

    (void)link;
    if (job->trust != NULL) {
        trust_links_changed(job->trust);
    }
}

static void on_control_down(void *ctx, struct store_link *link, const char *why)
{
    (void)why;
    on_control_changed(ctx, link);
}

static void on_control_notify(void *ctx, struct store_link *link, const char *channel,
                              const char *payload)
{
    struct job *job = ctx;

    (void)link, (void)payload;
    if (job->trust != NULL && strcmp(channel, STORE_ERA_CHANNEL) == 0) {
        trust_notified(job->trust);
    }
}

void job_lease_cache_changed(struct job *job)
{
    if (job->trust != NULL) {
        trust_view_report_cache(job->view, LEASE_WORKER, cache_link_identity(job->cache));
        trust_links_changed(job->trust);
    }
}

/* --- taking and giving back -------------------------------------------------------------------*/

enum job_result job_take_lease(struct job *job)
{
    static const struct store_hooks control_hooks = {on_control_changed, on_control_down,
                                                     on_control_notify};
    static const struct trust_view_hooks view_hooks = {wake_control, wake_workers};
    static const struct trust_hooks trust_hooks = {need_timer, stopped};
    struct store_options options = store_options_of(job->config, "ballast lease");
    char daemon[64], incarnation[32];

    if (job->trust != NULL || job->host != NULL) {
        return JOB_OK;
    }
    options.listen = STORE_ERA_CHANNEL;
    job->control =
        store_link_create(job->base, &options, &control_hooks, job, job->error, sizeof job->error);
    if (job->control == NULL) {
        return JOB_OPERATOR;
    }
    snprintf(daemon, sizeof daemon, "job-%.32s-%08" PRIx32, job->runner, (uint32_t)random_uint64());
    snprintf(incarnation, sizeof incarnation, "%016" PRIx64, random_uint64());
    job->trust_timer = evtimer_new(job->base, on_timer, job);
    job->trust_wake = event_new(job->base, -1, 0, on_wake, job);
    job->view = trust_view_create(1, &view_hooks, job);
    const struct trust_options trust_options = {
        .daemon = daemon,
        .incarnation = incarnation,
        .lease_us = job->config->cache.lease_ms * 1000,
    };
    job->trust =
        trust_create(&trust_options, job->view, job->control, job->cache, &trust_hooks, job);
    job_lease_cache_changed(job);
    return JOB_OK;
}

static bool is_stopped(void *arg)
{
    return ((struct job *)arg)->trust_stopped;
}

void job_lease_end(struct job *job)
{
    if (job->trust != NULL) {
        trust_stop(job->trust); /* also after a ^C: a row that is gone need not be waited for */
        job_finish(job, is_stopped, job);
        trust_free(job->trust);
        job->trust = NULL;
        trust_view_free(job->view);
        job->view = NULL;
        event_free(job->trust_timer);
        event_free(job->trust_wake);
    }
    if (job->control != NULL) {
        store_link_free(job->control);
        job->control = NULL;
    }
}

bool job_trusts(struct job *job, struct trust_era *era)
{
    if (job->view == NULL || !trust_view_check(job->view, era, clock_boot_us())) {
        return false;
    }
    /* The view speaks of the Redis that the era is on: our own link may be at another. */
    const struct cache_identity *redis = cache_link_identity(job->cache);
    return redis != NULL && strcmp(redis->run_id, era->redis.run_id) == 0 &&
           strcmp(redis->replid, era->redis.replid) == 0;
}

void job_suspect(struct job *job, uint64_t era)
{
    if (job->view != NULL && era != 0) {
        trust_view_suspect(job->view, era);
    }
}

struct awaited {
    struct job *job;
    struct trust_era *era;
};

static bool trusts_now(void *arg)
{
    struct awaited *awaited = arg;

    return job_trusts(awaited->job, awaited->era);
}

enum job_result job_await_trust(struct job *job, struct trust_era *era)
{
    struct awaited awaited = {job, era};

    switch (job_wait(job, trusts_now, &awaited, clock_boot_us() + job->patience_us)) {
    case JOB_READY:
        return JOB_OK;
    case JOB_SIGNAL:
        return job_fail(job, JOB_INTERRUPTED, "interrupted");
    case JOB_DEADLINE:
        break;
    }
    return job_fail(job, JOB_UNREACHABLE, "no era of the cache can be trusted: %s",
                    job_distrust_why(job));
}

const char *job_distrust_why(struct job *job)
{
    struct trust_status status;

    if (!cache_link_is_up(job->cache)) {
        return cache_link_why(job->cache);
    }
    if (job->host != NULL) {
        return "the daemon does not trust the cache";
    }
    if (!store_link_is_up(job->control)) {
        return store_link_why(job->control);
    }
    trust_status(job->trust, &status);
    return status.why[0] != '\0' ? status.why : "Redis does not bear its stamp";
}
