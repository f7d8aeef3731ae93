/* The life of a link against a real server: coming up, being refused, ending; what callbacks may do. */
#include "fixture.h"

START_TEST(comes_up_with_its_facts)
{
    const uint8_t *key;
    int bits = 0;

    link_up();
    ck_assert_int_eq(t.ups, 1);
    ck_assert_int_eq(store_link_schema_version(t.link), sql_migrations_count);
    key = store_link_mac_key(t.link);
    for (int i = 0; i < 16; i++) {
        bits |= key[i];
    }
    ck_assert_int_ne(bits, 0);
    ck_assert(!store_link_needs_operator(t.link));
}
END_TEST

START_TEST(forces_the_session_settings)
{
    cluster_exec("", "ALTER DATABASE ballast SET synchronous_commit = off");
    cluster_exec("", "ALTER DATABASE ballast SET client_min_messages = error");
    link_up();
    ck_assert_str_eq(query("SHOW synchronous_commit", 0)->text, "on");
    ck_assert_str_eq(query("SHOW client_min_messages", 0)->text, "warning");
    ck_assert_str_eq(query("SHOW statement_timeout", 0)->text, "15s");
    ck_assert_str_eq(query("SHOW lock_timeout", 0)->text, "10s");
    ck_assert_str_eq(query("SHOW jit", 0)->text, "off");
    cluster_exec("", "ALTER DATABASE ballast RESET ALL");
}
END_TEST

START_TEST(bad_conninfo_is_no_link)
{
    struct store_hooks hooks = {NULL, NULL, NULL};
    char err[64] = "";
    char *good = (char *)t.options.conninfo;

    t.options.conninfo = "nonsense";
    ck_assert_ptr_null(store_link_create(t.base, &t.options, &hooks, NULL, err, sizeof(err)));
    ck_assert_str_ne(err, "");
    t.options.conninfo = good;
}
END_TEST

START_TEST(submitted_while_down_is_unsent_afterwards)
{
    create_link_with(store_link_create);
    fresh();
    store_query(t.link, "SELECT 1", NULL, 0, 0, on_rows, &t.seen);
    ck_assert_int_eq(t.seen.calls, 0);
    ck_assert_int_eq(answer()->status, STORE_UNSENT);
    run_until(&t.ups, 1);
}
END_TEST

/* At every step of connecting and greeting. */
START_TEST(submitted_while_coming_up_is_unsent)
{
    struct store_posting *p = posting(MUTATION_OPEN, NULL, "early", NULL, 0);
    int unsent = 0;

    create_link_with(store_link_create);
    while (post_one(p)->status == STORE_UNSENT) {
        unsent++;
    }
    ck_assert_int_eq(t.seen.status, STORE_OK);
    ck_assert(p->result.changed);
    ck_assert_int_gt(unsent, 10); /* more than the steps of connecting alone */
    ck_assert_int_eq(t.ups, 1);
    ck_assert_int_eq(t.downs, 0);
}
END_TEST

START_TEST(free_answers_what_was_not_sent)
{
    create_link_with(store_link_create);
    fresh();
    store_query(t.link, "SELECT 1", NULL, 0, 0, on_rows, &t.seen);
    store_link_free(t.link);
    t.link = NULL;
    ck_assert_int_eq(t.seen.calls, 1);
    ck_assert_int_eq(t.seen.status, STORE_UNSENT);
}
END_TEST

START_TEST(a_query_may_have_its_own_timeout)
{
    t.options.statement_timeout_ms = 300;
    link_up();
    ck_assert_int_eq(query("SELECT pg_sleep(1)", 3000)->status, STORE_OK);
    ck_assert_int_eq(query("SELECT pg_sleep(1)", 0)->status, STORE_TRANSIENT);
    ck_assert_str_eq(query("SHOW statement_timeout", 0)->text, "300ms");
}
END_TEST

/* A socket that listens, to which the link is to connect. */
static int listen_in_place_of_the_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char conninfo[128];

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%d", ntohs(address.sin_port));
    free((char *)t.options.conninfo);
    t.options.conninfo = strdup(conninfo);
    return fd;
}

START_TEST(a_silent_address_is_given_up)
{
    int fd = listen_in_place_of_the_server();

    t.options.connect_timeout_ms = 300;
    ck_assert_ptr_nonnull(strstr(link_refused(), "no connection within 300 ms"));
    ck_assert(!store_link_needs_operator(t.link));
    close(fd);
}
END_TEST

/* The next attempt of a link comes, and is hung up on. */
static void refuse_one_attempt(int listener, bool hurried)
{
    int64_t deadline = clock_boot_us() + WAIT_MS * 1000;
    int fd;

    while ((fd = accept(listener, NULL, NULL)) < 0) {
        ck_assert(clock_boot_us() < deadline);
        event_base_loop(t.base, EVLOOP_NONBLOCK);
        if (hurried) {
            store_link_hurry(t.link);
        }
    }
    close(fd);
}

/* By the eighth attempt the pause is a second. */
START_TEST(hurried_does_not_wait_for_its_backoff)
{
    int listener = listen_in_place_of_the_server();
    int64_t started;

    create_link_with(store_link_create);
    for (int i = 0; i < 7; i++) {
        refuse_one_attempt(listener, false);
    }
    started = clock_boot_us();
    for (int i = 0; i < 20; i++) {
        refuse_one_attempt(listener, true);
    }
    ck_assert_int_lt(clock_boot_us() - started, 20 * 750000);
    close(listener);
}
END_TEST

