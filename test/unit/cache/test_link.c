/* The life of a link, against a real Redis and against servers that only say they are one. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "cache/redis_fixture.h"

/* --- connecting -------------------------------------------------------------------------------*/

START_TEST(comes_up_and_names_the_server)
{
    const struct cache_identity *identity;
    char wanted[64];

    begin();
    identity = cache_link_identity(link_under_test);
    ck_assert_ptr_nonnull(identity);
    snprintf(wanted, sizeof(wanted), "run_id:%s\r\n", identity->run_id);
    ck_assert_ptr_nonnull(strstr(order("INFO server"), wanted));
    snprintf(wanted, sizeof(wanted), "master_replid:%s\r\n", identity->replid);
    ck_assert_ptr_nonnull(strstr(order("INFO replication"), wanted));
    ck_assert_str_eq(cache_link_why(link_under_test), "");
    ck_assert_int_eq(ups, 1);
    ck_assert_int_eq(downs, 0);
    finish();
}
END_TEST

START_TEST(connects_through_a_socket)
{
    char path[64];
    struct cache_options options;

    server_start();
    snprintf(path, sizeof(path), "%s/socket", server_dir);
    options = options_for(path);
    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_str_eq(at("alice"), "absent");
    finish();
}
END_TEST

START_TEST(refuses_an_address_that_is_none)
{
    struct cache_options options = options_for("redis.example:6379");

    base = event_base_new();
    ck_assert_ptr_null(cache_link_create(base, &options, &hooks, NULL));
    event_base_free(base);
}
END_TEST

/* Also: hears of it after the call, and freeing forgets nobody. */
START_TEST(loses_what_is_submitted_while_down)
{
    struct cache_value value;
    struct cache_options options;
    struct cache_fill_entry entry;
    uint64_t token_id;

    signal(SIGPIPE, SIG_IGN);
    server_port = free_port();
    snprintf(server_address, sizeof(server_address), "127.0.0.1:%d", server_port);
    options = options_for(server_address);
    link_open_with(&options);
    ck_assert_int_eq(read_one("alice", &value, NULL), CACHE_LOST);
    ck_assert_int_eq(publish("alice", 1), CACHE_LOST);
    ck_assert_int_eq(take_token(&entry, "alice", false, &token_id), CACHE_LOST);
    WAIT_FOR(strstr(cache_link_why(link_under_test), "refused") != NULL);
    ck_assert_ptr_null(cache_link_identity(link_under_test));
    ck_assert_int_eq(ups + downs, 0);
    link_end();
}
END_TEST

START_TEST(authenticates)
{
    struct cache_options options;

    server_start();
    order("ACL SETUSER ballast on >right ~bal:* +@all");
    order("CONFIG SET requirepass secret");
    order("AUTH secret");
    options = options_for(server_address);
    link_open_with(&options);
    WAIT_FOR(strstr(cache_link_why(link_under_test), "NOAUTH") != NULL);
    cache_link_free(link_under_test);
    options.password = "wrong";
    link_open_with(&options);
    WAIT_FOR(strstr(cache_link_why(link_under_test), "WRONGPASS") != NULL);
    cache_link_free(link_under_test);
    options.password = "secret";
    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
    cache_link_free(link_under_test);
    options.user = "ballast";
    options.password = "right";
    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_str_eq(at("alice"), "absent");
    finish();
}
END_TEST

/* CONFIG is often denied; the link needs it not. What it needs is named where it is missing. */
START_TEST(lives_with_a_narrow_acl)
{
    struct cache_options options;

    server_start();
    order("SET bal:~era " STAMP);
    order("ACL SETUSER narrow on >pass ~bal:* +getex +get +mget +set +setrange +unlink +info "
          "+exists +hset +multi +exec +eval +evalsha +script|load");
    order("ACL SETUSER blind on >pass ~bal:* +@all -getex");
    options = options_for(server_address);
    options.user = "narrow";
    options.password = "pass";
    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
    put("alice", ERA, 4);
    ck_assert_int_eq(publish("alice", 5), CACHE_OK);
    ck_assert_str_eq(at("alice"), "v5");
    cache_link_free(link_under_test);
    options.user = "blind";
    link_open_with(&options);
    WAIT_FOR(strstr(cache_link_why(link_under_test), "NOPERM") != NULL);
    finish();
}
END_TEST

/* --- faults -----------------------------------------------------------------------------------*/

