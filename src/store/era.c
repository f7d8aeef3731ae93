/*
 * The trust protocol's rows: leases and the era (rules T1 to T5). Each function is one statement
 * in one transaction; what a reply means is decided by the trust machine of the core, not here.
 */
#include "store/link.h"

#include <stdio.h>
#include <string.h>

#include "store/rows.h"

/* "" is none. */
static void put_text(struct params *params, const char *text)
{
    if (text[0] == '\0') {
        params_null(params);
    } else {
        params_text(params, text, strlen(text));
    }
}

/* Era ids and counters are int8 in the store. */
static void put_count(struct params *params, uint64_t value)
{
    assert(value <= INT64_MAX);
    params_int8(params, (int64_t)value);
}

/* The first columns of every reply of this file. */
#define ERA_SHAPE "8ttttb"

static bool read_era(const PGresult *rows, int row, struct store_era *era)
{
    return rows_count(rows, row, 0, &era->id) &&
           rows_copy(rows, row, 1, era->nonce, sizeof(era->nonce)) &&
           rows_era_state(rows, row, 2, &era->state) &&
           rows_copy(rows, row, 3, era->run_id, sizeof(era->run_id)) &&
           rows_copy(rows, row, 4, era->replid, sizeof(era->replid)) &&
           rows_bool(rows, row, 5, &era->switched_off);
}

/* --- leases -----------------------------------------------------------------------------------*/

/* The columns of sql/lease_renew.sql behind the era. */
enum {
    AT_ERA_TIMELINE = 6,
    AT_TIMELINE,
    AT_FSYNC,
    AT_DAEMON,
    AT_RENEWALS,
    AT_SEEN,
    AT_RUN_ID,
    AT_REPLID,
    AT_FENCED,
    AT_BORN,
    AT_DEPARTED,
    AT_TRANSACTION
};
#define LEASE_SHAPE ERA_SHAPE "ttbt88ttb888"

static bool read_lease(const PGresult *rows, int row, struct store_lease *lease)
{
    return rows_copy(rows, row, AT_DAEMON, lease->daemon, sizeof(lease->daemon)) &&
           lease->daemon[0] != '\0' && rows_count(rows, row, AT_RENEWALS, &lease->renewals) &&
           rows_count(rows, row, AT_SEEN, &lease->seen) &&
           rows_copy(rows, row, AT_RUN_ID, lease->run_id, sizeof(lease->run_id)) &&
           rows_copy(rows, row, AT_REPLID, lease->replid, sizeof(lease->replid)) &&
           rows_bool(rows, row, AT_FENCED, &lease->fenced) &&
           rows_count(rows, row, AT_BORN, &lease->born);
}

static bool read_leases(struct store_link *link, const PGresult *rows, struct store_leases *reply,
                        bool *fsync)
{
    int count = PQntuples(rows);
    struct store_lease *leases = link_scratch(link, STORE_LEASES_MAX * sizeof(*leases));
    const char *era_timeline, *timeline;

    if (!rows_have_shape(rows, LEASE_SHAPE) || count == 0 || count > STORE_LEASES_MAX ||
        !read_era(rows, 0, &reply->era) || !rows_bool(rows, 0, AT_FSYNC, fsync) ||
        !rows_count(rows, 0, AT_DEPARTED, &reply->departed) ||
        !rows_count(rows, 0, AT_TRANSACTION, &reply->transaction)) {
        return false;
    }
    era_timeline = rows_text(rows, 0, AT_ERA_TIMELINE);
    timeline = rows_text(rows, 0, AT_TIMELINE);
    reply->era.timeline_current =
        era_timeline != NULL && timeline != NULL && strcmp(era_timeline, timeline) == 0;
    for (int row = 0; row < count; row++) {
        if (!read_lease(rows, row, &leases[row])) {
            return false;
        }
    }
    reply->leases = leases;
    reply->count = (size_t)count;
    return true;
}

/* fsync can be switched off in a running server: no trust may be built on such commits (fault row
 * 13), and the next attempt to connect says so. */
static void leases_came(struct store_link *link, const struct store_request *request,
                        const struct store_reply *reply)
{
    struct store_leases leases = {0};
    struct store_error error = {"", ""};
    bool fsync = false;

    if (reply->status != STORE_OK) {
        request->done.leases(request->arg, reply->status, reply->error, NULL);
    } else if (!read_leases(link, reply->result, &leases, &fsync)) {
        error = request_misfit(request);
        request->done.leases(request->arg, STORE_REFUSED, &error, NULL);
    } else if (!fsync && !link->options.allow_fsync_off) {
        link_fail(link, "fsync was switched off in the server");
        snprintf(error.text, sizeof(error.text), "%s", link->why);
        request->done.leases(request->arg, STORE_READONLY, &error, NULL);
    } else {
        request->done.leases(request->arg, STORE_OK, reply->error, &leases);
    }
}

