/*
 * ops/job.h: what a job (rebuild, reconcile, migrate) stands on: an event loop of its own, links
 * to store and cache, and, where it writes to the cache, a lease like a daemon's.
 *
 * A job is a program of one thread that mostly waits: job_query() and job_wait() run the loop until
 * something has happened, and may be called from anywhere but from a callback. What is pipelined
 * (rebuild) moves on in the condition that it waits for: that is asked after every turn.
 *
 * A daemon can be the host of a job, on a thread of the job's own: the job then believes what the
 * daemon's trust view says instead of taking a lease, and ends when the daemon does.
 */
#ifndef BALLAST_OPS_JOB_H
#define BALLAST_OPS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config.h"
#include "base/list.h"
#include "cache/cache.h"
#include "core/trust.h"
#include "core/trust_view.h"
#include "store/store.h"

struct event_base;
struct event;

#define JOB_ERROR_ROOM 512
#define JOB_RUNNER_ROOM 128
#define JOB_DAEMON_PREFIX "ballastd " /* of the runner that is a daemon */

enum job_result {
    JOB_OK,
    JOB_UNREACHABLE, /* the store or the cache, for longer than the job's patience */
    JOB_OPERATOR,    /* the store has no schema, or another one; the configuration is wrong */
    JOB_FAILED,      /* refused in a way that a repeat would meet again */
    JOB_LATER,       /* somebody else is at it */
    JOB_INTERRUPTED  /* SIGINT or SIGTERM */
};

/* How the job sees the database that it finds. */
enum job_store { JOB_STORE_WHOLE, JOB_STORE_BARE /* whatever is in it (store/bare.h) */ };

/* The daemon that a job runs in. */
struct job_host {
    struct trust_view *view;
    /* Whether the daemon ends; asked from the job's thread at least every 20 ms. */
    bool (*stopping)(void *ctx);
    void *ctx;
};

/* Fields above the line may be read by the code of jobs. The links are NULL once a host that ends
 * has cut the job off. */
struct job {
    const struct config *config;
    const struct job_host *host; /* NULL: a program of its own */
    struct event_base *base;
    struct store_link *store;     /* of job_query and pages */
    struct store_link *reader;    /* of job_read_accounts; NULL for a bare store */
    struct cache_link *cache;     /* NULL before job_open_cache */
    char runner[JOB_RUNNER_ROOM]; /* "host:pid"; of a daemon's job "ballastd host:pid" */
    int64_t patience_us;          /* how long to wait for a server that is away */
    bool interrupted;             /* by a signal, or the host ends */
    uint64_t store_downs; /* how often the store's link was lost: session locks went with it */
    char error[JOB_ERROR_ROOM]; /* why the last call failed: a sentence */

    /* --- own to the files of the job --- */
    struct store_link *control; /* of the trust machine */
    struct trust_view *view;
    struct trust *trust;
    struct event *trust_timer, *trust_wake, *deadline, *signals[2];
    bool trust_stopped;
    int64_t turn_by_us;     /* the turn of the loop ends by then; 0: at its own time */
    int64_t interrupted_us; /* when the host's end was noticed; 0: not yet */
    struct list reads;      /* waiting for the reader's link */
    bool reading;
};

/* name: "rebuild", for application_name and leases. NULL with err set: the configuration. */
struct job *job_create(const struct config *config, const char *name, enum job_store store,
                       char err[JOB_ERROR_ROOM]) MUST_CHECK;
/* The same inside a daemon, whose signals are left alone. config and host must stay. */
struct job *job_create_hosted(const struct config *config, const char *name,
                              const struct job_host *host, char err[JOB_ERROR_ROOM]) MUST_CHECK;
/* Gives the lease back first. */
void job_free(struct job *job);

