/* The ground of a job: loop, links, waiting. Its statements are in ops/job_query.c, its lease in
 * ops/job_lease.c. */
#include "ops/link_options.h"
#include "ops/job.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ops/job_lease.h"
#include "store/bare.h"

#define JOB_PATIENCE_US (INT64_C(10) * 1000 * 1000)
#define JOB_TURN_US (20 * 1000) /* conditions that no event announces are looked at this often */
/* A job has several thousand accounts under way, and no client who waits for them. Less than a token
 * stands. */
#define JOB_CACHE_TIMEOUT_MS 1000
#define JOB_CUT_US (500 * 1000) /* how long a host that ends waits for an answer */

enum job_result job_fail(struct job *job, enum job_result result, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(job->error, sizeof job->error, fmt, args);
    va_end(args);
    return result;
}

enum job_result job_go_on(struct job *job)
{
    event_base_loop(job->base, EVLOOP_NONBLOCK);
    return job->interrupted ? job_fail(job, JOB_INTERRUPTED, "interrupted") : JOB_OK;
}

/* --- links ------------------------------------------------------------------------------------*/

static void pump_reads(struct job *job);

static void on_store_up(void *ctx, struct store_link *link)
{
    struct job *job = ctx;

    if (job->cache != NULL && link == job->store) {
        cache_link_set_mac_key(job->cache, store_link_mac_key(link));
    }
    pump_reads(job);
}

static void on_store_down(void *ctx, struct store_link *link, const char *why)
{
    struct job *job = ctx;

    (void)why;
    job->store_downs += link == job->store;
}

static void on_cache_up(void *ctx, struct cache_link *link)
{
    struct job *job = ctx;

    (void)link;
    job_lease_cache_changed(job);
}

static void on_cache_down(void *ctx, struct cache_link *link, const char *why)
{
    (void)why;
    on_cache_up(ctx, link);
}

static void on_signal(evutil_socket_t signal, short events, void *arg)
{
    struct job *job = arg;

    (void)signal, (void)events;
    job->interrupted = true;
}

static bool create_links(struct job *job, const char *name, enum job_store store, char *err)
{
    const struct store_hooks hooks = {.up = on_store_up, .down = on_store_down};
    struct store_options options;
    char application[64];

    snprintf(application, sizeof application, "%s %s", job->host != NULL ? "ballastd" : "ballast",
             name);
    options = store_options_of(job->config, application);
    if (store == JOB_STORE_BARE) {
        job->store = store_link_create_bare(job->base, &options, &hooks, job, err, JOB_ERROR_ROOM);
        return job->store != NULL;
    }
    job->store = store_link_create(job->base, &options, &hooks, job, err, JOB_ERROR_ROOM);
    if (job->store == NULL) {
        return false;
    }
    job->reader = store_link_create(job->base, &options, &hooks, job, err, JOB_ERROR_ROOM);
    return job->reader != NULL;
}

static void on_deadline(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events, (void)arg; /* it only ends a turn of the loop */
}

static struct job *create(const struct config *config, const struct job_host *host)
{
    struct job *job = calloc(1, sizeof *job);
    char name[64] = "";

    if (job == NULL) {
        abort();
    }
    gethostname(name, sizeof name - 1);
    snprintf(job->runner, sizeof job->runner, "%s%s:%d", host != NULL ? JOB_DAEMON_PREFIX : "",
             name, (int)getpid());
    job->config = config;
    job->host = host;
    job->view = host != NULL ? host->view : NULL;
    job->patience_us = JOB_PATIENCE_US;
    list_init(&job->reads);
    job->base = event_base_new();
    if (job->base == NULL) {
        abort();
    }
    job->deadline = evtimer_new(job->base, on_deadline, NULL);
    return job;
}

struct job *job_create(const struct config *config, const char *name, enum job_store store,
                       char err[JOB_ERROR_ROOM])
{
    static const int ends[] = {SIGINT, SIGTERM};
    struct job *job = create(config, NULL);

    for (size_t i = 0; i < 2; i++) {
        job->signals[i] = evsignal_new(job->base, ends[i], on_signal, job);
        evsignal_add(job->signals[i], NULL);
    }
    if (!create_links(job, name, store, err)) {
        job_free(job);
        return NULL;
    }
    return job;
}

struct job *job_create_hosted(const struct config *config, const char *name,
                              const struct job_host *host, char err[JOB_ERROR_ROOM])
{
    struct job *job = create(config, host);

    if (!create_links(job, name, JOB_STORE_WHOLE, err)) {
        job_free(job);
        return NULL;
    }
    return job;
}

/* Whatever is under way has its callback when this returns. */
static void free_links(struct job *job)
{
    static const struct store_error gone = {"", "the job ends"};
    struct job_read *read;

    if (job->reader != NULL) {
        store_link_free(job->reader);
        job->reader = NULL;
    }
    while ((read = LIST_POP_FRONT(&job->reads, struct job_read, link)) != NULL) {
        read->done(read->arg, STORE_UNSENT, &gone, NULL);
    }
    if (job->store != NULL) {
        store_link_free(job->store);
        job->store = NULL;
    }
    if (job->cache != NULL) {
        cache_link_free(job->cache);
        job->cache = NULL;
    }
}

