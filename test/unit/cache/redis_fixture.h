/*
 * redis_fixture.h: a private redis-server and a link to it, for one test (which has a process of
 * its own), and requests that are answered before the helper returns.
 */
#ifndef BALLAST_TEST_REDIS_FIXTURE_H
#define BALLAST_TEST_REDIS_FIXTURE_H

#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/cache.h"
#include "cache/limits.h"
#include "unit.h"

#define ERA 7
#define STAMP "7:nonce"
#define WAIT_MS 20000 /* for what must happen at all */

static const uint8_t mac_key[16] = "0123456789abcde";

/* --- a private redis-server: gone with this process, however it ends --------------------------*/

static pid_t server_pid;
static int server_port;
static char server_dir[] = "/tmp/ballast-redis-XXXXXX";
static char server_address[32];
static redisContext *orders;

static inline int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline bool try_orders(void)
{
    redisReply *reply;
    bool answered;

    orders = redisConnect("127.0.0.1", server_port);
    ck_assert_ptr_nonnull(orders);
    if (orders->err != 0) {
        redisFree(orders);
        orders = NULL;
        return false;
    }
    reply = redisCommand(orders, "PING");
    answered = reply != NULL;
    freeReplyObject(reply);
    return answered;
}

static inline void server_launch(void)
{
    int64_t deadline_us = clock_boot_us() + WAIT_MS * 1000;
    pid_t parent = getpid();

    server_pid = fork();
    ck_assert_int_ge(server_pid, 0);
    if (server_pid == 0) {
        char port[8];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        snprintf(port, sizeof(port), "%d", server_port);
        execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir",
               server_dir, "--save", "", "--appendonly", "no", "--logfile", "log", "--unixsocket",
               "socket", NULL);
        _exit(1);
    }
    while (!try_orders()) {
        ck_assert_int_lt(clock_boot_us(), deadline_us);
        ck_assert_int_eq(waitpid(server_pid, NULL, WNOHANG), 0);
        poll(NULL, 0, 5);
    }
}

static inline void server_start(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_ptr_nonnull(mkdtemp(server_dir));
    server_port = free_port();
    snprintf(server_address, sizeof(server_address), "127.0.0.1:%d", server_port);
    server_launch();
}

static inline void server_kill(void)
{
    if (orders != NULL) {
        redisFree(orders);
        orders = NULL;
    }
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
        server_pid = 0;
    }
}

static inline void server_stop(void)
{
    static const char *const files[] = {"log", "socket"};
    char path[128];

    server_kill();
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", server_dir, files[i]);
        unlink(path);
    }
    rmdir(server_dir);
}

/* Gives the server an order; the reply as text, "(nil)" for nothing, valid until the next. */
static inline const char *order(const char *format, ...)
{
    static char text[4096];
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = redisvCommand(orders, format, args);
    va_end(args);
    ck_assert_ptr_nonnull(reply);
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        snprintf(text, sizeof(text), "%lld", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        snprintf(text, sizeof(text), "(nil)");
        break;
    case REDIS_REPLY_ARRAY:
        snprintf(text, sizeof(text), "(array)");
        break;
    default:
        snprintf(text, sizeof(text), "%s", reply->str);
        break;
    }
    freeReplyObject(reply);
    return text;
}

/* --- a link under test ------------------------------------------------------------------------*/

static struct event_base *base;
static struct event *tick;
static struct cache_link *link_under_test;
static int ups, downs;

static inline void on_up(void *ctx, struct cache_link *link)
{
    ck_assert_ptr_eq(ctx, &ups);
    ck_assert(cache_link_is_up(link));
    ups++;
}

static inline void on_down(void *ctx, struct cache_link *link, const char *why)
{
    ck_assert_ptr_eq(ctx, &ups);
    ck_assert(!cache_link_is_up(link));
    ck_assert_str_ne(why, "");
    downs++;
}

static const struct cache_hooks hooks = {.up = on_up, .down = on_down};

static inline struct cache_options options_for(const char *address)
{
    return (struct cache_options){
        .address = address,
        .prefix = "bal:",
        .connect_timeout_ms = 5000,
        .timeout_ms = 5000,
        .publish_timeout_ms = 5000,
    };
}

static inline void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* Runs the loop until the condition holds. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        int64_t until_us = clock_boot_us() + WAIT_MS * 1000;                                       \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_boot_us() < until_us, "in vain: %s", #condition);                  \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        }                                                                                          \
    } while (0)

static inline void link_open_with(const struct cache_options *options)
{
    struct timeval every = {.tv_usec = 5000};

    if (base == NULL) {
        base = event_base_new();
        tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
        event_add(tick, &every);
    }
    log_set_level(LOG_LEVEL_ERROR);
    link_under_test = cache_link_create(base, options, &hooks, &ups);
    ck_assert_ptr_nonnull(link_under_test);
    cache_link_set_mac_key(link_under_test, mac_key);
}