/* Sets job->error and returns result: `return job_fail(job, JOB_FAILED, "...")`. */
enum job_result job_fail(struct job *job, enum job_result result, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* JOB_OK, or JOB_INTERRUPTED where a signal has come: for the loop of a job whose every step is done
 * soon. What waits (job_wait() and what stands on it) notices a signal by itself, but only while it
 * has to wait. */
enum job_result job_go_on(struct job *job) MUST_CHECK;

/* Runs the loop until ready(arg), the deadline (clock_boot_us), or an interruption. ready is asked
 * after every turn of the loop, and at least every 20 ms. */
enum job_wait_end { JOB_READY, JOB_DEADLINE, JOB_SIGNAL };
enum job_wait_end job_wait(struct job *job, bool (*ready)(void *arg), void *arg,
                           int64_t deadline_us);
/* The same to the very end: for what will happen for certain, because every request is answered,
 * and must have happened before memory is given back. Where the host ends, a server that is slow to
 * answer is not waited for: its link is closed. */
void job_finish(struct job *job, bool (*ready)(void *arg), void *arg);
/* The condition that is waited for wants to be asked again by then, at the latest. */
void job_turn_by(struct job *job, int64_t at_us);
/* Runs the loop for that long. */
enum job_wait_end job_pause(struct job *job, int64_t duration_us);

/* Waits until the store's links are up. */
enum job_result job_connect_store(struct job *job) MUST_CHECK;
/* Creates the cache's link and waits until it is up. */
enum job_result job_open_cache(struct job *job) MUST_CHECK;

/* --- the store --------------------------------------------------------------------------------*/

typedef void job_rows_fn(void *arg, const struct store_rows *rows);

/*
 * One statement of text parameters; visit (may be NULL) sees its rows. Waits for a link that is
 * down, and repeats what was rolled back, for up to the job's patience; a statement in doubt is
 * repeated only where `again` says that this does no harm.
 */
enum job_result job_query(struct job *job, const char *sql, const char *const *params, int count,
                          bool again, job_rows_fn *visit, void *arg) MUST_CHECK;
/* The same, for a statement that may take longer than the link's own timeout; an interruption does not
 * wait for its end. */
enum job_result job_query_long(struct job *job, const char *sql, const char *const *params,
                               int count, int timeout_ms, bool again, job_rows_fn *visit,
                               void *arg) MUST_CHECK;

/* One COPY (store_copy()), long as well: line sees its rows. JOB_LATER: it broke off, and a repeat may
 * do better. */
enum job_result job_copy(struct job *job, const char *sql, const int32_t *numbers, int count,
                         int timeout_ms, store_line_fn *line, void *arg) MUST_CHECK;

/* The first column of the first row, as a number; 0 where there is none. */
enum job_result job_query_int(struct job *job, const char *sql, const char *const *params,
                              int count, bool again, int64_t *value) MUST_CHECK;

/* A read of accounts that waits for its turn on the reader's link. Set the first part. */
struct job_read {
    const struct account_id *const *ids;
    size_t count; /* at least 1 */
    store_accounts_fn *done;
    void *arg;

    struct list link;
    struct job *job;
};
void job_read_accounts(struct job *job, struct job_read *read);

/* --- the lease --------------------------------------------------------------------------------*/

/* Takes part in trust as a daemon does, from now on; needs store and cache. May open an era. A
 * job in a daemon goes by the daemon's: every write of a job is guarded in Redis itself (T9), so
 * that a lease of its own would make nothing safer, and the closing of an era slower. */
enum job_result job_take_lease(struct job *job) MUST_CHECK;
/* Whether values may be written now, and under which era. */
bool job_trusts(struct job *job, struct trust_era *era);
/* Redis does not bear the stamp of this era: it is closed if it is still open, and the next one is
 * opened on what Redis is now. */
void job_suspect(struct job *job, uint64_t era);
/* Waits until job_trusts. */
enum job_result job_await_trust(struct job *job, struct trust_era *era) MUST_CHECK;
/* Why it does not trust, a phrase. */
const char *job_distrust_why(struct job *job);

#endif