void store_link_tell_health(struct store_link *link, const char *text)
{
    snprintf(link->health, sizeof link->health, "%s", text);
}

void store_lease_renew(struct store_link *link, const char *daemon, const char *incarnation,
                       uint64_t seen, const char *run_id, const char *replid, uint64_t published,
                       store_leases_fn *done, void *arg)
{
    struct params *params = request_params(link);

    params_text(params, daemon, strlen(daemon));
    params_text(params, incarnation, strlen(incarnation));
    put_count(params, seen);
    put_text(params, run_id);
    put_text(params, replid);
    params_text(params, link->health, strlen(link->health));
    if (published == 0) {
        params_null(params);
    } else {
        put_count(params, published);
    }
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_LEASE_RENEW,
                                                 .finish = leases_came,
                                                 .done.leases = done,
                                                 .arg = arg});
}

static void lease_dropped(struct store_link *link, const struct store_request *request,
                          const struct store_reply *reply)
{
    (void)link;
    request->done.done(request->arg, reply->status, reply->error);
}

void store_lease_drop(struct store_link *link, const char *daemon, store_done_fn *done, void *arg)
{
    struct params *params = request_params(link);

    params_text(params, daemon, strlen(daemon));
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_LEASE_DROP,
                                                 .finish = lease_dropped,
                                                 .done.done = done,
                                                 .arg = arg});
}

static void step_came(struct store_link *link, const struct store_request *request,
                      const struct store_reply *reply)
{
    const PGresult *rows = reply->result;
    struct store_expelling step = {.another = true};

    (void)link;
    if (reply->status != STORE_OK) {
        request->done.expelled(request->arg, reply->status, reply->error, NULL);
        return;
    }
    bool fits = rows_have_shape(rows, "8") && PQntuples(rows) == 1;
    if (fits && !rows_is_null(rows, 0, 0)) {
        step.another = false;
        fits = rows_count(rows, 0, 0, &step.next);
    }
    if (!fits) {
        struct store_error error = request_misfit(request);

        request->done.expelled(request->arg, STORE_REFUSED, &error, NULL);
        return;
    }
    request->done.expelled(request->arg, STORE_OK, reply->error, &step);
}

void store_lease_expel(struct store_link *link, const struct store_lease *lease, uint64_t from,
                       store_expelled_fn *done, void *arg)
{
    struct params *params = request_params(link);

    params_text(params, lease->daemon, strlen(lease->daemon));
    put_count(params, lease->born);
    put_count(params, lease->renewals);
    put_count(params, from);
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_LEASE_EXPEL,
                                                 .finish = step_came,
                                                 .done.expelled = done,
                                                 .arg = arg});
}

/* --- the era ----------------------------------------------------------------------------------*/

static void era_came(struct store_link *link, const struct store_request *request,
                     const struct store_reply *reply)
{
    struct store_era era = {0};

    (void)link;
    if (reply->status != STORE_OK) {
        request->done.era(request->arg, reply->status, reply->error, NULL);
    } else if (!rows_have_shape(reply->result, ERA_SHAPE "b") || PQntuples(reply->result) != 1 ||
               !read_era(reply->result, 0, &era) ||
               !rows_bool(reply->result, 0, AT_ERA_TIMELINE, &era.timeline_current)) {
        struct store_error error = request_misfit(request);

        request->done.era(request->arg, STORE_REFUSED, &error, NULL);
    } else {
        request->done.era(request->arg, STORE_OK, reply->error, &era);
    }
}

static void ask_era(struct store_link *link, enum statement statement, store_era_fn *done,
                    void *arg)
{
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = statement,
                                                 .finish = era_came,
                                                 .done.era = done,
                                                 .arg = arg});
}

void store_era_read(struct store_link *link, store_era_fn *done, void *arg)
{
    request_params(link);
    ask_era(link, STATEMENT_ERA_READ, done, arg);
}

void store_era_close(struct store_link *link, uint64_t id, store_era_fn *done, void *arg)
{
    put_count(request_params(link), id);
    ask_era(link, STATEMENT_ERA_CLOSE, done, arg);
}

void store_era_drain(struct store_link *link, uint64_t id, store_era_fn *done, void *arg)
{
    put_count(request_params(link), id);
    ask_era(link, STATEMENT_ERA_DRAIN, done, arg);
}

void store_era_rewound(struct store_link *link, uint64_t known, store_era_fn *done, void *arg)
{
    put_count(request_params(link), known);
    ask_era(link, STATEMENT_ERA_REWOUND, done, arg);
}

void store_era_open(struct store_link *link, uint64_t drained, const struct store_era *next,
                    store_era_fn *done, void *arg)
{
    struct params *params = request_params(link);

    put_count(params, drained);
    put_count(params, next->id);
    params_text(params, next->nonce, strlen(next->nonce));
    put_text(params, next->run_id);
    put_text(params, next->replid);
    ask_era(link, STATEMENT_ERA_OPEN, done, arg);
}
