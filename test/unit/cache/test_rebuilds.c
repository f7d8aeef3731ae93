/* A rebuild's writes (rule T11) against a real Redis: one by one, and behind gates. */
#include "cache/redis_fixture.h"

static char nonce[CACHE_MARKS_NONCE_MAX];

static enum cache_status begin_marks(void)
{
    struct answer answer = {0};

    cache_marks_begin(link_under_test, STAMP, nonce, on_done, &answer);
    await(&answer);
    return answer.status;
}

/* Writes version 3 of alice under those marks: "written", "left", "void" or "refused". */
static const char *rebuild_under(const char *marks)
{
    struct account_entry entry = entry_of("alice", 3);
    struct answer answer = {0};
    bool written, stand;

    cache_rebuild(link_under_test, STAMP, ERA, marks, &entry, 1, &written, &stand, on_done,
                  &answer);
    await(&answer);
    if (answer.status != CACHE_OK) {
        return answer.status == CACHE_REFUSED ? "refused" : "failed";
    }
    return !stand ? "void" : written ? "written" : "left";
}

START_TEST(rebuilds_what_nobody_has_written_to)
{
    struct cache_fill_entry entry;
    uint64_t token_id;

    begin();
    ck_assert_str_eq(rebuild_under("none"), "void");
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    ck_assert_str_eq(rebuild_under("none"), "void");
    ck_assert_str_eq(rebuild_under(nonce), "written");
    ck_assert_str_eq(at("alice"), "v3");
    ck_assert_str_eq(rebuild_under(nonce), "left"); /* a value of this era */
    put("alice", ERA - 1, 9);
    ck_assert_str_eq(rebuild_under(nonce), "written");
    order("SET bal:alice garbage");
    ck_assert_str_eq(rebuild_under(nonce), "left");
    order("DEL bal:alice");
    take_token(&entry, "alice", false, &token_id);
    ck_assert_str_eq(rebuild_under(nonce), "left");
    ck_assert_int_eq(fill(&entry, 5, token_id), CACHE_OK);
    order("DEL bal:alice"); /* evicted: the fill was marked */
    ck_assert_str_eq(rebuild_under(nonce), "left");
    ck_assert_str_eq(at("alice"), "absent");
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    ck_assert_str_eq(rebuild_under(nonce), "written");
    order("DEL bal:alice");
    ck_assert_int_eq(publish("alice", 6), CACHE_OK); /* into an absent key, and marked */
    ck_assert_str_eq(rebuild_under(nonce), "left");
    ck_assert_str_eq(at("alice"), "absent");
    finish();
}
END_TEST

START_TEST(a_rebuild_ends_with_its_marks_and_its_era)
{
    char before[CACHE_MARKS_NONCE_MAX];

    begin();
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    memcpy(before, nonce, sizeof before);
    ck_assert_int_eq(begin_marks(), CACHE_OK); /* another rebuild */
    ck_assert_str_eq(rebuild_under(before), "void");
    order("DEL bal:~rebuild"); /* evicted, or expired */
    ck_assert_int_eq(publish("alice", 6), CACHE_OK);
    ck_assert_str_eq(rebuild_under(nonce), "void");
    order("SET bal:~rebuild garbage");
    ck_assert_int_eq(publish("alice", 6), CACHE_OK); /* what cannot be marked in is taken away */
    ck_assert_str_eq(rebuild_under(nonce), "void");
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    order("SET bal:~era 8:other");
    ck_assert_str_eq(rebuild_under(nonce), "refused");
    ck_assert_int_eq(begin_marks(), CACHE_REFUSED);
    finish();
}
END_TEST

/* --- the same, behind gates -------------------------------------------------------------------*/

/* Writes version 3 of alice and bob over a new link, which tries a gate first. What is there then, and
 * in how many steps: "v3 v3 in 1". */
static const char *rebuild_two(void)
{
    static char text[64];
    struct account_entry entries[] = {entry_of("alice", 3), entry_of("bob", 3)};
    struct answer answer = {0};
    bool written[2], stand, is_scripted;

    cache_link_free(link_under_test);
    link_open();
    order("CONFIG RESETSTAT");
    cache_rebuild(link_under_test, STAMP, ERA, nonce, entries, 2, written, &stand, on_done,
                  &answer);
    await(&answer);
    is_scripted = strstr(order("INFO commandstats"), "cmdstat_evalsha:calls=1,") != NULL;
    ck_assert_str_eq(order("EXISTS bal:~gate:0"), "0");
    if (answer.status != CACHE_OK || !stand) {
        ck_assert(!written[0] && !written[1]);
        return answer.status == CACHE_REFUSED ? "refused" : stand ? "failed" : "void";
    }
    ck_assert(written[0] == (strcmp(at("alice"), "v3") == 0));
    ck_assert(written[1] == (strcmp(at("bob"), "v3") == 0));
    snprintf(text, sizeof text, "%s ", at("alice"));
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s in %d", at("bob"),
             is_scripted ? 2 : 1);
    return text;
}

