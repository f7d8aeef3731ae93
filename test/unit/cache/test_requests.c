/* What is asked of Redis, against a real one: reads, and the guarded writes by every rule. */
#include "cache/redis_fixture.h"

/* --- reads ------------------------------------------------------------------------------------*/

START_TEST(reads_everything_that_may_stand_there)
{
    struct cache_value value;
    char stamp[512];

    begin();
    ck_assert_str_eq(at("alice"), "absent");
    put("alice", ERA, 5);
    ck_assert_str_eq(at("alice"), "v5");
    put("alice", ERA - 1, 5);
    ck_assert_str_eq(at("alice"), "v5 of 6");
    put("alice", ERA, 0);
    ck_assert_str_eq(at("alice"), "none");
    order("SET bal:alice '~7 x-1'");
    order("SET bal:alice %s", "~7 x-1");
    ck_assert_str_eq(at("alice"), "token");
    order("SET bal:alice 250000");
    ck_assert_str_eq(at("alice"), "poison");
    order("SET bal:alice %s", "");
    ck_assert_str_eq(at("alice"), "poison");
    put("bob", ERA, 5);
    order("COPY bal:bob bal:alice REPLACE");
    ck_assert_str_eq(at("alice"), "poison");
    order("DEL bal:alice");
    order("RPUSH bal:alice 1");
    ck_assert_str_eq(at("alice"), "absent");
    ck_assert_int_eq(read_one("bob", &value, stamp), CACHE_OK);
    ck_assert_str_eq(stamp, STAMP);
    finish();
}
END_TEST

START_TEST(reads_batches_in_order)
{
    enum { COUNT = CACHE_READ_LOOKUPS_MAX };
    struct cache_lookup *lookups[COUNT];
    struct account_id *ids = calloc(COUNT, sizeof(*ids));
    struct answer answer = {0};

    begin();
    for (int i = 0; i < COUNT; i++) {
        char name[16];

        snprintf(name, sizeof(name), "a%d", i);
        if (i % 3 != 0) {
            put(name, ERA, (uint64_t)i);
        }
        ids[i] = id_of(name);
        lookups[i] = calloc(1, sizeof(**lookups));
        lookups[i]->id = &ids[i];
    }
    cache_read(link_under_test, lookups, COUNT, on_stamped, &answer);
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_OK);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(lookups[i]->value.kind, i % 3 == 0 ? CACHE_ABSENT : CACHE_STATE);
        ck_assert_uint_eq(lookups[i]->value.state.version, i % 3 == 0 ? 0 : (uint64_t)i);
        free(lookups[i]);
    }
    free(ids);
    finish();
}
END_TEST

START_TEST(believes_nothing_without_the_key)
{
    struct cache_options options;

    begin();
    put("alice", ERA, 5);
    cache_link_free(link_under_test);
    options = options_for(server_address);
    link_under_test = cache_link_create(base, &options, &hooks, &ups);
    WAIT_FOR(cache_link_is_up(link_under_test));
    ck_assert_str_eq(at("alice"), "poison");
    ck_assert_str_eq(at("bob"), "absent");
    finish();
}
END_TEST

START_TEST(sees_a_flush_in_the_stamp)
{
    struct cache_value value;
    char stamp[512];

    begin();
    put("alice", ERA, 5);
    order("FLUSHALL");
    ck_assert_int_eq(read_one("alice", &value, stamp), CACHE_OK);
    ck_assert_str_eq(stamp, "");
    ck_assert_int_eq(value.kind, CACHE_ABSENT);
    order("RPUSH bal:~era 7:nonce");
    ck_assert_int_eq(read_one("alice", &value, stamp), CACHE_OK);
    ck_assert_str_eq(stamp, "");
    ck_assert_int_eq(publish("alice", 6), CACHE_REFUSED);
    order("DEL bal:~era");
    ck_assert_int_eq(publish("alice", 6), CACHE_REFUSED);
    finish();
}
END_TEST

/* --- publish: T8 ------------------------------------------------------------------------------*/

