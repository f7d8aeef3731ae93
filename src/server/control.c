/*
 * The control thread's links, and what runs on them.
 *
 * Postings made in SQL. ballast.post() notifies the accounts that it touched; every daemon hands
 * each to one of its workers, which makes the cache show it. A notice that cannot be handed on, or
 * may have been missed, leaves a value in the cache that nobody would ever correct: the era is
 * closed instead. Missed may be what was posted while this daemon did not listen, unless another
 * daemon did: see control_close_gap().
 */
#include "ops/link_options.h"
#include "server/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/loop.h"

/* What the board shows is at most so old. */
#define CONTROL_TICK_MS 1000

/* Until the store has answered for the first time, it may turn out to need an operator. */
#define CONTROL_START_TICK_MS 25

struct gap {
    bool open;       /* notices may have been missed before up_us */
    int64_t up_us;   /* when listening began */
    uint64_t opened; /* eras opened by this daemon until then */
};

struct control {
    struct event_base *base;
    struct control_options options;
    char daemon[64];
    int64_t lease_us;
    struct store_link *store;
    struct cache_link *cache;
    struct trust *trust;
    struct event *trust_timer;
    struct event *tick_timer;
    struct loop_wake wake;
    bool was_up; /* the store has been up once */
    bool told;   /* needs_operator was called */
    bool ending;
    struct gap gap;
    uint64_t suspected; /* the last era that was closed for the sake of notices */
    uint64_t notices, notices_overflow, fences;
    void (*stopped)(void *ctx);
};

/* --- trust ------------------------------------------------------------------------------------*/

/* Once an era, however many notices are lost in it. */
static void control_close_era(struct control *control, uint64_t era, const char *reason)
{
    if (era <= control->suspected) {
        return;
    }
    control->suspected = era;
    control->fences++;
    log_warn("era-suspect", "era=%llu reason=%s", (unsigned long long)era, reason);
    trust_view_suspect(control->options.view, era);
}

/*
 * Decides once for each time that listening began, as soon as the lease has been renewed since. An
 * era that this daemon opened afterwards holds nothing older. With another daemon alive there was
 * somebody who listened; one whose lease is left behind is found silent, and its era closed, by
 * the trust machine.
 */
static void control_close_gap(struct control *control, const struct trust_status *trust)
{
    struct gap *gap = &control->gap;

    if (!gap->open || trust->valid_until_us < gap->up_us + control->lease_us) {
        return;
    }
    gap->open = false;
    if (trust->leases <= 1 && trust->opened == gap->opened) {
        control_close_era(control, trust->era, "notices-missed");
    }
}

static void control_show(struct control *control)
{
    struct trust_status trust;

    trust_status(control->trust, &trust);
    board_put_trust(control->options.board, &trust);
    control->options.trust_shown(control->options.ctx, &trust);
    control_close_gap(control, &trust);
}

static void control_trust_due(int fd, short what, void *arg)
{
    struct control *control = arg;

    (void)fd;
    (void)what;
    trust_tick(control->trust);
    control_show(control);
}

static void control_need_timer(void *ctx, int64_t at_us)
{
    struct control *control = ctx;

    loop_timer_at(control->trust_timer, at_us);
    if (control->trust != NULL) { /* else it is being made */
        control_show(control);    /* asked for at the end of every step: its state may be another */
    }
}

static void control_trust_stopped(void *ctx)
{
    struct control *control = ctx;

    if (!control->ending) {
        control->stopped(control->options.ctx);
    }
}

static void control_woken(void *arg)
{
    struct control *control = arg;

    trust_wake(control->trust);
    control_show(control);
}

void control_wake(struct control *control)
{
    loop_wake_signal(&control->wake);
}

void control_stop(struct control *control, void (*stopped)(void *ctx))
{
    control->stopped = stopped;
    trust_stop(control->trust);
}

/* --- links ------------------------------------------------------------------------------------*/

static void control_links_changed(struct control *control)
{
    if (!control->ending) {
        trust_links_changed(control->trust);
        control_show(control);
    }
}

static void control_store_up(void *ctx, struct store_link *link)
{
    struct control *control = ctx;
    struct trust_status trust;

    (void)link;
    trust_status(control->trust, &trust);
    control->was_up = true;
    control->gap = (struct gap){true, clock_boot_us(), trust.opened};
    control_links_changed(control);
}

static void control_store_down(void *ctx, struct store_link *link, const char *why)
{
    (void)link;
    (void)why;
    control_links_changed(ctx);
}

static void control_cache_up(void *ctx, struct cache_link *link)
{
    (void)link;
    control_links_changed(ctx);
}

static void control_cache_down(void *ctx, struct cache_link *link, const char *why)
{
    (void)link;
    (void)why;
    control_links_changed(ctx);
}

