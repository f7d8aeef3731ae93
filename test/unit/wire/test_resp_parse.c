/*
 * The request parser. Every sample is fed whole, byte by byte, and split at random, from memory
 * that moves between the calls: the commands must be the same each time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "unit.h"
#include "wire/resp.h"

static const struct resp_limits limits = {.args = 2000, .bulk = 4096};

/* What a stream turned out to be: its commands as `[a|bc][d]`, then `!error` if it had one. */
struct story {
    char text[1 << 16];
    size_t len;
    size_t left; /* bytes that were not consumed */
};

static void story_add(struct story *story, const void *bytes, size_t len)
{
    ck_assert_uint_lt(story->len + len, sizeof story->text);
    memcpy(story->text + story->len, bytes, len);
    story->len += len;
    story->text[story->len] = '\0';
}

static void story_add_command(struct story *story, const struct resp_args *args)
{
    for (size_t i = 0; i < args->count; i++) {
        story_add(story, i == 0 ? "[" : "|", 1);
        story_add(story, args->items[i].data, args->items[i].len);
    }
    story_add(story, "]", 1);
}

/* How many bytes come next. */
typedef size_t split_fn(size_t left);

static size_t split_whole(size_t left)
{
    return left;
}

static size_t split_bytes(size_t left)
{
    return left > 0;
}

static size_t split_random(size_t left)
{
    size_t most = random_between(0, 3) == 0 ? 200 : 7;

    return (size_t)random_between(1, (int64_t)(left < most ? left : most));
}

/* Takes every command there is; false after an error. */
static bool take_all(struct resp_parser *parser, struct resp_args *args, struct buffer *in,
                     struct story *story)
{
    for (;;) {
        /* Exactly as large as what was received, and elsewhere each time: a sanitizer sees more. */
        char *copy = malloc(in->len > 0 ? in->len : 1);
        size_t consumed;

        memcpy(copy, in->data, in->len);

        enum resp_result result = resp_parse(parser, copy, in->len, args, &consumed);

        ck_assert_uint_le(consumed, in->len);
        if (result == RESP_COMMAND) {
            ck_assert_uint_gt(args->count, 0);
            ck_assert_uint_gt(consumed, 0);
            story_add_command(story, args);
        }
        free(copy);
        buffer_consume(in, consumed);
        if (result == RESP_NEED_MORE) {
            return true;
        }
        if (result == RESP_PROTOCOL_ERROR) {
            ck_assert_int_eq(strncmp(parser->error, "Protocol error: ", 16), 0);
            story_add(story, "!", 1);
            story_add(story, parser->error + 16, strlen(parser->error + 16));
            return false;
        }
    }
}

static void feed(struct story *story, const char *bytes, size_t len, split_fn *split)
{
    struct resp_parser parser;
    struct resp_args args = {0};
    struct buffer in = BUFFER_EMPTY;
    bool good = true;

    story->len = 0;
    story->text[0] = '\0';
    resp_parser_init(&parser, &limits);
    for (size_t at = 0; at < len && good;) {
        size_t count = split(len - at);

        buffer_append(&in, bytes + at, count);
        at += count;
        good = take_all(&parser, &args, &in, story);
    }
    story->left = in.len;
    buffer_free(&in);
    resp_args_free(&args);
}

static void check_bytes(const char *bytes, size_t len, const char *expected, size_t expected_len)
{
    static struct story story;

    feed(&story, bytes, len, split_whole);
    ck_assert_msg(story.len == expected_len && memcmp(story.text, expected, expected_len) == 0,
                  "'%s' gave '%s', not '%s'", bytes, story.text, expected);
    feed(&story, bytes, len, split_bytes);
    ck_assert_msg(story.len == expected_len && memcmp(story.text, expected, expected_len) == 0,
                  "'%s' byte by byte gave '%s', not '%s'", bytes, story.text, expected);
    for (int i = 0; i < 20; i++) {
        feed(&story, bytes, len, split_random);
        ck_assert_msg(story.len == expected_len && memcmp(story.text, expected, expected_len) == 0,
                      "'%s' split gave '%s', not '%s'", bytes, story.text, expected);
    }
}

static void check(const char *bytes, const char *expected)
{
    check_bytes(bytes, strlen(bytes), expected, strlen(expected));
}

