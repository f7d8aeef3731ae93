/* The log: form of its lines, rotation, and a reader who does not read. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "unit.h"

static char directory[] = "/tmp/ballast-test-XXXXXX";
static char path[64], rotated[64];

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(rotated, sizeof rotated, "%s/log.1", directory);
}

static void tear_down(void)
{
    unlink(path);
    unlink(rotated);
    rmdir(directory);
}

static char *read_file(const char *name)
{
    static char text[1 << 20];
    FILE *file = fopen(name, "r");

    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static const char *quoted(const char *text)
{
    static struct log_value room;

    return log_value_quote(&room, text, SIZE_MAX);
}

START_TEST(values_are_quoted_where_needed)
{
    char text[400];

    ck_assert_str_eq(quoted("plain-1.2:/x"), "plain-1.2:/x");
    ck_assert_str_eq(quoted(""), "\"\"");
    ck_assert_str_eq(quoted(NULL), "\"\"");
    ck_assert_str_eq(quoted("two words"), "\"two words\"");
    ck_assert_str_eq(quoted("a=b"), "\"a=b\"");
    ck_assert_str_eq(quoted("say \"x\\y\""), "\"say \\\"x\\\\y\\\"\"");
    ck_assert_str_eq(quoted("a\r\n\tb\x01\x7f"), "\"a\\r\\n\\tb\\x01\\x7f\"");
    ck_assert_str_eq(quoted("žluťoučký"), "žluťoučký");
    ck_assert_str_eq(LOG_VALUE_N("abcdef", 3), "abc");

    memset(text, 'x', sizeof text);
    text[255] = '\0';
    ck_assert_str_eq(quoted(text), text);
    text[255] = 'x';
    text[399] = '\0';
    ck_assert_uint_lt(strlen(quoted(text)), sizeof(struct log_value));
    ck_assert_ptr_nonnull(strstr(quoted(text), "x...\""));
    memset(text, '\n', 399);
    ck_assert_uint_lt(strlen(quoted(text)), sizeof(struct log_value));
}
END_TEST

START_TEST(lines_have_the_form)
{
    static const char form[] =
        "^ts=20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z level=info "
        "event=store-up host=\"a b\" took_ms=12\n"
        "ts=[^ ]+ level=warn event=bare\n"
        "ts=[^ ]+ level=error event=broken text=a b\n$";
    regex_t regex;

    set_up();
    errno = 0;
    ck_assert_int_eq(log_open(path, LOG_LEVEL_INFO), 0);
    log_info("store-up", "host=%s took_ms=%d", LOG_VALUE("a b"), 12);
    log_debug("hidden", "");
    log_warn("bare", "");
    log_error("broken", "text=a%cb", '\n');
    log_close();
    ck_assert_int_eq(regcomp(&regex, form, REG_EXTENDED | REG_NOSUB), 0);

    const char *text = read_file(path);

    ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "%s", text);
    regfree(&regex);
    tear_down();
}
END_TEST

START_TEST(overlong_lines_are_cut)
{
    static char text[2 * LIMIT_LOG_LINE_BYTES_MAX];

    set_up();
    memset(text, 'x', sizeof text - 1);
    ck_assert_int_eq(log_open(path, LOG_LEVEL_INFO), 0);
    log_info("long", "text=%s", text);
    log_info("next", "");
    log_close();

    char *line = read_file(path);
    char *end = strchr(line, '\n');

    ck_assert_int_lt(end - line, LIMIT_LOG_LINE_BYTES_MAX);
    ck_assert_mem_eq(end - 4, "x...", 4);
    ck_assert_ptr_nonnull(strstr(end, "event=next\n"));
    tear_down();
}
END_TEST

START_TEST(level_can_change_and_errno_is_kept)
{
    set_up();
    ck_assert_int_eq(log_open(path, LOG_LEVEL_ERROR), 0);
    ck_assert(!log_enabled(LOG_LEVEL_WARN));
    log_warn("one", "");
    log_set_level(LOG_LEVEL_DEBUG);
    errno = EXDEV;
    log_debug("two", "");
    ck_assert_int_eq(errno, EXDEV);
    log_close();
    ck_assert_ptr_null(strstr(read_file(path), "one"));
    ck_assert_ptr_nonnull(strstr(read_file(path), "level=debug event=two\n"));
    ck_assert_str_eq(log_level_name(LOG_LEVEL_WARN), "warn");
    tear_down();
}
END_TEST

static void wait_for(const char *name, const char *text)
{
    int64_t deadline = clock_boot_us() + 10000000;

    while (strstr(read_file(name), text) == NULL) {
        ck_assert_int_lt(clock_boot_us(), deadline);
        poll(NULL, 0, 5);
    }
}

START_TEST(reopen_follows_a_rotation)
{
    set_up();
    ck_assert_int_eq(log_open(path, LOG_LEVEL_INFO), 0);
    log_info("first", "");
    wait_for(path, "event=first\n");
    ck_assert_int_eq(rename(path, rotated), 0);
    log_info("second", "");
    wait_for(rotated, "event=second\n");
    ck_assert_int_eq(log_reopen(), 0);
    log_info("third", "");
    log_close();
    ck_assert_ptr_nonnull(strstr(read_file(path), "event=third\n"));
    ck_assert_ptr_null(strstr(read_file(rotated), "third"));
    tear_down();
}
END_TEST

START_TEST(what_cannot_be_opened_is_an_error)
{
    ck_assert_int_eq(log_open("/nonexistent/log", LOG_LEVEL_INFO), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(log_open("-", LOG_LEVEL_INFO), 0);
    ck_assert_int_eq(log_reopen(), 0);
    log_close();
    log_close();
}
END_TEST

static void *write_many(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        log_info("many", "writer=%d line=%d", *(int *)arg, i);
    }
    return NULL;
}

START_TEST(lines_of_several_threads_stay_whole_and_in_order)
{
    pthread_t threads[4];
    int numbers[4], next[4] = {0};

    set_up();
    ck_assert_int_eq(log_open(path, LOG_LEVEL_INFO), 0);
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    log_close();
    ck_assert_uint_eq(log_dropped_count(), 0);
    for (char *line = strtok(read_file(path), "\n"); line != NULL; line = strtok(NULL, "\n")) {
        int writer, number;

        ck_assert_int_eq(
            sscanf(line, "ts=%*s level=info event=many writer=%d line=%d", &writer, &number), 2);
        ck_assert_int_eq(number, next[writer]++);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(next[i], 2000);
    }
    tear_down();
}
END_TEST

/* Reads what comes until `end` is in it. */
static void read_until(int reader, char *text, size_t room, const char *end)
{
    int64_t deadline = clock_boot_us() + 20000000;
    size_t len = strlen(text);
    const char *unseen = text;

    while (strstr(unseen, end) == NULL) {
        ssize_t got = read(reader, text + len, room - len - 1);

        unseen = text + (len > 100 ? len - 100 : 0);
        if (got > 0) {
            len += (size_t)got;
            text[len] = '\0';
        } else {
            poll(&(struct pollfd){.fd = reader, .events = POLLIN}, 1, 10);
        }
        ck_assert_int_lt(clock_boot_us(), deadline);
    }
}