void job_free(struct job *job)
{
    if (job == NULL) {
        return;
    }
    job_lease_end(job);
    free_links(job);
    for (size_t i = 0; i < 2; i++) {
        if (job->signals[i] != NULL) {
            event_free(job->signals[i]);
        }
    }
    event_free(job->deadline);
    event_base_free(job->base);
    free(job);
}

/* --- waiting ----------------------------------------------------------------------------------*/

static void run_turn(struct job *job, int64_t turn_us)
{
    int64_t by_us = job->turn_by_us != 0 ? job->turn_by_us - clock_boot_us() : turn_us;
    struct timeval turn = {0, 0};

    job->turn_by_us = 0;
    turn.tv_usec = (suseconds_t)(by_us < 0 ? 0 : by_us < turn_us ? by_us : turn_us);
    evtimer_add(job->deadline, &turn);
    event_base_loop(job->base, EVLOOP_ONCE);
    if (job->host != NULL && job->interrupted_us == 0 && job->host->stopping(job->host->ctx)) {
        job->interrupted_us = clock_boot_us();
        job->interrupted = true;
    }
}

void job_turn_by(struct job *job, int64_t at_us)
{
    if (job->turn_by_us == 0 || at_us < job->turn_by_us) {
        job->turn_by_us = at_us;
    }
}

void job_finish(struct job *job, bool (*ready)(void *arg), void *arg)
{
    while (!ready(arg)) {
        run_turn(job, JOB_TURN_US);
        if (job->interrupted_us != 0 && clock_boot_us() - job->interrupted_us > JOB_CUT_US) {
            free_links(job);
        }
    }
}

enum job_wait_end job_wait(struct job *job, bool (*ready)(void *arg), void *arg,
                           int64_t deadline_us)
{
    for (;;) {
        if (ready != NULL && ready(arg)) {
            return JOB_READY;
        }
        if (job->interrupted) {
            return JOB_SIGNAL;
        }
        int64_t left_us = deadline_us - clock_boot_us();
        if (left_us <= 0) {
            return JOB_DEADLINE;
        }
        run_turn(job, left_us < JOB_TURN_US ? left_us : JOB_TURN_US);
    }
}

enum job_wait_end job_pause(struct job *job, int64_t duration_us)
{
    return job_wait(job, NULL, NULL, clock_boot_us() + duration_us);
}

static bool store_is_up(void *arg)
{
    struct job *job = arg;

    return (store_link_is_up(job->store) &&
            (job->reader == NULL || store_link_is_up(job->reader))) ||
           store_link_needs_operator(job->store);
}

enum job_result job_connect_store(struct job *job)
{
    enum job_wait_end end = job_wait(job, store_is_up, job, clock_boot_us() + job->patience_us);
    const char *why = store_link_why(job->store);

    if (end == JOB_SIGNAL) {
        return job_fail(job, JOB_INTERRUPTED, "interrupted");
    }
    if (store_link_needs_operator(job->store)) {
        return job_fail(job, JOB_OPERATOR, "PostgreSQL: %s", why);
    }
    if (end == JOB_DEADLINE) {
        return job_fail(job, JOB_UNREACHABLE, "PostgreSQL cannot be reached: %s", why);
    }
    return JOB_OK;
}

static bool cache_is_up(void *arg)
{
    return cache_link_is_up(((struct job *)arg)->cache);
}

enum job_result job_open_cache(struct job *job)
{
    static const struct cache_hooks hooks = {on_cache_up, on_cache_down};
    const struct config *config = job->config;
    char address[ADDRESS_TEXT_ROOM];

    if (config->cache.address.kind == ADDRESS_NONE) {
        return job_fail(job, JOB_OPERATOR, "no Redis is configured ([cache] address)");
    }
    if (job->cache == NULL) {
        struct cache_options options = cache_options_of(config, address);

        if (options.timeout_ms < JOB_CACHE_TIMEOUT_MS) {
            options.timeout_ms = JOB_CACHE_TIMEOUT_MS;
        }
        job->cache = cache_link_create(job->base, &options, &hooks, job);
        if (store_link_is_up(job->store)) {
            cache_link_set_mac_key(job->cache, store_link_mac_key(job->store));
        }
    }
    switch (job_wait(job, cache_is_up, job, clock_boot_us() + job->patience_us)) {
    case JOB_READY:
        return JOB_OK;
    case JOB_SIGNAL:
        return job_fail(job, JOB_INTERRUPTED, "interrupted");
    case JOB_DEADLINE:
        break;
    }
    return job_fail(job, JOB_UNREACHABLE, "Redis cannot be used: %s", cache_link_why(job->cache));
}

/* --- reads of accounts, one at a time ---------------------------------------------------------*/

static void on_read(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_accounts *reply)
{
    struct job_read *read = arg;
    struct job *job = read->job;

    job->reading = false;
    if (status == STORE_UNSENT) {
        list_push_front(&job->reads, &read->link);
    } else {
        read->done(read->arg, status, error, reply);
    }
    pump_reads(job);
}

static void pump_reads(struct job *job)
{
    if (job->reading || job->reader == NULL || !store_link_ready(job->reader)) {
        return;
    }
    struct job_read *read = LIST_POP_FRONT(&job->reads, struct job_read, link);
    if (read != NULL) {
        job->reading = true;
        store_read_accounts(job->reader, read->ids, read->count, on_read, read);
    }
}

void job_read_accounts(struct job *job, struct job_read *read)
{
    read->job = job;
    list_init(&read->link);
    list_push_back(&job->reads, &read->link);
    pump_reads(job);
}