/* The connections, the run_id and the stamp are the same; only the replid tells. */
START_TEST(notices_a_short_time_as_a_replica)
{
    begin();
    put("alice", ERA, 4);
    order("REPLICAOF 127.0.0.1 1");
    order("REPLICAOF NO ONE");
    ck_assert_str_eq(at("alice"), "MOVED");
    ck_assert_int_eq(downs, 1);
    ck_assert_ptr_nonnull(strstr(cache_link_why(link_under_test), "promoted again"));
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_str_eq(at("alice"), "v4");
    finish();
}
END_TEST

START_TEST(notices_a_replica)
{
    begin();
    put("alice", ERA, 4);
    order("REPLICAOF 127.0.0.1 %d", server_port); /* of itself */
    ck_assert_str_eq(at("alice"), "MOVED");
    WAIT_FOR(strstr(cache_link_why(link_under_test), "replica of 127.0.0.1") != NULL);
    order("REPLICAOF NO ONE");
    WAIT_FOR(cache_link_is_up(link_under_test));
    order("REPLICAOF 127.0.0.1 1");
    ck_assert_int_eq(publish("alice", 3), CACHE_MOVED); /* also where nothing would be written */
    finish();
}
END_TEST

/* Each in flight hears once, and the link is back by itself, in time. */
START_TEST(survives_a_killed_server)
{
    struct answer answers[5] = {0};
    struct account_id id = id_of("alice");
    struct cache_lookup lookup = {.id = &id};
    struct cache_lookup *lookups[] = {&lookup};
    struct account_entry entry = entry_of("alice", 5);
    int64_t back_us;

    begin();
    kill(server_pid, SIGSTOP);
    for (int i = 0; i < 5; i++) {
        if (i % 2 == 0) {
            cache_read(link_under_test, lookups, 1, on_stamped, &answers[i]);
        } else {
            cache_publish(link_under_test, STAMP, ERA, &entry, 1, on_done, &answers[i]);
        }
    }
    event_base_loop(base, EVLOOP_ONCE);
    server_kill();
    WAIT_FOR(downs == 1);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(answers[i].calls, 1);
        ck_assert_int_eq(answers[i].status, CACHE_LOST);
    }
    server_launch();
    back_us = clock_boot_us();
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_int_lt(clock_boot_us() - back_us, 3000000); /* a quarter, and a busy machine */
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(answers[i].calls, 1);
    }
    ck_assert_str_eq(at("alice"), "absent");
    finish();
}
END_TEST

/* The publish has the shorter deadline, and takes with it what was asked before it. */
START_TEST(does_not_wait_for_a_stopped_server)
{
    struct cache_options options;
    struct answer read = {0}, published = {0};
    struct account_id id = id_of("alice");
    struct cache_lookup lookup = {.id = &id};
    struct cache_lookup *lookups[] = {&lookup};
    struct account_entry entry = entry_of("alice", 5);
    int64_t asked_us;

    server_start();
    options = options_for(server_address);
    options.publish_timeout_ms = 50;
    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
    kill(server_pid, SIGSTOP);
    asked_us = clock_boot_us();
    cache_read(link_under_test, lookups, 1, on_stamped, &read);
    cache_publish(link_under_test, STAMP, ERA, &entry, 1, on_done, &published);
    WAIT_FOR(published.calls == 1 && read.calls == 1);
    ck_assert_int_ge(clock_boot_us() - asked_us, 50000);
    ck_assert_int_lt(clock_boot_us() - asked_us, 4000000);
    ck_assert_int_eq(read.status, CACHE_LOST);
    ck_assert_int_eq(published.status, CACHE_LOST);
    ck_assert_int_eq(lookup.value.kind, CACHE_ABSENT);
    ck_assert_ptr_nonnull(strstr(cache_link_why(link_under_test), "in time"));
    kill(server_pid, SIGCONT);
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_str_eq(at("alice"), "absent");
    ck_assert_int_eq(read.calls + published.calls, 2);
    finish();
}
END_TEST

