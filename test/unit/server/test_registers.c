/* What all workers share: the register of clients, the slow log, the statistics of commands. */
#include <stdio.h>
#include <string.h>

#include "base/metrics.h"
#include "server/clients.h"
#include "server/command.h"
#include "server/command_stats.h"
#include "server/slowlog.h"
#include "unit.h"

static struct client cards[3];

static void register_cards(void)
{
    for (int i = 0; i < 3; i++) {
        cards[i] = (struct client){.worker = i, .fd = 10 + i};
        snprintf(cards[i].address, sizeof cards[i].address, "127.0.0.1:%d", 5000 + i);
        snprintf(cards[i].here, sizeof cards[i].here, "127.0.0.1:6480");
        clients_register(&cards[i]);
        clients_set_text(cards[i].user, sizeof cards[i].user, i == 2 ? "job" : "default",
                         i == 2 ? 3 : 7);
    }
}

static uint64_t workers;

static size_t kill_count(struct client_filter filter)
{
    return clients_kill(&filter, &workers);
}

START_TEST(ids_grow_and_are_not_used_twice)
{
    register_cards();
    ck_assert_uint_eq(clients_count(), 3);
    ck_assert(cards[0].id > 0 && cards[0].id < cards[1].id && cards[1].id < cards[2].id);
    uint64_t last = cards[2].id;
    clients_remove(&cards[2]);
    clients_register(&cards[2]);
    ck_assert_uint_gt(cards[2].id, last);
}
END_TEST

START_TEST(kill_marks_whom_it_means)
{
    register_cards();
    ck_assert_uint_eq(kill_count((struct client_filter){.id = cards[1].id}), 1);
    ck_assert_uint_eq(workers, 2);
    ck_assert(cards[1].killed && !cards[0].killed && !cards[2].killed);
    ck_assert_uint_eq(
        kill_count((struct client_filter){.address = "127.0.0.1:500", .address_len = 13}), 0);
    ck_assert_uint_eq(workers, 0);
    ck_assert_uint_eq(kill_count((struct client_filter){.here = "127.0.0.1:6480", .here_len = 14}),
                      3);
    ck_assert_uint_eq(workers, 7);
    ck_assert_uint_eq(kill_count((struct client_filter){.user = "job", .user_len = 3}), 1);
    ck_assert_uint_eq(kill_count((struct client_filter){.except = cards[0].id}), 2);
    ck_assert_uint_eq(kill_count((struct client_filter){.nobody = true}), 0);
}
END_TEST

START_TEST(list_has_a_line_a_client)
{
    struct buffer out = BUFFER_EMPTY;
    register_cards();
    clients_set_text(cards[0].name, sizeof cards[0].name, "import", 6);
    clients_list(&(struct client_filter){0}, 5 * 1000 * 1000, &out);
    buffer_append_byte(&out, '\0');
    ck_assert_ptr_nonnull(strstr(out.data, "addr=127.0.0.1:5000 laddr=127.0.0.1:6480 fd=10 "
                                           "name=import age=5 idle=5 "));
    size_t lines = 0;
    for (const char *at = out.data; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    ck_assert_uint_eq(lines, 3);
    buffer_free(&out);
}
END_TEST

START_TEST(names_are_printable_without_space)
{
    ck_assert(clients_name_ok("", 0) && clients_name_ok("app-1", 5));
    ck_assert(!clients_name_ok("a b", 3) && !clients_name_ok("a\n", 2));
    ck_assert(!clients_name_ok("\xc3\xa9", 2));
    char long_name[100];
    memset(long_name, 'x', sizeof long_name);
    clients_set_text(cards[0].name, sizeof cards[0].name, long_name, sizeof long_name);
    ck_assert_uint_eq(strlen(cards[0].name), LIMIT_CLIENT_NAME_ROOM - 1);
}
END_TEST

START_TEST(the_slow_log_keeps_the_last_ones)
{
    struct slowlog_entry copies[LIMIT_SLOWLOG_ENTRIES + 1];
    for (int i = 0; i < LIMIT_SLOWLOG_ENTRIES + 5; i++) {
        struct slowlog_entry entry = {.took_us = i};
        slowlog_add(&entry);
    }
    ck_assert_uint_eq(slowlog_count(), LIMIT_SLOWLOG_ENTRIES);
    ck_assert_uint_eq(slowlog_copy(copies, LIMIT_SLOWLOG_ENTRIES + 1), LIMIT_SLOWLOG_ENTRIES);
    ck_assert_int_eq(copies[0].took_us, LIMIT_SLOWLOG_ENTRIES + 4);
    ck_assert_int_eq(copies[LIMIT_SLOWLOG_ENTRIES - 1].took_us, 5);
    ck_assert_uint_eq(copies[0].id, copies[1].id + 1);
    slowlog_reset();
    ck_assert_uint_eq(slowlog_copy(copies, 1), 0);
    slowlog_add(&(struct slowlog_entry){.took_us = 7});
    ck_assert_uint_eq(slowlog_copy(copies, 5), 1);
    ck_assert_int_eq(copies[0].took_us, 7);
}
END_TEST

START_TEST(slow_words_are_cut)
{
    struct slowlog_entry entry = {0};
    char word[200];
    memset(word, 'w', sizeof word);
    slowlog_word(&entry, word, sizeof word);
    ck_assert_uint_eq(strlen(entry.args[0]), LIMIT_SLOWLOG_ARG_ROOM - 1);
    ck_assert_ptr_nonnull(strstr(entry.args[0], "ww..."));
    slowlog_word(&entry, word, LIMIT_SLOWLOG_ARG_ROOM - 1);
    ck_assert_ptr_null(strchr(entry.args[1], '.'));
    for (int i = 2; i < LIMIT_SLOWLOG_ARGS + 3; i++) {
        slowlog_word(&entry, "x", 1);
    }
    ck_assert_int_eq(entry.arg_count, LIMIT_SLOWLOG_ARGS);
    ck_assert_str_eq(entry.args[LIMIT_SLOWLOG_ARGS - 1], "... more");
}
END_TEST

START_TEST(statistics_are_summed_over_workers)
{
    static struct histogram latency;
    struct command_total total;
    struct command_stats *one = command_stats_create();
    struct command_stats *two = command_stats_create();
    command_stats_called(one, 3, 100, false);
    command_stats_called(two, 3, 300, true);
    command_stats_rejected(two, 3);
    command_stats_sum(3, &total, &latency);
    ck_assert_uint_eq(total.calls, 2);
    ck_assert_uint_eq(total.failed, 1);
    ck_assert_uint_eq(total.rejected, 1);
    ck_assert_uint_eq(histogram_sum(&latency), 400);
    command_stats_reset(two);
    command_stats_sum(3, &total, &latency);
    ck_assert_uint_eq(total.calls, 1);
    ck_assert_uint_eq(histogram_sum(&latency), 100);
    command_stats_free(one);
    command_stats_sum(3, &total, &latency);
    ck_assert_uint_eq(total.calls, 0);
    command_stats_free(two);
}
END_TEST

UNIT_MAIN("registers", ids_grow_and_are_not_used_twice, kill_marks_whom_it_means,
          list_has_a_line_a_client, names_are_printable_without_space,
          the_slow_log_keeps_the_last_ones, slow_words_are_cut, statistics_are_summed_over_workers)