static void forget_both(void)
{
    order("DEL bal:alice bal:bob");
}

START_TEST(a_gate_lets_all_through_or_nothing)
{
    begin();
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    ck_assert_str_eq(rebuild_two(), "v3 v3 in 1");
    put("alice", ERA, 5);
    order("DEL bal:bob");
    ck_assert_str_eq(rebuild_two(), "v5 v3 in 2");
    forget_both();
    put("alice", ERA - 1, 5);
    ck_assert_str_eq(rebuild_two(), "v3 v3 in 2");
    forget_both();
    order("SET bal:~gate:0 left"); /* no rebuild leaves one */
    ck_assert_str_eq(rebuild_two(), "v3 v3 in 1");
    finish();
}
END_TEST

START_TEST(a_gate_is_shut_by_what_forbids_a_rebuild)
{
    begin();
    ck_assert_str_eq(rebuild_two(), "void");
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    ck_assert_int_eq(publish("alice", 6), CACHE_OK); /* marks it, and creates nothing */
    ck_assert_str_eq(rebuild_two(), "absent v3 in 2");
    forget_both();
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    order("SET bal:~era 8:other");
    ck_assert_str_eq(rebuild_two(), "refused");
    ck_assert_str_eq(order("EXISTS bal:alice bal:bob"), "0");
    order("SET bal:~era " STAMP);
    order("CONFIG SET maxmemory 1");
    ck_assert_str_eq(rebuild_two(), "void");
    order("CONFIG SET maxmemory 0");
    ck_assert_str_eq(rebuild_two(), "v3 v3 in 1");
    forget_both();
    order("ACL SETUSER default -zlexcount"); /* whatever else keeps the script from its end */
    ck_assert_str_eq(rebuild_two(), "failed");
    ck_assert_str_eq(order("EXISTS bal:alice bal:bob"), "0");
    finish();
}
END_TEST

/* Accounts behind five gates, the last of which is short; the first half comes from behind. What
 * shut ones have kept out goes together where they are neighbours. */
START_TEST(gates_are_shut_one_by_one)
{
    enum { MIDDLE = 2 * CACHE_GATE_ACCOUNTS, COUNT = 2 * MIDDLE + 3, GATES = 5 };
    static const struct {
        int account;
        const char *then;
    } others[] = {{0, "v9"},
                  {CACHE_GATE_ACCOUNTS - 1, "v9"},
                  {MIDDLE - 1, "absent"},
                  {2 * MIDDLE - 1, "absent"},
                  {COUNT - 1, "absent"}};
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct account_entry entries[COUNT];
    struct answer answer = {0};
    bool written[COUNT], stand;
    char name[8];

    begin();
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "a%03d", i < MIDDLE ? COUNT - 1 - i : i - MIDDLE);
        entries[i] = entry_of(name, 3);
    }
    for (size_t i = 0; i < OTHERS; i++) {
        snprintf(name, sizeof name, "%.7s", entries[others[i].account].id.bytes);
        if (strcmp(others[i].then, "absent") != 0) {
            put(name, ERA, 9);
        }
        ck_assert_int_eq(publish(name, 8), CACHE_OK); /* marks it */
    }
    order("CONFIG RESETSTAT");
    cache_rebuild(link_under_test, STAMP, ERA, nonce, entries, COUNT, written, &stand, on_done,
                  &answer);
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_OK);
    ck_assert(stand);
    ck_assert_ptr_nonnull(strstr(order("INFO commandstats"), "cmdstat_evalsha:calls=2,"));
    for (int i = 0; i < COUNT; i++) {
        const char *then = "v3";
        for (size_t j = 0; j < OTHERS; j++) {
            then = others[j].account == i ? others[j].then : then;
        }
        snprintf(name, sizeof name, "%.7s", entries[i].id.bytes);
        ck_assert_str_eq(at(name), then);
        ck_assert(written[i] == (strcmp(then, "v3") == 0));
    }
    for (int i = 0; i < GATES; i++) {
        ck_assert_str_eq(order("EXISTS bal:~gate:%d", i), "0");
    }
    finish();
}
END_TEST

START_TEST(gates_in_vain_are_not_tried_again_at_once)
{
    begin();
    ck_assert_int_eq(begin_marks(), CACHE_OK);
    order("CONFIG RESETSTAT");
    for (int i = 0; i < 2 + CACHE_GATES_REST; i++) {
        put("alice", ERA - 1, 9);
        ck_assert_str_eq(rebuild_under(nonce), "written");
    }
    ck_assert_ptr_nonnull(strstr(order("INFO commandstats"), "cmdstat_eval:calls=2,"));
    finish();
}
END_TEST

UNIT_MAIN("rebuilds", rebuilds_what_nobody_has_written_to,
          a_rebuild_ends_with_its_marks_and_its_era, a_gate_lets_all_through_or_nothing,
          a_gate_is_shut_by_what_forbids_a_rebuild, gates_are_shut_one_by_one,
          gates_in_vain_are_not_tried_again_at_once)