START_TEST(multibulk_commands_come_whole)
{
    check("*1\r\n$4\r\nPING\r\n", "[PING]");
    check("*2\r\n$3\r\nGET\r\n$5\r\nalice\r\n", "[GET|alice]");
    check("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "[GET|]");
    check("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", "[PING][QUIT]");
    check("*3\r\n$1\r\na\r\n$2\r\n\r\n\r\n$3\r\nc c\r\n", "[a|\r\n|c c]");
    check_bytes("*1\r\n$3\r\na\0b\r\n", 13, "[a\0b]", 5);
}
END_TEST

START_TEST(empty_commands_are_passed_over)
{
    check("*0\r\n*-1\r\n*-5\r\n\r\n\n \r\n*1\r\n$4\r\nPING\r\n*0\r\n", "[PING]");
    check("*0\r\n", "");
    check("", "");
}
END_TEST

START_TEST(half_commands_wait)
{
    check("*", "");
    check("*2\r", "");
    check("*2\r\n$3\r\nGET\r\n", "");
    check("*1\r\n$4\r\nPING\r", "");
    check("*1\r\n$4\r\nPING", "");
    check("PING", "");
    check("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGE", "[PING]");
    check("*-", "");
    check("*1\r\n$", "");
    check("*1\r\n$-", "");
}
END_TEST

START_TEST(broken_multibulk_is_an_error)
{
    static const char *const counts[] = {
        "*x\r\n",    "*1x\r\n",
        "*+1\r\n",   "*01\r\n",
        "*\r\n",     "*-\r\n",
        "*-0\r\n",   "* 1\r\n",
        "*1 \r\n",   "*1.0\r\n",
        "*2001\r\n", "*9223372036854775808\r\n",
        "*1\rx",     "*99999999999999999999999999999999999999999999\r\n",
        "*00\r\n",
    };
    static const char *const lengths[] = {
        "*1\r\n$x\r\n",  "*1\r\n$-1\r\n", "*1\r\n$4097\r\n", "*1\r\n$\r\n",
        "*1\r\n$01\r\n", "*1\r\n$+1\r\n", "*1\r\n$1\rx",     "*1\r\n$99999999999999999999999\r\n",
        "*1\r\n$ 1\r\n",
    };

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        check(counts[i], "!invalid multibulk length");
    }
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        check(lengths[i], "!invalid bulk length");
    }
    check("*1\r\nPING\r\n", "!expected '$', got 'P'");
    check("*1\r\n\r\n", "!expected '$', got '?'");
    check("*2\r\n$3\r\nGET\r\n:5\r\n", "!expected '$', got ':'");
    check("*1\r\n$4\r\nPINGxx", "!expected CRLF after bulk");
    check("*1\r\n$4\r\nPING\rx", "!expected CRLF after bulk");
    check("*1\r\n$3\r\nPING\r\n", "!expected CRLF after bulk");
    check("*1\r\n$4\r\nPING\r\n*1\r\n$x\r\n", "[PING]!invalid bulk length");
}
END_TEST

START_TEST(endless_headers_are_an_error_soon)
{
    static struct story story;
    static char text[200];

    memset(text, 'x', sizeof text);
    text[0] = '*';
    feed(&story, text, sizeof text, split_bytes);
    ck_assert_str_eq(story.text, "!too big mbulk count string");
    ck_assert_uint_eq(story.left, LIMIT_RESP_HEADER_BYTES_MAX);
    memcpy(text, "*1\r\n$", 5);
    feed(&story, text, sizeof text, split_bytes);
    ck_assert_str_eq(story.text, "!too big bulk count string");
    memset(text, '1', sizeof text);
    text[0] = '*';
    feed(&story, text, sizeof text, split_bytes);
    ck_assert_str_eq(story.text, "!invalid multibulk length");
    ck_assert_uint_le(story.left, LIMIT_RESP_HEADER_BYTES_MAX);
}
END_TEST

START_TEST(inline_commands_are_split_into_words)
{
    check("PING\r\n", "[PING]");
    check("PING\n", "[PING]");
    check("  GET   alice \t\r\n", "[GET|alice]");
    check("CREDIT a 5 KEY k\r\nPING\r\n", "[CREDIT|a|5|KEY|k][PING]");
    check("PING\r\n*1\r\n$4\r\nQUIT\r\nECHO x\r\n", "[PING][QUIT][ECHO|x]");
    check_bytes("A\0B\n", 4, "[A|B]", 5);
}
END_TEST

