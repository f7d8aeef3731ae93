/* The stamp, and what jobs and operators ask of Redis, against a real one. */
#include "cache/redis_fixture.h"

static enum cache_status raise_stamp(const char *stamp)
{
    struct answer answer = {0};

    cache_stamp_raise(link_under_test, stamp, on_done, &answer);
    await(&answer);
    return answer.status;
}

static const char *read_stamp(void)
{
    static struct answer answer;

    answer = (struct answer){0};
    cache_stamp_read(link_under_test, on_stamped, &answer);
    await(&answer);
    return answer.status == CACHE_OK ? answer.text : "(failed)";
}

START_TEST(raises_the_stamp)
{
    begin();
    ck_assert_str_eq(read_stamp(), STAMP);
    ck_assert_int_eq(raise_stamp("7:other"), CACHE_REFUSED);
    ck_assert_int_eq(raise_stamp("6:other"), CACHE_REFUSED);
    ck_assert_str_eq(read_stamp(), STAMP);
    ck_assert_int_eq(raise_stamp("10:other"), CACHE_OK);
    ck_assert_str_eq(read_stamp(), "10:other");
    order("DEL bal:~era");
    ck_assert_str_eq(read_stamp(), "");
    ck_assert_int_eq(raise_stamp("1:x"), CACHE_OK);
    order("SET bal:~era garbage");
    ck_assert_int_eq(raise_stamp("1:x"), CACHE_OK);
    order("SET bal:~era 99999999999999999999:x");
    ck_assert_int_eq(raise_stamp("1:x"), CACHE_OK);
    order("DEL bal:~era");
    order("RPUSH bal:~era 1");
    ck_assert_str_eq(read_stamp(), "");
    ck_assert_int_eq(raise_stamp("1:x"), CACHE_OK);
    ck_assert_str_eq(read_stamp(), "1:x");
    order("REPLICAOF 127.0.0.1 1");
    ck_assert_int_eq(raise_stamp("2:x"), CACHE_MOVED);
    finish();
}
END_TEST

static uint64_t cursor;

static void on_page(void *arg, enum cache_status status, const struct cache_scan_page *page)
{
    struct answer *answer = arg;

    answer->calls++;
    answer->status = status;
    answer->count += page->count;
    for (size_t i = 0; i < page->count; i++) {
        ck_assert_int_eq(page->ids[i].bytes[0], 'a');
    }
    cursor = page->next_cursor;
}

START_TEST(scans_accounts_only)
{
    struct answer answer = {0};

    begin();
    for (int i = 0; i < 2500; i++) {
        order("SET bal:a%d x", i);
    }
    order("SET bal:~a x");
    order("SET bal: x");
    order("SET other:a x");
    order("SET ba x");
    do {
        answer.calls = 0;
        cache_scan(link_under_test, cursor, on_page, &answer);
        await(&answer);
        ck_assert_int_eq(answer.status, CACHE_OK);
    } while (cursor != 0);
    ck_assert_uint_eq(answer.count, 2500);
    finish();
}
END_TEST

/* A prefix is no pattern. */
START_TEST(scans_under_a_strange_prefix)
{
    struct cache_options options;
    struct answer answer = {0};

    server_start();
    order("SET %s x", "b[*]?\\:a1");
    order("SET %s x", "b*\\:a2");
    options = options_for(server_address);
    options.prefix = "b[*]?\\:";
    link_open_with(&options);
    WAIT_FOR(cache_link_is_up(link_under_test));
    cache_scan(link_under_test, 0, on_page, &answer);
    await(&answer);
    ck_assert_uint_eq(answer.count, 1);
    finish();
}
END_TEST

static void on_raw(void *arg, enum cache_status status, bool present, const char *bytes, size_t len)
{
    struct answer *answer = arg;

    answer->calls++;
    answer->status = status;
    answer->present = present;
    snprintf(answer->text, sizeof(answer->text), "%.*s", (int)len, bytes);
}

static void on_text(void *arg, enum cache_status status, const char *text)
{
    struct answer *answer = arg;

    answer->calls++;
    answer->status = status;
    snprintf(answer->text, sizeof(answer->text), "%s", text);
}

START_TEST(shows_what_is_there)
{
    struct account_id id = id_of("alice");
    struct answer answer = {0};

    begin();
    cache_raw(link_under_test, &id, on_raw, &answer);
    await(&answer);
    ck_assert(!answer.present);
    ck_assert_str_eq(answer.text, "");
    order("SET bal:alice %s", "7 what a human wrote");
    answer = (struct answer){0};
    cache_raw(link_under_test, &id, on_raw, &answer);
    await(&answer);
    ck_assert(answer.present);
    ck_assert_str_eq(answer.text, "7 what a human wrote");
    order("DEL bal:alice");
    order("RPUSH bal:alice 1");
    answer = (struct answer){0};
    cache_raw(link_under_test, &id, on_raw, &answer);
    await(&answer);
    ck_assert_int_eq(answer.status, CACHE_FAILED);
    ck_assert_ptr_nonnull(strstr(answer.text, "WRONGTYPE"));
    answer = (struct answer){0};
    cache_info(link_under_test, "replication", on_text, &answer);
    await(&answer);
    ck_assert_ptr_nonnull(strstr(answer.text, "role:master\r\n"));
    answer = (struct answer){0};
    cache_info(link_under_test, "config maxmemory-p*", on_text, &answer);
    await(&answer);
    ck_assert_str_eq(answer.text, "maxmemory-policy:noeviction\r\n");
    finish();
}
END_TEST

UNIT_MAIN("queries", raises_the_stamp, scans_accounts_only, scans_under_a_strange_prefix,
          shows_what_is_there)
