/* What a link makes of a server that dies, hangs, refuses or talks nonsense, and how it comes back. */
#include "fixture.h"

/* The process id of the link's backend. */
static pid_t backend(void)
{
    return (pid_t)cluster_ask("SELECT pid FROM pg_stat_activity WHERE backend_type = "
                              "'client backend' AND application_name = 'test-link'");
}

/* Runs the loop until the link's own session shows the setting. */
static void await_setting(const char *show, const char *value)
{
    int64_t deadline = clock_boot_us() + WAIT_MS * 1000;

    while (strcmp(query(show, 0)->text, value) != 0) {
        ck_assert(clock_boot_us() < deadline);
    }
}

/* A connection that holds the row of an account that exists. */
static PGconn *lock_account(const char *account)
{
    PGconn *conn = cluster_connect("");
    char sql[256];

    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, account, NULL, 0))->status, STORE_OK);
    snprintf(sql, sizeof(sql), "SELECT 1 FROM ballast.account WHERE account_id = '%s' FOR UPDATE",
             account);
    cluster_exec_on(conn, "BEGIN");
    cluster_exec_on(conn, sql);
    return conn;
}

/* Submits a credit that waits for a lock, and returns when the server is at it. */
static struct store_posting *submit_stuck(const char *key, const char *account)
{
    static struct store_posting *postings[1];
    int64_t deadline = clock_boot_us() + WAIT_MS * 1000;

    postings[0] = posting(MUTATION_CREDIT, key, account, "@world", 100);
    fresh();
    store_post(t.link, postings, 1, next_commit(), 0, on_posted, &t.seen);
    ck_assert_int_eq(t.seen.calls, 0);
    ck_assert(!store_link_ready(t.link));
    while (cluster_ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                       "'test-link' AND wait_event_type = 'Lock'") == 0) {
        ck_assert(clock_boot_us() < deadline);
        event_base_loop(t.base, EVLOOP_NONBLOCK);
    }
    ck_assert_int_eq(t.seen.calls, 0);
    return postings[0];
}

START_TEST(terminated_in_flight_is_in_doubt_once)
{
    PGconn *locker;
    struct store_posting *stuck;
    char sql[64];

    link_up();
    locker = lock_account("term");
    stuck = submit_stuck("term-1", "term");
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", (int)backend());
    cluster_exec("", sql);
    run_until(&t.downs, 1);
    ck_assert_int_eq(t.seen.calls, 1);
    ck_assert_int_eq(t.seen.status, STORE_IN_DOUBT);
    ck_assert_str_eq(t.seen.error.sqlstate, "57P01");
    PQfinish(locker);
    run_until(&t.ups, 2);
    ck_assert_int_eq(t.seen.calls, 1);
    ck_assert_int_eq(post_one(stuck)->status, STORE_OK);
    ck_assert(!stuck->result.duplicate);
    ck_assert_int_eq(post_one(stuck)->status, STORE_OK);
    ck_assert(stuck->result.duplicate);
}
END_TEST

START_TEST(terminated_while_idle_goes_down_and_up)
{
    char sql[64];

    link_up();
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", (int)backend());
    cluster_exec("", sql);
    run_until(&t.downs, 1);
    ck_assert_ptr_nonnull(strstr(t.why, "administrator command"));
    run_until(&t.ups, 2);
    ck_assert_int_eq(t.downs, 1);
}
END_TEST

START_TEST(server_killed_and_started_again)
{
    PGconn *locker;

    link_up();
    locker = lock_account("kill");
    submit_stuck("kill-1", "kill");
    cluster_stop(SIGQUIT);
    PQfinish(locker);
    run_until(&t.downs, 1);
    ck_assert_int_eq(t.seen.calls, 1);
    ck_assert_int_eq(t.seen.status, STORE_IN_DOUBT);
    ck_assert_int_eq(query("SELECT 1", 0)->status, STORE_UNSENT);
    while (strstr(store_link_why(t.link), "refused") == NULL) {
        event_base_loop(t.base, EVLOOP_ONCE);
    }
    cluster_start();
    run_until(&t.ups, 2);
    ck_assert_int_eq(query("SELECT 1", 0)->status, STORE_OK);
}
END_TEST

START_TEST(silent_server_is_given_up)
{
    pid_t pid;
    int64_t started;

    t.options.statement_timeout_ms = 300;
    link_up();
    pid = backend();
    kill(pid, SIGSTOP);
    started = clock_boot_us();
    ck_assert_int_eq(query("SELECT 1", 0)->status, STORE_IN_DOUBT);
    ck_assert_int_ge(clock_boot_us() - started, 750 * 1000);
    ck_assert_int_lt(clock_boot_us() - started, 10 * 1000 * 1000);
    run_until(&t.ups, 2);
    kill(pid, SIGCONT);
}
END_TEST

