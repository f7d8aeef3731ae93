/* Statements of jobs: what waits for the store, and what a repeat may mend. */
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "ops/job.h"

#define RETRY_PAUSE_US (20 * 1000)

struct query {
    bool answered;
    enum store_status status;
    struct store_error error;
    job_rows_fn *visit;
    store_line_fn *line;
    void *arg;
};

static void on_done(void *arg, enum store_status status, const struct store_error *error)
{
    struct query *query = arg;

    query->answered = true;
    query->status = status;
    if (status != STORE_OK) {
        query->error = *error;
    }
}

static void on_rows(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_rows *rows)
{
    struct query *query = arg;

    on_done(arg, status, error);
    if (status == STORE_OK && query->visit != NULL) {
        query->visit(query->arg, rows);
    }
}

static void on_line(void *arg, const char *line, size_t len)
{
    const struct query *query = arg;

    query->line(query->arg, line, len);
}

static bool store_is_ready(void *arg)
{
    return store_link_ready(((struct job *)arg)->store);
}

static bool is_answered(void *arg)
{
    return ((struct query *)arg)->answered;
}

/* Waits until the store takes a request. */
static enum job_result await_turn(struct job *job, const struct query *query, int64_t deadline_us)
{
    if (job->store == NULL) {
        return job_fail(job, JOB_INTERRUPTED, "interrupted");
    }
    switch (job_wait(job, store_is_ready, job, deadline_us)) {
    case JOB_READY:
        break;
    case JOB_SIGNAL:
        return job_fail(job, JOB_INTERRUPTED, "interrupted");
    case JOB_DEADLINE:
        return job_fail(job, JOB_UNREACHABLE, "PostgreSQL cannot be reached: %s",
                        query->error.text[0] != '\0' ? query->error.text
                                                     : store_link_why(job->store));
    }
    return JOB_OK;
}

/* What the answer means; JOB_LATER: a repeat may do better. */
static enum job_result judge(struct job *job, const struct query *query, bool again)
{
    const char *why = query->error.text;

    switch (query->status) {
    case STORE_OK:
        return JOB_OK;
    case STORE_IN_DOUBT:
        return again ? JOB_LATER : job_fail(job, JOB_UNREACHABLE, "PostgreSQL went away: %s", why);
    case STORE_UNSENT:
    case STORE_TRANSIENT:
        break;
    case STORE_READONLY:
        return job_fail(job, JOB_UNREACHABLE, "PostgreSQL takes no writes: %s", why);
    case STORE_REFUSED:
    case STORE_LOCAL_ONLY:
        return job_fail(job, JOB_FAILED, "PostgreSQL: %s", why);
    }
    return JOB_LATER;
}

/* Waits for the answer to a statement that may take minutes; an interruption does not. */
static void await_answer(struct job *job, struct query *query)
{
    if (job_wait(job, is_answered, query, INT64_MAX) == JOB_SIGNAL && job->store != NULL) {
        store_link_cut(job->store);
    }
    job_finish(job, is_answered, query);
}

enum job_result job_query(struct job *job, const char *sql, const char *const *params, int count,
                          bool again, job_rows_fn *visit, void *arg)
{
    return job_query_long(job, sql, params, count, 0, again, visit, arg);
}

enum job_result job_query_long(struct job *job, const char *sql, const char *const *params,
                               int count, int timeout_ms, bool again, job_rows_fn *visit, void *arg)
{
    int64_t deadline_us = clock_boot_us() + job->patience_us;
    struct query query = {.visit = visit, .arg = arg};

    for (;;) {
        enum job_result end = await_turn(job, &query, deadline_us);
        if (end != JOB_OK) {
            return end;
        }
        query.answered = false;
        store_query(job->store, sql, params, count, timeout_ms, on_rows, &query);
        if (timeout_ms > 0) {
            await_answer(job, &query);
        } else {
            job_finish(job, is_answered, &query);
        }
        end = judge(job, &query, again);
        if (end != JOB_LATER) {
            return end;
        }
        if (clock_boot_us() >= deadline_us) {
            return job_fail(job, JOB_UNREACHABLE, "PostgreSQL: %s", query.error.text);
        }
        job_pause(job, RETRY_PAUSE_US);
    }
}

enum job_result job_copy(struct job *job, const char *sql, const int32_t *numbers, int count,
                         int timeout_ms, store_line_fn *line, void *arg)
{
    struct query query = {.line = line, .arg = arg};
    enum job_result end = await_turn(job, &query, clock_boot_us() + job->patience_us);

    if (end != JOB_OK) {
        return end;
    }
    store_copy(job->store, sql, numbers, count, timeout_ms, on_line, on_done, &query);
    await_answer(job, &query);
    end = judge(job, &query, true);
    if (end == JOB_LATER && job->interrupted) {
        return job_fail(job, JOB_INTERRUPTED, "interrupted");
    }
    if (end == JOB_LATER) {
        (void)job_fail(job, end, "PostgreSQL went away: %s", query.error.text);
    }
    return end;
}

static void take_int(void *arg, const struct store_rows *rows)
{
    const char *text = rows->rows > 0 ? rows->value(rows, 0, 0) : NULL;

    if (text == NULL || decimal_parse_int64(text, strlen(text), arg) != DECIMAL_OK) {
        *(int64_t *)arg = text != NULL && strcmp(text, "t") == 0;
    }
}

enum job_result job_query_int(struct job *job, const char *sql, const char *const *params,
                              int count, bool again, int64_t *value)
{
    *value = 0;
    return job_query(job, sql, params, count, again, take_int, value);
}
