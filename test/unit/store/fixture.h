/*
 * fixture.h: a link on a loop against the private server of cluster.h, with what its hooks and
 * callbacks were told. One a process: each test has its own.
 */
#ifndef BALLAST_TEST_STORE_FIXTURE_H
#define BALLAST_TEST_STORE_FIXTURE_H

#include <event2/event.h>

#include "base/random.h"
#include "cluster.h"
#include "store/bare.h"
#include "store/store.h"

#define WAIT_MS 20000
#define POSTINGS_MAX 10000 /* of one test */

/* What came of one request. */
struct outcome_seen {
    int calls;
    enum store_status status;
    struct store_error error;
    size_t count;                     /* of entries, states, leases or rows */
    struct account_entry entries[64]; /* accounts, states */
    struct store_era_seen era_seen;
    struct store_era era;
    struct store_lease leases[8];
    struct store_expelling step;
    char text[256]; /* the first value of a query */
};

static struct {
    struct event_base *base;
    struct store_link *link;
    int64_t commit; /* the last one's number */
    struct store_options options;
    struct outcome_seen seen;
    int ups, downs, notifies;
    char why[STORE_TEXT_MAX];
    char channel[64];
    char payload[256];
    bool timed_out;
    struct store_posting *postings[POSTINGS_MAX]; /* all that posting() made; owned */
    size_t posting_count;
} t;

/* --- hooks and callbacks ----------------------------------------------------------------------*/

static inline void on_up(void *ctx, struct store_link *link)
{
    (void)ctx;
    ck_assert(store_link_is_up(link));
    t.ups++;
}

static inline void on_down(void *ctx, struct store_link *link, const char *why)
{
    (void)ctx;
    ck_assert(!store_link_is_up(link));
    t.downs++;
    snprintf(t.why, sizeof(t.why), "%s", why);
}

static inline void on_notify(void *ctx, struct store_link *link, const char *channel,
                             const char *payload)
{
    (void)ctx;
    (void)link;
    t.notifies++;
    snprintf(t.channel, sizeof(t.channel), "%s", channel);
    snprintf(t.payload, sizeof(t.payload), "%s", payload);
}

static inline struct outcome_seen *saw(void *arg, enum store_status status,
                                       const struct store_error *error)
{
    struct outcome_seen *seen = arg;

    seen->calls++;
    seen->status = status;
    seen->error = *error;
    return seen;
}

static inline void keep_entries(struct outcome_seen *seen, const struct account_entry *entries,
                                size_t count)
{
    ck_assert_uint_le(count, sizeof(seen->entries) / sizeof(seen->entries[0]));
    memcpy(seen->entries, entries, count * sizeof(*entries));
    seen->count = count;
}

static inline void on_posted(void *arg, enum store_status status, const struct store_error *error,
                             const struct store_posted *posted)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert(status == STORE_OK || posted->count == 0);
    if (posted->count > 0 && posted->count <= 64) {
        keep_entries(seen, posted->states, posted->count);
    }
}

static inline void on_accounts(void *arg, enum store_status status, const struct store_error *error,
                               const struct store_accounts *reply)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert((status == STORE_OK) == (reply != NULL));
    if (reply != NULL) {
        seen->era_seen = reply->era;
        keep_entries(seen, reply->entries, reply->count);
    }
}

static inline void on_rows(void *arg, enum store_status status, const struct store_error *error,
                           const struct store_rows *rows)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert((status == STORE_OK) == (rows != NULL));
    if (rows != NULL) {
        seen->count = rows->rows;
        if (rows->rows > 0) {
            const char *value = rows->value(rows, 0, 0);

            snprintf(seen->text, sizeof(seen->text), "%s", value == NULL ? "NULL" : value);
        }
    }
}

/* --- the loop ---------------------------------------------------------------------------------*/

static inline void on_wait_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    t.timed_out = true;
}

/* Runs the loop until the counter has reached the value; the test fails when it does not. */
static inline void run_until(const int *counter, int value)
{
    struct timeval limit = {WAIT_MS / 1000, 0};
    struct event *timer = evtimer_new(t.base, on_wait_over, NULL);

    t.timed_out = false;
    evtimer_add(timer, &limit);
    while (*counter < value && !t.timed_out) {
        event_base_loop(t.base, EVLOOP_ONCE);
    }
    event_free(timer);
    ck_assert_msg(*counter >= value, "%d of %d in %d ms; the link: %s", *counter, value, WAIT_MS,
                  t.link == NULL ? "none" : store_link_why(t.link));
}

/* Runs the loop for a while, in which something must not happen. */
static inline void run_for(int ms)
{
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};

    event_base_loopexit(t.base, &limit);
    event_base_dispatch(t.base);
}

/* The callback of the request just submitted, exactly one. */
static inline struct outcome_seen *answer(void)
{
    ck_assert_int_eq(t.seen.calls, 0);
    run_until(&t.seen.calls, 1);
    ck_assert_int_eq(t.seen.calls, 1);
    return &t.seen;
}