static void control_tick(int fd, short what, void *arg)
{
    struct control *control = arg;

    (void)fd;
    (void)what;
    if (!control->was_up && !control->told && store_link_needs_operator(control->store)) {
        control->told = true;
        control->options.needs_operator(control->options.ctx, store_link_why(control->store));
    }
    control_show(control);
    loop_timer_in_ms(control->tick_timer,
                     control->was_up || control->told ? CONTROL_TICK_MS : CONTROL_START_TICK_MS);
}

/* --- notices ----------------------------------------------------------------------------------*/

static void control_refresh(struct worker *worker, const void *data)
{
    engine_refresh(worker->engine, data);
}

/* payload: account ids, separated by spaces. */
static void control_journal_notified(struct control *control, const char *payload)
{
    bool overflow = false;

    for (const char *at = payload; *at != '\0';) {
        size_t len = strcspn(at, " ");
        struct account_id id;

        if (account_id_parse(&id, at, len) && !account_id_is_system(&id)) {
            int index = (int)(account_id_hash(&id) % (uint32_t)control->options.worker_count);
            control->notices++;
            if (!worker_post(control->options.workers[index], control_refresh, &id, sizeof id)) {
                control->notices_overflow++;
                overflow = true;
            }
        }
        at += len;
        at += strspn(at, " ");
    }
    if (overflow) {
        struct trust_status trust;
        trust_status(control->trust, &trust);
        control_close_era(control, trust.era, "notices-overflow");
    }
}

static void control_notified(void *ctx, struct store_link *link, const char *channel,
                             const char *payload)
{
    struct control *control = ctx;

    (void)link;
    if (strcmp(channel, "ballast_era") == 0) {
        trust_notified(control->trust);
        control_show(control);
    } else if (strcmp(channel, "ballast_journal") == 0) {
        control_journal_notified(control, payload);
    }
}

/* --- making and freeing -----------------------------------------------------------------------*/

static void control_make_links(struct control *control, const struct config *config)
{
    static const struct store_hooks store_hooks = {
        .up = control_store_up, .down = control_store_down, .notify = control_notified};
    static const struct cache_hooks cache_hooks = {.up = control_cache_up,
                                                   .down = control_cache_down};
    char err[STORE_TEXT_MAX], address[ADDRESS_TEXT_ROOM];
    struct store_options store = store_options_of(config, "ballastd control");
    struct cache_options cache = cache_options_of(config, address);

    store.listen = true;
    control->store =
        store_link_create(control->base, &store, &store_hooks, control, err, sizeof err);
    control->cache = cache_link_create(control->base, &cache, &cache_hooks, control);
    if (control->store == NULL || control->cache == NULL) {
        abort(); /* conninfo was checked before: no memory */
    }
}

struct control *control_create(struct event_base *base, const struct control_options *options)
{
    static const struct trust_hooks trust_hooks = {.need_timer = control_need_timer,
                                                   .stopped = control_trust_stopped};
    struct control *control = calloc(1, sizeof *control);

    if (control == NULL) {
        abort();
    }
    control->base = base;
    control->options = *options;
    control->lease_us = options->config->cache.lease_ms * 1000;
    snprintf(control->daemon, sizeof control->daemon, "%s", options->daemon);
    control->trust_timer = loop_timer_new(base, control_trust_due, control);
    control->tick_timer = loop_timer_new(base, control_tick, control);
    loop_wake_open(&control->wake, base, control_woken, control);
    control_make_links(control, options->config);
    struct trust_options trust_options = {
        .daemon = control->daemon,
        .incarnation = control->daemon + strlen(control->daemon) - 16,
        .lease_us = control->lease_us,
        .stand_aside = options->config->cache.when_cut_off == CONFIG_CUT_OFF_ASIDE,
    };
    control->trust = trust_create(&trust_options, options->view, control->store, control->cache,
                                  &trust_hooks, control);
    loop_timer_in_ms(control->tick_timer, CONTROL_START_TICK_MS);
    return control;
}

void control_free(struct control *control)
{
    if (control == NULL) {
        return;
    }
    control->ending = true;
    trust_free(control->trust); /* first: it looks at both links when a request of its ends */
    store_link_free(control->store);
    cache_link_free(control->cache);
    event_free(control->trust_timer);
    event_free(control->tick_timer);
    loop_wake_close(&control->wake);
    free(control);
}

void control_status(const struct control *control, struct control_status *status)
{
    *status = (struct control_status){
        .daemon = control->daemon,
        .store_up = store_link_is_up(control->store),
        .cache_up = cache_link_is_up(control->cache),
        .store_why = store_link_why(control->store),
        .cache_why = cache_link_why(control->cache),
        .notices = control->notices,
        .notices_overflow = control->notices_overflow,
        .fences = control->fences,
    };
    trust_status(control->trust, &status->trust);
}
