/* The thread that warms the cache. Everything shared is under one mutex; the walk itself, in
 * ops/warm.c, runs on a job of this thread and asks here every few milliseconds. */
#include "server/warmer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/warm.h"

/* That the opener of an era has to itself, and between looks at whether another one is done. */
#define WARMER_LOOK_MS 2000
/* Between attempts that fail: doubled up to this. */
#define WARMER_RETRY_MAX_MS 60000

#define WARMER_NICE 10

struct warmer {
    pthread_t thread;
    struct trust_view *view;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* under the lock */
    bool stopping;
    const struct config *config; /* in force */
    const struct config *used;   /* by the job that runs; NULL: none runs */
    uint64_t opened;             /* eras that this daemon had opened */
    bool opener;                 /* of the era that will be trusted next */
    uint64_t era;                /* trusted; 0: none */
    uint64_t warm_era;           /* the last one that is warm */
    int64_t try_at_ms;           /* monotonic */
    struct warmer_status status;

    /* the thread's */
    uint64_t run_era;
    uint64_t run_written; /* of this run, in status.written already */
    bool run_started;
};

static void warmer_lock(struct warmer *warmer)
{
    if (pthread_mutex_lock(&warmer->lock) != 0) {
        abort();
    }
}

static void warmer_unlock(struct warmer *warmer)
{
    if (pthread_mutex_unlock(&warmer->lock) != 0) {
        abort();
    }
}

/* What pthread_cond_timedwait counts by. */
static int64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- what the control thread tells ------------------------------------------------------------*/

void warmer_note_trust(struct warmer *warmer, const struct trust_status *trust)
{
    bool closed = trust->phase == TRUST_CLOSING || trust->phase == TRUST_DRAINED;

    warmer_lock(warmer);
    warmer->opener = warmer->opener || trust->opened != warmer->opened;
    warmer->opened = trust->opened;
    if (closed || trust->era != warmer->era) {
        warmer->era = 0;
    }
    if (trust->phase == TRUST_TRUSTING && trust->era != warmer->era) {
        warmer->era = trust->era;
        warmer->try_at_ms = monotonic_ms() + (warmer->opener ? 0 : WARMER_LOOK_MS);
        warmer->opener = false;
        warmer->status.accounts = warmer->status.estimate = 0;
        warmer->status.percent = 0;
        pthread_cond_signal(&warmer->changed);
    }
    warmer_unlock(warmer);
}

void warmer_offer_config(struct warmer *warmer, const struct config *config)
{
    warmer_lock(warmer);
    warmer->config = config;
    pthread_cond_signal(&warmer->changed);
    warmer_unlock(warmer);
}

bool warmer_holds_config(struct warmer *warmer, const struct config *config)
{
    warmer_lock(warmer);
    bool holds = warmer->config == config || warmer->used == config;
    warmer_unlock(warmer);
    return holds;
}

void warmer_stop(struct warmer *warmer)
{
    warmer_lock(warmer);
    warmer->stopping = true;
    pthread_cond_signal(&warmer->changed);
    warmer_unlock(warmer);
}

void warmer_status(struct warmer *warmer, struct warmer_status *status)
{
    warmer_lock(warmer);
    *status = warmer->status;
    warmer_unlock(warmer);
}

/* --- one warming ------------------------------------------------------------------------------*/

static bool is_stopping(void *ctx)
{
    struct warmer *warmer = ctx;

    warmer_lock(warmer);
    bool stopping = warmer->stopping;
    warmer_unlock(warmer);
    return stopping;
}

static bool is_wanted(void *ctx, int64_t *rate)
{
    struct warmer *warmer = ctx;

    warmer_lock(warmer);
    bool wanted = !warmer->stopping && warmer->era == warmer->run_era && warmer->config->cache.warm;
    *rate = warmer->config->cache.warm_rate;
    warmer_unlock(warmer);
    return wanted;
}

static void has_started(void *ctx, uint64_t estimate)
{
    struct warmer *warmer = ctx;

    warmer->run_started = true;
    warmer_lock(warmer);
    warmer->status.running = true;
    warmer->status.estimate = estimate;
    warmer_unlock(warmer);
    log_info("warm-start", "era=%llu accounts_about=%llu", (unsigned long long)warmer->run_era,
             (unsigned long long)estimate);
}

static void has_moved(void *ctx, const struct rebuild_result *so_far)
{
    struct warmer *warmer = ctx;

    warmer_lock(warmer);
    struct warmer_status *status = &warmer->status;
    if (warmer->era == warmer->run_era) {
        /* Those that changed last are written before the walk over all begins to count. */
        uint64_t done = so_far->accounts, all = status->estimate;
        done = done > so_far->written ? done : so_far->written;
        status->accounts = done;
        status->percent = all == 0 ? 0 : done < all ? (int)(done * 99 / all) : 99;
    }
    status->written += so_far->written - warmer->run_written;
    warmer->run_written = so_far->written;
    warmer_unlock(warmer);
}

