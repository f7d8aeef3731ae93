/*
 * One request at a time:
 *
 *   watch ──> holds are due ──> expire ──> more of them than one batch ends ──> expire ...
 *     ^            no │            └─────────────────┐
 *     └── in a second, or when the next hold is due <┘
 */
#include "server/tender.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "server/loop.h"

#define TENDER_WATCH_MS 1000
/* Two daemons that wait for the same hold should not meet at the same account. */
#define TENDER_APART_MS 50
/* Holds that one batch ends: about 30 ms in the store. */
#define TENDER_HOLDS 500
#define TENDER_TIMEOUT_US (INT64_C(5) * 1000 * 1000)

struct tender {
    struct worker *worker;
    struct event *timer;
    struct query_item watch;
    bool stopping;
    bool blown[2]; /* as was logged last: charges, suspensions */
};

/* The columns of sql/watch.sql. */
enum {
    AT_CHARGES,
    AT_CHARGES_COUNTED,
    AT_SUSPENSIONS,
    AT_SUSPENSIONS_COUNTED,
    AT_CHARGES_OPEN,
    AT_CHARGE_OLDEST,
    AT_HOLDS_DUE,
    AT_NEXT_DUE_MS,
    AT_COUNT
};

static void wait_ms(struct tender *tender, int64_t ms)
{
    if (!tender->stopping) {
        loop_timer_in_ms(tender->timer, ms);
    }
}

/* --- holds whose time is up -------------------------------------------------------------------*/

static void expired(struct write_item *item)
{
    struct tender *tender = item->owner;
    const struct mutation_result *result = &item->posting.result;

    if (result->outcome != OUTCOME_OK) {
        wait_ms(tender, TENDER_WATCH_MS);
        return;
    }
    metrics_add(&tender->worker->metrics->holds_expired, result->transfer);
    wait_ms(tender, result->transfer > 0 ? 0 : TENDER_WATCH_MS);
}

static void expire(struct tender *tender)
{
    struct write_item *item = engine_write_new(tender->worker->engine);

    if (item == NULL) { /* clients come first */
        wait_ms(tender, TENDER_WATCH_MS);
        return;
    }
    item->posting.mutation.kind = MUTATION_EXPIRE;
    item->posting.mutation.has_amount = true;
    item->posting.mutation.amount = TENDER_HOLDS;
    item->received_us = clock_boot_us();
    item->deadline_us = item->received_us + TENDER_TIMEOUT_US;
    item->done = expired;
    item->owner = tender;
    engine_write(tender->worker->engine, item);
}

/* --- the watch --------------------------------------------------------------------------------*/

/* 0 for NULL. */
static int64_t number(const char *cell)
{
    int64_t value;

    return cell != NULL && decimal_parse_int64(cell, strlen(cell), &value) == DECIMAL_OK ? value
                                                                                         : 0;
}

static void show_fuse(struct tender *tender, int which, const char *name, const char *state,
                      _Atomic int64_t *gauge)
{
    bool blown = state != NULL && strcmp(state, "blown") == 0;

    metrics_set(gauge, blown);
    if (blown != tender->blown[which]) {
        tender->blown[which] = blown;
        if (blown) {
            log_error("fuse-blown", "fuse=%s next=%s", name,
                      LOG_VALUE("ballast incidents; ballast fuse reset"));
        } else {
            log_info("fuse-whole", "fuse=%s", name);
        }
    }
}

static void show(struct tender *tender, const char *const *cells)
{
    struct metrics *metrics = tender->worker->metrics;

    show_fuse(tender, 0, "charges", cells[AT_CHARGES], &metrics->fuse_charges);
    show_fuse(tender, 1, "suspensions", cells[AT_SUSPENSIONS], &metrics->fuse_suspensions);
    metrics_set(&metrics->fuse_charges_counted, number(cells[AT_CHARGES_COUNTED]));
    metrics_set(&metrics->fuse_suspensions_counted, number(cells[AT_SUSPENSIONS_COUNTED]));
    metrics_set(&metrics->charges_open, number(cells[AT_CHARGES_OPEN]));
    metrics_set(&metrics->charge_oldest, number(cells[AT_CHARGE_OLDEST]));
    metrics_set(&metrics->holds_due, number(cells[AT_HOLDS_DUE]));
}

static void watched(struct query_item *item)
{
    struct tender *tender = item->owner;

    if (item->outcome != OUTCOME_OK || item->rows != 1 || item->columns != AT_COUNT) {
        wait_ms(tender, TENDER_WATCH_MS);
        return;
    }
    show(tender, item->cells);
    if (tender->stopping) {
        return;
    }
    const char *next = item->cells[AT_NEXT_DUE_MS];
    if (number(item->cells[AT_HOLDS_DUE]) > 0) {
        expire(tender);
    } else if (next != NULL && number(next) < TENDER_WATCH_MS) {
        wait_ms(tender, number(next) + (int64_t)(clock_boot_us() % TENDER_APART_MS));
    } else {
        wait_ms(tender, TENDER_WATCH_MS);
    }
}

static void due(int fd, short what, void *arg)
{
    struct tender *tender = arg;

    (void)fd;
    (void)what;
    tender->watch = (struct query_item){
        .kind = QUERY_WATCH,
        .deadline_us = clock_boot_us() + TENDER_TIMEOUT_US,
        .done = watched,
        .owner = tender,
    };
    engine_query(tender->worker->engine, &tender->watch);
}

/* --- its life ---------------------------------------------------------------------------------*/

struct tender *tender_create(struct worker *worker)
{
    struct tender *tender = calloc(1, sizeof *tender);

    if (tender == NULL) {
        abort();
    }
    tender->worker = worker;
    tender->timer = loop_timer_new(worker->base, due, tender);
    loop_timer_in_ms(tender->timer, 0);
    return tender;
}

void tender_stop(struct tender *tender)
{
    tender->stopping = true;
    event_del(tender->timer);
}

void tender_free(struct tender *tender)
{
    if (tender != NULL) {
        event_free(tender->timer);
        free(tender);
    }
}