static inline void link_open(void)
{
    struct cache_options options = options_for(server_address);

    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
}

static inline void link_end(void)
{
    cache_link_free(link_under_test);
    link_under_test = NULL;
    event_free(tick);
    event_base_free(base);
    base = NULL;
}

/* Server and link, with the stamp of the era. */
static inline void begin(void)
{
    server_start();
    ck_assert_str_eq(order("SET bal:~era " STAMP), "OK");
    link_open();
}

static inline void finish(void)
{
    link_end();
    server_stop();
}

/* --- requests, answered before the helper returns ---------------------------------------------*/

struct answer {
    int calls;
    enum cache_status status;
    char text[512];
    bool present;
    size_t count;
};

static inline void on_done(void *arg, enum cache_status status)
{
    struct answer *answer = arg;

    answer->calls++;
    answer->status = status;
}

static inline void on_stamped(void *arg, enum cache_status status, const char *stamp)
{
    struct answer *answer = arg;

    answer->calls++;
    answer->status = status;
    snprintf(answer->text, sizeof(answer->text), "%s", stamp);
}

static inline void await(struct answer *answer)
{
    ck_assert_int_eq(answer->calls, 0); /* never inside the call */
    WAIT_FOR(answer->calls > 0);
    ck_assert_int_eq(answer->calls, 1);
}

static inline struct account_id id_of(const char *name)
{
    struct account_id id;

    ck_assert(account_id_parse(&id, name, strlen(name)));
    return id;
}

static inline struct account_state state_of(uint64_t version)
{
    struct account_state state = {.version = version, .balance = (int64_t)version * 100};

    ck_assert(asset_parse(&state.asset, "USD/2", 5));
    return state;
}

static inline struct account_entry entry_of(const char *name, uint64_t version)
{
    return (struct account_entry){.id = id_of(name), .state = state_of(version)};
}

/* Puts a value there as a daemon of that era would have. */
static inline void put(const char *name, uint64_t era, uint64_t version)
{
    struct account_entry entry = entry_of(name, version);
    char bytes[CACHE_VALUE_MAX];
    size_t len = cache_value_encode(bytes, mac_key, &entry.id, era, 1374105600123, &entry.state);

    ck_assert_str_eq(order("SET bal:%s %b", name, bytes, len), "OK");
}

static inline enum cache_status read_one(const char *name, struct cache_value *value, char *stamp)
{
    struct account_id id = id_of(name);
    struct cache_lookup lookup = {.id = &id};
    struct cache_lookup *lookups[] = {&lookup};
    struct answer answer = {0};

    cache_read(link_under_test, lookups, 1, on_stamped, &answer);
    await(&answer);
    *value = lookup.value;
    if (stamp != NULL) {
        strcpy(stamp, answer.text);
    }
    return answer.status;
}

/* What is at the account, in a word: "absent", "v5", "v5 of 6", "none" (negative), "token",
 * "poison", or the status where the read failed. */
static inline const char *at(const char *name)
{
    static const char *const statuses[] = {"OK", "REFUSED", "MOVED", "FAILED", "LOST"};
    static char text[32];
    struct cache_value value;
    enum cache_status status = read_one(name, &value, NULL);

    if (status != CACHE_OK) {
        return statuses[status];
    }
    switch (value.kind) {
    case CACHE_STATE:
        ck_assert_int_eq(value.state.balance, (int64_t)value.state.version * 100);
        snprintf(text, sizeof(text), value.era == ERA ? "v%d" : "v%d of %d",
                 (int)value.state.version, (int)value.era);
        return text;
    case CACHE_NEGATIVE:
        return "none";
    case CACHE_TOKEN:
        return "token";
    case CACHE_POISON:
        return "poison";
    default:
        return "absent";
    }
}

static inline enum cache_status publish_under(const char *stamp, const char *name, uint64_t version)
{
    struct account_entry entry = entry_of(name, version);
    struct answer answer = {0};

    cache_publish(link_under_test, stamp, ERA, &entry, 1, on_done, &answer);
    await(&answer);
    return answer.status;
}

static inline enum cache_status publish(const char *name, uint64_t version)
{
    return publish_under(STAMP, name, version);
}

static inline enum cache_status take_token(struct cache_fill_entry *entry, const char *name,
                                           bool force, uint64_t *token_id)
{
    struct answer answer = {0};

    *entry = (struct cache_fill_entry){.entry.id = id_of(name), .force = force};
    cache_token(link_under_test, STAMP, ERA, entry, 1, token_id, on_done, &answer);
    await(&answer);
    return answer.status;
}

static inline enum cache_status fill(struct cache_fill_entry *entry, uint64_t version,
                                     uint64_t token_id)
{
    struct answer answer = {0};

    entry->entry.state = state_of(version);
    cache_fill(link_under_test, STAMP, ERA, token_id, entry, 1, on_done, &answer);
    await(&answer);
    return answer.status;
}

#endif