static enum job_result warmer_run(struct warmer *warmer, const struct config *config,
                                  char why[JOB_ERROR_ROOM])
{
    const struct job_host host = {warmer->view, is_stopping, warmer};
    const struct warm_options options = {warmer->run_era, is_wanted, has_started, has_moved,
                                         warmer};
    struct rebuild_result result = {0};
    bool full = false;
    struct job *job = job_create_hosted(config, "warm", &host, why);

    if (job == NULL) {
        return JOB_OPERATOR;
    }
    enum job_result end = warm_run(job, &options, &result, &full);
    memcpy(why, job->error, JOB_ERROR_ROOM);
    job_free(job);
    if (end == JOB_OK && full) {
        strcpy(why, "Redis uses most of its maxmemory: the rest comes as it is read");
    } else if (end == JOB_OK) {
        why[0] = '\0';
    }
    if (warmer->run_started) {
        log_info("warm-end", "era=%llu result=%s accounts=%llu written=%llu seconds=%.1f why=%s",
                 (unsigned long long)warmer->run_era, end == JOB_OK ? "done" : "stopped",
                 (unsigned long long)result.accounts, (unsigned long long)result.written,
                 result.seconds, LOG_VALUE(why));
    } else if (end != JOB_OK && end != JOB_LATER && end != JOB_INTERRUPTED) {
        log_warn("warm-failed", "era=%llu why=%s", (unsigned long long)warmer->run_era,
                 LOG_VALUE(why));
    }
    return end;
}

/* --- the thread -------------------------------------------------------------------------------*/

/* Under the lock: until there is an era to warm; false: the daemon ends. */
static bool warmer_await(struct warmer *warmer)
{
    while (!warmer->stopping) {
        bool wanted =
            warmer->era != 0 && warmer->era != warmer->warm_era && warmer->config->cache.warm;
        if (!wanted) {
            pthread_cond_wait(&warmer->changed, &warmer->lock);
            continue;
        }
        if (monotonic_ms() >= warmer->try_at_ms) {
            return true;
        }
        struct timespec until = {warmer->try_at_ms / 1000, warmer->try_at_ms % 1000 * 1000000};
        pthread_cond_timedwait(&warmer->changed, &warmer->lock, &until);
    }
    return false;
}

/* Under the lock: what the end of a run means. retry_ms: of the last failure. */
static void warmer_conclude(struct warmer *warmer, enum job_result end, int64_t *retry_ms)
{
    struct warmer_status *status = &warmer->status;
    bool same_era = warmer->era == warmer->run_era;

    status->running = false;
    switch (end) {
    case JOB_OK:
        status->done += warmer->run_started;
        warmer->warm_era = warmer->run_era;
        status->percent = same_era ? 100 : status->percent;
        *retry_ms = WARMER_LOOK_MS;
        break;
    case JOB_LATER:
    case JOB_INTERRUPTED:
        status->stopped += warmer->run_started;
        *retry_ms = WARMER_LOOK_MS;
        break;
    case JOB_UNREACHABLE:
    case JOB_OPERATOR:
    case JOB_FAILED:
        status->failed++;
        *retry_ms = 2 * *retry_ms < WARMER_RETRY_MAX_MS ? 2 * *retry_ms : WARMER_RETRY_MAX_MS;
        break;
    }
    if (same_era) {
        warmer->try_at_ms = monotonic_ms() + *retry_ms; /* a new era has its own */
    }
}

static void *warmer_main(void *arg)
{
    struct warmer *warmer = arg;
    int64_t retry_ms = WARMER_LOOK_MS;
    char why[JOB_ERROR_ROOM];

    pthread_setname_np(pthread_self(), "warmer");
    /* Of this thread alone, on Linux: where processors are short, those who serve come first. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), WARMER_NICE);
    warmer_lock(warmer);
    while (warmer_await(warmer)) {
        warmer->used = warmer->config;
        warmer->run_era = warmer->era;
        warmer->run_written = 0;
        warmer->run_started = false;
        warmer_unlock(warmer);
        why[0] = '\0';
        enum job_result end = warmer_run(warmer, warmer->used, why);
        warmer_lock(warmer);
        warmer->used = NULL;
        warmer_conclude(warmer, end, &retry_ms);
    }
    warmer_unlock(warmer);
    return NULL;
}

struct warmer *warmer_create(const struct config *config, struct trust_view *view)
{
    struct warmer *warmer = calloc(1, sizeof *warmer);
    pthread_condattr_t by_monotonic;
    sigset_t all, before;

    if (warmer == NULL || pthread_mutex_init(&warmer->lock, NULL) != 0 ||
        pthread_condattr_init(&by_monotonic) != 0 ||
        pthread_condattr_setclock(&by_monotonic, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&warmer->changed, &by_monotonic) != 0) {
        abort();
    }
    pthread_condattr_destroy(&by_monotonic);
    warmer->config = config;
    warmer->view = view;
    /* Signals are the control thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&warmer->thread, NULL, warmer_main, warmer) != 0) {
        abort();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return warmer;
}

void warmer_free(struct warmer *warmer)
{
    if (warmer == NULL) {
        return;
    }
    warmer_stop(warmer);
    if (pthread_join(warmer->thread, NULL) != 0) {
        abort();
    }
    pthread_cond_destroy(&warmer->changed);
    pthread_mutex_destroy(&warmer->lock);
    free(warmer);
}