START_TEST(quotes_are_those_of_redis_cli)
{
    check("SET \"a b\" 'c d'\r\n", "[SET|a b|c d]");
    check("X \"\" ''\r\n", "[X||]");
    check("X \"a\\\"b\\\\c\"\r\n", "[X|a\"b\\c]");
    check("X \"\\n\\r\\t\\b\\a\\q\"\r\n", "[X|\n\r\t\b\aq]");
    check("X \"\\x41\\x7a\\xZZ\\x4\"\r\n", "[X|AzxZZx4]");
    check("X 'it\\'s' 'a\\nb'\r\n", "[X|it's|a\\nb]");
    check("X a\"b c\"\r\n", "[X|ab c]");
    check("X 'a\"b'\r\n", "[X|a\"b]");
    check("\"PING\"\r\n", "[PING]");
    check("X \"a\r\n", "!unbalanced quotes in request");
    check("X 'a\n", "!unbalanced quotes in request");
    check("X \"a\"b\n", "!unbalanced quotes in request");
    check("X 'a'b\n", "!unbalanced quotes in request");
    check("X \"a\\\"\n", "!unbalanced quotes in request");
    check("X \"\\\n", "!unbalanced quotes in request");
    check("X \"\n", "!unbalanced quotes in request");
}
END_TEST

START_TEST(http_is_turned_away)
{
    static const char http[] = "this is not HTTP; the connection is closed";
    char expected[100];

    snprintf(expected, sizeof expected, "!%s", http);
    check("POST / HTTP/1.1\r\nX: y\r\n", expected);
    check("Host: localhost\r\n", expected);
    check("post\r\n", expected);
    snprintf(expected, sizeof expected, "[GET|/|HTTP/1.1]!%s", http);
    check("GET / HTTP/1.1\r\nHost: localhost\r\n", expected);
    check("*2\r\n$4\r\nPOST\r\n$1\r\n/\r\n", "[POST|/]");
    check("POSTS a\r\n", "[POSTS|a]");
}
END_TEST

START_TEST(inline_limits_hold)
{
    static struct story story;
    static char text[LIMIT_INLINE_BYTES_MAX + 10];

    memset(text, 'x', sizeof text);
    feed(&story, text, sizeof text, split_random);
    ck_assert_str_eq(story.text, "!too big inline request");
    feed(&story, text, LIMIT_INLINE_BYTES_MAX, split_whole);
    ck_assert_str_eq(story.text, "");
    text[5000] = '\n';
    feed(&story, text, 5001, split_whole);
    ck_assert_str_eq(story.text, "!too big inline request");
    for (size_t i = 0; i < 2 * 2001; i += 2) {
        memcpy(text + i, "a ", 2);
    }
    text[2 * 2001] = '\n';
    feed(&story, text, 2 * 2001 + 1, split_random);
    ck_assert_str_eq(story.text, "!too many arguments in inline request");
}
END_TEST

START_TEST(limits_are_reached_exactly)
{
    static struct story story;
    struct buffer in = BUFFER_EMPTY;
    static char bulk[4096];

    memset(bulk, 'b', sizeof bulk);
    buffer_printf(&in, "*2000\r\n");
    for (int i = 0; i < 2000; i++) {
        buffer_printf(&in, "$1\r\n%c\r\n", 'a' + i % 26);
    }
    buffer_printf(&in, "*1\r\n$4096\r\n");
    buffer_append(&in, bulk, sizeof bulk);
    buffer_append_text(&in, "\r\n");
    feed(&story, in.data, in.len, split_random);
    ck_assert_uint_eq(story.left, 0);
    ck_assert_uint_eq(story.len, 1 + 2 * 2000 + 1 + 4096 + 1);
    buffer_free(&in);
}
END_TEST

START_TEST(limits_may_change_between_commands)
{
    struct resp_parser parser;
    struct resp_args args = {0};
    char text[] = "*2\r\n$1\r\na\r\n$1\r\nb\r\n";
    size_t consumed;

    resp_parser_init(&parser, &(struct resp_limits){.args = 1, .bulk = 1});
    ck_assert_int_eq(resp_parse(&parser, text, sizeof text - 1, &args, &consumed),
                     RESP_PROTOCOL_ERROR);
    resp_parser_init(&parser, &(struct resp_limits){.args = 1, .bulk = 1});
    parser.limits.args = 2;
    ck_assert_int_eq(resp_parse(&parser, text, sizeof text - 1, &args, &consumed), RESP_COMMAND);
    ck_assert_uint_eq(args.count, 2);
    ck_assert_ptr_eq(args.items[1].data, text + 15);
    resp_args_free(&args);
}
END_TEST