START_TEST(fsync_off_is_refused)
{
    cluster_append("postgresql.auto.conf", "a", "fsync = off\n");
    cluster_exec("", "SELECT pg_reload_conf()");
    while (cluster_ask("SELECT (current_setting('fsync') = 'off')::int") == 0) {
        poll(NULL, 0, 10);
    }
    ck_assert_ptr_nonnull(strstr(link_refused(), "fsync"));
    ck_assert(store_link_needs_operator(t.link));
    store_link_free(t.link);
    t.options.allow_fsync_off = true;
    link_up();
    cluster_exec("", "ALTER SYSTEM RESET fsync");
}
END_TEST

START_TEST(schema_missing_needs_an_operator)
{
    use_database("postgres");
    ck_assert_ptr_nonnull(strstr(link_refused(), "ballast migrate"));
    ck_assert(store_link_needs_operator(t.link));
}
END_TEST

START_TEST(database_missing_needs_an_operator)
{
    use_database("nowhere");
    ck_assert_ptr_nonnull(strstr(link_refused(), "does not exist"));
    ck_assert(store_link_needs_operator(t.link));
}
END_TEST

START_TEST(another_schema_version_needs_an_operator)
{
    cluster_exec("dbname=postgres", "CREATE DATABASE other TEMPLATE ballast");
    cluster_exec("dbname=other", "INSERT INTO ballast.migration (version, name) VALUES (999, 'x')");
    use_database("other");
    ck_assert_ptr_nonnull(strstr(link_refused(), "newer"));
    ck_assert(store_link_needs_operator(t.link));
    store_link_free(t.link);
    cluster_exec("dbname=other", "DELETE FROM ballast.migration WHERE version > 1");
    ck_assert_ptr_nonnull(strstr(link_refused(), "ballast migrate"));
    ck_assert(store_link_needs_operator(t.link));
}
END_TEST

START_TEST(a_wrong_password_backs_off)
{
    char conninfo[256];

    snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%d user=secret dbname=ballast",
             cluster.port);
    free((char *)t.options.conninfo);
    t.options.conninfo = strdup(conninfo);
    t.options.password = "wrong";
    ck_assert_ptr_nonnull(strstr(link_refused(), "28P01"));
    ck_assert(!store_link_needs_operator(t.link));
    store_link_free(t.link);
    t.options.password = "right";
    link_up();
    /* A role with no more than ballast_daemon can do the work. */
    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, "granted", NULL, 0))->status, STORE_OK);
    ck_assert_uint_eq(read_one("granted")->count, 1);
}
END_TEST

START_TEST(free_answers_what_is_in_flight)
{
    link_up();
    fresh();
    store_query(t.link, "SELECT pg_sleep(5)", NULL, 0, 0, on_rows, &t.seen);
    store_link_free(t.link);
    t.link = NULL;
    ck_assert_int_eq(t.seen.calls, 1);
    ck_assert_int_eq(t.seen.status, STORE_IN_DOUBT);
}
END_TEST

static void on_rows_free(void *arg, enum store_status status, const struct store_error *error,
                         const struct store_rows *rows)
{
    on_rows(arg, status, error, rows);
    store_link_free(t.link);
    t.link = NULL;
}

START_TEST(a_callback_may_free_the_link)
{
    link_up();
    fresh();
    store_query(t.link, "SELECT 1", NULL, 0, 0, on_rows_free, &t.seen);
    ck_assert_int_eq(answer()->status, STORE_OK);
    ck_assert_ptr_null(t.link);
}
END_TEST

static void on_rows_again(void *arg, enum store_status status, const struct store_error *error,
                          const struct store_rows *rows)
{
    int *left = arg;

    saw(&t.seen, status, error);
    ck_assert_str_eq(rows->value(rows, 0, 0), "7");
    if (--*left > 0) {
        int calls = t.seen.calls;

        store_query(t.link, "SELECT 7", NULL, 0, 0, on_rows_again, left);
        ck_assert_int_eq(t.seen.calls, calls);
    }
    ck_assert_str_eq(rows->value(rows, 0, 0), "7");
}

START_TEST(a_callback_may_submit)
{
    int left = 100;

    link_up();
    fresh();
    store_query(t.link, "SELECT 7", NULL, 0, 0, on_rows_again, &left);
    run_until(&t.seen.calls, 100);
    ck_assert_int_eq(left, 0);
}
END_TEST

START_TEST(a_bare_link_needs_no_schema)
{
    use_database("postgres");
    create_link_with(store_link_create_bare);
    run_until(&t.ups, 1);
    ck_assert_str_eq(query("CREATE TEMP TABLE x (n int); INSERT INTO x VALUES (4);"
                           "SELECT n FROM x",
                           0)
                         ->text,
                     "4");
    ck_assert_int_eq(query("SELECT 1; SELECT nonsense", 0)->status, STORE_REFUSED);
    ck_assert_int_eq(t.downs, 0);
}
END_TEST

STORE_MAIN("link", comes_up_with_its_facts, forces_the_session_settings, bad_conninfo_is_no_link,
           submitted_while_down_is_unsent_afterwards, submitted_while_coming_up_is_unsent,
           free_answers_what_was_not_sent, a_query_may_have_its_own_timeout,
           a_silent_address_is_given_up, hurried_does_not_wait_for_its_backoff,
           fsync_off_is_refused, schema_missing_needs_an_operator,
           database_missing_needs_an_operator, another_schema_version_needs_an_operator,
           a_wrong_password_backs_off, free_answers_what_is_in_flight, a_callback_may_free_the_link,
           a_callback_may_submit, a_bare_link_needs_no_schema)