START_TEST(publishes_by_the_rules)
{
    begin();
    ck_assert_int_eq(publish("alice", 5), CACHE_OK); /* creates nothing */
    ck_assert_str_eq(at("alice"), "absent");
    put("alice", ERA, 4);
    ck_assert_int_eq(publish("alice", 5), CACHE_OK); /* older: overwritten */
    ck_assert_str_eq(at("alice"), "v5");
    ck_assert_str_eq(order("PTTL bal:alice"), "-1");
    ck_assert_int_eq(publish("alice", 5), CACHE_OK); /* equal, newer: left */
    ck_assert_int_eq(publish("alice", 3), CACHE_OK);
    ck_assert_str_eq(at("alice"), "v5");
    ck_assert_int_eq(publish_under("7:other", "alice", 6), CACHE_REFUSED);
    ck_assert_int_eq(publish_under("8:nonce", "alice", 6), CACHE_REFUSED);
    ck_assert_str_eq(at("alice"), "v5");
    put("alice", ERA, 9);
    ck_assert_int_eq(publish("alice", 10), CACHE_OK); /* as numbers, not as texts */
    ck_assert_str_eq(at("alice"), "v10");
    put("alice", ERA - 1, 4);
    ck_assert_int_eq(publish("alice", 5), CACHE_OK); /* older era: deleted */
    ck_assert_str_eq(at("alice"), "absent");
    order("SET bal:alice %s", "~7 x-1");
    ck_assert_int_eq(publish("alice", 5), CACHE_OK); /* a token: deleted */
    ck_assert_str_eq(at("alice"), "absent");
    order("SET bal:alice %s", "");
    ck_assert_int_eq(publish("alice", 5), CACHE_OK); /* garbage: deleted */
    ck_assert_str_eq(at("alice"), "absent");
    order("RPUSH bal:alice 1 2 3");
    ck_assert_int_eq(publish("alice", 5), CACHE_OK); /* a list: deleted */
    ck_assert_str_eq(order("EXISTS bal:alice"), "0");
    finish();
}
END_TEST

/* OPEN publishes version 1 over the remembered absence, and it does not expire any more. */
START_TEST(publishes_over_a_negative_entry)
{
    begin();
    put("alice", ERA, 0);
    order("PEXPIRE bal:alice 60000");
    ck_assert_int_eq(publish("alice", 1), CACHE_OK);
    ck_assert_str_eq(at("alice"), "v1");
    ck_assert_str_eq(order("PTTL bal:alice"), "-1");
    finish();
}
END_TEST

START_TEST(publishes_large_batches_and_repeated_accounts)
{
    enum { COUNT = 2 * CACHE_SCRIPT_KEYS_MAX + 1 };
    struct account_entry *entries = calloc(COUNT, sizeof(*entries));
    struct account_entry twice[] = {entry_of("bob", 6), entry_of("bob", 5), entry_of("bob", 7),
                                    entry_of("bob", 6)};
    struct answer answer = {0};

    begin();
    for (int i = 0; i < COUNT; i++) {
        char name[16];

        snprintf(name, sizeof(name), "a%d", i);
        put(name, ERA, 4);
        entries[i] = entry_of(name, 5);
    }
    cache_publish(link_under_test, STAMP, ERA, entries, COUNT, on_done, &answer);
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_OK);
    ck_assert_str_eq(at("a0"), "v5");
    ck_assert_str_eq(at("a1000"), "v5");
    ck_assert_str_eq(at("a2000"), "v5");
    answer = (struct answer){0};
    cache_publish(link_under_test, "7:other", ERA, entries, COUNT, on_done, &answer);
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_REFUSED);
    put("bob", ERA, 4);
    answer = (struct answer){0};
    cache_publish(link_under_test, STAMP, ERA, twice, 4, on_done, &answer);
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_OK);
    ck_assert_str_eq(at("bob"), "v7");
    free(entries);
    finish();
}
END_TEST