/* What the stopped backend has read already, it would carry out whenever it goes on. */
START_TEST(a_posting_link_outlives_no_backend_of_its_own)
{
    PGconn *locker;
    struct store_posting *stuck;
    pid_t pid;

    cluster_exec("", "SELECT ballast.lease_renew('late', 'i', 0, NULL, NULL)");
    t.options.lease = "late";
    t.options.statement_timeout_ms = 2500;
    t.options.lock_timeout_ms = 2000; /* time enough to stop the backend while it waits */
    link_up();
    locker = lock_account("late");
    pid = backend();
    stuck = submit_stuck("late-1", "late");
    kill(pid, SIGSTOP);
    run_until(&t.seen.calls, 1);
    ck_assert_int_eq(t.seen.status, STORE_IN_DOUBT);
    PQfinish(locker); /* nothing but the signal holds the old backend back */
    run_for(1000);
    ck_assert_int_eq(t.ups, 1);
    kill(pid, SIGCONT);
    run_until(&t.ups, 2);
    /* It has let go of its locks, and so of its transaction; its process may need a moment more. */
    for (int64_t deadline = clock_boot_us() + WAIT_MS * 1000; kill(pid, 0) == 0;) {
        ck_assert_int_lt(clock_boot_us(), deadline);
        run_for(10);
    }
    ck_assert_int_eq(post_one(stuck)->status, STORE_OK);
    ck_assert_int_eq(cluster_ask("SELECT count(*) FROM ballast.transfer WHERE key = 'late-1'"), 1);
}
END_TEST

START_TEST(half_sent_is_unsent_and_not_applied)
{
    enum { COUNT = 8000 };
    static struct store_posting *postings[COUNT];
    char conninfo[256], key[32];
    char memo[MUTATION_MEMO_MAX];
    pid_t pid;

    snprintf(conninfo, sizeof(conninfo), "host=%s port=%d user=postgres dbname=ballast",
             cluster.dir, cluster.port);
    free((char *)t.options.conninfo);
    t.options.conninfo = strdup(conninfo);
    t.options.statement_timeout_ms = 1000;
    link_up();
    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, "half", NULL, 0))->status, STORE_OK);
    memset(memo, 'm', sizeof(memo));
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "half-%d", i);
        postings[i] = posting(MUTATION_CREDIT, key, "half", "@world", 1);
        ck_assert_ptr_null(mutation_set_memo(&postings[i]->mutation, memo, sizeof(memo)));
    }
    pid = backend();
    kill(pid, SIGSTOP);
    ck_assert_int_eq(post(postings, COUNT)->status, STORE_UNSENT);
    kill(pid, SIGCONT);
    run_until(&t.ups, 2);
    ck_assert_int_eq(read_one("half")->entries[0].state.version, 1);
}
END_TEST

START_TEST(timeouts_of_the_server_are_transient)
{
    PGconn *locker;

    t.options.statement_timeout_ms = 1500;
    t.options.lock_timeout_ms = 500;
    link_up();
    locker = lock_account("slow");
    ck_assert_int_eq(post_one(posting(MUTATION_CREDIT, "slow-1", "slow", "@world", 1))->status,
                     STORE_TRANSIENT);
    ck_assert_str_eq(t.seen.error.sqlstate, "55P03");
    ck_assert_int_eq(query("SELECT pg_sleep(5)", 0)->status, STORE_TRANSIENT);
    ck_assert_str_eq(t.seen.error.sqlstate, "57014");
    ck_assert_int_eq(t.downs, 0);
    PQfinish(locker);
    ck_assert_int_eq(post_one(posting(MUTATION_CREDIT, "slow-1", "slow", "@world", 1))->status,
                     STORE_OK);
}
END_TEST

START_TEST(a_transaction_left_open_takes_no_posting)
{
    link_up();
    ck_assert_int_eq(query("BEGIN", 0)->status, STORE_OK);
    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, "left", NULL, 0))->status, STORE_UNSENT);
    run_until(&t.ups, 2);
    ck_assert_uint_eq(read_one("left")->count, 0);
}
END_TEST

/* Posts until the database takes it again: the link looks about once a second. */
static void post_until_taken(struct store_posting *p)
{
    int64_t deadline = clock_boot_us() + WAIT_MS * 1000;

    while (post_one(p)->status != STORE_OK) {
        ck_assert(t.seen.status == STORE_READONLY || t.seen.status == STORE_UNSENT);
        ck_assert(clock_boot_us() < deadline);
        run_for(100);
    }
}

