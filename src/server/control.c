/*
 * The control thread's links, and what runs on them: the trust machine on one to the store, the
 * journal's tail on another, so that neither waits for the other's statements; both on one link to
 * the cache.
 */
#include "ops/link_options.h"
#include "server/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "server/loop.h"

/* What the board shows is at most so old. */
#define CONTROL_TICK_MS 1000

/* Until the store has answered for the first time, it may turn out to need an operator. */
#define CONTROL_START_TICK_MS 25

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
    struct store_link *tail_store;
    struct tail *tail;
    struct event *tail_timer;
    void (*stopped)(void *ctx);
};

/* --- trust ------------------------------------------------------------------------------------*/

static void control_show(struct control *control)
{
    struct trust_status trust;

    trust_status(control->trust, &trust);
    board_put_trust(control->options.board, &trust);
    control->options.trust_shown(control->options.ctx, &trust);
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

void control_tell_health(struct control *control, const char *text)
{
    store_link_tell_health(control->store, text);
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

static struct store_link *control_make_store_link(struct control *control,
                                                  const struct store_options *options,
                                                  const struct store_hooks *hooks)
{
    char err[STORE_TEXT_MAX];
    struct store_link *link =
        store_link_create(control->base, options, hooks, control, err, sizeof err);

    if (link == NULL) {
        abort(); /* conninfo was checked before: no memory */
    }
    return link;
}

static void control_store_up(void *ctx, struct store_link *link)
{
    struct control *control = ctx;

    (void)link;
    control->was_up = true;
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
    tail_links_changed(((struct control *)ctx)->tail);
}

static void control_cache_down(void *ctx, struct cache_link *link, const char *why)
{
    (void)link;
    (void)why;
    control_links_changed(ctx);
}

static void control_notified(void *ctx, struct store_link *link, const char *channel,
                             const char *payload)
{
    struct control *control = ctx;

    (void)link;
    (void)channel;
    (void)payload;
    trust_notified(control->trust);
    control_show(control);
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

/* --- the tail ---------------------------------------------------------------------------------*/

static void control_tail_due(int fd, short what, void *arg)
{
    struct control *control = arg;

    (void)fd;
    (void)what;
    tail_tick(control->tail);
}

static void control_tail_need_timer(void *ctx, int64_t at_us)
{
    struct control *control = ctx;
    loop_timer_at(control->tail_timer, at_us);
}

static void control_tail_up(void *ctx, struct store_link *link)
{
    struct control *control = ctx;

    cache_link_set_mac_key(control->cache, store_link_mac_key(link));
    tail_links_changed(control->tail);
}

static void control_tail_notified(void *ctx, struct store_link *link, const char *channel,
                                  const char *payload)
{
    struct control *control = ctx;

    (void)link;
    (void)channel;
    (void)payload;
    tail_notified(control->tail);
}

static void control_make_tail(struct control *control)
{
    static const struct store_hooks store_hooks = {.up = control_tail_up,
                                                   .notify = control_tail_notified};
    static const struct tail_hooks tail_hooks = {.need_timer = control_tail_need_timer};
    struct store_options options = store_options_of(control->options.config, "ballastd tail");

    options.listen = STORE_JOURNAL_CHANNEL;
    control->tail_store = control_make_store_link(control, &options, &store_hooks);
    control->tail = tail_create(control->options.view, control->tail_store, control->cache,
                                &tail_hooks, control);
}

/* --- making and freeing -----------------------------------------------------------------------*/

static void control_make_links(struct control *control, const struct config *config)
{
    static const struct store_hooks store_hooks = {
        .up = control_store_up, .down = control_store_down, .notify = control_notified};
    static const struct cache_hooks cache_hooks = {.up = control_cache_up,
                                                   .down = control_cache_down};
    char address[ADDRESS_TEXT_ROOM];
    struct store_options store = store_options_of(config, "ballastd control");
    struct cache_options cache = cache_options_of(config, address);

    store.listen = STORE_ERA_CHANNEL;
    control->store = control_make_store_link(control, &store, &store_hooks);
    control->cache = cache_link_create(control->base, &cache, &cache_hooks, control);
    if (control->cache == NULL) {
        abort();
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
    control->tail_timer = loop_timer_new(base, control_tail_due, control);
    control_make_links(control, options->config);
    control_make_tail(control);
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
    tail_detach(control->tail);
    store_link_free(control->tail_store);
    store_link_free(control->store);
    cache_link_free(control->cache);
    tail_free(control->tail);
    event_free(control->tail_timer);
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
    };
    tail_status(control->tail, &status->tail);
    trust_status(control->trust, &status->trust);
}
