/*
 * The life of a link: see cache/link.h for its states.
 */
#include "cache/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/random.h"
#include "cache/command.h"

/* A key as an argument: header, prefix, id, line end. */
#define KEY_ROOM (1 + DECIMAL_ROOM + 2 + CACHE_PREFIX_MAX + ACCOUNT_ID_MAX + 2)

static void link_lost(struct cache_link *link);
static void link_release(struct cache_link *link);

void *cache_allocate(size_t size)
{
    void *memory = calloc(1, size);

    assert(memory != NULL);
    return memory;
}

int64_t cache_link_deadline(int timeout_ms)
{
    return clock_boot_us() + (int64_t)timeout_ms * 1000;
}

static void arm_timer(struct cache_link *link, int64_t due_us)
{
    int64_t delay_us = due_us - clock_boot_us();
    struct timeval delay;

    if (delay_us < 0) {
        delay_us = 0;
    }
    delay.tv_sec = delay_us / 1000000;
    delay.tv_usec = delay_us % 1000000;
    link->timer_due_us = due_us;
    event_add(link->timer, &delay);
}

/* --- commands ---------------------------------------------------------------------------------*/

void cache_link_send(struct link_command *command, const struct link_command_ops *ops, int replies,
                     int64_t deadline_us)
{
    struct cache_link *link = command->link;
    enum link_state wanted = ops == &cache_link_verify_ops ? LINK_VERIFYING : LINK_UP;

    command->ops = ops;
    command->replies = replies;
    command->reply = 0;
    command->status = CACHE_OK;
    command->deadline_us = deadline_us;
    list_init(&command->place);
    if (link->state != wanted || link->redis == NULL) {
        list_push_back(&link->refused, &command->place);
        event_active(link->turn, EV_TIMEOUT, 0);
    } else {
        list_push_back(&link->sent, &command->place);
        cache_transport_send(link, link->out.data, link->out.len, replies);
        /* Replies do not move the timer: it goes off now and then, and looks. */
        if (deadline_us < link->timer_due_us) {
            arm_timer(link, deadline_us);
        }
    }
    buffer_clear(&link->out);
}

void cache_link_refuse(struct link_command *command, const struct link_command_ops *ops)
{
    struct cache_link *link = command->link;

    command->ops = ops;
    list_init(&command->place);
    list_push_back(&link->refused, &command->place);
    event_active(link->turn, EV_TIMEOUT, 0);
}

static void end_all(struct list *commands)
{
    struct link_command *command;

    while ((command = LIST_POP_FRONT(commands, struct link_command, place)) != NULL) {
        command->ops->end(command, CACHE_LOST);
    }
}

void cache_link_on_reply(struct cache_link *link)
{
    struct link_command *command = LIST_FIRST(&link->sent, struct link_command, place);
    enum cache_status status = command->status;

    command->reply++;
    if (command->reply < command->replies) {
        return;
    }
    list_unlink(&command->place);
    command->ops->end(command, status);
    if (status == CACHE_MOVED) {
        cache_link_close(link);
    }
}

bool cache_item_is_error(const struct link_item *item, const char *code)
{
    size_t len = strlen(code);

    return item->type == REDIS_REPLY_ERROR && item->len >= len &&
           memcmp(item->bytes, code, len) == 0 && (item->len == len || item->bytes[len] == ' ');
}

bool cache_command_moved(struct link_command *command, const char *why)
{
    if (command->status == CACHE_OK) {
        command->status = CACHE_MOVED;
        cache_link_blame(command->link, "%s", why);
    }
    return true;
}

/* A broken Redis breaks every request: its error is told when it is a new one, or after a time. */
static void log_error_reply(struct cache_link *link, const struct link_item *item)
{
    const char *space = memchr(item->bytes, ' ', item->len);
    size_t len = space != NULL ? (size_t)(space - item->bytes) : item->len;
    int64_t now_us = clock_boot_us();

    if (len >= sizeof(link->error_logged)) {
        len = sizeof(link->error_logged) - 1;
    }
    if (strlen(link->error_logged) == len && memcmp(link->error_logged, item->bytes, len) == 0 &&
        now_us - link->error_logged_us < CACHE_ERROR_LOG_S * INT64_C(1000000)) {
        return;
    }
    memcpy(link->error_logged, item->bytes, len);
    link->error_logged[len] = '\0';
    link->error_logged_us = now_us;
    log_warn("cache-error", "reply=%s", LOG_VALUE_N(item->bytes, item->len));
}

bool cache_command_fail(struct link_command *command, const struct link_item *item)
{
    static const char *const moved[] = {"READONLY", "MASTERDOWN", "LOADING"};

    if (command->status != CACHE_OK) {
        return true; /* EXECABORT says only that something before it failed */
    }
    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
        if (cache_item_is_error(item, moved[i])) {
            return cache_command_moved(command, moved[i]);
        }
    }
    command->status = CACHE_FAILED;
    log_error_reply(command->link, item);
    return true;
}

