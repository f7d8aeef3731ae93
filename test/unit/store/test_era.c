/* Leases, eras, and what a listening link hears, against a real server. */
#include "fixture.h"

static void on_leases(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_leases *reply)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert_int_eq(status, STORE_OK);
    ck_assert_uint_le(reply->count, 8);
    memcpy(seen->leases, reply->leases, reply->count * sizeof(*reply->leases));
    seen->count = reply->count;
    seen->era = reply->era;
}

static void on_done(void *arg, enum store_status status, const struct store_error *error)
{
    saw(arg, status, error);
}

static void on_step(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_expelling *step)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert_int_eq(status, STORE_OK);
    seen->step = *step;
}

static const struct store_expelling *expel(const struct store_lease *lease)
{
    fresh();
    store_lease_expel(t.link, lease, 0, on_step, &t.seen);
    return &answer()->step;
}

static struct outcome_seen *renew(const char *daemon, const char *incarnation, uint64_t seen,
                                  const char *run_id)
{
    fresh();
    store_lease_renew(t.link, daemon, incarnation, seen, run_id, run_id, 0, on_leases, &t.seen);
    return answer();
}

START_TEST(leases)
{
    const struct store_lease *lease = t.seen.leases;

    link_up();
    ck_assert_uint_eq(renew("d1", "i1", 0, "")->count, 1);
    ck_assert_str_eq(lease[0].daemon, "d1");
    ck_assert_uint_eq(lease[0].renewals, 1);
    ck_assert_str_eq(lease[0].run_id, "");
    ck_assert(t.seen.era.timeline_current);
    renew("d1", "i1", 3, "abc");
    ck_assert_uint_eq(lease[0].renewals, 2);
    ck_assert_uint_eq(lease[0].seen, 3);
    ck_assert_str_eq(lease[0].replid, "abc");
    ck_assert_uint_eq(renew("d2", "i2", 0, "abc")->count, 2);
    renew("d1", "another", 0, "abc");
    ck_assert(lease[0].fenced);
    ck_assert(!lease[1].fenced);

    struct store_lease first = lease[0], renewed = first, other = first;

    renewed.renewals--;
    other.born--;
    ck_assert(expel(&renewed)->another);
    ck_assert(expel(&other)->another);
    ck_assert_int_eq(cluster_ask("SELECT count(*) FROM ballast.lease"), 2);
    ck_assert(!expel(&first)->another && t.seen.step.next == 0);
    ck_assert(expel(&first)->another);
    fresh();
    store_lease_drop(t.link, "d2", on_done, &t.seen);
    ck_assert_int_eq(answer()->status, STORE_OK);
    ck_assert_int_eq(cluster_ask("SELECT count(*) FROM ballast.lease"), 0);
}
END_TEST

static void on_era(void *arg, enum store_status status, const struct store_error *error,
                   const struct store_era *era)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert_int_eq(status, STORE_OK);
    seen->era = *era;
}

static void expect_era(uint64_t id, enum era_state state)
{
    answer();
    ck_assert_uint_eq(t.seen.era.id, id);
    ck_assert_int_eq(t.seen.era.state, state);
    ck_assert(t.seen.era.timeline_current);
    fresh();
}

START_TEST(eras_open_close_drain)
{
    struct store_era next = {.id = 5, .nonce = "n5", .run_id = "run", .replid = "rep"};

    t.options.listen = STORE_ERA_CHANNEL;
    link_up();
    fresh();
    store_era_read(t.link, on_era, &t.seen);
    expect_era(0, ERA_DRAINED);
    store_era_open(t.link, 3, &next, on_era, &t.seen); /* not the drained one */
    expect_era(0, ERA_DRAINED);
    store_era_open(t.link, 0, &next, on_era, &t.seen);
    expect_era(5, ERA_OPEN);
    run_until(&t.notifies, 1);
    ck_assert_str_eq(t.channel, "ballast_era");
    store_era_drain(t.link, 5, on_era, &t.seen); /* not closing */
    expect_era(5, ERA_OPEN);
    store_era_close(t.link, 4, on_era, &t.seen); /* another era */
    expect_era(5, ERA_OPEN);
    store_era_close(t.link, 5, on_era, &t.seen);
    expect_era(5, ERA_CLOSING);
    store_era_drain(t.link, 5, on_era, &t.seen);
    answer();
    ck_assert_str_eq(t.seen.era.nonce, "n5");
    ck_assert_str_eq(t.seen.era.run_id, "run");
    ck_assert_str_eq(t.seen.era.replid, "rep");
    ck_assert_int_eq(t.seen.era.state, ERA_DRAINED);
    run_until(&t.notifies, 3);
    cluster_exec("", "SET session_replication_role = replica;"
                     "UPDATE ballast.era SET id = 0, nonce = '', run_id = NULL, replid = NULL");
}
END_TEST

static int64_t marks[8];

static void on_announced(void *arg, enum store_status status, const struct store_error *error,
                         const struct store_announced *reply)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert_int_eq(status, STORE_OK);
    ck_assert_int_eq(reply->era.state, ERA_DRAINED);
    ck_assert_uint_le(reply->count, 8);
    keep_entries(seen, reply->entries, reply->count);
    memcpy(marks, reply->marks, reply->count * sizeof(*marks));
}

/* Reads a page of two behind that id; returns the balance of the first, -1 where there is none. */
static int64_t announced(const char *after, size_t count)
{
    struct account_id id = {.len = 0};

    if (after[0] != '\0') {
        id = id_of(after);
    }
    fresh();
    store_read_announced(t.link, &id, 2, on_announced, &t.seen);
    ck_assert_uint_eq(answer()->count, count);
    return count == 0 ? -1 : t.seen.entries[0].state.balance;
}

static void forget(size_t count)
{
    t.seen.calls = 0;
    store_forget_announced(t.link, t.seen.entries, marks, count, on_done, &t.seen);
    ck_assert_int_eq(answer()->status, STORE_OK);
}

START_TEST(a_post_in_sql_is_announced_until_it_is_forgotten)
{
    t.options.listen = STORE_JOURNAL_CHANNEL;
    link_up();
    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, "sql:a", NULL, 0))->status, STORE_OK);
    ck_assert_int_eq(post_one(posting(MUTATION_OPEN, NULL, "sql:b", NULL, 0))->status, STORE_OK);
    ck_assert_int_eq(announced("", 0), -1);
    cluster_exec("", "SELECT ballast.post('sql-1', '@world', 'sql:a', 5)");
    run_until(&t.notifies, 1);
    ck_assert_str_eq(t.channel, STORE_JOURNAL_CHANNEL);
    ck_assert_int_eq(announced("", 1), 5);
    cluster_exec("", "SELECT ballast.post('sql-2', 'sql:a', 'sql:b', 2)");
    forget(1); /* announced again since */
    ck_assert_int_eq(announced("", 2), 3);
    ck_assert_int_eq(announced("sql:a", 1), 2);
    ck_assert_int_eq(announced("sql:b", 0), -1);
    ck_assert_int_eq(announced("", 2), 3);
    forget(2);
    ck_assert_int_eq(announced("", 0), -1);
}
END_TEST

STORE_MAIN("era", leases, eras_open_close_drain, a_post_in_sql_is_announced_until_it_is_forgotten)