START_TEST(read_only_while_live)
{
    struct store_posting *p = posting(MUTATION_OPEN, NULL, "ro-live", NULL, 0);

    link_up();
    cluster_exec("", "ALTER SYSTEM SET default_transaction_read_only = on");
    cluster_exec("", "SELECT pg_reload_conf()");
    await_setting("SHOW default_transaction_read_only", "on");
    ck_assert_int_eq(read_one("ro-live")->status, STORE_OK);
    ck_assert_int_eq(post_one(p)->status, STORE_READONLY);
    ck_assert_str_eq(t.seen.error.sqlstate, "25006");
    cluster_exec("options=-cdefault_transaction_read_only=off",
                 "ALTER SYSTEM RESET default_transaction_read_only");
    cluster_exec("", "SELECT pg_reload_conf()");
    post_until_taken(p);
}
END_TEST

START_TEST(read_only_from_the_start)
{
    struct store_posting *p = posting(MUTATION_OPEN, NULL, "ro-start", NULL, 0);

    cluster_exec("", "ALTER DATABASE ballast SET default_transaction_read_only = on");
    link_up();
    ck_assert_int_eq(read_one("ro-start")->status, STORE_OK);
    ck_assert_int_eq(post_one(p)->status, STORE_READONLY);
    cluster_exec("options=-cdefault_transaction_read_only=off",
                 "ALTER DATABASE ballast RESET default_transaction_read_only");
    post_until_taken(p);
}
END_TEST

START_TEST(a_migration_under_a_live_link_ends_it)
{
    cluster_exec("dbname=postgres", "CREATE DATABASE moved TEMPLATE ballast");
    use_database("moved");
    link_up();
    cluster_exec("dbname=moved", "DROP SCHEMA ballast CASCADE");
    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, "gone", NULL, 0))->status,
                     STORE_READONLY);
    run_until(&t.downs, 1);
    while (!store_link_needs_operator(t.link)) {
        event_base_loop(t.base, EVLOOP_ONCE);
    }
    ck_assert_int_eq(t.ups, 1);
}
END_TEST

START_TEST(cancelled_replication_is_local_only)
{
    char sql[64];
    static struct store_posting *p[1];

    cluster_exec("", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    cluster_exec("", "SELECT pg_reload_conf()");
    link_up();
    await_setting("SHOW synchronous_standby_names", "nobody");
    p[0] = posting(MUTATION_OPEN, NULL, "local", NULL, 0);
    fresh();
    store_post(t.link, p, 1, next_commit(), 0, on_posted, &t.seen);
    while (cluster_ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                       "'test-link' AND wait_event = 'SyncRep'") == 0) {
        event_base_loop(t.base, EVLOOP_NONBLOCK);
    }
    snprintf(sql, sizeof(sql), "SELECT pg_cancel_backend(%d)", (int)backend());
    cluster_exec("", sql);
    ck_assert_int_eq(answer()->status, STORE_LOCAL_ONLY);
    ck_assert_int_eq(t.downs, 0);
    cluster_exec("", "ALTER SYSTEM RESET synchronous_standby_names");
}
END_TEST

START_TEST(copy_ends_the_link_and_not_the_loop)
{
    link_up();
    ck_assert_int_eq(query("COPY (SELECT 1) TO STDOUT", 0)->status, STORE_IN_DOUBT);
    run_until(&t.ups, 2);
}
END_TEST

START_TEST(a_bent_reply_is_in_doubt_and_ends_the_link)
{
    cluster_exec("dbname=postgres", "CREATE DATABASE bent TEMPLATE ballast");
    cluster_exec("dbname=bent", "ALTER FUNCTION ballast.post_batch RENAME TO post_batch_right");
    cluster_exec("dbname=bent",
                 "CREATE FUNCTION ballast.post_batch(k text[], y text[], a text[], p text[], "
                 "s text[], m bigint[], g bigint[], e text[], o int[], c bigint, f bigint) "
                 "RETURNS SETOF ballast.post_result LANGUAGE sql AS "
                 "'SELECT 7, r.part, r.outcome, r.id, r.account, r.asset, r.balance, r.held, "
                 "r.floor, r.status, r.version, r.duplicate, r.changed, r.detail "
                 "FROM ballast.post_batch_right(k, y, a, p, s, m, g, e, o) AS r'");
    use_database("bent");
    link_up();
    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, "bent", NULL, 0))->status,
                     STORE_IN_DOUBT);
    run_until(&t.ups, 2);
    ck_assert_int_eq(t.downs, 1);
}
END_TEST

STORE_MAIN("faults", terminated_in_flight_is_in_doubt_once, terminated_while_idle_goes_down_and_up,
           server_killed_and_started_again, silent_server_is_given_up,
           a_posting_link_outlives_no_backend_of_its_own, half_sent_is_unsent_and_not_applied,
           timeouts_of_the_server_are_transient, a_transaction_left_open_takes_no_posting,
           read_only_while_live, read_only_from_the_start, a_migration_under_a_live_link_ends_it,
           cancelled_replication_is_local_only, copy_ends_the_link_and_not_the_loop,
           a_bent_reply_is_in_doubt_and_ends_the_link)