/* What a client announces costs nothing until it has come. */
START_TEST(memory_is_bounded_by_what_was_received)
{
    struct resp_parser parser;
    struct resp_args args = {0};
    char text[] = "*1000000\r\n$1000000000\r\nab";
    size_t consumed;

    resp_parser_init(&parser, &(struct resp_limits){.args = 1000000, .bulk = 1000000000});
    ck_assert_int_eq(resp_parse(&parser, text, sizeof text - 1, &args, &consumed), RESP_NEED_MORE);
    ck_assert_uint_eq(consumed, 0);
    ck_assert_uint_le(args.cap, 8);
    resp_args_free(&args);
}
END_TEST

/* Fed byte by byte, a command of n bytes takes n steps and not n * n / 2. */
START_TEST(long_commands_are_not_read_again_and_again)
{
    struct resp_parser parser;
    struct resp_args args = {0};
    struct buffer in = BUFFER_EMPTY;
    const int count = 20000;
    int64_t start = clock_boot_us();
    size_t consumed;

    buffer_printf(&in, "*%d\r\n", count);
    for (int i = 0; i < count; i++) {
        buffer_printf(&in, "$20\r\n%020d\r\n", i);
    }
    resp_parser_init(&parser, &(struct resp_limits){.args = 20000, .bulk = 100});
    for (size_t len = 1; len < in.len; len++) {
        ck_assert(resp_parse(&parser, in.data, len, &args, &consumed) == RESP_NEED_MORE);
    }
    ck_assert(resp_parse(&parser, in.data, in.len, &args, &consumed) == RESP_COMMAND);
    ck_assert_uint_eq(args.count, (size_t)count);
    ck_assert_int_lt(clock_boot_us() - start, 10000000);

    /* The same for a line without an end. */
    buffer_clear(&in);
    for (size_t i = 0; i < LIMIT_INLINE_BYTES_MAX; i++) {
        buffer_append_byte(&in, 'x');
        ck_assert(resp_parse(&parser, in.data, in.len, &args, &consumed) == RESP_NEED_MORE);
        ck_assert_uint_eq(parser.offset, in.len);
    }
    buffer_free(&in);
    resp_args_free(&args);
}
END_TEST

/* Any bytes whatever: no crash, and the same story however they are split. */
START_TEST(garbage_tells_one_story)
{
    static const char alphabet[] = "*$:+-0123456789\r\n\r\n\r\n \"'\\xPING\0";
    static struct story whole, split;
    char text[60];

    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)random_between(0, sizeof text);

        for (size_t i = 0; i < len; i++) {
            text[i] = alphabet[random_between(0, sizeof alphabet - 1)];
        }
        if (round % 2 == 0 && len > 9) {
            memcpy(text, "*2\r\n$1\r\na", 9);
        }
        feed(&whole, text, len, split_whole);
        feed(&split, text, len, round % 3 == 0 ? split_bytes : split_random);
        ck_assert_uint_eq(whole.len, split.len);
        ck_assert_mem_eq(whole.text, split.text, whole.len);
    }
}
END_TEST

START_TEST(words_are_compared_in_any_case)
{
    struct resp_slice word = {.data = "MinVersionX", .len = 10};

    ck_assert(resp_slice_is(&word, "MINVERSION"));
    ck_assert(!resp_slice_is(&word, "MINVERSIO"));
    ck_assert(!resp_slice_is(&word, "MINVERSIONX"));
    word.len = 0;
    ck_assert(resp_slice_is(&word, ""));
}
END_TEST

UNIT_MAIN("resp_parse", multibulk_commands_come_whole, empty_commands_are_passed_over,
          half_commands_wait, broken_multibulk_is_an_error, endless_headers_are_an_error_soon,
          inline_commands_are_split_into_words, quotes_are_those_of_redis_cli, http_is_turned_away,
          inline_limits_hold, limits_are_reached_exactly, limits_may_change_between_commands,
          memory_is_bounded_by_what_was_received, long_commands_are_not_read_again_and_again,
          garbage_tells_one_story, words_are_compared_in_any_case)