/* Memory full: what cannot be written is deleted, nothing is added, and nothing old is served. */
START_TEST(deletes_when_memory_is_full)
{
    struct cache_fill_entry entry, absent;
    uint64_t token_id, other_id;

    begin();
    put("alice", ERA, 4);
    ck_assert_int_eq(take_token(&entry, "bob", false, &token_id), CACHE_OK);
    ck_assert(entry.token_held);
    order("CONFIG SET maxmemory 1");
    ck_assert_str_eq(at("alice"), "FAILED");
    ck_assert_int_eq(publish("alice", 5), CACHE_OK);
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK);
    ck_assert_int_eq(take_token(&absent, "carol", true, &other_id), CACHE_OK);
    ck_assert(!absent.token_held);
    ck_assert_int_eq(fill(&absent, 5, other_id), CACHE_OK);
    ck_assert(cache_link_is_up(link_under_test));
    cache_link_free(link_under_test); /* and a new link comes up */
    link_open();
    order("CONFIG SET maxmemory 0");
    ck_assert_str_eq(at("alice"), "absent");
    ck_assert_str_eq(at("bob"), "absent");
    ck_assert_str_eq(at("carol"), "absent");
    finish();
}
END_TEST

START_TEST(loads_forgotten_scripts_again)
{
    struct cache_fill_entry entry;
    struct account_entry first = entry_of("alice", 5), second = entry_of("alice", 6);
    struct answer answers[2] = {0};
    uint64_t token_id;

    begin();
    put("alice", ERA, 4);
    order("SCRIPT FLUSH");
    cache_publish(link_under_test, STAMP, ERA, &first, 1, on_done, &answers[0]);
    cache_publish(link_under_test, STAMP, ERA, &second, 1, on_done, &answers[1]);
    WAIT_FOR(answers[0].calls == 1 && answers[1].calls == 1);
    ck_assert_int_eq(answers[0].status, CACHE_OK);
    ck_assert_int_eq(answers[1].status, CACHE_OK);
    ck_assert_str_eq(at("alice"), "v6");
    ck_assert_int_eq(publish("alice", 7), CACHE_OK);
    order("SCRIPT FLUSH");
    ck_assert_int_eq(take_token(&entry, "bob", false, &token_id), CACHE_OK);
    ck_assert(entry.token_held);
    order("SCRIPT FLUSH");
    ck_assert_int_eq(fill(&entry, 3, token_id), CACHE_OK);
    ck_assert_str_eq(at("bob"), "v3");
    finish();
}
END_TEST

/* --- tokens and fills: T9, T10 ----------------------------------------------------------------*/

START_TEST(takes_tokens_by_the_rules)
{
    struct cache_fill_entry entry, other;
    uint64_t token_id, other_id;
    struct answer answer = {0};

    begin();
    ck_assert_int_eq(take_token(&entry, "alice", false, &token_id), CACHE_OK);
    ck_assert(entry.token_held); /* absent */
    ck_assert_str_eq(at("alice"), "token");
    ck_assert_int_gt(atoi(order("PTTL bal:alice")), 0);
    ck_assert_int_le(atoi(order("PTTL bal:alice")), CACHE_TOKEN_MS);
    ck_assert_int_eq(take_token(&other, "alice", false, &other_id), CACHE_OK);
    ck_assert(!other.token_held); /* another's token */
    ck_assert_uint_ne(token_id, other_id);
    ck_assert_int_eq(take_token(&other, "alice", true, &other_id), CACHE_OK);
    ck_assert(other.token_held); /* forced */
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK);
    ck_assert_str_eq(at("alice"), "absent"); /* the first one's is void, and deletes */
    put("alice", ERA, 5);
    ck_assert_int_eq(take_token(&entry, "alice", false, &token_id), CACHE_OK);
    ck_assert(!entry.token_held); /* a value of this era */
    put("alice", ERA, 0);
    ck_assert_int_eq(take_token(&entry, "alice", false, &token_id), CACHE_OK);
    ck_assert(!entry.token_held); /* a negative one, too */
    put("alice", ERA - 1, 5);
    ck_assert_int_eq(take_token(&entry, "alice", false, &token_id), CACHE_OK);
    ck_assert(entry.token_held); /* an older era */
    order("SET bal:alice garbage");
    ck_assert_int_eq(take_token(&entry, "alice", false, &token_id), CACHE_OK);
    ck_assert(entry.token_held);
    order("DEL bal:alice");
    order("RPUSH bal:alice 1");
    ck_assert_int_eq(take_token(&entry, "alice", false, &token_id), CACHE_OK);
    ck_assert(entry.token_held);
    cache_token(link_under_test, "8:nonce", 8, &entry, 1, &token_id, on_done, &answer);
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_REFUSED);
    ck_assert(!entry.token_held);
    finish();
}
END_TEST