/* The loop was busy with other things: what came in time waits, and is more than one read takes. */
START_TEST(reads_all_that_is_there_before_it_gives_up)
{
    enum { COUNT = 1100, TIMEOUT_MS = 100 };
    static struct account_id ids[COUNT];
    static struct cache_lookup lookups[COUNT];
    struct cache_lookup *places[COUNT];
    struct cache_options options;
    struct answer answer = {0};
    int64_t late_us;

    server_start();
    options = options_for(server_address);
    options.timeout_ms = TIMEOUT_MS;
    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
    for (int i = 0; i < COUNT; i++) {
        char name[16];

        snprintf(name, sizeof(name), "a%d", i);
        put(name, ERA, (uint64_t)i + 1);
        ids[i] = id_of(name);
        lookups[i].id = &ids[i];
        places[i] = &lookups[i];
    }
    kill(server_pid, SIGSTOP);
    late_us = clock_boot_us() + 2 * TIMEOUT_MS * 1000;
    cache_read(link_under_test, places, COUNT, on_stamped, &answer);
    event_base_loop(base, EVLOOP_NONBLOCK);
    kill(server_pid, SIGCONT);
    while (clock_boot_us() < late_us) {
        order("PING"); /* the second one is answered behind the batch */
    }
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_OK);
    ck_assert_int_eq(lookups[COUNT - 1].value.kind, CACHE_STATE);
    ck_assert_int_eq(downs, 0);
    finish();
}
END_TEST

/* A script of somebody else's that does not end: an error, and the link stays. */
START_TEST(fails_while_redis_is_busy)
{
    redisContext *other;
    int done;

    begin();
    order("CONFIG SET busy-reply-threshold 10");
    other = redisConnect("127.0.0.1", server_port);
    redisAppendCommand(other, "EVAL %s 0", "while true do end");
    ck_assert_int_eq(redisBufferWrite(other, &done), REDIS_OK);
    WAIT_FOR(strcmp(at("alice"), "FAILED") == 0);
    ck_assert_int_eq(publish("alice", 5), CACHE_FAILED);
    ck_assert_str_eq(order("SCRIPT KILL"), "OK");
    WAIT_FOR(strcmp(at("alice"), "absent") == 0);
    ck_assert_int_eq(downs, 0);
    redisFree(other);
    finish();
}
END_TEST

/* A server that answers whatever comes with the same bytes. */
static const char *canned;
static size_t canned_step; /* bytes a turn; 0: all */
static int accepted, still_open;

static void on_canned_read(struct bufferevent *client, void *arg)
{
    (void)arg;
    evbuffer_drain(bufferevent_get_input(client), SIZE_MAX);
    evbuffer_add(bufferevent_get_output(client), canned,
                 canned_step > 0 ? canned_step : strlen(canned));
}

static void on_canned_event(struct bufferevent *client, short what, void *arg)
{
    (void)arg;
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) {
        bufferevent_free(client);
        still_open--;
    }
}

static void on_canned_accept(struct evconnlistener *listener, evutil_socket_t fd,
                             struct sockaddr *address, int len, void *arg)
{
    struct bufferevent *client =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

    (void)address;
    (void)len;
    (void)arg;
    accepted++;
    still_open++;
    bufferevent_setcb(client, on_canned_read, NULL, on_canned_event, NULL);
    bufferevent_enable(client, EV_READ | EV_WRITE);
}