static inline struct outcome_seen *fresh(void)
{
    memset(&t.seen, 0, sizeof(t.seen));
    return &t.seen;
}

/* --- set-up -----------------------------------------------------------------------------------*/

static inline void create_link_with(struct store_link *(*create)(struct event_base *,
                                                                 const struct store_options *,
                                                                 const struct store_hooks *, void *,
                                                                 char *, size_t))
{
    static const struct store_hooks hooks = {on_up, on_down, on_notify};
    char err[STORE_TEXT_MAX] = "";

    t.link = create(t.base, &t.options, &hooks, NULL, err, sizeof(err));
    ck_assert_msg(t.link != NULL, "%s", err);
    ck_assert(!store_link_is_up(t.link));
}

static inline void link_up(void)
{
    int before = t.ups;

    create_link_with(store_link_create);
    run_until(&t.ups, before + 1);
    ck_assert(store_link_ready(t.link));
    ck_assert_str_eq(store_link_why(t.link), "");
}

/* Runs the loop until the link says why it does not come up. */
static inline const char *link_refused(void)
{
    int64_t deadline = clock_boot_us() + WAIT_MS * 1000;

    create_link_with(store_link_create);
    while (strcmp(store_link_why(t.link), "not connected yet") == 0) {
        ck_assert(clock_boot_us() < deadline);
        event_base_loop(t.base, EVLOOP_ONCE);
    }
    ck_assert_int_eq(t.ups, 0);
    ck_assert_int_eq(t.downs, 0);
    return store_link_why(t.link);
}

static inline void set_up(void)
{
    memset(&t, 0, sizeof(t));
    signal(SIGPIPE, SIG_IGN);
    cluster_start();
    t.base = event_base_new();
    t.options = (struct store_options){
        .conninfo = strdup(cluster_conninfo("")),
        .application_name = "test-link",
        .connect_timeout_ms = 5000,
        .statement_timeout_ms = 15000,
        .lock_timeout_ms = 10000,
    };
}

static inline void tear_down(void)
{
    store_link_free(t.link);
    event_base_free(t.base);
    for (size_t i = 0; i < t.posting_count; i++) {
        mutation_clear(&t.postings[i]->mutation);
        free(t.postings[i]);
    }
    free((char *)t.options.conninfo);
    if (cluster.server != 0) {
        cluster_stop(SIGINT);
    }
}

/* Another database of the same server, for links to come. */
static inline void use_database(const char *name)
{
    char rest[64];

    snprintf(rest, sizeof(rest), "dbname=%s", name);
    free((char *)t.options.conninfo);
    t.options.conninfo = strdup(cluster_conninfo(rest));
}

/* --- requests ---------------------------------------------------------------------------------*/

static inline struct account_id id_of(const char *text)
{
    struct account_id id;

    ck_assert(account_id_parse(&id, text, strlen(text)));
    return id;
}

static inline struct store_posting *posting(enum mutation_kind kind, const char *key,
                                            const char *account, const char *peer, int64_t amount)
{
    struct store_posting *p = calloc(1, sizeof(*p));

    ck_assert_uint_lt(t.posting_count, POSTINGS_MAX);
    t.postings[t.posting_count++] = p;
    p->mutation.kind = kind;
    p->mutation.amount = amount;
    p->mutation.has_amount = amount != 0;
    if (key != NULL) {
        ck_assert_ptr_null(mutation_set_key(&p->mutation, key, strlen(key)));
    }
    if (account != NULL) {
        p->mutation.account = id_of(account);
    }
    if (peer != NULL) {
        p->mutation.peer = id_of(peer);
    }
    if (kind == MUTATION_OPEN) {
        ck_assert(asset_parse(&p->mutation.asset, "USD/2", 5));
    }
    return p;
}

/* The tests of a program share a database. */
static inline int64_t next_commit(void)
{
    t.commit = (int64_t)random_uint64();
    return t.commit;
}

static inline struct outcome_seen *post(struct store_posting **postings, size_t count)
{
    fresh();
    store_post(t.link, postings, count, next_commit(), 0, on_posted, &t.seen);
    return answer();
}

static inline struct outcome_seen *post_one(struct store_posting *p)
{
    return post(&p, 1);
}

static inline struct outcome_seen *query(const char *sql, int timeout_ms)
{
    fresh();
    store_query(t.link, sql, NULL, 0, timeout_ms, on_rows, &t.seen);
    return answer();
}

static inline struct outcome_seen *read_one(const char *account)
{
    static struct account_id id;
    static const struct account_id *ids[1] = {&id};

    id = id_of(account);
    fresh();
    store_read_accounts(t.link, ids, 1, on_accounts, &t.seen);
    return answer();
}

/* --- the program ------------------------------------------------------------------------------*/

static inline int store_main(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, set_up, tear_down);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(all, tests[i]);
    }
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    cluster_create();
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    cluster_destroy();
    return failed == 0 ? 0 : 1;
}

#define STORE_MAIN(name, ...)                                                                      \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *tests[] = {__VA_ARGS__};                                                      \
        return store_main(name, tests, sizeof(tests) / sizeof(tests[0]));                          \
    }

#endif