START_TEST(fills_by_the_rules)
{
    struct cache_fill_entry entry;
    uint64_t token_id;

    begin();
    take_token(&entry, "alice", false, &token_id);
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK); /* the own token */
    ck_assert_str_eq(at("alice"), "v5");
    ck_assert_str_eq(order("PTTL bal:alice"), "-1");
    take_token(&entry, "alice", true, &token_id);
    ck_assert_int_eq(fill(&entry, 4, token_id), CACHE_OK); /* of whatever version */
    ck_assert_str_eq(at("alice"), "v4");
    ck_assert_int_eq(fill(&entry, 6, token_id), CACHE_OK); /* no token there: a publish */
    ck_assert_str_eq(at("alice"), "v6");
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK);
    ck_assert_str_eq(at("alice"), "v6");
    take_token(&entry, "bob", false, &token_id);
    order("DEL bal:bob"); /* expired, or evicted */
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK);
    ck_assert_str_eq(at("bob"), "absent");
    take_token(&entry, "bob", false, &token_id);
    ck_assert_int_eq(publish("bob", 6), CACHE_OK); /* a publish came between */
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK);
    ck_assert_str_eq(at("bob"), "absent");
    take_token(&entry, "bob", false, &token_id);
    order("SET bal:~era 8:nonce");
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_REFUSED);
    ck_assert_str_eq(at("bob"), "token");
    finish();
}
END_TEST

START_TEST(remembers_absence)
{
    struct cache_fill_entry entry;
    uint64_t token_id;

    begin();
    take_token(&entry, "alice", false, &token_id);
    ck_assert_int_eq(fill(&entry, 0, token_id), CACHE_OK);
    ck_assert_str_eq(at("alice"), "none");
    ck_assert_int_gt(atoi(order("PTTL bal:alice")), CACHE_TOKEN_MS);
    ck_assert_int_le(atoi(order("PTTL bal:alice")), CACHE_NEGATIVE_MS);
    put("bob", ERA, 1);
    ck_assert_int_eq(fill(&entry, 0, token_id), CACHE_OK); /* over the own token only */
    entry.entry.id = id_of("bob");
    ck_assert_int_eq(fill(&entry, 0, token_id), CACHE_OK);
    ck_assert_str_eq(at("bob"), "v1");
    order("DEL bal:bob");
    ck_assert_int_eq(fill(&entry, 0, token_id), CACHE_OK);
    ck_assert_str_eq(at("bob"), "absent");
    finish();
}
END_TEST

START_TEST(tokens_end_with_their_connection)
{
    struct cache_fill_entry entry;
    uint64_t token_id;

    begin();
    take_token(&entry, "alice", false, &token_id);
    ck_assert(entry.token_held);
    order("CLIENT KILL TYPE normal SKIPME yes");
    WAIT_FOR(ups == 2);
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_LOST);
    ck_assert_str_eq(at("alice"), "token");
    take_token(&entry, "bob", false, &token_id);
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK);
    ck_assert_str_eq(at("bob"), "v5");
    finish();
}
END_TEST

UNIT_MAIN("requests", reads_everything_that_may_stand_there, reads_batches_in_order,
          believes_nothing_without_the_key, sees_a_flush_in_the_stamp, publishes_by_the_rules,
          publishes_over_a_negative_entry, publishes_large_batches_and_repeated_accounts,
          deletes_when_memory_is_full, loads_forgotten_scripts_again, takes_tokens_by_the_rules,
          fills_by_the_rules, remembers_absence, tokens_end_with_their_connection)