START_TEST(does_not_believe_a_server_that_babbles)
{
    static const char *const babble[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        "$9223372036854775807\r\nx",
        "$-2\r\n",
        "*2147483647\r\n*2147483647\r\n*2147483647\r\n",
        "*-1\r\n*-1\r\n*-1\r\n*-1\r\n*-1\r\n*-1\r\n",
        ":1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
        "-ERR max number of clients reached\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct cache_options options;
    struct evconnlistener *listener;

    signal(SIGPIPE, SIG_IGN);
    server_port = free_port();
    snprintf(server_address, sizeof(server_address), "127.0.0.1:%d", server_port);
    address.sin_port = htons((uint16_t)server_port);
    options = options_for(server_address);
    options.connect_timeout_ms = 100;
    canned = babble[0];
    link_open_with(&options);
    listener = evconnlistener_new_bind(base, on_canned_accept, NULL,
                                       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 16,
                                       (struct sockaddr *)&address, sizeof(address));
    ck_assert_ptr_nonnull(listener);
    for (size_t i = 0; i < sizeof(babble) / sizeof(babble[0]); i++) {
        int before = accepted;

        canned = babble[i];
        WAIT_FOR(accepted >= before + 2); /* the second one says that the first was given up */
        ck_assert_int_eq(ups, 0);
        ck_assert_str_ne(cache_link_why(link_under_test), "");
    }
    canned_step = 1; /* a byte at a time is no progress either */
    canned = "$1000\r\n";
    {
        int before = accepted;

        WAIT_FOR(accepted >= before + 2);
        ck_assert_ptr_nonnull(strstr(cache_link_why(link_under_test), "in time"));
    }
    evconnlistener_free(listener);
    cache_link_free(link_under_test);
    link_under_test = NULL;
    WAIT_FOR(still_open == 0);
    link_end();
}
END_TEST

START_TEST(fails_where_redis_refuses_writes)
{
    begin();
    put("alice", ERA, 4);
    order("CONFIG SET min-replicas-to-write 1");
    ck_assert_str_eq(at("alice"), "FAILED");
    ck_assert_int_eq(publish("alice", 5), CACHE_FAILED);
    ck_assert_int_eq(publish("nobody", 5), CACHE_FAILED);
    ck_assert(cache_link_is_up(link_under_test));
    cache_link_free(link_under_test);
    {
        struct cache_options options = options_for(server_address);

        link_open_with(&options);
    }
    WAIT_FOR(strstr(cache_link_why(link_under_test), "NOREPLICAS") != NULL);
    order("CONFIG SET min-replicas-to-write 0");
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_str_eq(at("alice"), "v4");
    finish();
}
END_TEST

/* Somebody's gigabyte at an account's key must not keep the link from living. */
START_TEST(removes_a_value_that_is_too_long_to_read)
{
    begin();
    put("bob", ERA, 5);
    order("SETRANGE bal:alice %d x", 2 * CACHE_REPLY_ITEM_MAX);
    ck_assert_str_eq(at("alice"), "LOST");
    ck_assert_int_eq(downs, 1);
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_str_eq(order("EXISTS bal:alice"), "0");
    ck_assert_str_eq(at("alice"), "absent");
    ck_assert_str_eq(at("bob"), "v5");
    finish();
}
END_TEST

/* --- freeing ----------------------------------------------------------------------------------*/

static void on_done_free(void *arg, enum cache_status status)
{
    on_done(arg, status);
    cache_link_free(link_under_test);
    link_under_test = NULL;
}

static void on_read_free(void *arg, enum cache_status status, const char *stamp)
{
    (void)stamp;
    on_done_free(arg, status);
}

START_TEST(may_be_freed_in_a_callback)
{
    struct answer answers[3] = {0};
    struct account_id id = id_of("alice");
    struct cache_lookup lookup = {.id = &id};
    struct cache_lookup *lookups[] = {&lookup};
    struct account_entry entry = entry_of("alice", 5);

    begin();
    cache_read(link_under_test, lookups, 1, on_read_free, &answers[0]);
    cache_publish(link_under_test, STAMP, ERA, &entry, 1, on_done, &answers[1]);
    cache_read(link_under_test, lookups, 1, on_stamped, &answers[2]);
    WAIT_FOR(answers[0].calls == 1);
    ck_assert_int_eq(answers[0].status, CACHE_OK);
    for (int i = 1; i < 3; i++) {
        ck_assert_int_eq(answers[i].calls, 1);
        ck_assert_int_eq(answers[i].status, CACHE_LOST);
    }
    link_open(); /* once more, where the request was refused */
    server_kill();
    WAIT_FOR(!cache_link_is_up(link_under_test));
    answers[0] = answers[1] = (struct answer){0};
    cache_publish(link_under_test, STAMP, ERA, &entry, 1, on_done_free, &answers[0]);
    cache_publish(link_under_test, STAMP, ERA, &entry, 1, on_done, &answers[1]);
    WAIT_FOR(answers[0].calls == 1);
    ck_assert_int_eq(answers[1].calls, 1);
    finish();
}
END_TEST

START_TEST(frees_with_requests_in_flight)
{
    struct answer answers[2] = {0};
    struct account_entry entry = entry_of("alice", 5);

    begin();
    cache_publish(link_under_test, STAMP, ERA, &entry, 1, on_done, &answers[0]);
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    cache_publish(link_under_test, STAMP, ERA, &entry, 1, on_done, &answers[1]);
    cache_link_free(link_under_test);
    link_under_test = NULL;
    ck_assert_int_eq(answers[1].calls, 1);
    ck_assert_int_eq(answers[1].status, CACHE_LOST);
    ck_assert_int_eq(answers[0].calls, 1);
    ck_assert_int_eq(downs, 0);
    finish();
}
END_TEST

UNIT_MAIN("link", comes_up_and_names_the_server, connects_through_a_socket,
          refuses_an_address_that_is_none, loses_what_is_submitted_while_down, authenticates,
          lives_with_a_narrow_acl, notices_a_short_time_as_a_replica, notices_a_replica,
          survives_a_killed_server, does_not_wait_for_a_stopped_server,
          reads_all_that_is_there_before_it_gives_up, fails_while_redis_is_busy,
          does_not_believe_a_server_that_babbles, fails_where_redis_refuses_writes,
          removes_a_value_that_is_too_long_to_read, may_be_freed_in_a_callback,
          frees_with_requests_in_flight)