/* Nobody reads the pipe: callers go on, lines are dropped, and the log says so in the end. */
START_TEST(a_stuck_reader_blocks_nobody)
{
    static char text[4 << 20];
    const int count = 40000;
    size_t lines = 0;
    unsigned long long dropped;

    set_up();
    ck_assert_int_eq(mkfifo(path, 0600), 0);

    int reader = open(path, O_RDONLY | O_NONBLOCK);

    ck_assert_int_ge(reader, 0);
    ck_assert_int_eq(log_open(path, LOG_LEVEL_INFO), 0);
    for (int i = 0; i < count; i++) {
        log_info("stuck", "line=%d", i);
    }
    ck_assert_uint_gt(log_dropped_count(), 0);
    read_until(reader, text, sizeof text, "event=log-dropped");
    log_info("end", "");
    read_until(reader, text, sizeof text, "event=end\n");
    log_close();

    ck_assert_int_eq(
        sscanf(strstr(text, "event=log-dropped"), "event=log-dropped lines=%llu", &dropped), 1);
    ck_assert_uint_eq(dropped, log_dropped_count());
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_int_eq(strncmp(line, "ts=", 3), 0);
        lines += strstr(line, "event=stuck line=") != NULL;
    }
    ck_assert_uint_eq(lines + dropped, count);
    close(reader);
    tear_down();
}
END_TEST

START_TEST(closing_does_not_wait_for_a_stuck_reader)
{
    set_up();
    ck_assert_int_eq(mkfifo(path, 0600), 0);

    int reader = open(path, O_RDONLY | O_NONBLOCK);
    int64_t start;

    ck_assert_int_eq(log_open(path, LOG_LEVEL_INFO), 0);
    for (int i = 0; i < 5000; i++) {
        log_info("stuck", "line=%d", i);
    }
    start = clock_boot_us();
    log_close();
    ck_assert_int_lt(clock_boot_us() - start, 5000000);
    ck_assert_uint_gt(log_dropped_count(), 0);
    close(reader);
    tear_down();
}
END_TEST

/* A reader who went away is an error of each write, and no signal. */
START_TEST(a_vanished_reader_kills_nobody)
{
    set_up();
    ck_assert_int_eq(mkfifo(path, 0600), 0);

    int reader = open(path, O_RDONLY | O_NONBLOCK);

    ck_assert_int_eq(log_open(path, LOG_LEVEL_INFO), 0);
    close(reader);
    log_info("lost", "");
    log_close();
    ck_assert_uint_eq(log_dropped_count(), 1);
    tear_down();
}
END_TEST

UNIT_MAIN("log", values_are_quoted_where_needed, lines_have_the_form, overlong_lines_are_cut,
          level_can_change_and_errno_is_kept, reopen_follows_a_rotation,
          what_cannot_be_opened_is_an_error, lines_of_several_threads_stay_whole_and_in_order,
          a_stuck_reader_blocks_nobody, closing_does_not_wait_for_a_stuck_reader,
          a_vanished_reader_kills_nobody)