/* --- events -----------------------------------------------------------------------------------*/

void cache_link_enter(struct cache_link *link)
{
    assert(!link->is_serving);
    link->is_serving = true;
}

void cache_link_leave(struct cache_link *link)
{
    if (link->redis == NULL && link->state != LINK_DOWN && !link->is_freed) {
        link_lost(link);
    }
    link->is_serving = false;
    if (link->is_freed) {
        link_release(link);
    }
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct cache_link *link = arg;

    (void)fd;
    (void)what;
    cache_link_enter(link);
    end_all(&link->refused);
    if (link->redis != NULL && (link->redis->c.flags & REDIS_CONNECTED) != 0) {
        cache_transport_write(link);
    }
    cache_link_leave(link);
}

static void connect_now(struct cache_link *link)
{
    link->cause[0] = '\0';
    link->state = LINK_CONNECTING;
    link->connect_deadline_us = cache_link_deadline(link->connect_timeout_ms);
    if (cache_transport_open(link)) {
        arm_timer(link, link->connect_deadline_us);
    }
}

void cache_link_on_connected(struct cache_link *link)
{
    link->state = LINK_VERIFYING;
    cache_link_verify(link);
}

/* The earliest deadline of what is on the wire; INT64_MAX for none. */
static int64_t earliest_deadline(const struct cache_link *link)
{
    int64_t earliest_us = INT64_MAX;

    LIST_EACH(&link->sent, place) {
        const struct link_command *command = LIST_ENTRY(place, struct link_command, place);

        if (command->deadline_us < earliest_us) {
            earliest_us = command->deadline_us;
        }
    }
    return link->state == LINK_CONNECTING ? link->connect_deadline_us : earliest_us;
}

static void check_deadlines(struct cache_link *link)
{
    int64_t now_us = clock_boot_us();

    /* Where the loop itself was late, the replies are there and wait to be read. One read takes a
     * part of a large one. */
    if (link->state != LINK_CONNECTING && earliest_deadline(link) <= now_us) {
        do {
            cache_transport_read(link);
        } while (link->redis != NULL && link->state != LINK_CLOSING &&
                 earliest_deadline(link) <= now_us && cache_transport_is_readable(link));
    }
    if (link->redis == NULL || link->state == LINK_CLOSING) {
        return;
    }
    if (earliest_deadline(link) <= now_us) {
        cache_link_blame(link,
                         link->state == LINK_UP ? "no reply in time" : "no connection in time");
        cache_link_close(link);
    } else if (earliest_deadline(link) < INT64_MAX) {
        arm_timer(link, earliest_deadline(link));
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct cache_link *link = arg;

    (void)fd;
    (void)what;
    cache_link_enter(link);
    link->timer_due_us = INT64_MAX;
    if (link->state == LINK_DOWN) {
        connect_now(link);
    } else if (link->redis != NULL) {
        check_deadlines(link);
    }
    cache_link_leave(link);
}

/* --- changes of state -------------------------------------------------------------------------*/

void cache_link_blame(struct cache_link *link, const char *fmt, ...)
{
    va_list args;

    if (link->cause[0] != '\0') {
        return;
    }
    va_start(args, fmt);
    vsnprintf(link->cause, sizeof(link->cause), fmt, args);
    va_end(args);
}

void cache_link_close(struct cache_link *link)
{
    if (link->redis != NULL) {
        link->state = LINK_CLOSING;
        cache_transport_close(link);
    }
}

void cache_link_set_up(struct cache_link *link, const char *policy)
{
    char address[ADDRESS_TEXT_ROOM];

    link->state = LINK_UP;
    link->why[0] = '\0';
    link->why_logged[0] = '\0';
    link->retry_ms = CACHE_RETRY_FIRST_MS;
    link->token_nonce = random_uint64();
    link->token_floor = link->token_next;
    link->oversized.len = 0;
    link->is_announced = true;
    log_info("cache-up", "address=%s run_id=%s replid=%s eviction=%s",
             LOG_VALUE(address_format(&link->address, address)), link->identity.run_id,
             link->identity.replid, LOG_VALUE(policy));
    if (link->hooks.up != NULL) {
        link->hooks.up(link->ctx, link);
    }
}

/* The connection is gone. The owner hears of it before anybody whose request is lost with it. */
static void link_lost(struct cache_link *link)
{
    char address[ADDRESS_TEXT_ROOM];
    bool was_announced = link->is_announced;

    link->state = LINK_DOWN;
    link->is_announced = false;
    memcpy(link->why, link->cause, sizeof(link->why));
    if (strcmp(link->why, link->why_logged) != 0) {
        memcpy(link->why_logged, link->why, sizeof(link->why_logged));
        log_warn("cache-down", "address=%s why=%s",
                 LOG_VALUE(address_format(&link->address, address)), LOG_VALUE(link->why));
    }
    arm_timer(link, cache_link_deadline((int)random_jitter(link->retry_ms)));
    link->retry_ms *= 2;
    if (link->retry_ms > CACHE_RETRY_MAX_MS) {
        link->retry_ms = CACHE_RETRY_MAX_MS;
    }
    if (was_announced && link->hooks.down != NULL) {
        link->hooks.down(link->ctx, link, link->why);
    }
    end_all(&link->sent);
}

/* --- the public face --------------------------------------------------------------------------*/

static char *copy_text(const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    assert(copy != NULL || text == NULL);
    return copy;
}

struct cache_link *cache_link_create(struct event_base *base, const struct cache_options *options,
                                     const struct cache_hooks *hooks, void *ctx)
{
    struct cache_link *link = cache_allocate(sizeof(*link));

    assert(strlen(options->prefix) <= CACHE_PREFIX_MAX);
    if (address_parse(options->address, &link->address) != NULL ||
        link->address.kind == ADDRESS_NONE) {
        free(link);
        return NULL;
    }
    link->base = base;
    link->hooks = *hooks;
    link->ctx = ctx;
    link->prefix_len = strlen(options->prefix);
    memcpy(link->prefix, options->prefix, link->prefix_len + 1);
    link->user = copy_text(options->user);
    link->password = copy_text(options->password);
    link->password_file = copy_text(options->password_file);
    link->connect_timeout_ms = options->connect_timeout_ms;
    link->timeout_ms = options->timeout_ms;
    link->publish_timeout_ms = options->publish_timeout_ms;
    link->retry_ms = CACHE_RETRY_FIRST_MS;
    link->token_next = 1;
    snprintf(link->why, sizeof(link->why), "not connected yet");
    list_init(&link->sent);
    list_init(&link->refused);
    link->reads = pool_create("cache reads", cache_read_size(), CACHE_REQUESTS_MAX);
    link->guarded = pool_create("cache writes", cache_guarded_size(), CACHE_REQUESTS_MAX);
    link->parts = pool_create("cache writes' parts", cache_part_size(), CACHE_REQUESTS_MAX);
    link->turn = event_new(base, -1, 0, on_turn, link);
    link->timer = evtimer_new(base, on_timer, link);
    assert(link->turn != NULL && link->timer != NULL);
    arm_timer(link, clock_boot_us());
    return link;
}

static void link_release(struct cache_link *link)
{
    event_free(link->turn);
    event_free(link->timer);
    buffer_free(&link->out);
    pool_destroy(link->reads);
    pool_destroy(link->guarded);
    pool_destroy(link->parts);
    free(link->user);
    free(link->password);
    free(link->password_file);
    free(link);
}

void cache_link_free(struct cache_link *link)
{
    if (link == NULL) {
        return;
    }
    link->is_freed = true;
    cache_link_close(link);
    link->state = LINK_DOWN;
    while (!list_is_empty(&link->sent) || !list_is_empty(&link->refused)) {
        end_all(&link->sent);
        end_all(&link->refused);
    }
    if (!link->is_serving) {
        link_release(link);
    }
}

bool cache_link_is_up(const struct cache_link *link)
{
    return link->state == LINK_UP && link->redis != NULL;
}

const char *cache_link_why(const struct cache_link *link)
{
    return link->why;
}

const struct cache_identity *cache_link_identity(const struct cache_link *link)
{
    return cache_link_is_up(link) ? &link->identity : NULL;
}

void cache_link_set_mac_key(struct cache_link *link, const uint8_t key[16])
{
    memcpy(link->mac_key, key, sizeof(link->mac_key));
    link->has_mac_key = true;
}

/* --- for the other files of the layer ---------------------------------------------------------*/

/* Written at once, since every read does it: the id is copied whole, in a few loads. */
void cache_link_put_key(struct cache_link *link, const struct account_id *id)
{
    size_t len = link->prefix_len + id->len;
    char *to = buffer_reserve(&link->out, KEY_ROOM);
    char *at = to;

    *at++ = '$';
    at += decimal_write_uint64(at, len);
    *at++ = '\r';
    *at++ = '\n';
    /* All of the prefix and of the id, whatever their lengths: a copy of known size is a few loads. */
    memcpy(at, link->prefix, CACHE_PREFIX_MAX);
    at += link->prefix_len;
    memcpy(at, id->bytes, sizeof(id->bytes));
    at += id->len;
    *at++ = '\r';
    *at++ = '\n';
    buffer_commit(&link->out, (size_t)(at - to));
}

void cache_link_put_own_key(struct cache_link *link, const char *name)
{
    cache_command_joined(&link->out, link->prefix, link->prefix_len, name, strlen(name));
}

void cache_link_copy_stamp(char out[CACHE_STAMP_MAX], const struct link_item *item)
{
    out[0] = '\0';
    if (item->type == REDIS_REPLY_STRING && item->len < CACHE_STAMP_MAX &&
        memchr(item->bytes, '\0', item->len) == NULL) {
        memcpy(out, item->bytes, item->len);
        out[item->len] = '\0';
    }
}
